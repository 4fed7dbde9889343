// SPDX-License-Identifier: Apache-2.0
/* Every command as a process against a manager on a private bus: what it calls, what it prints, how it ends. */
#include "fake.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

static void assert_calls(Fake *fake, const char *expected)
{
	g_autofree char *calls = fake_calls(fake);

	g_assert_cmpstr(calls, ==, expected);
}

static JsonNode *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	JsonNode *node = json_from_string(text, &error);

	if (!node)
		g_error("%s in: %s", error ? error->message : "nothing", text);
	return node;
}

/* carrelctl ARGUMENTS: the call that it makes. */
static void test_calls(void)
{
	static const struct {
		const char *args, *call;
	} cases[] = {
		{"start work", "Start(@a{sv} {},)"},
		{"start --paused work", "Start({'paused': <true>},)"},
		{"shutdown work", "Shutdown(uint32 0,)"},
		{"shutdown -t 30 work home", "Shutdown(uint32 30,)\nShutdown(uint32 30,)"},
		{"reboot work", "Reboot(uint32 0,)"},
		{"reboot --timeout=7 work", "Reboot(uint32 7,)"},
		{"off work", "ForceOff()"},
		{"pause work", "Pause()"},
		{"unpause work", "Unpause()"},
		{"suspend work", "Suspend()"},
		{"resume work", "Resume()"},
		{"delete --yes work", "Delete(@a{sv} {},)"},
		{"delete -y --keep-disks work", "Delete({'keep-disks': <true>},)"},
		{"snapshot work before", "Snapshot('before', '')"},
		{"snapshot work before -d why", "Snapshot('before', 'why')"},
		{"revert -y work clean", "Revert('clean',)"},
		{"snapshot-delete work clean", "DeleteSnapshot('clean',)"},
		{"clone work copy", "Clone('copy', @a{sv} {})"},
		{"clone work copy --title=Copy --autostart", "Clone('copy', {'title': <'Copy'>, 'autostart': <true>})"},
		{"new personal --from debian-desktop", "CreateFromTemplate('personal', 'debian-desktop', @a{sv} {})"},
		{"new personal --from=t --vcpus 3", "CreateFromTemplate('personal', 't', {'vcpus': <uint32 3>})"},
		{"new personal --from=t --memory-max 2G", "CreateFromTemplate('personal', 't', {'memory-max': <uint64 2147483648>})"},
		{"new personal --from=t --memory-min 512MiB", "CreateFromTemplate('personal', 't', {'memory-min': <uint64 536870912>})"},
		{"set work vm title Other", "Set('vm', 'title', 'Other')"},
		{"set work vm order -- -5", "Set('vm', 'order', '-5')"},
		{"changes mark work xvda", "MarkChanges('xvda',)"},
		{"changes list work xvda mark-7", "ChangedBlocks('xvda', 'mark-7')"},
		{"foreground work", "SetForeground(objectpath '/org/carrel/vm/work',)"},
		{"foreground --none", "SetForeground(objectpath '/',)"},
		{"lock work", "Lock()"},
		{"power suspend", "Suspend()"},
		{"power off", "Shutdown('poweroff',)"},
		{"power reboot", "Shutdown('reboot',)"},
		{"reload", "Reload()"},
		{"start --no-wait work", "Start(@a{sv} {},)"},
	};
	g_autoptr(Fake) fake = fake_new();

	fake_add_vm(fake, "work", "Work");
	fake_add_vm(fake, "home", "Home");
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *line = g_strconcat("carrelctl ", cases[i].args, NULL);
		g_auto(GStrv) argv = g_strsplit(line, " ", -1);
		g_autoptr(Session) session = NULL;

		g_free(argv[0]);
		argv[0] = g_strdup(g_getenv("CARRELCTL"));
		session = session_start(fake, FALSE, (const char *const *)argv, NULL);
		if (session_wait(session) != 0)
			g_error("%s: %d %s", line, session->status, session->err->str);
		assert_calls(fake, cases[i].call);
	}
}

