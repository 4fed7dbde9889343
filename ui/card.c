/* SPDX-License-Identifier: Apache-2.0 */
/* One VM on the home page: its picture, what it is called, how it fares, what it holds, what can be done to it. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <string.h>

#define WIDTH       360
#define PICTURE     204
#define CHIPS_MAX   3
#define DEVICE_MAX  28
#define STAGE_MAX   60

typedef struct {
	Ui *ui;
	CarrelVm1 *vm;
	guint number;
	GtkWidget *child, *picture, *number_label, *pill, *title, *state, *menu_button, *menu, *chips;
	GtkWidget *foot, *cpu_bar, *cpu_text, *memory_bar, *memory_text;
	GtkWidget *start, *stage, *job_bar, *cancel;
	gulong on_vm, on_desk, on_thumbnail;
	char *devices; /* what the chips were made of */
	guint64 cpu_before;
	gint64 cpu_when;
	guint cpu_shown; /* percent */
	gboolean asking;
} Card;

static Card *card_of(GtkWidget *child)
{
	return g_object_get_data(G_OBJECT(child), "carrel-card");
}

CarrelVm1 *card_vm(GtkWidget *child)
{
	Card *card = card_of(child);
	return card ? card->vm : NULL;
}

/* ---- the menu ---- */

static void do_open(Card *card) { vm_open(card->ui, card->vm); }
static void do_start(Card *card) { vm_start(card->ui, card->vm); }
static void do_shut_down(Card *card) { vm_shut_down(card->ui, card->vm); }
static void do_restart(Card *card) { vm_restart(card->ui, card->vm); }
static void do_pause(Card *card) { vm_pause(card->ui, card->vm); }
static void do_go_on(Card *card) { vm_go_on(card->ui, card->vm); }
static void do_sleep(Card *card) { vm_sleep(card->ui, card->vm); }
static void do_force_off(Card *card) { vm_force_off(card->ui, card->vm); }
static void do_delete(Card *card) { vm_delete(card->ui, card->vm); }
static void do_settings(Card *card) { vm_settings_sheet(card->ui, card->vm); }
static void do_restart_view(Card *card) { ui_desk_restart_view(card->ui->desk, carrel_vm1_get_name(card->vm)); }

static void fill_running(Card *card, const char *state)
{
	GtkWidget *menu = card->menu;
	if (g_strcmp0(state, "running") == 0) {
		ui_menu_item(menu, "screen", _("Open"), G_CALLBACK(do_open), card);
		ui_menu_line(menu);
		ui_menu_item(menu, "pause", _("Pause"), G_CALLBACK(do_pause), card);
		ui_menu_item(menu, "moon", _("Sleep"), G_CALLBACK(do_sleep), card);
		ui_menu_item(menu, "restart", _("Restart"), G_CALLBACK(do_restart), card);
		ui_menu_item(menu, "power", _("Shut down"), G_CALLBACK(do_shut_down), card);
	} else if (g_strcmp0(state, "paused") == 0 || g_strcmp0(state, "suspended") == 0) {
		ui_menu_item(menu, "play", g_strcmp0(state, "paused") == 0 ? _("Resume") : _("Wake up"), G_CALLBACK(do_go_on), card);
		ui_menu_line(menu);
	}
	const char *view = ui_desk_view(card->ui->desk, carrel_vm1_get_name(card->vm));
	if (g_str_equal(view, "hung") || g_str_equal(view, "failed"))
		ui_menu_item(menu, "screen", _("Restart its screen"), G_CALLBACK(do_restart_view), card);
	ui_class(ui_menu_item(menu, "stop", _("Turn off at once…"), G_CALLBACK(do_force_off), card), "bad");
}

static void fill_menu(Card *card)
{
	const char *state = carrel_vm1_get_state(card->vm);
	ui_menu_clear(card->menu);
	if (state_is_live(state))
		fill_running(card, state);
	else if (g_strcmp0(state, "broken") != 0)
		ui_menu_item(card->menu, "play", _("Start"), G_CALLBACK(do_start), card);
	ui_menu_line(card->menu);
	ui_menu_item(card->menu, "gear", _("Settings"), G_CALLBACK(do_settings), card);
	if (!state_is_live(state))
		ui_class(ui_menu_item(card->menu, "trash", _("Delete…"), G_CALLBACK(do_delete), card), "bad");
}

static void open_menu(Card *card)
{
	fill_menu(card);
	gtk_popover_popup(GTK_POPOVER(card->menu));
	gtk_widget_child_focus(gtk_bin_get_child(GTK_BIN(card->menu)), GTK_DIR_TAB_FORWARD);
}

