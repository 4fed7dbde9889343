// SPDX-License-Identifier: Apache-2.0
/* From the exit to a hypercall's handler and back. */
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "irq.h"
#include "lock.h"

#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>
#include <xen/version.h>

int64_t hypercall_dispatch(struct vcpu *v, uint64_t nr, uint64_t *arg)
{
	switch (nr) {
#define OP(name)   case __HYPERVISOR_##name: return hypercall_##name(v, arg);
#define CASE(name) case __HYPERVISOR_##name:
#include "hypercalls.def"
	default:
		return -ENOSYS;
	}
}

/* From 32-bit code: what GRUB's PVH image needs to find and load a 64-bit kernel. Structures are the same at both widths, but
 * for those of memory_op. */
static int64_t hypercall32(struct vcpu *v, const uint64_t *g)
{
	uint64_t arg[HYPERCALL_ARGS] = { (uint32_t)g[RBX], (uint32_t)g[RCX], (uint32_t)g[RDX], (uint32_t)g[RSI], (uint32_t)g[RDI] };
	uint64_t nr = (uint32_t)g[RAX];
	bool same = (nr == __HYPERVISOR_event_channel_op && arg[0] != EVTCHNOP_reset) ||
		    (nr == __HYPERVISOR_hvm_op && (arg[0] == HVMOP_get_param || arg[0] == HVMOP_set_param)) ||
		    (nr == __HYPERVISOR_sched_op && (arg[0] == SCHEDOP_yield || arg[0] == SCHEDOP_shutdown));

	if (nr == __HYPERVISOR_memory_op)
		return memory_op32(v, arg);
	return same ? hypercall_dispatch(v, nr, arg) : -ENOSYS;
}

void hypercall_exit(struct vcpu *v, struct exit *e)
{
	uint64_t *g = v->regs.gpr;
	uint64_t arg[HYPERCALL_ARGS] = { g[RDI], g[RSI], g[RDX], g[R10], g[R8] };
	int64_t rc;

	if (unlikely(cpu_ops->get_cpl(v)))
		rc = -EPERM;
	else if (unlikely(cpu_ops->code_bits(v) != 64))
		rc = hypercall32(v, g);
	else
		rc = hypercall_dispatch(v, g[RAX], arg);
	if (unlikely(rc == -ERESTART)) {
		g[RDI] = arg[0];
		g[RSI] = arg[1];
		g[RDX] = arg[2];
		g[R10] = arg[3];
		g[R8] = arg[4];
		return;
	}
	g[RAX] = (uint64_t)rc;
	/* VMMCALL and VMCALL are 3 bytes (APM 3, SDM 2C); the CPU knows of prefixes. */
	vcpu_skip(v, e->insn_len ? e->insn_len : 3);
}

bool hypercall_preempt(void)
{
	/* Whoever would set "attention" meanwhile waits for the lock first, and an interrupt is only seen when it is let in. */
	interrupt_window();
	return irq_any_pending() || core_lock_wanted() || READ_ONCE(this_cpu()->attention) || now() >= this_cpu()->slice_end;
}

struct domain *domain_for_op(struct vcpu *v, domid_t id, int *err)
{
	struct domain *d = v->domain;

	if (id == DOMID_SELF || id == d->id)
		return d;
	*err = -EPERM;
	if (!d->privileged)
		return NULL;
	*err = -ESRCH;
	return domain_find(id);
}

/* multicall(entries, n). Done entries are not done again: a restart goes on with what is left. */
int64_t hypercall_multicall(struct vcpu *v, uint64_t *arg)
{
	while (arg[1]) {
		multicall_entry_t c;
		int64_t rc;

		if (copy_from_guest(&c, arg[0], sizeof(c)))
			return -EFAULT;
		rc = c.op == __HYPERVISOR_multicall ? -EINVAL : hypercall_dispatch(v, c.op, c.args);
		if (rc == -ERESTART)
			return copy_to_guest(arg[0] + offsetof(multicall_entry_t, args), c.args, sizeof(c.args)) ? -EFAULT : rc;
		c.result = (xen_ulong_t)rc;
		if (copy_to_guest(arg[0] + offsetof(multicall_entry_t, result), &c.result, sizeof(c.result)))
			return -EFAULT;
		arg[0] += sizeof(c);
		if (--arg[1] && hypercall_preempt())
			return -ERESTART;
	}
	return 0;
}

/* vm_assist(cmd, type): only the runstate flag means something to a PVH guest; the rest is refused as Xen does. */
int64_t hypercall_vm_assist(struct vcpu *v, uint64_t *arg)
{
	uint32_t type = (uint32_t)arg[1], cmd = (uint32_t)arg[0];

	if (type != VMASST_TYPE_runstate_update_flag || cmd > VMASST_CMD_disable)
		return -EINVAL;
	if (cmd == VMASST_CMD_enable)
		v->domain->vm_assist |= 1u << type;
	else
		v->domain->vm_assist &= ~(1u << type);
	return 0;
}

/* 32 bytes a stub, by hypercall number: mov $nr, %eax; vmcall or vmmcall; ret (xen/arch-x86/xen-x86_64.h). */
#define STUB_SIZE     32
#define NR_HYPERCALLS 64
int hypercall_page_write(struct vcpu *v, uint64_t msr_value)
{
	/* Low 12 bits: which page; there is one. */
	uint8_t *page = msr_value & ~PAGE_MASK ? NULL : p2m_ptr(v->domain, msr_value, true);
	uint8_t call = cpu_ops == &vmx_ops ? 0xc1 : 0xd9;

	if (!page)
		return -EINVAL;
	memset(page, 0xcc, PAGE_SIZE);
	for (uint32_t nr = 0; nr < NR_HYPERCALLS; nr++) {
		uint8_t *s = page + nr * STUB_SIZE;

		s[0] = 0xb8;
		memcpy(s + 1, &nr, sizeof(nr));
		s[5] = 0x0f;
		s[6] = 0x01;
		s[7] = call;
		s[8] = 0xc3;
	}
	return 0;
}
