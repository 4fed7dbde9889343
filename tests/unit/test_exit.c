// SPDX-License-Identifier: Apache-2.0
/* HLT in every combination of what may end it, and exceptions that meet exceptions. */
#include "shim.h"
#undef skip /* cmocka has one */
#include "../../hv/cpu/exit.c"

static struct domain d;
static struct vcpu vcpus[2];
static struct vcpu *const v = &vcpus[0];
static bool event;
static int shut_down, crashes;

static int code_bits(struct vcpu *vcpu)
{
	(void)vcpu;
	return 64;
}

static void clear_shadow(struct vcpu *vcpu)
{
	(void)vcpu;
}

static const struct cpu_ops ops = { .code_bits = code_bits, .clear_shadow = clear_shadow };
const struct cpu_ops *cpu_ops = &ops;

unsigned insn_length(struct vcpu *vcpu, enum exit_reason r)
{
	(void)vcpu, (void)r;
	return 0;
}

bool vcpu_has_event(struct vcpu *vcpu)
{
	return vcpu->nmi_pending || event;
}

void sched_stop(struct vcpu *vcpu, uint32_t why)
{
	vcpu->stopped |= why;
}

void domain_shutdown(struct domain *dom, int code)
{
	(void)dom;
	shut_down = code;
}

void domain_crash(struct vcpu *vcpu, const char *fmt, ...)
{
	(void)vcpu, (void)fmt;
	crashes++;
}

static int setup(void **state)
{
	(void)state;
	d = (struct domain){ .max_vcpus = 2, .vcpu = { &vcpus[0], &vcpus[1] } };
	for (unsigned i = 0; i < 2; i++)
		vcpus[i] = (struct vcpu){ .domain = &d, .id = i };
	event = false;
	shut_down = -1;
	crashes = 0;
	return 0;
}

/* What v is stopped for after HLT. */
static uint32_t hlt(bool interrupts, bool nmi)
{
	struct exit e = { .reason = EXIT_HLT, .insn_len = 1 };

	v->stopped = 0;
	v->nmi_pending = nmi;
	v->regs.rip = 0x1000;
	v->regs.rflags = interrupts ? 0x202 : 2;
	handle_hlt(v, &e);
	assert_int_equal(v->regs.rip, 0x1001);
	return v->stopped;
}

static void hlt_waits(void **state)
{
	(void)state;
	assert_int_equal(hlt(true, false), VCPU_BLOCKED);
	assert_int_equal(hlt(true, true), 0);
	assert_int_equal(hlt(false, false), VCPU_DOWN);
	assert_int_equal(hlt(false, true), 0);
	event = true;
	assert_int_equal(hlt(true, false), 0);
	assert_int_equal(hlt(false, false), VCPU_DOWN); /* an interrupt that waits does not end it */
	assert_int_equal(shut_down, -1);
	vcpus[1].stopped = VCPU_DOWN;
	assert_int_equal(hlt(false, false), VCPU_DOWN);
	assert_int_equal(shut_down, SHUTDOWN_poweroff);
}

static void hlt_without_length(void **state)
{
	struct exit e = { .reason = EXIT_HLT };

	(void)state;
	handle_hlt(v, &e);
	assert_int_equal(v->stopped, 0);
	assert_true(v->exc_pending && v->exc_vector == EXC_UD && !v->exc_has_code);
}

/* SDM 3A table 6-5: what a second exception makes of the first. */
static void exceptions_meet(void **state)
{
	static const struct {
		uint8_t first, second, result; /* 0: a triple fault */
	} cases[] = {
		{ EXC_UD, EXC_GP, EXC_GP }, { EXC_GP, EXC_UD, EXC_UD }, { EXC_GP, EXC_GP, EXC_DF }, { EXC_GP, EXC_PF, EXC_PF },
		{ EXC_PF, EXC_GP, EXC_DF }, { EXC_PF, EXC_PF, EXC_DF }, { EXC_PF, EXC_UD, EXC_UD }, { 0, 11, EXC_DF },
		{ EXC_DF, EXC_PF, 0 },	    { EXC_DF, EXC_UD, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		inject_exception(v, cases[i].first, 0);
		inject_exception(v, cases[i].second, cases[i].second == EXC_UD ? -1 : 5);
		assert_int_equal(crashes, !cases[i].result);
		assert_int_equal(v->exc_pending, !!cases[i].result);
		if (!cases[i].result)
			continue;
		assert_int_equal(v->exc_vector, cases[i].result);
		assert_int_equal(v->exc_has_code, cases[i].result != EXC_UD);
		assert_int_equal(v->exc_code, cases[i].result == EXC_UD || cases[i].result == EXC_DF ? 0 : 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(hlt_waits, setup),
		cmocka_unit_test_setup(hlt_without_length, setup),
		cmocka_unit_test(exceptions_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
