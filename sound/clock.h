/* SPDX-License-Identifier: Apache-2.0 */
/* Time for a voice that no device drives: a guest whose sound card stood still would wait for ever. */
#ifndef SOUND_CLOCK_H
#define SOUND_CLOCK_H

#include <glib.h>
#include <stdint.h>

struct clock {
	uint32_t rate;
	guint timer;
	gint64 began;    /* µs */
	uint64_t frames; /* told of since then */
};

/* Calls tick with the frames that have gone by, about once a period. Nothing happens to one that runs. */
void clock_start(struct clock *, uint32_t rate, uint32_t period_frames, void (*tick)(void *data, uint32_t frames), void *data);
void clock_stop(struct clock *);

#endif
