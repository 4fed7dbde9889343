// SPDX-License-Identifier: Apache-2.0
/* Prints what happens, one line each, until Ctrl-C. */
#include "carrelctl.h"
#include <glib-unix.h>
#include <signal.h>
#include <string.h>

typedef struct {
	Ctl *ctl;
	GMainLoop *loop;
	char **names; /* only these VMs; none: everything */
} Watch;

/* "work", "job 3", "manager" */
static char *subject_of(const char *path)
{
	const char *last = strrchr(path, '/') + 1;

	if (g_str_has_prefix(path, BUS_PATH "/vm/"))
		return vm_name_of_path(path);
	if (g_str_has_prefix(path, BUS_PATH "/job/"))
		return g_strconcat("job ", last, NULL);
	return g_strdup(last);
}

static gboolean wanted(const Watch *watch, const char *vm)
{
	return !*watch->names || (vm && g_strv_contains((const char *const *)watch->names, vm));
}

static char *for_people(GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
		return g_variant_dup_string(value, NULL);
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH))
		return vm_name_of_path(g_variant_get_string(value, NULL));
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE))
		return g_strdup_printf("%.2f", g_variant_get_double(value));
	return g_variant_print(value, FALSE);
}

/* vm: whom it concerns. value is taken when floating, may be NULL. */
static void event(const Watch *watch, const char *vm, const char *subject, const char *what, const char *name, GVariant *value)
{
	g_autoptr(GVariant) held = value ? g_variant_ref_sink(value) : NULL;

	if (!wanted(watch, vm))
		return;
	if (watch->ctl->opt.json) {
		JsonObject *object = json_object_new();
		g_autoptr(JsonNode) node = json_take_object(object);
		g_autofree char *text = NULL, *key = json_name(name);

		json_object_set_int_member(object, "time", g_get_real_time() * 1000);
		json_object_set_string_member(object, "subject", subject);
		json_object_set_string_member(object, "event", what);
		json_object_set_string_member(object, "name", key);
		if (held)
			json_object_set_member(object, "value", json_of_value(held));
		text = json_text(node, FALSE);
		printf("%s\n", text);
	} else {
		g_autoptr(GDateTime) now = g_date_time_new_now_local();
		g_autofree char *time = g_date_time_format(now, "%H:%M:%S"), *safe = text_safe(subject), *value_safe = NULL;

		if (held) {
			g_autofree char *text = for_people(held);

			value_safe = text_safe(text);
		}
		printf("%s %s: %s%s%s%s%s\n", time, safe, what, *name ? " " : "", name, held ? ": " : "", held ? value_safe : "");
	}
	fflush(stdout);
}

static char *vm_of(GDBusObject *object)
{
	g_autoptr(CarrelJob1) job = carrel_object_get_job1(CARREL_OBJECT(object));

	return vm_name_of_path(job && carrel_job1_get_vm(job) ? carrel_job1_get_vm(job) : g_dbus_object_get_object_path(object));
}

static void on_object(Watch *watch, GDBusObject *object, const char *what)
{
	g_autofree char *subject = subject_of(g_dbus_object_get_object_path(object)), *vm = vm_of(object);
	g_autoptr(CarrelJob1) job = carrel_object_get_job1(CARREL_OBJECT(object));
	const char *kind = job ? carrel_job1_get_kind(job) : NULL;

	event(watch, vm, subject, what, "", kind ? g_variant_new_string(kind) : NULL);
}

static void on_added(GDBusObjectManager *objects G_GNUC_UNUSED, GDBusObject *object, gpointer data)
{
	on_object(data, object, "added");
}

static void on_removed(GDBusObjectManager *objects G_GNUC_UNUSED, GDBusObject *object, gpointer data)
{
	on_object(data, object, "removed");
}

static void on_changed(GDBusObjectManagerClient *objects G_GNUC_UNUSED, GDBusObjectProxy *object, GDBusProxy *proxy G_GNUC_UNUSED,
	GVariant *changed, const char *const *invalidated G_GNUC_UNUSED, gpointer data)
{
	g_autofree char *subject = subject_of(g_dbus_object_get_object_path(G_DBUS_OBJECT(object)));
	g_autofree char *vm = vm_of(G_DBUS_OBJECT(object));
	GVariantIter iter;
	const char *name;
	GVariant *value;

	g_variant_iter_init(&iter, changed);
	while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
		event(data, vm, subject, "changed", name, value);
		g_variant_unref(value);
	}
}

