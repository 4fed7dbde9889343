// SPDX-License-Identifier: Apache-2.0
/* By the stock drivers xen-front and xen-kbdfront: each key that is pressed adds a square to the screen and a line to the console. */
#include "front.h"
#include "frontend.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#define SQUARE  80u
#define DEVICES 4

struct kms {
	int fd;
	uint32_t crtc, connector;
	drmModeModeInfo mode;
	struct kms_buffer {
		uint32_t fb, stride;
		uint8_t *pixels;
	} buffer[2];
	unsigned current;
	bool flipping;
};

static int wait_open(const char *path, int flags)
{
	int fd;

	while ((fd = open(path, flags | O_CLOEXEC)) < 0)
		g_usleep(100000);
	return fd;
}

static void find_screen(struct kms *k)
{
	drmModeRes *all = drmModeGetResources(k->fd);
	drmModeConnector *connector = all ? drmModeGetConnector(k->fd, all->connectors[0]) : NULL;

	if (!connector || !connector->count_modes)
		g_error("card0: no screen: %m");
	k->connector = connector->connector_id;
	k->mode = connector->modes[0];
	k->crtc = all->crtcs[0];
	drmModeFreeConnector(connector);
	drmModeFreeResources(all);
}

static void make_buffer(struct kms *k, struct kms_buffer *b)
{
	uint32_t handle;
	uint64_t size, offset;

	if (drmModeCreateDumbBuffer(k->fd, k->mode.hdisplay, k->mode.vdisplay, 32, 0, &handle, &b->stride, &size) ||
	    drmModeAddFB(k->fd, k->mode.hdisplay, k->mode.vdisplay, 24, 32, b->stride, handle, &b->fb) ||
	    drmModeMapDumbBuffer(k->fd, handle, &offset))
		g_error("card0: no buffer: %m");
	b->pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, (off_t)offset);
	if (b->pixels == MAP_FAILED)
		g_error("card0: mmap: %m");
	memset(b->pixels, 0x30, size);
}

static void on_flip(int fd G_GNUC_UNUSED, unsigned sequence G_GNUC_UNUSED, unsigned s G_GNUC_UNUSED, unsigned us G_GNUC_UNUSED, void *data)
{
	((struct kms *)data)->flipping = false;
}

static void show(struct kms *k)
{
	drmEventContext context = {.version = 2, .page_flip_handler = on_flip};

	k->current = !k->current;
	if (drmModePageFlip(k->fd, k->crtc, k->buffer[k->current].fb, DRM_MODE_PAGE_FLIP_EVENT, k))
		g_error("card0: page flip: %m");
	for (k->flipping = true; k->flipping;)
		drmHandleEvent(k->fd, &context);
}

static void draw_square(struct kms *k, unsigned n)
{
	uint32_t columns = k->mode.hdisplay / SQUARE, rows = k->mode.vdisplay / SQUARE;
	uint32_t x = n % columns * SQUARE, y = n / columns % rows * SQUARE;

	for (int i = 0; i < 2; i++)
		for (uint32_t row = y + 8; row < y + SQUARE - 8; row++)
			memset(k->buffer[i].pixels + (size_t)row * k->buffer[i].stride + (x + 8) * 4, 0xe0, (SQUARE - 16) * 4);
}

static bool is_typed(const struct input_event *e)
{
	return e->type == EV_KEY && e->value == 1 && e->code < BTN_MISC && !front_is_modifier(e->code);
}

void kms_keys(void)
{
	struct kms k = {.fd = wait_open("/dev/dri/card0", O_RDWR)};
	struct pollfd from[DEVICES];
	unsigned n = 0;

	find_screen(&k);
	make_buffer(&k, &k.buffer[0]);
	make_buffer(&k, &k.buffer[1]);
	if (drmModeSetCrtc(k.fd, k.crtc, k.buffer[0].fb, 0, 0, &k.connector, 1, &k.mode))
		g_error("card0: no mode: %m");
	for (int i = 0; i < DEVICES; i++) {
		g_autofree char *path = g_strdup_printf("/dev/input/event%d", i);

		/* The keyboard is there before the screen; it may be the only one. */
		from[i] = (struct pollfd){i ? open(path, O_RDONLY) : wait_open(path, O_RDONLY), POLLIN, 0};
	}
	printf("GUEST-SCREEN %ux%u\n", k.mode.hdisplay, k.mode.vdisplay);
	fflush(stdout);
	while (poll(from, DEVICES, -1) >= 0)
		for (int i = 0; i < DEVICES; i++) {
			struct input_event e;

			if (!(from[i].revents & POLLIN) || read(from[i].fd, &e, sizeof(e)) != sizeof(e) || !is_typed(&e))
				continue;
			draw_square(&k, n++);
			show(&k);
			printf("GUEST-KEY %u\n", e.code);
			fflush(stdout);
		}
}
