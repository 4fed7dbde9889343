// SPDX-License-Identifier: Apache-2.0
/* The scheduler on a machine of pretended CPUs: time goes in steps, vCPUs compute and sleep, and after each step what runs
 * where must be allowed, nobody may be forgotten, and over seconds everybody gets a fair share. */
#include "shim.h"
#include "asm.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "guest.h"
#include "sched.h"
#include "time.h"

#include <sys/syscall.h>
#include <asm/prctl.h>
#include <unistd.h>

#define CPUS  4
#define VCPUS 12 /* a domain each, unless a test puts them together */
#define STEP  100000ull /* ns */
#define MS    1000000ull

static struct cpu cpu[CPUS];
static struct domain doms[VCPUS];
static struct vcpu vcpus[VCPUS];
static ns_t clock_ns, ran[VCPUS], sleeps_until[VCPUS], burst[VCPUS], sleep_for[VCPUS], left[VCPUS], woken_at[VCPUS], worst[VCPUS];
static struct vcpu *loaded[CPUS];
static unsigned nr_vcpus;
static struct cpu *on; /* what GS points at */
uint64_t tsc_khz = 1000000;
bool tsc_stable = true;

/* ---- around the scheduler ---- */

ns_t now(void)
{
	return clock_ns;
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
	list_init(&t->link);
	t->fn = fn;
}

void timer_set(struct timer *t, ns_t deadline)
{
	list_del(&t->link);
	t->deadline = deadline;
	t->cpu = on;
	list_add_tail(&on->timers, &t->link);
}

void timer_cancel(struct timer *t)
{
	list_del(&t->link);
}

void cpu_kick(struct cpu *c)
{
	struct cpu *here = on;

	c->attention = true;
	if (!c->save_request)
		return;
	on = c; /* it spins on the lock */
	sched_service_requests();
	on = here;
}

static void vcpu_load(struct vcpu *v)
{
	for (unsigned i = 0; i < CPUS; i++)
		assert_ptr_not_equal(loaded[i], v);
	assert_null(loaded[on->id]);
	loaded[on->id] = v;
}

static void vcpu_save(struct vcpu *v)
{
	assert_ptr_equal(loaded[on->id], v);
	loaded[on->id] = NULL;
}

static const struct cpu_ops ops = { .vcpu_load = vcpu_load, .vcpu_save = vcpu_save };
const struct cpu_ops *cpu_ops = &ops;

int guest_walk(struct vcpu *v, gva_t va, bool write, bool exec, gpa_t *gpa, uint32_t *pfec)
{
	(void)v, (void)va, (void)write, (void)exec, (void)gpa, (void)pfec;
	return -EFAULT;
}

void *p2m_ptr(struct domain *d, gpa_t gpa, bool write)
{
	(void)d, (void)gpa, (void)write;
	return NULL;
}

int copy_to_guest(gva_t dst, const void *src, size_t n)
{
	(void)dst, (void)src, (void)n;
	return -EFAULT;
}

/* ---- the pretended machine ---- */

static int setup(void **state)
{
	(void)state;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &on);
	memset(cpu, 0, sizeof(cpu));
	memset(doms, 0, sizeof(doms));
	memset(vcpus, 0, sizeof(vcpus));
	memset(loaded, 0, sizeof(loaded));
	memset(ran, 0, sizeof(ran));
	memset(burst, 0, sizeof(burst));
	memset(sleep_for, 0, sizeof(sleep_for));
	memset(left, 0, sizeof(left));
	memset(worst, 0, sizeof(worst));
	memset(woken_at, 0, sizeof(woken_at));
	memset(sleeps_until, 0, sizeof(sleeps_until));
	clock_ns = 5 * MS;
	nr_vcpus = 0;
	return 0;
}

static void machine(unsigned n)
{
	nr_cpus = n;
	for (unsigned i = 0; i < n; i++) {
		cpus[i] = on = &cpu[i];
		cpu[i].id = i;
		list_init(&cpu[i].timers);
		sched_init_cpu(&cpu[i]);
	}
	on = &cpu[0];
}

