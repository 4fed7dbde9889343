// SPDX-License-Identifier: Apache-2.0
/*
 * Machine memory: a record for each frame, and a buddy heap of the free ones.
 *
 * A free block of order k is aligned to 2^k frames and named by its first record (its head). Blocks are clean (zero) or dirty;
 * two buddies merge at once only when they are alike, so that one freed page does not make a scrubbed gigabyte dirty again.
 */
#include "frame.h"
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "lib.h"
#include "map.h"

/* frame.order of a free block's head; 0 in the other records of the block. */
#define HEAD       0x80
#define DIRTY      0x40
#define ORDER_BITS 0x1f
#define NIL        0xffffffffu

mfn_t frame_max;
struct frame *frame_table;

static uint32_t heap[FRAME_MAX_ORDER + 1][2] = { [0 ... FRAME_MAX_ORDER] = { NIL, NIL } }; /* [order][dirty] */
static uint64_t free_pages, total_pages;

static void fill(mfn_t mfn, uint64_t n, struct frame value)
{
	for (struct frame *f = &frame_table[mfn], *end = f + n; f < end; f++)
		*f = value;
}

static const struct frame free_record = { .owner = FRAME_OWNER_FREE, .type = FRAME_FREE };

static void block_link(mfn_t mfn, unsigned order, bool dirty)
{
	struct frame *f = &frame_table[mfn];
	uint32_t *head = &heap[order][dirty];

	f->order = (uint8_t)(HEAD | (dirty ? DIRTY : 0) | order);
	f->prev = NIL;
	f->next = *head;
	if (*head != NIL)
		frame_table[*head].prev = (uint32_t)mfn;
	*head = (uint32_t)mfn;
}

static void block_unlink(mfn_t mfn)
{
	struct frame *f = &frame_table[mfn];

	if (f->prev != NIL)
		frame_table[f->prev].next = f->next;
	else
		heap[f->order & ORDER_BITS][!!(f->order & DIRTY)] = f->next;
	if (f->next != NIL)
		frame_table[f->next].prev = f->prev;
	f->order = 0;
}

static bool is_block(mfn_t mfn, unsigned order, bool dirty)
{
	return mfn < frame_max && frame_table[mfn].type == FRAME_FREE &&
	       frame_table[mfn].order == (HEAD | (dirty ? DIRTY : 0) | order);
}

/* Puts a block of free records on its list, merged with its buddies of the same kind. */
static void block_insert(mfn_t mfn, unsigned order, bool dirty)
{
	while (order < FRAME_MAX_ORDER && is_block(mfn ^ BIT(order), order, dirty)) {
		block_unlink(mfn ^ BIT(order));
		mfn &= ~BIT(order);
		order++;
	}
	block_link(mfn, order, dirty);
}

/* Inserts any range of free records, in the largest aligned blocks. */
static void range_insert(mfn_t mfn, mfn_t end, bool dirty)
{
	while (mfn < end) {
		unsigned order = mfn ? (unsigned)__builtin_ctzl(mfn) : FRAME_MAX_ORDER;

		order = MIN(order, FRAME_MAX_ORDER);
		while (mfn + BIT(order) > end)
			order--;
		block_insert(mfn, order, dirty);
		mfn += BIT(order);
	}
}

/* Merges clean blocks with dirty buddies (the result is dirty): for when a large block is wanted and there is none. */
static void merge_unlike(void)
{
	for (unsigned order = 0; order < FRAME_MAX_ORDER; order++) {
		for (uint32_t mfn = heap[order][false], next; mfn != NIL; mfn = next) {
			next = frame_table[mfn].next;
			if (!is_block(mfn ^ BIT(order), order, true))
				continue;
			block_unlink(mfn);
			block_unlink(mfn ^ BIT(order));
			block_insert(mfn & ~BIT(order), order + 1, true);
		}
	}
}

/* Cuts a block, already off its list, down to the wanted order. */
static void split(mfn_t mfn, unsigned from, unsigned to, bool dirty)
{
	while (from > to) {
		from--;
		block_link(mfn + BIT(from), from, dirty);
	}
}

