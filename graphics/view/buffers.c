// SPDX-License-Identifier: Apache-2.0
#include "buffers.h"

#include "guest.h"
#include "pages.h"

#include <errno.h>
#include <string.h>

static int find_buffer(const struct buffers *b, uint64_t cookie)
{
	for (unsigned i = 0; i < GUEST_MAX_BUFFERS; i++)
		if (b->saved->buffer[i].used && b->saved->buffer[i].cookie == cookie)
			return (int)i;
	return -ENOENT;
}

static int find_frame(const struct buffers *b, uint64_t cookie)
{
	for (unsigned i = 0; i < GUEST_MAX_FRAMES; i++)
		if (b->saved->frame[i].used && b->saved->frame[i].cookie == cookie)
			return (int)i;
	return -ENOENT;
}

bool buffers_has_frame(const struct buffers *b, uint64_t cookie)
{
	return find_frame(b, cookie) >= 0;
}

bool buffers_frame_in(const struct buffers *b, uint64_t frame, uint64_t buffer)
{
	int i = find_frame(b, frame);

	return i >= 0 && b->saved->frame[i].buffer == buffer;
}

/* Whether width x height pixels are in the buffer. displif has no pitch: rows follow one another. */
static int check_buffer(const struct saved_buffer *s)
{
	uint64_t need;

	if (s->bpp != 32 && s->bpp != 16)
		return -EOPNOTSUPP;
	if (!s->width || !s->height || s->width > GUEST_MAX_WIDTH || s->height > GUEST_MAX_HEIGHT)
		return -EINVAL;
	if (s->size > GUEST_MAX_BYTES)
		return -E2BIG;
	need = (uint64_t)s->width * s->height * (s->bpp / 8) + s->offset;
	if (need > s->size || s->offset % (s->bpp / 8))
		return -EINVAL;
	return 0;
}

static int map_buffer(struct buffers *b, const struct saved_buffer *s, unsigned slot)
{
	int rc = check_buffer(s);

	if (rc)
		return rc;
	if (b->bytes + s->size > GUEST_MAX_BYTES)
		return -ENOSPC;
	rc = pages_map(b->xen, b->domid, s->directory, s->size, false, &b->pages[slot]);
	if (!rc)
		b->bytes += s->size;
	return rc;
}

int buffers_create(struct buffers *b, const struct xendispl_dbuf_create_req *req)
{
	struct saved_buffer s = {
		.cookie = req->dbuf_cookie, .width = req->width, .height = req->height, .bpp = req->bpp,
		.size = req->buffer_sz, .directory = req->gref_directory, .offset = req->data_ofs, .used = 1,
	};
	unsigned slot;
	int rc;

	if (req->flags) /* be-alloc, which was not offered */
		return -EOPNOTSUPP;
	if (find_buffer(b, s.cookie) >= 0)
		return -EEXIST;
	for (slot = 0; slot < GUEST_MAX_BUFFERS && b->saved->buffer[slot].used; slot++)
		;
	if (slot == GUEST_MAX_BUFFERS)
		return -ENOSPC;
	rc = map_buffer(b, &s, slot);
	if (!rc)
		b->saved->buffer[slot] = s;
	return rc;
}

int buffers_destroy(struct buffers *b, uint64_t cookie)
{
	int slot = find_buffer(b, cookie);
	struct saved_buffer *s;

	if (slot < 0)
		return slot;
	for (unsigned i = 0; i < GUEST_MAX_FRAMES; i++)
		if (b->saved->frame[i].used && b->saved->frame[i].buffer == cookie)
			b->saved->frame[i].used = 0;
	s = &b->saved->buffer[slot];
	s->used = 0;
	b->bytes -= s->size;
	pages_unmap(b->xen, b->pages[slot], s->size);
	b->pages[slot] = NULL;
	return 0;
}

static int check_frame(const struct buffers *b, const struct saved_frame *f)
{
	int slot = find_buffer(b, f->buffer);
	const struct saved_buffer *s;

	if (slot < 0)
		return slot;
	if (!picture_bytes(f->format))
		return -EOPNOTSUPP;
	s = &b->saved->buffer[slot];
	if (!f->width || !f->height || f->width > s->width || f->height > s->height || picture_bytes(f->format) * 8 != s->bpp)
		return -EINVAL;
	return 0;
}

int buffers_attach(struct buffers *b, const struct xendispl_fb_attach_req *req)
{
	struct saved_frame f = {
		.cookie = req->fb_cookie, .buffer = req->dbuf_cookie, .width = req->width, .height = req->height,
		.format = req->pixel_format, .used = 1,
	};
	unsigned slot;
	int rc;

	if (!f.cookie) /* SET_CONFIG says "none" with it */
		return -EINVAL;
	if (find_frame(b, f.cookie) >= 0)
		return -EEXIST;
	rc = check_frame(b, &f);
	if (rc)
		return rc;
	for (slot = 0; slot < GUEST_MAX_FRAMES && b->saved->frame[slot].used; slot++)
		;
	if (slot == GUEST_MAX_FRAMES)
		return -ENOSPC;
	b->saved->frame[slot] = f;
	return 0;
}

int buffers_detach(struct buffers *b, uint64_t cookie)
{
	int slot = find_frame(b, cookie);

	if (slot < 0)
		return slot;
	b->saved->frame[slot].used = 0;
	return 0;
}

int buffers_picture(const struct buffers *b, uint64_t cookie, uint32_t x, uint32_t y, uint32_t max_width, uint32_t max_height,
		    struct picture *p)
{
	int i = find_frame(b, cookie), slot;
	const struct saved_frame *f;
	const struct saved_buffer *s;
	uint32_t bytes;

	if (i < 0)
		return i;
	f = &b->saved->frame[i];
	slot = find_buffer(b, f->buffer);
	if (slot < 0)
		return slot;
	if (x >= f->width || y >= f->height)
		return -EINVAL;
	s = &b->saved->buffer[slot];
	bytes = s->bpp / 8;
	p->format = f->format;
	p->stride = s->width * bytes;
	p->width = MIN(f->width - x, max_width);
	p->height = MIN(f->height - y, max_height);
	p->pixels = (const uint8_t *)b->pages[slot] + s->offset + (size_t)y * p->stride + (size_t)x * bytes;
	return 0;
}

/* The same cookie twice is as good as none: the first is found. */
int buffers_restore(struct buffers *b)
{
	int rc = 0;

	for (unsigned i = 0; i < GUEST_MAX_BUFFERS && !rc; i++)
		if (b->saved->buffer[i].used)
			rc = map_buffer(b, &b->saved->buffer[i], i);
	for (unsigned i = 0; i < GUEST_MAX_FRAMES && !rc; i++)
		if (b->saved->frame[i].used)
			rc = check_frame(b, &b->saved->frame[i]);
	if (rc)
		buffers_drop(b);
	return rc;
}

void buffers_drop(struct buffers *b)
{
	for (unsigned i = 0; i < GUEST_MAX_BUFFERS; i++)
		if (b->pages[i]) {
			pages_unmap(b->xen, b->pages[i], b->saved->buffer[i].size);
			b->pages[i] = NULL;
		}
	b->bytes = 0;
}
