// SPDX-License-Identifier: Apache-2.0
/* Domains come and go in every state; what is free afterwards is what was free before, to the page. */
#include "tests.h"

#define ROUNDS 50

/* Takes what a domain can take from the core, then runs until it is destroyed. */
void guest_leaky(void)
{
	static struct evtchn_fifo_control_block control __aligned(PAGE_SIZE);
	static event_word_t words[1024] __aligned(PAGE_SIZE);
	static struct vcpu_info info;
	struct evtchn_init_control c = { .control_gfn = (uint64_t)&control / PAGE_SIZE };
	struct evtchn_expand_array x = { .array_gfn = (uint64_t)words / PAGE_SIZE };
	struct vcpu_register_vcpu_info v = { .mfn = (uint64_t)&info / PAGE_SIZE, .offset = (uint32_t)((uint64_t)&info % PAGE_SIZE) };
	volatile grant_entry_v1_t *e = (void *)(GRANT_GFN * PAGE_SIZE);

	cli();
	for (unsigned i = 0; i < 8; i++)
		check_eq(map_space(XENMAPSPACE_grant_table, i, GRANT_GFN + i), 0, "map the grant table");
	e[8].domid = 0;
	e[8].frame = EXTRA_GFN;
	barrier();
	e[8].flags = GTF_permit_access;
	check_eq(vcpu_op(VCPUOP_register_vcpu_info, 1, &v), 0, "register_vcpu_info");
	check_eq(evtchn_op(EVTCHNOP_init_control, &c), 0, "init_control");
	check_eq(evtchn_op(EVTCHNOP_expand_array, &x), 0, "expand_array");
	for (unsigned i = 0; i < 1000; i++)
		alloc_unbound(DOMID_SELF, 0);
	for (unsigned i = 0; i < 64; i++)
		map_space(XENMAPSPACE_gmfn, EXTRA_GFN + 1 + i, 0x80000 + i * 0x10001);
	box.arg[1] = alloc_unbound(DOMID_SELF, 0);
	box.progress = 1;
	start_vcpu(1, guest_busy);
	guest_busy();
}

/* Grant and event channel to it, as back ends have them. */
static void attach(struct domu *d, uint64_t at, grant_handle_t *handle, unsigned *port)
{
	struct gnttab_map_grant_ref m = { .host_addr = at * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = 8, .dom = d->id };
	struct evtchn_bind_interdomain b = { .remote_dom = d->id, .remote_port = (uint32_t)d->box->arg[1] };

	grant_op(GNTTABOP_map_grant_ref, &m, 1);
	check_eq(m.status, 0, "map its grant");
	*handle = m.handle;
	check_eq(evtchn_op(EVTCHNOP_bind_interdomain, &b), 0, "bind its port");
	*port = b.local_port;
}

static void detach(uint64_t at, grant_handle_t handle, unsigned port)
{
	struct gnttab_unmap_grant_ref u = { .host_addr = at * PAGE_SIZE, .handle = handle };

	grant_op(GNTTABOP_unmap_grant_ref, &u, 1);
	check_eq(u.status, 0, "unmap its grant");
	check_eq(close_port(port), 0, "close the port to it");
}

/* Round n: not started, running, attached, or attached until after its end. */
static void live_and_die(struct domu *d, unsigned n, uint64_t at)
{
	struct xen_domctl_getdomaininfo info;
	grant_handle_t handle = 0;
	unsigned port = 0;

	if (!domu_build(d, "leaky", 2, 1024))
		return;
	if (n % 4)
		domu_unpause(d);
	for (uint64_t end = now() + 5 * SECOND; n % 4 >= 2 && !d->box->progress && now() < end;)
		sleep_until(now() + MS);
	if (n % 4 >= 2)
		attach(d, at, &handle, &port);
	else
		sleep_until(now() + (rnd() & 15) * MS);
	failures += d->box->failures;
	if (n % 4 == 2)
		detach(at, handle, port);
	domu_destroy(d);
	if (n % 4 != 3)
		return;
	check(domu_info(d, &info) && info.flags & XEN_DOMINF_dying, "a domain is gone whose page is still mapped");
	detach(at, handle, port);
	check(!domu_info(d, &info), "a domain is still there, with %lu pages, after its last page was given back", info.tot_pages);
}

void leaks(void)
{
	static struct domu d;
	uint64_t at = window(1), before = 0;

	timer_port = timer_bind();
	for (unsigned n = 0; n < ROUNDS + 4; n++) {
		if (n == 4) /* the core keeps the pages that it cut up for small objects */
			before = free_pages();
		live_and_die(&d, n, at);
		if (n >= 4 && !check_eq(free_pages(), before, "free pages after a round"))
			print("round %u, kind %u\n", n, n % 4);
	}
	print("%s %u rounds, %lu pages free\n", failures ? "FAILED" : "ok    ", ROUNDS, before);
}
