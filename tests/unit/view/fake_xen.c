// SPDX-License-Identifier: Apache-2.0
#include "fake_xen.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PORTS 64

struct watch {
	char *path, *token;
};

struct fake {
	struct xen base;
	int memory, events, store_events;
	uint8_t *pages;
	size_t count, used;
	uint32_t *grant; /* page of each reference; 0: none */
	uint32_t grants, max_grants;
	size_t mapped, maps, bound;
	struct {
		bool open, bound, pending, masked;
		unsigned rung;
	} port[PORTS];
	GHashTable *store;
	GPtrArray *watches;
	GQueue fired;
	bool dead;
	guint listen_store, listen_events;
	void (*on_watch)(void *data);
	void (*on_event)(void *data, uint32_t port);
	void *listener;
};

static struct fake *of(struct xen *xen)
{
	return (struct fake *)xen;
}

struct xen *fake_xen(struct fake *f)
{
	return &f->base;
}

static void signal_fd(int fd)
{
	g_assert_cmpint(eventfd_write(fd, 1), ==, 0);
}

static void clear_fd(int fd)
{
	eventfd_t value;

	(void)!eventfd_read(fd, &value);
}

/* Memory. */

static void *map_pages(struct fake *f, size_t count, bool writable, uint32_t (*page)(struct fake *, const void *, size_t),
		       const void *names)
{
	uint8_t *at = mmap(NULL, count * XEN_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0, run; i < count; i += run) {
		uint32_t first = page(f, names, i);

		if (!first) {
			munmap(at, count * XEN_PAGE);
			errno = EINVAL;
			return NULL;
		}
		for (run = 1; i + run < count && page(f, names, i + run) == first + run; run++)
			;
		g_assert(mmap(at + i * XEN_PAGE, run * XEN_PAGE, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED,
			      f->memory, (off_t)first * XEN_PAGE) != MAP_FAILED);
	}
	f->mapped += count;
	f->maps++;
	return at;
}

static uint32_t by_grant(struct fake *f, const void *names, size_t i)
{
	uint32_t ref = ((const uint32_t *)names)[i];

	return ref < f->grants ? f->grant[ref] : 0;
}

static uint32_t by_frame(struct fake *f, const void *names, size_t i)
{
	uint64_t gfn = ((const uint64_t *)names)[i];

	return gfn < f->used ? (uint32_t)gfn : 0;
}

static void *map_grants(struct xen *xen, uint32_t domid, const uint32_t *refs, size_t count, bool writable)
{
	g_assert_cmpuint(domid, ==, FAKE_DOMID);
	return map_pages(of(xen), count, writable, by_grant, refs);
}

static void *map_frames(struct xen *xen, uint32_t domid, const uint64_t *gfns, size_t count, bool writable)
{
	g_assert_cmpuint(domid, ==, FAKE_DOMID);
	return map_pages(of(xen), count, writable, by_frame, gfns);
}

static void unmap(struct xen *xen, void *pages, size_t count)
{
	g_assert_cmpint(munmap(pages, count * XEN_PAGE), ==, 0);
	of(xen)->mapped -= count;
}

void *fake_alloc(struct fake *f, size_t pages)
{
	void *at = f->pages + f->used * XEN_PAGE;

	g_assert_cmpuint(f->used + pages, <=, f->count);
	f->used += pages;
	return at;
}

void fake_free_pages_from(struct fake *f, void *page)
{
	size_t first = (size_t)fake_gfn(f, page);

	memset(page, 0, (f->used - first) * XEN_PAGE);
	f->used = first;
	while (f->grants > 1 && f->grant[f->grants - 1] >= first)
		f->grants--;
}

uint64_t fake_gfn(struct fake *f, void *page)
{
	return (uint64_t)((uint8_t *)page - f->pages) / XEN_PAGE;
}

uint32_t fake_grant(struct fake *f, void *page)
{
	g_assert_cmpuint(f->grants, <, f->max_grants);
	f->grant[f->grants] = (uint32_t)fake_gfn(f, page);
	return f->grants++;
}

