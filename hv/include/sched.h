/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_SCHED_H
#define CARREL_SCHED_H

#include "types.h"

/* sched/sched.c: per-CPU run queues by weighted virtual runtime; foreground domains and dom0-with-work run first. Core lock. */
struct vcpu;
struct domain;
struct cpu;

void sched_init_cpu(struct cpu *c);
void sched_init_domain(struct domain *d);
void sched_init_vcpu(struct vcpu *v);   /* picks a CPU; starts stopped (VCPU_DOWN) */
void sched_remove_vcpu(struct vcpu *v);
/* Chooses what this CPU runs next, and switches vcpu_load/save, runstate. NULL: idle. */
struct vcpu *sched_pick(void);
/* Whoever holds the core lock may ask another CPU to save the vCPU it has loaded (vcpu_sync). That CPU is kicked and sooner or
 * later spins for the lock: core_lock() calls this meanwhile, without the lock. */
void sched_service_requests(void);
/* After an exit, first thing under the core lock: loads the picked vCPU again if its state was asked for meanwhile. */
void sched_resume(void);
/* This CPU is about to stop: saves the vCPU that is loaded on it, which sched_resume() loads again. */
void sched_unload(void);
/* Sets or clears VCPU_* reasons; wakes or preempts accordingly. sched_stop of a vCPU running elsewhere kicks it. */
void sched_stop(struct vcpu *v, uint32_t why);
void sched_start(struct vcpu *v, uint32_t why);
/* d->pause_count changed. */
void sched_domain_changed(struct domain *d);
/* The most time that d's vCPUs get together, in percent of one CPU; 0: no limit. */
void sched_set_cap(struct domain *d, uint16_t percent);
bool vcpu_runnable(const struct vcpu *v);
void sched_yield(struct vcpu *v);
/* Makes sure v is not in guest mode and its state is not loaded on another CPU, until the core lock is released. For domctl. */
void vcpu_sync(struct vcpu *v);
int sched_set_affinity(struct vcpu *v, uint64_t hard);
/* Runstate bookkeeping; new state RUNSTATE_*. Writes the guest's area when v is current. */
void runstate_change(struct vcpu *v, int state);

#endif
