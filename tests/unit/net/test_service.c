/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the network on real wires: leases, names, limits, and that everything comes, stays and goes as it should. */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab.h"

static char *text_of(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	char *text = NULL;
	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

static char *ip(int ns, const char *command)
{
	g_auto(GStrv) argv = g_strsplit(command, " ", -1);
	return lab_output(ns, (const char *const *)argv);
}

static void has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		g_error("no '%s' in: %s", part, text ? text : "(nothing)");
}

static void has_not(const char *text, const char *part)
{
	if (text && strstr(text, part))
		g_error("'%s' is in: %s", part, text);
}

static void apply(Lab *lab)
{
	g_autoptr(GError) error = NULL;
	net_apply(lab->plan, lab->dir, &error);
	g_assert_no_error(error);
}

static NetPlan *plan_again(Lab *lab, const NetPort *ports, gsize n)
{
	g_autoptr(GError) error = NULL;
	NetPlan *plan = net_plan(ports, n, NULL, lab->dir, &error);
	g_assert_no_error(error);
	return plan;
}

/* DHCP */

static char *lease(Lab *lab, int ns, gboolean six)
{
	g_autofree char *script = g_build_filename(lab->dir, "lease.sh", NULL);
	const char *argv[] = { "busybox", six ? "udhcpc6" : "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", script,
		six ? "-r" : "-x", six ? "any" : "hostname:victim", NULL };

	if (six)
		argv[13] = NULL;
	g_assert_true(g_file_set_contents(script, "#!/bin/sh\n"
		"echo \"$1 ip=$ip subnet=$subnet router=$router dns=$dns ipv6=$ipv6\"\n", -1, NULL));
	g_chmod(script, 0755);
	return lab_output(ns, argv);
}

static void check_lease(Lab *lab, int i, gboolean outside)
{
	const NetAddress *address = lab->vm[i].address;
	g_autofree char *got = lease(lab, lab->vm[i].ns, FALSE);
	g_autofree char *ip4 = g_strdup_printf("bound ip=%s ", address->address4), *router = g_strdup_printf("router=%s dns=%s ",
		address->gateway4, address->gateway4);

	const char *bound = g_strrstr(got, "bound ");
	has(bound, ip4);
	has(bound, outside ? router : "router= dns= ");
}

static void test_dhcp(void)
{
	Lab *lab = lab_new();
	Station stranger = { .mac = { 0, 0x16, 0x3e, 9, 9, 9 } };

	check_lease(lab, A, TRUE);
	check_lease(lab, B, TRUE);
	check_lease(lab, C, TRUE);
	check_lease(lab, D, TRUE);
	check_lease(lab, E, FALSE);

	/* Who is not in the plan gets nothing, even past the rules. */
	lab_wire(lab->host, "stranger", &stranger, "eth0");
	g_autofree char *attach = g_strdup_printf("ip link set dev stranger master %s", lab->vm[C].address->bridge);
	lab_run(lab->host, attach);
	g_autofree char *got = lease(lab, stranger.ns, FALSE);
	has_not(got, "bound");
	close(stranger.raw);
	close(stranger.ns);
	lab_free(lab);
}

static void test_dhcp6(void)
{
	Lab *lab = lab_new();
	static const int who[] = { A, C, E };

	for (gsize i = 0; i < G_N_ELEMENTS(who); i++) {
		g_autofree char *got = lease(lab, lab->vm[who[i]].ns, TRUE);
		const char *at = g_strrstr(got, " ipv6=");
		g_assert_nonnull(at);
		g_auto(GStrv) words = g_strsplit_set(at + strlen(" ipv6="), " \n", 2);
		guint8 one[16], two[16];
		g_assert_cmpint(inet_pton(AF_INET6, words[0], one), ==, 1);
		g_assert_cmpint(inet_pton(AF_INET6, lab->vm[who[i]].address->address6, two), ==, 1);
		g_assert_cmpmem(one, 16, two, 16);
	}
	lab_free(lab);
}

