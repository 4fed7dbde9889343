/* SPDX-License-Identifier: Apache-2.0 */
/* The power goes at a hundred points of one guest's life (powercut_scenario.c), and with it what was not synced, by lot. After
 * recovery all that the guest knew to be flushed is there, on the live disks and in each snapshot, no image is damaged, what
 * was done is done, what was not is not, and nothing lies about. */
#include "common.h"
#include "powercut.h"
#include "replay.h"
#include <glib/gstdio.h>
#include <stdlib.h>

#define CUTS 100u

typedef struct {
	guint32 n, first, count;
} Write;

/* What the disks may hold: of each sector the record flushed last, or any of those that were under way. */
typedef struct {
	guint32 flushed[DISKS * SECTORS];
	GArray *open;  /* Write */
	GArray *maybe; /* the same, of a snapshot: no later flush tells whether they made it */
} Model;

typedef struct {
	Model *live, *taking;  /* taking: of the snapshot that is under way */
	GHashTable *snapshots; /* name: Model */
	char *what, *name;     /* under way, or NULL */
	gboolean deleted;      /* layers may wait for a merge */
	gboolean cloned;
	Model *clone;
} State;

static Replay *replay;
static char *root, *vm_dir, *copy_dir;

/* -- what must be ----------------------------------------------------------------------------------------------------- */

static Model *model_copy(const Model *from)
{
	Model *model = g_new0(Model, 1);

	if (from)
		memcpy(model->flushed, from->flushed, sizeof model->flushed);
	model->open = from ? g_array_copy(from->open) : g_array_new(FALSE, FALSE, sizeof(Write));
	model->maybe = from ? g_array_copy(from->maybe) : g_array_new(FALSE, FALSE, sizeof(Write));
	return model;
}

static void model_free(gpointer data)
{
	Model *model = data;

	if (!model)
		return;
	g_array_unref(model->open);
	g_array_unref(model->maybe);
	g_free(model);
}

static void flush(Model *model, guint32 n)
{
	guint done = 0;

	while (done < model->open->len) {
		const Write *write = &g_array_index(model->open, Write, done);

		if (write->n > n)
			break;
		for (guint32 i = 0; i < write->count; i++)
			model->flushed[write->first + i] = write->n;
		done++;
	}
	if (done)
		g_array_remove_range(model->open, 0, done);
}

static gboolean among(const GArray *writes, guint32 sector, guint32 n)
{
	for (guint i = 0; i < writes->len; i++) {
		const Write *write = &g_array_index(writes, Write, i);

		if (write->n == n && sector >= write->first && sector < write->first + write->count)
			return TRUE;
	}
	return FALSE;
}

static gboolean may_hold(const Model *model, guint32 sector, guint32 n)
{
	return n == model->flushed[sector] ||
		(n > model->flushed[sector] && (among(model->open, sector, n) || among(model->maybe, sector, n)));
}

static void begin(State *state, const char *what, const char *name)
{
	state->what = g_strdup(what);
	state->name = g_strdup(name);
	state->deleted |= !strcmp(what, "delete");
	if (!strcmp(what, "snapshot"))
		state->taking = model_copy(state->live);
	if (!strcmp(what, "clone"))
		state->clone = model_copy(g_hash_table_lookup(state->snapshots, name));
}

static void end(State *state)
{
	if (!strcmp(state->what, "snapshot")) {
		g_array_append_vals(state->taking->maybe, state->taking->open->data, state->taking->open->len);
		g_array_set_size(state->taking->open, 0);
		g_hash_table_replace(state->snapshots, g_strdup(state->name), g_steal_pointer(&state->taking));
	} else if (!strcmp(state->what, "delete")) {
		g_hash_table_remove(state->snapshots, state->name);
	} else if (!strcmp(state->what, "revert")) {
		model_free(state->live);
		state->live = model_copy(g_hash_table_lookup(state->snapshots, state->name));
	} else if (!strcmp(state->what, "clone")) {
		state->cloned = TRUE;
	}
	g_clear_pointer(&state->what, g_free);
	g_clear_pointer(&state->name, g_free);
}

