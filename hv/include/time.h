/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_TIME_H
#define CARREL_TIME_H

#include "lib.h"
#include "types.h"

/* sched/time.c */
extern uint64_t tsc_khz;
extern uint32_t tsc_mul;  /* pvclock form: ns = ((tsc << shift) * mul) >> 32 */
extern int8_t tsc_shift;
extern bool tsc_stable;   /* invariant and in step on all CPUs */
extern uint64_t tsc_start; /* at system time 0 */

void time_init(void);     /* calibrates the TSC and the LAPIC timer against the ACPI PM timer, HPET, PIT or CPUID 0x15 */
/* Around a sleep of the machine. Timers stay. time_resume() says by how much the TSC is behind what it would be without. */
void time_suspend(void);
uint64_t time_resume(void);
/* sched/calibrate.c, for time_init: kHz of the TSC; sets lapic_timer_khz when the LAPIC timer counts. */
uint64_t calibrate(void);
/* A TSC value that another CPU read between two readings of this CPU's; out of step clears tsc_stable. */
void tsc_check(uint64_t before, uint64_t other, uint64_t after);
ns_t now(void);           /* host system time */
uint64_t rdtsc(void);
ns_t tsc_to_ns(uint64_t tsc);
uint64_t ns_to_tsc(ns_t t);
/* Seconds and ns since 1970 UTC at host system time 0: from the CMOS clock, changed by platform_op settime. */
void wallclock_get(uint64_t *sec, uint32_t *nsec);
void wallclock_set(uint64_t sec, uint32_t nsec, ns_t system_time);

/* A one-shot timer, called on its CPU from the main loop with the core lock held, at or after its deadline. */
struct cpu;
struct timer {
	struct list link;  /* in cpu->timers when armed; self-linked otherwise */
	ns_t deadline;
	struct cpu *cpu;
	void (*fn)(struct timer *t);
};
void timer_init(struct timer *t, void (*fn)(struct timer *));
void timer_set(struct timer *t, ns_t deadline); /* on this CPU; moves it if armed elsewhere */
void timer_cancel(struct timer *t);
static inline bool timer_armed(const struct timer *t)
{
	return t->link.next != &t->link;
}
/* Main loop: runs what is due and programs the hardware for the next one. */
void timers_run(void);
void timers_program(void);

/* pvclock in vcpu_info, and the wallclock in shared_info (xen/shared.c) */
struct vcpu;
struct domain;
void pvclock_update(struct vcpu *v);
void pvclock_update_wallclock(struct domain *d);
/* The machine slept: d's TSC goes on in spite of that, and its vCPUs are told that they stood still, for their watchdogs. */
void pvclock_domain_slept(struct domain *d, uint64_t tsc_lost);

#endif
