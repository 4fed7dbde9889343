/* SPDX-License-Identifier: Apache-2.0 */
/* What reading a mark takes, against the image's size and against what changed: lines "BENCH what value unit". Writes some
 * hundred MiB below the temporary directory. usage: measure_changed [DIRECTORY] */
#include "disk.h"
#include <stdio.h>

#define GIB (G_GUINT64_CONSTANT(1) << 30)

static gboolean failed(GError *error)
{
	if (error)
		g_printerr("measure_changed: %s\n", error->message);
	return error != NULL;
}

/* So many clusters, evenly spread: each an extent of its own. */
static void change(const char *path, guint64 size, guint count, GError **error)
{
	g_autoptr(GSubprocess) io = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE,
		error, "qemu-io", "-f", "qcow2", path, NULL);
	g_autoptr(GString) commands = g_string_new(NULL);
	guint64 step = size / MAX(count, 1) / 131072 * 131072;

	for (guint i = 0; i < count; i++)
		g_string_append_printf(commands, "write -z %" G_GUINT64_FORMAT " 64k\n", i * step);
	g_string_append(commands, "quit\n");
	if (io)
		g_subprocess_communicate_utf8(io, commands->str, NULL, NULL, NULL, error);
}

static gboolean measure(const char *dir, guint64 gib, guint count)
{
	g_autofree char *path = g_strdup_printf("%s/%" G_GUINT64_FORMAT "-%u.qcow2", dir, gib, count), *mark = NULL;
	g_autoptr(GArray) extents = NULL;
	g_autoptr(GError) error = NULL;
	gint64 start;

	if (!disk_create(path, gib * GIB, &error) || !(mark = disk_mark(path, NULL, &error)))
		return !failed(error);
	change(path, gib * GIB, count, &error);
	if (failed(error))
		return FALSE;
	start = g_get_monotonic_time();
	extents = disk_changed(path, NULL, mark, &error);
	if (failed(error))
		return FALSE;
	printf("BENCH changed-%" G_GUINT64_FORMAT "GiB-%u-extents %.3f s\n", gib, extents->len,
		(double)(g_get_monotonic_time() - start) / 1e6);
	fflush(stdout);
	return disk_remove(path, &error) && extents->len == count;
}

int main(int argc, char **argv)
{
	static const guint64 sizes[] = {1, 20, 200};
	static const guint counts[] = {0, 100, 1000, 8000};
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = argc > 1 ? g_strdup(argv[1]) : g_dir_make_tmp(NULL, &error);
	gboolean ok = !failed(error);

	for (guint s = 0; ok && s < G_N_ELEMENTS(sizes); s++)
		for (guint c = 0; ok && c < G_N_ELEMENTS(counts); c++)
			ok = measure(dir, sizes[s], counts[c]);
	return !ok;
}
