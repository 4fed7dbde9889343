// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include "guest.h"

#include <errno.h>
#include <string.h>

#define REFS_A_PAGE (XEN_PAGE / sizeof(uint32_t) - 1)

static size_t count_pages(uint64_t size)
{
	return (size_t)((size + XEN_PAGE - 1) / XEN_PAGE);
}

/* Copies one page of the directory, once; its first word is the grant of the next. */
static int read_page(struct xen *xen, uint32_t domid, uint32_t ref, uint32_t copy[XEN_PAGE / sizeof(uint32_t)])
{
	void *page = xen->ops->map_grants(xen, domid, &ref, 1, false);

	if (!page)
		return -EFAULT;
	memcpy(copy, page, XEN_PAGE);
	xen->ops->unmap_grants(xen, page, 1);
	return 0;
}

/* The length of the chain follows from the size, so a chain that bites its tail ends like any other. */
static int read_directory(struct xen *xen, uint32_t domid, uint32_t ref, uint32_t *refs, size_t count)
{
	uint32_t page[XEN_PAGE / sizeof(uint32_t)];
	int rc;

	while (count) {
		size_t here = MIN(count, REFS_A_PAGE);

		if (!ref) {
			guest_mistake("its page directory ends %zu pages early", count);
			return -EINVAL;
		}
		rc = read_page(xen, domid, ref, page);
		if (rc)
			return rc;
		memcpy(refs, page + 1, here * sizeof(*refs));
		refs += here;
		count -= here;
		ref = page[0];
	}
	return 0;
}

int pages_map(struct xen *xen, uint32_t domid, uint32_t directory, uint64_t size, bool writable, void **pages)
{
	g_autofree uint32_t *refs = NULL;
	size_t count;
	int rc;

	if (!size)
		return -EINVAL;
	if (size > PAGES_MAX_BYTES)
		return -E2BIG;
	count = count_pages(size);
	refs = g_try_new(uint32_t, count);
	if (!refs)
		return -ENOMEM;
	rc = read_directory(xen, domid, directory, refs, count);
	if (rc)
		return rc;
	*pages = xen->ops->map_grants(xen, domid, refs, count, writable);
	return *pages ? 0 : -EFAULT;
}

void pages_unmap(struct xen *xen, void *pages, uint64_t size)
{
	xen->ops->unmap_grants(xen, pages, count_pages(size));
}
