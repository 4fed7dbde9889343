// SPDX-License-Identifier: Apache-2.0
/*
 * vdispl's rings and requests. Each request is copied out of the ring once; the copy is checked and used. What a next life
 * of this process needs is kept up to date in `saved` as it happens, so that it can be killed at any point.
 */
#include "display.h"

#include "buffers.h"
#include "edid.h"
#include "pages.h"

#include <errno.h>
#include <string.h>

#define SAVED_MAGIC 0x44435256u /* "VRCD" */

/* A guest that floods its ring gets this much work done, then waits that long. */
#define WORK_A_WAKEUP 64
#define WORK_OF_A_MAP 16
#define BREATHE_MS    4

struct connector {
	struct display *display;
	unsigned index;
	xen_displif_back_ring_t ring;
	struct xendispl_event_page *events;
	int req_port, evt_port; /* -1: not bound */
	bool broken;            /* its indices were nonsense */
	bool again;             /* an earlier life may have done the next request */
};

struct display {
	struct xenbus bus;
	const struct screen_ops *screens;
	void *screen_data;
	struct display_saved *saved;
	bool own_saved;
	struct buffers buffers;
	struct connector connector[SCREENS];
	unsigned connectors; /* with rings */
	guint breathe;
};

static struct display *of_bus(struct xenbus *bus)
{
	return (struct display *)bus; /* its first member */
}

static struct saved_connector *saved_of(struct connector *c)
{
	return &c->display->saved->connector[c->index];
}

/* Events. */

/* The event's number must follow the one before: the front end skips others. A full page is the guest's own loss. */
static void send_flip_event(struct connector *c, uint64_t frame)
{
	struct saved_connector *s = saved_of(c);
	struct xendispl_evt event = {.id = (uint16_t)s->events, .type = XENDISPL_EVT_PG_FLIP, .op.pg_flip.fb_cookie = frame};

	if (!c->events || s->events - guest_read(c->events->in_cons) >= XENDISPL_IN_RING_LEN) {
		guest_mistake("domain %u doesn't take its flip events", c->display->bus.domid);
		return;
	}
	XENDISPL_IN_RING_REF(c->events, s->events) = event;
	s->events++;
	guest_write(c->events->in_prod, s->events);
	c->display->bus.xen->ops->notify(c->display->bus.xen, (uint32_t)c->evt_port);
}

static void end_flip(struct connector *c)
{
	struct saved_connector *s = saved_of(c);

	if (!s->flipping)
		return;
	send_flip_event(c, s->flipped);
	s->flipping = 0;
}

void display_flip_done(struct display *d, unsigned screen)
{
	if (screen < d->connectors)
		end_flip(&d->connector[screen]);
}

/* Screens. */

static void show(struct connector *c, bool flip)
{
	struct display *d = c->display;
	struct saved_connector *s = saved_of(c);
	struct picture picture;

	if (buffers_picture(&d->buffers, s->frame, s->x, s->y, s->width, s->height, &picture)) {
		d->screens->show(d->screen_data, c->index, NULL, false, NULL);
		end_flip(c);
		return;
	}
	d->screens->show(d->screen_data, c->index, &picture, flip, NULL);
}

/* Frames that go away while they are shown leave their last picture. */
static void forget_frame(struct display *d, uint64_t frame, uint64_t buffer)
{
	for (unsigned i = 0; i < d->connectors; i++) {
		struct connector *c = &d->connector[i];
		struct saved_connector *s = saved_of(c);

		if (s->frame && (s->frame == frame || buffers_frame_in(&d->buffers, s->frame, buffer))) {
			d->screens->show(d->screen_data, i, NULL, false, NULL);
			s->frame = 0;
			end_flip(c);
		}
	}
}

/* Requests. */

