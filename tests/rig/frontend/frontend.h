/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FRONTEND_H
#define FRONTEND_H

/* Never returns. */
void kms_keys(void);

#endif
