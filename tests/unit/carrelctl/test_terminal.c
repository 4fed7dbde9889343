// SPDX-License-Identifier: Apache-2.0
/* What needs a person at a terminal: passphrases, questions, the console, the editor, watching, completion. */
#include "fake.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define CTL g_getenv("CARRELCTL")

static Fake *fake_with_vms(void)
{
	Fake *fake = fake_new();

	fake_add_vm(fake, "work", "Work");
	fake_add_vm(fake, "home", "Home");
	carrel_vm1_set_encrypted(fake_add_vm(fake, "sealed", "Sealed"), TRUE);
	carrel_vm1_set_template(fake_add_vm(fake, "debian-desktop", "Debian"), TRUE);
	return fake;
}

static gboolean echoes(Session *session)
{
	struct termios mode;

	g_assert_cmpint(tcgetattr(session->in, &mode), ==, 0);
	return (mode.c_lflag & ECHO) && (mode.c_lflag & ICANON);
}

static Session *shell(Fake *fake, gboolean terminal, const char *format, ...) G_GNUC_PRINTF(3, 4);
static Session *shell(Fake *fake, gboolean terminal, const char *format, ...)
{
	g_autofree char *script = NULL;
	va_list args;

	va_start(args, format);
	script = g_strdup_vprintf(format, args);
	va_end(args);
	return session_start(fake, terminal, (const char *const[]){"sh", "-c", script, NULL}, NULL);
}

static void test_passphrase_asked(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) start = session_ctl(fake, TRUE, "start", "sealed", NULL), differ = NULL, same = NULL, interrupted = NULL;
	g_autofree char *calls = NULL, *created = NULL, *none = NULL;

	session_expect(start, "Passphrase of sealed: ");
	turn_for(100);
	g_assert_false(echoes(start));
	session_send(start, "open sesame\n");
	ends(start, 0);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "Start({'passphrase': <'open sesame'>},)");
	lacks(start->out->str, "sesame");
	g_assert_true(echoes(start));
	same = session_ctl(fake, TRUE, "new", "n", "--from", "t", "--encrypted", NULL);
	session_expect(same, "Passphrase of n: ");
	turn_for(100);
	session_send(same, "one\n");
	session_expect(same, "The same again: ");
	turn_for(100);
	session_send(same, "one\n");
	ends(same, 0);
	created = fake_calls(fake);
	has(created, "'passphrase': <'one'>");
	has(created, "'encrypted': <true>");
	differ = session_ctl(fake, TRUE, "new", "m", "--from", "t", "--encrypted", NULL);
	session_expect(differ, "Passphrase of m: ");
	turn_for(100);
	session_send(differ, "one\n");
	session_expect(differ, "The same again: ");
	turn_for(100);
	session_send(differ, "two\n");
	ends(differ, 2);
	interrupted = session_ctl(fake, TRUE, "start", "sealed", NULL);
	session_expect(interrupted, "Passphrase of sealed: ");
	turn_for(100);
	session_send(interrupted, "half\003");
	ends(interrupted, -SIGINT);
	g_assert_true(echoes(interrupted));
	none = fake_calls(fake);
	g_assert_cmpstr(none, ==, "");
}

static void test_passphrase_fd(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) given = shell(fake, FALSE, "printf 'pass word\\nrest' | %s start sealed --passphrase-fd 0", CTL);
	g_autoptr(Session) empty = shell(fake, FALSE, "%s start sealed --passphrase-fd 3 3</dev/null", CTL);
	g_autoptr(Session) zero = shell(fake, FALSE, "printf 'a\\0b\\n' | %s start sealed --passphrase-fd 0", CTL);
	g_autoptr(Session) longer = shell(fake, FALSE, "head -c 5000 /dev/zero | tr '\\0' x | %s start sealed --passphrase-fd 0", CTL);
	g_autoptr(Session) binary = shell(fake, FALSE, "printf '\\377\\n' | %s start sealed --passphrase-fd 0", CTL);
	g_autofree char *calls = NULL;

	ends(given, 0);
	ends(empty, 2);
	ends(zero, 2);
	ends(longer, 2);
	ends(binary, 2);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "Start({'passphrase': <'pass word'>},)");
}

