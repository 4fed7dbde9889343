/* SPDX-License-Identifier: Apache-2.0 */
/* One guest's events and xenstore watches, from GLib's main loop to its back ends. */
#ifndef PV_LOOP_H
#define PV_LOOP_H

#include "xen.h"

struct pv_loop;

struct pv_listener {
	/* An event on a port that somebody bound. It is unmasked already: what comes while we work makes another event. */
	void (*event)(void *data, uint32_t port);
	/* A watch fired that somebody set, with this token; "release" is the loop's own. */
	void (*watch)(void *data, const char *token);
	/* There is nothing more to serve; problem is NULL when that is because the guest is gone. Called once. */
	void (*ended)(void *data, const char *problem);
};

struct pv_loop *pv_loop_new(struct xen *, uint32_t domid, const struct pv_listener *, void *data);
void pv_loop_free(struct pv_loop *);

#endif
