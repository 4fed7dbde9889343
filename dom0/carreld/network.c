/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "store.h"
#include "vm.h"

#define SOON 60     /* seconds: a dnsmasq that ends before that may do so again */
#define LONGEST 300 /* seconds between two tries to start it */
#define TELL 3      /* tries in a row after which a person hears of it */

/* NetPort's strings are borrowed; these own them. */
typedef struct {
	GArray *ports;     /* NetPort */
	GPtrArray *labels; /* "VM/interface" */
	GStringChunk *strings;
} Ports;

static Ports *ports_new(void)
{
	Ports *ports = g_new0(Ports, 1);

	ports->ports = g_array_new(FALSE, TRUE, sizeof(NetPort));
	ports->labels = g_ptr_array_new_with_free_func(g_free);
	ports->strings = g_string_chunk_new(512);
	return ports;
}

static void ports_free(Ports *ports)
{
	g_array_unref(ports->ports);
	g_ptr_array_unref(ports->labels);
	g_string_chunk_free(ports->strings);
	g_free(ports);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ports, ports_free)

static void add_ports(Ports *ports, Vm *vm)
{
	const VmFile *file = vm_effective(vm);
	const Share *share = &vm->share;

	for (guint i = 0; i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];
		NetPort port = { .vm = g_string_chunk_insert(ports->strings, vm->name),
			.name = g_string_chunk_insert(ports->strings, interface->name), .outside = interface->mode == NET_NAT,
			.limit_in = interface->limit_in, .limit_out = interface->limit_out };

		if (interface->mode == NET_NONE)
			continue;
		if (interface->mode == NET_SHARED)
			port.shared = g_string_chunk_insert(ports->strings, interface->network);
		if (share->net_in)
			port.limit_in = port.limit_in ? MIN(port.limit_in, share->net_in) : share->net_in;
		if (share->net_out)
			port.limit_out = port.limit_out ? MIN(port.limit_out, share->net_out) : share->net_out;
		memcpy(port.mac, interface->mac, sizeof(port.mac));
		g_array_append_val(ports->ports, port);
		g_ptr_array_add(ports->labels, g_strdup_printf("%s/%s", vm->name, interface->name));
	}
}

static void collect(Manager *manager, Ports *ports)
{
	g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(manager->vms), (GCompareFunc)strcmp);

	for (GList *at = names; at; at = at->next) {
		Vm *vm = manager_vm(manager, at->data);

		if (vm->wired && vm_effective(vm))
			add_ports(ports, vm);
	}
}

static gboolean collect_main(Manager *manager, gpointer data, GError **error)
{
	(void)error;
	collect(manager, data);
	return TRUE;
}

/* Under the network's lock. */
static gboolean apply(Manager *manager, Ports *ports, GError **error)
{
	g_autofree char *state = g_build_filename(manager->state_dir, "net", NULL), *run = g_build_filename(manager->run_dir, "net", NULL);
	g_autoptr(NetPlan) plan = NULL;

	if (g_mkdir_with_parents(state, 0700) || g_mkdir_with_parents(run, 0755))
		return carrel_fail(error, CARREL_ERROR_FAILED, "cannot make %s or %s: %s", state, run, g_strerror(errno));
	plan = net_plan((NetPort *)ports->ports->data, ports->ports->len, NULL, state, error);
	if (!plan || !net_plan_set_resolver(plan, manager->resolver, error) ||
	    !net_plan_set_private_domains(plan, (const char *const *)manager->private_domains, error) || !net_apply(plan, run, error))
		return FALSE;
	g_clear_pointer(&manager->plan, net_plan_free);
	g_clear_pointer(&manager->plan_ports, g_ptr_array_unref);
	manager->plan = g_steal_pointer(&plan);
	manager->plan_ports = g_ptr_array_ref(ports->labels);
	return TRUE;
}

/* -- dnsmasq: it is no child of ours, and without it VMs have neither addresses nor names ------------------------------- */

static void look_later(Manager *manager);

static gboolean dnsmasq_ended(int fd, GIOCondition condition, gpointer data)
{
	Manager *manager = data;

	(void)condition;
	close(fd);
	manager->dnsmasq.watch = 0;
	if (g_get_monotonic_time() - manager->dnsmasq.since > SOON * G_USEC_PER_SEC)
		manager->dnsmasq.failures = 0;
	look_later(manager);
	return G_SOURCE_REMOVE;
}

static void drop_watch(Manager *manager)
{
	if (!manager->dnsmasq.watch)
		return;
	g_clear_handle_id(&manager->dnsmasq.watch, g_source_remove);
	close(manager->dnsmasq.fd);
}

/* Main thread. A change of the network starts another one. */
static gboolean watch_dnsmasq(Manager *manager, gpointer data, GError **error)
{
	g_autofree char *run = g_build_filename(manager->run_dir, "net", NULL);
	struct pollfd old = { .fd = manager->dnsmasq.watch ? manager->dnsmasq.fd : -1, .events = POLLIN };
	int fd;

	(void)data, (void)error;
	if (old.fd >= 0 && poll(&old, 1, 0) == 0)
		return TRUE;
	fd = net_dnsmasq_pidfd(run, NULL);
	if (fd < 0)
		return TRUE;
	drop_watch(manager);
	manager->dnsmasq.fd = fd;
	manager->dnsmasq.since = g_get_monotonic_time();
	manager->dnsmasq.watch = g_unix_fd_add(fd, G_IO_IN, dnsmasq_ended, manager);
	return TRUE;
}

