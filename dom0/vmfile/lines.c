// SPDX-License-Identifier: Apache-2.0
#include "lines.h"

#include <string.h>

enum { MAX_NAME = 128 };

G_GNUC_PRINTF(4, 5)
static gboolean refuse_line(const Lines *lines, guint line, GError **error, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list args;

	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	if (lines->label)
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, "%s:%u: %s", lines->label, line, reason);
	else
		g_set_error_literal(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, reason);
	return FALSE;
}

static char *id_of(const char *group, const char *key)
{
	return key ? g_strdup_printf("%s\n%s", group, key) : g_strdup(group);
}

static guint line_of(const Lines *lines, const char *group, const char *key)
{
	g_autofree char *id = id_of(group, key);
	gpointer line = g_hash_table_lookup(lines->lines, id);

	if (!line)
		line = g_hash_table_lookup(lines->lines, group);
	return line ? GPOINTER_TO_UINT(line) : 1;
}

char *lines_where(const Lines *lines, const char *group, const char *key)
{
	g_autofree char *where = lines->label ? g_strdup_printf("%s:%u: ", lines->label, line_of(lines, group, key)) : g_strdup("");

	return g_strdup_printf("%s[%s]%s%s", where, group, key ? " " : "", key ? key : "");
}

gboolean lines_refuse(const Lines *lines, const char *group, const char *key, const char *reason, GError **error)
{
	g_autofree char *where = lines_where(lines, group, key);

	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, "%s: %s", where, reason);
	return FALSE;
}

static guint count_lines(const char *text, const char *end)
{
	guint line = 1;

	for (const char *p = text; p < end && (p = memchr(p, '\n', (gsize)(end - p))); p++)
		line++;
	return line;
}

static gboolean check_bytes(const Lines *lines, const char *text, gsize length, GError **error)
{
	const char *end;

	if (!g_utf8_validate_len(text, length, &end))
		return refuse_line(lines, count_lines(text, end), error, "not UTF-8 text");
	for (const char *p = text; p < text + length; p++)
		if (g_ascii_iscntrl(*p) && *p != '\n' && *p != '\t' && !(*p == '\r' && p + 1 < text + length && p[1] == '\n'))
			return refuse_line(lines, count_lines(text, p), error, "has the control character 0x%02x", (guint)*p);
	return TRUE;
}

static gboolean load(GKeyFile *keys, const char *text, gsize length, GError **error)
{
	return g_key_file_load_from_data(keys, text, length, G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS, error);
}

static gsize end_of_line(const char *text, gsize length, gsize at)
{
	const char *newline = memchr(text + at, '\n', length - at);

	return newline ? (gsize)(newline - text) + 1 : length;
}

/* GKeyFile stops at the first line that it cannot take: the last of the shortest beginning that it refuses. */
static guint find_bad_line(const char *text, gsize length)
{
	g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(gsize));
	guint good = 0, bad;

	for (gsize at = 0; at < length;) {
		at = end_of_line(text, length, at);
		g_array_append_val(ends, at);
	}
	for (bad = ends->len; bad > good + 1;) {
		guint half = (good + bad) / 2;
		g_autoptr(GKeyFile) keys = g_key_file_new();

		if (load(keys, text, g_array_index(ends, gsize, half - 1), NULL))
			good = half;
		else
			bad = half;
	}
	return bad;
}

static gboolean note_line(Lines *lines, const char *group, const char *key, guint line, GError **error)
{
	g_autofree char *id = id_of(group, key);
	gpointer before = g_hash_table_lookup(lines->lines, id);

	if (strlen(key ? key : group) > MAX_NAME)
		return refuse_line(lines, line, error, "the name is longer than %d bytes", MAX_NAME);
	if (before)
		return refuse_line(lines, line, error, "[%s]%s%s is in line %u already", group, key ? " " : "", key ? key : "",
			GPOINTER_TO_UINT(before));
	g_hash_table_insert(lines->lines, g_steal_pointer(&id), GUINT_TO_POINTER(line));
	return TRUE;
}

/* Of a text that GKeyFile took: which line has which group or key. */
static gboolean note_lines(Lines *lines, const char *text, gsize length, GError **error)
{
	g_autofree char *group = NULL;
	guint number = 0;

	for (gsize at = 0, end; at < length; at = end) {
		g_autofree char *line = g_strstrip(g_strndup(text + at, (end = end_of_line(text, length, at)) - at));
		char *stop = strchr(line, *line == '[' ? ']' : '=');

		number++;
		if (*line == '#' || !stop)
			continue;
		*stop = 0;
		if (*line == '[') {
			g_free(group);
			group = g_strdup(line + 1);
			if (!note_line(lines, group, NULL, number, error))
				return FALSE;
		} else if (group && !note_line(lines, group, g_strchomp(line), number, error)) {
			return FALSE;
		}
	}
	return TRUE;
}

gboolean lines_load(Lines *lines, GKeyFile *keys, const char *text, gsize length, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (!check_bytes(lines, text, length, error))
		return FALSE;
	if (!load(keys, text, length, &local))
		return refuse_line(lines, find_bad_line(text, length), error, "is not fit: neither [group], key=value nor # comment, or a "
			"key before the first group");
	return note_lines(lines, text, length, error);
}
