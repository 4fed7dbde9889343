// SPDX-License-Identifier: Apache-2.0
#include "front.h"

#include <inttypes.h>
#include <linux/input-event-codes.h>
#include <string.h>

static void write_uint(struct fake *f, uint64_t value, const char *dir, const char *key)
{
	g_autofree char *text = g_strdup_printf("%" PRIu64, value);

	fake_write(f, text, "%s/%s", dir, key);
}

/* vdispl */

static void publish_connector(struct front_display *d, unsigned index)
{
	struct front_connector *c = &d->connector[index];
	g_autofree char *dir = g_strdup_printf(FAKE_FRONT "/vdispl/0/%u", index);
	struct xen_displif_sring *ring = fake_alloc(d->fake, 1);

	SHARED_RING_INIT(ring);
	FRONT_RING_INIT(&c->ring, ring, XEN_PAGE);
	c->events = fake_alloc(d->fake, 1);
	c->req_ref = fake_grant(d->fake, ring);
	c->evt_ref = fake_grant(d->fake, c->events);
	c->req_port = fake_port(d->fake);
	c->evt_port = fake_port(d->fake);
	write_uint(d->fake, c->req_ref, dir, "req-ring-ref");
	write_uint(d->fake, c->req_port, dir, "req-event-channel");
	write_uint(d->fake, c->evt_ref, dir, "evt-ring-ref");
	write_uint(d->fake, c->evt_port, dir, "evt-event-channel");
}

void front_display_publish(struct front_display *d, struct fake *f, unsigned connectors)
{
	memset(d, 0, sizeof(*d));
	d->fake = f;
	d->count = connectors;
	for (unsigned i = 0; i < connectors; i++)
		publish_connector(d, i);
	fake_write(f, "3", FAKE_FRONT "/vdispl/0/state");
}

void front_display_connect(struct front_display *d, struct fake *f, unsigned connectors)
{
	fake_until(fake_state(f, FAKE_BACK, "vdispl") == 2);
	front_display_publish(d, f, connectors);
	fake_until(fake_state(f, FAKE_BACK, "vdispl") == 4);
	fake_write(f, "4", FAKE_FRONT "/vdispl/0/state");
}

void front_display_push(struct front_display *d, unsigned connector, struct xendispl_req *req)
{
	struct front_connector *c = &d->connector[connector];
	int notify;

	req->id = c->id++;
	*RING_GET_REQUEST(&c->ring, c->ring.req_prod_pvt) = *req;
	c->ring.req_prod_pvt++;
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&c->ring, notify);
	if (notify)
		fake_ring(d->fake, c->req_port);
}

static bool take_response(struct front_connector *c)
{
	if (c->ring.rsp_cons == guest_read(c->ring.sring->rsp_prod))
		return false;
	c->last = *RING_GET_RESPONSE(&c->ring, c->ring.rsp_cons);
	c->ring.rsp_cons++;
	c->ring.sring->rsp_event = c->ring.rsp_cons + 1;
	return true;
}

int front_display_do(struct front_display *d, unsigned connector, struct xendispl_req *req)
{
	struct front_connector *c = &d->connector[connector];

	front_display_push(d, connector, req);
	fake_until(take_response(c) && c->last.id == req->id);
	g_assert_cmpuint(c->last.operation, ==, req->operation);
	return c->last.status;
}

void front_display_events(struct front_display *d, unsigned connector)
{
	struct front_connector *c = &d->connector[connector];
	uint32_t produced = guest_read(c->events->in_prod);

	for (uint32_t i = c->events->in_cons; i != produced; i++) {
		struct xendispl_evt *event = &XENDISPL_IN_RING_REF(c->events, i);

		if (event->id != c->event_id++)
			continue; /* the driver takes only those in order */
		g_assert_cmpuint(event->type, ==, XENDISPL_EVT_PG_FLIP);
		c->flips++;
		c->last_flip = event->op.pg_flip.fb_cookie;
	}
	guest_write(c->events->in_cons, produced);
}

