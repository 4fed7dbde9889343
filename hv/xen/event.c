// SPDX-License-Identifier: Apache-2.0
/* Event channels (xen/event_channel.h), with the 2-level ABI; event_fifo.c has the other one. Core lock. */
#include "evtchn.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "lib.h"
#include "sched.h"
#include "shared.h"
#include "vcpu.h"

#include <xen/event_channel.h>
#include <xen/xen.h>

_Static_assert(sizeof(struct evtchn) == 16 && EVTCHN_PER_PAGE * sizeof(struct evtchn) == PAGE_SIZE, "one page a table");
_Static_assert(ARRAY_SIZE(((struct evtchn_domain *)0)->page) * EVTCHN_PER_PAGE == EVTCHN_FIFO_NR_CHANNELS, "all ports");
_Static_assert(ARRAY_SIZE(((struct vcpu *)0)->virq_port) == NR_VIRQS, "all VIRQs");
_Static_assert(MAX_VCPUS <= 32, "evtchn_domain.pollers is one word");

struct evtchn *evtchn_port(struct domain *d, uint32_t port)
{
	struct evtchn *page;

	if (unlikely(port >= d->evtchn.limit))
		return NULL;
	page = d->evtchn.page[port / EVTCHN_PER_PAGE];
	return likely(page) ? &page[port % EVTCHN_PER_PAGE] : NULL;
}

/* Atomic: the guest's other vCPUs write the same words. They return the old bit. */
static inline bool set_bit_shared(xen_ulong_t *map, uint32_t n)
{
	return __atomic_fetch_or(&map[n / 64], BIT(n % 64), __ATOMIC_SEQ_CST) & BIT(n % 64);
}

static inline bool clear_bit_shared(xen_ulong_t *map, uint32_t n)
{
	return __atomic_fetch_and(&map[n / 64], ~BIT(n % 64), __ATOMIC_SEQ_CST) & BIT(n % 64);
}

static inline bool test_bit_shared(const xen_ulong_t *map, uint32_t n)
{
	return READ_ONCE(map[n / 64]) & BIT(n % 64);
}

bool evtchn_pending_on(struct vcpu *v)
{
	return READ_ONCE(v->vcpu_info->evtchn_upcall_pending);
}

