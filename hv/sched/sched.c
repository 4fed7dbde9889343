// SPDX-License-Identifier: Apache-2.0
/*
 * The scheduler. Each CPU has a queue of runnable vCPUs by virtual run time: time run, divided by the domain's weight. A vCPU
 * of the foreground domain or the service domain that wakes is boosted: it goes before everyone who is not, unless it has had
 * far more than its share lately. There is no tick: a timer runs only while somebody waits.
 *
 * A vCPU's state stays loaded on its CPU (cpu->current) when the CPU goes idle, so that waking it costs nothing. Invariant: a
 * vCPU that is loaded on c has v->cpu == c; only then is it never queued elsewhere.
 */
#include "sched.h"
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "time.h"
#include "vcpu.h"

#define SLICE       10000000ull   /* ns, while somebody waits */
#define SLICE_SHORT 2000000ull    /* in the background while a favoured vCPU waits */
#define GRAIN       2000000ull    /* how far behind a waking vCPU must be to stop the running one */
#define SLEEP_BONUS 5000000ull    /* how far behind the others a sleeper may come back */
#define BOOST_LIMIT 50000000ll    /* ns of virtual time ahead of the others beyond which nobody is boosted */
#define FAVOUR      4             /* multiplies the weight of the foreground and of the service domain */
#define CAP_PERIOD  100000000ull  /* ns after which a domain with a cap may run again */
#define NEVER       (~0ull)

static struct timer slice_timer[MAX_CPUS];

static bool favoured(const struct vcpu *v)
{
	return v->domain->is_dom0 || v->domain->foreground;
}

static bool queued(const struct vcpu *v)
{
	return v->runq_link.next != &v->runq_link;
}

static bool allowed(const struct vcpu *v, const struct cpu *c)
{
	return v->affinity >> c->id & 1;
}

static bool is_idle(const struct cpu *c)
{
	return !c->picked && list_empty(&c->runq);
}

static struct vcpu *first(const struct cpu *c)
{
	return list_empty(&c->runq) ? NULL : list_entry(c->runq.next, struct vcpu, runq_link);
}

static bool behind(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

bool vcpu_runnable(const struct vcpu *v)
{
	return !v->stopped && !v->domain->pause_count && !(v->domain->cap && v->domain->cap_left <= 0);
}

/* ---- runstate (xen/vcpu.h) ---- */

/* The guest's copy. The area is read by other vCPUs of the guest too: they go by the update flag (xen/xen.h, vm_assist). */
static void runstate_publish(struct vcpu *v)
{
	const struct vcpu_runstate_info *r = &v->runstate;
	struct vcpu_runstate_info *p = NULL;
	gpa_t gpa;

	if ((v->runstate_gva & ~PAGE_MASK) <= PAGE_SIZE - sizeof(*r) &&
	    !guest_walk(v, v->runstate_gva, true, false, &gpa, NULL))
		p = p2m_ptr(v->domain, gpa, true);
	if (!p) {
		copy_to_guest(v->runstate_gva, r, sizeof(*r));
		return;
	}
	if (v->domain->vm_assist >> VMASST_TYPE_runstate_update_flag & 1)
		WRITE_ONCE(p->state_entry_time, r->state_entry_time | XEN_RUNSTATE_UPDATE);
	barrier();
	p->state = r->state;
	memcpy(p->time, r->time, sizeof(p->time));
	barrier();
	WRITE_ONCE(p->state_entry_time, r->state_entry_time);
}

static void set_runstate(struct vcpu *v, int state, ns_t t)
{
	struct vcpu_runstate_info *r = &v->runstate;

	if (t > r->state_entry_time)
		r->time[r->state] += t - r->state_entry_time;
	r->state = state;
	r->state_entry_time = t;
	if (state == RUNSTATE_running && v->runstate_gva && this_cpu()->current == v)
		runstate_publish(v);
}

void runstate_change(struct vcpu *v, int state)
{
	set_runstate(v, state, now());
}

static int stopped_runstate(const struct vcpu *v)
{
	return (v->stopped & ~VCPU_BLOCKED) || !v->stopped ? RUNSTATE_offline : RUNSTATE_blocked;
}

/* ---- state on CPUs ---- */

static void load(struct cpu *c, struct vcpu *v)
{
	struct timer *const timers[] = { &v->vlapic.timer, &v->singleshot, &v->periodic, &v->poll_timer };

	c->current = v;
	cpu_ops->vcpu_load(v);
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++)
		if (timer_armed(timers[i]) && timers[i]->cpu != c)
			timer_set(timers[i], timers[i]->deadline);
	if (!tsc_stable)
		v->time_updated = 0; /* this CPU's TSC may differ */
}

