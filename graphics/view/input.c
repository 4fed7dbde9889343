// SPDX-License-Identifier: Apache-2.0
/* Keys are handed on as the evdev codes that they came as: the layout is the guest's. */
#include "input.h"

#include "relative-pointer-unstable-v1-client-protocol.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define CONTACTS 10

struct input {
	struct windows *windows;
	const struct input_sink *sink;
	void *data;
	struct wl_keyboard *keyboard;
	struct wl_pointer *pointer;
	struct zwp_relative_pointer_v1 *relative;
	struct wl_touch *touch;
	struct window *under; /* the pointer */
	double x, y;
	bool known;         /* x and y are */
	bool steps;         /* the wheel tells whole clicks in this frame */
	double wheel;       /* less than a click */
	struct {
		int32_t id;
		struct window *window; /* NULL: free */
	} contact[CONTACTS];
};

/* Screens are side by side, equally wide: where the guest really puts them is not known here. */
static double share_x(struct input *in, struct window *w, double x)
{
	return ((double)w->index + CLAMP(x / MAX(w->shown_width, 1), 0, 1)) / MAX(in->windows->count, 1);
}

static double share_y(struct window *w, double y)
{
	return CLAMP(y / MAX(w->shown_height, 1), 0, 1);
}

static void active(struct input *in)
{
	windows_expect(in->windows);
}

/* Keyboard. */

static void on_keymap(void *data G_GNUC_UNUSED, struct wl_keyboard *keyboard G_GNUC_UNUSED, uint32_t format G_GNUC_UNUSED, int fd,
		      uint32_t size G_GNUC_UNUSED)
{
	close(fd);
}

/* What is down already was pressed for somebody else: the guest sees neither that nor its release. */
static void on_keyboard_enter(void *data G_GNUC_UNUSED, struct wl_keyboard *keyboard G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			      struct wl_surface *surface G_GNUC_UNUSED, struct wl_array *keys G_GNUC_UNUSED)
{
}

static void on_keyboard_leave(void *data, struct wl_keyboard *keyboard G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			      struct wl_surface *surface G_GNUC_UNUSED)
{
	struct input *in = data;

	in->sink->release_all(in->data);
}

static void on_key(void *data, struct wl_keyboard *keyboard G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
		   uint32_t time G_GNUC_UNUSED, uint32_t key, uint32_t state)
{
	struct input *in = data;

	if (state > WL_KEYBOARD_KEY_STATE_PRESSED) /* "repeated": the guest repeats by itself */
		return;
	in->sink->key(in->data, key, state == WL_KEYBOARD_KEY_STATE_PRESSED);
	active(in);
}

static void on_modifiers(void *data G_GNUC_UNUSED, struct wl_keyboard *keyboard G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			 uint32_t depressed G_GNUC_UNUSED, uint32_t latched G_GNUC_UNUSED, uint32_t locked G_GNUC_UNUSED,
			 uint32_t group G_GNUC_UNUSED)
{
}

static void on_repeat(void *data G_GNUC_UNUSED, struct wl_keyboard *keyboard G_GNUC_UNUSED, int32_t rate G_GNUC_UNUSED,
		      int32_t delay G_GNUC_UNUSED)
{
}

static const struct wl_keyboard_listener keyboard_listener = {
	.keymap = on_keymap, .enter = on_keyboard_enter, .leave = on_keyboard_leave, .key = on_key, .modifiers = on_modifiers,
	.repeat_info = on_repeat,
};

/* Pointer. */

static void on_motion(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t time G_GNUC_UNUSED, wl_fixed_t fx,
		      wl_fixed_t fy)
{
	struct input *in = data;
	double x = wl_fixed_to_double(fx), y = wl_fixed_to_double(fy);
	double dx = in->known && !in->relative ? x - in->x : 0, dy = in->known && !in->relative ? y - in->y : 0;

	in->x = x;
	in->y = y;
	in->known = true;
	if (!in->under)
		return;
	in->sink->pointer(in->data, share_x(in, in->under, x), share_y(in->under, y), dx, dy);
	active(in);
}

static void on_pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial, struct wl_surface *surface, wl_fixed_t x,
			     wl_fixed_t y)
{
	struct input *in = data;

	/* The guest draws its own. */
	wl_pointer_set_cursor(pointer, serial, NULL, 0, 0);
	in->under = windows_find(in->windows, surface);
	in->known = false;
	on_motion(data, pointer, 0, x, y);
}

static void on_pointer_leave(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			     struct wl_surface *surface G_GNUC_UNUSED)
{
	struct input *in = data;

	in->under = NULL;
	in->known = false;
}

static void on_button(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
		      uint32_t time G_GNUC_UNUSED, uint32_t button, uint32_t state)
{
	struct input *in = data;

	in->sink->key(in->data, button, state == WL_POINTER_BUTTON_STATE_PRESSED);
	active(in);
}

