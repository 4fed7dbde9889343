/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_CPU_OPS_H
#define CARREL_CPU_OPS_H

#include "p2m.h"
#include "types.h"
#include "vcpu.h"

/* One of two back ends, cpu/svm.c or cpu/vmx.c. Above this line nobody knows which. */

enum exit_reason {
	EXIT_NONE = 0,    /* back end handled it, or entry was cut short: just go round */
	EXIT_INTERRUPT,   /* host interrupt; already recorded in cpu->irq_pending or taken */
	EXIT_NMI,         /* host NMI, already handled */
	EXIT_CPUID,
	EXIT_RDMSR,       /* ecx */
	EXIT_WRMSR,
	EXIT_IO,
	EXIT_PAGE_FAULT,  /* in the p2m (NPF / EPT violation) */
	EXIT_HYPERCALL,   /* vmmcall / vmcall */
	EXIT_HLT,
	EXIT_PAUSE,
	EXIT_XSETBV,
	EXIT_IRQ_WINDOW,
	EXIT_TRIPLE_FAULT,
	EXIT_INVD,        /* INVD, WBINVD: skip */
	EXIT_UNDEFINED,   /* an intercepted instruction the guest must not have (VMRUN, VMXON, MONITOR, RDPMC...): #UD or #GP */
	EXIT_EXCEPTION,   /* intercepted exception: #MC, #AC, #DB loops */
	EXIT_BAD_STATE,   /* entry failed: hw1/hw2 say why */
	EXIT_UNKNOWN,
	EXIT_REASONS
};

struct exit {
	enum exit_reason reason;
	uint8_t insn_len; /* of the instruction that exited; 0 when the CPU does not tell (then insn_length() works it out) */
	bool irq_taken;   /* the vector of v->irq_offered was delivered to the guest during this run */
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in, string, rep;
		} io;
		struct {
			gpa_t gpa;
			bool write, exec;
		} pf;
		struct {
			uint8_t vector;
			bool has_code;
			uint32_t code;
			gva_t addr; /* #PF */
		} exc;
		uint64_t inject_gp; /* EXIT_UNDEFINED: nonzero wants #GP(0) */
	};
	uint64_t hw_reason, hw1, hw2; /* raw, for the log */
};

/* How p2m.c writes table entries for this CPU: NPT (APM 2 15.25) or EPT (SDM 3C 29.3). */
struct p2m_format {
	uint64_t (*leaf)(mfn_t mfn, unsigned level, enum p2m_type t); /* level 0=4K 1=2M 2=1G; type kept in ignored bits */
	uint64_t (*table)(mfn_t mfn);
	bool has_1g;
	bool large_nx; /* large leaves are not executable: mmio_fault has them split where code runs */
};

struct cpu_ops {
	const char *name; /* "SVM", "VT-x" */
	const struct p2m_format *p2m;
	bool cr4_free; /* the guest writes CR4 without an exit, bits that check_control_regs refuses too */
	/* NULL when this CPU can run guests; else what is missing and what to do about it, one line. */
	const char *(*probe)(void);
	int (*cpu_up)(struct cpu *c);      /* EFER.SVME + host save area, or VMXON */
	void (*cpu_down)(void);            /* before reboot and power off */
	int (*vcpu_init)(struct vcpu *v);  /* allocates v->hw; vcpu_reset_state() comes next */
	void (*vcpu_free)(struct vcpu *v);
	void (*vcpu_load)(struct vcpu *v); /* v becomes current on this CPU: VMPTRLD, MSRs, XSAVE, DRs; IBPB if the domain changed */
	void (*vcpu_save)(struct vcpu *v); /* before it may run elsewhere: VMCLEAR, MSRs, XSAVE, DRs */
	/* Enters the guest once. Interrupts are off, core lock not held, v loaded. Injects v->exc_pending, v->nmi_pending, and
	 * v->irq_offered when the guest can take it (asks for a window otherwise). Flushes the guest's TLB when v->p2m_gen is old.
	 * Returns with regs valid and *e filled. Re-injects by itself what an exit interrupted. */
	void (*run)(struct vcpu *v, struct exit *e);
	void (*get_state)(struct vcpu *v, struct vcpu_state *s);       /* v loaded here, or not running anywhere */
	int (*set_state)(struct vcpu *v, const struct vcpu_state *s);  /* -EINVAL when the CPU would refuse it */
	uint64_t (*get_cr3)(struct vcpu *v); /* this and all below: v loaded on this CPU; cheap */
	uint64_t (*get_cr0)(struct vcpu *v);
	uint64_t (*get_cr4)(struct vcpu *v);
	uint64_t (*get_efer)(struct vcpu *v);
	unsigned (*get_cpl)(struct vcpu *v);
	int (*code_bits)(struct vcpu *v);    /* 16, 32, 64: from CS and EFER */
	uint64_t (*seg_base)(struct vcpu *v, unsigned seg);
	/* MSRs the back end holds for the guest and that exit (EFER, PAT, DEBUGCTL): 0, or -ENOENT not mine, -EINVAL #GP. */
	int (*rdmsr)(struct vcpu *v, uint32_t msr, uint64_t *val);
	int (*wrmsr)(struct vcpu *v, uint32_t msr, uint64_t val);
	void (*clear_shadow)(struct vcpu *v); /* after skipping an instruction: no interrupt shadow */
};

