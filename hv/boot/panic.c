/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of a run that nobody wanted. */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "irq.h"
#include "map.h"

#include <stdarg.h>

#define ICR_NMI_ALL_BUT_SELF 0xc4400 /* SDM 3A figure 11-12 */
#define TRACE_DEPTH          24

extern char boot_stack_top[];

bool panicking;

static void halt(void) __noreturn;
static void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* The CPU that runs this, NULL before cpu_init_early(). */
static struct cpu *known_cpu(void)
{
	uint64_t gs = rdmsr(MSR_GS_BASE);
	for (unsigned i = 0; i < nr_cpus; i++)
		if ((uint64_t)cpus[i] == gs)
			return cpus[i];
	return NULL;
}

/* An NMI, because a CPU that waits for the core lock takes nothing else. */
static void stop_others(void)
{
	if (__atomic_exchange_n(&panicking, true, __ATOMIC_SEQ_CST))
		halt();
	if (nr_cpus > 1)
		lapic_send_ipi(0, ICR_NMI_ALL_BUT_SELF);
	opt.console_com1 = opt.console_vga = true;
}

/* Every word on the stack that points into the text: return addresses, and some that once were. */
static void print_trace(uint64_t sp)
{
	struct cpu *c = known_cpu();
	uint64_t top = c ? c->stack_top : (uint64_t)boot_stack_top;
	if (sp % 8 || sp >= top || top - sp > STACK_SIZE) {
		printk(LOG_ERR "no trace: rsp is not in this CPU's stack");
		return;
	}
	for (unsigned n = 0; sp < top && n < TRACE_DEPTH; sp += 8) {
		uint64_t word = *(uint64_t *)sp;
		if (word >= (uint64_t)__text_start && word < (uint64_t)__text_end) {
			printk(LOG_ERR "  [%016lx] %016lx", sp, word);
			n++;
		}
	}
}

static void print_where(void)
{
	struct cpu *c = known_cpu();
	printk(LOG_ERR "cr0=%lx cr2=%lx cr3=%lx cr4=%lx on CPU %d", read_cr0(), read_cr2(), read_cr3(), read_cr4(),
	       c ? (int)c->id : -1);
}

void panic_trap(const struct trap_frame *f)
{
	stop_others();
	printk(LOG_ERR "panic: exception %lu (error %lx) at rip %016lx", f->vector, f->error, f->rip);
	printk(LOG_ERR "rax=%016lx rbx=%016lx rcx=%016lx rdx=%016lx", f->rax, f->rbx, f->rcx, f->rdx);
	printk(LOG_ERR "rsi=%016lx rdi=%016lx rbp=%016lx rsp=%016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	printk(LOG_ERR " r8=%016lx  r9=%016lx r10=%016lx r11=%016lx", f->r8, f->r9, f->r10, f->r11);
	printk(LOG_ERR "r12=%016lx r13=%016lx r14=%016lx r15=%016lx", f->r12, f->r13, f->r14, f->r15);
	printk(LOG_ERR "rflags=%lx cs=%lx ss=%lx", f->rflags, f->cs, f->ss);
	print_where();
	print_trace(f->rsp);
	halt();
}

void panic(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	uint64_t sp = (uint64_t)__builtin_frame_address(0);
	stop_others();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printk(LOG_ERR "panic: %s", text);
	printk(LOG_ERR "rip=%016lx rsp=%016lx", (uint64_t)__builtin_return_address(0), sp);
	print_where();
	print_trace(sp);
	halt();
}

void refuse(const char *fmt, ...)
{
	char text[400];
	va_list ap;
	stop_others();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printk(LOG_ERR "cannot start: %s", text);
	halt();
}
