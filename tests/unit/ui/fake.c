/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <cairo.h>
#include <gio/gunixfdlist.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GIB (G_GUINT64_CONSTANT(1) << 30)

gboolean fake_tick(gpointer unused)
{
	(void)unused;
	return G_SOURCE_CONTINUE;
}

static gboolean fake_over(gpointer over)
{
	*(gboolean *)over = TRUE;
	return G_SOURCE_REMOVE;
}

void fake_settle(guint milliseconds)
{
	gboolean over = FALSE;
	g_timeout_add(milliseconds, fake_over, &over);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
}

static const char *who(gpointer skeleton)
{
	return CARREL_IS_VM1(skeleton) ? carrel_vm1_get_name(skeleton) : CARREL_IS_JOB1(skeleton) ? "job" : "manager";
}

static gboolean returns_job(GDBusMethodInvocation *invocation)
{
	const GDBusMethodInfo *info = g_dbus_method_invocation_get_method_info(invocation);
	return info && info->out_args && info->out_args[0] && g_str_equal(info->out_args[0]->name, "job");
}

static GVariant *statistics_of(const Fake *fake, gpointer skeleton)
{
	GVariantBuilder b;
	g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
	if (CARREL_IS_MANAGER1(skeleton)) {
		g_variant_builder_add(&b, "{sv}", "memory-total", g_variant_new_uint64(16 * GIB));
		g_variant_builder_add(&b, "{sv}", "memory-free", g_variant_new_uint64(5 * GIB + GIB / 2));
		g_variant_builder_add(&b, "{sv}", "cpus", g_variant_new_uint32(8));
		g_variant_builder_add(&b, "{sv}", "storage-total", g_variant_new_uint64(476 * GIB));
		g_variant_builder_add(&b, "{sv}", "storage-free", g_variant_new_uint64(301 * GIB));
	} else {
		const char *name = carrel_vm1_get_name(skeleton);
		double load = fake->idle ? 0 : (g_str_hash(name) % 80 + 12) / 100.0; /* of its vCPUs */
		guint64 ns = (guint64)((double)g_get_monotonic_time() * 1000 * load * carrel_vm1_get_vcpus(skeleton));
		g_variant_builder_add(&b, "{sv}", "cpu-ns", g_variant_new_uint64(ns));
		g_variant_builder_add(&b, "{sv}", "memory", g_variant_new_uint64(carrel_vm1_get_memory_max(skeleton) / 10 * 6));
	}
	return g_variant_new("(@a{sv})", g_variant_builder_end(&b));
}

/* Answers every method of every skeleton. */
static gboolean on_call(Fake *fake, GDBusMethodInvocation *invocation)
{
	gpointer skeleton = g_dbus_method_invocation_get_user_data(invocation);
	const char *method = g_dbus_method_invocation_get_method_name(invocation);
	g_autofree char *params = g_variant_print(g_dbus_method_invocation_get_parameters(invocation), FALSE);
	if (g_str_equal(method, "GetStatistics") && !fake->deaf) {
		g_dbus_method_invocation_return_value(invocation, statistics_of(fake, skeleton));
		return TRUE;
	}
	if (g_str_equal(method, "GetDefinition") && !fake->deaf) {
		g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", fake->definition ? fake->definition : ""));
		return TRUE;
	}
	g_ptr_array_add(fake->calls, g_strdup_printf("%s.%s%s", who(skeleton), method, g_str_equal(params, "()") ? "" : params));
	if (fake->deaf)
		return TRUE;
	if (fake->refuse) {
		g_dbus_method_invocation_return_dbus_error(invocation, "org.carrel.Error.Failed", fake->refuse);
	} else if (returns_job(invocation)) {
		CarrelJob1 *job = fake_job(fake, method, CARREL_IS_VM1(skeleton) ? carrel_vm1_get_name(skeleton) : NULL, -1, "");
		g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", fake_job_path(job)));
	} else {
		g_dbus_method_invocation_return_value(invocation, NULL);
	}
	return TRUE;
}

static void answer_all(Fake *fake, gpointer skeleton, GDBusInterfaceInfo *info)
{
	for (GDBusMethodInfo **m = info->methods; m && *m; m++) {
		g_autoptr(GString) name = g_string_new("handle");
		for (const char *p = (*m)->name; *p; p++)
			g_string_append_printf(name, g_ascii_isupper(*p) ? "-%c" : "%c", g_ascii_tolower(*p));
		g_signal_connect_swapped(skeleton, name->str, G_CALLBACK(on_call), fake);
	}
}

