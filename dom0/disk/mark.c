/* SPDX-License-Identifier: Apache-2.0 */
/* Changed-block tracking. A mark M is a persistent bitmap M in the layer it was set in; each overlay since goes on with it in
 * a bitmap "M+". What changed is the union from the live image down to M; a layer without either means that it was lost. */
#include "internal.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BITMAP   "carrel-read"
#define READ_EXPORT   "carrel-export"
#define START_SECONDS 20
#define MAP_BATCH     1000
#define LAYER_LIMIT   1000 /* no chain is that long, but one that bites its tail is */

char *mark_base_name(const char *bitmap)
{
	return g_str_has_suffix(bitmap, "+") ? g_strndup(bitmap, strlen(bitmap) - 1) : g_strdup(bitmap);
}

static gboolean mark_valid(const char *mark, GError **error)
{
	gsize length = strlen(mark);

	if (length && length <= 64 && strspn(mark, "abcdefghijklmnopqrstuvwxyz0123456789-") == length)
		return TRUE;
	g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID, "this is not the name of a mark");
	return FALSE;
}

static gboolean append_line(const char *line, gpointer data, G_GNUC_UNUSED GError **error)
{
	g_string_append(data, line);
	return TRUE;
}

static gboolean has_string(JsonArray *array, const char *text)
{
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);

		if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
			!strcmp(json_node_get_string(node), text))
			return TRUE;
	}
	return FALSE;
}

static DiskBitmap *read_bitmap(JsonObject *object)
{
	JsonArray *flags = js_array(object, "flags");
	DiskBitmap *bitmap;

	if (!js_string(object, "name"))
		return NULL;
	bitmap = g_new0(DiskBitmap, 1);
	bitmap->name = g_strdup(js_string(object, "name"));
	bitmap->granularity = (guint64)MAX(0, js_int(object, "granularity"));
	bitmap->usable = has_string(flags, "auto") && !has_string(flags, "in-use");
	return bitmap;
}

GPtrArray *mark_list(const char *path, GError **error)
{
	g_autoptr(GPtrArray) bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)bitmap_free);
	g_autofree char *name = tool_name("qcow2", path, FALSE);
	const char *argv[] = {"qemu-img", "info", "--output=json", name, NULL};
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(JsonNode) root = NULL;
	JsonArray *array;

	if (!tool_run(path, argv, NULL, append_line, text, error))
		return NULL;
	root = js_parse(text->str, (gssize)text->len, error);
	if (!root)
		return NULL;
	array = JSON_NODE_HOLDS_OBJECT(root)
		? js_array(js_object(js_object(json_node_get_object(root), "format-specific"), "data"), "bitmaps")
		: NULL;
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		DiskBitmap *bitmap = read_bitmap(js_item(array, i));

		if (bitmap)
			g_ptr_array_add(bitmaps, bitmap);
	}
	return g_steal_pointer(&bitmaps);
}

static gboolean bitmap_add(const char *path, const char *name, guint64 granularity, GError **error)
{
	g_autofree char *grain = g_strdup_printf("%" G_GUINT64_FORMAT, granularity ? granularity : 65536);
	const char *argv[] = {"qemu-img", "bitmap", "--add", "-g", grain, "-f", "qcow2", path, name, NULL};

	return tool_run(path, argv, NULL, NULL, NULL, error);
}

static gboolean bitmap_remove(const char *path, const char *name, GError **error)
{
	const char *argv[] = {"qemu-img", "bitmap", "--remove", "-f", "qcow2", path, name, NULL};

	return tool_run(path, argv, NULL, NULL, NULL, error);
}

gboolean mark_carry(const char *overlay, GPtrArray *bitmaps, GError **error)
{
	for (guint i = 0; i < bitmaps->len; i++) {
		DiskBitmap *bitmap = bitmaps->pdata[i];
		g_autofree char *mark = mark_base_name(bitmap->name), *carried = g_strconcat(mark, "+", NULL);

		if (bitmap->usable && !bitmap_add(overlay, carried, bitmap->granularity, error))
			return FALSE;
	}
	return TRUE;
}

