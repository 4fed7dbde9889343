// SPDX-License-Identifier: Apache-2.0
#include "front_sound.h"

#include <string.h>

#define DIR FAKE_FRONT "/vsnd/0"

static void write_uint(struct fake *f, uint32_t value, unsigned stream, const char *key)
{
	g_autofree char *text = g_strdup_printf("%u", value);

	fake_write(f, text, DIR "/0/%u/%s", stream, key);
}

void front_card_add(struct fake *f)
{
	fake_write(f, "p", DIR "/0/0/type");
	fake_write(f, "c", DIR "/0/1/type");
	fake_write(f, "1", DIR "/state");
	fake_write(f, "1", FAKE_BACK "/vsnd/%u/0/online", FAKE_DOMID);
	fake_write(f, "1", FAKE_BACK "/vsnd/%u/0/state", FAKE_DOMID);
}

void front_card_publish(struct front_card *c, struct fake *f)
{
	memset(c, 0, sizeof(*c));
	c->fake = f;
	for (unsigned i = 0; i < FRONT_STREAMS; i++) {
		struct front_stream *s = &c->stream[i];
		struct xen_sndif_sring *ring = fake_alloc(f, 1);

		SHARED_RING_INIT(ring);
		FRONT_RING_INIT(&s->ring, ring, XEN_PAGE);
		s->events = fake_alloc(f, 1);
		s->ring_ref = fake_grant(f, ring);
		s->event_ref = fake_grant(f, s->events);
		s->ring_port = fake_port(f);
		s->event_port = fake_port(f);
		write_uint(f, s->ring_ref, i, "ring-ref");
		write_uint(f, s->ring_port, i, "event-channel");
		write_uint(f, s->event_ref, i, "evt-ring-ref");
		write_uint(f, s->event_port, i, "evt-event-channel");
	}
	fake_write(f, "3", DIR "/state");
}

void front_card_connect(struct front_card *c, struct fake *f)
{
	fake_until(fake_state(f, FAKE_BACK, "vsnd") == 2);
	front_card_publish(c, f);
	fake_until(fake_state(f, FAKE_BACK, "vsnd") == 4);
	fake_write(f, "4", DIR "/state");
}

void front_sound_push(struct front_card *c, unsigned stream, struct xensnd_req *req)
{
	struct front_stream *s = &c->stream[stream];
	int notify;

	req->id = s->id++;
	*RING_GET_REQUEST(&s->ring, s->ring.req_prod_pvt) = *req;
	s->ring.req_prod_pvt++;
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&s->ring, notify);
	if (notify)
		fake_ring(c->fake, s->ring_port);
}

static bool take_response(struct front_stream *s)
{
	if (s->ring.rsp_cons == guest_read(s->ring.sring->rsp_prod))
		return false;
	s->last = *RING_GET_RESPONSE(&s->ring, s->ring.rsp_cons);
	s->ring.rsp_cons++;
	s->ring.sring->rsp_event = s->ring.rsp_cons + 1;
	return true;
}

int front_sound_do(struct front_card *c, unsigned stream, struct xensnd_req *req)
{
	struct front_stream *s = &c->stream[stream];

	front_sound_push(c, stream, req);
	fake_until(take_response(s) && s->last.id == req->id);
	g_assert_cmpuint(s->last.operation, ==, req->operation);
	return s->last.status;
}

static void make_buffer(struct front_card *c, struct front_stream *s)
{
	uint32_t pages = (s->size + XEN_PAGE - 1) / XEN_PAGE, *directory = NULL;

	s->buffer = fake_alloc(c->fake, pages);
	for (uint32_t i = 0; i < pages; i++) {
		if (i % 1023 == 0) {
			uint32_t *page = fake_alloc(c->fake, 1), ref = fake_grant(c->fake, page);

			if (i)
				directory[0] = ref;
			else
				s->directory = ref;
			directory = page;
		}
		directory[1 + i % 1023] = fake_grant(c->fake, s->buffer + (size_t)i * XEN_PAGE);
	}
}

int front_sound_open(struct front_card *c, unsigned stream, uint8_t format, uint32_t channels, uint32_t rate, uint32_t frames,
		     uint32_t frame)
{
	struct front_stream *s = &c->stream[stream];
	struct xensnd_req req = {.operation = XENSND_OP_OPEN};

	s->frame = frame;
	s->size = frames * frame;
	s->period = frames / 4;
	s->position = s->hw = s->out = s->elapsed = 0;
	s->connected = true;
	make_buffer(c, s);
	req.op.open = (struct xensnd_open_req){.pcm_rate = rate, .pcm_format = format, .pcm_channels = (uint8_t)channels,
					       .buffer_sz = s->size, .gref_directory = s->directory,
					       .period_sz = (uint32_t)s->period * frame};
	return front_sound_do(c, stream, &req);
}

int front_sound_close(struct front_card *c, unsigned stream)
{
	struct xensnd_req req = {.operation = XENSND_OP_CLOSE};
	int status = front_sound_do(c, stream, &req);

	c->stream[stream].connected = false;
	return status;
}

int front_sound_trigger(struct front_card *c, unsigned stream, uint8_t type)
{
	struct xensnd_req req = {.operation = XENSND_OP_TRIGGER, .op.trigger.type = type};

	return front_sound_do(c, stream, &req);
}

int front_sound_move(struct front_card *c, unsigned stream, uint32_t offset, uint32_t length)
{
	struct xensnd_req req = {.operation = stream ? XENSND_OP_READ : XENSND_OP_WRITE, .op.rw = {offset, length}};

	return front_sound_do(c, stream, &req);
}

/* It only adds up how far the position went, modulo its buffer, and takes a period for done past its end. */
static void take_position(struct front_stream *s, uint64_t bytes)
{
	uint64_t now = bytes / s->frame, delta = now - s->position;

	g_assert_cmpuint(bytes % s->frame, ==, 0);
	s->position = now;
	s->hw = (s->hw + delta) % (s->size / s->frame);
	s->out += delta;
	if (s->out > s->period) {
		s->out %= s->period;
		s->elapsed++;
	}
}

void front_sound_events(struct front_card *c, unsigned stream)
{
	struct front_stream *s = &c->stream[stream];
	uint32_t produced = guest_read(s->events->in_prod);

	if (!s->connected)
		return;
	for (uint32_t i = s->events->in_cons; i != produced; i++) {
		struct xensnd_evt *event = &XENSND_IN_RING_REF(s->events, i);

		g_assert_cmpuint(event->id, ==, s->event_id);
		s->event_id++;
		if (event->type == XENSND_EVT_CUR_POS)
			take_position(s, event->op.cur_pos.position);
	}
	guest_write(s->events->in_cons, produced);
}
