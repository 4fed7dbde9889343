// SPDX-License-Identifier: Apache-2.0
/* Commands by which VMs come and go: new, import, export, clone, delete. */
#include "carrelctl.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFINITION_MAX (1 << 20)

static gboolean add_size(GVariantDict *dict, const char *key, const char *option, const char *text, GError **error)
{
	guint64 size;

	if (!text)
		return TRUE;
	if (!(size = size_parse(option, text, error)))
		return FALSE;
	g_variant_dict_insert(dict, key, "t", size);
	return TRUE;
}

static gboolean add_vcpus(Ctl *ctl, GVariantDict *dict, GError **error)
{
	if (ctl->opt.vcpus == -1)
		return TRUE;
	if (ctl->opt.vcpus < 1) {
		ctl_set_error(error, STATUS_USAGE, "--vcpus %d: give at least 1", ctl->opt.vcpus);
		return FALSE;
	}
	g_variant_dict_insert(dict, "vcpus", "u", (guint32)ctl->opt.vcpus);
	return TRUE;
}

static gboolean add_passphrase(Ctl *ctl, GVariantDict *dict, const char *vm, gboolean confirm, GError **error)
{
	char *passphrase = passphrase_get(ctl, vm, confirm, error);

	if (!passphrase)
		return FALSE;
	g_variant_dict_insert(dict, "passphrase", "s", passphrase);
	passphrase_free(passphrase);
	return TRUE;
}

/* The options of CreateFromTemplate and Clone. */
static gboolean creation_options(Ctl *ctl, GVariantDict *dict, const char *vm, gboolean passphrase, GError **error)
{
	const Options *opt = &ctl->opt;

	if (opt->title)
		g_variant_dict_insert(dict, "title", "s", opt->title);
	if (opt->colour)
		g_variant_dict_insert(dict, "colour", "s", opt->colour);
	if (opt->autostart)
		g_variant_dict_insert(dict, "autostart", "b", TRUE);
	if (opt->encrypted)
		g_variant_dict_insert(dict, "encrypted", "b", TRUE);
	return add_size(dict, "memory-min", "--memory-min", opt->memory_min, error) &&
		add_size(dict, "memory-max", "--memory-max", opt->memory_max, error) && add_vcpus(ctl, dict, error) &&
		(!passphrase || add_passphrase(ctl, dict, vm, TRUE, error));
}

static gboolean given_only_to_templates(const Options *opt)
{
	return opt->title || opt->colour || opt->autostart || opt->encrypted || opt->memory_min || opt->memory_max ||
		opt->vcpus != -1 || opt->passphrase_fd >= 0;
}