/* The advertisement that vm gets for its solicitation, NULL: none. */
static gboolean advertised(Lab *lab, int vm, guint8 message[2048], gsize *length)
{
	static const guint8 routers[6] = { 0x33, 0x33, 0, 0, 0, 2 };
	gint64 end = g_get_monotonic_time() + 4 * G_USEC_PER_SEC;
	const Station *station = &lab->vm[vm];
	Frame frame;

	char own[46];
	g_snprintf(own, sizeof(own), "fe80::216:3eff:fe00:%x", station->mac[5]); /* its kernel's: the answer is for it alone */
	lab_drain(station->raw);
	eth(&frame, routers, station->mac, 0x86dd);
	icmp6(&frame, own, "ff02::2", 133, NULL, "");
	lab_send(station, &frame);
	while (g_get_monotonic_time() < end) {
		gssize got = recv(station->raw, message, 2048, 0);
		if (got > 54 && message[12] == 0x86 && message[20] == 58 && message[54] == 134) {
			*length = (gsize)got;
			return TRUE;
		}
		if (got < 0)
			g_usleep(2000);
	}
	return FALSE;
}

/* The option of that type in a router advertisement's frame. */
static const guint8 *option(const guint8 *message, gsize length, guint8 type)
{
	for (gsize at = 54 + 16; at + 8 <= length && message[at + 1]; at += message[at + 1] * 8u)
		if (message[at] == type)
			return message + at;
	return NULL;
}

static void check_advertised(Lab *lab, int vm, gboolean outside)
{
	guint8 message[2048], link_local[16], want[16];
	gsize length = 0;

	g_assert_true(advertised(lab, vm, message, &length));
	inet_pton(AF_INET6, "fe80::1", link_local);
	g_assert_cmpmem(message + 22, 16, link_local, 16);
	guint lifetime = (guint)message[60] << 8 | message[61];
	g_assert_cmpuint(lifetime, ==, outside ? 1800 : 0);
	g_assert_cmpuint(message[59] & 0x80, ==, 0x80); /* addresses by DHCPv6 */
	const guint8 *prefix = option(message, length, 3), *server = option(message, length, 25);
	g_assert_nonnull(prefix);
	inet_pton(AF_INET6, lab->vm[vm].address->gateway6, want);
	g_assert_cmpmem(prefix + 16, 8, want, 8);
	g_assert_cmpuint(prefix[3] & 0x40, ==, lab->ports[vm].shared ? 0 : 0x40); /* may choose its own */
	g_assert_true(!outside == !server);
	if (server)
		g_assert_cmpmem(server + 8, 16, want, 16);
}

static void test_router_advertisement(void)
{
	Lab *lab = lab_new();
	check_advertised(lab, A, TRUE);
	check_advertised(lab, C, TRUE);
	check_advertised(lab, E, FALSE);
	lab_free(lab);
}

/* DNS */

#define PUBLIC "8.8.4.4" /* one for documentation would be refused as private */

/* A question for name's address. */
static gsize question(guint8 *to, guint16 id, const char *name)
{
	g_auto(GStrv) labels = g_strsplit(name, ".", -1);
	guint8 header[12] = { (guint8)(id >> 8), (guint8)id, 1, 0, 0, 1 };
	gsize length = 12;

	memcpy(to, header, 12);
	for (char **label = labels; *label; label++) {
		to[length++] = (guint8)strlen(*label);
		memcpy(to + length, *label, strlen(*label));
		length += strlen(*label);
	}
	memcpy(to + length, "\0\0\1\0\1", 5);
	return length + 5;
}

static gssize receive(int fd, guint8 *buffer, gsize size, struct sockaddr_storage *from, int timeout)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	socklen_t length = sizeof(*from);
	return poll(&poll_fd, 1, timeout) == 1 ? recvfrom(fd, buffer, size, 0, (struct sockaddr *)from, &length) : -1;
}

/* The world's server: answers one question with that address. Whether one came. */
static gboolean serve(int server, const char *answer)
{
	guint8 message[600], record[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4 };
	struct sockaddr_storage from;
	gssize length = receive(server, message, 512, &from, 300);

	if (length < 12)
		return FALSE;
	message[2] |= 0x80;
	message[3] = 0x80;
	message[7] = 1;
	message[11] = 0; /* an EDNS record of the question is left out */
	gsize end = 12;
	while (message[end])
		end += message[end] + 1u;
	inet_pton(AF_INET, answer, record + 12);
	memcpy(message + end + 5, record, 16);
	g_assert_cmpint(sendto(server, message, end + 21, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in)), >, 0);
	return TRUE;
}

typedef struct {
	gboolean asked, answered; /* the world was; the guest was */
	int code, answers;
	char address[16];
} Lookup;