void fake_revoke(struct fake *f, uint32_t ref)
{
	f->grant[ref] = 0;
}

size_t fake_mapped(struct fake *f)
{
	return f->mapped;
}

size_t fake_maps(struct fake *f)
{
	return f->maps;
}

/* Event channels: the local port has the number of the guest's. */

uint32_t fake_port(struct fake *f)
{
	for (uint32_t i = 1; i < PORTS; i++)
		if (!f->port[i].open) {
			memset(&f->port[i], 0, sizeof(f->port[i]));
			f->port[i].open = true;
			return i;
		}
	g_assert_not_reached();
}

void fake_close_port(struct fake *f, uint32_t port)
{
	f->port[port].open = false;
}

static int bind(struct xen *xen, uint32_t domid, uint32_t remote)
{
	struct fake *f = of(xen);

	g_assert_cmpuint(domid, ==, FAKE_DOMID);
	if (remote >= PORTS || !f->port[remote].open || f->port[remote].bound)
		return -EINVAL;
	f->port[remote].bound = true;
	f->port[remote].pending = true; /* as Xen does for a port that is bound anew */
	f->port[remote].masked = false;
	f->bound++;
	signal_fd(f->events);
	return (int)remote;
}

static void unbind(struct xen *xen, uint32_t port)
{
	struct fake *f = of(xen);

	g_assert(f->port[port].bound);
	f->port[port].bound = f->port[port].pending = false;
	f->bound--;
}

size_t fake_bound(struct fake *f)
{
	return f->bound;
}

static int notify(struct xen *xen, uint32_t port)
{
	of(xen)->port[port].rung++;
	return 0;
}

unsigned fake_rung(struct fake *f, uint32_t port)
{
	unsigned rung = f->port[port].rung;

	f->port[port].rung = 0;
	return rung;
}

void fake_ring(struct fake *f, uint32_t port)
{
	if (!f->port[port].bound)
		return;
	f->port[port].pending = true;
	if (!f->port[port].masked)
		signal_fd(f->events);
}

static int pending(struct xen *xen)
{
	struct fake *f = of(xen);

	clear_fd(f->events);
	for (int i = 0; i < PORTS; i++)
		if (f->port[i].bound && f->port[i].pending && !f->port[i].masked) {
			f->port[i].pending = false;
			f->port[i].masked = true;
			signal_fd(f->events);
			return i;
		}
	return -EAGAIN;
}

static int unmask(struct xen *xen, uint32_t port)
{
	struct fake *f = of(xen);

	f->port[port].masked = false;
	if (f->port[port].pending)
		signal_fd(f->events);
	return 0;
}

static int events_fd(struct xen *xen)
{
	return of(xen)->events;
}

/* xenstore. */

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

static void fire(struct fake *f, const char *path)
{
	for (unsigned i = 0; i < f->watches->len; i++) {
		struct watch *w = g_ptr_array_index(f->watches, i);

		if (below(path, w->path) || below(w->path, path)) {
			g_queue_push_tail(&f->fired, g_strdup(w->token));
			signal_fd(f->store_events);
		}
	}
}

static gboolean is_below(gpointer path, gpointer value G_GNUC_UNUSED, gpointer dir)
{
	return below(path, dir);
}

static void put(struct fake *f, const char *path, const char *value)
{
	if (value)
		g_hash_table_replace(f->store, g_strdup(path), g_strdup(value));
	else
		g_hash_table_foreach_remove(f->store, is_below, (gpointer)path);
	fire(f, path);
}

void fake_write(struct fake *f, const char *value, const char *format, ...)
{
	va_list args;
	g_autofree char *path = NULL;

	va_start(args, format);
	path = g_strdup_vprintf(format, args);
	va_end(args);
	put(f, path, value);
}

const char *fake_read(struct fake *f, const char *format, ...)
{
	va_list args;
	g_autofree char *path = NULL;

	va_start(args, format);
	path = g_strdup_vprintf(format, args);
	va_end(args);
	return g_hash_table_lookup(f->store, path);
}

