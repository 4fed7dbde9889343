/* SPDX-License-Identifier: Apache-2.0 */
/* The screens as a person uses them, by keys and by names, before a fake manager and compositor. */
#include "fake.h"
#include "ui.h"

#include <string.h>

typedef struct {
	Fake *fake;
	Ui *ui;
	GtkWidget *window;
} Fixture;

static gboolean on_key(GtkWidget *window, GdkEventKey *event, Ui *ui)
{
	(void)window;
	return !gtk_grab_get_current() && ui_key(ui, event);
}

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

static void set_up(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	f->fake = fake_new();
	fake_house(f->fake);
	fake_desk(f->fake);
	fake_own(f->fake);
	f->ui = ui_new(bus, config_load(NULL));
	f->window = gtk_offscreen_window_new();
	gtk_widget_set_size_request(f->window, 1280, 800);
	gtk_container_add(GTK_CONTAINER(f->window), f->ui->root);
	g_signal_connect(f->window, "key-press-event", G_CALLBACK(on_key), f->ui);
	gtk_widget_show(f->window);
	give_keyboard(f->window);
	WAIT_FOR(ui_model_state(f->ui->model) == MODEL_READY && ui_desk_present(f->ui->desk));
}

static void tear_down(Fixture *f, gconstpointer data)
{
	(void)data;
	gpointer model = f->ui->model;
	g_object_add_weak_pointer(model, &model);
	g_autoptr(GDBusConnection) bus = g_object_ref(f->ui->bus);
	gtk_container_remove(GTK_CONTAINER(f->window), f->ui->root);
	gtk_widget_destroy(f->window);
	ui_free(f->ui);
	WAIT_FOR(model == NULL);
	g_dbus_connection_close_sync(bus, NULL, NULL);
	fake_free(f->fake);
}

/* ---- finding and pressing ---- */

static GtkWidget *look(GtkWidget *widget, GType type, const char *name)
{
	if (G_TYPE_CHECK_INSTANCE_TYPE(widget, type) && gtk_widget_get_visible(widget) &&
		g_strcmp0(atk_object_get_name(gtk_widget_get_accessible(widget)), name) == 0)
		return widget;
	GtkWidget *found = NULL;
	g_autoptr(GList) children = GTK_IS_CONTAINER(widget) ? gtk_container_get_children(GTK_CONTAINER(widget)) : NULL;
	for (GList *l = children; l && !found; l = l->next)
		found = look(l->data, type, name);
	return found;
}

static GtkWidget *find(GtkWidget *widget, GType type, const char *name)
{
	GtkWidget *found = look(widget, type, name);
	if (!found)
		g_error("no %s '%s' here", g_type_name(type), name);
	return found;
}

static void click(GtkWidget *in, const char *name)
{
	gtk_button_clicked(GTK_BUTTON(find(in, GTK_TYPE_BUTTON, name)));
}

static void type_into(GtkWidget *in, const char *name, const char *text)
{
	gtk_entry_set_text(GTK_ENTRY(find(in, GTK_TYPE_ENTRY, name)), text);
}

static void press(Fixture *f, guint key)
{
	GdkEvent *event = gdk_event_new(GDK_KEY_PRESS);
	event->key.window = g_object_ref(gtk_widget_get_window(f->window));
	event->key.send_event = TRUE;
	event->key.keyval = key;
	GdkKeymapKey *keys = NULL;
	int n = 0;
	gdk_keymap_get_entries_for_keyval(gdk_keymap_get_for_display(gdk_display_get_default()), key, &keys, &n);
	for (int i = 0; i < n; i++)
		if (keys[i].group == 0 && keys[i].level == 0)
			event->key.hardware_keycode = (guint16)keys[i].keycode;
	g_free(keys);
	gdk_event_set_device(event, gdk_seat_get_keyboard(gdk_display_get_default_seat(gdk_display_get_default())));
	gtk_widget_event(f->window, event);
	gdk_event_free(event);
}

static gboolean says(GtkWidget *widget, const char *text)
{
	if (!gtk_widget_get_visible(widget))
		return FALSE;
	if (GTK_IS_LABEL(widget) && strstr(gtk_label_get_text(GTK_LABEL(widget)), text))
		return TRUE;
	g_autoptr(GList) children = GTK_IS_CONTAINER(widget) ? gtk_container_get_children(GTK_CONTAINER(widget)) : NULL;
	for (GList *l = children; l; l = l->next)
		if (says(l->data, text))
			return TRUE;
	return FALSE;
}

