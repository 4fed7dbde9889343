/* SPDX-License-Identifier: Apache-2.0 */
/* The passphrase of an encrypted desktop: asked for, chosen, changed. */
#include "ui.h"

#include "format.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <string.h>

#define PASSPHRASE_MIN 8

/* ---- a new one, typed twice ---- */

SecretPair secret_pair_new(GtkWidget *box, const char *name, const char *name_again)
{
	SecretPair pair = {ui_secret_entry(name), ui_secret_entry(name_again), ui_paragraph("", "hint")};
	gtk_entry_set_placeholder_text(GTK_ENTRY(pair.secret), name);
	gtk_entry_set_placeholder_text(GTK_ENTRY(pair.again), name_again);
	gtk_container_add(GTK_CONTAINER(box), pair.secret);
	gtk_container_add(GTK_CONTAINER(box), pair.again);
	gtk_container_add(GTK_CONTAINER(box), pair.hint);
	return pair;
}

gboolean secret_pair_fits(const SecretPair *pair)
{
	const char *secret = gtk_entry_get_text(GTK_ENTRY(pair->secret)), *again = gtk_entry_get_text(GTK_ENTRY(pair->again));
	gboolean short_one = g_utf8_strlen(secret, -1) < PASSPHRASE_MIN, same = strcmp(secret, again) == 0;
	g_autofree char *least = g_strdup_printf(_("At least %d characters. Without it nobody can open the desktop, not even you."), PASSPHRASE_MIN);
	ui_set_text(pair->hint, !short_one && !same ? _("The two passphrases differ.") : least);
	ui_set_class(pair->hint, "problem", again[0] && !same);
	return !short_one && same;
}

/* ---- the sheets ---- */

typedef struct {
	Ui *ui;
	CarrelVm1 *vm;
	Sheet *sheet;
	const char *method;
	GtkWidget *entry, *go, *problem;
	SecretPair fresh; /* of ChangePassphrase only */
} Passphrase;

static void on_done(Ui *ui, const char *job, const GError *error, gpointer owner)
{
	(void)job;
	Passphrase *passphrase = g_object_get_data(owner, "carrel-passphrase");
	if (!error) {
		ui_sheet_pop(ui, GTK_WIDGET(owner));
		return;
	}
	g_autofree char *text = error_text(error);
	ui_set_text(passphrase->problem, text);
	gtk_widget_show(passphrase->problem);
	gtk_widget_set_sensitive(passphrase->sheet->body, TRUE);
	gtk_entry_set_text(GTK_ENTRY(passphrase->entry), "");
	gtk_widget_grab_focus(passphrase->entry);
}

static void add_secret(GVariantBuilder *options, const char *name, GtkWidget *entry)
{
	g_variant_builder_add(options, "{sv}", name, g_variant_new_string(gtk_entry_get_text(GTK_ENTRY(entry))));
}

static void on_typed(Passphrase *passphrase)
{
	gboolean fits = !passphrase->fresh.secret || secret_pair_fits(&passphrase->fresh);
	gtk_widget_set_sensitive(passphrase->go, fits && gtk_entry_get_text_length(GTK_ENTRY(passphrase->entry)) > 0);
}

static void on_go(Passphrase *passphrase)
{
	GVariantBuilder options;
	on_typed(passphrase);
	if (!gtk_widget_get_sensitive(passphrase->go))
		return;
	g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
	add_secret(&options, "passphrase", passphrase->entry);
	if (passphrase->fresh.secret)
		add_secret(&options, "new-passphrase", passphrase->fresh.secret);
	gtk_widget_set_sensitive(passphrase->sheet->body, FALSE);
	gtk_widget_set_sensitive(passphrase->go, FALSE);
	ui_call(passphrase->ui, passphrase->vm, passphrase->method, g_variant_new("(a{sv})", &options), on_done, passphrase->sheet->panel);
}

static void listen(Passphrase *passphrase, GtkWidget *entry)
{
	g_signal_connect_swapped(entry, "changed", G_CALLBACK(on_typed), passphrase);
	g_signal_connect_swapped(entry, "activate", G_CALLBACK(on_go), passphrase);
}

static void passphrase_free(gpointer data)
{
	Passphrase *passphrase = data;
	g_object_unref(passphrase->vm);
	g_free(passphrase);
}

/* text: what %s, the desktop, is asked for. */
static Passphrase *begin(Ui *ui, CarrelVm1 *vm, const char *method, const char *text, const char *action)
{
	g_autofree char *title = vm_title(vm);
	Passphrase *passphrase = g_new0(Passphrase, 1);
	Sheet *sheet = sheet_new(ui, "key", _("Passphrase"), 480);
	*passphrase = (Passphrase){.ui = ui, .vm = g_object_ref(vm), .sheet = sheet, .method = method};
	g_object_set_data_full(G_OBJECT(sheet->panel), "carrel-passphrase", passphrase, passphrase_free);
	passphrase->entry = ui_secret_entry(_("Passphrase"));
	passphrase->problem = ui_paragraph("", "problem");
	gtk_widget_set_no_show_all(passphrase->problem, TRUE);
	gtk_container_add(GTK_CONTAINER(sheet->body), ui_paragraph(text, NULL));
	gtk_container_add(GTK_CONTAINER(sheet->body), passphrase->entry);
	gtk_container_add(GTK_CONTAINER(sheet->body), passphrase->problem);
	passphrase->go = sheet_action(sheet, ui_button(NULL, action, "primary"));
	g_signal_connect_swapped(passphrase->go, "clicked", G_CALLBACK(on_go), passphrase);
	listen(passphrase, passphrase->entry);
	return passphrase;
}

static Sheet *end(Passphrase *passphrase)
{
	on_typed(passphrase);
	gtk_widget_show_all(passphrase->sheet->body);
	ui_sheet_push(passphrase->ui, passphrase->sheet->panel, passphrase->entry);
	return passphrase->sheet;
}

static char *quoted_title(CarrelVm1 *vm)
{
	g_autofree char *title = vm_title(vm);
	return text_quote(title, TITLE_MAX_LENGTH);
}

Sheet *passphrase_sheet(Ui *ui, CarrelVm1 *vm, const char *method)
{
	gboolean start = g_str_equal(method, "Start");
	g_autofree char *quoted = quoted_title(vm);
	g_autofree char *text = g_strdup_printf(start ? _("%s is encrypted. Its passphrase opens it until it is shut down.")
		: _("%s is encrypted. Its passphrase opens its disks until you lock them, or it has run."), quoted);
	return end(begin(ui, vm, method, text, start ? _("Start") : _("Unlock")));
}

Sheet *passphrase_change_sheet(Ui *ui, CarrelVm1 *vm)
{
	g_autofree char *quoted = quoted_title(vm);
	g_autofree char *text = g_strdup_printf(_("The passphrase that opens %s now, and the one that shall open it from now on."), quoted);
	Passphrase *passphrase = begin(ui, vm, "ChangePassphrase", text, _("Change"));
	gtk_entry_set_placeholder_text(GTK_ENTRY(passphrase->entry), _("Passphrase"));
	passphrase->fresh = secret_pair_new(passphrase->sheet->body, _("New passphrase"), _("New passphrase again"));
	listen(passphrase, passphrase->fresh.secret);
	listen(passphrase, passphrase->fresh.again);
	return end(passphrase);
}
