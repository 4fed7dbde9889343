/* SPDX-License-Identifier: Apache-2.0 */
/* The life of VMs, over D-Bus: start, stop, ask, crash, and what refuses to happen. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "rig.h"

static gboolean console_is(Rig *rig, const char *path)
{
	g_autoptr(GVariant) console = vm_property(rig, "work", "Console");

	return !strcmp(g_variant_get_string(console, NULL), path);
}

/* xenconsoled was started again, and gives every guest another terminal. */
static void move_console(Rig *rig)
{
	g_autofree char *group = g_strdup_printf("%u", fake_running("work")),
			*path = g_strdup_printf("/dev/pts/%u", fake_running("work") + 9);

	fake_set(group, "console-moved", 9);
	for (int i = 0; i < 4000 && !console_is(rig, path); i++)
		g_usleep(5000);
	g_assert_true(console_is(rig, path));
}

TEST(test_start_stop)
{
	g_autoptr(GVariant) domain = NULL, started = NULL, interfaces = NULL, statistics = NULL;
	g_autofree char *path = vm_at("work"), *net = NULL, *text = NULL;

	vm_define(rig, "work", NULL);
	vm_until(rig, "work", "off");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_until(rig, "work", "running");
	domain = vm_property(rig, "work", "DomainId");
	g_assert_cmpint(g_variant_get_int32(domain), ==, (int)fake_running("work"));
	g_assert_cmpuint(fake_get("work", "paused"), ==, 0);
	g_assert_cmpuint(fake_get("work", "boot"), ==, 1024 * MIB);
	g_assert_cmpuint(fake_get("work", "nics"), ==, 1);
	started = vm_property(rig, "work", "Started");
	g_assert_cmpint(llabs((gint64)(g_variant_get_uint64(started) / 1000) - g_get_real_time()), <, 20 * G_USEC_PER_SEC);
	interfaces = vm_property(rig, "work", "Interfaces");
	text = g_variant_print(interfaces, FALSE);
	has(text, "10.77.0.2");
	move_console(rig);
	statistics = rig_call(rig, path, "org.carrel.Vm1", "GetStatistics", NULL);
	g_free(g_steal_pointer(&text));
	text = g_variant_print(statistics, FALSE);
	has(text, "net-sent");
	net = fake_text("net.ini");
	has(net, "work/eth0");
	vm_run(rig, "work", "Shutdown", g_variant_new("(u)", 5));
	vm_until(rig, "work", "off");
	g_assert_true(console_is(rig, ""));
	assert_nothing_left(rig, "work");
}

TEST(test_paused_start)
{
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", g_variant_new_parsed("({'paused': <true>},)"));
	vm_until(rig, "work", "paused");
	g_assert_cmpuint(fake_get("work", "paused"), ==, 1);
	vm_do(rig, "work", "Unpause", NULL);
	vm_until(rig, "work", "running");
	vm_do(rig, "work", "Pause", NULL);
	vm_until(rig, "work", "paused");
	g_free(vm_fail(rig, "work", "Pause", NULL, "State"));
	g_free(vm_fail(rig, "work", "Shutdown", g_variant_new("(u)", 1), "State"));
	vm_run(rig, "work", "ForceOff", NULL);
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

TEST(test_suspend_resume)
{
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "work", "Suspend", NULL);
	vm_until(rig, "work", "suspended");
	g_free(vm_fail(rig, "work", "Suspend", NULL, "State"));
	vm_run(rig, "work", "Resume", NULL);
	vm_until(rig, "work", "running");
}

TEST(test_deaf_guest)
{
	g_autofree char *job = NULL, *message = NULL, *off = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "deaf", 1);
	job = vm_job(rig, "work", "Shutdown", g_variant_new("(u)", 1));
	vm_until(rig, "work", "stopping");
	message = job_end(rig, job, "Timeout");
	has(message, "work");
	has(message, "force it off");
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_running("work"), >, 0);
	/* Cancelled: it goes on too. */
	g_free(g_steal_pointer(&job));
	job = vm_job(rig, "work", "Shutdown", g_variant_new("(u)", 60));
	g_variant_unref(rig_call(rig, job, "org.carrel.Job1", "Cancel", NULL));
	g_free(job_end(rig, job, "Cancelled"));
	vm_until(rig, "work", "running");
	/* Forced off while somebody waits for it. */
	g_free(g_steal_pointer(&job));
	job = vm_job(rig, "work", "Shutdown", g_variant_new("(u)", 60));
	off = vm_job(rig, "work", "ForceOff", NULL);
	g_free(job_end(rig, job, "Cancelled"));
	g_free(job_end(rig, off, NULL));
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