static GtkWidget *panel(Fixture *f)
{
	g_assert_nonnull(f->ui->sheets);
	return f->ui->sheets->data;
}

static gboolean called(Fixture *f, const char *call)
{
	gint64 until = g_get_monotonic_time() + 20 * (gint64)G_USEC_PER_SEC;
	while (g_get_monotonic_time() < until) {
		if (fake_called(f->fake, call))
			return TRUE;
		fake_settle(20);
	}
	for (guint i = 0; i < f->fake->calls->len; i++)
		g_printerr("called instead: %s\n", (char *)f->fake->calls->pdata[i]);
	return FALSE;
}

/* ---- the home page ---- */

static void test_numbers(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_4); /* bank, lab, personal, work */
	g_assert_true(called(f, "desk.Show('work',)"));
	press(f, GDK_KEY_KP_3);
	g_assert_true(called(f, "desk.Show('personal',)"));
	press(f, GDK_KEY_2); /* it is paused */
	g_assert_true(called(f, "lab.Unpause"));
	g_assert_true(called(f, "desk.Show('lab',)"));
	press(f, GDK_KEY_9);
	fake_settle(100);
	g_assert_cmpuint(f->fake->calls->len, ==, 0);
}

static void test_enter(Fixture *f, gconstpointer data)
{
	(void)data;
	GtkWidget *card = find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Work, Running for 2 h 5 min, key 4");
	gtk_widget_grab_focus(card);
	press(f, GDK_KEY_Return);
	g_assert_true(called(f, "desk.Show('work',)"));
}

static void test_arrows(Fixture *f, gconstpointer data)
{
	(void)data;
	home_focus(f->ui->home);
	fake_settle(200);
	g_assert_cmpstr(carrel_vm1_get_name(card_vm(gtk_window_get_focus(GTK_WINDOW(f->window)))), ==, "bank");
	press(f, GDK_KEY_Right);
	g_assert_cmpstr(carrel_vm1_get_name(card_vm(gtk_window_get_focus(GTK_WINDOW(f->window)))), ==, "lab");
	press(f, GDK_KEY_Down);
	g_assert_null(card_vm(gtk_window_get_focus(GTK_WINDOW(f->window)))); /* the one for a new desktop */
	press(f, GDK_KEY_Left);
	g_assert_cmpstr(carrel_vm1_get_name(card_vm(gtk_window_get_focus(GTK_WINDOW(f->window)))), ==, "work");
	press(f, GDK_KEY_Up);
	g_assert_cmpstr(carrel_vm1_get_name(card_vm(gtk_window_get_focus(GTK_WINDOW(f->window)))), ==, "bank");
}

static void test_start(Fixture *f, gconstpointer data)
{
	(void)data;
	fake_vm(f->fake, "zoo", "Zoo", "off");
	WAIT_FOR(look(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"));
	press(f, GDK_KEY_5);
	g_assert_true(called(f, "zoo.Start({},)"));
	WAIT_FOR(ui_model_job_of(f->ui->model, "/org/carrel/vm/zoo"));
	click(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"), "Cancel");
	g_assert_true(called(f, "job.Cancel"));
}

static void test_passphrase(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_1);
	GtkWidget *sheet = panel(f);
	g_assert_false(gtk_widget_get_sensitive(find(sheet, GTK_TYPE_BUTTON, "Start")));
	type_into(sheet, "Passphrase", "wrong");
	f->fake->refuse = g_strdup("bank: the passphrase is wrong");
	click(sheet, "Start");
	g_assert_true(called(f, "bank.Start({'passphrase': <'wrong'>},)"));
	WAIT_FOR(says(sheet, "the passphrase is wrong"));
	g_assert_cmpstr(gtk_entry_get_text(GTK_ENTRY(find(sheet, GTK_TYPE_ENTRY, "Passphrase"))), ==, "");
	g_clear_pointer(&f->fake->refuse, g_free);
	type_into(sheet, "Passphrase", "right");
	click(sheet, "Start");
	g_assert_true(called(f, "bank.Start({'passphrase': <'right'>},)"));
	WAIT_FOR(!f->ui->sheets);
}

static void test_passphrase_change(Fixture *f, gconstpointer data)
{
	(void)data;
	Sheet *settings = vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "bank"));
	click(settings->panel, "Change the passphrase");
	GtkWidget *sheet = panel(f), *go = find(sheet, GTK_TYPE_BUTTON, "Change");
	g_assert_false(gtk_widget_get_sensitive(go));
	type_into(sheet, "Passphrase", "wrong");
	type_into(sheet, "New passphrase", "battery");
	type_into(sheet, "New passphrase again", "battery");
	g_assert_false(gtk_widget_get_sensitive(go)); /* it is short */
	type_into(sheet, "New passphrase", "battery staple");
	g_assert_true(says(sheet, "differ"));
	g_assert_false(gtk_widget_get_sensitive(go));
	type_into(sheet, "New passphrase again", "battery staple");
	f->fake->refuse = g_strdup("bank: the passphrase is wrong");
	click(sheet, "Change");
	g_assert_true(called(f, "bank.ChangePassphrase({'passphrase': <'wrong'>, 'new-passphrase': <'battery staple'>},)"));
	WAIT_FOR(says(sheet, "the passphrase is wrong"));
	g_assert_false(gtk_widget_get_sensitive(go)); /* the old one is to be typed again, the new one is still there */
	g_clear_pointer(&f->fake->refuse, g_free);
	type_into(sheet, "Passphrase", "right one");
	click(sheet, "Change");
	g_assert_true(called(f, "bank.ChangePassphrase({'passphrase': <'right one'>, 'new-passphrase': <'battery staple'>},)"));
	WAIT_FOR(panel(f) == settings->panel);
}