/* A vCPU that computes for `work` ns, then sleeps `sleep` ns; sleep 0: never. */
static struct vcpu *add(unsigned weight, ns_t work, ns_t sleep)
{
	unsigned n = nr_vcpus++;
	struct vcpu *v = &vcpus[n];
	struct timer *const t[] = { &v->vlapic.timer, &v->singleshot, &v->periodic, &v->poll_timer };

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		list_init(&t[i]->link);
	doms[n].id = (domid_t)n;
	doms[n].weight = weight;
	doms[n].max_vcpus = 1;
	doms[n].vcpu[0] = v;
	sched_init_domain(&doms[n]);
	v->domain = &doms[n];
	v->id = 0;
	burst[n] = left[n] = work;
	sleep_for[n] = sleep;
	sched_init_vcpu(v);
	woken_at[n] = clock_ns;
	sched_start(v, VCPU_DOWN);
	return v;
}

static void check(void)
{
	for (unsigned i = 0; i < nr_vcpus; i++) {
		const struct vcpu *v = &vcpus[i];
		unsigned places = 0;

		for (unsigned c = 0; c < nr_cpus; c++) {
			places += cpu[c].picked == v;
			assert_true(cpu[c].picked != v || (v->running && v->cpu == &cpu[c] && cpu[c].current == v));
			assert_ptr_equal(cpu[c].current, loaded[c]);
			list_for_each(l, &cpu[c].runq) {
				places += l == &v->runq_link;
				assert_true(l != &v->runq_link || v->cpu == &cpu[c]);
			}
		}
		/* Once on the machine when it can run; never when it can not. */
		assert_int_equal(places, vcpu_runnable(v));
		assert_int_equal(v->running && v->cpu->picked != v, false);
		if (v->running)
			assert_true(v->affinity >> v->cpu->id & 1);
	}
}

/* No CPU idles while somebody who may run there waits. */
static void check_busy(void)
{
	for (unsigned c = 0; c < nr_cpus; c++)
		for (unsigned i = 0; !cpu[c].picked && i < nr_vcpus; i++)
			assert_false(vcpu_runnable(&vcpus[i]) && !vcpus[i].running && (vcpus[i].affinity >> c & 1));
}

static void settle(void)
{
	bool again = true;

	while (again) { /* a pick may kick others */
		again = false;
		for (unsigned c = 0; c < nr_cpus; c++) {
			again |= cpu[c].resched;
			on = &cpu[c];
			sched_pick();
			sched_resume();
		}
	}
}

static void step(void)
{
	settle();
	check();
	for (unsigned c = 0; c < nr_cpus; c++) {
		struct vcpu *v = cpu[c].picked;
		unsigned n = v ? (unsigned)(v - vcpus) : 0;

		if (!v)
			continue;
		ran[n] += STEP;
		if (woken_at[n]) {
			worst[n] = MAX(worst[n], clock_ns - woken_at[n]);
			woken_at[n] = 0;
		}
		left[n] -= MIN(left[n], STEP);
	}
	check_busy();
	clock_ns += STEP;
	for (unsigned c = 0; c < nr_cpus; c++) {
		struct vcpu *v = cpu[c].picked;
		unsigned n = v ? (unsigned)(v - vcpus) : 0;

		on = &cpu[c];
		for (struct list *l = on->timers.next; l != &on->timers;) {
			struct timer *t = list_entry(l, struct timer, link);

			l = l->next;
			if (t->deadline <= clock_ns) {
				list_del(&t->link);
				t->fn(t);
			}
		}
		if (v && sleep_for[n] && !left[n]) {
			sleeps_until[n] = clock_ns + sleep_for[n];
			sched_stop(v, VCPU_BLOCKED);
		}
	}
	for (unsigned n = 0; n < nr_vcpus; n++)
		if (sleeps_until[n] && sleeps_until[n] <= clock_ns) {
			sleeps_until[n] = 0;
			left[n] = burst[n];
			woken_at[n] = clock_ns;
			on = &cpu[shim_random(nr_cpus)];
			sched_start(&vcpus[n], VCPU_BLOCKED);
		}
}

static void run_for(ns_t t)
{
	for (ns_t end = clock_ns + t; clock_ns < end;)
		step();
}

/* ran[a] : ran[b] is x : y, within a tenth. */
static void share(unsigned a, unsigned b, unsigned x, unsigned y)
{
	double ratio = (double)ran[a] * y / ((double)ran[b] * x);

	if (ratio < 0.9 || ratio > 1.1)
		fail_msg("vCPUs %u and %u ran %lu and %lu ms, not %u to %u", a, b, ran[a] / MS, ran[b] / MS, x, y);
}

static void weights(void **state)
{
	(void)state;
	machine(1);
	add(256, 1, 0);
	add(512, 1, 0);
	add(1024, 1, 0);
	run_for(5000 * MS);
	share(0, 1, 1, 2);
	share(0, 2, 1, 4);
	assert_true(ran[0] + ran[1] + ran[2] >= 4999 * MS);
}

