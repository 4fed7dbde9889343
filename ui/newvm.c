/* SPDX-License-Identifier: Apache-2.0 */
/* A new desktop from a template: which one, what it is called and may use, and then how far it is. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <string.h>

#define MIB            (G_GUINT64_CONSTANT(1) << 20)
#define STEP_MIB       256
#define MEMORY_DEFAULT 2048
#define VCPUS_DEFAULT  2

typedef struct {
	Ui *ui;
	Sheet *sheet;
	GtkWidget *steps, *back, *go, *close;
	GtkWidget *templates, *title, *name, *name_hint, *palette;
	GtkWidget *memory, *memory_value, *vcpus, *vcpus_value, *autostart, *encrypted, *secrets;
	SecretPair pair;
	GtkWidget *bar, *stage, *outcome;
	GStrv taken;
	char *template;
	gboolean name_edited, filling;
	guint follow;
	char *job;
} NewVm;

static void show_step(NewVm *new, const char *step);

static gboolean step_is(NewVm *new, const char *step)
{
	return g_strcmp0(gtk_stack_get_visible_child_name(GTK_STACK(new->steps)), step) == 0;
}

/* ---- what is asked for ---- */

static gboolean secrets_fit(NewVm *new)
{
	gboolean on = gtk_switch_get_active(GTK_SWITCH(new->encrypted)), fits = secret_pair_fits(&new->pair);
	gtk_revealer_set_reveal_child(GTK_REVEALER(new->secrets), on);
	gtk_widget_set_sensitive(gtk_bin_get_child(GTK_BIN(new->secrets)), on);
	return !on || fits;
}

static void check(NewVm *new)
{
	const char *name = gtk_entry_get_text(GTK_ENTRY(new->name));
	g_autofree char *problem = name_problem(name, (const char *const *)new->taken);
	gboolean untouched = !name[0] && !new->name_edited;
	ui_set_text(new->name_hint, problem && !untouched ? problem : _("Its name in files and commands."));
	ui_set_class(new->name_hint, "problem", problem && !untouched);
	ui_set_class(new->name_hint, "hint", !problem || untouched);
	ui_set_class(new->name, "wrong", problem && !untouched);
	g_autofree char *memory = format_bytes((guint64)gtk_range_get_value(GTK_RANGE(new->memory)) * MIB);
	g_autofree char *vcpus = g_strdup_printf("%.0f", gtk_range_get_value(GTK_RANGE(new->vcpus)));
	ui_set_text(new->memory_value, memory);
	ui_set_text(new->vcpus_value, vcpus);
	gboolean fits = secrets_fit(new);
	gtk_widget_set_sensitive(new->go, step_is(new, "template") ? new->template != NULL : !problem && fits);
}

static void on_title(NewVm *new)
{
	if (!new->name_edited) {
		g_autofree char *name = name_from_title(gtk_entry_get_text(GTK_ENTRY(new->title)), (const char *const *)new->taken);
		new->filling = TRUE;
		gtk_entry_set_text(GTK_ENTRY(new->name), name);
		new->filling = FALSE;
	}
	check(new);
}

static void on_name(NewVm *new)
{
	if (!new->filling)
		new->name_edited = TRUE;
	check(new);
}

