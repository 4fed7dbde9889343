/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disk/disk.h"
#include "error.h"

char *files_mark(const char *state_dir, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".new", NULL);

	return g_build_filename(state_dir, "vms", file, NULL);
}

gboolean files_touch(const char *path, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean made = fd >= 0 && parent >= 0 && !fsync(fd) && !fsync(parent);
	int reason = errno;

	if (fd >= 0)
		close(fd);
	if (parent >= 0)
		close(parent);
	return made || carrel_fail(error, reason == ENOSPC ? CARREL_ERROR_NO_SPACE : CARREL_ERROR_FAILED, "cannot write %s: %s", path,
		g_strerror(reason));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	g_autoptr(GError) error = NULL;

	(void)st, (void)walk;
	if (type == FTW_DP)
		return rmdir(path) ? -1 : 0;
	if (unlink(path) == 0)
		return 0;
	/* A frozen image. */
	if (disk_remove(path, &error))
		return 0;
	errno = EPERM;
	return -1;
}

gboolean files_remove_tree(const char *dir, GError **error)
{
	if (access(dir, F_OK) && errno == ENOENT)
		return TRUE;
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0)
		return TRUE;
	return carrel_fail(error, CARREL_ERROR_FAILED, "cannot remove all of %s: %s", dir, g_strerror(errno));
}

gboolean files_copy(const char *from, const char *to, GCancellable *cancellable, GError **error)
{
	g_autoptr(GFile) source = g_file_new_for_path(from), target = g_file_new_for_path(to);

	return g_file_copy(source, target, G_FILE_COPY_NONE, cancellable, NULL, NULL, error);
}

guint64 files_free_space(const char *dir)
{
	struct statvfs fs;

	return statvfs(dir, &fs) ? 0 : (guint64)fs.f_bavail * fs.f_frsize;
}
