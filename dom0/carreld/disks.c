/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and changed blocks of a VM's disks: disk/ does it, in a worker. */
#include <string.h>

#include "disk/disk.h"
#include "dispatch.h"
#include "vm.h"

typedef struct {
	char *vm, *dir, *qmp; /* qmp NULL: off */
	GPtrArray *disks;     /* names in dir, NULL at the end */
	char *name, *description;
	GHashTable *others;
	gboolean newest;      /* the snapshot is the last one */
} Work;

static void work_free(gpointer data)
{
	Work *work = data;

	g_free(work->vm);
	g_free(work->dir);
	g_free(work->qmp);
	g_ptr_array_unref(work->disks);
	g_free(work->name);
	g_free(work->description);
	g_clear_pointer(&work->others, g_hash_table_unref);
	g_free(work);
}

/* -- bases that other VMs' disks stand on ----------------------------------------------------------------------------- */

GHashTable *disks_of_others(Manager *manager, const char *name)
{
	GHashTable *others = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		for (guint i = 0; vm->file && strcmp(vm->name, name) && i < vm->file->disks->len; i++)
			g_hash_table_insert(others, vm_disk_path(vm->dir, vm->file->disks->pdata[i]), g_strdup(vm->name));
	return others;
}

/* Whether the image at path stands on something in dir; what cannot be read stands on nothing that we know. */
static gboolean stands_on(const char *path, const char *dir)
{
	g_autofree char *at = g_strdup(path), *prefix = g_strconcat(dir, "/", NULL);

	for (int depth = 0; depth < 64; depth++) {
		DiskInfo info = { 0 };
		char *backing;

		if (g_str_has_prefix(at, prefix))
			return TRUE;
		if (!disk_info(at, &info, NULL))
			return FALSE;
		backing = g_steal_pointer(&info.backing);
		disk_info_clear(&info);
		if (!backing)
			return FALSE;
		g_free(at);
		at = backing;
	}
	return TRUE;
}

gboolean disks_free_base(GHashTable *others, const char *dir, const char *what, GError **error)
{
	GHashTableIter iter;
	const char *path, *vm;

	g_hash_table_iter_init(&iter, others);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, (gpointer *)&vm))
		if (stands_on(path, dir))
			return carrel_fail(error, CARREL_ERROR_BUSY, "%s: VM %s was made from it and still needs its disks: delete that one first",
				what, vm);
	return TRUE;
}

/* -- snapshots -------------------------------------------------------------------------------------------------------- */

/* The disks that a snapshot covers: every one that the guest can write. */
static gboolean collect(Vm *vm, Work *work, GError **error)
{
	const VmFile *file = vm_effective(vm);

	for (guint i = 0; i < file->disks->len; i++) {
		const VmDisk *disk = file->disks->pdata[i];

		if (disk->readonly)
			continue;
		if (disk->format != DISK_QCOW2 || g_path_is_absolute(disk->file) || strchr(disk->file, '/'))
			return carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s: disk %s is %s: snapshots and clones need qcow2 images in the "
				"VM's own directory (convert it, or make it readonly)", vm->name, disk->name,
				disk->format == DISK_QCOW2 ? "elsewhere" : "raw");
		g_ptr_array_add(work->disks, g_strdup(disk->file));
	}
	g_ptr_array_add(work->disks, NULL);
	return work->disks->len > 1 || carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s has no disk that it can write", vm->name);
}

static Work *work_new(Vm *vm, const char *name, GError **error)
{
	Work *work = g_new0(Work, 1);

	*work = (Work){ .vm = g_strdup(vm->name), .dir = g_strdup(vm->dir), .name = g_strdup(name),
		.disks = g_ptr_array_new_with_free_func(g_free) };
	if (vm->domain)
		work->qmp = vm_qmp_path(vm->manager, vm->name);
	if (!vm_disks_locked(vm, error) && collect(vm, work, error))
		return work;
	work_free(work);
	return NULL;
}

static const char *const *disks_of(const Work *work)
{
	return (const char *const *)work->disks->pdata;
}

static void ended(Job *job, gpointer data, GError *error)
{
	(void)data;
	vm_refresh_snapshots(job->vm);
	vm_refresh_disks(job->vm);
	job_finish(job, error);
}

static Job *begin(Vm *vm, VmAction action, JobRun run, Work *work, GError **error)
{
	Job *job = work ? vm_begin(vm, action, error) : NULL;

	if (job)
		job_run(job, run, work, work_free, ended);
	else if (work)
		work_free(work);
	return job;
}

static gboolean snapshot_work(Job *job, gpointer data, GError **error)
{
	Work *work = data;

	job_stage(job, -1, "takes the snapshot");
	return disk_snapshot(work->dir, disks_of(work), work->qmp, work->name, work->description, error);
}

