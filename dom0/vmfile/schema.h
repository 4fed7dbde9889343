/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: what a VM file may say. */
#ifndef CARREL_VMFILE_SCHEMA_H
#define CARREL_VMFILE_SCHEMA_H

#include "vmfile.h"

typedef enum {
	VALUE_TEXT,    /* char *: one line; max: characters */
	VALUE_LINES,   /* char *: may have newlines; max: characters */
	VALUE_BOOL,    /* gboolean */
	VALUE_NUMBER,  /* guint: min to max */
	VALUE_SIZE,    /* guint64: bytes, min to max, whole MiB */
	VALUE_RATE,    /* guint64: bits a second, up to max */
	VALUE_CHOICE,  /* an enum: index into choices */
	VALUE_COLOUR,  /* char * */
	VALUE_UUID,    /* char * */
	VALUE_MAC,     /* guint8[6] */
	VALUE_PATH,    /* char * */
	VALUE_NAME,    /* char *: as a VM's */
	VALUE_DEVICES, /* GStrv; max: how many */
} ValueType;

/* Which record a group fills. */
typedef enum { RECORD_VM, RECORD_DISK, RECORD_INTERFACE } RecordType;

typedef struct {
	const char *group; /* "vm"; of [disk xvda] and [network eth0] the first word */
	const char *key;
	ValueType type;
	gsize offset; /* in the record */
	guint64 min, max;
	const char *fallback;      /* as it would be in a file; NULL: none, or made from something else */
	const char *choices[4];
} SchemaKey;

extern const SchemaKey schema[];
extern const gsize schema_size;

/* The group's first word, if the schema has it: points into the schema. */
const char *schema_group(const char *group);
const SchemaKey *schema_find(const char *group, const char *key);
RecordType schema_record(const char *group);

/* Parses text and stores it in record, where a string that was there is freed. The error is a bare reason. */
gboolean value_store(const SchemaKey *key, const char *text, gpointer record, GError **error);
gboolean value_check_name(const char *name, const char *what, GError **error);
/* No control, separator or direction-changing characters: what a person reads is what it says. */
gboolean value_char_fit(gunichar c);

/* What one key cannot tell: sums, pairs, duplicates. *group (to be freed) and *key say where it failed. */
gboolean check_file(VmFile *file, char **group, const char **key, GError **error);

#endif
