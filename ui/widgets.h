/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that every screen is made of. Whatever can be focused gets a name for screen readers here. Class names are those of
 * style/style.css. */
#ifndef CARREL_UI_WIDGETS_H
#define CARREL_UI_WIDGETS_H

#include <gtk/gtk.h>

void ui_class(GtkWidget *widget, const char *classes);                    /* adds each of them, blanks between */
void ui_set_class(GtkWidget *widget, const char *class, gboolean on);
void ui_name(GtkWidget *widget, const char *name);                        /* for screen readers */
/* What is shown already costs nothing: GTK would lay out and draw it anew. */
void ui_set_text(GtkWidget *label, const char *text);
void ui_set_tooltip(GtkWidget *widget, const char *text);
void ui_set_fraction(GtkWidget *bar, double fraction);
GtkWidget *ui_box(GtkOrientation orientation, int spacing, const char *classes);
GtkWidget *ui_label(const char *text, const char *classes);               /* one line, ellipsis at the end */
GtkWidget *ui_paragraph(const char *text, const char *classes);           /* wraps */
GtkWidget *ui_button(const char *icon, const char *label, const char *classes); /* icon or label may be NULL, not both */
GtkWidget *ui_icon_button(const char *icon, const char *name, const char *classes);
void ui_button_set_label(GtkWidget *button, const char *label);
GtkWidget *ui_entry(const char *name, const char *placeholder, guint max_length);
GtkWidget *ui_secret_entry(const char *name);
GtkWidget *ui_switch(const char *name, gboolean on);
GtkWidget *ui_scale(const char *name, double min, double max, double step, double value);
GtkWidget *ui_space(void); /* takes what room there is */
GtkWidget *ui_scroller(GtkWidget *child);
GtkWidget *ui_tall_scroller(GtkWidget *child); /* as tall as its child when there is room */

/* A row of settings: what it is, a word about it (or NULL), and its control at the right. */
GtkWidget *ui_row(const char *title, const char *about, GtkWidget *control);
/* The same with the control below, over the whole width; value (may be NULL) is shown at the right of the title. */
GtkWidget *ui_wide_row(const char *title, GtkWidget *value, GtkWidget *control);
GtkWidget *ui_group(const char *title); /* rows are packed into it */

/* One of several, side by side. changed is called with the index when the person chose. */
typedef void (*UiChosen)(guint index, gpointer data);
GtkWidget *ui_choice(const char *name, const char *const *labels, guint active, UiChosen chosen, gpointer data);
guint ui_choice_active(GtkWidget *choice);
void ui_choice_set(GtkWidget *choice, guint active); /* chosen is not called */
/* A colour out of our palette; a colour that is not in it is shown as one more. */
GtkWidget *ui_palette(const char *active, UiChosen chosen, gpointer data);
const char *ui_palette_colour(GtkWidget *palette); /* #rrggbb */
extern const char *const ui_colours[]; /* NULL at the end */

/* A dot in a VM's colour. */
GtkWidget *ui_dot(const char *colour, int size);
void ui_dot_set(GtkWidget *dot, const char *colour);

/* A menu: a popover of buttons. */
GtkWidget *ui_menu(GtkWidget *owner);
GtkWidget *ui_menu_item(GtkWidget *menu, const char *icon, const char *label, GCallback clicked, gpointer data);
void ui_menu_line(GtkWidget *menu);
void ui_menu_clear(GtkWidget *menu);
#endif
