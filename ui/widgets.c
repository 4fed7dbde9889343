/* SPDX-License-Identifier: Apache-2.0 */
#include "widgets.h"

#include "format.h"
#include "icon.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define BAR_STEPS 200 /* more than its pixels show */

const char *const ui_colours[] = {"#3b82c4", "#2a9d8f", "#6a994e", "#e0a030", "#dd6b4d", "#c94f7c", "#8367c7", "#667085", NULL};
static const char *const colour_names[] = {N_("Blue"), N_("Teal"), N_("Green"), N_("Amber"), N_("Coral"), N_("Pink"),
	N_("Violet"), N_("Slate"), N_("Custom")};

void ui_class(GtkWidget *widget, const char *classes)
{
	g_auto(GStrv) names = g_strsplit(classes ? classes : "", " ", -1);
	for (gsize i = 0; names[i]; i++)
		if (names[i][0])
			gtk_style_context_add_class(gtk_widget_get_style_context(widget), names[i]);
}

void ui_set_class(GtkWidget *widget, const char *class, gboolean on)
{
	GtkStyleContext *style = gtk_widget_get_style_context(widget);
	if (on)
		gtk_style_context_add_class(style, class);
	else
		gtk_style_context_remove_class(style, class);
}

void ui_name(GtkWidget *widget, const char *name)
{
	AtkObject *accessible = gtk_widget_get_accessible(widget);
	if (g_strcmp0(atk_object_get_name(accessible), name) != 0)
		atk_object_set_name(accessible, name);
}

void ui_set_text(GtkWidget *label, const char *text)
{
	if (g_strcmp0(gtk_label_get_text(GTK_LABEL(label)), text) != 0)
		gtk_label_set_text(GTK_LABEL(label), text);
}

void ui_set_tooltip(GtkWidget *widget, const char *text)
{
	g_autofree char *before = gtk_widget_get_tooltip_text(widget);
	if (g_strcmp0(before, text) != 0)
		gtk_widget_set_tooltip_text(widget, text);
}

void ui_set_fraction(GtkWidget *bar, double fraction)
{
	double steps = floor(CLAMP(fraction, 0, 1) * BAR_STEPS + 0.5) / BAR_STEPS;
	if (steps < gtk_progress_bar_get_fraction(GTK_PROGRESS_BAR(bar)) || steps > gtk_progress_bar_get_fraction(GTK_PROGRESS_BAR(bar)))
		gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(bar), steps);
}

GtkWidget *ui_box(GtkOrientation orientation, int spacing, const char *classes)
{
	GtkWidget *box = gtk_box_new(orientation, spacing);
	ui_class(box, classes);
	return box;
}

GtkWidget *ui_label(const char *text, const char *classes)
{
	GtkWidget *label = gtk_label_new(text);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
	gtk_label_set_single_line_mode(GTK_LABEL(label), TRUE);
	ui_class(label, classes);
	return label;
}

GtkWidget *ui_paragraph(const char *text, const char *classes)
{
	GtkWidget *label = gtk_label_new(text);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
	gtk_label_set_max_width_chars(GTK_LABEL(label), 56);
	g_autoptr(PangoAttrList) attributes = pango_attr_list_new();
	pango_attr_list_insert(attributes, pango_attr_insert_hyphens_new(FALSE)); /* names are broken anywhere */
	gtk_label_set_attributes(GTK_LABEL(label), attributes);
	ui_class(label, classes);
	return label;
}

GtkWidget *ui_button(const char *icon, const char *label, const char *classes)
{
	GtkWidget *button = gtk_button_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
	gtk_widget_set_halign(box, GTK_ALIGN_CENTER);
	if (icon)
		gtk_container_add(GTK_CONTAINER(box), icon_new(icon, 18));
	if (label) {
		GtkWidget *text = gtk_label_new(label);
		gtk_container_add(GTK_CONTAINER(box), text);
		g_object_set_data(G_OBJECT(button), "carrel-label", text);
		ui_name(button, label);
	}
	gtk_container_add(GTK_CONTAINER(button), box);
	ui_class(button, classes);
	return button;
}