static void test_usage(void)
{
	static const char *const lines[] = {
		"", "fly", "start", "show", "show work home", "list work", "power", "power up", "changes", "changes eat work xvda",
		"changes mark work xvda m", "changes list work xvda", "new personal", "new personal --from a --definition b",
		"new personal --definition f --title x", "start --wings work", "shutdown -t 0 work",
		"shutdown -t -3 work", "shutdown -t soon work", "new p --from t --memory-max lots", "new p --from t --memory-max 0",
		"new p --from t --memory-max -1G", "new p --from t --memory-max 99999999P", "new p --from t --vcpus 0",
		"new p --from t --memory-max 1GG", "import p /etc", "import p /etc/passwd --format tar", "export work /tmp/x",
		"export work /tmp/x --format zip", "cancel x", "cancel -- -1", "foreground work --none", "help fly", "delete work",
		"revert work clean", "start --passphrase-fd 0 work home", "start --passphrase-fd 99 sealed", "start sealed",
		"export work /tmp/x.ova --no-wait",
	};
	g_autoptr(Fake) fake = fake_new();

	fake_add_vm(fake, "work", "Work");
	carrel_vm1_set_encrypted(fake_add_vm(fake, "sealed", "Sealed"), TRUE);
	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autofree char *line = g_strconcat("setsid ", g_getenv("CARRELCTL"), *lines[i] ? " " : "", lines[i], NULL);
		g_auto(GStrv) argv = g_strsplit(line, " ", -1);
		g_autoptr(Session) session = session_start(fake, FALSE, (const char *const *)argv, NULL);

		session_close_input(session);
		if (session_wait(session) != 2)
			g_error("'%s': %d %s", lines[i], session->status, session->err->str);
		g_assert_cmpint(session->out->len, ==, 0);
		has(session->err->str, "carrelctl: ");
		assert_calls(fake, "");
	}
}

/* The bytes are no text at all. */
static void test_not_utf8(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) a = run(fake, 2, "show", "w\xff\xfe", NULL), b = run(fake, 2, "\xff", NULL);

	has(a->err->str, "UTF-8");
	has(b->err->str, "there is no command");
}

static void test_exit_codes(void)
{
	static const struct {
		const char *error;
		int status;
	} cases[] = {
		{"org.carrel.Error.Failed", 1}, {"org.carrel.Error.Invalid", 2}, {"org.carrel.Error.NotFound", 3},
		{"org.carrel.Error.Denied", 4}, {"org.carrel.Error.Busy", 5}, {"org.carrel.Error.State", 5},
		{"org.carrel.Error.Exists", 5}, {"org.carrel.Error.NoMemory", 6}, {"org.carrel.Error.NoSpace", 6},
		{"org.carrel.Error.Timeout", 7}, {"org.carrel.Error.Cancelled", 9}, {"org.carrel.Error.Unsupported", 10},
		{"org.freedesktop.DBus.Error.AccessDenied", 4}, {"com.example.Strange", 1},
	};
	g_autoptr(Fake) fake = fake_new();

	fake_add_vm(fake, "work", "Work");
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Session) call = NULL, job = NULL, json = NULL;
		g_autoptr(JsonNode) node = NULL;

		fake->refuse = cases[i].error;
		fake->refuse_message = "no such luck";
		call = run(fake, cases[i].status, "pause", "work", NULL);
		g_assert_cmpstr(call->err->str, ==, "carrelctl: pause work: no such luck\n");
		json = run(fake, cases[i].status, "pause", "work", "--json", NULL);
		node = parse(json->err->str);
		g_assert_cmpint(json_object_get_int_member(json_node_get_object(node), "status"), ==, cases[i].status);
		g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "message"), ==, "no such luck");
		fake->refuse = NULL;
		fake->job_error = cases[i].error;
		fake->job_message = "it broke";
		job = run(fake, cases[i].status, "start", "work", NULL);
		has(job->err->str, cases[i].status == 9 ? "carrelctl: start work: " : "carrelctl: start work: it broke\n");
		fake->job_error = NULL;
	}
}

