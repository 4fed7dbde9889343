/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for hv/include/map.h on the host: machine memory is one buffer. */
#ifndef CARREL_MAP_H
#define CARREL_MAP_H

#include "types.h"

extern char *shim_ram; /* machine address 0; page aligned */

/* Where the core's image is in it. */
#define __text_start (shim_ram + 2 * MiB)
#define __image_end  (shim_ram + 3 * MiB)

void *ioremap(paddr_t pa, size_t size);
void *ioremap_cached(paddr_t pa, size_t size);

static inline void *phys_to_virt(paddr_t pa)
{
	return shim_ram + pa;
}
static inline paddr_t virt_to_phys(const void *va)
{
	return (paddr_t)((const char *)va - shim_ram);
}
static inline void *mfn_to_virt(mfn_t mfn)
{
	return phys_to_virt(mfn << PAGE_SHIFT);
}
static inline mfn_t virt_to_mfn(const void *va)
{
	return virt_to_phys(va) >> PAGE_SHIFT;
}

#endif
