// SPDX-License-Identifier: Apache-2.0
/* The sound back end against a front end that does what Linux's does, and against hostile ones. */
#include "fake_player.h"
#include "front_sound.h"
#include "sound.h"

#include <string.h>
#include <xen/errno.h>

#define BACK   FAKE_BACK "/vsnd/7/0"
#define FRONT  FAKE_FRONT "/vsnd/0"
#define FRAMES 4096u
#define S16    XENSND_PCM_FORMAT_S16_LE

struct fixture {
	struct fake *fake;
	struct fake_player player;
	struct sound *sound;
	struct front_card front;
	bool ended;
	size_t idle; /* pages mapped while connected with nothing open */
};

static void on_ended(void *data, const char *problem)
{
	struct fixture *t = data;

	g_assert_null(problem);
	t->ended = true;
}

static void start(struct fixture *t)
{
	t->sound = sound_new(fake_xen(t->fake), FAKE_DOMID, &t->player.base, on_ended, t);
}

static void stop(struct fixture *t)
{
	sound_free(g_steal_pointer(&t->sound));
	g_assert_cmpuint(fake_voices(&t->player), ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
	g_assert_cmpuint(fake_bound(t->fake), ==, 0);
}

static void setup(struct fixture *t, gconstpointer allow)
{
	memset(t, 0, sizeof(*t));
	t->fake = fake_new(2000);
	fake_player_init(&t->player);
	front_card_add(t->fake);
	if (allow)
		fake_write(t->fake, allow, BACK "/carrel-allow");
	start(t);
}

static void setup_connected(struct fixture *t, gconstpointer allow)
{
	setup(t, allow);
	front_card_connect(&t->front, t->fake);
	t->idle = fake_mapped(t->fake);
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	if (t->sound)
		stop(t);
	fake_free(t->fake);
}

static void allow(struct fixture *t, const char *words)
{
	fake_write(t->fake, words, BACK "/carrel-allow");
	fake_settle(5);
}

static bool recording_is(struct fixture *t, const char *value)
{
	return !g_strcmp0(fake_read(t->fake, BACK "/carrel-recording"), value);
}

static void assert_recording(struct fixture *t, const char *value)
{
	g_assert_cmpstr(fake_read(t->fake, BACK "/carrel-recording"), ==, value);
}

/* It goes out a moment later. */
static void assert_goes_out(struct fixture *t)
{
	assert_recording(t, "1");
	fake_until(recording_is(t, "0"));
}

static void open_and_start(struct fixture *t, unsigned stream)
{
	g_assert_cmpint(front_sound_open(&t->front, stream, S16, 2, 48000, FRAMES, 4), ==, 0);
	g_assert_cmpint(front_sound_trigger(&t->front, stream, XENSND_OP_TRIGGER_START), ==, 0);
}

/* As a driver's device would: asks for frames, and lets the front end hear of it. */
static void play(struct fixture *t, uint8_t *to, uint32_t frames)
{
	struct fake_voice *v = fake_voice(&t->player, false);

	g_assert_nonnull(v);
	g_assert_true(v->running);
	v->owner->play(v->data, to, frames);
	front_sound_events(&t->front, 0);
}

static void record(struct fixture *t, const uint8_t *from, uint32_t frames)
{
	struct fake_voice *v = fake_voice(&t->player, true);

	g_assert_nonnull(v);
	g_assert_true(v->running);
	v->owner->record(v->data, from, frames);
	front_sound_events(&t->front, 1);
}

static void assert_all(const uint8_t *bytes, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		g_assert_cmpuint(bytes[i], ==, value);
}

/* Writes frames from offset (in frames) on, every byte the same. */
static void fill(struct fixture *t, uint32_t offset, uint32_t frames, uint8_t value)
{
	memset(t->front.stream[0].buffer + offset * 4, value, frames * 4);
	g_assert_cmpint(front_sound_move(&t->front, 0, offset * 4, frames * 4), ==, 0);
}

/* -- coming and going ------------------------------------------------------------------------------------------------- */

static void test_handshake(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 2);
	g_assert_cmpstr(fake_read(t->fake, BACK "/versions"), ==, "1,2");
	front_card_connect(&t->front, t->fake);
	g_assert_cmpuint(fake_bound(t->fake), ==, 4);
	g_assert_cmpuint(fake_voices(&t->player), ==, 0);
	assert_recording(t, "0");
}

