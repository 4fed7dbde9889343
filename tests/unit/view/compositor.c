// SPDX-License-Identifier: Apache-2.0
#include "compositor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wayland-server-core.h>
#include <wlr/backend/headless.h>
#include <wlr/render/allocator.h>
#include <wlr/render/pixman.h>
#include <wlr/types/wlr_compositor.h>
#include <wlr/types/wlr_fractional_scale_v1.h>
#include <wlr/types/wlr_output.h>
#include <wlr/types/wlr_relative_pointer_v1.h>
#include <wlr/types/wlr_scene.h>
#include <wlr/types/wlr_seat.h>
#include <wlr/types/wlr_viewporter.h>
#include <wlr/types/wlr_xdg_shell.h>
#include <wlr/util/log.h>

#define WINDOWS 4

struct compositor {
	struct wl_display *display;
	struct wl_event_loop *loop;
	struct wlr_backend *backend;
	struct wlr_renderer *renderer;
	struct wlr_allocator *allocator;
	struct wlr_scene *scene;
	struct wlr_output *output;
	struct wlr_scene_output *scene_output;
	struct wlr_seat *seat;
	uint32_t *picture;
	uint32_t width, height;
	unsigned frames;
	struct wl_listener on_output, on_frame, on_toplevel, on_cursor;
	struct window {
		struct compositor *c;
		struct wlr_xdg_toplevel *toplevel; /* NULL: free */
		struct wlr_scene_tree *tree;
		struct wl_listener on_commit, on_destroy;
	} window[WINDOWS];
	bool hidden;
};

static void take_picture(struct compositor *c, struct wlr_buffer *buffer)
{
	void *data;
	uint32_t format;
	size_t stride;

	if (!wlr_buffer_begin_data_ptr_access(buffer, WLR_BUFFER_DATA_PTR_ACCESS_READ, &data, &format, &stride))
		return;
	for (uint32_t y = 0; y < c->height; y++)
		memcpy(c->picture + (size_t)y * c->width, (uint8_t *)data + y * stride, 4ul * c->width);
	wlr_buffer_end_data_ptr_access(buffer);
}

static void on_frame(struct wl_listener *listener, void *data G_GNUC_UNUSED)
{
	struct compositor *c = wl_container_of(listener, c, on_frame);
	struct wlr_output_state state;
	struct timespec now;

	wlr_output_state_init(&state);
	/* Nothing is drawn when nothing changed. */
	if ((c->scene_output->output->needs_frame || pixman_region32_not_empty(&c->scene_output->damage_ring.current) ||
	     pixman_region32_not_empty(&c->scene_output->pending_commit_damage)) &&
	    wlr_scene_output_build_state(c->scene_output, &state, NULL) && wlr_output_commit_state(c->output, &state)) {
		c->frames++;
		if (state.committed & WLR_OUTPUT_STATE_BUFFER)
			take_picture(c, state.buffer);
	}
	wlr_output_state_finish(&state);
	clock_gettime(CLOCK_MONOTONIC, &now);
	wlr_scene_output_send_frame_done(c->scene_output, &now);
}

static void on_output(struct wl_listener *listener, void *data)
{
	struct compositor *c = wl_container_of(listener, c, on_output);
	struct wlr_output_state state;

	c->output = data;
	wlr_output_init_render(c->output, c->allocator, c->renderer);
	wlr_output_state_init(&state);
	wlr_output_state_set_enabled(&state, true);
	wlr_output_state_set_custom_mode(&state, (int)c->width, (int)c->height, 60000);
	wlr_output_commit_state(c->output, &state);
	wlr_output_state_finish(&state);
	c->scene_output = wlr_scene_output_create(c->scene, c->output);
	c->on_frame.notify = on_frame;
	wl_signal_add(&c->output->events.frame, &c->on_frame);
	wlr_output_create_global(c->output, c->display);
}

static void on_commit(struct wl_listener *listener, void *data G_GNUC_UNUSED)
{
	struct window *w = wl_container_of(listener, w, on_commit);

	if (w->toplevel->base->initial_commit) {
		wlr_xdg_toplevel_set_fullscreen(w->toplevel, true);
		wlr_xdg_toplevel_set_size(w->toplevel, (int)w->c->width, (int)w->c->height);
	}
}

static void on_destroy(struct wl_listener *listener, void *data G_GNUC_UNUSED)
{
	struct window *w = wl_container_of(listener, w, on_destroy);

	wl_list_remove(&w->on_commit.link);
	wl_list_remove(&w->on_destroy.link);
	w->toplevel = NULL;
}

static void on_toplevel(struct wl_listener *listener, void *data)
{
	struct compositor *c = wl_container_of(listener, c, on_toplevel);
	unsigned i;

	for (i = 0; i < WINDOWS && c->window[i].toplevel; i++)
		;
	g_assert_cmpuint(i, <, WINDOWS);
	c->window[i].c = c;
	c->window[i].toplevel = data;
	c->window[i].tree = wlr_scene_xdg_surface_create(&c->scene->tree, c->window[i].toplevel->base);
	wlr_scene_node_set_enabled(&c->window[i].tree->node, !c->hidden);
	c->window[i].on_commit.notify = on_commit;
	wl_signal_add(&c->window[i].toplevel->base->surface->events.commit, &c->window[i].on_commit);
	c->window[i].on_destroy.notify = on_destroy;
	wl_signal_add(&c->window[i].toplevel->events.destroy, &c->window[i].on_destroy);
}

struct compositor *compositor_new(uint32_t width, uint32_t height)
{
	struct compositor *c = g_new0(struct compositor, 1);

