// SPDX-License-Identifier: Apache-2.0
/* vfb, whose page the guest may fill with anything. */
#include "framebuffer.h"
#include "front.h"

#include <string.h>

#define TOKEN "device:vfb/0"

struct fixture {
	struct fake *fake;
	struct framebuffer *framebuffer;
	struct front_framebuffer front;
	struct picture picture;
	struct rect damage;
	unsigned shows, blanks;
};

static void on_show(void *data, unsigned screen, const struct picture *p, bool flip, const struct rect *damage)
{
	struct fixture *t = data;

	g_assert_cmpuint(screen, ==, 0);
	g_assert_false(flip);
	t->picture = p ? *p : (struct picture){0};
	t->damage = damage ? *damage : (struct rect){0};
	t->shows++;
	/* All that is said to be there must be readable. */
	for (uint32_t y = 0; p && y < p->height; y++)
		for (uint32_t x = 0; x < p->width * picture_bytes(p->format); x += 64)
			(void)*(const volatile uint8_t *)(p->pixels + (size_t)y * p->stride + x);
}

static void on_blank(void *data, unsigned screen G_GNUC_UNUSED)
{
	((struct fixture *)data)->blanks++;
}

static bool on_size(void *data G_GNUC_UNUSED, unsigned screen G_GNUC_UNUSED, uint32_t *width, uint32_t *height)
{
	*width = 1024;
	*height = 768;
	return true;
}

static const struct screen_ops screens = {.show = on_show, .blank = on_blank, .size = on_size};

static void on_watch(void *data)
{
	struct fixture *t = data;

	if (t->framebuffer)
		xenbus_update(framebuffer_bus(t->framebuffer));
}

static void on_event(void *data, uint32_t port)
{
	struct fixture *t = data;

	if (t->framebuffer)
		framebuffer_event(t->framebuffer, port);
}

static void setup(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	memset(t, 0, sizeof(*t));
	t->fake = fake_new(4000);
	fake_add_framebuffer(t->fake);
	fake_listen(t->fake, on_watch, on_event, t);
	t->framebuffer = framebuffer_new(fake_xen(t->fake), FAKE_DOMID, 0, TOKEN, &screens, t);
	fake_until(fake_state(t->fake, FAKE_BACK, "vfb") == 2);
}

static void connect(struct fixture *t)
{
	front_framebuffer_publish(&t->front);
	fake_until(fake_state(t->fake, FAKE_BACK, "vfb") == 4);
	fake_write(t->fake, "4", FAKE_FRONT "/vfb/0/state");
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	framebuffer_free(t->framebuffer, TOKEN);
	g_assert_null(t->picture.pixels);
	fake_free(t->fake);
}

static void test_update(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vfb/7/0/width"), ==, "1024");
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vfb/7/0/request-update"), ==, "1");
	front_framebuffer_alloc(&t->front, t->fake, 1024, 768, 32);
	memset(t->front.pixels, 0x5a, 1024 * 768 * 4);
	connect(t);
	g_assert_cmpmem(t->picture.pixels, 1024 * 768 * 4, t->front.pixels, 1024 * 768 * 4);
	fake_settle(20);
	front_framebuffer_update(&t->front, 10, 20, 30, 40);
	front_framebuffer_update(&t->front, 100, 200, 300, 400);
	fake_until(t->damage.width);
	fake_settle(20);
	g_assert_cmpint(t->damage.x, >=, 10);
	g_assert_cmpint(t->damage.x + t->damage.width, ==, 400);
	g_assert_cmpuint(t->front.page->out_cons, ==, 2);
}

static void test_wild_updates(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const int32_t wild[] = {0, -1, 1, INT32_MAX, INT32_MIN, 1023, 1024};

	front_framebuffer_alloc(&t->front, t->fake, 1024, 768, 32);
	connect(t);
	for (unsigned i = 0; i < 7 * 7 * 7 * 7; i++) {
		front_framebuffer_update(&t->front, wild[i % 7], wild[i / 7 % 7], wild[i / 49 % 7], wild[i / 343]);
		if (i % 40 == 0)
			fake_until(t->front.page->out_cons == t->front.page->out_prod);
		g_assert_cmpint(t->damage.x, >=, 0);
		g_assert_cmpint(t->damage.y, >=, 0);
		g_assert_cmpint((int64_t)t->damage.x + t->damage.width, <=, 1024);
		g_assert_cmpint((int64_t)t->damage.y + t->damage.height, <=, 768);
	}
}

static void test_wild_resizes(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const int32_t wild[] = {0, -1, 1, INT32_MAX, INT32_MIN, 512, 2048, 4096, 7680};
	g_autoptr(GRand) random = g_rand_new_with_seed(3);

	front_framebuffer_alloc(&t->front, t->fake, 1024, 768, 32);
	connect(t);
	for (unsigned i = 0; i < 5000; i++) {
		union xenfb_out_event e = {.resize = {XENFB_TYPE_RESIZE, wild[g_rand_int_range(random, 0, 9)],
						      wild[g_rand_int_range(random, 0, 9)], wild[g_rand_int_range(random, 0, 9)],
						      g_rand_int_range(random, -1, 5) * 8, wild[g_rand_int_range(random, 0, 9)]}};

		XENFB_OUT_RING_REF(t->front.page, t->front.page->out_prod) = e;
		guest_write(t->front.page->out_prod, t->front.page->out_prod + 1);
		fake_ring(t->fake, t->front.port);
		if (i % 30 == 0)
			fake_until(t->front.page->out_cons == t->front.page->out_prod);
	}
	g_assert_cmpuint(t->shows, >, 1);
}

static void test_bad_page(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(5);
	struct xenfb_page good;

	front_framebuffer_alloc(&t->front, t->fake, 640, 480, 16);
	good = *t->front.page;
	for (unsigned i = 0; i < 400; i++) {
		uint8_t *bytes = (uint8_t *)t->front.page;

		*t->front.page = good;
		for (int n = 0; n < 3; n++)
			bytes[g_rand_int_range(random, 16, i % 2 ? 40 : 64)] = (uint8_t)g_rand_int(random);
		front_framebuffer_publish(&t->front);
		fake_until(fake_state(t->fake, FAKE_BACK, "vfb") != 2);
		fake_write(t->fake, "6", FAKE_FRONT "/vfb/0/state");
		fake_until(fake_mapped(t->fake) == 0);
		fake_write(t->fake, "1", FAKE_FRONT "/vfb/0/state");
		fake_until(fake_state(t->fake, FAKE_BACK, "vfb") == 2);
	}
	*t->front.page = good;
	connect(t);
	g_assert_cmpuint(t->picture.format, ==, PICTURE_RGB565);
}

static void test_yield(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	unsigned shows;

	front_framebuffer_alloc(&t->front, t->fake, 640, 480, 32);
	connect(t);
	fake_settle(10);
	framebuffer_yield(t->framebuffer, true);
	g_assert_null(t->picture.pixels); /* its memory may go away now without a word */
	shows = t->shows;
	front_framebuffer_update(&t->front, 0, 0, 640, 480);
	fake_settle(20);
	g_assert_cmpuint(t->shows, ==, shows);
	framebuffer_yield(t->framebuffer, false);
	g_assert_cmpuint(t->shows, ==, shows + 1);
}

#define ADD(name) g_test_add("/view/framebuffer/" #name, struct fixture, NULL, setup, test_##name, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(update);
	ADD(wild_updates);
	ADD(wild_resizes);
	ADD(bad_page);
	ADD(yield);
	return g_test_run();
}