static int set_config(struct connector *c, const struct xendispl_set_config_req *req)
{
	struct saved_connector *s = saved_of(c);
	struct picture picture;
	int rc;

	if (!req->fb_cookie) {
		if (req->x || req->y || req->width || req->height || req->bpp)
			return -EINVAL;
		s->configured = 0;
		s->frame = 0;
		end_flip(c);
		c->display->screens->blank(c->display->screen_data, c->index);
		return 0;
	}
	rc = buffers_picture(&c->display->buffers, req->fb_cookie, req->x, req->y, s->width, s->height, &picture);
	if (rc)
		return rc;
	if (!req->width || !req->height || req->width > GUEST_MAX_WIDTH || req->height > GUEST_MAX_HEIGHT ||
	    req->bpp != picture_bytes(picture.format) * 8)
		return -EINVAL;
	end_flip(c);
	s->x = req->x;
	s->y = req->y;
	s->frame = req->fb_cookie;
	s->configured = 1;
	show(c, false);
	return 0;
}

static int page_flip(struct connector *c, const struct xendispl_page_flip_req *req)
{
	struct saved_connector *s = saved_of(c);
	struct picture picture;
	int rc;

	if (!s->configured)
		return -EINVAL;
	rc = buffers_picture(&c->display->buffers, req->fb_cookie, s->x, s->y, s->width, s->height, &picture);
	if (rc)
		return rc;
	/* One that didn't wait for the one before is told of that one now: it was never seen. */
	end_flip(c);
	s->frame = s->flipped = req->fb_cookie;
	s->flipping = 1;
	return 0;
}

static int get_edid(struct connector *c, const struct xendispl_get_edid_req *req, struct xendispl_get_edid_resp *resp)
{
	struct display *d = c->display;
	struct saved_connector *s = saved_of(c);
	uint32_t width = s->width, height = s->height;
	uint8_t edid[EDID_SIZE];
	void *pages;
	int rc;

	if (d->saved->version < 2)
		return -EOPNOTSUPP;
	if (req->buffer_sz < XENDISPL_EDID_MAX_SIZE || req->buffer_sz > 2 * XENDISPL_EDID_MAX_SIZE)
		return -EINVAL;
	d->screens->size(d->screen_data, c->index, &width, &height);
	rc = edid_make(edid, width, height, d->bus.domid << 8 | c->index);
	if (rc)
		return rc;
	rc = pages_map(d->bus.xen, d->bus.domid, req->gref_directory, req->buffer_sz, true, &pages);
	if (rc)
		return rc;
	memcpy(pages, edid, sizeof(edid));
	pages_unmap(d->bus.xen, pages, req->buffer_sz);
	resp->edid_sz = sizeof(edid);
	return 0;
}

/* Buffers belong to the device, and the protocol has them on the first connector's ring only. */
static int buffer_request(struct connector *c, const struct xendispl_req *req)
{
	struct buffers *buffers = &c->display->buffers;
	uint64_t cookie = req->op.dbuf_destroy.dbuf_cookie;

	if (c->index)
		return -EINVAL;
	switch (req->operation) {
	case XENDISPL_OP_DBUF_CREATE:
		return buffers_create(buffers, &req->op.dbuf_create);
	case XENDISPL_OP_DBUF_DESTROY:
		forget_frame(c->display, 0, cookie);
		return buffers_destroy(buffers, cookie);
	case XENDISPL_OP_FB_ATTACH:
		return buffers_attach(buffers, &req->op.fb_attach);
	default:
		cookie = req->op.fb_detach.fb_cookie;
		if (!cookie)
			return -EINVAL;
		if (buffers_has_frame(buffers, cookie))
			forget_frame(c->display, cookie, 0);
		return buffers_detach(buffers, cookie);
	}
}

