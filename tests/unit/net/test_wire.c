/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks with real frames. Each is tried three ways: its honest sibling must arrive; the attack must not arrive anywhere it is
 * not meant to; and with the rules that guard against it taken out, it must arrive: else the test would prove nothing. All of
 * it but the last with br_netfilter on as well, since something else in the service domain may switch that; then frames between
 * two VMs meet table inet too, which would hide that a rule is missing in table bridge. */
#include <glib/gstdio.h>
#include <string.h>

#include "lab.h"

#define ARP  0x0806
#define IP4  0x0800
#define IP6  0x86dd
#define NEXT "\t\t"

enum { DOOR = 1 << 8, WORLD = 1 << 9, OTHER = 1 << 10, HOST = 1 << 11 };
#define VM(i) (1u << (i))

typedef struct {
	Lab *lab;
	int from;
	const Station *station;
	const NetAddress *me;
	guint8 gateway[6];
	const char *mark;
	Frame frames[4];
	int count;
} Shot;

typedef struct {
	const char *name;
	int from; /* a VM, or WORLD, or OTHER */
	void (*build)(Shot *shot, gboolean hostile);
	unsigned forbidden, control; /* where it must not arrive; where its honest sibling must */
	const char *open[4][2];      /* rules, and what to put in their place, for it to succeed */
} Attack;

static const guint8 broadcast[6] = { 255, 255, 255, 255, 255, 255 }, all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };

static const NetAddress *at(Shot *shot, int vm)
{
	return shot->lab->vm[vm].address;
}

static const guint8 *mac_of(Shot *shot, int vm)
{
	return shot->lab->vm[vm].mac;
}

static Frame *next(Shot *shot, const guint8 *to, const guint8 *from, guint16 type)
{
	Frame *frame = &shot->frames[shot->count++];
	eth(frame, to, from, type);
	return frame;
}

/* A frame of the sender's own to its gateway. */
static Frame *routed(Shot *shot, guint16 type)
{
	return next(shot, shot->gateway, shot->station->mac, type);
}

/* Between VMs. */

static void vm_by_gateway4(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? at(shot, B)->address4 : WORLD4, 1000, 2000, shot->mark);
}

static void vm_by_gateway6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), shot->me->address6, hostile ? at(shot, B)->address6 : WORLD6, 1000, 2000, shot->mark);
}

static void vm_fragments(Shot *shot, gboolean hostile)
{
	const char *to = hostile ? at(shot, B)->address4 : WORLD4;
	char text[64] = { 0 };
	guint8 payload[128];

	memset(text, '.', 48);
	memcpy(text + 40, shot->mark, strlen(shot->mark));
	gsize length = udp_payload(payload, shot->me->address4, to, 1000, 2000, text, 64);
	ip4(routed(shot, IP4), shot->me->address4, to, 17, 0x2000, payload, 24);
	ip4(routed(shot, IP4), shot->me->address4, to, 17, 3, payload + 24, length - 24);
}

static void vm_direct(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, hostile ? B : D), shot->station->mac, IP4);
	udp(frame, shot->me->address4, at(shot, hostile ? B : D)->address4, 1000, 2000, shot->mark);
}

static void office_to_lab(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? at(shot, F)->address4 : WORLD4, 1000, 2000, shot->mark);
}

static void vm_multicast(Shot *shot, gboolean hostile)
{
	static const guint8 group[6] = { 0x01, 0, 0x5e, 1, 1, 1 };
	Frame *frame = next(shot, group, shot->station->mac, IP4);
	udp(frame, shot->me->address4, hostile ? "239.1.1.1" : "224.0.0.251", 1000, SERVICE_PORT, shot->mark);
}

static void vm_broadcast(Shot *shot, gboolean hostile)
{
	udp(next(shot, broadcast, shot->station->mac, IP4), shot->me->address4, hostile ? "255.255.255.255" : shot->me->gateway4, 1000,
		SERVICE_PORT, shot->mark);
}

