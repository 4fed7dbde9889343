/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include "carrel-desk.h"
#include "model.h"

#include <gio/gunixfdlist.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THUMBNAIL_MAX 4096 /* pixels a side */

struct _UiDesk {
	GObject parent;
	GCancellable *cancellable;
	CarrelDesk1 *proxy;
	GHashTable *thumbnails; /* name: Picture */
	GHashTable *asked;      /* name: Question, borrowed */
};

G_DEFINE_FINAL_TYPE(UiDesk, ui_desk, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_THUMBNAIL, SIGNAL_NOTICE, N_SIGNALS };
static guint signals[N_SIGNALS];

typedef struct {
	cairo_surface_t *pixels; /* NULL: it is of one colour, which shows nothing */
	guint64 serial;          /* the compositor's number for it */
	guint width, height;     /* that were asked for */
} Picture;

typedef struct {
	UiDesk *desk;
	char *vm;
	guint width, height; /* of a picture */
} Question;

static void picture_free(Picture *picture)
{
	g_clear_pointer(&picture->pixels, cairo_surface_destroy);
	g_free(picture);
}

static Question *question_new(UiDesk *desk, const char *vm)
{
	Question *question = g_new0(Question, 1);
	question->desk = g_object_ref(desk);
	question->vm = g_strdup(vm);
	return question;
}

static void question_free(Question *question)
{
	g_object_unref(question->desk);
	g_free(question->vm);
	g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_free)

gboolean ui_desk_present(UiDesk *desk)
{
	g_autofree char *owner = desk->proxy ? g_dbus_proxy_get_name_owner(G_DBUS_PROXY(desk->proxy)) : NULL;
	return owner != NULL;
}

gboolean ui_desk_locked(UiDesk *desk)
{
	return desk->proxy && carrel_desk1_get_locked(desk->proxy);
}

const char *ui_desk_shown(UiDesk *desk)
{
	const char *shown = desk->proxy ? carrel_desk1_get_shown(desk->proxy) : NULL;
	return shown ? shown : "";
}

const char *ui_desk_view(UiDesk *desk, const char *vm)
{
	GVariant *views = desk->proxy ? carrel_desk1_get_views(desk->proxy) : NULL;
	const char *state = "none";
	if (views)
		g_variant_lookup(views, vm, "&s", &state);
	return state;
}

void ui_desk_sort(UiDesk *desk, GPtrArray *vms)
{
	const char *const *order = desk->proxy ? carrel_desk1_get_order(desk->proxy) : NULL;
	guint place = 0;
	for (; order && *order; order++) {
		guint i = place;
		while (i < vms->len && g_strcmp0(carrel_vm1_get_name(vms->pdata[i]), *order) != 0)
			i++;
		if (i < vms->len)
			g_ptr_array_insert(vms, (int)place++, g_ptr_array_steal_index(vms, i));
	}
}

static void notice(UiDesk *desk, const char *severity, const char *vm, const char *text)
{
	g_signal_emit(desk, signals[SIGNAL_NOTICE], 0, severity, vm, text);
}

static void on_called(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(Question) question = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(source), result, &error);
	if (reply || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	g_autofree char *text = error_text(error);
	notice(question->desk, "error", question->vm, text);
}

static void call(UiDesk *desk, const char *method, const char *vm)
{
	if (!ui_desk_present(desk)) {
		notice(desk, "error", vm ? vm : "", _("The compositor does not answer. It is started again by itself; try again in a moment."));
		return;
	}
	g_dbus_proxy_call(G_DBUS_PROXY(desk->proxy), method, vm ? g_variant_new("(s)", vm) : NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START,
		-1, desk->cancellable, on_called, question_new(desk, vm ? vm : ""));
}

void ui_desk_show(UiDesk *desk, const char *vm)
{
	call(desk, "Show", vm);
}

void ui_desk_lock(UiDesk *desk)
{
	call(desk, "Lock", NULL);
}

void ui_desk_unlock(UiDesk *desk)
{
	call(desk, "Unlock", NULL);
}

