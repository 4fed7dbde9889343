/* SPDX-License-Identifier: Apache-2.0 */
#include "icon.h"

#include <math.h>
#include <string.h>

/* A drawing is words apart by blanks: "M x y" goes, "L x y" draws a line, "C x1 y1 x2 y2 x y" a curve, "A x y r from to" an
 * arc (degrees, clockwise), "O x y r" a circle, "R x y w h r" a rectangle with round corners, "Z" closes, "F" fills what
 * there is so far, "S" strokes it. "W n" sets the pen's width. "H x y w h" fills a rectangle's left part up to the
 * level. The end strokes. */
static const struct {
	const char *name, *drawing;
} icons[] = {
	{"plus", "M 12 5 L 12 19 M 5 12 L 19 12"},
	{"close", "M 6.5 6.5 L 17.5 17.5 M 17.5 6.5 L 6.5 17.5"},
	{"check", "M 5 12.5 L 10 17.5 L 19.5 7"},
	{"back", "M 14.5 5.5 L 8 12 L 14.5 18.5"},
	{"next", "M 9.5 5.5 L 16 12 L 9.5 18.5"},
	{"more", "O 5.5 12 1.7 F O 12 12 1.7 F O 18.5 12 1.7 F"},
	{"gear", "O 12 12 3.1 S O 12 12 6.6 S W 2.4 M 12 3 L 12 5 M 12 19 L 12 21 M 3 12 L 5 12 M 19 12 L 21 12 "
		"M 5.65 5.65 L 7.05 7.05 M 16.95 16.95 L 18.35 18.35 M 5.65 18.35 L 7.05 16.95 M 16.95 7.05 L 18.35 5.65"},
	{"lock", "R 5 10.5 14 9.5 2.5 S M 8 10.5 L 8 8 A 12 8 4 180 360 L 16 10.5 S M 12 14.3 L 12 16.2"},
	{"key", "O 8 15.5 4 S M 11 12.7 L 19 4.7 M 16 7.7 L 18.8 10.4"},
	{"power", "M 12 3.5 L 12 11.5 S A 12 13 7.5 -52 232"},
	{"restart", "A 12 12 7.5 -30 250 S M 19 3.7 L 18.8 8.4 L 14.1 8.2"},
	{"moon", "M 19.5 14.2 C 14 16.5 7.6 12 9.4 4.6 C 5.5 6 3.4 10 4.6 14 C 6.5 20.5 16 21.6 19.5 14.2 Z"},
	{"sun", "O 12 12 4 S M 12 3 L 12 4.6 M 12 19.4 L 12 21 M 3 12 L 4.6 12 M 19.4 12 L 21 12 M 5.6 5.6 L 6.8 6.8 "
		"M 17.2 17.2 L 18.4 18.4 M 5.6 18.4 L 6.8 17.2 M 17.2 6.8 L 18.4 5.6"},
	{"play", "M 8 5.2 L 18.5 12 L 8 18.8 Z F M 8 5.2 L 18.5 12 L 8 18.8 Z"},
	{"pause", "W 3 M 8.5 6 L 8.5 18 M 15.5 6 L 15.5 18"},
	{"stop", "R 6.5 6.5 11 11 2 F"},
	{"warning", "M 12 4.2 L 20.8 19 L 3.2 19 Z S M 12 10 L 12 14 S O 12 16.4 0.9 F"},
	{"info", "O 12 12 8.5 S M 12 11 L 12 16 S O 12 8 1 F"},
	{"screen", "R 3 4.5 18 12 2 S M 9 20 L 15 20 M 12 16.5 L 12 20"},
	{"usb", "R 8 9.5 8 11 2.5 S M 9.5 9.5 L 9.5 4 L 14.5 4 L 14.5 9.5 S M 11 6.5 L 11 6.6 M 13 6.5 L 13 6.6"},
	{"camera", "R 3 7 13 10 2.5 S M 16 11 L 21 8.3 L 21 15.7 L 16 13"},
	{"microphone", "R 9 3.5 6 10.5 3 S A 12 11 6.5 0 180 S M 12 17.5 L 12 20.5 M 9 20.5 L 15 20.5"},
	{"chip", "R 6.5 6.5 11 11 2 S M 9.5 3.5 L 9.5 6.5 M 14.5 3.5 L 14.5 6.5 M 9.5 17.5 L 9.5 20.5 M 14.5 17.5 L 14.5 20.5 "
		"M 3.5 9.5 L 6.5 9.5 M 3.5 14.5 L 6.5 14.5 M 17.5 9.5 L 20.5 9.5 M 17.5 14.5 L 20.5 14.5"},
	{"memory", "R 3 7.5 18 8 1.5 S M 7 10.5 L 7 12.5 M 10.5 10.5 L 10.5 12.5 M 14 10.5 L 14 12.5 M 17.3 10.5 L 17.3 12.5 "
		"M 7 15.5 L 7 18 M 12 15.5 L 12 18 M 17 15.5 L 17 18"},
	{"disk", "R 4 5 16 14 2.5 S M 4 13.5 L 20 13.5 S O 16.5 16.3 0.8 F"},
	{"snapshot", "O 12 12 8.5 S M 12 7 L 12 12 L 15.5 14"},
	{"revert", "M 5 9.5 L 14 9.5 A 14 14 4.5 -90 90 L 8 18.5 S M 8.8 5.5 L 4.8 9.5 L 8.8 13.5"},
	{"trash", "M 4.5 7 L 19.5 7 S M 9 7 L 9 4.5 L 15 4.5 L 15 7 S M 6.5 7 L 7.3 19.5 L 16.7 19.5 L 17.5 7 S "
		"M 10.3 10.5 L 10.5 16 M 13.7 10.5 L 13.5 16"},
	{"globe", "O 12 12 8.5 S M 3.5 12 L 20.5 12 S M 12 3.5 C 6.8 8 6.8 16 12 20.5 C 17.2 16 17.2 8 12 3.5 Z"},
	{"shared", "O 12 5.8 2.6 S O 5.6 17.6 2.6 S O 18.4 17.6 2.6 S M 10.8 8.2 L 6.9 15.3 M 13.2 8.2 L 17.1 15.3 M 8.3 17.6 L 15.7 17.6"},
	{"offline", "A 12 18 11 225 315 S A 12 18 6.5 225 315 S O 12 17.5 1.3 F M 4.5 4.5 L 19.5 19.5"},
	{"wifi", "A 12 18.5 12 225 315 S A 12 18.5 7.5 225 315 S A 12 18.5 3.2 225 315 S O 12 18 1.1 F"},
	{"wired", "R 9 3.5 6 5 1.2 S R 3 15.5 6 5 1.2 S R 15 15.5 6 5 1.2 S M 12 8.5 L 12 12 M 6 15.5 L 6 12 L 18 12 L 18 15.5"},
	{"battery", "R 2.5 7.5 17 9 2.5 S W 2.2 M 21.6 11 L 21.6 13 S H 4.6 9.6 12.8 4.8"},
	{"charging", "R 2.5 7.5 17 9 2.5 S W 2.2 M 21.6 11 L 21.6 13 S W 1.4 M 11.8 8.6 L 8.6 12.4 L 13.4 11.6 L 10.2 15.4"},
	{"volume", "M 4 9.5 L 7.5 9.5 L 12 5.5 L 12 18.5 L 7.5 14.5 L 4 14.5 Z S A 12 12 4 -42 42 S A 12 12 7.8 -42 42"},
	{"muted", "M 4 9.5 L 7.5 9.5 L 12 5.5 L 12 18.5 L 7.5 14.5 L 4 14.5 Z S M 15.5 9.5 L 20.5 14.5 M 20.5 9.5 L 15.5 14.5"},
	{"brightness", "O 12 12 4 F O 12 12 4 S M 12 3 L 12 4.6 M 12 19.4 L 12 21 M 3 12 L 4.6 12 M 19.4 12 L 21 12 "
		"M 5.6 5.6 L 6.8 6.8 M 17.2 17.2 L 18.4 18.4 M 5.6 18.4 L 6.8 17.2 M 17.2 6.8 L 18.4 5.6"},
	{"keyboard", "R 2.5 6 19 12 2.5 S M 6 10 L 6.1 10 M 9 10 L 9.1 10 M 12 10 L 12.1 10 M 15 10 L 15.1 10 M 18 10 L 18.1 10 "
		"M 8 14 L 16 14"},
	{"palette", "O 12 12 8.5 S O 8.5 9.5 1.3 F O 13 7.8 1.3 F O 16.4 11.4 1.3 F O 9 14.8 1.3 F"},
	{"template", "R 4 8 12 12 2.5 S M 8 8 L 8 6.5 C 8 5 9 4 10.5 4 L 17.5 4 C 19 4 20 5 20 6.5 L 20 13.5 C 20 15 19 16 17.5 16 L 16 16"},
	{"carrel", "W 2 M 5 20 L 5 8 C 5 5.5 6.5 4 9 4 L 15 4 C 17.5 4 19 5.5 19 8 L 19 20 S M 5 14 L 19 14 S M 12 4 L 12 14"},
};