/* vm asks the server at gateway for name; the world, if it is asked, says that it has that address. */
static Lookup look_up(Lab *lab, int server, int vm, const char *gateway, const char *name, const char *address)
{
	static guint16 id = 1;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct sockaddr_storage from;
	guint8 message[600];
	Lookup lookup = { 0 };
	int fd = lab_udp(lab->vm[vm].ns, AF_INET, NULL, 0);
	gsize sent = question(message, id++, name);

	inet_pton(AF_INET, gateway, &to.sin_addr);
	sendto(fd, message, sent, 0, (struct sockaddr *)&to, sizeof(to)); /* may be unreachable */
	lookup.asked = serve(server, address);
	gssize length = receive(fd, message, sizeof(message), &from, lookup.asked ? 2000 : 300);
	if (length >= 12) {
		lookup.answered = TRUE;
		lookup.code = message[3] & 15;
		lookup.answers = message[7];
		if (lookup.answers)
			inet_ntop(AF_INET, message + length - 4, lookup.address, 16);
	}
	close(fd);
	return lookup;
}

static void test_dns(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	static const char *const domains[] = { "corp.example", NULL }, *const private[] = { "10.1.2.3", "192.168.1.1", "127.0.0.1",
		"169.254.169.254", "172.16.0.1", "0.0.0.0" };
	g_autofree char *dir = g_dir_make_tmp(NULL, NULL), *resolver = g_build_filename(dir, "resolv.conf", NULL);
	const char *gateway = lab->vm[A].address->gateway4;
	int server = lab_udp(lab->world.ns, AF_INET, WORLD4, 53);
	Lookup found;

	g_assert_true(g_file_set_contents(resolver, "nameserver " WORLD4 "\n", -1, NULL));
	g_chmod(dir, 0755);
	g_chmod(resolver, 0644);
	g_assert_true(net_plan_set_resolver(lab->plan, resolver, &error));
	g_assert_true(net_plan_set_private_domains(lab->plan, domains, &error));
	apply(lab);

	for (int i = 0; i < 2; i++) { /* twice: nothing is cached, so one VM cannot tell what another has asked */
		found = look_up(lab, server, A, gateway, "www.example.org", PUBLIC);
		g_assert_true(found.asked && found.answered);
		g_assert_cmpstr(found.address, ==, PUBLIC);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(private); i++) {
		found = look_up(lab, server, A, gateway, "evil.example.org", private[i]);
		g_assert_true(found.asked && found.answered);
		g_assert_cmpint(found.answers, ==, 0);
	}
	found = look_up(lab, server, A, gateway, "evil.example.org", lab->vm[B].address->address4);
	g_assert_cmpint(found.answers, ==, 0);
	found = look_up(lab, server, A, gateway, "wiki.corp.example", "10.1.2.3");
	g_assert_cmpstr(found.address, ==, "10.1.2.3");

	/* Neither a VM's name, nor the one that it tells our DHCP server, is a name for another VM; nor does the world hear it. */
	g_free(lease(lab, lab->vm[B].ns, FALSE));
	static const char *const names[] = { "personal", "victim", "victim.local" };
	for (gsize i = 0; i < 2; i++) {
		found = look_up(lab, server, A, gateway, names[i], PUBLIC);
		g_assert_true(found.answered && !found.asked);
		g_assert_cmpint(found.answers, ==, 0);
	}
	g_autofree char *leases = text_of(lab->dir, "dnsmasq.leases");
	has(leases, lab->vm[B].address->address4);
	has_not(leases, "victim");

	/* Another VM's server, and a VM that must not reach the world: nothing. */
	found = look_up(lab, server, A, lab->vm[B].address->gateway4, "www.example.org", PUBLIC);
	g_assert_true(!found.asked && !found.answered);
	found = look_up(lab, server, A, UPLINK4, "www.example.org", PUBLIC);
	g_assert_true(!found.asked && !found.answered);
	found = look_up(lab, server, E, lab->vm[E].address->gateway4, "www.example.org", PUBLIC);
	g_assert_true(!found.asked && !found.answered);

	/* Nor is the world served. */
	guint8 message[600];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct sockaddr_storage from;
	int fd = lab_udp(lab->world.ns, AF_INET, NULL, 0);
	inet_pton(AF_INET, UPLINK4, &to.sin_addr);
	sendto(fd, message, question(message, 7, "www.example.org"), 0, (struct sockaddr *)&to, sizeof(to));
	g_assert_cmpint(receive(fd, message, sizeof(message), &from, 200), <, 0);
	close(fd);
	close(server);
	g_unlink(resolver);
	g_rmdir(dir);
	lab_free(lab);
}

