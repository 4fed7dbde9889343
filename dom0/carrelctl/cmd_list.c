// SPDX-License-Identifier: Apache-2.0
/* Commands that only look. */
#include "carrelctl.h"
#include <string.h>

static const char *text(const char *value)
{
	return value ? value : "";
}

static const char *first_address(CarrelVm1 *vm)
{
	GVariant *interfaces = carrel_vm1_get_interfaces(vm);
	GVariantIter iter;
	GVariant *one;

	if (!interfaces)
		return "";
	g_variant_iter_init(&iter, interfaces);
	while ((one = g_variant_iter_next_value(&iter))) {
		const char *address = "";

		g_variant_lookup(one, "address", "&s", &address);
		g_variant_unref(one);
		if (*address)
			return address;
	}
	return "";
}

static void list_row(Table *table, CarrelVm1 *vm)
{
	const char *state = text(carrel_vm1_get_state(vm));
	g_autofree char *memory = carrel_vm1_get_domain_id(vm) >= 0 ? text_size(carrel_vm1_get_memory_target(vm)) : NULL;
	g_autofree char *most = text_size(carrel_vm1_get_memory_max(vm));

	table_add(table, "1", carrel_vm1_get_foreground(vm) ? "*" : "");
	table_add(table, NULL, carrel_vm1_get_name(vm));
	table_add(table, state_colour(state), state);
	table_add(table, NULL, memory ? memory : "-");
	table_add(table, NULL, most);
	table_take(table, g_strdup_printf("%u", carrel_vm1_get_vcpus(vm)));
	table_add(table, NULL, first_address(vm));
	table_add(table, NULL, text(carrel_vm1_get_title(vm)));
}

static JsonNode *json_of_vms(GPtrArray *vms)
{
	JsonArray *array = json_array_new();

	for (guint i = 0; i < vms->len; i++)
		json_array_add_element(array, json_of_vm(vms->pdata[i]));
	return json_take_array(array);
}

gboolean cmd_list(Ctl *ctl, char **args G_GNUC_UNUSED, GError **error)
{
	static const char *const headers[] = {"", "NAME", "STATE", ">MEMORY", ">MOST", ">CPUS", "ADDRESS", "TITLE", NULL};
	g_autoptr(GDBusObjectManager) objects = ctl_objects(ctl, error);
	g_autoptr(GPtrArray) vms = objects ? ctl_vms(objects, ctl->opt.all ? -1 : FALSE) : NULL;
	g_autoptr(Table) table = table_new(headers);

	if (!vms)
		return FALSE;
	if (ctl->opt.json) {
		ctl->result = json_of_vms(vms);
		return TRUE;
	}
	for (guint i = 0; i < vms->len; i++)
		list_row(table, vms->pdata[i]);
	if (vms->len)
		table_print(table);
	else
		fprintf(stderr, "There are no VMs yet; 'carrelctl templates' shows what one can be made from.\n");
	return TRUE;
}

static guint64 disks_size(CarrelVm1 *vm, const char *key)
{
	GVariant *disks = carrel_vm1_get_disks(vm);
	guint64 sum = 0;
	GVariantIter iter;
	GVariant *one;

	if (!disks)
		return 0;
	g_variant_iter_init(&iter, disks);
	while ((one = g_variant_iter_next_value(&iter))) {
		guint64 size = 0;

		g_variant_lookup(one, key, "t", &size);
		sum += size;
		g_variant_unref(one);
	}
	return sum;
}

gboolean cmd_templates(Ctl *ctl, char **args G_GNUC_UNUSED, GError **error)
{
	static const char *const headers[] = {"NAME", ">SIZE", ">USED", "TITLE", "DESCRIPTION", NULL};
	g_autoptr(GDBusObjectManager) objects = ctl_objects(ctl, error);
	g_autoptr(GPtrArray) vms = objects ? ctl_vms(objects, TRUE) : NULL;
	g_autoptr(Table) table = table_new(headers);

	if (!vms)
		return FALSE;
	if (ctl->opt.json) {
		ctl->result = json_of_vms(vms);
		return TRUE;
	}
	for (guint i = 0; i < vms->len; i++) {
		table_add(table, NULL, carrel_vm1_get_name(vms->pdata[i]));
		table_take(table, text_size(disks_size(vms->pdata[i], "size")));
		table_take(table, text_size(disks_size(vms->pdata[i], "used")));
		table_add(table, NULL, text(carrel_vm1_get_title(vms->pdata[i])));
		table_add(table, NULL, text(carrel_vm1_get_description(vms->pdata[i])));
	}
	if (vms->len)
		table_print(table);
	else
		fprintf(stderr, "There are no templates yet; 'carrelctl import --template NAME FILE' makes one of a disk image.\n");
	return TRUE;
}

