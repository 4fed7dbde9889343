/* SPDX-License-Identifier: Apache-2.0 */
/* One VM's view: its back ends on one side, its windows on the other. */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "display.h"
#include "windows.h"

struct view_options {
	uint32_t domid;
	const char *title;    /* for people */
	const char *app_id;
	bool vfb;             /* serve vfb and its vkbd as well: there is no QEMU that does */
	bool follow_size;     /* a resized window makes a running guest's display start over */
	bool outlive;         /* serve on without windows when the compositor is gone: who starts the next view ends this one */
	struct display_saved *saved;
};

struct view;

/* Takes the connection over. ended: there is nothing more to do; problem is NULL when that is because the guest is gone. */
struct view *view_new(struct xen *, struct wl_display *, const struct view_options *,
		      void (*ended)(void *data, const char *problem), void *data);
void view_free(struct view *);

#endif