static void test_bad_cards(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const struct {
		const char *key, *value;
	} bad[] = {{"0/0/type", "x"}, {"0/0/ring-ref", "-1"}, {"0/0/ring-ref", "99999"}, {"0/1/evt-ring-ref", ""}, {"0/1/event-channel", "63"},
		   {"0/1/evt-event-channel", "4294967296"}, {"0/0/evt-ring-ref", NULL}, {"0/0/type", NULL}};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 2);
		front_card_publish(&t->front, t->fake);
		fake_write(t->fake, bad[i].value, FRONT "/%s", bad[i].key);
		fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 6);
		g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
		g_assert_cmpuint(fake_bound(t->fake), ==, 0);
		for (unsigned s = 0; s < FRONT_STREAMS; s++) {
			fake_close_port(t->fake, t->front.stream[s].ring_port);
			fake_close_port(t->fake, t->front.stream[s].event_port);
		}
		fake_write(t->fake, "p", FRONT "/0/0/type");
		fake_write(t->fake, "c", FRONT "/0/1/type");
		fake_write(t->fake, "1", FRONT "/state");
	}
	front_card_connect(&t->front, t->fake);
}

static void test_too_many_streams(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 2);
	front_card_publish(&t->front, t->fake);
	for (unsigned i = 2; i < 100; i++)
		fake_write(t->fake, "p", FRONT "/0/%u/type", i);
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 6);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
}

static void test_front_closes(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 0);
	open_and_start(t, 1);
	assert_recording(t, "1");
	fake_write(t->fake, "5", FRONT "/state");
	fake_until(!fake_mapped(t->fake));
	g_assert_cmpuint(fake_voices(&t->player), ==, 0);
	g_assert_cmpuint(fake_bound(t->fake), ==, 0);
	assert_goes_out(t);
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 2); /* the driver waits for that when it is unloaded */
	fake_write(t->fake, "1", FRONT "/state");
	front_card_connect(&t->front, t->fake);
	open_and_start(t, 0);
}

static void test_taken_away(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 1);
	fake_write(t->fake, "0", BACK "/online");
	fake_write(t->fake, "5", BACK "/state");
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 6);
	g_assert_cmpuint(fake_voices(&t->player), ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, 0);
	fake_write(t->fake, NULL, BACK);
	fake_settle(20);
	assert_recording(t, NULL); /* the directory is not made again */
	front_card_add(t->fake);
	front_card_connect(&t->front, t->fake);
}

static void test_removed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 1);
	fake_write(t->fake, NULL, BACK);
	fake_until(!fake_mapped(t->fake));
	fake_settle(20);
	assert_recording(t, NULL);
}

static void test_vanishes(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 0);
	open_and_start(t, 1);
	fake_kill(t->fake);
	fake_until(t->ended);
	stop(t);
}

/* Killed and started again: the sign goes out, and the front end starts over. */
static void test_killed(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 1);
	stop(t);
	assert_recording(t, "0"); /* who ends takes the sign away */
	fake_write(t->fake, "1", BACK "/carrel-recording"); /* who is killed cannot */
	start(t);
	fake_until(fake_state(t->fake, FAKE_BACK, "vsnd") == 6);
	assert_recording(t, "0");
	fake_write(t->fake, "1", FRONT "/state");
	front_card_connect(&t->front, t->fake);
	open_and_start(t, 1);
	assert_recording(t, "1");
}

