// SPDX-License-Identifier: Apache-2.0
/* carrelctl: the command line of org.carrel. Finds the command, parses its options, runs it, tells how it ended. */
#include "carrelctl.h"
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void add_options(GOptionContext *context, const GOptionEntry *entries, Options *opt)
{
	g_autofree GOptionEntry *bound = options_bind(entries, opt);

	g_option_context_add_main_entries(context, bound, NULL);
}

static char *list_of_commands(void)
{
	GString *list = g_string_new("Commands:\n");

	for (const Command *command = commands; command->name; command++)
		if (command->summary)
			g_string_append_printf(list, "  %-17s%s\n", command->name, command->summary);
	g_string_append(list, "\n'carrelctl COMMAND --help' tells more, and carrelctl(1) everything.");
	return g_string_free(list, FALSE);
}

static GOptionContext *global_context(Options *opt)
{
	GOptionContext *context = g_option_context_new("COMMAND [ARGUMENT…]");
	g_autofree char *list = list_of_commands();

	g_option_context_set_summary(context, "Drives Carrel's VMs.");
	g_option_context_set_description(context, list);
	g_option_context_set_strict_posix(context, TRUE);
	add_options(context, global_options, opt);
	add_options(context, common_options, opt);
	return context;
}

static GOptionContext *command_context(const Command *command, Options *opt)
{
	GOptionContext *context = g_option_context_new(command->args);
	g_autofree char *name = g_strconcat("carrelctl ", command->name, NULL), *summary = g_strconcat(command->summary, ".", NULL);

	g_set_prgname(name);
	g_option_context_set_summary(context, summary);
	g_option_context_set_description(context, command->help);
	for (guint i = 0; i < G_N_ELEMENTS(command->options) && command->options[i]; i++)
		add_options(context, command->options[i], opt);
	add_options(context, common_options, opt);
	return context;
}

gboolean cmd_help(Ctl *ctl, char **args, GError **error)
{
	const Command *command = args[0] ? command_find(args[0]) : NULL;
	g_autoptr(GOptionContext) context = NULL;
	g_autofree char *help = NULL;

	if (args[0] && !command) {
		ctl_set_error(error, STATUS_USAGE, "there is no command '%s'; 'carrelctl help' lists them", args[0]);
		return FALSE;
	}
	g_set_prgname("carrelctl");
	context = command ? command_context(command, &ctl->opt) : global_context(&ctl->opt);
	help = g_option_context_get_help(context, TRUE, NULL);
	g_print("%s", help);
	return TRUE;
}

/* What a word of an args string allows. */
static gboolean check_word(const char *spec, const char *arg, GError **error)
{
	g_auto(GStrv) words = NULL;

	/* Names of files are bytes; the rest goes over D-Bus. */
	if (!g_str_equal(spec, "FILE") && !g_utf8_validate(arg, -1, NULL)) {
		g_autofree char *valid = g_utf8_make_valid(arg, -1);

		ctl_set_error(error, STATUS_USAGE, "'%s' is not UTF-8", valid);
		return FALSE;
	}
	if (!strchr(spec, '|'))
		return TRUE;
	words = g_strsplit(spec, "|", -1);
	if (g_strv_contains((const char *const *)words, arg))
		return TRUE;
	ctl_set_error(error, STATUS_USAGE, "'%s' is none of %s", arg, spec);
	return FALSE;
}

static gboolean check_args(const Command *command, char **args, GError **error)
{
	g_auto(GStrv) specs = g_strsplit(command->args, " ", -1);
	guint given = g_strv_length(args), most = *command->args ? g_strv_length(specs) : 0, least = 0;
	gboolean repeats = g_str_has_suffix(command->args, "…") || g_str_has_suffix(command->args, "…]");

	while (least < most && *specs[least] != '[')
		least++;
	if (given < least || (given > most && !repeats)) {
		ctl_set_error(error, STATUS_USAGE, "%s; usage: carrelctl %s [OPTION…] %s", given < least ? "too few arguments" : "too many arguments",
			command->name, command->args);
		return FALSE;
	}
	for (guint i = 0; i < given; i++)
		if (!check_word(specs[MIN(i, most - 1)], args[i], error))
			return FALSE;
	return TRUE;
}

