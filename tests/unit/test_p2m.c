// SPDX-License-Identifier: Apache-2.0
/* The p2m against an array, in both entry formats, with memory running out at random; and what it tells the IOMMU. */
#include "shim.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "map.h"

#include <sys/syscall.h>
#include <asm/prctl.h>
#include <unistd.h>

#define TABLES 4096  /* pages that core_alloc has */
#define GFNS   4096  /* the model's window, at GIB_GFN - GFNS / 2 so that it spans two 1G entries */
#define BASE   (262144ul - GFNS / 2)
#define MFNS   8192
#define CORE_MFN 5000 /* first frame of the core's; before: RAM of d; then free, another's, not RAM, shared */
#define FREE_MFN 5100
#define OTHER_MFN 5632
#define DEVICE_MFN 6656
#define SHARED_MFN 7680

extern struct p2m_format npt_format, ept_format;
static struct cpu_ops ops = { .name = "test" };
const struct cpu_ops *cpu_ops = &ops;
mfn_t frame_max = MFNS;
static struct frame frames[MFNS];
struct frame *frame_table = frames;
static struct cpu cpu;
static struct domain d;
static struct {
	mfn_t mfn;
	enum p2m_type t;
} model[GFNS], devices[GFNS];
static unsigned dropped[MFNS], tables_used, fail_one_in;

void *core_alloc(unsigned order)
{
	static unsigned next;

	assert_int_equal(order, 0);
	if ((fail_one_in && !shim_random(fail_one_in)) || tables_used == TABLES)
		return NULL;
	tables_used++;
	next = (next + 1) % (8 * TABLES); /* never handed out twice in a run */
	return memset(mfn_to_virt(next), 0, PAGE_SIZE);
}

void core_free(void *va, unsigned order)
{
	memset(va, 0xff, PAGE_SIZE << order);
	tables_used--;
}

void frame_put(mfn_t mfn)
{
	assert_false(d.p2m.need_flush);
	dropped[mfn]++;
}

bool is_device_frame(mfn_t mfn)
{
	return (mfn >= MFNS || frames[mfn].type == FRAME_NOTRAM) && mfn != DEVICE_MFN + 7;
}

static void devices_set(gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	for (gfn_t i = 0; i < 1ull << order; i++)
		if (gfn + i >= BASE && gfn + i < BASE + GFNS) {
			devices[gfn + i - BASE].mfn = mfn == INVALID_MFN ? mfn : mfn + i;
			devices[gfn + i - BASE].t = t;
		}
}

/* xen/memory.c's: nothing is ever released here. */
void foreign_release(struct domain *d)
{
	(void)d;
}

int iommu_map(struct domain *dom, gfn_t gfn, mfn_t mfn, unsigned order, bool write)
{
	(void)dom;
	if (fail_one_in && !shim_random(fail_one_in))
		return -ENOMEM;
	devices_set(gfn, mfn, order, write ? P2M_RAM : P2M_RAM_RO);
	return 0;
}

int iommu_unmap(struct domain *dom, gfn_t gfn, unsigned order)
{
	(void)dom;
	if (fail_one_in && !shim_random(fail_one_in))
		return -ENOMEM;
	devices_set(gfn, INVALID_MFN, order, P2M_NONE);
	return 0;
}

void iommu_flush(struct domain *dom)
{
	(void)dom;
}

void cpu_kick(struct cpu *c)
{
	(void)c;
	fail();
}

static void frames_set(mfn_t from, mfn_t to, unsigned type, unsigned owner)
{
	for (; from < to; from++)
		frames[from] = (struct frame){ .type = (uint8_t)type, .owner = (uint16_t)owner, .refs = 1, .gfn = FRAME_GFN_NONE };
}

static int setup(void **state)
{
	ops.p2m = *state ? *state : &npt_format;
	shim_memory(8 * TABLES, 0);
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	cpu.self = cpus[0] = &cpu;
	nr_cpus = 1;
	frames_set(0, CORE_MFN, FRAME_RAM, 3);
	frames_set(CORE_MFN, FREE_MFN, FRAME_CORE, FRAME_OWNER_CORE);
	frames_set(FREE_MFN, OTHER_MFN, FRAME_FREE, FRAME_OWNER_FREE);
	frames_set(OTHER_MFN, DEVICE_MFN, FRAME_RAM, 4);
	frames_set(DEVICE_MFN, SHARED_MFN, FRAME_NOTRAM, FRAME_OWNER_NONE);
	frames_set(SHARED_MFN, MFNS, FRAME_SHARED, 3);
	memset(dropped, 0, sizeof(dropped));
	for (unsigned i = 0; i < GFNS; i++) {
		model[i].t = devices[i].t = P2M_NONE;
		model[i].mfn = devices[i].mfn = INVALID_MFN;
	}
	fail_one_in = 0;
	d = (struct domain){ .id = 3, .iommu = (void *)&d };
	if (p2m_init(&d))
		return -1;
	d.p2m.max_tables = TABLES;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	p2m_free(&d);
	assert_int_equal(tables_used, 0);
	return 0;
}

