// SPDX-License-Identifier: Apache-2.0
/* The machine's PCI devices (PCI 3.0, PCI Express 5.0 section 7). What devices answer is checked like any outside input. */
#include "pci.h"

#include "asm.h"
#include "boot.h"
#include "frame.h"
#include "iommu.h"
#include "map.h"

struct list pci_devs = LIST_INIT(pci_devs);

#define CAP_MSI   0x05
#define CAP_EXP   0x10
#define CAP_MSIX  0x11
#define MAX_CAPS  48
#define MAX_DEPTH 32 /* bridges behind bridges; numbers in broken bridges could go in circles */
#define EXP_PCIE_TO_PCI 7

/* ---- configuration space ---- */

/* Start of a function's ECAM space, its bus mapped on first use; NULL when there is none. */
static volatile uint8_t *ecam(uint16_t seg, uint16_t bdf)
{
	static void *bus_map[ARRAY_SIZE(acpi.ecam)][256];
	unsigned bus = bdf >> 8;

	for (unsigned i = 0; i < acpi.nr_ecam; i++) {
		void **m = &bus_map[i][bus];

		if (acpi.ecam[i].seg != seg || bus < acpi.ecam[i].bus_start || bus > acpi.ecam[i].bus_end)
			continue;
		if (!*m)
			*m = ioremap(acpi.ecam[i].base + bus * MiB, MiB);
		return *m ? (volatile uint8_t *)*m + ((bdf & 0xff) << 12) : NULL;
	}
	return NULL;
}

/* Only EAX moves ECAM data on some AMD CPUs (family 10h BKDG 2.11.1). */
uint32_t pci_read(uint16_t seg, uint16_t bdf, unsigned reg, unsigned size)
{
	volatile uint8_t *p = ecam(seg, bdf);
	uint32_t val = ~0u;

	if (reg > 0x1000 - size)
		return ~0u;
	if (p) {
		p += reg;
		if (size == 1)
			__asm__ volatile("movzbl %1, %0" : "=a"(val) : "m"(*p));
		else if (size == 2)
			__asm__ volatile("movzwl %1, %0" : "=a"(val) : "m"(*(volatile uint16_t *)p));
		else
			__asm__ volatile("movl %1, %0" : "=a"(val) : "m"(*(volatile uint32_t *)p));
		return val;
	}
	if (seg || reg > 0xff)
		return ~0u;
	outl(0xcf8, (uint32_t)BIT(31) | (uint32_t)bdf << 8 | (reg & 0xfc));
	if (size == 1)
		return inb((uint16_t)(0xcfc + (reg & 3)));
	return size == 2 ? inw((uint16_t)(0xcfc + (reg & 2))) : inl(0xcfc);
}

void pci_write(uint16_t seg, uint16_t bdf, unsigned reg, unsigned size, uint32_t val)
{
	volatile uint8_t *p = ecam(seg, bdf);

	if (reg > 0x1000 - size)
		return;
	if (p) {
		p += reg;
		if (size == 1)
			__asm__ volatile("movb %b1, %0" : "=m"(*p) : "a"(val));
		else if (size == 2)
			__asm__ volatile("movw %w1, %0" : "=m"(*(volatile uint16_t *)p) : "a"(val));
		else
			__asm__ volatile("movl %1, %0" : "=m"(*(volatile uint32_t *)p) : "a"(val));
		return;
	}
	if (seg || reg > 0xff)
		return;
	outl(0xcf8, (uint32_t)BIT(31) | (uint32_t)bdf << 8 | (reg & 0xfc));
	if (size == 1)
		outb((uint16_t)(0xcfc + (reg & 3)), (uint8_t)val);
	else if (size == 2)
		outw((uint16_t)(0xcfc + (reg & 2)), (uint16_t)val);
	else
		outl(0xcfc, val);
}

static uint32_t dev_read(const struct pci_dev *dev, unsigned reg, unsigned size)
{
	return pci_read(dev->seg, dev->bdf, reg, size);
}

static void dev_write(const struct pci_dev *dev, unsigned reg, unsigned size, uint32_t val)
{
	pci_write(dev->seg, dev->bdf, reg, size, val);
}

/* ---- sleep ---- */

/* The host and ISA bridges' own registers: ECAM's address, the ACPI ports. */
static struct {
	uint16_t bdf;
	uint32_t reg[64];
} chipset[4];
static unsigned nr_chipset;

static uint32_t port_read(uint16_t bdf, unsigned reg)
{
	outl(0xcf8, (uint32_t)BIT(31) | (uint32_t)bdf << 8 | reg);
	return inl(0xcfc);
}

