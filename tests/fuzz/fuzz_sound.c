// SPDX-License-Identifier: Apache-2.0
/*
 * vsnd as a hostile guest has it: requests of any content, rings with any indices, page directories with any references, any
 * text in xenstore, permissions that come and go, and a device that takes and gives any amount of sound in between. No
 * voice may run that is not permitted, and in the end nothing may be left open, mapped or bound.
 */
#include "../unit/view/fake_xen.c"
#include "input.h"

#include "card.h"
#include "guest.h"

#include <stdlib.h>
#include <xen/io/sndif.h>

#define TOKEN   "device"
#define PAGES   48
#define STREAMS 2
#define VOICES  16
#define FRAMES  5000

struct test_voice {
	struct voice base;
	struct voice_spec spec;
	const struct voice_owner *owner;
	void *data;
	bool open, running;
};

static struct rig {
	struct fake *fake;
	struct card *card;
	struct player player;
	struct test_voice voice[VOICES];
	struct xen_sndif_sring *ring[STREAMS];
	struct xensnd_event_page *events[STREAMS];
	uint32_t *directory[4];
	uint32_t produced[STREAMS], ports[2 * STREAMS];
} rig;

/* Now and then a number that matters. */
static uint32_t number(struct input *in)
{
	static const uint32_t special[] = {0, 1, 2, 4, 31, 32, 33, 63, 0x7fffffff, 0x80000000, 0xffffffff, 4096, 4097, 1 << 20, 48000, 16384};
	uint32_t kind = take(in, 1);

	return kind < 16 ? special[kind] : kind < 192 ? kind % 48 : take(in, 4);
}

static void check(bool so)
{
	if (!so)
		abort();
}

static struct voice *voice_open(struct player *player, const struct voice_spec *spec, const struct voice_owner *owner, void *data)
{
	unsigned i;

	for (i = 0; i < VOICES && rig.voice[i].open; i++)
		;
	check(i < VOICES && spec->channels && spec->channels <= 8 && spec->rate && spec->latency);
	rig.voice[i] = (struct test_voice){{player}, *spec, owner, data, true, false};
	return &rig.voice[i].base;
}

static void voice_start(struct voice *voice)
{
	struct test_voice *v = (struct test_voice *)voice;

	check(v->open);
	v->running = true;
}

static void voice_stop(struct voice *voice)
{
	struct test_voice *v = (struct test_voice *)voice;

	check(v->open);
	v->running = false;
}

static void voice_close(struct voice *voice)
{
	struct test_voice *v = (struct test_voice *)voice;

	check(v->open);
	v->open = v->running = false;
}

static const struct player_ops player_ops = {
	.open = voice_open, .start = voice_start, .stop = voice_stop, .close = voice_close,
};

/* The device: what runs plays or records something. */
static void turn(struct input *in)
{
	static uint8_t sound[FRAMES * 64];
	uint32_t frames = take(in, 1) % 4 ? take(in, 1) : take(in, 2) % FRAMES;

	for (unsigned i = 0; i < VOICES; i++) {
		struct test_voice *v = &rig.voice[i];

		if (!v->open || !v->running)
			continue;
		if (v->spec.record)
			v->owner->record(v->data, v->spec.silent ? NULL : sound, frames);
		else
			v->owner->play(v->data, v->spec.silent ? NULL : sound, frames);
	}
}

static bool allowed(const char *what)
{
	const char *words = fake_read(rig.fake, FAKE_BACK "/vsnd/7/0/" CARD_ALLOW);

	return words && strstr(words, what);
}

static void check_permissions(void)
{
	const char *sign = fake_read(rig.fake, FAKE_BACK "/vsnd/7/0/" CARD_RECORDING);
	bool recording = false;

	for (unsigned i = 0; i < VOICES; i++) {
		const struct test_voice *v = &rig.voice[i];

		if (!v->open || !v->running || v->spec.silent)
			continue;
		recording |= v->spec.record;
		check(allowed(v->spec.record ? "record" : "play"));
	}
	check(!recording || (sign && !strcmp(sign, "1")));
}

