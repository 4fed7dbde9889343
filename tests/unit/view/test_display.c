// SPDX-License-Identifier: Apache-2.0
/* The display back end against a front end that does what Linux's does, and against hostile ones. */
#include "display.h"
#include "edid.h"
#include "front.h"

#include <string.h>
#include <xen/errno.h>

#define XRGB 0x34325258u
#define TOKEN "device:vdispl/0"

struct fixture {
	struct fake *fake;
	struct display *display;
	struct display_saved saved;
	struct front_display front;
	bool size_known;
	uint32_t width, height;
	struct {
		struct picture picture;
		unsigned shows, flips, blanks;
	} screen[SCREENS];
};

static void on_show(void *data, unsigned screen, const struct picture *p, bool flip, const struct rect *damage)
{
	struct fixture *t = data;

	g_assert_cmpuint(screen, <, SCREENS);
	g_assert_null(damage);
	t->screen[screen].picture = p ? *p : (struct picture){0};
	t->screen[screen].shows++;
	t->screen[screen].flips += flip;
}

static void on_blank(void *data, unsigned screen)
{
	struct fixture *t = data;

	t->screen[screen].blanks++;
	t->screen[screen].picture = (struct picture){0};
}

static bool on_size(void *data, unsigned screen G_GNUC_UNUSED, uint32_t *width, uint32_t *height)
{
	struct fixture *t = data;

	if (t->size_known) {
		*width = t->width;
		*height = t->height;
	}
	return t->size_known;
}

static const struct screen_ops screens = {.show = on_show, .blank = on_blank, .size = on_size};

static void on_watch(void *data)
{
	struct fixture *t = data;

	if (t->display)
		xenbus_update(display_bus(t->display));
}

static void on_event(void *data, uint32_t port)
{
	struct fixture *t = data;

	if (t->display)
		g_assert_true(display_event(t->display, port));
}

static void start(struct fixture *t)
{
	t->display = display_new(fake_xen(t->fake), FAKE_DOMID, 0, TOKEN, &screens, t, &t->saved);
}

static void stop(struct fixture *t)
{
	display_free(g_steal_pointer(&t->display), TOKEN);
}

static void setup(struct fixture *t, gconstpointer connectors)
{
	memset(t, 0, sizeof(*t));
	t->fake = fake_new(24000);
	t->width = 640;
	t->height = 480;
	t->size_known = true;
	fake_add_display(t->fake, GPOINTER_TO_UINT(connectors), "1024x768");
	fake_listen(t->fake, on_watch, on_event, t);
	start(t);
}

static void setup_connected(struct fixture *t, gconstpointer connectors)
{
	setup(t, connectors);
	front_display_connect(&t->front, t->fake, GPOINTER_TO_UINT(connectors));
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	if (t->display)
		stop(t);
	for (unsigned i = 0; i < SCREENS; i++)
		g_assert_null(t->screen[i].picture.pixels); /* it was told before the memory went */
	fake_free(t->fake);
}

static void test_handshake(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 2);
	g_assert_cmpstr(fake_read(t->fake, FAKE_BACK "/vdispl/7/0/versions"), ==, "1,2");
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/0/resolution"), ==, "640x480");
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/1/resolution"), ==, "640x480");
	front_display_connect(&t->front, t->fake, 2);
	g_assert_cmpuint(fake_bound(t->fake), ==, 4);
}

static void test_waits_for_size(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	t->size_known = false;
	fake_settle(50);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 1);
	t->size_known = true;
	display_resized(t->display, false);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 2);
	t->width = 800;
	display_resized(t->display, false); /* before anyone read it: offered again */
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/0/resolution"), ==, "800x480");
}

static void test_bad_resolution(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const char *const bad[] = {"", "x", "0x0", "640", "640x", "x480", "-1x480", " 640x480", "640x480 ", "7681x1",
					  "1x4321", "99999999999999999999x1", "640X480"};

	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*no connector*");
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint32_t w, h;

		g_assert_cmpint(store_parse_size(bad[i], GUEST_MAX_WIDTH, GUEST_MAX_HEIGHT, &w, &h), <, 0);
	}
	fake_write(t->fake, "huge", FAKE_FRONT "/vdispl/0/0/resolution");
	xenbus_update(display_bus(t->display));
	g_test_assert_expected_messages();
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 1);
}

