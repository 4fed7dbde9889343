// SPDX-License-Identifier: Apache-2.0
/* This CPU's local APIC (SDM 3A 11): x2APIC where there is one, else xAPIC registers in memory. */
#include "asm.h"
#include "cpu.h"
#include "irq.h"
#include "lib.h"
#include "map.h"
#include "time.h"

#define BASE_EXTD   BIT(10)
#define BASE_ENABLE BIT(11)
#define BASE_ADDR   0x000ffffffffff000ul

enum { /* register offsets, SDM 3A table 11-1 */
	R_ID = 0x20, R_TPR = 0x80, R_EOI = 0xb0, R_SVR = 0xf0, R_ESR = 0x280, R_ICR = 0x300, R_ICR2 = 0x310,
	R_LVT_TIMER = 0x320, R_LVT_PMC = 0x340, R_LVT_LINT0 = 0x350, R_LVT_LINT1 = 0x360, R_LVT_ERROR = 0x370,
	R_TMICT = 0x380, R_TMCCT = 0x390, R_TDCR = 0x3e0,
};
#define SVR_ENABLE   BIT(8)
#define LVT_MASKED   BIT(16)
#define LVT_NMI      (4u << 8)
#define LVT_DEADLINE BIT(18)
#define TDCR_DIV_1   0xbu
#define ICR_PENDING  BIT(12)
#define ICR_ASSERT   BIT(14)

uint64_t lapic_timer_khz;
bool lapic_x2apic;
static bool deadline_mode;
static volatile uint32_t *mmio;

static uint32_t reg_read(unsigned reg)
{
	return lapic_x2apic ? (uint32_t)rdmsr(MSR_X2APIC + (reg >> 4)) : mmio[reg / 4];
}

static void reg_write(unsigned reg, uint32_t val)
{
	if (lapic_x2apic)
		wrmsr(MSR_X2APIC + (reg >> 4), val);
	else
		mmio[reg / 4] = val;
}

static void lapic_error(struct irq *i)
{
	reg_write(R_ESR, 0); /* latches (SDM 3A 11.5.3) */
	printk_guest("CPU %u: local APIC error %x", this_cpu()->id, reg_read(R_ESR));
}

static void enable(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (lapic_x2apic) {
		/* Off to x2APIC goes through xAPIC only (SDM 3A 11.12.5). */
		if (!(base & BASE_ENABLE))
			wrmsr(MSR_APIC_BASE, base |= BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base | BASE_EXTD);
		return;
	}
	if (!(base & BASE_ENABLE))
		wrmsr(MSR_APIC_BASE, base | BASE_ENABLE);
	if (!mmio)
		mmio = ioremap(base & BASE_ADDR, PAGE_SIZE);
	if (!mmio)
		panic("no memory to map the local APIC");
}

void lapic_init(void)
{
	static struct irq error = { .fn = lapic_error };
	struct cpuid id = cpuid(1, 0);
	struct cpu *c = this_cpu();

	lapic_x2apic = id.c & BIT(21);
	deadline_mode = id.c & BIT(24);
	enable();
	c->vector_irq[VEC_ERROR] = &error;
	reg_write(R_TPR, 0);
	reg_write(R_SVR, SVR_ENABLE | VEC_SPURIOUS);
	reg_write(R_LVT_LINT0, LVT_MASKED); /* ioapic_init() has silenced the 8259s */
	reg_write(R_LVT_LINT1, c->id ? LVT_MASKED : LVT_NMI);
	reg_write(R_LVT_PMC, LVT_MASKED);
	reg_write(R_ESR, 0);
	reg_write(R_LVT_ERROR, VEC_ERROR);
	c->timer_armed = 0;
	reg_write(R_TMICT, 0);
	reg_write(R_TDCR, TDCR_DIV_1);
	reg_write(R_LVT_TIMER, VEC_TIMER | (deadline_mode ? LVT_DEADLINE : 0));
	/* In xAPIC mode a write of the deadline MSR could overtake the one to the LVT (SDM 3A 11.5.4.1). */
	__asm__ volatile("mfence" ::: "memory");
	if (!c->id)
		printk("local APIC: %s, %s timer", lapic_x2apic ? "x2APIC" : "xAPIC",
		       deadline_mode ? "TSC-deadline" : "one-shot");
}

uint32_t lapic_id(void)
{
	return lapic_x2apic ? reg_read(R_ID) : reg_read(R_ID) >> 24;
}

void lapic_eoi(void)
{
	reg_write(R_EOI, 0);
}

void lapic_look_again(void)
{
	reg_write(R_TPR, 0);
}

void lapic_send_ipi(uint32_t apic_id, uint32_t icr_low)
{
	if (lapic_x2apic) {
		/* The MSR write is not serialising: what the other CPU is told to look at must be visible first
		 * (SDM 3A 11.12.3). */
		__asm__ volatile("mfence; lfence" ::: "memory");
		wrmsr(MSR_X2APIC + (R_ICR >> 4), (uint64_t)apic_id << 32 | icr_low);
		return;
	}
	if (!mmio) /* a panic before lapic_init: no other CPU runs */
		return;
	while (mmio[R_ICR / 4] & ICR_PENDING)
		cpu_relax();
	mmio[R_ICR2 / 4] = apic_id << 24;
	mmio[R_ICR / 4] = icr_low;
}

void lapic_ipi(struct cpu *c, uint8_t vector)
{
	lapic_send_ipi(c->apic_id, (uint32_t)ICR_ASSERT | vector);
}

void lapic_stop_others(void)
{
	if (nr_cpus > 1)
		lapic_send_ipi(0, ICR_OTHERS | VEC_STOP);
}

void lapic_timer_set(uint64_t tsc_deadline)
{
	uint64_t count = 0;

	if (deadline_mode) {
		wrmsr(MSR_TSC_DEADLINE, tsc_deadline);
		return;
	}
	if (tsc_deadline) {
		uint64_t t = rdtsc(), delta = tsc_deadline > t ? tsc_deadline - t : 0;

		/* Capped so that the product fits; a timer that fires early is set again by timers_program. */
		count = MIN(delta, BIT(36)) * lapic_timer_khz / tsc_khz + 1;
		count = MIN(count, UINT32_MAX);
	}
	reg_write(R_TMICT, (uint32_t)count);
}

bool lapic_timer_counts(void)
{
	return !deadline_mode;
}

void lapic_count_start(void)
{
	reg_write(R_TMICT, UINT32_MAX);
}

uint32_t lapic_count(void)
{
	return UINT32_MAX - reg_read(R_TMCCT);
}
