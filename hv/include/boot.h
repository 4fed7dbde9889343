/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_BOOT_H
#define CARREL_BOOT_H

#include "domain.h"
#include "types.h"

/* What the boot loader told us, in one form for multiboot 1 and 2 (boot/multiboot.c). Set once before anything else runs. */
struct boot_module {
	paddr_t start;
	uint64_t size;
	const char *cmdline; /* core's copy */
};
struct boot_fb {          /* linear framebuffer; base 0 when none */
	paddr_t base;
	uint32_t width, height, pitch;
	uint8_t bpp;
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
	bool text;        /* VGA text mode at base, width x height cells */
};
struct boot_info {
	char cmdline[1024]; /* without the path of the image that some loaders put first; same for the modules */
	char loader[64];
	struct e820_entry map[E820_MAX]; /* ascending, no overlaps; not page aligned; types E820_* only */
	unsigned nr_map;
	struct boot_module module[4];
	unsigned nr_modules;
	struct boot_fb fb;
	paddr_t rsdp;         /* 0 when it must be searched for in BIOS memory */
	uint8_t rsdp_copy[36];
	bool efi;
};
extern struct boot_info boot_info;

/* Command-line options (boot/cmdline.c). Unknown ones refuse() with a line that names the option. */
struct options {
	uint64_t dom0_mem;        /* bytes, 0 = default */
	unsigned dom0_max_vcpus;  /* 0 = one a CPU */
	unsigned maxcpus;
	bool console_com1, console_vga;
	unsigned loglvl;          /* 0 error .. 3 debug, 4 all */
	bool iommu_required;
	bool noreboot;
	bool vmx_exceptions;      /* VT-x: every guest exception exits (for Bochs with several CPUs) */
	unsigned com1_baud;
};
extern struct options opt;

/* Copies what the loader left, moves the modules out of the service domain's way. Boot CPU, first of all. */
void multiboot_init(uint32_t magic, uint32_t info_pa);
void cmdline_parse(void);
/* RAM that is not for the heap: everything below 1 MiB, the core's image, moved modules, what boot_alloc gave out. */
bool boot_reserved(mfn_t mfn);
/* Zeroed RAM for good, before the heap exists: below 4 GiB until map_init() has run, the highest there is after that.
 * align: a power of two. refuse()s when there is none. */
paddr_t boot_alloc(uint64_t size, uint64_t align);
void boot_alloc_high(void);  /* map_init() has run */
void boot_alloc_close(void); /* frame_init() has run */
void boot_modules_free(void); /* the service domain has its copies: their memory goes to the heap */
/* All of [start, start + size) is RAM by the loader's map. */
bool boot_is_ram(paddr_t start, uint64_t size);

/* boot/console.c: the screen */
void console_fb_init(void);    /* after multiboot_init() */
void console_fb_hold(void);    /* around map_init(): what is printed meanwhile appears at console_fb_map() */
void console_fb_map(void);
void console_input_init(void); /* COM1's interrupt; after iommu_init() */
void console_fb_release(void); /* the service domain's from now on */
void console_resume(void);     /* COM1 lost its settings */

/* boot/smp.c: lets the CPUs that smp_boot() or smp_restart() started enter cpu_loop(). */
void smp_release(void);
extern paddr_t low_page; /* below 1 MiB, the core's own: the trampoline; 0 none */
/* What comes through the trampoline next becomes c, on its stack. */
void smp_aim_trampoline(struct cpu *c);
/* Starts all CPUs again after a sleep, up to smp_release(); panics when one does not come. The first megabyte is mapped. */
void smp_restart(void);

/* ACPI (boot/acpi.c). Tables are checked (length, checksum); a broken one is skipped with a warning, or refuse()d when needed. */
struct acpi_table {
	char sig[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision, creator_id, creator_revision;
} __packed;
struct acpi_rsdp {
	char sig[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t xchecksum;
	uint8_t reserved[3];
} __packed;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");
/* Of n bytes, modulo 256: 0 for a table that is whole. */
uint8_t acpi_sum(const void *p, size_t n);
void acpi_init(void);
/* n-th table with that signature, mapped for good, or NULL. */
const struct acpi_table *acpi_find(const char *sig, unsigned n);
/* For dom0's rewritten XSDT: calls fn for every table address in the machine's XSDT/RSDT. */
void acpi_for_each(void (*fn)(paddr_t pa, const struct acpi_table *t, void *ctx), void *ctx);
struct acpi_info {
	uint16_t pm_timer_port;
	paddr_t pm_timer_mmio;
	uint16_t pm1a_cnt, pm1b_cnt; /* I/O ports, 0 none */
	uint16_t sci;
	paddr_t facs;                /* 0 none */
	uint32_t reset_port;         /* 0 none */
	uint8_t reset_value;
	paddr_t hpet;
	uint32_t apic_ids[64];
	unsigned nr_cpus;
	struct { uint8_t id; uint32_t gsi_base; paddr_t base; } ioapic[8];
	unsigned nr_ioapics;
	struct { uint8_t irq; uint32_t gsi; uint16_t flags; } override[16];
	unsigned nr_overrides;
	struct { paddr_t base; uint16_t seg; uint8_t bus_start, bus_end; } ecam[8];
	unsigned nr_ecam;
};
extern struct acpi_info acpi;

/* boot/power.c */
void machine_reboot(void) __noreturn;
void machine_poweroff(void) __noreturn; /* S5 by PM1 with \_S5 as dom0 wrote it; falls back to halt with a message */

/* PM1 control writes by dom0 (SLP_EN trap). */
void acpi_pm1_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t val);
/* SLP_EN with these types to both PM1 control registers. Returns if the machine does not do it in two seconds. */
void acpi_sleep(const uint8_t typ[2]);

/* boot/sleep.c: suspend to RAM. */
/* The service domain's v wrote SLP_EN: it stops, and CPU 0 takes care of the rest in its main loop. NULL, or why not. */
const char *sleep_request(struct vcpu *v, const uint8_t typ[2]);
/* cpu_loop() of each CPU calls sleep_cpu() while this is not 0. Core lock. */
extern unsigned sleep_phase;
void sleep_cpu(void);
/* CPU 0, as the trampoline left it. */
void sleep_woken(void) __noreturn;

#endif
