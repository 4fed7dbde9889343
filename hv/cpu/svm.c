/* SPDX-License-Identifier: Apache-2.0 */
/* AMD SVM with nested paging (APM 2 chapter 15). Physical CPUs and QEMU's emulation of them: the latter has neither NRIP
 * save nor decode assists, and is safe with V_IRQ but not with EVENTINJ for maskable interrupts. */
#include "svm.h"

#include "asm.h"
#include "cpu.h"
#include "domain.h"
#include "errno.h"
#include "fpu.h"
#include "irq.h"
#include "frame.h"
#include "map.h"
#include "vstate.h"

_Static_assert(offsetof(struct regs, gpr) == 0 && RSP == 4 && R15 == 15, "svm_entry.S");
_Static_assert(SEG_ES == 0 && SEG_GS == 5, "order of struct vmcb.seg");

#define INTERCEPT1                                                                                                     \
	(SVM_I1_INTR | SVM_I1_NMI | SVM_I1_RDPMC | SVM_I1_CPUID | SVM_I1_INVD | SVM_I1_HLT | SVM_I1_INVLPGA |          \
	 SVM_I1_IOIO | SVM_I1_MSR | SVM_I1_SHUTDOWN)
#define INTERCEPT2                                                                                                     \
	(SVM_I2_VMRUN | SVM_I2_VMMCALL | SVM_I2_VMLOAD | SVM_I2_VMSAVE | SVM_I2_STGI | SVM_I2_CLGI | SVM_I2_SKINIT |   \
	 SVM_I2_WBINVD | SVM_I2_MONITOR | SVM_I2_MWAIT | SVM_I2_MWAIT_COND | SVM_I2_XSETBV | SVM_I2_RDPRU)
#define INTERCEPT3 (SVM_I3_INVLPGB | SVM_I3_MCOMMIT | SVM_I3_TLBSYNC)
/* QEMU's emulated #VMEXIT clears V_IRQ in a word of flags by an ordinary read, change and write, while the thread that runs the
 * timers may set another flag in it: that interrupt stays in the local APIC and the processor never sees it (10.0; later ones
 * change the word atomically). Writing the APIC's task priority makes it look again. */
#define QEMU_TCG 0x54474354u /* "TCGT", CPUID 0x40000000 */

/* #DB and #AC: a guest can make their delivery raise them again, for ever, without an exit (CVE-2015-8104, -5307). */
#define INTERCEPT_EXC (BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_MC))

struct svm_vcpu {
	struct vmcb *vmcb;
	paddr_t vmcb_pa, host_pa;
	unsigned cpu;       /* where it was loaded last */
	uint32_t asid_gen;  /* its ASID is good while cpu->asid_gen is this; 0 none */
	bool nmi_masked;    /* an NMI handler runs: IRET is intercepted */
};
struct svm_cpu {
	uint8_t hsave[PAGE_SIZE];
	struct vmcb host; /* FS, GS, TR, LDTR and system call MSRs of the core */
};

static uint32_t nr_asids;
static bool has_nrips, has_pause_filter, loses_irqs;
static void *iopm, *msrpm;

static struct vmcb *vmcb_of(struct vcpu *v)
{
	return ((struct svm_vcpu *)v->hw)->vmcb;
}

/* ---- CPUs ---- */

static const char *svm_probe(void)
{
	uint64_t cr;

	if (cpuid(0x80000000, 0).a < 0x8000000a || !(cpuid(0x80000001, 0).c & BIT(2)))
		return "this CPU has no AMD-V (SVM)";
	if (!rdmsr_safe(MSR_VM_CR, &cr) && (cr & VM_CR_SVMDIS))
		return "AMD-V (SVM) is turned off in the firmware: turn it on there";

	struct cpuid c = cpuid(0x8000000a, 0);

	if (!(c.d & BIT(0)))
		return "this CPU's AMD-V has no nested paging";
	nr_asids = c.b;
	has_nrips = c.d & BIT(3);
	has_pause_filter = (c.d & BIT(10)) && (c.d & BIT(12));
	npt_format.has_1g = cpuid(0x80000001, 0).d & BIT(26);
	loses_irqs = cpuid(1, 0).c & BIT(31) && cpuid(0x40000000, 0).b == QEMU_TCG;
	return NULL;
}

