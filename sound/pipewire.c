// SPDX-License-Identifier: Apache-2.0
/*
 * The player on PipeWire: a stream a voice, in the main thread. There is no connection before the first voice runs; while there
 * is none, or nothing drives a stream, a clock keeps the guest's time. When nothing runs nothing wakes up.
 */
#include "clock.h"
#include "player.h"

#include <errno.h>
#include <glib-unix.h>
#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>
#include <sys/syscall.h>

#define CONFIG "carrel-sound.conf"
/* While a voice runs and PipeWire is away. */
#define AGAIN_SECONDS 2

/* Its loops and threads, and its socket again when it comes back. The unit leaves AF_UNIX alone of all families. */
const int player_pipewire_calls[] = {
	SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
	SYS_socket, SYS_connect, SYS_getsockopt, SYS_setsockopt, SYS_clone, SYS_clone3, SYS_prctl, -1,
};

struct pw_player {
	struct player base;
	char *name, *title;
	struct pw_loop *loop;
	guint source, again, dropping;
	struct pw_context *context;
	struct spa_handle *converter; /* loaded before the sandbox, for all streams */
	struct pw_core *core;
	struct spa_hook hook;
	GPtrArray *voices;
};

struct pw_voice {
	struct voice base;
	struct voice_spec spec;
	const struct voice_owner *owner;
	void *data;
	struct pw_stream *stream;
	struct spa_hook hook;
	struct clock clock;
	bool running, driven;
};

static struct pw_player *of_player(struct player *player)
{
	return (struct pw_player *)player;
}

static struct pw_player *player_of(const struct pw_voice *v)
{
	return of_player(v->base.player);
}

/* A voice. */

static void on_tick(void *data, uint32_t frames)
{
	struct pw_voice *v = data;

	if (v->spec.record)
		v->owner->record(v->data, NULL, frames);
	else
		v->owner->play(v->data, NULL, frames);
}

static void follow_clock(struct pw_voice *v)
{
	if (v->running && !v->driven)
		clock_start(&v->clock, v->spec.rate, v->spec.latency, on_tick, v);
	else
		clock_stop(&v->clock);
}

static void on_state(void *data, enum pw_stream_state old, enum pw_stream_state state, const char *error)
{
	struct pw_voice *v = data;

	(void)old;
	if (state == PW_STREAM_STATE_ERROR)
		g_warning("PipeWire: %s", error ? error : "no reason given");
	v->driven = state == PW_STREAM_STATE_STREAMING;
	follow_clock(v);
}

/* How many bytes of the buffer are sound. */
static uint32_t exchange(struct pw_voice *v, struct spa_data *d, uint64_t requested)
{
	uint32_t frame = v->spec.format->bytes * v->spec.channels, offset, n;

	if (v->spec.record) {
		offset = MIN(d->chunk->offset, d->maxsize);
		n = MIN(d->chunk->size, d->maxsize - offset) / frame;
		if (n && v->running)
			v->owner->record(v->data, SPA_PTROFF(d->data, offset, void), n);
		return n * frame;
	}
	n = d->maxsize / frame;
	if (requested)
		n = (uint32_t)MIN(n, requested);
	if (n && v->running)
		v->owner->play(v->data, d->data, n);
	else
		n = 0;
	return n * frame;
}

static void on_process(void *data)
{
	struct pw_voice *v = data;
	struct pw_buffer *buffer = pw_stream_dequeue_buffer(v->stream);
	struct spa_data *d;

	if (!buffer)
		return;
	d = &buffer->buffer->datas[0];
	if (d->data && !v->spec.record) {
		d->chunk->size = exchange(v, d, buffer->requested);
		d->chunk->offset = 0;
		d->chunk->stride = (int32_t)(v->spec.format->bytes * v->spec.channels);
	} else if (d->data) {
		exchange(v, d, 0);
	}
	pw_stream_queue_buffer(v->stream, buffer);
}

static const struct pw_stream_events stream_events = {
	PW_VERSION_STREAM_EVENTS, .state_changed = on_state, .process = on_process,
};

