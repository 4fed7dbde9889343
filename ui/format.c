/* SPDX-License-Identifier: Apache-2.0 */
#include "format.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#define CPU_STEP    5                                 /* percent */
#define MEMORY_STEP (G_GUINT64_CONSTANT(16) << 20)
#define MARKS_MAX 2 /* combining marks on one base: enough for every living script's common text */

static gboolean is_line_break(gunichar c)
{
	return c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029;
}

/* Characters that draw nothing, or change how others are drawn. */
static gboolean is_invisible(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_FORMAT:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_UNASSIGNED:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return TRUE;
	default:
		return c == 0x034f || c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0 || (c >= 0xfe00 && c <= 0xfe0f);
	}
}

static char *clean(const char *text, gsize max, gboolean lines)
{
	gsize bytes = strnlen(text ? text : "", max * 32 + 64); /* nobody needs more to see max characters */
	while (bytes > 0 && (text[bytes] & 0xc0) == 0x80)
		bytes--;
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", (gssize)bytes);
	GString *out = g_string_new(NULL);
	gsize length = 0;
	guint marks = 0;
	gboolean space = TRUE;
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (is_line_break(c) || c == '\t')
			c = lines && c != '\t' ? '\n' : ' ';
		else if (is_invisible(c))
			continue;
		else if (g_unichar_isspace(c))
			c = ' ';
		if (g_unichar_ismark(c)) {
			if (space || ++marks > MARKS_MAX)
				continue;
		} else {
			marks = 0;
		}
		if (c == ' ' && space)
			continue;
		if (length == max) {
			g_string_append(out, "…");
			break;
		}
		space = c == ' ' || c == '\n';
		g_string_append_unichar(out, c);
		length++;
	}
	return g_strchomp(g_string_free(out, FALSE));
}

char *text_safe(const char *text, gsize max)
{
	return clean(text, max, FALSE);
}

char *text_safe_lines(const char *text, gsize max)
{
	return clean(text, max, TRUE);
}

char *text_quote(const char *text, gsize max)
{
	g_autofree char *safe = clean(text, max, FALSE);
	return g_strdup_printf("\u2068%s\u2069", safe); /* first strong isolate, pop */
}

