/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_MMIO_H
#define CARREL_MMIO_H

#include "types.h"

struct vcpu;
struct exit;

/* cpu/mmio.c: EXIT_PAGE_FAULT. Emulates the access, maps device memory into the service domain, or stops the guest; always
 * makes progress. v is current. Core lock. */
void mmio_fault(struct vcpu *v, struct exit *e);
/* Nobody's RAM, and no register that the core keeps or emulates for the service domain: what p2m_set takes as P2M_MMIO. */
bool is_device_frame(mfn_t mfn);
/* Sets a register as an instruction with that operand size does: 4 bytes zero-extend, 1 and 2 keep the rest. */
void set_gpr(struct vcpu *v, unsigned reg, uint64_t val, unsigned size);
/* Linear address of seg:reg for an address size of 2, 4 or 8. */
uint64_t linear_address(struct vcpu *v, unsigned seg, unsigned reg, unsigned addr_size);
/* After one round of a string instruction: moves an index register by size, as RFLAGS.DF says. */
void string_advance(struct vcpu *v, unsigned reg, unsigned size, unsigned addr_size);
/* cpu/io.c: EXIT_IO. v is current. Core lock. */
void io_exit(struct vcpu *v, struct exit *e);

#endif
