/* SPDX-License-Identifier: Apache-2.0 */
/* A desktop's settings. Each takes effect as it is made; what the manager refuses is said and taken back. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <string.h>

#define MIB         (G_GUINT64_CONSTANT(1) << 20)
#define STEP_MIB    256
#define LEAST_MIB   256
#define MOST_MIB    16384
#define SETTLE_MS   400
#define REMARK_MAX  80

typedef struct {
	Ui *ui;
	CarrelVm1 *vm;
	Sheet *sheet;
	GtkWidget *pages, *error, *later;
	GtkWidget *title, *palette, *autostart, *sound, *play, *record, *sound_later;
	GtkWidget *min, *min_value, *max, *max_value, *vcpus, *vcpus_value;
	GtkWidget *network, *shared_row, *shared;
	GtkWidget *vault, *unlock, *lock, *remark, *take, *list, *list_hint;
	GStrv networks;
	gulong on_vm;
	guint settle_min, settle_max, settle_vcpus;
	gboolean following; /* controls are moved by us */
} Settings;

static void show(Settings *settings);
static void read_sound(Settings *settings);

/* ---- setting ---- */

static void on_set(Ui *ui, const char *job, const GError *error, gpointer owner)
{
	(void)ui, (void)job;
	Settings *settings = g_object_get_data(owner, "carrel-settings");
	if (!settings)
		return;
	g_autofree char *text = error ? error_text(error) : NULL;
	ui_set_text(settings->error, text ? text : "");
	gtk_widget_set_visible(settings->error, text != NULL);
	if (!error)
		return;
	show(settings);
	read_sound(settings);
}

static void set(Settings *settings, const char *group, const char *key, const char *value)
{
	ui_call(settings->ui, settings->vm, "Set", g_variant_new("(sss)", group, key, value), on_set, settings->sheet->panel);
}

static const char *interface_mode(CarrelVm1 *vm, const char **name, const char **network)
{
	GVariant *interfaces = carrel_vm1_get_interfaces(vm);
	const char *mode = NULL;
	*name = *network = NULL;
	if (!interfaces || g_variant_n_children(interfaces) == 0)
		return NULL;
	g_autoptr(GVariant) first = g_variant_get_child_value(interfaces, 0);
	g_variant_lookup(first, "name", "&s", name); /* the property holds them */
	g_variant_lookup(first, "mode", "&s", &mode);
	g_variant_lookup(first, "network", "&s", network);
	return mode;
}

static void on_title(Settings *settings)
{
	g_autofree char *title = text_safe(gtk_entry_get_text(GTK_ENTRY(settings->title)), TITLE_MAX_LENGTH);
	if (g_strcmp0(title, carrel_vm1_get_title(settings->vm)) != 0)
		set(settings, "vm", "title", title);
}

static gboolean on_title_left(Settings *settings)
{
	on_title(settings);
	return FALSE;
}

static void on_colour(guint index, gpointer data)
{
	(void)index;
	Settings *settings = data;
	set(settings, "vm", "colour", ui_palette_colour(settings->palette));
}

static void set_switch(Settings *settings, GtkWidget *widget, const char *group, const char *key)
{
	if (!settings->following)
		set(settings, group, key, gtk_switch_get_active(GTK_SWITCH(widget)) ? "true" : "false");
}

static void on_autostart(Settings *settings) { set_switch(settings, settings->autostart, "policy", "autostart"); }
static void on_play(Settings *settings) { set_switch(settings, settings->play, "sound", "play"); }
static void on_record(Settings *settings) { set_switch(settings, settings->record, "sound", "record"); }

static guint64 scale_mib(GtkWidget *scale)
{
	return (guint64)(gtk_range_get_value(GTK_RANGE(scale)) + 0.5);
}

static void set_memory(Settings *settings, const char *key, GtkWidget *scale)
{
	g_autofree char *value = g_strdup_printf("%" G_GUINT64_FORMAT "M", scale_mib(scale));
	set(settings, "machine", key, value);
}

