/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's picture: its screen as the compositor sees it, or a placeholder in its colour. */
#include "ui.h"

#include "format.h"
#include "icon.h"

#define RADIUS 20.0

typedef struct {
	Ui *ui;
	CarrelVm1 *vm;
	char *look; /* all that it was drawn from but the picture's pixels */
} Thumb;

static void thumb_free(gpointer data)
{
	Thumb *thumb = data;
	g_object_unref(thumb->vm);
	g_free(thumb->look);
	g_free(thumb);
}

static void clip_top_corners(cairo_t *cr, double width, double height)
{
	cairo_new_path(cr);
	cairo_move_to(cr, 0, height);
	cairo_arc(cr, RADIUS, RADIUS, RADIUS, G_PI, 1.5 * G_PI);
	cairo_arc(cr, width - RADIUS, RADIUS, RADIUS, 1.5 * G_PI, 2 * G_PI);
	cairo_line_to(cr, width, height);
	cairo_close_path(cr);
	cairo_clip(cr);
}

static GdkRGBA mix(const GdkRGBA *a, const GdkRGBA *b, double share)
{
	return (GdkRGBA){a->red + (b->red - a->red) * share, a->green + (b->green - a->green) * share,
		a->blue + (b->blue - a->blue) * share, 1};
}

static void add_stop(cairo_pattern_t *pattern, double at, const GdkRGBA *c)
{
	cairo_pattern_add_color_stop_rgb(pattern, at, c->red, c->green, c->blue);
}

static void draw_monogram(GtkWidget *widget, cairo_t *cr, CarrelVm1 *vm, double width, double height, double alpha)
{
	g_autofree char *title = vm_title(vm);
	gunichar first = title[0] ? g_unichar_toupper(g_utf8_get_char(title)) : '?';
	char letter[8] = {0};
	g_unichar_to_utf8(first, letter);
	g_autoptr(PangoLayout) layout = gtk_widget_create_pango_layout(widget, letter);
	PangoFontDescription *font = pango_font_description_copy(pango_context_get_font_description(gtk_widget_get_pango_context(widget)));
	pango_font_description_set_absolute_size(font, height * 0.36 * PANGO_SCALE);
	pango_font_description_set_weight(font, PANGO_WEIGHT_LIGHT);
	pango_layout_set_font_description(layout, font);
	pango_font_description_free(font);
	PangoRectangle ink;
	pango_layout_get_pixel_extents(layout, &ink, NULL);
	cairo_move_to(cr, (width - ink.width) / 2 - ink.x, (height - ink.height) / 2 - ink.y);
	cairo_set_source_rgba(cr, 1, 1, 1, alpha);
	pango_cairo_show_layout(cr, layout);
}

static void draw_placeholder(GtkWidget *widget, cairo_t *cr, Thumb *thumb, double width, double height)
{
	GdkRGBA colour, from, to, black = {0.05, 0.07, 0.10, 1}, white = {1, 1, 1, 1};
	GdkRGBA rest = thumb->ui->dark ? (GdkRGBA){0.19, 0.22, 0.26, 1} : (GdkRGBA){0.62, 0.66, 0.71, 1};
	gboolean live = state_is_live(carrel_vm1_get_state(thumb->vm));
	colour_parse(carrel_vm1_get_colour(thumb->vm), &colour);
	if (!live)
		colour = mix(&colour, &rest, 0.72);
	from = mix(&colour, &white, live ? 0.10 : 0.02);
	to = mix(&colour, &black, live ? 0.42 : 0.30);
	cairo_pattern_t *gradient = cairo_pattern_create_linear(0, 0, width * 0.7, height);
	add_stop(gradient, 0, &from);
	add_stop(gradient, 1, &to);
	cairo_set_source(cr, gradient);
	cairo_paint(cr);
	cairo_pattern_destroy(gradient);
	cairo_set_source_rgba(cr, 1, 1, 1, 0.05);
	cairo_arc(cr, width * 0.86, height * 0.12, height * 0.62, 0, 2 * G_PI);
	cairo_fill(cr);
	cairo_arc(cr, width * 0.08, height * 1.02, height * 0.48, 0, 2 * G_PI);
	cairo_fill(cr);
	draw_monogram(widget, cr, thumb->vm, width, height, live ? 0.95 : 0.65);
}

static void draw_picture(cairo_t *cr, cairo_surface_t *picture, double width, double height)
{
	double w = cairo_image_surface_get_width(picture), h = cairo_image_surface_get_height(picture);
	double scale = MAX(width / w, height / h);
	cairo_save(cr);
	cairo_translate(cr, (width - w * scale) / 2, (height - h * scale) / 2);
	cairo_scale(cr, scale, scale);
	cairo_set_source_surface(cr, picture, 0, 0);
	cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
	cairo_paint(cr);
	cairo_restore(cr);
}

void thumb_show(GtkWidget *widget)
{
	Thumb *thumb = g_object_get_data(G_OBJECT(widget), "carrel-thumb");
	const char *name = carrel_vm1_get_name(thumb->vm);
	g_autofree char *title = vm_title(thumb->vm);
	g_autofree char *look = g_strdup_printf("%s %s %d %s", carrel_vm1_get_state(thumb->vm), carrel_vm1_get_colour(thumb->vm),
		name && ui_desk_thumbnail(thumb->ui->desk, name) != NULL, title);
	if (g_strcmp0(look, thumb->look) == 0)
		return;
	g_free(thumb->look);
	thumb->look = g_steal_pointer(&look);
	gtk_widget_queue_draw(widget);
}

static gboolean on_draw(GtkWidget *widget, cairo_t *cr, gpointer data)
{
	Thumb *thumb = data;
	double width = gtk_widget_get_allocated_width(widget), height = gtk_widget_get_allocated_height(widget);
	const char *name = carrel_vm1_get_name(thumb->vm), *state = carrel_vm1_get_state(thumb->vm);
	gboolean live = state_is_live(state) && g_strcmp0(state, "starting") != 0;
	cairo_surface_t *picture = live && name ? ui_desk_thumbnail(thumb->ui->desk, name) : NULL;
	clip_top_corners(cr, width, height);
	if (picture)
		draw_picture(cr, picture, width, height);
	else
		draw_placeholder(widget, cr, thumb, width, height);
	if (live && g_strcmp0(state, "running") != 0) { /* it stands still */
		cairo_set_source_rgba(cr, 0.05, 0.07, 0.10, 0.45);
		cairo_paint(cr);
	}
	GdkRGBA colour;
	colour_parse(carrel_vm1_get_colour(thumb->vm), &colour);
	gdk_cairo_set_source_rgba(cr, &colour);
	cairo_rectangle(cr, 0, height - 4, width, 4);
	cairo_fill(cr);
	return FALSE;
}

GtkWidget *thumb_new(Ui *ui, CarrelVm1 *vm, int width, int height)
{
	GtkWidget *widget = gtk_drawing_area_new();
	Thumb *thumb = g_new0(Thumb, 1);
	thumb->ui = ui;
	thumb->vm = g_object_ref(vm);
	g_object_set_data_full(G_OBJECT(widget), "carrel-thumb", thumb, thumb_free);
	gtk_widget_set_size_request(widget, width, height);
	g_signal_connect(widget, "draw", G_CALLBACK(on_draw), thumb);
	return widget;
}
