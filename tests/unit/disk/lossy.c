/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of libc's calls that change files: does them, and writes down what was done. One call at a time, in all
 * processes, so that the log's order is the order of things. */
#define _GNU_SOURCE
#include "lossy.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static size_t root_length;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void)
{
	const char *dir = getenv("LOSSY_ROOT"), *log = getenv("LOSSY_LOG");

	if (!dir || !log)
		return;
	snprintf(root, sizeof root, "%s", dir);
	root_length = strlen(root);
	log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0)
		abort();
}

static void enter(void)
{
	pthread_mutex_lock(&mutex);
	while (flock(log_fd, LOCK_EX) && errno == EINTR)
		;
}

static void leave(void)
{
	int saved = errno;

	flock(log_fd, LOCK_UN);
	pthread_mutex_unlock(&mutex);
	errno = saved;
}

static void append(LossyRecord record, const char *path, const char *second, const struct iovec *data, int n)
{
	struct iovec parts[20];
	size_t total = sizeof record;

	record.path = path ? (uint32_t)strlen(path) : 0;
	record.second = second ? (uint32_t)strlen(second) : 0;
	parts[0] = (struct iovec){&record, sizeof record};
	parts[1] = (struct iovec){(void *)path, record.path};
	parts[2] = (struct iovec){(void *)second, record.second};
	for (int i = 0; i < n; i++)
		parts[3 + i] = data[i];
	total += record.path + record.second + record.data;
	if (syscall(SYS_writev, log_fd, parts, 3 + n) != (long)total)
		abort();
}

/* Where path lies below the root; NULL: elsewhere. */
static const char *inside(int dir, const char *path, char *buffer, size_t size)
{
	char link[64], base[2048];
	ssize_t n;

	if (log_fd < 0 || !path)
		return NULL;
	if (path[0] == '/') {
		snprintf(buffer, size, "%s", path);
	} else {
		if (dir == AT_FDCWD)
			snprintf(link, sizeof link, "/proc/self/cwd");
		else
			snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
		n = readlink(link, base, sizeof base - 1);
		if (n < 0)
			return NULL;
		base[n] = 0;
		snprintf(buffer, size, "%s/%s", base, path);
	}
	if (strncmp(buffer, root, root_length) || (buffer[root_length] && buffer[root_length] != '/'))
		return NULL;
	return buffer[root_length] ? buffer + root_length + 1 : "";
}

/* Whether fd is a file (or, when so asked, a directory) below the root. */
static int ours(int fd, mode_t type, struct stat *st, char *path, size_t size)
{
	char link[64];
	ssize_t n;
	int saved = errno, yes = 0;

	if (log_fd >= 0 && !fstat(fd, st) && (st->st_mode & S_IFMT) == type) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, path, size - 1);
		if (n > 0) {
			path[n] = 0;
			yes = !strncmp(path, root, root_length) && (!path[root_length] || path[root_length] == '/');
		}
	}
	errno = saved;
	return yes;
}

static void mark(const char *word, uint64_t offset, uint64_t length)
{
	append((LossyRecord){.kind = LOSSY_MARK, .offset = offset, .length = length}, word, NULL, NULL, 0);
}

void lossy_mark(const char *word, uint64_t offset, uint64_t length)
{
	if (log_fd < 0)
		return;
	enter();
	mark(word, offset, length);
	leave();
}

static void lost(const char *call)
{
	append((LossyRecord){.kind = LOSSY_LOST}, call, NULL, NULL, 0);
}