static void test_flip(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct front_buffer a, b;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_buffer_new(&t->front, &b, 2, 640, 480);
	memset(a.pixels, 0xaa, a.size);
	memset(b.pixels, 0xbb, b.size);
	g_assert_cmpint(front_flip(&t->front, 0, a.fb), ==, -XEN_EINVAL); /* not configured */
	g_assert_cmpint(front_set_config(&t->front, 0, &a), ==, 0);
	g_assert_cmpuint(t->screen[0].picture.width, ==, 640);
	g_assert_cmpuint(t->screen[0].picture.stride, ==, 2560);
	g_assert_cmpmem(t->screen[0].picture.pixels, a.size, a.pixels, a.size);
	for (int i = 1; i <= 200; i++) {
		struct front_buffer *next = i % 2 ? &b : &a;

		g_assert_cmpint(front_flip(&t->front, 0, next->fb), ==, 0);
		g_assert_cmpuint(t->screen[0].flips, ==, i);
		g_assert_cmpuint(t->screen[0].picture.pixels[0], ==, i % 2 ? 0xbb : 0xaa);
		front_display_events(&t->front, 0);
		g_assert_cmpuint(c->flips, ==, i - 1); /* not before it was seen */
		display_flip_done(t->display, 0);
		display_flip_done(t->display, 0); /* once is enough */
		front_display_events(&t->front, 0);
		g_assert_cmpuint(c->flips, ==, i);
		g_assert_cmpuint(c->last_flip, ==, next->fb);
	}
	g_assert_cmpuint(fake_rung(t->fake, c->evt_port), ==, 200);
	g_assert_cmpuint(fake_maps(t->fake), ==, 2 + 2 * 2); /* rings; and the directory and the pixels of each, once */
	g_assert_cmpint(front_set_config(&t->front, 0, NULL), ==, 0);
	g_assert_cmpuint(t->screen[0].blanks, ==, 1);
	g_assert_false(display_active(t->display));
}

/* The second flip didn't wait: both get their event, in order. */
static void test_flip_twice(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a, b;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_buffer_new(&t->front, &b, 2, 640, 480);
	front_set_config(&t->front, 0, &a);
	front_flip(&t->front, 0, b.fb);
	front_flip(&t->front, 0, a.fb);
	front_display_events(&t->front, 0);
	g_assert_cmpuint(t->front.connector[0].last_flip, ==, b.fb);
	display_flip_done(t->display, 0);
	front_display_events(&t->front, 0);
	g_assert_cmpuint(t->front.connector[0].last_flip, ==, a.fb);
	g_assert_cmpuint(t->front.connector[0].flips, ==, 2);
}

static void test_unread_events(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct front_buffer a;
	uint8_t page[XEN_PAGE];

	front_buffer_new(&t->front, &a, 1, 64, 64);
	front_set_config(&t->front, 0, &a);
	for (unsigned i = 0; i < 2 * XENDISPL_IN_RING_LEN; i++) {
		front_flip(&t->front, 0, a.fb);
		display_flip_done(t->display, 0);
	}
	g_assert_cmpuint(c->events->in_prod, ==, XENDISPL_IN_RING_LEN);
	memcpy(page, c->events, sizeof(page));
	c->events->in_cons = 0x80000000u; /* nonsense */
	front_flip(&t->front, 0, a.fb);
	display_flip_done(t->display, 0);
	c->events->in_cons = 0;
	g_assert_cmpmem(page, sizeof(page), c->events, XEN_PAGE);
}

static void test_connectors(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_SET_CONFIG};
	struct front_buffer wide;

	front_buffer_new(&t->front, &wide, 1, 1280, 480);
	for (unsigned i = 0; i < 2; i++) {
		req.op.set_config = (struct xendispl_set_config_req){wide.fb, 640 * i, 0, 1280, 480, 32};
		g_assert_cmpint(front_display_do(&t->front, i, &req), ==, 0);
	}
	memset(wide.pixels, 0x55, wide.size);
	((uint32_t *)(void *)wide.pixels)[640] = 0x12345678;
	g_assert_cmpuint(t->screen[1].picture.width, ==, 640);
	g_assert_cmpuint(*(const uint32_t *)(const void *)t->screen[1].picture.pixels, ==, 0x12345678);
	req = (struct xendispl_req){.operation = XENDISPL_OP_DBUF_DESTROY, .op.dbuf_destroy.dbuf_cookie = 1};
	g_assert_cmpint(front_display_do(&t->front, 1, &req), ==, -XEN_EINVAL); /* only on the first ring */
	g_assert_cmpint(front_display_do(&t->front, 0, &req), ==, 0);
	g_assert_null(t->screen[0].picture.pixels);
	g_assert_null(t->screen[1].picture.pixels);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 4);
}

