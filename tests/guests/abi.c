// SPDX-License-Identifier: Apache-2.0
/* What each hypercall does and what it answers to wrong arguments; events, timers, interrupts. On the reference too. */
#include "tests.h"

#define NOWHERE 0x800000000000ul /* not canonical */

/* A page of RAM that nothing is in: the service domain has 128 MiB or more, others IMAGE_PAGES from IMAGE_GFN. */
static uint64_t spare_gfn(void)
{
	return privileged ? 0x2000 : IMAGE_GFN + IMAGE_PAGES - 1;
}

static void version(void)
{
	xen_capabilities_info_t caps;
	struct xen_feature_info f = { 0 };
	bool found = false;

	check_eq(HC(xen_version, XENVER_version, 0, 0), 4 << 16 | 20, "xen_version");
	check_eq(HC(xen_version, XENVER_capabilities, caps, 0), 0, "capabilities");
	for (size_t i = 0; i + 14 < sizeof(caps) && caps[i]; i++)
		found |= !memcmp(caps + i, "hvm-3.0-x86_64", 14);
	check(found, "capabilities are '%s'", caps);
	check_eq(HC(xen_version, XENVER_get_features, &f, 0), 0, "get_features");
	check(f.submap & BIT(XENFEAT_auto_translated_physmap) && f.submap & BIT(XENFEAT_hvm_callback_vector) &&
	      f.submap & BIT(XENFEAT_hvm_safe_pvclock) && !(f.submap & BIT(XENFEAT_hvm_pirqs)), "features %x", f.submap);
	check_eq(!!(f.submap & BIT(XENFEAT_dom0)), privileged, "feature dom0");
	check_eq(HC(xen_version, XENVER_pagesize, 0, 0), PAGE_SIZE, "pagesize");
	check_eq(HC(xen_version, XENVER_capabilities, NOWHERE, 0), -EFAULT, "capabilities to nowhere");
	check_eq(HC(xen_version, 99, 0, 0), -ENOSYS, "version command 99");
	check_eq(hypercall(63, 0, 0, 0, 0, 0), -ENOSYS, "hypercall 63");
	check_eq(hypercall(0, 0, 0, 0, 0, 0), -ENOSYS, "set_trap_table");
}

static long reservation(unsigned cmd)
{
	struct xen_memory_domain m = { .domid = DOMID_SELF };

	return memory_op(cmd, &m);
}

static long change(unsigned cmd, domid_t id, xen_pfn_t gfn)
{
	struct xen_memory_reservation r = { .domid = id, .nr_extents = 1 };

	r.extent_start.p = &gfn;
	return memory_op(cmd, &r);
}

static void memory(void)
{
	uint64_t *p = (uint64_t *)(spare_gfn() * PAGE_SIZE);
	long pages = reservation(XENMEM_current_reservation);
	static char buf[64 * 20];
	struct xen_memory_map map = { .nr_entries = 64 };

	check(pages > 1000 && reservation(XENMEM_maximum_reservation) >= pages, "reservation %ld", pages);
	check(reservation(XENMEM_maximum_gpfn) >= (long)spare_gfn(), "maximum_gpfn %ld", reservation(XENMEM_maximum_gpfn));
	for (unsigned i = 0; i < 512; i++)
		p[i] = 0x1234;
	check_eq(change(XENMEM_decrease_reservation, DOMID_SELF, spare_gfn()), 1, "decrease_reservation");
	check_eq(reservation(XENMEM_current_reservation), pages - 1, "reservation without a page");
	check_eq(change(XENMEM_decrease_reservation, DOMID_SELF, spare_gfn()), 0, "decrease_reservation again");
	check_eq(unmap_gfn(spare_gfn()), -ENOENT, "remove_from_physmap of nothing");
	check_eq(change(XENMEM_populate_physmap, DOMID_SELF, spare_gfn()), 1, "populate_physmap");
	check_eq(reservation(XENMEM_current_reservation), pages, "reservation with the page back");
	for (unsigned i = 0; i < 512; i++)
		if (!check(!p[i], "populated memory holds %lx at %u", p[i], i))
			break;
	if (!privileged) {
		check_eq(change(XENMEM_decrease_reservation, 0, spare_gfn()), -EPERM, "decrease of the service domain");
		check_eq(memory_op(XENMEM_machine_memory_map, &map), -EPERM, "machine_memory_map");
		check_eq(memory_op(XENMEM_memory_map, &map), -ENOSYS, "memory_map, none set");
	} else {
		map.buffer.p = buf;
		check_eq(memory_op(XENMEM_memory_map, &map), 0, "memory_map");
		check(map.nr_entries > 2, "%u entries in the memory map", map.nr_entries);
		map.nr_entries = 64;
		map.buffer.p = (void *)NOWHERE;
		check_eq(memory_op(XENMEM_memory_map, &map), -EFAULT, "memory_map to nowhere");
	}
	check_eq(memory_op(63, &map), -ENOSYS, "memory command 63");
	check_eq(memory_op(XENMEM_current_reservation, NOWHERE), -EFAULT, "current_reservation from nowhere");
	check_eq(map_space(XENMAPSPACE_shared_info, 1, GRANT_GFN + 64), -EINVAL, "shared_info 1");
	check_eq(map_space(XENMAPSPACE_grant_table, 5000, GRANT_GFN + 64), -EINVAL, "grant frame 5000");
	check_eq(map_space(XENMAPSPACE_gmfn, spare_gfn(), GRANT_GFN + 64), 0, "move a page");
	p = (uint64_t *)((GRANT_GFN + 64) * PAGE_SIZE);
	*p = 77;
	check_eq(map_space(XENMAPSPACE_gmfn, GRANT_GFN + 64, spare_gfn()), 0, "move it back");
	p = (uint64_t *)(spare_gfn() * PAGE_SIZE);
	check_eq(*p, 77, "what was written at its other place");
}

