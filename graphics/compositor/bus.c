/* SPDX-License-Identifier: Apache-2.0 */
/* org.carrel.Desk1: what the switcher may ask for. The bus's policy says who may call at all. */
#include "desk.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#include "carrel-desk-api.h"

#define BUS_NAME "org.carrel.Desk"
#define BUS_PATH "/org/carrel/desk"
#define AGAIN_AFTER 5 /* seconds, while there is no bus */

struct Bus {
	Desk *desk;
	GCancellable *cancel;
	GDBusConnection *connection;
	DeskDesk1 *skeleton;
	guint name, again;
};

static gboolean fail(GDBusMethodInvocation *call, const char *name, const char *format, const char *what)
{
	g_autofree char *error = g_strconcat("org.carrel.Error.", name, NULL);
	g_autofree char *text = g_strdup_printf("%s%s", what, format);

	g_dbus_method_invocation_return_dbus_error(call, error, text);
	return TRUE;
}

static Vm *find(Bus *bus, GDBusMethodInvocation *call, const char *name)
{
	Vm *vm = desk_find_vm(bus->desk, name);

	if (!vm)
		fail(call, "NotFound", ": there is no VM of that name", name);
	return vm;
}

static gboolean on_show(DeskDesk1 *skeleton, GDBusMethodInvocation *call, const char *name, gpointer data)
{
	Bus *bus = data;
	Vm *vm = find(bus, call, name);

	if (!vm)
		return TRUE;
	if (bus->desk->locked)
		return fail(call, "Denied", ": the screen is locked", name);
	desk_show(bus->desk, vm);
	desk_desk1_complete_show(skeleton, call);
	return TRUE;
}

static gboolean on_switcher(DeskDesk1 *skeleton, GDBusMethodInvocation *call, gpointer data)
{
	desk_show(((Bus *)data)->desk, NULL);
	desk_desk1_complete_switcher(skeleton, call);
	return TRUE;
}

static gboolean on_lock(DeskDesk1 *skeleton, GDBusMethodInvocation *call, gpointer data)
{
	desk_set_locked(((Bus *)data)->desk, TRUE);
	desk_desk1_complete_lock(skeleton, call);
	return TRUE;
}

static gboolean on_unlock(DeskDesk1 *skeleton, GDBusMethodInvocation *call, gpointer data)
{
	desk_set_locked(((Bus *)data)->desk, FALSE);
	desk_desk1_complete_unlock(skeleton, call);
	return TRUE;
}

static gboolean on_restart_view(DeskDesk1 *skeleton, GDBusMethodInvocation *call, const char *name, gpointer data)
{
	Vm *vm = find(data, call, name);

	if (!vm)
		return TRUE;
	if (!vm->running)
		return fail(call, "State", " is not running, so it has no view", name);
	vm_restart_view(vm);
	desk_desk1_complete_restart_view(skeleton, call);
	return TRUE;
}

static gboolean on_thumbnail(DeskDesk1 *skeleton, GDBusMethodInvocation *call, GUnixFDList *in, const char *name, guint width,
	guint height, guint64 known, gpointer data)
{
	g_autoptr(GUnixFDList) out = NULL;
	g_autoptr(GError) error = NULL;
	guint actual_width, actual_height, stride;
	Vm *vm = find(data, call, name);
	int fd;

	(void)in;
	if (!vm)
		return TRUE;
	if (thumbnail_is(vm, known))
		return fail(call, "Same", " has drawn nothing since", name);
	fd = thumbnail_make(vm, width, height, &actual_width, &actual_height, &stride, &error);
	if (fd < 0)
		return fail(call, "State", error->message, "");
	out = g_unix_fd_list_new_from_array(&fd, 1);
	desk_desk1_complete_thumbnail(skeleton, call, out, g_variant_new_handle(0), actual_width, actual_height, stride,
		vm->picture);
	return TRUE;
}

GDBusConnection *bus_connection(Bus *bus)
{
	return bus ? bus->connection : NULL;
}

