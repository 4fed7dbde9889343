/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static guint cut_at, steps;

char *fresh_dir(void)
{
	char *dir = g_dir_make_tmp("carrel-XXXXXXdisk", NULL);

	g_assert_nonnull(dir);
	return dir;
}

char *copy_of(const char *dir)
{
	char *copy = fresh_dir();
	g_autofree char *all = g_strconcat(dir, "/.", NULL);
	const char *argv[] = {"cp", "-a", all, copy, NULL};

	g_assert_true(run_ok(argv, NULL));
	return copy;
}

gboolean listed(const char *dir, const char *name)
{
	g_autoptr(GPtrArray) list = disk_snapshots(dir, NULL);
	gboolean found = FALSE;

	g_assert_nonnull(list);
	for (guint i = 0; i < list->len; i++)
		found |= !strcmp(((DiskSnapshot *)list->pdata[i])->name, name);
	return found;
}

void remove_dir(char *dir)
{
	g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
	const char *name;

	while (list && (name = g_dir_read_name(list))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		if (!g_file_test(path, G_FILE_TEST_IS_REGULAR) || !disk_remove(path, NULL))
			g_remove(path);
	}
	g_rmdir(dir);
	g_free(dir);
}

char *in_dir(const char *dir, const char *name)
{
	return g_build_filename(dir, name, NULL);
}

gboolean run_ok(const char *const *argv, char **output)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process =
		g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
	g_autofree char *text = NULL;

	g_assert_no_error(error);
	g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, NULL));
	if (output)
		*output = g_steal_pointer(&text);
	return g_subprocess_get_successful(process);
}

static gboolean io(const char *format, const char *name, const char *verb, guint pattern, guint mib, guint length)
{
	g_autofree char *command = g_strdup_printf("%s -P %u %uM %uM", verb, pattern, mib, length), *output = NULL;
	const char *argv[] = {
		"qemu-io", "-f", format, "-c", command, "-c", "flush", name, !strcmp(verb, "read") ? "-r" : NULL, NULL};

	return run_ok(argv, &output) && !strstr(output, "failed");
}

static gboolean matches(const char *format, const char *name, const guint *patterns, guint n)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *output = NULL;

	g_ptr_array_add(argv, g_strdup("qemu-io"));
	g_ptr_array_add(argv, g_strdup("-r"));
	g_ptr_array_add(argv, g_strdup("-f"));
	g_ptr_array_add(argv, g_strdup(format));
	for (guint i = 0; i < n; i++) {
		g_ptr_array_add(argv, g_strdup("-c"));
		g_ptr_array_add(argv, g_strdup_printf("read -P %u %uM 1M", patterns[i], i));
	}
	g_ptr_array_add(argv, g_strdup(name));
	g_ptr_array_add(argv, NULL);
	return run_ok((const char *const *)argv->pdata, &output) && !strstr(output, "failed");
}

gboolean image_matches(const char *path, const guint *patterns, guint n)
{
	return matches("qcow2", path, patterns, n);
}

gboolean guest_matches(const char *nbd, const char *disk, const guint *patterns, guint n)
{
	g_autofree char *name = g_strdup_printf("nbd+unix:///%s?socket=%s", disk, nbd);

	return matches("raw", name, patterns, n);
}

void image_write(const char *path, guint pattern, guint mib, guint length)
{
	g_assert_true(io("qcow2", path, "write", pattern, mib, length));
}

gboolean image_has(const char *path, guint pattern, guint mib, guint length)
{
	return io("qcow2", path, "read", pattern, mib, length);
}

static gboolean guest_io(const char *nbd, const char *disk, const char *verb, guint pattern, guint mib, guint length)
{
	g_autofree char *name = g_strdup_printf("nbd+unix:///%s?socket=%s", disk, nbd);

	return io("raw", name, verb, pattern, mib, length);
}

void guest_write(const char *nbd, const char *disk, guint pattern, guint mib, guint length)
{
	g_assert_true(guest_io(nbd, disk, "write", pattern, mib, length));
}

gboolean guest_has(const char *nbd, const char *disk, guint pattern, guint mib, guint length)
{
	return guest_io(nbd, disk, "read", pattern, mib, length);
}

void check_images(const char *dir, const char *const *disks)
{
	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = in_dir(dir, disks[i]);

		assert_works(disk_check(path, FALSE, &error));
	}
}

