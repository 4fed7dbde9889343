/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets how much memory. Pure: figures in, targets out; memory.c feeds it and does what it says. */
#ifndef CARREL_BALANCE_H
#define CARREL_BALANCE_H

#include <glib.h>

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define BALANCE_RESERVE (64 * MIB) /* stays free in the core: grant tables, page tables, the next domain's own structures */
#define BALANCE_HOLD 5             /* seconds that a target stays before it may turn back */

typedef struct {
	guint64 min, max;  /* bytes; max: what it booted with */
	guint64 target;    /* what it was told last */
	guint64 current;   /* what it has */
	guint64 demand;    /* what it says it needs, 0: it doesn't say */
	gboolean foreground;
	double moved;      /* when its target moved last, seconds of any monotonic clock; very small: never */
	guint64 result;    /* out: its new target */
} BalanceVm;

/* New targets for all. free: bytes that no domain has. Grows only into what is free already; returns whether it must be asked
 * again soon because memory is still on its way. */
gboolean balance(BalanceVm *vms, gsize n, guint64 free, double now);

/* What a domain takes besides its memory. */
guint64 balance_overhead(guint64 memory, guint vcpus);

/* Room for a VM that starts: takes from the others what they don't need, then down to their floors. Sets their result and
 * *memory (min to max, a multiple of 1 MiB); when even min does not fit, changes nothing and returns how many bytes are
 * missing, else 0. */
guint64 balance_start(BalanceVm *vms, gsize n, guint64 free, guint64 min, guint64 max, guint vcpus, guint64 *memory);
#endif
