// SPDX-License-Identifier: Apache-2.0
/*
 * Sequences of hypercalls of three domains, the service domain among them, against all of hv/xen and hv/mm. After each
 * sequence the books must balance: every frame's references are the mappings, pins and registrations that can be counted, no
 * domain maps core or free memory or what it was not given; and when the other domains are destroyed and the service domain
 * gives up what it holds, every page is back.
 *
 * Input: a byte for when hypercalls are interrupted, then calls: domain and vCPU, hypercall number, command, count, number of
 * patches; a patch is an offset into the argument page and a value, so that small numbers in fields are short to write.
 */
#include "fuzz.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "fpu.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "irq.h"
#include "pci.h"
#include "sched.h"
#include "shared.h"
#include "toolstack.h"

#include <asm/prctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/vcpu.h>

#define PAGES    2048   /* of machine memory */
#define FREE_LOW 16     /* the first pages are not the heap's */
#define RAM      64     /* a domain's at first, from gfn 0 on */
#define ARG_GFN  8      /* what a call's argument points to; the page after it is its array */
#define DOMS     3
#define VCPUS    2

static struct cpu cpu;
static unsigned interrupts;   /* pattern, turned at each look */
static uint64_t free_before;
static jmp_buf machine_off;

struct boot_info boot_info;
struct options opt;
struct cpu *cpus[MAX_CPUS] = { &cpu };
unsigned nr_cpus = 1;
bool iommu_enabled;

/* ---- what stands around hv/xen and hv/mm ---- */

paddr_t boot_alloc(uint64_t size, uint64_t align)
{
	static paddr_t next = 256 * PAGE_SIZE;
	paddr_t p = ALIGN_UP(next, align);

	next = p + size;
	return p;
}

bool boot_reserved(mfn_t mfn)
{
	return mfn < FREE_LOW || (mfn >= 256 && mfn < 320);
}

void vcpu_kick(struct vcpu *v) { (void)v; }
void vcpu_reset_state(struct vcpu *v) { (void)v; }
void vcpu_skip(struct vcpu *v, unsigned len) { (void)v, (void)len; }
bool vcpu_has_event(struct vcpu *v) { return evtchn_pending_on(v); }
struct vcpu *current_vcpu(void) { return cpu.current; }
void cpu_kick(struct cpu *c) { (void)c; }
void cpu_wait_exit(struct cpu *c) { (void)c; }
bool core_lock_wanted(void) { return false; }
bool irq_any_pending(void)
{
	interrupts = interrupts >> 1 | interrupts << 31;
	return interrupts & 1;
}
void lapic_timer_set(uint64_t t) { (void)t; }
uint64_t calibrate(void) { return 1000000; }
int rdmsr_safe(uint32_t msr, uint64_t *v) { (void)msr, (void)v; return -EFAULT; }
int wrmsr_safe(uint32_t msr, uint64_t v) { (void)msr, (void)v; return -EFAULT; }
void outb(uint16_t port, uint8_t val) { (void)port, (void)val; }
uint8_t inb(uint16_t port) { (void)port; return 0; }

void vlapic_init(struct vcpu *v) { list_init(&v->vlapic.timer.link); }
void vlapic_free(struct vcpu *v) { (void)v; }
uint32_t vlapic_id(const struct vcpu *v) { return v->id * 2; }
void vlapic_set_irq(struct vcpu *v, uint8_t vector, bool level) { (void)v, (void)vector, (void)level; }

bool cpu_has_tsc_aux;
int fpu_init_vcpu(struct vcpu *v) { (void)v; return 0; }
void fpu_free_vcpu(struct vcpu *v) { (void)v; }
void fpu_get_image(const struct vcpu *v, void *to) { (void)v; memset(to, 0, 512); }
void fpu_set_image(struct vcpu *v, const void *from)
{
	(void)v;
	for (unsigned i = 0; i < 512; i++) /* all of it is there */
		(void)((const volatile char *)from)[i];
}
uint64_t fpu_xcr0_mask = 3;

