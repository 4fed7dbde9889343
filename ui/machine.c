/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of this machine, and its power. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <string.h>

static const char *const languages[] = {"", "en", "ja"};

static void say_unsaved(Ui *ui, GError *error)
{
	g_autofree char *text = g_strdup_printf(_("The setting is in effect now, but could not be saved: %s"), error->message);
	ui_notify(ui, "warning", NULL, text);
}

static void on_theme(guint index, gpointer data)
{
	Ui *ui = data;
	g_autoptr(GError) error = NULL;
	if (!config_set_theme(ui->config, (Theme)index, &error))
		say_unsaved(ui, error);
	theme_apply(ui);
}

static void on_language(guint index, gpointer data)
{
	Ui *ui = data;
	g_autoptr(GError) error = NULL;
	if (!config_set_language(ui->config, languages[index], &error))
		say_unsaved(ui, error);
	else if (ui->restart)
		ui->restart(ui);
}

static guint language_index(Ui *ui)
{
	for (guint i = 0; i < G_N_ELEMENTS(languages); i++)
		if (strcmp(languages[i], config_language(ui->config)) == 0)
			return i;
	return 0;
}

static GtkWidget *keys(const char *text)
{
	GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 5);
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	gtk_widget_set_valign(line, GTK_ALIGN_CENTER);
	for (gsize i = 0; words[i]; i++) {
		GtkWidget *key = gtk_label_new(words[i]);
		ui_class(key, "key");
		gtk_container_add(GTK_CONTAINER(line), key);
	}
	return line;
}

/* The compositor's own table is in desk.conf; these are its defaults. */
static GtkWidget *hotkeys(void)
{
	GtkWidget *group = ui_group(_("Keys that work everywhere"));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Show a desktop"), NULL, keys("Ctrl Alt 1 … 9")));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Show this page"), NULL, keys("Ctrl Alt 0")));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Show this page, whatever happens"), NULL, keys("Ctrl Alt Esc")));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Lock the screen"), NULL, keys("Ctrl Alt L")));
	gtk_container_add(GTK_CONTAINER(group), ui_row(_("Carry the selected text to the next desktop"), NULL, keys("Ctrl Alt V")));
	return group;
}

static void add_fact(GtkWidget *group, const char *title, const char *fact)
{
	g_autofree char *safe = text_safe(fact, 80);
	gtk_container_add(GTK_CONTAINER(group), ui_row(title, NULL, ui_label(safe, "dim")));
}

static GtkWidget *about(Ui *ui)
{
	GtkWidget *group = ui_group(_("About"));
	CarrelManager1 *manager = ui_model_manager(ui->model);
	const char *version = manager ? carrel_manager1_get_version(manager) : NULL;
	g_autofree char *switcher = g_strdup_printf("Carrel %s", CARREL_VERSION);
	add_fact(group, _("Switcher"), switcher);
	add_fact(group, _("Manager"), version && version[0] ? version : _("not running"));
	add_fact(group, _("Licence"), "Apache-2.0");
	g_object_set_data(G_OBJECT(group), "carrel-about", group);
	return group;
}

static void on_statistics(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GtkWidget) group = data;
	g_autoptr(GVariant) statistics = NULL;
	guint64 total = 0, free = 0, storage = 0, storage_free = 0;
	guint32 cpus = 0;
	if (!carrel_manager1_call_get_statistics_finish(CARREL_MANAGER1(source), &statistics, result, NULL))
		return;
	g_variant_lookup(statistics, "cpus", "u", &cpus);
	if (g_variant_lookup(statistics, "memory-total", "t", &total) && g_variant_lookup(statistics, "memory-free", "t", &free)) {
		g_autofree char *a = format_bytes(free);
		g_autofree char *b = format_bytes(total);
		g_autofree char *text = g_strdup_printf(_("%1$s free of %2$s"), a, b);
		add_fact(group, _("Memory"), text);
	}
	if (g_variant_lookup(statistics, "storage-total", "t", &storage) && g_variant_lookup(statistics, "storage-free", "t", &storage_free)) {
		g_autofree char *a = format_bytes(storage_free);
		g_autofree char *b = format_bytes(storage);
		g_autofree char *text = g_strdup_printf(_("%1$s free of %2$s"), a, b);
		add_fact(group, _("Disk"), text);
	}
	gtk_widget_show_all(group);
}

