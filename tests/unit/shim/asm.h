/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for hv/include/asm.h on the host: port accesses go to the test. */
#ifndef CARREL_ASM_H
#define CARREL_ASM_H

#include "types.h"

struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	(void)leaf, (void)sub;
	return (struct cpuid){ 0 };
}
void outb(uint16_t port, uint8_t val);
uint8_t inb(uint16_t port);
static inline void cpu_relax(void)
{
}

#endif