static void vm_link_local(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, IP6);
	udp(frame, hostile ? "fe80::c" : shot->me->address6, hostile ? "fe80::d" : at(shot, D)->address6, 1000, 2000, shot->mark);
}

/* Forged senders. */

static void forged_source4(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), hostile ? at(shot, B)->address4 : shot->me->address4, WORLD4, 1000, 2000, shot->mark);
}

static void forged_source6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), hostile ? at(shot, B)->address6 : shot->me->address6, WORLD6, 1000, 2000, shot->mark);
}

static void forged_mac(Shot *shot, gboolean hostile)
{
	udp(next(shot, shot->gateway, hostile ? mac_of(shot, B) : shot->station->mac, IP4), shot->me->address4, WORLD4, 1000, 2000,
		shot->mark);
}

static void forged_peer4(Shot *shot, gboolean hostile)
{
	udp(next(shot, mac_of(shot, D), shot->station->mac, IP4), hostile ? shot->me->gateway4 : shot->me->address4,
		at(shot, D)->address4, 1000, 2000, shot->mark);
}

static void forged_peer6(Shot *shot, gboolean hostile)
{
	udp(next(shot, mac_of(shot, D), shot->station->mac, IP6), hostile ? shot->me->gateway6 : shot->me->address6,
		at(shot, D)->address6, 1000, 2000, shot->mark);
}

static void arp_as_peer(Shot *shot, gboolean hostile)
{
	const char *claimed = hostile ? shot->from == C ? at(shot, D)->address4 : shot->me->gateway4 : shot->me->address4;
	arp(next(shot, broadcast, shot->station->mac, ARP), 2, shot->station->mac, claimed, claimed, shot->mark);
}

static void arp_as_gateway(Shot *shot, gboolean hostile)
{
	const char *claimed = hostile ? shot->me->gateway4 : shot->me->address4;
	arp(next(shot, mac_of(shot, D), shot->station->mac, ARP), 1, shot->station->mac, claimed, at(shot, D)->address4, shot->mark);
}

static void arp_other_mac(Shot *shot, gboolean hostile)
{
	arp(next(shot, broadcast, shot->station->mac, ARP), 2, hostile ? mac_of(shot, D) : shot->station->mac, shot->me->address4,
		shot->me->address4, shot->mark);
}

static void arp_odd(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, broadcast, shot->station->mac, ARP);
	arp(frame, hostile ? 3 : 1, shot->station->mac, shot->me->address4, shot->me->address4, shot->mark);
}

static void nd_advertise(Shot *shot, const char *target)
{
	icmp6(next(shot, all_nodes, shot->station->mac, IP6), "fe80::c", "ff02::1", 136, target, shot->mark);
}

static void nd_as_peer(Shot *shot, gboolean hostile)
{
	nd_advertise(shot, hostile ? at(shot, D)->address6 : shot->me->address6);
}

static void nd_as_gateway(Shot *shot, gboolean hostile)
{
	nd_advertise(shot, hostile ? shot->me->gateway6 : shot->me->address6);
}

static void nd_link_local_gateway(Shot *shot, gboolean hostile)
{
	nd_advertise(shot, hostile ? "fe80::1" : "fe80::c");
}

static void nd_from_gateway(Shot *shot, gboolean hostile)
{
	icmp6(next(shot, all_nodes, shot->station->mac, IP6), hostile ? "fe80::1" : "fe80::c", "ff02::1", 135, shot->me->address6,
		shot->mark);
}

static void dad_of_peer(Shot *shot, gboolean hostile)
{
	icmp6(next(shot, all_nodes, shot->station->mac, IP6), "::", "ff02::1", 135,
		hostile ? at(shot, D)->address6 : shot->me->address6, shot->mark);
}

/* Servers and routers that a VM pretends to be. */

static void router_advertisement(Shot *shot, gboolean hostile)
{
	icmp6(next(shot, all_nodes, shot->station->mac, IP6), "fe80::c", "ff02::1", hostile ? 134 : 136,
		hostile ? NULL : shot->me->address6, shot->mark);
}