static GVariant *options_of(NewVm *new)
{
	GVariantBuilder options;
	guint64 most = (guint64)gtk_range_get_value(GTK_RANGE(new->memory)) * MIB;
	g_autofree char *title = text_safe(gtk_entry_get_text(GTK_ENTRY(new->title)), TITLE_MAX_LENGTH);
	gboolean encrypted = gtk_switch_get_active(GTK_SWITCH(new->encrypted));
	g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
	if (title[0])
		g_variant_builder_add(&options, "{sv}", "title", g_variant_new_string(title));
	g_variant_builder_add(&options, "{sv}", "colour", g_variant_new_string(ui_palette_colour(new->palette)));
	g_variant_builder_add(&options, "{sv}", "memory-max", g_variant_new_uint64(most));
	g_variant_builder_add(&options, "{sv}", "memory-min", g_variant_new_uint64(most / 2 / MIB * MIB));
	g_variant_builder_add(&options, "{sv}", "vcpus", g_variant_new_uint32((guint32)gtk_range_get_value(GTK_RANGE(new->vcpus))));
	g_variant_builder_add(&options, "{sv}", "autostart", g_variant_new_boolean(gtk_switch_get_active(GTK_SWITCH(new->autostart))));
	if (encrypted) {
		g_variant_builder_add(&options, "{sv}", "encrypted", g_variant_new_boolean(TRUE));
		g_variant_builder_add(&options, "{sv}", "passphrase", g_variant_new_string(gtk_entry_get_text(GTK_ENTRY(new->pair.secret))));
	}
	return g_variant_new("(ss@a{sv})", gtk_entry_get_text(GTK_ENTRY(new->name)), new->template, g_variant_builder_end(&options));
}

/* ---- how far it is ---- */

static void on_progress(CarrelJob1 *job, gpointer data)
{
	NewVm *new = data;
	double progress = carrel_job1_get_progress(job);
	g_autofree char *stage = text_safe(carrel_job1_get_stage(job), 120);
	ui_set_fraction(new->bar, CLAMP(progress, 0, 1));
	ui_set_text(new->stage, stage[0] ? stage : _("Creating the desktop"));
}

static void fail(NewVm *new, const char *message)
{
	ui_set_text(new->outcome, message);
	gtk_widget_show(new->outcome);
	show_step(new, "about");
}

static void on_end(const char *state, const char *message, const char *result, gpointer data)
{
	NewVm *new = data;
	(void)result;
	new->follow = 0;
	g_clear_pointer(&new->job, g_free);
	if (g_str_equal(state, "done"))
		ui_sheet_pop(new->ui, new->sheet->panel);
	else if (g_str_equal(state, "cancelled"))
		fail(new, _("It was cancelled; nothing is left of it."));
	else if (g_str_equal(state, "lost"))
		fail(new, _("The manager went away meanwhile. When it is back, look whether the desktop is there."));
	else
		fail(new, message[0] ? message : _("It failed without giving a reason."));
}

static void on_created(Ui *ui, const char *job, const GError *error, gpointer owner)
{
	NewVm *new = g_object_get_data(owner, "carrel-new-vm");
	if (!new)
		return;
	if (error) {
		g_autofree char *text = error_text(error);
		fail(new, text);
		return;
	}
	new->job = g_strdup(job);
	gtk_widget_set_sensitive(new->close, TRUE);
	new->follow = ui_model_follow(ui->model, job, on_progress, on_end, new);
}

static void create(NewVm *new)
{
	gtk_widget_hide(new->outcome);
	ui_set_fraction(new->bar, 0);
	ui_set_text(new->stage, _("Creating the desktop"));
	show_step(new, "work");
	gtk_widget_set_sensitive(new->close, FALSE);
	ui_call(new->ui, ui_model_manager(new->ui->model), "CreateFromTemplate", options_of(new), on_created, new->sheet->panel);
}

/* A job has no proxy of its own here: it may not be listed yet. */
static void cancel_job(NewVm *new)
{
	CarrelManager1 *manager = ui_model_manager(new->ui->model);
	if (!new->job || !manager)
		return;
	g_dbus_connection_call(new->ui->bus, g_dbus_proxy_get_name(G_DBUS_PROXY(manager)), new->job, "org.carrel.Job1", "Cancel", NULL,
		NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL, NULL);
	ui_set_text(new->stage, _("Cancelling"));
}

/* ---- steps ---- */

