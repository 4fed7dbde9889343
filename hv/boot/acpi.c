// SPDX-License-Identifier: Apache-2.0
/* ACPI tables (ACPI 6.5, 5.2): what the core needs of them, and the list for the service domain. No AML but \_S3 and \_S5 (power.c). */
#include "boot.h"
#include "lib.h"
#include "map.h"

#define MAX_TABLES 64
#define MAX_LENGTH (4 * MiB)

struct gas { /* Generic Address Structure, 5.2.3.2 */
	uint8_t space, bits, offset, access;
	uint64_t addr;
} __packed;
#define GAS_MEMORY 0
#define GAS_IO     1

struct fadt {
	struct acpi_table h;
	uint32_t facs, dsdt;
	uint8_t pad0[2];
	uint16_t sci;
	uint8_t pad1[16];
	uint32_t pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr;
	uint8_t pad2[32];
	uint32_t flags;
	struct gas reset;
	uint8_t reset_value;
	uint8_t pad3[3];
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
} __packed;
_Static_assert(offsetof(struct fadt, pm1a_cnt) == 64 && offsetof(struct fadt, flags) == 112 &&
	       offsetof(struct fadt, x_dsdt) == 140 && offsetof(struct fadt, x_pm_tmr) == 208, "ACPI 5.2.9");
#define FADT_RESET_REG_SUP BIT(10)

struct madt_entry {
	uint8_t type, length;
	union {
		struct { uint8_t uid, id; uint32_t flags; } __packed lapic;
		struct { uint8_t id, reserved; uint32_t addr, gsi_base; } __packed ioapic;
		struct { uint8_t bus, irq; uint32_t gsi; uint16_t flags; } __packed override;
		struct { uint16_t reserved; uint32_t id, flags, uid; } __packed x2apic;
	};
} __packed;
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9 };
#define MADT_ENABLED 1u

struct mcfg_entry {
	uint64_t base;
	uint16_t seg;
	uint8_t bus_start, bus_end;
	uint32_t reserved;
} __packed;

struct acpi_info acpi;
static struct {
	paddr_t pa;
	const struct acpi_table *t;
} tables[MAX_TABLES];
static unsigned nr_tables;
static const struct acpi_table *dsdt;

uint8_t acpi_sum(const void *p, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
	return sum;
}

/* Maps and checks the table at pa; NULL, with a warning, when it cannot be used. */
static const struct acpi_table *map_table(paddr_t pa)
{
	const struct acpi_table *t = ioremap_cached(pa, sizeof(*t));
	uint32_t length = t ? t->length : 0;

	if (length < sizeof(*t) || length > MAX_LENGTH) {
		printk(LOG_WARN "ACPI table at %lx skipped: its length is %u", pa, length);
		return NULL;
	}
	if ((pa & ~PAGE_MASK) + length > PAGE_SIZE)
		t = ioremap_cached(pa, length);
	if (!t || acpi_sum(t, length)) {
		printk(LOG_WARN "ACPI table at %lx skipped: its checksum is wrong", pa);
		return NULL;
	}
	return t;
}

static bool rsdp_valid(const struct acpi_rsdp *r)
{
	return !memcmp(r->sig, "RSD PTR ", 8) && !acpi_sum(r, 20);
}

