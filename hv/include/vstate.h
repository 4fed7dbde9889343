/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VSTATE_H
#define CARREL_VSTATE_H

#include "types.h"
#include "vcpu.h"

/* Rules about guest state that both back ends share (cpu/vstate.c). */

#define DR6_FIXED 0xffff0ff0ull
#define DR7_FIXED 0x400ull

/* MSRs that are switched with the guest (by the VMCB, the VMCS or vmx_load_registers): it reads and writes them without exits. */
extern const uint32_t native_msrs[10];
/* CR4 bits a guest may have on this machine. */
uint64_t guest_cr4_mask(void);
/* What a guest may do to its control registers together; -EINVAL. efer includes LMA as it is to be. */
int check_control_regs(uint64_t cr0, uint64_t cr4, uint64_t efer);
/* All of s. -EINVAL when VMRUN or a VM entry would refuse it, or a WRMSR of a part of it would fault. */
int vcpu_state_check(const struct vcpu_state *s);
/* WRMSR of EFER: from old to *val, which gets LMA right. -EINVAL: #GP. */
int efer_write(uint64_t old, uint64_t cr0, uint64_t *val);
bool pat_valid(uint64_t pat);

static inline uint64_t dr6_clean(uint64_t v)
{
	return (v & 0xe00f) | DR6_FIXED;
}
static inline uint64_t dr7_clean(uint64_t v)
{
	return (v & 0xffff23ff) | DR7_FIXED;
}

#endif
