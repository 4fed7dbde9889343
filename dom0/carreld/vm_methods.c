/* SPDX-License-Identifier: Apache-2.0 */
/* The D-Bus methods of Vm1. */
#include <string.h>
#include <unistd.h>

#include "dispatch.h"
#include "vm.h"

static const Option delete_options[] = { { "keep-disks", "b" } };
static const Option unlock_options[] = { { "passphrase", "s" } };
static const Option passphrase_options[] = { { "passphrase", "s" }, { "new-passphrase", "s" } };
static const Option start_options[] = { { "passphrase", "s" }, { "paused", "b" } };

/* The VM of a call; NULL: answered. It may be gone since the call came in. */
static Vm *vm_of(Manager *manager, GDBusMethodInvocation *invocation)
{
	Vm *vm = manager_vm_at(manager, g_dbus_method_invocation_get_object_path(invocation));

	if (!vm)
		g_dbus_method_invocation_return_error(invocation, CARREL_ERROR, CARREL_ERROR_NOT_FOUND, "that VM was deleted");
	return vm;
}

/* Methods that are one job and nothing more. */
static void plain(Manager *manager, GDBusMethodInvocation *invocation, Job *(*run)(Vm *vm, GError **error))
{
	Vm *vm = vm_of(manager, invocation);
	GError *error = NULL;
	Job *job;

	if (!vm)
		return;
	job = run(vm, &error);
	dispatch_job(invocation, job, error);
}

static void within(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args,
	Job *(*run)(Vm *vm, guint timeout, GError **error))
{
	Vm *vm = vm_of(manager, invocation);
	GError *error = NULL;
	guint timeout;
	Job *job;

	if (!vm)
		return;
	g_variant_get(args, "(u)", &timeout);
	job = run(vm, timeout, &error);
	dispatch_job(invocation, job, error);
}

static void named(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args,
	Job *(*run)(Vm *vm, const char *name, GError **error))
{
	Vm *vm = vm_of(manager, invocation);
	GError *error = NULL;
	const char *name;
	Job *job;

	if (!vm)
		return;
	g_variant_get(args, "(&s)", &name);
	job = run(vm, name, &error);
	dispatch_job(invocation, job, error);
}

static void method_start(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	g_autofree char *passphrase = NULL;
	gboolean paused = FALSE;
	GError *error = NULL;
	Vm *vm = vm_of(manager, invocation);
	Job *job = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(@a{sv})", &options);
	if (options_check(options, start_options, G_N_ELEMENTS(start_options), &error)) {
		g_variant_lookup(options, "passphrase", "s", &passphrase);
		g_variant_lookup(options, "paused", "b", &paused);
		job = run_start(vm, passphrase, paused, &error);
	}
	dispatch_job(invocation, job, error);
	wipe(g_steal_pointer(&passphrase));
}

static void method_shutdown(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	within(manager, invocation, args, run_shutdown);
}

static void method_reboot(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	within(manager, invocation, args, run_reboot);
}

static void method_force_off(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	plain(manager, invocation, run_force_off);
}

static void hold(Manager *manager, GDBusMethodInvocation *invocation, gboolean on)
{
	Vm *vm = vm_of(manager, invocation);
	GError *error = NULL;

	if (!vm)
		return;
	if (run_pause(vm, on, &error))
		g_dbus_method_invocation_return_value(invocation, NULL);
	else
		dispatch_fail(invocation, error);
}

static void method_pause(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	hold(manager, invocation, TRUE);
}

static void method_unpause(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	hold(manager, invocation, FALSE);
}

static void method_suspend(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	plain(manager, invocation, run_suspend);
}

static void method_resume(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	plain(manager, invocation, run_resume);
}

static void method_unlock(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	g_autofree char *passphrase = NULL;
	GError *error = NULL;
	Vm *vm = vm_of(manager, invocation);
	Job *job = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(@a{sv})", &options);
	if (options_check(options, unlock_options, G_N_ELEMENTS(unlock_options), &error)) {
		g_variant_lookup(options, "passphrase", "s", &passphrase);
		job = unlock(vm, passphrase, &error);
	}
	dispatch_job(invocation, job, error);
	wipe(g_steal_pointer(&passphrase));
}

static void method_lock(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	plain(manager, invocation, lock);
}

