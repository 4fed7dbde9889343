// SPDX-License-Identifier: Apache-2.0
#include "picture.h"

#include <string.h>

uint32_t picture_bytes(uint32_t format)
{
	switch (format) {
	case PICTURE_XRGB8888:
	case PICTURE_ARGB8888:
		return 4;
	case PICTURE_RGB565:
		return 2;
	default:
		return 0;
	}
}

void tiles_init(struct tiles *tiles, uint32_t width, uint32_t height)
{
	tiles->columns = (width + TILE_WIDTH - 1) / TILE_WIDTH;
	tiles->rows = (height + TILE_HEIGHT - 1) / TILE_HEIGHT;
	tiles->dirty = g_malloc0((size_t)tiles->columns * tiles->rows);
}

void tiles_clear(struct tiles *tiles)
{
	g_clear_pointer(&tiles->dirty, g_free);
	tiles->columns = tiles->rows = 0;
}

void tiles_set(struct tiles *tiles, bool dirty)
{
	if (tiles->dirty)
		memset(tiles->dirty, dirty, (size_t)tiles->columns * tiles->rows);
}

void tiles_add(struct tiles *tiles, const struct rect *r)
{
	int64_t x1 = MAX(r->x, 0), y1 = MAX(r->y, 0);
	int64_t x2 = MIN((int64_t)r->x + r->width, (int64_t)tiles->columns * TILE_WIDTH);
	int64_t y2 = MIN((int64_t)r->y + r->height, (int64_t)tiles->rows * TILE_HEIGHT);

	if (x1 >= x2 || y1 >= y2)
		return;
	for (int64_t row = y1 / TILE_HEIGHT; row <= (y2 - 1) / TILE_HEIGHT; row++)
		memset(tiles->dirty + row * tiles->columns + x1 / TILE_WIDTH, 1,
		       (size_t)((x2 - 1) / TILE_WIDTH - x1 / TILE_WIDTH + 1));
}

void tiles_merge(struct tiles *into, const struct tiles *from)
{
	size_t count = (size_t)into->columns * into->rows;

	for (size_t i = 0; i < count; i++)
		into->dirty[i] |= from->dirty[i];
}

bool tiles_any(const struct tiles *tiles)
{
	return tiles->dirty && memchr(tiles->dirty, 1, (size_t)tiles->columns * tiles->rows);
}