static guint count_separators(char **args)
{
	guint count = 0;

	for (; *args; args++)
		count += g_str_equal(*args, "--");
	return count;
}

/* GOption leaves the first "--" there when what follows looks like an option. */
static void drop_separator(char **args, guint before)
{
	char **separator = args;

	if (!before || count_separators(args) < before)
		return;
	while (!g_str_equal(*separator, "--"))
		separator++;
	g_free(*separator);
	memmove(separator, separator + 1, (g_strv_length(separator + 1) + 1) * sizeof(*separator));
}

static gboolean parse(GOptionContext *context, char ***args, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (g_option_context_parse_strv(context, args, &local))
		return TRUE;
	ctl_set_error(error, STATUS_USAGE, "%s; see 'carrelctl --help'", local->message);
	return FALSE;
}

static gboolean run_command(Ctl *ctl, char ***args, GError **error)
{
	g_autoptr(GOptionContext) context = NULL;
	guint separators;

	if (!(*args)[0] || !(*args)[1]) {
		ctl_set_error(error, STATUS_USAGE, "which command? 'carrelctl --help' lists them");
		return FALSE;
	}
	if (!(ctl->command = command_find((*args)[1]))) {
		g_autofree char *name = g_utf8_make_valid((*args)[1], -1);

		ctl_set_error(error, STATUS_USAGE, "there is no command '%s'; 'carrelctl --help' lists them", name);
		return FALSE;
	}
	g_free((*args)[0]);
	memmove(*args, *args + 1, g_strv_length(*args + 1) * sizeof(**args) + sizeof(**args));
	separators = count_separators(*args);
	context = command_context(ctl->command, &ctl->opt);
	if (!parse(context, args, error))
		return FALSE;
	drop_separator(*args, separators);
	return check_args(ctl->command, *args + 1, error) && ctl->command->run(ctl, *args + 1, error);
}

static gboolean run(Ctl *ctl, char ***args, GError **error)
{
	g_autoptr(GOptionContext) context = global_context(&ctl->opt);

	if (!parse(context, args, error))
		return FALSE;
	if (!ctl->opt.version)
		return run_command(ctl, args, error);
	printf("carrelctl %s\n", CARREL_VERSION);
	return TRUE;
}

/* A disk that is full or a pipe that broke must not look like success. */
static void finish_output(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;

	if (ctl->opt.json && ctl->command && !ctl->command->offline && (ctl->result || ctl->status == STATUS_OK)) {
		g_autofree char *text = ctl->result ? json_text(ctl->result, TRUE) : g_strdup("{}");

		if (ctl->result || ctl->command->run != cmd_watch)
			printf("%s\n", text);
	}
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	ctl_set_error(&error, errno == ENOSPC ? STATUS_NO_ROOM : STATUS_FAILED, "cannot write to standard output: %s", g_strerror(errno));
	ctl_report(ctl, NULL, error);
}

static void options_clear(Options *opt)
{
	char **texts[] = {&opt->bus, &opt->from, &opt->definition, &opt->format, &opt->description, &opt->title, &opt->colour,
		&opt->memory_min, &opt->memory_max};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
}

/* The service domain may have no locale set up at all; its terminals speak UTF-8 nevertheless. */
static void set_locale(void)
{
	const char *all = g_getenv("LC_ALL");

	if (!setlocale(LC_ALL, "") || (!(all && *all) && g_str_equal(setlocale(LC_CTYPE, NULL), "C")))
		setlocale(LC_CTYPE, "C.UTF-8");
	setlocale(LC_NUMERIC, "C");
}

int main(int argc G_GNUC_UNUSED, char **argv)
{
	Ctl ctl = {.opt = {.vcpus = -1, .timeout = -1, .passphrase_fd = -1}};
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) args = g_strdupv(argv);

	set_locale();
	g_set_prgname("carrelctl");
	if (!run(&ctl, &args, &error))
		ctl_report(&ctl, ctl.command ? ctl.command->name : NULL, error);
	finish_output(&ctl);
	agent_stop(&ctl);
	g_clear_object(&ctl.manager);
	g_clear_object(&ctl.bus);
	g_clear_pointer(&ctl.result, json_node_unref);
	options_clear(&ctl.opt);
	return ctl.status;
}