/* ---- events ---- */

static bool wait_for(volatile uint32_t *counter, uint32_t want)
{
	uint64_t end = now() + SECOND;

	while (*counter < want && now() < end)
		__asm__ volatile("pause");
	return *counter >= want;
}

static long send(unsigned port)
{
	struct evtchn_send s = { .port = port };

	return evtchn_op(EVTCHNOP_send, &s);
}

static long status(unsigned port, struct evtchn_status *s)
{
	*s = (struct evtchn_status){ .dom = DOMID_SELF, .port = port };
	return evtchn_op(EVTCHNOP_status, s);
}

static unsigned bind_ipi(unsigned vcpu)
{
	struct evtchn_bind_ipi b = { .vcpu = vcpu };

	return evtchn_op(EVTCHNOP_bind_ipi, &b) ? 0 : b.port;
}

static void pair(void)
{
	unsigned p = alloc_unbound(DOMID_SELF, DOMID_SELF);
	struct evtchn_bind_interdomain b = { .remote_dom = DOMID_SELF, .remote_port = p };
	struct evtchn_unmask u;
	struct evtchn_status s;
	unsigned q;

	check(p, "alloc_unbound");
	check_eq(status(p, &s), 0, "status");
	check(s.status == EVTCHNSTAT_unbound && s.u.unbound.dom == my_domid, "port is %u, for %u", s.status, s.u.unbound.dom);
	check_eq(evtchn_op(EVTCHNOP_bind_interdomain, &b), 0, "bind_interdomain");
	check_eq(evtchn_op(EVTCHNOP_bind_interdomain, &b), -EINVAL, "bind_interdomain again");
	q = b.local_port;
	status(p, &s);
	check(s.status == EVTCHNSTAT_interdomain && s.u.interdomain.port == q, "port is %u, to %u", s.status,
	      s.u.interdomain.port);
	wait_for(&events[q], 1); /* binding raises it once */
	events[p] = events[q] = 0;
	check_eq(send(p), 0, "send");
	check(wait_for(&events[q], 1), "the other end heard nothing");
	shared->evtchn_mask[q / 64] |= BIT(q % 64);
	check_eq(send(p), 0, "send to a masked port");
	for (unsigned i = 0; i < 10; i++)
		yield();
	check_eq(events[q], 1, "events on a masked port");
	u.port = q;
	check_eq(evtchn_op(EVTCHNOP_unmask, &u), 0, "unmask");
	check(wait_for(&events[q], 2), "nothing came on unmask");
	check_eq(close_port(p), 0, "close");
	status(q, &s);
	check_eq(s.status, EVTCHNSTAT_unbound, "state of the other end of a closed port");
	check_eq(close_port(q), 0, "close the other end");
	check_eq(close_port(q), -EINVAL, "close again");
	check_eq(send(q), -EINVAL, "send to a closed port");
}

