/* SPDX-License-Identifier: Apache-2.0 */
/* desk.conf, hotkeys, the set of keys that are down. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	char *path;
	GPtrArray *errors;
	Config *config;
} Loaded;

static Loaded load(const char *text)
{
	Loaded loaded = {.errors = g_ptr_array_new_with_free_func(g_free)};
	g_autoptr(GError) error = NULL;
	int fd = g_file_open_tmp(NULL, &loaded.path, &error);

	g_assert_no_error(error);
	g_close(fd, NULL);
	g_file_set_contents(loaded.path, text, -1, &error);
	g_assert_no_error(error);
	loaded.config = config_load(loaded.path, loaded.errors);
	g_assert_nonnull(loaded.config);
	return loaded;
}

static void unload(Loaded *loaded)
{
	g_unlink(loaded->path);
	g_free(loaded->path);
	g_ptr_array_unref(loaded->errors);
	config_free(loaded->config);
}

static void defaults(void)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(Config) config = config_load("/nonexistent/desk.conf", errors);
	g_autofree char *vm3 = chord_to_text(&config->chords[ACTION_VM1 + 2]);
	g_autofree char *attention = chord_to_text(&config->chords[ACTION_ATTENTION]);

	g_assert_cmpuint(errors->len, ==, 0);
	g_assert_cmpstr(vm3, ==, "Ctrl+Alt+3");
	g_assert_cmpstr(attention, ==, "Ctrl+Alt+Escape");
	g_assert_cmpstr(config->view_unit, ==, "carrel-view@%n.service");
	g_assert_null(config->view_command);
}

static void everything(void)
{
	Loaded loaded = load("[desk]\norder=work;personal\n[hotkeys]\nvm1=Super+F1\nlock=none\nclipboard=Ctrl+Alt+Shift+v\n"
		"[keyboard]\nlayout=jp\nrepeat-rate=30\n[frame]\nedge=6\nlabel-seconds=0\nfont=Sans 14\n"
		"[views]\ncommand=/bin/view --vm %n '%d x'\nanswer-within=5\n"
		"[output eDP-1]\nscale=1.5\nrotation=270\nmode=1920x1080@59.94\n[output *]\nenabled=false\n");
	const OutputConfig *panel = config_output(loaded.config, "eDP-1"), *other = config_output(loaded.config, "DP-7");
	g_autofree char *vm1 = chord_to_text(&loaded.config->chords[ACTION_VM1]);

	if (loaded.errors->len)
		g_error("%s", (char *)g_ptr_array_index(loaded.errors, 0));
	g_assert_cmpstr(loaded.config->order[1], ==, "personal");
	g_assert_cmpstr(vm1, ==, "Super+F1");
	g_assert_cmphex(loaded.config->chords[ACTION_LOCK].sym, ==, XKB_KEY_NoSymbol);
	g_assert_cmphex(loaded.config->chords[ACTION_CLIPBOARD].mods, ==, MOD_CTRL | MOD_ALT | MOD_SHIFT);
	g_assert_cmpstr(loaded.config->view_command[3], ==, "%d x");
	g_assert_cmpuint(loaded.config->answer_within, ==, 5000);
	g_assert_cmpfloat(panel->scale, ==, 1.5);
	g_assert_cmpuint(panel->rotation, ==, 270);
	g_assert_cmpuint(panel->refresh, ==, 59940);
	g_assert_true(panel->enabled);
	g_assert_false(other->enabled);
	unload(&loaded);
}

/* Each is left at its default and told of as FILE:group/key. */
static void mistakes(void)
{
	static const struct {
		const char *text, *at, *reason;
	} cases[] = {
		{"[hotkeys]\nvm1=Strg+1\n", "hotkeys/vm1", "Ctrl, Alt, Shift and Super"},
		{"[hotkeys]\nvm1=1\n", "hotkeys/vm1", "needs Ctrl"},
		{"[hotkeys]\nvm1=Shift+a\n", "hotkeys/vm1", "needs Ctrl"},
		{"[hotkeys]\nvm1=Ctrl+Alt\n", "hotkeys/vm1", "names no key"},
		{"[hotkeys]\nvm1=Ctrl+Nokey\n", "hotkeys/vm1", "names no key"},
		{"[hotkeys]\nvm2=Ctrl+Alt+1\n", "hotkeys/vm2", "is vm1"},
		{"[hotkeys]\nlock=Ctrl+Alt+Escape\n", "hotkeys/lock", "reserved"},
		{"[hotkeys]\nattention=Ctrl+Alt+q\n", "hotkeys/attention", "no such setting"},
		{"[frame]\nedge=0\n", "frame/edge", "from 1 to 32"},
		{"[frame]\nedge=99999999999999999999\n", "frame/edge", "from 1 to 32"},
		{"[frame]\nedge=-3\n", "frame/edge", "from 1 to 32"},
		{"[views]\nunit=view.service\n", "views/unit", "%n"},
		{"[views]\ncommand='open\n", "views/command", ""},
		{"[views]\nanswer-within=soon\n", "views/answer-within", "not a whole number"},
		{"[output X]\nscale=nan\n", "output X/scale", "0.5 to 4"},
		{"[output X]\nscale=\n", "output X/scale", "0.5 to 4"},
		{"[output X]\nrotation=45\n", "output X/rotation", "0, 90, 180 or 270"},
		{"[output X]\nmode=0x0\n", "output X/mode", "WIDTHxHEIGHT"},
		{"[output X]\nmode=800x600@nan\n", "output X/mode", "WIDTHxHEIGHT"},
		{"[output X]\nmode=800x600junk\n", "output X/mode", "WIDTHxHEIGHT"},
		{"[output X]\nenabled=maybe\n", "output X/enabled", "neither"},
		{"[frmae]\nedge=3\n", "frmae/edge", "no such setting"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		Loaded loaded = load(cases[i].text);
		g_autofree char *start = g_strdup_printf("%s:%s: ", loaded.path, cases[i].at);
		if (loaded.errors->len != 1)
			g_error("%s: %u errors", cases[i].text, loaded.errors->len);
		g_assert_true(g_str_has_prefix(g_ptr_array_index(loaded.errors, 0), start));
		if (!strstr(g_ptr_array_index(loaded.errors, 0), cases[i].reason))
			g_error("%s lacks '%s'", (char *)g_ptr_array_index(loaded.errors, 0), cases[i].reason);
		g_assert_cmpuint(loaded.config->edge, ==, 3);
		unload(&loaded);
	}
}

static void no_key_file(void)
{
	Loaded loaded = load("what is this");

	g_assert_cmpuint(loaded.errors->len, ==, 1);
	g_assert_true(g_str_has_prefix(g_ptr_array_index(loaded.errors, 0), loaded.path));
	unload(&loaded);
}

static struct xkb_keymap *keymap(const char *layout)
{
	struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
	struct xkb_keymap *map =
		xkb_keymap_new_from_names(context, &(struct xkb_rule_names){.layout = layout}, XKB_KEYMAP_COMPILE_NO_FLAGS);

	xkb_context_unref(context);
	g_assert_nonnull(map);
	return map;
}

/* Codes are evdev's: 2 is the key right of the backquote, 30 the one right of Caps Lock, 16 the one right of Tab. */
static void layouts(void)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(Config) config = config_load(NULL, errors);
	struct xkb_keymap *us = keymap("us"), *french = keymap("fr"), *dvorak = keymap("us(dvorak)");
	guint chord = MOD_CTRL | MOD_ALT;
	KeyTable table;

	key_table_build(&table, config->chords, us, us);
	g_assert_cmpint(key_table_match(&table, chord, 2), ==, ACTION_VM1);
	g_assert_cmpint(key_table_match(&table, chord, 10), ==, ACTION_VM9);
	g_assert_cmpint(key_table_match(&table, chord, 11), ==, ACTION_SWITCHER);
	g_assert_cmpint(key_table_match(&table, chord, 1), ==, ACTION_ATTENTION);
	g_assert_cmpint(key_table_match(&table, chord, 47), ==, ACTION_CLIPBOARD);
	g_assert_cmpint(key_table_match(&table, MOD_CTRL, 2), ==, ACTION_NONE);
	g_assert_cmpint(key_table_match(&table, chord | MOD_SHIFT, 2), ==, ACTION_NONE);
	/* Caps Lock and Num Lock (bits 1 and 4) are nobody's business. */
	g_assert_cmpint(key_table_match(&table, chord | 1u << 1 | 1u << 4, 2), ==, ACTION_VM1);

	/* A French keyboard types '&' there; the digit is above it. */
	key_table_build(&table, config->chords, french, us);
	g_assert_cmpint(key_table_match(&table, chord, 2), ==, ACTION_VM1);
	g_assert_cmpint(key_table_match(&table, chord, 47), ==, ACTION_CLIPBOARD);

	/* Where Dvorak types v, not where the US layout does. */
	key_table_build(&table, config->chords, dvorak, us);
	g_assert_cmpint(key_table_match(&table, chord, 52), ==, ACTION_CLIPBOARD);
	g_assert_cmpint(key_table_match(&table, chord, 47), ==, ACTION_NONE);
	xkb_keymap_unref(us);
	xkb_keymap_unref(french);
	xkb_keymap_unref(dvorak);
}

static void key_sets(void)
{
	KeySet set = {0};
	guint code;

	g_assert_true(key_set_add(&set, 30));
	g_assert_false(key_set_add(&set, 30));
	g_assert_true(key_set_add(&set, 767));
	g_assert_false(key_set_add(&set, 768));
	g_assert_false(key_set_add(&set, 0xffffffff));
	g_assert_false(key_set_remove(&set, 31));
	g_assert_false(key_set_remove(&set, 0xffffffff));
	g_assert_true(key_set_pop(&set, &code));
	g_assert_cmpuint(code, ==, 30);
	g_assert_true(key_set_pop(&set, &code));
	g_assert_cmpuint(code, ==, 767);
	g_assert_false(key_set_pop(&set, &code));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/defaults", defaults);
	g_test_add_func("/config/everything", everything);
	g_test_add_func("/config/mistakes", mistakes);
	g_test_add_func("/config/no-key-file", no_key_file);
	g_test_add_func("/keys/layouts", layouts);
	g_test_add_func("/keys/sets", key_sets);
	return g_test_run();
}