/* One row of a tile as XRGB8888. */
static void expand565(const uint8_t *from, uint32_t *to, uint32_t pixels)
{
	for (uint32_t i = 0; i < pixels; i++) {
		uint32_t v = (uint32_t)(from[2 * i] | from[2 * i + 1] << 8);
		uint32_t r = v >> 11, g = v >> 5 & 63, b = v & 31;

		to[i] = 0xff000000u | (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
	}
}

static bool row_differs(const struct picture *p, uint32_t x, uint32_t y, uint32_t pixels, const uint8_t *last)
{
	uint32_t row[TILE_WIDTH];

	if (p->format != PICTURE_RGB565)
		return memcmp(p->pixels + (size_t)y * p->stride + 4ul * x, last, 4ul * pixels) != 0;
	expand565(p->pixels + (size_t)y * p->stride + 2ul * x, row, pixels);
	return memcmp(row, last, 4ul * pixels) != 0;
}

static bool tile_differs(const struct picture *p, uint32_t x, uint32_t y, const uint8_t *last, uint32_t stride)
{
	uint32_t pixels = MIN(TILE_WIDTH, p->width - x), end = MIN(y + TILE_HEIGHT, p->height);

	for (; y < end; y++)
		if (row_differs(p, x, y, pixels, last + (size_t)y * stride + 4ul * x))
			return true;
	return false;
}

void picture_compare(const struct picture *p, const uint8_t *last, uint32_t stride, struct tiles *dirty)
{
	uint8_t *tile = dirty->dirty;

	for (uint32_t y = 0; y < p->height; y += TILE_HEIGHT)
		for (uint32_t x = 0; x < p->width; x += TILE_WIDTH, tile++)
			if (!*tile && tile_differs(p, x, y, last, stride))
				*tile = 1;
}

/* Runs of marked tiles are copied a row at a time: long copies are what memory is good at. */
static void copy_run(const struct picture *p, uint32_t x, uint32_t y, uint32_t pixels, uint8_t *to, uint32_t stride)
{
	uint32_t end = MIN(y + TILE_HEIGHT, p->height), bytes = picture_bytes(p->format);

	for (; y < end; y++) {
		const uint8_t *from = p->pixels + (size_t)y * p->stride + (size_t)bytes * x;
		uint8_t *row = to + (size_t)y * stride + 4ul * x;

		if (bytes == 2)
			expand565(from, (uint32_t *)(void *)row, pixels);
		else
			memcpy(row, from, 4ul * pixels);
	}
}

void picture_copy(const struct picture *p, uint8_t *to, uint32_t stride, const struct tiles *dirty)
{
	for (uint32_t row = 0; row < dirty->rows; row++) {
		const uint8_t *tile = dirty->dirty + (size_t)row * dirty->columns;

		for (uint32_t first = 0, last; first < dirty->columns; first = last + 1) {
			for (last = first; last < dirty->columns && tile[last]; last++)
				;
			if (last > first)
				copy_run(p, first * TILE_WIDTH, row * TILE_HEIGHT,
					 MIN(last * TILE_WIDTH, p->width) - first * TILE_WIDTH, to, stride);
		}
	}
}

/* Adds a run to the rectangle that ends right above it, or as a new one; false when there is no room. */
static bool add_run(struct rect *rects, unsigned *count, unsigned max, const struct rect *run)
{
	for (unsigned i = *count; i-- > 0;) {
		struct rect *r = &rects[i];

		if (r->x == run->x && r->width == run->width && r->y + r->height == run->y) {
			r->height += run->height;
			return true;
		}
	}
	if (*count == max)
		return false;
	rects[(*count)++] = *run;
	return true;
}

static struct rect bounds(const struct tiles *tiles, uint32_t width, uint32_t height)
{
	uint32_t x1 = tiles->columns, y1 = tiles->rows, x2 = 0, y2 = 0;

	for (uint32_t y = 0; y < tiles->rows; y++)
		for (uint32_t x = 0; x < tiles->columns; x++)
			if (tiles->dirty[(size_t)y * tiles->columns + x]) {
				x1 = MIN(x1, x);
				x2 = MAX(x2, x + 1);
				y1 = MIN(y1, y);
				y2 = MAX(y2, y + 1);
			}
	return (struct rect){(int32_t)(x1 * TILE_WIDTH), (int32_t)(y1 * TILE_HEIGHT),
			     (int32_t)(MIN(x2 * TILE_WIDTH, width) - x1 * TILE_WIDTH),
			     (int32_t)(MIN(y2 * TILE_HEIGHT, height) - y1 * TILE_HEIGHT)};
}

unsigned tiles_rects(const struct tiles *tiles, uint32_t width, uint32_t height, struct rect *rects, unsigned max)
{
	unsigned count = 0;

	if (!tiles_any(tiles))
		return 0;
	for (uint32_t row = 0; row < tiles->rows; row++) {
		const uint8_t *tile = tiles->dirty + (size_t)row * tiles->columns;

		for (uint32_t first = 0, last; first < tiles->columns; first = last + 1) {
			struct rect run = {(int32_t)(first * TILE_WIDTH), (int32_t)(row * TILE_HEIGHT), 0,
					   (int32_t)MIN(TILE_HEIGHT, height - row * TILE_HEIGHT)};

			for (last = first; last < tiles->columns && tile[last]; last++)
				;
			if (last == first)
				continue;
			run.width = (int32_t)MIN(last * TILE_WIDTH, width) - run.x;
			if (!add_run(rects, &count, max, &run)) {
				rects[0] = bounds(tiles, width, height);
				return 1;
			}
		}
	}
	return count;
}
