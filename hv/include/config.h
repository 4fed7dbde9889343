/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_CONFIG_H
#define CARREL_CONFIG_H

/* Usable from assembly and the linker script. */
#define CORE_PHYS_BASE 0x200000             /* where the image is loaded */
#define CORE_VIRT_BASE 0xffffffff80000000   /* image: virtual = physical + this */
#define DIRECTMAP_BASE 0xffff800000000000   /* all RAM, write-back, no execute */
#define IOMAP_BASE     0xffffc00000000000   /* device registers, uncached, see map.h */

#define CORE_CS   0x08
#define CORE_DS   0x10
#define CORE_TSS  0x18

#define MAX_CPUS    64
#define MAX_VCPUS   32                      /* a domain */
#define STACK_SIZE  16384                   /* a CPU */

#endif
