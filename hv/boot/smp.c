/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the other CPUs, one after another, with INIT and start-up IPIs (SDM 3A 9.4.4). */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "fpu.h"
#include "frame.h"
#include "irq.h"
#include "lock.h"
#include "map.h"
#include "sched.h"
#include "time.h"

#define LOW_FIRST 0x8000u /* the trampoline's page is looked for from here */
#define LOW_LAST  0x9e000u
#define US        1000ull
#define MS        (1000 * US)
#define START_TIMEOUT (2000 * MS)
#define CPU_ORDER     1
#define TSC_ASKED     1ull
#define STACK_ORDER   2
_Static_assert(sizeof(struct cpu) <= PAGE_SIZE << CPU_ORDER, "struct cpu has its own pages");
_Static_assert(STACK_SIZE == PAGE_SIZE << STACK_ORDER, "");

extern char trampoline_start[], trampoline_end[];
extern char trampoline_gdt_base[], trampoline_jump[], trampoline_cr3[], trampoline_stack[], trampoline_cpu[],
	trampoline_started[];
void ap_main(struct cpu *c) __noreturn;

struct cpu *cpus[MAX_CPUS];
unsigned nr_cpus;

paddr_t low_page;
static bool released;

static void wait(ns_t t)
{
	ns_t end = now() + t;
	while (now() < end)
		cpu_relax();
}

static bool wait_for(const bool *flag, ns_t t)
{
	ns_t end = now() + t;
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE) && now() < end)
		cpu_relax();
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

/* A word of the trampoline's copy. */
static void *copied(paddr_t page, const char *symbol)
{
	return phys_to_virt(page + (paddr_t)(symbol - trampoline_start));
}

/* Low memory is the service domain's later on, but for this page (boot/dom0.c). */
static bool place_trampoline(void)
{
	paddr_t page = LOW_FIRST;
	while (!boot_is_ram(page, PAGE_SIZE)) {
		page += PAGE_SIZE;
		if (page > LOW_LAST)
			return false;
	}
	memcpy(phys_to_virt(page), trampoline_start, (size_t)(trampoline_end - trampoline_start));
	*(uint32_t *)copied(page, trampoline_gdt_base) += (uint32_t)page;
	*(uint32_t *)copied(page, trampoline_jump) += (uint32_t)page;
	ASSERT(core_cr3() < 4 * GiB); /* loaded in 16-bit code */
	*(uint64_t *)copied(page, trampoline_cr3) = core_cr3();
	low_page = page;
	return true;
}

void smp_aim_trampoline(struct cpu *c)
{
	*(uint64_t *)copied(low_page, trampoline_stack) = c->stack_top;
	*(struct cpu **)copied(low_page, trampoline_cpu) = c;
	*(uint32_t *)copied(low_page, trampoline_started) = 0;
}

static struct cpu *new_cpu(uint32_t apic_id)
{
	struct cpu *c = core_alloc(CPU_ORDER);
	char *stack = core_alloc(STACK_ORDER);
	if (!c || !stack)
		refuse("not enough memory to start CPU %u", nr_cpus);
	c->id = nr_cpus;
	c->apic_id = apic_id;
	c->stack_top = (uint64_t)(stack + STACK_SIZE);
	return c;
}

static void compare_tsc(struct cpu *c)
{
	uint64_t before = rdtsc(), other;

	__atomic_store_n(&c->tsc, TSC_ASKED, __ATOMIC_SEQ_CST);
	while ((other = __atomic_load_n(&c->tsc, __ATOMIC_ACQUIRE)) == TSC_ASKED)
		cpu_relax();
	__asm__ volatile("lfence" ::: "memory");
	tsc_check(before, other, rdtsc());
}

/* Gives up the core lock while the other CPU initialises itself. A start-up IPI that comes before the INIT was taken is lost, so it
 * is repeated; a CPU that runs ignores it. One that does not come up gets an INIT and is left alone: its memory stays. */
