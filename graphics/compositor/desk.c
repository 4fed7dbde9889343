/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the screen: one VM, or the switcher, or the lock. Everything else follows from that in desk_update(). */
#include "desk.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <libseat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wlr/backend/headless.h>
#include <wlr/backend/session.h>
#include <wlr/types/wlr_data_device.h>
#include <wlr/types/wlr_fractional_scale_v1.h>
#include <wlr/types/wlr_linux_dmabuf_v1.h>
#include <wlr/types/wlr_presentation_time.h>
#include <wlr/types/wlr_screencopy_v1.h>
#include <wlr/types/wlr_shm.h>
#include <wlr/types/wlr_single_pixel_buffer_v1.h>
#include <wlr/types/wlr_subcompositor.h>
#include <wlr/types/wlr_viewporter.h>
#include <wlr/types/wlr_xdg_output_v1.h>

static char *lock_path(Desk *desk)
{
	return g_build_filename(desk->options.runtime_dir, "locked", NULL);
}

Vm *desk_find_vm(Desk *desk, const char *name)
{
	for (guint i = 0; i < desk->vms->len; i++) {
		Vm *vm = g_ptr_array_index(desk->vms, i);
		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

static struct wlr_surface *wants_keyboard(Desk *desk)
{
	if (desk->locked)
		return layer_for_keyboard(desk, TREE_LOCK);
	if (!desk->shown)
		return layer_for_keyboard(desk, TREE_SWITCHER);
	return desk->shown->view == VIEW_LIVE ? vm_surface(desk->shown) : NULL;
}

static void enable_trees(Desk *desk)
{
	gboolean vm = desk->shown != NULL, open = !desk->locked;
	const gboolean enabled[TREE_COUNT] = {[TREE_BACKDROP] = TRUE, [TREE_SWITCHER] = open && !vm, [TREE_VIEWS] = open && vm,
		[TREE_MESSAGES] = open, [TREE_NOTICES] = open, [TREE_FRAMES] = open && vm, [TREE_LOCK] = !open};

	for (guint i = 0; i < TREE_COUNT; i++)
		wlr_scene_node_set_enabled(&desk->trees[i]->node, enabled[i]);
	for (guint i = 0; i < desk->vms->len; i++) {
		Vm *each = g_ptr_array_index(desk->vms, i);
		wlr_scene_node_set_enabled(&each->tree->node, each == desk->shown);
	}
}

void desk_update(Desk *desk)
{
	Output *output;

	g_clear_handle_id(&desk->update_source, g_source_remove);
	enable_trees(desk);
	wl_list_for_each(output, &desk->outputs, link) {
		struct wlr_box box;
		wlr_output_layout_get_box(desk->layout, output->wlr, &box);
		if (!wlr_box_equal(&box, &output->box)) {
			output->box = box;
			layers_arrange(desk, output);
		}
		frame_update(output);
	}
	for (guint i = 0; i < desk->vms->len; i++)
		screens_arrange(g_ptr_array_index(desk->vms, i));
	keyboard_focus(desk, wants_keyboard(desk));
	pointer_refocus(desk);
}

static gboolean on_update(gpointer data)
{
	Desk *desk = data;

	desk->update_source = 0;
	desk_update(desk);
	return G_SOURCE_REMOVE;
}

void desk_update_later(Desk *desk)
{
	if (!desk->update_source)
		desk->update_source = g_idle_add_full(G_PRIORITY_HIGH, on_update, desk, NULL);
}

void desk_notice(Desk *desk, const char *severity, Vm *vm, const char *text)
{
	g_message("%s: %s", severity, text);
	bus_notice(desk->bus, severity, vm ? vm->name : "", text);
}

void desk_show(Desk *desk, Vm *vm)
{
	if (desk->locked && vm)
		return;
	if (vm) {
		frame_show_labels(desk);
		vm_ask(vm);
	}
	if (desk->shown != vm) {
		pointer_release(desk);
		desk->shown = vm;
		manager_foreground(desk->manager, vm ? vm->name : NULL);
		bus_changed(desk->bus);
	}
	desk_update(desk);
}

void desk_set_locked(Desk *desk, gboolean locked)
{
	g_autofree char *path = lock_path(desk);

	if (desk->locked == locked)
		return;
	/* The lock must outlive us before it is shown. */
	if (locked && !g_file_set_contents(path, "", 0, NULL))
		g_warning("%s: a restart of the compositor would unlock the screen: %s", path, g_strerror(errno));
	else if (!locked)
		g_unlink(path);
	pointer_release(desk);
	desk->locked = locked;
	bus_changed(desk->bus);
	desk_update(desk);
}

void desk_act(Desk *desk, Action action)
{
	if (action >= ACTION_VM1 && action <= ACTION_VM9) {
		guint n = action - ACTION_VM1;
		if (n < desk->vms->len)
			desk_show(desk, g_ptr_array_index(desk->vms, n));
		return;
	}
	switch (action) {
	case ACTION_ATTENTION:
	case ACTION_SWITCHER:
		desk_show(desk, NULL);
		break;
	case ACTION_CLIPBOARD:
		if (!desk->locked)
			clip_carry(desk->clip);
		break;
	case ACTION_LOCK:
		desk_set_locked(desk, TRUE);
		break;
	case ACTION_RESTART_VIEW:
		/* A person who meant something else must not lose a screen that works. */
		if (!desk->locked && desk->shown && desk->shown->view != VIEW_LIVE)
			vm_restart_view(desk->shown);
		break;
	default:
		break;
	}
}

static void make_globals(Desk *desk)
{
	struct wlr_linux_dmabuf_v1 *dmabuf;

	desk->compositor = wlr_compositor_create(desk->display, 6, desk->renderer);
	wlr_subcompositor_create(desk->display);
	wlr_viewporter_create(desk->display);
	wlr_presentation_create(desk->display, desk->backend);
	wlr_fractional_scale_manager_v1_create(desk->display, 1);
	wlr_single_pixel_buffer_manager_v1_create(desk->display);
	wlr_shm_create_with_renderer(desk->display, 1, desk->renderer);
	if (wlr_renderer_get_texture_formats(desk->renderer, WLR_BUFFER_CAP_DMABUF)) {
		dmabuf = wlr_linux_dmabuf_v1_create_with_renderer(desk->display, 4, desk->renderer);
		if (dmabuf)
			wlr_scene_set_linux_dmabuf_v1(desk->scene, dmabuf);
	}
	/* For the shell alone; clients_init() set the filter. */
	wlr_data_device_manager_create(desk->display);
	wlr_screencopy_manager_v1_create(desk->display);
	wlr_xdg_output_manager_v1_create(desk->display, desk->layout);
}

/* seatd, or the bus to logind, has ended: keyboard, pointer and screen went with it, and wlroots would read its end for ever.
 * Nothing can be given back; a new process gets all of it anew. */
static gboolean on_seat_gone(int fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	(void)data;
	g_critical("the seat is gone; starting over");
	_exit(EXIT_FAILURE);
}

static void watch_seat(Desk *desk)
{
	GSource *source;
	int fd = desk->session && desk->session->seat_handle ? libseat_get_fd(desk->session->seat_handle) : -1;

	if (fd < 0)
		return;
	source = g_unix_fd_source_new(fd, G_IO_HUP | G_IO_ERR);
	g_source_set_priority(source, G_PRIORITY_HIGH - 1);
	g_source_set_callback(source, G_SOURCE_FUNC(on_seat_gone), NULL, NULL);
	g_source_attach(source, NULL);
	g_source_unref(source);
}

static gboolean make_backend(Desk *desk, GError **error)
{
	if (desk->options.headless)
		desk->backend = wlr_headless_backend_create(desk->loop);
	else
		desk->backend = wlr_backend_autocreate(desk->loop, &desk->session);
	if (desk->backend)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
		"no screen could be opened: is there a graphics driver (/dev/dri), and a seat for this user? See the journal.");
	return FALSE;
}

static gboolean setup(Desk *desk, GError **error)
{
	desk->display = wl_display_create();
	desk->loop = wl_display_get_event_loop(desk->display);
	clients_init(desk);
	if (!make_backend(desk, error) || !desk_make_renderer(desk, error))
		return FALSE;
	desk->scene = wlr_scene_create();
	for (guint i = 0; i < TREE_COUNT; i++)
		desk->trees[i] = wlr_scene_tree_create(&desk->scene->tree);
	outputs_init(desk);
	make_globals(desk);
	desk->seat = wlr_seat_create(desk->display, "seat0");
	if (!keyboard_init(desk, error))
		return FALSE;
	input_init(desk);
	screens_init(desk);
	thumbnails_init(desk);
	layers_init(desk);
	desk->clip = clip_new(desk);
	return launch_listen_shell(desk, error);
}

Desk *desk_new(const DeskOptions *options, GError **error)
{
	Desk *desk = g_new0(Desk, 1);
	g_autoptr(GPtrArray) mistakes = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *locked = NULL;

	desk->options = *options;
	desk->shell_socket = -1;
	desk->vms = g_ptr_array_new();
	wl_list_init(&desk->outputs);
	wl_list_init(&desk->layers);
	desk->config = config_load(options->config_path, mistakes);
	for (guint i = 0; i < mistakes->len; i++)
		g_warning("%s", (char *)g_ptr_array_index(mistakes, i));
	locked = lock_path(desk);
	desk->locked = g_file_test(locked, G_FILE_TEST_EXISTS);
	desk->main = g_main_loop_new(NULL, FALSE);
	if (setup(desk, error))
		return desk;
	desk_free(desk);
	return NULL;
}

gboolean desk_start(Desk *desk, GError **error)
{
	if (!wlr_backend_start(desk->backend)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			"the screen could not be taken over: does another compositor own it? See the journal.");
		return FALSE;
	}
	desk->wayland = wayland_source_new(desk->display);
	g_source_attach(desk->wayland, NULL);
	watch_seat(desk);
	desk->bus = bus_new(desk);
	frame_show_splash(desk);
	desk_update(desk);
	return TRUE;
}

