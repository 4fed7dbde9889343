/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted directories: LUKS2 in a sparse file. libcryptsetup keeps keys in locked memory and wipes it. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES (16u << 20)
#define LEAST_BYTES  (16u << 20)
#define LABEL_EMPTY  "carrel-new" /* no file system yet */
#define LABEL        "carrel"

/* A second on the machine it is made on, and memory that the service domain has. */
static const struct crypt_pbkdf_type default_pbkdf = {.type = CRYPT_KDF_ARGON2ID,
	.hash = "sha256",
	.time_ms = 1000,
	.max_memory_kb = 256 * 1024,
	.parallel_threads = 2};
const struct crypt_pbkdf_type *vault_pbkdf = &default_pbkdf;

char *vault_secret(const char *passphrase)
{
	gsize size = strlen(passphrase) + 1;
	char *secret = crypt_safe_alloc(size);

	if (!secret)
		g_error("no memory for a passphrase");
	return memcpy(secret, passphrase, size);
}

void vault_secret_free(char *secret)
{
	crypt_safe_free(secret);
}

static gboolean crypt_failure(GError **error, const char *file, const char *what, int rc)
{
	if (rc == -EPERM)
		g_set_error(error, DISK_ERROR, DISK_ERROR_WRONG_KEY, "%s: the passphrase is wrong", file);
	else if (rc == -EBUSY)
		g_set_error(error, DISK_ERROR, DISK_ERROR_BUSY, "%s: cannot %s: something still uses it", file, what);
	else if (rc == -EINVAL)
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
			"%s: cannot %s: not a LUKS2 volume, or a damaged one", file, what);
	else
		return file_error(error, file, what, -rc);
	return FALSE;
}

static void quiet(G_GNUC_UNUSED int level, const char *message, gpointer file)
{
	g_debug("%s: %s", (const char *)file, message);
}

static struct crypt_device *begin(const char *file, GError **error)
{
	struct crypt_device *device;
	int rc = access(file, R_OK | W_OK) ? -errno : crypt_init(&device, file);

	if (rc) {
		file_error(error, file, "open", -rc);
		return NULL;
	}
	crypt_set_log_callback(device, quiet, (gpointer)file);
	return device;
}

static struct crypt_device *load(const char *file, GError **error)
{
	struct crypt_device *device = begin(file, error);
	int rc = device ? crypt_load(device, CRYPT_LUKS2, NULL) : 0;

	if (!rc)
		return device;
	crypt_failure(error, file, "read its header", rc == -EIO ? -EINVAL : rc); /* shorter than a header */
	crypt_free(device);
	return NULL;
}

gboolean vault_format(const char *file, guint64 size, const char *passphrase, GError **error)
{
	struct crypt_params_luks2 params = {.pbkdf = vault_pbkdf, .sector_size = 4096, .label = LABEL_EMPTY};
	int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;
	struct crypt_device *device;

	if (fd < 0)
		return file_error(error, file, "create", errno);
	if (ftruncate(fd, (off_t)(size + HEADER_BYTES)))
		rc = -errno;
	close(fd);
	if (rc)
		return file_error(error, file, "set the size", -rc);
	device = begin(file, error);
	if (!device)
		return FALSE;
	rc = crypt_format(device, CRYPT_LUKS2, "aes", "xts-plain64", NULL, NULL, 64, &params);
	if (!rc)
		rc = crypt_keyslot_add_by_volume_key(device, CRYPT_ANY_SLOT, NULL, 0, passphrase, strlen(passphrase));
	crypt_free(device);
	return rc < 0 ? crypt_failure(error, file, "write its header", rc) : TRUE;
}

static gboolean passphrase_valid(const char *file, const char *passphrase, GError **error)
{
	if (*passphrase && strlen(passphrase) <= 512)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID, "%s: a passphrase is 1 to 512 bytes", file);
	return FALSE;
}

gboolean vault_create(const char *file, guint64 size, const char *passphrase, GError **error)
{
	g_autofree char *fresh = g_strconcat(file, ".new", NULL);

	if (!passphrase_valid(file, passphrase, error))
		return FALSE;
	if (size < LEAST_BYTES || size > G_MAXINT64 / 2 || size % 4096) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID,
			"%s: the size must be a multiple of 4096, 16 MiB at least", file);
		return FALSE;
	}
	if (g_file_test(file, G_FILE_TEST_EXISTS)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_EXISTS, "%s: is there already", file);
		return FALSE;
	}
	if (file_remove(fresh, error) && vault_format(fresh, size, passphrase, error) && file_sync(fresh, error) &&
		file_rename(fresh, file, FALSE, error))
		return TRUE;
	unlink(fresh);
	return FALSE;
}

gboolean vault_check(const char *file, const char *passphrase, GError **error)
{
	struct crypt_device *device = load(file, error);
	int rc;

	if (!device)
		return FALSE;
	rc = crypt_activate_by_passphrase(device, NULL, CRYPT_ANY_SLOT, passphrase, strlen(passphrase), 0);
	crypt_free(device);
	return rc < 0 ? crypt_failure(error, file, "unlock", rc) : TRUE;
}

