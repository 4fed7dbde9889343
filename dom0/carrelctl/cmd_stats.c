// SPDX-License-Identifier: Apache-2.0
#include "carrelctl.h"
#include <string.h>

static GVariant *statistics(Ctl *ctl, gpointer proxy, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, proxy, "GetStatistics", NULL, error);

	return reply ? g_variant_get_child_value(reply, 0) : NULL;
}

/* A figure as its key says: "-ns" are times, "cpus" a number, the rest bytes. */
static char *figure(const char *key, GVariant *value)
{
	guint64 number;

	if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
		number = g_variant_get_uint64(value);
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
		return g_strdup_printf("%u", g_variant_get_uint32(value));
	else
		return g_variant_print(value, FALSE);
	return g_str_has_suffix(key, "-ns") ? text_duration(number) : text_size(number);
}

static void print_figure(const char *key, GVariant *value)
{
	g_autofree char *text = figure(key, value), *safe = text_safe(text), *name = text_safe(key);

	if (g_str_has_suffix(name, "-ns"))
		name[strlen(name) - 3] = 0;
	printf("%-14s %s\n", name, safe);
}

/* In the contract's order; what a later manager adds follows. */
static void print_machine(GVariant *figures)
{
	static const char *const keys[] = {"memory-total", "memory-free", "memory-dom0", "memory-core", "cpus", "cpu-idle-ns",
		"storage-total", "storage-free", NULL};
	const char *key;
	GVariant *value;
	GVariantIter iter;

	for (guint k = 0; keys[k]; k++) {
		g_autoptr(GVariant) known = g_variant_lookup_value(figures, keys[k], NULL);

		if (known)
			print_figure(keys[k], known);
	}
	g_variant_iter_init(&iter, figures);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
		if (!g_strv_contains(keys, key))
			print_figure(key, value);
		g_variant_unref(value);
	}
}

static const char *const vm_keys[] = {"cpu-ns", "memory", "memory-target", "disk-read", "disk-written", "net-received", "net-sent"};

static void vm_row(Table *table, const char *name, GVariant *figures)
{
	table_add(table, NULL, name);
	for (guint k = 0; k < G_N_ELEMENTS(vm_keys); k++) {
		g_autoptr(GVariant) value = g_variant_lookup_value(figures, vm_keys[k], NULL);

		table_take(table, value ? figure(vm_keys[k], value) : g_strdup("-"));
	}
}

static void vm_json(JsonArray *array, const char *name, GVariant *figures)
{
	JsonNode *node = json_of_value(figures);

	json_object_set_string_member(json_node_get_object(node), "name", name);
	json_array_add_element(array, node);
}

/* One VM's figures into the table and the array; a VM that is gone by now is left out when all were asked for. */
static gboolean add_vm(Ctl *ctl, CarrelVm1 *vm, Table *table, JsonArray *array, GError **error)
{
	g_autoptr(GVariant) figures = statistics(ctl, vm, error);
	const char *name = carrel_vm1_get_name(vm) ? carrel_vm1_get_name(vm) : "";

	if (!figures)
		return FALSE;
	if (ctl->opt.json)
		vm_json(array, name, figures);
	else
		vm_row(table, name, figures);
	return TRUE;
}

static gboolean stats_named(Ctl *ctl, char **names, Table *table, JsonArray *array, GError **error)
{
	for (; *names; names++) {
		g_autoptr(CarrelVm1) vm = ctl_vm(ctl, *names, error);

		if (!vm || !add_vm(ctl, vm, table, array, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean stats_running(Ctl *ctl, Table *table, JsonArray *array, GError **error)
{
	g_autoptr(GDBusObjectManager) objects = ctl_objects(ctl, error);
	g_autoptr(GPtrArray) vms = objects ? ctl_vms(objects, FALSE) : NULL;

	for (guint i = 0; vms && i < vms->len; i++) {
		g_autoptr(GError) local = NULL;

		if (carrel_vm1_get_domain_id(vms->pdata[i]) < 0 || add_vm(ctl, vms->pdata[i], table, array, &local) ||
			status_of(local) == STATUS_NOT_FOUND)
			continue;
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	return vms != NULL;
}

gboolean cmd_stats(Ctl *ctl, char **args, GError **error)
{
	static const char *const headers[] = {"NAME", ">CPU", ">MEMORY", ">TARGET", ">READ", ">WRITTEN", ">RECEIVED", ">SENT", NULL};
	g_autoptr(Table) table = table_new(headers);
	g_autoptr(JsonArray) array = json_array_new();
	g_autoptr(GVariant) machine = NULL;

	if (!ctl_connect(ctl, error))
		return FALSE;
	if (!*args && !(machine = statistics(ctl, ctl->manager, error)))
		return FALSE;
	if (*args ? !stats_named(ctl, args, table, array, error) : !stats_running(ctl, table, array, error))
		return FALSE;
	if (ctl->opt.json) {
		JsonObject *object = json_object_new();

		if (machine)
			json_object_set_member(object, "machine", json_of_value(machine));
		json_object_set_array_member(object, "vms", json_array_ref(array));
		ctl->result = json_take_object(object);
		return TRUE;
	}
	if (machine) {
		print_machine(machine);
		fputs("\n", stdout);
	}
	table_print(table);
	return TRUE;
}