static int handle(struct connector *c, const struct xendispl_req *req, struct xendispl_resp *resp)
{
	switch (req->operation) {
	case XENDISPL_OP_DBUF_CREATE:
	case XENDISPL_OP_DBUF_DESTROY:
	case XENDISPL_OP_FB_ATTACH:
	case XENDISPL_OP_FB_DETACH:
		return buffer_request(c, req);
	case XENDISPL_OP_SET_CONFIG:
		return set_config(c, &req->op.set_config);
	case XENDISPL_OP_PG_FLIP:
		return page_flip(c, &req->op.pg_flip);
	case XENDISPL_OP_GET_EDID:
		return get_edid(c, &req->op.get_edid, &resp->op.get_edid);
	default:
		return -EOPNOTSUPP;
	}
}

/* An earlier life may have done it and not lived to say so. */
static bool done_before(struct connector *c, const struct xendispl_req *req, int rc)
{
	if (!c->again)
		return false;
	c->again = false;
	switch (req->operation) {
	case XENDISPL_OP_DBUF_CREATE:
	case XENDISPL_OP_FB_ATTACH:
		return rc == -EEXIST;
	case XENDISPL_OP_DBUF_DESTROY:
	case XENDISPL_OP_FB_DETACH:
		return rc == -ENOENT;
	default:
		return false;
	}
}

static void answer(struct connector *c, const struct xendispl_req *req)
{
	struct xendispl_resp resp = {.id = req->id, .operation = req->operation};
	int rc = handle(c, req, &resp), notify;

	if (done_before(c, req, rc))
		rc = 0;
	if (rc)
		guest_mistake("domain %u: display request 0x%02x on connector %u refused: %s", c->display->bus.domid,
			      req->operation, c->index, g_strerror(-rc));
	resp.status = guest_error(rc);
	/* In this order: the response overwrites the request, which could not be done again. */
	guest_write(saved_of(c)->answered, c->ring.rsp_prod_pvt + 1);
	*RING_GET_RESPONSE(&c->ring, c->ring.rsp_prod_pvt) = resp;
	c->ring.rsp_prod_pvt++;
	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&c->ring, notify);
	if (notify)
		c->display->bus.xen->ops->notify(c->display->bus.xen, (uint32_t)c->req_port);
	/* Only now: an event that came before its request's answer would be lost on the front end. */
	if (req->operation == XENDISPL_OP_PG_FLIP && !rc)
		show(c, true);
}

static bool sane(struct connector *c, RING_IDX produced)
{
	if (produced - c->ring.rsp_prod_pvt <= RING_SIZE(&c->ring))
		return true;
	if (!c->broken)
		guest_mistake("domain %u: connector %u's ring says %u requests; it is left alone", c->display->bus.domid, c->index,
			      produced - c->ring.rsp_prod_pvt);
	c->broken = true;
	return false;
}

/* Takes requests until there are none or *work is used up; false: there are more. */
static bool take_requests(struct connector *c, int *work)
{
	struct xendispl_req req;
	RING_IDX produced;
	int more = 0;

	if (c->broken || !c->ring.sring)
		return true;
	do {
		produced = guest_read(c->ring.sring->req_prod);
		if (!sane(c, produced))
			return true;
		while (c->ring.req_cons != produced) {
			if (*work <= 0)
				return false;
			RING_COPY_REQUEST(&c->ring, c->ring.req_cons, &req);
			c->ring.req_cons++;
			*work -= req.operation == XENDISPL_OP_DBUF_CREATE || req.operation == XENDISPL_OP_GET_EDID ? WORK_OF_A_MAP : 1;
			answer(c, &req);
		}
		RING_FINAL_CHECK_FOR_REQUESTS(&c->ring, more);
	} while (more);
	return true;
}

static void work_rings(struct display *d);

static gboolean breathed(gpointer data)
{
	struct display *d = data;

	d->breathe = 0;
	work_rings(d);
	return G_SOURCE_REMOVE;
}

static void work_rings(struct display *d)
{
	int work = WORK_A_WAKEUP;
	bool idle = true;

	if (d->breathe)
		return;
	for (unsigned i = 0; i < d->connectors; i++)
		idle &= take_requests(&d->connector[i], &work);
	if (!idle)
		d->breathe = g_timeout_add(BREATHE_MS, breathed, d);
}

