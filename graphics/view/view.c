// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include "framebuffer.h"
#include "input.h"
#include "keyboard.h"
#include "loop.h"
#include "text.h"

#include <string.h>

/* A guest's frame while nobody sees it. */
#define ALONE_MS 50

struct view {
	struct xen *xen;
	struct view_options options;
	void (*ended)(void *data, const char *problem);
	void *data;
	struct windows *windows; /* NULL: the compositor is gone */
	struct {
		uint32_t width, height;
		bool known;
	} size[SCREENS];         /* as it was told last */
	guint going, flips;
	struct display *display;
	struct keyboard *keyboard;
	struct framebuffer *framebuffer;
	struct text *text;
	struct pv_loop *loop;
	bool sweep;
};

static const char *const kinds[] = {"vdispl", "vinput", "vkbd", "vfb"};

/* Screens: a display in use has the first one, else the frame buffer. */

static void arbitrate(struct view *v)
{
	if (v->framebuffer)
		framebuffer_yield(v->framebuffer, v->display && display_active(v->display));
}

static gboolean end_flips(gpointer data)
{
	struct view *v = data;

	v->flips = 0;
	for (unsigned i = 0; v->display && i < SCREENS; i++)
		display_flip_done(v->display, i);
	return G_SOURCE_REMOVE;
}

static void end_flips_soon(struct view *v)
{
	if (!v->flips)
		v->flips = g_timeout_add(ALONE_MS, end_flips, v);
}

static void show(struct view *v, unsigned screen, const struct picture *p, bool flip, const struct rect *damage)
{
	if (v->windows)
		windows_screens.show(v->windows, screen, p, flip, damage);
	else if (flip)
		end_flips_soon(v);
}

static void blank(struct view *v, unsigned screen)
{
	if (v->windows)
		windows_screens.blank(v->windows, screen);
}

static void on_display_show(void *data, unsigned screen, const struct picture *p, bool flip, const struct rect *damage)
{
	arbitrate(data);
	show(data, screen, p, flip, damage);
}

static void on_display_blank(void *data, unsigned screen)
{
	struct view *v = data;

	blank(v, screen);
	arbitrate(v);
}

static bool on_size(void *data, unsigned screen, uint32_t *width, uint32_t *height)
{
	struct view *v = data;

	if (v->windows)
		return windows_screens.size(v->windows, screen, width, height);
	*width = v->size[screen].width;
	*height = v->size[screen].height;
	return v->size[screen].known;
}

static const struct screen_ops display_screens = {.show = on_display_show, .blank = on_display_blank, .size = on_size};

static void on_framebuffer_show(void *data, unsigned screen, const struct picture *p, bool flip, const struct rect *damage)
{
	show(data, screen, p, flip, damage);
}

static void on_framebuffer_blank(void *data, unsigned screen)
{
	blank(data, screen);
}

static const struct screen_ops framebuffer_screens = {
	.show = on_framebuffer_show, .blank = on_framebuffer_blank, .size = on_size,
};

/* Windows. */

static void on_flip_done(void *data, unsigned screen)
{
	struct view *v = data;

	if (v->display)
		display_flip_done(v->display, screen);
}

static void on_resized(void *data)
{
	struct view *v = data;

	if (v->display)
		display_resized(v->display, v->options.follow_size);
	if (v->framebuffer)
		xenbus_update(framebuffer_bus(v->framebuffer));
}

static void on_closed(void *data)
{
	struct view *v = data;

	v->ended(v->data, NULL);
}

/* Input. */

static void on_key(void *data, uint32_t code, bool pressed)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_key(v->keyboard, code, pressed);
}

static void on_release_all(void *data)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_release_all(v->keyboard);
}

static void on_pointer(void *data, double x, double y, double dx, double dy)
{
	struct view *v = data;

	if (!v->keyboard)
		return;
	if (keyboard_wants_absolute(v->keyboard))
		keyboard_pointer(v->keyboard, x, y);
	else
		keyboard_pointer_by(v->keyboard, dx, dy);
}

static void on_wheel(void *data, int clicks)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_wheel(v->keyboard, clicks);
}

static void on_touch_down(void *data, unsigned contact, double x, double y)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_touch_down(v->keyboard, contact, x, y);
}