static void test_devices(Fixture *f, gconstpointer data)
{
	(void)data;
	static const char *const one[] = {"Webcam C920", NULL}, *const none[] = {NULL};
	CarrelVm1 *vm = fake_vm(f->fake, "zoo", "Zoo", "off");
	WAIT_FOR(look(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"));
	carrel_vm1_set_devices(vm, one);
	WAIT_FOR(says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"), "Webcam C920"));
	carrel_vm1_set_devices(vm, none);
	WAIT_FOR(!says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"), "Webcam C920"));
	carrel_vm1_set_recording(vm, TRUE);
	WAIT_FOR(says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"), "Recording"));
	carrel_vm1_set_recording(vm, FALSE);
	WAIT_FOR(!says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Zoo, Off, key 5"), "Recording"));
}

static void test_refused(Fixture *f, gconstpointer data)
{
	(void)data;
	f->fake->refuse = g_strdup("work: nobody may pause it");
	vm_pause(f->ui, ui_model_vm_named(f->ui->model, "work"));
	WAIT_FOR(says(f->ui->notices, "work: nobody may pause it"));
	g_assert_true(says(f->ui->notices, "Work"));
}

static void test_menu(Fixture *f, gconstpointer data)
{
	(void)data;
	GtkWidget *card = find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Work, Running for 2 h 5 min, key 4");
	gtk_widget_grab_focus(card);
	GtkWidget *menu = card_menu(card);
	gtk_widget_hide(menu);
	gtk_widget_grab_focus(card);
	press(f, GDK_KEY_F10);
	g_assert_true(gtk_widget_get_visible(menu));
	g_assert_nonnull(look(menu, GTK_TYPE_BUTTON, "Pause"));
	g_assert_null(look(menu, GTK_TYPE_BUTTON, "Delete…"));
	click(menu, "Shut down");
	g_assert_true(called(f, "work.Shutdown(0,)"));
}

static void test_force_off(Fixture *f, gconstpointer data)
{
	(void)data;
	vm_force_off(f->ui, ui_model_vm_named(f->ui->model, "work"));
	press(f, GDK_KEY_Escape);
	g_assert_null(f->ui->sheets);
	vm_force_off(f->ui, ui_model_vm_named(f->ui->model, "work"));
	fake_settle(50);
	g_assert_cmpuint(f->fake->calls->len, ==, 0);
	click(panel(f), "Turn off");
	g_assert_true(called(f, "work.ForceOff"));
	g_assert_null(f->ui->sheets);
}

static void test_manager_goes(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_n);
	g_assert_nonnull(f->ui->sheets);
	fake_drop(f->fake);
	WAIT_FOR(says(f->ui->home, "The manager is not running"));
	g_assert_null(f->ui->sheets);
	press(f, GDK_KEY_n);
	g_assert_null(f->ui->sheets);
	press(f, GDK_KEY_p);
	g_assert_nonnull(f->ui->sheets);
	ui_sheets_close(f->ui);
	fake_own(f->fake);
	WAIT_FOR(look(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Work, Running for 2 h 5 min, key 4"));
	press(f, GDK_KEY_4);
	g_assert_true(called(f, "desk.Show('work',)"));
}

/* Timers run while somebody looks, and not otherwise. */
static void test_idle(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpuint(f->ui->minute, ==, 0);
	g_assert_cmpuint(f->ui->beat, ==, 0);
	ui_set_visible(f->ui, TRUE);
	g_assert_cmpuint(f->ui->minute, !=, 0);
	g_assert_cmpuint(f->ui->beat, !=, 0);
	WAIT_FOR(ui_desk_thumbnail(f->ui->desk, "work"));
	g_assert_cmpint(cairo_image_surface_get_width(ui_desk_thumbnail(f->ui->desk, "work")), >, 100);
	WAIT_FOR(says(f->ui->home, "2.4 GiB"));
	ui_set_visible(f->ui, FALSE);
	g_assert_cmpuint(f->ui->minute, ==, 0);
	g_assert_cmpuint(f->ui->beat, ==, 0);
}

static void set_state(Fixture *f, const char *name, const char *state)
{
	g_autofree char *path = g_strdup_printf("/org/carrel/vm/%s", name);
	g_autoptr(GDBusInterface) vm = g_dbus_object_manager_get_interface(G_DBUS_OBJECT_MANAGER(f->fake->objects), path, "org.carrel.Vm1");
	carrel_vm1_set_state(CARREL_VM1(vm), state);
	WAIT_FOR(g_strcmp0(carrel_vm1_get_state(ui_model_vm_named(f->ui->model, name)), state) == 0);
}

/* Nor when no VM runs whose figures and picture could change. */
static void test_all_still(Fixture *f, gconstpointer data)
{
	(void)data;
	ui_set_visible(f->ui, TRUE);
	set_state(f, "work", "off");
	g_assert_cmpuint(f->ui->beat, !=, 0);
	set_state(f, "personal", "suspended");
	g_assert_cmpuint(f->ui->beat, ==, 0);
	g_assert_cmpuint(f->ui->minute, !=, 0);
	f->fake->pictures = 0;
	set_state(f, "work", "running");
	g_assert_cmpuint(f->ui->beat, !=, 0);
	WAIT_FOR(f->fake->pictures > 0); /* at once */
}

static gboolean on_draw(GtkWidget *widget, cairo_t *cr, guint *count)
{
	(void)widget;
	GdkRectangle at;
	(*count)++;
	if (gdk_cairo_get_clip_rectangle(cr, &at)) /* so that a failure tells what it was */
		g_test_message("drawn: %dx%d at %d,%d", at.width, at.height, at.x, at.y);
	return FALSE;
}

/* Beats in which nothing changed that can be seen draw nothing. */
static void test_quiet(Fixture *f, gconstpointer data)
{
	guint draws = 0;
	(void)data;
	while (g_get_real_time() / G_USEC_PER_SEC % 60 > 42)
		fake_settle(500); /* a new minute is drawn */
	f->fake->idle = TRUE; /* on a busy machine any other reading is never twice the same */
	ui_set_visible(f->ui, TRUE);
	WAIT_FOR(f->fake->sames >= 2 && !says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Work, Running for 2 h 5 min, key 4"), "–") &&
		!says(find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Personal, Running for 2 h 5 min, key 3"), "–"));
	fake_settle(500);
	gulong id = g_signal_connect(f->ui->root, "draw", G_CALLBACK(on_draw), &draws);
	guint sames = f->fake->sames, pictures = f->fake->pictures;
	WAIT_FOR(f->fake->sames >= sames + 4);
	fake_settle(200);
	g_assert_cmpuint(draws, ==, 0);
	g_assert_cmpuint(f->fake->pictures, ==, pictures);
	f->fake->picture++;
	WAIT_FOR(draws > 0);
	g_assert_cmpuint(f->fake->pictures, >, pictures);
	g_signal_handler_disconnect(f->ui->root, id);
}

/* A guest that has not drawn anything is a placeholder, not a black rectangle. */
static void test_plain_picture(Fixture *f, gconstpointer data)
{
	(void)data;
	f->fake->plain = TRUE;
	ui_set_visible(f->ui, TRUE);
	WAIT_FOR(f->fake->sames > 0); /* it is known, and not asked for again */
	g_assert_null(ui_desk_thumbnail(f->ui->desk, "work"));
	f->fake->plain = FALSE;
	f->fake->picture++;
	WAIT_FOR(ui_desk_thumbnail(f->ui->desk, "work"));
	f->fake->plain = TRUE;
	f->fake->picture++;
	WAIT_FOR(!ui_desk_thumbnail(f->ui->desk, "work"));
}

/* ---- new desktop ---- */

static void test_new(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_n);
	GtkWidget *sheet = panel(f);
	gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(find(sheet, GTK_TYPE_RADIO_BUTTON, "Debian 13, plain")), TRUE);
	click(sheet, "Next");
	GtkWidget *go = find(sheet, GTK_TYPE_BUTTON, "Create");
	g_assert_false(gtk_widget_get_sensitive(go)); /* it has no name yet */
	type_into(sheet, "Title", "Work");
	g_assert_cmpstr(gtk_entry_get_text(GTK_ENTRY(find(sheet, GTK_TYPE_ENTRY, "Short name"))), ==, "work-2");
	type_into(sheet, "Short name", "Work");
	g_assert_false(gtk_widget_get_sensitive(go));
	g_assert_true(says(sheet, "small letters"));
	type_into(sheet, "Short name", "work");
	g_assert_true(says(sheet, "already"));
	type_into(sheet, "Short name", "home");
	g_assert_true(gtk_widget_get_sensitive(go));
	gtk_switch_set_active(GTK_SWITCH(find(sheet, GTK_TYPE_SWITCH, "Encrypt")), TRUE);
	g_assert_false(gtk_widget_get_sensitive(go));
	type_into(sheet, "Passphrase", "correct horse");
	type_into(sheet, "Passphrase again", "correct mouse");
	g_assert_false(gtk_widget_get_sensitive(go));
	type_into(sheet, "Passphrase again", "correct horse");
	g_assert_true(gtk_widget_get_sensitive(go));
	gtk_button_clicked(GTK_BUTTON(go));
	g_assert_true(called(f, "manager.CreateFromTemplate('home', 'debian-plain', {'title': <'Work'>, 'colour': <'#dd6b4d'>, "
		"'memory-max': <uint64 2147483648>, 'memory-min': <uint64 1073741824>, 'vcpus': <uint32 2>, 'autostart': <false>, "
		"'encrypted': <true>, 'passphrase': <'correct horse'>})"));
	WAIT_FOR(says(sheet, "Creating the desktop"));
}

static CarrelJob1 *newest_job(Fixture *f)
{
	g_autofree char *path = g_strdup_printf("/org/carrel/job/%u", f->fake->jobs);
	g_autoptr(GDBusInterface) job = g_dbus_object_manager_get_interface(G_DBUS_OBJECT_MANAGER(f->fake->objects), path, "org.carrel.Job1");
	return CARREL_JOB1(job);
}

static void create_home(Fixture *f)
{
	guint before = f->fake->jobs;
	press(f, GDK_KEY_n);
	click(panel(f), "Next");
	type_into(panel(f), "Title", "Home");
	click(panel(f), "Create");
	WAIT_FOR(f->fake->jobs > before);
}

static void test_new_ends(Fixture *f, gconstpointer data)
{
	(void)data;
	create_home(f);
	carrel_job1_set_progress(newest_job(f), 0.5);
	GtkProgressBar *bar = GTK_PROGRESS_BAR(find(panel(f), GTK_TYPE_PROGRESS_BAR, "Progress"));
	WAIT_FOR(gtk_progress_bar_get_fraction(bar) > 0.4);
	click(panel(f), "Cancel");
	g_assert_true(called(f, "job.Cancel"));
	fake_end(f->fake, newest_job(f), "cancelled", "");
	WAIT_FOR(says(panel(f), "It was cancelled"));
	click(panel(f), "Create");
	WAIT_FOR(f->fake->jobs == 2);
	fake_end(f->fake, newest_job(f), "failed", "/var/lib/carrel: no space left, 3 GiB are needed");
	WAIT_FOR(says(panel(f), "no space left"));
	click(panel(f), "Create");
	WAIT_FOR(f->fake->jobs == 3);
	fake_end(f->fake, newest_job(f), "done", "");
	WAIT_FOR(!f->ui->sheets);
}

static void test_new_closed(Fixture *f, gconstpointer data)
{
	(void)data;
	create_home(f);
	press(f, GDK_KEY_Escape); /* it goes on without us */
	g_assert_null(f->ui->sheets);
	fake_end(f->fake, newest_job(f), "failed", "home: the template is gone");
	WAIT_FOR(says(f->ui->notices, "the template is gone"));
}

/* ---- settings ---- */

static void test_settings(Fixture *f, gconstpointer data)
{
	(void)data;
	Sheet *sheet = vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "work"));
	fake_settle(600);
	g_assert_cmpuint(f->fake->calls->len, ==, 0); /* looking changes nothing */
	type_into(sheet->panel, "Title", "Office");
	g_signal_emit_by_name(find(sheet->panel, GTK_TYPE_ENTRY, "Title"), "activate");
	g_assert_true(called(f, "work.Set('vm', 'title', 'Office')"));
	gtk_switch_set_active(GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Start with the machine")), FALSE);
	g_assert_true(called(f, "work.Set('policy', 'autostart', 'false')"));
	click(sheet->panel, "Pink");
	g_assert_true(called(f, "work.Set('vm', 'colour', '#c94f7c')"));
	click(sheet->panel, "Resources");
	GtkRange *max = GTK_RANGE(find(sheet->panel, GTK_TYPE_SCALE, "Memory, at most"));
	gtk_range_set_value(max, 5000);
	gtk_range_set_value(max, 6200); /* only where it rests is set, in whole steps */
	g_assert_true(called(f, "work.Set('machine', 'memory-max', '6144M')"));
	g_assert_false(fake_called(f->fake, "work.Set('machine', 'memory-max', '4864M')"));
	click(sheet->panel, "Network");
	click(sheet->panel, "Shared");
	g_assert_true(called(f, "work.Set('network eth0', 'network', 'printers')"));
	g_assert_true(called(f, "work.Set('network eth0', 'mode', 'shared')"));
	f->fake->refuse = g_strdup("work.vm:4: [machine] vcpus: the machine has 2");
	click(sheet->panel, "Resources");
	gtk_range_set_value(GTK_RANGE(find(sheet->panel, GTK_TYPE_SCALE, "Processors")), 1);
	WAIT_FOR(says(sheet->panel, "the machine has 2"));
	g_assert_true(fake_called(f->fake, "work.Set('machine', 'vcpus', '1')"));
	g_assert_cmpfloat(gtk_range_get_value(GTK_RANGE(find(sheet->panel, GTK_TYPE_SCALE, "Processors"))), ==, 2);
	gtk_range_set_value(GTK_RANGE(find(sheet->panel, GTK_TYPE_SCALE, "Memory, at least")), 2048);
	press(f, GDK_KEY_Escape); /* before it has settled */
	g_assert_true(called(f, "work.Set('machine', 'memory-min', '2048M')"));
}

static void test_sound(Fixture *f, gconstpointer data)
{
	(void)data;
	f->fake->definition = "[vm]\ntitle=Work\n[sound]\nplay=true\n";
	Sheet *sheet = vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "work"));
	GtkSwitch *play = GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Sound"));
	GtkSwitch *record = GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Microphone"));
	g_assert_false(gtk_widget_is_sensitive(GTK_WIDGET(play))); /* not known yet */
	WAIT_FOR(gtk_widget_is_sensitive(GTK_WIDGET(play)));
	g_assert_true(gtk_switch_get_active(play));
	g_assert_false(gtk_switch_get_active(record));
	g_assert_true(says(sheet->panel, "off counts at once"));
	fake_settle(200);
	g_assert_cmpuint(f->fake->calls->len, ==, 0); /* looking changes nothing */
	gtk_switch_set_active(record, TRUE);
	g_assert_true(called(f, "work.Set('sound', 'record', 'true')"));
	gtk_switch_set_active(play, FALSE);
	g_assert_true(called(f, "work.Set('sound', 'play', 'false')"));
	/* What is refused is taken back. */
	f->fake->refuse = g_strdup("work.vm: no sound on this machine");
	f->fake->definition = "[sound]\nplay=false\nrecord=true\n";
	gtk_switch_set_active(play, TRUE);
	WAIT_FOR(says(sheet->panel, "no sound on this machine") && !gtk_switch_get_active(play));
	g_assert_true(gtk_switch_get_active(record));
	ui_sheets_close(f->ui);

	f->fake->definition = NULL; /* a file that says nothing of it */
	sheet = vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "bank"));
	play = GTK_SWITCH(find(sheet->panel, GTK_TYPE_SWITCH, "Sound"));
	WAIT_FOR(gtk_widget_is_sensitive(GTK_WIDGET(play)));
	g_assert_false(gtk_switch_get_active(play));
	g_assert_false(says(sheet->panel, "off counts at once"));
}

static void test_snapshots(Fixture *f, gconstpointer data)
{
	(void)data;
	GVariant *one = g_variant_new_parsed("[('s1', '<b>First</b>', %t)]", (guint64)g_get_real_time() * 1000);
	g_autoptr(GDBusInterface) bank = g_dbus_object_manager_get_interface(G_DBUS_OBJECT_MANAGER(f->fake->objects),
		"/org/carrel/vm/bank", "org.carrel.Vm1");
	carrel_vm1_set_snapshots(CARREL_VM1(bank), one);
	Sheet *sheet = vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "bank"));
	click(sheet->panel, "Snapshots");
	g_assert_false(says(sheet->panel, "<b>First</b>")); /* its disks are locked */
	click(sheet->panel, "Unlock");
	type_into(panel(f), "Passphrase", "correct horse");
	click(panel(f), "Unlock");
	g_assert_true(called(f, "bank.Unlock({'passphrase': <'correct horse'>},)"));
	carrel_vm1_set_unlocked(CARREL_VM1(bank), TRUE);
	WAIT_FOR(says(sheet->panel, "<b>First</b>"));
	click(sheet->panel, "Go back to <b>First</b>");
	click(panel(f), "Go back");
	g_assert_true(called(f, "bank.Revert('s1',)"));
	click(sheet->panel, "Delete <b>First</b>");
	click(panel(f), "Delete");
	g_assert_true(called(f, "bank.DeleteSnapshot('s1',)"));
	type_into(sheet->panel, "Note for the snapshot", "Before");
	click(sheet->panel, "Take a snapshot");
	WAIT_FOR(f->fake->calls->len == 1);
	g_assert_true(g_str_has_prefix(f->fake->calls->pdata[0], "bank.Snapshot('20") && strstr(f->fake->calls->pdata[0], "'Before')"));
	click(sheet->panel, "Lock");
	g_assert_true(called(f, "bank.Lock"));
	fake_remove(f->fake, CARREL_VM1(bank)); /* deleted elsewhere */
	WAIT_FOR(!f->ui->sheets);
}