void ui_button_set_label(GtkWidget *button, const char *label)
{
	ui_set_text(g_object_get_data(G_OBJECT(button), "carrel-label"), label);
	ui_name(button, label);
}

GtkWidget *ui_icon_button(const char *icon, const char *name, const char *classes)
{
	GtkWidget *button = ui_button(icon, NULL, classes);
	ui_class(button, "round");
	ui_name(button, name);
	gtk_widget_set_tooltip_text(button, name);
	gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
	return button;
}

GtkWidget *ui_entry(const char *name, const char *placeholder, guint max_length)
{
	GtkWidget *entry = gtk_entry_new();
	gtk_entry_set_max_length(GTK_ENTRY(entry), (int)max_length);
	gtk_entry_set_placeholder_text(GTK_ENTRY(entry), placeholder);
	ui_name(entry, name);
	return entry;
}

GtkWidget *ui_secret_entry(const char *name)
{
	/* Its buffer is locked memory, wiped when freed, where GTK can. */
	GtkWidget *entry = gtk_entry_new();
	gtk_entry_set_visibility(GTK_ENTRY(entry), FALSE);
	gtk_entry_set_input_purpose(GTK_ENTRY(entry), GTK_INPUT_PURPOSE_PASSWORD);
	gtk_entry_set_invisible_char(GTK_ENTRY(entry), 0x2022);
	gtk_entry_set_max_length(GTK_ENTRY(entry), 512);
	ui_name(entry, name);
	return entry;
}

GtkWidget *ui_switch(const char *name, gboolean on)
{
	GtkWidget *widget = gtk_switch_new();
	gtk_switch_set_active(GTK_SWITCH(widget), on);
	gtk_widget_set_valign(widget, GTK_ALIGN_CENTER);
	ui_name(widget, name);
	return widget;
}

static double snap(double value, double min, double step)
{
	return min + step * (double)(gint64)((value - min) / step + 0.5);
}

/* A scale moves freely under the pointer; its value is always a whole number of steps. */
static void on_scale_moved(GtkRange *range, gpointer data)
{
	double *limits = data, value = gtk_range_get_value(range), snapped = snap(value, limits[0], limits[1]);
	if (snapped - value > 1e-9 || value - snapped > 1e-9)
		gtk_range_set_value(range, snapped);
}

GtkWidget *ui_scale(const char *name, double min, double max, double step, double value)
{
	GtkWidget *scale = gtk_scale_new_with_range(GTK_ORIENTATION_HORIZONTAL, min, MAX(max, min + step), step);
	gtk_scale_set_draw_value(GTK_SCALE(scale), FALSE);
	gtk_range_set_value(GTK_RANGE(scale), value);
	double *limits = g_new(double, 2);
	limits[0] = min, limits[1] = step;
	g_signal_connect_data(scale, "value-changed", G_CALLBACK(on_scale_moved), limits, (GClosureNotify)(void (*)(void))g_free, 0);
	ui_name(scale, name);
	return scale;
}

GtkWidget *ui_space(void)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
	gtk_widget_set_hexpand(box, TRUE);
	return box;
}

GtkWidget *ui_scroller(GtkWidget *child)
{
	GtkWidget *scroller = gtk_scrolled_window_new(NULL, NULL);
	gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
	gtk_container_add(GTK_CONTAINER(scroller), child);
	gtk_widget_set_vexpand(scroller, TRUE);
	gtk_widget_set_hexpand(scroller, TRUE);
	return scroller;
}

GtkWidget *ui_tall_scroller(GtkWidget *child)
{
	GtkWidget *scroller = ui_scroller(child);
	gtk_scrolled_window_set_propagate_natural_height(GTK_SCROLLED_WINDOW(scroller), TRUE);
	return scroller;
}

GtkWidget *ui_row(const char *title, const char *about, GtkWidget *control)
{
	GtkWidget *row = ui_box(GTK_ORIENTATION_HORIZONTAL, 24, "row");
	GtkWidget *text = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
	gtk_widget_set_valign(text, GTK_ALIGN_CENTER);
	gtk_container_add(GTK_CONTAINER(text), ui_label(title, "row-title"));
	if (about)
		gtk_container_add(GTK_CONTAINER(text), ui_paragraph(about, "dim small"));
	gtk_box_pack_start(GTK_BOX(row), text, TRUE, TRUE, 0);
	if (control)
		gtk_box_pack_end(GTK_BOX(row), control, FALSE, FALSE, 0);
	return row;
}

