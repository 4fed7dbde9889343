/* SPDX-License-Identifier: Apache-2.0 */
/* What a restarted daemon must know of the VMs that run: NAME.run and NAME.vm (the definition as started) in the run directory.
 * Any thread; one at a time for a name. */
#ifndef CARREL_STORE_H
#define CARREL_STORE_H

#include "carreld.h"

typedef struct {
	char *phase; /* starting, running or stopping: only one that is running is kept */
	guint domain;
	guint64 started, memory;
	gboolean vault; /* its encrypted volume is open, or was about to be */
	GPtrArray *wires;
} RunRecord;

gboolean store_save(Manager *manager, const char *name, const RunRecord *record, VmFile *file, GError **error);
gboolean store_phase(Manager *manager, const char *name, const char *phase, GError **error);
RunRecord *store_load(Manager *manager, const char *name, VmFile **file);
void store_remove(Manager *manager, const char *name);
GPtrArray *store_names(Manager *manager);
/* The VM on screen, NULL: none. */
void store_foreground(Manager *manager, const char *name);
char *store_read_foreground(Manager *manager);
void run_record_free(RunRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunRecord, run_record_free)
void wire_free(gpointer wire);
#endif
