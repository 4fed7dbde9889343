/* SPDX-License-Identifier: Apache-2.0 */
/* From the PVH entry (32 bit, paging off, EBX = start info) to C; traps; the guard; the second vCPU's start. */
#include <xen/elfnote.h>

#define NOTE_ENTRY start32
#define STACK 16384

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long NOTE_ENTRY

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	cld
	movl $bss_start, %edi
	movl $bss_end, %ecx
	subl %edi, %ecx
	xorl %eax, %eax
	rep stosb
	movl $pml4, %edi /* 4 GiB, identity, 2M pages, present writable user */
	movl $pdpt + 7, (%edi)
	movl $pdpt, %edi
	movl $pd + 7, %eax
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $4096, %eax
	addl $8, %edi
	loop 1b
	movl $pd, %edi
	movl $0x87, %eax
	movl $2048, %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 2b
	movl $stacks + STACK, %esp
	xorl %ebp, %ebp /* CPU 0 */
	jmp long_mode

/* A vCPU that got SIPI, out of the trampoline: EBP is its number. */
ap32:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl ap_number, %ebp
	movl %ebp, %eax
	incl %eax
	imull $STACK, %eax
	leal stacks(%eax), %esp
long_mode:
	lgdt gdt_ptr
	movl $0x6a0, %eax /* PAE PGE OSFXSR; OSXMMEXCPT below */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax /* NXE LME SCE */
	wrmsr
	movl $0x80010033, %eax /* PG WP NE ET MP PE */
	movl %eax, %cr0
	ljmp $0x08, $3f
	.code64
3:	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %ebp, %edi
	movl %ebx, %esi
	call guest_start
	ud2

/* Copied to a page below 1 MiB. */
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl tramp_gdt_ptr - trampoline
	movl $0x11, %eax
	movl %eax, %cr0
	ljmpl $0x18, $ap32
	.align 8
tramp_gdt_ptr:
	.word 31
	.long gdt
trampoline_end:
	.code64

	.section .rodata
	.align 8
gdt_ptr:
	.word 31
	.long gdt, 0
	.globl gdt
gdt:	/* cpu.c copies it and adds user segments and the TSS */
	.quad 0
	.quad 0x00af9b000000ffff /* 08: code 64 */
	.quad 0x00cf93000000ffff /* 10: data */
	.quad 0x00cf9b000000ffff /* 18: code 32 */

	.text
/* int guard(void (*fn)(void *), void *arg): -1, or the vector of the exception that ended fn. */
	.globl guard, guard_fault
guard:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushfq
	movq %rdi, %rbx
	movq %rsi, %r12
	movq %rsp, %rdi
	call guard_set
	pushq %rax /* the old one, and once more to keep the stack aligned */
	pushq %rax
	movq %r12, %rdi
	call *%rbx
	popq %rdi
	popq %rdi
	call guard_set
	movl $-1, %eax
	jmp 4f
guard_fault: /* trap() came here: RSP is what guard_set got, RAX the vector */
	cld
	movq -8(%rsp), %rdi
	movq %rax, %rbx
	call guard_set
	movl %ebx, %eax
4:	popfq
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* void user_call(uint64_t rip, uint64_t rsp): runs code at CPL 3; it ends by an exception that guard catches. */
	.globl user_call
user_call:
	pushq $0x23
	pushq %rsi
	pushq $0x002
	pushq $0x2b
	pushq %rdi
	iretq

	.globl trap_stubs
	.align 16
trap_stubs:
	.set n, 0
	.rept 256
	.align 16
	.if !((n == 8) || (n >= 10 && n <= 14) || (n == 17) || (n == 21) || (n == 29) || (n == 30))
	pushq $0
	.endif
	pushq $n
	jmp trap_common
	.set n, n + 1
	.endr
trap_common:
	cld
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\r
	.endr
	movq %rsp, %rdi
	call trap
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\r
	.endr
	addq $16, %rsp
	iretq

	.bss
	.align 4096
	.globl pml4, pdpt, pd
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
stacks:	.skip 4 * STACK

	.section .note.GNU-stack, "", @progbits
