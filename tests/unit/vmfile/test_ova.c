// SPDX-License-Identifier: Apache-2.0
/* OVA packages: what we pack we unpack, and so does tar; every trick with names, links, sizes and digests is refused, and
 * then the folder is empty. */
#define _GNU_SOURCE
#include "ovf.h"

#include <archive.h>
#include <archive_entry.h>
#include <glib/gstdio.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#define LIMIT (64 << 20)
#define OVF   "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"><References><File id=\"f\" href=\"d.img\"/></References>" \
	"<DiskSection><Disk diskId=\"d\" fileRef=\"f\" capacity=\"1\"/></DiskSection><VirtualSystem id=\"v\"/></Envelope>"
#define DATA  "the disk's bytes, a raw image as far as anybody can tell"

static char *top, *dir;

typedef struct {
	const char *name, *data, *link; /* link: hard or symbolic */
	int type;                       /* 0: regular file */
	gint64 hole;                    /* after the data, so many bytes of nothing */
} Entry;

static void add_entry(struct archive *a, const Entry *e)
{
	struct archive_entry *entry = archive_entry_new();
	gsize n = e->data ? strlen(e->data) : 0;

	archive_entry_set_pathname(entry, e->name);
	archive_entry_set_filetype(entry, e->type ? (guint)e->type : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (gint64)n + e->hole);
	if (e->link && e->type == AE_IFLNK)
		archive_entry_set_symlink(entry, e->link);
	else if (e->link)
		archive_entry_set_hardlink(entry, e->link);
	if (e->hole) {
		archive_entry_sparse_add_entry(entry, 0, (gint64)n);
		archive_entry_sparse_add_entry(entry, (gint64)n + e->hole, 0);
	}
	g_assert_cmpint(archive_write_header(a, entry), >=, ARCHIVE_WARN);
	archive_write_data(a, e->data, n);
	archive_entry_free(entry);
}

static int tar(const Entry *entries, gsize n, int filter)
{
	struct archive *a = archive_write_new();
	int fd = memfd_create("tar", MFD_CLOEXEC);

	archive_write_set_format_pax_restricted(a);
	archive_write_add_filter(a, filter);
	g_assert_cmpint(archive_write_open_fd(a, fd), ==, ARCHIVE_OK);
	for (gsize i = 0; i < n; i++)
		add_entry(a, &entries[i]);
	g_assert_cmpint(archive_write_close(a), ==, ARCHIVE_OK);
	archive_write_free(a);
	return fd;
}
#define TAR(...) tar((const Entry[]){ __VA_ARGS__ }, sizeof((const Entry[]){ __VA_ARGS__ }) / sizeof(Entry), ARCHIVE_FILTER_NONE)

static guint count_files(const char *folder)
{
	g_autoptr(GDir) listing = g_dir_open(folder, 0, NULL);
	guint n = 0;

	while (listing && g_dir_read_name(listing))
		n++;
	return n;
}

static void wipe(void)
{
	g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
	const char *name;

	while (listing && (name = g_dir_read_name(listing))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		g_unlink(path);
	}
	g_rmdir(dir);
}

static void refused_limit(int fd, guint64 limit, GQuark domain, int code, const char *why)
{
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;

	if (ova_unpack(fd, dir, limit, &machine, NULL, NULL, NULL, &error))
		g_error("taken, but must be refused with '%s'", why);
	if (!g_error_matches(error, domain, code) || !strstr(error->message, why))
		g_error("'%s' (%d), where '%s' was expected", error->message, error->code, why);
	g_assert_null(machine);
	g_assert_cmpuint(count_files(dir), ==, 0);
	g_assert_cmpuint(count_files(top), <=, 1); /* nothing beside it either */
	wipe();
	close(fd);
}

static void refused(int fd, int code, const char *why)
{
	refused_limit(fd, LIMIT, VMFILE_ERROR, code, why);
}

static OvfMachine *unpack(int fd)
{
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;

	ova_unpack(fd, dir, LIMIT, &machine, NULL, NULL, NULL, &error);
	g_assert_no_error(error);
	close(fd);
	return machine;
}