static DiskBitmap *find_mark(GPtrArray *bitmaps, const char *mark)
{
	g_autofree char *carried = g_strconcat(mark, "+", NULL);
	DiskBitmap *found = bitmap_find(bitmaps, mark);

	return found ? found : bitmap_find(bitmaps, carried);
}

static gboolean merge_one(
	const char *from, const char *into, const DiskBitmap *bitmap, DiskBitmap *target, GError **error)
{
	const char *argv[] = {"qemu-img", "bitmap", "--merge", bitmap->name, "-b", from, "-F", "qcow2", "-f", "qcow2",
		into, target ? target->name : bitmap->name, NULL};

	if (!bitmap->usable) /* a reader must not find the rest of it and take it for the whole */
		return !target || bitmap_remove(into, target->name, error);
	if (target && !target->usable)
		return TRUE;
	return (target || bitmap_add(into, bitmap->name, bitmap->granularity, error)) &&
		tool_run(into, argv, NULL, NULL, NULL, error);
}

gboolean mark_merge(const char *from, const char *into, GError **error)
{
	g_autoptr(GPtrArray) upper = mark_list(from, error), lower = upper ? mark_list(into, error) : NULL;

	if (!lower)
		return FALSE;
	for (guint i = 0; i < upper->len; i++) {
		DiskBitmap *bitmap = upper->pdata[i];
		g_autofree char *mark = mark_base_name(bitmap->name);

		disk_step("merge mark");
		if (!merge_one(from, into, bitmap, find_mark(lower, mark), error))
			return FALSE;
	}
	for (guint i = 0; i < lower->len; i++) {
		DiskBitmap *bitmap = lower->pdata[i];
		g_autofree char *mark = mark_base_name(bitmap->name);

		if (!find_mark(upper, mark) && !bitmap_remove(into, bitmap->name, error))
			return FALSE;
	}
	return TRUE;
}

/* The disk's directory under lock, nothing half done in it. */
static DiskSet *open_disk(const char *path, const char *qmp, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path), *name = g_path_get_basename(path);
	const char *disks[] = {name, NULL};
	g_autoptr(DiskSet) set = NULL;
	DiskHeader header;

	if (!header_read(path, &header, error))
		return NULL;
	header_clear(&header);
	if (!header.qcow2) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED,
			"%s: only qcow2 disks know what changed; convert it to qcow2 first", path);
		return NULL;
	}
	set = set_open(dir, disks, error);
	return set && snapshot_settle(set, qmp, error) ? g_steal_pointer(&set) : NULL;
}

/* QEMU's nodes, and the disk's. */
static QmpNode *live_node(Qmp *qmp, const char *path, GPtrArray **nodes, GError **error)
{
	QmpNode *node;

	*nodes = qmp_nodes(qmp, error);
	if (!*nodes)
		return NULL;
	node = qmp_image(*nodes, path);
	if (!node)
		g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: the VM's QEMU does not have this disk open",
			path);
	return node;
}

char *disk_mark(const char *path, const char *socket, GError **error)
{
	g_autoptr(DiskSet) set = open_disk(path, socket, error);
	g_autofree char *uuid = g_uuid_string_random(), *name = g_strconcat("mark-", uuid, NULL);
	g_autoptr(Qmp) qmp = NULL;
	g_autoptr(GPtrArray) nodes = NULL;
	QmpNode *node;

	if (!set)
		return NULL;
	if (!socket)
		return bitmap_add(path, name, 0, error) && file_sync(path, error) ? g_steal_pointer(&name) : NULL;
	if (!(qmp = qmp_open(socket, error)) || !(node = live_node(qmp, path, &nodes, error)))
		return NULL;
	return qmp_do(qmp, error, "block-dirty-bitmap-add",
		       "{'node': <%s>, 'name': <%s>, 'persistent': <true>, 'granularity': <65536>}", node->name, name)
		? g_steal_pointer(&name)
		: NULL;
}