static gboolean settle_min(gpointer data)
{
	Settings *settings = data;
	settings->settle_min = 0;
	set_memory(settings, "memory-min", settings->min);
	return G_SOURCE_REMOVE;
}

static gboolean settle_max(gpointer data)
{
	Settings *settings = data;
	settings->settle_max = 0;
	set_memory(settings, "memory-max", settings->max);
	return G_SOURCE_REMOVE;
}

static gboolean settle_vcpus(gpointer data)
{
	Settings *settings = data;
	g_autofree char *value = g_strdup_printf("%" G_GUINT64_FORMAT, scale_mib(settings->vcpus));
	settings->settle_vcpus = 0;
	set(settings, "machine", "vcpus", value);
	return G_SOURCE_REMOVE;
}

static void show_values(Settings *settings)
{
	g_autofree char *min = format_bytes(scale_mib(settings->min) * MIB);
	g_autofree char *max = format_bytes(scale_mib(settings->max) * MIB);
	g_autofree char *vcpus = g_strdup_printf("%" G_GUINT64_FORMAT, scale_mib(settings->vcpus));
	ui_set_text(settings->min_value, min);
	ui_set_text(settings->max_value, max);
	ui_set_text(settings->vcpus_value, vcpus);
}

/* A scale is dragged over many values: only where it rests is set. */
static void settle(Settings *settings, guint *timer, GSourceFunc rested)
{
	show_values(settings);
	if (settings->following)
		return;
	g_clear_handle_id(timer, g_source_remove);
	*timer = g_timeout_add(SETTLE_MS, rested, settings);
}

static void on_min(Settings *settings)
{
	if (scale_mib(settings->min) > scale_mib(settings->max))
		gtk_range_set_value(GTK_RANGE(settings->min), gtk_range_get_value(GTK_RANGE(settings->max)));
	settle(settings, &settings->settle_min, settle_min);
}

static void on_max(Settings *settings)
{
	if (scale_mib(settings->max) < scale_mib(settings->min))
		gtk_range_set_value(GTK_RANGE(settings->max), gtk_range_get_value(GTK_RANGE(settings->min)));
	settle(settings, &settings->settle_max, settle_max);
}

static void on_vcpus(Settings *settings)
{
	settle(settings, &settings->settle_vcpus, settle_vcpus);
}

static void set_network(Settings *settings, const char *mode, const char *network)
{
	const char *name, *now;
	interface_mode(settings->vm, &name, &now);
	g_autofree char *group = g_strdup_printf("network %s", name ? name : "eth0");
	if (network)
		set(settings, group, "network", network);
	set(settings, group, "mode", mode);
}

static void on_network(guint index, gpointer data)
{
	static const char *const modes[] = {"nat", "none", "shared"};
	Settings *settings = data;
	guint chosen = ui_choice_active(settings->shared);
	gboolean shared = index == 2;
	gtk_widget_set_visible(settings->shared_row, shared);
	set_network(settings, modes[index], shared ? settings->networks[chosen] : NULL);
}

static void on_shared(guint index, gpointer data)
{
	Settings *settings = data;
	if (ui_choice_active(settings->network) == 2)
		set_network(settings, "shared", settings->networks[index]);
}

/* ---- snapshots ---- */

typedef struct {
	CarrelVm1 *vm;
	char *name;
	const char *method;
} SnapshotAct;

static void act_free(gpointer data)
{
	SnapshotAct *act = data;
	g_object_unref(act->vm);
	g_free(act->name);
	g_free(act);
}

static void act(Ui *ui, gpointer data)
{
	SnapshotAct *act = data;
	ui_call(ui, act->vm, act->method, g_variant_new("(s)", act->name), NULL, NULL);
}

static void ask(Settings *settings, const char *snapshot, const char *method, const char *title, const char *text,
	const char *action)
{
	SnapshotAct *data = g_new0(SnapshotAct, 1);
	data->vm = g_object_ref(settings->vm);
	data->name = g_strdup(snapshot);
	data->method = method;
	ui_confirm(settings->ui, title, text, action, act, data, act_free);
}

