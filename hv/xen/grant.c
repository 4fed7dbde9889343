// SPDX-License-Identifier: Apache-2.0
/* Grant tables, version 1 (xen/grant_table.h): map, unmap and copy of single frames between domains. Core lock. */
#include "grant.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "guest.h"
#include "lib.h"
#include "map.h"
#include "p2m.h"

#include <xen/grant_table.h>

#define BATCH 32 /* unmaps for one flush; maps and copies between looks at the clock */

_Static_assert(sizeof(struct grant_entry_v1) * GRANTS_PER_FRAME == PAGE_SIZE, "xen/grant_table.h");
_Static_assert(sizeof(struct maptrack) * MAPTRACK_PER_PAGE == PAGE_SIZE, "one page a record page");
_Static_assert(offsetof(struct grant_entry_v1, domid) == 2, "flags and domid are exchanged as one word");

/* ---- the tables ---- */

/* NULL when ref is outside the table of d. */
static inline struct grant_active *active_of(struct domain *d, uint32_t ref)
{
	return likely(ref / GRANTS_PER_FRAME < d->grant.frames)
		       ? &d->grant.active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME] : NULL;
}

/* The guest's own entry; ref is in the table. */
static inline struct grant_entry_v1 *entry_of(struct domain *d, uint32_t ref)
{
	return (struct grant_entry_v1 *)d->grant.shared[ref / GRANTS_PER_FRAME] + ref % GRANTS_PER_FRAME;
}

int grant_grow(struct domain *d, unsigned n)
{
	struct grant_table *g = &d->grant;

	if (n > g->max_frames)
		return -EINVAL;
	while (g->frames < n) {
		struct grant_active *active = kalloc(GRANTS_PER_FRAME * sizeof(*active));
		mfn_t mfn = active ? frame_alloc_shared(d) : INVALID_MFN;

		if (mfn == INVALID_MFN) {
			kfree(active);
			return -ENOMEM;
		}
		g->active[g->frames] = active;
		g->shared_mfn[g->frames] = mfn;
		g->shared_gfn[g->frames] = INVALID_GFN;
		g->shared[g->frames] = mfn_to_virt(mfn);
		g->frames++;
	}
	return 0;
}

int grant_init(struct domain *d, unsigned max_frames, unsigned max_maptrack)
{
	d->grant.max_frames = MIN(max_frames, (unsigned)GRANT_FRAMES_MAX);
	d->grant.max_maptrack_pages = MIN(max_maptrack, (unsigned)ARRAY_SIZE(d->grant.maptrack));
	return grant_grow(d, 1);
}

void grant_free(struct domain *d)
{
	struct grant_table *g = &d->grant;

	for (; g->frames; g->frames--) {
		frame_put(g->shared_mfn[g->frames - 1]);
		kfree(g->active[g->frames - 1]);
	}
	for (; g->maptrack_pages; g->maptrack_pages--)
		core_free(g->maptrack[g->maptrack_pages - 1], 0);
}

mfn_t grant_table_frame(struct domain *d, unsigned idx)
{
	return idx < GRANT_FRAMES_MAX && !grant_grow(d, idx + 1) ? d->grant.shared_mfn[idx] : INVALID_MFN;
}

static struct maptrack *maptrack_of(struct grant_table *g, uint32_t handle)
{
	return handle / MAPTRACK_PER_PAGE < g->maptrack_pages
		       ? &g->maptrack[handle / MAPTRACK_PER_PAGE][handle % MAPTRACK_PER_PAGE] : NULL;
}

/* Another page of free records. */
static bool maptrack_grow(struct grant_table *g)
{
	uint32_t first = g->maptrack_pages * MAPTRACK_PER_PAGE;
	struct maptrack *page = g->maptrack_pages < g->max_maptrack_pages ? core_alloc(0) : NULL;

	if (!page)
		return false;
	for (uint32_t i = 0; i < MAPTRACK_PER_PAGE; i++)
		page[i].ref = i + 1 < MAPTRACK_PER_PAGE ? first + i + 2 : 0;
	g->maptrack[g->maptrack_pages++] = page;
	g->maptrack_free = first + 1;
	return true;
}

