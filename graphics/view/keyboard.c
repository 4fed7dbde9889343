// SPDX-License-Identifier: Apache-2.0
/*
 * The ring has room for 51 events, and the guest empties it when it likes. What does not fit waits here: motion is merged,
 * presses are dropped when too many wait, releases never are. No key sticks because a guest was slow.
 */
#include "keyboard.h"

#include "guest.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <string.h>
#include <xen/io/kbdif.h>

#define QUEUE    512u
#define RETRY_MS 50
/* The pointer's range when nobody configured one; what libinput makes of it depends on the ratio only. */
#define RANGE 32767u

struct keyboard {
	struct xenbus bus;
	struct xenkbd_page *page;
	int port;
	uint32_t produced;
	bool absolute, touch;
	uint32_t width, height, touch_width, touch_height;
	union xenkbd_in_event queue[QUEUE];
	uint32_t head, count;
	guint retry;
	uint8_t down[KEY_CNT / 8 + 1];    /* as the guest will see them when the queue is empty */
	uint8_t release[KEY_CNT / 8 + 1]; /* releases that found the queue full */
	bool releases;
	bool contact[KEYBOARD_CONTACTS];
	double rest_x, rest_y; /* motion less than a step */
};

static struct keyboard *of_bus(struct xenbus *bus)
{
	return (struct keyboard *)bus; /* its first member */
}

static bool bit(const uint8_t *set, uint32_t code)
{
	return set[code / 8] >> code % 8 & 1;
}

static void put_bit(uint8_t *set, uint32_t code, bool on)
{
	set[code / 8] = (uint8_t)((set[code / 8] & ~(1 << code % 8)) | on << code % 8);
}

/* A consumer index that makes no sense counts as a full ring. */
static uint32_t room(const struct keyboard *k)
{
	uint32_t used = k->produced - guest_read(k->page->in_cons);

	return used > XENKBD_IN_RING_LEN ? 0 : (uint32_t)XENKBD_IN_RING_LEN - used;
}

static void put(struct keyboard *k, const union xenkbd_in_event *event)
{
	XENKBD_IN_RING_REF(k->page, k->produced) = *event;
	k->produced++;
}

static void put_late_releases(struct keyboard *k, uint32_t *space)
{
	for (uint32_t code = 0; code < KEY_CNT && *space; code++)
		if (bit(k->release, code)) {
			union xenkbd_in_event event = {.key = {.type = XENKBD_TYPE_KEY, .keycode = code}};

			put_bit(k->release, code, false);
			put(k, &event);
			--*space;
		}
	if (*space)
		k->releases = false;
}

static void drain(struct keyboard *k);

static gboolean retry(gpointer data)
{
	struct keyboard *k = data;

	k->retry = 0;
	drain(k);
	return G_SOURCE_REMOVE;
}

static void drain(struct keyboard *k)
{
	uint32_t before, space;

	if (!k->page)
		return;
	before = k->produced;
	space = room(k);
	for (; k->count && space; space--, k->count--, k->head = (k->head + 1) % QUEUE)
		put(k, &k->queue[k->head]);
	if (k->releases && !k->count)
		put_late_releases(k, &space);
	if (k->produced != before) {
		guest_write(k->page->in_prod, k->produced);
		k->bus.xen->ops->notify(k->bus.xen, (uint32_t)k->port);
	}
	/* Most front ends say when they have read; not all do. */
	if ((k->count || k->releases) && !k->retry)
		k->retry = g_timeout_add(RETRY_MS, retry, k);
}

static bool queue(struct keyboard *k, const union xenkbd_in_event *event)
{
	if (!k->page || k->count == QUEUE)
		return false;
	k->queue[(k->head + k->count++) % QUEUE] = *event;
	return true;
}

/* The youngest event that waits, to merge with; NULL. */
static union xenkbd_in_event *youngest(struct keyboard *k)
{
	return k->count ? &k->queue[(k->head + k->count - 1) % QUEUE] : NULL;
}

void keyboard_key(struct keyboard *k, uint32_t code, bool pressed)
{
	union xenkbd_in_event event = {.key = {.type = XENKBD_TYPE_KEY, .pressed = pressed, .keycode = code}};

	/* What the guest doesn't know as pressed need not be released; what it does isn't pressed twice. */
	if (!k->page || code >= KEY_CNT || bit(k->down, code) == pressed)
		return;
	if (pressed && bit(k->release, code))
		return;
	if (!queue(k, &event)) {
		if (pressed)
			return;
		put_bit(k->release, code, true);
		k->releases = true;
	}
	put_bit(k->down, code, pressed);
	drain(k);
}

void keyboard_release_all(struct keyboard *k)
{
	for (uint32_t code = 0; code < KEY_CNT; code++)
		keyboard_key(k, code, false);
	for (unsigned i = 0; i < KEYBOARD_CONTACTS; i++)
		keyboard_touch_up(k, i);
	keyboard_touch_frame(k);
}