static void test_power(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_p);
	click(panel(f), "Turn off");
	g_assert_true(says(panel(f), "3 desktops are running"));
	click(panel(f), "Turn off");
	g_assert_true(called(f, "manager.Shutdown('poweroff',)"));
	press(f, GDK_KEY_p);
	click(panel(f), "Sleep");
	g_assert_true(called(f, "manager.Suspend"));
}

static void on_restart(Ui *ui)
{
	g_object_set_data(G_OBJECT(ui->root), "restarted", ui);
}

static void test_machine(Fixture *f, gconstpointer data)
{
	(void)data;
	press(f, GDK_KEY_s);
	click(panel(f), "Light");
	g_assert_false(f->ui->dark);
	click(panel(f), "Dark");
	g_assert_true(f->ui->dark);
	f->ui->restart = on_restart;
	click(panel(f), "日本語");
	g_assert_cmpstr(config_language(f->ui->config), ==, "ja");
	g_assert_nonnull(g_object_get_data(G_OBJECT(f->ui->root), "restarted"));
}

/* ---- everything has a name, and everything that can be pressed can be reached ---- */

static guint check_names(GtkWidget *widget, const char *where)
{
	guint n = 0;
	gboolean control = GTK_IS_BUTTON(widget) || GTK_IS_ENTRY(widget) || GTK_IS_SWITCH(widget) || GTK_IS_RANGE(widget) ||
		GTK_IS_PROGRESS_BAR(widget) || GTK_IS_FLOW_BOX_CHILD(widget);
	if (control && gtk_widget_get_visible(widget)) {
		const char *name = atk_object_get_name(gtk_widget_get_accessible(widget));
		if (!name || !name[0])
			g_error("%s: a %s has no name", where, G_OBJECT_TYPE_NAME(widget));
		n++;
	}
	g_autoptr(GList) children = GTK_IS_CONTAINER(widget) ? gtk_container_get_children(GTK_CONTAINER(widget)) : NULL;
	for (GList *l = children; l; l = l->next)
		n += check_names(l->data, where);
	return n;
}

