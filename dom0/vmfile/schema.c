// SPDX-License-Identifier: Apache-2.0
#include "schema.h"

#include <string.h>

#define MiB ((guint64)1 << 20)
#define TiB ((guint64)1 << 40)
#define GBIT ((guint64)1000 * 1000 * 1000)

#define AT_VM(field)        .offset = G_STRUCT_OFFSET(VmFile, field)
#define AT_DISK(field)      .offset = G_STRUCT_OFFSET(VmDisk, field)
#define AT_INTERFACE(field) .offset = G_STRUCT_OFFSET(VmInterface, field)

/* docs/vm-file.md has the same keys with the same defaults; test_vmfile_doc compares. */
const SchemaKey schema[] = {
	{ "vm", "title", VALUE_TEXT, AT_VM(title), .max = 64 },
	{ "vm", "description", VALUE_LINES, AT_VM(description), .max = 1024 },
	{ "vm", "uuid", VALUE_UUID, AT_VM(uuid) },
	{ "vm", "colour", VALUE_COLOUR, AT_VM(colour) },
	{ "vm", "template", VALUE_BOOL, AT_VM(template), .fallback = "false" },
	{ "vm", "encrypted", VALUE_BOOL, AT_VM(encrypted), .fallback = "false" },

	{ "machine", "vcpus", VALUE_NUMBER, AT_VM(vcpus), 1, VM_MAX_VCPUS, "2" },
	{ "machine", "memory-max", VALUE_SIZE, AT_VM(memory_max), 64 * MiB, TiB, "2G" },
	{ "machine", "memory-min", VALUE_SIZE, AT_VM(memory_min), 64 * MiB, TiB },
	{ "machine", "kernel", VALUE_PATH, AT_VM(kernel) },
	{ "machine", "ramdisk", VALUE_PATH, AT_VM(ramdisk) },
	{ "machine", "cmdline", VALUE_TEXT, AT_VM(cmdline), .max = 1024 },

	{ "disk", "file", VALUE_PATH, AT_DISK(file) },
	{ "disk", "format", VALUE_CHOICE, AT_DISK(format), .choices = { "raw", "qcow2", "block" } },
	{ "disk", "readonly", VALUE_BOOL, AT_DISK(readonly), .fallback = "false" },
	{ "disk", "track-changes", VALUE_BOOL, AT_DISK(track_changes), .fallback = "false" },
	{ "disk", "discard", VALUE_BOOL, AT_DISK(discard), .fallback = "true" },

	{ "network", "mode", VALUE_CHOICE, AT_INTERFACE(mode), .fallback = "nat", .choices = { "nat", "shared", "none" } },
	{ "network", "network", VALUE_NAME, AT_INTERFACE(network) },
	{ "network", "mac", VALUE_MAC, AT_INTERFACE(mac) },
	{ "network", "limit-in", VALUE_RATE, AT_INTERFACE(limit_in), 0, 100 * GBIT, "0" },
	{ "network", "limit-out", VALUE_RATE, AT_INTERFACE(limit_out), 0, 100 * GBIT, "0" },

	{ "display", "screens", VALUE_NUMBER, AT_VM(screens), 0, VM_MAX_SCREENS, "0" },

	{ "sound", "play", VALUE_BOOL, AT_VM(play), .fallback = "false" },
	{ "sound", "record", VALUE_BOOL, AT_VM(record), .fallback = "false" },

	{ "policy", "autostart", VALUE_BOOL, AT_VM(autostart), .fallback = "false" },
	{ "policy", "start-order", VALUE_NUMBER, AT_VM(start_order), 0, 999, "100" },
	{ "policy", "shutdown-timeout", VALUE_NUMBER, AT_VM(shutdown_timeout), 1, 3600, "60" },
	{ "policy", "on-crash", VALUE_CHOICE, AT_VM(on_crash), .fallback = "off", .choices = { "off", "restart", "preserve" } },
	{ "policy", "weight", VALUE_NUMBER, AT_VM(weight), 1, 65535, "256" },
	{ "policy", "cap", VALUE_NUMBER, AT_VM(cap), 0, 100 * VM_MAX_VCPUS, "0" },
	{ "policy", "devices", VALUE_DEVICES, AT_VM(devices), .max = 64, .fallback = "" },
};
const gsize schema_size = G_N_ELEMENTS(schema);

const char *schema_group(const char *group)
{
	for (gsize i = 0; i < schema_size; i++) {
		const char *word = schema[i].group;
		gsize n = strlen(word);

		if (schema_record(word) == RECORD_VM ? g_str_equal(group, word) : strncmp(group, word, n) == 0 && group[n] == ' ')
			return word;
	}
	return NULL;
}

const SchemaKey *schema_find(const char *group, const char *key)
{
	for (gsize i = 0; i < schema_size; i++)
		if (g_str_equal(schema[i].group, group) && g_str_equal(schema[i].key, key))
			return &schema[i];
	return NULL;
}

RecordType schema_record(const char *group)
{
	return g_str_equal(group, "disk") ? RECORD_DISK : g_str_equal(group, "network") ? RECORD_INTERFACE : RECORD_VM;
}
