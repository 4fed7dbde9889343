// SPDX-License-Identifier: Apache-2.0
/* Faults in the p2m: emulated device registers, device memory of the service domain, and accesses to nothing. */
#include "mmio.h"

#include "asm.h"
#include "cpu_ops.h"
#include "domain.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "lib.h"
#include "pci.h"
#include "vlapic.h"

#define MSI_BASE   0xfee00000ull /* 1 MiB of interrupt messages, the LAPIC page first (SDM 3A 11.11.1) */
#define MSI_END    0xfef00000ull
#define RFLAGS_DF  BIT(10)

/* ---- registers ---- */

static uint64_t size_mask(unsigned size)
{
	return size == 8 ? ~0ull : BIT(8 * size) - 1;
}

void set_gpr(struct vcpu *v, unsigned reg, uint64_t val, unsigned size)
{
	uint64_t *g = &v->regs.gpr[reg];

	if (size >= 4)
		*g = val & size_mask(size);
	else
		*g = (*g & ~size_mask(size)) | (val & size_mask(size));
}

static uint64_t get_reg(struct vcpu *v, const struct insn *i)
{
	return (v->regs.gpr[i->reg] >> (i->high_byte ? 8 : 0)) & size_mask(i->size);
}

static void set_reg(struct vcpu *v, const struct insn *i, uint64_t val)
{
	uint64_t *g = &v->regs.gpr[i->reg];

	if (i->high_byte)
		*g = (*g & ~0xff00ull) | (val & 0xff) << 8;
	else
		set_gpr(v, i->reg, val, i->dst_size);
}

uint64_t linear_address(struct vcpu *v, unsigned seg, unsigned reg, unsigned addr_size)
{
	uint64_t off = v->regs.gpr[reg] & size_mask(addr_size);

	if (cpu_ops->code_bits(v) != 64)
		return (uint32_t)(off + cpu_ops->seg_base(v, seg));
	return seg == SEG_FS || seg == SEG_GS ? off + cpu_ops->seg_base(v, seg) : off;
}

void string_advance(struct vcpu *v, unsigned reg, unsigned size, unsigned addr_size)
{
	uint64_t g = v->regs.gpr[reg];

	set_gpr(v, reg, v->regs.rflags & RFLAGS_DF ? g - size : g + size, addr_size);
}

/* SDM 1 3.4.3.1 */
static void set_flags(struct vcpu *v, unsigned size, uint64_t result, bool cf, bool of, bool af)
{
	uint64_t f = v->regs.rflags & ~(BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(7) | BIT(11));

	result &= size_mask(size);
	f |= (uint64_t)cf | (uint64_t)af << 4 | (uint64_t)of << 11;
	f |= __builtin_parity((uint8_t)result) ? 0 : BIT(2);
	f |= result ? 0 : BIT(6);
	f |= (result >> (8 * size - 1) & 1) << 7;
	v->regs.rflags = f;
}

static void compare(struct vcpu *v, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t r;

	a &= size_mask(size);
	b &= size_mask(size);
	r = a - b;
	set_flags(v, size, r, a < b, ((a ^ b) & (a ^ r)) >> (8 * size - 1) & 1, (a ^ b ^ r) >> 4 & 1);
}

/* ---- one access ---- */

static bool vlapic_page(struct vcpu *v, gpa_t gpa)
{
	return (gpa & PAGE_MASK) == APIC_DEFAULT_BASE && vlapic_mmio_on(&v->vlapic);
}

/* Registers are 32 bits wide and 16 apart; bytes of them can be read, writes must be whole (SDM 3A 11.4.1). */
static void vlapic_access(struct vcpu *v, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	uint32_t off = (uint32_t)(gpa & ~PAGE_MASK), lane = off & 15;

	if (!write)
		*val = lane < 4 ? vlapic_mmio_read(v, off & ~15u) >> (8 * lane) : 0;
	else if (!lane && size >= 4)
		vlapic_mmio_write(v, off, (uint32_t)*val);
}

static void vioapic_access(struct domain *d, gpa_t gpa, bool write, uint64_t *val)
{
	if (write)
		vioapic_write(d, gpa, (uint32_t)*val);
	else
		*val = vioapic_read(d, gpa);
}

/* Configuration accesses are naturally aligned and at most 4 bytes wide: others go in pieces. */
static void ecam_access(struct domain *d, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	unsigned step = size == 8 ? 4 : size, reg;
	uint64_t got = 0;
	uint16_t seg, bdf;

	if (gpa & (step - 1))
		step = 1;
	for (unsigned i = 0; i < size; i += step) {
		if (!vpci_ecam(d, gpa + i, &seg, &bdf, &reg))
			break;
		if (write)
			vpci_write(d, seg, bdf, reg, step, (uint32_t)(*val >> (8 * i)));
		else
			got |= (vpci_read(d, seg, bdf, reg, step) & size_mask(step)) << (8 * i);
	}
	if (!write)
		*val = got;
}

