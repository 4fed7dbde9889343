/* SPDX-License-Identifier: Apache-2.0 */
/* The compositor without a machine: all of its sources but main.c, headless, with outputs, keys and pictures by command.
 * usage: rig RUNTIME-DIR CONFIG CONTROL-FD. Commands are lines, each answered by a line "ok …" or "no …":
 *   output W H          a new output; its name
 *   remove NAME         takes it away
 *   key CODE 0|1        of the one keyboard
 *   unplug              takes the keyboard away, as it is, and plugs a new one in
 *   move X Y            pointer, 0 to 1 over all outputs
 *   button CODE 0|1
 *   touch ID X Y        down; "lift ID" is up
 *   pixel NAME X Y      of the last picture, in its own pixels: rrggbb, ffffffff if there is none
 *   png NAME FILE       that picture
 *   frames NAME         how many there were
 *   watch NAME X Y RRGGBB   says "seen USEC" once a picture has that, since the last key */
#include "desk.h"

#include <cairo.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wlr/backend/headless.h>
#include <wlr/interfaces/wlr_keyboard.h>
#include <wlr/interfaces/wlr_pointer.h>
#include <wlr/interfaces/wlr_touch.h>
#include <wlr/util/log.h>

/* Pango keeps fonts for the life of a process, and so fontconfig's copies of their patterns. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig.so\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

typedef struct {
	struct wl_list link;
	struct wlr_output *wlr;
	struct wlr_buffer *picture;
	guint frames;
	struct wl_listener commit, destroy;
} Capture;

typedef struct {
	Desk *desk;
	int fd;
	GString *input;
	struct wl_list captures;
	struct wl_listener new_output;
	struct wlr_keyboard keyboard;
	struct wlr_pointer pointer;
	struct wlr_touch touch;
	gint64 last_key;
	char watch_name[64];
	int watch_x, watch_y;
	guint32 watch_colour;
} Rig;

static const struct wlr_keyboard_impl keyboard_impl = {.name = "test"};
static const struct wlr_pointer_impl pointer_impl = {.name = "test"};
static const struct wlr_touch_impl touch_impl = {.name = "test"};

G_GNUC_PRINTF(2, 3) static void answer(Rig *rig, const char *format, ...)
{
	char line[512];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	if (write(rig->fd, line, (size_t)length) != length)
		g_main_loop_quit(rig->desk->main);
}

static gboolean read_pixel(Capture *capture, int x, int y, guint32 *colour)
{
	void *data;
	uint32_t format;
	size_t stride;

	if (!capture || !capture->picture || x < 0 || y < 0 || x >= capture->picture->width || y >= capture->picture->height ||
		!wlr_buffer_begin_data_ptr_access(capture->picture, WLR_BUFFER_DATA_PTR_ACCESS_READ, &data, &format, &stride))
		return FALSE;
	memcpy(colour, (guint8 *)data + (size_t)y * stride + (size_t)x * 4, 4);
	*colour &= 0xffffff;
	wlr_buffer_end_data_ptr_access(capture->picture);
	return TRUE;
}

static Rig *the_rig; /* listeners of captures have no other way to it */

static void on_commit(struct wl_listener *listener, void *data)
{
	Capture *capture = wl_container_of(listener, capture, commit);
	const struct wlr_output_event_commit *event = data;
	Rig *rig = the_rig;
	guint32 colour;

	if (!(event->state->committed & WLR_OUTPUT_STATE_BUFFER))
		return;
	if (capture->picture)
		wlr_buffer_unlock(capture->picture);
	capture->picture = wlr_buffer_lock(event->state->buffer);
	capture->frames++;
	if (rig->watch_name[0] && !strcmp(rig->watch_name, capture->wlr->name) &&
		read_pixel(capture, rig->watch_x, rig->watch_y, &colour) && colour == rig->watch_colour) {
		rig->watch_name[0] = '\0';
		answer(rig, "seen %" G_GINT64_FORMAT, g_get_monotonic_time() - rig->last_key);
	}
}

static void capture_free(Capture *capture)
{
	if (capture->picture)
		wlr_buffer_unlock(capture->picture);
	listener_remove(&capture->commit);
	listener_remove(&capture->destroy);
	wl_list_remove(&capture->link);
	g_free(capture);
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	Capture *capture = wl_container_of(listener, capture, destroy);

	(void)data;
	capture_free(capture);
}

