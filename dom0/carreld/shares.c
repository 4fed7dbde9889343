/* SPDX-License-Identifier: Apache-2.0 */
/* Does what share.c says: CPU weights at once, disk and network limits in a worker. */
#include <string.h>

#include "disk/disk.h"
#include "network.h"
#include "vm.h"

typedef struct {
	char *vm, *qmp;
	GPtrArray *disks; /* images that its QEMU serves */
	VmFile *file;
	Share share;
	gboolean disk, net, rank;
} Change;

typedef struct {
	Manager *manager;
	GPtrArray *changes;
	gboolean net;
} Work;

static void change_free(gpointer data)
{
	Change *change = data;

	g_free(change->vm);
	g_free(change->qmp);
	g_ptr_array_unref(change->disks);
	vmfile_free(change->file);
	g_free(change);
}

static void work_free(gpointer data)
{
	Work *work = data;

	g_ptr_array_unref(work->changes);
	g_free(work);
}

static void throttle(const Change *change)
{
	for (guint i = 0; i < change->disks->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!disk_throttle(change->qmp, change->disks->pdata[i], change->share.disk_bps, change->share.disk_iops, &error))
			g_message("VM %s: disk %s keeps its share: %s", change->vm, (char *)change->disks->pdata[i], error->message);
	}
}

static void rank(const Change *change)
{
	g_autoptr(GError) error = NULL;

	if (change->disks->len && !disk_rank(change->qmp, change->share.nice, &error))
		g_message("VM %s: its disks keep their rank: %s", change->vm, error->message);
}

static void work_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Work *work = data;
	g_autoptr(GError) error = NULL;

	(void)task, (void)source, (void)cancellable;
	for (guint i = 0; i < work->changes->len; i++) {
		const Change *change = work->changes->pdata[i];

		if (change->disk)
			throttle(change);
		if (change->rank)
			rank(change);
	}
	if (!work->net)
		return;
	if (!network_apply(work->manager, &error)) {
		g_message("network shares stay as they are: %s", error->message);
		return;
	}
	for (guint i = 0; i < work->changes->len; i++) {
		const Change *change = work->changes->pdata[i];
		g_autoptr(GError) failed = NULL;

		if (change->net && !network_up(work->manager, change->vm, change->file, &failed))
			g_message("VM %s: its network share stays: %s", change->vm, failed->message);
	}
}

/* What is new for this VM, NULL: nothing that takes a worker. */
static Change *apply(Vm *vm, const Share *share, guint cap)
{
	const Share *old = vm->applied->len ? &g_array_index(vm->applied, Share, 0) : NULL;
	gboolean disk = old ? old->disk_bps != share->disk_bps || old->disk_iops != share->disk_iops : share->disk_bps || share->disk_iops;
	gboolean ranked = share->nice != (old ? old->nice : 0);
	gboolean net = old && (old->net_in != share->net_in || old->net_out != share->net_out);
	g_autoptr(GError) error = NULL;
	Change *change = NULL;

	if (!vm->manager->hv->ops->set_shares(vm->manager->hv, vm->domain, share->weight, cap, &error))
		g_message("VM %s: %s", vm->name, error->message);
	if (disk || net || ranked) {
		change = g_new0(Change, 1);
		*change = (Change){ .vm = g_strdup(vm->name), .qmp = vm_qmp_path(vm->manager, vm->name), .share = *share, .disk = disk,
			.net = net, .rank = ranked, .disks = g_ptr_array_new_with_free_func(g_free), .file = vmfile_copy(vm_effective(vm)) };
		for (guint i = 0; i < change->file->disks->len; i++) {
			const VmDisk *from = change->file->disks->pdata[i];

			if (from->format == DISK_QCOW2)
				g_ptr_array_add(change->disks, vm_disk_path(vm->dir, from));
		}
	}
	g_array_set_size(vm->applied, 0);
	g_array_append_val(vm->applied, *share);
	return change;
}

static gboolean share_now(gpointer data)
{
	Manager *manager = data;
	g_autoptr(GList) running = manager_running(manager);
	guint n = g_list_length(running), i = 0;
	g_autofree ShareVm *vms = g_new0(ShareVm, n + 1);
	g_autofree Share *shares = g_new0(Share, n + 1);
	Work *work = g_new0(Work, 1);
	GTask *task;

	manager->share_source = 0;
	work->manager = manager;
	work->changes = g_ptr_array_new_with_free_func(change_free);
	for (GList *at = running; at; at = at->next, i++) {
		Vm *vm = at->data;

		vms[i].weight = vm->file ? vm->file->weight : 256;
		vms[i].foreground = g_strcmp0(vm->name, manager->foreground) == 0;
	}
	share(vms, n, &manager->capacity, shares);
	i = 0;
	for (GList *at = running; at; at = at->next, i++) {
		Vm *vm = at->data;
		Change *change;

		if (vm->applied->len && !memcmp(&g_array_index(vm->applied, Share, 0), &shares[i], sizeof(Share)))
			continue;
		change = apply(vm, &shares[i], vm->file ? vm->file->cap : 0);
		if (change) {
			work->net |= change->net;
			g_ptr_array_add(work->changes, change);
		}
	}
	if (!work->changes->len) {
		work_free(work);
		return G_SOURCE_REMOVE;
	}
	task = g_task_new(NULL, NULL, NULL, NULL);
	g_task_set_task_data(task, work, work_free);
	g_task_run_in_thread(task, work_thread);
	g_object_unref(task);
	return G_SOURCE_REMOVE;
}

void shares_changed(Manager *manager)
{
	if (!manager->share_source)
		manager->share_source = g_idle_add(share_now, manager);
}
