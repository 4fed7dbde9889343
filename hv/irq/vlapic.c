// SPDX-License-Identifier: Apache-2.0
/* A vCPU's local APIC, xAPIC and x2APIC mode (SDM 3A 11). */
#include "vlapic.h"

#include "asm.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "lib.h"
#include "sched.h"
#include "vcpu.h"

/* Register numbers: MMIO offset >> 4, or MSR - 0x800. */
enum {
	A_ID = 0x2, A_VERSION, A_TPR = 0x8, A_PPR = 0xa, A_EOI, A_LDR = 0xd, A_DFR, A_SVR,
	A_ISR = 0x10, A_TMR = 0x18, A_IRR = 0x20, A_ESR = 0x28, A_ICR = 0x30, A_ICR2,
	A_LVT_TIMER, A_LVT_THERMAL, A_LVT_PERF, A_LVT_LINT0, A_LVT_LINT1, A_LVT_ERROR,
	A_TMICT, A_TMCCT, A_TDCR = 0x3e, A_SELF_IPI,
};
#define APIC_VERSION    0x50014u /* six LVT entries, no EOI broadcast suppression */
#define SVR_ENABLE      BIT(8)
#define LVT_MASKED      BIT(16)
#define LVT_MODE        (3u << 17)
#define LVT_PERIODIC    (1u << 17)
#define LVT_DEADLINE    (2u << 17)
#define ICR_PENDING     BIT(12)
#define ICR_ASSERT      BIT(14)
#define ICR_LEVEL       BIT(15)
#define ESR_SEND_VECTOR BIT(5)
#define ESR_ILLEGAL_REG BIT(7)
#define BUS_NS          10u      /* timer input clock 100 MHz, as Xen has it */
#define MIN_PERIOD      100000u  /* ns: a guest must not keep a CPU busy with timer interrupts */

enum { DM_FIXED, DM_LOWEST, DM_SMI, DM_NMI = 4, DM_INIT, DM_SIPI };

/* Registers that RDMSR may read in x2APIC mode (SDM 3A table 11-6). */
#define X2APIC_READABLE                                                                                                \
	(BIT(A_ID) | BIT(A_VERSION) | BIT(A_TPR) | BIT(A_PPR) | BIT(A_LDR) | BIT(A_SVR) | 0xffffffull << A_ISR |       \
	 BIT(A_ESR) | BIT(A_ICR) | 0xffull << A_LVT_TIMER | BIT(A_TDCR))

static inline bool x2apic_mode(const struct vlapic *l)
{
	return l->base_msr & APIC_BASE_EXTD;
}

static inline bool sw_enabled(const struct vlapic *l)
{
	return l->reg[A_SVR] & SVR_ENABLE && l->base_msr & APIC_BASE_EN;
}

uint32_t vlapic_id(const struct vcpu *v)
{
	return 2 * v->id;
}

/* ---- IRR, ISR, priorities (hot) ---- */

/* Highest vector in a map whose sum is not 0. */
static inline unsigned highest(const uint32_t *map, uint32_t sum)
{
	unsigned w = 31 - (unsigned)__builtin_clz(sum);

	return w * 32 + 31 - (unsigned)__builtin_clz(map[w]);
}

static inline void map_clear(uint32_t *map, uint32_t *sum, unsigned vector)
{
	unsigned w = vector >> 5;

	map[w] &= ~(1u << (vector & 31));
	if (!map[w])
		*sum &= ~(1u << w);
}

static inline uint32_t ppr(const struct vlapic *l)
{
	uint32_t tpr = l->reg[A_TPR], isr = l->isr_sum ? highest(l->isr, l->isr_sum) : 0;

	return (tpr & 0xf0) >= (isr & 0xf0) ? tpr : isr & 0xf0;
}

void vlapic_set_irq(struct vcpu *v, uint8_t vector, bool level)
{
	struct vlapic *l = &v->vlapic;
	unsigned w = vector >> 5;
	uint32_t bit = 1u << (vector & 31);

	if (unlikely(level))
		l->tmr[w] |= bit;
	else
		l->tmr[w] &= ~bit;
	if (l->irr[w] & bit) /* whoever set it kicked */
		return;
	l->irr[w] |= bit;
	l->irr_sum |= 1u << w;
	vcpu_kick(v);
}

