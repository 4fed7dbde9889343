// SPDX-License-Identifier: Apache-2.0
/* Load and save: what a power cut or a full disk can do at each step, by failing each call in turn. */
#include "vmfile.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The calls that were made, one letter each: w, f (of a file), d (of a directory), r. The one at fail_at fails. */
static GString *calls;
static guint fail_at = G_MAXUINT;

static gboolean note(char call)
{
	if (calls)
		g_string_append_c(calls, call);
	if (!calls || calls->len - 1 != fail_at)
		return TRUE;
	errno = ENOSPC;
	return FALSE;
}

ssize_t __real_write(int fd, const void *data, size_t n);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	return note('w') ? __real_write(fd, data, MIN(n, 100)) : -1; /* short writes are legal */
}

int __wrap_fsync(int fd)
{
	struct stat st;

	g_assert_no_errno(fstat(fd, &st));
	return note(S_ISDIR(st.st_mode) ? 'd' : 'f') ? __real_fsync(fd) : -1;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return note('r') ? __real_renameat(from_dir, from, to_dir, to) : -1;
}

static char *dir, *path;

static guint count_files(void)
{
	g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
	guint n = 0;

	while (g_dir_read_name(listing))
		n++;
	return n;
}

static void save(const VmFile *file)
{
	g_autoptr(GError) error = NULL;

	vmfile_save(file, path, &error);
	g_assert_no_error(error);
}

static void test_round(void)
{
	g_autoptr(VmFile) file = vmfile_new("work"), back = NULL;
	g_autofree char *text = vmfile_to_text(file), *again = NULL;
	g_autoptr(GError) error = NULL;
	struct stat st;

	umask(0);
	save(file);
	g_assert_no_errno(stat(path, &st));
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	back = vmfile_load(path, &error);
	g_assert_no_error(error);
	again = vmfile_to_text(back);
	g_assert_cmpstr(text, ==, again);
	g_assert_cmpuint(count_files(), ==, 1);
}

static void test_order(void)
{
	g_autoptr(VmFile) file = vmfile_new("work");

	calls = g_string_new(NULL);
	save(file);
	g_assert_cmpuint(strspn(calls->str, "w"), >, 1);
	g_assert_cmpstr(calls->str + strspn(calls->str, "w"), ==, "frd");
	g_string_free(g_steal_pointer(&calls), TRUE);
}

static void test_failures(void)
{
	g_autoptr(VmFile) old = vmfile_new("old"), new = vmfile_new("new");
	gboolean done = FALSE;

	for (fail_at = 0; !done; fail_at++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(VmFile) back = NULL;
		guint at = fail_at;

		fail_at = G_MAXUINT;
		save(old);
		fail_at = at;
		calls = g_string_new(NULL);
		done = vmfile_save(new, path, &error);
		if (!done) {
			g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_IO);
			g_assert_nonnull(strstr(error->message, path));
			g_assert_nonnull(strstr(error->message, "No space left"));
		}
		back = vmfile_load(path, NULL);
		g_assert_nonnull(back);
		g_assert_cmpstr(back->title, ==, done || calls->str[at] == 'd' ? "new" : "old");
		g_assert_cmpuint(count_files(), ==, 1); /* nothing stays beside it */
		g_string_free(g_steal_pointer(&calls), TRUE);
	}
	g_assert_cmpuint(fail_at, >, 4);
	fail_at = G_MAXUINT;
}

static void test_leftover(void)
{
	g_autofree char *beside = g_strdup_printf("%s/.work.vm.new", dir), *victim = g_strdup_printf("%s/victim", dir), *text = NULL;
	g_autoptr(VmFile) file = vmfile_new("work");

	g_assert_true(g_file_set_contents(victim, "mine", -1, NULL));
	g_assert_no_errno(symlink("victim", beside)); /* of a killed daemon, or laid out by somebody */
	save(file);
	g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "mine");
	g_unlink(victim);
	g_assert_cmpuint(count_files(), ==, 1);
}

static void load_refused(const char *what, const char *why)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(vmfile_load(what, &error));
	g_assert_nonnull(error);
	if (!g_str_has_prefix(error->message, what) || !strstr(error->message, why))
		g_error("'%s', where '%s … %s' was expected", error->message, what, why);
}

static void test_load(void)
{
	g_autofree char *fifo = g_strdup_printf("%s/fifo", dir), *large = g_strdup_printf("%s/large", dir);
	g_autofree char *broken = g_strdup_printf("%s/broken.vm", dir), *empty = g_strdup_printf("%s/empty", dir);
	g_autoptr(VmFile) file = NULL;

	load_refused("/nonexistent/a.vm", "No such file");
	load_refused(dir, "not a regular file");
	load_refused("/dev/zero", "not a regular file");
	g_assert_no_errno(mkfifo(fifo, 0600));
	load_refused(fifo, "not a regular file"); /* at once: nobody writes to it */
	g_assert_true(g_file_set_contents(large, "", -1, NULL));
	g_assert_no_errno(truncate(large, (gint64)1 << 40));
	load_refused(large, "too large");
	g_assert_true(g_file_set_contents(broken, "[machine]\nvcpus=0\n", -1, NULL));
	load_refused(broken, "broken.vm:2: [machine] vcpus: ");
	g_assert_true(g_file_set_contents(empty, "", -1, NULL));
	file = vmfile_load(empty, NULL);
	g_assert_nonnull(file);
	g_unlink(fifo);
	g_unlink(large);
	g_unlink(broken);
	g_unlink(empty);
}

static void test_save_nowhere(void)
{
	g_autoptr(VmFile) file = vmfile_new("work");
	g_autoptr(GError) error = NULL;

	g_assert_false(vmfile_save(file, "/nonexistent/work.vm", &error));
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_IO);
	g_assert_true(g_str_has_prefix(error->message, "/nonexistent"));
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp(NULL, NULL);
	path = g_build_filename(dir, "work.vm", NULL);
	g_test_add_func("/vmfile/store/round", test_round);
	g_test_add_func("/vmfile/store/order", test_order);
	g_test_add_func("/vmfile/store/failures", test_failures);
	g_test_add_func("/vmfile/store/leftover", test_leftover);
	g_test_add_func("/vmfile/store/load", test_load);
	g_test_add_func("/vmfile/store/nowhere", test_save_nowhere);
	status = g_test_run();
	g_unlink(path);
	g_rmdir(dir);
	g_free(path);
	g_free(dir);
	return status;
}
