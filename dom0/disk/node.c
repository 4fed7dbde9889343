/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's block graph: which node is on which file. */
#include "internal.h"
#include <string.h>

void bitmap_free(DiskBitmap *bitmap)
{
	g_free(bitmap->name);
	g_free(bitmap);
}

DiskBitmap *bitmap_find(GPtrArray *bitmaps, const char *name)
{
	for (guint i = 0; i < bitmaps->len; i++) {
		DiskBitmap *bitmap = bitmaps->pdata[i];

		if (!strcmp(bitmap->name, name))
			return bitmap;
	}
	return NULL;
}

static void node_free(QmpNode *node)
{
	g_free(node->name);
	g_free(node->driver);
	g_free(node->path);
	g_free(node->file);
	g_free(node->backing);
	g_ptr_array_unref(node->bitmaps);
	g_free(node);
}

QmpNode *qmp_node(GPtrArray *nodes, const char *name)
{
	for (guint i = 0; name && i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i];

		if (!strcmp(node->name, name))
			return node;
	}
	return NULL;
}

static void read_bitmaps(QmpNode *node, JsonArray *bitmaps)
{
	for (guint i = 0; bitmaps && i < json_array_get_length(bitmaps); i++) {
		JsonObject *object = js_item(bitmaps, i);
		const char *name = js_string(object, "name");
		DiskBitmap *bitmap;

		if (!name || !js_bool(object, "persistent"))
			continue;
		bitmap = g_new0(DiskBitmap, 1);
		bitmap->name = g_strdup(name);
		bitmap->granularity = (guint64)MAX(0, js_int(object, "granularity"));
		bitmap->usable = !js_bool(object, "inconsistent") && js_bool(object, "recording");
		g_ptr_array_add(node->bitmaps, bitmap);
	}
}

static QmpNode *read_node(JsonObject *object)
{
	const char *name = js_string(object, "node-name"), *driver = js_string(object, "drv"),
		   *file = js_string(object, "file");
	QmpNode *node;

	if (!name || !driver)
		return NULL;
	node = g_new0(QmpNode, 1);
	node->name = g_strdup(name);
	node->driver = g_strdup(driver);
	node->readonly = js_bool(object, "ro");
	node->direct = js_bool(js_object(object, "cache"), "direct");
	node->bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)bitmap_free);
	if (file && (!strcmp(driver, "file") || !strcmp(driver, "host_device")))
		node->path = g_strdup(file);
	read_bitmaps(node, js_array(object, "dirty-bitmaps"));
	return node;
}

/* Ids of the graph become names, its edges file and backing. */
static void read_edges(GPtrArray *nodes, JsonObject *graph)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	JsonArray *points = js_array(graph, "nodes"), *edges = js_array(graph, "edges");

	for (guint i = 0; points && i < json_array_get_length(points); i++) {
		JsonObject *point = js_item(points, i);
		gint64 id = js_int(point, "id");

		if (js_string(point, "name") && !g_strcmp0(js_string(point, "type"), "block-driver"))
			g_hash_table_insert(names, g_memdup2(&id, sizeof id), (gpointer)js_string(point, "name"));
	}
	for (guint i = 0; edges && i < json_array_get_length(edges); i++) {
		JsonObject *edge = js_item(edges, i);
		gint64 parent = js_int(edge, "parent"), child = js_int(edge, "child");
		const char *kind = js_string(edge, "name"), *below = g_hash_table_lookup(names, &child);
		QmpNode *node = qmp_node(nodes, g_hash_table_lookup(names, &parent)), *lower = qmp_node(nodes, below);

		if (!kind || !lower)
			continue;
		if (!node) {
			lower->attached = TRUE;
		} else if (!strcmp(kind, "file")) {
			g_free(node->file);
			node->file = g_strdup(below);
		} else if (!strcmp(kind, "backing")) {
			g_free(node->backing);
			node->backing = g_strdup(below);
		}
	}
}

