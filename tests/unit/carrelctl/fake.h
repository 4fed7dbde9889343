/* SPDX-License-Identifier: Apache-2.0 */
/* A manager for tests: the generated skeletons on a private bus, in the test's own process, and carrelctl run beside it. */
#ifndef FAKE_H
#define FAKE_H

#include "carrel-api.h"

typedef struct {
	GTestDBus *dbus;
	GDBusConnection *bus;
	GDBusObjectManagerServer *objects;
	CarrelManager1 *manager;
	guint name;
	GPtrArray *calls; /* "Method('arguments', …)" in order */
	guint jobs;
	char *definition;
	GString *imported;
	/* How the next calls go. */
	const char *refuse, *refuse_message; /* the call itself fails with this error */
	const char *refuse_method;           /* only this one */
	const char *job_error, *job_message; /* the job fails with it */
	guint stages, stage_ms;              /* the job's course; 0 stages: it has ended before the call returns */
	const char *stage_text;
	gboolean hang;                        /* it goes on until it is cancelled */
	gboolean ignore_cancel, refuse_cancel;
	gboolean silent;                      /* the call is never answered */
} Fake;

Fake *fake_new(void);
void fake_free(Fake *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fake, fake_free)
CarrelVm1 *fake_add_vm(Fake *fake, const char *name, const char *title);
CarrelVm1 *fake_vm(Fake *fake, const char *name);
/* The manager's process is gone. */
void fake_die(Fake *fake);
/* All calls so far, joined by newlines; forgets them. */
char *fake_calls(Fake *fake);

typedef struct {
	GString *text;
	int fd;
	guint watch; /* 0: closed */
} Stream;

/* A process with its output, on pipes or on a terminal of its own (then everything is in out). */
typedef struct {
	GPid pid;
	int in, status;
	Stream streams[2];
	gboolean ended;
	GString *out, *err;
} Session;

Session *session_start(Fake *fake, gboolean terminal, const char *const *argv, const char *const *environment);
/* As session_start, of carrelctl with these arguments. */
Session *session_ctl(Fake *fake, gboolean terminal, ...) G_GNUC_NULL_TERMINATED;
void session_expect(Session *session, const char *text); /* on either output; fails the test when it does not come */
void session_send(Session *session, const char *text);
void session_close_input(Session *session);
int session_wait(Session *session); /* its exit status, or -signal */
void session_free(Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

/* Runs carrelctl to its end and checks its status. */
Session *run(Fake *fake, int status, ...) G_GNUC_NULL_TERMINATED;
void turn_for(guint ms);

#define ends(session, with) \
	do { \
		if (session_wait(session) != (with)) \
			g_error("%s:%d: status %d, not %d; out: %s err: %s", __FILE__, __LINE__, (session)->status, with, (session)->out->str, \
				(session)->err->str); \
	} while (0)
#define has(text, part) \
	do { \
		if (!strstr(text, part)) \
			g_error("%s:%d: no '%s' in: %s", __FILE__, __LINE__, part, text); \
	} while (0)
#define lacks(text, part) \
	do { \
		if (strstr(text, part)) \
			g_error("%s:%d: '%s' in: %s", __FILE__, __LINE__, part, text); \
	} while (0)
#endif