extern const struct cpu_ops *cpu_ops;
extern const struct cpu_ops svm_ops, vmx_ops;

/* Picks the back end for this machine; refuse()s with a clear line when there is none. */
void cpu_ops_init(void);

/* cpu/exit.c */
void exit_handle(struct vcpu *v, struct exit *e);   /* v is current. Core lock */
void inject_exception(struct vcpu *v, uint8_t vector, int32_t code); /* code < 0: none. #DF/triple rules applied */
void inject_page_fault(struct vcpu *v, uint32_t code, gva_t addr);
void vcpu_skip(struct vcpu *v, unsigned len);       /* advances rip, clears the shadow */
void vcpu_reset_state(struct vcpu *v);              /* architectural INIT state */
void vcpu_start_real(struct vcpu *v, uint32_t at);  /* after INIT, in real mode, below 1 MiB: SIPI, ACPI waking vector */

/* cpu/policy.c: CPUID and MSR allow-lists. */
void policy_init_host(void);
int policy_init_domain(struct domain *d);           /* d->policy from the host's allow-list */
void policy_free_domain(struct domain *d);
void policy_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4]);
int policy_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val); /* 0, or -EINVAL: #GP */
int policy_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);
/* For sysctl/domctl cpu policy calls, leaves in xen_cpuid_leaf_t form. index: XEN_SYSCTL_cpu_policy_*. */
struct xen_cpuid_leaf;
struct xen_msr_entry;
unsigned policy_host_leaves(unsigned index, struct xen_cpuid_leaf *out, unsigned max); /* returns how many there are */
unsigned policy_domain_leaves(struct domain *d, struct xen_cpuid_leaf *out, unsigned max);
unsigned policy_host_msrs(unsigned index, struct xen_msr_entry *out, unsigned max);
/* Takes what the toolstack wants, cut down to what the host policy allows. -EINVAL with the leaf in *bad. */
int policy_set_leaves(struct domain *d, const struct xen_cpuid_leaf *in, unsigned n, uint32_t bad[2]);
/* Width of d's physical addresses in bits. */
unsigned policy_phys_bits(const struct domain *d);
/* 32-bit words for XEN_SYSCTL_get_cpu_featureset. */
unsigned policy_featureset(unsigned index, uint32_t *out, unsigned max);

/* cpu/decode.c: the few instruction forms that drivers use. Portable: unit-tested and fuzzed on the host. */
struct insn {
	uint8_t len;
	uint8_t size;      /* operand bytes 1,2,4,8 */
	uint8_t reg;       /* register number, 0-15 */
	bool high_byte;    /* reg is AH/CH/DH/BH (no REX) */
	bool write;        /* to memory */
	bool has_imm;
	bool reg_first;    /* CMP: register minus memory, not memory minus register */
	bool rep;          /* STOS, MOVS */
	uint8_t addr_size; /* 2, 4, 8 */
	uint8_t seg;       /* MOVS: source segment, SEG_* */
	bool zero_ext, sign_ext; /* MOVZX/MOVSX/MOVSXD: dst_size is the register's */
	uint8_t dst_size;
	enum { INSN_OTHER, INSN_MOV, INSN_OR, INSN_AND, INSN_XOR, INSN_CMP, INSN_TEST, INSN_STOS, INSN_MOVS } op;
	uint64_t imm;      /* sign-extended to the operand size */
};
/* Decodes at most n bytes for 16/32/64-bit code. 0, or -EINVAL not a known form (len is still set when the length could be
 * worked out), -E2BIG more bytes are needed. */
int insn_decode(const uint8_t *code, unsigned n, int bits, struct insn *out);
/* Length of the exiting instruction when the CPU does not say, for the reasons where it is known (cpuid, msr, vmmcall, hlt,
 * in/out, xsetbv, invd...): looks at the bytes at rip for prefixes. 0 when they cannot be read. */
unsigned insn_length(struct vcpu *v, enum exit_reason r);
/* Its portable half: the length of the instruction at code if it is one that exits for r, else 0. */
unsigned insn_known_length(const uint8_t *code, unsigned n, int bits, enum exit_reason r);

#endif
