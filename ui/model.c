/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "format.h"

#include <glib/gi18n.h>
#include <string.h>

#define BUS_NAME    "org.carrel"
#define ROOT_PATH   "/org/carrel"
#define MANAGER     "/org/carrel/manager"
#define RETRY_MS    2000
#define MESSAGE_MAX 400

typedef struct {
	guint id;
	char *path;
	CarrelJob1 *job; /* NULL: not announced yet */
	JobProgress progress;
	JobEnd end;
	gpointer data;
} Follower;

struct _UiModel {
	GObject parent;
	GDBusConnection *connection;
	guint watch, retry, next_id;
	ModelState state;
	char *owner;               /* unique name of the manager that we talk to */
	GCancellable *loading;     /* of the object manager under way */
	GDBusObjectManager *objects; /* bound to the owner: it never asks again by itself, which would block */
	GList *followers;
};

G_DEFINE_FINAL_TYPE(UiModel, ui_model, G_TYPE_OBJECT)

enum { SIGNAL_STATE, SIGNAL_VMS, SIGNAL_VM, SIGNAL_NOTICE, N_SIGNALS };
static guint signals[N_SIGNALS];

static void load(UiModel *model);

char *error_text(const GError *error)
{
	g_autoptr(GError) copy = g_error_copy(error);
	g_dbus_error_strip_remote_error(copy);
	if (g_error_matches(copy, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) || g_error_matches(copy, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY))
		return g_strdup(_("The manager did not answer in time. It may still be at work; look again in a moment."));
	if (g_error_matches(copy, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN))
		return g_strdup(_("The manager is not running. It is started again by itself; try again in a moment."));
	return text_safe(copy->message, MESSAGE_MAX);
}

static void set_state(UiModel *model, ModelState state)
{
	if (model->state == state)
		return;
	model->state = state;
	g_signal_emit(model, signals[SIGNAL_STATE], 0);
}

static GObject *interface_at(UiModel *model, const char *path, const char *interface)
{
	if (!model->objects || !path)
		return NULL;
	g_autoptr(GDBusInterface) found = g_dbus_object_manager_get_interface(model->objects, path, interface);
	return (GObject *)found; /* the object manager holds it */
}

/* ---- jobs ---- */

static void follower_free(Follower *follower)
{
	g_clear_object(&follower->job);
	g_free(follower->path);
	g_free(follower);
}

static Follower *follower_of(UiModel *model, guint id)
{
	for (GList *l = model->followers; l; l = l->next)
		if (((Follower *)l->data)->id == id)
			return l->data;
	return NULL;
}

static void follower_end(UiModel *model, Follower *follower, const char *state, const char *message, const char *result)
{
	model->followers = g_list_remove(model->followers, follower);
	g_autofree char *safe = text_safe(message, MESSAGE_MAX);
	if (follower->end)
		follower->end(state, safe, result, follower->data);
	follower_free(follower);
}

/* Calls whoever follows the job at path; with state for the last time. A callback may follow and unfollow. */
static void tell_followers(UiModel *model, const char *path, CarrelJob1 *job, const char *state, const char *message)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint));
	for (GList *l = model->followers; l; l = l->next)
		if (!path || strcmp(((Follower *)l->data)->path, path) == 0)
			g_array_append_val(ids, ((Follower *)l->data)->id);
	for (guint i = 0; i < ids->len; i++) {
		Follower *follower = follower_of(model, g_array_index(ids, guint, i));
		if (!follower)
			continue;
		if (job)
			g_set_object(&follower->job, job);
		if (state)
			follower_end(model, follower, state, message, job ? carrel_job1_get_result(job) : "/");
		else if (follower->progress && job)
			follower->progress(job, follower->data);
	}
}

static void tell_vm_of(UiModel *model, CarrelJob1 *job)
{
	CarrelVm1 *vm = ui_model_vm(model, carrel_job1_get_vm(job));
	if (vm)
		g_signal_emit(model, signals[SIGNAL_VM], 0, vm);
}

