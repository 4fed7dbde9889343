// SPDX-License-Identifier: Apache-2.0
/* The API's values as JSON. Names: DomainId is "domain-id". Object paths of VMs are their names. */
#include "carrelctl.h"
#include <string.h>

char *json_name(const char *property)
{
	GString *name = g_string_new(NULL);

	for (const char *p = property; *p; p++) {
		if (g_ascii_isupper(*p) && p > property)
			g_string_append_c(name, '-');
		g_string_append_c(name, g_ascii_tolower(*p));
	}
	return g_string_free(name, FALSE);
}

JsonNode *json_take_object(JsonObject *object)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	json_node_take_object(node, object);
	return node;
}

JsonNode *json_take_array(JsonArray *array)
{
	JsonNode *node = json_node_new(JSON_NODE_ARRAY);

	json_node_take_array(node, array);
	return node;
}

static JsonNode *snapshots(GVariant *value)
{
	JsonArray *array = json_array_new();
	const char *name, *description;
	GVariantIter iter;
	guint64 when;

	g_variant_iter_init(&iter, value);
	while (g_variant_iter_next(&iter, "(&s&st)", &name, &description, &when)) {
		JsonObject *snapshot = json_object_new();

		json_object_set_string_member(snapshot, "name", name);
		json_object_set_string_member(snapshot, "description", description);
		json_object_set_int_member(snapshot, "time", (gint64)when);
		json_array_add_object_element(array, snapshot);
	}
	return json_take_array(array);
}

JsonNode *json_of_value(GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH)) {
		JsonNode *node = json_node_new(JSON_NODE_VALUE);
		g_autofree char *name = vm_name_of_path(g_variant_get_string(value, NULL));

		json_node_set_string(node, name);
		return node;
	}
	if (g_variant_is_of_type(value, G_VARIANT_TYPE("a(sst)")))
		return snapshots(value);
	return json_gvariant_serialize(value);
}

/* In the order of the contract; what the manager does not have is left out. */
JsonNode *json_of_vm(CarrelVm1 *vm)
{
	JsonObject *object = json_object_new();

	for (GDBusPropertyInfo **info = carrel_vm1_interface_info()->properties; info && *info; info++) {
		g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(G_DBUS_PROXY(vm), (*info)->name);
		g_autofree char *name = json_name((*info)->name);

		if (value)
			json_object_set_member(object, name, json_of_value(value));
	}
	return json_take_object(object);
}

/* JSON lets DEL, C1 controls and marks of direction stand in strings as they are; a terminal may obey them. */
static char *escape_controls(const char *text)
{
	GString *out = g_string_sized_new(strlen(text));

	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c == '\n' || (c >= 0x20 && c < 0x7f) || (g_unichar_isprint(c) && c != 0x2028 && c != 0x2029))
			g_string_append_len(out, p, g_utf8_next_char(p) - p);
		else if (c < 0x10000)
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
	}
	return g_string_free(out, FALSE);
}

char *json_text(JsonNode *node, gboolean pretty)
{
	g_autofree char *text = json_to_string(node, pretty);

	return escape_controls(text);
}
