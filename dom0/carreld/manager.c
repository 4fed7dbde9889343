/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's own object: the list of VMs and what concerns all of them. */
#include <glib/gstdio.h>
#include <string.h>

#include "dispatch.h"
#include "network.h"
#include "store.h"
#include "vm.h"

/* -- the list --------------------------------------------------------------------------------------------------------- */

Vm *manager_vm(Manager *manager, const char *name)
{
	return g_hash_table_lookup(manager->vms, name);
}

Vm *manager_vm_at(Manager *manager, const char *path)
{
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		if (!strcmp(vm->path, path))
			return vm;
	return NULL;
}

char *manager_vm_file(Manager *manager, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".vm", NULL);

	return g_build_filename(manager->config_dir, "vms", file, NULL);
}

char *manager_vault_file(Manager *manager, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".luks", NULL);

	return g_build_filename(manager->state_dir, "vms", file, NULL);
}

static gint by_order(gconstpointer a, gconstpointer b)
{
	const Vm *one = a, *two = b;
	guint x = one->file ? one->file->start_order : 100, y = two->file ? two->file->start_order : 100;

	return x != y ? (x < y ? -1 : 1) : strcmp(one->name, two->name);
}

GList *manager_running(Manager *manager)
{
	GList *all = g_hash_table_get_values(manager->vms), *running = NULL;

	for (GList *at = all; at; at = at->next)
		if (((Vm *)at->data)->domain)
			running = g_list_prepend(running, at->data);
	g_list_free(all);
	return g_list_sort(running, by_order);
}

/* A directory without a VM file may hold the disks of a VM that was deleted without them. */
gboolean manager_name_free(Manager *manager, const char *name, GError **error)
{
	g_autofree char *file = manager_vm_file(manager, name), *dir = g_build_filename(manager->state_dir, "vms", name, NULL);
	g_autofree char *vault = manager_vault_file(manager, name);

	if (!vmfile_name_valid(name, error))
		return FALSE;
	if (manager_vm(manager, name) || g_hash_table_contains(manager->claims, name) || g_file_test(file, G_FILE_TEST_EXISTS))
		return carrel_fail(error, CARREL_ERROR_EXISTS, "there is a VM %s already: take another name, or delete it first", name);
	if (g_file_test(dir, G_FILE_TEST_EXISTS) || g_file_test(vault, G_FILE_TEST_EXISTS))
		return carrel_fail(error, CARREL_ERROR_EXISTS, "%s holds the disks of an earlier VM %s: move them away, or define a VM of that "
			"name with them", g_file_test(dir, G_FILE_TEST_EXISTS) ? dir : vault, name);
	return TRUE;
}

Vm *manager_add(Manager *manager, const char *name, VmFile *file)
{
	Vm *vm = vm_new(manager, name, file, NULL);

	g_hash_table_insert(manager->vms, vm->name, vm);
	vm_publish(vm);
	manager_networks_changed(manager);
	return vm;
}

void manager_remove(Manager *manager, Vm *vm)
{
	g_dbus_object_manager_server_unexport(manager->objects, vm->path);
	if (!g_strcmp0(manager->foreground, vm->name))
		manager_set_foreground(manager, NULL);
	g_hash_table_remove(manager->vms, vm->name);
	manager_networks_changed(manager);
}

void manager_networks_changed(Manager *manager)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) list = NULL;
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		for (guint i = 0; vm->file && i < vm->file->interfaces->len; i++) {
			const VmInterface *interface = vm->file->interfaces->pdata[i];

			if (interface->mode == NET_SHARED && interface->network)
				g_hash_table_add(names, interface->network);
		}
	list = g_hash_table_get_keys_as_ptr_array(names);
	g_ptr_array_sort_values(list, (GCompareFunc)strcmp);
	g_ptr_array_add(list, NULL);
	carrel_manager1_set_shared_networks(manager->api, (const char *const *)list->pdata);
}

void manager_notice(Manager *manager, const char *severity, Vm *vm, const char *format, ...)
{
	GLogLevelFlags level = !strcmp(severity, "error") ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_MESSAGE;
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_log_structured(G_LOG_DOMAIN, level, "CARREL_VM", vm ? vm->name : "", "CARREL_NOTICE", severity, "MESSAGE", "%s", text);
	carrel_manager1_emit_notice(manager->api, severity, vm ? vm->path : "/", text);
}