/* Sockets of the guests' own, not only frames. */

static gboolean echoes(Lab *lab, int from_ns, const char *address)
{
	const char *argv[] = { "ping", "-c", "1", "-W", "1", "-n", address, NULL };
	g_autofree char *out = lab_output(from_ns, argv);
	(void)lab;
	return strstr(out, " 0% packet loss") != NULL;
}

static void test_reach(void)
{
	Lab *lab = lab_new();
	const NetAddress *a = lab->vm[A].address, *b = lab->vm[B].address, *d = lab->vm[D].address;
	g_autofree char *route = g_strdup_printf("ip route add default via %s", a->gateway4);
	g_autofree char *route6 = g_strdup_printf("ip -6 route replace default via %s", a->gateway6);
	g_autofree char *route_c = g_strdup_printf("ip route add default via %s", lab->vm[C].address->gateway4);

	lab_run(lab->vm[A].ns, route);
	lab_run(lab->vm[A].ns, route6);
	lab_run(lab->vm[C].ns, route_c);
	g_assert_true(echoes(lab, lab->vm[A].ns, a->gateway4));
	g_assert_true(echoes(lab, lab->vm[A].ns, a->gateway6));
	g_assert_true(echoes(lab, lab->vm[A].ns, WORLD4));
	g_assert_true(echoes(lab, lab->vm[A].ns, WORLD6));
	g_assert_true(echoes(lab, lab->vm[C].ns, d->address4));
	g_assert_true(echoes(lab, lab->vm[C].ns, d->address6));
	g_assert_true(echoes(lab, lab->vm[C].ns, WORLD4));
	g_assert_false(echoes(lab, lab->vm[A].ns, b->address4));
	g_assert_false(echoes(lab, lab->vm[A].ns, b->address6));
	g_assert_false(echoes(lab, lab->vm[A].ns, b->gateway4));
	g_assert_false(echoes(lab, lab->vm[A].ns, UPLINK4));
	g_assert_false(echoes(lab, lab->vm[C].ns, a->address4));
	lab_free(lab);
}

/* How many of n connections to the server at gateway come about. */
static int connections(Lab *lab, int vm, int n, int *fds)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	int made = 0;

	inet_pton(AF_INET, lab->vm[vm].address->gateway4, &to.sin_addr);
	lab_enter(lab->vm[vm].ns);
	for (int i = 0; i < n; i++) {
		struct pollfd poll_fd = { .fd = fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .events = POLLOUT };
		connect(fds[i], (struct sockaddr *)&to, sizeof(to));
		made += poll(&poll_fd, 1, 300) == 1 && poll_fd.revents == POLLOUT;
	}
	lab_enter(lab->host);
	return made;
}

/* One VM cannot take all of dnsmasq's connections. */
static void test_dns_tcp(void)
{
	Lab *lab = lab_new();
	int fds[9];

	g_assert_cmpint(connections(lab, A, 8, fds), ==, 4);
	g_assert_cmpint(connections(lab, B, 1, fds + 8), ==, 1);
	for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
	lab_free(lab);
}

/* A vif that no plan knows, on a bridge of ours: nothing that it says is heard. */
static void test_unplanned(void)
{
	Lab *lab = lab_new();
	Station stranger = { .mac = { 0, 0x16, 0x3e, 9, 9, 9 } };
	g_autofree char *attach = g_strdup_printf("ip link set dev vif-0bad master %s", lab->vm[C].address->bridge);
	Frame frame;

	lab_wire(lab->host, "vif-0bad", &stranger, "eth0");
	lab_run(lab->host, attach);
	g_usleep(50000);
	for (int forged = 0; forged < 2; forged++) {
		const guint8 *from = forged ? lab->vm[C].mac : stranger.mac;
		eth(&frame, lab->vm[D].mac, from, 0x800);
		udp(&frame, lab->vm[C].address->address4, lab->vm[D].address->address4, 1000, 2000, "<unplanned>");
		lab_send(&stranger, &frame);
		g_assert_false(lab_heard(lab->vm[D].raw, "<unplanned>", 50));
	}
	eth(&frame, lab->vm[D].mac, lab->vm[C].mac, 0x800);
	udp(&frame, lab->vm[C].address->address4, lab->vm[D].address->address4, 1000, 2000, "<planned>");
	lab_send(&lab->vm[C], &frame);
	g_assert_true(lab_heard(lab->vm[D].raw, "<planned>", 2000));
	g_assert_false(lab_heard(stranger.raw, "<planned>", 0));
	close(stranger.raw);
	close(stranger.ns);
	lab_free(lab);
}

