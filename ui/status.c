/* SPDX-License-Identifier: Apache-2.0 */
/* Network, loudness, brightness and battery: each is shown when whoever knows about it is there, and not otherwise. */
#include "ui.h"

#include "backlight.h"
#include "format.h"
#include "icon.h"
#include "volume.h"
#include "widgets.h"

#include <glib/gi18n.h>
#include <math.h>

#define SSID_MAX 32

typedef struct {
	GtkWidget *widget, *icon, *label;
} Item;

typedef struct {
	Ui *ui;
	GtkWidget *box;
	GCancellable *cancellable;
	GDBusProxy *network, *connection, *battery;
	char *connection_path;
	Volume *volume;
	Backlight *backlight;
	Item network_item, battery_item, volume_item, backlight_item;
	GtkWidget *volume_scale, *mute, *backlight_scale;
	gboolean following; /* a scale is moved by us, not by the person */
} Status;

/* An empty tray is not shown. */
static void show_tray(GtkWidget *box)
{
	g_autoptr(GList) items = gtk_container_get_children(GTK_CONTAINER(box));
	gboolean any = FALSE;
	for (GList *l = items; l; l = l->next)
		any |= gtk_widget_get_visible(l->data);
	gtk_widget_set_opacity(box, any);
}

static void item_hide(Item *item)
{
	gtk_widget_hide(item->widget);
	show_tray(gtk_widget_get_parent(item->widget));
}

static void item_show(Item *item, const char *icon, double level, const char *text, const char *name)
{
	icon_set(item->icon, icon);
	icon_set_level(item->icon, level);
	ui_set_text(item->label, text ? text : "");
	gtk_widget_set_visible(item->label, text != NULL);
	ui_name(item->widget, name);
	ui_set_tooltip(item->widget, name);
	gtk_widget_show(item->widget);
	show_tray(gtk_widget_get_parent(item->widget));
}

static guint32 property_u(GDBusProxy *proxy, const char *name)
{
	g_autoptr(GVariant) value = proxy ? g_dbus_proxy_get_cached_property(proxy, name) : NULL;
	return value && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32) ? g_variant_get_uint32(value) : 0;
}

static double property_d(GDBusProxy *proxy, const char *name)
{
	g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(proxy, name);
	double number = value && g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE) ? g_variant_get_double(value) : 0;
	return isfinite(number) ? number : 0;
}

static gint64 property_x(GDBusProxy *proxy, const char *name)
{
	g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(proxy, name);
	return value && g_variant_is_of_type(value, G_VARIANT_TYPE_INT64) ? g_variant_get_int64(value) : 0;
}

static gboolean property_b(GDBusProxy *proxy, const char *name)
{
	g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(proxy, name);
	return value && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN) && g_variant_get_boolean(value);
}

/* The caller's; "" without one. */
static char *property_s(GDBusProxy *proxy, const char *name)
{
	g_autoptr(GVariant) value = proxy ? g_dbus_proxy_get_cached_property(proxy, name) : NULL;
	gboolean text = value && (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ||
		g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH));
	return g_strdup(text ? g_variant_get_string(value, NULL) : "");
}

static gboolean is_there(GDBusProxy *proxy)
{
	g_autofree char *owner = proxy ? g_dbus_proxy_get_name_owner(proxy) : NULL;
	return owner != NULL;
}

/* ---- battery ---- */

static void show_battery(Status *status)
{
	if (!is_there(status->battery) || !property_b(status->battery, "IsPresent")) {
		item_hide(&status->battery_item);
		return;
	}
	double level = CLAMP(property_d(status->battery, "Percentage"), 0, 100);
	guint32 state = property_u(status->battery, "State"); /* 1 charging, 2 discharging, 4 full */
	gint64 left = property_x(status->battery, "TimeToEmpty");
	gboolean charging = state == 1 || state == 4 || state == 5;
	g_autofree char *percent = g_strdup_printf("%.0f %%", level);
	g_autofree char *duration = format_duration(left);
	g_autofree char *name = charging ? g_strdup_printf(_("Battery: %s, on the mains"), percent)
			      : left > 0 ? g_strdup_printf(_("Battery: %1$s, %2$s left"), percent, duration)
					 : g_strdup_printf(_("Battery: %s"), percent);
	item_show(&status->battery_item, charging ? "charging" : "battery", level / 100, percent, name);
	ui_set_class(status->battery_item.widget, "bad", !charging && level < 10);
}

/* ---- network ---- */

static const char *network_icon(const char *type, guint32 state)
{
	if (state < 50) /* NM_STATE_CONNECTED_LOCAL */
		return "offline";
	return g_str_equal(type, "802-11-wireless") ? "wifi" : g_str_equal(type, "802-3-ethernet") ? "wired" : "globe";
}

