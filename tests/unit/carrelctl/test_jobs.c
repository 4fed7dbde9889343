// SPDX-License-Identifier: Apache-2.0
/* Jobs: slow, cancelled, failing, forgotten, and a manager that dies in the middle. */
#include "fake.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static Fake *slow_fake(guint stages, guint ms)
{
	Fake *fake = fake_new();

	fake_add_vm(fake, "work", "Work");
	fake_add_vm(fake, "home", "Home");
	fake->stages = stages;
	fake->stage_ms = ms;
	return fake;
}

static Fake *hanging_fake(void)
{
	Fake *fake = slow_fake(1, 10);

	fake->hang = TRUE;
	return fake;
}

static void test_lines(void)
{
	g_autoptr(Fake) fake = slow_fake(3, 60);
	g_autoptr(Session) session = run(fake, 0, "start", "work", NULL), json = NULL;

	has(session->err->str, "start work: stage 2\nstart work: stage 3\nstart work: done\n");
	lacks(session->err->str, "\r");
	g_assert_cmpint(session->out->len, ==, 0);
	json = run(fake, 0, "new", "fresh", "--from", "t", "--json", NULL);
	has(json->out->str, "\"result\" : \"fresh\"");
	g_assert_cmpint(json->err->len, ==, 0);
}

static void test_bar(void)
{
	g_autoptr(Fake) fake = slow_fake(4, 60);
	g_autoptr(Session) session = NULL, dumb = NULL;

	fake->stage_text = "A very long stage, longer than the screen is wide, so that it has to be cut somewhere before its end";
	session = session_ctl(fake, TRUE, "start", "work", NULL);
	ends(session, 0);
	has(session->out->str, "\rstart work  [############------------]  50 %  A very long stage");
	has(session->out->str, "…\033[K");
	has(session->out->str, "start work: done");
	lacks(session->out->str, "before its end");
	dumb = session_start(fake, TRUE, (const char *const[]){g_getenv("CARRELCTL"), "start", "work", NULL}, (const char *const[]){"TERM", "dumb", NULL});
	ends(dumb, 0);
	lacks(dumb->out->str, "\033");
	has(dumb->out->str, "start work: done");
}

static void test_no_wait(void)
{
	g_autoptr(Fake) fake = hanging_fake();
	g_autoptr(Session) begun = run(fake, 0, "start", "--no-wait", "work", NULL), jobs = NULL, cancel = NULL, after = NULL, missing = NULL;
	g_autofree char *calls = NULL;

	g_assert_cmpstr(begun->out->str, ==, "1\n");
	turn_for(50);
	jobs = run(fake, 0, "jobs", NULL);
	has(jobs->out->str, "  1  Start  work  running        stage 1\n");
	cancel = run(fake, 0, "cancel", "1", NULL);
	calls = fake_calls(fake);
	has(calls, "Cancel");
	after = run(fake, 0, "jobs", "--json", NULL);
	has(after->out->str, "\"state\" : \"cancelled\"");
	missing = run(fake, 3, "cancel", "77", NULL);
	has(missing->err->str, "there is no job 77");
}

static void interrupted(int signal, gboolean terminal)
{
	g_autoptr(Fake) fake = hanging_fake();
	g_autoptr(Session) session = session_ctl(fake, terminal, "start", "work", "home", NULL);
	g_autofree char *calls = NULL;

	session_expect(session, "stage 1");
	if (terminal)
		session_send(session, "\003");
	else
		kill(session->pid, signal);
	ends(session, 9);
	calls = fake_calls(fake);
	g_assert_cmpstr(calls, ==, "Start(@a{sv} {},)\nCancel"); /* and home was not begun */
	session_expect(session, "carrelctl: start work: cancelled");
}

static void test_interrupt(void)
{
	interrupted(SIGINT, FALSE);
	interrupted(SIGTERM, FALSE);
	interrupted(SIGINT, TRUE);
}