G_GNUC_PRINTF(2, 3)
static void field(const char *name, const char *format, ...)
{
	g_autofree char *value = NULL, *safe = NULL;
	va_list args;

	va_start(args, format);
	value = g_strdup_vprintf(format, args);
	va_end(args);
	safe = text_safe(value);
	if (*safe)
		printf("%-12s %s\n", name, safe);
}

static void show_disks(CarrelVm1 *vm)
{
	static const char *const headers[] = {"DISK", "FORMAT", ">SIZE", ">USED", "FILE", NULL};
	g_autoptr(Table) table = table_new(headers);
	GVariant *disks = carrel_vm1_get_disks(vm);

	if (!disks || !g_variant_n_children(disks))
		return;
	for (gsize i = 0; i < g_variant_n_children(disks); i++) {
		g_autoptr(GVariant) disk = g_variant_get_child_value(disks, i);
		const char *name = "", *file = "", *format = "";
		guint64 size = 0, used = 0;
		gboolean readonly = FALSE;

		g_variant_lookup(disk, "name", "&s", &name);
		g_variant_lookup(disk, "file", "&s", &file);
		g_variant_lookup(disk, "format", "&s", &format);
		g_variant_lookup(disk, "size", "t", &size);
		g_variant_lookup(disk, "used", "t", &used);
		g_variant_lookup(disk, "readonly", "b", &readonly);
		table_add(table, NULL, name);
		table_take(table, g_strconcat(format, readonly ? ", read-only" : "", NULL));
		table_take(table, text_size(size));
		table_take(table, text_size(used));
		table_add(table, NULL, file);
	}
	fputs("\n", stdout);
	table_print(table);
}

static void show_interfaces(CarrelVm1 *vm)
{
	static const char *const headers[] = {"INTERFACE", "MODE", "NETWORK", "MAC", "ADDRESS", NULL};
	static const char *const keys[] = {"name", "mode", "network", "mac", "address"};
	g_autoptr(Table) table = table_new(headers);
	GVariant *interfaces = carrel_vm1_get_interfaces(vm);

	if (!interfaces || !g_variant_n_children(interfaces))
		return;
	for (gsize i = 0; i < g_variant_n_children(interfaces); i++) {
		g_autoptr(GVariant) one = g_variant_get_child_value(interfaces, i);

		for (guint k = 0; k < G_N_ELEMENTS(keys); k++) {
			const char *value = "";

			g_variant_lookup(one, keys[k], "&s", &value);
			table_add(table, NULL, value);
		}
	}
	fputs("\n", stdout);
	table_print(table);
}

static gboolean print_snapshots(CarrelVm1 *vm)
{
	static const char *const headers[] = {"SNAPSHOT", "TIME", "DESCRIPTION", NULL};
	g_autoptr(Table) table = table_new(headers);
	GVariant *snapshots = carrel_vm1_get_snapshots(vm);
	const char *name, *description;
	GVariantIter iter;
	guint64 when;

	if (!snapshots || !g_variant_n_children(snapshots))
		return FALSE;
	g_variant_iter_init(&iter, snapshots);
	while (g_variant_iter_next(&iter, "(&s&st)", &name, &description, &when)) {
		table_add(table, NULL, name);
		table_take(table, text_time(when));
		table_add(table, NULL, description);
	}
	table_print(table);
	return TRUE;
}

/* Flags in words; a VM that has none has no such line. */
static char *flags(CarrelVm1 *vm)
{
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_auto(GStrv) list = NULL;

	if (carrel_vm1_get_foreground(vm))
		g_strv_builder_add(words, "on screen");
	if (carrel_vm1_get_autostart(vm))
		g_strv_builder_add(words, "starts by itself");
	if (carrel_vm1_get_template(vm))
		g_strv_builder_add(words, "template");
	if (carrel_vm1_get_encrypted(vm))
		g_strv_builder_add(words, carrel_vm1_get_unlocked(vm) ? "encrypted, unlocked" : "encrypted");
	list = g_strv_builder_end(words);
	return g_strjoinv(", ", list);
}

static void show_vm(CarrelVm1 *vm)
{
	g_autofree char *now = text_size(carrel_vm1_get_memory_target(vm)), *least = text_size(carrel_vm1_get_memory_min(vm));
	g_autofree char *most = text_size(carrel_vm1_get_memory_max(vm)), *since = text_time(carrel_vm1_get_started(vm));
	g_autofree char *words = flags(vm);
	const char *const *devices = carrel_vm1_get_devices(vm);

	field("Name", "%s", text(carrel_vm1_get_name(vm)));
	field("Title", "%s", text(carrel_vm1_get_title(vm)));
	field("Description", "%s", text(carrel_vm1_get_description(vm)));
	field("State", "%s", text(carrel_vm1_get_state(vm)));
	field("Problem", "%s", text(carrel_vm1_get_problem(vm)));
	field("Flags", "%s", words);
	if (carrel_vm1_get_started(vm))
		field("Started", "%s", since);
	field("CPUs", "%u", carrel_vm1_get_vcpus(vm));
	if (carrel_vm1_get_domain_id(vm) >= 0) {
		field("Domain", "%d", carrel_vm1_get_domain_id(vm));
		field("Memory", "%s (%s to %s)", now, least, most);
	} else {
		field("Memory", "%s to %s", least, most);
	}
	field("Colour", "%s", text(carrel_vm1_get_colour(vm)));
	field("UUID", "%s", text(carrel_vm1_get_uuid(vm)));
	field("Console", "%s", text(carrel_vm1_get_console(vm)));
	for (guint i = 0; devices && devices[i]; i++)
		field(i ? "" : "Devices", "%s", devices[i]);
	show_disks(vm);
	show_interfaces(vm);
	if (carrel_vm1_get_snapshots(vm) && g_variant_n_children(carrel_vm1_get_snapshots(vm))) {
		fputs("\n", stdout);
		print_snapshots(vm);
	}
}

