/* SPDX-License-Identifier: Apache-2.0 */
/* VMs as the desk knows them, and the life of the client that shows each. */
#include "desk.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOOD_RUN (30 * G_USEC_PER_SEC) /* a view that lasted so long starts with the shortest delay again */
#define CONNECT_WITHIN 40000           /* milliseconds */

static const char *const view_states[] = {[VIEW_NONE] = "none", [VIEW_STARTING] = "starting", [VIEW_LIVE] = "live",
	[VIEW_HUNG] = "hung", [VIEW_FAILED] = "failed"};

const char *view_state_name(ViewState state)
{
	return view_states[state];
}

void vm_set_view(Vm *vm, ViewState state)
{
	if (vm->view == state)
		return;
	vm->view = state;
	desk_update_later(vm->desk);
	bus_changed(vm->desk->bus);
}

static void start(Vm *vm);

static gboolean on_retry(gpointer data)
{
	Vm *vm = data;

	vm->retry_source = 0;
	start(vm);
	return G_SOURCE_REMOVE;
}

static void retry_after(Vm *vm, guint milliseconds)
{
	g_clear_handle_id(&vm->retry_source, g_source_remove);
	vm->retry_source = g_timeout_add(milliseconds, on_retry, vm);
}

static void start(Vm *vm)
{
	if (vm->view != VIEW_FAILED)
		vm_set_view(vm, VIEW_STARTING);
	/* Who has not come in by then did not start. */
	retry_after(vm, MAX(CONNECT_WITHIN, vm->retry_delay));
	launch_start(vm);
}

/* Keeps what the view showed last: its buffer outlives it. */
static void freeze(Vm *vm)
{
	struct wlr_surface *surface = vm_surface(vm);
	struct wlr_scene_tree *under = NULL;
	struct wlr_fbox source;

	if (!surface || !surface->buffer || vm->frozen)
		return;
	for (guint i = 0; i < vm->screens->len && !under; i++) {
		Screen *screen = g_ptr_array_index(vm->screens, i);
		if (screen->toplevel->base->surface == surface)
			under = screen->surface_tree;
	}
	vm->frozen = wlr_scene_buffer_create(vm->tree, &surface->buffer->base);
	wlr_surface_get_buffer_source_box(surface, &source);
	wlr_scene_buffer_set_source_box(vm->frozen, &source);
	wlr_scene_buffer_set_dest_size(vm->frozen, surface->current.width, surface->current.height);
	wlr_scene_buffer_set_transform(vm->frozen, surface->current.transform);
	if (under)
		wlr_scene_node_set_position(&vm->frozen->node, under->node.x + under->node.parent->node.x,
			under->node.y + under->node.parent->node.y);
}

static void thaw(Vm *vm)
{
	if (vm->frozen)
		wlr_scene_node_destroy(&vm->frozen->node);
	vm->frozen = NULL;
}

static void on_client_destroy(struct wl_listener *listener, void *data)
{
	Vm *vm = wl_container_of(listener, vm, client_destroy);

	(void)data;
	listener_remove(&vm->client_destroy);
	vm->client = NULL;
	vm->blank = FALSE;
	clip_vm_gone(vm->desk->clip, vm);
	if (!vm->running)
		return;
	freeze(vm);
	if (vm->live_since && g_get_monotonic_time() - vm->live_since > GOOD_RUN)
		vm->retry_delay = vm->desk->config->retry_first;
	vm->live_since = 0;
	g_message("the view of %s has ended; again in %u ms", vm->name, vm->retry_delay);
	vm_set_view(vm, VIEW_FAILED);
	retry_after(vm, vm->retry_delay);
	vm->retry_delay = MIN(vm->retry_delay * 2, vm->desk->config->retry_most);
}

/* A view that was killed and started again may come in before the end of its first connection was looked at. */
static void drop_dead_client(Vm *vm)
{
	struct pollfd connection = {.fd = vm->client ? wl_client_get_fd(vm->client) : -1};

	if (poll(&connection, 1, 0) == 1 && (connection.revents & (POLLHUP | POLLERR)))
		wl_client_destroy(vm->client);
}