Job *disks_snapshot(Vm *vm, const char *name, const char *description, GError **error)
{
	Work *work = vm_allows(vm, ACT_SNAPSHOT, error) ? work_new(vm, name, error) : NULL;

	if (work)
		work->description = g_strdup(description);
	return begin(vm, ACT_SNAPSHOT, snapshot_work, work, error);
}

static gboolean exists(Vm *vm, const char *name, gboolean *newest, GError **error)
{
	for (guint i = 0; vm->snapshots && i < vm->snapshots->len; i++) {
		const DiskSnapshot *snapshot = vm->snapshots->pdata[i];

		*newest = i + 1 == vm->snapshots->len;
		if (!strcmp(snapshot->name, name))
			return TRUE;
	}
	return carrel_fail(error, CARREL_ERROR_NOT_FOUND, "VM %s has no snapshot '%s'", vm->name, name);
}

static gboolean revert_work(Job *job, gpointer data, GError **error)
{
	Work *work = data;

	job_stage(job, -1, "puts the disks back");
	/* Going back past a snapshot drops it, and clones may stand on it. */
	return (work->newest || disks_free_base(work->others, work->dir, work->vm, error)) &&
		disk_revert(work->dir, disks_of(work), work->name, error);
}

Job *disks_revert(Vm *vm, const char *name, GError **error)
{
	gboolean newest = FALSE;
	Work *work = vm_allows(vm, ACT_REVERT, error) && exists(vm, name, &newest, error) ? work_new(vm, name, error) : NULL;

	if (work) {
		work->newest = newest;
		work->others = disks_of_others(vm->manager, vm->name);
	}
	return begin(vm, ACT_REVERT, revert_work, work, error);
}

static gboolean delete_work(Job *job, gpointer data, GError **error)
{
	Work *work = data;
	JobSpan span = { job, 0, 1 };

	job_stage(job, -1, "merges the snapshot");
	return disks_free_base(work->others, work->dir, work->vm, error) &&
		disk_snapshot_delete(work->dir, disks_of(work), work->qmp, work->name, job_progress, &span, job->cancellable, error);
}

Job *disks_delete_snapshot(Vm *vm, const char *name, GError **error)
{
	gboolean newest = FALSE;
	Work *work = vm_allows(vm, ACT_DELETE_SNAPSHOT, error) && exists(vm, name, &newest, error) ? work_new(vm, name, error) : NULL;

	if (work)
		work->others = disks_of_others(vm->manager, vm->name);
	return begin(vm, ACT_DELETE_SNAPSHOT, delete_work, work, error);
}

/* -- tidying: nobody asked for it, so nobody waits for it or hears of it ------------------------------------------------ */

typedef struct {
	Vm *vm;
	Work *work;
} Tidy;

static void tidy_free(gpointer data)
{
	Tidy *tidy = data;

	work_free(tidy->work);
	vm_unref(tidy->vm);
	g_free(tidy);
}

static void tidy_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const Tidy *tidy = data;
	GError *error = NULL;

	(void)source;
	if (disks_free_base(tidy->work->others, tidy->work->dir, tidy->work->vm, &error) &&
	    disk_tidy(tidy->work->dir, disks_of(tidy->work), NULL, NULL, cancellable, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void tidied(GObject *source, GAsyncResult *result, gpointer data)
{
	Vm *vm = ((Tidy *)g_task_get_task_data(G_TASK(result)))->vm;
	g_autoptr(GError) error = NULL;

	(void)source, (void)data;
	vm->manager->busy--;
	vm->manager->workers--;
	g_clear_object(&vm->tidying);
	if (!g_task_propagate_boolean(G_TASK(result), &error))
		g_debug("VM %s: its disks are not tidied: %s", vm->name, error->message);
	else if (!vm->job)
		vm_refresh_disks(vm);
}

/* Without layers there is nothing to win. */
static gboolean has_layers(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".snap"))
			return TRUE;
	return FALSE;
}

void disks_tidy(Vm *vm)
{
	Tidy *tidy;
	Work *work;
	GTask *task;

	if (vm->tidying || vm->job || vm->readers || !vm->file || power_busy(vm->manager) || !has_layers(vm->dir) || !(work = work_new(vm, NULL, NULL)))
		return;
	work->others = disks_of_others(vm->manager, vm->name);
	tidy = g_new0(Tidy, 1);
	*tidy = (Tidy){ vm_ref(vm), work };
	vm->tidying = g_cancellable_new();
	vm->manager->busy++;
	vm->manager->workers++;
	task = g_task_new(NULL, vm->tidying, tidied, NULL);
	g_task_set_task_data(task, tidy, tidy_free);
	g_task_run_in_thread(task, tidy_thread);
	g_object_unref(task);
}