static gboolean no_mark(GError **error, const char *path, const char *mark)
{
	g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND,
		"%s: has no mark '%s' (any more): take the whole disk, and mark anew", path, mark);
	return FALSE;
}

gboolean disk_unmark(const char *path, const char *socket, const char *mark, GError **error)
{
	g_autoptr(DiskSet) set = NULL;
	g_autoptr(Qmp) qmp = NULL;
	g_autoptr(GPtrArray) nodes = NULL, bitmaps = NULL;
	QmpNode *node = NULL;
	DiskBitmap *bitmap;

	if (!mark_valid(mark, error) || !(set = open_disk(path, socket, error)))
		return FALSE;
	if (!socket)
		bitmaps = mark_list(path, error);
	else if ((qmp = qmp_open(socket, error)) && (node = live_node(qmp, path, &nodes, error)))
		bitmaps = g_ptr_array_ref(node->bitmaps);
	if (!bitmaps)
		return FALSE;
	bitmap = find_mark(bitmaps, mark);
	if (!bitmap)
		return no_mark(error, path, mark);
	if (!socket)
		return bitmap_remove(path, bitmap->name, error) && file_sync(path, error);
	return qmp_do(
		qmp, error, "block-dirty-bitmap-remove", "{'node': <%s>, 'name': <%s>}", node->name, bitmap->name);
}

/* One layer's part of a mark. */
typedef struct {
	char *path, *node; /* at rest; in a running QEMU */
	char *bitmap;
	guint64 granularity;
} Part;

static void part_free(Part *part)
{
	g_free(part->path);
	g_free(part->node);
	g_free(part->bitmap);
	g_free(part);
}

/* Adds the layer's part; *last when it is the layer the mark was set in. */
static gboolean add_part(GPtrArray *parts, const char *path, const char *node, GPtrArray *bitmaps, const char *mark,
	gboolean *last, GError **error)
{
	DiskBitmap *bitmap = find_mark(bitmaps, mark);
	Part *part;

	if (!bitmap && !parts->len)
		return no_mark(error, path, mark);
	if (!bitmap || !bitmap->usable || parts->len >= LAYER_LIMIT) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
			"%s: the mark '%s' is not complete: the VM's QEMU or the machine ended without closing the disk. Take the whole disk, remove the mark and mark anew",
			path, mark);
		return FALSE;
	}
	part = g_new0(Part, 1);
	part->path = g_strdup(path);
	part->node = g_strdup(node);
	part->bitmap = g_strdup(bitmap->name);
	part->granularity = bitmap->granularity;
	g_ptr_array_add(parts, part);
	*last = !strcmp(bitmap->name, mark);
	return TRUE;
}

static gboolean parts_off(GPtrArray *parts, const char *path, const char *mark, GError **error)
{
	g_autofree char *layer = g_canonicalize_filename(path, NULL);

	for (gboolean last = FALSE; !last;) {
		g_autoptr(GPtrArray) bitmaps = NULL;
		DiskInfo info;

		if (!layer) {
			g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
				"%s: the layer that mark '%s' was set in is gone", path, mark);
			return FALSE;
		}
		bitmaps = mark_list(layer, error);
		if (!bitmaps || !add_part(parts, layer, NULL, bitmaps, mark, &last, error) ||
			!disk_info(layer, &info, error))
			return FALSE;
		g_free(layer);
		layer = g_steal_pointer(&info.backing);
		disk_info_clear(&info);
	}
	return TRUE;
}

