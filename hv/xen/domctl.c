// SPDX-License-Identifier: Apache-2.0
/* domctl (xen/domctl.h): what the toolstack does to one domain. Only for the service domain. */
#include "cpu.h"
#include "cpu_ops.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "sched.h"
#include "toolstack.h"

#include <xen/sched.h>
#include <xen/sysctl.h>

#define DEFAULT_GRANT_FRAMES    64
#define DEFAULT_MAPTRACK_FRAMES 256 /* also the most there can be: grant.h */

/* ---- helpers that sysctl uses too ---- */

uint64_t online_cpus(void)
{
	return nr_cpus < 64 ? BIT(nr_cpus) - 1 : ~0ull;
}

int bitmap_from_guest(uint64_t *map, const struct xenctl_bitmap *from)
{
	uint32_t bits = MIN(from->nr_bits, 64u);

	*map = 0;
	if (copy_from_guest(map, (gva_t)from->bitmap.p, DIV_ROUND_UP(bits, 8)))
		return -EFAULT;
	if (bits < 64)
		*map &= BIT(bits) - 1;
	return 0;
}

int bitmap_to_guest(const struct xenctl_bitmap *to, uint64_t map)
{
	uint32_t bytes = DIV_ROUND_UP(MIN(to->nr_bits, 1u << 16), 8), n = MIN(bytes, 8u);

	if (copy_to_guest((gva_t)to->bitmap.p, &map, n) || clear_guest((gva_t)to->bitmap.p + n, bytes - n))
		return -EFAULT;
	return 0;
}

static ns_t vcpu_time(const struct vcpu *v)
{
	ns_t t = v->runstate.time[RUNSTATE_running];

	return v->runstate.state == RUNSTATE_running ? t + now() - v->runstate.state_entry_time : t;
}

void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
	uint32_t state = XEN_DOMINF_blocked;

	memset(info, 0, sizeof(*info));
	info->domain = d->id;
	info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
	for_each_vcpu(d, v) {
		info->max_vcpu_id = v->id;
		info->cpu_time += vcpu_time(v);
		if (v->stopped & VCPU_DOWN)
			continue;
		info->nr_online_vcpus++;
		if (!(v->stopped & VCPU_BLOCKED))
			state &= ~(uint32_t)XEN_DOMINF_blocked;
		if (v->running)
			state |= XEN_DOMINF_running;
	}
	info->flags = (info->nr_online_vcpus ? state : 0) | XEN_DOMINF_hvm_guest | XEN_DOMINF_hap |
		      (d->dying == DOM_DEAD ? XEN_DOMINF_dying : 0) | (d->shut_down ? XEN_DOMINF_shutdown : 0) |
		      (d->pause_count ? XEN_DOMINF_paused : 0) |
		      (d->create_flags & XEN_DOMCTL_CDF_xs_domain ? XEN_DOMINF_xs_domain : 0) |
		      (uint32_t)(d->shut_down ? d->shutdown_code : XEN_DOMINF_shutdownmask) << XEN_DOMINF_shutdownshift;
	info->tot_pages = d->tot_pages;
	info->max_pages = d->max_pages;
	info->outstanding_pages = d->outstanding;
	info->shared_info_frame = INVALID_GFN;
	info->ssidref = d->ssidref;
	memcpy(info->handle, d->handle, sizeof(info->handle));
	info->gpaddr_bits = (uint8_t)policy_phys_bits(d);
	info->arch_config.emulation_flags = XEN_X86_EMU_LAPIC | (d->is_dom0 ? XEN_X86_EMU_IOAPIC | XEN_X86_EMU_VPCI : 0);
}

