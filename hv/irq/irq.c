// SPDX-License-Identifier: Apache-2.0
/* Host vectors: who owns them on each CPU, recording at arrival, handlers from the main loop. */
#include "irq.h"
#include "asm.h"
#include "cpu.h"
#include "errno.h"
#include "lib.h"

/* Vectors of level-triggered sources, and how many of those this CPU recorded without EOI. The source keeps its line up until
 * a handler masks it: an earlier EOI would bring the same interrupt again. */
static uint64_t level_vectors[MAX_CPUS][4];
static uint8_t eois_owed[MAX_CPUS];
static uint8_t vectors_used[MAX_CPUS];

static struct cpu *least_used(void)
{
	struct cpu *best = cpus[0];

	for (unsigned i = 1; i < nr_cpus; i++)
		if (vectors_used[i] < vectors_used[best->id])
			best = cpus[i];
	return best;
}

int irq_alloc(struct irq *i, struct cpu *c)
{
	if (!c)
		c = least_used();
	for (unsigned vector = VEC_FIRST; vector <= VEC_LAST; vector++) {
		if (c->vector_irq[vector])
			continue;
		i->cpu = c;
		i->vector = (uint8_t)vector;
		bit_clear(level_vectors[c->id], vector);
		vectors_used[c->id]++;
		WRITE_ONCE(c->vector_irq[vector], i);
		return 0;
	}
	return -ENOSPC;
}

/* A recorded interrupt of a freed vector is dropped by the dispatcher, which finds no owner. */
void irq_free(struct irq *i)
{
	if (!i->cpu)
		return;
	WRITE_ONCE(i->cpu->vector_irq[i->vector], NULL);
	vectors_used[i->cpu->id]--;
	i->cpu = NULL;
}

void irq_set_level(struct irq *i, bool level)
{
	if (level)
		bit_set(level_vectors[i->cpu->id], i->vector);
	else
		bit_clear(level_vectors[i->cpu->id], i->vector);
}

void irq_record(unsigned vector)
{
	struct cpu *c = this_cpu();

	if (vector >= VEC_SPURIOUS) /* no EOI: SDM 3A 11.9 */
		return;
	if (vector == VEC_STOP)
		for (;;)
			__asm__ volatile("cli; hlt");
	if (vector == VEC_TIMER)
		c->timer_armed = 0;
	bit_set(c->irq_pending, vector);
	if (bit_test(level_vectors[c->id], vector))
		eois_owed[c->id]++;
	else
		lapic_eoi();
}

bool irq_any_pending(void)
{
	const uint64_t *p = this_cpu()->irq_pending;

	return READ_ONCE(p[0]) | READ_ONCE(p[1]) | READ_ONCE(p[2]) | READ_ONCE(p[3]);
}

void irq_dispatch_pending(void)
{
	struct cpu *c = this_cpu();

	if (likely(!irq_any_pending()))
		return;
	for (unsigned word = 0; word < ARRAY_SIZE(c->irq_pending); word++) {
		while (c->irq_pending[word]) {
			unsigned vector = word * 64 + (unsigned)__builtin_ctzl(c->irq_pending[word]);
			struct irq *i = c->vector_irq[vector];

			c->irq_pending[word] &= c->irq_pending[word] - 1;
			if (i)
				i->fn(i);
		}
	}
	/* All sources are masked now; each EOI ends the highest one in service, so only the number matters. */
	for (; eois_owed[c->id]; eois_owed[c->id]--)
		lapic_eoi();
}