GtkWidget *card_menu(GtkWidget *child)
{
	Card *card = card_of(child);
	open_menu(card);
	return card->menu;
}

static void on_cancel(Card *card)
{
	ui_call(card->ui, ui_model_job_of(card->ui->model, g_dbus_proxy_get_object_path(G_DBUS_PROXY(card->vm))), "Cancel", NULL, NULL, NULL);
}

/* ---- how it fares ---- */

static void show_cpu(Card *card, gboolean known)
{
	g_autofree char *text = g_strdup_printf("%u %%", card->cpu_shown);
	ui_set_text(card->cpu_text, known ? text : "–");
	ui_set_fraction(card->cpu_bar, known ? card->cpu_shown / 100.0 : 0);
	ui_set_class(card->cpu_bar, "busy", known && card->cpu_shown >= 85);
}

static void forget_cpu(Card *card)
{
	card->cpu_when = 0;
	card->cpu_shown = 0;
	show_cpu(card, FALSE);
}

static void read_cpu(Card *card, guint64 now)
{
	gint64 when = g_get_monotonic_time(), before = card->cpu_when;
	if (before && when - before < G_USEC_PER_SEC)
		return; /* too short a time to tell anything */
	if (before)
		card->cpu_shown = cpu_step(card->cpu_shown,
			cpu_percent(card->cpu_before, now, when - before, carrel_vm1_get_vcpus(card->vm)));
	card->cpu_before = now;
	card->cpu_when = when;
	show_cpu(card, before != 0);
}

static void show_memory(Card *card, guint64 used)
{
	guint64 most = carrel_vm1_get_memory_max(card->vm), shown = memory_step(used);
	g_autofree char *text = format_bytes(shown);
	ui_set_text(card->memory_text, text);
	ui_set_fraction(card->memory_bar, most ? MIN((double)shown / (double)most, 1) : 0);
}

static void on_statistics(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GtkWidget) child = data;
	Card *card = card_of(child);
	g_autoptr(GVariant) statistics = NULL;
	gboolean answered = carrel_vm1_call_get_statistics_finish(CARREL_VM1(source), &statistics, result, NULL);
	if (!card) /* destroyed meanwhile */
		return;
	card->asking = FALSE;
	guint64 value;
	if (answered && g_variant_lookup(statistics, "cpu-ns", "t", &value) && !state_is_still(carrel_vm1_get_state(card->vm)))
		read_cpu(card, value);
	if (answered && g_variant_lookup(statistics, "memory", "t", &value))
		show_memory(card, value);
}

static void show_state(Card *card);

static void ask_picture(Card *card)
{
	const char *name = carrel_vm1_get_name(card->vm);
	int scale = gtk_widget_get_scale_factor(card->child);
	if (name && g_str_equal(ui_desk_view(card->ui->desk, name), "live"))
		ui_desk_ask_thumbnail(card->ui->desk, name, WIDTH * scale, PICTURE * scale);
}

static void on_beat(GtkWidget *child)
{
	Card *card = card_of(child);
	if (!state_is_live(carrel_vm1_get_state(card->vm)) || !gtk_widget_get_mapped(child))
		return;
	if (!card->asking) {
		card->asking = TRUE;
		carrel_vm1_call_get_statistics(card->vm, NULL, on_statistics, g_object_ref(child));
	}
	ask_picture(card);
}

/* A card is made before it is on the page. */
static void on_map(GtkWidget *child)
{
	if (card_of(child)->ui->visible)
		on_beat(child);
}

static void on_minute(GtkWidget *child)
{
	show_state(card_of(child));
}

/* ---- what it is ---- */

static const char *device_icon(const char *device)
{
	static const struct {
		const char *word, *icon;
	} words[] = {{"cam", "camera"}, {"micro", "microphone"}, {"audio", "volume"}, {"sound", "volume"}, {"usb", "usb"},
		{"disk", "disk"}, {"nvme", "disk"}, {"wi-fi", "wifi"}, {"wireless", "wifi"}, {"ethernet", "wired"},
		{"keyboard", "keyboard"}, {"graphics", "screen"}, {"gpu", "screen"}, {"vga", "screen"}};
	g_autofree char *lower = g_utf8_strdown(device, -1);
	for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
		if (strstr(lower, words[i].word))
			return words[i].icon;
	return "chip";
}