/* RFC 7113: behind a destination options header. */
static void router_behind_options(Shot *shot, gboolean hostile)
{
	guint8 payload[160] = { hostile ? 58 : 17, 0, 1, 4 };
	const char *from = hostile ? "fe80::c" : shot->me->address6, *to = hostile ? "ff02::1" : shot->me->gateway6;
	gsize length = hostile ? icmp6_payload(payload + 8, from, to, 134, NULL, shot->mark) :
		udp_payload(payload + 8, from, to, 1000, 2000, shot->mark, strlen(shot->mark));
	ip6(next(shot, hostile ? all_nodes : shot->gateway, shot->station->mac, IP6), from, to, 60, payload, length + 8);
}

/* RFC 7113: the first fragment has only a destination options header, the second the message. */
static void router_in_fragments(Shot *shot, gboolean hostile)
{
	guint8 first[16] = { hostile ? 60 : 17, 0, 0, 1, 0, 0, 0, 7 }, second[160] = { hostile ? 60 : 17, 0, 0, 8, 0, 0, 0, 7 };
	const char *from = hostile ? "fe80::c" : shot->me->address6, *to = hostile ? "ff02::1" : at(shot, D)->address6;
	const guint8 *mac = hostile ? all_nodes : mac_of(shot, D);
	guint8 whole[160];

	if (hostile) {
		first[8] = 58;
		first[10] = 1;
		first[11] = 4;
		gsize length = icmp6_payload(second + 8, from, to, 134, NULL, shot->mark);
		ip6(next(shot, mac, shot->station->mac, IP6), from, to, 44, first, 16);
		ip6(next(shot, mac, shot->station->mac, IP6), from, to, 44, second, length + 8);
		return;
	}
	gsize length = udp_payload(whole, from, to, 1000, 2000, shot->mark, strlen(shot->mark));
	memcpy(first + 8, whole, 8);
	memcpy(second + 8, whole + 8, length - 8);
	ip6(next(shot, mac, shot->station->mac, IP6), from, to, 44, first, 16);
	ip6(next(shot, mac, shot->station->mac, IP6), from, to, 44, second, length);
}

static void redirect6(Shot *shot, gboolean hostile)
{
	icmp6(next(shot, all_nodes, shot->station->mac, IP6), "fe80::c", "ff02::1", hostile ? 137 : 136, shot->me->address6, shot->mark);
}

static void redirect4(Shot *shot, gboolean hostile)
{
	guint8 message[64] = { hostile ? 5 : 8, 1 };
	gsize length = 28;

	memcpy(message + 8, shot->mark, strlen(shot->mark));
	guint32 sum = 0;
	for (gsize i = 0; i < length; i += 2)
		sum += (guint32)message[i] << 8 | message[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	message[2] = (guint8)(~sum >> 8);
	message[3] = (guint8)~sum;
	ip4(routed(shot, IP4), shot->me->address4, shot->me->gateway4, 1, 0, message, length);
}

static void dhcp_server(Shot *shot, gboolean hostile)
{
	udp(next(shot, broadcast, shot->station->mac, IP4), shot->me->address4, "255.255.255.255", hostile ? 67 : 1067, hostile ? 68 : 1068,
		shot->mark);
}

static void dhcp_server_port(Shot *shot, gboolean hostile)
{
	udp(next(shot, mac_of(shot, D), shot->station->mac, IP4), shot->me->address4, at(shot, D)->address4, 1067, hostile ? 68 : 69,
		shot->mark);
}

static void dhcp6_server(Shot *shot, gboolean hostile)
{
	udp(next(shot, mac_of(shot, D), shot->station->mac, IP6), shot->me->address6, at(shot, D)->address6, hostile ? 547 : 1547, 1546,
		shot->mark);
}

/* A client's question is for our server; the others on the network need not hear it. */
static void dhcp_question(Shot *shot, gboolean hostile)
{
	udp(next(shot, broadcast, shot->station->mac, IP4), hostile ? "0.0.0.0" : shot->me->address4, "255.255.255.255", 68,
		hostile ? 67 : 1067, shot->mark);
}

/* The service domain and what is around it. */

static void host_gateway4(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, shot->me->gateway4, 1000, hostile ? SERVICE_PORT : 53, shot->mark);
}

