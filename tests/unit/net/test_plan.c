/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as a pure function: names and addresses that are unique, stable and within the kernel's limits, whatever the VMs
 * are called; the texts made from it. */
#include <glib/gstdio.h>
#include <string.h>

#include "net.h"

static NetPort port_of(const char *vm, const char *shared, guint number)
{
	return (NetPort){ .vm = vm, .name = "eth0", .shared = shared, .outside = TRUE,
		.mac = { 0x00, 0x16, 0x3e, (guint8)(number >> 16), (guint8)(number >> 8), (guint8)number } };
}

static char *temporary(void)
{
	g_autoptr(GError) error = NULL;
	char *dir = g_dir_make_tmp(NULL, &error);
	g_assert_no_error(error);
	return dir;
}

static void discard(char *dir)
{
	g_autofree char *file = g_build_filename(dir, "network.state", NULL);
	g_unlink(file);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_free(dir);
}

static NetPlan *plan_of(const NetPort *ports, gsize n, const char *dir)
{
	g_autoptr(GError) error = NULL;
	NetPlan *plan = net_plan(ports, n, NULL, dir, &error);
	g_assert_no_error(error);
	return plan;
}

static void refused(const NetPort *ports, gsize n, int code, const char *says)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(net_plan(ports, n, NULL, NULL, &error));
	g_assert_error(error, NET_ERROR, code);
	g_assert_nonnull(strstr(error->message, says));
}

static void unique(GHashTable *seen, const char *text)
{
	g_assert_true(g_hash_table_add(seen, g_strdup(text)));
}

static void check_lengths(const NetAddress *address)
{
	g_assert_cmpuint(strlen(address->bridge), <=, 15);
	g_assert_cmpuint(strlen(address->vif), <=, 11); /* libxl appends -emu for an emulated one */
	g_assert_true(g_str_has_prefix(address->bridge, "cr-"));
	g_assert_true(g_str_has_prefix(address->vif, "vif-"));
}

/* 250 private ports whose names differ only after the part that a bridge's name has room for. */
static void test_many(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(NetPort));
	char *dir = temporary();

	for (guint i = 0; i < 250; i++) {
		g_ptr_array_add(names, g_strdup_printf("a-desktop-with-a-very-long-name-that-goes-on-%03u", i));
		NetPort port = port_of(g_ptr_array_index(names, i), NULL, i + 1);
		g_array_append_val(ports, port);
	}
	g_autoptr(NetPlan) plan = plan_of((NetPort *)ports->data, ports->len, dir);
	for (guint i = 0; i < ports->len; i++) {
		const NetAddress *address = net_plan_address(plan, i);
		check_lengths(address);
		g_assert_cmpuint(address->prefix4, ==, 30);
		unique(seen, address->bridge);
		unique(seen, address->vif);
		unique(seen, address->address4);
		unique(seen, address->gateway4);
		unique(seen, address->address6);
		unique(seen, address->gateway6);
	}
	g_autoptr(NetPlan) again = plan_of((NetPort *)ports->data, ports->len, dir);
	for (guint i = 0; i < ports->len; i++)
		g_assert_cmpmem(net_plan_address(plan, i), sizeof(NetAddress), net_plan_address(again, i), sizeof(NetAddress));
	discard(dir);
}

/* The addresses of a VM stay when others come and go, in any order. */
static void test_stable(void)
{
	char *dir = temporary();
	NetPort one[] = { port_of("work", NULL, 1), port_of("personal", NULL, 2), port_of("bank", "office", 3) };
	NetPort two[] = { port_of("bank", "office", 3), port_of("other", "office", 4), port_of("personal", NULL, 2) };
	g_autoptr(NetPlan) first = plan_of(one, 3, dir), second = plan_of(two, 3, dir), third = plan_of(one, 3, dir);

	g_assert_cmpmem(net_plan_address(first, 2), sizeof(NetAddress), net_plan_address(second, 0), sizeof(NetAddress));
	g_assert_cmpmem(net_plan_address(first, 1), sizeof(NetAddress), net_plan_address(second, 2), sizeof(NetAddress));
	g_assert_cmpmem(net_plan_address(first, 0), sizeof(NetAddress), net_plan_address(third, 0), sizeof(NetAddress));
	g_assert_cmpstr(net_plan_address(second, 0)->bridge, ==, net_plan_address(second, 1)->bridge);
	g_assert_cmpstr(net_plan_address(second, 0)->address4, !=, net_plan_address(second, 1)->address4);
	g_assert_cmpuint(net_plan_address(second, 0)->prefix4, ==, 24);
	discard(dir);
}

