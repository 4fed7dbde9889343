// SPDX-License-Identifier: Apache-2.0
/* OVA packages out: descriptor, disks, manifest, in the one order (DSP0243 5.3) that needs each disk to be read only once. */
#include "ova.h"

#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTOR "machine.ovf"
#define MANIFEST   "machine.mf"

typedef struct archive Writer;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Writer, archive_write_free)

typedef struct {
	Writer *writer;
	GString *manifest;
	guint64 done, total; /* bytes of disks */
	ImportProgress progress;
	gpointer data;
	GCancellable *cancellable;
} Pack;

static gboolean refuse_write(Pack *p, GError **error)
{
	const char *reason = archive_error_string(p->writer);

	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "the package cannot be written: %s", reason ? reason : g_strerror(errno));
	return FALSE;
}

static gboolean refuse_file(const char *path, const char *reason, GError **error)
{
	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "%s: cannot be packed: %s", path, reason);
	return FALSE;
}

static gboolean begin_entry(Pack *p, const char *name, guint64 size, GError **error)
{
	struct archive_entry *entry = archive_entry_new();
	int status;

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_mtime(entry, (time_t)(g_get_real_time() / G_USEC_PER_SEC), 0);
	status = archive_write_header(p->writer, entry);
	archive_entry_free(entry);
	return status >= ARCHIVE_WARN || refuse_write(p, error);
}

static gboolean add_data(Pack *p, const void *data, gsize n, GError **error)
{
	return archive_write_data(p->writer, data, n) == (la_ssize_t)n || refuse_write(p, error);
}

static gboolean add_text(Pack *p, const char *name, const char *text, GError **error)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(sum, (const guchar *)text, -1);
	if (!begin_entry(p, name, strlen(text), error) || !add_data(p, text, strlen(text), error))
		return FALSE;
	if (p->manifest)
		manifest_add(p->manifest, name, sum);
	return TRUE;
}

static gboolean add_block(Pack *p, const char *path, int fd, guint8 *block, gsize n, GChecksum *sum, GError **error)
{
	ssize_t got;

	if (g_cancellable_set_error_if_cancelled(p->cancellable, error))
		return FALSE;
	do
		got = read(fd, block, n);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)n) /* regular files are read whole but at their end */
		return refuse_file(path, got < 0 ? g_strerror(errno) : "it became shorter meanwhile", error);
	g_checksum_update(sum, block, (gssize)n);
	p->done += n;
	if (p->progress)
		p->progress((double)p->done / (double)MAX(p->total, p->done), p->data);
	return add_data(p, block, n, error);
}

static gboolean add_disk(Pack *p, const char *name, const char *path, guint64 size, GError **error)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guint8 *block = g_malloc(OVA_BLOCK);
	g_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return refuse_file(path, g_strerror(errno), error);
	if (!begin_entry(p, name, size, error))
		return FALSE;
	for (guint64 left = size; left; left -= MIN(left, OVA_BLOCK))
		if (!add_block(p, path, fd, block, MIN(left, OVA_BLOCK), sum, error))
			return FALSE;
	manifest_add(p->manifest, name, sum);
	return TRUE;
}

static gboolean check_names(const OvfMachine *machine, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

	g_hash_table_add(seen, (gpointer)DESCRIPTOR);
	g_hash_table_add(seen, (gpointer)MANIFEST);
	for (guint i = 0; i < machine->disks->len; i++) {
		const OvfDisk *disk = machine->disks->pdata[i];

		if (!disk->href || !ovf_file_name_fit(disk->href) || g_str_has_suffix(disk->href, ".ovf") ||
		    g_str_has_suffix(disk->href, ".mf") || !g_hash_table_add(seen, disk->href))
			return ova_refuse(error, VMFILE_ERROR_INVALID, "cannot have a disk with the name '%s'", disk->href ? disk->href : "");
	}
	return TRUE;
}

static guint64 *measure(Pack *p, const OvfMachine *machine, const char *const *files, GError **error)
{
	g_autofree guint64 *sizes = g_new0(guint64, machine->disks->len + 1);

	for (guint i = 0; i < machine->disks->len; i++) {
		struct stat st;
		gboolean there = stat(files[i], &st) == 0;

		if (!there || !S_ISREG(st.st_mode)) {
			refuse_file(files[i], there ? "it is not a regular file" : g_strerror(errno), error);
			return NULL;
		}
		sizes[i] = (guint64)st.st_size;
		p->total += sizes[i];
	}
	return g_steal_pointer(&sizes);
}

static gboolean write_package(Pack *p, int fd, const OvfMachine *machine, const char *const *files, GError **error)
{
	g_autofree guint64 *sizes = measure(p, machine, files, error);
	g_autofree char *descriptor = NULL, *manifest = NULL;

	if (!sizes)
		return FALSE;
	archive_write_set_format_pax_restricted(p->writer); /* plain ustar as long as no file is larger than 8 GiB */
	archive_write_set_bytes_in_last_block(p->writer, 1);
	if (archive_write_open_fd(p->writer, fd) != ARCHIVE_OK)
		return refuse_write(p, error);
	descriptor = ovf_write(machine, NULL, sizes);
	if (!add_text(p, DESCRIPTOR, descriptor, error))
		return FALSE;
	for (guint i = 0; i < machine->disks->len; i++)
		if (!add_disk(p, ((OvfDisk *)machine->disks->pdata[i])->href, files[i], sizes[i], error))
			return FALSE;
	manifest = g_string_free_and_steal(g_steal_pointer(&p->manifest));
	if (!add_text(p, MANIFEST, manifest, error))
		return FALSE;
	if (archive_write_close(p->writer) != ARCHIVE_OK || fsync(fd) < 0)
		return refuse_write(p, error);
	return TRUE;
}

gboolean ova_pack(int fd, const OvfMachine *machine, const char *const *files, ImportProgress progress, gpointer data,
	GCancellable *cancellable, GError **error)
{
	g_autoptr(Writer) writer = archive_write_new();
	Pack p = { .writer = writer, .progress = progress, .data = data, .cancellable = cancellable };
	struct stat st;
	gboolean good;

	if (!check_names(machine, error))
		return FALSE;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "must go to a regular file");
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return refuse_write(&p, error);
	p.manifest = g_string_new(NULL);
	good = write_package(&p, fd, machine, files, error);
	if (p.manifest)
		g_string_free(p.manifest, TRUE);
	if (!good) {
		g_clear_pointer(&writer, archive_write_free); /* writes what it still has */
		(void)!ftruncate(fd, 0);
	}
	return good;
}
