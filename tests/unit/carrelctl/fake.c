// SPDX-License-Identifier: Apache-2.0
#include "fake.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

static char *vm_path(const char *name)
{
	GString *path = g_string_new("/org/carrel/vm/");

	for (; *name; name++)
		if (g_ascii_isalnum(*name) && !(g_ascii_isdigit(*name) && path->str[path->len - 1] == '/'))
			g_string_append_c(path, *name);
		else
			g_string_append_printf(path, "_%02x", (guchar)*name);
	return g_string_free(path, FALSE);
}

typedef struct {
	Fake *fake;
	CarrelJob1 *job;
	guint stage;
	char *result;
} FakeJob;

static void job_end(FakeJob *job, const char *state, const char *error, const char *message)
{
	carrel_job1_set_state(job->job, state);
	carrel_job1_set_error(job->job, g_variant_new("(ss)", error, message));
	if (g_str_equal(state, "done"))
		carrel_job1_set_result(job->job, job->result);
	carrel_job1_emit_finished(job->job, state, error, message);
}

static void job_finish(FakeJob *job)
{
	if (job->fake->job_error)
		job_end(job, "failed", job->fake->job_error, job->fake->job_message);
	else
		job_end(job, "done", "", "");
}

static gboolean job_step(gpointer data)
{
	FakeJob *job = data;
	Fake *fake = job->fake;
	g_autofree char *stage = g_strdup_printf("%s %u", fake->stage_text ? fake->stage_text : "stage", job->stage + 1);

	if (!g_str_equal(carrel_job1_get_state(job->job), "running"))
		return G_SOURCE_REMOVE;
	if (job->stage == fake->stages) {
		if (fake->hang)
			return G_SOURCE_CONTINUE;
		job_finish(job);
		return G_SOURCE_REMOVE;
	}
	carrel_job1_set_stage(job->job, stage);
	carrel_job1_set_progress(job->job, fake->stages > 1 ? (double)job->stage / fake->stages : -1);
	job->stage++;
	return G_SOURCE_CONTINUE;
}

static void job_free(gpointer data, GClosure *closure G_GNUC_UNUSED)
{
	FakeJob *job = data;

	g_source_remove_by_user_data(job);
	g_free(job->result);
	g_free(job);
}

static gboolean on_cancel(CarrelJob1 *skeleton, GDBusMethodInvocation *invocation, gpointer data)
{
	FakeJob *job = data;

	g_ptr_array_add(job->fake->calls, g_strdup("Cancel"));
	if (job->fake->refuse_cancel) {
		g_dbus_method_invocation_return_dbus_error(invocation, "org.carrel.Error.Denied", "not your job");
		return TRUE;
	}
	carrel_job1_complete_cancel(skeleton, invocation);
	if (!job->fake->ignore_cancel)
		job_end(job, "cancelled", "org.carrel.Error.Cancelled", "cancelled");
	return TRUE;
}

static char *job_new(Fake *fake, const char *kind, const char *vm, const char *result)
{
	g_autofree char *path = g_strdup_printf("/org/carrel/job/%u", ++fake->jobs);
	g_autoptr(CarrelObjectSkeleton) object = carrel_object_skeleton_new(path);
	g_autoptr(CarrelJob1) skeleton = carrel_job1_skeleton_new();
	FakeJob *job = g_new0(FakeJob, 1);

	*job = (FakeJob){fake, skeleton, 0, g_strdup(result)};
	carrel_job1_set_kind(skeleton, kind);
	carrel_job1_set_vm(skeleton, vm);
	carrel_job1_set_progress(skeleton, -1);
	carrel_job1_set_stage(skeleton, "");
	carrel_job1_set_state(skeleton, "running");
	carrel_job1_set_error(skeleton, g_variant_new("(ss)", "", ""));
	carrel_job1_set_result(skeleton, "/");
	g_signal_connect_data(skeleton, "handle-cancel", G_CALLBACK(on_cancel), job, job_free, 0);
	carrel_object_skeleton_set_job1(object, skeleton);
	g_dbus_object_manager_server_export(fake->objects, G_DBUS_OBJECT_SKELETON(object));
	if (fake->stages || fake->hang)
		g_timeout_add(fake->stage_ms, job_step, job);
	else
		job_finish(job);
	return g_steal_pointer(&path);
}

