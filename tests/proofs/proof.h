/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROOF_H
#define PROOF_H

#include "lib.h"
#include "types.h"

void __CPROVER_assume(_Bool);
void __CPROVER_assert(_Bool, const char *);
#define assume(x) __CPROVER_assume(x)
#define prove(x)  __CPROVER_assert(x, #x)

unsigned nondet_unsigned(void);
uint64_t nondet_u64(void);
_Bool nondet_bool(void);

/* Any number below n. */
static inline unsigned any_below(unsigned n)
{
	unsigned v = nondet_unsigned();

	assume(v < n);
	return v;
}

/* A failed ASSERT of the core is a failed proof. */
void panic(const char *fmt, ...)
{
	(void)fmt;
	prove(!"panic");
	assume(0);
}

#endif
