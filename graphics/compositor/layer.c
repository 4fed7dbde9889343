/* SPDX-License-Identifier: Apache-2.0 */
/* Layer surfaces of the switcher, the lock screen and notices: all from the shell's socket. */
#include "desk.h"

#include <string.h>

static Tree tree_for(const char *namespace)
{
	if (!strcmp(namespace, "carrel-lock"))
		return TREE_LOCK;
	if (!strcmp(namespace, "carrel-notice"))
		return TREE_NOTICES;
	return TREE_SWITCHER;
}

void layers_arrange(Desk *desk, Output *output)
{
	struct wlr_box usable[TREE_COUNT];
	Layer *layer;

	for (guint i = 0; i < TREE_COUNT; i++)
		usable[i] = output->box;
	wl_list_for_each(layer, &desk->layers, link)
		if (layer->surface->output == output->wlr && layer->surface->initialized)
			wlr_scene_layer_surface_v1_configure(layer->scene, &output->box, &usable[layer->tree]);
}

struct wlr_surface *layer_for_keyboard(Desk *desk, Tree tree)
{
	Layer *layer;

	wl_list_for_each(layer, &desk->layers, link)
		if (layer->tree == tree && layer->surface->surface->mapped &&
			(tree == TREE_LOCK || layer->surface->current.keyboard_interactive))
			return layer->surface->surface;
	return NULL;
}

void layers_output_gone(Desk *desk, struct wlr_output *wlr)
{
	Layer *layer, *next;

	wl_list_for_each_safe(layer, next, &desk->layers, link)
		if (layer->surface->output == wlr)
			wlr_layer_surface_v1_destroy(layer->surface);
}

static void on_commit(struct wl_listener *listener, void *data)
{
	Layer *layer = wl_container_of(listener, layer, commit);
	Output *output = output_of(layer->surface->output);

	(void)data;
	if (!output || (!layer->surface->initial_commit && !layer->surface->current.committed))
		return;
	layers_arrange(layer->desk, output);
	desk_update_later(layer->desk);
}

static void on_map(struct wl_listener *listener, void *data)
{
	Layer *layer = wl_container_of(listener, layer, map);

	(void)data;
	desk_update(layer->desk);
}

static void on_unmap(struct wl_listener *listener, void *data)
{
	Layer *layer = wl_container_of(listener, layer, unmap);

	(void)data;
	desk_update_later(layer->desk);
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	Layer *layer = wl_container_of(listener, layer, destroy);

	(void)data;
	listener_remove(&layer->commit);
	listener_remove(&layer->map);
	listener_remove(&layer->unmap);
	listener_remove(&layer->destroy);
	listener_remove(&layer->new_popup);
	wl_list_remove(&layer->link);
	desk_update_later(layer->desk);
	g_free(layer);
}

typedef struct {
	Layer *layer;
	struct wlr_xdg_popup *popup;
	struct wlr_scene_tree *tree;
	struct wl_listener commit, destroy, new_popup;
} Popup;

static void popup_new(Layer *layer, struct wlr_scene_tree *parent, struct wlr_xdg_popup *wlr);

static void on_popup_commit(struct wl_listener *listener, void *data)
{
	Popup *popup = wl_container_of(listener, popup, commit);

	(void)data;
	if (popup->popup->base->initial_commit)
		wlr_xdg_surface_schedule_configure(popup->popup->base);
}

static void on_popup_destroy(struct wl_listener *listener, void *data)
{
	Popup *popup = wl_container_of(listener, popup, destroy);

	(void)data;
	listener_remove(&popup->commit);
	listener_remove(&popup->destroy);
	listener_remove(&popup->new_popup);
	g_free(popup);
}

static void on_submenu(struct wl_listener *listener, void *data)
{
	Popup *popup = wl_container_of(listener, popup, new_popup);

	popup_new(popup->layer, popup->tree, data);
}

/* A menu of the switcher's: kept on the output that its layer surface is on. It goes before the layer does. */
static void popup_new(Layer *layer, struct wlr_scene_tree *parent, struct wlr_xdg_popup *wlr)
{
	Output *output = output_of(layer->surface->output);
	Popup *popup = g_new0(Popup, 1);

	popup->layer = layer;
	popup->popup = wlr;
	popup->tree = wlr_scene_xdg_surface_create(parent, wlr->base);
	listen_to(&wlr->base->surface->events.commit, &popup->commit, on_popup_commit);
	listen_to(&wlr->events.destroy, &popup->destroy, on_popup_destroy);
	listen_to(&wlr->base->events.new_popup, &popup->new_popup, on_submenu);
	if (output) {
		struct wlr_box box = output->box;
		box.x -= layer->scene->tree->node.x;
		box.y -= layer->scene->tree->node.y;
		wlr_xdg_popup_unconstrain_from_box(wlr, &box);
	}
}

static void on_new_popup(struct wl_listener *listener, void *data)
{
	Layer *layer = wl_container_of(listener, layer, new_popup);

	popup_new(layer, layer->scene->tree, data);
}

static void on_new_layer(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, new_layer);
	struct wlr_layer_surface_v1 *surface = data;
	Layer *layer;

	if (!surface->output) {
		Output *first = wl_container_of(desk->outputs.next, first, link);
		surface->output = wl_list_empty(&desk->outputs) ? NULL : first->wlr;
	}
	/* The filter of globals keeps views from getting here; this is the second lock on that door. */
	if (client_role(wl_resource_get_client(surface->resource), NULL) != ROLE_SHELL || !output_of(surface->output)) {
		wlr_layer_surface_v1_destroy(surface);
		return;
	}
	layer = g_new0(Layer, 1);
	layer->desk = desk;
	layer->surface = surface;
	layer->tree = tree_for(surface->namespace);
	layer->scene = wlr_scene_layer_surface_v1_create(desk->trees[layer->tree], surface);
	wl_list_insert(&desk->layers, &layer->link);
	listen_to(&surface->surface->events.commit, &layer->commit, on_commit);
	listen_to(&surface->surface->events.map, &layer->map, on_map);
	listen_to(&surface->surface->events.unmap, &layer->unmap, on_unmap);
	listen_to(&surface->events.destroy, &layer->destroy, on_destroy);
	listen_to(&surface->events.new_popup, &layer->new_popup, on_new_popup);
}

void layers_init(Desk *desk)
{
	wl_list_init(&desk->layers);
	desk->layer_shell = wlr_layer_shell_v1_create(desk->display, 4);
	listen_to(&desk->layer_shell->events.new_surface, &desk->new_layer, on_new_layer);
}

void layers_finish(Desk *desk)
{
	listener_remove(&desk->new_layer);
}
