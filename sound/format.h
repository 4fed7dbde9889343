/* SPDX-License-Identifier: Apache-2.0 */
/* The sample formats that are served. */
#ifndef SOUND_FORMAT_H
#define SOUND_FORMAT_H

#include <stdint.h>

struct format {
	uint8_t sndif;   /* XENSND_PCM_FORMAT_ */
	uint8_t bytes;   /* a sample's */
	uint8_t silence; /* every byte of a silent sample */
	uint32_t spa;    /* enum spa_audio_format */
};

/* NULL: not served. */
const struct format *format_find(uint32_t sndif);
/* Bits 1 << XENSND_PCM_FORMAT_ of all of them. */
uint64_t format_mask(void);
/* The fewest bytes a sample of those in the mask has; 0: none is served. */
uint32_t format_least_bytes(uint64_t mask);

#endif
