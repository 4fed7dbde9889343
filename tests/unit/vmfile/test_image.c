// SPDX-License-Identifier: Apache-2.0
/* Image headers: what qemu-img writes is read right; headers made by hand, each wrong in one place, are refused. */
#define _GNU_SOURCE
#include "vmfile.h"

#include <glib/gstdio.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MiB (1 << 20)

static void put(GByteArray *b, guint at, const void *bytes, guint n)
{
	if (b->len < at + n) {
		guint old = b->len;

		g_byte_array_set_size(b, at + n);
		memset(b->data + old, 0, b->len - old);
	}
	memcpy(b->data + at, bytes, n);
}

static void put_be(GByteArray *b, guint at, guint64 v, guint n)
{
	for (guint i = 0; i < n; i++)
		put(b, at + i, &(guint8){ (guint8)(v >> 8 * (n - 1 - i)) }, 1);
}

static void put_le(GByteArray *b, guint at, guint64 v, guint n)
{
	for (guint i = 0; i < n; i++)
		put(b, at + i, &(guint8){ (guint8)(v >> 8 * i) }, 1);
}

static int file_of(const void *bytes, gsize n)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, bytes, n), ==, n);
	return fd;
}

static void probed(const void *bytes, gsize n, ImageKind kind, guint64 size, gboolean encrypted, const char *backing)
{
	g_autofd int fd = file_of(bytes, n);
	g_autoptr(GError) error = NULL;
	ImageInfo info;

	image_probe(fd, &info, &error);
	g_assert_no_error(error);
	g_assert_cmpint(info.kind, ==, kind);
	g_assert_cmpuint(info.virtual_size, ==, size);
	g_assert_cmpint(info.encrypted, ==, encrypted);
	g_assert_cmpstr(info.backing, ==, backing);
	image_info_clear(&info);
}

static void refused(const void *bytes, gsize n, int code, const char *why)
{
	g_autofd int fd = file_of(bytes, n);
	g_autoptr(GError) error = NULL;
	ImageInfo info;

	g_assert_false(image_probe(fd, &info, &error));
	if (!g_error_matches(error, VMFILE_ERROR, code) || !strstr(error->message, why))
		g_error("'%s' (%d), where '%s' was expected", error->message, error->code, why);
	g_assert_null(info.backing);
}

static void bad(GByteArray *b, guint at, guint64 v, guint n, const char *why)
{
	g_autoptr(GByteArray) copy = g_byte_array_new();

	put(copy, 0, b->data, b->len);
	put_be(copy, at, v, n);
	refused(copy->data, copy->len, VMFILE_ERROR_INVALID, why);
}

static GByteArray *qcow2(guint version, guint64 size)
{
	GByteArray *b = g_byte_array_new();

	put(b, 0, "QFI\xfb", 4);
	put_be(b, 4, version, 4);
	put_be(b, 20, 16, 4);
	put_be(b, 24, size, 8);
	put_be(b, 36, 1, 4);
	put_be(b, 40, 3 << 16, 8);
	put_be(b, 48, 1 << 16, 8);
	put_be(b, 96, 4, 4);
	put_be(b, 100, 104, 4);
	put_be(b, 4 << 16, 0, 8);
	return b;
}

static void test_qcow2(void)
{
	g_autoptr(GByteArray) two = qcow2(2, 20ull << 30), three = qcow2(3, 5 * MiB);

	probed(two->data, two->len, IMAGE_QCOW2, 20ull << 30, FALSE, NULL);
	probed(three->data, three->len, IMAGE_QCOW2, 5 * MiB, FALSE, NULL);
	put_be(three, 32, 2, 4);
	probed(three->data, three->len, IMAGE_QCOW2, 5 * MiB, TRUE, NULL);
	put_be(three, 72, 4 | 1, 8); /* external data file, and not closed properly */
	probed(three->data, three->len, IMAGE_QCOW2, 5 * MiB, TRUE, "an external data file without a name");
	put_be(three, 104, 0x44415441, 4);
	put_be(three, 108, 11, 4);
	put(three, 112, "/etc/shadow", 11);
	probed(three->data, three->len, IMAGE_QCOW2, 5 * MiB, TRUE, "/etc/shadow");
	put_be(three, 8, 600, 8);
	put_be(three, 16, 7, 4);
	put(three, 600, "a\n\xff" "b.q\0", 7);
	probed(three->data, three->len, IMAGE_QCOW2, 5 * MiB, TRUE, "a?\xef\xbf\xbd" "b.q");
}