/* -- opening ---------------------------------------------------------------------------------------------------------- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	char buffer[4096];
	const char *name = flags & (O_CREAT | O_TRUNC) ? inside(dir, path, buffer, sizeof buffer) : NULL;
	struct stat before, after;
	int was, fd;

	if (!name)
		return (int)syscall(SYS_openat, dir, path, flags, mode);
	enter();
	was = !fstatat(dir, path, &before, 0);
	fd = (int)syscall(SYS_openat, dir, path, flags, mode);
	if (fd >= 0 && !fstat(fd, &after) && S_ISREG(after.st_mode)) {
		if ((flags & O_TMPFILE) == O_TMPFILE)
			lost("O_TMPFILE");
		else if (!was)
			append((LossyRecord){.kind = LOSSY_CREATE, .inode = after.st_ino}, name, NULL, NULL, 0);
		else if (flags & O_TRUNC)
			append((LossyRecord){.kind = LOSSY_TRUNCATE, .inode = after.st_ino}, NULL, NULL, NULL, 0);
	}
	leave();
	return fd;
}

#define MODE(flags)                                                                                                    \
	({                                                                                                             \
		mode_t mode_ = 0;                                                                                      \
		if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) {                                         \
			va_list list_;                                                                                 \
			va_start(list_, flags);                                                                        \
			mode_ = va_arg(list_, mode_t);                                                                 \
			va_end(list_);                                                                                 \
		}                                                                                                      \
		mode_;                                                                                                 \
	})

int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE(flags));
}

int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, MODE(flags));
}

int openat(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags, MODE(flags));
}

int openat64(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags | O_LARGEFILE, MODE(flags));
}

int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, mode);
}

/* -- contents --------------------------------------------------------------------------------------------------------- */

/* offset -1: the file's own position. */
static ssize_t write_at(int fd, const struct iovec *parts, int n, off_t offset)
{
	struct iovec kept[17];
	struct stat st;
	char path[4096];
	ssize_t done;
	size_t left;
	int i;

	if (!ours(fd, S_IFREG, &st, path, sizeof path))
		return offset < 0 ? syscall(SYS_writev, fd, parts, n) : syscall(SYS_pwritev, fd, parts, n, offset, 0);
	enter();
	if (n > 16) /* a shorter write than asked for is allowed */
		n = 16;
	done = offset < 0 ? syscall(SYS_writev, fd, parts, n) : syscall(SYS_pwritev, fd, parts, n, offset, 0);
	if (done > 0) {
		if (offset < 0)
			offset = lseek(fd, 0, SEEK_CUR) - done;
		for (i = 0, left = (size_t)done; left; i++) {
			kept[i] = parts[i];
			if (kept[i].iov_len > left)
				kept[i].iov_len = left;
			left -= kept[i].iov_len;
		}
		append((LossyRecord){.kind = LOSSY_WRITE, .inode = st.st_ino, .offset = (uint64_t)offset,
			       .length = (uint64_t)done, .data = (uint32_t)done}, NULL, NULL, kept, i);
	}
	leave();
	return done;
}