static void export(Fake *fake, const char *path, gpointer skeleton)
{
	g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(path);
	answer_all(fake, skeleton, g_dbus_interface_skeleton_get_info(skeleton));
	g_dbus_object_skeleton_add_interface(object, skeleton);
	g_dbus_object_manager_server_export(fake->objects, object);
	g_object_unref(skeleton); /* the object has it */
}

static char *path_of(const char *name)
{
	GString *path = g_string_new("/org/carrel/vm/");
	for (const char *p = name; *p; p++)
		g_string_append_printf(path, g_ascii_isalnum(*p) ? "%c" : "_%02x", (guint)(guchar)*p);
	return g_string_free(path, FALSE);
}

CarrelVm1 *fake_vm(Fake *fake, const char *name, const char *title, const char *state)
{
	static const char *const devices[] = {NULL};
	g_autofree char *path = path_of(name);
	CarrelVm1 *vm = carrel_vm1_skeleton_new();
	gboolean live = !g_str_equal(state, "off") && !g_str_equal(state, "broken") && !g_str_equal(state, "crashed");
	g_object_set(vm, "name", name, "title", title, "state", state, "description", "", "colour", "#3b82c4", "uuid", "", "problem", "",
		"domain-id", live ? 4 : -1, "vcpus", 2, "memory-min", 1 * GIB, "memory-max", 4 * GIB, "memory-target", 3 * GIB, "devices",
		devices, "console", "", "started", live ? (guint64)(g_get_real_time() - 7500 * (gint64)G_USEC_PER_SEC) * 1000 : 0, "snapshots",
		g_variant_new_array(G_VARIANT_TYPE("(sst)"), NULL, 0), "disks", g_variant_new_array(G_VARIANT_TYPE("a{sv}"), NULL, 0),
		"interfaces", g_variant_new_parsed("[{'name': <'eth0'>, 'mode': <'nat'>, 'network': <''>}]"), NULL);
	export(fake, path, vm);
	return vm;
}

CarrelVm1 *fake_template(Fake *fake, const char *name, const char *title, const char *description)
{
	CarrelVm1 *vm = carrel_vm1_skeleton_new();
	g_autofree char *path = path_of(name);
	static const char *const devices[] = {NULL};
	g_object_set(vm, "name", name, "title", title, "state", "off", "description", description, "template", TRUE, "colour", "#667085",
		"uuid", "", "problem", "", "vcpus", 2, "memory-min", 1 * GIB, "memory-max", 2 * GIB, "devices", devices, "console", "",
		"snapshots", g_variant_new_array(G_VARIANT_TYPE("(sst)"), NULL, 0), "disks",
		g_variant_new_array(G_VARIANT_TYPE("a{sv}"), NULL, 0), "interfaces", g_variant_new_array(G_VARIANT_TYPE("a{sv}"), NULL, 0), NULL);
	export(fake, path, vm);
	return vm;
}

void fake_remove(Fake *fake, CarrelVm1 *vm)
{
	g_autofree char *path = path_of(carrel_vm1_get_name(vm));
	g_dbus_object_manager_server_unexport(fake->objects, path);
}

CarrelJob1 *fake_job(Fake *fake, const char *kind, const char *vm, double progress, const char *stage)
{
	CarrelJob1 *job = carrel_job1_skeleton_new();
	g_autofree char *path = g_strdup_printf("/org/carrel/job/%u", ++fake->jobs);
	g_autofree char *of = vm ? path_of(vm) : g_strdup("/");
	g_object_set(job, "kind", kind, "vm", of, "progress", progress, "stage", stage, "state", "running", "error",
		g_variant_new("(ss)", "", ""), "result", "/", NULL);
	g_object_set_data_full(G_OBJECT(job), "path", g_strdup(path), g_free);
	export(fake, path, job);
	return job;
}

const char *fake_job_path(CarrelJob1 *job)
{
	return g_object_get_data(G_OBJECT(job), "path");
}

void fake_end(Fake *fake, CarrelJob1 *job, const char *state, const char *message)
{
	(void)fake;
	const char *error = g_str_equal(state, "failed") ? "org.carrel.Error.Failed" : "";
	carrel_job1_set_state(job, state);
	carrel_job1_set_error(job, g_variant_new("(ss)", error, message));
	g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(job));
	carrel_job1_emit_finished(job, state, error, message);
}

