// SPDX-License-Identifier: Apache-2.0
/* OVA packages in: read twice, first all names and the descriptor, then the disks. The file may change between, since who
 * gave it still has it open: the second time relies on nothing but the list of names to write. */
#include "ova.h"

#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

gboolean ova_refuse(GError **error, VmFileError code, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list args;

	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, VMFILE_ERROR, code, "the package %s", reason);
	return FALSE;
}

typedef struct archive Reader;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reader, archive_read_free)

/* The package's bytes, by position: the file's own belongs to who gave it. */
typedef struct {
	int fd;
	guint64 offset, size;
	ImportProgress progress;
	gpointer data;
	GCancellable *cancellable;
	guint8 block[OVA_BLOCK];
} Source;

typedef struct {
	Source *source;
	int dir;
	guint64 limit, total; /* bytes of disks */
	char *descriptor, *manifest_text;
	gsize descriptor_length, manifest_length;
	char *descriptor_name;
	GHashTable *names;    /* of all entries */
	GHashTable *manifest; /* NULL: none */
	OvfMachine *machine;
	GPtrArray *written; /* names in dir */
} Unpack;

static la_ssize_t source_read(struct archive *reader, void *data, const void **block)
{
	Source *source = data;
	ssize_t n;

	do
		n = pread(source->fd, source->block, sizeof(source->block), (off_t)source->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		archive_set_error(reader, errno, "%s", g_strerror(errno));
	*block = source->block;
	source->offset += (guint64)MAX(n, 0);
	return n;
}

static la_int64_t source_skip(struct archive *reader, void *data, la_int64_t n)
{
	Source *source = data;

	(void)reader;
	if (source->offset > source->size || (guint64)n > source->size - source->offset) /* reading will tell */
		return 0;
	source->offset += (guint64)n;
	return n;
}

static Reader *open_package(Source *source, GError **error)
{
	g_autoptr(Reader) reader = archive_read_new();

	source->offset = 0;
	archive_read_support_format_tar(reader);
	if (archive_read_open2(reader, source, NULL, source_read, source_skip, NULL) != ARCHIVE_OK) {
		ova_refuse(error, VMFILE_ERROR_INVALID, "is no OVA: %s", archive_error_string(reader));
		return NULL;
	}
	return g_steal_pointer(&reader);
}

static gboolean refuse_damage(Reader *reader, GError **error)
{
	const char *reason = archive_error_string(reader);

	return ova_refuse(error, VMFILE_ERROR_INVALID, "is no OVA, damaged or not all there: %s", reason ? reason : "cannot be read");
}

/* The entry's name, if it is a plain file in the package's one folder. */
static char *entry_name(struct archive_entry *entry, GError **error)
{
	const char *name = archive_entry_pathname(entry);
	g_autofree char *shown = NULL;

	if (!name)
		name = archive_entry_pathname_utf8(entry);
	if (name && g_str_has_prefix(name, "./"))
		name += 2;
	shown = ovf_clean_text(name, 64, FALSE);
	if (!name || !ovf_file_name_fit(name))
		ova_refuse(error, VMFILE_ERROR_INVALID, "has '%s', which is no plain file name: nothing of it is unpacked", shown ? shown : "");
	else if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFREG)
		ova_refuse(error, VMFILE_ERROR_INVALID, "has '%s', which is a link, a folder or a device: nothing of it is unpacked", shown);
	else if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0 || archive_entry_sparse_reset(entry) > 0)
		ova_refuse(error, VMFILE_ERROR_UNSUPPORTED, "has '%s' with holes; pack it without", shown);
	else
		return g_strdup(name);
	return NULL;
}

/* The next entry; FALSE without an error at the end. */
static gboolean next_entry(Unpack *u, Reader *reader, struct archive_entry **entry, char **name, GError **error)
{
	int status;

	if (g_cancellable_set_error_if_cancelled(u->source->cancellable, error))
		return FALSE;
	status = archive_read_next_header(reader, entry);
	if (status == ARCHIVE_EOF)
		return FALSE;
	if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
		return refuse_damage(reader, error);
	*name = entry_name(*entry, error);
	return *name != NULL;
}

/* The next block of the entry's data; n 0 at the end. */
static gboolean next_block(Unpack *u, Reader *reader, const void **block, gsize *n, guint64 at, GError **error)
{
	la_int64_t offset = 0;
	int status;

	if (g_cancellable_set_error_if_cancelled(u->source->cancellable, error))
		return FALSE;
	status = archive_read_data_block(reader, block, n, &offset);
	if (status == ARCHIVE_EOF)
		*n = 0;
	else if (status != ARCHIVE_OK || (guint64)offset != at)
		return refuse_damage(reader, error);
	return TRUE;
}

