// SPDX-License-Identifier: Apache-2.0
/*
 * Intel VT-d: DMA remapping in legacy mode. Every device starts blocked: a requester without a context entry reaches nothing.
 * Each domain that owns devices has one second-level table, a copy of what in its p2m devices may use. Invalidations go through
 * the unit's queue and are waited for; a unit that does not answer can no longer isolate anyone, so it is a panic.
 */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "irq.h"
#include "lib.h"
#include "map.h"
#include "mmio.h"
#include "pci.h"
#include "time.h"
#include "vtd.h"

/* Second-level entries (VT-d 9.8); a table's has both rights. */
#define SL_READ  BIT(0)
#define SL_WRITE BIT(1)
#define SL_LARGE BIT(7)
#define SL_ADDR  0x000ffffffffff000ull
#define LEVELS   4
#define FANOUT   512

/* Root and context entries (VT-d 9.1, 9.3), two words each. */
#define PRESENT  BIT(0)
#define AW_39    1ull
#define AW_48    2ull
#define CTX_DID(d)       ((uint64_t)(d) << 8)
#define CTX_DID_OF(hi)   ((hi) >> 8 & 0xffff)

/* Queue entries (VT-d 6.5.2). */
#define INV_CONTEXT_ALL   (1ull | 1ull << 4)
#define INV_CONTEXT(did, sid) (1ull | 3ull << 4 | (uint64_t)(did) << 16 | (uint64_t)(sid) << 32)
#define INV_IOTLB_ALL     (2ull | 1ull << 4)
#define INV_IOTLB(did)    (2ull | 2ull << 4 | (uint64_t)(did) << 16)
#define INV_PAGES(did)    (2ull | 3ull << 4 | (uint64_t)(did) << 16)
#define INV_DRAIN_WRITES  BIT(6)
#define INV_DRAIN_READS   BIT(7)
#define INV_LEAVES_ONLY   BIT(6) /* in the second word: IH */
#define INV_WAIT          (5ull | BIT(5))
#define QUEUE_ENTRIES     256

#define MAX_DIDS 64 /* 0 is not used: caching-mode units tag "not present" with it (VT-d 6.1) */

struct iommu_domain {
	uint64_t *root;
	unsigned did;
	unsigned contexts[VTD_MAX_UNITS]; /* context entries that point here, by unit */
	gfn_t lo, hi;                     /* changed since the last flush; none when hi is 0 */
	bool tables;                      /* not only leaves changed */
};

bool iommu_enabled;
static struct iommu_domain *by_did[MAX_DIDS];
static unsigned dids = MAX_DIDS;
static unsigned large = 2;      /* highest level at which every unit takes leaves */
static bool coherent = true;    /* every unit snoops the caches when it walks */
static bool flush_on_map;       /* some unit caches "not present", or has a write buffer */

/* ---- units ---- */

static void stuck(struct vtd_unit *u, const char *what) __noreturn;
static void stuck(struct vtd_unit *u, const char *what)
{
	panic("IOMMU %u at %lx does not answer (%s, status %x, faults %x)", u->id, u->base, what, vtd_read32(u, DMAR_GSTS),
	      vtd_read32(u, DMAR_FSTS));
}

void vtd_command(struct vtd_unit *u, uint64_t bit, bool on)
{
	uint32_t keep = vtd_read32(u, DMAR_GSTS) & 0x96ffffff; /* without the one-shot bits (VT-d 10.4.4) */
	uint32_t want = on && bit != GCMD_WBF ? (uint32_t)bit : 0;

	vtd_write32(u, DMAR_GCMD, on ? keep | (uint32_t)bit : keep & ~(uint32_t)bit);
	for (unsigned n = 0; (vtd_read32(u, DMAR_GSTS) & bit) != want; n++) {
		if (n == 10000000)
			stuck(u, "command");
		cpu_relax();
	}
}

void vtd_clean(const void *p, size_t n)
{
	if (coherent)
		return;
	for (uintptr_t a = (uintptr_t)p & ~63ul; a < (uintptr_t)p + n; a += 64)
		__asm__ volatile("clflush %0" : "+m"(*(volatile char *)a));
}

