/* SPDX-License-Identifier: Apache-2.0 */
/* Exception and interrupt entries. Stub n is at trap_stubs + 16 * n. */

	.text
	.globl trap_stubs
	.balign 16
trap_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector < 32
		/* These push an error code themselves: 8, 10-14, 17, 21, 29, 30 (SDM 3A table 6-1, APM 2 8.2). */
		.if ((0x60227d00 >> vector) & 1) == 0
			pushq $0
		.endif
		.byte 0x68 /* pushq imm32 */
		.long vector
		jmp trap_common
	.else
		.byte 0x68
		.long vector
		jmp irq_common
	.endif
	.set vector, vector + 1
	.endr

	/* Builds struct trap_frame (cpu.h). */
trap_common:
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\r
	.endr
	cld
	movq %rsp, %rdi
	call trap_handle
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\r
	.endr
	addq $16, %rsp
	iretq

irq_common:
	.irp r, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
	pushq %\r
	.endr
	cld
	movl 72(%rsp), %edi
	subq $8, %rsp
	call irq_record
	addq $8, %rsp
	.irp r, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	popq %\r
	.endr
	addq $8, %rsp
	iretq

	/* int rdmsr_safe(uint32_t msr, uint64_t *v), int wrmsr_safe(uint32_t msr, uint64_t v) */
	.globl rdmsr_safe, wrmsr_safe
rdmsr_safe:
	movl %edi, %ecx
1:	rdmsr
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, (%rsi)
	xorl %eax, %eax
	ret
wrmsr_safe:
	movl %edi, %ecx
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
2:	wrmsr
	xorl %eax, %eax
	ret
3:	movl $-14, %eax /* -EFAULT */
	ret

	.section .ex_table, "a"
	.quad 1b, 3b
	.quad 2b, 3b

	.section .note.GNU-stack, "", @progbits
