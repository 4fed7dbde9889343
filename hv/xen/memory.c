// SPDX-License-Identifier: Apache-2.0
/* memory_op (xen/memory.h): what is where in a domain's physical address space. */
#include "boot.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "map.h"

#include <xen/memory.h>

/* The command's upper bits say how many extents an earlier part of the same call has done. */
#define CMD_BITS   6
#define CMD_MASK   (BIT(CMD_BITS) - 1)
#define START_MAX  (UINT32_MAX >> CMD_BITS)
/* Largest extent: 2 MiB are scrubbed in one go, more would hold the core lock for too long. libxc falls back to it. */
#define MAX_ORDER  9

static int64_t go_on(uint64_t *arg, uint64_t done)
{
	arg[0] = (arg[0] & CMD_MASK) | done << CMD_BITS;
	return -ERESTART;
}

/* ---- one slot of the p2m ---- */

/* Device registers and granted pages are taken out by their own interfaces only. */
static bool slot_removable(enum p2m_type t)
{
	return t != P2M_MMIO && t != P2M_GRANT_RW && t != P2M_GRANT_RO;
}

/* Drops the reference that a slot of type t held, after p2m_flush. Own RAM goes back to the heap. */
static void slot_release(mfn_t mfn, enum p2m_type t)
{
	if (t != P2M_SHARED)
		frame_put(mfn);
}

/* Puts mfn at gfn instead of what is there. -EPERM when that may not be removed, or p2m_set's errors. */
static int slot_set(struct domain *d, gfn_t gfn, mfn_t mfn, enum p2m_type t)
{
	enum p2m_type old_type;
	mfn_t old = p2m_get(d, gfn, &old_type, NULL);
	int rc;

	if (!slot_removable(old_type))
		return -EPERM;
	rc = p2m_set(d, gfn, mfn, 0, t);
	if (rc || old_type == P2M_NONE)
		return rc;
	p2m_flush(d);
	slot_release(old, old_type);
	return 0;
}

/* Slots taken out of the p2m whose references wait for one flush. */
struct removed {
	struct domain *d;
	unsigned n;
	struct {
		mfn_t mfn;
		enum p2m_type type;
	} slot[64];
};

static void removed_release(struct removed *r)
{
	if (r->n)
		p2m_flush(r->d);
	for (unsigned i = 0; i < r->n; i++)
		slot_release(r->slot[i].mfn, r->slot[i].type);
	r->n = 0;
}

/* -ENOENT: nothing there. -EPERM: may not be removed. */
static int slot_remove(struct removed *r, gfn_t gfn)
{
	enum p2m_type t;
	mfn_t mfn = p2m_get(r->d, gfn, &t, NULL);
	int rc;

	if (t == P2M_NONE)
		return -ENOENT;
	if (!slot_removable(t))
		return -EPERM;
	rc = p2m_clear(r->d, gfn, 0);
	if (rc)
		return rc;
	r->slot[r->n].mfn = mfn;
	r->slot[r->n++].type = t;
	if (r->n == ARRAY_SIZE(r->slot))
		removed_release(r);
	return 0;
}

/* Linux takes foreign mappings out one page a call. Their references are kept until one flush serves many: nothing else can
 * use the frames meanwhile, p2m_set flushes before a slot gets a new meaning, and a timer sets an end to it. */
#define UNMAPPED_DELAY 10000000ull /* ns */

void foreign_release(struct domain *d)
{
	struct released *u = &d->released;

	if (!u->n)
		return;
	p2m_flush(d);
	while (u->n)
		frame_put(u->mfn[--u->n]);
	timer_cancel(&u->timer);
}

static void unmapped_expired(struct timer *t)
{
	foreign_release(container_of(t, struct domain, released.timer));
}

static void foreign_unmapped(struct domain *d, mfn_t mfn)
{
	struct released *u = &d->released;

	if (!u->n) {
		timer_init(&u->timer, unmapped_expired);
		timer_set(&u->timer, now() + UNMAPPED_DELAY);
	}
	u->mfn[u->n++] = mfn;
	if (u->n == ARRAY_SIZE(u->mfn))
		foreign_release(d);
}

/* ---- reservations ---- */

static struct domain *get_reservation(struct vcpu *v, uint64_t *arg, struct guest_window *w, struct xen_memory_reservation *r,
				      int *err)
{
	*err = -EFAULT;
	if (guest_read(w, r, arg[1], sizeof(*r)))
		return NULL;
	return domain_for_op(v, r->domid, err);
}