static void method_passphrase(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	char *passphrase = NULL, *fresh = NULL;
	GError *error = NULL;
	Vm *vm = vm_of(manager, invocation);
	Job *job = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(@a{sv})", &options);
	if (options_check(options, passphrase_options, G_N_ELEMENTS(passphrase_options), &error)) {
		g_variant_lookup(options, "passphrase", "s", &passphrase);
		g_variant_lookup(options, "new-passphrase", "s", &fresh);
		job = change_passphrase(vm, passphrase, fresh, &error);
	}
	dispatch_job(invocation, job, error);
	wipe(passphrase);
	wipe(fresh);
}

static void method_delete(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	Vm *vm = vm_of(manager, invocation);
	gboolean keep = FALSE;
	GError *error = NULL;
	Job *job = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(@a{sv})", &options);
	if (options_check(options, delete_options, G_N_ELEMENTS(delete_options), &error)) {
		g_variant_lookup(options, "keep-disks", "b", &keep);
		job = make_delete(vm, keep, &error);
	}
	dispatch_job(invocation, job, error);
}

static void method_snapshot(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	const char *name, *description;
	GError *error = NULL;
	Job *job;

	if (!vm)
		return;
	g_variant_get(args, "(&s&s)", &name, &description);
	job = disks_snapshot(vm, name, description, &error);
	dispatch_job(invocation, job, error);
}

static void method_revert(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	named(manager, invocation, args, disks_revert);
}

static void method_delete_snapshot(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	named(manager, invocation, args, disks_delete_snapshot);
}

static void method_clone(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	Vm *vm = vm_of(manager, invocation);
	const char *name;
	GError *error = NULL;
	Job *job;

	if (!vm)
		return;
	g_variant_get(args, "(&s@a{sv})", &name, &options);
	job = make_clone(vm, name, options, &error);
	dispatch_job(invocation, job, error);
}

static void method_export(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	const char *format;
	GError *error = NULL;
	gint32 handle;
	Job *job = NULL;
	int fd;

	if (!vm)
		return;
	g_variant_get(args, "(h&s)", &handle, &format);
	fd = dispatch_fd(invocation, handle, &error);
	if (fd >= 0)
		job = transfer_export(vm, fd, format, &error);
	dispatch_job(invocation, job, error);
}

static void method_get_definition(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	g_autofree char *text = NULL, *path = NULL;
	GError *error = NULL;

	(void)args;
	if (!vm)
		return;
	path = manager_vm_file(manager, vm->name);
	if (vm->file)
		text = vmfile_to_text(vm->file);
	else if (!g_file_get_contents(path, &text, NULL, &error) || !g_utf8_validate(text, -1, NULL)) {
		/* A person must see a broken file to correct it, but D-Bus has room for text only. */
		if (!error)
			carrel_fail(&error, CARREL_ERROR_INVALID, "%s is not text (UTF-8): replace it (SetDefinition), or delete the VM", path);
		dispatch_fail(invocation, error);
		return;
	}
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", text));
}

/* Takes file. */
static gboolean replace(Vm *vm, VmFile *file, GError **error)
{
	g_autofree char *path = manager_vm_file(vm->manager, vm->name);

	if (manager_check_file(vm->manager, vm->name, file, error) && vmfile_save(file, path, error)) {
		vm_take_file(vm, file);
		return TRUE;
	}
	vmfile_free(file);
	return FALSE;
}

static gboolean may_redefine(Vm *vm, const VmFile *file, GError **error)
{
	if (vm->job)
		return carrel_fail(error, CARREL_ERROR_BUSY, "VM %s is busy with %s: change it afterwards", vm->name, vm->job->kind);
	if (vm->file && vm->domain && g_ascii_strcasecmp(file->uuid, vm->file->uuid))
		return carrel_fail(error, CARREL_ERROR_STATE, "VM %s runs: its uuid can be changed when it is off", vm->name);
	if (vm->file && file->encrypted != vm->file->encrypted)
		return carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "VM %s: encryption is chosen when a VM is made: clone it with encrypted set",
			vm->name);
	return TRUE;
}

static void method_set_definition(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	g_autofree char *label = NULL;
	g_autoptr(VmFile) file = NULL;
	const char *text;
	GError *error = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(&s)", &text);
	label = g_strdup_printf("%s.vm", vm->name);
	file = vmfile_parse(label, text, strlen(text), &error);
	/* A text without uuid means the same VM. */
	if (file && file->fresh_uuid && vm->file && !vmfile_set(file, "vm", "uuid", vm->file->uuid, &error))
		g_clear_pointer(&file, vmfile_free);
	if (file && may_redefine(vm, file, &error) && replace(vm, g_steal_pointer(&file), &error))
		g_dbus_method_invocation_return_value(invocation, NULL);
	else
		dispatch_fail(invocation, error);
}

