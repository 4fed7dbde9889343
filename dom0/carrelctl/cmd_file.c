// SPDX-License-Identifier: Apache-2.0
/* The VM's file: get, set, edit. */
#include "carrelctl.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *get_definition(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, vm, "GetDefinition", NULL, error);
	char *text = NULL;

	if (reply)
		g_variant_get(reply, "(s)", &text);
	return text;
}

static gboolean set_definition(Ctl *ctl, CarrelVm1 *vm, const char *text, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, vm, "SetDefinition", g_variant_new("(s)", text), error);

	return reply != NULL;
}

/* As it is into a file or a pipe, harmless on a terminal. */
static void print_text(const char *text)
{
	g_autofree char *safe = isatty(STDOUT_FILENO) ? text_safe_lines(text) : NULL;

	fputs(safe ? safe : text, stdout);
	if (*text && !g_str_has_suffix(text, "\n"))
		fputc('\n', stdout);
}

static JsonObject *json_of_group(GKeyFile *file, const char *group)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);
	JsonObject *object = json_object_new();

	for (guint k = 0; keys && keys[k]; k++) {
		g_autofree char *value = g_key_file_get_value(file, group, keys[k], NULL);

		json_object_set_string_member(object, keys[k], value ? value : "");
	}
	return object;
}

static gboolean get_group(Ctl *ctl, GKeyFile *file, const char *group, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

	if (!keys) {
		ctl_set_error(error, STATUS_NOT_FOUND, "the VM file has no group [%s]", group);
		return FALSE;
	}
	if (ctl->opt.json) {
		ctl->result = json_take_object(json_of_group(file, group));
		return TRUE;
	}
	for (guint k = 0; keys[k]; k++) {
		g_autofree char *value = g_key_file_get_value(file, group, keys[k], NULL), *line = g_strconcat(keys[k], "=", value, NULL);

		print_text(line);
	}
	return TRUE;
}

static gboolean get_key(Ctl *ctl, GKeyFile *file, const char *group, const char *key, GError **error)
{
	g_autofree char *value = g_key_file_get_value(file, group, key, NULL);

	if (!value) {
		ctl_set_error(error, STATUS_NOT_FOUND, "the VM file has no key '%s' in [%s]", key, group);
		return FALSE;
	}
	if (ctl->opt.json) {
		ctl->result = json_node_new(JSON_NODE_VALUE);
		json_node_set_string(ctl->result, value);
	} else {
		print_text(value);
	}
	return TRUE;
}

static void get_all_json(Ctl *ctl, GKeyFile *file)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
	JsonObject *object = json_object_new();

	for (guint g = 0; groups[g]; g++)
		json_object_set_object_member(object, groups[g], json_of_group(file, groups[g]));
	ctl->result = json_take_object(object);
}

gboolean cmd_get(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	g_autofree char *text = vm ? get_definition(ctl, vm, error) : NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();

	if (!text)
		return FALSE;
	if (!args[1] && !ctl->opt.json) {
		print_text(text);
		return TRUE;
	}
	if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, error)) {
		g_prefix_error(error, "the VM file is broken ('carrelctl edit %s' mends it): ", args[0]);
		return FALSE;
	}
	if (!args[1])
		get_all_json(ctl, file);
	else if (!args[2])
		return get_group(ctl, file, args[1], error);
	else
		return get_key(ctl, file, args[1], args[2], error);
	return TRUE;
}

gboolean cmd_set(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	g_autoptr(GVariant) reply = NULL;

	if (vm)
		reply = ctl_call(ctl, vm, "Set", g_variant_new("(sss)", args[1], args[2], args[3]), error);
	return reply != NULL;
}

static const char *editor(void)
{
	const char *const names[] = {g_getenv("VISUAL"), g_getenv("EDITOR")};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		if (names[i] && *names[i])
			return names[i];
	return "editor";
}

/* As system() does: the terminal's signals are the editor's meanwhile. The variable may hold arguments. */
static gboolean run_editor(const char *path, GError **error)
{
	g_autofree char *script = g_strconcat(editor(), " \"$1\"", NULL);
	char *argv[] = {(char *)"sh", (char *)"-c", script, (char *)"sh", (char *)path, NULL};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	posix_spawnattr_t attr;
	sigset_t defaults;
	int status = -1, rc;
	pid_t pid;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	rc = posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, environ);
	while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	posix_spawnattr_destroy(&attr);
	if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TRUE;
	if (rc)
		ctl_set_error(error, STATUS_FAILED, "cannot run the editor '%s': %s", editor(), g_strerror(rc));
	else
		ctl_set_error(error, STATUS_FAILED, "the editor '%s' failed; set EDITOR to one that is there", editor());
	return FALSE;
}

static char *write_draft(const char *name, const char *text, GError **error)
{
	g_autofree char *template = g_strdup_printf("carrel-%s-XXXXXX.conf", name), *path = NULL;
	int fd = g_file_open_tmp(template, &path, error);

	if (fd < 0)
		return NULL;
	close(fd);
	if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error))
		return g_steal_pointer(&path);
	unlink(path);
	return NULL;
}

static char *read_draft(const char *path, GError **error)
{
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(path, &text, &length, error))
		return NULL;
	if (g_utf8_validate(text, length, NULL))
		return g_steal_pointer(&text);
	ctl_set_error(error, STATUS_USAGE, "the text is not UTF-8");
	return NULL;
}

/* The text is only taken over what it was made from: another edit meanwhile is not lost unseen. */
static gboolean submit(Ctl *ctl, CarrelVm1 *vm, char **before, const char *text, GError **error)
{
	g_autofree char *now = get_definition(ctl, vm, error);

	if (!now)
		return FALSE;
	if (!g_str_equal(now, *before)) {
		g_free(*before);
		*before = g_steal_pointer(&now);
		ctl_set_error(error, STATUS_STATE, "somebody else changed the VM file meanwhile; editing again and leaving replaces their change");
		return FALSE;
	}
	return set_definition(ctl, vm, text, error);
}

/* TRUE: taken, or nothing to take; the draft is kept when the person's work would be lost. */
static gboolean edit_rounds(Ctl *ctl, CarrelVm1 *vm, const char *draft, char **before, gboolean *keep, GError **error)
{
	g_autofree char *first = g_strdup(*before);

	for (;;) {
		g_autoptr(GError) local = NULL;
		g_autofree char *text = NULL;

		*keep = FALSE;
		if (!run_editor(draft, error))
			return FALSE;
		text = read_draft(draft, &local);
		if (text && g_str_equal(text, first)) {
			fprintf(stderr, "Nothing was changed.\n");
			return TRUE;
		}
		*keep = TRUE;
		if (text && submit(ctl, vm, before, text, &local)) {
			*keep = FALSE;
			return TRUE;
		}
		ctl_report(ctl, "edit", local);
		if (!ask_again("Edit it again? [Y/n] "))
			return TRUE; /* reported, and ctl->status is set */
		ctl->status = STATUS_OK;
	}
}

gboolean cmd_edit(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	g_autofree char *before = vm ? get_definition(ctl, vm, error) : NULL;
	g_autofree char *draft = before ? write_draft(args[0], before, error) : NULL;
	gboolean keep = FALSE, ok;

	if (!draft)
		return FALSE;
	ok = edit_rounds(ctl, vm, draft, &before, &keep, error);
	if (keep)
		fprintf(stderr, "Your text is in %s.\n", draft);
	else
		unlink(draft);
	return ok;
}