/* As ALSA orders its channels. */
static void set_positions(struct spa_audio_info_raw *info)
{
	static const uint32_t order[] = {SPA_AUDIO_CHANNEL_FL, SPA_AUDIO_CHANNEL_FR, SPA_AUDIO_CHANNEL_RL, SPA_AUDIO_CHANNEL_RR,
					 SPA_AUDIO_CHANNEL_FC, SPA_AUDIO_CHANNEL_LFE, SPA_AUDIO_CHANNEL_SL, SPA_AUDIO_CHANNEL_SR};

	if (info->channels == 1)
		info->position[0] = SPA_AUDIO_CHANNEL_MONO;
	else if (info->channels % 2 == 0)
		memcpy(info->position, order, info->channels * sizeof(*order));
	else
		info->flags |= SPA_AUDIO_FLAG_UNPOSITIONED;
}

static struct pw_properties *properties_of(const struct pw_voice *v)
{
	const struct pw_player *p = player_of(v);
	struct pw_properties *props = pw_properties_new(
		PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, v->spec.record ? "Capture" : "Playback",
		PW_KEY_APP_NAME, p->title, PW_KEY_APP_ID, "org.carrel.sound", PW_KEY_NODE_DESCRIPTION, p->title,
		PW_KEY_MEDIA_NAME, v->spec.record ? "Microphone" : "Sound", "carrel.vm", p->name, NULL);

	pw_properties_setf(props, PW_KEY_NODE_NAME, "carrel.%s.%s", p->name, v->spec.record ? "record" : "play");
	pw_properties_setf(props, PW_KEY_NODE_LATENCY, "%u/%u", v->spec.latency, v->spec.rate);
	return props;
}

static void drop_stream(struct pw_voice *v)
{
	if (v->stream) {
		spa_hook_remove(&v->hook);
		pw_stream_destroy(v->stream);
	}
	v->stream = NULL;
	v->driven = false;
}

static void make_stream(struct pw_voice *v)
{
	struct spa_audio_info_raw info = SPA_AUDIO_INFO_RAW_INIT(.format = v->spec.format->spa, .rate = v->spec.rate,
								 .channels = v->spec.channels);
	uint8_t space[1024];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(space, sizeof(space));
	const struct spa_pod *param;
	int rc;

	set_positions(&info);
	param = spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &info);
	v->stream = pw_stream_new(player_of(v)->core, "carrel", properties_of(v));
	if (!v->stream)
		return;
	pw_stream_add_listener(v->stream, &v->hook, &stream_events, v);
	rc = pw_stream_connect(v->stream, v->spec.record ? PW_DIRECTION_INPUT : PW_DIRECTION_OUTPUT, PW_ID_ANY,
			       PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_INACTIVE, &param, 1);
	if (rc >= 0)
		return;
	g_warning("PipeWire takes no stream: %s", g_strerror(-rc));
	drop_stream(v);
}

/* The connection. */

static bool wanted(const struct pw_player *p)
{
	for (guint i = 0; i < p->voices->len; i++) {
		const struct pw_voice *v = g_ptr_array_index(p->voices, i);

		if (v->running && !v->spec.silent)
			return true;
	}
	return false;
}

static void drop_connection(struct pw_player *p)
{
	for (guint i = 0; i < p->voices->len; i++) {
		drop_stream(g_ptr_array_index(p->voices, i));
		follow_clock(g_ptr_array_index(p->voices, i));
	}
	g_clear_handle_id(&p->dropping, g_source_remove);
	if (!p->core)
		return;
	spa_hook_remove(&p->hook);
	pw_core_disconnect(p->core);
	p->core = NULL;
}

static gboolean on_again(gpointer data);

static gboolean on_lost(gpointer data)
{
	struct pw_player *p = data;

	p->dropping = 0;
	g_message("PipeWire is gone; the guest's sound goes on in silence");
	drop_connection(p);
	if (wanted(p) && !p->again)
		p->again = g_timeout_add_seconds(AGAIN_SECONDS, on_again, p);
	return G_SOURCE_REMOVE;
}

/* Not at once: this is called out of the connection. */
static void on_core_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct pw_player *p = data;

	(void)seq;
	if (id == PW_ID_CORE && res == -EPIPE) {
		if (!p->dropping)
			p->dropping = g_idle_add(on_lost, p);
		return;
	}
	g_message("PipeWire, object %u: %s: %s", id, g_strerror(-res), message);
}

