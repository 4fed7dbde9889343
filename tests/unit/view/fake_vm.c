// SPDX-License-Identifier: Apache-2.0
/*
 * A view with a guest in the same process: what carrel-desk may start in carrel-view's place where there is no Xen
 * (desk.conf, [views] command=). The guest, on the back ends' rings like any other, fills its screen with a colour of its
 * name's; a box in the middle takes another with each key. FAKE_VM=animate: something moves; FAKE_VM=flood: it also puts
 * nonsense on its ring and rings its bell as fast as it can; FAKE_VM=late: it shows nothing before it has a key.
 */
#include "front.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define BOX 200u

struct vm {
	struct fake *fake;
	struct view *view;
	struct front_display display;
	struct front_keyboard keyboard;
	struct front_buffer buffer[2];
	uint32_t colour, box, moved;
	unsigned current;
	bool changed, waiting, ended, late;
};

static void on_ended(void *data, const char *problem)
{
	struct vm *vm = data;

	if (problem)
		g_printerr("fake_vm: %s\n", problem);
	vm->ended = true;
}

static uint32_t colour_of(const char *name)
{
	return !strcmp(name, "work") ? 0x102030 : !strcmp(name, "personal") ? 0x405060 : g_str_hash(name) & 0x7f7f7f;
}

static void fill(struct front_buffer *b, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t colour)
{
	uint32_t *pixels = (uint32_t *)(void *)b->pixels;

	for (uint32_t row = y; row < MIN(y + height, b->height); row++)
		for (uint32_t column = x; column < MIN(x + width, b->width); column++)
			pixels[(size_t)row * b->width + column] = colour;
}

static void draw(struct vm *vm, struct front_buffer *b)
{
	fill(b, 0, 0, b->width, b->height, vm->colour);
	fill(b, (b->width - BOX) / 2, (b->height - BOX) / 2, BOX, BOX, vm->box);
	fill(b, vm->moved * 8 % b->width, 40, 64, 64, 0xf0f0f0);
}

static void connect_guest(struct vm *vm)
{
	uint32_t width, height;

	fake_add_keyboard(vm->fake, "vinput");
	fake_add_display(vm->fake, 1, "1280x720");
	front_display_connect(&vm->display, vm->fake, 1);
	front_keyboard_connect(&vm->keyboard, vm->fake, "vinput", true, true);
	if (store_parse_size(fake_read(vm->fake, FAKE_FRONT "/vdispl/0/0/resolution"), 4096, 4096, &width, &height))
		abort();
	for (uint64_t i = 0; i < 2; i++)
		front_buffer_new(&vm->display, &vm->buffer[i], i + 1, MAX(width, BOX), MAX(height, BOX));
	draw(vm, &vm->buffer[0]);
	draw(vm, &vm->buffer[1]);
	if (!vm->late)
		front_set_config(&vm->display, 0, &vm->buffer[0]);
}

static void take_input(struct vm *vm)
{
	union xenkbd_in_event e;

	while (front_keyboard_take(&vm->keyboard, &e))
		if (e.type == XENKBD_TYPE_KEY && e.key.pressed && e.key.keycode < 256 && !front_is_modifier(e.key.keycode)) {
			vm->box = 0xc00000 | e.key.keycode << 8;
			vm->changed = true;
			if (vm->late)
				front_set_config(&vm->display, 0, &vm->buffer[0]);
			vm->late = false;
		}
}

static void flip(struct vm *vm)
{
	vm->current = !vm->current;
	draw(vm, &vm->buffer[vm->current]);
	vm->waiting = !front_flip(&vm->display, 0, vm->buffer[vm->current].fb);
	vm->changed = false;
}

static void run(struct vm *vm, const char *manner)
{
	bool animate = !g_strcmp0(manner, "animate"), flooding = !g_strcmp0(manner, "flood");
	unsigned flips = 0;

	while (!vm->ended) {
		if (flooding) {
			front_flood(&vm->display, &vm->keyboard, &vm->buffer[0]);
			g_main_context_iteration(NULL, FALSE);
			continue;
		}
		fake_turn();
		take_input(vm);
		front_display_events(&vm->display, 0);
		if (vm->display.connector[0].flips != flips)
			vm->waiting = false;
		flips = vm->display.connector[0].flips;
		vm->moved += animate && !vm->waiting;
		if (!vm->waiting && (vm->changed || animate))
			flip(vm);
	}
}

int main(void)
{
	const char *name = g_getenv("CARREL_VM");
	struct view_options options = {.domid = FAKE_DOMID, .title = name ? name : "fake", .app_id = "org.carrel.view"};
	struct wl_display *wayland = wl_display_connect(NULL);
	struct vm vm = {.colour = colour_of(options.title), .box = 0x808080};

	if (!wayland) {
		g_printerr("fake_vm: no compositor; it is started by one, or WAYLAND_DISPLAY names it\n");
		return 1;
	}
	vm.fake = fake_new(16000);
	vm.view = view_new(fake_xen(vm.fake), wayland, &options, on_ended, &vm);
	vm.late = !g_strcmp0(g_getenv("FAKE_VM"), "late");
	connect_guest(&vm);
	run(&vm, g_getenv("FAKE_VM"));
	view_free(vm.view);
	fake_free(vm.fake);
	return 0;
}
