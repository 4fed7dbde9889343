// SPDX-License-Identifier: Apache-2.0
/*
 * Suspend to RAM (ACPI 6.5, 7.4.2.2 and 16.3). The service domain puts its devices to sleep and writes SLP_EN; the core does it for
 * the whole machine. Every CPU puts down its vCPU, the others stop, and CPU 0 sleeps with the core's waking vector in place of the
 * domain's. The firmware hands CPU 0 back to the trampoline, in real mode; what the hardware lost is set up again, and the domain's
 * vCPU starts where its own vector says. Other domains only see their time jump.
 */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "iommu.h"
#include "irq.h"
#include "lock.h"
#include "map.h"
#include "pci.h"
#include "sched.h"
#include "time.h"

struct facs {
	char sig[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
} __packed;
_Static_assert(offsetof(struct facs, x_waking_vector) == 24, "ACPI 5.2.10");

#define STOP_TIMEOUT 1000000000ull /* ns */

enum { AWAKE, GATHER, STOP };
unsigned sleep_phase;                 /* core lock; read without by the CPUs that have gathered */
static unsigned gathered, stopped;    /* other CPUs, by themselves */
static struct vcpu *sleeper;          /* the service domain's last vCPU, and what it asked for */
static uint32_t sleeper_vector;
static uint8_t slp_typ[2];
static volatile struct facs *facs;

const char *sleep_request(struct vcpu *v, const uint8_t typ[2])
{
	if (!facs && acpi.facs)
		facs = ioremap(acpi.facs, sizeof(*facs));
	if (!facs || !low_page)
		return "there is no FACS, or no free page below 1 MiB, to wake up by";
	sleeper_vector = facs->waking_vector;
	if (!sleeper_vector || sleeper_vector >= MiB)
		return "its waking vector is not below 1 MiB";
	for_each_vcpu(v->domain, o)
		if (o != v && !(o->stopped & VCPU_DOWN))
			return "its other vCPUs are not offline";
	sched_stop(v, VCPU_DOWN);
	memcpy(slp_typ, typ, sizeof(slp_typ));
	sleeper = v;
	sleep_phase = GATHER;
	cpu_kick(cpus[0]);
	return NULL;
}

/* The domain finds itself woken up, whether the machine slept or not. */
static void wake_sleeper(void)
{
	sleep_phase = AWAKE;
	vcpu_reset_state(sleeper);
	vlapic_reset(sleeper);
	vioapic_reset(sleeper->domain);
	vcpu_start_real(sleeper, sleeper_vector);
}

/* ---- other CPUs ---- */

static void park(void)
{
	sched_unload();
	core_unlock();
	__atomic_fetch_add(&gathered, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&sleep_phase, __ATOMIC_ACQUIRE) == GATHER)
		cpu_relax();
	if (READ_ONCE(sleep_phase) == STOP) {
		cpu_ops->cpu_down();
		__asm__ volatile("wbinvd" ::: "memory");
		__atomic_fetch_add(&stopped, 1, __ATOMIC_ACQ_REL);
		for (;;)
			__asm__ volatile("cli; hlt"); /* until INIT: smp_restart() */
	}
	__atomic_fetch_sub(&gathered, 1, __ATOMIC_ACQ_REL);
	core_lock();
	sched_resume();
}

static bool wait_for_others(const unsigned *count)
{
	ns_t end = now() + STOP_TIMEOUT;

	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < nr_cpus - 1 && now() < end)
		cpu_relax();
	return __atomic_load_n(count, __ATOMIC_ACQUIRE) >= nr_cpus - 1;
}

/* ---- CPU 0 ---- */

/* Everything again that init_machine() did to the hardware; what software knows is still there. */
static void restore(void)
{
	uint64_t tsc_lost;

	console_resume();
	pci_resume();
	mtrr_restore();
	iommu_resume(); /* before messages in its format */
	ioapic_resume();
	lapic_init();
	tsc_lost = time_resume();
	if (cpu_ops->cpu_up(this_cpu()))
		panic("%s cannot be turned on again", cpu_ops->name);
	smp_restart();
	map_seal(true);
	list_for_each(l, &pci_devs)
		vmsi_reset(list_entry(l, struct pci_dev, link));
	list_for_each(l, &domains)
		pvclock_domain_slept(list_entry(l, struct domain, link), tsc_lost);
	gathered = stopped = 0;
	facs->waking_vector = sleeper_vector;
	wake_sleeper();
	smp_release();
	printk("awake");
}

static void suspend(void)
{
	bool ready;

	for (unsigned i = 1; i < nr_cpus; i++)
		cpu_kick(cpus[i]);
	core_unlock();
	ready = wait_for_others(&gathered);
	core_lock();
	if (!ready) {
		printk(LOG_WARN "not sleeping: a CPU does not put down its vCPU");
		wake_sleeper();
		return;
	}
	printk("suspending to RAM");
	sched_unload();
	__atomic_store_n(&sleep_phase, STOP, __ATOMIC_RELEASE);
	if (!wait_for_others(&stopped))
		panic("a CPU does not stop");
	pci_suspend();
	mtrr_save();
	cpu_ops->cpu_down();
	map_seal(false);
	smp_aim_trampoline(this_cpu());
	facs->waking_vector = (uint32_t)low_page;
	facs->x_waking_vector = 0; /* it would count instead */
	time_suspend();
	__asm__ volatile("wbinvd" ::: "memory");
	acpi_sleep(slp_typ);
	printk(LOG_WARN "the machine did not sleep");
	restore();
	sched_resume();
}

void sleep_cpu(void)
{
	if (this_cpu()->id)
		park();
	else
		suspend();
}

/* On a fresh stack; CPU 0 held the core lock when it went, and still does. */
void sleep_woken(void)
{
	restore();
	core_unlock();
	cpu_loop();
}