static void show_step(NewVm *new, const char *step)
{
	gtk_stack_set_visible_child_name(GTK_STACK(new->steps), step);
	gboolean about = g_str_equal(step, "about"), work = g_str_equal(step, "work");
	gtk_widget_set_visible(new->back, about);
	gtk_widget_set_visible(new->go, !work);
	gtk_widget_set_visible(new->close, work);
	gtk_widget_set_sensitive(new->close, TRUE);
	ui_button_set_label(new->go, about ? _("Create") : _("Next"));
	check(new);
	if (about)
		gtk_widget_grab_focus(new->title);
}

static void on_go(NewVm *new)
{
	if (!gtk_widget_get_sensitive(new->go) || step_is(new, "work"))
		return;
	if (step_is(new, "template"))
		show_step(new, "about");
	else
		create(new);
}

static void on_back(NewVm *new)
{
	show_step(new, "template");
}

static void on_template(GtkToggleButton *button, NewVm *new)
{
	if (!gtk_toggle_button_get_active(button))
		return;
	CarrelVm1 *vm = g_object_get_data(G_OBJECT(button), "carrel-vm");
	g_free(new->template);
	new->template = carrel_vm1_dup_name(vm);
	guint64 memory = carrel_vm1_get_memory_max(vm) / MIB;
	if (memory)
		gtk_range_set_value(GTK_RANGE(new->memory), (double)memory);
	if (carrel_vm1_get_vcpus(vm))
		gtk_range_set_value(GTK_RANGE(new->vcpus), carrel_vm1_get_vcpus(vm));
	check(new);
}

static GtkWidget *template_new(NewVm *new, CarrelVm1 *vm, GtkWidget *first)
{
	GtkWidget *button = gtk_radio_button_new_from_widget(first ? GTK_RADIO_BUTTON(first) : NULL);
	GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 16), *words = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);
	g_autofree char *title = vm_title(vm);
	g_autofree char *about = text_safe(carrel_vm1_get_description(vm), 160);
	gtk_toggle_button_set_mode(GTK_TOGGLE_BUTTON(button), FALSE);
	gtk_container_add(GTK_CONTAINER(line), icon_new("template", 28));
	gtk_container_add(GTK_CONTAINER(words), ui_label(title, "strong"));
	if (about[0])
		gtk_container_add(GTK_CONTAINER(words), ui_paragraph(about, "dim small"));
	gtk_widget_set_valign(words, GTK_ALIGN_CENTER);
	gtk_box_pack_start(GTK_BOX(line), words, TRUE, TRUE, 0);
	gtk_container_add(GTK_CONTAINER(button), line);
	ui_class(button, "template");
	ui_name(button, title);
	g_object_set_data_full(G_OBJECT(button), "carrel-vm", g_object_ref(vm), g_object_unref);
	g_signal_connect(button, "toggled", G_CALLBACK(on_template), new);
	return button;
}

static GtkWidget *template_page(NewVm *new)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 14), *first = NULL;
	g_autoptr(GPtrArray) templates = ui_model_vms(new->ui->model, TRUE);
	gtk_container_add(GTK_CONTAINER(page), ui_paragraph(templates->len
		? _("A template is an installed system. The new desktop begins as a copy of it, at once and without taking room.")
		: _("There are no templates here yet. Someone who manages this machine can bring one with carrelctl import --template."), "dim"));
	new->templates = gtk_box_new(GTK_ORIENTATION_VERTICAL, 10);
	for (guint i = 0; i < templates->len; i++) {
		GtkWidget *button = template_new(new, templates->pdata[i], first);
		gtk_container_add(GTK_CONTAINER(new->templates), button);
		first = first ? first : button;
	}
	gtk_container_add(GTK_CONTAINER(page), new->templates);
	if (first)
		on_template(GTK_TOGGLE_BUTTON(first), new);
	return page;
}

static GtkWidget *secret_part(NewVm *new)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 8);
	new->secrets = gtk_revealer_new();
	new->pair = secret_pair_new(box, _("Passphrase"), _("Passphrase again"));
	gtk_widget_set_margin_bottom(box, 12);
	gtk_container_add(GTK_CONTAINER(new->secrets), box);
	g_signal_connect_swapped(new->pair.secret, "changed", G_CALLBACK(check), new);
	g_signal_connect_swapped(new->pair.again, "changed", G_CALLBACK(check), new);
	return new->secrets;
}

