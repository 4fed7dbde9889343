/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE 20000 /* milliseconds: sanitizers on a busy machine */
#define FORMAT_LINE(line, format) \
	do { \
		va_list args; \
		va_start(args, format); \
		line = g_strdup_vprintf(format, args); \
		va_end(args); \
	} while (0)

static gboolean on_foreground(CarrelManager1 *manager, GDBusMethodInvocation *call, const char *path, gpointer data)
{
	Lab *lab = data;

	g_free(lab->foreground);
	lab->foreground = g_strdup(path);
	carrel_manager1_complete_set_foreground(manager, call);
	return TRUE;
}

static void on_notice(GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name,
	GVariant *args, gpointer data)
{
	Lab *lab = data;

	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	(void)name;
	g_free(lab->notice);
	g_variant_get(args, "(&s&ss)", NULL, NULL, &lab->notice);
}

static void peer_read(Peer *peer)
{
	char chunk[4096], *end;
	gssize got;

	while (peer->alive && (got = recv(peer->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) != -1) {
		if (got == 0)
			peer->alive = FALSE;
		g_string_append_len(peer->input, chunk, got);
	}
	while ((end = strchr(peer->input->str, '\n'))) {
		g_ptr_array_add(peer->lines, g_strndup(peer->input->str, (gsize)(end - peer->input->str)));
		g_string_erase(peer->input, 0, end + 1 - peer->input->str);
	}
}

static void accept_peers(Lab *lab)
{
	int fd;

	while ((fd = accept4(lab->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		Peer *peer = g_new0(Peer, 1);
		peer->fd = fd;
		peer->alive = TRUE;
		peer->input = g_string_new(NULL);
		peer->lines = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(lab->peers, peer);
	}
}

static void peer_free(gpointer data)
{
	Peer *peer = data;

	close(peer->fd);
	g_string_free(peer->input, TRUE);
	g_ptr_array_unref(peer->lines);
	g_free(peer->name);
	g_free(peer);
}

/* One round of everything that could happen; every wait is a loop around this. */
static void turn(Lab *lab)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
	accept_peers(lab);
	for (guint i = 0; i < lab->peers->len; i++)
		peer_read(g_ptr_array_index(lab->peers, i));
	g_usleep(1000);
}

void lab_run(Lab *lab, guint milliseconds)
{
	gint64 end = g_get_monotonic_time() + milliseconds * 1000;

	do
		turn(lab);
	while (g_get_monotonic_time() < end);
}

/* The rig's next answer, or NULL; what a watch saw comes in between. */
static char *next_line(Lab *lab, guint milliseconds)
{
	gint64 until = g_get_monotonic_time() + milliseconds * 1000;
	char chunk[512], *end;

	while (TRUE) {
		gssize got;
		while ((end = strchr(lab->answers->str, '\n'))) {
			char *line = g_strndup(lab->answers->str, (gsize)(end - lab->answers->str));
			g_string_erase(lab->answers, 0, end + 1 - lab->answers->str);
			if (!g_str_has_prefix(line, "seen "))
				return line;
			lab->seen = g_ascii_strtoll(line + strlen("seen "), NULL, 10);
			g_free(line);
		}
		got = recv(lab->control, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (got > 0)
			g_string_append_len(lab->answers, chunk, got);
		else if (got == 0 || g_get_monotonic_time() > until)
			return NULL;
		else
			turn(lab);
	}
}

char *lab_command(Lab *lab, const char *format, ...)
{
	g_autofree char *text = NULL, *line = NULL, *answer = NULL;

	FORMAT_LINE(text, format);
	line = g_strconcat(text, "\n", NULL);
	g_assert_cmpint(write(lab->control, line, strlen(line)), ==, (gssize)strlen(line));
	answer = next_line(lab, PATIENCE);
	if (!answer || !g_str_has_prefix(answer, "ok"))
		g_error("'%s' was answered '%s'", text, answer ? answer : "(nothing: the compositor is gone)");
	return g_strdup(answer[2] ? answer + 3 : "");
}

void lab_key(Lab *lab, guint code, guint pressed)
{
	g_free(lab_command(lab, "key %u %u", code, pressed));
}

void lab_tap(Lab *lab, guint code)
{
	lab_key(lab, code, 1);
	lab_key(lab, code, 0);
}

void lab_chord(Lab *lab, guint code)
{
	lab_key(lab, CTRL, 1);
	lab_key(lab, ALT, 1);
	lab_tap(lab, code);
	lab_key(lab, ALT, 0);
	lab_key(lab, CTRL, 0);
}

gint64 lab_timed_chord(Lab *lab, guint code, const char *output, int x, int y, guint32 colour)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	lab->seen = -1;
	lab_key(lab, CTRL, 1);
	lab_key(lab, ALT, 1);
	g_free(lab_command(lab, "watch %s %d %d %x", output, x, y, colour));
	lab_key(lab, code, 1);
	while (lab->seen < 0) {
		g_autofree char *stray = next_line(lab, 5);
		g_assert_null(stray);
		if (g_get_monotonic_time() > until)
			g_error("%s at %d,%d: waited for #%06x after a hotkey", output, x, y, colour);
	}
	lab_key(lab, code, 0);
	lab_key(lab, ALT, 0);
	lab_key(lab, CTRL, 0);
	return lab->seen;
}

guint32 lab_pixel(Lab *lab, const char *output, int x, int y)
{
	g_autofree char *answer = lab_command(lab, "pixel %s %d %d", output, x, y);

	return (guint32)strtoul(answer, NULL, 16);
}

void lab_wait_pixel(Lab *lab, const char *output, int x, int y, guint32 colour)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;
	guint32 found;

	while ((found = lab_pixel(lab, output, x, y)) != colour) {
		if (g_get_monotonic_time() > until)
			g_error("%s at %d,%d: waited for #%06x, there is #%06x", output, x, y, colour, found);
		lab_run(lab, 5);
	}
}

void lab_wait_no_pixel(Lab *lab, const char *output, int x, int y, guint32 colour)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (lab_pixel(lab, output, x, y) == colour) {
		if (g_get_monotonic_time() > until)
			g_error("%s at %d,%d: waited for anything but #%06x", output, x, y, colour);
		lab_run(lab, 5);
	}
}