static void on_revert(GtkWidget *button, Settings *settings)
{
	ask(settings, g_object_get_data(G_OBJECT(button), "carrel-snapshot"), "Revert", _("Go back to this snapshot?"),
		_("The desktop's disks become what they were then. What was written since is lost."), _("Go back"));
}

static void on_delete(GtkWidget *button, Settings *settings)
{
	ask(settings, g_object_get_data(G_OBJECT(button), "carrel-snapshot"), "DeleteSnapshot", _("Delete this snapshot?"),
		_("The desktop stays as it is; there is just no way back to this point any more."), _("Delete"));
}

static void on_take(Settings *settings)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *name = g_date_time_format(now, "%Y-%m-%d-%H%M%S");
	g_autofree char *remark = text_safe(gtk_entry_get_text(GTK_ENTRY(settings->remark)), REMARK_MAX);
	ui_call(settings->ui, settings->vm, "Snapshot", g_variant_new("(ss)", name, remark), on_set, settings->sheet->panel);
	gtk_entry_set_text(GTK_ENTRY(settings->remark), "");
}

static void on_unlock(Settings *settings)
{
	passphrase_sheet(settings->ui, settings->vm, "Unlock");
}

static void on_lock(Settings *settings)
{
	ui_call(settings->ui, settings->vm, "Lock", NULL, on_set, settings->sheet->panel);
}

static GtkWidget *snapshot_button(Settings *settings, const char *icon, const char *what, const char *snapshot, GCallback clicked)
{
	GtkWidget *button = ui_icon_button(icon, what, "flat");
	g_object_set_data_full(G_OBJECT(button), "carrel-snapshot", g_strdup(snapshot), g_free);
	g_signal_connect(button, "clicked", clicked, settings);
	return button;
}

static GtkWidget *snapshot_row(Settings *settings, const char *name, const char *description, guint64 when, gboolean can_revert)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = format_when((gint64)when, now);
	g_autofree char *remark = text_safe(description[0] ? description : name, REMARK_MAX);
	GtkWidget *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	g_autofree char *back = g_strdup_printf(_("Go back to %s"), remark);
	g_autofree char *delete = g_strdup_printf(_("Delete %s"), remark);
	GtkWidget *revert = snapshot_button(settings, "revert", back, name, G_CALLBACK(on_revert));
	gtk_widget_set_sensitive(revert, can_revert);
	gtk_container_add(GTK_CONTAINER(buttons), revert);
	gtk_container_add(GTK_CONTAINER(buttons), snapshot_button(settings, "trash", delete, name, G_CALLBACK(on_delete)));
	return ui_row(remark, time, buttons);
}

static void show_snapshots(Settings *settings)
{
	GVariant *snapshots = carrel_vm1_get_snapshots(settings->vm);
	gboolean off = !state_is_live(carrel_vm1_get_state(settings->vm));
	gboolean closable = off && carrel_vm1_get_encrypted(settings->vm), unlocked = carrel_vm1_get_unlocked(settings->vm);
	gsize n = snapshots && (unlocked || !closable) ? g_variant_n_children(snapshots) : 0;
	gtk_widget_set_visible(settings->vault, closable);
	gtk_widget_set_visible(settings->unlock, !unlocked);
	gtk_widget_set_visible(settings->lock, unlocked);
	gtk_widget_set_sensitive(settings->take, unlocked || !closable);
	gtk_widget_set_sensitive(settings->remark, unlocked || !closable);
	gtk_container_foreach(GTK_CONTAINER(settings->list), (GtkCallback)(void (*)(void))gtk_widget_destroy, NULL);
	for (gsize i = n; i-- > 0;) { /* the newest first */
		const char *name, *description;
		guint64 when;
		g_autoptr(GVariant) one = g_variant_get_child_value(snapshots, i);
		g_variant_get(one, "(&s&st)", &name, &description, &when);
		gtk_container_add(GTK_CONTAINER(settings->list), snapshot_row(settings, name, description, when, off));
	}
	ui_set_text(settings->list_hint, n == 0 ? _("No snapshots yet.")
		: off ? "" : _("To go back to a snapshot, shut the desktop down first."));
	gtk_widget_set_visible(settings->list_hint, (n == 0 || !off) && (unlocked || !closable));
	gtk_widget_show_all(settings->list);
	gtk_widget_set_visible(settings->list, n > 0);
}