/* 5.2.5.1: the first KiB of the EBDA, then the BIOS area, on 16-byte boundaries. */
static const struct acpi_rsdp *rsdp_search(void)
{
	const uint16_t *bda = ioremap_cached(0x400, 0x100);
	const struct { paddr_t start; size_t size; } area[] = {
		{ bda ? (paddr_t)bda[7] << 4 : 0, 1024 }, { 0xe0000, 0x20000 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(area); i++) {
		const char *p = area[i].start >= 0x80000 ? ioremap_cached(area[i].start, area[i].size) : NULL;

		for (size_t at = 0; p && at + sizeof(struct acpi_rsdp) <= area[i].size; at += 16)
			if (rsdp_valid((const struct acpi_rsdp *)(p + at)))
				return (const struct acpi_rsdp *)(p + at);
	}
	return NULL;
}

static const struct acpi_rsdp *rsdp_find(void)
{
	const struct acpi_rsdp *r = (const struct acpi_rsdp *)boot_info.rsdp_copy;

	if (rsdp_valid(r))
		return r;
	if (boot_info.rsdp && (r = ioremap_cached(boot_info.rsdp, sizeof(*r))) && rsdp_valid(r))
		return r;
	return rsdp_search();
}

static void add_table(paddr_t pa)
{
	const struct acpi_table *t = pa ? map_table(pa) : NULL;

	if (!t)
		return;
	if (nr_tables == MAX_TABLES) {
		printk(LOG_WARN "ACPI table at %lx left out: there are more than %u", pa, MAX_TABLES);
		return;
	}
	tables[nr_tables].pa = pa;
	tables[nr_tables++].t = t;
}

static void read_root(void)
{
	const struct acpi_rsdp *r = rsdp_find();
	const struct acpi_table *root = NULL;
	unsigned width = 8;

	if (!r)
		refuse("no ACPI tables found; the firmware must have ACPI turned on");
	if (r->revision >= 2 && r->length >= sizeof(*r) && !acpi_sum(r, sizeof(*r)) && r->xsdt)
		root = map_table(r->xsdt);
	if (!root || memcmp(root->sig, "XSDT", 4)) {
		width = 4;
		root = r->rsdt ? map_table(r->rsdt) : NULL;
		if (!root || memcmp(root->sig, "RSDT", 4))
			refuse("the firmware's ACPI root table is broken; update the firmware");
	}
	for (uint32_t at = sizeof(*root); at + width <= root->length; at += width) {
		paddr_t pa = 0;

		memcpy(&pa, (const char *)root + at, width);
		add_table(pa);
	}
}

const struct acpi_table *acpi_find(const char *sig, unsigned n)
{
	if (!memcmp(sig, "DSDT", 4))
		return n ? NULL : dsdt;
	for (unsigned i = 0; i < nr_tables; i++)
		if (!memcmp(tables[i].t->sig, sig, 4) && !n--)
			return tables[i].t;
	return NULL;
}

void acpi_for_each(void (*fn)(paddr_t pa, const struct acpi_table *t, void *ctx), void *ctx)
{
	for (unsigned i = 0; i < nr_tables; i++)
		fn(tables[i].pa, tables[i].t, ctx);
}

/* The I/O port of a register that has an old and an extended field; 0 when it has none. */
static uint16_t io_port(uint32_t old, const struct gas *x)
{
	if (x->addr && x->space == GAS_IO && x->addr <= UINT16_MAX)
		return (uint16_t)x->addr;
	return old <= UINT16_MAX ? (uint16_t)old : 0;
}

static void read_fadt(void)
{
	const struct acpi_table *t = acpi_find("FACP", 0);
	struct fadt f = { 0 }; /* older ones are shorter */
	paddr_t at;

	if (!t) {
		printk(LOG_WARN "no FADT: no PM timer, power off by hand");
		return;
	}
	memcpy(&f, t, MIN(t->length, sizeof(f)));
	acpi.sci = f.sci;
	acpi.pm_timer_port = io_port(f.pm_tmr, &f.x_pm_tmr);
	if (!acpi.pm_timer_port && f.x_pm_tmr.space == GAS_MEMORY)
		acpi.pm_timer_mmio = f.x_pm_tmr.addr;
	acpi.pm1a_cnt = io_port(f.pm1a_cnt, &f.x_pm1a_cnt);
	acpi.pm1b_cnt = io_port(f.pm1b_cnt, &f.x_pm1b_cnt);
	if (f.flags & FADT_RESET_REG_SUP && f.reset.space == GAS_IO && f.reset.addr <= UINT16_MAX) {
		acpi.reset_port = (uint32_t)f.reset.addr;
		acpi.reset_value = f.reset_value;
	}
	acpi.facs = f.x_facs ? f.x_facs : f.facs;
	at = f.x_dsdt ? f.x_dsdt : f.dsdt;
	dsdt = at ? map_table(at) : NULL;
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_ENABLED))
		return;
	for (unsigned i = 0; i < acpi.nr_cpus; i++)
		if (acpi.apic_ids[i] == apic_id) /* some firmware lists a CPU both ways */
			return;
	if (acpi.nr_cpus == ARRAY_SIZE(acpi.apic_ids)) {
		printk(LOG_WARN "CPU with APIC id %u left out: there are more than %u", apic_id, acpi.nr_cpus);
		return;
	}
	acpi.apic_ids[acpi.nr_cpus++] = apic_id;
}