static int try_create(struct fixture *t, uint64_t cookie, uint32_t width, uint32_t height, uint32_t bpp, uint32_t size,
		      uint32_t flags, uint32_t directory, uint32_t offset)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_DBUF_CREATE,
				   .op.dbuf_create = {cookie, width, height, bpp, size, flags, directory, offset}};

	return front_display_do(&t->front, 0, &req);
}

static void test_bad_buffers(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer b, tail;
	uint32_t *directory;

	front_buffer_alloc(t->fake, &b, 9, 640, 480, 32);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size - 1, 0, b.directory, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, 0, b.directory, 4), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, 0, b.directory, UINT32_MAX), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 640, 480, 8, b.size, 0, b.directory, 0), ==, -XEN_EOPNOTSUPP);
	g_assert_cmpint(try_create(t, 9, 640, 480, 24, b.size, 0, b.directory, 0), ==, -XEN_EOPNOTSUPP);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, XENDISPL_DBUF_FLG_REQ_ALLOC, b.directory, 0), ==, -XEN_EOPNOTSUPP);
	g_assert_cmpint(try_create(t, 9, 0, 480, 32, b.size, 0, b.directory, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 65535, 65535, 32, b.size, 0, b.directory, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 0x10000, 0x10000, 32, 0, 0, b.directory, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, 0xffffffff, 0, b.directory, 0), ==, -XEN_E2BIG);
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, 0, 0, 0), ==, -XEN_EINVAL);       /* no directory */
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, 0, 0xffffff, 0), ==, -XEN_EFAULT); /* not granted */
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, 2 * b.size + 0x400000, 0, b.directory, 0), <, 0); /* ends early */
	/* A directory whose pages follow one another in a circle has as many as it takes, and no more. */
	directory = (uint32_t *)(void *)(b.pixels + (b.size + XEN_PAGE - 1) / XEN_PAGE * XEN_PAGE);
	tail = b;
	directory[0] = b.directory;
	for (unsigned i = 301; i < 1024; i++)
		directory[i] = directory[1];
	g_assert_cmpint(try_create(t, 10, 640, 480, 32, 64 << 20, 0, b.directory, 0), ==, 0);
	g_assert_cmpint(front_buffer_destroy(&t->front, &(struct front_buffer){.cookie = 10}), ==, 0);
	directory[5] = 0xffffff;
	g_assert_cmpint(try_create(t, 9, 640, 480, 32, b.size, 0, b.directory, 0), ==, -XEN_EFAULT);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 2); /* nothing of it is left */
	directory[5] = directory[4];
	g_assert_cmpint(front_buffer_create(&t->front, &tail, 32), ==, 0);
	g_assert_cmpint(front_buffer_create(&t->front, &tail, 32), ==, -XEN_EEXIST);
	/* Frame buffers. */
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, 0x36314752), ==, -XEN_EINVAL); /* RGB565 in 32 bits */
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, 0x3231564e), ==, -XEN_EOPNOTSUPP);
	tail.width++;
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, XRGB), ==, -XEN_EINVAL);
	tail.width--;
	tail.cookie++;
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, XRGB), ==, -XEN_ENOENT);
	tail.cookie--;
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, XRGB), ==, 0);
	g_assert_cmpint(front_buffer_attach(&t->front, &tail, XRGB), ==, -XEN_EEXIST);
	g_assert_cmpint(front_fb_detach(&t->front, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(front_fb_detach(&t->front, 12345), ==, -XEN_ENOENT);
	g_assert_cmpint(front_set_config(&t->front, 0, &(struct front_buffer){.fb = 77, .width = 1, .height = 1, .size = 4}), ==,
			-XEN_ENOENT);
}

static void test_limits(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer b, big;
	unsigned made;

	front_buffer_alloc(t->fake, &b, 1, 64, 64, 32);
	for (made = 0; made < 1000; made++, b.cookie++)
		if (front_buffer_create(&t->front, &b, 32))
			break;
	g_assert_cmpuint(made, ==, GUEST_MAX_BUFFERS);
	g_assert_cmpint(t->front.connector[0].last.status, ==, -XEN_ENOSPC);
	for (b.cookie = 1; b.cookie <= made; b.cookie++)
		g_assert_cmpint(front_buffer_destroy(&t->front, &b), ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 2);
	/* Bytes: the guest grants the same pages again and again. */
	front_buffer_alloc(t->fake, &big, 1, 64, 64, 32);
	{
		uint32_t *directory = (uint32_t *)(void *)(big.pixels + 4 * XEN_PAGE);

		directory[0] = big.directory;
		for (unsigned i = 5; i < 1024; i++)
			directory[i] = directory[1 + i % 4];
	}
	for (made = 0; made < 10; made++)
		if (try_create(t, 100 + made, 7680, 4320, 32, 7680u * 4320 * 4, 0, big.directory, 0))
			break;
	g_assert_cmpuint(made, ==, 4);
	g_assert_cmpint(t->front.connector[0].last.status, ==, -XEN_ENOSPC);
	for (b.cookie = 100; b.cookie < 104; b.cookie++)
		g_assert_cmpint(front_buffer_destroy(&t->front, &b), ==, 0);
}

static void test_unknown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	for (unsigned op = 0; op < 256; op++) {
		struct xendispl_req req = {.operation = (uint8_t)op};
		int rc;

		memset(&req.op, 0xff, sizeof(req.op));
		rc = front_display_do(&t->front, 0, &req);
		g_assert_cmpint(rc, <, 0);
		if (op < 0x10 || op > 0x16)
			g_assert_cmpint(rc, ==, -XEN_EOPNOTSUPP);
	}
}

