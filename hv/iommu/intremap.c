// SPDX-License-Identifier: Apache-2.0
/* Interrupt remapping (VT-d 5.1): one table for all units. An entry names the one source that may use it, so that a device can
 * raise only what it was given; the old message format, which names a vector outright, is blocked. */
#include "asm.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "irq.h"
#include "lib.h"
#include "map.h"
#include "vtd.h"

#define IRT_ORDER 8                       /* 1 MiB */
#define IRT_SIZE  (PAGE_SIZE << IRT_ORDER) /* bytes */
#define ENTRIES   (IRT_SIZE / sizeof(struct irte))

/* VT-d 9.10, the remapped form. */
struct irte {
	uint64_t lo, hi;
};
_Static_assert(sizeof(struct irte) == 16, "VT-d 9.10");
_Static_assert(ENTRIES == 65536, "IRTA.S and 16-bit handles");
#define IRTE_P      BIT(0)
#define IRTE_LEVEL  BIT(4)
#define IRTE_VECTOR(v) ((uint64_t)(v) << 16)
#define IRTE_DEST(d)   ((uint64_t)(d) << 32)
#define IRTE_SVT_SID BIT(18) /* SVT 01, SQ 00: all 16 bits of the source id must be these */

#define IRTA_EIME BIT(11)
#define IRTA_S    15 /* 2^(S+1) entries */

#define IEC_ALL      4ull /* VT-d 6.5.2.7 */
#define IEC_INDEX(i) (4ull | BIT(4) | (uint64_t)(i) << 32)

bool iommu_intremap;
static struct irte *table;
static uint64_t used[ENTRIES / 64];
static unsigned hint;
static bool eim, caching;

void intremap_init(void)
{
	eim = lapic_x2apic;
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		if (!dmar_intremap || !(u->ecap & ECAP_IR))
			refuse("the IOMMU cannot remap interrupts: enable VT-d and interrupt remapping (x2APIC) in the firmware "
			       "setup, or start with iommu=off to do without isolation");
		if (eim && !(u->ecap & ECAP_EIM)) {
			printk(LOG_WARN "IOMMU %u: no 32-bit interrupt destinations", u->id);
			eim = false;
		}
		caching |= !!(u->cap & CAP_CM);
	}
	table = core_alloc(IRT_ORDER);
	if (!table)
		refuse("no memory for the interrupt remapping table");
	vtd_clean(table, IRT_SIZE);
	iommu_intremap = true;
}

void intremap_enable(struct vtd_unit *u)
{
	vtd_write64(u, DMAR_IRTA, virt_to_phys(table) | (eim ? IRTA_EIME : 0) | IRTA_S);
	vtd_command(u, GCMD_SIRTP, true);
	vtd_invalidate(u, IEC_ALL, 0);
	vtd_command(u, GCMD_CFI, false);
	vtd_command(u, GCMD_IRE, true);
}

int iommu_irte_alloc(void)
{
	for (unsigned n = 0; n < ARRAY_SIZE(used); n++, hint = (hint + 1) % ARRAY_SIZE(used)) {
		if (~used[hint]) {
			unsigned i = hint * 64 + (unsigned)__builtin_ctzll(~used[hint]);

			bit_set(used, i);
			return (int)i;
		}
	}
	return -ENOSPC;
}

static void invalidate(int idx)
{
	vtd_clean(&table[idx], sizeof(*table));
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++)
		vtd_invalidate(u, IEC_INDEX(idx), 0);
}

void iommu_irte_free(int idx)
{
	if (idx < 0 || (unsigned)idx >= ENTRIES || !bit_test(used, (unsigned)idx))
		return;
	WRITE_ONCE(table[idx].lo, 0);
	invalidate(idx);
	table[idx].hi = 0;
	bit_clear(used, (unsigned)idx);
}

/* While the source stays, the change is one store, so that no interrupt is lost in between. */
void iommu_irte_set(int idx, uint8_t vector, uint32_t apic_id, bool level, uint16_t sid)
{
	struct irte *e = &table[idx];
	uint64_t hi = IRTE_SVT_SID | sid;
	uint64_t lo = IRTE_P | (level ? IRTE_LEVEL : 0) | IRTE_VECTOR(vector) | IRTE_DEST(eim ? apic_id : apic_id << 8);
	bool was = e->lo & IRTE_P;

	ASSERT(bit_test(used, (unsigned)idx));
	if (e->lo == lo && e->hi == hi)
		return;
	if (was && e->hi != hi) {
		WRITE_ONCE(e->lo, 0);
		invalidate(idx);
	}
	WRITE_ONCE(e->hi, hi);
	WRITE_ONCE(e->lo, lo);
	if (was || caching)
		invalidate(idx);
	else
		vtd_clean(e, sizeof(*e));
}
