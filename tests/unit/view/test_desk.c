// SPDX-License-Identifier: Apache-2.0
/* The whole view: a guest's rings on one side, a compositor on the other, and the picture that a person would see. */
#include "compositor.h"
#include "front.h"
#include "view.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define WIDTH  800u
#define HEIGHT 600u

struct fixture {
	struct fake *fake;
	struct compositor *compositor;
	struct view *view;
	struct display_saved saved;
	struct front_display front;
	struct front_keyboard keyboard;
	unsigned ended;
	bool outlive;
	char *problem;
};

#define desk_until(condition)                                                                                                  \
	fake_until((compositor_turn(t->compositor), condition))

static void settle(struct fixture *t, unsigned ms)
{
	gint64 end = g_get_monotonic_time() + ms * 1000;

	while (g_get_monotonic_time() < end) {
		compositor_turn(t->compositor);
		fake_turn();
	}
}

static void on_ended(void *data, const char *problem)
{
	struct fixture *t = data;

	t->ended++;
	g_free(t->problem);
	t->problem = g_strdup(problem);
}

static void start(struct fixture *t)
{
	struct view_options options = {.domid = FAKE_DOMID, .title = "Work", .app_id = "org.carrel.view", .vfb = true,
				       .outlive = t->outlive, .saved = &t->saved};

	t->view = view_new(fake_xen(t->fake), compositor_connect(t->compositor), &options, on_ended, t);
}

static void setup(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	memset(t, 0, sizeof(*t));
	t->fake = fake_new(6000);
	t->compositor = compositor_new(WIDTH, HEIGHT);
	start(t);
}

static void connect_guest(struct fixture *t, unsigned connectors)
{
	fake_add_display(t->fake, connectors, "1024x768");
	desk_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 2);
	front_display_connect(&t->front, t->fake, connectors);
}

static void setup_guest(struct fixture *t, gconstpointer data)
{
	setup(t, data);
	connect_guest(t, 1);
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	if (t->view)
		view_free(t->view);
	compositor_turn(t->compositor);
	compositor_free(t->compositor);
	fake_free(t->fake);
	g_free(t->problem);
}

/* A pattern in which no two places look the same. */
static void paint(struct front_buffer *b, uint32_t seed)
{
	uint32_t *pixels = (uint32_t *)(void *)b->pixels;

	for (uint32_t i = 0; i < b->width * b->height; i++)
		pixels[i] = (i * 2654435761u) ^ seed;
}

static bool on_screen(struct fixture *t, const struct front_buffer *b)
{
	const uint32_t *shown = compositor_picture(t->compositor), *pixels = (const uint32_t *)(const void *)b->pixels;

	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		if ((shown[i] ^ pixels[i]) & 0xffffff)
			return false;
	return true;
}

static void test_background(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	desk_until(compositor_pixel(t->compositor, 0, 0) == 0x20242b);
	desk_until(compositor_pixel(t->compositor, WIDTH - 1, HEIGHT - 1) == 0x20242b);
	connect_guest(t, 1);
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/0/resolution"), ==, "800x600"); /* as large as the window */
}

static void test_picture(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a, b;

	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b, 2, WIDTH, HEIGHT);
	paint(&a, 1);
	paint(&b, 2);
	g_assert_cmpint(front_set_config(&t->front, 0, &a), ==, 0);
	desk_until(on_screen(t, &a));
	for (int i = 0; i < 20; i++) {
		struct front_buffer *next = i % 2 ? &a : &b;

		((uint32_t *)(void *)next->pixels)[i * 7919] ^= 0xffffff;
		g_assert_cmpint(front_flip(&t->front, 0, next->fb), ==, 0);
		desk_until((front_display_events(&t->front, 0), t->front.connector[0].flips == (unsigned)i + 1));
		desk_until(on_screen(t, next));
	}
	g_assert_cmpint(front_set_config(&t->front, 0, NULL), ==, 0);
	desk_until(compositor_pixel(t->compositor, 400, 300) == 0x20242b);
}