void pci_suspend(void)
{
	nr_chipset = 0;
	list_for_each(l, &pci_devs) {
		const struct pci_dev *dev = list_entry(l, struct pci_dev, link);

		if (dev->seg || dev->bdf >> 8 || dev->class >> 9 != 0x0600 >> 1 || nr_chipset == ARRAY_SIZE(chipset))
			continue;
		chipset[nr_chipset].bdf = dev->bdf;
		for (unsigned i = 0; i < 64; i++)
			chipset[nr_chipset].reg[i] = port_read(dev->bdf, 4 * i);
		nr_chipset++;
	}
}

/* It is the firmware's to set them up again. SeaBIOS 1.16 does it through the ECAM window, which is not open then. */
void pci_resume(void)
{
	if (!nr_chipset || pci_read(0, chipset[0].bdf, 0, 4) == chipset[0].reg[0])
		return;
	printk(LOG_WARN "the firmware left the chipset as a reset does: set up as before");
	for (unsigned n = 0; n < nr_chipset; n++) {
		for (unsigned i = 63; i >= 16; i--) { /* downwards: enable bits are in the lower half */
			if (port_read(chipset[n].bdf, 4 * i) != chipset[n].reg[i])
				outl(0xcfc, chipset[n].reg[i]);
		}
	}
}

/* ---- one device ---- */

static bool is_bridge(const struct pci_dev *dev)
{
	return (dev->header_type & 0x7f) == 1;
}

static unsigned bar_count(const struct pci_dev *dev)
{
	unsigned type = dev->header_type & 0x7f;

	return type == 0 ? 6 : type == 1 ? 2 : 0;
}

/* Machine address of the MSI-X table, 0 when it is not within the BAR that it names (PCI 3.0 6.8.2.4). */
static uint64_t msix_place(struct pci_dev *dev, unsigned nr_bars)
{
	uint32_t at = dev_read(dev, dev->cap_msix + 4u, 4), off = at & ~7u, len = 16u * dev->msix_count;
	const struct pci_bar *b = &dev->bar[at & 7];

	if ((at & 7) >= nr_bars || !b->mem || !b->addr || (b->size && (uint64_t)off + len > b->size))
		return 0;
	return b->addr + off;
}

void pci_read_bars(struct pci_dev *dev)
{
	unsigned n = bar_count(dev);

	for (unsigned i = 0; i < n; i++) {
		struct pci_bar *b = &dev->bar[i];
		uint32_t lo = dev_read(dev, PCI_BAR(i), 4);

		b->mem = !(lo & 1);
		b->is64 = b->mem && (lo & 6) == 4 && i + 1 < n;
		b->addr = lo & (b->mem ? ~15u : ~3u);
		if (b->is64)
			b->addr |= (uint64_t)dev_read(dev, PCI_BAR(++i), 4) << 32;
	}
	if (n == 6)
		dev->bar[6].addr = dev_read(dev, PCI_ROM, 4) & ~0x7ffu;
	dev->msix_table = dev->cap_msix ? msix_place(dev, n) : 0;
}

/* Writes ones, reads the size mask, writes the old value back. */
static uint32_t size_mask(struct pci_dev *dev, unsigned reg)
{
	uint32_t old = dev_read(dev, reg, 4), mask;

	dev_write(dev, reg, 4, ~0u);
	mask = dev_read(dev, reg, 4);
	dev_write(dev, reg, 4, old);
	return mask;
}

/* Sizes want decoding off, for the probe value is an address (PCI 3.0 6.2.5.1). Host bridges and bridges stay as they are:
 * what is behind them would be cut off meanwhile. */
static void size_bars(struct pci_dev *dev)
{
	uint32_t cmd = dev_read(dev, PCI_COMMAND, 2);

	if (bar_count(dev) != 6 || dev->class >> 8 == 0x0600)
		return;
	dev_write(dev, PCI_COMMAND, 2, cmd & ~(uint32_t)(PCI_CMD_IO | PCI_CMD_MEMORY));
	for (unsigned i = 0; i < 6; i++) {
		struct pci_bar *b = &dev->bar[i];
		uint64_t mask = size_mask(dev, PCI_BAR(i)) & (b->mem ? ~15u : ~3u);

		if (b->is64)
			mask |= (uint64_t)size_mask(dev, PCI_BAR(++i)) << 32;
		else if (mask)
			mask |= b->mem ? ~0ull << 32 : ~0ull << 16; /* I/O BARs may leave the upper half out */
		b->size = mask & -mask;
	}
	dev->bar[6].mem = true;
	dev->bar[6].size = size_mask(dev, PCI_ROM) & ~0x7ffu;
	dev->bar[6].size &= -dev->bar[6].size;
	dev_write(dev, PCI_COMMAND, 2, cmd);
}

