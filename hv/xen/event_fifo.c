// SPDX-License-Identifier: Apache-2.0
/*
 * The FIFO event-channel ABI (xen/event_channel.h). The guest consumes a queue from its head; the core appends at the
 * tail it remembers. Event words are the guest's memory: whatever it writes there only disturbs its own events, every
 * walk here is at most one word away, and every retry is counted.
 */
#include "domain.h"
#include "errno.h"
#include "evtchn.h"
#include "frame.h"
#include "guest.h"
#include "lib.h"
#include "map.h"
#include "vcpu.h"

#include <xen/event_channel.h>

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED  (1u << EVTCHN_FIFO_MASKED)
#define LINKED  (1u << EVTCHN_FIFO_LINKED)
#define BUSY    (1u << EVTCHN_FIFO_BUSY)
#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))

_Static_assert(ARRAY_SIZE(((struct evtchn_domain *)0)->fifo_array) * WORDS_PER_PAGE == EVTCHN_FIFO_NR_CHANNELS,
	       "all ports");
_Static_assert(ARRAY_SIZE(((struct vcpu *)0)->fifo_tail) == EVTCHN_FIFO_MAX_QUEUES, "a tail for each queue");

uint32_t *evtchn_fifo_word(struct domain *d, uint32_t port)
{
	if (unlikely(port >= d->evtchn.fifo_words))
		return NULL;
	return (uint32_t *)d->evtchn.fifo_array[port / WORDS_PER_PAGE] + port % WORDS_PER_PAGE;
}

static inline uint32_t set_flag(uint32_t *w, uint32_t flag)
{
	return __atomic_fetch_or(w, flag, __ATOMIC_SEQ_CST);
}

static inline void clear_flag(uint32_t *w, uint32_t flag)
{
	__atomic_fetch_and(w, ~flag, __ATOMIC_SEQ_CST);
}

/*
 * Links port behind the tail word if that is still LINKED; false when the guest took it off: the queue is empty.
 * BUSY keeps a well-behaved guest from unmasking meanwhile; what it may still do (mask, unmask once, clear PENDING,
 * unlink) makes the exchange fail at most four times. A guest that goes beyond that loses its event.
 */