static void on_notice(Watch *watch, GVariant *parameters)
{
	const char *severity, *path, *text;
	g_autofree char *vm = NULL;

	if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sos)")))
		return;
	g_variant_get(parameters, "(&s&o&s)", &severity, &path, &text);
	vm = vm_name_of_path(path);
	if (g_str_equal(severity, "warning") || g_str_equal(severity, "error"))
		event(watch, vm, *vm ? vm : "manager", "notice", g_str_equal(severity, "error") ? "error" : "warning", g_variant_new_string(text));
	else
		event(watch, vm, *vm ? vm : "manager", "notice", "info", g_variant_new_string(text));
}

static void on_signal(GDBusObjectManagerClient *objects G_GNUC_UNUSED, GDBusObjectProxy *object, GDBusProxy *proxy G_GNUC_UNUSED,
	const char *sender G_GNUC_UNUSED, const char *name, GVariant *parameters, gpointer data)
{
	g_autofree char *subject = subject_of(g_dbus_object_get_object_path(G_DBUS_OBJECT(object)));
	g_autofree char *vm = vm_of(G_DBUS_OBJECT(object));
	const char *state, *error, *message;

	if (g_str_equal(name, "Notice")) {
		on_notice(data, parameters);
	} else if (g_str_equal(name, "Finished") && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sss)"))) {
		g_variant_get(parameters, "(&s&s&s)", &state, &error, &message);
		event(data, vm, subject, "finished", "", g_variant_new_take_string(*message ? g_strdup_printf("%s: %s", state, message)
			: g_strdup(state)));
	}
}

static void on_owner(GObject *objects, GParamSpec *spec G_GNUC_UNUSED, gpointer data)
{
	g_autofree char *owner = g_dbus_object_manager_client_get_name_owner(G_DBUS_OBJECT_MANAGER_CLIENT(objects));

	event(data, NULL, "manager", owner ? "appeared" : "vanished", "", NULL);
}

static gboolean on_interrupt(gpointer data)
{
	Watch *watch = data;

	g_main_loop_quit(watch->loop);
	return G_SOURCE_CONTINUE;
}

static void on_closed(GDBusConnection *bus G_GNUC_UNUSED, gboolean vanished G_GNUC_UNUSED, GError *error G_GNUC_UNUSED, gpointer data)
{
	Watch *watch = data;

	watch->ctl->status = STATUS_NO_MANAGER;
	g_main_loop_quit(watch->loop);
}

gboolean cmd_watch(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(GDBusObjectManager) objects = ctl_objects(ctl, error);
	Watch watch = {ctl, NULL, args};
	guint interrupt, terminate;
	gulong closed;

	if (!objects)
		return FALSE;
	watch.loop = g_main_loop_new(NULL, FALSE);
	g_signal_connect(objects, "object-added", G_CALLBACK(on_added), &watch);
	g_signal_connect(objects, "object-removed", G_CALLBACK(on_removed), &watch);
	g_signal_connect(objects, "interface-proxy-properties-changed", G_CALLBACK(on_changed), &watch);
	g_signal_connect(objects, "interface-proxy-signal", G_CALLBACK(on_signal), &watch);
	g_signal_connect(objects, "notify::name-owner", G_CALLBACK(on_owner), &watch);
	closed = g_signal_connect(ctl->bus, "closed", G_CALLBACK(on_closed), &watch);
	interrupt = g_unix_signal_add(SIGINT, on_interrupt, &watch);
	terminate = g_unix_signal_add(SIGTERM, on_interrupt, &watch);
	if (!ctl->opt.json)
		fprintf(stderr, "Watching; Ctrl-C ends.\n");
	g_main_loop_run(watch.loop);
	g_source_remove(interrupt);
	g_source_remove(terminate);
	g_signal_handler_disconnect(ctl->bus, closed);
	g_signal_handlers_disconnect_by_data(objects, &watch);
	g_main_loop_unref(watch.loop);
	if (ctl->status == STATUS_OK)
		return TRUE;
	ctl->status = STATUS_OK;
	ctl_set_error(error, STATUS_NO_MANAGER, "the system bus has gone away");
	return FALSE;
}
