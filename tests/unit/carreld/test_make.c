/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions, templates, clones, snapshots, import and export, over D-Bus and with real images. */
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "rig.h"

static char *text_property(Rig *rig, const char *vm, const char *name)
{
	g_autoptr(GVariant) value = vm_property(rig, vm, name);

	return g_variant_print(value, FALSE);
}

static char *definition(Rig *rig, const char *vm)
{
	g_autofree char *path = vm_at(vm);
	g_autoptr(GVariant) answer = rig_call(rig, path, "org.carrel.Vm1", "GetDefinition", NULL);
	char *text;

	g_variant_get(answer, "(s)", &text);
	return text;
}

/* A manager's method that returns a job; waits for its end. */
static char *manager_job(Rig *rig, const char *method, GVariant *args, const char *error)
{
	g_autoptr(GVariant) answer = rig_call(rig, MANAGER, method, args);
	const char *job;

	g_variant_get(answer, "(&o)", &job);
	return job_end(rig, job, error);
}

static void assert_no_vm(Rig *rig, const char *vm)
{
	g_autofree char *dir = g_build_filename(rig->state, "vms", vm, NULL), *mark = g_strconcat(dir, ".new", NULL);
	g_autofree char *file = g_strdup_printf("%s/vms/%s.vm", rig->config, vm), *vault = g_strconcat(dir, ".luks", NULL);

	g_free(rig_fail(rig, MANAGER, "GetVm", g_variant_new("(s)", vm), "NotFound"));
	g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(vault, G_FILE_TEST_EXISTS));
}

TEST(test_define)
{
	g_autofree char *message = NULL, *text = NULL, *path = NULL, *again = NULL;
	g_autoptr(GVariant) answer = NULL, value = NULL;
	const char *object;

	vm_define(rig, "work-2", "[x-mine]\nkey=value\n");
	answer = rig_call(rig, MANAGER, "GetVm", g_variant_new("(s)", "work-2"));
	g_variant_get(answer, "(&o)", &object);
	path = vm_at("work-2");
	g_assert_cmpstr(object, ==, path);
	text = definition(rig, "work-2");
	has(text, "uuid=");
	has(text, "[x-mine]");
	message = rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "work-2", ""), "Exists");
	has(message, "work-2");
	g_free(rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "../etc", ""), "Invalid"));
	g_free(rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "Work", ""), "Invalid"));
	g_free(message);
	message = rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "odd", "[machine]\nvcpus=many\n"), "Invalid");
	has(message, "odd.vm:2");
	assert_no_vm(rig, "odd");
	/* Two VMs with one uuid would be one domain. */
	g_free(message);
	message = rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "twin", text), "Exists");
	has(message, "uuid");
	assert_no_vm(rig, "twin");
	g_free(rig_fail(rig, MANAGER, "GetVm", g_variant_new("(s)", "nobody"), "NotFound"));
	/* What was defined is there after a restart. */
	rig_kill(rig, SIGTERM);
	rig_start(rig);
	again = definition(rig, "work-2");
	g_assert_cmpstr(again, ==, text);
}

TEST(test_change)
{
	g_autofree char *message = NULL, *text = NULL, *changed = NULL;
	g_autoptr(GVariant) title = NULL, networks = NULL;
	g_autofree char *path = vm_at("work");

	vm_define(rig, "work", NULL);
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "vm", "title", "My work"));
	title = vm_property(rig, "work", "Title");
	g_assert_cmpstr(g_variant_get_string(title, NULL), ==, "My work");
	message = vm_fail(rig, "work", "Set", g_variant_new("(sss)", "machine", "vcpus", "0"), "Invalid");
	has(message, "vcpus");
	text = definition(rig, "work");
	vm_do(rig, "work", "SetDefinition", g_variant_new("(s)", "[disk xvda]\nfile=xvda.qcow2\n[network eth0]\nmode=shared\nnetwork=lan\n"));
	networks = rig_property(rig, MANAGER, "SharedNetworks");
	changed = g_variant_print(networks, FALSE);
	g_assert_cmpstr(changed, ==, "['lan']");
	/* It is still the same VM. */
	g_free(changed);
	changed = definition(rig, "work");
	has(changed, strstr(text, "uuid=") ? "uuid=" : "?");
	g_assert_cmpint(strncmp(strstr(text, "uuid="), strstr(changed, "uuid="), 41), ==, 0);
	g_free(vm_fail(rig, "work", "SetDefinition", g_variant_new("(s)", "[disk"), "Invalid"));
	g_free(vm_fail(rig, "work", "Set", g_variant_new("(sss)", "vm", "encrypted", "true"), "Unsupported"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_free(vm_fail(rig, "work", "Set", g_variant_new("(sss)", "vm", "uuid", "11111111-2222-3333-4444-555555555555"), "State"));
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "vm", "description", "while it runs"));
}

