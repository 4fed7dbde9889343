// SPDX-License-Identifier: Apache-2.0
/*
 * hv/mm/frame.c by induction: from every state of a machine of 4 frames and two domains in which the invariant holds, one
 * frame_alloc or frame_alloc_shared of a page, core_free, frame_get or frame_put with any arguments leads to a state in which
 * it holds again. Bound: 4 frames, blocks of up to 2; sequences of operations have no bound. That frame_init makes such a state,
 * and larger blocks, claims and scrubbing: tests/unit.
 *
 * Invariant (holds): each free frame is in exactly one block of one free list, whose links agree both ways, and no other frame
 * is in any; blocks listed as clean contain no frame that was in use since it was last scrubbed; a frame in use has references
 * and an owner that fits its type; free_pages, and each domain's tot_pages are the numbers of such frames.
 * Besides, each operation changes the frames that it is about, as frame.h says, and no other.
 */
#define CARREL_DOMAIN_H /* of a domain only what is used here, or the proof takes for ever */
#include "types.h"
struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
};
#define E820_RAM 1
#define E820_MAX 2
struct domain {
	domid_t id;
	uint64_t tot_pages, max_pages;
	int dying;
};
struct domain *domain_find(domid_t id);
void domain_frames_gone(struct domain *d);

#include "frame.h"
#undef FRAME_MAX_ORDER
#define FRAME_MAX_ORDER 1
#include "proof.h"

#define N    4
#define DOMS 2

static bool used[N]; /* ghost: not scrubbed since it was in somebody's hands */
static void scrub(void *page, uint64_t n);
#undef memset
#define memset(p, c, n) scrub(p, n)
#include "../../hv/mm/frame.c"
#undef memset

static struct frame records[N];
static struct domain doms[DOMS];
static struct frame before[N];
static char pages[N]; /* their addresses stand for the frames' */

void *proof_page(mfn_t mfn)
{
	return &pages[mfn];
}

mfn_t proof_mfn(const void *va)
{
	return (mfn_t)((const char *)va - pages);
}

static void scrub(void *page, uint64_t n)
{
	mfn_t mfn = proof_mfn(page);

	for (unsigned i = 0; i < N; i++)
		if (i >= mfn && i < mfn + n / PAGE_SIZE)
			used[i] = false;
}

struct domain *domain_find(domid_t id)
{
	return id < DOMS ? &doms[id] : NULL;
}

static struct domain *gone; /* ghost: whose last frame went */
void domain_frames_gone(struct domain *d)
{
	gone = d;
}

/* ---- the invariant ---- */

static bool block_holds(uint32_t m, unsigned order, bool dirty, unsigned *blocks)
{
	if (m >= N || (m & (BIT(order) - 1)) || m + BIT(order) > N || records[m].order != (HEAD | (dirty ? DIRTY : 0) | order))
		return false;
	for (unsigned i = 0; i < BIT(order); i++) {
		if (records[m + i].type != FRAME_FREE || (i && records[m + i].order) || (used[m + i] && !dirty))
			return false;
		blocks[m + i]++;
	}
	return true;
}

static bool holds(void)
{
	unsigned blocks[N] = { 0 }, free = 0, ram[DOMS] = { 0 };

	for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++)
		for (unsigned dirty = 0; dirty < 2; dirty++) {
			uint32_t prev = NIL, m = heap[order][dirty];

			for (unsigned i = 0; i < N >> order && m != NIL; i++) {
				if (!block_holds(m, order, dirty, blocks) || records[m].prev != prev)
					return false;
				prev = m;
				m = records[m].next;
			}
			if (m != NIL)
				return false;
		}
	for (unsigned i = 0; i < N; i++) {
		const struct frame *f = &records[i];
		bool owned = f->type == FRAME_RAM || f->type == FRAME_SHARED;

		if (f->type > FRAME_NOTRAM || blocks[i] != (f->type == FRAME_FREE) || (owned && (f->owner >= DOMS || !f->refs)))
			return false;
		if (f->owner != (owned ? f->owner : f->type == FRAME_FREE ? FRAME_OWNER_FREE :
						    f->type == FRAME_CORE ? FRAME_OWNER_CORE : FRAME_OWNER_NONE))
			return false;
		free += f->type == FRAME_FREE;
		for (unsigned d = 0; d < DOMS; d++)
			ram[d] += f->type == FRAME_RAM && f->owner == d;
	}
	for (unsigned d = 0; d < DOMS; d++)
		if (doms[d].id != d || doms[d].tot_pages != ram[d])
			return false;
	return free_pages == free;
}

