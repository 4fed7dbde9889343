// SPDX-License-Identifier: Apache-2.0
/* The machine's I/O APICs (82093AA, ICH data sheets). Each pin is a GSI; a bound one interrupts for dom0's vioapic. */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "irq.h"
#include "lib.h"
#include "map.h"
#include "vlapic.h"

#define IOREGSEL 0x00
#define IOWIN    0x10
#define REG_VER  1
#define REG_RTE(pin) (0x10 + 2 * (pin))

#define RTE_LOW    BIT(13)
#define RTE_LEVEL  BIT(15)
#define RTE_MASKED BIT(16)

static struct ioapic {
	volatile uint32_t *regs;
	paddr_t base;
	uint8_t id;
	uint32_t gsi_base, pins;
} ioapics[ARRAY_SIZE(acpi.ioapic)];
static unsigned nr_ioapics, nr_gsis;

static struct gsi {
	struct irq irq;
	struct domain *domain; /* NULL: not bound to one */
	bool core;             /* the core's own: gsi_claim() */
	struct ioapic *io;     /* NULL: no such pin */
	int irte;              /* -1: none */
	uint32_t low, high;    /* of the redirection entry, as written last */
} *gsis;

static void reg_write(struct ioapic *io, uint32_t reg, uint32_t val)
{
	io->regs[IOREGSEL / 4] = reg;
	io->regs[IOWIN / 4] = val;
}

static uint32_t rte_reg(const struct gsi *g)
{
	return REG_RTE((uint32_t)(g - gsis) - g->io->gsi_base);
}

/* All inputs masked, and spurious ones moved away from the exception vectors. */
static void pic_disable(void)
{
	static const uint8_t icw[2][4] = { { 0x11, 0x20, 0x04, 0x01 }, { 0x11, 0x28, 0x02, 0x01 } };
	static const uint16_t port[2] = { 0x20, 0xa0 };

	for (unsigned p = 0; p < 2; p++) {
		outb(port[p], icw[p][0]);
		for (unsigned i = 1; i < 4; i++)
			outb(port[p] + 1, icw[p][i]);
		outb(port[p] + 1, 0xff);
	}
}

static void probe(unsigned n)
{
	struct ioapic *io = &ioapics[nr_ioapics];

	io->base = acpi.ioapic[n].base;
	io->id = acpi.ioapic[n].id;
	io->gsi_base = acpi.ioapic[n].gsi_base;
	io->regs = ioremap(io->base, PAGE_SIZE);
	if (!io->regs)
		panic("no memory to map an I/O APIC");
	io->regs[IOREGSEL / 4] = REG_VER;
	io->pins = (io->regs[IOWIN / 4] >> 16 & 0xff) + 1;
	if (io->pins > 240 || io->gsi_base > 4096) {
		printk(LOG_WARN "I/O APIC %u at %lx ignored: it does not answer", io->id, io->base);
		return;
	}
	nr_gsis = MAX(nr_gsis, io->gsi_base + io->pins);
	nr_ioapics++;
}

int ioapic_init(void)
{
	pic_disable();
	for (unsigned n = 0; n < acpi.nr_ioapics; n++)
		probe(n);
	gsis = kalloc(nr_gsis * sizeof(*gsis));
	if (!gsis)
		return -ENOMEM;
	for (unsigned n = 0; n < nr_ioapics; n++) {
		struct ioapic *io = &ioapics[n];

		for (uint32_t pin = 0; pin < io->pins; pin++) {
			gsis[io->gsi_base + pin].io = io;
			gsis[io->gsi_base + pin].irte = -1;
			gsis[io->gsi_base + pin].low = (uint32_t)RTE_MASKED;
			reg_write(io, REG_RTE(pin), (uint32_t)RTE_MASKED);
			reg_write(io, REG_RTE(pin) + 1, 0);
		}
	}
	return 0;
}

