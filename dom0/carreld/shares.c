/* SPDX-License-Identifier: Apache-2.0 */
/* Does what share.c says: CPU weights at once; disks in a worker a VM, as its QEMU may be slow to answer; the network in one. */
#include "disk/disk.h"
#include "network.h"
#include "vm.h"

#define AGAIN_LIMIT 6 /* times that what failed is tried again, after 1, 2, 4... seconds */

static gboolean share_now(gpointer data);

static void start_worker(Manager *manager, GTaskThreadFunc thread, GAsyncReadyCallback done, gpointer data, GDestroyNotify destroy)
{
	g_autoptr(GTask) task = g_task_new(NULL, NULL, done, manager);

	manager->busy++;
	manager->workers++;
	g_task_set_task_data(task, data, destroy);
	g_task_run_in_thread(task, thread);
}

static gboolean end_worker(Manager *manager, GAsyncResult *result)
{
	manager->busy--;
	manager->workers--;
	return g_task_propagate_boolean(G_TASK(result), NULL);
}

static void share_disks(Vm *vm);

/* -- disks ------------------------------------------------------------------------------------------------------------ */

typedef struct {
	Vm *vm; /* for the main thread */
	guint domain;
	char *name, *qmp;
	GPtrArray *disks; /* images that its QEMU serves */
	guint kernel;     /* how many disks the kernel serves */
	Share share;
} DiskWork;

static void disk_work_free(gpointer data)
{
	DiskWork *work = data;

	vm_unref(work->vm);
	g_free(work->name);
	g_free(work->qmp);
	g_ptr_array_unref(work->disks);
	g_free(work);
}

static void disk_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const DiskWork *work = data;
	const char *groups = work->vm->manager->groups;
	gboolean ok = TRUE;
	g_autoptr(GError) rank = NULL, limit = NULL, kernel = NULL;

	(void)source, (void)cancellable;
	for (guint i = 0; i < work->disks->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!disk_throttle(work->qmp, work->disks->pdata[i], work->share.disk_bps, work->share.disk_iops, &error)) {
			ok = FALSE;
			g_message("VM %s: disk %s keeps its share: %s", work->name, (char *)work->disks->pdata[i], error->message);
		}
	}
	if (work->disks->len && !disk_rank(work->qmp, work->share.nice, &rank)) {
		ok = FALSE;
		g_message("VM %s: its disks keep their rank: %s", work->name, rank->message);
	}
	if (work->kernel && groups &&
		!disk_throttle_kernel(groups, "/sys/bus/xen-backend/devices", work->domain, work->share.disk_bps, work->share.disk_iops, &limit)) {
		ok = FALSE;
		g_message("VM %s: its disks that the kernel serves keep their share: %s", work->name, limit->message);
	}
	if (work->kernel && !disk_rank_kernel(work->domain, work->kernel, work->share.nice, &kernel)) {
		ok = FALSE;
		g_debug("VM %s: %s", work->name, kernel->message);
	}
	g_task_return_boolean(task, ok);
}

static gboolean same_disks(const Share *a, const Share *b)
{
	return a->disk_bps == b->disk_bps && a->disk_iops == b->disk_iops && a->nice == b->nice;
}

static void disk_done(GObject *source, GAsyncResult *result, gpointer data)
{
	Manager *manager = data;
	const DiskWork *work = g_task_get_task_data(G_TASK(result));
	Vm *vm = work->vm;
	gboolean ok = end_worker(manager, result);

	(void)source;
	vm->sharing = FALSE;
	if (!vm->domain)
		return;
	if (vm->domain != work->domain || !same_disks(&vm->share, &work->share)) {
		share_disks(vm); /* it changed meanwhile */
		return;
	}
	vm->unsure = !ok;
	if (!ok && !manager->share_source && manager->share_again < AGAIN_LIMIT)
		manager->share_source = g_timeout_add_seconds(1u << manager->share_again++, share_now, manager);
}

