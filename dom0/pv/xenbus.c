// SPDX-License-Identifier: Apache-2.0
#include "xenbus.h"

#include "guest.h"

#include <errno.h>
#include <string.h>

/* A kernel that starts anew (kexec) goes through Closing at once; a driver that is unloaded stays there and waits. */
#define REOPEN_MS 200

char *xenbus_back_dir(struct xen *xen, const char *kind, uint32_t domid)
{
	uint32_t own = 0;

	/* Relative to this domain's own directory: the service domain need not be 0. */
	if (store_read_uint(xen, 0, "domid", "", UINT16_MAX, &own))
		own = 0;
	return g_strdup_printf("/local/domain/%u/backend/%s/%u", own, kind, domid);
}

static char *join(const char *dir, const char *name)
{
	return g_build_path("/", dir, name, NULL);
}

void xenbus_init(struct xenbus *bus, struct xen *xen, const struct xenbus_driver *driver, uint32_t domid, uint32_t devid,
		 const char *token)
{
	g_autofree char *dir = xenbus_back_dir(xen, driver->back_kind, domid);
	g_autofree char *front_state = NULL, *back_state = NULL, *online = NULL;

	bus->xen = xen;
	bus->driver = driver;
	bus->domid = domid;
	bus->devid = devid;
	bus->back = g_strdup_printf("%s/%u", dir, devid);
	bus->front = g_strdup_printf("/local/domain/%u/device/%s/%u", domid, driver->front_kind, devid);
	bus->state = XenbusStateUnknown;
	front_state = join(bus->front, "state");
	back_state = join(bus->back, "state");
	online = join(bus->back, "online");
	xen->ops->watch(xen, front_state, token);
	xen->ops->watch(xen, back_state, token);
	xen->ops->watch(xen, online, token);
}

void xenbus_destroy(struct xenbus *bus, const char *token)
{
	g_autofree char *front_state = join(bus->front, "state"), *back_state = join(bus->back, "state");
	g_autofree char *online = join(bus->back, "online");

	if (bus->reopen)
		g_source_remove(bus->reopen);
	if (bus->connected)
		bus->driver->disconnect(bus);
	bus->xen->ops->unwatch(bus->xen, front_state, token);
	bus->xen->ops->unwatch(bus->xen, back_state, token);
	bus->xen->ops->unwatch(bus->xen, online, token);
	g_free(bus->back);
	g_free(bus->front);
	if (bus->driver->destroy)
		bus->driver->destroy(bus);
}

static enum xenbus_state read_state(struct xenbus *bus, const char *dir)
{
	uint32_t state;

	return store_read_uint(bus->xen, 0, dir, "state", XenbusStateReconfigured, &state) ? XenbusStateUnknown : state;
}

static void switch_state(struct xenbus *bus, enum xenbus_state state)
{
	int rc;

	if (bus->state == state)
		return;
	bus->state = state;
	rc = store_write_uint(bus->xen, bus->back, "state", state);
	if (rc && rc != -ENOENT) /* libxl may have taken the device away */
		g_warning("%s/state: %s", bus->back, g_strerror(-rc));
}

static void disconnect(struct xenbus *bus)
{
	if (!bus->connected)
		return;
	bus->connected = false;
	bus->driver->disconnect(bus);
}

static void offer(struct xenbus *bus)
{
	if (bus->state != XenbusStateInitWait && bus->driver->offer(bus))
		switch_state(bus, XenbusStateInitWait);
}

void xenbus_restart(struct xenbus *bus)
{
	disconnect(bus);
	bus->closed_by_us = true;
	switch_state(bus, XenbusStateClosing);
	switch_state(bus, XenbusStateClosed);
}

