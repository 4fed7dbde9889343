// SPDX-License-Identifier: Apache-2.0
/* Guest memory: the guest's own page tables (SDM 3A 4, APM 2 5), and copies in and out. Core lock. */
#include "guest.h"
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "frame.h"
#include "lib.h"
#include "p2m.h"
#include "vcpu.h"

#define PTE_P    BIT(0)
#define PTE_RW   BIT(1)
#define PTE_US   BIT(2)
#define PTE_PS   BIT(7)
#define PTE_NX   BIT(63)
#define PTE_ADDR 0x000ffffffffff000ul

/* Page-fault error code, SDM 3A 4.7. */
#define PFEC_P    1u
#define PFEC_W    2u
#define PFEC_U    4u
#define PFEC_RSVD 8u
#define PFEC_I    16u

/* Stores the code and fails; a table outside the guest's RAM has no code of its own. */
static int walk_fault(uint32_t *pfec, uint32_t code)
{
	if (pfec)
		*pfec = code;
	return -EFAULT;
}

/* One table entry, read once. False when the table is not in RAM. */
static bool read_entry(struct domain *d, gpa_t at, bool wide, uint64_t *e)
{
	const void *p = p2m_ptr(d, at, false);

	if (unlikely(!p))
		return false;
	*e = wide ? *(const volatile uint64_t *)p : *(const volatile uint32_t *)p;
	return true;
}

/* Physical address in the large or small page that leaf entry e maps; page_mask covers the offset bits. */
static gpa_t leaf_gpa(uint64_t e, bool wide, uint64_t page_mask, gva_t va)
{
	uint64_t frame = e & PTE_ADDR & ~page_mask;

	if (!wide && page_mask > PAGE_SIZE) /* PSE-36, SDM 3A table 4-4 */
		frame = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
	return frame | (va & page_mask);
}

int guest_walk(struct vcpu *v, gva_t va, bool write, bool exec, gpa_t *gpa, uint32_t *pfec)
{
	uint64_t efer = cpu_ops->get_efer(v), cr4 = CR4_PAE, e, rw = PTE_RW, us = PTE_US, nx = 0;
	bool user = pfec && cpu_ops->get_cpl(v) == 3;
	uint32_t access = (write ? PFEC_W : 0) | (user ? PFEC_U : 0);
	bool lma = efer & EFER_LMA, wide;
	unsigned bits;
	gpa_t table;

	if (!lma && !(cpu_ops->get_cr0(v) & CR0_PG)) {
		*gpa = (uint32_t)va;
		return 0;
	}
	if (!lma || cpu_ops->cr4_free) /* else it is known: PAE and no LA57 */
		cr4 = cpu_ops->get_cr4(v);
	wide = cr4 & CR4_PAE;
	bits = wide ? 9 : 10;
	table = cpu_ops->get_cr3(v) & (lma ? PTE_ADDR : wide ? 0xffffffe0ul : 0xfffff000ul);
	if (!lma)
		va = (uint32_t)va;
	else if (unlikely(!canonical(va) || (cr4 & CR4_LA57)))
		return walk_fault(pfec, 0); /* the policy shows no LA57 */
	if (exec && (efer & EFER_NX) && wide)
		access |= PFEC_I;
	for (unsigned level = lma ? 4 : wide ? 3 : 2; level--;) {
		unsigned shift = PAGE_SHIFT + level * bits;
		bool pdpte = level == 2 && !lma; /* PAE: no rights bits, no large pages */

		if (!read_entry(v->domain, table + (va >> shift & (BIT(bits) - 1)) * (wide ? 8 : 4), wide, &e))
			return walk_fault(pfec, 0);
		if (!(e & PTE_P))
			return walk_fault(pfec, access);
		if (!pdpte) {
			rw &= e;
			us &= e;
			nx |= e & PTE_NX;
		}
		if (!level || (!pdpte && (e & PTE_PS) && (wide || (cr4 & CR4_PSE)))) {
			if (level == 3)
				return walk_fault(pfec, access | PFEC_P | PFEC_RSVD);
			*gpa = leaf_gpa(e, wide, BIT(shift) - 1, va);
			break;
		}
		table = e & PTE_ADDR;
	}
	if ((write && !rw && (user || (cpu_ops->get_cr0(v) & CR0_WP))) || (user && !us) || ((access & PFEC_I) && nx))
		return walk_fault(pfec, access | PFEC_P);
	return 0;
}

