/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <drm_fourcc.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>
#include <wlr/interfaces/wlr_buffer.h>

typedef struct {
	struct wlr_buffer base;
	cairo_surface_t *surface;
} TextBuffer;

static void buffer_destroy(struct wlr_buffer *base)
{
	TextBuffer *buffer = wl_container_of(base, buffer, base);

	cairo_surface_destroy(buffer->surface);
	g_free(buffer);
}

static bool buffer_begin(struct wlr_buffer *base, uint32_t flags, void **data, uint32_t *format, size_t *stride)
{
	TextBuffer *buffer = wl_container_of(base, buffer, base);

	if (flags & WLR_BUFFER_DATA_PTR_ACCESS_WRITE)
		return false;
	*data = cairo_image_surface_get_data(buffer->surface);
	*format = DRM_FORMAT_ARGB8888;
	*stride = (size_t)cairo_image_surface_get_stride(buffer->surface);
	return true;
}

static void buffer_end(struct wlr_buffer *base)
{
	(void)base;
}

static const struct wlr_buffer_impl buffer_impl = {
	.destroy = buffer_destroy,
	.begin_data_ptr_access = buffer_begin,
	.end_data_ptr_access = buffer_end,
};

static PangoAttrList *attributes(const TextStyle *style, const char *string)
{
	PangoAttrList *list = pango_attr_list_new();
	const char *end = strchr(string, '\n');
	PangoAttribute *bold = pango_attr_weight_new(PANGO_WEIGHT_BOLD), *large = pango_attr_scale_new(1.25);

	bold->end_index = large->end_index = end ? (guint)(end - string) : G_MAXUINT;
	pango_attr_list_insert(list, bold);
	if (style->heading)
		pango_attr_list_insert(list, large);
	else
		pango_attribute_destroy(large);
	return list;
}

static void outline(cairo_t *cairo, const TextStyle *style, int width, int height)
{
	double radius = style->radius, top = style->tab ? 0 : radius;

	cairo_new_sub_path(cairo);
	cairo_arc(cairo, width - top, top, top, -G_PI / 2, 0);
	cairo_arc(cairo, width - radius, height - radius, radius, 0, G_PI / 2);
	cairo_arc(cairo, radius, height - radius, radius, G_PI / 2, G_PI);
	cairo_arc(cairo, top, top, top, G_PI, 3 * G_PI / 2);
	cairo_close_path(cairo);
}

static PangoLayout *lay_out(cairo_t *cairo, const TextStyle *style, const char *string)
{
	PangoLayout *layout = pango_cairo_create_layout(cairo);
	PangoFontDescription *font = pango_font_description_from_string(style->font);
	PangoAttrList *list = attributes(style, string);

	pango_layout_set_font_description(layout, font);
	pango_font_description_free(font);
	pango_layout_set_attributes(layout, list);
	pango_attr_list_unref(list);
	if (style->heading)
		pango_layout_set_line_spacing(layout, 1.35f);
	pango_layout_set_alignment(layout, PANGO_ALIGN_CENTER);
	if (style->width > 0) {
		pango_layout_set_width(layout, style->width * PANGO_SCALE);
		pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
	} else {
		pango_layout_set_single_paragraph_mode(layout, TRUE);
	}
	pango_layout_set_text(layout, string, -1);
	return layout;
}

static cairo_surface_t *draw(const TextStyle *style, const char *string, int *width, int *height)
{
	cairo_surface_t *surface, *probe = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, 1, 1);
	cairo_t *cairo = cairo_create(probe);
	PangoLayout *layout = lay_out(cairo, style, string);
	PangoRectangle ink;
	int wide, high;

	pango_layout_get_pixel_extents(layout, NULL, &ink);
	*width = ink.width + 2 * style->padding;
	*height = ink.height + (style->tab ? 1 : 2) * style->padding;
	wide = MAX(1, (int)ceil(*width * style->scale));
	high = MAX(1, (int)ceil(*height * style->scale));
	g_object_unref(layout);
	cairo_destroy(cairo);
	cairo_surface_destroy(probe);

	surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, wide, high);
	cairo = cairo_create(surface);
	cairo_scale(cairo, style->scale, style->scale);
	cairo_set_source_rgba(cairo, style->bg[0], style->bg[1], style->bg[2], style->bg[3]);
	outline(cairo, style, *width, *height);
	cairo_fill(cairo);
	layout = lay_out(cairo, style, string);
	cairo_set_source_rgba(cairo, style->fg[0], style->fg[1], style->fg[2], style->fg[3]);
	cairo_move_to(cairo, style->padding - ink.x, style->tab ? style->padding / 2.0 : style->padding);
	pango_cairo_show_layout(cairo, layout);
	g_object_unref(layout);
	cairo_destroy(cairo);
	return surface;
}

gboolean text_is(const Text *text, const char *made_of)
{
	return g_strcmp0(made_of, text->made_of) == 0;
}

void text_take(Text *text, cairo_surface_t *surface, int width, int height, char *made_of)
{
	TextBuffer *buffer = g_new0(TextBuffer, 1);

	cairo_surface_flush(surface);
	buffer->surface = surface;
	wlr_buffer_init(&buffer->base, &buffer_impl, cairo_image_surface_get_width(surface), cairo_image_surface_get_height(surface));
	wlr_scene_buffer_set_buffer(text->node, &buffer->base);
	wlr_scene_buffer_set_dest_size(text->node, width, height);
	wlr_buffer_drop(&buffer->base);
	g_free(text->made_of);
	text->made_of = made_of;
}

void text_set(Text *text, const TextStyle *style, const char *string)
{
	g_autofree char *made_of = g_strdup_printf("%s|%g|%g,%g,%g|%g,%g,%g,%g|%d|%s", style->font, style->scale, style->fg[0],
		style->fg[1], style->fg[2], style->bg[0], style->bg[1], style->bg[2], style->bg[3], style->width, string);
	cairo_surface_t *surface;
	int width, height;

	if (text_is(text, made_of))
		return;
	surface = draw(style, string, &width, &height);
	text_take(text, surface, width, height, g_steal_pointer(&made_of));
}

void text_clear(Text *text)
{
	g_clear_pointer(&text->made_of, g_free);
}
