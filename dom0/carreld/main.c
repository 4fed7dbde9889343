/* SPDX-License-Identifier: Apache-2.0 */
#include "carreld.h"

static Hv *real_hv(GError **error)
{
	return hv_xl_new(CARREL_BOOT_LOADER, CARREL_VIF_SCRIPT, error);
}

int main(int argc, char **argv)
{
	const Seams seams = { real_hv, auth_polkit_new, machine_logind_new };

	return carreld_main(argc, argv, &seams);
}
