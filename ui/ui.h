/* SPDX-License-Identifier: Apache-2.0 */
/* The switcher as a whole: one struct, made once, that every screen is given. */
#ifndef CARREL_UI_H
#define CARREL_UI_H

#include "config.h"
#include "desk.h"
#include "model.h"

#include <gtk/gtk.h>

typedef struct Ui Ui;
struct Ui {
	GDBusConnection *bus; /* NULL: no system bus */
	UiModel *model;
	UiDesk *desk;
	Config *config;
	GtkCssProvider *css;
	gboolean dark;

	GtkWidget *root;     /* what a window shows: pages, above them sheets, above them notices */
	GtkWidget *pages;    /* stack: splash, home */
	GtkWidget *home;
	GtkWidget *scrim, *sheet_box;
	GList *sheets;       /* the one on top first */
	GtkWidget *notices;  /* list that they are in */
	GtkWidget *notice_window; /* shows them while a VM is on screen; NULL in tests */

	gboolean visible;    /* the switcher or the lock screen is on the screen: only then are there timers */
	guint minute, beat;  /* sources */
	GPtrArray *watchers; /* of time; Watcher */
	void (*restart)(Ui *ui); /* the language changed */
};

/* connection may be NULL. config is the Ui's from then on. */
Ui *ui_new(GDBusConnection *connection, Config *config);
void ui_free(Ui *ui);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ui, ui_free)

/* Whether anything of it is seen; stops and starts what costs time. */
void ui_set_visible(Ui *ui, gboolean visible);
/* Calls every, with the widget, each minute (at its start) or each few seconds (beats) while the switcher is seen, and when it
 * comes to be seen; until the widget is destroyed. Beats only while the widget wants them, which it says by ui_want_beats(). */
void ui_every_minute(Ui *ui, GtkWidget *widget, void (*every)(GtkWidget *widget));
void ui_every_beat(Ui *ui, GtkWidget *widget, void (*every)(GtkWidget *widget));
void ui_want_beats(Ui *ui, GtkWidget *widget, gboolean wanted); /* the first comes at once */

/* A D-Bus call without waiting. reply gets the job's path (or NULL) or the error, unless owner (may be NULL) is gone by then;
 * without one an error becomes a notice. params as for g_dbus_proxy_call. */
typedef void (*UiReply)(Ui *ui, const char *job, const GError *error, gpointer owner);
void ui_call(Ui *ui, gpointer proxy, const char *method, GVariant *params, UiReply reply, gpointer owner);

/* Says something to the person. severity: info, warning or error; vm: its name, or NULL. */
void ui_notify(Ui *ui, const char *severity, const char *vm, const char *text);

/* Sheets: panels over the page. Escape closes the one on top. */
typedef struct {
	GtkWidget *panel, *title, *body, *footer;
} Sheet;
Sheet *sheet_new(Ui *ui, const char *icon, const char *title, int width); /* the panel owns it */
GtkWidget *sheet_action(Sheet *sheet, GtkWidget *button); /* packs it at the footer's end */
void ui_sheet_push(Ui *ui, GtkWidget *panel, GtkWidget *focus);
void ui_sheet_pop(Ui *ui, GtkWidget *panel); /* and destroys it; no harm if it is gone */
void ui_sheets_close(Ui *ui);
/* Asks before something that cannot be undone. */
typedef void (*UiAgreed)(Ui *ui, gpointer data);
void ui_confirm(Ui *ui, const char *title, const char *text, const char *action, UiAgreed agreed, gpointer data,
	GDestroyNotify free_data);

/* What can be done to a VM, from wherever it is asked; failures come as notices. */
void vm_open(Ui *ui, CarrelVm1 *vm); /* shows it; starts it first if it is off */
void vm_start(Ui *ui, CarrelVm1 *vm);
void vm_shut_down(Ui *ui, CarrelVm1 *vm);
void vm_restart(Ui *ui, CarrelVm1 *vm);
void vm_pause(Ui *ui, CarrelVm1 *vm);
void vm_go_on(Ui *ui, CarrelVm1 *vm); /* out of a pause or sleep */
void vm_sleep(Ui *ui, CarrelVm1 *vm);
void vm_force_off(Ui *ui, CarrelVm1 *vm);
void vm_delete(Ui *ui, CarrelVm1 *vm);
char *vm_title(CarrelVm1 *vm); /* made harmless; its name when it has none. The caller's. */

/* Screens. */
GtkWidget *splash_new(void);
GtkWidget *home_new(Ui *ui);
GtkWidget *home_first(GtkWidget *home); /* what is to have the keyboard */
void home_focus(GtkWidget *home);       /* gives it to that */
gboolean home_key(GtkWidget *home, guint keyval, GdkModifierType state);
GtkWidget *card_new(Ui *ui, CarrelVm1 *vm);
void card_set_number(GtkWidget *card, guint number);
CarrelVm1 *card_vm(GtkWidget *card);
GtkWidget *card_menu(GtkWidget *card); /* opens and returns it */
GtkWidget *thumb_new(Ui *ui, CarrelVm1 *vm, int width, int height);
void thumb_show(GtkWidget *thumb); /* what is now, if that is not what it shows */
GtkWidget *status_new(Ui *ui, gboolean compact); /* network, loudness, brightness, battery */
Sheet *new_vm_sheet(Ui *ui);
Sheet *vm_settings_sheet(Ui *ui, CarrelVm1 *vm);
Sheet *machine_sheet(Ui *ui);
Sheet *power_sheet(Ui *ui);

/* passphrase.c */
typedef struct {
	GtkWidget *secret, *again, *hint;
} SecretPair;
SecretPair secret_pair_new(GtkWidget *box, const char *name, const char *name_again); /* the widgets are in box */
gboolean secret_pair_fits(const SecretPair *pair); /* long enough, and twice the same; the hint says what is not */
Sheet *passphrase_sheet(Ui *ui, CarrelVm1 *vm, const char *method); /* of an encrypted VM, for its Start or Unlock */
Sheet *passphrase_change_sheet(Ui *ui, CarrelVm1 *vm);
GtkWidget *lock_new(Ui *ui); /* what one screen shows while locked */
void lock_focus(GtkWidget *lock);
GtkWidget *notices_new(Ui *ui);

void theme_apply(Ui *ui);
gboolean ui_key(Ui *ui, GdkEventKey *event); /* TRUE: it was for us */
#endif