static void queue_put(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
	struct qi_desc *q = &u->queue[u->tail];

	q->lo = lo;
	q->hi = hi;
	vtd_clean(q, sizeof(*q));
	u->tail = (u->tail + 1) % QUEUE_ENTRIES;
}

void vtd_invalidate(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
	if (unlikely(u->cap & CAP_RWBF))
		vtd_command(u, GCMD_WBF, true);
	u->seq++;
	queue_put(u, lo, hi);
	queue_put(u, INV_WAIT | (uint64_t)u->seq << 32, virt_to_phys((const void *)&u->done));
	barrier();
	vtd_write64(u, DMAR_IQT, u->tail * sizeof(struct qi_desc));
	for (unsigned n = 0; u->done != u->seq; n++) {
		if (n == 200000000)
			stuck(u, "invalidation");
		cpu_relax();
	}
}

/* With draining, where the unit can: what a device already sent has landed before the wait ends (VT-d 6.5.4). */
static void flush_iotlb(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
	vtd_invalidate(u, lo | (u->cap & CAP_DWD ? INV_DRAIN_WRITES : 0) | (u->cap & CAP_DRD ? INV_DRAIN_READS : 0), hi);
}

static void unit_probe(struct vtd_unit *u)
{
	size_t size;

	u->regs = ioremap(u->base, PAGE_SIZE);
	if (!u->regs)
		refuse("no address space for IOMMU %u", u->id);
	u->cap = vtd_read64(u, DMAR_CAP);
	u->ecap = vtd_read64(u, DMAR_ECAP);
	if (!u->cap || !~u->cap || !~u->ecap)
		refuse("IOMMU %u is switched off at %lx: enable VT-d in the firmware setup, or start with iommu=off to do without "
		       "isolation", u->id, u->base);
	if (!(u->ecap & ECAP_QI) || !(u->cap & (CAP_SAGAW_39 | CAP_SAGAW_48)))
		refuse("IOMMU %u is too old (capabilities %lx, %lx): start with iommu=off to do without isolation", u->id, u->cap,
		       u->ecap);
	size = CAP_FRO(u->cap) + CAP_NFR(u->cap) * 16;
	u->regs_size = ALIGN_UP(MAX(size, PAGE_SIZE), PAGE_SIZE);
	if (u->regs_size > PAGE_SIZE)
		u->regs = ioremap(u->base, u->regs_size);
	u->root = core_alloc(0);
	u->queue = core_alloc(0);
	if (!u->regs || !u->root || !u->queue)
		refuse("no memory for IOMMU %u", u->id);
	dids = MIN(dids, CAP_ND(u->cap));
	large = MIN(large, !(u->cap & CAP_SLLPS_2M) ? 0u : !(u->cap & CAP_SLLPS_1G) ? 1u : 2u);
	coherent &= !!(u->ecap & ECAP_C);
	flush_on_map |= !!(u->cap & (CAP_CM | CAP_RWBF));
}

/* Whatever the firmware left running is stopped first. */
static void unit_enable(struct vtd_unit *u)
{
	static const uint64_t leftovers[] = { GCMD_IRE, GCMD_TE, GCMD_QIE };

	for (unsigned i = 0; i < ARRAY_SIZE(leftovers); i++)
		if (vtd_read32(u, DMAR_GSTS) & leftovers[i])
			vtd_command(u, leftovers[i], false);
	vtd_clean(u->root, PAGE_SIZE);
	vtd_write64(u, DMAR_RTADDR, virt_to_phys(u->root));
	vtd_command(u, GCMD_SRTP, true);
	u->tail = 0;
	vtd_write64(u, DMAR_IQT, 0);
	vtd_write64(u, DMAR_IQA, virt_to_phys(u->queue));
	vtd_command(u, GCMD_QIE, true);
	vtd_invalidate(u, INV_CONTEXT_ALL, 0);
	flush_iotlb(u, INV_IOTLB_ALL, 0);
	intremap_enable(u);
	vtd_command(u, GCMD_TE, true);
	if (vtd_read32(u, DMAR_PMEN) & 1) /* the firmware's own DMA protection, not needed from here on */
		vtd_write32(u, DMAR_PMEN, 0);
}

