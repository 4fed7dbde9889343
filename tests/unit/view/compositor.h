/* SPDX-License-Identifier: Apache-2.0 */
/* A compositor with one headless output in this very thread, on wlroots: what the whole view is tested against. */
#ifndef TEST_COMPOSITOR_H
#define TEST_COMPOSITOR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <wayland-client.h>

struct compositor;

struct compositor *compositor_new(uint32_t width, uint32_t height);
void compositor_free(struct compositor *);
/* A connection for a client. */
struct wl_display *compositor_connect(struct compositor *);
/* Serves clients once; never waits. */
void compositor_turn(struct compositor *);
/* Windows that are mapped. */
unsigned compositor_windows(struct compositor *);
/* Pixel of what is on the output, XRGB8888. */
uint32_t compositor_pixel(struct compositor *, uint32_t x, uint32_t y);
/* All of it, width * height. */
const uint32_t *compositor_picture(struct compositor *);
unsigned compositor_frames(struct compositor *); /* commits of the output so far */
void compositor_show(struct compositor *, bool shown);
void compositor_resize(struct compositor *, int width, int height); /* the windows, not the output */
void compositor_focus(struct compositor *, bool focus);
void compositor_key(struct compositor *, uint32_t code, bool pressed);
void compositor_point(struct compositor *, double x, double y);
void compositor_button(struct compositor *, uint32_t code, bool pressed);
void compositor_wheel(struct compositor *, int clicks);
void compositor_touch(struct compositor *, int id, double x, double y); /* x < 0: up */
void compositor_close_window(struct compositor *);

#endif
