/* SPDX-License-Identifier: Apache-2.0 */
/* The client of carreld: one object manager for each life of it, so that what one life said is never mixed with the next.
 * While it is away, the VMs stay as they were told of last: they go on without it. */
#include "desk.h"

#include <string.h>

#include "carrel-api.h"

#define BUS_NAME "org.carrel"
#define BUS_PATH "/org/carrel"
#define AGAIN_AFTER 1 /* seconds, when it is there and did not answer */

struct Manager {
	Desk *desk;
	guint watch;
	char *owner; /* its unique name on the bus; NULL: away */
	GCancellable *cancel;
	GDBusObjectManager *objects; /* NULL until it has answered */
	guint again;
};

/* FALSE as well when its end is known to GDBus and not yet to us. */
gboolean manager_is_there(Manager *manager)
{
	g_autofree char *owner = NULL;

	if (manager && manager->objects)
		owner = g_dbus_object_manager_client_get_name_owner(G_DBUS_OBJECT_MANAGER_CLIENT(manager->objects));
	return owner != NULL;
}

static guint place_in_order(const Config *config, const char *name)
{
	guint i;

	for (i = 0; config->order[i]; i++)
		if (!strcmp(config->order[i], name))
			break;
	return i;
}

static int compare(gconstpointer a, gconstpointer b)
{
	const Vm *x = *(Vm *const *)a, *y = *(Vm *const *)b;
	guint first = place_in_order(x->desk->config, x->name), second = place_in_order(y->desk->config, y->name);

	return first != second ? (first < second ? -1 : 1) : strcmp(x->name, y->name);
}

static void update(Manager *manager, GDBusObject *object)
{
	CarrelVm1 *proxy = carrel_object_peek_vm1(CARREL_OBJECT(object));
	const char *name = proxy ? carrel_vm1_get_name(proxy) : NULL;
	Vm *vm = name ? desk_find_vm(manager->desk, name) : NULL;
	int domain;

	if (!name || carrel_vm1_get_template(proxy)) {
		if (vm)
			vm_free(vm);
		return;
	}
	if (!vm) {
		vm = vm_new(manager->desk, name);
		if (!vm)
			return;
		g_ptr_array_sort(manager->desk->vms, compare);
	}
	domain = carrel_vm1_get_domain_id(proxy);
	vm_set(vm, carrel_vm1_get_title(proxy), carrel_vm1_get_colour(proxy), carrel_vm1_get_state(proxy), domain, domain >= 0);
	vm_set_recording(vm, carrel_vm1_get_recording(proxy));
	bus_changed(manager->desk->bus);
}

static void on_added(GDBusObjectManager *objects, GDBusObject *object, gpointer data)
{
	(void)objects;
	update(data, object);
}

static void on_removed(GDBusObjectManager *objects, GDBusObject *object, gpointer data)
{
	Manager *manager = data;
	CarrelVm1 *proxy = carrel_object_peek_vm1(CARREL_OBJECT(object));
	const char *name = proxy ? carrel_vm1_get_name(proxy) : NULL;
	Vm *vm = name ? desk_find_vm(manager->desk, name) : NULL;

	(void)objects;
	if (vm && manager_is_there(manager))
		vm_free(vm);
}

static void on_properties(GDBusObjectManagerClient *objects, GDBusObjectProxy *object, GDBusProxy *proxy, GVariant *changed,
	const char *const *invalidated, gpointer data)
{
	(void)objects;
	(void)changed;
	(void)invalidated;
	if (CARREL_IS_VM1(proxy))
		update(data, G_DBUS_OBJECT(object));
}

/* After a restart: who is told of no longer is gone. */
static void reconcile(Manager *manager)
{
	GList *objects = g_dbus_object_manager_get_objects(manager->objects);
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

	for (GList *each = objects; each; each = each->next) {
		CarrelVm1 *proxy = carrel_object_peek_vm1(CARREL_OBJECT(each->data));
		if (proxy && carrel_vm1_get_name(proxy))
			g_hash_table_add(names, (gpointer)carrel_vm1_get_name(proxy));
	}
	for (guint i = manager->desk->vms->len; i-- > 0;) {
		Vm *vm = g_ptr_array_index(manager->desk->vms, i);
		if (!g_hash_table_contains(names, vm->name))
			vm_free(vm);
	}
	for (GList *each = objects; each; each = each->next)
		update(manager, each->data);
	g_list_free_full(objects, g_object_unref);
	manager_foreground(manager, manager->desk->shown ? manager->desk->shown->name : NULL);
}

