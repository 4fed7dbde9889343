// SPDX-License-Identifier: Apache-2.0
/* The p2m: a 4-level tree in the CPU's nested paging format, see p2m.h. */
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "map.h"
#include "mmio.h"
#include "p2m.h"

#define LEVELS 4
#define FANOUT 512
#define GFN_LIMIT (1ull << 36) /* 48-bit guest-physical addresses: APM 2 15.25.3, SDM 3C 29.3.2 */
#define MFN_LIMIT (1ull << 40)

/* Sets of types, as bit masks. */
#define TYPES_OWN   (BIT(P2M_RAM) | BIT(P2M_RAM_RO))
#define TYPES_REFD  (TYPES_OWN | BIT(P2M_FOREIGN) | BIT(P2M_FOREIGN_RO))
#define TYPES_DMA   (TYPES_REFD | BIT(P2M_GRANT_RW) | BIT(P2M_GRANT_RO))
#define TYPES_WRITE (BIT(P2M_RAM) | BIT(P2M_FOREIGN) | BIT(P2M_GRANT_RW) | BIT(P2M_SHARED))
#define TYPES_READ  (TYPES_DMA | BIT(P2M_SHARED))

static inline bool in(enum p2m_type t, uint64_t set)
{
	return set >> t & 1;
}

static inline uint64_t pages_of(unsigned level)
{
	return 1ull << 9 * level;
}

static inline enum p2m_type type_of(uint64_t e)
{
	return (enum p2m_type)(e >> P2M_TYPE_SHIFT & 15);
}

static inline mfn_t mfn_in(uint64_t e)
{
	return (e & P2M_ADDR) >> PAGE_SHIFT;
}

static inline bool is_table(uint64_t e, unsigned level)
{
	return level && (e & (P2M_PRESENT | P2M_LARGE)) == P2M_PRESENT;
}

static inline uint64_t *table_at(uint64_t e)
{
	return phys_to_virt(e & P2M_ADDR);
}

static inline uint64_t *entry_at(uint64_t *table, gfn_t gfn, unsigned level)
{
	return &table[gfn >> 9 * level & (FANOUT - 1)];
}

/* The entry that decides about gfn (0 when none) and its level. */
static inline __attribute__((always_inline)) uint64_t lookup(const struct p2m *p, gfn_t gfn, unsigned *level)
{
	uint64_t e;

	*level = LEVELS - 1;
	if (unlikely(gfn >= GFN_LIMIT))
		return 0;
	e = *entry_at(p->root, gfn, 3);
	if (unlikely(!is_table(e, 3)))
		return e;
	*level = 2;
	e = *entry_at(table_at(e), gfn, 2);
	if (!is_table(e, 2))
		return e;
	*level = 1;
	e = *entry_at(table_at(e), gfn, 1);
	if (!is_table(e, 1))
		return e;
	*level = 0;
	return *entry_at(table_at(e), gfn, 0);
}

mfn_t p2m_get(struct domain *d, gfn_t gfn, enum p2m_type *t, unsigned *order)
{
	unsigned level;
	uint64_t e = lookup(&d->p2m, gfn, &level);

	if (t)
		*t = type_of(e);
	if (order)
		*order = 9 * level;
	if (!e)
		return INVALID_MFN;
	return mfn_in(e) | (gfn & (pages_of(level) - 1));
}

void *p2m_ptr(struct domain *d, gpa_t gpa, bool write)
{
	unsigned level;
	uint64_t e = lookup(&d->p2m, gpa >> PAGE_SHIFT, &level);

	if (unlikely(!in(type_of(e), write ? TYPES_WRITE : TYPES_READ)))
		return NULL;
	return phys_to_virt((e & P2M_ADDR) | (gpa & ((pages_of(level) << PAGE_SHIFT) - 1)));
}

