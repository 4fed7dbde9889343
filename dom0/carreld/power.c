/* SPDX-License-Identifier: Apache-2.0 */
/* The machine sleeps, wakes, stops: every VM is told first, the last started first, and wakes in the order of its start. Driven by
 * the states of the VMs: each job that ends moves it on. */
#include <glib/gstdio.h>
#include <string.h>

#include "vm.h"

typedef enum {
	POWER_NONE,
	POWER_DOWN,    /* VMs are told */
	POWER_MACHINE, /* the machine's turn */
	POWER_UP       /* VMs are woken */
} Phase;

struct Power {
	Phase phase;
	char *what;         /* suspend, poweroff or reboot */
	gboolean own;       /* we ask the machine; else it asked us */

	Job *job;
	GError *error;      /* how the job ends */
	GHashTable *told;   /* names of VMs that did not do what they were asked: pause or force them */
	GHashTable *left;   /* names of VMs that cannot be helped */
	GHashTable *asleep; /* names of VMs to wake */
	guint later_source;
};

static void step(Manager *manager);

static void set_state(Manager *manager, const char *state)
{
	carrel_manager1_set_state(manager->api, state);
}

gboolean power_busy(Manager *manager)
{
	return manager->power->phase != POWER_NONE;
}

static guint order_of(Vm *vm)
{
	return vm->file ? vm->file->start_order : 100;
}

/* -- going down ------------------------------------------------------------------------------------------------------- */

static gboolean is_down(Manager *manager, Vm *vm)
{
	if (vm->job)
		return FALSE;
	if (g_hash_table_contains(manager->power->left, vm->name))
		return TRUE;
	if (strcmp(manager->power->what, "suspend"))
		return !vm->domain;
	return vm->state != VM_RUNNING;
}

static void follow_job(Manager *manager, Vm *vm, Job *job, GError *error)
{
	if (job)
		return;
	/* It must not hold up the machine. */
	g_message("VM %s: %s", vm->name, error->message);
	g_hash_table_add(manager->power->told, g_strdup(vm->name));
}

static void put_to_sleep(Manager *manager, Vm *vm)
{
	g_autoptr(GError) error = NULL;

	if (!g_hash_table_contains(manager->power->asleep, vm->name)) {
		g_hash_table_add(manager->power->asleep, g_strdup(vm->name));
		follow_job(manager, vm, run_suspend(vm, &error), error);
		return;
	}
	/* It was asked and still runs. */
	manager_notice(manager, "warning", vm, "%s did not suspend itself; it is paused while the machine sleeps.",
		vm_title(vm));
	vm->half_asleep = TRUE;
	if (!run_pause(vm, TRUE, &error)) {
		g_warning("VM %s: %s", vm->name, error->message);
		g_hash_table_add(manager->power->left, g_strdup(vm->name));
	}
}

static void shut_down(Manager *manager, Vm *vm)
{
	g_autoptr(GError) error = NULL;
	gboolean told = g_hash_table_contains(manager->power->told, vm->name);

	if (!told && vm->state == VM_PAUSED && run_pause(vm, FALSE, NULL))
		return shut_down(manager, vm);
	if (!told && vm->state == VM_SUSPENDED) {
		follow_job(manager, vm, run_resume(vm, &error), error);
		return;
	}
	if (!told && vm->state == VM_RUNNING) {
		g_hash_table_add(manager->power->told, g_strdup(vm->name));
		follow_job(manager, vm, run_shutdown(vm, 0, &error), error);
		return;
	}
	manager_notice(manager, "warning", vm, "%s did not shut down in time; its power is taken away.",
		vm_title(vm));
	/* Once: a domain that cannot be destroyed must not keep the machine on. */
	g_hash_table_add(manager->power->left, g_strdup(vm->name));
	if (!run_force_off(vm, &error))
		g_warning("VM %s is left as it is: %s", vm->name, error->message);
}

/* Those with the highest start order, together; the others wait for them. TRUE: all are down. */
static gboolean all_down(Manager *manager)
{
	g_autoptr(GList) running = manager_running(manager);
	GHashTableIter iter;
	guint order = 0;
	gboolean down = TRUE;
	Vm *vm;

	g_hash_table_iter_init(&iter, manager->vms);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&vm))
		if (!is_down(manager, vm)) {
			down = FALSE;
			order = MAX(order, order_of(vm));
		}
	for (GList *at = running; at; at = at->next) {
		vm = at->data;
		if (order_of(vm) != order || is_down(manager, vm) || vm->job)
			continue;
		(strcmp(manager->power->what, "suspend") ? shut_down : put_to_sleep)(manager, vm);
		if (!vm->job)
			power_job_ended(manager); /* no job to wait for: look again */
	}
	return down;
}

