/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the screen until the switcher is: the mark, the name, and below them as many of a few dashes lit as steps of the
 * start are done. It stands where the switcher's own first page (ui/theme.c) has the same, so that one becomes the other. */
#include "desk.h"

#include <math.h>
#include <pango/pangocairo.h>

#define WIDTH     320
#define MARK      96 /* its drawing has a grid of 24 */
#define NAME_SIZE 34
#define NAME_TOP  (MARK + 22)
#define DASH_TOP  (NAME_TOP + 80)
#define DASH      26
#define DASH_GAP  8
#define DASH_PEN  3
#define HEIGHT    (DASH_TOP + DASH_PEN + 6)

static const double accent[3] = {0.345, 0.710, 0.675}, letters[3] = {0.929, 0.945, 0.961};

/* A desk between two walls below an arch: a carrel. */
static void draw_mark(cairo_t *cairo)
{
	cairo_save(cairo);
	cairo_translate(cairo, (WIDTH - MARK) / 2.0, 0);
	cairo_scale(cairo, MARK / 24.0, MARK / 24.0);
	cairo_set_source_rgb(cairo, accent[0], accent[1], accent[2]);
	cairo_set_line_width(cairo, 2);
	cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
	cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
	cairo_move_to(cairo, 5, 20);
	cairo_line_to(cairo, 5, 8);
	cairo_curve_to(cairo, 5, 5.5, 6.5, 4, 9, 4);
	cairo_line_to(cairo, 15, 4);
	cairo_curve_to(cairo, 17.5, 4, 19, 5.5, 19, 8);
	cairo_line_to(cairo, 19, 20);
	cairo_move_to(cairo, 5, 14);
	cairo_line_to(cairo, 19, 14);
	cairo_move_to(cairo, 12, 4);
	cairo_line_to(cairo, 12, 14);
	cairo_stroke(cairo);
	cairo_restore(cairo);
}

static void draw_name(cairo_t *cairo)
{
	PangoLayout *layout = pango_cairo_create_layout(cairo);
	PangoFontDescription *font = pango_font_description_from_string("Inter, Noto Sans, DejaVu Sans, Sans Light");
	PangoAttrList *list = pango_attr_list_new();
	PangoRectangle ink;

	pango_font_description_set_absolute_size(font, NAME_SIZE * PANGO_SCALE);
	pango_attr_list_insert(list, pango_attr_letter_spacing_new(6 * PANGO_SCALE));
	pango_layout_set_font_description(layout, font);
	pango_layout_set_attributes(layout, list);
	pango_layout_set_text(layout, "Carrel", -1);
	pango_layout_get_pixel_extents(layout, &ink, NULL);
	cairo_set_source_rgb(cairo, letters[0], letters[1], letters[2]);
	cairo_move_to(cairo, (WIDTH - ink.width) / 2.0 - ink.x, NAME_TOP);
	pango_cairo_show_layout(cairo, layout);
	pango_attr_list_unref(list);
	pango_font_description_free(font);
	g_object_unref(layout);
}

static void draw_dashes(cairo_t *cairo, guint steps)
{
	double x = (WIDTH - (SPLASH_STEPS * DASH + (SPLASH_STEPS - 1) * DASH_GAP)) / 2.0, y = DASH_TOP + DASH_PEN / 2.0;

	cairo_set_line_width(cairo, DASH_PEN);
	cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
	for (guint i = 0; i < SPLASH_STEPS; i++, x += DASH + DASH_GAP) {
		const double *colour = i < steps ? accent : letters;

		cairo_set_source_rgba(cairo, colour[0], colour[1], colour[2], i < steps ? 1 : 0.16);
		cairo_move_to(cairo, x + DASH_PEN / 2.0, y);
		cairo_line_to(cairo, x + DASH - DASH_PEN / 2.0, y);
		cairo_stroke(cairo);
	}
}

void splash_set(Text *text, double scale, guint steps)
{
	g_autofree char *made_of = g_strdup_printf("splash|%g|%u", scale, steps);
	cairo_surface_t *surface;
	cairo_t *cairo;

	if (text_is(text, made_of))
		return;
	surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)ceil(WIDTH * scale), (int)ceil(HEIGHT * scale));
	cairo = cairo_create(surface);
	cairo_scale(cairo, scale, scale);
	draw_mark(cairo);
	draw_name(cairo);
	draw_dashes(cairo, steps);
	cairo_destroy(cairo);
	text_take(text, surface, WIDTH, HEIGHT, g_steal_pointer(&made_of));
}