static void maptrack_put(struct grant_table *g, uint32_t handle)
{
	*maptrack_of(g, handle) = (struct maptrack){ .ref = g->maptrack_free };
	g->maptrack_free = handle + 1;
}

/* ---- pins ---- */

/* Sets reading (and writing) in the guest's entry if it grants that to `who`; the guest may change the word at any
 * time, so checks and change are one exchange. A pinned entry cannot change its type or domain meaningfully any more. */
static int16_t set_flags(struct grant_entry_v1 *e, domid_t who, bool ro, bool pinned)
{
	uint32_t *word = (uint32_t *)e, old = READ_ONCE(*word);

	for (unsigned tries = 0; tries < 5; tries++) {
		if (!pinned && ((old & (GTF_type_mask | GTF_sub_page)) != GTF_permit_access || old >> 16 != who))
			return GNTST_general_error;
		if (!ro && (old & GTF_readonly))
			return GNTST_general_error;
		if (__atomic_compare_exchange_n(word, &old, old | GTF_reading | (ro ? 0 : GTF_writing), false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return GNTST_okay;
	}
	return GNTST_general_error; /* the granter plays with it */
}

static inline void clear_flags(struct grant_entry_v1 *e, uint16_t flags)
{
	__atomic_fetch_and(&e->flags, (uint16_t)~flags, __ATOMIC_SEQ_CST);
}

/* Takes a pin on rd's grant ref, whose record is a, for `who`; then a->mfn is the frame, which rd owns. */
static int16_t pin(struct domain *rd, uint32_t ref, struct grant_active *a, domid_t who, bool ro)
{
	struct grant_entry_v1 *e = entry_of(rd, ref);
	bool pinned = a->pins_rw || a->pins_ro;
	int16_t rc;

	if (pinned && a->domid != who)
		return GNTST_general_error;
	if (!pinned || (!ro && !a->pins_rw)) {
		rc = set_flags(e, who, ro, pinned);
		if (unlikely(rc))
			return rc;
	}
	if (!pinned) {
		enum p2m_type t;
		mfn_t mfn = p2m_get(rd, READ_ONCE(e->frame), &t, NULL);

		if (unlikely(t != P2M_RAM)) {
			clear_flags(e, GTF_reading | GTF_writing);
			return GNTST_bad_page;
		}
		a->mfn = (uint32_t)mfn;
		a->domid = who;
	}
	if (ro)
		a->pins_ro++;
	else
		a->pins_rw++;
	return GNTST_okay;
}

static void unpin(struct domain *rd, uint32_t ref, struct grant_active *a, bool ro)
{
	uint16_t clear = 0;

	if (ro)
		a->pins_ro--;
	else if (!--a->pins_rw)
		clear = GTF_writing;
	if (!a->pins_ro && !a->pins_rw)
		clear |= GTF_reading;
	if (clear)
		clear_flags(entry_of(rd, ref), clear);
}

/* ---- map ---- */

static int16_t map_frame(struct domain *ld, struct domain *rd, uint32_t ref, struct grant_active *a, gfn_t gfn, bool ro)
{
	int16_t rc = pin(rd, ref, a, ld->id, ro);

	if (unlikely(rc))
		return rc;
	if (likely(frame_get(a->mfn, rd->id))) {
		if (likely(!p2m_set(ld, gfn, a->mfn, 0, ro ? P2M_GRANT_RO : P2M_GRANT_RW)))
			return GNTST_okay;
		frame_put(a->mfn);
	}
	unpin(rd, ref, a, ro);
	return GNTST_general_error;
}

/* Only into an empty place of the guest's physical map: Linux uses unpopulated or ballooned-out ones. */
static int16_t map_one(struct domain *ld, void *arg)
{
	struct gnttab_map_grant_ref *op = arg;
	gfn_t gfn = op->host_addr >> PAGE_SHIFT;
	struct grant_table *g = &ld->grant;
	struct grant_active *a;
	struct maptrack *m;
	struct domain *rd;
	uint32_t handle;
	int16_t rc;

	if (!(op->flags & (GNTMAP_host_map | GNTMAP_device_map)))
		return GNTST_bad_gntref;
	if (!(op->flags & GNTMAP_host_map) || (op->flags & (GNTMAP_application_map | GNTMAP_contains_pte)))
		return GNTST_general_error;
	rd = domain_find(op->dom);
	if (!rd)
		return GNTST_bad_domain;
	a = active_of(rd, op->ref);
	if (!a)
		return GNTST_bad_gntref;
	if (rd->dying || p2m_get(ld, gfn, NULL, NULL) != INVALID_MFN)
		return GNTST_general_error;
	if (unlikely(!g->maptrack_free) && !maptrack_grow(g))
		return GNTST_no_space;
	rc = map_frame(ld, rd, op->ref, a, gfn, op->flags & GNTMAP_readonly);
	if (unlikely(rc))
		return rc;
	handle = g->maptrack_free - 1;
	m = maptrack_of(g, handle);
	g->maptrack_free = m->ref;
	*m = (struct maptrack){ .granter = rd->id, .ref = op->ref, .gfn = gfn,
				.flags = (uint16_t)(op->flags & (GNTMAP_host_map | GNTMAP_readonly)) };
	op->handle = handle;
	op->dev_bus_addr = gfn << PAGE_SHIFT; /* where the guest's devices see it: they share its physical map */
	return GNTST_okay;
}

/* An array hypercall: arg[1] where, arg[2] how many. They are kept up to date for -ERESTART. op: room for one element, whose
 * status stands at the byte `status`; what one() leaves in it goes back to the guest. */
static int64_t each(struct vcpu *v, uint64_t *arg, void *op, size_t size, size_t status,
		    int16_t (*one)(struct domain *d, void *op))
{
	struct guest_window w = GUEST_WINDOW_INIT;

	while (arg[2]) {
		if (guest_read(&w, op, arg[1], size))
			return -EFAULT;
		*(int16_t *)((char *)op + status) = one(v->domain, op);
		if (guest_write(&w, arg[1], op, size))
			return -EFAULT;
		arg[1] += size;
		if (--arg[2] && !(arg[2] % BATCH) && hypercall_preempt())
			return -ERESTART;
	}
	return 0;
}

static int64_t map_grant_ref_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_map_grant_ref op;

	return each(v, arg, &op, sizeof(op), offsetof(struct gnttab_map_grant_ref, status), map_one);
}

/* ---- unmap ---- */

/* Taken out of the p2m; pin and frame reference are dropped after the flush. */
struct unmapped {
	struct domain *granter;
	struct grant_active *active;
	uint32_t ref;
	bool ro;
};

/* Clears the mapping that m describes if it is still there; never fails for a 4K entry that exists. */
static bool unmap_entry(struct domain *ld, const struct maptrack *m, struct unmapped *u)
{
	enum p2m_type t;
	mfn_t mfn = p2m_get(ld, m->gfn, &t, NULL);

	u->granter = domain_find(m->granter);
	u->active = active_of(u->granter, m->ref);
	u->ref = m->ref;
	u->ro = m->flags & GNTMAP_readonly;
	return (t == P2M_GRANT_RW || t == P2M_GRANT_RO) && mfn == u->active->mfn && !p2m_clear(ld, m->gfn, 0);
}

static int16_t unmap_one(struct domain *ld, const struct gnttab_unmap_grant_ref *op, struct unmapped *u)
{
	struct maptrack *m = maptrack_of(&ld->grant, op->handle);

	if (!m || !m->flags)
		return GNTST_bad_handle;
	if (op->host_addr >> PAGE_SHIFT != m->gfn || !unmap_entry(ld, m, u))
		return GNTST_general_error;
	maptrack_put(&ld->grant, op->handle);
	return GNTST_okay;
}

/* Only now may the granter have its pages back. */
static void finish_unmaps(struct domain *ld, const struct unmapped *u, unsigned n)
{
	p2m_flush(ld);
	for (; n--; u++) {
		mfn_t mfn = u->active->mfn;

		unpin(u->granter, u->ref, u->active, u->ro);
		frame_put(mfn);
	}
}

static int64_t unmap_grant_ref_op(struct vcpu *v, uint64_t *arg)
{
	struct guest_window w = GUEST_WINDOW_INIT;
	struct unmapped done[BATCH];
	int rc = 0;

	while (arg[2]) {
		unsigned n = 0;

		for (unsigned i = 0; i < BATCH && arg[2]; i++) {
			struct gnttab_unmap_grant_ref op;

			if ((rc = guest_read(&w, &op, arg[1], sizeof(op))))
				break;
			op.status = unmap_one(v->domain, &op, &done[n]);
			n += op.status == GNTST_okay;
			if ((rc = guest_write(&w, arg[1], &op, sizeof(op))))
				break;
			arg[1] += sizeof(op);
			arg[2]--;
		}
		finish_unmaps(v->domain, done, n);
		if (rc)
			return rc;
		if (arg[2] && hypercall_preempt())
			return -ERESTART;
	}
	return 0;
}

/* A record page at a time, from the last; a mapping that the guest overwrote loses its pin like the others. */
int grant_relinquish(struct domain *d)
{
	struct grant_table *g = &d->grant;
	struct unmapped done[BATCH];

	while (g->maptrack_pages) {
		struct maptrack *page = g->maptrack[g->maptrack_pages - 1];
		unsigned n = 0;

		for (unsigned i = 0; i < MAPTRACK_PER_PAGE; i++) {
			if (!page[i].flags)
				continue;
			unmap_entry(d, &page[i], &done[n++]);
			if (n == BATCH) {
				finish_unmaps(d, done, n);
				n = 0;
			}
		}
		finish_unmaps(d, done, n);
		core_free(page, 0);
		g->maptrack_pages--;
		g->maptrack_free = 0;
		if (g->maptrack_pages && hypercall_preempt())
			return -ERESTART;
	}
	return 0;
}

/* ---- copy ---- */

struct copy_side {
	uint8_t *ptr;               /* the page */
	struct domain *granter;     /* NULL: own page */
	struct grant_active *active;
	uint32_t ref;
	bool ro;
};

static int16_t copy_open(struct domain *ld, const struct gnttab_copy_ptr *p, bool by_ref, struct copy_side *s)
{
	struct domain *rd;
	int16_t rc;

	if (!by_ref) {
		if (p->domid != DOMID_SELF)
			return GNTST_permission_denied;
		s->ptr = p->u.gmfn >> 52 ? NULL : p2m_ptr(ld, p->u.gmfn << PAGE_SHIFT, !s->ro);
		return s->ptr ? GNTST_okay : GNTST_bad_page;
	}
	rd = p->domid == DOMID_SELF ? ld : domain_find(p->domid);
	if (!rd || rd->dying)
		return GNTST_bad_domain;
	s->ref = p->u.ref;
	s->active = active_of(rd, s->ref);
	if (!s->active)
		return GNTST_bad_gntref;
	rc = pin(rd, s->ref, s->active, ld->id, s->ro);
	if (rc)
		return rc;
	s->granter = rd;
	s->ptr = mfn_to_virt(s->active->mfn);
	return GNTST_okay;
}

static void copy_close(const struct copy_side *s)
{
	if (s->granter)
		unpin(s->granter, s->ref, s->active, s->ro);
}

/* No frame reference is needed: nothing is freed between the two ends of a copy, under the core lock. */
static int16_t copy_one(struct domain *ld, void *arg)
{
	const struct gnttab_copy *op = arg;
	struct copy_side src = { .ro = true }, dst = { .ro = false };
	int16_t rc;

	if (!op->len)
		return GNTST_okay;
	if (op->source.offset + op->len > PAGE_SIZE || op->dest.offset + op->len > PAGE_SIZE)
		return GNTST_bad_copy_arg;
	rc = copy_open(ld, &op->source, op->flags & GNTCOPY_source_gref, &src);
	if (rc)
		return rc;
	rc = copy_open(ld, &op->dest, op->flags & GNTCOPY_dest_gref, &dst);
	if (!rc) {
		memmove(dst.ptr + op->dest.offset, src.ptr + op->source.offset, op->len);
		copy_close(&dst);
	}
	copy_close(&src);
	return rc;
}

static int64_t copy_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_copy op;

	return each(v, arg, &op, sizeof(op), offsetof(struct gnttab_copy, status), copy_one);
}

