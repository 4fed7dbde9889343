/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_FONT_H
#define CARREL_FONT_H

#include "types.h"

/* The boot console's letters (boot/font.c): ASCII 32 to 126, a byte a row, the top one highest, the leftmost dot in its bit 7. */
#define FONT_ROWS 8
extern const uint64_t font[95];

#endif
