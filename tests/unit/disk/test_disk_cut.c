/* SPDX-License-Identifier: Apache-2.0 */
/* A process that works on the disks of a VM that is off is killed before each of its steps in turn, and at odd times within
 * them. Recovery must leave what was before or what was wanted, of both disks alike, and the next attempt must work. */
#include "common.h"
#include <string.h>

static const char *const disks[] = {"a.qcow2", "b.qcow2", NULL};
static const guint now[] = {10, 20, 0}, at_first[] = {10, 0, 0};

static gboolean perform(char **words, GError **error)
{
	if (!strcmp(words[0], "snapshot"))
		return disk_snapshot(words[1], disks, NULL, "second", "", error);
	if (!strcmp(words[0], "revert"))
		return disk_revert(words[1], disks, "first", error);
	return disk_snapshot_delete(words[1], disks, NULL, "first", NULL, NULL, NULL, error);
}

/* "first" has 10 in MiB 0; since then 20 was written to MiB 1; a mark goes through both. */
static char *prototype(void)
{
	char *dir = fresh_dir();

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]), *mark = NULL;

		assert_works(disk_create(path, 32 * MIB, &error));
		image_write(path, 10, 0, 1);
		mark = disk_mark(path, NULL, NULL);
		g_assert_nonnull(mark);
	}
	assert_works(disk_snapshot(dir, disks, NULL, "first", NULL, &error));
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		image_write(path, 20, 1, 1);
	}
	return dir;
}

static gboolean holds(const char *dir, const guint *patterns)
{
	gboolean all = TRUE;

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		all = image_matches(path, patterns, 3) && all;
	}
	return all;
}

/* Nothing but disks, layers and the list; returns how many layers. */
static guint layers_in(const char *dir)
{
	g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(list))) {
		if (g_str_has_suffix(name, ".snap"))
			n++;
		else if (strcmp(name, LIST_FILE))
			g_assert_true(g_strv_contains(disks, name));
	}
	return n;
}

static void after_snapshot(const char *dir)
{
	gboolean done = listed(dir, "second");

	g_assert_true(holds(dir, now));
	g_assert_cmpuint(layers_in(dir), ==, done ? 4 : 2);
	if (!done)
		assert_works(disk_snapshot(dir, disks, NULL, "second", "", &error));
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *layer = g_strdup_printf("%s/%s.2.snap", dir, disks[i]);

		g_assert_true(image_matches(layer, now, 3));
	}
}

static void after_revert(const char *dir)
{
	g_assert_true(holds(dir, now) || holds(dir, at_first));
	assert_works(disk_revert(dir, disks, "first", &error));
	g_assert_true(holds(dir, at_first));
	g_assert_cmpuint(layers_in(dir), ==, 2);
}

/* The mark has what was written since, or is plainly lost: to be killed while qemu-img has an image open is as bad for it as a
 * power cut. */
static void assert_mark(const char *path, gboolean may_be_lost)
{
	g_autofree char *mark = NULL;
	g_autoptr(GPtrArray) marks = mark_list(path, NULL);
	g_autoptr(GArray) changed = NULL;
	g_autoptr(GError) error = NULL;
	DiskExtent *extent;

	if (may_be_lost && !marks->len)
		return;
	g_assert_cmpuint(marks->len, ==, 1);
	mark = mark_base_name(((DiskBitmap *)marks->pdata[0])->name);
	changed = disk_changed(path, NULL, mark, &error);
	if (!changed && may_be_lost) {
		g_assert_error(error, DISK_ERROR, DISK_ERROR_CORRUPT);
		return;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(changed->len, ==, 1);
	extent = &g_array_index(changed, DiskExtent, 0);
	g_assert_cmpuint(extent->offset, <=, MIB);
	g_assert_cmpuint(extent->offset + extent->length, >=, 2 * MIB);
}

static void deleted(const char *dir, gboolean may_lose_marks)
{
	g_assert_true(holds(dir, now));
	if (listed(dir, "first")) {
		assert_works(disk_revert(dir, disks, "first", &error));
		g_assert_true(holds(dir, at_first));
		return;
	}
	assert_works(disk_tidy(dir, disks, NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 0);
	g_assert_true(holds(dir, now));
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		assert_mark(path, may_lose_marks);
	}
}

static void after_delete(const char *dir)
{
	deleted(dir, FALSE);
}

static void cut_everywhere(const char *what, void (*check)(const char *dir))
{
	char *dir = prototype();
	gboolean lived = FALSE;
	guint cut;

	for (cut = 1; !lived; cut++) {
		char *copy = copy_of(dir);
		const char *words[] = {what, copy, NULL};

		lived = act(cut, words);
		assert_works(disk_recover(copy, &error));
		check(copy);
		if (lived)
			check_images(copy, disks);
		remove_dir(copy);
	}
	g_test_message("%s: %u steps", what, cut - 2);
	g_assert_cmpuint(cut, >, 5);
	remove_dir(dir);
}

static void test_snapshot(void)
{
	cut_everywhere("snapshot", after_snapshot);
}

static void test_revert(void)
{
	cut_everywhere("revert", after_revert);
}

static void test_delete(void)
{
	cut_everywhere("delete", after_delete);
}

/* qemu-img itself cut short, too: it dies with whoever called it. */
static void test_any_time(void)
{
	char *dir = prototype();

	for (guint ms = 10; ms < 400; ms += 65) {
		char *copy = copy_of(dir);
		const char *words[] = {"delete", copy, NULL};

		act_for(ms, words);
		assert_works(disk_recover(copy, &error));
		deleted(copy, TRUE);
		check_images(copy, disks);
		remove_dir(copy);
	}
	remove_dir(dir);
}

int main(int argc, char **argv)
{
	int rc = serve_act(argc, argv, perform);

	if (rc >= 0)
		return rc;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/cut/snapshot", test_snapshot);
	g_test_add_func("/disk/cut/revert", test_revert);
	g_test_add_func("/disk/cut/delete", test_delete);
	g_test_add_func("/disk/cut/any-time", test_any_time);
	return g_test_run();
}
