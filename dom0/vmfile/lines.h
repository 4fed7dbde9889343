/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: where in a key file's text something is, which GKeyFile does not tell. */
#ifndef CARREL_VMFILE_LINES_H
#define CARREL_VMFILE_LINES_H

#include "vmfile.h"

typedef struct {
	const char *label; /* NULL: errors name no file and line */
	GHashTable *lines; /* "group" and "group\nkey" to line number */
} Lines;

/* Sets an error "LABEL:LINE: [group] key: reason"; key may be NULL, group too. Returns FALSE. */
gboolean lines_refuse(const Lines *lines, const char *group, const char *key, const char *reason, GError **error);
char *lines_where(const Lines *lines, const char *group, const char *key);
/* Loads text into keys. Refuses what GKeyFile would drop or merge: duplicates; and bytes that are no text. */
gboolean lines_load(Lines *lines, GKeyFile *keys, const char *text, gsize length, GError **error);

#endif
