/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include <gio/gunixfdlist.h>
#include <string.h>

#include "job.h"

typedef struct {
	GClosure closure;
	Manager *manager;
	const Method *method;
} Entry;

typedef struct {
	Manager *manager;
	const Method *method;
	GDBusMethodInvocation *invocation;
} Pending;

static void call_now(Manager *manager, const Method *method, GDBusMethodInvocation *invocation)
{
	method->call(manager, invocation, g_dbus_method_invocation_get_parameters(invocation));
}

static void authorized(gpointer data, GError *error)
{
	g_autofree Pending *pending = data;

	if (error)
		g_dbus_method_invocation_return_gerror(pending->invocation, error);
	else
		call_now(pending->manager, pending->method, pending->invocation);
}

/* The arguments are read from the message, so that one marshaller does for every signature. */
static void entry(GClosure *closure, GValue *result, guint n, const GValue *params, gpointer hint, gpointer data)
{
	Entry *it = (Entry *)closure;
	GDBusMethodInvocation *invocation = g_value_get_object(&params[1]);
	GDBusMessageFlags flags = g_dbus_message_get_flags(g_dbus_method_invocation_get_message(invocation));
	Pending *pending;

	(void)n, (void)hint, (void)data;
	g_value_set_boolean(result, TRUE);
	if (!it->method->action) {
		call_now(it->manager, it->method, invocation);
		return;
	}
	pending = g_new0(Pending, 1);
	*pending = (Pending){ it->manager, it->method, invocation };
	it->manager->auth->check(it->manager->auth, g_dbus_method_invocation_get_sender(invocation), it->method->action,
		!!(flags & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION), authorized, pending);
}

void dispatch_connect(Manager *manager, GDBusInterfaceSkeleton *api, const Method *methods, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		GClosure *closure = g_closure_new_simple(sizeof(Entry), NULL);

		((Entry *)closure)->manager = manager;
		((Entry *)closure)->method = &methods[i];
		g_closure_set_marshal(closure, entry);
		g_signal_connect_closure(api, methods[i].signal, closure, FALSE);
	}
}

gboolean options_check(GVariant *dict, const Option *known, gsize n, GError **error)
{
	GVariantIter iter;
	const char *key;
	GVariant *value;

	g_variant_iter_init(&iter, dict);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
		g_autoptr(GVariant) held = value;
		gsize i = 0;

		while (i < n && strcmp(known[i].key, key))
			i++;
		if (i == n)
			return carrel_fail(error, CARREL_ERROR_INVALID, "no option '%s' here", key);
		if (!g_variant_is_of_type(held, G_VARIANT_TYPE(known[i].type)))
			return carrel_fail(error, CARREL_ERROR_INVALID, "option '%s' has D-Bus type '%s', not '%s'", key,
				g_variant_get_type_string(held), known[i].type);
	}
	return TRUE;
}

void dispatch_fail(GDBusMethodInvocation *invocation, GError *error)
{
	g_dbus_method_invocation_take_error(invocation, carrel_error_from(error));
}

void dispatch_job(GDBusMethodInvocation *invocation, Job *job, GError *error)
{
	if (job)
		g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", job->path));
	else
		dispatch_fail(invocation, error);
}

int dispatch_fd(GDBusMethodInvocation *invocation, gint32 handle, GError **error)
{
	GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));

	if (!fds || handle < 0 || handle >= g_unix_fd_list_get_length(fds)) {
		carrel_fail(error, CARREL_ERROR_INVALID, "no file came with the call");
		return -1;
	}
	return g_unix_fd_list_get(fds, handle, error);
}