static char *read_definition(const char *path, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *shown = g_filename_display_name(path);
	int fd = g_str_equal(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	char buffer[4096];
	ssize_t n = -1;

	while (fd >= 0 && text->len <= DEFINITION_MAX && (n = read(fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(text, buffer, n);
	if (n < 0)
		ctl_set_error(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_FAILED, "cannot read %s: %s", shown, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return NULL;
	if (n > 0) {
		ctl_set_error(error, STATUS_USAGE, "%s is larger than 1 MiB: that is no VM file", shown);
		return NULL;
	}
	if (!g_utf8_validate(text->str, text->len, NULL)) {
		ctl_set_error(error, STATUS_USAGE, "%s is not UTF-8 text: that is no VM file", shown);
		return NULL;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean define(Ctl *ctl, const char *name, GError **error)
{
	g_autofree char *definition = read_definition(ctl->opt.definition, error);
	g_autoptr(GVariant) reply = NULL;

	if (!definition || !ctl_connect(ctl, error))
		return FALSE;
	reply = ctl_call(ctl, ctl->manager, "Define", g_variant_new("(ss)", name, definition), error);
	if (reply && ctl->opt.json) {
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "result", name);
		ctl->result = json_take_object(object);
	}
	return reply != NULL;
}

gboolean cmd_new(Ctl *ctl, char **args, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);

	if (!ctl->opt.from == !ctl->opt.definition) {
		ctl_set_error(error, STATUS_USAGE, "say either --from TEMPLATE or --definition FILE");
		return FALSE;
	}
	if (ctl->opt.definition) {
		if (!given_only_to_templates(&ctl->opt))
			return define(ctl, args[0], error);
		ctl_set_error(error, STATUS_USAGE, "with --definition the file says everything; the other options go with --from");
		return FALSE;
	}
	if (ctl->opt.passphrase_fd >= 0)
		ctl->opt.encrypted = TRUE;
	return ctl_connect(ctl, error) && creation_options(ctl, &options, args[0], ctl->opt.encrypted, error) &&
		ctl_job(ctl, ctl->manager, "CreateFromTemplate",
			g_variant_new("(ss@a{sv})", args[0], ctl->opt.from, g_variant_dict_end(&options)), NULL, args[0], FALSE, error);
}

gboolean cmd_clone(Ctl *ctl, char **args, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	return vm && creation_options(ctl, &options, args[1], ctl->opt.encrypted || ctl->opt.passphrase_fd >= 0, error) &&
		ctl_job(ctl, vm, "Clone", g_variant_new("(s@a{sv})", args[1], g_variant_dict_end(&options)), NULL, args[1], FALSE, error);
}

static gboolean is_format(const char *format, const char *const *formats, GError **error)
{
	g_autofree char *list = g_strjoinv(", ", (char **)formats);

	if (g_strv_contains(formats, format))
		return TRUE;
	ctl_set_error(error, STATUS_USAGE, "no format '%s'; there are: %s", format, list);
	return FALSE;
}

gboolean cmd_import(Ctl *ctl, char **args, GError **error)
{
	static const char *const formats[] = {"ovf", "ova", "qcow2", "raw", "vhd", "vmdk", NULL};
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
	g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
	g_autofree char *shown = g_filename_display_name(args[1]);
	struct stat st;
	int fd, index = -1;

	if (ctl->opt.format && !is_format(ctl->opt.format, formats, error))
		return FALSE;
	/* Not blocking: a FIFO would wait for a writer. */
	fd = open(args[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		ctl_set_error(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_FAILED, "cannot open %s: %s", shown, g_strerror(errno));
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		ctl_set_error(error, STATUS_USAGE, "%s is neither a file nor a disk", shown);
	else
		index = g_unix_fd_list_append(fds, fd, error);
	if (fd >= 0)
		close(fd);
	if (index < 0)
		return FALSE;
	if (ctl->opt.format)
		g_variant_dict_insert(&options, "format", "s", ctl->opt.format);
	if (ctl->opt.template)
		g_variant_dict_insert(&options, "template", "b", TRUE);
	return add_size(&options, "memory-max", "--memory-max", ctl->opt.memory_max, error) && add_vcpus(ctl, &options, error) &&
		ctl_connect(ctl, error) &&
		ctl_job(ctl, ctl->manager, "Import", g_variant_new("(sh@a{sv})", args[0], index, g_variant_dict_end(&options)), fds, args[0],
			FALSE, error);
}

static const char *export_format(Ctl *ctl, const char *path, GError **error)
{
	static const char *const formats[] = {"ova", "qcow2", "raw", "vhd", "vmdk", NULL};
	const char *dot = strrchr(path, '.');
	g_autofree char *suffix = g_ascii_strdown(dot ? dot + 1 : "", -1);

	if (ctl->opt.format)
		return is_format(ctl->opt.format, formats, error) ? ctl->opt.format : NULL;
	for (guint i = 0; formats[i]; i++)
		if (g_str_equal(suffix, formats[i]))
			return formats[i];
	if (g_str_equal(suffix, "img"))
		return "raw";
	ctl_set_error(error, STATUS_USAGE, "the name of the file does not say its format; say --format ova, qcow2, raw, vhd or vmdk");
	return NULL;
}

static gboolean may_write(Ctl *ctl, const char *path, const char *shown, GError **error)
{
	struct stat st;

	if (lstat(path, &st))
		return TRUE;
	if (!S_ISREG(st.st_mode))
		ctl_set_error(error, STATUS_STATE, "%s exists and is not a file; give another name", shown);
	else if (!ctl->opt.force)
		ctl_set_error(error, STATUS_STATE, "%s exists; give another name, or --force to replace it", shown);
	else
		return TRUE;
	return FALSE;
}

/* Gives the finished file its name; without --force it replaces nothing that appeared meanwhile. */
static gboolean put_in_place(Ctl *ctl, int fd, const char *partial, const char *path, const char *shown, GError **error)
{
	if (fsync(fd) == 0 && (ctl->opt.force ? rename(partial, path)
			: renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_NOREPLACE)) == 0)
		return TRUE;
	ctl_set_error(error, errno == EEXIST ? STATUS_STATE : errno == ENOSPC ? STATUS_NO_ROOM : STATUS_FAILED,
		"cannot finish %s: %s", shown, g_strerror(errno));
	return FALSE;
}

static gboolean export_to(Ctl *ctl, CarrelVm1 *vm, char **args, const char *format, int fd, GError **error)
{
	g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
	int index = g_unix_fd_list_append(fds, fd, error);

	return index >= 0 && ctl_job(ctl, vm, "Export", g_variant_new("(hs)", index, format), fds, args[0], FALSE, error);
}

gboolean cmd_export(Ctl *ctl, char **args, GError **error)
{
	const char *path = args[1], *format = export_format(ctl, path, error);
	g_autofree char *partial = g_strconcat(path, ".partial-XXXXXX", NULL), *shown = g_filename_display_name(path);
	g_autoptr(CarrelVm1) vm = NULL;
	gboolean ok;
	int fd;

	if (!format || !may_write(ctl, path, shown, error) || !(vm = ctl_vm(ctl, args[0], error)))
		return FALSE;
	fd = g_mkstemp_full(partial, O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		ctl_set_error(error, errno == ENOSPC ? STATUS_NO_ROOM : STATUS_FAILED, "cannot make %s: %s", shown, g_strerror(errno));
		return FALSE;
	}
	ok = export_to(ctl, vm, args, format, fd, error) && put_in_place(ctl, fd, partial, path, shown, error);
	if (!ok)
		unlink(partial);
	close(fd);
	return ok;
}

static gboolean delete_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);

	if (ctl->opt.keep_disks)
		g_variant_dict_insert(&options, "keep-disks", "b", TRUE);
	return ctl_job(ctl, vm, "Delete", g_variant_new("(@a{sv})", g_variant_dict_end(&options)), NULL, carrel_vm1_get_name(vm), FALSE,
		error);
}

gboolean cmd_delete(Ctl *ctl, char **args, GError **error)
{
	g_autofree char *names = g_strjoinv(", ", args);
	g_autofree char *question = g_strdup_printf("Delete %s%s?", names,
		ctl->opt.keep_disks ? " but keep the disks" : " with all disks and snapshots");

	return ask_sure(ctl, question, error) && ctl_each_vm(ctl, args, delete_one, error);
}
