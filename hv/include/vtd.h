/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VTD_H
#define CARREL_VTD_H

#include "types.h"

/* Between the files of iommu/ only. Section numbers: VT-d specification 3.x. */
struct pci_dev;

#define VTD_MAX_UNITS 16

/* A device scope with its path resolved (VT-d 8.3.1). */
enum { SCOPE_ENDPOINT = 1, SCOPE_BRIDGE = 2, SCOPE_IOAPIC = 3, SCOPE_HPET = 4, SCOPE_ACPI = 5 };
struct dmar_scope {
	uint8_t type, id; /* id: of the I/O APIC */
	uint16_t bdf;
};

/* One 128-bit invalidation queue entry (VT-d 6.5.2). */
struct qi_desc {
	uint64_t lo, hi;
};

/* A remapping unit: filled by dmar.c, run by vtd.c. Core lock. */
struct vtd_unit {
	unsigned id;
	paddr_t base;
	uint16_t seg;
	bool include_all;
	struct dmar_scope *scope;
	unsigned nr_scopes;

	uint8_t *regs;
	size_t regs_size;
	uint64_t cap, ecap;
	uint64_t *root;            /* 256 root entries of two words */
	struct qi_desc *queue;
	unsigned tail;             /* next free queue entry */
	volatile uint32_t done;    /* the unit writes the last wait descriptor's number here */
	uint32_t seq;
};
extern struct vtd_unit vtd_units[VTD_MAX_UNITS];
extern unsigned nr_vtd_units;

/* Reserved memory that a device goes on using (VT-d 8.4). */
struct dmar_rmrr {
	uint16_t seg;
	paddr_t base, end; /* page aligned, end exclusive */
	struct dmar_scope *scope;
	unsigned nr_scopes;
};
#define DMAR_MAX_RMRRS 32
extern struct dmar_rmrr dmar_rmrrs[DMAR_MAX_RMRRS];
extern unsigned nr_dmar_rmrrs;

/* Reads the DMAR table; false when there is none. refuse()s a damaged one. */
bool dmar_parse(void);
extern bool dmar_intremap; /* the firmware says that the platform can remap interrupts */
bool dmar_scope_has(const struct dmar_scope *s, unsigned n, uint16_t seg, uint16_t bdf);
/* The unit that a device is behind; NULL when the firmware named none. */
struct vtd_unit *dmar_unit(uint16_t seg, uint16_t bdf);

/* Registers (VT-d 10.4). */
#define DMAR_CAP    0x08
#define DMAR_ECAP   0x10
#define DMAR_GCMD   0x18
#define DMAR_GSTS   0x1c
#define DMAR_RTADDR 0x20
#define DMAR_FSTS   0x34
#define DMAR_FECTL  0x38
#define DMAR_FEDATA 0x3c
#define DMAR_FEADDR 0x40
#define DMAR_FEUADDR 0x44
#define DMAR_PMEN   0x64
#define DMAR_IQT    0x88
#define DMAR_IQA    0x90
#define DMAR_IRTA   0xb8

#define GCMD_TE   BIT(31)
#define GCMD_SRTP BIT(30)
#define GCMD_WBF  BIT(27)
#define GCMD_QIE  BIT(26)
#define GCMD_IRE  BIT(25)
#define GCMD_SIRTP BIT(24)
#define GCMD_CFI  BIT(23)

#define CAP_ND(c)     (1u << (4 + 2 * ((c) & 7)))
#define CAP_RWBF      BIT(4)
#define CAP_CM        BIT(7)
#define CAP_SAGAW_39  BIT(9)
#define CAP_SAGAW_48  BIT(10)
#define CAP_FRO(c)    (((c) >> 24 & 0x3ff) * 16)
#define CAP_SLLPS_2M  BIT(34)
#define CAP_SLLPS_1G  BIT(35)
#define CAP_PSI       BIT(39)
#define CAP_NFR(c)    (((c) >> 40 & 0xff) + 1)
#define CAP_MAMV(c)   ((c) >> 48 & 0x3f)
#define CAP_DWD       BIT(54)
#define CAP_DRD       BIT(55)
#define ECAP_C        BIT(0)
#define ECAP_QI       BIT(1)
#define ECAP_IR       BIT(3)
#define ECAP_EIM      BIT(4)

static inline uint32_t vtd_read32(const struct vtd_unit *u, unsigned reg)
{
	return *(const volatile uint32_t *)(u->regs + reg);
}
static inline uint64_t vtd_read64(const struct vtd_unit *u, unsigned reg)
{
	return *(const volatile uint64_t *)(u->regs + reg);
}
static inline void vtd_write32(struct vtd_unit *u, unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(u->regs + reg) = v;
}
static inline void vtd_write64(struct vtd_unit *u, unsigned reg, uint64_t v)
{
	*(volatile uint64_t *)(u->regs + reg) = v;
}
/* Sets or clears one global command and waits until the status says so; panics when it never does. */
void vtd_command(struct vtd_unit *u, uint64_t bit, bool on);
/* Runs an invalidation and waits until it has taken effect; panics when it never does. */
void vtd_invalidate(struct vtd_unit *u, uint64_t lo, uint64_t hi);
/* Writes back what a unit that does not snoop the CPU's caches will read. */
void vtd_clean(const void *p, size_t n);

/* intremap.c */
void intremap_init(void);
void intremap_enable(struct vtd_unit *u); /* VT-d 5.1; its queue is on */

#endif