GPtrArray *nodes_read(JsonNode *list, JsonNode *graph)
{
	GPtrArray *nodes = g_ptr_array_new_with_free_func((GDestroyNotify)node_free);
	JsonArray *array = JSON_NODE_HOLDS_ARRAY(list) ? json_node_get_array(list) : NULL;

	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		QmpNode *node = read_node(js_item(array, i));

		if (node)
			g_ptr_array_add(nodes, node);
	}
	if (JSON_NODE_HOLDS_OBJECT(graph))
		read_edges(nodes, json_node_get_object(graph));
	for (guint i = 0; i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i], *file = qmp_node(nodes, node->file);

		if (!node->path && file && file->path)
			node->path = g_strdup(file->path);
	}
	return nodes;
}

GPtrArray *qmp_nodes(Qmp *qmp, GError **error)
{
	g_autoptr(JsonNode) list = qmp_call(qmp, error, "query-named-block-nodes", "{'flat': <true>}"), graph = NULL;

	graph = list ? qmp_call(qmp, error, "x-debug-query-block-graph", NULL) : NULL;
	return graph ? nodes_read(list, graph) : NULL;
}

/* The same file, or one that is gone and went by the same name: two names may lead to one directory. */
static gboolean same_name(const char *a, const char *b)
{
	g_autofree char *name_a = g_path_get_basename(a), *name_b = g_path_get_basename(b);
	g_autofree char *dir_a = g_path_get_dirname(a), *dir_b = g_path_get_dirname(b);

	return file_same(a, b) || (!strcmp(name_a, name_b) && (!strcmp(dir_a, dir_b) || file_same(dir_a, dir_b)));
}

QmpNode *qmp_image(GPtrArray *nodes, const char *path)
{
	QmpNode *found = NULL;

	for (guint i = 0; i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i];

		if (node->file && node->path && (!strcmp(node->driver, "qcow2") || !strcmp(node->driver, "raw")) &&
			same_name(node->path, path) && (!found || node->attached))
			found = node;
	}
	return found;
}

void qmp_drop(Qmp *qmp, const char *node)
{
	qmp_do(qmp, NULL, "blockdev-del", "{'node-name': <%s>}", node);
}

/* QEMU goes by names when it opens a file again (to make it read-only, for one), so a node must never carry the name of what
 * has become another file. blockdev-reopen takes every option anew, and only nodes with a name of their own, as the device's is:
 * those QEMU opened by itself below it are never renamed. */
gboolean qmp_retarget(Qmp *qmp, const char *from, const char *to, const char *id, GError **error)
{
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, error);
	g_autofree char *old = NULL;
	QmpNode *node;

	if (!nodes)
		return FALSE;
	node = qmp_image(nodes, from);
	if (!node || !strcmp(node->path, to))
		return TRUE;
	/* Writable even below a read-only image: a node with a name of its own does not follow when the image becomes writable. */
	if (!qmp_do(qmp, error, "blockdev-add",
		    "{'driver': <'file'>, 'node-name': <%s>, 'filename': <%s>, 'locking': <'off'>, 'discard': <'unmap'>, 'cache': <{'direct': <%b>}>}",
		    id, to, node->direct))
		return FALSE;
	if (!qmp_do(qmp, error, "blockdev-reopen",
		    "{'options': <[{'driver': <%s>, 'node-name': <%s>, 'file': <%s>, 'discard': <'unmap'>, 'read-only': <%b>,"
		    " 'cache': <{'direct': <%b>}>, 'backing': <%@ms>}]>}",
		    node->driver, node->name, id, node->readonly, node->direct,
		    g_variant_new_maybe(
			    G_VARIANT_TYPE_STRING, node->backing ? g_variant_new_string(node->backing) : NULL))) {
		qmp_drop(qmp, id);
		return FALSE;
	}
	if (g_str_has_prefix(node->file, "carrel-"))
		qmp_drop(qmp, node->file);
	return TRUE;
}