/* Two bits an MSR, read and write; 2 KiB for each of three ranges (APM 2 15.11). */
static void msr_native(uint32_t msr)
{
	unsigned bit = msr < 0x2000 ? msr * 2 : (0x2000 + (msr & 0x1fff)) * 2;

	bit_clear(msrpm, bit);
	bit_clear(msrpm, bit + 1);
}

static int make_permission_maps(void)
{
	iopm = core_alloc(2);
	msrpm = core_alloc(1);
	if (!iopm || !msrpm)
		return -ENOMEM;
	memset(iopm, 0xff, 4 * PAGE_SIZE);
	memset(msrpm, 0xff, 2 * PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(native_msrs); i++)
		msr_native(native_msrs[i]);
	return 0;
}

static int svm_cpu_up(struct cpu *c)
{
	struct svm_cpu *s = c->hw_page ? c->hw_page : core_alloc(1);

	if (!s || (!iopm && make_permission_maps()))
		return -ENOMEM;
	fpu_init_cpu();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, virt_to_phys(s->hsave));
	__asm__ volatile("vmsave %0" ::"a"(virt_to_phys(&s->host)) : "memory");
	c->hw_page = s;
	c->asid_gen++; /* a vCPU with 0 has no ASID here */
	c->asid_next = nr_asids; /* none left: the first one starts a generation with a full flush */
	return 0;
}

static void svm_cpu_down(void)
{
	__asm__ volatile("stgi");
	wrmsr(MSR_VM_HSAVE_PA, 0);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}

/* ---- vCPUs ---- */

static void svm_vcpu_free(struct vcpu *v)
{
	struct svm_vcpu *h = v->hw;

	if (!h)
		return;
	if (h->vmcb)
		core_free(h->vmcb, 0);
	kfree(h);
	v->hw = NULL;
}

static int svm_vcpu_init(struct vcpu *v)
{
	struct svm_vcpu *h = v->hw = kalloc(sizeof(*h));
	struct vmcb *b = h ? h->vmcb = core_alloc(0) : NULL;

	if (!b) {
		svm_vcpu_free(v);
		return -ENOMEM;
	}
	h->vmcb_pa = virt_to_phys(b);
	h->cpu = MAX_CPUS;
	b->intercept_exc = INTERCEPT_EXC;
	b->intercept1 = INTERCEPT1;
	b->intercept2 = INTERCEPT2;
	b->intercept3 = INTERCEPT3;
	if (has_pause_filter) {
		b->intercept1 |= SVM_I1_PAUSE;
		b->pause_count = 3000;
		b->pause_threshold = 128;
	}
	b->iopm = virt_to_phys(iopm);
	b->msrpm = virt_to_phys(msrpm);
	b->np_enable = 1;
	b->ncr3 = v->domain->p2m.root_pa;
	return 0;
}

static void svm_vcpu_load(struct vcpu *v)
{
	struct svm_vcpu *h = v->hw;
	struct cpu *c = this_cpu();

	if (h->cpu != c->id) {
		h->cpu = c->id;
		h->asid_gen = 0;
		h->vmcb->clean = 0;
		h->host_pa = virt_to_phys(&((struct svm_cpu *)c->hw_page)->host);
	}
	if (h->vmcb->tsc_offset != v->domain->tsc_offset) {
		h->vmcb->tsc_offset = v->domain->tsc_offset;
		h->vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
	}
	c->hw_vcpu = v;
	vcpu_regs_load(v);
}