/* ---- the rest ---- */

static int16_t status_of(int err)
{
	return err == -ESRCH ? GNTST_bad_domain : GNTST_permission_denied;
}

static int16_t setup_table(struct vcpu *v, const struct gnttab_setup_table *op)
{
	struct domain *d;
	int err;

	d = domain_for_op(v, op->dom, &err);
	if (!d)
		return status_of(err);
	if (d->dying || grant_grow(d, op->nr_frames))
		return GNTST_general_error;
	for (unsigned i = 0; i < op->nr_frames; i++)
		if (copy_to_guest((gva_t)op->frame_list.p + i * sizeof(xen_pfn_t), &d->grant.shared_gfn[i],
				  sizeof(xen_pfn_t)))
			return GNTST_bad_virt_addr;
	return GNTST_okay;
}

static int64_t setup_table_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_setup_table op;

	if (arg[2] != 1)
		return -EINVAL;
	if (copy_from_guest(&op, arg[1], sizeof(op)))
		return -EFAULT;
	op.status = setup_table(v, &op);
	return copy_to_guest(arg[1] + offsetof(struct gnttab_setup_table, status), &op.status, sizeof(op.status));
}

static int64_t query_size_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_query_size op;
	struct domain *d;
	int err;

	if (arg[2] != 1)
		return -EINVAL;
	if (copy_from_guest(&op, arg[1], sizeof(op)))
		return -EFAULT;
	d = domain_for_op(v, op.dom, &err);
	if (d) {
		op.nr_frames = d->grant.frames;
		op.max_nr_frames = d->grant.max_frames;
		op.status = GNTST_okay;
	} else {
		op.status = status_of(err);
	}
	return copy_to_guest(arg[1], &op, sizeof(op));
}