static GtkWidget *names_part(NewVm *new)
{
	GtkWidget *both = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 16);
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *short_box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
	gtk_box_set_homogeneous(GTK_BOX(both), TRUE);
	new->title = ui_entry(_("Title"), _("Work, Family, Bank…"), TITLE_MAX_LENGTH);
	new->name = ui_entry(_("Short name"), "work", 200);
	new->name_hint = ui_paragraph("", "hint");
	gtk_container_add(GTK_CONTAINER(box), ui_label(_("Title"), "row-title"));
	gtk_container_add(GTK_CONTAINER(box), new->title);
	gtk_container_add(GTK_CONTAINER(short_box), ui_label(_("Short name"), "row-title"));
	gtk_container_add(GTK_CONTAINER(short_box), new->name);
	gtk_container_add(GTK_CONTAINER(short_box), new->name_hint);
	gtk_container_add(GTK_CONTAINER(both), box);
	gtk_container_add(GTK_CONTAINER(both), short_box);
	g_signal_connect_swapped(new->title, "changed", G_CALLBACK(on_title), new);
	g_signal_connect_swapped(new->name, "changed", G_CALLBACK(on_name), new);
	g_signal_connect_swapped(new->title, "activate", G_CALLBACK(on_go), new);
	g_signal_connect_swapped(new->name, "activate", G_CALLBACK(on_go), new);
	return both;
}

static GtkWidget *about_page(NewVm *new)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18), *group = ui_group(NULL);
	g_autoptr(GPtrArray) vms = ui_model_vms(new->ui->model, FALSE);
	new->outcome = ui_paragraph("", "bad");
	gtk_widget_set_no_show_all(new->outcome, TRUE);
	gtk_container_add(GTK_CONTAINER(page), new->outcome);
	gtk_container_add(GTK_CONTAINER(page), names_part(new));
	new->palette = ui_palette(ui_colours[vms->len % 7], NULL, NULL);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Colour"), NULL, new->palette));
	new->memory_value = gtk_label_new("");
	ui_class(new->memory_value, "value");
	new->memory = ui_scale(_("Memory"), 512, 16384, STEP_MIB, MEMORY_DEFAULT);
	gtk_container_add(GTK_CONTAINER(group), ui_wide_row(_("Memory, at most"), new->memory_value, new->memory));
	new->vcpus_value = gtk_label_new("");
	ui_class(new->vcpus_value, "value");
	new->vcpus = ui_scale(_("Processors"), 1, 8, 1, VCPUS_DEFAULT);
	gtk_container_add(GTK_CONTAINER(group), ui_wide_row(_("Processors"), new->vcpus_value, new->vcpus));
	new->autostart = ui_switch(_("Start with the machine"), FALSE);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Start with the machine"), NULL, new->autostart));
	new->encrypted = ui_switch(_("Encrypt"), FALSE);
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Encrypt"), _("Opened with a passphrase each time it starts."), new->encrypted));
	gtk_container_add(GTK_CONTAINER(group), secret_part(new));
	gtk_container_add(GTK_CONTAINER(page), group);
	g_signal_connect_swapped(new->memory, "value-changed", G_CALLBACK(check), new);
	g_signal_connect_swapped(new->vcpus, "value-changed", G_CALLBACK(check), new);
	g_signal_connect_swapped(new->encrypted, "notify::active", G_CALLBACK(check), new);
	return page;
}

