/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for hv/include/asm.h on the host: byte-wide port accesses go to the test, CPUID is empty. The other privileged
 * instructions stay what they are, and end a test that reaches them. */
#ifndef SHIM_ASM_H
#define SHIM_ASM_H

#define inb         machine_inb
#define outb        machine_outb
#define cpuid(l, s) machine_cpuid(l, s)
#define interrupt_window machine_interrupt_window
#include "../../../hv/include/asm.h"
#undef inb
#undef outb
#undef cpuid
#undef interrupt_window

void outb(uint16_t port, uint8_t val);
uint8_t inb(uint16_t port);
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	(void)leaf, (void)sub;
	return (struct cpuid){ 0 };
}
static inline void interrupt_window(void)
{
}

#endif