/* -- playing ---------------------------------------------------------------------------------------------------------- */

static void test_play(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t heard[FRAMES * 4];
	struct fake_voice *v;

	g_assert_cmpint(front_sound_open(&t->front, 0, S16, 2, 44100, FRAMES, 4), ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, t->idle + 4);
	g_assert_cmpuint(fake_voices(&t->player), ==, 0); /* not before it starts */
	fill(t, 0, 2048, 0x11);
	fill(t, 2048, 2048, 0x22);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_START), ==, 0);
	v = fake_voice(&t->player, false);
	g_assert_cmpuint(v->spec.rate, ==, 44100);
	g_assert_cmpuint(v->spec.channels, ==, 2);
	g_assert_cmpuint(v->spec.latency, ==, 1024);
	g_assert_cmpuint(v->spec.format->sndif, ==, S16);
	g_assert_false(v->spec.silent);
	play(t, heard, 3000);
	assert_all(heard, 2048 * 4, 0x11);
	assert_all(heard + 2048 * 4, 952 * 4, 0x22);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 2999);
	fill(t, 0, 2000, 0x33);
	play(t, heard, 3096); /* round the end */
	assert_all(heard, 1096 * 4, 0x22);
	assert_all(heard + 1096 * 4, 2000 * 4, 0x33);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 1999);
	play(t, heard, 500); /* nothing new: silence, no echo */
	assert_all(heard, 500 * 4, 0);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 2499);
	play(t, NULL, 100000); /* more than the buffer */
	assert_recording(t, "0");
}

static void test_unsigned_silence(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t heard[100];

	g_assert_cmpint(front_sound_open(&t->front, 0, XENSND_PCM_FORMAT_U8, 1, 8000, FRAMES, 1), ==, 0);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_START), ==, 0);
	play(t, heard, sizeof(heard));
	assert_all(heard, sizeof(heard), 0x80);
}

/* The driver sees each period, also when a device takes exactly one at a time. */
static void test_periods(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 0);
	for (unsigned i = 0; i < 10; i++) {
		play(t, NULL, FRAMES / 4);
		g_assert_cmpuint(t->front.stream[0].elapsed, ==, i);
	}
}

static void test_stop_and_start(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_stream *s = &t->front.stream[0];
	uint8_t heard[400];

	open_and_start(t, 0);
	fill(t, 0, FRAMES, 0x44);
	play(t, NULL, 1000);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_STOP), ==, 0);
	g_assert_false(fake_voice(&t->player, false)->running);
	front_sound_events(&t->front, 0);
	g_assert_cmpuint(s->hw, ==, 0); /* ALSA begins at the beginning, and so has the driver to */
	fill(t, 0, 100, 0x55);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_START), ==, 0);
	play(t, heard, 100);
	assert_all(heard, 400, 0x55);
	g_assert_cmpuint(s->hw, ==, 99);
	play(t, heard, 100); /* what was left of the first time is not heard */
	assert_all(heard, 400, 0);
	g_assert_cmpuint(t->player.opened, ==, 1); /* one node for all of it */
}

static void test_pause(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t heard[400];

	open_and_start(t, 0);
	fill(t, 0, 100, 0x66);
	fill(t, 100, 100, 0x77);
	play(t, heard, 100);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_PAUSE), ==, 0);
	g_assert_false(fake_voice(&t->player, false)->running);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_RESUME), ==, 0);
	play(t, heard, 100);
	assert_all(heard, 400, 0x77);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 199);
}

/* -- recording and permission ----------------------------------------------------------------------------------------- */

