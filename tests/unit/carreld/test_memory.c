/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and shares, over D-Bus: who gets what when VMs start and when the screen changes; and that nothing runs when nothing does. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "rig.h"
#include "share.h"

TEST(test_no_memory)
{
	g_autofree char *job = NULL, *message = NULL;

	vm_define(rig, "work", NULL);
	vm_define(rig, "huge", NULL);
	vm_do(rig, "huge", "Set", g_variant_new("(sss)", "machine", "memory-max", "8G"));
	vm_do(rig, "huge", "Set", g_variant_new("(sss)", "machine", "memory-min", "6G"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	job = vm_job(rig, "huge", "Start", NO_OPTIONS);
	message = job_end(rig, job, "NoMemory");
	has(message, "huge");
	has(message, "are missing");
	vm_until(rig, "huge", "off");
	assert_nothing_left(rig, "huge");
	/* Nothing was taken from the other one for it. */
	g_assert_cmpuint(fake_get("work", "memory"), ==, 1024 * MIB);
	fake_set("machine", "dom0-available", 10 * MIB);
	vm_run(rig, "work", "ForceOff", NULL);
	g_free(job);
	g_free(message);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	message = job_end(rig, job, "NoMemory");
	has(message, "service domain");
}

/* The second one gets room from the first. */
TEST(test_reclaim)
{
	vm_define(rig, "work", NULL);
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "machine", "memory-max", "3G"));
	vm_define(rig, "play", NULL);
	vm_do(rig, "play", "Set", g_variant_new("(sss)", "machine", "memory-max", "2G"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(fake_get("work", "memory"), ==, 3072 * MIB);
	vm_run(rig, "play", "Start", NO_OPTIONS);
	g_assert_cmpuint(fake_get("work", "memory"), <, 3072 * MIB);
	g_assert_cmpuint(fake_get("work", "memory"), >=, 256 * MIB);
	g_assert_cmpuint(fake_get("play", "boot"), >=, 1024 * MIB);
}

/* What was reclaimed for a VM that starts is not handed out again before it has it. */
TEST(test_reserved)
{
	g_autofree char *job = NULL, *group = NULL, *path = vm_at("work");

	vm_define(rig, "work", NULL);
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "machine", "memory-max", "3G"));
	vm_define(rig, "play", NULL);
	vm_do(rig, "play", "Set", g_variant_new("(sss)", "machine", "memory-max", "2G"));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "build-ms", 2000);
	job = vm_job(rig, "play", "Start", NO_OPTIONS);
	while (fake_get("work", "memory") == 3072 * MIB)
		g_usleep(5000);
	group = g_strdup_printf("%u", fake_running("work"));
	fake_set(group, "demand", 2900 * MIB);
	g_variant_unref(rig_call(rig, MANAGER, "SetForeground", g_variant_new("(o)", path)));
	g_free(job_end(rig, job, NULL));
}

TEST(test_foreground)
{
	g_autofree char *work = vm_at("work"), *play = vm_at("play");
	g_autoptr(GVariant) foreground = NULL, flag = NULL;

	vm_define(rig, "work", NULL);
	vm_define(rig, "play", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "play", "Start", NO_OPTIONS);
	g_variant_unref(rig_call(rig, MANAGER, "SetForeground", g_variant_new("(o)", work)));
	for (int i = 0; i < 4000 && fake_get("work", "weight") != 65535; i++)
		g_usleep(10000);
	g_assert_cmpuint(fake_get("work", "weight"), ==, 65535);
	g_assert_cmpuint(fake_get("play", "weight"), ==, 256);
	foreground = rig_property(rig, MANAGER, "Foreground");
	g_assert_cmpstr(g_variant_get_string(foreground, NULL), ==, work);
	/* It survives the daemon. */
	rig_kill(rig, SIGKILL);
	rig_start(rig);
	g_clear_pointer(&foreground, g_variant_unref);
	foreground = rig_property(rig, MANAGER, "Foreground");
	g_assert_cmpstr(g_variant_get_string(foreground, NULL), ==, work);
	flag = vm_property(rig, "work", "Foreground");
	g_assert_true(g_variant_get_boolean(flag));
	g_variant_unref(rig_call(rig, MANAGER, "SetForeground", g_variant_new("(o)", "/")));
	g_free(rig_fail(rig, MANAGER, "SetForeground", g_variant_new("(o)", "/org/carrel/vm/nobody"), "NotFound"));
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "policy", "weight", "1000"));
	for (int i = 0; i < 4000 && fake_get("work", "weight") != 1000; i++)
		g_usleep(10000);
	g_assert_cmpuint(fake_get("work", "weight"), ==, 1000);
}

static void put_on_screen(Rig *rig, const char *vm)
{
	g_autofree char *path = vm_at(vm);

	g_variant_unref(rig_call(rig, MANAGER, "SetForeground", g_variant_new("(o)", path)));
}

static void until(const char *vm, const char *key, guint64 value)
{
	for (int i = 0; i < 4000 && fake_get(vm, key) != value; i++)
		g_usleep(10000);
	g_assert_cmpuint(fake_get(vm, key), ==, value);
}

static void until_net_has(const char *part)
{
	for (int i = 0; i < 4000; i++) {
		g_autofree char *net = fake_text("net.ini");

		if (strstr(net, part))
			return;
		g_usleep(10000);
	}
	g_assert_not_reached();
}

