/* SPDX-License-Identifier: Apache-2.0 */
/* The page that everything starts from: clock, state of the machine, a card a VM. */
#include "ui.h"

#include "format.h"
#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

#define CARD_WIDTH  360
#define CARD_HEIGHT 360
#define COLUMNS_MAX 4

typedef struct {
	Ui *ui;
	GtkWidget *page, *clock, *date, *flow, *body, *new_card, *new_button, *lock_button, *power_button;
	GtkWidget *message_icon, *message_title, *message_text, *message_button;
} Home;

static Home *home_of(GtkWidget *page)
{
	return g_object_get_data(G_OBJECT(page), "carrel-home");
}

static void on_minute(GtkWidget *page)
{
	Home *home = home_of(page);
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *clock = format_clock(now);
	g_autofree char *date = format_date(now);
	ui_set_text(home->clock, clock);
	ui_set_text(home->date, date);
}

/* ---- cards ---- */

/* The card of a VM, taken off the list, or NULL. */
static GtkWidget *take_card(GHashTable *cards, CarrelVm1 *vm)
{
	GtkWidget *card = g_hash_table_lookup(cards, vm);
	g_hash_table_remove(cards, vm);
	return card;
}

static GHashTable *cards_by_vm(Home *home)
{
	GHashTable *cards = g_hash_table_new(NULL, NULL);
	g_autoptr(GList) children = gtk_container_get_children(GTK_CONTAINER(home->flow));
	for (GList *l = children; l; l = l->next)
		if (card_vm(l->data))
			g_hash_table_insert(cards, card_vm(l->data), l->data);
	return cards;
}

static void place_card(Home *home, GtkWidget *card, CarrelVm1 *vm, int at)
{
	if (!card)
		gtk_flow_box_insert(GTK_FLOW_BOX(home->flow), card = card_new(home->ui, vm), at);
	if (gtk_flow_box_child_get_index(GTK_FLOW_BOX_CHILD(card)) != at) {
		g_object_ref(card);
		gtk_container_remove(GTK_CONTAINER(home->flow), card);
		gtk_flow_box_insert(GTK_FLOW_BOX(home->flow), card, at);
		g_object_unref(card);
	}
	card_set_number(card, at < 9 ? (guint)at + 1 : 0);
}

/* Cards of VMs that are still there stay, with whatever has the keyboard in them. */
static void show_cards(Home *home, GPtrArray *vms)
{
	g_autoptr(GHashTable) cards = cards_by_vm(home);
	GHashTableIter iter;
	gpointer gone;
	g_autoptr(GPtrArray) kept = g_ptr_array_new();
	for (guint i = 0; i < vms->len; i++)
		g_ptr_array_add(kept, take_card(cards, vms->pdata[i]));
	g_hash_table_iter_init(&iter, cards);
	while (g_hash_table_iter_next(&iter, NULL, &gone))
		gtk_widget_destroy(gone);
	for (guint i = 0; i < vms->len; i++)
		place_card(home, kept->pdata[i], vms->pdata[i], (int)i);
	guint n = vms->len + 1, rows = (n + COLUMNS_MAX - 1) / COLUMNS_MAX; /* rows of about the same length */
	gtk_flow_box_set_max_children_per_line(GTK_FLOW_BOX(home->flow), (n + rows - 1) / rows);
}

static void show_message(Home *home, const char *icon, const char *title, const char *text, gboolean can_make)
{
	icon_set(home->message_icon, icon);
	ui_set_text(home->message_title, title);
	ui_set_text(home->message_text, text);
	gtk_widget_set_visible(home->message_button, can_make);
}

static void refresh(Home *home)
{
	UiModel *model = home->ui->model;
	g_autoptr(GPtrArray) vms = ui_model_vms(model, FALSE);
	ModelState state = ui_model_state(model);
	ui_desk_sort(home->ui->desk, vms);
	show_cards(home, vms);
	if (state == MODEL_ABSENT)
		show_message(home, "warning", _("The manager is not running"),
			_("Your desktops go on as they are. The manager is started again by itself; this page fills when it is back."), FALSE);
	else if (state == MODEL_LOADING)
		show_message(home, "snapshot", _("Asking the manager"),
			_("It is there, but has not answered yet. It may be busy; this page fills as soon as it does."), FALSE);
	else
		show_message(home, "screen", _("No desktops yet"),
			_("A desktop is a computer of its own inside this one, with its own files, programs and network."), TRUE);
	gtk_stack_set_visible_child_name(GTK_STACK(home->body), vms->len && state == MODEL_READY ? "cards" : "message");
	gtk_widget_set_sensitive(home->new_button, state == MODEL_READY);
}

