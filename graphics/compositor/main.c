/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-desk: the compositor. */
#include "desk.h"

#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <wlr/util/log.h>

static gboolean on_signal(gpointer data)
{
	Desk *desk = data;

	g_main_loop_quit(desk->main);
	return G_SOURCE_CONTINUE;
}

static gboolean on_watchdog(gpointer data)
{
	(void)data;
	sd_notify(0, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static void wlr_log_to_glib(enum wlr_log_importance importance, const char *format, va_list args)
{
	g_logv("wlroots", importance == WLR_ERROR ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO, format, args);
}

static int check_config(const char *path)
{
	g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(Config) config = config_load(path, errors);

	for (guint i = 0; i < errors->len; i++)
		g_printerr("%s\n", (char *)g_ptr_array_index(errors, i));
	return errors->len ? 1 : 0;
}

static int run(const DeskOptions *options)
{
	g_autoptr(GError) error = NULL;
	Desk *desk = desk_new(options, &error);
	uint64_t watchdog = 0;
	guint sources[3] = {0};

	if (!desk || !desk_start(desk, &error)) {
		g_printerr("carrel-desk: %s\n", error->message);
		if (desk)
			desk_free(desk);
		return 1;
	}
	sources[0] = g_unix_signal_add(SIGTERM, on_signal, desk);
	sources[1] = g_unix_signal_add(SIGINT, on_signal, desk);
	if (sd_watchdog_enabled(0, &watchdog) > 0)
		sources[2] = g_timeout_add((guint)(watchdog / 2000), on_watchdog, NULL);
	sd_notify(0, "READY=1");
	g_main_loop_run(desk->main);
	sd_notify(0, "STOPPING=1");
	for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
		g_clear_handle_id(&sources[i], g_source_remove);
	desk_free(desk);
	return 0;
}

int main(int argc, char **argv)
{
	g_autofree char *config = NULL, *runtime = NULL, *check = NULL;
	gboolean version = FALSE;
	const GOptionEntry entries[] = {
		{"config", 'c', 0, G_OPTION_ARG_FILENAME, &config, "Settings (default /etc/carrel/desk.conf)", "FILE"},
		{"runtime-dir", 'r', 0, G_OPTION_ARG_FILENAME, &runtime, "Where the sockets are (default /run/carrel/desk)", "DIR"},
		{"check-config", 0, 0, G_OPTION_ARG_FILENAME, &check, "Say what is wrong in FILE, and exit", "FILE"},
		{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Say which version this is, and exit", NULL},
		{0},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- Carrel's screen, keyboards and pointers");
	g_autoptr(GError) error = NULL;
	DeskOptions options = {0};

	setlocale(LC_ALL, "");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
		g_printerr("carrel-desk: %s\n", error ? error->message : "too many arguments");
		return 2;
	}
	if (version) {
		puts("carrel-desk " CARREL_VERSION);
		return 0;
	}
	if (check)
		return check_config(check);
	signal(SIGPIPE, SIG_IGN);
	wlr_log_init(WLR_ERROR, wlr_log_to_glib);
	options.config_path = config ? config : "/etc/carrel/desk.conf";
	options.runtime_dir = runtime ? runtime : "/run/carrel/desk";
	return run(&options);
}
