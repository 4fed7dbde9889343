/* SPDX-License-Identifier: Apache-2.0 */
#include "format.h"

#include <string.h>

#define CHECK_TEXT(call, expected) \
	do { \
		g_autofree char *text_ = (call); \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

static void test_text(void)
{
	CHECK_TEXT(text_safe("Work", 20), "Work");
	CHECK_TEXT(text_safe(NULL, 20), "");
	CHECK_TEXT(text_safe("<b>&amp;</b>", 20), "<b>&amp;</b>");
	CHECK_TEXT(text_safe("a\nb\r\nc\td\x01\x1b[31m", 40), "a b c d[31m");
	CHECK_TEXT(text_safe("\u202eevil\u202c \u2066x\u2069\u200f\u061c", 40), "evil x");
	CHECK_TEXT(text_safe("zero\u200bwidth\ufeff\u00ad", 40), "zerowidth");
	CHECK_TEXT(text_safe("  many   blanks  ", 40), "many blanks");
	CHECK_TEXT(text_safe("\u3164\u115f\u2800x", 40), "\u2800x");
	CHECK_TEXT(text_safe("日本語", 3), "日本語");
	CHECK_TEXT(text_safe("日本語", 2), "日本…");
	CHECK_TEXT(text_safe("a\xff\xfe" "b", 10), "a\ufffd\ufffd" "b");
	CHECK_TEXT(text_safe("Z\u0334\u0322\u031b\u0353\u0341" "a", 10), "Z\u0334\u0322" "a");
	CHECK_TEXT(text_safe("\u0301\u0301x", 10), "x");
	CHECK_TEXT(text_safe_lines("one\ntwo\x02", 20), "one\ntwo");
	CHECK_TEXT(text_quote("\u202ex", 20), "\u2068x\u2069");
}

static void test_long_text(void)
{
	g_autofree char *wide = g_strnfill(1 << 20, 'W'), *safe = text_safe(wide, 64);
	g_assert_cmpint(g_utf8_strlen(safe, -1), ==, 65);
	GString *marks = g_string_new("a");
	for (int i = 0; i < 10000; i++)
		g_string_append(marks, "\u0301");
	CHECK_TEXT(text_safe(marks->str, 64), "a\u0301\u0301");
	g_string_free(marks, TRUE);
}

static void test_figures(void)
{
	CHECK_TEXT(format_bytes(0), "0 B");
	CHECK_TEXT(format_bytes(1023), "1023 B");
	CHECK_TEXT(format_bytes(1024), "1 KiB");
	CHECK_TEXT(format_bytes(1536), "1.5 KiB");
	CHECK_TEXT(format_bytes((G_GUINT64_CONSTANT(1) << 20) - 1), "1 MiB");
	CHECK_TEXT(format_bytes(G_GUINT64_CONSTANT(4) << 30), "4 GiB");
	CHECK_TEXT(format_bytes(G_GUINT64_CONSTANT(250) << 30), "250 GiB");
	CHECK_TEXT(format_bytes(G_MAXUINT64), "16 EiB");
	CHECK_TEXT(format_duration(-5), "0 min");
	CHECK_TEXT(format_duration(59 * 60), "59 min");
	CHECK_TEXT(format_duration(7500), "2 h 5 min");
	CHECK_TEXT(format_duration(86400 + 3600), "1 day 1 h");
	CHECK_TEXT(format_duration(3 * 86400), "3 days 0 h");
	g_assert_cmpuint(cpu_percent(0, 1000000000, 1000000, 2), ==, 50);
	g_assert_cmpuint(cpu_percent(0, 9000000000, 1000000, 2), ==, 100);
	g_assert_cmpuint(cpu_percent(5, 4, 1000000, 2), ==, 0);
	g_assert_cmpuint(cpu_percent(0, 1000000000, 0, 2), ==, 0);
	g_assert_cmpuint(cpu_percent(0, 1000000000, 1000000, 0), ==, 0);
}

/* Noise of a percent or two does not change what is shown; a change does, and ends within a step of the truth. */
static void test_steps(void)
{
	static const guint noise[] = {3, 1, 2, 0, 3, 2};
	for (gsize i = 0; i < G_N_ELEMENTS(noise); i++)
		g_assert_cmpuint(cpu_step(0, noise[i]), ==, 0);
	g_assert_cmpuint(cpu_step(0, 4), ==, 5);
	for (guint percent = 2; percent <= 8; percent++)
		g_assert_cmpuint(cpu_step(5, percent), ==, 5);
	g_assert_cmpuint(cpu_step(5, 1), ==, 0);
	g_assert_cmpuint(cpu_step(5, 47), ==, 45);
	g_assert_cmpuint(cpu_step(95, 100), ==, 100);
	g_assert_cmpuint(cpu_step(100, 0), ==, 0);
	for (guint shown = 0; shown <= 100; shown += 5)
		for (guint percent = 0; percent <= 100; percent++)
			g_assert_cmpint(ABS((int)cpu_step(shown, percent) - (int)percent), <=, 3);
	g_assert_cmpuint(memory_step(G_GUINT64_CONSTANT(1) << 30), ==, G_GUINT64_CONSTANT(1) << 30);
	g_assert_cmpuint(memory_step((G_GUINT64_CONSTANT(1) << 30) + 5000000), ==, G_GUINT64_CONSTANT(1) << 30);
	g_assert_cmpuint(memory_step(0), ==, 0);
}

static void test_time(void)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) now = g_date_time_new(utc, 2026, 11, 22, 14, 5, 9);
	gint64 second = G_GINT64_CONSTANT(1000000000), at = g_date_time_to_unix(now);
	CHECK_TEXT(format_clock(now), "14:05");
	CHECK_TEXT(format_date(now), "Sunday, 22 November");
	CHECK_TEXT(format_when((at - 3600) * second, now), "today at 13:05");
	CHECK_TEXT(format_when((at - 3 * 86400) * second, now), "19 November 2026, 14:05");
	CHECK_TEXT(format_when(G_MAXINT64, now), "11 April 2262, 23:47");
}

