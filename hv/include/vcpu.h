/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VCPU_H
#define CARREL_VCPU_H

#include "lib.h"
#include "time.h"
#include "types.h"
#include "vlapic.h"

#include <xen/vcpu.h>

struct domain;
struct cpu;
struct vcpu_info;

/* General registers, kept here while the vCPU is out of guest mode. The order is the hardware's register number.
 * Entry code uses these offsets (see the asserts in cpu/svm.c and cpu/vmx.c). */
struct regs {
	uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15; rsp is valid too */
	uint64_t rip, rflags;
};
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_TR, SEG_LDTR, SEG_COUNT };
struct segment {
	uint16_t sel;
	uint16_t attr; /* VMCB form: bits 0-7 descriptor type/S/DPL/P, 8-11 AVL/L/DB/G; unusable = P clear */
	uint32_t limit;
	uint64_t base;
};

/* Everything architectural except gpr/rip/rflags, FPU and LAPIC: what sethvmcontext, SIPI and the dom0 builder set. */
struct vcpu_state {
	uint64_t cr0, cr2, cr3, cr4, efer, dr6, dr7, pat;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t gdt_base, idt_base;
	uint32_t gdt_limit, idt_limit;
	struct segment seg[SEG_COUNT];
};

/* Why a vCPU does not run: bits of vcpu.stopped. It is runnable when this is 0 and the domain is not paused. */
#define VCPU_DOWN     1u /* never brought up, or VCPUOP_down, or waits for SIPI */
#define VCPU_BLOCKED  2u /* HLT, block or poll: an event or interrupt ends it */
#define VCPU_SHUTDOWN 4u /* domain shut down or crashed */
#define VCPU_DYING    8u

struct vcpu {
	struct domain *domain;
	unsigned id;
	struct regs regs;

	/* cpu/ */
	void *hw;                 /* struct vmcb / VMCS wrapper of the back end */
	void *fpu;                /* XSAVE area, 64-byte aligned; loaded by cpu/fpu.c on switch */
	uint64_t xcr0;
	uint32_t p2m_gen;         /* last p2m.gen this vCPU's TLB was flushed for */
	uint64_t tsc_aux;
	uint64_t dr[4];
	uint32_t resets;          /* how often its state was replaced from outside: an exit from before is none of its own */
	bool nmi_pending;
	uint8_t exc_pending;      /* cpu/exit.c: there is an exception to inject on next entry */
	bool exc_has_code;
	uint8_t exc_vector;
	uint32_t exc_code;
	uint64_t exc_cr2;
	int irq_offered;          /* vector offered at last entry, -1 none */
	bool irq_offered_direct;  /* it is the event-channel callback vector, not from the LAPIC */

	/* sched/: core lock */
	uint32_t stopped;         /* VCPU_* */
	bool running;             /* it is cpu->picked */
	struct cpu *cpu;          /* where it runs or is queued */
	struct list runq_link;    /* in cpu->runq when runnable and not running */
	uint64_t vruntime;
	uint64_t affinity, soft_affinity; /* bit per CPU */
	ns_t ran_since;
	ns_t cpu_time;
	bool boosted;

	/* irq/ */
	struct vlapic vlapic;

	/* Xen ABI: xen/ */
	struct vcpu_info *vcpu_info; /* core's pointer: in shared_info, or where register_vcpu_info put it */
	mfn_t vcpu_info_mfn;         /* frame referenced then, else INVALID_MFN */
	uint8_t upcall_vector;       /* HVMOP_set_evtchn_upcall_vector; 0 none */
	gva_t runstate_gva;          /* register_runstate_memory_area, 0 none; 64-bit layout */
	struct vcpu_runstate_info runstate;
	gva_t time_gva;              /* register_vcpu_time_memory_area */
	ns_t time_updated;           /* when pvclock_update() was here, 0: to be done before the next entry */
	struct timer singleshot, periodic, poll_timer;
	ns_t periodic_ns;
	uint32_t virq_port[24];      /* NR_VIRQS; 0 none */
	uint32_t poll_port;          /* in sched_op poll (evtchn.pollers): one port, 0 = several (any event ends it) */
	void *fifo_control;          /* FIFO event control block or NULL; xen/event_fifo.c */
	mfn_t fifo_control_mfn;
	uint32_t fifo_tail[16];
};

/* Wakes v if blocked, or makes it leave guest mode, so that pending events and interrupts are looked at. */
void vcpu_kick(struct vcpu *v);
/* vcpu_info.evtchn_upcall_pending may have been set: kick accordingly, inject upcall_vector if used. (xen/event.c calls) */
void vcpu_mark_events_pending(struct vcpu *v);

struct vcpu *current_vcpu(void);

#endif
