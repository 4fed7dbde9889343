/* SPDX-License-Identifier: Apache-2.0 */
#include "gprs.h"

/*
 * void svm_enter(struct regs *regs, paddr_t vmcb, paddr_t host_vmcb)
 *
 * With GIF clear nothing can interrupt while GS, TR and LDTR are the guest's. The host's IF is set so that a physical
 * interrupt ends the guest's run (APM 2 15.21.1); it is clear again before GIF is set.
 */
	.text
	.globl	svm_enter
	.type	svm_enter, @function
svm_enter:
	PUSH_HOST
	push	%rdx
	push	%rdi
	mov	%rsi, %rax
	clgi
	sti
	vmload	%rax
	GPRS(LOAD)
	mov	GPR(7), %rdi
	vmrun	%rax
	vmsave	%rax
	push	%rdi
	mov	8(%rsp), %rdi
	GPRS(SAVE)
	pop	GPR(7)
	FORGET_GUEST
	mov	8(%rsp), %rax
	vmload	%rax
	cli
	stgi
	add	$16, %rsp
	POP_HOST
	ret
	.size	svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
