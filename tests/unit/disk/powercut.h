/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest of powercut_scenario.c writes, and what the tests read back: record n is a run of sectors, each with n, its own
 * place and a filler made from both. The disks are one row of sectors. */
#ifndef DISK_TEST_POWERCUT_H
#define DISK_TEST_POWERCUT_H

#include <glib.h>
#include <string.h>

#define SECTOR  512
#define SECTORS 8192u /* of a disk: 4 MiB */
#define DISKS   2u
static const char *const powercut_disks[] = {"a.qcow2", "b.qcow2", NULL};

static inline void sector_fill(guint32 *words, guint32 n, guint32 sector)
{
	words[0] = n;
	words[1] = sector;
	for (guint i = 2; i < SECTOR / 4; i++)
		words[i] = (n * 2654435761u) ^ (sector * 40503u + i);
}

/* The record that the sector is of; 0: zeros; G_MAXUINT32: neither. */
static inline guint32 sector_read(const guint32 *words, guint32 sector)
{
	guint32 want[SECTOR / 4] = {0};

	if (!memcmp(words, want, SECTOR))
		return 0;
	sector_fill(want, words[0], sector);
	return memcmp(words, want, SECTOR) ? G_MAXUINT32 : words[0];
}
#endif
