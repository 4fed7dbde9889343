/* SPDX-License-Identifier: Apache-2.0 */
/* LUKS2 volumes: the header and its key slots on any machine; opened, filled, closed and grown full where the kernel has
 * dm-crypt and root asks, and refused in words where not. */
#define _GNU_SOURCE
#include "common.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libcryptsetup.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A person waits a second for a key; a test has no need to. */
static const struct crypt_pbkdf_type quick = {
	.type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK};

static const struct crypt_pbkdf_type *shipped;

static void test_keys(void)
{
	char *dir = fresh_dir();
	g_autofree char *file = in_dir(dir, "VM.luks"), *text = NULL;
	const char *passphrase = "pässword mit Leerzeichen";
	struct stat st;
	gsize length;

	assert_works(vault_format(file, 64 * MIB, passphrase, &error));
	g_assert_cmpint(stat(file, &st), ==, 0);
	g_assert_cmpuint((guint64)st.st_size, ==, 80 * MIB);
	g_assert_cmpuint((guint64)st.st_blocks * 512, <, 20 * MIB);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	assert_works(vault_check(file, passphrase, &error));
	assert_fails(vault_check(file, "other", &error), DISK_ERROR_WRONG_KEY);
	assert_fails(vault_check(file, "", &error), DISK_ERROR_WRONG_KEY);
	assert_works(g_file_get_contents(file, &text, &length, &error));
	g_assert_null(memmem(text, length, passphrase, strlen(passphrase)));
	remove_dir(dir);
}

/* The key derivation that people get. */
static void test_derivation(void)
{
	const struct crypt_pbkdf_type *tests = vault_pbkdf;
	char *dir = fresh_dir();
	g_autofree char *file = in_dir(dir, "VM.luks");
	struct crypt_device *device;
	struct crypt_pbkdf_type slot;

	vault_pbkdf = shipped;
	assert_works(vault_create(file, 64 * MIB, "one", &error));
	vault_pbkdf = tests;
	g_assert_cmpint(crypt_init(&device, file), ==, 0);
	g_assert_cmpint(crypt_load(device, CRYPT_LUKS2, NULL), ==, 0);
	g_assert_cmpint(crypt_keyslot_get_pbkdf(device, 0, &slot), ==, 0);
	g_assert_cmpstr(slot.type, ==, "argon2id");
	g_assert_cmpuint(slot.max_memory_kb, >=, 64 * 1024);
	g_assert_cmpstr(crypt_get_cipher(device), ==, "aes");
	g_assert_cmpint(crypt_get_volume_key_size(device), ==, 64);
	crypt_free(device);
	remove_dir(dir);
}

static void test_change(void)
{
	char *dir = fresh_dir();
	g_autofree char *file = in_dir(dir, "VM.luks");
	g_autofree char *long_one = g_strnfill(513, 'x');

	assert_fails(vault_create(file, 64 * MIB, "", &error), DISK_ERROR_INVALID);
	assert_fails(vault_create(file, 64 * MIB, long_one, &error), DISK_ERROR_INVALID);
	assert_fails(vault_create(file, 4097, "one", &error), DISK_ERROR_INVALID);
	assert_works(vault_create(file, 64 * MIB, "one", &error));
	assert_fails(vault_create(file, 64 * MIB, "one", &error), DISK_ERROR_EXISTS);
	assert_fails(vault_change(file, "wrong", "two", &error), DISK_ERROR_WRONG_KEY);
	assert_fails(vault_change(file, "one", "", &error), DISK_ERROR_INVALID);
	assert_works(vault_change(file, "one", "two", &error));
	assert_works(vault_check(file, "two", &error));
	assert_fails(vault_check(file, "one", &error), DISK_ERROR_WRONG_KEY);
	remove_dir(dir);
}