GtkWidget *ui_wide_row(const char *title, GtkWidget *value, GtkWidget *control)
{
	GtkWidget *row = ui_box(GTK_ORIENTATION_VERTICAL, 8, "row"), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
	gtk_box_pack_start(GTK_BOX(line), ui_label(title, "row-title"), TRUE, TRUE, 0);
	if (value)
		gtk_box_pack_end(GTK_BOX(line), value, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(row), line);
	gtk_container_add(GTK_CONTAINER(row), control);
	return row;
}

GtkWidget *ui_group(const char *title)
{
	GtkWidget *group = ui_box(GTK_ORIENTATION_VERTICAL, 0, "group");
	if (title)
		gtk_container_add(GTK_CONTAINER(group), ui_label(title, "group-title"));
	return group;
}

/* ---- one of several ---- */

typedef struct {
	UiChosen chosen;
	gpointer data;
	gboolean quiet;
	char *extra; /* a palette's colour that is not ours */
} Choice;

static void choice_free(gpointer data)
{
	Choice *choice = data;
	g_free(choice->extra);
	g_free(choice);
}

static void on_toggled(GtkToggleButton *button, gpointer data)
{
	GtkWidget *box = data;
	Choice *choice = g_object_get_data(G_OBJECT(box), "carrel-choice");
	if (gtk_toggle_button_get_active(button) && !choice->quiet && choice->chosen)
		choice->chosen(ui_choice_active(box), choice->data);
}

static GtkWidget *choice_box(const char *name, const char *classes, UiChosen chosen, gpointer data)
{
	GtkWidget *box = ui_box(GTK_ORIENTATION_HORIZONTAL, 0, classes);
	Choice *choice = g_new0(Choice, 1);
	choice->chosen = chosen;
	choice->data = data;
	g_object_set_data_full(G_OBJECT(box), "carrel-choice", choice, choice_free);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	ui_name(box, name);
	return box;
}

static GtkWidget *choice_add(GtkWidget *box, GtkWidget *child, const char *name, gboolean active)
{
	g_autoptr(GList) others = gtk_container_get_children(GTK_CONTAINER(box));
	GtkWidget *button = gtk_radio_button_new_from_widget(others ? others->data : NULL);
	gtk_toggle_button_set_mode(GTK_TOGGLE_BUTTON(button), FALSE);
	gtk_container_add(GTK_CONTAINER(button), child);
	ui_name(button, name);
	if (active)
		gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(button), TRUE);
	g_signal_connect(button, "toggled", G_CALLBACK(on_toggled), box);
	gtk_container_add(GTK_CONTAINER(box), button);
	return button;
}

GtkWidget *ui_choice(const char *name, const char *const *labels, guint active, UiChosen chosen, gpointer data)
{
	GtkWidget *box = choice_box(name, "choice", chosen, data);
	for (guint i = 0; labels[i]; i++)
		choice_add(box, gtk_label_new(labels[i]), labels[i], i == active);
	return box;
}

guint ui_choice_active(GtkWidget *choice)
{
	g_autoptr(GList) buttons = gtk_container_get_children(GTK_CONTAINER(choice));
	guint index = 0;
	for (GList *l = buttons; l; l = l->next, index++)
		if (gtk_toggle_button_get_active(l->data))
			return index;
	return 0;
}

void ui_choice_set(GtkWidget *box, guint active)
{
	g_autoptr(GList) buttons = gtk_container_get_children(GTK_CONTAINER(box));
	Choice *choice = g_object_get_data(G_OBJECT(box), "carrel-choice");
	GtkWidget *button = g_list_nth_data(buttons, active);
	choice->quiet = TRUE;
	if (button)
		gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(button), TRUE);
	choice->quiet = FALSE;
}

