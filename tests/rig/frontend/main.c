// SPDX-License-Identifier: Apache-2.0
/*
 * frontend draw|flood|fb|keys: what a guest of the rig does to its screen (guest-init runs it). draw: a 1080p picture a flip,
 * all of it new each time. flood: fills the display's ring with flips and nonsense and rings the bells of display and keyboard,
 * as fast as it can, and never takes an answer. fb: a 1080p picture after the other into the stock frame buffer's memory.
 * keys: kms.c. The first two do without the stock drivers.
 */
#include "front.h"
#include "frontend.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WIDTH  1920u
#define HEIGHT 1080u
#define PAGES  4096u /* two pictures, their directories, rings */

/* Tells each second how many there were. */
static void tell(const char *what, unsigned long n)
{
	static time_t last;
	time_t now = time(NULL);

	if (now == last)
		return;
	last = now;
	printf("GUEST-%s %lu\n", what, n);
	fflush(stdout);
}

static void wait_back(struct fake *f, const char *kind, unsigned state)
{
	while (fake_state(f, FAKE_BACK, kind) != state)
		g_usleep(100000);
}

static void connect_screen(struct fake *f, struct front_display *d, struct front_keyboard *k, struct front_buffer buffer[2])
{
	wait_back(f, "vdispl", 2);
	front_display_connect(d, f, 1);
	/* The stock driver had it, and was told to leave it. */
	fake_write(f, "1", FAKE_FRONT "/vkbd/0/state");
	wait_back(f, "vinput", 2);
	front_keyboard_connect(k, f, "vinput", true, false);
	for (int i = 0; i < 2; i++)
		front_buffer_new(d, &buffer[i], (uint64_t)i + 1, WIDTH, HEIGHT);
	front_set_config(d, 0, &buffer[0]);
}

static void draw(struct front_display *d, struct front_keyboard *k, struct front_buffer buffer[2])
{
	for (unsigned n = 1;; n++) {
		union xenkbd_in_event event;

		memset(buffer[n % 2].pixels, (int)(n * 37 % 256), buffer[n % 2].size);
		front_flip(d, 0, buffer[n % 2].fb);
		while (front_display_events(d, 0), d->connector[0].flips < n)
			fake_turn();
		while (front_keyboard_take(k, &event))
			;
		tell("FRAMES", n);
	}
}

static void fb(void)
{
	size_t size = (size_t)WIDTH * HEIGHT * 4;
	int fd = open("/dev/fb0", O_RDWR);
	uint8_t *pixels = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (pixels == MAP_FAILED)
		g_error("/dev/fb0: %m");
	for (unsigned n = 1;; n++) {
		memset(pixels, (int)(n * 37 % 256), size);
		tell("FRAMES", n);
		g_usleep(16667);
	}
}

int main(int argc, char **argv)
{
	struct front_display display;
	struct front_keyboard keyboard;
	struct front_buffer buffer[2];
	struct fake *f;

	if (argc == 2 && !strcmp(argv[1], "fb"))
		fb();
	if (argc == 2 && !strcmp(argv[1], "keys"))
		kms_keys();
	f = fake_new(PAGES);
	connect_screen(f, &display, &keyboard, buffer);
	if (argc == 2 && !strcmp(argv[1], "draw"))
		draw(&display, &keyboard, buffer);
	for (unsigned long n = 0;; n += front_flood(&display, &keyboard, &buffer[0]))
		tell("FLOOD", n);
}
