/* SPDX-License-Identifier: Apache-2.0 */
/* The surfaces that the compositor tells apart by their names (graphics/README.md): the switcher, the lock screens, the
 * notices. Without layer shell, on any other desktop, they are ordinary windows. */
#ifndef CARREL_UI_WINDOWS_H
#define CARREL_UI_WINDOWS_H

#include "ui.h"

typedef struct {
	Ui *ui;
	GtkWidget *main;
	GHashTable *locks; /* GdkMonitor: window */
	GPtrArray *closed; /* windows to show again when there is an output */
	guint again;       /* source */
	gulong on_desk;
	gboolean layers;
} Windows;

Windows *windows_new(Ui *ui);
void windows_free(Windows *windows);
#endif
