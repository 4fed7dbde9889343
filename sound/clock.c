// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

/* A process that was stopped does not make up for all of it. */
#define MOST_SECONDS 1
#define LEAST_MS     5u
#define MOST_MS      100u

struct tick {
	struct clock *clock;
	void (*call)(void *data, uint32_t frames);
	void *data;
};

static gboolean on_timer(gpointer data)
{
	struct tick *t = data;
	struct clock *c = t->clock;
	guint64 due = (guint64)(g_get_monotonic_time() - c->began) * c->rate / G_USEC_PER_SEC, frames = due - c->frames;

	c->frames = due;
	if (frames)
		t->call(t->data, (uint32_t)MIN(frames, (guint64)c->rate * MOST_SECONDS));
	return G_SOURCE_CONTINUE;
}

void clock_start(struct clock *c, uint32_t rate, uint32_t period_frames, void (*tick)(void *data, uint32_t frames), void *data)
{
	struct tick *t;

	if (c->timer)
		return;
	t = g_new(struct tick, 1);
	*t = (struct tick){c, tick, data};
	c->rate = rate;
	c->frames = 0;
	c->began = g_get_monotonic_time();
	c->timer = g_timeout_add_full(G_PRIORITY_DEFAULT, (guint)CLAMP((guint64)period_frames * 1000 / rate, LEAST_MS, MOST_MS), on_timer,
				      t, g_free);
}

void clock_stop(struct clock *c)
{
	g_clear_handle_id(&c->timer, g_source_remove);
}
