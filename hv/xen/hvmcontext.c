// SPDX-License-Identifier: Apache-2.0
/*
 * vCPU state in the toolstack's save records (xen/hvm/save.h, xen/arch-x86/hvm/save.h): what the domain builder reads and
 * writes to start a domain. Records: HEADER, CPU, MTRR, END; others are refused.
 */
#include "asm.h"
#include "cpu_ops.h"
#include "errno.h"
#include "fpu.h"
#include "frame.h"
#include "guest.h"
#include "sched.h"
#include "toolstack.h"

#include <xen/hvm/save.h>

_Static_assert(HVM_SAVE_LENGTH(HEADER) == 24 && HVM_SAVE_LENGTH(CPU) == 1032 && HVM_SAVE_LENGTH(MTRR) == 240,
	       "save records of the ABI");

/* ---- out ---- */

static void save_header(HVM_SAVE_TYPE(HEADER) *h)
{
	*h = (HVM_SAVE_TYPE(HEADER)){
		.magic = HVM_FILE_MAGIC,
		.version = HVM_FILE_VERSION,
		.changeset = ~0ull,
		.cpuid = cpuid(1, 0).a,
		.gtsc_khz = (uint32_t)tsc_khz,
	};
}

#define SEGMENTS(X) X(cs, CS) X(ds, DS) X(es, ES) X(fs, FS) X(gs, GS) X(ss, SS) X(tr, TR) X(ldtr, LDTR)
#define GPRS(X)                                                                                                        \
	X(rax, RAX) X(rbx, RBX) X(rcx, RCX) X(rdx, RDX) X(rbp, RBP) X(rsi, RSI) X(rdi, RDI) X(rsp, RSP)               \
	X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)
/* Field of the record, field of struct vcpu_state. */
#define STATE(X)                                                                                                       \
	X(cr0, cr0) X(cr2, cr2) X(cr3, cr3) X(cr4, cr4) X(dr6, dr6) X(dr7, dr7) X(idtr_base, idt_base)                \
	X(idtr_limit, idt_limit) X(gdtr_base, gdt_base) X(gdtr_limit, gdt_limit) X(sysenter_cs, sysenter_cs)          \
	X(sysenter_esp, sysenter_esp) X(sysenter_eip, sysenter_eip) X(shadow_gs, kernel_gs_base)                      \
	X(msr_lstar, lstar) X(msr_star, star) X(msr_cstar, cstar) X(msr_syscall_mask, sfmask) X(msr_efer, efer)

static void save_cpu(struct vcpu *v, HVM_SAVE_TYPE(CPU) *c)
{
	struct vcpu_state s;

	vcpu_sync(v);
	cpu_ops->get_state(v, &s);
	memset(c, 0, sizeof(*c));
	fpu_get_image(v, c->fpu_regs);
	c->flags = XEN_X86_FPU_INITIALISED;
#define X(field, reg) c->field = v->regs.gpr[reg];
	GPRS(X)
#undef X
#define X(field, name) c->field = s.name;
	STATE(X)
#undef X
#define X(p, name)                                                                                                     \
	c->p##_sel = s.seg[SEG_##name].sel;                                                                            \
	c->p##_limit = s.seg[SEG_##name].limit;                                                                        \
	c->p##_base = s.seg[SEG_##name].base;                                                                          \
	c->p##_arbytes = s.seg[SEG_##name].attr;
	SEGMENTS(X)
#undef X
	c->rip = v->regs.rip;
	c->rflags = v->regs.rflags;
	c->dr0 = v->dr[0];
	c->dr1 = v->dr[1];
	c->dr2 = v->dr[2];
	c->dr3 = v->dr[3];
	c->msr_tsc_aux = v->tsc_aux;
	c->tsc = rdtsc() + (uint64_t)v->domain->tsc_offset;
}

/* Only a default type exists (cpu/policy.c). */
static void save_mtrr(struct vcpu *v, HVM_SAVE_TYPE(MTRR) *m)
{
	struct vcpu_state s;

	vcpu_sync(v);
	cpu_ops->get_state(v, &s);
	*m = (HVM_SAVE_TYPE(MTRR)){ .msr_pat_cr = s.pat };
	policy_rdmsr(v, MSR_MTRRCAP, &m->msr_mtrr_cap);
	policy_rdmsr(v, MSR_MTRR_DEF_TYPE, &m->msr_mtrr_def_type);
}