static GtkWidget *work_page(NewVm *new)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
	gtk_widget_set_valign(page, GTK_ALIGN_CENTER);
	new->stage = ui_paragraph("", "strong");
	gtk_label_set_xalign(GTK_LABEL(new->stage), 0.5);
	new->bar = gtk_progress_bar_new();
	ui_class(new->bar, "tall");
	ui_name(new->bar, _("Progress"));
	GtkWidget *hint = ui_paragraph(_("You may close this; it goes on, and its card appears when it is ready."), "hint");
	gtk_label_set_xalign(GTK_LABEL(hint), 0.5);
	gtk_container_add(GTK_CONTAINER(page), new->stage);
	gtk_container_add(GTK_CONTAINER(page), new->bar);
	gtk_container_add(GTK_CONTAINER(page), hint);
	return page;
}

/* What is made of how much this machine has, when it says so. */
static void on_statistics(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GtkWidget) panel = data;
	NewVm *new = g_object_get_data(G_OBJECT(panel), "carrel-new-vm");
	g_autoptr(GVariant) statistics = NULL;
	guint64 memory;
	guint32 cpus;
	if (!carrel_manager1_call_get_statistics_finish(CARREL_MANAGER1(source), &statistics, result, NULL) || !new)
		return;
	if (g_variant_lookup(statistics, "memory-total", "t", &memory))
		gtk_range_set_range(GTK_RANGE(new->memory), 512, (double)MAX(memory / MIB / STEP_MIB * STEP_MIB, 1024));
	if (g_variant_lookup(statistics, "cpus", "u", &cpus))
		gtk_range_set_range(GTK_RANGE(new->vcpus), 1, CLAMP(cpus, 2, 128));
}

static void on_destroy(GtkWidget *panel, NewVm *new)
{
	ui_model_unfollow(new->ui->model, new->follow);
	g_object_set_data(G_OBJECT(panel), "carrel-new-vm", NULL);
	g_strfreev(new->taken);
	g_free(new->template);
	g_free(new->job);
	g_free(new);
}

Sheet *new_vm_sheet(Ui *ui)
{
	NewVm *new = g_new0(NewVm, 1);
	new->ui = ui;
	new->taken = ui_model_names(ui->model);
	Sheet *sheet = new->sheet = sheet_new(ui, "plus", _("New desktop"), 640);
	new->go = sheet_action(sheet, ui_button(NULL, _("Next"), "primary"));
	new->back = sheet_action(sheet, ui_button(NULL, _("Back"), NULL));
	new->close = sheet_action(sheet, ui_button(NULL, _("Cancel"), NULL));
	new->steps = gtk_stack_new();
	gtk_stack_set_vhomogeneous(GTK_STACK(new->steps), FALSE);
	gtk_stack_set_transition_type(GTK_STACK(new->steps), GTK_STACK_TRANSITION_TYPE_SLIDE_LEFT_RIGHT);
	GtkWidget *about = about_page(new);
	gtk_stack_add_named(GTK_STACK(new->steps), template_page(new), "template");
	gtk_stack_add_named(GTK_STACK(new->steps), about, "about");
	gtk_stack_add_named(GTK_STACK(new->steps), work_page(new), "work");
	gtk_box_pack_start(GTK_BOX(sheet->body), ui_tall_scroller(new->steps), TRUE, TRUE, 0);
	gtk_widget_show_all(sheet->body);
	g_object_set_data(G_OBJECT(sheet->panel), "carrel-new-vm", new);
	g_signal_connect(sheet->panel, "destroy", G_CALLBACK(on_destroy), new);
	g_signal_connect_swapped(new->go, "clicked", G_CALLBACK(on_go), new);
	g_signal_connect_swapped(new->back, "clicked", G_CALLBACK(on_back), new);
	g_signal_connect_swapped(new->close, "clicked", G_CALLBACK(cancel_job), new);
	show_step(new, "template");
	CarrelManager1 *manager = ui_model_manager(ui->model);
	if (manager)
		carrel_manager1_call_get_statistics(manager, NULL, on_statistics, g_object_ref(sheet->panel));
	ui_sheet_push(ui, sheet->panel, NULL);
	return sheet;
}
