/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another CPU runs after its start-up IPI: copied by smp.c to a page below 1 MiB, which the core's tables map at
 * its own address until map_seal(). Goes from real mode straight to long mode (APM 2 14.6.1, SDM 3A 9.8.5). smp.c fills the
 * words at the end; gdtr and jump hold offsets into the page to which it adds the page's address.
 */
#include "config.h"

#define OFF(sym) ((sym) - trampoline_start)

	.section .rodata.trampoline, "a"
	.globl trampoline_start, trampoline_end
	.globl trampoline_gdt_base, trampoline_jump, trampoline_cr3, trampoline_stack, trampoline_cpu, trampoline_started
	.balign 16
	.code16
trampoline_start:
	cli
	movw %cs, %ax
	movw %ax, %ds
	movl $1, OFF(trampoline_started)
	lgdtl OFF(gdtr)
	movl $0x20, %eax /* CR4.PAE */
	movl %eax, %cr4
	movl OFF(trampoline_cr3), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax /* EFER.NX, LME */
	wrmsr
	movl $0x80010033, %eax /* CR0: PG WP NE ET MP PE, caches on */
	movl %eax, %cr0
	ljmpl *OFF(trampoline_jump)

	.code64
0:	movl $CORE_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq trampoline_stack(%rip), %rsp
	movq trampoline_cpu(%rip), %rdi
	xorl %ebp, %ebp
	movq $ap_main, %rax
	call *%rax
	ud2

	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
gdtr:
	.short . - gdt - 1
trampoline_gdt_base:
	.long OFF(gdt)
	.balign 4
trampoline_jump:
	.long OFF(0b)
	.short CORE_CS
	.balign 8
trampoline_cr3:
	.quad 0
trampoline_stack:
	.quad 0
trampoline_cpu:
	.quad 0
trampoline_started:
	.long 0
trampoline_end:

	.section .note.GNU-stack, "", @progbits
