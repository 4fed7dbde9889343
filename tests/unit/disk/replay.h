/* SPDX-License-Identifier: Apache-2.0 */
/* What a power cut leaves of what a log of lossy.c tells. Kept for sure is what was synced: a file's contents by a sync of the
 * file, names by a sync of their directory. Of the rest each write is there, is not there or is torn between sectors, in any
 * order; names change in order, as in the journal of a file system, up to any point. */
#ifndef DISK_TEST_REPLAY_H
#define DISK_TEST_REPLAY_H

#include "lossy.h"
#include <glib.h>

typedef struct {
	const LossyRecord *record;
	char *path, *second;
	const guint8 *data;
} ReplayStep;

typedef struct {
	GMappedFile *file;
	GArray *steps; /* ReplayStep */
} Replay;

Replay *replay_open(const char *log);
void replay_free(Replay *replay);
/* Makes the directories below root as they are after a cut before step cut; root's directories are there and empty.
 * keep: percent of what was not synced that is there; torn: percent of it that is torn; lying: the disk keeps no promise. */
void replay_cut(Replay *replay, const char *root, guint cut, GRand *random, guint keep, guint torn, gboolean lying);
#endif
