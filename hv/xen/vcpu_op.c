// SPDX-License-Identifier: Apache-2.0
/* vcpu_op (xen/vcpu.h) and set_timer_op: a guest's own vCPUs and their Xen timers. Core lock. */
#include "asm.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "evtchn.h"
#include "guest.h"
#include "sched.h"
#include "shared.h"
#include "time.h"
#include "vcpu.h"

#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define MS          1000000ul
#define PERIOD_MAX  (1ul << 62)
/* A guest's clock that wrapped asks for times this far off: it gets an event soon, as in Xen. */
#define FAR_FUTURE  (1ul << 50)

static void singleshot_due(struct timer *t)
{
	virq_raise_vcpu(container_of(t, struct vcpu, singleshot), VIRQ_TIMER);
}

static void periodic_due(struct timer *t)
{
	struct vcpu *v = container_of(t, struct vcpu, periodic);
	ns_t missed = (now() - t->deadline) / v->periodic_ns;

	virq_raise_vcpu(v, VIRQ_TIMER);
	timer_set(t, t->deadline + (missed + 1) * v->periodic_ns);
}

static void poll_due(struct timer *t)
{
	evtchn_poll_end(container_of(t, struct vcpu, poll_timer));
}

void vcpu_timers_init(struct vcpu *v)
{
	timer_init(&v->singleshot, singleshot_due);
	timer_init(&v->periodic, periodic_due);
	timer_init(&v->poll_timer, poll_due);
}

int64_t hypercall_set_timer_op(struct vcpu *v, uint64_t *arg)
{
	ns_t timeout = arg[0], t = now();

	if (!timeout)
		timer_cancel(&v->singleshot);
	else if ((int64_t)timeout < 0 || (timeout > t && timeout - t >= FAR_FUTURE))
		timer_set(&v->singleshot, t + 100 * MS);
	else
		timer_set(&v->singleshot, timeout);
	return 0;
}

/* ---- sub-operations: v calls, t is the vCPU meant, at the address of the argument ---- */

static int64_t set_singleshot_timer_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_set_singleshot_timer set;

	if (v != t)
		return -EINVAL;
	if (copy_from_guest(&set, at, sizeof(set)))
		return -EFAULT;
	if (likely(set.timeout_abs_ns >= now())) {
		timer_set(&v->singleshot, set.timeout_abs_ns);
		return 0;
	}
	if (set.flags & VCPU_SSHOTTMR_future)
		return -ETIME;
	timer_cancel(&v->singleshot);
	virq_raise_vcpu(v, VIRQ_TIMER);
	return 0;
}

static int64_t stop_singleshot_timer_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	if (v != t)
		return -EINVAL;
	timer_cancel(&v->singleshot);
	return 0;
}

static int64_t set_periodic_timer_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_set_periodic_timer set;

	if (copy_from_guest(&set, at, sizeof(set)))
		return -EFAULT;
	if (set.period_ns < MS || set.period_ns > PERIOD_MAX)
		return -EINVAL;
	t->periodic_ns = set.period_ns;
	timer_set(&t->periodic, now() + set.period_ns);
	return 0;
}

static int64_t stop_periodic_timer_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	timer_cancel(&t->periodic);
	return 0;
}

/* Present segments are marked accessed, a TSS busy: the CPU wants them so (SDM 3C 27.3.1.2). */
static struct segment segment(uint16_t ar, uint32_t limit, uint32_t base, uint16_t mark)
{
	return (struct segment){ .attr = (uint16_t)(ar | (ar & 0x80 ? mark : 0)), .limit = limit, .base = base };
}

static int state_from_32(const struct vcpu_hvm_x86_32 *r, struct vcpu_state *s, struct regs *regs)
{
	if (r->pad1 || r->pad2[0] || r->pad2[1] || r->pad2[2] || r->eip > r->cs_limit ||
	    ((r->efer & EFER_LMA) && !(r->efer & EFER_LME)) ||
	    ((r->cs_ar | r->ds_ar | r->ss_ar | r->es_ar | r->tr_ar) & 0xf000))
		return -EINVAL;
	*regs = (struct regs){ .gpr = { r->eax, r->ecx, r->edx, r->ebx, r->esp, r->ebp, r->esi, r->edi },
			       .rip = r->eip, .rflags = r->eflags | 2 };
	s->cr0 = r->cr0;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->efer = r->efer;
	s->seg[SEG_CS] = segment(r->cs_ar, r->cs_limit, r->cs_base, 1);
	s->seg[SEG_DS] = segment(r->ds_ar, r->ds_limit, r->ds_base, 1);
	s->seg[SEG_SS] = segment(r->ss_ar, r->ss_limit, r->ss_base, 1);
	s->seg[SEG_ES] = segment(r->es_ar, r->es_limit, r->es_base, 1);
	s->seg[SEG_TR] = segment(r->tr_ar, r->tr_limit, r->tr_base, 2);
	return 0;
}