static void event_channels(void)
{
	struct evtchn_bind_virq v = { .virq = VIRQ_TIMER };
	struct evtchn_bind_vcpu bv = { .vcpu = 0 };
	unsigned ipi = bind_ipi(0);

	pair();
	check(ipi, "bind_ipi");
	events[ipi] = 0;
	check_eq(send(ipi), 0, "send to an IPI port");
	check(wait_for(&events[ipi], 1), "no IPI event");
	bv.port = ipi;
	check_eq(evtchn_op(EVTCHNOP_bind_vcpu, &bv), -EINVAL, "bind_vcpu of an IPI port");
	close_port(ipi);
	check_eq(bind_ipi(99), 0, "bind_ipi of vCPU 99: port");
	check_eq(evtchn_op(EVTCHNOP_bind_virq, &v), -EEXIST, "bind_virq again");
	v.virq = 99;
	check_eq(evtchn_op(EVTCHNOP_bind_virq, &v), -EINVAL, "bind_virq 99");
	check_eq(close_port(0), -EINVAL, "close port 0");
	check_eq(close_port(1 << 20), -EINVAL, "close a port out of range");
	check_eq(evtchn_op(99, &v), -ENOSYS, "event command 99");
	check_eq(evtchn_op(EVTCHNOP_send, NOWHERE), -EFAULT, "send from nowhere");
	if (!privileged)
		check_eq(alloc_unbound(0, DOMID_SELF), 0, "alloc_unbound in the service domain: port");
}

/* ---- timers, scheduling ---- */

static void timers(void)
{
	struct vcpu_set_singleshot_timer s = { .timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future };
	struct vcpu_set_periodic_timer p = { .period_ns = 5 * MS };
	uint32_t seen = events[timer_port];
	uint64_t t = now();
	long rc;

	check_eq(set_timer(t + 20 * MS), 0, "set_singleshot_timer");
	check(wait_for(&events[timer_port], seen + 1), "the timer does not fire");
	t = now() - t;
	check(t >= 20 * MS && t < 200 * MS, "a timer of 20 ms fired after %lu us", t / 1000);
	rc = vcpu_op(VCPUOP_set_singleshot_timer, 0, &s);
	check(rc == -ETIME || !rc, "a future timer in the past: %ld", rc); /* xen/vcpu.h allows either */
	if (!rc)
		seen++;
	s.flags = 0;
	check_eq(vcpu_op(VCPUOP_set_singleshot_timer, 0, &s), 0, "a timer in the past");
	check(wait_for(&events[timer_port], seen + 2), "a timer in the past does not fire");
	check_eq(HC(set_timer_op, now() + 10 * MS, 0, 0), 0, "set_timer_op");
	check(wait_for(&events[timer_port], seen + 3), "set_timer_op's timer does not fire");
	set_timer(now() + 20 * MS);
	check_eq(vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0), 0, "stop_singleshot_timer");
	for (t = now() + 40 * MS; now() < t;)
		__asm__ volatile("pause");
	check_eq(events[timer_port], seen + 3, "events after the timer was stopped");
	check_eq(vcpu_op(VCPUOP_set_periodic_timer, 0, &p), 0, "set_periodic_timer");
	check(wait_for(&events[timer_port], seen + 6), "the periodic timer does not go on");
	check_eq(vcpu_op(VCPUOP_stop_periodic_timer, 0, 0), 0, "stop_periodic_timer");
	p.period_ns = 1000;
	check_eq(vcpu_op(VCPUOP_set_periodic_timer, 0, &p), -EINVAL, "a period of 1 us");
	check_eq(vcpu_op(VCPUOP_is_up, 0, 0), 1, "is_up");
	check_eq(vcpu_op(VCPUOP_is_up, 99, 0), -ENOENT, "is_up of vCPU 99");
	check_eq(vcpu_op(99, 0, 0), -ENOSYS, "vcpu command 99");
}

static void runstate(void)
{
	struct vcpu_runstate_info r, later;

	check_eq(vcpu_op(VCPUOP_get_runstate_info, 0, &r), 0, "get_runstate_info");
	sleep_until(now() + 20 * MS);
	vcpu_op(VCPUOP_get_runstate_info, 0, &later);
	check_eq(r.state, RUNSTATE_running, "runstate of who asks");
	check(later.time[RUNSTATE_blocked] - r.time[RUNSTATE_blocked] > 10 * MS, "20 ms asleep count as %lu us",
	      (later.time[RUNSTATE_blocked] - r.time[RUNSTATE_blocked]) / 1000);
}

