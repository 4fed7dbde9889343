// SPDX-License-Identifier: Apache-2.0
/*
 * Patterns in the service domain's memory, in a domain that runs beside it (memory and registers) and in one that has died are
 * searched for, with the core's own text and addresses, in all that a hostile domain can read.
 */
#include "attacks.h"

extern char bss_end[];

#define KEPT_PAGES 4096u /* of the domain that keeps a secret; others get what is said */
#define DEAD_PAGES 16384u

/* Only their complements are in the image. The last: "no memory to build", which the core says when it refuses to start. */
enum { OF_DOM0, OF_KEEPER, OF_DEAD, OF_CORE, PATTERNS };
static uint64_t pattern(unsigned i)
{
	static const volatile uint64_t not[] = { ~0x5ec4e700d0d0d0d0ul, ~0x5ec4e71eee9e4e4eul, ~0x5ec4e7dead5ec4e7ul,
						 ~0x726f6d656d206f6eul };

	return ~not[i];
}

static void fill(uint64_t at, uint64_t n, uint64_t with)
{
	for (uint64_t *p = (uint64_t *)at, *end = p + n / 8; p < end; p++)
		*p = with;
}

/* ---- who has a secret ---- */

static void registers_full_of(uint64_t v)
{
	static uint64_t wide[4] __aligned(32);

	for (unsigned i = 0; i < 4; i++)
		wide[i] = v;
	__asm__ volatile("mov %0, %%db0; mov %0, %%db1; mov %0, %%db2; mov %0, %%db3" ::"r"(v & 0x7fffffffffff));
#define X(n) __asm__ volatile("movdqu %0, %%xmm" #n ::"m"(wide));
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#undef X
	__asm__ volatile("fninit; fldl %0; fldl %0; fldl %0" ::"m"(wide));
}

/* Its memory, its registers, and a grant for the service domain only. */
void guest_keeper(void)
{
	volatile grant_entry_v1_t *e = (void *)(GRANT_GFN * PAGE_SIZE);
	uint64_t p = pattern(option("dead", 0) ? OF_DEAD : OF_KEEPER);

	fill(EXTRA, option("pages", 0) * PAGE_SIZE, p);
	map_space(XENMAPSPACE_grant_table, 0, GRANT_GFN);
	e[8].domid = 0;
	e[8].frame = EXTRA_GFN;
	barrier();
	e[8].flags = GTF_permit_access;
	registers_full_of(p);
	for (;;)
		box.progress++;
}

/* ---- who looks for them ---- */

static bool is_core_address(uint64_t v)
{
	return (v >= 0xffffffff80200000 && v < 0xffffffff80800000) || (v >= 0xffff800000000000 && v < 0xffff810000000000);
}

static void seen(unsigned i, const char *where, uint64_t at)
{
	static const char *const names[] = { "the service domain", "another domain", "a dead domain", "the core" };

	check(false, "memory of %s is in %s at %lx", names[i], where, at);
}

/* Each byte offset for the patterns; true when nothing is there. */
static bool search(const void *at, size_t n, const char *where)
{
	uint64_t p[PATTERNS];

	for (unsigned i = 0; i < PATTERNS; i++)
		p[i] = pattern(i);
	for (const char *c = at, *end = c + n - 7; c < end; c++) {
		uint64_t v = *(const uint64_t *)c;

		for (unsigned i = 0; i < PATTERNS; i++)
			if (v == p[i]) {
				seen(i, where, (uint64_t)c);
				return false;
			}
	}
	return true;
}

static void value(uint64_t v, const char *where, uint64_t which)
{
	for (unsigned i = 0; i < PATTERNS; i++)
		if (v == pattern(i) || (uint32_t)v == (uint32_t)pattern(i))
			seen(i, where, which);
	check(!is_core_address(v), "%s %lx is %lx, an address in the core", where, which, v);
}

/* Memory that the domain was given is zero: what is not, may be somebody's. */
static void fresh_memory(uint64_t from, uint64_t to)
{
	for (uint64_t *p = (uint64_t *)from; p < (uint64_t *)to; p++)
		if (*p) {
			check(false, "new memory holds %lx at %lx", *p, (uint64_t)p);
			search(p, 4096, "new memory");
			return;
		}
}