static void host_gateway6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), shot->me->address6, shot->me->gateway6, 1000, hostile ? SERVICE_PORT : 53, shot->mark);
}

static void host_link_local(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), "fe80::c", "fe80::1", 1000, hostile ? SERVICE_PORT : 53, shot->mark);
}

static void host_uplink4(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? UPLINK4 : WORLD4, 1000, SERVICE_PORT, shot->mark);
}

static void host_uplink6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), shot->me->address6, hostile ? "2001:db8::1" : WORLD6, 1000, SERVICE_PORT, shot->mark);
}

static void host_other_gateway(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? at(shot, B)->gateway4 : WORLD4, 1000, SERVICE_PORT, shot->mark);
}

static void metadata4(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? "169.254.169.254" : "203.0.113.9", 1000, 80, shot->mark);
}

static void metadata6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), shot->me->address6, hostile ? "fd00:ec2::254" : "2001:db8:1::9", 1000, 80, shot->mark);
}

static void not_outside(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), shot->me->address4, hostile ? WORLD4 : shot->me->gateway4, 1000, 53, shot->mark);
}

static void not_outside6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), shot->me->address6, hostile ? WORLD6 : shot->me->gateway6, 1000, 53, shot->mark);
}

/* Frames that are not what they seem. */

static void vlan(Shot *shot, gboolean hostile)
{
	Frame *frame = routed(shot, IP4);
	udp(frame, shot->me->address4, WORLD4, 1000, 2000, shot->mark);
	if (hostile)
		tag(frame, 0x8100, 5);
}

static void vlan_priority(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, IP4);
	udp(frame, shot->me->address4, at(shot, D)->address4, 1000, 2000, shot->mark);
	if (hostile)
		tag(frame, 0x8100, 0);
}

static void vlan_double(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, IP4);
	udp(frame, shot->me->address4, at(shot, D)->address4, 1000, 2000, shot->mark);
	if (hostile) {
		tag(frame, 0x8100, 7);
		tag(frame, 0x88a8, 5);
	}
}

/* The tag hides an ARP spoof. */
static void vlan_arp(Shot *shot, gboolean hostile)
{
	arp_as_peer(shot, hostile);
	if (hostile)
		tag(&shot->frames[0], 0x8100, 0);
}

static void other_protocol(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, hostile ? 0x88b5 : IP4);
	udp(frame, shot->me->address4, at(shot, D)->address4, 1000, 2000, shot->mark);
}

static void other_protocols(Shot *shot, gboolean hostile)
{
	static const guint16 types[] = { 0x8864 /* PPPoE */, 0x8847 /* MPLS */, 0x888e /* 802.1X */, 64 /* 802.3 */ };
	for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
		Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, hostile ? types[i] : IP4);
		udp(frame, shot->me->address4, at(shot, D)->address4, 1000, 2000, shot->mark);
	}
}

/* Addressed to the bridge itself, a frame takes a way past its prerouting hook. */
static void to_bridge_group(Shot *shot, gboolean hostile)
{
	static const guint8 lldp[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e };
	udp(next(shot, hostile ? lldp : shot->gateway, shot->station->mac, IP4), shot->me->address4, shot->me->gateway4, 1000,
		hostile ? SERVICE_PORT : 53, shot->mark);
}

static void wrong_version(Shot *shot, gboolean hostile)
{
	Frame *frame = next(shot, mac_of(shot, D), shot->station->mac, IP4);
	udp(frame, shot->me->address4, at(shot, D)->address4, 1000, 2000, shot->mark);
	if (hostile)
		frame->data[14] = 0x65;
}