/* The foreground has four times its weight, and the others still go on. */
static void foreground(void **state)
{
	(void)state;
	machine(1);
	add(256, 1, 0)->domain->foreground = true;
	add(256, 1, 0);
	add(256, 1, 0);
	run_for(5000 * MS);
	share(0, 1, 4, 1);
	share(1, 2, 1, 1);
}

/* Who sleeps most of the time runs at once when it wakes if it is favoured, however many wait; the others share the rest. */
static void wake_up(void **state)
{
	(void)state;
	machine(1);
	add(256, 2 * MS, 28 * MS)->domain->foreground = true;
	add(256, 1 * MS, 17 * MS)->domain->is_dom0 = true;
	for (unsigned i = 0; i < 6; i++)
		add(256, 1, 0);
	run_for(3000 * MS);
	assert_true(ran[0] > 150 * MS && ran[1] > 100 * MS);
	assert_true(worst[0] <= 1 * MS + STEP && worst[1] <= 2 * MS + STEP); /* each waits for the other at most */
	for (unsigned i = 3; i < 8; i++)
		share(2, i, 1, 1);
}

/* A favoured vCPU that never stops computing cannot use naps to starve the others. */
static void no_starvation(void **state)
{
	(void)state;
	machine(1);
	add(256, 30 * MS, STEP)->domain->foreground = true;
	add(256, 1, 0);
	add(256, 1, 0);
	run_for(5000 * MS);
	assert_true(ran[1] > 500 * MS && ran[2] > 500 * MS);
}

/* Sleeping does not save up time: the others go on when it comes back. */
static void long_sleep(void **state)
{
	(void)state;
	machine(1);
	add(256, 1000 * MS, 3000 * MS);
	add(256, 1, 0);
	run_for(4100 * MS);
	memset(ran, 0, sizeof(ran));
	run_for(900 * MS);
	assert_true(ran[0] < 600 * MS && ran[1] > 350 * MS);
}

static void several_cpus(void **state)
{
	uint64_t total = 0;

	(void)state;
	machine(CPUS);
	for (unsigned i = 0; i < 2 * CPUS; i++)
		add(256, 1, 0);
	run_for(2000 * MS);
	for (unsigned i = 0; i < 2 * CPUS; i++) {
		total += ran[i];
		assert_true(ran[i] > 500 * MS);
	}
	assert_true(total >= CPUS * 1999 * MS);
}

static void affinity(void **state)
{
	struct vcpu *v;

	(void)state;
	machine(2);
	v = add(256, 1, 0);
	add(256, 1, 0);
	add(256, 1, 0);
	assert_int_equal(sched_set_affinity(v, 0), -EINVAL);
	assert_int_equal(sched_set_affinity(v, 4), -EINVAL);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(sched_set_affinity(v, 1 + i % 3), 0);
		run_for(3 * MS);
	}
	assert_int_equal(sched_set_affinity(v, 2), 0);
	for (unsigned i = 1; i < 3; i++)
		assert_int_equal(sched_set_affinity(&vcpus[i], 1), 0);
	run_for(50 * MS);
	memset(ran, 0, sizeof(ran));
	run_for(1000 * MS);
	share(0, 1, 2, 1);
	share(1, 2, 1, 1);
}

/* CPUs' virtual clocks differ: who comes from one that is far ahead still gets its share at once. */
static void moved(void **state)
{
	(void)state;
	machine(2);
	sched_set_affinity(add(256, 1, 0), 1);
	sched_set_affinity(add(1024, 1, 0), 2);
	run_for(3000 * MS);
	sched_set_affinity(&vcpus[0], 2);
	memset(ran, 0, sizeof(ran));
	run_for(1000 * MS);
	share(0, 1, 1, 4);
}

