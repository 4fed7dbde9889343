/* SPDX-License-Identifier: Apache-2.0 */
/* Does what balance.c says. Nothing here runs on a clock but while memory is on its way from one VM to another. */
#include "balance.h"
#include "vm.h"

#define SETTLE 300          /* ms in which changes are taken together */
#define AGAIN_LIMIT 8       /* how often to look after guests that don't give back what they were told to */
#define RECLAIM_LIMIT 20    /* seconds that a start waits for memory */
#define DOM0_SPARE (64 * MIB) /* the service domain's own, for the QEMU of one more VM */

typedef struct {
	GPtrArray *vms;    /* Vm */
	BalanceVm *figures;
	guint64 free;
} Picture;

static void picture_clear(Picture *picture)
{
	g_clear_pointer(&picture->vms, g_ptr_array_unref);
	g_clear_pointer(&picture->figures, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Picture, picture_clear)

static double seconds(void)
{
	return g_get_monotonic_time() / 1e6;
}

static void refresh_current(Manager *manager)
{
	g_autoptr(GArray) domains = NULL;
	GHashTableIter iter;
	Vm *vm;

	if (!manager->hv->ops->list(manager->hv, &domains, NULL))
		return;
	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		for (guint i = 0; vm->domain && i < domains->len; i++)
			if (g_array_index(domains, HvDomain, i).id == vm->domain)
				vm->memory_now = g_array_index(domains, HvDomain, i).memory;
}

/* Only guests that run can follow; those that sleep or are held keep what they have. */
static gboolean look(Manager *manager, Picture *picture, GError **error)
{
	g_autoptr(GList) running = manager_running(manager);
	HvMachine machine;

	refresh_current(manager);
	if (!manager->hv->ops->machine(manager->hv, &machine, error))
		return FALSE;
	picture->free = machine.free;
	picture->vms = g_ptr_array_new();
	for (GList *at = running; at; at = at->next)
		if (((Vm *)at->data)->state == VM_RUNNING)
			g_ptr_array_add(picture->vms, at->data);
	picture->figures = g_new0(BalanceVm, picture->vms->len + 1);
	for (guint i = 0; i < picture->vms->len; i++) {
		Vm *vm = picture->vms->pdata[i];

		picture->figures[i] = (BalanceVm){ .min = MIN(vm->file ? vm->file->memory_min : vm->boot_memory, vm->boot_memory), .max = vm->boot_memory,
			.target = vm->memory_target, .current = vm->memory_now, .demand = vm->demand, .moved = vm->moved,
			.foreground = g_strcmp0(vm->name, manager->foreground) == 0 };
	}
	return TRUE;
}

static void act(Manager *manager, const Picture *picture)
{
	for (guint i = 0; i < picture->vms->len; i++) {
		Vm *vm = picture->vms->pdata[i];
		guint64 target = picture->figures[i].result;
		g_autoptr(GError) error = NULL;

		if (target == vm->memory_target)
			continue;
		if (!manager->hv->ops->set_memory(manager->hv, vm->domain, target, &error)) {
			g_message("VM %s: %s", vm->name, error->message);
			continue;
		}
		g_debug("VM %s: memory %" G_GUINT64_FORMAT " MiB", vm->name, target >> 20);
		vm->moved = seconds();
		vm_set_target(vm, target);
	}
}

static gboolean rebalance(gpointer data)
{
	Manager *manager = data;
	g_autoptr(GError) error = NULL;
	g_auto(Picture) picture = { 0 };
	gboolean again;

	manager->balance_source = 0;
	if (power_busy(manager))
		return G_SOURCE_REMOVE;
	if (!look(manager, &picture, &error)) {
		g_message("memory is not balanced: %s", error->message);
		return G_SOURCE_REMOVE;
	}
	again = balance(picture.figures, picture.vms->len, picture.free - MIN(picture.free, manager->reserved), seconds());
	act(manager, &picture);
	if (again && manager->balance_again++ < AGAIN_LIMIT)
		manager->balance_source = g_timeout_add_seconds(1 << MIN(manager->balance_again, 5), rebalance, manager);
	return G_SOURCE_REMOVE;
}

void memory_changed(Manager *manager)
{
	manager->balance_again = 0;
	g_clear_handle_id(&manager->balance_source, g_source_remove);
	manager->balance_source = g_timeout_add(SETTLE, rebalance, manager);
}

/* -- room for a VM that starts ---------------------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	guint64 min, max, memory;
	guint vcpus;
	guint64 free; /* as it was last seen */
} Reserve;

