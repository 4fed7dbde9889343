/* SPDX-License-Identifier: Apache-2.0 */
/* The way in and the way out: OVA packages and single images. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "dispatch.h"
#include "files.h"
#include "vm.h"

static const Option import_options[] = { { "format", "s" }, { "memory-max", "t" }, { "vcpus", "u" }, { "template", "b" } };

typedef struct {
	Manager *manager;
	char *name, *dir, *path, *mark, *scratch, *format; /* format NULL: as the file says */
	int fd;
	guint64 memory;
	guint vcpus;
	gboolean template;
	VmFile *file;
	GPtrArray *disks; /* of an export: VmDisk paths */
	GPtrArray *formats;
} Transfer;

static void transfer_free(gpointer data)
{
	Transfer *it = data;

	if (it->fd >= 0)
		close(it->fd);
	g_free(it->name);
	g_free(it->dir);
	g_free(it->path);
	g_free(it->mark);
	g_free(it->scratch);
	g_free(it->format);
	g_clear_pointer(&it->file, vmfile_free);
	g_clear_pointer(&it->disks, g_ptr_array_unref);
	g_clear_pointer(&it->formats, g_ptr_array_unref);
	g_free(it);
}

static Transfer *transfer_new(Manager *manager, const char *name, int fd)
{
	Transfer *it = g_new0(Transfer, 1);

	*it = (Transfer){ .manager = manager, .name = g_strdup(name), .fd = fd, .path = manager_vm_file(manager, name),
		.dir = g_build_filename(manager->state_dir, "vms", name, NULL), .mark = files_mark(manager->state_dir, name) };
	return it;
}

/* qemu-img's names of the kinds of image. */
static const char *const kinds[] = { [IMAGE_RAW] = "raw", [IMAGE_QCOW2] = "qcow2", [IMAGE_VHD] = "vpc", [IMAGE_VMDK] = "vmdk" };

static const char *qemu_format(const char *format)
{
	return !strcmp(format, "vhd") ? "vpc" : format;
}

static const char *const formats_known[] = { "ova", "qcow2", "raw", "vhd", "vmdk", NULL };

/* -- in --------------------------------------------------------------------------------------------------------------- */

static gboolean is_tar(int fd)
{
	char magic[5];

	return pread(fd, magic, sizeof(magic), 257) == (gssize)sizeof(magic) && !memcmp(magic, "ustar", sizeof(magic));
}

/* How a stranger's image is to be read: what it was said to be, or what its header says; nobody guesses a raw one's. */
static gboolean image_kind(Transfer *it, int fd, const char *what, const char **kind, GError **error)
{
	ImageInfo info = { 0 };

	if (!image_probe(fd, &info, error)) {
		g_prefix_error(error, "%s: ", what);
		return FALSE;
	}
	*kind = it->format && strcmp(it->format, "ova") ? qemu_format(it->format) : kinds[info.kind];
	/* What was checked is what is opened; only raw says nothing of what is inside. */
	if (strcmp(*kind, kinds[info.kind]) && strcmp(*kind, "raw")) {
		image_info_clear(&info);
		return carrel_fail(error, CARREL_ERROR_INVALID, "%s is not of the format %s: leave the format out", what, it->format);
	}
	if (info.backing || info.encrypted) {
		carrel_fail(error, CARREL_ERROR_INVALID, info.backing ? "%s stands on another image (%s): convert it to one that stands alone" :
			"%s is encrypted: decrypt it first", what, info.backing);
		image_info_clear(&info);
		return FALSE;
	}
	image_info_clear(&info);
	return TRUE;
}

static gboolean add_disk(Job *job, Transfer *it, const char *from, int fd, const char *what, guint n, guint of, GError **error)
{
	g_autofree char *disk = g_strdup_printf("xvd%c", 'a' + n), *group = g_strdup_printf("disk %s", disk);
	g_autofree char *file = g_strdup_printf("%s.qcow2", disk), *to = g_build_filename(it->dir, file, NULL);
	JobSpan span = { job, 0.3 + 0.7 * n / of, 0.3 + 0.7 * (n + 1) / of };
	const char *kind;

	job_stage(job, span.from, "converts %s", what);
	return image_kind(it, fd, what, &kind, error) &&
		disk_convert(from, kind, to, "qcow2", FALSE, job_progress, &span, job->cancellable, error) &&
		vmfile_set(it->file, group, "file", file, error);
}

