/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a domain: start, stop, restart, and what a guest is asked for. */
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"
#include "network.h"
#include "store.h"
#include "vm.h"

/* What the workers need; nothing in it is shared with the main thread while they run. */
typedef struct {
	Manager *manager;
	char *name, *dir, *vault_file, *passphrase, *problem;
	VmFile *file;
	gboolean paused;
	guint old;            /* a domain to destroy first: a restart, or a stop */
	gboolean vault_open;
	guint domain;
	guint64 memory, started;
	HvConfig *config;
	GPtrArray *wires;
	gboolean stuck;       /* the old one would not go */
	VmState after;        /* a stop: what it is then */
	char *unserved;       /* why nobody shows it yet, or NULL */
	gboolean desk;        /* one runs */
} Run;

void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

static void run_free(gpointer data)
{
	Run *run = data;

	g_free(run->name);
	g_free(run->dir);
	g_free(run->vault_file);
	g_free(run->problem);
	g_free(run->unserved);
	wipe(run->passphrase);
	g_clear_pointer(&run->file, vmfile_free);
	g_clear_pointer(&run->config, hv_config_free);
	g_clear_pointer(&run->wires, g_ptr_array_unref);
	g_free(run);
}

static Run *run_new(Vm *vm)
{
	Run *run = g_new0(Run, 1);

	run->manager = vm->manager;
	run->name = g_strdup(vm->name);
	run->dir = g_strdup(vm->dir);
	run->vault_file = manager_vault_file(vm->manager, vm->name);
	run->wires = g_ptr_array_new_with_free_func(wire_free);
	run->old = vm->domain;
	return run;
}

static gboolean close_vault(Run *run, GError **error)
{
	g_autofree char *volume = vm_volume(run->name);

	return vault_close(volume, run->dir, error);
}

/* -- start: in a worker ----------------------------------------------------------------------------------------------- */

static gboolean save(Run *run, const char *phase, GError **error)
{
	RunRecord record = { .phase = (char *)phase, .domain = run->domain, .started = run->started, .memory = run->memory,
		.vault = run->file->encrypted, .wires = run->wires };

	return store_save(run->manager, run->name, &record, run->file, error);
}

static gboolean open_vault(Run *run, GError **error)
{
	g_autofree char *volume = vm_volume(run->name);

	if (!run->file->encrypted || run->vault_open)
		return TRUE;
	run->vault_open = vault_open(run->vault_file, volume, run->dir, run->passphrase, error);
	return run->vault_open;
}

static gboolean check_disk(Run *run, const VmDisk *disk, GError **error)
{
	g_autofree char *path = vm_disk_path(run->dir, disk);
	DiskInfo info = { 0 };
	gboolean corrupt, qcow2;

	if (access(path, disk->readonly ? R_OK : R_OK | W_OK))
		return carrel_fail(error, errno == ENOENT ? CARREL_ERROR_NOT_FOUND : CARREL_ERROR_FAILED,
			"disk %s of VM %s: %s: %s; correct file= in [disk %s], or put the image back", disk->name, run->name, path,
			g_strerror(errno), disk->name);
	if (disk->format != DISK_QCOW2)
		return TRUE;
	if (!disk_info(path, &info, error)) {
		g_prefix_error(error, "disk %s of VM %s: ", disk->name, run->name);
		return FALSE;
	}
	corrupt = info.corrupt;
	qcow2 = !g_strcmp0(info.format, "qcow2");
	disk_info_clear(&info);
	if (!qcow2)
		return carrel_fail(error, CARREL_ERROR_INVALID, "disk %s of VM %s: %s is not a qcow2 image: correct format= or file= in "
			"[disk %s]", disk->name, run->name, path, disk->name);
	return !corrupt || carrel_fail(error, CARREL_ERROR_INVALID,
		"disk %s of VM %s: %s is marked as corrupt: revert to a snapshot, or repair it with qemu-img check -r all", disk->name,
		run->name, path);
}

static gboolean check_disks(Run *run, GError **error)
{
	if (g_file_test(run->dir, G_FILE_TEST_IS_DIR) && !disk_recover(run->dir, error))
		return FALSE;
	for (guint i = 0; i < run->file->disks->len; i++)
		if (!check_disk(run, run->file->disks->pdata[i], error))
			return FALSE;
	return TRUE;
}

static char *in_dir(Run *run, const char *path)
{
	return !path ? NULL : g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(run->dir, path, NULL);
}