/* Bytes from va to the end of its page, at most n. */
static size_t in_page(uint64_t va, size_t n)
{
	return MIN(n, PAGE_SIZE - (va & ~PAGE_MASK));
}

/* Where guest address "at" is for the core, up to the end of its page; NULL when there is no such memory, or not for that. */
typedef void *place_fn(void *ctx, uint64_t at, bool write);

static void *by_va(void *v, uint64_t va, bool write)
{
	gpa_t gpa;

	return guest_walk(v, va, write, false, &gpa, NULL) ? NULL : p2m_ptr(((struct vcpu *)v)->domain, gpa, write);
}

static void *by_gpa(void *d, uint64_t gpa, bool write)
{
	return p2m_ptr(d, gpa, write);
}

static void *by_window(void *ctx, uint64_t va, bool write)
{
	struct vcpu *v = this_cpu()->current;
	struct guest_window *w = ctx;
	uint32_t gen = v->domain->p2m.gen;
	gva_t page = va & PAGE_MASK;

	if (w->page != page || w->gen != gen || (write && !w->writable)) {
		uint8_t *p = by_va(v, page, true);
		bool writable = p;

		if (unlikely(!p) && (write || !(p = by_va(v, page, false))))
			return NULL;
		*w = (struct guest_window){ .page = page, .ptr = p, .gen = gen, .writable = writable };
	}
	return w->ptr + (va & ~PAGE_MASK);
}

enum copy_op { READ, WRITE, CLEAR };
/* Page by page. Inlined, so that each caller has a loop of its own with nothing to choose in it. */
static inline __attribute__((always_inline)) int copy(enum copy_op op, place_fn *place, void *ctx, uint64_t at, uint8_t *buf, size_t n)
{
	for (size_t part; n; at += part, n -= part) {
		void *p = place(ctx, at, op != READ);

		if (unlikely(!p))
			return -EFAULT;
		part = in_page(at, n);
		if (op == CLEAR) {
			memset(p, 0, part);
			continue;
		}
		if (op == WRITE) {
			memcpy(p, buf, part);
		} else if (likely(part == 4)) {
			__builtin_memcpy(buf, p, 4); /* a port number: event-channel send */
			barrier();
		} else {
			memcpy(buf, p, part);
		}
		buf += part;
	}
	return 0;
}

int copy_from_guest(void *dst, gva_t src, size_t n)
{
	return copy(READ, by_va, this_cpu()->current, src, dst, n);
}

int copy_to_guest(gva_t dst, const void *src, size_t n)
{
	return copy(WRITE, by_va, this_cpu()->current, dst, (uint8_t *)src, n);
}

int clear_guest(gva_t dst, size_t n)
{
	return copy(CLEAR, by_va, this_cpu()->current, dst, NULL, n);
}

int guest_read(struct guest_window *w, void *dst, gva_t src, size_t n)
{
	return copy(READ, by_window, w, src, dst, n);
}

int guest_write(struct guest_window *w, gva_t dst, const void *src, size_t n)
{
	return copy(WRITE, by_window, w, dst, (uint8_t *)src, n);
}

int copy_to_gpa(struct domain *d, gpa_t dst, const void *src, size_t n)
{
	return copy(WRITE, by_gpa, d, dst, (uint8_t *)src, n);
}

unsigned fetch_insn(struct vcpu *v, uint8_t *buf, unsigned n)
{
	bool wide = cpu_ops->code_bits(v) == 64;
	gva_t va = v->regs.rip + (wide ? 0 : cpu_ops->seg_base(v, SEG_CS));
	unsigned done = 0;

	while (done < n) {
		size_t part = in_page(va, n - done);
		const void *p;
		gpa_t gpa;

		if (guest_walk(v, wide ? va : (uint32_t)va, false, true, &gpa, NULL))
			break;
		p = p2m_ptr(v->domain, gpa, false);
		if (!p)
			break;
		memcpy(buf + done, p, part);
		done += (unsigned)part;
		va += part;
	}
	return done;
}

mfn_t guest_frame_get(struct domain *d, gfn_t gfn)
{
	enum p2m_type t;
	mfn_t mfn = p2m_get(d, gfn, &t, NULL);

	return mfn != INVALID_MFN && t == P2M_RAM && frame_get(mfn, d->id) ? mfn : INVALID_MFN;
}
