/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's display buffers and the frame buffers in them, by the cookies it gave them. */
#ifndef VIEW_BUFFERS_H
#define VIEW_BUFFERS_H

#include "display.h"

#include <xen/io/displif.h>

struct buffers {
	struct xen *xen;
	uint32_t domid;
	struct display_saved *saved;
	void *pages[GUEST_MAX_BUFFERS]; /* of each buffer in `saved` that is used */
	uint64_t bytes;
};

/* All take copies of requests, check them whole and only then change anything. 0 or -EINVAL, -EEXIST, -ENOENT, -EBUSY,
 * -E2BIG, -ENOSPC, -EOPNOTSUPP, -EFAULT, -ENOMEM. */
int buffers_create(struct buffers *, const struct xendispl_dbuf_create_req *);
int buffers_destroy(struct buffers *, uint64_t cookie);
int buffers_attach(struct buffers *, const struct xendispl_fb_attach_req *);
int buffers_detach(struct buffers *, uint64_t cookie);
/* The part of a frame buffer from x, y on, of at most that size; pixels stay until its buffer is destroyed. */
int buffers_picture(const struct buffers *, uint64_t cookie, uint32_t x, uint32_t y, uint32_t max_width, uint32_t max_height,
		    struct picture *);
bool buffers_has_frame(const struct buffers *, uint64_t cookie);
/* Whether the frame buffer is in that buffer. */
bool buffers_frame_in(const struct buffers *, uint64_t frame, uint64_t buffer);
/* Maps again what `saved` says; checks it like a guest's requests. Drops all when one fails. */
int buffers_restore(struct buffers *);
void buffers_drop(struct buffers *);

#endif
