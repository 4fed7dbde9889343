// SPDX-License-Identifier: Apache-2.0
/* Instructions that the core spends on each path that guests take often, where the TSC counts instructions (the intel rig): a pair
 * of RDTSC in the guest, less what the guest itself executes in between. "BENCH path MEDIAN instructions, least MIN". Bochs brings
 * its TSC up to date at branches, so one stands before each RDTSC. Needs two vCPUs on one physical CPU. */
#include "xencall.h"

#include <xen/arch-x86/hvm/start_info.h>

#define ROUNDS 100
#define VEC_STEP 0xe4 /* an interrupt of our own: x2APIC IPIs */
#define SPARE_GFN 0x6000ul /* memory above the image */
#define DOMU_GFN (EXTRA_GFN + 8)
#define REF 20

struct timed {
	uint64_t n, rax;
};

/* One instruction between two RDTSC. */
#define TIMED(insn, a, c, d, di, si)                                                                                   \
	({                                                                                                             \
		register uint64_t a_ __asm__("r13") = (uint64_t)(a), d_ __asm__("r14") = (uint64_t)(d);                \
		uint64_t n_, c_ = (uint64_t)(c), di_ = (uint64_t)(di), si_ = (uint64_t)(si);                           \
		__asm__ volatile("jmp 1f; 1: rdtsc; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, left; mov %%r13, %%rax; mov %%r14, %%rdx\n" \
				 insn "\n mov %%rax, %%r13; jmp 2f; 2: rdtsc; shl $32, %%rdx; or %%rdx, %%rax"        \
				 : "=&a"(n_), "+r"(a_), "+r"(d_), "+c"(c_), "+D"(di_), "+S"(si_)                       \
				 :                                                                                     \
				 : "rdx", "rbx", "r8", "r10", "memory");                                               \
		(struct timed){ n_ - left, a_ };                                                                       \
	})
#define CALL(nr, a, b, c) TIMED("vmcall", __HYPERVISOR_##nr, 0, c, a, b)

/* The TSC before the timed instruction and at an interrupt's first instruction; the stubs go on to the library's. */
uint64_t left, arrived;
extern char stub_callback[], stub_upcall[], stub_timer[], stub_step[], trap_stubs[];
#define STUB(name, vector)                                                                                             \
	__asm__(".globl stub_" name "; stub_" name ": push %rax; push %rdx; jmp 1f; 1: rdtsc; shl $32, %rdx; or %rdx, %rax; "     \
		"mov %rax, arrived; pop %rdx; pop %rax; jmp trap_stubs + 16 * " vector)
STUB("callback", "0xf3");
STUB("upcall", "0xe2");
STUB("timer", "0xe0");
STUB("step", "0xe4");
_Static_assert(VEC_CALLBACK == 0xf3 && VEC_UPCALL == 0xe2 && VEC_TIMER == 0xe0 && VEC_STEP == 0xe4, "the stubs' vectors");

static uint64_t sample[ROUNDS], empty;
static unsigned samples;
static struct domu domu;

static void hook(unsigned vector, const char *stub)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) idt;
	uint16_t *gate;

	__asm__ volatile("sidt %0" : "=m"(idt));
	gate = (uint16_t *)(idt.base + 16 * vector);
	gate[0] = (uint16_t)(uint64_t)stub;
	gate[3] = (uint16_t)((uint64_t)stub >> 16);
}

static void take(uint64_t n)
{
	unsigned i = samples++;

	for (; i && sample[i - 1] > n; i--)
		sample[i] = sample[i - 1];
	sample[i] = n;
}

/* What was taken, less so many instructions of the guest. */
static void tell(const char *path, uint64_t own)
{
	if (check(samples == ROUNDS && sample[0] >= own, "%s: %u samples, the least %lu", path, samples, sample[0]))
		print("BENCH %s %lu instructions, least %lu\n", path, sample[ROUNDS / 2] - own, sample[0] - own);
	samples = 0;
}

/* The cost of an expression that gives a struct timed, and what it must give in RAX. */
#define PATH(path, expr, want)                                                                                         \
	do {                                                                                                           \
		for (unsigned i = 0; i < ROUNDS; i++) {                                                                \
			struct timed t_ = (expr);                                                                      \
			take(t_.n);                                                                                    \
			if (!check_eq(t_.rax, want, path))                                                             \
				return;                                                                                \
		}                                                                                                      \
		tell(path, empty);                                                                                     \
	} while (0)
#define ANY t_.rax

/* To a handler's RDTSC two pushes come before the branch, instead of one MOV. */
#define TO_HANDLER (empty + 1)

