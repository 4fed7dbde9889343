/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"

typedef struct {
	Machine machine;
	GDBusConnection *bus;
	const MachineEvents *events;
	gpointer data;
	int lock; /* -1: not held */
	gboolean wanted;
	guint sleep_signal, stop_signal;
} Logind;

typedef struct {
	MachineDone done;
	gpointer data;
} Request;

static void signalled(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name,
	GVariant *args, gpointer data)
{
	Logind *logind = data;
	gboolean begins = FALSE;

	(void)bus, (void)sender, (void)path, (void)interface;
	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(b)")))
		return;
	g_variant_get(args, "(b)", &begins);
	if (!strcmp(name, "PrepareForSleep"))
		logind->events->sleep(logind->data, begins);
	else
		logind->events->stop(logind->data, begins);
}

static void logind_listen(Machine *machine, const MachineEvents *events, gpointer data)
{
	Logind *logind = (Logind *)machine;

	logind->events = events;
	logind->data = data;
	logind->sleep_signal = g_dbus_connection_signal_subscribe(logind->bus, LOGIND, LOGIND_MANAGER, "PrepareForSleep", LOGIND_PATH,
		NULL, G_DBUS_SIGNAL_FLAGS_NONE, signalled, logind, NULL);
	logind->stop_signal = g_dbus_connection_signal_subscribe(logind->bus, LOGIND, LOGIND_MANAGER, "PrepareForShutdown",
		LOGIND_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, signalled, logind, NULL);
}

static void held(GObject *source, GAsyncResult *result, gpointer data)
{
	Logind *logind = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GUnixFDList) fds = NULL;
	g_autoptr(GVariant) answer = g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(source), &fds, result, &error);
	int fd;

	if (!answer) {
		g_message("logind will not wait for the VMs before it sleeps or stops: %s", error->message);
		return;
	}
	fd = g_unix_fd_list_get(fds, 0, NULL);
	if (!logind->wanted || logind->lock >= 0)
		close(fd);
	else
		logind->lock = fd;
}

static void logind_hold(Machine *machine)
{
	Logind *logind = (Logind *)machine;

	logind->wanted = TRUE;
	if (logind->lock < 0)
		g_dbus_connection_call_with_unix_fd_list(logind->bus, LOGIND, LOGIND_PATH, LOGIND_MANAGER, "Inhibit",
			g_variant_new("(ssss)", "sleep:shutdown", "Carrel", "tells the virtual machines", "delay"), G_VARIANT_TYPE("(h)"),
			G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, held, logind);
}

static void logind_release(Machine *machine)
{
	Logind *logind = (Logind *)machine;

	logind->wanted = FALSE;
	if (logind->lock >= 0)
		close(logind->lock);
	logind->lock = -1;
}

static void requested(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autofree Request *request = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

	request->done(request->data, error);
}

static void logind_request(Machine *machine, const char *what, MachineDone done, gpointer data)
{
	Logind *logind = (Logind *)machine;
	Request *request = g_new0(Request, 1);
	const char *method = !strcmp(what, "suspend") ? "Suspend" : !strcmp(what, "reboot") ? "Reboot" : "PowerOff";

	*request = (Request){ done, data };
	g_dbus_connection_call(logind->bus, LOGIND, LOGIND_PATH, LOGIND_MANAGER, method, g_variant_new("(b)", FALSE), NULL,
		G_DBUS_CALL_FLAGS_NONE, -1, NULL, requested, request);
}

static void logind_free(Machine *machine)
{
	Logind *logind = (Logind *)machine;

	logind_release(machine);
	if (logind->sleep_signal) {
		g_dbus_connection_signal_unsubscribe(logind->bus, logind->sleep_signal);
		g_dbus_connection_signal_unsubscribe(logind->bus, logind->stop_signal);
	}
	g_object_unref(logind->bus);
	g_free(logind);
}

Machine *machine_logind_new(GDBusConnection *bus, GError **error)
{
	Logind *logind = g_new0(Logind, 1);

	(void)error;
	*logind = (Logind){ .machine = { logind_listen, logind_hold, logind_release, logind_request, logind_free },
		.bus = g_object_ref(bus), .lock = -1 };
	return &logind->machine;
}