/* ---- showing what is ---- */

static void show_network(Settings *settings)
{
	const char *name, *network;
	const char *mode = interface_mode(settings->vm, &name, &network);
	guint index = g_strcmp0(mode, "shared") == 0 ? 2 : g_strcmp0(mode, "nat") == 0 ? 0 : 1;
	gtk_widget_set_sensitive(settings->network, mode != NULL);
	if (index < 2 || settings->networks[0])
		ui_choice_set(settings->network, index);
	for (guint i = 0; settings->networks[i]; i++)
		if (g_strcmp0(settings->networks[i], network) == 0)
			ui_choice_set(settings->shared, i);
	gtk_widget_set_visible(settings->shared_row, index == 2 && settings->networks[0]);
}

/* What the file says nothing of is off. */
static void show_sound(Settings *settings, const char *definition)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	gboolean known = g_key_file_load_from_data(file, definition, (gsize)-1, G_KEY_FILE_NONE, NULL);
	settings->following = TRUE;
	gtk_switch_set_active(GTK_SWITCH(settings->play), known && g_key_file_get_boolean(file, "sound", "play", NULL));
	gtk_switch_set_active(GTK_SWITCH(settings->record), known && g_key_file_get_boolean(file, "sound", "record", NULL));
	settings->following = FALSE;
	gtk_widget_set_sensitive(settings->sound, known);
}

static void on_definition(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GtkWidget) panel = data;
	Settings *settings = g_object_get_data(G_OBJECT(panel), "carrel-settings");
	g_autofree char *definition = NULL;
	if (carrel_vm1_call_get_definition_finish(CARREL_VM1(source), &definition, result, NULL) && settings)
		show_sound(settings, definition);
}

/* No property tells of it: it is read out of the VM's file. */
static void read_sound(Settings *settings)
{
	carrel_vm1_call_get_definition(settings->vm, NULL, on_definition, g_object_ref(settings->sheet->panel));
}

static void show_scale(GtkWidget *scale, guint timer, double value)
{
	GtkAdjustment *adjustment = gtk_range_get_adjustment(GTK_RANGE(scale));
	if (timer)
		return; /* the person is at it */
	if (value > gtk_adjustment_get_upper(adjustment))
		gtk_adjustment_set_upper(adjustment, value);
	gtk_range_set_value(GTK_RANGE(scale), value);
}

static void show(Settings *settings)
{
	CarrelVm1 *vm = settings->vm;
	g_autofree char *title = vm_title(vm);
	gboolean live = state_is_live(carrel_vm1_get_state(vm));
	settings->following = TRUE;
	if (!gtk_widget_has_focus(settings->title))
		gtk_entry_set_text(GTK_ENTRY(settings->title), title);
	ui_set_text(settings->sheet->title, title);
	gtk_switch_set_active(GTK_SWITCH(settings->autostart), carrel_vm1_get_autostart(vm));
	show_scale(settings->max, settings->settle_max, (double)(carrel_vm1_get_memory_max(vm) / MIB));
	show_scale(settings->min, settings->settle_min, (double)(carrel_vm1_get_memory_min(vm) / MIB));
	show_scale(settings->vcpus, settings->settle_vcpus, carrel_vm1_get_vcpus(vm));
	show_values(settings);
	show_network(settings);
	show_snapshots(settings);
	gtk_widget_set_visible(settings->later, live);
	gtk_widget_set_visible(settings->sound_later, live);
	settings->following = FALSE;
}