static gboolean add_packed_disk(Job *job, Transfer *it, const OvfDisk *disk, guint n, guint of, GError **error)
{
	g_autofree char *from = g_build_filename(it->scratch, disk->href, NULL);
	int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	gboolean added;

	if (fd < 0)
		return carrel_fail(error, CARREL_ERROR_INVALID, "disk %s of the package: %s", disk->href, g_strerror(errno));
	added = add_disk(job, it, from, fd, disk->href, n, of, error);
	close(fd);
	/* Two copies of every disk need not fit. */
	g_unlink(from);
	return added;
}

static gboolean set_number(VmFile *file, const char *key, guint64 value, GError **error)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

	return vmfile_set(file, "machine", key, text, error);
}

static gboolean set_machine(Transfer *it, const OvfMachine *machine, GError **error)
{
	guint64 mib = 1 << 20, memory = it->memory ? it->memory : machine ? machine->memory / mib * mib : 0;
	guint vcpus = it->vcpus ? it->vcpus : machine ? machine->vcpus : 0;

	if (memory && !(vmfile_set(it->file, "machine", "memory-min", NULL, error) && set_number(it->file, "memory-max", memory, error)))
		return FALSE;
	if (vcpus && !set_number(it->file, "vcpus", vcpus, error))
		return FALSE;
	if (it->template && !vmfile_set(it->file, "vm", "template", "true", error))
		return FALSE;
	/* Strangers' texts: what the schema refuses is left out, not the whole package. */
	if (machine && machine->title)
		vmfile_set(it->file, "vm", "title", machine->title, NULL);
	if (machine && machine->description)
		vmfile_set(it->file, "vm", "description", machine->description, NULL);
	for (guint i = 0; i < (machine ? MIN(machine->interfaces, 16) : 1); i++) {
		g_autofree char *group = g_strdup_printf("network eth%u", i);

		if (!vmfile_set(it->file, group, "mode", "nat", error))
			return FALSE;
	}
	return TRUE;
}