/* ARP for the machine's other addresses is not answered, and a VM cannot fill the neighbour table. */
static void test_neighbours(void)
{
	static const guint8 broadcast[6] = { 255, 255, 255, 255, 255, 255 }, group[6] = { 0x33, 0x33, 0xff, 0, 0, 1 };
	Lab *lab = lab_new();
	const Station *a = &lab->vm[A];
	Frame frame;
	int through = 0;

	for (int own = 1; own >= 0; own--) {
		guint8 buffer[2048];
		gboolean answer = FALSE;
		lab_drain(a->raw);
		eth(&frame, broadcast, a->mac, 0x806);
		arp(&frame, 1, a->mac, a->address->address4, own ? a->address->gateway4 : UPLINK4, "");
		lab_send(a, &frame);
		for (int wait = 0; wait < 50 && !answer; wait++) {
			gssize length = recv(a->raw, buffer, sizeof(buffer), 0);
			answer = length >= 42 && buffer[12] == 8 && buffer[13] == 6 && buffer[21] == 2;
			if (length < 0)
				g_usleep(2000);
		}
		g_assert_true(answer == own);
	}
	for (int i = 0; i < 500; i++) {
		char source[64], mark[24];
		g_snprintf(source, sizeof(source), "fe80::5:%x", i);
		g_snprintf(mark, sizeof(mark), "<many-%08d>", i);
		eth(&frame, group, a->mac, 0x86dd);
		icmp6(&frame, source, "ff02::1:ff00:1", 135, a->address->gateway6, mark);
		lab_send(a, &frame);
		through += lab_heard(lab->door[A], mark, 0);
	}
	g_assert_cmpint(through, >, 16);
	g_assert_cmpint(through, <, 64);
	lab_free(lab);
}

/* Bandwidth */

/* 100 Mbit/s by 'from' for 400 ms, and how many bytes arrive meanwhile where 'hears' listens. */
static gsize flood(const Station *from, const guint8 *to, const char *source, const char *target, int hears)
{
	char text[1300];
	Frame frame;
	gsize arrived = 0;
	guint8 buffer[2048];
	gint64 end = g_get_monotonic_time() + 400000;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	eth(&frame, to, from->mac, 0x800);
	udp(&frame, source, target, 1000, 9, text);
	lab_drain(hears);
	while (g_get_monotonic_time() < end) {
		gssize length;
		for (int i = 0; i < 10; i++)
			if (send(from->raw, frame.data, frame.length, 0) < 0)
				break; /* its queue is full: what shapes it is doing so */
		while ((length = recv(hears, buffer, sizeof(buffer), 0)) >= 0)
			arrived += length > 1000 ? (gsize)length : 0;
		g_usleep(1000);
	}
	return arrived;
}

static void check_rates(Lab *lab, gsize least, gsize most)
{
	guint8 gateway[6] = { 0x02, 0x63, 0x72 };
	const NetAddress *address = lab->vm[A].address;
	guint16 id = (guint16)g_ascii_strtoull(strrchr(address->bridge, '-') + 1, NULL, 16);
	gateway[4] = (guint8)(id >> 8);
	gateway[5] = (guint8)id;
	Station bridge = { .raw = lab->door[A] };
	memcpy(bridge.mac, gateway, 6);

	gsize out = flood(&lab->vm[A], gateway, address->address4, WORLD4, lab->world.raw);
	gsize in = flood(&bridge, lab->vm[A].mac, address->gateway4, address->address4, lab->vm[A].raw);
	g_test_message("out %zu, in %zu bytes in 400 ms", out, in);
	g_assert_cmpuint(out, >=, least);
	g_assert_cmpuint(out, <=, most);
	g_assert_cmpuint(in, >=, least);
	g_assert_cmpuint(in, <=, most);
}

static void limit(Lab *lab, guint64 bits)
{
	g_autoptr(GError) error = NULL;
	lab->ports[A].limit_in = lab->ports[A].limit_out = bits;
	g_autoptr(NetPlan) plan = plan_again(lab, lab->ports, VMS);
	g_assert_true(net_port_up(plan, A, net_plan_address(plan, A)->vif, &error));
	g_assert_no_error(error);
}

