/* SPDX-License-Identifier: Apache-2.0 */
/* New VMs on the disks of others, and the end of VMs. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "dispatch.h"
#include "files.h"
#include "store.h"
#include "vm.h"

static const Option options_known[] = { { "title", "s" }, { "colour", "s" }, { "memory-min", "t" }, { "memory-max", "t" },
	{ "vcpus", "u" }, { "autostart", "b" }, { "encrypted", "b" }, { "passphrase", "s" } };

typedef struct {
	char *from, *to; /* whole path; name in the new directory */
} Pair;

typedef struct {
	Manager *manager;
	char *name, *dir, *path, *mark, *vault, *passphrase;
	VmFile *file;
	GArray *clones, *copies; /* Pair */
	/* Of a clone: */
	char *source_dir, *snapshot;
	GPtrArray *source_disks; /* file names, NULL at the end */
	gboolean vault_open, snapshot_taken;
} Make;

static void pair_clear(gpointer data)
{
	Pair *pair = data;

	g_free(pair->from);
	g_free(pair->to);
}

static GArray *pairs_new(void)
{
	GArray *pairs = g_array_new(FALSE, TRUE, sizeof(Pair));

	g_array_set_clear_func(pairs, pair_clear);
	return pairs;
}

static void add_pair(GArray *pairs, char *from, const char *to)
{
	Pair pair = { from, g_strdup(to) };

	g_array_append_val(pairs, pair);
}

static Make *make_new(Manager *manager, const char *name)
{
	Make *make = g_new0(Make, 1);

	*make = (Make){ .manager = manager, .name = g_strdup(name), .dir = g_build_filename(manager->state_dir, "vms", name, NULL),
		.path = manager_vm_file(manager, name), .mark = files_mark(manager->state_dir, name), .clones = pairs_new(),
		.copies = pairs_new() };
	return make;
}

static void make_free(gpointer data)
{
	Make *make = data;

	g_free(make->name);
	g_free(make->dir);
	g_free(make->path);
	g_free(make->mark);
	g_free(make->vault);
	wipe(make->passphrase);
	g_free(make->source_dir);
	g_free(make->snapshot);
	g_clear_pointer(&make->source_disks, g_ptr_array_unref);
	g_clear_pointer(&make->file, vmfile_free);
	g_array_unref(make->clones);
	g_array_unref(make->copies);
	g_free(make);
}

/* -- in a worker ------------------------------------------------------------------------------------------------------ */

/* Room for all that its disks may grow to, and some for snapshots; the file is sparse. */
static gboolean vault_size(const Make *make, guint64 *size, GError **error)
{
	*size = 1ull << 30;
	for (guint i = 0; i < make->clones->len; i++) {
		DiskInfo info = { 0 };

		if (!disk_info(g_array_index(make->clones, Pair, i).from, &info, error))
			return FALSE;
		*size += info.size + info.size / 4;
		disk_info_clear(&info);
	}
	return TRUE;
}

static gboolean make_vault(Make *make, GError **error)
{
	g_autofree char *name = vm_volume(make->name);
	guint64 size;

	if (!make->vault)
		return TRUE;
	make->vault_open = vault_size(make, &size, error) && vault_create(make->vault, size, make->passphrase, error) &&
		vault_open(make->vault, name, make->dir, make->passphrase, error);
	return make->vault_open;
}

static gboolean close_vault(Make *make, GError **error)
{
	g_autofree char *name = vm_volume(make->name);

	if (!make->vault_open)
		return TRUE;
	make->vault_open = FALSE;
	return vault_close(name, make->dir, error);
}

