// SPDX-License-Identifier: Apache-2.0
/* Tiles: what changed is found and copied, nothing beyond the picture is touched. */
#include "picture.h"

#include <string.h>

static void test_compare_copy(void)
{
	static const uint32_t sizes[][2] = {{1, 1}, {64, 16}, {65, 17}, {63, 15}, {640, 480}, {1366, 768}, {7, 300}};
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
		uint32_t w = sizes[s][0], h = sizes[s][1];
		g_autofree uint8_t *from = g_malloc(4ul * w * h), *to = g_malloc0(4ul * w * h);
		struct picture p = {from, w, h, 4 * w, PICTURE_XRGB8888};
		struct tiles dirty;

		for (size_t i = 0; i < 4ul * w * h; i++)
			from[i] = (uint8_t)g_rand_int(random);
		tiles_init(&dirty, w, h);
		picture_compare(&p, to, 4 * w, &dirty);
		picture_copy(&p, to, 4 * w, &dirty);
		g_assert_cmpmem(from, 4ul * w * h, to, 4ul * w * h);
		tiles_set(&dirty, false);
		picture_compare(&p, to, 4 * w, &dirty);
		g_assert_false(tiles_any(&dirty));
		for (unsigned i = 0; i < 20; i++) {
			uint32_t x = (uint32_t)g_rand_int_range(random, 0, (gint)w), y = (uint32_t)g_rand_int_range(random, 0, (gint)h);
			struct rect r[8];

			from[4ul * (y * w + x)] ^= 1;
			picture_compare(&p, to, 4 * w, &dirty);
			g_assert_cmpuint(tiles_rects(&dirty, w, h, r, 8), ==, 1);
			g_assert_true(r[0].x <= (int32_t)x && (int32_t)x < r[0].x + r[0].width && r[0].x + r[0].width <= (int32_t)w);
			g_assert_true(r[0].y <= (int32_t)y && (int32_t)y < r[0].y + r[0].height && r[0].y + r[0].height <= (int32_t)h);
			g_assert_cmpint(r[0].width, <=, TILE_WIDTH);
			picture_copy(&p, to, 4 * w, &dirty);
			tiles_set(&dirty, false);
			g_assert_cmpmem(from, 4ul * w * h, to, 4ul * w * h);
		}
		tiles_clear(&dirty);
	}
}

static void test_rgb565(void)
{
	uint16_t from[70 * 2] = {0xf800, 0x07e0, 0x001f, 0xffff, 0x0000};
	uint32_t to[70 * 2] = {0};
	struct picture p = {(const uint8_t *)from, 70, 2, 140, PICTURE_RGB565};
	struct tiles dirty;

	tiles_init(&dirty, 70, 2);
	tiles_set(&dirty, true);
	picture_copy(&p, (uint8_t *)to, 280, &dirty);
	g_assert_cmphex(to[0], ==, 0xffff0000);
	g_assert_cmphex(to[1], ==, 0xff00ff00);
	g_assert_cmphex(to[2], ==, 0xff0000ff);
	g_assert_cmphex(to[3], ==, 0xffffffff);
	g_assert_cmphex(to[139], ==, 0xff000000);
	tiles_set(&dirty, false);
	picture_compare(&p, (const uint8_t *)to, 280, &dirty);
	g_assert_false(tiles_any(&dirty));
	from[139] = 1;
	picture_compare(&p, (const uint8_t *)to, 280, &dirty);
	g_assert_true(dirty.dirty[1] && !dirty.dirty[0]);
	tiles_clear(&dirty);
}

/* Every marked tile is in a rectangle, however few may be had. */
static void test_rects(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(2);

	for (int round = 0; round < 2000; round++) {
		uint32_t w = (uint32_t)g_rand_int_range(random, 1, 700), h = (uint32_t)g_rand_int_range(random, 1, 400);
		unsigned max = (unsigned)g_rand_int_range(random, 1, 33), count;
		struct rect r[33];
		struct tiles t;

		tiles_init(&t, w, h);
		for (int i = g_rand_int_range(random, 0, 30); i > 0; i--)
			tiles_add(&t, &(struct rect){g_rand_int_range(random, -100, 800), g_rand_int_range(random, -100, 500),
						     g_rand_int_range(random, -5, 200), g_rand_int_range(random, -5, 100)});
		count = tiles_rects(&t, w, h, r, max);
		g_assert_cmpuint(count, <=, max);
		g_assert_cmpint(count > 0, ==, tiles_any(&t));
		for (uint32_t y = 0; y < t.rows; y++)
			for (uint32_t x = 0; x < t.columns; x++) {
				int32_t px = (int32_t)(x * TILE_WIDTH), py = (int32_t)(y * TILE_HEIGHT);
				bool inside = false;

				for (unsigned i = 0; i < count; i++)
					inside |= px >= r[i].x && px < r[i].x + r[i].width && py >= r[i].y && py < r[i].y + r[i].height;
				g_assert_true(inside || !t.dirty[y * t.columns + x]);
			}
		for (unsigned i = 0; i < count; i++)
			g_assert_true(r[i].width > 0 && r[i].height > 0 && r[i].x + r[i].width <= (int32_t)w &&
				      r[i].y + r[i].height <= (int32_t)h);
		tiles_clear(&t);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/picture/compare_copy", test_compare_copy);
	g_test_add_func("/view/picture/rgb565", test_rgb565);
	g_test_add_func("/view/picture/rects", test_rects);
	return g_test_run();
}
