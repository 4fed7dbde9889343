/* SPDX-License-Identifier: Apache-2.0 */
/* A running VM's share of the disk. */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define GROUP_PREFIX "domain-"

/* The device on the disk's node, as block_set_io_throttle wants it named. */
static char *find_device(Qmp *qmp, const char *node, const char *disk, GError **error)
{
	g_autoptr(JsonNode) answer = qmp_call(qmp, error, "query-block", NULL);
	JsonArray *devices = answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;

	if (!answer)
		return NULL;
	for (guint i = 0; devices && i < json_array_get_length(devices); i++) {
		JsonObject *device = js_item(devices, i);

		if (!g_strcmp0(js_string(js_object(device, "inserted"), "node-name"), node) &&
			js_string(device, "qdev"))
			return g_strdup(js_string(device, "qdev"));
	}
	g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: no device of the VM's QEMU uses it", disk);
	return NULL;
}

gboolean disk_throttle(
	const char *socket, const char *disk, guint64 bytes_per_second, guint64 requests_per_second, GError **error)
{
	g_autoptr(Qmp) qmp = qmp_open(socket, error);
	g_autoptr(GPtrArray) nodes = qmp ? qmp_nodes(qmp, error) : NULL;
	g_autofree char *device = NULL;
	QmpNode *node;

	if (!nodes)
		return FALSE;
	node = qmp_image(nodes, disk);
	if (!node) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: the VM's QEMU does not have this disk open",
			disk);
		return FALSE;
	}
	device = find_device(qmp, node->name, disk, error);
	return device &&
		qmp_do(qmp, error, "block_set_io_throttle",
			"{'id': <%s>, 'bps': <%x>, 'bps_rd': <int64 0>, 'bps_wr': <int64 0>, 'iops': <%x>, 'iops_rd': <int64 0>, 'iops_wr': <int64 0>}",
			device, (gint64)MIN(bytes_per_second, G_MAXINT64),
			(gint64)MIN(requests_per_second, G_MAXINT64));
}

/* Where the kernel groups processes by session, as Debian's does, nice counts only inside a group: the group has its own. */
static void rank_session(pid_t pid, int nice)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/autogroup", (int)pid);
	FILE *file = getsid(pid) == pid ? fopen(path, "we") : NULL;

	if (file) {
		fprintf(file, "%d", nice);
		fclose(file); /* refused where there are no groups now */
	}
}

gboolean disk_rank(const char *socket, int nice, GError **error)
{
	g_autoptr(Qmp) qmp = qmp_open(socket, error);
	pid_t pid = qmp ? qmp_pid(qmp, error) : -1;
	g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
	g_autoptr(GDir) threads = pid > 0 ? g_dir_open(path, 0, error) : NULL;
	const char *thread;

	if (!threads)
		return FALSE;
	rank_session(pid, nice);
	while ((thread = g_dir_read_name(threads)))
		/* A thread that has ended meanwhile needs none. */
		if (setpriority(PRIO_PROCESS, (id_t)g_ascii_strtoull(thread, NULL, 10), nice) && errno != ESRCH)
			return file_error(error, path, "set the priority of", errno);
	return TRUE;
}

/* The disk that this thread serves for the domain, NULL: none. xen-blkback calls its threads DOMAIN.DISK-RING. */
static char *served(const char *pid, const char *prefix)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid), *comm = NULL;
	const char *ring;

	if (!g_ascii_isdigit(*pid) || !g_file_get_contents(path, &comm, NULL, NULL) || !g_str_has_prefix(comm, prefix))
		return NULL;
	ring = strchr(comm, '-');
	return ring ? g_strndup(comm + strlen(prefix), (gsize)(ring - comm) - strlen(prefix)) : NULL;
}

/* The threads that serve the domain's disks: their numbers, as text, with the disk of each. */
static GHashTable *find_threads(guint domain, GError **error)
{
	GHashTable *threads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autofree char *prefix = g_strdup_printf("%u.", domain);
	g_autoptr(GDir) processes = g_dir_open("/proc", 0, error);
	const char *pid;

	while (processes && (pid = g_dir_read_name(processes))) {
		char *disk = served(pid, prefix);

		if (disk)
			g_hash_table_insert(threads, g_strdup(pid), disk);
	}
	if (!processes)
		g_clear_pointer(&threads, g_hash_table_unref);
	return threads;
}

