/* SPDX-License-Identifier: Apache-2.0 */
/* The seam on libxenlight 4.20. Short calls share one context; what may take long has its own, because libxl holds its context's
 * lock while it builds a domain's memory. */
#include <libxl.h>
#include <libxl_utils.h>
#include <xenstore.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "hv_xl.h"

#define DISK_LIMIT 30 /* seconds for QEMU to open its images */

/* GLib's and the rooms' children live beside libxl's: it must reap its own only. */
static const libxl_childproc_hooks childproc = { .chldowner = libxl_sigchld_owner_libxl_always_selective_reap };

/* libxl returns numbers and logs reasons: the last one that this thread was told. */
static GPrivate last_reason = G_PRIVATE_INIT(g_free);

G_GNUC_PRINTF(5, 0)
static void log_message(xentoollog_logger *logger, xentoollog_level level, int errnum, const char *context, const char *format,
	va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	(void)logger;
	if (errnum > 0) {
		g_autofree char *plain = g_steal_pointer(&text);

		text = g_strdup_printf("%s: %s", plain, g_strerror(errnum));
	}
	g_strchomp(text);
	if (level >= XTL_ERROR)
		g_private_replace(&last_reason, g_strdup(text));
	if (level >= XTL_WARN)
		g_message("%s: %s", context ? context : "xl", text);
	else
		g_debug("%s: %s", context ? context : "xl", text);
}

static void log_progress(xentoollog_logger *logger, const char *context, const char *what, int percent, unsigned long done,
	unsigned long total)
{
	(void)logger, (void)context, (void)what, (void)percent, (void)done, (void)total;
}

static void log_destroy(xentoollog_logger *logger)
{
	(void)logger;
}

static xentoollog_logger logger = { .vmessage = log_message, .progress = log_progress, .destroy = log_destroy };

gboolean hv_xl_failed(GError **error, int rc, const char *format, ...)
{
	const char *reason = g_private_get(&last_reason);
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, CARREL_ERROR, rc == ERROR_NOMEM ? CARREL_ERROR_NO_MEMORY : rc == ERROR_TIMEDOUT ? CARREL_ERROR_TIMEOUT :
		CARREL_ERROR_FAILED, "%s: %s (libxl error %d)", what, reason ? reason : "no reason given", rc);
	return FALSE;
}

static libxl_ctx *context_new(GError **error)
{
	libxl_ctx *ctx = NULL;

	g_private_replace(&last_reason, NULL);
	if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &logger)) {
		g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "cannot reach the hypervisor or xenstored: %s; is this the control "
			"domain, and does xenstored run?", g_private_get(&last_reason) ? (char *)g_private_get(&last_reason) : "no reason given");
		return NULL;
	}
	libxl_childproc_setmode(ctx, &childproc, NULL);
	return ctx;
}

static HvXl *xl_of(Hv *hv)
{
	g_private_replace(&last_reason, NULL);
	return (HvXl *)hv;
}

/* -- figures ---------------------------------------------------------------------------------------------------------- */

static char *store_read(HvXl *xl, guint id, const char *key)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/%s", id, key);

	return xs_read(xl->store, XBT_NULL, path, NULL);
}

static HvReason reason_of(libxl_shutdown_reason reason)
{
	switch (reason) {
	case LIBXL_SHUTDOWN_REASON_POWEROFF:
		return HV_POWEROFF;
	case LIBXL_SHUTDOWN_REASON_REBOOT:
	case LIBXL_SHUTDOWN_REASON_SOFT_RESET:
		return HV_REBOOT;
	case LIBXL_SHUTDOWN_REASON_SUSPEND:
		return HV_SUSPEND;
	default:
		return HV_CRASH;
	}
}