void fake_remove_job(Fake *fake, CarrelJob1 *job)
{
	g_autofree char *path = g_strdup(fake_job_path(job));
	g_dbus_object_manager_server_unexport(fake->objects, path);
}

gboolean fake_called(Fake *fake, const char *call)
{
	for (guint i = 0; i < fake->calls->len; i++)
		if (g_str_equal(fake->calls->pdata[i], call)) {
			g_ptr_array_remove_index(fake->calls, i);
			return TRUE;
		}
	return FALSE;
}

/* ---- the bus ---- */

static void on_owned(GDBusConnection *bus, const char *name, gpointer data)
{
	(void)bus, (void)name;
	*(gboolean *)data = TRUE;
}

static guint own(Fake *fake, const char *name)
{
	gboolean owned = FALSE;
	guint id = g_bus_own_name_on_connection(fake->bus, name, G_BUS_NAME_OWNER_FLAGS_NONE, on_owned, NULL, &owned, NULL);
	WAIT_FOR(owned);
	return id;
}

void fake_own(Fake *fake)
{
	fake->owned = own(fake, "org.carrel");
}

void fake_drop(Fake *fake)
{
	g_clear_handle_id(&fake->owned, g_bus_unown_name);
}

Fake *fake_new(void)
{
	Fake *fake = g_new0(Fake, 1);
	static const char *const networks[] = {"printers", NULL};
	g_autoptr(GError) error = NULL;
	fake->bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
	g_assert_no_error(error);
	fake->calls = g_ptr_array_new_with_free_func(g_free);
	fake->objects = g_dbus_object_manager_server_new("/org/carrel");
	fake->manager = carrel_manager1_skeleton_new();
	g_object_set(fake->manager, "version", "0.1.0", "foreground", "/", "state", "running", "shared-networks", networks, NULL);
	g_object_ref(fake->manager);
	export(fake, "/org/carrel/manager", fake->manager);
	g_dbus_object_manager_server_set_connection(fake->objects, fake->bus);
	return fake;
}

void fake_free(Fake *fake)
{
	fake_drop(fake);
	g_clear_handle_id(&fake->desk_owned, g_bus_unown_name);
	if (fake->desk)
		g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(fake->desk));
	g_clear_object(&fake->desk);
	g_clear_object(&fake->objects);
	g_clear_object(&fake->manager);
	g_dbus_connection_close_sync(fake->bus, NULL, NULL);
	g_clear_object(&fake->bus);
	g_ptr_array_unref(fake->calls);
	g_free(fake->refuse);
	g_free(fake);
	fake_settle(20);
}

/* ---- the compositor ---- */

static gboolean on_desk_call(Fake *fake, GDBusMethodInvocation *invocation)
{
	CarrelDesk1 *desk = g_dbus_method_invocation_get_user_data(invocation);
	const char *method = g_dbus_method_invocation_get_method_name(invocation);
	g_autofree char *params = g_variant_print(g_dbus_method_invocation_get_parameters(invocation), FALSE);
	g_ptr_array_add(fake->calls, g_strdup_printf("desk.%s%s", method, g_str_equal(params, "()") ? "" : params));
	if (g_str_equal(method, "Lock") || g_str_equal(method, "Unlock"))
		carrel_desk1_set_locked(desk, g_str_equal(method, "Lock"));
	g_dbus_method_invocation_return_value(invocation, NULL);
	return TRUE;
}

/* Something like a desktop: a bar, two windows with lines in them. */
static void paint(cairo_t *cr, double w, double h, guint64 serial)
{
	cairo_set_source_rgb(cr, 0.15, 0.24, serial % 2 ? 0.35 : 0.45);
	cairo_paint(cr);
	cairo_set_source_rgb(cr, 0.09, 0.12, 0.16);
	cairo_rectangle(cr, 0, h * 0.94, w, h * 0.06);
	cairo_fill(cr);
	cairo_set_source_rgb(cr, 0.96, 0.97, 0.98);
	cairo_rectangle(cr, w * 0.08, h * 0.10, w * 0.52, h * 0.70);
	cairo_fill(cr);
	cairo_set_source_rgb(cr, 0.12, 0.13, 0.15);
	cairo_rectangle(cr, w * 0.52, h * 0.34, w * 0.40, h * 0.50);
	cairo_fill(cr);
	for (int i = 0; i < 9; i++) {
		cairo_set_source_rgba(cr, 0.3, 0.35, 0.42, 0.7);
		cairo_rectangle(cr, w * 0.11, h * (0.17 + i * 0.065), w * (0.3 + 0.08 * sin(i * 2)), h * 0.018);
		cairo_fill(cr);
		cairo_set_source_rgba(cr, 0.45, 0.8, 0.55, 0.8);
		cairo_rectangle(cr, w * 0.54, h * (0.38 + i * 0.047), w * (0.16 + 0.1 * cos(i * 3)), h * 0.014);
		cairo_fill(cr);
	}
}