static void configure(Run *run)
{
	HvConfig *config = run->config = hv_config_new();
	const VmFile *file = run->file;
	gboolean qemu = FALSE;

	config->name = g_strdup(run->name);
	config->uuid = g_strdup(file->uuid);
	config->kernel = in_dir(run, file->kernel);
	config->ramdisk = in_dir(run, file->ramdisk);
	config->cmdline = g_strdup(file->cmdline);
	config->vcpus = file->vcpus;
	config->weight = file->weight;
	config->cap = file->cap;
	config->memory = run->memory;
	for (guint i = 0; i < file->disks->len; i++) {
		const VmDisk *from = file->disks->pdata[i];
		HvDisk *disk = g_new0(HvDisk, 1);

		*disk = (HvDisk){ .name = g_strdup(from->name), .path = vm_disk_path(run->dir, from), .readonly = from->readonly,
			.discard = from->discard, .backend = from->format == DISK_QCOW2 ? HV_DISK_QEMU_QCOW2 : HV_DISK_KERNEL_RAW };
		qemu |= from->format == DISK_QCOW2;
		g_ptr_array_add(config->disks, disk);
	}
	config->screens = file->screens;
	config->play = file->play;
	config->record = file->record;
	if (qemu)
		config->qmp = vm_qmp_path(run->manager, run->name);
	network_fill(run->manager, run->name, file, config, run->wires);
}

/* One VM at a time: what one was promised no other may take. */
static gboolean create(Job *job, Run *run, GError **error)
{
	Hv *hv = run->manager->hv;
	const VmFile *file = run->file;

	gboolean made;

	if (!memory_reserve(job, run->name, file->memory_min, file->memory_max, file->vcpus, &run->memory, error))
		return FALSE;
	configure(run);
	job_stage(job, 0.5, "makes the domain");
	made = !job_cancelled(job, error) && hv->ops->create(hv, run->config, &run->domain, error);
	memory_release(run->manager);
	if (!made)
		run->domain = 0;
	return made;
}

/* The desk starts a view for a domain that it hears of. */
static gboolean announce(Manager *manager, gpointer data, GError **error)
{
	Run *run = data;
	Vm *vm = manager_vm(manager, run->name);

	(void)error;
	run->desk = manager->desk;
	if (vm) {
		vm->coming = run->domain;
		vm_refresh(vm);
	}
	if (run->file->play || run->file->record)
		sound_start(manager, run->name, run->domain, TRUE);
	return TRUE;
}

/* A VM starts without a desk too, and a view may come later: only a cancelled job fails here. */
static gboolean connect_desk(Job *job, Run *run, GError **error)
{
	Hv *hv = run->manager->hv;
	const HvConfig *config = run->config;
	g_autoptr(GError) unserved = NULL;

	if (!config->screens && !config->play && !config->record)
		return TRUE;
	job_stage(job, 0.85, "connects its screen and sound");
	on_main(run->manager, announce, run, NULL);
	if (!hv->ops->connect(hv, run->domain, config, run->desk, job->cancellable, &unserved))
		run->unserved = g_strdup(unserved->message);
	return !job_cancelled(job, error);
}

static gboolean bring_up(Job *job, Run *run, GError **error)
{
	Hv *hv = run->manager->hv;

	g_autoptr(GError) shares = NULL;

	job_stage(job, 0.8, "connects it");
	if (!network_up(run->manager, run->name, run->file, error))
		return FALSE;
	if (!hv->ops->set_shares(hv, run->domain, run->file->weight, run->file->cap, &shares))
		g_message("VM %s: %s", run->name, shares->message);
	if (!connect_desk(job, run, error))
		return FALSE;
	run->started = g_get_real_time() * 1000;
	/* Cancel counts until here. */
	if (job_cancelled(job, error) || !save(run, "running", error))
		return FALSE;
	/* The mark last: a daemon that dies before it leaves nothing that would be taken for complete and never goes on. */
	return (run->paused || hv->ops->unpause(hv, run->domain, error)) && hv->ops->mark(hv, run->domain, run->file->uuid, error);
}

