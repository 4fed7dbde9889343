/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_EXIT_H
#define CARREL_EXIT_H

#include "cpu_ops.h"

/* Handles an exit that touches nothing but the vCPU itself, without the core lock: true when it was one. cpu->in_guest is still
 * set: whoever takes memory from the domain waits for this. */
bool exit_fast(struct vcpu *v, struct exit *e);
/* Something waits that ends HLT: NMI, interrupt, event. Core lock. */
bool vcpu_has_event(struct vcpu *v);

#endif
