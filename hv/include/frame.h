/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_FRAME_H
#define CARREL_FRAME_H

#include "types.h"

/*
 * One record a machine frame (hv/mm/frame.c). Core lock.
 *
 * A frame of RAM has one owner. refs counts why it cannot be freed: 1 while it belongs to its owner's memory
 * (d->tot_pages counts those), plus 1 for each mapping in another domain (foreign map, grant) or in a core object.
 * When refs reaches 0 the frame goes back to the heap, marked dirty, and is scrubbed before it is handed out again.
 */
struct domain;

#define FRAME_OWNER_FREE 0xffff /* in the buddy heap */
#define FRAME_OWNER_CORE 0xfffe /* core memory: in no p2m, in no IOMMU table, ever */
#define FRAME_OWNER_NONE 0xfffd /* not RAM, or firmware's */

enum frame_type {
	FRAME_FREE = 0,
	FRAME_CORE,   /* heap memory of the core itself */
	FRAME_RAM,    /* a domain's memory */
	FRAME_SHARED, /* core-allocated page that a domain may map: shared_info, grant table; owner = that domain */
	FRAME_NOTRAM,
};

struct frame {
	uint16_t owner; /* domid or FRAME_OWNER_* */
	uint8_t type;   /* enum frame_type */
	uint8_t order;  /* of a free block, in its first frame */
	uint32_t refs;
	union {
		uint32_t gfn;  /* FRAME_RAM: where the owner has it, FRAME_GFN_NONE when nowhere */
		uint32_t next; /* free block: list links by mfn */
	};
	uint32_t prev; /* of a free block */
};
_Static_assert(sizeof(struct frame) == 16, "16 bytes a frame is the memory budget");
#define FRAME_GFN_NONE 0xffffffffu

/* Highest frame number + 1 that has a record. */
extern mfn_t frame_max;
extern struct frame *frame_table;

/* NULL when mfn has no record. */
static inline struct frame *frame_of(mfn_t mfn)
{
	return mfn < frame_max ? &frame_table[mfn] : NULL;
}
static inline mfn_t frame_mfn(const struct frame *f)
{
	return (mfn_t)(f - frame_table);
}

/* Boot: makes the records from the RAM map; all RAM that boot_reserved() does not name goes to the heap as dirty. */
void frame_init(void);
/* Boot: takes [mfn, mfn+n) out of the heap for its owner; used for the service domain's identity memory. -EBUSY. */
int frame_claim(mfn_t mfn, uint64_t n, struct domain *d);

/* Allocates 2^order zeroed frames for the core. NULL when none. Order 0..FRAME_MAX_ORDER. */
#define FRAME_MAX_ORDER 18
void *core_alloc(unsigned order);
void core_free(void *va, unsigned order);
/* Zeroed small objects (rounded up to a power of two, 32 B to 2 KiB; larger ones by pages). */
void *kalloc(size_t size);
void kfree(void *p);

/* Allocates 2^order scrubbed frames for d: owner d, type FRAME_RAM, refs 1, gfn none; counts them in d->tot_pages.
 * INVALID_MFN when there is no memory or d->max_pages would be passed. */
mfn_t frame_alloc(struct domain *d, unsigned order);
/* One FRAME_SHARED page for d (not counted in tot_pages), zeroed, refs 1. */
mfn_t frame_alloc_shared(struct domain *d);
/* Takes a reference for a mapping outside the owner. Fails (false) on a free, core or not-RAM frame, when the owner is not
 * "owner", or when the count would overflow. */
bool frame_get(mfn_t mfn, domid_t owner) __must_check;
/* Drops a reference; at 0 frees the frame (owner's tot_pages and reference go down if it was FRAME_RAM). */
void frame_put(mfn_t mfn);

uint64_t frame_free_pages(void);
uint64_t frame_total_pages(void);
/* Zeroes dirty free blocks for at most about "budget" frames; false when nothing was left to do. For idle CPUs. */
bool frame_scrub_some(unsigned budget);
/* Gives frames of boot_reserved() to the heap, which does not have them yet. */
void frame_release(mfn_t mfn, uint64_t n);

#endif