static gboolean xl_list(Hv *hv, GArray **domains, GError **error)
{
	HvXl *xl = xl_of(hv);
	int n = 0;
	libxl_dominfo *infos = libxl_list_domain(xl->ctx, &n);

	if (!infos)
		return hv_xl_failed(error, ERROR_FAIL, "cannot list the domains");
	*domains = g_array_new(FALSE, TRUE, sizeof(HvDomain));
	for (int i = 0; i < n; i++) {
		const libxl_dominfo *info = &infos[i];
		HvDomain domain = { .id = info->domid, .paused = info->paused, .shutdown = info->shutdown, .dying = info->dying,
			.reason = info->shutdown ? reason_of(info->shutdown_reason) : HV_POWEROFF, .memory = info->current_memkb * 1024,
			.cpu_ns = info->cpu_time, .vcpus = info->vcpu_online };
		char *mark;

		if (info->domid == 0)
			continue;
		g_snprintf(domain.uuid, sizeof(domain.uuid), LIBXL_UUID_FMT, LIBXL_UUID_BYTES(info->uuid));
		mark = store_read(xl, info->domid, "carrel/uuid");
		if (mark)
			g_strlcpy(domain.mark, mark, sizeof(domain.mark));
		free(mark);
		g_array_append_val(*domains, domain);
	}
	libxl_dominfo_list_free(infos, n);
	return TRUE;
}

/* What the kernel says it could still give to programs here. */
static guint64 memory_available(void)
{
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL) || !(line = strstr(text, "MemAvailable:")))
		return 0;
	return g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024;
}

static gboolean xl_machine(Hv *hv, HvMachine *machine, GError **error)
{
	HvXl *xl = xl_of(hv);
	libxl_physinfo info;
	guint64 owned = 0, busy = 0, page = sysconf(_SC_PAGESIZE);
	int n = 0, rc;
	libxl_dominfo *infos;
	struct timespec up;

	libxl_physinfo_init(&info);
	rc = libxl_get_physinfo(xl->ctx, &info);
	if (rc)
		return hv_xl_failed(error, rc, "cannot read the machine's memory");
	*machine = (HvMachine){ .total = info.total_pages * page, .free = (info.free_pages + info.scrub_pages) * page,
		.cpus = info.nr_cpus, .dom0_available = memory_available() };
	libxl_physinfo_dispose(&info);
	infos = libxl_list_domain(xl->ctx, &n);
	for (int i = 0; i < n; i++) {
		owned += infos[i].current_memkb * 1024;
		busy += infos[i].cpu_time;
		if (infos[i].domid == 0)
			machine->dom0 = infos[i].current_memkb * 1024;
	}
	libxl_dominfo_list_free(infos, n);
	machine->core = machine->total - MIN(machine->total, machine->free + owned);
	clock_gettime(CLOCK_BOOTTIME, &up);
	machine->idle_ns = (up.tv_sec * G_GUINT64_CONSTANT(1000000000) + up.tv_nsec) * machine->cpus;
	machine->idle_ns -= MIN(machine->idle_ns, busy);
	return TRUE;
}

static gboolean xl_recording(Hv *hv, guint id)
{
	return hv_xl_recording(xl_of(hv)->store, id);
}

static gboolean xl_permit(Hv *hv, guint id, gboolean play, gboolean record, GError **error)
{
	return hv_xl_permit(xl_of(hv)->store, id, play, record, error);
}

static guint64 xl_demand(Hv *hv, guint id)
{
	char *text = store_read(xl_of(hv), id, HV_XL_DEMAND);
	guint64 kib = 0;

	/* A guest wrote it. */
	if (text && !g_ascii_string_to_unsigned(text, 10, 1, G_GUINT64_CONSTANT(1) << 40, &kib, NULL))
		kib = 0;
	free(text);
	return kib * 1024;
}

