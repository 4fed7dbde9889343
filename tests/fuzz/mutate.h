/* SPDX-License-Identifier: Apache-2.0 */
/* For fuzzers of formats that random bytes never come near: a good text or file with pieces cut, doubled, overwritten. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include "input.h"
#include <glib.h>
#include <string.h>

/* data tells what to do to bytes: where, what, how much; words are what else may be put in. */
static inline void mutate(GByteArray *bytes, const uint8_t *data, size_t size, const char *const *words, gsize n)
{
	struct input in = {data, data + size};

	for (guint step = 0; step < 12 && in.p < in.end && bytes->len < 1 << 16; step++) {
		guint at = (guint)take(&in, 2) % (bytes->len + 1), what = (guint)take(&in, 1);
		guint length = (guint)take(&in, 1), rest = bytes->len - at;
		const char *word = n ? words[length % n] : "";
		guint8 raw[16];

		switch (what % 5) {
		case 0:
			g_byte_array_remove_range(bytes, at, MIN(length, rest));
			break;
		case 1: /* a word in place of what is there */
			memcpy(bytes->data + at, word, MIN(strlen(word), rest));
			break;
		case 2: /* a word between */
		case 3: { /* what is there once more, at the end */
			g_autofree guint8 *tail = g_memdup2(bytes->data + at, rest);

			if (what % 5 == 2) {
				g_byte_array_set_size(bytes, at);
				g_byte_array_append(bytes, (const guint8 *)word, (guint)strlen(word));
			}
			g_byte_array_append(bytes, tail, what % 5 == 2 ? rest : MIN(rest, length));
			break;
		}
		case 4:
			length %= sizeof(raw);
			for (guint i = 0; i < length; i++)
				raw[i] = (guint8)take(&in, 1);
			memcpy(bytes->data + at, raw, MIN(length, rest));
			break;
		}
	}
}

#endif