static void on_touch_move(void *data, unsigned contact, double x, double y)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_touch_move(v->keyboard, contact, x, y);
}

static void on_touch_up(void *data, unsigned contact)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_touch_up(v->keyboard, contact);
}

static void on_touch_frame(void *data)
{
	struct view *v = data;

	if (v->keyboard)
		keyboard_touch_frame(v->keyboard);
}

static void on_take_text(void *data, int fd)
{
	struct view *v = data;

	text_take(v->text, fd);
}

static void on_give_text(void *data, int fd)
{
	struct view *v = data;

	text_give(v->text, fd);
}

/* The stock front end takes a flip that is not answered within three seconds for an output that was unplugged. */
static gboolean go_on_alone(gpointer data)
{
	struct view *v = data;

	v->going = 0;
	for (unsigned i = 0; i < SCREENS; i++)
		v->size[i].known = windows_screens.size(v->windows, i, &v->size[i].width, &v->size[i].height);
	windows_free(g_steal_pointer(&v->windows));
	on_release_all(v);
	end_flips_soon(v);
	return G_SOURCE_REMOVE;
}

static void on_lost(void *data, const char *why)
{
	struct view *v = data;
	g_autofree char *problem = g_strdup_printf("the compositor is gone: %s", why);

	if (!v->options.outlive) {
		v->ended(v->data, problem);
		return;
	}
	g_message("%s; the guest is served on", problem);
	v->going = g_idle_add(go_on_alone, v); /* not from within the windows' own calls */
}

static const struct windows_events windows_events = {
	.flip_done = on_flip_done, .resized = on_resized, .closed = on_closed, .take_text = on_take_text, .give_text = on_give_text,
	.lost = on_lost,
};

static const struct input_sink sink = {
	.key = on_key, .release_all = on_release_all, .pointer = on_pointer, .wheel = on_wheel, .touch_down = on_touch_down,
	.touch_move = on_touch_move, .touch_up = on_touch_up, .touch_frame = on_touch_frame,
};

/* Devices. */

static char *token_of(const char *kind, uint32_t devid)
{
	return g_strdup_printf("device:%s/%u", kind, devid);
}

static void update_device(struct view *v, struct xenbus *bus)
{
	xenbus_update(bus);
	if (bus->gone)
		v->sweep = true;
}

static void add_display(struct view *v, uint32_t devid)
{
	g_autofree char *token = token_of("vdispl", devid);

	if (v->display)
		return;
	v->display = display_new(v->xen, v->options.domid, devid, token, &display_screens, v, v->options.saved);
	if (v->windows)
		windows_set_count(v->windows, display_connectors(v->display));
	update_device(v, display_bus(v->display));
}

static void add_keyboard(struct view *v, const char *kind, uint32_t devid)
{
	g_autofree char *token = token_of(kind, devid);

	if (v->keyboard)
		return;
	v->keyboard = keyboard_new(v->xen, v->options.domid, devid, token, kind);
	update_device(v, keyboard_bus(v->keyboard));
}

static void add_framebuffer(struct view *v, uint32_t devid)
{
	g_autofree char *token = token_of("vfb", devid);

	if (v->framebuffer)
		return;
	v->framebuffer = framebuffer_new(v->xen, v->options.domid, devid, token, &framebuffer_screens, v);
	arbitrate(v);
	update_device(v, framebuffer_bus(v->framebuffer));
}

static bool served(struct view *v, const char *kind)
{
	return v->options.vfb || (strcmp(kind, "vkbd") && strcmp(kind, "vfb"));
}

/* Takes up the devices of a kind that are there; a VM has one of each. */
static void look_for(struct view *v, const char *kind)
{
	g_autofree char *dir = xenbus_back_dir(v->xen, kind, v->options.domid);
	g_auto(GStrv) names = v->xen->ops->list(v->xen, 0, dir);
	uint32_t devid;

	for (unsigned i = 0; names && names[i]; i++) {
		if (store_parse_uint(names[i], UINT16_MAX, &devid))
			continue;
		if (!strcmp(kind, "vdispl"))
			add_display(v, devid);
		else if (!strcmp(kind, "vfb"))
			add_framebuffer(v, devid);
		else
			add_keyboard(v, kind, devid);
	}
}

