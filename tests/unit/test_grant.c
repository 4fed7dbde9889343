// SPDX-License-Identifier: Apache-2.0
/* Grant tables against a model: pins, flags and frame references must agree with the mappings, whatever is asked. */
#include "shim.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"
#include "grant.h"
#include "guest.h"
#include "map.h"

#include <stdlib.h>
#include <xen/grant_table.h>

#define DOMS   3
#define GFNS   64  /* a domain: 0..31 its RAM, 32..63 empty */
#define RAM    32
#define FRAMES 1024

static struct domain doms[DOMS];
static struct vcpu vcpus[DOMS];
static struct {
	mfn_t mfn;
	enum p2m_type t;
} p2m[DOMS][GFNS];
static struct {
	domid_t owner;
	uint32_t refs;
} frames[FRAMES];
static mfn_t next_mfn;
static bool unflushed;
static unsigned flushes;
struct domain *dom0 = &doms[0];

/* What a guest does to grant full access to its frame gfn. */
static void grant_seed(struct domain *d, uint32_t ref, domid_t to, gfn_t gfn)
{
	struct grant_entry_v1 *table = d->grant.shared[ref / GRANTS_PER_FRAME];

	table[ref % GRANTS_PER_FRAME] = (struct grant_entry_v1){ .flags = GTF_permit_access, .domid = to, .frame = (uint32_t)gfn };
}

struct domain *domain_find(domid_t id)
{
	return id < DOMS ? &doms[id] : NULL;
}

struct domain *domain_for_op(struct vcpu *v, domid_t id, int *err)
{
	*err = -EPERM;
	return id == DOMID_SELF || id == v->domain->id ? v->domain : NULL;
}

mfn_t p2m_get(struct domain *d, gfn_t gfn, enum p2m_type *t, unsigned *order)
{
	bool found = gfn < GFNS && p2m[d->id][gfn].t;

	(void)order;
	if (t)
		*t = found ? p2m[d->id][gfn].t : P2M_NONE;
	return found ? p2m[d->id][gfn].mfn : INVALID_MFN;
}

int p2m_set(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	assert_int_equal(order, 0);
	if (gfn >= GFNS)
		return -EINVAL;
	p2m[d->id][gfn].mfn = mfn;
	p2m[d->id][gfn].t = t;
	return 0;
}

int p2m_clear(struct domain *d, gfn_t gfn, unsigned order)
{
	assert_int_equal(order, 0);
	p2m[d->id][gfn].t = P2M_NONE;
	unflushed = true;
	return 0;
}

void p2m_flush(struct domain *d)
{
	(void)d;
	flushes += unflushed;
	unflushed = false;
}

void *p2m_ptr(struct domain *d, gpa_t gpa, bool write)
{
	enum p2m_type t;
	mfn_t mfn = p2m_get(d, gpa >> PAGE_SHIFT, &t, NULL);

	if (mfn == INVALID_MFN || (write && t == P2M_GRANT_RO))
		return NULL;
	return (char *)mfn_to_virt(mfn) + (gpa & ~PAGE_MASK);
}

bool frame_get(mfn_t mfn, domid_t owner)
{
	if (mfn >= FRAMES || !frames[mfn].refs || frames[mfn].owner != owner)
		return false;
	frames[mfn].refs++;
	return true;
}

void frame_put(mfn_t mfn)
{
	assert_false(unflushed);
	assert_true(frames[mfn].refs > 0);
	frames[mfn].refs--;
}

mfn_t frame_alloc_shared(struct domain *d)
{
	memset(mfn_to_virt(next_mfn), 0, PAGE_SIZE);
	frames[next_mfn].owner = d->id;
	frames[next_mfn].refs = 1;
	return next_mfn++;
}

void *kalloc(size_t size)
{
	return calloc(1, size);
}

void kfree(void *p)
{
	free(p);
}

