// SPDX-License-Identifier: Apache-2.0
/* The CPU: segments, traps, guards, local APIC, the second vCPU. */
#include "guest.h"
#include "xencall.h"

struct gate {
	uint16_t low, sel, flags, mid;
	uint32_t high, zero;
};
struct tss {
	uint32_t zero0;
	uint64_t rsp[3], zero1, ist[7], zero2;
	uint16_t zero3, iomap;
} __attribute__((packed));
struct descriptor_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define TSS_SEL 0x30
#define IST_SIZE 8192

struct cpu cpus[NR_CPUS];
bool intel;
volatile uint32_t ap_number;
static struct gate idt[256] __aligned(16);
static uint64_t gdt_full[6 + 2 * NR_CPUS];
static struct tss tss[NR_CPUS];
static uint8_t ist[NR_CPUS][3][IST_SIZE] __aligned(16);
static void (*handlers[256])(void);
static bool wants_eoi[256];
static void (*ap_fn)(void);

extern char trap_stubs[], guard_fault[], trampoline[], trampoline_end[];
extern const uint64_t gdt[4];
void trap(struct frame *f);
uint64_t guard_set(uint64_t rsp);

/* By TSS: a test may put anything into GS. */
struct cpu *this_cpu(void)
{
	uint16_t tr;

	__asm__ volatile("str %0" : "=r"(tr));
	return &cpus[(tr - TSS_SEL) >> 4 & (NR_CPUS - 1)];
}

uint64_t guard_set(uint64_t rsp)
{
	struct cpu *c = this_cpu();
	uint64_t old = c->guard;

	c->guard = rsp;
	return old;
}

static void die(const struct frame *f, uint64_t cr2)
{
	print("exception %lu code %lx at rip %lx rsp %lx cr2 %lx, nobody expects it\n", f->vector, f->code, f->rip, f->rsp, cr2);
	print("rax %lx rcx %lx rdx %lx rbx %lx rsi %lx rdi %lx\n", f->rax, f->rcx, f->rdx, f->rbx, f->rsi, f->rdi);
	failures++;
	finish();
}

void trap(struct frame *f)
{
	struct cpu *c = this_cpu();
	uint64_t cr2;

	c->irqs[f->vector]++;
	if (f->vector >= 32 || handlers[f->vector]) {
		if (handlers[f->vector])
			handlers[f->vector]();
		if (wants_eoi[f->vector])
			apic_write(APIC_EOI, 0);
		return;
	}
	if (f->vector == 2)
		return;
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	if (!c->guard)
		die(f, cr2);
	c->fault = *f;
	c->fault_addr = cr2;
	f->rip = (uint64_t)guard_fault;
	f->rsp = c->guard;
	f->rax = f->vector;
	f->cs = 0x08;
	f->ss = 0x10;
	f->rflags = 2;
	c->guard = 0;
}

static void set_gate(unsigned vector, unsigned ist_nr)
{
	uint64_t at = (uint64_t)trap_stubs + vector * 16;

	idt[vector] = (struct gate){ .low = (uint16_t)at, .sel = 0x08, .flags = (uint16_t)(0x8e00 | ist_nr),
				     .mid = (uint16_t)(at >> 16), .high = (uint32_t)(at >> 32) };
}

void cpu_init(unsigned n)
{
	struct descriptor_ptr g = { sizeof(gdt_full) - 1, (uint64_t)gdt_full }, i = { sizeof(idt) - 1, (uint64_t)idt };
	uint64_t base = (uint64_t)&tss[n];

	if (!n) {
		intel = cpuid(0, 0).b == 0x756e6547;
		memcpy(gdt_full, gdt, sizeof(gdt));
		gdt_full[4] = 0x00cff3000000ffff; /* 23: user data, 2b: user code */
		gdt_full[5] = 0x00affb000000ffff;
		for (unsigned v = 0; v < 256; v++)
			set_gate(v, v < 32 ? 1 : 2);
		set_gate(2, 3);
	}
	for (unsigned i = 0; i < 3; i++) /* exceptions, interrupts, NMI */
		tss[n].ist[i] = (uint64_t)ist[n][i] + IST_SIZE;
	tss[n].iomap = sizeof(struct tss);
	gdt_full[6 + 2 * n] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	gdt_full[7 + 2 * n] = base >> 32;
	__asm__ volatile("lgdt %0; lidt %1" ::"m"(g), "m"(i));
	__asm__ volatile("ltr %w0" ::"r"(TSS_SEL + 16 * n));
}

void on_irq(uint8_t vector, void (*fn)(void), bool eoi)
{
	handlers[vector] = fn;
	wants_eoi[vector] = eoi;
}

struct msr_op {
	uint32_t msr;
	uint64_t val;
};

static void do_rdmsr(void *p)
{
	struct msr_op *o = p;

	o->val = rdmsr(o->msr);
}

static void do_wrmsr(void *p)
{
	const struct msr_op *o = p;

	wrmsr(o->msr, o->val);
}

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
	struct msr_op o = { msr, 0 };
	int rc = guard(do_rdmsr, &o);

	*val = o.val;
	return rc;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
	struct msr_op o = { msr, val };

	return guard(do_wrmsr, &o);
}

void x2apic_on(void)
{
	wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
	apic_write(APIC_SVR, 0x1ff);
}

void guest_start(unsigned n, uint64_t start_info);
bool start_vcpu(unsigned n, void (*fn)(void))
{
	uint64_t icr = (uint64_t)(2 * n) << 32, end;

	memcpy((void *)0x10000, trampoline, (size_t)(trampoline_end - trampoline));
	ap_number = n;
	ap_fn = fn;
	cpus[n].up = false;
	barrier();
	apic_write(APIC_ICR, icr | 0x4500);
	apic_write(APIC_ICR, icr | 0x4610);
	for (end = now() + SECOND; !cpus[n].up && now() < end;)
		yield();
	return cpus[n].up;
}

/* From entry.S. CPU 0 goes to main; the others to what start_vcpu said. */
void main_start(uint64_t start_info);
void guest_start(unsigned n, uint64_t start_info)
{
	cpu_init(n);
	if (!n)
		main_start(start_info);
	x2apic_on();
	cpus[n].up = true;
	ap_fn();
	for (;;)
		__asm__ volatile("cli; hlt");
}
