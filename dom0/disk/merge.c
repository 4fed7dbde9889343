/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting a snapshot takes it off the list, at once. Its layers stay while something is on top of them; the one thing on top
 * is then merged down into the layer, which takes its name. At every moment the thing on top reads the same, so a cut needs
 * no undoing: what is left over is found by the next deletion. */
#include "internal.h"
#include <string.h>

#define JOB_ID  "carrel-merge"
#define POLL_US 100000

typedef struct {
	char *path; /* a layer or the live file */
	char *backing;
	guint64 id; /* 0: the live file */
	gboolean listed;
	gboolean second; /* an older name of another layer */
} Layer;

static void layer_free(Layer *layer)
{
	g_free(layer->path);
	g_free(layer->backing);
	g_free(layer);
}

static gboolean add_layer(GPtrArray *layers, DiskSet *set, const char *name, guint64 id, GError **error)
{
	Layer *layer = g_new0(Layer, 1);
	DiskHeader header;

	g_ptr_array_add(layers, layer);
	layer->path = g_build_filename(set->dir, name, NULL);
	layer->id = id;
	if (id) {
		g_autofree char *group = g_strdup_printf("%" G_GUINT64_FORMAT, id);

		layer->listed = g_key_file_has_group(set->list, group);
	}
	if (!header_read(layer->path, &header, error))
		return FALSE;
	if (header.backing)
		layer->backing = g_canonicalize_filename(header.backing, set->dir);
	header_clear(&header);
	return TRUE;
}

static gboolean is_backing(GPtrArray *layers, const Layer *layer)
{
	for (guint i = 0; i < layers->len; i++)
		if (!g_strcmp0(((Layer *)layers->pdata[i])->backing, layer->path))
			return TRUE;
	return FALSE;
}

/* Left by a merge while a QEMU ran. */
static void mark_second_names(GPtrArray *layers)
{
	for (guint i = 0; i < layers->len; i++)
		for (guint k = 0; k < layers->len; k++) {
			Layer *layer = layers->pdata[i], *other = layers->pdata[k];

			layer->second |= i != k && layer->id && !layer->listed && !is_backing(layers, layer) &&
				file_same(layer->path, other->path);
		}
}

/* DISK and each DISK.ID.snap. */
static GPtrArray *read_layers(DiskSet *set, const char *disk, GError **error)
{
	g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func((GDestroyNotify)layer_free);
	g_autoptr(GDir) dir = g_dir_open(set->dir, 0, NULL);
	g_autofree char *prefix = g_strconcat(disk, ".", NULL);
	const char *name;

	if (!add_layer(layers, set, disk, 0, error))
		return NULL;
	while (dir && (name = g_dir_read_name(dir))) {
		char *end;
		guint64 id;

		if (!g_str_has_prefix(name, prefix))
			continue;
		id = g_ascii_strtoull(name + strlen(prefix), &end, 10);
		if (id && !strcmp(end, ".snap") && !add_layer(layers, set, name, id, error))
			return NULL;
	}
	mark_second_names(layers);
	return g_steal_pointer(&layers);
}

static guint children_of(GPtrArray *layers, const Layer *layer, Layer **child)
{
	guint n = 0;

	for (guint i = 0; i < layers->len; i++) {
		Layer *other = layers->pdata[i];

		if (!other->second && !g_strcmp0(other->backing, layer->path)) {
			*child = other;
			n++;
		}
	}
	return n;
}

/* The layer takes the name of what was on top of it, and keeps its own until no QEMU can know it by that. */
static gboolean take_name(const Layer *layer, const Layer *child, GError **error)
{
	g_autofree char *second = g_strconcat(child->path, ".new", NULL);

	disk_step("take name");
	if (file_same(layer->path, child->path))
		return TRUE;
	return file_sync(layer->path, error) && file_remove(second, error) && file_link(layer->path, second, error) &&
		file_rename(second, child->path, TRUE, error);
}

/* Clones that stood on layers had them frozen; there are none any more, or this job would not be. All of them: QEMU writes to
 * the layer and its child, and to what lies on that for the name of its backing file, and dies where it must not. */
static void thaw(GPtrArray *layers)
{
	for (guint i = 0; i < layers->len; i++) {
		const Layer *layer = layers->pdata[i];

		if (layer->id)
			file_freeze(layer->path, FALSE);
	}
}

static gboolean merge_off(Layer *layer, Layer *child, const DiskJob *job, GError **error)
{
	const char *argv[] = {"qemu-img", "commit", "-p", "-d", "-f", "qcow2", child->path, NULL};

	disk_step("commit");
	return tool_run(child->path, argv, job, NULL, NULL, error) && mark_merge(child->path, layer->path, error) &&
		take_name(layer, child, error);
}

