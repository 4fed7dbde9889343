/* SPDX-License-Identifier: Apache-2.0 */
/* Selected text of a guest that has an agent for it, through values in the guest's own part of xenstore: dom0/guest/README.md. */
#ifndef VIEW_TEXT_H
#define VIEW_TEXT_H

#include "xen.h"

#define TEXT_TOKEN "text" /* of its watches */
#define TEXT_MOST  65536u /* bytes; more is cut off */

struct text;

struct text *text_new(struct xen *, uint32_t domid);
void text_free(struct text *);
/* A watch with TEXT_TOKEN fired. Returns whether text_there() has another answer than before. */
bool text_update(struct text *);
/* Whether the guest has an agent. */
bool text_there(const struct text *);
/* Both take fd over. Asks the guest for its selection, which is written to fd, whose other end has room for TEXT_MOST: nothing is
 * waited for. fd is just closed when there is none, or no agent, or with the next call. */
void text_take(struct text *, int fd);
/* Hands the guest what fd, a file, has. */
void text_give(struct text *, int fd);

#endif