ssize_t write(int fd, const void *data, size_t size)
{
	return write_at(fd, &(struct iovec){(void *)data, size}, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	return write_at(fd, parts, n, -1);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return write_at(fd, &(struct iovec){(void *)data, size}, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return pwrite(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
	return write_at(fd, parts, n, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset)
{
	return write_at(fd, parts, n, offset);
}

static void not_known(int fd, const char *call)
{
	struct stat st;
	char path[4096];

	if (!ours(fd, S_IFREG, &st, path, sizeof path))
		return;
	enter();
	lost(call);
	leave();
}

ssize_t pwritev2(int fd, const struct iovec *parts, int n, off_t offset, int flags)
{
	not_known(fd, "pwritev2");
	return syscall(SYS_pwritev2, fd, parts, n, offset, 0, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int n, off64_t offset, int flags)
{
	return pwritev2(fd, parts, n, offset, flags);
}

/* Refused, as between two file systems: whoever asks copies by hand. */
ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags)
{
	struct stat st;
	char path[4096];

	if (ours(to, S_IFREG, &st, path, sizeof path)) {
		errno = EXDEV;
		return -1;
	}
	return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags);
}

int ftruncate(int fd, off_t size)
{
	struct stat st;
	char path[4096];
	int rc;

	if (!ours(fd, S_IFREG, &st, path, sizeof path))
		return (int)syscall(SYS_ftruncate, fd, size);
	enter();
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (!rc)
		append((LossyRecord){.kind = LOSSY_TRUNCATE, .inode = st.st_ino, .offset = (uint64_t)size}, NULL, NULL, NULL, 0);
	leave();
	return rc;
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	struct stat st, after;
	char path[4096];
	int rc;

	if (!ours(fd, S_IFREG, &st, path, sizeof path))
		return (int)syscall(SYS_fallocate, fd, mode, offset, length);
	enter();
	rc = (int)syscall(SYS_fallocate, fd, mode, offset, length);
	if (!rc && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		append((LossyRecord){.kind = LOSSY_ZERO, .inode = st.st_ino, .offset = (uint64_t)offset,
			       .length = (uint64_t)length}, NULL, NULL, NULL, 0);
	else if (!rc && mode & ~FALLOC_FL_KEEP_SIZE)
		lost("fallocate");
	if (!rc && !fstat(fd, &after) && after.st_size > st.st_size)
		append((LossyRecord){.kind = LOSSY_TRUNCATE, .inode = st.st_ino, .offset = (uint64_t)after.st_size}, NULL,
			NULL, NULL, 0);
	leave();
	return rc;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	return fallocate(fd, 0, offset, length) ? errno : 0;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return posix_fallocate(fd, offset, length);
}

static int sync_fd(int fd, long call)
{
	struct stat st;
	char path[4096];
	int file = ours(fd, S_IFREG, &st, path, sizeof path), dir = !file && ours(fd, S_IFDIR, &st, path, sizeof path), rc;

	if (!file && !dir)
		return (int)syscall(call, fd);
	enter();
	rc = (int)syscall(call, fd);
	if (!rc && file)
		append((LossyRecord){.kind = LOSSY_SYNC, .inode = st.st_ino}, NULL, NULL, NULL, 0);
	else if (!rc)
		append((LossyRecord){.kind = LOSSY_SYNC_DIR}, path[root_length] ? path + root_length + 1 : "", NULL, NULL, 0);
	leave();
	return rc;
}

int fsync(int fd)
{
	return sync_fd(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return sync_fd(fd, SYS_fdatasync);
}

/* -- names ------------------------------------------------------------------------------------------------------------ */

static int two_names(int kind, int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	char one[4096], two[4096];
	const char *a = inside(from_dir, from, one, sizeof one), *b = inside(to_dir, to, two, sizeof two);
	long call = kind == LOSSY_RENAME ? SYS_renameat2 : SYS_linkat;
	int rc;

	if (!a && !b)
		return (int)syscall(call, from_dir, from, to_dir, to, flags);
	enter();
	rc = (int)syscall(call, from_dir, from, to_dir, to, flags);
	if (!rc && (!a || !b))
		lost("a name from or to elsewhere");
	else if (!rc)
		append((LossyRecord){.kind = (uint32_t)kind}, a, b, NULL, 0);
	leave();
	return rc;
}

int rename(const char *from, const char *to)
{
	return two_names(LOSSY_RENAME, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return two_names(LOSSY_RENAME, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return two_names(LOSSY_RENAME, from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
	return two_names(LOSSY_LINK, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return two_names(LOSSY_LINK, from_dir, from, to_dir, to, (unsigned)flags);
}

int unlinkat(int dir, const char *path, int flags)
{
	char buffer[4096];
	const char *name = inside(dir, path, buffer, sizeof buffer);
	int rc;

	if (!name)
		return (int)syscall(SYS_unlinkat, dir, path, flags);
	enter();
	rc = (int)syscall(SYS_unlinkat, dir, path, flags);
	if (!rc)
		append((LossyRecord){.kind = flags & AT_REMOVEDIR ? LOSSY_LOST : LOSSY_UNLINK}, name, NULL, NULL, 0);
	leave();
	return rc;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int remove(const char *path)
{
	int rc = unlinkat(AT_FDCWD, path, 0);

	return rc && errno == EISDIR ? unlinkat(AT_FDCWD, path, AT_REMOVEDIR) : rc;
}