static void on_state(Home *home)
{
	gboolean ready = ui_model_state(home->ui->model) == MODEL_READY;
	refresh(home);
	if (ready && !home->ui->sheets && gtk_widget_get_mapped(home->page))
		home_focus(home->page);
}

static void on_desk(Home *home)
{
	gtk_widget_set_sensitive(home->lock_button, ui_desk_present(home->ui->desk));
	refresh(home); /* the hotkeys' order may be another */
}

static void open_new(Home *home)
{
	if (ui_model_state(home->ui->model) == MODEL_READY)
		new_vm_sheet(home->ui);
}

static void open_machine(Home *home)
{
	machine_sheet(home->ui);
}

static void open_power(Home *home)
{
	power_sheet(home->ui);
}

static void lock(Home *home)
{
	ui_desk_lock(home->ui->desk);
}

static void on_activated(GtkFlowBox *flow, GtkFlowBoxChild *child, Home *home)
{
	(void)flow;
	CarrelVm1 *vm = card_vm(GTK_WIDGET(child));
	if (vm)
		vm_open(home->ui, vm);
	else
		open_new(home);
}

/* ---- keys ---- */

GtkWidget *home_first(GtkWidget *page)
{
	Home *home = home_of(page);
	if (g_str_equal(gtk_stack_get_visible_child_name(GTK_STACK(home->body)), "message"))
		return gtk_widget_get_visible(home->message_button) ? home->message_button : home->power_button;
	return GTK_WIDGET(gtk_flow_box_get_child_at_index(GTK_FLOW_BOX(home->flow), 0));
}

void home_focus(GtkWidget *page)
{
	gtk_widget_grab_focus(home_first(page));
}

static int centre(GtkWidget *widget, GtkOrientation orientation)
{
	GtkAllocation at;
	gtk_widget_get_allocation(widget, &at);
	return orientation == GTK_ORIENTATION_HORIZONTAL ? at.x + at.width / 2 : at.y + at.height / 2;
}

/* The card of the next row that is nearest, or NULL. */
static GtkWidget *card_beside(Home *home, GtkWidget *from, int rows)
{
	g_autoptr(GList) children = gtk_container_get_children(GTK_CONTAINER(home->flow));
	GtkWidget *best = NULL;
	int x = centre(from, GTK_ORIENTATION_HORIZONTAL), y = centre(from, GTK_ORIENTATION_VERTICAL), least = G_MAXINT;
	for (GList *l = children; l; l = l->next) {
		int dx = ABS(centre(l->data, GTK_ORIENTATION_HORIZONTAL) - x), dy = (centre(l->data, GTK_ORIENTATION_VERTICAL) - y) * rows;
		if (dy <= CARD_HEIGHT / 2 || dx + 8 * dy >= least)
			continue;
		least = dx + 8 * dy;
		best = l->data;
	}
	return best;
}

/* The flow box's own arrow keys go nowhere unless a card was clicked before. */
static gboolean move(Home *home, int columns, int rows)
{
	GtkWidget *window = gtk_widget_get_toplevel(home->page), *to;
	GtkWidget *from = GTK_IS_WINDOW(window) ? gtk_window_get_focus(GTK_WINDOW(window)) : NULL;
	if (!from || !GTK_IS_FLOW_BOX_CHILD(from))
		return FALSE;
	int at = gtk_flow_box_child_get_index(GTK_FLOW_BOX_CHILD(from)) + columns;
	to = rows ? card_beside(home, from, rows) : at < 0 ? NULL
		: (GtkWidget *)gtk_flow_box_get_child_at_index(GTK_FLOW_BOX(home->flow), at);
	if (to)
		gtk_widget_grab_focus(to);
	return to != NULL;
}

static gboolean open_number(Home *home, guint number)
{
	GtkFlowBoxChild *child = gtk_flow_box_get_child_at_index(GTK_FLOW_BOX(home->flow), (int)number - 1);
	CarrelVm1 *vm = child ? card_vm(GTK_WIDGET(child)) : NULL;
	if (!vm || ui_model_state(home->ui->model) != MODEL_READY)
		return FALSE;
	gtk_widget_grab_focus(GTK_WIDGET(child));
	vm_open(home->ui, vm);
	return TRUE;
}

static gboolean open_focused_menu(Home *home)
{
	GtkWidget *window = gtk_widget_get_toplevel(home->page);
	GtkWidget *focus = GTK_IS_WINDOW(window) ? gtk_window_get_focus(GTK_WINDOW(window)) : NULL;
	GtkWidget *child = focus ? gtk_widget_get_ancestor(focus, GTK_TYPE_FLOW_BOX_CHILD) : NULL;
	if (!child || !card_vm(child))
		return FALSE;
	card_menu(child);
	return TRUE;
}