int policy_leaves_to_guest(struct domain *d, unsigned index, gva_t to, uint32_t *n)
{
	uint32_t room = MIN(*n, (uint32_t)(PAGE_SIZE / sizeof(xen_cpuid_leaf_t)));
	xen_cpuid_leaf_t *buf = to ? core_alloc(0) : NULL;
	int rc = 0;

	if (to && !buf)
		return -ENOMEM;
	if (!to)
		room = 0;
	*n = d ? policy_domain_leaves(d, buf, room) : policy_host_leaves(index, buf, room);
	if (to && *n > room)
		rc = -ENOBUFS;
	else if (to && copy_to_guest(to, buf, *n * sizeof(*buf)))
		rc = -EFAULT;
	core_free(buf, 0);
	return rc;
}

int policy_msrs_to_guest(unsigned index, gva_t to, uint32_t *n)
{
	xen_msr_entry_t buf[2];
	uint32_t room = *n;

	*n = policy_host_msrs(index, buf, ARRAY_SIZE(buf));
	if (!to)
		return 0;
	if (*n > room)
		return -ENOBUFS;
	return copy_to_guest(to, buf, *n * sizeof(*buf)) ? -EFAULT : 0;
}

/* ---- life and death ---- */

static int check_create(const struct xen_domctl_createdomain *c)
{
	const uint32_t must = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	const uint32_t may = must | XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_xs_domain | XEN_DOMCTL_CDF_iommu;

	if ((c->flags & must) != must || (c->flags & ~may) || (c->iommu_opts & ~(uint32_t)XEN_DOMCTL_IOMMU_MAX) ||
	    ((c->flags & XEN_DOMCTL_CDF_iommu) && !iommu_enabled))
		return -EINVAL;
	if (!c->max_vcpus || c->max_vcpus > MAX_VCPUS || c->max_grant_frames > GRANT_FRAMES_MAX ||
	    XEN_DOMCTL_GRANT_version(c->grant_opts) > 1 || c->altp2m_opts || c->vmtrace_size || c->cpupool_id)
		return -EINVAL;
	if (c->arch.misc_flags & ~XEN_X86_MSR_RELAXED)
		return -EINVAL;
	return c->arch.emulation_flags == XEN_X86_EMU_LAPIC ? 0 : -EOPNOTSUPP; /* PVH only */
}

/* The id asked for, or the next free one after the last that was given out. DOMID_INVALID when there is none. */
static domid_t choose_id(domid_t want)
{
	static domid_t last;

	if (want && want < DOMID_FIRST_RESERVED)
		return want;
	for (unsigned i = 1; i < DOMID_FIRST_RESERVED; i++) {
		domid_t id = (domid_t)((last + i) % DOMID_FIRST_RESERVED);

		if (id && !domain_find(id))
			return last = id;
	}
	return DOMID_INVALID;
}

static int64_t domctl_createdomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	const struct xen_domctl_createdomain *c = &op->u.createdomain;
	int rc = check_create(c);
	domid_t id;

	if (rc)
		return rc;
	id = choose_id(op->domain);
	if (id == DOMID_INVALID)
		return -ENOMEM;
	d = domain_create(id, c->flags, c->max_vcpus, c->max_evtchn_port,
			  c->max_grant_frames < 0 ? DEFAULT_GRANT_FRAMES : (unsigned)c->max_grant_frames,
			  c->max_maptrack_frames < 0 ? DEFAULT_MAPTRACK_FRAMES :
						       MIN((unsigned)c->max_maptrack_frames, DEFAULT_MAPTRACK_FRAMES),
			  &rc);
	if (!d)
		return rc;
	d->pause_count = 1; /* until unpausedomain */
	d->ssidref = c->ssidref;
	memcpy(d->handle, c->handle, sizeof(d->handle));
	op->domain = id;
	return 0;
}

static int64_t domctl_destroydomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	return d == v->domain || d->is_dom0 ? -EINVAL : domain_destroy(d);
}

static int64_t domctl_pausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	if (d == v->domain)
		return -EINVAL;
	if (d->pause_count >= 255)
		return -EBUSY;
	domain_pause(d);
	return 0;
}

static int64_t domctl_unpausedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	if (d == v->domain || !d->vcpu[0] || !d->pause_count)
		return -EINVAL;
	domain_unpause(d);
	return 0;
}

