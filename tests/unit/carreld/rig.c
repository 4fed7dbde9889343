/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk/disk.h"
#include "files.h"

static void on_notice(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name,
	GVariant *args, gpointer data)
{
	Rig *rig = data;
	const char *text;

	(void)bus, (void)sender, (void)path, (void)interface, (void)name;
	g_variant_get(args, "(&s&o&s)", NULL, NULL, &text);
	g_ptr_array_add(rig->notices, g_strdup(text));
}

static gboolean has_owner(Rig *rig)
{
	g_autoptr(GVariant) answer = g_dbus_connection_call_sync(rig->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", "NameHasOwner", g_variant_new("(s)", "org.carrel"), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
	gboolean owned;

	g_variant_get(answer, "(b)", &owned);
	return owned;
}

void rig_start(Rig *rig)
{
	g_autoptr(GError) error = NULL;

	rig->daemon = g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, &error, g_getenv("CARRELD"), "--config-dir", rig->config, "--state-dir",
		rig->state, "--run-dir", rig->run, NULL);
	g_assert_no_error(error);
	for (int i = 0; !has_owner(rig); i++) {
		g_assert_cmpint(i, <, 4000);
		g_usleep(10000);
	}
}

pid_t rig_pid(Rig *rig)
{
	return atoi(g_subprocess_get_identifier(rig->daemon));
}

void rig_kill(Rig *rig, int signal)
{
	g_subprocess_send_signal(rig->daemon, signal);
	g_subprocess_wait(rig->daemon, NULL, NULL);
	/* A report of the sanitizers is no orderly end. */
	if (signal == SIGTERM)
		g_assert_true(g_subprocess_get_if_exited(rig->daemon) && g_subprocess_get_exit_status(rig->daemon) == 0);
	g_clear_object(&rig->daemon);
	while (has_owner(rig))
		g_usleep(5000);
}

void rig_up(Rig *rig, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	rig->root = g_dir_make_tmp("carreld-XXXXXX", &error);
	g_assert_no_error(error);
	rig->fake = g_build_filename(rig->root, "fake", NULL);
	rig->config = g_build_filename(rig->root, "etc", NULL);
	rig->state = g_build_filename(rig->root, "lib", NULL);
	rig->run = g_build_filename(rig->root, "run", NULL);
	g_mkdir(rig->fake, 0700);
	g_setenv("CARREL_FAKE", rig->fake, TRUE);
	fake_set("machine", "total", 4096 * MIB);
	rig->notices = g_ptr_array_new_with_free_func(g_free);
	rig->dbus = g_test_dbus_new(G_TEST_DBUS_NONE);
	g_test_dbus_up(rig->dbus);
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(rig->dbus), TRUE);
	rig->bus = g_dbus_connection_new_for_address_sync(g_test_dbus_get_bus_address(rig->dbus),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	rig->signal = g_dbus_connection_signal_subscribe(rig->bus, "org.carrel", "org.carrel.Manager1", "Notice", NULL, NULL,
		G_DBUS_SIGNAL_FLAGS_NONE, on_notice, rig, NULL);
	if (!data)
		rig_start(rig);
}

void rig_down(Rig *rig, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	if (rig->daemon)
		rig_kill(rig, SIGTERM);
	g_dbus_connection_signal_unsubscribe(rig->bus, rig->signal);
	g_dbus_connection_close_sync(rig->bus, NULL, NULL);
	g_object_unref(rig->bus);
	g_test_dbus_stop(rig->dbus);
	g_object_unref(rig->dbus);
	g_ptr_array_unref(rig->notices);
	files_remove_tree(rig->root, &error);
	g_assert_no_error(error);
	g_free(rig->root);
	g_free(rig->fake);
	g_free(rig->config);
	g_free(rig->state);
	g_free(rig->run);
}

/* -- calls ------------------------------------------------------------------------------------------------------------ */

GVariant *rig_call(Rig *rig, const char *path, const char *interface, const char *method, GVariant *args)
{
	g_autoptr(GError) error = NULL;
	GVariant *answer = g_dbus_connection_call_sync(rig->bus, "org.carrel", path, interface, method, args, NULL,
		G_DBUS_CALL_FLAGS_NONE, 20000, NULL, &error);

	if (error)
		g_error("%s of %s: %s", method, path, error->message);
	return answer;
}

char *rig_fail(Rig *rig, const char *path, const char *interface, const char *method, GVariant *args, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *wanted = g_strdup_printf("org.carrel.Error.%s", name), *got = NULL;
	g_autoptr(GVariant) answer = g_dbus_connection_call_sync(rig->bus, "org.carrel", path, interface, method, args, NULL,
		G_DBUS_CALL_FLAGS_NONE, 20000, NULL, &error);

	if (!error)
		g_error("%s of %s went well instead of failing with %s", method, path, name);
	got = g_dbus_error_get_remote_error(error);
	g_dbus_error_strip_remote_error(error);
	if (g_strcmp0(got, wanted))
		g_error("%s of %s: %s (%s) instead of %s", method, path, got, error->message, wanted);
	return g_strdup(error->message);
}

GVariant *rig_property(Rig *rig, const char *path, const char *interface, const char *name)
{
	g_autoptr(GVariant) answer = rig_call(rig, path, "org.freedesktop.DBus.Properties", "Get", g_variant_new("(ss)", interface, name));
	GVariant *value;

	g_variant_get(answer, "(v)", &value);
	return value;
}

