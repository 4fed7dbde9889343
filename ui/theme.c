/* SPDX-License-Identifier: Apache-2.0 */
/* Colours are of the theme (style/light.css, style/dark.css), everything else is style/style.css. */
#include "ui.h"

#include "icon.h"
#include "widgets.h"

#include <glib/gi18n.h>

#define DAY_BEGINS 7
#define DAY_ENDS   19

static gboolean wants_dark(Theme theme)
{
	if (theme != THEME_AUTO)
		return theme == THEME_DARK;
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	int hour = g_date_time_get_hour(now);
	return hour < DAY_BEGINS || hour >= DAY_ENDS;
}

static void append_resource(GString *css, const char *path)
{
	g_autoptr(GBytes) bytes = g_resources_lookup_data(path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
	if (bytes)
		g_string_append_len(css, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
}

void theme_apply(Ui *ui)
{
	gboolean dark = wants_dark(config_theme(ui->config));
	if (ui->css && dark == ui->dark)
		return;
	g_autoptr(GString) css = g_string_new(NULL);
	append_resource(css, dark ? "/org/carrel/ui/style/dark.css" : "/org/carrel/ui/style/light.css");
	append_resource(css, "/org/carrel/ui/style/style.css");
	if (!ui->css) {
		ui->css = gtk_css_provider_new();
		gtk_style_context_add_provider_for_screen(gdk_screen_get_default(), GTK_STYLE_PROVIDER(ui->css),
			GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
	}
	g_autoptr(GError) error = NULL;
	if (!gtk_css_provider_load_from_data(ui->css, css->str, (gssize)css->len, &error))
		g_warning("style: %s", error->message);
	ui->dark = dark;
}

GtkWidget *splash_new(void)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 28);
	GtkWidget *mark = icon_new("carrel", 96), *name = gtk_label_new("Carrel"), *what = gtk_label_new(_("Finding your desktops"));
	gtk_widget_set_halign(box, GTK_ALIGN_CENTER);
	gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
	ui_class(mark, "mark");
	ui_class(name, "splash-name");
	ui_class(what, "dim");
	gtk_container_add(GTK_CONTAINER(box), mark);
	gtk_container_add(GTK_CONTAINER(box), name);
	gtk_container_add(GTK_CONTAINER(box), what);
	return box;
}
