/* SPDX-License-Identifier: Apache-2.0 */
/* The panel's brightness: read from sysfs, set by logind (which lets the session's user do it without rights of its own). */
#ifndef CARREL_UI_BACKLIGHT_H
#define CARREL_UI_BACKLIGHT_H

#include <gio/gio.h>

typedef struct Backlight Backlight;
/* The first panel in dir (/sys/class/backlight), or NULL. changed: it was changed, by whomever. */
Backlight *backlight_new(const char *dir, GDBusConnection *bus, void (*changed)(gpointer data), gpointer data);
double backlight_get(Backlight *backlight); /* 0 to 1 */
void backlight_set(Backlight *backlight, double level); /* never quite dark */
void backlight_free(Backlight *backlight);
#endif