/* The layer's mark that the child's goes on with. */
static DiskBitmap *lower_mark(GPtrArray *lower, const DiskBitmap *upper)
{
	g_autofree char *mark = mark_base_name(upper->name), *carried = g_strconcat(mark, "+", NULL);
	DiskBitmap *found = bitmap_find(lower, mark);

	return found ? found : bitmap_find(lower, carried);
}

static gboolean merge_mark_running(Qmp *qmp, QmpNode *lower, QmpNode *upper, const DiskBitmap *bitmap, GError **error)
{
	DiskBitmap *target = lower_mark(lower->bitmaps, bitmap);

	if (!bitmap->usable) /* a reader must not find the rest of it and take it for the whole */
		return !target ||
			qmp_do(qmp, error, "block-dirty-bitmap-remove", "{'node': <%s>, 'name': <%s>}", lower->name,
				target->name);
	if (target && !target->usable)
		return TRUE;
	if (!target &&
		!qmp_do(qmp, error, "block-dirty-bitmap-add",
			"{'node': <%s>, 'name': <%s>, 'persistent': <true>, 'granularity': <%x>}", lower->name,
			bitmap->name, (gint64)bitmap->granularity))
		return FALSE;
	return qmp_do(qmp, error, "block-dirty-bitmap-merge",
		"{'node': <%s>, 'target': <%s>, 'bitmaps': <[<{'node': <%s>, 'name': <%s>}>]>}", lower->name,
		target ? target->name : bitmap->name, upper->name, bitmap->name);
}

/* In the job's last state both layers can be written. */
static gboolean merge_marks_running(Qmp *qmp, const Layer *layer, const Layer *child, GError **error)
{
	g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, error);
	QmpNode *lower = nodes ? qmp_image(nodes, layer->path) : NULL,
		*upper = nodes ? qmp_image(nodes, child->path) : NULL;

	for (guint i = 0; lower && upper && i < upper->bitmaps->len; i++)
		if (!merge_mark_running(qmp, lower, upper, upper->bitmaps->pdata[i], error))
			return FALSE;
	for (guint i = 0; lower && upper && i < lower->bitmaps->len; i++) {
		DiskBitmap *bitmap = lower->bitmaps->pdata[i];

		if (!lower_mark(upper->bitmaps, bitmap))
			qmp_do(qmp, NULL, "block-dirty-bitmap-remove", "{'node': <%s>, 'name': <%s>}", lower->name,
				bitmap->name);
	}
	return nodes != NULL;
}

typedef struct {
	char *status, *failure;
	double fraction;
} JobState;

static void job_state_clear(JobState *state)
{
	g_free(state->status);
	g_free(state->failure);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobState, job_state_clear)

static gboolean read_job(Qmp *qmp, JobState *state, GError **error)
{
	g_autoptr(JsonNode) answer = qmp_call(qmp, error, "query-jobs", NULL);
	JsonArray *jobs = answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;

	job_state_clear(state);
	memset(state, 0, sizeof *state);
	for (guint i = 0; jobs && i < json_array_get_length(jobs); i++) {
		JsonObject *job = js_item(jobs, i);
		gint64 total = js_int(job, "total-progress");

		if (g_strcmp0(js_string(job, "id"), JOB_ID))
			continue;
		state->status = g_strdup(js_string(job, "status"));
		state->failure = g_strdup(js_string(job, "error"));
		state->fraction = total > 0 ? CLAMP((double)js_int(job, "current-progress") / (double)total, 0, 1) : 0;
	}
	return answer != NULL;
}

/* Waits for that status (or for its end). Between looks QEMU is free for others: it serves one client at a time. */
static gboolean await_job(const char *socket, const char *status, const DiskJob *job, GError **error)
{
	for (;;) {
		g_autoptr(Qmp) qmp = qmp_open(socket, error);
		g_auto(JobState) state = {0};

		if (!qmp || !read_job(qmp, &state, error))
			return FALSE;
		if (!state.status || !strcmp(state.status, status))
			return TRUE;
		if (!strcmp(state.status, "concluded")) {
			g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "QEMU could not merge the layers: %s",
				state.failure ? state.failure : "no reason given");
			return FALSE;
		}
		if (job && job->progress)
			job->progress(state.fraction, job->data);
		if (job && g_cancellable_set_error_if_cancelled(job->cancellable, error))
			return FALSE;
		g_clear_pointer(&qmp, qmp_close);
		g_usleep(POLL_US);
	}
}