/* Ctrl-C before the manager has even answered: the job is cancelled as soon as there is one. */
static void test_interrupt_early(void)
{
	g_autoptr(Fake) fake = hanging_fake();
	g_autoptr(Session) session = NULL;

	fake->silent = TRUE;
	session = session_ctl(fake, FALSE, "start", "work", NULL);
	turn_for(1200);
	kill(session->pid, SIGINT);
	turn_for(100);
	g_assert_false(session->ended);
	kill(session->pid, SIGINT);
	ends(session, 130);
	has(session->err->str, "before the manager answered");
}

static void test_too_late(void)
{
	g_autoptr(Fake) fake = slow_fake(4, 150);
	g_autoptr(Session) session = NULL;

	fake->ignore_cancel = TRUE;
	session = session_ctl(fake, FALSE, "start", "work", NULL);
	session_expect(session, "stage 1");
	kill(session->pid, SIGINT);
	ends(session, 0);
	has(session->err->str, "done (too late to cancel)");
}

static void test_refused_cancel(void)
{
	g_autoptr(Fake) fake = hanging_fake();
	g_autoptr(Session) session = session_ctl(fake, FALSE, "start", "work", NULL);

	fake->refuse_cancel = TRUE;
	session_expect(session, "stage 1");
	kill(session->pid, SIGINT);
	session_expect(session, "cannot cancel: not your job");
	kill(session->pid, SIGINT);
	ends(session, 130);
	has(session->err->str, "'carrelctl cancel 1'");
}

static void test_manager_dies(void)
{
	g_autoptr(Fake) fake = hanging_fake(), machine = hanging_fake(), unanswered = hanging_fake(), busless = hanging_fake();
	g_autoptr(Session) session = session_ctl(fake, FALSE, "start", "work", "--json", NULL), power = NULL, call = NULL, bus = NULL;

	turn_for(1000);
	fake_die(fake);
	ends(session, 8);
	has(session->err->str, "went away while it worked");
	has(session->out->str, "\"state\" : \"lost\"");
	power = session_ctl(machine, FALSE, "power", "off", NULL);
	session_expect(power, "stage 1");
	fake_die(machine);
	ends(power, 0);
	unanswered->silent = TRUE;
	call = session_ctl(unanswered, FALSE, "pause", "work", NULL);
	turn_for(1000);
	fake_die(unanswered);
	ends(call, 8);
	has(call->err->str, "before it answered");
	bus = session_ctl(busless, FALSE, "start", "work", NULL);
	session_expect(bus, "stage 1");
	fake_die(busless);
	g_test_dbus_stop(busless->dbus);
	ends(bus, 8);
}

/* A file half written does not stay, however it ended. */
static void test_export_interrupted(void)
{
	for (guint way = 0; way < 3; way++) {
		g_autoptr(Fake) fake = hanging_fake();
		g_autofree char *dir = g_dir_make_tmp("carrelctl-XXXXXX", NULL), *file = g_build_filename(dir, "out.ova", NULL);
		g_autoptr(Session) session = session_ctl(fake, FALSE, "export", "work", file, NULL);

		fake->refuse_cancel = way == 2;
		session_expect(session, "stage 1");
		if (way == 0)
			fake_die(fake);
		else
			kill(session->pid, SIGINT);
		if (way == 2) {
			session_expect(session, "cannot cancel");
			kill(session->pid, SIGINT);
		}
		ends(session, way == 0 ? 8 : way == 1 ? 9 : 130);
		g_assert_cmpint(g_rmdir(dir), ==, 0);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/carrelctl/jobs/lines", test_lines);
	g_test_add_func("/carrelctl/jobs/bar", test_bar);
	g_test_add_func("/carrelctl/jobs/no-wait", test_no_wait);
	g_test_add_func("/carrelctl/jobs/interrupt", test_interrupt);
	g_test_add_func("/carrelctl/jobs/interrupt-early", test_interrupt_early);
	g_test_add_func("/carrelctl/jobs/too-late", test_too_late);
	g_test_add_func("/carrelctl/jobs/refused-cancel", test_refused_cancel);
	g_test_add_func("/carrelctl/jobs/manager-dies", test_manager_dies);
	g_test_add_func("/carrelctl/jobs/export-interrupted", test_export_interrupted);
	return g_test_run();
}
