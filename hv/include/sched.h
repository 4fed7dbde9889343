/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_SCHED_H
#define CARREL_SCHED_H

#include "types.h"

/* sched/sched.c: per-CPU run queues by weighted virtual runtime; foreground domains and dom0-with-work run first. Core lock. */
struct vcpu;
struct domain;
struct cpu;

void sched_init_cpu(struct cpu *c);
void sched_init_vcpu(struct vcpu *v);   /* picks a CPU; starts stopped (VCPU_DOWN) */
void sched_remove_vcpu(struct vcpu *v);
/* Chooses what this CPU runs next, and switches vcpu_load/save, runstate. NULL: idle. */
struct vcpu *sched_pick(void);
/* After an exit, first thing under the core lock: the vCPU this CPU picked, loaded again if a save request took its state
 * away meanwhile. NULL when it was removed: then the exit must be forgotten. */
struct vcpu *sched_resume(void);
/* No lock needed: saves this CPU's loaded vCPU when another CPU asked for it. Polled after each exit, while idle and while
 * spinning for the core lock. True when it did; then nobody here may touch the vCPU before sched_resume() gave it back. */
bool sched_service_requests(void);
/* Sets or clears VCPU_* reasons; wakes or preempts accordingly. sched_stop of a vCPU running elsewhere kicks it. */
void sched_stop(struct vcpu *v, uint32_t why);
void sched_start(struct vcpu *v, uint32_t why);
/* d->pause_count changed. */
void sched_domain_changed(struct domain *d);
bool vcpu_runnable(const struct vcpu *v);
void sched_yield(struct vcpu *v);
/* Makes sure v is not in guest mode and its state is not loaded on another CPU, until the core lock is released. For domctl. */
void vcpu_sync(struct vcpu *v);
int sched_set_affinity(struct vcpu *v, uint64_t hard);
/* Runstate bookkeeping; new state RUNSTATE_*. Writes the guest's area when v is current. */
void runstate_change(struct vcpu *v, int state);

#endif