/* No device: writes go nowhere, reads give what the page holds (a read-modify-write of a read-only one) or all ones. */
static void no_device(struct domain *d, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	const void *p;

	if (write)
		return;
	*val = ~0ull;
	p = p2m_ptr(d, gpa, false);
	if (p && (gpa & ~PAGE_MASK) + size <= PAGE_SIZE)
		memcpy(val, p, size);
}

static bool is_ecam(struct domain *d, gpa_t gpa)
{
	uint16_t seg, bdf;
	unsigned reg;

	return vpci_ecam(d, gpa, &seg, &bdf, &reg);
}

static bool emulated(struct vcpu *v, gpa_t gpa)
{
	struct domain *d = v->domain;

	return vlapic_page(v, gpa) || vioapic_owns(d, gpa) || is_ecam(d, gpa) || vpci_msix_page(d, gpa);
}

static void access(struct vcpu *v, gpa_t gpa, unsigned size, bool write, uint64_t *val)
{
	struct domain *d = v->domain;

	if (vlapic_page(v, gpa))
		vlapic_access(v, gpa, size, write, val);
	else if (vioapic_owns(d, gpa))
		vioapic_access(d, gpa, write, val);
	else if (is_ecam(d, gpa))
		ecam_access(d, gpa, size, write, val);
	else if (!vpci_msix_access(d, gpa, size, write, val))
		no_device(d, gpa, size, write, val);
}

/* ---- one instruction ---- */

/* True when the guest's own tables allow the access; else the guest gets its page fault. */
static bool guest_may(struct vcpu *v, gva_t va, bool write)
{
	uint32_t code = 0;
	gpa_t gpa;

	if (!guest_walk(v, va, write, false, &gpa, &code))
		return true;
	inject_page_fault(v, code, va);
	return false;
}

/* One round of STOS or MOVS. False: an exception is pending and nothing was done. */
static bool string_op(struct vcpu *v, struct exit *e, const struct insn *i)
{
	uint64_t val = v->regs.gpr[RAX], other = 0;
	bool store = e->pf.write;
	int rc = 0;

	if (i->op == INSN_MOVS) {
		other = linear_address(v, store ? i->seg : SEG_ES, store ? RSI : RDI, i->addr_size);
		if (!guest_may(v, other, !store))
			return false;
		if (store)
			rc = copy_from_guest(&val, other, i->size);
	}
	if (!rc)
		access(v, e->pf.gpa, i->size, store || i->op == INSN_STOS, &val);
	if (!rc && i->op == INSN_MOVS && !store)
		rc = copy_to_guest(other, &val, i->size);
	if (rc) {
		printk_guest("d%uv%u: device to device move at rip %lx refused", v->domain->id, v->id, v->regs.rip);
		inject_exception(v, EXC_UD, -1);
		return false;
	}
	string_advance(v, RDI, i->size, i->addr_size);
	if (i->op == INSN_MOVS)
		string_advance(v, RSI, i->size, i->addr_size);
	return true;
}

static void string_insn(struct vcpu *v, struct exit *e, const struct insn *i)
{
	uint64_t count = v->regs.gpr[RCX] & size_mask(i->addr_size);

	if (i->rep && !count) {
		vcpu_skip(v, i->len);
		return;
	}
	if (!string_op(v, e, i))
		return;
	if (i->rep)
		set_gpr(v, RCX, --count, i->addr_size);
	if (!i->rep || !count) /* else it exits again for the next round */
		vcpu_skip(v, i->len);
}

static uint64_t load(struct vcpu *v, gpa_t gpa, const struct insn *i)
{
	uint64_t val = 0, top = BIT(8 * i->size - 1);

	access(v, gpa, i->size, false, &val);
	val &= size_mask(i->size);
	return i->sign_ext ? (val ^ top) - top : val;
}

static void logic_insn(struct vcpu *v, gpa_t gpa, const struct insn *i, uint64_t src)
{
	uint64_t mem = load(v, gpa, i), r;

	r = i->op == INSN_OR ? mem | src : i->op == INSN_XOR ? mem ^ src : mem & src;
	r &= size_mask(i->size);
	if (i->op != INSN_TEST && i->write)
		access(v, gpa, i->size, true, &r);
	else if (i->op != INSN_TEST)
		set_reg(v, i, r);
	set_flags(v, i->size, r, false, false, false);
}

static void execute(struct vcpu *v, struct exit *e, const struct insn *i)
{
	uint64_t src = (i->has_imm ? i->imm : get_reg(v, i)) & size_mask(i->size);
	gpa_t gpa = e->pf.gpa;

	switch (i->op) {
	case INSN_STOS:
	case INSN_MOVS:
		string_insn(v, e, i);
		return;
	case INSN_MOV:
		if (i->write)
			access(v, gpa, i->size, true, &src);
		else
			set_reg(v, i, load(v, gpa, i));
		break;
	case INSN_CMP:
		if (i->reg_first)
			compare(v, i->size, src, load(v, gpa, i));
		else
			compare(v, i->size, load(v, gpa, i), src);
		break;
	default:
		logic_insn(v, gpa, i, src);
	}
	vcpu_skip(v, i->len);
}