void *core_alloc(unsigned order)
{
	return calloc(1, PAGE_SIZE << order);
}

void core_free(void *va, unsigned order)
{
	(void)order;
	free(va);
}

/* The caller's arrays are host memory. */
int copy_from_guest(void *dst, gva_t src, size_t n)
{
	memcpy(dst, (void *)src, n);
	return 0;
}

int copy_to_guest(gva_t dst, const void *src, size_t n)
{
	memcpy((void *)dst, src, n);
	return 0;
}

int guest_read(struct guest_window *w, void *dst, gva_t src, size_t n)
{
	(void)w;
	return copy_from_guest(dst, src, n);
}

int guest_write(struct guest_window *w, gva_t dst, const void *src, size_t n)
{
	(void)w;
	return copy_to_guest(dst, src, n);
}

bool hypercall_preempt(void)
{
	return shim_random(2);
}

static int setup(void **state)
{
	(void)state;
	shim_memory(FRAMES, 0);
	next_mfn = 1;
	memset(doms, 0, sizeof(doms));
	memset(p2m, 0, sizeof(p2m));
	memset(frames, 0, sizeof(frames));
	for (unsigned i = 0; i < DOMS; i++) {
		doms[i].id = (domid_t)i;
		vcpus[i].domain = &doms[i];
		assert_int_equal(grant_init(&doms[i], 4, 1), 0);
		for (unsigned g = 0; g < RAM; g++) {
			p2m[i][g].mfn = frame_alloc_shared(&doms[i]);
			p2m[i][g].t = P2M_RAM;
		}
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DOMS; i++) {
		while (grant_relinquish(&doms[i]) == -ERESTART)
			;
		for (unsigned g = RAM; g < GFNS; g++)
			assert_int_equal(p2m[i][g].t, P2M_NONE);
	}
	for (unsigned i = 0; i < DOMS; i++) {
		for (unsigned g = 0; g < RAM; g++)
			assert_int_equal(frames[p2m[i][g].mfn].refs, 1);
		grant_free(&doms[i]);
	}
	return 0;
}

static struct grant_entry_v1 *entry(unsigned d, unsigned ref)
{
	return (struct grant_entry_v1 *)doms[d].grant.shared[0] + ref;
}

static int64_t call(unsigned d, unsigned cmd, void *ops, uint64_t n)
{
	uint64_t arg[5] = { cmd, (uint64_t)ops, n };
	int64_t rc;

	while ((rc = hypercall_grant_table_op(&vcpus[d], arg)) == -ERESTART)
		;
	return rc;
}

static int map(unsigned d, unsigned granter, uint32_t ref, unsigned gfn, uint32_t flags, uint32_t *handle)
{
	struct gnttab_map_grant_ref op = { .host_addr = (uint64_t)gfn << PAGE_SHIFT, .flags = flags, .ref = ref,
					   .dom = (domid_t)granter };

	assert_int_equal(call(d, GNTTABOP_map_grant_ref, &op, 1), 0);
	*handle = op.handle;
	return op.status;
}

static int unmap(unsigned d, unsigned gfn, uint32_t handle)
{
	struct gnttab_unmap_grant_ref op = { .host_addr = (uint64_t)gfn << PAGE_SHIFT, .handle = handle };

	assert_int_equal(call(d, GNTTABOP_unmap_grant_ref, &op, 1), 0);
	return op.status;
}