/* A frame that t may map, the first of 2^order such. */
static mfn_t pick_mfn(enum p2m_type t, unsigned order)
{
	bool own = t == P2M_RAM || t == P2M_RAM_RO;
	mfn_t from = own ? 0 : t == P2M_MMIO ? DEVICE_MFN + 512 : t == P2M_SHARED ? SHARED_MFN : OTHER_MFN;

	return from + (order ? shim_random(own ? 8 : 1) * 512 : shim_random(512));
}

static void check(void)
{
	static const uint64_t dma = BIT(P2M_RAM) | BIT(P2M_RAM_RO) | BIT(P2M_FOREIGN) | BIT(P2M_FOREIGN_RO) |
				    BIT(P2M_GRANT_RW) | BIT(P2M_GRANT_RO);

	for (unsigned i = 0; i < GFNS; i++) {
		enum p2m_type t;
		unsigned order;
		mfn_t mfn = p2m_get(&d, BASE + i, &t, &order);
		bool writable = t == P2M_RAM || t == P2M_FOREIGN || t == P2M_GRANT_RW;
		bool readable = (dma >> t & 1) || t == P2M_SHARED;
		gpa_t gpa = (BASE + i) << PAGE_SHIFT | 0x123;

		assert_int_equal(mfn, model[i].mfn);
		assert_int_equal(t, model[i].t);
		assert_int_equal(devices[i].mfn, dma >> t & 1 ? mfn : INVALID_MFN);
		assert_int_equal(devices[i].t, !(dma >> t & 1) ? P2M_NONE : writable ? P2M_RAM : P2M_RAM_RO);
		assert_ptr_equal(p2m_ptr(&d, gpa, false), readable ? shim_ram + (mfn << PAGE_SHIFT) + 0x123 : NULL);
		assert_ptr_equal(p2m_ptr(&d, gpa, true),
				 writable || t == P2M_SHARED ? shim_ram + (mfn << PAGE_SHIFT) + 0x123 : NULL);
	}
}

static void random_changes(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		unsigned order = shim_random(8) ? 0 : 9;
		unsigned at = shim_random(GFNS) & ~((1u << order) - 1);
		enum p2m_type t = shim_random(P2M_SHARED + 1);
		mfn_t mfn = t == P2M_NONE ? INVALID_MFN : pick_mfn(t, order);
		bool changes = false, new = model[at].mfn != mfn || model[at].t != t;
		uint64_t none = BIT(P2M_NONE);
		int rc;

		fail_one_in = n < 10000 ? 0 : 5;
		d.p2m.need_flush = false;
		rc = t == P2M_NONE ? p2m_clear(&d, BASE + at, order) : p2m_set(&d, BASE + at, mfn, order, t);
		fail_one_in = 0;
		assert_true(!rc || (rc == -ENOMEM && n >= 10000));
		for (unsigned i = 0; !rc && i < 1u << order; i++) {
			mfn_t m = mfn == INVALID_MFN ? mfn : mfn + i;

			changes |= !(none >> model[at + i].t & 1) && (model[at + i].mfn != m || model[at + i].t != t);
			model[at + i].mfn = m;
			model[at + i].t = t;
		}
		if (changes)
			assert_true(d.p2m.need_flush);
		if (!rc && new && (t == P2M_RAM || t == P2M_RAM_RO))
			assert_int_equal(frames[mfn].gfn, BASE + at);
		if (n % 64 == 0)
			check();
	}
	check();
}