void bus_changed(Bus *bus)
{
	g_autofree const char **order = NULL;
	GVariantBuilder views;

	if (!bus || !bus->skeleton)
		return;
	order = g_new0(const char *, bus->desk->vms->len + 1);
	g_variant_builder_init(&views, G_VARIANT_TYPE("a{ss}"));
	for (guint i = 0; i < bus->desk->vms->len; i++) {
		const Vm *vm = g_ptr_array_index(bus->desk->vms, i);
		g_variant_builder_add(&views, "{ss}", vm->name, view_state_name(vm->view));
		order[i] = vm->name;
	}
	/* Equal values make no signal. */
	desk_desk1_set_views(bus->skeleton, g_variant_builder_end(&views));
	desk_desk1_set_order(bus->skeleton, order);
	desk_desk1_set_shown(bus->skeleton, bus->desk->shown ? bus->desk->shown->name : "");
	desk_desk1_set_locked(bus->skeleton, bus->desk->locked);
}

void bus_notice(Bus *bus, const char *severity, const char *vm, const char *text)
{
	if (bus && bus->skeleton)
		desk_desk1_emit_notice(bus->skeleton, severity, vm, text);
}

static void export(Bus *bus)
{
	g_autoptr(GError) error = NULL;

	bus->skeleton = desk_desk1_skeleton_new();
	g_signal_connect(bus->skeleton, "handle-show", G_CALLBACK(on_show), bus);
	g_signal_connect(bus->skeleton, "handle-switcher", G_CALLBACK(on_switcher), bus);
	g_signal_connect(bus->skeleton, "handle-lock", G_CALLBACK(on_lock), bus);
	g_signal_connect(bus->skeleton, "handle-unlock", G_CALLBACK(on_unlock), bus);
	g_signal_connect(bus->skeleton, "handle-restart-view", G_CALLBACK(on_restart_view), bus);
	g_signal_connect(bus->skeleton, "handle-thumbnail", G_CALLBACK(on_thumbnail), bus);
	bus_changed(bus);
	if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(bus->skeleton), bus->connection, BUS_PATH, &error))
		g_warning("%s: %s", BUS_PATH, error->message);
	bus->name = g_bus_own_name_on_connection(bus->connection, BUS_NAME, G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
}

static void connect_bus(Bus *bus);

static gboolean on_again(gpointer data)
{
	Bus *bus = data;

	bus->again = 0;
	connect_bus(bus);
	return G_SOURCE_REMOVE;
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GError) error = NULL;
	GDBusConnection *connection = g_bus_get_finish(result, &error);
	Bus *bus = data;

	(void)source;
	if (!connection) {
		if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
			return; /* the data is gone */
		g_message("no system bus yet: %s", error->message);
		bus->again = g_timeout_add_seconds(AGAIN_AFTER, on_again, bus);
		return;
	}
	/* Without the bus we would show what we have; without us there would be no screen. */
	g_dbus_connection_set_exit_on_close(connection, FALSE);
	bus->connection = connection;
	export(bus);
	bus->desk->manager = manager_new(bus->desk, connection);
	desk_update_later(bus->desk);
}

static void connect_bus(Bus *bus)
{
	g_bus_get(G_BUS_TYPE_SYSTEM, bus->cancel, on_connected, bus);
}

Bus *bus_new(Desk *desk)
{
	Bus *bus = g_new0(Bus, 1);

	bus->desk = desk;
	bus->cancel = g_cancellable_new();
	connect_bus(bus);
	return bus;
}

void bus_free(Bus *bus)
{
	g_cancellable_cancel(bus->cancel);
	g_object_unref(bus->cancel);
	g_clear_handle_id(&bus->again, g_source_remove);
	g_clear_handle_id(&bus->name, g_bus_unown_name);
	if (bus->skeleton)
		g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(bus->skeleton));
	g_clear_object(&bus->skeleton);
	g_clear_object(&bus->connection);
	g_free(bus);
}