/* The live files become bases: both VMs go on with overlays on them. */
static gboolean split(Make *make, GError **error)
{
	if (!make->source_dir)
		return TRUE;
	make->snapshot_taken = disk_snapshot(make->source_dir, (const char *const *)make->source_disks->pdata, NULL, make->snapshot,
		"What a clone stands on", error);
	if (!make->snapshot_taken)
		return FALSE;
	for (guint i = 0; i < make->clones->len; i++) {
		Pair *pair = &g_array_index(make->clones, Pair, i);
		DiskInfo info = { 0 };

		if (!disk_info(pair->from, &info, error))
			return FALSE;
		g_free(pair->from);
		pair->from = g_steal_pointer(&info.backing);
		disk_info_clear(&info);
		if (!pair->from)
			return carrel_fail(error, CARREL_ERROR_FAILED, "%s: the snapshot left no base", make->source_dir);
	}
	return TRUE;
}

static gboolean fill(Job *job, Make *make, GError **error)
{
	for (guint i = 0; i < make->clones->len; i++) {
		const Pair *pair = &g_array_index(make->clones, Pair, i);
		g_autofree char *to = g_build_filename(make->dir, pair->to, NULL);

		if (!disk_clone(pair->from, to, error))
			return FALSE;
	}
	for (guint i = 0; i < make->copies->len; i++) {
		const Pair *pair = &g_array_index(make->copies, Pair, i);
		g_autofree char *to = g_build_filename(make->dir, pair->to, NULL);

		if (!files_copy(pair->from, to, job->cancellable, error))
			return FALSE;
	}
	return TRUE;
}

static void undo(Make *make)
{
	g_autoptr(GError) vault = NULL, tree = NULL, snapshot = NULL;

	if (!close_vault(make, &vault))
		g_warning("VM %s: its volume stays open: %s", make->name, vault->message);
	if (!files_remove_tree(make->dir, &tree))
		g_warning("VM %s: %s", make->name, tree->message);
	if (make->vault)
		g_unlink(make->vault);
	g_unlink(make->mark);
	if (make->snapshot_taken && !disk_snapshot_delete(make->source_dir, (const char *const *)make->source_disks->pdata, NULL,
		make->snapshot, NULL, NULL, NULL, &snapshot))
		g_warning("%s: the snapshot %s stays: %s", make->source_dir, make->snapshot, snapshot->message);
}

static gboolean make_work(Job *job, gpointer data, GError **error)
{
	Make *make = data;

	job_stage(job, 0.1, make->vault ? "makes an encrypted volume" : "clones the disks");
	if (!files_touch(make->mark, error))
		return FALSE;
	if (g_mkdir(make->dir, 0700)) {
		carrel_fail(error, CARREL_ERROR_FAILED, "cannot make %s: %s", make->dir, g_strerror(errno));
		goto failed;
	}
	if (!make_vault(make, error) || job_cancelled(job, error) || !split(make, error) || !fill(job, make, error) ||
	    !close_vault(make, error) || job_cancelled(job, error) || !vmfile_save(make->file, make->path, error))
		goto failed;
	g_unlink(make->mark);
	return TRUE;
failed:
	undo(make);
	return FALSE;
}

static void made(Job *job, gpointer data, GError *error)
{
	Make *make = data;

	if (!error)
		job_set_result(job, manager_add(job->manager, make->name, g_steal_pointer(&make->file))->path);
	if (job->vm) {
		vm_refresh_snapshots(job->vm);
		vm_refresh_disks(job->vm);
	}
	job_finish(job, error);
}

/* -- what the new VM is to be ----------------------------------------------------------------------------------------- */

static gboolean set_number(VmFile *file, GVariant *options, const char *key, GError **error)
{
	guint64 bytes;
	guint32 number;
	g_autofree char *value = NULL;

	if (g_variant_lookup(options, key, "t", &bytes))
		value = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
	else if (g_variant_lookup(options, key, "u", &number))
		value = g_strdup_printf("%u", number);
	return !value || vmfile_set(file, "machine", key, value, error);
}