char *format_bytes(guint64 bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	gsize unit = 0;
	while (value >= 1023.95 && unit + 1 < G_N_ELEMENTS(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || value >= 99.95 || fabs(value - round(value)) < 0.05)
		return g_strdup_printf("%.0f %s", value, units[unit]);
	return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *format_duration(gint64 seconds)
{
	gint64 minutes = MAX(seconds, 0) / 60, hours = minutes / 60, days = hours / 24;
	if (days >= 1)
		return g_strdup_printf(ngettext("%d day %d h", "%d days %d h", (gulong)days), (int)MIN(days, 99999), (int)(hours % 24));
	if (hours >= 1)
		return g_strdup_printf(_("%d h %d min"), (int)hours, (int)(minutes % 60));
	return g_strdup_printf(_("%d min"), (int)minutes);
}

char *format_clock(GDateTime *when)
{
	return g_strdup_printf("%d:%02d", g_date_time_get_hour(when), g_date_time_get_minute(when));
}

/* The service domain has no locale but C.UTF-8: names of days and months come from our own catalogue. */
static const char *day_name(GDateTime *when)
{
	static const char *const names[] = {N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"),
		N_("Saturday"), N_("Sunday")};
	return _(names[g_date_time_get_day_of_week(when) - 1]);
}

static const char *month_name(GDateTime *when)
{
	static const char *const names[] = {N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"),
		N_("July"), N_("August"), N_("September"), N_("October"), N_("November"), N_("December")};
	return _(names[g_date_time_get_month(when) - 1]);
}

char *format_date(GDateTime *when)
{
	/* TRANSLATORS: day of the week, day of the month, month: Sunday, 22 November */
	return g_strdup_printf(_("%1$s, %2$d %3$s"), day_name(when), g_date_time_get_day_of_month(when), month_name(when));
}

char *format_when(gint64 nanoseconds, GDateTime *now)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(nanoseconds / G_GINT64_CONSTANT(1000000000));
	if (!utc)
		return g_strdup(_("at an unknown time"));
	g_autoptr(GDateTime) when = g_date_time_to_timezone(utc, g_date_time_get_timezone(now));
	g_autofree char *clock = format_clock(when);
	if (g_date_time_get_year(when) == g_date_time_get_year(now) &&
		g_date_time_get_day_of_year(when) == g_date_time_get_day_of_year(now))
		return g_strdup_printf(_("today at %s"), clock);
	/* TRANSLATORS: day of the month, month, year, time: 22 November 2026, 14:05 */
	return g_strdup_printf(_("%1$d %2$s %3$d, %4$s"), g_date_time_get_day_of_month(when), month_name(when),
		g_date_time_get_year(when), clock);
}

guint cpu_percent(guint64 before_ns, guint64 now_ns, gint64 elapsed_us, guint vcpus)
{
	if (now_ns <= before_ns || elapsed_us <= 0 || vcpus == 0)
		return 0;
	double used = (double)(now_ns - before_ns) / ((double)elapsed_us * 1000 * vcpus);
	return (guint)lround(CLAMP(used, 0, 1) * 100);
}

guint cpu_step(guint shown, guint percent)
{
	guint away = percent > shown ? percent - shown : shown - percent;
	return away < CPU_STEP - 1 ? shown : (percent + CPU_STEP / 2) / CPU_STEP * CPU_STEP;
}

guint64 memory_step(guint64 bytes)
{
	return (bytes + MEMORY_STEP / 2) / MEMORY_STEP * MEMORY_STEP;
}

gboolean colour_parse(const char *text, GdkRGBA *colour)
{
	gboolean good = text && strlen(text) == 7 && text[0] == '#' && strspn(text + 1, "0123456789abcdefABCDEF") == 6;
	if (!good || !gdk_rgba_parse(colour, text))
		*colour = (GdkRGBA){0.48, 0.53, 0.60, 1};
	return good;
}

gboolean colour_is_light(const GdkRGBA *colour)
{
	return 0.299 * colour->red + 0.587 * colour->green + 0.114 * colour->blue > 0.66;
}

char *name_problem(const char *name, const char *const *taken)
{
	gsize length = strlen(name);
	if (length == 0)
		return g_strdup(_("Give it a short name."));
	for (const char *p = name; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (c < 128 && (g_ascii_islower((char)c) || g_ascii_isdigit((char)c) || c == '-'))
			continue;
		if (c < 128 && g_ascii_isupper((char)c))
			return g_strdup(_("Use small letters only."));
		if (c == ' ')
			return g_strdup(_("Use a hyphen instead of a space."));
		return g_strdup(_("Use only the letters a to z, digits and hyphens."));
	}
	if (length > NAME_MAX_LENGTH)
		return g_strdup_printf(_("That is too long: at most %d characters."), NAME_MAX_LENGTH);
	if (name[0] == '-' || name[length - 1] == '-')
		return g_strdup(_("It cannot begin or end with a hyphen."));
	if (taken && g_strv_contains(taken, name))
		return g_strdup(_("There is a desktop of that name already."));
	return NULL;
}

static void append_name_chars(GString *name, const char *title)
{
	g_autofree char *ascii = g_str_to_ascii(title, "C");
	for (const char *p = ascii; *p && name->len < NAME_MAX_LENGTH - 4; p++) {
		if (g_ascii_isalnum(*p))
			g_string_append_c(name, g_ascii_tolower(*p));
		else if (*p != '?' && name->len > 0 && name->str[name->len - 1] != '-')
			g_string_append_c(name, '-');
	}
	while (name->len > 0 && name->str[name->len - 1] == '-')
		g_string_truncate(name, name->len - 1);
}

char *name_from_title(const char *title, const char *const *taken)
{
	g_autofree char *safe = text_safe(title, TITLE_MAX_LENGTH);
	g_autoptr(GString) stem = g_string_new(NULL);
	append_name_chars(stem, safe);
	if (stem->len == 0)
		g_string_assign(stem, safe[0] ? "desktop" : "");
	char *name = g_strdup(stem->str);
	for (guint n = 2; stem->len > 0 && taken && g_strv_contains(taken, name); n++) {
		g_free(name);
		name = g_strdup_printf("%s-%u", stem->str, n);
	}
	return name;
}

static const struct {
	const char *state, *label;
	gboolean live;
} states[] = {
	{"off", N_("Off"), FALSE},
	{"starting", N_("Starting"), TRUE},
	{"running", N_("Running"), TRUE},
	{"paused", N_("Paused"), TRUE},
	{"suspending", N_("Going to sleep"), TRUE},
	{"suspended", N_("Asleep"), TRUE},
	{"stopping", N_("Shutting down"), TRUE},
	{"crashed", N_("Crashed"), FALSE},
	{"broken", N_("Needs attention"), FALSE},
};

const char *state_label(const char *state)
{
	for (gsize i = 0; i < G_N_ELEMENTS(states); i++)
		if (g_strcmp0(state, states[i].state) == 0)
			return _(states[i].label);
	return _("Unknown");
}

gboolean state_is_still(const char *state)
{
	return g_strcmp0(state, "paused") == 0 || g_strcmp0(state, "suspended") == 0;
}

gboolean state_is_live(const char *state)
{
	for (gsize i = 0; i < G_N_ELEMENTS(states); i++)
		if (g_strcmp0(state, states[i].state) == 0)
			return states[i].live;
	return FALSE;
}