static void take_import(Fake *fake, GDBusMethodInvocation *invocation)
{
	GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));
	int fd = g_unix_fd_list_get(fds, 0, NULL);
	char buffer[256];
	ssize_t n;

	g_string_truncate(fake->imported, 0);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(fake->imported, buffer, n);
	close(fd);
}

static void give_export(GDBusMethodInvocation *invocation)
{
	GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));
	int fd = g_unix_fd_list_get(fds, 0, NULL);

	g_assert_cmpint(write(fd, "exported", 8), ==, 8);
	close(fd);
}

/* What a method answers that begins no job; NULL: nothing. */
static GVariant *answer(Fake *fake, const char *method, GVariant *parameters, gboolean manager)
{
	g_autofree char *path = NULL;
	const char *name;

	if (g_str_equal(method, "GetVm") || g_str_equal(method, "Define")) {
		g_variant_get_child(parameters, 0, "&s", &name);
		path = vm_path(name);
		return g_variant_new("(o)", path);
	}
	if (g_str_equal(method, "GetDefinition"))
		return g_variant_new("(s)", fake->definition);
	if (g_str_equal(method, "SetDefinition")) {
		g_free(fake->definition);
		g_variant_get(parameters, "(s)", &fake->definition);
	}
	if (g_str_equal(method, "MarkChanges"))
		return g_variant_new("(s)", "mark-7");
	if (g_str_equal(method, "ChangedBlocks"))
		return g_variant_new_parsed("([(@t 0, @t 65536), (1048576, 131072)],)");
	if (g_str_equal(method, "GetStatistics") && manager)
		return g_variant_new_parsed("({'memory-total': <@t 3221225472>, 'cpus': <@u 2>, 'cpu-idle-ns': <@t 90000000000>},)");
	if (g_str_equal(method, "GetStatistics"))
		return g_variant_new_parsed("({'cpu-ns': <@t 1500000000>, 'memory': <@t 536870912>, 'disk-read': <@t 4096>},)");
	return NULL;
}

static gboolean begins_job(const char *method, gboolean manager)
{
	static const char *const of_manager[] = {"CreateFromTemplate", "Import", "Suspend", "Shutdown", NULL};
	static const char *const of_vm[] = {"Start", "Shutdown", "Reboot", "ForceOff", "Suspend", "Resume", "Delete", "Snapshot", "Revert",
		"DeleteSnapshot", "Clone", "Export", "Unlock", "Lock", "ChangePassphrase",
		NULL};

	return g_strv_contains(manager ? of_manager : of_vm, method);
}

static void begin_job(Fake *fake, GDBusMethodInvocation *invocation, const char *method, GVariant *parameters, gboolean manager)
{
	const char *vm = manager ? "/" : g_dbus_method_invocation_get_object_path(invocation), *name;
	g_autofree char *result = g_strdup("/"), *path = NULL;

	if (g_str_equal(method, "Import"))
		take_import(fake, invocation);
	if (g_str_equal(method, "Export"))
		give_export(invocation);
	if (g_str_equal(method, "CreateFromTemplate") || g_str_equal(method, "Import") || g_str_equal(method, "Clone")) {
		g_variant_get_child(parameters, 0, "&s", &name);
		g_free(result);
		result = vm_path(name);
	}
	path = job_new(fake, method, vm, result);
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", path));
}

