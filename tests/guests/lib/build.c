// SPDX-License-Identifier: Apache-2.0
/* A toolstack in a page: domains that run this very image. */
#include "xencall.h"

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/save.h>

extern char image_start[], image_end[];

#define COPY_PAGES 64
#define POOL_BYTES (4ul << 20)

long domctl(struct xen_domctl *op, unsigned cmd, domid_t id)
{
	op->cmd = cmd;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	op->domain = id;
	return HC(domctl, op, 0, 0);
}

long sysctl(struct xen_sysctl *op, unsigned cmd)
{
	op->cmd = cmd;
	op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	return HC(sysctl, op, 0, 0);
}

uint64_t free_pages(void)
{
	struct xen_sysctl op = { 0 };

	check_eq(sysctl(&op, XEN_SYSCTL_physinfo), 0, "physinfo");
	return op.u.physinfo.free_pages;
}

uint64_t window(unsigned n)
{
	static uint64_t used;

	used += n;
	return WINDOW_GFN + used - n;
}

long map_foreign(domid_t id, uint64_t theirs, uint64_t gfn, unsigned n)
{
	xen_ulong_t idxs[COPY_PAGES];
	xen_pfn_t gfns[COPY_PAGES];
	int errs[COPY_PAGES] = { 0 };
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = (uint16_t)n };
	long rc;

	for (unsigned i = 0; i < n; i++) {
		idxs[i] = theirs + i;
		gfns[i] = gfn + i;
	}
	b.u.foreign_domid = id;
	b.idxs.p = idxs;
	b.gpfns.p = gfns;
	b.errs.p = errs;
	rc = memory_op(XENMEM_add_to_physmap_batch, &b);
	for (unsigned i = 0; i < n && !rc; i++)
		rc = errs[i];
	return rc;
}

void unmap_range(uint64_t gfn, unsigned n)
{
	while (n--)
		unmap_gfn(gfn++);
}

static bool populate(domid_t id, uint64_t gfn, unsigned pages)
{
	while (pages) {
		unsigned order = pages >= 512 && !(gfn & 511) ? 9 : 0;
		xen_pfn_t p = gfn;
		struct xen_memory_reservation r = { .domid = id, .nr_extents = 1, .extent_order = order };

		r.extent_start.p = &p;
		if (!check_eq(memory_op(XENMEM_populate_physmap, &r), 1, "populate"))
			return false;
		gfn += BIT(order);
		pages -= 1u << order;
	}
	return true;
}

static bool copy_image(domid_t id)
{
	static uint64_t at;
	unsigned pages = (unsigned)((image_end - image_start) / PAGE_SIZE);

	if (!at)
		at = window(COPY_PAGES);
	for (unsigned i = 0; i < pages; i += COPY_PAGES) {
		unsigned n = MIN(pages - i, COPY_PAGES);

		if (!check_eq(map_foreign(id, IMAGE_GFN + i, at, n), 0, "map the new domain's memory"))
			return false;
		memcpy((void *)(at * PAGE_SIZE), image_start + i * PAGE_SIZE, n * PAGE_SIZE);
		unmap_range(at, n);
	}
	return true;
}

static bool write_start_info(domid_t id, const char *words)
{
	static uint64_t at;
	struct hvm_start_info *s;

	if (!at)
		at = window(1);
	if (!check_eq(map_foreign(id, LOW_GFN + 1, at, 1), 0, "map the start info"))
		return false;
	s = (void *)(at * PAGE_SIZE);
	*s = (struct hvm_start_info){ .magic = XEN_HVM_START_MAGIC_VALUE, .version = 1,
				      .cmdline_paddr = (LOW_GFN + 1) * PAGE_SIZE + 1024 };
	memcpy((char *)s + 1024, words, strlen(words) + 1);
	unmap_range(at, 1);
	return true;
}

/* HEADER and MTRR as the core gives them, CPU for the PVH entry. */
static bool set_context(domid_t id)
{
	static uint8_t all[32768], some[4096];
	struct xen_domctl op = { 0 };
	struct hvm_save_descriptor *in = (void *)all, *out = (void *)some;

	op.u.hvmcontext.size = sizeof(all);
	op.u.hvmcontext.buffer.p = all;
	if (!check_eq(domctl(&op, XEN_DOMCTL_gethvmcontext, id), 0, "gethvmcontext"))
		return false;
	for (; in->typecode; in = (void *)((char *)(in + 1) + in->length)) {
		uint16_t t = in->typecode;

		if (in->instance || (t != HVM_SAVE_CODE(HEADER) && t != HVM_SAVE_CODE(CPU) && t != HVM_SAVE_CODE(MTRR)))
			continue;
		memcpy(out, in, sizeof(*in) + in->length);
		if (t == HVM_SAVE_CODE(CPU)) {
			HVM_SAVE_TYPE(CPU) *c = (void *)(out + 1);

			memset(c, 0, sizeof(*c));
			c->cr0 = 0x11;
			c->cs_limit = c->ds_limit = c->es_limit = c->ss_limit = ~0u;
			c->tr_limit = 0x67;
			c->cs_arbytes = 0xc9b;
			c->ds_arbytes = c->es_arbytes = c->ss_arbytes = 0xc93;
			c->tr_arbytes = 0x8b;
			c->rip = (uint64_t)image_start;
			c->rbx = (LOW_GFN + 1) * PAGE_SIZE;
			c->rflags = 2;
			c->dr6 = 0xffff0ff0;
			c->dr7 = 0x400;
		}
		out = (void *)((char *)(out + 1) + in->length);
	}
	*out++ = (struct hvm_save_descriptor){ .typecode = HVM_SAVE_CODE(END) };
	memset(&op, 0, sizeof(op));
	op.u.hvmcontext.size = (uint32_t)((uint8_t *)out - some);
	op.u.hvmcontext.buffer.p = some;
	return check_eq(domctl(&op, XEN_DOMCTL_sethvmcontext, id), 0, "sethvmcontext");
}

