// SPDX-License-Identifier: Apache-2.0
/* Commands that start and stop VMs and take them back in time. */
#include "carrelctl.h"

static gboolean add_passphrase(Ctl *ctl, GVariantDict *options, const char *name, GError **error)
{
	char *passphrase = passphrase_get(ctl, name ? name : "", FALSE, error);

	if (!passphrase)
		return FALSE;
	g_variant_dict_insert(options, "passphrase", "s", passphrase);
	passphrase_free(passphrase);
	return TRUE;
}

gboolean vm_is_locked(CarrelVm1 *vm)
{
	return carrel_vm1_get_encrypted(vm) && !carrel_vm1_get_unlocked(vm) && carrel_vm1_get_domain_id(vm) < 0;
}

static gboolean start_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
	const char *name = carrel_vm1_get_name(vm);

	/* Asked for only when there is something to start. */
	if (vm_is_locked(vm) && !add_passphrase(ctl, &options, name, error))
		return FALSE;
	if (ctl->opt.paused)
		g_variant_dict_insert(&options, "paused", "b", TRUE);
	return ctl_job(ctl, vm, "Start", g_variant_new("(@a{sv})", g_variant_dict_end(&options)), NULL, name, FALSE, error);
}

gboolean cmd_start(Ctl *ctl, char **args, GError **error)
{
	if (ctl->opt.passphrase_fd >= 0 && args[1]) {
		ctl_set_error(error, STATUS_USAGE, "--passphrase-fd goes with one VM");
		return FALSE;
	}
	return ctl_each_vm(ctl, args, start_one, error);
}

gboolean cmd_unlock(Ctl *ctl, char **args, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	return vm && (!vm_is_locked(vm) || add_passphrase(ctl, &options, args[0], error)) &&
		ctl_job(ctl, vm, "Unlock", g_variant_new("(@a{sv})", g_variant_dict_end(&options)), NULL, args[0], FALSE, error);
}

gboolean cmd_passphrase(Ctl *ctl, char **args, GError **error)
{
	g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	char *fresh;

	if (!vm || (carrel_vm1_get_encrypted(vm) && !add_passphrase(ctl, &options, args[0], error)))
		return FALSE;
	if (carrel_vm1_get_encrypted(vm)) {
		if (!(fresh = passphrase_get_new(ctl, args[0], error)))
			return FALSE;
		g_variant_dict_insert(&options, "new-passphrase", "s", fresh);
		passphrase_free(fresh);
	}
	return ctl_job(ctl, vm, "ChangePassphrase", g_variant_new("(@a{sv})", g_variant_dict_end(&options)), NULL, args[0], FALSE, error);
}

static gboolean job_with_timeout(Ctl *ctl, CarrelVm1 *vm, const char *method, GError **error)
{
	guint timeout = ctl->opt.timeout < 0 ? 0 : (guint)ctl->opt.timeout;

	return ctl_job(ctl, vm, method, g_variant_new("(u)", timeout), NULL, carrel_vm1_get_name(vm), FALSE, error);
}

static gboolean shutdown_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return job_with_timeout(ctl, vm, "Shutdown", error);
}

static gboolean reboot_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return job_with_timeout(ctl, vm, "Reboot", error);
}

static gboolean check_timeout(Ctl *ctl, GError **error)
{
	if (ctl->opt.timeout == -1 || ctl->opt.timeout > 0)
		return TRUE;
	ctl_set_error(error, STATUS_USAGE, "--timeout %d: give seconds, at least 1", ctl->opt.timeout);
	return FALSE;
}

gboolean cmd_shutdown(Ctl *ctl, char **args, GError **error)
{
	return check_timeout(ctl, error) && ctl_each_vm(ctl, args, shutdown_one, error);
}

gboolean cmd_reboot(Ctl *ctl, char **args, GError **error)
{
	return check_timeout(ctl, error) && ctl_each_vm(ctl, args, reboot_one, error);
}

static gboolean plain_job(Ctl *ctl, CarrelVm1 *vm, const char *method, GError **error)
{
	return ctl_job(ctl, vm, method, NULL, NULL, carrel_vm1_get_name(vm), FALSE, error);
}

static gboolean off_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return plain_job(ctl, vm, "ForceOff", error);
}

static gboolean suspend_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return plain_job(ctl, vm, "Suspend", error);
}

static gboolean resume_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return plain_job(ctl, vm, "Resume", error);
}

