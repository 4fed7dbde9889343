/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCS: what the machine can do, how one is set up, and a vCPU's state in it (SDM 3C chapters 25 to 27, appendix A). */
#include "vmx.h"

#include "asm.h"
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "map.h"
#include "vstate.h"

struct vmx_controls vmx;
static uint64_t *msr_bitmap;
static uint64_t vpid_map[32]; /* vCPUs beyond the 2047th do without one */

/* ---- capabilities ---- */

enum group { G_PIN, G_PROC, G_EXIT, G_ENTRY, G_PROC2 };
static const struct {
	enum group group;
	uint32_t bit;
	const char *name;
} needed[] = {
	{ G_PIN, PIN_EXT_INT, "external-interrupt exiting" },
	{ G_PIN, PIN_NMI, "NMI exiting" },
	{ G_PIN, PIN_VIRTUAL_NMI, "virtual NMIs" },
	{ G_PROC, PROC_IRQ_WINDOW, "interrupt-window exiting" },
	{ G_PROC, PROC_NMI_WINDOW, "NMI-window exiting" },
	{ G_PROC, PROC_TSC_OFFSET, "TSC offsetting" },
	{ G_PROC, PROC_HLT, "HLT exiting" },
	{ G_PROC, PROC_MWAIT, "MWAIT exiting" },
	{ G_PROC, PROC_MONITOR, "MONITOR exiting" },
	{ G_PROC, PROC_RDPMC, "RDPMC exiting" },
	{ G_PROC, PROC_CR8_LOAD, "CR8-load exiting" },
	{ G_PROC, PROC_CR8_STORE, "CR8-store exiting" },
	{ G_PROC, PROC_IO, "unconditional I/O exiting" },
	{ G_PROC, PROC_MSR_BITMAP, "MSR bitmaps" },
	{ G_PROC, PROC_SECONDARY, "secondary controls" },
	{ G_PROC2, PROC2_EPT, "EPT" },
	{ G_PROC2, PROC2_UNRESTRICTED, "unrestricted guest" },
	{ G_EXIT, EXIT_SAVE_DEBUG, "saving of debug controls" },
	{ G_EXIT, EXIT_HOST_64, "a 64-bit host" },
	{ G_EXIT, EXIT_ACK_INT, "acknowledge interrupt on exit" },
	{ G_EXIT, EXIT_LOAD_PAT, "loading of PAT on exit" },
	{ G_EXIT, EXIT_LOAD_EFER, "loading of EFER on exit" },
	{ G_ENTRY, ENTRY_LOAD_DEBUG, "loading of debug controls" },
	{ G_ENTRY, ENTRY_IA32E, "64-bit guests" },
	{ G_ENTRY, ENTRY_LOAD_PAT, "loading of PAT on entry" },
	{ G_ENTRY, ENTRY_LOAD_EFER, "loading of EFER on entry" },
};

/* The bits of one control word: what the CPU insists on, what we need, and of "optional" what there is. */
static uint32_t settle(enum group g, uint32_t optional, uint32_t unwanted, const char **missing)
{
	bool exact = rdmsr(MSR_VMX_BASIC) >> 55 & 1;
	uint64_t cap = rdmsr(g == G_PROC2 ? MSR_VMX_PROC2 : (exact ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN) + g);
	uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32), v = must | (optional & may);

	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
		if (needed[i].group != g)
			continue;
		if (!(may & needed[i].bit))
			*missing = needed[i].name;
		v |= needed[i].bit;
	}
	if (must & unwanted)
		*missing = "CR3 accesses without exits";
	return v;
}

/* A guest that changes the size of a page whose code it runs can stop the machine (CVE-2018-12207), unless the CPU says that it
 * is not one of those, or there is a hypervisor below that has to see to it. */
static bool has_multihit(void)
{
	uint64_t caps = 0;

	if (cpuid(0, 0).a >= 7 && (cpuid(7, 0).d & BIT(29)))
		caps = rdmsr(MSR_ARCH_CAPS);
	return !(caps & BIT(6)) && !(cpuid(1, 0).c & BIT(31)); /* IF_PSCHANGE_MC_NO */
}