static int64_t domctl_getdomaininfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	domain_info(d, &op->u.getdomaininfo);
	return 0;
}

static int64_t domctl_max_mem(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	d->max_pages = op->u.max_mem.max_memkb / (PAGE_SIZE / KiB);
	return 0;
}

static int64_t domctl_max_vcpus(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	int rc = 0;

	if (op->u.max_vcpus.max != d->max_vcpus || d->dying)
		return -EINVAL;
	for (unsigned i = 0; i < d->max_vcpus && !rc; i++)
		if (!d->vcpu[i] && domain_add_vcpu(d, i, &rc))
			rc = 0;
	return rc;
}

static int64_t domctl_setdomainhandle(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
	return 0;
}

/* ---- scheduling ---- */

static struct vcpu *get_vcpu(struct domain *d, uint32_t id, int64_t *err)
{
	struct vcpu *v = domain_vcpu(d, id);

	*err = id < d->max_vcpus ? -ESRCH : -EINVAL;
	return v;
}

static int64_t domctl_setvcpuaffinity(struct vcpu *cur, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
	uint64_t hard, soft;
	int64_t err;
	struct vcpu *v = get_vcpu(d, a->vcpu, &err);

	if (!v)
		return err;
	if (!a->flags || a->flags & ~(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT))
		return -EINVAL;
	if ((a->flags & XEN_VCPUAFFINITY_HARD && bitmap_from_guest(&hard, &a->cpumap_hard)) ||
	    (a->flags & XEN_VCPUAFFINITY_SOFT && bitmap_from_guest(&soft, &a->cpumap_soft)))
		return -EFAULT;
	if (a->flags & XEN_VCPUAFFINITY_HARD) {
		err = hard & online_cpus() ? sched_set_affinity(v, hard) : -EINVAL;
		if (err)
			return err;
		if (bitmap_to_guest(&a->cpumap_hard, hard & online_cpus()))
			return -EFAULT;
	}
	if (a->flags & XEN_VCPUAFFINITY_SOFT) {
		v->soft_affinity = soft;
		return bitmap_to_guest(&a->cpumap_soft, soft & v->affinity & online_cpus());
	}
	return 0;
}

static int64_t domctl_getvcpuaffinity(struct vcpu *cur, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
	int64_t err;
	struct vcpu *v = get_vcpu(d, a->vcpu, &err);

	if (!v)
		return err;
	if (!a->flags)
		return -EINVAL;
	if ((a->flags & XEN_VCPUAFFINITY_HARD && bitmap_to_guest(&a->cpumap_hard, v->affinity)) ||
	    (a->flags & XEN_VCPUAFFINITY_SOFT && bitmap_to_guest(&a->cpumap_soft, v->soft_affinity)))
		return -EFAULT;
	return 0;
}

/* One memory node. */
static int64_t domctl_setnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	uint64_t nodes;

	if (bitmap_from_guest(&nodes, &op->u.nodeaffinity.nodemap))
		return -EFAULT;
	return nodes & 1 ? 0 : -EINVAL;
}

static int64_t domctl_getnodeaffinity(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	return bitmap_to_guest(&op->u.nodeaffinity.nodemap, 1);
}

static int64_t domctl_getvcpuinfo(struct vcpu *cur, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_getvcpuinfo *i = &op->u.getvcpuinfo;
	int64_t err;
	struct vcpu *v = get_vcpu(d, i->vcpu, &err);

	if (!v)
		return err;
	i->online = !(v->stopped & VCPU_DOWN);
	i->blocked = !!(v->stopped & VCPU_BLOCKED);
	i->running = v->running;
	i->cpu_time = vcpu_time(v);
	i->cpu = v->cpu ? v->cpu->id : 0;
	return 0;
}

/* Of a domain that stopped itself, in place (xc_domain_resume). */
static int64_t domctl_resumedomain(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	if (d == v->domain || d->dying)
		return -EINVAL;
	domain_resume(d);
	return 0;
}

