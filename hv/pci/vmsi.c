// SPDX-License-Identifier: Apache-2.0
/* MSI and MSI-X of devices that a domain drives (PCI 3.0 6.8). What the driver wrote is kept and used when the interrupt
 * arrives; the device itself only ever holds a message that the core made. */
#include "domain.h"
#include "frame.h"
#include "map.h"
#include "mmio.h"
#include "pci.h"
#include "vlapic.h"

#define MSI_CTRL_ENABLE   BIT(0)
#define MSI_CTRL_MULTI    0x7eu /* multiple message capable and enable: one message is what there is */
#define MSI_CTRL_64       BIT(7)
#define MSI_CTRL_MASKING  BIT(8)
#define MSIX_ENTRY_MASKED 1u
#define MSIX_ENTRY_SIZE   16u

/* SDM 3A 11.11: destination in address bits 19:12, bit 2 logical; mode and vector in the data. */
void vmsi_deliver(struct domain *d, uint64_t addr, uint32_t data)
{
	if (addr >> 20 == APIC_DEFAULT_BASE >> 20)
		vlapic_deliver(d, addr >> 12 & 0xff, addr & BIT(2), data >> 8 & 7, (uint8_t)data, false);
}

static void no_vector(const struct pci_dev *dev, int rc)
{
	printk_guest("device %04x:%02x:%02x.%x: no host vector (%d)", dev->seg, dev->bdf >> 8, dev->bdf >> 3 & 31,
		     dev->bdf & 7, rc);
}

/* ---- MSI ---- */

static uint32_t cap_read(const struct pci_dev *dev, unsigned off, unsigned size)
{
	return pci_read(dev->seg, dev->bdf, dev->cap_msi + off, size);
}

static void cap_write(const struct pci_dev *dev, unsigned off, unsigned size, uint32_t val)
{
	pci_write(dev->seg, dev->bdf, dev->cap_msi + off, size, val);
}

static unsigned data_offset(uint32_t ctrl)
{
	return ctrl & MSI_CTRL_64 ? 12 : 8;
}

unsigned vmsi_cap_size(struct pci_dev *dev)
{
	uint32_t ctrl = cap_read(dev, 2, 2);

	return data_offset(ctrl) + (ctrl & MSI_CTRL_MASKING ? 12 : 4);
}

/* One dword of the capability as the domain sees it; off is a multiple of 4. */
static uint32_t view(struct pci_dev *dev, unsigned off)
{
	uint32_t head = cap_read(dev, 0, 4), ctrl = head >> 16;

	if (off == 0) {
		ctrl &= ~(uint32_t)(MSI_CTRL_MULTI | MSI_CTRL_ENABLE);
		return (head & 0xffff) | (ctrl | dev->msi_enabled) << 16;
	}
	if (off == 4)
		return (uint32_t)dev->msi_addr;
	if (off == data_offset(ctrl))
		return dev->msi_data;
	if (off == 8)
		return (uint32_t)(dev->msi_addr >> 32);
	return cap_read(dev, off, 4); /* mask and pending bits */
}

uint32_t vmsi_cap_read(struct pci_dev *dev, unsigned reg, unsigned size)
{
	uint32_t val = view(dev, reg & ~3u) >> (8 * (reg & 3));

	return size == 4 ? val : val & ((1u << (8 * size)) - 1);
}

static void msi_enable_hw(const struct pci_dev *dev, bool on)
{
	uint32_t ctrl = cap_read(dev, 2, 2) & ~(0x70u | (uint32_t)MSI_CTRL_ENABLE);

	cap_write(dev, 2, 2, ctrl | (on ? MSI_CTRL_ENABLE : 0));
}

static void msi_stop(struct pci_dev *dev)
{
	msi_enable_hw(dev, false);
	if (dev->msi)
		msi_unbind(dev->msi);
}

/* Makes the device follow what the domain wants. While it is on, a new message only changes where the core delivers. */
static void msi_update(struct domain *d, struct pci_dev *dev)
{
	uint32_t ctrl = cap_read(dev, 2, 2), data;
	uint64_t addr;
	bool was;
	int rc;

	if (!dev->msi_enabled) {
		msi_stop(dev);
		return;
	}
	if (!dev->msi)
		dev->msi = kalloc(sizeof(*dev->msi));
	was = dev->msi && dev->msi->bound;
	rc = dev->msi ? msi_bind(dev->msi, d, dev, dev->msi_addr, dev->msi_data, &addr, &data) : -1;
	if (rc) {
		no_vector(dev, rc);
		return;
	}
	if (was)
		return;
	cap_write(dev, 4, 4, (uint32_t)addr);
	if (ctrl & MSI_CTRL_64)
		cap_write(dev, 8, 4, (uint32_t)(addr >> 32));
	cap_write(dev, data_offset(ctrl), 2, data);
	msi_enable_hw(dev, true);
}