static void connect(struct xenbus *bus, bool again)
{
	int rc = bus->driver->connect(bus, again);

	if (!rc) {
		bus->connected = true;
		switch_state(bus, XenbusStateConnected);
		return;
	}
	if (again)
		g_message("%s: the connection cannot be taken up again (%s); its front end starts over", bus->back,
			  g_strerror(-rc));
	else
		guest_mistake("%s: cannot be connected to: %s", bus->front, g_strerror(-rc));
	xenbus_restart(bus);
}

static gboolean reopen_now(gpointer data)
{
	struct xenbus *bus = data;

	bus->reopen = 0;
	if (bus->state == XenbusStateClosing && read_state(bus, bus->front) == XenbusStateClosing)
		offer(bus);
	return G_SOURCE_REMOVE;
}

/* The front end has published its rings. */
static void front_ready(struct xenbus *bus)
{
	if (bus->connected || bus->closed_by_us)
		return;
	/* It can be there before anything was offered: kbdfront doesn't wait. */
	offer(bus);
	if (bus->state == XenbusStateInitWait)
		connect(bus, false);
}

static void front_closing(struct xenbus *bus)
{
	disconnect(bus);
	if (bus->state == XenbusStateInitWait || bus->state == XenbusStateClosed)
		return;
	switch_state(bus, XenbusStateClosing);
	if (bus->driver->reopens_from_closing && !bus->reopen)
		bus->reopen = g_timeout_add(REOPEN_MS, reopen_now, bus);
}

static void front_closed(struct xenbus *bus)
{
	disconnect(bus);
	if (bus->state == XenbusStateInitWait)
		return;
	switch_state(bus, XenbusStateClosed);
	/* Its driver is still there, and kbdfront and fbfront come back from Closed when they see InitWait. */
	if (bus->closed_by_us) {
		bus->closed_by_us = false;
		offer(bus);
	}
}

/* The first look, when an earlier life may have left a connection behind. */
static bool take_up(struct xenbus *bus, enum xenbus_state own, enum xenbus_state front)
{
	bool running = front == XenbusStateInitialised || front == XenbusStateConnected;

	bus->state = own;
	if (own == XenbusStateConnected) {
		if (running)
			connect(bus, true);
		else
			bus->state = XenbusStateUnknown;
		return running;
	}
	if ((own == XenbusStateClosing || own == XenbusStateClosed) && running)
		bus->closed_by_us = true;
	/* What was offered is offered again, unless it was read already: it may have changed since. */
	if (own == XenbusStateInitWait && !running)
		bus->state = XenbusStateUnknown;
	return false;
}

static bool taken_away(struct xenbus *bus, enum xenbus_state own)
{
	uint32_t online = 1;
	int rc = store_read_uint(bus->xen, 0, bus->back, "online", 1, &online);

	if (own == XenbusStateUnknown && rc == -ENOENT)
		return true;
	/* libxl takes a device away by Closing from this side, with online 0. */
	return !rc && !online && (own == XenbusStateClosing || own == XenbusStateClosed);
}

void xenbus_update(struct xenbus *bus)
{
	enum xenbus_state own = read_state(bus, bus->back), front = read_state(bus, bus->front);

	if (bus->gone)
		return;
	if (taken_away(bus, own)) {
		disconnect(bus);
		bus->gone = true;
		bus->state = own;
		if (own != XenbusStateUnknown)
			switch_state(bus, XenbusStateClosed);
		return;
	}
	if (bus->state == XenbusStateUnknown && take_up(bus, own, front))
		return;
	switch (front) {
	case XenbusStateInitialising:
		disconnect(bus);
		bus->closed_by_us = false;
		offer(bus);
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		front_ready(bus);
		break;
	case XenbusStateClosing:
		front_closing(bus);
		break;
	case XenbusStateClosed:
		front_closed(bus);
		break;
	case XenbusStateReconfiguring: /* it waits for its own users to go away, then says Initialising */
	case XenbusStateUnknown:
		if (bus->connected)
			xenbus_restart(bus);
		bus->closed_by_us = false;
		break;
	default:
		break;
	}
}
