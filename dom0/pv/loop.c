// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include <glib-unix.h>
#include <string.h>

/* A guest that rings without end is listened to so often in a row; then its bell rests. */
#define EVENTS_A_WHILE 64
#define WHILE_MS       10

#define RELEASE "release"

struct pv_loop {
	struct xen *xen;
	uint32_t domid;
	const struct pv_listener *listener;
	void *data;
	guint events, store, listen;
	unsigned heard;
	gint64 since;
	GArray *resting; /* uint32_t: ports to unmask when the while is over */
};

static void end(struct pv_loop *l, const char *problem)
{
	l->store = 0;
	l->listener->ended(l->data, problem);
}

static gboolean on_store(gint fd G_GNUC_UNUSED, GIOCondition ready, gpointer data)
{
	struct pv_loop *l = data;
	g_autofree char *token = NULL;

	if (ready & (G_IO_HUP | G_IO_ERR)) {
		end(l, "xenstored closed the connection");
		return G_SOURCE_REMOVE;
	}
	/* One a round: a guest that writes its nodes in a loop doesn't keep others waiting. */
	token = l->xen->ops->fired(l->xen);
	if (!token)
		return G_SOURCE_CONTINUE;
	if (strcmp(token, RELEASE)) {
		l->listener->watch(l->data, token);
	} else if (!l->xen->ops->alive(l->xen, l->domid)) {
		end(l, NULL);
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

static gboolean on_rested(gpointer data)
{
	struct pv_loop *l = data;

	l->listen = 0;
	l->heard = 0;
	for (unsigned i = 0; i < l->resting->len; i++)
		l->xen->ops->unmask(l->xen, g_array_index(l->resting, uint32_t, i));
	g_array_set_size(l->resting, 0);
	return G_SOURCE_REMOVE;
}

static void unmask(struct pv_loop *l, uint32_t port)
{
	gint64 now = g_get_monotonic_time();

	if (now - l->since > WHILE_MS * 1000) {
		l->since = now;
		l->heard = 0;
	}
	if (++l->heard <= EVENTS_A_WHILE) {
		l->xen->ops->unmask(l->xen, port);
		return;
	}
	g_array_append_val(l->resting, port);
	if (!l->listen)
		l->listen = g_timeout_add(WHILE_MS, on_rested, l);
}

static gboolean on_event(gint fd G_GNUC_UNUSED, GIOCondition ready G_GNUC_UNUSED, gpointer data)
{
	struct pv_loop *l = data;
	int port = l->xen->ops->pending(l->xen);

	if (port < 0)
		return G_SOURCE_CONTINUE;
	unmask(l, (uint32_t)port);
	l->listener->event(l->data, (uint32_t)port);
	return G_SOURCE_CONTINUE;
}

struct pv_loop *pv_loop_new(struct xen *xen, uint32_t domid, const struct pv_listener *listener, void *data)
{
	struct pv_loop *l = g_new0(struct pv_loop, 1);

	l->xen = xen;
	l->domid = domid;
	l->listener = listener;
	l->data = data;
	l->resting = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	l->events = g_unix_fd_add(xen->ops->events_fd(xen), G_IO_IN, on_event, l);
	xen->ops->watch(xen, "@releaseDomain", RELEASE);
	l->store = g_unix_fd_add(xen->ops->store_fd(xen), G_IO_IN | G_IO_HUP | G_IO_ERR, on_store, l);
	return l;
}

void pv_loop_free(struct pv_loop *l)
{
	l->xen->ops->unwatch(l->xen, "@releaseDomain", RELEASE);
	if (l->listen)
		g_source_remove(l->listen);
	if (l->store)
		g_source_remove(l->store);
	g_source_remove(l->events);
	g_array_unref(l->resting);
	g_free(l);
}
