// SPDX-License-Identifier: Apache-2.0
/*
 * One screen's window. Painting is paced by the compositor's frame callbacks: at most one picture a callback, and the guest
 * learns that its flip was seen from the callback. A hidden window gets none, so that its guest is let go on once a second.
 */
#include "windows.h"

#include "fractional-scale-v1-client-protocol.h"
#include "viewporter-client-protocol.h"
#include "xdg-shell-client-protocol.h"

#include <errno.h>
#include <string.h>

#define SLOW_MS     1000
#define LOOK_MIN_MS 16
#define LOOK_MAX_MS 250
/* A guest that flips is looked after only so long: some draw into what they flipped to. */
#define LOOKS_AFTER_FLIP 8
#define MAX_DAMAGE       32
#define BACKGROUND       0xff20242bu

static void arm_slow(struct window *w);
static void arm_look(struct window *w);

/* How large the picture is to appear: all of one side, and its own shape. */
static void fit(struct window *w, uint32_t width, uint32_t height)
{
	uint64_t room_x = w->width, room_y = w->height;

	if (room_x * height > room_y * width)
		room_x = MAX(room_y * width / height, 1);
	else
		room_y = MAX(room_x * height / width, 1);
	/* A pixel of rounding is not another shape. */
	if (w->width - room_x <= 1)
		room_x = w->width;
	if (w->height - room_y <= 1)
		room_y = w->height;
	w->shown_width = (uint32_t)room_x;
	w->shown_height = (uint32_t)room_y;
}

static void place(struct window *w, uint32_t width, uint32_t height)
{
	fit(w, width, height);
	if (w->viewport) {
		wp_viewport_set_destination(w->viewport, (int32_t)w->shown_width, (int32_t)w->shown_height);
	} else {
		w->shown_width = width;
		w->shown_height = height;
	}
	xdg_surface_set_window_geometry(w->xdg, 0, 0, (int32_t)w->shown_width, (int32_t)w->shown_height);
	w->fresh_size = false;
}

static void on_frame(void *data, struct wl_callback *callback, uint32_t time G_GNUC_UNUSED)
{
	struct window *w = data;

	wl_callback_destroy(callback);
	w->frame = NULL;
	if (w->flip_sent) {
		w->flip_sent = false;
		w->all->events->flip_done(w->all->data, w->index);
	}
	if (w->dirty)
		window_paint(w);
	else if (w->drawn)
		window_expect(w);
}

static const struct wl_callback_listener frame_listener = {.done = on_frame};

static void commit(struct window *w)
{
	if (!w->frame) {
		w->frame = wl_surface_frame(w->surface);
		wl_callback_add_listener(w->frame, &frame_listener, w);
	}
	wl_surface_commit(w->surface);
}

/* As large as the window: a renderer that scales a single pixel may blend it with what is around it. */
static void paint_background(struct window *w)
{
	size_t pixels = (size_t)w->width * w->height;

	shm_buffer_clear(&w->plain);
	if (!shm_buffer_init(&w->plain, w->all->shm, w->width, w->height, NULL, NULL)) {
		windows_fail(w->all, g_strerror(errno));
		return;
	}
	for (size_t i = 0; i < pixels; i++)
		((uint32_t *)(void *)w->plain.pixels)[i] = BACKGROUND;
	place(w, w->width, w->height);
	wl_surface_attach(w->surface, w->plain.buffer, 0, 0);
	wl_surface_damage_buffer(w->surface, 0, 0, (int32_t)w->width, (int32_t)w->height);
	w->last = NULL;
	w->dirty = false;
	commit(w);
}

static void on_released(void *data)
{
	struct window *w = data;

	if (w->dirty && !w->frame)
		window_paint(w);
}

static void drop_buffers(struct window *w)
{
	for (int i = 0; i < WINDOW_BUFFERS; i++)
		shm_buffer_clear(&w->buffer[i]);
	w->last = NULL;
	tiles_clear(&w->known);
}

