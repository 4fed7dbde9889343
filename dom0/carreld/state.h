/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a VM and what may be done in each. Pure. */
#ifndef CARREL_STATE_H
#define CARREL_STATE_H

#include <glib.h>

typedef enum {
	VM_OFF, VM_STARTING, VM_RUNNING, VM_PAUSED, VM_SUSPENDING, VM_SUSPENDED, VM_STOPPING, VM_CRASHED, VM_BROKEN, VM_STATES
} VmState;

typedef enum {
	ACT_START, ACT_SHUTDOWN, ACT_REBOOT, ACT_FORCE_OFF, ACT_PAUSE, ACT_UNPAUSE, ACT_SUSPEND, ACT_RESUME, ACT_DELETE,
	ACT_SNAPSHOT, ACT_DELETE_SNAPSHOT, ACT_REVERT, ACT_CLONE, ACT_EXPORT, ACT_CHANGES, ACT_UNLOCK, ACT_LOCK,
	ACT_PASSPHRASE, VM_ACTIONS
} VmAction;

const char *vm_state_name(VmState state);
const char *vm_action_name(VmAction action); /* of the D-Bus method */
/* Whether a VM in that state can be asked; the error says in which states it could be. domain: a crashed VM may have kept its. */
gboolean vm_state_allows(VmState state, gboolean domain, VmAction action, const char *vm, GError **error);
/* Whether guests run instructions, or would if nobody held them. */
gboolean vm_state_alive(VmState state);

/* Whether to start again after a crash; notes it in crashes (the last four, µs, 0: none). More than three in ten minutes are no restart. */
#define CRASHES_KEPT 4
#define CRASH_WINDOW (600 * G_USEC_PER_SEC)
gboolean crash_may_restart(gint64 crashes[CRASHES_KEPT], gint64 now);
#endif
