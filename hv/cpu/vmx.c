/* SPDX-License-Identifier: Apache-2.0 */
/* Intel VT-x with EPT and unrestricted guests (SDM 3C chapters 23 to 31): entering the guest and saying why it left. */
#include "vmx.h"

#include "asm.h"
#include "domain.h"
#include "errno.h"
#include "fpu.h"
#include "frame.h"
#include "irq.h"
#include "map.h"
#include "vstate.h"

_Static_assert(offsetof(struct regs, gpr) == 0 && RSP == 4 && R15 == 15, "vmx_entry.S");

#define FEATURE_LOCKED BIT(0)
#define FEATURE_VMX    BIT(2) /* outside SMX */

/* Basic exit reasons (SDM 3D appendix C). */
enum {
	VMX_EXCEPTION = 0,
	VMX_EXT_INT = 1,
	VMX_TRIPLE_FAULT = 2,
	VMX_IRQ_WINDOW = 7,
	VMX_NMI_WINDOW = 8,
	VMX_CPUID = 10,
	VMX_GETSEC = 11,
	VMX_HLT = 12,
	VMX_INVD = 13,
	VMX_RDPMC = 15,
	VMX_VMCALL = 18,
	VMX_VMCLEAR = 19,
	VMX_VMXON = 27,
	VMX_CR = 28,
	VMX_IO = 30,
	VMX_RDMSR = 31,
	VMX_WRMSR = 32,
	VMX_MWAIT = 36,
	VMX_MONITOR = 39,
	VMX_PAUSE = 40,
	VMX_EPT_VIOLATION = 48,
	VMX_INVEPT = 50,
	VMX_INVVPID = 53,
	VMX_WBINVD = 54,
	VMX_XSETBV = 55,
	VMX_ENTRY_FAILED = 1u << 31,
};

static struct vmx_vcpu *hw(struct vcpu *v)
{
	return v->hw;
}

/* ---- CPUs ---- */