bool display_event(struct display *d, uint32_t port)
{
	for (unsigned i = 0; i < d->connectors; i++) {
		if ((uint32_t)d->connector[i].req_port == port) {
			work_rings(d);
			return true;
		}
		/* The front end's way to say that it has read events; there is nothing to do. */
		if ((uint32_t)d->connector[i].evt_port == port)
			return true;
	}
	return false;
}

/* Connecting. */

static char *connector_dir(struct display *d, unsigned index)
{
	return g_strdup_printf("%s/%u", d->bus.front, index);
}

/* Counts the connectors that the toolstack configured and, with sizes, writes down what each offers now. */
static unsigned read_connectors(struct display *d, struct saved_connector *connector)
{
	unsigned count;

	for (count = 0; count < SCREENS; count++) {
		g_autofree char *path = g_strdup_printf("%s/%u/" XENDISPL_FIELD_RESOLUTION, d->bus.front, count);
		g_autofree char *text = d->bus.xen->ops->read(d->bus.xen, 0, path);
		uint32_t width, height;

		if (!text || store_parse_size(text, GUEST_MAX_WIDTH, GUEST_MAX_HEIGHT, &width, &height))
			break;
		if (connector) {
			connector[count].width = width;
			connector[count].height = height;
		}
	}
	return count;
}

unsigned display_connectors(const struct display *d)
{
	return read_connectors((struct display *)d, NULL);
}

static bool offer(struct xenbus *bus)
{
	struct display *d = of_bus(bus);
	unsigned count = read_connectors(d, NULL);
	uint32_t width, height;

	if (!count) {
		g_warning("%s: no connector with a resolution from 1x1 to %ux%u; give the VM one", bus->front, GUEST_MAX_WIDTH,
			  GUEST_MAX_HEIGHT);
		return false;
	}
	for (unsigned i = 0; i < count; i++)
		if (!d->screens->size(d->screen_data, i, &width, &height))
			return false;
	for (unsigned i = 0; i < count; i++) {
		g_autofree char *key = g_strdup_printf("%u/" XENDISPL_FIELD_RESOLUTION, i);
		g_autofree char *text = NULL;

		d->screens->size(d->screen_data, i, &width, &height);
		text = g_strdup_printf("%ux%u", MIN(width, GUEST_MAX_WIDTH), MIN(height, GUEST_MAX_HEIGHT));
		store_write(bus->xen, bus->front, key, text);
	}
	store_write(bus->xen, bus->back, XENDISPL_FIELD_BE_VERSIONS, "1" XENDISPL_LIST_SEPARATOR XENDISPL_PROTOCOL_VERSION);
	return true;
}

static int read_transport(struct display *d, unsigned index, struct saved_connector *s)
{
	g_autofree char *dir = connector_dir(d, index);
	struct xen *xen = d->bus.xen;
	int rc = store_read_uint(xen, 0, dir, XENDISPL_FIELD_REQ_RING_REF, UINT32_MAX, &s->req_ref);

	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENDISPL_FIELD_REQ_CHANNEL, UINT32_MAX, &s->req_port);
	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENDISPL_FIELD_EVT_RING_REF, UINT32_MAX, &s->evt_ref);
	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENDISPL_FIELD_EVT_CHANNEL, UINT32_MAX, &s->evt_port);
	return rc;
}

static int connect_rings(struct display *d, unsigned index)
{
	struct connector *c = &d->connector[index];
	struct saved_connector *s = saved_of(c);
	struct xen *xen = d->bus.xen;
	struct xen_displif_sring *ring;

	ring = xen->ops->map_grants(xen, d->bus.domid, &s->req_ref, 1, true);
	if (!ring)
		return -EFAULT;
	BACK_RING_ATTACH(&c->ring, ring, s->answered, XEN_PAGE);
	c->events = xen->ops->map_grants(xen, d->bus.domid, &s->evt_ref, 1, true);
	if (!c->events)
		return -EFAULT;
	c->req_port = xen->ops->bind(xen, d->bus.domid, s->req_port);
	if (c->req_port < 0)
		return c->req_port;
	c->evt_port = xen->ops->bind(xen, d->bus.domid, s->evt_port);
	return c->evt_port < 0 ? c->evt_port : 0;
}

