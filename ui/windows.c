/* SPDX-License-Identifier: Apache-2.0 */
#include "windows.h"

#include "widgets.h"

#include <glib/gi18n.h>
#include <gtk-layer-shell/gtk-layer-shell.h>

static void cover(GtkWindow *window, const char *namespace, GtkLayerShellLayer layer, GdkMonitor *monitor)
{
	gtk_layer_init_for_window(window);
	gtk_layer_set_namespace(window, namespace);
	gtk_layer_set_layer(window, layer);
	if (monitor)
		gtk_layer_set_monitor(window, monitor);
	for (int edge = 0; edge < GTK_LAYER_SHELL_EDGE_ENTRY_NUMBER; edge++)
		gtk_layer_set_anchor(window, edge, TRUE);
	gtk_layer_set_exclusive_zone(window, -1);
	gtk_layer_set_keyboard_mode(window, GTK_LAYER_SHELL_KEYBOARD_MODE_EXCLUSIVE);
}

static gboolean show_again(Windows *windows)
{
	windows->again = 0;
	if (!gdk_display_get_n_monitors(gtk_widget_get_display(windows->main)))
		return G_SOURCE_REMOVE;
	g_autoptr(GList) notices = gtk_container_get_children(GTK_CONTAINER(windows->ui->notices));
	for (guint i = 0; i < windows->closed->len; i++)
		if (notices || windows->closed->pdata[i] != windows->ui->notice_window)
			gtk_widget_show(windows->closed->pdata[i]);
	g_ptr_array_set_size(windows->closed, 0);
	return G_SOURCE_REMOVE;
}

static gboolean on_key(GtkWidget *window, GdkEventKey *event, Windows *windows)
{
	(void)window;
	if (gtk_grab_get_current()) /* a menu is open: it is its key */
		return FALSE;
	return ui_key(windows->ui, event);
}

/* The compositor closes a surface when its output goes: it is shown again on another, or on the next that comes. Hiding is what
 * gives the surface up; until then GTK draws into one that is dead. */
static gboolean on_delete(GtkWidget *window, GdkEvent *event, Windows *windows)
{
	(void)event;
	if (windows->layers) {
		gtk_widget_hide(window);
		g_ptr_array_add(windows->closed, window);
		if (!windows->again)
			windows->again = g_idle_add((GSourceFunc)(void (*)(void))show_again, windows);
	}
	return TRUE; /* nothing else that is shown here is closed */
}

static GtkWidget *window_new(Windows *windows, const char *title, GtkWidget *child)
{
	GtkWidget *window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
	gtk_window_set_title(GTK_WINDOW(window), title);
	gtk_window_set_decorated(GTK_WINDOW(window), FALSE);
	gtk_window_set_default_size(GTK_WINDOW(window), 1280, 800);
	gtk_container_add(GTK_CONTAINER(window), child);
	if (!windows->layers)
		gtk_window_fullscreen(GTK_WINDOW(window));
	return window;
}

/* ---- lock screens: one an output ---- */

static void add_lock(Windows *windows, GdkMonitor *monitor)
{
	if (g_hash_table_contains(windows->locks, monitor))
		return;
	GtkWidget *page = lock_new(windows->ui), *window = window_new(windows, _("Locked"), page);
	if (windows->layers)
		cover(GTK_WINDOW(window), "carrel-lock", GTK_LAYER_SHELL_LAYER_OVERLAY, monitor);
	g_signal_connect(window, "delete-event", G_CALLBACK(gtk_true), NULL); /* goes with its monitor */
	g_hash_table_insert(windows->locks, monitor, window);
	gtk_widget_show(window);
	lock_focus(page);
}

static void on_monitor(GdkDisplay *display, GdkMonitor *monitor, Windows *windows)
{
	(void)display;
	show_again(windows);
	if (ui_desk_locked(windows->ui->desk))
		add_lock(windows, monitor);
}

static void on_monitor_gone(GdkDisplay *display, GdkMonitor *monitor, Windows *windows)
{
	(void)display;
	g_hash_table_remove(windows->locks, monitor);
}