int vlapic_pending(struct vcpu *v)
{
	struct vlapic *l = &v->vlapic;
	unsigned vector;

	if (!l->irr_sum || !sw_enabled(l))
		return -1;
	vector = highest(l->irr, l->irr_sum);
	return (vector & 0xf0) > (ppr(l) & 0xf0) ? (int)vector : -1;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
	struct vlapic *l = &v->vlapic;
	unsigned w = vector >> 5;

	map_clear(l->irr, &l->irr_sum, vector);
	l->isr[w] |= 1u << (vector & 31);
	l->isr_sum |= 1u << w;
}

static void eoi(struct vcpu *v)
{
	struct vlapic *l = &v->vlapic;
	unsigned vector;

	if (!l->isr_sum)
		return;
	vector = highest(l->isr, l->isr_sum);
	map_clear(l->isr, &l->isr_sum, vector);
	if (unlikely(l->tmr[vector >> 5] >> (vector & 31) & 1) && v->domain->vioapic)
		vioapic_eoi(v->domain, (uint8_t)vector);
}

/* ---- interrupt messages ---- */

static void raise_lvt(struct vcpu *v, unsigned lvt)
{
	uint32_t val = v->vlapic.reg[lvt];

	if (val & LVT_MASKED)
		return;
	if (lvt == A_LVT_TIMER || lvt == A_LVT_ERROR || (val >> 8 & 7) == DM_FIXED) {
		vlapic_set_irq(v, (uint8_t)val, false);
	} else if ((val >> 8 & 7) == DM_NMI) {
		v->nmi_pending = true;
		vcpu_kick(v);
	}
}

static void apic_error(struct vcpu *v, uint32_t bit)
{
	v->vlapic.pending_esr |= bit;
	raise_lvt(v, A_LVT_ERROR);
}

static void init_vcpu(struct vcpu *v)
{
	if (v->stopped & VCPU_DOWN && v->vlapic.init_count)
		return;
	sched_stop(v, VCPU_DOWN);
	vcpu_sync(v);
	vcpu_reset_state(v);
	vlapic_reset(v);
}

static void sipi_vcpu(struct vcpu *v, uint8_t vector)
{
	if (!(v->stopped & VCPU_DOWN) || !v->vlapic.init_count)
		return;
	v->vlapic.init_count = 0;
	vcpu_sync(v);
	sched_start(v, VCPU_BLOCKED); /* it may have been in HLT when INIT came */
	vcpu_start_real(v, (uint32_t)vector << 12);
}

static void deliver_one(struct vcpu *v, unsigned mode, uint8_t vector, bool level)
{
	switch (mode) {
	case DM_FIXED:
	case DM_LOWEST:
		if (sw_enabled(&v->vlapic) && vector >= 16)
			vlapic_set_irq(v, vector, level);
		break;
	case DM_NMI:
		v->nmi_pending = true;
		vcpu_kick(v);
		break;
	case DM_INIT:
		init_vcpu(v);
		break;
	case DM_SIPI:
		sipi_vcpu(v, vector);
		break;
	}
}

bool vlapic_match(struct vcpu *v, uint32_t dest, bool logical)
{
	const struct vlapic *l = &v->vlapic;
	uint32_t ldr = l->reg[A_LDR];

	/* 0xff is no vCPU's id (MAX_VCPUS), so it can mean all in either mode. */
	if (dest == 0xffffffff || (dest == 0xff && !(logical && x2apic_mode(l))))
		return true;
	if (!logical)
		return dest == vlapic_id(v);
	if (x2apic_mode(l)) /* SDM 3A 11.12.10.2 */
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (l->reg[A_DFR] >> 28 == 0xf) /* flat */
		return dest & ldr;
	return (dest & 0xf0) == (ldr & 0xf0) && (dest & ldr & 0xf);
}

_Static_assert(2 * MAX_VCPUS < 0xff, "xAPIC ids must stay below the broadcast id");