static void drop_display(struct view *v)
{
	g_autofree char *token = NULL;

	if (!v->display)
		return;
	token = token_of("vdispl", display_bus(v->display)->devid);
	display_free(g_steal_pointer(&v->display), token);
}

static void drop_keyboard(struct view *v)
{
	g_autofree char *token = NULL;
	struct xenbus *bus;

	if (!v->keyboard)
		return;
	bus = keyboard_bus(v->keyboard);
	token = token_of(bus->driver->back_kind, bus->devid);
	keyboard_free(g_steal_pointer(&v->keyboard), token);
}

static void drop_framebuffer(struct view *v)
{
	g_autofree char *token = NULL;

	if (!v->framebuffer)
		return;
	token = token_of("vfb", framebuffer_bus(v->framebuffer)->devid);
	framebuffer_free(g_steal_pointer(&v->framebuffer), token);
}

/* Devices that the toolstack took away; not from within their own calls. */
static void sweep(struct view *v)
{
	v->sweep = false;
	if (v->display && display_bus(v->display)->gone)
		drop_display(v);
	if (v->keyboard && keyboard_bus(v->keyboard)->gone)
		drop_keyboard(v);
	if (v->framebuffer && framebuffer_bus(v->framebuffer)->gone)
		drop_framebuffer(v);
}

/* xenstore. */

static void on_device_watch(struct view *v, const char *name)
{
	struct xenbus *buses[] = {v->display ? display_bus(v->display) : NULL, v->keyboard ? keyboard_bus(v->keyboard) : NULL,
				  v->framebuffer ? framebuffer_bus(v->framebuffer) : NULL};

	for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++) {
		g_autofree char *own = buses[i] ? g_strdup_printf("%s/%u", buses[i]->driver->back_kind, buses[i]->devid) : NULL;

		if (own && !strcmp(own, name))
			update_device(v, buses[i]);
	}
	if (v->sweep)
		sweep(v);
}

static void on_watch(void *data, const char *token)
{
	struct view *v = data;

	if (g_str_has_prefix(token, "device:"))
		on_device_watch(data, token + strlen("device:"));
	else if (g_str_has_prefix(token, "kind:"))
		look_for(data, token + strlen("kind:"));
	else if (!strcmp(token, TEXT_TOKEN) && text_update(v->text) && v->windows)
		windows_tell_clipboard(v->windows, text_there(v->text));
}

static void on_event(void *data, uint32_t port)
{
	struct view *v = data;

	if (!(v->display && display_event(v->display, port)) && !(v->keyboard && keyboard_event(v->keyboard, port)) &&
	    v->framebuffer)
		framebuffer_event(v->framebuffer, port);
}

static void on_ended(void *data, const char *problem)
{
	struct view *v = data;

	v->ended(v->data, problem);
}

static const struct pv_listener listener = {.event = on_event, .watch = on_watch, .ended = on_ended};

struct view *view_new(struct xen *xen, struct wl_display *wayland, const struct view_options *options,
		      void (*ended)(void *data, const char *problem), void *data)
{
	struct view *v = g_new0(struct view, 1);

	v->xen = xen;
	v->options = *options;
	v->ended = ended;
	v->data = data;
	v->windows = windows_new(wayland, options->title, options->app_id, 1, &windows_events, &sink, v);
	v->loop = pv_loop_new(xen, options->domid, &listener, v);
	v->text = text_new(xen, options->domid);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *dir = xenbus_back_dir(xen, kinds[i], options->domid);
		g_autofree char *token = g_strdup_printf("kind:%s", kinds[i]);

		if (served(v, kinds[i]))
			xen->ops->watch(xen, dir, token); /* fires at once, which is the first look */
	}
	return v;
}

void view_free(struct view *v)
{
	drop_framebuffer(v);
	drop_keyboard(v);
	drop_display(v);
	text_free(v->text);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *dir = xenbus_back_dir(v->xen, kinds[i], v->options.domid);
		g_autofree char *token = g_strdup_printf("kind:%s", kinds[i]);

		if (served(v, kinds[i]))
			v->xen->ops->unwatch(v->xen, dir, token);
	}
	pv_loop_free(v->loop);
	g_clear_handle_id(&v->going, g_source_remove);
	g_clear_handle_id(&v->flips, g_source_remove);
	g_clear_pointer(&v->windows, windows_free);
	g_free(v);
}
