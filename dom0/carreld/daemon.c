/* SPDX-License-Identifier: Apache-2.0 */
/* The process: options, bus, systemd, the end. */
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <systemd/sd-daemon.h>

#include "carreld.h"
#include "disk/disk.h"

#define QUIT_LIMIT 20 /* seconds for workers that are under way */

typedef struct {
	Manager manager;
	GMainLoop *loop;
	int status;
	gboolean named, quitting;
} Daemon;

static gboolean read_capacity(Manager *manager, GError **error)
{
	g_autofree char *path = g_build_filename(manager->config_dir, "carreld.conf", NULL);
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autoptr(GError) missing = NULL;

	manager->capacity = (ShareMachine){ .disk_bps = 500 << 20, .disk_iops = 10000 };
	if (!g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, &missing)) {
		if (g_error_matches(missing, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return TRUE;
		return carrel_fail(error, CARREL_ERROR_INVALID, "%s: %s", path, missing->message);
	}
	if (g_key_file_has_key(keys, "machine", "disk-bandwidth", NULL))
		manager->capacity.disk_bps = g_key_file_get_uint64(keys, "machine", "disk-bandwidth", NULL);
	if (g_key_file_has_key(keys, "machine", "disk-requests", NULL))
		manager->capacity.disk_iops = g_key_file_get_uint64(keys, "machine", "disk-requests", NULL);
	manager->resolver = g_key_file_get_string(keys, "network", "resolver", NULL);
	manager->private_domains = g_key_file_get_string_list(keys, "network", "private-domains", NULL, NULL);
	manager->capacity.net_bps = g_key_file_get_uint64(keys, "machine", "network-bandwidth", NULL);
	return TRUE;
}

static gboolean quit_now(gpointer data)
{
	Daemon *daemon = data;

	g_main_loop_quit(daemon->loop);
	return G_SOURCE_REMOVE;
}

static gboolean quit_when_idle(gpointer data)
{
	Daemon *daemon = data;

	if (!daemon->manager.workers)
		g_main_loop_quit(daemon->loop);
	return G_SOURCE_CONTINUE;
}

/* VMs run on. What a worker does now may end; what doesn't is put right by the next daemon. */
static gboolean quit(gpointer data)
{
	Daemon *daemon = data;

	if (daemon->quitting)
		return quit_now(data);
	daemon->quitting = TRUE;
	sd_notify(0, "STOPPING=1");
	disks_tidy_stop_all(&daemon->manager);
	g_timeout_add(100, quit_when_idle, daemon);
	g_timeout_add_seconds(QUIT_LIMIT, quit_now, daemon);
	quit_when_idle(daemon);
	return G_SOURCE_CONTINUE;
}

static gboolean watchdog(gpointer data)
{
	(void)data;
	sd_notify(0, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static void name_acquired(GDBusConnection *bus, const char *name, gpointer data)
{
	Daemon *daemon = data;
	guint64 every = 0;

	(void)bus, (void)name;
	daemon->named = TRUE;
	sd_notify(0, "READY=1");
	/* In good time, and no oftener: it is the only clock here when nothing happens. */
	if (sd_watchdog_enabled(0, &every) > 0)
		g_timeout_add_seconds(MAX(every / 2 / G_USEC_PER_SEC, 1), watchdog, NULL);
}

static void name_lost(GDBusConnection *bus, const char *name, gpointer data)
{
	Daemon *daemon = data;

	(void)bus;
	g_printerr("carreld: %s\n", daemon->named ? "the bus is gone" : "another carreld runs, or the D-Bus policy does not let this one");
	(void)name;
	daemon->status = 1;
	g_main_loop_quit(daemon->loop);
}

static gboolean begin(Daemon *daemon, const Seams *seams, GError **error)
{
	Manager *manager = &daemon->manager;

	/* What we make is for root's eyes only. */
	umask(077);
	manager->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
	if (!manager->bus || !read_capacity(manager, error))
		return FALSE;
	manager->groups = disk_groups();
	if (!manager->groups)
		g_message("no control group of its own: disks that the kernel serves have no limits in the background");
	manager->hv = seams->hv(error);
	if (!manager->hv)
		return FALSE;
	manager->auth = seams->auth(manager->bus, error);
	manager->machine = manager->auth ? seams->machine(manager->bus, error) : NULL;
	return manager->machine && manager_start(manager, error);
}

static gboolean parse(Manager *manager, int argc, char **argv)
{
	gboolean version = FALSE;
	const GOptionEntry entries[] = {
		{ "config-dir", 0, 0, G_OPTION_ARG_FILENAME, &manager->config_dir, "VM files are in DIR/vms (/etc/carrel)", "DIR" },
		{ "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &manager->state_dir, "Disks are in DIR/vms (/var/lib/carrel)", "DIR" },
		{ "run-dir", 0, 0, G_OPTION_ARG_FILENAME, &manager->run_dir, "What a restart must know (/run/carrel)", "DIR" },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
		{ 0 }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- manages Carrel's virtual machines");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
		g_printerr("carreld: %s\n", error ? error->message : "takes no arguments");
		exit(2);
	}
	if (version)
		g_print("carreld %s\n", CARREL_VERSION);
	if (!manager->config_dir)
		manager->config_dir = g_strdup("/etc/carrel");
	if (!manager->state_dir)
		manager->state_dir = g_strdup("/var/lib/carrel");
	if (!manager->run_dir)
		manager->run_dir = g_strdup("/run/carrel");
	return !version;
}

int carreld_main(int argc, char **argv, const Seams *seams)
{
	static Daemon daemon; /* jobs that outlast the loop may still look at it */
	g_autoptr(GError) error = NULL;
	guint owner;

	if (!parse(&daemon.manager, argc, argv))
		return 0;
	if (!begin(&daemon, seams, &error)) {
		g_printerr("carreld: %s\n", error->message);
		return 1;
	}
	daemon.loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, quit, &daemon);
	g_unix_signal_add(SIGINT, quit, &daemon);
	owner = g_bus_own_name_on_connection(daemon.manager.bus, "org.carrel", G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, name_acquired,
		name_lost, &daemon, NULL);
	g_main_loop_run(daemon.loop);
	g_bus_unown_name(owner);
	g_main_loop_unref(daemon.loop);
	manager_stop(&daemon.manager);
	return daemon.status;
}