void front_buffer_alloc(struct fake *f, struct front_buffer *b, uint64_t cookie, uint32_t width, uint32_t height, uint32_t bpp)
{
	size_t pages, refs_a_page = XEN_PAGE / 4 - 1;
	uint32_t *directory = NULL;

	b->cookie = cookie;
	b->fb = cookie + 0x1000;
	b->width = width;
	b->height = height;
	b->size = (size_t)width * height * bpp / 8;
	pages = (b->size + XEN_PAGE - 1) / XEN_PAGE;
	b->pixels = fake_alloc(f, pages);
	b->directory = fake_grant(f, fake_alloc(f, 1));
	for (size_t i = 0; i < pages; i++) {
		if (i % refs_a_page == 0) {
			uint32_t *page = i ? fake_alloc(f, 1) : (uint32_t *)(void *)(b->pixels + pages * XEN_PAGE);

			if (i)
				directory[0] = fake_grant(f, page);
			directory = page;
		}
		directory[1 + i % refs_a_page] = fake_grant(f, b->pixels + i * XEN_PAGE);
	}
}

int front_buffer_create(struct front_display *d, const struct front_buffer *b, uint32_t bpp)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_DBUF_CREATE,
				   .op.dbuf_create = {.dbuf_cookie = b->cookie, .width = b->width, .height = b->height,
						      .bpp = bpp, .buffer_sz = (uint32_t)b->size, .gref_directory = b->directory}};

	return front_display_do(d, 0, &req);
}

int front_buffer_attach(struct front_display *d, const struct front_buffer *b, uint32_t format)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_FB_ATTACH,
				   .op.fb_attach = {.dbuf_cookie = b->cookie, .fb_cookie = b->fb, .width = b->width,
						    .height = b->height, .pixel_format = format}};

	return front_display_do(d, 0, &req);
}

int front_buffer_destroy(struct front_display *d, const struct front_buffer *b)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_DBUF_DESTROY, .op.dbuf_destroy.dbuf_cookie = b->cookie};

	return front_display_do(d, 0, &req);
}

int front_fb_detach(struct front_display *d, uint64_t fb)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_FB_DETACH, .op.fb_detach.fb_cookie = fb};

	return front_display_do(d, 0, &req);
}

int front_set_config(struct front_display *d, unsigned connector, const struct front_buffer *b)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_SET_CONFIG};

	if (b)
		req.op.set_config = (struct xendispl_set_config_req){b->fb, 0, 0, b->width, b->height,
								     (uint32_t)(b->size * 8 / b->width / b->height)};
	return front_display_do(d, connector, &req);
}

int front_flip(struct front_display *d, unsigned connector, uint64_t fb)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_PG_FLIP, .op.pg_flip.fb_cookie = fb};

	return front_display_do(d, connector, &req);
}

void front_buffer_new(struct front_display *d, struct front_buffer *b, uint64_t cookie, uint32_t width, uint32_t height)
{
	front_buffer_alloc(d->fake, b, cookie, width, height, 32);
	g_assert_cmpint(front_buffer_create(d, b, 32), ==, 0);
	g_assert_cmpint(front_buffer_attach(d, b, 0x34325258), ==, 0);
}

/* vkbd: its driver publishes at once and waits for nobody. */

void front_keyboard_connect(struct front_keyboard *k, struct fake *f, const char *back_kind, bool absolute, bool touch)
{
	k->fake = f;
	k->page = fake_alloc(f, 1);
	k->ref = fake_grant(f, k->page);
	k->port = fake_port(f);
	if (absolute)
		fake_write(f, "1", FAKE_FRONT "/vkbd/0/request-abs-pointer");
	if (touch)
		fake_write(f, "1", FAKE_FRONT "/vkbd/0/request-multi-touch");
	write_uint(f, fake_gfn(f, k->page), FAKE_FRONT "/vkbd/0", "page-ref");
	write_uint(f, k->ref, FAKE_FRONT "/vkbd/0", "page-gref");
	write_uint(f, k->port, FAKE_FRONT "/vkbd/0", "event-channel");
	fake_write(f, "3", FAKE_FRONT "/vkbd/0/state");
	fake_until(fake_state(f, FAKE_BACK, back_kind) == 4);
	fake_write(f, "4", FAKE_FRONT "/vkbd/0/state");
}