static int state_from_64(const struct vcpu_hvm_x86_64 *r, struct vcpu_state *s, struct regs *regs)
{
	if (!canonical(r->rip) || !(r->cr0 & CR0_PG) || !(r->cr4 & CR4_PAE) ||
	    !(r->efer & EFER_LME))
		return -EINVAL;
	*regs = (struct regs){ .gpr = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi },
			       .rip = r->rip, .rflags = r->rflags | 2 };
	s->cr0 = r->cr0;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->efer = r->efer;
	s->seg[SEG_CS] = segment(0xa9b, ~0u, 0, 0);
	s->seg[SEG_DS] = s->seg[SEG_SS] = s->seg[SEG_ES] = segment(0xc93, ~0u, 0, 0);
	s->seg[SEG_TR] = segment(0x8b, 0x67, 0, 0);
	return 0;
}

static int64_t initialise_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_hvm_context c;
	struct vcpu_state s;
	struct regs regs;
	int rc;

	if (copy_from_guest(&c, at, sizeof(c)))
		return -EFAULT;
	if (!(t->stopped & VCPU_DOWN))
		return -EEXIST;
	if (c.pad || c.mode > VCPU_HVM_MODE_64B)
		return -EINVAL;
	vcpu_sync(t);
	cpu_ops->get_state(t, &s);
	rc = c.mode == VCPU_HVM_MODE_32B ? state_from_32(&c.cpu_regs.x86_32, &s, &regs)
					 : state_from_64(&c.cpu_regs.x86_64, &s, &regs);
	if (rc)
		return rc;
	if ((s.efer & EFER_LME) && (s.cr0 & CR0_PG))
		s.efer |= EFER_LMA;
	rc = cpu_ops->set_state(t, &s);
	if (!rc) {
		t->resets++;
		t->regs = regs;
	}
	return rc;
}

static int64_t up_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	sched_start(t, VCPU_DOWN);
	return 0;
}

static int64_t down_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct domain *d = v->domain;

	for_each_vcpu(d, o) {
		if (o != t && !(o->stopped & VCPU_DOWN)) {
			sched_stop(t, VCPU_DOWN);
			return 0;
		}
	}
	domain_shutdown(d, SHUTDOWN_poweroff); /* the last one */
	return 0;
}

static int64_t is_up_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	return !(t->stopped & VCPU_DOWN);
}

/* With what has passed in the present state. */
static struct vcpu_runstate_info runstate_now(const struct vcpu *t)
{
	struct vcpu_runstate_info r = t->runstate;

	r.time[r.state] += now() - r.state_entry_time;
	return r;
}

static int64_t get_runstate_info_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_runstate_info r = runstate_now(t);

	return copy_to_guest(at, &r, sizeof(r));
}

static int64_t register_runstate_memory_area_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_runstate_info r = v == t ? t->runstate : runstate_now(t);
	struct vcpu_register_runstate_memory_area area;

	if (copy_from_guest(&area, at, sizeof(area)))
		return -EFAULT;
	t->runstate_gva = area.addr.p;
	/* Not mapped now is no error: the next change of state writes it. */
	(void)copy_to_guest(area.addr.p, &r, sizeof(r));
	return 0;
}

static int64_t register_vcpu_info_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_register_vcpu_info info;

	if (copy_from_guest(&info, at, sizeof(info)))
		return -EFAULT;
	return vcpu_info_register(t, info.mfn, info.offset);
}

static int64_t register_vcpu_time_memory_area_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	struct vcpu_register_time_memory_area area;

	if (copy_from_guest(&area, at, sizeof(area)))
		return -EFAULT;
	t->time_gva = area.addr.p;
	if (area.addr.p)
		time_area_write(t);
	return 0;
}

static int64_t send_nmi_op(struct vcpu *v, struct vcpu *t, gva_t at)
{
	if (at)
		return -EINVAL;
	t->nmi_pending = true;
	vcpu_kick(t);
	return 0;
}

int64_t hypercall_vcpu_op(struct vcpu *v, uint64_t *arg)
{
	uint32_t id = (uint32_t)arg[1];
	struct vcpu *t = domain_vcpu(v->domain, id);

	if (unlikely(!t))
		return -ENOENT;
	switch ((uint32_t)arg[0]) {
#define OP(name)   case VCPUOP_##name: return name##_op(v, t, arg[2]);
#define CASE(name) case VCPUOP_##name:
#include "vcpu_ops.def"
	default:
		return -ENOSYS;
	}
}
