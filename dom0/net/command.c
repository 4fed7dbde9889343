/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that this room drives (ip, tc, nft, dnsmasq) and /proc/sys. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

G_DEFINE_QUARK(net-error-quark, net_error)

/* The first lines of what a program said; an error message is no place for pages. */
static char *first_lines(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", 4);
	if (g_strv_length(lines) > 3)
		g_clear_pointer(&lines[3], g_free);
	return g_strstrip(g_strjoinv("; ", lines));
}

char *net_run(const char *const *argv, const char *input, GError **error)
{
	GSubprocessFlags flags = G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE;
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(flags | G_SUBPROCESS_FLAGS_STDIN_PIPE);
	g_autofree char *out = NULL, *err = NULL, *said = NULL;

	g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
	g_autoptr(GSubprocess) process = g_subprocess_launcher_spawnv(launcher, argv, error);
	if (!process) {
		g_prefix_error(error, "network: cannot run %s: ", argv[0]);
		return NULL;
	}
	if (!g_subprocess_communicate_utf8(process, input ? input : "", NULL, &out, &err, error)) {
		g_prefix_error(error, "network: %s: ", argv[0]);
		return NULL;
	}
	if (g_subprocess_get_successful(process))
		return g_steal_pointer(&out);
	said = first_lines(err && *err ? err : out);
	g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: %s failed: %s", argv[0], *said ? said : "it said nothing");
	return NULL;
}

gboolean net_ip_batch(GString *commands, GError **error)
{
	const char *argv[] = { "ip", "-batch", "-", NULL };
	g_autofree char *out = NULL;

	if (!commands->len)
		return TRUE;
	out = net_run(argv, commands->str, error);
	g_string_truncate(commands, 0);
	return out != NULL;
}

static char *sysctl_path(const char *format, va_list args)
{
	g_autofree char *name = g_strdup_vprintf(format, args);
	return g_strconcat("/proc/sys/net/", name, NULL);
}

gboolean net_sysctl(const char *value, GError **error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *path = sysctl_path(format, args);
	va_end(args);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	gboolean done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	int reason = errno;

	if (fd >= 0)
		close(fd);
	if (!done)
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: cannot set %s to %s: %s", path, value, g_strerror(reason));
	return done;
}

char *net_sysctl_read(GError **error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *path = sysctl_path(format, args), *text = NULL;
	va_end(args);

	if (!g_file_get_contents(path, &text, NULL, NULL)) {
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: cannot read %s; the kernel needs IPv4 and IPv6", path);
		return NULL;
	}
	return g_strstrip(g_steal_pointer(&text));
}
