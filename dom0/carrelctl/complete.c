// SPDX-License-Identifier: Apache-2.0
/* carrelctl complete -- WORD…: what the last of the words of a command line could be, one a line; ":files" for names of files.
 * The shell keeps what fits. Bash splits at '=', so "--from=x" comes as three words. */
#include "carrelctl.h"
#include <string.h>

typedef struct {
	Ctl *ctl;
	GVariant *objects; /* GetManagedObjects, once somebody asked */
	const Command *command;
	GPtrArray *words;  /* before the current one, after the command */
} Completion;

/* What could speak to a terminal is not offered. */
static void offer(const char *candidate)
{
	g_autofree char *safe = text_safe(candidate);

	if (*safe && g_str_equal(safe, candidate))
		printf("%s\n", candidate);
}

/* Without starting the manager, and without making the person wait. */
static GVariant *managed_objects(Completion *completion)
{
	g_autoptr(GVariant) reply = NULL;

	if (!completion->objects && ctl_connect(completion->ctl, NULL))
		reply = g_dbus_connection_call_sync(completion->ctl->bus, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
			"GetManagedObjects", NULL, G_VARIANT_TYPE("(a{oa{sa{sv}}})"), G_DBUS_CALL_FLAGS_NO_AUTO_START, 2000, NULL, NULL);
	if (reply)
		completion->objects = g_variant_get_child_value(reply, 0);
	return completion->objects;
}

/* Calls each for the properties of every object that has the interface. */
static void each_object(Completion *completion, const char *interface, void (*each)(const char *path, GVariant *properties, gpointer data),
	gpointer data)
{
	GVariant *objects = managed_objects(completion), *interfaces;
	const char *path;
	GVariantIter iter;

	if (!objects)
		return;
	g_variant_iter_init(&iter, objects);
	while (g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
		g_autoptr(GVariant) properties = g_variant_lookup_value(interfaces, interface, G_VARIANT_TYPE_VARDICT);

		if (properties)
			each(path, properties, data);
		g_variant_unref(interfaces);
	}
}

/* data: whether templates, or NULL for all */
static void offer_vm(const char *path G_GNUC_UNUSED, GVariant *properties, gpointer data)
{
	const char *name = NULL;
	gboolean template = FALSE;

	g_variant_lookup(properties, "Name", "&s", &name);
	g_variant_lookup(properties, "Template", "b", &template);
	if (name && (!data || template))
		offer(name);
}

static void offer_job(const char *path, GVariant *properties G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
	offer(strrchr(path, '/') + 1);
}

/* data: the VM's name */
static void offer_snapshots(const char *path G_GNUC_UNUSED, GVariant *properties, gpointer data)
{
	g_autoptr(GVariant) snapshots = g_variant_lookup_value(properties, "Snapshots", G_VARIANT_TYPE("a(sst)"));
	const char *name = NULL;

	g_variant_lookup(properties, "Name", "&s", &name);
	if (!snapshots || g_strcmp0(name, data))
		return;
	for (gsize i = 0; i < g_variant_n_children(snapshots); i++) {
		g_autoptr(GVariant) one = g_variant_get_child_value(snapshots, i);

		g_variant_get(one, "(&s&st)", &name, NULL, NULL);
		offer(name);
	}
}

static void offer_disks(const char *path G_GNUC_UNUSED, GVariant *properties, gpointer data)
{
	g_autoptr(GVariant) disks = g_variant_lookup_value(properties, "Disks", G_VARIANT_TYPE("aa{sv}"));
	const char *name = NULL;

	g_variant_lookup(properties, "Name", "&s", &name);
	if (!disks || g_strcmp0(name, data))
		return;
	for (gsize i = 0; i < g_variant_n_children(disks); i++) {
		g_autoptr(GVariant) one = g_variant_get_child_value(disks, i);

		if (g_variant_lookup(one, "name", "&s", &name))
			offer(name);
	}
}

static void offer_words(const char *list, const char *separator)
{
	g_auto(GStrv) words = g_strsplit(list, separator, -1);

	for (guint i = 0; words[i]; i++)
		offer(words[i]);
}

static void offer_commands(void)
{
	for (const Command *command = commands; command->name; command++)
		if (command->summary)
			offer(command->name);
}

/* The word where args has NAME: whose snapshots and disks these are. */
static const char *named_vm(const Completion *completion)
{
	guint place = g_str_has_prefix(completion->command->args, "NAME") ? 0 : 1;

	return place < completion->words->len ? completion->words->pdata[place] : NULL;
}