void iommu_domain_free(struct domain *d) { (void)d; }
int iommu_map(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, bool write) { (void)d, (void)gfn, (void)mfn, (void)order, (void)write; return 0; }
int iommu_unmap(struct domain *d, gfn_t gfn, unsigned order) { (void)d, (void)gfn, (void)order; return 0; }
void iommu_flush(struct domain *d) { (void)d; }
bool iommu_owns(paddr_t pa) { (void)pa; return false; }
int iommu_assign(struct pci_dev *dev, struct domain *d) { (void)dev, (void)d; return -ENODEV; }
struct pci_dev *pci_find(uint16_t seg, uint16_t bdf) { (void)seg, (void)bdf; return NULL; }
struct pci_dev *pci_add(uint16_t seg, uint16_t bdf) { (void)seg, (void)bdf; return NULL; }
void pci_remove(struct pci_dev *dev) { (void)dev; }
void vpci_free(struct domain *d) { (void)d; }

void machine_reboot(void) { longjmp(machine_off, 1); }
void machine_poweroff(void) { longjmp(machine_off, 1); }
void console_guest_write(struct domain *d, const char *s, size_t n)
{
	(void)d;
	for (size_t i = 0; i < n; i++) /* all of it is there */
		(void)*(const volatile char *)&s[i];
}
int console_guest_read(void) { return -1; }
uint32_t console_ring_read(char *buf, uint32_t max, uint32_t *index, bool clear)
{
	(void)clear;
	memset(buf, 'x', max);
	*index += max;
	return max;
}

/* The scheduler's bookkeeping of reasons, without running anyone. */
void sched_init_vcpu(struct vcpu *v) { v->cpu = &cpu; list_init(&v->runq_link); v->affinity = v->soft_affinity = ~0ul; }
void sched_remove_vcpu(struct vcpu *v) { check(cpu.current != v); }
void sched_stop(struct vcpu *v, uint32_t why) { v->stopped |= why; }
void sched_start(struct vcpu *v, uint32_t why) { v->stopped &= ~why; }
void sched_domain_changed(struct domain *d) { (void)d; }
void sched_init_domain(struct domain *d) { list_init(&d->cap_timer.link); }
void sched_set_cap(struct domain *d, uint16_t percent) { d->cap = percent; }
void sched_yield(struct vcpu *v) { (void)v; }
int sched_set_affinity(struct vcpu *v, uint64_t hard) { v->affinity = hard; return 0; }
void vcpu_sync(struct vcpu *v) { (void)v; }

/* Paging is off in the guests: an address is a physical one. */
static uint64_t zero(struct vcpu *v) { (void)v; return 0; }
static unsigned cpl0(struct vcpu *v) { (void)v; return 0; }
static int bits64(struct vcpu *v) { (void)v; return 64; }
static int vcpu_init(struct vcpu *v) { (void)v; return 0; }
static void nothing(struct vcpu *v) { (void)v; }
static void get_state(struct vcpu *v, struct vcpu_state *s) { (void)v; memset(s, 0, sizeof(*s)); }
static int set_state(struct vcpu *v, const struct vcpu_state *s) { (void)v; return s->efer & 1 ? -EINVAL : 0; }
extern struct p2m_format npt_format;
static const struct cpu_ops ops = {
	.p2m = &npt_format, .get_cr0 = zero, .get_cr3 = zero, .get_cr4 = zero, .get_efer = zero, .get_cpl = cpl0, .code_bits = bits64,
	.vcpu_init = vcpu_init, .vcpu_free = nothing, .get_state = get_state, .set_state = set_state,
};
const struct cpu_ops *cpu_ops = &ops, vmx_ops;

/* ---- the books ---- */

/* Which way the checks go is not what the inputs are to explore. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

static uint32_t expected[PAGES]; /* references */

