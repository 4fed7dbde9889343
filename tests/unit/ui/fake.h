/* SPDX-License-Identifier: Apache-2.0 */
/* A manager and a compositor made of the generated skeletons, on a bus connection of their own, in the test's process. What
 * is called of them is written down, and answered as the test wants. */
#ifndef FAKE_H
#define FAKE_H

#include "carrel-api.h"
#include "carrel-desk.h"

typedef struct {
	GDBusConnection *bus;
	GDBusObjectManagerServer *objects;
	CarrelManager1 *manager;
	CarrelDesk1 *desk;
	guint owned, desk_owned, jobs;
	GPtrArray *calls;   /* "work.Start {'paused': <true>}" */
	const char *definition; /* every VM's file; NULL: an empty one */
	char *refuse;       /* every call fails with this message, or NULL */
	gboolean deaf;      /* takes calls and never answers */
	gboolean auto_jobs; /* jobs are made for what returns one */
	gboolean idle;      /* no VM uses a processor */
	guint64 picture;    /* serial of what every view shows */
	gboolean plain;     /* all of it black */
	guint pictures, sames; /* that were given */
} Fake;

Fake *fake_new(void);
void fake_free(Fake *fake);
void fake_own(Fake *fake);  /* takes the manager's name, and waits until it has it */
void fake_drop(Fake *fake); /* gives it back */
void fake_desk(Fake *fake); /* a compositor, too */
CarrelVm1 *fake_vm(Fake *fake, const char *name, const char *title, const char *state); /* borrowed */
CarrelVm1 *fake_template(Fake *fake, const char *name, const char *title, const char *description);
void fake_remove(Fake *fake, CarrelVm1 *vm);
CarrelJob1 *fake_job(Fake *fake, const char *kind, const char *vm, double progress, const char *stage); /* borrowed */
void fake_end(Fake *fake, CarrelJob1 *job, const char *state, const char *message);
const char *fake_job_path(CarrelJob1 *job);
void fake_remove_job(Fake *fake, CarrelJob1 *job);
gboolean fake_called(Fake *fake, const char *call); /* forgets the call if it was made */
/* The four desktops that pictures show. */
void fake_house(Fake *fake);
/* Runs the main context until condition, or fails after some seconds. */
#define WAIT_FOR(condition) \
	do { \
		gint64 until_ = g_get_monotonic_time() + 30 * G_USEC_PER_SEC; \
		guint tick_ = g_timeout_add(20, fake_tick, NULL); \
		while (!(condition) && g_get_monotonic_time() < until_) \
			g_main_context_iteration(NULL, TRUE); \
		g_source_remove(tick_); \
		g_assert_true(condition); \
	} while (0)
gboolean fake_tick(gpointer unused);
void fake_settle(guint milliseconds); /* runs the main context that long */
#endif
