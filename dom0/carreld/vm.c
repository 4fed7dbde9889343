/* SPDX-License-Identifier: Apache-2.0 */
#include "vm.h"

#include <string.h>

#include "disk/disk.h"

Vm *vm_ref(Vm *vm)
{
	return g_atomic_rc_box_acquire(vm);
}

static void vm_clear(gpointer data)
{
	Vm *vm = data;

	g_free(vm->name);
	g_free(vm->path);
	g_free(vm->dir);
	g_free(vm->problem);
	g_clear_pointer(&vm->file, vmfile_free);
	g_clear_pointer(&vm->running, vmfile_free);
	g_clear_pointer(&vm->wires, g_ptr_array_unref);
	g_clear_pointer(&vm->snapshots, g_ptr_array_unref);
	g_object_unref(vm->api);
	g_object_unref(vm->object);
}

void vm_unref(gpointer vm)
{
	g_atomic_rc_box_release_full(vm, vm_clear);
}

char *vm_path(const char *name)
{
	GString *path = g_string_new("/org/carrel/vm/");

	for (const char *c = name; *c; c++)
		if (g_ascii_isalpha(*c) || (g_ascii_isdigit(*c) && c > name))
			g_string_append_c(path, *c);
		else
			g_string_append_printf(path, "_%02x", (guchar)*c);
	return g_string_free(path, FALSE);
}

const char *vm_title(Vm *vm)
{
	return vm->file && vm->file->title && *vm->file->title ? vm->file->title : vm->name;
}

Vm *vm_new(Manager *manager, const char *name, VmFile *file, const char *problem)
{
	Vm *vm = g_atomic_rc_box_new0(Vm);

	vm->manager = manager;
	vm->name = g_strdup(name);
	vm->path = vm_path(name);
	vm->dir = g_build_filename(manager->state_dir, "vms", name, NULL);
	vm->file = file;
	vm->state = file ? VM_OFF : VM_BROKEN;
	vm->problem = g_strdup(problem ? problem : "");
	vm->moved = -1e9;
	vm->api = carrel_vm1_skeleton_new();
	vm->object = carrel_object_skeleton_new(vm->path);
	carrel_object_skeleton_set_vm1(vm->object, vm->api);
	vm_methods_connect(manager, vm->api);
	return vm;
}

void vm_publish(Vm *vm)
{
	vm_refresh_snapshots(vm);
	vm_refresh_disks(vm);
	vm_refresh(vm);
	g_dbus_object_manager_server_export(vm->manager->objects, G_DBUS_OBJECT_SKELETON(vm->object));
}

const VmFile *vm_effective(Vm *vm)
{
	return vm->running ? vm->running : vm->file;
}

char *vm_disk_path(const char *dir, const VmDisk *disk)
{
	return g_path_is_absolute(disk->file) ? g_strdup(disk->file) : g_build_filename(dir, disk->file, NULL);
}

char *vm_qmp_path(Manager *manager, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".qmp", NULL);

	return g_build_filename(manager->run_dir, "qmp", file, NULL);
}

char *vm_volume(const char *name)
{
	return g_strdup_printf("carrel-%s", name);
}

gboolean vm_disks_locked(Vm *vm, GError **error)
{
	if (!vm->file->encrypted || vm->domain || vm->unlocked)
		return FALSE;
	carrel_fail(error, CARREL_ERROR_STATE, "VM %s is encrypted and off: unlock it to reach its disks, or start it", vm->name);
	return TRUE;
}

/* -- properties ------------------------------------------------------------------------------------------------------- */

static const char *format_name(DiskFormat format)
{
	return format == DISK_QCOW2 ? "qcow2" : format == DISK_BLOCK ? "block" : "raw";
}

void vm_refresh_disks(Vm *vm)
{
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; vm->file && i < vm->file->disks->len; i++) {
		const VmDisk *disk = vm->file->disks->pdata[i];
		g_autofree char *path = vm_disk_path(vm->dir, disk);
		DiskInfo info = { 0 };
		gboolean known = disk->format != DISK_BLOCK && disk_info(path, &info, NULL);

		g_variant_builder_open(&list, G_VARIANT_TYPE("a{sv}"));
		g_variant_builder_add(&list, "{sv}", "name", g_variant_new_string(disk->name));
		g_variant_builder_add(&list, "{sv}", "file", g_variant_new_string(path));
		g_variant_builder_add(&list, "{sv}", "format", g_variant_new_string(format_name(disk->format)));
		g_variant_builder_add(&list, "{sv}", "size", g_variant_new_uint64(known ? info.size : 0));
		g_variant_builder_add(&list, "{sv}", "used", g_variant_new_uint64(known ? info.used : 0));
		g_variant_builder_add(&list, "{sv}", "readonly", g_variant_new_boolean(disk->readonly));
		g_variant_builder_close(&list);
		if (known)
			disk_info_clear(&info);
	}
	carrel_vm1_set_disks(vm->api, g_variant_builder_end(&list));
}