/* ---- one vCPU, one exit ---- */

static void exits(void)
{
	uint64_t next = now() + 10 * SECOND;
	struct vcpu_set_singleshot_timer t = { 0 };

	for (unsigned i = 0; i < ROUNDS; i++)
		take(TIMED("nop", 0, 0, 0, 0, 0).n);
	empty = sample[0];
	check(empty == 9 && sample[ROUNDS - 1] == 9, "9 instructions are %lu to %lu: the TSC counts something else", empty,
	      sample[ROUNDS - 1]);
	samples = 0;
	PATH("null-hypercall", CALL(xen_version, XENVER_version, 0, 0), ANY);
	PATH("unknown-hypercall", TIMED("vmcall", 63, 0, 0, 0, 0), -ENOSYS);
	PATH("cpuid", TIMED("cpuid", 1, 0, 0, 0, 0), ANY);
	PATH("sched-yield", CALL(sched_op, SCHEDOP_yield, 0, 0), 0);
	PATH("apic-eoi", TIMED("wrmsr", 0, X2APIC + APIC_EOI, 0, 0, 0), ANY);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, VEC_TIMER);
	PATH("apic-timer-write", TIMED("wrmsr", 1000000000 + i * 1000, X2APIC + APIC_TMICT, 0, 0, 0), ANY);
	apic_write(APIC_TMICT, 0);
	PATH("timer-arm", (t.timeout_abs_ns = next += 100000, CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t)), 0);
	vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0);
}

/* From the last instruction of a busy guest to its handler of the timer. */
static void timer_fire(const char *path)
{
	cli();
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t last = 0, end = rdtsc() + SECOND;

		arrived = 0;
		set_timer(now() + 200000);
		sti();
		for (uint64_t t = 0; !*(volatile uint64_t *)&arrived && t < end; t = rdtsc()) /* the loop's branch is before it */
			last = t;
		cli();
		if (!check(arrived, "%s: no interrupt", path))
			return;
		take(arrived - last);
	}
	tell(path, 3);
}

/* ---- memory ---- */

static struct timed change(unsigned cmd)
{
	xen_pfn_t gfn = SPARE_GFN;
	struct xen_memory_reservation r = { .domid = DOMID_SELF, .nr_extents = 1 };

	r.extent_start.p = &gfn;
	return CALL(memory_op, cmd, &r, 0);
}

static void populate(void)
{
	uint64_t n[3][ROUNDS];
	static const char *const path[] = { "decrease-reservation", "populate-page", "first-touch" };

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct timed t = change(XENMEM_decrease_reservation), p = change(XENMEM_populate_physmap);

		if (!check(t.rax == 1 && p.rax == 1, "decrease_reservation %ld, populate_physmap %ld", t.rax, p.rax))
			return;
		n[0][i] = t.n;
		n[1][i] = p.n;
		n[2][i] = TIMED("movq %%rax, (%%rdi)", 1, 0, 0, SPARE_GFN * PAGE_SIZE, 0).n;
	}
	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 0; i < ROUNDS; i++)
			take(n[k][i]);
		tell(path[k], empty);
	}
}

static void foreign(void)
{
	xen_ulong_t idx = DOMU_GFN;
	xen_pfn_t gfn = window(1);
	int err = 0;
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 1,
					      .u.foreign_domid = domu.id };
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = gfn };
	uint64_t n[2][ROUNDS];

	b.idxs.p = &idx;
	b.gpfns.p = &gfn;
	b.errs.p = &err;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct timed m = CALL(memory_op, XENMEM_add_to_physmap_batch, &b, 0), u;

		*(volatile uint64_t *)(gfn * PAGE_SIZE) = i;
		u = CALL(memory_op, XENMEM_remove_from_physmap, &r, 0);
		if (!check(!m.rax && !err && !u.rax, "foreign map %ld, %d, unmap %ld", m.rax, err, u.rax))
			return;
		n[0][i] = m.n;
		n[1][i] = u.n;
	}
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < ROUNDS; i++)
			take(n[k][i]);
		tell(k ? "foreign-unmap" : "foreign-map", empty);
	}
}

/* ---- grants: the other domain's, whose table we fill in ourselves ---- */

