// SPDX-License-Identifier: Apache-2.0
/* The connection to the compositor and what it offers. */
#include "windows.h"

#include "input.h"

#include "carrel-view-v1-client-protocol.h"
#include "fractional-scale-v1-client-protocol.h"
#include "relative-pointer-unstable-v1-client-protocol.h"
#include "viewporter-client-protocol.h"
#include "xdg-shell-client-protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Wayland's queue as a source of the main context. */
struct display_source {
	GSource base;
	struct windows *windows;
	gpointer tag;
	bool reading, blocked;
};

void windows_fail(struct windows *all, const char *why)
{
	if (all->failed)
		return;
	all->failed = true;
	all->events->lost(all->data, why);
}

static void flush(struct display_source *s)
{
	bool blocked = wl_display_flush(s->windows->display) < 0 && errno == EAGAIN;

	if (blocked != s->blocked) {
		s->blocked = blocked;
		g_source_modify_unix_fd(&s->base, s->tag, G_IO_IN | G_IO_HUP | G_IO_ERR | (blocked ? G_IO_OUT : 0));
	}
}

static gboolean source_prepare(GSource *base, gint *timeout)
{
	struct display_source *s = (struct display_source *)base;

	*timeout = -1;
	if (!s->reading) {
		if (wl_display_prepare_read(s->windows->display))
			return TRUE; /* events wait already */
		s->reading = true;
	}
	flush(s);
	return FALSE;
}

static gboolean source_check(GSource *base)
{
	struct display_source *s = (struct display_source *)base;
	GIOCondition ready = g_source_query_unix_fd(base, s->tag);

	if (s->reading) {
		s->reading = false;
		if (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR))
			wl_display_read_events(s->windows->display);
		else
			wl_display_cancel_read(s->windows->display);
	}
	return ready != 0;
}

static gboolean source_dispatch(GSource *base, GSourceFunc callback G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
	struct display_source *s = (struct display_source *)base;
	int error;

	wl_display_dispatch_pending(s->windows->display);
	error = wl_display_get_error(s->windows->display);
	if (!error)
		return G_SOURCE_CONTINUE;
	windows_fail(s->windows, error == EPROTO ? "the compositor refused a request" : g_strerror(error));
	return G_SOURCE_REMOVE;
}

static void source_finalize(GSource *base)
{
	struct display_source *s = (struct display_source *)base;

	if (s->reading)
		wl_display_cancel_read(s->windows->display);
}

static GSourceFuncs source_funcs = {
	.prepare = source_prepare, .check = source_check, .dispatch = source_dispatch, .finalize = source_finalize,
};

static void on_ping(void *data G_GNUC_UNUSED, struct xdg_wm_base *shell, uint32_t serial)
{
	xdg_wm_base_pong(shell, serial);
}

static const struct xdg_wm_base_listener shell_listener = {.ping = on_ping};

static void *bind(struct windows *all, uint32_t name, const struct wl_interface *interface, uint32_t there, uint32_t known)
{
	return wl_registry_bind(all->registry, name, interface, MIN(there, known));
}

static void on_take_text(void *data, struct carrel_view_v1 *desk G_GNUC_UNUSED, int32_t fd)
{
	struct windows *all = data;

	all->events->take_text(all->data, fd);
}

static void on_give_text(void *data, struct carrel_view_v1 *desk G_GNUC_UNUSED, int32_t fd)
{
	struct windows *all = data;

	all->events->give_text(all->data, fd);
}

static const struct carrel_view_v1_listener desk_listener = {.take_text = on_take_text, .give_text = on_give_text};

static void on_global(void *data, struct wl_registry *registry G_GNUC_UNUSED, uint32_t name, const char *interface,
		      uint32_t version)
{
	struct windows *all = data;

	if (!strcmp(interface, wl_compositor_interface.name) && !all->compositor) {
		all->compositor = bind(all, name, &wl_compositor_interface, version, 6);
	} else if (!strcmp(interface, wl_shm_interface.name) && !all->shm) {
		all->shm = bind(all, name, &wl_shm_interface, version, 1);
	} else if (!strcmp(interface, wl_seat_interface.name) && !all->seat) {
		all->seat = bind(all, name, &wl_seat_interface, version, 9);
		if (all->ready)
			input_take_seat(all->input);
	} else if (!strcmp(interface, xdg_wm_base_interface.name) && !all->shell) {
		all->shell = bind(all, name, &xdg_wm_base_interface, version, 5);
		xdg_wm_base_add_listener(all->shell, &shell_listener, all);
	} else if (!strcmp(interface, wp_viewporter_interface.name) && !all->viewporter) {
		all->viewporter = bind(all, name, &wp_viewporter_interface, version, 1);
	} else if (!strcmp(interface, wp_fractional_scale_manager_v1_interface.name) && !all->fractions) {
		all->fractions = bind(all, name, &wp_fractional_scale_manager_v1_interface, version, 1);
	} else if (!strcmp(interface, zwp_relative_pointer_manager_v1_interface.name) && !all->relative) {
		all->relative = bind(all, name, &zwp_relative_pointer_manager_v1_interface, version, 1);
	} else if (!strcmp(interface, carrel_view_v1_interface.name) && !all->desk) {
		all->desk = bind(all, name, &carrel_view_v1_interface, version, 1);
		carrel_view_v1_add_listener(all->desk, &desk_listener, all);
		carrel_view_v1_picture(all->desk, all->pictured);
		carrel_view_v1_clipboard(all->desk, all->clipboard);
	}
}