static void test_qcow2_bad(void)
{
	g_autoptr(GByteArray) b = qcow2(3, MiB), one = qcow2(1, MiB), new = qcow2(3, MiB);

	refused(one->data, one->len, VMFILE_ERROR_UNSUPPORTED, "version");
	put_be(new, 72, 1ull << 40, 8);
	refused(new->data, new->len, VMFILE_ERROR_UNSUPPORTED, "newer");
	bad(b, 72, 2, 8, "corrupt");
	bad(b, 20, 8, 4, "no sense");
	bad(b, 20, 22, 4, "no sense");
	bad(b, 20, 0xffffffff, 4, "no sense");
	bad(b, 32, 3, 4, "no sense");
	bad(b, 40, 0x10200, 8, "no sense");
	bad(b, 48, 0x10200, 8, "no sense");
	bad(b, 100, 0x20000, 4, "no sense");
	bad(b, 100, 72, 4, "no sense");
	bad(b, 24, 0, 8, "empty");
	put_be(b, 16, 8, 4); /* a backing file's name of 8 */
	bad(b, 8, 0xffffffffffffffff, 8, "backing file name");
	bad(b, 8, 0xfff9, 8, "backing file name");
	put_be(b, 8, 512, 8);
	bad(b, 16, 0, 4, "backing file name");
	bad(b, 16, 1024, 4, "backing file name");
	bad(b, 16, 0xffffffff, 4, "backing file name");
	refused(b->data, 515, VMFILE_ERROR_INVALID, "not all of it is here");
	put_be(b, 24, G_MAXUINT64, 8);
	put_be(b, 8, 0, 8);
	refused(b->data, b->len, VMFILE_ERROR_LIMIT, "64 TiB");
}

static void vhd_sum(GByteArray *b, guint start, guint length, guint at)
{
	guint32 sum = 0;

	put_be(b, start + at, 0, 4);
	for (guint i = 0; i < length; i++)
		sum += b->data[start + i];
	put_be(b, start + at, ~sum, 4);
}

static void vhd_footer(GByteArray *b, guint at, guint type, guint64 size)
{
	put_be(b, at + 504, 0, 8);
	put(b, at, "conectix", 8);
	put_be(b, at + 16, 512, 8);
	put_be(b, at + 40, size, 8);
	put_be(b, at + 48, size, 8);
	put_be(b, at + 60, type, 4);
	vhd_sum(b, at, 512, 64);
}

static GByteArray *vhd_dynamic(guint type, guint64 size)
{
	GByteArray *b = g_byte_array_new();

	vhd_footer(b, 0, type, size);
	put(b, 512, "cxsparse", 8);
	put_be(b, 512 + 16, 1536, 8);
	put_be(b, 512 + 28, (size + 2 * MiB - 1) / (2 * MiB), 4);
	put_be(b, 512 + 32, 2 * MiB, 4);
	put(b, 512 + 64, "\0b\0.\0v", 6);
	put_be(b, 1536, 0, 8);
	vhd_sum(b, 512, 1024, 36);
	put_be(b, 2048, 0, 8);
	vhd_footer(b, 2048, type, size);
	return b;
}

