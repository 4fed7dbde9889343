/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this room. */
#ifndef CARREL_NET_INTERNAL_H
#define CARREL_NET_INTERNAL_H

#include "net.h"

#define NET_OWNER "carrel" /* the ifalias of every interface that we made */

/* One bridge. */
typedef struct {
	guint16 id; /* private: the slot; shared: 0x8000 | slot << 8. Also its IPv6 subnet. */
	gboolean shared;
	char bridge[16];
	guint32 net4; /* host order */
	guint8 prefix4;
	char gateway4[16], net6[46], gateway6[46];
} Network;

typedef struct {
	char *vm, *name, *shared; /* shared: NULL for a private network */
	gboolean outside;
	guint8 mac[6];
	guint64 limit_in, limit_out;
	guint16 id; /* of a private network, or its shared network's | host: unique */
	Network *network;
	NetAddress address;
} Port;

struct NetPlan {
	GPtrArray *ports;    /* Port, in the caller's order */
	GPtrArray *networks; /* Network, in the order of their first port */
	GStrv uplinks;       /* NULL: any interface that is not ours */
	GStrv private_domains;
	char *resolver;
	gboolean keep_routing; /* forwarding was on before us: what is not ours goes on being routed */
};

extern const char net_gateway_link_local[]; /* the same on each bridge */
gboolean net_interface_name_valid(const char *name);
char *net_format4(guint32 address);
void net_format_mac(const guint8 mac[6], char text[18]);
void net_ifb_name(const Port *port, char name[16]);

/* command.c: runs argv with input on its stdin. Errors name the program and have the first lines that it said. */
char *net_run(const char *const *argv, const char *input, GError **error);
gboolean net_ip_batch(GString *commands, GError **error); /* empties commands; nothing to do when it is empty */
gboolean net_sysctl(const char *value, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
char *net_sysctl_read(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* links.c: the kernel's interfaces. */
typedef struct {
	char *kind, *alias, *master, *mac; /* kind and alias: "" if none; master: NULL if none */
	GPtrArray *addresses;              /* "10.0.0.1/24" */
} Link;
GHashTable *net_links(GError **error); /* name → Link */
gboolean net_link_ours(const Link *link, const char *kind);
gboolean net_has_qdisc(const char *interface, const char *kind); /* a queueing discipline */

/* dnsmasq.c */
gboolean net_dnsmasq_check(NetPlan *plan, const char *run_dir, GError **error); /* that it will take this configuration */
gboolean net_dnsmasq_apply(NetPlan *plan, const char *run_dir, GError **error);
gboolean net_dnsmasq_stop(const char *run_dir, GError **error);
#endif