TEST(test_broken_file)
{
	g_autofree char *file = g_build_filename(rig->config, "vms/odd.vm", NULL), *message = NULL, *problem = NULL, *text = NULL;

	g_file_set_contents(file, "[machine]\nmemory-min=lots\n", -1, NULL);
	g_variant_unref(rig_call(rig, MANAGER, "Reload", NULL));
	vm_until(rig, "odd", "broken");
	problem = text_property(rig, "odd", "Problem");
	has(problem, "odd.vm:2");
	message = vm_fail(rig, "odd", "Start", NO_OPTIONS, "Invalid");
	text = definition(rig, "odd");
	has(text, "memory-min=lots");
	vm_do(rig, "odd", "SetDefinition", g_variant_new("(s)", ""));
	vm_until(rig, "odd", "off");
	/* Broken later: it stays as it was, and one is told. */
	g_file_set_contents(file, "[machine]\nmemory-min=lots\n", -1, NULL);
	g_variant_unref(rig_call(rig, MANAGER, "Reload", NULL));
	vm_until(rig, "odd", "off");
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(rig->notices->len, >=, 2);
	has((char *)rig->notices->pdata[rig->notices->len - 1], "memory-min");
	vm_run(rig, "odd", "Delete", NO_OPTIONS);
	assert_no_vm(rig, "odd");
}

static void define_template(Rig *rig)
{
	vm_define(rig, "base", "[policy]\nautostart=true\n");
	vm_do(rig, "base", "Set", g_variant_new("(sss)", "policy", "autostart", ""));
	vm_do(rig, "base", "Set", g_variant_new("(sss)", "vm", "template", "true"));
}

TEST(test_template)
{
	g_autofree char *message = NULL, *disks = NULL, *text = NULL, *base = NULL;
	g_autoptr(GVariant) colour = NULL, max = NULL;

	define_template(rig);
	message = vm_fail(rig, "base", "Start", NO_OPTIONS, "State");
	has(message, "template");
	g_free(manager_job(rig, "CreateFromTemplate",
		g_variant_new_parsed("('work', 'base', {'title': <'Work'>, 'colour': <'#00ff00'>, 'memory-max': <uint64 805306368>})"), NULL));
	vm_until(rig, "work", "off");
	disks = text_property(rig, "work", "Disks");
	has(disks, "xvda.qcow2");
	colour = vm_property(rig, "work", "Colour");
	g_assert_cmpstr(g_variant_get_string(colour, NULL), ==, "#00ff00");
	max = vm_property(rig, "work", "MemoryMax");
	g_assert_cmpuint(g_variant_get_uint64(max), ==, 768 * MIB);
	text = definition(rig, "work");
	base = definition(rig, "base");
	g_assert_cmpint(strncmp(strstr(text, "uuid="), strstr(base, "uuid="), 41), !=, 0);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "work", "ForceOff", NULL);
	/* It stands on the template. */
	g_free(message);
	message = vm_job(rig, "base", "Delete", NO_OPTIONS);
	g_free(job_end(rig, message, "Busy"));
	vm_until(rig, "base", "off");
	vm_run(rig, "work", "Delete", NO_OPTIONS);
	assert_no_vm(rig, "work");
	vm_run(rig, "base", "Delete", NO_OPTIONS);
	assert_no_vm(rig, "base");
}