static void publish(void)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		g_autofree char *ring = g_strdup_printf("%u", 1 + 2 * i), *events = g_strdup_printf("%u", 2 + 2 * i);
		g_autofree char *req = g_strdup_printf("%u", rig.ports[2 * i]), *evt = g_strdup_printf("%u", rig.ports[2 * i + 1]);

		fake_write(rig.fake, i ? "c" : "p", FAKE_FRONT "/vsnd/0/0/%u/type", i);
		fake_write(rig.fake, ring, FAKE_FRONT "/vsnd/0/0/%u/ring-ref", i);
		fake_write(rig.fake, events, FAKE_FRONT "/vsnd/0/0/%u/evt-ring-ref", i);
		fake_write(rig.fake, req, FAKE_FRONT "/vsnd/0/0/%u/event-channel", i);
		fake_write(rig.fake, evt, FAKE_FRONT "/vsnd/0/0/%u/evt-event-channel", i);
		SHARED_RING_INIT(rig.ring[i]);
		rig.produced[i] = 0;
	}
	fake_write(rig.fake, "3", FAKE_FRONT "/vsnd/0/state");
	card_update(rig.card);
}

static void start(void)
{
	rig.card = card_new(&rig.fake->base, FAKE_DOMID, 0, TOKEN, &rig.player);
	card_update(rig.card);
}

static void begin_rig(void)
{
	memset(&rig, 0, sizeof(rig));
	rig.player.ops = &player_ops;
	rig.fake = fake_new(PAGES);
	for (unsigned i = 0; i < STREAMS; i++) {
		rig.ring[i] = fake_alloc(rig.fake, 1);
		fake_grant(rig.fake, rig.ring[i]);
		rig.events[i] = fake_alloc(rig.fake, 1);
		fake_grant(rig.fake, rig.events[i]);
		rig.ports[2 * i] = fake_port(rig.fake);
		rig.ports[2 * i + 1] = fake_port(rig.fake);
	}
	for (unsigned i = 0; i < 4; i++) {
		rig.directory[i] = fake_alloc(rig.fake, 1);
		fake_grant(rig.fake, rig.directory[i]); /* 5 to 8 */
	}
	for (unsigned i = 0; i < 32; i++)
		fake_grant(rig.fake, fake_alloc(rig.fake, 1)); /* 9 to 40 */
	for (unsigned i = 0; i < 4; i++) {
		rig.directory[i][0] = 5 + (i + 1) % 4;
		for (unsigned n = 1; n < 1024; n++)
			rig.directory[i][n] = 9 + n % 32;
	}
	fake_write(rig.fake, "1", FAKE_FRONT "/vsnd/0/state");
	add(rig.fake, "vsnd", "vsnd");
	fake_write(rig.fake, "play,record", FAKE_BACK "/vsnd/7/0/" CARD_ALLOW);
	start();
	publish();
}

/* A request that is nearly right, or not at all. */
static void make_request(struct input *in, struct xensnd_req *req)
{
	static const uint8_t formats[] = {XENSND_PCM_FORMAT_S16_LE, XENSND_PCM_FORMAT_U8, XENSND_PCM_FORMAT_F64_LE, XENSND_PCM_FORMAT_GSM};
	uint8_t *bytes = (uint8_t *)&req->op;

	req->id = (uint16_t)take(in, 1);
	req->operation = (uint8_t)(take(in, 1) % 11);
	switch (req->operation) {
	case XENSND_OP_OPEN:
		req->op.open = (struct xensnd_open_req){48000, formats[take(in, 1) % 4], (uint8_t)(1 + take(in, 1) % 8), 0, 16384,
							5 + take(in, 1) % 5, 4096};
		break;
	case XENSND_OP_READ:
	case XENSND_OP_WRITE:
		req->op.rw = (struct xensnd_rw_req){take(in, 2) % 16384, take(in, 2) % 8192};
		break;
	case XENSND_OP_TRIGGER:
		req->op.trigger.type = (uint8_t)(take(in, 1) % 5);
		break;
	default:
		req->op.hw_param = (struct xensnd_query_hw_param){~0ull, {0, ~0u}, {0, ~0u}, {0, ~0u}, {0, ~0u}};
	}
	for (uint32_t n = take(in, 1) % 3; n; n--) {
		uint32_t value = number(in);

		memcpy(bytes + take(in, 1) % (sizeof(req->op) - 4) / 4 * 4, &value, 4);
	}
}