static int64_t domctl_getvcpucontext(struct vcpu *cur, struct domain *d, struct xen_domctl *op)
{
	int64_t err;
	struct vcpu *v = get_vcpu(d, op->u.vcpucontext.vcpu, &err);

	if (!v)
		return err;
	return d == cur->domain ? -EINVAL : vcpu_context_get(v, (gva_t)op->u.vcpucontext.ctxt.p);
}

static int64_t domctl_setvcpucontext(struct vcpu *cur, struct domain *d, struct xen_domctl *op)
{
	int64_t err;
	struct vcpu *v = get_vcpu(d, op->u.vcpucontext.vcpu, &err);

	if (!v)
		return err;
	return d == cur->domain ? -EINVAL : vcpu_context_set(v, (gva_t)op->u.vcpucontext.ctxt.p);
}

static int64_t domctl_scheduler_op(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;
	struct xen_domctl_sched_credit2 *c = &s->u.credit2;

	if (s->sched_id != XEN_SCHEDULER_CREDIT2)
		return -EINVAL;
	switch (s->cmd) {
	case XEN_DOMCTL_SCHEDOP_getinfo:
		c->weight = d->foreground ? WEIGHT_FOREGROUND : (uint16_t)d->weight;
		c->cap = d->cap;
		return 0;
	case XEN_DOMCTL_SCHEDOP_putinfo:
		if (c->weight) {
			d->foreground = c->weight == WEIGHT_FOREGROUND;
			d->weight = d->foreground ? WEIGHT_DEFAULT : c->weight;
		}
		sched_set_cap(d, c->cap);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- time ---- */

static int64_t domctl_settimeoffset(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	int64_t s = op->u.settimeoffset.time_offset_seconds;

	if (s != (int32_t)s)
		return -EINVAL;
	d->time_offset_seconds = (int32_t)s;
	pvclock_update_wallclock(d);
	return 0;
}

/* The TSC is never emulated; the mode is what cpuid says of it (policy.c). */
static int64_t domctl_gettscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	op->u.tsc_info = (struct xen_domctl_tsc_info){
		.gtsc_khz = (uint32_t)tsc_khz,
		.elapsed_nsec = tsc_to_ns(rdtsc() + (uint64_t)d->tsc_offset),
	};
	return 0;
}

static int64_t domctl_settscinfo(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	uint32_t mode = op->u.tsc_info.tsc_mode;

	if (d == v->domain)
		return -EINVAL;
	return mode == 0 || mode == 2 ? 0 : -EOPNOTSUPP; /* default, native */
}

/* ---- CPU state and policy ---- */

static int64_t domctl_gethvmcontext(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	return d == v->domain ? -EINVAL : hvmcontext_get(d, &op->u.hvmcontext);
}

static int64_t domctl_gethvmcontext_partial(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	return d == v->domain ? -EINVAL : hvmcontext_get_partial(d, &op->u.hvmcontext_partial);
}

static int64_t domctl_sethvmcontext(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	return d == v->domain || d->dying ? -EINVAL : hvmcontext_set(d, &op->u.hvmcontext);
}

static int64_t domctl_get_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;
	int rc = policy_leaves_to_guest(d, 0, (gva_t)p->leaves.p, &p->nr_leaves);

	return rc ? rc : policy_msrs_to_guest(XEN_SYSCTL_cpu_policy_hvm_default, (gva_t)p->msrs.p, &p->nr_msrs);
}

/* MSRs of the policy follow from the machine: values are checked for being known, not taken. */
static int check_msrs(struct xen_domctl_cpu_policy *p)
{
	xen_msr_entry_t known[2];
	unsigned n = policy_host_msrs(XEN_SYSCTL_cpu_policy_hvm_default, known, ARRAY_SIZE(known));

	if (p->nr_msrs > n)
		return -E2BIG;
	for (uint32_t i = 0; i < p->nr_msrs; i++) {
		xen_msr_entry_t e;
		unsigned k = 0;

		if (copy_from_guest(&e, (gva_t)p->msrs.p + i * sizeof(e), sizeof(e)))
			return -EFAULT;
		while (k < n && known[k].idx != e.idx)
			k++;
		p->err_msr = e.idx;
		if (k == n || e.flags || (e.val & ~known[k].val))
			return k == n ? -ERANGE : -EINVAL;
	}
	return 0;
}