static void offer_kind(Completion *completion, const char *kind)
{
	if (g_str_equal(kind, "NAME"))
		each_object(completion, "org.carrel.Vm1", offer_vm, NULL);
	else if (g_str_equal(kind, "TEMPLATE"))
		each_object(completion, "org.carrel.Vm1", offer_vm, GINT_TO_POINTER(TRUE));
	else if (g_str_equal(kind, "SNAPSHOT"))
		each_object(completion, "org.carrel.Vm1", offer_snapshots, (gpointer)named_vm(completion));
	else if (g_str_equal(kind, "DISK"))
		each_object(completion, "org.carrel.Vm1", offer_disks, (gpointer)named_vm(completion));
	else if (g_str_equal(kind, "JOB"))
		each_object(completion, "org.carrel.Job1", offer_job, NULL);
	else if (g_str_equal(kind, "COMMAND"))
		offer_commands();
	else if (g_str_equal(kind, "FORMAT"))
		offer_words(completion->command->run == cmd_import ? "ovf ova qcow2 raw vhd vmdk" : "ova qcow2 raw vhd vmdk", " ");
	else if (g_str_equal(kind, "FILE"))
		printf(":files\n");
	else if (strchr(kind, '|'))
		offer_words(kind, "|");
}

/* A name is made up by the person in new, clone's and snapshot's NEW. */
static void offer_argument(Completion *completion, guint place)
{
	g_auto(GStrv) specs = g_strsplit(completion->command->args, " ", -1);
	guint count = g_strv_length(specs);
	gboolean repeats = g_str_has_suffix(completion->command->args, "…") || g_str_has_suffix(completion->command->args, "…]");
	g_autoptr(GString) kind = NULL;

	if (!*completion->command->args || (place >= count && !repeats))
		return;
	if (place == 0 && (completion->command->run == cmd_new || completion->command->run == cmd_import))
		return;
	kind = g_string_new(specs[MIN(place, count - 1)]);
	g_string_replace(kind, "[", "", 0);
	g_string_replace(kind, "]", "", 0);
	g_string_replace(kind, "…", "", 0);
	offer_kind(completion, kind->str);
}

/* The tables that hold where the line is: before the command, or after. */
static guint tables(const Completion *completion, const GOptionEntry *found[5])
{
	guint count = 0;

	found[count++] = common_options;
	if (!completion->command)
		found[count++] = global_options;
	for (guint i = 0; completion->command && i < G_N_ELEMENTS(completion->command->options) && completion->command->options[i]; i++)
		found[count++] = completion->command->options[i];
	return count;
}

static const GOptionEntry *find_option(const Completion *completion, const char *word)
{
	const GOptionEntry *found[5];
	guint count = tables(completion, found);
	const char *equals = strchr(word, '=');
	gsize length = equals ? (gsize)(equals - word) : strlen(word);

	for (guint t = 0; t < count; t++)
		for (const GOptionEntry *entry = found[t]; entry->long_name; entry++) {
			if (length == strlen(entry->long_name) + 2 && g_str_has_prefix(word, "--") &&
				!strncmp(word + 2, entry->long_name, length - 2))
				return entry;
			if (length == 2 && word[0] == '-' && word[1] == entry->short_name)
				return entry;
		}
	return NULL;
}

static void offer_options(const Completion *completion)
{
	const GOptionEntry *found[5];
	guint count = tables(completion, found);

	for (guint t = 0; t < count; t++)
		for (const GOptionEntry *entry = found[t]; entry->long_name; entry++)
			if (!(entry->flags & G_OPTION_FLAG_HIDDEN))
				printf("--%s\n", entry->long_name);
	printf("--help\n");
}

/* Puts back together what bash took apart at '='. */
static GPtrArray *join(char **args)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

	for (; *args; args++) {
		char **last = words->len ? (char **)&words->pdata[words->len - 1] : NULL;
		gboolean value = last && g_str_has_prefix(*last, "--") && g_str_has_suffix(*last, "=");

		if (last && ((g_str_equal(*args, "=") && g_str_has_prefix(*last, "--") && !strchr(*last, '=')) || value)) {
			char *joined = g_strconcat(*last, *args, NULL);

			g_free(*last);
			*last = joined;
		} else {
			g_ptr_array_add(words, g_strdup(*args));
		}
	}
	return words;
}

static void complete(Completion *completion, GPtrArray *words)
{
	const char *current = words->pdata[words->len - 1];
	const GOptionEntry *pending = NULL;

	for (guint i = 0; i + 1 < words->len; i++) {
		const char *word = words->pdata[i];

		if (pending) {
			pending = NULL;
		} else if (*word == '-' && word[1]) {
			const GOptionEntry *option = strchr(word, '=') ? NULL : find_option(completion, word);

			pending = option && option->arg != G_OPTION_ARG_NONE ? option : NULL;
		} else if (!completion->command) {
			if (!(completion->command = command_find(word)))
				return;
		} else {
			g_ptr_array_add(completion->words, (gpointer)word);
		}
	}
	if (!pending && g_str_has_prefix(current, "--") && strchr(current, '='))
		pending = find_option(completion, current);
	if (pending && pending->arg_description)
		offer_kind(completion, pending->arg_description);
	else if (*current == '-')
		offer_options(completion);
	else if (!completion->command)
		offer_commands();
	else
		offer_argument(completion, completion->words->len);
}

gboolean cmd_complete(Ctl *ctl, char **args, GError **error G_GNUC_UNUSED)
{
	g_autoptr(GPtrArray) words = join(args), before = g_ptr_array_new();
	Completion completion = {ctl, NULL, NULL, before};

	if (words->len)
		complete(&completion, words);
	g_clear_pointer(&completion.objects, g_variant_unref);
	return TRUE;
}