const char *vmcs_probe(void)
{
	static char text[96];
	const char *missing = NULL;

	vmx.revision = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	vmx.pin = settle(G_PIN, 0, 0, &missing);
	vmx.exit = settle(G_EXIT, 0, 0, &missing);
	vmx.entry = settle(G_ENTRY, 0, 0, &missing) & (uint32_t)~ENTRY_IA32E;
	vmx.proc = settle(G_PROC, 0, PROC_CR3_EXITS, &missing) & (uint32_t)~(PROC_IRQ_WINDOW | PROC_NMI_WINDOW);
	if (!missing) {
		vmx.proc2 = settle(G_PROC2, PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD | PROC2_PAUSE_LOOP | PROC2_INVPCID |
				   PROC2_XSAVES, 0, &missing);
	}
	if (!missing) {
		vmx.ept_vpid = rdmsr(MSR_VMX_EPT_VPID);
		/* 4 levels, write-back tables, 2M pages, INVEPT of one context */
		if ((vmx.ept_vpid & (BIT(6) | BIT(14) | BIT(16) | BIT(20) | BIT(25))) !=
		    (BIT(6) | BIT(14) | BIT(16) | BIT(20) | BIT(25)))
			missing = "a usable form of EPT";
		ept_format.has_1g = vmx.ept_vpid & BIT(17);
		ept_format.large_nx = has_multihit();
		if (!(vmx.ept_vpid & BIT(32)) || !(vmx.ept_vpid & BIT(41)))
			vmx.proc2 &= (uint32_t)~PROC2_VPID; /* INVVPID of one context */
	}
	if (!missing)
		return NULL;
	snprintf(text, sizeof(text), "this CPU's VT-x lacks %s", missing);
	return text;
}

/* ---- loading ---- */

static void vmptrld(struct vcpu *v)
{
	paddr_t pa = virt_to_phys(((struct vmx_vcpu *)v->hw)->vmcs);
	bool bad;

	__asm__ volatile("vmptrld %1" : "=@ccna"(bad) : "m"(pa) : "memory");
	ASSERT(!bad);
}

static void vmclear(struct vcpu *v)
{
	paddr_t pa = virt_to_phys(((struct vmx_vcpu *)v->hw)->vmcs);
	bool bad;

	__asm__ volatile("vmclear %1" : "=@ccna"(bad) : "m"(pa) : "memory");
	ASSERT(!bad);
	((struct vmx_vcpu *)v->hw)->launched = false;
}

void vmcs_begin(struct vcpu *v)
{
	if (!vmx_loaded(v))
		vmptrld(v);
}

void vmcs_end(struct vcpu *v)
{
	if (vmx_loaded(v))
		return;
	vmclear(v);
	if (this_cpu()->hw_vcpu)
		vmptrld(this_cpu()->hw_vcpu);
}

void vmcs_error(enum vmcs_field f)
{
	panic("VMWRITE of field %x failed", f);
}

/* ---- set-up ---- */

/* Four bitmaps of 1 KiB: reads of 0-1fff, of c0000000-c0001fff, and writes of the same (SDM 3C 25.6.9). */
static int make_msr_bitmap(void)
{
	if (!(msr_bitmap = core_alloc(0)))
		return -ENOMEM;
	memset(msr_bitmap, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(native_msrs); i++) {
		unsigned bit = (native_msrs[i] & 0x1fff) + (native_msrs[i] >> 31) * 0x2000;
		bit_clear(msr_bitmap, bit);
		bit_clear(msr_bitmap, bit + 0x4000);
	}
	return 0;
}

static uint16_t vpid_get(void)
{
	for (unsigned i = 1; i < ARRAY_SIZE(vpid_map) * 64; i++) {
		if (!bit_test(vpid_map, i)) {
			bit_set(vpid_map, i);
			return (uint16_t)i;
		}
	}
	return 0;
}

