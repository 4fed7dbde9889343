/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, reverts and deletions that go well, of VMs that are off and that run, and those that are refused. */
#include "common.h"
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const disks[] = {"a.qcow2", "b.qcow2", NULL};

static char *two_disks(void)
{
	char *dir = fresh_dir();

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		assert_works(disk_create(path, 32 * MIB, &error));
	}
	return dir;
}

static void fill(const char *dir, guint pattern, guint mib)
{
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		image_write(path, pattern + i, mib, 1);
	}
}

static gboolean holds(const char *dir, guint pattern, guint mib)
{
	gboolean all = TRUE;

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		all = image_has(path, pattern ? pattern + i : 0, mib, 1) && all;
	}
	return all;
}

static guint layers_in(const char *dir)
{
	g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(list))) {
		n += g_str_has_suffix(name, ".snap");
		g_assert_false(g_str_has_suffix(name, ".new"));
		g_assert_cmpstr(name, !=, JOURNAL_FILE);
	}
	return n;
}

static void assert_listed(const char *dir, const char *first, const char *second)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) list = disk_snapshots(dir, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(list->len, ==, !!first + !!second);
	if (first)
		g_assert_cmpstr(((DiskSnapshot *)list->pdata[0])->name, ==, first);
	if (second)
		g_assert_cmpstr(((DiskSnapshot *)list->pdata[1])->name, ==, second);
}

static void test_off(void)
{
	char *dir = two_disks();

	fill(dir, 10, 0);
	assert_works(disk_snapshot(dir, disks, NULL, "before the update", "a = 10; [b]", &error));
	fill(dir, 20, 0);
	fill(dir, 30, 1);
	assert_works(disk_snapshot(dir, disks, NULL, "zweiter; Stand", "", &error));
	fill(dir, 40, 0);
	assert_listed(dir, "before the update", "zweiter; Stand");
	g_assert_cmpuint(layers_in(dir), ==, 4);

	assert_works(disk_revert(dir, disks, "zweiter; Stand", &error));
	g_assert_true(holds(dir, 20, 0) && holds(dir, 30, 1));
	assert_works(disk_revert(dir, disks, "before the update", &error));
	g_assert_true(holds(dir, 10, 0) && holds(dir, 0, 1));
	fill(dir, 50, 2);
	assert_works(disk_revert(dir, disks, "zweiter; Stand", &error)); /* forward again: snapshots are a tree */
	g_assert_true(holds(dir, 20, 0) && holds(dir, 30, 1) && holds(dir, 0, 2));

	assert_works(disk_snapshot_delete(dir, disks, NULL, "before the update", NULL, NULL, NULL, &error));
	assert_listed(dir, "zweiter; Stand", NULL);
	g_assert_cmpuint(layers_in(dir), ==, 2);
	g_assert_true(holds(dir, 20, 0) && holds(dir, 30, 1));
	fill(dir, 60, 0);
	assert_works(disk_snapshot_delete(dir, disks, NULL, "zweiter; Stand", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 0);
	g_assert_true(holds(dir, 60, 0) && holds(dir, 30, 1));
	check_images(dir, disks);
	remove_dir(dir);
}

/* Two branches on one deleted snapshot: its layer stays until one goes. */
static void test_branches(void)
{
	char *dir = two_disks();

	fill(dir, 10, 0);
	assert_works(disk_snapshot(dir, disks, NULL, "root", NULL, &error));
	fill(dir, 20, 1);
	assert_works(disk_snapshot(dir, disks, NULL, "branch", NULL, &error));
	assert_works(disk_revert(dir, disks, "root", &error));
	fill(dir, 30, 2);
	assert_works(disk_snapshot_delete(dir, disks, NULL, "root", NULL, NULL, NULL, &error));
	assert_listed(dir, "branch", NULL);
	g_assert_cmpuint(layers_in(dir), ==, 4);
	g_assert_true(holds(dir, 10, 0) && holds(dir, 0, 1) && holds(dir, 30, 2));
	assert_works(disk_revert(dir, disks, "branch", &error));
	g_assert_true(holds(dir, 10, 0) && holds(dir, 20, 1) && holds(dir, 0, 2));
	assert_works(disk_snapshot_delete(dir, disks, NULL, "branch", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 0);
	g_assert_true(holds(dir, 10, 0) && holds(dir, 20, 1));
	check_images(dir, disks);
	remove_dir(dir);
}

static void test_on_a_template(void)
{
	char *dir = fresh_dir(), *pool = fresh_dir();
	g_autofree char *base = in_dir(pool, "template.qcow2");

	assert_works(disk_create(base, 32 * MIB, &error));
	image_write(base, 99, 5, 1);
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		assert_works(disk_clone(base, path, &error));
	}
	fill(dir, 10, 0);
	assert_works(disk_snapshot(dir, disks, NULL, "one", NULL, &error));
	fill(dir, 20, 0);
	assert_works(disk_snapshot_delete(dir, disks, NULL, "one", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 0);
	g_assert_true(holds(dir, 20, 0));
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);
		DiskInfo info;

		g_assert_true(image_has(path, 99, 5, 1));
		assert_works(disk_info(path, &info, &error));
		g_assert_cmpstr(info.backing, ==, base);
		disk_info_clear(&info);
	}
	g_assert_true(image_has(base, 99, 5, 1) && image_has(base, 0, 0, 1));
	remove_dir(dir);
	remove_dir(pool);
}

