/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "share.h"
#include "state.h"

static gboolean allows(VmState state, gboolean domain, VmAction action)
{
	g_autoptr(GError) error = NULL;
	gboolean allowed = vm_state_allows(state, domain, action, "work", &error);

	g_assert_true(allowed == !error);
	if (error) {
		g_assert_true(error->domain == CARREL_ERROR);
		g_assert_nonnull(g_strstr_len(error->message, -1, "work"));
	}
	return allowed;
}

static void test_actions(void)
{
	g_assert_true(allows(VM_OFF, FALSE, ACT_START));
	g_assert_true(allows(VM_CRASHED, FALSE, ACT_START));
	g_assert_false(allows(VM_CRASHED, TRUE, ACT_START));
	g_assert_false(allows(VM_RUNNING, TRUE, ACT_START));
	g_assert_false(allows(VM_BROKEN, FALSE, ACT_START));
	g_assert_true(allows(VM_BROKEN, FALSE, ACT_DELETE));
	g_assert_false(allows(VM_RUNNING, TRUE, ACT_DELETE));
	g_assert_false(allows(VM_PAUSED, TRUE, ACT_SHUTDOWN));
	g_assert_true(allows(VM_RUNNING, TRUE, ACT_SNAPSHOT));
	g_assert_false(allows(VM_RUNNING, TRUE, ACT_REVERT));
	g_assert_false(allows(VM_RUNNING, TRUE, ACT_CLONE));
	g_assert_true(allows(VM_SUSPENDED, TRUE, ACT_RESUME));
	g_assert_false(allows(VM_RUNNING, TRUE, ACT_RESUME));
}

/* Where there may be a domain, it can be forced off; where there is none, nothing is. */
static void test_force_off(void)
{
	for (int state = 0; state < VM_STATES; state++) {
		gboolean live = vm_state_alive(state) || state == VM_CRASHED;

		g_assert_cmpint(allows(state, TRUE, ACT_FORCE_OFF), ==, live);
	}
	g_assert_false(allows(VM_CRASHED, FALSE, ACT_FORCE_OFF));
}

/* No state and action without a name, none in which everything is allowed. */
static void test_table(void)
{
	for (int state = 0; state < VM_STATES; state++)
		g_assert_nonnull(vm_state_name(state));
	for (int action = 0; action < VM_ACTIONS; action++) {
		guint allowed = 0;

		g_assert_nonnull(vm_action_name(action));
		for (int state = 0; state < VM_STATES; state++)
			allowed += allows(state, FALSE, action);
		g_assert_cmpuint(allowed, >, 0);
		g_assert_cmpuint(allowed, <, VM_STATES);
	}
}

static void test_crashes(void)
{
	gint64 crashes[CRASHES_KEPT] = { 0 }, now = 1000 * G_USEC_PER_SEC;

	for (int i = 0; i < 3; i++, now += G_USEC_PER_SEC)
		g_assert_true(crash_may_restart(crashes, now));
	g_assert_false(crash_may_restart(crashes, now));
	now += CRASH_WINDOW;
	/* One in four minutes goes on for ever. */
	for (int i = 0; i < 50; i++, now += 240 * (gint64)G_USEC_PER_SEC)
		g_assert_true(crash_may_restart(crashes, now));
}

static void test_share(void)
{
	const ShareMachine machine = { .disk_bps = 500 << 20, .disk_iops = 10000 };
	ShareVm vms[3] = { { .weight = 256 }, { .weight = 512, .limit_in = 7 }, { .weight = SHARE_WEIGHT_MAX } };
	Share shares[3];

	share(vms, 3, &machine, shares);
	for (int i = 0; i < 3; i++) {
		g_assert_cmpuint(shares[i].weight, ==, MIN(vms[i].weight, SHARE_WEIGHT_MAX - 1));
		g_assert_cmpuint(shares[i].disk_bps, ==, 0);
		g_assert_cmpint(shares[i].nice, ==, 0);
	}
	vms[0].foreground = TRUE;
	share(vms, 3, &machine, shares);
	g_assert_cmpuint(shares[0].weight, ==, SHARE_WEIGHT_MAX);
	g_assert_cmpuint(shares[0].disk_bps, ==, 0);
	g_assert_cmpint(shares[0].nice, ==, 0);
	g_assert_cmpint(shares[1].nice, ==, SHARE_BACKGROUND_NICE);
	g_assert_cmpuint(shares[1].disk_bps, ==, 50 << 20);
	g_assert_cmpuint(shares[1].disk_iops, ==, 1000);
	g_assert_cmpuint(shares[1].net_in, ==, 7);
	g_assert_cmpuint(shares[2].weight, ==, SHARE_WEIGHT_MAX - 1); /* only the one on screen is on screen */
	vms[0].foreground = FALSE;
	vms[2].foreground = TRUE;
	share(vms, 3, &machine, shares);
	g_assert_cmpuint(shares[2].weight, ==, SHARE_WEIGHT_MAX);
}

/* However many there are and however slow the machine: never nothing, and never no limit by rounding. */
static void test_never_starved(void)
{
	const ShareMachine slow = { .disk_bps = 1000, .disk_iops = 3, .net_bps = 1000 };
	ShareVm vms[40] = { { .weight = 1, .foreground = TRUE } };
	Share shares[40];

	for (int i = 1; i < 40; i++)
		vms[i].weight = 1;
	share(vms, 40, &slow, shares);
	for (int i = 1; i < 40; i++) {
		g_assert_cmpuint(shares[i].disk_bps, ==, SHARE_DISK_FLOOR);
		g_assert_cmpuint(shares[i].disk_iops, ==, SHARE_IOPS_FLOOR);
		g_assert_cmpuint(shares[i].net_in, ==, SHARE_NET_FLOOR);
		g_assert_cmpuint(shares[i].weight, ==, 1);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/actions", test_actions);
	g_test_add_func("/state/force-off", test_force_off);
	g_test_add_func("/state/table", test_table);
	g_test_add_func("/state/crashes", test_crashes);
	g_test_add_func("/share/foreground", test_share);
	g_test_add_func("/share/never-starved", test_never_starved);
	return g_test_run();
}
