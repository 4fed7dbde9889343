// SPDX-License-Identifier: Apache-2.0
/*
 * vdispl as a hostile guest has it: requests of any content, rings with any indices, page directories with any references,
 * any text in xenstore, and the view killed and started again in between, with what it kept as it was or damaged.
 * What it says that it shows must be there to read, and in the end nothing may be left mapped or bound.
 */
#include "../unit/view/fake_xen.c"
#include "input.h"

#include "display.h"

#include <xen/io/displif.h>

#define TOKEN "device:vdispl/0"
#define PAGES 48

struct rig {
	struct fake *fake;
	struct display *display;
	struct display_saved saved;
	struct xen_displif_sring *ring[2];
	struct xendispl_event_page *events[2];
	uint32_t *directory[4];
	uint32_t produced[2], ports[4];
	struct picture shown[SCREENS];
	uint32_t width, height;
};

/* Now and then a number that matters. */
static uint32_t number(struct input *in)
{
	static const uint32_t special[] = {0, 1, 2, 16, 31, 32, 33, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff, 4096, 4097, 7680, 4320};
	uint32_t kind = take(in, 1);

	return kind < 16 ? special[kind] : kind < 192 ? kind % 48 : take(in, 4);
}

static void touch(const struct picture *p)
{
	uint32_t row = p->width * picture_bytes(p->format);

	if (!p->pixels)
		return;
	if (!p->width || !p->height || p->width > GUEST_MAX_WIDTH || p->height > GUEST_MAX_HEIGHT || p->stride < row)
		abort();
	for (uint32_t y = 0; y < p->height; y += MAX(p->height / 16, 1)) {
		(void)*(const volatile uint8_t *)(p->pixels + (size_t)y * p->stride);
		(void)*(const volatile uint8_t *)(p->pixels + (size_t)y * p->stride + row - 1);
	}
	(void)*(const volatile uint8_t *)(p->pixels + (size_t)(p->height - 1) * p->stride + row - 1);
}

static void on_show(void *data, unsigned screen, const struct picture *p, bool flip G_GNUC_UNUSED,
		    const struct rect *damage G_GNUC_UNUSED)
{
	struct rig *r = data;

	r->shown[screen] = p ? *p : (struct picture){0};
	touch(&r->shown[screen]);
}

static void on_blank(void *data, unsigned screen)
{
	((struct rig *)data)->shown[screen] = (struct picture){0};
}

static bool on_size(void *data, unsigned screen G_GNUC_UNUSED, uint32_t *width, uint32_t *height)
{
	struct rig *r = data;

	*width = r->width;
	*height = r->height;
	return true;
}

static const struct screen_ops screens = {.show = on_show, .blank = on_blank, .size = on_size};

static void start(struct rig *r)
{
	r->display = display_new(&r->fake->base, FAKE_DOMID, 0, TOKEN, &screens, r, &r->saved);
	xenbus_update(display_bus(r->display));
}

static void publish(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *ring = g_strdup_printf("%u", 1 + 2 * i), *events = g_strdup_printf("%u", 2 + 2 * i);
		g_autofree char *req = g_strdup_printf("%u", r->ports[2 * i]), *evt = g_strdup_printf("%u", r->ports[2 * i + 1]);

		fake_write(r->fake, ring, FAKE_FRONT "/vdispl/0/%u/req-ring-ref", i);
		fake_write(r->fake, events, FAKE_FRONT "/vdispl/0/%u/evt-ring-ref", i);
		fake_write(r->fake, req, FAKE_FRONT "/vdispl/0/%u/req-event-channel", i);
		fake_write(r->fake, evt, FAKE_FRONT "/vdispl/0/%u/evt-event-channel", i);
		SHARED_RING_INIT(r->ring[i]);
		r->produced[i] = 0;
	}
	fake_write(r->fake, "3", FAKE_FRONT "/vdispl/0/state");
	xenbus_update(display_bus(r->display));
}

static void begin_rig(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->width = 64;
	r->height = 48;
	r->fake = fake_new(PAGES);
	for (unsigned i = 0; i < 2; i++) {
		r->ring[i] = fake_alloc(r->fake, 1);
		fake_grant(r->fake, r->ring[i]);
		r->events[i] = fake_alloc(r->fake, 1);
		fake_grant(r->fake, r->events[i]);
		r->ports[2 * i] = fake_port(r->fake);
		r->ports[2 * i + 1] = fake_port(r->fake);
	}
	for (unsigned i = 0; i < 4; i++) {
		r->directory[i] = fake_alloc(r->fake, 1);
		fake_grant(r->fake, r->directory[i]); /* 5 to 8 */
	}
	for (unsigned i = 0; i < 32; i++)
		fake_grant(r->fake, fake_alloc(r->fake, 1)); /* 9 to 40 */
	for (unsigned i = 0; i < 4; i++) {
		r->directory[i][0] = 5 + (i + 1) % 4;
		for (unsigned n = 1; n < 1024; n++)
			r->directory[i][n] = 9 + n % 32;
	}
	fake_add_display(r->fake, 2, "64x48");
	start(r);
	publish(r);
}

