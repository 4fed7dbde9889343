/* SPDX-License-Identifier: Apache-2.0 */
/* Entry from a Multiboot 1 or 2 loader: 32-bit protected mode, paging off, eax = magic, ebx = information (physical). */
#include "config.h"

#define PA(sym) ((sym) - CORE_VIRT_BASE)

#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x3 /* modules on page boundaries, memory map */
#define MB2_MAGIC 0xe85250d6

#define PTE_TABLE 0x3  /* present, writable */
#define PTE_2M    0x83

	.section .head, "ax"
	.globl start_pa
	.set start_pa, PA(start)

	.balign 8
	.long MB1_MAGIC
	.long MB1_FLAGS
	.long -(MB1_MAGIC + MB1_FLAGS)

	/* Without a framebuffer tag GRUB leaves text mode on a BIOS and gives the firmware's framebuffer on UEFI. */
	.balign 8
mb2_header:
	.long MB2_MAGIC
	.long 0
	.long mb2_end - mb2_header
	.long -(MB2_MAGIC + (mb2_end - mb2_header))
	.balign 8
0:	.short 1, 0 /* information request: command line, modules, memory map */
	.long 1f - 0b
	.long 1, 3, 6
1:	.balign 8
0:	.short 6, 0 /* modules on page boundaries */
	.long 8
	.balign 8
	.short 0, 0
	.long 8
mb2_end:

	.code32
start:
	cli
	cld
	movl %eax, %ebp /* magic, safe from cpuid */
	movl %ebx, %esi
	movl $PA(__bss_start), %edi
	movl $PA(__bss_end), %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl
	movl $PA(boot_stack_top), %esp

	/* SDM 2A CPUID 80000001H: edx bit 29 long mode, bit 20 NX. */
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	andl $0x20100000, %edx
	cmpl $0x20100000, %edx
	jne no_long_mode

	/* Four tables of 2 MiB pages: the first 4 GiB, seen at 0 and at DIRECTMAP_BASE; the first 2 GiB at CORE_VIRT_BASE. */
	movl $PA(early_pd), %edi
	movl $PTE_2M, %eax
	movl $2048, %ecx
0:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 0b
	movl $PA(early_pd) + PTE_TABLE, %eax
	movl %eax, PA(early_pdpt)
	movl %eax, PA(early_pdpt_image) + 510 * 8
	addl $0x1000, %eax
	movl %eax, PA(early_pdpt) + 8
	movl %eax, PA(early_pdpt_image) + 511 * 8
	addl $0x1000, %eax
	movl %eax, PA(early_pdpt) + 16
	addl $0x1000, %eax
	movl %eax, PA(early_pdpt) + 24
	movl $PA(early_pdpt) + PTE_TABLE, %eax
	movl %eax, PA(early_pml4)
	movl %eax, PA(early_pml4) + 256 * 8
	movl $PA(early_pdpt_image) + PTE_TABLE, PA(early_pml4) + 511 * 8

	movl $0x20, %eax /* CR4.PAE */
	movl %eax, %cr4
	movl $PA(early_pml4), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax /* EFER.NX, LME */
	wrmsr
	movl $0x80010033, %eax /* CR0: PG WP NE ET MP PE */
	movl %eax, %cr0
	lgdt PA(early_gdtr)
	ljmp $CORE_CS, $PA(start64)

	.code64
start64:
	movl $CORE_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	movl %ebp, %edi
	movl %esi, %esi
	xorl %ebp, %ebp
	movq $core_main, %rax
	call *%rax
	ud2

	.code32
no_long_mode:
	movl $PA(no_long_mode_text), %esi
	movl $0xb8000, %edi
	movl $0x3f8, %edx
0:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	stosb
	movb $0x07, %al
	stosb
	/* Port 0x80 takes about 1 us: long enough for one character at 115200 baud. */
	movl $100, %ecx
1:	outb %al, $0x80
	loop 1b
	jmp 0b
2:	hlt
	jmp 2b
	.code64

	.section .rodata.head, "a"
no_long_mode_text:
	.asciz "carrel: cannot start: this processor has no 64-bit mode with NX\r\n"
	.balign 8
early_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
early_gdtr:
	.short . - early_gdt - 1
	.long PA(early_gdt)

	.section .bss.head, "aw", @nobits
	.balign 4096
early_pml4:
	.skip 4096
early_pdpt:
	.skip 4096
early_pdpt_image:
	.skip 4096
early_pd:
	.skip 4 * 4096
	.globl boot_stack_top
boot_stack:
	.skip STACK_SIZE
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
