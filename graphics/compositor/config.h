/* SPDX-License-Identifier: Apache-2.0 */
/* desk.conf: what the person or the company may choose. carrel-desk.conf(5) is its reference. */
#ifndef CARREL_DESK_CONFIG_H
#define CARREL_DESK_CONFIG_H

#include "keys.h"

typedef struct {
	char *name; /* of the connector, or "*" */
	gboolean enabled;
	double scale;        /* 0: from the panel's size */
	guint rotation;      /* degrees clockwise: 0, 90, 180, 270 */
	guint width, height; /* 0: the preferred mode */
	guint refresh;       /* mHz, 0: any */
} OutputConfig;

typedef struct {
	GStrv order; /* names of VMs: these come first, the rest by name */
	Chord chords[ACTION_COUNT];
	char *layout, *variant, *model, *options; /* xkb names of the switcher's and the lock screen's keyboard */
	guint repeat_rate, repeat_delay;
	guint edge;          /* pixels before scaling */
	guint label_seconds; /* 0: the name stays */
	char *font;
	char *view_unit;    /* %n: the VM's name; used when view_command is NULL */
	GStrv view_command; /* %n: the VM's name, %d: its domain */
	guint answer_within; /* milliseconds until a view counts as hung */
	guint retry_first, retry_most; /* milliseconds until a view that ended is started again */
	GPtrArray *outputs; /* OutputConfig */
} Config;

/* Defaults, then what the file says. What is wrong is left at its default and described in errors (char *), each
 * "FILE:group/key: reason"; a file that is not there is no error. */
Config *config_load(const char *path, GPtrArray *errors);
const OutputConfig *config_output(const Config *config, const char *name);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)
#endif