static void disconnect_rings(struct display *d, unsigned index)
{
	struct connector *c = &d->connector[index];
	struct xen *xen = d->bus.xen;

	if (c->evt_port >= 0)
		xen->ops->unbind(xen, (uint32_t)c->evt_port);
	if (c->req_port >= 0)
		xen->ops->unbind(xen, (uint32_t)c->req_port);
	if (c->events)
		xen->ops->unmap_grants(xen, c->events, 1);
	if (c->ring.sring)
		xen->ops->unmap_grants(xen, c->ring.sring, 1);
	*c = (struct connector){.display = d, .index = index, .req_port = -1, .evt_port = -1};
}

static void let_go(struct display *d)
{
	if (d->breathe)
		g_source_remove(d->breathe);
	d->breathe = 0;
	for (unsigned i = 0; i < SCREENS; i++) {
		/* The pictures' memory goes away: whoever shows them has to know first. */
		if (i < d->connectors)
			d->screens->show(d->screen_data, i, NULL, false, NULL);
		disconnect_rings(d, i);
	}
	d->connectors = 0;
	buffers_drop(&d->buffers);
}

static void read_vm(struct display *d, char vm[64])
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/vm", d->bus.domid);
	g_autofree char *value = d->bus.xen->ops->read(d->bus.xen, 0, path);

	memset(vm, 0, 64);
	g_strlcpy(vm, value ? value : "", 64);
}

static int start_over(struct display *d)
{
	struct display_saved *s = d->saved;
	int rc = 0;

	memset(s, 0, sizeof(*s));
	s->magic = SAVED_MAGIC;
	s->size = sizeof(*s);
	read_vm(d, s->vm);
	s->connectors = read_connectors(d, s->connector);
	if (!s->connectors)
		return -ENOENT;
	for (unsigned i = 0; i < s->connectors && !rc; i++)
		rc = read_transport(d, i, &s->connector[i]);
	/* The stock front end writes none, which means 1. */
	s->version = 1;
	store_read_uint(d->bus.xen, 0, d->bus.front, XENDISPL_FIELD_FE_VERSION, XENDISPL_PROTOCOL_VERSION_INT, &s->version);
	return rc;
}

static bool same_transport(const struct saved_connector *a, const struct saved_connector *b)
{
	return a->req_ref == b->req_ref && a->req_port == b->req_port && a->evt_ref == b->evt_ref && a->evt_port == b->evt_port;
}

/* Whether what an earlier life left is of this very connection. */
static int check_saved(struct display *d)
{
	struct display_saved *s = d->saved;
	struct saved_connector now = {0};
	char vm[64];

	read_vm(d, vm);
	if (s->magic != SAVED_MAGIC || s->size != sizeof(*s) || !vm[0] || memcmp(s->vm, vm, sizeof(vm)) != 0)
		return -ESTALE;
	if (!s->connectors || s->connectors > SCREENS)
		return -ESTALE;
	for (unsigned i = 0; i < s->connectors; i++) {
		const struct saved_connector *c = &s->connector[i];

		if (read_transport(d, i, &now) || !same_transport(c, &now))
			return -ESTALE;
		if (!c->width || !c->height || c->width > GUEST_MAX_WIDTH || c->height > GUEST_MAX_HEIGHT)
			return -ESTALE;
	}
	return 0;
}

