// SPDX-License-Identifier: Apache-2.0
/* docs/vm-file.md has every key of the schema with its default and choices, no other, and an example that is right. So are
 * the VM files of the templates and of the desktops made of them. */
#include "schema.h"

#include <string.h>

static char *document(void)
{
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	g_file_get_contents(SOURCE "/docs/vm-file.md", &text, NULL, &error);
	g_assert_no_error(error);
	return text;
}

static char *unquote(const char *cell)
{
	g_autofree char *text = g_strstrip(g_strdup(cell));
	gsize n = strlen(text);

	return n > 1 && text[0] == '`' && strchr(text + 1, '`') == text + n - 1 ? g_strndup(text + 1, n - 2) : g_strdup(text);
}

/* A row "| `key` | value | default | meaning |" of the group. */
static void check_row(const char *group, char **cells, GHashTable *seen)
{
	g_autofree char *name = unquote(cells[1]), *fallback = unquote(cells[3]);
	const SchemaKey *key = schema_find(group, name);

	if (!key)
		g_error("the page has [%s] %s, the schema has not", group, name);
	if (key->fallback && *key->fallback)
		g_assert_cmpstr(fallback, ==, key->fallback);
	else
		g_assert_cmpint(cells[3][1], !=, '0');
	for (guint i = 0; key->choices[i]; i++) {
		g_autofree char *quoted = g_strdup_printf("`%s`", key->choices[i]);

		if (!strstr(cells[2], quoted))
			g_error("the page does not say that [%s] %s may be %s", group, name, key->choices[i]);
	}
	g_assert_true(g_hash_table_add(seen, (gpointer)key));
}

static void test_keys(void)
{
	g_autofree char *text = document();
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	g_autofree char *group = NULL;

	for (char **line = lines; *line; line++) {
		if (g_str_has_prefix(*line, "## `[")) {
			g_free(group);
			group = g_strndup(*line + 5, strcspn(*line + 5, " ]"));
		} else if (g_str_has_prefix(*line, "| `")) {
			g_auto(GStrv) cells = g_strsplit(*line, "|", -1);

			g_assert_nonnull(group);
			g_assert_cmpuint(g_strv_length(cells), ==, 6);
			check_row(group, cells, seen);
		}
	}
	for (gsize i = 0; i < schema_size; i++)
		if (!g_hash_table_contains(seen, &schema[i]))
			g_error("the page lacks [%s] %s", schema[i].group, schema[i].key);
}

static void test_example(void)
{
	g_autofree char *text = document();
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GString) example = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(VmFile) file = NULL;

	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, "    "))
			g_string_append_printf(example, "%s\n", *line + 4);
	file = vmfile_parse("docs/vm-file.md", example->str, example->len, &error);
	g_assert_no_error(error);
	g_assert_true(g_str_equal(file->title, "Work") && file->autostart && file->disks->len == 1 && file->interfaces->len == 1);
	g_assert_null(file->unknown[0]);
}

static void test_templates(void)
{
	static const struct {
		const char *file;
		gboolean template;
		guint screens;
	} shipped[] = {{"debian", TRUE, 0}, {"desktop/debian-desktop", TRUE, 1}, {"desktop/work", FALSE, 1}, {"desktop/personal", FALSE, 1}};

	for (gsize i = 0; i < G_N_ELEMENTS(shipped); i++) {
		g_autofree char *path = g_strdup_printf(SOURCE "/dom0/template/%s.vm", shipped[i].file);
		g_autoptr(GError) error = NULL;
		g_autoptr(VmFile) file = vmfile_load(path, &error);

		g_assert_no_error(error);
		g_assert_null(file->unknown[0]);
		g_assert_cmpint(file->template, ==, shipped[i].template);
		g_assert_cmpuint(file->screens, ==, shipped[i].screens);
		g_assert_cmpuint(file->disks->len, ==, 1);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vmfile/doc/keys", test_keys);
	g_test_add_func("/vmfile/doc/example", test_example);
	g_test_add_func("/vmfile/doc/templates", test_templates);
	return g_test_run();
}