Sheet *machine_sheet(Ui *ui)
{
	Sheet *sheet = sheet_new(ui, "gear", _("This machine"), 640);
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *look = ui_group(NULL), *facts = about(ui);
	const char *const themes[] = {_("Automatic"), _("Light"), _("Dark"), NULL};
	const char *const names[] = {_("System"), "English", "日本語", NULL};
	GtkWidget *theme = ui_choice(_("Appearance"), themes, config_theme(ui->config), on_theme, ui);
	GtkWidget *language = ui_choice(_("Language"), names, language_index(ui), on_language, ui);
	gtk_container_add(GTK_CONTAINER(look), ui_row(_("Appearance"), NULL, theme));
	gtk_container_add(GTK_CONTAINER(look), ui_row(_("Language"), NULL, language));
	gtk_container_add(GTK_CONTAINER(page), look);
	gtk_container_add(GTK_CONTAINER(page), hotkeys());
	gtk_container_add(GTK_CONTAINER(page), facts);
	gtk_box_pack_start(GTK_BOX(sheet->body), ui_tall_scroller(page), TRUE, TRUE, 0);
	gtk_widget_show_all(sheet->body);
	CarrelManager1 *manager = ui_model_manager(ui->model);
	if (manager)
		carrel_manager1_call_get_statistics(manager, NULL, on_statistics, g_object_ref(facts));
	ui_sheet_push(ui, sheet->panel, NULL);
	return sheet;
}

/* ---- power ---- */

static void shut_down(Ui *ui, gpointer what)
{
	ui_call(ui, ui_model_manager(ui->model), "Shutdown", g_variant_new("(s)", (const char *)what), NULL, NULL);
}

static guint running(Ui *ui)
{
	g_autoptr(GPtrArray) vms = ui_model_vms(ui->model, FALSE);
	guint n = 0;
	for (guint i = 0; i < vms->len; i++)
		n += state_is_live(carrel_vm1_get_state(vms->pdata[i])) != 0;
	return n;
}

static void ask_shut_down(Ui *ui, const char *what, const char *question, const char *action)
{
	guint n = running(ui);
	ui_sheets_close(ui);
	if (n == 0) {
		shut_down(ui, (gpointer)what);
		return;
	}
	g_autofree char *text = g_strdup_printf(ngettext("%u desktop is running. It is asked to shut down first.",
		"%u desktops are running. They are asked to shut down first, one after the other.", n), n);
	ui_confirm(ui, question, text, action, shut_down, (gpointer)what, NULL);
}

static void on_sleep(Ui *ui)
{
	ui_sheets_close(ui);
	ui_call(ui, ui_model_manager(ui->model), "Suspend", NULL, NULL, NULL);
}

static void on_restart(Ui *ui)
{
	ask_shut_down(ui, "reboot", _("Restart this machine?"), _("Restart"));
}

static void on_off(Ui *ui)
{
	ask_shut_down(ui, "poweroff", _("Turn this machine off?"), _("Turn off"));
}

static GtkWidget *power_button(Ui *ui, const char *icon, const char *label, void (*clicked)(Ui *ui))
{
	GtkWidget *button = gtk_button_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);
	gtk_container_set_border_width(GTK_CONTAINER(box), 14);
	gtk_container_add(GTK_CONTAINER(box), icon_new(icon, 32));
	gtk_container_add(GTK_CONTAINER(box), gtk_label_new(label));
	gtk_container_add(GTK_CONTAINER(button), box);
	ui_name(button, label);
	gtk_widget_set_sensitive(button, ui_model_state(ui->model) == MODEL_READY);
	g_signal_connect_swapped(button, "clicked", G_CALLBACK(clicked), ui);
	return button;
}

Sheet *power_sheet(Ui *ui)
{
	Sheet *sheet = sheet_new(ui, "power", _("Power"), 520);
	GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 14), *sleep = power_button(ui, "moon", _("Sleep"), on_sleep);
	gtk_box_set_homogeneous(GTK_BOX(line), TRUE);
	gtk_box_pack_start(GTK_BOX(line), sleep, TRUE, TRUE, 0);
	gtk_box_pack_start(GTK_BOX(line), power_button(ui, "restart", _("Restart"), on_restart), TRUE, TRUE, 0);
	gtk_box_pack_start(GTK_BOX(line), power_button(ui, "power", _("Turn off"), on_off), TRUE, TRUE, 0);
	gtk_container_add(GTK_CONTAINER(sheet->body), line);
	if (ui_model_state(ui->model) != MODEL_READY)
		gtk_container_add(GTK_CONTAINER(sheet->body), ui_paragraph(_("The manager is needed for that, and it is not running. It is "
			"started again by itself; try again in a moment."), "hint"));
	gtk_widget_show_all(sheet->body);
	ui_sheet_push(ui, sheet->panel, gtk_widget_get_sensitive(sleep) ? sleep : NULL);
	return sheet;
}
