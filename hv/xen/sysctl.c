// SPDX-License-Identifier: Apache-2.0
/* sysctl (xen/sysctl.h): what the toolstack asks about the machine. Only for the service domain. */
#include "cpu.h"
#include "cpu_ops.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "toolstack.h"

#include <xen/sysctl.h>

/* ---- console ring ---- */

static int64_t sysctl_readconsole(struct xen_sysctl *op)
{
	struct xen_sysctl_readconsole *r = &op->u.readconsole;
	uint32_t index = r->incremental ? r->index : 0, done = 0, n = 1;

	while (done < r->count && n) {
		char buf[256];

		n = console_ring_read(buf, MIN(r->count - done, (uint32_t)sizeof(buf)), &index, false);
		if (copy_to_guest((gva_t)r->buffer.p + done, buf, n))
			return -EFAULT;
		done += n;
	}
	if (r->clear)
		console_ring_read(NULL, 0, &index, true);
	r->count = done;
	r->index = index;
	return 0;
}

/* ---- machine ---- */

static int64_t sysctl_physinfo(struct xen_sysctl *op)
{
	struct xen_sysctl_physinfo *p = &op->u.physinfo;

	foreign_release(dom0); /* what it unmapped counts as free */
	memset(p, 0, sizeof(*p));
	p->threads_per_core = 1;
	p->cores_per_socket = nr_cpus;
	p->nr_cpus = nr_cpus;
	p->max_cpu_id = nr_cpus - 1;
	p->nr_nodes = 1;
	p->cpu_khz = (uint32_t)tsc_khz;
	p->capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap | XEN_SYSCTL_PHYSCAP_gnttab_v1 |
			  (iommu_enabled ? XEN_SYSCTL_PHYSCAP_directio : 0);
	p->total_pages = frame_total_pages();
	p->free_pages = frame_free_pages();
	p->outstanding_pages = claimed_pages();
	p->max_mfn = frame_max - 1;
	policy_featureset(XEN_SYSCTL_cpu_featureset_host, p->hw_cap, ARRAY_SIZE(p->hw_cap));
	return 0;
}

static int64_t sysctl_availheap(struct xen_sysctl *op)
{
	op->u.availheap.avail_bytes = frame_free_pages() * PAGE_SIZE;
	return 0;
}

static int64_t sysctl_cputopoinfo(struct xen_sysctl *op)
{
	struct xen_sysctl_cputopoinfo *t = &op->u.cputopoinfo;
	uint32_t n = MIN(t->num_cpus, nr_cpus);

	for (uint32_t i = 0; t->cputopo.p && i < n; i++) {
		xen_sysctl_cputopo_t c = { .core = i };

		if (copy_to_guest((gva_t)t->cputopo.p + i * sizeof(c), &c, sizeof(c)))
			return -EFAULT;
	}
	t->num_cpus = nr_cpus;
	return 0;
}

/* One node. */
static int64_t sysctl_numainfo(struct xen_sysctl *op)
{
	struct xen_sysctl_numainfo *n = &op->u.numainfo;
	xen_sysctl_meminfo_t m = { .memsize = frame_total_pages() * PAGE_SIZE, .memfree = frame_free_pages() * PAGE_SIZE };
	uint32_t distance = 10;

	if (n->num_nodes && n->meminfo.p && copy_to_guest((gva_t)n->meminfo.p, &m, sizeof(m)))
		return -EFAULT;
	if (n->num_nodes && n->distance.p && copy_to_guest((gva_t)n->distance.p, &distance, sizeof(distance)))
		return -EFAULT;
	n->num_nodes = 1;
	return 0;
}

/* ---- domains and scheduling ---- */

static int64_t sysctl_getdomaininfolist(struct xen_sysctl *op)
{
	struct xen_sysctl_getdomaininfolist *g = &op->u.getdomaininfolist;
	uint32_t n = 0;

	list_for_each(l, &domains) {
		struct domain *d = list_entry(l, struct domain, link);
		struct xen_domctl_getdomaininfo info;

		if (d->id < g->first_domain)
			continue;
		if (n == g->max_domains)
			break;
		domain_info(d, &info);
		if (copy_to_guest((gva_t)g->buffer.p + n * sizeof(info), &info, sizeof(info)))
			return -EFAULT;
		n++;
	}
	g->num_domains = n;
	return 0;
}

