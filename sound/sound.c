// SPDX-License-Identifier: Apache-2.0
#include "sound.h"

#include "card.h"
#include "loop.h"

#include <string.h>
#include <xen/io/sndif.h>

#define KIND   "kind"
#define DEVICE "device"

struct sound {
	struct xen *xen;
	uint32_t domid;
	struct player *player;
	void (*ended)(void *data, const char *problem);
	void *data;
	struct pv_loop *loop;
	struct card *card;
	char *dir; /* of the back ends of this guest's cards */
};

static void drop_card(struct sound *s)
{
	if (s->card)
		card_free(g_steal_pointer(&s->card), DEVICE);
}

static void update_card(struct sound *s)
{
	card_update(s->card);
	if (card_bus(s->card)->gone)
		drop_card(s);
}

/* A VM has one card: the first that is there. */
static void look_for_card(struct sound *s)
{
	g_auto(GStrv) names = s->xen->ops->list(s->xen, 0, s->dir);
	uint32_t devid;

	for (unsigned i = 0; names && names[i] && !s->card; i++)
		if (!store_parse_uint(names[i], UINT16_MAX, &devid))
			s->card = card_new(s->xen, s->domid, devid, DEVICE, s->player);
	if (s->card)
		update_card(s);
}

static void on_watch(void *data, const char *token)
{
	struct sound *s = data;

	if (!s->card && !strcmp(token, KIND))
		look_for_card(s);
	else if (s->card && !strcmp(token, DEVICE))
		update_card(s);
}

static void on_event(void *data, uint32_t port)
{
	struct sound *s = data;

	if (s->card)
		card_event(s->card, port);
}

static void on_ended(void *data, const char *problem)
{
	struct sound *s = data;

	s->ended(s->data, problem);
}

static const struct pv_listener listener = {.event = on_event, .watch = on_watch, .ended = on_ended};

struct sound *sound_new(struct xen *xen, uint32_t domid, struct player *player, void (*ended)(void *data, const char *problem),
			void *data)
{
	struct sound *s = g_new0(struct sound, 1);

	s->xen = xen;
	s->domid = domid;
	s->player = player;
	s->ended = ended;
	s->data = data;
	s->dir = xenbus_back_dir(xen, XENSND_DRIVER_NAME, domid);
	s->loop = pv_loop_new(xen, domid, &listener, s);
	xen->ops->watch(xen, s->dir, KIND); /* fires at once, which is the first look */
	return s;
}

void sound_free(struct sound *s)
{
	drop_card(s);
	s->xen->ops->unwatch(s->xen, s->dir, KIND);
	pv_loop_free(s->loop);
	g_free(s->dir);
	g_free(s);
}
