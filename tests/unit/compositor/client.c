/* SPDX-License-Identifier: Apache-2.0 */
/* A Wayland client for the compositor's tests: a VM's view (or, told so, a layer surface of the shell) in one colour. It tells
 * what it gets, line by line, to the socket in CLIENT_CONTROL, and does what it is told there:
 *   colour RRGGBB | top RRGGBB (a stripe, for what comes next) | commit (of nothing new, with a frame callback) | flood 0|1 | cover | globals | steal ID | popup | cursor | text TEXT | exit
 * usage: client [layer NAMESPACE RRGGBB] */
#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wayland-client.h>

#include "carrel-view-v1-client.h"
#include "wlr-layer-shell-unstable-v1-client.h"
#include "xdg-shell-client.h"

#define MOST_GLOBALS 64

static struct {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_subcompositor *subcompositor;
	struct wl_shm *shm;
	struct wl_seat *seat;
	struct wl_pointer *pointer;
	struct xdg_wm_base *wm_base;
	struct zwlr_layer_shell_v1 *layer_shell;
	struct carrel_view_v1 *view;
	struct wl_surface *surface;
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	struct wl_buffer *buffer;
	struct {
		char name[48];
		uint32_t id;
	} globals[MOST_GLOBALS];
	unsigned global_count;
	int width, height, control;
	uint32_t colour, top, pointer_serial;
	bool flood, has_top;
	char text[128];
} client;

static void tell(const char *format, ...)
{
	char line[256];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	if (write(client.control, line, (size_t)length) != length)
		exit(3);
}

static struct wl_buffer *make_buffer(int width, int height, uint32_t colour)
{
	size_t size = (size_t)width * (size_t)height * 4;
	int fd = memfd_create("client", MFD_CLOEXEC);
	struct wl_shm_pool *pool;
	struct wl_buffer *buffer;
	uint32_t *pixels;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		exit(4);
	pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED)
		exit(4);
	for (size_t i = 0; i < size / 4; i++)
		pixels[i] = client.has_top && i < size / 32 ? client.top : colour;
	munmap(pixels, size);
	pool = wl_shm_create_pool(client.shm, fd, (int32_t)size);
	buffer = wl_shm_pool_create_buffer(pool, 0, width, height, width * 4, WL_SHM_FORMAT_XRGB8888);
	wl_shm_pool_destroy(pool);
	close(fd);
	return buffer;
}