/* Whatever was there of it goes, in the reverse order; what cannot go is for the journal and the next start. */
static void undo(Run *run)
{
	Hv *hv = run->manager->hv;
	g_autoptr(GError) domain = NULL, net = NULL, vault = NULL;

	if (run->domain && !hv->ops->destroy(hv, run->domain, &domain))
		g_warning("VM %s: %s", run->name, domain->message);
	run->domain = 0;
	if (!network_wire(run->manager, run->name, FALSE, &net))
		g_warning("VM %s: its network is not removed: %s", run->name, net->message);
	if (run->vault_open && !close_vault(run, &vault))
		g_warning("VM %s: its volume stays open: %s", run->name, vault->message);
	store_remove(run->manager, run->name);
}

static gboolean start_work(Job *job, gpointer data, GError **error)
{
	Run *run = data;
	gboolean made;

	job_stage(job, 0.05, "looks at its disks");
	run->stuck = run->old && !run->manager->hv->ops->destroy(run->manager->hv, run->old, error);
	if (run->stuck)
		return FALSE;
	if (!save(run, "starting", error) || !open_vault(run, error) || !check_disks(run, error))
		goto failed;
	job_stage(job, 0.2, "makes its network");
	if (job_cancelled(job, error) || !network_wire(run->manager, run->name, TRUE, error))
		goto failed;
	job_stage(job, 0.3, "waits for memory");
	g_mutex_lock(&run->manager->start_lock);
	made = create(job, run, error);
	g_mutex_unlock(&run->manager->start_lock);
	if (made && bring_up(job, run, error))
		return TRUE;
failed:
	undo(run);
	return FALSE;
}

static void tell_unserved(Vm *vm, const Run *run)
{
	if (run->unserved) {
		g_message("VM %s: %s", run->name, run->unserved); /* libxl's words are for the journal */
		manager_notice(vm->manager, "info", vm, "%s has started. Its screen or its sound is not served yet; it comes by itself.",
			vm_title(vm));
	} else if (run->file->screens && !run->desk) {
		manager_notice(vm->manager, "info", vm, "%s has started without a desk: its screen is there as soon as one runs.", vm_title(vm));
	}
}

static void started(Job *job, gpointer data, GError *error)
{
	Run *run = data;
	Vm *vm = job->vm;

	if (error) {
		if (run->stuck) {
			vm_set_state(vm, VM_CRASHED, error->message);
		} else {
			vm->wired = FALSE;
			vm_attached(vm, 0);
			vm_refresh_snapshots(vm);
			vm_set_state(vm, VM_OFF, NULL);
		}
		job_finish(job, error);
		return;
	}
	g_clear_pointer(&vm->wires, g_ptr_array_unref);
	vm->wires = g_steal_pointer(&run->wires);
	vm->boot_memory = run->memory;
	vm->memory_now = run->memory;
	vm->started = run->started;
	vm->memory_target = run->memory;
	vm_attached(vm, run->domain);
	vm_refresh_disks(vm);
	vm_refresh_snapshots(vm);
	vm_set_state(vm, run->paused ? VM_PAUSED : VM_RUNNING, NULL);
	tell_unserved(vm, run);
	job_set_result(job, vm->path);
	job_finish(job, NULL);
}

/* -- start: in the main thread ---------------------------------------------------------------------------------------- */

static gboolean same_file(const char *a, const char *b)
{
	g_autofree char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);

	return !strcmp(real_a ? real_a : a, real_b ? real_b : b);
}

static gboolean disk_unused(Vm *vm, const VmDisk *disk, Vm *other, GError **error)
{
	g_autofree char *path = vm_disk_path(vm->dir, disk);

	for (guint i = 0; i < other->running->disks->len; i++) {
		const VmDisk *theirs = other->running->disks->pdata[i];
		g_autofree char *used = vm_disk_path(other->dir, theirs);

		if (!(disk->readonly && theirs->readonly) && same_file(path, used))
			return carrel_fail(error, CARREL_ERROR_BUSY, "disk %s of VM %s (%s) is in use by VM %s: shut that one down first, or "
				"make a clone", disk->name, vm->name, path, other->name);
	}
	return TRUE;
}

static gboolean disks_unused(Vm *vm, GError **error)
{
	GHashTableIter iter;
	Vm *other;

	g_hash_table_iter_init(&iter, vm->manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&other))
		for (guint i = 0; other != vm && other->running && i < vm->file->disks->len; i++)
			if (!disk_unused(vm, vm->file->disks->pdata[i], other, error))
				return FALSE;
	return TRUE;
}