void vcpu_mark_events_pending(struct vcpu *v)
{
	if (__atomic_exchange_n(&v->vcpu_info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
		return;
	if (v->upcall_vector)
		vlapic_set_irq(v, v->upcall_vector, false);
	else
		vcpu_kick(v);
}

void evtchn_poll_end(struct vcpu *v)
{
	v->domain->evtchn.pollers &= ~(1u << v->id);
	timer_cancel(&v->poll_timer);
	sched_start(v, VCPU_BLOCKED);
}

static void wake_pollers(struct domain *d, uint32_t port)
{
	for (uint32_t m = d->evtchn.pollers; m; m &= m - 1) {
		struct vcpu *v = d->vcpu[__builtin_ctz(m)];

		if (!v->poll_port || v->poll_port == port)
			evtchn_poll_end(v);
	}
}

/* The selector bit of port's word; tells v when it was not set. */
static inline void select_word(struct vcpu *v, uint32_t port)
{
	if (!set_bit_shared(&v->vcpu_info->evtchn_pending_sel, port / 64))
		vcpu_mark_events_pending(v);
}

static void set_pending(struct domain *d, uint32_t port, struct evtchn *c)
{
	struct shared_info *s = d->shared_info;
	struct vcpu *v = d->vcpu[c->notify_vcpu];

	if (unlikely(!v))
		return;
	if (d->evtchn.fifo) {
		evtchn_fifo_set_pending(d, port, c, v);
	} else {
		/* Pending before mask before selector: the guest's unmask goes the other way round. */
		if (set_bit_shared(s->evtchn_pending, port))
			return;
		if (!test_bit_shared(s->evtchn_mask, port))
			select_word(v, port);
	}
	if (unlikely(d->evtchn.pollers))
		wake_pollers(d, port);
}

bool evtchn_port_is_pending(struct domain *d, uint32_t port)
{
	const uint32_t *w;

	if (!evtchn_port(d, port))
		return false;
	if (!d->evtchn.fifo)
		return test_bit_shared(d->shared_info->evtchn_pending, port);
	w = evtchn_fifo_word(d, port);
	return w && READ_ONCE(*w) >> EVTCHN_FIFO_PENDING & 1;
}

static void clear_pending(struct domain *d, uint32_t port)
{
	uint32_t *w;

	if (!d->evtchn.fifo)
		clear_bit_shared(d->shared_info->evtchn_pending, port);
	else if ((w = evtchn_fifo_word(d, port)))
		__atomic_fetch_and(w, ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
}

/* Still on a queue of the guest's: must not get a new meaning yet. */
static bool linked(struct domain *d, uint32_t port)
{
	const uint32_t *w = d->evtchn.fifo ? evtchn_fifo_word(d, port) : NULL;

	return w && READ_ONCE(*w) >> EVTCHN_FIFO_LINKED & 1;
}

/* The lowest free port with its record in *c, left free; or negative errno. */
static int find_free(struct domain *d, struct evtchn **c)
{
	struct evtchn_domain *e = &d->evtchn;
	bool passed = false;

	if (d->dying)
		return -EINVAL;
	for (uint32_t port = e->free_hint; port < e->limit; port++) {
		struct evtchn **page = &e->page[port / EVTCHN_PER_PAGE];

		if (!*page && !(*page = core_alloc(0)))
			return -ENOMEM;
		*c = &(*page)[port % EVTCHN_PER_PAGE];
		if ((*c)->state == ECS_FREE && !linked(d, port))
			return (int)port;
		passed |= (*c)->state == ECS_FREE;
		if (!passed)
			e->free_hint = port + 1;
	}
	return -ENOSPC;
}

static void bind(struct evtchn *c, uint8_t state, uint32_t vcpu)
{
	c->state = state;
	c->notify_vcpu = (uint16_t)vcpu;
	c->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
	c->pending_at_init = false;
}

int evtchn_alloc_unbound(struct domain *d, domid_t remote)
{
	struct evtchn *c;
	int port = find_free(d, &c);

	if (port > 0) {
		bind(c, ECS_UNBOUND, 0);
		c->remote_dom = remote;
	}
	return port;
}

static bool virq_is_global(unsigned virq)
{
	return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

static int close_port(struct domain *d, uint32_t port)
{
	struct evtchn *c = evtchn_port(d, port);

	if (!c || c->state <= ECS_RESERVED)
		return -EINVAL;
	if (c->state == ECS_VIRQ) {
		d->vcpu[virq_is_global(c->virq) ? 0 : c->notify_vcpu]->virq_port[c->virq] = 0;
	} else if (c->state == ECS_INTERDOMAIN) {
		struct evtchn *peer = evtchn_port(domain_find(c->remote_dom), c->remote_port);

		peer->state = ECS_UNBOUND;
		peer->remote_dom = d->id;
	}
	clear_pending(d, port);
	c->state = ECS_FREE;
	c->notify_vcpu = 0;
	c->pending_at_init = false;
	if (port < d->evtchn.free_hint)
		d->evtchn.free_hint = port;
	return 0;
}

int evtchn_init(struct domain *d, unsigned max_port)
{
	struct evtchn_domain *e = &d->evtchn;

	e->max_ports = MIN(max_port, (unsigned)EVTCHN_FIFO_NR_CHANNELS - 1) + 1;
	e->limit = MIN(e->max_ports, (uint32_t)EVTCHN_2L_NR_CHANNELS);
	e->free_hint = 1;
	e->page[0] = core_alloc(0);
	if (!e->page[0])
		return -ENOMEM;
	e->page[0][0].state = ECS_RESERVED;
	return 0;
}

void evtchn_destroy(struct domain *d)
{
	for (uint32_t port = 1; port < d->evtchn.limit; port++)
		close_port(d, port);
	evtchn_fifo_destroy(d);
}

void evtchn_free(struct domain *d)
{
	for (unsigned i = 0; i < ARRAY_SIZE(d->evtchn.page); i++)
		if (d->evtchn.page[i])
			core_free(d->evtchn.page[i], 0);
}

void evtchn_vcpu_destroy(struct vcpu *v)
{
	v->domain->evtchn.pollers &= ~(1u << v->id);
	vcpu_info_release(v);
}

void virq_raise_vcpu(struct vcpu *v, unsigned virq)
{
	uint32_t port = v->virq_port[virq];

	if (port)
		set_pending(v->domain, port, evtchn_port(v->domain, port));
}

void virq_raise_global(unsigned virq)
{
	if (dom0 && dom0->vcpu[0])
		virq_raise_vcpu(dom0->vcpu[0], virq);
}

/* ---- hypercalls: arg[1] is the argument's address ---- */

static int64_t evtchn_send_op(struct vcpu *v, uint64_t *arg)
{
	struct domain *d = v->domain;
	struct evtchn *c;
	uint32_t port;

	if (unlikely(copy_from_guest(&port, arg[1], sizeof(port))))
		return -EFAULT;
	c = evtchn_port(d, port);
	if (unlikely(!c))
		return -EINVAL;
	if (likely(c->state == ECS_INTERDOMAIN)) {
		struct domain *rd = domain_find(c->remote_dom);

		set_pending(rd, c->remote_port, evtchn_port(rd, c->remote_port));
		return 0;
	}
	if (c->state == ECS_IPI) {
		set_pending(d, port, c);
		return 0;
	}
	return c->state == ECS_UNBOUND ? 0 : -EINVAL;
}

static int64_t evtchn_unmask_op(struct vcpu *v, uint64_t *arg)
{
	struct domain *d = v->domain;
	struct shared_info *s = d->shared_info;
	struct vcpu *target;
	struct evtchn *c;
	uint32_t port;

	if (copy_from_guest(&port, arg[1], sizeof(port)))
		return -EFAULT;
	c = evtchn_port(d, port);
	target = c ? d->vcpu[c->notify_vcpu] : NULL;
	if (!target)
		return -EINVAL;
	if (d->evtchn.fifo)
		evtchn_fifo_unmask(d, port, c, target);
	else if (clear_bit_shared(s->evtchn_mask, port) && test_bit_shared(s->evtchn_pending, port))
		select_word(target, port);
	return 0;
}

static int64_t evtchn_alloc_unbound_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_alloc_unbound a;
	struct domain *d;
	int rc;

	if (copy_from_guest(&a, arg[1], sizeof(a)))
		return -EFAULT;
	d = domain_for_op(v, a.dom, &rc);
	if (!d)
		return rc;
	rc = evtchn_alloc_unbound(d, a.remote_dom == DOMID_SELF ? v->domain->id : a.remote_dom);
	if (rc < 0)
		return rc;
	a.port = (evtchn_port_t)rc;
	return copy_to_guest(arg[1], &a, sizeof(a));
}

static int64_t evtchn_bind_interdomain_op(struct vcpu *v, uint64_t *arg)
{
	struct domain *d = v->domain, *rd;
	struct evtchn_bind_interdomain b;
	struct evtchn *c, *rc;
	int port;

	if (copy_from_guest(&b, arg[1], sizeof(b)))
		return -EFAULT;
	rd = b.remote_dom == DOMID_SELF ? d : domain_find(b.remote_dom);
	if (!rd)
		return -ESRCH;
	rc = evtchn_port(rd, b.remote_port);
	if (!rc || rc->state != ECS_UNBOUND || rc->remote_dom != d->id)
		return -EINVAL;
	port = find_free(d, &c);
	if (port < 0)
		return port;
	bind(c, ECS_INTERDOMAIN, 0);
	c->remote_dom = rd->id;
	c->remote_port = b.remote_port;
	rc->state = ECS_INTERDOMAIN;
	rc->remote_dom = d->id;
	rc->remote_port = (uint32_t)port;
	/* The peer may have sent while it was unbound: one event too many does no harm. */
	set_pending(d, (uint32_t)port, c);
	b.local_port = (evtchn_port_t)port;
	return copy_to_guest(arg[1], &b, sizeof(b));
}

static int64_t evtchn_bind_virq_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_bind_virq b;
	struct vcpu *target;
	struct evtchn *c;
	int port;

	if (copy_from_guest(&b, arg[1], sizeof(b)))
		return -EFAULT;
	if (b.virq >= NR_VIRQS || (virq_is_global(b.virq) && b.vcpu))
		return -EINVAL;
	target = domain_vcpu(v->domain, b.vcpu);
	if (!target)
		return -ENOENT;
	if (target->virq_port[b.virq])
		return -EEXIST;
	port = find_free(v->domain, &c);
	if (port < 0)
		return port;
	bind(c, ECS_VIRQ, b.vcpu);
	c->virq = (uint8_t)b.virq;
	target->virq_port[b.virq] = (uint32_t)port;
	b.port = (evtchn_port_t)port;
	return copy_to_guest(arg[1], &b, sizeof(b));
}

static int64_t evtchn_bind_ipi_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_bind_ipi b;
	struct evtchn *c;
	int port;

	if (copy_from_guest(&b, arg[1], sizeof(b)))
		return -EFAULT;
	if (!domain_vcpu(v->domain, b.vcpu))
		return -ENOENT;
	port = find_free(v->domain, &c);
	if (port < 0)
		return port;
	bind(c, ECS_IPI, b.vcpu);
	b.port = (evtchn_port_t)port;
	return copy_to_guest(arg[1], &b, sizeof(b));
}

static int64_t evtchn_bind_vcpu_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_bind_vcpu b;
	struct evtchn *c;

	if (copy_from_guest(&b, arg[1], sizeof(b)))
		return -EFAULT;
	if (!domain_vcpu(v->domain, b.vcpu))
		return -ENOENT;
	c = evtchn_port(v->domain, b.port);
	if (!c || !(c->state == ECS_UNBOUND || c->state == ECS_INTERDOMAIN ||
		    (c->state == ECS_VIRQ && virq_is_global(c->virq))))
		return -EINVAL;
	c->notify_vcpu = (uint16_t)b.vcpu;
	return 0;
}