/* Takes the loaded vCPU's state off c. For another CPU see sched.h: it is out of guest mode and not in the lock soon. */
static void unload(struct cpu *c)
{
	if (!c->current)
		return;
	if (c == this_cpu()) {
		cpu_ops->vcpu_save(c->current);
		c->current = NULL;
		return;
	}
	__atomic_store_n(&c->save_request, true, __ATOMIC_SEQ_CST);
	cpu_kick(c);
	while (__atomic_load_n(&c->save_request, __ATOMIC_ACQUIRE))
		cpu_relax();
}

void sched_service_requests(void)
{
	struct cpu *c = this_cpu();

	if (likely(!READ_ONCE(c->save_request)))
		return;
	if (c->current)
		cpu_ops->vcpu_save(c->current);
	c->current = NULL;
	__atomic_store_n(&c->save_request, false, __ATOMIC_RELEASE);
}

void sched_unload(void)
{
	unload(this_cpu());
}

void sched_resume(void)
{
	struct cpu *c = this_cpu();

	if (unlikely(c->current != c->picked) && c->picked)
		load(c, c->picked);
}

void vcpu_sync(struct vcpu *v)
{
	if (v->cpu != this_cpu() && v->cpu->current == v)
		unload(v->cpu);
}

/* ---- caps: a domain has so much time a period, and stands still when that is used up ---- */

static void reschedule(struct cpu *c)
{
	c->resched = true;
	cpu_kick(c);
}

/* Several vCPUs may have run on for a moment: the debt is taken from the next period. Stops when nothing was used. */
static void cap_refill(struct timer *t)
{
	struct domain *d = container_of(t, struct domain, cap_timer);
	int64_t budget = d->cap * (int64_t)(CAP_PERIOD / 100);

	if (d->cap_left < budget)
		timer_set(t, t->deadline + CAP_PERIOD);
	d->cap_left = MIN(d->cap_left + budget, budget);
	sched_domain_changed(d);
}

static void charge_cap(struct domain *d, struct cpu *c, ns_t ran, ns_t t)
{
	if (!timer_armed(&d->cap_timer))
		timer_set(&d->cap_timer, t + CAP_PERIOD);
	d->cap_left -= (int64_t)ran;
	if (d->cap_left <= 0)
		reschedule(c);
}

/* ---- queues ---- */

/* Brings the running vCPU's accounts and the CPU's virtual clock up to date. */
static void charge(struct cpu *c, ns_t t)
{
	struct vcpu *v = c->picked;
	uint64_t least = v ? v->vruntime : c->vclock;

	if (v && t > v->ran_since) {
		ns_t ran = t - v->ran_since;

		v->ran_since = t;
		v->cpu_time += ran;
		if (unlikely(v->domain->cap))
			charge_cap(v->domain, c, ran, t);
		v->vruntime += ran * WEIGHT_DEFAULT / (MAX(v->domain->weight, 1u) * (favoured(v) ? FAVOUR : 1));
		least = v->vruntime;
	} else if (!v && !list_empty(&c->runq)) {
		least = list_entry(c->runq.next, struct vcpu, runq_link)->vruntime;
	}
	list_for_each(p, &c->runq)
		if (behind(list_entry(p, struct vcpu, runq_link)->vruntime, least))
			least = list_entry(p, struct vcpu, runq_link)->vruntime;
	if (behind(c->vclock, least))
		c->vclock = least;
}

/* v, which is loaded nowhere else, belongs to c from now on. */
static void move(struct vcpu *v, struct cpu *c)
{
	v->vruntime += c->vclock - v->cpu->vclock;
	v->cpu = c;
}

static void enqueue(struct cpu *c, struct vcpu *v)
{
	struct list *pos = c->runq.next;

	for (; pos != &c->runq; pos = pos->next) {
		const struct vcpu *o = list_entry(pos, struct vcpu, runq_link);

		if (v->boosted != o->boosted ? v->boosted : behind(v->vruntime, o->vruntime))
			break;
	}
	list_add_tail(pos, &v->runq_link);
}