/* The service domain without an IOMMU does DMA by guest-physical address: it gets the very frame, or none. */
static mfn_t frame_for(struct domain *d, gfn_t gfn, unsigned order)
{
	if (!d->is_dom0 || iommu_enabled)
		return frame_alloc(d, order);
	if (d->tot_pages + BIT(order) > d->max_pages || frame_claim(gfn, BIT(order), d))
		return INVALID_MFN;
	memset(mfn_to_virt(gfn), 0, PAGE_SIZE << order);
	return gfn;
}

static bool populate(struct domain *d, gfn_t gfn, unsigned order)
{
	struct removed old;
	mfn_t mfn;
	int rc = 0;

	old.d = d;
	old.n = 0;
	if (gfn & (BIT(order) - 1))
		return false;
	for (uint64_t i = 0; i < BIT(order) && (!rc || rc == -ENOENT); i++)
		rc = slot_remove(&old, gfn + i);
	removed_release(&old);
	if (rc && rc != -ENOENT)
		return false;
	mfn = frame_for(d, gfn, order);
	if (mfn == INVALID_MFN)
		return false;
	if (p2m_set(d, gfn, mfn, order, P2M_RAM)) {
		for (uint64_t i = 0; i < BIT(order); i++)
			frame_put(mfn + i);
		return false;
	}
	d->outstanding -= MIN(d->outstanding, BIT(order));
	return true;
}

/* Returns how many extents are populated; fewer than asked for is how running out of memory shows. */
static int64_t memory_populate_physmap(struct vcpu *v, uint64_t *arg)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	uint64_t i = arg[0] >> CMD_BITS;
	struct xen_memory_reservation r;
	struct domain *d;
	int err;

	d = get_reservation(v, arg, &w, &r, &err);
	if (!d)
		return err;
	if (r.nr_extents > START_MAX || r.extent_order > MAX_ORDER || (r.mem_flags & XENMEMF_populate_on_demand))
		return (int64_t)i;
	for (; i < r.nr_extents; i++) {
		xen_pfn_t gfn;

		if (guest_read(&w, &gfn, (gva_t)r.extent_start.p + i * sizeof(gfn), sizeof(gfn)) ||
		    !populate(d, gfn, r.extent_order))
			break;
		if (i + 1 < r.nr_extents && hypercall_preempt())
			return go_on(arg, i + 1);
	}
	return (int64_t)i;
}

/* Returns how many extents are gone. */
static int64_t memory_decrease_reservation(struct vcpu *v, uint64_t *arg)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	uint64_t i = arg[0] >> CMD_BITS;
	struct xen_memory_reservation r;
	struct removed gone;
	int err;

	gone.n = 0;
	gone.d = get_reservation(v, arg, &w, &r, &err);
	if (!gone.d)
		return err;
	if (r.nr_extents > START_MAX || r.extent_order > MAX_ORDER)
		return (int64_t)i;
	for (err = 0; i < r.nr_extents; i++) {
		xen_pfn_t gfn;

		if (guest_read(&w, &gfn, (gva_t)r.extent_start.p + i * sizeof(gfn), sizeof(gfn)))
			break;
		for (uint64_t j = 0; j < BIT(r.extent_order) && !err; j++)
			err = slot_remove(&gone, gfn + j);
		if (err)
			break;
		if (i + 1 < r.nr_extents && hypercall_preempt()) {
			removed_release(&gone);
			return go_on(arg, i + 1);
		}
	}
	removed_release(&gone);
	return (int64_t)i;
}

uint64_t claimed_pages(void)
{
	uint64_t n = 0;

	list_for_each(l, &domains) {
		struct domain *d = list_entry(l, struct domain, link);

		n += d->dying ? 0 : d->outstanding;
	}
	return n;
}

/* Sets memory aside for a domain about to be built, so that starting too many fails early. 0 gives the claim back. */
static int64_t memory_claim_pages(struct vcpu *v, uint64_t *arg)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	struct xen_memory_reservation r;
	struct domain *d;
	int err;

	if (!v->domain->privileged)
		return -EPERM;
	d = get_reservation(v, arg, &w, &r, &err);
	if (!d)
		return err;
	if (r.extent_start.p || r.extent_order || r.mem_flags)
		return -EINVAL;
	if (!r.nr_extents) {
		d->outstanding = 0;
		return 0;
	}
	if (d->outstanding || r.nr_extents <= d->tot_pages || r.nr_extents > d->max_pages)
		return -EINVAL;
	if (claimed_pages() + r.nr_extents - d->tot_pages > frame_free_pages())
		return -ENOMEM;
	d->outstanding = r.nr_extents - d->tot_pages;
	return 0;
}

