/* SPDX-License-Identifier: Apache-2.0 */
/* What the domains did since we looked last. */
#include "vm.h"

static const HvDomain *find(const GArray *domains, guint id)
{
	for (guint i = 0; i < domains->len; i++)
		if (g_array_index(domains, HvDomain, i).id == id)
			return &g_array_index(domains, HvDomain, i);
	return NULL;
}

/* Somebody may pause with xl what we run, and the reverse. */
static void follow(Vm *vm, const HvDomain *domain)
{
	if (vm->state == VM_RUNNING && domain->paused)
		vm_set_state(vm, VM_PAUSED, NULL);
	else if ((vm->state == VM_PAUSED && !domain->paused) || (vm->state == VM_SUSPENDED && !domain->shutdown))
		vm_set_state(vm, VM_RUNNING, NULL);
}

static void look_at(Vm *vm, const HvDomain *domain)
{
	guint64 demand;

	if (!domain || domain->dying) {
		run_vanished(vm);
		return;
	}
	if (domain->shutdown) {
		if (vm->state != VM_CRASHED && !(domain->reason == HV_SUSPEND && vm->state == VM_SUSPENDED))
			run_stopped(vm, domain->reason);
		return;
	}
	if (vm->job)
		return;
	follow(vm, domain);
	vm->memory_now = domain->memory;
	demand = vm->manager->hv->ops->demand(vm->manager->hv, vm->domain);
	if (demand != vm->demand) {
		vm->demand = demand;
		memory_changed(vm->manager);
	}
}

void scan_now(Manager *manager)
{
	g_autoptr(GArray) domains = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GList) vms = g_hash_table_get_values(manager->vms);

	if (!manager->hv->ops->list(manager->hv, &domains, &error)) {
		g_warning("cannot see what the VMs do: %s", error->message);
		return;
	}
	for (GList *at = vms; at; at = at->next) {
		Vm *vm = at->data;

		/* That somebody is listening is told whatever else goes on. */
		if (vm->domain)
			vm_refresh_watched(vm);
		/* A job that doesn't wait for the guest looks for itself when it ends. */
		if (vm->domain && (!vm->job || vm->awaiting))
			look_at(vm, find(domains, vm->domain));
	}
}

static gboolean scan(gpointer data)
{
	Manager *manager = data;

	manager->scan_source = 0;
	scan_now(manager);
	return G_SOURCE_REMOVE;
}

void scan_soon(gpointer data)
{
	Manager *manager = data;

	if (!manager->scan_source)
		manager->scan_source = g_idle_add(scan, manager);
}
