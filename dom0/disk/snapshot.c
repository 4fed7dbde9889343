/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots. A step at a time; between any two the power may go:
 *
 *   journal: prepare     nothing has changed yet
 *   overlays as DISK.new
 *   DISK.ID.snap         a second name of the live file; a running QEMU goes by it from here on
 *   DISK.new -> DISK     empty overlays on it: what the guest sees is the same
 *   journal: switch      from here on it happened
 *   QEMU writes to the overlays
 *   list, no journal
 */
#include "internal.h"
#include <string.h>

void disk_snapshot_free(DiskSnapshot *snapshot)
{
	g_free(snapshot->name);
	g_free(snapshot->description);
	g_free(snapshot);
}

static gint by_id(gconstpointer a, gconstpointer b)
{
	guint64 ia = g_ascii_strtoull(*(char *const *)a, NULL, 10), ib = g_ascii_strtoull(*(char *const *)b, NULL, 10);

	return ia < ib ? -1 : ia > ib;
}

GPtrArray *disk_snapshots(const char *dir, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)disk_snapshot_free);
	g_autofree char *path = g_build_filename(dir, LIST_FILE, NULL);
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autoptr(GError) cause = NULL;
	g_auto(GStrv) groups = NULL;

	if (!g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, &cause) &&
		!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s: %s", path, cause->message);
		return NULL;
	}
	groups = g_key_file_get_groups(keys, NULL);
	qsort(groups, g_strv_length(groups), sizeof *groups, by_id);
	for (guint i = 0; groups[i]; i++) {
		DiskSnapshot *snapshot = g_new0(DiskSnapshot, 1);

		snapshot->name = g_key_file_get_string(keys, groups[i], "name", NULL);
		snapshot->description = g_key_file_get_string(keys, groups[i], "description", NULL);
		snapshot->when = g_key_file_get_int64(keys, groups[i], "when", NULL);
		if (!snapshot->name)
			snapshot->name = g_strdup(groups[i]);
		if (!snapshot->description)
			snapshot->description = g_strdup("");
		g_ptr_array_add(list, snapshot);
	}
	return g_steal_pointer(&list);
}

static gboolean name_valid(DiskSet *set, const char *name, GError **error)
{
	glong length = g_utf8_validate(name, -1, NULL) ? g_utf8_strlen(name, -1) : 0;
	g_autofree char *taken = NULL;

	for (const char *p = name; length && *p; p = g_utf8_next_char(p))
		if (!g_unichar_isprint(g_utf8_get_char(p)))
			length = 0;
	if (!length || length > 100) {
		g_set_error(
			error, DISK_ERROR, DISK_ERROR_INVALID, "a snapshot's name is 1 to 100 printable characters");
		return FALSE;
	}
	taken = set_find(set, name, NULL);
	if (taken)
		g_set_error(error, DISK_ERROR, DISK_ERROR_EXISTS,
			"%s: has a snapshot '%s' already; delete it or take another name", set->dir, name);
	return !taken;
}

/* Every disk must be a sound qcow2 image before any is touched. */
static gboolean disks_ready(DiskSet *set, GError **error)
{
	if (!set->disks->len) {
		g_set_error(
			error, DISK_ERROR, DISK_ERROR_INVALID, "%s: has no disk that could have a snapshot", set->dir);
		return FALSE;
	}
	for (guint i = 0; i < set->disks->len; i++) {
		g_autofree char *path = set_path(set, set->disks->pdata[i]);
		DiskHeader header;

		if (!header_read(path, &header, error))
			return FALSE;
		header_clear(&header);
		if (!header.qcow2 || header.external_data || header.corrupt) {
			g_set_error(error, DISK_ERROR, header.corrupt ? DISK_ERROR_CORRUPT : DISK_ERROR_UNSUPPORTED,
				"%s: %s", path,
				header.corrupt ? "the image is damaged; check and repair it first"
					       : "only qcow2 disks can have snapshots; convert it to qcow2 first");
			return FALSE;
		}
	}
	return TRUE;
}

/* DISK.new: an empty overlay on the file base in the same directory, which is now at image, and goes on with its marks. */
static gboolean make_overlay(
	DiskSet *set, const char *disk, const char *base, const char *image, GPtrArray *bitmaps, GError **error)
{
	g_autofree char *fresh = set_new(set, disk), *name = g_path_get_basename(base);
	DiskHeader header;

	disk_step("overlay");
	if (!header_read(image, &header, error))
		return FALSE;
	header_clear(&header);
	return file_remove(fresh, error) && image_new_overlay(fresh, name, "qcow2", header.size, error) &&
		mark_carry(fresh, bitmaps, error) && file_sync(fresh, error);
}