/* Snapshot "N", whose layer a clone in other freezes: the clone. */
static char *snapshot_with_clone(const char *dir, const char *other, guint n)
{
	g_autofree char *name = g_strdup_printf("%u", n), *layer = g_strdup_printf("%s/a.qcow2.%u.snap", dir, n);
	char *clone = in_dir(other, name);

	assert_works(disk_snapshot(dir, disks, NULL, name, NULL, &error));
	assert_works(disk_clone(layer, clone, &error));
	return clone;
}

/* Layers that a clone stood on, frozen for it, can go when it has gone: below, above and alone. */
static void test_frozen_layers(void)
{
	char *dir = two_disks(), *other = fresh_dir();

	fill(dir, 10, 0);
	for (guint n = 1; n <= 3; n++) {
		g_autofree char *clone = snapshot_with_clone(dir, other, n);

		g_assert_true(image_has(clone, 10, 0, 1));
		fill(dir, 20 * n, n);
	}
	assert_works(disk_snapshot_delete(dir, disks, NULL, "1", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 4);
	assert_works(disk_revert(dir, disks, "2", &error));
	assert_works(disk_snapshot_delete(dir, disks, NULL, "3", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 2);
	assert_works(disk_snapshot_delete(dir, disks, NULL, "2", NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 0);
	g_assert_true(holds(dir, 10, 0) && holds(dir, 20, 1) && holds(dir, 0, 2));
	remove_dir(dir);
	remove_dir(other);
}

static void guest_fill(Vm *vm, guint pattern, guint mib)
{
	for (guint i = 0; disks[i]; i++)
		guest_write(vm->nbd, disks[i], pattern + i, mib, 1);
}

static gboolean guest_holds(Vm *vm, guint pattern, guint mib)
{
	gboolean all = TRUE;

	for (guint i = 0; disks[i]; i++)
		all = guest_has(vm->nbd, disks[i], pattern ? pattern + i : 0, mib, 1) && all;
	return all;
}

/* After each step the guest sees what it wrote; QEMU knows each file by the name it has. */
static void assert_names(Vm *vm)
{
	g_autoptr(Qmp) qmp = qmp_open(vm->qmp, NULL);
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, NULL);

	for (guint i = 0; i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i];

		g_test_message("node %s %s %s backing %s", node->name, node->driver, node->path,
			node->backing ? node->backing : "-");
		g_assert_true(!node->path || g_file_test(node->path, G_FILE_TEST_EXISTS));
	}
}

static void test_running(void)
{
	char *dir = two_disks();
	Vm *vm;

	fill(dir, 10, 0);
	vm = vm_start(dir, disks);
	guest_fill(vm, 20, 1);
	assert_works(disk_snapshot(dir, disks, vm->qmp, "first", NULL, &error));
	assert_names(vm);
	guest_fill(vm, 30, 2);
	assert_works(disk_snapshot(dir, disks, vm->qmp, "second", NULL, &error));
	guest_fill(vm, 40, 0);
	assert_works(disk_snapshot(dir, disks, vm->qmp, "third", NULL, &error));
	guest_fill(vm, 50, 3);
	assert_names(vm);
	g_assert_cmpuint(layers_in(dir), ==, 6);
	/* between two layers at rest; at the bottom; the newest, right under the live image */
	assert_works(disk_snapshot_delete(dir, disks, vm->qmp, "second", NULL, NULL, NULL, &error));
	assert_names(vm);
	g_assert_cmpuint(layers_in(dir), ==, 4 + 2); /* a merged layer keeps its older name till the VM is off */
	g_assert_true(
		guest_holds(vm, 40, 0) && guest_holds(vm, 20, 1) && guest_holds(vm, 30, 2) && guest_holds(vm, 50, 3));
	assert_works(disk_snapshot_delete(dir, disks, vm->qmp, "third", NULL, NULL, NULL, &error));
	assert_names(vm);
	guest_fill(vm, 60, 4);
	g_assert_true(guest_holds(vm, 40, 0) && guest_holds(vm, 50, 3) && guest_holds(vm, 60, 4));
	assert_works(disk_snapshot(dir, disks, vm->qmp, "fourth", NULL, &error));
	guest_fill(vm, 70, 5);
	assert_works(disk_snapshot_delete(dir, disks, vm->qmp, "fourth", NULL, NULL, NULL, &error));
	assert_names(vm);
	{
		g_autoptr(Qmp) qmp = qmp_open(vm->qmp, NULL);
		g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, NULL);

		g_assert_cmpuint(nodes->len, ==, 2 * 3 * 2); /* what deletions win back, QEMU has let go of */
	}
	vm_stop(vm);
	assert_works(disk_tidy(dir, disks, NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 2);
	check_images(dir, disks);
	g_assert_true(holds(dir, 40, 0) && holds(dir, 50, 3) && holds(dir, 60, 4) && holds(dir, 70, 5));
	assert_works(disk_revert(dir, disks, "first", &error));
	g_assert_true(holds(dir, 10, 0) && holds(dir, 20, 1) && holds(dir, 0, 2) && holds(dir, 0, 3));
	remove_dir(dir);
}

/* While the VM runs, too: QEMU names anew what the frozen layer on top of the merged ones lies on. */
static void test_frozen_layers_running(void)
{
	char *dir = two_disks(), *other = fresh_dir();
	Vm *vm;

	for (guint n = 1; n <= 3; n++) {
		fill(dir, 10 * n, n);
		g_free(snapshot_with_clone(dir, other, n));
	}
	vm = vm_start(dir, disks);
	assert_works(disk_snapshot_delete(dir, disks, vm->qmp, "1", NULL, NULL, NULL, &error));
	assert_names(vm);
	g_assert_cmpuint(layers_in(dir), ==, 6); /* merged: the older names are left */
	assert_works(disk_snapshot_delete(dir, disks, vm->qmp, "2", NULL, NULL, NULL, &error));
	g_assert_true(guest_holds(vm, 10, 1) && guest_holds(vm, 20, 2) && guest_holds(vm, 30, 3));
	vm_stop(vm);
	assert_works(disk_tidy(dir, disks, NULL, NULL, NULL, &error));
	g_assert_cmpuint(layers_in(dir), ==, 2);
	check_images(dir, disks);
	remove_dir(dir);
	remove_dir(other);
}

/* Everything the guest flushed is there after a snapshot and a power cut. */
static void test_power_cut_after(void)
{
	char *dir = two_disks();
	Vm *vm = vm_start(dir, disks);

	guest_fill(vm, 10, 0);
	assert_works(disk_snapshot(dir, disks, vm->qmp, "one", NULL, &error));
	guest_fill(vm, 20, 1);
	vm_kill(vm);
	assert_works(disk_recover(dir, &error));
	g_assert_true(holds(dir, 10, 0) && holds(dir, 20, 1));
	assert_works(disk_revert(dir, disks, "one", &error));
	g_assert_true(holds(dir, 10, 0) && holds(dir, 0, 1));
	remove_dir(dir);
}

static void test_refused(void)
{
	static const char *const climbs[] = {"../a.qcow2", NULL}, *const odd[] = {"a:b.qcow2", NULL},
				 *const raw[] = {"c.raw", NULL};
	static const char *const none[] = {NULL};
	char *dir = two_disks();
	g_autofree char *list = in_dir(dir, LIST_FILE), *path = in_dir(dir, "c.raw"), *long_name = g_strnfill(101, 'x');
	int lock;

	g_assert_true(g_file_set_contents(path, "raw", -1, NULL));
	assert_fails(disk_snapshot(dir, climbs, NULL, "x", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, odd, NULL, "x", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, none, NULL, "x", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, raw, NULL, "x", NULL, &error), DISK_ERROR_UNSUPPORTED);
	assert_fails(disk_snapshot(dir, disks, NULL, "", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, disks, NULL, "two\nlines", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, disks, NULL, "\xff", NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot(dir, disks, NULL, long_name, NULL, &error), DISK_ERROR_INVALID);
	assert_fails(disk_snapshot("/nowhere", disks, NULL, "x", NULL, &error), DISK_ERROR_NOT_FOUND);
	assert_fails(disk_revert(dir, disks, "x", &error), DISK_ERROR_NOT_FOUND);
	assert_fails(disk_snapshot_delete(dir, disks, NULL, "x", NULL, NULL, NULL, &error), DISK_ERROR_NOT_FOUND);
	assert_works(disk_snapshot(dir, disks, NULL, "x", NULL, &error));
	assert_fails(disk_snapshot(dir, disks, NULL, "x", NULL, &error), DISK_ERROR_EXISTS);
	lock = file_lock_dir(dir, NULL);
	assert_fails(disk_snapshot(dir, disks, NULL, "y", NULL, &error), DISK_ERROR_BUSY);
	close(lock);
	g_assert_true(g_file_set_contents(list, "no key file\n", -1, NULL));
	assert_fails(disk_snapshot(dir, disks, NULL, "y", NULL, &error), DISK_ERROR_CORRUPT);
	g_assert_cmpuint(layers_in(dir), ==, 2);
	remove_dir(dir);
}

/* The second disk can't be done: the first is as it was. */
static void test_half(void)
{
	char *dir = two_disks();
	g_autofree char *first = in_dir(dir, "a.qcow2"), *blocked = in_dir(dir, "b.qcow2.1.snap");
	struct stat before, after;

	fill(dir, 10, 0);
	g_assert_cmpint(stat(first, &before), ==, 0);
	g_assert_cmpint(symlink("/nowhere", blocked), ==, 0);
	/* A layer of that number, though not a regular one, makes the next number the second. */
	assert_works(disk_snapshot(dir, disks, NULL, "one", NULL, &error));
	assert_works(disk_revert(dir, disks, "one", &error));
	g_assert_true(holds(dir, 10, 0));
	unlink(blocked);
	g_assert_cmpint(chmod(dir, 0755), ==, 0);
	remove_dir(dir);
	dir = two_disks();
	g_free(first);
	first = in_dir(dir, "a.qcow2");
	g_assert_cmpint(stat(first, &before), ==, 0);
	{
		static const char *const missing[] = {"a.qcow2", "b.qcow2", "c.qcow2", NULL};

		assert_fails(disk_snapshot(dir, missing, NULL, "one", NULL, &error), DISK_ERROR_NOT_FOUND);
	}
	g_assert_cmpint(stat(first, &after), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
	g_assert_cmpuint(layers_in(dir), ==, 0);
	remove_dir(dir);
}

/* QEMU does not have the second disk: nothing changes, on disk and in QEMU. */
static void test_half_running(void)
{
	static const char *const first_only[] = {"a.qcow2", NULL};
	char *dir = two_disks();
	Vm *vm = vm_start(dir, first_only);

	guest_write(vm->nbd, "a.qcow2", 5, 0, 1);
	assert_fails(disk_snapshot(dir, disks, vm->qmp, "one", NULL, &error), DISK_ERROR_NOT_FOUND);
	g_assert_cmpuint(layers_in(dir), ==, 0);
	assert_names(vm);
	assert_works(disk_snapshot(dir, first_only, vm->qmp, "one", NULL, &error));
	guest_write(vm->nbd, "a.qcow2", 6, 0, 1);
	vm_stop(vm);
	assert_works(disk_revert(dir, first_only, "one", &error));
	{
		g_autofree char *path = in_dir(dir, "a.qcow2");

		g_assert_true(image_has(path, 5, 0, 1));
	}
	remove_dir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/snapshot/off", test_off);
	g_test_add_func("/disk/snapshot/branches", test_branches);
	g_test_add_func("/disk/snapshot/on-a-template", test_on_a_template);
	g_test_add_func("/disk/snapshot/frozen-layers", test_frozen_layers);
	g_test_add_func("/disk/snapshot/frozen-layers-running", test_frozen_layers_running);
	g_test_add_func("/disk/snapshot/running", test_running);
	g_test_add_func("/disk/snapshot/power-cut-after", test_power_cut_after);
	g_test_add_func("/disk/snapshot/refused", test_refused);
	g_test_add_func("/disk/snapshot/half", test_half);
	g_test_add_func("/disk/snapshot/half-running", test_half_running);
	return g_test_run();
}
