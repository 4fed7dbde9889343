// SPDX-License-Identifier: Apache-2.0
/* Attacks by hypercalls. */
#include "attacks.h"

uint64_t rounds(uint64_t n)
{
	return MAX(n * option("scale", 100) / 100, 1ul);
}

uint64_t map_page(unsigned n, uint64_t entry)
{
	extern uint64_t pdpt[512];
	static uint64_t table[2][512] __aligned(PAGE_SIZE);
	uint64_t va = (8ul << 30) + n * PAGE_SIZE;

	pdpt[8] = (uint64_t)table[0] | 7;
	table[0][0] = (uint64_t)table[1] | 7;
	table[1][n] = entry;
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
	return va;
}

/* ---- random ---- */

/* A value that may mean something; never a frame number of the image, so that the guest does not lose itself. */
static uint64_t value(void)
{
	static const uint64_t fixed[] = {
		0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7ff0, 0x7ff1, 0x7ff2, 0x7ff4, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ul << 36, 1ul << 40,
		1ul << 52, 0x7fffffffffffffff, 1ul << 63, ~0ul, ~0ul - 1, NOWHERE, UNMAPPED, 0xffff800000000000,
		0xffffffff80000000, HOLE, HOLE / PAGE_SIZE, SHARED_GFN, GRANT_GFN, 0xfee00, 0xfee00000,
	};
	uint64_t r = rnd();

	switch (r >> 60) {
	case 0 ... 5:
		return fixed[r % ARRAY_SIZE(fixed)];
	case 6 ... 8:
		return EXTRA + (r & 0x3fffff);
	case 9 ... 10:
		return EXTRA + (r & 0x3ff000);
	case 11 ... 12:
		return EXTRA_GFN + (r & 1023);
	case 13:
		return r & 63;
	case 14:
		return option("victim", 0);
	default:
		return r << 8 | 1 << 20; /* large */
	}
}

static bool near_image(uint64_t v)
{
	return v + 1024 > IMAGE_GFN && v < IMAGE_GFN + IMAGE_PAGES;
}

static uint64_t safe_value(void)
{
	uint64_t v;

	do
		v = value();
	while (near_image(v) || near_image((uint32_t)v));
	return v;
}

/* Some of the words, of different sizes, that a call may take as its argument. */
static void fill(uint64_t at)
{
	for (unsigned i = 0; i < 10; i++) {
		uint64_t v = safe_value(), to = at + (rnd() % 12) * 8;

		if (to + 8 > EXTRA + 0x400000)
			return;
		switch (rnd() >> 62) {
		case 0:
			*(uint32_t *)to = (uint32_t)v;
			break;
		case 1:
			*(uint16_t *)(to + 2 * (rnd() & 3)) = (uint16_t)v;
			break;
		default:
			*(uint64_t *)to = v;
		}
	}
}

/* Calls that stop this vCPU or the whole domain are no test. */
static bool stops_us(uint64_t nr, uint64_t cmd)
{
	if (nr == __HYPERVISOR_sched_op)
		return (uint32_t)cmd != SCHEDOP_yield;
	return nr == __HYPERVISOR_vcpu_op && ((uint32_t)cmd == VCPUOP_down || (uint32_t)cmd == VCPUOP_send_nmi);
}

static void one_call(uint64_t *a)
{
	static const uint8_t busy[] = { 12, 17, 20, 21, 24, 29, 32, 33, 34, 14, 35, 36, 15, 7 };
	uint64_t r = rnd(), nr = r & 1 ? busy[(r >> 1) % sizeof(busy)] : r >> 1 & 63;

	for (unsigned i = 0; i < 5; i++)
		a[i + 1] = safe_value();
	if (r & 1 << 8)
		a[1] = r >> 16 & 31;
	if (r & 1 << 9) {
		a[2] = EXTRA + (r >> 24 & 0x3fffc0);
		fill(a[2]);
	}
	if (r & 1 << 10 && nr == __HYPERVISOR_grant_table_op)
		a[3] = 1 + (r >> 11 & 3);
	if (nr == __HYPERVISOR_vcpu_op && r & 1 << 10) {
		a[2] = 0;
		a[3] = EXTRA + (r >> 24 & 0x3fffc0);
		fill(a[3]);
	}
	if (stops_us(nr, a[1]))
		a[1] = 0;
	a[0] = nr;
}