static void count_domain(struct domain *d)
{
	uint64_t ram = 0;

	check(!d->p2m.need_flush || d->p2m.root);
	for (gfn_t gfn = 0; gfn <= p2m_max_gfn(d);) {
		unsigned order;
		enum p2m_type t;
		mfn_t mfn = p2m_get(d, gfn, &t, &order);
		uint64_t n = BIT(order) - (gfn & (BIT(order) - 1));

		if (mfn == INVALID_MFN) {
			gfn += n;
			continue;
		}
		check(mfn < PAGES);
		struct frame *f = &frame_table[mfn];
		check(f->type == FRAME_RAM || f->type == FRAME_SHARED);
		check((t != P2M_RAM && t != P2M_RAM_RO) || (f->owner == d->id && f->type == FRAME_RAM && f->gfn == gfn));
		check(t != P2M_SHARED || (f->owner == d->id && f->type == FRAME_SHARED));
		check((t != P2M_FOREIGN && t != P2M_FOREIGN_RO) || (d == dom0 && f->owner != d->id));
		if (t != P2M_SHARED && t != P2M_GRANT_RW && t != P2M_GRANT_RO)
			expected[mfn]++;
		gfn++;
	}
	expected[d->shared_info_mfn]++;
	for (unsigned i = 0; i < d->released.n; i++)
		expected[d->released.mfn[i]]++;
	for (unsigned i = 0; i < d->grant.frames; i++)
		expected[d->grant.shared_mfn[i]]++;
	for (unsigned i = 0; i < d->evtchn.fifo_words / 1024; i++)
		expected[d->evtchn.fifo_array_mfn[i]]++;
	for (unsigned i = 0; i < d->max_vcpus; i++) {
		struct vcpu *v = d->vcpu[i];

		if (v && v->vcpu_info_mfn != INVALID_MFN)
			expected[v->vcpu_info_mfn]++;
		if (v && v->fifo_control)
			expected[v->fifo_control_mfn]++;
	}
	for (mfn_t m = 0; m < PAGES; m++)
		ram += frame_table[m].type == FRAME_RAM && frame_table[m].owner == d->id;
	check(ram == d->tot_pages);
}

/* Each live handle is one pin of its kind and one reference; the guest's flags, which it may have overwritten, are its own. */
static void count_grants(struct domain *d)
{
	struct grant_table *g = &d->grant;

	for (unsigned i = 0; i < g->maptrack_pages * MAPTRACK_PER_PAGE; i++) {
		const struct maptrack *m = &g->maptrack[i / MAPTRACK_PER_PAGE][i % MAPTRACK_PER_PAGE];
		struct domain *rd = m->flags ? domain_find(m->granter) : NULL;

		if (!m->flags)
			continue;
		check(rd && m->ref / GRANTS_PER_FRAME < rd->grant.frames);
		struct grant_active *a = &rd->grant.active[m->ref / GRANTS_PER_FRAME][m->ref % GRANTS_PER_FRAME];
		check(a->domid == d->id && frame_table[a->mfn].owner == rd->id);
		check(m->flags & GNTMAP_readonly ? a->pins_ro-- : a->pins_rw--); /* put back below */
		expected[a->mfn]++;
	}
}

static void uncount_grants(struct domain *d, bool all_gone)
{
	struct grant_table *g = &d->grant;

	for (unsigned i = 0; all_gone && i < g->frames * GRANTS_PER_FRAME; i++) {
		const struct grant_active *a = &g->active[i / GRANTS_PER_FRAME][i % GRANTS_PER_FRAME];

		check(!a->pins_ro && !a->pins_rw);
	}
	for (unsigned i = 0; !all_gone && i < g->maptrack_pages * MAPTRACK_PER_PAGE; i++) {
		const struct maptrack *m = &g->maptrack[i / MAPTRACK_PER_PAGE][i % MAPTRACK_PER_PAGE];

		if (!m->flags)
			continue;
		struct grant_active *a = &domain_find(m->granter)->grant.active[m->ref / GRANTS_PER_FRAME][m->ref % GRANTS_PER_FRAME];
		if (m->flags & GNTMAP_readonly)
			a->pins_ro++;
		else
			a->pins_rw++;
	}
}

