// SPDX-License-Identifier: Apache-2.0
/*
 * hv/xen/grant.c by induction: from every state of a granter with 2 grants of 2 frames and a domain with 3 handles and 3 free
 * places in which the invariant holds, one map or unmap with any arguments, whatever the granter has in its table, leads to a
 * state in which it holds again. Bound: those numbers; no guest writes the table in the middle of an operation. Sequences of
 * operations have no bound.
 *
 * Invariant (holds): a grant has as many pins of each kind as there are live handles for it; a frame has its owner's reference
 * and one for each live handle of a grant that is pinned to it, so none is lost and none dropped twice; each live handle's place
 * maps that frame, with the handle's access, and no place is mapped without a handle; the other handles are on the free list,
 * once. Besides: a reference is dropped only after the flush that follows the removal.
 */
#define CARREL_DOMAIN_H /* of a domain only what is used here, or the proof takes for ever */
#include "types.h"
#include "grant.h"
#include <xen/xen.h>
struct domain {
	domid_t id;
	int dying;
	struct grant_table grant;
};
struct vcpu {
	struct domain *domain;
};
#define CARREL_VCPU_H
struct domain *domain_find(domid_t id);
#include "proof.h"
#include "../../hv/xen/grant.c"

#define REFS    2
#define FRAMES  2
#define HANDLES 3
#define PLACES  3

static struct domain granter = { .id = 1 }, mapper = { .id = 2 };
static struct grant_active active[REFS];
static struct grant_entry_v1 entries[REFS];
static struct maptrack track[HANDLES];
static unsigned refs[FRAMES];       /* references of the granter's frames */
static enum p2m_type type[PLACES];  /* the mapper's p2m */
static mfn_t frame[PLACES];
static bool unflushed;

void *proof_page(mfn_t mfn) { (void)mfn; return NULL; }
mfn_t proof_mfn(const void *va) { (void)va; return 0; }

struct domain *domain_find(domid_t id)
{
	return id == granter.id ? &granter : id == mapper.id ? &mapper : NULL;
}

/* The granter's frame at gfn g is g, as RAM or as anything else it may have put there. */
mfn_t p2m_get(struct domain *d, gfn_t gfn, enum p2m_type *t, unsigned *order)
{
	enum p2m_type found = P2M_NONE;
	mfn_t mfn = INVALID_MFN;

	(void)order;
	if (d == &granter && gfn < FRAMES) {
		found = nondet_bool() ? P2M_RAM : nondet_bool() ? P2M_FOREIGN : P2M_GRANT_RW;
		mfn = gfn;
	} else if (d == &mapper && gfn < PLACES) {
		found = type[gfn];
		mfn = found == P2M_NONE ? INVALID_MFN : frame[gfn];
	} else if (d == &mapper && nondet_bool()) { /* its own RAM */
		found = P2M_RAM;
		mfn = 100;
	}
	if (t)
		*t = found;
	return mfn;
}

int p2m_set(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	prove(d == &mapper && !order && mfn < FRAMES && (t == P2M_GRANT_RW || t == P2M_GRANT_RO));
	if (gfn >= PLACES || nondet_bool())
		return -ENOMEM;
	prove(type[gfn] == P2M_NONE);
	type[gfn] = t;
	frame[gfn] = mfn;
	return 0;
}

int p2m_clear(struct domain *d, gfn_t gfn, unsigned order)
{
	prove(d == &mapper && !order && gfn < PLACES);
	type[gfn] = P2M_NONE;
	unflushed = true;
	return 0;
}

void p2m_flush(struct domain *d)
{
	unflushed &= d != &mapper;
}

bool frame_get(mfn_t mfn, domid_t owner)
{
	if (owner != granter.id || mfn >= FRAMES || nondet_bool())
		return false;
	refs[mfn]++;
	return true;
}

void frame_put(mfn_t mfn)
{
	prove(mfn < FRAMES && refs[mfn] && !unflushed);
	refs[mfn]--;
}

/* More handles are not to be had. */
void *core_alloc(unsigned order)
{
	(void)order;
	return NULL;
}