/* A record's body by type and vCPU into a buffer of RECORD_MAX bytes: its length, or -ENOENT. */
#define RECORD_MAX HVM_SAVE_LENGTH(CPU)
static int save_record(struct domain *d, uint32_t type, uint32_t instance, void *body)
{
	struct vcpu *v = domain_vcpu(d, instance);

	if (type == HVM_SAVE_CODE(HEADER)) {
		save_header(body);
		return HVM_SAVE_LENGTH(HEADER);
	}
	if (!v)
		return -ENOENT;
	if (type == HVM_SAVE_CODE(CPU)) {
		save_cpu(v, body);
		return HVM_SAVE_LENGTH(CPU);
	}
	if (type == HVM_SAVE_CODE(MTRR)) {
		save_mtrr(v, body);
		return HVM_SAVE_LENGTH(MTRR);
	}
	return -ENOENT;
}

struct out {
	gva_t at;
	uint32_t left;
};

static int put_record(struct out *o, struct domain *d, uint16_t type, uint16_t instance)
{
	struct {
		struct hvm_save_descriptor desc;
		uint8_t body[RECORD_MAX];
	} r;
	int n = type == HVM_SAVE_CODE(END) ? 0 : save_record(d, type, instance, r.body);
	uint32_t size = (uint32_t)(sizeof(r.desc) + (size_t)MAX(n, 0));

	if (n == -ENOENT)
		return 0; /* a vCPU that is not there */
	r.desc = (struct hvm_save_descriptor){ type, instance, (uint32_t)n };
	if (size > o->left)
		return -ENOSPC;
	if (copy_to_guest(o->at, &r, size))
		return -EFAULT;
	o->at += size;
	o->left -= size;
	return 0;
}

static uint32_t context_size(struct domain *d)
{
	size_t per_vcpu = HVM_SAVE_LENGTH(CPU) + HVM_SAVE_LENGTH(MTRR) + 2 * sizeof(struct hvm_save_descriptor);

	return (uint32_t)(HVM_SAVE_LENGTH(HEADER) + 2 * sizeof(struct hvm_save_descriptor) + d->max_vcpus * per_vcpu);
}

int hvmcontext_get(struct domain *d, struct xen_domctl_hvmcontext *c)
{
	struct out o = { .at = (gva_t)c->buffer.p, .left = c->size };
	uint32_t size = context_size(d);
	int rc;

	if (!c->buffer.p) {
		c->size = size;
		return 0;
	}
	if (c->size < size)
		return -ENOSPC;
	domain_pause(d);
	rc = put_record(&o, d, HVM_SAVE_CODE(HEADER), 0);
	for (uint16_t i = 0; i < d->max_vcpus && !rc; i++)
		rc = put_record(&o, d, HVM_SAVE_CODE(CPU), i);
	for (uint16_t i = 0; i < d->max_vcpus && !rc; i++)
		rc = put_record(&o, d, HVM_SAVE_CODE(MTRR), i);
	if (!rc)
		rc = put_record(&o, d, HVM_SAVE_CODE(END), 0);
	domain_unpause(d);
	c->size -= o.left;
	return rc;
}

int hvmcontext_get_partial(struct domain *d, struct xen_domctl_hvmcontext_partial *c)
{
	uint8_t body[RECORD_MAX];
	int n;

	domain_pause(d);
	n = save_record(d, c->type, c->instance, body);
	domain_unpause(d);
	if (n < 0)
		return n;
	if (c->buffer.p && c->bufsz < (uint32_t)n)
		return -ENOSPC;
	if (c->buffer.p && copy_to_guest((gva_t)c->buffer.p, body, (size_t)n))
		return -EFAULT;
	c->bufsz = (uint32_t)n;
	return 0;
}

/* ---- in ---- */

static int load_header(const HVM_SAVE_TYPE(HEADER) *h)
{
	return h->magic == HVM_FILE_MAGIC && h->version == HVM_FILE_VERSION ? 0 : -EINVAL;
}

