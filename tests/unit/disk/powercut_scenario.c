/* SPDX-License-Identifier: Apache-2.0 */
/* Under lossy.c's eyes: a guest writes and flushes while its disks have snapshots taken, deleted, cloned and reverted by the
 * real code and the real QEMU. What it wrote and what it knows to be flushed goes into the log too, as marks:
 * write (record, first sector << 32 | sectors), flushed (record), begin and end of each operation.
 * usage: powercut_scenario DIRECTORY, which has vm and copy in it. */
#include "common.h"
#include "lossy.h"
#include "powercut.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *vm_dir, *copy_dir;

/* -- a guest, by NBD -------------------------------------------------------------------------------------------------- */

enum { NBD_WRITE = 1, NBD_FLUSH = 3 };

typedef struct {
	Vm *vm;
	int disks[DISKS];
	GThread *thread;
	gint stop;
} Guest;

static guint32 last_record;

static void all(int fd, gpointer data, gsize size, gboolean out)
{
	for (guint8 *at = data; size;) {
		gssize n = out ? send(fd, at, size, MSG_NOSIGNAL) : recv(fd, at, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			g_error("the guest lost its disk: %s", g_strerror(errno));
		at += n;
		size -= (gsize)n;
	}
}

static int nbd_open(const char *path, const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct {
		guint32 flags;
		guint64 magic;
		guint32 option, length;
	} __attribute__((packed)) hello = {GUINT32_TO_BE(3), GUINT64_TO_BE(0x49484156454F5054), GUINT32_TO_BE(1),
		GUINT32_TO_BE((guint32)strlen(name))};
	guint8 answer[18];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(to.sun_path, path, sizeof to.sun_path);
	if (connect(fd, (struct sockaddr *)&to, sizeof to))
		g_error("%s: %s", path, g_strerror(errno));
	all(fd, answer, 18, FALSE);
	all(fd, &hello, sizeof hello, TRUE);
	all(fd, (gpointer)name, strlen(name), TRUE);
	all(fd, answer, 10, FALSE);
	return fd;
}

static void nbd_do(int fd, guint16 type, guint64 offset, gpointer data, guint32 length)
{
	struct {
		guint32 magic;
		guint16 flags, type;
		guint64 handle, offset;
		guint32 length;
	} __attribute__((packed)) request = {
		GUINT32_TO_BE(0x25609513), 0, GUINT16_TO_BE(type), 1, GUINT64_TO_BE(offset), GUINT32_TO_BE(length)};
	guint32 reply[4];

	all(fd, &request, sizeof request, TRUE);
	if (data)
		all(fd, data, length, TRUE);
	all(fd, reply, sizeof reply, FALSE);
	if (reply[0] != GUINT32_TO_BE(0x67446698) || reply[1])
		g_error("the guest's request failed: %u", GUINT32_FROM_BE(reply[1]));
}

/* Mostly small writes that meet each other, at times a whole cluster. */
static void write_record(Guest *guest, GRand *random)
{
	static guint32 data[128 * SECTOR / 4];
	guint32 disk = g_rand_int_range(random, 0, DISKS), n = ++last_record;
	guint32 count = g_rand_int_range(random, 0, 8) ? (guint32)g_rand_int_range(random, 1, 33) : 128;
	guint32 first = count == 128 ? 128 * (guint32)g_rand_int_range(random, 0, SECTORS / 128)
				     : (guint32)g_rand_int_range(random, 0, (gint)(SECTORS / 2 - count));

	for (guint32 i = 0; i < count; i++)
		sector_fill(data + i * SECTOR / 4, n, disk * SECTORS + first + i);
	lossy_mark("write", n, (guint64)(disk * SECTORS + first) << 32 | count);
	nbd_do(guest->disks[disk], NBD_WRITE, (guint64)first * SECTOR, data, count * SECTOR);
}

static gpointer guest_thread(gpointer data)
{
	Guest *guest = data;
	g_autoptr(GRand) random = g_rand_new_with_seed(last_record + 1);

	while (!g_atomic_int_get(&guest->stop)) {
		for (gint i = g_rand_int_range(random, 1, 6); i; i--)
			write_record(guest, random);
		for (guint i = 0; i < DISKS; i++)
			nbd_do(guest->disks[i], NBD_FLUSH, 0, NULL, 0);
		lossy_mark("flushed", last_record, 0);
		g_usleep(4000);
	}
	return NULL;
}

static Guest *guest_start(void)
{
	Guest *guest = g_new0(Guest, 1);

	guest->vm = vm_start(vm_dir, powercut_disks);
	for (guint i = 0; i < DISKS; i++)
		guest->disks[i] = nbd_open(guest->vm->nbd, powercut_disks[i]);
	guest->thread = g_thread_new("guest", guest_thread, guest);
	return guest;
}

static void guest_stop(Guest *guest)
{
	g_atomic_int_set(&guest->stop, 1);
	g_thread_join(guest->thread);
	for (guint i = 0; i < DISKS; i++)
		close(guest->disks[i]);
	vm_stop(guest->vm);
	g_free(guest);
}

/* -- what is done to its disks ---------------------------------------------------------------------------------------- */

/* As carreld does it: the clone stands on a snapshot's layers. */
static gboolean clone_from(const char *snapshot, GError **error)
{
	g_autoptr(DiskSet) set = set_open(vm_dir, powercut_disks, error);
	g_autofree char *id = set ? set_find(set, snapshot, error) : NULL;
	gboolean made = id != NULL;

	for (guint i = 0; made && i < DISKS; i++) {
		g_autofree char *base = set_layer(set, powercut_disks[i], g_ascii_strtoull(id, NULL, 10)),
				*to = in_dir(copy_dir, powercut_disks[i]);

		made = disk_clone(base, to, error);
	}
	return made;
}

static gboolean perform(const char *what, const char *name, const char *qmp, GError **error)
{
	if (!strcmp(what, "snapshot"))
		return disk_snapshot(vm_dir, powercut_disks, qmp, name, "", error);
	if (!strcmp(what, "delete"))
		return disk_snapshot_delete(vm_dir, powercut_disks, qmp, name, NULL, NULL, NULL, error);
	if (!strcmp(what, "revert"))
		return disk_revert(vm_dir, powercut_disks, name, error);
	if (!strcmp(what, "tidy"))
		return disk_tidy(vm_dir, powercut_disks, NULL, NULL, NULL, error);
	return clone_from(name, error);
}

/* The guest goes on for a while before. */
static void job(const char *what, const char *name, Guest *guest)
{
	g_autofree char *begin = g_strdup_printf("begin %s %s", what, name), *end = g_strdup_printf("end %s %s", what, name);
	g_autoptr(GError) error = NULL;

	if (guest)
		g_usleep(150000);
	lossy_mark(begin, 0, 0);
	if (!perform(what, name, guest ? guest->vm->qmp : NULL, &error))
		g_error("%s: %s", begin, error->message);
	lossy_mark(end, 0, 0);
	if (guest)
		g_usleep(50000);
}

int main(int argc, char **argv)
{
	Guest *guest;

	if (argc != 2)
		return 2;
	vm_dir = in_dir(argv[1], "vm");
	copy_dir = in_dir(argv[1], "copy");
	for (guint i = 0; i < DISKS; i++) {
		g_autofree char *path = in_dir(vm_dir, powercut_disks[i]), *mark = NULL;
		g_autoptr(GError) error = NULL;

		if (!disk_create(path, SECTORS * SECTOR, &error) || !(mark = disk_mark(path, NULL, &error)))
			g_error("%s", error->message);
	}
	lossy_mark("ready", 0, 0);
	guest = guest_start();
	job("snapshot", "first", guest);
	job("snapshot", "second", guest);
	job("delete", "first", guest);
	job("delete", "second", guest);
	job("snapshot", "third", guest);
	guest_stop(guest);
	job("tidy", "-", NULL);
	job("snapshot", "fourth", NULL);
	job("clone", "fourth", NULL);
	job("revert", "third", NULL);
	guest = guest_start();
	job("snapshot", "fifth", guest);
	guest_stop(guest);
	job("revert", "fourth", NULL);
	job("delete", "fifth", NULL);
	job("delete", "third", NULL);
	return 0;
}