static int64_t evtchn_close_op(struct vcpu *v, uint64_t *arg)
{
	uint32_t port;

	if (copy_from_guest(&port, arg[1], sizeof(port)))
		return -EFAULT;
	return close_port(v->domain, port);
}

static int64_t evtchn_status_op(struct vcpu *v, uint64_t *arg)
{
	static const uint8_t status[] = {
		[ECS_FREE] = EVTCHNSTAT_closed, [ECS_RESERVED] = EVTCHNSTAT_closed, [ECS_UNBOUND] = EVTCHNSTAT_unbound,
		[ECS_INTERDOMAIN] = EVTCHNSTAT_interdomain, [ECS_VIRQ] = EVTCHNSTAT_virq, [ECS_IPI] = EVTCHNSTAT_ipi,
	};
	struct evtchn_status s;
	const struct evtchn *c;
	struct domain *d;
	int rc;

	if (copy_from_guest(&s, arg[1], sizeof(s)))
		return -EFAULT;
	d = domain_for_op(v, s.dom, &rc);
	if (!d)
		return rc;
	c = evtchn_port(d, s.port);
	if (!c)
		return -EINVAL;
	s.status = status[c->state];
	s.vcpu = c->notify_vcpu;
	if (c->state == ECS_UNBOUND) {
		s.u.unbound.dom = c->remote_dom;
	} else if (c->state == ECS_INTERDOMAIN) {
		s.u.interdomain.dom = c->remote_dom;
		s.u.interdomain.port = c->remote_port;
	} else if (c->state == ECS_VIRQ) {
		s.u.virq = c->virq;
	}
	return copy_to_guest(arg[1], &s, sizeof(s));
}