void vlapic_deliver(struct domain *d, uint32_t dest, bool logical, unsigned mode, uint8_t vector, bool level)
{
	if (likely(!logical && dest < 0xff)) {
		if (!(dest & 1) && domain_vcpu(d, dest / 2))
			deliver_one(d->vcpu[dest / 2], mode, vector, level);
		return;
	}
	for_each_vcpu(d, v) {
		if (!vlapic_match(v, dest, logical) || (mode == DM_LOWEST && !sw_enabled(&v->vlapic)))
			continue;
		deliver_one(v, mode, vector, level);
		if (mode == DM_LOWEST) /* which one of several is ours to choose (SDM 3A 11.6.2.4) */
			return;
	}
}

static void icr_write(struct vcpu *v, uint32_t icr, uint32_t dest)
{
	struct domain *d = v->domain;
	unsigned mode = icr >> 8 & 7, shorthand = icr >> 18 & 3;
	uint8_t vector = (uint8_t)icr;

	if (mode <= DM_LOWEST && vector < 16) {
		apic_error(v, ESR_SEND_VECTOR);
		return;
	}
	if (mode == DM_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return; /* INIT level de-assert: nothing since the Pentium 4 */
	if (likely(!shorthand)) {
		vlapic_deliver(d, dest, icr & BIT(11), mode, vector, false);
		return;
	}
	if (shorthand == 1) {
		if (mode == DM_FIXED)
			deliver_one(v, mode, vector, false);
		return;
	}
	for_each_vcpu(d, o)
		if (shorthand == 2 || o != v)
			deliver_one(o, mode, vector, false);
}

/* ---- timer ---- */

static ns_t timer_tick(const struct vlapic *l)
{
	uint32_t tdcr = l->reg[A_TDCR];

	return (ns_t)BUS_NS << (((tdcr & 3) + (tdcr >> 1 & 4) + 1) & 7); /* SDM 3A figure 11-10 */
}

static void timer_fn(struct timer *t)
{
	struct vlapic *l = container_of(t, struct vlapic, timer);
	struct vcpu *v = container_of(l, struct vcpu, vlapic);

	l->tsc_deadline = 0;
	if ((l->reg[A_LVT_TIMER] & LVT_MODE) == LVT_PERIODIC) {
		ns_t t0 = now();

		l->timer_start += l->timer_period;
		if (l->timer_start + l->timer_period <= t0) /* missed periods are lost, as a masked one is */
			l->timer_start = t0;
		timer_set(t, l->timer_start + l->timer_period);
	}
	raise_lvt(v, A_LVT_TIMER);
}

static void tmict_write(struct vlapic *l, uint32_t val)
{
	if ((l->reg[A_LVT_TIMER] & LVT_MODE) == LVT_DEADLINE)
		return;
	l->reg[A_TMICT] = val;
	if (!val) {
		timer_cancel(&l->timer);
		return;
	}
	l->timer_start = now();
	l->timer_period = val * timer_tick(l);
	if ((l->reg[A_LVT_TIMER] & LVT_MODE) == LVT_PERIODIC)
		l->timer_period = MAX(l->timer_period, MIN_PERIOD);
	timer_set(&l->timer, l->timer_start + l->timer_period);
}

static uint32_t tmcct_read(const struct vlapic *l)
{
	ns_t gone = now() - l->timer_start;

	if (!timer_armed(&l->timer) || (l->reg[A_LVT_TIMER] & LVT_MODE) == LVT_DEADLINE || gone >= l->timer_period)
		return 0;
	return (uint32_t)MIN((l->timer_period - gone) / timer_tick(l), 0xffffffffu);
}

static void deadline_write(struct vcpu *v, uint64_t val)
{
	struct vlapic *l = &v->vlapic;
	uint64_t tsc = rdtsc(), deadline = val - (uint64_t)v->domain->tsc_offset;

	if ((l->reg[A_LVT_TIMER] & LVT_MODE) != LVT_DEADLINE)
		return;
	l->tsc_deadline = val;
	if (!val)
		timer_cancel(&l->timer);
	else if ((int64_t)(deadline - tsc) <= 0) {
		timer_cancel(&l->timer);
		timer_fn(&l->timer);
	} else {
		timer_set(&l->timer, now() + (tsc_to_ns(deadline) - tsc_to_ns(tsc)));
	}
}

static void lvt_timer_write(struct vlapic *l, uint32_t val)
{
	uint32_t old = l->reg[A_LVT_TIMER] & LVT_MODE;

	/* SDM 3A 11.5.4.1: going to or from deadline mode disarms the timer. */
	if (old != (val & LVT_MODE) && (old == LVT_DEADLINE || (val & LVT_MODE) == LVT_DEADLINE)) {
		timer_cancel(&l->timer);
		l->tsc_deadline = 0;
		l->reg[A_TMICT] = 0;
	}
	l->timer_period = MAX(l->timer_period, MIN_PERIOD);
	l->reg[A_LVT_TIMER] = val;
}

/* ---- registers ---- */

static uint32_t reg_read(struct vcpu *v, unsigned r)
{
	struct vlapic *l = &v->vlapic;

	switch (r) {
	case A_ID:
		return x2apic_mode(l) ? vlapic_id(v) : vlapic_id(v) << 24;
	case A_VERSION:
		return APIC_VERSION;
	case A_PPR:
		return ppr(l);
	case A_ISR ... A_ISR + 7:
		return l->isr[r - A_ISR];
	case A_TMR ... A_TMR + 7:
		return l->tmr[r - A_TMR];
	case A_IRR ... A_IRR + 7:
		return l->irr[r - A_IRR];
	case A_TMCCT:
		return tmcct_read(l);
	default:
		return l->reg[r];
	}
}

/* What a guest may set in each LVT entry, timer first. */
static const uint32_t lvt_bits[] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

static void svr_write(struct vlapic *l, uint32_t val)
{
	l->reg[A_SVR] = val & 0x1ff;
	if (!(val & SVR_ENABLE)) /* SDM 3A 11.4.7.2 */
		for (unsigned r = A_LVT_TIMER; r <= A_LVT_ERROR; r++)
			l->reg[r] |= LVT_MASKED;
}

static void reg_write(struct vcpu *v, unsigned r, uint32_t val)
{
	struct vlapic *l = &v->vlapic;

	switch (r) {
	case A_EOI:
		eoi(v);
		break;
	case A_TPR:
		l->reg[r] = val & 0xff;
		break;
	case A_LDR:
		l->reg[r] = val & 0xff000000;
		break;
	case A_DFR:
		l->reg[r] = val | 0x0fffffff;
		break;
	case A_SVR:
		svr_write(l, val);
		break;
	case A_ESR:
		l->reg[r] = l->pending_esr;
		l->pending_esr = 0;
		break;
	case A_ICR:
		l->reg[r] = val & ~(uint32_t)ICR_PENDING;
		icr_write(v, val, l->reg[A_ICR2] >> 24);
		break;
	case A_ICR2:
		l->reg[r] = val & 0xff000000;
		break;
	case A_LVT_TIMER ... A_LVT_ERROR:
		val &= lvt_bits[r - A_LVT_TIMER];
		if (!(l->reg[A_SVR] & SVR_ENABLE))
			val |= LVT_MASKED;
		if (r == A_LVT_TIMER)
			lvt_timer_write(l, val);
		l->reg[r] = val;
		break;
	case A_TMICT:
		tmict_write(l, val);
		break;
	case A_TDCR:
		l->reg[r] = val & 0xb;
		break;
	default:
		apic_error(v, ESR_ILLEGAL_REG);
	}
}

uint32_t vlapic_mmio_read(struct vcpu *v, uint32_t off)
{
	return off < 0x400 ? reg_read(v, off >> 4) : 0;
}

void vlapic_mmio_write(struct vcpu *v, uint32_t off, uint32_t val)
{
	/* ID is read-only here, and the self-IPI register exists in x2APIC mode only. */
	if (off < 0x400 && off >> 4 != A_SELF_IPI && off >> 4 != A_ID)
		reg_write(v, off >> 4, val);
}

static int base_write(struct vcpu *v, uint64_t val)
{
	struct vlapic *l = &v->vlapic;
	uint64_t changed = val ^ l->base_msr;

	if (val & ~(uint64_t)(APIC_DEFAULT_BASE | APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN) ||
	    (val & PAGE_MASK) != APIC_DEFAULT_BASE)
		return -EINVAL;
	/* SDM 3A figure 11-27: x2APIC only from xAPIC mode, and back only by way of disabled. */
	if (val & APIC_BASE_EXTD && (!(val & APIC_BASE_EN) || changed & APIC_BASE_EN))
		return -EINVAL;
	if (changed & APIC_BASE_EXTD && !(val & APIC_BASE_EXTD) && val & APIC_BASE_EN)
		return -EINVAL;
	l->base_msr = val;
	if (changed & APIC_BASE_EN) {
		uint8_t init_count = l->init_count;

		vlapic_reset(v);
		l->init_count = init_count;
	}
	if (val & APIC_BASE_EXTD)
		l->reg[A_LDR] = (vlapic_id(v) >> 4) << 16 | 1u << (vlapic_id(v) & 15);
	return 0;
}

int vlapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	struct vlapic *l = &v->vlapic;
	unsigned r = msr - MSR_X2APIC;

	if (r < 0x100) {
		if (!x2apic_mode(l) || r >= 64 || !(X2APIC_READABLE >> r & 1))
			return -EINVAL;
		*val = reg_read(v, r);
		if (r == A_ICR)
			*val |= (uint64_t)l->reg[A_ICR2] << 32;
		return 0;
	}
	if (msr == MSR_APIC_BASE)
		*val = l->base_msr;
	else if (msr == MSR_TSC_DEADLINE)
		*val = l->tsc_deadline;
	else
		return -ENOENT;
	return 0;
}