static void send_request(struct input *in)
{
	unsigned i = take(in, 1) % 2;
	struct xensnd_req req = {0};

	make_request(in, &req);
	rig.ring[i]->ring[rig.produced[i] % 32].req = req;
	guest_write(rig.ring[i]->req_prod, ++rig.produced[i]);
	card_event(rig.card, rig.ports[2 * i]);
}

static void write_text(struct input *in)
{
	static const char *const keys[] = {"0/0/type", "0/1/type", "0/0/ring-ref", "0/1/event-channel", "0/1/evt-ring-ref",
					   "0/0/evt-event-channel", "version", "state"};
	char text[12] = {0};
	unsigned key = take(in, 1) % 8, len = take(in, 1) % 11;

	for (unsigned i = 0; i < len; i++)
		text[i] = (char)(take(in, 1) % 96 + 32);
	fake_write(rig.fake, text, FAKE_FRONT "/vsnd/0/%s", keys[key]);
	card_update(rig.card);
}

static void set_states(struct input *in)
{
	char state[2] = {(char)('0' + take(in, 1) % 9), 0};

	if (take(in, 1) % 8)
		fake_write(rig.fake, state, FAKE_FRONT "/vsnd/0/state");
	else
		fake_write(rig.fake, state, FAKE_BACK "/vsnd/7/0/state");
	card_update(rig.card);
}

static void permit(struct input *in)
{
	static const char *const words[] = {"", "play", "record", "play,record", "play,record,mute"};

	fake_write(rig.fake, words[take(in, 1) % 5], FAKE_BACK "/vsnd/7/0/" CARD_ALLOW);
	card_update(rig.card);
}

static void end_card(void)
{
	card_free(rig.card, TOKEN);
	check(!rig.fake->mapped && !rig.fake->bound);
	for (unsigned i = 0; i < VOICES; i++)
		check(!rig.voice[i].open);
}

static void act(struct input *in)
{
	switch (take(in, 1) % 24) {
	case 0:
		guest_write(rig.ring[take(in, 1) % STREAMS]->req_prod, number(in));
		break;
	case 1:
		guest_write(rig.ring[take(in, 1) % STREAMS]->rsp_prod, number(in));
		break;
	case 2:
		guest_write(rig.events[take(in, 1) % STREAMS]->in_cons, number(in));
		break;
	case 3:
		rig.directory[take(in, 1) % 4][take(in, 1) % 16] = number(in);
		break;
	case 4:
		write_text(in);
		break;
	case 5:
		set_states(in);
		break;
	case 6:
		end_card();
		start();
		break;
	case 7:
		publish();
		break;
	case 8:
		fake_write(rig.fake, "1", FAKE_FRONT "/vsnd/0/state");
		card_update(rig.card);
		publish();
		break;
	case 9:
		permit(in);
		break;
	case 10:
		fake_revoke(rig.fake, take(in, 1) % 41);
		break;
	case 11:
	case 12:
	case 13:
		turn(in);
		break;
	default:
		send_request(in);
	}
	check_permissions();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	g_log_set_writer_func(g_log_writer_default, NULL, NULL);
	begin_rig();
	while (in.p < in.end)
		act(&in);
	end_card();
	fake_free(rig.fake);
	return 0;
}
