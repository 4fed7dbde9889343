// SPDX-License-Identifier: Apache-2.0
/* Questions on the terminal. Secrets never come from the command line, where every process sees them. */
#include "carrelctl.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define SECRET_MAX 1024

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* Reads a line of at most size - 1 bytes; a longer one is an error, not cut. Returns its length, or -1 with errno. */
static ssize_t read_line(int fd, char *line, size_t size)
{
	size_t length = 0;

	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0)
			return -1;
		if (n == 0 || c == '\n')
			break;
		if (length == size - 1) {
			errno = EMSGSIZE;
			return -1;
		}
		line[length++] = c;
	}
	line[length] = 0;
	if (memchr(line, 0, length)) {
		errno = EILSEQ;
		return -1;
	}
	return (ssize_t)length;
}

static const int asked_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

/* As read_line, with echo off; a signal that would end us first gives the terminal its echo back. */
static ssize_t read_silently(int tty, char *line, size_t size)
{
	struct sigaction action = {.sa_handler = on_signal}, old[G_N_ELEMENTS(asked_signals)];
	struct termios before, silent;
	ssize_t length;
	int saved;

	if (tcgetattr(tty, &before))
		return -1;
	caught = 0;
	for (guint i = 0; i < G_N_ELEMENTS(asked_signals); i++)
		sigaction(asked_signals[i], &action, &old[i]);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	tcsetattr(tty, TCSAFLUSH, &silent);
	length = read_line(tty, line, size);
	saved = errno;
	tcsetattr(tty, TCSAFLUSH, &before);
	for (guint i = 0; i < G_N_ELEMENTS(asked_signals); i++)
		sigaction(asked_signals[i], &old[i], NULL);
	if (caught)
		explicit_bzero(line, size);
	if (caught && caught != SIGTSTP)
		raise(caught);
	errno = saved;
	return length;
}

static gboolean check_secret(ssize_t length, const char *secret, const char *where, GError **error)
{
	if (length < 0)
		ctl_set_error(error, STATUS_USAGE, "cannot read the passphrase from %s: %s", where,
			errno == EMSGSIZE ? "it is too long" : errno == EILSEQ ? "it holds a zero byte" : g_strerror(errno));
	else if (length == 0)
		ctl_set_error(error, STATUS_USAGE, "the passphrase from %s is empty", where);
	else if (!g_utf8_validate(secret, length, NULL))
		ctl_set_error(error, STATUS_USAGE, "the passphrase from %s is not UTF-8", where);
	else
		return TRUE;
	return FALSE;
}

static gboolean ask_secret(int tty, const char *prompt, char *secret, GError **error)
{
	ssize_t length;

	dprintf(tty, "%s", prompt);
	length = read_silently(tty, secret, SECRET_MAX);
	dprintf(tty, "\n");
	if (length < 0 && errno == EINTR) {
		ctl_set_error(error, STATUS_CANCELLED, "cancelled");
		return FALSE;
	}
	return check_secret(length, secret, "the terminal", error);
}

static gboolean ask_passphrase(const char *what, const char *vm, gboolean confirm, char *secret, GError **error)
{
	g_autofree char *safe = text_safe(vm), *prompt = g_strdup_printf("%s of %s: ", what, safe);
	char again[SECRET_MAX] = "";
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	gboolean ok;

	if (tty < 0) {
		ctl_set_error(error, STATUS_USAGE, "%s is encrypted and there is no terminal to ask on; give its passphrase with "
			"--passphrase-fd", vm);
		return FALSE;
	}
	ok = ask_secret(tty, prompt, secret, error);
	if (ok && confirm)
		ok = ask_secret(tty, "The same again: ", again, error);
	if (ok && confirm && !g_str_equal(secret, again)) {
		ctl_set_error(error, STATUS_USAGE, "the two passphrases are not the same");
		ok = FALSE;
	}
	explicit_bzero(again, sizeof(again));
	close(tty);
	return ok;
}

static char *get(Ctl *ctl, const char *what, const char *vm, gboolean confirm, GError **error)
{
	char *secret = g_malloc0(SECRET_MAX);
	gboolean ok;

	if (ctl->opt.passphrase_fd >= 0) {
		g_autofree char *where = g_strdup_printf("file descriptor %d", ctl->opt.passphrase_fd);

		ok = check_secret(read_line(ctl->opt.passphrase_fd, secret, SECRET_MAX), secret, where, error);
	} else {
		ok = ask_passphrase(what, vm, confirm, secret, error);
	}
	if (ok)
		return secret;
	passphrase_free(secret);
	return NULL;
}

char *passphrase_get(Ctl *ctl, const char *vm, gboolean confirm, GError **error)
{
	return get(ctl, "Passphrase", vm, confirm, error);
}

char *passphrase_get_new(Ctl *ctl, const char *vm, GError **error)
{
	return get(ctl, "New passphrase", vm, TRUE, error);
}

void passphrase_free(char *passphrase)
{
	if (passphrase)
		explicit_bzero(passphrase, SECRET_MAX);
	g_free(passphrase);
}

/* 'y', 'n', '\n' for just Enter, 0 at the end of input. */
static char answer(const char *question)
{
	char line[256];
	ssize_t length;

	fprintf(stderr, "%s", question);
	length = read_line(STDIN_FILENO, line, sizeof(line));
	if (length < 0)
		return 'n';
	return length ? g_ascii_tolower(*g_strstrip(line)) : '\n';
}

gboolean ask_sure(Ctl *ctl, const char *question, GError **error)
{
	g_autofree char *safe = text_safe(question), *line = g_strdup_printf("%s [y/N] ", safe);

	if (ctl->opt.yes)
		return TRUE;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		ctl_set_error(error, STATUS_USAGE, "%s Nobody is there to ask: say --yes", question);
		return FALSE;
	}
	if (answer(line) == 'y')
		return TRUE;
	ctl_set_error(error, STATUS_CANCELLED, "nothing was done");
	return FALSE;
}

gboolean ask_again(const char *question)
{
	char c;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return FALSE;
	c = answer(question);
	return c == 'y' || c == '\n';
}