static void test_vhd(void)
{
	g_autoptr(GByteArray) fixed = g_byte_array_new(), dynamic = vhd_dynamic(3, 7 * MiB), child = vhd_dynamic(4, 7 * MiB);
	g_autoptr(GByteArray) large = vhd_dynamic(3, 128ull << 40), odd = vhd_dynamic(5, MiB);

	vhd_footer(fixed, MiB, 2, MiB);
	probed(fixed->data, fixed->len, IMAGE_VHD, MiB, FALSE, NULL);
	probed(dynamic->data, dynamic->len, IMAGE_VHD, 7 * MiB, FALSE, NULL);
	probed(child->data, child->len, IMAGE_VHD, 7 * MiB, FALSE, "b.v");
	refused(large->data, large->len, VMFILE_ERROR_LIMIT, "64 TiB");
	refused(odd->data, odd->len, VMFILE_ERROR_UNSUPPORTED, "kind");
	refused(dynamic->data, 2048, VMFILE_ERROR_INVALID, "no footer");
	refused(fixed->data + 512, fixed->len - 512, VMFILE_ERROR_INVALID, "shorter than it says");
	bad(fixed, MiB + 70, 1, 1, "checksum");
	bad(dynamic, 512 + 33, 0, 1, "dynamic header");
	bad(dynamic, 513, 0, 1, "dynamic header");
	put_be(dynamic, 512 + 28, 3, 4); /* a table for 6 MiB */
	vhd_sum(dynamic, 512, 1024, 36);
	refused(dynamic->data, dynamic->len, VMFILE_ERROR_INVALID, "dynamic header");
	put_be(dynamic, 512 + 28, 0xffffffff, 4);
	vhd_sum(dynamic, 512, 1024, 36);
	refused(dynamic->data, dynamic->len, VMFILE_ERROR_INVALID, "block table");
}

static GByteArray *vmdk(const char *descriptor)
{
	GByteArray *b = g_byte_array_new();

	put(b, 0, "KDMV", 4);
	put_le(b, 4, 1, 4);
	put_le(b, 8, 3, 4);
	put_le(b, 12, 4096, 8);
	put_le(b, 20, 128, 8);
	put_le(b, 28, 1, 8);
	put_le(b, 36, 20, 8);
	put_le(b, 56, 26, 8);
	put(b, 73, "\n \r\n", 4);
	put(b, 512, descriptor, (guint)strlen(descriptor));
	put_be(b, 30 * 512, 0, 8);
	return b;
}

#define SPARSE "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n\nRW 4096 SPARSE \"a.vmdk\"\n"

static void test_vmdk(void)
{
	g_autoptr(GByteArray) b = vmdk(SPARSE), child = vmdk("# Disk DescriptorFile\nparentCID=deadbeef\nparentFileNameHint=\"/etc/x\"\n");
	g_autoptr(GByteArray) child2 = vmdk("# Disk DescriptorFile\nparentCID=deadbeef\n"), none = vmdk("RW 8 FLAT \"/etc/shadow\" 0\n");
	g_autoptr(GByteArray) hidden = vmdk("junk parentFileNameHint=\"../up\"\n");

	probed(b->data, b->len, IMAGE_VMDK, 2 * MiB, FALSE, NULL);
	probed(child->data, child->len, IMAGE_VMDK, 2 * MiB, FALSE, "/etc/x");
	probed(child2->data, child2->len, IMAGE_VMDK, 2 * MiB, FALSE, "a parent image");
	put_le(none, 12, 0, 8); /* no capacity: a descriptor of other files in disguise */
	probed(none->data, none->len, IMAGE_VMDK, 4096, FALSE, "/etc/shadow");
	put_le(hidden, 28, 0, 8); /* no descriptor by the header, but QEMU would read this one */
	probed(hidden->data, hidden->len, IMAGE_VMDK, 2 * MiB, FALSE, "../up");
}

static void test_vmdk_stream(void)
{
	g_autoptr(GByteArray) b = vmdk(SPARSE);

	put_le(b, 4, 3, 4);
	put_le(b, 8, 1 << 16 | 1 << 17 | 1, 4);
	put_le(b, 56, G_MAXUINT64, 8);
	refused(b->data, b->len, VMFILE_ERROR_INVALID, "no footer");
	put_be(b, 40 * 512 - 8, 0, 8);
	put(b, 38 * 512, b->data, 512);
	put_le(b, 38 * 512 + 56, 5, 8);
	probed(b->data, b->len, IMAGE_VMDK, 2 * MiB, FALSE, NULL);
	put_le(b, 38 * 512 + 12, 8192, 8);
	refused(b->data, b->len, VMFILE_ERROR_INVALID, "contradicts");
	put_le(b, 8, 1, 4); /* not compressed: then the directory must have a place */
	refused(b->data, b->len, VMFILE_ERROR_INVALID, "grain directory");
}