static void test_limits(void)
{
	Lab *lab = lab_new();

	check_rates(lab, 1000000, 6000000);
	limit(lab, 8000000); /* 400 kB in 400 ms, and a burst of 20 */
	check_rates(lab, 250000, 550000);
	limit(lab, 8000000); /* again: nothing doubles */
	limit(lab, 2000000);
	check_rates(lab, 60000, 180000);

	/* A run that was killed half way; a VM that restarts with another vif of that name. */
	g_autofree char *half = g_strdup_printf("tc qdisc delete dev cr-%s root", strchr(lab->vm[A].address->vif, '-') + 1);
	lab_run(lab->host, half);
	limit(lab, 2000000);
	check_rates(lab, 60000, 180000);
	g_autofree char *bare = g_strdup_printf("tc qdisc delete dev %s ingress", lab->vm[A].address->vif);
	lab_run(lab->host, bare);
	limit(lab, 2000000);
	check_rates(lab, 60000, 180000);
	limit(lab, 0);
	check_rates(lab, 1000000, 6000000);
	g_autofree char *links = ip(lab->host, "ip -d link show type ifb");
	has_not(links, "cr-");
	lab_free(lab);
}

/* Coming and going. */

static int dnsmasq_pid(Lab *lab)
{
	g_autofree char *text = text_of(lab->dir, "dnsmasq.pid");
	return text ? atoi(text) : 0;
}

static void test_idempotent(void)
{
	Lab *lab = lab_new();
	int pid = dnsmasq_pid(lab);
	g_autofree char *before = ip(lab->host, "ip -o address show scope global");

	g_assert_cmpint(pid, >, 1);
	apply(lab);
	g_autofree char *after = ip(lab->host, "ip -o address show scope global");
	g_assert_cmpint(dnsmasq_pid(lab), ==, pid);
	g_assert_cmpstr(before, ==, after);

	/* The same rules are not loaded again; someone's flush is mended. */
	lab_run(lab->host, "nft add chain inet carrel mine");
	apply(lab);
	g_autofree char *kept = ip(lab->host, "nft list table inet carrel");
	has(kept, "chain mine");
	lab_run(lab->host, "nft flush ruleset");
	apply(lab);
	g_autofree char *mended = ip(lab->host, "nft list tables");
	g_assert_cmpstr(mended, ==, "table bridge carrel\ntable inet carrel\n");

	/* A VM's interface goes, another comes: its bridge goes with it, the others' stay. */
	NetPort ports[VMS];
	memcpy(ports, lab->ports, sizeof(ports));
	ports[B].vm = "newcomer";
	g_autoptr(NetPlan) plan = plan_again(lab, ports, VMS);
	g_autoptr(GError) error = NULL;
	net_apply(plan, lab->dir, &error);
	g_assert_no_error(error);
	g_autofree char *changed = ip(lab->host, "ip link show");
	has_not(changed, lab->vm[B].address->bridge);
	has(changed, lab->vm[A].address->bridge);
	has(changed, net_plan_address(plan, B)->bridge);
	g_assert_cmpint(dnsmasq_pid(lab), !=, pid);
	check_lease(lab, A, TRUE);
	lab_free(lab);
}

static void test_dnsmasq_killed(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	int pid = dnsmasq_pid(lab), fd = net_dnsmasq_pidfd(lab->dir, &error);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(poll(&poll_fd, 1, 0), ==, 0);
	kill(pid, SIGKILL);
	g_assert_cmpint(poll(&poll_fd, 1, 2000), ==, 1);
	close(fd);
	apply(lab);
	g_assert_cmpint(dnsmasq_pid(lab), !=, pid);
	check_lease(lab, A, TRUE);

	/* A pid file that names someone else: that one is left alone. */
	g_autofree char *path = g_build_filename(lab->dir, "dnsmasq.pid", NULL);
	g_autofree char *right = text_of(lab->dir, "dnsmasq.pid");
	g_autofree char *wrong = g_strdup_printf("%d\n", getpid());
	g_assert_true(g_file_set_contents(path, wrong, -1, NULL));
	g_assert_cmpint(net_dnsmasq_pidfd(lab->dir, &error), ==, -1);
	g_assert_no_error(error);
	g_assert_true(g_file_set_contents(path, right, -1, NULL));
	lab_free(lab);
}

