/* SPDX-License-Identifier: Apache-2.0 */
#define GPR(n) (8 * n)(%rdi) /* struct regs, hardware register numbers */

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
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rdi
	mov	%rsi, %rax
	clgi
	sti
	vmload	%rax
	mov	GPR(1), %rcx
	mov	GPR(2), %rdx
	mov	GPR(3), %rbx
	mov	GPR(5), %rbp
	mov	GPR(6), %rsi
	mov	GPR(8), %r8
	mov	GPR(9), %r9
	mov	GPR(10), %r10
	mov	GPR(11), %r11
	mov	GPR(12), %r12
	mov	GPR(13), %r13
	mov	GPR(14), %r14
	mov	GPR(15), %r15
	mov	GPR(7), %rdi
	vmrun	%rax
	vmsave	%rax
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rcx, GPR(1)
	mov	%rdx, GPR(2)
	mov	%rbx, GPR(3)
	mov	%rbp, GPR(5)
	mov	%rsi, GPR(6)
	mov	%r8, GPR(8)
	mov	%r9, GPR(9)
	mov	%r10, GPR(10)
	mov	%r11, GPR(11)
	mov	%r12, GPR(12)
	mov	%r13, GPR(13)
	mov	%r14, GPR(14)
	mov	%r15, GPR(15)
	pop	GPR(7)
	mov	8(%rsp), %rax
	vmload	%rax
	cli
	stgi
	add	$16, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size	svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
