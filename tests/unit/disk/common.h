/* SPDX-License-Identifier: Apache-2.0 */
/* Images in a directory of their own, what a guest does to them, a QEMU that has them open, and a process that dies at a step. */
#ifndef DISK_TEST_COMMON_H
#define DISK_TEST_COMMON_H

#include "internal.h"

#define MIB (1024u * 1024)

char *fresh_dir(void);
void remove_dir(char *dir); /* and frees it */
char *copy_of(const char *dir); /* a fresh directory with the same in it */
gboolean listed(const char *dir, const char *name); /* whether it has a snapshot of that name */
char *in_dir(const char *dir, const char *name);
gboolean run_ok(const char *const *argv, char **output); /* both streams */
/* The guest writes or reads back a byte all over [MiB, MiB + length); path: an image at rest, or a socket and an export. */
void image_write(const char *path, guint pattern, guint mib, guint length);
gboolean image_has(const char *path, guint pattern, guint mib, guint length);
/* MiB i holds patterns[i], all of them read in one go. */
gboolean image_matches(const char *path, const guint *patterns, guint n);
gboolean guest_matches(const char *nbd, const char *disk, const guint *patterns, guint n);
void guest_write(const char *nbd, const char *disk, guint pattern, guint mib, guint length);
gboolean guest_has(const char *nbd, const char *disk, guint pattern, guint mib, guint length);
void check_images(const char *dir, const char *const *disks); /* qemu-img check: no errors in any */

/* qemu-storage-daemon in QEMU's place, the disks open as its Xen back end opens them. */
typedef struct {
	GSubprocess *process;
	char *dir, *qmp, *nbd;
} Vm;
Vm *vm_start(const char *dir, const char *const *disks);
/* A daemon has one NBD server, here the guest's way to its disk; reading marks takes it. */
void vm_export_again(Vm *vm, const char *disk, const char *path);
void vm_stop(Vm *vm); /* as the guest's shutdown does */
void vm_kill(Vm *vm); /* as a power cut does */

/* Runs this program as "--act WORD…" in a process that kills itself at its cut-th step (0: never). TRUE when it lived. */
gboolean act(guint cut, const char *const *words);
/* The same, killed from outside after so many milliseconds. */
void act_for(guint ms, const char *const *words);
/* main's first line: serves act. */
int serve_act(int argc, char **argv, gboolean (*perform)(char **words, GError **error));
gboolean is_error(GError *error, DiskErrorCode code);
#define assert_fails(call, code)                                                                                       \
	do {                                                                                                           \
		g_autoptr(GError) error = NULL;                                                                        \
		g_assert_false(call);                                                                                  \
		g_assert_error(error, DISK_ERROR, code);                                                               \
	} while (0)
#define assert_works(call)                                                                                             \
	do {                                                                                                           \
		g_autoptr(GError) error = NULL;                                                                        \
		gboolean works = (call);                                                                               \
		g_assert_no_error(error);                                                                              \
		g_assert_true(works);                                                                                  \
	} while (0)
#endif