/* Most go by multicall: an exit costs more than a call. */
static void batch(unsigned n)
{
	multicall_entry_t *m = (void *)EXTRA;
	uint64_t a[6];

	for (unsigned i = 0; i < n; i++) {
		one_call(a);
		if (a[0] == __HYPERVISOR_multicall)
			a[0] = 62;
		m[i].op = a[0];
		memcpy(m[i].args, a + 1, 40);
	}
	HC(multicall, m, n, 0);
}

void random_calls(void)
{
	uint64_t n = option("calls", 1000000), a[6];

	cli();
	for (uint64_t i = 0; i < n; i++) {
		box.progress = i;
		if (!(rnd() & 3)) {
			unsigned some = 1 + (rnd() & 31);

			batch(some);
			i += some;
			continue;
		}
		one_call(a);
		if (a[0] == __HYPERVISOR_multicall)
			a[2] = 0;
		hypercall((unsigned)a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	check_eq(HC(xen_version, XENVER_version, 0, 0), 4 << 16 | 20, "xen_version afterwards");
}

/* ---- what is not ours ---- */

static long one_page(unsigned cmd, domid_t id, xen_pfn_t gfn)
{
	struct xen_memory_reservation r = { .domid = id, .nr_extents = 1 };

	r.extent_start.p = &gfn;
	return memory_op(cmd, &r);
}

static void others_memory(domid_t id)
{
	struct xen_add_to_physmap a = { .domid = id, .space = XENMAPSPACE_shared_info, .gpfn = HOLE / PAGE_SIZE };
	struct xen_remove_from_physmap r = { .domid = id, .gpfn = IMAGE_GFN };
	struct xen_mem_acquire_resource q = { .domid = id, .type = XENMEM_resource_grant_table, .nr_frames = 1 };
	struct xen_foreign_memory_map m = { .domid = id };
	struct xen_memory_domain d = { .domid = id };
	xen_pfn_t gfn = HOLE / PAGE_SIZE;

	check(one_page(XENMEM_decrease_reservation, id, IMAGE_GFN) <= 0, "decrease_reservation of domain %u", id);
	check(one_page(XENMEM_populate_physmap, id, HOLE / PAGE_SIZE) <= 0, "populate_physmap of domain %u", id);
	check(memory_op(XENMEM_add_to_physmap, &a) < 0, "add_to_physmap of domain %u", id);
	check(memory_op(XENMEM_remove_from_physmap, &r) < 0, "remove_from_physmap of domain %u", id);
	q.frame_list.p = &gfn;
	check(memory_op(XENMEM_acquire_resource, &q) < 0, "acquire_resource of domain %u", id);
	check(memory_op(XENMEM_set_memory_map, &m) < 0, "set_memory_map of domain %u", id);
	check(memory_op(XENMEM_current_reservation, &d) < 0, "current_reservation of domain %u", id);
	check(memory_op(XENMEM_maximum_gpfn, &d) < 0, "maximum_gpfn of domain %u", id);
	for (uint64_t theirs = 0; theirs < 0x2000; theirs += 37)
		if (!check(map_foreign(id, theirs, HOLE / PAGE_SIZE, 1) < 0, "mapped frame %lx of domain %u", theirs, id))
			break;
}

static void others_grants(domid_t id)
{
	for (unsigned ref = 0; ref < 600; ref++) {
		struct gnttab_map_grant_ref m = { .host_addr = HOLE, .flags = GNTMAP_host_map | GNTMAP_readonly,
						  .ref = ref, .dom = id };
		struct gnttab_copy c = { .len = 64, .flags = GNTCOPY_source_gref };

		c.source.u.ref = ref;
		c.source.domid = id;
		c.dest.domid = DOMID_SELF;
		c.dest.u.gmfn = IMAGE_GFN + IMAGE_PAGES - 1;
		grant_op(GNTTABOP_map_grant_ref, &m, 1);
		grant_op(GNTTABOP_copy, &c, 1);
		if (!check(m.status && c.status, "grant %u of domain %u: map %d, copy %d", ref, id, m.status, c.status))
			break;
	}
}

static void others_rest(domid_t id)
{
	struct xen_hvm_param p = { .domid = id, .index = HVM_PARAM_CALLBACK_IRQ, .value = 0 };
	struct sched_remote_shutdown s = { .domain_id = id, .reason = SHUTDOWN_crash };
	struct evtchn_reset r = { .dom = id };
	struct gnttab_query_size q = { .dom = id };

	for (unsigned port = 1; port < 64; port++) {
		struct evtchn_bind_interdomain b = { .remote_dom = id, .remote_port = port };
		struct evtchn_status st = { .dom = id, .port = port };

		if (id || port != box.arg[0])
			check(evtchn_op(EVTCHNOP_bind_interdomain, &b) < 0, "bound port %u of domain %u", port, id);
		check(evtchn_op(EVTCHNOP_status, &st) < 0, "status of port %u of domain %u", port, id);
	}
	check(!alloc_unbound(id, DOMID_SELF), "alloc_unbound in domain %u", id);
	check(evtchn_op(EVTCHNOP_reset, &r) < 0, "reset of domain %u", id);
	check(HC(hvm_op, HVMOP_set_param, &p, 0) < 0 && HC(hvm_op, HVMOP_get_param, &p, 0) < 0, "parameter of domain %u", id);
	check(sched_op(SCHEDOP_remote_shutdown, &s) < 0, "remote_shutdown of domain %u", id);
	grant_op(GNTTABOP_query_size, &q, 1);
	check(q.status < 0, "query_size of domain %u", id);
}

void others(void)
{
	domid_t ids[] = { 0, (domid_t)option("victim", 1), DOMID_XEN, DOMID_IO, DOMID_COW, DOMID_IDLE, DOMID_INVALID, 4321 };

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		others_memory(ids[i]);
		others_grants(ids[i]);
		others_rest(ids[i]);
	}
	for (unsigned cmd = 0; cmd < 100; cmd++) {
		struct xen_domctl d = { 0 };
		struct xen_sysctl s = { 0 };

		check_eq(domctl(&d, cmd, (domid_t)option("victim", 1)), -EPERM, "domctl");
		check_eq(sysctl(&s, cmd), -EPERM, "sysctl");
	}
}

/* ---- buffers ---- */

/* Where a call must not write: nothing there, or read-only. Every call that answers with data, at each. */
void bad_buffers(void)
{
	static uint64_t page[512] __aligned(PAGE_SIZE);
	uint64_t ro = map_page(0, (uint64_t)page | 1), last = map_page(4, (uint64_t)page | 3) + 4090;
	uint64_t bad[] = { 0, NOWHERE, NOWHERE - 4, ~0ul - 3, UNMAPPED, 0xffff800000000000, 0xffffffff80200000, HOLE, APIC, ro,
			   ro + 4092, last };
	long rc;

	map_page(1, 0);
	map_page(5, 0);
	for (unsigned i = 0; i < 512; i++)
		page[i] = 0x1111111111111111ul * 5;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t at = bad[i];

		check_eq(HC(xen_version, XENVER_capabilities, at, 0), -EFAULT, "capabilities");
		check_eq(HC(xen_version, XENVER_changeset, at, 0), -EFAULT, "changeset");
		check_eq(HC(xen_version, XENVER_compile_info, at, 0), -EFAULT, "compile_info");
		check_eq(HC(xen_version, XENVER_guest_handle, at, 0), -EFAULT, "guest_handle");
		rc = HC(xen_version, XENVER_get_features, at, 0);
		check(rc == -EFAULT || rc == -EINVAL, "get_features: %ld", rc); /* what it reads first may be wrong too */
		check(vcpu_op(VCPUOP_get_runstate_info, 0, at) == -EFAULT, "get_runstate_info");
		check(HC(hvm_op, HVMOP_get_time, at, 0) == -EFAULT, "get_time");
		rc = evtchn_op(EVTCHNOP_alloc_unbound, at);
		check(rc < 0, "alloc_unbound: %ld", rc);
		rc = grant_op(GNTTABOP_query_size, at, 1);
		check(rc == -EFAULT, "query_size: %ld", rc);
		rc = grant_op(GNTTABOP_map_grant_ref, at, 3);
		check(rc == -EFAULT, "map_grant_ref: %ld", rc);
		rc = HC(multicall, at, 3, 0);
		check(rc == -EFAULT, "multicall at %lx: %ld", at, rc);
	}
	for (unsigned i = 0; i < 511; i++)
		if (!check(page[i] == 0x1111111111111111ul * 5, "a read-only page was written: %lx", page[i]))
			break;
}