static void check_books(void)
{
	memset(expected, 0, sizeof(expected));
	list_for_each(l, &domains)
		count_domain(list_entry(l, struct domain, link));
	list_for_each(l, &domains)
		count_grants(list_entry(l, struct domain, link));
	list_for_each(l, &domains)
		uncount_grants(list_entry(l, struct domain, link), true);
	list_for_each(l, &domains)
		uncount_grants(list_entry(l, struct domain, link), false);
	for (mfn_t m = 0; m < PAGES; m++)
		if (frame_table[m].type == FRAME_RAM || frame_table[m].type == FRAME_SHARED)
			check(frame_table[m].refs == expected[m]);
		else
			check(!expected[m]);
}

#pragma clang attribute pop

/* ---- a run ---- */

static void make_domain(domid_t id)
{
	int err;
	struct domain *d = domain_create(id, 0, VCPUS, 1100, 2, 1, &err);

	check(d);
	for (unsigned i = 0; i < VCPUS; i++) {
		check(domain_add_vcpu(d, i, &err));
		d->vcpu[i]->stopped = 0;
	}
	d->max_pages = RAM + 16;
	for (gfn_t gfn = 0; gfn < RAM; gfn++)
		check(!p2m_set(d, gfn, frame_alloc(d, 0), 0, P2M_RAM));
	if (!id) {
		dom0 = d;
		d->privileged = d->is_dom0 = true;
	}
	/* Something to begin with: each grants its pages 32.. to the next. */
	for (unsigned i = 0; i < 8; i++)
		((struct grant_entry_v1 *)d->grant.shared[0])[i] = (struct grant_entry_v1){
			.flags = GTF_permit_access, .domid = (domid_t)((id + 1) % DOMS), .frame = 32 + i
		};
}

/* All of it, its own record too. The others are gone. */
static void end_dom0(void)
{
	struct domain *d = dom0;
	int rc;

	d->dying = DOM_DYING;
	foreign_release(d);
	evtchn_destroy(d);
	while ((rc = grant_relinquish(d)) == -ERESTART)
		;
	while (!rc && (rc = p2m_relinquish(d, &d->relinquish_cursor)) == -ERESTART)
		rc = 0;
	check(!rc);
}

static void finish_dom0(void)
{
	struct domain *d = dom0;

	for (unsigned i = 0; i < VCPUS; i++)
		vcpu_info_release(d->vcpu[i]);
	d->dying = DOM_DEAD;
	check(!d->tot_pages);
	dom0 = NULL;
	domain_put(d);
	domain_put(d);
}

static void destroy(struct domain *d)
{
	while (domain_destroy(d))
		;
}

static void tear_down(void)
{
	cpu.current = NULL;
	/* Domains die while the service domain still maps their pages, then it lets go. */
	for (struct list *l = domains.prev; l != &domains;) {
		struct domain *d = list_entry(l, struct domain, link);

		l = l->prev;
		if (d != dom0)
			destroy(d);
	}
	check_books();
	end_dom0();
	while (domains.prev != domains.next) /* only the service domain is left */
		check(list_entry(domains.prev, struct domain, link)->dying == DOM_DEAD && false);
	finish_dom0();
	check(list_empty(&domains));
	check(!free_before || frame_free_pages() == free_before);
	free_before = frame_free_pages();
}

static void start_machine(void)
{
	cpu.self = &cpu;
	cpu.slice_end = ~0ull;
	list_init(&cpu.timers);
	list_init(&cpu.runq);
	fuzz_memory(PAGES * PAGE_SIZE);
	boot_info.nr_map = 1;
	boot_info.map[0] = (struct e820_entry){ 0, PAGES * PAGE_SIZE, E820_RAM };
	time_init();
	frame_init();
	policy_init_host();
}

