/* SPDX-License-Identifier: Apache-2.0 */
/* A player that is turned by hand. */
#ifndef FAKE_PLAYER_H
#define FAKE_PLAYER_H

#include "player.h"

#define FAKE_VOICES 16

struct fake_voice {
	struct voice base;
	struct voice_spec spec;
	const struct voice_owner *owner;
	void *data;
	bool open, running;
};

struct fake_player {
	struct player base;
	struct fake_voice voice[FAKE_VOICES];
	unsigned opened; /* ever */
};

void fake_player_init(struct fake_player *);
/* The voice that is open for it, NULL: none. */
struct fake_voice *fake_voice(struct fake_player *, bool record);
unsigned fake_voices(struct fake_player *); /* open now */

#endif
