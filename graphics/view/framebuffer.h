/* SPDX-License-Identifier: Apache-2.0 */
/* The PV frame buffer back end (xen/io/fbif.h): one vfb device, for guests and boot phases without DRM. */
#ifndef VIEW_FRAMEBUFFER_H
#define VIEW_FRAMEBUFFER_H

#include "screen.h"
#include "xenbus.h"

struct framebuffer;

struct framebuffer *framebuffer_new(struct xen *, uint32_t domid, uint32_t devid, const char *token, const struct screen_ops *,
				    void *screen_data);
void framebuffer_free(struct framebuffer *, const char *token);
struct xenbus *framebuffer_bus(struct framebuffer *);
bool framebuffer_event(struct framebuffer *, uint32_t port);
/* It shows its picture on screen 0, or keeps off it: a display has come into use there. */
void framebuffer_yield(struct framebuffer *, bool yield);

#endif
