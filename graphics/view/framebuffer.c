// SPDX-License-Identifier: Apache-2.0
/* The page and its directory are in frames of the guest's, named by number; each field is read once, at connection. */
#include "framebuffer.h"

#include "guest.h"

#include <errno.h>
#include <string.h>
#include <xen/io/fbif.h>

#define EVENTS_A_WAKEUP 64
#define BREATHE_MS      4
#define GFNS_A_PAGE     (XEN_PAGE / sizeof(uint64_t))
#define DIRECTORY_PAGES 256u
/* What libxl gives QEMU's, in MiB; the front end allocates as much. */
#define VIDEO_RAM 32u

struct framebuffer {
	struct xenbus bus;
	const struct screen_ops *screens;
	void *screen_data;
	struct xenfb_page *page;
	int port;
	uint8_t *memory;
	uint32_t length, pages;
	uint32_t width, height, stride, offset, format;
	uint32_t consumed;
	guint breathe;
	bool yield;
};

static struct framebuffer *of_bus(struct xenbus *bus)
{
	return (struct framebuffer *)bus; /* its first member */
}

static void show(struct framebuffer *f, const struct rect *damage)
{
	struct picture p = {NULL, f->width, f->height, f->stride, f->format};

	if (!f->memory || f->yield)
		return;
	p.pixels = f->memory + f->offset;
	f->screens->show(f->screen_data, 0, &p, false, damage);
}

void framebuffer_yield(struct framebuffer *f, bool yield)
{
	if (f->yield == yield)
		return;
	f->yield = yield;
	if (f->memory && yield)
		f->screens->show(f->screen_data, 0, NULL, false, NULL);
	show(f, NULL);
}

/* Whether such a picture is in the guest's memory; then it is what is shown. */
static int set_mode(struct framebuffer *f, int64_t width, int64_t height, int64_t stride, int64_t depth, int64_t offset)
{
	uint32_t format = depth == 32 || depth == 24 ? PICTURE_XRGB8888 : depth == 16 ? PICTURE_RGB565 : 0;
	int64_t bytes = picture_bytes(format);

	if (!bytes)
		return -EOPNOTSUPP;
	if (width < 1 || height < 1 || width > GUEST_MAX_WIDTH || height > GUEST_MAX_HEIGHT)
		return -EINVAL;
	if (stride < width * bytes || stride % bytes || offset < 0 || offset % bytes)
		return -EINVAL;
	if (offset > f->length || stride > f->length || offset + stride * (height - 1) + width * bytes > f->length)
		return -EINVAL;
	f->width = (uint32_t)width;
	f->height = (uint32_t)height;
	f->stride = (uint32_t)stride;
	f->offset = (uint32_t)offset;
	f->format = format;
	return 0;
}

static void resize(struct framebuffer *f, const struct xenfb_resize *r)
{
	int rc = set_mode(f, r->width, r->height, r->stride, r->depth, r->offset);

	if (rc)
		guest_mistake("domain %u: vfb cannot be %dx%d: %s", f->bus.domid, r->width, r->height, g_strerror(-rc));
	else
		show(f, NULL);
}

static void grow(struct rect *all, const struct rect *r)
{
	int64_t x2, y2;

	if (!all->width) {
		*all = *r;
		return;
	}
	x2 = MAX((int64_t)all->x + all->width, (int64_t)r->x + r->width);
	y2 = MAX((int64_t)all->y + all->height, (int64_t)r->y + r->height);
	all->x = MIN(all->x, r->x);
	all->y = MIN(all->y, r->y);
	all->width = (int32_t)(x2 - all->x);
	all->height = (int32_t)(y2 - all->y);
}

/* Clips an update to the picture; false: nothing is left. */
static bool clip(const struct framebuffer *f, const struct xenfb_update *u, struct rect *r)
{
	int64_t x1 = MAX(u->x, 0), y1 = MAX(u->y, 0);
	int64_t x2 = MIN((int64_t)u->x + u->width, f->width), y2 = MIN((int64_t)u->y + u->height, f->height);

	if (x1 >= x2 || y1 >= y2)
		return false;
	*r = (struct rect){(int32_t)x1, (int32_t)y1, (int32_t)(x2 - x1), (int32_t)(y2 - y1)};
	return true;
}

