/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_ops.h"

#include "asm.h"

const struct cpu_ops *cpu_ops;

void cpu_ops_init(void)
{
	bool svm = cpuid(0x80000000, 0).a >= 0x80000001 && (cpuid(0x80000001, 0).c & BIT(2));
	bool amd = cpuid(0, 0).c == 0x444d4163 || cpuid(0, 0).c == 0x656e6975; /* "cAMD", and Hygon's "uine" */
	const char *why;

	cpu_ops = svm || amd ? &svm_ops : &vmx_ops;
	if ((why = cpu_ops->probe()))
		refuse("%s", why);
}
