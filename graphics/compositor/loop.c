/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

typedef struct {
	GSource source;
	struct wl_display *display;
	struct wl_event_loop *loop;
	gpointer tag;
} WaylandSource;

/* Whatever ran before may have queued idle work and events. */
static gboolean source_prepare(GSource *base, int *timeout)
{
	WaylandSource *source = (WaylandSource *)base;

	wl_event_loop_dispatch_idle(source->loop);
	wl_display_flush_clients(source->display);
	*timeout = -1;
	return FALSE;
}

static gboolean source_check(GSource *base)
{
	WaylandSource *source = (WaylandSource *)base;

	return g_source_query_unix_fd(base, source->tag) != 0;
}

static gboolean source_dispatch(GSource *base, GSourceFunc callback, gpointer data)
{
	WaylandSource *source = (WaylandSource *)base;

	(void)callback;
	(void)data;
	wl_event_loop_dispatch(source->loop, 0);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = {.prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};

GSource *wayland_source_new(struct wl_display *display)
{
	WaylandSource *source = (WaylandSource *)g_source_new(&source_functions, sizeof(*source));

	source->display = display;
	source->loop = wl_display_get_event_loop(display);
	source->tag = g_source_add_unix_fd(&source->source, wl_event_loop_get_fd(source->loop), G_IO_IN | G_IO_ERR | G_IO_HUP);
	g_source_set_priority(&source->source, G_PRIORITY_HIGH);
	return &source->source;
}