static void read_madt_entry(const struct madt_entry *e)
{
	switch (e->type) {
	case MADT_LAPIC:
		if (e->length >= 8 && e->lapic.id != 0xff)
			add_cpu(e->lapic.id, e->lapic.flags);
		break;
	case MADT_X2APIC:
		if (e->length >= 16)
			add_cpu(e->x2apic.id, e->x2apic.flags);
		break;
	case MADT_IOAPIC:
		if (e->length < 12 || acpi.nr_ioapics == ARRAY_SIZE(acpi.ioapic))
			break;
		acpi.ioapic[acpi.nr_ioapics].id = e->ioapic.id;
		acpi.ioapic[acpi.nr_ioapics].gsi_base = e->ioapic.gsi_base;
		acpi.ioapic[acpi.nr_ioapics++].base = e->ioapic.addr;
		break;
	case MADT_OVERRIDE:
		if (e->length < 10 || acpi.nr_overrides == ARRAY_SIZE(acpi.override))
			break;
		acpi.override[acpi.nr_overrides].irq = e->override.irq;
		acpi.override[acpi.nr_overrides].gsi = e->override.gsi;
		acpi.override[acpi.nr_overrides++].flags = e->override.flags;
		break;
	}
}

static void read_madt(void)
{
	const struct acpi_table *t = acpi_find("APIC", 0);

	if (!t)
		refuse("the firmware has no MADT (ACPI's list of CPUs and interrupt controllers)");
	for (uint32_t at = sizeof(*t) + 8; at + 2 <= t->length;) {
		const struct madt_entry *e = (const struct madt_entry *)((const char *)t + at);

		if (e->length < 2 || e->length > t->length - at)
			break;
		read_madt_entry(e);
		at += e->length;
	}
	if (!acpi.nr_cpus || !acpi.nr_ioapics)
		refuse("the firmware's MADT lists %u CPUs and %u I/O APICs", acpi.nr_cpus, acpi.nr_ioapics);
}

static void read_mcfg(void)
{
	const struct acpi_table *t = acpi_find("MCFG", 0);
	struct mcfg_entry e;

	for (uint32_t at = sizeof(*t) + 8; t && at + sizeof(e) <= t->length; at += sizeof(e)) {
		memcpy(&e, (const char *)t + at, sizeof(e));
		if (!e.base || e.bus_end < e.bus_start || acpi.nr_ecam == ARRAY_SIZE(acpi.ecam))
			continue;
		acpi.ecam[acpi.nr_ecam].base = e.base;
		acpi.ecam[acpi.nr_ecam].seg = e.seg;
		acpi.ecam[acpi.nr_ecam].bus_start = e.bus_start;
		acpi.ecam[acpi.nr_ecam++].bus_end = e.bus_end;
	}
}

static void read_hpet(void)
{
	const struct acpi_table *t = acpi_find("HPET", 0);
	struct gas g;

	if (!t || t->length < sizeof(*t) + 4 + sizeof(g))
		return;
	memcpy(&g, (const char *)t + sizeof(*t) + 4, sizeof(g));
	if (g.space == GAS_MEMORY)
		acpi.hpet = g.addr;
}

void acpi_init(void)
{
	read_root();
	read_fadt();
	read_madt();
	read_mcfg();
	read_hpet();
	printk("ACPI: %u tables, %u CPUs, %u I/O APICs, %u ECAM windows, SCI %u, PM timer %x", nr_tables, acpi.nr_cpus,
	       acpi.nr_ioapics, acpi.nr_ecam, acpi.sci, acpi.pm_timer_port);
}