static void scheduling(void)
{
	unsigned port = bind_ipi(0), ports[2] = { port, timer_port };
	struct sched_poll p = { .nr_ports = 1, .timeout = now() + 30 * MS };
	uint64_t t = now();

	p.ports.p = ports;
	check_eq(sched_op(SCHEDOP_yield, 0), 0, "yield");
	cli();
	check_eq(sched_op(SCHEDOP_poll, &p), 0, "poll");
	t = now() - t;
	check(t >= 30 * MS && t < 250 * MS, "poll for 30 ms took %lu us", t / 1000);
	send(port);
	p.timeout = now() + SECOND;
	t = now();
	check_eq(sched_op(SCHEDOP_poll, &p), 0, "poll on a pending port");
	check(now() - t < 500 * MS, "poll on a pending port took %lu us", (now() - t) / 1000);
	sti();
	p.nr_ports = 1000;
	check_eq(sched_op(SCHEDOP_poll, &p), -EINVAL, "poll on 1000 ports");
	cli();
	set_timer(now() + 20 * MS);
	t = now();
	__asm__ volatile("sti");
	check_eq(sched_op(SCHEDOP_block, 0), 0, "block");
	check(now() - t < SECOND, "block took %lu us", (now() - t) / 1000);
	check_eq(sched_op(99, 0), -ENOSYS, "sched command 99");
	close_port(port);
}

