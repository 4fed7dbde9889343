/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PV_SANDBOX_H
#define PV_SANDBOX_H

#include <glib.h>

/* Gives up, for all threads and for good, every system call that serving what is open already does not need. more: numbers
 * of calls that this back end needs besides, ended by -1; NULL: none. */
gboolean sandbox_enter(const int *more, GError **error);

#endif
