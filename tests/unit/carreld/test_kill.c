/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 of the daemon in each state: VMs run on, what was half done goes, the next start works. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "disk/disk.h"
#include "rig.h"

static void kill_and_start(Rig *rig)
{
	rig_kill(rig, SIGKILL);
	rig_start(rig);
}

static void assert_clean(Rig *rig, const char *vm)
{
	g_autofree char *net = fake_text("net.ini"), *vaults = fake_text("domains.ini"), *volume = g_strdup_printf("carrel-%s", vm);
	g_autofree char *run = g_build_filename(rig->run, "vms", NULL);
	g_autoptr(GDir) dir = g_dir_open(run, 0, NULL);
	const char *file;

	g_assert_cmpuint(fake_running(vm), ==, 0);
	g_assert_null(strstr(net, vm));
	g_assert_null(strstr(vaults, volume));
	while ((file = g_dir_read_name(dir)))
		g_assert_false(g_str_has_prefix(file, vm));
}

static void still_works(Rig *rig, const char *vm)
{
	vm_run(rig, vm, "Start", NO_OPTIONS);
	vm_until(rig, vm, "running");
	vm_run(rig, vm, "Shutdown", g_variant_new("(u)", 5));
	vm_until(rig, vm, "off");
	assert_clean(rig, vm);
}

/* Somebody else destroys it. */
static void forget_domain(const char *vm)
{
	Fake *fake = fake_open();
	g_autofree char *group = g_strdup_printf("%u", fake_domain(fake, vm));

	g_key_file_remove_group(fake->keys, group, NULL);
	fake_close(fake, TRUE);
}

static void lose_record(Rig *rig, const char *vm)
{
	g_autofree char *record = g_strdup_printf("%s/vms/%s.run", rig->run, vm), *file = g_strdup_printf("%s/vms/%s.vm", rig->run, vm);

	g_assert_cmpint(g_unlink(record), ==, 0);
	g_assert_cmpint(g_unlink(file), ==, 0);
}

/* The mark alone tells a VM that was started from one that was not yet. */
TEST(test_record_lost)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	rig_kill(rig, SIGKILL);
	lose_record(rig, "work");
	rig_start(rig);
	vm_until(rig, "work", "running");
	vm_run(rig, "work", "ForceOff", NULL);
	fake_set("behaviour", "create-ms", 5000);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	while (!fake_running("work"))
		g_usleep(2000);
	rig_kill(rig, SIGKILL);
	lose_record(rig, "work");
	rig_start(rig);
	vm_until(rig, "work", "off");
	assert_clean(rig, "work");
}