/* 253 fit on a shared network, one more does not, and gone ones make room. */
static void test_shared_limit(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(NetPort));
	char *dir = temporary();

	for (guint i = 0; i < 255; i++) {
		g_ptr_array_add(names, g_strdup_printf("vm-%u", i));
		NetPort port = port_of(g_ptr_array_index(names, i), "office", i + 1);
		g_array_append_val(ports, port);
	}
	g_autoptr(NetPlan) plan = plan_of((NetPort *)ports->data, 253, dir);
	for (guint i = 0; i < 253; i++) {
		check_lengths(net_plan_address(plan, i));
		unique(seen, net_plan_address(plan, i)->address4);
		unique(seen, net_plan_address(plan, i)->vif);
		g_assert_false(g_str_has_suffix(net_plan_address(plan, i)->address4, ".1"));
		g_assert_false(g_str_has_suffix(net_plan_address(plan, i)->address4, ".255"));
	}
	refused((NetPort *)ports->data, 254, NET_ERROR_LIMIT, "'vm-253'");
	g_autoptr(NetPlan) later = plan_of((NetPort *)ports->data + 2, 253, dir);
	g_assert_cmpmem(net_plan_address(plan, 2), sizeof(NetAddress), net_plan_address(later, 0), sizeof(NetAddress));
	discard(dir);
}

static void test_too_many_networks(void)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(NetPort));

	for (guint i = 0; i < 129; i++) {
		g_ptr_array_add(names, g_strdup_printf("net-%u", i));
		NetPort port = port_of(g_ptr_array_index(names, i), g_ptr_array_index(names, i), i + 1);
		g_array_append_val(ports, port);
	}
	g_autoptr(NetPlan) plan = plan_of((NetPort *)ports->data, 128, NULL);
	refused((NetPort *)ports->data, 129, NET_ERROR_LIMIT, "128 shared networks");
}

static void test_refuses(void)
{
	NetPort good = port_of("work", NULL, 1);
	NetPort twins[] = { port_of("work", "office", 1), port_of("personal", "office", 1) };
	NetPort twice[] = { good, port_of("work", NULL, 2) };
	static const char *const names[] = { "", "-a", "a-", "A", "a b", "a\"", "a/b", "a\nb", "ä",
		"0123456789012345678901234567890123456789012345678" };

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		NetPort bad = port_of(names[i], NULL, 1);
		refused(&bad, 1, NET_ERROR_INVALID, "the VM's name");
		bad = good;
		bad.shared = names[i];
		refused(&bad, 1, NET_ERROR_INVALID, "shared network's name");
		bad = good;
		bad.name = names[i];
		refused(&bad, 1, NET_ERROR_INVALID, "the interface's name");
	}
	NetPort bad = good;
	memset(bad.mac, 0, 6);
	refused(&bad, 1, NET_ERROR_INVALID, "MAC");
	bad.mac[0] = 1;
	refused(&bad, 1, NET_ERROR_INVALID, "MAC");
	refused(twins, 2, NET_ERROR_EXISTS, "00:16:3e:00:00:01");
	refused(twice, 2, NET_ERROR_EXISTS, "two interfaces 'eth0'");

	static const char *const uplinks[][2] = { { "eth0; drop" }, { "\"" }, { "" }, { "cr-x" }, { "vif-0001" }, { "a-name-of-16-chr" } };
	for (gsize i = 0; i < G_N_ELEMENTS(uplinks); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(net_plan(&good, 1, uplinks[i], NULL, &error));
		g_assert_error(error, NET_ERROR, NET_ERROR_INVALID);
	}
}