static guint64 read_number(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void count_nic(const char *device, HvCounters *counters)
{
	g_autofree char *net = g_build_filename(device, "net", NULL);
	g_autoptr(GDir) dir = g_dir_open(net, 0, NULL);
	const char *name = dir ? g_dir_read_name(dir) : NULL;

	if (name) {
		g_autofree char *statistics = g_build_filename(net, name, "statistics", NULL);

		counters->net_sent += read_number(statistics, "rx_bytes");
		counters->net_received += read_number(statistics, "tx_bytes");
	}
}

/* QEMU's disks: what its process read and wrote; it serves nothing but this domain's disks. */
static void count_qemu(HvXl *xl, guint id, HvCounters *counters)
{
	char *pid = store_read(xl, id, "image/device-model-pid");
	g_autofree char *path = g_strdup_printf("/proc/%d/io", pid ? atoi(pid) : 0), *text = NULL;
	const char *at;

	free(pid);
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return;
	if ((at = strstr(text, "\nread_bytes: ")))
		counters->disk_read += g_ascii_strtoull(at + strlen("\nread_bytes: "), NULL, 10);
	if ((at = strstr(text, "\nwrite_bytes: ")))
		counters->disk_written += g_ascii_strtoull(at + strlen("\nwrite_bytes: "), NULL, 10);
}

static gboolean xl_counters(Hv *hv, guint id, HvCounters *counters)
{
	g_autofree char *vbd = g_strdup_printf("vbd-%u-", id), *vif = g_strdup_printf("vif-%u-", id);
	const char *devices = "/sys/bus/xen-backend/devices";
	g_autoptr(GDir) dir = g_dir_open(devices, 0, NULL);
	const char *name;

	*counters = (HvCounters){ 0 };
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *device = g_build_filename(devices, name, NULL);

		if (g_str_has_prefix(name, vbd)) {
			g_autofree char *statistics = g_build_filename(device, "statistics", NULL);

			counters->disk_read += read_number(statistics, "rd_sect") * 512;
			counters->disk_written += read_number(statistics, "wr_sect") * 512;
		} else if (g_str_has_prefix(name, vif)) {
			count_nic(device, counters);
		}
	}
	count_qemu(xl_of(hv), id, counters);
	return TRUE;
}

/* Where xenconsoled writes a PVH domain's pseudo-terminal, a moment after its start, and again when it was started anew itself.
 * The guest cannot. */
static char *console_path(guint id)
{
	return g_strdup_printf("/local/domain/%u/console/tty", id);
}

static char *xl_console(Hv *hv, guint id)
{
	g_autofree char *path = console_path(id);
	char *tty = xs_read(xl_of(hv)->store, XBT_NULL, path, NULL), *copy = tty && *tty ? g_strdup(tty) : NULL;

	free(tty);
	return copy;
}

/* -- life ------------------------------------------------------------------------------------------------------------- */

/* The last line of what QEMU wrote for the VM, which says why it does not serve a disk. Free it. */
static char *qemu_complaint(const char *vm)
{
	g_autofree char *path = g_strdup_printf("/var/log/xen/qemu-dm-%s.log", vm), *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL) || !*g_strchomp(text))
		return g_strdup("it does not say why");
	return g_strdup(strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text);
}

/* libxl does not look whether QEMU could open the disks: the guest would start without them. A back end that is ready is in
 * XenbusStateInitWait (2) or later (xen/io/xenbus.h). */
static gboolean disks_came_up(HvXl *xl, guint id, const char *vm, GError **error)
{
	g_autofree char *dir = g_strdup_printf("/local/domain/0/backend/qdisk/%u", id);
	gint64 end = g_get_monotonic_time() + DISK_LIMIT * G_USEC_PER_SEC;
	unsigned count = 0;
	char **disks = xs_directory(xl->store, XBT_NULL, dir, &count);
	gboolean ready = TRUE;

	for (unsigned i = 0; i < count && ready; i++) {
		g_autofree char *path = g_strdup_printf("%s/%s/state", dir, disks[i]);

		for (;;) {
			char *state = xs_read(xl->store, XBT_NULL, path, NULL);

			ready = state && atoi(state) >= 2;
			free(state);
			if (ready || g_get_monotonic_time() > end)
				break;
			g_usleep(20000);
		}
	}
	free(disks);
	if (!ready) {
		g_autofree char *why = qemu_complaint(vm);

		g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "VM %s: QEMU does not serve its disks: %s", vm, why);
	}
	return ready;
}

