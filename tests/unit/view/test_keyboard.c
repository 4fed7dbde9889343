// SPDX-License-Identifier: Apache-2.0
/* Keys, pointer and touch into a guest that reads them when it likes. */
#include "front.h"
#include "keyboard.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define TOKEN "device:vinput/0"

struct fixture {
	struct fake *fake;
	struct keyboard *keyboard;
	struct front_keyboard front;
	uint8_t down[KEY_CNT]; /* as the guest saw them */
	unsigned contacts, positions;
	int32_t x, y, wheel, dx, dy;
};

static void on_watch(void *data)
{
	struct fixture *t = data;

	if (t->keyboard)
		xenbus_update(keyboard_bus(t->keyboard));
}

static void on_event(void *data, uint32_t port)
{
	struct fixture *t = data;

	if (t->keyboard)
		g_assert_true(keyboard_event(t->keyboard, port));
}

static void setup_bare(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	memset(t, 0, sizeof(*t));
	t->fake = fake_new(64);
	fake_add_keyboard(t->fake, "vinput");
	fake_listen(t->fake, on_watch, on_event, t);
	t->keyboard = keyboard_new(fake_xen(t->fake), FAKE_DOMID, 0, TOKEN, "vinput");
}

static void setup(struct fixture *t, gconstpointer absolute)
{
	setup_bare(t, NULL);
	front_keyboard_connect(&t->front, t->fake, "vinput", absolute != NULL, true);
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	if (t->keyboard)
		keyboard_free(t->keyboard, TOKEN);
	fake_free(t->fake);
}

/* What the driver does with an event. */
static void apply(struct fixture *t, const union xenkbd_in_event *e)
{
	switch (e->type) {
	case XENKBD_TYPE_KEY:
		g_assert_cmpuint(e->key.keycode, <, KEY_CNT);
		t->down[e->key.keycode] = e->key.pressed;
		break;
	case XENKBD_TYPE_POS:
		t->x = e->pos.abs_x;
		t->y = e->pos.abs_y;
		t->positions++;
		break;
	case XENKBD_TYPE_MOTION:
		t->dx += e->motion.rel_x;
		t->dy += e->motion.rel_y;
		t->wheel += e->motion.rel_z;
		break;
	case XENKBD_TYPE_MTOUCH:
		t->contacts += e->mtouch.event_type == XENKBD_MT_EV_DOWN;
		t->contacts -= e->mtouch.event_type == XENKBD_MT_EV_UP;
		break;
	default:
		g_assert_not_reached();
	}
}

static unsigned take_all(struct fixture *t)
{
	union xenkbd_in_event event;
	unsigned count = 0;

	/* Turns, not time: a busy machine may leave no time for any. */
	for (unsigned quiet = 0; quiet < 40; quiet++) {
		if (front_keyboard_take(&t->front, &event)) {
			apply(t, &event);
			count++;
			quiet = 0;
		}
		fake_turn();
	}
	return count;
}

static void test_offer(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_write(t->fake, "1920", FAKE_BACK "/vinput/7/0/width"); /* libxl's word stands */
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 2);
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vinput/7/0/feature-abs-pointer"), ==, "1");
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vinput/7/0/feature-multi-touch"), ==, "1");
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vinput/7/0/width"), ==, "1920");
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vinput/7/0/height"), ==, "32767");
	front_keyboard_connect(&t->front, t->fake, "vinput", true, false);
	keyboard_pointer(t->keyboard, 1, 1);
	take_all(t);
	g_assert_cmpint(t->x, ==, 1919);
	g_assert_cmpint(t->y, ==, 32766);
}

static void test_keys(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	keyboard_key(t->keyboard, KEY_A, false); /* never pressed: not told */
	keyboard_key(t->keyboard, KEY_A, true);
	keyboard_key(t->keyboard, KEY_A, true);
	keyboard_key(t->keyboard, BTN_LEFT, true);
	keyboard_key(t->keyboard, KEY_CNT, true);
	keyboard_key(t->keyboard, UINT32_MAX, true);
	g_assert_cmpuint(take_all(t), ==, 2);
	g_assert_true(t->down[KEY_A] && t->down[BTN_LEFT]);
	keyboard_release_all(t->keyboard);
	take_all(t);
	g_assert_false(t->down[KEY_A] || t->down[BTN_LEFT]);
}

static void test_pointer(struct fixture *t, gconstpointer absolute)
{
	for (int i = 0; i < 1000; i++) {
		keyboard_pointer(t->keyboard, i / 999.0, -1.0);
		keyboard_pointer_by(t->keyboard, 0.25, -0.5);
	}
	keyboard_wheel(t->keyboard, 3);
	keyboard_wheel(t->keyboard, -1);
	take_all(t);
	if (absolute) {
		g_assert_cmpint(t->x, ==, 32766);
		g_assert_cmpint(t->y, ==, 0);
		g_assert_cmpuint(t->positions, <, 60); /* what waited was merged */
	} else {
		g_assert_cmpint(t->dx, ==, 250);
		g_assert_cmpint(t->dy, ==, -500);
		g_assert_cmpuint(t->positions, ==, 0);
	}
	g_assert_cmpint(t->wheel, ==, 2);
}

static void test_touch(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	keyboard_touch_up(t->keyboard, 0); /* not down */
	keyboard_touch_down(t->keyboard, 0, 0, 0);
	keyboard_touch_down(t->keyboard, 9, 0.5, 0.5);
	keyboard_touch_down(t->keyboard, 10, 0.5, 0.5); /* one more than was offered */
	for (int i = 0; i < 10000; i++)
		keyboard_touch_move(t->keyboard, 9, i / 10000.0, 0);
	take_all(t);
	g_assert_cmpuint(t->contacts, ==, 2);
	keyboard_release_all(t->keyboard);
	take_all(t);
	g_assert_cmpuint(t->contacts, ==, 0);
}

