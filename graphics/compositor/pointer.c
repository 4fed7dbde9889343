/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers and touch screens, and the coming and going of input devices. */
#include "desk.h"

#include <string.h>
#include <time.h>
#include <wlr/types/wlr_data_device.h>
#include <wlr/types/wlr_pointer.h>
#include <wlr/types/wlr_touch.h>

static uint32_t now_msec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* The client's surface at a place of the layout: what the compositor draws itself lets the pointer through. */
static struct wlr_surface *surface_at(Desk *desk, double x, double y, double *sx, double *sy)
{
	static const Tree clients[] = {TREE_LOCK, TREE_NOTICES, TREE_VIEWS, TREE_SWITCHER};

	for (guint i = 0; i < G_N_ELEMENTS(clients); i++) {
		struct wlr_scene_node *node = wlr_scene_node_at(&desk->trees[clients[i]]->node, x, y, sx, sy);
		struct wlr_scene_surface *surface;
		if (!node || node->type != WLR_SCENE_NODE_BUFFER)
			continue;
		surface = wlr_scene_surface_try_from_buffer(wlr_scene_buffer_from_node(node));
		if (surface)
			return surface->surface;
	}
	return NULL;
}

static gboolean view_is_hung(Desk *desk)
{
	if (!desk->shown || desk->locked)
		return FALSE;
	if (desk->shown->view == VIEW_HUNG)
		return TRUE;
	vm_ask(desk->shown);
	return FALSE;
}

static void show_pointer(Desk *desk)
{
	wlr_cursor_set_xcursor(desk->cursor, desk->cursors, "default");
}

/* The pointer is somewhere else, or what is below it is. A surface that had a button pressed on it keeps the pointer. */
static void track(Desk *desk, uint32_t time)
{
	double sx, sy;
	struct wlr_surface *surface;

	if (desk->button_count && desk->seat->pointer_state.focused_surface) {
		wlr_seat_pointer_notify_motion(desk->seat, time, desk->cursor->x - desk->grab_x, desk->cursor->y - desk->grab_y);
		return;
	}
	surface = view_is_hung(desk) ? NULL : surface_at(desk, desk->cursor->x, desk->cursor->y, &sx, &sy);
	if (!surface) {
		wlr_seat_pointer_notify_clear_focus(desk->seat);
		return;
	}
	desk->grab_x = desk->cursor->x - sx;
	desk->grab_y = desk->cursor->y - sy;
	wlr_seat_pointer_notify_enter(desk->seat, surface, sx, sy);
	wlr_seat_pointer_notify_motion(desk->seat, time, sx, sy);
}

/* At the top edge a person asks whose screen this is. */
static void maybe_label(Desk *desk)
{
	struct wlr_output *wlr = wlr_output_layout_output_at(desk->layout, desk->cursor->x, desk->cursor->y);
	Output *output = output_of(wlr);

	if (!output || !desk->shown || desk->labels || desk->cursor->y >= output->box.y + (double)desk->config->edge)
		return;
	frame_show_labels(desk);
	desk_update(desk);
}

static void on_motion(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, motion);
	const struct wlr_pointer_motion_event *event = data;

	if (!view_is_hung(desk))
		wlr_relative_pointer_manager_v1_send_relative_motion(desk->relative, desk->seat, (uint64_t)event->time_msec * 1000,
			event->delta_x, event->delta_y, event->unaccel_dx, event->unaccel_dy);
	wlr_cursor_move(desk->cursor, &event->pointer->base, event->delta_x, event->delta_y);
	track(desk, event->time_msec);
	maybe_label(desk);
}

static void on_motion_absolute(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, motion_absolute);
	const struct wlr_pointer_motion_absolute_event *event = data;
	double x, y, dx, dy;

	wlr_cursor_absolute_to_layout_coords(desk->cursor, &event->pointer->base, event->x, event->y, &x, &y);
	dx = x - desk->cursor->x;
	dy = y - desk->cursor->y;
	if (!view_is_hung(desk))
		wlr_relative_pointer_manager_v1_send_relative_motion(desk->relative, desk->seat, (uint64_t)event->time_msec * 1000, dx,
			dy, dx, dy);
	wlr_cursor_warp_absolute(desk->cursor, &event->pointer->base, event->x, event->y);
	track(desk, event->time_msec);
	maybe_label(desk);
}

static gboolean button_remove(Desk *desk, uint32_t button)
{
	for (guint i = 0; i < desk->button_count; i++) {
		if (desk->buttons[i] != button)
			continue;
		desk->buttons[i] = desk->buttons[--desk->button_count];
		return TRUE;
	}
	return FALSE;
}

