// SPDX-License-Identifier: Apache-2.0
/* One value: from text to a field of a record, or the reason why not. */
#include "schema.h"

#include <string.h>

G_DEFINE_QUARK(vmfile-error-quark, vmfile_error)

G_GNUC_PRINTF(2, 3) static gboolean refuse(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(VMFILE_ERROR, VMFILE_ERROR_INVALID, format, args));
	va_end(args);
	return FALSE;
}

static gboolean in_set(const char *text, const char *set)
{
	return text[strspn(text, set)] == 0;
}

gboolean value_char_fit(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_UNASSIGNED:
		return FALSE;
	default: /* marks, embeddings, overrides and isolates of writing direction; a byte order mark */
		return c != 0x61c && c != 0x200e && c != 0x200f && (c < 0x202a || c > 0x202e) && (c < 0x2066 || c > 0x2069) &&
			c != 0xfeff;
	}
}

static gboolean check_text(const char *text, gboolean lines, guint64 max, GError **error)
{
	gboolean blank = TRUE;

	if (!g_utf8_validate(text, -1, NULL))
		return refuse(error, "not UTF-8");
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (!value_char_fit(c) && !(lines && c == '\n'))
			return refuse(error, "has the character U+%04X, which cannot be shown", c);
		blank = blank && g_unichar_isspace(c);
	}
	if (blank)
		return refuse(error, "is blank; leave the key away instead");
	if ((guint64)g_utf8_strlen(text, -1) > max)
		return refuse(error, "is longer than %" G_GUINT64_FORMAT " characters", max);
	return TRUE;
}

gboolean value_check_name(const char *name, const char *what, GError **error)
{
	gsize n = strlen(name);

	if (n < 1 || n > 48)
		return refuse(error, "%s must have 1 to 48 characters", what);
	if (!in_set(name, "abcdefghijklmnopqrstuvwxyz0123456789-"))
		return refuse(error, "%s may have a to z, 0 to 9 and '-' only", what);
	if (name[0] == '-' || name[n - 1] == '-')
		return refuse(error, "%s must not start or end with '-'", what);
	return TRUE;
}

gboolean vmfile_name_valid(const char *name, GError **error)
{
	return value_check_name(name, "the name of a VM", error);
}

/* Digits and at most one of K, M, G, T, each unit times the one before. */
static gboolean parse_scaled(const char *text, guint64 unit, guint64 *value)
{
	static const char letters[] = "KMGT";
	gsize n = strlen(text);
	const char *letter = n ? strchr(letters, g_ascii_toupper(text[n - 1])) : NULL;
	g_autofree char *digits = g_strndup(text, letter ? n - 1 : n);
	guint64 scale = 1;

	for (const char *p = letters; letter && p <= letter; p++)
		scale *= unit;
	if (!in_set(digits, "0123456789") || !g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT64 / scale, value, NULL))
		return FALSE;
	*value *= scale;
	return TRUE;
}

gboolean vmfile_size_parse(const char *text, guint64 *bytes, GError **error)
{
	if (!parse_scaled(text, 1024, bytes))
		return refuse(error, "is not a size; write bytes, or a number with K, M, G or T, such as 512M");
	return TRUE;
}

char *vmfile_size_format(guint64 bytes)
{
	static const char letters[] = "TGMK";
	guint shift = 40;

	for (const char *p = letters; *p; p++, shift -= 10)
		if (bytes && bytes % ((guint64)1 << shift) == 0)
			return g_strdup_printf("%" G_GUINT64_FORMAT "%c", bytes >> shift, *p);
	return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
}

static gboolean store_size(const SchemaKey *key, const char *text, guint64 *value, GError **error)
{
	guint64 bytes;

	if (!vmfile_size_parse(text, &bytes, error))
		return FALSE;
	if (bytes < key->min || bytes > key->max) {
		g_autofree char *min = vmfile_size_format(key->min);
		g_autofree char *max = vmfile_size_format(key->max);

		return refuse(error, "is not from %s to %s", min, max);
	}
	if (bytes % (1 << 20))
		return refuse(error, "is not a whole number of MiB");
	*value = bytes;
	return TRUE;
}

static gboolean store_rate(const SchemaKey *key, const char *text, guint64 *value, GError **error)
{
	guint64 rate;

	if (!parse_scaled(text, 1000, &rate))
		return refuse(error, "is not a rate; write bits a second, or a number with K, M or G, such as 10M");
	if (rate > key->max)
		return refuse(error, "is more than %" G_GUINT64_FORMAT "G bits a second", key->max / 1000000000);
	*value = rate;
	return TRUE;
}

