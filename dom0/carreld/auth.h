/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: polkit, or what a test says. */
#ifndef CARREL_AUTH_H
#define CARREL_AUTH_H

#include <gio/gio.h>

typedef struct Auth Auth;
/* error: NULL, or why not (Denied). Main thread. */
typedef void (*AuthDone)(gpointer data, GError *error);

struct Auth {
	/* sender: unique bus name. interactive: the caller can wait while a person is asked. */
	void (*check)(Auth *auth, const char *sender, const char *action, gboolean interactive, AuthDone done, gpointer data);
	void (*free)(Auth *auth);
};

Auth *auth_polkit_new(GDBusConnection *bus, GError **error);
#endif
