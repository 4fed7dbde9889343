// SPDX-License-Identifier: Apache-2.0
#include "tests.h"
void secret(void) {}
void guest_search(void) {}
void guest_keeper(void) {}
