/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's directory under lock: its disks, the list of its snapshots, the journal of the change under way. */
#include "internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Names become parts of other names and of options: no more than letters, digits and "._-". */
static gboolean disk_name_valid(const char *name)
{
	gsize length = strlen(name);

	return length && length <= 200 && g_ascii_isalnum(name[0]) &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length &&
		!g_str_has_suffix(name, ".snap") && !g_str_has_suffix(name, ".new");
}

static gboolean add_disk(DiskSet *set, const char *disk, GError **error)
{
	g_autofree char *path = g_canonicalize_filename(disk, set->dir), *dir = g_path_get_dirname(path),
			*name = g_path_get_basename(path);

	if ((strcmp(dir, set->dir) && !file_same(dir, set->dir)) || !disk_name_valid(name)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_INVALID,
			"%s: a disk with snapshots is a file in %s, its name of letters, digits, '.', '_' and '-'",
			disk, set->dir);
		return FALSE;
	}
	g_ptr_array_add(set->disks, g_steal_pointer(&name));
	return TRUE;
}

DiskSet *set_open(const char *dir, const char *const *disks, GError **error)
{
	g_autoptr(DiskSet) set = g_new0(DiskSet, 1);
	g_autofree char *list = NULL;
	g_autoptr(GError) cause = NULL;

	set->dir = g_canonicalize_filename(dir, NULL);
	set->disks = g_ptr_array_new_with_free_func(g_free);
	set->list = g_key_file_new();
	set->lock = file_lock_dir(set->dir, error);
	if (set->lock < 0)
		return NULL;
	for (guint i = 0; disks && disks[i]; i++)
		if (!add_disk(set, disks[i], error))
			return NULL;
	list = g_build_filename(set->dir, LIST_FILE, NULL);
	if (!g_key_file_load_from_file(set->list, list, G_KEY_FILE_KEEP_COMMENTS, &cause) &&
		!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT,
			"%s: %s; without it the snapshots of this VM are not known", list, cause->message);
		return NULL;
	}
	return g_steal_pointer(&set);
}

void set_close(DiskSet *set)
{
	if (!set)
		return;
	if (set->lock >= 0)
		close(set->lock);
	g_clear_pointer(&set->list, g_key_file_unref);
	g_clear_pointer(&set->disks, g_ptr_array_unref);
	g_free(set->dir);
	g_free(set);
}

char *set_path(DiskSet *set, const char *disk)
{
	return g_build_filename(set->dir, disk, NULL);
}

char *set_layer(DiskSet *set, const char *disk, guint64 id)
{
	return g_strdup_printf("%s/%s.%" G_GUINT64_FORMAT ".snap", set->dir, disk, id);
}

char *set_new(DiskSet *set, const char *disk)
{
	return g_strdup_printf("%s/%s.new", set->dir, disk);
}

char *set_find(DiskSet *set, const char *name, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(set->list, NULL);

	for (guint i = 0; groups[i]; i++) {
		g_autofree char *other = g_key_file_get_string(set->list, groups[i], "name", NULL);

		if (!g_strcmp0(other, name))
			return g_strdup(groups[i]);
	}
	g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: has no snapshot '%s'", set->dir, name);
	return NULL;
}

gboolean set_save(DiskSet *set, GError **error)
{
	g_autofree char *path = g_build_filename(set->dir, LIST_FILE, NULL);

	disk_step("list");
	return file_save_keys(set->list, path, error);
}

/* Greater than any that is listed or lies about. */
guint64 set_next_id(DiskSet *set)
{
	g_auto(GStrv) groups = g_key_file_get_groups(set->list, NULL);
	g_autoptr(GDir) dir = g_dir_open(set->dir, 0, NULL);
	guint64 top = 0;
	const char *name;

	for (guint i = 0; groups[i]; i++)
		top = MAX(top, g_ascii_strtoull(groups[i], NULL, 10));
	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".snap")) {
			g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".snap"));
			const char *dot = strrchr(stem, '.');

			top = MAX(top, dot ? g_ascii_strtoull(dot + 1, NULL, 10) : 0);
		}
	return top + 1;
}

GKeyFile *journal_read(DiskSet *set, GError **error)
{
	g_autofree char *path = g_build_filename(set->dir, JOURNAL_FILE, NULL);
	g_autoptr(GKeyFile) journal = g_key_file_new();
	g_autoptr(GError) cause = NULL;
	g_auto(GStrv) disks = NULL;

	if (!g_key_file_load_from_file(journal, path, G_KEY_FILE_NONE, &cause)) {
		if (!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s: %s", path, cause->message);
		return NULL;
	}
	disks = g_key_file_get_string_list(journal, "job", "disks", NULL, NULL);
	for (guint i = 0; disks && disks[i]; i++)
		if (!disk_name_valid(disks[i])) {
			g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s: names a disk '%s'", path, disks[i]);
			return NULL;
		}
	return g_steal_pointer(&journal);
}

gboolean journal_write(DiskSet *set, GKeyFile *journal, GError **error)
{
	g_autofree char *path = g_build_filename(set->dir, JOURNAL_FILE, NULL);

	disk_step("journal");
	return file_save_keys(journal, path, error);
}

gboolean journal_remove(DiskSet *set, GError **error)
{
	g_autofree char *path = g_build_filename(set->dir, JOURNAL_FILE, NULL);

	disk_step("journal end");
	return file_remove(path, error) && file_sync(set->dir, error);
}