static int32_t scale(double share, uint32_t range)
{
	/* Not a number is no place: 0. */
	return share > 0 ? (int32_t)lrint(MIN(share, 1) * (range ? range - 1 : 0)) : 0;
}

static void position(struct keyboard *k, int32_t x, int32_t y, int32_t wheel)
{
	union xenkbd_in_event event = {.pos = {.type = XENKBD_TYPE_POS, .abs_x = x, .abs_y = y, .rel_z = wheel}};
	union xenkbd_in_event *last = youngest(k);

	if (last && last->type == XENKBD_TYPE_POS && !wheel && !last->pos.rel_z)
		*last = event;
	else
		queue(k, &event);
	drain(k);
}

static void motion(struct keyboard *k, int32_t dx, int32_t dy, int32_t wheel)
{
	union xenkbd_in_event event = {.motion = {.type = XENKBD_TYPE_MOTION, .rel_x = dx, .rel_y = dy, .rel_z = wheel}};
	union xenkbd_in_event *last = youngest(k);

	if (last && last->type == XENKBD_TYPE_MOTION) {
		last->motion.rel_x += dx;
		last->motion.rel_y += dy;
		last->motion.rel_z += wheel;
	} else {
		queue(k, &event);
	}
	drain(k);
}

bool keyboard_wants_absolute(const struct keyboard *k)
{
	return k->absolute;
}

void keyboard_pointer(struct keyboard *k, double x, double y)
{
	if (k->page && k->absolute)
		position(k, scale(x, k->width), scale(y, k->height), 0);
}

void keyboard_pointer_by(struct keyboard *k, double dx, double dy)
{
	int32_t x, y;

	if (!k->page || k->absolute)
		return;
	k->rest_x += CLAMP(dx, -10000, 10000);
	k->rest_y += CLAMP(dy, -10000, 10000);
	x = (int32_t)k->rest_x;
	y = (int32_t)k->rest_y;
	k->rest_x -= x;
	k->rest_y -= y;
	if (x || y)
		motion(k, x, y, 0);
}

/* A wheel event of the absolute kind would carry a place as well: motion of nothing but the wheel is understood by all. */
void keyboard_wheel(struct keyboard *k, int clicks)
{
	if (k->page && clicks)
		motion(k, 0, 0, CLAMP(clicks, -100, 100));
}

static void touch_event(struct keyboard *k, uint8_t type, unsigned contact, double x, double y)
{
	union xenkbd_in_event event = {.mtouch = {.type = XENKBD_TYPE_MTOUCH, .event_type = type, .contact_id = (uint8_t)contact}};
	union xenkbd_in_event *last = youngest(k);

	if (!k->page || !k->touch)
		return;
	if (type == XENKBD_MT_EV_DOWN || type == XENKBD_MT_EV_MOTION) {
		event.mtouch.u.pos.abs_x = scale(x, k->touch_width);
		event.mtouch.u.pos.abs_y = scale(y, k->touch_height);
	}
	if (type == XENKBD_MT_EV_MOTION && last && last->type == XENKBD_TYPE_MTOUCH &&
	    last->mtouch.event_type == type && last->mtouch.contact_id == contact)
		*last = event;
	else if (!queue(k, &event) && type == XENKBD_MT_EV_UP)
		return; /* the contact stays down here and is let go of with the next call */
	else if (type == XENKBD_MT_EV_DOWN || type == XENKBD_MT_EV_UP)
		k->contact[contact] = type == XENKBD_MT_EV_DOWN;
	drain(k);
}

void keyboard_touch_down(struct keyboard *k, unsigned contact, double x, double y)
{
	if (contact < KEYBOARD_CONTACTS && !k->contact[contact] && k->count < QUEUE / 2)
		touch_event(k, XENKBD_MT_EV_DOWN, contact, x, y);
}

void keyboard_touch_move(struct keyboard *k, unsigned contact, double x, double y)
{
	if (contact < KEYBOARD_CONTACTS && k->contact[contact] && k->count < QUEUE / 2)
		touch_event(k, XENKBD_MT_EV_MOTION, contact, x, y);
}

void keyboard_touch_up(struct keyboard *k, unsigned contact)
{
	if (contact < KEYBOARD_CONTACTS && k->contact[contact])
		touch_event(k, XENKBD_MT_EV_UP, contact, 0, 0);
}

void keyboard_touch_frame(struct keyboard *k)
{
	touch_event(k, XENKBD_MT_EV_SYN, 0, 0, 0);
}

bool keyboard_event(struct keyboard *k, uint32_t port)
{
	if (k->port < 0 || (uint32_t)k->port != port)
		return false;
	drain(k);
	return true;
}

/* The node as libxl wrote it, or ours, when there is none. The front end reads it once, perhaps before we are there. */
static uint32_t node(struct keyboard *k, const char *key, uint32_t value)
{
	uint32_t there;

	if (!store_read_uint(k->bus.xen, 0, k->bus.back, key, INT32_MAX, &there))
		return there;
	store_write_uint(k->bus.xen, k->bus.back, key, value);
	return value;
}