/* A buffer that nobody reads, the last one where possible: it lacks least. NULL: none is free, or no memory. */
static struct shm_buffer *free_buffer(struct window *w)
{
	if (w->last && !w->last->busy)
		return w->last;
	for (int i = 0; i < WINDOW_BUFFERS; i++)
		if (w->buffer[i].buffer && !w->buffer[i].busy)
			return &w->buffer[i];
	for (int i = 0; i < WINDOW_BUFFERS; i++)
		if (!w->buffer[i].buffer) {
			if (shm_buffer_init(&w->buffer[i], w->all->shm, w->buffer_width, w->buffer_height, on_released, w))
				return &w->buffer[i];
			g_warning("no memory for a picture of %ux%u: %s", w->buffer_width, w->buffer_height, g_strerror(errno));
			return NULL;
		}
	return NULL;
}

static void fit_buffers(struct window *w)
{
	if (w->buffer_width == w->picture.width && w->buffer_height == w->picture.height && w->known.dirty)
		return;
	drop_buffers(w);
	w->buffer_width = w->picture.width;
	w->buffer_height = w->picture.height;
	tiles_init(&w->known, w->buffer_width, w->buffer_height);
	w->fresh_size = true;
}

/* Adds to w->known what differs from what was shown last. */
static void find_changes(struct window *w)
{
	if (!w->last)
		tiles_set(&w->known, true);
	else if (!w->told)
		picture_compare(&w->picture, w->last->pixels, w->last->stride, &w->known);
}

static void send_damage(struct window *w)
{
	struct rect rects[MAX_DAMAGE];
	unsigned count = tiles_rects(&w->known, w->buffer_width, w->buffer_height, rects, MAX_DAMAGE);

	for (unsigned i = 0; i < count; i++)
		wl_surface_damage_buffer(w->surface, rects[i].x, rects[i].y, rects[i].width, rects[i].height);
}

static void copy_changes(struct window *w, struct shm_buffer *to)
{
	tiles_merge(&to->stale, &w->known);
	picture_copy(&w->picture, to->pixels, to->stride, &to->stale);
	for (int i = 0; i < WINDOW_BUFFERS; i++)
		if (w->buffer[i].buffer && &w->buffer[i] != to)
			tiles_merge(&w->buffer[i].stale, &w->known);
	tiles_set(&to->stale, false);
}

/* false: it has to wait for a buffer. */
static bool paint_picture(struct window *w)
{
	struct shm_buffer *to;

	fit_buffers(w);
	find_changes(w);
	if (tiles_any(&w->known)) {
		to = free_buffer(w);
		if (!to)
			return false;
		copy_changes(w, to);
		wl_surface_attach(w->surface, to->buffer, 0, 0);
		to->busy = true;
		w->last = to;
		shm_buffer_clear(&w->plain);
		send_damage(w);
		tiles_set(&w->known, false);
	}
	w->told = false;
	w->dirty = false;
	if (w->fresh_size)
		place(w, w->buffer_width, w->buffer_height);
	return true;
}

/* Shows the newest, now; a frame callback may still be out when the window is hidden. */
static void paint_now(struct window *w)
{
	if (!w->configured)
		return;
	if (!w->picture.pixels) {
		if (w->blank || !w->last)
			paint_background(w);
		else if (w->fresh_size) {
			place(w, w->buffer_width, w->buffer_height);
			w->dirty = false;
			commit(w);
		} else
			w->dirty = false;
		return;
	}
	w->blank = false;
	if (!paint_picture(w))
		return;
	if (w->flip) {
		w->flip = false;
		w->flip_sent = true;
	}
	commit(w);
	arm_look(w);
}

void window_paint(struct window *w)
{
	if (!w->frame)
		paint_now(w);
}

/* Nobody looks, it seems: the guest goes on at a walking pace, and its newest picture is there when somebody does. */
static gboolean on_slow(gpointer data)
{
	struct window *w = data;
	bool flip;

	w->slow = 0;
	if (w->dirty)
		paint_now(w);
	flip = w->flip || w->flip_sent;
	w->flip = w->flip_sent = false;
	if (flip)
		w->all->events->flip_done(w->all->data, w->index);
	return G_SOURCE_REMOVE;
}

static void arm_slow(struct window *w)
{
	if (w->slow)
		g_source_remove(w->slow);
	w->slow = g_timeout_add(SLOW_MS, on_slow, w);
}

/* Looking for changes that nobody tells of. */

