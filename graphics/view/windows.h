/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Wayland client: one top-level window a screen, whose size the compositor decides. It knows pictures and clocks, and
 * nothing of Xen. Everything happens on the default GLib main context; no call waits for the compositor.
 */
#ifndef VIEW_WINDOWS_H
#define VIEW_WINDOWS_H

#include "screen.h"
#include "shm.h"

#define WINDOW_BUFFERS 3

struct windows;
struct input;
struct input_sink;

struct windows_events {
	/* A picture that was shown with `flip` was seen, or its time is up. */
	void (*flip_done)(void *data, unsigned screen);
	/* screen_ops.size() has another answer. */
	void (*resized)(void *data);
	/* The person, or the compositor, asked the window to close. */
	void (*closed)(void *data);
	/* The person carries text away (to be written to fd) or brings some (to be read from it). fd is the callee's. */
	void (*take_text)(void *data, int fd);
	void (*give_text)(void *data, int fd);
	/* The compositor went away: there is nothing more to do here. */
	void (*lost)(void *data, const char *why);
};

struct window {
	struct windows *all;
	unsigned index;
	struct wl_surface *surface;
	struct xdg_surface *xdg;
	struct xdg_toplevel *toplevel;
	struct wp_viewport *viewport;
	struct wp_fractional_scale_v1 *fraction;
	int32_t next_width, next_height; /* of a configure that isn't whole yet */
	uint32_t width, height;          /* what the compositor decided, in its own pixels */
	uint32_t scale;                  /* in 120ths */
	uint32_t shown_width, shown_height; /* what the picture takes up of it */
	bool configured, fresh_size;

	struct picture picture; /* pixels NULL: none */
	struct tiles known;     /* damage that the guest told, since the last picture */
	bool told;              /* `known` is all there is: no need to compare */
	bool dirty, flip, flip_sent, blank;
	uint8_t drawn;          /* the picture on screen changes without a flip */
	const uint8_t *drawn_pixels;
	unsigned quiet;         /* looks since the last change */
	bool flipped;           /* it came by a flip */
	bool pictured;          /* the guest shows something on it */

	struct wl_callback *frame;
	guint slow, look;
	struct shm_buffer buffer[WINDOW_BUFFERS], plain;
	struct shm_buffer *last;
	uint32_t buffer_width, buffer_height;
};

struct windows {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct wl_seat *seat;
	struct xdg_wm_base *shell;
	struct wp_viewporter *viewporter;
	struct wp_fractional_scale_manager_v1 *fractions;
	struct zwp_relative_pointer_manager_v1 *relative;
	struct carrel_view_v1 *desk; /* NULL: another compositor */
	bool pictured, clipboard;    /* what it was told last */
	struct wl_callback *globals;
	char *title, *app_id;
	const struct windows_events *events;
	void *data;
	struct input *input;
	struct window window[SCREENS];
	unsigned count;
	GSource *source;
	bool ready, failed;
};

extern const struct screen_ops windows_screens; /* screen_data: struct windows * */

/* Takes the connection over. count windows appear once the compositor has told what it can do. */
struct windows *windows_new(struct wl_display *, const char *title, const char *app_id, unsigned count,
			    const struct windows_events *, const struct input_sink *, void *data);
void windows_free(struct windows *);
void windows_set_count(struct windows *, unsigned count);
/* A window's `pictured` has changed: tells the compositor what that makes of all of them. */
void windows_tell_pictured(struct windows *);
/* Whether the guest can hand over and take text; it cannot until this is said. */
void windows_tell_clipboard(struct windows *, bool there);
/* The guest was given input: it will likely draw. */
void windows_expect(struct windows *);
/* The window that a surface belongs to; NULL. */
struct window *windows_find(struct windows *, struct wl_surface *);
/* A window's error that nothing can be done about: tells events.lost, once. */
void windows_fail(struct windows *, const char *why);

/* window.c */
void window_open(struct window *);
void window_close(struct window *);
void window_paint(struct window *);
void window_expect(struct window *);

#endif
