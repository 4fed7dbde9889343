/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VMX_H
#define CARREL_VMX_H

#include "cpu.h"
#include "cpu_ops.h"
#include "types.h"
#include "vcpu.h"

/* VMCS field encodings (SDM 3D appendix B). */
enum vmcs_field {
	VM_VPID = 0x0000,
	GUEST_ES_SEL = 0x0800, /* and CS SS DS FS GS LDTR TR by 2; so for limit, access rights, base */
	HOST_ES_SEL = 0x0c00,
	HOST_CS_SEL = 0x0c02,
	HOST_SS_SEL = 0x0c04,
	HOST_DS_SEL = 0x0c06,
	HOST_FS_SEL = 0x0c08,
	HOST_GS_SEL = 0x0c0a,
	HOST_TR_SEL = 0x0c0c,
	MSR_BITMAP = 0x2004,
	TSC_OFFSET = 0x2010,
	EPT_POINTER = 0x201a,
	XSS_EXIT_BITMAP = 0x202c,
	GUEST_PHYS_ADDR = 0x2400,
	VMCS_LINK = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PDPTE0 = 0x280a,
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	CR3_TARGETS = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORES = 0x400e,
	EXIT_MSR_LOADS = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOADS = 0x4014,
	ENTRY_INTR_INFO = 0x4016,
	ENTRY_INTR_CODE = 0x4018,
	PROC2_CONTROLS = 0x401e,
	PLE_GAP = 0x4020,
	PLE_WINDOW = 0x4022,
	INSN_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_INTR_INFO = 0x4404,
	EXIT_INTR_CODE = 0x4406,
	IDT_VECTORING_INFO = 0x4408,
	IDT_VECTORING_CODE = 0x440a,
	EXIT_INSN_LEN = 0x440c,
	GUEST_ES_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_AR = 0x4814,
	GUEST_CS_AR = 0x4816,
	GUEST_SS_AR = 0x4818,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	GUEST_SYSENTER_CS = 0x482a,
	HOST_SYSENTER_CS = 0x4c00,
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	EXIT_QUALIFICATION = 0x6400,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806,
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10,
	HOST_SYSENTER_EIP = 0x6c12,
	HOST_RSP = 0x6c14, /* vmx_entry.S */
	HOST_RIP = 0x6c16,
};

/* Controls (SDM 3C 25.6 to 25.8). */
#define PIN_EXT_INT         BIT(0)
#define PIN_NMI             BIT(3)
#define PIN_VIRTUAL_NMI     BIT(5)
#define PROC_IRQ_WINDOW     BIT(2)
#define PROC_TSC_OFFSET     BIT(3)
#define PROC_HLT            BIT(7)
#define PROC_MWAIT          BIT(10)
#define PROC_RDPMC          BIT(11)
#define PROC_CR3_EXITS      (BIT(15) | BIT(16))
#define PROC_CR8_LOAD       BIT(19)
#define PROC_CR8_STORE      BIT(20)
#define PROC_NMI_WINDOW     BIT(22)
#define PROC_IO             BIT(24)
#define PROC_MSR_BITMAP     BIT(28)
#define PROC_MONITOR        BIT(29)
#define PROC_SECONDARY      BIT(31)
#define PROC2_EPT           BIT(1)
#define PROC2_RDTSCP        BIT(3)
#define PROC2_VPID          BIT(5)
#define PROC2_WBINVD        BIT(6)
#define PROC2_UNRESTRICTED  BIT(7)
#define PROC2_PAUSE_LOOP    BIT(10)
#define PROC2_INVPCID       BIT(12)
#define PROC2_XSAVES        BIT(20)
#define EXIT_SAVE_DEBUG     BIT(2)
#define EXIT_HOST_64        BIT(9)
#define EXIT_ACK_INT        BIT(15)
#define EXIT_LOAD_PAT       BIT(19)
#define EXIT_LOAD_EFER      BIT(21)
#define ENTRY_LOAD_DEBUG    BIT(2)
#define ENTRY_IA32E         BIT(9)
#define ENTRY_LOAD_PAT      BIT(14)
#define ENTRY_LOAD_EFER     BIT(15)
/* GUEST_INTERRUPTIBILITY */
#define BLOCK_STI   BIT(0)
#define BLOCK_MOVSS BIT(1)
#define BLOCK_NMI   BIT(3)
/* Interruption information (SDM 3C 25.8.3, 25.9.2) */
#define INTR_TYPE(i) ((i) >> 8 & 7)
#define INTR_EXT     0
#define INTR_NMI     2
#define INTR_EXC     3
#define INTR_CODE    BIT(11)
#define INTR_VALID   BIT(31)
#define AR_UNUSABLE  BIT(16)