static void init_controls(struct vcpu *v)
{
	struct vmx_vcpu *h = v->hw;

	vmwrite(PIN_CONTROLS, vmx.pin);
	vmwrite(PROC_CONTROLS, h->proc = vmx.proc);
	vmwrite(PROC2_CONTROLS, h->vpid ? vmx.proc2 : vmx.proc2 & ~PROC2_VPID);
	vmwrite(EXIT_CONTROLS, vmx.exit);
	vmwrite(ENTRY_CONTROLS, h->entry = vmx.entry);
	/* #DB and #AC: a guest can make their delivery raise them again, for ever (CVE-2015-8104, -5307). vmx=exceptions takes
	 * all but the software ones, see docs/bochs-smp.md. */
	vmwrite(EXCEPTION_BITMAP, opt.vmx_exceptions ? 0xffffffff & ~(BIT(EXC_BP) | BIT(EXC_OF)) :
						       BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_MC));
	vmwrite(CR3_TARGETS, 0);
	vmwrite(EXIT_MSR_STORES, 0);
	vmwrite(EXIT_MSR_LOADS, 0);
	vmwrite(ENTRY_MSR_LOADS, 0);
	vmwrite(ENTRY_INTR_INFO, 0);
	vmwrite(MSR_BITMAP, virt_to_phys(msr_bitmap));
	vmwrite(EPT_POINTER, h->eptp);
	if (h->vpid)
		vmwrite(VM_VPID, h->vpid);
	if (vmx.proc2 & PROC2_XSAVES)
		vmwrite(XSS_EXIT_BITMAP, ~0ull);
	if (vmx.proc2 & PROC2_PAUSE_LOOP) {
		vmwrite(PLE_GAP, 128);
		vmwrite(PLE_WINDOW, 4096);
	}
	vmwrite(CR0_MASK, CR0_OWNED);
	vmwrite(CR4_MASK, ~guest_cr4_mask() | CR4_MCE);
}

static void init_host(void)
{
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_CS_SEL, CORE_CS);
	vmwrite(HOST_SS_SEL, CORE_DS);
	vmwrite(HOST_DS_SEL, CORE_DS);
	vmwrite(HOST_ES_SEL, CORE_DS);
	vmwrite(HOST_FS_SEL, 0);
	vmwrite(HOST_GS_SEL, 0);
	vmwrite(HOST_TR_SEL, CORE_TSS);
	vmwrite(HOST_FS_BASE, 0);
	vmwrite(HOST_SYSENTER_CS, 0);
	vmwrite(HOST_SYSENTER_ESP, 0);
	vmwrite(HOST_SYSENTER_EIP, 0);
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_RIP, (uintptr_t)vmx_exit_point);
}

void vmcs_host_cpu(struct cpu *c)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __packed idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(HOST_GDTR_BASE, (uintptr_t)c->gdt);
	vmwrite(HOST_TR_BASE, (uintptr_t)c->tss);
	vmwrite(HOST_GS_BASE, (uintptr_t)c);
}

void vmcs_destroy(struct vcpu *v)
{
	struct vmx_vcpu *h = v->hw;

	if (!h)
		return;
	if (h->vpid)
		bit_clear(vpid_map, h->vpid);
	if (h->vmcs)
		core_free(h->vmcs, 0);
	kfree(h);
	v->hw = NULL;
}

