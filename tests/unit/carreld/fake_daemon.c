/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon with another hypervisor, another polkit and another machine below it; all else is what ships. */
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

#include "carreld.h"
#include "fake.h"

Hv *fake_hv_new(GError **error);

/* Everything is allowed but what the file 'deny' names. */
static void check(Auth *auth, const char *sender, const char *action, gboolean interactive, AuthDone done, gpointer data)
{
	g_autofree char *path = fake_path("deny"), *text = NULL;
	g_autoptr(GError) error = NULL;

	(void)auth, (void)sender, (void)interactive;
	if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, action))
		carrel_fail(&error, CARREL_ERROR_DENIED, "you may not do this (%s)", action);
	done(data, error);
}

static void auth_free(Auth *auth)
{
	(void)auth;
}

static void m_free(Machine *machine)
{
	(void)machine;
}

static Auth *auth_new(GDBusConnection *bus, GError **error)
{
	static Auth auth = { .check = check, .free = auth_free };

	(void)bus, (void)error;
	return &auth;
}

typedef struct {
	Machine machine;
	const MachineEvents *events;
	gpointer data;
	gboolean held, waiting, awake;
} FakeMachine;

static void note(const char *what)
{
	g_autofree char *path = fake_path("machine.log");
	FILE *log = fopen(path, "a");

	fprintf(log, "%s\n", what);
	fclose(log);
}

static gboolean wake(gpointer data)
{
	FakeMachine *machine = data;

	note("awake");
	machine->events->sleep(machine->data, FALSE);
	return G_SOURCE_REMOVE;
}

static void sleep_now(FakeMachine *machine)
{
	machine->waiting = FALSE;
	note("asleep");
	g_timeout_add(100, wake, machine);
}

/* As logind does it: announced to all, then it waits for those who hold it. */
static gboolean fall_asleep(gpointer data)
{
	FakeMachine *machine = data;

	machine->waiting = TRUE;
	machine->events->sleep(machine->data, TRUE);
	if (machine->waiting && !machine->held)
		sleep_now(machine);
	return G_SOURCE_CONTINUE;
}

static gboolean fall_asleep_once(gpointer data)
{
	fall_asleep(data);
	return G_SOURCE_REMOVE;
}

static void m_listen(Machine *base, const MachineEvents *events, gpointer data)
{
	FakeMachine *machine = (FakeMachine *)base;

	machine->events = events;
	machine->data = data;
	g_unix_signal_add(SIGUSR1, fall_asleep, machine);
}

static void m_hold(Machine *base)
{
	((FakeMachine *)base)->held = TRUE;
}

static void m_release(Machine *base)
{
	FakeMachine *machine = (FakeMachine *)base;

	machine->held = FALSE;
	if (machine->waiting)
		sleep_now(machine);
}

static void m_request(Machine *base, const char *what, MachineDone done, gpointer data)
{
	g_autofree char *broken = fake_path("machine-broken");
	g_autoptr(GError) error = NULL;

	if (g_file_test(broken, G_FILE_TEST_EXISTS))
		error = g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "this machine cannot sleep");
	else
		note(what);
	done(data, error);
	if (!error && !strcmp(what, "suspend"))
		g_idle_add(fall_asleep_once, base);
}

static Machine *machine_new(GDBusConnection *bus, GError **error)
{
	static FakeMachine machine = { .machine = { m_listen, m_hold, m_release, m_request, m_free } };

	(void)bus, (void)error;
	return &machine.machine;
}

int main(int argc, char **argv)
{
	const Seams seams = { fake_hv_new, auth_new, machine_new };

	return carreld_main(argc, argv, &seams);
}
