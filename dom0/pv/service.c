// SPDX-License-Identifier: Apache-2.0
#include "service.h"
#include "xen.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct service {
	GMainLoop *loop;
	int status;
	int manager; /* socket of the service manager, or -1 */
	guint term, interrupt, watchdog;
};

gboolean service_parse(int *argc, char ***argv, const char *summary, const GOptionEntry *entries, const gboolean *version,
		       uint32_t *domid, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(summary);

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return FALSE;
	if (*version)
		return TRUE;
	if (*argc != 2 || store_parse_uint((*argv)[1], 0x7fef, domid) || !*domid) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "one domain number from 1 to 32751 is needed, as 'xl list' shows it");
		return FALSE;
	}
	return TRUE;
}

static gboolean on_signal(gpointer data)
{
	service_end(data, NULL);
	return G_SOURCE_CONTINUE;
}

/* sd_notify(3) opens a socket each time, which a sandbox forbids: this one is opened before. */
static int open_manager(void)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void tell_manager(const struct service *s, const char *what)
{
	if (s->manager >= 0 && send(s->manager, what, strlen(what), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		g_debug("service manager: %s", g_strerror(errno));
}

static gboolean on_watchdog(gpointer data)
{
	tell_manager(data, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static void start_watchdog(struct service *s)
{
	const char *period = g_getenv("WATCHDOG_USEC");
	guint64 usec;

	if (s->manager >= 0 && period && g_ascii_string_to_unsigned(period, 10, 2000, G_MAXUINT32, &usec, NULL))
		s->watchdog = g_timeout_add((guint)(usec / 2000), on_watchdog, s);
}

struct service *service_new(void)
{
	struct service *s = g_new0(struct service, 1);

	s->loop = g_main_loop_new(NULL, FALSE);
	signal(SIGPIPE, SIG_IGN); /* who reads from us may go away */
	s->manager = open_manager();
	s->term = g_unix_signal_add(SIGTERM, on_signal, s);
	s->interrupt = g_unix_signal_add(SIGINT, on_signal, s);
	start_watchdog(s);
	return s;
}

int service_run(struct service *s)
{
	tell_manager(s, "READY=1");
	g_main_loop_run(s->loop);
	tell_manager(s, "STOPPING=1");
	return s->status;
}

void service_end(struct service *s, const char *problem)
{
	if (problem) {
		g_warning("%s", problem);
		s->status = 1;
	}
	g_main_loop_quit(s->loop);
}

void service_free(struct service *s)
{
	g_source_remove(s->term);
	g_source_remove(s->interrupt);
	g_clear_handle_id(&s->watchdog, g_source_remove);
	if (s->manager >= 0)
		close(s->manager);
	g_main_loop_unref(s->loop);
	g_free(s);
}