/* One worker a VM, so that what was wanted last is also done last. */
static void share_disks(Vm *vm)
{
	DiskWork *work;
	const VmFile *file = vm_effective(vm);

	if (vm->sharing)
		return;
	work = g_new0(DiskWork, 1);
	*work = (DiskWork){ vm_ref(vm), vm->domain, g_strdup(vm->name), vm_qmp_path(vm->manager, vm->name),
		g_ptr_array_new_with_free_func(g_free), 0, vm->share };
	for (guint i = 0; i < file->disks->len; i++) {
		const VmDisk *disk = file->disks->pdata[i];

		if (disk->format == DISK_QCOW2)
			g_ptr_array_add(work->disks, vm_disk_path(vm->dir, disk));
		else
			work->kernel++;
	}
	vm->unsure = FALSE;
	if (!file->disks->len) {
		disk_work_free(work);
		return;
	}
	vm->sharing = TRUE;
	start_worker(vm->manager, disk_thread, disk_done, work, disk_work_free);
}

/* -- network ---------------------------------------------------------------------------------------------------------- */

typedef struct {
	char *vm;
	VmFile *file;
} Port;

typedef struct {
	Manager *manager;
	GPtrArray *ports; /* Port: VMs whose limits change */
} NetWork;

static void port_free(gpointer data)
{
	Port *port = data;

	g_free(port->vm);
	vmfile_free(port->file);
	g_free(port);
}

static void net_work_free(gpointer data)
{
	NetWork *work = data;

	g_ptr_array_unref(work->ports);
	g_free(work);
}

static void net_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const NetWork *work = data;
	g_autoptr(GError) error = NULL;
	gboolean ok = network_apply(work->manager, &error);

	(void)source, (void)cancellable;
	if (!ok)
		g_message("network shares stay as they are: %s", error->message);
	for (guint i = 0; ok && i < work->ports->len; i++) {
		const Port *port = work->ports->pdata[i];
		g_autoptr(GError) failed = NULL;

		if (!network_up(work->manager, port->vm, port->file, &failed))
			g_message("VM %s: its network share stays: %s", port->vm, failed->message);
	}
	g_task_return_boolean(task, ok);
}

static void net_done(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	end_worker(data, result);
}

/* --------------------------------------------------------------------------------------------------------------------- */

static void apply(Vm *vm, const Share *share, NetWork *net)
{
	Hv *hv = vm->manager->hv;
	Share old = vm->share;
	g_autoptr(GError) error = NULL;

	if (old.weight != share->weight && !hv->ops->set_shares(hv, vm->domain, share->weight, vm->file ? vm->file->cap : 0, &error))
		g_message("VM %s: %s", vm->name, error->message);
	vm->share = *share;
	if (vm->unsure || old.net_in != share->net_in || old.net_out != share->net_out) {
		Port *port = g_new0(Port, 1);

		*port = (Port){ g_strdup(vm->name), vmfile_copy(vm_effective(vm)) };
		g_ptr_array_add(net->ports, port);
	}
	if (vm->unsure || !same_disks(&old, share))
		share_disks(vm);
}

static gboolean share_now(gpointer data)
{
	Manager *manager = data;
	g_autoptr(GList) running = manager_running(manager);
	guint n = g_list_length(running), i = 0;
	g_autofree ShareVm *vms = g_new0(ShareVm, n + 1);
	g_autofree Share *shares = g_new0(Share, n + 1);
	NetWork *net = g_new0(NetWork, 1);

	manager->share_source = 0;
	if (manager->groups)
		disk_forget_groups(manager->groups);
	*net = (NetWork){ manager, g_ptr_array_new_with_free_func(port_free) };
	for (GList *at = running; at; at = at->next, i++) {
		Vm *vm = at->data;

		vms[i].weight = vm->file ? vm->file->weight : 256;
		vms[i].foreground = g_strcmp0(vm->name, manager->foreground) == 0;
	}
	share(vms, n, &manager->capacity, shares);
	i = 0;
	for (GList *at = running; at; at = at->next, i++)
		apply(at->data, &shares[i], net);
	if (net->ports->len)
		start_worker(manager, net_thread, net_done, net, net_work_free);
	else
		net_work_free(net);
	return G_SOURCE_REMOVE;
}

void shares_changed(Manager *manager)
{
	manager->share_again = 0;
	g_clear_handle_id(&manager->share_source, g_source_remove);
	manager->share_source = g_idle_add(share_now, manager);
}
