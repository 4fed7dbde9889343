// SPDX-License-Identifier: Apache-2.0
/* A domain's view of configuration space. It reaches the devices it owns; message and BAR writes are looked at on the way. */
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "p2m.h"
#include "pci.h"

struct vpci {
	uint32_t address; /* the 0xcf8 register */
};

int vpci_create(struct domain *d)
{
	d->vpci = kalloc(sizeof(*d->vpci));
	return d->vpci ? 0 : -ENOMEM;
}

void vpci_free(struct domain *d)
{
	kfree(d->vpci);
	d->vpci = NULL;
}

/* The device if d owns it. The service domain's own hotplug driver looks at slots before it announces a device, so one that
 * turns up there becomes its own, blocked from DMA by anyone else. */
static struct pci_dev *owned(struct domain *d, uint16_t seg, uint16_t bdf)
{
	struct pci_dev *dev = pci_find(seg, bdf);

	if (!dev && d->is_dom0 && (dev = pci_add(seg, bdf)) != NULL) {
		dev->owner = d;
		if (iommu_enabled && iommu_assign(dev, d))
			printk(LOG_WARN "device %04x:%02x:%02x.%x stays blocked", seg, bdf >> 8, bdf >> 3 & 31, bdf & 7);
	}
	return dev && dev->owner == d ? dev : NULL;
}

static bool in_msi_cap(struct pci_dev *dev, unsigned reg)
{
	unsigned off = reg - dev->cap_msi;

	return dev->cap_msi && off < 24 && off < vmsi_cap_size(dev);
}

/* Sizes are 1, 2, 4 and naturally aligned, so an access is inside one aligned dword (callers split others). */
uint32_t vpci_read(struct domain *d, uint16_t seg, uint16_t bdf, unsigned reg, unsigned size)
{
	struct pci_dev *dev = owned(d, seg, bdf);

	if (!dev || reg & (size - 1))
		return ~0u;
	if (in_msi_cap(dev, reg))
		return vmsi_cap_read(dev, reg - dev->cap_msi, size);
	return pci_read(seg, bdf, reg, size);
}

/* The pages of a table that has moved may be mapped as plain device memory: take them away. */
static void table_moved(struct domain *d, struct pci_dev *dev)
{
	gfn_t first = dev->msix_table >> PAGE_SHIFT, last = (dev->msix_table + dev->msix_count * 16u - 1) >> PAGE_SHIFT;

	if (!dev->msix_table)
		return;
	for (gfn_t gfn = first; gfn <= last; gfn++) {
		enum p2m_type t;

		p2m_get(d, gfn, &t, NULL);
		if (t == P2M_MMIO && p2m_clear(d, gfn, 0))
			printk(LOG_ERR "no memory to hide an MSI-X table");
	}
	p2m_flush(d);
}

/* BARs hold probe values while a driver sizes them, with decoding off: they count when decoding is on. */
static void bars_changed(struct domain *d, struct pci_dev *dev)
{
	uint64_t old = dev->msix_table;

	if (!(pci_read(dev->seg, dev->bdf, PCI_COMMAND, 2) & PCI_CMD_MEMORY))
		return;
	pci_read_bars(dev);
	if (dev->msix_table != old)
		table_moved(d, dev);
}

void vpci_write(struct domain *d, uint16_t seg, uint16_t bdf, unsigned reg, unsigned size, uint32_t val)
{
	struct pci_dev *dev = owned(d, seg, bdf);
	unsigned dword = reg & ~3u;

	if (!dev || reg & (size - 1))
		return;
	if (in_msi_cap(dev, reg)) {
		vmsi_cap_write(d, dev, reg - dev->cap_msi, size, val);
		return;
	}
	if (dev->cap_msix && dword == dev->cap_msix) {
		/* The upper half is message control; its writable bits are the topmost byte's. */
		if (reg + size == dword + 4u)
			vmsi_msix_control(d, dev, (uint16_t)(size == 4 ? val >> 16 : size == 2 ? val : val << 8));
		return;
	}
	pci_write(seg, bdf, reg, size, val);
	if (dword == PCI_COMMAND || (reg >= PCI_BAR(0) && reg < PCI_BAR(6)))
		bars_changed(d, dev);
}

bool vpci_ecam(struct domain *d, gpa_t gpa, uint16_t *seg, uint16_t *bdf, unsigned *reg)
{
	if (!d->vpci || !d->is_dom0)
		return false;
	for (unsigned i = 0; i < acpi.nr_ecam; i++) {
		uint64_t off = gpa - acpi.ecam[i].base;

		if (gpa < acpi.ecam[i].base || off < acpi.ecam[i].bus_start * MiB ||
		    off >= (acpi.ecam[i].bus_end + 1) * MiB)
			continue;
		*seg = acpi.ecam[i].seg;
		*bdf = (uint16_t)(off >> 12);
		*reg = off & 0xfff;
		return true;
	}
	return false;
}

bool vpci_port(struct vcpu *v, uint16_t port, unsigned size, bool in, uint32_t *val)
{
	struct domain *d = v->domain;
	struct vpci *p = d->vpci;
	uint16_t bdf;
	unsigned reg;

	if (!p || port < 0xcf8 || port > 0xcff)
		return false;
	if (port == 0xcf8 && size == 4) {
		if (in)
			*val = p->address;
		else
			p->address = *val & 0x80fffffc;
		return true;
	}
	if (port < 0xcfc) /* 0xcf9 and its neighbours are the chipset's */
		return false;
	bdf = (uint16_t)(p->address >> 8);
	reg = (p->address & 0xfc) | (port & 3);
	if (!(p->address & BIT(31)) || (port & 3) + size > 4 || reg & (size - 1)) {
		if (in)
			*val = ~0u;
	} else if (in) {
		*val = vpci_read(d, 0, bdf, reg, size);
	} else {
		vpci_write(d, 0, bdf, reg, size, *val);
	}
	return true;
}