/* Someone else's interface has the name of a bridge of ours. */
static void test_foreign(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	NetPort ports[VMS + 1];

	memcpy(ports, lab->ports, sizeof(lab->ports));
	ports[VMS] = (NetPort){ .vm = "newcomer", .name = "eth0", .outside = TRUE, .mac = { 0, 0x16, 0x3e, 0, 1, 1 } };
	g_autoptr(NetPlan) plan = plan_again(lab, ports, VMS + 1);
	const char *bridge = net_plan_address(plan, VMS)->bridge;
	g_autofree char *add = g_strdup_printf("ip link add name %s type bridge", bridge);
	g_autofree char *address = g_strdup_printf("ip address add 10.9.9.9/24 dev %s", bridge);
	g_autofree char *del = g_strdup_printf("ip link delete dev %s", bridge);

	lab_run(lab->host, add);
	lab_run(lab->host, address);
	g_autofree char *before = ip(lab->host, "ip -o address show scope global");
	g_autofree char *rules = ip(lab->host, "nft list set bridge carrel source_mac");
	g_assert_false(net_apply(plan, lab->dir, &error));
	g_assert_error(error, NET_ERROR, NET_ERROR_EXISTS);
	has(error->message, bridge);
	g_autofree char *after = ip(lab->host, "ip -o address show scope global");
	g_autofree char *rules_after = ip(lab->host, "nft list set bridge carrel source_mac");
	g_assert_cmpstr(before, ==, after);
	g_assert_cmpstr(rules, ==, rules_after);
	lab_run(lab->host, del);

	/* A bridge that a killed run left without its mark is taken over. */
	g_autofree char *half = g_strdup_printf("ip link add name %s address 02:63:72:00:%.2s:%s type bridge", bridge,
		strrchr(bridge, '-') + 1, strrchr(bridge, '-') + 3);
	lab_run(lab->host, half);
	g_clear_error(&error);
	net_apply(plan, lab->dir, &error);
	g_assert_no_error(error);
	lab_free(lab);
}

/* dnsmasq cannot start: what was there before is there again. */
static void test_roll_back(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	NetPort ports[VMS + 1];

	memcpy(ports, lab->ports, sizeof(lab->ports));
	ports[VMS] = (NetPort){ .vm = "newcomer", .name = "eth0", .outside = TRUE, .mac = { 0, 0x16, 0x3e, 0, 1, 1 } };
	g_autofree char *before = ip(lab->host, "ip -o link show type bridge");
	g_autofree char *rules = ip(lab->host, "nft list set bridge carrel source_mac");
	g_autoptr(NetPlan) plan = plan_again(lab, ports, VMS + 1);
	kill(dnsmasq_pid(lab), SIGKILL);
	g_usleep(100000);
	int thief = lab_udp(lab->host, AF_INET, NULL, 67);
	g_assert_false(net_apply(plan, lab->dir, &error));
	g_assert_error(error, NET_ERROR, NET_ERROR_FAILED);
	has(error->message, "dnsmasq");
	g_autofree char *after = ip(lab->host, "ip -o link show type bridge");
	g_autofree char *rules_after = ip(lab->host, "nft list set bridge carrel source_mac");
	g_assert_cmpstr(before, ==, after);
	g_assert_cmpstr(rules, ==, rules_after);
	close(thief);
	g_clear_error(&error);
	net_apply(plan, lab->dir, &error);
	g_assert_no_error(error);
	lab_free(lab);
}

static void test_port_refused(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;

	g_assert_false(net_port_up(lab->plan, A, "vif3.0", &error));
	g_assert_error(error, NET_ERROR, NET_ERROR_INVALID);
	g_clear_error(&error);
	g_autofree char *move = g_strdup_printf("ip link set dev %s master %s", lab->vm[A].address->vif, lab->vm[B].address->bridge);
	lab_run(lab->host, move);
	g_assert_false(net_port_up(lab->plan, A, lab->vm[A].address->vif, &error));
	g_assert_error(error, NET_ERROR, NET_ERROR_INVALID);
	g_clear_error(&error);
	g_autofree char *del = g_strdup_printf("ip link delete dev %s", lab->vm[A].address->vif);
	lab_run(lab->host, del);
	g_assert_false(net_port_up(lab->plan, A, lab->vm[A].address->vif, &error));
	g_assert_error(error, NET_ERROR, NET_ERROR_FAILED);
	lab_free(lab);
}

