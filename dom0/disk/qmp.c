/* SPDX-License-Identifier: Apache-2.0 */
/* QMP: one line of JSON each way. QEMU serves one client at a time and libxl wants its turn too, so conversations are short. */
#include "internal.h"
#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

#define MESSAGE_LIMIT (16u << 20)

guint qmp_limit_ms = 20000;

struct Qmp {
	char *path;
	GSocket *socket;
	GString *received;
	gsize scanned; /* of received, known to hold no end of line */
	guint64 serial;
};

void qmp_close(Qmp *qmp)
{
	if (!qmp)
		return;
	if (qmp->socket)
		g_socket_close(qmp->socket, NULL);
	g_clear_object(&qmp->socket);
	g_string_free(qmp->received, TRUE);
	g_free(qmp->path);
	g_free(qmp);
}

static gboolean peer_error(Qmp *qmp, GError **error, GIOErrorEnum code, const char *what)
{
	g_set_error(error, G_IO_ERROR, code, "QEMU at %s %s", qmp->path, what);
	return FALSE;
}

static gboolean wait_for(Qmp *qmp, GIOCondition condition, gint64 end, GError **error)
{
	gint64 left = end - g_get_monotonic_time();
	g_autoptr(GError) cause = NULL;

	if (left > 0 && g_socket_condition_timed_wait(qmp->socket, condition, left, NULL, &cause))
		return TRUE;
	if (left <= 0 || g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
		return peer_error(qmp, error, G_IO_ERROR_TIMED_OUT, "does not answer");
	g_propagate_error(error, g_steal_pointer(&cause));
	return FALSE;
}

static char *take_line(Qmp *qmp)
{
	char *end = memchr(qmp->received->str + qmp->scanned, '\n', qmp->received->len - qmp->scanned), *line;

	if (!end) {
		qmp->scanned = qmp->received->len;
		return NULL;
	}
	line = g_strndup(qmp->received->str, (gsize)(end - qmp->received->str));
	g_string_erase(qmp->received, 0, end - qmp->received->str + 1);
	qmp->scanned = 0;
	return line;
}

/* The next message; an object. */
static JsonNode *receive(Qmp *qmp, gint64 end, GError **error)
{
	g_autofree char *line = NULL;
	g_autoptr(GError) cause = NULL;
	char bytes[16384];
	JsonNode *root;

	while (!(line = take_line(qmp))) {
		gssize n;

		if (!wait_for(qmp, G_IO_IN, end, error))
			return NULL;
		n = g_socket_receive(qmp->socket, bytes, sizeof bytes, NULL, &cause);
		if (n < 0 && g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
			g_clear_error(&cause);
			continue;
		}
		if (n < 0) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return NULL;
		}
		if (n == 0 || qmp->received->len + (gsize)n > MESSAGE_LIMIT) {
			peer_error(qmp, error, G_IO_ERROR_CONNECTION_CLOSED, n ? "says too much" : "hung up");
			return NULL;
		}
		g_string_append_len(qmp->received, bytes, n);
	}
	root = js_parse(line, -1, NULL);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		g_clear_pointer(&root, json_node_unref);
		peer_error(qmp, error, G_IO_ERROR_INVALID_DATA, "does not speak QMP");
	}
	return root;
}

static gboolean send_all(Qmp *qmp, const char *text, gint64 end, GError **error)
{
	gsize left = strlen(text);
	g_autoptr(GError) cause = NULL;

	while (left) {
		gssize n = g_socket_send(qmp->socket, text, left, NULL, &cause);

		if (n < 0 && g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
			g_clear_error(&cause);
			if (!wait_for(qmp, G_IO_OUT, end, error))
				return FALSE;
		} else if (n < 0) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return FALSE;
		} else {
			text += n;
			left -= (gsize)n;
		}
	}
	return TRUE;
}

static gint64 deadline(void)
{
	return g_get_monotonic_time() + (gint64)qmp_limit_ms * 1000;
}