Vm *vm_start(const char *dir, const char *const *disks)
{
	Vm *vm = g_new0(Vm, 1);
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GSubprocessLauncher) launcher = NULL;
	g_autoptr(GError) error = NULL;

	vm->dir = fresh_dir();
	vm->qmp = in_dir(vm->dir, "qmp");
	vm->nbd = in_dir(vm->dir, "nbd");
	g_ptr_array_add(argv, g_strdup("qemu-storage-daemon"));
	g_ptr_array_add(argv, g_strdup("--nbd-server"));
	g_ptr_array_add(argv, g_strdup_printf("addr.type=unix,addr.path=%s,max-connections=9", vm->nbd));
	for (guint i = 0; disks[i]; i++) {
		g_ptr_array_add(argv, g_strdup("--blockdev"));
		g_ptr_array_add(argv,
			g_strdup_printf(
				"{\"driver\":\"qcow2\",\"node-name\":\"xvd%c\",\"discard\":\"unmap\",\"file\":"
				"{\"driver\":\"file\",\"filename\":\"%s/%s\",\"locking\":\"off\",\"discard\":\"unmap\"}}",
				(char)('a' + i), dir, disks[i]));
		g_ptr_array_add(argv, g_strdup("--export"));
		g_ptr_array_add(argv,
			g_strdup_printf("type=nbd,id=guest%u,node-name=xvd%c,name=%s,writable=on", i, (char)('a' + i),
				disks[i]));
	}
	g_ptr_array_add(argv, g_strdup("--chardev"));
	g_ptr_array_add(argv, g_strdup_printf("socket,path=%s,server=on,wait=off,id=c", vm->qmp));
	g_ptr_array_add(argv, g_strdup("--monitor"));
	g_ptr_array_add(argv, g_strdup("chardev=c"));
	g_ptr_array_add(argv, NULL);
	launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_subprocess_launcher_set_child_setup(launcher, tool_limits, GINT_TO_POINTER(getpid()), NULL); /* it goes when this test goes */
	vm->process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < 10000; i++) {
		g_autoptr(Qmp) qmp = qmp_open(vm->qmp, NULL);

		if (qmp)
			return vm;
		g_usleep(2000);
	}
	g_assert_not_reached();
}

void vm_export_again(Vm *vm, const char *disk, const char *path)
{
	g_autoptr(Qmp) qmp = qmp_open(vm->qmp, NULL);
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, NULL);
	g_autoptr(GError) error = NULL;

	qmp_do(qmp, &error, "nbd-server-start", "{'addr': <{'type': <'unix'>, 'data': <{'path': <%s>}>}>}", vm->nbd);
	g_assert_no_error(error);
	qmp_do(qmp, &error, "block-export-add",
		"{'type': <'nbd'>, 'id': <'guest'>, 'node-name': <%s>, 'name': <%s>, 'writable': <true>}",
		qmp_image(nodes, path)->name, disk);
	g_assert_no_error(error);
}

static void vm_free(Vm *vm)
{
	g_subprocess_wait(vm->process, NULL, NULL);
	g_object_unref(vm->process);
	remove_dir(vm->dir);
	g_free(vm->qmp);
	g_free(vm->nbd);
	g_free(vm);
}

void vm_stop(Vm *vm)
{
	g_subprocess_send_signal(vm->process, SIGTERM);
	vm_free(vm);
}

void vm_kill(Vm *vm)
{
	g_subprocess_force_exit(vm->process);
	vm_free(vm);
}

static void die_at_step(G_GNUC_UNUSED const char *step)
{
	if (++steps == cut_at)
		raise(SIGKILL);
}

static GSubprocess *start_act(guint cut, const char *const *words)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	GSubprocess *process;

	g_ptr_array_add(argv, g_file_read_link("/proc/self/exe", NULL));
	g_ptr_array_add(argv, g_strdup("--act"));
	g_ptr_array_add(argv, g_strdup_printf("%u", cut));
	for (guint i = 0; words[i]; i++)
		g_ptr_array_add(argv, g_strdup(words[i]));
	g_ptr_array_add(argv, NULL);
	process = g_subprocess_newv((const char *const *)argv->pdata, G_SUBPROCESS_FLAGS_NONE, &error);
	g_assert_no_error(error);
	return process;
}

gboolean act(guint cut, const char *const *words)
{
	g_autoptr(GSubprocess) process = start_act(cut, words);

	g_subprocess_wait(process, NULL, NULL);
	if (g_subprocess_get_if_signaled(process)) {
		g_assert_cmpint(g_subprocess_get_term_sig(process), ==, SIGKILL);
		return FALSE;
	}
	g_assert_cmpint(g_subprocess_get_exit_status(process), ==, 0);
	return TRUE;
}

void act_for(guint ms, const char *const *words)
{
	g_autoptr(GSubprocess) process = start_act(0, words);

	g_usleep(ms * 1000);
	g_subprocess_force_exit(process);
	g_subprocess_wait(process, NULL, NULL);
}

int serve_act(int argc, char **argv, gboolean (*perform)(char **words, GError **error))
{
	g_autoptr(GError) error = NULL;

	if (argc < 3 || strcmp(argv[1], "--act"))
		return -1;
	cut_at = (guint)atoi(argv[2]);
	disk_step_hook = die_at_step;
	if (perform(argv + 3, &error))
		return 0;
	g_printerr("%s: %s\n", argv[3], error->message);
	return 1;
}
