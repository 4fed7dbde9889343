/* SPDX-License-Identifier: Apache-2.0 */
/* Files that survive a power cut. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

G_DEFINE_QUARK(carrel - disk - error - quark, disk_error)

void (*disk_step_hook)(const char *step);

void disk_step(const char *step)
{
	if (disk_step_hook)
		disk_step_hook(step);
}

gboolean file_error(GError **error, const char *path, const char *what, int errsv)
{
	DiskErrorCode code = DISK_ERROR_IO;

	if (errsv == ENOSPC || errsv == EDQUOT)
		code = DISK_ERROR_NO_SPACE;
	else if (errsv == ENOENT)
		code = DISK_ERROR_NOT_FOUND;
	else if (errsv == EEXIST)
		code = DISK_ERROR_EXISTS;
	g_set_error(error, DISK_ERROR, code, "%s: cannot %s: %s", path, what, g_strerror(errsv));
	return FALSE;
}

/* A child of a daemon that was killed holds the lock until it is gone too: that takes a moment, not more. */
int file_lock_dir(const char *dir, GError **error)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;

	for (guint n = 0; fd >= 0 && n < 100 && (rc = flock(fd, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK; n++)
		g_usleep(20000);
	if (fd < 0) {
		file_error(error, dir, "open the VM's directory", errno);
	} else if (rc) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_BUSY,
			"%s: another job works on this VM's disks; try again when it is done", dir);
		close(fd);
		fd = -1;
	}
	return fd;
}

gboolean file_sync(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return file_error(error, path, "open", errno);
	rc = fsync(fd) ? errno : 0;
	close(fd);
	return rc ? file_error(error, path, "write to disk", rc) : TRUE;
}

gboolean file_sync_parent(const char *path, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);

	return file_sync(dir, error);
}

gboolean file_rename(const char *from, const char *to, gboolean replace, GError **error)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE))
		return file_error(error, to, "put in place", errno);
	return file_sync_parent(to, error);
}

gboolean file_link(const char *from, const char *to, GError **error)
{
	if (link(from, to))
		return file_error(error, to, "make a second name", errno);
	return file_sync_parent(to, error);
}

gboolean file_remove(const char *path, GError **error)
{
	if (unlink(path) && errno != ENOENT)
		return file_error(error, path, "remove", errno);
	return TRUE;
}

gboolean file_same(const char *a, const char *b)
{
	struct stat sa, sb;

	return !stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

gboolean file_save_keys(GKeyFile *keys, const char *path, GError **error)
{
	gsize length;
	g_autofree char *text = g_key_file_to_data(keys, &length, NULL);
	g_autoptr(GError) cause = NULL;

	if (!g_file_set_contents_full(path, text, (gssize)length,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause)) {
		g_set_error(error, DISK_ERROR,
			g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? DISK_ERROR_NO_SPACE : DISK_ERROR_IO,
			"%s", cause->message);
		return FALSE;
	}
	return file_sync_parent(path, error);
}

void file_freeze(const char *path, gboolean frozen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flags;

	if (fd < 0)
		return;
	if (frozen)
		(void)!fchmod(fd, 0444);
	/* Not every file system knows it, and it takes root: a guard, not the promise. */
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags = frozen ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
		(void)!ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	if (!frozen)
		(void)!fchmod(fd, 0600);
	close(fd);
}