void ui_desk_restart_view(UiDesk *desk, const char *vm)
{
	call(desk, "RestartView", vm);
}

/* ---- pictures ---- */

cairo_surface_t *ui_desk_thumbnail(UiDesk *desk, const char *vm)
{
	const Picture *picture = g_hash_table_lookup(desk->thumbnails, vm);
	return picture ? picture->pixels : NULL;
}

void ui_desk_forget_thumbnail(UiDesk *desk, const char *vm)
{
	g_hash_table_remove(desk->thumbnails, vm);
	g_hash_table_remove(desk->asked, vm); /* what is under way is of before */
}

/* Copies the rows out of the file by reading: a file that shrinks meanwhile is a short read, not a signal. */
static cairo_surface_t *read_pixels(int fd, guint width, guint height, guint stride)
{
	struct stat st;
	if (!width || !height || width > THUMBNAIL_MAX || height > THUMBNAIL_MAX || stride < width * 4 ||
		stride > THUMBNAIL_MAX * 8 || fstat(fd, &st) || (guint64)st.st_size < (guint64)stride * (height - 1) + width * 4)
		return NULL;
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
	guint8 *pixels = cairo_image_surface_get_data(surface);
	gsize row = (gsize)cairo_image_surface_get_stride(surface);
	cairo_surface_flush(surface);
	for (guint y = 0; pixels && y < height; y++) {
		if (pread(fd, pixels + y * row, width * 4, (off_t)y * stride) == (ssize_t)(width * 4))
			continue;
		cairo_surface_destroy(surface);
		return NULL;
	}
	cairo_surface_mark_dirty(surface);
	return surface;
}

static const guint8 *row_of(cairo_surface_t *surface, int y)
{
	return cairo_image_surface_get_data(surface) + (gsize)y * (gsize)cairo_image_surface_get_stride(surface);
}

/* Of one colour: the guest has drawn nothing yet, or its screen is off. */
static gboolean is_plain(cairo_surface_t *surface)
{
	int width = cairo_image_surface_get_width(surface);
	guint32 first = *(const guint32 *)(gconstpointer)row_of(surface, 0);
	for (int y = 0; y < cairo_image_surface_get_height(surface); y++) {
		const guint32 *row = (gconstpointer)row_of(surface, y);
		for (int x = 0; x < width; x++)
			if ((row[x] ^ first) & 0xffffff)
				return FALSE;
	}
	return TRUE;
}

/* What changed in the VM may be too small to be seen in a picture of this size. */
static gboolean is_equal(cairo_surface_t *a, cairo_surface_t *b)
{
	int width = a ? cairo_image_surface_get_width(a) : 0, height = a ? cairo_image_surface_get_height(a) : 0;
	if (!a || !b)
		return a == b;
	if (cairo_image_surface_get_width(b) != width || cairo_image_surface_get_height(b) != height)
		return FALSE;
	for (int y = 0; y < height; y++)
		if (memcmp(row_of(a, y), row_of(b, y), (gsize)width * 4) != 0)
			return FALSE;
	return TRUE;
}

/* pixels may be NULL; it is taken over. */
static void keep_picture(const Question *question, cairo_surface_t *pixels, guint64 serial)
{
	UiDesk *desk = question->desk;
	const Picture *before = g_hash_table_lookup(desk->thumbnails, question->vm);
	gboolean same = is_equal(before ? before->pixels : NULL, pixels);
	Picture *picture = g_new0(Picture, 1);
	*picture = (Picture){pixels, serial, question->width, question->height};
	g_hash_table_replace(desk->thumbnails, g_strdup(question->vm), picture);
	if (!same)
		g_signal_emit(desk, signals[SIGNAL_THUMBNAIL], 0, question->vm);
}

