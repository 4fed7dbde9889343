/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: what the daemon takes for fifty VMs, five of them running, on a private bus over the fake machine. Prints lines
 * "BENCH what value unit". $CARRELD and $CARRELCTL: the programs. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

#define VMS     50
#define RUNNING 5
#define CALLS   200
#define IDLE    60 /* seconds */
#define SETTLED 20 /* seconds: GLib lets a worker that has nothing to do wait for 15 and then end */

static char *name_of(guint i)
{
	return g_strdup_printf("vm-%02u", i);
}

static gint by_value(gconstpointer a, gconstpointer b)
{
	gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *what, gint64 *times, guint n)
{
	qsort(times, n, sizeof(*times), by_value);
	/* The least: whatever else the machine does only makes it worse. */
	printf("BENCH %s %.2f ms\nBENCH %s-median %.2f ms\n", what, times[0] / 1e3, what, times[n / 2] / 1e3);
	fflush(stdout);
}

static void list_all(Rig *rig)
{
	g_autoptr(GVariant) answer = rig_call(rig, "/org/carrel", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
	g_autoptr(GVariant) objects = g_variant_get_child_value(answer, 0);

	g_assert_cmpuint(g_variant_n_children(objects), >=, VMS);
}

static void all_properties(Rig *rig)
{
	static guint next;
	g_autofree char *name = name_of(next++ % VMS), *path = vm_at(name);

	g_variant_unref(rig_call(rig, path, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", "org.carrel.Vm1")));
}

static void one_property(Rig *rig)
{
	static guint next;
	g_autofree char *name = name_of(next++ % VMS);

	g_variant_unref(vm_property(rig, name, "State"));
}

static void carrelctl_list(G_GNUC_UNUSED Rig *rig)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE, &error, g_getenv("CARRELCTL"), "list", NULL);

	g_assert_no_error(error);
	g_assert_true(g_subprocess_wait_check(process, NULL, NULL));
}

static void measure(Rig *rig, const char *what, void (*call)(Rig *rig), guint n)
{
	g_autofree gint64 *times = g_new(gint64, n);

	for (guint i = 0; i < n; i++) {
		times[i] = g_get_monotonic_time();
		call(rig);
		times[i] = g_get_monotonic_time() - times[i];
	}
	print_times(what, times, n);
}

/* The value of a line of /proc/…/status. */
static guint64 status(const char *path, const char *key)
{
	g_autofree char *text = NULL;
	const char *at;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	at = strstr(text, key);
	return at ? g_ascii_strtoull(at + strlen(key), NULL, 10) : 0;
}

/* How often any of its threads was put on a processor after it had waited. */
static guint64 wake_ups(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
	g_autoptr(GDir) tasks = g_dir_open(path, 0, NULL);
	const char *task;
	guint64 n = 0;

	while ((task = g_dir_read_name(tasks))) {
		g_autofree char *file = g_strdup_printf("%s/%s/status", path, task);

		n += status(file, "\nvoluntary_ctxt_switches:");
	}
	return n;
}

static void idle(Rig *rig)
{
	g_autofree char *file = g_strdup_printf("/proc/%d/status", rig_pid(rig));
	guint64 before;

	g_usleep(SETTLED * G_USEC_PER_SEC);
	before = wake_ups(rig_pid(rig));
	g_usleep(IDLE * G_USEC_PER_SEC);
	printf("BENCH idle-wakeups-per-minute %" G_GUINT64_FORMAT " -\n", (wake_ups(rig_pid(rig)) - before) * 60 / IDLE);
	printf("BENCH resident %.1f MiB\n", status(file, "VmRSS:") / 1024.0);
}

int main(void)
{
	Rig rig = { 0 };
	gint64 start;

	rig_up(&rig, NULL);
	for (guint i = 0; i < VMS; i++) {
		g_autofree char *name = name_of(i);

		vm_define(&rig, name, "[policy]\nweight=300\n");
	}
	for (guint i = 0; i < RUNNING; i++) {
		g_autofree char *name = name_of(i);

		fake_set("machine", "total", 65536 * MIB);
		vm_run(&rig, name, "Start", NO_OPTIONS);
	}
	/* A daemon that comes back to them, so that no job of before is left. */
	rig_kill(&rig, SIGTERM);
	start = g_get_monotonic_time();
	rig_start(&rig);
	printf("BENCH restart-50-vms %.1f ms\n", (g_get_monotonic_time() - start) / 1e3);
	measure(&rig, "list-50-vms", list_all, CALLS);
	measure(&rig, "properties-of-one", all_properties, CALLS);
	measure(&rig, "one-property", one_property, CALLS);
	measure(&rig, "carrelctl-list-50-vms", carrelctl_list, 40);
	idle(&rig);
	for (guint i = 0; i < RUNNING; i++) {
		g_autofree char *name = name_of(i);

		vm_run(&rig, name, "ForceOff", NULL);
	}
	rig_down(&rig, NULL);
	return 0;
}
