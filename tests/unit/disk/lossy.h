/* SPDX-License-Identifier: Apache-2.0 */
/* A log of all that programs did to the files below a directory, in order: what a power cut leaves of it is made from this.
 * lossy.c writes it from inside the programs (LD_PRELOAD); LOSSY_ROOT, an absolute path, is the directory, LOSSY_LOG the log. */
#ifndef DISK_TEST_LOSSY_H
#define DISK_TEST_LOSSY_H

#include <stdint.h>

enum {
	LOSSY_CREATE,   /* path, inode */
	LOSSY_WRITE,    /* inode, offset, data */
	LOSSY_ZERO,     /* inode, offset, length: reads as zeros, the size stays */
	LOSSY_TRUNCATE, /* inode, offset: the new size */
	LOSSY_SYNC,     /* inode */
	LOSSY_SYNC_DIR, /* path */
	LOSSY_RENAME,   /* path, second */
	LOSSY_LINK,     /* path, second */
	LOSSY_UNLINK,   /* path */
	LOSSY_MARK,     /* path: a word; offset and length as the word says. Of the test's own */
	LOSSY_LOST,     /* path: of a call that this log does not know. The log is worth nothing */
};

/* Followed by path, second and data, none of them ended by a zero. Paths are relative to the root. */
typedef struct {
	uint64_t inode, offset, length;
	uint32_t kind, path, second, data;
} LossyRecord;

void lossy_mark(const char *word, uint64_t offset, uint64_t length); /* does nothing without a log */
#endif