/* A request that is nearly right, or not at all. */
static void make_request(struct input *in, struct xendispl_req *req)
{
	uint8_t *bytes = (uint8_t *)&req->op;

	req->id = (uint16_t)take(in, 1);
	req->operation = (uint8_t)(0x10 + take(in, 1) % 8);
	switch (req->operation) {
	case XENDISPL_OP_DBUF_CREATE:
		req->op.dbuf_create = (struct xendispl_dbuf_create_req){take(in, 1) % 4, 64, 48, 32, 64 * 48 * 4, 0, 5 + take(in, 1) % 5, 0};
		break;
	case XENDISPL_OP_FB_ATTACH:
		req->op.fb_attach = (struct xendispl_fb_attach_req){take(in, 1) % 4, take(in, 1) % 6, 64, 48, PICTURE_XRGB8888};
		break;
	case XENDISPL_OP_SET_CONFIG:
		req->op.set_config = (struct xendispl_set_config_req){take(in, 1) % 6, 0, 0, 64, 48, 32};
		break;
	case XENDISPL_OP_GET_EDID:
		req->op.get_edid = (struct xendispl_get_edid_req){XENDISPL_EDID_MAX_SIZE, 5 + take(in, 1) % 5};
		break;
	default:
		req->op.pg_flip.fb_cookie = take(in, 1) % 6;
	}
	for (uint32_t n = take(in, 1) % 4; n; n--) {
		uint32_t value = number(in);

		memcpy(bytes + take(in, 1) % (sizeof(req->op) - 4) / 4 * 4, &value, 4);
	}
}

static void send_request(struct rig *r, struct input *in)
{
	unsigned i = take(in, 1) % 4 == 0;
	struct xendispl_req req = {0};

	make_request(in, &req);
	r->ring[i]->ring[r->produced[i] % 32].req = req;
	guest_write(r->ring[i]->req_prod, ++r->produced[i]);
	display_event(r->display, r->ports[2 * i]);
}

static void write_text(struct rig *r, struct input *in)
{
	static const char *const keys[] = {"0/resolution", "1/resolution", "0/req-ring-ref", "0/req-event-channel", "1/evt-ring-ref",
					   "1/evt-event-channel", "version", "state"};
	char text[12] = {0};
	unsigned key = take(in, 1) % 8, len = take(in, 1) % 11;

	for (unsigned i = 0; i < len; i++)
		text[i] = (char)(take(in, 1) % 96 + 32);
	fake_write(r->fake, text, FAKE_FRONT "/vdispl/0/%s", keys[key]);
	xenbus_update(display_bus(r->display));
}

static void set_states(struct rig *r, struct input *in)
{
	char state[2] = {(char)('0' + take(in, 1) % 9), 0};
	uint32_t which = take(in, 1) % 8;

	if (!which)
		fake_write(r->fake, state, FAKE_BACK "/vdispl/7/0/state");
	else
		fake_write(r->fake, state, FAKE_FRONT "/vdispl/0/state");
	xenbus_update(display_bus(r->display));
}

static void start_again(struct rig *r, struct input *in)
{
	uint8_t *bytes = (uint8_t *)&r->saved;

	display_free(r->display, TOKEN);
	if (r->fake->mapped || r->fake->bound)
		abort();
	for (uint32_t n = take(in, 1) % 4; n; n--) {
		size_t at = take(in, 2) % sizeof(r->saved);

		bytes[at] = (uint8_t)take(in, 1);
	}
	start(r);
}

static void act(struct rig *r, struct input *in)
{
	switch (take(in, 1) % 24) {
	case 0:
		guest_write(r->ring[take(in, 1) % 2]->req_prod, number(in));
		break;
	case 1:
		guest_write(r->ring[take(in, 1) % 2]->rsp_prod, number(in));
		break;
	case 2:
		guest_write(r->events[take(in, 1) % 2]->in_cons, number(in));
		break;
	case 3:
		r->directory[take(in, 1) % 4][take(in, 1) % 16] = number(in);
		break;
	case 4:
		write_text(r, in);
		break;
	case 5:
		set_states(r, in);
		break;
	case 6:
		start_again(r, in);
		break;
	case 7:
		publish(r);
		break;
	case 8:
		fake_write(r->fake, "1", FAKE_FRONT "/vdispl/0/state");
		xenbus_update(display_bus(r->display));
		publish(r);
		break;
	case 9:
		r->width = MAX(number(in), 1);
		display_resized(r->display, take(in, 1) % 2);
		break;
	case 10:
		fake_revoke(r->fake, take(in, 1) % 41);
		break;
	case 11:
	case 12:
		display_flip_done(r->display, take(in, 1) % SCREENS);
		break;
	default:
		send_request(r, in);
	}
	for (unsigned i = 0; i < SCREENS; i++)
		touch(&r->shown[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct input in = {data, data + size};

	g_log_set_writer_func(g_log_writer_default, NULL, NULL);
	begin_rig(&r);
	while (in.p < in.end)
		act(&r, &in);
	display_free(r.display, TOKEN);
	fake_free(r.fake);
	return 0;
}