static guint tab_stops(Fixture *f, GtkWidget *in)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	fake_settle(100);
	for (int i = 0; i < 60; i++) {
		press(f, GDK_KEY_Tab);
		GtkWidget *focus = gtk_window_get_focus(GTK_WINDOW(f->window));
		if (focus && (focus == in || gtk_widget_is_ancestor(focus, in)))
			g_hash_table_add(seen, focus);
	}
	return g_hash_table_size(seen);
}

static void test_names(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpuint(check_names(f->ui->home, "home"), >=, 20);
	g_assert_cmpuint(tab_stops(f, f->ui->home), >=, 5);
	vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "work"));
	g_assert_cmpuint(check_names(panel(f), "settings"), >=, 20);
	g_assert_cmpuint(tab_stops(f, panel(f)), >=, 5);
	machine_sheet(f->ui);
	check_names(panel(f), "machine");
	g_assert_cmpuint(tab_stops(f, panel(f)), >=, 3);
	power_sheet(f->ui);
	check_names(panel(f), "power");
	g_assert_cmpuint(tab_stops(f, panel(f)), >=, 4);
	new_vm_sheet(f->ui);
	g_assert_cmpuint(check_names(panel(f), "new"), >=, 15);
	passphrase_sheet(f->ui, ui_model_vm_named(f->ui->model, "bank"), "Unlock");
	check_names(panel(f), "passphrase");
	passphrase_change_sheet(f->ui, ui_model_vm_named(f->ui->model, "bank"));
	check_names(panel(f), "new passphrase");
	vm_delete(f->ui, ui_model_vm_named(f->ui->model, "bank"));
	check_names(panel(f), "question");
	ui_notify(f->ui, "info", NULL, "Hello");
	check_names(f->ui->notices, "notices");
	GtkWidget *lock = g_object_ref_sink(lock_new(f->ui));
	g_assert_cmpuint(check_names(lock, "lock"), >=, 2);
	gtk_widget_destroy(lock);
	g_object_unref(lock);
}