/* ---- faults (VT-d 7, 10.4.9 to 10.4.14) ---- */

#define FECTL_MASK   BIT(31)
#define FSTS_OVERFLOW 1u
#define FAULT_PAUSE  100000000ull /* ns that an IOMMU keeps quiet after it reported something */
#define FAULT_LINES  2            /* logged at a time */

static struct timer fault_timer;

static void fault_log(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
	unsigned reason = hi >> 32 & 0xff, sid = hi & 0xffff;
	struct pci_dev *dev = pci_find(u->seg, (uint16_t)sid);
	int owner = dev && dev->owner ? dev->owner->id : -1;

	if (reason >= 0x20 && reason < 0x30)
		printk_guest("device %04x:%02x:%02x.%x (domain %d): interrupt refused, entry %u (reason %x)", u->seg, sid >> 8,
			     sid >> 3 & 31, sid & 7, owner, (unsigned)(lo >> 48), reason);
	else
		printk_guest("device %04x:%02x:%02x.%x (domain %d): DMA %s at %lx refused (reason %x)", u->seg, sid >> 8,
			     sid >> 3 & 31, sid & 7, owner, hi >> 62 & 1 ? "read" : "write", lo & PAGE_MASK, reason);
}

static void fault_drain(struct vtd_unit *u)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < CAP_NFR(u->cap); i++) {
		unsigned reg = (unsigned)CAP_FRO(u->cap) + i * 16;
		uint64_t hi = vtd_read64(u, reg + 8);

		if (!(hi >> 63))
			continue;
		if (lines++ < FAULT_LINES)
			fault_log(u, vtd_read64(u, reg), hi);
		vtd_write32(u, reg + 12, 1u << 31);
	}
	vtd_write32(u, DMAR_FSTS, FSTS_OVERFLOW);
}

static void fault_interrupt(struct irq *i)
{
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		vtd_write32(u, DMAR_FECTL, FECTL_MASK);
		fault_drain(u);
	}
	timer_set(&fault_timer, now() + FAULT_PAUSE);
}

static void fault_resume(struct timer *t)
{
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		fault_drain(u);
		vtd_write32(u, DMAR_FECTL, 0);
	}
}

/* Faults interrupt this CPU. */
static void fault_enable(void)
{
	uint32_t apic_id = this_cpu()->apic_id;

	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		fault_drain(u);
		vtd_write32(u, DMAR_FEDATA, VEC_IOMMU);
		vtd_write32(u, DMAR_FEADDR, 0xfee00000u | (apic_id & 0xff) << 12);
		vtd_write32(u, DMAR_FEUADDR, apic_id & 0xffffff00u);
		vtd_write32(u, DMAR_FECTL, 0);
	}
}

static void fault_init(void)
{
	static struct irq irq = { .fn = fault_interrupt, .vector = VEC_IOMMU };

	irq.cpu = this_cpu();
	irq.cpu->vector_irq[VEC_IOMMU] = &irq;
	timer_init(&fault_timer, fault_resume);
	fault_enable();
}

void iommu_resume(void)
{
	if (!iommu_enabled)
		return;
	for (unsigned i = 0; i < nr_vtd_units; i++)
		unit_enable(&vtd_units[i]);
	fault_enable();
}

void iommu_init(void)
{
	if (!opt.iommu_required) {
		printk(LOG_WARN "iommu=off: DEVICES CAN READ AND WRITE ALL MEMORY. For testing the core only");
		return;
	}
	if (!dmar_parse())
		refuse("no VT-d IOMMU: enable VT-d in the firmware setup, or start with iommu=off to do without isolation");
	for (unsigned i = 0; i < nr_vtd_units; i++)
		unit_probe(&vtd_units[i]);
	intremap_init();
	for (unsigned i = 0; i < nr_vtd_units; i++)
		unit_enable(&vtd_units[i]);
	fault_init();
	iommu_enabled = true;
	printk("IOMMU: VT-d, %u units, %s leaves%s%s", nr_vtd_units, large == 2 ? "1G" : large ? "2M" : "4K",
	       coherent ? "" : ", not coherent", flush_on_map ? ", flush on map" : "");
}