static void on_global_remove(void *data G_GNUC_UNUSED, struct wl_registry *registry G_GNUC_UNUSED, uint32_t name G_GNUC_UNUSED)
{
}

static const struct wl_registry_listener registry_listener = {.global = on_global, .global_remove = on_global_remove};

static void on_globals_known(void *data, struct wl_callback *callback, uint32_t serial G_GNUC_UNUSED)
{
	struct windows *all = data;

	wl_callback_destroy(callback);
	all->globals = NULL;
	if (!all->compositor || !all->shm || !all->shell || wl_compositor_get_version(all->compositor) < 4) {
		windows_fail(all, "the compositor lacks wl_compositor 4, wl_shm or xdg_wm_base");
		return;
	}
	if (all->seat)
		input_take_seat(all->input);
	all->ready = true;
	for (unsigned i = 0; i < all->count; i++)
		window_open(&all->window[i]);
}

static const struct wl_callback_listener globals_listener = {.done = on_globals_known};

struct windows *windows_new(struct wl_display *display, const char *title, const char *app_id, unsigned count,
			    const struct windows_events *events, const struct input_sink *sink, void *data)
{
	struct windows *all = g_new0(struct windows, 1);
	struct display_source *s;

	all->display = display;
	all->title = g_strdup(title);
	all->app_id = g_strdup(app_id);
	all->count = MIN(count, SCREENS);
	all->events = events;
	all->data = data;
	all->input = input_new(all, sink, data);
	for (unsigned i = 0; i < SCREENS; i++)
		all->window[i] = (struct window){.all = all, .index = i};
	all->registry = wl_display_get_registry(display);
	wl_registry_add_listener(all->registry, &registry_listener, all);
	all->globals = wl_display_sync(display);
	wl_callback_add_listener(all->globals, &globals_listener, all);
	all->source = g_source_new(&source_funcs, sizeof(*s));
	s = (struct display_source *)all->source;
	s->windows = all;
	s->tag = g_source_add_unix_fd(all->source, wl_display_get_fd(display), G_IO_IN | G_IO_HUP | G_IO_ERR);
	g_source_attach(all->source, NULL);
	return all;
}

void windows_set_count(struct windows *all, unsigned count)
{
	count = CLAMP(count, 1, SCREENS);
	for (unsigned i = count; i < all->count; i++) {
		input_forget(all->input, &all->window[i]);
		window_close(&all->window[i]);
	}
	for (unsigned i = all->count; all->ready && i < count; i++)
		window_open(&all->window[i]);
	all->count = count;
}

void windows_tell_pictured(struct windows *all)
{
	bool pictured = false;

	for (unsigned i = 0; i < SCREENS; i++)
		pictured |= all->window[i].pictured;
	if (pictured != all->pictured && all->desk)
		carrel_view_v1_picture(all->desk, pictured);
	all->pictured = pictured;
}

void windows_tell_clipboard(struct windows *all, bool there)
{
	if (there != all->clipboard && all->desk)
		carrel_view_v1_clipboard(all->desk, there);
	all->clipboard = there;
}

void windows_expect(struct windows *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->window[i].surface)
			window_expect(&all->window[i]);
}

struct window *windows_find(struct windows *all, struct wl_surface *surface)
{
	for (unsigned i = 0; surface && i < all->count; i++)
		if (all->window[i].surface == surface)
			return &all->window[i];
	return NULL;
}

void windows_free(struct windows *all)
{
	for (unsigned i = 0; i < SCREENS; i++)
		window_close(&all->window[i]);
	input_free(all->input);
	if (all->globals)
		wl_callback_destroy(all->globals);
	g_clear_pointer(&all->seat, wl_seat_destroy);
	g_clear_pointer(&all->desk, carrel_view_v1_destroy);
	g_clear_pointer(&all->relative, zwp_relative_pointer_manager_v1_destroy);
	g_clear_pointer(&all->fractions, wp_fractional_scale_manager_v1_destroy);
	g_clear_pointer(&all->viewporter, wp_viewporter_destroy);
	g_clear_pointer(&all->shell, xdg_wm_base_destroy);
	g_clear_pointer(&all->shm, wl_shm_destroy);
	g_clear_pointer(&all->compositor, wl_compositor_destroy);
	wl_registry_destroy(all->registry);
	if (!all->failed)
		wl_display_flush(all->display);
	g_source_destroy(all->source);
	g_source_unref(all->source);
	wl_display_disconnect(all->display);
	g_free(all->title);
	g_free(all->app_id);
	g_free(all);
}