static void test_record(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t said[FRAMES * 4];
	const uint8_t *buffer;

	g_assert_cmpint(front_sound_open(&t->front, 1, S16, 2, 48000, FRAMES, 4), ==, 0);
	assert_recording(t, "0"); /* open is not recording */
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_START), ==, 0);
	assert_recording(t, "1");
	buffer = t->front.stream[1].buffer;
	memset(said, 0x12, sizeof(said));
	record(t, said, 4000);
	g_assert_cmpuint(t->front.stream[1].hw, ==, 3999);
	g_assert_cmpint(front_sound_move(&t->front, 1, 0, 3999 * 4), ==, 0);
	assert_all(buffer, 16000, 0x12);
	memset(said, 0x34, sizeof(said));
	record(t, said, 196);
	assert_all(buffer + 16000, 384, 0x34);
	assert_all(buffer, 400, 0x34);
	assert_all(buffer + 400, 15600, 0x12);
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_STOP), ==, 0);
	assert_goes_out(t);
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_START), ==, 0);
	assert_recording(t, "1");
	g_assert_cmpint(front_sound_close(&t->front, 1), ==, 0);
	g_assert_cmpint(front_sound_open(&t->front, 1, S16, 2, 48000, FRAMES, 4), ==, 0);
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_START), ==, 0);
	fake_settle(1200); /* begun again in time, it doesn't */
	assert_recording(t, "1");
	g_assert_cmpint(front_sound_close(&t->front, 1), ==, 0);
	assert_goes_out(t);
}

static void test_record_refused(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpint(front_sound_open(&t->front, 1, S16, 2, 48000, FRAMES, 4), ==, -XEN_EACCES);
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_START), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_move(&t->front, 1, 0, 4), ==, -XEN_EINVAL);
	g_assert_cmpuint(t->player.opened, ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, t->idle);
	assert_recording(t, "0");
	open_and_start(t, 0); /* to be heard is another matter */
}

static void test_nothing_permitted(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	for (unsigned i = 0; i < FRONT_STREAMS; i++)
		g_assert_cmpint(front_sound_open(&t->front, i, S16, 2, 48000, FRAMES, 4), ==, -XEN_EACCES);
}

static void test_play_refused(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpint(front_sound_open(&t->front, 0, S16, 2, 48000, FRAMES, 4), ==, -XEN_EACCES);
	open_and_start(t, 1);
	assert_recording(t, "1");
}

static void test_record_revoked(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t said[400];

	open_and_start(t, 1);
	memset(said, 0x12, sizeof(said));
	record(t, said, 100);
	allow(t, "play");
	g_assert_true(fake_voice(&t->player, true)->spec.silent); /* PipeWire's is closed */
	assert_goes_out(t);
	g_assert_cmpuint(fake_voices(&t->player), ==, 1);
	record(t, NULL, 100);
	assert_all(t->front.stream[1].buffer + 400, 400, 0);
	allow(t, "play,record");
	assert_recording(t, "1");
	g_assert_false(fake_voice(&t->player, true)->spec.silent);
	record(t, said, 100);
	assert_all(t->front.stream[1].buffer + 800, 400, 0x12);
	g_assert_cmpuint(t->front.stream[1].hw, ==, 299);
	g_assert_cmpint(front_sound_close(&t->front, 1), ==, 0);
	allow(t, "play");
	g_assert_cmpint(front_sound_open(&t->front, 1, S16, 2, 48000, FRAMES, 4), ==, -XEN_EACCES);
}

static void test_revoked_while_stopped(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 1);
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_STOP), ==, 0);
	allow(t, "play");
	g_assert_cmpint(front_sound_trigger(&t->front, 1, XENSND_OP_TRIGGER_START), ==, 0);
	g_assert_true(fake_voice(&t->player, true)->spec.silent);
	assert_goes_out(t);
}

static void test_mute(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 0);
	open_and_start(t, 1);
	allow(t, "play,record,mute");
	g_assert_true(fake_voice(&t->player, false)->spec.silent);
	g_assert_true(fake_voice(&t->player, false)->running);
	g_assert_false(fake_voice(&t->player, true)->spec.silent);
	allow(t, "play,record");
	g_assert_false(fake_voice(&t->player, false)->spec.silent);
	g_assert_cmpuint(fake_voices(&t->player), ==, 2);
	allow(t, "nonsense,, play");
	g_assert_true(fake_voice(&t->player, false)->spec.silent);
	g_assert_true(fake_voice(&t->player, true)->spec.silent);
	assert_goes_out(t);
}