static void test_nobody_there(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) missing = run(fake, 3, "start", "nobody", NULL), none = NULL, list = NULL, bus = NULL;

	g_assert_cmpstr(missing->err->str, ==, "carrelctl: start nobody: there is no VM of that name\n");
	fake_die(fake);
	none = run(fake, 8, "start", "work", NULL);
	has(none->err->str, "systemctl start carreld");
	list = run(fake, 8, "list", NULL);
	has(list->err->str, "systemctl start carreld");
	bus = run(NULL, 8, "list", "--json", NULL);
	has(bus->err->str, "\"status\":8");
	has(bus->err->str, "org.carrel.Error.NoManager");
	g_assert_cmpint(bus->out->len, ==, 0);
}

/* Several VMs: one that fails does not keep the others; the status is the first failure's. */
static void test_several(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) session = NULL, json = NULL;
	g_autoptr(JsonNode) node = NULL;

	fake_add_vm(fake, "work", "Work");
	fake_add_vm(fake, "home", "Home");
	session = run(fake, 3, "off", "work", "nobody", "home", NULL);
	assert_calls(fake, "ForceOff()\nForceOff()");
	has(session->err->str, "off nobody: there is no VM");
	json = run(fake, 0, "off", "work", "home", "--json", NULL);
	node = parse(json->out->str);
	g_assert_cmpint(json_array_get_length(json_node_get_array(node)), ==, 2);
	g_assert_cmpint(json->err->len, ==, 0);
	has(json->out->str, "\"state\" : \"done\"");
	has(json->out->str, "\"vm\" : \"home\"");
}

static void test_list(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) none = run(fake, 0, "list", NULL), table = NULL, json = NULL, all = NULL, templates = NULL;
	g_autoptr(JsonNode) node = NULL;
	JsonObject *first;
	CarrelVm1 *vm;

	has(none->err->str, "There are no VMs");
	vm = fake_add_vm(fake, "work", "仕事 Work");
	carrel_vm1_set_state(vm, "running");
	carrel_vm1_set_domain_id(vm, 4);
	carrel_vm1_set_foreground(vm, TRUE);
	fake_add_vm(fake, "an-other", "Other");
	carrel_vm1_set_template(fake_add_vm(fake, "deb", "Debian"), TRUE);
	table = run(fake, 0, "list", NULL);
	g_assert_cmpstr(table->out->str, ==,
		"   NAME      STATE    MEMORY   MOST  CPUS  ADDRESS   TITLE\n"
		"   an-other  off           -  1 GiB     2  10.9.1.2  Other\n"
		"*  work      running   1 GiB  1 GiB     2  10.9.1.2  仕事 Work\n");
	json = run(fake, 0, "list", "--json", NULL);
	node = parse(json->out->str);
	g_assert_cmpint(json_array_get_length(json_node_get_array(node)), ==, 2);
	first = json_array_get_object_element(json_node_get_array(node), 1);
	g_assert_cmpstr(json_object_get_string_member(first, "name"), ==, "work");
	g_assert_cmpint(json_object_get_int_member(first, "memory-max"), ==, 1 << 30);
	g_assert_cmpint(json_object_get_int_member(first, "domain-id"), ==, 4);
	g_assert_true(json_object_get_boolean_member(first, "foreground"));
	all = run(fake, 0, "list", "-a", NULL);
	has(all->out->str, "deb");
	templates = run(fake, 0, "templates", NULL);
	g_assert_cmpstr(templates->out->str, ==, "NAME    SIZE     USED  TITLE   DESCRIPTION\ndeb   20 GiB  1.5 GiB  Debian  \n");
}

