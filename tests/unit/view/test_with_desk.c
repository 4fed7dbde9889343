// SPDX-License-Identifier: Apache-2.0
/* Two guests on their rings, their views, and the real compositor: what the person sees, and where keys go. */
#include "lab.h"

#define OUT "HEADLESS-1"

static Lab *two_guests(const char *manner)
{
	Lab *lab;

	g_setenv("FAKE_VM", manner, TRUE);
	lab = lab_new(NULL);
	lab_vm(lab, "work", "Work", WORK_FRAME, 1);
	lab_vm(lab, "personal", "Personal", PERSONAL_FRAME, 2);
	return lab;
}

static void switching(void)
{
	Lab *lab = two_guests("still");

	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 200, 600, WORK);
	lab_wait_pixel(lab, OUT, 640, 360, 0x808080);
	lab_tap(lab, KEY_A);
	lab_wait_pixel(lab, OUT, 640, 360, 0xc00000 | KEY_A << 8);
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 200, 600, PERSONAL);
	lab_wait_pixel(lab, OUT, 640, 360, 0x808080); /* the key was Work's */
	lab_tap(lab, KEY_S);
	lab_wait_pixel(lab, OUT, 640, 360, 0xc00000 | KEY_S << 8);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 200, 600, WORK);
	g_assert_cmphex(lab_pixel(lab, OUT, 640, 360), ==, 0xc00000 | KEY_A << 8); /* neither the chord's nor Personal's */
	lab_free(lab);
}

static void to_and_fro(void)
{
	Lab *lab = two_guests("animate");

	for (int i = 0; i < 25; i++) {
		lab_chord(lab, KEY_1);
		lab_wait_pixel(lab, OUT, 200, 600, WORK);
		lab_chord(lab, KEY_2);
		lab_wait_pixel(lab, OUT, 200, 600, PERSONAL);
	}
	lab_free(lab);
}

static void flooding_guests(void)
{
	Lab *lab = two_guests("flood");
	gint64 slowest = 0;

	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 200, 600, WORK);
	for (int i = 0; i < 10; i++) {
		gint64 took = i % 2 ? lab_timed_chord(lab, KEY_1, OUT, 200, 600, WORK) :
				      lab_timed_chord(lab, KEY_2, OUT, 200, 600, PERSONAL);

		slowest = MAX(slowest, took);
	}
	g_test_message("slowest switch %.1f ms", (double)slowest / 1000);
	g_assert_cmpint(slowest, <, 10000000);
	lab_free(lab);
}

/* How many colours there are along the middle of the screen: one of nothing, two of the guest's, many of letters. */
static guint colours(Lab *lab)
{
	g_autoptr(GHashTable) found = g_hash_table_new(NULL, NULL);

	for (int y = 330; y < 390; y += 6)
		for (int x = 500; x < 780; x += 3)
			g_hash_table_add(found, GUINT_TO_POINTER(lab_pixel(lab, OUT, x, y)));
	return g_hash_table_size(found);
}

static void guest_that_starts(void)
{
	Lab *lab = two_guests("late");

	lab_wait_view(lab, "work", "live");
	lab_chord(lab, KEY_1);
	lab_wait_shown(lab, "work");
	for (int i = 0; i < 200 && colours(lab) < 6; i++)
		lab_run(lab, 50);
	g_assert_cmpuint(colours(lab), >=, 6); /* it says so */
	lab_tap(lab, KEY_A);
	lab_wait_pixel(lab, OUT, 640, 360, 0xc00000 | KEY_A << 8);
	lab_run(lab, 300);
	g_assert_cmpuint(colours(lab), <=, 2);
	lab_free(lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/with-desk/switching", switching);
	g_test_add_func("/view/with-desk/guest-that-starts", guest_that_starts);
	g_test_add_func("/view/with-desk/to-and-fro", to_and_fro);
	g_test_add_func("/view/with-desk/flooding-guests", flooding_guests);
	return g_test_run();
}
