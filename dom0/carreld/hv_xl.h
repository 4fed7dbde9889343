/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the libxenlight seam: hv_xl.c (calls and watches) and hv_xl_config.c (what a VM is to libxl). */
#ifndef CARREL_HV_XL_H
#define CARREL_HV_XL_H

#include <libxl.h>
#include <xenstore.h>

#include "hv.h"

#define HV_XL_DEMAND "data/carrel-memory" /* KiB that the guest needs; below data/ because the guest may write there only */

typedef struct {
	Hv hv;
	libxl_ctx *ctx;
	struct xs_handle *store, *watches; /* watches: of the main thread */
	char *boot_loader, *vif_script;
	HvChanged changed;
	gpointer data;
	guint source;
	GHashTable *demands; /* domain → Demand; main thread */
} HvXl;

/* Fills an initialised libxl configuration; its strings are for libxl_domain_config_dispose(). */
gboolean hv_xl_config(libxl_ctx *ctx, const HvConfig *config, const char *boot_loader, const char *vif_script,
	libxl_domain_config *domain, GError **error);
#endif
