// SPDX-License-Identifier: Apache-2.0
/* What the core does when a guest exits. One switch: a handled exit returns, every failure ends in crash(). */
#include "asm.h"
#include "cpu_ops.h"
#include "exit.h"
#include "fpu.h"
#include "guest.h"
#include "mmio.h"
#include "sched.h"
#include "vcpu.h"
#include "vstate.h"

#include <xen/sched.h>

#define MSR_HYPERCALL_PAGE 0x40000000

void vcpu_skip(struct vcpu *v, unsigned len)
{
	uint64_t rip = v->regs.rip + len;

	/* Outside 64-bit code RIP wraps at 4 GiB; nowhere else does it matter what code it is. */
	if (unlikely((rip ^ v->regs.rip) >> 32) && cpu_ops->code_bits(v) != 64)
		rip = (uint32_t)rip;
	v->regs.rip = rip;
	cpu_ops->clear_shadow(v);
}

/* Skips the instruction that exited; #UD when its length cannot be found (the guest changed its code meanwhile). */
static bool skip(struct vcpu *v, struct exit *e)
{
	unsigned len = e->insn_len ? e->insn_len : insn_length(v, e->reason);

	if (!len) {
		inject_exception(v, EXC_UD, -1);
		return false;
	}
	vcpu_skip(v, len);
	return true;
}

/* Contributory exceptions, SDM 3A 6.15 (interrupt 8) table 6-5. */
static bool contributory(uint8_t vector)
{
	return vector == 0 || (vector >= 10 && vector <= 13);
}

void inject_exception(struct vcpu *v, uint8_t vector, int32_t code)
{
	if (v->exc_pending) {
		uint8_t first = v->exc_vector;

		if (first == EXC_DF) {
			v->exc_pending = 0;
			domain_crash(v, "triple fault while delivering exception %u", vector);
			return;
		}
		if ((contributory(first) && contributory(vector)) ||
		    (first == EXC_PF && (contributory(vector) || vector == EXC_PF))) {
			vector = EXC_DF;
			code = 0;
		}
	}
	v->exc_pending = 1;
	v->exc_vector = vector;
	v->exc_has_code = code >= 0;
	v->exc_code = code >= 0 ? (uint32_t)code : 0;
}

void inject_page_fault(struct vcpu *v, uint32_t code, gva_t addr)
{
	v->exc_cr2 = addr;
	inject_exception(v, EXC_PF, (int32_t)code);
}

static void handle_cpuid(struct vcpu *v, struct exit *e)
{
	uint64_t *g = v->regs.gpr;
	uint32_t out[4];

	if (!skip(v, e))
		return;
	policy_cpuid(v, (uint32_t)g[RAX], (uint32_t)g[RCX], out);
	g[RAX] = out[0];
	g[RBX] = out[1];
	g[RCX] = out[2];
	g[RDX] = out[3];
}

static void handle_rdmsr(struct vcpu *v, struct exit *e)
{
	uint32_t msr = (uint32_t)v->regs.gpr[RCX];
	uint64_t val = 0;
	int rc = vlapic_rdmsr(v, msr, &val);

	if (rc == -ENOENT)
		rc = cpu_ops->rdmsr(v, msr, &val);
	if (rc == -ENOENT)
		rc = policy_rdmsr(v, msr, &val);
	if (rc) {
		inject_exception(v, EXC_GP, 0);
		return;
	}
	if (skip(v, e)) {
		v->regs.gpr[RAX] = (uint32_t)val;
		v->regs.gpr[RDX] = val >> 32;
	}
}

static void handle_wrmsr(struct vcpu *v, struct exit *e)
{
	uint32_t msr = (uint32_t)v->regs.gpr[RCX];
	uint64_t val = (uint32_t)v->regs.gpr[RAX] | v->regs.gpr[RDX] << 32;
	int rc = vlapic_wrmsr(v, msr, val);

	if (rc == -ENOENT)
		rc = cpu_ops->wrmsr(v, msr, val);
	if (rc == -ENOENT && msr == MSR_HYPERCALL_PAGE)
		rc = hypercall_page_write(v, val);
	else if (rc == -ENOENT)
		rc = policy_wrmsr(v, msr, val);
	if (rc)
		inject_exception(v, EXC_GP, 0);
	else
		skip(v, e);
}

/* HLT with interrupts off can only be ended by NMI or INIT: the vCPU is down. All down: the domain has powered off. */
static void halt_for_good(struct vcpu *v)
{
	struct domain *d = v->domain;

	sched_stop(v, VCPU_DOWN);
	for_each_vcpu(d, o)
		if (!(o->stopped & VCPU_DOWN))
			return;
	domain_shutdown(d, SHUTDOWN_poweroff);
}

