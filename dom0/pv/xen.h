/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back end's seam to Xen: what it needs of grants, event channels and xenstore, and no more. xen_real.c is it on
 * libxengnttab, libxenforeignmemory, libxenevtchn and libxenstore; tests/unit/view/fake_xen.c is it in shared memory.
 */
#ifndef PV_XEN_H
#define PV_XEN_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XEN_PAGE 4096u

struct xen;

/* Functions return 0 or a negative errno where nothing else is said. None of them keeps the strings it is given. */
struct xen_ops {
	/* Maps `count` granted pages of a domain side by side; NULL with errno. */
	void *(*map_grants)(struct xen *, uint32_t domid, const uint32_t *refs, size_t count, bool writable);
	void (*unmap_grants)(struct xen *, void *pages, size_t count);
	/* The same by frame number, for vfb, which is older than grants. */
	void *(*map_frames)(struct xen *, uint32_t domid, const uint64_t *gfns, size_t count, bool writable);
	void (*unmap_frames)(struct xen *, void *pages, size_t count);

	/* Returns the local port. */
	int (*bind)(struct xen *, uint32_t domid, uint32_t remote_port);
	void (*unbind)(struct xen *, uint32_t port);
	int (*notify)(struct xen *, uint32_t port);
	/* A port with an event, masked until unmask(); -EAGAIN: none. Readable events_fd says that there is one. */
	int (*pending)(struct xen *);
	int (*unmask)(struct xen *, uint32_t port);
	int (*events_fd)(struct xen *);

	/* A value to g_free(), NUL-terminated, or NULL with errno. tx is 0 outside a transaction. */
	char *(*read)(struct xen *, uint32_t tx, const char *path);
	int (*write)(struct xen *, uint32_t tx, const char *path, const char *value);
	/* Names below a path, to g_strfreev(); NULL when there is no such path. */
	char **(*list)(struct xen *, uint32_t tx, const char *path);
	int (*watch)(struct xen *, const char *path, const char *token);
	int (*unwatch)(struct xen *, const char *path, const char *token);
	/* The token of a watch that fired, to g_free(), or NULL; never blocks. */
	char *(*fired)(struct xen *);
	int (*store_fd)(struct xen *);
	/* A transaction, 0 with errno; end() says -EAGAIN when it is to be made once more. */
	uint32_t (*begin)(struct xen *);
	int (*end)(struct xen *, uint32_t tx, bool abort);
	bool (*alive)(struct xen *, uint32_t domid);
	void (*close)(struct xen *);
};

struct xen {
	const struct xen_ops *ops;
};

/* Opens the real thing; events and foreign frames are held to that domain where the kernel can do so. */
struct xen *xen_real_open(uint32_t domid, GError **error);

/* xenstore: a number in decimal with nothing around it, not above `max`; -ENOENT, -EINVAL, -ERANGE. */
int store_read_uint(struct xen *, uint32_t tx, const char *dir, const char *key, uint32_t max, uint32_t *value);
/* Writes a value of a device whose directory that is; -ENOENT, and nothing made anew, when libxl has taken the device away. */
int store_write(struct xen *, const char *dir, const char *key, const char *value);
int store_write_uint(struct xen *, const char *dir, const char *key, uint32_t value);
int store_parse_uint(const char *text, uint32_t max, uint32_t *value);
/* "1920x1080"; each within 1..max. */
int store_parse_size(const char *text, uint32_t max_width, uint32_t max_height, uint32_t *width, uint32_t *height);

#endif
