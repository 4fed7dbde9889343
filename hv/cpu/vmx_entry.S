/* SPDX-License-Identifier: Apache-2.0 */
#include "gprs.h"

#define HOST_RSP 0x6c14

/* int vmx_enter(struct regs *regs, bool launched, uint64_t *host_rsp) */
	.text
	.globl	vmx_enter, vmx_exit_point
	.type	vmx_enter, @function
vmx_enter:
	PUSH_HOST
	push	%rdi
	cmp	%rsp, (%rdx)
	je	1f
	mov	%rsp, (%rdx)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
1:	test	%sil, %sil
	mov	GPR(0), %rax
	GPRS(LOAD)
	mov	GPR(7), %rdi
	jz	2f
	vmresume
	jmp	3f
2:	vmlaunch
3:	mov	$1, %eax /* only a failed entry gets here */
	jmp	4f
vmx_exit_point:
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, GPR(0)
	GPRS(SAVE)
	pop	GPR(7)
	FORGET_GUEST
	xor	%eax, %eax
4:	add	$8, %rsp
	POP_HOST
	ret
	.size	vmx_enter, . - vmx_enter
	.section .note.GNU-stack, "", @progbits
