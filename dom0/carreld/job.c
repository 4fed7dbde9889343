/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include "dispatch.h"
#include "vm.h"

Job *job_ref(Job *job)
{
	g_atomic_ref_count_inc(&job->refs);
	return job;
}

void job_unref(Job *job)
{
	if (!g_atomic_ref_count_dec(&job->refs))
		return;
	if (job->vm)
		vm_unref(job->vm);
	g_free(job->kind);
	g_free(job->path);
	g_free(job->claim);
	g_object_unref(job->cancellable);
	g_object_unref(job->api);
	g_object_unref(job->object);
	g_free(job);
}

static void method_cancel(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args)
{
	Job *job = g_hash_table_lookup(manager->jobs, g_dbus_method_invocation_get_object_path(invocation));

	(void)args;
	if (!job) {
		g_dbus_method_invocation_return_error(invocation, CARREL_ERROR, CARREL_ERROR_NOT_FOUND, "that job is over");
		return;
	}
	job_cancel(job);
	g_dbus_method_invocation_return_value(invocation, NULL);
}

static const Method methods[] = { { "handle-cancel", "org.carrel.run", method_cancel } };

Job *job_new(Manager *manager, const char *kind, Vm *vm)
{
	Job *job = g_new0(Job, 1);

	g_atomic_ref_count_init(&job->refs);
	job->manager = manager;
	job->kind = g_strdup(kind);
	job->path = g_strdup_printf("/org/carrel/job/%u", ++manager->next_job);
	job->cancellable = g_cancellable_new();
	job->api = carrel_job1_skeleton_new();
	job->object = carrel_object_skeleton_new(job->path);
	carrel_job1_set_kind(job->api, kind);
	carrel_job1_set_vm(job->api, vm ? vm->path : "/");
	carrel_job1_set_progress(job->api, -1);
	carrel_job1_set_stage(job->api, "");
	carrel_job1_set_state(job->api, "running");
	carrel_job1_set_error(job->api, g_variant_new("(ss)", "", ""));
	carrel_job1_set_result(job->api, "/");
	dispatch_connect(manager, G_DBUS_INTERFACE_SKELETON(job->api), methods, G_N_ELEMENTS(methods));
	carrel_object_skeleton_set_job1(job->object, job->api);
	g_hash_table_insert(manager->jobs, job->path, job);
	g_dbus_object_manager_server_export(manager->objects, G_DBUS_OBJECT_SKELETON(job->object));
	manager->busy++;
	if (vm) {
		job->vm = vm_ref(vm);
		if (!vm->job)
			vm->job = job_ref(job);
	}
	g_debug("job %s: %s%s%s", job->path, kind, vm ? " of VM " : "", vm ? vm->name : "");
	return job;
}

typedef struct {
	Job *job;
	JobRun run;
	JobDone done;
	gpointer data;
	GDestroyNotify free;
	Vm *settle[2]; /* whose disks were being tidied: not at the same time */
} Run;

static void run_free(gpointer data)
{
	Run *run = data;

	if (run->free)
		run->free(run->data);
	job_unref(run->job);
	g_free(run);
}

static void run_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Run *run = data;
	GError *error = NULL;

	(void)source, (void)cancellable;
	for (gsize i = 0; i < G_N_ELEMENTS(run->settle); i++)
		if (run->settle[i])
			disks_tidy_wait(run->settle[i]);
	if (run->run(run->job, run->data, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, carrel_error_from(error));
}

static void run_done(GObject *source, GAsyncResult *result, gpointer data)
{
	Run *run = g_task_get_task_data(G_TASK(result));
	g_autoptr(GError) error = NULL;

	(void)source, (void)data;
	run->job->worker = FALSE;
	run->job->manager->workers--;
	g_task_propagate_boolean(G_TASK(result), &error);
	if (run->done)
		run->done(run->job, run->data, error);
	else
		job_finish(run->job, error);
}

/* A thread of its own: a worker may wait for others, so a pool of few could stand still. */
static gpointer own_thread(gpointer data)
{
	g_autoptr(GTask) task = data;

	run_thread(task, NULL, g_task_get_task_data(task), NULL);
	return NULL;
}

void job_run(Job *job, JobRun run, gpointer data, GDestroyNotify free, JobDone done)
{
	Run *it = g_new0(Run, 1);
	GTask *task = g_task_new(NULL, NULL, run_done, NULL);

	*it = (Run){ job_ref(job), run, done, data, free, { job->vm && job->vm->tidying ? job->vm : NULL,
		job->reads && job->reads->tidying ? job->reads : NULL } };
	disks_tidy_stop(job->vm);
	disks_tidy_stop(job->reads);
	g_task_set_task_data(task, it, run_free);
	job->worker = TRUE;
	job->manager->workers++;
	job->on_cancel = NULL;
	g_thread_unref(g_thread_new("job", own_thread, task));
}