unsigned fake_state(struct fake *f, const char *dir, const char *kind)
{
	const char *state = !strcmp(dir, FAKE_BACK) ? fake_read(f, "%s/%s/%u/0/state", dir, kind, FAKE_DOMID) :
						      fake_read(f, "%s/%s/0/state", dir, kind);

	return state ? (unsigned)atoi(state) : 0;
}

static char *store_read(struct xen *xen, uint32_t tx G_GNUC_UNUSED, const char *path)
{
	const char *value = g_hash_table_lookup(of(xen)->store, path);

	if (!value)
		errno = ENOENT;
	return g_strdup(value);
}

static int store_put(struct xen *xen, uint32_t tx G_GNUC_UNUSED, const char *path, const char *value)
{
	put(of(xen), path, value);
	return 0;
}

static char **store_list(struct xen *xen, uint32_t tx G_GNUC_UNUSED, const char *dir)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, of(xen)->store);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		char *name, *end;

		if (!below(path, dir) || !strcmp(path, dir))
			continue;
		name = g_strdup((char *)path + strlen(dir) + 1);
		end = strchr(name, '/');
		if (end)
			*end = 0;
		if (g_hash_table_contains(names, name)) {
			g_free(name);
			continue;
		}
		g_hash_table_add(names, name);
		g_ptr_array_add(list, name);
	}
	if (!list->len) {
		g_ptr_array_free(list, TRUE);
		return NULL;
	}
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(list, FALSE);
}

static int store_watch(struct xen *xen, const char *path, const char *token)
{
	struct fake *f = of(xen);
	struct watch *w = g_new(struct watch, 1);

	w->path = g_strdup(path);
	w->token = g_strdup(token);
	g_ptr_array_add(f->watches, w);
	g_queue_push_tail(&f->fired, g_strdup(token));
	signal_fd(f->store_events);
	return 0;
}

static int store_unwatch(struct xen *xen, const char *path, const char *token)
{
	struct fake *f = of(xen);

	for (unsigned i = 0; i < f->watches->len; i++) {
		struct watch *w = g_ptr_array_index(f->watches, i);

		if (!strcmp(w->path, path) && !strcmp(w->token, token)) {
			g_free(w->path);
			g_free(w->token);
			g_free(w);
			g_ptr_array_remove_index(f->watches, i);
			return 0;
		}
	}
	g_assert_not_reached();
}

static char *store_fired(struct xen *xen)
{
	struct fake *f = of(xen);
	char *token = g_queue_pop_head(&f->fired);

	if (g_queue_is_empty(&f->fired))
		clear_fd(f->store_events);
	return token;
}

static int store_fd(struct xen *xen)
{
	return of(xen)->store_events;
}

static uint32_t begin(struct xen *xen G_GNUC_UNUSED)
{
	return 1;
}

static int end(struct xen *xen G_GNUC_UNUSED, uint32_t tx G_GNUC_UNUSED, bool abort G_GNUC_UNUSED)
{
	return 0;
}

static bool alive(struct xen *xen, uint32_t domid G_GNUC_UNUSED)
{
	return !of(xen)->dead;
}

void fake_kill(struct fake *f)
{
	f->dead = true;
	fire(f, "@releaseDomain");
}

static void closed(struct xen *xen G_GNUC_UNUSED)
{
}

static const struct xen_ops ops = {
	.map_grants = map_grants, .unmap_grants = unmap, .map_frames = map_frames, .unmap_frames = unmap,
	.bind = bind, .unbind = unbind, .notify = notify, .pending = pending, .unmask = unmask, .events_fd = events_fd,
	.read = store_read, .write = store_put, .list = store_list, .watch = store_watch, .unwatch = store_unwatch,
	.fired = store_fired, .store_fd = store_fd, .begin = begin, .end = end, .alive = alive, .close = closed,
};

static gboolean store_ready(gint fd G_GNUC_UNUSED, GIOCondition ready G_GNUC_UNUSED, gpointer data)
{
	struct fake *f = data;
	g_autofree char *token = store_fired(&f->base);

	if (token)
		f->on_watch(f->listener);
	return G_SOURCE_CONTINUE;
}