static gboolean set_memory(VmFile *file, GVariant *options, GError **error)
{
	guint64 bytes;

	/* So that the new least and most never meet the old ones. */
	if (g_variant_lookup(options, "memory-min", "t", &bytes) && !vmfile_set(file, "machine", "memory-min", NULL, error))
		return FALSE;
	return set_number(file, options, "memory-max", error) && set_number(file, options, "memory-min", error) &&
		set_number(file, options, "vcpus", error);
}

static gboolean set_identity(VmFile *file, const char *name, GVariant *options, GError **error)
{
	g_autoptr(VmFile) fresh = vmfile_new(name);
	const char *title = name, *colour = fresh->colour;
	gboolean autostart = FALSE, encrypted = FALSE;

	g_variant_lookup(options, "title", "&s", &title);
	g_variant_lookup(options, "colour", "&s", &colour);
	g_variant_lookup(options, "autostart", "b", &autostart);
	g_variant_lookup(options, "encrypted", "b", &encrypted);
	return vmfile_set(file, "vm", "template", NULL, error) && vmfile_set(file, "vm", "uuid", fresh->uuid, error) &&
		vmfile_set(file, "vm", "title", title, error) && vmfile_set(file, "vm", "colour", colour, error) &&
		vmfile_set(file, "policy", "autostart", autostart ? "true" : NULL, error) &&
		vmfile_set(file, "vm", "encrypted", encrypted ? "true" : NULL, error);
}

/* A guest that is copied must not have its twin's hardware address. */
static gboolean forget_macs(VmFile *file, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < file->interfaces->len; i++)
		g_ptr_array_add(names, g_strdup_printf("network %s", ((VmInterface *)file->interfaces->pdata[i])->name));
	for (guint i = 0; i < names->len; i++)
		if (g_key_file_has_key(file->keys, names->pdata[i], "mac", NULL) && !vmfile_set(file, names->pdata[i], "mac", NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean plan_disk(Make *make, const Vm *from, const VmDisk *disk, GError **error)
{
	g_autofree char *group = g_strdup_printf("disk %s", disk->name), *file = g_strdup_printf("%s.qcow2", disk->name);
	char *path = vm_disk_path(from->dir, disk);
	gboolean set;

	if (disk->readonly) {
		set = vmfile_set(make->file, group, "file", path, error);
		g_free(path);
		return set;
	}
	if (disk->format != DISK_QCOW2) {
		g_free(path);
		return carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s: disk %s is %s: only qcow2 disks can be cloned; convert it, or make "
			"it readonly", from->name, disk->name, disk->format == DISK_RAW ? "raw" : "a block device");
	}
	add_pair(make->clones, path, file);
	return vmfile_set(make->file, group, "file", file, error);
}

static gboolean plan_copy(Make *make, const Vm *from, const char *key, const char *path, GError **error)
{
	g_autofree char *base = NULL;

	if (!path || g_path_is_absolute(path))
		return TRUE;
	base = g_path_get_basename(path);
	add_pair(make->copies, g_build_filename(from->dir, path, NULL), base);
	return vmfile_set(make->file, "machine", key, base, error);
}

static gboolean plan_encryption(Make *make, GVariant *options, GError **error)
{
	if (!make->file->encrypted)
		return TRUE;
	if (!g_variant_lookup(options, "passphrase", "s", &make->passphrase) || !*make->passphrase)
		return carrel_fail(error, CARREL_ERROR_INVALID, "VM %s is to be encrypted: option passphrase is needed", make->name);
	make->vault = manager_vault_file(make->manager, make->name);
	return TRUE;
}

static Make *plan(Manager *manager, const Vm *from, const char *name, GVariant *options, GError **error)
{
	Make *make = make_new(manager, name);

	make->file = vmfile_copy(from->file);
	if (from->file->encrypted) {
		carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s is encrypted: what is in its volume cannot be shared with a clone",
			from->name);
		goto failed;
	}
	for (guint i = 0; i < from->file->disks->len; i++)
		if (!plan_disk(make, from, from->file->disks->pdata[i], error))
			goto failed;
	if (plan_copy(make, from, "ramdisk", from->file->ramdisk, error) && plan_copy(make, from, "kernel", from->file->kernel, error) &&
	    forget_macs(make->file, error) && set_identity(make->file, name, options, error) &&
	    set_memory(make->file, options, error) && plan_encryption(make, options, error))
		return make;
failed:
	make_free(make);
	return NULL;
}

