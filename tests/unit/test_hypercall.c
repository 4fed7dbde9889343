// SPDX-License-Identifier: Apache-2.0
/* Dispatch, multicall and continuations: what a long call sees of the others who wait, and that it goes on where it was. */
#include "shim.h"
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "irq.h"
#include "lock.h"

#include <sys/syscall.h>
#include <asm/prctl.h>
#include <unistd.h>

static struct cpu cpu;
static struct domain d;
static struct vcpu v = { .domain = &d };
static unsigned calls, arrives_in; /* after so many looks an interrupt is there */
static bool wanted, pending;
static ns_t time;

/* Every handler, but for those that hypercall.c brings. */
static int64_t handler(uint64_t *arg)
{
	calls++;
	if (arg[0] == 1000) { /* two rounds */
		arg[0] = 1001;
		return -ERESTART;
	}
	return (int64_t)arg[0];
}
#define hypercall_multicall unused_multicall
#define hypercall_vm_assist unused_vm_assist
#pragma push_macro("REFUSED")
#undef REFUSED
#define REFUSED(...)
#define OP(name)                                                                                                       \
	int64_t hypercall_##name(struct vcpu *u, uint64_t *arg);                                                       \
	int64_t hypercall_##name(struct vcpu *u, uint64_t *arg)                                                        \
	{                                                                                                              \
		(void)u;                                                                                               \
		return handler(arg);                                                                                   \
	}
#include "../../hv/xen/hypercalls.def"
#undef OP
#pragma pop_macro("REFUSED")
#undef hypercall_multicall
#undef hypercall_vm_assist

static int bits = 64;
static unsigned cpl;
static int code_bits(struct vcpu *u) { (void)u; return bits; }
static unsigned get_cpl(struct vcpu *u) { (void)u; return cpl; }
static const struct cpu_ops ops = { .name = "test", .code_bits = code_bits, .get_cpl = get_cpl };
const struct cpu_ops *cpu_ops = &ops, vmx_ops;

static void let_in(void)
{
	if (arrives_in && !--arrives_in)
		pending = true;
}
#define interrupt_window let_in
#include "../../hv/xen/hypercall.c"

bool irq_any_pending(void)
{
	return pending;
}

bool core_lock_wanted(void)
{
	return wanted;
}

void vcpu_skip(struct vcpu *u, unsigned len)
{
	u->regs.rip += len;
}

int64_t memory_op32(struct vcpu *u, const uint64_t *a)
{
	(void)u;
	return 3200 + (int64_t)a[0];
}

ns_t now(void)
{
	return time;
}

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

static int setup(void **state)
{
	(void)state;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	cpu = (struct cpu){ .self = &cpu, .slice_end = ~0ull };
	calls = arrives_in = 0;
	wanted = pending = false;
	time = 1000;
	return 0;
}

#define N 100
static multicall_entry_t list[N];
static uint64_t arg[HYPERCALL_ARGS];

static int64_t multicall(void)
{
	return hypercall_dispatch(&v, __HYPERVISOR_multicall, arg);
}

static void fill(void)
{
	for (unsigned i = 0; i < N; i++)
		list[i] = (multicall_entry_t){ .op = __HYPERVISOR_xen_version, .args = { i == 50 ? 1000 : i }, .result = 99 };
	arg[0] = (uint64_t)list;
	arg[1] = N;
}

static void check_results(void)
{
	assert_int_equal(arg[1], 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(list[i].result, i == 50 ? 1001 : i);
	assert_int_equal(calls, N + 1);
}

/* Nobody waits: one go, but for the entry that restarts by itself. */
static void alone(void **state)
{
	(void)state;
	fill();
	assert_int_equal(multicall(), -ERESTART);
	assert_int_equal(arg[1], N - 50);
	assert_int_equal(multicall(), 0);
	check_results();
}

/* An interrupt that arrives while the call runs ends it at the next look; so do another CPU and the end of the slice. */
static void gives_way(void **state)
{
	(void)state;
	fill();
	arrives_in = 3;
	assert_int_equal(multicall(), -ERESTART);
	assert_int_equal(calls, 3);
	pending = false;
	wanted = true;
	assert_int_equal(multicall(), -ERESTART);
	assert_int_equal(calls, 4);
	wanted = false;
	cpu.slice_end = time;
	assert_int_equal(multicall(), -ERESTART);
	assert_int_equal(calls, 5);
	for (unsigned rounds = 0; multicall(); rounds++) /* every call gets on, whoever waits */
		assert_true(rounds < 2 * N);
	check_results();
}

static void refuses(void **state)
{
	(void)state;
	list[0] = (multicall_entry_t){ .op = __HYPERVISOR_multicall };
	list[1] = (multicall_entry_t){ .op = 64 };
	list[2] = (multicall_entry_t){ .op = ~0ul };
	list[3] = (multicall_entry_t){ .op = __HYPERVISOR_mmu_update };
	arg[0] = (uint64_t)list;
	arg[1] = 4;
	assert_int_equal(multicall(), 0);
	assert_int_equal((int64_t)list[0].result, -EINVAL);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal((int64_t)list[i].result, -ENOSYS);
	assert_int_equal(calls, 0);
}

/* One call with garbage in the upper halves and in the registers of the other width. */
static int64_t call(int width, uint64_t nr, uint64_t a0)
{
	struct exit e = { .insn_len = 3 };
	uint64_t *g = v.regs.gpr;

	bits = width;
	for (unsigned i = 0; i < 16; i++)
		g[i] = 0xdeadbeef00000077;
	g[RAX] = width == 64 ? nr : nr | 0x5a5a000000000000;
	g[width == 64 ? RDI : RBX] = width == 64 ? a0 : a0 | 0x5a5a000000000000;
	hypercall_exit(&v, &e);
	return (int64_t)g[RAX];
}

/* 32-bit code has only calls whose structures are the same, and its own memory_op. */
static void widths(void **state)
{
	(void)state;
	cpl = 0;
	v.regs.rip = 0;
	assert_int_equal(call(64, __HYPERVISOR_sched_op, SCHEDOP_poll), SCHEDOP_poll);
	assert_int_equal(call(32, __HYPERVISOR_sched_op, SCHEDOP_yield), SCHEDOP_yield);
	assert_int_equal(call(32, __HYPERVISOR_hvm_op, HVMOP_get_param), HVMOP_get_param);
	assert_int_equal(call(32, __HYPERVISOR_event_channel_op, EVTCHNOP_send), EVTCHNOP_send);
	assert_int_equal(call(32, __HYPERVISOR_memory_op, 7), 3207);
	assert_int_equal(v.regs.rip, 15);
	assert_int_equal(calls, 4);
	assert_int_equal(call(32, __HYPERVISOR_sched_op, SCHEDOP_poll), -ENOSYS);
	assert_int_equal(call(32, __HYPERVISOR_event_channel_op, EVTCHNOP_reset), -ENOSYS);
	assert_int_equal(call(32, __HYPERVISOR_multicall, 0), -ENOSYS);
	assert_int_equal(call(32, __HYPERVISOR_grant_table_op, 0), -ENOSYS);
	assert_int_equal(call(16, __HYPERVISOR_domctl, 0), -ENOSYS);
	cpl = 3;
	assert_int_equal(call(32, __HYPERVISOR_memory_op, 7), -EPERM);
	assert_int_equal(calls, 4);
	cpl = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(alone, setup),
		cmocka_unit_test_setup(gives_way, setup),
		cmocka_unit_test_setup(refuses, setup),
		cmocka_unit_test_setup(widths, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
