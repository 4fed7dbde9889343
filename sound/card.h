/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's sound card (xen/io/sndif.h): one vsnd device with its streams, and what the manager lets it do. */
#ifndef SOUND_CARD_H
#define SOUND_CARD_H

#include "player.h"
#include "xenbus.h"

#define CARD_MAX_DEVICES 4u /* PCM devices */
#define CARD_MAX_STREAMS 8u /* of all of them together */

/*
 * Between the manager and us, in the back end's directory, which no guest can write:
 * carrel-allow, the manager's: words of "play", "record" and "mute" (what it plays is not heard for now), with commas;
 * nothing is permitted while it is not there. carrel-recording, ours: 1 while the guest is given what a microphone hears, and
 * a second longer, else 0.
 */
#define CARD_ALLOW     "carrel-allow"
#define CARD_RECORDING "carrel-recording"

struct card;

/* Events of all ports are offered to card_event(); watches with `token` call for card_update(). */
struct card *card_new(struct xen *, uint32_t domid, uint32_t devid, const char *token, struct player *);
void card_free(struct card *, const char *token);
struct xenbus *card_bus(struct card *);
void card_update(struct card *);
/* An event on one of its ports; false: it isn't its. */
bool card_event(struct card *, uint32_t port);

#endif
