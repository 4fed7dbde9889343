// SPDX-License-Identifier: Apache-2.0
/* Follows a job to its end: a bar on a terminal, lines of its stages elsewhere. The first Ctrl-C cancels it and waits for how
 * it ends, the second leaves it alone. */
#include "carrelctl.h"
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	Ctl *ctl;
	GMainLoop *loop;
	CarrelJob1 *job;
	const char *vm, *about;
	GCancellable *ends;       /* of what still runs when we leave */
	char *path;               /* of the job, once the manager has answered */
	GError *error;            /* of the call */
	char *state, *name, *message; /* how it ended */
	char *stage;              /* last shown */
	gboolean bar, lost, cancelling, left;
	int interrupts;
} Follow;

/* The bar is on the line until something else is said. */
static void clear_line(const Follow *follow)
{
	if (follow->bar)
		fputs("\r\033[K", stderr);
}

static void say(const Follow *follow, const char *text)
{
	g_autofree char *safe = text_safe(text);

	if (follow->ctl->opt.json)
		return;
	clear_line(follow);
	fprintf(stderr, "%s: %s\n", follow->about, safe);
}

static void draw_bar(const Follow *follow, double progress, const char *stage)
{
	enum { WIDTH = 24 };
	g_autofree char *safe = text_safe(stage), *line = NULL, *cut = NULL;
	char bar[WIDTH + 1];

	if (progress >= 0) {
		int full = (int)(CLAMP(progress, 0, 1) * WIDTH);

		memset(bar, '#', WIDTH);
		memset(bar + full, '-', WIDTH - full);
		bar[WIDTH] = 0;
		line = g_strdup_printf("%s  [%s] %3d %%  %s", follow->about, bar, (int)(MIN(progress, 1) * 100), safe);
	} else {
		line = g_strdup_printf("%s  %s", follow->about, safe);
	}
	cut = text_fit(line, terminal_width(STDERR_FILENO) - 1);
	fprintf(stderr, "\r%s\033[K", cut);
}

static void show(Follow *follow)
{
	const char *stage = carrel_job1_get_stage(follow->job) ? carrel_job1_get_stage(follow->job) : "";

	if (follow->ctl->opt.json)
		return;
	if (follow->bar) {
		draw_bar(follow, carrel_job1_get_progress(follow->job), follow->cancelling ? "cancelling" : stage);
	} else if (*stage && g_strcmp0(stage, follow->stage)) {
		say(follow, stage);
		g_free(follow->stage);
		follow->stage = g_strdup(stage);
	}
}

static void ended(Follow *follow, const char *state, const char *name, const char *message)
{
	if (follow->state)
		return;
	follow->state = g_strdup(state);
	follow->name = g_strdup(name);
	follow->message = g_strdup(message);
	g_main_loop_quit(follow->loop);
}

static void on_finished(CarrelJob1 *job G_GNUC_UNUSED, const char *state, const char *name, const char *message, gpointer data)
{
	ended(data, state, name, message);
}

/* A job that had ended before we listened, or whose signal was lost. */
static void check_state(Follow *follow)
{
	const char *state = carrel_job1_get_state(follow->job), *name = "", *message = "";
	GVariant *error = carrel_job1_get_error(follow->job);

	if (!state || g_str_equal(state, "running") || !*state)
		return;
	if (error)
		g_variant_get(error, "(&s&s)", &name, &message);
	ended(follow, state, name, message);
}

static void on_changed(GDBusProxy *proxy G_GNUC_UNUSED, GVariant *changed G_GNUC_UNUSED, GStrv invalidated G_GNUC_UNUSED, gpointer data)
{
	show(data);
	check_state(data);
}

static void on_owner(GObject *proxy, GParamSpec *spec G_GNUC_UNUSED, gpointer data)
{
	g_autofree char *owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(proxy));
	Follow *follow = data;

	if (!owner) {
		follow->lost = TRUE;
		g_main_loop_quit(follow->loop);
	}
}

static void on_closed(GDBusConnection *bus G_GNUC_UNUSED, gboolean vanished G_GNUC_UNUSED, GError *error G_GNUC_UNUSED, gpointer data)
{
	Follow *follow = data;

	follow->lost = TRUE;
	g_main_loop_quit(follow->loop);
}

static void on_cancelled(GObject *proxy, GAsyncResult *result, gpointer data)
{
	Follow *follow = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(proxy), result, &error);

	if (!reply && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) && !follow->left) {
		g_autofree char *text = NULL;

		follow->cancelling = FALSE;
		g_dbus_error_strip_remote_error(error);
		text = g_strdup_printf("cannot cancel: %s; Ctrl-C again leaves it to itself", error->message);
		say(follow, text);
	}
}

