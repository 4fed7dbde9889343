/* SPDX-License-Identifier: Apache-2.0 */
/* VM disks: images, templates, instant clones, snapshots, changed-block tracking, encryption. Blocking calls unless they
 * take a progress callback's word for it: the daemon runs them in a worker thread. Each leaves what was there as it was when
 * it fails or is cancelled, and is safe against a power cut: what is new is written beside, synced, then renamed in. */
#ifndef CARREL_DISK_H
#define CARREL_DISK_H

#include <gio/gio.h>

#define DISK_ERROR (disk_error_quark())
GQuark disk_error_quark(void);
typedef enum {
	DISK_ERROR_INVALID, DISK_ERROR_IO, DISK_ERROR_NO_SPACE, DISK_ERROR_BUSY, DISK_ERROR_EXISTS, DISK_ERROR_NOT_FOUND,
	DISK_ERROR_UNSUPPORTED, DISK_ERROR_WRONG_KEY, DISK_ERROR_CORRUPT
} DiskErrorCode;

typedef void (*DiskProgress)(double fraction, gpointer data); /* from the calling thread */

typedef struct {
	char *format;             /* qcow2 or raw */
	guint64 size, used;       /* bytes: what the guest sees; what it takes on the host */
	char *backing;            /* absolute, or NULL */
	gboolean dirty, corrupt;  /* qcow2's own marks */
} DiskInfo;
gboolean disk_info(const char *path, DiskInfo *info, GError **error);
void disk_info_clear(DiskInfo *info);

/* New empty qcow2 image. */
gboolean disk_create(const char *path, guint64 size, GError **error);
/* New qcow2 image on top of a template's, which must not be written from then on: takes no time and no space. The template
 * file is made read-only and immutable where the file system can. */
gboolean disk_clone(const char *base, const char *path, GError **error);
/* Copies and converts (qcow2, raw, vpc, vmdk, also compressed): the way in and the way out. Refuses images that name other
 * files (backing or external data) on the way in. Cancelling kills the work and removes what was written. */
gboolean disk_convert(const char *from, const char *from_format, const char *to, const char *to_format, gboolean trusted,
	DiskProgress progress, gpointer data, GCancellable *cancellable, GError **error);
/* Removes an image; a template's protection first. */
gboolean disk_remove(const char *path, GError **error);
gboolean disk_resize(const char *path, guint64 size, GError **error); /* grows only */
/* Repairs leaks and, when asked, more; fails with CORRUPT when the image needs a person. */
gboolean disk_check(const char *path, gboolean repair, GError **error);

/* Snapshots are overlays: the live file is renamed to NAME.snap and becomes the base of a new live file, all disks of the VM
 * in one step. The list is in the directory's snapshots.ini. off: no QEMU has the disks open; else qmp is its socket. */
typedef struct {
	char *name, *description;
	gint64 when; /* µs since 1970 */
} DiskSnapshot;
void disk_snapshot_free(DiskSnapshot *snapshot);
GPtrArray *disk_snapshots(const char *dir, GError **error); /* DiskSnapshot, oldest first */
gboolean disk_snapshot(const char *dir, const char *const *disks, const char *qmp, const char *name, const char *description,
	GError **error);
gboolean disk_revert(const char *dir, const char *const *disks, const char *name, GError **error);                /* off */
gboolean disk_snapshot_delete(const char *dir, const char *const *disks, const char *qmp, const char *name,
	DiskProgress progress, gpointer data, GCancellable *cancellable, GError **error);
/* Finishes or undoes what a power cut left half done in dir; called before a VM starts and when the daemon starts. Only while
 * no QEMU has the disks: for a VM that still runs when the daemon comes back it is disk_recover_running. */
gboolean disk_recover(const char *dir, GError **error);
gboolean disk_recover_running(const char *dir, const char *qmp, GError **error);
/* Merges what deletions left behind (a running VM's newest layer always waits for this); off. Not urgent: after a VM stopped. */
gboolean disk_tidy(const char *dir, const char *const *disks, DiskProgress progress, gpointer data, GCancellable *cancellable,
	GError **error);

/* disks: names of files in dir, or their paths; qcow2 all of them: the VM file says what they are, not their first bytes,
 * which a guest may have written. Deleting takes a snapshot off the list first; from there on it cannot be cancelled any more
 * and ends as done. One job at a time works on a directory, another gets BUSY. */

/* Changed-block tracking: persistent dirty bitmaps in the qcow2 image. A mark is a bitmap's name. It stays true over
 * snapshots, their deletion, and a revert to one that is younger than the mark; disk_changed says NOT_FOUND after a revert to an
 * older one, and CORRUPT after the QEMU was killed or the power went while the VM ran: then take the whole disk, and mark
 * anew. */
typedef struct {
	guint64 offset, length; /* bytes */
} DiskExtent;
char *disk_mark(const char *path, const char *qmp, GError **error); /* new mark's name */
gboolean disk_unmark(const char *path, const char *qmp, const char *mark, GError **error);
GArray *disk_changed(const char *path, const char *qmp, const char *mark, GError **error); /* DiskExtent, in order, merged */

/* Encryption: a VM's directory is on its own LUKS2 volume (a sparse file VM.luks, ext4 inside), opened while the VM runs. The
 * key is never on disk in clear; passphrase memory is wiped after use. name: of the mapping, /dev/mapper/NAME. The file system
 * is made by the first vault_open. Opening what is open at that mountpoint and closing what is closed succeed. A wrong
 * passphrase is WRONG_KEY; a kernel without dm-crypt or loop UNSUPPORTED (vault_create and vault_change need neither). */
gboolean vault_create(const char *file, guint64 size, const char *passphrase, GError **error);
gboolean vault_open(const char *file, const char *name, const char *mountpoint, const char *passphrase, GError **error);
gboolean vault_close(const char *name, const char *mountpoint, GError **error);
/* A copy of a passphrase in memory that is never swapped out, and is wiped when freed. */
char *vault_secret(const char *passphrase);
void vault_secret_free(char *secret);
gboolean vault_change(const char *file, const char *old_passphrase, const char *new_passphrase, GError **error);

/* What a running VM's QEMU may take: its share of the disk follows the screen. 0: no limit. */
gboolean disk_throttle(const char *qmp, const char *disk, guint64 bytes_per_second, guint64 requests_per_second, GError **error);
/* What the service domain's scheduler gives the QEMU that serves a VM's disks: nice, from -20, first, to 19 (sched(7)). */
gboolean disk_rank(const char *qmp, int nice, GError **error);
/* The same for the kernel's back end, which serves so many raw files and block devices of that domain. NOT_FOUND: the guest has not
 * connected all of them yet; those that it has are ranked. */
gboolean disk_rank_kernel(guint domain, guint disks, int nice, GError **error);
/* Limits of what the kernel's back end reads a second, and the same of what it writes, for each disk of that domain; 0: none. They
 * are a control group's, GROUPS/domain-N, which its threads are moved to (cgroups(7), io.max). groups: from disk_groups().
 * back_ends: /sys/bus/xen-backend/devices. A domain that never had a limit gets no group. Those whose threads have ended go. */
gboolean disk_throttle_kernel(const char *groups, const char *back_ends, guint domain, guint64 bytes_per_second,
	guint64 requests_per_second, GError **error);
void disk_forget_groups(const char *groups);
/* The control group that systemd gave the service which the caller is the main process of, if it is the caller's to divide
 * (Delegate=io, DelegateSubgroup=daemon); NULL: none. */
char *disk_groups(void);
#endif
