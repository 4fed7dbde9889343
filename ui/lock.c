/* SPDX-License-Identifier: Apache-2.0 */
/* The lock screen. It only asks; carrel-auth says who is right, and the compositor keeps everything hidden until it is told
 * to unlock, even if this process dies. */
#include "ui.h"

#include "auth.h"
#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

typedef struct {
	Ui *ui;
	GtkWidget *page, *clock, *date, *entry, *go, *message;
	GCancellable *cancellable;
} Lock;

static Lock *lock_of(GtkWidget *page)
{
	return g_object_get_data(G_OBJECT(page), "carrel-lock");
}

static void on_minute(GtkWidget *page)
{
	Lock *lock = lock_of(page);
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *clock = format_clock(now);
	g_autofree char *date = format_date(now);
	ui_set_text(lock->clock, clock);
	ui_set_text(lock->date, date);
}

static void say(Lock *lock, const char *text, gboolean bad)
{
	ui_set_text(lock->message, text);
	ui_set_class(lock->message, "bad", bad);
	ui_set_class(lock->message, "dim", !bad);
}

static void on_checked(gboolean right, const char *message, gpointer data)
{
	Lock *lock = data;
	gtk_widget_set_sensitive(lock->entry, TRUE);
	gtk_widget_set_sensitive(lock->go, TRUE);
	if (right) {
		say(lock, "", FALSE);
		ui_desk_unlock(lock->ui->desk);
		return;
	}
	say(lock, message, TRUE);
	gtk_widget_grab_focus(lock->entry);
}

static void on_go(Lock *lock)
{
	const char *socket = g_getenv("CARREL_AUTH_SOCKET"), *password = gtk_entry_get_text(GTK_ENTRY(lock->entry));
	if (!password[0])
		return;
	say(lock, _("A moment…"), FALSE);
	auth_check(socket ? socket : AUTH_SOCKET, password, lock->cancellable, on_checked, lock);
	gtk_entry_set_text(GTK_ENTRY(lock->entry), "");
	gtk_widget_set_sensitive(lock->entry, FALSE);
	gtk_widget_set_sensitive(lock->go, FALSE);
}

static void on_typed(Lock *lock)
{
	if (gtk_entry_get_text_length(GTK_ENTRY(lock->entry)) > 0)
		say(lock, "", FALSE);
}

static gboolean on_key(GtkWidget *entry, GdkEventKey *event, Lock *lock)
{
	(void)lock;
	if (event->keyval != GDK_KEY_Escape)
		return FALSE;
	gtk_entry_set_text(GTK_ENTRY(entry), "");
	return TRUE;
}

static void on_destroy(GtkWidget *page, Lock *lock)
{
	(void)page;
	g_cancellable_cancel(lock->cancellable);
	g_clear_object(&lock->cancellable);
}

static GtkWidget *who_part(Lock *lock)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 14), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 10);
	GtkWidget *badge = ui_box(GTK_ORIENTATION_HORIZONTAL, 0, "message-badge");
	gtk_container_add(GTK_CONTAINER(badge), icon_new("lock", 32));
	gtk_widget_set_halign(badge, GTK_ALIGN_CENTER);
	lock->entry = ui_secret_entry(_("Password"));
	gtk_entry_set_placeholder_text(GTK_ENTRY(lock->entry), _("Password"));
	lock->go = ui_icon_button("next", _("Unlock"), "primary");
	lock->message = ui_paragraph("", "dim");
	gtk_label_set_xalign(GTK_LABEL(lock->message), 0.5);
	gtk_label_set_justify(GTK_LABEL(lock->message), GTK_JUSTIFY_CENTER);
	gtk_label_set_max_width_chars(GTK_LABEL(lock->message), 44);
	gtk_widget_set_size_request(lock->message, -1, 44);
	gtk_widget_set_valign(lock->message, GTK_ALIGN_START);
	atk_object_set_role(gtk_widget_get_accessible(lock->message), ATK_ROLE_ALERT);
	gtk_box_pack_start(GTK_BOX(line), lock->entry, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(line), lock->go, FALSE, FALSE, 0);
	gtk_widget_set_halign(line, GTK_ALIGN_CENTER);
	gtk_container_add(GTK_CONTAINER(box), badge);
	gtk_container_add(GTK_CONTAINER(box), line);
	gtk_container_add(GTK_CONTAINER(box), lock->message);
	g_signal_connect_swapped(lock->entry, "activate", G_CALLBACK(on_go), lock);
	g_signal_connect_swapped(lock->entry, "changed", G_CALLBACK(on_typed), lock);
	g_signal_connect(lock->entry, "key-press-event", G_CALLBACK(on_key), lock);
	g_signal_connect_swapped(lock->go, "clicked", G_CALLBACK(on_go), lock);
	return box;
}

GtkWidget *lock_new(Ui *ui)
{
	Lock *lock = g_new0(Lock, 1);
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 64), *time = gtk_box_new(GTK_ORIENTATION_VERTICAL, 4);
	lock->ui = ui;
	lock->cancellable = g_cancellable_new();
	lock->page = gtk_overlay_new();
	g_object_set_data_full(G_OBJECT(lock->page), "carrel-lock", lock, g_free);
	lock->clock = gtk_label_new("");
	lock->date = gtk_label_new("");
	ui_class(lock->clock, "clock");
	ui_class(lock->date, "date");
	gtk_container_add(GTK_CONTAINER(time), lock->clock);
	gtk_container_add(GTK_CONTAINER(time), lock->date);
	gtk_container_add(GTK_CONTAINER(box), time);
	gtk_container_add(GTK_CONTAINER(box), who_part(lock));
	GtkWidget *ground = ui_box(GTK_ORIENTATION_VERTICAL, 0, "desk lock");
	gtk_widget_set_halign(box, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	gtk_box_pack_start(GTK_BOX(ground), box, TRUE, TRUE, 0);
	gtk_container_add(GTK_CONTAINER(lock->page), ground);
	GtkWidget *status = status_new(ui, TRUE);
	gtk_widget_set_halign(status, GTK_ALIGN_END);
	gtk_widget_set_valign(status, GTK_ALIGN_START);
	gtk_widget_set_margin_top(status, 36);
	gtk_widget_set_margin_end(status, 48);
	gtk_overlay_add_overlay(GTK_OVERLAY(lock->page), status);
	g_signal_connect(lock->page, "destroy", G_CALLBACK(on_destroy), lock);
	gtk_widget_show_all(lock->page);
	on_minute(lock->page);
	ui_every_minute(ui, lock->page, on_minute);
	return lock->page;
}

void lock_focus(GtkWidget *page)
{
	gtk_widget_grab_focus(lock_of(page)->entry);
}
