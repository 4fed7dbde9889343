// SPDX-License-Identifier: Apache-2.0
/* Commands of the whole machine. */
#include "carrelctl.h"

static gboolean print_foreground(Ctl *ctl, GError **error)
{
	g_autoptr(GVariant) reply = NULL, value = NULL;
	g_autofree char *name = NULL, *safe = NULL;

	reply = g_dbus_connection_call_sync(ctl->bus, BUS_NAME, BUS_PATH "/manager", "org.freedesktop.DBus.Properties", "Get",
		g_variant_new("(ss)", "org.carrel.Manager1", "Foreground"), G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NONE, ctl_call_timeout(),
		NULL, error);
	if (!reply)
		return FALSE;
	g_variant_get(reply, "(v)", &value);
	name = g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH) ? vm_name_of_path(g_variant_get_string(value, NULL)) : g_strdup("");
	if (ctl->opt.json) {
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "foreground", name);
		ctl->result = json_take_object(object);
	} else if (*name) {
		safe = text_safe(name);
		printf("%s\n", safe);
	}
	return TRUE;
}

gboolean cmd_foreground(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(GVariant) reply = NULL;
	g_autoptr(CarrelVm1) vm = NULL;

	if (args[0] && ctl->opt.none) {
		ctl_set_error(error, STATUS_USAGE, "say either a VM or --none");
		return FALSE;
	}
	if (!ctl_connect(ctl, error))
		return FALSE;
	if (!args[0] && !ctl->opt.none)
		return print_foreground(ctl, error);
	if (args[0] && !(vm = ctl_vm(ctl, args[0], error)))
		return FALSE;
	reply = ctl_call(ctl, ctl->manager, "SetForeground",
		g_variant_new("(o)", vm ? g_dbus_proxy_get_object_path(G_DBUS_PROXY(vm)) : "/"), error);
	return reply != NULL;
}

gboolean cmd_power(Ctl *ctl, char **args, GError **error)
{
	if (!ctl_connect(ctl, error))
		return FALSE;
	if (g_str_equal(args[0], "suspend"))
		return ctl_job(ctl, ctl->manager, "Suspend", NULL, NULL, NULL, FALSE, error);
	return ctl_job(ctl, ctl->manager, "Shutdown", g_variant_new("(s)", g_str_equal(args[0], "off") ? "poweroff" : "reboot"), NULL, NULL,
		TRUE, error);
}

gboolean cmd_reload(Ctl *ctl, char **args G_GNUC_UNUSED, GError **error)
{
	g_autoptr(GVariant) reply = NULL;

	if (ctl_connect(ctl, error))
		reply = ctl_call(ctl, ctl->manager, "Reload", NULL, error);
	return reply != NULL;
}

static gboolean cancel_one(Ctl *ctl, const char *job, GError **error)
{
	g_autofree char *path = NULL;
	g_autoptr(GVariant) reply = NULL;
	g_autoptr(GError) local = NULL;
	guint64 number;

	if (!g_ascii_string_to_unsigned(job, 10, 0, G_MAXUINT32, &number, NULL)) {
		ctl_set_error(error, STATUS_USAGE, "'%s' is no job; 'carrelctl jobs' lists them by number", job);
		return FALSE;
	}
	path = g_strdup_printf(BUS_PATH "/job/%" G_GUINT64_FORMAT, number);
	do {
		g_clear_error(&local);
		reply = g_dbus_connection_call_sync(ctl->bus, BUS_NAME, path, "org.carrel.Job1", "Cancel", NULL, NULL,
			G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, ctl_call_timeout(), NULL, &local);
	} while (!reply && agent_helps(ctl, local));
	if (reply)
		return TRUE;
	/* That is how GDBus says that there is no such object. */
	if (g_error_matches(local, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD))
		ctl_set_error(error, STATUS_NOT_FOUND, "there is no job %s, or no longer", job);
	else
		g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}

gboolean cmd_cancel(Ctl *ctl, char **args, GError **error)
{
	if (!ctl_connect(ctl, error))
		return FALSE;
	for (; *args; args++) {
		g_autoptr(GError) local = NULL;
		g_autofree char *about = g_strdup_printf("cancel %s", *args);

		if (!cancel_one(ctl, *args, &local))
			ctl_report(ctl, about, local);
	}
	return TRUE;
}
