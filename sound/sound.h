/* SPDX-License-Identifier: Apache-2.0 */
/* One VM's sound: its card on one side, a player on the other. */
#ifndef SOUND_SOUND_H
#define SOUND_SOUND_H

#include "player.h"
#include "xen.h"

struct sound;

/* Neither xen nor player is taken over. ended: there is nothing more to do; problem is NULL when the guest is gone. */
struct sound *sound_new(struct xen *, uint32_t domid, struct player *, void (*ended)(void *data, const char *problem),
			void *data);
void sound_free(struct sound *);

#endif
