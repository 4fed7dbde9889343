/* SPDX-License-Identifier: Apache-2.0 */
/* One dnsmasq gives DHCP, DNS and router advertisements on our bridges, and on nothing else. It is no child of ours once it
 * runs: the daemon may end, and finds it again by its pid file and command line. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "internal.h"

#define END_TIMEOUT 3000 /* ms */

/* What is the same for all. Names that guests give themselves are not taken (a VM cannot look another up), no cache (its
 * timing would tell one VM what another visits), no hosts file of ours. */
static const char common[] =
	"# Made by Carrel from the VMs' networks; changes are lost.\n"
	"port=53\n"
	"bind-dynamic\n"
	"except-interface=lo\n"
	"user=dnsmasq\n"
	"no-hosts\n"
	"cache-size=0\n"
	"no-negcache\n"
	"no-ident\n"
	"domain-needed\n"
	"bogus-priv\n"
	"stop-dns-rebind\n"
	"dhcp-authoritative\n"
	"dhcp-ignore=tag:!known\n"
	"dhcp-ignore-names\n"
	"dhcp-lease-max=65536\n"
	"no-ping\n"
	"quiet-dhcp\n"
	"quiet-dhcp6\n"
	"quiet-ra\n"
	"enable-ra\n";

static gboolean network_outside(NetPlan *plan, const Network *network)
{
	for (guint i = 0; i < plan->ports->len; i++) {
		Port *port = g_ptr_array_index(plan->ports, i);
		if (port->network == network && port->outside)
			return TRUE;
	}
	return FALSE;
}

/* The world's routers and servers are only told to who may reach it. An option without a value is not sent. On a private
 * network a guest may choose its address (SLAAC); on a shared one it has the one that DHCPv6 gives. */
static void put_network(NetPlan *plan, const Network *network, GString *text)
{
	gboolean outside = network_outside(plan, network);
	const char *bridge = network->bridge;
	g_autofree char *net4 = net_format4(network->net4);

	g_string_append_printf(text, "\n# %s\ninterface=%s\n", network->shared ? "shared" : "private", bridge);
	g_string_append_printf(text, "dhcp-range=set:%s,%s,static,%s,12h\n", bridge, net4, network->prefix4 == 30 ?
		"255.255.255.252" : "255.255.255.0");
	g_string_append_printf(text, "dhcp-range=set:%s,%s,static%s,64,12h\n", bridge, network->net6, network->shared ? "" : ",slaac");
	g_string_append_printf(text, "ra-param=%s,600,%d\n", bridge, outside ? 1800 : 0);
	if (outside) {
		g_string_append_printf(text, "dhcp-option=tag:%s,option6:dns-server,[%s]\n", bridge, network->gateway6);
	} else {
		g_string_append_printf(text, "dhcp-option=tag:%s,option:router\ndhcp-option=tag:%s,option:dns-server\n", bridge, bridge);
		g_string_append_printf(text, "dhcp-option=tag:%s,option6:dns-server\n", bridge);
	}
}

/* On a shared network, one port may reach the world and another not. */
static void put_port(const Port *port, GString *text)
{
	const NetAddress *address = &port->address;
	char mac[18];

	net_format_mac(port->mac, mac);
	g_string_append_printf(text, "dhcp-host=%s,set:%s,%s,[%s]\n", mac, address->vif, address->address4, address->address6);
	if (!port->outside && port->network->shared)
		g_string_append_printf(text, "dhcp-option=tag:%s,option:router\ndhcp-option=tag:%s,option:dns-server\n"
			"dhcp-option=tag:%s,option6:dns-server\n", address->vif, address->vif, address->vif);
}

char *net_plan_dnsmasq(NetPlan *plan)
{
	GString *text = g_string_new(common);

	g_string_append_printf(text, "resolv-file=%s\n", plan->resolver ? plan->resolver : "/etc/resolv.conf");
	for (char **domain = plan->private_domains; domain && *domain; domain++)
		g_string_append_printf(text, "rebind-domain-ok=/%s/\n", *domain);
	for (guint i = 0; i < plan->networks->len; i++)
		put_network(plan, g_ptr_array_index(plan->networks, i), text);
	g_string_append(text, "\n");
	for (guint i = 0; i < plan->ports->len; i++)
		put_port(g_ptr_array_index(plan->ports, i), text);
	return g_string_free(text, FALSE);
}

static char *conf_argument(const char *run_dir)
{
	return g_strdup_printf("--conf-file=%s/dnsmasq.conf", run_dir);
}