/* The vCPU runs afterwards (once its domain does); the others wait for their start-up IPI. */
static int load_cpu(struct vcpu *v, const HVM_SAVE_TYPE(CPU) *c)
{
	struct vcpu_state s;
	int rc;

	cpu_ops->get_state(v, &s);
#define X(field, name) s.name = c->field;
	STATE(X)
#undef X
#define X(p, name)                                                                                                     \
	s.seg[SEG_##name] = (struct segment){ .sel = (uint16_t)c->p##_sel, .attr = (uint16_t)(c->p##_arbytes & 0xfff), \
					      .limit = c->p##_limit, .base = c->p##_base };
	SEGMENTS(X)
#undef X
	rc = cpu_ops->set_state(v, &s);
	if (rc)
		return rc;
#define X(field, reg) v->regs.gpr[reg] = c->field;
	GPRS(X)
#undef X
	v->resets++;
	v->regs.rip = c->rip;
	v->regs.rflags = c->rflags | 2;
	v->exc_pending = 0;
	v->dr[0] = c->dr0;
	v->dr[1] = c->dr1;
	v->dr[2] = c->dr2;
	v->dr[3] = c->dr3;
	v->tsc_aux = (uint32_t)c->msr_tsc_aux;
	if (c->flags & XEN_X86_FPU_INITIALISED)
		fpu_set_image(v, c->fpu_regs);
	sched_start(v, VCPU_DOWN);
	return 0;
}

static int load_mtrr(struct vcpu *v, const HVM_SAVE_TYPE(MTRR) *m)
{
	struct vcpu_state s;

	cpu_ops->get_state(v, &s);
	s.pat = m->msr_pat_cr;
	return cpu_ops->set_state(v, &s);
}

static int load_record(struct domain *d, const struct hvm_save_descriptor *r, const void *body)
{
	struct vcpu *v = domain_vcpu(d, r->instance);

	if (r->typecode == HVM_SAVE_CODE(HEADER) && r->length == HVM_SAVE_LENGTH(HEADER))
		return load_header(body);
	if (!v)
		return -EINVAL;
	if (r->typecode == HVM_SAVE_CODE(CPU) && r->length == HVM_SAVE_LENGTH(CPU))
		return load_cpu(v, body);
	if (r->typecode == HVM_SAVE_CODE(MTRR) && r->length == HVM_SAVE_LENGTH(MTRR))
		return load_mtrr(v, body);
	return -EINVAL;
}

/* The header must come first, END last. */
static int load_all(struct domain *d, gva_t at, uint32_t left)
{
	struct hvm_save_descriptor r;
	uint8_t body[RECORD_MAX] __aligned(8);
	bool first = true;
	int rc;

	for (;;) {
		if (left < sizeof(r))
			return -ENODATA;
		if (copy_from_guest(&r, at, sizeof(r)))
			return -EFAULT;
		at += sizeof(r);
		left -= (uint32_t)sizeof(r);
		if (first != (r.typecode == HVM_SAVE_CODE(HEADER)))
			return -EINVAL;
		if (r.typecode == HVM_SAVE_CODE(END))
			return 0;
		if (r.length > sizeof(body) || r.length > left)
			return -EINVAL;
		if (copy_from_guest(body, at, r.length))
			return -EFAULT;
		at += r.length;
		left -= r.length;
		rc = load_record(d, &r, body);
		if (rc)
			return rc;
		first = false;
	}
}

int hvmcontext_set(struct domain *d, const struct xen_domctl_hvmcontext *c)
{
	int rc;

	/* Far more than every vCPU's records: bounds the time that one call takes. */
	if (c->size > 2 * context_size(d) + PAGE_SIZE)
		return -EINVAL;
	domain_pause(d);
	for_each_vcpu(d, v) {
		sched_stop(v, VCPU_DOWN);
		vcpu_sync(v);
	}
	rc = load_all(d, (gva_t)c->buffer.p, c->size);
	domain_unpause(d);
	return rc;
}

/* ---- struct vcpu_guest_context: libxc changes the result of a hypercall there ---- */

int vcpu_context_get(struct vcpu *v, gva_t to)
{
	struct vcpu_guest_context *c = kalloc(sizeof(*c));
	struct vcpu_state s;
	int err;

	if (!c)
		return -ENOMEM;
	vcpu_sync(v);
	cpu_ops->get_state(v, &s);
#define X(field, reg) c->user_regs.field = v->regs.gpr[reg];
	GPRS(X)
#undef X
	c->user_regs.rip = v->regs.rip;
	c->user_regs.rflags = v->regs.rflags;
	c->user_regs.cs = s.seg[SEG_CS].sel;
	c->user_regs.ss = s.seg[SEG_SS].sel;
	c->flags = v->stopped & VCPU_DOWN ? 0 : VGCF_online;
	c->ctrlreg[0] = s.cr0;
	c->ctrlreg[2] = s.cr2;
	c->ctrlreg[3] = s.cr3;
	c->ctrlreg[4] = s.cr4;
	err = copy_to_guest(to, c, sizeof(*c));
	kfree(c);
	return err;
}

int vcpu_context_set(struct vcpu *v, gva_t from)
{
	struct cpu_user_regs r;

	if (vcpu_runnable(v) || v->running)
		return -EBUSY;
	if (copy_from_guest(&r, from + offsetof(struct vcpu_guest_context, user_regs), sizeof(r)))
		return -EFAULT;
#define X(field, reg) v->regs.gpr[reg] = r.field;
	GPRS(X)
#undef X
	v->regs.rip = r.rip;
	v->regs.rflags = r.rflags | 2;
	return 0;
}
