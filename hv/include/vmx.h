/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_VMX_H
#define CARREL_VMX_H
#include "cpu_ops.h"
extern struct p2m_format ept_format;
#endif
