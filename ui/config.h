/* SPDX-License-Identifier: Apache-2.0 */
/* What the person chose for this machine's desk, kept in carrel/switcher.ini below the configuration directory. */
#ifndef CARREL_UI_CONFIG_H
#define CARREL_UI_CONFIG_H

#include <glib.h>

typedef enum { THEME_AUTO, THEME_LIGHT, THEME_DARK } Theme; /* auto: light by day */

typedef struct {
	char *path; /* NULL: nothing is kept */
	GKeyFile *file;
} Config;

Config *config_load(const char *path); /* a missing or broken file is as if it were empty */
Theme config_theme(Config *config);
const char *config_language(Config *config); /* "en", "ja", or "" for the system's; static string */
gboolean config_set_theme(Config *config, Theme theme, GError **error);
gboolean config_set_language(Config *config, const char *language, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
#endif
