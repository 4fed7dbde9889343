// SPDX-License-Identifier: Apache-2.0
/* Manifests of OVA packages (DSP0243 5.1, 9.1). They tell damage, not malice: who changes a file changes its digest. */
#include "ova.h"

#include <string.h>

static const struct { const char *name; GChecksumType type; } types[] = {
	{ "SHA1", G_CHECKSUM_SHA1 }, { "SHA256", G_CHECKSUM_SHA256 }, { "SHA384", G_CHECKSUM_SHA384 }, { "SHA512", G_CHECKSUM_SHA512 },
};

static void digest_free(Digest *digest)
{
	g_free(digest->digits);
	g_free(digest);
}

static gboolean find_type(const char *name, GChecksumType *type)
{
	for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
		if (g_ascii_strcasecmp(types[i].name, name) == 0) {
			*type = types[i].type;
			return TRUE;
		}
	return FALSE;
}

/* "SHA256(name)= digits"; a name may have brackets of its own. */
static gboolean parse_line(char *line, GHashTable *manifest, GError **error)
{
	char *open = strchr(line, '('), *equals = strrchr(line, '='), *close;
	g_autofree char *shown = NULL;
	GChecksumType type;
	Digest *digest;

	if (!open || !equals || equals < open)
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has a manifest with a line that is none");
	*open = *equals = 0;
	close = strrchr(open + 1, ')');
	if (!close || *g_strstrip(close + 1))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has a manifest with a line that is none");
	*close = 0;
	shown = ovf_clean_text(open + 1, 64, FALSE);
	if (!find_type(g_strstrip(line), &type))
		return ova_refuse(error, VMFILE_ERROR_UNSUPPORTED, "has a manifest with digests other than SHA-1 and SHA-2");
	g_strstrip(equals + 1);
	if (strlen(equals + 1) != (gsize)g_checksum_type_get_length(type) * 2 ||
	    strspn(equals + 1, "0123456789abcdefABCDEF") != strlen(equals + 1))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has a manifest with a digest of '%s' that is none", shown);
	digest = g_new0(Digest, 1);
	digest->type = type;
	digest->digits = g_ascii_strdown(equals + 1, -1);
	if (!g_hash_table_insert(manifest, g_strdup(open + 1), digest))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has a manifest with two digests of '%s'", shown);
	return TRUE;
}

GHashTable *manifest_parse(const char *text, gsize length, GError **error)
{
	g_autoptr(GHashTable) manifest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)digest_free);
	g_autofree char *copy = g_strndup(text, length);
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);

	for (char **line = lines; *line; line++)
		if (*g_strstrip(*line) && !parse_line(*line, manifest, error))
			return NULL;
	return g_steal_pointer(&manifest);
}

GChecksum *manifest_begin(GHashTable *manifest, const char *name, GError **error)
{
	const Digest *digest = manifest ? g_hash_table_lookup(manifest, name) : NULL;

	if (manifest && !digest)
		ova_refuse(error, VMFILE_ERROR_INVALID, "has a manifest without '%s'", name);
	return digest ? g_checksum_new(digest->type) : NULL;
}

gboolean manifest_end(GHashTable *manifest, const char *name, GChecksum *sum, GError **error)
{
	const Digest *digest = manifest ? g_hash_table_lookup(manifest, name) : NULL;

	if (sum && (!digest || !g_str_equal(digest->digits, g_checksum_get_string(sum))))
		return ova_refuse(error, VMFILE_ERROR_INVALID, "has '%s' damaged: its digest is not the one in the manifest", name);
	return TRUE;
}

void manifest_add(GString *manifest, const char *name, GChecksum *sha256)
{
	g_string_append_printf(manifest, "SHA256(%s)= %s\n", name, g_checksum_get_string(sha256));
}
