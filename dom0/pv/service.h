/* SPDX-License-Identifier: Apache-2.0 */
/* A back end's process as its service manager sees it: ready, alive, stopping. No system call that a sandbox would refuse. */
#ifndef PV_SERVICE_H
#define PV_SERVICE_H

#include <glib.h>
#include <stdint.h>

struct service;

/* Takes the options and "DOMID", which is not needed once *version is set by them. */
gboolean service_parse(int *argc, char ***argv, const char *summary, const GOptionEntry *entries, const gboolean *version,
		       uint32_t *domid, GError **error);
/* Before the sandbox. SIGTERM and SIGINT end it well. */
struct service *service_new(void);
/* Tells that it is ready and runs the main loop until service_end(). Returns the process's exit status. */
int service_run(struct service *);
/* problem: why it ends badly, for the log; NULL: it is done. */
void service_end(struct service *, const char *problem);
void service_free(struct service *);

#endif
