// SPDX-License-Identifier: Apache-2.0
#include "card.h"

#include "stream.h"

#include <errno.h>
#include <string.h>

/* A guest that floods its rings gets this much work done, then waits that long. */
#define WORK_A_WAKEUP 64
#define BREATHE_MS    4

#define GOING_OUT_MS 1000

struct card {
	struct xenbus bus; /* first: of_bus() */
	struct player *player;
	bool play, record, mute;
	int recording; /* as published; -1: not yet */
	struct stream *stream[CARD_MAX_STREAMS];
	unsigned streams;
	guint breathe, going_out;
};

static struct card *of_bus(struct xenbus *bus)
{
	return (struct card *)bus;
}

/* What it may do. */

static bool permitted(void *data, bool record)
{
	struct card *c = data;

	return record ? c->record : c->play;
}

static bool muted(void *data, bool record)
{
	struct card *c = data;

	return !record && c->mute;
}

/* The sign that people see. Nothing is written while nothing changes: each write wakes the manager. */
static void publish(struct card *c, bool recording)
{
	g_clear_handle_id(&c->going_out, g_source_remove);
	if (c->recording == recording)
		return;
	c->recording = recording;
	store_write_uint(c->bus.xen, c->bus.back, CARD_RECORDING, recording);
	g_debug("domain %u: %s", c->bus.domid, recording ? "records" : "does not record");
}

static gboolean on_going_out(gpointer data)
{
	struct card *c = data;

	c->going_out = 0;
	publish(c, false);
	return G_SOURCE_REMOVE;
}

/* It stays for a moment: what is short is seen as well, and a guest cannot make it flicker. */
static void look_for_recording(void *data)
{
	struct card *c = data;
	bool recording = false;

	for (unsigned i = 0; i < c->streams; i++)
		recording |= stream_recording(c->stream[i]);
	if (recording || c->recording < 0)
		publish(c, recording);
	else if (c->recording && !c->going_out)
		c->going_out = g_timeout_add(GOING_OUT_MS, on_going_out, c);
}

static const struct stream_owner stream_owner = {.permitted = permitted, .muted = muted, .changed = look_for_recording};

static void read_policy(struct card *c)
{
	g_autofree char *path = g_build_path("/", c->bus.back, CARD_ALLOW, NULL);
	g_autofree char *text = c->bus.xen->ops->read(c->bus.xen, 0, path);
	g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);

	c->play = g_strv_contains((const char *const *)words, "play");
	c->record = g_strv_contains((const char *const *)words, "record");
	c->mute = g_strv_contains((const char *const *)words, "mute");
}

/* Requests. */

static void work_rings(struct card *c);

static gboolean breathed(gpointer data)
{
	struct card *c = data;

	c->breathe = 0;
	work_rings(c);
	return G_SOURCE_REMOVE;
}

static void work_rings(struct card *c)
{
	int work = WORK_A_WAKEUP;
	bool idle = true;

	if (c->breathe)
		return;
	for (unsigned i = 0; i < c->streams; i++)
		idle &= stream_work(c->stream[i], &work);
	if (!idle)
		c->breathe = g_timeout_add(BREATHE_MS, breathed, c);
}

bool card_event(struct card *c, uint32_t port)
{
	for (unsigned i = 0; i < c->streams; i++)
		if (stream_has_port(c->stream[i], port)) {
			work_rings(c);
			return true;
		}
	return false;
}

/* Connecting. */

static bool offer(struct xenbus *bus)
{
	store_write(bus->xen, bus->back, XENSND_FIELD_BE_VERSIONS, "1" XENSND_LIST_SEPARATOR "2");
	return true;
}

static int read_type(struct xenbus *bus, const char *dir, bool *record)
{
	g_autofree char *path = g_build_path("/", dir, XENSND_FIELD_TYPE, NULL);
	g_autofree char *type = bus->xen->ops->read(bus->xen, 0, path);

	if (!type)
		return -ENOENT;
	*record = !strcmp(type, XENSND_STREAM_TYPE_CAPTURE);
	return *record || !strcmp(type, XENSND_STREAM_TYPE_PLAYBACK) ? 0 : -EINVAL;
}