int vmcs_create(struct vcpu *v)
{
	struct vmx_vcpu *h = v->hw = kalloc(sizeof(*h));

	if (!h || !(h->vmcs = core_alloc(0)) || (!msr_bitmap && make_msr_bitmap())) {
		vmcs_destroy(v);
		return -ENOMEM;
	}
	*(uint32_t *)h->vmcs = vmx.revision;
	h->cpu = MAX_CPUS;
	h->vpid = vmx.proc2 & PROC2_VPID ? vpid_get() : 0;
	h->eptp = v->domain->p2m.root_pa | 3 << 3 | 6; /* 4 levels, write-back */
	vmclear(v);
	vmcs_begin(v);
	init_controls(v);
	init_host();
	vmwrite(VMCS_LINK, ~0ull);
	vmwrite(GUEST_DEBUGCTL, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(GUEST_RSP, 0);
	vmwrite(GUEST_RIP, 0);
	vmwrite(GUEST_RFLAGS, h->rflags = 2);
	vmcs_end(v);
	return 0;
}

/* ---- control registers ---- */

uint64_t vmx_get_cr0(struct vcpu *v)
{
	return (vmread(GUEST_CR0) & ~CR0_OWNED) | (vmread(CR0_SHADOW) & CR0_OWNED);
}

uint64_t vmx_get_cr4(struct vcpu *v)
{
	return (vmread(GUEST_CR4) & guest_cr4_mask() & ~CR4_MCE) | (vmread(CR4_SHADOW) & CR4_MCE);
}

/* With EPT a VM entry takes the PDPTEs from the VMCS (SDM 3C 27.3.2.4). Reading the guest's memory without the core lock is
 * fine as long as cpu->in_guest is set: what the p2m loses is not reused before this CPU has left guest mode. */
static void load_pdptes(struct vcpu *v)
{
	const uint64_t *p = p2m_ptr(v->domain, vmread(GUEST_CR3) & 0xffffffe0, false);

	for (unsigned i = 0; i < 4; i++) {
		uint64_t e = p ? READ_ONCE(p[i]) : 0;
		/* Reserved bits would make the entry fail: such an entry counts as not present. */
		bool bad = (e & 0x1e6) || e >> (cpuid(0x80000008, 0).a & 0xff);
		vmwrite(GUEST_PDPTE0 + 2 * i, bad ? 0 : e);
	}
}

void vmcs_set_cr0(struct vcpu *v, uint64_t cr0, uint64_t cr4)
{
	struct vmx_vcpu *h = v->hw;
	bool lma = (cr0 & CR0_PG) && (h->efer & EFER_LME);

	vmwrite(GUEST_CR0, (cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET);
	vmwrite(CR0_SHADOW, cr0);
	h->efer = (h->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
	vmwrite(GUEST_EFER, h->efer);
	h->entry = vmx.entry | (lma ? (uint32_t)ENTRY_IA32E : 0);
	vmwrite(ENTRY_CONTROLS, h->entry);
	if ((cr0 & CR0_PG) && (cr4 & CR4_PAE) && !lma)
		load_pdptes(v);
}

/* ---- whole state ---- */

/* The VMCS has LDTR before TR. */
static unsigned hw_seg(unsigned seg)
{
	return 2 * (seg == SEG_TR ? 7 : seg == SEG_LDTR ? 6 : seg);
}

static struct segment read_segment(unsigned seg)
{
	unsigned i = hw_seg(seg);
	uint32_t ar = (uint32_t)vmread(GUEST_ES_AR + i);

	return (struct segment){
		.sel = (uint16_t)vmread(GUEST_ES_SEL + i),
		.attr = (uint16_t)((ar & (ar & AR_UNUSABLE ? 0x7f : 0xff)) | (ar >> 4 & 0xf00)),
		.limit = (uint32_t)vmread(GUEST_ES_LIMIT + i),
		.base = vmread(GUEST_ES_BASE + i),
	};
}

/* Brings harmless differences to what a VM entry accepts: accessed and busy bits, granularity (SDM 3C 27.3.1.2). */
static void write_segment(unsigned seg, struct segment g, bool lma)
{
	unsigned i = hw_seg(seg);
	uint32_t ar = (g.attr & 0xffu) | (g.attr & 0xf00u) << 4;

	if (seg == SEG_TR)
		ar = (ar & ~0xfu) | (lma ? 11 : (ar & 8) | 3);
	else if (seg == SEG_LDTR)
		ar = (ar & ~0xfu) | 2;
	else
		ar |= 1;
	if (!(ar & 0x80))
		ar |= AR_UNUSABLE;
	if (g.limit >> 20) {
		g.limit |= 0xfff;
		ar |= 0x8000;
	} else if ((g.limit & 0xfff) != 0xfff) {
		ar &= ~0x8000u;
	}
	if (seg == SEG_LDTR)
		g.sel &= (uint16_t)~4u;
	vmwrite(GUEST_ES_SEL + i, g.sel);
	vmwrite(GUEST_ES_AR + i, ar);
	vmwrite(GUEST_ES_LIMIT + i, g.limit);
	vmwrite(GUEST_ES_BASE + i, g.base);
}

/* Privilege levels and types that cannot be repaired. */
static bool segments_ok(const struct vcpu_state *s)
{
	const struct segment *cs = &s->seg[SEG_CS], *ss = &s->seg[SEG_SS];
	unsigned cdpl = cs->attr >> 5 & 3, sdpl = ss->attr >> 5 & 3;

	if (!(s->cr0 & CR0_PE) || (cs->attr & 0xf) == 3) {
		if (sdpl || ((cs->attr & 0xf) == 3 && cdpl))
			return false;
	} else if (cs->attr & 4 ? cdpl > sdpl : cdpl != sdpl) {
		return false;
	}
	if ((ss->attr & 0x80) && (ss->attr & 0xa) != 2)
		return false; /* writable data */
	for (unsigned i = 0; i < SEG_TR; i++) {
		if (i != SEG_CS && i != SEG_SS && (s->seg[i].attr & 0x8a) == 0x88)
			return false; /* execute-only code */
	}
	return true;
}

void vmx_load_registers(const struct vmx_vcpu *h)
{
	write_cr2(h->cr2);
	__asm__ volatile("mov %0, %%db6" ::"r"(h->dr6));
	wrmsr(MSR_STAR, h->star);
	wrmsr(MSR_LSTAR, h->lstar);
	wrmsr(MSR_CSTAR, h->cstar);
	wrmsr(MSR_SFMASK, h->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
}

void vmx_save_registers(struct vmx_vcpu *h)
{
	h->cr2 = read_cr2();
	__asm__ volatile("mov %%db6, %0" : "=r"(h->dr6));
	h->star = rdmsr(MSR_STAR);
	h->lstar = rdmsr(MSR_LSTAR);
	h->cstar = rdmsr(MSR_CSTAR);
	h->sfmask = rdmsr(MSR_SFMASK);
	h->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

void vmx_get_state(struct vcpu *v, struct vcpu_state *s)
{
	struct vmx_vcpu *h = v->hw;

	if (vmx_loaded(v))
		vmx_save_registers(h);
	vmcs_begin(v);
	*s = (struct vcpu_state){
		.cr0 = vmx_get_cr0(v), .cr2 = h->cr2, .cr3 = vmread(GUEST_CR3), .cr4 = vmx_get_cr4(v),
		.efer = h->efer, .dr6 = h->dr6, .dr7 = vmread(GUEST_DR7), .pat = vmread(GUEST_PAT),
		.star = h->star, .lstar = h->lstar, .cstar = h->cstar, .sfmask = h->sfmask,
		.kernel_gs_base = h->kernel_gs_base, .sysenter_cs = vmread(GUEST_SYSENTER_CS),
		.sysenter_esp = vmread(GUEST_SYSENTER_ESP), .sysenter_eip = vmread(GUEST_SYSENTER_EIP),
		.gdt_base = vmread(GUEST_GDTR_BASE), .gdt_limit = (uint32_t)vmread(GUEST_GDTR_LIMIT),
		.idt_base = vmread(GUEST_IDTR_BASE), .idt_limit = (uint32_t)vmread(GUEST_IDTR_LIMIT),
	};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = read_segment(i);
	vmcs_end(v);
}

static void set_registers(struct vmx_vcpu *h, const struct vcpu_state *s)
{
	h->cr2 = s->cr2;
	h->dr6 = dr6_clean(s->dr6);
	h->star = s->star;
	h->lstar = s->lstar;
	h->cstar = s->cstar;
	h->sfmask = s->sfmask;
	h->kernel_gs_base = s->kernel_gs_base;
}

int vmx_set_state(struct vcpu *v, const struct vcpu_state *s)
{
	struct vmx_vcpu *h = v->hw;

	if (vcpu_state_check(s) || !segments_ok(s))
		return -EINVAL;
	vmcs_begin(v);
	set_registers(h, s);
	if (vmx_loaded(v))
		vmx_load_registers(h);
	vmwrite(GUEST_CR3, s->cr3);
	vmwrite(GUEST_CR4, s->cr4 | CR4_VMXE | (read_cr4() & CR4_MCE));
	vmwrite(CR4_SHADOW, s->cr4);
	h->efer = s->efer;
	vmcs_set_cr0(v, s->cr0, s->cr4);
	vmwrite(GUEST_DR7, dr7_clean(s->dr7));
	vmwrite(GUEST_PAT, s->pat);
	vmwrite(GUEST_SYSENTER_CS, s->sysenter_cs);
	vmwrite(GUEST_SYSENTER_ESP, s->sysenter_esp);
	vmwrite(GUEST_SYSENTER_EIP, s->sysenter_eip);
	vmwrite(GUEST_GDTR_BASE, s->gdt_base);
	vmwrite(GUEST_GDTR_LIMIT, s->gdt_limit);
	vmwrite(GUEST_IDTR_BASE, s->idt_base);
	vmwrite(GUEST_IDTR_LIMIT, s->idt_limit);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		write_segment(i, s->seg[i], s->efer & EFER_LMA);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	/* What the TLB holds is of other tables. */
	if (vmx_loaded(v) && h->vpid)
		invvpid(h->vpid);
	else if (!vmx_loaded(v))
		h->cpu = MAX_CPUS;
	h->cs_known = h->ss_known = false;
	vmcs_end(v);
	return 0;
}