static bool grant_page(void)
{
	xen_pfn_t gfn = window(1);
	struct xen_mem_acquire_resource a = { .domid = domu.id, .type = XENMEM_resource_grant_table,
					      .id = XENMEM_resource_grant_table_id_shared, .nr_frames = 1 };
	volatile grant_entry_v1_t *e = (void *)(gfn * PAGE_SIZE);

	a.frame_list.p = &gfn;
	if (!check_eq(memory_op(XENMEM_acquire_resource, &a), 0, "acquire the other domain's grant table"))
		return false;
	e[REF].domid = my_domid;
	e[REF].frame = (uint32_t)DOMU_GFN;
	barrier();
	e[REF].flags = GTF_permit_access;
	return true;
}

static void grant_map(void)
{
	uint64_t at = window(1) * PAGE_SIZE, n[2][ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct gnttab_map_grant_ref m = { .host_addr = at, .flags = GNTMAP_host_map, .ref = REF, .dom = domu.id };
		struct gnttab_unmap_grant_ref u = { .host_addr = at };

		n[0][i] = CALL(grant_table_op, GNTTABOP_map_grant_ref, &m, 1).n;
		if (!check_eq(m.status, GNTST_okay, "map_grant_ref"))
			return;
		*(volatile uint64_t *)at = i;
		u.handle = m.handle;
		n[1][i] = CALL(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1).n;
		if (!check_eq(u.status, GNTST_okay, "unmap_grant_ref"))
			return;
	}
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < ROUNDS; i++)
			take(n[k][i]);
		tell(k ? "grant-unmap" : "grant-map", empty);
	}
}

static void grant_copy(const char *path, unsigned len)
{
	struct gnttab_copy c = { .len = (uint16_t)len, .flags = GNTCOPY_source_gref };

	c.source.u.ref = REF;
	c.source.domid = domu.id;
	c.dest.domid = DOMID_SELF;
	c.dest.u.gmfn = SPARE_GFN;
	PATH(path, CALL(grant_table_op, GNTTABOP_copy, &c, 1), 0);
	check_eq(c.status, GNTST_okay, path);
}

/* ---- events and IPIs ---- */

static unsigned to_self, to_peer, from_peer;
static volatile uint64_t took, peer_took; /* from vCPU 0's timed instruction to the handler of vCPU 1, 0 none */
static volatile uint32_t answers;

static unsigned bind_ipi(unsigned vcpu)
{
	struct evtchn_bind_ipi b = { .vcpu = vcpu };

	return check_eq(evtchn_op(EVTCHNOP_bind_ipi, &b), 0, "bind_ipi") ? b.port : 0;
}

static struct timed send(unsigned port)
{
	struct evtchn_send s = { .port = port };

	return CALL(event_channel_op, EVTCHNOP_send, &s, 0);
}

/* To the handler of this vCPU. t: an expression with the timed instruction. */
#define HANDLED(path, t)                                                                                               \
	do {                                                                                                           \
		for (unsigned i = 0; i < ROUNDS; i++) {                                                                \
			arrived = 0;                                                                                   \
			(void)(t);                                                                                     \
			for (uint64_t end = now() + SECOND; !*(volatile uint64_t *)&arrived && now() < end;)           \
				;                                                                                      \
			if (!check(arrived > left, "%s: no interrupt", path))                                          \
				break;                                                                                 \
			take(arrived - left);                                                                          \
		}                                                                                                      \
		tell(path, TO_HANDLER);                                                                                \
	} while (0)

/* vCPU 1: waits in HLT, and answers each interrupt with an event. */
static void peer(void)
{
	cli();
	for (;;) {
		sti_hlt();
		if (!peer_took)
			continue;
		took = peer_took;
		peer_took = 0;
		send(from_peer);
	}
}

static void on_step(void)
{
	if (this_cpu() == &cpus[1])
		peer_took = arrived - left;
	else
		answers++;
}

static void on_event(void)
{
	event_upcall();
	on_step();
}

enum wake { BY_EVENT, BY_IPI };

/* To the handler of vCPU 1, which waits in HLT; this vCPU goes to wait as well as soon as it may, as nothing else is to do. */
static void wake_peer(const char *path, enum wake how)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t answer;

		sleep_until(now() + 200000); /* it reaches its HLT */
		cli();
		answer = answers;
		if (how == BY_EVENT)
			send(to_peer);
		else
			TIMED("wrmsr", VEC_STEP, X2APIC + APIC_ICR, 2, 0, 0);
		while (answers == answer)
			sti_hlt();
		sti();
		take(took);
	}
	tell(path, TO_HANDLER);
}

