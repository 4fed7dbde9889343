/* SPDX-License-Identifier: Apache-2.0 */
/* Who is served first: CPU weights, disk and network limits from which VM is on screen. Pure. */
#ifndef CARREL_SHARE_H
#define CARREL_SHARE_H

#include <glib.h>

/* The core takes this weight for the word "on screen": four times the usual share, and first in line when it wakes
 * (WEIGHT_FOREGROUND in hv/include/domain.h). */
#define SHARE_WEIGHT_MAX 65535
#define SHARE_DISK_FLOOR (8 * 1024 * 1024ull) /* bytes a second that a VM in the background always has */
#define SHARE_IOPS_FLOOR 200
#define SHARE_BACKGROUND_NICE 13 /* a twentieth of what the back end of the VM on screen gets while both want all (sched(7)) */
#define SHARE_NET_FLOOR (2 * 1000 * 1000ull)  /* bits a second */

/* What the machine can do, 0: not known, so not shared out. */
typedef struct {
	guint64 disk_bps; /* bytes a second */
	guint64 disk_iops;
	guint64 net_bps;  /* bits a second */
} ShareMachine;

typedef struct {
	guint weight; /* of its file, 1 to 65535 */
	guint64 limit_in, limit_out; /* of its file, bits a second, 0: none */
	gboolean foreground;
} ShareVm;

typedef struct {
	guint weight;
	gint nice;                   /* of the QEMU that serves its disks */
	guint64 disk_bps, disk_iops; /* 0: no limit */
	guint64 net_in, net_out;     /* bits a second, 0: no limit */
} Share;

/* shares[i] is of vms[i]. Nothing on screen: all alike, as their files say. */
void share(const ShareVm *vms, gsize n, const ShareMachine *machine, Share *shares);
#endif
