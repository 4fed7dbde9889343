/* SPDX-License-Identifier: Apache-2.0 */
/* Single images: made, copied, grown, checked. What is new is written to PATH.new, synced, then renamed in. */
#include "internal.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SIZE_LIMIT (G_GUINT64_CONSTANT(64) << 40) /* no laptop has it; guards sums */

gboolean disk_info(const char *path, DiskInfo *info, GError **error)
{
	DiskHeader header;
	struct stat st;

	memset(info, 0, sizeof *info);
	if (!header_read(path, &header, error))
		return FALSE;
	info->format = g_strdup(header.qcow2 ? "qcow2" : "raw");
	info->size = header.size;
	info->used = stat(path, &st) ? 0 : S_ISBLK(st.st_mode) ? header.size : (guint64)st.st_blocks * 512;
	info->dirty = header.dirty;
	info->corrupt = header.corrupt;
	if (header.backing) {
		g_autofree char *dir = g_path_get_dirname(path), *absolute = g_canonicalize_filename(dir, NULL);

		info->backing = g_canonicalize_filename(header.backing, absolute);
	}
	header_clear(&header);
	return TRUE;
}

void disk_info_clear(DiskInfo *info)
{
	g_clear_pointer(&info->format, g_free);
	g_clear_pointer(&info->backing, g_free);
}

static gboolean size_valid(const char *path, guint64 size, GError **error)
{
	if (size && size <= SIZE_LIMIT && size % 512 == 0)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID,
		"%s: a disk of %" G_GUINT64_FORMAT " bytes cannot be: it takes a multiple of 512, 64 TiB at most", path,
		size);
	return FALSE;
}

static gboolean absent(const char *path, GError **error)
{
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_EXISTS, "%s: is there already; remove it or take another name", path);
	return FALSE;
}

/* What was written to PATH.new becomes PATH. */
static gboolean publish(const char *fresh, const char *path, GError **error)
{
	disk_step("publish");
	if (file_sync(fresh, error) && file_rename(fresh, path, FALSE, error))
		return TRUE;
	unlink(fresh);
	return FALSE;
}

gboolean disk_create(const char *path, guint64 size, GError **error)
{
	g_autofree char *fresh = g_strconcat(path, ".new", NULL), *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", fresh, bytes, NULL};

	if (!size_valid(path, size, error) || !absent(path, error))
		return FALSE;
	if (!tool_run(path, argv, NULL, NULL, NULL, error)) {
		unlink(fresh);
		return FALSE;
	}
	return publish(fresh, path, error);
}

gboolean image_new_overlay(
	const char *path, const char *backing, const char *backing_format, guint64 size, GError **error)
{
	g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
	/* -u: the backing file need not be there under that name yet, and is not opened. */
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", backing, "-F", backing_format,
		path, bytes, NULL};

	if (tool_run(path, argv, NULL, NULL, NULL, error))
		return TRUE;
	unlink(path);
	return FALSE;
}

gboolean disk_clone(const char *base, const char *path, GError **error)
{
	g_autofree char *fresh = g_strconcat(path, ".new", NULL), *absolute = g_canonicalize_filename(base, NULL);
	DiskHeader header;

	if (!absent(path, error) || !header_read(absolute, &header, error))
		return FALSE;
	header_clear(&header);
	if (!header.qcow2 || header.external_data || header.corrupt) {
		g_set_error(error, DISK_ERROR, header.corrupt ? DISK_ERROR_CORRUPT : DISK_ERROR_UNSUPPORTED,
			"%s: a template must be a sound qcow2 image; convert it first", base);
		return FALSE;
	}
	if (!size_valid(base, header.size, error))
		return FALSE;
	file_freeze(absolute, TRUE);
	return image_new_overlay(fresh, absolute, "qcow2", header.size, error) && publish(fresh, path, error);
}

gboolean disk_remove(const char *path, GError **error)
{
	file_freeze(path, FALSE);
	return file_remove(path, error) && file_sync_parent(path, error);
}

static gboolean known_format(const char *format)
{
	static const char *const known[] = {"qcow2", "raw", "vpc", "vmdk", NULL};

	return g_strv_contains(known, format);
}

static gboolean append_line(const char *line, gpointer data, G_GNUC_UNUSED GError **error)
{
	g_string_append_c(g_string_append(data, line), '\n');
	return TRUE;
}

/* What a tool prints as one JSON text. */
static JsonNode *run_json(const char *subject, const char *const *argv, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) cause = NULL;
	JsonNode *root;

	if (!tool_run(subject, argv, NULL, append_line, text, error))
		return NULL;
	root = js_parse(text->str, (gssize)text->len, &cause);
	if (!root)
		g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "%s: cannot make sense of what %s %s says: %s", subject,
			argv[0], argv[1], cause->message);
	return root;
}

/* The image as QEMU understands it, once the header was found harmless. */
static gboolean check_info(const char *from, const char *name, GError **error)
{
	const char *argv[] = {"qemu-img", "info", "--output=json", name, NULL};
	g_autoptr(JsonNode) root = run_json(from, argv, error);
	JsonObject *info = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
	JsonObject *data = js_object(js_object(info, "format-specific"), "data");
	JsonArray *children = js_array(info, "children");
	gboolean others = FALSE;

	if (!root)
		return FALSE;
	for (guint i = 0; children && i < json_array_get_length(children); i++)
		others |= g_strcmp0(js_string(js_item(children, i), "name"), "file") != 0;
	if (others || !info || json_object_has_member(info, "backing-filename") ||
		(data && json_object_has_member(data, "data-file"))) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID,
			"%s: names other files; convert it to one whole file where it comes from", from);
		return FALSE;
	}
	return size_valid(from, (guint64)MAX(0, js_int(info, "virtual-size")), error);
}