void vm_connected(Vm *vm, int fd)
{
	drop_dead_client(vm);
	if (vm->client || !vm->running) {
		g_warning("a second view of %s was turned away", vm->name);
		close(fd);
		return;
	}
	vm->client = client_new(vm->desk, fd, ROLE_VM, vm);
	if (!vm->client)
		return;
	vm->client_destroy.notify = on_client_destroy;
	wl_client_add_destroy_listener(vm->client, &vm->client_destroy);
	g_clear_handle_id(&vm->retry_source, g_source_remove);
}

static void stop(Vm *vm)
{
	g_clear_handle_id(&vm->retry_source, g_source_remove);
	if (vm->client)
		wl_client_destroy(vm->client);
	launch_stop(vm);
	thaw(vm);
	g_clear_handle_id(&vm->retry_source, g_source_remove);
	vm_set_view(vm, VIEW_NONE);
}

void vm_restart_view(Vm *vm)
{
	if (!vm->running)
		return;
	vm->retry_delay = vm->desk->config->retry_first;
	if (vm->client)
		wl_client_destroy(vm->client);
	start(vm);
}

static void parse_colour(const char *text, float colour[4])
{
	guint red, green, blue;

	if (sscanf(text, "#%2x%2x%2x", &red, &green, &blue) != 3 || strlen(text) != 7)
		red = green = blue = 0x80;
	colour[0] = (float)red / 255;
	colour[1] = (float)green / 255;
	colour[2] = (float)blue / 255;
	colour[3] = 1;
}

void vm_set(Vm *vm, const char *title, const char *colour, const char *state, int domain, gboolean running)
{
	gboolean again = running && (!vm->running || domain != vm->domain), off = vm->running && !running;

	g_free(vm->title);
	vm->title = g_strdup(title && *title ? title : vm->name);
	g_free(vm->state);
	vm->state = g_strdup(state);
	parse_colour(colour ? colour : "", vm->colour);
	if (again && vm->running) {
		vm->running = FALSE;
		stop(vm);
	}
	vm->running = running;
	vm->domain = domain;
	if (again) {
		vm->pictured = FALSE;
		vm->retry_delay = vm->desk->config->retry_first;
		start(vm);
	} else if (off) {
		stop(vm);
		if (vm->desk->shown == vm)
			desk_show(vm->desk, NULL);
	}
	desk_update_later(vm->desk);
}

void vm_set_blank(Vm *vm, gboolean blank)
{
	if (!blank)
		vm->pictured = TRUE;
	if (vm->blank == blank)
		return;
	vm->blank = blank;
	desk_update_later(vm->desk);
}

void vm_set_recording(Vm *vm, gboolean recording)
{
	if (vm->recording == recording)
		return;
	vm->recording = recording;
	desk_update_later(vm->desk);
}

static gboolean name_ok(const char *name)
{
	gsize length = strlen(name);

	return length > 0 && length <= 48 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

Vm *vm_new(Desk *desk, const char *name)
{
	g_autoptr(GError) error = NULL;
	Vm *vm;

	if (!name_ok(name)) {
		g_warning("a VM's name is not one: '%s'", name);
		return NULL;
	}
	vm = g_new0(Vm, 1);
	vm->desk = desk;
	vm->name = g_strdup(name);
	vm->title = g_strdup(name);
	vm->domain = -1;
	vm->socket = -1;
	vm->cancel = g_cancellable_new();
	vm->screens = g_ptr_array_new();
	vm->tree = wlr_scene_tree_create(desk->trees[TREE_VIEWS]);
	wlr_scene_node_set_enabled(&vm->tree->node, false);
	vm->retry_delay = desk->config->retry_first;
	g_ptr_array_add(desk->vms, vm);
	if (!launch_listen(vm, &error))
		g_warning("%s: no view can connect: %s", name, error->message);
	return vm;
}

void vm_free(Vm *vm)
{
	Desk *desk = vm->desk;

	vm->running = FALSE;
	stop(vm);
	if (desk->shown == vm)
		desk_show(desk, NULL);
	g_ptr_array_remove(desk->vms, vm);
	launch_unlisten(vm);
	clip_vm_gone(desk->clip, vm);
	g_cancellable_cancel(vm->cancel);
	g_object_unref(vm->cancel);
	wlr_scene_node_destroy(&vm->tree->node);
	g_ptr_array_unref(vm->screens);
	g_free(vm->name);
	g_free(vm->title);
	g_free(vm->state);
	g_free(vm);
}