typedef struct {
	const char *name;
	double level;
} Icon;

static const char *drawing_of(const char *name)
{
	for (gsize i = 0; name && i < G_N_ELEMENTS(icons); i++)
		if (strcmp(icons[i].name, name) == 0)
			return icons[i].drawing;
	return "";
}

static void round_rectangle(cairo_t *cr, const double *n)
{
	double x = n[0], y = n[1], w = n[2], h = n[3], r = n[4];
	cairo_new_sub_path(cr);
	cairo_arc(cr, x + w - r, y + r, r, -G_PI_2, 0);
	cairo_arc(cr, x + w - r, y + h - r, r, 0, G_PI_2);
	cairo_arc(cr, x + r, y + h - r, r, G_PI_2, G_PI);
	cairo_arc(cr, x + r, y + r, r, G_PI, 3 * G_PI_2);
	cairo_close_path(cr);
}

static void draw_word(cairo_t *cr, char op, const double *n, double level)
{
	switch (op) {
	case 'M':
		cairo_move_to(cr, n[0], n[1]);
		break;
	case 'L':
		cairo_line_to(cr, n[0], n[1]);
		break;
	case 'C':
		cairo_curve_to(cr, n[0], n[1], n[2], n[3], n[4], n[5]);
		break;
	case 'A':
		cairo_arc(cr, n[0], n[1], n[2], n[3] * G_PI / 180, n[4] * G_PI / 180);
		break;
	case 'O':
		cairo_new_sub_path(cr);
		cairo_arc(cr, n[0], n[1], n[2], 0, 2 * G_PI);
		break;
	case 'R':
		round_rectangle(cr, n);
		break;
	case 'H':
		round_rectangle(cr, (double[]){n[0], n[1], MAX(n[2] * CLAMP(level, 0, 1), 2), n[3], 1});
		cairo_fill(cr);
		break;
	case 'W':
		cairo_set_line_width(cr, n[0]);
		break;
	case 'Z':
		cairo_close_path(cr);
		break;
	case 'F':
		cairo_fill(cr);
		break;
	case 'S':
		cairo_stroke(cr);
		break;
	}
}