static void odd_transport(Shot *shot, gboolean hostile)
{
	ip4(next(shot, mac_of(shot, D), shot->station->mac, IP4), shot->me->address4, at(shot, D)->address4, hostile ? 112 : 17, 0,
		shot->mark, strlen(shot->mark));
}

/* From the world. */

static void world_to_vm(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), WORLD4, hostile ? at(shot, A)->address4 : UPLINK4, 1000, SERVICE_PORT, shot->mark);
}

static void world_to_vm6(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP6), WORLD6, hostile ? at(shot, A)->address6 : "2001:db8::1", 1000, SERVICE_PORT, shot->mark);
}

static void world_as_vm(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), hostile ? at(shot, A)->address4 : WORLD4, UPLINK4, 1000, SERVICE_PORT, shot->mark);
}

static void through_us(Shot *shot, gboolean hostile)
{
	udp(routed(shot, IP4), WORLD4, hostile ? "198.51.100.2" : UPLINK4, 1000, SERVICE_PORT, shot->mark);
}

#define OPEN_ROUTING { NEXT "oifname \"cr-*\" drop\n", "" }
#define OPEN_INPUT   { NEXT "iifname \"cr-*\" goto to_us\n", "" }
#define OPEN_FRAMES  { NEXT "iifname \"vif-*\" goto from_vm\n", "" }
#define OPEN_RAW     { NEXT "iifname \"cr-*\" goto from_vm\n", "" }
#define OPEN_BETWEEN { NEXT "ether type != ip6 drop\n", NEXT "accept\n" }

