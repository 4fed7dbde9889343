// SPDX-License-Identifier: Apache-2.0
/* The frame heap and reference counts against a simple model: one expected record a frame. */
#include "shim.h"
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "map.h"

#define PAGES    8192
#define RESERVED 40 /* frame table: 32 pages */
#define HEAD     0x80
#define DIRTY    0x40

static struct domain doms[2];
static struct {
	uint8_t type; /* FRAME_FREE, or what the test holds */
	domid_t owner;
	uint32_t refs;
} model[PAGES];
static struct domain *gone;

struct domain *domain_find(domid_t id)
{
	return id < 2 ? &doms[id] : NULL;
}

void domain_frames_gone(struct domain *d)
{
	gone = d;
}

/* Once: the heap is never torn down, so each test gives back what it took. */
static int setup(void **state)
{
	(void)state;
	shim_memory(PAGES, RESERVED);
	/* A hole that overlaps RAM, and unaligned ends. */
	boot_info.map[1] = (struct e820_entry){ .addr = 0x123456, .size = 0x2000, .type = E820_RESERVED };
	boot_info.map[2] = (struct e820_entry){ .addr = -4096ul, .size = 8192, .type = E820_RAM };
	boot_info.nr_map = 3;
	frame_init();
	for (unsigned i = 0; i < 2; i++) {
		doms[i].id = (domid_t)i;
		doms[i].max_pages = UINT64_MAX;
	}
	return 0;
}

static bool is_zero(const uint64_t *page)
{
	return !page[0] && !page[511] && !page[200];
}

static void scribble(uint64_t *page)
{
	page[0] = page[200] = page[511] = 0x5ec3e7;
}

/* The free records form aligned blocks, properly linked, merged as far as they should be, and clean ones are zero. */
static void check_heap(void)
{
	uint64_t free_pages = 0;

	for (mfn_t mfn = 0; mfn < frame_max; mfn++) {
		struct frame *f = frame_of(mfn), *buddy;
		unsigned order = f->order & 0x1f;

		if (f->type != FRAME_FREE)
			continue;
		assert_int_equal(f->owner, FRAME_OWNER_FREE);
		assert_true(f->order & HEAD);
		assert_int_equal(mfn & ((1ul << order) - 1), 0);
		buddy = frame_of(mfn ^ 1ul << order);
		if (order < FRAME_MAX_ORDER && buddy && buddy->type == FRAME_FREE)
			assert_int_not_equal(buddy->order, f->order);
		if (f->next != UINT32_MAX) {
			assert_int_equal(frame_table[f->next].prev, mfn);
			assert_int_equal(frame_table[f->next].order, f->order);
		}
		for (mfn_t m = mfn; m < mfn + (1ul << order); m++) {
			assert_int_equal(frame_of(m)->type, FRAME_FREE);
			assert_int_equal(frame_of(m)->refs, 0);
			if (m != mfn)
				assert_int_equal(frame_of(m)->order, 0);
			if (!(f->order & DIRTY))
				assert_true(is_zero(mfn_to_virt(m)));
		}
		free_pages += 1ul << order;
		mfn += (1ul << order) - 1;
	}
	assert_int_equal(free_pages, frame_free_pages());
}

