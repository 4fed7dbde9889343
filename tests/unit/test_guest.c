// SPDX-License-Identifier: Apache-2.0
/* The walk of a guest's own page tables in every paging mode, against tables that the test makes and so knows; copies. */
#include "shim.h"
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "map.h"

#include <sys/syscall.h>
#include <asm/prctl.h>
#include <unistd.h>

#define PAGES 1024
#define HOLE  900 /* from here on there is no RAM; the 10 pages before it are read-only */
#define RO    890

static struct cpu cpu;
static struct domain d = { .id = 1 };
static struct vcpu v = { .domain = &d };
static uint64_t cr0, cr3, cr4, efer, cs_base;
static int bits;
static unsigned cpl;

static uint64_t get_cr0(struct vcpu *u) { (void)u; return cr0; }
static uint64_t get_cr3(struct vcpu *u) { (void)u; return cr3; }
static uint64_t get_cr4(struct vcpu *u) { (void)u; return cr4; }
static uint64_t get_efer(struct vcpu *u) { (void)u; return efer; }
static int code_bits(struct vcpu *u) { (void)u; return bits; }
static unsigned get_cpl(struct vcpu *u) { (void)u; return cpl; }
static uint64_t seg_base(struct vcpu *u, unsigned seg) { (void)u, (void)seg; return cs_base; }

static const struct cpu_ops ops = { .cr4_free = true, .get_cr0 = get_cr0, .get_cr3 = get_cr3, .get_cr4 = get_cr4, .get_efer = get_efer,
				    .code_bits = code_bits, .seg_base = seg_base, .get_cpl = get_cpl };
const struct cpu_ops *cpu_ops = &ops;

void *p2m_ptr(struct domain *dom, gpa_t gpa, bool write)
{
	assert_ptr_equal(dom, &d);
	return gpa >> PAGE_SHIFT >= HOLE || (write && gpa >> PAGE_SHIFT >= RO) ? NULL : shim_ram + gpa;
}

mfn_t p2m_get(struct domain *dom, gfn_t gfn, enum p2m_type *t, unsigned *order)
{
	(void)dom, (void)order;
	*t = gfn >= HOLE ? P2M_NONE : gfn >= RO ? P2M_RAM_RO : P2M_RAM;
	return gfn >= HOLE ? INVALID_MFN : gfn;
}

bool frame_get(mfn_t mfn, domid_t owner)
{
	return owner == 1 && mfn != 7; /* 7: taken away meanwhile */
}

static int setup(void **state)
{
	(void)state;
	shim_memory(PAGES, 0);
	memset(shim_ram, 0, PAGES * PAGE_SIZE);
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	cpu.self = &cpu;
	cpu.current = &v;
	d.p2m.gen = 1;
	cr0 = cr3 = cr4 = efer = cs_base = 0;
	bits = 32;
	cpl = 0;
	return 0;
}

static const struct mode {
	const char *name;
	uint64_t cr0, cr4, efer;
	unsigned levels, bits;
	bool large[4];
} modes[] = {
	{ "32-bit", CR0_PG, 0, 0, 2, 10, { false } },
	{ "32-bit PSE", CR0_PG, CR4_PSE, 0, 2, 10, { false, true } },
	{ "PAE", CR0_PG, CR4_PAE, 0, 3, 9, { false, true } },
	{ "long", CR0_PG, CR4_PAE, EFER_LMA, 4, 9, { false, true, true } },
};

static void put_entry(const struct mode *m, gpa_t table, unsigned index, uint64_t e)
{
	if (table >> PAGE_SHIFT >= PAGES)
		return;
	if (m->bits == 9)
		((uint64_t *)(shim_ram + table))[index] = e;
	else
		((uint32_t *)(shim_ram + table))[index] = (uint32_t)e;
}

