/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what takes longer than a moment, as objects on the bus. A job is a chain of worker runs and of waits for something that
 * happens in the main thread; job_finish() ends it. */
#ifndef CARREL_JOB_H
#define CARREL_JOB_H

#include "carreld.h"

struct Job {
	gatomicrefcount refs;
	Manager *manager;
	char *kind, *path;
	Vm *vm;                     /* NULL: of the machine, or of a VM that is not there yet */
	GCancellable *cancellable;
	gboolean ended, worker;     /* worker: a run is under way */
	void (*on_cancel)(Job *job); /* while it waits in the main thread, NULL: cannot be cancelled then */
	char *claim;                /* the name that it makes a VM of */
	Vm *reads;                  /* whose disks it reads without changing it, or NULL */
	CarrelJob1 *api;
	CarrelObjectSkeleton *object;
	guint linger;
};

#define JOB_LINGER 60 /* seconds that a finished job stays listed */

/* In a worker thread: sets error and returns FALSE, or returns TRUE. Touches its data, the hypervisor seam, the rooms. */
typedef gboolean (*JobRun)(Job *job, gpointer data, GError **error);
/* In the main thread, after the run; error NULL: it went well. Ends the job or goes on with it. */
typedef void (*JobDone)(Job *job, gpointer data, GError *error);

/* A new job on the bus; the VM's job, when there is a VM, until it ends. The table of jobs owns it. */
Job *job_new(Manager *manager, const char *kind, Vm *vm);
void job_run(Job *job, JobRun run, gpointer data, GDestroyNotify free, JobDone done);
/* error: borrowed, any domain; NULL: done. */
void job_finish(Job *job, const GError *error);
void job_cancel(Job *job);
/* Any thread. progress 0 to 1, -1: unknown. */
void job_stage(Job *job, double progress, const char *format, ...) G_GNUC_PRINTF(3, 4);
void job_set_result(Job *job, const char *path);
/* Worker: calls in the main thread and waits for its answer. */
typedef gboolean (*MainCall)(Manager *manager, gpointer data, GError **error);
gboolean on_main(Manager *manager, MainCall call, gpointer data, GError **error);
gboolean job_cancelled(Job *job, GError **error); /* any thread: whether it should stop, with the error set */
Job *job_ref(Job *job);
void job_unref(Job *job);
/* Room progress callbacks: data is a JobSpan, from and to of the whole job. */
typedef struct {
	Job *job;
	double from, to;
} JobSpan;
void job_progress(double fraction, gpointer span);
void job_connect(Job *job); /* dispatch of its methods */
#endif
