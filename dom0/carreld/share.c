/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#define BACKGROUND_PART 5   /* all VMs in the background together have one fifth of the disk and of the network */

static guint64 tighter(guint64 a, guint64 b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

static guint64 part_of(guint64 whole, gsize n, guint64 floor)
{
	return whole ? MAX(whole / BACKGROUND_PART / n, floor) : 0;
}

void share(const ShareVm *vms, gsize n, const ShareMachine *machine, Share *shares)
{
	gsize background = 0;

	for (gsize i = 0; i < n; i++)
		background += !vms[i].foreground;
	for (gsize i = 0; i < n; i++) {
		const ShareVm *vm = &vms[i];

		shares[i] = (Share){ .weight = MIN(vm->weight, SHARE_WEIGHT_MAX - 1), .net_in = vm->limit_in, .net_out = vm->limit_out };
		if (background == n)
			continue;
		if (vm->foreground) {
			shares[i].weight = SHARE_WEIGHT_MAX;
			continue;
		}
		shares[i].nice = SHARE_BACKGROUND_NICE;
		shares[i].disk_bps = part_of(machine->disk_bps, background, SHARE_DISK_FLOOR);
		shares[i].disk_iops = part_of(machine->disk_iops, background, SHARE_IOPS_FLOOR);
		shares[i].net_in = tighter(vm->limit_in, part_of(machine->net_bps, background, SHARE_NET_FLOOR));
		shares[i].net_out = tighter(vm->limit_out, part_of(machine->net_bps, background, SHARE_NET_FLOOR));
	}
}
