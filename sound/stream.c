// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's buffer is played as a sound card's would be: round and round, from its beginning, while the stream runs, and
 * the guest is told how far. WRITE says up to where there is something new: past that there is silence, not an echo. A
 * capture stream's buffer is filled in the same way. Samples are the guest's own affair and are not looked at.
 */
#include "stream.h"

#include "pages.h"

#include <errno.h>
#include <string.h>

/* The cost of a request that maps memory, in those of others. */
#define WORK_OF_A_MAP 16
/* A guest that starts and stops in a loop gets no more than so many a second. */
#define STARTS_A_SECOND 20

/* Not in the protocol: the front end passes over it. */
#define EVENT_VOID 0xff

struct stream {
	struct xen *xen;
	uint32_t domid;
	struct player *player;
	const struct stream_owner *owner;
	void *data;
	bool record;
	xen_sndif_back_ring_t ring;
	struct xensnd_event_page *events;
	int req_port, evt_port; /* -1: not bound */
	bool broken;            /* its indices were nonsense */
	uint32_t sent;          /* events given */
	gint64 second;
	unsigned starts;        /* within that second */

	/* From OPEN to CLOSE. */
	uint8_t *buffer; /* NULL: closed */
	uint32_t size, frame; /* bytes */
	struct voice_spec spec;
	uint64_t done;   /* bytes played or recorded since it was opened */
	uint64_t limit;  /* how many of them the guest has written */
	struct voice *voice;
	bool running;
};

/* Events. */

static void send_position(struct stream *s, uint64_t position)
{
	struct xensnd_evt event = {.id = (uint16_t)s->sent, .type = XENSND_EVT_CUR_POS, .op.cur_pos.position = position};

	/* A full page is the guest's own loss: the next event says it all. */
	if (s->sent - guest_read(s->events->in_cons) >= XENSND_IN_RING_LEN)
		return;
	XENSND_IN_RING_REF(s->events, s->sent) = event;
	s->sent++;
	guest_write(s->events->in_prod, s->sent);
	s->xen->ops->notify(s->xen, (uint32_t)s->evt_port);
}

/* The stock front end takes a whole period for done only when the position is beyond its end, so with periods as long as ours
 * it would see every other one. A frame less makes it see each. */
static void tell_position(struct stream *s)
{
	if (s->done)
		send_position(s, s->done - s->frame);
}

/* What the front end has not read when it closes, it would take for the next stream's. */
static void void_events(struct stream *s)
{
	uint32_t read = guest_read(s->events->in_cons);

	if (s->sent - read > XENSND_IN_RING_LEN)
		return;
	for (; read != s->sent; read++)
		guest_write(XENSND_IN_RING_REF(s->events, read).type, EVENT_VOID);
}

/* Sound. */

static void on_play(void *data, void *to, uint32_t frames)
{
	struct stream *s = data;
	uint64_t left = (uint64_t)frames * s->frame;
	uint8_t *out = to;

	while (left) {
		uint32_t at = (uint32_t)(s->done % s->size), n = (uint32_t)MIN(left, s->size - at);
		uint32_t fresh = s->limit > s->done ? (uint32_t)MIN(n, s->limit - s->done) : 0;

		if (out) {
			memcpy(out, s->buffer + at, fresh);
			memset(out + fresh, s->spec.format->silence, n - fresh);
			out += n;
		}
		s->done += n;
		left -= n;
	}
	tell_position(s);
}

static void on_record(void *data, const void *from, uint32_t frames)
{
	struct stream *s = data;
	uint64_t left = (uint64_t)frames * s->frame;
	const uint8_t *in = from;

	while (left) {
		uint32_t at = (uint32_t)(s->done % s->size), n = (uint32_t)MIN(left, s->size - at);

		if (in) {
			memcpy(s->buffer + at, in, n);
			in += n;
		} else {
			memset(s->buffer + at, s->spec.format->silence, n);
		}
		s->done += n;
		left -= n;
	}
	tell_position(s);
}

static const struct voice_owner voice_owner = {.play = on_play, .record = on_record};

static bool want_silence(const struct stream *s)
{
	return !s->owner->permitted(s->data, s->record) || s->owner->muted(s->data, s->record);
}

static void drop_voice(struct stream *s)
{
	if (s->voice)
		s->player->ops->close(s->voice);
	s->voice = NULL;
}

static void run(struct stream *s, bool on)
{
	bool before = stream_recording(s);

	s->running = on;
	if (s->voice && s->spec.silent != want_silence(s))
		drop_voice(s);
	if (on && !s->voice) {
		s->spec.silent = want_silence(s);
		s->voice = s->player->ops->open(s->player, &s->spec, &voice_owner, s);
	}
	if (on)
		s->player->ops->start(s->voice);
	else if (s->voice)
		s->player->ops->stop(s->voice);
	if (stream_recording(s) != before)
		s->owner->changed(s->data);
}

