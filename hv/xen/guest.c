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
	uint64_t cr0 = cpu_ops->get_cr0(v), cr4, efer, e, rw = PTE_RW, us = PTE_US, nx = 0;
	bool user = pfec && cpu_ops->get_cpl(v) == 3;
	uint32_t access = (write ? PFEC_W : 0) | (user ? PFEC_U : 0);
	bool lma, wide;
	unsigned bits;
	gpa_t table;

	if (!(cr0 & CR0_PG)) {
		*gpa = (uint32_t)va;
		return 0;
	}
	cr4 = cpu_ops->get_cr4(v);
	efer = cpu_ops->get_efer(v);
	lma = efer & EFER_LMA;
	wide = cr4 & CR4_PAE;
	bits = wide ? 9 : 10;
	table = cpu_ops->get_cr3(v) & (lma ? PTE_ADDR : wide ? 0xffffffe0ul : 0xfffff000ul);
	if (!lma)
		va = (uint32_t)va;
	else if (unlikely((uint64_t)((int64_t)(va << 16) >> 16) != va || (cr4 & CR4_LA57)))
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
	if ((write && !rw && (user || (cr0 & CR0_WP))) || (user && !us) || ((access & PFEC_I) && nx))
		return walk_fault(pfec, access | PFEC_P);
	return 0;
}

static void *translate(struct vcpu *v, gva_t va, bool write)
{
	gpa_t gpa;

	return guest_walk(v, va, write, false, &gpa, NULL) ? NULL : p2m_ptr(v->domain, gpa, write);
}

/* Bytes from va to the end of its page, at most n. */
static size_t in_page(uint64_t va, size_t n)
{
	return MIN(n, PAGE_SIZE - (va & ~PAGE_MASK));
}

int copy_from_guest(void *dst, gva_t src, size_t n)
{
	struct vcpu *v = this_cpu()->current;

	for (uint8_t *to = dst; n;) {
		size_t part = in_page(src, n);
		const void *p = translate(v, src, false);

		if (unlikely(!p))
			return -EFAULT;
		if (likely(part == 4)) {
			__builtin_memcpy(to, p, 4); /* a port number: event-channel send */
			barrier();
		} else {
			memcpy(to, p, part);
		}
		to += part;
		src += part;
		n -= part;
	}
	return 0;
}

int copy_to_guest(gva_t dst, const void *src, size_t n)
{
	struct vcpu *v = this_cpu()->current;

	for (const uint8_t *from = src; n;) {
		size_t part = in_page(dst, n);
		void *p = translate(v, dst, true);

		if (unlikely(!p))
			return -EFAULT;
		memcpy(p, from, part);
		from += part;
		dst += part;
		n -= part;
	}
	return 0;
}

int clear_guest(gva_t dst, size_t n)
{
	struct vcpu *v = this_cpu()->current;

	while (n) {
		size_t part = in_page(dst, n);
		void *p = translate(v, dst, true);

		if (unlikely(!p))
			return -EFAULT;
		memset(p, 0, part);
		dst += part;
		n -= part;
	}
	return 0;
}

/* Host address of va through w, NULL when it is not writable guest memory. */
static uint8_t *window_ptr(struct guest_window *w, gva_t va)
{
	struct vcpu *v = this_cpu()->current;
	uint32_t gen = v->domain->p2m.gen;

	if (w->page != (va & PAGE_MASK) || w->gen != gen) {
		uint8_t *p = translate(v, va & PAGE_MASK, true);

		if (unlikely(!p))
			return NULL;
		*w = (struct guest_window){ .page = va & PAGE_MASK, .ptr = p, .gen = gen };
	}
	return w->ptr + (va & ~PAGE_MASK);
}

int guest_read(struct guest_window *w, void *dst, gva_t src, size_t n)
{
	for (uint8_t *to = dst; n;) {
		size_t part = in_page(src, n);
		const uint8_t *p = window_ptr(w, src);

		if (unlikely(!p))
			return -EFAULT;
		memcpy(to, p, part);
		to += part;
		src += part;
		n -= part;
	}
	return 0;
}

int guest_write(struct guest_window *w, gva_t dst, const void *src, size_t n)
{
	for (const uint8_t *from = src; n;) {
		size_t part = in_page(dst, n);
		uint8_t *p = window_ptr(w, dst);

		if (unlikely(!p))
			return -EFAULT;
		memcpy(p, from, part);
		from += part;
		dst += part;
		n -= part;
	}
	return 0;
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

int copy_to_gpa(struct domain *d, gpa_t dst, const void *src, size_t n)
{
	for (const uint8_t *from = src; n;) {
		size_t part = in_page(dst, n);
		void *p = p2m_ptr(d, dst, true);

		if (!p)
			return -EFAULT;
		memcpy(p, from, part);
		from += part;
		dst += part;
		n -= part;
	}
	return 0;
}