static void on_vm(UiModel *model, CarrelVm1 *vm, Settings *settings)
{
	(void)model;
	if (vm == settings->vm)
		show(settings);
}

static void on_vms(UiModel *model, Settings *settings)
{
	const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(settings->vm));
	if (ui_model_vm(model, path) != settings->vm) /* deleted, by whomever */
		ui_sheet_pop(settings->ui, settings->sheet->panel);
}

/* ---- making it ---- */

static GtkWidget *value_label(GtkWidget **label)
{
	*label = gtk_label_new("");
	ui_class(*label, "value");
	return *label;
}

static GtkWidget *sound_group(Settings *settings)
{
	GtkWidget *group = settings->sound = ui_group(NULL);
	settings->play = ui_switch(_("Sound"), FALSE);
	settings->record = ui_switch(_("Microphone"), FALSE);
	g_signal_connect_swapped(settings->play, "notify::active", G_CALLBACK(on_play), settings);
	g_signal_connect_swapped(settings->record, "notify::active", G_CALLBACK(on_record), settings);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Sound"), _("What it plays is heard from this machine."), settings->play));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Microphone"),
		_("It can hear what is said near this machine. While it listens, that is shown on the screen."), settings->record));
	settings->sound_later = ui_paragraph(_("It is running: off counts at once, on from its next start."), "hint warn");
	gtk_widget_set_no_show_all(settings->sound_later, TRUE);
	gtk_container_add(GTK_CONTAINER(group), settings->sound_later);
	gtk_widget_set_sensitive(group, FALSE); /* until it is known what is */
	return group;
}

static void on_passphrase(Settings *settings)
{
	passphrase_change_sheet(settings->ui, settings->vm);
}

static GtkWidget *encrypted_row(Settings *settings)
{
	GtkWidget *change;
	if (!carrel_vm1_get_encrypted(settings->vm))
		return ui_row(_("Encrypted"), NULL, ui_label(_("No"), "dim"));
	change = ui_button("key", _("Change the passphrase"), NULL);
	g_signal_connect_swapped(change, "clicked", G_CALLBACK(on_passphrase), settings);
	return ui_row(_("Encrypted"), NULL, change);
}

static GtkWidget *general_page(Settings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *group = ui_group(NULL), *facts = ui_group(NULL);
	settings->title = ui_entry(_("Title"), NULL, TITLE_MAX_LENGTH);
	gtk_entry_set_width_chars(GTK_ENTRY(settings->title), 24);
	g_signal_connect_swapped(settings->title, "activate", G_CALLBACK(on_title), settings);
	g_signal_connect_swapped(settings->title, "focus-out-event", G_CALLBACK(on_title_left), settings);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Title"), NULL, settings->title));
	settings->palette = ui_palette(carrel_vm1_get_colour(settings->vm), on_colour, settings);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Colour"), NULL, settings->palette));
	settings->autostart = ui_switch(_("Start with the machine"), FALSE);
	g_signal_connect_swapped(settings->autostart, "notify::active", G_CALLBACK(on_autostart), settings);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Start with the machine"), NULL, settings->autostart));
	g_autofree char *name = text_safe(carrel_vm1_get_name(settings->vm), NAME_MAX_LENGTH);
	gtk_container_add(GTK_CONTAINER(facts), ui_row(_("Short name"), NULL, ui_label(name, "dim")));
	gtk_container_add(GTK_CONTAINER(facts), encrypted_row(settings));
	gtk_container_add(GTK_CONTAINER(page), group);
	gtk_container_add(GTK_CONTAINER(page), sound_group(settings));
	gtk_container_add(GTK_CONTAINER(page), facts);
	return page;
}