/* A little at a time, with each of our own buffers lacking what the others got. */
static void test_little(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer b[2];

	for (unsigned i = 0; i < 2; i++) {
		front_buffer_new(&t->front, &b[i], i + 1, WIDTH, HEIGHT);
		paint(&b[i], 12);
	}
	front_set_config(&t->front, 0, &b[0]);
	desk_until(on_screen(t, &b[0]));
	for (unsigned i = 0; i < 40; i++) {
		for (unsigned n = 0; n < 2; n++)
			((uint32_t *)(void *)b[n].pixels)[i * 11003] ^= 0x808080;
		front_flip(&t->front, 0, b[1 - i % 2].fb);
		desk_until((front_display_events(&t->front, 0), t->front.connector[0].flips == i + 1));
		g_assert_true(on_screen(t, &b[0])); /* whole, when it is said to be shown */
	}
}

/* Flips are let go at the output's rate, no faster. */
static void test_pace(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer b[2];
	gint64 since;
	double seconds;

	front_buffer_new(&t->front, &b[0], 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b[1], 2, WIDTH, HEIGHT);
	paint(&b[1], 9);
	front_set_config(&t->front, 0, &b[0]);
	settle(t, 50);
	since = g_get_monotonic_time();
	for (unsigned i = 0; i < 60; i++) {
		front_flip(&t->front, 0, b[1 - i % 2].fb);
		desk_until((front_display_events(&t->front, 0), t->front.connector[0].flips == i + 1));
	}
	seconds = (double)(g_get_monotonic_time() - since) / G_USEC_PER_SEC;
	g_test_message("60 flips in %.2f s", seconds);
	g_assert_cmpfloat(seconds, >, 0.9);
}

static void test_hidden(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer b[2];
	gint64 since;

	front_buffer_new(&t->front, &b[0], 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b[1], 2, WIDTH, HEIGHT);
	front_set_config(&t->front, 0, &b[0]);
	settle(t, 100);
	compositor_show(t->compositor, false);
	settle(t, 100);
	since = g_get_monotonic_time();
	for (unsigned i = 0; i < 3; i++) {
		paint(&b[1 - i % 2], i + 100);
		front_flip(&t->front, 0, b[1 - i % 2].fb);
		desk_until((front_display_events(&t->front, 0), t->front.connector[0].flips == i + 1));
	}
	/* The first callback may still have come; the others take a second each, well below the driver's three. */
	g_assert_cmpint(g_get_monotonic_time() - since, >, 1900000);
	/* What came last is there at once when it is shown again. */
	compositor_show(t->compositor, true);
	for (int i = 0; i < 60; i++) { /* turns, each a millisecond at most */
		compositor_turn(t->compositor);
		fake_turn();
	}
	g_assert_true(on_screen(t, &b[1]));
}

/* X without page flips draws into the buffer on screen, and tells nobody. */
static void test_front_buffer(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_set_config(&t->front, 0, &a);
	desk_until(on_screen(t, &a));
	for (uint32_t i = 0; i < 10; i++) {
		settle(t, i * 30);
		((uint32_t *)(void *)a.pixels)[i * 4999] = 0x112233 + i;
		desk_until(on_screen(t, &a));
	}
	paint(&a, 3);
	desk_until(on_screen(t, &a));
	/* Typing makes it look at once, however long it was quiet. */
	settle(t, 1500);
	paint(&a, 4);
	desk_until(on_screen(t, &a));
}