/* The new key slot is whole before the old one goes. */
gboolean vault_change(const char *file, const char *old_passphrase, const char *new_passphrase, GError **error)
{
	struct crypt_device *device = passphrase_valid(file, new_passphrase, error) ? load(file, error) : NULL;
	int rc;

	if (!device)
		return FALSE;
	crypt_set_pbkdf_type(device, vault_pbkdf);
	rc = crypt_keyslot_change_by_passphrase(device, CRYPT_ANY_SLOT, CRYPT_ANY_SLOT, old_passphrase,
		strlen(old_passphrase), new_passphrase, strlen(new_passphrase));
	crypt_free(device);
	return rc < 0 ? crypt_failure(error, file, "change the passphrase", rc) : file_sync(file, error);
}

static gboolean is_mounted(const char *name, const char *mountpoint)
{
	g_autofree char *text = NULL, *wanted = g_canonicalize_filename(mountpoint, NULL),
			*source = g_strconcat("/dev/mapper/", name, NULL);
	g_auto(GStrv) lines = NULL;
	gboolean found = FALSE;

	if (!g_file_get_contents("/proc/self/mounts", &text, NULL, NULL))
		return FALSE;
	lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", 3);
		g_autofree char *at = words[0] && words[1] ? g_strcompress(words[1]) : NULL; /* blanks are \\040 */

		found |= at && !strcmp(words[0], source) && !strcmp(at, wanted);
	}
	return found;
}

/* The node may be there without a driver behind it. */
static gboolean opens(const char *node)
{
	int fd = open(node, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Until somebody has used the device mapper it may have no node: libcryptsetup makes it, and the node loads the driver. */
static gboolean have_mapper(const char *file, const char *name, GError **error)
{
	(void)crypt_status(NULL, name);
	if (opens("/dev/mapper/control") && opens("/dev/loop-control"))
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED,
		"%s: cannot be opened: it takes root and a kernel with dm-crypt and loop (modprobe dm-crypt loop)",
		file);
	return FALSE;
}

static gboolean make_file_system(struct crypt_device *device, const char *file, const char *node, GError **error)
{
	const char *argv[] = {"mkfs.ext4", "-q", "-F", "-m", "0", node, NULL};
	const DiskJob job = {0};
	int rc;

	if (!tool_run(file, argv, &job, NULL, NULL, error))
		return FALSE;
	rc = crypt_set_label(device, LABEL, NULL);
	return rc < 0 ? crypt_failure(error, file, "label", rc) : TRUE;
}

static gboolean mount_vault(
	struct crypt_device *device, const char *file, const char *name, const char *mountpoint, GError **error)
{
	g_autofree char *node = g_strconcat("/dev/mapper/", name, NULL);

	if (!g_strcmp0(crypt_get_label(device), LABEL_EMPTY) && !make_file_system(device, file, node, error))
		return FALSE;
	if (g_mkdir_with_parents(mountpoint, 0700) ||
		mount(node, mountpoint, "ext4", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, "discard"))
		return file_error(error, mountpoint, "mount the VM's volume", errno);
	return TRUE;
}

gboolean vault_open(const char *file, const char *name, const char *mountpoint, const char *passphrase, GError **error)
{
	struct crypt_device *device;
	gboolean ok = FALSE;
	int rc;

	if (!passphrase_valid(file, passphrase, error) || !have_mapper(file, name, error))
		return FALSE;
	if (is_mounted(name, mountpoint))
		return vault_check(file, passphrase, error);
	/* Left mapped but not mounted: by a daemon that was killed in between. */
	if (crypt_status(NULL, name) != CRYPT_INACTIVE && !vault_close(name, mountpoint, error))
		return FALSE;
	device = load(file, error);
	if (!device)
		return FALSE;
	rc = crypt_activate_by_passphrase(
		device, name, CRYPT_ANY_SLOT, passphrase, strlen(passphrase), CRYPT_ACTIVATE_ALLOW_DISCARDS);
	if (rc < 0)
		crypt_failure(error, file, "unlock", rc);
	else
		ok = mount_vault(device, file, name, mountpoint, error);
	if (rc >= 0 && !ok)
		crypt_deactivate(device, name);
	crypt_free(device);
	return ok;
}

gboolean vault_close(const char *name, const char *mountpoint, GError **error)
{
	int rc;

	if (is_mounted(name, mountpoint) && umount2(mountpoint, 0)) {
		if (errno == EBUSY)
			return crypt_failure(error, mountpoint, "unmount", -EBUSY);
		return file_error(error, mountpoint, "unmount", errno);
	}
	if (!opens("/dev/mapper/control")) /* then nothing is open */
		return TRUE;
	rc = crypt_deactivate(NULL, name);
	return rc < 0 && rc != -ENODEV ? crypt_failure(error, name, "close", rc) : TRUE;
}