/* -- bad input -------------------------------------------------------------------------------------------------------- */

static void test_bad_opens(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const struct {
		struct xensnd_open_req open;
		int status;
	} bad[] = {
		{{48000, S16, 2, 0, 1 << 20 | 4, 0, 4096}, -XEN_E2BIG},
		{{48000, S16, 2, 0, UINT32_MAX, 0, 4096}, -XEN_E2BIG},
		{{48000, S16, 2, 0, 0, 0, 0}, -XEN_EINVAL},
		{{48000, S16, 2, 0, 4, 0, 0}, -XEN_EINVAL},
		{{48000, S16, 2, 0, 16385, 0, 4096}, -XEN_EINVAL},
		{{48000, S16, 2, 0, 16384, 0, 16385}, -XEN_EINVAL},
		{{48000, S16, 0, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{48000, S16, 9, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{48000, S16, 255, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{0, S16, 2, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{7999, S16, 2, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{UINT32_MAX, S16, 2, 0, 16384, 0, 4096}, -XEN_EINVAL},
		{{48000, XENSND_PCM_FORMAT_MPEG, 2, 0, 16384, 0, 4096}, -XEN_EOPNOTSUPP},
		{{48000, 255, 2, 0, 16384, 0, 4096}, -XEN_EOPNOTSUPP},
		{{48000, S16, 2, 0, 16384, 0, 4096}, -XEN_EINVAL},      /* no directory */
		{{48000, S16, 2, 0, 16384, 0xffffff, 4096}, -XEN_EFAULT}, /* nor a grant */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct xensnd_req req = {.operation = XENSND_OP_OPEN, .op.open = bad[i].open};

		g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, bad[i].status);
		g_assert_cmpuint(fake_mapped(t->fake), ==, t->idle);
	}
	open_and_start(t, 0);
}

/* A directory whose pages are granted but for the last. */
static void test_bad_page(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint32_t *directory = fake_alloc(t->fake, 1), ref = fake_grant(t->fake, directory);
	struct xensnd_req req = {.operation = XENSND_OP_OPEN, .op.open = {48000, S16, 2, 0, 16384, ref, 4096}};

	for (unsigned i = 1; i < 4; i++)
		directory[i] = fake_grant(t->fake, fake_alloc(t->fake, 1));
	directory[4] = 77777;
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, -XEN_EFAULT);
	g_assert_cmpuint(fake_mapped(t->fake), ==, t->idle);
}

static void test_open_twice(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	uint8_t heard[400];
	uint8_t *first;

	open_and_start(t, 0);
	fill(t, 0, 100, 0x11);
	first = t->front.stream[0].buffer;
	g_assert_cmpint(front_sound_open(&t->front, 0, S16, 2, 48000, FRAMES, 4), ==, -XEN_EBUSY);
	memset(first, 0x22, 400);
	play(t, heard, 100);
	assert_all(heard, 400, 0x22); /* of the first buffer */
}

static void test_out_of_order(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct xensnd_req read = {.operation = XENSND_OP_READ, .op.rw = {0, 4}}, odd = {.operation = 0x77};
	struct xensnd_req volume = {.operation = XENSND_OP_SET_VOLUME};

	g_assert_cmpint(front_sound_move(&t->front, 0, 0, 4), ==, -XEN_EINVAL);
	for (unsigned type = 0; type < 256; type++)
		g_assert_cmpint(front_sound_trigger(&t->front, 0, (uint8_t)type), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_close(&t->front, 0), ==, 0); /* the driver does that */
	g_assert_cmpint(front_sound_open(&t->front, 0, S16, 2, 48000, FRAMES, 4), ==, 0);
	g_assert_cmpint(front_sound_do(&t->front, 0, &read), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_do(&t->front, 0, &odd), ==, -XEN_EOPNOTSUPP);
	g_assert_cmpint(front_sound_do(&t->front, 0, &volume), ==, -XEN_EOPNOTSUPP);
	g_assert_cmpint(front_sound_trigger(&t->front, 0, 4), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_move(&t->front, 0, FRAMES * 4, 0), ==, 0);
	g_assert_cmpint(front_sound_move(&t->front, 0, FRAMES * 4, 1), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_move(&t->front, 0, FRAMES * 4 + 1, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_move(&t->front, 0, 4, UINT32_MAX), ==, -XEN_EINVAL);
	g_assert_cmpint(front_sound_move(&t->front, 0, UINT32_MAX, 4), ==, -XEN_EINVAL);
}

static void test_close_while_playing(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	open_and_start(t, 0);
	fill(t, 0, FRAMES, 0x11);
	play(t, NULL, 10);
	g_assert_cmpint(front_sound_close(&t->front, 0), ==, 0);
	g_assert_cmpuint(fake_voices(&t->player), ==, 0);
	g_assert_cmpuint(fake_mapped(t->fake), ==, t->idle);
	g_assert_cmpint(front_sound_close(&t->front, 0), ==, 0);
}

/* Positions that the driver did not take before it closed are not taken for those of the next stream. */
static void test_stale_events(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct fake_voice *v;

	open_and_start(t, 0);
	play(t, NULL, 100);
	v = fake_voice(&t->player, false);
	v->owner->play(v->data, NULL, 777); /* not taken */
	g_assert_cmpint(front_sound_close(&t->front, 0), ==, 0);
	open_and_start(t, 0);
	front_sound_events(&t->front, 0);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 0);
	play(t, NULL, 10);
	g_assert_cmpuint(t->front.stream[0].hw, ==, 9);
}

static void test_events_not_taken(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_stream *s = &t->front.stream[0];
	struct fake_voice *v;

	open_and_start(t, 0);
	v = fake_voice(&t->player, false);
	for (unsigned i = 0; i < 1000; i++)
		v->owner->play(v->data, NULL, 10);
	g_assert_cmpuint(s->events->in_prod, ==, XENSND_IN_RING_LEN);
	front_sound_events(&t->front, 0);
	play(t, NULL, 10);
	g_assert_cmpuint(s->hw, ==, 10009 % FRAMES);
	s->events->in_cons = 0x80000000; /* a lie */
	v->owner->play(v->data, NULL, 10);
}

static void test_start_flood(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < 60; i++) {
		struct xensnd_req open = {.operation = XENSND_OP_OPEN};

		if (!i)
			g_assert_cmpint(front_sound_open(&t->front, 0, S16, 2, 48000, FRAMES, 4), ==, 0);
		open.op.open = (struct xensnd_open_req){48000, S16, 2, 0, FRAMES * 4, t->front.stream[0].directory, 4096};
		if (i)
			g_assert_cmpint(front_sound_do(&t->front, 0, &open), ==, 0);
		refused += front_sound_trigger(&t->front, 0, XENSND_OP_TRIGGER_START) == -XEN_EBUSY;
		g_assert_cmpint(front_sound_close(&t->front, 0), ==, 0);
	}
	g_assert_cmpuint(refused, >, 0);
	g_assert_cmpuint(t->player.opened, ==, 60 - refused);
}

static void test_ring_flood(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_stream *s = &t->front.stream[0];
	struct xensnd_req req = {.operation = 0x55};

	for (unsigned round = 0; round < 50; round++) {
		uint32_t free = RING_SIZE(&s->ring) - (s->ring.req_prod_pvt - guest_read(s->ring.sring->rsp_prod));

		for (uint32_t i = 0; i < free; i++)
			front_sound_push(&t->front, 0, &req);
		fake_turn();
	}
	fake_until(guest_read(s->ring.sring->rsp_prod) == s->ring.req_prod_pvt);
}

static void test_mad_ring(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct front_stream *s = &t->front.stream[0];

	s->ring.sring->req_prod = 5000;
	fake_ring(t->fake, s->ring_port);
	fake_settle(10);
	g_assert_cmpuint(s->ring.sring->rsp_prod, ==, 0);
	open_and_start(t, 1); /* the other goes on */
}

static void test_query(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	struct xensnd_req req = {.operation = XENSND_OP_HW_PARAM_QUERY};
	const struct xensnd_query_hw_param *got = &t->front.stream[0].last.resp.hw_param;

	req.op.hw_param = (struct xensnd_query_hw_param){.formats = ~0ull, .rates = {0, UINT32_MAX}, .channels = {0, UINT32_MAX},
							 .buffer = {0, UINT32_MAX}, .period = {0, UINT32_MAX}};
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, 0);
	g_assert_cmpuint(got->formats & 1 << S16, !=, 0);
	g_assert_cmpuint(got->formats & 1 << XENSND_PCM_FORMAT_MPEG, ==, 0);
	g_assert_cmpuint(got->rates.min, ==, 8000);
	g_assert_cmpuint(got->rates.max, ==, 192000);
	g_assert_cmpuint(got->channels.min, ==, 1);
	g_assert_cmpuint(got->channels.max, ==, 8);
	g_assert_cmpuint(got->buffer.max, ==, 1 << 20);
	g_assert_cmpuint(got->period.min, ==, 128);
	req.op.hw_param.formats = 1 << S16;
	req.op.hw_param.channels.min = 2;
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, 0);
	g_assert_cmpuint(got->formats, ==, 1 << S16);
	g_assert_cmpuint(got->buffer.max, ==, 1 << 18);
	req.op.hw_param.channels.min = 9;
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, -XEN_EINVAL);
	req.op.hw_param.channels.min = 1;
	req.op.hw_param.formats = 1 << XENSND_PCM_FORMAT_MPEG;
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, -XEN_EINVAL);
	req.op.hw_param.formats = 1 << S16;
	req.op.hw_param.rates.min = 96000;
	req.op.hw_param.rates.max = 48000;
	g_assert_cmpint(front_sound_do(&t->front, 0, &req), ==, -XEN_EINVAL);
}

