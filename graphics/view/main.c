// SPDX-License-Identifier: Apache-2.0
/* carrel-view DOMID: opens everything, closes the door behind it, and serves one VM until that is gone. */
#include "sandbox.h"
#include "service.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_ended(void *data, const char *problem)
{
	service_end(data, problem);
}

/* What a next life needs, in a file that is memory: it is there however this life ends. */
static struct display_saved *open_saved(const char *dir, uint32_t domid, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/view-%u.state", dir, domid);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *saved = MAP_FAILED;

	if (fd >= 0 && !posix_fallocate(fd, 0, sizeof(struct display_saved)))
		saved = mmap(NULL, sizeof(struct display_saved), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (saved == MAP_FAILED) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s; name another directory with --state", path,
			    g_strerror(errno));
		saved = NULL;
	}
	if (fd >= 0)
		close(fd);
	return saved;
}

static char *state, *title, *app_id;
static gboolean vfb, follow_size, outlive, no_sandbox, version;

static const GOptionEntry entries[] = {
	{"state", 's', 0, G_OPTION_ARG_FILENAME, &state, "Keep there what the next run needs to go on (default: nothing is kept)",
	 "DIRECTORY"},
	{"title", 't', 0, G_OPTION_ARG_STRING, &title, "Title of the windows (default: the domain's number)", "TEXT"},
	{"app-id", 'a', 0, G_OPTION_ARG_STRING, &app_id, "Application id of the windows (default: org.carrel.view)", "ID"},
	{"vfb", 0, 0, G_OPTION_ARG_NONE, &vfb, "Serve vfb and its vkbd as well, which QEMU does otherwise", NULL},
	{"follow-size", 0, 0, G_OPTION_ARG_NONE, &follow_size, "Let a running guest's display start over when the window's size changes",
	 NULL},
	{"outlive", 0, 0, G_OPTION_ARG_NONE, &outlive, "When the compositor goes away serve the guest on without it, until told to end",
	 NULL},
	{"no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "Keep all system calls, to debug", NULL},
	{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
	{NULL, 0, 0, 0, NULL, NULL, NULL},
};

static int serve(struct xen *xen, struct wl_display *wayland, const struct view_options *options, GError **error)
{
	struct service *s = service_new();
	struct view *v = view_new(xen, wayland, options, on_ended, s);
	int status = 1;

	g_message("domain %u: serving its screen and input", options->domid); /* opens the journal as well */
	if (no_sandbox || sandbox_enter(NULL, error))
		status = service_run(s);
	view_free(v);
	service_free(s);
	return status;
}

static int run(int argc, char **argv, GError **error)
{
	struct view_options options = {0};
	g_autofree char *name = NULL;
	struct wl_display *wayland;
	struct xen *xen;
	int status;

	if (!service_parse(&argc, &argv, "DOMID - show a guest's screen and give it input", entries, &version, &options.domid, error))
		return 2;
	if (version) {
		g_print("carrel-view %s\n", CARREL_VERSION);
		return 0;
	}
	name = g_strdup_printf("VM %u", options.domid);
	options.title = title ? title : name;
	options.app_id = app_id ? app_id : "org.carrel.view";
	options.vfb = vfb;
	options.follow_size = follow_size;
	options.outlive = outlive;
	if (state && !(options.saved = open_saved(state, options.domid, error)))
		return 1;
	xen = xen_real_open(options.domid, error);
	if (!xen)
		return 1;
	wayland = wl_display_connect(NULL);
	if (!wayland) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "no compositor at WAYLAND_DISPLAY: %s; is it running, and may this user open its socket?",
			    g_strerror(errno));
		xen->ops->close(xen);
		return 1;
	}
	status = serve(xen, wayland, &options, error);
	xen->ops->close(xen);
	return status;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	int status;

	setlocale(LC_ALL, "");
	status = run(argc, argv, &error);
	if (error)
		g_printerr("carrel-view: %s\n", error->message);
	return status;
}
