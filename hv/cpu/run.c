// SPDX-License-Identifier: Apache-2.0
/* The main loop of every CPU: host interrupts, timers, pick a vCPU, enter the guest, handle the exit. */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "exit.h"
#include "frame.h"
#include "irq.h"
#include "lock.h"
#include "sched.h"
#include "vcpu.h"

#define SCRUB_FRAMES 4 /* some microseconds in which nobody else has the core lock */

/* A sequentially consistent store: ordered before the reads that decide whether to enter (see cpu_wait_exit). */
static inline void set_in_guest(struct cpu *c)
{
	__atomic_store_n(&c->in_guest, true, __ATOMIC_SEQ_CST);
}

static inline void left_guest(struct cpu *c)
{
	__atomic_store_n(&c->exit_seq, c->exit_seq + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&c->in_guest, false, __ATOMIC_RELEASE);
}

void cpu_kick(struct cpu *c)
{
	__atomic_store_n(&c->attention, true, __ATOMIC_SEQ_CST);
	if (c != this_cpu())
		lapic_ipi(c, VEC_KICK);
}

void cpu_wait_exit(struct cpu *c)
{
	uint32_t seq = __atomic_load_n(&c->exit_seq, __ATOMIC_RELAXED);

	if (c == this_cpu())
		return;
	while (__atomic_load_n(&c->in_guest, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&c->exit_seq, __ATOMIC_RELAXED) == seq)
		cpu_relax();
}

bool vcpu_has_event(struct vcpu *v)
{
	if (v->nmi_pending)
		return true;
	if (v->domain->callback_vector && !v->upcall_vector && evtchn_pending_on(v))
		return true;
	return vlapic_pending(v) >= 0;
}

void vcpu_kick(struct vcpu *v)
{
	if (v->stopped & VCPU_BLOCKED) {
		if (vcpu_has_event(v))
			sched_start(v, VCPU_BLOCKED);
	} else if (v->running && v->cpu != this_cpu()) {
		cpu_kick(v->cpu);
	}
}

/* Decides what interrupt the next entry offers. The callback vector stands above the LAPIC, as in Xen (its
 * HVM_PARAM_CALLBACK_IRQ by vector is not an APIC interrupt and needs no EOI). */
static void offer_interrupt(struct vcpu *v)
{
	if (v->domain->callback_vector && !v->upcall_vector && evtchn_pending_on(v)) {
		v->irq_offered = v->domain->callback_vector;
		v->irq_offered_direct = true;
	} else {
		v->irq_offered = vlapic_pending(v);
		v->irq_offered_direct = false;
	}
}

/* Enters v until an exit needs the core lock. Called and returns with the lock held. */
static void run_guest(struct cpu *c, struct vcpu *v)
{
	const uint32_t resets = v->resets;
	struct exit e;
	bool done;

	set_in_guest(c);
	core_unlock();
	for (;;) {
		e = (struct exit){ 0 };
		cpu_ops->run(v, &e);
		done = !e.irq_taken && exit_fast(v, &e); /* before left_guest: it may read code that the p2m is about to lose */
		left_guest(c);
		if (!done)
			break;
		e.reason = EXIT_NONE;
		set_in_guest(c);
		if (READ_ONCE(c->attention) || irq_any_pending()) {
			left_guest(c);
			break;
		}
	}
	sched_service_requests();
	core_lock();
	sched_resume();
	if (unlikely(v->resets != resets)) /* INIT from another vCPU meanwhile: the state is not the exit's any more */
		return;
	if (e.irq_taken && !v->irq_offered_direct)
		vlapic_accept(v, (uint8_t)v->irq_offered);
	/* Stopped or paused meanwhile: it does nothing more, and what it left the guest for will be tried again. Events are not. */
	if (unlikely(v->stopped || v->domain->pause_count) && e.reason != EXIT_EXCEPTION && e.reason != EXIT_TRIPLE_FAULT)
		return;
	exit_handle(v, &e);
	/* The next entry delivers an event. A guest can make that exit before the CPU looks at its interrupts, each time. And
	 * Bochs does not look at them at all while the guest's are off. */
	if (unlikely(v->exc_pending || v->nmi_pending || !(v->regs.rflags & BIT(9)) || (v->irq_offered >= 0 && !e.irq_taken)))
		interrupt_window();
}

/* Waits for an interrupt, but zeroes free memory first, a little at a time. STI's shadow makes sure that an interrupt that is
 * already pending ends the HLT. */
static void idle(void)
{
	bool more = frame_scrub_some(SCRUB_FRAMES);

	timers_program();
	core_unlock();
	if (more)
		interrupt_window();
	else if (!irq_any_pending())
		__asm__ volatile("sti; hlt; cli" ::: "memory");
	core_lock();
}

void cpu_loop(void)
{
	struct cpu *c = this_cpu();

	core_lock();
	sched_resume(); /* after a sleep */
	for (;;) {
		struct vcpu *v;

		c->attention = false;
		if (unlikely(sleep_phase))
			sleep_cpu();
		irq_dispatch_pending();
		timers_run();
		v = sched_pick();
		if (!v) {
			idle();
			continue;
		}
		if (!v->time_updated)
			pvclock_update(v);
		offer_interrupt(v);
		timers_program();
		run_guest(c, v);
	}
}

struct vcpu *current_vcpu(void)
{
	return this_cpu()->current;
}