void vmsi_cap_write(struct domain *d, struct pci_dev *dev, unsigned reg, unsigned size, uint32_t val)
{
	unsigned off = reg & ~3u, shift = 8 * (reg & 3);
	uint32_t ones = size == 4 ? ~0u : (1u << (8 * size)) - 1, ctrl = cap_read(dev, 2, 2);

	val = (view(dev, off) & ~(ones << shift)) | (val & ones) << shift;
	if (off == 0)
		dev->msi_enabled = val >> 16 & MSI_CTRL_ENABLE;
	else if (off == 4)
		dev->msi_addr = (dev->msi_addr & ~0xffffffffull) | (val & ~3u);
	else if (off == data_offset(ctrl))
		dev->msi_data = val & 0xffff;
	else if (off == 8)
		dev->msi_addr = (uint32_t)dev->msi_addr | (uint64_t)val << 32;
	else if (off == data_offset(ctrl) + 4)
		cap_write(dev, off, 4, val);
	if (off <= data_offset(ctrl) && (off == 0 || dev->msi_enabled))
		msi_update(d, dev);
}

/* ---- MSI-X ---- */

static uint64_t table_end(const struct pci_dev *dev)
{
	return dev->msix_table + MSIX_ENTRY_SIZE * dev->msix_count;
}

/* The core's pointer to a register in the pages of the table. NULL when these are no device memory: then somebody (the
 * device, or who wrote its BAR) wants the core to write elsewhere. */
static void *msix_reg(struct pci_dev *dev, uint64_t pa)
{
	uint64_t base = dev->msix_table & PAGE_MASK, size = ALIGN_UP(table_end(dev), PAGE_SIZE) - base;

	if (!dev->msix_table)
		return NULL;
	if (!dev->msix_regs || dev->msix_regs_pa != base) {
		for (uint64_t at = base; at < base + size; at += PAGE_SIZE)
			if (!is_device_frame(at >> PAGE_SHIFT))
				return NULL;
		dev->msix_regs = ioremap(base, size);
		dev->msix_regs_pa = base;
	}
	return dev->msix_regs ? (char *)dev->msix_regs + (pa - base) : NULL;
}

static volatile uint32_t *entry_hw(struct pci_dev *dev, unsigned i)
{
	return msix_reg(dev, dev->msix_table + MSIX_ENTRY_SIZE * i);
}

static bool msix_alloc(struct pci_dev *dev)
{
	if (!dev->msix && (dev->msix = kalloc(dev->msix_count * sizeof(*dev->msix))) != NULL)
		for (unsigned i = 0; i < dev->msix_count; i++)
			dev->msix[i].ctrl = MSIX_ENTRY_MASKED;
	return dev->msix;
}

static void entry_mask(volatile uint32_t *hw)
{
	hw[3] = MSIX_ENTRY_MASKED;
	(void)hw[3]; /* reading makes sure that it has arrived */
}

static void entry_update(struct domain *d, struct pci_dev *dev, unsigned i)
{
	struct msix_entry *e = &dev->msix[i];
	volatile uint32_t *hw = dev->msix_enabled ? entry_hw(dev, i) : NULL;
	bool was = e->m.bound;
	uint64_t addr;
	uint32_t data;
	int rc;

	if (!hw)
		return;
	if (e->ctrl & MSIX_ENTRY_MASKED || dev->msix_maskall) {
		entry_mask(hw);
		return;
	}
	rc = msi_bind(&e->m, d, dev, e->addr, e->data, &addr, &data);
	if (rc) {
		no_vector(dev, rc);
		return;
	}
	if (!was) {
		hw[0] = (uint32_t)addr;
		hw[1] = (uint32_t)(addr >> 32);
		hw[2] = data;
	}
	hw[3] = 0;
}

static void control_hw(const struct pci_dev *dev, uint32_t val)
{
	pci_write(dev->seg, dev->bdf, dev->cap_msix + 2u, 2, val);
}