static void masked_send(const char *path)
{
	xen_ulong_t bit = BIT(to_self % 64);

	__atomic_fetch_or(&shared->evtchn_mask[to_self / 64], bit, __ATOMIC_SEQ_CST);
	PATH(path, (__atomic_fetch_and(&shared->evtchn_pending[to_self / 64], ~bit, __ATOMIC_SEQ_CST), send(to_self)), 0);
	__atomic_fetch_and(&shared->evtchn_pending[to_self / 64], ~bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&shared->evtchn_mask[to_self / 64], ~bit, __ATOMIC_SEQ_CST);
}

static void two_level(void)
{
	masked_send("event-send-masked");
	HANDLED("event-to-self", send(to_self));
	wake_peer("event-to-waiting-vcpu", BY_EVENT);
	HANDLED("apic-self-ipi", TIMED("wrmsr", VEC_STEP, X2APIC + 0x3f, 0, 0, 0));
	wake_peer("apic-ipi-to-waiting-vcpu", BY_IPI);
}

/* As Linux has it: FIFO event channels, and the upcall through the local APIC. */
static struct evtchn_fifo_control_block control[2] __aligned(PAGE_SIZE), control1 __aligned(PAGE_SIZE);
static event_word_t words[1024] __aligned(PAGE_SIZE);

static void fifo_upcall(void)
{
	struct evtchn_fifo_control_block *c = this_cpu() == &cpus[1] ? &control1 : control;

	shared->vcpu_info[this_cpu() - cpus].evtchn_upcall_pending = 0;
	for (uint32_t q = __atomic_exchange_n(&c->ready, 0, __ATOMIC_SEQ_CST); q; q &= q - 1) {
		uint32_t *head = &c->head[__builtin_ctz(q)];

		for (uint32_t port = *head; port; port = __atomic_fetch_and(&words[port], 1u << EVTCHN_FIFO_MASKED, __ATOMIC_SEQ_CST) &
						    EVTCHN_FIFO_LINK_MASK)
			events[port]++;
		*head = 0;
	}
	on_step();
}

static bool like_linux(void)
{
	struct evtchn_init_control i = { .control_gfn = (uint64_t)control / PAGE_SIZE, .vcpu = 0 };
	struct evtchn_expand_array x = { .array_gfn = (uint64_t)words / PAGE_SIZE };
	struct xen_hvm_evtchn_upcall_vector u = { .vcpu = 0, .vector = VEC_UPCALL };

	if (!check_eq(evtchn_op(EVTCHNOP_init_control, &i), 0, "init_control"))
		return false;
	i.control_gfn = (uint64_t)&control1 / PAGE_SIZE;
	i.vcpu = 1;
	if (!check_eq(evtchn_op(EVTCHNOP_init_control, &i), 0, "init_control of vCPU 1") ||
	    !check_eq(evtchn_op(EVTCHNOP_expand_array, &x), 0, "expand_array") ||
	    !check_eq(HC(hvm_op, HVMOP_set_evtchn_upcall_vector, &u, 0), 0, "set_evtchn_upcall_vector"))
		return false;
	u.vcpu = 1;
	return check_eq(HC(hvm_op, HVMOP_set_evtchn_upcall_vector, &u, 0), 0, "set_evtchn_upcall_vector of vCPU 1");
}

static void event_paths(void)
{
	to_self = bind_ipi(0);
	to_peer = bind_ipi(1);
	from_peer = bind_ipi(0);
	hook(VEC_STEP, stub_step);
	on_irq(VEC_CALLBACK, on_event, false);
	on_irq(VEC_STEP, on_step, true);
	if (!to_self || !to_peer || !from_peer || !check(start_vcpu(1, peer), "vCPU 1 does not start"))
		return;
	two_level();
	cli();
	hook(VEC_UPCALL, stub_upcall);
	on_irq(VEC_UPCALL, fifo_upcall, true);
	if (!like_linux())
		return;
	sti();
	HANDLED("fifo-event-to-self", send(to_self));
	wake_peer("fifo-event-to-waiting-vcpu", BY_EVENT);
	timer_fire("fifo-timer-fire");
}

void main_start(uint64_t start_info);
void main_start(uint64_t start_info)
{
	privileged = ((const struct hvm_start_info *)start_info)->flags & SIF_PRIVILEGED;
	xen_init();
	hook(VEC_CALLBACK, stub_callback);
	sti();
	timer_bind();
	exits();
	timer_fire("timer-fire");
	sti();
	populate();
	if (domu_build(&domu, "idle", 1, 16)) {
		foreign();
		if (grant_page()) {
			grant_map();
			grant_copy("grant-copy-64", 64);
			grant_copy("grant-copy-4096", 4096);
		}
	}
	event_paths();
	finish();
}