static void handle_hlt(struct vcpu *v, struct exit *e)
{
	bool interruptible = v->regs.rflags & BIT(9);

	if (!skip(v, e) || (interruptible ? vcpu_has_event(v) : v->nmi_pending))
		return;
	if (interruptible)
		sched_stop(v, VCPU_BLOCKED);
	else
		halt_for_good(v);
}

static void handle_xsetbv(struct vcpu *v, struct exit *e)
{
	uint64_t val = (uint32_t)v->regs.gpr[RAX] | v->regs.gpr[RDX] << 32;

	if (cpu_ops->get_cpl(v) || (uint32_t)v->regs.gpr[RCX] || fpu_set_xcr0(v, val))
		inject_exception(v, EXC_GP, 0);
	else
		skip(v, e);
}

static void handle_triple_fault(struct vcpu *v)
{
	uint64_t reason = v->domain->hvm_params[HVM_PARAM_TRIPLE_FAULT_REASON];

	printk(LOG_WARN "d%uv%u: triple fault at rip %lx", v->domain->id, v->id, v->regs.rip);
	domain_shutdown(v->domain, reason <= SHUTDOWN_MAX ? (int)reason : SHUTDOWN_crash);
}

bool exit_fast(struct vcpu *v, struct exit *e)
{
	if (e->reason == EXIT_CPUID) {
		handle_cpuid(v, e);
		return !v->exc_pending;
	}
	return false;
}

void exit_handle(struct vcpu *v, struct exit *e)
{
	switch (e->reason) {
	case EXIT_NONE:
	case EXIT_INTERRUPT:
	case EXIT_NMI:
	case EXIT_IRQ_WINDOW:
	case EXIT_CPUID: /* exit_fast did it, and left an exception */
		return;
	case EXIT_HYPERCALL:
		hypercall_exit(v, e);
		return;
	case EXIT_RDMSR:
		handle_rdmsr(v, e);
		return;
	case EXIT_WRMSR:
		handle_wrmsr(v, e);
		return;
	case EXIT_IO:
		io_exit(v, e);
		return;
	case EXIT_PAGE_FAULT:
		mmio_fault(v, e);
		return;
	case EXIT_HLT:
		handle_hlt(v, e);
		return;
	case EXIT_PAUSE:
		if (skip(v, e))
			sched_yield(v);
		return;
	case EXIT_XSETBV:
		handle_xsetbv(v, e);
		return;
	case EXIT_INVD:
		skip(v, e);
		return;
	case EXIT_UNDEFINED:
		inject_exception(v, e->inject_gp ? EXC_GP : EXC_UD, e->inject_gp ? 0 : -1);
		return;
	case EXIT_EXCEPTION:
		if (e->exc.vector == EXC_PF)
			inject_page_fault(v, e->exc.code, e->exc.addr);
		else
			inject_exception(v, e->exc.vector, e->exc.has_code ? (int32_t)e->exc.code : -1);
		return;
	case EXIT_TRIPLE_FAULT:
		handle_triple_fault(v);
		return;
	case EXIT_BAD_STATE:
		domain_crash(v, "the CPU refused its state (%lx %lx %lx)", e->hw_reason, e->hw1, e->hw2);
		return;
	default:
		domain_crash(v, "unexpected exit %lx (%lx %lx)", e->hw_reason, e->hw1, e->hw2);
	}
}

void vcpu_reset_state(struct vcpu *v)
{
	struct vcpu_state s = {
		.cr0 = CR0_ET | CR0_NW | CR0_CD, .dr6 = DR6_FIXED, .dr7 = DR7_FIXED, .pat = 0x0007040600070406,
		.gdt_limit = 0xffff, .idt_limit = 0xffff,
	};

	/* SDM 3A table 10-1: state after INIT. */
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s.seg[i] = (struct segment){ .limit = 0xffff, .attr = 0x93 };
	s.seg[SEG_CS] = (struct segment){ .sel = 0xf000, .base = 0xffff0000, .limit = 0xffff, .attr = 0x9b };
	s.seg[SEG_LDTR].attr = 0x82;
	s.seg[SEG_TR].attr = 0x8b;
	v->resets++;
	v->regs = (struct regs){ .rip = 0xfff0, .rflags = 2 };
	v->exc_pending = 0;
	v->nmi_pending = false;
	if (cpu_ops->set_state(v, &s))
		domain_crash(v, "INIT state refused");
}

void vcpu_start_real(struct vcpu *v, uint32_t at)
{
	struct vcpu_state s;

	cpu_ops->get_state(v, &s);
	s.seg[SEG_CS] = (struct segment){ .sel = (uint16_t)(at >> 4), .base = at & ~15u, .limit = 0xffff, .attr = 0x9b };
	v->regs.rip = at & 15;
	if (cpu_ops->set_state(v, &s)) {
		domain_crash(v, "real mode state refused");
		return;
	}
	sched_start(v, VCPU_DOWN);
}
