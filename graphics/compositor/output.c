/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <math.h>
#include <time.h>

#define HIDPI 170 /* dots an inch from which things are drawn twice as large */

Output *output_of(struct wlr_output *wlr)
{
	return wlr ? wlr->data : NULL;
}

/* Draws only when something changed; without damage nothing is committed and no further frame comes. */
static void on_frame(struct wl_listener *listener, void *data)
{
	Output *output = wl_container_of(listener, output, frame);
	struct timespec now;

	(void)data;
	wlr_scene_output_commit(output->scene, NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	wlr_scene_output_send_frame_done(output->scene, &now);
}

static void on_request_state(struct wl_listener *listener, void *data)
{
	Output *output = wl_container_of(listener, output, request_state);
	const struct wlr_output_event_request_state *event = data;

	wlr_output_commit_state(output->wlr, event->state);
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	Output *output = wl_container_of(listener, output, destroy);
	Desk *desk = output->desk;

	(void)data;
	g_message("output %s is gone", output->wlr->name);
	listener_remove(&output->frame);
	listener_remove(&output->request_state);
	listener_remove(&output->destroy);
	wl_list_remove(&output->link);
	frame_remove(output);
	output->wlr->data = NULL;
	layers_output_gone(desk, output->wlr);
	g_free(output);
	desk_update_later(desk);
}

/* Wayland turns the other way. */
static enum wl_output_transform rotate(guint degrees)
{
	switch (degrees) {
	case 90:
		return WL_OUTPUT_TRANSFORM_270;
	case 180:
		return WL_OUTPUT_TRANSFORM_180;
	case 270:
		return WL_OUTPUT_TRANSFORM_90;
	default:
		return WL_OUTPUT_TRANSFORM_NORMAL;
	}
}

static double natural_scale(const struct wlr_output *wlr, const struct wlr_output_mode *mode)
{
	int width = mode ? mode->width : wlr->width;

	return wlr->phys_width > 0 && width / (wlr->phys_width / 25.4) >= HIDPI ? 2 : 1;
}

static void choose_mode(struct wlr_output *wlr, struct wlr_output_state *state, const OutputConfig *config, struct wlr_output_mode **chosen)
{
	struct wlr_output_mode *mode, *best = NULL;

	if (config && config->width) {
		wl_list_for_each(mode, &wlr->modes, link) {
			if (mode->width != (int)config->width || mode->height != (int)config->height)
				continue;
			if (config->refresh && labs((long)mode->refresh - (long)config->refresh) > 1000)
				continue;
			if (!best || mode->refresh > best->refresh)
				best = mode;
		}
		if (!best && wl_list_empty(&wlr->modes))
			wlr_output_state_set_custom_mode(state, (int)config->width, (int)config->height, (int)config->refresh);
		else if (!best)
			g_warning("output %s has no mode %ux%u; its preferred one is used", wlr->name, config->width, config->height);
	}
	if (!best)
		best = wlr_output_preferred_mode(wlr);
	if (best)
		wlr_output_state_set_mode(state, best);
	*chosen = best;
}

/* Switches the output on as configured; whatever the hardware refuses is left out, down to any mode that it takes. */
static gboolean turn_on(struct wlr_output *wlr, const OutputConfig *config)
{
	struct wlr_output_state state;
	struct wlr_output_mode *mode;
	gboolean on;

	wlr_output_state_init(&state);
	wlr_output_state_set_enabled(&state, true);
	choose_mode(wlr, &state, config, &mode);
	wlr_output_state_set_scale(&state, config && config->scale > 0 ? (float)config->scale : (float)natural_scale(wlr, mode));
	if (config)
		wlr_output_state_set_transform(&state, rotate(config->rotation));
	on = wlr_output_commit_state(wlr, &state);
	if (!on) {
		wl_list_for_each(mode, &wlr->modes, link) {
			wlr_output_state_set_mode(&state, mode);
			on = wlr_output_commit_state(wlr, &state);
			if (on)
				break;
		}
	}
	wlr_output_state_finish(&state);
	return on;
}

static void turn_off(struct wlr_output *wlr)
{
	struct wlr_output_state state;

	wlr_output_state_init(&state);
	wlr_output_state_set_enabled(&state, false);
	wlr_output_commit_state(wlr, &state);
	wlr_output_state_finish(&state);
}

static void on_new_output(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, new_output);
	struct wlr_output *wlr = data;
	const OutputConfig *config = config_output(desk->config, wlr->name);
	struct wlr_output_layout_output *place;
	Output *output;

	if (wlr->non_desktop || !wlr_output_init_render(wlr, desk->allocator, desk->renderer))
		return;
	if (config && !config->enabled) {
		turn_off(wlr);
		return;
	}
	if (!turn_on(wlr, config)) {
		g_warning("output %s could not be switched on in any mode", wlr->name);
		return;
	}
	output = g_new0(Output, 1);
	output->desk = desk;
	output->wlr = wlr;
	wlr->data = output;
	wl_list_insert(desk->outputs.prev, &output->link);
	frame_add(output);
	listen_to(&wlr->events.frame, &output->frame, on_frame);
	listen_to(&wlr->events.request_state, &output->request_state, on_request_state);
	listen_to(&wlr->events.destroy, &output->destroy, on_destroy);
	output->scene = wlr_scene_output_create(desk->scene, wlr);
	place = wlr_output_layout_add_auto(desk->layout, wlr);
	wlr_scene_output_layout_add_output(desk->scene_layout, place, output->scene);
	g_message("output %s: %dx%d at scale %g", wlr->name, wlr->width, wlr->height, wlr->scale);
	desk_update(desk);
}