static int64_t sysctl_sched_id(struct xen_sysctl *op)
{
	op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
	return 0;
}

/* The core's scheduler has no parameters of its own. */
static int64_t sysctl_scheduler_op(struct xen_sysctl *op)
{
	struct xen_sysctl_scheduler_op *s = &op->u.scheduler_op;

	if (s->cpupool_id)
		return -ESRCH;
	if (s->sched_id != XEN_SCHEDULER_CREDIT2 || s->cmd != XEN_SYSCTL_SCHEDOP_getinfo)
		return -EINVAL;
	s->u.sched_credit2.ratelimit_us = 0;
	return 0;
}

/* One pool, 0, with all CPUs and all domains. */
static int64_t sysctl_cpupool_op(struct xen_sysctl *op)
{
	struct xen_sysctl_cpupool_op *c = &op->u.cpupool_op;

	switch (c->op) {
	case XEN_SYSCTL_CPUPOOL_OP_INFO:
		if (c->cpupool_id)
			return -ENOENT;
		c->sched_id = XEN_SCHEDULER_CREDIT2;
		c->n_dom = 0;
		list_for_each(l, &domains)
			c->n_dom++;
		return bitmap_to_guest(&c->cpumap, online_cpus());
	case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
		return bitmap_to_guest(&c->cpumap, 0);
	case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
		return c->cpupool_id ? -ENOENT : domain_find((domid_t)c->domid) ? 0 : -ESRCH;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- CPU policy ---- */

static int64_t sysctl_get_cpu_featureset(struct xen_sysctl *op)
{
	struct xen_sysctl_cpu_featureset *f = &op->u.cpu_featureset;
	uint32_t words[32], room = f->nr_features;

	if (f->index > XEN_SYSCTL_cpu_featureset_hvm_max)
		return -EINVAL;
	if (f->index == XEN_SYSCTL_cpu_featureset_pv || f->index == XEN_SYSCTL_cpu_featureset_pv_max)
		return -EOPNOTSUPP;
	f->nr_features = policy_featureset(f->index, words, ARRAY_SIZE(words));
	if (!f->features.p)
		return 0;
	if (copy_to_guest((gva_t)f->features.p, words, MIN(room, f->nr_features) * sizeof(words[0])))
		return -EFAULT;
	return room < f->nr_features ? -ENOBUFS : 0;
}

static int64_t sysctl_get_cpu_policy(struct xen_sysctl *op)
{
	struct xen_sysctl_cpu_policy *p = &op->u.cpu_policy;
	int rc;

	if (p->_rsvd || p->index > XEN_SYSCTL_cpu_policy_hvm_default)
		return -EINVAL;
	if (p->index == XEN_SYSCTL_cpu_policy_pv_max || p->index == XEN_SYSCTL_cpu_policy_pv_default)
		return -EOPNOTSUPP;
	rc = policy_leaves_to_guest(NULL, p->index, (gva_t)p->leaves.p, &p->nr_leaves);
	return rc ? rc : policy_msrs_to_guest(p->index, (gva_t)p->msrs.p, &p->nr_msrs);
}

static int64_t sysctl_get_cpu_levelling_caps(struct xen_sysctl *op)
{
	op->u.cpu_levelling_caps.caps = 0;
	return 0;
}

int64_t hypercall_sysctl(struct vcpu *v, uint64_t *arg)
{
	struct xen_sysctl op;
	int64_t rc = -ENOSYS;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&op, arg[0], sizeof(op)))
		return -EFAULT;
	if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
		return -EACCES;
	switch (op.cmd) {
#define OP(name)   case XEN_SYSCTL_##name: rc = sysctl_##name(&op); break;
#define CASE(name) case XEN_SYSCTL_##name:
#include "sysctl_ops.def"
	}
	/* Errors too bring something back: how much room there should have been. */
	return copy_to_guest(arg[0], &op, sizeof(op)) ? -EFAULT : rc;
}