static GtkWidget *chip_new(const char *icon, const char *text)
{
	GtkWidget *chip = ui_box(GTK_ORIENTATION_HORIZONTAL, 6, "chip"), *label = ui_label(text, NULL);
	gtk_label_set_max_width_chars(GTK_LABEL(label), 14);
	if (icon)
		gtk_container_add(GTK_CONTAINER(chip), icon_new(icon, 14));
	gtk_container_add(GTK_CONTAINER(chip), label);
	gtk_widget_set_tooltip_text(chip, text);
	return chip;
}

static void show_devices(Card *card)
{
	const char *const *devices = carrel_vm1_get_devices(card->vm);
	guint n = devices ? g_strv_length((GStrv)devices) : 0;
	g_autofree char *list = n ? g_strjoinv("\n", (GStrv)devices) : g_strdup("");
	g_autofree char *now = g_strdup_printf("%d %d %s", carrel_vm1_get_recording(card->vm), carrel_vm1_get_encrypted(card->vm), list);
	if (g_strcmp0(card->devices, now) == 0)
		return;
	g_free(card->devices);
	card->devices = g_steal_pointer(&now);
	gtk_container_foreach(GTK_CONTAINER(card->chips), (GtkCallback)(void (*)(void))gtk_widget_destroy, NULL);
	if (carrel_vm1_get_recording(card->vm)) {
		GtkWidget *chip = chip_new("microphone", _("Recording"));
		ui_class(chip, "recording");
		gtk_container_add(GTK_CONTAINER(card->chips), chip);
	}
	for (guint i = 0; i < MIN(n, CHIPS_MAX); i++) {
		g_autofree char *text = text_safe(devices[i], DEVICE_MAX);
		gtk_container_add(GTK_CONTAINER(card->chips), chip_new(device_icon(text), text));
	}
	if (n > CHIPS_MAX) {
		g_autofree char *more = g_strdup_printf("+%u", n - CHIPS_MAX);
		gtk_container_add(GTK_CONTAINER(card->chips), chip_new(NULL, more));
	}
	if (carrel_vm1_get_encrypted(card->vm))
		gtk_container_add(GTK_CONTAINER(card->chips), chip_new("lock", _("Encrypted")));
	gtk_widget_show_all(card->chips);
}

static char *state_text(CarrelVm1 *vm)
{
	const char *state = carrel_vm1_get_state(vm), *problem = carrel_vm1_get_problem(vm);
	guint64 started = carrel_vm1_get_started(vm);
	gint64 seconds = g_get_real_time() / G_USEC_PER_SEC - (gint64)(started / 1000000000);
	if ((g_strcmp0(state, "crashed") == 0 || g_strcmp0(state, "broken") == 0) && problem && problem[0]) {
		g_autofree char *safe = text_safe(problem, 120);
		return g_strdup_printf("%s: %s", state_label(state), safe);
	}
	if (g_strcmp0(state, "running") != 0 || started == 0 || seconds < 60)
		return g_strdup(state_label(state));
	g_autofree char *duration = format_duration(seconds);
	return g_strdup_printf(_("%1$s for %2$s"), state_label(state), duration);
}

/* What is said over the picture when it does not show a desktop at work, or NULL. */
static const char *pill_text(Card *card, gboolean *alert)
{
	const char *state = carrel_vm1_get_state(card->vm), *name = carrel_vm1_get_name(card->vm);
	const char *view = ui_desk_view(card->ui->desk, name ? name : "");
	*alert = g_strcmp0(state, "crashed") == 0 || g_strcmp0(state, "broken") == 0;
	if (g_strcmp0(state, "running") != 0)
		return g_strcmp0(state, "off") == 0 ? NULL : state_label(state);
	*alert = g_str_equal(view, "hung") || g_str_equal(view, "failed");
	if (g_str_equal(view, "hung"))
		return _("Screen does not answer");
	return *alert ? _("Screen failed") : NULL;
}

static void show_job(Card *card, CarrelJob1 *job)
{
	double progress = carrel_job1_get_progress(job);
	g_autofree char *stage = text_safe(carrel_job1_get_stage(job), STAGE_MAX);
	ui_set_text(card->stage, stage[0] ? stage : state_label(carrel_vm1_get_state(card->vm)));
	ui_set_fraction(card->job_bar, progress >= 0 ? MIN(progress, 1) : 0);
	gtk_widget_set_opacity(card->job_bar, progress >= 0 ? 1 : 0.4);
}

