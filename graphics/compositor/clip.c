/* SPDX-License-Identifier: Apache-2.0 */
/* Text from one VM to another: taken by the hotkey over the one, handed over by the hotkey over the other, once. Views do not
 * see each other and have no clipboard in common; the compositor holds the text between the two presses. */
#include "desk.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "carrel-view-v1-protocol.h"

#define MOST_TEXT (64 * 1024)
#define TAKE_WITHIN 5000    /* milliseconds */
#define HOLD_FOR 60         /* seconds */

struct Clip {
	Desk *desk;
	struct wl_global *global;
	char *text; /* NULL: nothing is held */
	char *from, *from_title; /* whose it is, by name: the VM may be gone by then */
	Vm *asked; /* while its view writes */
	GByteArray *bytes;
	int fd;
	guint reading, deadline, forget;
};

static void drop_text(Clip *clip)
{
	if (clip->text)
		explicit_bzero(clip->text, strlen(clip->text));
	g_clear_pointer(&clip->text, g_free);
	g_clear_pointer(&clip->from, g_free);
	g_clear_pointer(&clip->from_title, g_free);
	g_clear_handle_id(&clip->forget, g_source_remove);
}

static void stop_reading(Clip *clip)
{
	g_clear_handle_id(&clip->reading, g_source_remove);
	g_clear_handle_id(&clip->deadline, g_source_remove);
	if (clip->fd >= 0)
		close(clip->fd);
	clip->fd = -1;
	if (clip->bytes && clip->bytes->len)
		explicit_bzero(clip->bytes->data, clip->bytes->len);
	g_clear_pointer(&clip->bytes, g_byte_array_unref);
	clip->asked = NULL;
}

static gboolean on_forget(gpointer data)
{
	Clip *clip = data;

	clip->forget = 0;
	drop_text(clip);
	return G_SOURCE_REMOVE;
}

static void say(Clip *clip, Vm *vm, const char *format, const char *title, const char *other)
{
	g_autofree char *keys = chord_to_text(&clip->desk->config->chords[ACTION_CLIPBOARD]);
	g_autoptr(GString) text = g_string_new(format);

	g_string_replace(text, "%1", title, 0);
	g_string_replace(text, "%2", other, 0);
	g_string_replace(text, "%k", keys, 0);
	desk_notice(clip->desk, "info", vm, text->str);
}

static void finish(Clip *clip)
{
	Vm *vm = clip->asked;
	const char *bytes = clip->bytes->len ? (const char *)clip->bytes->data : "", *end;
	gsize length;

	/* As far as it is text; a NUL or a cut character ends it. */
	g_utf8_validate(bytes, (gssize)clip->bytes->len, &end);
	length = (gsize)(end - bytes);
	if (length) {
		drop_text(clip);
		clip->text = g_strndup(bytes, length);
		clip->from = g_strdup(vm->name);
		clip->from_title = g_strdup(vm->title);
		clip->forget = g_timeout_add_seconds(HOLD_FOR, on_forget, clip);
		say(clip, vm, "Text from %1 is held for a minute: %k in another desktop hands it over, once.", vm->title, "");
	} else {
		say(clip, vm, "There is no selected text in %1.", vm->title, "");
	}
	stop_reading(clip);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
	Clip *clip = data;
	guint8 chunk[4096];
	gssize got = read(fd, chunk, MIN(sizeof(chunk), MOST_TEXT - clip->bytes->len));

	(void)condition;
	if (got > 0) {
		g_byte_array_append(clip->bytes, chunk, (guint)got);
		explicit_bzero(chunk, sizeof(chunk));
		if (clip->bytes->len < MOST_TEXT)
			return G_SOURCE_CONTINUE;
	} else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return G_SOURCE_CONTINUE;
	}
	clip->reading = 0;
	finish(clip);
	return G_SOURCE_REMOVE;
}