void manager_set_foreground(Manager *manager, Vm *vm)
{
	Vm *old = manager->foreground ? manager_vm(manager, manager->foreground) : NULL;

	if (old == vm && !!vm == !!manager->foreground)
		return;
	g_free(manager->foreground);
	manager->foreground = vm ? g_strdup(vm->name) : NULL;
	store_foreground(manager, manager->foreground);
	carrel_manager1_set_foreground(manager->api, vm ? vm->path : "/");
	if (old)
		carrel_vm1_set_foreground(old->api, FALSE);
	if (vm)
		carrel_vm1_set_foreground(vm->api, TRUE);
	shares_changed(manager);
	memory_changed(manager);
}

/* -- VM files --------------------------------------------------------------------------------------------------------- */

gboolean manager_check_file(Manager *manager, const char *name, const VmFile *file, GError **error)
{
	GHashTableIter iter;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		if (vm->file && strcmp(vm->name, name) && !g_ascii_strcasecmp(vm->file->uuid, file->uuid))
			return carrel_fail(error, CARREL_ERROR_EXISTS, "VM %s has the uuid of VM %s: remove the line uuid= from its file", name,
				vm->name);
	return TRUE;
}

/* The uuid is made up when the file has none: it must be the same next time. */
static VmFile *load(Manager *manager, const char *name, GError **error)
{
	g_autofree char *path = manager_vm_file(manager, name);
	g_autoptr(VmFile) file = vmfile_load(path, error);
	g_autoptr(GError) unsaved = NULL;

	if (!file || !manager_check_file(manager, name, file, error))
		return NULL;
	if (file->fresh_uuid && !vmfile_save(file, path, &unsaved))
		g_warning("VM %s: its new uuid is not kept: %s", name, unsaved->message);
	return g_steal_pointer(&file);
}

static void load_one(Manager *manager, const char *name)
{
	g_autoptr(GError) error = NULL;
	VmFile *file = load(manager, name, &error);
	Vm *vm = manager_vm(manager, name);

	if (!file)
		manager_notice(manager, "error", vm, "%s: %s", name, error->message);
	if (!vm) {
		vm = vm_new(manager, name, file, file ? NULL : error->message);
		g_hash_table_insert(manager->vms, vm->name, vm);
		vm_publish(vm);
	} else if (file && (vm->job || vm->readers)) {
		vmfile_free(file); /* what changes it now writes the file itself */
	} else if (file) {
		vm_take_file(vm, file);
	} else if (!vm->file) {
		vm_set_broken(vm, error->message);
	}
}

static GHashTable *files_there(Manager *manager)
{
	g_autofree char *path = g_build_filename(manager->config_dir, "vms", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *name = NULL;
		g_autoptr(GError) error = NULL;

		if (!g_str_has_suffix(file, ".vm"))
			continue;
		name = g_strndup(file, strlen(file) - strlen(".vm"));
		if (vmfile_name_valid(name, &error))
			g_hash_table_add(names, g_steal_pointer(&name));
		else
			manager_notice(manager, "error", NULL, "%s/%s is left aside: %s", path, file, error->message);
	}
	return names;
}

static void load_all(Manager *manager)
{
	g_autoptr(GHashTable) there = files_there(manager);
	g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(there), (GCompareFunc)strcmp);
	g_autoptr(GList) vms = g_hash_table_get_values(manager->vms);

	for (GList *at = vms; at; at = at->next) {
		Vm *vm = at->data;

		if (g_hash_table_contains(there, vm->name) || vm->job)
			continue;
		if (vm->domain || vm->unlocked)
			manager_notice(manager, "warning", vm, "%s %s, but its file is gone: it cannot be started again", vm->name,
				vm->domain ? "runs" : "is unlocked");
		else
			manager_remove(manager, vm);
	}
	for (GList *at = names; at; at = at->next)
		load_one(manager, at->data);
	manager_networks_changed(manager);
}

/* -- methods ---------------------------------------------------------------------------------------------------------- */