/* -- coming up -------------------------------------------------------------------------------------------------------- */

static void wake(Manager *manager, Vm *vm)
{
	g_autoptr(GError) error = NULL;
	gboolean woken = TRUE;

	if (vm->state == VM_PAUSED)
		woken = run_pause(vm, FALSE, &error);
	else if (vm->state == VM_SUSPENDED)
		woken = run_resume(vm, &error) != NULL;
	if (!woken)
		manager_notice(manager, "error", vm, "%s does not wake: %s", vm_title(vm), error->message);
}

/* The lowest start order first. TRUE: all that slept are awake, or will not be. */
static gboolean all_up(Manager *manager)
{
	struct Power *power = manager->power;
	g_autoptr(GList) running = manager_running(manager);

	for (GList *at = running; at; at = at->next) {
		Vm *vm = at->data;

		if (vm->job && !strcmp(vm->job->kind, "Resume"))
			return FALSE;
		if (!g_hash_table_contains(power->asleep, vm->name))
			continue;
		if (vm->job)
			return FALSE;
		g_hash_table_remove(power->asleep, vm->name);
		wake(manager, vm);
		if (vm->job)
			return FALSE;
	}
	return TRUE;
}

static void finish(Manager *manager)
{
	struct Power *power = manager->power;
	Job *job = g_steal_pointer(&power->job);
	g_autoptr(GError) error = g_steal_pointer(&power->error);

	power->phase = POWER_NONE;
	g_clear_pointer(&power->what, g_free);
	g_hash_table_remove_all(power->told);
	g_hash_table_remove_all(power->left);
	g_hash_table_remove_all(power->asleep);
	set_state(manager, "running");
	manager->machine->hold(manager->machine);
	memory_changed(manager);
	if (job) {
		job_finish(job, error);
		job_unref(job);
	}
}

static void go_up(Manager *manager, const GError *error)
{
	struct Power *power = manager->power;

	if (error && !power->error)
		power->error = g_error_copy(error);
	power->phase = POWER_UP;
	step(manager);
}

/* -- the machine ------------------------------------------------------------------------------------------------------ */

static void machine_answered(gpointer data, GError *error)
{
	Manager *manager = data;
	g_autoptr(GError) failed = NULL;

	if (!error || manager->power->phase != POWER_MACHINE)
		return;
	carrel_fail(&failed, CARREL_ERROR_FAILED, "the machine did not %s: %s", manager->power->what, error->message);
	go_up(manager, failed);
}

static void machine_turn(Manager *manager)
{
	struct Power *power = manager->power;

	power->phase = POWER_MACHINE;
	if (power->job) {
		power->job->on_cancel = NULL;
		job_stage(power->job, 0.9, "the machine's turn");
	}
	if (!power->own) {
		manager->machine->release(manager->machine);
		return;
	}
	/* It will announce itself to us as to all others; we are ready. */
	manager->machine->release(manager->machine);
	manager->machine->request(manager->machine, power->what, machine_answered, manager);
}

static void step(Manager *manager)
{
	struct Power *power = manager->power;

	if (power->phase == POWER_DOWN && all_down(manager))
		machine_turn(manager);
	else if (power->phase == POWER_UP && all_up(manager))
		finish(manager);
}

static void cancelled(Job *job)
{
	g_autoptr(GError) error = NULL;

	carrel_fail(&error, CARREL_ERROR_CANCELLED, "the machine goes on");
	go_up(job->manager, error);
}

static Job *begin(Manager *manager, const char *what, gboolean own)
{
	struct Power *power = manager->power;
	gboolean suspend = !strcmp(what, "suspend");

	power->phase = POWER_DOWN;
	power->what = g_strdup(what);
	power->own = own;
	set_state(manager, suspend ? "suspending" : "stopping");
	g_ptr_array_set_size(manager->autostart, 0);
	power->job = job_ref(job_new(manager, suspend ? "Suspend" : "Shutdown", NULL));
	power->job->on_cancel = own ? cancelled : NULL;
	job_stage(power->job, -1, suspend ? "suspends the VMs" : "shuts the VMs down");
	return power->job;
}

static gboolean first_step(gpointer data)
{
	step(data);
	return G_SOURCE_REMOVE;
}

