/* SPDX-License-Identifier: Apache-2.0 */
/* The balancer against a machine that is simulated: guests with a balloon that takes its time. */
#include "balance.h"

#define GIB (1024 * MIB)

typedef struct {
	BalanceVm vms[8];
	gsize n;
	guint64 total;
	double now;
	guint moves;     /* targets changed since it was cleared */
	guint64 moved;   /* bytes */
} Sim;

static guint64 free_of(const Sim *sim)
{
	guint64 used = 0;

	for (gsize i = 0; i < sim->n; i++)
		used += sim->vms[i].current;
	g_assert_cmpuint(used, <=, sim->total);
	return sim->total - used;
}

/* Balloons move 200 MiB a second. */
static void inflate(Sim *sim, double seconds)
{
	guint64 step = (guint64)(seconds * 200) * MIB;

	sim->now += seconds;
	for (gsize i = 0; i < sim->n; i++) {
		BalanceVm *vm = &sim->vms[i];

		if (vm->current > vm->target)
			vm->current -= MIN(step, vm->current - vm->target);
		else
			vm->current += MIN(MIN(step, vm->target - vm->current), free_of(sim));
	}
}

static gboolean round_of(Sim *sim)
{
	gboolean again = balance(sim->vms, sim->n, free_of(sim), sim->now);

	for (gsize i = 0; i < sim->n; i++) {
		BalanceVm *vm = &sim->vms[i];

		g_assert_cmpuint(vm->result, >=, vm->min);
		g_assert_cmpuint(vm->result, <=, vm->max);
		if (vm->result == vm->target)
			continue;
		sim->moved += MAX(vm->result, vm->target) - MIN(vm->result, vm->target);
		sim->moves++;
		vm->target = vm->result;
		vm->moved = sim->now;
	}
	return again;
}

/* As the daemon does it: again while it asks for it. Returns the seconds it took. */
static double settle(Sim *sim)
{
	double begin = sim->now;

	for (int i = 0; i < 60; i++) {
		gboolean again = round_of(sim);
		double rest = sim->now - begin;

		inflate(sim, again ? 2 : 30);
		if (!again)
			return rest;
	}
	g_error("it never comes to rest");
}

static void add(Sim *sim, guint64 min, guint64 max, guint64 current, guint64 demand)
{
	sim->vms[sim->n++] = (BalanceVm){ .min = min, .max = max, .target = current, .current = current, .demand = demand, .moved = -1e9 };
}

static void test_foreground_first(void)
{
	Sim sim = { .total = 4 * GIB };

	add(&sim, 512 * MIB, 3 * GIB, 1536 * MIB, 2 * GIB);
	add(&sim, 512 * MIB, 3 * GIB, 2 * GIB, 2 * GIB);
	sim.vms[0].foreground = TRUE;
	g_assert_cmpfloat(settle(&sim), <, 30);
	g_assert_cmpuint(sim.vms[0].current, >=, 3 * GIB - 160 * MIB);
	g_assert_cmpuint(sim.vms[1].current, >=, 512 * MIB);
	/* The other one comes on screen. */
	sim.vms[0].foreground = FALSE;
	sim.vms[1].foreground = TRUE;
	g_assert_cmpfloat(settle(&sim), <, 40);
	g_assert_cmpuint(sim.vms[1].current, >=, 3 * GIB - 160 * MIB);
}

static void test_idle_memory_is_used(void)
{
	Sim sim = { .total = 8 * GIB };

	add(&sim, 512 * MIB, 2 * GIB, 1 * GIB, 300 * MIB);
	add(&sim, 512 * MIB, 2 * GIB, 1 * GIB, 0);
	settle(&sim);
	g_assert_cmpuint(sim.vms[0].current, ==, 2 * GIB);
	g_assert_cmpuint(sim.vms[1].current, ==, 2 * GIB);
}