static int64_t evtchn_reset_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_reset r;
	struct domain *d;
	int rc;

	if (copy_from_guest(&r, arg[1], sizeof(r)))
		return -EFAULT;
	d = domain_for_op(v, r.dom, &rc);
	if (!d)
		return rc;
	if (d != v->domain && !d->pause_count)
		return -EINVAL;
	/* A second round passes quickly over what the first one closed. */
	for (uint32_t port = 1; port < d->evtchn.limit; port++)
		if (!close_port(d, port) && !(port % 64) && hypercall_preempt())
			return -ERESTART;
	evtchn_fifo_destroy(d);
	return 0;
}

static int64_t evtchn_set_priority_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_set_priority p;
	struct evtchn *c;

	if (copy_from_guest(&p, arg[1], sizeof(p)))
		return -EFAULT;
	c = evtchn_port(v->domain, p.port);
	if (!c)
		return -EINVAL;
	if (!v->domain->evtchn.fifo)
		return -ENOSYS;
	if (p.priority > EVTCHN_FIFO_PRIORITY_MIN)
		return -EINVAL;
	c->priority = (uint8_t)p.priority;
	return 0;
}

int64_t hypercall_event_channel_op(struct vcpu *v, uint64_t *arg)
{
	switch ((uint32_t)arg[0]) {
#define OP(name)   case EVTCHNOP_##name: return evtchn_##name##_op(v, arg);
#define CASE(name) case EVTCHNOP_##name:
#include "event_ops.def"
	default:
		return -ENOSYS;
	}
}