GVariant *lab_desk(Lab *lab, const char *method, GVariant *args, GUnixFDList **fds, GError **error)
{
	return g_dbus_connection_call_with_unix_fd_list_sync(lab->connection, "org.carrel.Desk", "/org/carrel/desk",
		strchr(method, '.') ? "org.freedesktop.DBus.Properties" : "org.carrel.Desk1", strchr(method, '.') ? strchr(method, '.') + 1 : method,
		args, NULL, G_DBUS_CALL_FLAGS_NONE, PATIENCE, NULL, fds, NULL, error);
}

GVariant *lab_property(Lab *lab, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = lab_desk(lab, ".Get", g_variant_new("(ss)", "org.carrel.Desk1", name), NULL, &error);
	GVariant *value;

	g_assert_no_error(error);
	g_variant_get(reply, "(v)", &value);
	return value;
}

static char *view_state(Lab *lab, const char *vm)
{
	g_autoptr(GVariant) views = lab_property(lab, "Views");
	char *state = NULL;

	g_variant_lookup(views, vm, "s", &state);
	return state ? state : g_strdup("(not told of)");
}

void lab_wait_view(Lab *lab, const char *vm, const char *state)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;
	g_autofree char *found = NULL;

	while (strcmp(found = view_state(lab, vm), state) != 0) {
		if (g_get_monotonic_time() > until)
			g_error("%s: waited for its view to be %s, it is %s", vm, state, found);
		g_clear_pointer(&found, g_free);
		lab_run(lab, 10);
	}
}

void lab_wait_shown(Lab *lab, const char *vm)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (TRUE) {
		g_autoptr(GVariant) shown = lab_property(lab, "Shown");
		if (!strcmp(g_variant_get_string(shown, NULL), vm))
			return;
		if (g_get_monotonic_time() > until)
			g_error("waited for '%s' on screen, there is '%s'", vm, g_variant_get_string(shown, NULL));
		lab_run(lab, 10);
	}
}

static gboolean same_name(const Peer *peer, const char *name)
{
	return peer->alive && peer->name && !strcmp(peer->name, name);
}

