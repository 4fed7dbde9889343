/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include "disk/disk.h"
#include "net/net.h"
#include "vmfile/vmfile.h"

static const GDBusErrorEntry entries[] = {
	{ CARREL_ERROR_NOT_FOUND, "org.carrel.Error.NotFound" },
	{ CARREL_ERROR_EXISTS, "org.carrel.Error.Exists" },
	{ CARREL_ERROR_INVALID, "org.carrel.Error.Invalid" },
	{ CARREL_ERROR_BUSY, "org.carrel.Error.Busy" },
	{ CARREL_ERROR_STATE, "org.carrel.Error.State" },
	{ CARREL_ERROR_NO_MEMORY, "org.carrel.Error.NoMemory" },
	{ CARREL_ERROR_NO_SPACE, "org.carrel.Error.NoSpace" },
	{ CARREL_ERROR_DENIED, "org.carrel.Error.Denied" },
	{ CARREL_ERROR_UNSUPPORTED, "org.carrel.Error.Unsupported" },
	{ CARREL_ERROR_TIMEOUT, "org.carrel.Error.Timeout" },
	{ CARREL_ERROR_CANCELLED, "org.carrel.Error.Cancelled" },
	{ CARREL_ERROR_FAILED, "org.carrel.Error.Failed" },
};

GQuark carrel_error_quark(void)
{
	static gsize quark;

	g_dbus_error_register_error_domain("carrel-error", &quark, entries, G_N_ELEMENTS(entries));
	return (GQuark)quark;
}

static CarrelErrorCode from_disk(int code)
{
	switch (code) {
	case DISK_ERROR_INVALID:
	case DISK_ERROR_CORRUPT:
		return CARREL_ERROR_INVALID;
	case DISK_ERROR_NO_SPACE:
		return CARREL_ERROR_NO_SPACE;
	case DISK_ERROR_BUSY:
		return CARREL_ERROR_BUSY;
	case DISK_ERROR_EXISTS:
		return CARREL_ERROR_EXISTS;
	case DISK_ERROR_NOT_FOUND:
		return CARREL_ERROR_NOT_FOUND;
	case DISK_ERROR_UNSUPPORTED:
		return CARREL_ERROR_UNSUPPORTED;
	case DISK_ERROR_WRONG_KEY:
		return CARREL_ERROR_DENIED;
	default:
		return CARREL_ERROR_FAILED;
	}
}

static CarrelErrorCode from_io(int code)
{
	switch (code) {
	case G_IO_ERROR_CANCELLED:
		return CARREL_ERROR_CANCELLED;
	case G_IO_ERROR_NO_SPACE:
		return CARREL_ERROR_NO_SPACE;
	case G_IO_ERROR_EXISTS:
		return CARREL_ERROR_EXISTS;
	case G_IO_ERROR_TIMED_OUT:
		return CARREL_ERROR_TIMEOUT;
	case G_IO_ERROR_NOT_SUPPORTED:
		return CARREL_ERROR_UNSUPPORTED;
	default:
		return CARREL_ERROR_FAILED;
	}
}

static CarrelErrorCode code_of(const GError *error)
{
	if (error->domain == DISK_ERROR)
		return from_disk(error->code);
	if (error->domain == G_IO_ERROR)
		return from_io(error->code);
	if (error->domain == NET_ERROR)
		return error->code == NET_ERROR_INVALID ? CARREL_ERROR_INVALID : error->code == NET_ERROR_EXISTS ? CARREL_ERROR_EXISTS :
			CARREL_ERROR_FAILED;
	if (error->domain == VMFILE_ERROR)
		return error->code == VMFILE_ERROR_IO ? CARREL_ERROR_FAILED : error->code == VMFILE_ERROR_UNSUPPORTED ?
			CARREL_ERROR_UNSUPPORTED : CARREL_ERROR_INVALID;
	if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
		return CARREL_ERROR_NO_SPACE;
	return CARREL_ERROR_FAILED;
}

GError *carrel_error_from(GError *error)
{
	if (!error)
		return g_error_new_literal(CARREL_ERROR, CARREL_ERROR_FAILED, "failed without a reason; see the journal");
	if (error->domain != CARREL_ERROR) {
		error->code = code_of(error);
		error->domain = CARREL_ERROR;
	}
	return error;
}

char *carrel_error_name(const GError *error)
{
	return g_dbus_error_encode_gerror(error);
}

gboolean carrel_fail(GError **error, CarrelErrorCode code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(CARREL_ERROR, code, format, args);
	va_end(args);
	return FALSE;
}