static void test_hostile_indices(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;
	struct front_connector *c = &t->front.connector[1];

	guest_write(c->ring.sring->req_prod, 0x7fffffff);
	fake_ring(t->fake, c->req_port);
	fake_settle(20);
	g_assert_cmpuint(guest_read(c->ring.sring->rsp_prod), ==, 0);
	guest_write(c->ring.sring->req_prod, 0x80000001);
	fake_ring(t->fake, c->req_port);
	fake_settle(20);
	g_assert_cmpuint(guest_read(c->ring.sring->rsp_prod), ==, 0);
	front_buffer_new(&t->front, &a, 1, 64, 64); /* the other one works on */
	/* The consumer's side, which is ours, is not believed either. */
	guest_write(t->front.connector[0].ring.sring->rsp_prod, 12345);
	fake_ring(t->fake, t->front.connector[0].req_port);
	fake_settle(5);
}

/* However fast requests come, one wake-up does a bounded part of them, and others have their turn. */
static void test_flood(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	unsigned answered = 0, most = 0;
	gint64 start = g_get_monotonic_time();

	while (answered <= 100 && g_get_monotonic_time() - start < 20000000) {
		uint32_t before = guest_read(c->ring.sring->rsp_prod), now;

		c->ring.rsp_cons = before;
		while (!RING_FULL(&c->ring)) {
			struct xendispl_req req = {.operation = XENDISPL_OP_PG_FLIP};

			front_display_push(&t->front, 0, &req);
		}
		fake_ring(t->fake, c->req_port);
		g_main_context_iteration(NULL, FALSE);
		now = guest_read(c->ring.sring->rsp_prod);
		most = MAX(most, now - before);
		answered += now - before;
	}
	g_assert_cmpuint(most, <=, 64);
	g_assert_cmpuint(answered, >, 100);
	c->ring.rsp_cons = guest_read(c->ring.sring->rsp_prod);
}

static void make_edid_buffer(struct fixture *t, struct front_buffer *b)
{
	front_buffer_alloc(t->fake, b, 1, 8192, 1, 32);
	g_assert_cmpuint(b->size, ==, XENDISPL_EDID_MAX_SIZE);
}

static void test_edid(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_GET_EDID};
	struct front_buffer b;
	uint8_t sum = 0;

	fake_write(t->fake, "2", FAKE_FRONT "/vdispl/0/version");
	front_display_connect(&t->front, t->fake, 1);
	make_edid_buffer(t, &b);
	req.op.get_edid.gref_directory = b.directory;
	req.op.get_edid.buffer_sz = 128;
	g_assert_cmpint(front_display_do(&t->front, 0, &req), ==, -XEN_EINVAL);
	req.op.get_edid.buffer_sz = XENDISPL_EDID_MAX_SIZE;
	g_assert_cmpint(front_display_do(&t->front, 0, &req), ==, 0);
	g_assert_cmpuint(t->front.connector[0].last.op.get_edid.edid_sz, ==, EDID_SIZE);
	for (unsigned i = 0; i < EDID_SIZE; i++)
		sum = (uint8_t)(sum + b.pixels[i]);
	g_assert_cmpuint(sum, ==, 0);
	g_assert_cmpuint(b.pixels[54 + 2] | (b.pixels[54 + 4] & 0xf0) << 4, ==, 640);
	g_assert_cmpuint(b.pixels[54 + 5] | (b.pixels[54 + 7] & 0xf0) << 4, ==, 480);
}