static void ask(Manager *manager);

static gboolean on_again(gpointer data)
{
	Manager *manager = data;

	manager->again = 0;
	ask(manager);
	return G_SOURCE_REMOVE;
}

static void on_ready(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GError) error = NULL;
	GDBusObjectManager *objects = carrel_object_manager_client_new_finish(result, &error);
	Manager *manager = data;

	(void)source;
	if (!objects) {
		if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
			return; /* the data may be gone */
		g_warning("the manager does not tell of its VMs: %s", error->message);
		manager->again = g_timeout_add_seconds(AGAIN_AFTER, on_again, manager);
		return;
	}
	manager->objects = objects;
	g_signal_connect(objects, "object-added", G_CALLBACK(on_added), manager);
	g_signal_connect(objects, "object-removed", G_CALLBACK(on_removed), manager);
	g_signal_connect(objects, "interface-proxy-properties-changed", G_CALLBACK(on_properties), manager);
	if (manager_is_there(manager))
		reconcile(manager);
	desk_update_later(manager->desk);
}

static void ask(Manager *manager)
{
	g_clear_object(&manager->cancel);
	manager->cancel = g_cancellable_new();
	carrel_object_manager_client_new(bus_connection(manager->desk->bus), G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START,
		manager->owner, BUS_PATH, manager->cancel, on_ready, manager);
}

static void forget(Manager *manager)
{
	g_clear_handle_id(&manager->again, g_source_remove);
	if (manager->cancel)
		g_cancellable_cancel(manager->cancel);
	g_clear_object(&manager->cancel);
	if (manager->objects)
		g_signal_handlers_disconnect_by_data(manager->objects, manager);
	g_clear_object(&manager->objects);
	g_clear_pointer(&manager->owner, g_free);
}

static void on_appeared(GDBusConnection *connection, const char *name, const char *owner, gpointer data)
{
	Manager *manager = data;

	(void)connection;
	(void)name;
	g_message("the manager is there");
	forget(manager);
	manager->owner = g_strdup(owner);
	ask(manager);
}

static void on_vanished(GDBusConnection *connection, const char *name, gpointer data)
{
	Manager *manager = data;

	(void)connection;
	(void)name;
	g_message("the manager is away; the VMs go on");
	forget(manager);
	desk_update_later(manager->desk);
}

static void on_foreground(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	if (!carrel_manager1_call_set_foreground_finish(CARREL_MANAGER1(source), result, &error))
		g_message("telling the manager who is on screen: %s", error->message);
}

static char *path_of(Manager *manager, const char *name)
{
	GList *objects = name ? g_dbus_object_manager_get_objects(manager->objects) : NULL;
	char *path = NULL;

	for (GList *each = objects; each && !path; each = each->next) {
		CarrelVm1 *proxy = carrel_object_peek_vm1(CARREL_OBJECT(each->data));
		if (proxy && !g_strcmp0(carrel_vm1_get_name(proxy), name))
			path = g_strdup(g_dbus_object_get_object_path(each->data));
	}
	g_list_free_full(objects, g_object_unref);
	return path ? path : g_strdup("/");
}

void manager_foreground(Manager *manager, const char *name)
{
	g_autoptr(GDBusInterface) proxy = NULL;
	g_autofree char *path = NULL;

	if (!manager || !manager_is_there(manager))
		return;
	proxy = g_dbus_object_manager_get_interface(manager->objects, BUS_PATH "/manager", "org.carrel.Manager1");
	path = path_of(manager, name);
	if (proxy)
		carrel_manager1_call_set_foreground(CARREL_MANAGER1(proxy), path, NULL, on_foreground, NULL);
}

Manager *manager_new(Desk *desk, GDBusConnection *connection)
{
	Manager *manager = g_new0(Manager, 1);

	manager->desk = desk;
	manager->watch = g_bus_watch_name_on_connection(connection, BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared, on_vanished,
		manager, NULL);
	return manager;
}

void manager_free(Manager *manager)
{
	g_bus_unwatch_name(manager->watch);
	forget(manager);
	g_free(manager);
}
