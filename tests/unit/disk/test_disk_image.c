/* SPDX-License-Identifier: Apache-2.0 */
/* Single images: created, cloned, converted, refused. */
#include "common.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIB (G_GUINT64_CONSTANT(1) << 30)

static guint files_in(const char *dir)
{
	g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
	guint n = 0;

	while (g_dir_read_name(list))
		n++;
	return n;
}

static void test_create(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2"), *missing = in_dir(dir, "no/b.qcow2");
	DiskInfo info;

	assert_works(disk_create(path, 64 * MIB, &error));
	assert_works(disk_info(path, &info, &error));
	g_assert_cmpstr(info.format, ==, "qcow2");
	g_assert_cmpuint(info.size, ==, 64 * MIB);
	g_assert_cmpuint(info.used, <, MIB);
	g_assert_null(info.backing);
	g_assert_false(info.dirty || info.corrupt);
	disk_info_clear(&info);
	assert_fails(disk_create(path, 64 * MIB, &error), DISK_ERROR_EXISTS);
	assert_fails(disk_create(missing, 64 * MIB, &error), DISK_ERROR_NOT_FOUND);
	assert_fails(disk_create(missing, 0, &error), DISK_ERROR_INVALID);
	assert_fails(disk_create(missing, 1000, &error), DISK_ERROR_INVALID);
	assert_fails(disk_create(missing, G_MAXUINT64 - 511, &error), DISK_ERROR_INVALID);
	assert_fails(disk_info(missing, &info, &error), DISK_ERROR_NOT_FOUND);
	g_assert_cmpuint(files_in(dir), ==, 1);
	remove_dir(dir);
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* The figure: a 20 GiB template, under a second, no space. */
static void test_clone(void)
{
	char *dir = fresh_dir();
	g_autofree char *base = in_dir(dir, "template.qcow2"), *clone = in_dir(dir, "clone, with=odd name.qcow2");
	struct stat st;
	DiskInfo info;
	struct rusage before, after;
	gint64 start;
	double took;

	assert_works(disk_create(base, 20 * GIB, &error));
	image_write(base, 0x5a, 0, 32);
	getrusage(RUSAGE_CHILDREN, &before);
	start = g_get_monotonic_time();
	assert_works(disk_clone(base, clone, &error));
	g_test_message("cloned in %.3f s", (double)(g_get_monotonic_time() - start) / 1e6);
	/* Of a processor's time: the machine that tests may be busy with other things. */
	getrusage(RUSAGE_CHILDREN, &after);
	took = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
	g_assert_cmpfloat(took, <, 0.5);
	assert_works(disk_info(clone, &info, &error));
	g_assert_cmpuint(info.used, <, MIB);
	g_assert_cmpuint(info.size, ==, 20 * GIB);
	g_assert_cmpstr(info.backing, ==, base);
	disk_info_clear(&info);
	g_assert_cmpint(stat(base, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0444);
	g_assert_true(image_has(clone, 0x5a, 0, 32));
	image_write(clone, 0x11, 1, 1);
	g_assert_true(image_has(clone, 0x11, 1, 1));
	g_assert_true(image_has(base, 0x5a, 0, 32));
	assert_fails(disk_clone(base, clone, &error), DISK_ERROR_EXISTS);
	assert_works(disk_remove(base, &error));
	g_assert_false(g_file_test(base, G_FILE_TEST_EXISTS));
	remove_dir(dir);
}

static void note_progress(double fraction, gpointer data)
{
	double *last = data;

	g_assert_cmpfloat(fraction, >=, *last);
	g_assert_cmpfloat(fraction, <=, 1);
	*last = fraction;
}

/* Out and in again by every format: what the guest wrote is there. */
static void test_convert(void)
{
	static const char *const formats[] = {"raw", "vpc", "vmdk", "qcow2"};
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2");

	assert_works(disk_create(path, 64 * MIB, &error));
	image_write(path, 0x77, 3, 5);
	for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
		g_autofree char *out = g_strdup_printf("%s/out.%s", dir, formats[i]),
				*in = g_strdup_printf("%s/in-%s.qcow2", dir, formats[i]);
		double last = 0;
		DiskInfo info;

		assert_works(disk_convert(path, "qcow2", out, formats[i], TRUE, note_progress, &last, NULL, &error));
		g_assert_cmpfloat(last, ==, 1);
		assert_works(disk_convert(out, formats[i], in, "qcow2", FALSE, NULL, NULL, NULL, &error));
		assert_works(disk_info(in, &info, &error));
		g_assert_cmpuint(info.size, ==, 64 * MIB);
		disk_info_clear(&info);
		g_assert_true(image_has(in, 0x77, 3, 5));
		g_assert_true(image_has(in, 0, 8, 1));
	}
	assert_fails(disk_convert(path, "qcow2", "/nowhere/x", "qcow2", FALSE, NULL, NULL, NULL, &error),
		DISK_ERROR_NOT_FOUND);
	assert_fails(disk_convert(path, "dmg", "/nowhere/x", "qcow2", FALSE, NULL, NULL, NULL, &error),
		DISK_ERROR_UNSUPPORTED);
	g_assert_cmpuint(files_in(dir), ==, 1 + 2 * G_N_ELEMENTS(formats));
	remove_dir(dir);
}

/* Progress of the first per cent cancels. */
static void cancel_soon(G_GNUC_UNUSED double fraction, gpointer data)
{
	g_cancellable_cancel(data);
}

static void test_cancel(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2"), *out = in_dir(dir, "b.qcow2");
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autoptr(GError) error = NULL;

	assert_works(disk_create(path, 256 * MIB, &error));
	image_write(path, 1, 0, 128);
	g_assert_false(disk_convert(path, "qcow2", out, "qcow2", FALSE, cancel_soon, cancellable, cancellable, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_cmpuint(files_in(dir), ==, 1);
	remove_dir(dir);
}

static void refused(const char *path, const char *format, DiskErrorCode code, const char *reason)
{
	g_autofree char *out = g_strconcat(path, ".out", NULL), *left = g_strconcat(out, ".new", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_false(disk_convert(path, format, out, "raw", FALSE, NULL, NULL, NULL, &error));
	g_assert_error(error, DISK_ERROR, (gint)code);
	g_assert_nonnull(strstr(error->message, path));
	g_assert_nonnull(strstr(error->message, reason));
	g_assert_false(g_file_test(out, G_FILE_TEST_EXISTS) || g_file_test(left, G_FILE_TEST_EXISTS));
}

/* Images that name other files must not be followed: each has its secret where QEMU would find it. */
static void test_strangers(void)
{
	char *dir = fresh_dir();
	g_autofree char *secret = in_dir(dir, "secret.raw"), *backed = in_dir(dir, "backed.qcow2"),
			*split = in_dir(dir, "split.qcow2");
	g_autofree char *flat = in_dir(dir, "flat.vmdk"), *delta = in_dir(dir, "delta.vmdk"),
			*vhd = in_dir(dir, "delta.vhd");
	g_autofree char *descriptor = NULL, *data_file = g_strdup_printf("data_file=%s/data.raw", dir),
			*fifo = in_dir(dir, "fifo");
	const char *make_backed[] = {
		"qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", backed, NULL};
	const char *make_split[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-o", data_file, split, "1M", NULL};
	const char *make_delta[] = {"qemu-img", "create", "-q", "-f", "vmdk", "-b", flat, "-F", "vmdk", delta, NULL};
	const char *make_base[] = {"qemu-img", "create", "-q", "-f", "vmdk", flat, "1M", NULL};
	const char *make_vhd[] = {"qemu-img", "create", "-q", "-f", "vpc", vhd, "1M", NULL};
	char secret_text[4096] = "a secret of the host";
	guint8 differencing[4] = {0, 0, 0, 4};
	struct stat st;
	int fd;

	g_assert_true(g_file_set_contents(secret, secret_text, sizeof secret_text, NULL));
	g_assert_true(run_ok(make_backed, NULL) && run_ok(make_split, NULL) && run_ok(make_base, NULL) &&
		run_ok(make_delta, NULL) && run_ok(make_vhd, NULL));
	refused(backed, "qcow2", DISK_ERROR_INVALID, "difference");
	refused(split, "qcow2", DISK_ERROR_INVALID, "another file");
	refused(delta, "vmdk", DISK_ERROR_INVALID, "other files");
	refused(secret, "qcow2", DISK_ERROR_INVALID, "not a qcow2");
	refused(secret, "vmdk", DISK_ERROR_INVALID, "one file");
	refused(secret, "vpc", DISK_ERROR_INVALID, "not a VHD");
	descriptor = g_strdup_printf(
		"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
		"RW 8 FLAT \"%s\" 0\nddb.virtualHWVersion = \"4\"\n",
		secret);
	g_assert_true(g_file_set_contents(flat, descriptor, -1, NULL));
	refused(flat, "vmdk", DISK_ERROR_INVALID, "one file");
	g_assert_cmpint(stat(vhd, &st), ==, 0);
	fd = g_open(vhd, O_RDWR);
	g_assert_cmpint(pwrite(fd, differencing, 4, st.st_size - 512 + 60), ==, 4);
	close(fd);
	refused(vhd, "vpc", DISK_ERROR_INVALID, "differencing");
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	refused(fifo, "raw", DISK_ERROR_INVALID, "neither");
	refused(dir, "raw", DISK_ERROR_INVALID, "neither");
	remove_dir(dir);
}

/* A VMDK header without a capacity hides a descriptor with extents. */
static void test_hidden_descriptor(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.vmdk"), *secret = in_dir(dir, "secret");
	guint8 head[4096] = "KDMV\1\0\0\0\3\0\0\0";

	head[28] = 1; /* descriptor in the second sector */
	head[36] = 1;
	g_snprintf((char *)head + 512, 512,
		"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
		"RW 8 FLAT \"%s\" 0\n",
		secret);
	g_assert_true(g_file_set_contents(path, (char *)head, sizeof head, NULL));
	g_assert_true(g_file_set_contents(secret, (char *)head, sizeof head, NULL));
	refused(path, "vmdk", DISK_ERROR_INVALID, "one file");
	remove_dir(dir);
}

static void test_headers(void)
{
	guint8 bytes[1024] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	DiskHeader header;
	const char *problem;

	bytes[15] = 200; /* backing at 200, 4 bytes */
	bytes[19] = 4;
	memcpy(bytes + 200, "abcd", 4);
	g_assert_true(header_parse(bytes, sizeof bytes, &header, &problem));
	g_assert_cmpstr(header.backing, ==, "abcd");
	header_clear(&header);
	for (guint i = 104; i < 204; i++) /* cut short anywhere: never beyond its end */
		g_assert_false(header_parse(bytes, i, &header, &problem));
	bytes[8] = 0xff;
	g_assert_false(header_parse(bytes, sizeof bytes, &header, &problem));
	bytes[8] = 0;
	bytes[200] = 0xff; /* not UTF-8 */
	g_assert_false(header_parse(bytes, sizeof bytes, &header, &problem));
	bytes[7] = 9;
	g_assert_false(header_parse(bytes, sizeof bytes, &header, &problem));
	g_assert_true(header_parse(bytes, 100, &header, &problem));
	g_assert_false(header.qcow2);
}

static void test_resize_and_check(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2");
	guint8 junk[65536];
	DiskInfo info;
	int fd;

	assert_works(disk_create(path, 64 * MIB, &error));
	image_write(path, 9, 0, 8);
	assert_works(disk_resize(path, 128 * MIB, &error));
	assert_fails(disk_resize(path, 64 * MIB, &error), DISK_ERROR_INVALID);
	assert_works(disk_info(path, &info, &error));
	g_assert_cmpuint(info.size, ==, 128 * MIB);
	disk_info_clear(&info);
	g_assert_true(image_has(path, 9, 0, 8));
	assert_works(disk_check(path, FALSE, &error));
	/* Its third cluster holds the reference counts. */
	memset(junk, 0, sizeof junk);
	fd = g_open(path, O_RDWR);
	g_assert_cmpint(pwrite(fd, junk, sizeof junk, 131072), ==, sizeof junk);
	close(fd);
	assert_fails(disk_check(path, FALSE, &error), DISK_ERROR_CORRUPT);
	assert_works(disk_check(path, TRUE, &error));
	g_assert_true(image_has(path, 9, 0, 8));
	g_assert_cmpint(truncate(path, 5000), ==, 0);
	assert_fails(disk_check(path, TRUE, &error), DISK_ERROR_CORRUPT);
	remove_dir(dir);
}

static void test_no_space(void)
{
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.raw"), *out = in_dir(dir, "b.raw");
	g_autoptr(GError) error = NULL;

	/* 50 TiB, all of it data as far as the file system tells: none of our machines has the room. */
	if (!g_file_set_contents(path, "", 0, NULL) || truncate(path, (off_t)50 << 40))
		g_assert_cmpint(errno, ==, EFBIG);
	else if (!disk_convert(path, "raw", out, "vpc", FALSE, NULL, NULL, NULL, &error))
		g_assert_true(error->domain == DISK_ERROR);
	g_assert_false(g_file_test(out, G_FILE_TEST_EXISTS));
	remove_dir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/image/create", test_create);
	g_test_add_func("/disk/image/clone", test_clone);
	g_test_add_func("/disk/image/convert", test_convert);
	g_test_add_func("/disk/image/cancel", test_cancel);
	g_test_add_func("/disk/image/strangers", test_strangers);
	g_test_add_func("/disk/image/hidden-descriptor", test_hidden_descriptor);
	g_test_add_func("/disk/image/headers", test_headers);
	g_test_add_func("/disk/image/resize-and-check", test_resize_and_check);
	g_test_add_func("/disk/image/no-space", test_no_space);
	return g_test_run();
}