static GtkWidget *resources_page(Settings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *group = ui_group(NULL);
	settings->max = ui_scale(_("Memory, at most"), LEAST_MIB, MOST_MIB, STEP_MIB, LEAST_MIB);
	settings->min = ui_scale(_("Memory, at least"), LEAST_MIB, MOST_MIB, STEP_MIB, LEAST_MIB);
	settings->vcpus = ui_scale(_("Processors"), 1, MAX(g_get_num_processors(), 2), 1, 1);
	gtk_container_add(GTK_CONTAINER(group), ui_wide_row(_("Memory, at most"), value_label(&settings->max_value), settings->max));
	gtk_container_add(GTK_CONTAINER(group), ui_wide_row(_("Memory, at least"), value_label(&settings->min_value), settings->min));
	gtk_container_add(GTK_CONTAINER(group), ui_wide_row(_("Processors"), value_label(&settings->vcpus_value), settings->vcpus));
	g_signal_connect_swapped(settings->max, "value-changed", G_CALLBACK(on_max), settings);
	g_signal_connect_swapped(settings->min, "value-changed", G_CALLBACK(on_min), settings);
	g_signal_connect_swapped(settings->vcpus, "value-changed", G_CALLBACK(on_vcpus), settings);
	gtk_container_add(GTK_CONTAINER(page), group);
	gtk_container_add(GTK_CONTAINER(page), ui_paragraph(_("The desktop on screen gets memory first. It never falls below the least, and the "
		"others give way up to its most."), "hint"));
	settings->later = ui_paragraph(_("It is running: what cannot change at once changes at its next start."), "hint warn");
	gtk_widget_set_no_show_all(settings->later, TRUE);
	gtk_container_add(GTK_CONTAINER(page), settings->later);
	return page;
}

static GtkWidget *network_page(Settings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *group = ui_group(NULL);
	const char *const modes[] = {_("Internet"), _("None"), settings->networks[0] ? _("Shared") : NULL, NULL};
	settings->network = ui_choice(_("Network"), modes, 0, on_network, settings);
	settings->shared = ui_choice(_("Shared network"), (const char *const *)settings->networks, 0, on_shared, settings);
	settings->shared_row = ui_row(_("Shared network"), NULL, settings->shared);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Network"), NULL, settings->network));
	gtk_container_add(GTK_CONTAINER(group), settings->shared_row);
	gtk_widget_show_all(settings->shared_row);
	gtk_widget_set_no_show_all(settings->shared_row, TRUE);
	gtk_container_add(GTK_CONTAINER(page), group);
	gtk_container_add(GTK_CONTAINER(page), ui_paragraph(_("“Internet” reaches the world but no other desktop. Desktops meet only on a shared "
		"network that both have joined."), "hint"));
	return page;
}

/* Of an encrypted desktop that is off; show_snapshots() says when. */
static GtkWidget *vault_group(Settings *settings)
{
	GtkWidget *group = ui_group(NULL), *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	settings->unlock = ui_button("key", _("Unlock"), NULL);
	settings->lock = ui_button("lock", _("Lock"), NULL);
	g_signal_connect_swapped(settings->unlock, "clicked", G_CALLBACK(on_unlock), settings);
	g_signal_connect_swapped(settings->lock, "clicked", G_CALLBACK(on_lock), settings);
	gtk_container_add(GTK_CONTAINER(buttons), settings->unlock);
	gtk_container_add(GTK_CONTAINER(buttons), settings->lock);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Encrypted"),
		_("While it is off, unlock its disks to reach its snapshots."), buttons));
	gtk_widget_show_all(group);
	gtk_widget_set_no_show_all(group, TRUE);
	return group;
}

static GtkWidget *snapshots_page(Settings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 10);
	settings->remark = ui_entry(_("Note for the snapshot"), _("Before the update…"), REMARK_MAX);
	settings->take = ui_button("snapshot", _("Take a snapshot"), "primary");
	g_signal_connect_swapped(settings->take, "clicked", G_CALLBACK(on_take), settings);
	g_signal_connect_swapped(settings->remark, "activate", G_CALLBACK(on_take), settings);
	gtk_box_pack_start(GTK_BOX(line), settings->remark, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(line), settings->take, FALSE, FALSE, 0);
	settings->list = ui_group(NULL);
	settings->list_hint = ui_paragraph("", "hint");
	settings->vault = vault_group(settings);
	gtk_container_add(GTK_CONTAINER(page), settings->vault);
	gtk_container_add(GTK_CONTAINER(page), line);
	gtk_container_add(GTK_CONTAINER(page), settings->list);
	gtk_container_add(GTK_CONTAINER(page), settings->list_hint);
	return page;
}

