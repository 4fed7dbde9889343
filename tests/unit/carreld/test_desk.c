/* SPDX-License-Identifier: Apache-2.0 */
/* Screens and sound: with a desk that serves them, with one that doesn't, without one; and what a kill in between leaves. */
#include <signal.h>
#include <string.h>

#include "rig.h"

#define DESK "org.carrel.Desk"
#define lacks(text, part) g_assert_null(strstr((text), (part)))
#define SCREEN "[display]\nscreens=2\n[sound]\nplay=true\n"

static void own(Rig *rig, const char *method, const char *name)
{
	g_autoptr(GError) error = NULL;
	gboolean request = !strcmp(method, "RequestName");
	g_autoptr(GVariant) answer = g_dbus_connection_call_sync(rig->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", method, request ? g_variant_new("(su)", name, 0) : g_variant_new("(s)", name),
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
	own(rig, "RequestName", DESK);
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

static void on_unit(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *method, GVariant *args,
	GDBusMethodInvocation *invocation, gpointer data)
{
	GString *calls = data;
	const char *unit;

	(void)bus, (void)sender, (void)path, (void)interface;
	g_variant_get(args, "(&ss)", &unit, NULL);
	g_string_append_printf(calls, "%s %s\n", method, unit);
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", "/job"));
}

#define METHOD(name) "<method name='" name "'><arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='o' direction='out'/></method>"

/* In systemd's place on this bus. */
static guint be_systemd(Rig *rig, GString *calls)
{
	static const GDBusInterfaceVTable table = { .method_call = on_unit };
	g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml("<node><interface name='org.freedesktop.systemd1.Manager'>"
		METHOD("StartUnit") METHOD("RestartUnit") METHOD("StopUnit") "</interface></node>", NULL);

	own(rig, "RequestName", "org.freedesktop.systemd1");
	return g_dbus_connection_register_object(rig->bus, "/org/freedesktop/systemd1", info->interfaces[0], &table, calls, NULL, NULL);
}

static void until_called(GString *calls, const char *call)
{
	for (int i = 0; i < 4000 && !strstr(calls->str, call); i++) {
		while (g_main_context_iteration(NULL, FALSE))
			;
		g_usleep(5000);
	}
	has(calls->str, call);
}

/* What may only be heard has no loudspeakers, and the reverse; a unit serves it, which outlives the daemon. */
TEST(test_sound)
{
	g_autofree char *path = g_build_filename(rig->run, "sound", "work.env", NULL), *text = NULL, *wanted = NULL;
	GString *calls = g_string_new(NULL);
	guint object = be_systemd(rig, calls);

	vm_define(rig, "work", "[sound]\nrecord=true\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(fake_get("work", "record"), ==, 1);
	g_assert_cmpuint(fake_get("work", "play"), ==, 0);
	g_assert_cmpuint(fake_get("work", "screens"), ==, 0);
	wanted = g_strdup_printf("CARREL_VM=work\nCARREL_DOMAIN=%u\n", fake_running("work"));
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, wanted);
	until_called(calls, "RestartUnit carrel-sound@work.service");
	g_string_truncate(calls, 0);
	rig_kill(rig, SIGKILL);
	rig_start(rig);
	until_called(calls, "StartUnit carrel-sound@work.service");
	lacks(calls->str, "Re");
	lacks(calls->str, "Stop");
	vm_run(rig, "work", "ForceOff", NULL);
	until_called(calls, "StopUnit carrel-sound@work.service");
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_dbus_connection_unregister_object(rig->bus, object);
	g_string_free(calls, TRUE);
}

static gboolean recording(Rig *rig, const char *vm)
{
	g_autoptr(GVariant) value = vm_property(rig, vm, "Recording");

	return g_variant_get_boolean(value);
}

/* Its back end says so, and everybody may know. */
static void record(Rig *rig, gboolean on)
{
	g_autofree char *group = g_strdup_printf("%u", fake_running("work"));

	fake_set(group, "recording", on);
	for (int i = 0; i < 4000 && recording(rig, "work") != on; i++)
		g_usleep(5000);
	g_assert_cmpint(recording(rig, "work"), ==, on);
}

/* The sign follows the back end, and what the file permits follows the file. */
TEST(test_recording)
{
	vm_define(rig, "work", "[sound]\nplay=true\nrecord=true\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_false(recording(rig, "work"));
	record(rig, TRUE);
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "sound", "record", "false"));
	g_assert_cmpuint(fake_get("work", "may-play"), ==, 1);
	g_assert_cmpuint(fake_get("work", "may-record"), ==, 0);
	record(rig, FALSE);
	record(rig, TRUE);
	vm_run(rig, "work", "ForceOff", NULL);
	g_assert_false(recording(rig, "work"));
}

/* The desk is there and its view doesn't come: told, and no more. */
TEST(test_not_served)
{
	vm_define(rig, "work", SCREEN);
	own(rig, "RequestName", DESK);
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
	own(rig, "RequestName", DESK);
	own(rig, "ReleaseName", DESK);
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
	own(rig, "RequestName", DESK);
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
	own(rig, "RequestName", DESK);
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
	ADD(test_sound);
	ADD(test_recording);
	ADD(test_not_served);
	ADD(test_no_desk);
	ADD(test_force_off);
	ADD(test_killed);
	return g_test_run();
}