bool front_keyboard_take(struct front_keyboard *k, union xenkbd_in_event *event)
{
	if (k->page->in_cons == guest_read(k->page->in_prod))
		return false;
	*event = XENKBD_IN_RING_REF(k->page, k->page->in_cons);
	guest_write(k->page->in_cons, k->page->in_cons + 1);
	fake_ring(k->fake, k->port);
	return true;
}

bool front_is_modifier(uint32_t code)
{
	return code == KEY_LEFTCTRL || code == KEY_RIGHTCTRL || code == KEY_LEFTALT || code == KEY_RIGHTALT ||
	       code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT || code == KEY_LEFTMETA;
}

unsigned front_flood(struct front_display *d, struct front_keyboard *k, const struct front_buffer *b)
{
	struct front_connector *c = &d->connector[0];
	unsigned n = 0;

	c->ring.rsp_cons = guest_read(c->ring.sring->rsp_prod);
	for (; !RING_FULL(&c->ring); n++) {
		/* What does not change the picture: flips to buffers that are there or not, and requests that there are not. */
		struct xendispl_req req = {.operation = g_random_boolean() ? XENDISPL_OP_PG_FLIP : (uint8_t)(g_random_int() | 0x80),
					   .op.pg_flip.fb_cookie = b->fb + g_random_int_range(0, 3)};

		front_display_push(d, 0, &req);
	}
	fake_ring(d->fake, c->req_port);
	guest_write(k->page->out_prod, k->page->out_prod + 1);
	fake_ring(k->fake, k->port);
	guest_write(c->events->in_cons, guest_read(c->events->in_prod));
	return n;
}

/* vfb */

void front_framebuffer_alloc(struct front_framebuffer *b, struct fake *f, uint32_t width, uint32_t height, uint32_t depth)
{
	uint32_t length = width * height * depth / 8, pages = (length + XEN_PAGE - 1) / XEN_PAGE;

	b->fake = f;
	b->page = fake_alloc(f, 1);
	b->pixels = fake_alloc(f, pages);
	for (uint32_t i = 0; i < pages; i++) {
		uint64_t *table;

		if (i % 512 == 0)
			b->page->pd[i / 512] = fake_gfn(f, fake_alloc(f, 1));
		table = (uint64_t *)(void *)((uint8_t *)b->page + (b->page->pd[i / 512] - fake_gfn(f, b->page)) * XEN_PAGE);
		table[i % 512] = fake_gfn(f, b->pixels + (size_t)i * XEN_PAGE);
	}
	b->page->width = (int32_t)width;
	b->page->height = (int32_t)height;
	b->page->line_length = width * depth / 8;
	b->page->mem_length = length;
	b->page->depth = (uint8_t)depth;
	b->port = fake_port(f);
}

void front_framebuffer_publish(struct front_framebuffer *b)
{
	write_uint(b->fake, fake_gfn(b->fake, b->page), FAKE_FRONT "/vfb/0", "page-ref");
	write_uint(b->fake, b->port, FAKE_FRONT "/vfb/0", "event-channel");
	fake_write(b->fake, "x86_64-abi", FAKE_FRONT "/vfb/0/protocol");
	fake_write(b->fake, "1", FAKE_FRONT "/vfb/0/feature-update");
	fake_write(b->fake, "3", FAKE_FRONT "/vfb/0/state");
}

void front_framebuffer_update(struct front_framebuffer *b, int32_t x, int32_t y, int32_t width, int32_t height)
{
	union xenfb_out_event event = {.update = {XENFB_TYPE_UPDATE, x, y, width, height}};

	XENFB_OUT_RING_REF(b->page, b->page->out_prod) = event;
	guest_write(b->page->out_prod, b->page->out_prod + 1);
	fake_ring(b->fake, b->port);
}