TEST(test_force_off_while_starting)
{
	g_autofree char *job = NULL, *off = NULL;

	vm_define(rig, "work", NULL);
	fake_set("behaviour", "create-ms", 500);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	while (!fake_running("work"))
		g_usleep(5000);
	off = vm_job(rig, "work", "ForceOff", NULL);
	g_free(vm_fail(rig, "work", "ForceOff", NULL, "Busy"));
	g_free(job_end(rig, job, "Cancelled"));
	g_free(job_end(rig, off, NULL));
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

typedef struct {
	GString *order; /* of signals */
	GMainLoop *loop;
} Heard;

static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name,
	GVariant *args, gpointer data)
{
	Heard *heard = data;
	g_autofree char *text = g_variant_print(args, FALSE);

	(void)bus, (void)sender, (void)interface;
	if (strstr(path, "/vm/") && strstr(text, "'State': <'running'>"))
		g_string_append(heard->order, "vm ");
	if (strstr(path, "/job/") && !strcmp(name, "Finished")) {
		g_string_append(heard->order, "job");
		g_main_loop_quit(heard->loop);
	}
}

/* Who hears that a start has ended has heard that the VM runs. */
TEST(test_signals)
{
	Heard heard = { g_string_new(NULL), g_main_loop_new(NULL, FALSE) };
	guint signal;

	vm_define(rig, "work", NULL);
	signal = g_dbus_connection_signal_subscribe(rig->bus, "org.carrel", NULL, NULL, NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal,
		&heard, NULL);
	g_free(vm_job(rig, "work", "Start", NO_OPTIONS));
	g_main_loop_run(heard.loop);
	g_assert_cmpstr(heard.order->str, ==, "vm job");
	g_dbus_connection_signal_unsubscribe(rig->bus, signal);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_string_free(heard.order, TRUE);
	g_main_loop_unref(heard.loop);
}

TEST(test_busy_and_states)
{
	g_autofree char *job = NULL, *message = NULL;

	vm_define(rig, "work", NULL);
	g_free(vm_fail(rig, "work", "Shutdown", g_variant_new("(u)", 1), "State"));
	g_free(vm_fail(rig, "work", "ForceOff", NULL, "State"));
	g_free(vm_fail(rig, "work", "Resume", NULL, "State"));
	fake_set("behaviour", "create-ms", 300);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	message = vm_fail(rig, "work", "Start", NO_OPTIONS, "Busy");
	has(message, "Start");
	g_free(vm_fail(rig, "work", "Delete", NO_OPTIONS, "Busy"));
	g_free(job_end(rig, job, NULL));
	g_free(vm_fail(rig, "work", "Start", NO_OPTIONS, "State"));
	g_free(vm_fail(rig, "work", "Delete", NO_OPTIONS, "State"));
	g_free(vm_fail(rig, "work", "Start", g_variant_new_parsed("({'pausd': <true>},)"), "Invalid"));
	g_free(vm_fail(rig, "work", "Start", g_variant_new_parsed("({'paused': <'yes'>},)"), "Invalid"));
}

TEST(test_guest_by_itself)
{
	guint first;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	first = fake_running("work");
	fake_reason("work", "reboot");
	for (int i = 0; i < 4000 && (!fake_running("work") || fake_running("work") == first); i++)
		g_usleep(10000);
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_running("work"), >, first);
	vm_run(rig, "work", "Reboot", g_variant_new("(u)", 5));
	vm_until(rig, "work", "running");
	g_assert_cmpuint(fake_running("work"), >, first + 1);
	fake_reason("work", "poweroff");
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