gboolean cmd_show(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	if (!vm)
		return FALSE;
	if (ctl->opt.json)
		ctl->result = json_of_vm(vm);
	else
		show_vm(vm);
	return TRUE;
}

gboolean cmd_snapshots(Ctl *ctl, char **args, GError **error)
{
	g_autoptr(CarrelVm1) vm = ctl_vm(ctl, args[0], error);

	if (!vm)
		return FALSE;
	if (ctl->opt.json) {
		GVariant *snapshots = carrel_vm1_get_snapshots(vm);

		ctl->result = snapshots ? json_of_value(snapshots) : json_take_array(json_array_new());
	} else if (!print_snapshots(vm)) {
		fprintf(stderr, vm_is_locked(vm) ? "%s is encrypted and off: 'carrelctl unlock' it to see its snapshots.\n"
			: "%s has no snapshots.\n", args[0]);
	}
	return TRUE;
}

static guint64 job_number(GDBusObject *object)
{
	return g_ascii_strtoull(strrchr(g_dbus_object_get_object_path(object), '/') + 1, NULL, 10);
}

static int by_number(gconstpointer a, gconstpointer b)
{
	guint64 left = job_number((GDBusObject *)a), right = job_number((GDBusObject *)b);

	return left < right ? -1 : left > right;
}

static JsonObject *json_of_job(CarrelJob1 *job, guint64 number, const char *vm, const char *name, const char *message)
{
	JsonObject *object = json_object_new();

	json_object_set_int_member(object, "job", (gint64)number);
	json_object_set_string_member(object, "kind", text(carrel_job1_get_kind(job)));
	json_object_set_string_member(object, "vm", vm);
	json_object_set_string_member(object, "state", text(carrel_job1_get_state(job)));
	json_object_set_double_member(object, "progress", carrel_job1_get_progress(job));
	json_object_set_string_member(object, "stage", text(carrel_job1_get_stage(job)));
	json_object_set_string_member(object, "error", name);
	json_object_set_string_member(object, "message", message);
	return object;
}

static void job_row(Table *table, CarrelJob1 *job, guint64 number, const char *vm, const char *message)
{
	const char *state = text(carrel_job1_get_state(job));
	double progress = carrel_job1_get_progress(job);

	table_take(table, g_strdup_printf("%" G_GUINT64_FORMAT, number));
	table_add(table, NULL, text(carrel_job1_get_kind(job)));
	table_add(table, NULL, vm);
	table_add(table, state_colour(state), state);
	table_take(table, progress < 0 ? g_strdup("") : g_strdup_printf("%d %%", (int)(MIN(progress, 1) * 100)));
	table_add(table, NULL, *message ? message : text(carrel_job1_get_stage(job)));
}

gboolean cmd_jobs(Ctl *ctl, char **args G_GNUC_UNUSED, GError **error)
{
	static const char *const headers[] = {">JOB", "KIND", "VM", "STATE", ">DONE", "STAGE", NULL};
	g_autoptr(GDBusObjectManager) objects = ctl_objects(ctl, error);
	g_autoptr(Table) table = table_new(headers);
	g_autolist(GDBusObject) list = objects ? g_dbus_object_manager_get_objects(objects) : NULL;
	g_autoptr(JsonArray) array = json_array_new();

	list = g_list_sort(list, by_number);
	for (GList *l = list; l; l = l->next) {
		g_autoptr(CarrelJob1) job = carrel_object_get_job1(l->data);
		g_autofree char *vm = job ? vm_name_of_path(text(carrel_job1_get_vm(job))) : NULL;
		const char *name = "", *message = "";

		if (!job)
			continue;
		if (carrel_job1_get_error(job))
			g_variant_get(carrel_job1_get_error(job), "(&s&s)", &name, &message);
		json_array_add_object_element(array, json_of_job(job, job_number(l->data), vm, name, message));
		job_row(table, job, job_number(l->data), vm, message);
	}
	if (ctl->opt.json)
		ctl->result = json_take_array(json_array_ref(array));
	else if (objects)
		table_print(table);
	return objects != NULL;
}
