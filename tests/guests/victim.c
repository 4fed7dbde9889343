// SPDX-License-Identifier: Apache-2.0
#include "tests.h"
void guest_idle(void) { for (;;) sched_op(SCHEDOP_block, 0); }
void guest_busy(void) { for (;;) box.progress++; }
