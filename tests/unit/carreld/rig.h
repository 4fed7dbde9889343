/* SPDX-License-Identifier: Apache-2.0 */
/* A private bus, the daemon on it, the fake machine below it, and the calls of a client. */
#ifndef CARREL_TEST_RIG_H
#define CARREL_TEST_RIG_H

#include <gio/gio.h>
#include <string.h>

#include "fake.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define TEST(name) static void name(Rig *rig, G_GNUC_UNUSED gconstpointer data)
#define has(text, part) g_assert_nonnull(strstr((text), (part)))
#define MANAGER "/org/carrel/manager", "org.carrel.Manager1"

typedef struct {
	char *root, *fake, *config, *state, *run;
	GTestDBus *dbus;
	GDBusConnection *bus;
	GSubprocess *daemon;
	guint signal;
	GPtrArray *notices; /* texts */
} Rig;

void rig_up(Rig *rig, gconstpointer data);   /* with a daemon */
void rig_down(Rig *rig, gconstpointer data); /* checks that nothing is left over by a daemon that ends */
void rig_start(Rig *rig);
void rig_kill(Rig *rig, int signal); /* and waits for its end */
pid_t rig_pid(Rig *rig);

/* A call that must go well. args: floating, a tuple or NULL. */
GVariant *rig_call(Rig *rig, const char *path, const char *interface, const char *method, GVariant *args);
/* A call that must fail with org.carrel.Error.NAME; returns the message. */
char *rig_fail(Rig *rig, const char *path, const char *interface, const char *method, GVariant *args, const char *name);
GVariant *rig_property(Rig *rig, const char *path, const char *interface, const char *name);

/* On a VM by its name. */
char *vm_at(const char *name);
void vm_do(Rig *rig, const char *name, const char *method, GVariant *args);
char *vm_job(Rig *rig, const char *name, const char *method, GVariant *args); /* the job's path */
char *vm_fail(Rig *rig, const char *name, const char *method, GVariant *args, const char *error);
char *vm_state(Rig *rig, const char *name);
void vm_until(Rig *rig, const char *name, const char *state); /* within 40 s */
/* Waits for the end; error: NULL for done, else NotFound and so on. Returns the message. */
char *job_end(Rig *rig, const char *job, const char *error);
void vm_run(Rig *rig, const char *name, const char *method, GVariant *args); /* a job that must go well */

GVariant *vm_property(Rig *rig, const char *name, const char *property);
/* No domain, no network, no state of a run. */
void assert_nothing_left(Rig *rig, const char *name);

/* A VM of that name with a qcow2 disk of 64 MiB, defined. more: further lines, or NULL. */
void vm_define(Rig *rig, const char *name, const char *more);
void vm_disk(Rig *rig, const char *name);
#define NO_OPTIONS g_variant_new_parsed("(@a{sv} {},)")

/* The fake machine. */
void fake_set(const char *group, const char *key, guint64 value);
void fake_reason(const char *vm, const char *reason); /* its guest stops by itself */
guint64 fake_get(const char *vm, const char *key);    /* of its domain */
guint fake_running(const char *vm);                   /* its domain or 0 */
guint fake_count(void);
char *fake_text(const char *file); /* of a file in the fake machine, "" when it isn't there */
#endif