TEST(test_running)
{
	g_autofree char *path = vm_at("work"), *net = NULL, *before = NULL, *after = NULL;
	g_autoptr(GVariant) one = NULL, two = NULL;
	guint domain;

	vm_define(rig, "work", NULL);
	vm_define(rig, "play", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "play", "Start", g_variant_new_parsed("({'paused': <true>},)"));
	domain = fake_running("work");
	one = rig_call(rig, path, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", "org.carrel.Vm1"));
	kill_and_start(rig);
	two = rig_call(rig, path, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", "org.carrel.Vm1"));
	/* It looks the same to its clients: domain, start time, addresses, all. */
	before = g_variant_print(one, FALSE);
	after = g_variant_print(two, FALSE);
	g_assert_cmpstr(before, ==, after);
	g_assert_cmpuint(fake_running("work"), ==, domain);
	vm_until(rig, "play", "paused");
	net = fake_text("net.ini");
	has(net, "work/eth0");
	has(net, "play/eth0");
	/* And is ours: its guest's shutdown is seen. */
	fake_reason("work", "poweroff");
	vm_until(rig, "work", "off");
	assert_clean(rig, "work");
}

TEST(test_died_meanwhile)
{
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	rig_kill(rig, SIGKILL);
	fake_reason("work", "poweroff");
	rig_start(rig);
	vm_until(rig, "work", "off");
	assert_clean(rig, "work");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	rig_kill(rig, SIGKILL);
	fake_reason("work", "crash");
	rig_start(rig);
	vm_until(rig, "work", "crashed");
	assert_clean(rig, "work");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	vm_run(rig, "work", "Suspend", NULL);
	kill_and_start(rig);
	vm_until(rig, "work", "suspended");
	vm_run(rig, "work", "Resume", NULL);
	vm_until(rig, "work", "running");
}

TEST(test_starting)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", NULL);
	fake_set("behaviour", "create-ms", 5000);
	job = vm_job(rig, "work", "Start", NO_OPTIONS);
	while (!fake_running("work"))
		g_usleep(2000);
	rig_kill(rig, SIGKILL);
	g_assert_cmpuint(fake_running("work"), >, 0);
	fake_set("behaviour", "create-ms", 0);
	rig_start(rig);
	vm_until(rig, "work", "off");
	assert_clean(rig, "work");
	still_works(rig, "work");
}

TEST(test_stopping)
{
	g_autofree char *job = NULL;

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	fake_set("behaviour", "destroy-ms", 5000);
	job = vm_job(rig, "work", "ForceOff", NULL);
	vm_until(rig, "work", "stopping");
	g_usleep(200000);
	rig_kill(rig, SIGKILL);
	g_assert_cmpuint(fake_running("work"), >, 0);
	fake_set("behaviour", "destroy-ms", 0);
	rig_start(rig);
	vm_until(rig, "work", "off");
	assert_clean(rig, "work");
	still_works(rig, "work");
}

/* At a time by chance, many times: never a domain that nobody knows, never a VM that cannot start. */
TEST(test_any_moment)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);

	vm_define(rig, "work", NULL);
	fake_set("behaviour", "create-ms", 20);
	fake_set("behaviour", "destroy-ms", 20);
	for (int i = 0; i < 12; i++) {
		g_autofree char *state = vm_state(rig, "work"), *job = NULL;

		job = vm_job(rig, "work", strcmp(state, "running") ? "Start" : "ForceOff", strcmp(state, "running") ? NO_OPTIONS : NULL);
		g_usleep(g_rand_int_range(rand, 0, 60000));
		kill_and_start(rig);
		g_free(state);
		state = vm_state(rig, "work");
		g_assert_true(!strcmp(state, "running") || !strcmp(state, "off"));
		g_assert_cmpuint(fake_count(), ==, !strcmp(state, "running"));
		if (!strcmp(state, "off"))
			assert_clean(rig, "work");
	}
}

static void define_template(Rig *rig)
{
	vm_define(rig, "base", NULL);
	vm_do(rig, "base", "Set", g_variant_new("(sss)", "vm", "template", "true"));
}

#define RIGHT g_variant_new_parsed("({'passphrase': <'right'>},)")

static char *snapshots_of(Rig *rig, const char *vm)
{
	g_autoptr(GVariant) list = vm_property(rig, vm, "Snapshots");

	return g_variant_print(list, FALSE);
}

static void make_encrypted(Rig *rig)
{
	g_autoptr(GVariant) answer = NULL;
	const char *path;

	define_template(rig);
	answer = rig_call(rig, MANAGER, "CreateFromTemplate",
		g_variant_new_parsed("('safe', 'base', {'encrypted': <true>, 'passphrase': <'right'>})"));
	g_variant_get(answer, "(&o)", &path);
	g_free(job_end(rig, path, NULL));
}

static gboolean open_now(void)
{
	g_autofree char *vaults = fake_text("domains.ini");

	return strstr(vaults, "carrel-safe") != NULL;
}

TEST(test_encrypted)
{
	g_autofree char *job = NULL, *message = NULL;

	make_encrypted(rig);
	g_free(rig_fail(rig, MANAGER, "CreateFromTemplate", g_variant_new_parsed("('other', 'base', {'encrypted': <true>})"), "Invalid"));
	assert_clean(rig, "safe");
	message = vm_fail(rig, "safe", "Start", NO_OPTIONS, "Denied");
	has(message, "passphrase");
	job = vm_job(rig, "safe", "Start", g_variant_new_parsed("({'passphrase': <'wrong'>},)"));
	g_free(job_end(rig, job, "Denied"));
	vm_until(rig, "safe", "off");
	assert_clean(rig, "safe");
	vm_run(rig, "safe", "Start", RIGHT);
	g_assert_true(open_now());
	/* Its volume stays open under a dead daemon, and is closed when it is found stopped. */
	kill_and_start(rig);
	vm_until(rig, "safe", "running");
	rig_kill(rig, SIGKILL);
	fake_reason("safe", "poweroff");
	rig_start(rig);
	vm_until(rig, "safe", "off");
	assert_clean(rig, "safe");
	vm_run(rig, "safe", "Start", RIGHT);
	rig_kill(rig, SIGKILL);
	forget_domain("safe");
	rig_start(rig);
	assert_clean(rig, "safe");
}

