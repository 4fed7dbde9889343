/* SPDX-License-Identifier: Apache-2.0 */
/* One stream of a guest's sound card (xen/io/sndif.h): its rings, its requests, its buffer. */
#ifndef SOUND_STREAM_H
#define SOUND_STREAM_H

#include "guest.h"
#include "player.h"
#include "xen.h"

#include <xen/io/sndif.h>

/* Bounds on what a guest may ask for. */
#define STREAM_MAX_BUFFER   (1u << 20) /* bytes */
#define STREAM_MAX_CHANNELS 8u
#define STREAM_MIN_RATE     8000u
#define STREAM_MAX_RATE     192000u
/* Fewer frames at a time keep the machine busy for nothing. */
#define STREAM_MIN_PERIOD 128u
#define STREAM_MIN_BUFFER 1024u

struct stream;

struct stream_owner {
	/* Whether it may be heard, or hear, now: asked when it is opened and after stream_policy(). */
	bool (*permitted)(void *data, bool record);
	/* The same, for a while: not an error then, but nobody hears it. */
	bool (*muted)(void *data, bool record);
	/* It began or ceased to record. */
	void (*changed)(void *data);
};

/* What the front end published. */
struct stream_transport {
	uint32_t ring_ref, ring_port, event_ref, event_port;
	bool record;
};

/* Maps and binds; NULL with errno. Requests wait for stream_work(). */
struct stream *stream_new(struct xen *, uint32_t domid, struct player *, const struct stream_transport *,
			  const struct stream_owner *, void *data);
/* Lets go of everything, whatever it was doing. */
void stream_free(struct stream *);
bool stream_has_port(const struct stream *, uint32_t port);
/* Takes requests until there are none or *work is used up; false: there are more. */
bool stream_work(struct stream *, int *work);
/* Permission may have changed: what plays or records goes on in silence without it. */
void stream_policy(struct stream *);
/* It is given what a microphone hears. */
bool stream_recording(const struct stream *);

#endif
