// SPDX-License-Identifier: Apache-2.0
#include "lines.h"
#include "schema.h"

#include <string.h>

enum { MAX_TEXT = 256 * 1024 };

static void disk_free(VmDisk *disk)
{
	g_free(disk->name);
	g_free(disk->file);
	g_free(disk);
}

static void interface_free(VmInterface *interface)
{
	g_free(interface->name);
	g_free(interface->network);
	g_free(interface);
}

void vmfile_free(VmFile *file)
{
	if (!file)
		return;
	g_free(file->title);
	g_free(file->description);
	g_free(file->uuid);
	g_free(file->colour);
	g_free(file->kernel);
	g_free(file->ramdisk);
	g_free(file->cmdline);
	g_ptr_array_unref(file->disks);
	g_ptr_array_unref(file->interfaces);
	g_strfreev(file->devices);
	g_strfreev(file->unknown);
	g_key_file_unref(file->keys);
	g_free(file);
}

static VmFile *file_new(void)
{
	VmFile *file = g_new0(VmFile, 1);

	file->keys = g_key_file_new();
	file->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
	file->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify)interface_free);
	return file;
}

/* The key's value unescaped; NULL without an error: there is none, or an empty one. */
static char *get_value(const Lines *lines, GKeyFile *keys, const char *group, const char *key, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autofree char *value = NULL;

	if (!g_key_file_has_key(keys, group, key, NULL))
		return NULL;
	value = g_key_file_get_string(keys, group, key, &local);
	if (!value) {
		lines_refuse(lines, group, key, "has an escape other than \\s, \\n, \\t, \\r and \\\\", error);
		return NULL;
	}
	g_strchomp(value);
	return *value ? g_steal_pointer(&value) : NULL;
}

/* Fills record from the group's keys, where there is no such group with what is the default. */
static gboolean fill(const Lines *lines, GKeyFile *keys, const char *group, const char *kind, gpointer record, GError **error)
{
	for (gsize i = 0; i < schema_size; i++) {
		const SchemaKey *key = &schema[i];
		g_autoptr(GError) local = NULL;
		g_autofree char *value = NULL;

		if (!g_str_equal(key->group, kind))
			continue;
		value = get_value(lines, keys, group, key->key, &local);
		if (local) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
		if (!value && !(value = g_strdup(key->fallback)))
			continue;
		if (!value_store(key, value, record, &local))
			return lines_refuse(lines, group, key->key, local->message, error);
	}
	return TRUE;
}

static gboolean has_value(const VmFile *file, const char *group, const char *key)
{
	g_autofree char *value = g_key_file_get_value(file->keys, group, key, NULL);

	return value && *value;
}

static gboolean add_disk(const Lines *lines, VmFile *file, const char *group, GError **error)
{
	VmDisk *disk = g_new0(VmDisk, 1);

	disk->name = g_strdup(group + strlen("disk "));
	g_ptr_array_add(file->disks, disk);
	if (strlen(disk->name) != 4 || !g_str_has_prefix(disk->name, "xvd") || !g_ascii_islower(disk->name[3]))
		return lines_refuse(lines, group, NULL, "a disk is one of xvda to xvdz, 26 at most", error);
	if (!fill(lines, file->keys, group, "disk", disk, error))
		return FALSE;
	if (!has_value(file, group, "format"))
		disk->format = disk->file && g_str_has_prefix(disk->file, "/dev/") ? DISK_BLOCK : DISK_QCOW2;
	return TRUE;
}

static guint interface_number(const VmInterface *interface)
{
	return (guint)g_ascii_strtoull(interface->name + strlen("eth"), NULL, 10);
}

static gboolean interface_name_fit(const char *name)
{
	for (guint i = 0; i < VM_MAX_INTERFACES; i++) {
		char fit[8];

		g_snprintf(fit, sizeof(fit), "eth%u", i);
		if (g_str_equal(fit, name))
			return TRUE;
	}
	return FALSE;
}

static gboolean add_interface(const Lines *lines, VmFile *file, const char *group, GError **error)
{
	VmInterface *interface = g_new0(VmInterface, 1);

	interface->name = g_strdup(group + strlen("network "));
	g_ptr_array_add(file->interfaces, interface);
	if (!interface_name_fit(interface->name))
		return lines_refuse(lines, group, NULL, "an interface is one of eth0 to eth15, 16 at most", error);
	if (!fill(lines, file->keys, group, "network", interface, error))
		return FALSE;
	if (interface->mode != NET_SHARED)
		g_clear_pointer(&interface->network, g_free);
	return TRUE;
}

