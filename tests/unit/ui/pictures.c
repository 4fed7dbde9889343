/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a picture of every screen: usage: pictures DIR THEME SUFFIX [WIDTH HEIGHT]. Fails when a screen cannot be drawn or is empty. */
#include "fake.h"
#include "ui.h"

#include <locale.h>
#include <libintl.h>
#include <stdlib.h>

static const char *dir, *suffix;
static int width = 1600, height = 1000;

/* An offscreen window has no compositor to give it the keyboard. */
static void give_keyboard(GtkWidget *window)
{
	GdkEvent *event = gdk_event_new(GDK_FOCUS_CHANGE);
	event->focus_change.window = g_object_ref(gtk_widget_get_window(window));
	event->focus_change.send_event = TRUE;
	event->focus_change.in = TRUE;
	gtk_widget_event(window, event);
	gdk_event_free(event);
}

static GtkWidget *stage_new(GtkWidget *child)
{
	GtkWidget *window = gtk_offscreen_window_new();
	gtk_window_set_default_size(GTK_WINDOW(window), width, height);
	gtk_widget_set_size_request(window, width, height);
	gtk_container_add(GTK_CONTAINER(window), child);
	gtk_widget_show(window);
	give_keyboard(window);
	return window;
}

/* A picture with one colour only shows nothing. */
static gboolean is_plain(GdkPixbuf *pixbuf)
{
	const guint8 *pixels = gdk_pixbuf_read_pixels(pixbuf);
	int stride = gdk_pixbuf_get_rowstride(pixbuf), channels = gdk_pixbuf_get_n_channels(pixbuf), x0 = gdk_pixbuf_get_width(pixbuf) / 2;
	guint changes = 0;
	for (int y = 1; y < gdk_pixbuf_get_height(pixbuf); y++)
		for (int x = 0; x < x0; x++)
			changes += pixels[y * stride + x * channels] != pixels[y * stride + (x + 1) * channels];
	return changes < 200;
}

static void take(GtkWidget *stage, const char *name)
{
	g_autoptr(GError) error = NULL;
	fake_settle(160);
	g_autofree char *path = g_strdup_printf("%s/%s-%s.png", dir, name, suffix);
	g_autoptr(GdkPixbuf) pixbuf = gtk_offscreen_window_get_pixbuf(GTK_OFFSCREEN_WINDOW(stage));
	g_assert_nonnull(pixbuf);
	g_assert_false(is_plain(pixbuf));
	gdk_pixbuf_save(pixbuf, path, "png", &error, NULL);
	g_assert_no_error(error);
}

static GtkWidget *find_named(GtkWidget *widget, GType type, const char *name)
{
	if (G_TYPE_CHECK_INSTANCE_TYPE(widget, type) &&
		(!name || g_strcmp0(atk_object_get_name(gtk_widget_get_accessible(widget)), name) == 0))
		return widget;
	if (!GTK_IS_CONTAINER(widget))
		return NULL;
	GtkWidget *found = NULL;
	g_autoptr(GList) children = gtk_container_get_children(GTK_CONTAINER(widget));
	for (GList *l = children; l && !found; l = l->next)
		found = find_named(l->data, type, name);
	return found;
}

static GtkWidget *find(GtkWidget *widget, GType type, const char *name)
{
	GtkWidget *found = find_named(widget, type, gettext(name));
	if (!found)
		g_error("no '%s' here", name);
	return found;
}

static void take_new_vm(Ui *ui, GtkWidget *stage, Fake *fake)
{
	Sheet *sheet = new_vm_sheet(ui);
	take(stage, "new-template");
	gtk_button_clicked(GTK_BUTTON(find(sheet->panel, GTK_TYPE_BUTTON, "Next")));
	gtk_entry_set_text(GTK_ENTRY(find(sheet->panel, GTK_TYPE_ENTRY, "Title")), "Family");
	take(stage, "new-about");
	gtk_entry_set_text(GTK_ENTRY(find(sheet->panel, GTK_TYPE_ENTRY, "Short name")), "work");
	gtk_switch_set_active(GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Encrypt")), TRUE);
	take(stage, "new-wrong");
	gtk_switch_set_active(GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Encrypt")), FALSE);
	gtk_entry_set_text(GTK_ENTRY(find(sheet->panel, GTK_TYPE_ENTRY, "Short name")), "family");
	gtk_button_clicked(GTK_BUTTON(find(sheet->panel, GTK_TYPE_BUTTON, "Create")));
	fake_settle(200);
	g_autoptr(GDBusObject) object = g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(fake->objects), "/org/carrel/job/1");
	CarrelJob1 *job = carrel_object_peek_job1(CARREL_OBJECT(object));
	if (!job) {
		g_autoptr(GDBusInterface) skeleton = g_dbus_object_get_interface(object, "org.carrel.Job1");
		job = CARREL_JOB1(skeleton);
	}
	carrel_job1_set_progress(job, 0.42);
	carrel_job1_set_stage(job, "Copying the template's settings");
	take(stage, "new-progress");
	fake_end(fake, job, "done", "");
	fake_settle(200);
	ui_sheets_close(ui);
}

static void take_settings(Ui *ui, GtkWidget *stage)
{
	static const char *const tabs[] = {"General", "Resources", "Network", "Snapshots"};
	Sheet *sheet = vm_settings_sheet(ui, ui_model_vm_named(ui->model, "work"));
	for (gsize i = 0; i < G_N_ELEMENTS(tabs); i++) {
		gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(find(sheet->panel, GTK_TYPE_RADIO_BUTTON, tabs[i])), TRUE);
		g_autofree char *name = g_strdup_printf("settings-%s", tabs[i]);
		take(stage, name);
	}
	ui_sheets_close(ui);
	sheet = vm_settings_sheet(ui, ui_model_vm_named(ui->model, "bank"));
	gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(find(sheet->panel, GTK_TYPE_RADIO_BUTTON, tabs[3])), TRUE);
	take(stage, "settings-locked");
	ui_sheets_close(ui);
	machine_sheet(ui);
	take(stage, "machine");
	ui_sheets_close(ui);
	power_sheet(ui);
	take(stage, "power");
	ui_sheets_close(ui);
	passphrase_sheet(ui, ui_model_vm_named(ui->model, "bank"), "Start");
	take(stage, "passphrase");
	ui_sheets_close(ui);
	passphrase_change_sheet(ui, ui_model_vm_named(ui->model, "bank"));
	take(stage, "new-passphrase");
	ui_sheets_close(ui);
	vm_delete(ui, ui_model_vm_named(ui->model, "bank"));
	take(stage, "confirm");
	ui_sheets_close(ui);
}

