/* SPDX-License-Identifier: Apache-2.0 */
/* Asks carrel-auth, over its socket, whether a password is the person's. The switcher itself has no rights to know. */
#ifndef CARREL_UI_AUTH_H
#define CARREL_UI_AUTH_H

#include <gio/gio.h>

#define AUTH_SOCKET "/run/carrel/auth.sock"

/* message: what to tell the person when it is not, or when it could not be found out. Not called once cancelled. */
typedef void (*AuthDone)(gboolean right, const char *message, gpointer data);
void auth_check(const char *socket, const char *password, GCancellable *cancellable, AuthDone done, gpointer data);
#endif