/* Page tables that lead anywhere, and hypercalls through them. */
void bad_tables(void)
{
	extern uint64_t pml4[512];
	uint64_t saved = pml4[2], va = 2ul << 39;
	char caps[8] = "x";

	for (uint64_t i = 0, n = rounds(200000); i < n; i++) {
		uint64_t r = rnd(), e = (r & 0xfff) | 1;

		switch (r >> 61) {
		case 0:
			e |= (uint64_t)pml4; /* itself, as all levels */
			break;
		case 1:
			e |= HOLE;
			break;
		case 2:
			e |= APIC;
			break;
		case 3:
			e |= rnd() & 0x000ffffffffff000;
			break;
		case 4:
			e |= (IMAGE_GFN + (r >> 12 & 0x7ff)) * PAGE_SIZE;
			break;
		case 5:
			e |= rnd() & ~0xffful;
			break;
		default:
			e |= SHARED_GFN * PAGE_SIZE;
		}
		pml4[2] = e;
		/* Reads only: a table that maps the image writable is the guest's good right. */
		HC(xen_version, XENVER_get_features, va + (rnd() & 0x7fffffffff), 0);
		evtchn_op(EVTCHNOP_send, va + (rnd() & 0x7fffffffff));
		sched_op(99, va);
		box.progress = i;
	}
	pml4[2] = saved;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
	check_eq(HC(xen_version, XENVER_pagesize, 0, 0), PAGE_SIZE, "pagesize afterwards");
	check(caps[0] == 'x', "the stack changed");
}

