// SPDX-License-Identifier: Apache-2.0
/* How fast the TSC and the LAPIC timer run, measured against a clock whose rate is known. */
#include "asm.h"
#include "boot.h"
#include "irq.h"
#include "lib.h"
#include "map.h"
#include "time.h"

#define WINDOW_HZ 50 /* 20 ms: a reading is good to about 1 us, also in an emulator */

struct reference {
	const char *name;
	uint64_t hz;
	uint32_t mask; /* the counter's width */
	uint32_t (*read)(void);
};
struct sample {
	uint64_t tsc;
	uint32_t ref;
};

static volatile uint32_t *mmio; /* of the reference in use */

static uint32_t pm_timer_port(void)
{
	return inl(acpi.pm_timer_port);
}

static uint32_t read_mmio(void)
{
	return *mmio;
}

/* Channel 2 counts down; reported as counting up. */
static uint32_t pit_read(void)
{
	uint32_t lo;

	outb(0x43, 0x80); /* latch */
	lo = inb(0x42);
	return ~(inb(0x42) * 256u + lo);
}

static bool hpet_setup(struct reference *r)
{
	volatile uint32_t *regs = acpi.hpet ? ioremap(acpi.hpet, PAGE_SIZE) : NULL;

	if (!regs || !regs[1] || regs[1] > 100000000) /* femtoseconds a tick; IA-PC HPET 1.0a, 2.3.4 */
		return false;
	regs[4] |= 1; /* ENABLE_CNF */
	mmio = regs + 0xf0 / 4;
	*r = (struct reference){ "HPET", 1000000000000000ul / regs[1], UINT32_MAX, read_mmio };
	return true;
}

static void pit_setup(struct reference *r)
{
	outb(0x61, (inb(0x61) & 0xfc) | 1); /* gate on, speaker off */
	outb(0x43, 0xb4);                   /* channel 2, both bytes, rate generator */
	outb(0x42, 0);
	outb(0x42, 0);
	*r = (struct reference){ "PIT", 1193182, 0xffff, pit_read };
}

static bool ticks(const struct reference *r)
{
	uint32_t first = r->read();

	for (unsigned i = 0; i < 1000; i++)
		if ((r->read() ^ first) & r->mask)
			return true;
	return false;
}

static void pick_reference(struct reference *r)
{
	*r = (struct reference){ "PM timer", 3579545, 0xffffff, pm_timer_port };
	if (acpi.pm_timer_port && ticks(r))
		return;
	r->read = read_mmio;
	if (acpi.pm_timer_mmio && (mmio = ioremap(acpi.pm_timer_mmio, 4)) && ticks(r))
		return;
	if (hpet_setup(r) && ticks(r))
		return;
	pit_setup(r);
	if (!ticks(r))
		refuse("no working timer found (ACPI PM timer, HPET or PIT)");
}

/* Of a few tries the one that took least time, so that an interruption by SMM or a host's scheduler does not count. */
static struct sample take_sample(const struct reference *r)
{
	struct sample best = { 0 };
	uint64_t best_time = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = rdtsc(), after;
		uint32_t ref = r->read();

		after = rdtsc();
		if (after - before >= best_time)
			continue;
		best_time = after - before;
		best = (struct sample){ before + best_time / 2, ref };
	}
	return best;
}

/* What the CPU or the hypervisor below claims, 0 when nothing: SDM 2A CPUID 15H; leaf 40000010H. */
static uint64_t claimed_khz(void)
{
	struct cpuid id;

	if (cpuid(0, 0).a >= 0x15) {
		id = cpuid(0x15, 0);
		if (id.a && id.b && id.c)
			return (uint64_t)id.c * id.b / id.a / 1000;
	}
	if (cpuid(1, 0).c & BIT(31) && cpuid(0x40000000, 0).a >= 0x40000010)
		return cpuid(0x40000010, 0).a;
	return 0;
}

uint64_t calibrate(void)
{
	struct reference r;
	struct sample start, end;
	uint64_t khz, claimed, lapic_start = 0;
	uint32_t dref;

	pick_reference(&r);
	start = take_sample(&r);
	if (lapic_timer_counts()) {
		lapic_start = rdtsc();
		lapic_count_start();
	}
	do {
		dref = r.read() - start.ref;
	} while ((dref & r.mask) < r.hz / WINDOW_HZ);
	end = take_sample(&r);
	dref = (end.ref - start.ref) & r.mask;
	khz = (end.tsc - start.tsc) * r.hz / dref / 1000;

	/* A claim is exact when it is true; emulators make some up. */
	claimed = claimed_khz();
	if (claimed > khz - khz / 100 && claimed < khz + khz / 100)
		khz = claimed;
	if (lapic_timer_counts()) {
		uint64_t count = lapic_count();

		lapic_timer_khz = count * khz / (rdtsc() - lapic_start);
		lapic_timer_set(0);
		if (!lapic_timer_khz)
			refuse("the local APIC's timer does not count");
	}
	printk("TSC %lu kHz, LAPIC timer %lu kHz, by the %s", khz, lapic_timer_khz, r.name);
	return khz;
}
