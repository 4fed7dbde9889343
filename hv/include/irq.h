/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_IRQ_H
#define CARREL_IRQ_H

#include "types.h"

/* Host interrupts. irq/irq.c: vectors and dispatch; irq/lapic.c: the CPU's local APIC; irq/ioapic.c: the machine's. */
struct cpu;
struct domain;

#define VEC_FIRST    0x30 /* device vectors: VEC_FIRST..VEC_LAST */
#define VEC_LAST     0xef
#define VEC_TIMER    0xf0
#define VEC_KICK     0xf1
#define VEC_STOP     0xf2 /* panic: stop for good */
#define VEC_IOMMU    0xf3
#define VEC_ERROR    0xfe
#define VEC_SPURIOUS 0xff

/* One host interrupt source bound to a handler: a GSI pin or an MSI. */
struct irq {
	void (*fn)(struct irq *i); /* from the main loop, core lock held, after EOI (before it when level) */
	void *data;
	struct cpu *cpu;           /* NULL when no vector is allocated */
	uint8_t vector;
};
/* Gives i a vector on c (any CPU when NULL). -ENOSPC. */
int irq_alloc(struct irq *i, struct cpu *c);
void irq_free(struct irq *i);
/* For level-triggered sources: EOI after the handler, which masks the source, has run. */
void irq_set_level(struct irq *i, bool level);
/* Records an arriving vector (from the IDT stub or a VT-x acknowledged exit) and EOIs the LAPIC. Interrupts off, no lock. */
void irq_record(unsigned vector);
/* Main loop: runs handlers of recorded vectors. Core lock. */
void irq_dispatch_pending(void);
bool irq_any_pending(void);

/* lapic */
void lapic_init(void);               /* this CPU */
uint32_t lapic_id(void);
void lapic_eoi(void);
void lapic_look_again(void);         /* compares pending vectors with the task priority, which stays 0 */
void lapic_send_ipi(uint32_t apic_id, uint32_t icr_low);
#define ICR_INIT    0x04500 /* icr_low: INIT and start-up (page number in bits 0-7), level assert */
#define ICR_STARTUP 0x04600
#define ICR_OTHERS  0xc4000 /* fixed, to all CPUs but this one; apic_id is ignored */
void lapic_ipi(struct cpu *c, uint8_t vector);
/* Panic, reboot, power off: no other CPU does anything after this. */
void lapic_stop_others(void);
/* For sched/calibrate.c: starts the timer as a counter, and reads how far it came; works in one-shot mode only. */
bool lapic_timer_counts(void);
void lapic_count_start(void);
uint32_t lapic_count(void);
void lapic_timer_set(uint64_t tsc_deadline); /* 0 stops it */
extern uint64_t lapic_timer_khz;     /* 0 when TSC-deadline mode is used */
extern bool lapic_x2apic;

/* The machine's I/O APICs. gsi: global system interrupt number. */
int ioapic_init(void);               /* from the MADT; masks everything */
void ioapic_resume(void);            /* they lost everything; pins of domains stay masked */
unsigned ioapic_gsi_count(void);     /* highest GSI + 1 */
unsigned ioapic_count(void);
/* base address, id, first GSI, pins of the n-th, for MADT and vioapic. */
void ioapic_info(unsigned n, paddr_t *base, uint8_t *id, uint32_t *gsi_base, uint32_t *pins);
/* Binds a GSI to dom0's vioapic: allocates vector, programs (through the remapping table when on), unmasks. level/low as the
 * guest's redirection entry says. Safe to repeat. */
int gsi_bind(struct domain *d, unsigned gsi, bool level, bool active_low);
/* Takes an edge-triggered GSI for the core itself. -EBUSY, -EINVAL, -ENOSPC. */
int gsi_claim(unsigned gsi, void (*fn)(struct irq *i));
void gsi_mask(unsigned gsi, bool masked);

/* MSI and MSI-X entries of a domain's devices (irq/msi.c). What the guest wrote is kept; the device gets a message for a
 * host vector (remappable format when the IOMMU remaps). */
struct pci_dev;
struct msi_entry {
	struct irq irq;
	struct domain *domain;
	struct pci_dev *dev;
	uint64_t guest_addr;
	uint32_t guest_data;
	int irte;                  /* index in the remapping table, -1 none */
	bool bound;
};
/* Binds (or rebinds) and returns the message to write into the device. -ENOSPC. */
int msi_bind(struct msi_entry *m, struct domain *d, struct pci_dev *dev, uint64_t guest_addr, uint32_t guest_data,
	     uint64_t *host_addr, uint32_t *host_data);
void msi_unbind(struct msi_entry *m);

#endif