static bool offer(struct xenbus *bus)
{
	struct keyboard *k = of_bus(bus);

	node(k, XENKBD_FIELD_FEAT_ABS_POINTER, 1);
	node(k, XENKBD_FIELD_WIDTH, RANGE);
	node(k, XENKBD_FIELD_HEIGHT, RANGE);
	node(k, XENKBD_FIELD_MT_WIDTH, RANGE);
	node(k, XENKBD_FIELD_MT_HEIGHT, RANGE);
	node(k, XENKBD_FIELD_MT_NUM_CONTACTS, KEYBOARD_CONTACTS);
	node(k, XENKBD_FIELD_FEAT_MTOUCH, 1);
	return true;
}

static bool requested(struct keyboard *k, const char *offered, const char *requested)
{
	uint32_t yes = 0, asked = 0;

	store_read_uint(k->bus.xen, 0, k->bus.back, offered, 1, &yes);
	store_read_uint(k->bus.xen, 0, k->bus.front, requested, 1, &asked);
	return yes && asked;
}

static void let_go(struct keyboard *k)
{
	struct xen *xen = k->bus.xen;

	if (k->retry)
		g_source_remove(k->retry);
	if (k->port >= 0)
		xen->ops->unbind(xen, (uint32_t)k->port);
	if (k->page)
		xen->ops->unmap_grants(xen, k->page, 1);
	k->retry = 0;
	k->port = -1;
	k->page = NULL;
	k->head = k->count = 0;
	k->releases = false;
	memset(k->down, 0, sizeof(k->down));
	memset(k->release, 0, sizeof(k->release));
	memset(k->contact, 0, sizeof(k->contact));
}

/* A key that was down when an earlier life ended is let go of: nobody else will. */
static void release_unknown(struct keyboard *k)
{
	for (uint32_t code = KEY_ESC; code < KEY_UNKNOWN; code++)
		put_bit(k->release, code, true);
	for (uint32_t code = BTN_LEFT; code <= BTN_TASK; code++)
		put_bit(k->release, code, true);
	k->releases = true;
	drain(k);
}

static int connect(struct xenbus *bus, bool again)
{
	struct keyboard *k = of_bus(bus);
	struct xen *xen = bus->xen;
	uint32_t ref, port;
	int rc = store_read_uint(xen, 0, bus->front, XENKBD_FIELD_RING_GREF, UINT32_MAX, &ref);

	if (!rc)
		rc = store_read_uint(xen, 0, bus->front, XENKBD_FIELD_EVT_CHANNEL, UINT32_MAX, &port);
	if (rc)
		return rc;
	k->absolute = requested(k, XENKBD_FIELD_FEAT_ABS_POINTER, XENKBD_FIELD_REQ_ABS_POINTER);
	k->touch = requested(k, XENKBD_FIELD_FEAT_MTOUCH, XENKBD_FIELD_REQ_MTOUCH);
	if (requested(k, XENKBD_FIELD_FEAT_RAW_POINTER, XENKBD_FIELD_REQ_RAW_POINTER)) {
		k->width = k->height = 0x8000;
	} else {
		k->width = node(k, XENKBD_FIELD_WIDTH, RANGE);
		k->height = node(k, XENKBD_FIELD_HEIGHT, RANGE);
	}
	k->touch_width = node(k, XENKBD_FIELD_MT_WIDTH, RANGE);
	k->touch_height = node(k, XENKBD_FIELD_MT_HEIGHT, RANGE);
	k->page = xen->ops->map_grants(xen, bus->domid, &ref, 1, true);
	if (!k->page)
		return -EFAULT;
	k->port = xen->ops->bind(xen, bus->domid, port);
	if (k->port < 0) {
		rc = k->port;
		let_go(k);
		return rc;
	}
	k->produced = guest_read(k->page->in_prod);
	if (again)
		release_unknown(k);
	return 0;
}

static void disconnect(struct xenbus *bus)
{
	let_go(of_bus(bus));
}

static void destroy(struct xenbus *bus)
{
	g_free(of_bus(bus));
}

#define DRIVER(kind) {.back_kind = kind, .front_kind = XENKBD_DRIVER_NAME, .offer = offer, .connect = connect,                 \
		      .disconnect = disconnect, .destroy = destroy}

static const struct xenbus_driver vinput = DRIVER("vinput"), vkbd = DRIVER("vkbd");

struct keyboard *keyboard_new(struct xen *xen, uint32_t domid, uint32_t devid, const char *token, const char *back_kind)
{
	struct keyboard *k = g_new0(struct keyboard, 1);

	k->port = -1;
	xenbus_init(&k->bus, xen, strcmp(back_kind, "vkbd") ? &vinput : &vkbd, domid, devid, token);
	return k;
}

void keyboard_free(struct keyboard *k, const char *token)
{
	keyboard_release_all(k);
	xenbus_destroy(&k->bus, token);
}

struct xenbus *keyboard_bus(struct keyboard *k)
{
	return &k->bus;
}
