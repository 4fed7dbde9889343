/* SPDX-License-Identifier: Apache-2.0 */
/* What the back ends share: bounds on what a guest may ask for, its mistakes in the log, and reading memory it owns. */
#ifndef VIEW_GUEST_H
#define VIEW_GUEST_H

#include <glib.h>
#include <stdint.h>

#define GUEST_MAX_WIDTH   7680u
#define GUEST_MAX_HEIGHT  4320u
#define GUEST_MAX_BUFFERS 128u
#define GUEST_MAX_FRAMES  256u
/* All buffers of a guest together: four of the largest mode. */
#define GUEST_MAX_BYTES (4ull * GUEST_MAX_WIDTH * GUEST_MAX_HEIGHT * 4)

/* Memory that the guest writes at the same time is read once, here, and never through a plain lvalue again. */
#define guest_read(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define guest_write(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

/* For the ring macros of xen/io/ring.h. */
#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

/* A guest's mistake: logged, a handful a minute at most. */
void guest_mistake(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
