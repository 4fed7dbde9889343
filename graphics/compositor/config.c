/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT_GROUP "output "
#define ATTENTION "Ctrl+Alt+Escape"

typedef struct {
	const char *path;
	GKeyFile *file;
	GPtrArray *errors;
	GHashTable *known; /* "group/key" that were asked for */
} Reader;

G_GNUC_PRINTF(4, 5) static void complain(Reader *reader, const char *group, const char *key, const char *format, ...)
{
	va_list args;
	g_autofree char *reason = NULL;

	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(reader->errors, g_strdup_printf("%s:%s/%s: %s", reader->path, group, key, reason));
}

/* The key's text or NULL; from here on the key is a known one. */
static char *read_text(Reader *reader, const char *group, const char *key)
{
	g_autoptr(GError) error = NULL;
	char *text;

	g_hash_table_add(reader->known, g_strdup_printf("%s/%s", group, key));
	if (!g_key_file_has_key(reader->file, group, key, NULL))
		return NULL;
	text = g_key_file_get_string(reader->file, group, key, &error);
	if (!text)
		complain(reader, group, key, "%s", error->message);
	return text ? g_strstrip(text) : NULL;
}

static void read_string(Reader *reader, const char *group, const char *key, char **value)
{
	char *text = read_text(reader, group, key);

	if (text) {
		g_free(*value);
		*value = text;
	}
}

static void read_number(Reader *reader, const char *group, const char *key, guint least, guint most, guint *value)
{
	g_autofree char *text = read_text(reader, group, key);
	guint64 number;

	if (!text)
		return;
	if (g_ascii_string_to_unsigned(text, 10, least, most, &number, NULL))
		*value = (guint)number;
	else
		complain(reader, group, key, "'%s' is not a whole number from %u to %u", text, least, most);
}

static void read_chord(Reader *reader, Action action, Chord *chord)
{
	const char *key = action_key(action), *why = NULL;
	g_autofree char *text = read_text(reader, "hotkeys", key);

	if (text && !chord_parse(text, chord, &why))
		complain(reader, "hotkeys", key, "'%s': %s", text, why);
}

static void default_chords(Config *config)
{
	static const struct {
		Action action;
		const char *text;
	} defaults[] = {{ACTION_ATTENTION, ATTENTION},    {ACTION_SWITCHER, "Ctrl+Alt+0"},
		{ACTION_CLIPBOARD, "Ctrl+Alt+V"}, {ACTION_LOCK, "Ctrl+Alt+L"},
		{ACTION_RESTART_VIEW, "Ctrl+Alt+BackSpace"}};
	const char *why;

	for (guint i = 0; i < G_N_ELEMENTS(defaults); i++)
		chord_parse(defaults[i].text, &config->chords[defaults[i].action], &why);
	for (guint n = 0; n < 9; n++) {
		g_autofree char *text = g_strdup_printf("Ctrl+Alt+%u", n + 1);
		chord_parse(text, &config->chords[ACTION_VM1 + n], &why);
	}
}

/* Two actions on one chord: the later one goes, and nothing takes the attention key. */
static void check_chords(Reader *reader, Config *config)
{
	for (Action action = ACTION_ATTENTION + 1; action < ACTION_COUNT; action++) {
		Chord *chord = &config->chords[action];
		for (Action other = ACTION_ATTENTION; other < action && chord->sym != XKB_KEY_NoSymbol; other++) {
			g_autofree char *text = chord_to_text(chord);
			if (config->chords[other].sym != chord->sym || config->chords[other].mods != chord->mods)
				continue;
			complain(reader, "hotkeys", action_key(action), "%s is %s", text,
				other == ACTION_ATTENTION ? "reserved: it always shows the switcher" : action_key(other));
			*chord = (Chord){0};
		}
	}
}

static gboolean parse_mode(const char *text, OutputConfig *output)
{
	unsigned width, height;
	double hertz = 0;
	int end = 0;

	if (sscanf(text, "%5ux%5u%n", &width, &height, &end) != 2 || width == 0 || height == 0)
		return FALSE;
	if (text[end] == '@') {
		char *rest;
		hertz = g_ascii_strtod(text + end + 1, &rest);
		if (*rest || !(hertz >= 1 && hertz <= 1000))
			return FALSE;
	} else if (text[end]) {
		return FALSE;
	}
	output->width = width;
	output->height = height;
	output->refresh = (guint)lround(hertz * 1000);
	return TRUE;
}

static void read_output(Reader *reader, const char *group, OutputConfig *output)
{
	g_autofree char *enabled = read_text(reader, group, "enabled"), *scale = read_text(reader, group, "scale");
	g_autofree char *mode = read_text(reader, group, "mode");
	guint rotation = 0;

	if (enabled && strcmp(enabled, "true") && strcmp(enabled, "false"))
		complain(reader, group, "enabled", "'%s' is neither true nor false", enabled);
	output->enabled = !enabled || strcmp(enabled, "false");
	if (scale) {
		char *rest;
		double factor = g_ascii_strtod(scale, &rest);
		if (*rest || !*scale || !(factor >= 0.5 && factor <= 4))
			complain(reader, group, "scale", "'%s' is not a number from 0.5 to 4", scale);
		else
			output->scale = factor;
	}
	if (mode && !parse_mode(mode, output))
		complain(reader, group, "mode", "'%s' is not WIDTHxHEIGHT or WIDTHxHEIGHT@HERTZ", mode);
	read_number(reader, group, "rotation", 0, 270, &rotation);
	if (rotation % 90)
		complain(reader, group, "rotation", "%u is not 0, 90, 180 or 270", rotation);
	else
		output->rotation = rotation;
}