static void svm_vcpu_save(struct vcpu *v)
{
	vcpu_regs_save(v);
	this_cpu()->hw_vcpu = NULL;
}

/* ---- running ---- */

/* An unused ASID stands for a flush of the guest's TLB; when they run out, all are flushed and used again. */
static void new_asid(struct cpu *c, struct svm_vcpu *h)
{
	if (c->asid_next >= nr_asids) {
		if (!++c->asid_gen)
			c->asid_gen = 1;
		c->asid_next = 1;
		h->vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	}
	h->vmcb->asid = c->asid_next++;
	h->asid_gen = c->asid_gen;
	h->vmcb->clean &= ~SVM_CLEAN_ASID;
}

static void watch_iret(struct svm_vcpu *h, bool on)
{
	h->nmi_masked = on;
	h->vmcb->intercept1 = on ? h->vmcb->intercept1 | SVM_I1_IRET : h->vmcb->intercept1 & (uint32_t)~SVM_I1_IRET;
	h->vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}

/* Exceptions and NMIs go by EVENTINJ (APM 2 15.20). An NMI that must wait is looked at again after any exit. */
static void inject_event(struct vcpu *v, struct svm_vcpu *h)
{
	struct vmcb *b = h->vmcb;

	if (v->exc_pending) {
		b->event_inj = v->exc_vector | SVM_EVENT_EXC << 8 | SVM_EVENT_VALID;
		if (v->exc_has_code)
			b->event_inj |= SVM_EVENT_CODE | (uint64_t)v->exc_code << 32;
		if (v->exc_vector == EXC_PF) {
			b->cr2 = v->exc_cr2;
			b->clean &= ~SVM_CLEAN_CR2;
		}
		v->exc_pending = 0;
	} else if (!h->nmi_masked) {
		b->event_inj = 2 | SVM_EVENT_NMI << 8 | SVM_EVENT_VALID;
		v->nmi_pending = false;
		watch_iret(h, true);
	}
}

/* An exit came while an event was being delivered: it is due again. INTn, INT3 and INTO are not, since rip is still on the
 * instruction. True when it was a maskable interrupt (which QEMU calls an exception). */
static bool requeue_event(struct vcpu *v, struct svm_vcpu *h)
{
	uint64_t info = h->vmcb->exit_int_info;
	uint8_t vector = (uint8_t)info;

	switch (SVM_EVENT_TYPE(info)) {
	case SVM_EVENT_INTR:
		return true;
	case SVM_EVENT_EXC:
		if (vector >= 32)
			return true;
		if (vector != 2) {
			if (vector == EXC_BP || vector == 4)
				return false;
			v->exc_pending = 1;
			v->exc_vector = vector;
			v->exc_has_code = info & SVM_EVENT_CODE;
			v->exc_code = (uint32_t)(info >> 32);
			v->exc_cr2 = h->vmcb->cr2;
			return false;
		}
		/* fall through */
	case SVM_EVENT_NMI:
		v->nmi_pending = true;
		watch_iret(h, false);
		return false;
	default:
		return false;
	}
}

static void decode_io(const struct vmcb *b, struct exit *e)
{
	uint64_t info = b->exit_info1;

	e->reason = EXIT_IO;
	e->io.port = (uint16_t)(info >> 16);
	e->io.size = info >> 4 & 7;
	e->io.in = info & 1;
	e->io.string = info >> 2 & 1;
	e->io.rep = info >> 3 & 1;
	e->insn_len = (uint8_t)(b->exit_info2 - b->rip); /* there even without NRIP save */
}

static void decode_npf(const struct vmcb *b, struct exit *e)
{
	uint64_t code = b->exit_info1;

	e->reason = EXIT_PAGE_FAULT;
	e->pf.gpa = b->exit_info2;
	e->pf.write = code >> 1 & 1;
	e->pf.exec = code >> 4 & 1;
}