static void on_thumbnail(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(Question) question = data;
	UiDesk *desk = question->desk;
	g_autoptr(GUnixFDList) fds = NULL;
	g_autoptr(GVariant) handle = NULL;
	guint width = 0, height = 0, stride = 0;
	guint64 serial = 0;
	gboolean answered = carrel_desk1_call_thumbnail_finish(CARREL_DESK1(source), &handle, &width, &height, &stride, &serial,
		&fds, result, NULL);
	gboolean wanted = desk->asked && g_hash_table_lookup(desk->asked, question->vm) == question;
	if (wanted)
		g_hash_table_remove(desk->asked, question->vm);
	if (!wanted || !answered || !fds)
		return; /* nothing to show yet, or nothing new: what there is stays */
	int fd = g_unix_fd_list_get(fds, g_variant_get_handle(handle), NULL);
	if (fd < 0)
		return;
	cairo_surface_t *surface = read_pixels(fd, width, height, stride);
	close(fd);
	if (!surface)
		return;
	if (is_plain(surface))
		g_clear_pointer(&surface, cairo_surface_destroy);
	keep_picture(question, surface, serial);
}

void ui_desk_ask_thumbnail(UiDesk *desk, const char *vm, int width, int height)
{
	if (!ui_desk_present(desk) || g_hash_table_contains(desk->asked, vm))
		return;
	const Picture *picture = g_hash_table_lookup(desk->thumbnails, vm);
	Question *question = question_new(desk, vm);
	question->width = (guint)width;
	question->height = (guint)height;
	g_hash_table_insert(desk->asked, g_strdup(vm), question);
	gboolean fits = picture && picture->width == question->width && picture->height == question->height;
	carrel_desk1_call_thumbnail(desk->proxy, vm, question->width, question->height, fits ? picture->serial : 0, NULL,
		desk->cancellable, on_thumbnail, question);
}

/* ---- it comes and goes ---- */

static void on_changed(UiDesk *desk)
{
	g_signal_emit(desk, signals[SIGNAL_CHANGED], 0);
}

static void on_desk_notice(CarrelDesk1 *proxy, const char *severity, const char *vm, const char *text, UiDesk *desk)
{
	(void)proxy;
	notice(desk, severity, vm, text);
}

static void on_proxy(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	g_autoptr(UiDesk) desk = data;
	g_autoptr(GError) error = NULL;
	CarrelDesk1 *proxy = carrel_desk1_proxy_new_finish(result, &error);
	if (!proxy)
		return;
	desk->proxy = proxy;
	g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(proxy), 10000);
	g_signal_connect_object(proxy, "g-properties-changed", G_CALLBACK(on_changed), desk, G_CONNECT_SWAPPED | G_CONNECT_AFTER);
	g_signal_connect_object(proxy, "notify::g-name-owner", G_CALLBACK(on_changed), desk, G_CONNECT_SWAPPED);
	g_signal_connect_object(proxy, "notice", G_CALLBACK(on_desk_notice), desk, 0);
	on_changed(desk);
}

UiDesk *ui_desk_new(GDBusConnection *connection)
{
	UiDesk *desk = g_object_new(UI_TYPE_DESK, NULL);
	if (connection)
		carrel_desk1_proxy_new(connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, "org.carrel.Desk", "/org/carrel/desk",
			desk->cancellable, on_proxy, g_object_ref(desk));
	return desk;
}

static void ui_desk_dispose(GObject *object)
{
	UiDesk *desk = UI_DESK(object);
	g_cancellable_cancel(desk->cancellable);
	g_clear_object(&desk->cancellable);
	g_clear_object(&desk->proxy);
	g_clear_pointer(&desk->thumbnails, g_hash_table_unref);
	g_clear_pointer(&desk->asked, g_hash_table_unref);
	G_OBJECT_CLASS(ui_desk_parent_class)->dispose(object);
}

static void ui_desk_class_init(UiDeskClass *class)
{
	G_OBJECT_CLASS(class)->dispose = ui_desk_dispose;
	GType type = G_TYPE_FROM_CLASS(class);
	signals[SIGNAL_CHANGED] = g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
	signals[SIGNAL_THUMBNAIL] = g_signal_new("thumbnail", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
		G_TYPE_STRING);
	signals[SIGNAL_NOTICE] = g_signal_new("notice", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
		G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
}

static void ui_desk_init(UiDesk *desk)
{
	desk->cancellable = g_cancellable_new();
	desk->thumbnails = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)picture_free);
	desk->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}