/* ---- mapping ---- */

/* Another domain's page into the service domain: the toolstack's and the back ends' way to a guest's memory. Hot. */
static int map_foreign(struct domain *d, gfn_t gfn, domid_t from, gfn_t from_gfn)
{
	struct domain *f = domain_find(from);
	enum p2m_type t;
	mfn_t mfn;
	int rc;

	if (unlikely(!f))
		return -ESRCH;
	if (unlikely(f == d || f->is_dom0))
		return -EPERM;
	mfn = p2m_get(f, from_gfn, &t, NULL);
	if (unlikely((t != P2M_RAM && t != P2M_RAM_RO && t != P2M_SHARED) || !frame_get(mfn, from)))
		return -EINVAL;
	rc = slot_set(d, gfn, mfn, t == P2M_RAM_RO ? P2M_FOREIGN_RO : P2M_FOREIGN);
	if (unlikely(rc))
		frame_put(mfn);
	return rc;
}

/* A page of d's grant table; it is in one place only, so that the guest can move it. */
static int map_grant_table(struct domain *d, gfn_t gfn, uint64_t idx)
{
	mfn_t mfn = idx < GRANT_FRAMES_MAX ? grant_table_frame(d, (unsigned)idx) : INVALID_MFN;
	gfn_t *at;
	enum p2m_type t;
	int rc;

	if (mfn == INVALID_MFN)
		return -EINVAL;
	at = &d->grant.shared_gfn[idx];
	rc = slot_set(d, gfn, mfn, P2M_SHARED);
	if (rc || *at == gfn)
		return rc;
	if (*at != INVALID_GFN && p2m_get(d, *at, &t, NULL) == mfn && t == P2M_SHARED) {
		rc = p2m_clear(d, *at, 0);
		p2m_flush(d);
	}
	*at = gfn;
	return rc;
}

/* Moves a page of d's own RAM. */
static int move_page(struct domain *d, gfn_t gfn, gfn_t from)
{
	enum p2m_type t, to_type;
	mfn_t mfn = p2m_get(d, from, &t, NULL);
	int rc;

	if (t != P2M_RAM)
		return -EINVAL;
	p2m_get(d, gfn, &to_type, NULL);
	if (gfn == from || !slot_removable(to_type))
		return gfn == from ? 0 : -EPERM;
	rc = p2m_clear(d, from, 0);
	if (rc)
		return rc;
	p2m_flush(d);
	rc = slot_set(d, gfn, mfn, P2M_RAM);
	if (rc && p2m_set(d, from, mfn, 0, P2M_RAM)) /* cannot fail: the slot's table is still there */
		frame_put(mfn);
	return rc;
}

static int add_to_physmap(struct domain *d, unsigned space, uint64_t idx, gfn_t gfn)
{
	switch (space) {
	case XENMAPSPACE_shared_info:
		return idx ? -EINVAL : slot_set(d, gfn, d->shared_info_mfn, P2M_SHARED);
	case XENMAPSPACE_grant_table:
		return map_grant_table(d, gfn, idx);
	case XENMAPSPACE_gmfn:
		return move_page(d, gfn, idx);
	default:
		return -EINVAL;
	}
}

static int64_t memory_add_to_physmap(struct vcpu *v, uint64_t *arg)
{
	uint64_t i = arg[0] >> CMD_BITS;
	struct xen_add_to_physmap a;
	struct domain *d;
	int rc;

	if (copy_from_guest(&a, arg[1], sizeof(a)))
		return -EFAULT;
	d = domain_for_op(v, a.domid, &rc);
	if (!d || d->dying)
		return d ? -EINVAL : rc;
	if (a.space != XENMAPSPACE_gmfn_range)
		return add_to_physmap(d, a.space, a.idx, a.gpfn);
	if (a.idx + a.size < a.idx || a.gpfn + a.size < a.gpfn)
		return -EOVERFLOW;
	for (; i < a.size; i++) {
		rc = move_page(d, a.gpfn + i, a.idx + i);
		if (rc)
			return rc;
		if (i + 1 < a.size && hypercall_preempt())
			return go_on(arg, i + 1);
	}
	return 0;
}