static gboolean call(Ctl *ctl, CarrelVm1 *vm, const char *method, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, vm, method, NULL, error);

	return reply != NULL;
}

static gboolean pause_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return call(ctl, vm, "Pause", error);
}

static gboolean unpause_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return call(ctl, vm, "Unpause", error);
}

static gboolean lock_one(Ctl *ctl, CarrelVm1 *vm, GError **error)
{
	return plain_job(ctl, vm, "Lock", error);
}

gboolean cmd_lock(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, lock_one, error);
}

gboolean cmd_off(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, off_one, error);
}

gboolean cmd_suspend(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, suspend_one, error);
}

gboolean cmd_resume(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, resume_one, error);
}

gboolean cmd_pause(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, pause_one, error);
}

gboolean cmd_unpause(Ctl *ctl, char **args, GError **error)
{
	return ctl_each_vm(ctl, args, unpause_one, error);
}

gboolean cmd_snapshot(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);
	const char *description = ctl->opt.description ? ctl->opt.description : "";

	return vm && ctl_job(ctl, vm, "Snapshot", g_variant_new("(ss)", args[1], description), NULL, args[0], FALSE, error);
}

gboolean cmd_revert(Ctl *ctl, char **args, GError **error)
{
	g_autofree char *question = g_strdup_printf("Put the disks of %s back to '%s' and lose what was written since?", args[0], args[1]);
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	return vm && ask_sure(ctl, question, error) &&
		ctl_job(ctl, vm, "Revert", g_variant_new("(s)", args[1]), NULL, args[0], FALSE, error);
}

gboolean cmd_snapshot_delete(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	return vm && ctl_job(ctl, vm, "DeleteSnapshot", g_variant_new("(s)", args[1]), NULL, args[0], FALSE, error);
}

static gboolean changes_mark(Ctl *ctl, CarrelVm1 *vm, const char *disk, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, vm, "MarkChanges", g_variant_new("(s)", disk), error);
	g_autofree char *safe = NULL;
	const char *mark;

	if (!reply)
		return FALSE;
	g_variant_get(reply, "(&s)", &mark);
	if (ctl->opt.json) {
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "mark", mark);
		ctl->result = json_take_object(object);
		return TRUE;
	}
	safe = text_safe(mark);
	printf("%s\n", safe);
	return TRUE;
}

static void changes_json(Ctl *ctl, GVariantIter *extents)
{
	JsonObject *object = json_object_new();
	JsonArray *array = json_array_new();
	guint64 offset, length, total = 0;

	while (g_variant_iter_next(extents, "(tt)", &offset, &length)) {
		JsonArray *extent = json_array_sized_new(2);

		json_array_add_int_element(extent, (gint64)offset);
		json_array_add_int_element(extent, (gint64)length);
		json_array_add_array_element(array, extent);
		total += length;
	}
	json_object_set_int_member(object, "bytes", (gint64)total);
	json_object_set_array_member(object, "extents", array);
	ctl->result = json_take_object(object);
}

static gboolean changes_list(Ctl *ctl, CarrelVm1 *vm, const char *disk, const char *mark, GError **error)
{
	g_autoptr(GVariant) reply = ctl_call(ctl, vm, "ChangedBlocks", g_variant_new("(ss)", disk, mark), error);
	g_autoptr(GVariantIter) extents = NULL;
	guint64 offset, length;

	if (!reply)
		return FALSE;
	g_variant_get(reply, "(a(tt))", &extents);
	if (ctl->opt.json) {
		changes_json(ctl, extents);
		return TRUE;
	}
	while (g_variant_iter_next(extents, "(tt)", &offset, &length))
		printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", offset, length);
	return TRUE;
}

gboolean cmd_changes(Ctl *ctl, char **args, GError **error)
{
	gboolean mark = g_str_equal(args[0], "mark");
	g_autoptr(CarrelVm1) vm = NULL;

	if (mark == (args[3] != NULL)) {
		ctl_set_error(error, STATUS_USAGE, mark ? "the manager names the mark: 'changes mark NAME DISK'"
			: "since which mark? 'changes list NAME DISK MARK'");
		return FALSE;
	}
	if (!(vm = ctl_vm(ctl, args[1], error)))
		return FALSE;
	return mark ? changes_mark(ctl, vm, args[2], error) : changes_list(ctl, vm, args[2], args[3], error);
}
