// SPDX-License-Identifier: Apache-2.0
/* Selected text that the person carries from a guest and to it, whatever its agent does. */
#include "fake_xen.h"
#include "text.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODES "/local/domain/7/data/carrel-text"

struct fixture {
	struct fake *fake;
	struct text *text;
	unsigned changes;
};

static void on_watch(void *data)
{
	struct fixture *t = data;

	if (t->text && text_update(t->text))
		t->changes++;
}

static void on_event(void *data G_GNUC_UNUSED, uint32_t port G_GNUC_UNUSED)
{
}

static void setup(struct fixture *t, gconstpointer agent)
{
	memset(t, 0, sizeof(*t));
	signal(SIGPIPE, SIG_IGN); /* as service.c does */
	t->fake = fake_new(4);
	fake_listen(t->fake, on_watch, on_event, t);
	t->text = text_new(fake_xen(t->fake), FAKE_DOMID);
	if (agent) {
		fake_write(t->fake, "1", NODES "/state");
		fake_until(text_there(t->text));
	}
}

static void teardown(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	text_free(t->text);
	fake_free(t->fake);
}

/* Asks for the selection; what it is read from, and the serial number that the agent sees. */
static int ask(struct fixture *t, char serial[16])
{
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC | O_NONBLOCK), ==, 0);
	text_take(t->text, ends[1]);
	g_strlcpy(serial, fake_read(t->fake, NODES "/take") ?: "", 16);
	return ends[0];
}

/* What came, to be freed; "" when the other end was closed without; NULL: it is open, and nothing came. */
static char *came(int fd)
{
	GString *all = g_string_new(NULL);
	char chunk[4096];
	ssize_t got;

	while ((got = read(fd, chunk, sizeof(chunk))) > 0)
		g_string_append_len(all, chunk, got);
	if (got < 0 && !all->len)
		return g_string_free(all, TRUE), NULL;
	return g_string_free(all, FALSE);
}

static void expect_end(struct fixture *t, int fd, const char *text)
{
	g_autofree char *got = NULL;

	fake_until((got = came(fd)));
	g_assert_cmpstr(got, ==, text);
	g_assert_cmpstr(fake_read(t->fake, NODES "/take"), ==, "0");
	close(fd);
}

static void answer(struct fixture *t, const char *serial, const char *count)
{
	g_autofree char *taken = g_strdup_printf("%s %s", serial, count);

	fake_write(t->fake, taken, NODES "/taken");
}

static void taken(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	char serial[16], before[16];
	int fd = ask(t, serial);

	g_assert_cmpuint(strtoul(serial, NULL, 10), >, 0);
	fake_write(t->fake, "one ", NODES "/from/0");
	fake_write(t->fake, "tw\xc3\xb6", NODES "/from/1");
	answer(t, serial, "2");
	expect_end(t, fd, "one tw\xc3\xb6");
	strcpy(before, serial);
	/* Nothing is selected, and the last answer does not count for this request. */
	fd = ask(t, serial);
	g_assert_cmpstr(serial, !=, before);
	answer(t, before, "2");
	fake_settle(20);
	g_assert_null(came(fd));
	answer(t, serial, "0");
	expect_end(t, fd, "");
}

/* Answers that are none, and pieces that are not there. */
static void lies(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	static const char *const counts[] = {"", "-1", "x", "99999999999999999999", "1 1", " 1"};
	g_autofree char *endless = g_strnfill(100000, '1');
	char serial[16];
	int fd = ask(t, serial);

	fake_write(t->fake, "text", NODES "/from/0");
	for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++)
		answer(t, serial, counts[i]);
	fake_write(t->fake, serial, NODES "/taken");
	fake_write(t->fake, endless, NODES "/taken");
	fake_settle(20);
	g_assert_null(came(fd));
	answer(t, serial, "65535");
	expect_end(t, fd, "text");
}

static void too_long(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *piece = g_strnfill(4000, 'a'), *got = NULL;
	char serial[16];
	int fd = ask(t, serial);

	for (unsigned i = 0; i < 60; i++)
		fake_write(t->fake, piece, NODES "/from/%u", i);
	answer(t, serial, "60");
	fake_until((got = came(fd)));
	g_assert_cmpuint(strlen(got), ==, TEXT_MOST);
	close(fd);
}

static void gone(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	char serial[16];
	int fd = ask(t, serial), second;
	g_autofree char *got = NULL;

	/* Asked again: the first is let go. */
	second = ask(t, serial);
	got = came(fd);
	g_assert_cmpstr(got, ==, "");
	close(fd);
	/* Nobody reads any more. */
	close(second);
	fake_write(t->fake, "text", NODES "/from/0");
	answer(t, serial, "1");
	fake_until(!g_strcmp0(fake_read(t->fake, NODES "/take"), "0"));
	/* The agent goes while it is asked. */
	fd = ask(t, serial);
	fake_write(t->fake, NULL, NODES);
	fake_until(!text_there(t->text));
	g_clear_pointer(&got, g_free);
	fake_until((got = came(fd)));
	g_assert_cmpstr(got, ==, "");
	close(fd);
	g_assert_cmpuint(t->changes, ==, 2);
	/* Without an agent nothing is asked, and nothing is written into a tree that may be gone. */
	fd = ask(t, serial);
	g_clear_pointer(&got, g_free);
	got = came(fd);
	g_assert_cmpstr(got, ==, "");
	close(fd);
	g_assert_null(fake_read(t->fake, NODES "/take"));
}

static int file_with(const char *content)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	g_assert_cmpint(write(fd, content, strlen(content)), ==, (ssize_t)strlen(content));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void given(struct fixture *t, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *longer = g_strnfill(1536 + 4, 'b'), *first = NULL;

	text_give(t->text, file_with("for you"));
	g_assert_cmpstr(fake_read(t->fake, NODES "/to/0"), ==, "for you");
	g_assert_true(g_str_has_suffix(fake_read(t->fake, NODES "/given"), " 1"));
	first = g_strdup(fake_read(t->fake, NODES "/given"));
	text_give(t->text, file_with(longer));
	g_assert_cmpuint(strlen(fake_read(t->fake, NODES "/to/0")), ==, 1536);
	g_assert_cmpstr(fake_read(t->fake, NODES "/to/1"), ==, "bbbb");
	g_assert_true(g_str_has_suffix(fake_read(t->fake, NODES "/given"), " 2"));
	g_assert_cmpstr(fake_read(t->fake, NODES "/given"), !=, first);
	/* Nothing to give, and nobody to give to. */
	fake_write(t->fake, NULL, NODES "/given");
	text_give(t->text, file_with(""));
	g_assert_null(fake_read(t->fake, NODES "/given"));
	fake_write(t->fake, NULL, NODES);
	fake_until(!text_there(t->text));
	text_give(t->text, file_with("for you"));
	g_assert_null(fake_read(t->fake, NODES "/to/0"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/text/taken", struct fixture, "", setup, taken, teardown);
	g_test_add("/text/lies", struct fixture, "", setup, lies, teardown);
	g_test_add("/text/too-long", struct fixture, "", setup, too_long, teardown);
	g_test_add("/text/gone", struct fixture, "", setup, gone, teardown);
	g_test_add("/text/given", struct fixture, "", setup, given, teardown);
	return g_test_run();
}