static void check_model(void)
{
	uint64_t ram[2] = { 0 };

	for (mfn_t mfn = RESERVED; mfn < PAGES; mfn++) {
		struct frame *f = frame_of(mfn);

		if (model[mfn].type == FRAME_FREE) {
			assert_true(f->type == FRAME_FREE || f->type == FRAME_NOTRAM);
			continue;
		}
		assert_int_equal(f->type, model[mfn].type);
		assert_int_equal(f->owner, model[mfn].owner);
		assert_int_equal(f->refs, model[mfn].refs);
		if (f->type == FRAME_RAM)
			ram[f->owner]++;
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(doms[i].tot_pages, ram[i]);
	check_heap();
}

static void take(mfn_t mfn, unsigned order, uint8_t type, domid_t owner)
{
	if (mfn == INVALID_MFN)
		return;
	assert_int_equal(mfn & ((1ul << order) - 1), 0);
	for (mfn_t m = mfn; m < mfn + (1ul << order); m++) {
		assert_int_equal(model[m].type, FRAME_FREE);
		assert_true(is_zero(mfn_to_virt(m)));
		scribble(mfn_to_virt(m));
		model[m].type = type;
		model[m].owner = owner;
		model[m].refs = 1;
	}
}

static void put(mfn_t mfn)
{
	frame_put(mfn);
	if (!--model[mfn].refs)
		model[mfn].type = FRAME_FREE;
}

static void free_everything(void)
{
	for (mfn_t mfn = RESERVED; mfn < PAGES; mfn++)
		while (model[mfn].type == FRAME_RAM || model[mfn].type == FRAME_SHARED)
			put(mfn);
}

static void test_init(void **state)
{
	(void)state;
	assert_int_equal(frame_max, PAGES);
	assert_int_equal(frame_of(RESERVED - 1)->type, FRAME_CORE);
	assert_int_equal(frame_of(RESERVED)->type, FRAME_FREE);
	for (mfn_t mfn = 0x123; mfn <= 0x125; mfn++)
		assert_int_equal(frame_of(mfn)->type, FRAME_NOTRAM);
	assert_null(frame_of(PAGES));
	assert_int_equal(frame_free_pages(), PAGES - RESERVED - 3);
	assert_int_equal(frame_total_pages(), PAGES - 3);
	check_heap();
}

static struct {
	void *va;
	unsigned order;
} core[16];

static void free_core(unsigned slot)
{
	mfn_t mfn = virt_to_mfn(core[slot].va);

	core_free(core[slot].va, core[slot].order);
	for (unsigned i = 0; i < 1u << core[slot].order; i++)
		model[mfn + i].type = FRAME_FREE;
	core[slot].va = NULL;
}

static void random_step(void)
{
	struct domain *d = &doms[shim_random(2)];
	mfn_t mfn = RESERVED + shim_random(PAGES - RESERVED);
	unsigned order = shim_random(7), slot = shim_random(16);

	switch (shim_random(8)) {
	case 0:
		take(frame_alloc(d, order), order, FRAME_RAM, d->id);
		break;
	case 1:
		take(frame_alloc_shared(d), 0, FRAME_SHARED, d->id);
		break;
	case 2:
		if (frame_get(mfn, d->id)) {
			assert_true(model[mfn].type == FRAME_RAM || model[mfn].type == FRAME_SHARED);
			assert_int_equal(model[mfn].owner, d->id);
			model[mfn].refs++;
		} else {
			assert_true((model[mfn].type != FRAME_RAM && model[mfn].type != FRAME_SHARED) ||
				    model[mfn].owner != d->id);
		}
		break;
	case 3:
		frame_scrub_some(shim_random(200));
		break;
	case 4:
		if (core[slot].va) {
			free_core(slot);
		} else if ((core[slot].va = core_alloc(order))) {
			core[slot].order = order;
			take(virt_to_mfn(core[slot].va), order, FRAME_CORE, FRAME_OWNER_CORE);
		}
		break;
	default:
		for (unsigned n = shim_random(60); n && mfn < PAGES; mfn++, n--)
			if (model[mfn].type == FRAME_RAM || model[mfn].type == FRAME_SHARED)
				put(mfn);
	}
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		random_step();
		if (i % 50 == 0)
			check_model();
	}
	for (unsigned slot = 0; slot < 16; slot++)
		if (core[slot].va)
			free_core(slot);
	free_everything();
	check_model();
}

