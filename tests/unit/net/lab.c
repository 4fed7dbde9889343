/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int ns_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(fd, >=, 0);
	return fd;
}

void lab_enter(int ns)
{
	g_assert_cmpint(setns(ns, CLONE_NEWNET), ==, 0);
}

gboolean lab_possible(void)
{
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	gboolean done = before >= 0 && unshare(CLONE_NEWNET) == 0;
	if (done)
		lab_enter(before);
	else
		g_printerr("needs root and network namespaces\n");
	if (before >= 0)
		close(before);
	return done;
}

int lab_ns_new(void)
{
	int before = ns_here();
	g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
	int ns = ns_here();
	lab_run(ns, "ip link set dev lo up");
	lab_enter(before);
	close(before);
	return ns;
}

char *lab_output(int ns, const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	int before = ns_here();
	char *out = NULL;

	lab_enter(ns);
	g_autoptr(GSubprocess) process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
	lab_enter(before);
	close(before);
	g_assert_no_error(error);
	g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &out, NULL, &error));
	return out;
}

void lab_run(int ns, const char *command)
{
	g_auto(GStrv) argv = g_strsplit(command, " ", -1);
	g_autoptr(GError) error = NULL;
	g_autofree char *out = NULL;
	int before = ns_here();

	lab_enter(ns);
	g_autoptr(GSubprocess) process = g_subprocess_newv((const char *const *)argv,
		G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
	lab_enter(before);
	close(before);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8(process, NULL, NULL, &out, NULL, &error);
	if (!g_subprocess_get_successful(process))
		g_error("%s: %s", command, out);
}

static void lab_runf(int ns, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void lab_runf(int ns, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *command = g_strdup_vprintf(format, args);
	va_end(args);
	lab_run(ns, command);
}

int lab_listen(int ns, const char *interface)
{
	int before = ns_here(), yes = 1;
	lab_enter(ns);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	g_assert_cmpint(fd, >=, 0);
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(interface) };
	g_assert_cmpint(at.sll_ifindex, >, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof(at)), ==, 0);
	g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)), ==, 0);
	lab_enter(before);
	close(before);
	return fd;
}

int lab_udp(int ns, int family, const char *address, guint16 port)
{
	int before = ns_here(), yes = 1;
	struct sockaddr_in six4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	lab_enter(ns);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(fd, >=, 0);
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (address)
		g_assert_cmpint(inet_pton(family, address, family == AF_INET ? (void *)&six4.sin_addr : (void *)&six.sin6_addr), ==, 1);
	g_assert_cmpint(bind(fd, family == AF_INET ? (void *)&six4 : (void *)&six, family == AF_INET ? sizeof(six4) : sizeof(six)), ==, 0);
	lab_enter(before);
	close(before);
	return fd;
}

void lab_wire(int host_ns, const char *near, Station *far, const char *far_name)
{
	const guint8 *mac = far->mac;

	far->ns = lab_ns_new();
	lab_runf(host_ns, "ip link add name %s type veth peer name %s address %02x:%02x:%02x:%02x:%02x:%02x netns /proc/%d/fd/%d", near,
		far_name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], getpid(), far->ns);
	lab_runf(far->ns, "ip link set dev %s up", far_name);
	lab_runf(host_ns, "ip link set dev %s up", near);
	far->raw = lab_listen(far->ns, far_name);
}

static void lab_world(Lab *lab)
{
	memcpy(lab->world.mac, "\x02\x99\0\0\0\x02", 6);
	memcpy(lab->other.mac, "\x02\x99\0\0\0\x03", 6);
	lab_wire(lab->host, "up0", &lab->world, "eth0");
	lab_wire(lab->host, "up1", &lab->other, "eth0");
	lab_run(lab->host, "ip link set dev up0 address 02:99:00:00:00:01");
	lab_run(lab->host, "ip address add 192.0.2.1/24 dev up0");
	lab_run(lab->host, "ip address add 2001:db8::1/64 dev up0 nodad");
	lab_run(lab->host, "ip address add 198.51.100.1/24 dev up1");
	lab_run(lab->host, "ip route add default via 192.0.2.2");
	lab_run(lab->host, "ip -6 route add default via 2001:db8::2");
	lab_run(lab->world.ns, "ip address add 192.0.2.2/24 dev eth0");
	lab_run(lab->world.ns, "ip address add 2001:db8::2/64 dev eth0 nodad");
	lab_run(lab->other.ns, "ip address add 198.51.100.2/24 dev eth0");
	/* Known, so that no frame waits for an answer. */
	lab_run(lab->host, "ip neighbour replace 192.0.2.2 lladdr 02:99:00:00:00:02 dev up0 nud permanent");
	lab_run(lab->host, "ip neighbour replace 2001:db8::2 lladdr 02:99:00:00:00:02 dev up0 nud permanent");
	lab_run(lab->host, "ip neighbour replace 198.51.100.2 lladdr 02:99:00:00:00:03 dev up1 nud permanent");
}

