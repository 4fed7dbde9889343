/* SPDX-License-Identifier: Apache-2.0 */
/* For the fuzzers: what stands around the core (shim.c). As in tests/unit, shim/map.h makes machine memory one buffer. */
#ifndef FUZZ_H
#define FUZZ_H

#include "input.h"
#include "lib.h"
#include "map.h"
#include "types.h"

#include <setjmp.h>
#include <stdlib.h>

/* Reserves `size` bytes of machine memory from address 0 on, zero, given a page when touched, with nothing behind it. */
void fuzz_memory(uint64_t size);
/* Makes it all zero again. */
void fuzz_memory_clear(void);

/* refuse() comes back to fuzz_refused; a panic ends the fuzzer. */
extern jmp_buf fuzz_refused;

#define check(x)                                                                                                       \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			panic("%s:%d: not so: %s", __FILE__, __LINE__, #x);                                            \
	} while (0)

#endif