static int64_t memory_add_to_physmap_batch(struct vcpu *v, uint64_t *arg)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	uint64_t i = arg[0] >> CMD_BITS;
	struct xen_add_to_physmap_batch b;
	struct domain *d;
	int rc;

	if (guest_read(&w, &b, arg[1], sizeof(b)))
		return -EFAULT;
	d = domain_for_op(v, b.domid, &rc);
	if (!d || d->dying)
		return d ? -EINVAL : rc;
	if (b.space == XENMAPSPACE_gmfn_foreign && (d != v->domain || !d->privileged))
		return -EPERM;
	if (b.space == XENMAPSPACE_gmfn_range)
		return -EINVAL;
	for (; i < b.size; i++) {
		xen_ulong_t idx;
		xen_pfn_t gfn;

		if (guest_read(&w, &idx, (gva_t)b.idxs.p + i * sizeof(idx), sizeof(idx)) ||
		    guest_read(&w, &gfn, (gva_t)b.gpfns.p + i * sizeof(gfn), sizeof(gfn)))
			return -EFAULT;
		if (likely(b.space == XENMAPSPACE_gmfn_foreign))
			rc = map_foreign(d, gfn, b.u.foreign_domid, idx);
		else
			rc = add_to_physmap(d, b.space, idx, gfn);
		if (guest_write(&w, (gva_t)b.errs.p + i * sizeof(rc), &rc, sizeof(rc)))
			return -EFAULT;
		if (i + 1 < b.size && hypercall_preempt())
			return go_on(arg, i + 1);
	}
	return 0;
}

static int64_t memory_remove_from_physmap(struct vcpu *v, uint64_t *arg)
{
	struct xen_remove_from_physmap a;
	enum p2m_type t;
	struct domain *d;
	mfn_t mfn;
	int rc;

	if (copy_from_guest(&a, arg[1], sizeof(a)))
		return -EFAULT;
	d = domain_for_op(v, a.domid, &rc);
	if (!d)
		return rc;
	mfn = p2m_get(d, a.gpfn, &t, NULL);
	if (t == P2M_NONE || t == P2M_MMIO)
		return -ENOENT;
	if (!slot_removable(t))
		return -EPERM;
	rc = p2m_clear(d, a.gpfn, 0);
	if (rc)
		return rc;
	if (t == P2M_FOREIGN || t == P2M_FOREIGN_RO) {
		foreign_unmapped(d, mfn);
		return 0;
	}
	p2m_flush(d);
	slot_release(mfn, t);
	return 0;
}

/* Maps pages of a domain's grant table into the service domain; the domain builder writes the first entries so. */
static int64_t memory_acquire_resource(struct vcpu *v, uint64_t *arg)
{
	uint64_t i = arg[0] >> CMD_BITS;
	struct xen_mem_acquire_resource r;
	struct domain *d;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&r, arg[1], sizeof(r)))
		return -EFAULT;
	if (r.pad || r.frame + r.nr_frames < r.frame || r.nr_frames > START_MAX)
		return -EINVAL;
	d = domain_find(r.domid);
	if (!d || d == v->domain)
		return d ? -EPERM : -ESRCH;
	if (r.type != XENMEM_resource_grant_table || r.id != XENMEM_resource_grant_table_id_shared)
		return -EOPNOTSUPP;
	if (!r.frame_list.p) {
		if (r.nr_frames)
			return -EINVAL;
		r.nr_frames = d->grant.max_frames;
		return copy_to_guest(arg[1], &r, sizeof(r));
	}
	for (; i < r.nr_frames; i++) {
		uint64_t idx = r.frame + i;
		mfn_t mfn = idx < GRANT_FRAMES_MAX && !d->dying ? grant_table_frame(d, (unsigned)idx) : INVALID_MFN;
		xen_pfn_t gfn;
		int rc;

		if (copy_from_guest(&gfn, (gva_t)r.frame_list.p + i * sizeof(gfn), sizeof(gfn)))
			return -EFAULT;
		if (mfn == INVALID_MFN || !frame_get(mfn, d->id))
			return -EINVAL;
		rc = slot_set(v->domain, gfn, mfn, P2M_FOREIGN);
		if (rc) {
			frame_put(mfn);
			return rc;
		}
		if (i + 1 < r.nr_frames && hypercall_preempt())
			return go_on(arg, i + 1);
	}
	return 0;
}

/* ---- what there is ---- */

static int64_t give_map(uint64_t *arg, const struct e820_entry *e, unsigned n)
{
	struct xen_memory_map m;

	if (copy_from_guest(&m, arg[1], sizeof(m)))
		return -EFAULT;
	m.nr_entries = MIN(m.nr_entries, n);
	if (copy_to_guest((gva_t)m.buffer.p, e, m.nr_entries * sizeof(*e)) || copy_to_guest(arg[1], &m, sizeof(m)))
		return -EFAULT;
	return 0;
}

