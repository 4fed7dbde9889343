/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-switcher: what a person sees while no desktop is on the screen. */
#include "windows.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define RETRY_MS 2000

typedef struct {
	GMainLoop *loop;
	Ui *ui;
	Windows *windows;
	char **argv;
	gboolean again; /* start over in the same process: the language or the bus is another */
} Program;

static Program *program_of(Ui *ui)
{
	return g_object_get_data(G_OBJECT(ui->model), "carrel-program");
}

static void start_over(Ui *ui)
{
	Program *program = program_of(ui);
	program->again = TRUE;
	g_main_loop_quit(program->loop);
}

static gboolean on_signal(gpointer data)
{
	g_main_loop_quit(((Program *)data)->loop);
	return G_SOURCE_CONTINUE;
}

static gboolean on_watchdog(gpointer data)
{
	(void)data;
	sd_notify(0, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static void feed_watchdog(void)
{
	uint64_t usec = 0;
	if (sd_watchdog_enabled(0, &usec) > 0)
		g_timeout_add_seconds((guint)MAX(usec / 2 / G_USEC_PER_SEC, 1), on_watchdog, NULL);
}

static GDBusConnection *connect_bus(GError **error)
{
	g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
	if (!address)
		return NULL;
	return g_dbus_connection_new_for_address_sync(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
		G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, error);
}

static gboolean retry_bus(gpointer data)
{
	g_autoptr(GDBusConnection) bus = connect_bus(NULL);
	if (!bus)
		return G_SOURCE_CONTINUE;
	start_over(data);
	return G_SOURCE_REMOVE;
}

static void on_bus_closed(GDBusConnection *bus, gboolean vanished, GError *error, Ui *ui)
{
	(void)bus, (void)vanished;
	g_warning("the system bus is gone: %s", error ? error->message : "closed");
	g_timeout_add(RETRY_MS, retry_bus, ui);
}

/* gettext translates nothing in the locales C and C.UTF-8, and a small system has no others. Ours are links to C.UTF-8 under
 * names of their own, which is all that it takes: dates and numbers are our own matter. */
static void set_language(Config *config)
{
	const char *language = config_language(config), *locale_dir = g_getenv("CARREL_LOCALE_DIR");
	if (!setlocale(LC_ALL, "") || g_str_equal(setlocale(LC_CTYPE, NULL), "C"))
		setlocale(LC_ALL, "C.UTF-8");
	if (language[0])
		g_setenv("LANGUAGE", language, TRUE);
	if (g_str_equal(language, "ja") && !setlocale(LC_MESSAGES, "ja_JP.UTF-8")) {
		g_setenv("LOCPATH", LOCALES, FALSE);
		setlocale(LC_MESSAGES, "ja_JP.UTF-8");
	}
	bindtextdomain(GETTEXT_PACKAGE, locale_dir ? locale_dir : LOCALE_DIR);
	bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
	textdomain(GETTEXT_PACKAGE);
}

static void run(Program *program, Config *config)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusConnection) bus = connect_bus(&error);
	Ui *ui = program->ui = ui_new(bus, config);
	g_object_set_data(G_OBJECT(ui->model), "carrel-program", program);
	ui->restart = start_over;
	program->windows = windows_new(ui);
	if (bus) {
		g_signal_connect(bus, "closed", G_CALLBACK(on_bus_closed), ui);
	} else {
		g_warning("no system bus: %s", error->message);
		g_timeout_add(RETRY_MS, retry_bus, ui);
	}
	sd_notify(0, "READY=1");
	feed_watchdog();
	g_main_loop_run(program->loop);
	if (bus)
		g_signal_handlers_disconnect_by_data(bus, ui);
	windows_free(program->windows);
	ui_free(ui);
}

int main(int argc, char **argv)
{
	gboolean version = FALSE;
	const GOptionEntry options[] = {{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL}, G_OPTION_ENTRY_NULL};
	g_autofree char *path = g_build_filename(g_get_user_config_dir(), "carrel", "switcher.ini", NULL);
	Program program = {.argv = argv};
	Config *config = config_load(path);
	g_autoptr(GError) error = NULL;
	set_language(config);
	gtk_disable_setlocale();
	if (!gtk_init_with_args(&argc, &argv, NULL, options, NULL, &error) && !version) {
		g_printerr("carrel-switcher: %s\n", error ? error->message : "no display: is the compositor running?");
		return EXIT_FAILURE;
	}
	if (version) {
		g_print("carrel-switcher %s\n", CARREL_VERSION);
		return EXIT_SUCCESS;
	}
	program.loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, on_signal, &program);
	g_unix_signal_add(SIGINT, on_signal, &program);
	run(&program, config);
	g_main_loop_unref(program.loop);
	if (!program.again)
		return EXIT_SUCCESS;
	execv("/proc/self/exe", program.argv);
	g_printerr("carrel-switcher: cannot start over: %s\n", g_strerror(errno));
	return EXIT_FAILURE;
}
