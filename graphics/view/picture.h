/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures in a guest's memory, brought into ours: what changed is found by comparing tiles, and only that is copied.
 * displif says nothing about damage, and guests that draw into the buffer on screen say nothing at all.
 */
#ifndef VIEW_PICTURE_H
#define VIEW_PICTURE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Of linux's drm_fourcc.h, which is the protocol's list. */
#define PICTURE_XRGB8888 0x34325258u
#define PICTURE_ARGB8888 0x34325241u
#define PICTURE_RGB565   0x36314752u

/* Pixels that a guest may write while they are read. */
struct picture {
	const uint8_t *pixels;
	uint32_t width, height, stride, format;
};

#define TILE_WIDTH  64u
#define TILE_HEIGHT 16u

/* One byte a tile: it differs. */
struct tiles {
	uint32_t columns, rows;
	uint8_t *dirty;
};

struct rect {
	int32_t x, y, width, height;
};

/* Bytes a pixel of a format that is known here, else 0. */
uint32_t picture_bytes(uint32_t format);

void tiles_init(struct tiles *, uint32_t width, uint32_t height);
void tiles_clear(struct tiles *);
void tiles_set(struct tiles *, bool dirty);
/* Marks what the rectangle touches; it may reach beyond the picture. */
void tiles_add(struct tiles *, const struct rect *);
void tiles_merge(struct tiles *into, const struct tiles *from);
bool tiles_any(const struct tiles *);

/* Marks tiles of `dirty` where the picture differs from `last` (XRGB8888 of the same size). */
void picture_compare(const struct picture *, const uint8_t *last, uint32_t stride, struct tiles *dirty);
/* Copies the marked tiles to `to`, as XRGB8888. */
void picture_copy(const struct picture *, uint8_t *to, uint32_t stride, const struct tiles *dirty);

/* The marked tiles as at most `max` rectangles within width x height; fewer and larger when they do not fit. */
unsigned tiles_rects(const struct tiles *, uint32_t width, uint32_t height, struct rect *rects, unsigned max);

#endif
