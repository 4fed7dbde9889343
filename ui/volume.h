/* SPDX-License-Identifier: Apache-2.0 */
/* Loudness of the default sink, by PipeWire. */
#ifndef CARREL_UI_VOLUME_H
#define CARREL_UI_VOLUME_H

#include <glib.h>

typedef struct Volume Volume;
/* changed: it is another, or there is none any more. Called in the main context. */
Volume *volume_new(void (*changed)(gpointer data), gpointer data);
void volume_retry(Volume *volume);                                      /* connects, unless it is connected */
gboolean volume_get(Volume *volume, double *level, gboolean *muted);    /* FALSE: there is nothing to hear */
void volume_set(Volume *volume, double level, gboolean muted);          /* level as heard: 0 to 1 */
void volume_free(Volume *volume);
#endif