/* Memory of the core, free memory and other domains' memory as one's own never get in. */
static void refuses(void **state)
{
	static const struct {
		mfn_t mfn;
		enum p2m_type t;
	} bad[] = {
		{ OTHER_MFN, P2M_RAM },	 { OTHER_MFN, P2M_RAM_RO },   { OTHER_MFN, P2M_MMIO }, { 1, P2M_MMIO },
		{ DEVICE_MFN, P2M_RAM }, { DEVICE_MFN, P2M_FOREIGN }, { 1, P2M_SHARED },       { DEVICE_MFN + 7, P2M_MMIO },
		{ MFNS, P2M_RAM },	 { MFNS, P2M_FOREIGN },	      { 1ull << 40, P2M_MMIO },
	};

	(void)state;
	for (enum p2m_type t = P2M_RAM; t <= P2M_SHARED; t++) {
		assert_int_equal(p2m_set(&d, BASE, CORE_MFN, 0, t), -EINVAL);
		assert_int_equal(p2m_set(&d, BASE, FREE_MFN, 0, t), -EINVAL);
		assert_int_equal(p2m_set(&d, 0, 4608, 9, t), -EINVAL); /* the core's begin inside */
		assert_int_equal(p2m_set(&d, 1ull << 36, 1, 0, t), -EINVAL);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(p2m_set(&d, BASE, bad[i].mfn, 0, bad[i].t), -EINVAL);
	assert_int_equal(p2m_set(&d, BASE, 1, 9, P2M_RAM), -EINVAL);
	assert_int_equal(p2m_set(&d, BASE, 1, 3, P2M_RAM), -EINVAL);
	assert_int_equal(p2m_set(&d, BASE, 1, 0, P2M_NONE), -EINVAL);
	check();
}

static void relinquishes(void **state)
{
	gfn_t cursor = 0;
	unsigned calls = 1;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(p2m_set(&d, 512 * i, 512 * i, 9, P2M_RAM), 0);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(p2m_set(&d, BASE + i, OTHER_MFN + i, 0, i & 1 ? P2M_FOREIGN : P2M_GRANT_RW), 0);
	assert_int_equal(p2m_set(&d, 1 << 20, SHARED_MFN, 0, P2M_SHARED), 0);
	assert_int_equal(p2m_max_gfn(&d), 1 << 20);
	for (; p2m_relinquish(&d, &cursor); calls++)
		assert_true(calls < 100);
	assert_true(calls > 1);
	for (mfn_t m = 0; m < MFNS; m++)
		assert_int_equal(dropped[m], m < 2048 || (m >= OTHER_MFN && m < OTHER_MFN + 1024 && (m & 1)));
	for (gfn_t g = 0; g <= 1 << 20; g += 511)
		assert_int_equal(p2m_get(&d, g, NULL, NULL), INVALID_MFN);
}

/* Where large pages may not be executed, small ones with the same meaning take their place. */
static void split(void **state)
{
	(void)state;
	ept_format.large_nx = true;
	assert_true(ept_format.leaf(512, 0, P2M_RAM) & 4);
	assert_false(ept_format.leaf(512, 1, P2M_RAM) & 4);
	assert_int_equal(ept_format.leaf(512, 1, P2M_RAM) & 3, 3);
	assert_int_equal(p2m_set(&d, 512, 512, 9, P2M_RAM), 0);
	tables_used = TABLES;
	assert_int_equal(p2m_split(&d, 700), -ENOMEM);
	tables_used = d.p2m.table_pages;
	assert_int_equal(p2m_split(&d, 700), 0);
	assert_false(d.p2m.need_flush);
	for (gfn_t gfn = 512; gfn < 1024; gfn++) {
		enum p2m_type t;
		unsigned order;

		assert_int_equal(p2m_get(&d, gfn, &t, &order), gfn);
		assert_true(t == P2M_RAM && order == 0);
	}
	ept_format.large_nx = false;
}

/* A guest that puts one page at ever new places and takes it away again gets no further than its pool. */
static void bounded(void **state)
{
	gfn_t gfn = 0;

	(void)state;
	d.p2m.max_tables = 40;
	for (; !p2m_set(&d, gfn, 1, 0, P2M_RAM); gfn += 1ul << 27) {
		assert_int_equal(p2m_clear(&d, gfn, 0), 0);
		assert_true(tables_used <= 40);
	}
	assert_int_equal(tables_used, 40);
	assert_int_equal(p2m_set(&d, gfn, 1, 0, P2M_RAM), -ENOMEM);
	assert_int_equal(p2m_get(&d, gfn, NULL, NULL), INVALID_MFN);
	assert_int_equal(p2m_set(&d, 1, 1, 0, P2M_RAM), 0); /* where tables are it goes on */
}

int main(void)
{
#define BOTH(f)                                                                                                        \
	cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, &npt_format),                                     \
		cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, &ept_format)
	const struct CMUnitTest tests[] = { BOTH(random_changes), BOTH(refuses), BOTH(relinquishes), BOTH(split), BOTH(bounded) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
