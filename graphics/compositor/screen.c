/* SPDX-License-Identifier: Apache-2.0 */
/* Toplevels of views: each is a VM's screen on one output, as large as that output, below its frame. */
#include "desk.h"

#define MOST_SCREENS 8 /* more than a guest has connectors */
#define ASK_EVERY (G_USEC_PER_SEC) /* at most one ping a second, and only with input or a switch */

static void place_screen(Screen *screen)
{
	struct wlr_surface *surface = screen->toplevel->base->surface;
	Output *output = output_of(screen->output);
	int x, y;

	screen->width = surface->current.width;
	screen->height = surface->current.height;
	wlr_scene_node_set_enabled(&screen->tree->node, output != NULL);
	if (!output)
		return;
	/* A guest's picture that is smaller than the screen stands in its middle; a larger one ends at the output's edge. */
	x = MAX(0, (output->box.width - screen->width) / 2);
	y = MAX(0, (output->box.height - screen->height) / 2);
	wlr_scene_node_set_position(&screen->tree->node, output->box.x, output->box.y);
	wlr_scene_node_set_position(&screen->surface_tree->node, x, y);
	wlr_scene_subsurface_tree_set_clip(&screen->surface_tree->node,
		&(struct wlr_box){-x, -y, output->box.width, output->box.height});
}

/* Tells the view only what is new to it: every call makes an event. */
static void configure(Screen *screen)
{
	Output *output = output_of(screen->output);
	gboolean shown = screen->vm->desk->shown == screen->vm && !screen->vm->desk->locked && output;
	int width = output ? output->box.width : screen->configured.width;
	int height = output ? output->box.height : screen->configured.height;

	if (!screen->toplevel->base->initialized || (screen->configured.sent && screen->configured.width == width &&
		screen->configured.height == height && screen->configured.shown == shown))
		return;
	screen->configured.sent = TRUE;
	screen->configured.width = width;
	screen->configured.height = height;
	screen->configured.shown = shown;
	wlr_xdg_toplevel_set_size(screen->toplevel, width, height);
	wlr_xdg_toplevel_set_fullscreen(screen->toplevel, true);
	wlr_xdg_toplevel_set_activated(screen->toplevel, shown);
	/* A view in the background need not draw. */
	wlr_xdg_toplevel_set_suspended(screen->toplevel, !shown);
}

static gboolean is_taken(const Vm *vm, const struct wlr_output *output)
{
	for (guint i = 0; i < vm->screens->len; i++) {
		const Screen *screen = g_ptr_array_index(vm->screens, i);
		if (screen->output == output)
			return TRUE;
	}
	return FALSE;
}

static gboolean on_desk(const Desk *desk, const struct wlr_output *wlr)
{
	Output *output;

	wl_list_for_each(output, &desk->outputs, link)
		if (output->wlr == wlr)
			return TRUE;
	return FALSE;
}

static void assign(Vm *vm)
{
	Output *output;

	for (guint i = 0; i < vm->screens->len; i++) {
		Screen *screen = g_ptr_array_index(vm->screens, i);
		screen->output = NULL;
	}
	for (guint i = 0; i < vm->screens->len; i++) {
		Screen *screen = g_ptr_array_index(vm->screens, i);
		struct wlr_output *wish = screen->toplevel->requested.fullscreen_output;
		if (wish && on_desk(vm->desk, wish) && !is_taken(vm, wish))
			screen->output = wish;
	}
	for (guint i = 0; i < vm->screens->len; i++) {
		Screen *screen = g_ptr_array_index(vm->screens, i);
		if (screen->output)
			continue;
		wl_list_for_each(output, &vm->desk->outputs, link) {
			if (is_taken(vm, output->wlr))
				continue;
			screen->output = output->wlr;
			break;
		}
	}
}

void screens_arrange(Vm *vm)
{
	assign(vm);
	for (guint i = 0; i < vm->screens->len; i++) {
		configure(g_ptr_array_index(vm->screens, i));
		place_screen(g_ptr_array_index(vm->screens, i));
	}
}

struct wlr_surface *vm_surface(Vm *vm)
{
	for (guint i = 0; i < vm->screens->len; i++) {
		Screen *screen = g_ptr_array_index(vm->screens, i);
		if (screen->output && screen->toplevel->base->surface->mapped)
			return screen->toplevel->base->surface;
	}
	return NULL;
}

static void stop_watching(void *data)
{
	Desk *desk = data;

	for (guint i = 0; i < desk->vms->len; i++)
		if (((Vm *)g_ptr_array_index(desk->vms, i))->view == VIEW_HUNG)
			return;
	g_clear_pointer(&desk->watcher, wl_protocol_logger_destroy);
}

/* While a view is hung, any request of its client shows that it is back; nobody needs to poll. */
static void on_message(void *data, enum wl_protocol_logger_type direction, const struct wl_protocol_logger_message *message)
{
	Desk *desk = data;
	Vm *vm = NULL;

	if (direction != WL_PROTOCOL_LOGGER_REQUEST ||
		client_role(wl_resource_get_client(message->resource), &vm) != ROLE_VM || vm->view != VIEW_HUNG)
		return;
	g_message("the view of %s answers again", vm->name);
	vm_set_view(vm, VIEW_LIVE);
	wl_event_loop_add_idle(desk->loop, stop_watching, desk);
}