void desk_free(Desk *desk)
{
	/* Quiet first: nothing below may ask for what is already gone. */
	g_clear_pointer(&desk->manager, manager_free);
	while (desk->vms->len)
		vm_free(g_ptr_array_index(desk->vms, desk->vms->len - 1));
	if (desk->shell_socket >= 0)
		launch_unlisten_shell(desk);
	g_clear_pointer(&desk->bus, bus_free);
	if (desk->display)
		wl_display_destroy_clients(desk->display);
	g_clear_pointer(&desk->clip, clip_free);
	g_clear_handle_id(&desk->label_source, g_source_remove);
	g_clear_handle_id(&desk->splash_source, g_source_remove);
	if (desk->xdg_shell)
		screens_finish(desk);
	thumbnails_finish(desk);
	layers_finish(desk);
	if (desk->cursor)
		input_finish(desk);
	if (desk->keyboards)
		keyboard_finish(desk);
	outputs_finish(desk);
	g_clear_pointer(&desk->backend, wlr_backend_destroy);
	g_clear_handle_id(&desk->update_source, g_source_remove);
	if (desk->scene)
		wlr_scene_node_destroy(&desk->scene->tree.node);
	g_clear_pointer(&desk->allocator, wlr_allocator_destroy);
	g_clear_pointer(&desk->renderer, wlr_renderer_destroy);
	if (desk->wayland) {
		g_source_destroy(desk->wayland);
		g_source_unref(desk->wayland);
	}
	g_clear_pointer(&desk->display, wl_display_destroy);
	g_main_loop_unref(desk->main);
	g_ptr_array_unref(desk->vms);
	config_free(desk->config);
	g_free(desk);
}