/* The marks of the disk's image, from QEMU when it has it: what is in the file says less. */
static GPtrArray *live_marks(DiskSet *set, const char *disk, Qmp *qmp, GError **error)
{
	g_autofree char *path = set_path(set, disk);
	g_autoptr(GPtrArray) nodes = NULL;
	QmpNode *node;

	if (!qmp)
		return mark_list(path, error);
	nodes = qmp_nodes(qmp, error);
	if (!nodes)
		return NULL;
	node = qmp_image(nodes, path);
	if (!node) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: the VM's QEMU does not have this disk open",
			path);
		return NULL;
	}
	return g_ptr_array_ref(node->bitmaps);
}

static char *node_name(guint64 id, guint disk, const char *what)
{
	return g_strdup_printf("carrel-%" G_GUINT64_FORMAT "-%u-%s", id, disk, what);
}

static gboolean add_overlay_node(const char *path, const char *name, gboolean direct, Qmp *qmp, GError **error)
{
	return qmp_do(qmp, error, "blockdev-add",
		"{'driver': <'qcow2'>, 'node-name': <%s>, 'discard': <'unmap'>, 'backing': <@ms nothing>, 'cache': <{'direct': <%b>}>,"
		" 'file': <{'driver': <'file'>, 'filename': <%s>, 'locking': <'off'>, 'discard': <'unmap'>, 'cache': <{'direct': <%b>}>}>}",
		name, direct, path, direct);
}

/* All disks' nodes change over in one transaction. */
static gboolean switch_nodes(DiskSet *set, guint64 id, Qmp *qmp, GError **error)
{
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, error);
	GVariantBuilder actions;

	if (!nodes)
		return FALSE;
	g_variant_builder_init(&actions, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < set->disks->len; i++) {
		g_autofree char *layer = set_layer(set, set->disks->pdata[i], id), *overlay = node_name(id, i, "o");
		QmpNode *base = qmp_image(nodes, layer);

		if (!base) {
			g_variant_builder_clear(&actions);
			g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "%s: QEMU lost it", layer);
			return FALSE;
		}
		g_variant_builder_add_value(&actions,
			g_variant_new_parsed(
				"{'type': <'blockdev-snapshot'>, 'data': <{'node': <%s>, 'overlay': <%s>}>}",
				base->name, overlay));
	}
	return qmp_do(qmp, error, "transaction", "{'actions': <%@aa{sv}>}", g_variant_builder_end(&actions));
}

