/* SPDX-License-Identifier: Apache-2.0 */
/* The nftables rules. The policy is the constant text here; the plan only fills the sets that it looks up, so that a reader
 * can judge it once for any number of VMs. Everything that comes from a VM ends in a drop unless a rule accepts it: what a
 * rule cannot parse, no rule accepts.
 *
 * table bridge carrel: frames as they enter from a vif, before anything of ours has read them (who may say what), and frames
 * between two vifs of one shared network. table inet carrel: what may reach the service domain, and what it routes. */
#include "internal.h"

/* Interface names: ours are cr-* (bridges) and vif-* (a VM's back end); one that no set has is one that we do not know. */
static const char bridge_chains[] =
	"\tset seen6 { type ifname . ipv6_addr; size 65535; flags dynamic,timeout; timeout 10m; }\n"
	"\tset fresh6 { type ifname; size 1024; flags dynamic; }\n"
	"\tchain prerouting {\n"
	"\t\ttype filter hook prerouting priority filter; policy accept;\n"
	"\t\tiifname \"vif-*\" goto from_vm\n"
	"\t}\n"
	/* 01:80:c2 is for the bridge itself (BPDU, LLDP, pause): such a frame skips prerouting, whatever it carries. */
	"\tchain input {\n"
	"\t\ttype filter hook input priority filter; policy accept;\n"
	"\t\tiifname \"vif-*\" ether daddr and ff:ff:ff:00:00:00 == 01:80:c2:00:00:00 drop\n"
	"\t}\n"
	"\tchain forward {\n"
	"\t\ttype filter hook forward priority filter; policy accept;\n"
	"\t\tiifname \"vif-*\" goto between_vms\n"
	"\t\toifname \"vif-*\" goto between_vms\n"
	"\t}\n"
	/* 'ether type' reads the frame, a tag included; a tagged or an unknown frame matches nothing and is dropped. */
	"\tchain from_vm {\n"
	"\t\tether daddr and ff:ff:ff:00:00:00 == 01:80:c2:00:00:00 drop\n"
	"\t\tiifname . ether saddr != @source_mac drop\n"
	"\t\tether type vmap { arp : goto from_vm_arp, ip : goto from_vm_ip4, ip6 : goto from_vm_ip6 }\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain from_vm_arp {\n"
	"\t\tarp htype != 1 drop\n"
	"\t\tarp ptype != ip drop\n"
	"\t\tarp hlen != 6 drop\n"
	"\t\tarp plen != 4 drop\n"
	"\t\tarp operation { request, reply } iifname . arp saddr ether . arp saddr ip @source_arp accept\n"
	"\t\tarp operation request iifname . arp saddr ether @source_mac arp saddr ip 0.0.0.0 accept\n" /* RFC 5227: probe */
	"\t\tdrop\n"
	"\t}\n"
	"\tchain from_vm_ip4 {\n"
	"\t\tip version != 4 drop\n"
	"\t\tudp sport 67 drop\n"
	"\t\tudp dport 68 drop\n"
	"\t\ticmp type { redirect, router-advertisement } drop\n"
	"\t\tiifname . ip saddr @source4 meta l4proto { icmp, igmp, tcp, udp, udplite, sctp, esp, ah, gre } accept\n"
	"\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n"
	"\t\tdrop\n"
	"\t}\n"
	/* ICMPv6 has its own list, so that a neighbour advertisement behind extension headers or in fragments (RFC 7113) does not
	 * pass as something else. */
	"\tchain from_vm_ip6 {\n"
	"\t\tip6 version != 6 drop\n"
	"\t\tiifname . ip6 saddr @gateway6 drop\n"
	"\t\tmeta l4proto ipv6-icmp goto from_vm_icmp6\n"
	"\t\tudp sport 547 drop\n"
	"\t\tudp dport 546 drop\n"
	"\t\tmeta l4proto { tcp, udp, udplite, sctp, esp, gre } goto from_vm_source6\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain from_vm_icmp6 {\n"
	"\t\ticmpv6 type nd-neighbor-advert iifname . icmpv6 taddr @gateway6 drop\n"
	"\t\ticmpv6 type nd-neighbor-advert icmpv6 taddr fe80::/10 goto from_vm_source6\n"
	"\t\ticmpv6 type nd-neighbor-advert iifname . icmpv6 taddr @source6 goto from_vm_source6\n"
	"\t\ticmpv6 type nd-neighbor-solicit ip6 saddr :: goto from_vm_duplicate6\n"
	"\t\ticmpv6 type { nd-neighbor-solicit, nd-router-solicit, echo-request, echo-reply, destination-unreachable,\n"
	"\t\t\tpacket-too-big, time-exceeded, parameter-problem, mld-listener-report, mld-listener-done,\n"
	"\t\t\tmld2-listener-report } goto from_vm_source6\n"
	"\t\tfrag frag-off != 0 goto from_vm_source6\n" /* the rest of a long echo */
	"\t\tdrop\n"
	"\t}\n"
	/* Duplicate address detection claims an address as an advertisement does. */
	"\tchain from_vm_duplicate6 {\n"
	"\t\tiifname . icmpv6 taddr @gateway6 drop\n"
	"\t\ticmpv6 taddr fe80::/10 accept\n"
	"\t\tiifname . icmpv6 taddr @source6 accept\n"
	"\t\tdrop\n"
	"\t}\n"
	/* One VM must not fill our neighbour table, which all share, with addresses that it makes up. */
	"\tchain from_vm_source6 {\n"
	"\t\tip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept\n"
	"\t\tip6 saddr fe80::/10 goto from_vm_seen6\n"
	"\t\tiifname . ip6 saddr @source6 goto from_vm_seen6\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain from_vm_seen6 {\n"
	"\t\tiifname . ip6 saddr @seen6 accept\n"
	"\t\tadd @fresh6 { iifname limit rate over 6/minute burst 32 packets } drop\n"
	"\t\tadd @seen6 { iifname . ip6 saddr }\n"
	"\t\taccept\n"
	"\t}\n"
	/* On a shared network, IPv4 and unique local addresses pass, both known to be the sender's. Link-local ones do not: guests
	 * choose them freely, so nobody could tell whose they are. */
	"\tchain between_vms {\n"
	"\t\tiifname != @shared drop\n"
	"\t\toifname != @shared drop\n"
	"\t\tether type arp accept\n"
	"\t\tudp dport { 67, 547 } drop\n" /* a client's question is for our server only */
	"\t\tether type ip accept\n"
	"\t\tether type != ip6 drop\n"
	"\t\tip6 nexthdr ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } icmpv6 taddr != fe80::/10 accept\n"
	"\t\tip6 saddr fe80::/10 drop\n"
	"\t\tip6 saddr :: drop\n"
	"\t\tip6 nexthdr ipv6-icmp icmpv6 type { echo-request, echo-reply, destination-unreachable, packet-too-big,\n"
	"\t\t\ttime-exceeded, parameter-problem } accept\n"
	"\t\tip6 nexthdr { tcp, udp, udplite, sctp, esp, gre } accept\n"
	"\t\tip6 nexthdr ipv6-frag frag nexthdr { tcp, udp } accept\n"
	"\t\tdrop\n"
	"\t}\n";

