/* SPDX-License-Identifier: Apache-2.0 */
/* Runs qemu-img: no shell, resource limits, progress, cancel. */
#include "internal.h"
#include <errno.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_LIMIT      (1 << 20)
#define COMPLAINT_LIMIT 500
#define TOOL_SECONDS    120

void tool_limits(gpointer parent)
{
	/* An image header can ask for gigabytes of tables. qemu-img's threads reserve address space, hence so much. */
	const struct rlimit memory = {4ull << 30, 4ull << 30}, none = {0, 0};

	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It died before it could be waited for: nobody may work on the disks beside the recovery. */
	if (getppid() != GPOINTER_TO_INT(parent))
		_exit(127);
}

char *tool_name(const char *format, const char *path, gboolean backing)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autofree char *absolute = g_canonicalize_filename(path, NULL), *text = NULL;
	g_autoptr(JsonNode) root = NULL;

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "driver");
	json_builder_add_string_value(builder, format);
	if (!backing && !strcmp(format, "qcow2")) {
		json_builder_set_member_name(builder, "backing");
		json_builder_add_null_value(builder);
	}
	json_builder_set_member_name(builder, "file");
	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "driver");
	json_builder_add_string_value(builder, g_str_has_prefix(absolute, "/dev/") ? "host_device" : "file");
	json_builder_set_member_name(builder, "filename");
	json_builder_add_string_value(builder, absolute);
	json_builder_end_object(builder);
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	text = json_to_string(root, FALSE);
	return g_strconcat("json:", text, NULL);
}

static void set_failure(GError **error, const char *subject, const char *tool, GString *complaint, int status)
{
	static const struct {
		const char *text;
		DiskErrorCode code;
	} known[] = {
		{"No space left", DISK_ERROR_NO_SPACE},
		{"Disk quota", DISK_ERROR_NO_SPACE},
		{"\" lock", DISK_ERROR_BUSY},
		{"already in use", DISK_ERROR_BUSY},
		{"No such file", DISK_ERROR_NOT_FOUND},
		{"not in qcow2 format", DISK_ERROR_CORRUPT},
		{"orrupt", DISK_ERROR_CORRUPT},
		{"not supported", DISK_ERROR_UNSUPPORTED},
		{"Unsupported", DISK_ERROR_UNSUPPORTED},
		{"nsupported", DISK_ERROR_UNSUPPORTED},
	};
	DiskErrorCode code = DISK_ERROR_IO;
	g_autofree char *text = g_utf8_make_valid(complaint->str, (gssize)complaint->len);

	g_strstrip(text);
	g_strdelimit(text, "\n\r\t", ' ');
	for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
		if (strstr(text, known[i].text)) {
			code = known[i].code;
			break;
		}
	if (*text)
		g_set_error(error, DISK_ERROR, code, "%s: %s", subject, text);
	else
		g_set_error(error, DISK_ERROR, code, "%s: %s was ended (wait status %d)", subject, tool, status);
}

typedef struct {
	const DiskJob *job;
	ToolLine line;
	gpointer data;
	GString *pending;
} Output;

/* A piece of output up to '\n' or '\r'. */
static gboolean take_piece(Output *output, GError **error)
{
	char *text = g_strstrip(output->pending->str);
	gboolean ok = TRUE;

	if (text[0] == '(' && g_str_has_suffix(text, "/100%)")) {
		if (output->job && output->job->progress)
			output->job->progress(CLAMP(g_ascii_strtod(text + 1, NULL) / 100, 0, 1), output->job->data);
	} else if (*text && output->line) {
		ok = output->line(text, output->data, error);
	}
	g_string_truncate(output->pending, 0);
	return ok;
}

static gboolean take_output(Output *output, const char *bytes, gssize n, GError **error)
{
	for (gssize i = 0; i < n; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			if (!take_piece(output, error))
				return FALSE;
		} else if (output->pending->len < LINE_LIMIT) {
			g_string_append_c(output->pending, bytes[i]);
		} else {
			g_set_error_literal(error, DISK_ERROR, DISK_ERROR_INVALID, "a line of its output is too long");
			return FALSE;
		}
	}
	return TRUE;
}

/* Reads both pipes until both are at their end. */
static gboolean pump(int out, int err, Output *output, GString *complaint, GError **error)
{
	GCancellable *cancellable = output->job ? output->job->cancellable : NULL;
	int cancel = cancellable ? g_cancellable_get_fd(cancellable) : -1;
	gint64 end = output->job ? G_MAXINT64 : g_get_monotonic_time() + TOOL_SECONDS * G_USEC_PER_SEC;
	struct pollfd fds[] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {cancel, POLLIN, 0}};
	char bytes[8192];
	gboolean ok = TRUE;

	while (ok && (fds[0].fd >= 0 || fds[1].fd >= 0)) {
		poll(fds, 3, 500);
		if (g_cancellable_set_error_if_cancelled(cancellable, error))
			ok = FALSE;
		if (ok && g_get_monotonic_time() > end) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "no end after %d seconds", TOOL_SECONDS);
			ok = FALSE;
		}
		for (int i = 0; ok && i < 2; i++) {
			gssize n;

			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			n = read(fds[i].fd, bytes, sizeof bytes);
			if (n < 0 && (errno == EAGAIN || errno == EINTR))
				continue;
			if (n <= 0)
				fds[i].fd = -1;
			else if (i == 0)
				ok = take_output(output, bytes, n, error);
			else
				g_string_append_len(complaint, bytes,
					MIN(n, COMPLAINT_LIMIT - MIN(COMPLAINT_LIMIT, (gssize)complaint->len)));
		}
	}
	if (ok && output->pending->len)
		ok = take_piece(output, error);
	if (cancel >= 0)
		g_cancellable_release_fd(cancellable);
	return ok;
}

gboolean tool_run(
	const char *subject, const char *const *argv, const DiskJob *job, ToolLine line, gpointer data, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_autoptr(GString) pending = g_string_new(NULL), complaint = g_string_new(NULL);
	Output output = {job, line, data, pending};
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) cause = NULL;
	gboolean ok;

	if (job && g_cancellable_set_error_if_cancelled(job->cancellable, error))
		return FALSE;
	g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
	g_subprocess_launcher_set_child_setup(launcher, tool_limits, GINT_TO_POINTER(getpid()), NULL);
	process = g_subprocess_launcher_spawnv(launcher, argv, &cause);
	if (!process) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED, "%s: cannot run %s: %s", subject, argv[0],
			cause->message);
		return FALSE;
	}
	ok = pump(g_unix_input_stream_get_fd(G_UNIX_INPUT_STREAM(g_subprocess_get_stdout_pipe(process))),
		g_unix_input_stream_get_fd(G_UNIX_INPUT_STREAM(g_subprocess_get_stderr_pipe(process))), &output,
		complaint, &cause);
	if (!ok)
		g_subprocess_force_exit(process);
	g_subprocess_wait(process, NULL, NULL);
	if (!ok) {
		if (!g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
			g_prefix_error(&cause, "%s: %s: ", subject, argv[0]);
		g_propagate_error(error, g_steal_pointer(&cause));
		return FALSE;
	}
	if (!g_subprocess_get_successful(process)) {
		set_failure(error, subject, argv[0], complaint, g_subprocess_get_status(process));
		return FALSE;
	}
	return TRUE;
}
