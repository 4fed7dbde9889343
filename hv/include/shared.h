/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_SHARED_H
#define CARREL_SHARED_H

#include "types.h"

struct vcpu;

/* xen/shared.c: copies the time in v's vcpu_info to time_gva, in the address space of the current vCPU. */
void time_area_write(struct vcpu *v);
/* Puts vcpu_info back into shared_info and drops the frame it was in. */
void vcpu_info_release(struct vcpu *v);
/* Moves it to guest frame gfn. -EBUSY when it was moved before, -ENXIO bad place, -EINVAL not RAM. */
int vcpu_info_register(struct vcpu *v, gfn_t gfn, unsigned offset);
/* xen/vcpu_op.c: sets the Xen timers up, unarmed. */
void vcpu_timers_init(struct vcpu *v);

#endif
