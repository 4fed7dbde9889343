/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_MAP_H
#define CARREL_MAP_H

#include "config.h"
#include "types.h"

/* The core's own address space (hv/mm/map.c). */

/* RAM is always mapped: translation is arithmetic. */
static inline void *phys_to_virt(paddr_t pa)
{
	return (void *)(pa + DIRECTMAP_BASE);
}
/* Of a direct-map or image address. */
static inline paddr_t virt_to_phys(const void *va)
{
	uintptr_t a = (uintptr_t)va;
	return a >= CORE_VIRT_BASE ? a - CORE_VIRT_BASE : a - DIRECTMAP_BASE;
}
static inline void *mfn_to_virt(mfn_t mfn)
{
	return phys_to_virt(mfn << PAGE_SHIFT);
}
static inline mfn_t virt_to_mfn(const void *va)
{
	return virt_to_phys(va) >> PAGE_SHIFT;
}

/* The image's sections, page aligned, in this order (boot/carrel.lds.S). Data and bss are one writable stretch. */
extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __bss_start[], __bss_end[],
	__image_end[];

/* Builds the final tables: image sections W^X, direct map of all RAM in ram[] with 2M/1G pages, drops the identity map
 * (kept below 1 MiB for the AP trampoline until map_seal). Boot CPU only. */
void map_init(void);
/* Drops the map of the first megabyte; false brings it back, for CPUs that start again. */
void map_seal(bool seal);
/* Maps device registers uncached; never unmapped, so each place once. NULL when out of space. Core lock. */
void *ioremap(paddr_t pa, size_t size);
/* As ioremap, but write-back: for firmware tables outside RAM. */
void *ioremap_cached(paddr_t pa, size_t size);
/* CR3 of the core, for APs. */
paddr_t core_cr3(void);

#endif
