/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon does about the network beyond bridges: dnsmasq's life, the settings in carreld.conf. */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

/* The process in dnsmasq's place, 0: there was none yet. */
static pid_t dnsmasq(void)
{
	g_autofree char *text = fake_text("dnsmasq.pid");

	return atoi(text);
}

static pid_t other_dnsmasq(pid_t not)
{
	for (int i = 0; i < 4000 && dnsmasq() == not; i++)
		g_usleep(5000);
	g_assert_cmpint(dnsmasq(), !=, not);
	return dnsmasq();
}

/* dnsmasq is started again when it dies, also under the next daemon, and not when no VM needs it. */
TEST(test_dnsmasq)
{
	g_autofree char *wanted = g_build_filename(rig->fake, "dnsmasq", NULL), *broken = g_build_filename(rig->fake, "net-broken", NULL);
	pid_t first, second;

	g_file_set_contents(wanted, "", 0, NULL);
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	first = dnsmasq();
	g_assert_cmpint(first, >, 0);
	kill(first, SIGKILL);
	second = other_dnsmasq(first);
	rig_kill(rig, SIGKILL);
	rig_start(rig);
	g_assert_cmpint(dnsmasq(), ==, second);
	kill(second, SIGKILL);
	first = other_dnsmasq(second);
	/* It cannot be started for a while: told, and tried again. */
	g_ptr_array_set_size(rig->notices, 0);
	g_file_set_contents(broken, "", 0, NULL);
	kill(first, SIGKILL);
	for (int i = 0; i < 4000 && !rig->notices->len; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(5000);
	}
	g_assert_cmpuint(rig->notices->len, ==, 1);
	has((char *)rig->notices->pdata[0], "cr-alien");
	g_unlink(broken);
	first = other_dnsmasq(first);
	vm_run(rig, "work", "ForceOff", NULL);
	g_usleep(3 * G_USEC_PER_SEC);
	g_assert_cmpint(dnsmasq(), ==, first);
}

TEST(test_settings)
{
	g_autofree char *path = g_build_filename(rig->config, "carreld.conf", NULL), *net = NULL;

	rig_kill(rig, SIGTERM);
	g_file_set_contents(path, "[network]\nprivate-domains=corp.example;lab.example\n", -1, NULL);
	rig_start(rig);
	vm_define(rig, "work", NULL);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	net = fake_text("net.ini");
	has(net, "private corp.example\nprivate lab.example\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/network/dnsmasq", Rig, NULL, rig_up, test_dnsmasq, rig_down);
	g_test_add("/network/settings", Rig, NULL, rig_up, test_settings, rig_down);
	return g_test_run();
}