static void has_file(const char *name, const char *data)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *text = NULL;
	struct stat st;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, data);
	g_assert_no_errno(stat(path, &st));
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
}

static void test_plain(void)
{
	g_autoptr(OvfMachine) m = unpack(TAR({ "./v.ovf", OVF }, { "extra.iso", "not asked for" }, { "d.img", DATA }));
	const OvfDisk *disk = m->disks->pdata[0];

	g_assert_cmpuint(count_files(dir), ==, 1);
	has_file("d.img", DATA);
	g_assert_cmpstr(disk->format, ==, "raw"); /* found out */
	g_assert_cmpuint(disk->capacity, ==, strlen(DATA));
	wipe();
}

static void test_late(void)
{
	g_autoptr(OvfMachine) m = unpack(TAR({ "d.img", DATA }, { "v.ovf", OVF })); /* not as it should be, but clear */

	has_file("d.img", DATA);
	wipe();
}

static void test_names(void)
{
	static const char *const names[] = { "../x", "/tmp/x", "a/../../x", "sub/x", "..", ".", "./../x", ".hidden", "a\nb", "././x",
		"a\x1b[31m", "\xe2\x80\xae" "x" };

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		refused(TAR({ "v.ovf", OVF }, { "d.img", DATA }, { names[i], "x" }), VMFILE_ERROR_INVALID, "no plain file name");
		refused(TAR({ names[i], "x" }, { "v.ovf", OVF }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "no plain file name");
	}
}

static void test_kinds(void)
{
	refused(TAR({ "v.ovf", OVF }, { "d.img", .type = AE_IFLNK, .link = "/etc/passwd" }), VMFILE_ERROR_INVALID, "link");
	refused(TAR({ "v.ovf", OVF }, { "x", .type = AE_IFLNK, .link = ".." }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "link");
	refused(TAR({ "v.ovf", OVF }, { "x", "y" }, { "d.img", .link = "x" }), VMFILE_ERROR_INVALID, "link");
	refused(TAR({ "v.ovf", OVF }, { "d.img", .type = AE_IFIFO }), VMFILE_ERROR_INVALID, "device");
	refused(TAR({ "v.ovf", OVF }, { "d.img", .type = AE_IFCHR }), VMFILE_ERROR_INVALID, "device");
	refused(TAR({ "v.ovf", OVF }, { "d.img", .type = AE_IFBLK }), VMFILE_ERROR_INVALID, "device");
	refused(TAR({ "v.ovf", OVF }, { "d.img", .type = AE_IFDIR }), VMFILE_ERROR_INVALID, "");
}

static void test_sizes(void)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autofree Entry *many = g_new0(Entry, 300);
	g_autofree char *large = g_strnfill(OVF_MAX_TEXT + 1, ' ');

	refused(TAR({ "v.ovf", OVF }, { "d.img", DATA, .hole = (gint64)1 << 40 }), VMFILE_ERROR_UNSUPPORTED, "holes");
	refused(TAR({ "v.ovf", OVF }, { "d.img", DATA, .hole = 1 << 20 }), VMFILE_ERROR_UNSUPPORTED, "holes");
	refused_limit(TAR({ "v.ovf", OVF }, { "d.img", DATA }), strlen(DATA) - 1, VMFILE_ERROR, VMFILE_ERROR_LIMIT, "room");
	refused(TAR({ "v.ovf", large }, { "d.img", DATA }), VMFILE_ERROR_LIMIT, "descriptor");
	for (guint i = 0; i < 300; i++) {
		g_ptr_array_add(names, g_strdup_printf("%u", i));
		many[i].name = names->pdata[i];
	}
	refused(tar(many, 300, ARCHIVE_FILTER_NONE), VMFILE_ERROR_LIMIT, "256 files");
}

