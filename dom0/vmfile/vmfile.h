/* SPDX-License-Identifier: Apache-2.0 */
/* VM files: a GKeyFile a VM, checked against a schema; docs/vm-file.md is its reference. Unknown groups and keys are kept
 * as they are, with their comments. */
#ifndef CARREL_VMFILE_H
#define CARREL_VMFILE_H

#include <gio/gio.h>

#define VMFILE_ERROR (vmfile_error_quark())
GQuark vmfile_error_quark(void);
typedef enum { VMFILE_ERROR_INVALID, VMFILE_ERROR_IO, VMFILE_ERROR_UNSUPPORTED, VMFILE_ERROR_LIMIT } VmFileError;

enum { VM_MAX_DISKS = 26, VM_MAX_INTERFACES = 16, VM_MAX_VCPUS = 128, VM_MAX_SCREENS = 4 };

typedef enum { DISK_RAW, DISK_QCOW2, DISK_BLOCK } DiskFormat; /* a raw file, a qcow2 file, a block device (LVM, partition) */
typedef enum { NET_NAT, NET_SHARED, NET_NONE } NetMode;       /* outside by NAT; a named shared network; a dead wire */
typedef enum { CRASH_OFF, CRASH_RESTART, CRASH_PRESERVE } CrashAction;

typedef struct {
	char *name; /* as the guest sees it: xvda … xvdz */
	char *file; /* absolute, or relative to the VM's own directory */
	DiskFormat format;
	gboolean readonly, track_changes, discard;
} VmDisk;

typedef struct {
	char *name; /* eth0 … eth15, in the guest's order */
	NetMode mode;
	char *network;              /* of NET_SHARED, else NULL */
	guint8 mac[6];              /* made from UUID and name when the file has none: the same each time, never all zero */
	guint64 limit_in, limit_out; /* bits a second as the guest sees them, 0: none */
} VmInterface;

/* Everything that the schema knows of a VM, with defaults filled in. */
typedef struct {
	char *title, *description;     /* "" when the file has none: the VM's name stands for the title */
	char *uuid, *colour;           /* lower case; #rrggbb */
	gboolean autostart, template, encrypted;
	guint start_order;             /* lower starts first, stops last */
	char *kernel, *ramdisk, *cmdline; /* kernel NULL: boot from the first disk; paths as VmDisk.file */
	guint vcpus, weight, cap;      /* cap: percent of one CPU, 0: none */
	guint64 memory_min, memory_max; /* bytes */
	guint screens;                  /* of the desk; 0: none, and no keyboard or pointer either */
	gboolean play, record;          /* sound: a guest may be heard, may hear */
	CrashAction on_crash;
	guint shutdown_timeout; /* seconds */
	GPtrArray *disks;       /* VmDisk, in order of name */
	GPtrArray *interfaces;  /* VmInterface */
	GStrv devices;          /* devices it may own, as usb: or pci: names, never NULL; kept for later rooms */
	gboolean fresh_uuid;    /* the file had none: this one is in keys, so save it, or put the VM's old one back */
	GStrv unknown;          /* "FILE:LINE: [group] key: not known, kept" for whom it may concern; never NULL */
	GKeyFile *keys;         /* the whole file, what we do not know included */
} VmFile;

/* Names of VMs: 1 to 48 of [a-z0-9-], not starting or ending with '-'. */
gboolean vmfile_name_valid(const char *name, GError **error);
/* Parses text; every error says "FILE:LINE: [group] key: reason". label: what to call the file. */
VmFile *vmfile_parse(const char *label, const char *text, gsize length, GError **error);
VmFile *vmfile_load(const char *path, GError **error);
/* A file with defaults for a VM of that name: fresh UUID, a colour made from the name, eth0 by NAT, no disk. */
VmFile *vmfile_new(const char *name);
/* Sets one key to a plain, unescaped value (NULL or "": removes it; key NULL or "" as well: removes the whole group, say
 * "disk xvdb") and checks the whole again; on error nothing changed. Keys must be in the schema or start with "x-". Errors
 * say "[group] key: reason". Pointers into file's records are stale afterwards. */