static const char *enable_feature(void)
{
	uint64_t f = rdmsr(MSR_FEATURE_CONTROL);

	if (!(f & FEATURE_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, f | FEATURE_LOCKED | FEATURE_VMX);
	else if (!(f & FEATURE_VMX))
		return "VT-x is turned off in the firmware: turn it on there";
	return NULL;
}

static const char *vmx_probe(void)
{
	const char *why;

	if (!(cpuid(1, 0).c & BIT(5)))
		return "this CPU has no VT-x";
	if ((why = enable_feature()))
		return why;
	return vmcs_probe();
}

static int vmx_cpu_up(struct cpu *c)
{
	uint32_t *region = c->hw_page ? c->hw_page : core_alloc(0);
	paddr_t pa;
	bool bad;

	c->hw_page = region;
	if (!region)
		return -ENOMEM;
	if (enable_feature())
		return -EINVAL; /* firmware left this CPU unlike the first one */
	fpu_init_cpu();
	*region = vmx.revision;
	pa = virt_to_phys(region);
	write_cr4(read_cr4() | CR4_VMXE);
	__asm__ volatile("vmxon %1" : "=@ccna"(bad) : "m"(pa) : "memory");
	return bad ? -EINVAL : 0;
}

static void vmx_cpu_down(void)
{
	__asm__ volatile("vmxoff");
	write_cr4(read_cr4() & ~CR4_VMXE);
}

/* ---- switching vCPUs ---- */

static void invept(uint64_t eptp)
{
	const uint64_t desc[2] = { eptp, 0 };

	__asm__ volatile("invept %0, %1" ::"m"(desc), "r"(1ul) : "cc", "memory"); /* one context */
}

static void vmx_vcpu_load(struct vcpu *v)
{
	struct vmx_vcpu *h = hw(v);
	struct cpu *c = this_cpu();

	vmcs_begin(v);
	vmwrite(TSC_OFFSET, (uint64_t)v->domain->tsc_offset);
	c->hw_vcpu = v;
	if (h->cpu != c->id) {
		/* This CPU may remember translations from an earlier stay, or from other vCPUs of the domain. */
		h->cpu = c->id;
		h->host_rsp = 0;
		vmcs_host_cpu(c);
		invept(h->eptp);
		if (h->vpid)
			invvpid(h->vpid);
	}
	vcpu_regs_load(v);
	vmx_load_registers(h);
}

static void vmx_vcpu_save(struct vcpu *v)
{
	vcpu_regs_save(v);
	vmx_save_registers(hw(v));
	this_cpu()->hw_vcpu = NULL;
	vmcs_end(v); /* not loaded any more: VMCLEAR */
}

/* ---- events ---- */

static void vmx_clear_shadow(struct vcpu *v)
{
	uint64_t i = vmread(GUEST_INTERRUPTIBILITY);

	if (unlikely(i & (BLOCK_STI | BLOCK_MOVSS)))
		vmwrite(GUEST_INTERRUPTIBILITY, i & ~(BLOCK_STI | BLOCK_MOVSS));
}

static uint32_t exception_info(struct vcpu *v)
{
	uint32_t info = (uint32_t)(v->exc_vector | INTR_EXC << 8 | INTR_VALID);

	if (v->exc_has_code && (vmread(GUEST_CR0) & CR0_PE)) {
		info |= (uint32_t)INTR_CODE;
		vmwrite(ENTRY_INTR_CODE, v->exc_code);
	}
	if (v->exc_vector == EXC_PF)
		write_cr2(v->exc_cr2);
	v->exc_pending = 0;
	return info;
}

/* Chooses the one event this entry injects; what must wait asks for a window exit. Returns whether irq_offered is in. */
static bool inject_event(struct vcpu *v, struct vmx_vcpu *h)
{
	uint32_t info = 0, proc = vmx.proc;
	uint64_t blocked = vmread(GUEST_INTERRUPTIBILITY);
	bool irq = false;

	if (v->exc_pending)
		info = exception_info(v);
	if (v->nmi_pending) {
		if (!info && !(blocked & (BLOCK_STI | BLOCK_MOVSS | BLOCK_NMI))) {
			info = (uint32_t)(2 | INTR_NMI << 8 | INTR_VALID);
			v->nmi_pending = false;
		} else {
			/* An NMI window may be open in STI's shadow, where NMIs may not be injected. */
			proc |= (uint32_t)(blocked & BLOCK_STI ? PROC_IRQ_WINDOW : PROC_NMI_WINDOW);
		}
	}
	if (v->irq_offered >= 0) {
		irq = !info && (v->regs.rflags & BIT(9)) && !(blocked & (BLOCK_STI | BLOCK_MOVSS));
		if (irq)
			info = (uint32_t)v->irq_offered | (uint32_t)INTR_VALID;
		else
			proc |= (uint32_t)PROC_IRQ_WINDOW;
	}
	if (info)
		vmwrite(ENTRY_INTR_INFO, info);
	if (proc != h->proc)
		vmwrite(PROC_CONTROLS, h->proc = proc);
	return irq;
}

/* An exit came while an event was being delivered: it is due again. INTn, INT3 and INTO are not, since rip is still on the
 * instruction. True when it was a maskable interrupt. */
static bool requeue_event(struct vcpu *v, uint32_t info)
{
	switch (INTR_TYPE(info)) {
	case INTR_EXT:
		return true;
	case INTR_NMI:
		v->nmi_pending = true;
		vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) & ~BLOCK_NMI);
		return false;
	case INTR_EXC:
		v->exc_pending = 1;
		v->exc_vector = (uint8_t)info;
		v->exc_has_code = info & INTR_CODE;
		v->exc_code = v->exc_has_code ? (uint32_t)vmread(IDT_VECTORING_CODE) : 0;
		v->exc_cr2 = read_cr2();
		return false;
	default:
		return false;
	}
}

/* ---- exits ---- */

static void skip(struct vcpu *v)
{
	v->regs.rip += vmread(EXIT_INSN_LEN);
	vmx_clear_shadow(v);
}

/* MOV to CR0 that changes PG, NE, CD or NW: all the checks are ours (SDM 2B, MOV to CR). */
static bool mov_to_cr0(struct vcpu *v, uint64_t val)
{
	struct vmx_vcpu *h = hw(v);
	uint64_t old = vmx_get_cr0(v), cr4 = vmx_get_cr4(v), efer;
	bool pg_change = (old ^ val) & CR0_PG, long_cs = vmread(GUEST_CS_AR) & 0x2000;

	val |= CR0_ET;
	efer = (h->efer & ~EFER_LMA) | ((val & CR0_PG) && (h->efer & EFER_LME) ? EFER_LMA : 0);
	if (check_control_regs(val, cr4 & guest_cr4_mask(), efer))
		return false;
	if (pg_change && (h->efer & EFER_LME) && long_cs)
		return false;
	vmcs_set_cr0(v, val, cr4);
	if (pg_change && h->vpid)
		invvpid(h->vpid);
	return true;
}