static void test_contents(void)
{
	refused(TAR({ "v.ovf", OVF }), VMFILE_ERROR_INVALID, "lacks the disk 'd.img'");
	refused(TAR({ "v.ovf", OVF }, { "D.img", DATA }), VMFILE_ERROR_INVALID, "lacks the disk 'd.img'");
	refused(TAR({ "d.img", DATA }), VMFILE_ERROR_INVALID, "no descriptor");
	refused(TAR({ "v.ovf", OVF }, { "w.ovf", OVF }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "two descriptors");
	refused(TAR({ "v.ovf", OVF }, { "d.img", DATA }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "twice");
	refused(TAR({ "v.ovf", OVF }, { "d.img", DATA }, { "./d.img", DATA }), VMFILE_ERROR_INVALID, "twice");
	refused(TAR({ "v.ovf", "<a/>" }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "no Envelope");
	refused(TAR({ "v.ovf", OVF }, { "d.img", "" }), VMFILE_ERROR_INVALID, "'d.img': ");
	refused(TAR({ "v.ovf", OVF }, { "d.img", "# Disk DescriptorFile\nversion=1\nRW 8 FLAT \"/etc/shadow\" 0\n" }), VMFILE_ERROR_INVALID,
		"needs another file, '/etc/shadow'");
	refused(memfd_create("empty", 0), VMFILE_ERROR_INVALID, "is no OVA");
}

static void test_declared(void)
{
	g_auto(GStrv) parts = g_strsplit(OVF, "capacity", 2);
	g_autofree char *lies = g_strjoinv("format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#x\" capacity", parts);

	refused(TAR({ "v.ovf", lies }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "says that 'd.img' is vmdk, but it is raw");
}

/* Cut at any place it is refused, but for the zeroes at the end that nobody needs. */
static void test_cut(void)
{
	g_autofd int fd = TAR({ "v.ovf", OVF }, { "d.img", DATA });

	for (int n = 512 * 4 + 30; n >= 0; n -= 157) {
		g_assert_no_errno(ftruncate(fd, n));
		refused(dup(fd), VMFILE_ERROR_INVALID, "");
	}
}

static void test_filters(void)
{
	static const int filters[] = { ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD };
	static const Entry entries[] = { { "v.ovf", OVF }, { "d.img", DATA } };

	for (gsize i = 0; i < G_N_ELEMENTS(filters); i++) /* no bombs */
		refused(tar(entries, 2, filters[i]), VMFILE_ERROR_INVALID, "is no OVA");
}

static char *digests(GChecksumType type, const char *name, const char *ovf, const char *data)
{
	g_autofree char *a = g_compute_checksum_for_string(type, ovf, -1), *b = g_compute_checksum_for_string(type, data, -1);
	g_autofree char *upper = g_ascii_strup(b, -1);

	return g_strdup_printf("%s(v.ovf)= %s\r\n%s (d.img) = %s\n\n", name, a, name, upper);
}

static void test_manifest(void)
{
	static const struct { const char *name; GChecksumType type; } types[] = { { "SHA1", G_CHECKSUM_SHA1 }, { "sha256", G_CHECKSUM_SHA256 },
		{ "SHA384", G_CHECKSUM_SHA384 }, { "SHA512", G_CHECKSUM_SHA512 } };

	for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autofree char *right = digests(types[i].type, types[i].name, OVF, DATA);
		g_autofree char *disk = digests(types[i].type, types[i].name, OVF, DATA "x"), *ovf = digests(types[i].type, types[i].name, "x", DATA);
		g_autoptr(OvfMachine) first = unpack(TAR({ "v.ovf", OVF }, { "v.mf", right }, { "d.img", DATA })), last = NULL;

		wipe();
		last = unpack(TAR({ "v.ovf", OVF }, { "d.img", DATA }, { "v.mf", right }));
		wipe();
		refused(TAR({ "v.ovf", OVF }, { "v.mf", disk }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "'d.img' damaged");
		refused(TAR({ "v.ovf", OVF }, { "d.img", DATA }, { "v.mf", disk }), VMFILE_ERROR_INVALID, "'d.img' damaged");
		refused(TAR({ "v.ovf", OVF }, { "v.mf", ovf }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "'v.ovf' damaged");
	}
}

#define ZERO40 "0000000000000000000000000000000000000000"

static void test_manifest_bad(void)
{
	static const struct { const char *text; int code; const char *why; } bad[] = {
		{ "", VMFILE_ERROR_INVALID, "without 'v.ovf'" },
		{ "MD5(v.ovf)= 00000000000000000000000000000000", VMFILE_ERROR_UNSUPPORTED, "SHA-1" },
		{ "hello", VMFILE_ERROR_INVALID, "a line that is none" },
		{ "SHA1(v.ovf)", VMFILE_ERROR_INVALID, "a line that is none" },
		{ "SHA1=(v.ovf)", VMFILE_ERROR_INVALID, "a line that is none" },
		{ "SHA1(v.ovf x= " ZERO40, VMFILE_ERROR_INVALID, "a line that is none" },
		{ "SHA1(v.ovf) x = " ZERO40, VMFILE_ERROR_INVALID, "a line that is none" },
		{ "SHA1(v.ovf)= 00", VMFILE_ERROR_INVALID, "a digest of 'v.ovf' that is none" },
		{ "SHA1(v.ovf)= g" ZERO40, VMFILE_ERROR_INVALID, "a digest of 'v.ovf' that is none" },
		{ "SHA256(v.ovf)= " ZERO40, VMFILE_ERROR_INVALID, "a digest of 'v.ovf' that is none" },
		{ "SHA1(v.ovf)= " ZERO40 "\nSHA1(v.ovf)= " ZERO40, VMFILE_ERROR_INVALID, "two digests of 'v.ovf'" },
	};
	g_autofree char *ovf = g_compute_checksum_for_string(G_CHECKSUM_SHA1, OVF, -1), *half = g_strdup_printf("SHA1(v.ovf)= %s", ovf);
	g_autofree char *large = g_strnfill(256 * 1024 + 1, '\n');

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
		refused(TAR({ "v.ovf", OVF }, { "v.mf", bad[i].text }, { "d.img", DATA }), bad[i].code, bad[i].why);
	refused(TAR({ "v.ovf", OVF }, { "v.mf", half }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "without 'd.img'");
	refused(TAR({ "v.ovf", OVF }, { "v.mf", half }, { "w.mf", half }, { "d.img", DATA }), VMFILE_ERROR_INVALID, "two manifests");
	refused(TAR({ "v.ovf", OVF }, { "v.mf", large }, { "d.img", DATA }), VMFILE_ERROR_LIMIT, "manifest");
}

static void test_folder(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(dir, "mine", NULL), *victim = g_build_filename(top, "victim", NULL);
	g_autofd int fd = TAR({ "v.ovf", OVF }, { "d.img", DATA });
	OvfMachine *machine = NULL;

	g_assert_no_errno(g_mkdir(dir, 0700));
	g_assert_true(g_file_set_contents(path, "mine", -1, NULL));
	g_assert_false(ova_unpack(fd, dir, LIMIT, &machine, NULL, NULL, NULL, &error));
	g_assert_nonnull(strstr(error->message, "not empty"));
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	wipe();
	g_clear_error(&error);
	g_assert_no_errno(g_mkdir(victim, 0700));
	g_assert_no_errno(symlink("victim", dir));
	g_assert_false(ova_unpack(fd, dir, LIMIT, &machine, NULL, NULL, NULL, &error));
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_IO);
	g_assert_cmpuint(count_files(victim), ==, 0);
	g_unlink(dir);
	g_rmdir(victim);
}

static void test_no_file(void)
{
	int ends[2];

	g_assert_no_errno(pipe(ends));
	refused(ends[0], VMFILE_ERROR_INVALID, "not a regular file");
	close(ends[1]);
}

/* No room: here a limit of the size of files stands for a full disk. */
static void test_full(void)
{
	struct rlimit old, small = { 20, 20 };
	int fd = TAR({ "v.ovf", OVF }, { "d.img", DATA });
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	g_assert_false(ova_unpack(fd, dir, LIMIT, &machine, NULL, NULL, NULL, &error));
	setrlimit(RLIMIT_FSIZE, &old);
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_IO);
	g_assert_nonnull(strstr(error->message, "'d.img' cannot be unpacked: File too large"));
	g_assert_cmpuint(count_files(dir), ==, 0);
	close(fd);
	wipe();
}

typedef struct {
	double last;
	guint calls;
	GCancellable *cancel;
	int truncate;
} Watch;

static void watch(double fraction, gpointer data)
{
	Watch *w = data;

	g_assert_cmpfloat(fraction, >=, w->last);
	g_assert_cmpfloat(fraction, <=, 1);
	w->last = fraction;
	if (++w->calls == 2 && w->cancel)
		g_cancellable_cancel(w->cancel);
	if (w->truncate > 0)
		g_assert_no_errno(ftruncate(w->truncate, 1 << 20));
}

static char *make_disk(const char *name, gsize n)
{
	char *path = g_build_filename(top, name, NULL);
	g_autofree char *data = g_malloc(n);

	for (gsize i = 0; i < n; i++)
		data[i] = (char)(i * 7 + i / 251);
	g_assert_true(g_file_set_contents(path, data, (gssize)n, NULL));
	return path;
}

static OvfMachine *machine_of(gsize a, gsize b)
{
	OvfMachine *m = ovf_new();

	m->title = g_strdup("Work");
	ovf_add_disk(m, "a", "a.img", "raw", a);
	ovf_add_disk(m, "b", "b b.img", "raw", b);
	return m;
}

static void test_round(void)
{
	g_autofree char *a = make_disk("a", 3 << 20), *b = make_disk("b", 1000), *data = NULL, *back = NULL, *path = NULL;
	const char *const files[] = { a, b, NULL };
	g_autoptr(OvfMachine) m = machine_of(3 << 20, 1000), again = NULL;
	g_autofd int fd = memfd_create("ova", MFD_CLOEXEC);
	g_autoptr(GError) error = NULL;
	Watch packing = { 0 }, unpacking = { 0 };

	g_free(((OvfDisk *)m->disks->pdata[1])->href);
	((OvfDisk *)m->disks->pdata[1])->href = g_strdup("b ü.img");
	g_assert_cmpint(write(fd, "old stuff", 9), ==, 9);
	ova_pack(fd, m, files, watch, &packing, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(packing.last == 1 && packing.calls > 10);
	ova_unpack(fd, dir, LIMIT, &again, watch, &unpacking, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(unpacking.last > 0.9 && unpacking.calls > 10);
	g_assert_true(again->disks->len == 2 && g_str_equal(again->title, "Work"));
	g_assert_true(g_file_get_contents(a, &data, NULL, NULL));
	path = g_build_filename(dir, "a.img", NULL);
	g_assert_true(g_file_get_contents(path, &back, NULL, NULL));
	g_assert_cmpmem(data, 3 << 20, back, 3 << 20);
	g_assert_cmpuint(count_files(dir), ==, 2);
	wipe();
	g_unlink(a);
	g_unlink(b);
}

/* Others can read it: names in the order of the standard, digests that sha256sum agrees with. */
static void test_tar(void)
{
	g_autofree char *a = make_disk("a", 5000), *b = make_disk("b", 1000), *ova = g_build_filename(top, "x.ova", NULL);
	g_autofree char *list = g_strdup_printf("tar tf %s", ova), *cat = g_strdup_printf("tar xOf %s machine.mf", ova);
	g_autofree char *names = NULL, *manifest = NULL, *line = NULL, *sum = NULL, *data = NULL;
	g_autofd int fd = open(ova, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const char *const files[] = { a, b, NULL };
	g_autoptr(OvfMachine) m = machine_of(5000, 1000);
	int status;

	g_assert_true(ova_pack(fd, m, files, NULL, NULL, NULL, NULL));
	g_assert_true(g_spawn_command_line_sync(list, &names, NULL, &status, NULL) && status == 0);
	g_assert_cmpstr(names, ==, "machine.ovf\na.img\nb b.img\nmachine.mf\n");
	g_assert_true(g_spawn_command_line_sync(cat, &manifest, NULL, &status, NULL) && status == 0);
	g_assert_true(g_file_get_contents(a, &data, NULL, NULL));
	sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)data, 5000);
	line = g_strdup_printf("\nSHA256(a.img)= %s\n", sum);
	g_assert_nonnull(strstr(manifest, line));
	g_unlink(a);
	g_unlink(b);
	g_unlink(ova);
}

static void test_cancel(void)
{
	g_autofree char *a = make_disk("a", 3 << 20), *b = make_disk("b", 1000);
	const char *const files[] = { a, b, NULL };
	g_autoptr(OvfMachine) m = machine_of(3 << 20, 1000);
	g_autoptr(GCancellable) one = g_cancellable_new(), two = g_cancellable_new();
	g_autofd int fd = memfd_create("ova", MFD_CLOEXEC);
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;
	Watch packing = { .cancel = one }, unpacking = { .cancel = two };

	g_assert_false(ova_pack(fd, m, files, watch, &packing, one, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 0);
	g_clear_error(&error);
	g_assert_true(ova_pack(fd, m, files, NULL, NULL, NULL, NULL));
	g_assert_false(ova_unpack(fd, dir, LIMIT, &machine, watch, &unpacking, two, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_cmpuint(unpacking.calls, ==, 2);
	g_assert_cmpuint(count_files(dir), ==, 0);
	g_assert_null(machine);
	wipe();
	g_unlink(a);
	g_unlink(b);
}

/* Who gave the file cuts it while it is read. */
static void test_changing(void)
{
	g_autofree char *a = make_disk("a", 3 << 20), *b = make_disk("b", 1000);
	const char *const files[] = { a, b, NULL };
	g_autoptr(OvfMachine) m = machine_of(3 << 20, 1000);
	g_autofd int fd = memfd_create("ova", MFD_CLOEXEC);
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;
	Watch unpacking = { .truncate = fd };

	g_assert_true(ova_pack(fd, m, files, NULL, NULL, NULL, NULL));
	g_assert_false(ova_unpack(fd, dir, LIMIT, &machine, watch, &unpacking, NULL, &error));
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID);
	g_assert_cmpuint(count_files(dir), ==, 0);
	wipe();
	g_unlink(a);
	g_unlink(b);
}

#define TWO "<Envelope><References><File id=\"f\" href=\"a\"/><File id=\"g\" href=\"b\"/></References><DiskSection>" \
	"<Disk diskId=\"d\" fileRef=\"f\" capacity=\"1\"/><Disk diskId=\"e\" fileRef=\"g\" capacity=\"1\"/></DiskSection>" \
	"<VirtualSystem id=\"v\"/></Envelope>"

typedef struct {
	int fd, other;
	guint calls;
} Swap;

/* At the first block of the first disk another package takes the place of this one. */
static void swap(double fraction, gpointer data)
{
	Swap *s = data;
	g_autofree char *bytes = g_malloc(8 << 20);
	ssize_t n;

	(void)fraction;
	if (s->calls++)
		return;
	n = pread(s->other, bytes, 8 << 20, 0);
	g_assert_cmpint(n, >, 1 << 20);
	g_assert_cmpint(pwrite(s->fd, bytes, (size_t)n, 0), ==, n);
}

static void swapped(int fd, int other, int code, const char *why)
{
	Swap s = { fd, other, 0 };
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = NULL;

	g_assert_false(ova_unpack(fd, dir, 2 << 20, &machine, swap, &s, NULL, &error));
	if (!g_error_matches(error, VMFILE_ERROR, code) || !strstr(error->message, why))
		g_error("'%s' (%d), where '%s' was expected", error->message, error->code, why);
	g_assert_cmpuint(count_files(dir), ==, 0);
	wipe();
	close(fd);
	close(other);
}

/* What was right the first time is not taken for right the second time. */
static void test_swapped(void)
{
	g_autofree char *a = g_strnfill(1 << 20, 'a'), *large = g_strnfill(2 << 20, 'b');
	Swap none = { 0 };
	OvfMachine *machine = NULL;
	g_autofd int fd = TAR({ "v.ovf", TWO }, { "a", a }, { "b", large });

	swapped(TAR({ "v.ovf", TWO }, { "a", a }, { "b", "b" }), TAR({ "v.ovf", TWO }, { "a", a }, { "b", large }), VMFILE_ERROR_LIMIT, "room");
	swapped(TAR({ "v.ovf", TWO }, { "a", a }, { "b", "b" }), TAR({ "v.ovf", TWO }, { "a", a }, { "a", "b" }), VMFILE_ERROR_IO, "File exists");
	swapped(TAR({ "v.ovf", TWO }, { "a", a }, { "b", "b" }), TAR({ "v.ovf", TWO }, { "a", a }, { "c", "b" }), VMFILE_ERROR_INVALID, "changed");
	swapped(TAR({ "v.ovf", TWO }, { "a", a }, { "b", "b" }), TAR({ "v.ovf", TWO }, { "a", a }, { "../b", "b" }), VMFILE_ERROR_INVALID, "name");
	g_assert_false(ova_unpack(fd, dir, 2 << 20, &machine, swap, &none, NULL, NULL));
	g_assert_cmpuint(none.calls, ==, 0); /* too large from the beginning: nothing was written */
	wipe();
}

static void pack_refused(int fd, const OvfMachine *m, const char *const *files, const char *why)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(ova_pack(fd, m, files, NULL, NULL, NULL, &error));
	g_assert_nonnull(error);
	if (!strstr(error->message, why))
		g_error("'%s', where '%s' was expected", error->message, why);
}

static void test_pack_bad(void)
{
	static const char *const names[] = { "../a", "a/b", "", "machine.ovf", "machine.mf", "b b.img", ".a" };
	g_autofree char *a = make_disk("a", 1000);
	const char *const files[] = { a, a, NULL }, *const missing[] = { a, "/nonexistent", NULL }, *const folder[] = { a, top, NULL };
	g_autofd int fd = memfd_create("ova", MFD_CLOEXEC), unwritable = open(a, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDWR);
	g_autoptr(OvfMachine) m = machine_of(1000, 1000);

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(OvfMachine) odd = machine_of(1000, 1000);
		OvfDisk *disk = odd->disks->pdata[0];

		g_free(disk->href);
		disk->href = g_strdup(names[i]);
		pack_refused(fd, odd, files, "cannot have a disk with the name");
	}
	pack_refused(fd, m, missing, "/nonexistent: cannot be packed: No such file");
	g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 0);
	pack_refused(fd, m, folder, "not a regular file");
	pack_refused(unwritable, m, files, "cannot be written");
	pack_refused(null, m, files, "regular file");
	g_unlink(a);
}

static void test_pack_full(void)
{
	g_autofree char *a = make_disk("a", 3 << 20), *b = make_disk("b", 1000), *ova = g_build_filename(top, "x.ova", NULL);
	const char *const files[] = { a, b, NULL };
	g_autoptr(OvfMachine) m = machine_of(3 << 20, 1000);
	g_autofd int fd = open(ova, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct rlimit old, small;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ 1 << 20, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);
	pack_refused(fd, m, files, "cannot be written");
	setrlimit(RLIMIT_FSIZE, &old);
	g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 0);
	g_unlink(a);
	g_unlink(b);
	g_unlink(ova);
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	top = g_dir_make_tmp(NULL, NULL);
	dir = g_build_filename(top, "to", NULL);
	g_test_add_func("/ova/plain", test_plain);
	g_test_add_func("/ova/late", test_late);
	g_test_add_func("/ova/names", test_names);
	g_test_add_func("/ova/kinds", test_kinds);
	g_test_add_func("/ova/sizes", test_sizes);
	g_test_add_func("/ova/contents", test_contents);
	g_test_add_func("/ova/declared", test_declared);
	g_test_add_func("/ova/cut", test_cut);
	g_test_add_func("/ova/filters", test_filters);
	g_test_add_func("/ova/manifest", test_manifest);
	g_test_add_func("/ova/manifest/bad", test_manifest_bad);
	g_test_add_func("/ova/folder", test_folder);
	g_test_add_func("/ova/no-file", test_no_file);
	g_test_add_func("/ova/full", test_full);
	g_test_add_func("/ova/round", test_round);
	g_test_add_func("/ova/tar", test_tar);
	g_test_add_func("/ova/cancel", test_cancel);
	g_test_add_func("/ova/changing", test_changing);
	g_test_add_func("/ova/swapped", test_swapped);
	g_test_add_func("/ova/pack/bad", test_pack_bad);
	g_test_add_func("/ova/pack/full", test_pack_full);
	status = g_test_run();
	g_rmdir(top);
	g_free(dir);
	g_free(top);
	return status;
}
