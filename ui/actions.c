/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done to a VM. */
#include "ui.h"

#include "format.h"

#include <glib/gi18n.h>

char *vm_title(CarrelVm1 *vm)
{
	char *title = text_safe(carrel_vm1_get_title(vm), TITLE_MAX_LENGTH);
	if (title[0])
		return title;
	g_free(title);
	return text_safe(carrel_vm1_get_name(vm), TITLE_MAX_LENGTH);
}

static gboolean in_state(CarrelVm1 *vm, const char *state)
{
	return g_strcmp0(carrel_vm1_get_state(vm), state) == 0;
}

void vm_start(Ui *ui, CarrelVm1 *vm)
{
	if (carrel_vm1_get_encrypted(vm) && !carrel_vm1_get_unlocked(vm)) {
		passphrase_sheet(ui, vm, "Start");
		return;
	}
	ui_call(ui, vm, "Start", g_variant_new("(a{sv})", NULL), NULL, NULL);
}

void vm_open(Ui *ui, CarrelVm1 *vm)
{
	const char *name = carrel_vm1_get_name(vm);
	if (in_state(vm, "off") || in_state(vm, "crashed")) {
		vm_start(ui, vm);
	} else if (in_state(vm, "broken")) {
		ui_notify(ui, "warning", name, carrel_vm1_get_problem(vm));
	} else if (name) {
		if (in_state(vm, "suspended") || in_state(vm, "paused"))
			vm_go_on(ui, vm);
		ui_desk_show(ui->desk, name);
	}
}

void vm_shut_down(Ui *ui, CarrelVm1 *vm)
{
	ui_call(ui, vm, "Shutdown", g_variant_new("(u)", 0), NULL, NULL);
}

void vm_restart(Ui *ui, CarrelVm1 *vm)
{
	ui_call(ui, vm, "Reboot", g_variant_new("(u)", 0), NULL, NULL);
}

void vm_pause(Ui *ui, CarrelVm1 *vm)
{
	ui_call(ui, vm, "Pause", NULL, NULL, NULL);
}

void vm_go_on(Ui *ui, CarrelVm1 *vm)
{
	ui_call(ui, vm, in_state(vm, "suspended") ? "Resume" : "Unpause", NULL, NULL, NULL);
}

void vm_sleep(Ui *ui, CarrelVm1 *vm)
{
	ui_call(ui, vm, "Suspend", NULL, NULL, NULL);
}

static void force_off(Ui *ui, gpointer vm)
{
	ui_call(ui, vm, "ForceOff", NULL, NULL, NULL);
}

void vm_force_off(Ui *ui, CarrelVm1 *vm)
{
	g_autofree char *title = vm_title(vm);
	g_autofree char *quoted = text_quote(title, TITLE_MAX_LENGTH);
	g_autofree char *question = g_strdup_printf(_("Turn %s off at once?"), quoted);
	ui_confirm(ui, question, _("It is as if its power cord were pulled: work that is not saved in it is lost."),
		_("Turn off"), force_off, g_object_ref(vm), g_object_unref);
}

static void delete(Ui *ui, gpointer vm)
{
	ui_call(ui, vm, "Delete", g_variant_new("(a{sv})", NULL), NULL, NULL);
}

void vm_delete(Ui *ui, CarrelVm1 *vm)
{
	g_autofree char *title = vm_title(vm);
	g_autofree char *quoted = text_quote(title, TITLE_MAX_LENGTH);
	g_autofree char *question = g_strdup_printf(_("Delete %s?"), quoted);
	ui_confirm(ui, question, _("The desktop goes with everything in it: its disks, its files and its snapshots. This cannot be undone."),
		_("Delete"), delete, g_object_ref(vm), g_object_unref);
}
