/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <glib/gstdio.h>
#include <string.h>

static char *store_path(Manager *manager, const char *name, const char *suffix)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL);

	return g_build_filename(manager->run_dir, "vms", file, NULL);
}

void wire_free(gpointer data)
{
	Wire *wire = data;

	g_free(wire->name);
	g_free(wire->vif);
	g_free(wire->address);
	g_free(wire);
}

void run_record_free(RunRecord *record)
{
	if (!record)
		return;
	g_free(record->phase);
	g_clear_pointer(&record->wires, g_ptr_array_unref);
	g_free(record);
}

gboolean store_save(Manager *manager, const char *name, const RunRecord *record, VmFile *file, GError **error)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autofree char *path = store_path(manager, name, ".run"), *definition = store_path(manager, name, ".vm");
	g_autofree char *text = vmfile_to_text(file);

	g_key_file_set_string(keys, "run", "phase", record->phase);
	g_key_file_set_uint64(keys, "run", "domain", record->domain);
	g_key_file_set_uint64(keys, "run", "started", record->started);
	g_key_file_set_uint64(keys, "run", "memory", record->memory);
	g_key_file_set_boolean(keys, "run", "vault", record->vault);
	for (guint i = 0; record->wires && i < record->wires->len; i++) {
		const Wire *wire = record->wires->pdata[i];

		g_key_file_set_string(keys, wire->name, "vif", wire->vif ? wire->vif : "");
		g_key_file_set_string(keys, wire->name, "address", wire->address ? wire->address : "");
	}
	return g_file_set_contents_full(definition, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error) &&
		g_key_file_save_to_file(keys, path, error);
}

gboolean store_phase(Manager *manager, const char *name, const char *phase, GError **error)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autofree char *path = store_path(manager, name, ".run");

	/* Absent when the run directory was lost: then there is nothing to be found again either. */
	g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL);
	g_key_file_set_string(keys, "run", "phase", phase);
	return g_key_file_save_to_file(keys, path, error);
}

RunRecord *store_load(Manager *manager, const char *name, VmFile **file)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autofree char *path = store_path(manager, name, ".run"), *definition = store_path(manager, name, ".vm");
	g_auto(GStrv) groups = NULL;
	RunRecord *record;

	*file = NULL;
	if (!g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL))
		return NULL;
	record = g_new0(RunRecord, 1);
	record->phase = g_key_file_get_string(keys, "run", "phase", NULL);
	if (!record->phase)
		record->phase = g_strdup("starting");
	record->domain = g_key_file_get_uint64(keys, "run", "domain", NULL);
	record->started = g_key_file_get_uint64(keys, "run", "started", NULL);
	record->memory = g_key_file_get_uint64(keys, "run", "memory", NULL);
	record->vault = g_key_file_get_boolean(keys, "run", "vault", NULL);
	record->wires = g_ptr_array_new_with_free_func(wire_free);
	groups = g_key_file_get_groups(keys, NULL);
	for (char **group = groups; *group; group++) {
		Wire *wire;

		if (!strcmp(*group, "run"))
			continue;
		wire = g_new0(Wire, 1);
		wire->name = g_strdup(*group);
		wire->vif = g_key_file_get_string(keys, *group, "vif", NULL);
		wire->address = g_key_file_get_string(keys, *group, "address", NULL);
		g_ptr_array_add(record->wires, wire);
	}
	*file = vmfile_load(definition, NULL);
	return record;
}

void store_remove(Manager *manager, const char *name)
{
	g_autofree char *path = store_path(manager, name, ".run"), *definition = store_path(manager, name, ".vm");
	g_autofree char *qmp = g_strdup_printf("%s/qmp/%s.qmp", manager->run_dir, name);

	g_unlink(qmp);
	g_unlink(definition);
	g_unlink(path);
}

GPtrArray *store_names(Manager *manager)
{
	g_autofree char *path = g_build_filename(manager->run_dir, "vms", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	const char *file;

	while (dir && (file = g_dir_read_name(dir)))
		if (g_str_has_suffix(file, ".run"))
			g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".run")));
	return names;
}

void store_foreground(Manager *manager, const char *name)
{
	g_autofree char *path = g_build_filename(manager->run_dir, "foreground", NULL);
	g_autoptr(GError) error = NULL;

	if (!name)
		g_unlink(path);
	else if (!g_file_set_contents(path, name, -1, &error))
		g_warning("a restart would forget which VM is on screen: %s", error->message);
}

char *store_read_foreground(Manager *manager)
{
	g_autofree char *path = g_build_filename(manager->run_dir, "foreground", NULL);
	char *name = NULL;

	g_file_get_contents(path, &name, NULL, NULL);
	return name;
}