static int64_t memory_memory_map(struct vcpu *v, uint64_t *arg)
{
	return v->domain->nr_e820 ? give_map(arg, v->domain->e820, v->domain->nr_e820) : -ENOSYS;
}

static int64_t memory_machine_memory_map(struct vcpu *v, uint64_t *arg)
{
	return v->domain->privileged ? give_map(arg, boot_info.map, boot_info.nr_map) : -EPERM;
}

static int64_t memory_set_memory_map(struct vcpu *v, uint64_t *arg)
{
	struct xen_foreign_memory_map m;
	struct domain *d;
	int err;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&m, arg[1], sizeof(m)))
		return -EFAULT;
	d = domain_for_op(v, m.domid, &err);
	if (!d)
		return err;
	if (m.map.nr_entries > E820_MAX)
		return -EINVAL;
	d->nr_e820 = 0;
	if (copy_from_guest(d->e820, (gva_t)m.map.buffer.p, m.map.nr_entries * sizeof(d->e820[0])))
		return -EFAULT;
	d->nr_e820 = m.map.nr_entries;
	return 0;
}

static struct domain *get_domain(struct vcpu *v, uint64_t *arg, int *err)
{
	struct xen_memory_domain m;

	*err = -EFAULT;
	return copy_from_guest(&m, arg[1], sizeof(m)) ? NULL : domain_for_op(v, m.domid, err);
}

/* No memory is populated on demand: xl only wants to hear that there is nothing to adjust (libxl_set_memory_target). */
static int64_t memory_get_pod_target(struct vcpu *v, uint64_t *arg)
{
	struct xen_pod_target p;
	struct domain *d;
	int err;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&p, arg[1], sizeof(p)))
		return -EFAULT;
	d = domain_for_op(v, p.domid, &err);
	if (!d)
		return err;
	p.tot_pages = d->tot_pages;
	p.pod_cache_pages = p.pod_entries = 0;
	return copy_to_guest(arg[1], &p, sizeof(p));
}

#define memory_set_pod_target memory_get_pod_target

#define DEFINE_QUESTION(name, answer)                                                                                  \
	static int64_t memory_##name(struct vcpu *v, uint64_t *arg)                                                    \
	{                                                                                                              \
		int err;                                                                                               \
		struct domain *d = get_domain(v, arg, &err);                                                           \
                                                                                                                       \
		return d ? (int64_t)(answer) : err;                                                                    \
	}
DEFINE_QUESTION(current_reservation, d->tot_pages)
DEFINE_QUESTION(maximum_reservation, d->max_pages)
DEFINE_QUESTION(maximum_gpfn, p2m_max_gfn(d))

static int64_t memory_maximum_ram_page(struct vcpu *v, uint64_t *arg)
{
	return (int64_t)frame_max;
}

/* None that a guest's memory map must leave out: the core's virtual PCI places BARs itself. */
static int64_t memory_reserved_device_memory_map(struct vcpu *v, uint64_t *arg)
{
	struct xen_reserved_device_memory_map m;

	if (!v->domain->privileged)
		return -EPERM;
	if (copy_from_guest(&m, arg[1], sizeof(m)))
		return -EFAULT;
	m.nr_entries = 0;
	return copy_to_guest(arg[1], &m, sizeof(m));
}

int64_t memory_op32(struct vcpu *v, const uint64_t *arg)
{
	struct domain *d = v->domain;
	struct {
		uint16_t domid, size;
		uint32_t space, idx, gpfn;
	} a;
	struct {
		uint32_t nr_entries, buffer;
	} m;

	switch (arg[0]) {
	case XENMEM_add_to_physmap:
		if (copy_from_guest(&a, arg[1], sizeof(a)))
			return -EFAULT;
		return a.domid == DOMID_SELF ? add_to_physmap(d, a.space, a.idx, a.gpfn) : -EPERM;
	case XENMEM_memory_map:
		if (copy_from_guest(&m, arg[1], sizeof(m)))
			return -EFAULT;
		m.nr_entries = MIN(m.nr_entries, d->nr_e820);
		if (copy_to_guest(m.buffer, d->e820, m.nr_entries * sizeof(d->e820[0])) ||
		    copy_to_guest(arg[1], &m, sizeof(m)))
			return -EFAULT;
		return 0;
	default:
		return -ENOSYS;
	}
}

int64_t hypercall_memory_op(struct vcpu *v, uint64_t *arg)
{
	switch (arg[0] & CMD_MASK) {
#define OP(name)   case XENMEM_##name: return memory_##name(v, arg);
#define CASE(name) case XENMEM_##name:
#include "memory_ops.def"
	default:
		return -ENOSYS;
	}
}
