/* SPDX-License-Identifier: Apache-2.0 */
/* Front ends that do to a back end what the stock Linux drivers do, and what they never would. */
#ifndef FRONT_H
#define FRONT_H

#include "fake_xen.h"
#include "guest.h"

#include <xen/io/displif.h>
#include <xen/io/fbif.h>
#include <xen/io/kbdif.h>

#define FRONT_CONNECTORS 4

struct front_display {
	struct fake *fake;
	unsigned count;
	struct front_connector {
		xen_displif_front_ring_t ring;
		struct xendispl_event_page *events;
		uint32_t req_ref, evt_ref, req_port, evt_port;
		uint16_t id, event_id;
		unsigned flips;          /* events taken */
		uint64_t last_flip;
		struct xendispl_resp last;
	} connector[FRONT_CONNECTORS];
};

/* Publishes rings for the connectors that are configured and goes to Initialised. */
void front_display_publish(struct front_display *, struct fake *, unsigned connectors);
/* Waits for the back end to connect, as the driver does, and says Connected. */
void front_display_connect(struct front_display *, struct fake *, unsigned connectors);
/* Puts a request on the ring, without a word. Its id is filled in. */
void front_display_push(struct front_display *, unsigned connector, struct xendispl_req *);
/* Sends one and waits for its response. */
int front_display_do(struct front_display *, unsigned connector, struct xendispl_req *);
/* Takes what events there are. */
void front_display_events(struct front_display *, unsigned connector);

struct front_buffer {
	uint64_t cookie, fb;
	uint32_t directory, width, height;
	uint8_t *pixels;
	size_t size;
};

/* A buffer of whole pages with its directory, not yet told of. */
void front_buffer_alloc(struct fake *, struct front_buffer *, uint64_t cookie, uint32_t width, uint32_t height, uint32_t bpp);
int front_buffer_create(struct front_display *, const struct front_buffer *, uint32_t bpp);
int front_buffer_attach(struct front_display *, const struct front_buffer *, uint32_t format);
int front_buffer_destroy(struct front_display *, const struct front_buffer *);
int front_fb_detach(struct front_display *, uint64_t fb);
int front_set_config(struct front_display *, unsigned connector, const struct front_buffer *);
int front_flip(struct front_display *, unsigned connector, uint64_t fb);
/* All four: alloc, create, attach as XRGB8888. */
void front_buffer_new(struct front_display *, struct front_buffer *, uint64_t cookie, uint32_t width, uint32_t height);

struct front_keyboard {
	struct fake *fake;
	struct xenkbd_page *page;
	uint32_t port, ref;
};

void front_keyboard_connect(struct front_keyboard *, struct fake *, const char *back_kind, bool absolute, bool touch);
/* Takes the next event; false: there is none. Tells the back end, as the driver does. */
bool front_keyboard_take(struct front_keyboard *, union xenkbd_in_event *);

/* Whether a chord begins with such a key: it is pressed before anyone knows that it is one. */
bool front_is_modifier(uint32_t code);
/* Fills the display's ring with flips from the buffer's on and with nonsense, takes no answer, and rings both bells. How many. */
unsigned front_flood(struct front_display *, struct front_keyboard *, const struct front_buffer *);

struct front_framebuffer {
	struct fake *fake;
	struct xenfb_page *page;
	uint8_t *pixels;
	uint32_t port;
};

/* Fills its page and directory; publish() makes them known. */
void front_framebuffer_alloc(struct front_framebuffer *, struct fake *, uint32_t width, uint32_t height, uint32_t depth);
void front_framebuffer_publish(struct front_framebuffer *);
void front_framebuffer_update(struct front_framebuffer *, int32_t x, int32_t y, int32_t width, int32_t height);

#endif