static bool holds(void)
{
	unsigned rw[REFS] = { 0 }, ro[REFS] = { 0 }, want[FRAMES] = { 0 }, live = 0, mapped = 0, free = 0, next = mapper.grant.maptrack_free;
	bool listed[HANDLES] = { false };

	for (unsigned h = 0; h < HANDLES; h++) {
		const struct maptrack *m = &track[h];

		if (!m->flags)
			continue;
		if (m->granter != granter.id || m->ref >= REFS || m->gfn >= PLACES || active[m->ref].mfn >= FRAMES ||
		    active[m->ref].domid != mapper.id || (m->flags & ~(GNTMAP_host_map | GNTMAP_readonly)))
			return false;
		if (type[m->gfn] != (m->flags & GNTMAP_readonly ? P2M_GRANT_RO : P2M_GRANT_RW) || frame[m->gfn] != active[m->ref].mfn)
			return false;
		for (unsigned k = 0; k < h; k++)
			if (track[k].flags && track[k].gfn == m->gfn)
				return false;
		(m->flags & GNTMAP_readonly ? ro : rw)[m->ref]++;
		want[active[m->ref].mfn]++;
		live++;
	}
	for (unsigned i = 0; i < HANDLES && next; i++) {
		if (next > HANDLES || track[next - 1].flags || listed[next - 1])
			return false;
		listed[next - 1] = true;
		next = track[next - 1].ref;
		free++;
	}
	for (unsigned g = 0; g < PLACES; g++)
		mapped += type[g] != P2M_NONE;
	for (unsigned r = 0; r < REFS; r++)
		if (active[r].pins_rw != rw[r] || active[r].pins_ro != ro[r])
			return false;
	for (unsigned f = 0; f < FRAMES; f++)
		if (refs[f] != 1 + want[f])
			return false;
	return !next && live + free == HANDLES && mapped == live;
}

static void any_state(void)
{
	granter.grant.frames = mapper.grant.maptrack_pages = mapper.grant.max_maptrack_pages = 1;
	granter.grant.active[0] = active;
	granter.grant.shared[0] = entries;
	granter.dying = nondet_bool();
	mapper.grant.maptrack[0] = track;
	mapper.grant.maptrack_free = nondet_unsigned();
	for (unsigned r = 0; r < REFS; r++) {
		active[r] = (struct grant_active){ nondet_unsigned(), (domid_t)nondet_unsigned(), nondet_unsigned(), nondet_unsigned() };
		entries[r] = (struct grant_entry_v1){ (uint16_t)nondet_unsigned(), (domid_t)nondet_unsigned(), nondet_unsigned() };
	}
	for (unsigned h = 0; h < HANDLES; h++)
		track[h] = (struct maptrack){ (domid_t)nondet_unsigned(), (uint16_t)nondet_unsigned(), nondet_unsigned(), nondet_u64() };
	for (unsigned g = 0; g < PLACES; g++) {
		type[g] = (enum p2m_type)nondet_unsigned();
		frame[g] = nondet_u64();
	}
	for (unsigned f = 0; f < FRAMES; f++)
		refs[f] = nondet_unsigned();
	assume(holds());
}

void proof_map(void)
{
	struct gnttab_map_grant_ref op = { .host_addr = nondet_u64(), .flags = nondet_unsigned(), .ref = nondet_unsigned(),
					   .dom = (domid_t)nondet_unsigned() };
	struct grant_entry_v1 entry;
	bool ok;

	any_state();
	assume(op.ref < REFS || op.ref >= GRANTS_PER_FRAME); /* the table has more entries; these two stand for them */
	entry = entries[op.ref < REFS ? op.ref : 0];
	ok = map_one(&mapper, &op) == GNTST_okay;
	prove(holds());
	if (!ok)
		return;
	/* It was granted, to this domain, for this access. */
	prove(op.dom == granter.id && op.ref < REFS && !granter.dying && track[op.handle].ref == op.ref);
	prove(entry.flags & GTF_readonly ? op.flags & GNTMAP_readonly || active[op.ref].pins_rw > 1 : 1);
	prove(active[op.ref].pins_rw + active[op.ref].pins_ro > 1 ||
	      (entry.domid == mapper.id && (entry.flags & GTF_type_mask) == GTF_permit_access && entry.frame == active[op.ref].mfn));
	prove(!active[op.ref].pins_rw || (entries[op.ref].flags & GTF_writing) || active[op.ref].pins_rw + active[op.ref].pins_ro > 1);
}

void proof_unmap(void)
{
	struct gnttab_unmap_grant_ref op = { .host_addr = nondet_u64(), .handle = nondet_unsigned() };
	struct unmapped done;
	bool live;

	any_state();
	assume(op.handle < HANDLES || op.handle >= MAPTRACK_PER_PAGE);
	live = op.handle < HANDLES && track[op.handle].flags && track[op.handle].gfn == op.host_addr >> PAGE_SHIFT;
	op.status = unmap_one(&mapper, &op, &done);
	prove((op.status == GNTST_okay) == live);
	finish_unmaps(&mapper, &done, op.status == GNTST_okay);
	prove(holds());
}