TEST(test_passphrase)
{
	g_autofree char *job = NULL;

	make_encrypted(rig);
	g_free(vm_fail(rig, "base", "ChangePassphrase", RIGHT, "State"));
	g_free(vm_fail(rig, "safe", "ChangePassphrase", NO_OPTIONS, "Denied"));
	g_free(vm_fail(rig, "safe", "ChangePassphrase", RIGHT, "Invalid"));
	job = vm_job(rig, "safe", "ChangePassphrase", g_variant_new_parsed("({'passphrase': <'wrong'>, 'new-passphrase': <'new'>},)"));
	g_free(job_end(rig, job, "Denied"));
	vm_run(rig, "safe", "Start", RIGHT);
	vm_run(rig, "safe", "ChangePassphrase", g_variant_new_parsed("({'passphrase': <'right'>, 'new-passphrase': <'new'>},)"));
	vm_run(rig, "safe", "ForceOff", NULL);
	g_clear_pointer(&job, g_free);
	job = vm_job(rig, "safe", "Start", RIGHT);
	g_free(job_end(rig, job, "Denied"));
	vm_until(rig, "safe", "off");
	vm_run(rig, "safe", "Start", g_variant_new_parsed("({'passphrase': <'new'>},)"));
	vm_run(rig, "safe", "ForceOff", NULL);
	assert_clean(rig, "safe");
}

/* Off, its disks are worked on as another's while it is unlocked; whoever starts, deletes or forgets it locks it. */
TEST(test_unlock)
{
	g_autofree char *job = NULL, *message = NULL, *list = NULL;

	make_encrypted(rig);
	g_free(vm_fail(rig, "base", "Unlock", RIGHT, "State"));
	g_free(vm_fail(rig, "safe", "Unlock", NO_OPTIONS, "Denied"));
	g_free(vm_fail(rig, "safe", "Lock", NULL, "State"));
	message = vm_fail(rig, "safe", "Snapshot", g_variant_new("(ss)", "one", ""), "State");
	has(message, "unlock it");
	job = vm_job(rig, "safe", "Unlock", g_variant_new_parsed("({'passphrase': <'wrong'>},)"));
	g_free(job_end(rig, job, "Denied"));
	assert_clean(rig, "safe");
	vm_run(rig, "safe", "Unlock", RIGHT);
	g_assert_true(open_now());
	g_free(vm_fail(rig, "safe", "Unlock", RIGHT, "State"));
	vm_run(rig, "safe", "Snapshot", g_variant_new("(ss)", "one", ""));
	vm_run(rig, "safe", "Revert", g_variant_new("(s)", "one"));
	list = snapshots_of(rig, "safe");
	has(list, "'one'");
	vm_run(rig, "safe", "Lock", NULL);
	assert_clean(rig, "safe");
	/* A start takes it over, without asking again; it is closed after. */
	vm_run(rig, "safe", "Unlock", RIGHT);
	vm_run(rig, "safe", "Start", NO_OPTIONS);
	g_free(vm_fail(rig, "safe", "Lock", NULL, "State"));
	vm_run(rig, "safe", "ForceOff", NULL);
	vm_until(rig, "safe", "off");
	assert_clean(rig, "safe");
	/* A killed daemon's successor closes it. */
	vm_run(rig, "safe", "Unlock", RIGHT);
	kill_and_start(rig);
	g_assert_false(open_now());
	vm_until(rig, "safe", "off");
	g_free(vm_fail(rig, "safe", "Lock", NULL, "State"));
	/* So does a deletion, and its end. */
	vm_run(rig, "safe", "Unlock", RIGHT);
	vm_run(rig, "safe", "Delete", NO_OPTIONS);
	assert_clean(rig, "safe");
}

