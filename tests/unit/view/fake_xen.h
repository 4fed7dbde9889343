/* SPDX-License-Identifier: Apache-2.0 */
/* Xen in one process: a guest's memory with its grants, event channels, and a xenstore, under dom0/pv's seam. */
#ifndef FAKE_XEN_H
#define FAKE_XEN_H

#include "xen.h"

#define FAKE_DOMID 7u
#define FAKE_BACK  "/local/domain/0/backend"
#define FAKE_FRONT "/local/domain/7/device"

struct fake;

/* pages: size of the guest's memory. Page 0 is never granted. The domain is in xenstore already. */
struct fake *fake_new(size_t pages);
/* Fails the test when the back end left anything mapped, bound or watched. */
void fake_free(struct fake *);
struct xen *fake_xen(struct fake *);

/* The guest's side. Pages are zero and follow one another. */
void *fake_alloc(struct fake *, size_t pages);
void fake_free_pages_from(struct fake *, void *page); /* gives everything from there on back */
uint32_t fake_grant(struct fake *, void *page);
uint64_t fake_gfn(struct fake *, void *page);
void fake_revoke(struct fake *, uint32_t ref);
uint32_t fake_port(struct fake *);
void fake_close_port(struct fake *, uint32_t port);
void fake_ring(struct fake *, uint32_t port);     /* the guest notifies */
unsigned fake_rung(struct fake *, uint32_t port); /* times the back end did, since the last call */

/* Anyone's side. printf-like path; value NULL removes the path and all below. */
void fake_write(struct fake *, const char *value, const char *path, ...) G_GNUC_PRINTF(3, 4);
const char *fake_read(struct fake *, const char *path, ...) G_GNUC_PRINTF(2, 3); /* NULL: not there */
unsigned fake_state(struct fake *, const char *dir, const char *kind); /* state of DIR/KIND/…/0 */
void fake_kill(struct fake *);                     /* the domain is gone */

/* As libxl leaves them; size as "1920x1080". */
void fake_add_display(struct fake *, unsigned connectors, const char *size);
void fake_add_keyboard(struct fake *, const char *back_kind);
void fake_add_framebuffer(struct fake *);

size_t fake_mapped(struct fake *); /* pages that the back end has mapped */
size_t fake_maps(struct fake *);   /* calls to map, ever */
size_t fake_bound(struct fake *);  /* event channels */

/* Hands watches and events from the main loop to a lone back end, as view.c does; each call replaces the one before. */
void fake_listen(struct fake *, void (*watch)(void *data), void (*event)(void *data, uint32_t port), void *data);

/* Runs the main loop until it is so; fails the test after ten seconds. */
#define fake_until(condition)                                                                                                  \
	do {                                                                                                                   \
		gint64 end_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;                                                    \
		while (!(condition)) {                                                                                         \
			if (g_get_monotonic_time() > end_)                                                                     \
				g_error("%s:%d: never so: %s", __FILE__, __LINE__, #condition);                                \
			fake_turn();                                                                                           \
		}                                                                                                              \
	} while (0)
/* One round of the main loop, waiting a millisecond at most. */
void fake_turn(void);
/* Rounds until nothing happens for that long. */
void fake_settle(unsigned ms);

#endif