/* Ends the job, whatever it is at. A job that is already past its end only leaves the list. */
static gboolean end_job(const char *socket, GError **error)
{
	g_autoptr(Qmp) qmp = qmp_open(socket, error);

	if (!qmp)
		return FALSE;
	for (gint64 end = g_get_monotonic_time() + (gint64)qmp_limit_ms * 1000;; g_usleep(POLL_US / 10)) {
		g_auto(JobState) state = {0};

		if (!read_job(qmp, &state, error))
			return FALSE;
		if (!state.status)
			return TRUE;
		qmp_do(qmp, NULL, !strcmp(state.status, "concluded") ? "job-dismiss" : "job-cancel",
			"{'id': <'" JOB_ID "'>}");
		if (g_get_monotonic_time() > end) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "QEMU at %s does not end its job", socket);
			return FALSE;
		}
	}
}

/* When QEMU has let go of the child, the layer takes its name; else nothing has happened. */
static gboolean settle_running(const char *socket, Layer *layer, Layer *child, gboolean *done, GError **error)
{
	g_autoptr(Qmp) qmp = NULL;
	g_autoptr(GPtrArray) nodes = NULL;
	QmpNode *lower, *upper;

	*done = FALSE;
	if (!end_job(socket, error) || !(qmp = qmp_open(socket, error)) || !(nodes = qmp_nodes(qmp, error)))
		return FALSE;
	lower = qmp_image(nodes, layer->path);
	upper = qmp_image(nodes, child->path);
	for (guint i = 0; lower && i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i];

		if (node != upper && !g_strcmp0(node->backing, lower->name))
			*done = TRUE;
	}
	if (!*done)
		return TRUE;
	if (upper && upper != lower) { /* nobody's now; its file node is one of ours or goes by itself */
		qmp_drop(qmp, upper->name);
		qmp_drop(qmp, upper->file);
	}
	return take_name(layer, child, error);
}

gboolean merge_settle(DiskSet *set, GKeyFile *journal, const char *socket, GError **error)
{
	g_autofree char *lower = g_key_file_get_string(journal, "job", "layer", NULL),
			*upper = g_key_file_get_string(journal, "job", "child", NULL);
	gboolean done;

	if (socket && lower && upper) {
		Layer layer = {.path = lower}, child = {.path = upper};

		if (!settle_running(socket, &layer, &child, &done, error))
			return FALSE;
	}
	return journal_remove(set, error);
}

static gboolean start_job(
	Qmp *qmp, GPtrArray *nodes, const char *live, const Layer *layer, const Layer *child, GError **error)
{
	QmpNode *top = qmp_image(nodes, live), *lower = qmp_image(nodes, layer->path),
		*upper = qmp_image(nodes, child->path);
	g_autofree char *name = g_path_get_basename(child->path);

	if (!top || !lower || !upper) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "%s: the VM's QEMU does not have this disk open",
			live);
		return FALSE;
	}
	/* What is on top goes on naming the child: both are the same until the rename, and after it. */
	return qmp_do(qmp, error, "block-commit",
		"{'job-id': <'" JOB_ID "'>, 'device': <%s>, 'top-node': <%s>, 'base-node': <%s>, 'backing-file': <%s>,"
		" 'auto-finalize': <false>, 'auto-dismiss': <false>}",
		top->name, upper->name, lower->name, name);
}

static gboolean finalize_job(const char *socket, const Layer *layer, const Layer *child, GError **error)
{
	g_autoptr(Qmp) qmp = qmp_open(socket, error);

	disk_step("merge marks");
	if (!qmp || !merge_marks_running(qmp, layer, child, error))
		return FALSE;
	disk_step("finalize");
	return qmp_do(qmp, error, "job-finalize", "{'id': <'" JOB_ID "'>}");
}

static gboolean merge_running(DiskSet *set, const char *disk, const char *socket, Layer *layer, Layer *child,
	const DiskJob *job, GError **error)
{
	g_autofree char *live = set_path(set, disk);
	g_autoptr(Qmp) qmp = qmp_open(socket, error);
	g_autoptr(GPtrArray) nodes = qmp ? qmp_nodes(qmp, error) : NULL;
	g_autoptr(GKeyFile) journal = g_key_file_new();
	g_autoptr(GError) cause = NULL;
	gboolean done = FALSE;

	if (!nodes)
		return FALSE;
	if (!qmp_image(nodes, layer->path)) {
		g_clear_pointer(&qmp, qmp_close);
		return merge_off(layer, child, job, error); /* on another branch */
	}
	g_key_file_set_string(journal, "job", "job", "merge");
	g_key_file_set_string(journal, "job", "layer", layer->path);
	g_key_file_set_string(journal, "job", "child", child->path);
	if (!journal_write(set, journal, error))
		return FALSE;
	disk_step("commit");
	start_job(qmp, nodes, live, layer, child, &cause);
	g_clear_pointer(&qmp, qmp_close);
	if (!cause && await_job(socket, "pending", job, &cause) && finalize_job(socket, layer, child, &cause))
		await_job(socket, "concluded", NULL, &cause);
	disk_step("committed");
	/* The journal stays when QEMU cannot be asked how far it got. */
	if (!settle_running(socket, layer, child, &done, error) || !journal_remove(set, error))
		return FALSE;
	if (!done && cause)
		g_propagate_error(error, g_steal_pointer(&cause));
	else if (!done)
		g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "%s: QEMU did not merge it", layer->path);
	return done;
}