static void wbinvd_exit(struct vcpu *v)
{
	if (v->domain->iommu) /* only device drivers have a use for it */
		__asm__ volatile("wbinvd" ::: "memory");
}

/* Exits that the code says all about. NMIs were taken when GIF was set. */
static const uint8_t plain[] = {
	[SVM_EXIT_NMI] = EXIT_NMI, [SVM_EXIT_VMMCALL] = EXIT_HYPERCALL, [SVM_EXIT_CPUID] = EXIT_CPUID, [SVM_EXIT_HLT] = EXIT_HLT,
	[SVM_EXIT_PAUSE] = EXIT_PAUSE, [SVM_EXIT_XSETBV] = EXIT_XSETBV, [SVM_EXIT_INVD] = EXIT_INVD,
	[SVM_EXIT_SHUTDOWN] = EXIT_TRIPLE_FAULT,
};

static void decode_exit(struct vcpu *v, struct svm_vcpu *h, struct exit *e)
{
	const struct vmcb *b = h->vmcb;

	if (has_nrips && b->next_rip)
		e->insn_len = (uint8_t)(b->next_rip - b->rip);
	if (b->exit_code < ARRAY_SIZE(plain) && plain[b->exit_code]) {
		e->reason = plain[b->exit_code];
		return;
	}
	switch (b->exit_code) {
	case SVM_EXIT_INTR:
		e->reason = EXIT_INTERRUPT;
		interrupt_window(); /* it still waits */
		return;
	case SVM_EXIT_MSR:
		e->reason = b->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR;
		return;
	case SVM_EXIT_IOIO:
		decode_io(b, e);
		return;
	case SVM_EXIT_NPF:
		decode_npf(b, e);
		return;
	case SVM_EXIT_IRET:
		watch_iret(h, false);
		return; /* EXIT_NONE */
	case SVM_EXIT_WBINVD:
		wbinvd_exit(v);
		e->reason = EXIT_INVD;
		return;
	case SVM_EXIT_RDPMC:
		e->inject_gp = 1;
		/* fall through */
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD ... SVM_EXIT_SKINIT:
	case SVM_EXIT_MONITOR ... SVM_EXIT_MWAIT_COND:
	case SVM_EXIT_RDPRU:
	case SVM_EXIT_INVLPGB ... SVM_EXIT_TLBSYNC:
		e->reason = EXIT_UNDEFINED;
		return;
	case SVM_EXIT_EXC0 + EXC_MC:
		__asm__ volatile("int $18" ::: "memory"); /* the machine's, not the guest's */
		/* fall through */
	case SVM_EXIT_EXC0 + EXC_DB:
	case SVM_EXIT_EXC0 + EXC_AC:
		e->reason = EXIT_EXCEPTION;
		e->exc.vector = (uint8_t)(b->exit_code - SVM_EXIT_EXC0);
		e->exc.has_code = e->exc.vector == EXC_AC;
		e->exc.code = (uint32_t)b->exit_info1;
		return;
	default:
		e->reason = (int32_t)b->exit_code == -1 ? EXIT_BAD_STATE : EXIT_UNKNOWN;
	}
}

/* Maskable interrupts always go by V_IRQ: the CPU delivers it when the guest can take it, so no window exit is needed. */
static void offer_irq(struct vcpu *v, struct vmcb *b)
{
	uint64_t ctl = SVM_V_INTR_MASKING | SVM_V_IGN_TPR | v->vlapic.reg[8] >> 4;

	if (v->irq_offered >= 0)
		ctl |= SVM_V_IRQ | SVM_V_VECTOR(v->irq_offered);
	if (ctl != b->int_ctl) {
		b->int_ctl = ctl;
		b->clean &= ~SVM_CLEAN_INT;
	}
}

