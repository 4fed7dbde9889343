// SPDX-License-Identifier: Apache-2.0
/* Domains: creation, pausing, shutdown, and giving everything back. Core lock. */
#include "domain.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "errno.h"
#include "fpu.h"
#include "frame.h"
#include "iommu.h"
#include "map.h"
#include "pci.h"
#include "sched.h"
#include "shared.h"

#include <stdarg.h>
#include <xen/sched.h>

struct domain *dom0;
struct list domains = LIST_INIT(domains);

/* By domid, two levels; second-level pages are made on demand and kept. */
#define TABLE_ENTRIES (PAGE_SIZE / sizeof(struct domain *))
static struct domain **table[DIV_ROUND_UP(DOMID_FIRST_RESERVED, TABLE_ENTRIES)];

struct domain *domain_find(domid_t id)
{
	struct domain **t;

	if (id >= DOMID_FIRST_RESERVED)
		return NULL;
	t = table[id / TABLE_ENTRIES];
	return t ? t[id % TABLE_ENTRIES] : NULL;
}

static int list_domain(struct domain *d)
{
	struct domain ***t = &table[d->id / TABLE_ENTRIES];
	struct list *pos = domains.next;

	if (!*t)
		*t = core_alloc(0);
	if (!*t)
		return -ENOMEM;
	(*t)[d->id % TABLE_ENTRIES] = d;
	while (pos != &domains && list_entry(pos, struct domain, link)->id < d->id)
		pos = pos->next;
	list_add_tail(pos, &d->link);
	return 0;
}

static void stop_timers(struct vcpu *v)
{
	timer_cancel(&v->singleshot);
	timer_cancel(&v->periodic);
	timer_cancel(&v->poll_timer);
	vlapic_free(v);
}

/* Undoes domain_create, and is the last step of a dead domain. */
static void domain_free(struct domain *d)
{
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		struct vcpu *v = d->vcpu[i];

		if (!v)
			continue;
		sched_remove_vcpu(v);
		stop_timers(v);
		evtchn_vcpu_destroy(v);
		fpu_free_vcpu(v);
		cpu_ops->vcpu_free(v);
		kfree(v);
	}
	if (d->vpci)
		vpci_free(d);
	grant_free(d);
	evtchn_free(d);
	if (d->iommu)
		iommu_domain_free(d);
	p2m_free(d);
	if (d->shared_info)
		frame_put(d->shared_info_mfn);
	policy_free_domain(d);
	timer_cancel(&d->cap_timer);
	kfree(d);
}

struct domain *domain_create(domid_t id, uint32_t flags, unsigned max_vcpus, unsigned max_evtchn_port,
			     unsigned max_grant_frames, unsigned max_maptrack_frames, int *err)
{
	struct domain *d;

	*err = -EINVAL;
	if (id >= DOMID_FIRST_RESERVED || !max_vcpus || max_vcpus > MAX_VCPUS)
		return NULL;
	*err = -EEXIST;
	if (domain_find(id))
		return NULL;
	*err = -ENOMEM;
	d = kalloc(sizeof(*d));
	if (!d)
		return NULL;
	d->id = id;
	d->refs = 2; /* listed, and owner of memory */
	d->create_flags = flags;
	d->max_vcpus = max_vcpus;
	d->weight = WEIGHT_DEFAULT;
	d->hvm_params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
	list_init(&d->link);
	sched_init_domain(d);
	if ((*err = p2m_init(d)) || (*err = policy_init_domain(d)) || (*err = evtchn_init(d, max_evtchn_port)) ||
	    (*err = list_domain(d)))
		goto fail;
	d->shared_info_mfn = frame_alloc_shared(d);
	*err = -ENOMEM;
	if (d->shared_info_mfn == INVALID_MFN)
		goto fail;
	d->shared_info = mfn_to_virt(d->shared_info_mfn);
	if ((*err = grant_init(d, max_grant_frames, max_maptrack_frames)))
		goto fail;
	pvclock_update_wallclock(d);
	return d;
fail:
	if (!list_empty(&d->link)) {
		list_del(&d->link);
		table[id / TABLE_ENTRIES][id % TABLE_ENTRIES] = NULL;
	}
	domain_free(d);
	return NULL;
}

struct vcpu *domain_add_vcpu(struct domain *d, unsigned id, int *err)
{
	struct vcpu *v;