static void patch(struct input *in, uint8_t *page)
{
	uint64_t *words = (uint64_t *)(page + PAGE_SIZE);
	uint64_t big = ~0ull, at;
	unsigned off = (unsigned)take(in, 1), val = (unsigned)take(in, 1);

	if (val == 0xf0)
		memcpy(page + off, &(uint16_t){ DOMID_SELF }, 2);
	else if (val >= 0xfd)
		memcpy(page + off, &big, val == 0xfd ? 2 : val == 0xfe ? 4 : 8);
	else if (val >= 0xe0 && val < 0xf0) { /* the address of page val - 0xe0 of the array's neighbourhood */
		at = (ARG_GFN + 1ull + (val - 0xe0)) << PAGE_SHIFT;
		memcpy(page + off, &at, 8);
	} else if (val >= 0xd0 && val < 0xe0) { /* a word of the array */
		words[off % 64] = val - 0xd0 + 32 * (off / 64);
	} else {
		page[off] = (uint8_t)val;
	}
}

/* What a sane guest would pass for the calls that move frames and references, to be patched or not. x, y, z: small numbers. */
static void sane(unsigned nr, unsigned cmd, uint8_t *page, unsigned x, unsigned y, domid_t z)
{
	uint64_t array = (ARG_GFN + 1) << PAGE_SHIFT, *words = (uint64_t *)(page + PAGE_SIZE);

	if (nr == __HYPERVISOR_grant_table_op && cmd == GNTTABOP_map_grant_ref)
		*(struct gnttab_map_grant_ref *)page = (struct gnttab_map_grant_ref){
			.host_addr = (uint64_t)(RAM + x) << PAGE_SHIFT, .ref = y % 8, .dom = z,
			.flags = GNTMAP_host_map | (y & 8 ? GNTMAP_readonly : 0)
		};
	if (nr == __HYPERVISOR_grant_table_op && cmd == GNTTABOP_unmap_grant_ref)
		*(struct gnttab_unmap_grant_ref *)page = (struct gnttab_unmap_grant_ref){
			.host_addr = (uint64_t)(RAM + x) << PAGE_SHIFT, .handle = y % 8
		};
	if (nr == __HYPERVISOR_memory_op && cmd == XENMEM_add_to_physmap_batch) {
		*(struct xen_add_to_physmap_batch *)page = (struct xen_add_to_physmap_batch){
			.domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 1, .u.foreign_domid = z,
			.idxs.p = (void *)array, .gpfns.p = (void *)(array + 8), .errs.p = (void *)(array + 16)
		};
		words[0] = 16 + y % 32;
		words[1] = RAM + x;
	}
	if (nr == __HYPERVISOR_memory_op && cmd == XENMEM_remove_from_physmap)
		*(struct xen_remove_from_physmap *)page = (struct xen_remove_from_physmap){ .domid = DOMID_SELF, .gpfn = y & 1 ? RAM + x : 16 + x };
	if (nr == __HYPERVISOR_vcpu_op && cmd == VCPUOP_register_vcpu_info)
		((uint64_t *)page)[0] = 48 + x % 16;
	if (nr == __HYPERVISOR_event_channel_op && cmd == EVTCHNOP_init_control) {
		((uint64_t *)page)[0] = 48 + x % 16; /* control_gfn */
		((uint32_t *)page)[3] = y % VCPUS;
	}
	if (nr == __HYPERVISOR_event_channel_op && cmd == EVTCHNOP_expand_array)
		((uint64_t *)page)[0] = 48 + x % 16;
	if (nr == __HYPERVISOR_event_channel_op && cmd == EVTCHNOP_alloc_unbound)
		((domid_t *)page)[0] = DOMID_SELF, ((domid_t *)page)[1] = z;
	if (nr == __HYPERVISOR_event_channel_op && cmd == EVTCHNOP_bind_interdomain)
		((domid_t *)page)[0] = z, ((uint32_t *)page)[1] = 1 + x % 4;
}