static Job *request(Manager *manager, const char *what, GError **error)
{
	Job *job;

	if (power_busy(manager)) {
		carrel_fail(error, CARREL_ERROR_BUSY, "the machine is about to %s already", manager->power->what);
		return NULL;
	}
	job = begin(manager, what, TRUE);
	/* The caller hears of the job before it can end. */
	g_idle_add(first_step, manager);
	return job;
}

Job *power_suspend(Manager *manager, GError **error)
{
	return request(manager, "suspend", error);
}

Job *power_shutdown(Manager *manager, const char *what, GError **error)
{
	if (strcmp(what, "poweroff") && strcmp(what, "reboot")) {
		carrel_fail(error, CARREL_ERROR_INVALID, "'%s': what is to be done is poweroff or reboot", what);
		return NULL;
	}
	return request(manager, what, error);
}

/* Lid, button, battery, 'systemctl suspend': the machine tells us. */
static void machine_sleeps(gpointer data, gboolean begins)
{
	Manager *manager = data;
	struct Power *power = manager->power;

	if (begins && power->phase == POWER_NONE) {
		begin(manager, "suspend", FALSE);
		step(manager);
	} else if (!begins && power->phase != POWER_NONE && !strcmp(power->what, "suspend")) {
		go_up(manager, NULL);
	}
}

static void machine_stops(gpointer data, gboolean begins)
{
	Manager *manager = data;
	struct Power *power = manager->power;

	if (begins && power->phase == POWER_NONE) {
		begin(manager, "poweroff", FALSE);
		step(manager);
	} else if (!begins && power->phase == POWER_MACHINE && strcmp(power->what, "suspend")) {
		g_autoptr(GError) error = NULL;

		carrel_fail(&error, CARREL_ERROR_CANCELLED, "the machine goes on after all");
		go_up(manager, error);
	}
}

static const MachineEvents events = { machine_sleeps, machine_stops };

/* -- autostart -------------------------------------------------------------------------------------------------------- */

static void start_next(Manager *manager)
{
	while (manager->autostart->len && !power_busy(manager)) {
		g_autofree char *name = g_ptr_array_steal_index(manager->autostart, 0);
		g_autoptr(GError) error = NULL;
		Vm *vm = manager_vm(manager, name);

		if (!vm || vm->domain || vm->job)
			continue;
		if (run_start(vm, NULL, FALSE, &error))
			return; /* the next one when this one is up */
		manager_notice(manager, "warning", vm, "%s was not started: %s", vm_title(vm), error->message);
	}
}

/* Once after the machine came up, not each time that the daemon does. */
void power_autostart(Manager *manager)
{
	g_autofree char *mark = g_build_filename(manager->run_dir, "autostarted", NULL);
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	g_autoptr(GList) vms = g_hash_table_get_values(manager->vms);

	manager->machine->listen(manager->machine, &events, manager);
	manager->machine->hold(manager->machine);
	if (g_file_test(mark, G_FILE_TEST_EXISTS))
		return;
	for (guint order = 0; order <= 999; order++)
		for (GList *at = vms; at; at = at->next) {
			Vm *vm = at->data;

			if (vm->file && vm->file->autostart && order_of(vm) == order)
				g_ptr_array_add(manager->autostart, g_strdup(vm->name));
		}
	if (!g_file_set_contents(mark, "", 0, NULL))
		g_warning("cannot write %s: VMs may be started again when carreld restarts", mark);
	start_next(manager);
}

static gboolean later(gpointer data)
{
	Manager *manager = data;

	manager->power->later_source = 0;
	step(manager);
	start_next(manager);
	return G_SOURCE_REMOVE;
}

void power_job_ended(Manager *manager)
{
	if (manager->power && !manager->power->later_source && (power_busy(manager) || manager->autostart->len))
		manager->power->later_source = g_idle_add(later, manager);
}

void power_init(Manager *manager)
{
	manager->power = g_new0(struct Power, 1);
	manager->power->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	manager->power->left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	manager->power->asleep = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	manager->autostart = g_ptr_array_new_with_free_func(g_free);
}

void power_clear(Manager *manager)
{
	struct Power *power = g_steal_pointer(&manager->power);

	g_clear_handle_id(&power->later_source, g_source_remove);
	g_hash_table_unref(power->told);
	g_hash_table_unref(power->left);
	g_hash_table_unref(power->asleep);
	g_clear_error(&power->error);
	g_free(power->what);
	g_free(power);
}
