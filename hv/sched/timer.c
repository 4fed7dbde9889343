// SPDX-License-Identifier: Apache-2.0
/* One-shot timers, a sorted list a CPU. */
#include "cpu.h"
#include "irq.h"
#include "time.h"

static struct timer *first_of(struct list *l)
{
	return list_empty(l) ? NULL : list_entry(l->next, struct timer, link);
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
	list_init(&t->link);
	t->fn = fn;
}

void timer_set(struct timer *t, ns_t deadline)
{
	struct cpu *c = this_cpu();
	struct list *pos;

	list_del(&t->link);
	t->deadline = MAX(deadline, 1);
	t->cpu = c;
	for (pos = c->timers.next; pos != &c->timers; pos = pos->next)
		if (list_entry(pos, struct timer, link)->deadline > t->deadline)
			break;
	list_add_tail(pos, &t->link);
}

void timer_cancel(struct timer *t)
{
	list_del(&t->link);
}

/* Each due timer runs once: one that sets itself into the past again waits for the next turn, so the guest gets on. */
void timers_run(void)
{
	struct cpu *c = this_cpu();
	struct list *timers = &c->timers, due = LIST_INIT(due);
	struct timer *t = first_of(timers);
	ns_t time;

	/* What the hardware timer is set to, and did not fire for, is not due. This is asked at every exit. */
	if (!t || (c->timer_armed && t->deadline >= c->timer_armed))
		return;
	for (time = now(); t && t->deadline <= time; t = first_of(timers)) {
		list_del(&t->link);
		list_add_tail(&due, &t->link);
	}
	while ((t = first_of(&due))) {
		list_del(&t->link);
		t->fn(t);
	}
}

/* timer_armed goes to 0 when the hardware timer fires (irq_record), also when it did so early. */
void timers_program(void)
{
	struct cpu *c = this_cpu();
	struct timer *t = first_of(&c->timers);
	ns_t first = t ? t->deadline : 0;

	if (first == c->timer_armed)
		return;
	c->timer_armed = first;
	lapic_timer_set(first ? ns_to_tsc(first) : 0);
}
