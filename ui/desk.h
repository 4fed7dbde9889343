/* SPDX-License-Identifier: Apache-2.0 */
/* The compositor as the switcher sees it (graphics/compositor/org.carrel.Desk.xml): what is on screen, whether it is locked,
 * pictures of VMs. Everything is asked for without waiting.
 *
 * Signals: "changed" (): shown, locked, views or whether it is there; "thumbnail" (VM's name); "notice" (severity, VM's
 * name or "", text). */
#ifndef CARREL_UI_DESK_H
#define CARREL_UI_DESK_H

#include <cairo.h>
#include <gio/gio.h>

#define UI_TYPE_DESK (ui_desk_get_type())
G_DECLARE_FINAL_TYPE(UiDesk, ui_desk, UI, DESK, GObject)

UiDesk *ui_desk_new(GDBusConnection *connection);
gboolean ui_desk_present(UiDesk *desk);
gboolean ui_desk_locked(UiDesk *desk);
const char *ui_desk_shown(UiDesk *desk);                 /* VM's name, "" when the switcher is or nothing is known */
const char *ui_desk_view(UiDesk *desk, const char *vm);  /* none, starting, live, hung or failed */
void ui_desk_sort(UiDesk *desk, GPtrArray *vms);         /* CarrelVm1, by their hotkeys; the rest stays behind as it is */
void ui_desk_show(UiDesk *desk, const char *vm);         /* failures come as notices */
void ui_desk_lock(UiDesk *desk);
void ui_desk_unlock(UiDesk *desk);
void ui_desk_restart_view(UiDesk *desk, const char *vm);
/* Asks for a new picture, at most this large; "thumbnail" tells when there is one that looks different. One question a VM at
 * a time. */
void ui_desk_ask_thumbnail(UiDesk *desk, const char *vm, int width, int height);
cairo_surface_t *ui_desk_thumbnail(UiDesk *desk, const char *vm); /* the last one, borrowed; NULL: none, or nothing to see */
void ui_desk_forget_thumbnail(UiDesk *desk, const char *vm);
#endif