static void take_events(struct framebuffer *f);

static gboolean breathed(gpointer data)
{
	struct framebuffer *f = data;

	f->breathe = 0;
	take_events(f);
	return G_SOURCE_REMOVE;
}

static void take_events(struct framebuffer *f)
{
	uint32_t produced = guest_read(f->page->out_prod);
	struct rect all = {0}, one;

	if (f->breathe)
		return;
	if (produced - f->consumed > XENFB_OUT_RING_LEN) {
		guest_mistake("domain %u: vfb's ring says %u events", f->bus.domid, produced - f->consumed);
		f->consumed = produced;
		show(f, NULL);
	}
	for (int i = 0; f->consumed != produced && i < EVENTS_A_WAKEUP; i++) {
		union xenfb_out_event event;

		memcpy(&event, (const void *)&XENFB_OUT_RING_REF(f->page, f->consumed), sizeof(event));
		__asm__ volatile("" ::: "memory"); /* the copy is made here, once */
		f->consumed++;
		if (event.type == XENFB_TYPE_UPDATE && clip(f, &event.update, &one))
			grow(&all, &one);
		else if (event.type == XENFB_TYPE_RESIZE)
			resize(f, &event.resize);
	}
	guest_write(f->page->out_cons, f->consumed);
	f->bus.xen->ops->notify(f->bus.xen, (uint32_t)f->port);
	if (all.width)
		show(f, &all);
	/* Updates that came meanwhile belong to the next frame. */
	if (f->consumed != guest_read(f->page->out_prod))
		f->breathe = g_timeout_add(BREATHE_MS, breathed, f);
}

bool framebuffer_event(struct framebuffer *f, uint32_t port)
{
	if (f->port < 0 || (uint32_t)f->port != port)
		return false;
	if (f->page)
		take_events(f);
	return true;
}

/* Maps the frames that the directory names: up to 256 frames full of numbers. */
static int map_memory(struct framebuffer *f, const uint64_t directory[DIRECTORY_PAGES])
{
	struct xen *xen = f->bus.xen;
	uint32_t pages = (f->length + XEN_PAGE - 1) / XEN_PAGE;
	uint32_t tables = (uint32_t)((pages + GFNS_A_PAGE - 1) / GFNS_A_PAGE);
	g_autofree uint64_t *gfns = g_try_new(uint64_t, tables * GFNS_A_PAGE);
	void *table;

	if (!gfns)
		return -ENOMEM;
	table = xen->ops->map_frames(xen, f->bus.domid, directory, tables, false);
	if (!table)
		return -EFAULT;
	memcpy(gfns, table, (size_t)tables * XEN_PAGE);
	xen->ops->unmap_frames(xen, table, tables);
	f->memory = xen->ops->map_frames(xen, f->bus.domid, gfns, pages, false);
	f->pages = pages;
	return f->memory ? 0 : -EFAULT;
}

static int read_page(struct framebuffer *f)
{
	uint64_t directory[DIRECTORY_PAGES];
	struct xenfb_page *p = f->page;
	int32_t width = guest_read(p->width), height = guest_read(p->height);
	uint32_t stride = guest_read(p->line_length), length = guest_read(p->mem_length);
	uint8_t depth = guest_read(p->depth);
	int rc;

	G_STATIC_ASSERT(sizeof(p->pd) == sizeof(directory));
	if (!length || length > DIRECTORY_PAGES * GFNS_A_PAGE * XEN_PAGE)
		return -E2BIG;
	memcpy(directory, (const void *)p->pd, sizeof(directory));
	f->length = length;
	rc = set_mode(f, width, height, stride, depth, 0);
	return rc ? rc : map_memory(f, directory);
}