static const char inet_chains[] =
	/* Never routed for a VM: this host, link-local (a cloud's metadata service too), multicast, reserved. */
	"\tset never4 { type ipv4_addr; flags interval; elements = {\n"
	"\t\t0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 240.0.0.0/4 } }\n"
	"\tset never6 { type ipv6_addr; flags interval; elements = {\n"
	"\t\t::/96, ::ffff:0:0/96, fd00:ec2::254, fe80::/10, ff00::/8 } }\n"
	"\tset rate_dhcp { type ifname; size 1024; flags dynamic; }\n"
	"\tset rate_echo { type ifname; size 1024; flags dynamic; }\n"
	"\tset rate_dns { type ifname; size 1024; flags dynamic; }\n"
	"\tset count_dns { type ifname; size 1024; flags dynamic; }\n"
	"\tset count_routed { type ifname; size 1024; flags dynamic; }\n"
	"\tchain prerouting {\n"
	"\t\ttype filter hook prerouting priority raw; policy accept;\n"
	"\t\tiifname \"vif-*\" drop\n" /* a vif is a bridge's port: it has no IP of its own */
	"\t\tiifname \"cr-*\" goto from_vm\n"
	"\t\tiifname \"lo\" accept\n"
	"\t\tip saddr @ours4 drop\n"
	"\t\tip6 saddr @ours6 drop\n"
	"\t}\n"
	/* The bridge table has looked at each port; this looks at the bridge, in case a port's name deceived it. */
	"\tchain from_vm {\n"
	"\t\tiifname != @bridges drop\n"
	"\t\tiifname . ip saddr @source4 accept\n"
	"\t\tiifname . ip6 saddr @source6 accept\n"
	"\t\tip6 saddr fe80::/10 accept\n"
	"\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n"
	"\t\tip6 saddr :: meta l4proto ipv6-icmp accept\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain input {\n"
	"\t\ttype filter hook input priority filter; policy accept;\n"
	"\t\tiifname \"cr-*\" goto to_us\n"
	"\t}\n"
	"\tchain to_us {\n"
	"\t\tip daddr 255.255.255.255 udp sport 68 udp dport 67 goto dhcp\n"
	"\t\tip6 saddr fe80::/10 ip6 daddr ff02::1:2 udp sport 546 udp dport 547 goto dhcp\n"
	"\t\ticmpv6 type nd-router-solicit ip6 hoplimit 255 goto dhcp\n"
	"\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n"
	"\t\tiifname . ip daddr @gateway4 goto services\n"
	"\t\tiifname . ip6 daddr @gateway6 goto services\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain services {\n"
	"\t\tmeta nfproto ipv4 udp sport 68 udp dport 67 goto dhcp\n"
	"\t\ticmp type echo-request goto echo\n"
	"\t\ticmpv6 type echo-request goto echo\n"
	"\t\tiifname . ip saddr @outside4 goto dns\n"
	"\t\tiifname . ip6 saddr @outside6 goto dns\n"
	"\t\tdrop\n"
	"\t}\n"
	/* Limits, so that one VM does not take dnsmasq, or the connection table, from the others. */
	"\tchain dhcp {\n"
	"\t\tadd @rate_dhcp { iifname limit rate over 10/second burst 30 packets } drop\n"
	"\t\taccept\n"
	"\t}\n"
	"\tchain echo {\n"
	"\t\tadd @rate_echo { iifname limit rate over 50/second burst 50 packets } drop\n"
	"\t\taccept\n"
	"\t}\n"
	"\tchain dns {\n"
	"\t\tudp dport 53 add @rate_dns { iifname limit rate over 200/second burst 400 packets } drop\n"
	"\t\tudp dport 53 accept\n"
	"\t\ttcp dport 53 ct state new add @count_dns { iifname ct count over 4 } drop\n"
	"\t\ttcp dport 53 accept\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain forward {\n"
	"\t\ttype filter hook forward priority filter; policy accept;\n"
	"\t\tiifname \"cr-*\" goto routed_from_vm\n"
	"\t\toifname \"cr-*\" goto routed_to_vm\n"
	"%s" /* what is not ours */
	"\t}\n"
	"\tchain routed_from_vm {\n"
	"\t\tiifname . oifname @shared_wire accept\n" /* bridged, where br_netfilter shows it here */
	"\t\toifname \"cr-*\" drop\n"
	"\t\toifname \"vif-*\" drop\n"
	"\t\tct state invalid drop\n"
	"\t\tip daddr @never4 drop\n"
	"\t\tip6 daddr @never6 drop\n"
	"%s" /* uplinks */
	"\t\tiifname . ip saddr @outside4 goto outside\n"
	"\t\tiifname . ip6 saddr @outside6 goto outside\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain outside {\n"
	"\t\tct state new add @count_routed { iifname ct count over 4096 } drop\n"
	"\t\taccept\n"
	"\t}\n"
	"\tchain routed_to_vm {\n"
	"\t\tct state established,related accept\n"
	"\t\tdrop\n"
	"\t}\n"
	"\tchain postrouting {\n"
	"\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
	"\t\toifname \"cr-*\" accept\n"
	"\t\toifname \"lo\" accept\n"
	"\t\tip saddr @ours4 masquerade random\n"
	"\t\tip6 saddr @ours6 masquerade random\n"
	"\t}\n";