static gboolean forget(gpointer data)
{
	Job *job = data;

	job->linger = 0;
	g_dbus_object_manager_server_unexport(job->manager->objects, job->path);
	g_hash_table_remove(job->manager->jobs, job->path);
	job_unref(job);
	return G_SOURCE_REMOVE;
}

static const char *end_state(const GError *error)
{
	return !error ? "done" : g_error_matches(error, CARREL_ERROR, CARREL_ERROR_CANCELLED) ? "cancelled" : "failed";
}

void job_finish(Job *job, const GError *error)
{
	Manager *manager = job->manager;
	g_autoptr(GError) plain = error ? carrel_error_from(g_error_copy(error)) : NULL;
	g_autofree char *name = plain ? carrel_error_name(plain) : g_strdup("");
	const char *message = plain ? plain->message : "", *state = end_state(plain);

	if (job->ended)
		return;
	job->ended = TRUE;
	job->on_cancel = NULL;
	g_log_structured(G_LOG_DOMAIN, plain ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_INFO, "CARREL_VM", job->vm ? job->vm->name : "",
		"CARREL_JOB", job->kind, "CARREL_RESULT", state, "MESSAGE", "%s%s%s: %s%s%s", job->kind, job->vm ? " of VM " : "",
		job->vm ? job->vm->name : "", state, plain ? ": " : "", message);
	if (job->claim)
		g_hash_table_remove(manager->claims, job->claim);
	if (job->reads) {
		job->reads->readers--;
		g_clear_pointer(&job->reads, vm_unref);
	}
	if (!plain)
		carrel_job1_set_progress(job->api, 1);
	carrel_job1_set_error(job->api, g_variant_new("(ss)", name, message));
	carrel_job1_set_state(job->api, state);
	/* The VM's new state first: who hears that the job ended may ask at once. */
	manager->busy--;
	if (job->vm)
		vm_job_ended(job->vm, job);
	if (job->vm)
		g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(job->vm->api));
	g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(job->api));
	carrel_job1_emit_finished(job->api, state, name, message);
	job->linger = g_timeout_add_seconds(JOB_LINGER, forget, job);
	power_job_ended(manager);
}

void job_cancel(Job *job)
{
	if (job->ended)
		return;
	g_cancellable_cancel(job->cancellable);
	if (!job->worker && job->on_cancel)
		job->on_cancel(job);
}

gboolean job_cancelled(Job *job, GError **error)
{
	if (!g_cancellable_is_cancelled(job->cancellable))
		return FALSE;
	carrel_fail(error, CARREL_ERROR_CANCELLED, "%s was cancelled", job->kind);
	return TRUE;
}

typedef struct {
	Job *job;
	double progress;
	char *stage; /* NULL: as it is */
} Stage;

static gboolean stage_set(gpointer data)
{
	Stage *stage = data;

	if (!stage->job->ended) {
		carrel_job1_set_progress(stage->job->api, stage->progress);
		if (stage->stage)
			carrel_job1_set_stage(stage->job->api, stage->stage);
	}
	return G_SOURCE_REMOVE;
}

static void stage_free(gpointer data)
{
	Stage *stage = data;

	job_unref(stage->job);
	g_free(stage->stage);
	g_free(stage);
}

static void stage_send(Job *job, double progress, char *text)
{
	Stage *stage = g_new0(Stage, 1);

	*stage = (Stage){ job_ref(job), progress, text };
	g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, stage_set, stage, stage_free);
}

void job_stage(Job *job, double progress, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	stage_send(job, progress, g_strdup_vprintf(format, args));
	va_end(args);
}

void job_progress(double fraction, gpointer data)
{
	JobSpan *span = data;

	stage_send(span->job, span->from + (span->to - span->from) * CLAMP(fraction, 0, 1), NULL);
}

void job_set_result(Job *job, const char *path)
{
	carrel_job1_set_result(job->api, path);
}

typedef struct {
	Manager *manager;
	MainCall call;
	gpointer data;
	GError **error;
	gboolean answer, done;
	GMutex lock;
	GCond cond;
} Call;

static gboolean call_made(gpointer data)
{
	Call *call = data;
	gboolean answer = call->call(call->manager, call->data, call->error);

	g_mutex_lock(&call->lock);
	call->answer = answer;
	call->done = TRUE;
	g_cond_signal(&call->cond);
	g_mutex_unlock(&call->lock);
	return G_SOURCE_REMOVE;
}

gboolean on_main(Manager *manager, MainCall run, gpointer data, GError **error)
{
	Call call = { .manager = manager, .call = run, .data = data, .error = error };

	g_mutex_init(&call.lock);
	g_cond_init(&call.cond);
	g_idle_add_full(G_PRIORITY_DEFAULT, call_made, &call, NULL);
	g_mutex_lock(&call.lock);
	while (!call.done)
		g_cond_wait(&call.cond, &call.lock);
	g_mutex_unlock(&call.lock);
	g_mutex_clear(&call.lock);
	g_cond_clear(&call.cond);
	return call.answer;
}
