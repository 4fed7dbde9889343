// SPDX-License-Identifier: Apache-2.0
/* sched_op (xen/sched.h). arg[1] is the argument's address. Core lock. */
#include "domain.h"
#include "errno.h"
#include "evtchn.h"
#include "exit.h"
#include "guest.h"
#include "sched.h"
#include "vcpu.h"

#include <xen/sched.h>

#define POLL_MAX 128 /* ports a call, as in Xen */

/* Something that the guest will take on its next instruction: then it must not sleep. */
static bool event_deliverable(struct vcpu *v)
{
	return (v->regs.rflags & BIT(9)) && vcpu_has_event(v);
}

static int64_t yield_op(struct vcpu *v, uint64_t *arg)
{
	sched_yield(v);
	return 0;
}

static int64_t block_op(struct vcpu *v, uint64_t *arg)
{
	if (!event_deliverable(v))
		sched_stop(v, VCPU_BLOCKED);
	return 0;
}

static int64_t shutdown_op(struct vcpu *v, uint64_t *arg)
{
	struct sched_shutdown s;

	if (copy_from_guest(&s, arg[1], sizeof(s)))
		return -EFAULT;
	domain_shutdown(v->domain, (uint8_t)s.reason);
	return 0;
}

static int64_t remote_shutdown_op(struct vcpu *v, uint64_t *arg)
{
	struct sched_remote_shutdown s;
	struct domain *d;

	if (copy_from_guest(&s, arg[1], sizeof(s)))
		return -EFAULT;
	d = domain_find(s.domain_id);
	if (!d)
		return -ESRCH;
	if (!v->domain->privileged)
		return -EPERM;
	domain_shutdown(d, (uint8_t)s.reason);
	return 0;
}

/* The vCPU sleeps after this call: nothing can be raised between the check of the ports and sched_stop, which the core
 * lock keeps together. Waking early is allowed. */
static int64_t poll_op(struct vcpu *v, uint64_t *arg)
{
	struct domain *d = v->domain;
	struct sched_poll p;
	uint32_t ports[POLL_MAX];

	if (copy_from_guest(&p, arg[1], sizeof(p)))
		return -EFAULT;
	if (p.nr_ports > POLL_MAX)
		return -EINVAL;
	if (copy_from_guest(ports, (gva_t)p.ports.p, p.nr_ports * sizeof(ports[0])))
		return -EFAULT;
	if (event_deliverable(v))
		return 0;
	for (unsigned i = 0; i < p.nr_ports; i++) {
		if (!evtchn_port(d, ports[i]))
			return -EINVAL;
		if (evtchn_port_is_pending(d, ports[i]))
			return 0;
	}
	v->poll_port = p.nr_ports == 1 ? ports[0] : 0;
	d->evtchn.pollers |= 1u << v->id;
	if (p.timeout)
		timer_set(&v->poll_timer, p.timeout);
	else
		timer_cancel(&v->poll_timer);
	sched_stop(v, VCPU_BLOCKED);
	return 0;
}

int64_t hypercall_sched_op(struct vcpu *v, uint64_t *arg)
{
	switch ((uint32_t)arg[0]) {
#define OP(name)   case SCHEDOP_##name: return name##_op(v, arg);
#define CASE(name) case SCHEDOP_##name:
#include "sched_ops.def"
	default:
		return -ENOSYS;
	}
}