static bool create(struct domu *d, unsigned vcpus, uint64_t pages)
{
	struct xen_domctl op = { .u.createdomain = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap, .max_vcpus = vcpus, .max_evtchn_port = 131071,
		.max_grant_frames = 64, .max_maptrack_frames = 64, .grant_opts = 1,
		.arch.emulation_flags = XEN_X86_EMU_LAPIC,
	} };

	if (!check_eq(domctl(&op, XEN_DOMCTL_createdomain, 0), 0, "createdomain"))
		return false;
	d->id = op.domain;
	memset(&op, 0, sizeof(op));
	op.u.max_vcpus.max = vcpus;
	if (!check_eq(domctl(&op, XEN_DOMCTL_max_vcpus, d->id), 0, "max_vcpus"))
		return false;
	memset(&op, 0, sizeof(op));
	op.u.max_mem.max_memkb = pages * 4;
	check_eq(domctl(&op, XEN_DOMCTL_max_mem, d->id), 0, "max_mem");
	memset(&op, 0, sizeof(op));
	op.u.paging_mempool.size = POOL_BYTES;
	check_eq(domctl(&op, XEN_DOMCTL_set_paging_mempool_size, d->id), 0, "set_paging_mempool_size");
	return true;
}

bool domu_build(struct domu *d, const char *words, unsigned vcpus, unsigned extra_pages)
{
	if (!d->box_gfn)
		d->box_gfn = window(1);
	d->box = NULL;
	if (!create(d, vcpus, 2 + IMAGE_PAGES + extra_pages))
		return false;
	if (!populate(d->id, LOW_GFN, 2) || !populate(d->id, IMAGE_GFN, IMAGE_PAGES) ||
	    !populate(d->id, EXTRA_GFN, extra_pages) || !copy_image(d->id) || !write_start_info(d->id, words) ||
	    !set_context(d->id))
		return false;
	if (!check_eq(map_foreign(d->id, (uint64_t)&box / PAGE_SIZE, d->box_gfn, 1), 0, "map the box"))
		return false;
	d->box = (struct box *)(d->box_gfn * PAGE_SIZE);
	return true;
}

long domu_unpause(struct domu *d)
{
	struct xen_domctl op = { 0 };

	return domctl(&op, XEN_DOMCTL_unpausedomain, d->id);
}

void domu_text(struct domu *d)
{
	char line[256];
	unsigned n = 0;
	struct box *b = d->box;

	while (b && b->rd != b->wr && n < 4096) {
		char c = b->text[b->rd % sizeof(b->text)];

		b->rd++;
		line[n++ % sizeof(line)] = c;
		if (c != '\n' && n < sizeof(line) && b->rd != b->wr)
			continue;
		print("d%u: ", d->id);
		console_write(line, n);
		if (c != '\n')
			print("\n");
		n = 0;
	}
}

bool domu_info(struct domu *d, struct xen_domctl_getdomaininfo *info)
{
	struct xen_domctl op = { 0 };

	if (domctl(&op, XEN_DOMCTL_getdomaininfo, d->id) || op.domain != d->id)
		return false;
	*info = op.u.getdomaininfo;
	return true;
}

int domu_wait(struct domu *d, uint64_t ns)
{
	uint64_t end = now() + ns;
	struct xen_domctl_getdomaininfo info;

	for (;;) {
		domu_text(d);
		if (!domu_info(d, &info))
			return -2;
		if (info.flags & XEN_DOMINF_shutdown) {
			domu_text(d);
			return (int)(info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask);
		}
		if (now() >= end)
			return -1;
		sleep_until(now() + 10 * MS);
	}
}

void domu_destroy(struct domu *d)
{
	struct xen_domctl op = { 0 };
	long rc;

	if (d->box)
		unmap_gfn(d->box_gfn);
	d->box = NULL;
	while ((rc = domctl(&op, XEN_DOMCTL_destroydomain, d->id)) == -85) /* Xen: ERESTART */
		;
	check_eq(rc, 0, "destroydomain");
}
