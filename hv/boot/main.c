/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which the core comes up. */
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "frame.h"
#include "iommu.h"
#include "irq.h"
#include "lock.h"
#include "map.h"
#include "pci.h"
#include "sched.h"
#include "time.h"

extern char boot_stack_top[];
void core_main(uint32_t magic, uint32_t info_pa) __noreturn;

static struct cpu boot_cpu = { .online = true };

/* Exceptions, text, what the loader says; then the core's own tables and its heap. */
static void init_memory(uint32_t magic, uint32_t info_pa)
{
	printk("Carrel " CARREL_VERSION);
	multiboot_init(magic, info_pa);
	console_fb_init();
	cmdline_parse();
	printk(LOG_DEBUG "started by %s with \"%s\"", boot_info.loader, boot_info.cmdline);
	console_fb_hold();
	map_init();
	boot_alloc_high();
	console_fb_map();
	frame_init();
	boot_alloc_close();
	printk("memory: %lu MiB, %lu MiB free, %u modules", frame_total_pages() >> 8, frame_free_pages() >> 8,
	       boot_info.nr_modules);
}

/* Each needs some before it: the APICs and clocks ACPI's tables, the policy what cpu_up() found, the IOMMU the PCI buses. */
static void init_machine(void)
{
	cpu_ops_init();
	acpi_init();
	/* Before the local APIC: an ExtINT of the 8259s that is pending when LINT0 is masked would have no vector. */
	if (ioapic_init())
		refuse("the firmware's tables name no usable I/O APIC");
	lapic_init();
	boot_cpu.apic_id = lapic_id();
	time_init();
	if (cpu_ops->cpu_up(&boot_cpu))
		refuse("%s cannot be turned on; see the firmware's setup for virtualisation", cpu_ops->name);
	policy_init_host();
	sched_init_cpu(&boot_cpu);
	pci_init();
	iommu_init();
	console_input_init();
	printk("processors: %u online, %s, TSC at %lu kHz", smp_boot(), cpu_ops->name, tsc_khz);
}

void core_main(uint32_t magic, uint32_t info_pa)
{
	uint64_t start = rdtsc();

	boot_cpu.stack_top = (uint64_t)boot_stack_top;
	cpus[0] = &boot_cpu;
	nr_cpus = 1;
	cpu_init_early(&boot_cpu);
	core_lock();
	init_memory(magic, info_pa);
	init_machine();
	dom0_build();
	boot_modules_free();
	map_seal(true);
	printk("started in %lu ms", (rdtsc() - start) / tsc_khz);
	console_fb_release();
	core_unlock();
	smp_release();
	cpu_loop();
}