static void begin_start(Job *job, Vm *vm, Run *run)
{
	g_clear_pointer(&vm->running, vmfile_free);
	vm->running = vmfile_copy(vm->file);
	run->file = vmfile_copy(vm->file);
	vm_set_state(vm, VM_STARTING, NULL);
	job_run(job, start_work, run, run_free, started);
}

Job *run_start(Vm *vm, const char *passphrase, gboolean paused, GError **error)
{
	Job *job;
	Run *run;

	if (power_busy(vm->manager)) {
		carrel_fail(error, CARREL_ERROR_BUSY, "VM %s: the machine is about to sleep or to stop", vm->name);
		return NULL;
	}
	if (!vm_allows(vm, ACT_START, error))
		return NULL;
	if (vm->file->template) {
		carrel_fail(error, CARREL_ERROR_STATE, "VM %s is a template and never runs: make a VM from it", vm->name);
		return NULL;
	}
	if (vm->file->encrypted && !vm->unlocked && !passphrase) {
		carrel_fail(error, CARREL_ERROR_DENIED, "VM %s is encrypted: its passphrase is needed", vm->name);
		return NULL;
	}
	if (!disks_unused(vm, error))
		return NULL;
	job = vm_begin(vm, ACT_START, error);
	run = run_new(vm);
	run->passphrase = g_strdup(passphrase);
	run->vault_open = vm->unlocked;
	vm_set_unlocked(vm, FALSE); /* the run closes it, however it ends */
	run->paused = paused;
	begin_start(job, vm, run);
	return job;
}

/* -- stop ------------------------------------------------------------------------------------------------------------- */

static gboolean stop_work(Job *job, gpointer data, GError **error)
{
	Run *run = data;
	Hv *hv = run->manager->hv;
	g_autoptr(GError) net = NULL, vault = NULL;

	job_stage(job, 0.7, "takes it down");
	if (!store_phase(run->manager, run->name, "stopping", error) || (run->old && !hv->ops->destroy(hv, run->old, error)))
		return FALSE;
	if (!network_wire(run->manager, run->name, FALSE, &net))
		g_warning("VM %s: its network is not removed: %s", run->name, net->message);
	if (run->vault_open && !close_vault(run, &vault))
		g_warning("VM %s: its volume stays open: %s", run->name, vault->message);
	store_remove(run->manager, run->name);
	return TRUE;
}

static void stopped(Job *job, gpointer data, GError *error)
{
	Run *run = data;
	Vm *vm = job->vm;
	g_autoptr(GError) instead = NULL;

	if (error) {
		g_autofree char *problem = g_strdup_printf("could not be taken down: %s; force it off", error->message);

		vm_set_state(vm, VM_CRASHED, problem);
		job_finish(job, error);
		return;
	}
	vm_attached(vm, 0);
	vm_refresh_disks(vm);
	vm_refresh_snapshots(vm);
	if (vm->file)
		vm_set_state(vm, run->after, run->problem);
	else
		vm_set_state(vm, VM_BROKEN, vm->problem);
	/* Somebody asked for something else than what came. */
	if (run->problem)
		carrel_fail(&instead, CARREL_ERROR_STATE, "VM %s: %s", vm->name, run->problem);
	job_finish(job, strcmp(job->kind, "ForceOff") ? instead : NULL);
	disks_tidy(vm);
}

/* after: off, or crashed because of problem. */
static void stop(Job *job, Vm *vm, VmState after, const char *problem)
{
	Run *run = run_new(vm);

	run->after = after;
	run->problem = g_strdup(problem);
	run->vault_open = vm->running && vm->running->encrypted;
	vm->awaiting = FALSE;
	g_clear_handle_id(&vm->await_timer, g_source_remove);
	vm_set_state(vm, VM_STOPPING, NULL);
	job_run(job, stop_work, run, run_free, stopped);
}

static void restart(Job *job, Vm *vm)
{
	Run *run;

	if (!vm->file || power_busy(vm->manager)) {
		stop(job, vm, VM_OFF, NULL);
		return;
	}
	run = run_new(vm);
	run->vault_open = vm->running && vm->running->encrypted;
	vm->awaiting = FALSE;
	g_clear_handle_id(&vm->await_timer, g_source_remove);
	begin_start(job, vm, run);
}

