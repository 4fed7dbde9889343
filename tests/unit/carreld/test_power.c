/* SPDX-License-Identifier: Apache-2.0 */
/* The machine sleeps and stops: every VM is told first, in order, and nothing holds it up for ever. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "rig.h"

static char *power(Rig *rig, const char *method, GVariant *args)
{
	g_autoptr(GVariant) answer = rig_call(rig, MANAGER, method, args);
	char *job;

	g_variant_get(answer, "(o)", &job);
	return job;
}

static void until_log(const char *text)
{
	for (int i = 0; i < 4000; i++) {
		g_autofree char *log = fake_text("machine.log");

		if (!strcmp(log, text))
			return;
		g_usleep(10000);
	}
	g_error("the machine was not told: %s", text);
}

static void machine_state(Rig *rig, const char *state)
{
	for (int i = 0; i < 500; i++) {
		g_autoptr(GVariant) value = rig_property(rig, MANAGER, "State");

		if (!strcmp(g_variant_get_string(value, NULL), state))
			return;
		g_usleep(10000);
	}
	g_error("the manager is not %s", state);
}

/* Two that run, one that was paused and one suspended before. */
static void four(Rig *rig)
{
	vm_define(rig, "work", NULL);
	vm_define(rig, "play", "[policy]\nstart-order=200\n");
	vm_define(rig, "held", NULL);
	vm_define(rig, "slept", NULL);
	fake_set("machine", "total", 16384 * MIB);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "play", "Start", NO_OPTIONS);
	vm_run(rig, "held", "Start", g_variant_new_parsed("({'paused': <true>},)"));
	vm_run(rig, "slept", "Start", NO_OPTIONS);
	vm_run(rig, "slept", "Suspend", NULL);
}

TEST(test_suspend)
{
	g_autofree char *job = NULL;

	four(rig);
	job = power(rig, "Suspend", NULL);
	g_free(rig_fail(rig, MANAGER, "Suspend", NULL, "Busy"));
	g_free(job_end(rig, job, NULL));
	until_log("suspend\nasleep\nawake\n");
	machine_state(rig, "running");
	vm_until(rig, "work", "running");
	vm_until(rig, "play", "running");
	/* What slept or was held before still does. */
	vm_until(rig, "held", "paused");
	vm_until(rig, "slept", "suspended");
}

/* The lid: the machine tells us, and waits. */
TEST(test_lid)
{
	four(rig);
	rig_kill(rig, SIGTERM);
	rig_start(rig);
	g_subprocess_send_signal(rig->daemon, SIGUSR1);
	until_log("asleep\nawake\n");
	machine_state(rig, "running");
	vm_until(rig, "work", "running");
	vm_until(rig, "play", "running");
	vm_until(rig, "slept", "suspended");
	/* And again. */
	g_subprocess_send_signal(rig->daemon, SIGUSR1);
	until_log("asleep\nawake\nasleep\nawake\n");
}

static gboolean sleeps(const char *vm)
{
	Fake *fake = fake_open();
	g_autofree char *group = g_strdup_printf("%u", fake_domain(fake, vm));
	gboolean asleep = g_key_file_has_key(fake->keys, group, "reason", NULL);

	fake_close(fake, FALSE);
	return asleep;
}

/* A guest that does not suspend itself is paused for the time. */
TEST(test_deaf_sleeper)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", "[policy]\nshutdown-timeout=1\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "deaf", 1);
	job = power(rig, "Suspend", NULL);
	g_free(job_end(rig, job, NULL));
	until_log("suspend\nasleep\nawake\n");
	vm_until(rig, "work", "running");
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(rig->notices->len, >=, 1);
	has((char *)rig->notices->pdata[rig->notices->len - 1], "paused");
	/* It goes through with it late: nobody would wake it. */
	fake_set("behaviour", "deaf", 0);
	fake_reason("work", "suspend");
	for (int i = 0; i < 4000 && sleeps("work"); i++)
		g_usleep(5000);
	g_assert_false(sleeps("work"));
	vm_until(rig, "work", "running");
	/* Once: after that it is its own will. */
	fake_reason("work", "suspend");
	vm_until(rig, "work", "suspended");
}

TEST(test_cannot_sleep)
{
	g_autofree char *job = NULL, *broken = g_build_filename(rig->fake, "machine-broken", NULL), *message = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_file_set_contents(broken, "", 0, NULL);
	job = power(rig, "Suspend", NULL);
	message = job_end(rig, job, "Failed");
	has(message, "cannot sleep");
	machine_state(rig, "running");
	vm_until(rig, "work", "running");
}

TEST(test_shutdown)
{
	g_autofree char *job = NULL, *message = NULL;

	g_free(rig_fail(rig, MANAGER, "Shutdown", g_variant_new("(s)", "explode"), "Invalid"));
	four(rig);
	fake_set("behaviour", "destroy-ms", 200);
	job = power(rig, "Shutdown", g_variant_new("(s)", "poweroff"));
	machine_state(rig, "stopping");
	message = vm_fail(rig, "work", "Start", NO_OPTIONS, "Busy");
	has(message, "about to");
	until_log("poweroff\n");
	g_assert_cmpuint(fake_count(), ==, 0);
	vm_until(rig, "work", "off");
	vm_until(rig, "held", "off");
	vm_until(rig, "slept", "off");
}

/* The last started goes first; the first waits for it. */
TEST(test_order)
{
	g_autofree char *job = NULL;

	four(rig);
	fake_set("behaviour", "destroy-ms", 300);
	job = power(rig, "Shutdown", g_variant_new("(s)", "reboot"));
	while (fake_running("play")) {
		g_autofree char *state = vm_state(rig, "work");

		g_assert_true(!strcmp(state, "running") || !fake_running("play"));
		g_usleep(5000);
	}
	until_log("reboot\n");
	g_assert_cmpuint(fake_count(), ==, 0);
}

/* A guest that does not answer loses its power when its time is over, with a notice. */
TEST(test_deaf_at_the_end)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", "[policy]\nshutdown-timeout=1\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "deaf", 1);
	job = power(rig, "Shutdown", g_variant_new("(s)", "poweroff"));
	until_log("poweroff\n");
	g_assert_cmpuint(fake_count(), ==, 0);
	while (g_main_context_iteration(NULL, FALSE))
		;
	has((char *)rig->notices->pdata[rig->notices->len - 1], "power is taken away");
}

/* Not even one that cannot be destroyed keeps the machine on. */
TEST(test_stuck_at_the_end)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", "[policy]\nshutdown-timeout=1\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "deaf", 1);
	fake_set("behaviour", "destroy-fails", 1);
	job = power(rig, "Shutdown", g_variant_new("(s)", "poweroff"));
	until_log("poweroff\n");
}

TEST(test_cancel)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "deaf", 1);
	job = power(rig, "Shutdown", g_variant_new("(s)", "poweroff"));
	vm_until(rig, "work", "stopping");
	g_variant_unref(rig_call(rig, job, "org.carrel.Job1", "Cancel", NULL));
	g_free(job_end(rig, job, "Cancelled"));
	machine_state(rig, "running");
	until_log("");
	g_assert_cmpuint(fake_running("work"), >, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/power/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_suspend);
	ADD(test_lid);
	ADD(test_deaf_sleeper);
	ADD(test_cannot_sleep);
	ADD(test_shutdown);
	ADD(test_order);
	ADD(test_deaf_at_the_end);
	ADD(test_stuck_at_the_end);
	ADD(test_cancel);
	return g_test_run();
}