bool stream_recording(const struct stream *s)
{
	return s->record && s->running && s->voice && !s->spec.silent;
}

void stream_policy(struct stream *s)
{
	if (s->voice)
		run(s, s->running);
}

/* Requests. */

static int open_stream(struct stream *s, const struct xensnd_open_req *req)
{
	const struct format *format = format_find(req->pcm_format);
	uint32_t period = req->period_sz ? req->period_sz : req->buffer_sz / 4, frame;
	void *pages;
	int rc;

	if (!s->owner->permitted(s->data, s->record))
		return -EACCES;
	if (s->buffer)
		return -EBUSY;
	if (!format)
		return -EOPNOTSUPP;
	if (!req->pcm_channels || req->pcm_channels > STREAM_MAX_CHANNELS || req->pcm_rate < STREAM_MIN_RATE ||
	    req->pcm_rate > STREAM_MAX_RATE)
		return -EINVAL;
	if (req->buffer_sz > STREAM_MAX_BUFFER)
		return -E2BIG;
	frame = (uint32_t)format->bytes * req->pcm_channels;
	if (req->buffer_sz < 2 * frame || req->buffer_sz % frame || period > req->buffer_sz)
		return -EINVAL;
	rc = pages_map(s->xen, s->domid, req->gref_directory, req->buffer_sz, s->record, &pages);
	if (rc)
		return rc;
	s->buffer = pages;
	s->size = req->buffer_sz;
	s->frame = frame;
	s->done = s->limit = 0;
	s->spec = (struct voice_spec){.format = format, .rate = req->pcm_rate, .channels = req->pcm_channels, .record = s->record,
				      .latency = MAX(MIN(period, s->size / 2) / frame, STREAM_MIN_PERIOD)};
	return 0;
}

/* Its driver closes what it never opened, too. */
static int close_stream(struct stream *s)
{
	if (!s->buffer)
		return 0;
	run(s, false);
	drop_voice(s);
	void_events(s);
	pages_unmap(s->xen, s->buffer, s->size);
	s->buffer = NULL;
	return 0;
}

static int check_range(const struct stream *s, const struct xensnd_rw_req *req)
{
	return s->buffer && req->offset <= s->size && req->length <= s->size - req->offset ? 0 : -EINVAL;
}

/* The offset is that of the first time it is played from now on. */
static int wrote(struct stream *s, const struct xensnd_rw_req *req)
{
	uint32_t at;
	int rc = s->record ? -EINVAL : check_range(s, req);

	if (rc || !req->length)
		return rc;
	at = (uint32_t)(s->done % s->size);
	s->limit = MAX(s->limit, s->done + (req->offset + s->size - at) % s->size + req->length);
	return 0;
}

/* What was heard is in the buffer already. */
static int wants(const struct stream *s, const struct xensnd_rw_req *req)
{
	return s->record ? check_range(s, req) : -EINVAL;
}

static bool may_start(struct stream *s)
{
	gint64 now = g_get_monotonic_time();

	if (now - s->second > G_USEC_PER_SEC) {
		s->second = now;
		s->starts = 0;
	}
	return ++s->starts <= STARTS_A_SECOND;
}

static int start(struct stream *s)
{
	if (s->running)
		return 0;
	if (!may_start(s))
		return -EBUSY;
	run(s, true);
	return 0;
}

/* The next start is from the buffer's beginning, and the front end, which only adds up how far we went, has to come out there. */
static void rewind_stream(struct stream *s)
{
	uint64_t over = s->done % s->size;

	s->done += over ? s->size - over : 0;
	s->limit = s->done;
	send_position(s, s->done);
}

static int trigger(struct stream *s, uint8_t type)
{
	if (!s->buffer)
		return -EINVAL;
	switch (type) {
	case XENSND_OP_TRIGGER_START:
	case XENSND_OP_TRIGGER_RESUME:
		return start(s);
	case XENSND_OP_TRIGGER_PAUSE:
		run(s, false);
		return 0;
	case XENSND_OP_TRIGGER_STOP:
		run(s, false);
		rewind_stream(s);
		return 0;
	default:
		return -EINVAL;
	}
}

static bool narrow(uint32_t *min, uint32_t *max, uint32_t least, uint32_t most)
{
	*min = MAX(*min, least);
	*max = MIN(*max, most);
	return *min <= *max;
}

/* What of the ranges asked about can be had, taken one by one: OPEN looks at them together. */
static int query(const struct xensnd_query_hw_param *req, struct xensnd_query_hw_param *resp)
{
	uint32_t most;

	*resp = *req;
	resp->formats &= format_mask();
	if (!resp->formats || !narrow(&resp->rates.min, &resp->rates.max, STREAM_MIN_RATE, STREAM_MAX_RATE) ||
	    !narrow(&resp->channels.min, &resp->channels.max, 1, STREAM_MAX_CHANNELS))
		return -EINVAL;
	most = STREAM_MAX_BUFFER / (format_least_bytes(resp->formats) * resp->channels.min);
	if (!narrow(&resp->buffer.min, &resp->buffer.max, STREAM_MIN_BUFFER, most) ||
	    !narrow(&resp->period.min, &resp->period.max, STREAM_MIN_PERIOD, most))
		return -EINVAL;
	return 0;
}

