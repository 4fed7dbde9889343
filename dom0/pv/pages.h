/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's buffer by its page directory: grants in a chain of granted pages (displif.h, struct xendispl_page_directory;
 * sndif.h has the same). */
#ifndef PV_PAGES_H
#define PV_PAGES_H

#include "xen.h"

/* More than any back end's own bound. */
#define PAGES_MAX_BYTES (1ull << 30)

/*
 * Reads the directory that begins at grant `directory` and maps the pages of a buffer of `size` bytes side by side.
 * size is 1..PAGES_MAX_BYTES. Returns 0 and *pages, or -EINVAL, -E2BIG, -EFAULT (a grant that cannot be mapped), -ENOMEM.
 */
int pages_map(struct xen *, uint32_t domid, uint32_t directory, uint64_t size, bool writable, void **pages);
void pages_unmap(struct xen *, void *pages, uint64_t size);

#endif