gboolean home_key(GtkWidget *page, guint key, GdkModifierType state)
{
	Home *home = home_of(page);
	if (state & (GDK_CONTROL_MASK | GDK_MOD1_MASK | GDK_SUPER_MASK))
		return FALSE;
	if (key >= GDK_KEY_1 && key <= GDK_KEY_9)
		return open_number(home, key - GDK_KEY_0);
	if (key >= GDK_KEY_KP_1 && key <= GDK_KEY_KP_9)
		return open_number(home, key - GDK_KEY_KP_0);
	switch (gdk_keyval_to_lower(key)) {
	case GDK_KEY_Left:
		return move(home, -1, 0);
	case GDK_KEY_Right:
		return move(home, 1, 0);
	case GDK_KEY_Up:
		return move(home, 0, -1);
	case GDK_KEY_Down:
		return move(home, 0, 1);
	case GDK_KEY_n:
		open_new(home);
		return TRUE;
	case GDK_KEY_l:
		lock(home);
		return TRUE;
	case GDK_KEY_p:
		open_power(home);
		return TRUE;
	case GDK_KEY_s:
		open_machine(home);
		return TRUE;
	case GDK_KEY_Menu:
	case GDK_KEY_F10:
		return open_focused_menu(home);
	default:
		return FALSE;
	}
}

/* ---- making it ---- */

static GtkWidget *tool(Home *home, const char *icon, const char *name, void (*clicked)(Home *home))
{
	GtkWidget *button = ui_icon_button(icon, name, "bare");
	g_signal_connect_swapped(button, "clicked", G_CALLBACK(clicked), home);
	return button;
}

static GtkWidget *head(Home *home)
{
	GtkWidget *line = ui_box(GTK_ORIENTATION_HORIZONTAL, 16, "home-head");
	GtkWidget *time = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2), *tools = ui_box(GTK_ORIENTATION_HORIZONTAL, 2, "tray");
	home->clock = gtk_label_new("");
	home->date = gtk_label_new("");
	ui_class(home->clock, "clock");
	ui_class(home->date, "date");
	gtk_label_set_xalign(GTK_LABEL(home->clock), 0);
	gtk_label_set_xalign(GTK_LABEL(home->date), 0);
	gtk_container_add(GTK_CONTAINER(time), home->clock);
	gtk_container_add(GTK_CONTAINER(time), home->date);
	gtk_box_pack_start(GTK_BOX(line), time, TRUE, TRUE, 0);
	home->power_button = tool(home, "power", _("Power"), open_power);
	home->lock_button = tool(home, "lock", _("Lock the screen"), lock);
	home->new_button = tool(home, "plus", _("New desktop"), open_new);
	gtk_container_add(GTK_CONTAINER(tools), home->new_button);
	gtk_container_add(GTK_CONTAINER(tools), tool(home, "gear", _("Settings of this machine"), open_machine));
	gtk_container_add(GTK_CONTAINER(tools), home->lock_button);
	gtk_container_add(GTK_CONTAINER(tools), home->power_button);
	gtk_widget_set_valign(tools, GTK_ALIGN_START);
	gtk_box_pack_end(GTK_BOX(line), tools, FALSE, FALSE, 0);
	GtkWidget *status = status_new(home->ui, FALSE);
	gtk_widget_set_valign(status, GTK_ALIGN_START);
	gtk_box_pack_end(GTK_BOX(line), status, FALSE, FALSE, 0);
	g_autoptr(GtkSizeGroup) heights = gtk_size_group_new(GTK_SIZE_GROUP_VERTICAL); /* beside one another, they are as high */
	gtk_size_group_add_widget(heights, tools);
	gtk_size_group_add_widget(heights, status);
	return line;
}

static GtkWidget *new_card(void)
{
	GtkWidget *child = gtk_flow_box_child_new(), *box = ui_box(GTK_ORIENTATION_VERTICAL, 12, "new-card");
	GtkWidget *inner = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);
	gtk_widget_set_valign(inner, GTK_ALIGN_CENTER);
	gtk_container_add(GTK_CONTAINER(inner), icon_new("plus", 36));
	gtk_container_add(GTK_CONTAINER(inner), gtk_label_new(_("New desktop")));
	gtk_box_pack_start(GTK_BOX(box), inner, TRUE, TRUE, 0);
	gtk_widget_set_size_request(box, CARD_WIDTH, CARD_HEIGHT);
	gtk_container_add(GTK_CONTAINER(child), box);
	gtk_widget_set_halign(child, GTK_ALIGN_CENTER);
	ui_name(child, _("New desktop"));
	return child;
}