static void show_foot(Card *card)
{
	CarrelJob1 *job = ui_model_job_of(card->ui->model, g_dbus_proxy_get_object_path(G_DBUS_PROXY(card->vm)));
	const char *state = carrel_vm1_get_state(card->vm);
	if (job)
		show_job(card, job);
	gtk_widget_set_sensitive(card->start, g_strcmp0(state, "broken") != 0);
	gtk_stack_set_visible_child_name(GTK_STACK(card->foot), job ? "job" : state_is_live(state) ? "meters" : "start");
}

static void show_state(Card *card)
{
	gboolean alert;
	g_autofree char *title = vm_title(card->vm);
	g_autofree char *state = state_text(card->vm);
	const char *pill = pill_text(card, &alert);
	ui_set_text(card->title, title);
	ui_set_text(card->state, state);
	ui_set_tooltip(card->state, state);
	ui_set_class(card->state, "bad", alert);
	ui_set_text(card->pill, pill ? pill : "");
	gtk_widget_set_visible(card->pill, pill != NULL);
	ui_set_class(card->pill, "alert", alert);
	g_autofree char *name = card->number ? g_strdup_printf(_("%1$s, %2$s, key %3$u"), title, state, card->number)
					     : g_strdup_printf(_("%1$s, %2$s"), title, state);
	ui_name(card->child, name);
	g_autofree char *menu = g_strdup_printf(_("What can be done with %s"), title);
	ui_name(card->menu_button, menu);
	show_foot(card);
	thumb_show(card->picture);
}

static void show_all(Card *card)
{
	const char *state = carrel_vm1_get_state(card->vm);
	if (!state_is_live(state))
		ui_desk_forget_thumbnail(card->ui->desk, carrel_vm1_get_name(card->vm));
	if (!state_is_live(state) || state_is_still(state))
		forget_cpu(card);
	show_devices(card);
	show_state(card);
	ui_want_beats(card->ui, card->child, state_is_live(state) && !state_is_still(state));
}

static void on_desk(Card *card)
{
	const char *name = carrel_vm1_get_name(card->vm);
	show_state(card);
	/* It may stand still, and then no beat asks. */
	if (card->ui->visible && name && !ui_desk_thumbnail(card->ui->desk, name) && state_is_live(carrel_vm1_get_state(card->vm)))
		ask_picture(card);
}

static void on_vm(UiModel *model, CarrelVm1 *vm, Card *card)
{
	(void)model;
	if (vm == card->vm)
		show_all(card);
}

static void on_thumbnail(UiDesk *desk, const char *vm, Card *card)
{
	(void)desk;
	if (g_strcmp0(vm, carrel_vm1_get_name(card->vm)) == 0)
		gtk_widget_queue_draw(card->picture);
}

void card_set_number(GtkWidget *child, guint number)
{
	Card *card = card_of(child);
	g_autofree char *text = g_strdup_printf("%u", number);
	card->number = number;
	ui_set_text(card->number_label, text);
	gtk_widget_set_visible(card->number_label, number > 0);
	show_state(card);
}

/* ---- making it ---- */

static GtkWidget *picture_part(Card *card)
{
	GtkWidget *overlay = gtk_overlay_new();
	card->picture = thumb_new(card->ui, card->vm, WIDTH, PICTURE);
	gtk_container_add(GTK_CONTAINER(overlay), card->picture);
	card->number_label = gtk_label_new("");
	ui_class(card->number_label, "number");
	gtk_widget_set_halign(card->number_label, GTK_ALIGN_START);
	gtk_widget_set_valign(card->number_label, GTK_ALIGN_START);
	gtk_overlay_add_overlay(GTK_OVERLAY(overlay), card->number_label);
	card->pill = gtk_label_new("");
	ui_class(card->pill, "pill");
	gtk_widget_set_halign(card->pill, GTK_ALIGN_END);
	gtk_widget_set_valign(card->pill, GTK_ALIGN_START);
	gtk_overlay_add_overlay(GTK_OVERLAY(overlay), card->pill);
	return overlay;
}

static GtkWidget *title_part(Card *card)
{
	GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *text = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);
	card->title = ui_label("", "card-title");
	card->state = ui_label("", "dim small");
	gtk_label_set_max_width_chars(GTK_LABEL(card->title), 10);
	gtk_label_set_max_width_chars(GTK_LABEL(card->state), 10);
	gtk_container_add(GTK_CONTAINER(text), card->title);
	gtk_container_add(GTK_CONTAINER(text), card->state);
	gtk_box_pack_start(GTK_BOX(line), text, TRUE, TRUE, 0);
	card->menu_button = ui_icon_button("more", _("Menu"), "flat");
	card->menu = ui_menu(card->menu_button);
	g_signal_connect_swapped(card->menu_button, "clicked", G_CALLBACK(open_menu), card);
	gtk_box_pack_end(GTK_BOX(line), card->menu_button, FALSE, FALSE, 0);
	return line;
}