static void test_vmdk_bad(void)
{
	g_autoptr(GByteArray) b = vmdk(SPARSE), wide = vmdk("RW 99999999999999 SPARSE \"a\"\n");

	bad(b, 4, 9, 1, "no sense");
	bad(b, 20, 127, 1, "no sense");
	bad(b, 20, 4, 1, "no sense");
	bad(b, 27, 1, 1, "no sense");
	bad(b, 28, 255, 1, "no sense");
	bad(b, 36, 129, 1, "no sense");
	bad(b, 36, 100, 1, "not all of it is here");
	bad(b, 12, G_MAXUINT64, 8, "no sense");
	bad(b, 74, '\n', 1, "binary mode");
	bad(b, 56, 255, 1, "grain directory");
	refused(wide->data, wide->len, VMFILE_ERROR_INVALID, "extent");
	put_le(b, 12, 0, 8);
	put_le(b, 28, 0, 8);
	refused(b->data, b->len, VMFILE_ERROR_INVALID, "empty");
}

static void test_vmdk_text(void)
{
	static const char flat[] = "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 2048 FLAT \"/etc/shadow\" 0\nRW 2048 FLAT \"b\" 0\n";
	static const char plain[] = "#\n\n version=1\nRW\t8 FLAT \"a\" 0\nRW 8 ZERO\n";
	static const char child[] = "version=1\nRW 8 FLAT \"a\"\nx parentFileNameHint=\"b\"\n";
	static const char huge[] = "# Disk DescriptorFile\nRW 99999999999 FLAT \"a\" 0\nRW 99999999999 FLAT \"a\" 0\n";
	g_autofree char *large = g_strnfill(70000, '\n');

	probed(flat, strlen(flat), IMAGE_VMDK, 2 * MiB, FALSE, "/etc/shadow");
	probed(plain, strlen(plain), IMAGE_VMDK, 8192, FALSE, "a");
	probed(child, strlen(child), IMAGE_VMDK, 4096, FALSE, "b");
	refused(huge, strlen(huge), VMFILE_ERROR_LIMIT, "64 TiB");
	refused("# Disk DescriptorFile\n", 22, VMFILE_ERROR_INVALID, "empty");
	refused("# Disk DescriptorFile\nRW x FLAT \"a\"\n", 36, VMFILE_ERROR_INVALID, "extent");
	refused("# Disk DescriptorFile\nRW 8 FLAT a\n", 34, VMFILE_ERROR_INVALID, "extent");
	memcpy(large, "version=1", 9);
	refused(large, 70000, VMFILE_ERROR_INVALID, "64 KiB");
}

static void test_raw(void)
{
	static const struct { guint at; const char *magic; guint n; const char *why; } others[] = {
		{ 0, "vhdxfile", 8, "VHDX" }, { 64, "\x7f\x10\xda\xbe", 4, "VDI" }, { 0, "QED\0", 4, "QED" }, { 0, "COWD", 4, "ESX" },
		{ 0, "\x1f\x8b", 2, "gzip" }, { 0, "\xfd" "7zXZ\0", 6, "xz" }, { 0, "\x28\xb5\x2f\xfd", 4, "zstd" }, { 0, "BZh", 3, "bzip2" },
		{ 0, "PK\3\4", 4, "zip" }, { 0, "WithoutFreeSpace", 16, "Parallels" }, { 0, "WithouFreSpacExt", 16, "Parallels" },
	};
	g_autofree guint8 *zero = g_malloc0(MiB);

	probed(zero, MiB, IMAGE_RAW, MiB, FALSE, NULL);
	probed(zero, 100, IMAGE_RAW, 100, FALSE, NULL);
	refused(zero, 0, VMFILE_ERROR_INVALID, "empty");
	memcpy(zero, "LUKS\xba\xbe", 6);
	probed(zero, MiB, IMAGE_RAW, MiB, TRUE, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
		memset(zero, 0, 512);
		memcpy(zero + others[i].at, others[i].magic, others[i].n);
		refused(zero, MiB, VMFILE_ERROR_UNSUPPORTED, others[i].why);
	}
}

