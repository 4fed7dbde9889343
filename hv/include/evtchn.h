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
	bool pending_at_init; /* FIFO */
	uint16_t notify_vcpu;
	domid_t remote_dom;   /* UNBOUND: who may bind; INTERDOMAIN: the peer */
	uint32_t remote_port; /* INTERDOMAIN */
	uint16_t last_vcpu;
	uint8_t last_priority;
};
#define EVTCHN_PER_PAGE 256 /* records a page; pages are allocated on demand */
struct evtchn_domain {
	uint32_t limit;          /* ports are 1..limit-1 */
	struct evtchn *page[512];
	uint32_t free_hint;
	bool fifo;
	void *fifo_array[128];   /* event array pages, core's pointers */
	mfn_t fifo_array_mfn[128];
	uint32_t fifo_words;
};

int evtchn_init(struct domain *d, unsigned max_port);
void evtchn_destroy(struct domain *d);      /* closes all ports; peers see unbound */
/* Raises port on d; no-op when not bound. */
void evtchn_raise(struct domain *d, uint32_t port);
void virq_raise_vcpu(struct vcpu *v, unsigned virq);
/* A global VIRQ, to the service domain (VIRQ_DOM_EXC, VIRQ_CONSOLE...). */
void virq_raise_global(unsigned virq);
bool evtchn_pending_on(struct vcpu *v);     /* unmasked upcall pending */
/* For the domain builder: an unbound port of d that `remote` may bind. Port, or negative errno. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote);
void evtchn_vcpu_destroy(struct vcpu *v);
bool evtchn_port_is_pending(struct domain *d, uint32_t port);

#endif
