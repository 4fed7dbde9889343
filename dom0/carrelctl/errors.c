// SPDX-License-Identifier: Apache-2.0
#include "carrelctl.h"

G_DEFINE_QUARK(carrelctl-error, ctl_error)

void ctl_set_error(GError **error, Status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(CTL_ERROR, status, format, args);
	va_end(args);
}

static const struct {
	const char *name;
	Status status;
} names[] = {
	{"org.carrel.Error.NotFound", STATUS_NOT_FOUND},
	{"org.carrel.Error.Exists", STATUS_STATE},
	{"org.carrel.Error.Invalid", STATUS_USAGE},
	{"org.carrel.Error.Busy", STATUS_STATE},
	{"org.carrel.Error.State", STATUS_STATE},
	{"org.carrel.Error.NoMemory", STATUS_NO_ROOM},
	{"org.carrel.Error.NoSpace", STATUS_NO_ROOM},
	{"org.carrel.Error.Denied", STATUS_DENIED},
	{"org.carrel.Error.Unsupported", STATUS_UNSUPPORTED},
	{"org.carrel.Error.Timeout", STATUS_TIMEOUT},
	{"org.carrel.Error.Cancelled", STATUS_CANCELLED},
	{"org.carrel.Error.Failed", STATUS_FAILED},
	{"org.freedesktop.DBus.Error.AccessDenied", STATUS_DENIED},
	{"org.freedesktop.DBus.Error.AuthFailed", STATUS_DENIED},
	{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", STATUS_DENIED},
	{"org.freedesktop.DBus.Error.UnknownObject", STATUS_NOT_FOUND},
	{"org.freedesktop.DBus.Error.UnknownMethod", STATUS_UNSUPPORTED},
	{"org.freedesktop.DBus.Error.ServiceUnknown", STATUS_NO_MANAGER},
	{"org.freedesktop.DBus.Error.NameHasNoOwner", STATUS_NO_MANAGER},
	{"org.freedesktop.DBus.Error.NoReply", STATUS_NO_MANAGER},
	{"org.freedesktop.DBus.Error.Disconnected", STATUS_NO_MANAGER},
	{"org.freedesktop.DBus.Error.Timeout", STATUS_TIMEOUT},
	{"org.freedesktop.DBus.Error.TimedOut", STATUS_TIMEOUT},
};

/* Which of our statuses an activation failure is: the bus has one error name for each reason. */
static Status status_of_name(const char *name)
{
	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		if (g_str_equal(name, names[i].name))
			return names[i].status;
	return g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn.") ||
		g_str_has_prefix(name, "org.freedesktop.systemd1.") ? STATUS_NO_MANAGER : STATUS_FAILED;
}

Status status_of(const GError *error)
{
	g_autofree char *name = NULL;

	if (error->domain == CTL_ERROR)
		return error->code;
	if (error->domain == G_OPTION_ERROR)
		return STATUS_USAGE;
	if ((name = g_dbus_error_get_remote_error(error)))
		return status_of_name(name);
	if (error->domain == G_IO_ERROR)
		switch (error->code) {
		case G_IO_ERROR_TIMED_OUT: return STATUS_TIMEOUT;
		case G_IO_ERROR_CLOSED: return STATUS_NO_MANAGER;
		case G_IO_ERROR_CANCELLED: return STATUS_CANCELLED;
		}
	return STATUS_FAILED;
}

const char *status_error_name(const GError *error)
{
	g_autofree char *remote = g_dbus_error_get_remote_error(error);

	if (remote && g_str_has_prefix(remote, "org.carrel.Error."))
		return g_intern_string(remote);
	switch (status_of(error)) {
	case STATUS_USAGE: return "org.carrel.Error.Invalid";
	case STATUS_NOT_FOUND: return "org.carrel.Error.NotFound";
	case STATUS_DENIED: return "org.carrel.Error.Denied";
	case STATUS_STATE: return "org.carrel.Error.State";
	case STATUS_NO_ROOM: return "org.carrel.Error.NoSpace";
	case STATUS_TIMEOUT: return "org.carrel.Error.Timeout";
	case STATUS_NO_MANAGER: return "org.carrel.Error.NoManager";
	case STATUS_CANCELLED:
	case STATUS_INTERRUPTED: return "org.carrel.Error.Cancelled";
	case STATUS_UNSUPPORTED: return "org.carrel.Error.Unsupported";
	default: return "org.carrel.Error.Failed";
	}
}

/* What a person reads: without GDBus's prefix, and in our words where the bus speaks of itself. */
static char *message_of(const GError *error)
{
	g_autoptr(GError) copy = g_error_copy(error);
	g_autofree char *remote = g_dbus_error_get_remote_error(error);

	if (remote && !g_str_has_prefix(remote, "org.carrel."))
		switch (status_of(error)) {
		case STATUS_NO_MANAGER:
			return g_strdup(g_str_has_suffix(remote, ".NoReply")
				? "the manager went away before it answered; see 'journalctl -u carreld'"
				: "the manager is not running; start it with 'systemctl start carreld'");
		case STATUS_TIMEOUT: return g_strdup("the manager does not answer; see 'systemctl status carreld'");
		default: break;
		}
	else if (!remote && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
		return g_strdup("the manager does not answer; see 'systemctl status carreld'");
	g_dbus_error_strip_remote_error(copy);
	return g_strdup(copy->message);
}

void ctl_report(Ctl *ctl, const char *about, const GError *error)
{
	g_autofree char *message = message_of(error);
	Status status = status_of(error);

	if (ctl->status == STATUS_OK)
		ctl->status = status;
	if (ctl->opt.json) {
		g_autoptr(JsonNode) node = NULL;
		g_autofree char *text = NULL;
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "error", status_error_name(error));
		json_object_set_string_member(object, "message", message);
		json_object_set_int_member(object, "status", status);
		json_object_set_string_member(object, "about", about ? about : "");
		node = json_take_object(object);
		text = json_text(node, FALSE);
		fprintf(stderr, "%s\n", text);
	} else {
		g_autofree char *safe = text_safe_lines(message), *safe_about = text_safe(about ? about : "");
		g_auto(GStrv) lines = g_strsplit(safe, "\n", -1);

		/* Indented, so that no message can pretend to be a second one. */
		for (guint i = 0; lines[i]; i++)
			if (i == 0)
				fprintf(stderr, "carrelctl: %s%s%s\n", safe_about, *safe_about ? ": " : "", lines[i]);
			else if (*lines[i])
				fprintf(stderr, "    %s\n", lines[i]);
	}
}
