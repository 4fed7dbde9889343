// SPDX-License-Identifier: Apache-2.0
/* Host side of a device's MSI and MSI-X messages: the guest's message is kept here, the device sends the core's. */
#include "cpu.h"
#include "iommu.h"
#include "irq.h"
#include "pci.h"
#include "vlapic.h"

#define MSI_BASE       0xfee00000ul
#define MSI_REMAPPABLE BIT(4) /* VT-d 5.1.2.2 */

static void msi_fire(struct irq *i)
{
	struct msi_entry *m = i->data;

	vmsi_deliver(m->domain, m->guest_addr, m->guest_data);
}

static int attach(struct msi_entry *m)
{
	int rc;

	m->irq.fn = msi_fire;
	m->irq.data = m;
	m->irte = -1;
	rc = irq_alloc(&m->irq, NULL);
	if (rc || !iommu_intremap)
		return rc;
	m->irte = iommu_irte_alloc();
	if (m->irte < 0) {
		irq_free(&m->irq);
		return m->irte;
	}
	iommu_irte_set(m->irte, m->irq.vector, m->irq.cpu->apic_id, false, m->dev->sid);
	return 0;
}

int msi_bind(struct msi_entry *m, struct domain *d, struct pci_dev *dev, uint64_t guest_addr, uint32_t guest_data,
	     uint64_t *host_addr, uint32_t *host_data)
{
	m->domain = d;
	m->dev = dev;
	m->guest_addr = guest_addr;
	m->guest_data = guest_data;
	if (!m->bound) {
		int rc = attach(m);

		if (rc)
			return rc;
		m->bound = true;
	}
	if (m->irte >= 0) {
		/* VT-d 5.1.5.2: handle 14:0 in address bits 19:5, 15 in bit 2; no subhandle, so the data is 0. */
		uint32_t index = (uint32_t)m->irte;

		*host_addr = MSI_BASE | (index & 0x7fff) << 5 | MSI_REMAPPABLE | (index >> 15 & 1) << 2;
		*host_data = 0;
	} else {
		/* SDM 3A 11.11: physical destination, fixed, edge. */
		*host_addr = MSI_BASE | (uint64_t)(m->irq.cpu->apic_id & 0xff) << 12;
		*host_data = m->irq.vector;
	}
	return 0;
}

void msi_unbind(struct msi_entry *m)
{
	if (!m->bound)
		return;
	if (m->irte >= 0)
		iommu_irte_free(m->irte);
	irq_free(&m->irq);
	m->irte = -1;
	m->bound = false;
}