/* What it would mean for v to wake on c: lower is better. */
static unsigned cost(const struct vcpu *v, const struct cpu *c)
{
	unsigned n = c == v->cpu ? 0 : 1;

	if (!(v->soft_affinity >> c->id & 1))
		n += 2;
	if (is_idle(c))
		return n;
	n += favoured(v) && c->picked && !c->picked->boosted ? 4 : 8;
	list_for_each(p, &c->runq)
		n += 4;
	return n;
}

/* Where v, which just became runnable, should run. A vCPU whose state is still loaded runs there: that CPU is idle. */
static struct cpu *place(struct vcpu *v)
{
	struct cpu *best = v->cpu;
	unsigned least = ~0u;

	if (best->current == v) {
		if (allowed(v, best))
			return best;
		unload(best);
	}
	if (allowed(v, best) && is_idle(best))
		return best;
	for (unsigned i = 0; i < nr_cpus; i++) {
		unsigned n = cost(v, cpus[i]);

		if (allowed(v, cpus[i]) && n < least) {
			least = n;
			best = cpus[i];
		}
	}
	return best;
}

static void wake(struct vcpu *v)
{
	ns_t t = now();
	struct vcpu *cur;
	struct cpu *c;

	if (v->running || queued(v))
		return;
	set_runstate(v, RUNSTATE_runnable, t);
	c = place(v);
	charge(c, t);
	if (c != v->cpu)
		move(v, c);
	if (behind(v->vruntime, c->vclock - SLEEP_BONUS))
		v->vruntime = c->vclock - SLEEP_BONUS;
	v->boosted = favoured(v) && (int64_t)(v->vruntime - c->vclock) < BOOST_LIMIT;
	enqueue(c, v);
	cur = c->picked;
	/* Also when v just waits: it is for c to start its slice timer. */
	if (!cur || c->slice_end == NEVER || (v->boosted && !cur->boosted) ||
	    (v->boosted == cur->boosted && behind(v->vruntime + GRAIN, cur->vruntime)))
		reschedule(c);
}

static void halt(struct vcpu *v)
{
	if (queued(v))
		list_del(&v->runq_link);
	if (v->running)
		reschedule(v->cpu);
	else
		runstate_change(v, stopped_runstate(v));
}

void sched_stop(struct vcpu *v, uint32_t why)
{
	v->stopped |= why;
	halt(v);
}

void sched_start(struct vcpu *v, uint32_t why)
{
	v->stopped &= ~why;
	if (vcpu_runnable(v))
		wake(v);
}

void sched_domain_changed(struct domain *d)
{
	for_each_vcpu(d, v) {
		if (vcpu_runnable(v))
			wake(v);
		else if (queued(v) || v->running)
			halt(v);
	}
}

void sched_set_cap(struct domain *d, uint16_t percent)
{
	if (d->cap == percent)
		return;
	for_each_vcpu(d, v)
		if (v->running)
			charge(v->cpu, now()); /* by the old one */
	d->cap = percent;
	d->cap_left = 0; /* all vCPUs go through pick() */
	timer_set(&d->cap_timer, now());
	sched_domain_changed(d);
}

void sched_yield(struct vcpu *v)
{
	struct cpu *c = v->cpu;
	const struct vcpu *next = first(c);

	if (!next || !v->running)
		return;
	charge(c, now());
	v->boosted = false;
	if (!behind(next->vruntime, v->vruntime))
		v->vruntime = next->vruntime + 1;
	c->slice_end = 0;
	c->resched = true;
}

int sched_set_affinity(struct vcpu *v, uint64_t hard)
{
	if (!(hard & (nr_cpus < 64 ? BIT(nr_cpus) - 1 : NEVER)))
		return -EINVAL;
	v->affinity = hard;
	if (allowed(v, v->cpu))
		return 0;
	if (v->running) {
		reschedule(v->cpu);
	} else if (queued(v)) {
		list_del(&v->runq_link);
		wake(v);
	}
	return 0;
}

/* ---- choosing ---- */

/* The running vCPU, or the first in the queue if that should go before it. */
static struct vcpu *better(const struct cpu *c, struct vcpu *cur, ns_t t)
{
	struct vcpu *next = first(c);

	if (!next)
		return cur;
	if (next->boosted != cur->boosted)
		return next->boosted ? next : cur;
	return behind(next->vruntime + (t >= c->slice_end ? 0 : GRAIN), cur->vruntime) ? next : cur;
}