static void test_passphrase_change(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) asked = session_ctl(fake, TRUE, "passphrase", "sealed", NULL), given = NULL, one = NULL;
	g_autofree char *calls = NULL, *more = NULL, *none = NULL;

	session_expect(asked, "Passphrase of sealed: ");
	turn_for(100);
	session_send(asked, "old\n");
	session_expect(asked, "New passphrase of sealed: ");
	turn_for(100);
	session_send(asked, "new\n");
	session_expect(asked, "The same again: ");
	turn_for(100);
	session_send(asked, "new\n");
	ends(asked, 0);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "ChangePassphrase({'passphrase': <'old'>, 'new-passphrase': <'new'>},)");
	given = shell(fake, FALSE, "printf 'a b\nc d\n' | %s passphrase sealed --passphrase-fd 0", CTL);
	ends(given, 0);
	more = fake_calls(fake);
	g_assert_cmpstr(more, ==, "ChangePassphrase({'passphrase': <'a b'>, 'new-passphrase': <'c d'>},)");
	one = shell(fake, FALSE, "echo old | %s passphrase sealed --passphrase-fd 0", CTL);
	ends(one, 2);
	none = fake_calls(fake);
	g_assert_cmpstr(none, ==, "");
}

/* What is unlocked needs no passphrase to start. */
static void test_unlock(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) given = shell(fake, FALSE, "echo sesame | %s unlock sealed --passphrase-fd 0", CTL), list = NULL, start = NULL;
	g_autofree char *calls = NULL, *started = NULL;

	ends(given, 0);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "Unlock({'passphrase': <'sesame'>},)");
	carrel_vm1_set_snapshots(fake_vm(fake, "sealed"), g_variant_new_parsed("@a(sst) []"));
	list = session_ctl(fake, FALSE, "snapshots", "sealed", NULL);
	ends(list, 0);
	has(list->err->str, "carrelctl unlock");
	carrel_vm1_set_unlocked(fake_vm(fake, "sealed"), TRUE);
	start = session_ctl(fake, FALSE, "start", "sealed", NULL);
	ends(start, 0);
	started = fake_calls(fake);
	g_assert_cmpstr(started, ==, "Start(@a{sv} {},)");
}

static void test_questions(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) yes = session_ctl(fake, TRUE, "delete", "work", NULL), no = session_ctl(fake, TRUE, "revert", "home", "clean", NULL);
	g_autofree char *calls = NULL;

	session_expect(yes, "Delete work with all disks and snapshots? [y/N] ");
	session_send(yes, "y\n");
	ends(yes, 0);
	session_expect(no, "[y/N] ");
	session_send(no, "\n");
	ends(no, 9);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "Delete(@a{sv} {},)");
}

static void test_colours(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) colours = NULL, none = NULL;
	const char *const argv[] = {CTL, "list", NULL};
	g_autofree char *title = g_strnfill(500, 'w');

	carrel_vm1_set_state(fake_vm(fake, "work"), "crashed");
	carrel_vm1_set_title(fake_vm(fake, "work"), title);
	colours = session_start(fake, TRUE, argv, NULL);
	ends(colours, 0);
	has(colours->out->str, "\033[31mcrashed\033[0m");
	has(colours->out->str, "w…");
	lacks(colours->out->str, "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww");
	none = session_start(fake, TRUE, argv, (const char *const[]){"NO_COLOR", "1", NULL});
	ends(none, 0);
	lacks(none->out->str, "\033");
}

/* The VM's side of a console. */
static int open_guest(Fake *fake)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	g_assert_cmpint(grantpt(master) | unlockpt(master), ==, 0);
	carrel_vm1_set_console(fake_vm(fake, "work"), ptsname(master));
	return master;
}

static void expect_guest(int guest, const char *text)
{
	g_autoptr(GString) got = g_string_new(NULL);

	for (guint i = 0; i < 500 && !strstr(got->str, text); i++) {
		char buffer[256];
		ssize_t n = read(guest, buffer, sizeof(buffer));

		if (n > 0)
			g_string_append_len(got, buffer, n);
		turn_for(10);
	}
	has(got->str, text);
}

static void test_console(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	int guest = open_guest(fake);
	g_autoptr(Session) session = session_ctl(fake, TRUE, "console", "work", NULL), piped = NULL, off = NULL, file = NULL;
	g_autofree char *much = g_strnfill(30000, 'm');
	ssize_t n;

	session_expect(session, "Ctrl-] leaves");
	turn_for(100);
	g_assert_cmpint(write(guest, "login: \033[31m", 12), ==, 12);
	session_expect(session, "login: \033[31m");
	session_send(session, "root\r\003\032");
	expect_guest(guest, "root\r\003\032");
	session_send(session, "bye\035not this");
	expect_guest(guest, "bye");
	ends(session, 0);
	has(session->out->str, "\033[?25h");
	g_assert_true(echoes(session));
	/* Without a terminal: what the guest says until its end. */
	piped = session_ctl(fake, FALSE, "console", "work", NULL);
	session_close_input(piped);
	turn_for(500);
	for (gsize sent = 0; sent < strlen(much); turn_for(5))
		if ((n = write(guest, much + sent, strlen(much) - sent)) > 0)
			sent += (gsize)n;
	turn_for(300);
	close(guest);
	ends(piped, 0);
	g_assert_cmpstr(piped->out->str, ==, much);
	has(piped->err->str, "has ended");
	carrel_vm1_set_console(fake_vm(fake, "work"), "");
	off = run(fake, 5, "console", "work", NULL);
	carrel_vm1_set_console(fake_vm(fake, "work"), "/etc/passwd");
	file = run(fake, 1, "console", "work", NULL);
	has(file->err->str, "no terminal");
}