static void add_unknown(GStrvBuilder *unknown, const Lines *lines, const char *group, const char *key)
{
	g_autofree char *where = lines_where(lines, group, key);

	if (!g_str_has_prefix(key ? key : group, "x-"))
		g_strv_builder_take(unknown, g_strconcat(where, ": not known, kept", NULL));
}

/* Every group's record; names of what nobody knows go to unknown. */
static gboolean add_groups(const Lines *lines, VmFile *file, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file->keys, NULL);
	g_autoptr(GStrvBuilder) unknown = g_strv_builder_new();

	for (char **group = groups; *group; group++) {
		const char *kind = schema_group(*group);
		g_auto(GStrv) keys = g_key_file_get_keys(file->keys, *group, NULL, NULL);
		gboolean good = TRUE;

		if (kind && schema_record(kind) == RECORD_DISK)
			good = add_disk(lines, file, *group, error);
		else if (kind && schema_record(kind) == RECORD_INTERFACE)
			good = add_interface(lines, file, *group, error);
		if (!good)
			return FALSE;
		if (!kind)
			add_unknown(unknown, lines, *group, NULL);
		for (char **key = keys; kind && *key; key++)
			if (!schema_find(kind, *key))
				add_unknown(unknown, lines, *group, *key);
	}
	file->unknown = g_strv_builder_end(unknown);
	return TRUE;
}

static int compare_disks(gconstpointer a, gconstpointer b)
{
	return strcmp((*(VmDisk *const *)a)->name, (*(VmDisk *const *)b)->name);
}

static int compare_interfaces(gconstpointer a, gconstpointer b)
{
	return (int)interface_number(*(VmInterface *const *)a) - (int)interface_number(*(VmInterface *const *)b);
}

/* A colour that stays the same for the same name or UUID. */
static const char *make_colour(const char *from)
{
	static const char *const colours[] = { "#3465a4", "#4e9a06", "#c17d11", "#75507b", "#cc0000", "#06989a",
		"#ce5c00", "#a40074", "#2e7d5b", "#8f5902", "#5c6bc0", "#7a8b00" };
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize length = sizeof(digest);

	g_checksum_update(sum, (const guchar *)from, -1);
	g_checksum_get_digest(sum, digest, &length);
	return colours[digest[0] % G_N_ELEMENTS(colours)];
}

/* Locally administered, from the VM's UUID and the interface's name. */
static void make_mac(const VmFile *file, VmInterface *interface)
{
	static const guint8 none[6];
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize length = sizeof(digest);

	if (memcmp(interface->mac, none, sizeof(none)) != 0)
		return;
	g_checksum_update(sum, (const guchar *)file->uuid, -1);
	g_checksum_update(sum, (const guchar *)interface->name, -1);
	g_checksum_get_digest(sum, digest, &length);
	memcpy(interface->mac, digest, sizeof(interface->mac));
	interface->mac[0] = (interface->mac[0] & 0xfc) | 2;
}

/* Defaults that are made from something else. */
static void complete(VmFile *file)
{
	const guint64 least = schema_find("machine", "memory-min")->min, MiB = 1 << 20;

	if (!file->uuid) {
		file->uuid = g_uuid_string_random();
		file->fresh_uuid = TRUE;
		g_key_file_set_string(file->keys, "vm", "uuid", file->uuid);
	}
	if (!file->title)
		file->title = g_strdup("");
	if (!file->description)
		file->description = g_strdup("");
	if (!file->colour)
		file->colour = g_strdup(make_colour(file->uuid));
	if (!file->memory_min)
		file->memory_min = MAX(least, file->memory_max / 2 / MiB * MiB);
	g_ptr_array_sort(file->disks, compare_disks);
	g_ptr_array_sort(file->interfaces, compare_interfaces);
	for (guint i = 0; i < file->interfaces->len; i++)
		make_mac(file, file->interfaces->pdata[i]);
}

static gboolean fill_file(const Lines *lines, VmFile *file, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autofree char *group = NULL;
	const char *key = NULL;

	if (!fill(lines, file->keys, "vm", "vm", file, error) || !fill(lines, file->keys, "machine", "machine", file, error) ||
	    !fill(lines, file->keys, "display", "display", file, error) || !fill(lines, file->keys, "sound", "sound", file, error) ||
	    !fill(lines, file->keys, "policy", "policy", file, error) || !add_groups(lines, file, error))
		return FALSE;
	complete(file);
	if (!check_file(file, &group, &key, &local))
		return lines_refuse(lines, group, key, local->message, error);
	return TRUE;
}