void icon_draw(cairo_t *cr, const char *name, double level, double x, double y, double size)
{
	cairo_save(cr);
	cairo_translate(cr, x, y);
	cairo_scale(cr, size / 24, size / 24);
	cairo_set_line_width(cr, size < 20 ? 2 : 1.7);
	cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
	cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
	cairo_new_path(cr);
	for (const char *p = drawing_of(name); *p;) {
		char op = *p++, *end;
		double numbers[6] = {0};
		for (int i = 0; i < 6; i++) {
			numbers[i] = g_ascii_strtod(p, &end);
			if (end == p)
				break;
			p = end;
		}
		draw_word(cr, op, numbers, level);
		while (*p == ' ')
			p++;
	}
	cairo_stroke(cr);
	cairo_restore(cr);
}

static Icon *icon_of(GtkWidget *widget)
{
	return g_object_get_data(G_OBJECT(widget), "carrel-icon");
}

static gboolean on_draw(GtkWidget *widget, cairo_t *cr, gpointer data)
{
	Icon *icon = data;
	GdkRGBA colour;
	GtkStyleContext *style = gtk_widget_get_style_context(widget);
	gtk_style_context_get_color(style, gtk_style_context_get_state(style), &colour);
	gdk_cairo_set_source_rgba(cr, &colour);
	int width = gtk_widget_get_allocated_width(widget), height = gtk_widget_get_allocated_height(widget);
	int size = MIN(width, height);
	icon_draw(cr, icon->name, icon->level, (width - size) / 2, (height - size) / 2, size);
	return FALSE;
}

GtkWidget *icon_new(const char *name, int size)
{
	GtkWidget *widget = gtk_drawing_area_new();
	Icon *icon = g_new0(Icon, 1);
	icon->name = g_intern_string(name);
	icon->level = 1;
	g_object_set_data_full(G_OBJECT(widget), "carrel-icon", icon, g_free);
	gtk_widget_set_size_request(widget, size, size);
	gtk_widget_set_halign(widget, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(widget, GTK_ALIGN_CENTER);
	g_signal_connect(widget, "draw", G_CALLBACK(on_draw), icon);
	gtk_widget_show(widget);
	return widget;
}

void icon_set(GtkWidget *widget, const char *name)
{
	if (g_strcmp0(icon_of(widget)->name, name) == 0)
		return;
	icon_of(widget)->name = g_intern_string(name);
	gtk_widget_queue_draw(widget);
}

const char *icon_name(GtkWidget *widget)
{
	return icon_of(widget)->name;
}

void icon_set_level(GtkWidget *widget, double level)
{
	Icon *icon = icon_of(widget);
	if (level >= icon->level && level <= icon->level)
		return;
	icon->level = level;
	gtk_widget_queue_draw(widget);
}
