// SPDX-License-Identifier: Apache-2.0
/* physdev_op (xen/physdev.h): the service domain reports the PCI devices that it finds and loses. */
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "iommu.h"
#include "pci.h"

#include <xen/physdev.h>

static int64_t physdev_pci_device_add(struct vcpu *v, gva_t at)
{
	struct physdev_pci_device_add a;
	struct pci_dev *dev;

	if (copy_from_guest(&a, at, sizeof(a)))
		return -EFAULT;
	dev = pci_add(a.seg, (uint16_t)(a.bus << 8 | a.devfn));
	if (!dev)
		return -ENODEV;
	if (dev->owner)
		return 0; /* seen at boot, or lent to a domain */
	dev->owner = v->domain;
	return iommu_enabled ? iommu_assign(dev, v->domain) : 0;
}

static int64_t physdev_pci_device_remove(struct vcpu *v, gva_t at)
{
	struct physdev_pci_device a;
	struct pci_dev *dev;

	if (copy_from_guest(&a, at, sizeof(a)))
		return -EFAULT;
	dev = pci_find(a.seg, (uint16_t)(a.bus << 8 | a.devfn));
	if (!dev)
		return -ENODEV;
	if (dev->owner && dev->owner != v->domain)
		return -EBUSY;
	if (iommu_enabled)
		iommu_assign(dev, NULL);
	pci_remove(dev);
	return 0;
}

int64_t hypercall_physdev_op(struct vcpu *v, uint64_t *arg)
{
	if (!v->domain->is_dom0)
		return -ENOSYS;
	switch (arg[0]) {
#define OP(name)   case PHYSDEVOP_##name: return physdev_##name(v, arg[1]);
#define CASE(name) case PHYSDEVOP_##name:
#include "physdev_ops.def"
	default:
		return -ENOSYS;
	}
}
