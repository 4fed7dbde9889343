// SPDX-License-Identifier: Apache-2.0
/* The service domain's I/O APICs: one for each of the machine's, at the same address, with the same pins (82093AA, ICH). */
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "irq.h"
#include "lib.h"
#include "vlapic.h"

#define MAX_GSIS 256

#define RTE_LOGICAL    BIT(11)
#define RTE_ACTIVE_LOW BIT(13)
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_READONLY   (BIT(12) | RTE_REMOTE_IRR)
#define RTE_WRITABLE   0x1afffu /* of the low half */

#define VERSION 0x20 /* has the EOI register */

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };

struct pin {
	uint64_t rte;
	bool bound, level, low; /* the host's pin was bound with these */
};

struct vioapic {
	unsigned nr, nr_gsis;
	struct vioapic_unit {
		paddr_t base;
		uint32_t gsi_base, pins, select, id;
	} unit[8];
	struct pin *pin;                    /* by GSI */
	uint64_t in_service[MAX_GSIS / 64]; /* GSIs with remote IRR set */
};

int vioapic_create(struct domain *d)
{
	struct vioapic *a = kalloc(sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->nr = MIN(ioapic_count(), ARRAY_SIZE(a->unit));
	a->nr_gsis = MIN(ioapic_gsi_count(), MAX_GSIS);
	a->pin = kalloc(MAX(a->nr_gsis, 1u) * sizeof(*a->pin));
	if (!a->pin) {
		kfree(a);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < a->nr; i++) {
		struct vioapic_unit *u = &a->unit[i];
		uint8_t id;

		ioapic_info(i, &u->base, &id, &u->gsi_base, &u->pins);
		u->id = (uint32_t)id << 24;
		if (u->gsi_base >= a->nr_gsis)
			u->pins = 0;
		else
			u->pins = MIN(u->pins, a->nr_gsis - u->gsi_base);
	}
	d->vioapic = a;
	vioapic_reset(d);
	return 0;
}

/* All pins masked and none in service, here and at the host. */
void vioapic_reset(struct domain *d)
{
	struct vioapic *a = d->vioapic;

	memset(a->in_service, 0, sizeof(a->in_service));
	for (unsigned i = 0; i < a->nr_gsis; i++) {
		a->pin[i].rte = RTE_MASKED;
		gsi_mask(i, true);
	}
}

static struct vioapic_unit *unit_at(struct domain *d, gpa_t gpa)
{
	struct vioapic *a = d->vioapic;

	for (unsigned i = 0; a && i < a->nr; i++)
		if ((gpa & PAGE_MASK) == (a->unit[i].base & PAGE_MASK))
			return &a->unit[i];
	return NULL;
}

bool vioapic_owns(struct domain *d, gpa_t gpa)
{
	return unit_at(d, gpa);
}

/* ---- interrupts ---- */

void vioapic_assert(struct domain *d, unsigned gsi)
{
	struct vioapic *a = d->vioapic;
	uint64_t rte;

	if (!a || gsi >= a->nr_gsis)
		return;
	rte = a->pin[gsi].rte;
	/* A level pin was masked at the host when it fired: it comes again when the guest unmasks it, or at its EOI. */
	if (rte & (RTE_MASKED | RTE_REMOTE_IRR))
		return;
	if (rte & RTE_LEVEL) {
		a->pin[gsi].rte |= RTE_REMOTE_IRR;
		bit_set(a->in_service, gsi);
	}
	vlapic_deliver(d, (uint32_t)(rte >> 56), rte & RTE_LOGICAL, rte >> 8 & 7, (uint8_t)rte, rte & RTE_LEVEL);
}

static void end_service(struct vioapic *a, unsigned gsi)
{
	a->pin[gsi].rte &= ~RTE_REMOTE_IRR;
	bit_clear(a->in_service, gsi);
	if (!(a->pin[gsi].rte & RTE_MASKED))
		gsi_mask(gsi, false);
}

void vioapic_eoi(struct domain *d, uint8_t vector)
{
	struct vioapic *a = d->vioapic;

	for (unsigned w = 0; w < ARRAY_SIZE(a->in_service); w++)
		for (uint64_t m = a->in_service[w]; m; m &= m - 1) {
			unsigned gsi = w * 64 + (unsigned)__builtin_ctzll(m);

			if ((uint8_t)a->pin[gsi].rte == vector)
				end_service(a, gsi);
		}
}

/* ---- registers ---- */

/* Makes the host's pin follow the guest's entry. */
static void pin_update(struct domain *d, unsigned gsi)
{
	struct vioapic *a = d->vioapic;
	struct pin *p = &a->pin[gsi];
	bool level = p->rte & RTE_LEVEL, low = p->rte & RTE_ACTIVE_LOW;
	int rc;

	if (!level && p->rte & RTE_REMOTE_IRR) { /* how old drivers end a level interrupt */
		p->rte &= ~RTE_REMOTE_IRR;
		bit_clear(a->in_service, gsi);
	}
	if (p->rte & RTE_MASKED) {
		if (p->bound)
			gsi_mask(gsi, true);
		return;
	}
	if (!p->bound || p->level != level || p->low != low) {
		rc = gsi_bind(d, gsi, level, low);
		if (rc) {
			printk_guest("d%u: GSI %u could not be bound (%d)", d->id, gsi, rc);
			return;
		}
		p->bound = true;
		p->level = level;
		p->low = low;
	}
	gsi_mask(gsi, p->rte & RTE_REMOTE_IRR);
}

static uint32_t reg_read(struct vioapic *a, const struct vioapic_unit *u)
{
	uint32_t r = u->select, n = (r - 0x10) / 2;

	switch (r) {
	case 0:
	case 2:
		return u->id;
	case 1:
		return VERSION | (u->pins ? u->pins - 1 : 0) << 16;
	default:
		if (r < 0x10 || n >= u->pins)
			return ~0u;
		return (uint32_t)(a->pin[u->gsi_base + n].rte >> (r & 1 ? 32 : 0));
	}
}

static void reg_write(struct domain *d, struct vioapic_unit *u, uint32_t val)
{
	uint32_t r = u->select, n = (r - 0x10) / 2;
	uint64_t *rte, old;

	if (r == 0)
		u->id = val & 0xff000000;
	if (r < 0x10 || n >= u->pins)
		return;
	rte = &d->vioapic->pin[u->gsi_base + n].rte;
	old = *rte;
	if (r & 1)
		*rte = (old & 0xffffffff) | (uint64_t)(val & 0xff000000) << 32;
	else
		*rte = (old & ~0xffffffffull) | (old & RTE_READONLY) | (val & RTE_WRITABLE);
	if (!(r & 1))
		pin_update(d, u->gsi_base + n);
}

uint32_t vioapic_read(struct domain *d, gpa_t gpa)
{
	struct vioapic_unit *u = unit_at(d, gpa);

	switch (u ? (gpa - u->base) & ~PAGE_MASK : IOEOI) {
	case IOREGSEL:
		return u->select;
	case IOWIN:
		return reg_read(d->vioapic, u);
	default:
		return ~0u;
	}
}

void vioapic_write(struct domain *d, gpa_t gpa, uint32_t val)
{
	struct vioapic_unit *u = unit_at(d, gpa);

	if (!u)
		return;
	switch ((gpa - u->base) & ~PAGE_MASK) {
	case IOREGSEL:
		u->select = val & 0xff;
		break;
	case IOWIN:
		reg_write(d, u, val);
		break;
	case IOEOI:
		vioapic_eoi(d, (uint8_t)val);
		break;
	}
}
