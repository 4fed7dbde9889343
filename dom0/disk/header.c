/* SPDX-License-Identifier: Apache-2.0 */
/* The first sectors of an image, read here because QEMU follows what they name as soon as it opens them. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD                (64 * 1024)
#define QCOW2_MAGIC         0x514649fbu
#define QCOW2_DIRTY         1u
#define QCOW2_CORRUPT       2u
#define QCOW2_EXTERNAL_DATA 4u

static guint32 be32(const guint8 *p)
{
	guint32 v;

	memcpy(&v, p, sizeof v);
	return GUINT32_FROM_BE(v);
}

static guint64 be64(const guint8 *p)
{
	return (guint64)be32(p) << 32 | be32(p + 4);
}

void header_clear(DiskHeader *header)
{
	g_clear_pointer(&header->backing, g_free);
}

/* docs/interop/qcow2 of QEMU has the layout. */
static gboolean parse_qcow2(const guint8 *bytes, gsize length, DiskHeader *header, const char **problem)
{
	guint32 version = be32(bytes + 4), name_length = be32(bytes + 16);
	guint64 name = be64(bytes + 8);

	header->qcow2 = TRUE;
	header->size = be64(bytes + 24);
	header->encrypted = be32(bytes + 32) != 0;
	*problem = "its qcow2 header is of an unknown version";
	if (version != 2 && version != 3)
		return FALSE;
	if (version == 3) {
		guint64 incompatible = be64(bytes + 72);

		header->dirty = incompatible & QCOW2_DIRTY;
		header->corrupt = incompatible & QCOW2_CORRUPT;
		header->external_data = (incompatible & QCOW2_EXTERNAL_DATA) != 0;
	}
	*problem = "its qcow2 header has a size that no disk has";
	if (header->size > G_MAXINT64)
		return FALSE;
	*problem = "its qcow2 header names a backing file in an impossible place";
	if (name) {
		if (!name_length || name_length > 1023 || name > length || name_length > length - name)
			return FALSE;
		header->backing = g_strndup((const char *)bytes + name, name_length);
		if (!g_utf8_validate(header->backing, -1, NULL))
			return FALSE;
	}
	*problem = NULL;
	return TRUE;
}

gboolean header_parse(const guint8 *bytes, gsize length, DiskHeader *header, const char **problem)
{
	*problem = NULL;
	memset(header, 0, sizeof *header);
	if (length < 104 || be32(bytes) != QCOW2_MAGIC)
		return TRUE;
	if (!parse_qcow2(bytes, length, header, problem)) {
		header_clear(header);
		return FALSE;
	}
	return TRUE;
}

/* Reads up to length bytes at offset; a device's or a file's. Not a FIFO's: that would wait for ever. */
static gssize read_at(const char *path, off_t offset, guint8 *bytes, gsize length, guint64 *size, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	gssize n;
	off_t end;

	if (fd < 0) {
		file_error(error, path, "open", errno);
		return -1;
	}
	if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID, "%s: neither a file nor a block device", path);
		close(fd);
		return -1;
	}
	end = lseek(fd, 0, SEEK_END);
	*size = end > 0 ? (guint64)end : 0;
	if (offset < 0)
		offset += end;
	n = offset < 0 ? 0 : pread(fd, bytes, length, offset);
	if (n < 0)
		file_error(error, path, "read", errno);
	close(fd);
	return n;
}

gboolean header_read(const char *path, DiskHeader *header, GError **error)
{
	g_autofree guint8 *bytes = g_malloc(HEAD);
	const char *problem;
	guint64 size;
	gssize n = read_at(path, 0, bytes, HEAD, &size, error);

	memset(header, 0, sizeof *header);
	if (n < 0)
		return FALSE;
	if (!header_parse(bytes, (gsize)n, header, &problem)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s: %s", path, problem);
		return FALSE;
	}
	if (!header->qcow2)
		header->size = size;
	return TRUE;
}

static gboolean refuse(GError **error, const char *path, const char *reason)
{
	g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID, "%s: %s", path, reason);
	return FALSE;
}

static gboolean check_qcow2(const char *path, GError **error)
{
	DiskHeader header;
	gboolean ok = FALSE;

	if (!header_read(path, &header, error))
		return FALSE;
	if (!header.qcow2)
		refuse(error, path, "not a qcow2 image");
	else if (header.backing)
		refuse(error, path,
			"is only the difference to another image; flatten it where it comes from (qemu-img convert) and import that");
	else if (header.external_data)
		refuse(error, path,
			"keeps its data in another file; convert it to one file where it comes from (qemu-img convert)");
	else if (header.encrypted)
		refuse(error, path, "is encrypted; decrypt it where it comes from");
	else
		ok = TRUE;
	header_clear(&header);
	return ok;
}

static gboolean check_vmdk(const char *path, GError **error)
{
	guint8 bytes[64] = {0};
	guint64 size;
	gssize n = read_at(path, 0, bytes, sizeof bytes, &size, error);
	static const guint8 no_capacity[8];

	if (n < 0)
		return FALSE;
	/* A text descriptor, or a header without a capacity, makes QEMU open whatever files it lists. */
	if (memcmp(bytes, "KDMV", 4) || !memcmp(bytes + 12, no_capacity, sizeof no_capacity))
		return refuse(error, path,
			"not a VMDK image in one file; export it as 'streamOptimized' or 'monolithicSparse'");
	return TRUE;
}

static gboolean check_vpc(const char *path, GError **error)
{
	guint8 bytes[512] = {0};
	guint64 size;
	gssize n = read_at(path, -512, bytes, sizeof bytes, &size, error);

	if (n < 0)
		return FALSE;
	if (n < 512 || memcmp(bytes, "conectix", 8))
		return refuse(error, path, "not a VHD image (it has no footer: is it cut short?)");
	if (be32(bytes + 60) != 2 && be32(bytes + 60) != 3)
		return refuse(error, path, "a differencing VHD needs its parent; merge it where it comes from");
	return TRUE;
}

gboolean header_check_stranger(const char *path, const char *format, GError **error)
{
	guint8 byte;
	guint64 size;

	if (!strcmp(format, "qcow2"))
		return check_qcow2(path, error);
	if (!strcmp(format, "vmdk"))
		return check_vmdk(path, error);
	if (!strcmp(format, "vpc"))
		return check_vpc(path, error);
	return read_at(path, 0, &byte, 1, &size, error) >= 0;
}
