/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON that nobody vouches for: json-glib's own getters complain aloud about a wrong type. */
#include "internal.h"

static JsonNode *value_of(JsonObject *object, const char *member, GType type)
{
	JsonNode *node = object ? json_object_get_member(object, member) : NULL;

	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node : NULL;
}

const char *js_string(JsonObject *object, const char *member)
{
	JsonNode *node = value_of(object, member, G_TYPE_STRING);

	return node ? json_node_get_string(node) : NULL;
}

gint64 js_int(JsonObject *object, const char *member)
{
	JsonNode *node = value_of(object, member, G_TYPE_INT64);

	return node ? json_node_get_int(node) : 0;
}

gboolean js_bool(JsonObject *object, const char *member)
{
	JsonNode *node = value_of(object, member, G_TYPE_BOOLEAN);

	return node && json_node_get_boolean(node);
}

JsonObject *js_object(JsonObject *object, const char *member)
{
	JsonNode *node = object ? json_object_get_member(object, member) : NULL;

	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *js_array(JsonObject *object, const char *member)
{
	JsonNode *node = object ? json_object_get_member(object, member) : NULL;

	return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *js_item(JsonArray *array, guint i)
{
	JsonNode *node = array && i < json_array_get_length(array) ? json_array_get_element(array, i) : NULL;

	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonNode *js_parse(const char *text, gssize length, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonNode *root;

	json_parser_set_strict(parser, TRUE);
	if (!g_utf8_validate(text, length, NULL)) {
		g_set_error_literal(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "not UTF-8");
		return NULL;
	}
	if (!json_parser_load_from_data(parser, text, length, error))
		return NULL;
	root = json_parser_get_root(parser);
	if (!root || !(JSON_NODE_HOLDS_OBJECT(root) || JSON_NODE_HOLDS_ARRAY(root))) {
		g_set_error_literal(
			error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "neither an object nor an array");
		return NULL;
	}
	return json_parser_steal_root(parser);
}
