// SPDX-License-Identifier: Apache-2.0
/* What people see: strings made harmless, measured by the columns they take, in tables. Guests, images and VM files choose
 * names and titles, so any of them may try to speak to the terminal. */
#include "carrelctl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Controls, and marks that turn the direction of a line or end it. */
static gboolean harmless(gunichar c)
{
	if (c == 0x2028 || c == 0x2029)
		return FALSE;
	return c >= 0x20 && g_unichar_isprint(c);
}

static void append_escaped(GString *out, gunichar c)
{
	switch (c) {
	case '\n': g_string_append(out, "\\n"); break;
	case '\t': g_string_append(out, "\\t"); break;
	case '\r': g_string_append(out, "\\r"); break;
	default: g_string_append_printf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
}

static char *make_safe(const char *text, const char *keep)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *out = g_string_new(NULL);
	gboolean utf8 = g_get_charset(NULL);

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if ((c < 0x80 && strchr(keep, (int)c)) || (harmless(c) && (utf8 || c < 0x80)))
			g_string_append_unichar(out, c);
		else
			append_escaped(out, c);
	}
	return g_string_free(out, FALSE);
}

char *text_safe(const char *text)
{
	return make_safe(text, "");
}

char *text_safe_lines(const char *text)
{
	return make_safe(text, "\n\t");
}

static int char_width(gunichar c)
{
	return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

int text_width(const char *safe)
{
	int width = 0;

	for (; *safe; safe = g_utf8_next_char(safe))
		width += char_width(g_utf8_get_char(safe));
	return width;
}

char *text_fit(const char *safe, int columns)
{
	const char *dots = g_get_charset(NULL) ? "…" : "~", *p;
	int width = 0;

	if (text_width(safe) <= columns)
		return g_strdup(safe);
	for (p = safe; *p; p = g_utf8_next_char(p)) {
		width += char_width(g_utf8_get_char(p));
		if (width > columns - 1)
			break;
	}
	return g_strdup_printf("%.*s%s", (int)(p - safe), safe, columns > 0 ? dots : "");
}

char *text_size(guint64 bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	guint unit = 0;

	while (value >= 1024 && unit < G_N_ELEMENTS(units) - 1) {
		value /= 1024;
		unit++;
	}
	if (value == (double)(guint64)value)
		return g_strdup_printf("%.0f %s", value, units[unit]);
	return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *text_time(guint64 ns)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)(ns / 1000000000));

	return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup("-");
}

char *text_duration(guint64 ns)
{
	guint64 s = ns / 1000000000;

	if (s < 60)
		return g_strdup_printf("%.1f s", (double)ns / 1e9);
	if (s < 3600)
		return g_strdup_printf("%" G_GUINT64_FORMAT ":%02u min", s / 60, (guint)(s % 60));
	return g_strdup_printf("%" G_GUINT64_FORMAT ":%02u:%02u h", s / 3600, (guint)(s / 60 % 60), (guint)(s % 60));
}

int terminal_width(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

/* https://no-color.org: any value but an empty one. */
gboolean text_colours(int fd)
{
	const char *none = g_getenv("NO_COLOR"), *term = g_getenv("TERM");

	return isatty(fd) && !(none && *none) && term && !g_str_equal(term, "dumb");
}

const char *state_colour(const char *state)
{
	static const char *const colours[][2] = {
		{"running", "32"}, {"paused", "33"}, {"suspended", "33"}, {"crashed", "31"}, {"broken", "31"}, {"off", "2"},
		{"done", "32"}, {"failed", "31"}, {"cancelled", "33"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(colours); i++)
		if (g_str_equal(state, colours[i][0]))
			return colours[i][1];
	return "36";
}

typedef struct {
	char *text;
	const char *colour;
	int width;
} Cell;

struct Table {
	const char *const *headers;
	guint columns;
	GArray *cells;
};

static void cell_clear(gpointer cell)
{
	g_free(((Cell *)cell)->text);
}

Table *table_new(const char *const *headers)
{
	Table *table = g_new0(Table, 1);

	table->headers = headers;
	table->columns = g_strv_length((char **)headers);
	table->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
	g_array_set_clear_func(table->cells, cell_clear);
	return table;
}

void table_free(Table *table)
{
	g_array_unref(table->cells);
	g_free(table);
}

void table_add(Table *table, const char *colour, const char *text)
{
	Cell cell = {text_safe(text), colour, 0};

	cell.width = text_width(cell.text);
	g_array_append_val(table->cells, cell);
}

void table_take(Table *table, char *text)
{
	table_add(table, NULL, text);
	g_free(text);
}

static void print_padded(const char *text, const char *colour, int pad, gboolean right, gboolean last)
{
	if (right)
		printf("%*s", pad, "");
	if (colour && *text)
		printf("\033[%sm%s\033[0m", colour, text);
	else
		fputs(text, stdout);
	if (!right && !last)
		printf("%*s", pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

/* The last column gets what the screen has left. */
static int last_width(const Table *table, const int *widths)
{
	int left = terminal_width(STDOUT_FILENO);

	if (!left)
		return G_MAXINT;
	for (guint c = 0; c + 1 < table->columns; c++)
		left -= widths[c] + 2;
	return MAX(left, 8);
}

void table_print(Table *table)
{
	guint columns = table->columns, rows = table->cells->len / columns;
	g_autofree int *widths = g_new0(int, columns);
	gboolean colours = text_colours(STDOUT_FILENO);
	int last;

	for (guint c = 0; c < columns; c++)
		widths[c] = text_width(table->headers[c] + (*table->headers[c] == '>'));
	for (guint i = 0; i < rows * columns; i++)
		widths[i % columns] = MAX(widths[i % columns], g_array_index(table->cells, Cell, i).width);
	last = last_width(table, widths);
	for (guint c = 0; c < columns; c++) {
		gboolean right = *table->headers[c] == '>';
		const char *header = table->headers[c] + right;

		print_padded(header, colours ? "1" : NULL, widths[c] - text_width(header), right, c == columns - 1);
	}
	for (guint i = 0; i < rows * columns; i++) {
		const Cell *cell = &g_array_index(table->cells, Cell, i);
		guint c = i % columns;
		gboolean end = c == columns - 1, right = *table->headers[c] == '>';
		g_autofree char *cut = end && cell->width > last ? text_fit(cell->text, last) : NULL;

		print_padded(cut ? cut : cell->text, colours ? cell->colour : NULL, widths[c] - cell->width, right && !cut, end);
	}
}
