/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-auth and what asks it, with a PAM configuration of their own. usage: test_ui_auth CARREL-AUTH */
#include "auth.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *program;
static char *dir;

static void write_pam(const char *auth)
{
	g_autofree char *path = g_build_filename(dir, "carrel-lock", NULL);
	g_autofree char *text = g_strdup_printf("auth sufficient %s\nauth required pam_deny.so\naccount required pam_permit.so\n", auth);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* PAM hands the password to a script that knows the right one. */
static void write_asker(void)
{
	g_autofree char *script = g_build_filename(dir, "ask", NULL);
	g_assert_true(g_file_set_contents_full(script, "#!/bin/sh\n[ \"$(tr -d '\\0')\" = 'open sesame' ] && [ \"$PAM_USER\" = \"root\" ]\n", -1,
		G_FILE_SET_CONTENTS_NONE, 0755, NULL));
	g_autofree char *auth = g_strdup_printf("pam_exec.so expose_authtok quiet %s", script);
	write_pam(auth);
}

/* What the program answers to these bytes. */
static char *ask(const char *text, gsize length, gboolean close_early)
{
	int pair[2];
	char reply[600];
	gsize n = 0;
	ssize_t got;
	g_autoptr(GError) error = NULL;
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	const char *argv[] = {program, NULL};
	g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "CARREL_PAM_DIR", dir, TRUE);
	g_assert_true(g_spawn_async_with_pipes_and_fds(NULL, argv, (const char *const *)env, G_SPAWN_DEFAULT, NULL, NULL, pair[1], -1, -1,
		NULL, NULL, 0, NULL, NULL, NULL, NULL, &error));
	g_assert_no_error(error);
	close(pair[1]);
	if (length)
		g_assert_cmpint(write(pair[0], text, length), ==, (gssize)length);
	if (close_early)
		shutdown(pair[0], SHUT_WR);
	while (n < sizeof(reply) && (got = read(pair[0], reply + n, sizeof(reply) - n)) > 0)
		n += (gsize)got;
	close(pair[0]);
	return g_strndup(reply, n);
}

static void check(const char *text, gsize length, gboolean close_early, const char *expected)
{
	g_autofree char *reply = ask(text, length, close_early);
	g_assert_cmpstr(reply, ==, expected);
}

static void test_passwords(void)
{
	char wide[2000];
	memset(wide, 'x', sizeof(wide));
	write_asker();
	check("open sesame\n", 12, FALSE, "ok\n");
	check("open says me\n", 13, FALSE, "no\n");
	check("\n", 1, FALSE, "no\n");
	check("open sesame", 11, TRUE, "no\n");      /* cut off */
	check("open sesame\0x\n", 14, FALSE, "no\n"); /* a zero in it */
	check("", 0, TRUE, "no\n");
	check(wide, sizeof(wide), FALSE, "no\n");
}

static void test_refusals(void)
{
	write_pam("pam_deny.so");
	check("open sesame\n", 12, FALSE, "no\n");
	g_autofree char *path = g_build_filename(dir, "carrel-lock", NULL);
	g_unlink(path); /* no configuration: never open */
	g_autofree char *reply = ask("open sesame\n", 12, FALSE);
	g_assert_true(g_str_has_prefix(reply, "no"));
}

/* ---- the asking side ---- */

typedef struct {
	gboolean done, right;
	char *message;
} Outcome;

static void on_done(gboolean right, const char *message, gpointer data)
{
	Outcome *outcome = data;
	outcome->done = TRUE;
	outcome->right = right;
	outcome->message = g_strdup(message);
}

typedef struct {
	int listener;
	const char *reply;
} Server;

/* Takes one connection, in a thread of its own, and answers the line. */
static gpointer serve(gpointer data)
{
	Server *server = data;
	char line[600] = "";
	int fd = accept(server->listener, NULL, NULL);
	g_assert_cmpint(read(fd, line, sizeof(line) - 1), >, 0);
	g_assert_cmpstr(line, ==, "secret\n");
	g_assert_cmpint(write(fd, server->reply, strlen(server->reply)), ==, (gssize)strlen(server->reply));
	close(fd);
	return NULL;
}

static void check_client(const char *reply, gboolean right, const char *message)
{
	g_autofree char *path = g_build_filename(dir, "auth.sock", NULL);
	Server server = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reply};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	Outcome outcome = {0};
	g_unlink(path);
	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	g_assert_cmpint(bind(server.listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(server.listener, 1), ==, 0);
	GThread *thread = g_thread_new("server", serve, &server);
	auth_check(path, "secret", NULL, on_done, &outcome);
	while (!outcome.done)
		g_main_context_iteration(NULL, TRUE);
	g_thread_join(thread);
	close(server.listener);
	g_assert_cmpint(outcome.right, ==, right);
	g_assert_cmpstr(outcome.message, ==, message);
	g_free(outcome.message);
}

static void test_client(void)
{
	check_client("ok\n", TRUE, "");
	check_client("no\n", FALSE, "That is not the password.");
	check_client("no the account is locked\n", FALSE, "the account is locked");
	check_client("", FALSE, "That is not the password.");
	check_client("ok", FALSE, "That is not the password.");
	check_client("ok\nok\n", FALSE, "That is not the password.");
	check_client("OK\n", FALSE, "That is not the password.");
}

static void test_nobody(void)
{
	Outcome outcome = {0};
	auth_check("/no/such/socket", "secret", NULL, on_done, &outcome);
	while (!outcome.done)
		g_main_context_iteration(NULL, TRUE);
	g_assert_false(outcome.right);
	g_assert_true(g_str_has_prefix(outcome.message, "Your password could not be checked: "));
	g_free(outcome.message);
	g_autoptr(GCancellable) cancelled = g_cancellable_new();
	Outcome never = {0};
	auth_check("/no/such/socket", "secret", cancelled, on_done, &never);
	g_cancellable_cancel(cancelled);
	for (int i = 0; i < 20; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(2000);
	}
	g_assert_false(never.done);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	program = argv[1];
	dir = g_dir_make_tmp(NULL, NULL);
	g_test_add_func("/auth/passwords", test_passwords);
	g_test_add_func("/auth/refusals", test_refusals);
	g_test_add_func("/auth/client", test_client);
	g_test_add_func("/auth/nobody", test_nobody);
	int rc = g_test_run();
	for (const char *const *name = (const char *const[]){"ask", "carrel-lock", "auth.sock", NULL}; *name; name++) {
		g_autofree char *path = g_build_filename(dir, *name, NULL);
		g_unlink(path);
	}
	g_rmdir(dir);
	g_free(dir);
	return rc;
}
