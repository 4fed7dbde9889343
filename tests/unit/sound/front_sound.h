/* SPDX-License-Identifier: Apache-2.0 */
/* A front end as Linux's snd-xen-front is, with as much of ALSA as decides whether a position makes sense. */
#ifndef FRONT_SOUND_H
#define FRONT_SOUND_H

#include "fake_xen.h"
#include "guest.h"

#include <xen/io/sndif.h>

#define FRONT_STREAMS 2

struct front_stream {
	xen_sndif_front_ring_t ring;
	struct xensnd_event_page *events;
	uint32_t ring_ref, event_ref, ring_port, event_port;
	uint16_t id, event_id;
	bool connected; /* some program has it open */
	struct xensnd_resp last;
	/* The driver's sums. */
	uint32_t frame, size; /* bytes */
	uint64_t position, hw; /* frames: as told of last, and within the buffer */
	uint64_t out, period;
	unsigned elapsed;
	/* The buffer. */
	uint8_t *buffer;
	uint32_t directory;
};

struct front_card {
	struct fake *fake;
	struct front_stream stream[FRONT_STREAMS]; /* 0: playback, 1: capture */
};

/* As libxl leaves it: a card with a playback and a capture stream. */
void front_card_add(struct fake *);
/* Publishes rings and goes to Initialised. */
void front_card_publish(struct front_card *, struct fake *);
/* Waits for the back end, as the driver does, and says Connected. */
void front_card_connect(struct front_card *, struct fake *);
void front_sound_push(struct front_card *, unsigned stream, struct xensnd_req *);
/* Sends one and waits for its response. */
int front_sound_do(struct front_card *, unsigned stream, struct xensnd_req *);
/* Makes a buffer and opens the stream. */
int front_sound_open(struct front_card *, unsigned stream, uint8_t format, uint32_t channels, uint32_t rate, uint32_t frames,
		     uint32_t frame);
int front_sound_close(struct front_card *, unsigned stream);
int front_sound_trigger(struct front_card *, unsigned stream, uint8_t type);
/* WRITE or READ. */
int front_sound_move(struct front_card *, unsigned stream, uint32_t offset, uint32_t length);
/* Takes what events there are, as the driver's interrupt does. */
void front_sound_events(struct front_card *, unsigned stream);

#endif
