/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_H
#define TESTS_H

#include "xencall.h"

/* In the service domain. */
void abi(void);
void hostile(void);
void secret(void);
void leaks(void);
/* In a domain that one of those made. */
void guest_abi(void);
void guest_idle(void);
void guest_keeper(void);
void guest_busy(void);
void guest_hostile(void);
void guest_search(void);
void guest_leaky(void);

extern unsigned timer_port; /* VIRQ_TIMER of vCPU 0 */

#endif