char *vm_at(const char *name)
{
	GString *path = g_string_new("/org/carrel/vm/");

	for (const char *c = name; *c; c++)
		if (*c == '-' || (c == name && g_ascii_isdigit(*c)))
			g_string_append_printf(path, "_%02x", *c);
		else
			g_string_append_c(path, *c);
	return g_string_free(path, FALSE);
}

void vm_do(Rig *rig, const char *name, const char *method, GVariant *args)
{
	g_autofree char *path = vm_at(name);
	g_autoptr(GVariant) answer = rig_call(rig, path, "org.carrel.Vm1", method, args);
}

char *vm_job(Rig *rig, const char *name, const char *method, GVariant *args)
{
	g_autofree char *path = vm_at(name);
	g_autoptr(GVariant) answer = rig_call(rig, path, "org.carrel.Vm1", method, args);
	char *job;

	g_variant_get(answer, "(o)", &job);
	return job;
}

char *vm_fail(Rig *rig, const char *name, const char *method, GVariant *args, const char *error)
{
	g_autofree char *path = vm_at(name);

	return rig_fail(rig, path, "org.carrel.Vm1", method, args, error);
}

char *vm_state(Rig *rig, const char *name)
{
	g_autofree char *path = vm_at(name);
	g_autoptr(GVariant) value = rig_property(rig, path, "org.carrel.Vm1", "State");

	return g_variant_dup_string(value, NULL);
}

GVariant *vm_property(Rig *rig, const char *vm, const char *name)
{
	g_autofree char *path = vm_at(vm);

	return rig_property(rig, path, "org.carrel.Vm1", name);
}

void assert_nothing_left(Rig *rig, const char *vm)
{
	g_autofree char *net = fake_text("net.ini"), *run = g_strdup_printf("%s/vms/%s.run", rig->run, vm);

	g_assert_cmpuint(fake_running(vm), ==, 0);
	g_assert_null(strstr(net, vm));
	g_assert_false(g_file_test(run, G_FILE_TEST_EXISTS));
}

void vm_until(Rig *rig, const char *name, const char *state)
{
	for (int i = 0; i < 4000; i++) {
		g_autofree char *now = vm_state(rig, name);

		if (!strcmp(now, state))
			return;
		g_usleep(10000);
	}
	g_error("VM %s is not %s", name, state);
}

char *job_end(Rig *rig, const char *job, const char *error)
{
	for (int i = 0; i < 6000; i++) {
		g_autoptr(GVariant) state = rig_property(rig, job, "org.carrel.Job1", "State");
		g_autoptr(GVariant) reason = NULL;
		g_autofree char *wanted = error ? g_strdup_printf("org.carrel.Error.%s", error) : g_strdup("");
		const char *name, *message, *text = g_variant_get_string(state, NULL);

		if (!strcmp(text, "running")) {
			g_usleep(10000);
			continue;
		}
		reason = rig_property(rig, job, "org.carrel.Job1", "Error");
		g_variant_get(reason, "(&s&s)", &name, &message);
		if (strcmp(name, wanted))
			g_error("%s ended with '%s' (%s) instead of '%s'", job, name, message, wanted);
		g_assert_cmpstr(text, ==, !error ? "done" : !strcmp(error, "Cancelled") ? "cancelled" : "failed");
		return g_strdup(message);
	}
	g_error("%s does not end", job);
}

void vm_run(Rig *rig, const char *name, const char *method, GVariant *args)
{
	g_autofree char *job = vm_job(rig, name, method, args), *message = job_end(rig, job, NULL);
}

void vm_disk(Rig *rig, const char *name)
{
	g_autofree char *dir = g_build_filename(rig->state, "vms", name, NULL), *disk = g_build_filename(dir, "xvda.qcow2", NULL);
	g_autoptr(GError) error = NULL;

	g_mkdir_with_parents(dir, 0700);
	disk_create(disk, 64 * MIB, &error);
	g_assert_no_error(error);
}

void vm_define(Rig *rig, const char *name, const char *more)
{
	g_autofree char *text = g_strdup_printf("[machine]\nmemory-min=256M\nmemory-max=1G\n[disk xvda]\nfile=xvda.qcow2\n"
		"[network eth0]\nmode=nat\n%s", more ? more : "");
	g_autoptr(GVariant) answer = NULL;

	vm_disk(rig, name);
	answer = rig_call(rig, MANAGER, "Define", g_variant_new("(ss)", name, text));
}

/* -- the fake machine ------------------------------------------------------------------------------------------------- */

void fake_set(const char *group, const char *key, guint64 value)
{
	Fake *fake = fake_open();

	g_key_file_set_uint64(fake->keys, group, key, value);
	fake_close(fake, TRUE);
}

void fake_reason(const char *vm, const char *reason)
{
	Fake *fake = fake_open();
	g_autofree char *group = g_strdup_printf("%u", fake_domain(fake, vm));

	g_assert_cmpstr(group, !=, "0");
	g_key_file_set_string(fake->keys, group, "reason", reason);
	fake_close(fake, TRUE);
}

guint64 fake_get(const char *vm, const char *key)
{
	Fake *fake = fake_open();
	g_autofree char *group = g_strdup_printf("%u", fake_domain(fake, vm));
	guint64 value = fake_number(fake, group, key);

	fake_close(fake, FALSE);
	return value;
}

guint fake_running(const char *vm)
{
	Fake *fake = fake_open();
	guint id = fake_domain(fake, vm);

	fake_close(fake, FALSE);
	return id;
}

guint fake_count(void)
{
	Fake *fake = fake_open();
	guint n = fake_domains(fake);

	fake_close(fake, FALSE);
	return n;
}

char *fake_text(const char *file)
{
	g_autofree char *path = fake_path(file);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}
