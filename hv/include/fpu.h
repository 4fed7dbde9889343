/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_FPU_H
#define CARREL_FPU_H

#include "config.h"
#include "types.h"
#include "vcpu.h"

/*
 * Registers of a vCPU that neither the VMCB nor the VMCS holds: FPU and XSAVE state, DR0-3, TSC_AUX; and the barriers
 * between domains (cpu/fpu.c). The core itself uses none of them, so they stay loaded across the exits of one vCPU.
 */

/* XSAVE components that guests may have (a subset of the CPU's); 0 without XSAVE. For the CPUID policy too. */
extern uint64_t fpu_xcr0_mask;
/* Whether the CPU has TSC_AUX (RDTSCP or RDPID). */
extern bool cpu_has_tsc_aux;
/* Set when buffers must be overwritten before each guest entry (MDS and its kin). */
extern bool cpu_need_verw;
/* Set when the first-level data cache must be flushed between domains. */
extern bool cpu_need_l1d_flush;

void fpu_init_cpu(void);              /* each CPU, once: control registers, feature probing */
int fpu_init_vcpu(struct vcpu *v);    /* -ENOMEM; power-up state */
void fpu_free_vcpu(struct vcpu *v);
void fpu_load(struct vcpu *v);
void fpu_save(struct vcpu *v);
/* XSETBV of register 0 by v, which is loaded here; CPL and the domain's policy are the caller's. -EINVAL: #GP. */
int fpu_set_xcr0(struct vcpu *v, uint64_t val);
/* The 512-byte FXSAVE image; v is saved (vcpu_sync). Set cuts MXCSR down to what the CPU takes. */
void fpu_get_image(const struct vcpu *v, void *image);
void fpu_set_image(struct vcpu *v, const void *image);

/* The whole switch: FPU, DR0-3, TSC_AUX, and on a change of domain IBPB and the L1D flush. Back ends only. */
void vcpu_regs_load(struct vcpu *v);
void vcpu_regs_save(struct vcpu *v);
/* WRMSR of TSC_AUX by v, loaded here. -EINVAL: #GP. */
int tsc_aux_write(struct vcpu *v, uint64_t val);

static inline void cpu_clear_buffers(void)
{
	static const uint16_t sel = CORE_DS;

	if (unlikely(cpu_need_verw))
		__asm__ volatile("verw %0" ::"m"(sel) : "cc");
}

#endif