/* Takes a block off the heap: the smallest that is large enough, clean ones first. INVALID_MFN. */
static mfn_t block_take(unsigned order, bool *dirty)
{
	for (unsigned o = order; o <= FRAME_MAX_ORDER; o++) {
		for (unsigned kind = 0; kind < 2; kind++) {
			mfn_t mfn = heap[o][kind];

			if (mfn == NIL)
				continue;
			block_unlink(mfn);
			split(mfn, o, order, kind);
			*dirty = kind;
			return mfn;
		}
	}
	return INVALID_MFN;
}

static mfn_t block_alloc(unsigned order, uint16_t owner, uint8_t type)
{
	bool dirty;
	mfn_t mfn;

	if (order > FRAME_MAX_ORDER || BIT(order) > free_pages)
		return INVALID_MFN;
	mfn = block_take(order, &dirty);
	if (mfn == INVALID_MFN) {
		merge_unlike();
		mfn = block_take(order, &dirty);
	}
	if (mfn == INVALID_MFN)
		return INVALID_MFN;
	if (dirty)
		memset(mfn_to_virt(mfn), 0, PAGE_SIZE << order);
	fill(mfn, BIT(order), (struct frame){ .owner = owner, .type = type, .refs = 1,
					      .gfn = type == FRAME_CORE ? 0 : FRAME_GFN_NONE });
	free_pages -= BIT(order);
	return mfn;
}

static void block_free(mfn_t mfn, unsigned order)
{
	fill(mfn, BIT(order), free_record);
	block_insert(mfn, order, true);
	free_pages += BIT(order);
}

void frame_release(mfn_t mfn, uint64_t n)
{
	for (; n; n--, mfn++)
		block_free(mfn, 0);
}

/* Marks whole frames within the RAM entries (kept true), or all frames that other entries touch (kept false): firmware maps
 * overlap, and then the more careful reading wins. */
static void mark_entries(bool ram, struct frame value)
{
	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];
		paddr_t start = e->addr, end = e->addr + e->size;

		if ((e->type == E820_RAM) != ram || end <= start)
			continue;
		start = ram ? (start + PAGE_SIZE - 1) >> PAGE_SHIFT : start >> PAGE_SHIFT;
		end = ram ? end >> PAGE_SHIFT : (end + PAGE_SIZE - 1) >> PAGE_SHIFT;
		end = MIN(end, frame_max);
		if (start < end)
			fill(start, end - start, value);
	}
}

void frame_init(void)
{
	const struct frame core = { .owner = FRAME_OWNER_CORE, .type = FRAME_CORE, .refs = 1 };
	mfn_t run = 0;

	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];

		if (e->type == E820_RAM && e->addr + e->size > e->addr)
			frame_max = MAX(frame_max, (e->addr + e->size) >> PAGE_SHIFT);
	}
	frame_max = MIN(frame_max, NIL); /* links are 32 bits wide: 16 TiB */
	frame_table = phys_to_virt(boot_alloc(frame_max * sizeof(*frame_table), PAGE_SIZE));
	fill(0, frame_max, (struct frame){ .owner = FRAME_OWNER_NONE, .type = FRAME_NOTRAM });
	mark_entries(true, free_record);
	mark_entries(false, (struct frame){ .owner = FRAME_OWNER_NONE, .type = FRAME_NOTRAM });

	for (mfn_t mfn = 0; mfn <= frame_max; mfn++) {
		bool ram = mfn < frame_max && frame_table[mfn].type == FRAME_FREE;

		if (ram && !boot_reserved(mfn))
			continue;
		if (ram)
			frame_table[mfn] = core;
		total_pages += ram;
		range_insert(run, mfn, true);
		free_pages += mfn - run;
		run = mfn + 1;
	}
	total_pages += free_pages;
}

/* Head of the free block that holds mfn, or INVALID_MFN. */
static mfn_t block_of(mfn_t mfn)
{
	for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++) {
		struct frame *f = frame_of(mfn & ~(BIT(order) - 1));

		if (f && f->type == FRAME_FREE && f->order & HEAD && (f->order & ORDER_BITS) >= order)
			return frame_mfn(f);
	}
	return INVALID_MFN;
}