static void learn(State *state, const ReplayStep *step)
{
	g_auto(GStrv) words = NULL;

	if (step->record->kind != LOSSY_MARK)
		return;
	words = g_strsplit(step->path, " ", 3);
	if (!strcmp(words[0], "write")) {
		Write write = {(guint32)step->record->offset, (guint32)(step->record->length >> 32), (guint32)step->record->length};

		g_array_append_val(state->live->open, write);
		if (state->taking)
			g_array_append_val(state->taking->open, write);
	} else if (!strcmp(words[0], "flushed")) {
		/* A snapshot that is being taken may be of before. */
		flush(state->live, (guint32)step->record->offset);
	} else if (!strcmp(words[0], "begin")) {
		begin(state, words[1], words[2]);
	} else if (!strcmp(words[0], "end")) {
		end(state);
	}
}

static State *state_at(guint cut)
{
	State *state = g_new0(State, 1);

	state->live = model_copy(NULL);
	state->snapshots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, model_free);
	for (guint i = 0; i < cut; i++)
		learn(state, &g_array_index(replay->steps, ReplayStep, i));
	return state;
}

static void state_free(State *state)
{
	model_free(state->live);
	model_free(state->taking);
	model_free(state->clone);
	g_hash_table_unref(state->snapshots);
	g_free(state->what);
	g_free(state->name);
	g_free(state);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)

/* -- what is: each returns what is wrong, or NULL --------------------------------------------------------------------- */