static void params(void)
{
	uint64_t v = 0x1234;
	struct xen_hvm_param other = { .domid = privileged ? 4321 : 0, .index = HVM_PARAM_CALLBACK_IRQ };

	check_eq(hvm_param(HVM_PARAM_CALLBACK_IRQ, &v, false), 0, "get the callback");
	check_eq(v, (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | VEC_CALLBACK, "the callback");
	check_eq(hvm_param(HVM_PARAM_STORE_PFN, &v, true), -EPERM, "set STORE_PFN of oneself");
	check_eq(hvm_param(HVM_NR_PARAMS, &v, false), -EINVAL, "a parameter out of range");
	check_eq(HC(hvm_op, HVMOP_get_param, &other, 0), privileged ? -ESRCH : -EPERM, "a parameter of another domain");
	check_eq(HC(hvm_op, 99, 0, 0), -ENOSYS, "hvm command 99");
}

/* ---- grants ---- */

#define REF 8
static int map_ref(domid_t dom, unsigned ref, uint64_t gfn, uint32_t flags, grant_handle_t *handle)
{
	struct gnttab_map_grant_ref m = { .host_addr = gfn * PAGE_SIZE, .flags = GNTMAP_host_map | flags, .ref = ref, .dom = dom };

	check_eq(grant_op(GNTTABOP_map_grant_ref, &m, 1), 0, "map_grant_ref");
	*handle = m.handle;
	return m.status;
}

static int unmap_ref(uint64_t gfn, grant_handle_t handle)
{
	struct gnttab_unmap_grant_ref u = { .host_addr = gfn * PAGE_SIZE, .handle = handle };

	check_eq(grant_op(GNTTABOP_unmap_grant_ref, &u, 1), 0, "unmap_grant_ref");
	return u.status;
}

static int copy_ref(unsigned ref, void *to)
{
	struct gnttab_copy c = { .len = 64, .flags = GNTCOPY_source_gref };

	c.source.u.ref = ref;
	c.source.domid = c.dest.domid = DOMID_SELF;
	c.dest.u.gmfn = (uint64_t)to / PAGE_SIZE;
	c.dest.offset = (uint64_t)to % PAGE_SIZE;
	check_eq(grant_op(GNTTABOP_copy, &c, 1), 0, "grant copy");
	return c.status;
}

static void grants(void)
{
	volatile grant_entry_v1_t *e = (void *)(GRANT_GFN * PAGE_SIZE);
	uint64_t at = GRANT_GFN + 70, *mine = (void *)(spare_gfn() * PAGE_SIZE), *other = (void *)(at * PAGE_SIZE);
	struct gnttab_query_size q = { .dom = DOMID_SELF };
	static uint64_t copy[8] __aligned(64);
	grant_handle_t h;

	check_eq(grant_op(GNTTABOP_query_size, &q, 1), 0, "query_size");
	check(!q.status && q.max_nr_frames >= 4, "query_size: status %d, %u frames", q.status, q.max_nr_frames);
	check_eq(map_space(XENMAPSPACE_grant_table, 0, GRANT_GFN), 0, "map the grant table");
	e[REF].domid = my_domid;
	e[REF].frame = (uint32_t)spare_gfn();
	barrier();
	e[REF].flags = GTF_permit_access;
	*mine = 4711;
	if (!check_eq(map_ref(my_domid, REF, at, 0, &h), GNTST_okay, "map own grant"))
		return;
	check_eq(*other, 4711, "what a mapped grant shows");
	*other = 42;
	check_eq(*mine, 42, "what a write through a grant does");
	check_eq(e[REF].flags, GTF_permit_access | GTF_reading | GTF_writing, "flags of a mapped grant");
	check(unmap_ref(at + 1, h) != GNTST_okay, "unmapped at the wrong address");
	check_eq(unmap_ref(at, h), GNTST_okay, "unmap");
	check_eq(e[REF].flags, GTF_permit_access, "flags of an unmapped grant");
	check(unmap_ref(at, h) != GNTST_okay, "unmapped twice");
	check_eq(map_ref(my_domid, 1 << 20, at, 0, &h), GNTST_bad_gntref, "map a reference out of range");
	check_eq(map_ref(4321, REF, at, 0, &h), GNTST_bad_domain, "map from no domain");
	check(map_ref(my_domid, REF + 1, at, 0, &h) != GNTST_okay, "mapped an empty entry");
	e[REF].flags = GTF_permit_access | GTF_readonly;
	check(map_ref(my_domid, REF, at, 0, &h) != GNTST_okay, "mapped a read-only grant writable");
	check_eq(map_ref(my_domid, REF, at, GNTMAP_readonly, &h), GNTST_okay, "map a read-only grant");
	check_eq(*other, 42, "what a read-only grant shows");
	check_eq(unmap_ref(at, h), GNTST_okay, "unmap a read-only grant");
	check_eq(copy_ref(REF, copy), GNTST_okay, "copy from a grant");
	check_eq(copy[0], 42, "what was copied");
	check(copy_ref(REF + 1, copy) != GNTST_okay, "copied from an empty entry");
	e[REF].flags = 0;
	check_eq(grant_op(99, 0, 0), -ENOSYS, "grant command 99");
}

static void physdev(void)
{
	struct physdev_pci_device_add a = { .bus = 0, .devfn = 0 };

	check_eq(HC(physdev_op, PHYSDEVOP_pci_device_add, &a, 0), privileged ? 0 : -ENOSYS, "pci_device_add of 00:00.0");
	check_eq(HC(physdev_op, 99, &a, 0), -ENOSYS, "physdev command 99");
	if (!privileged) {
		check_eq(HC(domctl, &a, 0, 0), -EPERM, "domctl");
		check_eq(HC(sysctl, &a, 0, 0), -EPERM, "sysctl");
		check_eq(HC(platform_op, &a, 0, 0), -EPERM, "platform_op");
	}
}

/* ---- CPU ---- */

static void cpu_policy(void)
{
	struct cpuid x = cpuid(0x40000000, 0), f1 = cpuid(1, 0), e1 = cpuid(0x80000001, 0);
	static const uint32_t bad[] = { 0x12345678, 0xc0010117 /* VM_HSAVE_PA */, 0x480 /* VMX_BASIC */, 0x9f, 0x4b564d00 };
	uint64_t v;

	check(x.a >= 0x40000004 && x.b == 0x566e6558 && x.c == 0x65584d4d && x.d == 0x4d4d566e, "no Xen signature");
	check_eq(cpuid(0x40000001, 0).a, 4 << 16 | 20, "version by CPUID");
	check(f1.c & BIT(31) && f1.c & BIT(21), "1.ecx %x: HYPERVISOR and X2APIC", f1.c);
	check(!(f1.c & BIT(5)) && !(e1.c & BIT(2)), "VMX or SVM is shown");
	check_eq(rdmsr_safe(0x1b, &v), -1, "read APIC_BASE");
	check(v & BIT(11) && v & BIT(8), "APIC_BASE is %lx", v);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		check_eq(rdmsr_safe(bad[i], &v), 13, "exception on reading an MSR that is not there");
		check_eq(wrmsr_safe(bad[i], 0), 13, "exception on writing an MSR that is not there");
	}
	check_eq(rdmsr_safe(0xc0000080, &v), -1, "read EFER");
	check_eq(wrmsr_safe(0xc0000080, v | BIT(12)), 13, "exception on EFER.SVME");
	check_eq(rdmsr_safe(0x10, &v), -1, "read the TSC");
}

