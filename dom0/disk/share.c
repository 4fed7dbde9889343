/* SPDX-License-Identifier: Apache-2.0 */
/* A running VM's share of the disk. */
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

gboolean disk_rank_kernel(guint domain, guint disks, int nice, GError **error)
{
	g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *prefix = g_strdup_printf("%u.", domain);
	g_autoptr(GDir) processes = g_dir_open("/proc", 0, error);
	const char *pid;

	if (!processes)
		return FALSE;
	while ((pid = g_dir_read_name(processes))) {
		char *disk = served(pid, prefix);

		if (!disk)
			continue;
		g_hash_table_add(found, disk);
		if (setpriority(PRIO_PROCESS, (id_t)g_ascii_strtoull(pid, NULL, 10), nice) && errno != ESRCH)
			return file_error(error, disk, "set the priority of its back end", errno);
	}
	if (g_hash_table_size(found) >= disks)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "the guest has connected %u of %u disks", g_hash_table_size(found), disks);
	return FALSE;
}