static void test_edid_version_1(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_GET_EDID, .op.get_edid.buffer_sz = XENDISPL_EDID_MAX_SIZE};

	g_assert_cmpint(front_display_do(&t->front, 0, &req), ==, -XEN_EOPNOTSUPP);
}

/* The view is killed and comes back: the front end, in the middle of a flip, notices nothing. */
static void test_killed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct front_buffer a, b;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_buffer_new(&t->front, &b, 2, 640, 480);
	memset(b.pixels, 0xbb, b.size);
	front_set_config(&t->front, 0, &a);
	front_flip(&t->front, 0, b.fb);
	for (int i = 0; i < 100; i++) {
		stop(t);
		g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
		g_assert_cmpuint(fake_bound(t->fake), ==, 0);
		g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 4);
		start(t);
		fake_until(t->screen[0].picture.pixels);
		g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 4);
	}
	g_assert_cmpmem(t->screen[0].picture.pixels, b.size, b.pixels, b.size);
	display_flip_done(t->display, 0);
	front_display_events(&t->front, 0);
	g_assert_cmpuint(c->flips, ==, 1);
	g_assert_cmpint(front_flip(&t->front, 0, a.fb), ==, 0);
	display_flip_done(t->display, 0);
	front_display_events(&t->front, 0);
	g_assert_cmpuint(c->flips, ==, 2);
	g_assert_cmpint(front_buffer_destroy(&t->front, &a), ==, 0);
}

/* Killed between doing a request and saying so. */
static void test_killed_in_request(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	stop(t);
	/* As if the last one, the attach, had not been answered. */
	t->saved.connector[0].answered--;
	guest_write(c->ring.sring->rsp_prod, guest_read(c->ring.sring->rsp_prod) - 1);
	c->ring.rsp_cons--;
	*RING_GET_REQUEST(&c->ring, c->ring.rsp_cons) = (struct xendispl_req){
		.id = (uint16_t)(c->id - 1), .operation = XENDISPL_OP_FB_ATTACH,
		.op.fb_attach = {.dbuf_cookie = a.cookie, .fb_cookie = a.fb, .width = 640, .height = 480, .pixel_format = XRGB}};
	start(t);
	fake_until(c->ring.rsp_cons != guest_read(c->ring.sring->rsp_prod));
	g_assert_cmpint(RING_GET_RESPONSE(&c->ring, c->ring.rsp_cons)->status, ==, 0);
	c->ring.rsp_cons++;
	g_assert_cmpint(front_buffer_attach(&t->front, &a, XRGB), ==, -XEN_EEXIST); /* such luck is had once */
	/* Answered, and not published. */
	stop(t);
	guest_write(c->ring.sring->rsp_prod, guest_read(c->ring.sring->rsp_prod) - 1);
	c->ring.rsp_cons--;
	start(t);
	fake_until(c->ring.rsp_cons != guest_read(c->ring.sring->rsp_prod));
	c->ring.rsp_cons++;
	g_assert_cmpint(front_set_config(&t->front, 0, &a), ==, 0);
}

/* What xen_drm_front does when its back end closes: it lets go of all, and starts anew. */
static void start_over(struct fixture *t)
{
	fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 6);
	fake_write(t->fake, "7", FAKE_FRONT "/vdispl/0/state");
	fake_settle(10);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 6); /* it would not listen yet */
	fake_write(t->fake, "1", FAKE_FRONT "/vdispl/0/state");
	front_display_connect(&t->front, t->fake, 1);
}

static void test_killed_without_saved(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	stop(t);
	memset(&t->saved, 0, sizeof(t->saved));
	start(t);
	start_over(t);
	front_buffer_new(&t->front, &a, 1, 640, 480);
}

