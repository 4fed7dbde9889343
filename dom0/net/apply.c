/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the kernel look like the plan. The order keeps every moment closed: rules first, then bridges, then dnsmasq. What is
 * ours has the ifalias "carrel"; an interface of one of our names without it is someone else's and is not touched. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "internal.h"

static char *rules_path(const char *run_dir)
{
	return g_build_filename(run_dir, "rules.nft", NULL);
}

static gboolean load_rules(const char *text, GError **error)
{
	const char *argv[] = { "nft", "-f", "-", NULL };
	g_autofree char *out = net_run(argv, text, error);
	return out != NULL;
}

static gboolean remove_rules(GError **error)
{
	return load_rules("table inet carrel\ndelete table inet carrel\ntable bridge carrel\ndelete table bridge carrel\n", error);
}

/* Whether the kernel has these rules already. A load would start the limits' counts anew, and each change of a bandwidth
 * limit, of the VM on screen, comes by here. */
static gboolean rules_loaded(const char *rules, const char *run_dir)
{
	const char *argv[] = { "nft", "list", "tables", NULL };
	g_autofree char *path = rules_path(run_dir), *old = NULL, *tables = NULL;

	if (!g_file_get_contents(path, &old, NULL, NULL) || !g_str_equal(old, rules))
		return FALSE;
	tables = net_run(argv, NULL, NULL);
	return tables && strstr(tables, "table inet carrel\n") && strstr(tables, "table bridge carrel\n");
}

static gboolean check_names(NetPlan *plan, GHashTable *links, GError **error)
{
	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		Link *link = g_hash_table_lookup(links, network->bridge);
		if (!link || net_link_ours(link, "bridge"))
			continue;
		g_set_error(error, NET_ERROR, NET_ERROR_EXISTS, "network: an interface %s exists that Carrel did not make, and a VM's "
			"bridge needs that name; rename it (ip link set %s name …) or delete it", network->bridge, network->bridge);
		return FALSE;
	}
	return TRUE;
}

/* Routing for VMs. IPv6 has one switch for the whole machine, which also makes a router of each interface, deaf to its own
 * network's router advertisements: that is undone. What was there before is kept in run_dir for net_remove. */
static gboolean forwarding_on(NetPlan *plan, const char *run_dir, GHashTable *links, GError **error)
{
	g_autofree char *path = g_build_filename(run_dir, "forwarding", NULL), *before = NULL;
	g_autofree char *four = net_sysctl_read(error, "ipv4/ip_forward");
	g_autofree char *six = four ? net_sysctl_read(error, "ipv6/conf/all/forwarding") : NULL;
	GHashTableIter iter;
	gpointer name;

	if (!six)
		return FALSE;
	if (!g_file_get_contents(path, &before, NULL, NULL)) {
		before = g_strdup_printf("%s %s\n", four, six);
		if (!g_file_set_contents(path, before, -1, error))
			return FALSE;
	}
	plan->keep_routing = before[0] == '1';
	if (four[0] == '0' && !net_sysctl("1", error, "ipv4/ip_forward"))
		return FALSE;
	if (six[0] != '0')
		return TRUE;
	if (!net_sysctl("1", error, "ipv6/conf/all/forwarding") || !net_sysctl("0", error, "ipv6/conf/default/forwarding"))
		return FALSE;
	g_hash_table_iter_init(&iter, links);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		net_sysctl("0", NULL, "ipv6/conf/%s/forwarding", (char *)name); /* some have no IPv6 */
	return TRUE;
}

static gboolean forwarding_restore(const char *run_dir, GError **error)
{
	g_autofree char *path = g_build_filename(run_dir, "forwarding", NULL), *before = NULL;

	if (!g_file_get_contents(path, &before, NULL, NULL))
		return TRUE;
	if (before[0] == '0' && !net_sysctl("0", error, "ipv4/ip_forward"))
		return FALSE;
	if (before[0] && before[1] && before[2] == '0' && !net_sysctl("0", error, "ipv6/conf/all/forwarding"))
		return FALSE;
	g_unlink(path);
	return TRUE;
}