static void test_damaged(void)
{
	char *dir = fresh_dir();
	g_autofree char *file = in_dir(dir, "VM.luks"), *other = in_dir(dir, "other"),
			*missing = in_dir(dir, "missing");
	guint8 junk[4096];
	int fd;

	memset(junk, 0xa5, sizeof junk);
	assert_works(vault_format(file, 32 * MIB, "one", &error));
	fd = g_open(file, O_RDWR);
	g_assert_cmpint(pwrite(fd, junk, sizeof junk, 0), ==, sizeof junk); /* the first header: there is a second */
	assert_works(vault_check(file, "one", &error));
	for (off_t at = 0; at < 64 * 1024; at += (off_t)sizeof junk)
		g_assert_cmpint(pwrite(fd, junk, sizeof junk, at), ==, sizeof junk);
	close(fd);
	assert_fails(vault_check(file, "one", &error), DISK_ERROR_CORRUPT);
	g_assert_true(g_file_set_contents(other, "no volume", -1, NULL));
	assert_fails(vault_check(other, "one", &error), DISK_ERROR_CORRUPT);
	assert_fails(vault_check(missing, "one", &error), DISK_ERROR_NOT_FOUND);
	remove_dir(dir);
}

static void test_secret(void)
{
	char *secret = vault_secret("from the bus");

	g_assert_cmpstr(secret, ==, "from the bus");
	vault_secret_free(secret);
}

static gboolean kernel_has_it(void)
{
	int mapper = open("/dev/mapper/control", O_RDWR), loop = open("/dev/loop-control", O_RDWR);
	gboolean both = mapper >= 0 && loop >= 0;

	close(mapper);
	close(loop);
	return both;
}

/* Both kinds of machine check something: the round trip, or that it is refused and nothing is left. */
static void test_open(void)
{
	char *dir = fresh_dir();
	g_autofree char *file = in_dir(dir, "VM.luks"), *at = in_dir(dir, "mnt"), *inside = in_dir(at, "disk.qcow2");
	g_autofree char *name = g_strdup_printf("carrel-test-%d", (int)getpid());

	assert_works(vault_format(file, 64 * MIB, "one", &error));
	if (!kernel_has_it()) {
		g_test_message("no dm-crypt here: that a volume opens, mounts and closes was not tested");
		assert_fails(vault_open(file, name, at, "one", &error), DISK_ERROR_UNSUPPORTED);
		assert_works(vault_close(name, at, &error));
		g_assert_false(g_file_test(at, G_FILE_TEST_EXISTS));
		remove_dir(dir);
		return;
	}
	assert_fails(vault_open(file, name, at, "two", &error), DISK_ERROR_WRONG_KEY);
	for (guint round = 0; round < 2; round++) {
		assert_works(vault_open(file, name, at, "one", &error));
		assert_works(vault_open(file, name, at, "one", &error));
		assert_fails(vault_open(file, name, at, "two", &error), DISK_ERROR_WRONG_KEY);
		if (round == 0)
			assert_works(disk_create(inside, 16 * MIB, &error));
		g_assert_true(image_has(inside, 0, 0, 1));
		assert_works(vault_close(name, at, &error));
		g_assert_false(g_file_test(inside, G_FILE_TEST_EXISTS));
		assert_works(vault_close(name, at, &error));
	}
	remove_dir(dir);
}

int main(int argc, char **argv)
{
	gboolean had_node = g_file_test("/dev/mapper/control", G_FILE_TEST_EXISTS);
	int rc;

	g_test_init(&argc, &argv, NULL);
	shipped = vault_pbkdf;
	vault_pbkdf = &quick;
	g_test_add_func("/disk/vault/keys", test_keys);
	g_test_add_func("/disk/vault/derivation", test_derivation);
	g_test_add_func("/disk/vault/change", test_change);
	g_test_add_func("/disk/vault/damaged", test_damaged);
	g_test_add_func("/disk/vault/secret", test_secret);
	g_test_add_func("/disk/vault/open", test_open);
	rc = g_test_run();
	if (!had_node && !kernel_has_it()) { /* libdevmapper makes one, driver or not */
		g_remove("/dev/mapper/control");
		g_rmdir("/dev/mapper");
	}
	return rc;
}