/* Whatever is in the file, it is checked like a guest's word. */
static void test_saved_garbage(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	struct front_buffer a;
	struct display_saved good;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_set_config(&t->front, 0, &a);
	good = t->saved;
	for (int i = 0; i < 300; i++) {
		uint8_t *bytes = (uint8_t *)&t->saved;

		stop(t);
		t->saved = good;
		fake_write(t->fake, "4", FAKE_BACK "/vdispl/7/0/state");
		fake_write(t->fake, "4", FAKE_FRONT "/vdispl/0/state");
		for (int n = 0; n < 1 + i % 8; n++)
			bytes[g_rand_int_range(random, 0, i % 2 ? 400 : (int)sizeof(t->saved))] = (uint8_t)g_rand_int(random);
		if (i % 3 == 0)
			t->saved.buffer[0].directory = (uint32_t)g_rand_int_range(random, 0, 50);
		start(t);
		fake_settle(1);
	}
	stop(t);
	t->saved = good;
	fake_write(t->fake, "2f", "/local/domain/7/vm"); /* another VM by now */
	fake_write(t->fake, "4", FAKE_BACK "/vdispl/7/0/state");
	fake_write(t->fake, "4", FAKE_FRONT "/vdispl/0/state");
	start(t);
	start_over(t);
}

static void test_driver_unload(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_set_config(&t->front, 0, &a);
	fake_write(t->fake, "5", FAKE_FRONT "/vdispl/0/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 2); /* it waits a second for that */
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
	fake_write(t->fake, "6", FAKE_FRONT "/vdispl/0/state");
	fake_settle(10);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 2);
	fake_write(t->fake, "1", FAKE_FRONT "/vdispl/0/state"); /* and loaded again */
	front_display_connect(&t->front, t->fake, 1);
}

/* A kernel started by another one takes the old one's devices through these states, one at a time. */
static void test_kexec(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const char *const front[] = {"5", "6", "1"};
	static const unsigned back[] = {5, 6, 2};

	for (unsigned i = 0; i < 3; i++) {
		fake_write(t->fake, front[i], FAKE_FRONT "/vdispl/0/state");
		fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == back[i]);
	}
	front_display_connect(&t->front, t->fake, 1);
}

static void test_taken_away(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_write(t->fake, "0", FAKE_BACK "/vdispl/7/0/online");
	fake_write(t->fake, "5", FAKE_BACK "/vdispl/7/0/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 6);
	g_assert_true(display_bus(t->display)->gone);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
}

/* libxl may have taken the device away before the back end says what comes of it: no node of it is made anew. */
static void test_taken_away_meanwhile(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_write(t->fake, NULL, FAKE_BACK "/vdispl/7");
	xenbus_restart(display_bus(t->display));
	g_assert_null(fake_read(t->fake, FAKE_BACK "/vdispl/7/0/state"));
}

static void test_front_dies(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_set_config(&t->front, 0, &a);
	fake_write(t->fake, NULL, "/local/domain/7/device");
	fake_until(fake_mapped(t->fake) == 0);
	g_assert_cmpuint(t->screen[0].blanks, ==, 1);
}

static void test_bad_transport(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const char *const bad[] = {"", "-1", "abc", "4294967296", "1 ", "0x10", "3000000000", "63"};
	static const char *const keys[] = {"req-ring-ref", "req-event-channel", "evt-ring-ref", "evt-event-channel"};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad) * 4; i++) {
		fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 2);
		front_display_publish(&t->front, t->fake, 1);
		fake_write(t->fake, bad[i / 4], FAKE_FRONT "/vdispl/0/0/%s", keys[i % 4]);
		if (!strcmp(bad[i / 4], "63") && i % 2 == 0)
			fake_write(t->fake, "63000", FAKE_FRONT "/vdispl/0/0/%s", keys[i % 4]);
		fake_until(fake_state(t->fake, FAKE_BACK, "vdispl") == 6);
		g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
		g_assert_cmpuint(fake_bound(t->fake), ==, 0);
		for (uint32_t port = 1; port < 3; port++)
			fake_close_port(t->fake, port);
		fake_write(t->fake, "1", FAKE_FRONT "/vdispl/0/state");
	}
}