static gboolean read_text(Unpack *u, Reader *reader, gsize max, char **text, gsize *length, GError **error)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	const void *block;
	gsize n;

	for (;;) {
		if (!next_block(u, reader, &block, &n, bytes->len, error))
			return FALSE;
		if (n > max - bytes->len)
			return ova_refuse(error, VMFILE_ERROR_LIMIT, "has a descriptor or manifest of more than %" G_GSIZE_FORMAT " KiB",
				max / 1024);
		if (n == 0)
			break;
		g_byte_array_append(bytes, block, (guint)n);
	}
	*length = bytes->len;
	g_byte_array_append(bytes, (const guint8 *)"", 1);
	*text = (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
	return TRUE;
}

static gboolean note_entry(Unpack *u, Reader *reader, const char *name, guint64 size, GError **error)
{
	if (g_hash_table_size(u->names) >= OVF_MAX_FILES)
		return ova_refuse(error, VMFILE_ERROR_LIMIT, "has more than %d files", OVF_MAX_FILES);
	if (!g_hash_table_insert(u->names, g_strdup(name), g_memdup2(&size, sizeof(size))))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has '%s' twice", name);
	if (g_str_has_suffix(name, ".ovf")) {
		if (u->descriptor)
			return ova_refuse(error, VMFILE_ERROR_INVALID, "has two descriptors");
		u->descriptor_name = g_strdup(name);
		return read_text(u, reader, OVF_MAX_TEXT, &u->descriptor, &u->descriptor_length, error);
	}
	if (g_str_has_suffix(name, ".mf")) {
		if (u->manifest_text)
			return ova_refuse(error, VMFILE_ERROR_INVALID, "has two manifests");
		return read_text(u, reader, OVA_MAX_MANIFEST, &u->manifest_text, &u->manifest_length, error);
	}
	return TRUE;
}

/* First time: what there is. */
static gboolean scan(Unpack *u, GError **error)
{
	g_autoptr(Reader) reader = open_package(u->source, error);
	g_autoptr(GError) local = NULL;
	struct archive_entry *entry;
	char *name;

	while (reader && next_entry(u, reader, &entry, &name, &local)) {
		g_autofree char *owned = name;

		if (!note_entry(u, reader, name, (guint64)archive_entry_size(entry), error))
			return FALSE;
	}
	if (local)
		g_propagate_error(error, g_steal_pointer(&local));
	else if (reader && !u->descriptor)
		ova_refuse(error, VMFILE_ERROR_INVALID, "has no descriptor (.ovf): it is no OVA");
	else
		return reader != NULL;
	return FALSE;
}

static gboolean check_descriptor(Unpack *u, GError **error)
{
	g_autoptr(GChecksum) sum = NULL;
	g_autoptr(GError) local = NULL;

	if (u->manifest_text && !(u->manifest = manifest_parse(u->manifest_text, u->manifest_length, error)))
		return FALSE;
	sum = manifest_begin(u->manifest, u->descriptor_name, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (sum)
		g_checksum_update(sum, (const guchar *)u->descriptor, (gssize)u->descriptor_length);
	if (!manifest_end(u->manifest, u->descriptor_name, sum, error))
		return FALSE;
	u->machine = ovf_parse(u->descriptor, u->descriptor_length, error);
	return u->machine != NULL;
}

static gboolean refuse_limit(const Unpack *u, GError **error)
{
	g_autofree char *limit = g_format_size(u->limit);

	return ova_refuse(error, VMFILE_ERROR_LIMIT, "has more than %s of disks, which is all that there is room for", limit);
}

static gboolean check_disks(Unpack *u, GError **error)
{
	guint64 room = u->limit;

	for (guint i = 0; i < u->machine->disks->len; i++) {
		const char *href = ((OvfDisk *)u->machine->disks->pdata[i])->href;
		const guint64 *size = g_hash_table_lookup(u->names, href);

		if (!size)
			return ova_refuse(error, VMFILE_ERROR_INVALID, "lacks the disk '%s'", href);
		if (*size > room)
			return refuse_limit(u, error);
		room -= *size;
	}
	return TRUE;
}

static gboolean refuse_write(const char *name, GError **error)
{
	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "'%s' cannot be unpacked: %s", name, g_strerror(errno));
	return FALSE;
}

static gboolean write_all(int fd, const guint8 *bytes, gsize n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno != EINTR)
			return FALSE;
		bytes += MAX(done, 0);
		n -= (gsize)MAX(done, 0);
	}
	return TRUE;
}

static gboolean copy_data(Unpack *u, Reader *reader, const char *name, int fd, GChecksum *sum, guint64 size, GError **error)
{
	guint64 at = 0;
	const void *block;
	gsize n;

	for (;;) {
		if (!next_block(u, reader, &block, &n, at, error))
			return FALSE;
		if (n == 0)
			break;
		if (n > u->limit - u->total)
			return refuse_limit(u, error);
		if (!write_all(fd, block, n))
			return refuse_write(name, error);
		if (sum)
			g_checksum_update(sum, block, (gssize)n);
		at += n;
		u->total += n;
		if (u->source->progress)
			u->source->progress((double)u->source->offset / (double)MAX(u->source->size, u->source->offset), u->source->data);
	}
	if (at != size)
		return refuse_damage(reader, error);
	return fsync(fd) == 0 || refuse_write(name, error);
}