static void two_with_capacity(Rig *rig)
{
	g_autofree char *path = g_build_filename(rig->config, "carreld.conf", NULL), *raw = NULL;

	g_assert_true(g_file_set_contents(path, "[machine]\ndisk-bandwidth=100000000\nnetwork-bandwidth=50000000\n", -1, NULL));
	rig_kill(rig, SIGTERM);
	rig_start(rig);
	vm_define(rig, "work", NULL);
	vm_define(rig, "play", "[disk xvdb]\nfile=raw.img\nformat=raw\n");
	raw = g_build_filename(rig->state, "vms/play/raw.img", NULL);
	g_assert_true(g_file_set_contents(raw, "", 0, NULL));
	vm_run(rig, "work", "Start", NO_OPTIONS);
	put_on_screen(rig, "work");
	vm_run(rig, "play", "Start", NO_OPTIONS);
}

/* Disk and network follow the screen, also of a VM that was started in the background; the last switch counts however long an
 * earlier one takes, and a disk server that did not answer is told again. */
TEST(test_shares)
{
	two_with_capacity(rig);
	until("play", "disk-bps", 20000000);
	until("play", "nice", SHARE_BACKGROUND_NICE);
	until("play", "kernel-nice", SHARE_BACKGROUND_NICE * 100 + 1);
	until("play", "kernel-bps", 20000000);
	until_net_has("play/eth0 in=10000000");
	g_assert_cmpuint(fake_get("work", "disk-bps"), ==, 0);
	fake_set("behaviour", "share-ms", 300);
	put_on_screen(rig, "play");
	g_usleep(100000);
	fake_set("behaviour", "share-ms", 0);
	put_on_screen(rig, "work");
	g_usleep(1500000);
	until("work", "nice", 0);
	until("work", "disk-bps", 0);
	until("play", "disk-bps", 20000000);
	fake_set("behaviour", "share-fails", 1);
	put_on_screen(rig, "play");
	g_usleep(500000);
	fake_set("behaviour", "share-fails", 0);
	until("play", "nice", 0);
	until("play", "kernel-bps", 0);
	until("work", "nice", SHARE_BACKGROUND_NICE);
}

/* A guest that restarts gets a new domain and a new disk server, which know nothing of shares. */
TEST(test_shares_restart)
{
	guint work, play;

	two_with_capacity(rig);
	until("play", "nice", SHARE_BACKGROUND_NICE);
	until("work", "weight", 65535);
	work = fake_running("work");
	play = fake_running("play");
	fake_reason("work", "reboot");
	fake_reason("play", "reboot");
	while (fake_running("work") == work || fake_running("play") == play || !fake_running("work") || !fake_running("play"))
		g_usleep(5000);
	until("work", "weight", 65535);
	until("play", "nice", SHARE_BACKGROUND_NICE);
	until("play", "disk-bps", 20000000);
}

/* What the daemon that was killed had set is put right by the next, whatever is on screen then. */
TEST(test_shares_found)
{
	g_autofree char *play = NULL;

	two_with_capacity(rig);
	until("play", "nice", SHARE_BACKGROUND_NICE);
	put_on_screen(rig, "play");
	until("play", "nice", 0);
	until("work", "nice", SHARE_BACKGROUND_NICE);
	rig_kill(rig, SIGKILL);
	/* As if it had been killed before it had done any of that. */
	play = g_strdup_printf("%u", fake_running("play"));
	fake_set(play, "nice", SHARE_BACKGROUND_NICE);
	fake_set(play, "disk-bps", 20000000);
	rig_start(rig);
	until("play", "nice", 0);
	until("play", "disk-bps", 0);
	until("work", "disk-bps", 20000000);
}

/* Memory follows the screen. */
TEST(test_balance)
{
	g_autofree char *play = vm_at("play"), *group = NULL;

	fake_set("machine", "total", 3072 * MIB);
	vm_define(rig, "work", NULL);
	vm_do(rig, "work", "Set", g_variant_new("(sss)", "machine", "memory-max", "2G"));
	vm_define(rig, "play", NULL);
	vm_do(rig, "play", "Set", g_variant_new("(sss)", "machine", "memory-max", "2G"));
	vm_run(rig, "play", "Start", NO_OPTIONS);
	group = g_strdup_printf("%u", fake_running("play"));
	fake_set(group, "demand", 300 * MIB);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(fake_get("play", "memory"), <, 2048 * MIB);
	fake_set(group, "demand", 1500 * MIB);
	g_variant_unref(rig_call(rig, MANAGER, "SetForeground", g_variant_new("(o)", play)));
	for (int i = 0; i < 4000 && fake_get("play", "memory") < 1900 * MIB; i++)
		g_usleep(10000);
	g_assert_cmpuint(fake_get("play", "memory"), >=, 1900 * MIB);
	g_assert_cmpuint(fake_get("work", "memory"), >=, 256 * MIB);
}

static guint64 wakeups(Rig *rig)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", rig_pid(rig)), *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return g_ascii_strtoull(strstr(text, "\nvoluntary_ctxt_switches:") + strlen("\nvoluntary_ctxt_switches:"), NULL, 10);
}

/* Nothing happens: the main thread sleeps. */
TEST(test_idle)
{
	guint64 before;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_usleep(2500000);
	before = wakeups(rig);
	g_usleep(2000000);
	g_assert_cmpuint(wakeups(rig) - before, <=, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/memory/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_no_memory);
	ADD(test_reclaim);
	ADD(test_reserved);
	ADD(test_foreground);
	ADD(test_shares);
	ADD(test_shares_found);
	ADD(test_shares_restart);
	ADD(test_balance);
	ADD(test_idle);
	return g_test_run();
}