static void svm_run(struct vcpu *v, struct exit *e)
{
	struct svm_vcpu *h = v->hw;
	struct vmcb *b = h->vmcb;
	struct cpu *c = this_cpu();
	uint32_t gen = READ_ONCE(v->domain->p2m.gen);
	bool requeued = false;

	if (unlikely(v->p2m_gen != gen || h->asid_gen != c->asid_gen)) {
		v->p2m_gen = gen;
		new_asid(c, h);
	}
	if (unlikely(v->exc_pending | v->nmi_pending))
		inject_event(v, h);
	offer_irq(v, b);
	b->rip = v->regs.rip;
	b->rsp = v->regs.gpr[RSP];
	b->rax = v->regs.gpr[RAX];
	b->rflags = v->regs.rflags;
	cpu_clear_buffers();
	svm_enter(&v->regs, h->vmcb_pa, h->host_pa);
	if (unlikely(loses_irqs))
		lapic_look_again();
	v->regs.rip = b->rip;
	v->regs.gpr[RSP] = b->rsp;
	v->regs.gpr[RAX] = b->rax;
	v->regs.rflags = b->rflags;
	b->clean = SVM_CLEAN_ALL;
	b->tlb_control = 0;
	b->event_inj = 0;
	if (unlikely(b->exit_int_info & SVM_EVENT_VALID))
		requeued = requeue_event(v, h);
	e->irq_taken = v->irq_offered >= 0 && !(b->int_ctl & SVM_V_IRQ) && !requeued;
	if (unlikely((b->int_ctl & SVM_V_TPR) != v->vlapic.reg[8] >> 4))
		v->vlapic.reg[8] = (uint32_t)(b->int_ctl & SVM_V_TPR) << 4;
	e->hw_reason = b->exit_code;
	e->hw1 = b->exit_info1;
	e->hw2 = b->exit_info2;
	decode_exit(v, h, e);
}

/* ---- state ---- */

static void svm_get_state(struct vcpu *v, struct vcpu_state *s)
{
	const struct vmcb *b = vmcb_of(v);

	*s = (struct vcpu_state){
		.cr0 = b->cr0, .cr2 = b->cr2, .cr3 = b->cr3, .cr4 = b->cr4,
		.efer = b->efer & ~EFER_SVME, .dr6 = b->dr6, .dr7 = b->dr7, .pat = b->g_pat,
		.star = b->star, .lstar = b->lstar, .cstar = b->cstar, .sfmask = b->sfmask,
		.kernel_gs_base = b->kernel_gs_base, .sysenter_cs = b->sysenter_cs,
		.sysenter_esp = b->sysenter_esp, .sysenter_eip = b->sysenter_eip,
		.gdt_base = b->gdtr.base, .gdt_limit = b->gdtr.limit,
		.idt_base = b->idtr.base, .idt_limit = b->idtr.limit,
	};
	memcpy(s->seg, b->seg, sizeof(b->seg));
	s->seg[SEG_TR] = b->tr;
	s->seg[SEG_LDTR] = b->ldtr;
}

static int svm_set_state(struct vcpu *v, const struct vcpu_state *s)
{
	struct vmcb *b = vmcb_of(v);

	if (vcpu_state_check(s))
		return -EINVAL;
	b->cr0 = s->cr0 & ~(CR0_CD | CR0_NW); /* a guest does not get to turn caches off by being reset */
	b->cr2 = s->cr2;
	b->cr3 = s->cr3;
	b->cr4 = s->cr4;
	b->efer = s->efer | EFER_SVME;
	b->dr6 = dr6_clean(s->dr6);
	b->dr7 = dr7_clean(s->dr7);
	b->g_pat = s->pat;
	b->star = s->star;
	b->lstar = s->lstar;
	b->cstar = s->cstar;
	b->sfmask = s->sfmask;
	b->kernel_gs_base = s->kernel_gs_base;
	b->sysenter_cs = s->sysenter_cs;
	b->sysenter_esp = s->sysenter_esp;
	b->sysenter_eip = s->sysenter_eip;
	b->gdtr = (struct segment){ .base = s->gdt_base, .limit = s->gdt_limit };
	b->idtr = (struct segment){ .base = s->idt_base, .limit = s->idt_limit };
	memcpy(b->seg, s->seg, sizeof(b->seg));
	b->tr = s->seg[SEG_TR];
	b->ldtr = s->seg[SEG_LDTR];
	b->cpl = s->cr0 & CR0_PE ? s->seg[SEG_SS].attr >> 5 & 3 : 0;
	b->int_shadow = 0;
	b->clean = 0;
	((struct svm_vcpu *)v->hw)->asid_gen = 0; /* what the TLB holds is of other tables */
	return 0;
}