/* Steps up to the journal's switch, with or without a QEMU. */
static gboolean prepare(DiskSet *set, guint64 id, Qmp *qmp, GError **error)
{
	for (guint i = 0; i < set->disks->len; i++) {
		const char *disk = set->disks->pdata[i];
		g_autofree char *path = set_path(set, disk), *layer = set_layer(set, disk, id);
		g_autoptr(GPtrArray) bitmaps = live_marks(set, disk, qmp, error);

		if (!bitmaps || !make_overlay(set, disk, layer, path, bitmaps, error))
			return FALSE;
	}
	for (guint i = 0; i < set->disks->len; i++) {
		const char *disk = set->disks->pdata[i];
		g_autofree char *path = set_path(set, disk), *layer = set_layer(set, disk, id),
				*node = node_name(id, i, "f");

		disk_step("link");
		if (!file_link(path, layer, error))
			return FALSE;
		disk_step("retarget");
		if (qmp && !qmp_retarget(qmp, path, layer, node, error))
			return FALSE;
	}
	for (guint i = 0; i < set->disks->len; i++) {
		const char *disk = set->disks->pdata[i];
		g_autofree char *path = set_path(set, disk), *fresh = set_new(set, disk), *node = node_name(id, i, "o");

		disk_step("rename");
		if (!file_rename(fresh, path, TRUE, error))
			return FALSE;
		disk_step("open overlay");
		if (qmp && !add_overlay_node(path, node, FALSE, qmp, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean finish(DiskSet *set, GKeyFile *journal, GError **error)
{
	g_autofree char *group = g_key_file_get_string(journal, "job", "id", NULL),
			*name = g_key_file_get_string(journal, "job", "name", NULL);
	g_autofree char *description = g_key_file_get_string(journal, "job", "description", NULL);
	g_autofree char *disks = g_key_file_get_value(journal, "job", "disks", NULL);

	if (name) { /* a hidden layer has none */
		g_key_file_set_string(set->list, group, "name", name);
		g_key_file_set_string(set->list, group, "description", description ? description : "");
		g_key_file_set_int64(set->list, group, "when", g_key_file_get_int64(journal, "job", "when", NULL));
		g_key_file_set_value(set->list, group, "disks", disks);
		if (!set_save(set, error))
			return FALSE;
	}
	return journal_remove(set, error);
}

static GKeyFile *new_journal(DiskSet *set, const char *job, guint64 id)
{
	GKeyFile *journal = g_key_file_new();

	g_key_file_set_string(journal, "job", "job", job);
	g_key_file_set_string(journal, "job", "state", "prepare");
	g_key_file_set_uint64(journal, "job", "id", id);
	g_key_file_set_string_list(journal, "job", "disks", (const char *const *)set->disks->pdata, set->disks->len);
	return journal;
}

gboolean snapshot_take(DiskSet *set, const char *socket, const char *name, const char *description, GError **error)
{
	guint64 id = set_next_id(set);
	g_autoptr(GKeyFile) journal = new_journal(set, "snapshot", id);
	g_autoptr(Qmp) qmp = NULL;
	gboolean done;

	if (name) {
		g_key_file_set_string(journal, "job", "name", name);
		g_key_file_set_string(journal, "job", "description", description ? description : "");
		g_key_file_set_int64(journal, "job", "when", g_get_real_time());
	}
	if (!disks_ready(set, error) || (socket && !(qmp = qmp_open(socket, error))) ||
		!journal_write(set, journal, error))
		return FALSE;
	done = prepare(set, id, qmp, error);
	if (done) {
		g_key_file_set_string(journal, "job", "state", "switch");
		done = journal_write(set, journal, error);
		disk_step("switch");
		if (done && qmp)
			done = switch_nodes(set, id, qmp, error);
		disk_step("switched");
	}
	g_clear_pointer(&qmp, qmp_close);
	if (done)
		return finish(set, journal, error);
	/* Leaves the journal where QEMU cannot be asked how far it got. */
	snapshot_settle(set, socket, NULL);
	return FALSE;
}

/* QEMU makes the old images read-only in the transaction. */
static gboolean has_switched(DiskSet *set, GStrv disks, guint64 id, Qmp *qmp, gboolean *switched, GError **error)
{
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, error);
	g_autofree char *layer = set_layer(set, disks[0], id);
	QmpNode *node = nodes ? qmp_image(nodes, layer) : NULL;

	*switched = node && node->readonly;
	return nodes != NULL;
}

static gboolean undo_disk(DiskSet *set, const char *disk, guint index, guint64 id, Qmp *qmp, GError **error)
{
	g_autofree char *path = set_path(set, disk), *layer = set_layer(set, disk, id), *fresh = set_new(set, disk);
	g_autofree char *overlay = node_name(id, index, "o"), *file = node_name(id, index, "f"),
			*back = node_name(id, index, "b");

	if (qmp)
		qmp_drop(qmp, overlay);
	disk_step("undo");
	if (g_file_test(layer, G_FILE_TEST_EXISTS)) {
		if (file_same(path, layer)) {
			if (qmp && !qmp_retarget(qmp, layer, path, back, error))
				return FALSE;
			if (!file_remove(layer, error))
				return FALSE;
		} else if (!file_rename(layer, path, TRUE, error)) {
			return FALSE;
		}
	}
	/* Still known by a name that is gone, when the rename above or an earlier attempt's was the last thing done. */
	if (qmp && !qmp_retarget(qmp, layer, path, back, error))
		return FALSE;
	if (qmp)
		qmp_drop(qmp, file);
	return file_remove(fresh, error);
}

static gboolean settle_snapshot(DiskSet *set, GKeyFile *journal, Qmp *qmp, GError **error)
{
	g_autofree char *state = g_key_file_get_string(journal, "job", "state", NULL);
	g_auto(GStrv) disks = g_key_file_get_string_list(journal, "job", "disks", NULL, NULL);
	guint64 id = g_key_file_get_uint64(journal, "job", "id", NULL);
	gboolean switched = !g_strcmp0(state, "switch");

	if (switched && qmp && !has_switched(set, disks, id, qmp, &switched, error))
		return FALSE;
	if (switched)
		return finish(set, journal, error);
	for (guint i = 0; disks[i]; i++)
		if (!undo_disk(set, disks[i], i, id, qmp, error))
			return FALSE;
	return file_sync(set->dir, error) && journal_remove(set, error);
}

/* Before its switch a revert has only made DISK.new; after it these only wait to be put in place. */
static gboolean settle_revert(DiskSet *set, GKeyFile *journal, GError **error)
{
	g_autofree char *state = g_key_file_get_string(journal, "job", "state", NULL);
	g_auto(GStrv) disks = g_key_file_get_string_list(journal, "job", "disks", NULL, NULL);

	for (guint i = 0; disks[i]; i++) {
		g_autofree char *path = set_path(set, disks[i]), *fresh = set_new(set, disks[i]);

		disk_step("put back");
		if (g_strcmp0(state, "switch")) {
			if (!file_remove(fresh, error))
				return FALSE;
		} else if (g_file_test(fresh, G_FILE_TEST_EXISTS) && !file_rename(fresh, path, TRUE, error)) {
			return FALSE;
		}
	}
	return file_sync(set->dir, error) && journal_remove(set, error);
}

gboolean snapshot_settle(DiskSet *set, const char *socket, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(GKeyFile) journal = journal_read(set, &cause);
	g_autofree char *job = journal ? g_key_file_get_string(journal, "job", "job", NULL) : NULL;
	g_autoptr(Qmp) qmp = NULL;

	if (!journal) {
		if (cause)
			g_propagate_error(error, g_steal_pointer(&cause));
		return error ? !*error : TRUE;
	}
	if (!g_strcmp0(job, "merge"))
		return merge_settle(set, journal, socket, error);
	if (!g_strcmp0(job, "revert"))
		return settle_revert(set, journal, error);
	if (g_strcmp0(job, "snapshot")) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_CORRUPT, "%s/%s: tells of an unknown job", set->dir,
			JOURNAL_FILE);
		return FALSE;
	}
	if (socket && !(qmp = qmp_open(socket, error)))
		return FALSE;
	return settle_snapshot(set, journal, qmp, error);
}

gboolean disk_snapshot(const char *dir, const char *const *disks, const char *qmp, const char *name,
	const char *description, GError **error)
{
	g_autoptr(DiskSet) set = set_open(dir, disks, error);

	return set && snapshot_settle(set, qmp, error) && name_valid(set, name, error) &&
		snapshot_take(set, qmp, name, description, error);
}

/* The disks among set's that the snapshot has, and their marks at that time. */
static gboolean prepare_revert(DiskSet *set, const char *group, GPtrArray *reverted, GError **error)
{
	g_auto(GStrv) held = g_key_file_get_string_list(set->list, group, "disks", NULL, NULL);
	guint64 id = g_ascii_strtoull(group, NULL, 10);

	for (guint i = 0; i < set->disks->len; i++) {
		const char *disk = set->disks->pdata[i];
		g_autofree char *layer = set_layer(set, disk, id);
		g_autoptr(GPtrArray) bitmaps = NULL;

		if (!held || !g_strv_contains((const char *const *)held, disk))
			continue;
		bitmaps = mark_list(layer, error);
		if (!bitmaps || !make_overlay(set, disk, layer, layer, bitmaps, error))
			return FALSE;
		g_ptr_array_add(reverted, g_strdup(disk));
	}
	return TRUE;
}

gboolean disk_revert(const char *dir, const char *const *disks, const char *name, GError **error)
{
	g_autoptr(DiskSet) set = set_open(dir, disks, error);
	g_autoptr(GPtrArray) reverted = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GKeyFile) journal = NULL;
	g_autofree char *group = NULL;

	if (!set || !snapshot_settle(set, NULL, error) || !(group = set_find(set, name, error)))
		return FALSE;
	journal = new_journal(set, "revert", g_ascii_strtoull(group, NULL, 10));
	if (!journal_write(set, journal, error))
		return FALSE;
	if (!prepare_revert(set, group, reverted, error)) {
		settle_revert(set, journal, NULL);
		return FALSE;
	}
	g_key_file_set_string(journal, "job", "state", "switch");
	/* What only the discarded state needed goes; that it could not is no reason to fail. */
	if (!journal_write(set, journal, error) || !settle_revert(set, journal, error))
		return FALSE;
	merge_layers(set, NULL, FALSE, NULL, NULL);
	return TRUE;
}

/* The list or the journal as GLib writes it beside, NAME.XXXXXX. */
static gboolean is_draft(const char *name)
{
	static const char *const files[] = {LIST_FILE ".", JOURNAL_FILE "."};

	for (gsize i = 0; i < G_N_ELEMENTS(files); i++)
		if (g_str_has_prefix(name, files[i]) && strlen(name) == strlen(files[i]) + 6)
			return TRUE;
	return FALSE;
}

/* What was being written when the power went. */
static gboolean sweep(DiskSet *set, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(set->dir, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(set->dir, name, NULL);

		if ((g_str_has_suffix(name, ".new") || is_draft(name)) && !file_remove(path, error))
			return FALSE;
	}
	return TRUE;
}

gboolean disk_recover(const char *dir, GError **error)
{
	return disk_recover_running(dir, NULL, error);
}

gboolean disk_recover_running(const char *dir, const char *qmp, GError **error)
{
	g_autoptr(DiskSet) set = set_open(dir, NULL, error);

	return set && snapshot_settle(set, qmp, error) && sweep(set, error);
}