/* The argument and the array of a call are where the domain has its pages ARG_GFN and the next, if it still has them. */
static void one_call(struct input *in)
{
	static const uint8_t numbers[] = { __HYPERVISOR_memory_op, __HYPERVISOR_grant_table_op, __HYPERVISOR_event_channel_op,
					   __HYPERVISOR_vcpu_op, __HYPERVISOR_hvm_op, __HYPERVISOR_sched_op, __HYPERVISOR_domctl,
					   __HYPERVISOR_multicall, __HYPERVISOR_sysctl, __HYPERVISOR_physdev_op,
					   __HYPERVISOR_platform_op, __HYPERVISOR_console_io, __HYPERVISOR_xen_version,
					   __HYPERVISOR_set_timer_op, __HYPERVISOR_vm_assist, __HYPERVISOR_memory_op };
	unsigned who = (unsigned)take(in, 1), nr = (unsigned)take(in, 1), cmd = (unsigned)take(in, 1), count = (unsigned)take(in, 1);
	struct domain *d = domain_find((domid_t)(who & 3) % DOMS);
	struct vcpu *v = d && !d->dying && !d->shut_down ? d->vcpu[who >> 2 & 1] : NULL;
	uint8_t page[2 * PAGE_SIZE] = { 0 };
	uint64_t at = ARG_GFN << PAGE_SHIFT, arg[HYPERCALL_ARGS] = { cmd, at, count, 0, 0 };
	unsigned tries = 0;
	int64_t rc;

	static const uint8_t frequent[][2] = {
		{ __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref }, { __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref },
		{ __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch }, { __HYPERVISOR_memory_op, XENMEM_remove_from_physmap },
		{ __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info },	 { __HYPERVISOR_event_channel_op, EVTCHNOP_init_control },
		{ __HYPERVISOR_event_channel_op, EVTCHNOP_expand_array }, { __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound },
		{ __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain },
	};
	if (who & 0x40) {
		unsigned y = cmd, z = count;

		cmd = frequent[nr % ARRAY_SIZE(frequent)][1];
		nr = frequent[nr % ARRAY_SIZE(frequent)][0];
		count = nr == __HYPERVISOR_vcpu_op ? y % VCPUS : 1;
		sane(nr, cmd, page, (unsigned)take(in, 1) % 16, y, (domid_t)(z % DOMS));
		arg[0] = cmd, arg[2] = count;
	} else {
		nr = numbers[nr % ARRAY_SIZE(numbers)];
	}
	for (unsigned n = (unsigned)take(in, 1) % 24; n--;)
		patch(in, page);
	if (!v || v->stopped)
		return;
	if (nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_domctl || nr == __HYPERVISOR_sysctl || nr == __HYPERVISOR_platform_op)
		arg[0] = at, arg[1] = count;
	if (nr == __HYPERVISOR_domctl)
		*(uint32_t *)page = cmd, ((uint32_t *)page)[1] = XEN_DOMCTL_INTERFACE_VERSION;
	if (nr == __HYPERVISOR_vcpu_op)
		arg[1] = count, arg[2] = at;
	if (nr == __HYPERVISOR_console_io)
		arg[1] = count, arg[2] = at;
	if (nr == __HYPERVISOR_set_timer_op || nr == __HYPERVISOR_vm_assist)
		arg[1] = count;
	if (who & 0x80) /* anything at all */
		arg[1 + (who >> 5 & 1)] = take(in, 8);
	copy_to_gpa(d, at, page, sizeof(page));
	cpu.current = v;
	v->running = true;
	do /* a domain may be destroyed in the middle of a long one */
		rc = hypercall_dispatch(v, nr, arg);
	while (rc == -ERESTART && tries++ < 100 && !v->stopped);
	cpu.current = NULL;
	v->running = false;
	v->stopped &= ~VCPU_BLOCKED; /* something wakes it */
	check(!d->p2m.need_flush || d->p2m.root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	if (!shim_ram)
		start_machine();
	for (domid_t id = 0; id < DOMS; id++)
		make_domain(id);
	interrupts = (unsigned)take(&in, 1) * 0x01010101u;
	if (!setjmp(machine_off))
		for (unsigned calls = 0; in.p < in.end && calls < 64; calls++)
			one_call(&in);
	check_books();
	tear_down();
	return 0;
}
