/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

#include "error.h"

static const char *const names[VM_STATES] = { "off", "starting", "running", "paused", "suspending", "suspended", "stopping",
	"crashed", "broken" };

#define IN(state) (1u << VM_##state)
#define ANY_DOMAIN (IN(STARTING) | IN(RUNNING) | IN(PAUSED) | IN(SUSPENDING) | IN(SUSPENDED) | IN(STOPPING) | IN(CRASHED))

static const struct {
	const char *name;
	guint states;
	gboolean no_domain; /* not while a crashed VM is kept for a debugger */
} actions[VM_ACTIONS] = {
	[ACT_START] = { "Start", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_SHUTDOWN] = { "Shutdown", IN(RUNNING), FALSE },
	[ACT_REBOOT] = { "Reboot", IN(RUNNING), FALSE },
	[ACT_FORCE_OFF] = { "ForceOff", ANY_DOMAIN, FALSE },
	[ACT_PAUSE] = { "Pause", IN(RUNNING), FALSE },
	[ACT_UNPAUSE] = { "Unpause", IN(PAUSED), FALSE },
	[ACT_SUSPEND] = { "Suspend", IN(RUNNING), FALSE },
	[ACT_RESUME] = { "Resume", IN(SUSPENDED), FALSE },
	[ACT_DELETE] = { "Delete", IN(OFF) | IN(CRASHED) | IN(BROKEN), TRUE },
	[ACT_SNAPSHOT] = { "Snapshot", IN(OFF) | IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) | IN(CRASHED), TRUE },
	[ACT_DELETE_SNAPSHOT] = { "DeleteSnapshot", IN(OFF) | IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) | IN(CRASHED), TRUE },
	[ACT_REVERT] = { "Revert", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_CLONE] = { "Clone", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_EXPORT] = { "Export", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_CHANGES] = { "ChangedBlocks", IN(OFF) | IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) | IN(CRASHED), FALSE },
	[ACT_UNLOCK] = { "Unlock", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_LOCK] = { "Lock", IN(OFF) | IN(CRASHED), TRUE },
	[ACT_PASSPHRASE] = { "ChangePassphrase", IN(OFF) | IN(RUNNING) | IN(PAUSED) | IN(SUSPENDED) | IN(CRASHED), FALSE },
};

const char *vm_state_name(VmState state)
{
	return names[state];
}

const char *vm_action_name(VmAction action)
{
	return actions[action].name;
}

static char *state_list(guint states)
{
	GString *list = g_string_new(NULL);

	for (guint i = 0; i < VM_STATES; i++)
		if (states & (1u << i))
			g_string_append_printf(list, "%s%s", list->len ? ", " : "", names[i]);
	return g_string_free(list, FALSE);
}

gboolean vm_state_allows(VmState state, gboolean domain, VmAction action, const char *vm, GError **error)
{
	g_autofree char *list = NULL;

	if (state == VM_CRASHED && domain && actions[action].no_domain)
		return carrel_fail(error, CARREL_ERROR_STATE, "VM %s crashed and is kept for a debugger: force it off first", vm);
	/* A crashed VM that wasn't kept is as good as off. */
	if (actions[action].states & (1u << state) && !(action == ACT_FORCE_OFF && state == VM_CRASHED && !domain))
		return TRUE;
	if (state == VM_BROKEN)
		return carrel_fail(error, CARREL_ERROR_INVALID, "VM %s: its file is broken: correct it (SetDefinition), or delete the VM", vm);
	list = state_list(actions[action].states);
	return carrel_fail(error, CARREL_ERROR_STATE, "VM %s is %s; %s needs it to be %s", vm, names[state], actions[action].name, list);
}

gboolean vm_state_alive(VmState state)
{
	return state != VM_OFF && state != VM_CRASHED && state != VM_BROKEN;
}

gboolean crash_may_restart(gint64 crashes[CRASHES_KEPT], gint64 now)
{
	guint recent = 0;

	memmove(&crashes[1], &crashes[0], (CRASHES_KEPT - 1) * sizeof(crashes[0]));
	crashes[0] = now;
	for (guint i = 0; i < CRASHES_KEPT; i++)
		recent += crashes[i] && now - crashes[i] < CRASH_WINDOW;
	return recent < CRASHES_KEPT;
}