/* ---- strangers' text ---- */

static void test_hostile(Fixture *f, gconstpointer data)
{
	(void)data;
	g_autofree char *wide = g_strnfill(10000, 'W');
	CarrelVm1 *vm = fake_vm(f->fake, "aa", "<b>x</b>\u202eyx\x01\n", "running");
	g_object_set(vm, "colour", "x } * { }", "problem", wide, "devices", (const char *const[]){wide, "<i>", "\u202e", NULL}, NULL);
	fake_vm(f->fake, "ab", wide, "no such state");
	WAIT_FOR(look(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "<b>x</b>yx, Running for 2 h 5 min, key 1"));
	g_assert_true(says(f->ui->home, "<b>x</b>yx"));
	WAIT_FOR(ui_model_vm_named(f->ui->model, "ab"));
	vm_settings_sheet(f->ui, ui_model_vm_named(f->ui->model, "aa"));
	ui_notify(f->ui, "no such severity", "\u202e<b>", wide);
	for (int i = 0; i < 100; i++) {
		g_autofree char *text = g_strdup_printf("%d %s", i, wide);
		ui_notify(f->ui, "error", "aa", text);
	}
	g_autoptr(GList) notices = gtk_container_get_children(GTK_CONTAINER(f->ui->notices));
	g_assert_cmpuint(g_list_length(notices), <=, 4);
	int minimum, natural;
	gtk_widget_get_preferred_width(f->ui->root, &minimum, &natural);
	g_assert_cmpint(minimum, <=, 1280);
	fake_settle(200);
}

