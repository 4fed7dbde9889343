/* SPDX-License-Identifier: Apache-2.0 */
/* Managers that come and go, VMs that start and stop, and what is left after a long day. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OUT "HEADLESS-1"

static void assert_order(Lab *lab, const char *names)
{
	g_autoptr(GVariant) order = lab_property(lab, "Order");
	g_autofree const char **list = g_variant_get_strv(order, NULL);
	g_autofree char *joined = g_strjoinv(" ", (char **)list);

	g_assert_cmpstr(joined, ==, names);
}

static void manager_comes_and_goes(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal, *same;

	lab_manager(lab, FALSE);
	lab_vm(lab, "work", "Work", WORK_FRAME, 1);
	lab_vm(lab, "personal", "Personal", PERSONAL_FRAME, 2);
	lab_chord(lab, KEY_1);
	lab_run(lab, 50);
	lab_wait_shown(lab, "");
	lab_manager(lab, TRUE);
	work = lab_peer(lab, "work");
	personal = lab_peer(lab, "personal");
	peer_tell(work, "colour %x", WORK);
	peer_tell(personal, "colour %x", PERSONAL);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);

	/* Away: the screens stay, and so does switching. */
	lab_manager(lab, FALSE);
	lab_run(lab, 100);
	g_assert_cmphex(lab_pixel(lab, OUT, 640, 360), ==, WORK);
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	g_assert_true(work->alive && personal->alive);
	assert_order(lab, "work personal");

	/* Back, with one VM less: the screens that stay are the same clients, and it is told who is on screen. */
	lab_vm_gone(lab, "work");
	g_free(lab->foreground);
	lab->foreground = g_strdup("");
	lab_manager(lab, TRUE);
	peer_wait_gone(lab, work);
	same = lab_peer(lab, "personal");
	g_assert_true(same == personal);
	lab_wait_foreground(lab, "/org/carrel/vm/personal");
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	/* It is the first one now. */
	assert_order(lab, "personal");
	lab_chord(lab, KEY_0);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	lab_free(lab);
}

static void vm_restarts(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal, *next;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	/* A reboot is another domain. */
	lab_vm(lab, "work", "Work", WORK_FRAME, 7);
	peer_wait_gone(lab, work);
	next = lab_peer(lab, "work");
	g_assert_cmpint(next->pid, !=, work->pid);
	lab_wait_view(lab, "work", "live");
	lab_wait_shown(lab, "work");
	/* Another name and colour are shown at once. */
	lab_vm(lab, "work", "Office", 0x0000ff, 7);
	lab_wait_pixel(lab, OUT, 1, 360, 0x0000ff);
	g_assert_true(next->alive);
	/* It is off: back to the switcher. */
	lab_vm(lab, "work", "Office", 0x0000ff, -1);
	peer_wait_gone(lab, next);
	lab_wait_shown(lab, "");
	lab_wait_view(lab, "work", "none");
	/* What is off can be looked at, and says so. */
	lab_chord(lab, KEY_1);
	lab_wait_shown(lab, "work");
	lab_wait_pixel(lab, OUT, 1, 360, 0x0000ff);
	lab_free(lab);
}

static const char systemd_xml[] = "<node><interface name='org.freedesktop.systemd1.Manager'>"
	"<method name='RestartUnit'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='o' direction='out'/></method>"
	"<method name='StopUnit'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='o' direction='out'/></method>"
	"</interface></node>";

static void on_systemd(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
	const char *method, GVariant *args, GDBusMethodInvocation *call, gpointer data)
{
	const char *unit;
	GString *calls = data;

	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	g_variant_get(args, "(&s&s)", &unit, NULL);
	g_string_append_printf(calls, "%s %s\n", method, unit);
	g_dbus_method_invocation_return_value(call, g_variant_new("(o)", "/job"));
}

static GDBusNodeInfo *be_systemd(Lab *lab, GString *calls)
{
	static const GDBusInterfaceVTable functions = {.method_call = on_systemd};
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = NULL;
	GDBusNodeInfo *info = g_dbus_node_info_new_for_xml(systemd_xml, &error);

	g_assert_no_error(error);
	g_dbus_connection_register_object(lab->connection, "/org/freedesktop/systemd1", info->interfaces[0], &functions, calls, NULL,
		&error);
	g_assert_no_error(error);
	reply = g_dbus_connection_call_sync(lab->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
		"RequestName", g_variant_new("(su)", "org.freedesktop.systemd1", 0), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
	g_assert_no_error(error);
	return info;
}

static void wait_calls(Lab *lab, const GString *calls, const char *text)
{
	for (guint i = 0; i < 400 && strcmp(calls->str, text) != 0; i++)
		lab_run(lab, 10);
	g_assert_cmpstr(calls->str, ==, text);
}

/* Connected by somebody else, handed over as WAYLAND_SOCKET. */
static void be_view(Lab *lab)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autoptr(GError) error = NULL;
	g_autoptr(GSubprocess) process = NULL;
	g_autofree char *control = g_build_filename(lab->dir, "clients", NULL);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/vm/work.sock", lab->dir);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_subprocess_launcher_take_fd(launcher, fd, 3);
	g_subprocess_launcher_setenv(launcher, "WAYLAND_SOCKET", "3", TRUE);
	g_subprocess_launcher_setenv(launcher, "CLIENT_CONTROL", control, TRUE);
	g_subprocess_launcher_setenv(launcher, "CARREL_VM", "work", TRUE);
	process = g_subprocess_launcher_spawn(launcher, &error, g_getenv("DESK_CLIENT"), NULL);
	g_assert_no_error(error);
}

