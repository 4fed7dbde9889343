/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"
#include <string.h>
#include <unistd.h>

#define SECTOR 512

typedef struct {
	gatomicrefcount refs;
	GByteArray *synced;
	GPtrArray *pending; /* ReplayStep */
} File;

typedef struct {
	const ReplayStep *step;
	File *file; /* of a LOSSY_CREATE */
} Change;

typedef struct {
	GArray *changes;
	guint synced;
} Dir;

typedef struct {
	GHashTable *files; /* inode: File */
	GHashTable *dirs;  /* path: Dir */
	GRand *random;
	guint keep, torn;
} Cut;

static void file_unref(gpointer data)
{
	File *file = data;

	if (!g_atomic_ref_count_dec(&file->refs))
		return;
	g_byte_array_unref(file->synced);
	g_ptr_array_unref(file->pending);
	g_free(file);
}

static File *file_ref(File *file)
{
	g_atomic_ref_count_inc(&file->refs);
	return file;
}

static void change_clear(gpointer data)
{
	g_clear_pointer(&((Change *)data)->file, file_unref);
}

static void dir_free(gpointer data)
{
	g_array_unref(((Dir *)data)->changes);
	g_free(data);
}

static char *piece(const guint8 **at, guint32 length)
{
	char *text = g_strndup((const char *)*at, length);

	*at += length;
	return text;
}

Replay *replay_open(const char *log)
{
	Replay *replay = g_new0(Replay, 1);
	g_autoptr(GError) error = NULL;
	const guint8 *at, *end;

	replay->file = g_mapped_file_new(log, FALSE, &error);
	g_assert_no_error(error);
	replay->steps = g_array_new(FALSE, TRUE, sizeof(ReplayStep));
	at = (const guint8 *)g_mapped_file_get_contents(replay->file);
	end = at + g_mapped_file_get_length(replay->file);
	while (at < end) {
		LossyRecord *record = g_memdup2(at, sizeof *record); /* lies anywhere in the log */
		ReplayStep step = {.record = record};

		at += sizeof *record;
		step.path = piece(&at, record->path);
		step.second = piece(&at, record->second);
		step.data = at;
		at += record->data;
		g_assert_true(at <= end);
		g_array_append_val(replay->steps, step);
	}
	return replay;
}

void replay_free(Replay *replay)
{
	for (guint i = 0; i < replay->steps->len; i++) {
		ReplayStep *step = &g_array_index(replay->steps, ReplayStep, i);

		g_free((gpointer)step->record);
		g_free(step->path);
		g_free(step->second);
	}
	g_array_unref(replay->steps);
	g_mapped_file_unref(replay->file);
	g_free(replay);
}

/* -- contents --------------------------------------------------------------------------------------------------------- */

static void extend(GByteArray *bytes, gsize size)
{
	gsize was = bytes->len;

	g_byte_array_set_size(bytes, (guint)size);
	if (size > was)
		memset(bytes->data + was, 0, size - was);
}

static void put(GByteArray *bytes, const ReplayStep *step, gsize from, gsize to)
{
	gsize end = step->record->offset + to;

	if (step->record->kind == LOSSY_ZERO) {
		end = MIN(end, bytes->len);
		if (step->record->offset + from < end)
			memset(bytes->data + step->record->offset + from, 0, end - step->record->offset - from);
		return;
	}
	if (end > bytes->len)
		extend(bytes, end);
	memcpy(bytes->data + step->record->offset + from, step->data + from, to - from);
}

static void apply(GByteArray *bytes, const ReplayStep *step)
{
	if (step->record->kind == LOSSY_TRUNCATE)
		extend(bytes, step->record->offset);
	else
		put(bytes, step, 0, step->record->length);
}

/* Sectors are whole: old or new. */
static void apply_torn(Cut *cut, GByteArray *bytes, const ReplayStep *step)
{
	gsize length = step->record->length, next;

	for (gsize at = 0; at < length; at = next) {
		next = MIN(length, at + SECTOR - (step->record->offset + at) % SECTOR);
		if (g_rand_boolean(cut->random))
			put(bytes, step, at, next);
	}
}

static void lose(Cut *cut, File *file)
{
	for (guint i = 0; i < file->pending->len; i++) {
		const ReplayStep *step = file->pending->pdata[i];

		if ((guint)g_rand_int_range(cut->random, 0, 100) >= cut->keep)
			continue;
		if (step->record->kind != LOSSY_TRUNCATE && (guint)g_rand_int_range(cut->random, 0, 100) < cut->torn)
			apply_torn(cut, file->synced, step);
		else
			apply(file->synced, step);
	}
	g_ptr_array_set_size(file->pending, 0);
}

static File *file_of(Cut *cut, const ReplayStep *step)
{
	File *file = g_hash_table_lookup(cut->files, &step->record->inode);

	if (!file)
		g_error("the log knows no inode %" G_GUINT64_FORMAT, step->record->inode);
	return file;
}