static void revive_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	GError *error = NULL;

	(void)source, (void)cancellable;
	if (network_apply(data, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void revived(GObject *source, GAsyncResult *result, gpointer data)
{
	Manager *manager = data;
	g_autoptr(GError) error = NULL;

	(void)source;
	manager->busy--;
	manager->workers--;
	if (!g_task_propagate_boolean(G_TASK(result), &error))
		g_warning("dnsmasq is not started again: %s", error->message);
	if (manager->dnsmasq.failures == TELL)
		manager_notice(manager, "error", NULL, "The VMs get no addresses and no names: dnsmasq %s%s. It is tried again.",
			error ? "does not start: " : "ends each time it is started", error ? error->message : "");
	if (!manager->dnsmasq.watch)
		look_later(manager);
}

static gboolean look(gpointer data)
{
	Manager *manager = data;
	gboolean wanted;
	GTask *task;

	manager->dnsmasq.timer = 0;
	watch_dnsmasq(manager, NULL, NULL);
	if (manager->dnsmasq.watch)
		return G_SOURCE_REMOVE;
	/* Who has the lock is about to start it. */
	if (!g_mutex_trylock(&manager->network_lock)) {
		look_later(manager);
		return G_SOURCE_REMOVE;
	}
	wanted = manager->plan_ports && manager->plan_ports->len;
	g_mutex_unlock(&manager->network_lock);
	if (!wanted)
		return G_SOURCE_REMOVE;
	g_warning("the VMs' dnsmasq has ended; it is started again");
	manager->dnsmasq.failures++;
	manager->busy++;
	manager->workers++;
	task = g_task_new(NULL, NULL, revived, manager);
	g_task_set_task_data(task, manager, NULL);
	g_task_run_in_thread(task, revive_thread);
	g_object_unref(task);
	return G_SOURCE_REMOVE;
}

static void look_later(Manager *manager)
{
	guint seconds = MIN(1u << MIN(manager->dnsmasq.failures, 16), LONGEST);

	if (!manager->dnsmasq.timer)
		manager->dnsmasq.timer = g_timeout_add_seconds(seconds, look, manager);
}

void network_stop(Manager *manager)
{
	g_clear_handle_id(&manager->dnsmasq.timer, g_source_remove);
	drop_watch(manager);
}

/* --------------------------------------------------------------------------------------------------------------------- */

gboolean network_apply(Manager *manager, GError **error)
{
	g_autoptr(Ports) ports = ports_new();
	gboolean applied;

	/* Collected under the lock: what is applied last is what was true last. */
	g_mutex_lock(&manager->network_lock);
	applied = on_main(manager, collect_main, ports, error) && apply(manager, ports, error);
	g_mutex_unlock(&manager->network_lock);
	on_main(manager, watch_dnsmasq, NULL, NULL);
	return applied;
}

typedef struct {
	const char *vm;
	gboolean on;
} Wiring;

static gboolean wire_main(Manager *manager, gpointer data, GError **error)
{
	Wiring *wiring = data;
	Vm *vm = manager_vm(manager, wiring->vm);

	(void)error;
	if (vm)
		vm->wired = wiring->on;
	return TRUE;
}

gboolean network_wire(Manager *manager, const char *vm, gboolean on, GError **error)
{
	Wiring wiring = { vm, on };

	on_main(manager, wire_main, &wiring, NULL);
	return network_apply(manager, error);
}

/* Under the network's lock: the port's place in the plan, or -1. */
static int port_index(Manager *manager, const char *vm, const char *interface)
{
	g_autofree char *label = g_strdup_printf("%s/%s", vm, interface);

	for (guint i = 0; manager->plan_ports && i < manager->plan_ports->len; i++)
		if (!strcmp(manager->plan_ports->pdata[i], label))
			return i;
	return -1;
}

void network_fill(Manager *manager, const char *vm, const VmFile *file, HvConfig *config, GPtrArray *wires)
{
	g_mutex_lock(&manager->network_lock);
	for (guint i = 0; i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];
		int port = port_index(manager, vm, interface->name);
		const NetAddress *address = port >= 0 ? net_plan_address(manager->plan, port) : NULL;
		HvNic *nic = g_new0(HvNic, 1);
		Wire *wire = g_new0(Wire, 1);

		memcpy(nic->mac, interface->mac, sizeof(nic->mac));
		wire->name = g_strdup(interface->name);
		wire->address = g_strdup(address ? address->address4 : "");
		if (address) {
			nic->bridge = g_strdup(address->bridge);
			nic->vif = g_strdup(address->vif);
			wire->vif = g_strdup(address->vif);
		}
		g_ptr_array_add(config->nics, nic);
		g_ptr_array_add(wires, wire);
	}
	g_mutex_unlock(&manager->network_lock);
}

gboolean network_up(Manager *manager, const char *vm, const VmFile *file, GError **error)
{
	gboolean up = TRUE;

	g_mutex_lock(&manager->network_lock);
	for (guint i = 0; up && i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];
		int port = port_index(manager, vm, interface->name);

		if (port >= 0)
			up = net_port_up(manager->plan, port, net_plan_address(manager->plan, port)->vif, error);
	}
	g_mutex_unlock(&manager->network_lock);
	return up;
}

gboolean network_recover(Manager *manager, GError **error)
{
	g_autoptr(Ports) ports = ports_new();

	collect(manager, ports);
	if (!apply(manager, ports, error))
		return FALSE;
	return watch_dnsmasq(manager, NULL, NULL);
}