/* Makes *e, a leaf of that level or nothing, a table that means the same. */
static int make_table(struct p2m *p, uint64_t *e, unsigned level)
{
	const struct p2m_format *fmt = cpu_ops->p2m;
	uint64_t old = *e, *table = p->table_pages < p->max_tables ? core_alloc(0) : NULL;

	if (!table)
		return -ENOMEM;
	if (old) {
		for (unsigned i = 0; i < FANOUT; i++)
			table[i] = fmt->leaf(mfn_in(old) + i * pages_of(level - 1), level - 1, type_of(old));
		/* Same translation, but a TLB must not hold both sizes of it for long (SDM 3A 4.10.2.3). */
		p->need_flush = true;
	}
	p->table_pages++;
	barrier(); /* filled before it can be walked */
	WRITE_ONCE(*e, fmt->table(virt_to_mfn(table)));
	return 0;
}

/* Finds the entry for gfn at that level; makes tables and splits larger leaves on the way. Without "create" an absent
 * table is -ENOENT. */
static inline __attribute__((always_inline)) int slot(struct p2m *p, gfn_t gfn, unsigned level, bool create, uint64_t **out)
{
	uint64_t *table = p->root;

	for (unsigned l = LEVELS - 1; l > level; l--) {
		uint64_t *e = entry_at(table, gfn, l);

		if (unlikely(!is_table(*e, l))) {
			int err = *e || create ? make_table(p, e, l) : -ENOENT;
			if (err)
				return err;
		}
		table = table_at(*e);
	}
	*out = entry_at(table, gfn, level);
	return 0;
}

/* The owner's frames know where they are mapped. */
static void forget_gfns(uint64_t e, unsigned level, gfn_t gfn)
{
	struct frame *f = frame_of(mfn_in(e));

	if (!f || !in(type_of(e), TYPES_OWN))
		return;
	for (uint64_t i = 0; i < pages_of(level); i++)
		if (f[i].gfn == (uint32_t)(gfn + i))
			f[i].gfn = FRAME_GFN_NONE;
}

/* Replaces a leaf (or nothing) by a leaf, or by nothing with P2M_NONE. */
static inline void write_leaf(struct domain *d, uint64_t *e, unsigned level, gfn_t gfn, mfn_t mfn, enum p2m_type t)
{
	uint64_t old = *e, new = t == P2M_NONE ? 0 : cpu_ops->p2m->leaf(mfn, level, t);

	if (old == new)
		return;
	if (old) {
		forget_gfns(old, level, gfn);
		d->p2m.need_flush = true;
	}
	WRITE_ONCE(*e, new);
	if (in(t, TYPES_OWN))
		for (uint64_t i = 0; i < pages_of(level); i++)
			frame_table[mfn + i].gfn = (uint32_t)(gfn + i);
}

/* n entries of one table from e on. Tables found below stay and get filled: nothing is freed under a walking CPU. */
static void write_entries(struct domain *d, uint64_t *e, unsigned level, unsigned n, gfn_t gfn, mfn_t mfn, enum p2m_type t)
{
	for (; n--; e++, gfn += pages_of(level), mfn += pages_of(level)) {
		if (is_table(*e, level))
			write_entries(d, table_at(*e), level - 1, FANOUT, gfn, mfn, t);
		else
			write_leaf(d, e, level, gfn, mfn, t);
	}
}

/* The first invariant is enforced here, whatever the caller checked: no domain maps core memory, free memory, or registers that
 * are the core's. */
static inline bool frame_fits(const struct domain *d, mfn_t mfn, enum p2m_type t)
{
	const struct frame *f = frame_of(mfn);

	if (t == P2M_MMIO)
		return is_device_frame(mfn);
	if (!f)
		return false;
	if (in(t, TYPES_OWN))
		return f->type == FRAME_RAM && f->owner == d->id;
	if (t == P2M_SHARED)
		return f->type == FRAME_SHARED;
	return f->type == FRAME_RAM || f->type == FRAME_SHARED;
}