static void test_limits(void **state)
{
	struct domain *d = &doms[1];
	mfn_t mfn;

	(void)state;
	d->max_pages = 4;
	take(mfn = frame_alloc(d, 2), 2, FRAME_RAM, 1);
	assert_int_not_equal(mfn, INVALID_MFN);
	assert_int_equal(frame_alloc(d, 0), INVALID_MFN);
	d->max_pages = 2; /* below what it has */
	assert_int_equal(frame_alloc(d, 0), INVALID_MFN);
	assert_int_equal(frame_alloc(d, 19), INVALID_MFN);
	d->max_pages = UINT64_MAX;
	assert_false(frame_get(mfn, 0));
	assert_false(frame_get(PAGES, 1));
	assert_false(frame_get(0, FRAME_OWNER_CORE));
	frame_of(mfn)->refs = UINT32_MAX;
	assert_false(frame_get(mfn, 1));
	frame_of(mfn)->refs = 1;
	d->dying = DOM_DYING;
	gone = NULL;
	assert_int_equal(frame_alloc(d, 0), INVALID_MFN);
	free_everything();
	assert_ptr_equal(gone, d);
	d->dying = DOM_ALIVE;
	expect_assert_failure(frame_put(mfn));
	expect_assert_failure(frame_put(0));
	check_model();
}

/* Freed pages next to scrubbed ones do not hide a large block. */
static void test_merge_unlike(void **state)
{
	mfn_t mfn, other;

	(void)state;
	while (frame_scrub_some(1000))
		;
	take(mfn = frame_alloc(&doms[0], 11), 11, FRAME_RAM, 0);
	assert_int_not_equal(mfn, INVALID_MFN);
	for (mfn_t m = mfn; m < mfn + 2048; m += 2)
		put(m);
	while (frame_scrub_some(1000))
		;
	for (mfn_t m = mfn + 1; m < mfn + 2048; m += 2)
		put(m); /* clean and dirty by turns */
	check_model();
	/* With everything else taken, only that block is left. */
	while ((other = frame_alloc(&doms[1], 11)) != INVALID_MFN && other != mfn)
		take(other, 11, FRAME_RAM, 1);
	assert_int_equal(other, mfn);
	take(other, 11, FRAME_RAM, 1);
	check_model();
	free_everything();
}

static void test_claim(void **state)
{
	uint64_t before = frame_free_pages();
	mfn_t start = 3000, n = 1111, one;

	(void)state;
	take(one = frame_alloc(&doms[1], 0), 0, FRAME_RAM, 1);
	assert_int_equal(frame_claim(one - 5, 10, &doms[0]), -EBUSY);
	assert_int_equal(frame_claim(PAGES - 1, 2, &doms[0]), -EBUSY);
	assert_int_equal(frame_claim(1, ~0ul, &doms[0]), -EBUSY);
	check_model();
	free_everything();
	assert_int_equal(frame_claim(start, n, &doms[0]), 0);
	for (mfn_t m = start; m < start + n; m++) {
		assert_int_equal(frame_of(m)->gfn, m);
		model[m].type = FRAME_RAM;
		model[m].owner = 0;
		model[m].refs = 1;
	}
	assert_int_equal(frame_free_pages(), before - n);
	check_model();
	assert_int_equal(frame_claim(start + n, 1, &doms[0]), 0);
	model[start + n].type = FRAME_RAM;
	model[start + n].owner = 0;
	model[start + n].refs = 1;
	check_model();
	free_everything();
	check_model();
}

static void test_kalloc(void **state)
{
	static const size_t size[] = { 1, 32, 33, 2048, 2049, 5000, 3 * 4096 };
	char *p[7][3];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 21; i++) {
			char *a = p[i / 3][i % 3] = kalloc(size[i / 3]);

			assert_non_null(a);
			for (size_t at = 0; at < size[i / 3]; at++) {
				assert_int_equal(a[at], 0);
				a[at] = (char)i;
			}
		}
		for (unsigned i = 0; i < 21; i++) {
			assert_int_equal(p[i / 3][i % 3][size[i / 3] - 1], i);
			kfree(p[i / 3][i % 3]);
		}
	}
	kfree(NULL);
	assert_null(kalloc(1ul << 40));
	expect_assert_failure(kfree(shim_ram + PAGES * PAGE_SIZE));
	check_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init), cmocka_unit_test(test_random), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_claim), cmocka_unit_test(test_merge_unlike), cmocka_unit_test(test_kalloc),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
