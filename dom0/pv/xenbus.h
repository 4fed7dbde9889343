/* SPDX-License-Identifier: Apache-2.0 */
/* One back-end device and its way through the XenBus states (xen/io/xenbus.h), whatever protocol it speaks. */
#ifndef PV_XENBUS_H
#define PV_XENBUS_H

#include "xen.h"

#include <xen/io/xenbus.h>

struct xenbus;

struct xenbus_driver {
	const char *back_kind, *front_kind; /* "vinput" and "vkbd" for an input device */
	/* The front end waits in Closing for InitWait when its driver is unloaded, as vdispl's does. */
	bool reopens_from_closing;
	/* Writes what is offered, just before InitWait; false: not now, xenbus_update() will be called again. */
	bool (*offer)(struct xenbus *);
	/* Reads what the front end published and takes up its rings. again: an earlier life of this back end was connected to
	 * the same front end, which goes on as if nothing had happened. Cleans up after itself when it fails. */
	int (*connect)(struct xenbus *, bool again);
	/* Lets go of everything of the front end's. */
	void (*disconnect)(struct xenbus *);
	void (*destroy)(struct xenbus *);
};

struct xenbus {
	struct xen *xen;
	const struct xenbus_driver *driver;
	uint32_t domid, devid;
	char *back, *front; /* paths in xenstore */
	enum xenbus_state state;
	bool connected;
	bool closed_by_us; /* and the front end hasn't taken note yet */
	bool gone;         /* the toolstack took the device away */
	guint reopen;      /* timer: leave Closing for InitWait */
};

/* Sets up the watches, whose token is `token`; updates nothing yet. Owned by the caller; xenbus_destroy() undoes it. */
void xenbus_init(struct xenbus *, struct xen *, const struct xenbus_driver *, uint32_t domid, uint32_t devid, const char *token);
/* Looks at both ends' states and goes on from there. On every watch, and when offer() may now say yes. */
void xenbus_update(struct xenbus *);
/* Closes from this side: the front end is to start over. */
void xenbus_restart(struct xenbus *);
/* Frees all and leaves xenstore as it is, so that a next life can take up the connection. */
void xenbus_destroy(struct xenbus *, const char *token);

/* The back end's directory of a kind in this domain's part of xenstore. */
char *xenbus_back_dir(struct xen *, const char *kind, uint32_t domid);

#endif
