/* SPDX-License-Identifier: Apache-2.0 */
/* All keyboards are one. A key goes to the hotkeys first; what is left goes to the one client that has the focus, which is
 * told of each key's release exactly if it was told of its press. */
#include "desk.h"

#include <string.h>
#include <time.h>

static uint32_t now_msec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* A view that is hung has no focus, so that its queue does not fill. Whether it is, is asked by what a person does. */
static gboolean may_send(Desk *desk)
{
	if (desk->shown && !desk->locked)
		vm_ask(desk->shown);
	return desk->seat->keyboard_state.focused_surface != NULL;
}

/* Modifiers as the client may know them: of the keys that it was told of. Locks are everybody's. */
static void send_modifiers(Desk *desk)
{
	const struct wlr_keyboard_modifiers *real = &desk->keyboards->keyboard.modifiers;
	struct wlr_keyboard_modifiers mods = {
		.depressed = xkb_state_serialize_mods(desk->client_keys, XKB_STATE_MODS_DEPRESSED),
		.locked = real->locked,
		.group = real->group,
	};

	if (!memcmp(&mods, &desk->client_mods, sizeof(mods)))
		return;
	desk->client_mods = mods;
	wlr_seat_keyboard_notify_modifiers(desk->seat, &mods);
}

static void send_key(Desk *desk, uint32_t time, uint32_t code, enum wl_keyboard_key_state state)
{
	enum xkb_key_direction direction = state == WL_KEYBOARD_KEY_STATE_PRESSED ? XKB_KEY_DOWN : XKB_KEY_UP;

	wlr_seat_keyboard_notify_key(desk->seat, time, code, state);
	xkb_state_update_key(desk->client_keys, code + 8, direction);
	send_modifiers(desk);
}

static void on_key(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, key);
	const struct wlr_keyboard_key_event *event = data;
	guint mods = wlr_keyboard_get_modifiers(&desk->keyboards->keyboard);

	if (event->state == WL_KEYBOARD_KEY_STATE_PRESSED) {
		Action action = key_table_match(&desk->hotkeys, mods, event->keycode);
		if (action != ACTION_NONE)
			desk_act(desk, action);
		else if (may_send(desk) && key_set_add(&desk->forwarded, event->keycode))
			send_key(desk, event->time_msec, event->keycode, event->state);
	} else if (key_set_remove(&desk->forwarded, event->keycode)) {
		send_key(desk, event->time_msec, event->keycode, event->state);
	}
}

/* Depressed modifiers follow the keys that were sent; this is for locks and layouts. */
static void on_modifiers(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, modifiers);

	(void)data;
	send_modifiers(desk);
}

/* A keyboard was unplugged with keys down. */
static void on_keys_left(struct wl_listener *listener, void *data)
{
	Desk *desk = wl_container_of(listener, desk, keys_left);
	struct wl_array *keys = data;
	uint32_t *code;

	wl_array_for_each(code, keys)
		if (key_set_remove(&desk->forwarded, *code))
			send_key(desk, now_msec(), *code, WL_KEYBOARD_KEY_STATE_RELEASED);
}

static void release_all(Desk *desk)
{
	guint code;

	while (key_set_pop(&desk->forwarded, &code))
		send_key(desk, now_msec(), code, WL_KEYBOARD_KEY_STATE_RELEASED);
}

void keyboard_focus(Desk *desk, struct wlr_surface *surface)
{
	if (desk->seat->keyboard_state.focused_surface == surface)
		return;
	release_all(desk);
	/* A menu's grab would keep the keyboard. */
	if (wlr_seat_keyboard_has_grab(desk->seat))
		wlr_seat_keyboard_end_grab(desk->seat);
	if (!surface) {
		wlr_seat_keyboard_clear_focus(desk->seat);
		return;
	}
	/* No keys: what is down now was meant for somebody else. */
	desk->client_mods = (struct wlr_keyboard_modifiers){.locked = desk->keyboards->keyboard.modifiers.locked,
		.group = desk->keyboards->keyboard.modifiers.group};
	wlr_seat_keyboard_enter(desk->seat, surface, NULL, 0, &desk->client_mods);
}

static struct xkb_keymap *make_keymap(struct xkb_context *context, const struct xkb_rule_names *names)
{
	return context ? xkb_keymap_new_from_names(context, names, XKB_KEYMAP_COMPILE_NO_FLAGS) : NULL;
}

gboolean keyboard_init(Desk *desk, GError **error)
{
	const Config *config = desk->config;
	struct xkb_rule_names names = {.layout = config->layout, .variant = config->variant, .model = config->model,
		.options = config->options};
	struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
	struct xkb_keymap *us = make_keymap(context, &(struct xkb_rule_names){.layout = "us"});
	struct xkb_keymap *keymap = make_keymap(context, &names);

	if (!keymap && us) {
		g_warning("keyboard layout '%s' is not known to xkb; using 'us'", config->layout);
		keymap = xkb_keymap_ref(us);
	}
	xkb_context_unref(context);
	if (!keymap) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "xkb has no keyboard layouts; is xkb-data installed?");
		return FALSE;
	}
	desk->keyboards = wlr_keyboard_group_create();
	wlr_keyboard_set_keymap(&desk->keyboards->keyboard, keymap);
	wlr_keyboard_set_repeat_info(&desk->keyboards->keyboard, (int)config->repeat_rate, (int)config->repeat_delay);
	desk->client_keys = xkb_state_new(keymap);
	key_table_build(&desk->hotkeys, config->chords, keymap, us);
	xkb_keymap_unref(keymap);
	xkb_keymap_unref(us);
	wlr_seat_set_keyboard(desk->seat, &desk->keyboards->keyboard);
	listen_to(&desk->keyboards->keyboard.events.key, &desk->key, on_key);
	listen_to(&desk->keyboards->keyboard.events.modifiers, &desk->modifiers, on_modifiers);
	listen_to(&desk->keyboards->events.leave, &desk->keys_left, on_keys_left);
	return TRUE;
}

void keyboard_add(Desk *desk, struct wlr_input_device *device)
{
	struct wlr_keyboard *keyboard = wlr_keyboard_from_input_device(device);

	wlr_keyboard_set_keymap(keyboard, desk->keyboards->keyboard.keymap);
	wlr_keyboard_set_repeat_info(keyboard, desk->keyboards->keyboard.repeat_info.rate,
		desk->keyboards->keyboard.repeat_info.delay);
	/* It leaves the group by itself when it goes. */
	if (!wlr_keyboard_group_add_keyboard(desk->keyboards, keyboard))
		g_warning("keyboard %s could not be added", device->name);
}

void keyboard_finish(Desk *desk)
{
	listener_remove(&desk->key);
	listener_remove(&desk->modifiers);
	listener_remove(&desk->keys_left);
	g_clear_pointer(&desk->client_keys, xkb_state_unref);
	g_clear_pointer(&desk->keyboards, wlr_keyboard_group_destroy);
}