static const struct pw_core_events core_events = {PW_VERSION_CORE_EVENTS, .error = on_core_error};

static bool connected(struct pw_player *p)
{
	if (p->core || !p->context)
		return p->core && !p->dropping;
	p->core = pw_context_connect(p->context, NULL, 0);
	if (p->core)
		pw_core_add_listener(p->core, &p->hook, &core_events, p);
	return p->core;
}

static void play_on(struct pw_voice *v)
{
	struct pw_player *p = player_of(v);

	if (v->running && !v->spec.silent && connected(p) && !v->stream)
		make_stream(v);
	if (v->stream)
		pw_stream_set_active(v->stream, v->running);
	if (v->running && !v->spec.silent && !p->core && p->context && !p->again)
		p->again = g_timeout_add_seconds(AGAIN_SECONDS, on_again, p);
	follow_clock(v);
}

static gboolean on_again(gpointer data)
{
	struct pw_player *p = data;

	if (wanted(p) && !connected(p))
		return G_SOURCE_CONTINUE;
	p->again = 0;
	for (guint i = 0; i < p->voices->len; i++)
		play_on(g_ptr_array_index(p->voices, i));
	return G_SOURCE_REMOVE;
}

/* The seam. */

static struct voice *voice_open(struct player *player, const struct voice_spec *spec, const struct voice_owner *owner, void *data)
{
	struct pw_voice *v = g_new0(struct pw_voice, 1);

	v->base.player = player;
	v->spec = *spec;
	v->owner = owner;
	v->data = data;
	g_ptr_array_add(of_player(player)->voices, v);
	return &v->base;
}

static void voice_run(struct pw_voice *v, bool on)
{
	v->running = on;
	play_on(v);
}

static void voice_start(struct voice *voice)
{
	voice_run((struct pw_voice *)voice, true);
}

static void voice_stop(struct voice *voice)
{
	voice_run((struct pw_voice *)voice, false);
}

static void voice_close(struct voice *voice)
{
	struct pw_voice *v = (struct pw_voice *)voice;

	v->running = false;
	clock_stop(&v->clock);
	drop_stream(v);
	g_ptr_array_remove_fast(player_of(v)->voices, v);
	g_free(v);
}

static void player_free(struct player *player)
{
	struct pw_player *p = of_player(player);

	drop_connection(p);
	g_clear_handle_id(&p->again, g_source_remove);
	g_clear_handle_id(&p->source, g_source_remove);
	if (p->converter)
		pw_unload_spa_handle(p->converter);
	if (p->context)
		pw_context_destroy(p->context);
	if (p->loop)
		pw_loop_destroy(p->loop);
	g_ptr_array_unref(p->voices);
	g_free(p->name);
	g_free(p->title);
	g_free(p);
	pw_deinit();
}

static const struct player_ops ops = {
	.open = voice_open, .start = voice_start, .stop = voice_stop, .close = voice_close, .free = player_free,
};

static gboolean on_loop(int fd, GIOCondition condition, gpointer data)
{
	struct pw_player *p = data;

	(void)fd, (void)condition;
	pw_loop_enter(p->loop);
	pw_loop_iterate(p->loop, 0);
	pw_loop_leave(p->loop);
	return G_SOURCE_CONTINUE;
}

struct player *player_pipewire_new(const char *name, const char *title)
{
	struct pw_player *p = g_new0(struct pw_player, 1);

	p->base.ops = &ops;
	p->name = g_strdup(name);
	p->title = g_strdup(title);
	p->voices = g_ptr_array_new();
	pw_init(NULL, NULL);
	p->loop = pw_loop_new(NULL);
	if (p->loop)
		p->context = pw_context_new(p->loop, pw_properties_new(PW_KEY_CONFIG_NAME, CONFIG, NULL), 0);
	if (!p->context) {
		g_warning("PipeWire's client library does not start (%s): is libpipewire-0.3-modules installed, and %s in a place "
			  "that it knows? The guest's sound is not heard", g_strerror(errno), CONFIG);
		return &p->base;
	}
	p->source = g_unix_fd_add(pw_loop_get_fd(p->loop), G_IO_IN | G_IO_ERR | G_IO_HUP, on_loop, p);
	p->converter = pw_context_load_spa_handle(p->context, "audio.convert", NULL);
	return &p->base;
}
