// SPDX-License-Identifier: Apache-2.0
/* The seam on Xen's own libraries. */
#include "xen.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>

struct xen_real {
	struct xen base;
	xengnttab_handle *grants;
	xenforeignmemory_handle *frames;
	xenevtchn_handle *events;
	struct xs_handle *store;
};

static struct xen_real *real(struct xen *xen)
{
	return (struct xen_real *)xen;
}

static void *real_map_grants(struct xen *xen, uint32_t domid, const uint32_t *refs, size_t count, bool writable)
{
	return xengnttab_map_domain_grant_refs(real(xen)->grants, (uint32_t)count, domid, (uint32_t *)refs,
					       PROT_READ | (writable ? PROT_WRITE : 0));
}

static void real_unmap_grants(struct xen *xen, void *pages, size_t count)
{
	xengnttab_unmap(real(xen)->grants, pages, (uint32_t)count);
}

static void *real_map_frames(struct xen *xen, uint32_t domid, const uint64_t *gfns, size_t count, bool writable)
{
	G_STATIC_ASSERT(sizeof(xen_pfn_t) == sizeof(uint64_t));
	if (!real(xen)->frames) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	return xenforeignmemory_map(real(xen)->frames, domid, PROT_READ | (writable ? PROT_WRITE : 0), count,
				    (const xen_pfn_t *)gfns, NULL);
}

static void real_unmap_frames(struct xen *xen, void *pages, size_t count)
{
	xenforeignmemory_unmap(real(xen)->frames, pages, count);
}

static int real_bind(struct xen *xen, uint32_t domid, uint32_t remote_port)
{
	int port = xenevtchn_bind_interdomain(real(xen)->events, domid, remote_port);

	return port < 0 ? -errno : port;
}

static void real_unbind(struct xen *xen, uint32_t port)
{
	xenevtchn_unbind(real(xen)->events, port);
}

static int real_notify(struct xen *xen, uint32_t port)
{
	return xenevtchn_notify(real(xen)->events, port) ? -errno : 0;
}

static int real_pending(struct xen *xen)
{
	int port = xenevtchn_pending(real(xen)->events);

	return port < 0 ? -errno : port;
}

static int real_unmask(struct xen *xen, uint32_t port)
{
	return xenevtchn_unmask(real(xen)->events, port) ? -errno : 0;
}

static int real_events_fd(struct xen *xen)
{
	return xenevtchn_fd(real(xen)->events);
}

/* libxenstore ends what it returns with a NUL that is not counted; a value with one inside is a guest's trick. */
static char *real_read(struct xen *xen, uint32_t tx, const char *path)
{
	unsigned int len;
	char *value = xs_read(real(xen)->store, tx, path, &len), *copy = NULL;

	if (!value)
		return NULL;
	if (memchr(value, 0, len))
		errno = EINVAL;
	else
		copy = g_strndup(value, len);
	free(value);
	return copy;
}

static int real_write(struct xen *xen, uint32_t tx, const char *path, const char *value)
{
	return xs_write(real(xen)->store, tx, path, value, (unsigned int)strlen(value)) ? 0 : -errno;
}

static char **real_list(struct xen *xen, uint32_t tx, const char *path)
{
	unsigned int count;
	char **names = xs_directory(real(xen)->store, tx, path, &count), **copy;

	if (!names)
		return NULL;
	copy = g_new0(char *, count + 1);
	for (unsigned int i = 0; i < count; i++)
		copy[i] = g_strdup(names[i]);
	free(names);
	return copy;
}

static int real_watch(struct xen *xen, const char *path, const char *token)
{
	return xs_watch(real(xen)->store, path, token) ? 0 : -errno;
}

static int real_unwatch(struct xen *xen, const char *path, const char *token)
{
	return xs_unwatch(real(xen)->store, path, token) ? 0 : -errno;
}

static char *real_fired(struct xen *xen)
{
	char **event = xs_check_watch(real(xen)->store), *token;

	if (!event)
		return NULL;
	token = g_strdup(event[XS_WATCH_TOKEN]);
	free(event);
	return token;
}

static int real_store_fd(struct xen *xen)
{
	return xs_fileno(real(xen)->store);
}

static uint32_t real_begin(struct xen *xen)
{
	return xs_transaction_start(real(xen)->store);
}

static int real_end(struct xen *xen, uint32_t tx, bool abort)
{
	return xs_transaction_end(real(xen)->store, tx, abort) ? 0 : -errno;
}

static bool real_alive(struct xen *xen, uint32_t domid)
{
	return xs_is_domain_introduced(real(xen)->store, domid);
}

static void real_close(struct xen *xen)
{
	struct xen_real *r = real(xen);

	xs_close(r->store);
	if (r->events)
		xenevtchn_close(r->events);
	if (r->frames)
		xenforeignmemory_close(r->frames);
	if (r->grants)
		xengnttab_close(r->grants);
	g_free(r);
}

static const struct xen_ops real_ops = {
	.map_grants = real_map_grants, .unmap_grants = real_unmap_grants,
	.map_frames = real_map_frames, .unmap_frames = real_unmap_frames,
	.bind = real_bind, .unbind = real_unbind, .notify = real_notify, .pending = real_pending,
	.unmask = real_unmask, .events_fd = real_events_fd,
	.read = real_read, .write = real_write, .list = real_list, .watch = real_watch, .unwatch = real_unwatch,
	.fired = real_fired, .store_fd = real_store_fd, .begin = real_begin, .end = real_end, .alive = real_alive,
	.close = real_close,
};

static struct xen *refuse(struct xen_real *r, GError **error, const char *what, const char *hint)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s; %s", what, g_strerror(errno), hint);
	real_close(&r->base);
	return NULL;
}

struct xen *xen_real_open(uint32_t domid, GError **error)
{
	struct xen_real *r = g_new0(struct xen_real, 1);
	int flags;

	r->base.ops = &real_ops;
	r->store = xs_open(0);
	if (!r->store)
		return refuse(r, error, "xenstore", "is xenstored running, and may this user open its socket?");
	r->grants = xengnttab_open(NULL, 0);
	if (!r->grants)
		return refuse(r, error, "/dev/xen/gntdev", "load the module xen-gntdev, or give this user the device");
	r->events = xenevtchn_open(NULL, 0);
	if (!r->events)
		return refuse(r, error, "/dev/xen/evtchn", "load the module xen-evtchn, or give this user the device");
	flags = fcntl(xenevtchn_fd(r->events), F_GETFL);
	if (flags < 0 || fcntl(xenevtchn_fd(r->events), F_SETFL, flags | O_NONBLOCK) < 0)
		return refuse(r, error, "/dev/xen/evtchn", "it cannot be made non-blocking");
	if (xenevtchn_restrict(r->events, (domid_t)domid) < 0)
		return refuse(r, error, "/dev/xen/evtchn", "this kernel cannot hold it to one domain");
	/* Only vfb needs it: without it everything else works. */
	r->frames = xenforeignmemory_open(NULL, 0);
	if (r->frames && xenforeignmemory_restrict(r->frames, (domid_t)domid) < 0) {
		xenforeignmemory_close(r->frames);
		r->frames = NULL;
	}
	return &r->base;
}