/* We switched forwarding on for the VMs: that must not make a router of the service domain between its other interfaces. */
static const char no_other_routing[] = "\t\tdrop\n";

static void add_element(GPtrArray *set, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add_element(GPtrArray *set, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_ptr_array_add(set, g_strdup_vprintf(format, args));
	va_end(args);
}

/* Writes a set and empties the list of its elements. */
static void put_set(GString *text, const char *name, const char *type, GPtrArray *elements)
{
	g_string_append_printf(text, "\tset %s { type %s;", name, type);
	for (guint i = 0; i < elements->len; i++)
		g_string_append_printf(text, "%s %s", i ? ",\n\t\t" : " elements = {", (char *)g_ptr_array_index(elements, i));
	g_string_append(text, elements->len ? " }; }\n" : " }\n");
	g_ptr_array_set_size(elements, 0);
}

/* Where a port's IPv6 addresses are: on a private network the guest may choose them (SLAAC); on a shared one it has its own. */
static char *port_prefix6(const Port *port)
{
	return port->network->shared ? g_strdup(port->address.address6) : g_strconcat(port->network->net6, "/64", NULL);
}

/* Sets of (where, source address) of the ports; on: 'vif-…' or 'cr-…'; only: those that may reach the world. */
static void put_sources(NetPlan *plan, GString *text, const char *name, gboolean on_bridge, gboolean only)
{
	g_autoptr(GPtrArray) four = g_ptr_array_new_with_free_func(g_free), six = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name4 = g_strconcat(name, "4", NULL), *name6 = g_strconcat(name, "6", NULL);

	for (guint i = 0; i < plan->ports->len; i++) {
		Port *port = g_ptr_array_index(plan->ports, i);
		const char *on = on_bridge ? port->address.bridge : port->address.vif;
		g_autofree char *prefix6 = port_prefix6(port);
		if (only && !port->outside)
			continue;
		add_element(four, "\"%s\" . %s", on, port->address.address4);
		add_element(six, "\"%s\" . %s", on, prefix6);
	}
	put_set(text, name4, "ifname . ipv4_addr", four);
	put_set(text, name6, "ifname . ipv6_addr; flags interval", six);
}

static void put_bridge_table(NetPlan *plan, GString *text)
{
	g_autoptr(GPtrArray) mac = g_ptr_array_new_with_free_func(g_free), arp = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) gateway = g_ptr_array_new_with_free_func(g_free), shared = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < plan->ports->len; i++) {
		Port *port = g_ptr_array_index(plan->ports, i);
		const NetAddress *address = &port->address;
		char of[18];
		net_format_mac(port->mac, of);
		add_element(mac, "\"%s\" . %s", address->vif, of);
		add_element(arp, "\"%s\" . %s . %s", address->vif, of, address->address4);
		add_element(gateway, "\"%s\" . %s", address->vif, address->gateway6);
		add_element(gateway, "\"%s\" . %s", address->vif, net_gateway_link_local);
		if (port->network->shared)
			add_element(shared, "\"%s\"", address->vif);
	}
	g_string_append(text, "table bridge carrel\ndelete table bridge carrel\ntable bridge carrel {\n");
	put_set(text, "source_mac", "ifname . ether_addr", mac);
	put_set(text, "source_arp", "ifname . ether_addr . ipv4_addr", arp);
	put_set(text, "gateway6", "ifname . ipv6_addr", gateway);
	put_set(text, "shared", "ifname", shared);
	put_sources(plan, text, "source", FALSE, FALSE);
	g_string_append(text, bridge_chains);
	g_string_append(text, "}\n");
}