static void handle(Fake *fake, GDBusMethodInvocation *invocation)
{
	const char *method = g_dbus_method_invocation_get_method_name(invocation), *name;
	GVariant *parameters = g_dbus_method_invocation_get_parameters(invocation);
	g_autofree char *text = g_variant_print(parameters, TRUE);
	gboolean manager = g_str_has_suffix(g_dbus_method_invocation_get_object_path(invocation), "/manager");

	if (fake->silent && !g_str_equal(method, "GetVm")) {
		g_object_unref(invocation);
		return;
	}
	if (g_str_equal(method, "GetVm")) {
		g_variant_get(parameters, "(&s)", &name);
		if (!fake_vm(fake, name)) {
			g_dbus_method_invocation_return_dbus_error(invocation, "org.carrel.Error.NotFound", "there is no VM of that name");
			return;
		}
	} else {
		g_ptr_array_add(fake->calls, g_strconcat(method, text, NULL));
		if (fake->refuse && (!fake->refuse_method || g_str_equal(fake->refuse_method, method))) {
			g_dbus_method_invocation_return_dbus_error(invocation, fake->refuse, fake->refuse_message ? fake->refuse_message : "refused");
			return;
		}
	}
	if (begins_job(method, manager))
		begin_job(fake, invocation, method, parameters, manager);
	else
		g_dbus_method_invocation_return_value(invocation, answer(fake, method, parameters, manager));
}

/* One marshaller for the "handle-…" signals of all methods, whatever their arguments. */
static void on_call(GClosure *closure, GValue *handled, guint count G_GNUC_UNUSED, const GValue *values,
	gpointer hint G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
	handle(closure->data, g_value_get_object(&values[1]));
	g_value_set_boolean(handled, TRUE);
}

static void handle_all(Fake *fake, gpointer skeleton, GDBusInterfaceInfo *info)
{
	for (GDBusMethodInfo **method = info->methods; *method; method++) {
		GString *name = g_string_new("handle");
		GClosure *closure = g_closure_new_simple(sizeof(GClosure), fake);

		for (const char *p = (*method)->name; *p; p++) {
			if (g_ascii_isupper(*p))
				g_string_append_c(name, '-');
			g_string_append_c(name, g_ascii_tolower(*p));
		}
		g_closure_set_marshal(closure, on_call);
		g_signal_connect_closure(skeleton, name->str, closure, FALSE);
		g_string_free(name, TRUE);
	}
}

CarrelVm1 *fake_add_vm(Fake *fake, const char *name, const char *title)
{
	g_autofree char *path = vm_path(name);
	g_autoptr(CarrelObjectSkeleton) object = carrel_object_skeleton_new(path);
	g_autoptr(CarrelVm1) vm = carrel_vm1_skeleton_new();

	carrel_vm1_set_name(vm, name);
	carrel_vm1_set_title(vm, title);
	carrel_vm1_set_description(vm, "");
	carrel_vm1_set_colour(vm, "#3584e4");
	carrel_vm1_set_uuid(vm, "5d0f6c1e-0000-4000-8000-000000000001");
	carrel_vm1_set_state(vm, "off");
	carrel_vm1_set_problem(vm, "");
	carrel_vm1_set_domain_id(vm, -1);
	carrel_vm1_set_vcpus(vm, 2);
	carrel_vm1_set_memory_target(vm, 1 << 30);
	carrel_vm1_set_memory_min(vm, 512 << 20);
	carrel_vm1_set_memory_max(vm, 1 << 30);
	carrel_vm1_set_console(vm, "");
	carrel_vm1_set_devices(vm, (const char *const[]){NULL});
	carrel_vm1_set_snapshots(vm, g_variant_new_parsed("[('clean', 'fresh \\u001b[2J', @t 1790000000000000000), ('a b', '', 5)]"));
	carrel_vm1_set_disks(vm, g_variant_new_parsed("[{'name': <'xvda'>, 'file': <'root.qcow2'>, 'format': <'qcow2'>, "
		"'size': <@t 21474836480>, 'used': <@t 1610612736>, 'readonly': <false>}]"));
	carrel_vm1_set_interfaces(vm, g_variant_new_parsed("[{'name': <'eth0'>, 'mode': <'nat'>, 'network': <''>, "
		"'mac': <'00:16:3e:01:02:03'>, 'address': <'10.9.1.2'>}]"));
	handle_all(fake, vm, carrel_vm1_interface_info());
	carrel_object_skeleton_set_vm1(object, vm);
	g_dbus_object_manager_server_export(fake->objects, G_DBUS_OBJECT_SKELETON(object));
	return vm; /* the object keeps it */
}