static const char *format_name(ImageKind kind)
{
	for (gsize i = 0; i < G_N_ELEMENTS(ovf_formats); i++)
		if (ovf_formats[i].kind == kind)
			return ovf_formats[i].name;
	g_return_val_if_reached("raw");
}

/* What the disk is by its own header; it must not want files that the package cannot have. */
static gboolean check_image(OvfDisk *disk, int fd, GError **error)
{
	const char *format;
	ImageInfo info;
	gboolean good;

	if (!image_probe(fd, &info, error)) {
		g_prefix_error(error, "'%s': ", disk->href);
		return FALSE;
	}
	format = format_name(info.kind);
	if (info.backing)
		good = ova_refuse(error, VMFILE_ERROR_INVALID, "has the disk '%s', which needs another file, '%s'; export it without "
			"snapshots, in one piece", disk->href, info.backing);
	else if (disk->format && !g_str_equal(disk->format, format))
		good = ova_refuse(error, VMFILE_ERROR_INVALID, "says that '%s' is %s, but it is %s", disk->href, disk->format, format);
	else
		good = TRUE;
	g_free(disk->format);
	disk->format = g_strdup(format);
	disk->capacity = info.virtual_size;
	image_info_clear(&info);
	return good;
}

static gboolean extract(Unpack *u, Reader *reader, OvfDisk *disk, guint64 size, GError **error)
{
	g_autoptr(GChecksum) sum = NULL;
	g_autoptr(GError) local = NULL;
	g_autofd int fd = -1;

	sum = manifest_begin(u->manifest, disk->href, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	fd = openat(u->dir, disk->href, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse_write(disk->href, error);
	g_ptr_array_add(u->written, g_strdup(disk->href));
	return copy_data(u, reader, disk->href, fd, sum, size, error) && manifest_end(u->manifest, disk->href, sum, error) &&
		check_image(disk, fd, error);
}

static OvfDisk *find_disk(const Unpack *u, const char *href)
{
	for (guint i = 0; i < u->machine->disks->len; i++) {
		OvfDisk *disk = u->machine->disks->pdata[i];

		if (g_str_equal(disk->href, href))
			return disk;
	}
	return NULL;
}

/* Second time: the disks. */
static gboolean extract_all(Unpack *u, GError **error)
{
	g_autoptr(Reader) reader = open_package(u->source, error);
	g_autoptr(GError) local = NULL;
	struct archive_entry *entry;
	char *name;

	while (reader && next_entry(u, reader, &entry, &name, &local)) {
		g_autofree char *owned = name;
		OvfDisk *disk = find_disk(u, name);

		if (disk && !extract(u, reader, disk, (guint64)archive_entry_size(entry), error))
			return FALSE;
	}
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (reader && u->written->len != u->machine->disks->len)
		return ova_refuse(error, VMFILE_ERROR_INVALID, "changed while it was read");
	return reader && (fsync(u->dir) == 0 || refuse_write(".", error));
}

static int open_folder(const char *dir, GError **error)
{
	g_autoptr(GDir) listing = NULL;
	int fd;

	if ((mkdir(dir, 0700) < 0 && errno != EEXIST) || (fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "%s: cannot be made: %s", dir, g_strerror(errno));
		return -1;
	}
	listing = g_dir_open(dir, 0, NULL);
	if (listing && !g_dir_read_name(listing))
		return fd;
	close(fd);
	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "%s: is not empty", dir);
	return -1;
}

static gboolean open_source(Source *source, GError **error)
{
	struct stat st;

	if (fstat(source->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "is not a regular file: save it to one first");
	source->size = (guint64)st.st_size;
	return TRUE;
}

static void unpack_clear(Unpack *u)
{
	close(u->dir);
	g_free(u->descriptor);
	g_free(u->descriptor_name);
	g_free(u->manifest_text);
	g_hash_table_unref(u->names);
	g_clear_pointer(&u->manifest, g_hash_table_unref);
	ovf_free(u->machine);
	g_ptr_array_unref(u->written);
}

gboolean ova_unpack(int fd, const char *dir, guint64 limit, OvfMachine **machine, ImportProgress progress, gpointer data,
	GCancellable *cancellable, GError **error)
{
	g_autofree Source *source = g_new0(Source, 1);
	Unpack u = { .source = source, .limit = limit };
	gboolean good;

	source->fd = fd;
	source->progress = progress;
	source->data = data;
	source->cancellable = cancellable;
	if (!open_source(source, error) || (u.dir = open_folder(dir, error)) < 0)
		return FALSE;
	u.names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	u.written = g_ptr_array_new_with_free_func(g_free);
	good = scan(&u, error) && check_descriptor(&u, error) && check_disks(&u, error) && extract_all(&u, error);
	if (good)
		*machine = g_steal_pointer(&u.machine);
	for (guint i = 0; !good && i < u.written->len; i++)
		unlinkat(u.dir, u.written->pdata[i], 0);
	unpack_clear(&u);
	return good;
}