/* SIGTERM gives the terminal back as it was. */
static void test_console_killed(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	int guest = open_guest(fake);
	g_autoptr(Session) session = session_ctl(fake, TRUE, "console", "work", NULL);

	session_expect(session, "Ctrl-] leaves");
	turn_for(200);
	g_assert_false(echoes(session));
	kill(session->pid, SIGTERM);
	ends(session, 0);
	g_assert_true(echoes(session));
	close(guest);
}

static Session *edit(Fake *fake, gboolean terminal, const char *editor)
{
	return session_start(fake, terminal, (const char *const[]){CTL, "edit", "work", NULL}, (const char *const[]){"EDITOR", editor, NULL});
}

static void test_edit(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) changed = edit(fake, FALSE, "sed -i s/Work/Play/"), same = NULL, failing = NULL, missing = NULL, refused = NULL;
	g_autofree char *calls = NULL, *path = NULL, *text = NULL;

	ends(changed, 0);
	calls = fake_calls(fake);
	has(calls, "SetDefinition('# a comment\\n[vm]\\ntitle=Play\\n");
	same = edit(fake, FALSE, "true");
	ends(same, 0);
	has(same->err->str, "Nothing was changed");
	failing = edit(fake, FALSE, "false");
	ends(failing, 1);
	missing = edit(fake, FALSE, "/nonexistent/editor");
	ends(missing, 1);
	fake->refuse = "org.carrel.Error.Invalid";
	fake->refuse_method = "SetDefinition";
	fake->refuse_message = "work.conf:3: [vm] title: too playful";
	refused = edit(fake, FALSE, "sed -i s/Play/Game/");
	ends(refused, 2);
	has(refused->err->str, "too playful");
	path = g_strstrip(g_strdup(strstr(refused->err->str, "Your text is in ") + strlen("Your text is in ")));
	g_assert_cmpint(path[strlen(path) - 1], ==, '.');
	path[strlen(path) - 1] = 0;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	has(text, "Game");
	g_unlink(path);
}

/* An error, and the person mends it; somebody else's change is not overwritten unseen. */
static void test_edit_again(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) session = NULL, raced = NULL;
	g_autofree char *calls = NULL, *last = NULL;

	fake->refuse = "org.carrel.Error.Invalid";
	fake->refuse_method = "SetDefinition";
	fake->refuse_message = "no";
	session = edit(fake, TRUE, "printf '#more\\n' >>");
	session_expect(session, "Edit it again? [Y/n] ");
	fake->refuse = NULL;
	session_send(session, "\n");
	ends(session, 0);
	calls = fake_calls(fake);
	has(calls, "#more\\n#more\\n");
	raced = edit(fake, TRUE, "sleep 1; printf '#mine\\n' >>");
	for (guint i = 0; i < 500 && !fake->calls->len; i++)
		turn_for(10);
	g_free(fake->definition);
	fake->definition = g_strdup("[vm]\ntitle=Theirs\n");
	session_expect(raced, "somebody else changed");
	session_send(raced, "n\n");
	ends(raced, 5);
	last = fake_calls(fake);
	lacks(last, "SetDefinition");
	g_assert_cmpstr(fake->definition, ==, "[vm]\ntitle=Theirs\n");
}

static void test_get_safe(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) terminal = NULL, pipe = NULL;

	g_free(fake->definition);
	fake->definition = g_strdup("[vm]\ntitle=\033[2Jx\n");
	terminal = session_ctl(fake, TRUE, "get", "work", NULL);
	ends(terminal, 0);
	has(terminal->out->str, "title=\\x1b[2Jx");
	pipe = run(fake, 0, "get", "work", NULL);
	g_assert_cmpstr(pipe->out->str, ==, fake->definition);
}