static void on_desk(Windows *windows)
{
	Ui *ui = windows->ui;
	GdkDisplay *display = gtk_widget_get_display(windows->main);
	gboolean locked = ui_desk_locked(ui->desk);
	ui_set_visible(ui, locked || !ui_desk_shown(ui->desk)[0]);
	if (!locked) {
		g_hash_table_remove_all(windows->locks);
		return;
	}
	for (int i = 0; i < gdk_display_get_n_monitors(display); i++)
		add_lock(windows, gdk_display_get_monitor(display, i));
}

/* ---- notices have a surface of their own, above the desktops ---- */

static void make_notices(Windows *windows)
{
	Ui *ui = windows->ui;
	if (!windows->layers)
		return; /* they stay on the page */
	GtkWidget *window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
	gtk_layer_init_for_window(GTK_WINDOW(window));
	gtk_layer_set_namespace(GTK_WINDOW(window), "carrel-notice");
	gtk_layer_set_layer(GTK_WINDOW(window), GTK_LAYER_SHELL_LAYER_OVERLAY);
	gtk_layer_set_keyboard_mode(GTK_WINDOW(window), GTK_LAYER_SHELL_KEYBOARD_MODE_NONE);
	gtk_layer_set_anchor(GTK_WINDOW(window), GTK_LAYER_SHELL_EDGE_TOP, TRUE);
	gtk_layer_set_anchor(GTK_WINDOW(window), GTK_LAYER_SHELL_EDGE_RIGHT, TRUE);
	gtk_layer_set_margin(GTK_WINDOW(window), GTK_LAYER_SHELL_EDGE_TOP, 96);
	gtk_layer_set_margin(GTK_WINDOW(window), GTK_LAYER_SHELL_EDGE_RIGHT, 42);
	gtk_window_set_title(GTK_WINDOW(window), _("Notices"));
	gtk_widget_set_app_paintable(window, TRUE);
	GdkVisual *visual = gdk_screen_get_rgba_visual(gtk_widget_get_screen(window));
	if (visual)
		gtk_widget_set_visual(window, visual);
	gtk_widget_set_margin_top(ui->notices, 0);
	gtk_widget_set_margin_end(ui->notices, 0);
	g_object_ref(ui->notices);
	gtk_container_remove(GTK_CONTAINER(ui->root), ui->notices);
	gtk_container_add(GTK_CONTAINER(window), ui->notices);
	g_object_unref(ui->notices);
	g_signal_connect(window, "delete-event", G_CALLBACK(on_delete), windows);
	ui->notice_window = window;
}

Windows *windows_new(Ui *ui)
{
	Windows *windows = g_new0(Windows, 1);
	windows->ui = ui;
	windows->layers = gtk_layer_is_supported();
	windows->locks = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)gtk_widget_destroy);
	windows->closed = g_ptr_array_new();
	windows->main = window_new(windows, "Carrel", ui->root);
	g_signal_connect(windows->main, "delete-event", G_CALLBACK(on_delete), windows);
	if (windows->layers)
		cover(GTK_WINDOW(windows->main), "carrel-switcher", GTK_LAYER_SHELL_LAYER_TOP, NULL);
	g_signal_connect(windows->main, "key-press-event", G_CALLBACK(on_key), windows);
	make_notices(windows);
	GdkDisplay *display = gtk_widget_get_display(windows->main);
	g_signal_connect(display, "monitor-added", G_CALLBACK(on_monitor), windows);
	g_signal_connect(display, "monitor-removed", G_CALLBACK(on_monitor_gone), windows);
	windows->on_desk = g_signal_connect_swapped(ui->desk, "changed", G_CALLBACK(on_desk), windows);
	gtk_widget_show(windows->main);
	on_desk(windows);
	return windows;
}

void windows_free(Windows *windows)
{
	GdkDisplay *display = gtk_widget_get_display(windows->main);
	g_signal_handlers_disconnect_by_data(display, windows);
	g_clear_signal_handler(&windows->on_desk, windows->ui->desk);
	g_clear_handle_id(&windows->again, g_source_remove);
	g_ptr_array_unref(windows->closed);
	g_hash_table_unref(windows->locks);
	gtk_container_remove(GTK_CONTAINER(windows->main), windows->ui->root);
	gtk_widget_destroy(windows->main);
	g_clear_pointer(&windows->ui->notice_window, gtk_widget_destroy);
	g_free(windows);
}