static void read_outputs(Reader *reader, Config *config)
{
	g_auto(GStrv) groups = g_key_file_get_groups(reader->file, NULL);

	for (guint i = 0; groups[i]; i++) {
		OutputConfig *output;
		if (!g_str_has_prefix(groups[i], OUTPUT_GROUP))
			continue;
		output = g_new0(OutputConfig, 1);
		output->name = g_strstrip(g_strdup(groups[i] + strlen(OUTPUT_GROUP)));
		read_output(reader, groups[i], output);
		g_ptr_array_add(config->outputs, output);
	}
}

static void read_views(Reader *reader, Config *config)
{
	g_autofree char *command = read_text(reader, "views", "command");
	g_autoptr(GError) error = NULL;
	guint seconds = config->answer_within / 1000;

	read_string(reader, "views", "unit", &config->view_unit);
	if (!strstr(config->view_unit, "%n")) {
		complain(reader, "views", "unit", "'%s' needs %%n, the VM's name, or all views would be one", config->view_unit);
		g_free(config->view_unit);
		config->view_unit = g_strdup("carrel-view@%n.service");
	}
	if (command && *command && !g_shell_parse_argv(command, NULL, &config->view_command, &error))
		complain(reader, "views", "command", "%s", error->message);
	read_number(reader, "views", "answer-within", 1, 60, &seconds);
	config->answer_within = seconds * 1000;
	read_number(reader, "views", "retry-first", 10, 60000, &config->retry_first);
	read_number(reader, "views", "retry-most", 10, 600000, &config->retry_most);
}

static void read_all(Reader *reader, Config *config)
{
	g_autofree char *order = read_text(reader, "desk", "order");

	if (order) {
		g_strfreev(config->order);
		config->order = g_strsplit_set(order, "; ", -1);
	}
	for (Action action = ACTION_ATTENTION + 1; action < ACTION_COUNT; action++)
		read_chord(reader, action, &config->chords[action]);
	read_string(reader, "keyboard", "layout", &config->layout);
	read_string(reader, "keyboard", "variant", &config->variant);
	read_string(reader, "keyboard", "model", &config->model);
	read_string(reader, "keyboard", "options", &config->options);
	read_number(reader, "keyboard", "repeat-rate", 0, 200, &config->repeat_rate);
	read_number(reader, "keyboard", "repeat-delay", 50, 5000, &config->repeat_delay);
	read_number(reader, "frame", "edge", 1, 32, &config->edge);
	read_number(reader, "frame", "label-seconds", 0, 3600, &config->label_seconds);
	read_string(reader, "frame", "font", &config->font);
	read_views(reader, config);
	read_outputs(reader, config);
	check_chords(reader, config);
}

/* A key that nobody asked for is a mistake in its name. */
static void check_known(Reader *reader)
{
	g_auto(GStrv) groups = g_key_file_get_groups(reader->file, NULL);

	for (guint i = 0; groups[i]; i++) {
		g_auto(GStrv) keys = g_key_file_get_keys(reader->file, groups[i], NULL, NULL);
		for (guint j = 0; keys && keys[j]; j++) {
			g_autofree char *name = g_strdup_printf("%s/%s", groups[i], keys[j]);
			if (!g_hash_table_contains(reader->known, name))
				complain(reader, groups[i], keys[j], "no such setting; see carrel-desk.conf(5)");
		}
	}
}

static void output_config_free(gpointer data)
{
	OutputConfig *output = data;

	g_free(output->name);
	g_free(output);
}

Config *config_load(const char *path, GPtrArray *errors)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GError) error = NULL;
	Reader reader = {path, file, errors, known};
	Config *config = g_new0(Config, 1);

	config->order = g_new0(char *, 1);
	default_chords(config);
	config->layout = g_strdup("us");
	config->repeat_rate = 25;
	config->repeat_delay = 600;
	config->edge = 3;
	config->label_seconds = 3;
	config->font = g_strdup("Sans 11");
	config->view_unit = g_strdup("carrel-view@%n.service");
	config->answer_within = 2000;
	config->retry_first = 250;
	config->retry_most = 30000;
	config->outputs = g_ptr_array_new_with_free_func(output_config_free);
	if (!path)
		return config;
	if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
		read_all(&reader, config);
		check_known(&reader);
	} else if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_ptr_array_add(errors, g_strdup_printf("%s: %s; the defaults are used", path, error->message));
	}
	return config;
}

const OutputConfig *config_output(const Config *config, const char *name)
{
	const OutputConfig *any = NULL;

	for (guint i = 0; i < config->outputs->len; i++) {
		const OutputConfig *output = g_ptr_array_index(config->outputs, i);
		if (!strcmp(output->name, name))
			return output;
		if (!strcmp(output->name, "*"))
			any = output;
	}
	return any;
}

void config_free(Config *config)
{
	if (!config)
		return;
	g_strfreev(config->order);
	g_strfreev(config->view_command);
	g_free(config->layout);
	g_free(config->variant);
	g_free(config->model);
	g_free(config->options);
	g_free(config->font);
	g_free(config->view_unit);
	g_ptr_array_unref(config->outputs);
	g_free(config);
}