static void test_watch(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autoptr(Session) all = session_ctl(fake, FALSE, "watch", NULL), one = session_ctl(fake, FALSE, "watch", "home", "--json", NULL), run_it = NULL;

	session_expect(all, "Watching");
	turn_for(500);
	carrel_vm1_set_state(fake_vm(fake, "work"), "running");
	carrel_vm1_set_title(fake_vm(fake, "home"), "My \033[2J home");
	session_expect(all, "work: changed State: running");
	session_expect(all, "home: changed Title: My \\x1b[2J home");
	carrel_manager1_emit_notice(fake->manager, "warning", "/org/carrel/vm/work", "disk \033]0;x\007 is nearly full");
	session_expect(all, "work: notice warning: disk \\x1b]0;x\\x07 is nearly full");
	fake_add_vm(fake, "new", "New");
	session_expect(all, "new: added");
	run_it = run(fake, 0, "off", "home", NULL);
	session_expect(all, "job 1: added: ForceOff");
	session_expect(one, "\"name\":\"title\",\"value\":\"My \\u001b[2J home\"");
	session_expect(one, "\"subject\":\"job 1\"");
	lacks(one->out->str, "running\"");
	fake_die(fake);
	session_expect(all, "manager: vanished");
	kill(all->pid, SIGINT);
	kill(one->pid, SIGTERM);
	ends(all, 0);
	ends(one, 0);
	lacks(all->out->str, "\033");
}

/* What bash offers for a line that is given as words; the last one is being typed. */
static void completes(Fake *fake, const char *words, const char *expected)
{
	g_autoptr(Session) session = shell(fake, FALSE,
		"exec bash -c 'source %s; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _carrelctl; "
		"((${#COMPREPLY[@]} == 0)) || printf \"%%s\\n\" \"${COMPREPLY[@]}\" | sort | paste -sd,' bash %s %s",
		g_getenv("CARRELCTL_BASH"), CTL, words);

	session_wait(session);
	g_strchomp(session->out->str);
	if (!g_str_equal(session->out->str, expected))
		g_error("'%s' completes to '%s', not '%s'; %s", words, session->out->str, expected, session->err->str);
}

