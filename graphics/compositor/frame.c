/* SPDX-License-Identifier: Apache-2.0 */
/* What the compositor itself draws on an output: the colour of the VM around its view, its name, and what there is to say
 * in the place of a view. */
#include "desk.h"

#include <string.h>

#define MESSAGE_WIDTH  560
#define SPLASH_SECONDS 20 /* that the switcher may take before a person needs another way to go on */

static const float black[4] = {0, 0, 0, 1}, backdrop_colour[4] = {0.09f, 0.10f, 0.12f, 1}, dim_colour[4] = {0, 0, 0, 0.55f};
static const float white[4] = {1, 1, 1, 1}, panel[4] = {0.13f, 0.14f, 0.17f, 0.94f};

void frame_add(Output *output)
{
	struct wlr_scene_tree **trees = output->desk->trees;

	output->backdrop = wlr_scene_rect_create(trees[TREE_BACKDROP], 0, 0, backdrop_colour);
	output->lock_backdrop = wlr_scene_rect_create(trees[TREE_LOCK], 0, 0, backdrop_colour);
	wlr_scene_node_lower_to_bottom(&output->lock_backdrop->node);
	output->dim = wlr_scene_rect_create(trees[TREE_MESSAGES], 0, 0, dim_colour);
	output->message.node = wlr_scene_buffer_create(trees[TREE_MESSAGES], NULL);
	for (guint i = 0; i < G_N_ELEMENTS(output->edges); i++)
		output->edges[i] = wlr_scene_rect_create(trees[TREE_FRAMES], 0, 0, black);
	output->label.node = wlr_scene_buffer_create(trees[TREE_FRAMES], NULL);
}

void frame_remove(Output *output)
{
	wlr_scene_node_destroy(&output->backdrop->node);
	wlr_scene_node_destroy(&output->lock_backdrop->node);
	wlr_scene_node_destroy(&output->dim->node);
	wlr_scene_node_destroy(&output->message.node->node);
	for (guint i = 0; i < G_N_ELEMENTS(output->edges); i++)
		wlr_scene_node_destroy(&output->edges[i]->node);
	wlr_scene_node_destroy(&output->label.node->node);
	text_clear(&output->label);
	text_clear(&output->message);
}

static void place(struct wlr_scene_rect *rect, int x, int y, int width, int height)
{
	wlr_scene_node_set_position(&rect->node, x, y);
	wlr_scene_rect_set_size(rect, MAX(width, 0), MAX(height, 0));
}

static void centre(Text *text, const struct wlr_box *box, gboolean at_top)
{
	int y = at_top ? box->y : box->y + (box->height - text->node->dst_height) / 2;

	wlr_scene_node_set_position(&text->node->node, box->x + (box->width - text->node->dst_width) / 2, y);
}

static void update_edges(Output *output, const Vm *vm)
{
	const struct wlr_box *box = &output->box;
	int edge = (int)output->desk->config->edge;

	place(output->edges[0], box->x, box->y, box->width, edge);
	place(output->edges[1], box->x, box->y + box->height - edge, box->width, edge);
	place(output->edges[2], box->x, box->y, edge, box->height);
	place(output->edges[3], box->x + box->width - edge, box->y, edge, box->height);
	for (guint i = 0; vm && i < G_N_ELEMENTS(output->edges); i++)
		wlr_scene_rect_set_color(output->edges[i], vm->colour);
}

/* The VM's title, and who hears the microphone: on screen as long as somebody does. */
static char *label_text(Desk *desk, const Vm *vm, gboolean *recording)
{
	GString *text = g_string_new(vm->title);

	*recording = vm->recording;
	if (vm->recording)
		g_string_append(text, "  \u25cf recording");
	for (guint i = 0; i < desk->vms->len; i++) {
		const Vm *other = g_ptr_array_index(desk->vms, i);

		if (other == vm || !other->recording)
			continue;
		*recording = TRUE;
		g_string_append_printf(text, "  \u25cf %s is recording", other->title);
	}
	return g_string_free(text, FALSE);
}

static void update_label(Output *output, const Vm *vm, const char *text)
{
	TextStyle style = {.font = output->desk->config->font, .scale = output->wlr->scale, .padding = 12, .radius = 8, .tab = TRUE};
	/* As the eye weighs the colours: dark letters on what is bright. */
	float brightness = 0.299f * vm->colour[0] + 0.587f * vm->colour[1] + 0.114f * vm->colour[2];

	memcpy(style.bg, vm->colour, sizeof(style.bg));
	memcpy(style.fg, brightness > 0.6f ? black : white, sizeof(style.fg));
	text_set(&output->label, &style, text);
	centre(&output->label, &output->box, TRUE);
}

static char *hotkey(Desk *desk, Action action)
{
	return chord_to_text(&desk->config->chords[action]);
}