TEST(test_template_errors)
{
	define_template(rig);
	vm_define(rig, "work", NULL);
#define CREATE(text, error) g_free(rig_fail(rig, MANAGER, "CreateFromTemplate", g_variant_new_parsed(text), error))
	CREATE("('work', 'base', @a{sv} {})", "Exists");
	CREATE("('new', 'work', @a{sv} {})", "NotFound");
	CREATE("('new', 'nothing', @a{sv} {})", "NotFound");
	CREATE("('new', 'base', {'vcpu': <uint32 3>})", "Invalid");
	CREATE("('new', 'base', {'vcpus': <uint32 3000>})", "Invalid");
	CREATE("('new', 'base', {'memory-max': <'3'>})", "Invalid");
	CREATE("('new', 'base', {'colour': <'green'>})", "Invalid");
	assert_no_vm(rig, "new");
	{
		/* Disks of an earlier VM are not taken over by accident. */
		g_autofree char *dir = g_build_filename(rig->state, "vms/old", NULL);

		g_mkdir(dir, 0700);
		CREATE("('old', 'base', @a{sv} {})", "Exists");
	}
	{
		/* The template's disk is no image any more. */
		g_autofree char *disk = g_build_filename(rig->state, "vms/base/xvda.qcow2", NULL);

		g_file_set_contents(disk, "garbage", -1, NULL);
		g_free(manager_job(rig, "CreateFromTemplate", g_variant_new_parsed("('new', 'base', @a{sv} {})"), "Unsupported"));
		assert_no_vm(rig, "new");
	}
}

TEST(test_clone)
{
	g_autofree char *job = NULL, *snapshots = NULL, *message = NULL;
	g_autofree char *layer = g_build_filename(rig->state, "vms", "work", "xvda.qcow2.1.snap", NULL);

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Clone", g_variant_new_parsed("('copy', @a{sv} {})"));
	vm_until(rig, "copy", "off");
	snapshots = text_property(rig, "work", "Snapshots");
	has(snapshots, "clone copy");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "copy", "Start", NO_OPTIONS);
	g_free(vm_fail(rig, "work", "Clone", g_variant_new_parsed("('more', @a{sv} {})"), "State"));
	vm_run(rig, "work", "ForceOff", NULL);
	vm_run(rig, "copy", "ForceOff", NULL);
	job = vm_job(rig, "work", "DeleteSnapshot", g_variant_new("(s)", "clone copy"));
	message = job_end(rig, job, "Busy");
	has(message, "copy");
	vm_run(rig, "copy", "Delete", NO_OPTIONS);
	vm_run(rig, "work", "DeleteSnapshot", g_variant_new("(s)", "clone copy"));
	/* Its base is merged: nothing is left of the clone. */
	g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
	vm_run(rig, "work", "Start", NO_OPTIONS);
}