/* ---- second-level tables ---- */

static uint64_t pages_of(unsigned level)
{
	return 1ull << 9 * level;
}

static bool is_table(uint64_t e, unsigned level)
{
	return level && e && !(e & SL_LARGE);
}

static uint64_t *table_at(uint64_t e)
{
	return phys_to_virt(e & SL_ADDR);
}

static void note(struct iommu_domain *dom, gfn_t gfn, uint64_t n)
{
	if (!dom->hi || gfn < dom->lo)
		dom->lo = gfn;
	if (gfn + n > dom->hi)
		dom->hi = gfn + n;
}

/* Makes *e, a leaf of that level or nothing, a table that means the same. */
static int make_table(struct iommu_domain *dom, uint64_t *e, unsigned level, gfn_t gfn)
{
	uint64_t old = *e, *table = core_alloc(0);

	if (!table)
		return -ENOMEM;
	if (old) {
		uint64_t first = level == 1 ? old & ~SL_LARGE : old;

		for (unsigned i = 0; i < FANOUT; i++)
			table[i] = first + (i * pages_of(level - 1) << PAGE_SHIFT);
	}
	if (old || flush_on_map) {
		note(dom, gfn & ~(pages_of(level) - 1), pages_of(level));
		dom->tables = true;
	}
	vtd_clean(table, PAGE_SIZE);
	barrier();
	WRITE_ONCE(*e, virt_to_phys(table) | SL_READ | SL_WRITE);
	vtd_clean(e, sizeof(*e));
	return 0;
}

static int slot(struct iommu_domain *dom, gfn_t gfn, unsigned level, bool create, uint64_t **out)
{
	uint64_t *table = dom->root;

	for (unsigned l = LEVELS - 1; l > level; l--) {
		uint64_t *e = &table[gfn >> 9 * l & (FANOUT - 1)];

		if (unlikely(!is_table(*e, l))) {
			int err = *e || create ? make_table(dom, e, l, gfn) : -ENOENT;
			if (err)
				return err;
		}
		table = table_at(*e);
	}
	*out = &table[gfn >> 9 * level & (FANOUT - 1)];
	return 0;
}

/* rights 0: unmap. Tables found stay and get filled: none is freed while a unit may walk it. */
static void set(struct iommu_domain *dom, uint64_t *e, unsigned level, gfn_t gfn, mfn_t mfn, uint64_t rights)
{
	uint64_t old = *e, new = rights ? mfn << PAGE_SHIFT | rights | (level ? SL_LARGE : 0) : 0;

	if (is_table(old, level)) {
		uint64_t *t = table_at(old), step = pages_of(level - 1);

		for (unsigned i = 0; i < FANOUT; i++)
			set(dom, &t[i], level - 1, gfn + i * step, mfn + i * step, rights);
		return;
	}
	if (old == new)
		return;
	WRITE_ONCE(*e, new);
	vtd_clean(e, sizeof(*e));
	if (old || flush_on_map)
		note(dom, gfn, pages_of(level));
}

int iommu_map(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, bool write)
{
	struct iommu_domain *dom = d->iommu;
	uint64_t rights = SL_READ | (write ? SL_WRITE : 0), *e;
	unsigned level = MIN(order / 9, large);
	uint64_t step = pages_of(level), n = 1ull << order >> 9 * level;

	/* All tables first, so that running out of memory changes nothing. */
	for (uint64_t i = 0; i < n; i++) {
		int err = slot(dom, gfn + i * step, level, true, &e);
		if (err)
			return err;
	}
	for (uint64_t i = 0; i < n; i++) {
		if (n > 1 && slot(dom, gfn + i * step, level, true, &e))
			panic("I/O page tables changed under us");
		set(dom, e, level, gfn + i * step, mfn + i * step, rights);
	}
	if (unlikely(flush_on_map))
		iommu_flush(d);
	return 0;
}