static gboolean store_number(const SchemaKey *key, const char *text, guint *value, GError **error)
{
	guint64 number;

	if (!in_set(text, "0123456789") || !g_ascii_string_to_unsigned(text, 10, key->min, key->max, &number, NULL))
		return refuse(error, "is not a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, key->min, key->max);
	*value = (guint)number;
	return TRUE;
}

static gboolean store_bool(const char *text, gboolean *value, GError **error)
{
	*value = g_str_equal(text, "true");
	return *value || g_str_equal(text, "false") || refuse(error, "is neither true nor false");
}

static gboolean store_choice(const SchemaKey *key, const char *text, guint *value, GError **error)
{
	g_autoptr(GString) all = g_string_new(NULL);

	for (guint i = 0; key->choices[i]; i++) {
		if (g_str_equal(key->choices[i], text)) {
			*value = i;
			return TRUE;
		}
		g_string_append_printf(all, "%s%s", i ? ", " : "", key->choices[i]);
	}
	return refuse(error, "is none of %s", all->str);
}

static void store_string(char **field, const char *text, gboolean lower)
{
	g_free(*field);
	*field = lower ? g_ascii_strdown(text, -1) : g_strdup(text);
}

static gboolean store_colour(const char *text, char **value, GError **error)
{
	if (text[0] != '#' || strlen(text) != 7 || !in_set(text + 1, "0123456789abcdefABCDEF"))
		return refuse(error, "is not a colour such as #3465a4");
	store_string(value, text, TRUE);
	return TRUE;
}

static gboolean store_uuid(const char *text, char **value, GError **error)
{
	if (!g_uuid_string_is_valid(text) || in_set(text, "0-"))
		return refuse(error, "is not a UUID such as 'uuidgen' makes");
	store_string(value, text, TRUE);
	return TRUE;
}

char *vmfile_mac_format(const guint8 mac[6])
{
	return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static gboolean store_mac(const char *text, guint8 *value, GError **error)
{
	guint8 mac[6];

	if (strlen(text) != 17)
		return refuse(error, "is not an address such as 52:54:00:12:34:56");
	for (guint i = 0; i < 6; i++) {
		int high = g_ascii_xdigit_value(text[3 * i]), low = g_ascii_xdigit_value(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
			return refuse(error, "is not an address such as 52:54:00:12:34:56");
		mac[i] = (guint8)(high << 4 | low);
	}
	if (mac[0] & 1)
		return refuse(error, "is a multicast address; the second digit must be even");
	if (in_set(text, "0:"))
		return refuse(error, "is all zero; leave the key away to get one made");
	memcpy(value, mac, sizeof(mac));
	return TRUE;
}

static gboolean store_path(const char *text, char **value, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text[0] == '/' ? text + 1 : text, "/", -1);

	if (!check_text(text, FALSE, 1024, error))
		return FALSE;
	if (g_str_equal(text, "/"))
		return refuse(error, "is no file");
	for (char **p = parts; *p; p++)
		if (g_str_equal(*p, "") || g_str_equal(*p, ".") || g_str_equal(*p, ".."))
			return refuse(error, "is not a plain path: it has an empty, '.' or '..' part");
	store_string(value, text, FALSE);
	return TRUE;
}

static gboolean store_devices(const SchemaKey *key, const char *text, GStrv *value, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ";", -1);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

	for (char **p = words; *p; p++) {
		const char *word = g_strstrip(*p);

		if (!*word)
			continue;
		if ((!g_str_has_prefix(word, "usb:") && !g_str_has_prefix(word, "pci:")) || strlen(word) < 5 || strlen(word) > 128 ||
		    !in_set(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-"))
			return refuse(error, "has an entry that is no device such as usb:046d:c52b or pci:0000:03:00.0");
		if (!g_hash_table_add(seen, (gpointer)word))
			return refuse(error, "has %s twice", word);
		g_strv_builder_add(builder, word);
	}
	if (g_hash_table_size(seen) > key->max)
		return refuse(error, "has more than %" G_GUINT64_FORMAT " devices", key->max);
	g_strfreev(*value);
	*value = g_strv_builder_end(builder);
	return TRUE;
}

gboolean value_store(const SchemaKey *key, const char *text, gpointer record, GError **error)
{
	gpointer field = G_STRUCT_MEMBER_P(record, key->offset);

	switch (key->type) {
	case VALUE_TEXT:
	case VALUE_LINES:
		if (!check_text(text, key->type == VALUE_LINES, key->max, error))
			return FALSE;
		store_string(field, text, FALSE);
		return TRUE;
	case VALUE_NAME:
		if (!value_check_name(text, "the name of a network", error))
			return FALSE;
		store_string(field, text, FALSE);
		return TRUE;
	case VALUE_BOOL:
		return store_bool(text, field, error);
	case VALUE_NUMBER:
		return store_number(key, text, field, error);
	case VALUE_SIZE:
		return store_size(key, text, field, error);
	case VALUE_RATE:
		return store_rate(key, text, field, error);
	case VALUE_CHOICE:
		return store_choice(key, text, field, error);
	case VALUE_COLOUR:
		return store_colour(text, field, error);
	case VALUE_UUID:
		return store_uuid(text, field, error);
	case VALUE_MAC:
		return store_mac(text, field, error);
	case VALUE_PATH:
		return store_path(text, field, error);
	case VALUE_DEVICES:
		return store_devices(key, text, field, error);
	}
	g_return_val_if_reached(FALSE);
}
