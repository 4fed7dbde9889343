/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VLAPIC_H
#define CARREL_VLAPIC_H

#include "time.h"
#include "types.h"

/* irq/vlapic.c: a vCPU's local APIC, xAPIC and x2APIC (SDM 3A 11). APIC id = 2 * vCPU id, as Xen has it. Core lock. */
struct vcpu;
struct domain;

struct vlapic {
	uint64_t base_msr;       /* IA32_APIC_BASE */
	uint32_t reg[64];        /* by offset >> 4 */
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t irr_sum, isr_sum; /* bit n: word n of irr/isr is not 0 */
	uint32_t pending_esr;
	uint64_t tsc_deadline;
	struct timer timer;
	ns_t timer_start, timer_period;
	uint8_t init_count;      /* waits for SIPI when VCPU_DOWN */
};

void vlapic_init(struct vcpu *v);   /* power-up state, enabled, xAPIC mode */
void vlapic_reset(struct vcpu *v);  /* INIT */
void vlapic_free(struct vcpu *v);
uint32_t vlapic_id(const struct vcpu *v);
#define APIC_DEFAULT_BASE 0xfee00000u
#define APIC_BASE_BSP     (1u << 8)
#define APIC_BASE_EXTD    (1u << 10)
#define APIC_BASE_EN      (1u << 11)
/* xAPIC mode: its page at APIC_DEFAULT_BASE answers (a guest cannot move it, as in Xen). */
static inline bool vlapic_mmio_on(const struct vlapic *l)
{
	return (l->base_msr & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN;
}
/* MMIO access within the 4 KiB page, 32-bit aligned registers. */
uint32_t vlapic_mmio_read(struct vcpu *v, uint32_t off);
void vlapic_mmio_write(struct vcpu *v, uint32_t off, uint32_t val);
/* MSRs 0x800-0x8ff, IA32_APIC_BASE, IA32_TSC_DEADLINE: 0, -ENOENT not mine, -EINVAL #GP. */
int vlapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val);
int vlapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);
/* Posts an interrupt and kicks v. */
void vlapic_set_irq(struct vcpu *v, uint8_t vector, bool level);
/* Highest vector that may be delivered now, -1 none (apic disabled, masked by PPR). */
int vlapic_pending(struct vcpu *v);
/* The vector was delivered: IRR to ISR. */
void vlapic_accept(struct vcpu *v, uint8_t vector);
/* Does v match an interrupt message's destination? logical: MDA in flat/cluster/x2APIC form. */
bool vlapic_match(struct vcpu *v, uint32_t dest, bool logical);
/* Delivers an interrupt message (from an I/O APIC entry or an MSI) to the vCPUs of d that match. mode: 0 fixed, 1 lowest
 * priority, 4 NMI, 5 INIT. */
void vlapic_deliver(struct domain *d, uint32_t dest, bool logical, unsigned mode, uint8_t vector, bool level);

/* irq/vioapic.c: the service domain's I/O APICs, same GSI layout as the machine's. */
int vioapic_create(struct domain *d);
void vioapic_reset(struct domain *d);
bool vioapic_owns(struct domain *d, gpa_t gpa);
uint32_t vioapic_read(struct domain *d, gpa_t gpa);
void vioapic_write(struct domain *d, gpa_t gpa, uint32_t val);
void vioapic_eoi(struct domain *d, uint8_t vector);       /* from vlapic, level-triggered vectors only */
void vioapic_assert(struct domain *d, unsigned gsi);      /* host interrupt arrived for a GSI bound to d (irq/irq.c) */
/* Delivers an MSI message written by a driver to its device. */
void vmsi_deliver(struct domain *d, uint64_t addr, uint32_t data);

#endif