static gboolean on_look(gpointer data)
{
	struct window *w = data;

	w->look = 0;
	if (!w->picture.pixels || !w->last || !w->configured)
		return G_SOURCE_REMOVE;
	if (w->frame) { /* hidden, or about to be painted anyway */
		w->quiet = MIN(w->quiet + 1, 16);
		arm_look(w);
		return G_SOURCE_REMOVE;
	}
	picture_compare(&w->picture, w->last->pixels, w->last->stride, &w->known);
	if (tiles_any(&w->known)) {
		w->quiet = 0;
		w->drawn = 1;
		w->drawn_pixels = w->picture.pixels;
		w->told = true; /* compared just now */
		w->dirty = true;
		window_paint(w);
	} else {
		w->quiet = MIN(w->quiet + 1, 16);
		w->drawn = 0;
		arm_look(w);
	}
	return G_SOURCE_REMOVE;
}

static void arm_look(struct window *w)
{
	bool drawn_into = !w->flipped || w->picture.pixels == w->drawn_pixels;

	if (w->look || !w->picture.pixels || (!drawn_into && w->quiet >= LOOKS_AFTER_FLIP))
		return;
	w->look = g_timeout_add(w->frame && w->quiet > 4 ? SLOW_MS : MIN(LOOK_MIN_MS << MIN(w->quiet, 8), LOOK_MAX_MS), on_look, w);
}

void window_expect(struct window *w)
{
	w->quiet = 0;
	if (w->look) {
		g_source_remove(w->look);
		w->look = 0;
	}
	arm_look(w);
}

/* The compositor's side. */

static void on_configure(void *data, struct xdg_surface *xdg, uint32_t serial)
{
	struct window *w = data;
	uint32_t width = w->next_width > 0 ? (uint32_t)w->next_width : w->width ? w->width : 1280;
	uint32_t height = w->next_height > 0 ? (uint32_t)w->next_height : w->height ? w->height : 800;
	bool resized = !w->configured || width != w->width || height != w->height;

	xdg_surface_ack_configure(xdg, serial);
	w->width = width;
	w->height = height;
	w->configured = true;
	if (resized) {
		w->fresh_size = true;
		w->dirty = true;
		w->all->events->resized(w->all->data);
	}
	window_paint(w);
}

static const struct xdg_surface_listener xdg_listener = {.configure = on_configure};

static void on_toplevel_configure(void *data, struct xdg_toplevel *toplevel G_GNUC_UNUSED, int32_t width, int32_t height,
				  struct wl_array *states G_GNUC_UNUSED)
{
	struct window *w = data;

	w->next_width = MIN(width, 16384);
	w->next_height = MIN(height, 16384);
}

static void on_close(void *data, struct xdg_toplevel *toplevel G_GNUC_UNUSED)
{
	struct window *w = data;

	w->all->events->closed(w->all->data);
}

static void on_bounds(void *data G_GNUC_UNUSED, struct xdg_toplevel *toplevel G_GNUC_UNUSED, int32_t width G_GNUC_UNUSED,
		      int32_t height G_GNUC_UNUSED)
{
}

static void on_capabilities(void *data G_GNUC_UNUSED, struct xdg_toplevel *toplevel G_GNUC_UNUSED,
			    struct wl_array *capabilities G_GNUC_UNUSED)
{
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = on_toplevel_configure, .close = on_close, .configure_bounds = on_bounds, .wm_capabilities = on_capabilities,
};

static void set_scale(struct window *w, uint32_t scale)
{
	if (!scale || scale == w->scale || scale > 120 * 8)
		return;
	w->scale = scale;
	if (w->configured)
		w->all->events->resized(w->all->data);
}

static void on_scale(void *data, struct wp_fractional_scale_v1 *fraction G_GNUC_UNUSED, uint32_t scale)
{
	set_scale(data, scale);
}

static const struct wp_fractional_scale_v1_listener fraction_listener = {.preferred_scale = on_scale};

static void on_enter(void *data G_GNUC_UNUSED, struct wl_surface *surface G_GNUC_UNUSED, struct wl_output *output G_GNUC_UNUSED)
{
}

static void on_preferred_scale(void *data, struct wl_surface *surface G_GNUC_UNUSED, int32_t factor)
{
	struct window *w = data;

	if (!w->fraction && factor > 0)
		set_scale(w, 120 * (uint32_t)MIN(factor, 8));
}

static void on_transform(void *data G_GNUC_UNUSED, struct wl_surface *surface G_GNUC_UNUSED, uint32_t transform G_GNUC_UNUSED)
{
}