static gboolean xl_create(Hv *hv, const HvConfig *config, guint *id, GError **error)
{
	HvXl *xl = xl_of(hv);
	libxl_ctx *ctx = context_new(error);
	libxl_domain_config domain;
	uint32_t domid = INVALID_DOMID;
	int rc;

	if (!ctx)
		return FALSE;
	libxl_domain_config_init(&domain);
	if (!hv_xl_config(ctx, config, xl->boot_loader, xl->vif_script, &domain, error)) {
		libxl_domain_config_dispose(&domain);
		libxl_ctx_free(ctx);
		return FALSE;
	}
	rc = libxl_domain_create_new(ctx, &domain, &domid, NULL, NULL);
	if (rc)
		hv_xl_failed(error, rc, "cannot make the domain of VM %s", config->name);
	else if (!disks_came_up(xl, domid, config->name, error))
		rc = ERROR_FAIL;
	if (rc && domid && domid != (uint32_t)INVALID_DOMID)
		libxl_domain_destroy(ctx, domid, NULL);
	libxl_domain_config_dispose(&domain);
	libxl_ctx_free(ctx);
	*id = domid;
	return rc == 0;
}

static gboolean xl_connect(Hv *hv, guint id, const HvConfig *config, gboolean wait, GCancellable *stop, GError **error)
{
	libxl_ctx *ctx = context_new(error);
	gboolean connected;

	if (!ctx)
		return FALSE;
	connected = hv_xl_connect(ctx, xl_of(hv)->store, id, config, wait, stop, error);
	libxl_ctx_free(ctx);
	return connected;
}

static gboolean xl_mark(Hv *hv, guint id, const char *uuid, GError **error)
{
	HvXl *xl = xl_of(hv);
	g_autofree char *dir = g_strdup_printf("/local/domain/%u/carrel", id), *path = g_strconcat(dir, "/uuid", NULL);
	/* The guest must not be able to forge it. */
	struct xs_permissions only_us[] = { { .id = 0, .perms = XS_PERM_NONE } };

	if (xs_mkdir(xl->store, XBT_NULL, dir) && xs_set_permissions(xl->store, XBT_NULL, dir, only_us, 1) &&
	    xs_write(xl->store, XBT_NULL, path, uuid, strlen(uuid)) && xs_set_permissions(xl->store, XBT_NULL, path, only_us, 1))
		return TRUE;
	g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "cannot write %s into xenstore: %s", path, g_strerror(errno));
	return FALSE;
}

static gboolean xl_destroy(Hv *hv, guint id, GError **error)
{
	libxl_ctx *ctx = context_new(error);
	int rc;

	if (!ctx)
		return FALSE;
	hv_xl_disconnect(xl_of(hv)->store, id);
	rc = libxl_domain_destroy(ctx, id, NULL);
	libxl_ctx_free(ctx);
	return rc == 0 || rc == ERROR_DOMAIN_NOTFOUND || hv_xl_failed(error, rc, "cannot destroy domain %u", id);
}

/* A request to suspend that the guest has not taken yet: it is not to do so when it goes on. */
static void withdraw_suspend(HvXl *xl, guint id)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u/control/shutdown", id);
	gboolean ended = FALSE;

	while (!ended) {
		xs_transaction_t t = xs_transaction_start(xl->store);
		char *request = t ? xs_read(xl->store, t, path, NULL) : NULL;
		gboolean open = request && !strcmp(request, "suspend") && xs_write(xl->store, t, path, "", 0);

		free(request);
		ended = !t || xs_transaction_end(xl->store, t, !open) || errno != EAGAIN;
	}
}

static gboolean xl_pause(Hv *hv, guint id, GError **error)
{
	int rc = libxl_domain_pause(xl_of(hv)->ctx, id, NULL);

	if (rc == 0)
		withdraw_suspend(xl_of(hv), id);

	return rc == 0 || hv_xl_failed(error, rc, "cannot pause domain %u", id);
}

static gboolean xl_unpause(Hv *hv, guint id, GError **error)
{
	int rc = libxl_domain_unpause(xl_of(hv)->ctx, id, NULL);

	return rc == 0 || hv_xl_failed(error, rc, "cannot unpause domain %u", id);
}

/* libxl 4.20 reports success, too, when it has given up waiting for a guest that did not take the request. */
static int suspend(libxl_ctx *ctx, guint id)
{
	libxl_dominfo info;
	int rc = libxl_domain_suspend_only(ctx, id, NULL);

	libxl_dominfo_init(&info);
	if (!rc)
		rc = libxl_domain_info(ctx, &info, id);
	if (!rc && !(info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND))
		rc = ERROR_TIMEDOUT;
	libxl_dominfo_dispose(&info);
	return rc;
}

