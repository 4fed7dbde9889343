// SPDX-License-Identifier: Apache-2.0
/* Headers of disk images. Formats: qcow2 as in QEMU's docs/interop/qcow2.txt, VHD as in Microsoft's specification 1.0. */
#include "image.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

guint64 be16(const guint8 *p)
{
	return (guint64)p[0] << 8 | p[1];
}

guint64 be32(const guint8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

guint64 be64(const guint8 *p)
{
	return be32(p) << 32 | be32(p + 4);
}

guint64 le16(const guint8 *p)
{
	return (guint64)p[1] << 8 | p[0];
}

guint64 le32(const guint8 *p)
{
	return le16(p + 2) << 16 | le16(p);
}

guint64 le64(const guint8 *p)
{
	return le32(p + 4) << 32 | le32(p);
}

gboolean image_refuse(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(VMFILE_ERROR, VMFILE_ERROR_INVALID, format, args));
	va_end(args);
	return FALSE;
}

static gboolean unsupported(GError **error, const char *what)
{
	g_set_error_literal(error, VMFILE_ERROR, VMFILE_ERROR_UNSUPPORTED, what);
	return FALSE;
}

gboolean image_check_size(guint64 size, GError **error)
{
	if (size == 0)
		return image_refuse(error, "the disk image is empty");
	if (size > IMAGE_MAX_SIZE) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_LIMIT, "the disk image claims a size of %" G_GUINT64_FORMAT
			" bytes; 64 TiB is the most", size);
		return FALSE;
	}
	return TRUE;
}

gboolean image_read(const Image *image, guint64 offset, void *data, gsize n, const char *part, GError **error)
{
	if (offset > image->size || n > image->size - offset)
		return image_refuse(error, "the disk image ends before its %s: it is damaged or not all of it is here", part);
	for (gsize done = 0; done < n;) {
		ssize_t got = pread(image->fd, (guint8 *)data + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "the %s of the disk image cannot be read: %s", part,
				got ? g_strerror(errno) : "it became shorter meanwhile");
			return FALSE;
		}
		done += (gsize)got;
	}
	return TRUE;
}