static void on_new_output(struct wl_listener *listener, void *data)
{
	Rig *rig = wl_container_of(listener, rig, new_output);
	Capture *capture = g_new0(Capture, 1);

	capture->wlr = data;
	wl_list_insert(&rig->captures, &capture->link);
	listen_to(&capture->wlr->events.commit, &capture->commit, on_commit);
	listen_to(&capture->wlr->events.destroy, &capture->destroy, on_destroy);
}

static Capture *find(Rig *rig, const char *name)
{
	Capture *capture;

	wl_list_for_each(capture, &rig->captures, link)
		if (!strcmp(capture->wlr->name, name))
			return capture;
	return NULL;
}

static guint32 now_msec(void)
{
	return (guint32)(g_get_monotonic_time() / 1000);
}

static void add_keyboard(Rig *rig)
{
	wlr_keyboard_init(&rig->keyboard, &keyboard_impl, "test keyboard");
	wl_signal_emit_mutable(&rig->desk->backend->events.new_input, &rig->keyboard.base);
}

static void key(Rig *rig, unsigned code, unsigned pressed)
{
	struct wlr_keyboard_key_event event = {.time_msec = now_msec(), .keycode = code, .update_state = true,
		.state = pressed ? WL_KEYBOARD_KEY_STATE_PRESSED : WL_KEYBOARD_KEY_STATE_RELEASED};

	rig->last_key = g_get_monotonic_time();
	wlr_keyboard_notify_key(&rig->keyboard, &event);
}

static void move(Rig *rig, double x, double y)
{
	struct wlr_pointer_motion_absolute_event event = {.pointer = &rig->pointer, .time_msec = now_msec(), .x = x, .y = y};

	wl_signal_emit_mutable(&rig->pointer.events.motion_absolute, &event);
	wl_signal_emit_mutable(&rig->pointer.events.frame, &rig->pointer);
}

static void button(Rig *rig, unsigned code, unsigned pressed)
{
	struct wlr_pointer_button_event event = {.pointer = &rig->pointer, .time_msec = now_msec(), .button = code,
		.state = pressed ? WL_POINTER_BUTTON_STATE_PRESSED : WL_POINTER_BUTTON_STATE_RELEASED};

	wl_signal_emit_mutable(&rig->pointer.events.button, &event);
	wl_signal_emit_mutable(&rig->pointer.events.frame, &rig->pointer);
}

static void touch(Rig *rig, int id, double x, double y)
{
	struct wlr_touch_down_event event = {.touch = &rig->touch, .time_msec = now_msec(), .touch_id = id, .x = x, .y = y};

	wl_signal_emit_mutable(&rig->touch.events.down, &event);
	wl_signal_emit_mutable(&rig->touch.events.frame, &rig->touch);
}

static void lift(Rig *rig, int id)
{
	struct wlr_touch_up_event event = {.touch = &rig->touch, .time_msec = now_msec(), .touch_id = id};

	wl_signal_emit_mutable(&rig->touch.events.up, &event);
	wl_signal_emit_mutable(&rig->touch.events.frame, &rig->touch);
}

static gboolean save_png(Capture *capture, const char *path)
{
	void *data;
	uint32_t format;
	size_t stride;
	cairo_surface_t *surface;
	cairo_status_t status;

	if (!capture || !capture->picture ||
		!wlr_buffer_begin_data_ptr_access(capture->picture, WLR_BUFFER_DATA_PTR_ACCESS_READ, &data, &format, &stride))
		return FALSE;
	surface = cairo_image_surface_create_for_data(data, CAIRO_FORMAT_RGB24, capture->picture->width, capture->picture->height,
		(int)stride);
	status = cairo_surface_write_to_png(surface, path);
	cairo_surface_destroy(surface);
	wlr_buffer_end_data_ptr_access(capture->picture);
	return status == CAIRO_STATUS_SUCCESS;
}