/* Bits beyond the allowed ones fault; what is left is a change of MCE, which stays the core's in hardware. */
static bool mov_to_cr4(struct vcpu *v, uint64_t val)
{
	uint64_t cr0 = vmx_get_cr0(v), old = vmx_get_cr4(v);

	if (check_control_regs(cr0, val, hw(v)->efer))
		return false;
	if ((val & ~old & CR4_PCIDE) && (vmread(GUEST_CR3) & 0xfff))
		return false;
	vmwrite(GUEST_CR4, val | CR4_VMXE | (read_cr4() & CR4_MCE));
	vmwrite(CR4_SHADOW, val);
	vmcs_set_cr0(v, cr0, val); /* PDPTEs */
	if (((val ^ old) & ~CR4_MCE) && hw(v)->vpid)
		invvpid(hw(v)->vpid);
	return true;
}

static bool mov_to_cr8(struct vcpu *v, uint64_t val)
{
	if (val >> 4)
		return false;
	v->vlapic.reg[8] = (uint32_t)val << 4;
	return true;
}

/* Exit qualification: SDM 3C table 28-3. Owned bits make only MOV exit, and CR8 both ways. */
static void cr_exit(struct vcpu *v, struct exit *e)
{
	uint64_t q = vmread(EXIT_QUALIFICATION), *gpr = &v->regs.gpr[q >> 8 & 15], val = *gpr;
	bool ok;

	if (cpu_ops->code_bits(v) != 64)
		val = (uint32_t)val;
	switch (q & 0x3f) {
	case 0x00:
		ok = mov_to_cr0(v, val);
		break;
	case 0x04:
		ok = mov_to_cr4(v, val);
		break;
	case 0x08:
		ok = mov_to_cr8(v, val);
		break;
	case 0x18:
		*gpr = v->vlapic.reg[8] >> 4;
		ok = true;
		break;
	default:
		e->reason = EXIT_UNKNOWN;
		e->hw1 = q;
		return;
	}
	if (ok)
		skip(v);
	else
		inject_exception(v, EXC_GP, 0);
}

static void exception_exit(struct vcpu *v, struct exit *e)
{
	uint32_t info = (uint32_t)vmread(EXIT_INTR_INFO);
	uint64_t q;

	if (INTR_TYPE(info) == INTR_NMI) {
		__asm__ volatile("int $2" ::: "memory"); /* its IRET also unblocks NMIs */
		e->reason = EXIT_NMI;
		return;
	}
	e->reason = EXIT_EXCEPTION;
	e->exc.vector = (uint8_t)info;
	e->exc.has_code = info & INTR_CODE;
	if (e->exc.has_code)
		e->exc.code = (uint32_t)vmread(EXIT_INTR_CODE);
	if (e->exc.vector == EXC_PF)
		e->exc.addr = vmread(EXIT_QUALIFICATION);
	if (e->exc.vector == EXC_MC)
		__asm__ volatile("int $18" ::: "memory"); /* the machine's, not the guest's */
	if (e->exc.vector == EXC_DB) {
		/* The CPU leaves DR6 and DR7.GD to us (SDM 3C 28.1). */
		uint64_t dr6;

		q = vmread(EXIT_QUALIFICATION);
		vmx_clear_shadow(v); /* with TF an entry in the shadow wants a pending #DB (SDM 3C 27.3.1.5): it is this one */
		__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
		__asm__ volatile("mov %0, %%db6" ::"r"(dr6_clean((dr6 & ~0xfull) | (q & 0x600f))));
		if (q & BIT(13))
			vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~BIT(13));
	}
}

static void io_exit_info(struct exit *e)
{
	uint64_t q = vmread(EXIT_QUALIFICATION);

	e->reason = EXIT_IO;
	e->io.size = (q & 7) + 1;
	e->io.in = q >> 3 & 1;
	e->io.string = q >> 4 & 1;
	e->io.rep = q >> 5 & 1;
	e->io.port = (uint16_t)(q >> 16);
}

