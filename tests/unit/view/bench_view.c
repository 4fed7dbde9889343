// SPDX-License-Identifier: Apache-2.0
/*
 * What a frame costs: a guest's rings in this process, the view, and wlroots headless. CPU time is of the view's own work:
 * the compositor's turns and the guest's drawing are taken off. Lines "BENCH what value unit".
 */
#include "compositor.h"
#include "front.h"
#include "view.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WIDTH  1920u
#define HEIGHT 1080u
#define FRAMES 120u

struct bench {
	struct fake *fake;
	struct compositor *compositor;
	struct view *view;
	struct display_saved saved;
	struct front_display front;
	struct front_keyboard keyboard;
	struct front_buffer buffer[2];
	double view_seconds;
};

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One turn of each; the view's is timed. */
static void turn(struct bench *b)
{
	double before;

	compositor_turn(b->compositor);
	before = cpu_seconds();
	/* Turns in which it had nothing to do are this loop's own waste: a view would sleep. */
	if (g_main_context_iteration(NULL, FALSE))
		b->view_seconds += cpu_seconds() - before;
}

static void on_ended(void *data G_GNUC_UNUSED, const char *problem)
{
	g_error("ended: %s", problem ? problem : "no problem");
}

#define until(condition)                                                                                                       \
	do {                                                                                                                   \
		turn(b);                                                                                                       \
	} while (!(condition))

static void start(struct bench *b)
{
	struct view_options options = {.domid = FAKE_DOMID, .title = "bench", .app_id = "bench", .saved = &b->saved};

	b->fake = fake_new(8000);
	b->compositor = compositor_new(WIDTH, HEIGHT);
	fake_add_display(b->fake, 1, "1920x1080");
	fake_add_keyboard(b->fake, "vinput");
	b->view = view_new(fake_xen(b->fake), compositor_connect(b->compositor), &options, on_ended, b);
	until(fake_state(b->fake, FAKE_BACK, "vdispl") == 2);
	front_display_connect(&b->front, b->fake, 1);
	front_keyboard_connect(&b->keyboard, b->fake, "vinput", true, false);
	for (int i = 0; i < 2; i++)
		front_buffer_new(&b->front, &b->buffer[i], (uint64_t)i + 1, WIDTH, HEIGHT);
	front_set_config(&b->front, 0, &b->buffer[0]);
}

static void push_flip(struct bench *b, uint64_t fb)
{
	struct xendispl_req req = {.operation = XENDISPL_OP_PG_FLIP, .op.pg_flip.fb_cookie = fb};
	struct front_connector *c = &b->front.connector[0];

	c->ring.rsp_cons = guest_read(c->ring.sring->rsp_prod);
	c->ring.sring->rsp_event = c->ring.rsp_cons + 1;
	front_display_push(&b->front, 0, &req);
}

/* Draws `rows` rows of a picture that is otherwise the same in both buffers. */
static void flips(struct bench *b, const char *what, uint32_t rows)
{
	struct front_connector *c = &b->front.connector[0];
	double view = 0;

	for (unsigned i = 0; i < FRAMES; i++) {
		struct front_buffer *next = &b->buffer[1 - i % 2];
		unsigned before = c->flips;

		if (rows == HEIGHT)
			memset(next->pixels, (int)(i * 37 % 256), next->size);
		else
			for (int n = 0; n < 2; n++)
				for (uint32_t y = 500; y < 500 + rows; y++)
					memset(b->buffer[n].pixels + (size_t)y * WIDTH * 4 + 4000, (int)(i * 37 % 256), 256);
		b->view_seconds = 0;
		push_flip(b, next->fb);
		until((front_display_events(&b->front, 0), c->flips > before));
		view += b->view_seconds;
	}
	printf("BENCH %s %.3f ms\n", what, view / FRAMES * 1000);
}

/* The same without the loop around it: what comparing and copying take of it. */
static void copies(struct bench *b)
{
	g_autofree uint8_t *last = g_malloc0(b->buffer[0].size);
	struct picture p = {b->buffer[0].pixels, WIDTH, HEIGHT, WIDTH * 4, PICTURE_XRGB8888};
	struct tiles t;
	double compare = 0, copy = 0, before;

	tiles_init(&t, WIDTH, HEIGHT);
	for (int i = 0; i < 50; i++) {
		tiles_set(&t, true);
		before = cpu_seconds();
		picture_copy(&p, last, WIDTH * 4, &t);
		copy += cpu_seconds() - before;
		tiles_set(&t, false);
		before = cpu_seconds();
		picture_compare(&p, last, WIDTH * 4, &t);
		compare += cpu_seconds() - before;
		g_assert(!tiles_any(&t));
	}
	tiles_clear(&t);
	printf("BENCH view-copy-1080p %.3f ms\nBENCH view-compare-1080p-unchanged %.3f ms\n", copy * 20, compare * 20);
}

static void keys(struct bench *b)
{
	double total = 0;

	for (unsigned i = 0; i < 200; i++) {
		union xenkbd_in_event e;
		gint64 since;

		if (!i)
			compositor_focus(b->compositor, true);
		compositor_key(b->compositor, KEY_A, i % 2 == 0);
		since = g_get_monotonic_time();
		until(front_keyboard_take(&b->keyboard, &e));
		total += (double)(g_get_monotonic_time() - since);
	}
	printf("BENCH view-key-to-guest %.1f us\n", total / 200);
}

static unsigned wakeups; /* a poll function has no data */

static gint count_poll(GPollFD *fds, guint count, gint timeout)
{
	wakeups++;
	return g_poll(fds, count, timeout);
}

static gboolean end_wait(gpointer data)
{
	*(bool *)data = true;
	return G_SOURCE_REMOVE;
}

/* A guest that flips and has nothing to show any more. */
static void idle(struct bench *b)
{
	GMainContext *context = g_main_context_default();
	bool over = false;

	for (gint64 settle = g_get_monotonic_time() + 3 * G_USEC_PER_SEC; g_get_monotonic_time() < settle;)
		turn(b);
	g_main_context_set_poll_func(context, count_poll);
	wakeups = 0;
	g_timeout_add(2000, end_wait, &over);
	while (!over)
		g_main_context_iteration(context, TRUE);
	g_main_context_set_poll_func(context, NULL);
	printf("BENCH view-idle-wakeups %.1f /s\n", (wakeups - 1) / 2.0);
}

int main(void)
{
	struct bench bench = {0}, *b = &bench;

	start(b);
	flips(b, "view-frame-1080p-full", HEIGHT);
	flips(b, "view-frame-1080p-small", 16);
	flips(b, "view-frame-1080p-none", 0);
	copies(b);
	keys(b);
	idle(b);
	view_free(b->view);
	compositor_free(b->compositor);
	fake_free(b->fake);
	return 0;
}