static void on_button(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, button);
	const struct wlr_pointer_button_event *event = data;

	if (event->state == WL_POINTER_BUTTON_STATE_PRESSED) {
		if (view_is_hung(desk) || !desk->seat->pointer_state.focused_surface ||
			desk->button_count == G_N_ELEMENTS(desk->buttons))
			return;
		desk->buttons[desk->button_count++] = event->button;
	} else if (!button_remove(desk, event->button)) {
		return;
	}
	wlr_seat_pointer_notify_button(desk->seat, event->time_msec, event->button, event->state);
	if (!desk->button_count)
		track(desk, event->time_msec);
}

static void on_axis(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, axis);
	const struct wlr_pointer_axis_event *event = data;

	if (!view_is_hung(desk))
		wlr_seat_pointer_notify_axis(desk->seat, event->time_msec, event->orientation, event->delta, event->delta_discrete,
			event->source, event->relative_direction);
}

static void on_pointer_frame(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, pointer_frame);

	(void)data;
	wlr_seat_pointer_notify_frame(desk->seat);
}

static void on_touch_down(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, touch_down);
	const struct wlr_touch_down_event *event = data;
	double x, y, sx, sy;
	struct wlr_surface *surface;

	wlr_cursor_absolute_to_layout_coords(desk->cursor, &event->touch->base, event->x, event->y, &x, &y);
	surface = view_is_hung(desk) ? NULL : surface_at(desk, x, y, &sx, &sy);
	if (surface)
		wlr_seat_touch_notify_down(desk->seat, surface, event->time_msec, event->touch_id, sx, sy);
}

static void on_touch_up(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, touch_up);
	const struct wlr_touch_up_event *event = data;

	if (wlr_seat_touch_get_point(desk->seat, event->touch_id))
		wlr_seat_touch_notify_up(desk->seat, event->time_msec, event->touch_id);
}

static void on_touch_motion(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, touch_motion);
	const struct wlr_touch_motion_event *event = data;
	struct wlr_touch_point *point = wlr_seat_touch_get_point(desk->seat, event->touch_id);
	double x, y, sx, sy;

	if (!point)
		return;
	wlr_cursor_absolute_to_layout_coords(desk->cursor, &event->touch->base, event->x, event->y, &x, &y);
	/* A finger that leaves its surface stays with it, at the place where it left. */
	if (surface_at(desk, x, y, &sx, &sy) == point->surface)
		wlr_seat_touch_notify_motion(desk->seat, event->time_msec, event->touch_id, sx, sy);
}

static void on_touch_cancel(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, touch_cancel);
	const struct wlr_touch_cancel_event *event = data;
	struct wlr_touch_point *point = wlr_seat_touch_get_point(desk->seat, event->touch_id);

	if (point)
		wlr_seat_touch_notify_cancel(desk->seat, point->client);
}

static void on_touch_frame(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, touch_frame);

	(void)data;
	wlr_seat_touch_notify_frame(desk->seat);
}

/* The switcher may have a pointer of its own; a view may only hide ours, see graphics/README.md. */
static void on_request_cursor(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, request_cursor);
	const struct wlr_seat_pointer_request_set_cursor_event *event = data;

	if (event->seat_client != desk->seat->pointer_state.focused_client)
		return;
	if (!event->surface)
		wlr_cursor_unset_image(desk->cursor);
	else if (client_role(event->seat_client->client, NULL) == ROLE_SHELL)
		wlr_cursor_set_surface(desk->cursor, event->surface, event->hotspot_x, event->hotspot_y);
	else
		show_pointer(desk);
}

static void on_pointer_focus(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, pointer_focus);
	const struct wlr_seat_pointer_focus_change_event *event = data;

	if (event->old_surface != event->new_surface)
		show_pointer(desk);
}

/* Only the shell has data devices: views see no global for them. */
static void on_request_selection(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, request_selection);
	const struct wlr_seat_request_set_selection_event *event = data;

	wlr_seat_set_selection(desk->seat, event->source, event->serial);
}

void pointer_release(Desk *desk)
{
	struct wlr_touch_point *point, *next;

	while (desk->button_count) {
		uint32_t button = desk->buttons[--desk->button_count];
		wlr_seat_pointer_notify_button(desk->seat, now_msec(), button, WL_POINTER_BUTTON_STATE_RELEASED);
	}
	wlr_seat_pointer_notify_frame(desk->seat);
	if (wlr_seat_pointer_has_grab(desk->seat))
		wlr_seat_pointer_end_grab(desk->seat);
	wlr_seat_pointer_clear_focus(desk->seat);
	wl_list_for_each_safe(point, next, &desk->seat->touch_state.touch_points, link) {
		struct wlr_seat_client *client = point->client;
		wlr_seat_touch_notify_cancel(desk->seat, client);
		break; /* that was all of this client's, and no other has any */
	}
}