static void draw(void)
{
	struct wl_buffer *old = client.buffer;

	if (client.width <= 0 || client.height <= 0)
		return;
	client.buffer = make_buffer(client.width, client.height, client.colour);
	wl_surface_attach(client.surface, client.buffer, 0, 0);
	wl_surface_damage_buffer(client.surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(client.surface);
	if (old)
		wl_buffer_destroy(old);
}

/* xdg-shell */
static void on_surface_configure(void *data, struct xdg_surface *surface, uint32_t serial)
{
	xdg_surface_ack_configure(surface, serial);
	draw();
}

static const struct xdg_surface_listener surface_listener = {.configure = on_surface_configure};

static void on_configure(void *data, struct xdg_toplevel *toplevel, int32_t width, int32_t height, struct wl_array *states)
{
	bool activated = false;
	uint32_t *state;

	wl_array_for_each(state, states)
		activated |= *state == XDG_TOPLEVEL_STATE_ACTIVATED;
	client.width = width;
	client.height = height;
	tell("configure %d %d %d", width, height, activated);
}

static void on_close(void *data, struct xdg_toplevel *toplevel)
{
	tell("close");
}

static void on_bounds(void *data, struct xdg_toplevel *toplevel, int32_t width, int32_t height)
{
}

static void on_capabilities(void *data, struct xdg_toplevel *toplevel, struct wl_array *capabilities)
{
}

static const struct xdg_toplevel_listener toplevel_listener = {.configure = on_configure, .close = on_close,
	.configure_bounds = on_bounds, .wm_capabilities = on_capabilities};

static void on_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	xdg_wm_base_pong(wm_base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {.ping = on_ping};

/* layer shell */
static void on_layer_configure(void *data, struct zwlr_layer_surface_v1 *layer, uint32_t serial, uint32_t width, uint32_t height)
{
	client.width = (int)width;
	client.height = (int)height;
	zwlr_layer_surface_v1_ack_configure(layer, serial);
	tell("configure %u %u 1", width, height);
	draw();
}

static void on_layer_closed(void *data, struct zwlr_layer_surface_v1 *layer)
{
	tell("closed");
}

static const struct zwlr_layer_surface_v1_listener layer_listener = {.configure = on_layer_configure, .closed = on_layer_closed};

/* keyboard */
static void on_keymap(void *data, struct wl_keyboard *keyboard, uint32_t format, int32_t fd, uint32_t size)
{
	close(fd);
}

static void on_enter(void *data, struct wl_keyboard *keyboard, uint32_t serial, struct wl_surface *surface, struct wl_array *keys)
{
	tell("enter %zu", keys->size / sizeof(uint32_t));
}

static void on_leave(void *data, struct wl_keyboard *keyboard, uint32_t serial, struct wl_surface *surface)
{
	tell("leave");
}

static void on_key(void *data, struct wl_keyboard *keyboard, uint32_t serial, uint32_t time, uint32_t key, uint32_t state)
{
	tell("key %u %u", key, state);
}

static void on_modifiers(void *data, struct wl_keyboard *keyboard, uint32_t serial, uint32_t depressed, uint32_t latched,
	uint32_t locked, uint32_t group)
{
	tell("mods %u", depressed);
}

static void on_repeat(void *data, struct wl_keyboard *keyboard, int32_t rate, int32_t delay)
{
}

static const struct wl_keyboard_listener keyboard_listener = {.keymap = on_keymap, .enter = on_enter, .leave = on_leave,
	.key = on_key, .modifiers = on_modifiers, .repeat_info = on_repeat};

/* pointer */
static void on_pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial, struct wl_surface *surface, wl_fixed_t x,
	wl_fixed_t y)
{
	client.pointer_serial = serial;
	tell("pointer %d %d", wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void on_pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial, struct wl_surface *surface)
{
	tell("pointer-leave");
}

static void on_motion(void *data, struct wl_pointer *pointer, uint32_t time, wl_fixed_t x, wl_fixed_t y)
{
	tell("motion %d %d", wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void on_button(void *data, struct wl_pointer *pointer, uint32_t serial, uint32_t time, uint32_t button, uint32_t state)
{
	tell("button %u %u", button, state);
}

static void on_axis(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis, wl_fixed_t value)
{
}

static const struct wl_pointer_listener pointer_listener = {.enter = on_pointer_enter, .leave = on_pointer_leave,
	.motion = on_motion, .button = on_button, .axis = on_axis};

/* touch */
static void on_down(void *data, struct wl_touch *touch, uint32_t serial, uint32_t time, struct wl_surface *surface, int32_t id,
	wl_fixed_t x, wl_fixed_t y)
{
	tell("down %d %d %d", id, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void on_up(void *data, struct wl_touch *touch, uint32_t serial, uint32_t time, int32_t id)
{
	tell("up %d", id);
}

static void on_touch_motion(void *data, struct wl_touch *touch, uint32_t time, int32_t id, wl_fixed_t x, wl_fixed_t y)
{
}

static void on_touch_frame(void *data, struct wl_touch *touch)
{
}

static void on_touch_cancel(void *data, struct wl_touch *touch)
{
	tell("touch-cancel");
}

static const struct wl_touch_listener touch_listener = {.down = on_down, .up = on_up, .motion = on_touch_motion,
	.frame = on_touch_frame, .cancel = on_touch_cancel};

static void on_capability(void *data, struct wl_seat *seat, uint32_t capabilities)
{
	static bool keyboard, touch;

	if ((capabilities & WL_SEAT_CAPABILITY_KEYBOARD) && !keyboard)
		keyboard = !wl_keyboard_add_listener(wl_seat_get_keyboard(seat), &keyboard_listener, NULL);
	if ((capabilities & WL_SEAT_CAPABILITY_TOUCH) && !touch)
		touch = !wl_touch_add_listener(wl_seat_get_touch(seat), &touch_listener, NULL);
	if ((capabilities & WL_SEAT_CAPABILITY_POINTER) && !client.pointer) {
		client.pointer = wl_seat_get_pointer(seat);
		wl_pointer_add_listener(client.pointer, &pointer_listener, NULL);
	}
}

static const struct wl_seat_listener seat_listener = {.capabilities = on_capability};

/* text */
static void on_take(void *data, struct carrel_view_v1 *view, int32_t fd)
{
	if (write(fd, client.text, strlen(client.text)) < 0)
		tell("cannot write");
	close(fd);
}

static void on_give(void *data, struct carrel_view_v1 *view, int32_t fd)
{
	char text[128] = "";

	if (read(fd, text, sizeof(text) - 1) < 0)
		tell("cannot read");
	close(fd);
	tell("given %s", text);
}

static const struct carrel_view_v1_listener view_listener = {.take_text = on_take, .give_text = on_give};

static void on_global(void *data, struct wl_registry *registry, uint32_t id, const char *name, uint32_t version)
{
	if (client.global_count < MOST_GLOBALS) {
		snprintf(client.globals[client.global_count].name, sizeof(client.globals[0].name), "%s", name);
		client.globals[client.global_count++].id = id;
	}
	if (!strcmp(name, wl_compositor_interface.name))
		client.compositor = wl_registry_bind(registry, id, &wl_compositor_interface, 4);
	else if (!strcmp(name, wl_subcompositor_interface.name))
		client.subcompositor = wl_registry_bind(registry, id, &wl_subcompositor_interface, 1);
	else if (!strcmp(name, wl_shm_interface.name))
		client.shm = wl_registry_bind(registry, id, &wl_shm_interface, 1);
	else if (!strcmp(name, wl_seat_interface.name))
		client.seat = wl_registry_bind(registry, id, &wl_seat_interface, 1);
	else if (!strcmp(name, xdg_wm_base_interface.name))
		client.wm_base = wl_registry_bind(registry, id, &xdg_wm_base_interface, 5);
	else if (!strcmp(name, zwlr_layer_shell_v1_interface.name))
		client.layer_shell = wl_registry_bind(registry, id, &zwlr_layer_shell_v1_interface, 4);
	else if (!strcmp(name, carrel_view_v1_interface.name))
		client.view = wl_registry_bind(registry, id, &carrel_view_v1_interface, 1);
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t id)
{
	tell("global-remove %u", id);
}

static const struct wl_registry_listener registry_listener = {.global = on_global, .global_remove = on_global_remove};

/* A surface much larger than the screen, with a subsurface above it that begins left and above of it. */
static void cover(void)
{
	struct wl_surface *over = wl_compositor_create_surface(client.compositor);
	struct wl_subsurface *subsurface = wl_subcompositor_get_subsurface(client.subcompositor, over, client.surface);

	wl_subsurface_set_desync(subsurface);
	wl_subsurface_set_position(subsurface, -200, -200);
	wl_surface_attach(over, make_buffer(3000, 2000, 0xff00ff), 0, 0);
	wl_surface_damage_buffer(over, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(over);
	client.width = 3000;
	client.height = 2000;
	draw();
	tell("covered");
}

/* Asks for the layer shell by its number, though it was not told of it. */
static void steal(uint32_t id)
{
	wl_registry_bind(client.registry, id, &zwlr_layer_shell_v1_interface, 1);
	wl_display_roundtrip(client.display);
	tell("stolen %d", wl_display_get_error(client.display));
}

static void on_popup_configure(void *data, struct xdg_popup *popup, int32_t x, int32_t y, int32_t width, int32_t height)
{
	tell("popup-configure");
}

static void on_popup_done(void *data, struct xdg_popup *popup)
{
	tell("popup-done");
}

static const struct xdg_popup_listener popup_listener = {.configure = on_popup_configure, .popup_done = on_popup_done};

static void popup(void)
{
	struct xdg_positioner *positioner = xdg_wm_base_create_positioner(client.wm_base);
	struct wl_surface *surface = wl_compositor_create_surface(client.compositor);
	struct xdg_surface *xdg_surface = xdg_wm_base_get_xdg_surface(client.wm_base, surface);
	struct xdg_popup *xdg_popup;

	xdg_positioner_set_size(positioner, 500, 500);
	xdg_positioner_set_anchor_rect(positioner, 0, 0, 1, 1);
	xdg_popup = xdg_surface_get_popup(xdg_surface, client.xdg_surface, positioner);
	xdg_popup_add_listener(xdg_popup, &popup_listener, NULL);
	xdg_popup_grab(xdg_popup, client.seat, client.pointer_serial);
	wl_surface_commit(surface);
	wl_display_roundtrip(client.display);
	tell("popup %d", wl_display_get_error(client.display));
}

/* A pointer as large as the screen. */
static void cursor(void)
{
	struct wl_surface *surface = wl_compositor_create_surface(client.compositor);

	wl_pointer_set_cursor(client.pointer, client.pointer_serial, surface, 600, 300);
	wl_surface_attach(surface, make_buffer(1200, 700, 0xff00ff), 0, 0);
	wl_surface_damage_buffer(surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(surface);
	wl_display_roundtrip(client.display);
	tell("cursor");
}

static void on_frame(void *data, struct wl_callback *callback, uint32_t time)
{
	wl_callback_destroy(callback);
	tell("frame");
}

static const struct wl_callback_listener frame_listener = {.done = on_frame};

static void do_command(const char *line)
{
	unsigned value;

	if (sscanf(line, "colour %x", &client.colour) == 1) {
		draw();
	} else if (sscanf(line, "top %x", &client.top) == 1) {
		client.has_top = true;
	} else if (!strcmp(line, "commit")) {
		wl_callback_add_listener(wl_surface_frame(client.surface), &frame_listener, NULL);
		wl_surface_commit(client.surface);
	} else if (sscanf(line, "flood %u", &value) == 1) {
		client.flood = value;
	} else if (!strcmp(line, "cover")) {
		cover();
	} else if (!strcmp(line, "globals")) {
		for (unsigned i = 0; i < client.global_count; i++)
			tell("global %s %u", client.globals[i].name, client.globals[i].id);
		tell("globals");
	} else if (sscanf(line, "steal %u", &value) == 1) {
		steal(value);
	} else if (!strcmp(line, "popup")) {
		popup();
	} else if (!strcmp(line, "cursor")) {
		cursor();
	} else if (!strncmp(line, "text ", 5)) {
		snprintf(client.text, sizeof(client.text), "%.100s", line + 5);
		carrel_view_v1_clipboard(client.view, 1);
	} else {
		exit(0);
	}
}

static void read_commands(void)
{
	static char buffer[1024];
	static size_t used;
	ssize_t got = read(client.control, buffer + used, sizeof(buffer) - 1 - used);
	char *end;

	if (got <= 0)
		exit(0);
	used += (size_t)got;
	buffer[used] = '\0';
	while ((end = strchr(buffer, '\n'))) {
		*end = '\0';
		do_command(buffer);
		used -= (size_t)(end + 1 - buffer);
		memmove(buffer, end + 1, used + 1);
	}
}

static void connect_control(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("CLIENT_CONTROL"), *name = getenv("CARREL_VM");

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path ? path : "");
	client.control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(client.control, (struct sockaddr *)&address, sizeof(address)) < 0)
		exit(2);
	tell("hello %s %d", name ? name : "shell", getpid());
}

static void make_view(void)
{
	client.xdg_surface = xdg_wm_base_get_xdg_surface(client.wm_base, client.surface);
	xdg_surface_add_listener(client.xdg_surface, &surface_listener, NULL);
	client.toplevel = xdg_surface_get_toplevel(client.xdg_surface);
	xdg_toplevel_add_listener(client.toplevel, &toplevel_listener, NULL);
	xdg_wm_base_add_listener(client.wm_base, &wm_base_listener, NULL);
	if (client.view)
		carrel_view_v1_add_listener(client.view, &view_listener, NULL);
}

/* The notice is a strip at the top; the others fill the screen. */
static void make_layer(const char *namespace)
{
	bool notice = !strcmp(namespace, "carrel-notice");
	struct zwlr_layer_surface_v1 *layer =
		zwlr_layer_shell_v1_get_layer_surface(client.layer_shell, client.surface, NULL, ZWLR_LAYER_SHELL_V1_LAYER_TOP, namespace);

	zwlr_layer_surface_v1_add_listener(layer, &layer_listener, NULL);
	zwlr_layer_surface_v1_set_anchor(layer, ZWLR_LAYER_SURFACE_V1_ANCHOR_TOP | ZWLR_LAYER_SURFACE_V1_ANCHOR_LEFT |
		ZWLR_LAYER_SURFACE_V1_ANCHOR_RIGHT | (notice ? 0 : ZWLR_LAYER_SURFACE_V1_ANCHOR_BOTTOM));
	zwlr_layer_surface_v1_set_size(layer, 0, notice ? 80 : 0);
	zwlr_layer_surface_v1_set_keyboard_interactivity(layer, 1);
}

static void run(void)
{
	struct pollfd fds[] = {{wl_display_get_fd(client.display), POLLIN, 0}, {client.control, POLLIN, 0}};

	while (true) {
		if (client.flood) {
			draw();
			for (int i = 0; i < 20; i++)
				wl_surface_commit(client.surface);
		}
		while (wl_display_prepare_read(client.display) != 0)
			if (wl_display_dispatch_pending(client.display) < 0)
				exit(5);
		fds[0].events = wl_display_flush(client.display) < 0 && errno == EAGAIN ? POLLIN | POLLOUT : POLLIN;
		if (poll(fds, 2, client.flood ? 0 : -1) < 0 || !(fds[0].revents & POLLIN))
			wl_display_cancel_read(client.display);
		else if (wl_display_read_events(client.display) < 0)
			exit(5);
		if (wl_display_dispatch_pending(client.display) < 0)
			exit(5);
		if (fds[1].revents)
			read_commands();
	}
}

int main(int argc, char **argv)
{
	bool layer = argc == 4 && !strcmp(argv[1], "layer");

	connect_control();
	client.colour = layer ? (uint32_t)strtoul(argv[3], NULL, 16) : 0x808080;
	client.display = wl_display_connect(NULL);
	if (!client.display) {
		tell("no display");
		return 1;
	}
	client.registry = wl_display_get_registry(client.display);
	wl_registry_add_listener(client.registry, &registry_listener, NULL);
	wl_display_roundtrip(client.display);
	if (!client.compositor || !client.shm || !client.wm_base || (layer && !client.layer_shell)) {
		tell("no globals");
		return 1;
	}
	if (client.seat)
		wl_seat_add_listener(client.seat, &seat_listener, NULL);
	client.surface = wl_compositor_create_surface(client.compositor);
	if (layer)
		make_layer(argv[2]);
	else
		make_view();
	wl_surface_commit(client.surface);
	tell("ready");
	run();
	return 0;
}
