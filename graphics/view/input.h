/* SPDX-License-Identifier: Apache-2.0 */
/* The seat's keyboard, pointer and touch, handed on to the guest. */
#ifndef VIEW_INPUT_H
#define VIEW_INPUT_H

#include "windows.h"

struct input_sink {
	void (*key)(void *data, uint32_t code, bool pressed);
	/* The focus went: nothing is pressed any more. */
	void (*release_all)(void *data);
	/* Shares of the whole desktop, 0..1, and the way since the last call. */
	void (*pointer)(void *data, double x, double y, double dx, double dy);
	void (*wheel)(void *data, int clicks);
	void (*touch_down)(void *data, unsigned contact, double x, double y);
	void (*touch_move)(void *data, unsigned contact, double x, double y);
	void (*touch_up)(void *data, unsigned contact);
	void (*touch_frame)(void *data);
};

struct input *input_new(struct windows *, const struct input_sink *, void *data);
/* The seat that windows.c found, once. */
void input_take_seat(struct input *);
void input_free(struct input *);
void input_forget(struct input *, struct window *);

#endif
