// SPDX-License-Identifier: Apache-2.0
/* The core's own page tables (SDM 3A 5.5): one set for all CPUs, never taken apart, only added to by ioremap. */
#include "map.h"
#include "asm.h"
#include "boot.h"
#include "frame.h"

#define PTE_P   BIT(0)
#define PTE_W   BIT(1)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_PS  BIT(7)
#define PTE_NX  BIT(63)
#define PTE_PA  0x000ffffffffff000ul
#define UNCACHED (PTE_PCD | PTE_PWT) /* PAT entry 3: UC at reset and as the core leaves it */

#define IOMAP_END (IOMAP_BASE + 512 * GiB)
#define MAPPABLE  BIT(46) /* direct map and I/O map do not meet below that */

static uint64_t *pml4;
static uintptr_t io_next = IOMAP_BASE;

static uint64_t *new_table(void)
{
	return frame_max ? core_alloc(0) : phys_to_virt(boot_alloc(PAGE_SIZE, PAGE_SIZE)); /* both zeroed */
}

/* Maps whole pages with the largest entries that fit, up to level (0 4K, 1 2M, 2 1G). What is mapped already stays as it
 * is, so the more special ranges come first. False when there is no memory for a table. */
static bool map_range(uintptr_t va, paddr_t pa, uint64_t size, uint64_t flags, unsigned largest)
{
	for (uint64_t step; size; va += step, pa += step, size -= MIN(step, size)) {
		uint64_t *t = pml4;

		for (unsigned level = 3;; level--) {
			uint64_t *e = &t[va >> (PAGE_SHIFT + 9 * level) & 511];

			step = PAGE_SIZE << 9 * level;
			if (!(*e & PTE_P) && level <= largest && !((va | pa) & (step - 1)) && size >= step)
				*e = pa | flags | PTE_P | (level ? PTE_PS : 0);
			if (!level || (*e & PTE_PS))
				break;
			if (!(*e & PTE_P)) {
				t = new_table();
				if (!t)
					return false;
				*e = virt_to_phys(t) | PTE_P | PTE_W;
			}
			t = phys_to_virt(*e & PTE_PA);
		}
		step -= va & (step - 1);
	}
	return true;
}

static void map_section(const char *start, const char *end, uint64_t flags)
{
	map_range((uintptr_t)start, virt_to_phys(start), (uint64_t)(end - start), flags, 0);
}

static void map_direct(paddr_t start, paddr_t end, uint64_t flags, unsigned largest)
{
	if (start < end && end <= MAPPABLE)
		map_range(DIRECTMAP_BASE + start, start, end - start, flags | PTE_NX, largest);
}

/* All RAM, and the firmware's tables beside it, which are read like RAM. */
static void map_ram(void)
{
	unsigned largest = cpuid(0x80000001, 0).d & BIT(26) ? 2 : 1; /* Page1GB */

	/* The image's text and constants are not writable here either. */
	map_direct(virt_to_phys(__text_start), virt_to_phys(__rodata_end), 0, 0);
	map_direct(virt_to_phys(__data_start), virt_to_phys(__image_end), PTE_W, 0);
	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];
		paddr_t end = e->addr + e->size;

		if (e->type == E820_RAM && end > e->addr)
			map_direct(ALIGN_UP(e->addr, PAGE_SIZE), ALIGN_DOWN(end, PAGE_SIZE), PTE_W, largest);
	}
	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];
		paddr_t end = e->addr + e->size;

		if ((e->type == E820_ACPI || e->type == E820_NVS) && end > e->addr)
			map_direct(ALIGN_DOWN(e->addr, PAGE_SIZE), ALIGN_UP(end, PAGE_SIZE), PTE_W, 0);
	}
}

void map_init(void)
{
	pml4 = new_table();
	map_section(__text_start, __text_end, 0);
	map_section(__rodata_start, __rodata_end, PTE_NX);
	map_section(__data_start, __image_end, PTE_W | PTE_NX);
	map_ram();
	map_range(0, 0, MiB, PTE_W, 0); /* the trampoline runs here until map_seal */
	write_cr3(core_cr3()); /* CR0.WP and EFER.NX are on since head.S */
}

void map_seal(bool seal)
{
	static uint64_t low;

	/* Other CPUs may hold entries of it for a while: nothing in the core uses such an address any more. */
	low |= pml4[0];
	pml4[0] = seal ? 0 : low;
	write_cr3(core_cr3());
}

static void *iomap(paddr_t pa, size_t size, uint64_t flags)
{
	paddr_t first = pa & PAGE_MASK;
	uintptr_t va = io_next;
	uint64_t len;

	if (!size || size > IOMAP_END - IOMAP_BASE || pa >= BIT(52) - size)
		return NULL;
	len = ALIGN_UP(pa + size, PAGE_SIZE) - first;
	if (len >= 2 * MiB)
		va = ALIGN_UP(va, 2 * MiB) + (first & (2 * MiB - 1));
	if (len > IOMAP_END - va || !map_range(va, first, len, flags | PTE_W | PTE_NX, 1))
		return NULL;
	io_next = va + len + PAGE_SIZE; /* a hole behind each */
	return (void *)(va + (pa - first));
}

void *ioremap(paddr_t pa, size_t size)
{
	return iomap(pa, size, UNCACHED);
}

void *ioremap_cached(paddr_t pa, size_t size)
{
	return iomap(pa, size, 0);
}

paddr_t core_cr3(void)
{
	return virt_to_phys(pml4);
}
