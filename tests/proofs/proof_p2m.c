// SPDX-License-Identifier: Apache-2.0
/*
 * hv/mm/p2m.c: in an empty map, any two p2m_set of single pages and one p2m_clear, with any arguments and with memory for tables
 * running out at any point; afterwards any page is looked up. Bound: those three changes, single pages (larger ones: tests/unit), addresses
 * that take entry 0 or 1 of each table, or are beyond what a map can hold.
 *
 * Proved: what was set is found, with its frame and type; what was cleared is gone; any other page is as before; a change that
 * reports an error changed nothing; only frames that frame.h says a domain may have under that type are ever mapped, so never
 * the core's and never free ones; whenever a present entry changed, need_flush is set; nothing is set while removed
 * mappings still wait for their flush.
 */
#define CARREL_DOMAIN_H /* of a domain only what is used here, or the proof takes for ever */
#include "types.h"
#include "p2m.h"
struct iommu_domain;
struct domain;
void foreign_release(struct domain *d);
struct domain {
	domid_t id;
	struct p2m p2m;
	struct iommu_domain *iommu;
	struct {
		unsigned n;
	} released;
};
#include "proof.h"
#include "cpu_ops.h"
#include "../../hv/mm/p2m.c"

#define FRAMES 8 /* with records; the types are any */
#define TABLES 7 /* the root, and three for each set */

#define USED   2 /* entries of a table that the proof's addresses reach */

static uint64_t tables[TABLES][USED];
static unsigned used;
static struct frame records[FRAMES];
struct frame *frame_table = records;
mfn_t frame_max = FRAMES;
static struct domain d = { .id = 5 };
struct cpu *cpus[MAX_CPUS];
unsigned nr_cpus;

/* The tables are the frames from 0x1000 on. */
void *proof_page(mfn_t mfn)
{
	prove(mfn - 0x1000 < TABLES);
	return tables[mfn - 0x1000];
}

mfn_t proof_mfn(const void *va)
{
	return 0x1000 + (mfn_t)((const uint64_t *)va - &tables[0][0]) / USED;
}

void *core_alloc(unsigned order)
{
	prove(!order);
	if (used && nondet_bool())
		return NULL;
	prove(used < TABLES);
	return tables[used++];
}

/* As p2m.h describes entries. */
static uint64_t leaf(mfn_t mfn, unsigned level, enum p2m_type t)
{
	return mfn << PAGE_SHIFT | (uint64_t)t << P2M_TYPE_SHIFT | P2M_PRESENT | (level ? P2M_LARGE : 0);
}

static uint64_t table(mfn_t mfn)
{
	return mfn << PAGE_SHIFT | P2M_PRESENT;
}

static const struct p2m_format format = { .leaf = leaf, .table = table };
static const struct cpu_ops ops = { .p2m = &format };
const struct cpu_ops *cpu_ops = &ops;

/* xen/memory.c's mappings that wait for a flush. */
void foreign_release(struct domain *dom)
{
	dom->released.n = 0;
}

bool is_device_frame(mfn_t mfn)
{
	return (mfn >= FRAMES || records[mfn].type == FRAME_NOTRAM) && mfn != 0x2000; /* that one is the core's own device */
}

static void may_map(mfn_t mfn, enum p2m_type t)
{
	const struct frame *f = mfn < FRAMES ? &records[mfn] : NULL;

	if (t == P2M_MMIO)
		prove((!f || f->type == FRAME_NOTRAM) && mfn != 0x2000);
	else
		prove(f && f->type != FRAME_FREE && f->type != FRAME_CORE && f->type != FRAME_NOTRAM);
	if (t == P2M_RAM || t == P2M_RAM_RO)
		prove(f->type == FRAME_RAM && f->owner == d.id);
	if (t == P2M_SHARED)
		prove(f->type == FRAME_SHARED);
}

/* One page that is watched through it all: what the map should say of it. */
static gfn_t watched;
static mfn_t want = INVALID_MFN;
static enum p2m_type want_type;

static gfn_t any_gfn(void)
{
	gfn_t gfn = nondet_u64();

	assume(gfn >= GFN_LIMIT || !(gfn & ~(1ull | 1ull << 9 | 1ull << 18 | 1ull << 27)));
	return gfn;
}

static void change(bool clear)
{
	gfn_t gfn = any_gfn();
	mfn_t mfn = nondet_u64();
	enum p2m_type t = (enum p2m_type)any_below(16);
	int rc;

	d.p2m.need_flush = false;
	d.released.n = nondet_unsigned();
	rc = clear ? p2m_clear(&d, gfn, 0) : p2m_set(&d, gfn, mfn, 0, t);
	if (!clear && !rc)
		may_map(mfn, t);
	if (rc || gfn != watched)
		return;
	prove(clear || !d.released.n);
	prove(want == INVALID_MFN || (!clear && want == mfn && want_type == t) || d.p2m.need_flush);
	want = clear ? INVALID_MFN : mfn;
	want_type = clear ? P2M_NONE : t;
}

static void run(void)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		records[i].type = (uint8_t)any_below(FRAME_NOTRAM + 1);
		records[i].owner = (uint16_t)nondet_unsigned();
	}
	watched = any_gfn();
	d.p2m.root = core_alloc(0);
	d.p2m.table_pages = 1;
	d.p2m.max_tables = nondet_unsigned();
	change(false);
	change(false);
	change(true);
}

void proof_set_get_clear(void)
{
	enum p2m_type t;
	mfn_t got;

	run();
	got = p2m_get(&d, watched, &t, NULL);
	prove(got == want && t == want_type);
}

/* Not so: it shows that the proof above is about something. */
void proof_nothing_mapped(void)
{
	run();
	prove(want == INVALID_MFN);
}
