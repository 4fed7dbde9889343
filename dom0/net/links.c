/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the kernel's interfaces and their addresses back. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "internal.h"

static void link_free(Link *link)
{
	g_free(link->kind);
	g_free(link->alias);
	g_free(link->master);
	g_free(link->mac);
	g_ptr_array_unref(link->addresses);
	g_free(link);
}

static char *member(JsonObject *object, const char *name, const char *otherwise)
{
	return g_strdup(json_object_get_string_member_with_default(object, name, otherwise));
}

static Link *link_read(JsonObject *object)
{
	Link *link = g_new0(Link, 1);
	JsonObject *info = json_object_has_member(object, "linkinfo") ? json_object_get_object_member(object, "linkinfo") : NULL;
	JsonArray *addresses = json_object_has_member(object, "addr_info") ? json_object_get_array_member(object, "addr_info") : NULL;

	link->kind = info ? member(info, "info_kind", "") : g_strdup("");
	link->alias = member(object, "ifalias", "");
	link->master = member(object, "master", NULL);
	link->mac = member(object, "address", "");
	link->addresses = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; addresses && i < json_array_get_length(addresses); i++) {
		JsonObject *one = json_array_get_object_element(addresses, i);
		const char *local = json_object_get_string_member_with_default(one, "local", NULL);
		if (local)
			g_ptr_array_add(link->addresses, g_strdup_printf("%s/%d", local,
				(int)json_object_get_int_member_with_default(one, "prefixlen", 0)));
	}
	return link;
}

/* What a program of iproute2 answers to -json. */
static JsonArray *ask(JsonParser *parser, const char *const *argv, GError **error)
{
	g_autofree char *text = net_run(argv, NULL, error);

	if (!text || !json_parser_load_from_data(parser, text, -1, error))
		return NULL;
	JsonNode *root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_ARRAY(root)) {
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: %s -json did not answer with a list", argv[0]);
		return NULL;
	}
	return json_node_get_array(root);
}

GHashTable *net_links(GError **error)
{
	const char *argv[] = { "ip", "-json", "-details", "address", "show", NULL };
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(GHashTable) links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)link_free);
	JsonArray *array = ask(parser, argv, error);

	if (!array)
		return NULL;
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		const char *name = JSON_NODE_HOLDS_OBJECT(node) ?
			json_object_get_string_member_with_default(json_node_get_object(node), "ifname", NULL) : NULL;
		if (name)
			g_hash_table_insert(links, g_strdup(name), link_read(json_node_get_object(node)));
	}
	return g_steal_pointer(&links);
}

gboolean net_has_qdisc(const char *interface, const char *kind)
{
	const char *argv[] = { "tc", "-json", "qdisc", "show", "dev", interface, NULL };
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonArray *array = ask(parser, argv, NULL);

	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		if (JSON_NODE_HOLDS_OBJECT(node) &&
		    g_str_equal(json_object_get_string_member_with_default(json_node_get_object(node), "kind", ""), kind))
			return TRUE;
	}
	return FALSE;
}

gboolean net_link_ours(const Link *link, const char *kind)
{
	return g_str_equal(link->kind, kind) && g_str_equal(link->alias, NET_OWNER);
}
