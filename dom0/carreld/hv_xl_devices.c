/* SPDX-License-Identifier: Apache-2.0 */
/* Screens, input and sound: devices whose back ends are programs of the desk (carrel-view, carrel-sound). libxl writes a device
 * into xenstore at once, then waits for its back end; front ends don't mind how long that takes to come. */
#include <libxl_event.h>
#include <string.h>

#include "error.h"
#include "hv_xl.h"

#define WIDTH 1280     /* until the desk says how large its screen is */
#define HEIGHT 800
#define RANGE 32767    /* of positions, as carrel-view has them */
#define CONTACTS 10    /* fingers */
#define RATE 48000
#define BUFFER 65536   /* bytes of sound, some third of a second */
#define CLOSE_LIMIT 2  /* seconds for back ends to let go */

typedef struct {
	libxl_ctx *ctx;
	libxl_asyncop_how how[2];
	guint asked, pending;
} Waiting;

/* libxl frees its strings and arrays with free(). */
static void fill_display(libxl_device_vdispl *to, guint screens)
{
	libxl_device_vdispl_init(to);
	to->connectors = calloc(screens, sizeof(*to->connectors));
	to->num_connectors = screens;
	for (guint i = 0; i < screens; i++) {
		g_autofree char *id = g_strdup_printf("screen%u", i);

		libxl_connector_param_init(&to->connectors[i]);
		to->connectors[i].unique_id = strdup(id);
		to->connectors[i].width = WIDTH;
		to->connectors[i].height = HEIGHT;
	}
}

/* Everything that the view offers: the front end reads it once, perhaps before there is a view. */
static void fill_input(libxl_device_vkb *to)
{
	libxl_device_vkb_init(to);
	to->backend_type = LIBXL_VKB_BACKEND_LINUX; /* any back end but QEMU */
	to->unique_id = strdup("input");
	to->feature_abs_pointer = true;
	to->width = to->height = RANGE;
	to->feature_multi_touch = true;
	to->multi_touch_width = to->multi_touch_height = RANGE;
	to->multi_touch_num_contacts = CONTACTS;
}

static void fill_stream(libxl_vsnd_stream *to, const char *id, libxl_vsnd_stream_type type)
{
	libxl_vsnd_stream_init(to);
	to->unique_id = strdup(id);
	to->type = type;
}

static void fill_sound(libxl_device_vsnd *to, gboolean play, gboolean record)
{
	libxl_vsnd_pcm *pcm = calloc(1, sizeof(*pcm));

	libxl_device_vsnd_init(to);
	to->short_name = strdup("Carrel");
	to->long_name = strdup("Carrel sound");
	to->params.sample_rates = calloc(1, sizeof(*to->params.sample_rates));
	to->params.sample_rates[to->params.num_sample_rates++] = RATE;
	to->params.sample_formats = calloc(1, sizeof(*to->params.sample_formats));
	to->params.sample_formats[to->params.num_sample_formats++] = LIBXL_VSND_PCM_FORMAT_S16_LE;
	to->params.channels_min = to->params.channels_max = 2;
	to->params.buffer_size = BUFFER;
	to->pcms = pcm;
	to->num_vsnd_pcms = 1;
	libxl_vsnd_pcm_init(pcm);
	pcm->name = strdup("Carrel");
	pcm->streams = calloc(2, sizeof(*pcm->streams));
	if (play)
		fill_stream(&pcm->streams[pcm->num_vsnd_streams++], "playback", LIBXL_VSND_STREAM_TYPE_P);
	if (record)
		fill_stream(&pcm->streams[pcm->num_vsnd_streams++], "capture", LIBXL_VSND_STREAM_TYPE_C);
}

static libxl_asyncop_how *next_how(Waiting *waiting)
{
	libxl_asyncop_how *how = &waiting->how[waiting->asked];

	how->u.for_event = ++waiting->asked;
	return how;
}

static int add_display(Waiting *waiting, guint id, guint screens)
{
	libxl_device_vdispl display;
	libxl_device_vkb input;
	int rc;

	fill_input(&input);
	rc = libxl_device_vkb_add(waiting->ctx, id, &input, NULL);
	libxl_device_vkb_dispose(&input);
	if (rc)
		return rc;
	fill_display(&display, screens);
	rc = libxl_device_vdispl_add(waiting->ctx, id, &display, next_how(waiting));
	libxl_device_vdispl_dispose(&display);
	return rc;
}

static int add_sound(Waiting *waiting, guint id, const HvConfig *config)
{
	libxl_device_vsnd sound;
	int rc;

	fill_sound(&sound, config->play, config->record);
	rc = libxl_device_vsnd_add(waiting->ctx, id, &sound, next_how(waiting));
	libxl_device_vsnd_dispose(&sound);
	return rc;
}

/* -- what sound may do ------------------------------------------------------------------------------------------------ */

static char *sound_path(guint id, const char *key)
{
	return g_strdup_printf("/local/domain/0/backend/vsnd/%u/0%s%s", id, *key ? "/" : "", key);
}

