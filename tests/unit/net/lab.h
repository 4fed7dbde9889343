/* SPDX-License-Identifier: Apache-2.0 */
/* A laptop in network namespaces: the service domain, VMs behind real veth pairs that stand for vifs, the world behind the
 * uplink, and raw frames between them. Needs root; nothing is left when the process ends. */
#ifndef CARREL_LAB_H
#define CARREL_LAB_H

#include "net.h"

typedef struct {
	guint8 data[2048];
	gsize length;
} Frame;

/* One end of a wire in a namespace of its own. */
typedef struct {
	const char *vm;     /* NULL: not a VM */
	int ns, raw;        /* raw: hears and sends any frame */
	guint8 mac[6];
	const NetAddress *address;
} Station;

enum { A, B, C, D, E, F, VMS }; /* A, B: private; C, D: on 'office'; E: private, not outside; F: on 'lab' */

typedef struct {
	int host;                /* the service domain's namespace */
	char *dir;               /* state and run directory */
	NetPort ports[VMS];
	NetPlan *plan;
	Station vm[VMS], world, other; /* other: a second wire of the machine's own */
	int door[VMS];           /* hears what reaches each VM's bridge device */
	int udp4, udp6;          /* a service of the host's, on all its addresses */
} Lab;

#define SERVICE_PORT 5555
#define WORLD4       "192.0.2.2" /* the world, next to the uplink's .1 */
#define WORLD6       "2001:db8::2"
#define UPLINK4      "192.0.2.1"

gboolean lab_possible(void); /* else says why */
Lab *lab_new(void);          /* with the plan applied, all ports up */
void lab_free(Lab *lab);
void lab_enter(int ns);
int lab_ns_new(void);
void lab_run(int ns, const char *command); /* words, no quotes; must succeed */
char *lab_output(int ns, const char *const *argv);
void lab_wire(int host_ns, const char *near, Station *far, const char *far_name); /* far->ns and far->mac are set */
void lab_load(Lab *lab, const char *rules);
int lab_listen(int ns, const char *interface); /* a raw socket; interface NULL: none */
int lab_udp(int ns, int family, const char *address, guint16 port);

void lab_send(const Station *from, const Frame *frame);
gboolean lab_heard(int socket, const char *mark, int timeout_ms); /* within the time, in any frame or datagram */
void lab_drain(int socket);

/* Frames. Each starts with eth(); checksums and lengths are right. */
void eth(Frame *frame, const guint8 to[6], const guint8 from[6], guint16 type);
void put(Frame *frame, const void *data, gsize length);
void put8(Frame *frame, guint8 value);
void put16(Frame *frame, guint16 value);
void ip4(Frame *frame, const char *from, const char *to, guint8 protocol, guint16 fragment, const void *payload, gsize length);
void ip6(Frame *frame, const char *from, const char *to, guint8 next, const void *payload, gsize length);
/* An UDP datagram whose text is mark, over IPv4 or IPv6 as the addresses are. */
void udp(Frame *frame, const char *from, const char *to, guint16 sport, guint16 dport, const char *mark);
gsize udp_payload(guint8 *to, const char *from, const char *to_address, guint16 sport, guint16 dport, const char *text, gsize length);
/* An ICMPv6 message: type, four bytes, target (or NULL), then mark as padding. */
void icmp6(Frame *frame, const char *from, const char *to, guint8 type, const char *target, const char *mark);
gsize icmp6_payload(guint8 *to, const char *from, const char *to_address, guint8 type, const char *target, const char *mark);
void arp(Frame *frame, guint16 operation, const guint8 sender_mac[6], const char *sender, const char *target, const char *mark);
void tag(Frame *frame, guint16 protocol, guint16 id); /* puts a VLAN tag in */
#endif