static gboolean parts_running(GPtrArray *parts, Qmp *qmp, const char *path, const char *mark, GError **error)
{
	g_autoptr(GPtrArray) nodes = NULL;
	QmpNode *node = live_node(qmp, path, &nodes, error);

	if (!node)
		return FALSE;
	for (gboolean last = FALSE; !last; node = qmp_node(nodes, node->backing)) {
		if (!node) {
			g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
				"%s: the layer that mark '%s' was set in is gone", path, mark);
			return FALSE;
		}
		if (!add_part(parts, node->path ? node->path : path, node->name, node->bitmaps, mark, &last, error))
			return FALSE;
	}
	return TRUE;
}

void extents_add(GArray *extents, guint64 offset, guint64 length)
{
	DiskExtent extent = {offset, length},
		   *last = extents->len ? &g_array_index(extents, DiskExtent, extents->len - 1) : NULL;

	if (last && last->offset + last->length == offset)
		last->length += length;
	else if (length)
		g_array_append_val(extents, extent);
}

static gint by_offset(gconstpointer a, gconstpointer b)
{
	const DiskExtent *ea = a, *eb = b;

	return ea->offset < eb->offset ? -1 : ea->offset > eb->offset;
}

/* In order, none touching another. */
void extents_normalise(GArray *extents)
{
	guint n = 0;
	DiskExtent *all = (DiskExtent *)(gpointer)extents->data;

	g_array_sort(extents, by_offset);
	for (guint i = 0; i < extents->len; i++) {
		guint64 end = all[i].offset + all[i].length;

		if (n && all[i].offset <= all[n - 1].offset + all[n - 1].length)
			all[n - 1].length = MAX(end, all[n - 1].offset + all[n - 1].length) - all[n - 1].offset;
		else
			all[n++] = all[i];
	}
	g_array_set_size(extents, n);
}

typedef struct {
	GArray *extents;
	GString *pending; /* objects, a comma after each */
	guint count;
} Map;

/* Many at once: a parser for each line would be most of the time. */
static gboolean map_flush(Map *map, GError **error)
{
	g_autoptr(JsonNode) root = NULL;
	JsonArray *array;

	if (!map->count)
		return TRUE;
	g_string_prepend_c(map->pending, '[');
	map->pending->str[map->pending->len - 1] = ']';
	root = js_parse(map->pending->str, (gssize)map->pending->len, error);
	if (!root)
		return FALSE;
	array = json_node_get_array(root);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonObject *extent = js_item(array, i);
		gint64 start = js_int(extent, "start"), length = js_int(extent, "length");

		if (start < 0 || length < 0) {
			g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "an extent in an impossible place");
			return FALSE;
		}
		if (!js_bool(extent, "data"))
			extents_add(map->extents, (guint64)start, (guint64)length);
	}
	g_string_truncate(map->pending, 0);
	map->count = 0;
	return TRUE;
}

/* qemu-img map prints an extent a line. With x-dirty-bitmap, what is in the bitmap is shown as a hole. */
static gboolean map_line(const char *line, gpointer data, GError **error)
{
	const char *begin = strchr(line, '{'), *end = strrchr(line, '}');
	Map *map = data;

	if (!begin || !end)
		return TRUE;
	g_string_append_len(map->pending, begin, end - begin + 1);
	g_string_append_c(map->pending, ',');
	return ++map->count < MAP_BATCH || map_flush(map, error);
}

static char *to_text(const char *format, ...)
{
	va_list list;
	g_autoptr(GVariant) value = NULL;
	g_autoptr(JsonNode) root = NULL;

	va_start(list, format);
	value = g_variant_ref_sink(g_variant_new_parsed_va(format, &list));
	va_end(list);
	root = json_gvariant_serialize(value);
	return json_to_string(root, FALSE);
}

static gboolean map_export(const char *subject, const char *socket, const char *export, const char *bitmap,
	GArray *extents, GError **error)
{
	g_autofree char *context = g_strconcat("qemu:dirty-bitmap:", bitmap, NULL);
	g_autoptr(GString) pending = g_string_new(NULL);
	Map map = {extents, pending, 0};
	g_autofree char *text = to_text(
		"{'driver': <'nbd'>, 'server': <{'type': <'unix'>, 'path': <%s>}>, 'export': <%s>, 'x-dirty-bitmap': <%s>}",
		socket, export, context);
	g_autofree char *name = g_strconcat("json:", text, NULL);
	const char *argv[] = {"qemu-img", "map", "--output=json", name, NULL};

	return tool_run(subject, argv, NULL, map_line, &map, error) && map_flush(&map, error);
}

