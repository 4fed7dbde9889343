/* SPDX-License-Identifier: Apache-2.0 */
/* One way in for every method call: polkit first where the contract names an action, then the function. */
#ifndef CARREL_DISPATCH_H
#define CARREL_DISPATCH_H

#include "carreld.h"

typedef struct {
	const char *signal; /* of the generated skeleton: handle-… */
	const char *action; /* NULL: anyone may */
	/* Answers the invocation, now or later. */
	void (*call)(Manager *manager, GDBusMethodInvocation *invocation, GVariant *args);
} Method;

void dispatch_connect(Manager *manager, GDBusInterfaceSkeleton *api, const Method *methods, gsize n);

/* An option dictionary: knows these keys of these types and no others. */
typedef struct {
	const char *key, *type;
} Option;
gboolean options_check(GVariant *dict, const Option *known, gsize n, GError **error);

/* Takes error. */
void dispatch_fail(GDBusMethodInvocation *invocation, GError *error);
void dispatch_job(GDBusMethodInvocation *invocation, Job *job, GError *error); /* job NULL: error is why */
/* The file descriptor that an argument of type h means, a copy; -1 with the error set. */
int dispatch_fd(GDBusMethodInvocation *invocation, gint32 handle, GError **error);
#endif
