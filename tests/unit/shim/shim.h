/* SPDX-License-Identifier: Apache-2.0 */
/* For a test: cmocka, and what of the core's surroundings shim.c makes up. Core headers may be included after this one. */
#ifndef SHIM_H
#define SHIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Gives the core `pages` of machine memory at address 0, all E820_RAM, the first `reserved` of them boot_reserved() and given out
 * by boot_alloc(). panic() and refuse() in the core are failed assertions (expect_assert_failure). */
void shim_memory(unsigned long pages, unsigned long reserved);
/* What the last of them said. */
extern char shim_said[256];

/* A reproducible random number below n. */
unsigned shim_random(unsigned n);

#endif