TEST(test_half_made)
{
	g_autofree char *dir = g_build_filename(rig->state, "vms/half", NULL), *mark = g_build_filename(rig->state, "vms/half.new", NULL);
	g_autofree char *image = g_build_filename(dir, "xvda.qcow2", NULL), *tmp = g_build_filename(rig->state, "tmp/work", NULL);
	g_autofree char *kept = g_build_filename(rig->state, "vms/kept", NULL);
	g_autoptr(GError) error = NULL;

	define_template(rig);
	rig_kill(rig, SIGKILL);
	g_mkdir_with_parents(dir, 0700);
	g_mkdir_with_parents(tmp, 0700);
	g_mkdir_with_parents(kept, 0700);
	g_file_set_contents(mark, "", 0, NULL);
	g_file_set_contents(image, "", 0, NULL);
	rig_start(rig);
	g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(tmp, G_FILE_TEST_EXISTS));
	/* Disks without a VM are not ours to remove. */
	g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
}

TEST(test_foreign_domains)
{
	Fake *fake;

	vm_define(rig, "work", NULL);
	rig_kill(rig, SIGKILL);
	fake = fake_open();
	g_key_file_set_string(fake->keys, "77", "uuid", "11111111-2222-3333-4444-555555555555");
	g_key_file_set_string(fake->keys, "77", "name", "stranger");
	fake_close(fake, TRUE);
	rig_start(rig);
	g_assert_cmpuint(fake_running("stranger"), ==, 77);
	still_works(rig, "work");
	g_assert_cmpuint(fake_running("stranger"), ==, 77);
}

/* It runs, but its file was broken or removed under the daemon: it is still ours to stop. */
TEST(test_file_gone)
{
	g_autofree char *file = g_build_filename(rig->config, "vms/work.vm", NULL);

	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	rig_kill(rig, SIGKILL);
	g_file_set_contents(file, "[machine]\nvcpus=many\n", -1, NULL);
	rig_start(rig);
	vm_until(rig, "work", "running");
	rig_kill(rig, SIGKILL);
	g_unlink(file);
	rig_start(rig);
	vm_until(rig, "work", "running");
	vm_run(rig, "work", "ForceOff", NULL);
	assert_clean(rig, "work");
}

TEST(test_autostart)
{
	vm_define(rig, "work", "[policy]\nautostart=true\nstart-order=5\n");
	vm_define(rig, "play", "[policy]\nautostart=true\nstart-order=2\n");
	vm_define(rig, "rest", NULL);
	rig_kill(rig, SIGKILL);
	/* As after boot: the run directory is new. */
	{
		g_autofree char *mark = g_build_filename(rig->run, "autostarted", NULL);

		g_unlink(mark);
	}
	rig_start(rig);
	vm_until(rig, "work", "running");
	vm_until(rig, "play", "running");
	g_assert_cmpuint(fake_running("play"), <, fake_running("work"));
	vm_until(rig, "rest", "off");
	vm_run(rig, "play", "ForceOff", NULL);
	kill_and_start(rig);
	g_usleep(200000);
	vm_until(rig, "play", "off");
}

/* An orderly end leaves VMs alone as well. */
TEST(test_terminate)
{
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	rig_kill(rig, SIGTERM);
	g_assert_cmpuint(fake_running("work"), >, 0);
	rig_start(rig);
	vm_until(rig, "work", "running");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/kill/" #name, Rig, NULL, rig_up, name, rig_down)
	ADD(test_record_lost);
	ADD(test_running);
	ADD(test_died_meanwhile);
	ADD(test_starting);
	ADD(test_stopping);
	ADD(test_any_moment);
	ADD(test_encrypted);
	ADD(test_unlock);
	ADD(test_passphrase);
	ADD(test_half_made);
	ADD(test_foreign_domains);
	ADD(test_file_gone);
	ADD(test_autostart);
	ADD(test_terminate);
	return g_test_run();
}
