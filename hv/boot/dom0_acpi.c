// SPDX-License-Identifier: Apache-2.0
/*
 * The service domain's view of the machine's ACPI tables: the machine's own, less what describes things that the core
 * keeps (DMAR, HPET, NUMA) and with a MADT for the domain's vCPUs (ACPI 6.5, 5.2).
 */
#include "boot.h"
#include "dom0.h"
#include "frame.h"
#include "guest.h"
#include "irq.h"

struct madt_lapic {
	uint8_t type, length, processor, apic_id;
	uint32_t flags;
} __packed;
struct madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t x2apic_id, flags, processor;
} __packed;
struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t base, gsi_base;
} __packed;
#define MADT_LAPIC        0
#define MADT_IOAPIC       1
#define MADT_OVERRIDE     2
#define MADT_NMI_SOURCE   3
#define MADT_LOCAL_X2APIC 9

struct build {
	uint8_t *buf;   /* ACPI_BUILD_SIZE bytes */
	unsigned used;
	paddr_t at;
	uint64_t *xsdt_entry;
	unsigned nr_entries, max_entries;
};

static void *take(struct build *b, size_t size)
{
	void *p = b->buf + b->used;

	if (b->used + size > ACPI_BUILD_SIZE)
		refuse("the machine's ACPI tables are too many for the service domain");
	b->used += (unsigned)size;
	return p;
}

static void header(struct acpi_table *t, const char *sig, uint8_t revision)
{
	memcpy(t->sig, sig, 4);
	t->revision = revision;
	memcpy(t->oem_id, "CARREL", 6);
	memcpy(t->oem_table_id, "CARREL  ", 8);
	memcpy(&t->creator_id, "CRRL", 4);
	t->oem_revision = t->creator_revision = 1;
}

static void finish(struct acpi_table *t, size_t size)
{
	t->length = (uint32_t)size;
	t->checksum = 0;
	t->checksum = (uint8_t)-acpi_sum(t, size);
}

/* Tables that describe the platform's devices to the operating system that drives them. Everything else stays hidden. */
static bool visible(const char *sig)
{
	static const char allowed[][5] = { "FACP", "SSDT", "PSDT", "MCFG", "SLIC", "MSDM", "WDAT", "FPDT", "BGRT", "TPM2",
					   "TCPA", "BERT", "VFCT", "UEFI", "NHLT", "SBST", "ECDT", "WSMT" };

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		if (!memcmp(sig, allowed[i], 4))
			return true;
	return false;
}

static void add_visible(paddr_t pa, const struct acpi_table *t, void *ctx)
{
	struct build *b = ctx;

	if (visible(t->sig) && b->nr_entries < b->max_entries)
		b->xsdt_entry[b->nr_entries++] = pa;
}

static void count(paddr_t pa, const struct acpi_table *t, void *ctx)
{
	*(unsigned *)ctx += visible(t->sig);
}

static void madt_cpus(struct build *b, struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		uint32_t id = 2 * i; /* as vlapic_id() */

		if (id < 255) {
			struct madt_lapic *l = take(b, sizeof(*l));
			*l = (struct madt_lapic){ MADT_LAPIC, sizeof(*l), (uint8_t)i, (uint8_t)id, 1 };
		} else {
			struct madt_x2apic *x = take(b, sizeof(*x));
			*x = (struct madt_x2apic){ MADT_LOCAL_X2APIC, sizeof(*x), 0, id, 1, i };
		}
	}
}

static void madt_ioapics(struct build *b)
{
	for (unsigned i = 0; i < ioapic_count(); i++) {
		struct madt_ioapic *io = take(b, sizeof(*io));
		uint32_t gsi_base, pins;
		paddr_t base;
		uint8_t id;

		ioapic_info(i, &base, &id, &gsi_base, &pins);
		*io = (struct madt_ioapic){ MADT_IOAPIC, sizeof(*io), id, 0, (uint32_t)base, gsi_base };
	}
}

/* Copies interrupt source overrides and NMI sources as the machine has them: the GSIs are the machine's. */
static void madt_overrides(struct build *b)
{
	const struct acpi_table *m = acpi_find("APIC", 0);
	const uint8_t *p = (const uint8_t *)m;

	if (!m)
		return;
	for (unsigned at = sizeof(*m) + 8; at + 2 <= m->length; at += p[at + 1]) {
		if (p[at + 1] < 2 || at + p[at + 1] > m->length)
			return;
		if (p[at] == MADT_OVERRIDE || p[at] == MADT_NMI_SOURCE)
			memcpy(take(b, p[at + 1]), p + at, p[at + 1]);
	}
}

static paddr_t build_madt(struct build *b, struct domain *d)
{
	unsigned start = b->used;
	struct acpi_table *t = take(b, sizeof(*t));
	uint32_t *body = take(b, 8);

	header(t, "APIC", 4);
	body[0] = 0xfee00000;
	body[1] = 0; /* no 8259s */
	madt_cpus(b, d);
	madt_ioapics(b);
	madt_overrides(b);
	finish(t, b->used - start);
	b->used = ALIGN_UP(b->used, 8u);
	return b->at + start;
}

paddr_t dom0_acpi_build(struct domain *d, paddr_t at)
{
	struct build b = { .buf = core_alloc(2), .at = at };
	struct acpi_table *xsdt;
	struct acpi_rsdp *rsdp;
	unsigned xsdt_at, n = 1;
	paddr_t madt;

	if (!b.buf)
		refuse("no memory to build the service domain's ACPI tables");
	acpi_for_each(count, &n);
	rsdp = take(&b, 40);
	xsdt_at = b.used;
	xsdt = take(&b, ALIGN_UP(sizeof(*xsdt), 4) + n * 8);
	b.used = ALIGN_UP(b.used, 8u);
	b.xsdt_entry = kalloc(n * sizeof(uint64_t));
	b.max_entries = n;
	if (!b.xsdt_entry)
		refuse("no memory to build the service domain's ACPI tables");
	madt = build_madt(&b, d);
	b.xsdt_entry[b.nr_entries++] = madt;
	acpi_for_each(add_visible, &b);
	header(xsdt, "XSDT", 1);
	memcpy(xsdt + 1, b.xsdt_entry, b.nr_entries * 8);
	finish(xsdt, sizeof(*xsdt) + b.nr_entries * 8);
	*rsdp = (struct acpi_rsdp){ .sig = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' }, .revision = 2, .length = sizeof(*rsdp),
			       .xsdt = at + xsdt_at };
	memcpy(rsdp->oem_id, "CARREL", 6);
	rsdp->checksum = (uint8_t)-acpi_sum(rsdp, 20);
	rsdp->xchecksum = (uint8_t)-acpi_sum(rsdp, sizeof(*rsdp));
	if (copy_to_gpa(d, at, b.buf, ACPI_BUILD_SIZE))
		refuse("the service domain's memory has no room for its ACPI tables at %lx", at);
	kfree(b.xsdt_entry);
	core_free(b.buf, 2);
	return at;
}