pid_t qmp_pid(Qmp *qmp, GError **error)
{
	g_autoptr(GCredentials) who = g_socket_get_credentials(qmp->socket, error);

	return who ? g_credentials_get_unix_pid(who, error) : -1;
}

Qmp *qmp_open(const char *path, GError **error)
{
	g_autoptr(Qmp) qmp = g_new0(Qmp, 1);
	g_autoptr(GSocketAddress) address = NULL;
	g_autoptr(JsonNode) greeting = NULL;
	g_autoptr(GError) cause = NULL;

	qmp->path = g_strdup(path);
	qmp->received = g_string_new(NULL);
	if (strlen(path) >= 108) {
		peer_error(qmp, error, G_IO_ERROR_FILENAME_TOO_LONG, "cannot be reached: the path is too long");
		return NULL;
	}
	address = g_unix_socket_address_new(path);
	qmp->socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
	if (!qmp->socket)
		return NULL;
	g_socket_set_blocking(qmp->socket, FALSE);
	if (!g_socket_connect(qmp->socket, address, NULL, &cause)) {
		g_set_error(error, G_IO_ERROR, cause->code, "QEMU at %s cannot be reached: %s", path, cause->message);
		return NULL;
	}
	greeting = receive(qmp, deadline(), error);
	if (!greeting)
		return NULL;
	if (!js_object(json_node_get_object(greeting), "QMP")) {
		peer_error(qmp, error, G_IO_ERROR_INVALID_DATA, "does not speak QMP");
		return NULL;
	}
	return qmp_do(qmp, error, "qmp_capabilities", NULL) ? g_steal_pointer(&qmp) : NULL;
}

/* The answer to that serial; events and answers to what was given up are passed over. */
static JsonNode *await(Qmp *qmp, const char *command, guint64 serial, GError **error)
{
	gint64 end = deadline();

	for (;;) {
		g_autoptr(JsonNode) message = receive(qmp, end, error);
		JsonObject *object, *failure;

		if (!message)
			return NULL;
		object = json_node_get_object(message);
		failure = js_object(object, "error");
		if (failure && (!json_object_has_member(object, "id") || (guint64)js_int(object, "id") == serial)) {
			const char *text = js_string(failure, "desc");

			g_set_error(error, DISK_ERROR, DISK_ERROR_IO, "QEMU refuses %s: %s", command,
				text ? text : "no reason given");
			return NULL;
		}
		if (json_object_has_member(object, "return") && (guint64)js_int(object, "id") == serial)
			return json_node_copy(json_object_get_member(object, "return"));
	}
}

static JsonNode *call(Qmp *qmp, GError **error, const char *command, const char *arguments, va_list *list)
{
	g_autoptr(JsonObject) message = json_object_new();
	g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
	g_autofree char *text = NULL, *line = NULL;

	json_object_set_string_member(message, "execute", command);
	json_object_set_int_member(message, "id", (gint64)++qmp->serial);
	if (arguments) {
		g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new_parsed_va(arguments, list));

		json_object_set_member(message, "arguments", json_gvariant_serialize(values));
	}
	json_node_set_object(root, message);
	text = json_to_string(root, FALSE);
	line = g_strconcat(text, "\n", NULL);
	return send_all(qmp, line, deadline(), error) ? await(qmp, command, qmp->serial, error) : NULL;
}

JsonNode *qmp_call(Qmp *qmp, GError **error, const char *command, const char *arguments, ...)
{
	va_list list;
	JsonNode *result;

	va_start(list, arguments);
	result = call(qmp, error, command, arguments, &list);
	va_end(list);
	return result;
}

gboolean qmp_do(Qmp *qmp, GError **error, const char *command, const char *arguments, ...)
{
	g_autoptr(JsonNode) result = NULL;
	va_list list;

	va_start(list, arguments);
	result = call(qmp, error, command, arguments, &list);
	va_end(list);
	return result != NULL;
}
