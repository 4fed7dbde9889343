/* SPDX-License-Identifier: Apache-2.0 */
#include "balance.h"

/* What it should have so that it is not slowed down: what it needs, and some for its page cache. */
static guint64 comfort(const BalanceVm *vm)
{
	guint64 want;

	if (!vm->demand)
		want = vm->foreground ? vm->max : vm->min + (vm->max - vm->min) / 2;
	else if (vm->foreground)
		want = vm->demand + vm->demand / 2 + 256 * MIB;
	else
		want = vm->demand + vm->demand / 4 + 64 * MIB;
	return CLAMP(want, vm->min, vm->max);
}

static guint64 deadband(const BalanceVm *vm)
{
	return MAX(16 * MIB, vm->target / 20);
}

/* Gives up to pool bytes to those of them that are below their limit, each by the same part of what it lacks. */
static guint64 share_out(BalanceVm *vms, gsize n, const guint64 *limit, gboolean foreground, guint64 pool)
{
	double lack = 0, part;
	guint64 given = 0;

	for (gsize i = 0; i < n; i++)
		if (vms[i].foreground == foreground && vms[i].result < limit[i])
			lack += limit[i] - vms[i].result;
	if (lack <= 0)
		return pool;
	part = MIN(1.0, pool / lack);
	for (gsize i = 0; i < n; i++) {
		guint64 more;

		if (vms[i].foreground != foreground || vms[i].result >= limit[i])
			continue;
		more = part >= 1.0 ? limit[i] - vms[i].result : (guint64)((limit[i] - vms[i].result) * part);
		vms[i].result += more;
		given += more;
	}
	return pool - MIN(given, pool);
}

/* Where all of it would go if nothing had a history. */
static void ideal(BalanceVm *vms, gsize n, guint64 pool)
{
	g_autofree guint64 *wanted = g_new0(guint64, n), *most = g_new0(guint64, n);

	for (gsize i = 0; i < n; i++) {
		wanted[i] = comfort(&vms[i]);
		most[i] = vms[i].max;
		vms[i].result = vms[i].min;
		pool -= MIN(pool, vms[i].min);
	}
	pool = share_out(vms, n, wanted, TRUE, pool);
	pool = share_out(vms, n, wanted, FALSE, pool);
	pool = share_out(vms, n, most, TRUE, pool);
	share_out(vms, n, most, FALSE, pool);
}

/* Small steps aren't worth a guest's time, and who was moved a moment ago is left alone unless it is in need. */
static gboolean settled(const BalanceVm *vm, double now)
{
	guint64 step = vm->result > vm->target ? vm->result - vm->target : vm->target - vm->result;
	gboolean edge = vm->result == vm->max || vm->result == vm->min;
	gboolean need = vm->result > vm->target && vm->target < comfort(vm) && vm->foreground;

	if (step < deadband(vm) && !(edge && vm->result > vm->target && step >= MIB))
		return TRUE;
	return now - vm->moved < BALANCE_HOLD && !need;
}

gboolean balance(BalanceVm *vms, gsize n, guint64 free, double now)
{
	guint64 pool, room, growth = 0;
	gboolean again = FALSE;

	room = free > BALANCE_RESERVE ? free - BALANCE_RESERVE : 0;
	pool = room;
	for (gsize i = 0; i < n; i++) {
		pool += vms[i].current;
		/* Told to grow and not there yet: that part of what is free is spoken for. */
		if (vms[i].target > vms[i].current)
			room -= MIN(room, vms[i].target - vms[i].current);
	}
	ideal(vms, n, pool);
	for (gsize i = 0; i < n; i++) {
		if (vms[i].current > vms[i].target + deadband(&vms[i]))
			again = TRUE;
		if (settled(&vms[i], now)) {
			again |= vms[i].result != vms[i].target && now - vms[i].moved < BALANCE_HOLD;
			vms[i].result = vms[i].target;
		}
		vms[i].result -= vms[i].result % MIB;
		if (vms[i].result > vms[i].target)
			growth += vms[i].result - vms[i].target;
	}
	if (growth <= room)
		return again;
	/* The one on screen first, the others by the same part of the rest. */
	for (int foreground = 1; foreground >= 0; foreground--) {
		guint64 wish = 0, granted = 0;

		for (gsize i = 0; i < n; i++)
			if (!!vms[i].foreground == foreground && vms[i].result > vms[i].target)
				wish += vms[i].result - vms[i].target;
		for (gsize i = 0; i < n; i++) {
			guint64 more;

			if (!!vms[i].foreground != foreground || vms[i].result <= vms[i].target)
				continue;
			more = (guint64)((vms[i].result - vms[i].target) * MIN(1.0, (double)room / wish));
			more -= more % MIB;
			vms[i].result = vms[i].target + more;
			granted += more;
		}
		room -= MIN(room, granted);
	}
	return TRUE;
}

guint64 balance_overhead(guint64 memory, guint vcpus)
{
	return 8 * MIB + vcpus * MIB + memory / 128;
}

/* Lowers those in the background, then the one on screen, each by the same part of what it has above its limit. */
static guint64 take(BalanceVm *vms, gsize n, gboolean to_floor, guint64 lack)
{
	for (int foreground = 0; foreground <= 1 && lack; foreground++) {
		guint64 spare = 0;
		double part;

		for (gsize i = 0; i < n; i++) {
			guint64 limit = to_floor ? vms[i].min : comfort(&vms[i]);

			if (!!vms[i].foreground == foreground && vms[i].result > limit)
				spare += vms[i].result - limit;
		}
		if (!spare)
			continue;
		part = MIN(1.0, (double)lack / spare);
		for (gsize i = 0; i < n; i++) {
			guint64 limit = to_floor ? vms[i].min : comfort(&vms[i]), less;

			if (!!vms[i].foreground != foreground || vms[i].result <= limit)
				continue;
			less = MIN((guint64)((vms[i].result - limit) * part) + MIB, vms[i].result - limit);
			vms[i].result -= less;
			lack -= MIN(lack, less);
		}
	}
	return lack;
}

guint64 balance_start(BalanceVm *vms, gsize n, guint64 free, guint64 min, guint64 max, guint vcpus, guint64 *memory)
{
	guint64 room = free > BALANCE_RESERVE ? free - BALANCE_RESERVE : 0, extra = balance_overhead(max, vcpus), lack, least, wish;

	for (gsize i = 0; i < n; i++) {
		vms[i].result = vms[i].target;
		/* Memory that a guest was told to give back and still has is on its way; what it was told to take isn't free. */
		if (vms[i].current > vms[i].target)
			room += vms[i].current - vms[i].target;
		else
			room -= MIN(room, vms[i].target - vms[i].current);
	}
	wish = max + extra;
	least = min + extra;
	lack = take(vms, n, FALSE, wish > room ? wish - room : 0);
	if (wish - lack < least)
		lack = take(vms, n, TRUE, least - (wish - lack)) + (wish - least);
	if (wish - lack < least) {
		for (gsize i = 0; i < n; i++)
			vms[i].result = vms[i].target;
		return least - (wish - lack);
	}
	*memory = wish - lack - extra;
	*memory -= *memory % MIB;
	return 0;
}