static gboolean no_room(const Reserve *reserve, const Picture *picture, guint64 missing, GError **error)
{
	guint64 need = reserve->min + balance_overhead(reserve->max, reserve->vcpus), had = 0;

	for (guint i = 0; i < picture->vms->len; i++)
		had += picture->figures[i].target - MIN(picture->figures[i].target, picture->figures[i].min);
	return carrel_fail(error, CARREL_ERROR_NO_MEMORY, "VM %s needs at least %" G_GUINT64_FORMAT " MiB; %" G_GUINT64_FORMAT
		" MiB are free, the other VMs can give %" G_GUINT64_FORMAT " MiB: %" G_GUINT64_FORMAT " MiB are missing. Shut a VM down, or "
		"lower memory-min of one", reserve->name, need >> 20, picture->free >> 20, had >> 20, (missing + MIB - 1) >> 20);
}

static gboolean plan(Manager *manager, gpointer data, GError **error)
{
	Reserve *reserve = data;
	g_auto(Picture) picture = { 0 };
	HvMachine machine;
	guint64 missing;

	if (!manager->hv->ops->machine(manager->hv, &machine, error) || !look(manager, &picture, error))
		return FALSE;
	if (machine.dom0_available < DOM0_SPARE)
		return carrel_fail(error, CARREL_ERROR_NO_MEMORY, "VM %s: the service domain has only %" G_GUINT64_FORMAT " MiB left for "
			"itself, and serving one more VM takes %u MiB: shut a VM down, or give it more (dom0_mem=)", reserve->name,
			machine.dom0_available >> 20, (guint)(DOM0_SPARE >> 20));
	missing = balance_start(picture.figures, picture.vms->len, picture.free, reserve->min, reserve->max, reserve->vcpus,
		&reserve->memory);
	if (missing)
		return no_room(reserve, &picture, missing, error);
	/* Before the others are told: the balance must not hand out what they give. */
	manager->reserved = reserve->memory + balance_overhead(reserve->max, reserve->vcpus);
	act(manager, &picture);
	return TRUE;
}

static gboolean arrived(Manager *manager, gpointer data, GError **error)
{
	Reserve *reserve = data;
	HvMachine machine;

	if (!manager->hv->ops->machine(manager->hv, &machine, error))
		return FALSE;
	reserve->free = machine.free;
	return TRUE;
}

static gboolean drop(Manager *manager, gpointer data, GError **error)
{
	(void)data, (void)error;
	manager->reserved = 0;
	return TRUE;
}

void memory_release(Manager *manager)
{
	on_main(manager, drop, NULL, NULL);
}

static gboolean wait_for(Job *job, Reserve *reserve, GError **error)
{
	guint64 extra = balance_overhead(reserve->max, reserve->vcpus) + BALANCE_RESERVE;
	gint64 end = g_get_monotonic_time() + RECLAIM_LIMIT * G_USEC_PER_SEC;

	for (;;) {
		if (job_cancelled(job, error) || !on_main(job->manager, arrived, reserve, error))
			return FALSE;
		if (reserve->free >= reserve->memory + extra)
			return TRUE;
		if (g_get_monotonic_time() > end)
			break;
		g_usleep(100000);
	}
	/* The guests gave less than they were told to. It is enough for less than planned, or for nothing. */
	if (reserve->free >= reserve->min + extra) {
		reserve->memory = reserve->free - extra;
		reserve->memory -= reserve->memory % MIB;
		return TRUE;
	}
	return carrel_fail(error, CARREL_ERROR_NO_MEMORY, "VM %s needs %" G_GUINT64_FORMAT " MiB more: the other VMs were told to give "
		"memory back and did not within %d s. Shut one down", reserve->name, (reserve->min + extra - reserve->free) >> 20,
		RECLAIM_LIMIT);
}

gboolean memory_reserve(Job *job, const char *name, guint64 min, guint64 max, guint vcpus, guint64 *memory, GError **error)
{
	Reserve reserve = { .name = name, .min = min, .max = max, .vcpus = vcpus };

	if (!on_main(job->manager, plan, &reserve, error))
		return FALSE;
	if (!wait_for(job, &reserve, error)) {
		memory_release(job->manager);
		return FALSE;
	}
	*memory = reserve.memory;
	return TRUE;
}

gboolean memory_statistics(Manager *manager, GVariantDict *dict, GError **error)
{
	HvMachine machine;

	if (!manager->hv->ops->machine(manager->hv, &machine, error))
		return FALSE;
	g_variant_dict_insert(dict, "memory-total", "t", machine.total);
	g_variant_dict_insert(dict, "memory-free", "t", machine.free);
	g_variant_dict_insert(dict, "memory-dom0", "t", machine.dom0);
	g_variant_dict_insert(dict, "memory-core", "t", machine.core);
	g_variant_dict_insert(dict, "cpus", "u", machine.cpus);
	g_variant_dict_insert(dict, "cpu-idle-ns", "t", machine.idle_ns);
	return TRUE;
}