/* One path through tables at pages 1.., with rights at random, and the result that it must give. */
static void one_walk(const struct mode *m, unsigned round)
{
	bool wide = m->bits == 9, write = shim_random(2), exec = !write && shim_random(2), lma = m->efer & EFER_LMA;
	bool nx_on = wide && shim_random(2), wp = shim_random(2), rw = true, nx = false, done = false, bad = false;
	bool user = shim_random(2), us = true;
	uint64_t va = (uint64_t)shim_random(~0u) << 32 | shim_random(~0u), page = 0, mask;
	uint32_t access = (write ? 2 : 0) | (user ? 4 : 0) | (exec && nx_on ? 16 : 0), code = 0, pfec = 99;
	gpa_t gpa = 0, want = 0, table = PAGE_SIZE;
	unsigned leaf = shim_random(m->levels), level = m->levels;

	if (!m->large[leaf])
		leaf = 0;
	va = lma ? (uint64_t)((int64_t)(va << 16) >> 16) : va;
	cr0 = m->cr0 | (wp ? CR0_WP : 0);
	cr4 = m->cr4;
	cpl = user ? 3 : shim_random(3);
	efer = m->efer | (nx_on ? EFER_NX : 0);
	cr3 = table | (wide && !lma ? 0x1e0 : 0x18); /* PAE: a table of 32 bytes anywhere in the page; else PCD and PWT */
	table = wide && !lma ? table | 0x1e0 : table;
	while (level-- && !done) {
		unsigned shift = 12 + level * m->bits, index = (unsigned)((lma ? va : (uint32_t)va) >> shift) & ((1u << m->bits) - 1);
		bool pdpte = level == 2 && !lma, p = shim_random(12), w = shim_random(6), x = shim_random(6), hole = !shim_random(20);
		bool u = shim_random(12);
		uint64_t e = (uint64_t)p | (uint64_t)w << 1 | (uint64_t)u << 2;

		if (table >> PAGE_SHIFT >= HOLE) { /* the table itself is not there */
			bad = true;
			break;
		}
		if (level == leaf) {
			mask = (1ull << shift) - 1;
			page = ((uint64_t)shim_random(wide ? ~0u : 1u << 20) << 12) & ~mask;
			e |= page | (level ? 0x80 : 0);
			if (!wide && level) { /* PSE-36: bits 39:32 in 20:13 */
				uint64_t high = shim_random(256);

				e |= high << 13;
				page |= high << 32;
			}
			want = page | (va & mask);
		} else {
			page = hole ? HOLE * PAGE_SIZE : (4 - level + 1) * PAGE_SIZE;
			e |= page;
		}
		if (level && !wide && !m->large[1] && shim_random(2))
			e |= 0x80; /* without PSE it means nothing */
		if (wide && !pdpte && !x) {
			e |= 1ull << 63;
			nx = true;
		}
		if (!w && !pdpte)
			rw = false;
		if (!u && !pdpte)
			us = false;
		put_entry(m, table, index, e);
		if (!p) {
			code = access;
			bad = true;
			break;
		}
		table = page;
		done = level == leaf;
	}
	if (!bad && ((write && !rw && (wp || user)) || (user && !us) || (exec && nx_on && nx))) {
		bad = true;
		code = access | 1;
	}
	if (guest_walk(&v, va, write, exec, &gpa, &pfec) != (bad ? -EFAULT : 0))
		fail_msg("%s, round %u: va %lx, wanted %s", m->name, round, va, bad ? "a fault" : "success");
	if (bad)
		assert_int_equal(pfec, code);
	else
		assert_int_equal(gpa, want);
}

static void walks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		for (unsigned round = 0; round < 20000; round++)
			one_walk(&modes[i], round);
}