static void test_show(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) text = NULL, json = NULL, snapshots = NULL;
	g_autoptr(JsonNode) node = NULL;
	JsonArray *array;

	fake_add_vm(fake, "3-work", "Work");
	text = run(fake, 0, "show", "3-work", NULL);
	has(text->out->str, "Title        Work\n");
	has(text->out->str, "Memory       512 MiB to 1 GiB\n");
	has(text->out->str, "xvda  qcow2   20 GiB  1.5 GiB  root.qcow2\n");
	has(text->out->str, "eth0       nat            00:16:3e:01:02:03  10.9.1.2\n");
	has(text->out->str, "clean     2026-09-21 14:13:20  fresh \\x1b[2J\n");
	json = run(fake, 0, "--json", "show", "3-work", NULL);
	node = parse(json->out->str);
	array = json_object_get_array_member(json_node_get_object(node), "snapshots");
	g_assert_cmpstr(json_object_get_string_member(json_array_get_object_element(array, 0), "name"), ==, "clean");
	g_assert_cmpint(json_object_get_int_member(json_array_get_object_element(array, 0), "time"), ==, 1790000000000000000);
	snapshots = run(fake, 0, "snapshots", "3-work", NULL);
	has(snapshots->out->str, "SNAPSHOT  TIME");
	has(snapshots->out->str, "a b");
}

/* Titles, messages and stages that speak to the terminal. */
static void test_hostile(void)
{
	static const char evil[] = "\033]0;owned\007\033[2J\xc2\x9b" "31m\u202Ework\r\nfake\tline";
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) list = NULL, show = NULL, json = NULL, job = NULL, failed = NULL, failed_json = NULL;
	const Session *sessions[6];
	g_autoptr(JsonNode) node = NULL;
	JsonObject *first;

	carrel_vm1_set_description(fake_add_vm(fake, "work", evil), evil);
	list = run(fake, 0, "list", NULL);
	has(list->out->str, "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202ework\\r\\nfake\\tline\n");
	show = run(fake, 0, "show", "work", NULL);
	json = run(fake, 0, "list", "--json", NULL);
	node = parse(json->out->str);
	first = json_array_get_object_element(json_node_get_array(node), 0);
	g_assert_cmpstr(json_object_get_string_member(first, "title"), ==, evil);
	fake->stages = 1;
	fake->stage_text = evil;
	fake->job_error = "org.carrel.Error.Failed";
	fake->job_message = evil;
	job = run(fake, 1, "start", "work", NULL);
	has(job->err->str, "\n    fake");
	failed_json = run(fake, 1, "start", "work", "--json", NULL);
	fake->refuse = "org.carrel.Error.Failed";
	fake->refuse_message = evil;
	failed = run(fake, 1, "pause", "work", NULL);
	memcpy(sessions, (const Session *[]){list, show, json, job, failed, failed_json}, sizeof(sessions));
	for (guint i = 0; i < G_N_ELEMENTS(sessions); i++) {
		g_autofree char *both = g_strconcat(sessions[i]->out->str, sessions[i]->err->str, NULL);

		lacks(both, "\033");
		lacks(both, "\007");
		lacks(both, "\r");
		lacks(both, "\xc2\x9b");
		lacks(both, "\u202E");
	}
}

static void test_huge(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) list = NULL, json = NULL;
	g_autofree char *title = g_strnfill(20000, 'x');
	g_auto(GStrv) lines = NULL;
	g_autoptr(JsonNode) node = NULL;

	for (guint i = 0; i < 500; i++) {
		g_autofree char *name = g_strdup_printf("vm%04u", i);

		fake_add_vm(fake, name, i == 300 ? title : "One of many");
	}
	list = run(fake, 0, "list", NULL);
	lines = g_strsplit(list->out->str, "\n", -1);
	g_assert_cmpint(g_strv_length(lines), ==, 502);
	has(lines[301], title);
	json = run(fake, 0, "list", "--json", NULL);
	node = parse(json->out->str);
	g_assert_cmpint(json_array_get_length(json_node_get_array(node)), ==, 500);
}