static File *new_file(Cut *cut, const ReplayStep *step)
{
	File *file = g_new0(File, 1);

	g_atomic_ref_count_init(&file->refs);
	file->synced = g_byte_array_new();
	file->pending = g_ptr_array_new();
	g_hash_table_insert(cut->files, (gpointer)&step->record->inode, file);
	return file_ref(file);
}

/* -- names ------------------------------------------------------------------------------------------------------------ */

static Dir *dir_at(Cut *cut, const char *path)
{
	Dir *dir = g_hash_table_lookup(cut->dirs, path);

	if (!dir) {
		dir = g_new0(Dir, 1);
		dir->changes = g_array_new(FALSE, TRUE, sizeof(Change));
		g_array_set_clear_func(dir->changes, change_clear);
		g_hash_table_insert(cut->dirs, g_strdup(path), dir);
	}
	return dir;
}

static void change_name(Cut *cut, const ReplayStep *step, File *file)
{
	g_autofree char *path = g_path_get_dirname(step->path), *other = NULL;
	Change change = {step, file};

	if (*step->second) {
		other = g_path_get_dirname(step->second);
		g_assert_cmpstr(path, ==, other);
	}
	g_array_append_val(dir_at(cut, path)->changes, change);
}

static void put_names(Cut *cut, const char *root, const char *path, Dir *dir)
{
	guint open = dir->changes->len - dir->synced, n = dir->synced;
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, file_unref);
	g_autoptr(GHashTable) made = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	GHashTableIter iter;
	const char *name;
	File *file;

	n += cut->keep >= 100 ? open : cut->keep == 0 ? 0 : (guint)g_rand_int_range(cut->random, 0, (gint)open + 1);
	for (guint i = 0; i < n; i++) {
		Change *change = &g_array_index(dir->changes, Change, i);
		const ReplayStep *step = change->step;

		file = change->file ? change->file : g_hash_table_lookup(names, step->path);
		if (!file)
			g_error("the log has no file %s/%s", path, step->path);
		if (step->record->kind == LOSSY_CREATE)
			g_hash_table_replace(names, step->path, file_ref(file));
		else if (step->record->kind == LOSSY_UNLINK)
			g_hash_table_remove(names, step->path);
		/* A rename over another name of the same file does nothing. */
		else if (g_hash_table_lookup(names, step->second) != file) {
			g_hash_table_replace(names, step->second, file_ref(file));
			if (step->record->kind == LOSSY_RENAME)
				g_hash_table_remove(names, step->path);
		}
	}
	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&file)) {
		char *to = g_build_filename(root, name, NULL);
		const char *first = g_hash_table_lookup(made, file);
		g_autoptr(GError) error = NULL;

		if (first) {
			g_assert_cmpint(link(first, to), ==, 0);
			g_free(to);
			continue;
		}
		lose(cut, file);
		g_file_set_contents_full(to, (const char *)file->synced->data, file->synced->len, G_FILE_SET_CONTENTS_NONE, 0600, &error);
		g_assert_no_error(error);
		g_hash_table_insert(made, file, to);
	}
}

/* -- all of it -------------------------------------------------------------------------------------------------------- */

static void take(Cut *cut, const ReplayStep *step, gboolean lying)
{
	File *file;

	switch (step->record->kind) {
	case LOSSY_CREATE:
		change_name(cut, step, new_file(cut, step));
		break;
	case LOSSY_WRITE:
	case LOSSY_ZERO:
	case LOSSY_TRUNCATE:
		g_ptr_array_add(file_of(cut, step)->pending, (gpointer)step);
		break;
	case LOSSY_SYNC:
		file = file_of(cut, step);
		for (guint i = 0; !lying && i < file->pending->len; i++)
			apply(file->synced, file->pending->pdata[i]);
		if (!lying)
			g_ptr_array_set_size(file->pending, 0);
		break;
	case LOSSY_SYNC_DIR:
		if (!lying)
			dir_at(cut, step->path)->synced = dir_at(cut, step->path)->changes->len;
		break;
	case LOSSY_RENAME:
	case LOSSY_LINK:
	case LOSSY_UNLINK:
		change_name(cut, step, NULL);
		break;
	case LOSSY_LOST:
		g_error("the log does not know what %s did", step->path);
	}
}

void replay_cut(Replay *replay, const char *root, guint cut_at, GRand *random, guint keep, guint torn, gboolean lying)
{
	Cut cut = {g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, file_unref),
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, dir_free), random, keep, torn};
	gboolean ready = FALSE;
	GHashTableIter iter;
	const char *path;
	Dir *dir;

	for (guint i = 0; i < cut_at; i++) {
		const ReplayStep *step = &g_array_index(replay->steps, ReplayStep, i);

		/* What is not meant to be cut short is kept. */
		ready |= step->record->kind == LOSSY_MARK && !strcmp(step->path, "ready");
		take(&cut, step, lying && ready);
	}
	g_hash_table_iter_init(&iter, cut.dirs);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, (gpointer *)&dir))
		put_names(&cut, root, path, dir);
	g_hash_table_unref(cut.files);
	g_hash_table_unref(cut.dirs);
}
