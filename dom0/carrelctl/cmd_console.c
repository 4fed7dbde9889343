// SPDX-License-Identifier: Apache-2.0
/* The VM's console: bytes both ways between our terminal and the VM's, until Ctrl-] or its end. */
#include "carrelctl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x1d /* Ctrl-] */

/* What a guest may have left behind: colours, hidden cursor, mouse reports, bracketed paste, other screen. */
#define TERMINAL_RESET "\033[0m\033[?25h\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2004l\033[?1049l\r\n"

typedef enum { CONSOLE_OPEN, CONSOLE_LEFT, CONSOLE_ENDED, CONSOLE_BROKEN } ConsoleState;

/* Bytes on their way in one direction. */
typedef struct {
	char data[4096];
	size_t start, end;
} Pipe;

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
	told_to_end = number;
}

static int open_console(const char *path, const char *name, GError **error)
{
	struct stat st;
	int fd;

	if (!path || !*path) {
		ctl_set_error(error, STATUS_STATE, "%s has no console: it is not running", name);
		return -1;
	}
	fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && isatty(fd))
		return fd;
	ctl_set_error(error, errno == EACCES || errno == EPERM ? STATUS_DENIED : STATUS_FAILED, "cannot open the console %s of %s: %s", path,
		name, fd < 0 ? g_strerror(errno) : "it is no terminal");
	if (fd >= 0)
		close(fd);
	return -1;
}

static void make_raw(int fd, struct termios *before)
{
	struct termios raw;

	if (tcgetattr(fd, before))
		return;
	raw = *before;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSAFLUSH, &raw);
}

/* FALSE at the end of input, or for good when it broke. */
static gboolean fill(Pipe *pipe, int fd)
{
	ssize_t n = read(fd, pipe->data, sizeof(pipe->data));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	pipe->start = 0;
	pipe->end = (size_t)n;
	return n > 0;
}

static gboolean drain(Pipe *pipe, int fd)
{
	ssize_t n = write(fd, pipe->data + pipe->start, pipe->end - pipe->start);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	pipe->start += (size_t)n;
	return TRUE;
}

/* What came before the escape still goes to the guest. */
static gboolean cut_at_escape(Pipe *pipe)
{
	char *escape = memchr(pipe->data + pipe->start, ESCAPE, pipe->end - pipe->start);

	if (escape)
		pipe->end = (size_t)(escape - pipe->data);
	return escape != NULL;
}

static ConsoleState turn(int console, Pipe *in, Pipe *out, gboolean *input, const sigset_t *mask)
{
	gboolean in_empty = in->start == in->end, out_empty = out->start == out->end, left = FALSE;
	struct pollfd polls[] = {
		{*input && in_empty ? STDIN_FILENO : -1, POLLIN, 0},
		/* Not heard while what it said has no place to go: its hangup would be, again and again. */
		{out_empty ? console : -1, (short)(POLLIN | (in_empty ? 0 : POLLOUT)), 0},
		{out_empty ? -1 : STDOUT_FILENO, POLLOUT, 0},
	};

	if (ppoll(polls, G_N_ELEMENTS(polls), NULL, mask) < 0)
		return errno == EINTR && !told_to_end ? CONSOLE_OPEN : CONSOLE_LEFT;
	if (polls[0].revents) {
		*input = fill(in, STDIN_FILENO);
		left = *input && cut_at_escape(in);
	}
	if (in->start < in->end && (left || polls[1].revents & POLLOUT) && !drain(in, console))
		return CONSOLE_ENDED;
	if (left)
		return CONSOLE_LEFT;
	/* What the console said last is read before its hangup is believed. */
	if (out_empty && polls[1].revents & (POLLIN | POLLHUP | POLLERR) && !fill(out, console))
		return CONSOLE_ENDED;
	if (out->start < out->end && polls[2].revents && !drain(out, STDOUT_FILENO))
		return CONSOLE_BROKEN;
	return CONSOLE_OPEN;
}

static ConsoleState relay(int console)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT};
	struct sigaction action = {.sa_handler = on_signal}, old[G_N_ELEMENTS(signals)];
	Pipe in = {.start = 0}, out = {.start = 0};
	ConsoleState state = CONSOLE_OPEN;
	sigset_t blocked, before;
	gboolean input = TRUE;

	/* They come only while ppoll waits: none is missed between looking and waiting. */
	sigemptyset(&blocked);
	for (guint i = 0; i < G_N_ELEMENTS(signals); i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &action, &old[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &before);
	while (state == CONSOLE_OPEN)
		state = turn(console, &in, &out, &input, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaction(signals[i], &old[i], NULL);
	return state;
}

gboolean cmd_console(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	gboolean terminal = isatty(STDIN_FILENO), screen = isatty(STDOUT_FILENO);
	struct termios before, guest;
	ConsoleState state;
	int fd;

	if (!vm || (fd = open_console(carrel_vm1_get_console(vm), args[0], error)) < 0)
		return FALSE;
	if (terminal) {
		fprintf(stderr, "Console of %s; Ctrl-] leaves.\n", args[0]);
		make_raw(STDIN_FILENO, &before);
	}
	/* The VM's side too: our terminal sends what the guest is to see. */
	make_raw(fd, &guest);
	state = relay(fd);
	close(fd);
	if (screen && terminal)
		dprintf(STDOUT_FILENO, TERMINAL_RESET);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	if (state == CONSOLE_ENDED)
		fprintf(stderr, "The console of %s has ended.\n", args[0]);
	if (state == CONSOLE_BROKEN) {
		ctl_set_error(error, STATUS_FAILED, "cannot write to standard output: %s", g_strerror(errno));
		return FALSE;
	}
	return TRUE;
}