static const struct wl_surface_listener surface_listener = {
	.enter = on_enter, .leave = on_enter, .preferred_buffer_scale = on_preferred_scale, .preferred_buffer_transform = on_transform,
};

void window_open(struct window *w)
{
	struct windows *all = w->all;
	g_autofree char *title = w->index ? g_strdup_printf("%s (%u)", all->title, w->index + 1) : g_strdup(all->title);

	w->scale = 120;
	w->dirty = w->blank = true;
	w->surface = wl_compositor_create_surface(all->compositor);
	wl_surface_add_listener(w->surface, &surface_listener, w);
	w->xdg = xdg_wm_base_get_xdg_surface(all->shell, w->surface);
	xdg_surface_add_listener(w->xdg, &xdg_listener, w);
	w->toplevel = xdg_surface_get_toplevel(w->xdg);
	xdg_toplevel_add_listener(w->toplevel, &toplevel_listener, w);
	xdg_toplevel_set_title(w->toplevel, title);
	xdg_toplevel_set_app_id(w->toplevel, all->app_id);
	xdg_toplevel_set_fullscreen(w->toplevel, NULL);
	if (all->viewporter)
		w->viewport = wp_viewporter_get_viewport(all->viewporter, w->surface);
	if (all->viewporter && all->fractions) {
		w->fraction = wp_fractional_scale_manager_v1_get_fractional_scale(all->fractions, w->surface);
		wp_fractional_scale_v1_add_listener(w->fraction, &fraction_listener, w);
	}
	wl_surface_commit(w->surface);
}

void window_close(struct window *w)
{
	if (!w->surface)
		return;
	if (w->slow)
		g_source_remove(w->slow);
	if (w->look)
		g_source_remove(w->look);
	if (w->frame)
		wl_callback_destroy(w->frame);
	if (w->fraction)
		wp_fractional_scale_v1_destroy(w->fraction);
	if (w->viewport)
		wp_viewport_destroy(w->viewport);
	xdg_toplevel_destroy(w->toplevel);
	xdg_surface_destroy(w->xdg);
	wl_surface_destroy(w->surface);
	drop_buffers(w);
	shm_buffer_clear(&w->plain);
	*w = (struct window){.all = w->all, .index = w->index};
}

/* What the back ends call. */

static void keep_damage(struct window *w, const struct rect *damage)
{
	if (!damage || !w->last || w->buffer_width != w->picture.width || w->buffer_height != w->picture.height) {
		w->told = false;
		return;
	}
	/* Undirty and told: `known` is complete. Told before and told again: it stays so. */
	w->told = w->told || !w->dirty;
	tiles_add(&w->known, damage);
}

static void set_pictured(struct window *w, bool pictured)
{
	if (w->pictured == pictured)
		return;
	w->pictured = pictured;
	windows_tell_pictured(w->all);
}

static void screen_show(void *data, unsigned screen, const struct picture *picture, bool flip, const struct rect *damage)
{
	struct windows *all = data;
	struct window *w;

	if (screen >= SCREENS)
		return;
	w = &all->window[screen];
	if (!picture) {
		w->picture = (struct picture){0};
		w->flip = w->flip_sent = false;
		w->drawn_pixels = NULL;
		return;
	}
	w->picture = *picture;
	set_pictured(w, true);
	w->flipped = flip || damage;
	keep_damage(w, damage);
	w->dirty = true;
	w->flip = flip;
	if (flip || w->frame)
		arm_slow(w);
	w->quiet = 0;
	if (w->surface)
		window_paint(w);
}

static void screen_blank(void *data, unsigned screen)
{
	struct windows *all = data;
	struct window *w;

	if (screen >= SCREENS)
		return;
	w = &all->window[screen];
	screen_show(data, screen, NULL, false, NULL);
	w->blank = w->dirty = true;
	set_pictured(w, false);
	if (w->surface)
		window_paint(w);
}

static bool screen_size(void *data, unsigned screen, uint32_t *width, uint32_t *height)
{
	struct windows *all = data;
	const struct window *w = &all->window[MIN(screen, SCREENS - 1)];

	if (screen >= SCREENS || !w->configured)
		return false;
	*width = MAX((w->width * w->scale + 60) / 120, 1);
	*height = MAX((w->height * w->scale + 60) / 120, 1);
	return true;
}

const struct screen_ops windows_screens = {.show = screen_show, .blank = screen_blank, .size = screen_size};
