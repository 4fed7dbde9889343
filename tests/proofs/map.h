/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for hv/include/map.h: the proof says where machine memory is (proof_page), if it looks into it at all. */
#ifndef CARREL_MAP_H
#define CARREL_MAP_H

#include "types.h"

void *proof_page(mfn_t mfn);
mfn_t proof_mfn(const void *va);

static inline void *phys_to_virt(paddr_t pa)
{
	return (char *)proof_page(pa >> PAGE_SHIFT) + (pa & ~PAGE_MASK);
}
static inline paddr_t virt_to_phys(const void *va)
{
	return proof_mfn(va) << PAGE_SHIFT;
}
static inline void *mfn_to_virt(mfn_t mfn)
{
	return proof_page(mfn);
}
static inline mfn_t virt_to_mfn(const void *va)
{
	return proof_mfn(va);
}

#endif
