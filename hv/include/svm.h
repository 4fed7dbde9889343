/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_SVM_H
#define CARREL_SVM_H

#include "cpu_ops.h"
#include "types.h"
#include "vcpu.h"

/* The VMCB (APM 2 appendix B). Only cpu/svm.c looks inside. struct segment has the VMCB's form on purpose. */
struct vmcb {
	/* control area */
	uint32_t intercept_cr, intercept_dr, intercept_exc, intercept1, intercept2, intercept3;
	uint8_t rsvd0[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm, msrpm;
	int64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, rsvd1[3];
	uint64_t int_ctl;
	uint64_t int_shadow;
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t np_enable;
	uint64_t avic_bar, ghcb;
	uint64_t event_inj;
	uint64_t ncr3;
	uint64_t lbr_ctl;
	uint32_t clean, rsvd2;
	uint64_t next_rip;
	uint8_t rsvd3[0x400 - 0xd0];
	/* state save area */
	struct segment seg[6]; /* es cs ss ds fs gs, as SEG_* */
	struct segment gdtr, ldtr, idtr, tr;
	uint8_t rsvd4[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t rsvd5;
	uint64_t efer;
	uint8_t rsvd6[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t rsvd7[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t rsvd8[0x5f8 - 0x5e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t rsvd9[0x668 - 0x648];
	uint64_t g_pat, debugctl;
	uint8_t rsvd10[0x1000 - 0x678];
};
#define VMCB_AT(field, off) _Static_assert(offsetof(struct vmcb, field) == (off), "APM 2 appendix B")
_Static_assert(sizeof(struct vmcb) == 4096 && sizeof(struct segment) == 16, "APM 2 appendix B");
VMCB_AT(pause_threshold, 0x3c);
VMCB_AT(iopm, 0x40);
VMCB_AT(asid, 0x58);
VMCB_AT(int_ctl, 0x60);
VMCB_AT(exit_code, 0x70);
VMCB_AT(np_enable, 0x90);
VMCB_AT(event_inj, 0xa8);
VMCB_AT(clean, 0xc0);
VMCB_AT(next_rip, 0xc8);
VMCB_AT(seg, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);

/* intercept1 */
#define SVM_I1_INTR     BIT(0)
#define SVM_I1_NMI      BIT(1)
#define SVM_I1_RDPMC    BIT(15)
#define SVM_I1_CPUID    BIT(18)
#define SVM_I1_IRET     BIT(20)
#define SVM_I1_INVD     BIT(22)
#define SVM_I1_PAUSE    BIT(23)
#define SVM_I1_HLT      BIT(24)
#define SVM_I1_INVLPGA  BIT(26)
#define SVM_I1_IOIO     BIT(27)
#define SVM_I1_MSR      BIT(28)
#define SVM_I1_SHUTDOWN BIT(31)
/* intercept2 */
#define SVM_I2_VMRUN      BIT(0)
#define SVM_I2_VMMCALL    BIT(1)
#define SVM_I2_VMLOAD     BIT(2)
#define SVM_I2_VMSAVE     BIT(3)
#define SVM_I2_STGI       BIT(4)
#define SVM_I2_CLGI       BIT(5)
#define SVM_I2_SKINIT     BIT(6)
#define SVM_I2_WBINVD     BIT(9)
#define SVM_I2_MONITOR    BIT(10)
#define SVM_I2_MWAIT      BIT(11)
#define SVM_I2_MWAIT_COND BIT(12)
#define SVM_I2_XSETBV     BIT(13)
#define SVM_I2_RDPRU      BIT(14)
/* intercept3 */
#define SVM_I3_INVLPGB  BIT(0)
#define SVM_I3_MCOMMIT  BIT(3)
#define SVM_I3_TLBSYNC  BIT(4)
/* int_ctl */
#define SVM_V_TPR          0xfull
#define SVM_V_IRQ          BIT(8)
#define SVM_V_IGN_TPR      BIT(20)
#define SVM_V_INTR_MASKING BIT(24)
#define SVM_V_VECTOR(v)    ((uint64_t)(v) << 32)
/* event_inj and exit_int_info (APM 2 15.20) */
#define SVM_EVENT_TYPE(e) ((e) >> 8 & 7)
#define SVM_EVENT_INTR    0
#define SVM_EVENT_NMI     2
#define SVM_EVENT_EXC     3
#define SVM_EVENT_CODE    BIT(11)
#define SVM_EVENT_VALID   BIT(31)
/* clean */
#define SVM_CLEAN_INTERCEPTS (1u << 0)
#define SVM_CLEAN_ASID       (1u << 2)
#define SVM_CLEAN_INT        (1u << 3)
#define SVM_CLEAN_NP         (1u << 4)
#define SVM_CLEAN_CR         (1u << 5)
#define SVM_CLEAN_CR2        (1u << 9)
#define SVM_CLEAN_ALL        0x7ffu
#define SVM_TLB_FLUSH_ALL    1

/* Exit codes (APM 2 appendix C). */
enum {
	SVM_EXIT_EXC0 = 0x40,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_PAUSE = 0x77,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT_COND = 0x8c,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_RDPRU = 0x8e,
	SVM_EXIT_INVLPGB = 0xa0,
	SVM_EXIT_TLBSYNC = 0xa4,
	SVM_EXIT_NPF = 0x400,
};

#define MSR_VM_CR       0xc0010114
#define VM_CR_SVMDIS    BIT(4)
#define MSR_VM_HSAVE_PA 0xc0010117

/* mm/p2m_format.c; has_1g is filled in by the back end's probe. */
extern struct p2m_format npt_format;

/* cpu/svm_entry.S: runs the guest once; both addresses are physical. Interrupts off on entry and on return. */
void svm_enter(struct regs *regs, paddr_t vmcb, paddr_t host_vmcb);

#endif
