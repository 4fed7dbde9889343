/* SPDX-License-Identifier: Apache-2.0 */
/* The encrypted volume of a VM that is off, opened so that its disks can be worked on. Its record in the run directory lets a
 * restarted daemon close it. And the volume's passphrase. */
#include "disk/disk.h"
#include "store.h"
#include "vm.h"

typedef struct {
	Manager *manager;
	char *name, *dir, *vault, *volume, *passphrase, *fresh;
	VmFile *file;
} Unlock;

static void unlock_free(gpointer data)
{
	Unlock *it = data;

	g_free(it->name);
	g_free(it->dir);
	g_free(it->vault);
	g_free(it->volume);
	wipe(it->passphrase);
	wipe(it->fresh);
	vmfile_free(it->file);
	g_free(it);
}

static Unlock *unlock_new(Vm *vm, const char *passphrase)
{
	Unlock *it = g_new0(Unlock, 1);

	*it = (Unlock){ vm->manager, g_strdup(vm->name), g_strdup(vm->dir), manager_vault_file(vm->manager, vm->name),
		vm_volume(vm->name), g_strdup(passphrase), NULL, vmfile_copy(vm->file) };
	return it;
}

static gboolean need_passphrase(Vm *vm, const char *passphrase, GError **error)
{
	return passphrase || carrel_fail(error, CARREL_ERROR_DENIED, "VM %s is encrypted: its passphrase is needed", vm->name);
}

static gboolean close_volume(Unlock *it, GError **error)
{
	if (!vault_close(it->volume, it->dir, error))
		return FALSE;
	store_remove(it->manager, it->name);
	return TRUE;
}

static gboolean unlock_work(Job *job, gpointer data, GError **error)
{
	Unlock *it = data;
	RunRecord record = { .phase = (char *)"unlocked", .vault = TRUE };
	g_autoptr(GError) cut_short = NULL, left = NULL;

	job_stage(job, -1, "opens its volume");
	if (!store_save(it->manager, it->name, &record, it->file, error))
		return FALSE;
	if (vault_open(it->vault, it->volume, it->dir, it->passphrase, error) && !job_cancelled(job, error)) {
		if (!disk_recover(it->dir, &cut_short))
			g_warning("VM %s: a change of its disks that was cut short cannot be put right: %s", it->name, cut_short->message);
		return TRUE;
	}
	if (!close_volume(it, &left))
		g_warning("VM %s: its volume stays open: %s", it->name, left->message);
	return FALSE;
}

static void show(Vm *vm, gboolean unlocked)
{
	vm_set_unlocked(vm, unlocked);
	vm_refresh_disks(vm);
	vm_refresh_snapshots(vm);
}

static void unlocked(Job *job, gpointer data, GError *error)
{
	(void)data;
	if (!error)
		show(job->vm, TRUE);
	job_finish(job, error);
	if (!error)
		disks_tidy(job->vm);
}

Job *unlock(Vm *vm, const char *passphrase, GError **error)
{
	Job *job;

	if (!vm_allows(vm, ACT_UNLOCK, error))
		return NULL;
	if (!vm->file->encrypted || vm->unlocked) {
		carrel_fail(error, CARREL_ERROR_STATE, "VM %s is %s", vm->name, vm->unlocked ? "unlocked already" : "not encrypted");
		return NULL;
	}
	if (!need_passphrase(vm, passphrase, error))
		return NULL;
	job = vm_begin(vm, ACT_UNLOCK, error);
	job_run(job, unlock_work, unlock_new(vm, passphrase), unlock_free, unlocked);
	return job;
}

static gboolean lock_work(Job *job, gpointer data, GError **error)
{
	job_stage(job, -1, "closes its volume");
	return close_volume(data, error);
}

static void locked(Job *job, gpointer data, GError *error)
{
	(void)data;
	if (!error)
		show(job->vm, FALSE);
	job_finish(job, error);
}

Job *lock(Vm *vm, GError **error)
{
	Job *job;

	if (!vm_allows(vm, ACT_LOCK, error))
		return NULL;
	if (!vm->unlocked) {
		carrel_fail(error, CARREL_ERROR_STATE, "VM %s is not unlocked", vm->name);
		return NULL;
	}
	job = vm_begin(vm, ACT_LOCK, error);
	job_run(job, lock_work, unlock_new(vm, NULL), unlock_free, locked);
	return job;
}

/* -- passphrase ------------------------------------------------------------------------------------------------------- */

static gboolean change_work(Job *job, gpointer data, GError **error)
{
	Unlock *it = data;

	job_stage(job, -1, "changes its passphrase");
	return vault_change(it->vault, it->passphrase, it->fresh, error);
}

Job *change_passphrase(Vm *vm, const char *passphrase, const char *fresh, GError **error)
{
	Unlock *it;
	Job *job;

	if (!vm_allows(vm, ACT_PASSPHRASE, error))
		return NULL;
	if (!vm->file->encrypted) {
		carrel_fail(error, CARREL_ERROR_STATE, "VM %s is not encrypted", vm->name);
		return NULL;
	}
	if (!need_passphrase(vm, passphrase, error))
		return NULL;
	if (!fresh) {
		carrel_fail(error, CARREL_ERROR_INVALID, "option new-passphrase is missing");
		return NULL;
	}
	job = vm_begin(vm, ACT_PASSPHRASE, error);
	it = unlock_new(vm, passphrase);
	it->fresh = g_strdup(fresh);
	job_run(job, change_work, it, unlock_free, NULL);
	return job;
}
