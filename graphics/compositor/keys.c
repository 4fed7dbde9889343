/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <string.h>

#define EVDEV_OFFSET 8 /* xkb key codes are evdev's plus 8 */

static const struct {
	const char *name;
	guint bit;
} modifiers[] = {{"Ctrl", MOD_CTRL}, {"Alt", MOD_ALT}, {"Shift", MOD_SHIFT}, {"Super", MOD_SUPER}};

static const char *const action_keys[ACTION_COUNT] = {
	[ACTION_SWITCHER] = "switcher",
	[ACTION_CLIPBOARD] = "clipboard",
	[ACTION_LOCK] = "lock",
	[ACTION_RESTART_VIEW] = "restart-view",
	[ACTION_VM1] = "vm1", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7", "vm8", "vm9",
};

const char *action_key(Action action)
{
	return action_keys[action];
}

static guint modifier_bit(const char *word)
{
	for (guint i = 0; i < G_N_ELEMENTS(modifiers); i++)
		if (!g_ascii_strcasecmp(word, modifiers[i].name))
			return modifiers[i].bit;
	return 0;
}

gboolean chord_parse(const char *text, Chord *chord, const char **why)
{
	g_auto(GStrv) words = g_strsplit(text, "+", -1);
	guint last = g_strv_length(words);
	Chord parsed = {0};

	if (last == 0 || !g_ascii_strcasecmp(text, "none")) {
		*chord = parsed;
		return TRUE;
	}
	last--;
	for (guint i = 0; i < last; i++) {
		guint bit = modifier_bit(g_strstrip(words[i]));
		if (!bit) {
			*why = "the modifiers are Ctrl, Alt, Shift and Super";
			return FALSE;
		}
		parsed.mods |= bit;
	}
	parsed.sym = xkb_keysym_from_name(g_strstrip(words[last]), XKB_KEYSYM_CASE_INSENSITIVE);
	if (parsed.sym == XKB_KEY_NoSymbol || modifier_bit(words[last])) {
		*why = "its last word names no key (as xkb names them: 1, v, Escape, F12)";
		return FALSE;
	}
	/* A key alone, or with Shift, is what people type. */
	if (!(parsed.mods & ~MOD_SHIFT)) {
		*why = "a hotkey needs Ctrl, Alt or Super, or nothing could be typed with its key";
		return FALSE;
	}
	*chord = parsed;
	return TRUE;
}

char *chord_to_text(const Chord *chord)
{
	GString *text = g_string_new(NULL);
	char name[64] = "";

	if (chord->sym == XKB_KEY_NoSymbol)
		return g_string_free(g_string_append(text, "none"), FALSE);
	for (guint i = 0; i < G_N_ELEMENTS(modifiers); i++)
		if (chord->mods & modifiers[i].bit)
			g_string_append_printf(text, "%s+", modifiers[i].name);
	xkb_keysym_get_name(chord->sym, name, sizeof(name));
	if (name[1] == '\0')
		name[0] = g_ascii_toupper(name[0]);
	else if (chord->sym == XKB_KEY_BackSpace)
		g_strlcpy(name, "Backspace", sizeof(name)); /* as it is printed on keys */
	return g_string_free(g_string_append(text, name), FALSE);
}

static gboolean types(struct xkb_keymap *keymap, xkb_keycode_t key, xkb_keysym_t sym)
{
	for (xkb_layout_index_t layout = 0; layout < xkb_keymap_num_layouts_for_key(keymap, key); layout++) {
		const xkb_keysym_t *syms;
		int count = xkb_keymap_key_get_syms_by_level(keymap, key, layout, 0, &syms);
		for (int i = 0; i < count; i++)
			if (xkb_keysym_to_lower(syms[i]) == xkb_keysym_to_lower(sym))
				return TRUE;
	}
	return FALSE;
}

static guint add_keys(KeyTable *table, Action action, const Chord *chord, struct xkb_keymap *keymap)
{
	guint found = 0;

	if (!keymap)
		return 0;
	for (xkb_keycode_t key = xkb_keymap_min_keycode(keymap); key <= xkb_keymap_max_keycode(keymap); key++) {
		if (key < EVDEV_OFFSET || table->count == G_N_ELEMENTS(table->entries) || !types(keymap, key, chord->sym))
			continue;
		table->entries[table->count].mods = chord->mods;
		table->entries[table->count].code = key - EVDEV_OFFSET;
		table->entries[table->count++].action = action;
		if (++found == 3) /* so that no chord takes another's place */
			break;
	}
	return found;
}

void key_table_build(KeyTable *table, const Chord chords[ACTION_COUNT], struct xkb_keymap *keymap, struct xkb_keymap *us)
{
	memset(table, 0, sizeof(*table));
	for (Action action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
		if (chords[action].sym != XKB_KEY_NoSymbol && !add_keys(table, action, &chords[action], keymap))
			add_keys(table, action, &chords[action], us);
}

Action key_table_match(const KeyTable *table, guint mods, guint code)
{
	mods &= MODS_OF_CHORDS;
	for (guint i = 0; i < table->count; i++)
		if (table->entries[i].code == code && table->entries[i].mods == mods)
			return table->entries[i].action;
	return ACTION_NONE;
}

gboolean key_set_add(KeySet *set, guint code)
{
	guint64 bit = G_GUINT64_CONSTANT(1) << (code % 64);

	if (code >= KEY_CODES || (set->bits[code / 64] & bit))
		return FALSE;
	set->bits[code / 64] |= bit;
	return TRUE;
}

gboolean key_set_remove(KeySet *set, guint code)
{
	guint64 bit = G_GUINT64_CONSTANT(1) << (code % 64);

	if (code >= KEY_CODES || !(set->bits[code / 64] & bit))
		return FALSE;
	set->bits[code / 64] &= ~bit;
	return TRUE;
}

gboolean key_set_pop(KeySet *set, guint *code)
{
	for (guint i = 0; i < KEY_CODES / 64; i++) {
		if (!set->bits[i])
			continue;
		*code = i * 64 + (guint)__builtin_ctzll(set->bits[i]);
		return key_set_remove(set, *code);
	}
	return FALSE;
}