static void on_page(guint index, gpointer data)
{
	static const char *const pages[] = {"general", "resources", "network", "snapshots"};
	Settings *settings = data;
	gtk_stack_set_visible_child_name(GTK_STACK(settings->pages), pages[index]);
}

/* What was moved a moment ago is set before the sheet goes. */
static void rest(guint *timer, GSourceFunc rested, Settings *settings)
{
	if (!*timer)
		return;
	g_source_remove(*timer);
	rested(settings);
}

static void on_destroy(GtkWidget *panel, Settings *settings)
{
	g_signal_handlers_disconnect_by_data(settings->ui->model, settings);
	rest(&settings->settle_min, settle_min, settings);
	rest(&settings->settle_max, settle_max, settings);
	rest(&settings->settle_vcpus, settle_vcpus, settings);
	g_object_set_data(G_OBJECT(panel), "carrel-settings", NULL);
	g_object_unref(settings->vm);
	g_strfreev(settings->networks);
	g_free(settings);
}

static void make_pages(Settings *settings)
{
	const char *const names[] = {_("General"), _("Resources"), _("Network"), _("Snapshots"), NULL};
	GtkWidget *tabs = ui_choice(_("Settings"), names, 0, on_page, settings), *body = settings->sheet->body;
	gtk_widget_set_halign(tabs, GTK_ALIGN_CENTER);
	settings->error = ui_paragraph("", "bad");
	gtk_widget_set_no_show_all(settings->error, TRUE);
	settings->pages = gtk_stack_new();
	gtk_stack_set_transition_type(GTK_STACK(settings->pages), GTK_STACK_TRANSITION_TYPE_CROSSFADE);
	gtk_stack_add_named(GTK_STACK(settings->pages), general_page(settings), "general");
	gtk_stack_add_named(GTK_STACK(settings->pages), resources_page(settings), "resources");
	gtk_stack_add_named(GTK_STACK(settings->pages), network_page(settings), "network");
	gtk_stack_add_named(GTK_STACK(settings->pages), snapshots_page(settings), "snapshots");
	gtk_box_pack_start(GTK_BOX(body), tabs, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(body), settings->error, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(body), ui_tall_scroller(settings->pages), TRUE, TRUE, 0);
	gtk_widget_show_all(body);
}

Sheet *vm_settings_sheet(Ui *ui, CarrelVm1 *vm)
{
	Settings *settings = g_new0(Settings, 1);
	CarrelManager1 *manager = ui_model_manager(ui->model);
	const char *const *networks = manager ? carrel_manager1_get_shared_networks(manager) : NULL;
	settings->ui = ui;
	settings->vm = g_object_ref(vm);
	settings->networks = networks ? g_strdupv((GStrv)networks) : g_new0(char *, 1);
	settings->sheet = sheet_new(ui, "gear", "", 680);
	settings->following = TRUE;
	make_pages(settings);
	g_object_set_data(G_OBJECT(settings->sheet->panel), "carrel-settings", settings);
	g_signal_connect(ui->model, "vm", G_CALLBACK(on_vm), settings);
	g_signal_connect(ui->model, "vms", G_CALLBACK(on_vms), settings);
	g_signal_connect(settings->sheet->panel, "destroy", G_CALLBACK(on_destroy), settings);
	g_object_set_data(G_OBJECT(settings->sheet->panel), "carrel-pages", settings->pages);
	show(settings);
	read_sound(settings);
	ui_sheet_push(ui, settings->sheet->panel, NULL);
	return settings->sheet;
}
