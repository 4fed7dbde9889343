// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#include <errno.h>

#include <xen/errno.h>

#define LINES_A_MINUTE 10

void guest_mistake(const char *format, ...)
{
	static gint64 minute;
	static unsigned lines;
	gint64 now = g_get_monotonic_time() / (60 * G_USEC_PER_SEC);
	g_autofree char *text = NULL;
	va_list args;

	if (now != minute) {
		minute = now;
		lines = 0;
	}
	if (++lines > LINES_A_MINUTE)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_info("guest: %s%s", text, lines == LINES_A_MINUTE ? " (and no more of this for a minute)" : "");
}

int32_t guest_error(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case -ENOENT:
		return -XEN_ENOENT;
	case -EACCES:
		return -XEN_EACCES;
	case -EBUSY:
		return -XEN_EBUSY;
	case -EEXIST:
		return -XEN_EEXIST;
	case -ENOMEM:
		return -XEN_ENOMEM;
	case -ENOSPC:
		return -XEN_ENOSPC;
	case -E2BIG:
		return -XEN_E2BIG;
	case -EFAULT:
		return -XEN_EFAULT;
	case -EOPNOTSUPP:
		return -XEN_EOPNOTSUPP;
	default:
		return -XEN_EINVAL;
	}
}