TEST(test_crash_off)
{
	g_autoptr(GVariant) problem = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_reason("work", "crash");
	vm_until(rig, "work", "crashed");
	problem = vm_property(rig, "work", "Problem");
	has(g_variant_get_string(problem, NULL), "crashed");
	assert_nothing_left(rig, "work");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_until(rig, "work", "running");
}

TEST(test_crash_preserve)
{
	vm_define(rig, "work", "[policy]\non-crash=preserve\n");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_reason("work", "crash");
	vm_until(rig, "work", "crashed");
	g_assert_cmpuint(fake_running("work"), >, 0);
	g_free(vm_fail(rig, "work", "Start", NO_OPTIONS, "State"));
	vm_run(rig, "work", "ForceOff", NULL);
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

/* A guest that crashes as soon as it runs is started four times and no more. */
TEST(test_crash_loop)
{
	g_autofree char *path = g_build_filename(rig->fake, "domains.ini", NULL);
	Fake *fake;
	guint64 last;

	vm_define(rig, "work", "[policy]\non-crash=restart\n");
	fake_set("behaviour", "crash-boot", 1);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_until(rig, "work", "crashed");
	fake = fake_open();
	last = fake_number(fake, "machine", "last");
	fake_close(fake, FALSE);
	g_assert_cmpuint(last, ==, 4);
	assert_nothing_left(rig, "work");
}

TEST(test_destroyed_by_others)
{
	Fake *fake;
	g_autofree char *group = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake = fake_open();
	group = g_strdup_printf("%u", fake_domain(fake, "work"));
	g_key_file_remove_group(fake->keys, group, NULL);
	fake_close(fake, TRUE);
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
}

TEST(test_start_fails)
{
	g_autofree char *job = NULL, *message = NULL, *path = g_build_filename(rig->state, "vms", "work", "xvda.qcow2", NULL);
	g_autofree char *broken = g_build_filename(rig->fake, "net-broken", NULL);

	vm_define(rig, "work", NULL);
	fake_set("behaviour", "create-fails", 1);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	g_free(job_end(rig, job, "Failed"));
	vm_until(rig, "work", "off");
	assert_nothing_left(rig, "work");
	fake_set("behaviour", "create-fails", 0);
	/* A bridge that is somebody else's. */
	g_file_set_contents(broken, "", 0, NULL);
	g_free(job);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	message = job_end(rig, job, "Exists");
	has(message, "cr-alien");
	vm_until(rig, "work", "off");
	g_unlink(broken);
	/* No disk. */
	g_unlink(path);
	g_free(job);
	g_free(message);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	message = job_end(rig, job, "NotFound");
	has(message, "xvda.qcow2");
	has(message, "work");
	/* Not a qcow2 image. */
	g_file_set_contents(path, "garbage", -1, NULL);
	g_free(job);
	g_free(message);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	message = job_end(rig, job, "Invalid");
	has(message, "xvda.qcow2");
	assert_nothing_left(rig, "work");
	g_unlink(path);
	vm_disk(rig, "work");
	vm_run(rig, "work", "Start", NO_OPTIONS);
}

TEST(test_disk_in_use)
{
	g_autofree char *message = NULL, *path = g_build_filename(rig->state, "vms", "work", "xvda.qcow2", NULL);
	g_autofree char *more = g_strdup_printf("[disk xvdb]\nfile=%s\n", path);

	vm_define(rig, "work", NULL);
	vm_define(rig, "play", more);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	message = vm_fail(rig, "play", "Start", NO_OPTIONS, "Busy");
	has(message, "xvdb");
	has(message, "work");
	vm_run(rig, "work", "ForceOff", NULL);
	vm_run(rig, "play", "Start", NO_OPTIONS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/life/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_start_stop);
	ADD(test_paused_start);
	ADD(test_suspend_resume);
	ADD(test_deaf_guest);
	ADD(test_force_off_while_starting);
	ADD(test_signals);
	ADD(test_busy_and_states);
	ADD(test_guest_by_itself);
	ADD(test_crash_off);
	ADD(test_crash_preserve);
	ADD(test_crash_loop);
	ADD(test_destroyed_by_others);
	ADD(test_start_fails);
	ADD(test_disk_in_use);
	return g_test_run();
}