/* Desktops come and go by the dozen; the one that has the keyboard keeps it. */
static void test_churn(Fixture *f, gconstpointer data)
{
	(void)data;
	GtkWidget *card = find(f->ui->home, GTK_TYPE_FLOW_BOX_CHILD, "Work, Running for 2 h 5 min, key 4");
	gtk_widget_grab_focus(card);
	for (int round = 0; round < 4; round++) {
		CarrelVm1 *vms[8];
		for (int i = 0; i < 8; i++) {
			g_autofree char *name = g_strdup_printf("a%d", i);
			vms[i] = fake_vm(f->fake, name, name, i & 1 ? "running" : "off");
		}
		WAIT_FOR(ui_model_vm_named(f->ui->model, "a7"));
		for (int i = 0; i < 8; i++)
			fake_remove(f->fake, vms[i]);
		WAIT_FOR(!ui_model_vm_named(f->ui->model, "a7") && !ui_model_vm_named(f->ui->model, "a0"));
	}
	g_assert_true(gtk_window_get_focus(GTK_WINDOW(f->window)) == card);
}

#define ADD(name) g_test_add("/screens/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	gtk_test_init(&argc, &argv, NULL);
	g_object_set(gtk_settings_get_default(), "gtk-enable-animations", FALSE, NULL);
	ADD(numbers);
	ADD(enter);
	ADD(arrows);
	ADD(start);
	ADD(passphrase);
	ADD(passphrase_change);
	ADD(devices);
	ADD(refused);
	ADD(menu);
	ADD(force_off);
	ADD(manager_goes);
	ADD(idle);
	ADD(all_still);
	ADD(quiet);
	ADD(plain_picture);
	ADD(new);
	ADD(new_ends);
	ADD(new_closed);
	ADD(settings);
	ADD(sound);
	ADD(snapshots);
	ADD(power);
	ADD(machine);
	ADD(names);
	ADD(hostile);
	ADD(churn);
	return g_test_run();
}
