/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEW_EDID_H
#define VIEW_EDID_H

#include <stdint.h>

#define EDID_SIZE 128

/* Writes an EDID 1.4 of a display with one mode, at 60 Hz; -ERANGE when an EDID cannot tell of that mode. */
int edid_make(uint8_t edid[EDID_SIZE], uint32_t width, uint32_t height, uint32_t serial);

#endif
