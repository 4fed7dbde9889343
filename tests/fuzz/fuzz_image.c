// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a disk image: good headers of each format with pieces changed. */
#include "mutate.h"
#include "vmfile.h"

#include <sys/mman.h>
#include <unistd.h>

#define SPARSE "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\nRW 4096 SPARSE \"a.vmdk\"\n"
static const char *const words[] = { "QFI\xfb", "KDMV", "conectix", "cxsparse", "# Disk DescriptorFile\n", "parentFileNameHint=\"x\"\n",
	"RW 99 FLAT \"y\" 0\n", "\nRW 4611686018427387904 FLAT \"y\"\n", "parentCID=1\n", "\xff\xff\xff\xff\xff\xff\xff\xff", "version=1\n" };

static void put_number(GByteArray *b, guint at, guint64 v, guint n, gboolean big)
{
	for (guint i = 0; i < n; i++)
		b->data[at + i] = (guint8)(v >> 8 * (big ? n - 1 - i : i));
}

static void make_qcow2(GByteArray *b)
{
	memcpy(b->data, "QFI\xfb", 4);
	put_number(b, 4, 3, 4, TRUE);
	put_number(b, 8, 512, 8, TRUE);
	put_number(b, 16, 5, 4, TRUE);
	put_number(b, 20, 10, 4, TRUE);
	put_number(b, 24, 1 << 20, 8, TRUE);
	put_number(b, 40, 1024, 8, TRUE);
	put_number(b, 48, 1024, 8, TRUE);
	put_number(b, 72, 4, 8, TRUE);
	put_number(b, 100, 104, 4, TRUE);
	put_number(b, 104, 0x44415441, 4, TRUE);
	put_number(b, 108, 5, 4, TRUE);
	memcpy(b->data + 112, "/data", 5);
	memcpy(b->data + 512, "/base", 5);
}

static void make_vmdk(GByteArray *b)
{
	memcpy(b->data, "KDMV", 4);
	put_number(b, 4, 1, 4, FALSE);
	put_number(b, 12, 4096, 8, FALSE);
	put_number(b, 20, 128, 8, FALSE);
	put_number(b, 28, 1, 8, FALSE);
	put_number(b, 36, 4, 8, FALSE);
	put_number(b, 56, 5, 8, FALSE);
	memcpy(b->data + 73, "\n \r\n", 4);
	memcpy(b->data + 512, SPARSE, sizeof(SPARSE) - 1);
}

/* The sum at place at of n bytes from start on. */
static void sum_up(GByteArray *b, guint start, guint n, guint at)
{
	guint32 sum = 0;

	if (b->len < start + n)
		return;
	put_number(b, start + at, 0, 4, TRUE);
	for (guint i = 0; i < n; i++)
		sum += b->data[start + i];
	put_number(b, start + at, ~sum, 4, TRUE);
}

static void make_vhd(GByteArray *b)
{
	guint at = b->len - 512;

	memcpy(b->data + at, "conectix", 8);
	put_number(b, at + 16, 512, 8, TRUE);
	put_number(b, at + 48, 4 << 20, 8, TRUE);
	put_number(b, at + 60, 4, 4, TRUE);
	memcpy(b->data + 512, "cxsparse", 8);
	put_number(b, 512 + 16, 1536, 8, TRUE);
	put_number(b, 512 + 28, 2, 4, TRUE);
	put_number(b, 512 + 32, 2 << 20, 4, TRUE);
	memcpy(b->data + 512 + 64, "\0p\0a\0r", 6);
}

/* After it was changed, or no change would get past the sums. */
static void mend_vhd(GByteArray *b)
{
	sum_up(b, 512, 1024, 36);
	if (b->len >= 512)
		sum_up(b, b->len - 512, 512, 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const make[])(GByteArray *) = { make_qcow2, make_vmdk, make_vhd };
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	guint kind = size ? data[0] % 5 : 4;
	ImageInfo info;
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("image", MFD_CLOEXEC);
	g_byte_array_set_size(bytes, 4096);
	memset(bytes->data, 0, bytes->len);
	if (kind < 3)
		make[kind](bytes);
	else if (kind == 3)
		memcpy(bytes->data, SPARSE, sizeof(SPARSE) - 1);
	mutate(bytes, data, size, words, G_N_ELEMENTS(words));
	if (kind == 2 && size > 1 && data[1] & 3)
		mend_vhd(bytes);
	g_assert_true(ftruncate(fd, 0) == 0 && pwrite(fd, bytes->data, bytes->len, 0) == (ssize_t)bytes->len);
	if (image_probe(fd, &info, &error)) {
		g_assert_true(info.virtual_size > 0 && info.virtual_size <= (guint64)64 << 40 && !error);
		g_assert_true(!info.backing || g_utf8_validate(info.backing, -1, NULL));
	} else {
		g_assert_true(error && !info.backing && g_utf8_validate(error->message, -1, NULL));
	}
	image_info_clear(&info);
	return 0;
}
