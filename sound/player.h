/* SPDX-License-Identifier: Apache-2.0 */
/* The seam to what plays and records: pipewire.c is the real one; the tests have one that they turn by hand. */
#ifndef SOUND_PLAYER_H
#define SOUND_PLAYER_H

#include "format.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct player;
struct voice;

struct voice_spec {
	const struct format *format;
	uint32_t rate, channels;
	uint32_t latency; /* frames that had best be asked for at a time, at most */
	bool record;
	/* Nobody hears it, and it hears nobody: time goes on, that's all. */
	bool silent;
};

/* Called in the main thread, between start and stop only. */
struct voice_owner {
	/* Puts the next frames there; NULL: they go nowhere. */
	void (*play)(void *data, void *to, uint32_t frames);
	/* Takes frames; NULL: silence. */
	void (*record)(void *data, const void *from, uint32_t frames);
};

struct player_ops {
	/* Stopped at first. Never fails: a voice that cannot be heard (no sound server, no device) still keeps time. */
	struct voice *(*open)(struct player *, const struct voice_spec *, const struct voice_owner *, void *data);
	void (*start)(struct voice *);
	void (*stop)(struct voice *);
	void (*close)(struct voice *);
	void (*free)(struct player *);
};

struct player {
	const struct player_ops *ops;
};

struct voice {
	struct player *player;
};

/* PipeWire, at the place that its environment names. name: the VM's, of which its nodes get theirs; title: for people. */
struct player *player_pipewire_new(const char *name, const char *title);
/* The system calls that it needs in a sandbox, for sandbox_enter(). */
extern const int player_pipewire_calls[];

#endif