/* The compositor's own switcher, for when there is none: as much as a person needs to go on. */
static char *list_of_vms(Desk *desk)
{
	GString *text = g_string_new("The switcher is not there yet");
	guint listed = 0;

	for (guint i = 0; i < desk->vms->len && i < 9; i++) {
		const Vm *vm = g_ptr_array_index(desk->vms, i);
		g_autofree char *keys = hotkey(desk, ACTION_VM1 + i);
		g_string_append_printf(text, "\n%s    %s%s", keys, vm->title, vm->running ? "" : "  (off)");
		listed++;
	}
	if (!listed)
		g_string_append(text, "\nThe manager has told of no desktops so far.");
	return g_string_free(text, FALSE);
}

static char *message_for(Desk *desk, const Vm *vm)
{
	g_autofree char *to_switcher = hotkey(desk, ACTION_ATTENTION), *restart = hotkey(desk, ACTION_RESTART_VIEW);

	if (!vm)
		return layer_for_keyboard(desk, TREE_SWITCHER) ? NULL : list_of_vms(desk);
	switch (vm->view) {
	case VIEW_LIVE:
		if (!vm->blank)
			return NULL;
		return g_strdup_printf(vm->pictured ? "%s shows no picture\n%s shows the switcher." :
			"%s is starting\nIts picture comes when its system draws one.\n%s shows the switcher.", vm->title, to_switcher);
	case VIEW_NONE:
		return g_strdup_printf("%s is not running\n%s shows the switcher.", vm->title, to_switcher);
	case VIEW_STARTING:
		return g_strdup_printf("%s is starting\n%s shows the switcher.", vm->title, to_switcher);
	case VIEW_HUNG:
		return g_strdup_printf("%s is not responding\n%s starts its screen again.\n%s shows the switcher.", vm->title, restart,
			to_switcher);
	case VIEW_FAILED:
		return g_strdup_printf("The screen of %s has ended\nIt will be started again.\n%s shows the switcher.", vm->title,
			to_switcher);
	}
	return NULL;
}

static gboolean is_first(const Output *output)
{
	return output->desk->outputs.next == &output->link;
}

/* The screen is there, then the bus, then the manager; what is missing then is the switcher. */
static guint splash_steps(Desk *desk)
{
	return 1 + (bus_connection(desk->bus) != NULL) + manager_is_there(desk->manager);
}

static void update_message(Output *output, const Vm *vm)
{
	TextStyle style = {.font = output->desk->config->font, .scale = output->wlr->scale, .padding = 28, .radius = 14, .heading = TRUE};
	g_autofree char *text = is_first(output) ? message_for(output->desk, vm) : NULL;
	gboolean splash = text && !vm && output->desk->splash_source;

	wlr_scene_node_set_enabled(&output->message.node->node, text != NULL);
	wlr_scene_node_set_enabled(&output->dim->node, vm && (vm->view == VIEW_HUNG || vm->view == VIEW_FAILED));
	place(output->dim, output->box.x, output->box.y, output->box.width, output->box.height);
	if (!text)
		return;
	if (splash) {
		splash_set(&output->message, output->wlr->scale, splash_steps(output->desk));
		centre(&output->message, &output->box, FALSE);
		return;
	}
	memcpy(style.fg, white, sizeof(style.fg));
	memcpy(style.bg, panel, sizeof(style.bg));
	style.width = MAX(MIN(MESSAGE_WIDTH, output->box.width - 4 * style.padding), 1);
	text_set(&output->message, &style, text);
	centre(&output->message, &output->box, FALSE);
}

void frame_update(Output *output)
{
	Desk *desk = output->desk;
	const Vm *vm = desk->shown;
	gboolean recording = FALSE;
	g_autofree char *text = vm ? label_text(desk, vm, &recording) : NULL;
	gboolean label = vm && (desk->labels || desk->config->label_seconds == 0 || vm->view != VIEW_LIVE || recording);

	place(output->backdrop, output->box.x, output->box.y, output->box.width, output->box.height);
	wlr_scene_rect_set_color(output->backdrop, vm ? black : backdrop_colour);
	place(output->lock_backdrop, output->box.x, output->box.y, output->box.width, output->box.height);
	update_edges(output, vm);
	if (vm)
		update_label(output, vm, text);
	wlr_scene_node_set_enabled(&output->label.node->node, label);
	update_message(output, vm);
}

static gboolean on_splash_time(gpointer data)
{
	Desk *desk = data;

	desk->splash_source = 0;
	desk_update(desk);
	return G_SOURCE_REMOVE;
}

void frame_show_splash(Desk *desk)
{
	desk->splash_source = g_timeout_add_seconds(SPLASH_SECONDS, on_splash_time, desk);
}

static gboolean on_label_time(gpointer data)
{
	Desk *desk = data;

	desk->label_source = 0;
	desk->labels = FALSE;
	desk_update(desk);
	return G_SOURCE_REMOVE;
}

void frame_show_labels(Desk *desk)
{
	g_clear_handle_id(&desk->label_source, g_source_remove);
	if (desk->config->label_seconds)
		desk->label_source = g_timeout_add_seconds(desk->config->label_seconds, on_label_time, desk);
	desk->labels = TRUE;
}
