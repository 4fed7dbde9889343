/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_GPRS_H
#define CARREL_GPRS_H

/* For svm_entry.S and vmx_entry.S: what both do with registers. %rdi points to struct regs (hardware register numbers). */
#define GPR(n)     (8 * n)(%rdi)
#define LOAD(n, r) mov GPR(n), %r;
#define SAVE(n, r) mov %r, GPR(n);
/* All but rax and rsp, which each back end treats its own way, and rdi itself. */
#define GPRS(X)                                                                                                        \
	X(1, rcx) X(2, rdx) X(3, rbx) X(5, rbp) X(6, rsi) X(8, r8) X(9, r9) X(10, r10) X(11, r11) X(12, r12)           \
	X(13, r13) X(14, r14) X(15, r15)

#define PUSH_HOST push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
#define POP_HOST  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp

/* The guest left its own return addresses in the CPU's return stack, and its values in registers. From here to the next entry
 * three returns have no call of their own (svm_enter, run, run_guest): they find these. */
#define FORGET_GUEST                                                                                                   \
	.rept 8; call 77f; int3; 77:; .endr; add $64, %rsp;                                                            \
	xor %ecx, %ecx; xor %edx, %edx; xor %esi, %esi; xor %r8d, %r8d; xor %r9d, %r9d; xor %r10d, %r10d; xor %r11d, %r11d

#endif