	wlr_log_init(WLR_ERROR, NULL);
	/* Its picture could not be read back. */
	g_setenv("WLR_SCENE_DISABLE_DIRECT_SCANOUT", "1", TRUE);
	c->width = width;
	c->height = height;
	c->picture = g_new0(uint32_t, (size_t)width * height);
	c->display = wl_display_create();
	c->loop = wl_display_get_event_loop(c->display);
	c->backend = wlr_headless_backend_create(c->loop);
	c->renderer = wlr_pixman_renderer_create();
	wlr_renderer_init_wl_shm(c->renderer, c->display);
	c->allocator = wlr_allocator_autocreate(c->backend, c->renderer);
	wlr_compositor_create(c->display, 6, c->renderer);
	wlr_viewporter_create(c->display);
	wlr_fractional_scale_manager_v1_create(c->display, 1);
	wlr_relative_pointer_manager_v1_create(c->display);
	c->seat = wlr_seat_create(c->display, "seat0");
	wlr_seat_set_capabilities(c->seat, WL_SEAT_CAPABILITY_KEYBOARD | WL_SEAT_CAPABILITY_POINTER | WL_SEAT_CAPABILITY_TOUCH);
	c->scene = wlr_scene_create();
	c->on_toplevel.notify = on_toplevel;
	wl_signal_add(&wlr_xdg_shell_create(c->display, 5)->events.new_toplevel, &c->on_toplevel);
	c->on_output.notify = on_output;
	wl_signal_add(&c->backend->events.new_output, &c->on_output);
	g_assert_true(wlr_backend_start(c->backend));
	wlr_headless_add_output(c->backend, width, height);
	return c;
}

void compositor_free(struct compositor *c)
{
	wl_display_destroy_clients(c->display);
	wl_list_remove(&c->on_toplevel.link);
	wl_list_remove(&c->on_output.link);
	wl_list_remove(&c->on_frame.link);
	wlr_scene_node_destroy(&c->scene->tree.node);
	wlr_allocator_destroy(c->allocator);
	wlr_renderer_destroy(c->renderer);
	wlr_backend_destroy(c->backend);
	wl_display_destroy(c->display);
	g_free(c->picture);
	g_free(c);
}

struct wl_display *compositor_connect(struct compositor *c)
{
	int ends[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
	g_assert_nonnull(wl_client_create(c->display, ends[0]));
	return wl_display_connect_to_fd(ends[1]);
}

void compositor_turn(struct compositor *c)
{
	wl_event_loop_dispatch(c->loop, 0);
	wl_display_flush_clients(c->display);
}

unsigned compositor_windows(struct compositor *c)
{
	unsigned count = 0;

	for (unsigned i = 0; i < WINDOWS; i++)
		count += c->window[i].toplevel && c->window[i].toplevel->base->surface->mapped;
	return count;
}

const uint32_t *compositor_picture(struct compositor *c)
{
	return c->picture;
}

uint32_t compositor_pixel(struct compositor *c, uint32_t x, uint32_t y)
{
	return c->picture[(size_t)y * c->width + x] & 0xffffff;
}

unsigned compositor_frames(struct compositor *c)
{
	return c->frames;
}

void compositor_show(struct compositor *c, bool shown)
{
	c->hidden = !shown;
	for (unsigned i = 0; i < WINDOWS; i++)
		if (c->window[i].toplevel)
			wlr_scene_node_set_enabled(&c->window[i].tree->node, shown);
}

void compositor_resize(struct compositor *c, int width, int height)
{
	for (unsigned i = 0; i < WINDOWS; i++)
		if (c->window[i].toplevel)
			wlr_xdg_toplevel_set_size(c->window[i].toplevel, width, height);
}

void compositor_focus(struct compositor *c, bool focus)
{
	uint32_t held[] = {29, 56}; /* the hotkey's, still down */

	if (!focus)
		wlr_seat_keyboard_notify_clear_focus(c->seat);
	else
		wlr_seat_keyboard_notify_enter(c->seat, c->window[0].toplevel->base->surface, held, 2, NULL);
}

void compositor_key(struct compositor *c, uint32_t code, bool pressed)
{
	wlr_seat_keyboard_notify_key(c->seat, 0, code, pressed);
}

void compositor_point(struct compositor *c, double x, double y)
{
	if (!c->seat->pointer_state.focused_surface)
		wlr_seat_pointer_notify_enter(c->seat, c->window[0].toplevel->base->surface, x, y);
	wlr_seat_pointer_notify_motion(c->seat, 0, x, y);
	wlr_seat_pointer_notify_frame(c->seat);
}

void compositor_button(struct compositor *c, uint32_t code, bool pressed)
{
	wlr_seat_pointer_notify_button(c->seat, 0, code, pressed);
	wlr_seat_pointer_notify_frame(c->seat);
}

void compositor_wheel(struct compositor *c, int clicks)
{
	wlr_seat_pointer_notify_axis(c->seat, 0, WL_POINTER_AXIS_VERTICAL_SCROLL, 15 * clicks, 120 * clicks,
				     WL_POINTER_AXIS_SOURCE_WHEEL, WL_POINTER_AXIS_RELATIVE_DIRECTION_IDENTICAL);
	wlr_seat_pointer_notify_frame(c->seat);
}

void compositor_touch(struct compositor *c, int id, double x, double y)
{
	if (x < 0)
		wlr_seat_touch_notify_up(c->seat, 0, id);
	else if (wlr_seat_touch_get_point(c->seat, id))
		wlr_seat_touch_notify_motion(c->seat, 0, id, x, y);
	else
		wlr_seat_touch_notify_down(c->seat, c->window[0].toplevel->base->surface, 0, id, x, y);
	wlr_seat_touch_notify_frame(c->seat);
}

void compositor_close_window(struct compositor *c)
{
	wlr_xdg_toplevel_send_close(c->window[0].toplevel);
}
