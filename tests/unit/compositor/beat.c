/* SPDX-License-Identifier: Apache-2.0 */
/* What the switcher on screen costs while a person only looks at it: processor time of the switcher, of the compositor (the rig,
 * built without sanitizers) and of the bus, and the pictures that came to the screen. Prints lines "BENCH what value unit".
 * usage: beat CARREL-SWITCHER [SECONDS] */
#include "lab.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT "HEADLESS-1"
#define GIB (G_GUINT64_CONSTANT(1) << 30)

typedef struct {
	const char *what;
	int pid;
	guint64 time, wakeups;
} Process;

typedef struct {
	Lab *lab;
	Process processes[3];
	guint64 cpu_ns; /* of a VM that does next to nothing, and never exactly the same */
	gint64 asked;
} Beat;

static gboolean on_statistics(CarrelVm1 *vm, GDBusMethodInvocation *call, gpointer data)
{
	Beat *beat = data;
	gint64 now = g_get_monotonic_time(), passed = beat->asked ? now - beat->asked : 0;
	GVariantBuilder b;

	beat->asked = now;
	beat->cpu_ns += (guint64)((double)passed * 1000 * 2 * g_random_double_range(0.02, 0.05));
	g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&b, "{sv}", "cpu-ns", g_variant_new_uint64(beat->cpu_ns));
	g_variant_builder_add(&b, "{sv}", "memory", g_variant_new_uint64(GIB));
	carrel_vm1_complete_get_statistics(vm, call, g_variant_builder_end(&b));
	return TRUE;
}

static void add_vm(Beat *beat, const char *name, const char *title, int domain)
{
	g_autofree char *path = g_strconcat("/org/carrel/vm/", name, NULL);
	g_autoptr(GDBusObject) there = g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(beat->lab->server), path);
	g_autoptr(GDBusObject) object = NULL;
	g_autoptr(CarrelVm1) vm = NULL;

	lab_vm(beat->lab, name, title, 0x3b82c4, domain);
	if (there)
		return;
	object = g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(beat->lab->server), path);
	vm = carrel_object_get_vm1(CARREL_OBJECT(object));
	carrel_vm1_set_vcpus(vm, 2);
	carrel_vm1_set_memory_max(vm, 2 * GIB);
	g_signal_connect(vm, "handle-get-statistics", G_CALLBACK(on_statistics), beat);
}

/* The first number of a file, or the one behind a word. */
static guint64 number_in(int pid, const char *file, const char *word)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, file), *text = NULL;
	const char *at;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		g_error("%s cannot be read: that process is gone", path);
	at = word ? strstr(text, word) : text;
	return at ? g_ascii_strtoull(at + (word ? strlen(word) : 0), NULL, 10) : 0;
}

static int bus_pid(Lab *lab)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_connection_call_sync(lab->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", "GetConnectionUnixProcessID", g_variant_new("(s)", "org.freedesktop.DBus"), NULL,
		G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
	guint pid;

	g_assert_no_error(error);
	g_variant_get(reply, "(u)", &pid);
	return (int)pid;
}

static gboolean on_over(gpointer data)
{
	*(gboolean *)data = TRUE;
	return G_SOURCE_REMOVE;
}

/* Answers calls and otherwise sleeps, unlike lab_run(). */
static void let_pass(guint seconds)
{
	gboolean over = FALSE;

	g_timeout_add_seconds(seconds, on_over, &over);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
}

static guint frames(Lab *lab)
{
	g_autofree char *count = lab_command(lab, "frames " OUT);

	return (guint)atoi(count);
}