static const char *job_message(CarrelJob1 *job)
{
	GVariant *error = carrel_job1_get_error(job);
	const char *message = "";
	if (error)
		g_variant_get(error, "(s&s)", NULL, &message);
	return message;
}

static void notice_failure(UiModel *model, CarrelJob1 *job, const char *message)
{
	const char *vm = carrel_job1_get_vm(job);
	g_signal_emit(model, signals[SIGNAL_NOTICE], 0, "error", vm ? vm : "/", message);
}

static void on_job_finished(CarrelJob1 *job, const char *state, const char *error, const char *message, UiModel *model)
{
	(void)error;
	g_autoptr(CarrelJob1) held = g_object_ref(job);
	if (g_strcmp0(state, "failed") == 0)
		notice_failure(model, job, message);
	tell_followers(model, g_dbus_proxy_get_object_path(G_DBUS_PROXY(job)), job, state, message);
	tell_vm_of(model, job);
}

static void on_job_changed(CarrelJob1 *job, GParamSpec *spec, UiModel *model)
{
	(void)spec;
	g_autoptr(CarrelJob1) held = g_object_ref(job);
	tell_followers(model, g_dbus_proxy_get_object_path(G_DBUS_PROXY(job)), job, NULL, NULL);
	tell_vm_of(model, job);
}

static gboolean job_runs(CarrelJob1 *job)
{
	return g_strcmp0(carrel_job1_get_state(job), "running") == 0;
}

/* fresh: it is new, not one of those that were there when we came. */
static void add_job(UiModel *model, CarrelJob1 *job, gboolean fresh)
{
	const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(job));
	if (!job_runs(job)) {
		if (fresh && g_strcmp0(carrel_job1_get_state(job), "failed") == 0)
			notice_failure(model, job, job_message(job));
		tell_followers(model, path, job, carrel_job1_get_state(job), job_message(job));
		return;
	}
	g_signal_connect_object(job, "finished", G_CALLBACK(on_job_finished), model, 0);
	g_signal_connect_object(job, "notify::progress", G_CALLBACK(on_job_changed), model, 0);
	g_signal_connect_object(job, "notify::stage", G_CALLBACK(on_job_changed), model, 0);
	on_job_changed(job, NULL, model);
}

guint ui_model_follow(UiModel *model, const char *job_path, JobProgress progress, JobEnd end, gpointer data)
{
	Follower *follower = g_new0(Follower, 1);
	guint id = follower->id = ++model->next_id;
	follower->path = g_strdup(job_path);
	follower->progress = progress;
	follower->end = end;
	follower->data = data;
	model->followers = g_list_append(model->followers, follower);
	CarrelJob1 *job = (CarrelJob1 *)interface_at(model, job_path, "org.carrel.Job1");
	if (!model->objects)
		follower_end(model, follower, "lost", "", "/");
	else if (job && !job_runs(job))
		tell_followers(model, job_path, job, carrel_job1_get_state(job), job_message(job));
	else if (job)
		tell_followers(model, job_path, job, NULL, NULL);
	return follower_of(model, id) ? id : 0;
}

void ui_model_unfollow(UiModel *model, guint id)
{
	Follower *follower = id ? follower_of(model, id) : NULL;
	if (!follower)
		return;
	model->followers = g_list_remove(model->followers, follower);
	follower_free(follower);
}

CarrelJob1 *ui_model_job_of(UiModel *model, const char *vm_path)
{
	CarrelJob1 *found = NULL;
	GList *objects = model->objects ? g_dbus_object_manager_get_objects(model->objects) : NULL;
	for (GList *l = objects; l && !found; l = l->next) {
		CarrelJob1 *job = carrel_object_peek_job1(l->data);
		if (job && job_runs(job) && g_strcmp0(carrel_job1_get_vm(job), vm_path) == 0)
			found = job;
	}
	g_list_free_full(objects, g_object_unref);
	return found;
}

/* ---- VMs ---- */

static int by_name(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(carrel_vm1_get_name(*(CarrelVm1 *const *)a), carrel_vm1_get_name(*(CarrelVm1 *const *)b));
}