static int add_stream(struct card *c, const char *dir)
{
	struct stream_transport t = {0};
	struct xen *xen = c->bus.xen;
	int rc = read_type(&c->bus, dir, &t.record);

	if (rc)
		return rc;
	if (c->streams == CARD_MAX_STREAMS)
		return -E2BIG;
	rc = store_read_uint(xen, 0, dir, XENSND_FIELD_RING_REF, UINT32_MAX, &t.ring_ref);
	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENSND_FIELD_EVT_CHNL, UINT32_MAX, &t.ring_port);
	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENSND_FIELD_EVT_RING_REF, UINT32_MAX, &t.event_ref);
	if (!rc)
		rc = store_read_uint(xen, 0, dir, XENSND_FIELD_EVT_EVT_CHNL, UINT32_MAX, &t.event_port);
	if (rc)
		return rc == -ENOENT ? -ENODATA : rc;
	c->stream[c->streams] = stream_new(xen, c->bus.domid, c->player, &t, &stream_owner, c);
	if (!c->stream[c->streams])
		return -errno;
	c->streams++;
	return 0;
}

/* Streams follow one another from 0 on: the first that isn't there ends them, and a device without any ends the devices. */
static int add_streams(struct card *c)
{
	for (unsigned device = 0; device < CARD_MAX_DEVICES; device++)
		for (unsigned i = 0;; i++) {
			g_autofree char *dir = g_strdup_printf("%s/%u/%u", c->bus.front, device, i);
			int rc = add_stream(c, dir);

			if (rc == -ENOENT && i)
				break;
			if (rc == -ENOENT)
				return c->streams ? 0 : -ENOENT;
			if (rc)
				return rc;
		}
	return 0;
}

static void drop_streams(struct card *c)
{
	g_clear_handle_id(&c->breathe, g_source_remove);
	while (c->streams)
		stream_free(c->stream[--c->streams]);
	look_for_recording(c);
}

static int connect(struct xenbus *bus, bool again)
{
	struct card *c = of_bus(bus);
	int rc;

	/* What a stream had open died with us: the front end has to begin anew. */
	if (again)
		return -ESTALE;
	rc = add_streams(c);
	if (rc)
		drop_streams(c);
	else
		work_rings(c);
	return rc;
}

static void disconnect(struct xenbus *bus)
{
	drop_streams(of_bus(bus));
}

static void destroy(struct xenbus *bus)
{
	struct card *c = of_bus(bus);

	g_clear_handle_id(&c->going_out, g_source_remove);
	g_free(c);
}

static const struct xenbus_driver driver = {
	.back_kind = XENSND_DRIVER_NAME, .front_kind = XENSND_DRIVER_NAME, .reopens_from_closing = true,
	.offer = offer, .connect = connect, .disconnect = disconnect, .destroy = destroy,
};

struct card *card_new(struct xen *xen, uint32_t domid, uint32_t devid, const char *token, struct player *player)
{
	struct card *c = g_new0(struct card, 1);
	g_autofree char *allow = NULL;

	c->player = player;
	c->recording = -1;
	xenbus_init(&c->bus, xen, &driver, domid, devid, token);
	allow = g_build_path("/", c->bus.back, CARD_ALLOW, NULL);
	xen->ops->watch(xen, allow, token);
	return c;
}

void card_free(struct card *c, const char *token)
{
	g_autofree char *allow = g_build_path("/", c->bus.back, CARD_ALLOW, NULL);

	c->bus.xen->ops->unwatch(c->bus.xen, allow, token);
	drop_streams(c);
	publish(c, false);
	xenbus_destroy(&c->bus, token);
}

struct xenbus *card_bus(struct card *c)
{
	return &c->bus;
}

void card_update(struct card *c)
{
	read_policy(c);
	for (unsigned i = 0; i < c->streams; i++)
		stream_policy(c->stream[i]);
	xenbus_update(&c->bus);
	if (!c->bus.gone)
		look_for_recording(c);
}