static void measure(Beat *beat, const char *scene, guint seconds)
{
	guint before;

	lab_run(beat->lab, 5000); /* what the scene itself changed is drawn */
	before = frames(beat->lab);
	for (guint i = 0; i < G_N_ELEMENTS(beat->processes); i++) {
		Process *p = &beat->processes[i];
		p->time = number_in(p->pid, "schedstat", NULL);
		p->wakeups = number_in(p->pid, "status", "\nvoluntary_ctxt_switches:\t");
	}
	let_pass(seconds);
	for (guint i = 0; i < G_N_ELEMENTS(beat->processes); i++) {
		Process *p = &beat->processes[i];
		printf("BENCH %s-%s %.3f ms/s\n", scene, p->what, (double)(number_in(p->pid, "schedstat", NULL) - p->time) / 1e6 / seconds);
		printf("BENCH %s-%s-wakeups %.1f 1/s\n", scene, p->what,
			(double)(number_in(p->pid, "status", "\nvoluntary_ctxt_switches:\t") - p->wakeups) / seconds);
	}
	printf("BENCH %s-pictures %.2f 1/s\n", scene, (double)(frames(beat->lab) - before) / seconds);
	fflush(stdout);
}

static GSubprocess *start_switcher(Lab *lab, const char *program)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autofree char *display = g_build_filename(lab->dir, "run", "shell", NULL);
	g_autoptr(GError) error = NULL;
	GSubprocess *switcher;

	g_subprocess_launcher_setenv(launcher, "WAYLAND_DISPLAY", display, TRUE);
	g_subprocess_launcher_setenv(launcher, "GDK_BACKEND", "wayland", TRUE);
	g_subprocess_launcher_setenv(launcher, "XDG_RUNTIME_DIR", lab->dir, TRUE);
	g_subprocess_launcher_setenv(launcher, "HOME", lab->dir, TRUE);
	g_subprocess_launcher_setenv(launcher, "NO_AT_BRIDGE", "1", TRUE);
	g_subprocess_launcher_setenv(launcher, "GSETTINGS_BACKEND", "memory", TRUE);
	g_subprocess_launcher_setenv(launcher, "GIO_USE_VFS", "local", TRUE);
	g_subprocess_launcher_setenv(launcher, "DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(lab->bus), TRUE);
	switcher = g_subprocess_launcher_spawn(launcher, &error, program, NULL);
	g_assert_no_error(error);
	return switcher;
}

static gboolean on_draw(gpointer data)
{
	static guint shade;

	shade = (shade + 16) & 0xf0;
	peer_tell(data, "colour %x", 0x203040 + shade);
	return G_SOURCE_CONTINUE;
}

static void measure_all(Beat *beat, guint seconds)
{
	Lab *lab = beat->lab;
	Peer *work;
	guint source;

	add_vm(beat, "work", "Work", -1);
	add_vm(beat, "personal", "Personal", -1);
	measure(beat, "all-off", seconds);
	add_vm(beat, "work", "Work", 1);
	work = lab_peer(lab, "work");
	lab_wait_view(lab, "work", "live");
	peer_tell(work, "top c0c0c0");
	peer_tell(work, "colour %x", WORK);
	measure(beat, "one-still", seconds);
	source = g_timeout_add(500, on_draw, work);
	measure(beat, "one-drawing", seconds);
	g_source_remove(source);
	lab_chord(lab, KEY_1);
	lab_wait_shown(lab, "work");
	measure(beat, "not-shown", seconds);
}

int main(int argc, char **argv)
{
	guint seconds = argc > 2 ? (guint)CLAMP(atoi(argv[2]), 5, 600) : 30;
	Beat beat = {0};
	g_autoptr(GSubprocess) switcher = NULL;

	g_assert_cmpint(argc, >=, 2);
	g_random_set_seed(1);
	beat.lab = lab_new(NULL);
	switcher = start_switcher(beat.lab, argv[1]);
	beat.processes[0] = (Process){.what = "switcher", .pid = atoi(g_subprocess_get_identifier(switcher))};
	beat.processes[1] = (Process){.what = "compositor", .pid = atoi(g_subprocess_get_identifier(beat.lab->rig))};
	beat.processes[2] = (Process){.what = "bus", .pid = bus_pid(beat.lab)};
	measure_all(&beat, seconds);
	if (g_getenv("BEAT_PICTURE"))
		g_free(lab_command(beat.lab, "png " OUT " %s", g_getenv("BEAT_PICTURE")));
	g_subprocess_send_signal(switcher, SIGTERM);
	g_subprocess_wait(switcher, NULL, NULL);
	lab_free(beat.lab);
	return 0;
}
