/* SPDX-License-Identifier: Apache-2.0 */
/* Panels over the page, and the question before what cannot be undone. */
#include "ui.h"

#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

static void on_close(GtkWidget *button, Ui *ui)
{
	GtkWidget *panel = gtk_widget_get_ancestor(button, GTK_TYPE_FRAME);
	ui_sheet_pop(ui, panel);
}

Sheet *sheet_new(Ui *ui, const char *icon, const char *title, int width)
{
	Sheet *sheet = g_new0(Sheet, 1);
	sheet->panel = gtk_frame_new(NULL);
	gtk_frame_set_shadow_type(GTK_FRAME(sheet->panel), GTK_SHADOW_NONE);
	ui_class(sheet->panel, "sheet");
	ui_name(sheet->panel, title);
	atk_object_set_role(gtk_widget_get_accessible(sheet->panel), ATK_ROLE_DIALOG);
	gtk_widget_set_size_request(sheet->panel, width, -1);
	GtkWidget *all = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *head = ui_box(GTK_ORIENTATION_HORIZONTAL, 14, "sheet-head");
	if (icon) {
		GtkWidget *badge = ui_box(GTK_ORIENTATION_HORIZONTAL, 0, "badge");
		gtk_box_pack_start(GTK_BOX(badge), icon_new(icon, 20), TRUE, TRUE, 0);
		gtk_widget_set_valign(badge, GTK_ALIGN_CENTER);
		gtk_container_add(GTK_CONTAINER(head), badge);
	}
	sheet->title = ui_label(title, "sheet-title");
	gtk_box_pack_start(GTK_BOX(head), sheet->title, TRUE, TRUE, 0);
	GtkWidget *close = ui_icon_button("close", _("Close"), "flat");
	g_signal_connect(close, "clicked", G_CALLBACK(on_close), ui);
	gtk_box_pack_end(GTK_BOX(head), close, FALSE, FALSE, 0);
	sheet->body = ui_box(GTK_ORIENTATION_VERTICAL, 20, "sheet-body");
	sheet->footer = ui_box(GTK_ORIENTATION_HORIZONTAL, 12, "sheet-footer");
	gtk_box_pack_start(GTK_BOX(all), head, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(all), sheet->body, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(all), sheet->footer, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(sheet->panel), all);
	gtk_widget_show_all(sheet->panel);
	gtk_widget_set_no_show_all(sheet->footer, TRUE);
	gtk_widget_hide(sheet->footer);
	g_object_set_data_full(G_OBJECT(sheet->panel), "carrel-sheet", sheet, g_free);
	return sheet;
}

GtkWidget *sheet_action(Sheet *sheet, GtkWidget *button)
{
	gtk_box_pack_end(GTK_BOX(sheet->footer), button, FALSE, FALSE, 0);
	gtk_widget_show_all(button);
	gtk_widget_show(sheet->footer);
	return button;
}

/* The panel on top is seen; the pages below take no keys while there is one. */
static void arrange(Ui *ui)
{
	GtkWidget *top = ui->sheets ? ui->sheets->data : NULL;
	gtk_widget_set_sensitive(ui->pages, top == NULL);
	gtk_widget_set_visible(ui->scrim, top != NULL);
	if (top) {
		gtk_stack_set_visible_child(GTK_STACK(ui->sheet_box), top);
		return;
	}
	if (GTK_IS_WINDOW(gtk_widget_get_toplevel(ui->root)))
		home_focus(ui->home);
}

void ui_sheet_push(Ui *ui, GtkWidget *panel, GtkWidget *focus)
{
	ui->sheets = g_list_prepend(ui->sheets, panel);
	gtk_widget_show(panel);
	gtk_container_add(GTK_CONTAINER(ui->sheet_box), panel);
	arrange(ui);
	Sheet *sheet = g_object_get_data(G_OBJECT(panel), "carrel-sheet");
	if (focus)
		gtk_widget_grab_focus(focus);
	else if (!gtk_widget_child_focus(sheet->body, GTK_DIR_TAB_FORWARD))
		gtk_widget_child_focus(panel, GTK_DIR_TAB_FORWARD);
}

void ui_sheet_pop(Ui *ui, GtkWidget *panel)
{
	if (!g_list_find(ui->sheets, panel))
		return;
	ui->sheets = g_list_remove(ui->sheets, panel);
	gtk_widget_destroy(panel);
	arrange(ui);
}

void ui_sheets_close(Ui *ui)
{
	while (ui->sheets)
		ui_sheet_pop(ui, ui->sheets->data);
}

typedef struct {
	Ui *ui;
	GtkWidget *panel;
	UiAgreed agreed;
	gpointer data;
	GDestroyNotify free_data;
} Question;

static void question_free(gpointer data)
{
	Question *question = data;
	if (question->free_data)
		question->free_data(question->data);
	g_free(question);
}

static void on_agreed(GtkWidget *button, Question *question)
{
	(void)button;
	Ui *ui = question->ui;
	UiAgreed agreed = question->agreed;
	gpointer data = g_steal_pointer(&question->data);
	GDestroyNotify free_data = question->free_data;
	question->free_data = NULL;
	ui_sheet_pop(ui, question->panel);
	agreed(ui, data);
	if (free_data)
		free_data(data);
}

static void on_refused(GtkWidget *button, Question *question)
{
	(void)button;
	ui_sheet_pop(question->ui, question->panel);
}

void ui_confirm(Ui *ui, const char *title, const char *text, const char *action, UiAgreed agreed, gpointer data,
	GDestroyNotify free_data)
{
	Sheet *sheet = sheet_new(ui, "warning", title, 480);
	Question *question = g_new0(Question, 1);
	*question = (Question){ui, sheet->panel, agreed, data, free_data};
	g_object_set_data_full(G_OBJECT(sheet->panel), "carrel-question", question, question_free);
	gtk_container_add(GTK_CONTAINER(sheet->body), ui_paragraph(text, NULL));
	gtk_widget_show_all(sheet->body);
	GtkWidget *yes = sheet_action(sheet, ui_button(NULL, action, "danger"));
	GtkWidget *no = sheet_action(sheet, ui_button(NULL, _("Cancel"), NULL));
	g_signal_connect(yes, "clicked", G_CALLBACK(on_agreed), question);
	g_signal_connect(no, "clicked", G_CALLBACK(on_refused), question);
	ui_sheet_push(ui, sheet->panel, no);
}