static void test_no_file(void)
{
	g_autoptr(GError) error = NULL;
	ImageInfo info;
	int ends[2];

	g_assert_no_errno(pipe(ends));
	g_assert_false(image_probe(ends[0], &info, &error)); /* would wait for ever */
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID);
	close(ends[0]);
	close(ends[1]);
	g_clear_error(&error);
	g_assert_false(image_probe(-1, &info, &error));
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_IO);
}

/* What the real program writes. */
static void made(const char *dir, const char *options, ImageKind kind, guint64 size, gboolean encrypted, const char *backing)
{
	g_autofree char *path = g_build_filename(dir, "image", NULL), *base = g_build_filename(dir, "base", NULL);
	g_autofree char *line = g_strdup_printf("qemu-img create -q %s -- %s %" G_GUINT64_FORMAT, options, path, size);
	g_autoptr(GError) error = NULL;
	g_autofd int fd = -1;
	ImageInfo info;
	int status;

	g_assert_true(g_file_set_contents(base, "", 0, NULL));
	g_assert_true(g_spawn_command_line_sync(line, NULL, NULL, &status, NULL) && status == 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	image_probe(fd, &info, &error);
	g_assert_no_error(error);
	g_assert_cmpint(info.kind, ==, kind);
	g_assert_cmpuint(info.virtual_size, ==, size);
	g_assert_cmpint(info.encrypted, ==, encrypted);
	g_assert_cmpstr(info.backing, ==, backing);
	image_info_clear(&info);
	g_unlink(path);
	g_unlink(base);
}

static void test_qemu_img(void)
{
	g_autofree char *dir = NULL, *qemu_img = g_find_program_in_path("qemu-img"), *flat = NULL;

	if (!qemu_img) {
		g_test_skip("there is no qemu-img");
		return;
	}
	dir = g_dir_make_tmp(NULL, NULL);
	made(dir, "-f raw", IMAGE_RAW, MiB, FALSE, NULL);
	made(dir, "-f qcow2", IMAGE_QCOW2, 3 * MiB, FALSE, NULL);
	made(dir, "-f qcow2 -o compat=0.10", IMAGE_QCOW2, 3 * MiB, FALSE, NULL);
	made(dir, "-f qcow2 -o cluster_size=512", IMAGE_QCOW2, 3 * MiB, FALSE, NULL);
	made(dir, "-f qcow2 -b base -F raw", IMAGE_QCOW2, 3 * MiB, FALSE, "base");
	made(dir, "-f qcow2 -o data_file=data", IMAGE_QCOW2, 3 * MiB, FALSE, "data");
	made(dir, "--object secret,id=s,data=geheim -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
		IMAGE_QCOW2, 3 * MiB, TRUE, NULL);
	made(dir, "-f vpc -o subformat=dynamic,force_size=on", IMAGE_VHD, 3 * MiB, FALSE, NULL);
	made(dir, "-f vpc -o subformat=fixed,force_size=on", IMAGE_VHD, 3 * MiB, FALSE, NULL);
	made(dir, "-f vmdk", IMAGE_VMDK, 3 * MiB, FALSE, NULL);
	made(dir, "-f vmdk -o subformat=streamOptimized", IMAGE_VMDK, 3 * MiB, FALSE, NULL);
	made(dir, "-f vmdk -o subformat=monolithicFlat", IMAGE_VMDK, 3 * MiB, FALSE, "image-flat");
	flat = g_build_filename(dir, "image-flat", NULL);
	g_unlink(flat);
	g_free(flat);
	flat = g_build_filename(dir, "data", NULL);
	g_unlink(flat);
	g_rmdir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/image/qcow2", test_qcow2);
	g_test_add_func("/image/qcow2/bad", test_qcow2_bad);
	g_test_add_func("/image/vhd", test_vhd);
	g_test_add_func("/image/vmdk", test_vmdk);
	g_test_add_func("/image/vmdk/stream", test_vmdk_stream);
	g_test_add_func("/image/vmdk/bad", test_vmdk_bad);
	g_test_add_func("/image/vmdk/text", test_vmdk_text);
	g_test_add_func("/image/raw", test_raw);
	g_test_add_func("/image/no-file", test_no_file);
	g_test_add_func("/image/qemu-img", test_qemu_img);
	return g_test_run();
}
