/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: what packing and unpacking share. */
#ifndef CARREL_VMFILE_OVA_H
#define CARREL_VMFILE_OVA_H

#include "ovf.h"

enum { OVA_BLOCK = 256 * 1024, OVA_MAX_MANIFEST = 256 * 1024 };

/* Sets an error "the package …"; FALSE. */
G_GNUC_PRINTF(3, 4) gboolean ova_refuse(GError **error, VmFileError code, const char *format, ...);

/* A manifest: "SHA256(name)= digits" a line. A table of name to Digest, or NULL. */
typedef struct {
	GChecksumType type;
	char *digits; /* lower case */
} Digest;
GHashTable *manifest_parse(const char *text, gsize length, GError **error);
/* A checksum of the type that the manifest has for name; NULL without an error: there is no manifest (NULL). */
GChecksum *manifest_begin(GHashTable *manifest, const char *name, GError **error);
/* Compares; sum may be NULL. */
gboolean manifest_end(GHashTable *manifest, const char *name, GChecksum *sum, GError **error);
void manifest_add(GString *manifest, const char *name, GChecksum *sha256);

#endif