static void find_caps(struct pci_dev *dev)
{
	uint8_t at;

	if (!(dev_read(dev, PCI_STATUS, 2) & BIT(4)) || (dev->header_type & 0x7f) > 1)
		return;
	at = (uint8_t)dev_read(dev, PCI_CAP_POINTER, 1) & 0xfc;
	for (unsigned n = 0; n < MAX_CAPS && at >= 0x40; n++) {
		uint32_t head = dev_read(dev, at, 2);

		/* The first of a kind counts; one too near the end to be whole does not. */
		if ((head & 0xff) == CAP_MSI && !dev->cap_msi && at <= 0xe8)
			dev->cap_msi = at;
		else if ((head & 0xff) == CAP_MSIX && !dev->cap_msix && at <= 0xf4)
			dev->cap_msix = at;
		else if ((head & 0xff) == CAP_EXP && !dev->cap_exp && at <= 0xec)
			dev->cap_exp = at;
		at = (uint8_t)(head >> 8) & 0xfc;
	}
	if (dev->cap_msix)
		dev->msix_count = (uint16_t)((dev_read(dev, dev->cap_msix + 2u, 2) & 0x7ff) + 1);
}

static struct pci_dev *bridge_to(uint16_t seg, unsigned bus)
{
	list_for_each(l, &pci_devs) {
		struct pci_dev *b = list_entry(l, struct pci_dev, link);

		if (b->seg == seg && is_bridge(b) && dev_read(b, PCI_SECONDARY, 1) == bus && b->bdf >> 8 != bus)
			return b;
	}
	return NULL;
}

/* The source id of requests that reach the IOMMU: a bridge to conventional PCI puts its own on (VT-d 3.4.1). The one nearest
 * to the root has the last word. */
static uint16_t source_id(const struct pci_dev *dev)
{
	uint16_t sid = dev->bdf;
	unsigned bus = dev->bdf >> 8;

	for (unsigned depth = 0; bus && depth < MAX_DEPTH; depth++) {
		struct pci_dev *b = bridge_to(dev->seg, bus);

		if (!b)
			break;
		if (!b->cap_exp)
			sid = b->bdf;
		else if ((dev_read(b, b->cap_exp + 2u, 2) >> 4 & 15) == EXP_PCIE_TO_PCI)
			sid = (uint16_t)(bus << 8);
		bus = b->bdf >> 8;
	}
	return sid;
}

struct pci_dev *pci_find(uint16_t seg, uint16_t bdf)
{
	list_for_each(l, &pci_devs) {
		struct pci_dev *dev = list_entry(l, struct pci_dev, link);

		if (dev->bdf == bdf && dev->seg == seg)
			return dev;
	}
	return NULL;
}

struct pci_dev *pci_add(uint16_t seg, uint16_t bdf)
{
	struct pci_dev *dev = pci_find(seg, bdf);
	uint32_t id;

	if (dev)
		return dev;
	id = pci_read(seg, bdf, PCI_VENDOR, 4);
	if ((id & 0xffff) == 0xffff || !(id & 0xffff))
		return NULL;
	dev = kalloc(sizeof(*dev));
	if (!dev)
		return NULL;
	dev->seg = seg;
	dev->bdf = bdf;
	dev->class = dev_read(dev, PCI_CLASS, 4) >> 8;
	dev->header_type = (uint8_t)dev_read(dev, PCI_HEADER_TYPE, 1);
	find_caps(dev);
	pci_read_bars(dev);
	size_bars(dev);
	pci_read_bars(dev); /* checked against the sizes this time */
	dev->sid = source_id(dev);
	list_add_tail(&pci_devs, &dev->link);
	return dev;
}

void pci_remove(struct pci_dev *dev)
{
	vmsi_reset(dev);
	if (iommu_enabled)
		iommu_assign(dev, NULL);
	list_del(&dev->link);
	kfree(dev->msix);
	kfree(dev->msi);
	kfree(dev);
}

/* ---- finding them ---- */

static void scan_bus(uint16_t seg, unsigned bus, unsigned depth)
{
	for (unsigned fn = 0; fn < 256; fn++) {
		struct pci_dev *dev = pci_find(seg, (uint16_t)(bus << 8 | fn));
		unsigned next;

		if (dev) /* seen already: bridges that lead to one bus */
			return;
		dev = pci_add(seg, (uint16_t)(bus << 8 | fn));
		if (dev && is_bridge(dev) && depth < MAX_DEPTH) {
			next = dev_read(dev, PCI_SECONDARY, 1);
			if (next > bus)
				scan_bus(seg, next, depth + 1);
		}
		if (!(fn & 7) && (!dev || !(dev->header_type & 0x80)))
			fn |= 7; /* no further functions */
	}
}

void pci_init(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < acpi.nr_ecam; i++)
		scan_bus(acpi.ecam[i].seg, acpi.ecam[i].bus_start, 0);
	if (list_empty(&pci_devs))
		scan_bus(0, 0, 0);
	list_for_each(l, &pci_devs)
		n++;
	printk("%u PCI devices, configuration space by %s", n, acpi.nr_ecam ? "ECAM" : "ports");
}