static const Attack attacks[] = {
	{ "another VM through the gateway", A, vm_by_gateway4, VM(B), WORLD, { OPEN_ROUTING } },
	{ "another VM through the gateway, IPv6", A, vm_by_gateway6, VM(B), WORLD, { OPEN_ROUTING } },
	{ "another VM in fragments", A, vm_fragments, VM(B), WORLD, { OPEN_ROUTING } },
	{ "a private VM from a shared network", C, vm_by_gateway4, VM(B), WORLD, { OPEN_ROUTING } },
	{ "another shared network", C, office_to_lab, VM(F), WORLD, { OPEN_ROUTING } },
	{ "another VM by its MAC address", C, vm_direct, VM(A) | VM(B) | VM(E) | VM(F) | HOST, VM(D), { { NULL } } },
	{ "multicast", A, vm_multicast, VM(B) | VM(C) | WORLD | HOST, DOOR, { { NULL } } },
	{ "broadcast", A, vm_broadcast, VM(B) | VM(C) | WORLD | HOST, DOOR, { OPEN_INPUT } },
	{ "link-local on a shared network", C, vm_link_local, VM(D), VM(D), { { NEXT "ip6 saddr fe80::/10 drop\n", "" } } },
	{ "forged IPv4 source", A, forged_source4, DOOR | WORLD, WORLD, { OPEN_FRAMES } },
	{ "forged IPv6 source", A, forged_source6, DOOR | WORLD, WORLD, { OPEN_FRAMES } },
	{ "forged IPv6 source, past the bridge's rules", A, forged_source6, WORLD, WORLD, { OPEN_FRAMES, OPEN_RAW,
		{ NEXT "ip6 saddr @ours6 drop\n", "" }, { "iifname . ip6 saddr @outside6 goto outside", "goto outside" } } },
	{ "forged MAC source", A, forged_mac, DOOR | WORLD, WORLD, { { NEXT "iifname . ether saddr != @source_mac drop\n", "" } } },
	{ "gateway's IPv4 as source, to a peer", C, forged_peer4, VM(D), VM(D), { OPEN_FRAMES, OPEN_RAW } },
	{ "gateway's IPv6 as source, to a peer", C, forged_peer6, VM(D), VM(D), { OPEN_FRAMES, OPEN_RAW } },
	{ "ARP: a peer's address", C, arp_as_peer, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "ARP: the gateway's address, to the gateway", A, arp_as_peer, DOOR, DOOR, { OPEN_FRAMES } },
	{ "ARP: the gateway's address, to a peer", C, arp_as_gateway, VM(D), VM(D), { OPEN_FRAMES } },
	{ "ARP: another's MAC address inside", C, arp_other_mac, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "ARP: reverse ARP", C, arp_odd, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "ND: a peer's address", C, nd_as_peer, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "ND: the gateway's address", C, nd_as_gateway, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "ND: the gateway's link-local address", C, nd_link_local_gateway, VM(D) | DOOR, DOOR, { OPEN_FRAMES } },
	{ "ND: as the gateway", C, nd_from_gateway, VM(D) | DOOR, VM(D), { { NEXT "iifname . ip6 saddr @gateway6 drop\n", "" } } },
	{ "ND: a peer's address as one's duplicate", C, dad_of_peer, VM(D) | DOOR, VM(D), { OPEN_FRAMES } },
	{ "router advertisement", A, router_advertisement, DOOR, DOOR, { OPEN_FRAMES } },
	{ "router advertisement to a peer", C, router_advertisement, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "router advertisement behind options", C, router_behind_options, VM(D) | DOOR, DOOR, { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "router advertisement in fragments", C, router_in_fragments, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "redirect, IPv6", C, redirect6, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "redirect, IPv4", A, redirect4, DOOR, DOOR, { { NEXT "icmp type { redirect, router-advertisement } drop\n", "" } } },
	{ "DHCP server", C, dhcp_server, VM(D) | DOOR, VM(D), { { NEXT "udp sport 67 drop\n", "" }, { NEXT "udp dport 68 drop\n", "" } } },
	{ "DHCP server from another port", C, dhcp_server_port, VM(D), VM(D), { { NEXT "udp dport 68 drop\n", "" } } },
	{ "DHCPv6 server", C, dhcp6_server, VM(D), VM(D), { { NEXT "udp sport 547 drop\n", "" } } },
	{ "DHCP question heard by a peer", C, dhcp_question, VM(D), VM(D), { { NEXT "udp dport { 67, 547 } drop\n", "" } } },
	{ "a service on the gateway's address", A, host_gateway4, HOST, DOOR, { OPEN_INPUT } },
	{ "a service on the gateway's address, IPv6", A, host_gateway6, HOST, DOOR, { OPEN_INPUT } },
	{ "a service on the link-local address", A, host_link_local, HOST, DOOR, { OPEN_INPUT } },
	{ "a service on the uplink's address", A, host_uplink4, HOST, WORLD, { OPEN_INPUT } },
	{ "a service on the uplink's address, IPv6", A, host_uplink6, HOST, WORLD, { OPEN_INPUT } },
	{ "a service on another VM's gateway", A, host_other_gateway, HOST | VM(B), WORLD, { OPEN_INPUT } },
	{ "a service from a shared network", C, host_gateway4, HOST, DOOR, { OPEN_INPUT } },
	{ "metadata service", A, metadata4, WORLD, WORLD, { { NEXT "ip daddr @never4 drop\n", "" } } },
	{ "metadata service, IPv6", A, metadata6, WORLD, WORLD, { { NEXT "ip6 daddr @never6 drop\n", "" } } },
	{ "the world, from a VM without it", E, not_outside, WORLD, DOOR, { { "iifname . ip saddr @outside4 goto outside", "goto outside" } } },
	{ "the world, from a VM without it, IPv6", E, not_outside6, WORLD, DOOR, { { "iifname . ip6 saddr @outside6 goto outside", "goto outside" } } },
	{ "VLAN tag", A, vlan, DOOR | WORLD, WORLD, { OPEN_FRAMES } },
	{ "VLAN priority tag", C, vlan_priority, VM(D), VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "two VLAN tags", C, vlan_double, VM(D), VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "VLAN tag before an ARP spoof", C, vlan_arp, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "unknown protocol", C, other_protocol, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "PPPoE, MPLS, 802.1X, 802.3", C, other_protocols, VM(D) | DOOR, VM(D), { OPEN_FRAMES, OPEN_BETWEEN } },
	{ "the bridge's group address", A, to_bridge_group, HOST, DOOR, { { NEXT "iifname \"vif-*\" ether daddr and ff:ff:ff:00:00:00 == 01:80:c2:00:00:00 drop\n", "" },
		{ NEXT "iifname \"vif-*\" drop\n", "" }, { NEXT "ip saddr @ours4 drop\n", "" } } },
	{ "wrong IP version", C, wrong_version, VM(D), VM(D), { OPEN_FRAMES } },
	{ "VRRP to a peer", C, odd_transport, VM(D), VM(D), { OPEN_FRAMES } },
	{ "a VM from the world", WORLD, world_to_vm, VM(A), HOST, { { NEXT "ct state established,related accept\n" NEXT "drop\n", "" } } },
	{ "a VM from the world, IPv6", WORLD, world_to_vm6, VM(A), HOST, { { NEXT "ct state established,related accept\n" NEXT "drop\n", "" } } },
	{ "as a VM, from the world", WORLD, world_as_vm, HOST, HOST, { { NEXT "ip saddr @ours4 drop\n", "" } } },
	{ "through the service domain", WORLD, through_us, OTHER, HOST, { { NEXT "oifname \"cr-*\" goto routed_to_vm\n" NEXT "drop\n", "" } } },
};

static char *opened(const char *rules, const Attack *attack)
{
	GString *text = g_string_new(rules);
	for (int i = 0; i < 4 && attack->open[i][0]; i++)
		if (!g_string_replace(text, attack->open[i][0], attack->open[i][1], 0))
			g_error("%s: the rules have no '%s'", attack->name, attack->open[i][0]);
	return g_string_free(text, FALSE);
}

static void drain_all(Lab *lab)
{
	for (int i = 0; i < VMS; i++) {
		lab_drain(lab->vm[i].raw);
		lab_drain(lab->door[i]);
	}
	lab_drain(lab->world.raw);
	lab_drain(lab->other.raw);
	lab_drain(lab->udp4);
	lab_drain(lab->udp6);
}

/* Which of these places have heard the mark: at once when one has, else after the time. */
static unsigned where(Lab *lab, const Attack *attack, unsigned places, const char *mark, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * 1000;
	unsigned heard = 0;

	do {
		for (int i = 0; i < VMS; i++)
			if (places & VM(i) && i != attack->from && lab_heard(lab->vm[i].raw, mark, 0))
				heard |= VM(i);
		if (places & DOOR && lab_heard(lab->door[attack->from], mark, 0))
			heard |= DOOR;
		if (places & WORLD && lab_heard(lab->world.raw, mark, 0))
			heard |= WORLD;
		if (places & OTHER && lab_heard(lab->other.raw, mark, 0))
			heard |= OTHER;
		if (places & HOST && (lab_heard(lab->udp4, mark, 0) || lab_heard(lab->udp6, mark, 0)))
			heard |= HOST;
		g_usleep(1000);
	} while (!heard && g_get_monotonic_time() < end);
	return heard;
}

static unsigned shoot(Lab *lab, const Attack *attack, gboolean hostile, unsigned places, int timeout_ms)
{
	static unsigned number;
	char mark[24];
	Shot shot = { .lab = lab, .from = attack->from, .mark = mark };

	g_snprintf(mark, sizeof(mark), "<mark-%08u>", number++);
	shot.station = attack->from == WORLD ? &lab->world : &lab->vm[attack->from];
	shot.me = shot.station->address;
	memcpy(shot.gateway, "\x02\x99\0\0\0\x01", 6);
	if (shot.me) {
		guint16 id = (guint16)g_ascii_strtoull(strrchr(shot.me->bridge, '-') + 1, NULL, 16);
		const guint8 mac[6] = { 0x02, 0x63, 0x72, 0, (guint8)(id >> 8), (guint8)id };
		memcpy(shot.gateway, mac, 6);
	}
	attack->build(&shot, hostile);
	drain_all(lab);
	for (int i = 0; i < shot.count; i++)
		lab_send(shot.station, &shot.frames[i]);
	return where(lab, attack, places, mark, timeout_ms);
}

static void failed(const Attack *attack, const char *what, unsigned heard)
{
	g_printerr("%s: %s (%#x)\n", attack->name, what, heard);
	g_test_fail();
}

static gboolean same_opening(const Attack *one, const Attack *two)
{
	for (int i = 0; i < 4; i++)
		if (g_strcmp0(one->open[i][0], two->open[i][0]) || g_strcmp0(one->open[i][1], two->open[i][1]))
			return FALSE;
	return TRUE;
}

/* With the rules of attacks[first] opened, all attacks that these guard against must arrive. */
static void try_opened(Lab *lab, const char *rules, gsize first, gboolean *done)
{
	g_autofree char *open = opened(rules, &attacks[first]);

	lab_load(lab, open);
	for (gsize i = first; i < G_N_ELEMENTS(attacks); i++) {
		if (done[i] || !same_opening(&attacks[first], &attacks[i]))
			continue;
		done[i] = TRUE;
		if (!shoot(lab, &attacks[i], TRUE, attacks[i].forbidden, 2000))
			failed(&attacks[i], "does not even arrive without its rules", 0);
	}
}

/* The bridge's rules are not alone: when these are deceived, a forged source still goes nowhere. */
static void try_depth(Lab *lab, const char *rules)
{
	static const Attack deep[] = {
		{ "forged IPv4 source, second look", A, forged_source4, WORLD | VM(B), WORLD, { OPEN_FRAMES } },
		{ "forged IPv6 source, second look", A, forged_source6, WORLD | VM(B), WORLD, { OPEN_FRAMES } },
	};
	g_autofree char *open = opened(rules, &deep[0]);

	lab_load(lab, open);
	for (gsize i = 0; i < G_N_ELEMENTS(deep); i++)
		if (!shoot(lab, &deep[i], FALSE, deep[i].control, 2000) || shoot(lab, &deep[i], TRUE, deep[i].forbidden, 20))
			failed(&deep[i], "arrives, or its sibling does not", 0);
}

static gboolean set_br_netfilter(const char *value)
{
	static const char *const switches[] = { "iptables", "ip6tables", "arptables" };
	for (gsize i = 0; i < G_N_ELEMENTS(switches); i++) {
		g_autofree char *path = g_strconcat("/proc/sys/net/bridge/bridge-nf-call-", switches[i], NULL);
		FILE *file = g_fopen(path, "w");
		if (!file)
			return FALSE;
		fputs(value, file);
		fclose(file);
	}
	return TRUE;
}

static void try_all(gconstpointer br_netfilter)
{
	Lab *lab = lab_new();
	g_autofree char *rules = net_plan_rules(lab->plan);
	gboolean done[G_N_ELEMENTS(attacks)] = { FALSE };
	unsigned heard;

	if (!set_br_netfilter(br_netfilter))
		g_test_message("this kernel has no br_netfilter to switch");
	for (gsize i = 0; i < G_N_ELEMENTS(attacks); i++) {
		if (!shoot(lab, &attacks[i], FALSE, attacks[i].control, 2000))
			failed(&attacks[i], "its honest sibling does not arrive", 0);
		if ((heard = shoot(lab, &attacks[i], TRUE, attacks[i].forbidden, 20)))
			failed(&attacks[i], "arrives", heard);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(attacks) && g_str_equal(br_netfilter, "0"); i++)
		if (attacks[i].open[0][0] && !done[i])
			try_opened(lab, rules, i, done);
	try_depth(lab, rules);
	lab_free(lab);
}

int main(int argc, char **argv)
{
	if (!lab_possible())
		return 77;
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/net/wire/attacks", "0", try_all);
	g_test_add_data_func("/net/wire/attacks-br-netfilter", "1", try_all);
	return g_test_run();
}