static void crashed(Job *job, Vm *vm)
{
	CrashAction action = vm->running ? vm->running->on_crash : CRASH_OFF;

	if (action == CRASH_PRESERVE) {
		g_autoptr(GError) error = g_error_new(CARREL_ERROR, CARREL_ERROR_FAILED, "VM %s crashed", vm->name);

		manager_notice(vm->manager, "error", vm, "%s crashed. It is kept as it is for a debugger.", vm_title(vm));
		vm_set_state(vm, VM_CRASHED, "its guest crashed; it is kept for a debugger until it is forced off");
		job_finish(job, error);
	} else if (action == CRASH_RESTART && crash_may_restart(vm->crashes, g_get_monotonic_time())) {
		manager_notice(vm->manager, "warning", vm, "%s crashed and is started again.", vm_title(vm));
		restart(job, vm);
	} else {
		const char *why = action == CRASH_RESTART ? "its guest crashed too often (four times within ten minutes); not started again" :
			"its guest crashed";

		manager_notice(vm->manager, "error", vm, "%s: %s.", vm_title(vm), why);
		stop(job, vm, VM_CRASHED, why);
	}
}

void run_stopped(Vm *vm, HvReason reason)
{
	gboolean asked = vm->awaiting;
	Job *job = vm->job;

	if (reason == HV_SUSPEND) {
		if (job)
			return;
		vm_set_state(vm, VM_SUSPENDED, NULL);
		if (vm->half_asleep)
			run_resume(vm, NULL);
		vm->half_asleep = FALSE;
		return;
	}
	if (!job)
		job = job_new(vm->manager, reason == HV_REBOOT ? "Reboot" : reason == HV_CRASH ? "Crash" : "Shutdown", vm);
	vm->awaiting = FALSE;
	g_clear_handle_id(&vm->await_timer, g_source_remove);
	if (reason == HV_CRASH)
		crashed(job, vm);
	else if (asked && vm->awaited == HV_REBOOT && reason == HV_POWEROFF)
		stop(job, vm, VM_OFF, "it shut down instead of restarting");
	else if (reason == HV_REBOOT && !(asked && vm->awaited != HV_REBOOT))
		restart(job, vm);
	else
		stop(job, vm, VM_OFF, NULL);
}

void run_vanished(Vm *vm)
{
	Job *job = vm->job ? vm->job : job_new(vm->manager, "Shutdown", vm);

	manager_notice(vm->manager, "warning", vm, "%s was destroyed by another program.", vm_title(vm));
	stop(job, vm, VM_OFF, NULL);
}

/* -- ask the guest ---------------------------------------------------------------------------------------------------- */

typedef struct {
	Job *job;
	guint domain;
	HvReason what;
} Request;