static void ept_exit(struct exit *e, uint32_t idt_info)
{
	uint64_t q = vmread(EXIT_QUALIFICATION);

	e->reason = EXIT_PAGE_FAULT;
	e->pf.gpa = vmread(GUEST_PHYS_ADDR);
	e->pf.write = q >> 1 & 1;
	e->pf.exec = q >> 2 & 1;
	/* An IRET that faulted has unblocked NMIs already, and will be executed again (SDM 3C 28.2.3). */
	if ((q & BIT(12)) && !(idt_info & INTR_VALID))
		vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
}

/* Exits that the reason says all about. */
static const uint8_t plain[] = {
	[VMX_VMCALL] = EXIT_HYPERCALL, [VMX_CPUID] = EXIT_CPUID, [VMX_RDMSR] = EXIT_RDMSR, [VMX_WRMSR] = EXIT_WRMSR,
	[VMX_HLT] = EXIT_HLT, [VMX_PAUSE] = EXIT_PAUSE, [VMX_XSETBV] = EXIT_XSETBV, [VMX_INVD] = EXIT_INVD,
};

static void decode_exit(struct vcpu *v, struct exit *e, uint32_t reason, uint32_t idt_info)
{
	e->hw_reason = reason;
	if (reason < ARRAY_SIZE(plain) && plain[reason]) {
		e->reason = plain[reason];
		e->insn_len = (uint8_t)vmread(EXIT_INSN_LEN);
		return;
	}
	switch (reason) {
	case VMX_EXT_INT:
		e->reason = EXIT_INTERRUPT;
		irq_record((uint8_t)vmread(EXIT_INTR_INFO));
		return;
	case VMX_EPT_VIOLATION:
		ept_exit(e, idt_info);
		return;
	case VMX_EXCEPTION:
		exception_exit(v, e);
		return;
	case VMX_CR:
		cr_exit(v, e); /* EXIT_NONE */
		return;
	case VMX_IRQ_WINDOW:
	case VMX_NMI_WINDOW:
		e->reason = EXIT_IRQ_WINDOW;
		return;
	case VMX_TRIPLE_FAULT:
		e->reason = EXIT_TRIPLE_FAULT;
		return;
	case VMX_IO:
		io_exit_info(e);
		break;
	case VMX_WBINVD:
		if (v->domain->iommu) /* only device drivers have a use for it */
			__asm__ volatile("wbinvd" ::: "memory");
		e->reason = EXIT_INVD;
		break;
	case VMX_RDPMC:
		e->inject_gp = 1;
		/* fall through */
	case VMX_GETSEC:
	case VMX_VMCLEAR ... VMX_VMXON:
	case VMX_MWAIT:
	case VMX_MONITOR:
	case VMX_INVEPT:
	case VMX_INVVPID:
		e->reason = EXIT_UNDEFINED;
		return;
	default:
		e->reason = reason & VMX_ENTRY_FAILED ? EXIT_BAD_STATE : EXIT_UNKNOWN;
		e->hw1 = vmread(EXIT_QUALIFICATION);
		e->hw2 = vmread(GUEST_PHYS_ADDR);
		return;
	}
	e->insn_len = (uint8_t)vmread(EXIT_INSN_LEN);
}

