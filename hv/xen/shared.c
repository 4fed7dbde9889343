// SPDX-License-Identifier: Apache-2.0
/* What the guest reads without asking: time in vcpu_info, wallclock in shared_info (xen/xen.h). Core lock. */
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "map.h"
#include "shared.h"
#include "time.h"
#include "vcpu.h"

#include <xen/vcpu.h>
#include <xen/xen.h>

_Static_assert(sizeof(struct vcpu_info) == 64 && sizeof(struct vcpu_time_info) == 32, "xen/xen.h");
_Static_assert(MAX_VCPUS <= XEN_LEGACY_MAX_VCPUS, "every vCPU has a place in shared_info");

void time_area_write(struct vcpu *v)
{
	struct vcpu_time_info t = v->vcpu_info->time;
	uint32_t version = t.version & ~1u;
	gva_t to = v->time_gva;

	t.version = version | 1;
	if (copy_to_guest(to, &t.version, sizeof(t.version)) || copy_to_guest(to, &t, sizeof(t)))
		return; /* not mapped now: the next update will do */
	barrier();
	copy_to_guest(to, &version, sizeof(version));
}

void pvclock_update(struct vcpu *v)
{
	struct vcpu_time_info *t = &v->vcpu_info->time;
	uint32_t version = (READ_ONCE(t->version) & ~1u) + 2;
	uint64_t tsc;

	/* With a stable TSC all vCPUs count from the same point, for ever: readings on different ones cannot go backwards by a rounding. */
	tsc = tsc_stable ? tsc_start : rdtsc();
	WRITE_ONCE(t->version, version - 1);
	barrier();
	t->tsc_timestamp = tsc + (uint64_t)v->domain->tsc_offset;
	t->system_time = tsc_to_ns(tsc);
	t->tsc_to_system_mul = tsc_mul;
	t->tsc_shift = tsc_shift;
	t->flags = (tsc_stable ? XEN_PVCLOCK_TSC_STABLE_BIT : 0) | (t->flags & XEN_PVCLOCK_GUEST_STOPPED);
	barrier();
	WRITE_ONCE(t->version, version);
	v->time_updated = now();
	if (v->time_gva && v == current_vcpu())
		time_area_write(v);
}

void pvclock_domain_slept(struct domain *d, uint64_t tsc_lost)
{
	d->tsc_offset += (int64_t)tsc_lost;
	for_each_vcpu(d, v) {
		v->vcpu_info->time.flags |= XEN_PVCLOCK_GUEST_STOPPED;
		v->time_updated = 0;
	}
}

void pvclock_update_wallclock(struct domain *d)
{
	struct shared_info *s = d->shared_info;
	uint32_t version = (READ_ONCE(s->wc_version) & ~1u) + 2, nsec;
	uint64_t sec;

	wallclock_get(&sec, &nsec);
	sec += (uint64_t)(int64_t)d->time_offset_seconds;
	WRITE_ONCE(s->wc_version, version - 1);
	barrier();
	s->wc_sec = (uint32_t)sec;
	s->wc_sec_hi = (uint32_t)(sec >> 32);
	s->wc_nsec = nsec;
	barrier();
	WRITE_ONCE(s->wc_version, version);
}

int vcpu_info_register(struct vcpu *v, gfn_t gfn, unsigned offset)
{
	struct vcpu_info *info;
	mfn_t mfn;

	if (offset >= PAGE_SIZE)
		return -EINVAL;
	if (v->vcpu_info_mfn != INVALID_MFN)
		return -EBUSY;
	if (offset > PAGE_SIZE - sizeof(*info) || offset % sizeof(xen_ulong_t))
		return -ENXIO;
	mfn = guest_frame_get(v->domain, gfn);
	if (mfn == INVALID_MFN)
		return -EINVAL;
	info = (struct vcpu_info *)((char *)mfn_to_virt(mfn) + offset);
	*info = *v->vcpu_info;
	v->vcpu_info = info;
	v->vcpu_info_mfn = mfn;
	/* Events may have gone to the old place between the guest's last look there and now: have it look at all. */
	__atomic_store_n(&info->evtchn_pending_sel, ~0ul, __ATOMIC_SEQ_CST);
	info->evtchn_upcall_pending = 0;
	vcpu_mark_events_pending(v);
	pvclock_update(v);
	return 0;
}

void vcpu_info_release(struct vcpu *v)
{
	mfn_t mfn = v->vcpu_info_mfn;

	if (mfn == INVALID_MFN)
		return;
	v->vcpu_info = (struct vcpu_info *)&v->domain->shared_info->vcpu_info[v->id];
	v->vcpu_info_mfn = INVALID_MFN;
	frame_put(mfn);
}
