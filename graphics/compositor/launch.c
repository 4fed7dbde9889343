/* SPDX-License-Identifier: Apache-2.0 */
/* How views and the shell come in: listening sockets, and the starting of views by systemd or by ourselves. */
#include "desk.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define VIEW_FD 3 /* where the view finds its connection */

static int listen_at(const char *path, mode_t mode, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_autofree char *dir = g_path_get_dirname(path);
	int fd;

	if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "%s is too long for a socket's path", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g_mkdir_with_parents(dir, 0700) == 0 && fd >= 0) {
		unlink(path);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && chmod(path, mode) == 0 && listen(fd, 16) == 0)
			return fd;
	}
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int on_view(int fd, uint32_t mask, void *data)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)mask;
	if (connection >= 0)
		vm_connected(data, connection);
	return 0;
}

gboolean launch_listen(Vm *vm, GError **error)
{
	vm->socket_path = g_strdup_printf("%s/vm/%s.sock", vm->desk->options.runtime_dir, vm->name);
	/* The view has a user of its own and finds the socket in its mount namespace; nobody else can enter the directory. */
	vm->socket = listen_at(vm->socket_path, 0666, error);
	if (vm->socket < 0)
		return FALSE;
	vm->listening = wl_event_loop_add_fd(vm->desk->loop, vm->socket, WL_EVENT_READABLE, on_view, vm);
	return TRUE;
}

static char *environment_path(Vm *vm)
{
	return g_strdup_printf("%s/vm/%s.env", vm->desk->options.runtime_dir, vm->name);
}

void launch_unlisten(Vm *vm)
{
	g_autofree char *environment = environment_path(vm);

	g_clear_pointer(&vm->listening, wl_event_source_remove);
	if (vm->socket >= 0) {
		close(vm->socket);
		unlink(vm->socket_path);
	}
	unlink(environment);
	vm->socket = -1;
	g_clear_pointer(&vm->socket_path, g_free);
}

static char *fill_in(const char *pattern, const Vm *vm)
{
	GString *text = g_string_new(pattern);
	g_autofree char *domain = g_strdup_printf("%d", vm->domain);

	g_string_replace(text, "%n", vm->name, 0);
	g_string_replace(text, "%d", domain, 0);
	return g_string_free(text, FALSE);
}

static void on_unit(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

	/* The data may be gone when it was cancelled. That nobody connects is noticed by a timer of the VM's. */
	if (!reply && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		g_warning("the view of %s: %s", ((Vm *)data)->name, error->message);
}

static void call_systemd(Vm *vm, const char *method)
{
	GDBusConnection *connection = bus_connection(vm->desk->bus);
	g_autofree char *unit = fill_in(vm->desk->config->view_unit, vm);

	if (!connection) {
		g_warning("the view of %s: no connection to systemd; again later", vm->name);
		return;
	}
	g_dbus_connection_call(connection, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", method,
		g_variant_new("(ss)", unit, "replace"), NULL, G_DBUS_CALL_FLAGS_NONE, -1, vm->cancel, on_unit, vm);
}

static void start_unit(Vm *vm)
{
	g_autofree char *path = environment_path(vm);
	g_autofree char *text = g_strdup_printf("CARREL_VM=%s\nCARREL_DOMAIN=%d\n", vm->name, vm->domain);
	g_autoptr(GError) error = NULL;

	if (!g_file_set_contents(path, text, -1, &error)) {
		g_warning("the view of %s: %s", vm->name, error->message);
		return;
	}
	vm->unit_started = TRUE;
	call_systemd(vm, "RestartUnit");
}

static void stop_command(Vm *vm)
{
	if (vm->process)
		g_subprocess_force_exit(vm->process);
	g_clear_object(&vm->process);
}

static void start_command(Vm *vm)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	g_autofree char *domain = g_strdup_printf("%d", vm->domain), *fd = g_strdup_printf("%d", VIEW_FD);
	int pair[2];

	stop_command(vm);
	if (vm->client || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	for (char **word = vm->desk->config->view_command; *word; word++)
		g_ptr_array_add(words, fill_in(*word, vm));
	g_ptr_array_add(words, NULL);
	g_subprocess_launcher_take_fd(launcher, pair[1], VIEW_FD);
	g_subprocess_launcher_setenv(launcher, "WAYLAND_SOCKET", fd, TRUE);
	g_subprocess_launcher_setenv(launcher, "CARREL_VM", vm->name, TRUE);
	g_subprocess_launcher_setenv(launcher, "CARREL_DOMAIN", domain, TRUE);
	vm->process = g_subprocess_launcher_spawnv(launcher, (const char *const *)words->pdata, &error);
	if (!vm->process) {
		g_warning("the view of %s: %s", vm->name, error->message);
		close(pair[0]);
		return;
	}
	vm_connected(vm, pair[0]);
}

void launch_start(Vm *vm)
{
	if (vm->desk->config->view_command)
		start_command(vm);
	else
		start_unit(vm);
}

void launch_stop(Vm *vm)
{
	stop_command(vm);
	if (vm->unit_started)
		call_systemd(vm, "StopUnit");
	vm->unit_started = FALSE;
}

static int on_shell(int fd, uint32_t mask, void *data)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)mask;
	if (connection >= 0)
		client_new(data, connection, ROLE_SHELL, NULL);
	return 0;
}

gboolean launch_listen_shell(Desk *desk, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/shell", desk->options.runtime_dir);

	desk->shell_socket = listen_at(path, 0600, error);
	if (desk->shell_socket < 0)
		return FALSE;
	desk->shell_listening = wl_event_loop_add_fd(desk->loop, desk->shell_socket, WL_EVENT_READABLE, on_shell, desk);
	return TRUE;
}

void launch_unlisten_shell(Desk *desk)
{
	g_autofree char *path = g_strdup_printf("%s/shell", desk->options.runtime_dir);

	g_clear_pointer(&desk->shell_listening, wl_event_source_remove);
	if (desk->shell_socket < 0)
		return;
	close(desk->shell_socket);
	unlink(path);
}