char *image_name(const void *bytes, gsize n)
{
	char *name = g_utf8_make_valid(bytes, (gssize)strnlen(bytes, n));

	for (char *p = name; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return name;
}

/* The header extension that names an external data file: the image is nothing without it. */
static char *qcow2_data_file(const Image *image, guint64 header, guint64 end)
{
	for (guint64 at = header; at + 8 <= end;) {
		guint8 extension[8], name[1024];
		guint64 length;

		if (!image_read(image, at, extension, sizeof(extension), "header", NULL))
			break;
		length = be32(extension + 4);
		if (be32(extension) == 0 || length > end - at - 8)
			break;
		if (be32(extension) == 0x44415441 && length <= sizeof(name) && image_read(image, at + 8, name, length, "header", NULL))
			return image_name(name, length);
		at += 8 + (length + 7) / 8 * 8;
	}
	return g_strdup("an external data file without a name");
}

static gboolean qcow2_backing(const Image *image, const guint8 *head, guint64 cluster, ImageInfo *info, GError **error)
{
	guint64 offset = be64(head + 8), length = be32(head + 16);
	guint8 name[1023];

	if (offset == 0)
		return TRUE;
	if (length < 1 || length > sizeof(name) || offset > cluster || length > cluster - offset)
		return image_refuse(error, "the qcow2 image has a backing file name in a place where none can be");
	if (!image_read(image, offset, name, length, "backing file name", error))
		return FALSE;
	info->backing = image_name(name, length);
	return TRUE;
}

static gboolean probe_qcow2(const Image *image, const guint8 *head, ImageInfo *info, GError **error)
{
	guint64 version = be32(head + 4), bits = be32(head + 20), method = be32(head + 32);
	guint64 cluster = (guint64)1 << (bits & 31), incompatible = version == 3 ? be64(head + 72) : 0;
	guint64 header = version == 3 ? be32(head + 100) : 72;

	info->kind = IMAGE_QCOW2;
	info->virtual_size = be64(head + 24);
	info->encrypted = method != 0;
	if (version != 2 && version != 3)
		return unsupported(error, "the disk image is qcow of a version other than 2 and 3; convert it with qemu-img");
	if (bits < 9 || bits > 21 || header > cluster || (version == 3 && (header < 104 || header % 8)) || method > 2 ||
	    be64(head + 40) % cluster || be64(head + 48) % cluster)
		return image_refuse(error, "the qcow2 image has a header that makes no sense: it is damaged");
	if (incompatible & ~(guint64)0x1f)
		return unsupported(error, "the qcow2 image has features that are newer than this program");
	if (incompatible & 2)
		return image_refuse(error, "the qcow2 image is marked as corrupt; repair it with 'qemu-img check -r all'");
	if (!qcow2_backing(image, head, cluster, info, error))
		return FALSE;
	if ((incompatible & 4) && !info->backing)
		info->backing = qcow2_data_file(image, header, MIN(cluster, image->size));
	return image_check_size(info->virtual_size, error);
}

enum { VHD_FOOTER = 512, VHD_HEADER = 1024, VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

/* One's complement of the sum of all bytes but those of the sum itself. */
static gboolean vhd_sum_right(const guint8 *bytes, gsize n, gsize at)
{
	guint32 sum = 0;

	for (gsize i = 0; i < n; i++)
		sum += i - at < 4 ? 0 : bytes[i];
	return (guint32)~sum == be32(bytes + at);
}

static gboolean probe_vhd_dynamic(const Image *image, const guint8 *footer, ImageInfo *info, GError **error)
{
	guint64 at = be64(footer + 16), block, entries;
	guint8 header[VHD_HEADER];
	g_autofree char *name = NULL;

	if (!image_read(image, at, header, sizeof(header), "dynamic header", error))
		return FALSE;
	block = be32(header + 32);
	entries = be32(header + 28);
	if (memcmp(header, "cxsparse", 8) != 0 || !vhd_sum_right(header, sizeof(header), 36) || block < SECTOR || block & (block - 1) ||
	    entries * block < info->virtual_size)
		return image_refuse(error, "the VHD image has a dynamic header that makes no sense: it is damaged");
	if (be64(header + 16) > image->size || entries * 4 > image->size - be64(header + 16))
		return image_refuse(error, "the VHD image ends before its block table: it is damaged or not all of it is here");
	if (be32(footer + 60) != VHD_DIFFERENCING)
		return TRUE;
	name = g_convert((const char *)header + 64, SECTOR, "UTF-8", "UTF-16BE", NULL, NULL, NULL);
	info->backing = name ? image_name(name, strlen(name)) : g_strdup("a parent image");
	return TRUE;
}

static gboolean probe_vhd(const Image *image, const guint8 *footer, ImageInfo *info, GError **error)
{
	guint64 type = be32(footer + 60);

	info->kind = IMAGE_VHD;
	info->virtual_size = be64(footer + 48);
	if (!vhd_sum_right(footer, VHD_FOOTER, 64))
		return image_refuse(error, "the VHD image's footer has the wrong checksum: it is damaged");
	if (!image_check_size(info->virtual_size, error))
		return FALSE;
	if (type == VHD_DYNAMIC || type == VHD_DIFFERENCING)
		return probe_vhd_dynamic(image, footer, info, error);
	if (type != VHD_FIXED)
		return unsupported(error, "the VHD image is of a kind other than fixed, dynamic and differencing");
	if (info->virtual_size > image->size - VHD_FOOTER)
		return image_refuse(error, "the fixed VHD image is shorter than it says: it is damaged or not all of it is here");
	return TRUE;
}

/* What is not a disk image as it is, and what to do about it. */
static gboolean refuse_others(const guint8 *head, GError **error)
{
	static const struct { guint offset, length; const char *magic, *what; } others[] = {
		{ 0, 8, "vhdxfile", "the disk image is VHDX; convert it with 'qemu-img convert -O qcow2'" },
		{ 0x40, 4, "\x7f\x10\xda\xbe", "the disk image is VDI; convert it with 'qemu-img convert -O qcow2'" },
		{ 0, 4, "QED", "the disk image is QED; convert it with 'qemu-img convert -O qcow2'" },
		{ 0, 4, "COWD", "the disk image is VMDK as ESX writes it; export it as OVA, or convert it with qemu-img" },
		{ 0, 16, "WithoutFreeSpace", "the disk image is of Parallels; convert it with 'qemu-img convert -O qcow2'" },
		{ 0, 16, "WithouFreSpacExt", "the disk image is of Parallels; convert it with 'qemu-img convert -O qcow2'" },
		{ 0, 2, "\x1f\x8b", "the file is compressed with gzip; unpack it first" },
		{ 0, 6, "\xfd" "7zXZ", "the file is compressed with xz; unpack it first" },
		{ 0, 4, "\x28\xb5\x2f\xfd", "the file is compressed with zstd; unpack it first" },
		{ 0, 3, "BZh", "the file is compressed with bzip2; unpack it first" },
		{ 0, 4, "PK\3\4", "the file is a zip archive; unpack it first" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
		if (memcmp(head + others[i].offset, others[i].magic, others[i].length) == 0)
			return unsupported(error, others[i].what);
	return TRUE;
}

/* As QEMU sees it: comments and empty lines, then a version; or the comment that all programs write. */
static gboolean is_vmdk_text(const guint8 *head)
{
	g_autofree char *text = g_strndup((const char *)head, SECTOR);
	g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
	char **line = lines;

	if (g_ascii_strncasecmp(text, "# Disk DescriptorFile", 21) == 0)
		return TRUE;
	while (*line && (**line == '#' || !*g_strstrip(*line)))
		line++;
	return *line && g_ascii_strncasecmp(*line, "version=", 8) == 0;
}

static gboolean probe_known(const Image *image, const guint8 *head, const guint8 *tail, ImageInfo *info, GError **error)
{
	if (memcmp(head, "QFI\xfb", 4) == 0)
		return probe_qcow2(image, head, info, error);
	if (memcmp(head, "KDMV", 4) == 0)
		return probe_vmdk_sparse(image, head, info, error);
	if (is_vmdk_text(head))
		return probe_vmdk_text(image, info, error);
	if (memcmp(tail, "conectix", 8) == 0)
		return probe_vhd(image, tail, info, error);
	if (memcmp(head, "conectix", 8) == 0) /* a copy: what comes last of a dynamic image lacks */
		return image_refuse(error, "the VHD image has no footer: not all of it is here");
	if (!refuse_others(head, error))
		return FALSE;
	info->kind = IMAGE_RAW;
	info->virtual_size = image->size;
	info->encrypted = memcmp(head, "LUKS\xba\xbe", 6) == 0;
	return image_check_size(info->virtual_size, error);
}

static gboolean open_image(int fd, Image *image, GError **error)
{
	struct stat st;
	off_t end;

	image->fd = fd;
	if (fstat(fd, &st) < 0 || (end = S_ISBLK(st.st_mode) ? lseek(fd, 0, SEEK_END) : st.st_size) < 0) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "the disk image cannot be read: %s", g_strerror(errno));
		return FALSE;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return image_refuse(error, "the disk image is neither a file nor a block device");
	image->size = (guint64)end;
	return TRUE;
}

gboolean image_probe(int fd, ImageInfo *info, GError **error)
{
	guint8 head[SECTOR] = { 0 }, tail[SECTOR] = { 0 };
	Image image;

	memset(info, 0, sizeof(*info));
	if (!open_image(fd, &image, error) || !image_read(&image, 0, head, MIN(image.size, sizeof(head)), "first sector", error))
		return FALSE;
	if (image.size >= SECTOR && !image_read(&image, image.size - SECTOR, tail, sizeof(tail), "last sector", error))
		return FALSE;
	if (probe_known(&image, head, tail, info, error))
		return TRUE;
	image_info_clear(info);
	return FALSE;
}

void image_info_clear(ImageInfo *info)
{
	g_clear_pointer(&info->backing, g_free);
	memset(info, 0, sizeof(*info));
}