int iommu_unmap(struct domain *d, gfn_t gfn, unsigned order)
{
	uint64_t *e;
	int err = slot(d->iommu, gfn, order / 9, false, &e);

	if (err)
		return err == -ENOENT ? 0 : err;
	set(d->iommu, e, order / 9, gfn, 0, 0);
	return 0;
}

void iommu_flush(struct domain *d)
{
	struct iommu_domain *dom = d->iommu;
	unsigned am = 0;
	gfn_t first = dom->lo;

	if (!dom->hi)
		return;
	while (first >> am != (dom->hi - 1) >> am)
		am++;
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		if (!dom->contexts[u->id])
			continue;
		if (dom->tables || !(u->cap & CAP_PSI) || am > CAP_MAMV(u->cap))
			flush_iotlb(u, INV_IOTLB(dom->did), 0);
		else
			flush_iotlb(u, INV_PAGES(dom->did), (first >> am << am) << PAGE_SHIFT | INV_LEAVES_ONLY | am);
	}
	dom->hi = 0;
	dom->tables = false;
}

static void free_table(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level && i < FANOUT; i++)
		if (is_table(table[i], level))
			free_table(table_at(table[i]), level - 1);
	core_free(table, 0);
}

/* ---- devices ---- */

/* The context entry of a source id; NULL when there is none and, with create, no memory for it. */
static uint64_t *context(struct vtd_unit *u, uint16_t sid, bool create)
{
	uint64_t *re = &u->root[(sid >> 8) * 2];

	if (!(*re & PRESENT)) {
		uint64_t *table = create ? core_alloc(0) : NULL;

		if (!table)
			return NULL;
		vtd_clean(table, PAGE_SIZE);
		WRITE_ONCE(*re, virt_to_phys(table) | PRESENT);
		vtd_clean(re, sizeof(*re));
	}
	return table_at(*re) + (sid & 0xff) * 2;
}

static void block(struct vtd_unit *u, uint16_t sid)
{
	uint64_t *ctx = context(u, sid, false);
	unsigned did;

	if (!ctx || !(ctx[0] & PRESENT))
		return;
	did = CTX_DID_OF(ctx[1]);
	WRITE_ONCE(ctx[0], 0);
	vtd_clean(ctx, 16);
	vtd_invalidate(u, INV_CONTEXT(did, sid), 0);
	flush_iotlb(u, INV_IOTLB(did), 0);
	by_did[did]->contexts[u->id]--;
}

/* VT-d 9.3: translation type 00, so that nothing a device claims to have translated is believed. */
static int attach(struct vtd_unit *u, uint16_t sid, struct iommu_domain *dom)
{
	bool deep = u->cap & CAP_SAGAW_48;
	uint64_t *ctx = context(u, sid, true);

	if (!ctx)
		return -ENOMEM;
	if (ctx[0] & PRESENT) {
		if (CTX_DID_OF(ctx[1]) == dom->did)
			return 0;
		block(u, sid);
	}
	WRITE_ONCE(ctx[1], CTX_DID(dom->did) | (deep ? AW_48 : AW_39));
	barrier();
	WRITE_ONCE(ctx[0], (deep ? virt_to_phys(dom->root) : dom->root[0] & SL_ADDR) | PRESENT);
	vtd_clean(ctx, 16);
	dom->contexts[u->id]++;
	if (u->cap & (CAP_CM | CAP_RWBF)) {
		vtd_invalidate(u, INV_CONTEXT(0, sid), 0);
		flush_iotlb(u, INV_IOTLB(dom->did), 0);
	}
	return 0;
}

/* Devices behind one bridge to conventional PCI look alike to the unit: they go together or not at all. */
static bool shares_with_other(const struct pci_dev *dev, const struct domain *d)
{
	list_for_each(l, &pci_devs) {
		const struct pci_dev *o = list_entry(l, struct pci_dev, link);

		if (o != dev && o->seg == dev->seg && o->sid == dev->sid && o->owner && o->owner != d && !(o->header_type & 0x7f))
			return true;
	}
	return false;
}