static char *whole_image(const char *image, char **bytes)
{
	g_autofree char *raw = in_dir(root, "raw"), *output = NULL;
	const char *argv[] = {"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw, NULL};
	gsize length = 0;

	if (!run_ok(argv, &output))
		return g_strdup_printf("%s cannot be read: %s", image, output);
	g_assert_true(g_file_get_contents(raw, bytes, &length, NULL));
	g_assert_cmpuint(length, ==, SECTORS * SECTOR);
	return NULL;
}

/* extension: ".ID.snap" or "". either: another model that would do as well. */
static char *content(const char *dir, const char *extension, const Model *model, const Model *either)
{
	g_autofree char *wrong = NULL;
	gboolean other = either != NULL;

	for (guint d = 0; d < DISKS; d++) {
		g_autofree char *image = g_strdup_printf("%s/%s%s", dir, powercut_disks[d], extension), *bytes = NULL;
		char *problem = whole_image(image, &bytes);

		if (problem)
			return problem;
		for (guint32 i = 0; i < SECTORS; i++) {
			guint32 sector = d * SECTORS + i, n = sector_read((guint32 *)(bytes + i * SECTOR), sector);

			other = other && may_hold(either, sector, n);
			if (!wrong && !may_hold(model, sector, n))
				wrong = g_strdup_printf("%s: sector %u holds record %u, flushed was %u", image, i, n,
					model->flushed[sector]);
		}
	}
	return other ? NULL : g_steal_pointer(&wrong);
}

static char *sound(const char *dir, guint *layers)
{
	g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
	const char *name;

	*layers = 0;
	while ((name = g_dir_read_name(list))) {
		g_autofree char *path = in_dir(dir, name);
		g_autoptr(GError) error = NULL;

		if (!strcmp(name, LIST_FILE))
			continue;
		if (!g_str_has_suffix(name, ".snap") && !g_strv_contains(powercut_disks, name))
			return g_strdup_printf("%s lies about", path);
		*layers += g_str_has_suffix(name, ".snap");
		if (!disk_check(path, FALSE, &error))
			return g_strdup_printf("%s: %s", path, error->message);
	}
	return NULL;
}

static char *snapshot_content(const State *state, const char *name)
{
	const Model *model = g_hash_table_lookup(state->snapshots, name);
	g_autoptr(DiskSet) set = set_open(vm_dir, powercut_disks, NULL);
	g_autofree char *id = set_find(set, name, NULL), *extension = g_strdup_printf(".%s.snap", id);

	if (!model && !g_strcmp0(state->name, name))
		model = state->taking;
	if (!model)
		return g_strdup_printf("snapshot %s comes from nowhere", name);
	return content(vm_dir, extension, model, NULL);
}

/* The list is as it was, but for what was under way. */
static char *snapshots(const State *state)
{
	g_autoptr(GPtrArray) list = NULL;
	g_autoptr(GError) error = NULL;
	GHashTableIter iter;
	const char *name;
	char *problem = NULL;

	list = disk_snapshots(vm_dir, &error);
	if (!list)
		return g_strdup(error->message);
	for (guint i = 0; i < list->len && !problem; i++)
		problem = snapshot_content(state, ((DiskSnapshot *)list->pdata[i])->name);
	g_hash_table_iter_init(&iter, state->snapshots);
	while (!problem && g_hash_table_iter_next(&iter, (gpointer *)&name, NULL))
		if (!listed(vm_dir, name) && g_strcmp0(state->name, name))
			problem = g_strdup_printf("snapshot %s is gone", name);
	return problem;
}

static char *cloned(const State *state)
{
	g_autofree char *last = in_dir(copy_dir, powercut_disks[DISKS - 1]);
	g_autoptr(GError) error = NULL;
	guint layers;
	char *problem;

	if (!disk_recover(copy_dir, &error))
		return g_strdup(error->message);
	problem = sound(copy_dir, &layers);
	if (problem || !state->clone)
		return problem;
	if (!g_file_test(last, G_FILE_TEST_EXISTS))
		return state->cloned ? g_strdup("the clone is gone") : NULL;
	return content(copy_dir, "", state->clone, NULL);
}

static char *live(const State *state)
{
	gboolean reverting = !g_strcmp0(state->what, "revert");

	return content(vm_dir, "", state->live, reverting ? g_hash_table_lookup(state->snapshots, state->name) : NULL);
}

static char *recovered(const State *state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) list = NULL;
	guint layers;
	char *problem;

	if (!disk_recover(vm_dir, &error))
		return g_strdup(error->message);
	if ((problem = sound(vm_dir, &layers)) || (problem = live(state)) || (problem = snapshots(state)) || (problem = cloned(state)))
		return problem;
	list = disk_snapshots(vm_dir, NULL);
	if (layers == DISKS * list->len)
		return NULL;
	if (!state->deleted && g_strcmp0(state->what, "revert"))
		return g_strdup_printf("%u layers for %u snapshots", layers, list->len);
	/* What a deletion left for later goes without harm. */
	if (!disk_tidy(vm_dir, powercut_disks, NULL, NULL, NULL, &error))
		return g_strdup(error->message);
	problem = sound(vm_dir, &layers);
	if (!problem && layers != DISKS * list->len)
		problem = g_strdup_printf("%u layers for %u snapshots after tidying", layers, list->len);
	return problem ? problem : live(state);
}

/* -- cuts ------------------------------------------------------------------------------------------------------------- */

static void empty(const char *path)
{
	g_autoptr(GDir) list = g_dir_open(path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(list))) {
		g_autofree char *file = in_dir(path, name);

		disk_remove(file, NULL);
	}
}

static char *cut_at(guint cut, guint seed, gboolean lying)
{
	static const guint keep[] = {0, 30, 70, 100}, torn[] = {0, 50};
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);
	g_autoptr(State) state = state_at(cut);
	guint kept = keep[g_rand_int_range(random, 0, G_N_ELEMENTS(keep))], tear = torn[g_rand_int_range(random, 0, 2)];
	g_autofree char *problem = NULL;

	empty(vm_dir);
	empty(copy_dir);
	replay_cut(replay, root, cut, random, kept, tear, lying);
	problem = recovered(state);
	if (!problem)
		return NULL;
	return g_strdup_printf("cut at step %u, seed %u, in %s %s, %u%% kept, %u%% torn: %s", cut, seed, state->what ? state->what : "-",
		state->name ? state->name : "-", kept, tear, problem);
}