static void vmx_run(struct vcpu *v, struct exit *e)
{
	struct vmx_vcpu *h = hw(v);
	uint32_t gen = READ_ONCE(v->domain->p2m.gen), reason, idt_info;
	bool irq = false;

	if (unlikely(v->p2m_gen != gen)) {
		v->p2m_gen = gen;
		invept(h->eptp);
	}
	if (unlikely(v->irq_offered >= 0 || v->exc_pending || v->nmi_pending || h->proc != vmx.proc))
		irq = inject_event(v, h);
	if (v->regs.rip != h->rip)
		vmwrite(GUEST_RIP, v->regs.rip);
	if (v->regs.gpr[RSP] != h->rsp)
		vmwrite(GUEST_RSP, v->regs.gpr[RSP]);
	if (v->regs.rflags != h->rflags)
		vmwrite(GUEST_RFLAGS, (v->regs.rflags & 0x3f7fd7) | 2);
	cpu_clear_buffers();
	if (unlikely(vmx_enter(&v->regs, h->launched, &h->host_rsp))) {
		e->reason = EXIT_BAD_STATE;
		e->hw1 = vmread(INSN_ERROR);
		return;
	}
	reason = (uint32_t)vmread(EXIT_REASON);
	idt_info = (uint32_t)vmread(IDT_VECTORING_INFO);
	v->regs.rip = h->rip = vmread(GUEST_RIP);
	v->regs.gpr[RSP] = h->rsp = vmread(GUEST_RSP);
	v->regs.rflags = h->rflags = vmread(GUEST_RFLAGS);
	h->cs_known = h->ss_known = false;
	if (unlikely(reason & VMX_ENTRY_FAILED))
		idt_info = 0, irq = false;
	else
		h->launched = true;
	e->irq_taken = irq;
	if (unlikely(idt_info & INTR_VALID) && requeue_event(v, idt_info))
		e->irq_taken = false;
	decode_exit(v, e, reason, idt_info);
}

/* ---- questions ---- */

static uint64_t vmx_get_cr3(struct vcpu *v)
{
	return vmread(GUEST_CR3);
}

static uint64_t vmx_get_efer(struct vcpu *v)
{
	return hw(v)->efer;
}

static unsigned vmx_get_cpl(struct vcpu *v)
{
	struct vmx_vcpu *h = hw(v);

	if (!h->ss_known) {
		h->ss_ar = (uint32_t)vmread(GUEST_SS_AR);
		h->ss_known = true;
	}
	return h->ss_ar >> 5 & 3;
}

static int vmx_code_bits(struct vcpu *v)
{
	struct vmx_vcpu *h = hw(v);

	if (!h->cs_known) {
		h->cs_ar = (uint32_t)vmread(GUEST_CS_AR);
		h->cs_known = true;
	}
	if ((h->efer & EFER_LMA) && (h->cs_ar & 0x2000))
		return 64;
	return h->cs_ar & 0x4000 ? 32 : 16;
}

static uint64_t vmx_seg_base(struct vcpu *v, unsigned seg)
{
	return vmread(GUEST_ES_BASE + 2 * (seg == SEG_TR ? 7 : seg == SEG_LDTR ? 6 : seg));
}

static int vmx_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	switch (msr) {
	case MSR_EFER:
		*val = hw(v)->efer;
		return 0;
	case MSR_PAT:
		*val = vmread(GUEST_PAT);
		return 0;
	case MSR_DEBUGCTL:
		*val = vmread(GUEST_DEBUGCTL);
		return 0;
	default:
		return -ENOENT;
	}
}

static int vmx_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	switch (msr) {
	case MSR_EFER:
		if (efer_write(hw(v)->efer, vmx_get_cr0(v), &val))
			return -EINVAL;
		vmwrite(GUEST_EFER, hw(v)->efer = val);
		return 0;
	case MSR_PAT:
		if (!pat_valid(val))
			return -EINVAL;
		vmwrite(GUEST_PAT, val);
		return 0;
	case MSR_DEBUGCTL: /* BTF alone; LBRs are not switched */
		if (val & ~BIT(1))
			return -EINVAL;
		vmwrite(GUEST_DEBUGCTL, val);
		return 0;
	default:
		return -ENOENT;
	}
}

const struct cpu_ops vmx_ops = {
	.name = "VT-x",
	.p2m = &ept_format,
	.probe = vmx_probe,
	.cpu_up = vmx_cpu_up,
	.cpu_down = vmx_cpu_down,
	.vcpu_init = vmcs_create,
	.vcpu_free = vmcs_destroy,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_save = vmx_vcpu_save,
	.run = vmx_run,
	.get_state = vmx_get_state,
	.set_state = vmx_set_state,
	.get_cr3 = vmx_get_cr3,
	.get_cr0 = vmx_get_cr0,
	.get_cr4 = vmx_get_cr4,
	.get_efer = vmx_get_efer,
	.get_cpl = vmx_get_cpl,
	.code_bits = vmx_code_bits,
	.seg_base = vmx_seg_base,
	.rdmsr = vmx_rdmsr,
	.wrmsr = vmx_wrmsr,
	.clear_shadow = vmx_clear_shadow,
};
