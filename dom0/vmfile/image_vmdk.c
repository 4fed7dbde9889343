// SPDX-License-Identifier: Apache-2.0
/* VMDK headers and descriptors, as in VMware's "Virtual Disk Format 5.0". */
#include "image.h"

#include <string.h>

enum { MAX_DESCRIPTOR = 128 * SECTOR, HEADER_COMPRESSED = 1 << 16, HEADER_MARKERS = 1 << 17 };

typedef struct {
	guint64 sectors;
	char *extent; /* file of the first extent */
	char *parent;
	gboolean has_parent, encrypted;
} Descriptor;

static void descriptor_clear(Descriptor *d)
{
	g_free(d->extent);
	g_free(d->parent);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Descriptor, descriptor_clear)

/* RW 4192256 SPARSE "disk.vmdk": access, sectors, kind, file. FALSE when it is one but not right. */
static gboolean read_extent(char *line, Descriptor *d, GError **error)
{
	g_auto(GStrv) words = g_strsplit(g_strdelimit(line, "\t", ' '), " ", 4);
	const char *open = strchr(line, '"'), *close = open ? strchr(open + 1, '"') : NULL;
	guint64 sectors;

	if (!words[0] || !words[1] || !words[2] || (g_ascii_strcasecmp(words[0], "RW") && g_ascii_strcasecmp(words[0], "RDONLY")))
		return TRUE;
	if (!g_ascii_string_to_unsigned(words[1], 10, 1, IMAGE_MAX_SIZE / SECTOR, &sectors, NULL) ||
	    (g_ascii_strcasecmp(words[2], "ZERO") != 0 && !close))
		return image_refuse(error, "the VMDK descriptor has an extent that makes no sense");
	d->sectors += sectors;
	if (!d->extent && close)
		d->extent = image_name(open + 1, (gsize)(close - open - 1));
	return TRUE;
}

static gboolean read_descriptor(const char *text, Descriptor *d, GError **error)
{
	g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);

	for (char **line = lines; *line; line++) {
		char *value = strchr(g_strstrip(*line), '=');

		if (value && g_ascii_strncasecmp(*line, "parentCID", 9) == 0)
			d->has_parent = g_ascii_strcasecmp(g_strstrip(value + 1), "ffffffff") != 0;
		else if (value && g_ascii_strncasecmp(*line, "encryption", 10) == 0)
			d->encrypted = TRUE;
		else if (!read_extent(*line, d, error))
			return FALSE;
		if (d->sectors > IMAGE_MAX_SIZE / SECTOR)
			return image_check_size(d->sectors * SECTOR, error);
	}
	return TRUE;
}

/* QEMU takes the first parentFileNameHint that it finds, wherever in a line: so must who wants to know what it will open. */
static void find_parent(const char *text, Descriptor *d)
{
	static const char hint[] = "parentFileNameHint";
	const char *at = strstr(text, hint), *name = at ? at + strlen(hint) : NULL;

	if (!at || d->parent)
		return;
	name += strspn(name, "= \t\"");
	d->parent = image_name(name, strcspn(name, "\"\r\n"));
}

static gboolean load_descriptor(const Image *image, guint64 at, guint64 length, Descriptor *d, GError **error)
{
	g_autofree char *text = g_malloc0(MAX_DESCRIPTOR + 1);

	if (length > MAX_DESCRIPTOR)
		return image_refuse(error, "the VMDK descriptor is larger than %d KiB", MAX_DESCRIPTOR / 1024);
	if (!image_read(image, at, text, length, "descriptor", error))
		return FALSE;
	find_parent(text, d);
	return read_descriptor(text, d, error);
}

/* What it is on top of; of images whose data is elsewhere that file. */
static char *backing_of(const Descriptor *d, gboolean elsewhere)
{
	if (d->parent && *d->parent)
		return g_strdup(d->parent);
	if (d->has_parent || d->parent)
		return g_strdup("a parent image");
	return elsewhere ? g_strdup(d->extent ? d->extent : "other files") : NULL;
}

gboolean probe_vmdk_text(const Image *image, ImageInfo *info, GError **error)
{
	g_auto(Descriptor) d = { 0 };

	info->kind = IMAGE_VMDK;
	if (!load_descriptor(image, 0, image->size, &d, error))
		return FALSE;
	info->virtual_size = d.sectors * SECTOR;
	info->encrypted = d.encrypted;
	info->backing = backing_of(&d, TRUE);
	return image_check_size(info->virtual_size, error);
}

/* The header of a stream-optimised image that was written in one go is at its end, before the end-of-stream marker. */
static gboolean check_footer(const Image *image, const guint8 *head, GError **error)
{
	guint8 footer[SECTOR];

	if (image->size < 3 * SECTOR || !image_read(image, image->size - 2 * SECTOR, footer, sizeof(footer), "footer", NULL) ||
	    memcmp(footer, "KDMV", 4) != 0)
		return image_refuse(error, "the stream-optimised VMDK image has no footer: not all of it is here");
	if (le64(footer + 12) != le64(head + 12) || le64(footer + 20) != le64(head + 20))
		return image_refuse(error, "the stream-optimised VMDK image has a footer that contradicts its header: it is damaged");
	return TRUE;
}

static gboolean check_header(const Image *image, const guint8 *head, GError **error)
{
	guint64 version = le32(head + 4), flags = le32(head + 8), capacity = le64(head + 12), grain = le64(head + 20);
	guint64 descriptor = le64(head + 28), length = le64(head + 36), directory = le64(head + 56);

	if (version < 1 || version > 3 || capacity > IMAGE_MAX_SIZE / SECTOR || grain > 1 << 20 || grain & (grain - 1) ||
	    (capacity && grain < 8) || descriptor > image->size / SECTOR || length > MAX_DESCRIPTOR / SECTOR)
		return image_refuse(error, "the VMDK image has a header that makes no sense: it is damaged");
	if (memcmp(head + 73, "\n \r\n", 4) != 0)
		return image_refuse(error, "the VMDK image was changed on its way as if it were text; copy it again in binary mode");
	if (directory == G_MAXUINT64 && flags & HEADER_COMPRESSED && flags & HEADER_MARKERS)
		return check_footer(image, head, error);
	if (directory > image->size / SECTOR)
		return image_refuse(error, "the VMDK image ends before its grain directory: it is damaged or not all of it is here");
	return TRUE;
}

/* Where QEMU looks for a parent whatever the header says of the descriptor's place. */
static void find_parent_behind_header(const Image *image, Descriptor *d)
{
	g_autofree char *text = g_malloc0(20 * SECTOR + 1);

	if (image->size > SECTOR && image_read(image, SECTOR, text, MIN(20 * SECTOR, image->size - SECTOR), "descriptor", NULL))
		find_parent(text, d);
}

gboolean probe_vmdk_sparse(const Image *image, const guint8 *head, ImageInfo *info, GError **error)
{
	guint64 capacity = le64(head + 12), descriptor = le64(head + 28), length = le64(head + 36);
	g_auto(Descriptor) d = { 0 };

	info->kind = IMAGE_VMDK;
	if (!check_header(image, head, error))
		return FALSE;
	find_parent_behind_header(image, &d);
	if (descriptor && !load_descriptor(image, descriptor * SECTOR, length * SECTOR, &d, error))
		return FALSE;
	info->virtual_size = (capacity ? capacity : d.sectors) * SECTOR;
	info->encrypted = d.encrypted;
	info->backing = backing_of(&d, capacity == 0); /* without capacity QEMU goes by the descriptor alone */
	return image_check_size(info->virtual_size, error);
}