static void follow_connection(Status *status);

static void show_network(Status *status)
{
	if (!is_there(status->network)) {
		item_hide(&status->network_item);
		return;
	}
	follow_connection(status);
	g_autofree char *type = property_s(status->network, "PrimaryConnectionType");
	g_autofree char *id = property_s(status->connection, "Id");
	g_autofree char *safe = text_safe(id, SSID_MAX);
	guint32 state = property_u(status->network, "State");
	gboolean on = state >= 50;
	const char *text = !on ? state == 40 ? _("Connecting") : _("Offline") : safe[0] ? safe : _("Connected");
	g_autofree char *quoted = text_quote(text, SSID_MAX);
	g_autofree char *name = g_strdup_printf(_("Network: %s"), quoted);
	item_show(&status->network_item, network_icon(type, state), 1, text, name);
}

static void on_connection(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	g_autoptr(GError) error = NULL;
	GDBusProxy *proxy = g_dbus_proxy_new_finish(result, &error);
	if (!proxy) /* cancelled: data is gone */
		return;
	Status *status = data;
	g_clear_object(&status->connection);
	status->connection = proxy;
	show_network(status);
}

static void follow_connection(Status *status)
{
	g_autofree char *path = property_s(status->network, "PrimaryConnection");
	if (g_strcmp0(path, status->connection_path) == 0)
		return;
	g_free(status->connection_path);
	status->connection_path = g_steal_pointer(&path);
	g_clear_object(&status->connection);
	if (g_variant_is_object_path(status->connection_path) && status->connection_path[1])
		g_dbus_proxy_new(status->ui->bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, NULL, "org.freedesktop.NetworkManager",
			status->connection_path, "org.freedesktop.NetworkManager.Connection.Active", status->cancellable, on_connection,
			status);
}

/* ---- loudness and brightness ---- */

static void show_volume(gpointer data)
{
	Status *status = data;
	double level;
	gboolean muted;
	if (!volume_get(status->volume, &level, &muted)) {
		item_hide(&status->volume_item);
		return;
	}
	g_autofree char *name = muted ? g_strdup(_("Volume: off")) : g_strdup_printf(_("Volume: %.0f %%"), level * 100);
	item_show(&status->volume_item, muted || level <= 0 ? "muted" : "volume", level, NULL, name);
	status->following = TRUE;
	gtk_range_set_value(GTK_RANGE(status->volume_scale), level * 100);
	gtk_switch_set_active(GTK_SWITCH(status->mute), !muted);
	status->following = FALSE;
}

static void on_volume_moved(Status *status)
{
	if (!status->following)
		volume_set(status->volume, gtk_range_get_value(GTK_RANGE(status->volume_scale)) / 100,
			!gtk_switch_get_active(GTK_SWITCH(status->mute)));
}

static void show_backlight(gpointer data)
{
	Status *status = data;
	double level = backlight_get(status->backlight);
	g_autofree char *name = g_strdup_printf(_("Brightness: %.0f %%"), level * 100);
	item_show(&status->backlight_item, "brightness", level, NULL, name);
	status->following = TRUE;
	gtk_range_set_value(GTK_RANGE(status->backlight_scale), level * 100);
	status->following = FALSE;
}

static void on_backlight_moved(Status *status)
{
	if (!status->following)
		backlight_set(status->backlight, gtk_range_get_value(GTK_RANGE(status->backlight_scale)) / 100);
}

/* ---- making it ---- */

/* Shows what the service says, now and whenever it changes; nothing when there is no such service. */
static void follow(Status *status, GDBusProxy **slot, GAsyncResult *result, void (*show)(Status *))
{
	GDBusProxy *proxy = g_dbus_proxy_new_finish(result, NULL);
	if (!proxy)
		return; /* perhaps cancelled, and then there is no status any more */
	*slot = proxy;
	g_signal_connect_swapped(proxy, "g-properties-changed", G_CALLBACK(show), status);
	g_signal_connect_swapped(proxy, "notify::g-name-owner", G_CALLBACK(show), status);
	show(status);
}

static void on_battery(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	follow(data, &((Status *)data)->battery, result, show_battery);
}

static void on_network(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	follow(data, &((Status *)data)->network, result, show_network);
}

