/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that starts: which domains are VMs of ours that go on, and what a daemon that died left half done. */
#include <string.h>

#include "disk/disk.h"
#include "network.h"
#include "store.h"
#include "vm.h"

static Vm *vm_of_uuid(Manager *manager, const char *uuid)
{
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		if (vm->file && !g_ascii_strcasecmp(vm->file->uuid, uuid))
			return vm;
	return NULL;
}

/* A VM that runs though its file is gone or broken: what it was started with stands in for it. */
static Vm *vm_of_record(Manager *manager, const char *uuid)
{
	g_autoptr(GPtrArray) names = store_names(manager);

	for (guint i = 0; i < names->len; i++) {
		VmFile *file = NULL;
		g_autoptr(RunRecord) record = store_load(manager, names->pdata[i], &file);
		Vm *vm = manager_vm(manager, names->pdata[i]);

		if (!record || !file || g_ascii_strcasecmp(file->uuid, uuid) || (vm && vm->file)) {
			g_clear_pointer(&file, vmfile_free);
			continue;
		}
		if (!vm)
			return manager_add(manager, names->pdata[i], file);
		vm->file = file;
		vm->state = VM_OFF;
		return vm;
	}
	return NULL;
}

static VmState state_of(const HvDomain *domain)
{
	if (domain->shutdown)
		return domain->reason == HV_SUSPEND ? VM_SUSPENDED : VM_RUNNING; /* the first scan sees why */
	return domain->paused ? VM_PAUSED : VM_RUNNING;
}

static void adopt(Manager *manager, Vm *vm, const HvDomain *domain)
{
	VmFile *file = NULL;
	g_autoptr(RunRecord) record = store_load(manager, vm->name, &file);

	vm->running = file ? file : vmfile_copy(vm->file);
	vm->wired = TRUE;
	vm->memory_now = vm->memory_target = domain->memory;
	vm->boot_memory = record && record->memory ? record->memory : MAX(domain->memory, vm->running->memory_max);
	vm->started = record ? record->started : 0;
	g_clear_pointer(&vm->wires, g_ptr_array_unref);
	vm->wires = record ? g_steal_pointer(&record->wires) : NULL;
	vm_attached(vm, domain->id);
	vm->unsure = TRUE;
	if (vm->running->play || vm->running->record)
		sound_start(manager, vm->name, domain->id, FALSE);
	vm_set_state(vm, state_of(domain), NULL);
	g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "CARREL_VM", vm->name, "MESSAGE", "VM %s runs on as domain %u", vm->name,
		domain->id);
}

static gboolean complete(Manager *manager, Vm *vm, const HvDomain *domain)
{
	VmFile *file = NULL;
	g_autoptr(RunRecord) record = store_load(manager, vm->name, &file);

	g_clear_pointer(&file, vmfile_free);
	return *domain->mark && !domain->dying && (!record || !strcmp(record->phase, "running"));
}

static void destroy(Manager *manager, Vm *vm, const HvDomain *domain)
{
	g_autoptr(GError) error = NULL;

	g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "CARREL_VM", vm->name, "MESSAGE",
		"VM %s: domain %u was left half made or half taken down and goes", vm->name, domain->id);
	if (!manager->hv->ops->destroy(manager->hv, domain->id, &error))
		g_warning("VM %s: %s", vm->name, error->message);
}

static void sort_domains(Manager *manager, const GArray *domains)
{
	for (guint i = 0; i < domains->len; i++) {
		const HvDomain *domain = &g_array_index(domains, HvDomain, i);
		Vm *vm = vm_of_uuid(manager, domain->uuid);

		if (!vm)
			vm = vm_of_record(manager, domain->uuid);
		if (!vm)
			g_message("domain %u is none of ours", domain->id);
		else if (!vm->domain && complete(manager, vm, domain))
			adopt(manager, vm, domain);
		else if (!domain->dying) /* else it goes already, when the last of its pages is let go of */
			destroy(manager, vm, domain);
	}
}

/* What VMs held that do not run any more. */
static void release(Manager *manager)
{
	g_autoptr(GPtrArray) names = store_names(manager);

	for (guint i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		Vm *vm = manager_vm(manager, name);
		VmFile *file = NULL;
		g_autoptr(RunRecord) record = store_load(manager, name, &file);
		g_autofree char *vault = vm_volume(name), *dir = g_build_filename(manager->state_dir, "vms", name, NULL);
		g_autoptr(GError) error = NULL;

		g_clear_pointer(&file, vmfile_free);
		if (vm && vm->domain)
			continue;
		if (record && record->vault && !vault_close(vault, dir, &error))
			g_warning("VM %s: its volume stays open: %s", name, error->message);
		sound_stop(manager, name);
		store_remove(manager, name);
	}
}

static void recover_disks(Manager *manager)
{
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm)) {
		g_autofree char *qmp = vm_qmp_path(manager, vm->name);
		g_autoptr(GError) error = NULL;

		if (!g_file_test(vm->dir, G_FILE_TEST_IS_DIR))
			continue;
		if (!(vm->domain ? disk_recover_running(vm->dir, qmp, &error) : disk_recover(vm->dir, &error)))
			manager_notice(manager, "error", vm, "%s: a change of its disks that was cut short cannot be put right: %s", vm->name,
				error->message);
	}
}

gboolean recover(Manager *manager, GError **error)
{
	g_autoptr(GArray) domains = NULL;
	g_autoptr(GError) net = NULL;

	make_recover(manager);
	if (!manager->hv->ops->list(manager->hv, &domains, error))
		return FALSE;
	sort_domains(manager, domains);
	release(manager);
	recover_disks(manager);
	if (!network_recover(manager, &net))
		g_warning("the VMs' network: %s", net->message);
	g_message("%u VMs are defined", g_hash_table_size(manager->vms)); /* and the journal is open, whatever comes */
	return TRUE;
}