static bool start_cpu(struct cpu *c)
{
	const volatile uint32_t *started = copied(low_page, trampoline_started);
	bool up;

	smp_aim_trampoline(c);
	cpus[c->id] = c;
	core_unlock();
	for (unsigned i = 0; i < 100000 && !*started; i++) {
		if (i % 100 == 0)
			lapic_send_ipi(c->apic_id, ICR_STARTUP | (uint32_t)(low_page >> PAGE_SHIFT));
		wait(10 * US);
	}
	up = *started && wait_for(&c->online, START_TIMEOUT);
	if (up)
		compare_tsc(c);
	else
		lapic_send_ipi(c->apic_id, ICR_INIT);
	core_lock();
	return up;
}

/* Flushing between domains does not help when two run on one core at the same time. */
static void check_threads(void)
{
	unsigned shift = cpuid(0, 0).a >= 0xb ? cpuid(0xb, 0).a & 31 : 0;

	for (unsigned i = 1; i < nr_cpus && (cpu_need_verw || cpu_need_l1d_flush); i++) {
		for (unsigned k = 0; k < i; k++) {
			if (cpus[i]->apic_id >> shift != cpus[k]->apic_id >> shift)
				continue;
			printk(LOG_WARN "on this CPU the threads of one core leak data to each other: switch hyper-threading off "
			       "in the firmware setup, or VMs can read from each other");
			return;
		}
	}
}

unsigned smp_boot(void)
{
	unsigned most = opt.maxcpus ? MIN(opt.maxcpus, MAX_CPUS) : MAX_CPUS;
	uint32_t self = lapic_id();

	if (!place_trampoline() || acpi.nr_cpus == 1 || most == 1)
		return nr_cpus;
	for (unsigned i = 0; i < acpi.nr_cpus; i++)
		if (acpi.apic_ids[i] != self)
			lapic_send_ipi(acpi.apic_ids[i], ICR_INIT);
	wait(10 * MS);
	for (unsigned i = 0; i < acpi.nr_cpus && nr_cpus < most; i++) {
		if (acpi.apic_ids[i] == self)
			continue;
		if (start_cpu(new_cpu(acpi.apic_ids[i])))
			nr_cpus++;
		else
			printk(LOG_WARN "the CPU with APIC id %u does not start; going on without it", acpi.apic_ids[i]);
	}
	check_threads();
	return nr_cpus;
}

void smp_restart(void)
{
	released = false;
	for (unsigned i = 1; i < nr_cpus; i++)
		lapic_send_ipi(cpus[i]->apic_id, ICR_INIT);
	wait(10 * MS);
	for (unsigned i = 1; i < nr_cpus; i++) {
		cpus[i]->online = false;
		cpus[i]->tsc = 0;
		if (!start_cpu(cpus[i]))
			panic("CPU %u does not come back", i);
	}
}

void smp_release(void)
{
	__atomic_store_n(&released, true, __ATOMIC_RELEASE);
}

/* Where the trampoline goes: CPU 0 only out of the firmware's hands, after a sleep. */
void ap_main(struct cpu *c)
{
	cpu_init_early(c);
	if (!c->id)
		sleep_woken();
	core_lock();
	mtrr_restore();
	lapic_init();
	if (cpu_ops->cpu_up(c)) {
		printk(LOG_WARN "CPU %u cannot run guests, though CPU 0 can", c->id);
		core_unlock();
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	if (!c->vclock) /* not after a sleep */
		sched_init_cpu(c);
	core_unlock();
	__atomic_store_n(&c->online, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&c->tsc, __ATOMIC_ACQUIRE) == TSC_ASKED) {
			__asm__ volatile("lfence" ::: "memory");
			__atomic_store_n(&c->tsc, rdtsc(), __ATOMIC_RELEASE);
		}
		cpu_relax();
	}
	cpu_loop();
}