static int handle(struct stream *s, const struct xensnd_req *req, struct xensnd_resp *resp)
{
	switch (req->operation) {
	case XENSND_OP_OPEN:
		return open_stream(s, &req->op.open);
	case XENSND_OP_CLOSE:
		return close_stream(s);
	case XENSND_OP_READ:
		return wants(s, &req->op.rw);
	case XENSND_OP_WRITE:
		return wrote(s, &req->op.rw);
	case XENSND_OP_TRIGGER:
		return trigger(s, req->op.trigger.type);
	case XENSND_OP_HW_PARAM_QUERY:
		return query(&req->op.hw_param, &resp->resp.hw_param);
	default: /* volumes: the stock front end has none */
		return -EOPNOTSUPP;
	}
}

static void answer(struct stream *s, const struct xensnd_req *req)
{
	struct xensnd_resp resp = {.id = req->id, .operation = req->operation};
	int rc = handle(s, req, &resp), notify;

	if (rc)
		guest_mistake("domain %u: %s request 0x%02x refused: %s", s->domid, s->record ? "capture" : "playback", req->operation,
			      g_strerror(-rc));
	resp.status = guest_error(rc);
	*RING_GET_RESPONSE(&s->ring, s->ring.rsp_prod_pvt) = resp;
	s->ring.rsp_prod_pvt++;
	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&s->ring, notify);
	if (notify)
		s->xen->ops->notify(s->xen, (uint32_t)s->req_port);
}

static bool sane(struct stream *s, RING_IDX produced)
{
	if (produced - s->ring.rsp_prod_pvt <= RING_SIZE(&s->ring))
		return true;
	if (!s->broken)
		guest_mistake("domain %u: a sound stream's ring says %u requests; it is left alone", s->domid,
			      produced - s->ring.rsp_prod_pvt);
	s->broken = true;
	return false;
}

bool stream_work(struct stream *s, int *work)
{
	struct xensnd_req req;
	RING_IDX produced;
	int more = 0;

	if (s->broken)
		return true;
	do {
		produced = guest_read(s->ring.sring->req_prod);
		if (!sane(s, produced))
			return true;
		while (s->ring.req_cons != produced) {
			if (*work <= 0)
				return false;
			RING_COPY_REQUEST(&s->ring, s->ring.req_cons, &req);
			s->ring.req_cons++;
			*work -= req.operation == XENSND_OP_OPEN ? WORK_OF_A_MAP : 1;
			answer(s, &req);
		}
		RING_FINAL_CHECK_FOR_REQUESTS(&s->ring, more);
	} while (more);
	return true;
}

bool stream_has_port(const struct stream *s, uint32_t port)
{
	return (uint32_t)s->req_port == port || (uint32_t)s->evt_port == port;
}

/* Coming and going. */

static int connect_rings(struct stream *s, const struct stream_transport *t)
{
	struct xen_sndif_sring *ring = s->xen->ops->map_grants(s->xen, s->domid, &t->ring_ref, 1, true);

	if (!ring)
		return -EFAULT;
	BACK_RING_INIT(&s->ring, ring, XEN_PAGE);
	s->events = s->xen->ops->map_grants(s->xen, s->domid, &t->event_ref, 1, true);
	if (!s->events)
		return -EFAULT;
	s->req_port = s->xen->ops->bind(s->xen, s->domid, t->ring_port);
	if (s->req_port < 0)
		return s->req_port;
	s->evt_port = s->xen->ops->bind(s->xen, s->domid, t->event_port);
	return s->evt_port < 0 ? s->evt_port : 0;
}

struct stream *stream_new(struct xen *xen, uint32_t domid, struct player *player, const struct stream_transport *transport,
			  const struct stream_owner *owner, void *data)
{
	struct stream *s = g_new0(struct stream, 1);
	int rc;

	s->xen = xen;
	s->domid = domid;
	s->player = player;
	s->owner = owner;
	s->data = data;
	s->record = transport->record;
	s->req_port = s->evt_port = -1;
	rc = connect_rings(s, transport);
	if (!rc)
		return s;
	stream_free(s);
	errno = -rc;
	return NULL;
}

void stream_free(struct stream *s)
{
	close_stream(s);
	if (s->evt_port >= 0)
		s->xen->ops->unbind(s->xen, (uint32_t)s->evt_port);
	if (s->req_port >= 0)
		s->xen->ops->unbind(s->xen, (uint32_t)s->req_port);
	if (s->events)
		s->xen->ops->unmap_grants(s->xen, s->events, 1);
	if (s->ring.sring)
		s->xen->ops->unmap_grants(s->xen, s->ring.sring, 1);
	g_free(s);
}