gboolean hv_xl_permit(struct xs_handle *store, guint id, gboolean play, gboolean record, GError **error)
{
	g_autofree char *path = sound_path(id, "carrel-allow"), *state = sound_path(id, "state");
	const char *words = play && record ? "play,record" : play ? "play" : record ? "record" : "";
	char *there = xs_read(store, XBT_NULL, state, NULL);

	free(there);
	if (!there || xs_write(store, XBT_NULL, path, words, strlen(words)))
		return TRUE;
	g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "cannot tell the sound of domain %u what it may do: %s: %s", id, path,
		g_strerror(errno));
	return FALSE;
}

char *hv_xl_recording_path(guint id)
{
	return sound_path(id, "carrel-recording");
}

gboolean hv_xl_recording(struct xs_handle *store, guint id)
{
	g_autofree char *path = hv_xl_recording_path(id);
	char *value = xs_read(store, XBT_NULL, path, NULL);
	gboolean recording = value && !strcmp(value, "1");

	free(value);
	return recording;
}

/* In any thread. What is over already is not found, which is as good. */
static void stop_waiting(GCancellable *stop, gpointer data)
{
	Waiting *waiting = data;

	(void)stop;
	for (guint i = 0; i < waiting->asked; i++)
		libxl_ao_abort(waiting->ctx, &waiting->how[i]);
}

/* The first failure of all, 0: none. */
static int wait_for_all(Waiting *waiting)
{
	int first = 0;

	while (waiting->pending) {
		libxl_event *event;
		int rc = libxl_event_wait(waiting->ctx, &event, 1ul << LIBXL_EVENT_TYPE_OPERATION_COMPLETE, NULL, NULL);

		if (rc)
			g_error("libxl cannot wait any more (%d)", rc); /* nothing can be undone below it; the next daemon does */
		if (!first)
			first = event->u.operation_complete.rc;
		libxl_event_free(waiting->ctx, event);
		waiting->pending--;
	}
	return first;
}

gboolean hv_xl_connect(libxl_ctx *ctx, struct xs_handle *store, guint id, const HvConfig *config, gboolean wait, GCancellable *stop,
	GError **error)
{
	Waiting waiting = { .ctx = ctx };
	gboolean permitted = TRUE;
	int added = 0, served;
	gulong handler;

	if (config->screens && !(added = add_display(&waiting, id, config->screens)))
		waiting.pending++;
	if (!added && (config->play || config->record) && !(added = add_sound(&waiting, id, config))) {
		waiting.pending++;
		permitted = hv_xl_permit(store, id, config->play, config->record, error);
	}
	handler = g_cancellable_connect(stop, G_CALLBACK(stop_waiting), &waiting, NULL);
	if (!wait || added || !permitted)
		stop_waiting(NULL, &waiting);
	served = wait_for_all(&waiting);
	g_cancellable_disconnect(stop, handler);
	if (!permitted || g_cancellable_set_error_if_cancelled(stop, error))
		return FALSE;
	if (added)
		return hv_xl_failed(error, added, "cannot give domain %u its screen and sound", id);
	return !served || (!wait && served == ERROR_ABORTED) || hv_xl_failed(error, served, "the screen and sound of domain %u", id);
}

/* -- the end ---------------------------------------------------------------------------------------------------------- */

static gboolean write_key(struct xs_handle *store, const char *dir, const char *key, const char *value)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, key);

	return xs_write(store, XBT_NULL, path, value, strlen(value));
}

/* TRUE: it is closed. states: 1 Initialising (nobody has looked at it), 5 Closing, 6 Closed (xen/io/xenbus.h). */
static gboolean close_back_end(struct xs_handle *store, const char *dir, gboolean force)
{
	g_autofree char *path = g_strdup_printf("%s/state", dir);
	char *state = xs_read(store, XBT_NULL, path, NULL);
	gboolean closed = !state || !strcmp(state, "6"), alone = state && !strcmp(state, "1"), asked = state && !strcmp(state, "5");

	free(state);
	if (closed || (asked && !force))
		return closed;
	write_key(store, dir, "online", "0");
	write_key(store, dir, "state", force || alone ? "6" : "5");
	return force || alone;
}

static gboolean close_back_ends(struct xs_handle *store, guint id, gboolean force)
{
	static const char *const kinds[] = { "vdispl", "vinput", "vsnd" };
	gboolean closed = TRUE;

	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *dir = g_strdup_printf("/local/domain/0/backend/%s/%u", kinds[i], id);
		unsigned n = 0;
		char **devices = xs_directory(store, XBT_NULL, dir, &n);

		for (unsigned d = 0; d < n; d++) {
			g_autofree char *device = g_strdup_printf("%s/%s", dir, devices[d]);

			closed &= close_back_end(store, device, force);
		}
		free(devices);
	}
	return closed;
}

void hv_xl_disconnect(struct xs_handle *store, guint id)
{
	gint64 end = g_get_monotonic_time() + CLOSE_LIMIT * G_USEC_PER_SEC;

	while (!close_back_ends(store, id, FALSE)) {
		if (g_get_monotonic_time() > end) {
			close_back_ends(store, id, TRUE);
			return;
		}
		g_usleep(20000);
	}
}