static void test_scaled(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	memset(a.pixels, 0x66, a.size);
	front_set_config(&t->front, 0, &a);
	desk_until(on_screen(t, &a));
	compositor_resize(t->compositor, 400, 400); /* another shape: the picture keeps its own */
	desk_until(compositor_pixel(t->compositor, 500, 100) == 0);
	desk_until(compositor_pixel(t->compositor, 390, 290) == 0x666666);
	g_assert_cmpuint(compositor_pixel(t->compositor, 200, 301), ==, 0);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 4);
	compositor_resize(t->compositor, WIDTH, HEIGHT);
	desk_until(on_screen(t, &a));
	/* A guest with fewer pixels fills the window as well. */
	{
		struct front_buffer small;

		front_buffer_new(&t->front, &small, 2, 400, 300);
		memset(small.pixels, 0x44, small.size);
		front_set_config(&t->front, 0, &small);
		desk_until(compositor_pixel(t->compositor, 780, 580) == 0x444444);
	}
}

static void test_two_connectors(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a, b;

	connect_guest(t, 2);
	desk_until(compositor_windows(t->compositor) == 2);
	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b, 2, WIDTH, HEIGHT);
	paint(&a, 5);
	paint(&b, 6);
	front_set_config(&t->front, 0, &a);
	front_set_config(&t->front, 1, &b);
	desk_until(on_screen(t, &b)); /* the second lies above the first here */
}

static bool take_key(struct fixture *t, uint32_t *code, bool *pressed)
{
	union xenkbd_in_event e;

	while (front_keyboard_take(&t->keyboard, &e))
		if (e.type == XENKBD_TYPE_KEY) {
			*code = e.key.keycode;
			*pressed = e.key.pressed;
			return true;
		}
	return false;
}

static void expect_key(struct fixture *t, uint32_t code, bool pressed)
{
	uint32_t got = 0;
	bool down = false;

	desk_until(take_key(t, &got, &down));
	g_assert_cmpuint(got, ==, code);
	g_assert_cmpint(down, ==, pressed);
}

static void connect_keyboard(struct fixture *t)
{
	fake_add_keyboard(t->fake, "vinput");
	front_keyboard_connect(&t->keyboard, t->fake, "vinput", true, true);
	desk_until(compositor_windows(t->compositor) == 1);
}

static void test_keys(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	connect_keyboard(t);
	settle(t, 20);
	compositor_focus(t->compositor, true);
	compositor_key(t->compositor, KEY_LEFTCTRL, false); /* was down before: not the guest's */
	compositor_key(t->compositor, KEY_H, true);
	expect_key(t, KEY_H, true);
	compositor_key(t->compositor, KEY_H, false);
	compositor_key(t->compositor, KEY_LEFTSHIFT, true);
	expect_key(t, KEY_H, false);
	expect_key(t, KEY_LEFTSHIFT, true);
	compositor_focus(t->compositor, false);
	expect_key(t, KEY_LEFTSHIFT, false);
}

static bool take_position(struct fixture *t, int32_t *x, int32_t *y, int32_t *wheel)
{
	union xenkbd_in_event e;
	bool any = false;

	while (front_keyboard_take(&t->keyboard, &e)) {
		if (e.type == XENKBD_TYPE_POS) {
			*x = e.pos.abs_x;
			*y = e.pos.abs_y;
			any = true;
		} else if (e.type == XENKBD_TYPE_MOTION) {
			*wheel += e.motion.rel_z;
			any = true;
		}
	}
	return any;
}

static void test_pointer(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	int32_t x = -1, y = -1, wheel = 0;

	connect_keyboard(t);
	desk_until(compositor_pixel(t->compositor, 0, 0) == 0x20242b);
	settle(t, 20);
	compositor_point(t->compositor, 400, 150);
	desk_until(take_position(t, &x, &y, &wheel));
	g_assert_cmpint(abs(x - 16383), <=, 1);
	g_assert_cmpint(abs(y - 8191), <=, 1);
	compositor_button(t->compositor, BTN_RIGHT, true);
	expect_key(t, BTN_RIGHT, true);
	compositor_wheel(t->compositor, 1);
	desk_until(take_position(t, &x, &y, &wheel));
	settle(t, 20);
	take_position(t, &x, &y, &wheel);
	g_assert_cmpint(wheel, ==, 1);
	compositor_wheel(t->compositor, -2);
	settle(t, 20);
	take_position(t, &x, &y, &wheel);
	g_assert_cmpint(wheel, ==, -1);
}