static void test_resize(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_buffer a;

	t->width = 1280;
	t->height = 1024;
	display_resized(t->display, false); /* nothing on screen: it starts over with the new size */
	start_over(t);
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/0/resolution"), ==, "1280x1024");
	front_buffer_new(&t->front, &a, 1, 640, 480);
	front_set_config(&t->front, 0, &a);
	t->width = 1920;
	display_resized(t->display, false); /* in use: left alone */
	fake_settle(10);
	g_assert_cmpuint(fake_state(t->fake, FAKE_BACK, "vdispl"), ==, 4);
	display_resized(t->display, true);
	start_over(t);
	g_assert_cmpstr(fake_read(t->fake, FAKE_FRONT "/vdispl/0/0/resolution"), ==, "1920x1024");
}

/* No double fetch: the guest changes its request all the while, and what was accepted still holds together. */

struct mutator {
	struct xendispl_req *slots;
	unsigned count;
	gint stop;
};

static gpointer mutate(gpointer data)
{
	struct mutator *m = data;
	static const uint32_t widths[] = {64, 7680, 0, 0xffffffff, 65};

	for (unsigned i = 0; !g_atomic_int_get(&m->stop); i++) {
		struct xendispl_dbuf_create_req *r = &m->slots[i % m->count].op.dbuf_create;

		guest_write(r->width, widths[i % 5]);
		guest_write(r->bpp, i % 3 ? 32 : 16);
		guest_write(r->buffer_sz, i % 2 ? 64 * 64 * 4 : 0x7fffffff);
	}
	return NULL;
}

static void test_double_fetch(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_connector *c = &t->front.connector[0];
	struct mutator m = {.slots = &c->ring.sring->ring[0].req, .count = RING_SIZE(&c->ring)};
	struct front_buffer b;
	GThread *thread;
	unsigned made = 0;

	G_STATIC_ASSERT(sizeof(c->ring.sring->ring[0]) == sizeof(struct xendispl_req));
	front_buffer_alloc(t->fake, &b, 1, 64, 64, 32);
	thread = g_thread_new("mutator", mutate, &m);
	for (unsigned i = 0; i < 3000; i++) {
		struct xendispl_req req = {.operation = XENDISPL_OP_DBUF_CREATE,
					   .op.dbuf_create = {1, 64, 64, 32, 64 * 64 * 4, 0, b.directory, 0}};

		front_display_push(&t->front, 0, &req);
		fake_until(guest_read(c->ring.sring->rsp_prod) == c->ring.req_prod_pvt);
		c->ring.rsp_cons = c->ring.req_prod_pvt;
		for (unsigned n = 0; n < GUEST_MAX_BUFFERS; n++) {
			struct saved_buffer *s = &t->saved.buffer[n];

			if (s->used) {
				made++;
				g_assert_cmpuint((uint64_t)s->width * s->height * s->bpp / 8, <=, s->size);
				g_assert_cmpuint(s->size, ==, 64 * 64 * 4);
			}
		}
		stop(t);
		memset(t->saved.buffer, 0, sizeof(t->saved.buffer));
		start(t);
		fake_until(fake_bound(t->fake) == 2);
	}
	g_atomic_int_set(&m.stop, 1);
	g_thread_join(thread);
	g_test_message("%u of 3000 accepted", made);
}

#define ADD(name, connectors) g_test_add("/view/display/" #name, struct fixture, GUINT_TO_POINTER(connectors), setup_connected, \
					 test_##name, teardown)
#define ADD_BARE(name, connectors) g_test_add("/view/display/" #name, struct fixture, GUINT_TO_POINTER(connectors), setup,      \
					      test_##name, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BARE(handshake, 2);
	ADD_BARE(waits_for_size, 1);
	ADD_BARE(bad_resolution, 1);
	ADD(flip, 1);
	ADD(flip_twice, 1);
	ADD(unread_events, 1);
	ADD(connectors, 2);
	ADD(bad_buffers, 1);
	ADD(limits, 1);
	ADD(unknown, 1);
	ADD(hostile_indices, 2);
	ADD(flood, 1);
	ADD_BARE(edid, 1);
	ADD(edid_version_1, 1);
	ADD(killed, 1);
	ADD(killed_in_request, 1);
	ADD(killed_without_saved, 1);
	ADD(saved_garbage, 1);
	ADD(driver_unload, 1);
	ADD(kexec, 1);
	ADD(taken_away, 1);
	ADD(taken_away_meanwhile, 1);
	ADD(front_dies, 1);
	ADD_BARE(bad_transport, 1);
	ADD(resize, 1);
	ADD(double_fetch, 1);
	return g_test_run();
}