static void odd_walks(void **state)
{
	uint32_t pfec;
	gpa_t gpa;

	(void)state;
	assert_int_equal(guest_walk(&v, 0x123456789abcull, true, false, &gpa, &pfec), 0);
	assert_int_equal(gpa, 0x56789abc); /* paging off */
	cr0 = CR0_PG;
	cr4 = CR4_PAE;
	efer = EFER_LMA;
	cr3 = PAGE_SIZE;
	assert_int_equal(guest_walk(&v, 0x0000800000000000ull, false, false, &gpa, &pfec), -EFAULT);
	assert_int_equal(guest_walk(&v, 0xffff7fffffffffffull, false, false, &gpa, &pfec), -EFAULT);
	assert_int_equal(guest_walk(&v, 0, false, false, &gpa, NULL), -EFAULT);
	((uint64_t *)(shim_ram + PAGE_SIZE))[0] = 0x2083; /* a 512 GiB page: reserved */
	assert_int_equal(guest_walk(&v, 0, false, false, &gpa, &pfec), -EFAULT);
	assert_int_equal(pfec, 9);
	((uint64_t *)(shim_ram + PAGE_SIZE))[0] = 0x1003; /* every level is the same table */
	assert_int_equal(guest_walk(&v, 0x123, false, false, &gpa, &pfec), 0);
	assert_int_equal(gpa, 0x1123);
	cr3 = ~0ull; /* far outside */
	assert_int_equal(guest_walk(&v, 0, false, false, &gpa, &pfec), -EFAULT);
	cr4 |= CR4_LA57;
	cr3 = PAGE_SIZE;
	assert_int_equal(guest_walk(&v, 0, false, false, &gpa, &pfec), -EFAULT);
}

/* Long mode, tables at pages 1 to 4, 32 pages from va 1 MiB on: even ones at 100, 102..., odd ones absent but for 1 and 3. */
#define VA MiB
static void map_some(void)
{
	uint64_t *t = (uint64_t *)shim_ram;

	cr0 = CR0_PG | CR0_WP;
	cr4 = CR4_PAE;
	efer = EFER_LMA | EFER_NX;
	bits = 64;
	cr3 = PAGE_SIZE;
	t[512] = 0x2003;
	t[1024] = 0x3003;
	t[1536] = 0x4003;
	for (unsigned i = 0; i < 32; i++)
		t[2048 + 256 + i] = i % 2 && i > 3 ? 0 : (100 + i) << 12 | 3;
	t[2048 + 256 + 6] = (uint64_t)RO << 12 | 3;
	t[2048 + 256 + 8] = (uint64_t)HOLE << 12 | 3;
	t[2048 + 256 + 10] = 110 << 12 | 1;
	t[2048 + 256 + 12] |= 1ull << 63;
	for (unsigned i = 0; i < 33 * PAGE_SIZE; i++)
		shim_ram[100 * PAGE_SIZE + i] = (char)(i * 13 >> 3);
}

