/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a QMP socket lies, stalls, floods or hangs up: each call ends in time with an error, and disks stay as they
 * are. */
#include "common.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

typedef struct {
	char *dir, *path;
	int listener;
	void (*behave)(int fd);
	GThread *thread;
} Peer;

static GPtrArray *heard; /* commands that the scripted peer got */

static gboolean say(int fd, const char *text)
{
	return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Until the client goes. */
static void linger(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

static gpointer serve(gpointer data)
{
	Peer *peer = data;
	int fd;

	while ((fd = accept(peer->listener, NULL, NULL)) >= 0) {
		peer->behave(fd);
		close(fd);
	}
	return NULL;
}

static Peer *peer_start(void (*behave)(int fd))
{
	Peer *peer = g_new0(Peer, 1);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	peer->dir = fresh_dir();
	peer->path = in_dir(peer->dir, "qmp");
	peer->behave = behave;
	g_strlcpy(address.sun_path, peer->path, sizeof address.sun_path);
	peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(peer->listener, 5), ==, 0);
	peer->thread = g_thread_new("peer", serve, peer);
	return peer;
}

static void peer_stop(Peer *peer)
{
	shutdown(peer->listener, SHUT_RDWR);
	g_thread_join(peer->thread);
	close(peer->listener);
	remove_dir(peer->dir);
	g_free(peer->path);
	g_free(peer);
}

static void drip(int fd)
{
	while (say(fd, "{"))
		g_usleep(5000);
}

static void flood(int fd)
{
	g_autofree char *much = g_strnfill(1 << 20, ' ');

	while (say(fd, much))
		;
}

static void garbage(int fd)
{
	say(fd, "SSH-2.0-OpenSSH\r\n");
	linger(fd);
}

static void array(int fd)
{
	say(fd, "[1, 2]\n");
	linger(fd);
}

static void other_object(int fd)
{
	say(fd, "{\"QMP\": 1}\n");
	linger(fd);
}

static void not_utf8(int fd)
{
	say(fd, "{\"QMP\": \"\xff\xfe\"}\n");
	linger(fd);
}

static void deep(int fd)
{
	g_autofree char *much = g_strnfill(1 << 20, '[');

	say(fd, much);
	say(fd, "\n");
	linger(fd);
}

static void hang_up(int fd)
{
	say(fd, "{\"QMP\"");
}

static void hang_up_later(int fd)
{
	char line[4096];

	say(fd, GREETING);
	(void)!read(fd, line, sizeof line);
}

static void only_events(int fd)
{
	say(fd, GREETING);
	while (say(fd, "{\"event\": \"RESUME\", \"id\": 1, \"timestamp\": {\"seconds\": 1}}\n"))
		;
}

static void wrong_serial(int fd)
{
	say(fd, GREETING);
	say(fd, "{\"return\": {}, \"id\": 77}\n{\"return\": {}}\n{\"return\": {}, \"id\": \"1\"}\n{\"error\": 5, \"id\": 1}\n");
	linger(fd);
}

static void odd_error(int fd)
{
	say(fd, GREETING);
	say(fd, "{\"error\": {\"desc\": [7]}, \"id\": 1}\n");
	linger(fd);
}

static void try_open(void (*behave)(int fd), GQuark domain, gint code)
{
	Peer *peer = peer_start(behave);
	g_autoptr(GError) error = NULL;
	gint64 start = g_get_monotonic_time();
	Qmp *qmp = qmp_open(peer->path, &error);

	g_assert_null(qmp);
	g_assert_error(error, domain, code);
	g_assert_nonnull(strstr(error->message, domain == G_IO_ERROR ? peer->path : "no reason"));
	g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
	peer_stop(peer);
}

static void test_hostile(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *long_path = g_strnfill(200, 'x');

	qmp_limit_ms = 300;
	try_open(linger, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	try_open(drip, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	try_open(only_events, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	try_open(wrong_serial, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	qmp_limit_ms = 20000;
	try_open(flood, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
	try_open(garbage, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	try_open(array, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	try_open(other_object, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	try_open(not_utf8, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	try_open(deep, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	try_open(hang_up, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
	try_open(hang_up_later, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED);
	try_open(odd_error, DISK_ERROR, DISK_ERROR_IO);
	g_assert_null(qmp_open("/nowhere/qmp", &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_null(qmp_open(long_path, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG);
}

/* Answers as a table says; what it doesn't know is an error. */
typedef struct {
	const char *command, *answer;
} Line;
static const Line *script;
static gboolean stalled; /* once is for good: one main loop does all */

static const char *answer_to(const char *command)
{
	for (const Line *line = script; line->command; line++)
		if (!strcmp(line->command, command))
			return line->answer;
	return NULL;
}

static void scripted(int fd)
{
	FILE *stream;
	char line[65536];

	if (stalled) {
		linger(fd);
		return;
	}
	stream = fdopen(dup(fd), "r");
	say(fd, GREETING);
	while (fgets(line, sizeof line, stream)) {
		g_autoptr(JsonNode) root = js_parse(line, -1, NULL);
		JsonObject *object = json_node_get_object(root);
		const char *command = js_string(object, "execute"), *answer = answer_to(command);
		g_autofree char *reply = NULL;

		g_ptr_array_add(heard, g_strdup(line));
		stalled |= !g_strcmp0(answer, "stall");
		if (stalled)
			continue;
		reply = g_strdup_printf(
			answer ? "{\"return\": %s, \"id\": %" G_GINT64_FORMAT "}\n"
			       : "{\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}, \"id\": %" G_GINT64_FORMAT
				 "}\n",
			answer ? answer : "not today", js_int(object, "id"));
		say(fd, "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {}}\n");
		say(fd, reply);
	}
	fclose(stream);
}

#define NODES(path)                                                                                                                             \
	"[{\"node-name\": \"xvda-qcow2\", \"drv\": \"qcow2\", \"ro\": false, \"file\": \"" path                                                 \
	"\", \"cache\": {\"direct\": false},"                                                                                                   \
	"  \"dirty-bitmaps\": [{\"name\": \"mark-1+\", \"persistent\": true, \"recording\": true, \"granularity\": 65536}, 5, {\"name\": 3}]}," \
	" {\"node-name\": \"#block1\", \"drv\": \"file\", \"file\": \"" path                                                                    \
	"\"}, 17, [], {\"node-name\": 4}, {\"drv\": null}]"
#define GRAPH                                                                                                                                                  \
	"{\"nodes\": [{\"id\": 1, \"type\": \"block-backend\", \"name\": \"\"}, {\"id\": 2, \"type\": \"block-driver\", \"name\": \"xvda-qcow2\"},"            \
	" {\"id\": 3, \"type\": \"block-driver\", \"name\": \"#block1\"}, 6, {\"id\": \"x\"}], \"edges\": [{\"parent\": 1, \"child\": 2, \"name\": \"root\"}," \
	" {\"parent\": 2, \"child\": 3, \"name\": \"file\"}, {\"parent\": 2, \"child\": 2, \"name\": \"backing\"}, {\"parent\": 9, \"child\": 8}, null]}"

/* The device is found by its disk and named as QEMU wants it. */
static void test_throttle(void)
{
	static const Line good[] = {{"qmp_capabilities", "{}"}, {"query-named-block-nodes", NODES("/vms/a.qcow2")},
		{"x-debug-query-block-graph", GRAPH}, {"block_set_io_throttle", "{}"},
		{"query-block",
			"[3, {\"qdev\": \"/machine/other\", \"inserted\": {\"node-name\": \"xvdb-qcow2\"}},"
			" {\"qdev\": \"/machine/xen-block\", \"inserted\": {\"node-name\": \"xvda-qcow2\"}}]"},
		{NULL, NULL}};
	Peer *peer;
	g_autoptr(JsonNode) root = NULL;
	JsonObject *arguments;

	heard = g_ptr_array_new_with_free_func(g_free);
	script = good;
	peer = peer_start(scripted);
	assert_works(disk_throttle(peer->path, "/vms/a.qcow2", 50000000, 0, &error));
	assert_fails(disk_throttle(peer->path, "/vms/b.qcow2", 1, 1, &error), DISK_ERROR_NOT_FOUND);
	peer_stop(peer);
	root = js_parse(heard->pdata[4], -1, NULL);
	g_assert_cmpstr(js_string(json_node_get_object(root), "execute"), ==, "block_set_io_throttle");
	arguments = js_object(json_node_get_object(root), "arguments");
	g_assert_cmpstr(js_string(arguments, "id"), ==, "/machine/xen-block");
	g_assert_cmpint(js_int(arguments, "bps"), ==, 50000000);
	g_assert_true(json_object_has_member(arguments, "iops") && json_object_has_member(arguments, "bps_rd"));
	g_ptr_array_unref(heard);
}

static void assert_nice(Vm *vm, int nice)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/task", g_subprocess_get_identifier(vm->process));
	g_autoptr(GDir) threads = g_dir_open(path, 0, NULL);
	const char *thread;

	while ((thread = g_dir_read_name(threads))) {
		int is;

		errno = 0;
		is = getpriority(PRIO_PROCESS, (id_t)atoi(thread));
		g_assert_true(is == nice || errno == ESRCH);
	}
}

/* All its threads, down and up again. */
static void test_rank(void)
{
	static const char *const disks[] = {"a.qcow2", NULL};
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2");
	Vm *vm;

	assert_works(disk_create(path, MIB, &error));
	vm = vm_start(dir, disks);
	assert_works(disk_rank(vm->qmp, 10, &error));
	assert_nice(vm, 10);
	assert_works(disk_rank(vm->qmp, 0, &error));
	assert_nice(vm, 0);
	vm_stop(vm);
	remove_dir(dir);
}

/* A process in the place of a back end's kernel thread, which is known by its name. */
static GPid play_thread(const char *name)
{
	GPid pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (;;)
			pause();
	}
	return pid;
}

static int nice_of(GPid pid)
{
	return getpriority(PRIO_PROCESS, (id_t)pid);
}

static gboolean named(GPid pid, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid), *comm = NULL;

	return g_file_get_contents(path, &comm, NULL, NULL) && g_str_has_prefix(comm, name);
}

static void test_rank_kernel(void)
{
	static const char *const names[] = {"40771.xvdb-0", "40771.xvdb-1", "40771.xvdc-0", "4077.xvdb-0", "40771.xvdd"};
	GPid pids[G_N_ELEMENTS(names)];

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		pids[i] = play_thread(names[i]);
	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		while (!named(pids[i], names[i]))
			g_usleep(1000);
	assert_works(disk_rank_kernel(40771, 2, 13, &error));
	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(nice_of(pids[i]), ==, i < 3 ? 13 : 0);
	assert_fails(disk_rank_kernel(40771, 3, 0, &error), DISK_ERROR_NOT_FOUND);
	g_assert_cmpint(nice_of(pids[2]), ==, 0);
	assert_fails(disk_rank_kernel(40772, 1, 13, &error), DISK_ERROR_NOT_FOUND);
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

static void put(const char *dir, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_text(const char *dir, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *is = NULL;

	g_assert_true(g_file_get_contents(path, &is, NULL, NULL));
	g_assert_cmpstr(is, ==, text);
}

/* A domain's device as the kernel shows it, or a group. */
static void put_dir(const char *parent, const char *name, const char *number)
{
	g_autofree char *dir = g_build_filename(parent, name, NULL);

	g_assert_cmpint(mkdir(dir, 0700), ==, 0);
	if (number)
		put(dir, "physical_device", number);
}

/* Plain files in the place of the kernel's. */
static void test_throttle_kernel(void)
{
	char *groups = fresh_dir(), *back_ends = fresh_dir();
	g_autofree char *group = g_build_filename(groups, "domain-40773", NULL), *number = NULL;
	GPid pid = play_thread("40773.xvdb-0");

	while (!named(pid, "40773.xvdb-0"))
		g_usleep(1000);
	put_dir(back_ends, "vbd-40773-51712", "\n"); /* not connected, or QEMU's */
	put_dir(back_ends, "vbd-40773-51728", "fd:1f\n");
	put_dir(back_ends, "vbd-4077-51728", "7:1\n");
	put_dir(back_ends, "vif-40773-0", NULL);
	assert_works(disk_throttle_kernel(groups, back_ends, 40773, 0, 0, &error)); /* nothing to do */
	g_assert_false(g_file_test(group, G_FILE_TEST_EXISTS));
	assert_fails(disk_throttle_kernel(groups, back_ends, 40773, 1, 0, &error), DISK_ERROR_NOT_FOUND);
	g_assert_false(g_file_test(group, G_FILE_TEST_EXISTS));
	put(groups, "cgroup.subtree_control", "");
	assert_fails(disk_throttle_kernel(groups, back_ends, 40773, 1, 0, &error), DISK_ERROR_NOT_FOUND); /* no io.max in it */
	assert_text(groups, "cgroup.subtree_control", "+io");
	put(group, "io.max", "");
	put(group, "cgroup.procs", "");
	assert_works(disk_throttle_kernel(groups, back_ends, 40773, 8 * MIB, 200, &error));
	assert_text(group, "io.max", "253:31 rbps=8388608 wbps=8388608 riops=200 wiops=200");
	number = g_strdup_printf("%d", (int)pid);
	assert_text(group, "cgroup.procs", number);
	put(group, "io.max", "");
	assert_works(disk_throttle_kernel(groups, back_ends, 40773, 0, 0, &error));
	assert_text(group, "io.max", "253:31 rbps=max wbps=max riops=max wiops=max");
	disk_forget_groups(groups); /* it is not empty */
	g_assert_true(g_file_test(group, G_FILE_TEST_EXISTS));
	put_dir(groups, "domain-40774", NULL);
	put_dir(groups, "daemon", NULL);
	disk_forget_groups(groups);
	put_dir(groups, "domain-40774", NULL); /* it had gone */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_assert_true(run_ok((const char *const[]){"rm", "-rf", groups, back_ends, NULL}, NULL));
	g_free(groups);
	g_free(back_ends);
}

/* A chain that bites its tail, and answers of other types than promised. */
static void test_lies(void)
{
	static const Line cycle[] = {{"qmp_capabilities", "{}"}, {"query-named-block-nodes", NODES("/proc/self/exe")},
		{"x-debug-query-block-graph", GRAPH}, {NULL, NULL}};
	static const Line types[] = {{"qmp_capabilities", "[]"}, {"query-named-block-nodes", "\"none\""},
		{"x-debug-query-block-graph", "[[]]"}, {"query-block", "{}"}, {NULL, NULL}};
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2");
	Peer *peer;

	heard = g_ptr_array_new_with_free_func(g_free);
	script = types;
	peer = peer_start(scripted);
	assert_fails(disk_throttle(peer->path, "/vms/a.qcow2", 1, 1, &error), DISK_ERROR_NOT_FOUND);
	assert_works(disk_create(path, MIB, &error));
	assert_fails(disk_mark(path, peer->path, &error) != NULL, DISK_ERROR_NOT_FOUND);
	{
		const char *disks[] = {"a.qcow2", NULL};

		assert_fails(disk_snapshot(dir, disks, peer->path, "one", NULL, &error), DISK_ERROR_NOT_FOUND);
	}
	script = cycle;
	{
		g_autoptr(Qmp) qmp = qmp_open(peer->path, NULL);
		g_autoptr(GPtrArray) nodes = qmp_nodes(qmp, NULL);

		g_assert_cmpuint(nodes->len, ==, 2);
		g_assert_cmpuint(qmp_node(nodes, "xvda-qcow2")->bitmaps->len, ==, 1);
		g_assert_cmpstr(qmp_node(nodes, "xvda-qcow2")->backing, ==, "xvda-qcow2");
	}
	{
		g_autofree char *text = g_strdup_printf(NODES("%s"), path, path);
		const Line own[] = {{"qmp_capabilities", "{}"}, {"query-named-block-nodes", text},
			{"x-debug-query-block-graph", GRAPH}, {NULL, NULL}};

		script = own;
		assert_fails(disk_changed(path, peer->path, "mark-1", &error) != NULL, DISK_ERROR_CORRUPT);
		peer_stop(peer);
	}
	g_ptr_array_unref(heard);
	remove_dir(dir);
}

/* QEMU stops answering in the middle: what is left is put right once it is gone. */
static void test_stall(void)
{
	static const char *const disks[] = {"a.qcow2", NULL};
	char *dir = fresh_dir();
	g_autofree char *path = in_dir(dir, "a.qcow2"), *journal = in_dir(dir, JOURNAL_FILE);
	g_autofree char *text = g_strdup_printf(NODES("%s"), path, path);
	const Line at_reopen[] = {{"qmp_capabilities", "{}"}, {"query-named-block-nodes", text},
		{"x-debug-query-block-graph", GRAPH}, {"blockdev-add", "{}"}, {"blockdev-reopen", "stall"},
		{NULL, NULL}};
	g_autoptr(GError) error = NULL;
	Peer *peer;

	heard = g_ptr_array_new_with_free_func(g_free);
	assert_works(disk_create(path, 16 * MIB, &error));
	image_write(path, 7, 0, 1);
	qmp_limit_ms = 200;
	script = at_reopen;
	peer = peer_start(scripted);
	g_assert_false(disk_snapshot(dir, disks, peer->path, "one", NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
	peer_stop(peer);
	g_assert_true(g_file_test(journal, G_FILE_TEST_EXISTS));
	g_assert_true(image_has(path, 7, 0, 1));
	assert_works(disk_recover(dir, &error));
	g_assert_false(g_file_test(journal, G_FILE_TEST_EXISTS));
	g_assert_true(image_has(path, 7, 0, 1));
	assert_works(disk_snapshot(dir, disks, NULL, "one", NULL, &error));
	g_ptr_array_unref(heard);
	remove_dir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disk/qmp/hostile", test_hostile);
	g_test_add_func("/disk/qmp/throttle", test_throttle);
	g_test_add_func("/disk/qmp/rank", test_rank);
	g_test_add_func("/disk/qmp/rank-kernel", test_rank_kernel);
	g_test_add_func("/disk/qmp/throttle-kernel", test_throttle_kernel);
	g_test_add_func("/disk/qmp/lies", test_lies);
	g_test_add_func("/disk/qmp/stall", test_stall);
	return g_test_run();
}
