/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_GUEST_H
#define CARREL_GUEST_H

#include "domain.h"
#include "errno.h"
#include "ops.h"
#include "types.h"

/* Guest memory by linear address, of the vCPU that is current on this CPU (xen/guest.c). Walks the guest's own page tables
 * (4-level long mode; also PAE, 32-bit and unpaged, for instruction bytes), honouring present and write bits. 0 or -EFAULT. */
int copy_from_guest(void *dst, gva_t src, size_t n);
int copy_to_guest(gva_t dst, const void *src, size_t n);
int clear_guest(gva_t dst, size_t n);
/* Translates. With pfec it is an access of v's present instruction, by its privilege, and *pfec gets the page-fault error code
 * on -EFAULT; without, it is the core's own for the guest's kernel. */
int guest_walk(struct vcpu *v, gva_t va, bool write, bool exec, gpa_t *gpa, uint32_t *pfec);
/* Instruction bytes at rip (CS base included); how many could be read, up to n. */
unsigned fetch_insn(struct vcpu *v, uint8_t *buf, unsigned n);
/* For what is read and written piece by piece, mostly in one page: keeps the last page's translation. Lives on the
 * handler's stack, so never longer than one hypercall (the guest cannot expect its own TLB flush to be seen inside it), and is
 * dropped when the p2m was flushed, which comes before any frame of it can change hands. */
struct guest_window {
	gva_t page; /* 1: none */
	uint8_t *ptr;
	uint32_t gen;
	bool writable;
};
#define GUEST_WINDOW_INIT { .page = 1 }
int guest_read(struct guest_window *w, void *dst, gva_t src, size_t n);
int guest_write(struct guest_window *w, gva_t dst, const void *src, size_t n);
/* Takes a reference on the domain's own RAM frame at gfn, for memory that the core writes to. INVALID_MFN: not such a page. */
mfn_t guest_frame_get(struct domain *d, gfn_t gfn);
/* By physical address, any domain (p2m_ptr inside). */
int copy_to_gpa(struct domain *d, gpa_t dst, const void *src, size_t n);

/* ---- hypercalls ----
 * A handler gets its arguments in arg[0..4] and returns the guest's result, negative errno included.
 * -ERESTART means: not finished, call me again with arg[] as I left it. The dispatcher puts arg[] back into the registers (or
 * the multicall entry) and leaves rip on the instruction; interrupts get served in between. Handlers run with the core lock.
 * hv/xen/hypercalls.def lists every hypercall and sub-op with its state. */
struct exit;
typedef int64_t hypercall_fn(struct vcpu *v, uint64_t *arg);
#define HYPERCALL_ARGS 5
hypercall_fn hypercall_memory_op, hypercall_multicall, hypercall_set_timer_op, hypercall_xen_version, hypercall_console_io,
	hypercall_grant_table_op, hypercall_vm_assist, hypercall_vcpu_op, hypercall_sched_op, hypercall_event_channel_op,
	hypercall_physdev_op, hypercall_hvm_op, hypercall_platform_op, hypercall_sysctl, hypercall_domctl;
int64_t memory_op32(struct vcpu *v, const uint64_t *arg); /* xen/memory.c: from 32-bit code */
int64_t hypercall_dispatch(struct vcpu *v, uint64_t nr, uint64_t *arg);
/* True when a long operation should return -ERESTART: an interrupt is pending, another CPU waits for the core lock, or the time
 * slice is over. */
bool hypercall_preempt(void);
/* cpu/exit.c calls this for EXIT_HYPERCALL. */
void hypercall_exit(struct vcpu *v, struct exit *e);

/* Resolves DOMID_SELF; for others wants v's domain privileged; dying ones are found too.
 * NULL and *err -ESRCH or -EPERM. */
struct domain *domain_for_op(struct vcpu *v, domid_t id, int *err);

/* The hypercall page MSR (0x40000000): writes vmmcall/vmcall stubs. -EINVAL. */
int hypercall_page_write(struct vcpu *v, uint64_t msr_value);

/* Console ring for sysctl readconsole and console_io (boot/console.c). */
uint32_t console_ring_read(char *buf, uint32_t max, uint32_t *index, bool clear);
void console_guest_write(struct domain *d, const char *s, size_t n);
/* One input character for the service domain's hvc0, -1 none. */
int console_guest_read(void);

#endif