int frame_claim(mfn_t mfn, uint64_t n, struct domain *d)
{
	mfn_t end = mfn + n, head, head_end;

	if (end < mfn || end > frame_max)
		return -EBUSY;
	for (mfn_t m = mfn; m < end; m = head_end) {
		head = block_of(m);
		if (head == INVALID_MFN)
			return -EBUSY;
		head_end = head + BIT(frame_table[head].order & ORDER_BITS);
	}
	for (mfn_t m = mfn; m < end; m = head_end) {
		bool dirty;

		head = block_of(m);
		head_end = head + BIT(frame_table[head].order & ORDER_BITS);
		dirty = frame_table[head].order & DIRTY;
		block_unlink(head);
		range_insert(head, m, dirty); /* empty but for the first block */
		if (head_end > end)
			range_insert(end, head_end, dirty);
		for (; m < MIN(head_end, end); m++)
			frame_table[m] = (struct frame){ .owner = d->id, .type = FRAME_RAM, .refs = 1, .gfn = (uint32_t)m };
	}
	free_pages -= n;
	d->tot_pages += n;
	return 0;
}

void *core_alloc(unsigned order)
{
	mfn_t mfn = block_alloc(order, FRAME_OWNER_CORE, FRAME_CORE);

	if (mfn == INVALID_MFN)
		return NULL;
	frame_table[mfn].order = (uint8_t)order; /* for core_free and kfree to check */
	return mfn_to_virt(mfn);
}

void core_free(void *va, unsigned order)
{
	struct frame *f = va ? frame_of(virt_to_mfn(va)) : NULL;

	if (!va)
		return;
	ASSERT(f && f->type == FRAME_CORE && f->order == order);
	block_free(frame_mfn(f), order);
}

mfn_t frame_alloc(struct domain *d, unsigned order)
{
	mfn_t mfn;

	if (order > FRAME_MAX_ORDER || d->dying || d->tot_pages > d->max_pages ||
	    BIT(order) > d->max_pages - d->tot_pages)
		return INVALID_MFN;
	mfn = block_alloc(order, d->id, FRAME_RAM);
	if (mfn != INVALID_MFN)
		d->tot_pages += BIT(order);
	return mfn;
}

mfn_t frame_alloc_shared(struct domain *d)
{
	return block_alloc(0, d->id, FRAME_SHARED);
}

bool frame_get(mfn_t mfn, domid_t owner)
{
	struct frame *f = frame_of(mfn);

	if (!f || (f->type != FRAME_RAM && f->type != FRAME_SHARED) || f->owner != owner || f->refs == UINT32_MAX)
		return false;
	f->refs++;
	return true;
}

void frame_put(mfn_t mfn)
{
	struct frame *f = frame_of(mfn);
	struct domain *d;
	bool ram;

	ASSERT(f && (f->type == FRAME_RAM || f->type == FRAME_SHARED) && f->refs);
	if (--f->refs)
		return;
	ram = f->type == FRAME_RAM;
	d = domain_find(f->owner);
	block_free(mfn, 0);
	/* A shared page may outlive its domain while another one maps it; RAM cannot, the domain stays listed for it. */
	if (!ram)
		return;
	ASSERT(d && d->tot_pages);
	if (!--d->tot_pages && d->dying)
		domain_frames_gone(d); /* may free d */
}

uint64_t frame_free_pages(void)
{
	return free_pages;
}

uint64_t frame_total_pages(void)
{
	return total_pages;
}

bool frame_scrub_some(unsigned budget)
{
	unsigned order = 0;

	while (order <= FRAME_MAX_ORDER && budget) {
		mfn_t mfn = heap[order][true];
		unsigned piece = order;

		if (mfn == NIL) {
			order++;
			continue;
		}
		while (BIT(piece) > budget)
			piece--;
		block_unlink(mfn);
		split(mfn, order, piece, true);
		memset(mfn_to_virt(mfn), 0, PAGE_SIZE << piece);
		block_insert(mfn, piece, false);
		budget -= (unsigned)BIT(piece);
		order = 0;
	}
	return !budget;
}
