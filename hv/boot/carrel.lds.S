/* SPDX-License-Identifier: Apache-2.0 */
/* The core's image: physical = virtual - CORE_VIRT_BASE, each kind of section on its own pages (mm/map.c). */
#include "config.h"

#define LOAD(s) AT(ADDR(s) - CORE_VIRT_BASE)

OUTPUT_FORMAT(elf64-x86-64)
ENTRY(start_pa)

PHDRS
{
	text PT_LOAD FLAGS(5);
	rodata PT_LOAD FLAGS(4);
	data PT_LOAD FLAGS(6);
}

SECTIONS
{
	. = CORE_VIRT_BASE + CORE_PHYS_BASE;
	__text_start = .;
	.text : LOAD(.text) {
		*(.head)
		*(.text .text.*)
		. = ALIGN(4096);
	} :text = 0xcccccccc
	__text_end = .;

	__rodata_start = .;
	.rodata : LOAD(.rodata) {
		*(.rodata .rodata.*)
		. = ALIGN(8);
		__ex_table_start = .;
		KEEP(*(.ex_table))
		__ex_table_end = .;
		. = ALIGN(4096);
	} :rodata = 0
	__rodata_end = .;

	__data_start = .;
	.data : LOAD(.data) {
		*(.data .data.*)
		. = ALIGN(4096);
	} :data
	__bss_start = .;
	.bss : LOAD(.bss) {
		*(.bss .bss.*)
		. = ALIGN(4096);
	} :data
	__bss_end = .;
	__image_end = .;

	/DISCARD/ : {
		*(.comment)
		*(.note .note.*)
		*(.eh_frame)
	}
}
