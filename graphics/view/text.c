// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE  1536u
#define PIECES (TEXT_MOST / PIECE + 1)
#define ANSWER 64u /* longer values are none of ours */

struct text {
	struct xen *xen;
	char *dir;
	bool there;
	uint32_t serial;
	int fd; /* -1: nothing is asked for */
};

static char *path_of(const struct text *t, const char *key)
{
	return g_build_path("/", t->dir, key, NULL);
}

static char *read_key(struct text *t, const char *key)
{
	g_autofree char *path = path_of(t, key);

	return t->xen->ops->read(t->xen, 0, path);
}

static void close_asked(struct text *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

static uint32_t next_serial(struct text *t)
{
	t->serial = t->serial % UINT16_MAX + 1;
	return t->serial;
}

struct text *text_new(struct xen *xen, uint32_t domid)
{
	struct text *t = g_new0(struct text, 1);
	g_autofree char *state = NULL, *taken = NULL;

	t->xen = xen;
	t->dir = g_strdup_printf("/local/domain/%u/data/carrel-text", domid);
	t->fd = -1;
	t->serial = (uint32_t)g_random_int_range(1, UINT16_MAX); /* not the one that a view before this asked with */
	state = path_of(t, "state");
	taken = path_of(t, "taken");
	xen->ops->watch(xen, state, TEXT_TOKEN);
	xen->ops->watch(xen, taken, TEXT_TOKEN);
	return t;
}

void text_free(struct text *t)
{
	g_autofree char *state = path_of(t, "state"), *taken = path_of(t, "taken");

	t->xen->ops->unwatch(t->xen, state, TEXT_TOKEN);
	t->xen->ops->unwatch(t->xen, taken, TEXT_TOKEN);
	close_asked(t);
	g_free(t->dir);
	g_free(t);
}

/* The pieces of an answer go into the pipe, which has room for all of them; a reader that is gone by now is the compositor's affair. */
static void hand_over(struct text *t, uint32_t count)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (uint32_t i = 0; i < MIN(count, PIECES) && text->len < TEXT_MOST; i++) {
		g_autofree char *key = g_strdup_printf("from/%u", i), *piece = read_key(t, key);

		if (!piece)
			break;
		g_string_append(text, piece);
		explicit_bzero(piece, strlen(piece));
	}
	if (text->len && (fcntl(t->fd, F_SETFL, O_NONBLOCK) < 0 || write(t->fd, text->str, MIN(text->len, TEXT_MOST)) < 0))
		g_message("the selected text could not be handed over: %s", g_strerror(errno));
	explicit_bzero(text->str, text->len);
}

static void look_for_answer(struct text *t)
{
	g_autofree char *answer = read_key(t, "taken");
	uint32_t serial, count;
	char *gap = answer && strlen(answer) < ANSWER ? strchr(answer, ' ') : NULL;

	if (!gap)
		return;
	*gap = '\0';
	if (store_parse_uint(answer, UINT16_MAX, &serial) || serial != t->serial || store_parse_uint(gap + 1, UINT16_MAX, &count))
		return;
	hand_over(t, count);
	close_asked(t);
	store_write(t->xen, t->dir, "take", "0");
}

bool text_update(struct text *t)
{
	g_autofree char *state = read_key(t, "state");
	bool before = t->there;

	t->there = state && !strcmp(state, "1");
	if (t->fd >= 0 && t->there)
		look_for_answer(t);
	else if (t->fd >= 0)
		close_asked(t);
	return t->there != before;
}

bool text_there(const struct text *t)
{
	return t->there;
}

void text_take(struct text *t, int fd)
{
	close_asked(t);
	if (t->there && !store_write_uint(t->xen, t->dir, "take", next_serial(t)))
		t->fd = fd;
	else
		close(fd);
}

void text_give(struct text *t, int fd)
{
	char piece[PIECE + 1];
	unsigned count = 0;
	ssize_t got = 0;
	int rc = t->there ? 0 : -ENOENT;

	while (!rc && count < PIECES && (got = read(fd, piece, PIECE)) > 0) {
		g_autofree char *key = g_strdup_printf("to/%u", count++);

		piece[got] = '\0';
		rc = store_write(t->xen, t->dir, key, piece);
	}
	close(fd);
	explicit_bzero(piece, sizeof(piece));
	if (!rc && count) {
		g_autofree char *given = g_strdup_printf("%u %u", next_serial(t), count);

		rc = store_write(t->xen, t->dir, "given", given);
	}
	if (rc || got < 0)
		g_message("the text could not be handed over: %s", g_strerror(rc ? -rc : errno));
}
