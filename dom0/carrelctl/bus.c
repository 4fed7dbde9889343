// SPDX-License-Identifier: Apache-2.0
#include "carrelctl.h"
#include <string.h>
#include <unistd.h>

#define VM_PATH BUS_PATH "/vm/"

/* With a person there, polkit may be asking for a password. */
int ctl_call_timeout(void)
{
	return (isatty(STDIN_FILENO) ? 300 : 60) * 1000;
}

static GDBusConnection *connect_bus(const char *address, GError **error)
{
	GDBusConnection *bus;

	if (address)
		return g_dbus_connection_new_for_address_sync(address,
			G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, error);
	if ((bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error)))
		g_dbus_connection_set_exit_on_close(bus, FALSE);
	return bus;
}

gboolean ctl_connect(Ctl *ctl, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (ctl->manager)
		return TRUE;
	if (!ctl->bus && !(ctl->bus = connect_bus(ctl->opt.bus, &local))) {
		ctl_set_error(error, STATUS_NO_MANAGER, "cannot reach the system bus (%s); is dbus.service running?", local->message);
		return FALSE;
	}
	ctl->manager = carrel_manager1_proxy_new_sync(ctl->bus, G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES, BUS_NAME,
		BUS_PATH "/manager", NULL, error);
	return ctl->manager != NULL;
}

GVariant *ctl_call(Ctl *ctl, gpointer proxy, const char *method, GVariant *args, GError **error)
{
	g_autoptr(GVariant) kept = args ? g_variant_ref_sink(args) : NULL;
	g_autoptr(GError) local = NULL;
	GVariant *reply;

	do {
		g_clear_error(&local);
		reply = g_dbus_proxy_call_sync(proxy, method, kept, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, ctl_call_timeout(),
			NULL, &local);
	} while (!reply && agent_helps(ctl, local));
	if (!reply)
		g_propagate_error(error, g_steal_pointer(&local));
	return reply;
}

CarrelVm1 *ctl_vm(Ctl *ctl, const char *name, GError **error)
{
	g_autoptr(GVariant) reply = NULL, properties = NULL;
	const char *path;

	if (!ctl_connect(ctl, error) || !(reply = ctl_call(ctl, ctl->manager, "GetVm", g_variant_new("(s)", name), error)))
		return NULL;
	g_variant_get(reply, "(&o)", &path);
	return carrel_vm1_proxy_new_sync(ctl->bus, G_DBUS_PROXY_FLAGS_NONE, BUS_NAME, path, NULL, error);
}

GDBusObjectManager *ctl_objects(Ctl *ctl, GError **error)
{
	GDBusObjectManager *objects;
	g_autofree char *owner = NULL;

	if (!ctl_connect(ctl, error))
		return NULL;
	objects = carrel_object_manager_client_new_sync(ctl->bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, BUS_NAME, BUS_PATH, NULL, error);
	if (!objects)
		return NULL;
	owner = g_dbus_object_manager_client_get_name_owner(G_DBUS_OBJECT_MANAGER_CLIENT(objects));
	if (owner)
		return objects;
	g_object_unref(objects);
	ctl_set_error(error, STATUS_NO_MANAGER, "the manager is not running; start it with 'systemctl start carreld'");
	return NULL;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(carrel_vm1_get_name(*(CarrelVm1 *const *)a), carrel_vm1_get_name(*(CarrelVm1 *const *)b));
}

GPtrArray *ctl_vms(GDBusObjectManager *objects, int templates)
{
	GPtrArray *vms = g_ptr_array_new_with_free_func(g_object_unref);
	GList *list = g_dbus_object_manager_get_objects(objects);

	for (GList *l = list; l; l = l->next) {
		CarrelVm1 *vm = carrel_object_get_vm1(l->data);

		if (vm && carrel_vm1_get_name(vm) && (templates < 0 || carrel_vm1_get_template(vm) == templates))
			g_ptr_array_add(vms, vm);
		else
			g_clear_object(&vm);
	}
	g_list_free_full(list, g_object_unref);
	g_ptr_array_sort(vms, by_name);
	return vms;
}

char *vm_name_of_path(const char *path)
{
	GString *name = g_string_new(NULL);

	if (!g_str_has_prefix(path, VM_PATH))
		return g_string_free(name, FALSE);
	for (path += strlen(VM_PATH); *path; path++)
		if (*path == '_' && g_ascii_isxdigit(path[1]) && g_ascii_isxdigit(path[2])) {
			g_string_append_c(name, (char)(g_ascii_xdigit_value(path[1]) << 4 | g_ascii_xdigit_value(path[2])));
			path += 2;
		} else {
			g_string_append_c(name, *path);
		}
	if (!g_utf8_validate(name->str, -1, NULL))
		g_string_truncate(name, 0);
	return g_string_free(name, FALSE);
}

gboolean ctl_each_vm(Ctl *ctl, char **names, gboolean (*each)(Ctl *, CarrelVm1 *, GError **), GError **error)
{
	if (!ctl_connect(ctl, error))
		return FALSE;
	for (; *names && !ctl->interrupted; names++) {
		g_autoptr(GError) local = NULL;
		g_autoptr(CarrelVm1) vm = ctl_vm(ctl, *names, &local);
		g_autofree char *about = g_strdup_printf("%s %s", ctl->command->name, *names);

		if (!vm || !each(ctl, vm, &local))
			ctl_report(ctl, about, local);
	}
	return TRUE;
}

guint64 size_parse(const char *option, const char *text, GError **error)
{
	static const char suffixes[] = "KMGTP";
	char *end;
	guint64 value = g_ascii_isdigit(*text) ? g_ascii_strtoull(text, &end, 10) : 0;

	if (value) {
		const char *suffix = *end ? strchr(suffixes, g_ascii_toupper(*end)) : NULL;
		guint shift = suffix ? 10 * (guint)(suffix - suffixes + 1) : 0;

		end += suffix != NULL;
		if ((!*end || (suffix && (g_str_equal(end, "iB") || g_str_equal(end, "B"))) || g_str_equal(end, "B")) &&
			value <= (guint64)G_MAXINT64 >> shift)
			return value << shift;
	}
	ctl_set_error(error, STATUS_USAGE, "%s '%s' is not a size: give bytes, or a number with K, M, G or T, as 2G", option, text);
	return 0;
}