static void method_set(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	g_autoptr(VmFile) file = NULL;
	const char *group, *key, *value;
	GError *error = NULL;

	if (!vm)
		return;
	g_variant_get(args, "(&s&s&s)", &group, &key, &value);
	if (!vm->file) {
		carrel_fail(&error, CARREL_ERROR_INVALID, "VM %s: its file is broken (%s): replace it whole", vm->name, vm->problem);
		dispatch_fail(invocation, error);
		return;
	}
	file = vmfile_copy(vm->file);
	if (vmfile_set(file, group, key, value, &error) && may_redefine(vm, file, &error) &&
	    replace(vm, g_steal_pointer(&file), &error))
		g_dbus_method_invocation_return_value(invocation, NULL);
	else
		dispatch_fail(invocation, error);
}

static void method_mark_changes(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	const char *disk;

	g_variant_get(args, "(&s)", &disk);
	if (vm)
		disks_mark(vm, disk, invocation);
}

static void method_changed_blocks(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Vm *vm = vm_of(manager, invocation);
	const char *disk, *mark;

	g_variant_get(args, "(&s&s)", &disk, &mark);
	if (vm)
		disks_changed(vm, disk, mark, invocation);
}

static void add_figures(Vm *vm, GVariantDict *dict)
{
	Hv *hv = vm->manager->hv;
	g_autoptr(GArray) domains = NULL;
	HvCounters counters = { 0 };

	if (!vm->domain || !hv->ops->list(hv, &domains, NULL))
		return;
	for (guint i = 0; i < domains->len; i++) {
		const HvDomain *domain = &g_array_index(domains, HvDomain, i);

		if (domain->id != vm->domain)
			continue;
		hv->ops->counters(hv, vm->domain, &counters);
		g_variant_dict_insert(dict, "cpu-ns", "t", domain->cpu_ns);
		g_variant_dict_insert(dict, "memory", "t", domain->memory);
		g_variant_dict_insert(dict, "memory-target", "t", vm->memory_target);
		g_variant_dict_insert(dict, "disk-read", "t", counters.disk_read);
		g_variant_dict_insert(dict, "disk-written", "t", counters.disk_written);
		g_variant_dict_insert(dict, "net-received", "t", counters.net_received);
		g_variant_dict_insert(dict, "net-sent", "t", counters.net_sent);
	}
}

static void method_statistics(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
	Vm *vm = vm_of(manager, invocation);

	(void)args;
	if (!vm)
		return;
	add_figures(vm, &dict);
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(@a{sv})", g_variant_dict_end(&dict)));
}

static const Method methods[] = {
	{ "handle-start", "org.carrel.run", method_start },
	{ "handle-shutdown", "org.carrel.run", method_shutdown },
	{ "handle-reboot", "org.carrel.run", method_reboot },
	{ "handle-force-off", "org.carrel.run", method_force_off },
	{ "handle-pause", "org.carrel.run", method_pause },
	{ "handle-unpause", "org.carrel.run", method_unpause },
	{ "handle-suspend", "org.carrel.run", method_suspend },
	{ "handle-resume", "org.carrel.run", method_resume },
	{ "handle-unlock", "org.carrel.run", method_unlock },
	{ "handle-lock", "org.carrel.run", method_lock },
	{ "handle-change-passphrase", "org.carrel.define", method_passphrase },
	{ "handle-delete", "org.carrel.define", method_delete },
	{ "handle-snapshot", "org.carrel.define", method_snapshot },
	{ "handle-revert", "org.carrel.define", method_revert },
	{ "handle-delete-snapshot", "org.carrel.define", method_delete_snapshot },
	{ "handle-clone", "org.carrel.define", method_clone },
	{ "handle-export", "org.carrel.export", method_export },
	{ "handle-get-definition", NULL, method_get_definition },
	{ "handle-set-definition", "org.carrel.define", method_set_definition },
	{ "handle-set", "org.carrel.define", method_set },
	{ "handle-mark-changes", "org.carrel.define", method_mark_changes },
	{ "handle-changed-blocks", NULL, method_changed_blocks },
	{ "handle-get-statistics", NULL, method_statistics },
};

void vm_methods_connect(Manager *manager, CarrelVm1 *api)
{
	dispatch_connect(manager, G_DBUS_INTERFACE_SKELETON(api), methods, G_N_ELEMENTS(methods));
}