static bool range_fits(const struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	uint64_t n = 1ull << order;

	if ((order != 0 && order != 9 && order != 18) || ((gfn | mfn) & (n - 1)))
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!frame_fits(d, mfn + i, t))
			return false;
	return true;
}

/* Brings the devices' table in line with what [gfn, +2^order) is about to become. */
static int mirror(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	return in(t, TYPES_DMA) ? iommu_map(d, gfn, mfn, order, in(t, TYPES_WRITE)) : iommu_unmap(d, gfn, order);
}

int p2m_set(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	struct p2m *p = &d->p2m;
	unsigned level = order / 9, n = 1;
	uint64_t *e;
	int err;

	if (unlikely(gfn >= GFN_LIMIT || mfn >= MFN_LIMIT || t == P2M_NONE || t > P2M_SHARED ||
		     (in(t, TYPES_OWN) && gfn >= FRAME_GFN_NONE)))
		return -EINVAL;
	if (unlikely(order ? !range_fits(d, gfn, mfn, order, t) : !frame_fits(d, mfn, t)))
		return -EINVAL;
	if (unlikely(d->released.n))
		foreign_release(d);
	if (level == 2 && !cpu_ops->p2m->has_1g) {
		level = 1;
		n = FANOUT;
	}
	err = slot(p, gfn, level, true, &e);
	if (unlikely(err))
		return err;
	/* A single page that no device could reach and none may reach now is not the IOMMU's business: a reserved memory
	 * region that it maps for a device stays mapped when the service domain's CPUs touch it as MMIO. */
	if (d->iommu && (order || in(t, TYPES_DMA) || in(type_of(*e), TYPES_DMA))) {
		err = mirror(d, gfn, mfn, order, t);
		if (unlikely(err))
			return err;
	}
	if (likely(!order))
		write_leaf(d, e, 0, gfn, mfn, t);
	else
		write_entries(d, e, level, n, gfn, mfn, t);
	if (gfn + (1ull << order) - 1 > p->max_gfn)
		p->max_gfn = gfn + (1ull << order) - 1;
	return 0;
}

int p2m_clear(struct domain *d, gfn_t gfn, unsigned order)
{
	uint64_t *e;
	int err;

	if (unlikely(gfn >= GFN_LIMIT || (order != 0 && order != 9 && order != 18) || (gfn & ((1ull << order) - 1))))
		return -EINVAL;
	err = slot(&d->p2m, gfn, order / 9, false, &e);
	if (unlikely(err))
		return err == -ENOENT ? 0 : err;
	if (!*e)
		return 0;
	if (d->iommu && (order || in(type_of(*e), TYPES_DMA))) {
		err = iommu_unmap(d, gfn, order);
		if (unlikely(err))
			return err;
	}
	write_entries(d, e, order / 9, 1, gfn, 0, P2M_NONE);
	return 0;
}

int p2m_split(struct domain *d, gfn_t gfn)
{
	uint64_t *e;
	int err = slot(&d->p2m, gfn, 0, true, &e);

	p2m_flush(d);
	return err;
}

void p2m_flush(struct domain *d)
{
	uint32_t seq[MAX_CPUS];
	uint64_t waits = 0;

	if (!d->p2m.need_flush)
		return;
	d->p2m.need_flush = false;
	d->p2m.gen++;
	smp_mb(); /* pairs with in_guest = 1 before the check of gen on entry (cpu.h) */
	for (unsigned i = 0; i < nr_cpus; i++) {
		struct cpu *c = cpus[i];
		struct vcpu *v = READ_ONCE(c->current);

		seq[i] = READ_ONCE(c->exit_seq);
		if (c == this_cpu() || !v || v->domain != d || !READ_ONCE(c->in_guest))
			continue;
		waits |= BIT(i);
		cpu_kick(c);
	}
	if (d->iommu)
		iommu_flush(d);
	/* Any exit after gen was raised will do: the next entry flushes. */
	for (unsigned i = 0; waits; i++, waits >>= 1)
		while ((waits & 1) && READ_ONCE(cpus[i]->in_guest) && READ_ONCE(cpus[i]->exit_seq) == seq[i])
			cpu_relax();
}

