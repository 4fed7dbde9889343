// SPDX-License-Identifier: Apache-2.0
#include "fake.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (90 * G_USEC_PER_SEC)

static gboolean on_output(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
	Stream *stream = data;
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		close(fd);
		stream->watch = 0;
		return G_SOURCE_REMOVE;
	}
	g_string_append_len(stream->text, buffer, n);
	return G_SOURCE_CONTINUE;
}

static void listen_to(Stream *stream, int fd, GString *text)
{
	stream->text = text;
	stream->fd = fd;
	stream->watch = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_output, stream);
}

static void on_end(GPid pid, int status, gpointer data)
{
	Session *session = data;

	session->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	session->ended = TRUE;
	g_spawn_close_pid(pid);
}

/* In the child: the terminal on its standard input becomes its own. */
static void own_terminal(gpointer data G_GNUC_UNUSED)
{
	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}

static char **make_environment(Fake *fake, const char *const *more)
{
	char **env = g_get_environ();

	env = g_environ_setenv(env, "DBUS_SYSTEM_BUS_ADDRESS", fake ? g_test_dbus_get_bus_address(fake->dbus) : "unix:path=/nonexistent", TRUE);
	env = g_environ_setenv(env, "LC_ALL", "C.UTF-8", TRUE);
	env = g_environ_setenv(env, "TZ", "UTC", TRUE);
	env = g_environ_setenv(env, "TERM", "xterm", TRUE);
	env = g_environ_unsetenv(env, "NO_COLOR");
	env = g_environ_unsetenv(env, "VISUAL");
	for (; more && *more; more += 2)
		env = g_environ_setenv(env, more[0], more[1], TRUE);
	return env;
}

static int open_terminal(int *slave)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	g_assert_cmpint(master, >=, 0);
	g_assert_cmpint(grantpt(master) | unlockpt(master), ==, 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_assert_cmpint(*slave, >=, 0);
	ioctl(master, TIOCSWINSZ, &size);
	return master;
}

Session *session_start(Fake *fake, gboolean terminal, const char *const *argv, const char *const *environment)
{
	Session *session = g_new0(Session, 1);
	g_auto(GStrv) env = make_environment(fake, environment);
	g_autoptr(GError) error = NULL;
	int out, err = -1, slave = -1;
	gboolean ok;

	session->out = g_string_new(NULL);
	session->err = g_string_new(NULL);
	if (terminal) {
		out = open_terminal(&slave);
		ok = g_spawn_async_with_fds(NULL, (char **)argv, env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, own_terminal, NULL,
			&session->pid, slave, slave, slave, &error);
		close(slave);
		session->in = dup(out);
	} else {
		ok = g_spawn_async_with_pipes(NULL, (char **)argv, env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, NULL, NULL,
			&session->pid, &session->in, &out, &err, &error);
	}
	g_assert_no_error(error);
	g_assert_true(ok);
	g_child_watch_add(session->pid, on_end, session);
	listen_to(&session->streams[0], out, session->out);
	if (err >= 0)
		listen_to(&session->streams[1], err, session->err);
	return session;
}

static Session *start_list(Fake *fake, gboolean terminal, const char *first, va_list list)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();

	g_ptr_array_add(argv, (gpointer)g_getenv("CARRELCTL"));
	for (const char *arg = first; arg; arg = va_arg(list, const char *))
		g_ptr_array_add(argv, (gpointer)arg);
	g_ptr_array_add(argv, NULL);
	return session_start(fake, terminal, (const char *const *)argv->pdata, NULL);
}

Session *session_ctl(Fake *fake, gboolean terminal, ...)
{
	va_list list;
	Session *session;
	const char *first;

	va_start(list, terminal);
	first = va_arg(list, const char *);
	session = start_list(fake, terminal, first, list);
	va_end(list);
	return session;
}

static gboolean on_tick(gpointer data G_GNUC_UNUSED)
{
	return G_SOURCE_CONTINUE;
}

/* Turns the main loop until the condition holds; the manager and the clients share it. */
static gboolean turn_until(gboolean (*done)(Session *session, const char *text), Session *session, const char *text)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;
	guint tick = g_timeout_add(50, on_tick, NULL);

	while (!done(session, text) && g_get_monotonic_time() < end)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(tick);
	return done(session, text);
}

void turn_for(guint ms)
{
	gint64 end = g_get_monotonic_time() + ms * 1000;
	guint tick = g_timeout_add(5, on_tick, NULL);

	do
		g_main_context_iteration(NULL, ms > 0);
	while (g_get_monotonic_time() < end);
	g_source_remove(tick);
}

static gboolean has_said(Session *session, const char *text)
{
	return strstr(session->out->str, text) || strstr(session->err->str, text);
}

void session_expect(Session *session, const char *text)
{
	if (!turn_until(has_said, session, text))
		g_error("it never said '%s'; out: %s err: %s", text, session->out->str, session->err->str);
}

void session_send(Session *session, const char *text)
{
	g_assert_cmpint(write(session->in, text, strlen(text)), ==, strlen(text));
}

void session_close_input(Session *session)
{
	close(session->in);
	session->in = -1;
}

static gboolean has_ended(Session *session, const char *text G_GNUC_UNUSED)
{
	return session->ended && !session->streams[0].watch && !session->streams[1].watch;
}

int session_wait(Session *session)
{
	if (!turn_until(has_ended, session, NULL))
		g_error("it does not end; out: %s err: %s", session->out->str, session->err->str);
	return session->status;
}

void session_free(Session *session)
{
	if (!session->ended) {
		kill(session->pid, SIGKILL);
		session_wait(session);
	}
	if (session->in >= 0)
		close(session->in);
	g_string_free(session->out, TRUE);
	g_string_free(session->err, TRUE);
	g_free(session);
}

Session *run(Fake *fake, int status, ...)
{
	va_list list;
	Session *session;
	const char *first;

	va_start(list, status);
	first = va_arg(list, const char *);
	session = start_list(fake, FALSE, first, list);
	va_end(list);
	session_close_input(session);
	if (session_wait(session) != status)
		g_error("carrelctl %s: status %d, not %d; out: %s err: %s", first, session->status, status, session->out->str, session->err->str);
	return session;
}