static gint64 snapshot_ns(const DiskSnapshot *snapshot)
{
	return snapshot->when * 1000;
}

void vm_refresh_snapshots(Vm *vm)
{
	g_autoptr(GError) error = NULL;
	GVariantBuilder list;

	g_clear_pointer(&vm->snapshots, g_ptr_array_unref);
	if (g_file_test(vm->dir, G_FILE_TEST_IS_DIR)) {
		vm->snapshots = disk_snapshots(vm->dir, &error);
		if (!vm->snapshots)
			manager_notice(vm->manager, "warning", vm, "%s: the list of snapshots cannot be read: %s", vm->name, error->message);
	}
	g_variant_builder_init(&list, G_VARIANT_TYPE("a(sst)"));
	for (guint i = 0; vm->snapshots && i < vm->snapshots->len; i++) {
		const DiskSnapshot *snapshot = vm->snapshots->pdata[i];

		g_variant_builder_add(&list, "(sst)", snapshot->name, snapshot->description ? snapshot->description : "",
			(guint64)snapshot_ns(snapshot));
	}
	carrel_vm1_set_snapshots(vm->api, g_variant_builder_end(&list));
}

static const char *wire_address(Vm *vm, const char *name)
{
	for (guint i = 0; vm->wires && i < vm->wires->len; i++) {
		const Wire *wire = vm->wires->pdata[i];

		if (!strcmp(wire->name, name))
			return wire->address;
	}
	return "";
}

static void refresh_interfaces(Vm *vm)
{
	static const char *const modes[] = { [NET_NAT] = "nat", [NET_SHARED] = "shared", [NET_NONE] = "none" };
	const VmFile *file = vm_effective(vm);
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; file && i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];
		const guint8 *m = interface->mac;
		g_autofree char *mac = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);

		g_variant_builder_open(&list, G_VARIANT_TYPE("a{sv}"));
		g_variant_builder_add(&list, "{sv}", "name", g_variant_new_string(interface->name));
		g_variant_builder_add(&list, "{sv}", "mode", g_variant_new_string(modes[interface->mode]));
		g_variant_builder_add(&list, "{sv}", "network", g_variant_new_string(interface->network ? interface->network : ""));
		g_variant_builder_add(&list, "{sv}", "mac", g_variant_new_string(mac));
		g_variant_builder_add(&list, "{sv}", "address", g_variant_new_string(wire_address(vm, interface->name)));
		g_variant_builder_close(&list);
	}
	carrel_vm1_set_interfaces(vm->api, g_variant_builder_end(&list));
}

static void refresh_file(Vm *vm)
{
	static const char *const none[] = { NULL };
	const VmFile *file = vm->file, *now = vm_effective(vm);

	carrel_vm1_set_title(vm->api, vm_title(vm));
	carrel_vm1_set_description(vm->api, file && file->description ? file->description : "");
	carrel_vm1_set_colour(vm->api, file && file->colour ? file->colour : "#888888");
	carrel_vm1_set_uuid(vm->api, file && file->uuid ? file->uuid : "");
	carrel_vm1_set_vcpus(vm->api, now ? now->vcpus : 0);
	carrel_vm1_set_memory_min(vm->api, file ? file->memory_min : 0);
	carrel_vm1_set_memory_max(vm->api, file ? file->memory_max : 0);
	carrel_vm1_set_autostart(vm->api, file && file->autostart);
	carrel_vm1_set_template(vm->api, file && file->template);
	carrel_vm1_set_encrypted(vm->api, file && file->encrypted);
	carrel_vm1_set_unlocked(vm->api, vm->unlocked);
	carrel_vm1_set_devices(vm->api, file && file->devices ? (const char *const *)file->devices : none);
}

void vm_refresh_watched(Vm *vm)
{
	Hv *hv = vm->manager->hv;
	g_autofree char *console = vm->domain ? hv->ops->console(hv, vm->domain) : NULL;

	carrel_vm1_set_console(vm->api, console ? console : "");
	carrel_vm1_set_recording(vm->api, vm->domain && hv->ops->recording(hv, vm->domain));
}

void vm_refresh(Vm *vm)
{
	carrel_vm1_set_name(vm->api, vm->name);
	carrel_vm1_set_state(vm->api, vm_state_name(vm->state));
	carrel_vm1_set_problem(vm->api, vm->problem);
	carrel_vm1_set_domain_id(vm->api, vm->coming ? (int)vm->coming : vm->domain ? (int)vm->domain : -1);
	carrel_vm1_set_memory_target(vm->api, vm->domain ? vm->memory_target : 0);
	carrel_vm1_set_foreground(vm->api, g_strcmp0(vm->manager->foreground, vm->name) == 0);
	carrel_vm1_set_started(vm->api, vm->started);
	refresh_file(vm);
	refresh_interfaces(vm);
}