TEST(test_snapshots)
{
	g_autofree char *snapshots = NULL, *job = NULL, *message = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Snapshot", g_variant_new("(ss)", "fresh", "As it came"));
	vm_run(rig, "work", "Snapshot", g_variant_new("(ss)", "later", ""));
	snapshots = text_property(rig, "work", "Snapshots");
	has(snapshots, "'fresh', 'As it came'");
	job = vm_job(rig, "work", "Snapshot", g_variant_new("(ss)", "fresh", ""));
	g_free(job_end(rig, job, "Exists"));
	g_free(vm_fail(rig, "work", "Revert", g_variant_new("(s)", "nothing"), "NotFound"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	message = vm_fail(rig, "work", "Revert", g_variant_new("(s)", "fresh"), "State");
	has(message, "running");
	/* QEMU doesn't answer. */
	g_free(job);
	job = vm_job(rig, "work", "Snapshot", g_variant_new("(ss)", "live", ""));
	g_free(job_end(rig, job, "Failed"));
	vm_run(rig, "work", "ForceOff", NULL);
	vm_run(rig, "work", "Revert", g_variant_new("(s)", "fresh"));
	vm_run(rig, "work", "DeleteSnapshot", g_variant_new("(s)", "fresh"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
}

TEST(test_changes)
{
	g_autofree char *path = vm_at("work");
	g_autoptr(GVariant) mark = NULL, blocks = NULL;
	const char *name;

	vm_define(rig, "work", "[disk xvdb]\nfile=raw.img\nformat=raw\n");
	mark = rig_call(rig, path, "org.carrel.Vm1", "MarkChanges", g_variant_new("(s)", "xvda"));
	g_variant_get(mark, "(&s)", &name);
	blocks = rig_call(rig, path, "org.carrel.Vm1", "ChangedBlocks", g_variant_new("(ss)", "xvda", name));
	g_assert_cmpstr(g_variant_get_type_string(blocks), ==, "(a(tt))");
	g_free(vm_fail(rig, "work", "MarkChanges", g_variant_new("(s)", "xvdb"), "Unsupported"));
	g_free(vm_fail(rig, "work", "MarkChanges", g_variant_new("(s)", "xvdz"), "NotFound"));
	g_free(vm_fail(rig, "work", "ChangedBlocks", g_variant_new("(ss)", "xvda", "never"), "NotFound"));
}

/* A call with a file: returns the job, or NULL with the error's name checked. */
static char *call_with_file(Rig *rig, const char *path, const char *interface, const char *method, GVariant *args, int fd)
{
	g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&fd, 1);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = g_dbus_connection_call_with_unix_fd_list_sync(rig->bus, "org.carrel", path, interface, method, args,
		NULL, G_DBUS_CALL_FLAGS_NONE, 20000, fds, NULL, NULL, &error);
	char *job;

	g_assert_no_error(error);
	g_variant_get(answer, "(o)", &job);
	return job;
}

static char *import(Rig *rig, const char *name, const char *file, const char *error)
{
	g_autofree char *job = call_with_file(rig, MANAGER, "Import", g_variant_new_parsed("(%s, @h 0, {'vcpus': <uint32 1>})", name),
		open(file, O_RDONLY | O_CLOEXEC));

	return job_end(rig, job, error);
}

static void export(Rig *rig, const char *vm, const char *format, const char *file)
{
	g_autofree char *path = vm_at(vm), *job = NULL;

	job = call_with_file(rig, path, "org.carrel.Vm1", "Export", g_variant_new_parsed("(@h 0, %s)", format),
		open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	g_free(job_end(rig, job, NULL));
}

TEST(test_export_import)
{
	static const char *const formats[] = { "ova", "qcow2", "raw", "vhd", "vmdk" };

	vm_define(rig, "work", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
		g_autofree char *file = g_build_filename(rig->root, formats[i], NULL), *name = g_strdup_printf("from-%s", formats[i]);
		g_autofree char *disks = NULL;

		export(rig, "work", formats[i], file);
		g_free(import(rig, name, file, NULL));
		disks = text_property(rig, name, "Disks");
		has(disks, "xvda.qcow2");
		has(disks, "67108864");
		vm_run(rig, name, "Start", NO_OPTIONS);
		vm_run(rig, name, "ForceOff", NULL);
	}
	{
		g_autofree char *tmp = g_build_filename(rig->state, "tmp/work", NULL);

		g_assert_false(g_file_test(tmp, G_FILE_TEST_EXISTS));
	}
}

TEST(test_import_errors)
{
	g_autofree char *file = g_build_filename(rig->root, "bad", NULL), *message = NULL;
	g_autofree char *backed = g_build_filename(rig->root, "backed.qcow2", NULL), *base = g_build_filename(rig->root, "b.qcow2", NULL);
	char tar[1024] = { 0 };

	/* It says that it is a tar. */
	memcpy(tar + 257, "ustar", 5);
	g_file_set_contents(file, tar, sizeof(tar), NULL);
	g_free(import(rig, "bad", file, "Invalid"));
	assert_no_vm(rig, "bad");
	/* It would read a file of the host. */
	g_assert_true(disk_create(base, 64 * MIB, NULL) && disk_clone(base, backed, NULL));
	message = import(rig, "bad", backed, "Invalid");
	assert_no_vm(rig, "bad");
	g_chmod(base, 0600);
	disk_remove(base, NULL);
	g_free(rig_fail(rig, MANAGER, "Import", g_variant_new_parsed("('bad', @h 0, @a{sv} {})"), "Invalid"));
}

TEST(test_denied)
{
	g_autofree char *deny = g_build_filename(rig->fake, "deny", NULL);

	vm_define(rig, "work", NULL);
	g_file_set_contents(deny, "org.carrel.run org.carrel.define org.carrel.desk org.carrel.power", -1, NULL);
	g_free(vm_fail(rig, "work", "Start", NO_OPTIONS, "Denied"));
	g_free(vm_fail(rig, "work", "ForceOff", NULL, "Denied"));
	g_free(vm_fail(rig, "work", "Delete", NO_OPTIONS, "Denied"));
	g_free(vm_fail(rig, "work", "Set", g_variant_new("(sss)", "vm", "title", "x"), "Denied"));
	g_free(rig_fail(rig, MANAGER, "Define", g_variant_new("(ss)", "more", ""), "Denied"));
	g_free(rig_fail(rig, MANAGER, "Shutdown", g_variant_new("(s)", "poweroff"), "Denied"));
	g_free(rig_fail(rig, MANAGER, "Suspend", NULL, "Denied"));
	g_free(rig_fail(rig, MANAGER, "SetForeground", g_variant_new("(o)", "/"), "Denied"));
	/* Looking is free. */
	g_free(definition(rig, "work"));
	g_variant_unref(rig_call(rig, MANAGER, "GetStatistics", NULL));
}

TEST(test_delete_keeps_disks)
{
	g_autofree char *disk = g_build_filename(rig->state, "vms", "work", "xvda.qcow2", NULL);

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Delete", g_variant_new_parsed("({'keep-disks': <true>},)"));
	g_free(rig_fail(rig, MANAGER, "GetVm", g_variant_new("(s)", "work"), "NotFound"));
	g_assert_true(g_file_test(disk, G_FILE_TEST_EXISTS));
	/* They can be taken up again. */
	g_variant_unref(rig_call(rig, MANAGER, "Define", g_variant_new("(ss)", "work", "[disk xvda]\nfile=xvda.qcow2\n")));
	vm_run(rig, "work", "Start", NO_OPTIONS);
}

/* 50 VMs: the list with all properties in one call. */
TEST(test_many)
{
	g_autoptr(GVariant) answer = NULL, objects = NULL;
	gint64 best = G_MAXINT64;

	for (int i = 0; i < 50; i++) {
		g_autofree char *name = g_strdup_printf("vm-%d", i);

		g_variant_unref(rig_call(rig, MANAGER, "Define", g_variant_new("(ss)", name, "[disk xvda]\nfile=xvda.qcow2\n")));
	}
	/* The best of a few: other programs run here too. */
	for (int i = 0; i < 10; i++) {
		gint64 begin = g_get_monotonic_time();

		g_clear_pointer(&answer, g_variant_unref);
		answer = rig_call(rig, "/org/carrel", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
		best = MIN(best, g_get_monotonic_time() - begin);
	}
	g_assert_cmpint(best, <, G_USEC_PER_SEC / 2);
	objects = g_variant_get_child_value(answer, 0);
	g_assert_cmpuint(g_variant_n_children(objects), ==, 51);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/make/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_define);
	ADD(test_change);
	ADD(test_broken_file);
	ADD(test_template);
	ADD(test_template_errors);
	ADD(test_clone);
	ADD(test_snapshots);
	ADD(test_changes);
	ADD(test_export_import);
	ADD(test_import_errors);
	ADD(test_denied);
	ADD(test_delete_keeps_disks);
	ADD(test_many);
	return g_test_run();
}