static uint8_t user_code[PAGE_SIZE] __aligned(PAGE_SIZE);
static uint8_t user_stack[PAGE_SIZE] __aligned(PAGE_SIZE);

static void in_user_mode(void *p)
{
	(void)p;
	user_call((uint64_t)user_code, (uint64_t)user_stack + PAGE_SIZE - 64);
}

static int user_run(const char *bytes, unsigned n)
{
	memset(user_code, 0xf4, 64); /* HLT: #GP at CPL 3 */
	memcpy(user_code, bytes, n);
	return guard(in_user_mode, NULL);
}

void user_mode(void)
{
	struct cpu *c = this_cpu();
	char call[] = "\xb8\0\0\0\0\x0f\x01\xd9";

	call[7] = intel ? (char)0xc1 : (char)0xd9;
	for (unsigned nr = 0; nr < 64; nr++) {
		call[1] = (char)nr;
		check_eq(user_run(call, 8), 13, "exception that ends user mode");
		if (!check(c->fault.rax == (uint64_t)-EPERM && c->fault.rip == (uint64_t)user_code + 8,
			   "hypercall %u from user mode: %ld", nr, (long)c->fault.rax))
			break;
	}
	check_eq(user_run("\x0f\xa2", 2), 13, "CPUID, then HLT");
	check_eq(user_run("\xe4\x60", 2), 13, "IN");
	check_eq(c->fault.rip, (uint64_t)user_code, "where IN stopped");
	check_eq(user_run("\x0f\x32", 2), 13, "RDMSR");
	check_eq(user_run("\x0f\x30", 2), 13, "WRMSR");
	check_eq(user_run("\xfa", 1), 13, "CLI");
	check_eq(user_run("\x0f\x20\xc0", 3), 13, "MOV from CR0");
	check(user_run("\x0f\x01\xd1", 3) >= 6, "XSETBV went through"); /* #UD or #GP: emulators differ */
	check(user_run("\x0f\x01\xd8", 3) >= 6, "VMRUN went through");
	check(user_run("\x0f\x01\xc2", 3) >= 6, "VMLAUNCH went through");
	check_eq(user_run("\x0f\x33", 2), 13, "RDPMC");
}

