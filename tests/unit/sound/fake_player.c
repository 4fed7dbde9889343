// SPDX-License-Identifier: Apache-2.0
#include "fake_player.h"

static struct voice *open_voice(struct player *player, const struct voice_spec *spec, const struct voice_owner *owner, void *data)
{
	struct fake_player *p = (struct fake_player *)player;

	for (unsigned i = 0; i < FAKE_VOICES; i++)
		if (!p->voice[i].open) {
			p->voice[i] = (struct fake_voice){.base.player = player, .spec = *spec, .owner = owner, .data = data, .open = true};
			p->opened++;
			return &p->voice[i].base;
		}
	g_error("a voice too many");
}

static struct fake_voice *opened(struct voice *voice)
{
	struct fake_voice *v = (struct fake_voice *)voice;

	g_assert_true(v->open);
	return v;
}

static void start_voice(struct voice *voice)
{
	opened(voice)->running = true;
}

static void stop_voice(struct voice *voice)
{
	opened(voice)->running = false;
}

static void close_voice(struct voice *voice)
{
	opened(voice)->open = false;
}

static const struct player_ops ops = {.open = open_voice, .start = start_voice, .stop = stop_voice, .close = close_voice};

void fake_player_init(struct fake_player *p)
{
	*p = (struct fake_player){.base.ops = &ops};
}

struct fake_voice *fake_voice(struct fake_player *p, bool record)
{
	for (unsigned i = 0; i < FAKE_VOICES; i++)
		if (p->voice[i].open && p->voice[i].spec.record == record)
			return &p->voice[i];
	return NULL;
}

unsigned fake_voices(struct fake_player *p)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_VOICES; i++)
		count += p->voice[i].open;
	return count;
}