static gboolean on_thumbnail(CarrelDesk1 *desk, GDBusMethodInvocation *invocation, GUnixFDList *fds, const char *vm, guint width,
	guint height, guint64 known, Fake *fake)
{
	(void)desk, (void)fds, (void)vm;
	if (known == fake->picture) {
		fake->sames++;
		g_dbus_method_invocation_return_dbus_error(invocation, "org.carrel.Error.Same", "nothing was drawn since");
		return TRUE;
	}
	fake->pictures++;
	guint stride = width * 4;
	int fd = memfd_create("thumbnail", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(fd, (off_t)stride * height), ==, 0);
	guint8 *pixels = mmap(NULL, (gsize)stride * height, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	g_assert_true(pixels != MAP_FAILED);
	cairo_surface_t *surface = cairo_image_surface_create_for_data(pixels, CAIRO_FORMAT_RGB24, (int)width, (int)height, (int)stride);
	cairo_t *cr = cairo_create(surface);
	if (!fake->plain)
		paint(cr, width, height, fake->picture);
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	munmap(pixels, (gsize)stride * height);
	g_autoptr(GUnixFDList) out = g_unix_fd_list_new_from_array(&fd, 1);
	g_dbus_method_invocation_return_value_with_unix_fd_list(invocation, g_variant_new("(huuut)", 0, width, height, stride,
		fake->picture), out);
	return TRUE;
}

void fake_desk(Fake *fake)
{
	fake->desk = carrel_desk1_skeleton_new();
	fake->picture = 1;
	carrel_desk1_set_shown(fake->desk, "");
	carrel_desk1_set_views(fake->desk, g_variant_new_parsed("{'work': 'live', 'personal': 'live', 'lab': 'hung'}"));
	for (const char *const *name = (const char *const[]){"handle-show", "handle-switcher", "handle-lock", "handle-unlock",
		     "handle-restart-view", NULL}; *name; name++)
		g_signal_connect_swapped(fake->desk, *name, G_CALLBACK(on_desk_call), fake);
	g_signal_connect(fake->desk, "handle-thumbnail", G_CALLBACK(on_thumbnail), fake);
	g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(fake->desk), fake->bus, "/org/carrel/desk", NULL);
	fake->desk_owned = own(fake, "org.carrel.Desk");
}

void fake_house(Fake *fake)
{
	static const char *const devices[] = {"Webcam C920", "Intel Arc Graphics", NULL};
	guint64 now = (guint64)g_get_real_time() * 1000, day = G_GUINT64_CONSTANT(86400000000000);
	CarrelVm1 *work = fake_vm(fake, "work", "Work", "running"), *bank = fake_vm(fake, "bank", "Bank & tax", "off");
	CarrelVm1 *personal = fake_vm(fake, "personal", "Personal", "running"), *lab = fake_vm(fake, "lab", "Lab", "paused");
	g_object_set(work, "colour", "#3b82c4", "devices", devices, "autostart", TRUE, "snapshots",
		g_variant_new_parsed("[('2026-11-02-091500', 'Before the update', %t), ('2026-11-19-180210', 'Clean and configured', %t)]",
			now - 20 * day, now - 3 * day), NULL);
	g_object_set(personal, "colour", "#dd6b4d", "vcpus", 4, NULL);
	g_object_set(bank, "colour", "#6a994e", "encrypted", TRUE, NULL);
	g_object_set(lab, "colour", "#8367c7", NULL);
	fake_template(fake, "debian-desktop", "Debian 13", "A light desktop with a browser, a terminal and a file manager.");
	fake_template(fake, "debian-plain", "Debian 13, plain", "A small system without a desktop, to build upon.");
}