static bool link_tail(uint32_t *tail, uint32_t port)
{
	uint32_t old = READ_ONCE(*tail);

	for (unsigned tries = 0; tries < 6; tries++) {
		uint32_t new = (old & ~(BUSY | (uint32_t)EVTCHN_FIFO_LINK_MASK)) | port;

		if (!(old & LINKED)) {
			if (tries)
				clear_flag(tail, BUSY);
			return false;
		}
		if (__atomic_compare_exchange_n(tail, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
		if (!tries)
			old = set_flag(tail, BUSY) | BUSY;
	}
	clear_flag(tail, BUSY);
	return true;
}

void evtchn_fifo_set_pending(struct domain *d, uint32_t port, struct evtchn *c, struct vcpu *v)
{
	struct evtchn_fifo_control_block *cb = v->fifo_control;
	uint32_t *w = evtchn_fifo_word(d, port), *tail, *old_tail;
	bool joined = false;

	if (unlikely(!w)) {
		c->pending_at_init = true;
		return;
	}
	/* Without a control block the guest may not have unmasked the event: nothing to tell it. */
	if (unlikely(!cb))
		return;
	set_flag(w, PENDING);
	if ((READ_ONCE(*w) & MASKED) || (set_flag(w, LINKED) & LINKED))
		return;
	/* If it was the tail of the queue it was on last, that queue has been emptied. */
	old_tail = &d->vcpu[c->last_vcpu]->fifo_tail[c->last_priority];
	if (*old_tail == port)
		*old_tail = 0;
	c->last_vcpu = (uint16_t)v->id;
	c->last_priority = c->priority;
	tail = &v->fifo_tail[c->priority];
	if (*tail)
		joined = link_tail(evtchn_fifo_word(d, *tail), port);
	*tail = port;
	if (joined)
		return;
	WRITE_ONCE(cb->head[c->priority], port);
	if (!(set_flag(&cb->ready, 1u << c->priority) >> c->priority & 1))
		vcpu_mark_events_pending(v);
}

void evtchn_fifo_unmask(struct domain *d, uint32_t port, struct evtchn *c, struct vcpu *v)
{
	uint32_t *w = evtchn_fifo_word(d, port);

	if (!w)
		return;
	clear_flag(w, MASKED);
	if (READ_ONCE(*w) & PENDING)
		evtchn_fifo_set_pending(d, port, c, v);
}

/* From now on the FIFO ABI: 2-level events that are pending are raised again when their words appear. */
static void switch_to_fifo(struct domain *d)
{
	struct evtchn_domain *e = &d->evtchn;

	for (uint32_t port = 1; port < e->limit; port++) {
		struct evtchn *c = evtchn_port(d, port);

		if (!c)
			continue;
		if (READ_ONCE(d->shared_info->evtchn_pending[port / 64]) & BIT(port % 64))
			c->pending_at_init = true;
		c->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
	}
	e->fifo = true;
	e->limit = e->max_ports;
}

int64_t evtchn_init_control_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_init_control a;
	struct domain *d = v->domain;
	struct vcpu *target;
	mfn_t mfn;

	if (copy_from_guest(&a, arg[1], sizeof(a)))
		return -EFAULT;
	target = domain_vcpu(d, a.vcpu);
	if (!target)
		return -ENOENT;
	/* A dying domain's events are gone already (evtchn_destroy): nobody would drop the page's reference. */
	if (d->dying || a.offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || a.offset % 8 || target->fifo_control)
		return -EINVAL;
	mfn = guest_frame_get(d, a.control_gfn);
	if (mfn == INVALID_MFN)
		return -EINVAL;
	target->fifo_control_mfn = mfn;
	target->fifo_control = (char *)mfn_to_virt(mfn) + a.offset;
	if (!d->evtchn.fifo)
		switch_to_fifo(d);
	a.link_bits = EVTCHN_FIFO_LINK_BITS;
	return copy_to_guest(arg[1], &a, sizeof(a));
}

int64_t evtchn_expand_array_op(struct vcpu *v, uint64_t *arg)
{
	struct evtchn_expand_array a;
	struct domain *d = v->domain;
	struct evtchn_domain *e = &d->evtchn;
	uint32_t first = e->fifo_words, slot = first / (uint32_t)WORDS_PER_PAGE;
	mfn_t mfn;

	if (copy_from_guest(&a, arg[1], sizeof(a)))
		return -EFAULT;
	if (!e->fifo)
		return -EOPNOTSUPP;
	if (slot >= ARRAY_SIZE(e->fifo_array))
		return -ENOSPC;
	mfn = guest_frame_get(d, a.array_gfn);
	if (mfn == INVALID_MFN)
		return -EINVAL;
	e->fifo_array_mfn[slot] = mfn;
	e->fifo_array[slot] = mfn_to_virt(mfn);
	e->fifo_words += WORDS_PER_PAGE;
	for (uint32_t port = first; port < e->fifo_words; port++) {
		struct evtchn *c = evtchn_port(d, port);

		if (c && c->pending_at_init && d->vcpu[c->notify_vcpu]) {
			c->pending_at_init = false;
			evtchn_fifo_set_pending(d, port, c, d->vcpu[c->notify_vcpu]);
		}
	}
	return 0;
}

void evtchn_fifo_destroy(struct domain *d)
{
	struct evtchn_domain *e = &d->evtchn;

	if (!e->fifo)
		return;
	e->fifo = false;
	e->limit = MIN(e->max_ports, (uint32_t)EVTCHN_2L_NR_CHANNELS);
	for_each_vcpu(d, v) {
		if (!v->fifo_control)
			continue;
		v->fifo_control = NULL;
		memset(v->fifo_tail, 0, sizeof(v->fifo_tail));
		frame_put(v->fifo_control_mfn);
	}
	for (unsigned i = 0; i < e->fifo_words / WORDS_PER_PAGE; i++)
		frame_put(e->fifo_array_mfn[i]);
	e->fifo_words = 0;
}