/* The last answer may not have been published. */
static int resume_ring(struct connector *c)
{
	RING_IDX published = guest_read(c->ring.sring->rsp_prod), requested = guest_read(c->ring.sring->req_prod);
	RING_IDX answered = saved_of(c)->answered;

	if (published != answered && published + 1 != answered)
		return -EILSEQ;
	if (requested - answered > RING_SIZE(&c->ring))
		return -EILSEQ;
	guest_write(c->ring.sring->rsp_prod, answered);
	c->again = true;
	c->display->bus.xen->ops->notify(c->display->bus.xen, (uint32_t)c->req_port);
	return 0;
}

static void resume_screen(struct connector *c)
{
	struct saved_connector *s = saved_of(c);

	if (s->configured && s->frame)
		show(c, s->flipping);
	else
		end_flip(c);
}

static int connect_all(struct display *d, bool again)
{
	int rc = again ? check_saved(d) : start_over(d);

	if (rc)
		return rc;
	for (unsigned i = 0; i < d->saved->connectors; i++) {
		rc = connect_rings(d, i);
		if (!rc && again)
			rc = resume_ring(&d->connector[i]);
		if (rc)
			return rc;
	}
	return again ? buffers_restore(&d->buffers) : 0;
}

static int connect(struct xenbus *bus, bool again)
{
	struct display *d = of_bus(bus);
	int rc = connect_all(d, again);

	d->connectors = d->saved->connectors;
	if (rc) {
		d->connectors = 0;
		let_go(d);
		return rc;
	}
	for (unsigned i = 0; again && i < d->connectors; i++)
		resume_screen(&d->connector[i]);
	work_rings(d);
	return 0;
}

static void disconnect(struct xenbus *bus)
{
	struct display *d = of_bus(bus);
	unsigned count = d->connectors;

	let_go(d);
	memset(d->saved, 0, sizeof(*d->saved));
	for (unsigned i = 0; i < count; i++)
		d->screens->blank(d->screen_data, i);
}

static void destroy(struct xenbus *bus)
{
	struct display *d = of_bus(bus);

	if (d->own_saved)
		g_free(d->saved);
	g_free(d);
}

static const struct xenbus_driver driver = {
	.back_kind = XENDISPL_DRIVER_NAME, .front_kind = XENDISPL_DRIVER_NAME, .reopens_from_closing = true,
	.offer = offer, .connect = connect, .disconnect = disconnect, .destroy = destroy,
};

struct display *display_new(struct xen *xen, uint32_t domid, uint32_t devid, const char *token, const struct screen_ops *screens,
			    void *screen_data, struct display_saved *saved)
{
	struct display *d = g_new0(struct display, 1);

	d->screens = screens;
	d->screen_data = screen_data;
	d->own_saved = !saved;
	d->saved = saved ? saved : g_new0(struct display_saved, 1);
	d->buffers = (struct buffers){.xen = xen, .domid = domid, .saved = d->saved};
	for (unsigned i = 0; i < SCREENS; i++)
		d->connector[i] = (struct connector){.display = d, .index = i, .req_port = -1, .evt_port = -1};
	xenbus_init(&d->bus, xen, &driver, domid, devid, token);
	return d;
}

/* Leaves `saved` as it is, and the front end as if this back end had been killed. */
void display_free(struct display *d, const char *token)
{
	if (d->bus.connected) {
		d->bus.connected = false;
		let_go(d);
	}
	xenbus_destroy(&d->bus, token);
}

struct xenbus *display_bus(struct display *d)
{
	return &d->bus;
}

bool display_active(const struct display *d)
{
	for (unsigned i = 0; i < d->connectors; i++)
		if (d->saved->connector[i].configured)
			return true;
	return false;
}

void display_resized(struct display *d, bool force)
{
	if (d->bus.connected && !force && display_active(d))
		return;
	if (d->bus.connected) {
		xenbus_restart(&d->bus);
	} else if (d->bus.state == XenbusStateInitWait) {
		d->bus.state = XenbusStateUnknown; /* offer again */
	}
	xenbus_update(&d->bus);
}