static void fresh_registers(void)
{
	static uint8_t image[512] __aligned(64);
	static const uint32_t zero_msrs[] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
					      0x174, 0x175, 0x176, 0x1d9 };
	uint64_t d[4], v;

	__asm__ volatile("fxsave64 %0" : "=m"(image));
	search(image, sizeof(image), "the FPU");
	for (unsigned i = 160; i < 416; i++)
		if (!check(!image[i], "XMM registers are not empty"))
			break;
	__asm__ volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3"
			 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]));
	for (unsigned i = 0; i < 4; i++)
		check(!d[i], "DR%u is %lx", i, d[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(zero_msrs); i++)
		if (rdmsr_safe(zero_msrs[i], &v) == -1)
			check(!v, "MSR %x is %lx", zero_msrs[i], v);
}

static void cpu_outputs(void)
{
	static const struct { uint32_t first, n; } leaves[] = {
		{ 0, 0x40 }, { 0x40000000, 0x20 }, { 0x40000100, 4 }, { 0x80000000, 0x40 }, { 0x8fffffff, 2 }, { 0xc0000000, 4 },
	}, msrs[] = {
		{ 0, 0x1000 }, { 0x40000000, 0x200 }, { 0xc0000000, 0x400 }, { 0xc0010000, 0x400 }, { 0xc0011000, 0x100 },
	};
	uint64_t v;

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		for (uint32_t k = 0; k < leaves[i].n; k++)
			for (uint32_t sub = 0; sub < 16; sub++) {
				struct cpuid c = cpuid(leaves[i].first + k, sub);

				value((uint64_t)c.b << 32 | c.a, "CPUID leaf", leaves[i].first + k);
				value((uint64_t)c.d << 32 | c.c, "CPUID leaf", leaves[i].first + k);
			}
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		for (uint32_t k = 0; k < msrs[i].n; k++)
			if (rdmsr_safe(msrs[i].first + k, &v) == -1)
				value(v, "MSR", msrs[i].first + k);
}

/* Every call that might write something there, on a buffer full of a mark; then the buffer. */
static void call_outputs(void)
{
	static const uint8_t calls[] = { 12, 13, 17, 20, 21, 24, 29, 32, 33, 34, 35, 36, 15, 7, 18, 28, 37, 38, 39, 40, 41, 42 };
	static uint64_t buf[1024] __aligned(PAGE_SIZE);

	for (unsigned c = 0; c < ARRAY_SIZE(calls); c++)
		for (unsigned cmd = 0; cmd < 48; cmd++)
			for (unsigned arg = 0; arg < 4; arg++) {
				unsigned nr = calls[c];

				if (nr == __HYPERVISOR_sched_op || (nr == __HYPERVISOR_vcpu_op && cmd != VCPUOP_get_runstate_info))
					continue;
				if (nr == __HYPERVISOR_memory_op && cmd < 2)
					continue;
				for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
					buf[i] = 0xa5a5a5a5a5a5a5a5;
				buf[0] = arg == 1 ? 0 : arg == 2 ? DOMID_SELF : arg == 3 ? 64 : buf[0];
				buf[1] = arg == 3 ? (uint64_t)(buf + 512) : buf[1];
				hypercall(nr, cmd, nr == __HYPERVISOR_vcpu_op ? 0 : (uint64_t)buf,
					  nr == __HYPERVISOR_grant_table_op ? 1 : (uint64_t)buf, (uint64_t)buf, (uint64_t)buf);
				if (!search(buf, sizeof(buf), "what a hypercall wrote"))
					return;
				for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
					if (!check(!is_core_address(buf[i]), "hypercall %u command %u wrote %lx", nr, cmd, buf[i]))
						return;
			}
	for (unsigned i = 0; i < HVM_NR_PARAMS; i++) {
		uint64_t v = 0xa5a5a5a5;

		hvm_param(i, &v, false);
		value(v, "parameter", i);
	}
	search(shared, PAGE_SIZE, "shared_info");
}

static void others_pages(void)
{
	static uint64_t page[512] __aligned(PAGE_SIZE);
	domid_t ids[] = { 0, (domid_t)option("keeper", 1) };

	for (unsigned k = 0; k < 2; k++)
		for (unsigned ref = 0; ref < 64; ref++) {
			struct gnttab_copy c = { .len = 4096, .flags = GNTCOPY_source_gref };
			struct gnttab_map_grant_ref m = { .host_addr = HOLE, .flags = GNTMAP_host_map | GNTMAP_readonly,
							  .ref = ref, .dom = ids[k] };

			c.source.u.ref = ref;
			c.source.domid = ids[k];
			c.dest.domid = DOMID_SELF;
			c.dest.u.gmfn = (uint64_t)page / PAGE_SIZE;
			grant_op(GNTTABOP_copy, &c, 1);
			grant_op(GNTTABOP_map_grant_ref, &m, 1);
			if (!m.status)
				search((void *)HOLE, PAGE_SIZE, "a mapped grant");
		}
	search(page, sizeof(page), "a copied grant");
	for (uint64_t gfn = 0; gfn < 0x20000; gfn += 61) {
		map_foreign(ids[gfn & 1], gfn, HOLE / PAGE_SIZE + 1, 1);
		map_space(XENMAPSPACE_gmfn, gfn + 0x20000, HOLE / PAGE_SIZE + 1);
		for (unsigned space = 0; space < 8; space++)
			if (space != XENMAPSPACE_grant_table && space != XENMAPSPACE_gmfn && space != XENMAPSPACE_shared_info)
				map_space(space, gfn, HOLE / PAGE_SIZE + 1);
		if (!check(*(volatile uint64_t *)(HOLE + PAGE_SIZE) == ~0ul, "something got mapped for frame %lx", gfn))
			break;
	}
}