void pointer_refocus(Desk *desk)
{
	track(desk, now_msec());
	wlr_seat_pointer_notify_frame(desk->seat);
}

typedef struct {
	Desk *desk;
	struct wlr_input_device *device;
	struct wl_listener destroy;
} Device;

static void set_capabilities(Desk *desk)
{
	uint32_t capabilities = WL_SEAT_CAPABILITY_KEYBOARD;

	if (desk->pointers)
		capabilities |= WL_SEAT_CAPABILITY_POINTER;
	if (desk->touches)
		capabilities |= WL_SEAT_CAPABILITY_TOUCH;
	wlr_seat_set_capabilities(desk->seat, capabilities);
	if (desk->pointers)
		show_pointer(desk);
	else
		wlr_cursor_unset_image(desk->cursor);
}

static void on_device_destroy(struct wl_listener *listener, void *data)
{
	Device *device = wl_container_of(listener, device, destroy);
	Desk *desk = device->desk;

	(void)data;
	if (device->device->type == WLR_INPUT_DEVICE_POINTER)
		desk->pointers--;
	else
		desk->touches--;
	listener_remove(&device->destroy);
	set_capabilities(desk);
	g_free(device);
}

static void on_new_input(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, new_input);
	struct wlr_input_device *input = data;
	Device *device;

	if (input->type == WLR_INPUT_DEVICE_KEYBOARD)
		keyboard_add(desk, input);
	if (input->type != WLR_INPUT_DEVICE_POINTER && input->type != WLR_INPUT_DEVICE_TOUCH)
		return;
	wlr_cursor_attach_input_device(desk->cursor, input);
	device = g_new0(Device, 1);
	device->desk = desk;
	device->device = input;
	listen_to(&input->events.destroy, &device->destroy, on_device_destroy);
	if (input->type == WLR_INPUT_DEVICE_POINTER)
		desk->pointers++;
	else
		desk->touches++;
	set_capabilities(desk);
}

void input_init(Desk *desk)
{
	struct wlr_cursor *cursor = wlr_cursor_create();

	desk->cursor = cursor;
	wlr_cursor_attach_output_layout(cursor, desk->layout);
	desk->cursors = wlr_xcursor_manager_create(NULL, 24);
	desk->relative = wlr_relative_pointer_manager_v1_create(desk->display);
	listen_to(&desk->backend->events.new_input, &desk->new_input, on_new_input);
	listen_to(&cursor->events.motion, &desk->motion, on_motion);
	listen_to(&cursor->events.motion_absolute, &desk->motion_absolute, on_motion_absolute);
	listen_to(&cursor->events.button, &desk->button, on_button);
	listen_to(&cursor->events.axis, &desk->axis, on_axis);
	listen_to(&cursor->events.frame, &desk->pointer_frame, on_pointer_frame);
	listen_to(&cursor->events.touch_down, &desk->touch_down, on_touch_down);
	listen_to(&cursor->events.touch_up, &desk->touch_up, on_touch_up);
	listen_to(&cursor->events.touch_motion, &desk->touch_motion, on_touch_motion);
	listen_to(&cursor->events.touch_cancel, &desk->touch_cancel, on_touch_cancel);
	listen_to(&cursor->events.touch_frame, &desk->touch_frame, on_touch_frame);
	listen_to(&desk->seat->events.request_set_cursor, &desk->request_cursor, on_request_cursor);
	listen_to(&desk->seat->events.request_set_selection, &desk->request_selection, on_request_selection);
	listen_to(&desk->seat->pointer_state.events.focus_change, &desk->pointer_focus, on_pointer_focus);
	wlr_seat_set_capabilities(desk->seat, WL_SEAT_CAPABILITY_KEYBOARD);
}

void input_finish(Desk *desk)
{
	struct wl_listener *listeners[] = {&desk->new_input, &desk->motion, &desk->motion_absolute, &desk->button, &desk->axis,
		&desk->pointer_frame, &desk->touch_down, &desk->touch_up, &desk->touch_motion, &desk->touch_cancel, &desk->touch_frame,
		&desk->request_cursor, &desk->request_selection, &desk->pointer_focus};

	for (guint i = 0; i < G_N_ELEMENTS(listeners); i++)
		listener_remove(listeners[i]);
	g_clear_pointer(&desk->cursors, wlr_xcursor_manager_destroy);
	g_clear_pointer(&desk->cursor, wlr_cursor_destroy);
}
