/* SPDX-License-Identifier: Apache-2.0 */
/* The seam's other side in tests. Guests obey at once, unless [behaviour] says otherwise. */
#include <string.h>

#include "balance.h"
#include "error.h"
#include "fake.h"
#include "hv.h"

typedef struct {
	Hv hv;
	GFileMonitor *monitor;
	HvChanged changed;
	gpointer data;
} FakeHv;

static const char *const reasons[] = { "poweroff", "reboot", "suspend", "crash" };

static char *group_of(guint id)
{
	return g_strdup_printf("%u", id);
}

static gboolean there(Fake *fake, guint id, GError **error)
{
	g_autofree char *group = group_of(id);

	return g_key_file_has_group(fake->keys, group) || carrel_fail(error, CARREL_ERROR_FAILED, "no domain %u", id);
}

static void copy(Fake *fake, const char *group, const char *key, char *to, gsize size)
{
	g_autofree char *text = g_key_file_get_string(fake->keys, group, key, NULL);

	g_strlcpy(to, text ? text : "", size);
}

static gboolean f_list(Hv *hv, GArray **domains, GError **error)
{
	Fake *fake = fake_open();
	g_auto(GStrv) groups = g_key_file_get_groups(fake->keys, NULL);

	(void)hv, (void)error;
	*domains = g_array_new(FALSE, TRUE, sizeof(HvDomain));
	for (char **group = groups; *group; group++) {
		HvDomain domain = { .id = g_ascii_strtoull(*group, NULL, 10) };
		char reason[16];

		if (!g_ascii_isdigit(**group))
			continue;
		copy(fake, *group, "uuid", domain.uuid, sizeof(domain.uuid));
		copy(fake, *group, "mark", domain.mark, sizeof(domain.mark));
		copy(fake, *group, "reason", reason, sizeof(reason));
		domain.paused = fake_number(fake, *group, "paused");
		domain.shutdown = *reason != 0;
		for (guint i = 0; i < G_N_ELEMENTS(reasons); i++)
			if (!strcmp(reason, reasons[i]))
				domain.reason = i;
		domain.memory = fake_number(fake, *group, "memory");
		domain.cpu_ns = 1000 * domain.id;
		domain.vcpus = 2;
		g_array_append_val(*domains, domain);
	}
	fake_close(fake, FALSE);
	return TRUE;
}

static guint64 free_memory(Fake *fake)
{
	g_auto(GStrv) groups = g_key_file_get_groups(fake->keys, NULL);
	guint64 free = fake_number(fake, "machine", "total");

	for (char **group = groups; *group; group++)
		if (g_ascii_isdigit(**group)) {
			guint64 used = fake_number(fake, *group, "memory") + balance_overhead(fake_number(fake, *group, "boot"), 2);

			free -= MIN(free, used);
		}
	return free;
}

static gboolean f_machine(Hv *hv, HvMachine *machine, GError **error)
{
	Fake *fake = fake_open();

	(void)hv, (void)error;
	*machine = (HvMachine){ .total = fake_number(fake, "machine", "total") + 512 * MIB, .free = free_memory(fake), .dom0 = 480 * MIB,
		.core = 32 * MIB, .dom0_available = 300 * MIB, .cpus = 4, .idle_ns = 12345 };
	if (g_key_file_has_key(fake->keys, "machine", "dom0-available", NULL))
		machine->dom0_available = fake_number(fake, "machine", "dom0-available");
	fake_close(fake, FALSE);
	return TRUE;
}