static GtkWidget *cards_page(Home *home)
{
	home->flow = gtk_flow_box_new();
	GtkFlowBox *flow = GTK_FLOW_BOX(home->flow);
	gtk_flow_box_set_selection_mode(flow, GTK_SELECTION_NONE);
	gtk_flow_box_set_homogeneous(flow, TRUE);
	gtk_flow_box_set_min_children_per_line(flow, 1);
	gtk_widget_set_halign(home->flow, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(home->flow, GTK_ALIGN_CENTER);
	ui_name(home->flow, _("Desktops"));
	home->new_card = new_card();
	gtk_container_add(GTK_CONTAINER(home->flow), home->new_card);
	g_signal_connect(home->flow, "child-activated", G_CALLBACK(on_activated), home);
	return ui_scroller(home->flow);
}

static GtkWidget *message_page(Home *home)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 16), *badge = ui_box(GTK_ORIENTATION_HORIZONTAL, 0, "message-badge");
	gtk_widget_set_halign(box, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	home->message_icon = icon_new("screen", 44);
	gtk_container_add(GTK_CONTAINER(badge), home->message_icon);
	gtk_widget_set_halign(badge, GTK_ALIGN_CENTER);
	home->message_title = gtk_label_new("");
	home->message_text = ui_paragraph("", "dim");
	home->message_button = ui_button("plus", _("New desktop"), "primary");
	gtk_label_set_xalign(GTK_LABEL(home->message_text), 0.5);
	gtk_label_set_justify(GTK_LABEL(home->message_text), GTK_JUSTIFY_CENTER);
	gtk_widget_set_halign(home->message_button, GTK_ALIGN_CENTER);
	gtk_widget_set_no_show_all(home->message_button, TRUE);
	gtk_widget_show_all(gtk_bin_get_child(GTK_BIN(home->message_button)));
	ui_class(home->message_title, "message-title");
	g_signal_connect_swapped(home->message_button, "clicked", G_CALLBACK(open_new), home);
	gtk_container_add(GTK_CONTAINER(box), badge);
	gtk_container_add(GTK_CONTAINER(box), home->message_title);
	gtk_container_add(GTK_CONTAINER(box), home->message_text);
	gtk_container_add(GTK_CONTAINER(box), home->message_button);
	return box;
}

static void add_hint(GtkWidget *line, const char *key, const char *text)
{
	GtkWidget *hint = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *label = gtk_label_new(key);
	ui_class(label, "key");
	gtk_container_add(GTK_CONTAINER(hint), label);
	gtk_container_add(GTK_CONTAINER(hint), gtk_label_new(text));
	gtk_container_add(GTK_CONTAINER(line), hint);
}

static GtkWidget *hints(void)
{
	GtkWidget *line = ui_box(GTK_ORIENTATION_HORIZONTAL, 28, "hints");
	gtk_widget_set_halign(line, GTK_ALIGN_CENTER);
	add_hint(line, "1 – 9", _("open a desktop"));
	add_hint(line, "F10", _("what can be done with it"));
	add_hint(line, "N", _("new desktop"));
	add_hint(line, "Ctrl Alt 0", _("back here, from anywhere"));
	return line;
}

static void on_destroy(GtkWidget *page, Home *home)
{
	(void)page;
	g_signal_handlers_disconnect_by_data(home->ui->model, home);
	g_signal_handlers_disconnect_by_data(home->ui->desk, home);
}

GtkWidget *home_new(Ui *ui)
{
	Home *home = g_new0(Home, 1);
	home->ui = ui;
	home->page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
	g_object_set_data_full(G_OBJECT(home->page), "carrel-home", home, g_free);
	home->body = gtk_stack_new();
	gtk_stack_add_named(GTK_STACK(home->body), cards_page(home), "cards");
	gtk_stack_add_named(GTK_STACK(home->body), message_page(home), "message");
	gtk_box_pack_start(GTK_BOX(home->page), head(home), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(home->page), home->body, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(home->page), hints(), FALSE, FALSE, 0);
	gtk_widget_show_all(home->page);
	g_signal_connect_swapped(ui->model, "state", G_CALLBACK(on_state), home);
	g_signal_connect_swapped(ui->model, "vms", G_CALLBACK(refresh), home);
	g_signal_connect_swapped(ui->desk, "changed", G_CALLBACK(on_desk), home);
	g_signal_connect(home->page, "destroy", G_CALLBACK(on_destroy), home);
	on_minute(home->page);
	on_desk(home);
	ui_every_minute(ui, home->page, on_minute);
	return home->page;
}
