/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-guest-text: runs in a guest, beside its desktop. When the person at the screen carries text from one VM to another, it
 * hands over what is selected here, and takes what comes. README.md has the nodes. The commands that know the desktop are
 * $CARREL_TEXT_TAKE, which prints the selected text, and $CARREL_TEXT_GIVE, which makes its input the selection. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <xenstore.h>

#define NODES "data/carrel-text"
#define MOST  65536u /* bytes of a text */
#define PIECE 1536u

static struct xs_handle *store;
static char text[MOST];
static int ends[2]; /* a pipe: something to read when it is time to end */

static const char *command(const char *variable)
{
	const char *value = getenv(variable);

	if (value && *value)
		return value;
	fprintf(stderr, "carrel-guest-text: $%s is not set\n", variable);
	exit(2);
}

static void put(const char *key, const void *value, size_t length)
{
	char path[64];

	snprintf(path, sizeof(path), NODES "/%s", key);
	if (!xs_write(store, XBT_NULL, path, value, (unsigned int)length))
		fprintf(stderr, "carrel-guest-text: %s: %s\n", path, strerror(errno));
}

static void put_text(const char *key, const char *value)
{
	put(key, value, strlen(value));
}

/* A value to be freed, with its length; NULL: there is none. */
static char *get(const char *key, unsigned int *length)
{
	char path[64];

	snprintf(path, sizeof(path), NODES "/%s", key);
	return xs_read(store, XBT_NULL, path, length);
}

static void clear(const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), NODES "/%s", key);
	xs_rm(store, XBT_NULL, path);
}

/* Answers a request for the selection, once. */
static void take(void)
{
	static unsigned long answered;
	unsigned int length, count = 0;
	char *value = get("take", &length), key[32], answer[64];
	unsigned long serial = value ? strtoul(value, NULL, 10) : 0;
	size_t size = 0, got;
	FILE *from;

	free(value);
	if (!serial) {
		clear("from");
		clear("taken");
	}
	if (!serial || serial == answered)
		return;
	answered = serial;
	from = popen(command("CARREL_TEXT_TAKE"), "r");
	while (from && size < sizeof(text) && (got = fread(text + size, 1, sizeof(text) - size, from)) > 0)
		size += got;
	if (from)
		pclose(from);
	for (size_t at = 0; at < size; at += PIECE, count++) {
		snprintf(key, sizeof(key), "from/%u", count);
		put(key, text + at, size - at < PIECE ? size - at : PIECE);
	}
	explicit_bzero(text, size);
	snprintf(answer, sizeof(answer), "%lu %u", serial, count);
	put_text("taken", answer);
}

/* Takes a text that was brought, once. */
static void give(void)
{
	unsigned int length, count = 0;
	char *value = get("given", &length), *piece, key[32];
	int known = value && sscanf(value, "%*u %u", &count) == 1;
	size_t size = 0;
	FILE *to;

	free(value);
	if (!known)
		return;
	for (unsigned int i = 0; i < count && size < sizeof(text); i++) {
		snprintf(key, sizeof(key), "to/%u", i);
		piece = get(key, &length);
		if (!piece)
			break;
		if (length > sizeof(text) - size)
			length = (unsigned int)(sizeof(text) - size);
		memcpy(text + size, piece, length);
		size += length;
		explicit_bzero(piece, length);
		free(piece);
	}
	clear("given");
	clear("to");
	to = popen(command("CARREL_TEXT_GIVE"), "w");
	if (!to || fwrite(text, 1, size, to) != size || pclose(to) != 0)
		fprintf(stderr, "carrel-guest-text: the desktop did not take the text\n");
	explicit_bzero(text, size);
}

static void on_signal(int number)
{
	if (number != SIGPIPE && write(ends[1], "", 1) < 0)
		_exit(1);
}

int main(void)
{
	/* Handled, not blocked or ignored: that would be handed down to the commands. */
	struct sigaction handle = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct pollfd from[2] = { { .events = POLLIN }, { .events = POLLIN } };
	char **event;

	command("CARREL_TEXT_TAKE");
	command("CARREL_TEXT_GIVE");
	prctl(PR_SET_DUMPABLE, 0); /* other programs of this user have no xenstore, and shall not get it from this one */
	store = xs_open(0);
	if (!store) {
		fprintf(stderr, "carrel-guest-text: no xenstore: is this a Xen guest, and may this user open /dev/xen/xenbus?\n");
		return 1;
	}
	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("carrel-guest-text: pipe");
		return 1;
	}
	sigaction(SIGTERM, &handle, NULL);
	sigaction(SIGINT, &handle, NULL);
	sigaction(SIGPIPE, &handle, NULL);
	xs_rm(store, XBT_NULL, NODES);
	if (!xs_watch(store, NODES "/take", "take") || !xs_watch(store, NODES "/given", "given")) {
		perror("carrel-guest-text: " NODES);
		return 1;
	}
	put_text("state", "1");
	from[0].fd = xs_fileno(store);
	from[1].fd = ends[0];
	while ((poll(from, 2, -1) > 0 || errno == EINTR) && !from[1].revents) {
		while ((event = xs_check_watch(store))) {
			if (strcmp(event[XS_WATCH_TOKEN], "take") == 0)
				take();
			else
				give();
			free(event);
		}
	}
	xs_rm(store, XBT_NULL, NODES);
	return 0;
}