static gboolean reserve(Fake *fake, const HvConfig *config, guint *id, GError **error)
{
	g_autofree char *group = NULL;

	if (free_memory(fake) < config->memory + balance_overhead(config->memory, 2))
		return carrel_fail(error, CARREL_ERROR_NO_MEMORY, "the fake machine has no memory for %s", config->name);
	*id = fake_number(fake, "machine", "last") + 1;
	group = group_of(*id);
	g_key_file_set_uint64(fake->keys, "machine", "last", *id);
	g_key_file_set_string(fake->keys, group, "name", config->name);
	g_key_file_set_string(fake->keys, group, "uuid", config->uuid);
	g_key_file_set_uint64(fake->keys, group, "memory", config->memory);
	g_key_file_set_uint64(fake->keys, group, "boot", config->memory);
	g_key_file_set_uint64(fake->keys, group, "paused", 1);
	g_key_file_set_uint64(fake->keys, group, "disks", config->disks->len);
	g_key_file_set_uint64(fake->keys, group, "nics", config->nics->len);
	return TRUE;
}

/* As with libxl, the domain is there long before the call is over. */
static gboolean f_create(Hv *hv, const HvConfig *config, guint *id, GError **error)
{
	Fake *fake = fake_open();
	guint64 build_ms = fake_number(fake, "behaviour", "build-ms"), ms = fake_number(fake, "behaviour", "create-ms");
	gboolean fails = fake_number(fake, "behaviour", "create-fails"), made;

	fake_close(fake, FALSE);
	g_usleep(build_ms * 1000);
	fake = fake_open();
	made = reserve(fake, config, id, error);
	fake_close(fake, made);
	if (!made)
		return FALSE;
	g_usleep(ms * 1000);
	if (fails) {
		hv->ops->destroy(hv, *id, NULL);
		return carrel_fail(error, CARREL_ERROR_FAILED, "the fake hypervisor was told to fail");
	}
	return TRUE;
}

static gboolean set(guint id, const char *key, guint64 value, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error);

	if (found)
		g_key_file_set_uint64(fake->keys, group, key, value);
	fake_close(fake, found);
	return found;
}

static guint64 get(const char *group, const char *key)
{
	Fake *fake = fake_open();
	guint64 value = fake_number(fake, group, key);

	fake_close(fake, FALSE);
	return value;
}

static gboolean f_connect(Hv *hv, guint id, const HvConfig *config, gboolean wait, GCancellable *stop, GError **error)
{
	g_autofree char *group = group_of(id);
	gint64 end = g_get_monotonic_time() + get("behaviour", "view-ms") * 1000;

	(void)hv;
	if (!set(id, "screens", config->screens, error) || !set(id, "play", config->play, error) ||
	    !set(id, "record", config->record, error))
		return FALSE;
	while (wait && !get(group, "served")) {
		if (g_cancellable_set_error_if_cancelled(stop, error))
			return FALSE;
		if (g_get_monotonic_time() > end)
			return carrel_fail(error, CARREL_ERROR_TIMEOUT, "no back end took up the screen of domain %u", id);
		g_usleep(5000);
	}
	return TRUE;
}

static gboolean f_mark(Hv *hv, guint id, const char *uuid, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error);

	(void)hv;
	if (found)
		g_key_file_set_string(fake->keys, group, "mark", uuid);
	fake_close(fake, found);
	return found;
}

static gboolean f_destroy(Hv *hv, guint id, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	guint64 ms = fake_number(fake, "behaviour", "destroy-ms");

	(void)hv;
	if (fake_number(fake, "behaviour", "destroy-fails")) {
		fake_close(fake, FALSE);
		return carrel_fail(error, CARREL_ERROR_FAILED, "domain %u clings to life", id);
	}
	fake_close(fake, FALSE);
	g_usleep(ms * 1000);
	fake = fake_open();
	g_key_file_remove_group(fake->keys, group, NULL);
	fake_close(fake, TRUE);
	return TRUE;
}

static gboolean f_pause(Hv *hv, guint id, GError **error)
{
	(void)hv;
	return set(id, "paused", 1, error);
}

static gboolean f_unpause(Hv *hv, guint id, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error);

	(void)hv;
	if (found) {
		g_key_file_set_uint64(fake->keys, group, "paused", 0);
		if (fake_number(fake, "behaviour", "crash-boot"))
			g_key_file_set_string(fake->keys, group, "reason", "crash");
	}
	fake_close(fake, found);
	return found;
}