/* Everything at random: step() checks. Paused and stopped vCPUs do not run at all. */
static void anything(void **state)
{
	(void)state;
	machine(3);
	for (unsigned i = 0; i < VCPUS; i++)
		add(64u << shim_random(4), (1 + shim_random(40)) * STEP, shim_random(3) ? (1 + shim_random(60)) * STEP : 0);
	doms[0].is_dom0 = true;
	for (unsigned round = 0; round < 40000; round++) {
		unsigned n = shim_random(VCPUS);
		struct vcpu *v = &vcpus[n];

		on = &cpu[shim_random(nr_cpus)];
		switch (shim_random(12)) {
		case 0:
			sched_set_affinity(v, 1 + shim_random(7));
			break;
		case 1:
			doms[n].pause_count ^= 1;
			sched_domain_changed(&doms[n]);
			break;
		case 2:
			sched_stop(v, VCPU_DOWN);
			break;
		case 3:
			sched_start(v, VCPU_DOWN);
			break;
		case 4:
			if (v->running)
				sched_yield(v);
			break;
		case 5:
			doms[n].foreground ^= 1;
			break;
		case 6:
			vcpu_sync(v);
			break;
		case 7:
			sched_set_cap(&doms[n], shim_random(3) ? (uint16_t)(20 + shim_random(100)) : 0);
			break;
		}
		step();
	}
	for (unsigned i = 0; i < VCPUS; i++)
		sched_stop(&vcpus[i], VCPU_SHUTDOWN);
	settle();
	for (unsigned i = 0; i < VCPUS; i++) {
		assert_true(ran[i] > 10 * MS);
		assert_int_equal(vcpus[i].cpu_time, ran[i]);
	}
}

/* A second vCPU for the domain of v. */
static void add_to(struct vcpu *v, ns_t work, ns_t sleep)
{
	struct vcpu *second = add(256, work, sleep);

	second->domain = v->domain;
	second->id = 1;
	v->domain->vcpu[1] = second;
	v->domain->max_vcpus = 2;
}

/* What a and b ran in the next two seconds is percent of one CPU, within a fiftieth of that CPU. */
static void use(unsigned a, unsigned b, unsigned percent)
{
	ns_t used, fair = 20 * MS * percent;

	memset(ran, 0, sizeof(ran));
	run_for(2000 * MS);
	used = ran[a] + (b != a ? ran[b] : 0);
	if (used + 40 * MS < fair || used > fair + 40 * MS)
		fail_msg("ran %lu of 2000 ms, not %u percent", used / MS, percent);
}

static void caps(void **state)
{
	struct vcpu *v;

	(void)state;
	machine(1);
	v = add(256, 1, 0);
	use(0, 0, 100);
	sched_set_cap(v->domain, 30); /* nobody else wants the CPU */
	use(0, 0, 30);
	v->domain->foreground = true;
	add(256, 1, 0);
	use(0, 0, 30); /* its weight would give it four fifths */
	sched_set_cap(v->domain, 90);
	use(0, 0, 80);
	sched_set_cap(v->domain, 5);
	use(0, 0, 5);
	sched_set_cap(v->domain, 0);
	use(0, 0, 80);
	assert_false(timer_armed(&v->domain->cap_timer));
}

/* All vCPUs of a domain share its cap. One that sleeps most of the time stays below it, and asks for no timer once it is idle. */
static void cap_of_several(void **state)
{
	struct vcpu *v;

	(void)state;
	machine(3);
	v = add(256, 1, 0);
	add_to(v, 1, 0);
	sched_set_cap(v->domain, 120);
	use(0, 1, 120);
	sched_set_cap(v->domain, 20);
	use(0, 1, 20);
	v = add(256, 1 * MS, 399 * MS);
	add_to(v, 30 * MS, 270 * MS);
	sched_set_cap(v->domain, 50);
	use(2, 3, 10);
	sched_stop(&vcpus[2], VCPU_SHUTDOWN);
	sched_stop(&vcpus[3], VCPU_SHUTDOWN);
	run_for(300 * MS);
	assert_false(timer_armed(&v->domain->cap_timer));
	use(0, 1, 20);
}

static void removal(void **state)
{
	struct vcpu *v;

	(void)state;
	machine(1);
	v = add(256, 1, 0);
	add(256, 1, 0);
	run_for(30 * MS);
	sched_stop(v, VCPU_DYING);
	run_for(2 * MS);
	sched_remove_vcpu(v);
	assert_null(loaded[0] == v ? v : NULL);
	run_for(30 * MS);
	assert_true(ran[1] > 40 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(weights, setup),	      cmocka_unit_test_setup(foreground, setup),
		cmocka_unit_test_setup(wake_up, setup),	      cmocka_unit_test_setup(no_starvation, setup),
		cmocka_unit_test_setup(long_sleep, setup),    cmocka_unit_test_setup(several_cpus, setup),
		cmocka_unit_test_setup(affinity, setup),      cmocka_unit_test_setup(moved, setup),
		cmocka_unit_test_setup(anything, setup),      cmocka_unit_test_setup(removal, setup),
		cmocka_unit_test_setup(caps, setup),	      cmocka_unit_test_setup(cap_of_several, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
