/* SPDX-License-Identifier: Apache-2.0 */
/* What a person should know: a few lines at the corner that go by themselves; errors stay longer. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

#define SHOWN_MAX    4
#define TEXT_MAX     400
#define INFO_SECONDS 6
#define LONG_SECONDS 20

typedef struct {
	Ui *ui;
	guint timer;
	char *key; /* what it says: the same again does not make a second one */
} Notice;

static Notice *notice_of(GtkWidget *widget)
{
	return g_object_get_data(G_OBJECT(widget), "carrel-notice");
}

static void notice_free(gpointer data)
{
	Notice *notice = data;
	g_clear_handle_id(&notice->timer, g_source_remove);
	g_free(notice->key);
	g_free(notice);
}

static void dismiss(GtkWidget *widget)
{
	Ui *ui = notice_of(widget)->ui;
	gtk_widget_destroy(widget);
	g_autoptr(GList) left = gtk_container_get_children(GTK_CONTAINER(ui->notices));
	if (!left && ui->notice_window)
		gtk_widget_hide(ui->notice_window);
}

static gboolean on_time(gpointer widget)
{
	notice_of(widget)->timer = 0;
	dismiss(widget);
	return G_SOURCE_REMOVE;
}

static void arm(GtkWidget *widget, const char *severity)
{
	Notice *notice = notice_of(widget);
	g_clear_handle_id(&notice->timer, g_source_remove);
	notice->timer = g_timeout_add_seconds(g_str_equal(severity, "info") ? INFO_SECONDS : LONG_SECONDS, on_time, widget);
}

static const char *known(const char *severity)
{
	if (g_strcmp0(severity, "error") == 0)
		return "error";
	return g_strcmp0(severity, "warning") == 0 ? "warning" : "info";
}

static GtkWidget *notice_new(Ui *ui, const char *severity, const char *title, const char *colour, const char *text)
{
	GtkWidget *line = ui_box(GTK_ORIENTATION_HORIZONTAL, 14, "notice"), *words = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);
	GtkWidget *sign = icon_new(g_str_equal(severity, "info") ? "info" : "warning", 22);
	ui_class(line, severity);
	ui_class(sign, "sign");
	gtk_container_add(GTK_CONTAINER(line), sign);
	if (title) {
		GtkWidget *head = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
		gtk_container_add(GTK_CONTAINER(head), ui_dot(colour, 10));
		gtk_box_pack_start(GTK_BOX(head), ui_label(title, "strong"), TRUE, TRUE, 0);
		gtk_container_add(GTK_CONTAINER(words), head);
	}
	GtkWidget *paragraph = ui_paragraph(text, NULL);
	gtk_label_set_max_width_chars(GTK_LABEL(paragraph), 40);
	gtk_label_set_lines(GTK_LABEL(paragraph), 6);
	gtk_label_set_ellipsize(GTK_LABEL(paragraph), PANGO_ELLIPSIZE_END);
	gtk_container_add(GTK_CONTAINER(words), paragraph);
	gtk_widget_set_valign(words, GTK_ALIGN_CENTER);
	gtk_box_pack_start(GTK_BOX(line), words, TRUE, TRUE, 0);
	GtkWidget *close = ui_icon_button("close", _("Dismiss"), "flat");
	gtk_widget_set_valign(close, GTK_ALIGN_START);
	g_signal_connect_swapped(close, "clicked", G_CALLBACK(dismiss), line);
	gtk_box_pack_end(GTK_BOX(line), close, FALSE, FALSE, 0);
	AtkObject *accessible = gtk_widget_get_accessible(line);
	atk_object_set_role(accessible, ATK_ROLE_NOTIFICATION);
	atk_object_set_name(accessible, text);
	Notice *notice = g_new0(Notice, 1);
	notice->ui = ui;
	g_object_set_data_full(G_OBJECT(line), "carrel-notice", notice, notice_free);
	return line;
}

static GtkWidget *find(GList *shown, const char *key)
{
	for (GList *l = shown; l; l = l->next)
		if (g_strcmp0(notice_of(l->data)->key, key) == 0)
			return l->data;
	return NULL;
}

void ui_notify(Ui *ui, const char *severity, const char *name, const char *text)
{
	g_autofree char *safe = text_safe(text, TEXT_MAX);
	CarrelVm1 *vm = name && name[0] ? ui_model_vm_named(ui->model, name) : NULL;
	g_autofree char *title = vm ? vm_title(vm) : name && name[0] ? text_safe(name, TITLE_MAX_LENGTH) : NULL;
	g_autofree char *key = g_strdup_printf("%s\n%s", title ? title : "", safe);
	g_autoptr(GList) shown = gtk_container_get_children(GTK_CONTAINER(ui->notices));
	severity = known(severity);
	if (!safe[0])
		return;
	GtkWidget *same = find(shown, key);
	if (same) {
		arm(same, severity);
		return;
	}
	if (g_list_length(shown) >= SHOWN_MAX)
		dismiss(shown->data);
	GtkWidget *widget = notice_new(ui, severity, title, vm ? carrel_vm1_get_colour(vm) : NULL, safe);
	notice_of(widget)->key = g_steal_pointer(&key);
	gtk_container_add(GTK_CONTAINER(ui->notices), widget);
	gtk_widget_show_all(widget);
	arm(widget, severity);
	if (ui->notice_window)
		gtk_widget_show(ui->notice_window);
}

GtkWidget *notices_new(Ui *ui)
{
	(void)ui;
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 4);
	gtk_widget_set_halign(box, GTK_ALIGN_END);
	gtk_widget_set_valign(box, GTK_ALIGN_START);
	gtk_widget_set_margin_top(box, 96);
	gtk_widget_set_margin_end(box, 42);
	gtk_widget_set_size_request(box, 420, -1);
	ui_name(box, _("Notices"));
	return box;
}