/* SDM 3A 11.12.1.3: reserved bits and registers fault. */
static int x2apic_write(struct vcpu *v, unsigned r, uint64_t val)
{
	struct vlapic *l = &v->vlapic;

	if (!x2apic_mode(l))
		return -EINVAL;
	if (r == A_ICR) {
		if (val & 0xfff32000)
			return -EINVAL;
		l->reg[A_ICR] = (uint32_t)val & ~(uint32_t)ICR_PENDING;
		l->reg[A_ICR2] = (uint32_t)(val >> 32);
		icr_write(v, (uint32_t)val, (uint32_t)(val >> 32));
		return 0;
	}
	switch (r) {
	case A_EOI:
	case A_ESR:
		if (val)
			return -EINVAL;
		break;
	case A_TPR:
		if (val >> 8)
			return -EINVAL;
		break;
	case A_SELF_IPI:
		if (val >> 8)
			return -EINVAL;
		icr_write(v, 1u << 18 | (uint32_t)val, 0);
		return 0;
	case A_SVR:
	case A_LVT_TIMER ... A_TMICT:
	case A_TDCR:
		if (val >> 32)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	reg_write(v, r, (uint32_t)val);
	return 0;
}

int vlapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	if (msr - MSR_X2APIC < 0x100)
		return x2apic_write(v, msr - MSR_X2APIC, val);
	if (msr == MSR_TSC_DEADLINE) {
		deadline_write(v, val);
		return 0;
	}
	return msr == MSR_APIC_BASE ? base_write(v, val) : -ENOENT;
}

/* ---- life ---- */

void vlapic_reset(struct vcpu *v)
{
	struct vlapic *l = &v->vlapic;
	uint32_t ldr = l->reg[A_LDR];

	timer_cancel(&l->timer);
	memset(l->reg, 0, sizeof(l->reg));
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	l->irr_sum = l->isr_sum = l->pending_esr = 0;
	l->tsc_deadline = 0;
	l->reg[A_LDR] = x2apic_mode(l) ? ldr : 0;
	l->reg[A_DFR] = 0xffffffff;
	l->reg[A_SVR] = 0xff;
	for (unsigned r = A_LVT_TIMER; r <= A_LVT_ERROR; r++)
		l->reg[r] = LVT_MASKED;
	l->init_count = 1;
}

void vlapic_init(struct vcpu *v)
{
	v->vlapic.base_msr = APIC_DEFAULT_BASE | APIC_BASE_EN | (v->id ? 0 : APIC_BASE_BSP);
	timer_init(&v->vlapic.timer, timer_fn);
	vlapic_reset(v);
}

void vlapic_free(struct vcpu *v)
{
	timer_cancel(&v->vlapic.timer);
}
