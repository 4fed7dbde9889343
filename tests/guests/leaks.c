// SPDX-License-Identifier: Apache-2.0
#include "tests.h"
void leaks(void) {}