static void on_ping_timeout(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, ping_timeout);
	Vm *vm = screen->vm;

	(void)data;
	if (vm->view != VIEW_LIVE)
		return;
	g_message("the view of %s does not answer", vm->name);
	vm_set_view(vm, VIEW_HUNG);
	if (!vm->desk->watcher)
		vm->desk->watcher = wl_display_add_protocol_logger(vm->desk->display, on_message, vm->desk);
}

void vm_ask(Vm *vm)
{
	gint64 now = g_get_monotonic_time();
	Screen *screen = vm->screens->len ? g_ptr_array_index(vm->screens, 0) : NULL;

	if (!screen || vm->view != VIEW_LIVE || now - vm->asked < ASK_EVERY)
		return;
	vm->asked = now;
	wlr_xdg_surface_ping(screen->toplevel->base);
}

static void on_commit(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, commit);
	const struct wlr_surface *surface = screen->toplevel->base->surface;

	(void)data;
	if (screen->toplevel->base->initial_commit)
		screens_arrange(screen->vm);
	else if (surface->current.width != screen->width || surface->current.height != screen->height)
		place_screen(screen);
}

static void on_map(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, map);
	Vm *vm = screen->vm;

	(void)data;
	vm->live_since = g_get_monotonic_time();
	if (vm->frozen) {
		wlr_scene_node_destroy(&vm->frozen->node);
		vm->frozen = NULL;
	}
	vm_set_view(vm, VIEW_LIVE);
	desk_update(vm->desk);
}

static gboolean any_mapped(const Vm *vm)
{
	for (guint i = 0; i < vm->screens->len; i++)
		if (((Screen *)g_ptr_array_index(vm->screens, i))->toplevel->base->surface->mapped)
			return TRUE;
	return FALSE;
}

static void on_unmap(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, unmap);

	(void)data;
	if (!any_mapped(screen->vm) && (screen->vm->view == VIEW_LIVE || screen->vm->view == VIEW_HUNG))
		vm_set_view(screen->vm, VIEW_STARTING);
	desk_update_later(screen->vm->desk);
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, destroy);
	Vm *vm = screen->vm;

	(void)data;
	listener_remove(&screen->commit);
	listener_remove(&screen->map);
	listener_remove(&screen->unmap);
	listener_remove(&screen->destroy);
	listener_remove(&screen->request_fullscreen);
	listener_remove(&screen->request_maximize);
	listener_remove(&screen->ping_timeout);
	wlr_scene_node_destroy(&screen->tree->node);
	g_ptr_array_remove(vm->screens, screen);
	g_free(screen);
	desk_update_later(vm->desk);
}

static void on_request(Screen *screen)
{
	if (!screen->toplevel->base->initialized)
		return;
	screens_arrange(screen->vm);
	wlr_xdg_surface_schedule_configure(screen->toplevel->base);
}

static void on_request_fullscreen(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, request_fullscreen);

	(void)data;
	on_request(screen);
}

static void on_request_maximize(struct wl_listener *listener, void *data)
{
	Screen *screen = wl_container_of(listener, screen, request_maximize);

	(void)data;
	on_request(screen);
}

/* Only views may have toplevels: the shell's windows are layer surfaces, and what is neither is never shown. */
static void on_new_toplevel(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, new_toplevel);
	struct wlr_xdg_toplevel *toplevel = data;
	Screen *screen;
	Vm *vm;

	(void)desk;
	if (client_role(wl_resource_get_client(toplevel->resource), &vm) != ROLE_VM ||
		vm->screens->len >= MOST_SCREENS) {
		wlr_xdg_toplevel_send_close(toplevel);
		return;
	}
	screen = g_new0(Screen, 1);
	screen->vm = vm;
	screen->toplevel = toplevel;
	screen->tree = wlr_scene_tree_create(vm->tree);
	screen->surface_tree = wlr_scene_subsurface_tree_create(screen->tree, toplevel->base->surface);
	g_ptr_array_add(vm->screens, screen);
	listen_to(&toplevel->base->surface->events.commit, &screen->commit, on_commit);
	listen_to(&toplevel->base->surface->events.map, &screen->map, on_map);
	listen_to(&toplevel->base->surface->events.unmap, &screen->unmap, on_unmap);
	listen_to(&toplevel->events.destroy, &screen->destroy, on_destroy);
	listen_to(&toplevel->events.request_fullscreen, &screen->request_fullscreen, on_request_fullscreen);
	listen_to(&toplevel->events.request_maximize, &screen->request_maximize, on_request_maximize);
	listen_to(&toplevel->base->events.ping_timeout, &screen->ping_timeout, on_ping_timeout);
}

/* A view's popup could take the keyboard and the pointer for itself. */
static void on_new_popup(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, new_popup);
	struct wlr_xdg_popup *popup = data;

	(void)desk;
	if (client_role(wl_resource_get_client(popup->resource), NULL) != ROLE_SHELL)
		wlr_xdg_popup_destroy(popup);
}

void screens_init(Desk *desk)
{
	desk->xdg_shell = wlr_xdg_shell_create(desk->display, 6);
	desk->xdg_shell->ping_timeout = desk->config->answer_within;
	listen_to(&desk->xdg_shell->events.new_toplevel, &desk->new_toplevel, on_new_toplevel);
	listen_to(&desk->xdg_shell->events.new_popup, &desk->new_popup, on_new_popup);
}

void screens_finish(Desk *desk)
{
	listener_remove(&desk->new_toplevel);
	listener_remove(&desk->new_popup);
	g_clear_pointer(&desk->watcher, wl_protocol_logger_destroy);
}