static void cancel(Follow *follow)
{
	follow->cancelling = TRUE;
	if (!follow->bar)
		say(follow, "cancelling");
	else
		show(follow);
	g_dbus_proxy_call(G_DBUS_PROXY(follow->job), "Cancel", NULL, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION,
		ctl_call_timeout(), follow->ends, on_cancelled, follow);
}

static gboolean on_interrupt(gpointer data)
{
	Follow *follow = data;

	follow->ctl->interrupted = TRUE;
	if (++follow->interrupts > 1) {
		follow->left = TRUE;
		g_main_loop_quit(follow->loop);
	} else if (follow->job) {
		cancel(follow);
	}
	return G_SOURCE_CONTINUE;
}

static void on_begun(GObject *proxy, GAsyncResult *result, gpointer data)
{
	Follow *follow = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_proxy_call_with_unix_fd_list_finish(G_DBUS_PROXY(proxy), NULL, result, &error);

	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return; /* follow may be gone */
	if (reply)
		g_variant_get(reply, "(o)", &follow->path);
	else
		follow->error = g_steal_pointer(&error);
	g_main_loop_quit(follow->loop);
}

/* Calls the method and waits for its answer, still hearing Ctrl-C. */
static gboolean begin(Follow *follow, GDBusProxy *proxy, const char *method, GVariant *args, GUnixFDList *fds, GError **error)
{
	g_autoptr(GVariant) kept = args ? g_variant_ref_sink(args) : NULL;

	do {
		g_clear_error(&follow->error);
		g_dbus_proxy_call_with_unix_fd_list(proxy, method, kept, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION,
			ctl_call_timeout(), fds, follow->ends, on_begun, follow);
		g_main_loop_run(follow->loop);
	} while (!follow->left && follow->error && agent_helps(follow->ctl, follow->error));
	if (follow->left) {
		ctl_set_error(error, STATUS_INTERRUPTED, "interrupted before the manager answered; 'carrelctl jobs' shows whether it began");
		return FALSE;
	}
	if (follow->error) {
		g_propagate_error(error, g_steal_pointer(&follow->error));
		return FALSE;
	}
	return TRUE;
}

static gboolean watch(Follow *follow, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autofree char *owner = NULL;

	follow->job = carrel_job1_proxy_new_sync(follow->ctl->bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, BUS_NAME, follow->path, NULL, &local);
	if (!follow->job) {
		follow->lost = status_of(local) == STATUS_NO_MANAGER;
		if (!follow->lost)
			g_propagate_error(error, g_steal_pointer(&local));
		return follow->lost;
	}
	g_signal_connect(follow->job, "finished", G_CALLBACK(on_finished), follow);
	g_signal_connect(follow->job, "g-properties-changed", G_CALLBACK(on_changed), follow);
	g_signal_connect(follow->job, "notify::g-name-owner", G_CALLBACK(on_owner), follow);
	owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(follow->job));
	follow->lost = !owner;
	check_state(follow);
	if (follow->state || follow->lost)
		return TRUE;
	if (!carrel_job1_get_state(follow->job)) {
		ctl_set_error(error, STATUS_FAILED, "the manager has forgotten the job; see 'carrelctl list' for what became of it");
		return FALSE;
	}
	show(follow);
	if (follow->interrupts)
		cancel(follow);
	g_main_loop_run(follow->loop);
	clear_line(follow);
	return TRUE;
}

/* Read now: the signal may come before the property. */
static char *job_result(Follow *follow)
{
	g_autoptr(GVariant) reply = NULL, value = NULL;

	if (!follow->job || follow->lost)
		return g_strdup("");
	reply = g_dbus_connection_call_sync(follow->ctl->bus, BUS_NAME, follow->path, "org.freedesktop.DBus.Properties", "Get",
		g_variant_new("(ss)", "org.carrel.Job1", "Result"), G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, 10000, NULL, NULL);
	if (!reply)
		return g_strdup("");
	g_variant_get(reply, "(v)", &value);
	if (!g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH))
		return g_strdup("");
	return vm_name_of_path(g_variant_get_string(value, NULL));
}