GPtrArray *ui_model_vms(UiModel *model, gboolean templates)
{
	GPtrArray *vms = g_ptr_array_new_with_free_func(g_object_unref);
	GList *objects = model->objects ? g_dbus_object_manager_get_objects(model->objects) : NULL;
	for (GList *l = objects; l; l = l->next) {
		CarrelVm1 *vm = carrel_object_peek_vm1(l->data);
		if (vm && !carrel_vm1_get_template(vm) == !templates)
			g_ptr_array_add(vms, g_object_ref(vm));
	}
	g_list_free_full(objects, g_object_unref);
	g_ptr_array_sort(vms, by_name);
	return vms;
}

GStrv ui_model_names(UiModel *model)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	for (int templates = 0; templates < 2; templates++) {
		g_autoptr(GPtrArray) vms = ui_model_vms(model, templates);
		for (guint i = 0; i < vms->len; i++) {
			const char *name = carrel_vm1_get_name(vms->pdata[i]);
			g_strv_builder_add(names, name ? name : "");
		}
	}
	return g_strv_builder_end(names);
}

CarrelVm1 *ui_model_vm(UiModel *model, const char *path)
{
	return (CarrelVm1 *)interface_at(model, path, "org.carrel.Vm1");
}

CarrelVm1 *ui_model_vm_named(UiModel *model, const char *name)
{
	for (int templates = 0; templates < 2; templates++) {
		g_autoptr(GPtrArray) vms = ui_model_vms(model, templates);
		for (guint i = 0; i < vms->len; i++)
			if (g_strcmp0(carrel_vm1_get_name(vms->pdata[i]), name) == 0)
				return vms->pdata[i]; /* the object manager holds it */
	}
	return NULL;
}

static void on_vm_changed(GDBusProxy *vm, GVariant *changed, GStrv invalidated, UiModel *model)
{
	(void)invalidated;
	if (g_variant_lookup(changed, "Template", "b", NULL))
		g_signal_emit(model, signals[SIGNAL_VMS], 0);
	g_signal_emit(model, signals[SIGNAL_VM], 0, vm);
}

static void on_notice(CarrelManager1 *manager, const char *severity, const char *vm, const char *text, UiModel *model)
{
	(void)manager;
	g_signal_emit(model, signals[SIGNAL_NOTICE], 0, severity, vm, text);
}

static void add_interface(UiModel *model, gpointer interface, gboolean fresh)
{
	if (CARREL_IS_JOB1(interface))
		add_job(model, interface, fresh);
	else if (CARREL_IS_VM1(interface))
		/* After: before, string lists are still the old ones. */
		g_signal_connect_object(interface, "g-properties-changed", G_CALLBACK(on_vm_changed), model, G_CONNECT_AFTER);
	else if (CARREL_IS_MANAGER1(interface))
		g_signal_connect_object(interface, "notice", G_CALLBACK(on_notice), model, 0);
}

static void add_object(UiModel *model, GDBusObject *object, gboolean fresh)
{
	GList *interfaces = g_dbus_object_get_interfaces(object);
	for (GList *l = interfaces; l; l = l->next)
		add_interface(model, l->data, fresh);
	g_list_free_full(interfaces, g_object_unref);
}

static void on_object_added(GDBusObjectManager *objects, GDBusObject *object, UiModel *model)
{
	(void)objects;
	add_object(model, object, TRUE);
	if (carrel_object_peek_vm1(CARREL_OBJECT(object)))
		g_signal_emit(model, signals[SIGNAL_VMS], 0);
}

static void on_object_removed(GDBusObjectManager *objects, GDBusObject *object, UiModel *model)
{
	(void)objects;
	CarrelJob1 *job = carrel_object_peek_job1(CARREL_OBJECT(object));
	if (job)
		tell_followers(model, g_dbus_object_get_object_path(object), job, job_runs(job) ? "lost" : carrel_job1_get_state(job),
			job_message(job));
	if (carrel_object_peek_vm1(CARREL_OBJECT(object)))
		g_signal_emit(model, signals[SIGNAL_VMS], 0);
}

