/* SPDX-License-Identifier: Apache-2.0 */
/* What shows a guest's pictures: the back ends know no more of Wayland than this. One screen a connector, from 0. */
#ifndef VIEW_SCREEN_H
#define VIEW_SCREEN_H

#include "picture.h"

#define SCREENS 4u /* as many as the stock front end has pipes */

/* Bounds on what a guest may ask for. */
#define GUEST_MAX_WIDTH   7680u
#define GUEST_MAX_HEIGHT  4320u
#define GUEST_MAX_BUFFERS 128u
#define GUEST_MAX_FRAMES  256u
/* All buffers of a guest together: four of the largest mode. */
#define GUEST_MAX_BYTES (4ull * GUEST_MAX_WIDTH * GUEST_MAX_HEIGHT * 4)

struct screen_ops {
	/*
	 * From now on the screen shows this picture, which stays readable until the next call. flip: the guest waits;
	 * flip_done() of whoever called is due once it was seen, or after a while. NULL: nothing, what was shown stays until
	 * the next picture. damage: what changed since the last call, NULL when that isn't known.
	 */
	void (*show)(void *data, unsigned screen, const struct picture *, bool flip, const struct rect *damage);
	/* The guest has no picture any more: draw a plain background. */
	void (*blank)(void *data, unsigned screen);
	/* The size in pixels that a guest had best use; false: not known yet. */
	bool (*size)(void *data, unsigned screen, uint32_t *width, uint32_t *height);
};

#endif
