/* SPDX-License-Identifier: Apache-2.0 */
/* A machine in a directory, shared by the daemon under test and the test: domains, networks, volumes, what was asked of the
 * machine. Every access is under a lock, so either side may be killed at any moment.
 *
 * domains.ini: [machine] total; [N] uuid, mark, name, paused, shutdown, reason, screens, play, record, served (by the desk),
 * memory, target, weight, cap, demand, disk-bps, nice (of its disk server), kernel-nice (of the kernel's: times 100, and its disks)
 * [behaviour]: build-ms (before a new domain has memory), create-ms (after), destroy-ms, create-fails, deaf (guests answer nothing),
 * view-ms (how long a screen is waited for), stiff (guests give no memory back), crash-boot, share-ms (before a disk server has its
 * share), share-fails */
#ifndef CARREL_FAKE_H
#define CARREL_FAKE_H

#include <gio/gio.h>

typedef struct {
	char *dir;
	GKeyFile *keys;
	int lock;
} Fake;

Fake *fake_open(void); /* $CARREL_FAKE */
void fake_close(Fake *fake, gboolean changed);
guint64 fake_number(Fake *fake, const char *group, const char *key); /* 0 when absent */
guint fake_domain(Fake *fake, const char *vm); /* 0: none of that name */
guint fake_domains(Fake *fake);
char *fake_path(const char *name);
#endif
