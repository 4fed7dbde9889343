/* SPDX-License-Identifier: Apache-2.0 */
#include "backlight.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <math.h>
#include <unistd.h>

#define LEAST 0.02

struct Backlight {
	char *name, *dir;
	guint64 max;
	int fd;
	guint source;
	GDBusConnection *bus;
	void (*changed)(gpointer data);
	gpointer data;
};

static gboolean read_number(const char *dir, const char *file, guint64 *value)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	g_autofree char *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) &&
		g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT32, value, NULL);
}

/* The kernel wakes whoever polls actual_brightness once it was read. */
static gboolean on_event(int fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	Backlight *backlight = data;
	char text[32];
	if (lseek(fd, 0, SEEK_SET) < 0 || read(fd, text, sizeof(text)) < 0) {
		backlight->source = 0;
		return G_SOURCE_REMOVE;
	}
	backlight->changed(backlight->data);
	return G_SOURCE_CONTINUE;
}

static void watch(Backlight *backlight)
{
	g_autofree char *path = g_build_filename(backlight->dir, "actual_brightness", NULL);
	char text[32];
	backlight->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (backlight->fd >= 0 && read(backlight->fd, text, sizeof(text)) >= 0)
		backlight->source = g_unix_fd_add(backlight->fd, G_IO_PRI, on_event, backlight);
}

Backlight *backlight_new(const char *dir, GDBusConnection *bus, void (*changed)(gpointer data), gpointer data)
{
	g_autoptr(GDir) panels = g_dir_open(dir, 0, NULL);
	const char *name;
	while (panels && (name = g_dir_read_name(panels))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		guint64 max = 0;
		if (!read_number(path, "max_brightness", &max) || max == 0)
			continue;
		Backlight *backlight = g_new0(Backlight, 1);
		backlight->name = g_strdup(name);
		backlight->dir = g_steal_pointer(&path);
		backlight->max = max;
		backlight->bus = bus ? g_object_ref(bus) : NULL;
		backlight->changed = changed;
		backlight->data = data;
		watch(backlight);
		return backlight;
	}
	return NULL;
}

double backlight_get(Backlight *backlight)
{
	guint64 value = 0;
	read_number(backlight->dir, "brightness", &value);
	return MIN((double)value / (double)backlight->max, 1);
}

void backlight_set(Backlight *backlight, double level)
{
	guint32 value = (guint32)lround(CLAMP(level, LEAST, 1) * (double)backlight->max);
	if (!backlight->bus)
		return;
	g_dbus_connection_call(backlight->bus, "org.freedesktop.login1", "/org/freedesktop/login1/session/auto",
		"org.freedesktop.login1.Session", "SetBrightness", g_variant_new("(ssu)", "backlight", backlight->name, MAX(value, 1)),
		NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL, NULL);
}

void backlight_free(Backlight *backlight)
{
	if (!backlight)
		return;
	g_clear_handle_id(&backlight->source, g_source_remove);
	if (backlight->fd >= 0)
		close(backlight->fd);
	g_clear_object(&backlight->bus);
	g_free(backlight->name);
	g_free(backlight->dir);
	g_free(backlight);
}
