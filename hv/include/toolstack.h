/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_TOOLSTACK_H
#define CARREL_TOOLSTACK_H

#include "domain.h"
#include "types.h"

#include <xen/domctl.h>

/* Shared by domctl and sysctl (hv/xen). Core lock; the current vCPU is the service domain's. */

/* What getdomaininfo and getdomaininfolist tell about d. */
void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);
/* CPU and node sets in the toolstack's byte arrays. Bits that it did not pass are 0. -EFAULT. */
int bitmap_from_guest(uint64_t *map, const struct xenctl_bitmap *from);
int bitmap_to_guest(const struct xenctl_bitmap *to, uint64_t map);
/* One bit for each CPU that is online. */
uint64_t online_cpus(void);
/* The policy calls' array arguments, at most *n entries (buffer NULL: none). *n becomes the number there are, also with
 * -ENOBUFS (too few were asked for). Others: -EFAULT, -ENOMEM. d NULL: the machine's policy `index`. */
int policy_leaves_to_guest(struct domain *d, unsigned index, gva_t to, uint32_t *n);
int policy_msrs_to_guest(unsigned index, gva_t to, uint32_t *n);

/* hv/xen/hvmcontext.c: d's vCPU state as save records (xen/arch-x86/hvm/save.h). d is not the caller's domain. */
int hvmcontext_get(struct domain *d, struct xen_domctl_hvmcontext *c);
int hvmcontext_get_partial(struct domain *d, struct xen_domctl_hvmcontext_partial *c);
int hvmcontext_set(struct domain *d, const struct xen_domctl_hvmcontext *c);
/* struct vcpu_guest_context at a linear address: out, the user and control registers; in, the general registers, rip and rflags of
 * a vCPU that cannot run now (-EBUSY), as Xen has it for domains like these. */
int vcpu_context_get(struct vcpu *v, gva_t to);
int vcpu_context_set(struct vcpu *v, gva_t from);

#endif