/* The page may have been taken out of the guest's tables meanwhile: then it is due a page fault. But tables that lead to
 * where it has no memory would give no end of exits. */
static void unreadable_code(struct vcpu *v)
{
	uint32_t code = 0;
	gpa_t gpa;

	if (guest_walk(v, v->regs.rip, false, true, &gpa, &code) && code)
		inject_page_fault(v, code, v->regs.rip);
	else
		domain_crash(v, "its code or its page tables are where it has no memory");
}

static void emulate(struct vcpu *v, struct exit *e)
{
	uint8_t code[15] = { 0 };
	unsigned n = fetch_insn(v, code, sizeof(code));
	struct insn i;

	if (!n) {
		unreadable_code(v);
		return;
	}
	if (insn_decode(code, n, cpu_ops->code_bits(v), &i)) {
		printk_guest("d%uv%u: instruction not known at rip %lx (%u bytes: %02x %02x %02x %02x %02x %02x %02x), "
			     "gpa %lx", v->domain->id, v->id, v->regs.rip, n, code[0], code[1], code[2], code[3],
			     code[4], code[5], code[6], e->pf.gpa);
		inject_exception(v, EXC_UD, -1);
		return;
	}
	execute(v, e, &i);
}

/* ---- what to do about a fault ---- */

bool is_device_frame(mfn_t mfn)
{
	const struct frame *f = frame_of(mfn);
	paddr_t pa = mfn << PAGE_SHIFT;

	if (f && f->type != FRAME_NOTRAM)
		return false;
	return (pa < MSI_BASE || pa >= MSI_END) && !iommu_owns(pa) && !vioapic_owns(dom0, pa) && !is_ecam(dom0, pa);
}

static bool mappable(struct domain *d, mfn_t mfn)
{
	return is_device_frame(mfn) && !vpci_msix_page(d, mfn << PAGE_SHIFT);
}

static bool mappable_2m(struct domain *d, gfn_t base)
{
	for (gfn_t gfn = base; gfn < base + 512; gfn++) {
		enum p2m_type t;

		p2m_get(d, gfn, &t, NULL);
		if (t != P2M_NONE || !mappable(d, gfn))
			return false;
	}
	return true;
}

/* Device memory appears in the service domain, where the machine has it, on first touch. */
static bool map_device(struct domain *d, gpa_t gpa)
{
	static unsigned phys_bits;
	gfn_t gfn = gpa >> PAGE_SHIFT, base = ALIGN_DOWN(gfn, 512);

	if (!phys_bits)
		phys_bits = cpuid(0x80000008, 0).a & 0xff;
	if (gpa >> phys_bits || !mappable(d, gfn))
		return false;
	if (mappable_2m(d, base) && !p2m_set(d, base, base, 9, P2M_MMIO))
		return true;
	return !p2m_set(d, gfn, gfn, 0, P2M_MMIO);
}

static bool type_allows(enum p2m_type t, const struct exit *e)
{
	bool ro = t == P2M_RAM_RO || t == P2M_FOREIGN_RO || t == P2M_GRANT_RO;

	if (e->pf.exec)
		return t == P2M_RAM || t == P2M_RAM_RO;
	return !(e->pf.write && ro);
}

static const char *access_name(const struct exit *e)
{
	return e->pf.exec ? "execution" : e->pf.write ? "write" : "read";
}

void mmio_fault(struct vcpu *v, struct exit *e)
{
	struct domain *d = v->domain;
	gpa_t gpa = e->pf.gpa;
	enum p2m_type t;
	unsigned order;

	if (!e->pf.exec && emulated(v, gpa)) {
		emulate(v, e);
		return;
	}
	p2m_get(d, gpa >> PAGE_SHIFT, &t, &order);
	if (t != P2M_NONE && type_allows(t, e)) {
		if (e->pf.exec && order && cpu_ops->p2m->large_nx && p2m_split(d, gpa >> PAGE_SHIFT))
			domain_crash(v, "no memory to split the large page at guest address %lx", gpa);
		v->p2m_gen = d->p2m.gen - 1; /* the TLB was behind the tables: flush and try again */
		return;
	}
	if (t == P2M_NONE && d->is_dom0 && map_device(d, gpa))
		return;
	/* A well-behaved kernel reads over the edge of what it owns (firmware areas, string functions next to ballooned pages),
	 * but only a broken one writes or executes there. The service domain's firmware tables may do anything. */
	if (e->pf.exec || (t == P2M_NONE && e->pf.write && !d->is_dom0 && gpa >= MiB)) {
		domain_crash(v, "%s at guest address %lx, where it has no memory", access_name(e), gpa);
		return;
	}
	if (gpa >= MiB)
		printk_guest("d%uv%u: %s at guest address %lx ignored (rip %lx)", d->id, v->id, access_name(e), gpa,
			     v->regs.rip);
	emulate(v, e);
}