static void test_colour(void)
{
	GdkRGBA c;
	g_assert_true(colour_parse("#ff0000", &c));
	g_assert_cmpfloat(c.red, ==, 1);
	for (const char *const *bad = (const char *const[]){"", "red", "#fff", "#gggggg", "#ff00000", "rgb(1,2,3)", "#ff 000", NULL}; *bad; bad++)
		g_assert_false(colour_parse(*bad, &c));
	g_assert_false(colour_parse(NULL, &c));
	g_assert_cmpfloat(c.alpha, ==, 1);
}

static void test_name(void)
{
	const char *const taken[] = {"work", "work-2", NULL};
	static const char *const good[] = {"a", "work-3", "0", "a-b-c", "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl"};
	static const char *const bad[] = {"", "-a", "a-", "Work", "a b", "a_b", "a.b", "a/b", "日本", "work", "é",
		"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklm"};
	for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
		CHECK_TEXT(name_problem(good[i], taken), NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *problem = name_problem(bad[i], taken);
		g_assert_nonnull(problem);
	}
	CHECK_TEXT(name_from_title("Bank & tax", taken), "bank-tax");
	CHECK_TEXT(name_from_title("Work", taken), "work-3");
	CHECK_TEXT(name_from_title("Café Zürich", taken), "cafe-zurich");
	CHECK_TEXT(name_from_title("仕事", taken), "desktop");
	CHECK_TEXT(name_from_title("", taken), "");
	CHECK_TEXT(name_from_title("---", taken), "desktop");
}

/* Whatever the title, the name made from it is one that the manager takes. */
static void test_names_made(void)
{
	for (int i = 0; i < 20000; i++) {
		char title[40];
		int length = g_test_rand_int_range(1, sizeof(title));
		for (int j = 0; j < length; j++)
			title[j] = (char)g_test_rand_int_range(1, 256);
		title[length] = 0;
		g_autofree char *name = name_from_title(title, NULL);
		g_autofree char *problem = name[0] ? name_problem(name, NULL) : NULL;
		g_assert_null(problem);
	}
}

static void test_states(void)
{
	g_assert_true(state_is_live("running"));
	g_assert_true(state_is_live("suspended"));
	g_assert_false(state_is_live("off"));
	g_assert_false(state_is_live("crashed"));
	g_assert_false(state_is_live("no such state"));
	g_assert_false(state_is_live(NULL));
	g_assert_cmpstr(state_label("off"), ==, "Off");
	g_assert_cmpstr(state_label(NULL), ==, "Unknown");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/format/text", test_text);
	g_test_add_func("/format/long-text", test_long_text);
	g_test_add_func("/format/figures", test_figures);
	g_test_add_func("/format/steps", test_steps);
	g_test_add_func("/format/time", test_time);
	g_test_add_func("/format/colour", test_colour);
	g_test_add_func("/format/name", test_name);
	g_test_add_func("/format/names-made", test_names_made);
	g_test_add_func("/format/states", test_states);
	return g_test_run();
}
