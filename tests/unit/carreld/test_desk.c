/* SPDX-License-Identifier: Apache-2.0 */
/* Screens and sound: with a desk that serves them, with one that doesn't, without one; and what a kill in between leaves. */
#include <signal.h>
#include <string.h>

#include "rig.h"

#define SCREEN "[display]\nscreens=2\n[sound]\nplay=true\n"

static void own_desk(Rig *rig, const char *method)
{
	g_autoptr(GError) error = NULL;
	gboolean request = !strcmp(method, "RequestName");
	g_autoptr(GVariant) answer = g_dbus_connection_call_sync(rig->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", method, request ? g_variant_new("(su)", "org.carrel.Desk", 0) : g_variant_new("(s)", "org.carrel.Desk"),
		NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);

	g_assert_no_error(error);
	/* The daemon hears of it from the bus, in order with the calls that follow. */
}

/* As the desk sees it: the domain that has just been told of, while it starts. */
static guint until_announced(Rig *rig, const char *vm, guint not)
{
	for (int i = 0; i < 4000; i++) {
		g_autoptr(GVariant) domain = vm_property(rig, vm, "DomainId");

		if (g_variant_get_int32(domain) > (int)not)
			return g_variant_get_int32(domain);
		g_usleep(5000);
	}
	g_error("no domain of %s is told of", vm);
}

static void assert_not_announced(Rig *rig, const char *vm)
{
	g_autoptr(GVariant) domain = vm_property(rig, vm, "DomainId");

	g_assert_cmpint(g_variant_get_int32(domain), ==, -1);
}

static void serve(guint domain)
{
	g_autofree char *group = g_strdup_printf("%u", domain);

	fake_set(group, "served", 1);
}

static gboolean noticed(Rig *rig, const char *text)
{
	gboolean found = FALSE;

	while (g_main_context_iteration(NULL, FALSE))
		;
	for (guint i = 0; i < rig->notices->len; i++)
		found |= strstr(rig->notices->pdata[i], text) != NULL;
	return found;
}

TEST(test_served)
{
	g_autofree char *job = NULL, *state = NULL;
	guint domain, second;

	vm_define(rig, "work", SCREEN);
	fake_set("behaviour", "view-ms", 30000);
	own_desk(rig, "RequestName");
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	domain = until_announced(rig, "work", 0);
	state = vm_state(rig, "work");
	g_assert_cmpstr(state, ==, "starting");
	g_assert_cmpuint(domain, ==, fake_running("work"));
	g_assert_cmpuint(fake_get("work", "paused"), ==, 1);
	serve(domain);
	g_free(job_end(rig, job, NULL));
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_get("work", "screens"), ==, 2);
	g_assert_cmpuint(fake_get("work", "play"), ==, 1);
	g_assert_cmpuint(fake_get("work", "record"), ==, 0);
	g_assert_cmpuint(fake_get("work", "paused"), ==, 0);
	g_assert_false(noticed(rig, "served"));
	/* A restart is another domain with screens of its own. */
	fake_reason("work", "reboot");
	second = until_announced(rig, "work", domain);
	serve(second);
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_running("work"), ==, second);
	vm_run(rig, "work", "ForceOff", NULL);
	assert_not_announced(rig, "work");
	assert_nothing_left(rig, "work");
}

TEST(test_record)
{
	vm_define(rig, "work", "[sound]\nrecord=true\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(fake_get("work", "record"), ==, 1);
	g_assert_cmpuint(fake_get("work", "play"), ==, 0);
	g_assert_cmpuint(fake_get("work", "screens"), ==, 0);
}

/* The desk is there and its view doesn't come: told, and no more. */
TEST(test_not_served)
{
	vm_define(rig, "work", SCREEN);
	own_desk(rig, "RequestName");
	fake_set("behaviour", "view-ms", 200);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_get("work", "paused"), ==, 0);
	for (int i = 0; i < 1000 && !noticed(rig, "not served yet"); i++)
		g_usleep(5000);
	g_assert_true(noticed(rig, "not served yet"));
}

/* Without a desk nobody is waited for, though its screens are there for one that comes. */
TEST(test_no_desk)
{
	gint64 start = g_get_monotonic_time();

	vm_define(rig, "work", SCREEN);
	vm_define(rig, "server", NULL);
	fake_set("behaviour", "view-ms", 30000);
	own_desk(rig, "RequestName");
	own_desk(rig, "ReleaseName");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
	g_assert_cmpuint(fake_get("work", "screens"), ==, 2);
	for (int i = 0; i < 1000 && !noticed(rig, "without a desk"); i++)
		g_usleep(5000);
	g_assert_true(noticed(rig, "without a desk"));
	g_ptr_array_set_size(rig->notices, 0);
	vm_run(rig, "server", "Start", NO_OPTIONS);
	vm_until(rig, "server", "running");
	g_assert_false(noticed(rig, "desk"));
}

TEST(test_force_off)
{
	g_autofree char *job = NULL;
	gint64 start = g_get_monotonic_time();

	vm_define(rig, "work", SCREEN);
	fake_set("behaviour", "view-ms", 60000);
	own_desk(rig, "RequestName");
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	until_announced(rig, "work", 0);
	vm_run(rig, "work", "ForceOff", NULL);
	g_free(job_end(rig, job, "Cancelled"));
	g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
	vm_until(rig, "work", "off");
	assert_not_announced(rig, "work");
	assert_nothing_left(rig, "work");
}

TEST(test_killed)
{
	guint domain;

	vm_define(rig, "work", SCREEN);
	fake_set("behaviour", "view-ms", 60000);
	own_desk(rig, "RequestName");
	g_free(vm_job(rig, "work", "Start", NO_OPTIONS));
	until_announced(rig, "work", 0);
	rig_kill(rig, SIGKILL);
	rig_start(rig);
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
	g_free(vm_job(rig, "work", "Start", NO_OPTIONS));
	domain = until_announced(rig, "work", 0);
	serve(domain);
	vm_until(rig, "work", "running");
	/* The next one knows the domain that the view serves. */
	rig_kill(rig, SIGKILL);
	rig_start(rig);
	g_assert_cmpuint(until_announced(rig, "work", 0), ==, domain);
	vm_until(rig, "work", "running");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/desk/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_served);
	ADD(test_record);
	ADD(test_not_served);
	ADD(test_no_desk);
	ADD(test_force_off);
	ADD(test_killed);
	return g_test_run();
}
