/* SPDX-License-Identifier: Apache-2.0 */
/* The errors of the D-Bus contract, org.carrel.Error.*, and how the other rooms' errors become them. */
#ifndef CARREL_ERROR_H
#define CARREL_ERROR_H

#include <gio/gio.h>

#define CARREL_ERROR (carrel_error_quark())
GQuark carrel_error_quark(void);
typedef enum {
	CARREL_ERROR_NOT_FOUND, CARREL_ERROR_EXISTS, CARREL_ERROR_INVALID, CARREL_ERROR_BUSY, CARREL_ERROR_STATE,
	CARREL_ERROR_NO_MEMORY, CARREL_ERROR_NO_SPACE, CARREL_ERROR_DENIED, CARREL_ERROR_UNSUPPORTED, CARREL_ERROR_TIMEOUT,
	CARREL_ERROR_CANCELLED, CARREL_ERROR_FAILED
} CarrelErrorCode;

/* The same message as an error of the contract; takes error, never returns NULL. */
GError *carrel_error_from(GError *error);
/* "org.carrel.Error.…" */
char *carrel_error_name(const GError *error);
/* Sets an error of the contract and returns FALSE. */
gboolean carrel_fail(GError **error, CarrelErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);
#endif
