/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own power: logind, or what a test has in its place. */
#ifndef CARREL_MACHINE_H
#define CARREL_MACHINE_H

#include <gio/gio.h>

typedef struct Machine Machine;

typedef struct {
	/* TRUE: it is about to sleep or to stop and waits (for as long as logind's InhibitDelayMaxSec) for release(). FALSE: it is
	 * awake again, or goes on. */
	void (*sleep)(gpointer data, gboolean begins);
	void (*stop)(gpointer data, gboolean begins);
} MachineEvents;

typedef void (*MachineDone)(gpointer data, GError *error); /* the request was taken, or not; error is the callee's to read only */

struct Machine {
	void (*listen)(Machine *machine, const MachineEvents *events, gpointer data);
	void (*hold)(Machine *machine);    /* from now on wait for us before sleeping or stopping */
	void (*release)(Machine *machine); /* go ahead */
	/* what: suspend, poweroff or reboot */
	void (*request)(Machine *machine, const char *what, MachineDone done, gpointer data);
	void (*free)(Machine *machine);
};

Machine *machine_logind_new(GDBusConnection *bus, GError **error);
#endif