static void views_by_systemd(void)
{
	Lab *lab = lab_new("[views]\ncommand=\n");
	g_autoptr(GString) calls = g_string_new(NULL);
	GDBusNodeInfo *info = be_systemd(lab, calls);
	g_autofree char *path = g_build_filename(lab->dir, "run/vm/work.env", NULL), *text = NULL;
	Peer *work;

	lab_vm(lab, "work", "Work", WORK_FRAME, 7);
	wait_calls(lab, calls, "RestartUnit carrel-view@work.service\n");
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "CARREL_VM=work\nCARREL_DOMAIN=7\n");
	be_view(lab);
	work = lab_peer(lab, "work");
	peer_tell(work, "colour %x", WORK);
	lab_wait_view(lab, "work", "live");
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	/* It ends; the unit is started again. */
	g_string_truncate(calls, 0);
	peer_tell(work, "exit");
	wait_calls(lab, calls, "RestartUnit carrel-view@work.service\n");
	be_view(lab);
	lab_peer(lab, "work");
	lab_wait_view(lab, "work", "live");
	g_string_truncate(calls, 0);
	lab_vm(lab, "work", "Work", WORK_FRAME, -1);
	wait_calls(lab, calls, "StopUnit carrel-view@work.service\n");
	lab_vm_gone(lab, "work");
	for (guint i = 0; i < 400 && g_file_test(path, G_FILE_TEST_EXISTS); i++)
		lab_run(lab, 10);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	lab_free(lab);
	g_dbus_node_info_unref(info);
}

static void view_cannot_start(void)
{
	Lab *lab = lab_new("[views]\ncommand=/nonexistent/view %n\n");

	lab_vm(lab, "work", "Work", WORK_FRAME, 1);
	lab_wait_view(lab, "work", "starting");
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 1, 360, WORK_FRAME);
	lab_free(lab);
}

static guint count_fds(int pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint count = 0;

	while (g_dir_read_name(dir))
		count++;
	return count;
}

static int pid_of(Lab *lab)
{
	return atoi(g_subprocess_get_identifier(lab->rig));
}

static gsize resident(int pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/statm", pid), *text = NULL;
	gsize size = 0, pages = 0;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpint(sscanf(text, "%zu %zu", &size, &pages), ==, 2);
	return pages * 4096;
}

/* Under the sanitizers memory that was freed is kept for a while, so that the bound is generous; the leak checker looks closer
 * when the rig ends. */
static void two_hundred_switches(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;
	guint fds = 0, fds_after;
	gsize memory = 0;

	lab_two_vms(lab, &work, &personal);
	for (guint i = 0; i < 200; i++) {
		guint32 colour = i % 2 ? WORK : PERSONAL;
		if (i == 50)
			memory = resident(pid_of(lab));
		lab_chord(lab, i % 2 ? KEY_1 : KEY_2);
		if (i % 8 < 2)
			lab_wait_pixel(lab, OUT, 640, 360, colour);
		if (i == 20)
			fds = count_fds(pid_of(lab));
	}
	lab_run(lab, 100);
	fds_after = count_fds(pid_of(lab));
	g_test_message("%u file descriptors before, %u after; %zu KiB more memory", fds, fds_after,
		(resident(pid_of(lab)) - MIN(memory, resident(pid_of(lab)))) / 1024);
	g_assert_cmpuint(fds_after, ==, fds);
	g_assert_cmpuint(resident(pid_of(lab)), <, memory + 32 * 1024 * 1024);
	lab_free(lab);
}

static void many_starts(void)
{
	Lab *lab = lab_new(NULL);
	guint fds = 0;

	for (guint i = 0; i < 12; i++) {
		lab_vm(lab, "work", "Work", WORK_FRAME, (int)i + 1);
		lab_wait_view(lab, "work", "live");
		lab_chord(lab, KEY_1);
		lab_wait_shown(lab, "work");
		lab_vm(lab, "work", "Work", WORK_FRAME, -1);
		lab_wait_view(lab, "work", "none");
		lab_run(lab, 30);
		if (i == 2)
			fds = count_fds(pid_of(lab));
	}
	g_assert_cmpuint(count_fds(pid_of(lab)), ==, fds);
	lab_free(lab);
}

static guint64 wakeups(int pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint64 sum = 0;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *status = g_build_filename(path, name, "status", NULL), *text = NULL;
		const char *line;
		if (g_file_get_contents(status, &text, NULL, NULL) && (line = strstr(text, "\nvoluntary_ctxt_switches:")))
			sum += g_ascii_strtoull(line + strlen("\nvoluntary_ctxt_switches:") + 1, NULL, 10);
	}
	return sum;
}

static void sleeps(void)
{
	Lab *lab = lab_new("[frame]\nlabel-seconds=1\n");
	Peer *work, *personal;
	guint64 before;
	g_autofree char *first = NULL, *second = NULL;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 8, WORK);
	lab_run(lab, 1500); /* the ping's answer, the last frame callback */
	first = lab_command(lab, "frames " OUT);
	before = wakeups(pid_of(lab));
	g_usleep(2 * G_USEC_PER_SEC);
	g_assert_cmpuint(wakeups(pid_of(lab)) - before, <=, 2);
	second = lab_command(lab, "frames " OUT);
	g_assert_cmpstr(first, ==, second);
	lab_free(lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/life/manager", manager_comes_and_goes);
	g_test_add_func("/life/vm", vm_restarts);
	g_test_add_func("/life/systemd", views_by_systemd);
	g_test_add_func("/life/no-view", view_cannot_start);
	g_test_add_func("/life/switches", two_hundred_switches);
	g_test_add_func("/life/starts", many_starts);
	g_test_add_func("/life/sleeps", sleeps);
	return g_test_run();
}