/* Demand that trembles moves nothing, demand that swings moves little. */
static void test_no_thrash(void)
{
	Sim sim = { .total = 4 * GIB };
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);

	add(&sim, 256 * MIB, 3 * GIB, 1 * GIB, 1 * GIB);
	add(&sim, 256 * MIB, 3 * GIB, 1 * GIB, 1 * GIB);
	add(&sim, 256 * MIB, 3 * GIB, 1 * GIB, 1 * GIB);
	sim.vms[1].foreground = TRUE;
	settle(&sim);
	sim.moves = 0;
	for (int i = 0; i < 500; i++) {
		for (gsize vm = 0; vm < sim.n; vm++)
			sim.vms[vm].demand = GIB / 100 * g_rand_int_range(rand, 98, 103);
		round_of(&sim);
		inflate(&sim, 2);
	}
	g_assert_cmpuint(sim.moves, <, 20);
	/* Two guests in turns: each can be moved once in so many seconds and no oftener. */
	sim.moves = 0;
	for (int i = 0; i < 100; i++) {
		sim.vms[0].demand = i & 1 ? 512 * MIB : 2 * GIB;
		sim.vms[2].demand = i & 1 ? 2 * GIB : 512 * MIB;
		round_of(&sim);
		inflate(&sim, 1);
	}
	g_assert_cmpuint(sim.moves, <=, 3 * 100 / BALANCE_HOLD + 3);
}

/* Any figures: floors hold, nothing is promised twice, it comes to rest. */
static void test_random(void)
{
	for (guint32 seed = 1; seed <= 300; seed++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
		Sim sim = { .total = 16 * GIB };
		guint n = g_rand_int_range(rand, 1, 8);

		for (guint i = 0; i < n; i++) {
			guint64 min = g_rand_int_range(rand, 64, 512) * MIB, max = min + g_rand_int_range(rand, 0, 4096) * MIB;

			add(&sim, min, max, min + (max - min) / MIB / 3 * MIB, g_rand_boolean(rand) ? g_rand_int_range(rand, 1, 8192) * MIB : 0);
		}
		if (g_rand_boolean(rand))
			sim.vms[g_rand_int_range(rand, 0, n)].foreground = TRUE;
		if (sim.total - free_of(&sim) + BALANCE_RESERVE > sim.total)
			continue;
		settle(&sim);
		g_assert_cmpuint(free_of(&sim), >=, BALANCE_RESERVE);
	}
}

/* A guest without a balloon driver: the balance gives up on it, and the others get no memory that is not there. */
static void test_stiff(void)
{
	Sim sim = { .total = 3 * GIB };

	add(&sim, 256 * MIB, 2 * GIB, 2 * GIB, 256 * MIB);
	add(&sim, 256 * MIB, 2 * GIB, 512 * MIB, 2 * GIB);
	sim.vms[1].foreground = TRUE;
	for (int i = 0; i < 20; i++) {
		round_of(&sim);
		sim.now += 2;
		/* Only the second one follows. */
		sim.vms[1].current = MIN(sim.vms[1].target, sim.vms[1].current + free_of(&sim));
		g_assert_cmpuint(free_of(&sim), >=, BALANCE_RESERVE);
	}
}

static void test_start_fits(void)
{
	Sim sim = { .total = 4 * GIB };
	guint64 memory = 0;

	add(&sim, 512 * MIB, 2 * GIB, 2 * GIB, 700 * MIB);
	g_assert_cmpuint(balance_start(sim.vms, 1, free_of(&sim), 256 * MIB, 1 * GIB, 2, &memory), ==, 0);
	g_assert_cmpuint(memory, ==, 1 * GIB);
	g_assert_cmpuint(sim.vms[0].result, ==, 2 * GIB);
}

static void test_start_reclaims(void)
{
	Sim sim = { .total = 4 * GIB };
	guint64 memory = 0;

	add(&sim, 512 * MIB, 3 * GIB, 3 * GIB, 700 * MIB);
	g_assert_cmpuint(balance_start(sim.vms, 1, free_of(&sim), 512 * MIB, 2 * GIB, 2, &memory), ==, 0);
	g_assert_cmpuint(memory, ==, 2 * GIB);
	/* Not more than was needed, not below its comfort. */
	g_assert_cmpuint(sim.vms[0].result, <, 2 * GIB);
	g_assert_cmpuint(sim.vms[0].result, >=, 700 * MIB);
	g_assert_cmpuint(sim.vms[0].result + memory + balance_overhead(2 * GIB, 2) + BALANCE_RESERVE, <=, sim.total);
}

