/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACKS_H
#define ATTACKS_H

#include "tests.h"

enum { DONE, CRASH, REBOOT, ENDLESS, ANY };
struct attack {
	const char *name;
	void (*fn)(void);
	unsigned ends, ms, vcpus, extra; /* how, after how long at most; pages at EXTRA_GFN */
};
#define ATTACK(fn, ends, ms, vcpus, extra) void fn(void);
#include "attacks.def"
#undef ATTACK

/* Not canonical; nothing there in the page tables; nothing there in the physical map. */
#define NOWHERE  0x800000000000ul
#define UNMAPPED 0x7f0000000000ul
#define HOLE     0x60000000ul
#define EXTRA    (EXTRA_GFN * PAGE_SIZE)
#define APIC     0xfee00000ul

/* Own page tables' entry for a page at 8 GiB + n * 4 KiB; returns the address. */
uint64_t map_page(unsigned n, uint64_t entry);
/* n rounds at scale 100 (amd); the intel rig runs with less. */
uint64_t rounds(uint64_t n);

#endif