static void map_and_unmap(void **state)
{
	mfn_t mfn = p2m[1][5].mfn;
	uint32_t h, h2;

	(void)state;
	grant_seed(&doms[1], 8, 0, 5);
	assert_int_equal(map(0, 1, 8, 40, GNTMAP_host_map, &h), GNTST_okay);
	assert_int_equal(p2m[0][40].mfn, mfn);
	assert_int_equal(p2m[0][40].t, P2M_GRANT_RW);
	assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading | GTF_writing);
	assert_int_equal(frames[mfn].refs, 2);
	assert_int_equal(map(0, 1, 8, 41, GNTMAP_host_map | GNTMAP_readonly, &h2), GNTST_okay);
	assert_int_equal(p2m[0][41].t, P2M_GRANT_RO);
	assert_int_equal(unmap(0, 40, h), GNTST_okay);
	assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_reading);
	assert_int_equal(unmap(0, 40, h), GNTST_bad_handle);
	assert_int_equal(unmap(0, 41, h2), GNTST_okay);
	assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
	assert_int_equal(frames[mfn].refs, 1);
}

static void refusals(void **state)
{
	uint32_t h;

	(void)state;
	grant_seed(&doms[1], 8, 0, 5);
	grant_seed(&doms[1], 9, 0, 50); /* no RAM there */
	grant_seed(&doms[1], 10, 0, 6);
	entry(1, 10)->flags |= GTF_readonly;
	assert_int_equal(map(2, 1, 8, 40, GNTMAP_host_map, &h), GNTST_general_error); /* granted to another */
	assert_int_equal(map(0, 1, 11, 40, GNTMAP_host_map, &h), GNTST_general_error);
	assert_int_equal(map(0, 1, 512, 40, GNTMAP_host_map, &h), GNTST_bad_gntref);
	assert_int_equal(map(0, 1, UINT32_MAX, 40, GNTMAP_host_map, &h), GNTST_bad_gntref);
	assert_int_equal(map(0, 7, 8, 40, GNTMAP_host_map, &h), GNTST_bad_domain);
	assert_int_equal(map(0, 1, 8, 40, 0, &h), GNTST_bad_gntref);
	assert_int_equal(map(0, 1, 8, 40, GNTMAP_device_map, &h), GNTST_general_error);
	assert_int_equal(map(0, 1, 9, 40, GNTMAP_host_map, &h), GNTST_bad_page);
	assert_int_equal(entry(1, 9)->flags, GTF_permit_access);
	assert_int_equal(map(0, 1, 10, 40, GNTMAP_host_map, &h), GNTST_general_error);
	assert_int_equal(map(0, 1, 8, 3, GNTMAP_host_map, &h), GNTST_general_error); /* own RAM is there */
	assert_int_equal(map(0, 1, 8, GFNS, GNTMAP_host_map, &h), GNTST_general_error);
	assert_int_equal(entry(1, 8)->flags, GTF_permit_access);
	assert_int_equal(unmap(0, 40, 0), GNTST_bad_handle);
	assert_int_equal(unmap(0, 40, UINT32_MAX), GNTST_bad_handle);
	assert_int_equal(map(0, 1, 8, 40, GNTMAP_host_map, &h), GNTST_okay);
	assert_int_equal(unmap(0, 41, h), GNTST_general_error);
	/* Pinned by domain 0: the granter cannot hand it to a second one by rewriting the entry. */
	entry(1, 8)->domid = 2;
	assert_int_equal(map(2, 1, 8, 40, GNTMAP_host_map, &h), GNTST_general_error);
}

/* The granter redirects the entry while it is mapped: the second mapping is of the first one's frame. */
static void pinned_frame(void **state)
{
	uint32_t h;

	(void)state;
	grant_seed(&doms[1], 8, 0, 5);
	assert_int_equal(map(0, 1, 8, 40, GNTMAP_host_map, &h), GNTST_okay);
	entry(1, 8)->frame = 6;
	assert_int_equal(map(0, 1, 8, 41, GNTMAP_host_map, &h), GNTST_okay);
	assert_int_equal(p2m[0][41].mfn, p2m[1][5].mfn);
}