static void put_networks(NetPlan *plan, GString *text)
{
	g_autoptr(GPtrArray) bridges = g_ptr_array_new_with_free_func(g_free), wire = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) four = g_ptr_array_new_with_free_func(g_free), six = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) ours4 = g_ptr_array_new_with_free_func(g_free), ours6 = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		g_autofree char *net4 = net_format4(network->net4);
		add_element(bridges, "\"%s\"", network->bridge);
		add_element(four, "\"%s\" . %s", network->bridge, network->gateway4);
		add_element(six, "\"%s\" . %s", network->bridge, network->gateway6);
		add_element(six, "\"%s\" . %s", network->bridge, net_gateway_link_local);
		add_element(ours4, "%s/%u", net4, network->prefix4);
		add_element(ours6, "%s/64", network->net6);
		if (network->shared)
			add_element(wire, "\"%s\" . \"%s\"", network->bridge, network->bridge);
	}
	put_set(text, "bridges", "ifname", bridges);
	put_set(text, "gateway4", "ifname . ipv4_addr", four);
	put_set(text, "gateway6", "ifname . ipv6_addr", six);
	put_set(text, "ours4", "ipv4_addr; flags interval", ours4);
	put_set(text, "ours6", "ipv6_addr; flags interval", ours6);
	put_set(text, "shared_wire", "ifname . ifname", wire);
}

static void put_inet_table(NetPlan *plan, GString *text)
{
	g_autoptr(GPtrArray) uplinks = g_ptr_array_new_with_free_func(g_free);

	g_string_append(text, "table inet carrel\ndelete table inet carrel\ntable inet carrel {\n");
	put_networks(plan, text);
	put_sources(plan, text, "source", TRUE, FALSE);
	put_sources(plan, text, "outside", TRUE, TRUE);
	for (char **uplink = plan->uplinks; uplink && *uplink; uplink++)
		add_element(uplinks, "\"%s\"", *uplink);
	if (plan->uplinks)
		put_set(text, "uplinks", "ifname", uplinks);
	g_string_append_printf(text, inet_chains, plan->keep_routing ? "" : no_other_routing,
		plan->uplinks ? "\t\toifname != @uplinks drop\n" : "");
	g_string_append(text, "}\n");
}

char *net_plan_rules(NetPlan *plan)
{
	GString *text = g_string_new("# Made by Carrel from the VMs' networks; changes are lost.\n");

	put_bridge_table(plan, text);
	put_inet_table(plan, text);
	return g_string_free(text, FALSE);
}
