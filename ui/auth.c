/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include "format.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <string.h>

#define REPLY_MAX   512
#define TIMEOUT_SEC 30

typedef struct {
	char *line; /* the password and a line feed */
	gsize length;
	char reply[REPLY_MAX];
	GSocketConnection *connection;
	AuthDone done;
	gpointer data;
} Check;

static void finish(GTask *task, gboolean right, const char *message)
{
	Check *check = g_task_get_task_data(task);
	if (!g_cancellable_is_cancelled(g_task_get_cancellable(task)))
		check->done(right, message, check->data);
	g_task_return_boolean(task, right);
	g_object_unref(task);
}

static void fail(GTask *task, const GError *error)
{
	g_autofree char *text = g_strdup_printf(_("Your password could not be checked: %s"), error->message);
	finish(task, FALSE, text);
}

static void on_reply(GObject *source, GAsyncResult *result, gpointer data)
{
	GTask *task = data;
	Check *check = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	gsize length = 0;
	if (!g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &length, &error)) {
		fail(task, error);
		return;
	}
	g_autofree char *reply = g_strndup(check->reply, length);
	if (g_str_equal(reply, "ok\n")) {
		finish(task, TRUE, "");
		return;
	}
	g_autofree char *said = text_safe(g_str_has_prefix(reply, "no ") ? reply + 3 : "", 200);
	finish(task, FALSE, said[0] ? said : _("That is not the password."));
}

static void on_written(GObject *source, GAsyncResult *result, gpointer data)
{
	GTask *task = data;
	Check *check = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	gboolean written = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, &error);
	explicit_bzero(check->line, check->length);
	if (!written) {
		fail(task, error);
		return;
	}
	g_input_stream_read_all_async(g_io_stream_get_input_stream(G_IO_STREAM(check->connection)), check->reply, sizeof(check->reply),
		G_PRIORITY_DEFAULT, g_task_get_cancellable(task), on_reply, task);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
	GTask *task = data;
	Check *check = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	check->connection = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);
	if (!check->connection) {
		fail(task, error);
		return;
	}
	g_output_stream_write_all_async(g_io_stream_get_output_stream(G_IO_STREAM(check->connection)), check->line, check->length,
		G_PRIORITY_DEFAULT, g_task_get_cancellable(task), on_written, task);
}

static void check_free(gpointer data)
{
	Check *check = data;
	explicit_bzero(check->line, check->length);
	g_free(check->line);
	g_clear_object(&check->connection);
	g_free(check);
}

void auth_check(const char *socket, const char *password, GCancellable *cancellable, AuthDone done, gpointer data)
{
	Check *check = g_new0(Check, 1);
	GTask *task = g_task_new(NULL, cancellable, NULL, NULL);
	check->length = strlen(password) + 1;
	check->line = g_malloc(check->length);
	memcpy(check->line, password, check->length - 1);
	check->line[check->length - 1] = '\n';
	check->done = done;
	check->data = data;
	g_task_set_task_data(task, check, check_free);
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(socket);
	g_socket_client_set_timeout(client, TIMEOUT_SEC);
	g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(address), cancellable, on_connected, task);
}