gboolean vmfile_set(VmFile *file, const char *group, const char *key, const char *value, GError **error);
char *vmfile_to_text(const VmFile *file);
/* Writes beside path, fsyncs file and directory, renames: after a power cut the old text or the new. Mode 0600. */
gboolean vmfile_save(const VmFile *file, const char *path, GError **error);
VmFile *vmfile_copy(const VmFile *file);
void vmfile_free(VmFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmFile, vmfile_free)

/* 512M, 20G (powers of 1024) or plain bytes, and back in the largest unit that divides it. */
gboolean vmfile_size_parse(const char *text, guint64 *bytes, GError **error);
char *vmfile_size_format(guint64 bytes);
/* 52:54:00:12:34:56 */
char *vmfile_mac_format(const guint8 mac[6]);

/* Image headers, read from the first and last sectors without any other program: raw, qcow2, vhd (fixed, dynamic), vmdk
 * (monolithic sparse, stream-optimised, flat descriptor). */
typedef enum { IMAGE_RAW, IMAGE_QCOW2, IMAGE_VHD, IMAGE_VMDK } ImageKind;
typedef struct {
	ImageKind kind;
	guint64 virtual_size; /* bytes */
	gboolean encrypted;
	char *backing; /* what it wants to be on top of, else NULL: an import refuses one */
} ImageInfo;
gboolean image_probe(int fd, ImageInfo *info, GError **error);
void image_info_clear(ImageInfo *info);

/* An OVF descriptor as far as we use it. */
typedef struct {
	char *name;       /* its id in the descriptor */
	char *href;       /* file name: one plain part, not starting with '.', no two alike */
	char *format;     /* "vmdk", "vhd", "qcow2", "raw"; NULL when ovf_parse cannot tell, never so after ova_unpack */
	guint64 capacity; /* bytes */
} OvfDisk;
typedef struct {
	char *title, *description; /* fit for a VM file; NULL: none */
	guint vcpus;
	guint64 memory; /* bytes, whole MiB */
	guint interfaces;
	GPtrArray *disks; /* OvfDisk, in the order in which the machine has them */
} OvfMachine;
OvfMachine *ovf_new(void);
/* Adds a disk; format as in OvfDisk. */
void ovf_add_disk(OvfMachine *machine, const char *name, const char *href, const char *format, guint64 capacity);
OvfMachine *ovf_parse(const char *text, gsize length, GError **error);
/* The descriptor's text. hrefs, sizes: file name and bytes of each disk's file; hrefs NULL: the machine's own. */
char *ovf_write(const OvfMachine *machine, const char *const *hrefs, const guint64 *sizes);
void ovf_free(OvfMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OvfMachine, ovf_free)

typedef void (*ImportProgress)(double fraction, gpointer data); /* from the calling thread */
/* Unpacks an OVA (tar; manifest digests checked where there are any) from fd, a regular file, into dir, which is made or
 * empty: descriptor parsed into *machine, disks as files named by their href. Refuses paths that climb out, links, devices,
 * what is larger than limit bytes in all, a missing disk, an image that wants other files. On error or cancel dir is there
 * and empty. */
gboolean ova_unpack(int fd, const char *dir, guint64 limit, OvfMachine **machine, ImportProgress progress, gpointer data,
	GCancellable *cancellable, GError **error);
/* Writes an OVA to fd, a regular file that loses what it had, from the machine and the files of its disks (stream-optimised
 * VMDK or qcow2), in the package under their href, with a SHA-256 manifest. On error or cancel the file is empty. */
gboolean ova_pack(int fd, const OvfMachine *machine, const char *const *files, ImportProgress progress, gpointer data,
	GCancellable *cancellable, GError **error);
#endif