static void copies(void **state)
{
	char *from = mfn_to_virt(p2m[1][5].mfn), *to = mfn_to_virt(p2m[0][7].mfn);
	struct gnttab_copy op = {
		.source = { .u.ref = 8, .domid = 1, .offset = 100 }, .dest = { .u.gmfn = 7, .domid = DOMID_SELF, .offset = 50 },
		.len = 200, .flags = GNTCOPY_source_gref,
	};

	(void)state;
	grant_seed(&doms[1], 8, 0, 5);
	entry(1, 8)->flags |= GTF_readonly;
	memset(from, 7, PAGE_SIZE);
	memset(to, 0, PAGE_SIZE);
	assert_int_equal(call(0, GNTTABOP_copy, &op, 1), 0);
	assert_int_equal(op.status, GNTST_okay);
	assert_int_equal(to[49], 0);
	assert_int_equal(to[50], 7);
	assert_int_equal(to[249], 7);
	assert_int_equal(to[250], 0);
	assert_int_equal(entry(1, 8)->flags, GTF_permit_access | GTF_readonly);
	op.source.offset = PAGE_SIZE - 199;
	call(0, GNTTABOP_copy, &op, 1);
	assert_int_equal(op.status, GNTST_bad_copy_arg);
	op.source = (struct gnttab_copy_ptr){ .u.gmfn = 7, .domid = DOMID_SELF };
	op.dest = (struct gnttab_copy_ptr){ .u.ref = 8, .domid = 1 };
	op.flags = GNTCOPY_dest_gref;
	call(0, GNTTABOP_copy, &op, 1);
	assert_int_equal(op.status, GNTST_general_error); /* read-only */
	op.dest = (struct gnttab_copy_ptr){ .u.gmfn = 5, .domid = 1 };
	op.flags = 0;
	call(0, GNTTABOP_copy, &op, 1);
	assert_int_equal(op.status, GNTST_permission_denied);
	op.dest = (struct gnttab_copy_ptr){ .u.gmfn = ~0ul, .domid = DOMID_SELF };
	call(0, GNTTABOP_copy, &op, 1);
	assert_int_equal(op.status, GNTST_bad_page);
}

static void versions(void **state)
{
	struct gnttab_set_version op = { .version = 2 };

	(void)state;
	assert_int_equal(call(0, GNTTABOP_set_version, &op, 1), -ENOSYS);
	assert_int_equal(op.version, 1);
	assert_int_equal(call(0, GNTTABOP_set_version, &op, 1), 0);
	assert_int_equal(call(0, GNTTABOP_cache_flush, &op, 1), -ENOSYS);
	assert_int_equal(call(0, GNTTABOP_map_grant_ref, &op, 1ul << 31), -EINVAL);
	assert_int_equal(grant_grow(&doms[0], 5), -EINVAL);
	assert_int_equal(grant_grow(&doms[0], 4), 0);
}

/* What the mappings say must be what frames, pins and flags say. held[d][gfn]: handle + 1 of a live mapping. */
static struct {
	uint32_t handle, ref;
	unsigned granter;
	bool live, ro;
} held[DOMS][GFNS];

static void check(void)
{
	unsigned rw[DOMS][RAM] = { 0 }, ro[DOMS][RAM] = { 0 }, refs[FRAMES] = { 0 };

	for (unsigned d = 0; d < DOMS; d++) {
		for (unsigned g = RAM; g < GFNS; g++) {
			assert_int_equal(p2m[d][g].t != P2M_NONE, held[d][g].live);
			if (!held[d][g].live)
				continue;
			(held[d][g].ro ? ro : rw)[held[d][g].granter][held[d][g].ref]++;
			refs[p2m[d][g].mfn]++;
		}
	}
	for (unsigned d = 0; d < DOMS; d++) {
		for (unsigned i = 0; i < RAM; i++) {
			const struct grant_active *a = &doms[d].grant.active[0][i];

			assert_int_equal(a->pins_rw, rw[d][i]);
			assert_int_equal(a->pins_ro, ro[d][i]);
			assert_int_equal(!!(entry(d, i)->flags & GTF_writing), !!rw[d][i]);
			assert_int_equal(!!(entry(d, i)->flags & GTF_reading), rw[d][i] || ro[d][i]);
			assert_int_equal(frames[p2m[d][i].mfn].refs, 1 + refs[p2m[d][i].mfn]);
		}
	}
}