/* First steps of what is under way at a time, and the end. */
static GArray *points(void)
{
	GArray *at = g_array_new(FALSE, FALSE, sizeof(guint));

	for (guint i = 0; i < replay->steps->len; i++) {
		const ReplayStep *step = &g_array_index(replay->steps, ReplayStep, i);

		if (step->record->kind == LOSSY_MARK &&
			(!strcmp(step->path, "ready") || g_str_has_prefix(step->path, "begin") || g_str_has_prefix(step->path, "end"))) {
			guint next = i + 1;

			g_array_append_val(at, next);
		}
	}
	g_array_append_val(at, replay->steps->len);
	return at;
}

/* Each operation, and each stretch between two, gets its share. */
static void test_cuts(gconstpointer data)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(GPOINTER_TO_UINT(data));
	g_autoptr(GArray) at = points();

	for (guint i = 0; i < CUTS / 2; i++) {
		guint from = g_array_index(at, guint, i % (at->len - 1)), to = g_array_index(at, guint, i % (at->len - 1) + 1);
		g_autofree char *problem = cut_at((guint)g_rand_int_range(random, (gint)from, (gint)to + 1), g_rand_int(random), FALSE);

		if (problem)
			g_error("%s", problem);
	}
}

/* All kept, to the end: what the programs really left. Else the log has not seen all they did. */
static void test_whole(void)
{
	g_autofree char *real = g_strconcat(root, ".real", NULL), *output = NULL;
	const char *copy[] = {"cp", "-a", root, real, NULL}, *same[] = {"diff", "-r", real, root, NULL}, *gone[] = {"rm", "-rf", real, NULL};
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	g_assert_true(run_ok(copy, NULL));
	empty(vm_dir);
	empty(copy_dir);
	replay_cut(replay, root, replay->steps->len, random, 100, 0, FALSE);
	if (!run_ok(same, &output))
		g_error("the log is not whole: %s", output);
	run_ok(gone, NULL);
}

/* These checks see a disk that breaks its promise. */
static void test_lying(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(3);
	g_autofree char *problem = NULL;

	for (guint i = 0; i < 40 && !problem; i++)
		problem = cut_at((guint)g_rand_int_range(random, (gint)replay->steps->len / 2, (gint)replay->steps->len), i, TRUE);
	g_test_message("%s", problem);
	g_assert_nonnull(problem);
}

static void record(const char *log)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) error = NULL;

	g_subprocess_launcher_setenv(launcher, "LOSSY_ROOT", root, TRUE);
	g_subprocess_launcher_setenv(launcher, "LOSSY_LOG", log, TRUE);
	g_subprocess_launcher_setenv(launcher, "LD_PRELOAD", g_getenv("LOSSY_LIBRARY"), TRUE);
	process = g_subprocess_launcher_spawn(launcher, &error, g_getenv("LOSSY_SCENARIO"), root, NULL);
	g_assert_no_error(error);
	g_assert_true(g_subprocess_wait_check(process, NULL, &error));
}

int main(int argc, char **argv)
{
	g_autofree char *log = NULL, *raw = NULL;
	int rc;

	g_test_init(&argc, &argv, NULL);
	root = fresh_dir();
	vm_dir = in_dir(root, "vm");
	copy_dir = in_dir(root, "copy");
	log = g_strconcat(root, ".log", NULL);
	raw = in_dir(root, "raw");
	g_mkdir(vm_dir, 0700);
	g_mkdir(copy_dir, 0700);
	record(log);
	replay = replay_open(log);
	g_test_add_func("/disk/powercut/whole", test_whole);
	g_test_add_data_func("/disk/powercut/cuts", GUINT_TO_POINTER(1), test_cuts);
	g_test_add_data_func("/disk/powercut/more-cuts", GUINT_TO_POINTER(2), test_cuts);
	g_test_add_func("/disk/powercut/lying", test_lying);
	rc = g_test_run();
	replay_free(replay);
	empty(vm_dir);
	empty(copy_dir);
	g_rmdir(vm_dir);
	g_rmdir(copy_dir);
	g_unlink(log);
	g_unlink(raw);
	remove_dir(root);
	g_free(vm_dir);
	g_free(copy_dir);
	return rc;
}