void vm_set_unlocked(Vm *vm, gboolean unlocked)
{
	vm->unlocked = unlocked;
	carrel_vm1_set_unlocked(vm->api, unlocked);
}

void vm_set_target(Vm *vm, guint64 bytes)
{
	vm->memory_target = bytes;
	carrel_vm1_set_memory_target(vm->api, bytes);
}

void vm_set_state(Vm *vm, VmState state, const char *problem)
{
	if (vm->state != state)
		g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_INFO, "CARREL_VM", vm->name, "CARREL_STATE", vm_state_name(state), "MESSAGE",
			"VM %s: %s%s%s", vm->name, vm_state_name(state), problem && *problem ? ": " : "", problem ? problem : "");
	vm->state = state;
	g_free(vm->problem);
	vm->problem = g_strdup(problem ? problem : "");
	carrel_vm1_set_state(vm->api, vm_state_name(state));
	carrel_vm1_set_problem(vm->api, vm->problem);
}

void vm_attached(Vm *vm, guint domain)
{
	Hv *hv = vm->manager->hv;

	if (vm->domain && vm->domain != domain)
		hv->ops->watch_domain(hv, vm->domain, FALSE);
	if (domain && vm->domain != domain)
		hv->ops->watch_domain(hv, domain, TRUE);
	if (vm->domain != domain) {
		vm->share = (Share){ 0 }; /* also when it has just been started again */
		vm->unsure = FALSE;
	}
	vm->domain = domain;
	vm->coming = 0;
	vm->half_asleep = FALSE;
	if (!domain) {
		sound_stop(vm->manager, vm->name);
		vm->started = vm->demand = vm->memory_now = 0;
		vm->moved = -1e9;
		g_clear_pointer(&vm->running, vmfile_free);
		g_clear_pointer(&vm->wires, g_ptr_array_unref);
	}
	vm_refresh(vm);
	vm_refresh_watched(vm);
	shares_changed(vm->manager);
	memory_changed(vm->manager);
}

/* A permission is taken away at once; one that is given counts for the devices that the VM was started with. */
static void permit_sound(Vm *vm)
{
	g_autoptr(GError) error = NULL;

	if (vm->domain && !vm->manager->hv->ops->permit(vm->manager->hv, vm->domain, vm->file->play, vm->file->record, &error))
		manager_notice(vm->manager, "error", vm, "%s: %s", vm_title(vm), error->message);
}

void vm_take_file(Vm *vm, VmFile *file)
{
	if (file != vm->file) {
		g_clear_pointer(&vm->file, vmfile_free);
		vm->file = file;
	}
	if (vm->state == VM_BROKEN)
		vm_set_state(vm, VM_OFF, NULL);
	permit_sound(vm);
	vm_refresh_disks(vm);
	vm_refresh(vm);
	manager_networks_changed(vm->manager);
	vm->share.weight = 0; /* weight and cap may be new */
	shares_changed(vm->manager);
	memory_changed(vm->manager);
}

void vm_set_broken(Vm *vm, const char *problem)
{
	g_clear_pointer(&vm->file, vmfile_free);
	vm_set_state(vm, VM_BROKEN, problem);
	vm_refresh(vm);
}

/* -- one job at a time ------------------------------------------------------------------------------------------------ */

gboolean vm_allows(Vm *vm, VmAction action, GError **error)
{
	if (vm->job)
		return carrel_fail(error, CARREL_ERROR_BUSY, "VM %s is busy with %s (%s): wait for it, or cancel it", vm->name, vm->job->kind,
			vm->job->path);
	if (vm->readers && action != ACT_CHANGES)
		return carrel_fail(error, CARREL_ERROR_BUSY, "VM %s: its disks are being read for changes: try again", vm->name);
	return vm_state_allows(vm->state, vm->domain != 0, action, vm->name, error);
}

Job *vm_begin(Vm *vm, VmAction action, GError **error)
{
	return vm_allows(vm, action, error) ? job_new(vm->manager, vm_action_name(action), vm) : NULL;
}

void vm_job_ended(Vm *vm, Job *job)
{
	Job *next = g_steal_pointer(&vm->pending);

	if (vm->job != job) {
		vm->pending = next;
		return;
	}
	g_clear_handle_id(&vm->await_timer, g_source_remove);
	vm->awaiting = FALSE;
	g_clear_pointer(&vm->job, job_unref);
	if (next) {
		vm->job = next;
		run_force_off_now(next);
	}
	scan_soon(vm->manager);
}