static void picture_command(Rig *rig, const char *line)
{
	char name[64], path[256];
	int x, y;
	guint32 colour;

	if (sscanf(line, "pixel %63s %d %d", name, &x, &y) == 3) {
		answer(rig, "ok %x", read_pixel(find(rig, name), x, y, &colour) ? colour : 0xffffffff);
	} else if (sscanf(line, "watch %63s %d %d %x", rig->watch_name, &rig->watch_x, &rig->watch_y, &rig->watch_colour) == 4) {
		answer(rig, "ok");
	} else if (sscanf(line, "frames %63s", name) == 1) {
		answer(rig, "ok %u", find(rig, name) ? find(rig, name)->frames : 0);
	} else if (sscanf(line, "png %63s %255s", name, path) == 2) {
		answer(rig, save_png(find(rig, name), path) ? "ok" : "no picture");
	} else {
		answer(rig, "no such command: %s", line);
	}
}

static void command(Rig *rig, const char *line)
{
	unsigned a, b;
	double x, y;
	char name[64];

	if (sscanf(line, "key %u %u", &a, &b) == 2) {
		key(rig, a, b);
	} else if (!strcmp(line, "unplug")) {
		wlr_keyboard_finish(&rig->keyboard);
		add_keyboard(rig);
	} else if (sscanf(line, "move %lf %lf", &x, &y) == 2) {
		move(rig, x, y);
	} else if (sscanf(line, "button %u %u", &a, &b) == 2) {
		button(rig, a, b);
	} else if (sscanf(line, "touch %u %lf %lf", &a, &x, &y) == 3) {
		touch(rig, (int)a, x, y);
	} else if (sscanf(line, "lift %u", &a) == 1) {
		lift(rig, (int)a);
	} else if (sscanf(line, "output %u %u", &a, &b) == 2) {
		answer(rig, "ok %s", wlr_headless_add_output(rig->desk->backend, a, b)->name);
		return;
	} else if (sscanf(line, "remove %63s", name) == 1 && find(rig, name)) {
		wlr_output_destroy(find(rig, name)->wlr);
	} else {
		picture_command(rig, line);
		return;
	}
	answer(rig, "ok");
}

static gboolean on_input(int fd, GIOCondition condition, gpointer data)
{
	Rig *rig = data;
	char chunk[1024], *end;
	gssize got = read(fd, chunk, sizeof(chunk));

	(void)condition;
	if (got <= 0) {
		g_main_loop_quit(rig->desk->main);
		return G_SOURCE_REMOVE;
	}
	g_string_append_len(rig->input, chunk, got);
	while ((end = strchr(rig->input->str, '\n'))) {
		*end = '\0';
		command(rig, rig->input->str);
		g_string_erase(rig->input, 0, end + 1 - rig->input->str);
	}
	return G_SOURCE_CONTINUE;
}

static void add_devices(Rig *rig)
{
	add_keyboard(rig);
	wlr_pointer_init(&rig->pointer, &pointer_impl, "test pointer");
	wl_signal_emit_mutable(&rig->desk->backend->events.new_input, &rig->pointer.base);
	wlr_touch_init(&rig->touch, &touch_impl, "test touch screen");
	wl_signal_emit_mutable(&rig->desk->backend->events.new_input, &rig->touch.base);
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	DeskOptions options = {.headless = TRUE};
	Rig rig = {0};
	Capture *capture, *next;

	g_assert_cmpint(argc, ==, 4);
	the_rig = &rig;
	signal(SIGPIPE, SIG_IGN);
	wlr_log_init(WLR_ERROR, NULL);
	options.runtime_dir = argv[1];
	options.config_path = argv[2];
	rig.fd = atoi(argv[3]);
	rig.input = g_string_new(NULL);
	wl_list_init(&rig.captures);
	rig.desk = desk_new(&options, &error);
	g_assert_no_error(error);
	listen_to(&rig.desk->backend->events.new_output, &rig.new_output, on_new_output);
	if (!desk_start(rig.desk, &error))
		g_error("%s", error->message);
	add_devices(&rig);
	g_unix_fd_add(rig.fd, G_IO_IN | G_IO_HUP, on_input, &rig);
	answer(&rig, "ok");
	g_main_loop_run(rig.desk->main);
	wl_list_for_each_safe(capture, next, &rig.captures, link)
		capture_free(capture);
	listener_remove(&rig.new_output);
	wlr_keyboard_finish(&rig.keyboard);
	wlr_pointer_finish(&rig.pointer);
	wlr_touch_finish(&rig.touch);
	desk_free(rig.desk);
	g_string_free(rig.input, TRUE);
	return 0;
}