/* One step of tidying a disk; *more when there may be another. */
static gboolean tidy(DiskSet *set, const char *disk, const char *qmp, gboolean merge, const DiskJob *job,
	gboolean *more, GError **error)
{
	g_autoptr(GPtrArray) layers = read_layers(set, disk, error);

	*more = FALSE;
	for (guint i = 0; layers && i < layers->len; i++) {
		Layer *layer = layers->pdata[i], *child = NULL;
		guint children = children_of(layers, layer, &child);

		if (!layer->id || layer->listed || (layer->second ? qmp != NULL : children > 1))
			continue;
		if (layer->second || !children) {
			*more = TRUE;
			disk_step("remove layer");
			file_freeze(layer->path, FALSE);
			return file_remove(layer->path, error) && file_sync(set->dir, error);
		}
		if (!merge || (qmp && !child->id))
			continue;
		*more = TRUE;
		thaw(layers);
		return qmp ? merge_running(set, disk, qmp, layer, child, job, error)
			   : merge_off(layer, child, job, error);
	}
	return layers != NULL;
}

gboolean merge_layers(DiskSet *set, const char *qmp, gboolean merge, const DiskJob *job, GError **error)
{
	for (guint i = 0; i < set->disks->len; i++) {
		gboolean more = TRUE;

		while (more)
			if (!tidy(set, set->disks->pdata[i], qmp, merge, job, &more, error))
				return FALSE;
	}
	return TRUE;
}

/* The live image's base goes, while it runs: a layer without a name goes between, so that what is merged is at rest. */
static gboolean is_live_base(DiskSet *set, guint64 id)
{
	for (guint i = 0; i < set->disks->len; i++) {
		g_autofree char *path = set_path(set, set->disks->pdata[i]),
				*layer = set_layer(set, set->disks->pdata[i], id), *backing = NULL;
		DiskHeader header;

		if (!header_read(path, &header, NULL))
			continue;
		if (header.backing)
			backing = g_canonicalize_filename(header.backing, set->dir);
		header_clear(&header);
		if (!g_strcmp0(backing, layer))
			return TRUE;
	}
	return FALSE;
}

gboolean disk_snapshot_delete(const char *dir, const char *const *disks, const char *qmp, const char *name,
	DiskProgress progress, gpointer data, GCancellable *cancellable, GError **error)
{
	const DiskJob job = {progress, data, cancellable};
	g_autoptr(DiskSet) set = set_open(dir, disks, error);
	g_autofree char *group = NULL;
	g_autoptr(GError) cause = NULL;
	gboolean live_base;

	if (!set || g_cancellable_set_error_if_cancelled(cancellable, error) || !snapshot_settle(set, qmp, error) ||
		!(group = set_find(set, name, error)))
		return FALSE;
	live_base = qmp && is_live_base(set, g_ascii_strtoull(group, NULL, 10));
	g_key_file_remove_group(set->list, group, NULL);
	if (!set_save(set, error))
		return FALSE;
	/* The snapshot is gone. What follows wins back its space, now or with the next deletion. */
	if (live_base && !snapshot_take(set, qmp, NULL, NULL, &cause))
		g_message("%s: %s; the space is won back when the VM is off", dir, cause->message);
	else if (!merge_layers(set, qmp, TRUE, &job, &cause) &&
		!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		g_message("%s: %s; the space is won back by the next deletion", dir, cause->message);
	return TRUE;
}

gboolean disk_tidy(const char *dir, const char *const *disks, DiskProgress progress, gpointer data,
	GCancellable *cancellable, GError **error)
{
	const DiskJob job = {progress, data, cancellable};
	g_autoptr(DiskSet) set = set_open(dir, disks, error);

	return set && snapshot_settle(set, NULL, error) && merge_layers(set, NULL, TRUE, &job, error);
}