static gboolean may_make(Manager *manager, const char *name, GVariant *options, GError **error)
{
	return options_check(options, options_known, G_N_ELEMENTS(options_known), error) && manager_name_free(manager, name, error);
}

static void claim(Job *job, const char *name)
{
	job->claim = g_strdup(name);
	g_hash_table_add(job->manager->claims, g_strdup(name));
}

Job *make_from_template(Manager *manager, const char *name, const char *from, GVariant *options, GError **error)
{
	Vm *template = manager_vm(manager, from);
	Make *make;
	Job *job;

	if (!may_make(manager, name, options, error))
		return NULL;
	if (!template || !template->file || !template->file->template) {
		carrel_fail(error, CARREL_ERROR_NOT_FOUND, template ? "VM '%s' is not a template: set template=true in [vm], or clone it" :
			"there is no template '%s'", from);
		return NULL;
	}
	make = plan(manager, template, name, options, error);
	if (!make)
		return NULL;
	/* A template is never written, so many may be made from it at once; but it must not be deleted meanwhile. */
	template->readers++;
	job = job_new(manager, "CreateFromTemplate", NULL);
	job->reads = vm_ref(template);
	claim(job, name);
	job_run(job, make_work, make, make_free, made);
	return job;
}

static gboolean has_snapshot(Vm *vm, const char *name)
{
	for (guint i = 0; vm->snapshots && i < vm->snapshots->len; i++)
		if (!strcmp(((DiskSnapshot *)vm->snapshots->pdata[i])->name, name))
			return TRUE;
	return FALSE;
}

static char *free_snapshot_name(Vm *vm, const char *clone)
{
	char *name = g_strdup_printf("clone %s", clone);

	for (guint n = 2; has_snapshot(vm, name); n++) {
		g_free(name);
		name = g_strdup_printf("clone %s %u", clone, n);
	}
	return name;
}

Job *make_clone(Vm *vm, const char *name, GVariant *options, GError **error)
{
	Make *make;
	Job *job;

	if (!may_make(vm->manager, name, options, error) || !vm_allows(vm, ACT_CLONE, error))
		return NULL;
	make = plan(vm->manager, vm, name, options, error);
	if (!make)
		return NULL;
	if (!vm->file->template && make->clones->len) {
		make->source_dir = g_strdup(vm->dir);
		make->snapshot = free_snapshot_name(vm, name);
		make->source_disks = g_ptr_array_new_with_free_func(g_free);
		for (guint i = 0; i < make->clones->len; i++) {
			const Pair *pair = &g_array_index(make->clones, Pair, i);
			g_autofree char *parent = g_path_get_dirname(pair->from);

			if (strcmp(parent, vm->dir)) {
				carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s: %s is not in its own directory: move it there to clone it",
					vm->name, pair->from);
				make_free(make);
				return NULL;
			}
			g_ptr_array_add(make->source_disks, g_path_get_basename(pair->from));
		}
		g_ptr_array_add(make->source_disks, NULL);
	}
	job = vm_begin(vm, ACT_CLONE, error);
	claim(job, name);
	job_run(job, make_work, make, make_free, made);
	return job;
}

/* -- the end of a VM -------------------------------------------------------------------------------------------------- */

typedef struct {
	Manager *manager;
	char *name, *dir, *path, *mark, *vault;
	char *volume; /* to be closed first: it is unlocked; NULL: nothing is, or no more */
	gboolean keep_disks;
	GHashTable *others;
} Delete;

