/* SPDX-License-Identifier: Apache-2.0 */
/* For the fuzzers: what stands around the core (shim.c). As in tests/unit, shim/map.h makes machine memory one buffer. */
#ifndef FUZZ_H
#define FUZZ_H

#include "lib.h"
#include "map.h"
#include "types.h"

#include <setjmp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reserves `size` bytes of machine memory from address 0 on, zero, given a page when touched, with nothing behind it. */
void fuzz_memory(uint64_t size);
/* Makes it all zero again. */
void fuzz_memory_clear(void);

/* refuse() comes back to fuzz_refused; a panic ends the fuzzer. */
extern jmp_buf fuzz_refused;

/* The input, read from the front; zeroes when it is used up. */
struct input {
	const uint8_t *p, *end;
};
static inline uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && in->p < in->end; i++)
		v |= (uint64_t)*in->p++ << 8 * i;
	return v;
}

#define check(x)                                                                                                       \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			panic("%s:%d: not so: %s", __FILE__, __LINE__, #x);                                            \
	} while (0)

#endif
