/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_CPU_H
#define CARREL_CPU_H

#include "config.h"
#include "lib.h"
#include "types.h"

/* What belongs to one physical CPU. Reached through GS. */
struct vcpu;
struct timer;
struct irq;

struct cpu {
	struct cpu *self;      /* must be first: this_cpu() reads gs:0 */
	uint64_t stack_top;    /* second: SVM/VMX entry code uses it */
	unsigned id;           /* 0.. online order; 0 is the boot CPU */
	uint32_t apic_id;
	struct vcpu *current;  /* whose state is loaded on this CPU; NULL if none. Own CPU writes. */
	bool online;
	uint64_t tsc;          /* while it waits for smp_release(): TSC_ASKED makes it put its TSC there */

	/* Guest mode handshake (cpu/run.c). in_guest goes to 1 before entry with requests checked after it, and back to 0,
	 * exit_seq counted up, right after the exit (and what exit_fast() does about it) and before any lock. */
	bool in_guest;
	uint32_t exit_seq;
	bool attention;        /* cpu_kick sets it; the CPU clears it under the core lock before it looks for work */

	/* Host interrupts taken but not yet dispatched. Own CPU only, interrupts off. */
	uint64_t irq_pending[4];
	struct irq *vector_irq[256];

	/* sched/ */
	struct list runq;      /* runnable vCPUs, without the running one */
	uint64_t vclock;       /* smallest virtual runtime given out */
	struct vcpu *picked;   /* what sched_pick() chose last, NULL idle; current may be NULL or idle-loaded meanwhile */
	bool resched;          /* look at the run queue at the next sched_pick(); also a reason to preempt a hypercall */
	bool save_request;     /* another CPU wants our loaded vCPU saved: sched_service_requests() */
	ns_t slice_end;        /* ~0 while nobody else waits for this CPU */
	struct list timers;    /* by deadline */
	ns_t timer_armed;      /* what the hardware timer is set to, 0 none */

	/* cpu/: the back end's page (host save area or VMXON region) and notes */
	void *hw_page;
	void *hw_vcpu;         /* vCPU whose VMCS is loaded / whose ASID is live */
	uint32_t asid_next, asid_gen;

	uint64_t gdt[8];
	uint8_t tss[104];
	uint8_t nmi_stack[2048] __aligned(16);
	uint8_t df_stack[2048] __aligned(16);
} __aligned(64);

/* What cpu/trap.S pushes for an exception. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};
/* panic() with the registers and stack of f. */
void panic_trap(const struct trap_frame *f) __noreturn;
extern bool panicking; /* a CPU is in panic(): the others stop at the NMI it sends */

extern struct cpu *cpus[MAX_CPUS];
extern unsigned nr_cpus; /* online */

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;
	__asm__("mov %%gs:0, %0" : "=r"(c)); /* constant for the running CPU: may be cached by the compiler */
	return c;
}

/* Boot CPU: IDT, GDT, TSS, GS, CR4. APs call the same with their own struct cpu. */
void cpu_init_early(struct cpu *c);
/* Starts all other CPUs of the MADT (boot/smp.c) up to MAX_CPUS or maxcpus=; returns how many are online. */
unsigned smp_boot(void);

/* cpu/mtrr.c: keeps this CPU's MTRRs; gives them to this CPU, which lost its own. Before the first mtrr_save() it does nothing. */
void mtrr_save(void);
void mtrr_restore(void);

/* The main loop of every CPU (cpu/run.c). */
void cpu_loop(void) __noreturn;

/* Makes cpu leave guest mode or idle soon, so that it looks at its pending work. Any context. */
void cpu_kick(struct cpu *c);
/* Waits until c is out of guest mode at least once since the call. Core lock held; c may be spinning on it. */
void cpu_wait_exit(struct cpu *c);

#endif