/* A bridge believes nothing that it hears: no autoconfiguration, no redirects, answers ARP for its own address only. */
static gboolean bridge_sysctls(const char *bridge, GError **error)
{
	static const char *const settings[][2] = {
		{ "ipv4/conf/%s/forwarding", "1" }, { "ipv4/conf/%s/rp_filter", "1" }, { "ipv4/conf/%s/arp_ignore", "2" },
		{ "ipv4/conf/%s/arp_announce", "2" }, { "ipv4/conf/%s/arp_accept", "0" }, { "ipv4/conf/%s/accept_redirects", "0" },
		{ "ipv4/conf/%s/send_redirects", "0" }, { "ipv4/conf/%s/accept_source_route", "0" }, { "ipv4/conf/%s/proxy_arp", "0" },
		{ "ipv6/conf/%s/disable_ipv6", "0" }, { "ipv6/conf/%s/forwarding", "1" }, { "ipv6/conf/%s/accept_ra", "0" },
		{ "ipv6/conf/%s/autoconf", "0" }, { "ipv6/conf/%s/accept_redirects", "0" }, { "ipv6/conf/%s/accept_source_route", "0" },
		{ "ipv6/conf/%s/accept_dad", "0" }, { "ipv6/conf/%s/proxy_ndp", "0" },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(settings); i++) {
		g_auto(GStrv) parts = g_strsplit(settings[i][0], "%s", 2);
		if (!net_sysctl(settings[i][1], error, "%s%s%s", parts[0], bridge, parts[1]))
			return FALSE;
	}
	return TRUE;
}

static void put_bridge(const Network *network, GString *ip)
{
	const char *bridge = network->bridge;

	g_string_append_printf(ip, "link add name %s address 02:63:72:00:%02x:%02x type bridge stp_state 0 mcast_snooping 0 "
		"mcast_querier 0 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0\n", bridge, network->id >> 8,
		network->id & 255);
	g_string_append_printf(ip, "link set dev %s alias " NET_OWNER "\nlink set dev %s addrgenmode none\n", bridge, bridge);
}

static gboolean has_other_address(const Link *link, const char *want4, const char *want6)
{
	for (guint i = 0; link && i < link->addresses->len; i++) {
		const char *address = g_ptr_array_index(link->addresses, i);
		if (!g_str_equal(address, want4) && !g_str_equal(address, want6) && !g_str_has_prefix(address, net_gateway_link_local))
			return TRUE;
	}
	return FALSE;
}

/* The neighbours are known, so nobody needs to be asked, or believed. */
static void put_neighbours(NetPlan *plan, const Network *network, GString *ip)
{
	g_string_append_printf(ip, "neighbour flush dev %s nud permanent\n", network->bridge);
	for (guint i = 0; i < plan->ports->len; i++) {
		Port *port = g_ptr_array_index(plan->ports, i);
		char mac[18];
		if (port->network != network)
			continue;
		net_format_mac(port->mac, mac);
		g_string_append_printf(ip, "neighbour replace %s lladdr %s dev %s nud permanent\n", port->address.address4, mac,
			network->bridge);
		if (network->shared)
			g_string_append_printf(ip, "neighbour replace %s lladdr %s dev %s nud permanent\n", port->address.address6, mac,
				network->bridge);
	}
}

static void put_addresses(NetPlan *plan, const Network *network, const Link *link, GString *ip)
{
	g_autofree char *want4 = g_strdup_printf("%s/%u", network->gateway4, network->prefix4);
	g_autofree char *want6 = g_strdup_printf("%s/64", network->gateway6);
	const char *bridge = network->bridge;

	if (has_other_address(link, want4, want6))
		g_string_append_printf(ip, "address flush dev %s\n", bridge);
	g_string_append_printf(ip, "address replace %s dev %s\n", want4, bridge);
	g_string_append_printf(ip, "address replace %s dev %s nodad\n", want6, bridge);
	g_string_append_printf(ip, "address replace %s/64 dev %s nodad\n", net_gateway_link_local, bridge);
	g_string_append_printf(ip, "link set dev %s up\n", bridge);
	put_neighbours(plan, network, ip);
}

/* The bridges that the plan has not, and what shaped ports that are gone (all of ours: plan NULL). */
static gboolean remove_others(NetPlan *plan, GHashTable *links, GError **error)
{
	g_autoptr(GHashTable) keep = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) ip = g_string_new(NULL);
	GHashTableIter iter;
	gpointer name, link;

	for (guint i = 0; plan && i < plan->networks->len; i++)
		g_hash_table_add(keep, g_strdup(((Network *)g_ptr_array_index(plan->networks, i))->bridge));
	for (guint i = 0; plan && i < plan->ports->len; i++) {
		Port *port = g_ptr_array_index(plan->ports, i);
		char ifb[16];
		net_ifb_name(port, ifb);
		if (g_hash_table_contains(links, port->address.vif))
			g_hash_table_add(keep, g_strdup(ifb));
	}
	g_hash_table_iter_init(&iter, links);
	while (g_hash_table_iter_next(&iter, &name, &link))
		if ((net_link_ours(link, "bridge") || net_link_ours(link, "ifb")) && g_str_has_prefix(name, "cr-") &&
		    !g_hash_table_contains(keep, name))
			g_string_append_printf(ip, "link delete dev %s\n", (char *)name);
	return net_ip_batch(ip, error);
}

