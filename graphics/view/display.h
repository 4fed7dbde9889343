/* SPDX-License-Identifier: Apache-2.0 */
/* The PV display back end (xen/io/displif.h): buffers and requests of one vdispl device. */
#ifndef VIEW_DISPLAY_H
#define VIEW_DISPLAY_H

#include "guest.h"
#include "screen.h"
#include "xenbus.h"

/* What a next life of this process must know to go on with the same front end: all that a ring will not say twice. */
struct display_saved {
	uint32_t magic, size;
	char vm[64]; /* the domain's UUID: numbers are used again */
	struct saved_connector {
		uint32_t req_ref, req_port, evt_ref, evt_port;
		uint32_t answered; /* responses given */
		uint32_t events;   /* events given */
		uint32_t width, height;
		uint32_t x, y;
		uint64_t frame;   /* cookie of what is shown; 0: nothing */
		uint64_t flipped; /* cookie of a flip that awaits its event */
		uint8_t configured, flipping, pad[6];
	} connector[SCREENS];
	uint32_t connectors, version;
	struct saved_buffer {
		uint64_t cookie;
		uint32_t width, height, bpp, size, directory, offset, used, pad;
	} buffer[GUEST_MAX_BUFFERS];
	struct saved_frame {
		uint64_t cookie, buffer;
		uint32_t width, height, format, used;
	} frame[GUEST_MAX_FRAMES];
};

struct display;

/*
 * saved: where to keep what a next life needs, as an earlier one left it (anything may be in there), or NULL. It must stay
 * until display_free(). Events of all ports are offered to display_event().
 */
struct display *display_new(struct xen *, uint32_t domid, uint32_t devid, const char *token, const struct screen_ops *,
			    void *screen_data, struct display_saved *saved);
void display_free(struct display *, const char *token);
struct xenbus *display_bus(struct display *);
/* An event on one of its ports; false: it isn't its. */
bool display_event(struct display *, uint32_t port);
/* A picture shown with flip was seen. */
void display_flip_done(struct display *, unsigned screen);
/* The screens' sizes have changed: offered at once when no connector is in use (or `force`), else at the next connection. */
void display_resized(struct display *, bool force);
/* A connector is showing something. */
bool display_active(const struct display *);
/* Connectors that the toolstack gave it. */
unsigned display_connectors(const struct display *);

#endif