static void turn(struct input *in, double clicks)
{
	double whole;

	in->wheel = modf(in->wheel + CLAMP(clicks, -100, 100), &whole);
	if (whole != 0) {
		in->sink->wheel(in->data, (int)whole);
		active(in);
	}
}

/* Fingers on a pad: ten units are what a click of a wheel makes. */
static void on_axis(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t time G_GNUC_UNUSED, uint32_t axis,
		    wl_fixed_t value)
{
	struct input *in = data;

	if (axis == WL_POINTER_AXIS_VERTICAL_SCROLL && !in->steps)
		turn(in, wl_fixed_to_double(value) / 10);
	in->steps = false;
}

static void on_axis_discrete(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t axis, int32_t steps)
{
	struct input *in = data;

	if (axis != WL_POINTER_AXIS_VERTICAL_SCROLL)
		return;
	in->steps = true; /* and its axis event follows */
	turn(in, steps);
}

static void on_axis_120(void *data, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t axis, int32_t value)
{
	struct input *in = data;

	if (axis != WL_POINTER_AXIS_VERTICAL_SCROLL)
		return;
	in->steps = true;
	turn(in, value / 120.0);
}

static void on_pointer_frame(void *data, struct wl_pointer *pointer G_GNUC_UNUSED)
{
	((struct input *)data)->steps = false;
}

static void on_axis_source(void *data G_GNUC_UNUSED, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t source G_GNUC_UNUSED)
{
}

static void on_axis_stop(void *data G_GNUC_UNUSED, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t time G_GNUC_UNUSED,
			 uint32_t axis G_GNUC_UNUSED)
{
}

static void on_axis_direction(void *data G_GNUC_UNUSED, struct wl_pointer *pointer G_GNUC_UNUSED, uint32_t axis G_GNUC_UNUSED,
			      uint32_t direction G_GNUC_UNUSED)
{
}

static const struct wl_pointer_listener pointer_listener = {
	.enter = on_pointer_enter, .leave = on_pointer_leave, .motion = on_motion, .button = on_button, .axis = on_axis,
	.frame = on_pointer_frame, .axis_source = on_axis_source, .axis_stop = on_axis_stop, .axis_discrete = on_axis_discrete,
	.axis_value120 = on_axis_120, .axis_relative_direction = on_axis_direction,
};

static void on_relative(void *data, struct zwp_relative_pointer_v1 *relative G_GNUC_UNUSED, uint32_t hi G_GNUC_UNUSED,
			uint32_t lo G_GNUC_UNUSED, wl_fixed_t dx, wl_fixed_t dy, wl_fixed_t raw_x G_GNUC_UNUSED,
			wl_fixed_t raw_y G_GNUC_UNUSED)
{
	struct input *in = data;

	if (!in->under || !in->known)
		return;
	in->sink->pointer(in->data, share_x(in, in->under, in->x), share_y(in->under, in->y), wl_fixed_to_double(dx),
			  wl_fixed_to_double(dy));
	active(in);
}

static const struct zwp_relative_pointer_v1_listener relative_listener = {.relative_motion = on_relative};

/* Touch. */

static int find_contact(struct input *in, int32_t id)
{
	for (int i = 0; i < CONTACTS; i++)
		if (in->contact[i].window && in->contact[i].id == id)
			return i;
	return -1;
}

static void on_touch_down(void *data, struct wl_touch *touch G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			  uint32_t time G_GNUC_UNUSED, struct wl_surface *surface, int32_t id, wl_fixed_t x, wl_fixed_t y)
{
	struct input *in = data;
	struct window *w = windows_find(in->windows, surface);
	int i;

	for (i = 0; i < CONTACTS && in->contact[i].window; i++)
		;
	if (!w || i == CONTACTS)
		return;
	in->contact[i].id = id;
	in->contact[i].window = w;
	in->sink->touch_down(in->data, (unsigned)i, share_x(in, w, wl_fixed_to_double(x)), share_y(w, wl_fixed_to_double(y)));
}

static void on_touch_up(void *data, struct wl_touch *touch G_GNUC_UNUSED, uint32_t serial G_GNUC_UNUSED,
			uint32_t time G_GNUC_UNUSED, int32_t id)
{
	struct input *in = data;
	int i = find_contact(in, id);

	if (i < 0)
		return;
	in->contact[i].window = NULL;
	in->sink->touch_up(in->data, (unsigned)i);
}