static void copies(void **state)
{
	uint8_t buf[2 * PAGE_SIZE + 64];

	(void)state;
	map_some();
	for (unsigned round = 0; round < 3000; round++) {
		size_t n = shim_random(2 * PAGE_SIZE), at = shim_random(4 * PAGE_SIZE - (unsigned)n);
		struct guest_window w = GUEST_WINDOW_INIT;

		memset(buf, 0x77, sizeof(buf));
		assert_int_equal(round & 1 ? copy_from_guest(buf + 32, VA + at, n) : guest_read(&w, buf + 32, VA + at, n), 0);
		assert_memory_equal(buf + 32, shim_ram + 100 * PAGE_SIZE + at, n);
		assert_int_equal(buf[31], 0x77);
		assert_int_equal(buf[32 + n], 0x77);
		for (size_t i = 0; i < n; i++)
			buf[32 + i] = (uint8_t)shim_random(256);
		assert_int_equal(round & 2 ? copy_to_guest(VA + at, buf + 32, n) : guest_write(&w, VA + at, buf + 32, n), 0);
		assert_memory_equal(buf + 32, shim_ram + 100 * PAGE_SIZE + at, n);
		if (!(round % 16)) {
			assert_int_equal(clear_guest(VA + at, n), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(shim_ram[100 * PAGE_SIZE + at + i], 0);
		}
	}
}

static void faults(void **state)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	uint8_t buf[64] = { 0 };

	(void)state;
	map_some();
	assert_int_equal(copy_from_guest(buf, VA + 5 * PAGE_SIZE - 8, 16), -EFAULT);
	assert_int_equal(copy_from_guest(buf, VA + 5 * PAGE_SIZE - 8, 8), 0);
	assert_int_equal(copy_to_guest(VA + 5 * PAGE_SIZE - 8, buf, 9), -EFAULT);
	assert_int_equal(clear_guest(VA + 5 * PAGE_SIZE, 1), -EFAULT);
	assert_int_equal(copy_from_guest(buf, VA + 6 * PAGE_SIZE, 8), 0); /* read-only in the p2m */
	assert_int_equal(copy_to_guest(VA + 6 * PAGE_SIZE, buf, 8), -EFAULT);
	assert_int_equal(guest_read(&w, buf, VA + 6 * PAGE_SIZE, 8), 0);
	assert_int_equal(guest_write(&w, VA + 6 * PAGE_SIZE, buf, 8), -EFAULT);
	assert_int_equal(guest_read(&w, buf, VA + 10 * PAGE_SIZE, 8), 0); /* the guest's own read-only page */
	assert_int_equal(guest_write(&w, VA + 10 * PAGE_SIZE, buf, 8), -EFAULT);
	assert_int_equal(guest_read(&w, buf, VA, 8), 0);
	assert_int_equal(guest_write(&w, VA, buf, 8), 0);
	assert_int_equal(copy_from_guest(buf, VA + 8 * PAGE_SIZE, 8), -EFAULT); /* no RAM there */
	assert_int_equal(copy_to_guest(VA + 10 * PAGE_SIZE, buf, 8), -EFAULT); /* the guest's own read-only page */
	assert_int_equal(copy_from_guest(buf, ~0ull - 3, 16), -EFAULT);
	assert_int_equal(copy_from_guest(buf, 1ull << 47, 1), -EFAULT);
	assert_int_equal(copy_from_guest(buf, 1ull << 47, 0), 0);
	/* A window forgets its page when the p2m was flushed. */
	assert_int_equal(guest_read(&w, buf, VA, 8), 0);
	((uint64_t *)shim_ram)[2048 + 256] = 0;
	assert_int_equal(guest_read(&w, buf, VA, 8), 0); /* as the guest's TLB might */
	d.p2m.gen++;
	assert_int_equal(guest_read(&w, buf, VA, 8), -EFAULT);
	assert_int_equal(copy_to_gpa(&d, HOLE * PAGE_SIZE - 4, buf, 4), -EFAULT);
	assert_int_equal(copy_to_gpa(&d, RO * PAGE_SIZE - 4, buf, 5), -EFAULT);
	assert_int_equal(guest_frame_get(&d, 100), 100);
	assert_int_equal(guest_frame_get(&d, 7), INVALID_MFN);
	assert_int_equal(guest_frame_get(&d, RO), INVALID_MFN);
	assert_int_equal(guest_frame_get(&d, HOLE), INVALID_MFN);
	assert_int_equal(guest_frame_get(&d, ~0ull), INVALID_MFN);
}

static void instructions(void **state)
{
	uint8_t buf[16];

	(void)state;
	map_some();
	v.regs.rip = VA + 5 * PAGE_SIZE - 3;
	assert_int_equal(fetch_insn(&v, buf, 15), 3);
	v.regs.rip = VA + PAGE_SIZE - 3;
	assert_int_equal(fetch_insn(&v, buf, 15), 15);
	assert_memory_equal(buf, shim_ram + 101 * PAGE_SIZE - 3, 15);
	v.regs.rip = VA + 12 * PAGE_SIZE; /* no execute */
	assert_int_equal(fetch_insn(&v, buf, 15), 0);
	efer &= ~EFER_NX;
	assert_int_equal(fetch_insn(&v, buf, 15), 15);
	cr0 = efer = 0;
	bits = 16;
	cs_base = 0xfffffff8; /* wraps at 4 GiB, where there is no RAM before */
	v.regs.rip = 8 + 100 * PAGE_SIZE;
	assert_int_equal(fetch_insn(&v, buf, 4), 4);
	assert_memory_equal(buf, shim_ram + 100 * PAGE_SIZE, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(walks, setup),  cmocka_unit_test_setup(odd_walks, setup),
		cmocka_unit_test_setup(copies, setup), cmocka_unit_test_setup(faults, setup),
		cmocka_unit_test_setup(instructions, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
