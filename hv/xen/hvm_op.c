// SPDX-License-Identifier: Apache-2.0
/* hvm_op (xen/hvm/hvm_op.h, xen/hvm/params.h): a domain's parameters and where its event upcalls go. */
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "time.h"

#include <xen/hvm/hvm_op.h>

/* Who may touch a parameter. */
#define GUEST_READ  1 /* the domain itself may read it */
#define GUEST_WRITE 2
#define ONCE        4 /* keeps its first value that is not zero */
#define GONE        8 /* deprecated */
#define READ_ONLY   16
static const uint8_t rules[HVM_NR_PARAMS] = {
	[HVM_PARAM_CALLBACK_IRQ] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_VM86_TSS] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_VM86_TSS_SIZED] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_ACPI_IOPORTS_LOCATION] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_VM_GENERATION_ID_ADDR] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_STORE_EVTCHN] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_CONSOLE_EVTCHN] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_X87_FIP_WIDTH] = GUEST_READ | GUEST_WRITE,
	[HVM_PARAM_STORE_PFN] = GUEST_READ,
	[HVM_PARAM_CONSOLE_PFN] = GUEST_READ,
	[HVM_PARAM_ALTP2M] = GUEST_READ | READ_ONLY,
	[HVM_PARAM_VIRIDIAN] = ONCE,
	[HVM_PARAM_IOREQ_PFN] = ONCE,
	[HVM_PARAM_BUFIOREQ_PFN] = ONCE,
	[HVM_PARAM_IOREQ_SERVER_PFN] = ONCE,
	[HVM_PARAM_NR_IOREQ_SERVER_PAGES] = ONCE,
	[HVM_PARAM_MCA_CAP] = ONCE,
	[HVM_PARAM_PAE_ENABLED] = GONE,
	[HVM_PARAM_DM_DOMAIN] = GONE,
	[HVM_PARAM_MEMORY_EVENT_CR0] = GONE,
	[HVM_PARAM_MEMORY_EVENT_CR3] = GONE,
	[HVM_PARAM_MEMORY_EVENT_CR4] = GONE,
	[HVM_PARAM_MEMORY_EVENT_INT3] = GONE,
	[HVM_PARAM_NESTEDHVM] = GONE,
	[HVM_PARAM_MEMORY_EVENT_SINGLE_STEP] = GONE,
	[HVM_PARAM_BUFIOREQ_EVTCHN] = GONE,
	[HVM_PARAM_MEMORY_EVENT_MSR] = GONE,
};

static int64_t get_param_op(struct vcpu *v, gva_t from, struct xen_hvm_param *p, struct domain **d)
{
	int err;

	if (copy_from_guest(p, from, sizeof(*p)))
		return -EFAULT;
	if (p->index >= HVM_NR_PARAMS)
		return -EINVAL;
	*d = domain_for_op(v, p->domid, &err);
	if (!*d)
		return err;
	return rules[p->index] & GONE ? -EINVAL : 0;
}

static void set_callback(struct domain *d, uint64_t via)
{
	uint8_t vector = (uint8_t)via;

	/* Line and pin callbacks have no interrupt controller here. Vectors below 16 are exceptions (SDM 3A 11.5.2). */
	d->callback_vector = via >> 56 == HVM_PARAM_CALLBACK_TYPE_VECTOR && vector >= 16 ? vector : 0;
	for_each_vcpu(d, v)
		vcpu_kick(v); /* events that are pending already are delivered the new way */
}

static int64_t hvm_set_param(struct vcpu *v, gva_t at)
{
	struct xen_hvm_param p;
	struct domain *d;
	int64_t rc = get_param_op(v, at, &p, &d);
	uint8_t rule;
	uint64_t old;

	if (rc)
		return rc;
	rule = rules[p.index];
	old = d->hvm_params[p.index];
	if (rule & READ_ONLY)
		return -EEXIST;
	if (d == v->domain && !(rule & GUEST_WRITE))
		return -EPERM;
	if ((rule & ONCE) && old && old != p.value)
		return -EEXIST;
	if (p.index == HVM_PARAM_ACPI_S_STATE && p.value)
		return -EINVAL;
	d->hvm_params[p.index] = p.value;
	if (p.index == HVM_PARAM_CALLBACK_IRQ)
		set_callback(d, p.value);
	return 0;
}

static int64_t hvm_get_param(struct vcpu *v, gva_t at)
{
	struct xen_hvm_param p;
	struct domain *d;
	int64_t rc = get_param_op(v, at, &p, &d);

	if (rc)
		return rc;
	if (d == v->domain && !(rules[p.index] & GUEST_READ))
		return -EPERM;
	p.value = d->hvm_params[p.index];
	return copy_to_guest(at, &p, sizeof(p));
}

static int64_t hvm_set_evtchn_upcall_vector(struct vcpu *v, gva_t at)
{
	struct xen_hvm_evtchn_upcall_vector u;

	if (copy_from_guest(&u, at, sizeof(u)))
		return -EFAULT;
	if (u.vector < 16)
		return -EINVAL;
	v = domain_vcpu(v->domain, u.vcpu);
	if (!v)
		return -ENOENT;
	v->upcall_vector = u.vector;
	if (evtchn_pending_on(v))
		vcpu_mark_events_pending(v);
	return 0;
}

static int64_t hvm_get_time(struct vcpu *v, gva_t at)
{
	struct xen_hvm_get_time t = { .now = now() };

	return copy_to_guest(at, &t, sizeof(t));
}

int64_t hypercall_hvm_op(struct vcpu *v, uint64_t *arg)
{
	switch (arg[0]) {
#define OP(name)   case HVMOP_##name: return hvm_##name(v, arg[1]);
#define CASE(name) case HVMOP_##name:
#include "hvm_ops.def"
	default:
		return -ENOSYS;
	}
}