static gboolean xl_request(Hv *hv, guint id, HvReason what, GError **error)
{
	libxl_ctx *ctx = context_new(error);
	int rc;

	(void)hv;
	if (!ctx)
		return FALSE;
	if (what == HV_SUSPEND)
		rc = suspend(ctx, id);
	else if (what == HV_REBOOT)
		rc = libxl_domain_reboot(ctx, id, NULL);
	else
		rc = libxl_domain_shutdown(ctx, id, NULL);
	libxl_ctx_free(ctx);
	return rc == 0 || hv_xl_failed(error, rc, "domain %u did not take the request", id);
}

static gboolean xl_resume(Hv *hv, guint id, GError **error)
{
	int rc = libxl_domain_resume(xl_of(hv)->ctx, id, 1, NULL);

	return rc == 0 || hv_xl_failed(error, rc, "cannot resume domain %u", id);
}

static gboolean xl_set_memory(Hv *hv, guint id, guint64 bytes, GError **error)
{
	int rc = libxl_set_memory_target(xl_of(hv)->ctx, id, bytes / 1024, 0, 1);

	return rc == 0 || hv_xl_failed(error, rc, "cannot set the memory of domain %u to %" G_GUINT64_FORMAT " MiB", id, bytes >> 20);
}

static gboolean xl_set_vcpus(Hv *hv, guint id, guint vcpus, GError **error)
{
	HvXl *xl = xl_of(hv);
	libxl_bitmap map;
	int rc;

	libxl_bitmap_init(&map);
	rc = libxl_cpu_bitmap_alloc(xl->ctx, &map, vcpus);
	for (guint i = 0; !rc && i < vcpus; i++)
		libxl_bitmap_set(&map, i);
	if (!rc)
		rc = libxl_set_vcpuonline(xl->ctx, id, &map, NULL);
	libxl_bitmap_dispose(&map);
	return rc == 0 || hv_xl_failed(error, rc, "cannot set the vCPUs of domain %u to %u", id, vcpus);
}

static gboolean xl_set_shares(Hv *hv, guint id, guint weight, guint cap, GError **error)
{
	libxl_domain_sched_params params;
	int rc;

	libxl_domain_sched_params_init(&params);
	params.sched = LIBXL_SCHEDULER_UNKNOWN; /* whichever runs */
	params.weight = weight;
	params.cap = cap;
	rc = libxl_domain_sched_params_set(xl_of(hv)->ctx, id, &params);
	libxl_domain_sched_params_dispose(&params);
	return rc == 0 || hv_xl_failed(error, rc, "cannot set the CPU weight of domain %u", id);
}

/* -- watches ---------------------------------------------------------------------------------------------------------- */

typedef struct {
	HvXl *xl;
	guint id, events, rest;
	gint64 since;
} Demand;

static char *demand_path(guint id)
{
	return g_strdup_printf("/local/domain/%u/%s", id, HV_XL_DEMAND);
}

static gboolean demand_listen(gpointer data)
{
	Demand *demand = data;
	g_autofree char *path = demand_path(demand->id);

	demand->rest = 0;
	demand->events = 0;
	xs_watch(demand->xl->watches, path, "demand");
	return G_SOURCE_REMOVE;
}

/* A guest that writes without end would keep us awake: it is not listened to for a while. */
static void demand_event(HvXl *xl, const char *path)
{
	guint id = g_ascii_strtoull(path + strlen("/local/domain/"), NULL, 10);
	Demand *demand = g_hash_table_lookup(xl->demands, GUINT_TO_POINTER(id));
	gint64 now = g_get_monotonic_time();

	if (!demand || demand->rest)
		return;
	if (now - demand->since > G_USEC_PER_SEC) {
		demand->since = now;
		demand->events = 0;
	}
	if (++demand->events > 10) {
		g_autofree char *own = demand_path(id);

		xs_unwatch(xl->watches, own, "demand");
		demand->rest = g_timeout_add_seconds(10, demand_listen, demand);
	}
}

