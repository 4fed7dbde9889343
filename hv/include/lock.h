/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_LOCK_H
#define CARREL_LOCK_H

#include "types.h"

/*
 * The core lock. The core runs with interrupts off on every CPU and never sleeps; one ticket lock guards all state
 * that is not private to a CPU (docs/decisions.md). The exit path takes it after the guest was left and gives it up
 * before the guest is entered or the CPU idles. Everything called from there owns it, unless its comment says otherwise.
 * Consequence: a holder that waits for another CPU may only wait for that CPU to be out of guest mode (cpu.h), never
 * for it to do something under the lock.
 */
void core_lock(void);
void core_unlock(void);
/* Another CPU waits for it. For its holder. */
bool core_lock_wanted(void);

#endif
