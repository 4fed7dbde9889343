// SPDX-License-Identifier: Apache-2.0
/* What needs several values: pairs, sums, duplicates. Every value is fit by itself already. */
#include "schema.h"

#include <string.h>

/* Where a check failed and why. */
typedef struct {
	char **group;
	const char **key;
	GError **error;
} Where;

G_GNUC_PRINTF(5, 6)
static gboolean refuse(Where *where, const char *kind, const char *name, const char *key, const char *format, ...)
{
	va_list args;

	*where->group = name ? g_strdup_printf("%s %s", kind, name) : g_strdup(kind);
	*where->key = key;
	va_start(args, format);
	g_propagate_error(where->error, g_error_new_valist(VMFILE_ERROR, VMFILE_ERROR_INVALID, format, args));
	va_end(args);
	return FALSE;
}

static gboolean check_machine(const VmFile *file, Where *where)
{
	if (file->memory_min > file->memory_max)
		return refuse(where, "machine", NULL, "memory-min", "is more than memory-max");
	if (!file->kernel && (file->ramdisk || file->cmdline))
		return refuse(where, "machine", NULL, file->ramdisk ? "ramdisk" : "cmdline",
			"means nothing without kernel: without one the VM boots from its first disk");
	if (file->cap > 100 * file->vcpus)
		return refuse(where, "policy", NULL, "cap", "is more than its %u vCPUs can use: 100 for each", file->vcpus);
	if (file->template && file->autostart)
		return refuse(where, "policy", NULL, "autostart", "is not for a template, which never runs");
	return TRUE;
}

static gboolean check_disk(const VmFile *file, const VmDisk *disk, Where *where)
{
	if (!disk->file)
		return refuse(where, "disk", disk->name, NULL, "has no file; set file first, or take the group away");
	if (disk->format == DISK_BLOCK && !g_str_has_prefix(disk->file, "/dev/"))
		return refuse(where, "disk", disk->name, "file", "is not below /dev, as format=block needs");
	if (disk->format != DISK_BLOCK && g_str_has_prefix(disk->file, "/dev/"))
		return refuse(where, "disk", disk->name, "format", "must be block for what is below /dev");
	if (disk->format != DISK_QCOW2 && disk->track_changes)
		return refuse(where, "disk", disk->name, "track-changes", "needs format=qcow2");
	if (file->encrypted && !disk->readonly && disk->file[0] == '/')
		return refuse(where, "disk", disk->name, "file",
			"is outside the VM's own directory, where encrypted=true does not reach; make it relative or readonly");
	return TRUE;
}

static gboolean check_disks(const VmFile *file, Where *where)
{
	for (guint i = 0; i < file->disks->len; i++) {
		const VmDisk *disk = file->disks->pdata[i];

		if (!check_disk(file, disk, where))
			return FALSE;
		for (guint k = 0; k < i; k++) {
			const VmDisk *other = file->disks->pdata[k];

			if (g_str_equal(disk->file, other->file) && !(disk->readonly && other->readonly))
				return refuse(where, "disk", disk->name, "file", "is %s's as well; two disks may share one only if both "
					"are readonly", other->name);
		}
	}
	return TRUE;
}

static gboolean check_interfaces(const VmFile *file, Where *where)
{
	for (guint i = 0; i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];

		if (interface->mode == NET_SHARED && !interface->network)
			return refuse(where, "network", interface->name, "mode", "is shared, but network names none; set network first");
		for (guint k = 0; k < i; k++) {
			const VmInterface *other = file->interfaces->pdata[k];

			if (memcmp(interface->mac, other->mac, sizeof(other->mac)) == 0)
				return refuse(where, "network", interface->name, "mac", "is %s's as well", other->name);
		}
	}
	return TRUE;
}

gboolean check_file(VmFile *file, char **group, const char **key, GError **error)
{
	Where where = { group, key, error };

	return check_machine(file, &where) && check_disks(file, &where) && check_interfaces(file, &where);
}