#define DEFINE_GETTER(type, what, clear)                                                                               \
	static type svm_get_##what(struct vcpu *v)                                                                     \
	{                                                                                                              \
		return vmcb_of(v)->what & ~clear;                                                                      \
	}
DEFINE_GETTER(uint64_t, cr0, 0ull)
DEFINE_GETTER(uint64_t, cr3, 0ull)
DEFINE_GETTER(uint64_t, cr4, 0ull)
DEFINE_GETTER(uint64_t, efer, EFER_SVME)
DEFINE_GETTER(unsigned, cpl, 0u)

static int svm_code_bits(struct vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);
	unsigned attr = b->seg[SEG_CS].attr;

	if ((b->efer & EFER_LMA) && (attr & 0x200))
		return 64;
	return attr & 0x400 ? 32 : 16;
}

static uint64_t svm_seg_base(struct vcpu *v, unsigned seg)
{
	const struct vmcb *b = vmcb_of(v);

	if (seg <= SEG_GS)
		return b->seg[seg].base;
	return seg == SEG_TR ? b->tr.base : b->ldtr.base;
}

static int svm_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	const struct vmcb *b = vmcb_of(v);

	switch (msr) {
	case MSR_EFER:
		*val = b->efer & ~EFER_SVME;
		return 0;
	case MSR_PAT:
		*val = b->g_pat;
		return 0;
	case MSR_DEBUGCTL:
		*val = 0;
		return 0;
	default:
		return -ENOENT;
	}
}

static int svm_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	struct vmcb *b = vmcb_of(v);

	switch (msr) {
	case MSR_EFER:
		if (efer_write(b->efer, b->cr0, &val))
			return -EINVAL;
		b->efer = val | EFER_SVME;
		b->clean &= ~SVM_CLEAN_CR;
		return 0;
	case MSR_PAT:
		if (!pat_valid(val))
			return -EINVAL;
		b->g_pat = val;
		b->clean &= ~SVM_CLEAN_NP;
		return 0;
	case MSR_DEBUGCTL: /* without LBR virtualization nothing of it is the guest's */
		return val & ~3ull ? -EINVAL : 0;
	default:
		return -ENOENT;
	}
}

static void svm_clear_shadow(struct vcpu *v)
{
	vmcb_of(v)->int_shadow = 0;
}

const struct cpu_ops svm_ops = {
	.name = "SVM",
	.p2m = &npt_format,
	.probe = svm_probe,
	.cpu_up = svm_cpu_up,
	.cpu_down = svm_cpu_down,
	.vcpu_init = svm_vcpu_init,
	.vcpu_free = svm_vcpu_free,
	.vcpu_load = svm_vcpu_load,
	.vcpu_save = svm_vcpu_save,
	.run = svm_run,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.get_cr3 = svm_get_cr3,
	.get_cr0 = svm_get_cr0,
	.cr4_free = true,
	.get_cr4 = svm_get_cr4,
	.get_efer = svm_get_efer,
	.get_cpl = svm_get_cpl,
	.code_bits = svm_code_bits,
	.seg_base = svm_seg_base,
	.rdmsr = svm_rdmsr,
	.wrmsr = svm_wrmsr,
	.clear_shadow = svm_clear_shadow,
};