static gboolean f_request(Hv *hv, guint id, HvReason what, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error), deaf = fake_number(fake, "behaviour", "deaf");

	(void)hv;
	if (found && !deaf)
		g_key_file_set_string(fake->keys, group, "reason", reasons[what]);
	fake_close(fake, found && !deaf);
	if (found && deaf)
		return carrel_fail(error, CARREL_ERROR_TIMEOUT, "domain %u does not answer", id);
	return found;
}

static gboolean f_resume(Hv *hv, guint id, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error);

	(void)hv;
	if (found)
		g_key_file_remove_key(fake->keys, group, "reason", NULL);
	fake_close(fake, found);
	return found;
}

static gboolean f_set_memory(Hv *hv, guint id, guint64 bytes, GError **error)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	gboolean found = there(fake, id, error);

	(void)hv;
	if (found) {
		g_key_file_set_uint64(fake->keys, group, "target", bytes);
		if (!fake_number(fake, "behaviour", "stiff"))
			g_key_file_set_uint64(fake->keys, group, "memory", bytes);
	}
	fake_close(fake, found);
	return found;
}

static gboolean f_set_vcpus(Hv *hv, guint id, guint vcpus, GError **error)
{
	(void)hv;
	return set(id, "vcpus", vcpus, error);
}

static gboolean f_set_shares(Hv *hv, guint id, guint weight, guint cap, GError **error)
{
	(void)hv;
	return set(id, "weight", weight, error) && set(id, "cap", cap, error);
}

static char *f_console(Hv *hv, guint id)
{
	g_autofree char *group = group_of(id);

	(void)hv;
	return g_strdup_printf("/dev/pts/%" G_GUINT64_FORMAT, id + get(group, "console-moved"));
}

static gboolean f_recording(Hv *hv, guint id)
{
	g_autofree char *group = group_of(id);

	(void)hv;
	return get(group, "recording");
}

static gboolean f_permit(Hv *hv, guint id, gboolean play, gboolean record, GError **error)
{
	(void)hv;
	return set(id, "may-play", play, error) && set(id, "may-record", record, error);
}

static guint64 f_demand(Hv *hv, guint id)
{
	Fake *fake = fake_open();
	g_autofree char *group = group_of(id);
	guint64 demand = fake_number(fake, group, "demand");

	(void)hv;
	fake_close(fake, FALSE);
	return demand;
}

static gboolean f_counters(Hv *hv, guint id, HvCounters *counters)
{
	(void)hv;
	*counters = (HvCounters){ id, 2, 3, 4 };
	return TRUE;
}

static void file_changed(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
	FakeHv *fake = data;

	(void)monitor, (void)file, (void)other, (void)event;
	fake->changed(fake->data);
}

static void f_watch(Hv *hv, HvChanged changed, gpointer data)
{
	FakeHv *fake = (FakeHv *)hv;
	g_autofree char *path = fake_path("domains.ini");
	g_autoptr(GFile) file = g_file_new_for_path(path);

	fake->changed = changed;
	fake->data = data;
	fake->monitor = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);
	g_file_monitor_set_rate_limit(fake->monitor, 10);
	g_signal_connect(fake->monitor, "changed", G_CALLBACK(file_changed), fake);
}

static void f_watch_domain(Hv *hv, guint id, gboolean on)
{
	(void)hv, (void)id, (void)on;
}

static void f_free(Hv *hv)
{
	g_clear_object(&((FakeHv *)hv)->monitor);
	g_free(hv);
}

static const HvOps ops = { f_list, f_machine, f_create, f_connect, f_mark, f_destroy, f_pause, f_unpause, f_request, f_resume, f_set_memory,
	f_set_vcpus, f_set_shares, f_console, f_recording, f_permit, f_demand, f_counters, f_watch, f_watch_domain, f_free };

Hv *fake_hv_new(GError **error);
Hv *fake_hv_new(GError **error)
{
	FakeHv *fake = g_new0(FakeHv, 1);

	(void)error;
	fake->hv.ops = &ops;
	return &fake->hv;
}