/* ---- the core's memory ---- */

static uint64_t sparse(uint64_t i)
{
	return (i * 0x40000 * 7 + 0x80000) & 0xfffffffff; /* a new table or two each time */
}

void sparse_populate(void)
{
	uint64_t ok = 0, n = rounds(100000);

	for (uint64_t i = 0; i < n; i++) {
		if (one_page(XENMEM_decrease_reservation, DOMID_SELF, i ? sparse(i - 1) : EXTRA_GFN) == 1)
			ok++;
		else if (i)
			one_page(XENMEM_decrease_reservation, DOMID_SELF, EXTRA_GFN + i % 16);
		one_page(XENMEM_populate_physmap, DOMID_SELF, sparse(i));
		box.progress = i;
	}
	check(ok > 16, "only %lu pages moved", ok);
}

void sparse_move(void)
{
	for (uint64_t i = 0, n = rounds(100000); i < n; i++) {
		map_space(XENMAPSPACE_shared_info, 0, sparse(i));
		map_space(XENMAPSPACE_grant_table, 0, sparse(i) + 1);
		map_space(XENMAPSPACE_gmfn, EXTRA_GFN, sparse(i) + 2);
		map_space(XENMAPSPACE_gmfn, sparse(i) + 2, EXTRA_GFN);
		unmap_gfn(sparse(i));
		box.progress = i;
	}
	check_eq(map_space(XENMAPSPACE_shared_info, 0, SHARED_GFN), 0, "map shared_info as before");
}

static void grant_self(unsigned ref, uint64_t gfn)
{
	volatile grant_entry_v1_t *e = (void *)(GRANT_GFN * PAGE_SIZE);

	e[ref].domid = my_domid;
	e[ref].frame = (uint32_t)gfn;
	barrier();
	e[ref].flags = GTF_permit_access;
}

static int16_t grant_map(unsigned ref, uint64_t gfn, grant_handle_t *handle)
{
	struct gnttab_map_grant_ref m = { .host_addr = gfn * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = ref, .dom = my_domid };

	grant_op(GNTTABOP_map_grant_ref, &m, 1);
	*handle = m.handle;
	return m.status;
}

void sparse_grants(void)
{
	uint64_t maps = 0;

	check_eq(map_space(XENMAPSPACE_grant_table, 0, GRANT_GFN), 0, "map the grant table");
	grant_self(8, EXTRA_GFN);
	for (uint64_t i = 0, n = rounds(100000); i < n; i++) {
		struct gnttab_unmap_grant_ref u = { .host_addr = sparse(i) * PAGE_SIZE };

		box.progress = i;
		if (grant_map(8, sparse(i), &u.handle))
			continue;
		maps++;
		grant_op(GNTTABOP_unmap_grant_ref, &u, 1);
		check_eq(u.status, 0, "unmap");
	}
	check(maps > 16, "only %lu maps", maps);
}

