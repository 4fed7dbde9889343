/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that serve the VMs' sound: a unit a VM, started by systemd for a domain. They end by themselves when their domain
 * does, and outlive the daemon. */
#include <glib/gstdio.h>

#include "carreld.h"

#define SYSTEMD "org.freedesktop.systemd1"

static char *environment_path(Manager *manager, const char *vm)
{
	return g_strdup_printf("%s/sound/%s.env", manager->run_dir, vm);
}

static void called(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autofree char *unit = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

	if (!answer)
		g_message("%s: %s", unit, error->message);
}

static void call_systemd(Manager *manager, const char *method, const char *vm)
{
	char *unit = g_strdup_printf("carrel-sound@%s.service", vm);

	g_dbus_connection_call(manager->bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", method,
		g_variant_new("(ss)", unit, "replace"), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, called, unit);
}

void sound_start(Manager *manager, const char *vm, guint domain, gboolean anew)
{
	g_autofree char *path = environment_path(manager, vm), *dir = g_path_get_dirname(path);
	g_autofree char *text = g_strdup_printf("CARREL_VM=%s\nCARREL_DOMAIN=%u\n", vm, domain);
	g_autoptr(GError) error = NULL;

	if (g_mkdir_with_parents(dir, 0700) || !g_file_set_contents(path, text, -1, &error)) {
		g_warning("VM %s has no sound: cannot write %s: %s", vm, path, error ? error->message : g_strerror(errno));
		return;
	}
	call_systemd(manager, anew ? "RestartUnit" : "StartUnit", vm);
}

void sound_stop(Manager *manager, const char *vm)
{
	g_autofree char *path = environment_path(manager, vm);

	if (g_unlink(path) == 0)
		call_systemd(manager, "StopUnit", vm);
}