static void apic_timer_modes(void)
{
	struct cpu *c = this_cpu();
	uint64_t seen = c->irqs[VEC_TIMER], t = now();

	on_irq(VEC_TIMER, NULL, true);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, VEC_TIMER);
	apic_write(APIC_TMICT, 1000000);
	for (t = now() + SECOND; c->irqs[VEC_TIMER] == seen && now() < t;)
		__asm__ volatile("pause");
	check_eq(c->irqs[VEC_TIMER] - seen, 1, "one-shot APIC timer interrupts");
	check_eq(apic_read(APIC_TMCCT), 0, "count of an expired timer");
	apic_write(APIC_LVT_TIMER, VEC_TIMER | BIT(17));
	apic_write(APIC_TMICT, 200000);
	for (t = now() + SECOND; c->irqs[VEC_TIMER] < seen + 4 && now() < t;)
		__asm__ volatile("pause");
	check(c->irqs[VEC_TIMER] >= seen + 4, "%lu periodic APIC timer interrupts", c->irqs[VEC_TIMER] - seen - 1);
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVT_TIMER, VEC_TIMER | BIT(18));
	seen = c->irqs[VEC_TIMER];
	wrmsr(0x6e0, rdtsc() + 20000000);
	for (t = now() + SECOND; c->irqs[VEC_TIMER] == seen && now() < t;)
		__asm__ volatile("pause");
	check_eq(c->irqs[VEC_TIMER] - seen, 1, "TSC-deadline interrupts");
	apic_write(APIC_LVT_TIMER, BIT(16));
}

static volatile uint32_t pings, want_pong;

static void ipi_ping(void)
{
	if (this_cpu() != &cpus[1])
		return;
	pings++;
	apic_write(APIC_ICR, VEC_IPI); /* to APIC id 0 */
}

static void second_main(void)
{
	sti();
	while (!want_pong)
		__asm__ volatile("sti; hlt");
	cli();
}

static void second_vcpu(void)
{
	unsigned port = bind_ipi(1);
	struct cpu *c = this_cpu();

	check(port, "bind_ipi of vCPU 1");
	check_eq(vcpu_op(VCPUOP_is_up, 1, 0), 0, "is_up of vCPU 1 before it was started");
	on_irq(VEC_IPI, ipi_ping, true);
	if (!check(start_vcpu(1, second_main), "vCPU 1 does not start"))
		return;
	check_eq(vcpu_op(VCPUOP_is_up, 1, 0), 1, "is_up of vCPU 1");
	for (unsigned i = 0; i < 100; i++) {
		uint64_t seen = c->irqs[VEC_IPI], end = now() + SECOND;

		apic_write(APIC_ICR, 2ul << 32 | VEC_IPI);
		while (c->irqs[VEC_IPI] == seen && now() < end)
			__asm__ volatile("pause");
		if (!check(c->irqs[VEC_IPI] != seen, "no answer to IPI %u: vCPU 1 had %u", i, pings))
			break;
	}
	events[port] = 0;
	check_eq(send(port), 0, "send to vCPU 1");
	check(wait_for(&events[port], 1), "vCPU 1 had no event");
	want_pong = 1;
	apic_write(APIC_ICR, 2ul << 32 | 0x400); /* NMI */
	for (uint64_t end = now() + SECOND; !cpus[1].irqs[2] && now() < end;)
		__asm__ volatile("pause");
	check_eq(cpus[1].irqs[2], 1, "NMIs of vCPU 1");
	apic_write(APIC_ICR, 2ul << 32 | VEC_IPI);
	close_port(port);
	check(start_vcpu(1, second_main), "vCPU 1 does not start again");
}

/* ---- the other ways of events; they cannot be undone ---- */

