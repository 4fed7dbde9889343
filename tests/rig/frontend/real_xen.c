// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's side of tests/unit/view/fake_xen.h in a real guest's user space, by the devices of its stock kernel: pages and
 * grants from gntalloc, event channels from evtchn, its xenstore from xenbus. So the tests' front ends run as they are.
 */
#include "fake_xen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h> /* evtchn.h wants its domid_t */
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/io/xs_wire.h>

struct fake {
	int store, events;
	uint8_t *pages;
	uint32_t *refs; /* of each page */
	size_t count, used;
	char *answer; /* of the last read */
};

static int open_device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		g_error("%s: %m", path);
	return fd;
}

struct fake *fake_new(size_t pages)
{
	struct fake *f = g_new0(struct fake, 1);
	size_t size = sizeof(struct ioctl_gntalloc_alloc_gref) + pages * sizeof(uint32_t);
	struct ioctl_gntalloc_alloc_gref *alloc = g_malloc0(size);
	int fd = open_device("/dev/xen/gntalloc");

	f->store = open_device("/dev/xen/xenbus");
	f->events = open_device("/dev/xen/evtchn");
	alloc->flags = GNTALLOC_FLAG_WRITABLE; /* for domain 0 */
	alloc->count = (uint32_t)pages;
	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, alloc))
		g_error("gntalloc: %zu pages: %m", pages);
	f->pages = mmap(NULL, pages * XEN_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)alloc->index);
	if (f->pages == MAP_FAILED)
		g_error("gntalloc: mmap: %m");
	f->refs = g_memdup2(alloc->gref_ids_flex, pages * sizeof(uint32_t));
	f->count = pages;
	g_free(alloc);
	return f;
}

void *fake_alloc(struct fake *f, size_t pages)
{
	void *at = f->pages + f->used * XEN_PAGE;

	g_assert_cmpuint(f->used + pages, <=, f->count);
	f->used += pages;
	return at;
}

uint64_t fake_gfn(struct fake *f, void *page)
{
	return (uint64_t)((uint8_t *)page - f->pages) / XEN_PAGE;
}

uint32_t fake_grant(struct fake *f, void *page)
{
	return f->refs[fake_gfn(f, page)];
}

uint32_t fake_port(struct fake *f)
{
	struct ioctl_evtchn_bind_unbound_port bind = {.remote_domain = 0};
	int port = ioctl(f->events, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind);

	if (port < 0)
		g_error("evtchn: %m");
	return (uint32_t)port;
}

void fake_ring(struct fake *f, uint32_t port)
{
	struct ioctl_evtchn_notify notify = {.port = port};

	if (ioctl(f->events, IOCTL_EVTCHN_NOTIFY, &notify))
		g_error("evtchn: notify: %m");
}

/* One request to xenstored; its answer, to be freed, NULL if it is an error. */
static char *ask(struct fake *f, uint32_t type, const char *data, size_t size)
{
	struct xsd_sockmsg m = {.type = type, .len = (uint32_t)size};
	char *answer;

	if (write(f->store, &m, sizeof(m)) != sizeof(m) || write(f->store, data, size) != (ssize_t)size ||
	    read(f->store, &m, sizeof(m)) != sizeof(m))
		g_error("xenbus: %m");
	answer = g_malloc0(m.len + 1);
	for (size_t got = 0; got < m.len;) {
		ssize_t n = read(f->store, answer + got, m.len - got);

		if (n <= 0)
			g_error("xenbus: %m");
		got += (size_t)n;
	}
	if (m.type == XS_ERROR)
		g_clear_pointer(&answer, g_free);
	return answer;
}

/* Paths below the fake's domain are this domain's. */
static char *own_path(const char *path, va_list args)
{
	g_autofree char *full = g_strdup_vprintf(path, args);

	return g_strdup(g_str_has_prefix(full, FAKE_FRONT) ? full + strlen(FAKE_FRONT) - strlen("device") : full);
}

void fake_write(struct fake *f, const char *value, const char *path, ...)
{
	g_autofree char *own = NULL, *answer = NULL;
	g_autoptr(GByteArray) data = g_byte_array_new();
	va_list args;

	va_start(args, path);
	own = own_path(path, args);
	va_end(args);
	g_byte_array_append(data, (const guint8 *)own, (guint)strlen(own) + 1);
	g_byte_array_append(data, (const guint8 *)value, (guint)strlen(value));
	answer = ask(f, XS_WRITE, (const char *)data->data, data->len);
	if (!answer)
		g_error("xenstore: %s cannot be written", own);
}

const char *fake_read(struct fake *f, const char *path, ...)
{
	g_autofree char *own = NULL;
	va_list args;

	va_start(args, path);
	own = own_path(path, args);
	va_end(args);
	g_free(f->answer);
	f->answer = ask(f, XS_READ, own, strlen(own) + 1);
	return f->answer;
}

unsigned fake_state(struct fake *f, const char *dir G_GNUC_UNUSED, const char *kind)
{
	g_autofree char *back = g_strdup(fake_read(f, FAKE_FRONT "/%s/0/backend", strcmp(kind, "vinput") ? kind : "vkbd"));
	const char *state = back ? fake_read(f, "%s/state", back) : NULL;

	return state ? (unsigned)strtoul(state, NULL, 10) : 0;
}

void fake_turn(void)
{
	g_usleep(1000);
}