/* Also when an output got another mode, scale or rotation. */
static void on_layout_change(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, layout_change);

	(void)data;
	desk_update_later(desk);
}

/* A GPU that was reset takes its renderer along: everything is drawn again with a new one. */
static void on_renderer_lost(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, renderer_lost);
	struct wlr_renderer *old = desk->renderer;
	struct wlr_allocator *old_allocator = desk->allocator;
	g_autoptr(GError) error = NULL;
	Output *output;

	(void)data;
	listener_remove(&desk->renderer_lost);
	if (!desk_make_renderer(desk, &error)) {
		g_critical("the GPU was lost and %s", error->message);
		g_main_loop_quit(desk->main);
		return;
	}
	wlr_compositor_set_renderer(desk->compositor, desk->renderer);
	wl_list_for_each(output, &desk->outputs, link)
		wlr_output_init_render(output->wlr, desk->allocator, desk->renderer);
	wlr_allocator_destroy(old_allocator);
	wlr_renderer_destroy(old);
	g_message("the GPU was lost; drawing goes on with a new renderer");
}

/* GLES (or what WLR_RENDERER says) where it works, else pixman. */
gboolean desk_make_renderer(Desk *desk, GError **error)
{
	struct wlr_renderer *renderer = wlr_renderer_autocreate(desk->backend);
	struct wlr_allocator *allocator = renderer ? wlr_allocator_autocreate(desk->backend, renderer) : NULL;

	if (!allocator && !g_getenv("WLR_RENDERER")) {
		g_message("no GPU that can draw; drawing with the CPU");
		g_clear_pointer(&renderer, wlr_renderer_destroy);
		g_setenv("WLR_RENDERER", "pixman", TRUE);
		renderer = wlr_renderer_autocreate(desk->backend);
		allocator = renderer ? wlr_allocator_autocreate(desk->backend, renderer) : NULL;
	}
	if (!allocator) {
		g_clear_pointer(&renderer, wlr_renderer_destroy);
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			"nothing can draw on this machine's screen; see the journal for what was tried");
		return FALSE;
	}
	desk->renderer = renderer;
	desk->allocator = allocator;
	listen_to(&renderer->events.lost, &desk->renderer_lost, on_renderer_lost);
	return TRUE;
}

void outputs_init(Desk *desk)
{
	wl_list_init(&desk->outputs);
	desk->layout = wlr_output_layout_create(desk->display);
	desk->scene_layout = wlr_scene_attach_output_layout(desk->scene, desk->layout);
	listen_to(&desk->backend->events.new_output, &desk->new_output, on_new_output);
	listen_to(&desk->layout->events.change, &desk->layout_change, on_layout_change);
}

void outputs_finish(Desk *desk)
{
	listener_remove(&desk->new_output);
	listener_remove(&desk->layout_change);
	listener_remove(&desk->renderer_lost);
}
