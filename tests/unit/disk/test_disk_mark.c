/* SPDX-License-Identifier: Apache-2.0 */
/* Changed-block tracking: what is told is what was written, over snapshots, deletions and reverts, off and running; and a mark
 * that missed something says so. */
#include "common.h"
#include <string.h>

static const char *const disks[] = {"a.qcow2", NULL};

typedef struct {
	char *dir, *path;
} Disk;

static Disk disk_begin(void)
{
	Disk disk = {fresh_dir(), NULL};

	disk.path = in_dir(disk.dir, disks[0]);
	assert_works(disk_create(disk.path, 32 * MIB, &error));
	return disk;
}

static void disk_end(Disk *disk)
{
	remove_dir(disk->dir);
	g_free(disk->path);
}

static char *marked(Disk *disk, Vm *vm)
{
	g_autoptr(GError) error = NULL;
	char *mark = disk_mark(disk->path, vm ? vm->qmp : NULL, &error);

	g_assert_no_error(error);
	return mark;
}

/* expected: "first-length first-length …", in MiB */
static void assert_changed(Disk *disk, Vm *vm, const char *mark, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) extents = disk_changed(disk->path, vm ? vm->qmp : NULL, mark, &error);
	g_autoptr(GString) text = g_string_new(NULL);

	g_assert_no_error(error);
	if (vm)
		vm_export_again(vm, disks[0], disk->path);
	for (guint i = 0; i < extents->len; i++) {
		DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

		g_assert_cmpuint(extent->offset % MIB + extent->length % MIB, ==, 0);
		g_string_append_printf(
			text, "%s%u-%u", i ? " " : "", (guint)(extent->offset / MIB), (guint)(extent->length / MIB));
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_off(void)
{
	Disk disk = disk_begin();
	g_autofree char *first = NULL, *second = NULL;

	image_write(disk.path, 1, 0, 4);
	first = marked(&disk, NULL);
	assert_changed(&disk, NULL, first, "");
	image_write(disk.path, 2, 1, 1);
	image_write(disk.path, 2, 5, 2);
	second = marked(&disk, NULL);
	image_write(disk.path, 0, 20, 1);
	assert_changed(&disk, NULL, first, "1-1 5-2 20-1");
	assert_changed(&disk, NULL, second, "20-1");
	assert_works(disk_unmark(disk.path, NULL, first, &error));
	assert_fails(disk_changed(disk.path, NULL, first, &error) != NULL, DISK_ERROR_NOT_FOUND);
	assert_fails(disk_unmark(disk.path, NULL, first, &error), DISK_ERROR_NOT_FOUND);
	assert_fails(disk_changed(disk.path, NULL, "a,b", &error) != NULL, DISK_ERROR_INVALID);
	assert_works(disk_resize(disk.path, 64 * MIB, &error));
	image_write(disk.path, 3, 40, 1);
	assert_changed(&disk, NULL, second, "20-1 40-1");
	disk_end(&disk);
}

static void test_running(void)
{
	Disk disk = disk_begin();
	g_autofree char *before = marked(&disk, NULL), *during = NULL;
	Vm *vm = vm_start(disk.dir, disks);

	guest_write(vm->nbd, disks[0], 1, 3, 1);
	during = marked(&disk, vm);
	guest_write(vm->nbd, disks[0], 1, 6, 2);
	assert_changed(&disk, vm, before, "3-1 6-2");
	assert_changed(&disk, vm, during, "6-2");
	guest_write(vm->nbd, disks[0], 1, 10, 1); /* goes on after it was read */
	assert_changed(&disk, vm, during, "6-2 10-1");
	vm_stop(vm);
	assert_changed(&disk, NULL, before, "3-1 6-2 10-1");
	assert_changed(&disk, NULL, during, "6-2 10-1");
	vm = vm_start(disk.dir, disks);
	guest_write(vm->nbd, disks[0], 1, 12, 1);
	assert_changed(&disk, vm, during, "6-2 10-1 12-1");
	assert_works(disk_unmark(disk.path, vm->qmp, before, &error));
	assert_fails(disk_changed(disk.path, vm->qmp, before, &error) != NULL, DISK_ERROR_NOT_FOUND);
	vm_stop(vm);
	assert_changed(&disk, NULL, during, "6-2 10-1 12-1");
	disk_end(&disk);
}

static void test_over_snapshots(void)
{
	Disk disk = disk_begin();
	g_autofree char *first = marked(&disk, NULL), *second = NULL;

	image_write(disk.path, 1, 0, 1);
	assert_works(disk_snapshot(disk.dir, disks, NULL, "one", NULL, &error));
	image_write(disk.path, 1, 2, 1);
	second = marked(&disk, NULL);
	assert_works(disk_snapshot(disk.dir, disks, NULL, "two", NULL, &error));
	image_write(disk.path, 1, 4, 1);
	assert_changed(&disk, NULL, first, "0-1 2-1 4-1");
	assert_changed(&disk, NULL, second, "4-1");
	assert_works(disk_snapshot_delete(disk.dir, disks, NULL, "one", NULL, NULL, NULL, &error));
	assert_changed(&disk, NULL, first, "0-1 2-1 4-1");
	assert_changed(&disk, NULL, second, "4-1");
	assert_works(disk_snapshot_delete(disk.dir, disks, NULL, "two", NULL, NULL, NULL, &error));
	assert_changed(&disk, NULL, first, "0-1 2-1 4-1");
	disk_end(&disk);
}

/* Back to before the mark: it is gone, not wrong. Back to after it: it counts from the mark to there. */
static void test_revert(void)
{
	Disk disk = disk_begin();
	g_autofree char *old = marked(&disk, NULL), *young = NULL;

	image_write(disk.path, 1, 0, 1);
	assert_works(disk_snapshot(disk.dir, disks, NULL, "one", NULL, &error));
	image_write(disk.path, 1, 2, 1);
	young = marked(&disk, NULL);
	image_write(disk.path, 1, 4, 1);
	assert_works(disk_revert(disk.dir, disks, "one", &error));
	image_write(disk.path, 1, 6, 1);
	assert_changed(&disk, NULL, old, "0-1 6-1");
	assert_fails(disk_changed(disk.path, NULL, young, &error) != NULL, DISK_ERROR_NOT_FOUND);
	disk_end(&disk);
}

static void test_running_snapshots(void)
{
	Disk disk = disk_begin();
	g_autofree char *first = marked(&disk, NULL), *second = NULL, *third = NULL;
	Vm *vm = vm_start(disk.dir, disks);

	guest_write(vm->nbd, disks[0], 1, 0, 1);
	second = marked(&disk, vm);
	guest_write(vm->nbd, disks[0], 1, 2, 1);
	assert_works(disk_snapshot(disk.dir, disks, vm->qmp, "one", NULL, &error));
	guest_write(vm->nbd, disks[0], 1, 4, 1);
	third = marked(&disk, vm);
	assert_works(disk_snapshot(disk.dir, disks, vm->qmp, "two", NULL, &error));
	guest_write(vm->nbd, disks[0], 1, 6, 1);
	assert_changed(&disk, vm, first, "0-1 2-1 4-1 6-1");
	assert_changed(&disk, vm, second, "2-1 4-1 6-1");
	assert_changed(&disk, vm, third, "6-1");
	assert_works(disk_snapshot_delete(disk.dir, disks, vm->qmp, "one", NULL, NULL, NULL, &error));
	assert_changed(&disk, vm, first, "0-1 2-1 4-1 6-1");
	assert_changed(&disk, vm, second, "2-1 4-1 6-1");
	assert_changed(&disk, vm, third, "6-1");
	assert_works(disk_snapshot_delete(disk.dir, disks, vm->qmp, "two", NULL, NULL, NULL, &error));
	guest_write(vm->nbd, disks[0], 1, 8, 1);
	assert_changed(&disk, vm, first, "0-1 2-1 4-1 6-1 8-1");
	assert_changed(&disk, vm, second, "2-1 4-1 6-1 8-1");
	vm_stop(vm);
	assert_changed(&disk, NULL, first, "0-1 2-1 4-1 6-1 8-1");
	assert_works(disk_tidy(disk.dir, disks, NULL, NULL, NULL, &error));
	assert_changed(&disk, NULL, first, "0-1 2-1 4-1 6-1 8-1");
	assert_changed(&disk, NULL, second, "2-1 4-1 6-1 8-1");
	disk_end(&disk);
}

/* QEMU killed: what it had not written down is not known, and that is what is said, after a snapshot and its deletion too. */
static void test_killed(void)
{
	Disk disk = disk_begin();
	g_autofree char *mark = marked(&disk, NULL), *fresh = NULL;
	Vm *vm = vm_start(disk.dir, disks);

	guest_write(vm->nbd, disks[0], 1, 0, 1);
	fresh = marked(&disk, vm);
	guest_write(vm->nbd, disks[0], 1, 2, 1);
	vm_kill(vm);
	assert_works(disk_recover(disk.dir, &error));
	assert_fails(disk_changed(disk.path, NULL, mark, &error) != NULL, DISK_ERROR_CORRUPT);
	assert_fails(disk_changed(disk.path, NULL, fresh, &error) != NULL, DISK_ERROR_NOT_FOUND);
	vm = vm_start(disk.dir, disks);
	assert_fails(disk_changed(disk.path, vm->qmp, mark, &error) != NULL, DISK_ERROR_CORRUPT);
	vm_stop(vm);
	assert_works(disk_snapshot(disk.dir, disks, NULL, "one", NULL, &error));
	assert_fails(disk_changed(disk.path, NULL, mark, &error) != NULL, DISK_ERROR_NOT_FOUND);
	assert_works(disk_snapshot_delete(disk.dir, disks, NULL, "one", NULL, NULL, NULL, &error));
	assert_fails(disk_changed(disk.path, NULL, mark, &error) != NULL, DISK_ERROR_NOT_FOUND);
	disk_end(&disk);
}

/* Killed after an online snapshot: the layer's part is safe, the live part is not. */
static void test_killed_on_a_snapshot(void)
{
	Disk disk = disk_begin();
	g_autofree char *mark = marked(&disk, NULL), *layer = in_dir(disk.dir, "a.qcow2.1.snap");
	g_autoptr(GPtrArray) bitmaps = NULL;
	Vm *vm = vm_start(disk.dir, disks);

	guest_write(vm->nbd, disks[0], 1, 0, 1);
	assert_works(disk_snapshot(disk.dir, disks, vm->qmp, "one", NULL, &error));
	guest_write(vm->nbd, disks[0], 1, 2, 1);
	vm_kill(vm);
	assert_fails(disk_changed(disk.path, NULL, mark, &error) != NULL, DISK_ERROR_CORRUPT);
	bitmaps = mark_list(layer, NULL);
	g_assert_true(bitmap_find(bitmaps, mark)->usable);
	assert_works(disk_revert(disk.dir, disks, "one", &error));
	assert_changed(&disk, NULL, mark, "0-1");
	disk_end(&disk);
}

static void test_raw(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.raw");

	g_assert_true(g_file_set_contents(path, "raw", -1, NULL));
	assert_fails(disk_mark(path, NULL, &error) != NULL, DISK_ERROR_UNSUPPORTED);
	remove_dir(dir);
}

static void test_extents(void)
{
	static const DiskExtent in[] = {{10, 5}, {0, 2}, {15, 1}, {12, 2}, {2, 1}, {40, 0}, {30, 1}, {29, 8}};
	g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
	DiskExtent *out;

	for (guint i = 0; i < G_N_ELEMENTS(in); i++)
		extents_add(extents, in[i].offset, in[i].length);
	extents_normalise(extents);
	g_assert_cmpuint(extents->len, ==, 3);
	out = (DiskExtent *)(gpointer)extents->data;
	g_assert_true(out[0].offset == 0 && out[0].length == 3 && out[1].offset == 10 && out[1].length == 6 &&
		out[2].offset == 29 && out[2].length == 8);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/mark/extents", test_extents);
	g_test_add_func("/disk/mark/raw", test_raw);
	g_test_add_func("/disk/mark/off", test_off);
	g_test_add_func("/disk/mark/running", test_running);
	g_test_add_func("/disk/mark/over-snapshots", test_over_snapshots);
	g_test_add_func("/disk/mark/revert", test_revert);
	g_test_add_func("/disk/mark/running-snapshots", test_running_snapshots);
	g_test_add_func("/disk/mark/killed", test_killed);
	g_test_add_func("/disk/mark/killed-on-a-snapshot", test_killed_on_a_snapshot);
	return g_test_run();
}
