/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include "asm.h"
#include "sched.h"

/* A ticket lock: fair, so that a CPU that comes out of a busy guest cannot starve the others. */
static struct {
	uint32_t next;
	uint32_t serving;
} lock __aligned(64);

void core_lock(void)
{
	uint32_t ticket = __atomic_fetch_add(&lock.next, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&lock.serving, __ATOMIC_ACQUIRE) != ticket) {
		/* The holder may be waiting for the vCPU that is loaded here (sched.h). */
		sched_service_requests();
		cpu_relax();
	}
}

void core_unlock(void)
{
	__atomic_store_n(&lock.serving, lock.serving + 1, __ATOMIC_RELEASE);
}

bool core_lock_wanted(void)
{
	return READ_ONCE(lock.next) != lock.serving + 1;
}