/* Only the named uplinks lead outside. */
static void test_uplinks(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	static const char *const uplinks[] = { "up0", NULL };
	g_autoptr(NetPlan) plan = net_plan(lab->ports, VMS, uplinks, lab->dir, &error);
	g_autofree char *route = g_strdup_printf("ip route add default via %s", lab->vm[A].address->gateway4);

	lab_run(lab->vm[A].ns, route);
	g_assert_true(echoes(lab, lab->vm[A].ns, "198.51.100.2"));
	net_apply(plan, lab->dir, &error);
	g_assert_no_error(error);
	g_assert_true(echoes(lab, lab->vm[A].ns, WORLD4));
	g_assert_false(echoes(lab, lab->vm[A].ns, "198.51.100.2"));
	lab_free(lab);
}

static char *forwarding(Lab *lab)
{
	lab_enter(lab->host);
	g_autofree char *four = text_of("/proc/sys/net/ipv4", "ip_forward");
	g_autofree char *six = text_of("/proc/sys/net/ipv6/conf/all", "forwarding");
	g_autofree char *uplink = text_of("/proc/sys/net/ipv6/conf/up0", "forwarding");
	return g_strdup_printf("%c%c%c", four[0], six[0], uplink[0]);
}

static void test_remove(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	struct pollfd dnsmasq = { .fd = net_dnsmasq_pidfd(lab->dir, NULL), .events = POLLIN };
	g_autofree char *on = forwarding(lab);

	g_assert_cmpstr(on, ==, "110"); /* the uplink goes on hearing its own router */
	lab_run(lab->host, "ip link add name cr-mine type bridge"); /* not ours */
	g_assert_true(net_remove(lab->dir, &error));
	g_assert_no_error(error);
	g_autofree char *rules = ip(lab->host, "nft list ruleset");
	g_autofree char *links = ip(lab->host, "ip -o link show type bridge"), *off = forwarding(lab);
	g_assert_cmpstr(rules, ==, "");
	has(links, "cr-mine");
	g_assert_null(strchr(strchr(links, '\n') + 1, '\n'));
	g_assert_cmpstr(off, ==, "000");
	g_assert_cmpint(poll(&dnsmasq, 1, 0), ==, 1);
	close(dnsmasq.fd);
	g_autoptr(GDir) dir = g_dir_open(lab->dir, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name(dir)))
		g_assert_cmpstr(name, ==, "network.state"); /* the memory of addresses stays */
	g_assert_true(net_remove(lab->dir, &error)); /* again, with nothing there */
	g_assert_no_error(error);
	lab_free(lab);
}

/* 250 VMs at once. */
static void test_many(void)
{
	Lab *lab = lab_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	NetPort ports[250];

	for (int i = 0; i < 250; i++) {
		g_ptr_array_add(names, g_strdup_printf("desktop-%d", i));
		ports[i] = (NetPort){ .vm = g_ptr_array_index(names, i), .name = "eth0", .outside = TRUE, .shared = i % 5 ? NULL : "office",
			.mac = { 0, 0x16, 0x3e, 7, 0, (guint8)i } };
	}
	g_autoptr(NetPlan) plan = plan_again(lab, ports, 250);
	gint64 start = g_get_monotonic_time();
	net_apply(plan, lab->dir, &error);
	g_assert_no_error(error);
	g_test_message("250 ports in %d ms", (int)((g_get_monotonic_time() - start) / 1000));
	lab_free(lab);
}

int main(int argc, char **argv)
{
	if (!lab_possible())
		return 77;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/service/dhcp", test_dhcp);
	g_test_add_func("/net/service/dhcp6", test_dhcp6);
	g_test_add_func("/net/service/router-advertisement", test_router_advertisement);
	g_test_add_func("/net/service/dns", test_dns);
	g_test_add_func("/net/service/reach", test_reach);
	g_test_add_func("/net/service/dns-tcp", test_dns_tcp);
	g_test_add_func("/net/service/unplanned", test_unplanned);
	g_test_add_func("/net/service/neighbours", test_neighbours);
	g_test_add_func("/net/service/limits", test_limits);
	g_test_add_func("/net/service/idempotent", test_idempotent);
	g_test_add_func("/net/service/dnsmasq-killed", test_dnsmasq_killed);
	g_test_add_func("/net/service/foreign", test_foreign);
	g_test_add_func("/net/service/roll-back", test_roll_back);
	g_test_add_func("/net/service/port-refused", test_port_refused);
	g_test_add_func("/net/service/uplinks", test_uplinks);
	g_test_add_func("/net/service/remove", test_remove);
	g_test_add_func("/net/service/many", test_many);
	return g_test_run();
}