static void take_hostile(Ui *ui, GtkWidget *stage, Fake *fake)
{
	g_autofree char *long_title = g_strnfill(10000, 'W');
	CarrelVm1 *markup = fake_vm(fake, "h1", "<b>Work</b> & <span size='99999'>x</span>", "running");
	fake_vm(fake, "h2", long_title, "off");
	fake_vm(fake, "h3", "\u202eknaB\u202c\u2066\x01\x1b[31m evil\nline\ttab Z̴̢̛̛͓a̷l̵g̶o̷̧̧", "running");
	CarrelVm1 *broken = fake_vm(fake, "h4", "", "broken"), *crashed = fake_vm(fake, "h5", "日本語の題名 العربية", "crashed");
	g_object_set(markup, "colour", "red; } * { color: red", NULL);
	g_object_set(broken, "problem", "/etc/carrel/vms/h4.vm:9: [machine] memory-min: is more than memory-max", "colour", "", NULL);
	g_object_set(crashed, "problem", long_title, NULL);
	ui_notify(ui, "error", "h1", long_title);
	fake_settle(1500);
	take(stage, "hostile");
}

static void take_all(void)
{
	Fake *fake = fake_new();
	g_autofree char *path = g_strdup_printf("%s/.config-%s.ini", dir, suffix);
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	fake_desk(fake);
	Config *config = config_load(NULL);
	config_set_theme(config, g_str_has_prefix(suffix, "light") ? THEME_LIGHT : THEME_DARK, NULL);
	Ui *ui = ui_new(bus, config);
	GtkWidget *stage = stage_new(ui->root);
	take(stage, "absent");
	fake_own(fake);
	WAIT_FOR(ui_model_state(ui->model) == MODEL_READY);
	take(stage, "empty");
	fake_house(fake);
	ui_set_visible(ui, TRUE);
	fake_settle(4300); /* two readings of the statistics */
	home_focus(ui->home);
	take(stage, "home");
	fake_job(fake, "Start", "bank", 0.6, "Opening the disks");
	ui_notify(ui, "warning", "personal", "The disk is nearly full: 1.2 GiB are left of 40 GiB. Delete a snapshot, or make it larger.");
	ui_notify(ui, "info", "work", "One text was carried from Work to Personal.");
	take(stage, "home-notices");
	gtk_container_foreach(GTK_CONTAINER(ui->notices), (GtkCallback)(void (*)(void))gtk_widget_destroy, NULL);
	take_new_vm(ui, stage, fake);
	take_settings(ui, stage);
	take_hostile(ui, stage, fake);
	g_object_ref(ui->root);
	gtk_container_remove(GTK_CONTAINER(stage), ui->root);
	gtk_container_add(GTK_CONTAINER(stage), lock_new(ui));
	take(stage, "lock");
	gtk_container_remove(GTK_CONTAINER(stage), gtk_bin_get_child(GTK_BIN(stage)));
	gtk_container_add(GTK_CONTAINER(stage), splash_new());
	gtk_widget_show_all(stage);
	take(stage, "splash");
	gtk_widget_destroy(stage);
	g_object_unref(ui->root);
	ui_free(ui);
	fake_free(fake);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	dir = argv[1];
	suffix = argv[3];
	if (argc > 5) {
		width = atoi(argv[4]);
		height = atoi(argv[5]);
	}
	g_setenv("LANGUAGE", argv[2], TRUE);
	g_mkdir_with_parents(dir, 0755);
	setlocale(LC_ALL, "C.UTF-8");
	setlocale(LC_MESSAGES, "ja_JP.UTF-8");
	bindtextdomain(GETTEXT_PACKAGE, g_getenv("CARREL_LOCALE_DIR"));
	bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
	textdomain(GETTEXT_PACKAGE);
	gtk_disable_setlocale();
	gtk_init(NULL, NULL);
	g_object_set(gtk_settings_get_default(), "gtk-enable-animations", FALSE, NULL);
	take_all();
	return 0;
}
