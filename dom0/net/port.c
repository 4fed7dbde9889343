/* SPDX-License-Identifier: Apache-2.0 */
/* A vif that came up: onto its bridge, deaf, and shaped. What goes to the guest is shaped as it leaves the vif; what comes
 * from it enters an ifb, which is the one way to shape, not only to drop, at that end. */
#include <string.h>

#include "internal.h"

#define LEAST_BURST 16384 /* bytes: some whole frames at the lowest rates */

/* Hundredths of a second of the rate may go at once, a tenth may wait. */
static char *tbf(guint64 rate)
{
	return g_strdup_printf("root tbf rate %" G_GUINT64_FORMAT "bit burst %" G_GUINT64_FORMAT " latency 100ms", rate,
		CLAMP(rate / 8 / 50, LEAST_BURST, G_MAXINT32));
}

static gboolean tc_batch(GString *commands, GError **error)
{
	const char *argv[] = { "tc", "-batch", "-", NULL };
	g_autofree char *out = commands->len ? net_run(argv, commands->str, error) : g_strdup("");
	return out != NULL;
}

static gboolean limit_in(const Port *port, const char *vif, GError **error)
{
	g_autoptr(GString) tc = g_string_new(NULL);
	g_autofree char *shape = tbf(port->limit_in);

	if (port->limit_in)
		g_string_append_printf(tc, "qdisc replace dev %s %s\n", vif, shape);
	else if (net_has_qdisc(vif, "tbf"))
		g_string_append_printf(tc, "qdisc delete dev %s root\n", vif);
	return tc_batch(tc, error);
}

static gboolean no_limit_out(const char *vif, const char *ifb, const Link *link, GError **error)
{
	g_autoptr(GString) tc = g_string_new(NULL), ip = g_string_new(NULL);

	if (net_has_qdisc(vif, "ingress"))
		g_string_append_printf(tc, "qdisc delete dev %s ingress\n", vif);
	if (link && net_link_ours(link, "ifb"))
		g_string_append_printf(ip, "link delete dev %s\n", ifb);
	return tc_batch(tc, error) && net_ip_batch(ip, error);
}

/* The way from the vif through the ifb. The ifb's tbf comes last: it tells a later call that all the rest is there. */
static gboolean redirect(const char *vif, const char *ifb, const char *shape, GError **error)
{
	g_autoptr(GString) tc = g_string_new(NULL), ip = g_string_new(NULL);

	if (net_has_qdisc(vif, "ingress")) {
		g_string_append_printf(tc, "qdisc delete dev %s ingress\n", vif);
		if (!tc_batch(tc, error))
			return FALSE;
		g_string_truncate(tc, 0);
	}
	g_string_append_printf(ip, "link set dev %s alias " NET_OWNER "\nlink set dev %s addrgenmode none\nlink set dev %s up\n",
		ifb, ifb, ifb);
	g_string_append_printf(tc, "qdisc add dev %s ingress\n", vif);
	g_string_append_printf(tc, "filter add dev %s ingress protocol all pref 1 u32 match u32 0 0 "
		"action mirred egress redirect dev %s\n", vif, ifb);
	g_string_append_printf(tc, "qdisc replace dev %s %s\n", ifb, shape);
	return net_ip_batch(ip, error) && tc_batch(tc, error);
}

static gboolean limit_out(const Port *port, const char *vif, GHashTable *links, GError **error)
{
	g_autoptr(GString) tc = g_string_new(NULL), ip = g_string_new(NULL);
	char ifb[16];
	net_ifb_name(port, ifb);
	Link *link = g_hash_table_lookup(links, ifb);

	if (!port->limit_out)
		return no_limit_out(vif, ifb, link, error);
	if (link && !g_str_equal(link->kind, "ifb")) {
		g_set_error(error, NET_ERROR, NET_ERROR_EXISTS, "network: an interface %s exists that Carrel did not make, and a VM's "
			"bandwidth limit needs that name; rename or delete it", ifb);
		return FALSE;
	}
	g_autofree char *shape = tbf(port->limit_out);
	if (link && net_link_ours(link, "ifb") && net_has_qdisc(ifb, "tbf") && net_has_qdisc(vif, "ingress")) {
		g_string_append_printf(tc, "qdisc replace dev %s %s\n", ifb, shape);
		return tc_batch(tc, error);
	}
	if (link) /* of a vif that is gone, or half made: what leads to it leads nowhere */
		g_string_append_printf(ip, "link delete dev %s\n", ifb);
	g_string_append_printf(ip, "link add name %s type ifb\n", ifb);
	return net_ip_batch(ip, error) && redirect(vif, ifb, shape, error);
}

/* Not a station on the wire: no address, no ARP, no IPv6 of its own. A private network's port can talk to the bridge only. */
static gboolean settle(const Port *port, const char *vif, gboolean attach, GError **error)
{
	g_autoptr(GString) ip = g_string_new(NULL);

	if (attach)
		g_string_append_printf(ip, "link set dev %s master %s\n", vif, port->address.bridge);
	g_string_append_printf(ip, "link set dev %s addrgenmode none arp off multicast off\n", vif);
	g_string_append_printf(ip, "link set dev %s type bridge_slave isolated %s hairpin off guard on root_block on\n", vif,
		port->network->shared ? "off" : "on");
	g_string_append_printf(ip, "link set dev %s up\n", vif);
	return net_sysctl("1", error, "ipv6/conf/%s/disable_ipv6", vif) && net_ip_batch(ip, error);
}

gboolean net_port_up(NetPlan *plan, gsize index, const char *vif, GError **error)
{
	g_return_val_if_fail(index < plan->ports->len, FALSE);
	Port *port = g_ptr_array_index(plan->ports, index);
	const NetAddress *address = &port->address;
	g_autoptr(GHashTable) links = NULL;

	if (!g_str_equal(vif, address->vif)) {
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: VM '%s', interface '%s': its back end is called '%s', but the "
			"rules know it as %s; nothing will pass: restart the VM", port->vm, port->name, vif, address->vif);
		return FALSE;
	}
	links = net_links(error);
	Link *link = links ? g_hash_table_lookup(links, vif) : NULL;
	if (!links)
		return FALSE;
	if (!link) {
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: VM '%s', interface '%s': there is no interface %s", port->vm,
			port->name, vif);
		return FALSE;
	}
	if (link->master && !g_str_equal(link->master, address->bridge)) {
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: VM '%s', interface '%s': %s is on bridge %s, but belongs on %s; "
			"restart the VM", port->vm, port->name, vif, link->master, address->bridge);
		return FALSE;
	}
	return settle(port, vif, !link->master, error) && limit_in(port, vif, error) && limit_out(port, vif, links, error);
}
