/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

static const char *const themes[] = {"auto", "light", "dark"};

Config *config_load(const char *path)
{
	Config *config = g_new0(Config, 1);
	config->path = g_strdup(path);
	config->file = g_key_file_new();
	g_autoptr(GError) error = NULL;
	if (path && !g_key_file_load_from_file(config->file, path, G_KEY_FILE_KEEP_COMMENTS, &error) &&
		!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_warning("%s: %s; it is taken as empty", path, error->message);
		g_key_file_unref(config->file); /* what was read before the fault is not kept */
		config->file = g_key_file_new();
	}
	return config;
}

Theme config_theme(Config *config)
{
	g_autofree char *value = g_key_file_get_string(config->file, "desk", "theme", NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(themes); i++)
		if (g_strcmp0(value, themes[i]) == 0)
			return (Theme)i;
	return THEME_AUTO;
}

const char *config_language(Config *config)
{
	g_autofree char *value = g_key_file_get_string(config->file, "desk", "language", NULL);
	if (g_strcmp0(value, "ja") == 0)
		return "ja";
	return g_strcmp0(value, "en") == 0 ? "en" : "";
}

static gboolean save(Config *config, GError **error)
{
	if (!config->path)
		return TRUE;
	g_autofree char *dir = g_path_get_dirname(config->path);
	g_mkdir_with_parents(dir, 0700); /* saving says what is wrong, if anything is */
	return g_key_file_save_to_file(config->file, config->path, error);
}

gboolean config_set_theme(Config *config, Theme theme, GError **error)
{
	g_key_file_set_string(config->file, "desk", "theme", themes[theme]);
	return save(config, error);
}

gboolean config_set_language(Config *config, const char *language, GError **error)
{
	g_key_file_set_string(config->file, "desk", "language", language);
	return save(config, error);
}

void config_free(Config *config)
{
	g_key_file_unref(config->file);
	g_free(config->path);
	g_free(config);
}
