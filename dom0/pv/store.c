// SPDX-License-Identifier: Apache-2.0
/* Values in xenstore: a guest may have written them. */
#include "xen.h"

#include <errno.h>
#include <string.h>

/* Reads digits from *text on; sign, space and leading junk are refused, which strtoul would let through. */
static int digits(const char **text, uint32_t max, uint32_t *value)
{
	const char *p = *text;
	uint64_t v = 0;

	if (!g_ascii_isdigit(*p))
		return -EINVAL;
	for (; g_ascii_isdigit(*p); p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > max)
			return -ERANGE;
	}
	*text = p;
	*value = (uint32_t)v;
	return 0;
}

int store_parse_uint(const char *text, uint32_t max, uint32_t *value)
{
	int rc = digits(&text, max, value);

	return rc ? rc : *text ? -EINVAL : 0;
}

int store_parse_size(const char *text, uint32_t max_width, uint32_t max_height, uint32_t *width, uint32_t *height)
{
	int rc = digits(&text, max_width, width);

	if (rc)
		return rc;
	if (*text++ != 'x')
		return -EINVAL;
	rc = store_parse_uint(text, max_height, height);
	if (rc)
		return rc;
	return *width && *height ? 0 : -ERANGE;
}

int store_read_uint(struct xen *xen, uint32_t tx, const char *dir, const char *key, uint32_t max, uint32_t *value)
{
	g_autofree char *path = g_build_path("/", dir, key, NULL);
	g_autofree char *text = xen->ops->read(xen, tx, path);

	return text ? store_parse_uint(text, max, value) : -ENOENT;
}

int store_write(struct xen *xen, const char *dir, const char *key, const char *value)
{
	g_autofree char *state = g_build_path("/", dir, "state", NULL), *path = g_build_path("/", dir, key, NULL);
	int rc, end;

	do {
		uint32_t tx = xen->ops->begin(xen);
		g_autofree char *there = NULL;

		if (!tx)
			return -errno;
		there = xen->ops->read(xen, tx, state);
		rc = there ? xen->ops->write(xen, tx, path, value) : -errno;
		end = xen->ops->end(xen, tx, rc != 0);
	} while (!rc && end == -EAGAIN);
	return rc ? rc : end;
}

int store_write_uint(struct xen *xen, const char *dir, const char *key, uint32_t value)
{
	g_autofree char *text = g_strdup_printf("%u", value);

	return store_write(xen, dir, key, text);
}
