// SPDX-License-Identifier: Apache-2.0
/* vkbd and vfb as a hostile guest has them: any indices, any page, any text in xenstore, while a person types and points. */
#include "../unit/view/fake_xen.c"
#include "input.h"

#include "framebuffer.h"
#include "guest.h"
#include "keyboard.h"

#include <xen/io/fbif.h>
#include <xen/io/kbdif.h>

#define PAGES 32

struct rig {
	struct fake *fake;
	struct keyboard *keyboard;
	struct framebuffer *framebuffer;
	struct xenkbd_page *kbd;
	struct xenfb_page *fb;
	uint64_t *table;
	uint32_t kbd_port, fb_port;
	struct picture shown;
};

static uint32_t number(struct input *in)
{
	static const uint32_t special[] = {0, 1, 50, 51, 52, 64, 0x7fffffff, 0x80000000, 0xffffffff, 4096, 256, 48};
	uint32_t kind = take(in, 1);

	return kind < 12 ? special[kind] : kind < 128 ? kind % 32 : take(in, 4);
}

static void touch(const struct picture *p)
{
	if (p->pixels)
		for (uint32_t y = 0; y < p->height; y++)
			(void)*(const volatile uint8_t *)(p->pixels + (size_t)y * p->stride + p->width * picture_bytes(p->format) - 1);
}

static void on_show(void *data, unsigned screen G_GNUC_UNUSED, const struct picture *p, bool flip G_GNUC_UNUSED, const struct rect *damage)
{
	struct rig *r = data;

	r->shown = p ? *p : (struct picture){0};
	touch(&r->shown);
	if (damage && (damage->x < 0 || damage->y < 0 || (int64_t)damage->x + damage->width > r->shown.width ||
		       (int64_t)damage->y + damage->height > r->shown.height))
		abort();
}

static void on_blank(void *data, unsigned screen G_GNUC_UNUSED)
{
	((struct rig *)data)->shown = (struct picture){0};
}

static bool on_size(void *data G_GNUC_UNUSED, unsigned screen G_GNUC_UNUSED, uint32_t *width, uint32_t *height)
{
	*width = *height = 64;
	return true;
}

static const struct screen_ops screens = {.show = on_show, .blank = on_blank, .size = on_size};

static void update(struct rig *r)
{
	xenbus_update(keyboard_bus(r->keyboard));
	xenbus_update(framebuffer_bus(r->framebuffer));
}

static void publish(struct rig *r)
{
	g_autofree char *gfn = g_strdup_printf("%u", (unsigned)fake_gfn(r->fake, r->fb));
	g_autofree char *fb_port = g_strdup_printf("%u", r->fb_port), *kbd_port = g_strdup_printf("%u", r->kbd_port);

	fake_write(r->fake, gfn, FAKE_FRONT "/vfb/0/page-ref");
	fake_write(r->fake, fb_port, FAKE_FRONT "/vfb/0/event-channel");
	fake_write(r->fake, "1", FAKE_FRONT "/vkbd/0/page-gref");
	fake_write(r->fake, kbd_port, FAKE_FRONT "/vkbd/0/event-channel");
	fake_write(r->fake, "1", FAKE_FRONT "/vkbd/0/request-abs-pointer");
	fake_write(r->fake, "1", FAKE_FRONT "/vkbd/0/request-multi-touch");
	fake_write(r->fake, "1", FAKE_FRONT "/vfb/0/state");
	fake_write(r->fake, "1", FAKE_FRONT "/vkbd/0/state");
	update(r);
	fake_write(r->fake, "3", FAKE_FRONT "/vfb/0/state");
	fake_write(r->fake, "3", FAKE_FRONT "/vkbd/0/state");
	update(r);
}

