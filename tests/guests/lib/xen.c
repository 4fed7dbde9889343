// SPDX-License-Identifier: Apache-2.0
/* Hypercalls, time and events. */
#include "xencall.h"

bool privileged;
domid_t my_domid;
volatile uint32_t events[4096];
struct box box __attribute__((section(".box"))) __aligned(PAGE_SIZE);

long hypercall(unsigned nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e;
	long rc;

	if (intel)
		__asm__ volatile("vmcall" : "=a"(rc), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : "a"((uint64_t)nr) : "memory");
	else
		__asm__ volatile("vmmcall" : "=a"(rc), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : "a"((uint64_t)nr) : "memory");
	return rc;
}

/* The service domain has the machine's console, others the box: what does not fit is lost. */
void console_write(const char *s, size_t n)
{
	if (privileged) {
		HC(console_io, CONSOLEIO_write, n, s);
		return;
	}
	for (; n-- && box.wr - box.rd < sizeof(box.text); s++) {
		box.text[box.wr % sizeof(box.text)] = *s;
		barrier();
		box.wr++;
	}
}

void yield(void)
{
	sched_op(SCHEDOP_yield, 0);
}

static struct vcpu_info *vcpu_info(void)
{
	return &shared->vcpu_info[this_cpu() - cpus];
}

uint64_t now(void)
{
	volatile struct vcpu_time_info *t = &vcpu_info()->time;
	uint64_t delta, ns;
	uint32_t version;

	do {
		version = t->version & ~1u;
		barrier();
		delta = rdtsc() - t->tsc_timestamp;
		delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
		ns = t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
		barrier();
	} while (version != t->version);
	return ns;
}

void event_upcall(void)
{
	struct vcpu_info *v = vcpu_info();
	uint64_t sel, bits;

	v->evtchn_upcall_pending = 0;
	for (sel = __atomic_exchange_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST); sel; sel &= sel - 1) {
		unsigned w = (unsigned)__builtin_ctzl(sel);

		for (bits = shared->evtchn_pending[w] & ~shared->evtchn_mask[w]; bits; bits &= bits - 1) {
			__atomic_fetch_and(&shared->evtchn_pending[w], ~(bits & -bits), __ATOMIC_SEQ_CST);
			events[w * 64 + (unsigned)__builtin_ctzl(bits)]++;
		}
	}
}

long map_space(unsigned space, uint64_t idx, uint64_t gfn)
{
	struct xen_add_to_physmap a = { .domid = DOMID_SELF, .space = space, .idx = idx, .gpfn = gfn };

	return memory_op(XENMEM_add_to_physmap, &a);
}

long unmap_gfn(uint64_t gfn)
{
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = gfn };

	return memory_op(XENMEM_remove_from_physmap, &r);
}

long hvm_param(unsigned index, uint64_t *val, bool set)
{
	struct xen_hvm_param p = { .domid = DOMID_SELF, .index = index, .value = *val };
	long rc = HC(hvm_op, set ? HVMOP_set_param : HVMOP_get_param, &p, 0);

	*val = p.value;
	return rc;
}

void xen_init(void)
{
	uint64_t via = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | VEC_CALLBACK;

	/* Leaf 4, ECX: the domain's id when EAX bit 4 says so. */
	my_domid = privileged ? 0 : (domid_t)cpuid(0x40000004, 0).c;
	check_eq(map_space(XENMAPSPACE_shared_info, 0, SHARED_GFN), 0, "map shared_info");
	on_irq(VEC_CALLBACK, event_upcall, false);
	check_eq(hvm_param(HVM_PARAM_CALLBACK_IRQ, &via, true), 0, "set the callback vector");
	x2apic_on();
}

unsigned timer_bind(void)
{
	struct evtchn_bind_virq b = { .virq = VIRQ_TIMER, .vcpu = 0 };

	return check_eq(evtchn_op(EVTCHNOP_bind_virq, &b), 0, "bind VIRQ_TIMER") ? b.port : 0;
}

long set_timer(uint64_t ns)
{
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = ns };

	return vcpu_op(VCPUOP_set_singleshot_timer, this_cpu() - cpus, &t);
}

void sleep_until(uint64_t ns)
{
	while (now() < ns) {
		cli();
		set_timer(ns);
		sti_hlt();
	}
	sti();
}

unsigned alloc_unbound(domid_t dom, domid_t remote)
{
	struct evtchn_alloc_unbound a = { .dom = dom, .remote_dom = remote };

	return evtchn_op(EVTCHNOP_alloc_unbound, &a) ? 0 : a.port;
}

long close_port(unsigned port)
{
	struct evtchn_close c = { .port = port };

	return evtchn_op(EVTCHNOP_close, &c);
}

void shutdown(unsigned reason)
{
	struct sched_shutdown s = { .reason = reason };

	for (;;)
		sched_op(SCHEDOP_shutdown, &s);
}

void finish(void)
{
	if (privileged)
		print("CARREL-GUEST-EXIT %u\n", MIN(failures, 99u));
	box.failures = failures;
	barrier();
	box.state = BOX_DONE;
	shutdown(SHUTDOWN_poweroff);
}