static bool offer(struct xenbus *bus)
{
	struct framebuffer *f = of_bus(bus);
	uint32_t width, height, there;

	if (!f->screens->size(f->screen_data, 0, &width, &height))
		return false;
	if (store_read_uint(bus->xen, 0, bus->back, "videoram", UINT32_MAX, &there))
		store_write_uint(bus->xen, bus->back, "videoram", VIDEO_RAM);
	/* The front end falls back to 800x600 when its memory is less than the mode needs. */
	store_write_uint(bus->xen, bus->back, "width", MIN(width, GUEST_MAX_WIDTH));
	store_write_uint(bus->xen, bus->back, "height", MIN(height, GUEST_MAX_HEIGHT));
	store_write_uint(bus->xen, bus->back, "feature-resize", 1);
	store_write_uint(bus->xen, bus->back, "request-update", 1);
	return true;
}

static void let_go(struct framebuffer *f)
{
	struct xen *xen = f->bus.xen;

	if (f->breathe)
		g_source_remove(f->breathe);
	f->breathe = 0;
	if (f->memory && !f->yield)
		f->screens->show(f->screen_data, 0, NULL, false, NULL);
	if (f->memory)
		xen->ops->unmap_frames(xen, f->memory, f->pages);
	if (f->page)
		xen->ops->unmap_frames(xen, f->page, 1);
	if (f->port >= 0)
		xen->ops->unbind(xen, (uint32_t)f->port);
	f->memory = NULL;
	f->page = NULL;
	f->port = -1;
}

/* Another word size's directory would be read wrong. */
static bool right_protocol(struct xenbus *bus)
{
	g_autofree char *path = g_build_path("/", bus->front, "protocol", NULL);
	g_autofree char *protocol = bus->xen->ops->read(bus->xen, 0, path);

	return !protocol || !strcmp(protocol, "x86_64-abi");
}

static int read_ref(struct xenbus *bus, uint64_t *gfn)
{
	g_autofree char *path = g_build_path("/", bus->front, "page-ref", NULL);
	g_autofree char *text = bus->xen->ops->read(bus->xen, 0, path);

	if (!text)
		return -ENOENT;
	return g_ascii_string_to_unsigned(text, 10, 0, (guint64)1 << 40, gfn, NULL) ? 0 : -EINVAL;
}

static int connect(struct xenbus *bus, bool again G_GNUC_UNUSED)
{
	struct framebuffer *f = of_bus(bus);
	uint32_t port;
	uint64_t gfn;
	int rc = read_ref(bus, &gfn);

	if (!rc)
		rc = store_read_uint(bus->xen, 0, bus->front, "event-channel", UINT32_MAX, &port);
	if (rc)
		return rc;
	if (!right_protocol(bus))
		return -EOPNOTSUPP;
	f->page = bus->xen->ops->map_frames(bus->xen, bus->domid, &gfn, 1, true);
	if (!f->page)
		return -EFAULT;
	f->port = bus->xen->ops->bind(bus->xen, bus->domid, port);
	rc = f->port < 0 ? f->port : read_page(f);
	if (rc) {
		let_go(f);
		return rc;
	}
	f->consumed = guest_read(f->page->out_cons);
	show(f, NULL);
	take_events(f);
	return 0;
}

static void disconnect(struct xenbus *bus)
{
	struct framebuffer *f = of_bus(bus);

	let_go(f);
	if (!f->yield)
		f->screens->blank(f->screen_data, 0);
}

static void destroy(struct xenbus *bus)
{
	g_free(of_bus(bus));
}

static const struct xenbus_driver driver = {
	.back_kind = "vfb", .front_kind = "vfb", .offer = offer, .connect = connect, .disconnect = disconnect, .destroy = destroy,
};

struct framebuffer *framebuffer_new(struct xen *xen, uint32_t domid, uint32_t devid, const char *token,
				    const struct screen_ops *screens, void *screen_data)
{
	struct framebuffer *f = g_new0(struct framebuffer, 1);

	f->screens = screens;
	f->screen_data = screen_data;
	f->port = -1;
	xenbus_init(&f->bus, xen, &driver, domid, devid, token);
	return f;
}

void framebuffer_free(struct framebuffer *f, const char *token)
{
	if (f->bus.connected) {
		f->bus.connected = false;
		let_go(f);
	}
	xenbus_destroy(&f->bus, token);
}

struct xenbus *framebuffer_bus(struct framebuffer *f)
{
	return &f->bus;
}
