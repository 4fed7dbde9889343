/* SPDX-License-Identifier: Apache-2.0 */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

#define BEAT_SEC    3
#define SPLASH_PAGE "splash"
#define HOME_PAGE   "home"

typedef struct {
	GtkWidget *widget;
	void (*every)(GtkWidget *widget);
	gboolean beat, wanted;
} Watcher;

/* ---- time, while somebody looks ---- */

/* all: also those that want no beats. */
static void tell_watchers(Ui *ui, gboolean beat, gboolean all)
{
	for (guint i = 0; i < ui->watchers->len; i++) {
		Watcher *watcher = ui->watchers->pdata[i];
		if (watcher->beat == beat && (all || watcher->wanted))
			watcher->every(watcher->widget);
	}
}

static void wait_for_minute(Ui *ui);

static gboolean on_minute(gpointer data)
{
	Ui *ui = data;
	ui->minute = 0;
	tell_watchers(ui, FALSE, TRUE);
	if (config_theme(ui->config) == THEME_AUTO)
		theme_apply(ui);
	wait_for_minute(ui);
	return G_SOURCE_REMOVE;
}

static void wait_for_minute(Ui *ui)
{
	gint64 into = g_get_real_time() % (60 * G_USEC_PER_SEC);
	ui->minute = g_timeout_add((guint)((60 * G_USEC_PER_SEC - into) / 1000 + 20), on_minute, ui);
}

static gboolean on_beat(gpointer data)
{
	tell_watchers(data, TRUE, FALSE);
	return G_SOURCE_CONTINUE;
}

static gboolean has_beats(Ui *ui)
{
	for (guint i = 0; i < ui->watchers->len; i++)
		if (((Watcher *)ui->watchers->pdata[i])->wanted)
			return TRUE;
	return FALSE;
}

static void set_timers(Ui *ui)
{
	gboolean beat = ui->visible && has_beats(ui);
	if (ui->visible && !ui->minute)
		wait_for_minute(ui);
	if (!ui->visible)
		g_clear_handle_id(&ui->minute, g_source_remove);
	if (beat && !ui->beat)
		ui->beat = g_timeout_add_seconds(BEAT_SEC, on_beat, ui); /* together with what else wakes up */
	if (!beat)
		g_clear_handle_id(&ui->beat, g_source_remove);
}

void ui_set_visible(Ui *ui, gboolean visible)
{
	if (ui->visible == visible)
		return;
	ui->visible = visible;
	set_timers(ui);
	if (!visible)
		return;
	tell_watchers(ui, FALSE, TRUE);
	tell_watchers(ui, TRUE, TRUE);
	theme_apply(ui);
}

static void on_watcher_gone(GtkWidget *widget, gpointer data)
{
	Ui *ui = data;
	for (guint i = ui->watchers->len; i-- > 0;)
		if (((Watcher *)ui->watchers->pdata[i])->widget == widget)
			g_ptr_array_remove_index(ui->watchers, i);
	set_timers(ui);
}

static void watch(Ui *ui, GtkWidget *widget, void (*every)(GtkWidget *widget), gboolean beat)
{
	Watcher *watcher = g_new0(Watcher, 1);
	watcher->widget = widget;
	watcher->every = every;
	watcher->beat = beat;
	g_ptr_array_add(ui->watchers, watcher);
	g_signal_connect(widget, "destroy", G_CALLBACK(on_watcher_gone), ui);
	set_timers(ui);
	if (ui->visible)
		every(widget);
}

void ui_every_minute(Ui *ui, GtkWidget *widget, void (*every)(GtkWidget *widget))
{
	watch(ui, widget, every, FALSE);
}

void ui_every_beat(Ui *ui, GtkWidget *widget, void (*every)(GtkWidget *widget))
{
	watch(ui, widget, every, TRUE);
}

void ui_want_beats(Ui *ui, GtkWidget *widget, gboolean wanted)
{
	for (guint i = 0; i < ui->watchers->len; i++) {
		Watcher *watcher = ui->watchers->pdata[i];
		if (watcher->widget != widget || !watcher->beat || watcher->wanted == wanted)
			continue;
		watcher->wanted = wanted;
		set_timers(ui);
		if (wanted && ui->visible)
			watcher->every(widget);
	}
}

/* ---- calls ---- */

typedef struct {
	Ui *ui;
	UiReply reply;
	GWeakRef owner;
	gboolean owned;
} Call;

static void on_reply(GObject *source, GAsyncResult *result, gpointer data)
{
	Call *call = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(source), result, &error);
	g_autoptr(GObject) owner = g_weak_ref_get(&call->owner);
	const char *job = NULL;
	if (reply && g_variant_is_of_type(reply, G_VARIANT_TYPE("(o)")))
		g_variant_get(reply, "(&o)", &job);
	if (call->owned && owner && call->reply) {
		call->reply(call->ui, job, error, owner);
	} else if (error && (!call->owned || owner)) {
		g_autofree char *text = error_text(error);
		g_autofree char *name = CARREL_IS_VM1(source) ? carrel_vm1_dup_name(CARREL_VM1(source)) : NULL;
		ui_notify(call->ui, "error", name, text);
	}
	g_weak_ref_clear(&call->owner);
	g_free(call);
}

