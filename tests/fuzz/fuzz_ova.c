// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an OVA: a good package with pieces changed, header sums mended so that the changes count. Whatever happens,
 * nothing is outside of the folder, and nothing is in it when it was refused. */
#include "mutate.h"
#include "vmfile.h"

#include <glib/gstdio.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OVF "<Envelope><References><File id=\"f\" href=\"d.img\"/></References><DiskSection><Disk diskId=\"d\" fileRef=\"f\" capacity=\"1\"/>" \
	"</DiskSection><VirtualSystem id=\"v\"/></Envelope>"
#define PAX "30 path=../../escape/climbing\n20 GNU.sparse.major=1\n20 size=9999999999\n"
static const char *const words[] = { "../x", "/tmp/x", "d.img", "v.ovf", "v.mf", "1", "2", "3", "5", "x", "g", "L", "K", "S", "V", "\0",
	"77777777777", "\x80\xff\xff\xff\xff\xff\xff\xff", "ustar", "ustar  ", PAX, "GNU.sparse.map=0,1", "hdrcharset=BINARY\n" };

static char *top, *dir;

static void remove_folder(void)
{
	g_rmdir(dir);
	g_rmdir(top);
}

/* A header with its sum: name, size, type. */
static void add_header(GByteArray *b, const char *name, guint size, char type)
{
	guint8 header[512] = { 0 };

	g_strlcpy((char *)header, name, 100);
	memcpy(header + 100, "0000644\0000000000\0000000000", 23);
	g_snprintf((char *)header + 124, 12, "%011o", size);
	memcpy(header + 136, "00000000000", 11);
	header[156] = (guint8)type;
	memcpy(header + 257, "ustar\00000", 8);
	g_byte_array_append(b, header, sizeof(header));
}

static void add_file(GByteArray *b, const char *name, const char *data, guint n, char type)
{
	static const guint8 zero[512];

	add_header(b, name, n, type);
	g_byte_array_append(b, (const guint8 *)data, n);
	g_byte_array_append(b, zero, (512 - n % 512) % 512);
}

static void mend_sums(GByteArray *b)
{
	for (guint at = 0; at + 512 <= b->len; at += 512) {
		guint sum = 0;

		if (memcmp(b->data + at + 257, "ustar", 5) != 0)
			continue;
		memset(b->data + at + 148, ' ', 8);
		for (guint i = 0; i < 512; i++)
			sum += b->data[at + i];
		g_snprintf((char *)b->data + at + 148, 8, "%06o", sum);
	}
}

static guint count_files(const char *folder, gboolean clear)
{
	g_autoptr(GDir) listing = g_dir_open(folder, 0, NULL);
	const char *name;
	guint n = 0;

	while (listing && (name = g_dir_read_name(listing))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		struct stat st;

		n++;
		g_assert_true(lstat(path, &st) == 0 && (S_ISREG(st.st_mode) || !clear));
		if (clear)
			g_unlink(path);
	}
	return n;
}

static void make_package(GByteArray *b, gboolean pax)
{
	static const guint8 end[1024];

	add_file(b, "v.ovf", OVF, sizeof(OVF) - 1, '0');
	if (pax)
		add_file(b, "pax", PAX, sizeof(PAX) - 1, 'x');
	add_file(b, "d.img", "data", 4, '0');
	g_byte_array_append(b, end, sizeof(end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(OvfMachine) machine = NULL;
	static int fd = -1;
	gboolean good;

	if (fd < 0) {
		fd = memfd_create("ova", MFD_CLOEXEC);
		top = g_dir_make_tmp(NULL, NULL);
		dir = g_build_filename(top, "to", NULL);
		atexit(remove_folder);
	}
	make_package(bytes, size > 0 && data[0] % 4 == 0);
	mutate(bytes, data, size, words, G_N_ELEMENTS(words));
	if (size > 1 && data[1] % 8)
		mend_sums(bytes);
	g_assert_true(ftruncate(fd, 0) == 0 && pwrite(fd, bytes->data, bytes->len, 0) == (ssize_t)bytes->len);
	good = ova_unpack(fd, dir, 1 << 20, &machine, NULL, NULL, NULL, &error);
	g_assert_true(good == !error && good == (machine != NULL));
	g_assert_cmpuint(count_files(dir, TRUE), ==, good ? machine->disks->len : 0);
	g_assert_cmpuint(count_files(top, FALSE), <=, 1);
	g_assert_true(!error || g_utf8_validate(error->message, -1, NULL));
	return 0;
}