/* Whether the process is a dnsmasq that reads our file: its number may be someone else's by now. */
static gboolean is_ours(const char *pid, const char *run_dir)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid), *want = conf_argument(run_dir), *line = NULL;
	gsize length = 0;

	if (!g_file_get_contents(path, &line, &length, NULL))
		return FALSE;
	for (gsize at = 0; at < length; at += strlen(line + at) + 1)
		if (g_str_equal(line + at, want))
			return TRUE;
	return FALSE;
}

int net_dnsmasq_pidfd(const char *run_dir, GError **error)
{
	g_autofree char *path = g_build_filename(run_dir, "dnsmasq.pid", NULL), *text = NULL;
	guint64 pid;
	int fd;

	if (!g_file_get_contents(path, &text, NULL, NULL) ||
	    !g_ascii_string_to_unsigned(g_strstrip(text), 10, 2, G_MAXINT, &pid, NULL))
		return -1;
	fd = pidfd_open((pid_t)pid, 0);
	if (fd < 0) {
		if (errno != ESRCH)
			g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: cannot watch dnsmasq (process %s): %s", text,
				g_strerror(errno));
		return -1;
	}
	if (!is_ours(text, run_dir)) { /* after pidfd_open: now it cannot become another one */
		close(fd);
		return -1;
	}
	return fd;
}

static gboolean ends(int fd, int signal)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	pidfd_send_signal(fd, signal, NULL, 0);
	return poll(&poll_fd, 1, END_TIMEOUT) == 1;
}

gboolean net_dnsmasq_stop(const char *run_dir, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *pid_file = g_build_filename(run_dir, "dnsmasq.pid", NULL);
	int fd = net_dnsmasq_pidfd(run_dir, &problem);
	gboolean ended = fd < 0 || ends(fd, SIGTERM) || ends(fd, SIGKILL);

	if (fd >= 0)
		close(fd);
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	if (!ended) {
		g_set_error_literal(error, NET_ERROR, NET_ERROR_FAILED, "network: dnsmasq does not end, even when killed");
		return FALSE;
	}
	g_unlink(pid_file);
	return TRUE;
}

/* Whether it runs with this configuration. */
static gboolean runs_with(const char *text, const char *run_dir)
{
	g_autofree char *path = g_build_filename(run_dir, "dnsmasq.conf", NULL), *now = NULL;
	int fd = net_dnsmasq_pidfd(run_dir, NULL);

	if (fd < 0)
		return FALSE;
	close(fd);
	return g_file_get_contents(path, &now, NULL, NULL) && g_str_equal(now, text);
}

gboolean net_dnsmasq_check(NetPlan *plan, const char *run_dir, GError **error)
{
	g_autofree char *text = net_plan_dnsmasq(plan), *path = g_build_filename(run_dir, "dnsmasq.conf.new", NULL), *out = NULL;
	g_autofree char *argument = g_strconcat("--conf-file=", path, NULL);
	const char *argv[] = { "dnsmasq", "--test", argument, NULL };

	if (runs_with(text, run_dir))
		return TRUE;
	if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, error))
		return FALSE;
	out = net_run(argv, NULL, error);
	g_unlink(path);
	return out != NULL;
}

static gboolean start(const char *run_dir, GError **error)
{
	g_autofree char *conf = conf_argument(run_dir), *pid = g_strdup_printf("--pid-file=%s/dnsmasq.pid", run_dir);
	g_autofree char *leases = g_strdup_printf("--dhcp-leasefile=%s/dnsmasq.leases", run_dir), *out = NULL;
	const char *argv[] = { "dnsmasq", conf, pid, leases, NULL };

	out = net_run(argv, NULL, error); /* it goes to the background when it is ready, or says why not */
	return out != NULL;
}

gboolean net_dnsmasq_apply(NetPlan *plan, const char *run_dir, GError **error)
{
	g_autofree char *text = net_plan_dnsmasq(plan), *path = g_build_filename(run_dir, "dnsmasq.conf", NULL), *old = NULL;

	if (!plan->ports->len) {
		g_unlink(path);
		return net_dnsmasq_stop(run_dir, error);
	}
	if (runs_with(text, run_dir))
		return TRUE;
	g_file_get_contents(path, &old, NULL, NULL);
	if (!net_dnsmasq_stop(run_dir, error) ||
	    !g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error))
		return FALSE;
	if (start(run_dir, error))
		return TRUE;
	if (old && g_file_set_contents_full(path, old, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL))
		start(run_dir, NULL); /* the networks that were there go on being served */
	return FALSE;
}
