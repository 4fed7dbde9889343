/* SPDX-License-Identifier: Apache-2.0 */
#include "vstate.h"

#include "asm.h"
#include "errno.h"

const uint32_t native_msrs[10] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,		MSR_LSTAR,
	MSR_CSTAR,   MSR_SFMASK,  MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

uint64_t guest_cr4_mask(void)
{
	static uint64_t mask;

	if (mask)
		return mask;
	struct cpuid f1 = cpuid(1, 0), f7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){ 0 };
	/* VME PVI TSD DE PSE PAE MCE PGE PCE are bits 0-8: every 64-bit CPU has them. */
	uint64_t m = 0x1ff | CR4_OSFXSR | CR4_OSXMMEXCPT;

	m |= f1.c & BIT(17) ? CR4_PCIDE : 0;
	m |= f1.c & BIT(26) ? CR4_OSXSAVE : 0;
	m |= f7.b & BIT(0) ? CR4_FSGSBASE : 0;
	m |= f7.b & BIT(7) ? CR4_SMEP : 0;
	m |= f7.b & BIT(20) ? CR4_SMAP : 0;
	m |= f7.c & BIT(2) ? CR4_UMIP : 0;
	m |= f7.c & BIT(3) ? CR4_PKE : 0;
	return mask = m;
}

int check_control_regs(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	bool pg = cr0 & CR0_PG, lma = efer & EFER_LMA;

	if (cr0 >> 32 || (pg && !(cr0 & CR0_PE)) || ((cr0 & CR0_NW) && !(cr0 & CR0_CD)))
		return -EINVAL;
	if (cr4 & ~guest_cr4_mask())
		return -EINVAL;
	if (efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
		return -EINVAL;
	if (lma != (pg && (efer & EFER_LME)))
		return -EINVAL;
	if ((lma && !(cr4 & CR4_PAE)) || (!lma && (cr4 & CR4_PCIDE)))
		return -EINVAL;
	return 0;
}

bool pat_valid(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned t = pat >> i & 0xff;
		if (t > 7 || t == 2 || t == 3)
			return false;
	}
	return true;
}

/* Code and system segments as a VM entry wants them (SDM 3C 27.3.1.2); the back ends repair what is harmless. */
static int check_segments(const struct vcpu_state *s)
{
	const struct segment *cs = &s->seg[SEG_CS];

	if ((s->efer & EFER_LMA) && (cs->attr & 0x600) == 0x600)
		return -EINVAL; /* L and D together */
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct segment *g = &s->seg[i];
		bool wide = i == SEG_FS || i == SEG_GS || i == SEG_TR || i == SEG_LDTR;
		bool system = i == SEG_TR || i == SEG_LDTR;

		if (g->attr & 0xf000 || (wide ? !canonical(g->base) : g->base >> 32))
			return -EINVAL;
		if ((g->attr & 0x80) && !(g->attr & 0x10) != system)
			return -EINVAL;
	}
	if (!(cs->attr & 0x80) || (s->cr0 & CR0_PE && !(cs->attr & 8) && (cs->attr & 0xf) != 3))
		return -EINVAL;
	return (s->seg[SEG_TR].attr & 0x80) && !(s->seg[SEG_TR].sel & 4) ? 0 : -EINVAL;
}

int vcpu_state_check(const struct vcpu_state *s)
{
	unsigned bits = cpuid(0x80000008, 0).a & 0xff;

	if (check_control_regs(s->cr0, s->cr4, s->efer) || check_segments(s))
		return -EINVAL;
	if (s->cr3 >> bits || !pat_valid(s->pat) || s->sfmask >> 32 || s->gdt_limit > 0xffff || s->idt_limit > 0xffff)
		return -EINVAL;
	if (!canonical(s->lstar) || !canonical(s->cstar) || !canonical(s->kernel_gs_base))
		return -EINVAL;
	if (!canonical(s->sysenter_esp) || !canonical(s->sysenter_eip) || s->sysenter_cs >> 32)
		return -EINVAL;
	return canonical(s->gdt_base) && canonical(s->idt_base) ? 0 : -EINVAL;
}

int efer_write(uint64_t old, uint64_t cr0, uint64_t *val)
{
	if (*val & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
		return -EINVAL;
	if ((cr0 & CR0_PG) && ((*val ^ old) & EFER_LME))
		return -EINVAL;
	*val = (*val & ~EFER_LMA) | (old & EFER_LMA);
	return 0;
}