/* Physical addresses that are nobody's, or were never given. */
static void unmapped_memory(void)
{
	uint64_t v, width = BIT(cpuid(0x80000008, 0).a & 0xff) - 1;

	for (uint64_t i = 0, n = rounds(20000); i < n; i++) {
		uint64_t at = rnd() & 0xfffff000;

		if (i & 1)
			at = map_page(0, (rnd() & width & ~0xffful) | 3);
		if (at >= IMAGE_GFN * PAGE_SIZE && at < 0x44000000)
			continue;
		v = *(volatile uint64_t *)at;
		if (v != ~0ul && v)
			value(v, "physical address", at);
	}
}

static void recycled_memory(void)
{
	uint64_t at = (IMAGE_GFN + IMAGE_PAGES - 1) * PAGE_SIZE;

	for (uint64_t i = 0, n = rounds(2000); i < n; i++) {
		xen_pfn_t gfn = at / PAGE_SIZE;
		struct xen_memory_reservation r = { .domid = DOMID_SELF, .nr_extents = 1 };

		r.extent_start.p = &gfn;
		memset((void *)at, 0x77, PAGE_SIZE);
		check_eq(memory_op(XENMEM_decrease_reservation, &r), 1, "decrease_reservation");
		check_eq(memory_op(XENMEM_populate_physmap, &r), 1, "populate_physmap");
		fresh_memory(at, at + PAGE_SIZE);
	}
}

void guest_search(void)
{
	fresh_registers();
	fresh_memory((uint64_t)bss_end, (IMAGE_GFN + IMAGE_PAGES) * PAGE_SIZE);
	fresh_memory(EXTRA, EXTRA + option("pages", 0) * PAGE_SIZE);
	if (option("memory", 0))
		return;
	cli();
	cpu_outputs();
	call_outputs();
	others_pages();
	unmapped_memory();
	recycled_memory();
}

/* ---- the service domain ---- */

static bool keeper(struct domu *d, bool dead, unsigned pages)
{
	char words[64];
	uint64_t end = now() + 20 * SECOND;

	snprintf(words, sizeof(words), "keeper dead=%u pages=%u", dead, pages);
	if (!domu_build(d, words, 1, pages))
		return false;
	domu_unpause(d);
	while (d->box->progress < 1000 && now() < end)
		sleep_until(now() + 10 * MS);
	return check(d->box->progress >= 1000, "the keeper does not get ready");
}

static void searcher(const char *name, unsigned pages, bool memory, domid_t keeper_id)
{
	static struct domu d;
	unsigned before = failures;
	char words[128];

	snprintf(words, sizeof(words), "search pages=%u memory=%u keeper=%u scale=%lu", pages, memory, keeper_id,
		 option("scale", 100));
	if (domu_build(&d, words, 1, pages)) {
		domu_unpause(&d);
		check_eq(domu_wait(&d, 200 * SECOND), SHUTDOWN_poweroff, "how the search ended");
		check(d.box->state == BOX_DONE, "the search did not come to its end");
		failures += d.box->failures;
	}
	domu_destroy(&d);
	print("%s %s\n", failures == before ? "ok    " : "FAILED", name);
}

void secret(void)
{
	static struct domu living, dead;

	timer_port = timer_bind();
	fill(0x2000000, 512 * PAGE_SIZE, pattern(OF_DOM0));
	if (!keeper(&living, false, KEPT_PAGES))
		return;
	searcher("beside a domain with a secret", 1024, false, living.id);
	/* What it leaves goes to one that takes all there is. */
	if (!keeper(&dead, true, DEAD_PAGES))
		return;
	domu_destroy(&dead);
	searcher("after a domain with a secret", ((unsigned)free_pages() - 4096u) & ~511u, true, living.id);
	domu_destroy(&living);
}