/* The guest sleeps while a thousand keys are pressed and let go of: it finds none down in the end. */
static void test_overflow(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(7);

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 1500; i++)
			keyboard_key(t->keyboard, (uint32_t)g_rand_int_range(random, 1, 240), g_rand_boolean(random));
		keyboard_key(t->keyboard, KEY_LEFTSHIFT, true);
		keyboard_release_all(t->keyboard);
		g_assert_cmpuint(guest_read(t->front.page->in_prod) - t->front.page->in_cons, ==, XENKBD_IN_RING_LEN);
		take_all(t);
		for (uint32_t code = 0; code < KEY_CNT; code++)
			g_assert_false(t->down[code]);
	}
	keyboard_key(t->keyboard, KEY_Z, true);
	take_all(t);
	g_assert_true(t->down[KEY_Z]);
}

/* One that reads and doesn't say so gets the rest a little later. */
static void test_silent_reader(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	for (uint32_t code = 1; code < 200; code++)
		keyboard_key(t->keyboard, code, true);
	for (int i = 0; i < 20 && guest_read(t->front.page->in_prod) < 199; i++) {
		t->front.page->in_cons = guest_read(t->front.page->in_prod);
		fake_settle(60);
	}
	g_assert_cmpuint(guest_read(t->front.page->in_prod), ==, 199);
}

static void test_hostile(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const uint32_t lies[] = {0x80000000u, 0xffffffffu, 52, 1, 12345};
	uint8_t *page = (uint8_t *)t->front.page;

	memset(page + XENKBD_IN_RING_OFFS + XENKBD_IN_RING_LEN * XENKBD_IN_EVENT_SIZE, 0x77, 8);
	memset(page + XENKBD_OUT_RING_OFFS, 0x77, 100);
	for (unsigned i = 0; i < 2000; i++) {
		t->front.page->in_cons = lies[i % G_N_ELEMENTS(lies)];
		t->front.page->in_prod = lies[(i + 1) % G_N_ELEMENTS(lies)];
		t->front.page->out_prod = i;
		keyboard_key(t->keyboard, i % 240, i % 3);
		keyboard_pointer(t->keyboard, i, 0.0 / 0.0);
		fake_ring(t->fake, t->front.port);
		if (i % 100 == 0)
			fake_turn();
	}
	for (unsigned i = 0; i < 8; i++)
		g_assert_cmpuint(page[XENKBD_IN_RING_OFFS + XENKBD_IN_RING_LEN * XENKBD_IN_EVENT_SIZE + i], ==, 0x77);
	for (unsigned i = 0; i < 100; i++)
		g_assert_cmpuint(page[XENKBD_OUT_RING_OFFS + i], ==, 0x77);
}

/* The view is killed with a key down: the next one lets go of it, and goes on with the same ring. */
static void test_killed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct keyboard *old = t->keyboard;

	keyboard_key(t->keyboard, KEY_LEFTCTRL, true);
	take_all(t);
	g_assert_true(t->down[KEY_LEFTCTRL]);
	/* As if it had died: nothing is said any more. */
	keyboard_bus(old)->connected = false;
	keyboard_bus(old)->driver->disconnect(keyboard_bus(old));
	t->keyboard = NULL;
	keyboard_free(old, TOKEN);
	t->keyboard = keyboard_new(fake_xen(t->fake), FAKE_DOMID, 0, TOKEN, "vinput");
	fake_until(fake_bound(t->fake) == 1);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vinput"), ==, 4);
	take_all(t);
	g_assert_false(t->down[KEY_LEFTCTRL]);
	keyboard_key(t->keyboard, KEY_X, true);
	take_all(t);
	g_assert_true(t->down[KEY_X]);
}

/* Unloaded and loaded again: kbdfront is at Initialised before anyone looks. */
static void test_reload(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_write(t->fake, "5", FAKE_FRONT "/vkbd/0/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 5);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
	fake_write(t->fake, "6", FAKE_FRONT "/vkbd/0/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 6);
	keyboard_key(t->keyboard, KEY_A, true); /* nobody there */
	front_keyboard_connect(&t->front, t->fake, "vinput", true, false);
	keyboard_key(t->keyboard, KEY_B, true);
	g_assert_cmpuint(take_all(t), ==, 1);
}

static void test_bad_nodes(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 2);
	fake_write(t->fake, "99999", FAKE_FRONT "/vkbd/0/page-gref");
	fake_write(t->fake, "1", FAKE_FRONT "/vkbd/0/event-channel");
	fake_write(t->fake, "3", FAKE_FRONT "/vkbd/0/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 6);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
	fake_write(t->fake, "6", FAKE_FRONT "/vkbd/0/state"); /* the driver heeds Closed, and comes back from it */
	fake_until(fake_state(t->fake, FAKE_BACK, "vinput") == 2);
	front_keyboard_connect(&t->front, t->fake, "vinput", true, false);
}

#define ADD(name, absolute) g_test_add("/view/keyboard/" #name, struct fixture, absolute, setup, test_##name, teardown)
#define ADD_BARE(name) g_test_add("/view/keyboard/" #name, struct fixture, NULL, setup_bare, test_##name, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BARE(offer);
	ADD(keys, "abs");
	ADD(pointer, "abs");
	g_test_add("/view/keyboard/pointer_relative", struct fixture, NULL, setup, test_pointer, teardown);
	ADD(touch, "abs");
	ADD(overflow, "abs");
	ADD(silent_reader, "abs");
	ADD(hostile, "abs");
	ADD(killed, "abs");
	ADD(reload, "abs");
	ADD_BARE(bad_nodes);
	return g_test_run();
}