void ui_call(Ui *ui, gpointer proxy, const char *method, GVariant *params, UiReply reply, gpointer owner)
{
	if (!proxy) {
		g_autoptr(GVariant) unused = params ? g_variant_ref_sink(params) : NULL;
		g_autoptr(GError) error = g_error_new_literal(G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN, "");
		g_autofree char *text = error_text(error);
		if (owner && reply)
			reply(ui, NULL, error, owner);
		else
			ui_notify(ui, "error", NULL, text);
		return;
	}
	Call *call = g_new0(Call, 1);
	call->ui = ui;
	call->reply = reply;
	call->owned = owner != NULL;
	g_weak_ref_init(&call->owner, owner);
	g_dbus_proxy_call(proxy, method, params, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, on_reply, call);
}

/* ---- notices from elsewhere ---- */

static void on_model_notice(UiModel *model, const char *severity, const char *path, const char *text, Ui *ui)
{
	CarrelVm1 *vm = ui_model_vm(model, path);
	ui_notify(ui, severity, vm ? carrel_vm1_get_name(vm) : NULL, text);
}

static void on_desk_notice(UiDesk *desk, const char *severity, const char *vm, const char *text, Ui *ui)
{
	(void)desk;
	ui_notify(ui, severity, vm, text);
}

/* ---- pages ---- */

static void on_model_state(UiModel *model, Ui *ui)
{
	if (ui_model_state(model) != MODEL_READY)
		ui_sheets_close(ui);
	if (ui_model_state(model) != MODEL_LOADING)
		gtk_stack_set_visible_child_name(GTK_STACK(ui->pages), HOME_PAGE);
}

static GtkWidget *pages_new(Ui *ui)
{
	GtkWidget *pages = gtk_stack_new();
	ui_class(pages, "desk");
	gtk_stack_set_transition_type(GTK_STACK(pages), GTK_STACK_TRANSITION_TYPE_CROSSFADE);
	gtk_stack_set_transition_duration(GTK_STACK(pages), 160);
	gtk_stack_add_named(GTK_STACK(pages), splash_new(), SPLASH_PAGE);
	gtk_stack_add_named(GTK_STACK(pages), ui->home, HOME_PAGE);
	return pages;
}

static gboolean on_scrim_pressed(GtkWidget *scrim, GdkEventButton *event, Ui *ui)
{
	(void)scrim, (void)event;
	(void)ui;
	return TRUE; /* nothing below is reached while a sheet is open */
}

static void make_root(Ui *ui)
{
	ui->root = gtk_overlay_new();
	ui->home = home_new(ui);
	ui->pages = pages_new(ui);
	gtk_container_add(GTK_CONTAINER(ui->root), ui->pages);
	ui->scrim = gtk_event_box_new();
	ui_class(ui->scrim, "scrim");
	g_signal_connect(ui->scrim, "button-press-event", G_CALLBACK(on_scrim_pressed), ui);
	ui->sheet_box = gtk_stack_new();
	gtk_stack_set_hhomogeneous(GTK_STACK(ui->sheet_box), FALSE);
	gtk_stack_set_vhomogeneous(GTK_STACK(ui->sheet_box), FALSE);
	gtk_widget_set_halign(ui->sheet_box, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(ui->sheet_box, GTK_ALIGN_CENTER);
	gtk_container_add(GTK_CONTAINER(ui->scrim), ui->sheet_box);
	gtk_overlay_add_overlay(GTK_OVERLAY(ui->root), ui->scrim);
	ui->notices = notices_new(ui);
	gtk_overlay_add_overlay(GTK_OVERLAY(ui->root), ui->notices);
	gtk_widget_show_all(ui->root);
	gtk_widget_hide(ui->scrim);
	g_object_ref_sink(ui->root);
}

gboolean ui_key(Ui *ui, GdkEventKey *event)
{
	if (ui->sheets && event->keyval == GDK_KEY_Escape) {
		ui_sheet_pop(ui, ui->sheets->data);
		return TRUE;
	}
	return !ui->sheets && home_key(ui->home, event->keyval, event->state);
}

Ui *ui_new(GDBusConnection *connection, Config *config)
{
	Ui *ui = g_new0(Ui, 1);
	ui->config = config;
	ui->watchers = g_ptr_array_new_with_free_func(g_free);
	ui->bus = connection ? g_object_ref(connection) : NULL;
	theme_apply(ui);
	ui->model = ui_model_new(connection);
	ui->desk = ui_desk_new(connection);
	make_root(ui);
	g_signal_connect(ui->model, "state", G_CALLBACK(on_model_state), ui);
	g_signal_connect(ui->model, "notice", G_CALLBACK(on_model_notice), ui);
	g_signal_connect(ui->desk, "notice", G_CALLBACK(on_desk_notice), ui);
	return ui;
}

void ui_free(Ui *ui)
{
	ui_set_visible(ui, FALSE);
	g_signal_handlers_disconnect_by_data(ui->model, ui);
	g_signal_handlers_disconnect_by_data(ui->desk, ui);
	ui_sheets_close(ui);
	gtk_widget_destroy(ui->root);
	g_clear_object(&ui->root);
	g_clear_object(&ui->desk);
	g_clear_object(&ui->model);
	g_clear_object(&ui->bus);
	if (ui->css)
		gtk_style_context_remove_provider_for_screen(gdk_screen_get_default(), GTK_STYLE_PROVIDER(ui->css));
	g_clear_object(&ui->css);
	g_clear_pointer(&ui->watchers, g_ptr_array_unref);
	g_clear_pointer(&ui->config, config_free);
	g_free(ui);
}