static void msix_stop(struct pci_dev *dev)
{
	control_hw(dev, 0);
	for (unsigned i = 0; dev->msix && i < dev->msix_count; i++)
		msi_unbind(&dev->msix[i].m);
}

void vmsi_msix_control(struct domain *d, struct pci_dev *dev, uint16_t val)
{
	bool was = dev->msix_enabled;

	if (!msix_alloc(dev))
		return;
	dev->msix_enabled = val & PCI_MSIX_ENABLE;
	dev->msix_maskall = val & PCI_MSIX_MASKALL;
	if (!dev->msix_enabled) {
		if (was)
			msix_stop(dev);
		control_hw(dev, dev->msix_maskall ? PCI_MSIX_MASKALL : 0);
		return;
	}
	control_hw(dev, PCI_MSIX_ENABLE | PCI_MSIX_MASKALL);
	for (unsigned i = 0; i < dev->msix_count; i++) /* a new table may hold anything: mask what is not in use */
		if (!was || !(dev->msix[i].ctrl & MSIX_ENTRY_MASKED))
			entry_update(d, dev, i);
	/* Without access to the table its entries cannot be trusted to be masked. */
	if (!dev->msix_maskall && entry_hw(dev, 0))
		control_hw(dev, PCI_MSIX_ENABLE);
}

/* The domain's table: 32-bit and 64-bit aligned accesses (PCI 3.0 6.8.2). */
static void entry_access(struct domain *d, struct pci_dev *dev, uint64_t off, unsigned size, bool write, uint64_t *val)
{
	unsigned i = (unsigned)(off / MSIX_ENTRY_SIZE), at = off % MSIX_ENTRY_SIZE;
	struct msix_entry *e;
	uint64_t half[2];

	if (!write)
		*val = ~0ull;
	if (size < 4 || at & (size - 1) || !msix_alloc(dev))
		return;
	e = &dev->msix[i];
	half[0] = e->addr;
	half[1] = e->data | (uint64_t)e->ctrl << 32;
	if (!write) {
		*val = half[at / 8] >> (at & 4 ? 32 : 0);
		return;
	}
	memcpy((char *)half + at, val, size);
	e->addr = half[0] & ~3ull;
	e->data = (uint32_t)half[1];
	e->ctrl = (uint32_t)(half[1] >> 32) & MSIX_ENTRY_MASKED;
	entry_update(d, dev, i);
}

/* Another register that shares a page with the table. */
static void neighbour_access(struct pci_dev *dev, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	volatile void *p = msix_reg(dev, gpa);

	if (!write)
		*val = ~0ull;
	if (!p || gpa & (size - 1))
		return;
#define MOVE(type) (write ? (void)(*(volatile type *)p = (type)*val) : (void)(*val = *(volatile type *)p))
	switch (size) {
	case 1:
		MOVE(uint8_t);
		break;
	case 2:
		MOVE(uint16_t);
		break;
	case 4:
		MOVE(uint32_t);
		break;
	default:
		MOVE(uint64_t);
	}
#undef MOVE
}

static struct pci_dev *msix_dev(struct domain *d, gpa_t gpa)
{
	list_for_each(l, &pci_devs) {
		struct pci_dev *dev = list_entry(l, struct pci_dev, link);

		if (dev->msix_table && dev->owner == d && gpa >= (dev->msix_table & PAGE_MASK) &&
		    gpa < ALIGN_UP(table_end(dev), PAGE_SIZE))
			return dev;
	}
	return NULL;
}

bool vpci_msix_page(struct domain *d, gpa_t gpa)
{
	return msix_dev(d, gpa);
}

bool vpci_msix_access(struct domain *d, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	struct pci_dev *dev = msix_dev(d, gpa);

	if (!dev)
		return false;
	if (gpa + size > dev->msix_table && gpa < table_end(dev)) {
		if (gpa >= dev->msix_table)
			entry_access(d, dev, gpa - dev->msix_table, size, write, val);
		else if (!write)
			*val = ~0ull;
	} else {
		neighbour_access(dev, gpa, size, write, val);
	}
	return true;
}

void vmsi_reset(struct pci_dev *dev)
{
	if (dev->msi_enabled)
		msi_stop(dev);
	if (dev->msix_enabled)
		msix_stop(dev);
	dev->msi_enabled = dev->msix_enabled = dev->msix_maskall = false;
	dev->msi_addr = dev->msi_data = 0;
	kfree(dev->msix);
	dev->msix = NULL;
}