void lab_wait_foreground(Lab *lab, const char *path)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (strcmp(lab->foreground, path) != 0) {
		if (g_get_monotonic_time() > until)
			g_error("the manager was told of '%s' on screen, not of '%s'", lab->foreground, path);
		turn(lab);
	}
}

void lab_wait_notice(Lab *lab, const char *part)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (!strstr(lab->notice, part)) {
		if (g_get_monotonic_time() > until)
			g_error("waited for a notice '%s', the last is '%s'", part, lab->notice);
		turn(lab);
	}
	lab->notice[0] = '\0';
}

void lab_wait_closed(Lab *lab, int fd)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;
	char byte;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) != 0) {
		if (g_get_monotonic_time() > until)
			g_error("waited for the end of a connection");
		turn(lab);
	}
}

Peer *lab_peer(Lab *lab, const char *name)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (g_get_monotonic_time() < until) {
		turn(lab);
		for (guint i = 0; i < lab->peers->len; i++) {
			Peer *peer = g_ptr_array_index(lab->peers, i);
			char found[64];
			if (!peer->name && peer->lines->len &&
				sscanf(g_ptr_array_index(peer->lines, 0), "hello %63s %d", found, &peer->pid) == 2)
				peer->name = g_strdup(found);
			if (!same_name(peer, name))
				continue;
			for (guint j = 0; j < peer->lines->len; j++)
				if (!strcmp(g_ptr_array_index(peer->lines, j), "ready"))
					return peer;
		}
	}
	g_error("waited for a client of %s", name);
}

Peer *lab_shell(Lab *lab, const char *namespace, guint32 colour)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autoptr(GError) error = NULL;
	g_autofree char *display = g_build_filename(lab->dir, "run", "shell", NULL);
	g_autofree char *control = g_build_filename(lab->dir, "clients", NULL), *hue = g_strdup_printf("%06x", colour);
	g_autoptr(GSubprocess) process = NULL;

	g_subprocess_launcher_setenv(launcher, "WAYLAND_DISPLAY", display, TRUE);
	g_subprocess_launcher_setenv(launcher, "CLIENT_CONTROL", control, TRUE);
	g_subprocess_launcher_setenv(launcher, "CARREL_VM", namespace, TRUE);
	process = g_subprocess_launcher_spawn(launcher, &error, g_getenv("DESK_CLIENT"), "layer", namespace, hue, NULL);
	g_assert_no_error(error);
	return lab_peer(lab, namespace);
}

void peer_tell(Peer *peer, const char *format, ...)
{
	g_autofree char *text = NULL, *line = NULL;

	FORMAT_LINE(text, format);
	line = g_strconcat(text, "\n", NULL);
	g_assert_cmpint(send(peer->fd, line, strlen(line), MSG_NOSIGNAL), ==, (gssize)strlen(line));
}

static char *take_line(Peer *peer, const char *prefix)
{
	for (guint i = 0; i < peer->lines->len; i++) {
		char *line;
		if (!g_str_has_prefix(g_ptr_array_index(peer->lines, i), prefix))
			continue;
		line = g_strdup(g_ptr_array_index(peer->lines, i));
		g_ptr_array_remove_range(peer->lines, 0, i + 1);
		return line;
	}
	return NULL;
}

char *peer_wait(Lab *lab, Peer *peer, const char *prefix)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;
	char *line;

	while (!(line = take_line(peer, prefix))) {
		if (g_get_monotonic_time() > until)
			g_error("%s: waited to hear '%s'; the last was '%s'", peer->name, prefix,
				peer->lines->len ? (char *)g_ptr_array_index(peer->lines, peer->lines->len - 1) : "(nothing)");
		turn(lab);
	}
	return line;
}

gboolean peer_heard(Lab *lab, Peer *peer, const char *prefix, guint milliseconds)
{
	lab_run(lab, milliseconds);
	for (guint i = 0; i < peer->lines->len; i++)
		if (g_str_has_prefix(g_ptr_array_index(peer->lines, i), prefix))
			return TRUE;
	return FALSE;
}

void peer_forget(Lab *lab, Peer *peer)
{
	lab_run(lab, 50);
	g_ptr_array_set_size(peer->lines, 0);
}