static void delete_free(gpointer data)
{
	Delete *it = data;

	g_free(it->name);
	g_free(it->dir);
	g_free(it->path);
	g_free(it->mark);
	g_free(it->vault);
	g_free(it->volume);
	g_hash_table_unref(it->others);
	g_free(it);
}

static gboolean delete_close(Delete *it, GError **error)
{
	if (!it->volume)
		return TRUE;
	if (!vault_close(it->volume, it->dir, error))
		return FALSE;
	store_remove(it->manager, it->name);
	g_clear_pointer(&it->volume, g_free);
	return TRUE;
}

/* Without its file the VM is gone; the mark lets a restarted daemon remove the rest. */
static gboolean delete_work(Job *job, gpointer data, GError **error)
{
	Delete *it = data;

	job_stage(job, -1, "removes it");
	if (!delete_close(it, error))
		return FALSE;
	if (!it->keep_disks && (!disks_free_base(it->others, it->dir, it->name, error) || !files_touch(it->mark, error)))
		return FALSE;
	if (g_unlink(it->path) && errno != ENOENT) {
		carrel_fail(error, CARREL_ERROR_FAILED, "cannot remove %s: %s", it->path, g_strerror(errno));
		g_unlink(it->mark);
		return FALSE;
	}
	if (it->keep_disks)
		return TRUE;
	if (!files_remove_tree(it->dir, error))
		return FALSE;
	g_unlink(it->vault);
	g_unlink(it->mark);
	return TRUE;
}

static void deleted(Job *job, gpointer data, GError *error)
{
	Delete *it = data;

	if (!it->volume)
		vm_set_unlocked(job->vm, FALSE);
	if (!g_file_test(it->path, G_FILE_TEST_EXISTS))
		manager_remove(job->manager, job->vm);
	job_finish(job, error);
}

Job *make_delete(Vm *vm, gboolean keep_disks, GError **error)
{
	Job *job = vm_begin(vm, ACT_DELETE, error);
	Delete *it;

	if (!job)
		return NULL;
	it = g_new0(Delete, 1);
	*it = (Delete){ vm->manager, g_strdup(vm->name), g_strdup(vm->dir), manager_vm_file(vm->manager, vm->name),
		files_mark(vm->manager->state_dir, vm->name), manager_vault_file(vm->manager, vm->name),
		vm->unlocked ? vm_volume(vm->name) : NULL, keep_disks, disks_of_others(vm->manager, vm->name) };
	job_run(job, delete_work, it, delete_free, deleted);
	return job;
}

static void finish_one(Manager *manager, const char *name)
{
	g_autofree char *mark = files_mark(manager->state_dir, name), *path = manager_vm_file(manager, name);
	g_autofree char *dir = g_build_filename(manager->state_dir, "vms", name, NULL), *vault = manager_vault_file(manager, name);
	g_autofree char *volume = vm_volume(name);
	g_autoptr(GError) error = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		g_message("VM %s was half made or half deleted and goes", name);
		if (g_file_test(vault, G_FILE_TEST_EXISTS))
			vault_close(volume, dir, NULL);
		if (!files_remove_tree(dir, &error)) {
			g_warning("VM %s: %s", name, error->message);
			return;
		}
		g_unlink(vault);
	}
	g_unlink(mark);
}

void make_recover(Manager *manager)
{
	g_autofree char *path = g_build_filename(manager->state_dir, "vms", NULL), *tmp = g_build_filename(manager->state_dir, "tmp", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *file;

	files_remove_tree(tmp, NULL);
	while (dir && (file = g_dir_read_name(dir)))
		if (g_str_has_suffix(file, ".new")) {
			g_autofree char *name = g_strndup(file, strlen(file) - strlen(".new"));

			if (vmfile_name_valid(name, NULL))
				finish_one(manager, name);
		}
}
