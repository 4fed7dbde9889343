/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_ASM_H
#define CARREL_ASM_H

#include "types.h"

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
/* 0, or -EFAULT when the CPU refused (cpu/trap.c has the fixup table). */
int rdmsr_safe(uint32_t msr, uint64_t *v);
int wrmsr_safe(uint32_t msr, uint64_t v);

struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;
	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
#define DEFINE_CR(n)                                                                                                   \
	static inline uint64_t read_cr##n(void)                                                                        \
	{                                                                                                              \
		uint64_t v;                                                                                            \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));                                                      \
		return v;                                                                                              \
	}                                                                                                              \
	static inline void write_cr##n(uint64_t v)                                                                     \
	{                                                                                                              \
		__asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                                               \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#define DEFINE_PORT(s, type)                                                                                           \
	static inline void out##s(uint16_t p, type v)                                                                  \
	{                                                                                                              \
		__asm__ volatile("out" #s " %0, %1" ::"a"(v), "Nd"(p));                                                \
	}                                                                                                              \
	static inline type in##s(uint16_t p)                                                                           \
	{                                                                                                              \
		type v;                                                                                                \
		__asm__ volatile("in" #s " %1, %0" : "=a"(v) : "Nd"(p));                                               \
		return v;                                                                                              \
	}
DEFINE_PORT(b, uint8_t)
DEFINE_PORT(w, uint16_t)
DEFINE_PORT(l, uint32_t)
static inline void sti(void)
{
	__asm__ volatile("sti" ::: "memory");
}
static inline void cli(void)
{
	__asm__ volatile("cli" ::: "memory");
}
/* Takes the interrupts that wait: they are off in the core otherwise. The IDT's stubs only record them. */
static inline void interrupt_window(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}
/* With four levels of page tables. */
static inline bool canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* Names as in the SDM and APM. */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NX BIT(11)
#define EFER_SVME BIT(12)
#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_PRED_CMD 0x49
#define MSR_MTRRCAP 0xfe
#define MSR_ARCH_CAPS 0x10a
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_MCG_CAP 0x179
#define MSR_MISC_ENABLE 0x1a0
#define MSR_DEBUGCTL 0x1d9
#define MSR_PAT 0x277
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800
#define MSR_XSS 0xda0
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103
#define EXC_DB 1
#define EXC_BP 3
#define EXC_OF 4
#define EXC_UD 6
#define EXC_DF 8
#define EXC_GP 13
#define EXC_PF 14
#define EXC_AC 17
#define EXC_MC 18

#endif