static void method_define(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GError) error = NULL;
	const char *name, *text;
	g_autofree char *path = NULL, *dir = NULL, *label = NULL;
	g_autoptr(VmFile) file = NULL;
	Vm *vm;

	g_variant_get(args, "(&s&s)", &name, &text);
	label = g_strdup_printf("%s.vm", name);
	/* Disks that wait for a VM of that name are welcome here. */
	if (!vmfile_name_valid(name, &error))
		goto failed;
	path = manager_vm_file(manager, name);
	if (manager_vm(manager, name) || g_hash_table_contains(manager->claims, name) || g_file_test(path, G_FILE_TEST_EXISTS)) {
		carrel_fail(&error, CARREL_ERROR_EXISTS, "there is a VM %s already: take another name, or delete it first", name);
		goto failed;
	}
	file = vmfile_parse(label, text, strlen(text), &error);
	dir = g_build_filename(manager->state_dir, "vms", name, NULL);
	if (!file || !manager_check_file(manager, name, file, &error) || !vmfile_save(file, path, &error))
		goto failed;
	if (g_mkdir(dir, 0700) && errno != EEXIST) {
		carrel_fail(&error, CARREL_ERROR_FAILED, "cannot make %s: %s", dir, g_strerror(errno));
		g_unlink(path);
		goto failed;
	}
	vm = manager_add(manager, name, g_steal_pointer(&file));
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", vm->path));
	return;
failed:
	dispatch_fail(invocation, g_steal_pointer(&error));
}

static void method_create(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	const char *name, *template;
	GError *error = NULL;
	Job *job;

	g_variant_get(args, "(&s&s@a{sv})", &name, &template, &options);
	job = make_from_template(manager, name, template, options, &error);
	dispatch_job(invocation, job, error);
}

static void method_import(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_autoptr(GVariant) options = NULL;
	const char *name;
	gint32 handle;
	GError *error = NULL;
	Job *job = NULL;
	int fd;

	g_variant_get(args, "(&sh@a{sv})", &name, &handle, &options);
	fd = dispatch_fd(invocation, handle, &error);
	if (fd >= 0)
		job = transfer_import(manager, name, fd, options, &error);
	dispatch_job(invocation, job, error);
}

static void method_get_vm(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	const char *name;
	Vm *vm;

	g_variant_get(args, "(&s)", &name);
	vm = manager_vm(manager, name);
	if (vm)
		g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", vm->path));
	else
		g_dbus_method_invocation_return_error(invocation, CARREL_ERROR, CARREL_ERROR_NOT_FOUND, "there is no VM '%s'", name);
}

static void method_reload(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	(void)args;
	load_all(manager);
	g_dbus_method_invocation_return_value(invocation, NULL);
}

static void method_foreground(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	const char *path;
	Vm *vm;

	g_variant_get(args, "(&o)", &path);
	vm = manager_vm_at(manager, path);
	if (!vm && strcmp(path, "/")) {
		g_dbus_method_invocation_return_error(invocation, CARREL_ERROR, CARREL_ERROR_NOT_FOUND, "there is no VM %s", path);
		return;
	}
	manager_set_foreground(manager, vm);
	g_dbus_method_invocation_return_value(invocation, NULL);
}

static void method_suspend(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	GError *error = NULL;
	Job *job = power_suspend(manager, &error);

	(void)args;
	dispatch_job(invocation, job, error);
}

static void method_shutdown(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	GError *error = NULL;
	const char *what;
	Job *job;

	g_variant_get(args, "(&s)", &what);
	job = power_shutdown(manager, what, &error);
	dispatch_job(invocation, job, error);
}

static void method_statistics(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
	g_autoptr(GFile) dir = g_file_new_for_path(manager->state_dir);
	g_autoptr(GFileInfo) info = g_file_query_filesystem_info(dir, G_FILE_ATTRIBUTE_FILESYSTEM_SIZE "," G_FILE_ATTRIBUTE_FILESYSTEM_FREE,
		NULL, NULL);
	GError *error = NULL;

	(void)args;
	if (!memory_statistics(manager, &dict, &error)) {
		dispatch_fail(invocation, error);
		return;
	}
	if (info) {
		g_variant_dict_insert(&dict, "storage-total", "t", g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_SIZE));
		g_variant_dict_insert(&dict, "storage-free", "t", g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE));
	}
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(@a{sv})", g_variant_dict_end(&dict)));
}

static const Method methods[] = {
	{ "handle-define", "org.carrel.define", method_define },
	{ "handle-create-from-template", "org.carrel.define", method_create },
	{ "handle-import", "org.carrel.define", method_import },
	{ "handle-get-vm", NULL, method_get_vm },
	{ "handle-reload", "org.carrel.define", method_reload },
	{ "handle-set-foreground", "org.carrel.desk", method_foreground },
	{ "handle-suspend", "org.carrel.power", method_suspend },
	{ "handle-shutdown", "org.carrel.power", method_shutdown },
	{ "handle-get-statistics", NULL, method_statistics },
};

/* -- begin and end ---------------------------------------------------------------------------------------------------- */

