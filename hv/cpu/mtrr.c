// SPDX-License-Identifier: Apache-2.0
/* The memory type range registers as the firmware left them at boot, for CPUs that lost them (SDM 3A 12.11). */
#include "asm.h"
#include "cpu.h"

#define MTRRCAP_FIXED    BIT(8)
#define DEF_TYPE_ENABLE  BIT(11)
#define MSR_MTRR_BASE(n) (0x200u + (n)) /* base and mask in turn */

static struct {
	uint32_t msr;
	uint64_t val;
} saved[11 + 2 * 255];
static unsigned nr_saved;
static uint64_t def_type;

static void save(uint32_t msr)
{
	saved[nr_saved].msr = msr;
	saved[nr_saved++].val = rdmsr(msr);
}

void mtrr_save(void)
{
	static const uint32_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };
	uint64_t cap = cpuid(1, 0).d & BIT(12) ? rdmsr(MSR_MTRRCAP) : 0;

	nr_saved = 0;
	for (unsigned i = 0; cap & MTRRCAP_FIXED && i < ARRAY_SIZE(fixed); i++)
		save(fixed[i]);
	for (unsigned i = 0; i < 2 * (cap & 0xff); i++)
		save(MSR_MTRR_BASE(i));
	if (nr_saved)
		def_type = rdmsr(MSR_MTRR_DEF_TYPE);
}

/* The order is the manual's: no cache, no line in it and no translation may outlive the change (SDM 3A 12.11.7.2). */
void mtrr_restore(void)
{
	uint64_t cr0 = read_cr0(), cr4 = read_cr4();

	if (!nr_saved)
		return;
	write_cr0(cr0 | CR0_CD);
	__asm__ volatile("wbinvd" ::: "memory");
	write_cr4(cr4 & ~CR4_PGE);
	wrmsr(MSR_MTRR_DEF_TYPE, def_type & ~DEF_TYPE_ENABLE);
	for (unsigned i = 0; i < nr_saved; i++)
		wrmsr(saved[i].msr, saved[i].val);
	wrmsr(MSR_MTRR_DEF_TYPE, def_type);
	__asm__ volatile("wbinvd" ::: "memory");
	write_cr3(read_cr3());
	write_cr4(cr4);
	write_cr0(cr0);
}