static bool take_touch(struct fixture *t, uint8_t *type, int32_t *x)
{
	union xenkbd_in_event e;

	while (front_keyboard_take(&t->keyboard, &e))
		if (e.type == XENKBD_TYPE_MTOUCH && e.mtouch.event_type != XENKBD_MT_EV_SYN) {
			*type = e.mtouch.event_type;
			*x = e.mtouch.u.pos.abs_x;
			return true;
		}
	return false;
}

static void test_touch(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t type = 255;
	int32_t x = -1;

	connect_keyboard(t);
	desk_until(compositor_pixel(t->compositor, 0, 0) == 0x20242b);
	settle(t, 20);
	compositor_touch(t->compositor, 77, 0, 10);
	desk_until(take_touch(t, &type, &x));
	g_assert_cmpuint(type, ==, XENKBD_MT_EV_DOWN);
	compositor_touch(t->compositor, 77, WIDTH, 10);
	desk_until(take_touch(t, &type, &x));
	g_assert_cmpuint(type, ==, XENKBD_MT_EV_MOTION);
	g_assert_cmpint(x, ==, 32766);
	compositor_touch(t->compositor, 77, -1, -1);
	desk_until(take_touch(t, &type, &x));
	g_assert_cmpuint(type, ==, XENKBD_MT_EV_UP);
}

/* vfb until the display is in use, and again after it. */
static void test_vfb_first(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_framebuffer vfb = {0};
	struct front_buffer a;

	fake_add_framebuffer(t->fake);
	desk_until(fake_state(t->fake, FAKE_BACK, "vfb") == 2);
	front_framebuffer_alloc(&vfb, t->fake, 640, 480, 32);
	memset(vfb.pixels, 0x11, 640 * 480 * 4);
	front_framebuffer_publish(&vfb);
	desk_until(compositor_pixel(t->compositor, 780, 580) == 0x111111);
	memset(vfb.pixels, 0x33, 640 * 480 * 4);
	front_framebuffer_update(&vfb, 0, 0, 640, 480);
	desk_until(compositor_pixel(t->compositor, 400, 300) == 0x333333);
	connect_guest(t, 1);
	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	paint(&a, 8);
	front_set_config(&t->front, 0, &a);
	desk_until(on_screen(t, &a));
	front_framebuffer_update(&vfb, 0, 0, 640, 480);
	settle(t, 100);
	g_assert_true(on_screen(t, &a));
	front_set_config(&t->front, 0, NULL);
	desk_until(compositor_pixel(t->compositor, 780, 580) == 0x333333);
}

static unsigned open_files(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned count = 0;

	while (g_dir_read_name(dir))
		count++;
	return count;
}

/* The view dies and comes back, again and again: the guest notices nothing, and the picture is there again. */
static void test_view_killed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a, b;
	unsigned files = 0;

	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b, 2, WIDTH, HEIGHT);
	paint(&a, 10);
	paint(&b, 11);
	front_set_config(&t->front, 0, &a);
	desk_until(on_screen(t, &a));
	for (unsigned i = 0; i < 60; i++) {
		struct front_buffer *next = i % 2 ? &a : &b;

		g_assert_cmpint(front_flip(&t->front, 0, next->fb), ==, 0);
		view_free(t->view);
		g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
		start(t);
		desk_until((front_display_events(&t->front, 0), t->front.connector[0].flips == i + 1));
		desk_until(on_screen(t, next));
		if (i == 9)
			files = open_files();
	}
	g_assert_cmpuint(open_files(), <=, files + 2); /* a buffer more or less, at the moment */
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 4);
}