/* All ports there are, first 2-level then FIFO, and events on all of them. */
void many_channels(void)
{
	static struct evtchn_fifo_control_block control __aligned(PAGE_SIZE);
	struct evtchn_init_control c = { .control_gfn = (uint64_t)&control / PAGE_SIZE };
	unsigned ports = 0, arrays = 0;

	cli();
	while (alloc_unbound(DOMID_SELF, 0))
		ports++;
	check(ports > 4000, "%u ports in the 2-level ABI", ports);
	check_eq(evtchn_op(EVTCHNOP_init_control, &c), 0, "init_control");
	for (unsigned i = 0; i < 200; i++) {
		struct evtchn_expand_array x = { .array_gfn = EXTRA_GFN + i };

		arrays += !evtchn_op(EVTCHNOP_expand_array, &x);
	}
	check_eq(arrays, 128, "event arrays");
	for (;;) {
		struct evtchn_bind_ipi b = { .vcpu = 0 };

		if (evtchn_op(EVTCHNOP_bind_ipi, &b))
			break;
		ports++;
		evtchn_op(EVTCHNOP_send, &b.port);
		((uint32_t *)EXTRA)[rnd() % ports] = (uint32_t)rnd(); /* the queue is ours to break */
		box.progress = ports;
	}
	check(ports > 100000, "%u ports in the FIFO ABI", ports);
}

void many_grants(void)
{
	struct gnttab_query_size q = { .dom = DOMID_SELF };
	unsigned frames = 0, maps = 0;
	grant_handle_t h;

	while (!map_space(XENMAPSPACE_grant_table, frames, GRANT_GFN + frames))
		frames++;
	grant_op(GNTTABOP_query_size, &q, 1);
	check_eq(frames, q.max_nr_frames, "grant frames");
	for (unsigned ref = 8; ref < frames * 512; ref++) {
		struct gnttab_swap_grant_ref s = { .ref_a = ref, .ref_b = ref - 1 };

		grant_self(ref, IMAGE_GFN + IMAGE_PAGES - 1);
		maps += !grant_map(ref, 0x80000 + ref, &h);
		if (!(ref & 63))
			grant_op(GNTTABOP_swap_grant_ref, &s, 1);
		box.progress = ref;
	}
	check(maps > 10000, "%u maps", maps);
}

/* ---- endless ---- */

void endless_multicall(void)
{
	static multicall_entry_t m[256];

	for (unsigned i = 0; i < 256; i++)
		m[i] = (multicall_entry_t){ .op = __HYPERVISOR_xen_version, .args = { XENVER_pagesize } };
	for (;;)
		HC(multicall, m, 256, 0);
}

void endless_calls(void)
{
	for (;;)
		HC(xen_version, XENVER_version, 0, 0);
}

/* To the service domain, that much more than it can handle. */
void endless_events(void)
{
	struct evtchn_bind_interdomain b = { .remote_dom = 0, .remote_port = (uint32_t)box.arg[0] };

	check_eq(evtchn_op(EVTCHNOP_bind_interdomain, &b), 0, "bind the service domain's port");
	for (;;)
		evtchn_op(EVTCHNOP_send, &b.local_port);
}

void endless_timers(void)
{
	for (;;) {
		set_timer(now() + 1000);
		HC(set_timer_op, 1, 0, 0);
	}
}

/* ---- two vCPUs ---- */

static volatile bool racing;

static void racer(void)
{
	while (racing) {
		one_page(XENMEM_decrease_reservation, DOMID_SELF, EXTRA_GFN);
		one_page(XENMEM_populate_physmap, DOMID_SELF, EXTRA_GFN);
	}
}

/* One takes the page away that the other has its arguments in. */
void racing_pages(void)
{
	uint64_t va = map_page(0, EXTRA | 7), n = rounds(20000);

	racing = true;
	check(start_vcpu(1, racer), "vCPU 1 does not start");
	for (uint64_t i = 0; i < n; i++) {
		HC(xen_version, XENVER_capabilities, va, 0);
		HC(xen_version, XENVER_capabilities, va + 4000, 0);
		HC(multicall, va, 4, 0);
		map_space(XENMAPSPACE_gmfn, EXTRA_GFN, EXTRA_GFN + 1);
		map_space(XENMAPSPACE_gmfn, EXTRA_GFN + 1, EXTRA_GFN);
		box.progress = i;
	}
	racing = false;
}
