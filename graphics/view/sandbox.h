/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEW_SANDBOX_H
#define VIEW_SANDBOX_H

#include <glib.h>

/* Gives up, for all threads and for good, every system call that serving what is open already does not need. */
gboolean sandbox_enter(GError **error);

#endif