static void item_init(Item *item, GtkWidget *box, gboolean button)
{
	GtkWidget *inner = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 7);
	item->widget = button ? gtk_button_new() : ui_box(GTK_ORIENTATION_HORIZONTAL, 0, "bare");
	item->icon = icon_new(NULL, 18);
	item->label = gtk_label_new("");
	ui_class(item->widget, button ? "bare round" : "status");
	ui_class(item->label, "small");
	gtk_label_set_ellipsize(GTK_LABEL(item->label), PANGO_ELLIPSIZE_END);
	gtk_label_set_max_width_chars(GTK_LABEL(item->label), 18);
	gtk_container_add(GTK_CONTAINER(inner), item->icon);
	gtk_container_add(GTK_CONTAINER(inner), item->label);
	gtk_container_add(GTK_CONTAINER(item->widget), inner);
	gtk_container_add(GTK_CONTAINER(box), item->widget);
	gtk_widget_show(inner);
	gtk_widget_set_no_show_all(item->widget, TRUE);
}

static GtkWidget *popover(GtkWidget *owner, const char *title)
{
	GtkWidget *menu = ui_menu(owner), *box = gtk_bin_get_child(GTK_BIN(menu));
	gtk_container_set_border_width(GTK_CONTAINER(box), 12);
	gtk_box_set_spacing(GTK_BOX(box), 12);
	gtk_widget_set_size_request(box, 260, -1);
	gtk_container_add(GTK_CONTAINER(box), ui_label(title, "strong"));
	g_signal_connect_swapped(owner, "clicked", G_CALLBACK(gtk_popover_popup), menu);
	return box;
}

static void make_volume(Status *status)
{
	GtkWidget *box = popover(status->volume_item.widget, _("Sound"));
	status->volume_scale = ui_scale(_("Volume"), 0, 100, 1, 0);
	status->mute = ui_switch(_("Sound on"), TRUE);
	gtk_container_add(GTK_CONTAINER(box), status->volume_scale);
	gtk_container_add(GTK_CONTAINER(box), ui_row(_("Sound on"), NULL, status->mute));
	gtk_widget_show_all(box);
	g_signal_connect_swapped(status->volume_scale, "value-changed", G_CALLBACK(on_volume_moved), status);
	g_signal_connect_swapped(status->mute, "notify::active", G_CALLBACK(on_volume_moved), status);
	status->volume = volume_new(show_volume, status);
}

static void make_backlight(Status *status)
{
	const char *dir = g_getenv("CARREL_BACKLIGHT_DIR"); /* tests have their own */
	status->backlight = backlight_new(dir ? dir : "/sys/class/backlight", status->ui->bus, show_backlight, status);
	if (!status->backlight)
		return;
	GtkWidget *box = popover(status->backlight_item.widget, _("Brightness"));
	status->backlight_scale = ui_scale(_("Brightness"), 2, 100, 1, 100);
	gtk_container_add(GTK_CONTAINER(box), status->backlight_scale);
	gtk_widget_show_all(box);
	g_signal_connect_swapped(status->backlight_scale, "value-changed", G_CALLBACK(on_backlight_moved), status);
	show_backlight(status);
}

static void on_destroy(GtkWidget *box, Status *status)
{
	(void)box;
	g_cancellable_cancel(status->cancellable);
	g_clear_object(&status->cancellable);
	if (status->network)
		g_signal_handlers_disconnect_by_data(status->network, status);
	if (status->battery)
		g_signal_handlers_disconnect_by_data(status->battery, status);
	g_clear_object(&status->network);
	g_clear_object(&status->battery);
	g_clear_object(&status->connection);
	g_clear_pointer(&status->connection_path, g_free);
	g_clear_pointer(&status->volume, volume_free);
	g_clear_pointer(&status->backlight, backlight_free);
}

GtkWidget *status_new(Ui *ui, gboolean compact)
{
	Status *status = g_new0(Status, 1);
	status->ui = ui;
	status->cancellable = g_cancellable_new();
	status->box = ui_box(GTK_ORIENTATION_HORIZONTAL, 2, "tray status-tray");
	g_object_set_data_full(G_OBJECT(status->box), "carrel-status", status, g_free);
	g_signal_connect(status->box, "destroy", G_CALLBACK(on_destroy), status);
	item_init(&status->network_item, status->box, FALSE);
	item_init(&status->volume_item, status->box, TRUE);
	item_init(&status->backlight_item, status->box, TRUE);
	item_init(&status->battery_item, status->box, FALSE);
	gtk_widget_set_opacity(status->box, 0);
	if (!compact) {
		make_volume(status);
		make_backlight(status);
	}
	if (!ui->bus)
		return status->box;
	g_dbus_proxy_new(ui->bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, NULL, "org.freedesktop.UPower",
		"/org/freedesktop/UPower/devices/DisplayDevice", "org.freedesktop.UPower.Device", status->cancellable, on_battery, status);
	g_dbus_proxy_new(ui->bus, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, NULL, "org.freedesktop.NetworkManager",
		"/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager", status->cancellable, on_network, status);
	return status->box;
}