static void on_touch_motion(void *data, struct wl_touch *touch G_GNUC_UNUSED, uint32_t time G_GNUC_UNUSED, int32_t id,
			    wl_fixed_t x, wl_fixed_t y)
{
	struct input *in = data;
	int i = find_contact(in, id);

	if (i >= 0)
		in->sink->touch_move(in->data, (unsigned)i, share_x(in, in->contact[i].window, wl_fixed_to_double(x)),
				     share_y(in->contact[i].window, wl_fixed_to_double(y)));
}

static void on_touch_frame(void *data, struct wl_touch *touch G_GNUC_UNUSED)
{
	struct input *in = data;

	in->sink->touch_frame(in->data);
	active(in);
}

static void on_touch_cancel(void *data, struct wl_touch *touch)
{
	struct input *in = data;

	for (unsigned i = 0; i < CONTACTS; i++)
		if (in->contact[i].window) {
			in->contact[i].window = NULL;
			in->sink->touch_up(in->data, i);
		}
	on_touch_frame(data, touch);
}

static void on_touch_shape(void *data G_GNUC_UNUSED, struct wl_touch *touch G_GNUC_UNUSED, int32_t id G_GNUC_UNUSED,
			   wl_fixed_t major G_GNUC_UNUSED, wl_fixed_t minor G_GNUC_UNUSED)
{
}

static void on_touch_orientation(void *data G_GNUC_UNUSED, struct wl_touch *touch G_GNUC_UNUSED, int32_t id G_GNUC_UNUSED,
				 wl_fixed_t orientation G_GNUC_UNUSED)
{
}

static const struct wl_touch_listener touch_listener = {
	.down = on_touch_down, .up = on_touch_up, .motion = on_touch_motion, .frame = on_touch_frame, .cancel = on_touch_cancel,
	.shape = on_touch_shape, .orientation = on_touch_orientation,
};

/* The seat. */

static void drop_pointer(struct input *in)
{
	if (in->relative)
		zwp_relative_pointer_v1_destroy(in->relative);
	if (in->pointer)
		wl_pointer_destroy(in->pointer);
	in->relative = NULL;
	in->pointer = NULL;
	in->under = NULL;
}

static void take_pointer(struct input *in)
{
	in->pointer = wl_seat_get_pointer(in->windows->seat);
	wl_pointer_add_listener(in->pointer, &pointer_listener, in);
	if (in->windows->relative) {
		in->relative = zwp_relative_pointer_manager_v1_get_relative_pointer(in->windows->relative, in->pointer);
		zwp_relative_pointer_v1_add_listener(in->relative, &relative_listener, in);
	}
}

static void on_capabilities(void *data, struct wl_seat *seat, uint32_t can)
{
	struct input *in = data;

	if (can & WL_SEAT_CAPABILITY_KEYBOARD && !in->keyboard) {
		in->keyboard = wl_seat_get_keyboard(seat);
		wl_keyboard_add_listener(in->keyboard, &keyboard_listener, in);
	} else if (!(can & WL_SEAT_CAPABILITY_KEYBOARD) && in->keyboard) {
		g_clear_pointer(&in->keyboard, wl_keyboard_destroy);
		in->sink->release_all(in->data);
	}
	if (can & WL_SEAT_CAPABILITY_POINTER && !in->pointer)
		take_pointer(in);
	else if (!(can & WL_SEAT_CAPABILITY_POINTER))
		drop_pointer(in);
	if (can & WL_SEAT_CAPABILITY_TOUCH && !in->touch) {
		in->touch = wl_seat_get_touch(seat);
		wl_touch_add_listener(in->touch, &touch_listener, in);
	} else if (!(can & WL_SEAT_CAPABILITY_TOUCH) && in->touch) {
		on_touch_cancel(in, in->touch);
		g_clear_pointer(&in->touch, wl_touch_destroy);
	}
}

static void on_name(void *data G_GNUC_UNUSED, struct wl_seat *seat G_GNUC_UNUSED, const char *name G_GNUC_UNUSED)
{
}

static const struct wl_seat_listener seat_listener = {.capabilities = on_capabilities, .name = on_name};

void input_take_seat(struct input *in)
{
	wl_seat_add_listener(in->windows->seat, &seat_listener, in);
}

struct input *input_new(struct windows *windows, const struct input_sink *sink, void *data)
{
	struct input *in = g_new0(struct input, 1);

	in->windows = windows;
	in->sink = sink;
	in->data = data;
	return in;
}

void input_forget(struct input *in, struct window *w)
{
	if (in->under == w)
		in->under = NULL;
	for (int i = 0; i < CONTACTS; i++)
		if (in->contact[i].window == w)
			in->contact[i].window = NULL;
}

void input_free(struct input *in)
{
	if (!in)
		return;
	drop_pointer(in);
	if (in->keyboard)
		wl_keyboard_destroy(in->keyboard);
	if (in->touch)
		wl_touch_destroy(in->touch);
	g_free(in);
}