static gboolean on_deadline(gpointer data)
{
	Clip *clip = data;

	clip->deadline = 0;
	say(clip, clip->asked, "%1 did not hand its text over in time.", clip->asked->title, "");
	stop_reading(clip);
	return G_SOURCE_REMOVE;
}

static void take(Clip *clip, Vm *vm)
{
	int ends[2];

	stop_reading(clip);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	carrel_view_v1_send_take_text(vm->extras, ends[1]);
	close(ends[1]); /* libwayland made its own copy */
	clip->fd = ends[0];
	clip->asked = vm;
	clip->bytes = g_byte_array_new();
	clip->reading = g_unix_fd_add(clip->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, clip);
	clip->deadline = g_timeout_add(TAKE_WITHIN, on_deadline, clip);
}

static void give(Clip *clip, Vm *vm)
{
	int fd = memfd_create("carrel-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	gssize length = (gssize)strlen(clip->text);

	if (fd < 0 || write(fd, clip->text, (gsize)length) != length || lseek(fd, 0, SEEK_SET) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		desk_notice(clip->desk, "error", vm, "The text could not be handed over: there is no memory for it.");
	} else {
		carrel_view_v1_send_give_text(vm->extras, fd);
		say(clip, vm, "Text from %2 was handed to %1.", vm->title, clip->from_title);
		drop_text(clip);
	}
	if (fd >= 0)
		close(fd);
}

void clip_carry(Clip *clip)
{
	Vm *vm = clip->desk->shown;

	if (!vm || vm->view != VIEW_LIVE)
		return;
	if (!vm->extras || !vm->clipboard)
		say(clip, vm, "%1 has no clipboard that text could be carried from or to.", vm->title, "");
	else if (clip->text && strcmp(clip->from, vm->name) != 0)
		give(clip, vm);
	else
		take(clip, vm);
}

void clip_vm_gone(Clip *clip, Vm *vm)
{
	if (clip && clip->asked == vm)
		stop_reading(clip);
}

static void on_destroy(struct wl_client *client, struct wl_resource *resource)
{
	(void)client;
	wl_resource_destroy(resource);
}

static void on_picture(struct wl_client *client, struct wl_resource *resource, uint32_t shown)
{
	Vm *vm = wl_resource_get_user_data(resource);

	(void)client;
	if (vm && vm->extras == resource)
		vm_set_blank(vm, !shown);
}

static void on_clipboard(struct wl_client *client, struct wl_resource *resource, uint32_t there)
{
	Vm *vm = wl_resource_get_user_data(resource);

	(void)client;
	if (vm && vm->extras == resource)
		vm->clipboard = there != 0;
}

static const struct carrel_view_v1_interface extras_interface = {
	.destroy = on_destroy, .picture = on_picture, .clipboard = on_clipboard,
};

static void on_resource_destroy(struct wl_resource *resource)
{
	Vm *vm = wl_resource_get_user_data(resource);

	if (vm && vm->extras == resource)
		vm->extras = NULL;
}

static void on_bind(struct wl_client *client, void *data, uint32_t version, uint32_t id)
{
	struct wl_resource *resource = wl_resource_create(client, &carrel_view_v1_interface, (int)version, id);
	Vm *vm = NULL;

	(void)data;
	if (!resource) {
		wl_client_post_no_memory(client);
		return;
	}
	if (client_role(client, &vm) != ROLE_VM)
		vm = NULL;
	wl_resource_set_implementation(resource, &extras_interface, vm, on_resource_destroy);
	if (vm) {
		vm->extras = resource;
		vm->clipboard = false;
	}
}

Clip *clip_new(Desk *desk)
{
	Clip *clip = g_new0(Clip, 1);

	clip->desk = desk;
	clip->fd = -1;
	clip->global = wl_global_create(desk->display, &carrel_view_v1_interface, 1, clip, on_bind);
	return clip;
}

void clip_free(Clip *clip)
{
	stop_reading(clip);
	drop_text(clip);
	wl_global_destroy(clip->global);
	g_free(clip);
}
