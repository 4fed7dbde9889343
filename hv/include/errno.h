/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_ERRNO_H
#define CARREL_ERRNO_H

/* The ABI's own numbers (xen/errno.h); functions return them negated. */
#define XEN_ERRNO(name, value) name = value,
enum {
#include <xen/errno.h>
	ERESTART = 85, /* never seen by a guest: "call me again" (guest.h) */
};

#endif
