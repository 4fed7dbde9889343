// SPDX-License-Identifier: Apache-2.0
/* Small objects of the core. Pages cut into one size are kept for that size: what the core needs at its peak is little. */
#include "frame.h"
#include "lib.h"
#include "map.h"

#define MIN_SHIFT 5  /* 32 bytes */
#define MAX_SHIFT 11 /* 2 KiB */
#define CUT       0x40 /* frame.order of a page cut into objects: CUT | shift */

struct object {
	struct object *next;
};
static struct object *available[MAX_SHIFT + 1];

static bool cut_page(unsigned shift)
{
	char *page = core_alloc(0);

	if (!page)
		return false;
	frame_of(virt_to_mfn(page))->order = (uint8_t)(CUT | shift);
	for (size_t at = PAGE_SIZE; at; at -= 1ul << shift) {
		struct object *o = (struct object *)(page + at - (1ul << shift));

		o->next = available[shift];
		available[shift] = o;
	}
	return true;
}

void *kalloc(size_t size)
{
	unsigned shift = MIN_SHIFT;
	struct object *o;

	if (size > PAGE_SIZE << FRAME_MAX_ORDER)
		return NULL;
	while (1ul << shift < size)
		shift++;
	if (shift > MAX_SHIFT)
		return core_alloc(shift > PAGE_SHIFT ? shift - PAGE_SHIFT : 0);
	if (!available[shift] && !cut_page(shift))
		return NULL;
	o = available[shift];
	available[shift] = o->next;
	memset(o, 0, 1ul << shift);
	return o;
}

void kfree(void *p)
{
	struct frame *f = p ? frame_of(virt_to_mfn(p)) : NULL;
	struct object *o = p;
	unsigned shift;

	if (!p)
		return;
	ASSERT(f && f->type == FRAME_CORE);
	if (!(f->order & CUT)) {
		core_free(p, f->order);
		return;
	}
	shift = f->order & (CUT - 1);
	ASSERT(!((uintptr_t)p & ((1ul << shift) - 1)));
	o->next = available[shift];
	available[shift] = o;
}