/* A directory for a socket that both sides see, whatever private /tmp the daemon has. */
static char *socket_dir(GError **error)
{
	g_autofree char *dir = NULL;

	if (geteuid() == 0 && g_mkdir_with_parents("/run/carrel", 0755) == 0) {
		dir = g_strdup("/run/carrel/XXXXXXnbd");
		if (g_mkdtemp(dir))
			return g_steal_pointer(&dir);
	}
	return g_dir_make_tmp("carrel-XXXXXXnbd", error);
}

static GSubprocess *start_server(GPtrArray *parts, const char *socket, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	GSubprocess *server;

	g_ptr_array_add(argv, g_strdup("qemu-storage-daemon"));
	g_ptr_array_add(argv, g_strdup("--nbd-server"));
	g_ptr_array_add(argv, to_text("{'addr': <{'type': <'unix'>, 'path': <%s>}>}", socket));
	for (guint i = 0; i < parts->len; i++) {
		Part *part = parts->pdata[i];
		g_autofree char *node = g_strdup_printf("layer%u", i);

		g_ptr_array_add(argv, g_strdup("--blockdev"));
		g_ptr_array_add(argv,
			to_text("{'driver': <'qcow2'>, 'node-name': <%s>, 'read-only': <true>, 'backing': <@ms nothing>,"
				" 'file': <{'driver': <'file'>, 'filename': <%s>}>}",
				node, part->path));
		g_ptr_array_add(argv, g_strdup("--export"));
		g_ptr_array_add(argv,
			to_text("{'type': <'nbd'>, 'id': <%s>, 'node-name': <%s>, 'name': <%s>, 'bitmaps': <[<%s>]>}",
				node, node, node, part->bitmap));
	}
	g_ptr_array_add(argv, NULL);
	g_subprocess_launcher_set_child_setup(launcher, tool_limits, GINT_TO_POINTER(getpid()), NULL);
	server = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, error);
	for (guint ms = 0; server && !g_file_test(socket, G_FILE_TEST_EXISTS); ms++) {
		if (ms < START_SECONDS * 1000 && g_subprocess_get_identifier(server)) {
			g_usleep(1000);
			continue;
		}
		g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "qemu-storage-daemon does not serve the image");
		g_subprocess_force_exit(server);
		g_subprocess_wait(server, NULL, NULL);
		g_clear_object(&server);
	}
	return server;
}

static gboolean changed_off(const char *path, const char *mark, const char *socket, GArray *extents, GError **error)
{
	g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func((GDestroyNotify)part_free);
	g_autoptr(GSubprocess) server = NULL;
	gboolean ok = TRUE;

	if (!parts_off(parts, path, mark, error) || !(server = start_server(parts, socket, error)))
		return FALSE;
	for (guint i = 0; ok && i < parts->len; i++) {
		Part *part = parts->pdata[i];
		g_autofree char *export = g_strdup_printf("layer%u", i);

		ok = map_export(path, socket, export, part->bitmap, extents, error);
	}
	g_subprocess_force_exit(server);
	g_subprocess_wait(server, NULL, NULL);
	return ok;
}

static gboolean start_running_server(Qmp *qmp, const char *socket, GError **error)
{
	static const char start[] = "{'addr': <{'type': <'unix'>, 'data': <{'path': <%s>}>}>}";

	if (qmp_do(qmp, NULL, "nbd-server-start", start, socket))
		return TRUE;
	/* One that a killed daemon left. */
	qmp_do(qmp, NULL, "nbd-server-stop", NULL);
	return qmp_do(qmp, error, "nbd-server-start", start, socket);
}