static gboolean make_dirs(Manager *manager, GError **error)
{
	const char *const parts[][2] = { { manager->config_dir, "vms" }, { manager->state_dir, "vms" }, { manager->run_dir, "vms" },
		{ manager->run_dir, "qmp" } };

	for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *path = g_build_filename(parts[i][0], parts[i][1], NULL);

		if (g_mkdir_with_parents(path, 0700))
			return carrel_fail(error, CARREL_ERROR_FAILED, "cannot make %s: %s", path, g_strerror(errno));
	}
	return TRUE;
}

static void desk_came(GDBusConnection *bus, const char *name, const char *owner, gpointer data)
{
	(void)bus, (void)name, (void)owner;
	((Manager *)data)->desk = TRUE;
}

static void desk_went(GDBusConnection *bus, const char *name, gpointer data)
{
	(void)bus, (void)name;
	((Manager *)data)->desk = FALSE;
}

gboolean manager_start(Manager *manager, GError **error)
{
	g_autofree char *foreground = NULL;
	Vm *vm;

	g_mutex_init(&manager->start_lock);
	g_mutex_init(&manager->network_lock);
	manager->vms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vm_unref);
	manager->jobs = g_hash_table_new(g_str_hash, g_str_equal);
	manager->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	manager->objects = g_dbus_object_manager_server_new("/org/carrel");
	manager->api = carrel_manager1_skeleton_new();
	manager->object = carrel_object_skeleton_new("/org/carrel/manager");
	carrel_manager1_set_version(manager->api, CARREL_VERSION);
	carrel_manager1_set_state(manager->api, "running");
	carrel_manager1_set_foreground(manager->api, "/");
	carrel_manager1_set_shared_networks(manager->api, (const char *const[]){ NULL });
	dispatch_connect(manager, G_DBUS_INTERFACE_SKELETON(manager->api), methods, G_N_ELEMENTS(methods));
	carrel_object_skeleton_set_manager1(manager->object, manager->api);
	g_dbus_object_manager_server_export(manager->objects, G_DBUS_OBJECT_SKELETON(manager->object));
	power_init(manager);
	if (!make_dirs(manager, error))
		return FALSE;
	load_all(manager);
	if (!recover(manager, error))
		return FALSE;
	foreground = store_read_foreground(manager);
	vm = foreground ? manager_vm(manager, foreground) : NULL;
	if (vm)
		manager_set_foreground(manager, vm);
	manager->hv->ops->watch(manager->hv, scan_soon, manager);
	g_dbus_object_manager_server_set_connection(manager->objects, manager->bus);
	manager->desk_watch = g_bus_watch_name_on_connection(manager->bus, "org.carrel.Desk", G_BUS_NAME_WATCHER_FLAGS_NONE, desk_came,
		desk_went, manager, NULL);
	scan_soon(manager);
	power_autostart(manager);
	return TRUE;
}

static void forget_jobs(Manager *manager)
{
	GHashTableIter iter;
	Job *job;

	g_hash_table_iter_init(&iter, manager->jobs);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job)) {
		g_clear_handle_id(&job->linger, g_source_remove);
		g_hash_table_iter_remove(&iter);
		job_unref(job);
	}
}

/* Whatever jobs are still under way use all of this: then it stays, and the process ends. */
void manager_stop(Manager *manager)
{
	g_clear_handle_id(&manager->desk_watch, g_bus_unwatch_name);
	network_stop(manager);
	g_clear_handle_id(&manager->scan_source, g_source_remove);
	g_clear_handle_id(&manager->balance_source, g_source_remove);
	g_clear_handle_id(&manager->share_source, g_source_remove);
	g_dbus_object_manager_server_set_connection(manager->objects, NULL);
	if (manager->busy)
		return;
	power_clear(manager);
	forget_jobs(manager);
	g_hash_table_unref(manager->vms);
	g_hash_table_unref(manager->jobs);
	g_hash_table_unref(manager->claims);
	g_ptr_array_unref(manager->autostart);
	g_clear_pointer(&manager->plan, net_plan_free);
	g_clear_pointer(&manager->plan_ports, g_ptr_array_unref);
	g_object_unref(manager->objects);
	g_object_unref(manager->object);
	g_object_unref(manager->api);
	manager->machine->free(manager->machine);
	manager->auth->free(manager->auth);
	manager->hv->ops->free(manager->hv);
	g_free(manager->foreground);
	g_free(manager->resolver);
	g_strfreev(manager->private_domains);
	g_free(manager->config_dir);
	g_free(manager->state_dir);
	g_free(manager->run_dir);
	g_free(manager->groups);
	g_object_unref(manager->bus);
}