static gboolean unpack(Job *job, Transfer *it, GError **error)
{
	guint64 limit = files_free_space(it->dir);
	JobSpan span = { job, 0, 0.3 };
	g_autoptr(OvfMachine) machine = NULL;

	job_stage(job, 0, "unpacks the package");
	it->scratch = g_build_filename(it->dir, "package", NULL);
	if (lseek(it->fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
		return carrel_fail(error, CARREL_ERROR_FAILED, "cannot read the package: %s", g_strerror(errno));
	if (!ova_unpack(it->fd, it->scratch, limit, &machine, job_progress, &span, job->cancellable, error))
		return FALSE;
	if (machine->disks->len > 26)
		return carrel_fail(error, CARREL_ERROR_UNSUPPORTED, "the package has %u disks: 26 are the most", machine->disks->len);
	for (guint i = 0; i < machine->disks->len; i++)
		if (!add_packed_disk(job, it, machine->disks->pdata[i], i, machine->disks->len, error))
			return FALSE;
	return files_remove_tree(it->scratch, error) && set_machine(it, machine, error);
}

static gboolean take_image(Job *job, Transfer *it, GError **error)
{
	g_autofree char *from = g_strdup_printf("/proc/%d/fd/%d", getpid(), it->fd);

	return add_disk(job, it, from, it->fd, "the image", 0, 1, error) && set_machine(it, NULL, error);
}

static gboolean import_work(Job *job, gpointer data, GError **error)
{
	Transfer *it = data;
	gboolean ova = it->format ? !strcmp(it->format, "ova") : is_tar(it->fd);
	g_autoptr(GError) tree = NULL;

	if (!files_touch(it->mark, error))
		return FALSE;
	if (g_mkdir(it->dir, 0700)) {
		carrel_fail(error, CARREL_ERROR_FAILED, "cannot make %s: %s", it->dir, g_strerror(errno));
		g_unlink(it->mark);
		return FALSE;
	}
	if ((ova ? unpack : take_image)(job, it, error) && !job_cancelled(job, error) && vmfile_save(it->file, it->path, error)) {
		g_unlink(it->mark);
		return TRUE;
	}
	if (files_remove_tree(it->dir, &tree))
		g_unlink(it->mark);
	else
		g_warning("VM %s: %s", it->name, tree->message);
	return FALSE;
}

static void imported(Job *job, gpointer data, GError *error)
{
	Transfer *it = data;

	if (!error)
		job_set_result(job, manager_add(job->manager, it->name, g_steal_pointer(&it->file))->path);
	job_finish(job, error);
}

Job *transfer_import(Manager *manager, const char *name, int fd, GVariant *options, GError **error)
{
	Transfer *it = transfer_new(manager, name, fd);
	Job *job;

	it->file = vmfile_new(name);
	if (!options_check(options, import_options, G_N_ELEMENTS(import_options), error) || !manager_name_free(manager, name, error))
		goto failed;
	g_variant_lookup(options, "format", "s", &it->format);
	g_variant_lookup(options, "memory-max", "t", &it->memory);
	g_variant_lookup(options, "vcpus", "u", &it->vcpus);
	g_variant_lookup(options, "template", "b", &it->template);
	if (it->format && !g_strv_contains(formats_known, it->format)) {
		carrel_fail(error, CARREL_ERROR_INVALID, "format '%s' is not known: ova, qcow2, raw, vhd and vmdk are%s", it->format,
			!strcmp(it->format, "ovf") ? "; pack the OVF and its disks into an OVA (tar) first" : "");
		goto failed;
	}
	job = job_new(manager, "Import", NULL);
	job->claim = g_strdup(name);
	g_hash_table_add(manager->claims, g_strdup(name));
	job_run(job, import_work, it, transfer_free, imported);
	return job;
failed:
	transfer_free(it);
	return NULL;
}

/* -- out -------------------------------------------------------------------------------------------------------------- */

static char *scratch_file(const Transfer *it, guint n, const char *suffix)
{
	return g_strdup_printf("%s/%s-disk%u.%s", it->scratch, it->name, n + 1, suffix);
}

static gboolean convert_out(Job *job, Transfer *it, guint n, const char *to, const char *format, JobSpan *span, GError **error)
{
	job_stage(job, span->from, "converts disk %u", n + 1);
	return disk_convert(it->disks->pdata[n], it->formats->pdata[n], to, format, TRUE, job_progress, span, job->cancellable, error);
}

static gboolean copy_out(Job *job, Transfer *it, const char *from, GError **error)
{
	g_autofree char *buffer = g_malloc(1 << 20);
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	gssize got = fd < 0 ? -1 : 1;

	job_stage(job, 0.8, "writes the file");
	if (fd >= 0 && ftruncate(it->fd, 0) && errno != EINVAL)
		got = -1;
	while (got > 0 && !job_cancelled(job, error)) {
		got = read(fd, buffer, 1 << 20);
		for (gssize done = 0, wrote; got > 0 && done < got; done += wrote)
			if ((wrote = write(it->fd, buffer + done, got - done)) < 0) {
				got = -1;
				break;
			}
	}
	if (got < 0)
		carrel_fail(error, errno == ENOSPC ? CARREL_ERROR_NO_SPACE : CARREL_ERROR_FAILED, "cannot write the file: %s",
			g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return got == 0 && (fsync(it->fd) == 0 || errno == EINVAL || errno == EROFS ||
		carrel_fail(error, CARREL_ERROR_FAILED, "cannot write the file: %s", g_strerror(errno)));
}

static gboolean export_image(Job *job, Transfer *it, GError **error)
{
	g_autofree char *to = scratch_file(it, 0, it->format);
	JobSpan span = { job, 0, 0.8 };

	return convert_out(job, it, 0, to, qemu_format(it->format), &span, error) && copy_out(job, it, to, error);
}

static void ovf_disk_clear(gpointer data)
{
	OvfDisk *disk = data;

	g_free(disk->name);
	g_free(disk->href);
	g_free(disk->format);
	g_free(disk);
}

static gboolean export_ova(Job *job, Transfer *it, GError **error)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(ovf_disk_clear), files = g_ptr_array_new_with_free_func(g_free);
	/* Borrows: not for ovf_free(). */
	OvfMachine machine = { .title = it->file->title, .description = it->file->description, .vcpus = it->file->vcpus,
		.memory = it->file->memory_max, .interfaces = it->file->interfaces->len, .disks = disks };
	JobSpan last = { job, 0.8, 1 };

	for (guint i = 0; i < it->disks->len; i++) {
		OvfDisk *disk = g_new0(OvfDisk, 1);
		JobSpan span = { job, 0.8 * i / it->disks->len, 0.8 * (i + 1) / it->disks->len };
		char *to = scratch_file(it, i, "vmdk");
		DiskInfo info = { 0 };

		g_ptr_array_add(files, to);
		g_ptr_array_add(disks, disk);
		if (!disk_info(it->disks->pdata[i], &info, error) || !convert_out(job, it, i, to, "vmdk", &span, error))
			return FALSE;
		*disk = (OvfDisk){ g_strdup_printf("disk%u", i + 1), g_path_get_basename(to), g_strdup("vmdk"), info.size };
		disk_info_clear(&info);
	}
	g_ptr_array_add(files, NULL);
	job_stage(job, 0.8, "writes the package");
	return ova_pack(it->fd, &machine, (const char *const *)files->pdata, job_progress, &last, job->cancellable, error);
}

static gboolean export_work(Job *job, gpointer data, GError **error)
{
	Transfer *it = data;
	gboolean done;

	if (g_mkdir_with_parents(it->scratch, 0700))
		return carrel_fail(error, CARREL_ERROR_FAILED, "cannot make %s: %s", it->scratch, g_strerror(errno));
	done = (strcmp(it->format, "ova") ? export_image : export_ova)(job, it, error);
	files_remove_tree(it->scratch, NULL);
	/* Half a file would be taken for a whole one. */
	if (!done && ftruncate(it->fd, 0))
		g_debug("the file of a failed export stays as it is: %s", g_strerror(errno));
	return done;
}

static gboolean plan_export(Vm *vm, Transfer *it, GError **error)
{
	for (guint i = 0; i < vm->file->disks->len; i++) {
		const VmDisk *disk = vm->file->disks->pdata[i];

		g_ptr_array_add(it->disks, vm_disk_path(vm->dir, disk));
		g_ptr_array_add(it->formats, disk->format == DISK_QCOW2 ? "qcow2" : "raw");
	}
	if (!it->disks->len)
		return carrel_fail(error, CARREL_ERROR_INVALID, "VM %s has no disk to export", vm->name);
	if (vm_disks_locked(vm, error))
		return FALSE;
	return g_strv_contains(formats_known, it->format) || carrel_fail(error, CARREL_ERROR_INVALID,
		"format '%s' is not known: ova, qcow2, raw, vhd and vmdk are", it->format);
}

Job *transfer_export(Vm *vm, int fd, const char *format, GError **error)
{
	Transfer *it = transfer_new(vm->manager, vm->name, fd);
	Job *job = NULL;

	it->format = g_strdup(format);
	it->disks = g_ptr_array_new_with_free_func(g_free);
	it->formats = g_ptr_array_new();
	it->scratch = g_build_filename(vm->manager->state_dir, "tmp", vm->name, NULL);
	if (vm_allows(vm, ACT_EXPORT, error) && plan_export(vm, it, error))
		job = vm_begin(vm, ACT_EXPORT, error);
	if (!job) {
		transfer_free(it);
		return NULL;
	}
	it->file = vmfile_copy(vm->file);
	job_run(job, export_work, it, transfer_free, NULL);
	return job;
}