static gboolean watch_event(int fd, GIOCondition condition, gpointer data)
{
	HvXl *xl = data;
	char **event;
	gboolean look = FALSE;

	(void)fd;
	if (condition & (G_IO_ERR | G_IO_HUP)) {
		g_warning("xenstored is gone: restart the machine when convenient");
		return G_SOURCE_REMOVE;
	}
	while ((event = xs_check_watch(xl->watches))) {
		if (!strcmp(event[XS_WATCH_TOKEN], "demand"))
			demand_event(xl, event[XS_WATCH_PATH]);
		free(event);
		look = TRUE;
	}
	if (look)
		xl->changed(xl->data);
	return G_SOURCE_CONTINUE;
}

static void xl_watch(Hv *hv, HvChanged changed, gpointer data)
{
	HvXl *xl = xl_of(hv);

	xl->changed = changed;
	xl->data = data;
	xs_watch(xl->watches, "@releaseDomain", "domains");
	xs_watch(xl->watches, "@introduceDomain", "domains");
	xl->source = g_unix_fd_add(xs_fileno(xl->watches), G_IO_IN | G_IO_ERR | G_IO_HUP, watch_event, xl);
}

static void demand_free(gpointer data)
{
	Demand *demand = data;
	g_autofree char *path = demand_path(demand->id), *recording = hv_xl_recording_path(demand->id), *console = console_path(demand->id);

	xs_unwatch(demand->xl->watches, recording, "recording");
	xs_unwatch(demand->xl->watches, console, "console");
	if (demand->rest)
		g_source_remove(demand->rest);
	else
		xs_unwatch(demand->xl->watches, path, "demand");
	g_free(demand);
}

static void xl_watch_domain(Hv *hv, guint id, gboolean on)
{
	HvXl *xl = xl_of(hv);
	g_autofree char *recording = hv_xl_recording_path(id), *console = console_path(id);
	Demand *demand;

	if (!on) {
		g_hash_table_remove(xl->demands, GUINT_TO_POINTER(id));
		return;
	}
	if (g_hash_table_contains(xl->demands, GUINT_TO_POINTER(id)))
		return;
	demand = g_new0(Demand, 1);
	demand->xl = xl;
	demand->id = id;
	g_hash_table_insert(xl->demands, GUINT_TO_POINTER(id), demand);
	demand_listen(demand);
	xs_watch(xl->watches, recording, "recording");
	xs_watch(xl->watches, console, "console");
}

static void xl_free(Hv *hv)
{
	HvXl *xl = xl_of(hv);

	if (xl->source)
		g_source_remove(xl->source);
	g_clear_pointer(&xl->demands, g_hash_table_unref);
	if (xl->store)
		xs_close(xl->store);
	if (xl->watches)
		xs_close(xl->watches);
	if (xl->ctx)
		libxl_ctx_free(xl->ctx);
	g_free(xl->boot_loader);
	g_free(xl->vif_script);
	g_free(xl);
}

static const HvOps ops = { xl_list, xl_machine, xl_create, xl_connect, xl_mark, xl_destroy, xl_pause, xl_unpause, xl_request, xl_resume,
	xl_set_memory, xl_set_vcpus, xl_set_shares, xl_console, xl_recording, xl_permit, xl_demand, xl_counters, xl_watch, xl_watch_domain, xl_free };

Hv *hv_xl_new(const char *boot_loader, const char *vif_script, GError **error)
{
	HvXl *xl = g_new0(HvXl, 1);

	xl->hv.ops = &ops;
	xl->boot_loader = g_strdup(boot_loader);
	xl->vif_script = g_strdup(vif_script);
	xl->demands = g_hash_table_new_full(NULL, NULL, NULL, demand_free);
	xl->ctx = context_new(error);
	if (xl->ctx && (!(xl->store = xs_open(0)) || !(xl->watches = xs_open(0))))
		g_set_error(error, CARREL_ERROR, CARREL_ERROR_FAILED, "cannot reach xenstored: %s", g_strerror(errno));
	if (xl->watches)
		return &xl->hv;
	xl_free(&xl->hv);
	return NULL;
}
