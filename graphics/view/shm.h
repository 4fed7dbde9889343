/* SPDX-License-Identifier: Apache-2.0 */
/* XRGB8888 pictures in memory shared with the compositor. */
#ifndef VIEW_SHM_H
#define VIEW_SHM_H

#include "picture.h"

#include <wayland-client.h>

struct shm_buffer {
	struct wl_buffer *buffer; /* NULL: not there */
	uint8_t *pixels;
	size_t size;
	uint32_t stride;
	bool busy;           /* the compositor reads it */
	struct tiles stale;  /* where it lacks what a later one got */
	void (*released)(void *data);
	void *data;
};

/* Makes one, all of it stale; false with errno. released is called when the compositor has let go of it. */
bool shm_buffer_init(struct shm_buffer *, struct wl_shm *, uint32_t width, uint32_t height, void (*released)(void *data),
		     void *data);
void shm_buffer_clear(struct shm_buffer *);

#endif
