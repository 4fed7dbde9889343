/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_PCI_H
#define CARREL_PCI_H

#include "irq.h"
#include "lib.h"
#include "types.h"

/* pci/pci.c: the machine's configuration space and devices. pci/vpci.c: what a domain sees of it. Core lock. */
struct domain;
struct vcpu;

struct pci_bar {
	uint64_t addr, size; /* 0 size: none */
	bool mem, is64;
};
struct pci_dev {
	struct list link;
	uint16_t seg;
	uint16_t bdf;          /* bus<<8 | dev<<3 | fn */
	uint16_t sid;          /* source id that its requests carry (bridge alias) */
	uint32_t class;
	uint8_t header_type;
	struct pci_bar bar[7]; /* 6 is the ROM */
	uint8_t cap_msi, cap_msix, cap_exp;
	uint16_t msix_count;
	uint64_t msix_table;   /* machine address, 0 none */
	struct domain *owner;
	/* vpci state */
	bool msi_enabled;
	uint64_t msi_addr;
	uint32_t msi_data;
	struct msi_entry *msi;   /* NULL until MSI was on once */
	bool msix_enabled, msix_maskall;
	struct msix_entry {
		uint64_t addr;
		uint32_t data, ctrl;
		struct msi_entry m;
	} *msix;                 /* msix_count entries, or NULL */
	void *msix_regs;         /* mapping of the pages that hold the table... */
	uint64_t msix_regs_pa;   /* ... which begin here */
};
extern struct list pci_devs;

uint32_t pci_read(uint16_t seg, uint16_t bdf, unsigned reg, unsigned size);
void pci_write(uint16_t seg, uint16_t bdf, unsigned reg, unsigned size, uint32_t val);
void pci_init(void);       /* MCFG or 0xcf8; finds devices */
struct pci_dev *pci_find(uint16_t seg, uint16_t bdf);
struct pci_dev *pci_add(uint16_t seg, uint16_t bdf); /* hotplug: PHYSDEVOP_pci_device_add; finds or probes */
void pci_remove(struct pci_dev *dev);
/* Reads BAR addresses and the MSI-X table's place again; sizes stay. */
void pci_read_bars(struct pci_dev *dev);

#define PCI_VENDOR       0x00
#define PCI_COMMAND      0x04
#define PCI_CMD_IO       BIT(0)
#define PCI_CMD_MEMORY   BIT(1)
#define PCI_STATUS       0x06
#define PCI_CLASS        0x08
#define PCI_HEADER_TYPE  0x0e
#define PCI_BAR(n)       (0x10 + 4 * (n))
#define PCI_SECONDARY    0x19
#define PCI_ROM          0x30
#define PCI_CAP_POINTER  0x34
#define PCI_MSIX_ENABLE  BIT(15)
#define PCI_MSIX_MASKALL BIT(14)

/* Around a sleep of the machine. Devices' own configuration is for the service domain to bring back. */
void pci_suspend(void);
void pci_resume(void);

/* Accesses of a domain. Writes that matter to isolation (MSI, MSI-X, BARs of others) are filtered. */
int vpci_create(struct domain *d);
void vpci_free(struct domain *d);
uint32_t vpci_read(struct domain *d, uint16_t seg, uint16_t bdf, unsigned reg, unsigned size);
void vpci_write(struct domain *d, uint16_t seg, uint16_t bdf, unsigned reg, unsigned size, uint32_t val);
/* ECAM: true when gpa lies in a configuration window; then *bdf and *reg say where. */
bool vpci_ecam(struct domain *d, gpa_t gpa, uint16_t *seg, uint16_t *bdf, unsigned *reg);
/* 0xcf8/0xcfc ports. */
bool vpci_port(struct vcpu *v, uint16_t port, unsigned size, bool in, uint32_t *val);
/* MSI-X table pages of devices that d owns: true when gpa is in one; the access is done. */
bool vpci_msix_access(struct domain *d, gpa_t gpa, unsigned size, bool write, uint64_t *val);
/* pci/vmsi.c, for vpci.c: writes to the MSI capability (reg within it), reads likewise, writes to MSI-X message control. */
unsigned vmsi_cap_size(struct pci_dev *dev);
uint32_t vmsi_cap_read(struct pci_dev *dev, unsigned reg, unsigned size);
void vmsi_cap_write(struct domain *d, struct pci_dev *dev, unsigned reg, unsigned size, uint32_t val);
void vmsi_msix_control(struct domain *d, struct pci_dev *dev, uint16_t val);
/* Ends all messages of the device: it changes hands or goes away. */
void vmsi_reset(struct pci_dev *dev);
/* True when the page at gpa must not be mapped directly (holds an MSI-X table). */
bool vpci_msix_page(struct domain *d, gpa_t gpa);

#endif