VmFile *vmfile_parse(const char *label, const char *text, gsize length, GError **error)
{
	g_autoptr(VmFile) file = file_new();
	g_autoptr(GHashTable) hash = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Lines lines = { label, hash };

	if (length > MAX_TEXT) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_LIMIT, "%s: is larger than %d KiB", label ? label : "VM file",
			MAX_TEXT / 1024);
		return NULL;
	}
	if (!lines_load(&lines, file->keys, text, length, error) || !fill_file(&lines, file, error))
		return NULL;
	return g_steal_pointer(&file);
}

VmFile *vmfile_new(const char *name)
{
	g_autofree char *uuid = g_uuid_string_random();
	g_autofree char *text = g_strdup_printf("# docs/vm-file.md tells what may stand here.\n"
		"[vm]\ntitle=%s\nuuid=%s\ncolour=%s\n\n[machine]\nvcpus=2\nmemory-max=2G\n\n[network eth0]\nmode=nat\n\n"
		"[display]\nscreens=1\n\n[sound]\nplay=true\n",
		name, uuid, make_colour(name));
	g_autoptr(GError) error = NULL;
	VmFile *file = vmfile_parse(name, text, strlen(text), &error);

	if (!file)
		g_critical("vmfile_new: %s", error->message);
	return file;
}

/* Whether a person or a program may set it; the rest is checked with the whole file. */
static gboolean name_settable(const char *group, const char *key, GError **error)
{
	const char *kind = schema_group(group);
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *names[] = { g_str_has_prefix(group, "x-") ? group : "x-", g_str_has_prefix(key, "x-") ? key : "x-" };

	if (kind && group[strlen(kind)] && group[strlen(kind) + 1 + strspn(group + strlen(kind) + 1, plain)])
		kind = NULL;
	if (!kind && !g_str_has_prefix(group, "x-")) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID,
			"[%s]: no such group; there are vm, machine, disk NAME, network NAME, display, sound, policy, and x-… for what is yours", group);
		return FALSE;
	}
	if (kind && !schema_find(kind, key) && !g_str_has_prefix(key, "x-")) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, "[%s] %s: no such key; only x-… is free", group, key);
		return FALSE;
	}
	for (guint i = 0; i < 2; i++)
		if (strlen(names[i]) > 64 || names[i][strspn(names[i], plain)]) {
			g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID,
				"[%s] %s: names that start with x- have at most 64 of a to z, 0 to 9 and '-'", group, key);
			return FALSE;
		}
	return TRUE;
}

static gboolean change(GKeyFile *keys, const char *group, const char *key, const char *value, GError **error)
{
	if (!group || !*group || (value && *value && (!key || !*key))) {
		g_set_error_literal(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, "a value needs a group and a key");
		return FALSE;
	}
	if (!key || !*key) {
		g_key_file_remove_group(keys, group, NULL);
		return TRUE;
	}
	if (!value || !*value) {
		g_key_file_remove_key(keys, group, key, NULL);
		return TRUE;
	}
	if (!name_settable(group, key, error))
		return FALSE;
	if (!g_utf8_validate(value, -1, NULL)) {
		g_set_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID, "[%s] %s: not UTF-8", group, key);
		return FALSE;
	}
	g_key_file_set_string(keys, group, key, value);
	return TRUE;
}

gboolean vmfile_set(VmFile *file, const char *group, const char *key, const char *value, GError **error)
{
	g_autoptr(VmFile) changed = vmfile_copy(file);
	g_autoptr(VmFile) checked = NULL;
	g_autofree char *text = NULL;
	VmFile old;

	if (!change(changed->keys, group, key, value, error))
		return FALSE;
	text = vmfile_to_text(changed);
	checked = vmfile_parse(NULL, text, strlen(text), error);
	if (!checked)
		return FALSE;
	checked->fresh_uuid = checked->fresh_uuid || (file->fresh_uuid && g_str_equal(file->uuid, checked->uuid));
	old = *file;
	*file = *checked;
	*checked = old;
	return TRUE;
}

char *vmfile_to_text(const VmFile *file)
{
	return g_key_file_to_data(file->keys, NULL, NULL);
}

VmFile *vmfile_copy(const VmFile *file)
{
	g_autofree char *text = vmfile_to_text(file);
	g_autoptr(GError) error = NULL;
	VmFile *copy = vmfile_parse(NULL, text, strlen(text), &error);

	if (!copy)
		g_critical("vmfile_copy: %s", error->message);
	else
		copy->fresh_uuid = file->fresh_uuid;
	return copy;
}