/* USB controllers and displays use their regions only before an operating system drives them. */
static bool needs_rmrr(const struct pci_dev *dev)
{
	return dev->class >> 16 != 0x03 && dev->class >> 8 != 0x0c03;
}

/* Reserved memory of a device, identity mapped. Never RAM that somebody else has: the firmware may err or lie. */
static int map_rmrr(struct domain *d, const struct dmar_rmrr *r)
{
	for (mfn_t mfn = r->base >> PAGE_SHIFT; mfn < r->end >> PAGE_SHIFT; mfn++) {
		int err;

		if (!is_device_frame(mfn))
			continue; /* the service domain's own RAM is mapped already */
		err = iommu_map(d, mfn, mfn, 0, true);
		if (err)
			return err;
	}
	return 0;
}

static int map_rmrrs(const struct pci_dev *dev, struct domain *d)
{
	for (const struct dmar_rmrr *r = dmar_rmrrs; r < dmar_rmrrs + nr_dmar_rmrrs; r++) {
		int err = 0;

		if (r->seg != dev->seg || !dmar_scope_has(r->scope, r->nr_scopes, r->seg, dev->bdf))
			continue;
		if (d->is_dom0)
			err = map_rmrr(d, r);
		else if (needs_rmrr(dev))
			err = -EPERM; /* it would go on using memory of the service domain's address space */
		if (err)
			return err;
	}
	return 0;
}

int iommu_assign(struct pci_dev *dev, struct domain *d)
{
	struct vtd_unit *u = dmar_unit(dev->seg, dev->bdf);
	int err;

	if (!iommu_enabled || !u)
		return -ENODEV;
	if (d && !d->iommu)
		return -EINVAL;
	if (d && shares_with_other(dev, d))
		return -EBUSY;
	block(u, dev->bdf);
	block(u, dev->sid);
	if (!d)
		return 0;
	err = map_rmrrs(dev, d);
	if (!err)
		err = attach(u, dev->bdf, d->iommu);
	if (!err)
		err = attach(u, dev->sid, d->iommu);
	if (err) {
		block(u, dev->bdf);
		block(u, dev->sid);
	}
	return err;
}

int iommu_domain_init(struct domain *d)
{
	struct iommu_domain *dom;
	unsigned did = 1;
	uint64_t *e;

	if (d->iommu)
		return 0;
	if (!iommu_enabled)
		return -ENODEV;
	while (did < dids && by_did[did])
		did++;
	if (did >= dids)
		return -ENOSPC;
	dom = kalloc(sizeof(*dom));
	if (!dom)
		return -ENOMEM;
	dom->root = core_alloc(0);
	/* Units with three levels start at what the first entry points to. */
	if (!dom->root || slot(dom, 0, 2, true, &e)) {
		if (dom->root)
			core_free(dom->root, 0);
		kfree(dom);
		return -ENOMEM;
	}
	vtd_clean(dom->root, PAGE_SIZE);
	dom->did = did;
	by_did[did] = dom;
	d->iommu = dom;
	if (p2m_mirror(d)) {
		iommu_domain_free(d);
		return -ENOMEM;
	}
	return 0;
}

/* Blocks every source that still points to the domain's table. */
static void block_all(struct vtd_unit *u, const struct iommu_domain *dom)
{
	for (unsigned sid = 0; sid < 0x10000; sid++) {
		const uint64_t *ctx = context(u, (uint16_t)sid, false);

		if (ctx && (ctx[0] & PRESENT) && CTX_DID_OF(ctx[1]) == dom->did)
			block(u, (uint16_t)sid);
	}
}

void iommu_domain_free(struct domain *d)
{
	struct iommu_domain *dom = d->iommu;

	if (!dom)
		return;
	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++)
		if (dom->contexts[u->id])
			block_all(u, dom);
	d->iommu = NULL;
	by_did[dom->did] = NULL;
	free_table(dom->root, LEVELS - 1);
	kfree(dom);
}
