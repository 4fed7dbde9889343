// SPDX-License-Identifier: Apache-2.0
#include "tests.h"
void hostile(void) {}
void guest_hostile(void) {}