static void begin_rig(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->fake = fake_new(PAGES);
	r->kbd = fake_alloc(r->fake, 1);
	fake_grant(r->fake, r->kbd);
	r->fb = fake_alloc(r->fake, 1);
	r->table = fake_alloc(r->fake, 1);
	fake_alloc(r->fake, 24);
	for (unsigned i = 0; i < 512; i++)
		r->table[i] = fake_gfn(r->fake, r->table) + 1 + i % 24;
	r->fb->pd[0] = fake_gfn(r->fake, r->table);
	r->fb->width = r->fb->height = 64;
	r->fb->line_length = 256;
	r->fb->mem_length = 65536;
	r->fb->depth = 32;
	r->kbd_port = fake_port(r->fake);
	r->fb_port = fake_port(r->fake);
	fake_add_keyboard(r->fake, "vkbd");
	fake_add_framebuffer(r->fake);
	r->keyboard = keyboard_new(&r->fake->base, FAKE_DOMID, 0, "k", "vkbd");
	r->framebuffer = framebuffer_new(&r->fake->base, FAKE_DOMID, 0, "f", &screens, r);
	publish(r);
}

static void send_fb_event(struct rig *r, struct input *in)
{
	union xenfb_out_event e = {0};
	int32_t *field = (int32_t *)(void *)&e;

	e.type = (uint8_t)(2 + take(in, 1) % 3);
	e.resize.width = e.resize.height = 64;
	e.resize.stride = 256;
	e.resize.depth = 32;
	for (uint32_t n = take(in, 1) % 4; n; n--)
		field[1 + take(in, 1) % 5] = (int32_t)number(in);
	XENFB_OUT_RING_REF(r->fb, r->fb->out_prod) = e;
	guest_write(r->fb->out_prod, r->fb->out_prod + 1);
	framebuffer_event(r->framebuffer, r->fb_port);
}

static void type_and_point(struct rig *r, struct input *in)
{
	uint32_t what = take(in, 1);

	if (what % 8 == 0)
		keyboard_release_all(r->keyboard);
	else if (what % 8 == 1)
		keyboard_pointer(r->keyboard, take(in, 1) / 200.0, 0.5);
	else if (what % 8 == 2)
		keyboard_touch_down(r->keyboard, take(in, 1) % 12, 0.1, take(in, 1) / 255.0);
	else if (what % 8 == 3)
		keyboard_touch_up(r->keyboard, take(in, 1) % 12);
	else
		for (uint32_t n = what / 8 * 4; n; n--)
			keyboard_key(r->keyboard, (what * 7 + n) % 800, n % 2);
}

static void write_text(struct rig *r, struct input *in)
{
	static const char *const paths[] = {"vkbd/0/page-gref", "vkbd/0/event-channel", "vkbd/0/state", "vfb/0/page-ref",
					    "vfb/0/event-channel", "vfb/0/state", "vfb/0/protocol", "vkbd/0/request-abs-pointer"};
	char text[24] = {0};
	unsigned path = take(in, 1) % 8, len = take(in, 1) % 23;

	for (unsigned i = 0; i < len; i++)
		text[i] = (char)(take(in, 1) % 96 + 32);
	if (len < 3)
		text[0] = (char)('0' + take(in, 1) % 10);
	fake_write(r->fake, text, FAKE_FRONT "/%s", paths[path]);
	update(r);
}

static void act(struct rig *r, struct input *in)
{
	uint32_t *field = (uint32_t *)(void *)r->fb;

	switch (take(in, 1) % 12) {
	case 0:
		guest_write(r->kbd->in_cons, number(in));
		keyboard_event(r->keyboard, r->kbd_port);
		break;
	case 1:
		guest_write(r->kbd->in_cons, guest_read(r->kbd->in_prod));
		keyboard_event(r->keyboard, r->kbd_port);
		break;
	case 2:
		field[take(in, 1) % 10] = number(in);
		framebuffer_event(r->framebuffer, r->fb_port);
		break;
	case 3:
		r->fb->pd[take(in, 1) % 4] = number(in);
		break;
	case 4:
		r->table[take(in, 2) % 512] = number(in);
		break;
	case 5:
		write_text(r, in);
		break;
	case 6:
		publish(r);
		break;
	case 7:
		framebuffer_yield(r->framebuffer, take(in, 1) % 2);
		break;
	case 8:
	case 9:
		type_and_point(r, in);
		break;
	default:
		send_fb_event(r, in);
	}
	touch(&r->shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct input in = {data, data + size};

	begin_rig(&r);
	while (in.p < in.end)
		act(&r, &in);
	keyboard_free(r.keyboard, "k");
	framebuffer_free(r.framebuffer, "f");
	fake_free(r.fake);
	return 0;
}