CarrelVm1 *fake_vm(Fake *fake, const char *name)
{
	g_autofree char *path = vm_path(name);
	g_autoptr(GDBusInterface) vm = g_dbus_object_manager_get_interface(G_DBUS_OBJECT_MANAGER(fake->objects), path, "org.carrel.Vm1");

	return vm ? CARREL_VM1(vm) : NULL; /* the object keeps it */
}

static void on_name(GDBusConnection *bus G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, gpointer data)
{
	*(gboolean *)data = TRUE;
}

Fake *fake_new(void)
{
	Fake *fake = g_new0(Fake, 1);
	g_autoptr(CarrelObjectSkeleton) object = carrel_object_skeleton_new("/org/carrel/manager");
	gboolean owned = FALSE;

	fake->dbus = g_test_dbus_new(G_TEST_DBUS_NONE);
	g_test_dbus_up(fake->dbus);
	fake->bus = g_dbus_connection_new_for_address_sync(g_test_dbus_get_bus_address(fake->dbus),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, NULL);
	g_assert_nonnull(fake->bus);
	fake->calls = g_ptr_array_new_with_free_func(g_free);
	fake->imported = g_string_new(NULL);
	fake->definition = g_strdup("# a comment\n[vm]\ntitle=Work\n\n[memory]\nmost=1G\n");
	fake->stage_ms = 20;
	fake->objects = g_dbus_object_manager_server_new("/org/carrel");
	fake->manager = carrel_manager1_skeleton_new();
	carrel_manager1_set_version(fake->manager, "test");
	carrel_manager1_set_foreground(fake->manager, "/");
	carrel_manager1_set_state(fake->manager, "running");
	handle_all(fake, fake->manager, carrel_manager1_interface_info());
	carrel_object_skeleton_set_manager1(object, fake->manager);
	g_dbus_object_manager_server_export(fake->objects, G_DBUS_OBJECT_SKELETON(object));
	g_dbus_object_manager_server_set_connection(fake->objects, fake->bus);
	fake->name = g_bus_own_name_on_connection(fake->bus, "org.carrel", G_BUS_NAME_OWNER_FLAGS_NONE, on_name, NULL, &owned, NULL);
	while (!owned)
		g_main_context_iteration(NULL, TRUE);
	return fake;
}

void fake_die(Fake *fake)
{
	if (!fake->bus)
		return;
	g_dbus_connection_close_sync(fake->bus, NULL, NULL);
	g_bus_unown_name(fake->name);
	g_clear_object(&fake->bus);
}

void fake_free(Fake *fake)
{
	fake_die(fake);
	g_clear_object(&fake->objects);
	g_clear_object(&fake->manager);
	turn_for(0);
	if (g_test_dbus_get_bus_address(fake->dbus))
		g_test_dbus_stop(fake->dbus);
	g_object_unref(fake->dbus);
	g_ptr_array_unref(fake->calls);
	g_string_free(fake->imported, TRUE);
	g_free(fake->definition);
	g_free(fake);
}

char *fake_calls(Fake *fake)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < fake->calls->len; i++)
		g_string_append_printf(text, "%s%s", i ? "\n" : "", (char *)fake->calls->pdata[i]);
	g_ptr_array_set_size(fake->calls, 0);
	return g_string_free(text, FALSE);
}
