/* SPDX-License-Identifier: Apache-2.0 */
/* The switcher's own icons: lines on a grid of 24, drawn by cairo in the text's colour, sharp at any scale. */
#ifndef CARREL_UI_ICON_H
#define CARREL_UI_ICON_H

#include <gtk/gtk.h>

/* name: a name from the table in icon.c; NULL or an unknown one draws nothing. size in pixels. Not seen by screen readers:
 * what an icon stands for is said by the name of what it is in. */
GtkWidget *icon_new(const char *name, int size);
void icon_set(GtkWidget *icon, const char *name);
const char *icon_name(GtkWidget *icon);
/* Share of the icon that is full (batteries, loudness), 0 to 1. */
void icon_set_level(GtkWidget *icon, double level);
void icon_draw(cairo_t *cr, const char *name, double level, double x, double y, double size);
#endif
