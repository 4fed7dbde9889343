/* SPDX-License-Identifier: Apache-2.0 */
/* What the back ends share: a guest's mistakes in the log, and reading memory that it owns. */
#ifndef PV_GUEST_H
#define PV_GUEST_H

#include <glib.h>
#include <stdint.h>

/* Memory that the guest writes at the same time is read once, here, and never through a plain lvalue again. */
#define guest_read(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define guest_write(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

/* For the ring macros of xen/io/ring.h. */
#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

/* A guest's mistake: logged, a handful a minute at most. */
void guest_mistake(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* A negative errno as the PV protocols have it: theirs are Xen's numbers (xen/errno.h). */
int32_t guest_error(int rc);

#endif
