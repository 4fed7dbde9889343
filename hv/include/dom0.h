/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_DOM0_H
#define CARREL_DOM0_H

#include "domain.h"
#include "types.h"

/* Where the tables that dom0_acpi_build writes go: this many bytes of the service domain's memory. */
#define ACPI_BUILD_SIZE (4 * PAGE_SIZE)

/* Writes RSDP, XSDT (the machine's tables that the service domain may see) and a MADT for its vCPUs at `at`; returns the
 * address of the RSDP. refuse()s when it does not fit. */
paddr_t dom0_acpi_build(struct domain *d, paddr_t at);
void e820_retype(struct domain *d, uint64_t addr, uint64_t size, uint32_t type);

#endif