#define MSR_VMX_BASIC    0x480
#define MSR_VMX_PIN      0x481 /* and PROC, EXIT, ENTRY; the true ones from 0x48d */
#define MSR_VMX_PROC2    0x48b
#define MSR_VMX_EPT_VPID 0x48c
#define MSR_VMX_TRUE_PIN 0x48d

/* CR0 bits that the guest sees from the shadow: VMX fixes NE, the core keeps PG and LMA in step, and caches stay on. */
#define CR0_OWNED (CR0_PG | CR0_NE | CR0_CD | CR0_NW)

struct vmx_vcpu {
	void *vmcs;
	uint64_t eptp;
	unsigned cpu;                /* where it was loaded last */
	uint16_t vpid;               /* 0 without VPID */
	bool launched;
	bool cs_known, ss_known;     /* cs_ar, ss_ar are of this exit */
	uint32_t cs_ar, ss_ar;
	uint64_t host_rsp;           /* the rest: what the VMCS holds, to write only changes */
	uint64_t rip, rsp, rflags;
	uint32_t proc, entry;
	uint64_t efer;
	uint64_t cr2, dr6;           /* these and below: in registers while v is loaded */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
};

/* What this machine's VT-x can do, settled by vmcs_probe. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
	uint32_t revision;
	uint64_t ept_vpid;
};
extern struct vmx_controls vmx;

extern struct p2m_format ept_format; /* mm/p2m_format.c; has_1g is filled in by the probe */

/* cpu/vmx_entry.S: runs the guest once. Nonzero when the entry instruction failed. *host_rsp: see struct vmx_vcpu. */
int vmx_enter(struct regs *regs, bool launched, uint64_t *host_rsp);
extern const char vmx_exit_point[];

/* cpu/vmcs.c */
const char *vmcs_probe(void); /* NULL, or what is missing */
int vmcs_create(struct vcpu *v);
void vmcs_destroy(struct vcpu *v);
void vmcs_host_cpu(struct cpu *c); /* host state that differs between CPUs, into the loaded VMCS */
/* Makes v's VMCS the loaded one for a while, when it is not. Core lock. */
void vmcs_begin(struct vcpu *v);
void vmcs_end(struct vcpu *v);
void vmcs_error(enum vmcs_field f) __noreturn;
/* What neither the VMCS nor cpu/fpu.c switches: from and to *h, while its vCPU is loaded. */
void vmx_load_registers(const struct vmx_vcpu *h);
void vmx_save_registers(struct vmx_vcpu *h);
void vmx_get_state(struct vcpu *v, struct vcpu_state *s);
int vmx_set_state(struct vcpu *v, const struct vcpu_state *s);
/* Writes CR0 with EFER.LMA and the entry controls in step; loads the PDPTEs when PAE paging comes on. */
void vmcs_set_cr0(struct vcpu *v, uint64_t cr0, uint64_t cr4);
uint64_t vmx_get_cr0(struct vcpu *v);
uint64_t vmx_get_cr4(struct vcpu *v);

static inline uint64_t vmread(enum vmcs_field f)
{
	uint64_t v;

	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)f) : "cc");
	return v;
}
static inline void vmwrite(enum vmcs_field f, uint64_t v)
{
	__asm__ goto("vmwrite %0, %1; jna %l2" ::"r"(v), "r"((uint64_t)f) : "cc", "memory" : fail);
	return;
fail:
	vmcs_error(f);
}
/* Forgets the linear translations of one VPID on this CPU (SDM 3C 31.3). */
static inline void invvpid(uint64_t vpid)
{
	const uint64_t desc[2] = { vpid, 0 };

	__asm__ volatile("invvpid %0, %1" ::"m"(desc), "r"(1ul) : "cc", "memory"); /* one context */
}
static inline bool vmx_loaded(const struct vcpu *v)
{
	return this_cpu()->hw_vcpu == v;
}

#endif
