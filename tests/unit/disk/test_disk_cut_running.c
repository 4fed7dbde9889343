/* SPDX-License-Identifier: Apache-2.0 */
/* As test_disk_cut, of a VM that runs. After each step either the machine loses power, QEMU with it, or only the daemon dies
 * and comes back to a VM that went on all the while. What the guest flushed is there, always. */
#include "common.h"
#include <string.h>

static const char *const pair[] = {"a.qcow2", "b.qcow2", NULL}, *const single[] = {"a.qcow2", NULL};
/* Before the VM started; after; after the cut; after recovery. */
static const guint was[] = {10, 20, 0, 0}, cut_off[] = {10, 20, 30, 0}, went_on[] = {10, 20, 30, 40};

static gboolean perform(char **words, GError **error)
{
	if (!strcmp(words[0], "snapshot"))
		return disk_snapshot(words[1], pair, words[2], "new", "", error);
	return disk_snapshot_delete(words[1], single, words[2], words[3], NULL, NULL, NULL, error);
}

static char *prototype(const char *const *disks, gboolean two)
{
	char *dir = fresh_dir();

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		assert_works(disk_create(path, 32 * MIB, &error));
		image_write(path, 10, 0, 1);
	}
	if (two) {
		assert_works(disk_snapshot(dir, disks, NULL, "first", NULL, &error));
		assert_works(disk_snapshot(dir, disks, NULL, "second", NULL, &error));
	}
	return dir;
}

static void guest_writes(Vm *vm, const char *const *disks, guint pattern, guint mib)
{
	for (guint i = 0; disks[i]; i++)
		guest_write(vm->nbd, disks[i], pattern, mib, 1);
}

static void assert_holds(const char *dir, const char *const *disks, const guint *patterns)
{
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		g_assert_true(image_matches(path, patterns, 4));
	}
}

/* The snapshot is of a time between "was" and the guest's next write, of all disks; or there is none. */
static void check_snapshot(const char *dir, const char *const *disks, const guint *patterns)
{
	assert_holds(dir, disks, patterns);
	if (!listed(dir, "new")) {
		g_autofree char *layer = in_dir(dir, "a.qcow2.1.snap");

		g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
		assert_works(disk_snapshot(dir, disks, NULL, "new", "", &error));
		return;
	}
	assert_works(disk_revert(dir, disks, "new", &error));
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		g_assert_true(image_matches(path, was, 4) || image_matches(path, cut_off, 4));
	}
}

static void check_delete(const char *dir, const char *const *disks, const guint *patterns)
{
	assert_holds(dir, disks, patterns);
	assert_works(disk_tidy(dir, disks, NULL, NULL, NULL, &error));
	check_images(dir, disks);
	assert_holds(dir, disks, patterns);
}

typedef void (*Check)(const char *dir, const char *const *disks, const guint *patterns);

static gboolean one_cut(
	const char *dir, const char *const *words, const char *const *disks, guint cut, gboolean power, Check check)
{
	char *copy = copy_of(dir);
	Vm *vm = vm_start(copy, disks);
	const char *all[] = {words[0], copy, vm->qmp, words[1], NULL};
	gboolean lived;

	guest_writes(vm, disks, 20, 1);
	lived = act(cut, all);
	guest_writes(vm, disks, 30, 2);
	if (power) {
		vm_kill(vm);
		assert_works(disk_recover(copy, &error));
		check(copy, disks, cut_off);
	} else {
		assert_works(disk_recover_running(copy, vm->qmp, &error));
		guest_writes(vm, disks, 40, 3);
		vm_stop(vm);
		assert_works(disk_recover(copy, &error));
		check(copy, disks, went_on);
	}
	remove_dir(copy);
	return lived;
}

static void cut_everywhere(const char *const *words, const char *const *disks, gboolean power, Check check)
{
	char *dir = prototype(disks, disks == single);
	guint cut = 1;

	while (!one_cut(dir, words, disks, cut, power, check))
		cut++;
	g_test_message("%u steps", cut - 1);
	g_assert_cmpuint(cut, >, 8);
	remove_dir(dir);
}

static const char *const take[] = {"snapshot", "new", NULL}, *const middle[] = {"delete", "first", NULL},
			 *const newest[] = {"delete", "second", NULL};

static void test_snapshot_power(void)
{
	cut_everywhere(take, pair, TRUE, check_snapshot);
}

static void test_snapshot_daemon(void)
{
	cut_everywhere(take, pair, FALSE, check_snapshot);
}

static void test_delete_power(void)
{
	cut_everywhere(middle, single, TRUE, check_delete);
}

static void test_delete_daemon(void)
{
	cut_everywhere(middle, single, FALSE, check_delete);
}

static void test_delete_newest_power(void)
{
	cut_everywhere(newest, single, TRUE, check_delete);
}

static void test_delete_newest_daemon(void)
{
	cut_everywhere(newest, single, FALSE, check_delete);
}

int main(int argc, char **argv)
{
	int rc = serve_act(argc, argv, perform);

	if (rc >= 0)
		return rc;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/cut-running/snapshot/power", test_snapshot_power);
	g_test_add_func("/disk/cut-running/snapshot/daemon", test_snapshot_daemon);
	g_test_add_func("/disk/cut-running/delete/power", test_delete_power);
	g_test_add_func("/disk/cut-running/delete/daemon", test_delete_daemon);
	g_test_add_func("/disk/cut-running/delete-newest/power", test_delete_newest_power);
	g_test_add_func("/disk/cut-running/delete-newest/daemon", test_delete_newest_daemon);
	return g_test_run();
}