static gboolean draw_dot(GtkWidget *widget, cairo_t *cr, gpointer data)
{
	(void)data;
	GdkRGBA colour;
	colour_parse(g_object_get_data(G_OBJECT(widget), "carrel-colour"), &colour);
	double width = gtk_widget_get_allocated_width(widget), height = gtk_widget_get_allocated_height(widget);
	cairo_arc(cr, width / 2, height / 2, MIN(width, height) / 2, 0, 2 * G_PI);
	gdk_cairo_set_source_rgba(cr, &colour);
	cairo_fill(cr);
	return FALSE;
}

GtkWidget *ui_dot(const char *colour, int size)
{
	GtkWidget *dot = gtk_drawing_area_new();
	gtk_widget_set_size_request(dot, size, size);
	gtk_widget_set_valign(dot, GTK_ALIGN_CENTER);
	gtk_widget_set_halign(dot, GTK_ALIGN_CENTER);
	g_signal_connect(dot, "draw", G_CALLBACK(draw_dot), NULL);
	ui_dot_set(dot, colour);
	return dot;
}

void ui_dot_set(GtkWidget *dot, const char *colour)
{
	if (g_strcmp0(g_object_get_data(G_OBJECT(dot), "carrel-colour"), colour) == 0)
		return;
	g_object_set_data_full(G_OBJECT(dot), "carrel-colour", g_strdup(colour), g_free);
	gtk_widget_queue_draw(dot);
}

GtkWidget *ui_palette(const char *active, UiChosen chosen, gpointer data)
{
	GtkWidget *box = choice_box(_("Colour"), "palette", chosen, data);
	Choice *choice = g_object_get_data(G_OBJECT(box), "carrel-choice");
	gboolean ours = FALSE;
	guint i = 0;
	for (; ui_colours[i]; i++) {
		gboolean same = active && g_ascii_strcasecmp(active, ui_colours[i]) == 0;
		ours |= same;
		gtk_widget_set_tooltip_text(choice_add(box, ui_dot(ui_colours[i], 22), _(colour_names[i]), same), _(colour_names[i]));
	}
	if (active && active[0] && !ours) {
		choice->extra = g_strdup(active);
		choice_add(box, ui_dot(active, 22), _(colour_names[i]), TRUE);
	}
	return box;
}

const char *ui_palette_colour(GtkWidget *palette)
{
	Choice *choice = g_object_get_data(G_OBJECT(palette), "carrel-choice");
	guint index = ui_choice_active(palette);
	return index < g_strv_length((GStrv)ui_colours) ? ui_colours[index] : choice->extra;
}

/* ---- menus ---- */

GtkWidget *ui_menu(GtkWidget *owner)
{
	GtkWidget *menu = gtk_popover_new(owner), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
	gtk_popover_set_modal(GTK_POPOVER(menu), TRUE);
	gtk_container_add(GTK_CONTAINER(menu), box);
	gtk_widget_show(box);
	ui_class(menu, "menu");
	ui_name(menu, _("Menu"));
	return menu;
}

GtkWidget *ui_menu_item(GtkWidget *menu, const char *icon, const char *label, GCallback clicked, gpointer data)
{
	GtkWidget *item = ui_button(icon, label, "menu-item");
	gtk_widget_set_halign(gtk_bin_get_child(GTK_BIN(item)), GTK_ALIGN_START);
	g_signal_connect_swapped(item, "clicked", G_CALLBACK(gtk_popover_popdown), menu);
	g_signal_connect_swapped(item, "clicked", clicked, data);
	gtk_container_add(GTK_CONTAINER(gtk_bin_get_child(GTK_BIN(menu))), item);
	gtk_widget_show_all(item);
	return item;
}

void ui_menu_line(GtkWidget *menu)
{
	GtkWidget *line = gtk_separator_new(GTK_ORIENTATION_HORIZONTAL);
	gtk_container_add(GTK_CONTAINER(gtk_bin_get_child(GTK_BIN(menu))), line);
	gtk_widget_show(line);
}

void ui_menu_clear(GtkWidget *menu)
{
	gtk_container_foreach(GTK_CONTAINER(gtk_bin_get_child(GTK_BIN(menu))), (GtkCallback)(void (*)(void))gtk_widget_destroy, NULL);
}