static void test_guest_dies(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_set_config(&t->front, 0, &a);
	front_flip(&t->front, 0, a.fb);
	fake_kill(t->fake);
	desk_until(t->ended == 1);
	g_assert_null(t->problem);
}

static void test_closed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	desk_until(compositor_windows(t->compositor) == 1);
	compositor_close_window(t->compositor);
	desk_until(t->ended == 1);
}

/* The compositor goes in the middle of a flip: the guest's flips are answered on, and the next view shows its picture. */
static void test_compositor_gone(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a, b;

	view_free(t->view);
	t->outlive = true;
	start(t);
	connect_guest(t, 1);
	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_buffer_new(&t->front, &b, 2, WIDTH, HEIGHT);
	memset(b.pixels, 0x55, b.size);
	front_set_config(&t->front, 0, &a);
	front_flip(&t->front, 0, b.fb);
	compositor_free(t->compositor);
	for (unsigned i = 1; i < 20; i++) {
		fake_until((front_display_events(&t->front, 0), t->front.connector[0].flips == i));
		g_assert_cmpint(front_flip(&t->front, 0, i % 2 ? a.fb : b.fb), ==, 0);
	}
	fake_until((front_display_events(&t->front, 0), t->front.connector[0].flips == 20));
	g_assert_cmpuint(t->ended, ==, 0);
	view_free(t->view);
	t->compositor = compositor_new(WIDTH, HEIGHT);
	start(t);
	settle(t, 300);
	front_flip(&t->front, 0, b.fb);
	desk_until(on_screen(t, &b));
}

/* Requests without end on the ring and on the bell: the window still answers, and keys still arrive. */
static void test_flood(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct front_buffer a;
	unsigned keys = 0;
	gint64 since;

	connect_keyboard(t);
	settle(t, 20);
	front_buffer_new(&t->front, &a, 1, WIDTH, HEIGHT);
	front_set_config(&t->front, 0, &a);
	compositor_focus(t->compositor, true);
	since = g_get_monotonic_time();
	for (unsigned i = 0; keys <= 10 && g_get_monotonic_time() - since < 20000000; i++) {
		uint32_t code;
		bool pressed;

		c->ring.rsp_cons = guest_read(c->ring.sring->rsp_prod);
		while (!RING_FULL(&c->ring)) {
			struct xendispl_req req = {.operation = XENDISPL_OP_PG_FLIP, .op.pg_flip.fb_cookie = a.fb};

			front_display_push(&t->front, 0, &req);
		}
		fake_ring(t->fake, c->req_port);
		guest_write(c->events->in_cons, guest_read(c->events->in_prod));
		if (i % 50 == 0)
			compositor_key(t->compositor, KEY_A, i / 50 % 2 == 0);
		compositor_turn(t->compositor);
		g_main_context_iteration(NULL, FALSE);
		while (take_key(t, &code, &pressed))
			keys++;
	}
	g_test_message("%u keys through the flood", keys);
	g_assert_cmpuint(keys, >, 10);
	c->ring.rsp_cons = guest_read(c->ring.sring->rsp_prod);
}

#define ADD(name) g_test_add("/view/desk/" #name, struct fixture, NULL, setup_guest, test_##name, teardown)
#define ADD_BARE(name) g_test_add("/view/desk/" #name, struct fixture, NULL, setup, test_##name, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BARE(background);
	ADD(picture);
	ADD(little);
	ADD(pace);
	ADD(hidden);
	ADD(front_buffer);
	ADD(scaled);
	ADD_BARE(two_connectors);
	ADD_BARE(keys);
	ADD_BARE(pointer);
	ADD_BARE(touch);
	ADD_BARE(vfb_first);
	ADD(view_killed);
	ADD_BARE(compositor_gone);
	ADD(guest_dies);
	ADD_BARE(closed);
	ADD(flood);
	return g_test_run();
}
