/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the libxenlight seam: hv_xl.c (calls and watches), hv_xl_config.c (what a VM is to libxl) and
 * hv_xl_devices.c (screens, input, sound). */
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

/* hv_xl.c: sets the error to what libxl said last in this thread; FALSE. */
gboolean hv_xl_failed(GError **error, int rc, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* hv_xl_devices.c */
gboolean hv_xl_connect(libxl_ctx *ctx, struct xs_handle *store, guint id, const HvConfig *config, gboolean wait, GCancellable *stop,
	GError **error);
/* Between us and carrel-sound (sound/card.h): what it may let its guest do, and whether its guest records. */
gboolean hv_xl_permit(struct xs_handle *store, guint id, gboolean play, gboolean record, GError **error);
gboolean hv_xl_recording(struct xs_handle *store, guint id);
char *hv_xl_recording_path(guint id);
/* Before a domain is destroyed: libxl would wait ten seconds for a back end that isn't there. */
void hv_xl_disconnect(struct xs_handle *store, guint id);

/* Fills an initialised libxl configuration; its strings are for libxl_domain_config_dispose(). */
gboolean hv_xl_config(libxl_ctx *ctx, const HvConfig *config, const char *boot_loader, const char *vif_script,
	libxl_domain_config *domain, GError **error);
#endif