void peer_wait_gone(Lab *lab, Peer *peer)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;

	while (peer->alive) {
		if (g_get_monotonic_time() > until)
			g_error("%s: waited for its end", peer->name);
		turn(lab);
	}
}

static char *vm_path(const char *name)
{
	return g_strconcat("/org/carrel/vm/", name, NULL);
}

static void wait_known(Lab *lab, const char *name)
{
	gint64 until = g_get_monotonic_time() + PATIENCE * 1000;
	g_autofree char *state = NULL;

	while (strcmp(state = view_state(lab, name), "(not told of)") == 0) {
		if (g_get_monotonic_time() > until)
			g_error("the desk was not told of %s", name);
		g_clear_pointer(&state, g_free);
		lab_run(lab, 5);
	}
}

void lab_vm(Lab *lab, const char *name, const char *title, guint32 colour, int domain)
{
	g_autofree char *path = vm_path(name), *hue = g_strdup_printf("#%06x", colour);
	g_autoptr(GDBusObject) there = g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(lab->server), path);
	g_autoptr(CarrelVm1) vm = there ? carrel_object_get_vm1(CARREL_OBJECT(there)) : carrel_vm1_skeleton_new();

	carrel_vm1_set_name(vm, name);
	carrel_vm1_set_title(vm, title);
	carrel_vm1_set_colour(vm, hue);
	carrel_vm1_set_state(vm, domain >= 0 ? "running" : "off");
	carrel_vm1_set_domain_id(vm, domain);
	if (!there) {
		g_autoptr(CarrelObjectSkeleton) object = carrel_object_skeleton_new(path);
		carrel_object_skeleton_set_vm1(object, vm);
		g_dbus_object_manager_server_export(lab->server, G_DBUS_OBJECT_SKELETON(object));
	}
	g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(vm));
	if (lab->managing)
		wait_known(lab, name);
}

void lab_vm_recording(Lab *lab, const char *name, gboolean recording)
{
	g_autofree char *path = vm_path(name);
	g_autoptr(GDBusObject) object = g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(lab->server), path);
	g_autoptr(CarrelVm1) vm = carrel_object_get_vm1(CARREL_OBJECT(object));

	carrel_vm1_set_recording(vm, recording);
	g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(vm));
}

void lab_vm_gone(Lab *lab, const char *name)
{
	g_autofree char *path = vm_path(name);

	g_dbus_object_manager_server_unexport(lab->server, path);
}

void lab_manager(Lab *lab, gboolean there)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_connection_call_sync(lab->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", there ? "RequestName" : "ReleaseName",
		there ? g_variant_new("(su)", "org.carrel", 0) : g_variant_new("(s)", "org.carrel"), NULL, G_DBUS_CALL_FLAGS_NONE,
		PATIENCE, NULL, &error);

	g_assert_no_error(error);
	lab->managing = there;
	lab_run(lab, 20);
}

static void export_manager(Lab *lab)
{
	g_autoptr(CarrelManager1) manager = carrel_manager1_skeleton_new();
	g_autoptr(CarrelObjectSkeleton) object = carrel_object_skeleton_new("/org/carrel/manager");

	g_signal_connect(manager, "handle-set-foreground", G_CALLBACK(on_foreground), lab);
	carrel_object_skeleton_set_manager1(object, manager);
	lab->server = g_dbus_object_manager_server_new("/org/carrel");
	g_dbus_object_manager_server_export(lab->server, G_DBUS_OBJECT_SKELETON(object));
	g_dbus_object_manager_server_set_connection(lab->server, lab->connection);
}

static void listen_for_clients(Lab *lab)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/clients", lab->dir);
	lab->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(bind(lab->listening, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(lab->listening, 64), ==, 0);
}