static void any_state(void)
{
	frame_table = records;
	frame_max = N;
	for (unsigned i = 0; i < N; i++) {
		records[i].owner = (uint16_t)nondet_unsigned();
		records[i].type = (uint8_t)nondet_unsigned();
		records[i].order = (uint8_t)nondet_unsigned();
		records[i].refs = nondet_unsigned();
		records[i].next = nondet_unsigned();
		records[i].prev = nondet_unsigned();
		used[i] = nondet_bool();
	}
	for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++)
		heap[order][0] = nondet_unsigned(), heap[order][1] = nondet_unsigned();
	for (unsigned d = 0; d < DOMS; d++) {
		doms[d].id = (domid_t)d;
		doms[d].tot_pages = nondet_unsigned();
		doms[d].max_pages = nondet_unsigned();
		doms[d].dying = any_below(3);
	}
	free_pages = nondet_unsigned();
	assume(holds());
	for (unsigned i = 0; i < N; i++)
		before[i] = records[i];
}

/* The frame means what it meant: free frames may change places in the heap. */
static bool same(unsigned i)
{
	const struct frame *a = &before[i], *b = &records[i];

	return a->type == b->type && a->owner == b->owner &&
	       (a->type == FRAME_FREE || (a->refs == b->refs && a->gfn == b->gfn && a->order == b->order));
}

static void others_same(mfn_t mfn, unsigned order)
{
	for (unsigned i = 0; i < N; i++)
		prove((i >= mfn && i < mfn + BIT(order)) || same(i));
}

/* What is handed out was free, is the new owner's alone and has no trace of the one before. */
static void handed_out(mfn_t mfn, unsigned order, uint16_t owner, uint8_t type)
{
	prove(holds());
	if (mfn == INVALID_MFN) {
		others_same(0, 0);
		prove(same(0));
		return;
	}
	prove(!(mfn & (BIT(order) - 1)) && mfn + BIT(order) <= N);
	for (unsigned i = 0; i < N; i++)
		if (i >= mfn && i < mfn + BIT(order)) {
			prove(before[i].type == FRAME_FREE && !used[i]);
			prove(records[i].owner == owner && records[i].type == type && records[i].refs == 1);
		}
	others_same(mfn, order);
}

/* ---- the operations ---- */

/* One page; larger blocks are cut by the same steps. */
void proof_alloc(void)
{
	unsigned d = any_below(DOMS);
	uint64_t room, had;
	mfn_t mfn;

	any_state();
	room = doms[d].max_pages;
	had = free_pages;
	mfn = frame_alloc(&doms[d], 0);
	handed_out(mfn, 0, (uint16_t)d, FRAME_RAM);
	prove(mfn == INVALID_MFN || (!doms[d].dying && doms[d].tot_pages <= room));
	prove(mfn != INVALID_MFN || doms[d].dying || doms[d].tot_pages >= room || !had); /* one, if there is one */
}

void proof_alloc_shared(void)
{
	any_state();
	handed_out(frame_alloc_shared(&doms[0]), 0, 0, FRAME_SHARED);
}

/* Of a block that core_alloc gave: its pages have been written to since. */
void proof_core_free(void)
{
	unsigned mfn = any_below(N), order = any_below(FRAME_MAX_ORDER + 1);

	any_state();
	assume(!(mfn & (BIT(order) - 1)) && mfn + BIT(order) <= N && records[mfn].order == order);
	for (unsigned i = 0; i < N; i++)
		if (i >= mfn && i < mfn + BIT(order)) {
			assume(records[i].type == FRAME_CORE);
			used[i] = true;
		}
	core_free(proof_page(mfn), order);
	prove(holds());
	for (unsigned i = 0; i < N; i++)
		prove(i < mfn || i >= mfn + BIT(order) || records[i].type == FRAME_FREE);
	others_same(mfn, order);
}

void proof_get(void)
{
	mfn_t mfn = nondet_u64();
	domid_t owner = (domid_t)nondet_unsigned();
	bool got, may;

	any_state();
	may = mfn < N && (before[mfn].type == FRAME_RAM || before[mfn].type == FRAME_SHARED) && before[mfn].owner == owner &&
	      before[mfn].refs != UINT32_MAX;
	got = frame_get(mfn, owner);
	prove(got == may);
	prove(holds());
	if (got) {
		prove(records[mfn].refs == before[mfn].refs + 1 && records[mfn].owner == owner);
		others_same(mfn, 0);
	} else {
		others_same(0, 0);
		prove(same(0));
	}
}

/* By someone who has a reference; the frame's contents are then unknown. */
void proof_put(void)
{
	unsigned mfn = any_below(N);
	struct domain *d;

	any_state();
	assume(records[mfn].type == FRAME_RAM || records[mfn].type == FRAME_SHARED);
	d = &doms[records[mfn].owner];
	used[mfn] = true;
	frame_put(mfn);
	prove(holds());
	others_same(mfn, 0);
	if (before[mfn].refs == 1)
		prove(records[mfn].type == FRAME_FREE);
	else
		prove(records[mfn].type == before[mfn].type && records[mfn].owner == before[mfn].owner &&
		      records[mfn].refs == before[mfn].refs - 1);
	prove((gone == d) == (d->dying && !d->tot_pages && before[mfn].type == FRAME_RAM && before[mfn].refs == 1));
}
