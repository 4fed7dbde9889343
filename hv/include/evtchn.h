/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_EVTCHN_H
#define CARREL_EVTCHN_H

#include "types.h"

/* xen/event.c, xen/event_fifo.c. Core lock. */
struct domain;
struct vcpu;

enum { ECS_FREE, ECS_RESERVED, ECS_UNBOUND, ECS_INTERDOMAIN, ECS_VIRQ, ECS_IPI };
struct evtchn {
	uint8_t state;
	uint8_t virq;
	uint8_t priority;
	bool pending_at_init; /* FIFO: raised before its event word existed */
	uint16_t notify_vcpu;
	domid_t remote_dom;   /* UNBOUND: who may bind; INTERDOMAIN: the peer */
	uint32_t remote_port; /* INTERDOMAIN */
	uint16_t last_vcpu;   /* FIFO: the queue it was last put on */
	uint8_t last_priority;
};
#define EVTCHN_PER_PAGE 256 /* records a page; pages are allocated on demand */
struct evtchn_domain {
	uint32_t limit;          /* ports are 1..limit-1 */
	uint32_t max_ports;      /* what the toolstack allows; limit is this, or less in the 2-level ABI */
	struct evtchn *page[512];
	uint32_t free_hint;      /* no port below is free */
	uint32_t pollers;        /* bit per vCPU in sched_op poll */
	bool fifo;
	void *fifo_array[128];   /* event array pages, core's pointers */
	mfn_t fifo_array_mfn[128];
	uint32_t fifo_words;
};

int evtchn_init(struct domain *d, unsigned max_port);
void evtchn_destroy(struct domain *d);      /* closes all ports; peers see unbound */
void evtchn_free(struct domain *d);         /* the records, as the last thing */
void virq_raise_vcpu(struct vcpu *v, unsigned virq);
/* A global VIRQ, to the service domain (VIRQ_DOM_EXC, VIRQ_CONSOLE...). */
void virq_raise_global(unsigned virq);
bool evtchn_pending_on(struct vcpu *v);     /* unmasked upcall pending */
/* For the domain builder: an unbound port of d that `remote` may bind. Port, or negative errno. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote);
void evtchn_vcpu_destroy(struct vcpu *v);
bool evtchn_port_is_pending(struct domain *d, uint32_t port);
/* NULL when port is out of range or never was allocated. */
struct evtchn *evtchn_port(struct domain *d, uint32_t port);
/* Ends v's sched_op poll, waking it. */
void evtchn_poll_end(struct vcpu *v);

/* xen/event_fifo.c */
/* Event word of port, NULL when its array page is not there. */
uint32_t *evtchn_fifo_word(struct domain *d, uint32_t port);
void evtchn_fifo_set_pending(struct domain *d, uint32_t port, struct evtchn *c, struct vcpu *v);
void evtchn_fifo_unmask(struct domain *d, uint32_t port, struct evtchn *c, struct vcpu *v);
/* Back to the 2-level ABI: drops control blocks and array pages. */
void evtchn_fifo_destroy(struct domain *d);
int64_t evtchn_init_control_op(struct vcpu *v, uint64_t *arg);
int64_t evtchn_expand_array_op(struct vcpu *v, uint64_t *arg);

#endif