void lab_start(Lab *lab)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autofree char *clients = g_build_filename(lab->dir, "clients", NULL), *run = g_build_filename(lab->dir, "run", NULL);
	g_autofree char *output = NULL, *hello = NULL;
	g_autoptr(GError) error = NULL;
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	lab->control = pair[0];
	g_string_truncate(lab->answers, 0);
	g_subprocess_launcher_take_fd(launcher, pair[1], 3);
	g_subprocess_launcher_setenv(launcher, "CLIENT_CONTROL", clients, TRUE);
	g_subprocess_launcher_setenv(launcher, "WLR_RENDERER", "pixman", TRUE);
	g_subprocess_launcher_setenv(launcher, "DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(lab->bus), TRUE);
	lab->rig = g_subprocess_launcher_spawn(launcher, &error, g_getenv("DESK_RIG"), run, lab->config, "3", NULL);
	g_assert_no_error(error);
	hello = next_line(lab, PATIENCE);
	g_assert_cmpstr(hello, ==, "ok");
	output = lab_command(lab, "output 1280 720");
	g_assert_cmpstr(output, ==, "HEADLESS-1");
	/* Its properties are there once it has its name. */
	while (TRUE) {
		g_autoptr(GVariant) shown = lab_desk(lab, ".Get", g_variant_new("(ss)", "org.carrel.Desk1", "Shown"), NULL, NULL);
		if (shown)
			break;
		lab_run(lab, 10);
	}
}

void lab_kill(Lab *lab)
{
	g_subprocess_force_exit(lab->rig);
	g_subprocess_wait(lab->rig, NULL, NULL);
	g_clear_object(&lab->rig);
	close(lab->control);
}

Lab *lab_new(const char *extra)
{
	Lab *lab = g_new0(Lab, 1);
	g_autoptr(GError) error = NULL;
	g_autofree char *config = g_strdup_printf("[frame]\nedge=4\n[views]\ncommand=%s\nanswer-within=1\nretry-first=50\n"
		"[desk]\norder=work;personal\n%s", g_getenv("DESK_CLIENT"), extra ? extra : "");

	lab->dir = g_dir_make_tmp(NULL, &error);
	g_assert_no_error(error);
	lab->config = g_build_filename(lab->dir, "desk.conf", NULL);
	g_file_set_contents(lab->config, config, -1, &error);
	g_assert_no_error(error);
	lab->peers = g_ptr_array_new_with_free_func(peer_free);
	lab->answers = g_string_new(NULL);
	lab->foreground = g_strdup("");
	lab->notice = g_strdup("");
	lab->bus = g_test_dbus_new(G_TEST_DBUS_NONE);
	g_test_dbus_up(lab->bus);
	lab->connection = g_dbus_connection_new_for_address_sync(g_test_dbus_get_bus_address(lab->bus),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	export_manager(lab);
	g_dbus_connection_signal_subscribe(lab->connection, NULL, "org.carrel.Desk1", "Notice", NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
		on_notice, lab, NULL);
	lab_manager(lab, TRUE);
	listen_for_clients(lab);
	lab_start(lab);
	return lab;
}

void lab_two_vms(Lab *lab, Peer **work, Peer **personal)
{
	lab_vm(lab, "work", "Work", WORK_FRAME, 1);
	lab_vm(lab, "personal", "Personal", PERSONAL_FRAME, 2);
	*work = lab_peer(lab, "work");
	*personal = lab_peer(lab, "personal");
	peer_tell(*work, "colour %x", WORK);
	peer_tell(*personal, "colour %x", PERSONAL);
	lab_wait_view(lab, "work", "live");
	lab_wait_view(lab, "personal", "live");
}

static void remove_all(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *below = g_build_filename(path, name, NULL);
		remove_all(below);
	}
	g_remove(path);
}

void lab_free(Lab *lab)
{
	g_autoptr(GError) error = NULL;

	close(lab->control);
	g_subprocess_wait(lab->rig, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(g_subprocess_get_if_exited(lab->rig));
	g_assert_cmpint(g_subprocess_get_exit_status(lab->rig), ==, 0);
	g_object_unref(lab->rig);
	g_object_unref(lab->server);
	g_dbus_connection_close_sync(lab->connection, NULL, NULL);
	g_object_unref(lab->connection);
	g_test_dbus_down(lab->bus);
	g_object_unref(lab->bus);
	close(lab->listening);
	g_ptr_array_unref(lab->peers);
	g_string_free(lab->answers, TRUE);
	remove_all(lab->dir);
	g_free(lab->dir);
	g_free(lab->config);
	g_free(lab->foreground);
	g_free(lab->notice);
	g_free(lab);
}
