// SPDX-License-Identifier: Apache-2.0
/* VM files on disk. */
#include "vmfile.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 1024 * 1024 }; /* enough for the parser to say that it is too large */

static gboolean refuse(const char *path, const char *what, GError **error)
{
	g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "%s: %s: %s", path, what, g_strerror(errno));
	return FALSE;
}

static gboolean read_all(int fd, GByteArray *bytes)
{
	while (bytes->len <= MAX_FILE) {
		guint8 block[4096];
		ssize_t n = read(fd, block, sizeof(block));

		if (n == 0)
			return TRUE;
		if (n < 0 && errno != EINTR)
			return FALSE;
		g_byte_array_append(bytes, block, n > 0 ? (guint)n : 0);
	}
	errno = EFBIG;
	return FALSE;
}

VmFile *vmfile_load(const char *path, GError **error)
{
	g_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		refuse(path, "cannot be opened", error);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_IO, "%s: is not a regular file", path);
		return NULL;
	}
	if (!read_all(fd, bytes)) {
		refuse(path, "cannot be read", error);
		return NULL;
	}
	return vmfile_parse(path, bytes->len ? (const char *)bytes->data : "", bytes->len, error);
}

static gboolean write_all(int fd, const char *text, gsize length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR)
			return FALSE;
		text += MAX(n, 0);
		length -= (gsize)MAX(n, 0);
	}
	return TRUE;
}

/* The name beside path is always the same: what a power cut left of an earlier try is overwritten, not piled up. */
static gboolean replace(int dir, const char *name, const char *text)
{
	g_autofree char *beside = g_strdup_printf(".%s.new", name);
	g_autofd int fd = -1;

	if (unlinkat(dir, beside, 0) < 0 && errno != ENOENT)
		return FALSE;
	fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return FALSE;
	if (!write_all(fd, text, strlen(text)) || fsync(fd) < 0 || renameat(dir, beside, dir, name) < 0) {
		int code = errno;

		unlinkat(dir, beside, 0);
		errno = code;
		return FALSE;
	}
	return TRUE;
}

gboolean vmfile_save(const VmFile *file, const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	g_autofree char *text = vmfile_to_text(file);
	g_autofd int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return refuse(folder, "cannot be opened", error);
	if (!replace(dir, name, text))
		return refuse(path, "cannot be written and stays as it was", error);
	return fsync(dir) == 0 || refuse(path, "is written, but may be the old one after a power cut", error);
}