static void lab_vm(Lab *lab, int i)
{
	Station *vm = &lab->vm[i];
	g_autoptr(GError) error = NULL;

	vm->vm = lab->ports[i].vm;
	vm->address = net_plan_address(lab->plan, (gsize)i);
	memcpy(vm->mac, lab->ports[i].mac, 6);
	lab_wire(lab->host, vm->address->vif, vm, "eth0");
	lab_runf(vm->ns, "ip address add %s/%u dev eth0", vm->address->address4, vm->address->prefix4);
	lab_runf(vm->ns, "ip address add %s/64 dev eth0 nodad", vm->address->address6);
	g_assert_true(net_port_up(lab->plan, (gsize)i, vm->address->vif, &error));
	g_assert_no_error(error);
	lab->door[i] = lab_listen(lab->host, vm->address->bridge);
}

Lab *lab_new(void)
{
	static const char *const names[VMS] = { "work", "personal", "bank", "mail", "alone", "far" };
	static const char *const shared[VMS] = { NULL, NULL, "office", "office", NULL, "lab" };
	g_autoptr(GError) error = NULL;
	Lab *lab = g_new0(Lab, 1);

	lab->dir = g_dir_make_tmp(NULL, &error);
	g_assert_no_error(error);
	umask(077); /* as carreld has it: dnsmasq, which is not root, must do with that */
	lab->host = lab_ns_new();
	lab_enter(lab->host);
	lab_world(lab);
	for (int i = 0; i < VMS; i++)
		lab->ports[i] = (NetPort){ .vm = names[i], .name = "eth0", .shared = shared[i], .outside = i != E,
			.mac = { 0, 0x16, 0x3e, 0, 0, (guint8)(i + 1) } };
	lab->plan = net_plan(lab->ports, VMS, NULL, lab->dir, &error);
	g_assert_no_error(error);
	net_apply(lab->plan, lab->dir, &error);
	g_assert_no_error(error);
	for (int i = 0; i < VMS; i++)
		lab_vm(lab, i);
	lab->udp4 = lab_udp(lab->host, AF_INET, NULL, SERVICE_PORT);
	lab->udp6 = lab_udp(lab->host, AF_INET6, NULL, SERVICE_PORT);
	return lab;
}

static void station_clear(Station *station)
{
	close(station->raw);
	close(station->ns);
}

void lab_free(Lab *lab)
{
	g_autoptr(GError) error = NULL;
	const char *argv[] = { "rm", "-rf", lab->dir, NULL };

	g_assert_true(net_remove(lab->dir, &error));
	g_assert_no_error(error);
	for (int i = 0; i < VMS; i++) {
		close(lab->door[i]);
		station_clear(&lab->vm[i]);
	}
	station_clear(&lab->world);
	station_clear(&lab->other);
	close(lab->udp4);
	close(lab->udp6);
	g_free(lab_output(lab->host, argv));
	close(lab->host);
	net_plan_free(lab->plan);
	g_free(lab->dir);
	g_free(lab);
}

void lab_load(Lab *lab, const char *rules)
{
	g_autofree char *file = g_build_filename(lab->dir, "test.nft", NULL);
	g_assert_true(g_file_set_contents(file, rules, -1, NULL));
	lab_runf(lab->host, "nft -f %s", file);
	g_unlink(file);
}

void lab_send(const Station *from, const Frame *frame)
{
	g_assert_cmpint(send(from->raw, frame->data, frame->length, 0), ==, (gssize)frame->length);
}

void lab_drain(int socket)
{
	char buffer[2048];
	while (recv(socket, buffer, sizeof(buffer), MSG_TRUNC) >= 0)
		;
}

gboolean lab_heard(int socket, const char *mark, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * 1000;
	char buffer[2048];

	do {
		gssize length;
		while ((length = recv(socket, buffer, sizeof(buffer), 0)) >= 0)
			if (memmem(buffer, (gsize)length, mark, strlen(mark)))
				return TRUE;
		struct pollfd poll_fd = { .fd = socket, .events = POLLIN };
		int left = (int)((end - g_get_monotonic_time()) / 1000);
		poll(&poll_fd, 1, CLAMP(left, 0, timeout_ms));
	} while (g_get_monotonic_time() < end);
	gssize length;
	while ((length = recv(socket, buffer, sizeof(buffer), 0)) >= 0)
		if (memmem(buffer, (gsize)length, mark, strlen(mark)))
			return TRUE;
	return FALSE;
}