static void test_get(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) all = NULL, group = NULL, key = NULL, json = NULL, no_group = NULL, no_key = NULL, broken = NULL;

	fake_add_vm(fake, "work", "Work");
	all = run(fake, 0, "get", "work", NULL);
	g_assert_cmpstr(all->out->str, ==, fake->definition);
	group = run(fake, 0, "get", "work", "vm", NULL);
	g_assert_cmpstr(group->out->str, ==, "title=Work\n");
	key = run(fake, 0, "get", "work", "memory", "most", NULL);
	g_assert_cmpstr(key->out->str, ==, "1G\n");
	json = run(fake, 0, "get", "work", "--json", NULL);
	has(json->out->str, "\"most\" : \"1G\"");
	no_group = run(fake, 3, "get", "work", "moon", NULL);
	has(no_group->err->str, "[moon]");
	no_key = run(fake, 3, "get", "work", "vm", "moon", NULL);
	g_free(fake->definition);
	fake->definition = g_strdup("not a key file");
	broken = run(fake, 1, "get", "work", "vm", NULL);
	has(broken->err->str, "carrelctl edit work");
}

static void test_changes_stats(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) mark = NULL, list = NULL, json = NULL, stats = NULL, stats_json = NULL, one = NULL, foreground = NULL;

	carrel_vm1_set_domain_id(fake_add_vm(fake, "work", "Work"), 3);
	fake_add_vm(fake, "home", "Home");
	mark = run(fake, 0, "changes", "mark", "work", "xvda", NULL);
	g_assert_cmpstr(mark->out->str, ==, "mark-7\n");
	list = run(fake, 0, "changes", "list", "work", "xvda", "mark-7", NULL);
	g_assert_cmpstr(list->out->str, ==, "0 65536\n1048576 131072\n");
	json = run(fake, 0, "changes", "list", "work", "xvda", "mark-7", "--json", NULL);
	has(json->out->str, "\"bytes\" : 196608");
	stats = run(fake, 0, "stats", NULL);
	has(stats->out->str, "memory-total   3 GiB\n");
	has(stats->out->str, "cpus           2\n");
	has(stats->out->str, "cpu-idle       1:30 min\n");
	has(stats->out->str, "work  1.5 s  512 MiB");
	lacks(stats->out->str, "home");
	stats_json = run(fake, 0, "stats", "--json", NULL);
	has(stats_json->out->str, "\"memory-total\" : 3221225472");
	one = run(fake, 0, "stats", "work", NULL);
	lacks(one->out->str, "memory-total");
	carrel_manager1_set_foreground(fake->manager, "/org/carrel/vm/work");
	foreground = run(fake, 0, "foreground", NULL);
	g_assert_cmpstr(foreground->out->str, ==, "work\n");
}

