/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <polkit/polkit.h>

#include "error.h"

typedef struct {
	Auth auth;
	PolkitAuthority *authority;
} PolkitAuth;

typedef struct {
	char *action;
	AuthDone done;
	gpointer data;
} Check;

static void checked(GObject *source, GAsyncResult *result, gpointer data)
{
	Check *check = data;
	g_autoptr(GError) error = NULL, denied = NULL;
	g_autoptr(PolkitAuthorizationResult) answer =
		polkit_authority_check_authorization_finish(POLKIT_AUTHORITY(source), result, &error);

	if (!answer)
		carrel_fail(&denied, CARREL_ERROR_DENIED, "cannot ask polkit for %s: %s", check->action, error->message);
	else if (!polkit_authorization_result_get_is_authorized(answer))
		carrel_fail(&denied, CARREL_ERROR_DENIED, polkit_authorization_result_get_is_challenge(answer) ?
			"%s needs an administrator's password, and nobody could be asked for it here" :
			"you may not do this (%s); an administrator can allow it by a polkit rule", check->action);
	check->done(check->data, denied);
	g_free(check->action);
	g_free(check);
}

static void polkit_check(Auth *auth, const char *sender, const char *action, gboolean interactive, AuthDone done, gpointer data)
{
	PolkitAuth *polkit = (PolkitAuth *)auth;
	g_autoptr(PolkitSubject) subject = polkit_system_bus_name_new(sender);
	Check *check = g_new0(Check, 1);

	*check = (Check){ g_strdup(action), done, data };
	polkit_authority_check_authorization(polkit->authority, subject, action, NULL,
		interactive ? POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION : POLKIT_CHECK_AUTHORIZATION_FLAGS_NONE, NULL,
		checked, check);
}

static void polkit_free(Auth *auth)
{
	g_object_unref(((PolkitAuth *)auth)->authority);
	g_free(auth);
}

Auth *auth_polkit_new(GDBusConnection *bus, GError **error)
{
	PolkitAuthority *authority = polkit_authority_get_sync(NULL, error);
	PolkitAuth *polkit;

	(void)bus;
	if (!authority)
		return NULL;
	polkit = g_new0(PolkitAuth, 1);
	*polkit = (PolkitAuth){ { polkit_check, polkit_free }, authority };
	return &polkit->auth;
}