static void put_agent(const char *dir, const char *script)
{
	g_autofree char *path = g_build_filename(dir, "pkttyagent", NULL);

	g_assert_true(g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

static Session *with_agent(Fake *fake, gboolean terminal, const char *dir, const char *command)
{
	g_autofree char *path = g_strdup_printf("%s:%s", dir, g_getenv("PATH"));

	return session_start(fake, terminal, (const char *const[]){CTL, command, "work", NULL}, (const char *const[]){"PATH", path, NULL});
}

/* Denied on a terminal: polkit's agent may ask, once, and is gone when we are. */
static void test_agent(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autofree char *dir = g_dir_make_tmp("agent-XXXXXX", NULL), *path = g_build_filename(dir, "pkttyagent", NULL);
	g_autoptr(Session) job = NULL, plain = NULL, useless = NULL, silent = NULL, missing = NULL, broken = NULL;
	g_autofree char *calls = NULL;

	put_agent(dir, "#!/bin/sh\ntrap 'echo agent gone >/dev/tty; kill $!; exit' TERM\necho \"agent $*\" >/dev/tty\nread answer </dev/tty\n"
		"eval \"exec $2>&-\"\nsleep 60 >/dev/null 2>&1 & wait\n");
	fake->refuse = "org.carrel.Error.Denied";
	fake->refuse_message = "needs a password";
	fake->refuse_method = "Start";
	job = with_agent(fake, TRUE, dir, "start");
	session_expect(job, "agent --notify-fd ");
	fake->refuse = NULL;
	session_send(job, "yes\n");
	ends(job, 0);
	has(job->out->str, "--fallback");
	has(job->out->str, "agent gone");
	lacks(job->out->str, "needs a password");
	g_free(fake_calls(fake));
	fake->refuse = "org.carrel.Error.Denied";
	fake->refuse_method = "Pause";
	plain = with_agent(fake, TRUE, dir, "pause");
	session_expect(plain, "agent --notify-fd ");
	fake->refuse = NULL;
	session_send(plain, "yes\n");
	ends(plain, 0);
	calls = fake_calls(fake);
	has(calls, "Pause");
	/* Denied again: that is the answer. */
	fake->refuse = "org.carrel.Error.Denied";
	useless = with_agent(fake, TRUE, dir, "pause");
	session_expect(useless, "agent --notify-fd ");
	session_send(useless, "no\n");
	ends(useless, 4);
	has(useless->out->str, "needs a password");
	/* Nobody is there. */
	silent = with_agent(fake, FALSE, dir, "pause");
	ends(silent, 4);
	lacks(silent->out->str, "agent");
	put_agent(dir, "#!/bin/sh\nexit 127\n");
	broken = with_agent(fake, TRUE, dir, "pause");
	ends(broken, 4);
	g_unlink(path);
	missing = session_start(fake, TRUE, (const char *const[]){CTL, "pause", "work", NULL}, (const char *const[]){"PATH", dir, NULL});
	ends(missing, 4);
	g_rmdir(dir);
}

static void test_completion(void)
{
	g_autoptr(Fake) fake = fake_with_vms();

	carrel_vm1_set_snapshots(fake_vm(fake, "home"),
		g_variant_new_parsed("[('$(touch /owned)', '', @t 1), ('a b', '', 2), ('x\\u001b[2J', '', 3), ('plain', '', 4)]"));
	completes(fake, "sta", "start,stats");
	completes(fake, "fly x", "");
	completes(fake, "start ''", "debian-desktop,home,sealed,work");
	completes(fake, "start work h", "home");
	completes(fake, "start --passphrase-fd 3 s", "sealed");
	completes(fake, "show work ''", "");
	completes(fake, "new ''", "");
	completes(fake, "new p --from ''", "debian-desktop");
	completes(fake, "new p --from = deb", "debian-desktop");
	completes(fake, "new p --from =", "debian-desktop");
	completes(fake, "new p --fr", "--from");
	completes(fake, "revert home ''", "\\$\\(touch\\ /owned\\),a\\ b,plain");
	completes(fake, "revert home 'a\\ '", "a\\ b");
	completes(fake, "changes ''", "list,mark");
	completes(fake, "changes mark home ''", "xvda");
	completes(fake, "power s", "suspend");
	completes(fake, "--json sho", "show");
	completes(fake, "--", "--help,--json,--version");
	completes(fake, "start --p", "--passphrase-fd,--paused");
	completes(fake, "help snapshot-", "snapshot-delete");
	completes(fake, "export work x --format v", "vhd,vmdk");
	completes(fake, "import p /etc/passw", "/etc/passwd,/etc/passwd-");
	completes(fake, "new p --definition /etc/hostn", "/etc/hostname");
	g_assert_false(g_file_test("/owned", G_FILE_TEST_EXISTS));
	fake_die(fake);
	completes(fake, "start ''", "");
	completes(fake, "sta", "start,stats");
	completes(NULL, "start ''", "");
}

/* The same through readline: TAB on a terminal. */
static void test_completion_tab(void)
{
	g_autoptr(Fake) fake = fake_with_vms();
	g_autofree char *rc = g_strdup_printf("source %s; carrelctl() { %s \"$@\"; }; PS1='ready> '\n", g_getenv("CARRELCTL_BASH"), CTL), *path = NULL;
	int fd = g_file_open_tmp("carrelctl-XXXXXX", &path, NULL);
	g_autoptr(Session) session = NULL;

	g_assert_true(g_file_set_contents(path, rc, -1, NULL));
	close(fd);
	session = session_start(fake, TRUE, (const char *const[]){"bash", "--noprofile", "--rcfile", path, "-i", NULL}, NULL);
	session_expect(session, "ready> ");
	session_send(session, "carrelctl pau\thom\t--\n");
	session_expect(session, "carrelctl pause home --");
	for (guint i = 0; i < 500 && !fake->calls->len; i++)
		turn_for(10);
	g_assert_cmpint(fake->calls->len, ==, 1);
	g_assert_cmpstr(fake->calls->pdata[0], ==, "Pause()");
	session_send(session, "exit\n");
	ends(session, 0);
	g_unlink(path);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/carrelctl/terminal/passphrase-asked", test_passphrase_asked);
	g_test_add_func("/carrelctl/terminal/passphrase-fd", test_passphrase_fd);
	g_test_add_func("/carrelctl/terminal/unlock", test_unlock);
	g_test_add_func("/carrelctl/terminal/passphrase-change", test_passphrase_change);
	g_test_add_func("/carrelctl/terminal/questions", test_questions);
	g_test_add_func("/carrelctl/terminal/colours", test_colours);
	g_test_add_func("/carrelctl/terminal/console", test_console);
	g_test_add_func("/carrelctl/terminal/console-killed", test_console_killed);
	g_test_add_func("/carrelctl/terminal/edit", test_edit);
	g_test_add_func("/carrelctl/terminal/edit-again", test_edit_again);
	g_test_add_func("/carrelctl/terminal/get-safe", test_get_safe);
	g_test_add_func("/carrelctl/terminal/watch", test_watch);
	g_test_add_func("/carrelctl/terminal/agent", test_agent);
	g_test_add_func("/carrelctl/terminal/completion", test_completion);
	g_test_add_func("/carrelctl/terminal/completion-tab", test_completion_tab);
	return g_test_run();
}