/* It gets less than it would like rather than that another one loses what it needs. */
static void test_start_smaller(void)
{
	Sim sim = { .total = 4 * GIB };
	guint64 memory = 0;

	add(&sim, 512 * MIB, 3 * GIB, 3 * GIB, 2 * GIB);
	g_assert_cmpuint(balance_start(sim.vms, 1, free_of(&sim), 512 * MIB, 2 * GIB, 2, &memory), ==, 0);
	g_assert_cmpuint(memory, >=, 512 * MIB);
	g_assert_cmpuint(memory, <, 2 * GIB);
	g_assert_cmpuint(sim.vms[0].result, >=, 2 * GIB);
}

static void test_start_squeezes(void)
{
	Sim sim = { .total = 4 * GIB };
	guint64 memory = 0;

	add(&sim, 512 * MIB, 3 * GIB, 3 * GIB, 3 * GIB);
	g_assert_cmpuint(balance_start(sim.vms, 1, free_of(&sim), 2 * GIB, 3 * GIB, 2, &memory), ==, 0);
	g_assert_cmpuint(memory, ==, 2 * GIB);
	g_assert_cmpuint(sim.vms[0].result, >=, 512 * MIB);
}

static void test_start_refused(void)
{
	Sim sim = { .total = 4 * GIB };
	guint64 memory = 42, missing;

	add(&sim, 2 * GIB, 3 * GIB, 3 * GIB, 0);
	missing = balance_start(sim.vms, 1, free_of(&sim), 2 * GIB, 3 * GIB, 2, &memory);
	g_assert_cmpuint(missing, ==, balance_overhead(3 * GIB, 2) + BALANCE_RESERVE);
	g_assert_cmpuint(memory, ==, 42);
	g_assert_cmpuint(sim.vms[0].result, ==, sim.vms[0].target);
}

/* Whatever it says yes to fits when the others have given what they were told to. */
static void test_start_random(void)
{
	for (guint32 seed = 1; seed <= 500; seed++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
		Sim sim = { .total = 8 * GIB };
		guint n = g_rand_int_range(rand, 0, 6);
		guint64 min = g_rand_int_range(rand, 64, 2048) * MIB, max = min + g_rand_int_range(rand, 0, 2048) * MIB, memory = 0, sum = 0;

		for (guint i = 0; i < n; i++) {
			guint64 least = g_rand_int_range(rand, 64, 512) * MIB, most = least + g_rand_int_range(rand, 0, 800) * MIB;

			add(&sim, least, most, most, g_rand_int_range(rand, 0, 2000) * MIB);
		}
		if (balance_start(sim.vms, n, free_of(&sim), min, max, 2, &memory))
			continue;
		g_assert_cmpuint(memory, >=, min);
		g_assert_cmpuint(memory, <=, max);
		for (guint i = 0; i < n; i++) {
			g_assert_cmpuint(sim.vms[i].result, >=, sim.vms[i].min);
			sum += sim.vms[i].result;
		}
		g_assert_cmpuint(sum + memory + balance_overhead(max, 2) + BALANCE_RESERVE, <=, sim.total);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/balance/foreground-first", test_foreground_first);
	g_test_add_func("/balance/idle-memory-is-used", test_idle_memory_is_used);
	g_test_add_func("/balance/no-thrash", test_no_thrash);
	g_test_add_func("/balance/random", test_random);
	g_test_add_func("/balance/stiff", test_stiff);
	g_test_add_func("/balance/start-fits", test_start_fits);
	g_test_add_func("/balance/start-reclaims", test_start_reclaims);
	g_test_add_func("/balance/start-smaller", test_start_smaller);
	g_test_add_func("/balance/start-squeezes", test_start_squeezes);
	g_test_add_func("/balance/start-refused", test_start_refused);
	g_test_add_func("/balance/start-random", test_start_random);
	return g_test_run();
}
