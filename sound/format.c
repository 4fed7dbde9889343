// SPDX-License-Identifier: Apache-2.0
#include "format.h"

#include "guest.h"

#include <spa/param/audio/raw.h>
#include <xen/io/sndif.h>

/* 24 bits are in the low three of four bytes, as ALSA has them. */
static const struct format formats[] = {
	{XENSND_PCM_FORMAT_S8, 1, 0, SPA_AUDIO_FORMAT_S8},
	{XENSND_PCM_FORMAT_U8, 1, 0x80, SPA_AUDIO_FORMAT_U8},
	{XENSND_PCM_FORMAT_S16_LE, 2, 0, SPA_AUDIO_FORMAT_S16_LE},
	{XENSND_PCM_FORMAT_S16_BE, 2, 0, SPA_AUDIO_FORMAT_S16_BE},
	{XENSND_PCM_FORMAT_S24_LE, 4, 0, SPA_AUDIO_FORMAT_S24_32_LE},
	{XENSND_PCM_FORMAT_S24_BE, 4, 0, SPA_AUDIO_FORMAT_S24_32_BE},
	{XENSND_PCM_FORMAT_S32_LE, 4, 0, SPA_AUDIO_FORMAT_S32_LE},
	{XENSND_PCM_FORMAT_S32_BE, 4, 0, SPA_AUDIO_FORMAT_S32_BE},
	{XENSND_PCM_FORMAT_F32_LE, 4, 0, SPA_AUDIO_FORMAT_F32_LE},
	{XENSND_PCM_FORMAT_F32_BE, 4, 0, SPA_AUDIO_FORMAT_F32_BE},
	{XENSND_PCM_FORMAT_F64_LE, 8, 0, SPA_AUDIO_FORMAT_F64_LE},
	{XENSND_PCM_FORMAT_F64_BE, 8, 0, SPA_AUDIO_FORMAT_F64_BE},
};

const struct format *format_find(uint32_t sndif)
{
	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		if (formats[i].sndif == sndif)
			return &formats[i];
	return NULL;
}

uint64_t format_mask(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		mask |= 1ull << formats[i].sndif;
	return mask;
}

uint32_t format_least_bytes(uint64_t mask)
{
	uint32_t least = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		if ((mask & 1ull << formats[i].sndif) && (!least || formats[i].bytes < least))
			least = formats[i].bytes;
	return least;
}