void disks_tidy_stop(Vm *vm)
{
	if (vm && vm->tidying)
		g_cancellable_cancel(vm->tidying);
}

void disks_tidy_stop_all(Manager *manager)
{
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		disks_tidy_stop(vm);
}

static gboolean is_tidy(Manager *manager, gpointer data, GError **error)
{
	(void)manager, (void)error;
	return !((Vm *)data)->tidying;
}

void disks_tidy_wait(Vm *vm)
{
	while (!on_main(vm->manager, is_tidy, vm, NULL))
		g_usleep(20000);
}

/* -- changed blocks: answered by the call itself ---------------------------------------------------------------------- */

typedef struct {
	Vm *vm;
	GDBusMethodInvocation *invocation;
	char *path, *qmp, *mark; /* mark NULL: a new one is wanted */
	gboolean settle;         /* its disks were being tidied */
} Read;

static void read_free(gpointer data)
{
	Read *read = data;

	vm_unref(read->vm);
	g_free(read->path);
	g_free(read->qmp);
	g_free(read->mark);
	g_free(read);
}

static void read_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Read *read = data;
	GError *error = NULL;
	gpointer result;

	(void)source, (void)cancellable;
	if (read->settle)
		disks_tidy_wait(read->vm);
	result = read->mark ? (gpointer)disk_changed(read->path, read->qmp, read->mark, &error) :
		(gpointer)disk_mark(read->path, read->qmp, &error);
	if (result)
		g_task_return_pointer(task, result, read->mark ? (GDestroyNotify)g_array_unref : g_free);
	else
		g_task_return_error(task, error);
}

static GVariant *extents_variant(const GArray *extents)
{
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("a(tt)"));
	for (guint i = 0; i < extents->len; i++) {
		const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

		g_variant_builder_add(&list, "(tt)", extent->offset, extent->length);
	}
	return g_variant_new("(@a(tt))", g_variant_builder_end(&list));
}

static void read_done(GObject *source, GAsyncResult *result, gpointer data)
{
	Read *read = g_task_get_task_data(G_TASK(result));
	GError *error = NULL;
	gpointer value = g_task_propagate_pointer(G_TASK(result), &error);

	(void)source, (void)data;
	read->vm->readers--;
	if (!value) {
		dispatch_fail(read->invocation, error);
	} else if (read->mark) {
		g_autoptr(GArray) extents = value;

		g_dbus_method_invocation_return_value(read->invocation, extents_variant(extents));
	} else {
		g_autofree char *mark = value;

		g_dbus_method_invocation_return_value(read->invocation, g_variant_new("(s)", mark));
	}
}

static const VmDisk *find_disk(Vm *vm, const char *name, GError **error)
{
	const VmFile *file = vm_effective(vm);

	for (guint i = 0; file && i < file->disks->len; i++) {
		const VmDisk *disk = file->disks->pdata[i];

		if (strcmp(disk->name, name))
			continue;
		if (disk->format == DISK_QCOW2)
			return disk;
		carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "disk %s of VM %s is not qcow2: its changes are not known", name, vm->name);
		return NULL;
	}
	carrel_fail(error, CARREL_ERROR_NOT_FOUND, "VM %s has no disk '%s'", vm->name, name);
	return NULL;
}

static void read_begin(Vm *vm, const char *name, const char *mark, GDBusMethodInvocation *invocation)
{
	GError *error = NULL;
	const VmDisk *disk = vm_allows(vm, ACT_CHANGES, &error) ? find_disk(vm, name, &error) : NULL;
	Read *read;
	GTask *task;

	if (!disk) {
		dispatch_fail(invocation, error);
		return;
	}
	read = g_new0(Read, 1);
	*read = (Read){ .vm = vm_ref(vm), .invocation = invocation, .path = vm_disk_path(vm->dir, disk), .mark = g_strdup(mark),
		.qmp = vm->domain ? vm_qmp_path(vm->manager, vm->name) : NULL, .settle = vm->tidying != NULL };
	disks_tidy_stop(vm);
	vm->readers++;
	task = g_task_new(NULL, NULL, read_done, NULL);
	g_task_set_task_data(task, read, read_free);
	g_task_run_in_thread(task, read_thread);
	g_object_unref(task);
}

void disks_mark(Vm *vm, const char *disk, GDBusMethodInvocation *invocation)
{
	read_begin(vm, disk, NULL, invocation);
}

void disks_changed(Vm *vm, const char *disk, const char *mark, GDBusMethodInvocation *invocation)
{
	read_begin(vm, disk, mark, invocation);
}