/* A bitmap that goes on recording can't be exported: a copy is. */
static gboolean copy_bitmap(Qmp *qmp, const Part *part, GError **error)
{
	qmp_do(qmp, NULL, "block-dirty-bitmap-remove", "{'node': <%s>, 'name': <'" READ_BITMAP "'>}", part->node);
	return qmp_do(qmp, error, "transaction",
		"{'actions': <[<{'type': <'block-dirty-bitmap-add'>, 'data': <{'node': <%s>, 'name': <'" READ_BITMAP
		"'>, 'granularity': <%x>, 'disabled': <true>}>}>,"
		" <{'type': <'block-dirty-bitmap-merge'>, 'data': <{'node': <%s>, 'target': <'" READ_BITMAP
		"'>, 'bitmaps': <[<%s>]>}>}>]>}",
		part->node, (gint64)part->granularity, part->node, part->bitmap);
}

static gboolean map_running(const char *qmp_path, const char *path, const Part *part, gboolean live, const char *socket,
	GArray *extents, GError **error)
{
	const char *bitmap = live ? READ_BITMAP : part->bitmap;
	g_autoptr(Qmp) qmp = qmp_open(qmp_path, error);
	gboolean ok = FALSE;

	if (!qmp || (live && !copy_bitmap(qmp, part, error)))
		return FALSE;
	qmp_do(qmp, NULL, "block-export-del", "{'id': <'" READ_EXPORT "'>, 'mode': <'hard'>}");
	if (start_running_server(qmp, socket, error) &&
		qmp_do(qmp, error, "block-export-add",
			"{'type': <'nbd'>, 'id': <'" READ_EXPORT "'>, 'node-name': <%s>, 'name': <'" READ_EXPORT "'>,"
			" 'bitmaps': <[<%s>]>}",
			part->node, bitmap)) {
		g_clear_pointer(&qmp, qmp_close); /* libxl may want it meanwhile */
		ok = map_export(path, socket, READ_EXPORT, bitmap, extents, error);
		qmp = qmp_open(qmp_path, ok ? error : NULL);
		ok = ok && qmp;
	}
	if (qmp) {
		qmp_do(qmp, NULL, "block-export-del", "{'id': <'" READ_EXPORT "'>, 'mode': <'hard'>}");
		qmp_do(qmp, NULL, "nbd-server-stop", NULL);
		if (live)
			qmp_do(qmp, NULL, "block-dirty-bitmap-remove", "{'node': <%s>, 'name': <'" READ_BITMAP "'>}",
				part->node);
	}
	return ok;
}

static gboolean changed_running(
	const char *path, const char *qmp_path, const char *mark, const char *socket, GArray *extents, GError **error)
{
	g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func((GDestroyNotify)part_free);
	g_autoptr(Qmp) qmp = qmp_open(qmp_path, error);

	if (!qmp || !parts_running(parts, qmp, path, mark, error))
		return FALSE;
	g_clear_pointer(&qmp, qmp_close);
	for (guint i = 0; i < parts->len; i++)
		if (!map_running(qmp_path, path, parts->pdata[i], i == 0, socket, extents, error))
			return FALSE;
	return TRUE;
}

GArray *disk_changed(const char *path, const char *qmp, const char *mark, GError **error)
{
	g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
	g_autoptr(DiskSet) set = NULL;
	g_autofree char *dir = NULL, *socket = NULL;
	gboolean ok;

	if (!mark_valid(mark, error) || !(set = open_disk(path, qmp, error)) || !(dir = socket_dir(error)))
		return NULL;
	socket = g_build_filename(dir, "socket", NULL);
	ok = qmp ? changed_running(path, qmp, mark, socket, extents, error)
		 : changed_off(path, mark, socket, extents, error);
	unlink(socket);
	rmdir(dir);
	if (!ok)
		return NULL;
	extents_normalise(extents);
	return g_steal_pointer(&extents);
}