gfn_t p2m_max_gfn(struct domain *d)
{
	return d->p2m.max_gfn;
}

int p2m_mirror(struct domain *d)
{
	for (gfn_t gfn = 0; gfn <= d->p2m.max_gfn;) {
		unsigned level;
		uint64_t e = lookup(&d->p2m, gfn, &level);
		int err = in(type_of(e), TYPES_DMA) ? mirror(d, gfn, mfn_in(e), 9 * level, type_of(e)) : 0;

		if (err)
			return err;
		gfn = (gfn | (pages_of(level) - 1)) + 1;
	}
	return 0;
}

/* References that removed entries held, dropped when nobody can use the entries any more. */
struct drops {
	unsigned n;
	struct {
		mfn_t mfn;
		uint64_t pages;
	} e[64];
};

static void drop_all(struct domain *d, struct drops *dr)
{
	p2m_flush(d);
	for (unsigned i = 0; i < dr->n; i++)
		for (uint64_t k = 0; k < dr->e[i].pages; k++)
			frame_put(dr->e[i].mfn + k);
	dr->n = 0;
}

int p2m_relinquish(struct domain *d, gfn_t *cursor)
{
	struct p2m *p = &d->p2m;
	struct drops dr = { 0 };
	unsigned budget = 4096, level;
	gfn_t gfn = *cursor;

	while (gfn <= p->max_gfn && budget) {
		uint64_t e = lookup(p, gfn, &level), *split;

		/* 1G at a time is too long to hold the lock. If there is no memory for a table, then be it. */
		if (level == 2 && e && !slot(p, gfn, 1, true, &split))
			e = lookup(p, gfn, &level);
		if (e && p2m_clear(d, gfn, 9 * level))
			break; /* no memory to split the devices' table: some may be free next time */
		if (in(type_of(e), TYPES_REFD)) {
			dr.e[dr.n].mfn = mfn_in(e);
			dr.e[dr.n++].pages = pages_of(level);
			if (dr.n == ARRAY_SIZE(dr.e))
				drop_all(d, &dr);
		}
		budget -= MIN(budget, !e ? 1u : level ? 512u : 4u);
		gfn = (gfn | (pages_of(level) - 1)) + 1;
	}
	drop_all(d, &dr);
	*cursor = gfn;
	return gfn > p->max_gfn ? 0 : -ERESTART;
}

int p2m_init(struct domain *d)
{
	const struct p2m_format *fmt = cpu_ops->p2m;
	uint64_t e = fmt->leaf(0x12345600, 1, P2M_GRANT_RO);

	ASSERT(type_of(e) == P2M_GRANT_RO && mfn_in(e) == 0x12345600 && (e & P2M_LARGE) && (e & P2M_PRESENT));
	ASSERT(is_table(fmt->table(1), 1) && mfn_in(fmt->table(1)) == 1 && type_of(fmt->leaf(0, 0, P2M_SHARED)) == P2M_SHARED);
	d->p2m = (struct p2m){ .root = core_alloc(0), .gen = 1, .table_pages = 1, .max_tables = P2M_MIN_TABLES };
	if (!d->p2m.root)
		return -ENOMEM;
	d->p2m.root_pa = virt_to_phys(d->p2m.root);
	return 0;
}

static void free_table(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level && i < FANOUT; i++)
		if (is_table(table[i], level))
			free_table(table_at(table[i]), level - 1);
	core_free(table, 0);
}

void p2m_free(struct domain *d)
{
	if (d->p2m.root)
		free_table(d->p2m.root, LEVELS - 1);
	d->p2m = (struct p2m){ 0 };
}