/* A bridge that a killed run had made but not marked yet: a bridge of a planned name, without alias, address or port, and
 * with the MAC address that only we give. */
static void adopt(NetPlan *plan, GHashTable *links)
{
	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		Link *link = g_hash_table_lookup(links, network->bridge);
		g_autofree char *mac = g_strdup_printf("02:63:72:00:%02x:%02x", network->id >> 8, network->id & 255);
		if (!link || *link->alias || !g_str_equal(link->kind, "bridge") || !g_str_equal(link->mac, mac) || link->addresses->len)
			continue;
		g_autoptr(GString) ip = g_string_new(NULL);
		g_string_append_printf(ip, "link set dev %s alias " NET_OWNER "\n", network->bridge);
		if (!net_ip_batch(ip, NULL))
			continue;
		g_free(link->alias);
		link->alias = g_strdup(NET_OWNER);
	}
}

/* All bridges in two runs of ip: made, then, when they know to be deaf, up. made: the names of the new ones. */
static gboolean apply_bridges(NetPlan *plan, GHashTable *links, GPtrArray *made, GError **error)
{
	g_autoptr(GString) ip = g_string_new(NULL);

	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		if (g_hash_table_contains(links, network->bridge))
			continue;
		g_ptr_array_add(made, network->bridge);
		put_bridge(network, ip);
	}
	if (!net_ip_batch(ip, error))
		return FALSE;
	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		if (!bridge_sysctls(network->bridge, error))
			return FALSE;
		put_addresses(plan, network, g_hash_table_lookup(links, network->bridge), ip);
	}
	return net_ip_batch(ip, error);
}

/* Back to what the last successful call left. */
static void roll_back(const char *run_dir, GPtrArray *made)
{
	g_autofree char *path = rules_path(run_dir), *old = NULL;

	for (guint i = 0; i < made->len; i++) {
		const char *argv[] = { "ip", "link", "delete", "dev", g_ptr_array_index(made, i), "type", "bridge", NULL };
		g_autofree char *out = net_run(argv, NULL, NULL);
	}
	if (g_file_get_contents(path, &old, NULL, NULL)) {
		load_rules(old, NULL);
	} else {
		remove_rules(NULL);
		forwarding_restore(run_dir, NULL);
	}
}

gboolean net_apply(NetPlan *plan, const char *run_dir, GError **error)
{
	g_autoptr(GPtrArray) made = g_ptr_array_new();
	g_autofree char *path = rules_path(run_dir), *rules = NULL;

	if (g_mkdir_with_parents(run_dir, 0755) < 0) {
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: cannot make %s: %s", run_dir, g_strerror(errno));
		return FALSE;
	}
	g_autoptr(GHashTable) links = net_links(error);
	if (!links)
		return FALSE;
	adopt(plan, links);
	if (!check_names(plan, links, error) || !net_dnsmasq_check(plan, run_dir, error))
		return FALSE;
	if (!forwarding_on(plan, run_dir, links, error)) {
		roll_back(run_dir, made);
		return FALSE;
	}
	rules = net_plan_rules(plan);
	if ((!rules_loaded(rules, run_dir) && !load_rules(rules, error)) || !apply_bridges(plan, links, made, error) ||
	    !net_dnsmasq_apply(plan, run_dir, error) || !remove_others(plan, links, error) ||
	    !g_file_set_contents(path, rules, -1, error)) {
		roll_back(run_dir, made);
		return FALSE;
	}
	return TRUE;
}

/* Goes on after an error, so that as much as can goes; reports the first. */
gboolean net_remove(const char *run_dir, GError **error)
{
	static const char *const files[] = { "rules.nft", "dnsmasq.conf", "dnsmasq.conf.new", "dnsmasq.leases", "dnsmasq.pid" };
	g_autoptr(GError) first = NULL;
	g_autoptr(GHashTable) links = NULL;

	net_dnsmasq_stop(run_dir, &first);
	links = net_links(first ? NULL : &first);
	if (links)
		remove_others(NULL, links, first ? NULL : &first);
	forwarding_restore(run_dir, first ? NULL : &first);
	remove_rules(first ? NULL : &first); /* last: until then nothing passes */
	for (gsize i = 0; !first && i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(run_dir, files[i], NULL);
		g_unlink(path);
	}
	if (first) {
		g_propagate_error(error, g_steal_pointer(&first));
		return FALSE;
	}
	return TRUE;
}