/* Asks for the room before an hour of copying finds out. */
static gboolean check_room(const char *from, const char *name, const char *to, const char *to_format, GError **error)
{
	const char *argv[] = {"qemu-img", "measure", "--output=json", "-O", to_format, name, NULL};
	g_autoptr(JsonNode) root = NULL;
	g_autofree char *dir = g_path_get_dirname(to);
	struct statvfs fs;
	gint64 needed;

	if (strcmp(to_format, "qcow2") && strcmp(to_format, "raw"))
		return TRUE; /* measure knows only these */
	root = run_json(from, argv, error);
	if (!root)
		return FALSE;
	needed = JSON_NODE_HOLDS_OBJECT(root) ? js_int(json_node_get_object(root), "required") : 0;
	if (statvfs(dir, &fs))
		return file_error(error, dir, "look at the free space", errno);
	if ((guint64)MAX(needed, 0) <= (guint64)fs.f_bavail * fs.f_frsize)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_NO_SPACE,
		"%s: needs %" G_GINT64_FORMAT " MiB in %s, where %" G_GUINT64_FORMAT
		" MiB are free; delete snapshots or VMs that are not needed",
		from, needed >> 20, dir, (guint64)fs.f_bavail * fs.f_frsize >> 20);
	return FALSE;
}

gboolean disk_convert(const char *from, const char *from_format, const char *to, const char *to_format,
	gboolean trusted, DiskProgress progress, gpointer data, GCancellable *cancellable, GError **error)
{
	const DiskJob job = {progress, data, cancellable};
	g_autofree char *name = NULL, *fresh = g_strconcat(to, ".new", NULL);
	const char *argv[12] = {"qemu-img", "convert", "-p"};
	int n = 3;

	if (!known_format(from_format) || !known_format(to_format)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED,
			"%s: from %s to %s: the formats are qcow2, raw, vpc (VHD) and vmdk", from, from_format,
			to_format);
		return FALSE;
	}
	if (!absent(to, error) || !header_check_stranger(from, trusted ? "raw" : from_format, error))
		return FALSE;
	name = tool_name(from_format, from, trusted);
	if ((!trusted && !check_info(from, name, error)) || !check_room(from, name, to, to_format, error))
		return FALSE;
	argv[n++] = "-O";
	argv[n++] = to_format;
	if (!strcmp(to_format, "vmdk")) {
		argv[n++] = "-o";
		argv[n++] = "subformat=streamOptimized";
	} else if (!strcmp(to_format, "vpc")) {
		argv[n++] = "-o";
		argv[n++] = "force_size=on"; /* else the size is rounded to cylinders */
	}
	argv[n++] = name;
	argv[n++] = fresh;
	unlink(fresh);
	if (!tool_run(from, argv, &job, NULL, NULL, error)) {
		unlink(fresh);
		return FALSE;
	}
	return publish(fresh, to, error);
}

gboolean disk_resize(const char *path, guint64 size, GError **error)
{
	g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
	const char *argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", path, bytes, NULL};
	DiskHeader header;

	if (!size_valid(path, size, error) || !header_read(path, &header, error))
		return FALSE;
	header_clear(&header);
	argv[4] = header.qcow2 ? "qcow2" : "raw";
	if (size < header.size) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID,
			"%s: is %" G_GUINT64_FORMAT " MiB large and can only grow", path, header.size >> 20);
		return FALSE;
	}
	return size == header.size || (tool_run(path, argv, NULL, NULL, NULL, error) && file_sync(path, error));
}

/* qemu-img check says by its exit status what it found, and explains in its JSON. */
static gboolean check_once(const char *path, const char *repair, JsonObject **report, JsonNode **root, GError **error)
{
	const char *argv[] = {
		"qemu-img", "check", "--output=json", "-f", "qcow2", path, repair ? "-r" : NULL, repair, NULL};
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) cause = NULL, broken = NULL;

	*root = NULL;
	*report = NULL;
	tool_run(path, argv, NULL, append_line, text, &cause);
	*root = js_parse(text->str, (gssize)text->len, &broken);
	if (*root && JSON_NODE_HOLDS_OBJECT(*root)) {
		*report = json_node_get_object(*root);
		return TRUE;
	}
	if (cause && (cause->domain != DISK_ERROR || cause->code != DISK_ERROR_IO))
		g_propagate_error(error, g_steal_pointer(&cause));
	else
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s; go back to a snapshot or a backup",
			cause ? cause->message : "qemu-img check says nothing that can be read");
	return FALSE;
}

gboolean disk_check(const char *path, gboolean repair, GError **error)
{
	g_autoptr(JsonNode) first = NULL, second = NULL;
	JsonObject *report;
	DiskHeader header;

	if (!header_read(path, &header, error))
		return FALSE;
	header_clear(&header);
	if (!header.qcow2)
		return TRUE; /* nothing in a raw file can be wrong */
	if (!check_once(path, repair ? "all" : "leaks", &report, &first, error))
		return FALSE;
	if (repair && !check_once(path, NULL, &report, &second, error))
		return FALSE;
	if (js_int(report, "corruptions") > 0 || js_int(report, "check-errors") > 0) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
			"%s: %" G_GINT64_FORMAT " errors in the image's tables; %s", path,
			js_int(report, "corruptions") + js_int(report, "check-errors"),
			repair ? "they cannot be repaired: go back to a snapshot or a backup"
			       : "repair it, or go back to a snapshot");
		return FALSE;
	}
	return TRUE;
}
