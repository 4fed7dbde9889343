/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_IOMMU_H
#define CARREL_IOMMU_H

#include "p2m.h"
#include "types.h"

/* VT-d behind a vendor-neutral interface (iommu/vtd.c, iommu/dmar.c). Core lock. */
struct domain;
struct pci_dev;

extern bool iommu_enabled;   /* false only with iommu=off */
extern bool iommu_intremap;

/* Parses DMAR, checks the units, turns translation (all devices blocked) and interrupt remapping on. refuse()s when
 * iommu=required and something is missing. */
void iommu_init(void);
/* The units lost their registers: turns on again what was on. CPU 0. */
void iommu_resume(void);
/* True when gpa is a register page of a unit: never mapped into anyone. */
bool iommu_owns(paddr_t pa);

int iommu_domain_init(struct domain *d);   /* allocates d->iommu */
void iommu_domain_free(struct domain *d);
/* Called by p2m_set/p2m_clear when d->iommu. write false: read-only. */
int iommu_map(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, bool write);
int iommu_unmap(struct domain *d, gfn_t gfn, unsigned order);
/* IOTLB flush of what changed since the last flush; p2m_flush calls it. */
void iommu_flush(struct domain *d);
/* Puts the device under d's table (blocks it first); identity maps its RMRRs. d NULL: blocked. */
int iommu_assign(struct pci_dev *dev, struct domain *d);

/* Interrupt remapping entries. */
int iommu_irte_alloc(void);                /* index, or -ENOSPC */
void iommu_irte_free(int idx);
/* sid: source id (bus<<8|devfn) that may use it. */
void iommu_irte_set(int idx, uint8_t vector, uint32_t apic_id, bool level, uint16_t sid);
/* Source id of an I/O APIC by its ACPI id, for its entries; -ENOENT. */
int iommu_ioapic_sid(uint8_t ioapic_id);

#endif