#define ADD(name, allow) g_test_add("/sound/" #name, struct fixture, allow, setup_connected, test_##name, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/sound/handshake", struct fixture, NULL, setup, test_handshake, teardown);
	g_test_add("/sound/bad_cards", struct fixture, NULL, setup, test_bad_cards, teardown);
	g_test_add("/sound/too_many_streams", struct fixture, NULL, setup, test_too_many_streams, teardown);
	ADD(front_closes, "play,record");
	ADD(taken_away, "play,record");
	ADD(removed, "play,record");
	ADD(vanishes, "play,record");
	ADD(killed, "record");
	ADD(play, "play");
	ADD(unsigned_silence, "play");
	ADD(periods, "play");
	ADD(stop_and_start, "play");
	ADD(pause, "play");
	ADD(record, "record");
	ADD(record_refused, "play");
	ADD(nothing_permitted, NULL);
	ADD(play_refused, "record");
	ADD(record_revoked, "play,record");
	ADD(revoked_while_stopped, "play,record");
	ADD(mute, "play,record");
	ADD(bad_opens, "play");
	ADD(bad_page, "play");
	ADD(open_twice, "play");
	ADD(out_of_order, "play");
	ADD(close_while_playing, "play");
	ADD(stale_events, "play");
	ADD(events_not_taken, "play");
	ADD(start_flood, "play");
	ADD(ring_flood, "play");
	ADD(mad_ring, "play,record");
	ADD(query, "play");
	return g_test_run();
}
