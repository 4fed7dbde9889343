/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager has, kept current: VMs, templates, jobs. Follows org.carrel on the bus as it comes, goes and restarts;
 * never blocks. All of it lives in the main context.
 *
 * Signals: "state" (), "vms" () when VMs came or went, "vm" (CarrelVm1) when one changed or its job did, "notice"
 * (severity, VM's path or "/", text). */
#ifndef CARREL_UI_MODEL_H
#define CARREL_UI_MODEL_H

#include "carrel-api.h"

typedef enum {
	MODEL_ABSENT,  /* there is no manager, or no bus */
	MODEL_LOADING, /* there is one, and it has not told yet what it has */
	MODEL_READY,
} ModelState;

#define UI_TYPE_MODEL (ui_model_get_type())
G_DECLARE_FINAL_TYPE(UiModel, ui_model, UI, MODEL, GObject)

UiModel *ui_model_new(GDBusConnection *connection);
ModelState ui_model_state(UiModel *model);
CarrelManager1 *ui_model_manager(UiModel *model);                /* NULL unless ready */
GPtrArray *ui_model_vms(UiModel *model, gboolean templates);     /* CarrelVm1 by name, referenced */
CarrelVm1 *ui_model_vm(UiModel *model, const char *path);        /* borrowed, or NULL */
CarrelVm1 *ui_model_vm_named(UiModel *model, const char *name);  /* borrowed, or NULL */
CarrelJob1 *ui_model_job_of(UiModel *model, const char *vm_path); /* its running job, borrowed, or NULL */
GStrv ui_model_names(UiModel *model);                            /* of all VMs and templates */

/* What became of a job: job while it runs (progress, stage), and at its end, once, state done, failed, cancelled, or lost
 * (the manager went) with the message of a failure. The end comes even if the job is not there any more. */
typedef void (*JobProgress)(CarrelJob1 *job, gpointer data);
typedef void (*JobEnd)(const char *state, const char *message, const char *result, gpointer data);
guint ui_model_follow(UiModel *model, const char *job_path, JobProgress progress, JobEnd end, gpointer data);
void ui_model_unfollow(UiModel *model, guint id); /* neither is called any more */

/* A D-Bus error as a person reads it: without the remote error's name. The caller's. */
char *error_text(const GError *error);
#endif