gboolean disk_rank_kernel(guint domain, guint disks, int nice, GError **error)
{
	g_autoptr(GHashTable) threads = find_threads(domain, error), found = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter at;
	gpointer pid, disk;

	if (!threads)
		return FALSE;
	g_hash_table_iter_init(&at, threads);
	while (g_hash_table_iter_next(&at, &pid, &disk)) {
		g_hash_table_add(found, disk);
		if (setpriority(PRIO_PROCESS, (id_t)g_ascii_strtoull(pid, NULL, 10), nice) && errno != ESRCH)
			return file_error(error, disk, "set the priority of its back end", errno);
	}
	if (g_hash_table_size(found) >= disks)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "the guest has connected %u of %u disks", g_hash_table_size(found), disks);
	return FALSE;
}

/* To a file of the kernel's, in one write, as those want it. gone: an errno that is none here, 0: there is none. */
static gboolean tell_kernel(const char *dir, const char *name, const char *text, int gone, GError **error)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC), failed = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return !failed || failed == gone || file_error(error, path, "write to", failed);
}

/* Its threads into the group. A thread that has ended meanwhile needs none. */
static gboolean move_threads(const char *group, guint domain, GError **error)
{
	g_autoptr(GHashTable) threads = find_threads(domain, error);
	GHashTableIter at;
	gpointer pid;

	if (!threads)
		return FALSE;
	g_hash_table_iter_init(&at, threads);
	while (g_hash_table_iter_next(&at, &pid, NULL))
		if (!tell_kernel(group, "cgroup.procs", pid, ESRCH, error))
			return FALSE;
	return TRUE;
}

static char *limit_text(guint64 limit)
{
	return limit ? g_strdup_printf("%" G_GUINT64_FORMAT, limit) : g_strdup("max");
}

static gboolean limit_devices(
	const char *group, const char *back_ends, guint domain, guint64 bytes, guint64 requests, GError **error)
{
	g_autofree char *prefix = g_strdup_printf("vbd-%u-", domain), *bps = limit_text(bytes), *iops = limit_text(requests);
	g_autoptr(GDir) devices = g_dir_open(back_ends, 0, error);
	const char *name;

	if (!devices)
		return FALSE;
	while ((name = g_dir_read_name(devices))) {
		g_autofree char *path = g_build_filename(back_ends, name, "physical_device", NULL), *number = NULL, *line = NULL;
		guint major, minor;

		if (!g_str_has_prefix(name, prefix) || !g_file_get_contents(path, &number, NULL, NULL) ||
			sscanf(number, "%x:%x", &major, &minor) != 2)
			continue; /* QEMU serves it, or nobody yet */
		line = g_strdup_printf("%u:%u rbps=%s wbps=%s riops=%s wiops=%s", major, minor, bps, bps, iops, iops);
		if (!tell_kernel(group, "io.max", line, 0, error))
			return FALSE;
	}
	return TRUE;
}

gboolean disk_throttle_kernel(const char *groups, const char *back_ends, guint domain, guint64 bytes_per_second,
	guint64 requests_per_second, GError **error)
{
	g_autofree char *name = g_strdup_printf(GROUP_PREFIX "%u", domain), *group = g_build_filename(groups, name, NULL);

	if (!bytes_per_second && !requests_per_second && !g_file_test(group, G_FILE_TEST_IS_DIR))
		return TRUE;
	if (!tell_kernel(groups, "cgroup.subtree_control", "+io", 0, error))
		return FALSE;
	if (g_mkdir(group, 0755) && errno != EEXIST)
		return file_error(error, group, "make", errno);
	return limit_devices(group, back_ends, domain, bytes_per_second, requests_per_second, error) &&
		move_threads(group, domain, error);
}

void disk_forget_groups(const char *groups)
{
	g_autoptr(GDir) dir = g_dir_open(groups, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(groups, name, NULL);

		if (g_str_has_prefix(name, GROUP_PREFIX))
			g_rmdir(path); /* refused while a thread is in it */
	}
}

char *disk_groups(void)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/self/cgroup", &text, NULL, NULL) || !g_str_has_prefix(text, "0::/"))
		return NULL;
	g_strchomp(text);
	if (!g_str_has_suffix(text, "/daemon"))
		return NULL;
	return g_strdup_printf("/sys/fs/cgroup%.*s", (int)(strlen(text) - strlen("0::") - strlen("/daemon")), text + strlen("0::"));
}