void ioapic_resume(void)
{
	pic_disable();
	for (struct gsi *g = gsis; g < gsis + nr_gsis; g++) {
		if (!g->io)
			continue;
		if (g->domain)
			g->low |= (uint32_t)RTE_MASKED; /* until the domain has set up its own again */
		reg_write(g->io, rte_reg(g) + 1, g->high);
		reg_write(g->io, rte_reg(g), g->low);
	}
}

unsigned ioapic_gsi_count(void)
{
	return nr_gsis;
}

unsigned ioapic_count(void)
{
	return nr_ioapics;
}

void ioapic_info(unsigned n, paddr_t *base, uint8_t *id, uint32_t *gsi_base, uint32_t *pins)
{
	*base = ioapics[n].base;
	*id = ioapics[n].id;
	*gsi_base = ioapics[n].gsi_base;
	*pins = ioapics[n].pins;
}

static void set_masked(struct gsi *g, bool masked)
{
	uint32_t low = masked ? g->low | (uint32_t)RTE_MASKED : g->low & ~(uint32_t)RTE_MASKED;

	if (low == g->low)
		return;
	g->low = low;
	reg_write(g->io, rte_reg(g), low);
}

/* A level interrupt stays masked until the guest's EOI (vioapic): its line may be up until the guest's driver ran. */
static void gsi_fire(struct irq *i)
{
	struct gsi *g = i->data;

	if (g->low & RTE_LEVEL)
		set_masked(g, true);
	vioapic_assert(g->domain, (unsigned)(g - gsis));
}

static int attach(struct gsi *g, void (*fn)(struct irq *))
{
	int rc;

	g->irq.fn = fn;
	g->irq.data = g;
	rc = irq_alloc(&g->irq, NULL);
	if (rc || !iommu_intremap)
		return rc;
	rc = iommu_ioapic_sid(g->io->id);
	if (rc >= 0)
		rc = g->irte = iommu_irte_alloc();
	if (rc < 0)
		irq_free(&g->irq);
	return MIN(rc, 0);
}

/* Writes the redirection entry of a masked pin that has a vector, and opens it. */
static void program(struct gsi *g, bool level, bool active_low)
{
	uint32_t high = g->irq.cpu->apic_id << 24; /* fixed, physical */

	irq_set_level(&g->irq, level);
	g->low = (uint32_t)((level ? RTE_LEVEL : 0) | (active_low ? RTE_LOW : 0) | RTE_MASKED) | g->irq.vector;
	if (g->irte >= 0) {
		/* VT-d 5.1.5.1: bit 48 format, 63:49 index 14:0, 11 index 15; the vector is there for EOI to match. */
		uint32_t index = (uint32_t)g->irte;

		iommu_irte_set(g->irte, g->irq.vector, g->irq.cpu->apic_id, level,
			       (uint16_t)iommu_ioapic_sid(g->io->id));
		g->low |= (index >> 15 & 1) << 11;
		high = (index & 0x7fff) << 17 | 1u << 16;
	}
	g->high = high;
	reg_write(g->io, rte_reg(g), g->low);
	reg_write(g->io, rte_reg(g) + 1, high);
	set_masked(g, false);
}

int gsi_bind(struct domain *d, unsigned gsi, bool level, bool active_low)
{
	struct gsi *g = &gsis[gsi];
	int rc;

	if (gsi >= nr_gsis || !g->io)
		return -EINVAL;
	if (g->core || (g->domain && g->domain != d))
		return -EBUSY;
	if (g->domain)
		set_masked(g, true);
	else if ((rc = attach(g, gsi_fire)))
		return rc;
	g->domain = d;
	program(g, level, active_low);
	return 0;
}

int gsi_claim(unsigned gsi, void (*fn)(struct irq *))
{
	struct gsi *g = &gsis[gsi];
	int rc;

	if (gsi >= nr_gsis || !g->io)
		return -EINVAL;
	if (g->core || g->domain)
		return -EBUSY;
	rc = attach(g, fn);
	if (rc)
		return rc;
	g->core = true;
	program(g, false, false);
	return 0;
}

void gsi_mask(unsigned gsi, bool masked)
{
	if (gsi < nr_gsis && gsis[gsi].domain)
		set_masked(&gsis[gsi], masked);
}
