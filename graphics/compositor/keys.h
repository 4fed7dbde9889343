/* SPDX-License-Identifier: Apache-2.0 */
/* Hotkeys, and which keys the client with the keyboard knows to be down. */
#ifndef CARREL_DESK_KEYS_H
#define CARREL_DESK_KEYS_H

#include <glib.h>
#include <xkbcommon/xkbcommon.h>

typedef enum {
	ACTION_NONE,
	ACTION_ATTENTION, /* reserved: always to the switcher */
	ACTION_SWITCHER,
	ACTION_CLIPBOARD,
	ACTION_LOCK,
	ACTION_RESTART_VIEW,
	ACTION_VM1,
	ACTION_VM9 = ACTION_VM1 + 8,
	ACTION_COUNT,
} Action;

/* Bits as enum wlr_keyboard_modifier has them. */
#define MOD_SHIFT 1u
#define MOD_CTRL 4u
#define MOD_ALT 8u
#define MOD_SUPER 64u
#define MODS_OF_CHORDS (MOD_SHIFT | MOD_CTRL | MOD_ALT | MOD_SUPER)

typedef struct {
	guint mods;
	xkb_keysym_t sym; /* XKB_KEY_NoSymbol: none */
} Chord;

/* "Ctrl+Alt+1"; "" or "none" is no chord. *why: a reason, not to be freed. */
gboolean chord_parse(const char *text, Chord *chord, const char **why);
char *chord_to_text(const Chord *chord);
const char *action_key(Action action); /* its key in [hotkeys] */

#define KEY_CODES 768 /* evdev's KEY_CNT */

/* Chords as evdev codes, for one keymap. */
typedef struct {
	struct {
		guint mods, code;
		Action action;
	} entries[ACTION_COUNT * 4];
	guint count;
} KeyTable;

/* A chord's key is looked for in the keymap, without modifiers; one that it doesn't type there is where the US layout has
 * it (digits of a French keyboard). */
void key_table_build(KeyTable *table, const Chord chords[ACTION_COUNT], struct xkb_keymap *keymap, struct xkb_keymap *us);
Action key_table_match(const KeyTable *table, guint mods, guint code);

/* Keys that were forwarded as pressed and not yet as released. */
typedef struct {
	guint64 bits[KEY_CODES / 64];
} KeySet;

gboolean key_set_add(KeySet *set, guint code);    /* FALSE: was there, or no such code */
gboolean key_set_remove(KeySet *set, guint code); /* FALSE: was not there */
gboolean key_set_pop(KeySet *set, guint *code);   /* takes any one out; FALSE when empty */
#endif