static GtkWidget *meter_new(const char *name, GtkWidget **bar, GtkWidget **text)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	*text = gtk_label_new("–");
	ui_class(*text, "meter-value");
	*bar = gtk_progress_bar_new();
	ui_name(*bar, name);
	gtk_box_pack_start(GTK_BOX(line), ui_label(name, "meter-name"), TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(line), *text, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(box), line);
	gtk_container_add(GTK_CONTAINER(box), *bar);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	return box;
}

static GtkWidget *job_part(Card *card)
{
	GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 10), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
	card->stage = ui_label("", "meter-name");
	card->job_bar = gtk_progress_bar_new();
	ui_name(card->job_bar, _("Progress"));
	card->cancel = ui_icon_button("close", _("Cancel"), "flat");
	g_signal_connect_swapped(card->cancel, "clicked", G_CALLBACK(on_cancel), card);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	gtk_container_add(GTK_CONTAINER(box), card->stage);
	gtk_container_add(GTK_CONTAINER(box), card->job_bar);
	gtk_box_pack_start(GTK_BOX(line), box, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(line), card->cancel, FALSE, FALSE, 0);
	return line;
}

static GtkWidget *foot_part(Card *card)
{
	GtkWidget *meters = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 20);
	card->foot = gtk_stack_new();
	ui_class(card->foot, "card-foot");
	gtk_box_set_homogeneous(GTK_BOX(meters), TRUE);
	gtk_container_add(GTK_CONTAINER(meters), meter_new(_("Processor"), &card->cpu_bar, &card->cpu_text));
	gtk_container_add(GTK_CONTAINER(meters), meter_new(_("Memory"), &card->memory_bar, &card->memory_text));
	card->start = ui_button("play", _("Start"), NULL);
	g_signal_connect_swapped(card->start, "clicked", G_CALLBACK(do_start), card);
	gtk_stack_add_named(GTK_STACK(card->foot), meters, "meters");
	gtk_stack_add_named(GTK_STACK(card->foot), card->start, "start");
	gtk_stack_add_named(GTK_STACK(card->foot), job_part(card), "job");
	return card->foot;
}

static void on_destroy(GtkWidget *child, Card *card)
{
	g_clear_signal_handler(&card->on_vm, card->ui->model);
	g_clear_signal_handler(&card->on_desk, card->ui->desk);
	g_clear_signal_handler(&card->on_thumbnail, card->ui->desk);
	g_object_unref(card->vm);
	g_object_set_data(G_OBJECT(child), "carrel-card", NULL);
	g_free(card->devices);
	g_free(card);
}

GtkWidget *card_new(Ui *ui, CarrelVm1 *vm)
{
	Card *card = g_new0(Card, 1);
	card->ui = ui;
	card->vm = g_object_ref(vm);
	card->child = gtk_flow_box_child_new();
	g_object_set_data(G_OBJECT(card->child), "carrel-card", card);
	GtkWidget *box = ui_box(GTK_ORIENTATION_VERTICAL, 0, "card"), *text = ui_box(GTK_ORIENTATION_VERTICAL, 12, "card-text");
	card->chips = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	gtk_widget_set_size_request(card->chips, -1, 24);
	gtk_container_add(GTK_CONTAINER(box), picture_part(card));
	gtk_container_add(GTK_CONTAINER(text), title_part(card));
	gtk_container_add(GTK_CONTAINER(text), card->chips);
	gtk_container_add(GTK_CONTAINER(text), foot_part(card));
	gtk_container_add(GTK_CONTAINER(box), text);
	gtk_container_add(GTK_CONTAINER(card->child), box);
	gtk_widget_set_halign(card->child, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(card->child, GTK_ALIGN_START);
	gtk_widget_show_all(card->child);
	card->on_vm = g_signal_connect(ui->model, "vm", G_CALLBACK(on_vm), card);
	card->on_desk = g_signal_connect_swapped(ui->desk, "changed", G_CALLBACK(on_desk), card);
	card->on_thumbnail = g_signal_connect(ui->desk, "thumbnail", G_CALLBACK(on_thumbnail), card);
	g_signal_connect(card->child, "map", G_CALLBACK(on_map), NULL);
	g_signal_connect(card->child, "destroy", G_CALLBACK(on_destroy), card);
	ui_every_beat(ui, card->child, on_beat);
	show_all(card);
	ui_every_minute(ui, card->child, on_minute);
	return card->child;
}
