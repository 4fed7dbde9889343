/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: reading at a place of an image, and what stands there. */
#ifndef CARREL_VMFILE_IMAGE_H
#define CARREL_VMFILE_IMAGE_H

#include "vmfile.h"

enum { SECTOR = 512 };
#define IMAGE_MAX_SIZE ((guint64)64 << 40)

typedef struct {
	int fd;
	guint64 size;
} Image;

/* All of n bytes, or an error that says which part of the image lacks. */
gboolean image_read(const Image *image, guint64 offset, void *data, gsize n, const char *part, GError **error);
G_GNUC_PRINTF(2, 3) gboolean image_refuse(GError **error, const char *format, ...);
gboolean image_check_size(guint64 size, GError **error);
/* Bytes of a name in an image as text that can be shown. */
char *image_name(const void *bytes, gsize n);

guint64 be16(const guint8 *p);
guint64 be32(const guint8 *p);
guint64 be64(const guint8 *p);
guint64 le16(const guint8 *p);
guint64 le32(const guint8 *p);
guint64 le64(const guint8 *p);

/* head: the image's first sector. */
gboolean probe_vmdk_sparse(const Image *image, const guint8 *head, ImageInfo *info, GError **error);
gboolean probe_vmdk_text(const Image *image, ImageInfo *info, GError **error);

#endif