static void test_setters(void)
{
	NetPort port = port_of("work", NULL, 1);
	g_autoptr(NetPlan) plan = plan_of(&port, 1, NULL);
	static const char *const good[] = { "corp.example", NULL }, *const bad[] = { "corp/\nserver=6.6.6.6", NULL };

	g_assert_true(net_plan_set_private_domains(plan, good, NULL));
	g_assert_false(net_plan_set_private_domains(plan, bad, NULL));
	g_assert_true(net_plan_set_resolver(plan, "/run/resolv.conf", NULL));
	g_assert_false(net_plan_set_resolver(plan, "/run/x\nport=5", NULL));
	g_assert_false(net_plan_set_resolver(plan, "x", NULL));
	g_autofree char *text = net_plan_dnsmasq(plan);
	g_assert_nonnull(strstr(text, "rebind-domain-ok=/corp.example/\n"));
	g_assert_nonnull(strstr(text, "resolv-file=/run/resolv.conf\n"));
	g_assert_nonnull(strstr(text, "00:16:3e:00:00:01"));
}

static void write_state(const char *dir, const char *text)
{
	g_autofree char *file = g_build_filename(dir, "network.state", NULL);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

/* A state file that someone edited, or that is broken. */
static void test_state_file(void)
{
	static const char *const bad[] = { "[pool]\nipv4=10.213.0.0/8\n", "[pool]\nipv4=127.0.0.0/16\n", "[pool]\nipv4=10.213.1.0/16\n",
		"[pool]\nipv6=2001:db8::/48\n", "[pool]\nipv6=fd00::\n", "[pool]\nipv4=\n", "pool\n", "[pool\n" };
	NetPort ports[] = { port_of("work", NULL, 1), port_of("personal", NULL, 2) };
	char *dir = temporary();

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		write_state(dir, bad[i]);
		g_assert_null(net_plan(ports, 2, NULL, dir, &error));
		g_assert_error(error, NET_ERROR, NET_ERROR_INVALID);
		g_assert_nonnull(strstr(error->message, "network.state"));
		g_assert_nonnull(strstr(error->message, "remove"));
	}
	write_state(dir, "[pool]\nipv4=172.20.0.0/16\nipv6=fd01:2:3::/48\n[private]\nwork/eth0=5\npersonal/eth0=5\nold/eth0=99999\nx/eth0=y\n");
	g_autoptr(NetPlan) plan = plan_of(ports, 2, dir);
	g_assert_cmpstr(net_plan_address(plan, 0)->address4, ==, "172.20.0.22");
	g_assert_cmpstr(net_plan_address(plan, 0)->gateway4, ==, "172.20.0.21");
	g_assert_cmpstr(net_plan_address(plan, 0)->address6, ==, "fd01:2:3:5::2");
	g_assert_cmpstr(net_plan_address(plan, 0)->bridge, ==, "cr-work-0005");
	g_assert_cmpstr(net_plan_address(plan, 1)->address4, !=, "172.20.0.22");
	discard(dir);
}

/* Without ports the texts are still whole. */
static void test_empty(void)
{
	g_autoptr(NetPlan) plan = plan_of(NULL, 0, NULL);
	g_autofree char *rules = net_plan_rules(plan), *conf = net_plan_dnsmasq(plan);
	g_assert_nonnull(strstr(rules, "table bridge carrel"));
	g_assert_nonnull(strstr(rules, "set bridges { type ifname; }"));
	g_assert_nonnull(strstr(conf, "stop-dns-rebind"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/plan/many", test_many);
	g_test_add_func("/net/plan/stable", test_stable);
	g_test_add_func("/net/plan/shared-limit", test_shared_limit);
	g_test_add_func("/net/plan/too-many-networks", test_too_many_networks);
	g_test_add_func("/net/plan/refuses", test_refuses);
	g_test_add_func("/net/plan/setters", test_setters);
	g_test_add_func("/net/plan/state-file", test_state_file);
	g_test_add_func("/net/plan/empty", test_empty);
	return g_test_run();
}