/* ---- the manager comes and goes ---- */

static void drop(UiModel *model)
{
	g_cancellable_cancel(model->loading);
	g_clear_object(&model->loading);
	g_clear_handle_id(&model->retry, g_source_remove);
	g_clear_pointer(&model->owner, g_free);
	if (!model->objects)
		return;
	g_signal_handlers_disconnect_by_data(model->objects, model);
	g_clear_object(&model->objects);
	tell_followers(model, NULL, NULL, "lost", "");
}

static gboolean retry_load(gpointer data)
{
	UiModel *model = data;
	model->retry = 0;
	load(model);
	return G_SOURCE_REMOVE;
}

static void on_loaded(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	g_autoptr(UiModel) model = data;
	g_autoptr(GError) error = NULL;
	GDBusObjectManager *objects = carrel_object_manager_client_new_finish(result, &error);
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	g_clear_object(&model->loading);
	if (!objects) {
		g_info("the manager does not list its objects: %s", error->message);
		model->retry = g_timeout_add(RETRY_MS, retry_load, model);
		return;
	}
	model->objects = objects;
	g_signal_connect(objects, "object-added", G_CALLBACK(on_object_added), model);
	g_signal_connect(objects, "object-removed", G_CALLBACK(on_object_removed), model);
	GList *all = g_dbus_object_manager_get_objects(objects);
	for (GList *l = all; l; l = l->next)
		add_object(model, l->data, FALSE);
	g_list_free_full(all, g_object_unref);
	set_state(model, MODEL_READY);
	g_signal_emit(model, signals[SIGNAL_VMS], 0);
}

static void load(UiModel *model)
{
	model->loading = g_cancellable_new();
	carrel_object_manager_client_new(model->connection, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START, model->owner,
		ROOT_PATH, model->loading, on_loaded, g_object_ref(model));
}

static void on_appeared(GDBusConnection *connection, const char *name, const char *owner, gpointer data)
{
	(void)connection, (void)name;
	UiModel *model = data;
	drop(model);
	model->owner = g_strdup(owner);
	set_state(model, MODEL_LOADING);
	load(model);
}

static void on_vanished(GDBusConnection *connection, const char *name, gpointer data)
{
	(void)connection, (void)name;
	UiModel *model = data;
	drop(model);
	set_state(model, MODEL_ABSENT);
	g_signal_emit(model, signals[SIGNAL_VMS], 0);
}

ModelState ui_model_state(UiModel *model)
{
	return model->state;
}

CarrelManager1 *ui_model_manager(UiModel *model)
{
	return (CarrelManager1 *)interface_at(model, MANAGER, "org.carrel.Manager1");
}

UiModel *ui_model_new(GDBusConnection *connection)
{
	UiModel *model = g_object_new(UI_TYPE_MODEL, NULL);
	if (!connection)
		return model;
	model->connection = g_object_ref(connection);
	model->watch = g_bus_watch_name_on_connection(connection, BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared,
		on_vanished, model, NULL);
	return model;
}

static void ui_model_dispose(GObject *object)
{
	UiModel *model = UI_MODEL(object);
	g_clear_handle_id(&model->watch, g_bus_unwatch_name);
	drop(model);
	g_list_free_full(g_steal_pointer(&model->followers), (GDestroyNotify)follower_free);
	g_clear_object(&model->connection);
	G_OBJECT_CLASS(ui_model_parent_class)->dispose(object);
}

static void ui_model_class_init(UiModelClass *class)
{
	G_OBJECT_CLASS(class)->dispose = ui_model_dispose;
	GType type = G_TYPE_FROM_CLASS(class);
	signals[SIGNAL_STATE] = g_signal_new("state", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
	signals[SIGNAL_VMS] = g_signal_new("vms", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
	signals[SIGNAL_VM] = g_signal_new("vm", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, CARREL_TYPE_VM1);
	signals[SIGNAL_NOTICE] = g_signal_new("notice", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
		G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
}

static void ui_model_init(UiModel *model)
{
	model->state = MODEL_ABSENT;
}