/* An idle CPU takes over a vCPU that waits elsewhere, boosted ones first. */
static struct vcpu *steal(struct cpu *c)
{
	struct vcpu *best = NULL;

	for (unsigned i = 0; i < nr_cpus; i++) {
		struct cpu *o = cpus[i];

		if (o == c || !o->picked)
			continue;
		list_for_each(p, &o->runq) {
			struct vcpu *v = list_entry(p, struct vcpu, runq_link);

			if (allowed(v, c) && o->current != v && (!best || (v->boosted && !best->boosted)))
				best = v;
		}
	}
	if (best)
		move(best, c);
	return best;
}

static void put_down(struct cpu *c, struct vcpu *v, ns_t t)
{
	c->picked = NULL;
	v->running = false;
	if (!vcpu_runnable(v)) {
		set_runstate(v, stopped_runstate(v), t);
	} else if (allowed(v, c)) {
		set_runstate(v, RUNSTATE_runnable, t);
		enqueue(c, v);
	} else {
		wake(v); /* elsewhere: place() unloads it here */
	}
}

static void pick_up(struct cpu *c, struct vcpu *v, ns_t t)
{
	list_del(&v->runq_link);
	if (c->current != v) {
		unload(c);
		load(c, v);
	}
	c->picked = v;
	v->running = true;
	v->ran_since = t;
	c->slice_end = NEVER;
	set_runstate(v, RUNSTATE_running, t);
}

/* The slice runs only while somebody waits, or there is a cap. */
static void set_slice(struct cpu *c, ns_t t)
{
	struct timer *timer = &slice_timer[c->id];
	const struct vcpu *next = first(c);

	if (!c->picked || (!next && !c->picked->domain->cap)) {
		c->slice_end = NEVER;
		if (timer_armed(timer))
			timer_cancel(timer);
	} else if (c->slice_end == NEVER || t >= c->slice_end) {
		c->slice_end = t + (next && favoured(next) && !favoured(c->picked) ? SLICE_SHORT : SLICE);
		if (c->picked->domain->cap)
			c->slice_end = MIN(c->slice_end, t + (ns_t)c->picked->domain->cap_left);
		timer_set(timer, c->slice_end);
	}
}

static struct vcpu *pick(struct cpu *c)
{
	ns_t t = now();
	struct vcpu *old = c->picked, *v;

	charge(c, t);
	if (old && old->domain->cap && old->domain->cap_left <= 0)
		sched_domain_changed(old->domain);
	c->resched = false;
	if (old && t >= c->slice_end)
		old->boosted = false;
	v = old && vcpu_runnable(old) && allowed(old, c) ? better(c, old, t) : first(c);
	if (v != old || !v) {
		if (old)
			put_down(c, old, t);
		if (!v)
			v = steal(c);
		if (v)
			pick_up(c, v, t);
		else if (c->current && (c->current->stopped & VCPU_DYING))
			unload(c); /* domain_destroy waits for it */
	}
	set_slice(c, t);
	return v;
}

struct vcpu *sched_pick(void)
{
	struct cpu *c = this_cpu();
	struct vcpu *v = c->picked;

	if (likely(v && !c->resched))
		return v;
	return pick(c);
}

static void slice_over(struct timer *t)
{
	t->cpu->resched = true;
}

void sched_init_cpu(struct cpu *c)
{
	list_init(&c->runq);
	c->vclock = BIT(40); /* far from zero, so that nobody starts before time began */
	c->slice_end = NEVER;
	timer_init(&slice_timer[c->id], slice_over);
}

void sched_init_vcpu(struct vcpu *v)
{
	v->stopped |= VCPU_DOWN;
	v->cpu = cpus[v->id % nr_cpus];
	v->vruntime = v->cpu->vclock;
	v->affinity = v->soft_affinity = NEVER;
	v->runstate.state = RUNSTATE_offline;
	v->runstate.state_entry_time = now();
	list_init(&v->runq_link);
}

void sched_init_domain(struct domain *d)
{
	timer_init(&d->cap_timer, cap_refill);
}

/* v has stopped and no CPU has picked it. */
void sched_remove_vcpu(struct vcpu *v)
{
	ASSERT(!v->running);
	list_del(&v->runq_link);
	if (v->cpu->current == v)
		unload(v->cpu);
}