static void upcall_vector(void)
{
	struct xen_hvm_evtchn_upcall_vector u = { .vcpu = 0, .vector = VEC_UPCALL };
	unsigned port = bind_ipi(0);
	struct cpu *c = this_cpu();
	uint64_t seen = c->irqs[VEC_UPCALL];

	on_irq(VEC_UPCALL, event_upcall, true);
	check_eq(HC(hvm_op, HVMOP_set_evtchn_upcall_vector, &u, 0), 0, "set_evtchn_upcall_vector");
	events[port] = 0;
	send(port);
	check(wait_for(&events[port], 1), "no event by the upcall vector");
	check(c->irqs[VEC_UPCALL] > seen, "the event came another way");
	send(port);
	check(wait_for(&events[port], 2), "no second event by the upcall vector");
	u.vector = 3;
	check_eq(HC(hvm_op, HVMOP_set_evtchn_upcall_vector, &u, 0), -EINVAL, "upcall vector 3");
	u = (struct xen_hvm_evtchn_upcall_vector){ .vcpu = 99, .vector = VEC_UPCALL };
	check_eq(HC(hvm_op, HVMOP_set_evtchn_upcall_vector, &u, 0), -ENOENT, "upcall vector of vCPU 99");
	close_port(port);
}

static void fifo(void)
{
	static struct evtchn_fifo_control_block control __aligned(PAGE_SIZE);
	static event_word_t words[1024] __aligned(PAGE_SIZE);
	struct evtchn_init_control i = { .control_gfn = (uint64_t)&control / PAGE_SIZE, .vcpu = 0 };
	struct evtchn_expand_array x = { .array_gfn = (uint64_t)words / PAGE_SIZE };
	struct evtchn_set_priority p = { .priority = 3 };
	unsigned port, other;

	cli();
	if (!check_eq(evtchn_op(EVTCHNOP_init_control, &i), 0, "init_control"))
		return;
	check_eq(evtchn_op(EVTCHNOP_init_control, &i), -EINVAL, "init_control again");
	check_eq(evtchn_op(EVTCHNOP_expand_array, &x), 0, "expand_array");
	port = bind_ipi(0);
	other = bind_ipi(0);
	check(port && other, "bind_ipi in the FIFO ABI");
	words[port] = words[other] = 0;
	check_eq(send(port), 0, "send");
	check_eq(send(other), 0, "send to the other");
	check(words[port] >> EVTCHN_FIFO_PENDING & 1, "word is %x", words[port]);
	check(control.ready & BIT(EVTCHN_FIFO_PRIORITY_DEFAULT), "ready is %x", control.ready);
	check_eq(control.head[EVTCHN_FIFO_PRIORITY_DEFAULT], port, "head of the queue");
	check_eq(words[port] & EVTCHN_FIFO_LINK_MASK, other, "link to the second event");
	p.port = port;
	check_eq(evtchn_op(EVTCHNOP_set_priority, &p), 0, "set_priority");
	words[port] = words[other] = 0;
	control.ready = 0;
	control.head[EVTCHN_FIFO_PRIORITY_DEFAULT] = 0;
	send(port);
	check_eq(control.head[3], port, "head of queue 3");
	p.priority = 99;
	check_eq(evtchn_op(EVTCHNOP_set_priority, &p), -EINVAL, "priority 99");
	sti();
}

static const struct {
	const char *name;
	void (*fn)(void);
} parts[] = {
	{ "version", version }, { "memory", memory }, { "event channels", event_channels }, { "timers", timers },
	{ "runstate", runstate }, { "scheduling", scheduling }, { "parameters", params }, { "grants", grants },
	{ "physdev", physdev }, { "CPU policy", cpu_policy }, { "APIC timer", apic_timer_modes },
	{ "second vCPU", second_vcpu }, { "upcall vector", upcall_vector }, { "FIFO", fifo },
};

static void run_parts(void)
{
	timer_port = timer_bind();
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		unsigned before = failures;

		parts[i].fn();
		print("%s %s\n", failures == before ? "ok    " : "FAILED", parts[i].name);
	}
}

void guest_abi(void)
{
	run_parts();
}

void abi(void)
{
	struct domu d = { 0 };

	/* The guest first: afterwards the service domain's own events are of the FIFO kind. */
	timer_port = timer_bind();
	print("in a guest:\n");
	if (option("guest", 1) && domu_build(&d, "abi", 2, 0)) {
		check_eq(domu_unpause(&d), 0, "unpausedomain");
		check_eq(domu_wait(&d, 60 * SECOND), SHUTDOWN_poweroff, "how the guest ended");
		check(d.box->state == BOX_DONE, "the guest did not come to its end");
		failures += d.box->failures;
	}
	if (d.id)
		domu_destroy(&d);
	close_port(timer_port);
	print("in the service domain:\n");
	run_parts();
}