static void at_random(void **state)
{
	unsigned maps = 0;

	(void)state;
	memset(held, 0, sizeof(held));
	for (unsigned n = 0; n < 20000; n++) {
		unsigned d = shim_random(DOMS), granter = shim_random(DOMS), g = RAM + shim_random(GFNS - RAM);
		uint32_t ref = shim_random(RAM), h, ro = shim_random(2) * GNTMAP_readonly;
		struct grant_active *a = &doms[granter].grant.active[0][ref];
		struct gnttab_copy op = { .source = { .u.ref = ref, .domid = (domid_t)granter }, .len = 8,
					  .dest = { .u.gmfn = shim_random(GFNS), .domid = DOMID_SELF },
					  .flags = GNTCOPY_source_gref };

		switch (shim_random(4)) {
		case 0: /* a new grant in a free entry, or readonly changed in a used one */
			if (!a->pins_ro && !a->pins_rw)
				grant_seed(&doms[granter], ref, (domid_t)d, shim_random(RAM + 4));
			else
				entry(granter, ref)->flags ^= GTF_readonly;
			break;
		case 1:
			if (map(d, granter, ref, g, GNTMAP_host_map | ro, &h))
				break;
			assert_false(held[d][g].live);
			held[d][g].handle = h;
			held[d][g].ref = ref;
			held[d][g].granter = granter;
			held[d][g].live = true;
			held[d][g].ro = ro;
			maps++;
			break;
		case 2:
			if (held[d][g].live)
				assert_int_equal(unmap(d, g, held[d][g].handle), GNTST_okay);
			else
				assert_int_not_equal(unmap(d, g, shim_random(300)), GNTST_okay);
			held[d][g].live = false;
			break;
		default:
			call(d, GNTTABOP_copy, &op, 1);
		}
		check();
	}
	assert_true(maps > 500);
}

/* More than one batch in one call: one flush for each 32, and handles run out at the limit. */
static void batches(void **state)
{
	static struct gnttab_map_grant_ref m[GFNS - RAM];
	static struct gnttab_unmap_grant_ref u[GFNS - RAM];
	uint32_t h;

	(void)state;
	grant_seed(&doms[1], 8, 0, 5);
	for (unsigned i = 0; i < GFNS - RAM; i++) {
		m[i] = (struct gnttab_map_grant_ref){ .host_addr = (uint64_t)(RAM + i) << PAGE_SHIFT, .ref = 8, .dom = 1,
						      .flags = GNTMAP_host_map };
	}
	call(0, GNTTABOP_map_grant_ref, m, ARRAY_SIZE(m));
	for (unsigned i = 0; i < GFNS - RAM; i++) {
		assert_int_equal(m[i].status, GNTST_okay);
		u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = m[i].host_addr, .handle = m[i].handle };
	}
	flushes = 0;
	call(0, GNTTABOP_unmap_grant_ref, u, ARRAY_SIZE(u));
	assert_int_equal(flushes, 1);
	for (unsigned i = 0; i < GFNS - RAM; i++)
		assert_int_equal(u[i].status, GNTST_okay);
	for (unsigned i = 0; i < MAPTRACK_PER_PAGE; i++) {
		assert_int_equal(map(0, 1, 8, 40, GNTMAP_host_map, &h), GNTST_okay);
		p2m[0][40].t = P2M_NONE; /* the test's own trick to use up handles: these mappings are lost */
	}
	assert_int_equal(map(0, 1, 8, 40, GNTMAP_host_map, &h), GNTST_no_space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(map_and_unmap, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(pinned_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(copies, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(at_random, setup, teardown),
		cmocka_unit_test_setup_teardown(batches, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