static void request_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Request *request = data;
	Hv *hv = request->job->manager->hv;
	GError *error = NULL;

	(void)source, (void)cancellable;
	if (hv->ops->request(hv, request->domain, request->what, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void request_free(gpointer data)
{
	Request *request = data;

	job_unref(request->job);
	g_free(request);
}

/* The job gave up waiting: the guest goes on. */
static void give_up(Job *job, CarrelErrorCode code, const char *reason)
{
	Vm *vm = job->vm;
	g_autoptr(GError) error = NULL;

	carrel_fail(&error, code, "VM %s %s; it runs on", vm->name, reason);
	vm->awaiting = FALSE;
	g_clear_handle_id(&vm->await_timer, g_source_remove);
	vm_set_state(vm, VM_RUNNING, NULL);
	job_finish(job, error);
}

static void requested(GObject *source, GAsyncResult *result, gpointer data)
{
	Request *request = g_task_get_task_data(G_TASK(result));
	Job *job = request->job;
	Vm *vm = job->vm;
	g_autoptr(GError) error = NULL;
	gboolean heard = g_task_propagate_boolean(G_TASK(result), &error);

	(void)source, (void)data;
	if (job->ended || vm->job != job || !vm->awaiting || vm->domain != request->domain)
		return;
	if (!heard && !g_error_matches(error, CARREL_ERROR, CARREL_ERROR_TIMEOUT)) {
		g_autofree char *reason = g_strdup_printf("could not be asked: %s", error->message);

		give_up(job, CARREL_ERROR_FAILED, reason);
	} else if (heard && request->what == HV_SUSPEND) {
		vm_set_state(vm, VM_SUSPENDED, NULL);
		job_finish(job, NULL);
	}
}

static gboolean no_answer(gpointer data)
{
	Vm *vm = data;
	const char *did = vm->awaited == HV_SUSPEND ? "did not suspend in time: its guest does not answer" :
		vm->awaited == HV_REBOOT ? "did not restart in time: its guest does not answer (force it off to restart it)" :
		"did not shut down in time: its guest does not answer (force it off if need be)";

	vm->await_timer = 0;
	give_up(vm->job, CARREL_ERROR_TIMEOUT, did);
	return G_SOURCE_REMOVE;
}

static void ask_cancelled(Job *job)
{
	give_up(job, CARREL_ERROR_CANCELLED, "is no longer waited for");
}

static Job *ask(Vm *vm, VmAction action, HvReason what, guint timeout, GError **error)
{
	Job *job = vm_begin(vm, action, error);
	Request *request;
	GTask *task;

	if (!job)
		return NULL;
	if (!timeout)
		timeout = vm->running ? vm->running->shutdown_timeout : 60;
	vm->awaiting = TRUE;
	vm->awaited = what;
	vm->await_timer = g_timeout_add_seconds(timeout, no_answer, vm);
	job->on_cancel = ask_cancelled;
	vm_set_state(vm, what == HV_SUSPEND ? VM_SUSPENDING : VM_STOPPING, NULL);
	job_stage(job, -1, "waits for the guest, %u seconds at most", timeout);
	request = g_new0(Request, 1);
	*request = (Request){ job_ref(job), vm->domain, what };
	task = g_task_new(NULL, NULL, requested, NULL);
	g_task_set_task_data(task, request, request_free);
	g_task_run_in_thread(task, request_thread);
	g_object_unref(task);
	return job;
}

Job *run_shutdown(Vm *vm, guint timeout, GError **error)
{
	return ask(vm, ACT_SHUTDOWN, HV_POWEROFF, timeout, error);
}

Job *run_reboot(Vm *vm, guint timeout, GError **error)
{
	return ask(vm, ACT_REBOOT, HV_REBOOT, timeout, error);
}

Job *run_suspend(Vm *vm, GError **error)
{
	vm->half_asleep = FALSE;
	return ask(vm, ACT_SUSPEND, HV_SUSPEND, 0, error);
}

static gboolean resume_work(Job *job, gpointer data, GError **error)
{
	Run *run = data;

	return job->manager->hv->ops->resume(job->manager->hv, run->old, error);
}

static void resumed(Job *job, gpointer data, GError *error)
{
	(void)data;
	if (!error)
		vm_set_state(job->vm, VM_RUNNING, NULL);
	else if (power_busy(job->manager))
		manager_notice(job->manager, "error", job->vm, "%s does not wake: %s", vm_title(job->vm), error->message);
	job_finish(job, error);
}

Job *run_resume(Vm *vm, GError **error)
{
	Job *job = vm_begin(vm, ACT_RESUME, error);

	if (job)
		job_run(job, resume_work, run_new(vm), run_free, resumed);
	return job;
}

gboolean run_pause(Vm *vm, gboolean on, GError **error)
{
	Hv *hv = vm->manager->hv;

	if (!vm_allows(vm, on ? ACT_PAUSE : ACT_UNPAUSE, error))
		return FALSE;
	if (!(on ? hv->ops->pause : hv->ops->unpause)(hv, vm->domain, error))
		return FALSE;
	vm_set_state(vm, on ? VM_PAUSED : VM_RUNNING, NULL);
	return TRUE;
}

/* -- force off: in any state ------------------------------------------------------------------------------------------ */

void run_force_off_now(Job *job)
{
	if (vm_state_alive(job->vm->state) || job->vm->domain)
		stop(job, job->vm, VM_OFF, NULL);
	else
		job_finish(job, NULL); /* what it waited for has left it off */
}

Job *run_force_off(Vm *vm, GError **error)
{
	Job *job;

	if (vm->pending || (vm->job && !strcmp(vm->job->kind, "ForceOff"))) {
		carrel_fail(error, CARREL_ERROR_BUSY, "VM %s is being forced off already", vm->name);
		return NULL;
	}
	if (!vm_state_allows(vm->state, vm->domain != 0, ACT_FORCE_OFF, vm->name, error))
		return NULL;
	if (vm->job)
		job_cancel(vm->job);
	job = job_new(vm->manager, "ForceOff", vm);
	if (vm->job == job) {
		run_force_off_now(job);
	} else {
		vm->pending = job_ref(job);
		job_stage(job, -1, "waits for %s to end", vm->job->kind);
	}
	return job;
}
