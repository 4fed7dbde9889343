/* SPDX-License-Identifier: Apache-2.0 */
/* The VMs' network: a private bridge a VM (and one for each named shared network), nftables rules made from policy, DHCP and
 * DNS by dnsmasq, limits by tc. The plan is a pure function of the VM list; applying it is idempotent, atomic for the rules
 * (one nft transaction), and touches nothing that is not named carrel-* or cr-*. */
#ifndef CARREL_NET_H
#define CARREL_NET_H

#include <gio/gio.h>

#define NET_ERROR (net_error_quark())
GQuark net_error_quark(void);
typedef enum { NET_ERROR_INVALID, NET_ERROR_FAILED, NET_ERROR_EXISTS, NET_ERROR_LIMIT } NetErrorCode;

/* One interface of one VM. */
typedef struct {
	const char *vm, *name;    /* personal, eth0 */
	const char *shared;       /* name of the shared network, or NULL: its own NAT network */
	gboolean outside;         /* may reach the world (a dead wire has no NetPort at all) */
	guint8 mac[6];
	guint64 limit_in, limit_out; /* bits a second as the guest sees them, 0: none */
} NetPort;

/* What a port becomes. Strings are owned by the plan. */
typedef struct {
	char bridge[16]; /* cr-… , at most IFNAMSIZ - 1 */
	char vif[16];    /* the back-end interface's name to ask libxl for: the rules know the VM by it (leaves room for "-emu") */
	char address4[16], gateway4[16];
	guint8 prefix4;
	char address6[46], gateway6[46]; /* unique local; prefix 64 */
} NetAddress;

typedef struct NetPlan NetPlan;
/* uplinks: interfaces that lead outside, NULL: any that is not ours, as the routes have it (they change with Wi-Fi and VPN
 * while the rules stay). run_dir below must not outlive a boot (/run/carrel/net). Addresses are stable for a (vm, name) pair as
 * long as state_dir, where they are remembered, lasts. */
NetPlan *net_plan(const NetPort *ports, gsize n, const char *const *uplinks, const char *state_dir, GError **error);
const NetAddress *net_plan_address(NetPlan *plan, gsize port);
char *net_plan_rules(NetPlan *plan);   /* for 'nft -f', one transaction, table inet carrel and table bridge carrel */
char *net_plan_dnsmasq(NetPlan *plan); /* its configuration file */
/* Makes bridges, addresses, rules, sysctls; starts, reloads or stops dnsmasq; removes bridges no port has any more. */
gboolean net_apply(NetPlan *plan, const char *run_dir, GError **error);
/* After a vif came up: bandwidth limits, isolation and no IPv6 autoconfiguration of our side. vif must have the planned name;
 * it is put on its bridge if it is on none. To be called again when the limits have changed. */
gboolean net_port_up(NetPlan *plan, gsize port, const char *vif, GError **error);
/* Everything of ours goes. */
gboolean net_remove(const char *run_dir, GError **error);
void net_plan_free(NetPlan *plan);

/* Before net_apply. Where dnsmasq finds its upstream servers; NULL: /etc/resolv.conf. */
gboolean net_plan_set_resolver(NetPlan *plan, const char *resolv_conf, GError **error);
/* Domains of the company's own, whose names may have private addresses (all others are refused: DNS rebinding). */
gboolean net_plan_set_private_domains(NetPlan *plan, const char *const *domains, GError **error);
/* A pidfd of the running dnsmasq, to watch for its end (then call net_apply again); -1 and no error when none runs. */
int net_dnsmasq_pidfd(const char *run_dir, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetPlan, net_plan_free)
#endif