static void add_result(Follow *follow, const char *state)
{
	const char *number = strrchr(follow->path, '/') + 1;
	JsonObject *object = json_object_new();
	g_autofree char *result = job_result(follow);

	json_object_set_int_member(object, "job", (gint64)g_ascii_strtoull(number, NULL, 10));
	json_object_set_string_member(object, "command", follow->ctl->command->name);
	json_object_set_string_member(object, "vm", follow->vm ? follow->vm : "");
	json_object_set_string_member(object, "state", state);
	json_object_set_string_member(object, "error", follow->name ? follow->name : "");
	json_object_set_string_member(object, "message", follow->message ? follow->message : "");
	json_object_set_string_member(object, "result", result);
	if (!follow->ctl->result)
		follow->ctl->result = json_take_array(json_array_new());
	json_array_add_object_element(json_node_get_array(follow->ctl->result), object);
}

static gboolean conclude(Follow *follow, gboolean lost_ok, GError **error)
{
	const char *number = strrchr(follow->path, '/') + 1;

	if (!follow->state && follow->left) {
		add_result(follow, "running");
		ctl_set_error(error, STATUS_INTERRUPTED, "left to itself; 'carrelctl jobs' shows it, 'carrelctl cancel %s' cancels it", number);
		return FALSE;
	}
	if (!follow->state) {
		add_result(follow, "lost");
		if (lost_ok)
			return TRUE;
		ctl_set_error(error, STATUS_NO_MANAGER, "the manager went away while it worked; see 'journalctl -u carreld', "
			"and 'carrelctl list' for what became of it");
		return FALSE;
	}
	add_result(follow, follow->state);
	if (g_str_equal(follow->state, "done")) {
		say(follow, follow->cancelling ? "done (too late to cancel)" : "done");
		return TRUE;
	}
	if (g_str_equal(follow->state, "cancelled"))
		ctl_set_error(error, STATUS_CANCELLED, "cancelled");
	else if (follow->name && g_dbus_is_interface_name(follow->name))
		g_propagate_error(error, g_dbus_error_new_for_dbus_error(follow->name, follow->message));
	else
		ctl_set_error(error, STATUS_FAILED, "%s", follow->message && *follow->message ? follow->message : "failed");
	return FALSE;
}

static gboolean run(Follow *follow, GDBusProxy *proxy, const char *method, GVariant *args, GUnixFDList *fds, gboolean lost_ok,
	GError **error)
{
	if (!begin(follow, proxy, method, args, fds, error))
		return FALSE;
	if (follow->ctl->opt.no_wait) {
		add_result(follow, "running");
		if (!follow->ctl->opt.json)
			printf("%s\n", strrchr(follow->path, '/') + 1);
		return TRUE;
	}
	return watch(follow, error) && conclude(follow, lost_ok, error);
}

gboolean ctl_job(Ctl *ctl, gpointer proxy, const char *method, GVariant *args, GUnixFDList *fds, const char *vm, gboolean lost_ok,
	GError **error)
{
	g_autofree char *about = g_strdup_printf("%s%s%s", ctl->command->name, vm ? " " : "", vm ? vm : ""), *safe = text_safe(about);
	/* The caller's may be a property of a proxy, which forgets it when the manager goes away. */
	g_autofree char *name = g_strdup(vm);
	g_autoptr(GCancellable) ends = g_cancellable_new();
	const char *term = g_getenv("TERM");
	Follow follow = {.ctl = ctl, .vm = name, .about = safe, .ends = ends, .loop = g_main_loop_new(NULL, FALSE),
		.bar = isatty(STDERR_FILENO) && term && !g_str_equal(term, "dumb") && !ctl->opt.json};
	guint interrupt = g_unix_signal_add(SIGINT, on_interrupt, &follow), terminate = g_unix_signal_add(SIGTERM, on_interrupt, &follow);
	gulong closed = g_signal_connect(ctl->bus, "closed", G_CALLBACK(on_closed), &follow);
	gboolean ok;

	ok = run(&follow, proxy, method, args, fds, lost_ok, error);
	g_cancellable_cancel(ends);
	/* Lets the callbacks of what was cancelled run while follow is there. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_signal_handler_disconnect(ctl->bus, closed);
	g_source_remove(interrupt);
	g_source_remove(terminate);
	if (follow.job)
		g_signal_handlers_disconnect_by_data(follow.job, &follow);
	g_clear_object(&follow.job);
	g_clear_error(&follow.error);
	g_free(follow.path);
	g_free(follow.state);
	g_free(follow.name);
	g_free(follow.message);
	g_free(follow.stage);
	g_main_loop_unref(follow.loop);
	return ok;
}
