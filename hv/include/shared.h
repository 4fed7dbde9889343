/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_SHARED_H
#define CARREL_SHARED_H

struct vcpu;

/* xen/shared.c: copies the time in v's vcpu_info to time_gva, in the address space of the current vCPU. */
void time_area_write(struct vcpu *v);

#endif