static void test_define_import_export(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autofree char *dir = g_dir_make_tmp("carrelctl-XXXXXX", NULL), *file = g_build_filename(dir, "a.conf", NULL);
	g_autofree char *ova = g_build_filename(dir, "out.OVA", NULL), *content = NULL, *fifo = g_build_filename(dir, "fifo", NULL);
	g_autoptr(Session) define = NULL, import = NULL, export = NULL, again = NULL, failed = NULL, missing = NULL, force = NULL;
	g_autoptr(Session) piped = NULL, large = NULL, waiting = NULL;
	GStatBuf st;

	fake_add_vm(fake, "work", "Work");
	g_assert_true(g_file_set_contents(file, "[vm]\n", -1, NULL));
	define = run(fake, 0, "new", "p", "--definition", file, NULL);
	assert_calls(fake, "Define('p', '[vm]\\n')");
	piped = session_ctl(fake, FALSE, "new", "p", "--definition=-", NULL);
	session_send(piped, "[x]\n");
	session_close_input(piped);
	ends(piped, 0);
	assert_calls(fake, "Define('p', '[x]\\n')");
	large = run(fake, 2, "new", "p", "--definition", "/dev/zero", NULL);
	import = run(fake, 0, "import", "p", file, "--format", "raw", "--template", NULL);
	assert_calls(fake, "Import('p', handle 0, {'format': <'raw'>, 'template': <true>})");
	g_assert_cmpstr(fake->imported->str, ==, "[vm]\n");
	missing = run(fake, 3, "import", "p", "/nonexistent", NULL);
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	waiting = run(fake, 2, "import", "p", fifo, NULL);
	export = run(fake, 0, "export", "work", ova, NULL);
	assert_calls(fake, "Export(handle 0, 'ova')");
	g_assert_true(g_file_get_contents(ova, &content, NULL, NULL));
	g_assert_cmpstr(content, ==, "exported");
	g_assert_cmpint(g_stat(ova, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	again = run(fake, 5, "export", "work", ova, NULL);
	has(again->err->str, "--force");
	fake->job_error = "org.carrel.Error.NoSpace";
	fake->job_message = "full";
	failed = run(fake, 6, "export", "-f", "work", ova, NULL);
	fake->job_error = NULL;
	force = run(fake, 0, "export", "-f", "work", ova, "--format=vhd", NULL);
	/* Nothing half done is left: these are the only files. */
	g_assert_cmpint(g_unlink(file) | g_unlink(ova) | g_unlink(fifo) | g_rmdir(dir), ==, 0);
}

static void test_output_fails(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autofree char *script = g_strconcat(g_getenv("CARRELCTL"), " list >/dev/full", NULL);
	g_autoptr(Session) full = NULL;

	fake_add_vm(fake, "work", "Work");
	full = session_start(fake, FALSE, (const char *const[]){"sh", "-c", script, NULL}, NULL);
	ends(full, 6);
	has(full->err->str, "cannot write to standard output");
}

static void test_help(void)
{
	g_autoptr(Session) help = run(NULL, 0, "--help", NULL), start = run(NULL, 0, "start", "--help", NULL), version = run(NULL, 0, "--version", NULL);
	g_autoptr(Session) named = run(NULL, 0, "help", "start", NULL);

	has(help->out->str, "snapshot-delete");
	lacks(help->out->str, "complete");
	lacks(help->out->str, "--bus");
	has(start->out->str, "carrelctl start [OPTION…] NAME…");
	has(start->out->str, "--passphrase-fd=N");
	g_assert_cmpstr(start->out->str, ==, named->out->str);
	has(version->out->str, "carrelctl ");
}

static void test_bus_option(void)
{
	g_autoptr(Fake) fake = fake_new();
	g_autoptr(Session) session = NULL;

	fake_add_vm(fake, "work", "Work");
	session = run(NULL, 0, "list", "--bus", g_test_dbus_get_bus_address(fake->dbus), NULL);
	has(session->out->str, "work");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/carrelctl/act/calls", test_calls);
	g_test_add_func("/carrelctl/act/usage", test_usage);
	g_test_add_func("/carrelctl/act/not-utf8", test_not_utf8);
	g_test_add_func("/carrelctl/act/exit-codes", test_exit_codes);
	g_test_add_func("/carrelctl/act/nobody-there", test_nobody_there);
	g_test_add_func("/carrelctl/act/several", test_several);
	g_test_add_func("/carrelctl/look/list", test_list);
	g_test_add_func("/carrelctl/look/show", test_show);
	g_test_add_func("/carrelctl/look/hostile", test_hostile);
	g_test_add_func("/carrelctl/look/huge", test_huge);
	g_test_add_func("/carrelctl/look/get", test_get);
	g_test_add_func("/carrelctl/look/changes-stats", test_changes_stats);
	g_test_add_func("/carrelctl/act/define-import-export", test_define_import_export);
	g_test_add_func("/carrelctl/look/output-fails", test_output_fails);
	g_test_add_func("/carrelctl/look/help", test_help);
	g_test_add_func("/carrelctl/look/bus-option", test_bus_option);
	return g_test_run();
}
