/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's descriptor tables, and what happens at an exception in the core. */
#include "asm.h"
#include "cpu.h"

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};
_Static_assert(sizeof(struct idt_gate) == 16, "SDM 3A 7.14.1");

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, iomap;
} __packed;
_Static_assert(sizeof(struct tss) == sizeof(((struct cpu *)0)->tss), "SDM 3A 9.7");

struct table_register {
	uint16_t limit;
	uint64_t base;
} __packed;

struct ex_entry {
	uint64_t insn, fixup;
};

enum { IST_NMI = 1, IST_FAULT = 2 };
#define GATE_INTERRUPT  0x8e
#define SEGMENT_CODE    0x00af9b000000ffff /* 64-bit, accessed */
#define SEGMENT_DATA    0x00cf93000000ffff
#define SEGMENT_TSS     (0x89ull << 40)

extern const char trap_stubs[];
extern const struct ex_entry __ex_table_start[], __ex_table_end[];
void trap_handle(struct trap_frame *f);

static struct idt_gate idt[256] __aligned(PAGE_SIZE);

/* Double fault and machine check have a stack that is good whatever rsp was. */
static void init_idt(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
		uint64_t stub = (uint64_t)trap_stubs + 16 * i;
		idt[i] = (struct idt_gate){
			.offset_low = (uint16_t)stub,
			.selector = CORE_CS,
			.type = GATE_INTERRUPT,
			.offset_mid = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
	idt[2].ist = IST_NMI;
	idt[EXC_DF].ist = IST_FAULT;
	idt[EXC_MC].ist = IST_FAULT;
}

static void init_tss(struct cpu *c)
{
	struct tss *t = (struct tss *)c->tss;
	uint64_t base = (uint64_t)t;
	t->ist[IST_NMI - 1] = (uint64_t)(c->nmi_stack + sizeof(c->nmi_stack));
	t->ist[IST_FAULT - 1] = (uint64_t)(c->df_stack + sizeof(c->df_stack));
	t->iomap = sizeof(*t);
	c->gdt[CORE_TSS / 8] = (sizeof(*t) - 1) | (base & 0xffffff) << 16 | SEGMENT_TSS | (base >> 24 & 0xff) << 56;
	c->gdt[CORE_TSS / 8 + 1] = base >> 32;
}

static void load_tables(struct cpu *c)
{
	struct table_register gdtr = { sizeof(c->gdt) - 1, (uint64_t)c->gdt };
	struct table_register idtr = { sizeof(idt) - 1, (uint64_t)idt };
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %3, %%eax\n\t"
			 "movl %%eax, %%ds\n\t"
			 "movl %%eax, %%es\n\t"
			 "movl %%eax, %%ss\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "movl %%eax, %%fs\n\t"
			 "movl %%eax, %%gs\n\t"
			 "lldt %%ax\n\t"
			 "movl %4, %%eax\n\t"
			 "ltr %%ax\n\t"
			 "lidt %1"
			 : : "m"(gdtr), "m"(idtr), "i"(CORE_CS), "i"(CORE_DS), "i"(CORE_TSS) : "rax", "memory");
}

void cpu_init_early(struct cpu *c)
{
	c->self = c;
	if (!c->runq.next) { /* not after a sleep */
		list_init(&c->runq);
		list_init(&c->timers);
	}
	c->gdt[CORE_CS / 8] = SEGMENT_CODE;
	c->gdt[CORE_DS / 8] = SEGMENT_DATA;
	init_tss(c);
	if (!idt[0].type)
		init_idt();
	load_tables(c);
	wrmsr(MSR_GS_BASE, (uint64_t)c);
	wrmsr(MSR_FS_BASE, 0);
	write_cr4(CR4_PAE | CR4_MCE | CR4_PGE);
}

/* Returns only to go on where f says. */
void trap_handle(struct trap_frame *f)
{
	if (f->vector == 2) {
		if (READ_ONCE(panicking))
			for (;;)
				__asm__ volatile("cli; hlt");
		return;
	}
	for (const struct ex_entry *e = __ex_table_start; e < __ex_table_end; e++) {
		if (e->insn == f->rip && f->vector == EXC_GP) {
			f->rip = e->fixup;
			return;
		}
	}
	panic_trap(f);
}