static int64_t domctl_set_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;
	uint32_t bad[2] = { ~0u, ~0u };
	xen_cpuid_leaf_t *buf;
	int rc;

	if (d == v->domain)
		return -EINVAL;
	if (!d->pause_count)
		return -EEXIST; /* it runs already */
	if (p->nr_leaves > PAGE_SIZE / sizeof(*buf))
		return -E2BIG;
	rc = check_msrs(p);
	if (rc)
		return rc;
	buf = core_alloc(0);
	if (!buf)
		return -ENOMEM;
	rc = -EFAULT;
	if (!copy_from_guest(buf, (gva_t)p->leaves.p, p->nr_leaves * sizeof(*buf)))
		rc = policy_set_leaves(d, buf, p->nr_leaves, bad);
	core_free(buf, 0);
	p->err_leaf = rc ? bad[0] : ~0u;
	p->err_subleaf = rc ? bad[1] : ~0u;
	p->err_msr = ~0u;
	return rc;
}

static int64_t domctl_get_address_size(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	op->u.address_size.size = 64;
	return 0;
}

/* ---- memory ---- */

static int64_t domctl_get_paging_mempool_size(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	op->u.paging_mempool.size = d->mempool_bytes;
	return 0;
}

/* Page tables come from the heap as needed, up to this. */
static int64_t domctl_set_paging_mempool_size(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	if (op->u.paging_mempool.size & ~PAGE_MASK)
		return -EINVAL;
	d->mempool_bytes = op->u.paging_mempool.size;
	d->p2m.max_tables = (uint32_t)MAX(P2M_MIN_TABLES, MIN(d->mempool_bytes / PAGE_SIZE, UINT32_MAX));
	return 0;
}

/* Which of up to 1024 guest frames are memory: each array entry becomes its type. */
static int64_t domctl_getpageframeinfo3(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
	struct xen_domctl_getpageframeinfo3 *f = &op->u.getpageframeinfo3;

	if (f->num > 1024)
		return -E2BIG;
	for (uint64_t i = 0; i < f->num; i++) {
		gva_t at = (gva_t)f->array.p + i * sizeof(xen_pfn_t);
		enum p2m_type t;
		xen_pfn_t e;

		if (copy_from_guest(&e, at, sizeof(e)))
			return -EFAULT;
		p2m_get(d, e, &t, NULL);
		e = t == P2M_RAM || t == P2M_RAM_RO ? XEN_DOMCTL_PFINFO_NOTAB : XEN_DOMCTL_PFINFO_XTAB;
		if (copy_to_guest(at, &e, sizeof(e)))
			return -EFAULT;
	}
	return 0;
}

int64_t hypercall_domctl(struct vcpu *v, uint64_t *arg)
{
	struct xen_domctl op;
	struct domain *d;
	int64_t rc = -ENOSYS;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&op, arg[0], sizeof(op)))
		return -EFAULT;
	if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
		return -EACCES;
	d = domain_find(op.domain);
	if (!d && op.cmd != XEN_DOMCTL_createdomain)
		return -ESRCH;
	switch (op.cmd) {
#define OP(name)   case XEN_DOMCTL_##name: rc = domctl_##name(v, d, &op); break;
#define CASE(name) case XEN_DOMCTL_##name:
#include "domctl_ops.def"
	}
	/* Errors too bring something back: sizes that were too small, the leaf that was refused. */
	return rc != -ERESTART && copy_to_guest(arg[0], &op, sizeof(op)) ? -EFAULT : rc;
}