	*err = -EINVAL;
	if (id >= d->max_vcpus || d->vcpu[id])
		return NULL;
	*err = -ENOMEM;
	v = kalloc(sizeof(*v));
	if (!v)
		return NULL;
	v->domain = d;
	v->id = id;
	v->stopped = VCPU_DOWN;
	v->irq_offered = -1;
	v->vcpu_info = (struct vcpu_info *)&d->shared_info->vcpu_info[id];
	v->vcpu_info_mfn = INVALID_MFN;
	vcpu_timers_init(v);
	sched_init_vcpu(v);
	vlapic_init(v);
	if ((*err = fpu_init_vcpu(v)))
		goto fail_fpu;
	if ((*err = cpu_ops->vcpu_init(v)))
		goto fail_hw;
	vcpu_reset_state(v);
	d->vcpu[id] = v;
	return v;
fail_hw:
	fpu_free_vcpu(v);
fail_fpu:
	vlapic_free(v);
	sched_remove_vcpu(v);
	kfree(v);
	return NULL;
}

void domain_put(struct domain *d)
{
	if (--d->refs)
		return;
	list_del(&d->link);
	table[d->id / TABLE_ENTRIES][d->id % TABLE_ENTRIES] = NULL;
	domain_free(d);
	virq_raise_global(VIRQ_DOM_EXC);
}

void domain_frames_gone(struct domain *d)
{
	if (d->dying == DOM_DEAD)
		domain_put(d);
}

/* Waits until no vCPU of d is in guest mode. The caller made them not runnable. */
static void kick_all(struct domain *d)
{
	for_each_vcpu(d, v) {
		if (v->running && v->cpu != this_cpu()) {
			cpu_kick(v->cpu);
			cpu_wait_exit(v->cpu);
		}
	}
}

void domain_pause(struct domain *d)
{
	if (d->pause_count++)
		return;
	sched_domain_changed(d);
	kick_all(d);
}

void domain_unpause(struct domain *d)
{
	if (d->pause_count && !--d->pause_count)
		sched_domain_changed(d);
}

static void stop_all(struct domain *d, uint32_t why)
{
	for_each_vcpu(d, v)
		sched_stop(v, why);
	kick_all(d);
}

/* True while some CPU still has one of d's vCPUs, or its state; asks those CPUs to let go. One that was asked for the state
 * only (vcpu_sync) still has an exit to handle. */
static bool in_use(struct domain *d)
{
	bool used = false;

	for_each_vcpu(d, v) {
		if (v->running || v->cpu->current == v) {
			cpu_kick(v->cpu);
			used = true;
		}
	}
	return used;
}

int domain_destroy(struct domain *d)
{
	int rc;

	if (d->dying == DOM_DEAD)
		return 0;
	if (d->dying == DOM_ALIVE) {
		d->dying = DOM_DYING;
		stop_all(d, VCPU_DYING);
		evtchn_destroy(d);
	}
	if (in_use(d))
		return -ERESTART;
	foreign_release(dom0);
	if ((rc = grant_relinquish(d)) || (rc = p2m_relinquish(d, &d->relinquish_cursor)))
		return rc;
	for_each_vcpu(d, v) {
		stop_timers(v);
		vcpu_info_release(v);
	}
	d->dying = DOM_DEAD;
	virq_raise_global(VIRQ_DOM_EXC);
	if (!d->tot_pages)
		domain_put(d);
	domain_put(d);
	return 0;
}

void domain_shutdown(struct domain *d, int code)
{
	static const char *const names[] = { "power off", "reboot", "suspend", "crash", "watchdog", "soft reset" };

	if (d->shut_down)
		return;
	d->shut_down = true;
	d->shutdown_code = code;
	printk("d%u: %s", d->id, (unsigned)code < ARRAY_SIZE(names) ? names[code] : "shutdown");
	if (d == dom0) {
		if (code == SHUTDOWN_poweroff)
			machine_poweroff();
		if (code == SHUTDOWN_reboot && !opt.noreboot)
			machine_reboot();
		panic("the service domain stopped (%s)",
		      (unsigned)code < ARRAY_SIZE(names) ? names[code] : "unknown reason");
	}
	stop_all(d, VCPU_SHUTDOWN);
	virq_raise_global(VIRQ_DOM_EXC);
}

void domain_resume(struct domain *d)
{
	if (!d->shut_down)
		return;
	d->shut_down = false;
	for_each_vcpu(d, v)
		sched_start(v, VCPU_SHUTDOWN);
}

void domain_crash(struct vcpu *v, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	if (v->domain->shut_down)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	printk(LOG_WARN "d%uv%u stopped at rip %lx: %s", v->domain->id, v->id, v->regs.rip, why);
	domain_shutdown(v->domain, SHUTDOWN_crash);
}