/* As Xen with gnttab_max_ver 1. */
static int64_t set_version_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_set_version op;
	int64_t rc;

	if (copy_from_guest(&op, arg[1], sizeof(op)))
		return -EFAULT;
	rc = op.version == 1 ? 0 : op.version == 2 ? -ENOSYS : -EINVAL;
	op.version = 1;
	return copy_to_guest(arg[1], &op, sizeof(op)) ? -EFAULT : rc;
}

static int64_t get_version_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_get_version op;
	int err;

	if (copy_from_guest(&op, arg[1], sizeof(op)))
		return -EFAULT;
	if (!domain_for_op(v, op.dom, &err))
		return err;
	op.version = 1;
	return copy_to_guest(arg[1], &op, sizeof(op));
}

static int16_t swap_one(struct domain *d, void *arg)
{
	const struct gnttab_swap_grant_ref *op = arg;
	const struct grant_active *a = active_of(d, op->ref_a), *b = active_of(d, op->ref_b);
	struct grant_entry_v1 *ea, *eb, entry;

	if (!a || !b)
		return GNTST_bad_gntref;
	if (a->pins_ro || a->pins_rw || b->pins_ro || b->pins_rw)
		return a == b ? GNTST_okay : GNTST_eagain;
	ea = entry_of(d, op->ref_a);
	eb = entry_of(d, op->ref_b);
	entry = *ea;
	*ea = *eb;
	*eb = entry;
	return GNTST_okay;
}

static int64_t swap_grant_ref_op(struct vcpu *v, uint64_t *arg)
{
	struct gnttab_swap_grant_ref op;

	return each(v, arg, &op, sizeof(op), offsetof(struct gnttab_swap_grant_ref, status), swap_one);
}

int64_t hypercall_grant_table_op(struct vcpu *v, uint64_t *arg)
{
	arg[2] = (uint32_t)arg[2];
	if (unlikely((int32_t)arg[2] < 0))
		return -EINVAL;
	switch ((uint32_t)arg[0]) {
#define OP(name)   case GNTTABOP_##name: return name##_op(v, arg);
#define CASE(name) case GNTTABOP_##name:
#include "grant_ops.def"
	default:
		return -ENOSYS;
	}
}