static gboolean event_ready(gint fd G_GNUC_UNUSED, GIOCondition ready G_GNUC_UNUSED, gpointer data)
{
	struct fake *f = data;
	int port = pending(&f->base);

	if (port >= 0) {
		unmask(&f->base, (uint32_t)port);
		f->on_event(f->listener, (uint32_t)port);
	}
	return G_SOURCE_CONTINUE;
}

void fake_listen(struct fake *f, void (*watch)(void *data), void (*event)(void *data, uint32_t port), void *data)
{
	f->on_watch = watch;
	f->on_event = event;
	f->listener = data;
	if (f->listen_store)
		return;
	f->listen_store = g_unix_fd_add(f->store_events, G_IO_IN, store_ready, f);
	f->listen_events = g_unix_fd_add(f->events, G_IO_IN, event_ready, f);
}

struct fake *fake_new(size_t pages)
{
	struct fake *f = g_new0(struct fake, 1);

	f->base.ops = &ops;
	f->count = pages + 1;
	f->used = 1;
	f->grants = 1;
	f->max_grants = (uint32_t)(2 * pages + 64);
	f->grant = g_new0(uint32_t, f->max_grants);
	f->memory = memfd_create("guest", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(f->memory, (off_t)(f->count * XEN_PAGE)), ==, 0);
	f->pages = mmap(NULL, f->count * XEN_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
	g_assert(f->pages != MAP_FAILED);
	f->events = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->store_events = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->store = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	f->watches = g_ptr_array_new();
	fake_write(f, "0", "domid");
	fake_write(f, "/vm/1b4e28ba-2fa1-11d2-883f-b9a761bde3fb", "/local/domain/%u/vm", FAKE_DOMID);
	return f;
}

void fake_free(struct fake *f)
{
	g_assert_cmpuint(f->mapped, ==, 0);
	g_assert_cmpuint(f->bound, ==, 0);
	g_assert_cmpuint(f->watches->len, ==, 0);
	if (f->listen_store) {
		g_source_remove(f->listen_store);
		g_source_remove(f->listen_events);
	}
	munmap(f->pages, f->count * XEN_PAGE);
	close(f->memory);
	close(f->events);
	close(f->store_events);
	g_queue_clear_full(&f->fired, g_free);
	g_hash_table_unref(f->store);
	g_ptr_array_unref(f->watches);
	g_free(f->grant);
	g_free(f);
}

static void add(struct fake *f, const char *back_kind, const char *front_kind)
{
	fake_write(f, "1", FAKE_FRONT "/%s/0/state", front_kind);
	fake_write(f, "1", FAKE_BACK "/%s/%u/0/online", back_kind, FAKE_DOMID);
	fake_write(f, "1", FAKE_BACK "/%s/%u/0/state", back_kind, FAKE_DOMID);
}

void fake_add_display(struct fake *f, unsigned connectors, const char *size)
{
	for (unsigned i = 0; i < connectors; i++)
		fake_write(f, size, FAKE_FRONT "/vdispl/0/%u/resolution", i);
	fake_write(f, "0", FAKE_FRONT "/vdispl/0/be-alloc");
	add(f, "vdispl", "vdispl");
}

void fake_add_keyboard(struct fake *f, const char *back_kind)
{
	add(f, back_kind, "vkbd");
}

void fake_add_framebuffer(struct fake *f)
{
	add(f, "vfb", "vfb");
}

static gboolean tick(gpointer data)
{
	*(bool *)data = true;
	return G_SOURCE_REMOVE;
}

void fake_turn(void)
{
	bool late = false;
	guint timer = g_timeout_add(1, tick, &late);

	g_main_context_iteration(NULL, TRUE);
	if (!late)
		g_source_remove(timer);
}

void fake_settle(unsigned ms)
{
	gint64 end = g_get_monotonic_time() + ms * 1000;

	while (g_get_monotonic_time() < end)
		fake_turn();
}
