// SPDX-License-Identifier: Apache-2.0
/* Attacks by instructions. */
#include "attacks.h"

static void mov_to_cr0(void *p) { __asm__ volatile("mov %0, %%cr0" ::"r"(*(uint64_t *)p) : "memory"); }
static void mov_to_cr4(void *p) { __asm__ volatile("mov %0, %%cr4" ::"r"(*(uint64_t *)p) : "memory"); }
static void mov_to_cr8(void *p) { __asm__ volatile("mov %0, %%cr8" ::"r"(*(uint64_t *)p) : "memory"); }
static void mov_to_dr7(void *p) { __asm__ volatile("mov %0, %%dr7" ::"r"(*(uint64_t *)p) : "memory"); }
static void mov_to_dr6(void *p) { __asm__ volatile("mov %0, %%dr6" ::"r"(*(uint64_t *)p) : "memory"); }
static void do_xsetbv(void *p)
{
	const uint64_t *v = p;

	__asm__ volatile("xsetbv" ::"c"((uint32_t)v[1]), "a"((uint32_t)v[0]), "d"((uint32_t)(v[0] >> 32)));
}

/* ICR and self-IPI send to whom they like, INIT to ourselves included: apic_storm's. */
static bool leave_alone(uint32_t msr)
{
	return msr == 0x830 || msr == 0x83f || msr == 0x10;
}

static void try_msr(uint32_t msr)
{
	uint64_t old, values[] = { 0, 1, ~0ul, rnd(), rnd() & 0xffff };
	int rc = rdmsr_safe(msr, &old);

	check(rc == -1 || rc == 13, "reading MSR %x raised %d", msr, rc);
	if (leave_alone(msr))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		wrmsr_safe(msr, values[i]);
	if (rc == -1)
		wrmsr_safe(msr, old);
}

void all_msrs(void)
{
	static const struct { uint32_t first, n; } ranges[] = {
		{ 0, 0x1000 }, { 0x40000000, 0x200 }, { 0xc0000000, 0x400 }, { 0xc0010000, 0x400 }, { 0xc0011000, 0x100 },
		{ 0x4b564d00, 16 }, { 0xfffffff0, 16 }, { 0xdeadbe00, 16 }, { 0x7ffffff0, 32 },
	};

	cli();
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++)
		for (uint32_t k = 0; k < ranges[i].n; k++)
			try_msr(ranges[i].first + k);
	for (uint64_t i = 0, n = rounds(5000); i < n; i++)
		try_msr((uint32_t)rnd() | 0x10000);
}

void control_registers(void)
{
	uint64_t cr0, cr4, v[2], efer = rdmsr(0xc0000080);

	cli();
	__asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	for (uint64_t i = 0, n = rounds(20000); i < n; i++) {
		box.progress = i;
		v[0] = i < 64 ? cr0 ^ BIT(i) : rnd() & rnd();
		if (!intel)
			v[0] |= BIT(31) | BIT(30) | 1; /* QEMU lets 64-bit code turn paging and PAE off and set NW alone,
						   * where a CPU raises #GP */
		guard(mov_to_cr0, v);
		mov_to_cr0(&cr0);
		v[0] = i < 64 ? cr4 ^ BIT(i) : rnd() & rnd() & 0xffffff;
		v[0] &= ~(BIT(20) | BIT(21)); /* SMEP, SMAP: every page here is a user page */
		if (!intel) /* and answers a reserved bit by VMEXIT_INVALID */
			v[0] = (v[0] & 0x7ff) | BIT(5);
		guard(mov_to_cr4, v);
		mov_to_cr4(&cr4);
		v[0] = rnd() & rnd();
		guard(mov_to_cr8, v);
		v[0] = 0;
		mov_to_cr8(v);
		v[0] = rnd() & (intel ? ~0xfful : 0xffffff00); /* QEMU takes the upper halves too, then VMRUN does not */
		guard(mov_to_dr7, v);
		v[0] = rnd() & (intel ? ~0ul : 0xffffffff);
		guard(mov_to_dr6, v);
		v[0] = 0x400;
		mov_to_dr7(v);
		wrmsr_safe(0xc0000080, i < 64 ? efer ^ BIT(i) : rnd() & rnd());
		wrmsr(0xc0000080, efer);
	}
	v[0] = cr4 | BIT(18); /* OSXSAVE */
	if (guard(mov_to_cr4, v) == -1) {
		for (uint64_t i = 0, n = rounds(10000); i < n; i++) {
			v[0] = i < 64 ? BIT(i) | 1 : rnd() & rnd();
			v[1] = rnd() & 15 ? 0 : rnd();
			guard(do_xsetbv, v);
		}
		v[0] = 1;
		v[1] = 0;
		check_eq(guard(do_xsetbv, v), -1, "XCR0 = 1");
	}
	mov_to_cr4(&cr4);
	check_eq(HC(xen_version, XENVER_pagesize, 0, 0), PAGE_SIZE, "pagesize afterwards");
}

void all_cpuid(void)
{
	for (uint64_t i = 0, n = rounds(100000); i < n; i++) {
		uint32_t leaf = (uint32_t)rnd(), sub = (uint32_t)rnd();

		if (i & 1)
			leaf = (leaf & 0x8000ffff) | (leaf & 1 << 30);
		if (i & 2)
			leaf &= 0xc00000ff;
		if (i & 4)
			sub &= 63;
		cpuid(leaf, sub);
	}
	check_eq(cpuid(0x40000000, 0).b, 0x566e6558, "Xen signature");
}

/* ---- ports ---- */

static void string_port(void *p)
{
	const uint64_t *a = p;
	uint64_t rcx = a[1], rdi = a[2], rsi = a[2];

	switch (a[3] & 7) {
	case 0: __asm__ volatile("rep insb" : "+c"(rcx), "+D"(rdi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 1: __asm__ volatile("rep insl" : "+c"(rcx), "+D"(rdi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 2: __asm__ volatile("rep outsb" : "+c"(rcx), "+S"(rsi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 3: __asm__ volatile("rep outsw" : "+c"(rcx), "+S"(rsi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 4: __asm__ volatile("insw" : "+D"(rdi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 5: __asm__ volatile("std; rep outsl; cld" : "+c"(rcx), "+S"(rsi) : "d"((uint16_t)a[0]) : "memory"); break;
	case 6: __asm__ volatile("addr32 rep outsb" : "+c"(rcx), "+S"(rsi) : "d"((uint16_t)a[0]) : "memory"); break;
	default: __asm__ volatile("fs rep outsb" : "+c"(rcx), "+S"(rsi) : "d"((uint16_t)a[0]) : "memory");
	}
}

void all_ports(void)
{
	static uint8_t buf[8192] __aligned(PAGE_SIZE);
	uint64_t where[] = { (uint64_t)buf, (uint64_t)buf + 4090, NOWHERE, UNMAPPED, HOLE, APIC, map_page(0, (uint64_t)buf | 1),
			     0x100000000 - 4 };

	for (uint32_t port = 0; port < 0x10000; port += option("scale", 100) < 100 ? 13 : 1) {
		uint8_t b;
		uint32_t l;

		__asm__ volatile("inb %w1, %0" : "=a"(b) : "d"(port));
		__asm__ volatile("inl %w1, %0" : "=a"(l) : "d"(port));
		__asm__ volatile("outb %0, %w1" ::"a"((uint8_t)rnd()), "d"(port));
		__asm__ volatile("outw %0, %w1" ::"a"((uint16_t)rnd()), "d"(port));
		if (!check(b == 0xff && l == 0xffffffff, "port %x reads %x, %x", port, b, l))
			break;
	}
	for (uint64_t i = 0, n = rounds(5000); i < n; i++) {
		uint64_t a[4] = { rnd(), rnd() % 600, where[rnd() % ARRAY_SIZE(where)], rnd() };
		int rc = guard(string_port, a);

		check(rc == -1 || rc == 13 || rc == 14, "string I/O raised %d", rc);
	}
}

/* ---- memory that is not there ---- */

static void read_all_sizes(void *p)
{
	uint64_t at = *(uint64_t *)p;

	check(*(volatile uint8_t *)at == 0xff && *(volatile uint16_t *)at == 0xffff && *(volatile uint32_t *)at == 0xffffffff &&
	      *(volatile uint64_t *)at == ~0ul, "memory at %lx, which nobody has", at);
}

static void cmpxchg16(void *p)
{
	__asm__ volatile("lock cmpxchg16b (%0)" ::"r"(*(uint64_t *)p), "a"(0), "b"(0), "c"(0), "d"(0) : "memory");
}

void holes(void)
{
	static const uint64_t at[] = { 0xa0000, 0xc0000, 0xf0000, 0x100000, HOLE, 0xe0000000, 0xfec00000, 0xfed00000, 0xfee01000,
				       0xfff00000, 1ul << 32, 1ul << 36, 1ul << 38 };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		uint64_t va = map_page(i, at[i] | 3);

		check_eq(guard(read_all_sizes, &va), -1, "exception on reading nowhere");
		va += 4092;
		if (i + 1 < ARRAY_SIZE(at))
			map_page(i + 1, at[i] | 3);
		check_eq(guard(read_all_sizes, &va), -1, "exception on reading across two pages of nothing");
	}
	for (uint64_t va = 0xa0000; va < 0x100000; va += 0x1234)
		*(volatile uint32_t *)va = 1; /* below 1 MiB writes are ignored */
	for (uint64_t i = 0, n = rounds(2000); i < n; i++) {
		uint64_t va = 0x20000000 + (rnd() & 0x1ffffff8);

		if (!check(*(volatile uint64_t *)va == ~0ul, "memory at %lx", va))
			break;
	}
	guard(cmpxchg16, &(uint64_t){ 0xa0000 });
}

/* ---- the APIC page and the decoder ---- */

static uint8_t code[64] __aligned(64);

struct regs_for_code {
	uint64_t rdi, rsi, rcx, rax;
};

static void run_code(void *p)
{
	const struct regs_for_code *r = p;

	__asm__ volatile("call *%%rbx" ::"D"(r->rdi), "S"(r->rsi), "c"(r->rcx), "a"(r->rax), "b"(code)
			 : "memory", "rdx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
}

/* Opcodes that would take control away or change what the guest stands on. */
static bool refused(uint8_t op, bool two)
{
	if (two)
		return op < 2 || op == 5 || op == 7 || (op >= 0x20 && op <= 0x27) || (op >= 0x30 && op <= 0x37) ||
		       (op >= 0x80 && op <= 0x8f) || op == 0xb2 || op == 0xb4 || op == 0xb5 || op == 0xaa || op == 0x38 ||
		       op == 0x3a || op == 0x0b || op == 0xb9 || op == 0xff || op == 0xa3 || op == 0xab || op == 0xb3 || op == 0xbb;
	return (op >= 0x70 && op <= 0x7f) || op == 0x8e || op == 0x9a || op == 0x9d || op == 0xc2 || op == 0xc3 ||
	       (op >= 0xc8 && op <= 0xcf) || (op >= 0xe0 && op <= 0xef) || op == 0xf1 || op == 0xf4 || op == 0xff || op == 0xfb ||
	       op == 0x8f || op == 0x0f || op == 0xc4 || op == 0xc5 || op == 0x62 || (op >= 0x6c && op <= 0x6f);
}

static void make_code(void)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0 };
	unsigned n = 0;
	bool two = !(rnd() & 7), addr32 = false;
	uint8_t op;

	memset(code, 0xcc, sizeof(code));
	for (uint64_t r = rnd(); r & 3 && n < 14; r >>= 2) {
		code[n] = prefixes[rnd() % ARRAY_SIZE(prefixes)];
		addr32 |= code[n++] == 0x67;
	}
	if (rnd() & 1)
		code[n++] = (uint8_t)(0x40 | (rnd() & 0xe)); /* not B: the base stays RDI */
	do
		op = (uint8_t)rnd();
	while (refused(op, two) || (intel && addr32 && op >= 0xa4 && op <= 0xaf)); /* Bochs asserts that it is not so */
	if (two)
		code[n++] = 0x0f;
	code[n++] = op;
	code[n++] = (uint8_t)((rnd() & 7) << 3 | 7); /* [rdi], any register */
	if (op >= 0xa0 && op <= 0xa3 && !two) {
		uint64_t at = APIC + (rnd() & 0x2f0);

		memcpy(code + n - 1, &at, 8);
	}
}

/* Any instruction with the APIC page as its operand: does what it should, raises #UD, or ends at the INT3s behind it. */
void apic_decoder(void)
{
	static uint8_t scratch[4096];
	uint64_t seen[32] = { 0 };

	cli();
	wrmsr(0x1b, rdmsr(0x1b) & ~0xc00ul);
	wrmsr(0x1b, rdmsr(0x1b) | 0x800);
	*(volatile uint32_t *)(APIC + 0xf0) = 0x1ff;
	check_eq(*(volatile uint32_t *)(APIC + 0x30) & 0xff, 0x14, "version by the APIC page");
	for (uint64_t i = 0, n = rounds(100000); i < n; i++) {
		struct regs_for_code r = { APIC + (rnd() & 0x2ef), (uint64_t)scratch + (rnd() & 0x7ff), rnd() & 3, rnd() };
		int rc;

		make_code();
		rc = guard(run_code, &r);
		seen[rc < 0 ? 31 : rc & 31]++;
		box.progress = i;
	}
	print("apic_decoder: #UD %lu, #BP %lu, #PF %lu, #GP %lu\n", seen[6], seen[3], seen[14], seen[13]);
	check(seen[3] > 100, "no instruction went through");
	check_eq(HC(xen_version, XENVER_pagesize, 0, 0), PAGE_SIZE, "pagesize afterwards");
}

static void never_ends(void)
{
	sti();
	for (;;)
		box.progress++;
}

/* Random messages to the other vCPU: fixed, NMI, INIT, SIPI in any order. */
void apic_storm(void)
{
	static const uint64_t icr[] = { VEC_IPI, 0x400, 0x4500, 0x4610, 0x8500, VEC_IPI | 1 << 11 };
	struct cpu *c = this_cpu();
	uint64_t seen;

	cli();
	on_irq(VEC_IPI, NULL, true);
	check(start_vcpu(1, never_ends), "vCPU 1 does not start");
	for (uint64_t i = 0, n = rounds(20000); i < n; i++) {
		wrmsr_safe(X2APIC + APIC_ICR, 2ul << 32 | icr[rnd() % ARRAY_SIZE(icr)]);
		if (!(rnd() & 7))
			wrmsr_safe(X2APIC + APIC_ICR, ((rnd() | 1) << 32 & 0x7fffffff00000000) | (rnd() & 0xff)); /* to nobody */
		if (!(rnd() & 63))
			yield();
		box.progress = i;
	}
	/* The first time an NMI may wait for it, for which it has no vector in real mode. */
	if (!check(start_vcpu(1, never_ends) || start_vcpu(1, never_ends), "vCPU 1 does not start after the storm"))
		return;
	sti();
	seen = c->irqs[VEC_IPI];
	apic_write(APIC_ICR, VEC_IPI);
	for (uint64_t end = now() + SECOND; c->irqs[VEC_IPI] == seen && now() < end;)
		__asm__ volatile("pause");
	check(c->irqs[VEC_IPI] > seen, "no IPI after the storm");
	apic_write(APIC_ICR, 2ul << 32 | 0x4500);
}

/* A vCPU in real mode on random bytes: whatever happens, it happens to this domain. */
void real_mode_noise(void)
{
	uint64_t *page = (uint64_t *)0x10000;

	for (uint64_t i = 0, n = rounds(3000); i < n; i++) {
		for (unsigned k = 0; k < 512; k++)
			page[k] = rnd();
		apic_write(APIC_ICR, 2ul << 32 | 0x4500);
		apic_write(APIC_ICR, 2ul << 32 | 0x4610);
		for (uint64_t end = now() + 200000; now() < end;)
			yield();
		box.progress = i;
	}
}

/* ---- what ends a domain ---- */

struct descriptor_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

void triple_fault(void)
{
	struct descriptor_ptr none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
}

void tables_nowhere(void)
{
	__asm__ volatile("mov %0, %%cr3; mov (%1), %1" ::"r"(HOLE), "r"(0x1234000) : "memory");
}

void execute_nowhere(void)
{
	((void (*)(void))HOLE)();
}

void write_nowhere(void)
{
	*(volatile uint32_t *)HOLE = 1;
}

static uint64_t *own_tss(void)
{
	struct descriptor_ptr gdtr;
	uint64_t *d;
	uint16_t tr;

	__asm__ volatile("sgdt %0; str %1" : "=m"(gdtr), "=r"(tr));
	d = (uint64_t *)(gdtr.base + tr);
	return (uint64_t *)((d[0] >> 16 & 0xffffff) | (d[0] >> 56 & 0xff) << 24 | d[1] << 32);
}

/* Exceptions are delivered to a stack in the APIC page: the access that fails is no instruction's. */
void stack_in_apic(void)
{
	cli();
	wrmsr(0x1b, rdmsr(0x1b) & ~0xc00ul);
	wrmsr(0x1b, rdmsr(0x1b) | 0x800);
	*(uint64_t *)((char *)own_tss() + 36) = APIC + 0x800; /* IST 1 */
	__asm__ volatile("ud2");
}

void init_self(void)
{
	apic_write(APIC_ICR, 0x4500);
	apic_write(APIC_ICR, 1ul << 18 | 0x500);
}

/* ---- endless ---- */

void endless_cpuid(void)
{
	for (;;)
		cpuid(0, 0);
}

void endless_cpuid_2(void)
{
	start_vcpu(1, endless_cpuid);
	endless_cpuid();
}

void endless_msr(void)
{
	for (;;)
		rdmsr(0x1b);
}

void endless_bad_msr(void)
{
	for (;;)
		wrmsr_safe(0x12345678, 0);
}

void endless_port(void)
{
	for (;;)
		__asm__ volatile("outb %%al, $0x80" ::"a"(0));
}

void endless_string(void)
{
	static uint8_t byte;

	for (;;) {
		uint64_t a[4] = { 0x80, ~0ul, (uint64_t)&byte, 2 };

		guard(string_port, a);
	}
}

void endless_apic(void)
{
	wrmsr(0x1b, rdmsr(0x1b) & ~0xc00ul);
	wrmsr(0x1b, rdmsr(0x1b) | 0x800);
	for (;;)
		*(volatile uint32_t *)(APIC + 0x80) = *(volatile uint32_t *)(APIC + 0x30) & 0;
}

void endless_hole(void)
{
	for (;;)
		*(volatile uint32_t *)HOLE;
}

void endless_ipi(void)
{
	on_irq(VEC_IPI, NULL, true);
	sti();
	for (;;)
		apic_write(APIC_ICR, 1ul << 18 | VEC_IPI);
}

void endless_timer_irq(void)
{
	on_irq(VEC_TIMER, NULL, true);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, VEC_TIMER | BIT(17));
	apic_write(APIC_TMICT, 1);
	for (;;)
		__asm__ volatile("sti; hlt");
}

static void undefined(void *p)
{
	(void)p;
	__asm__ volatile("ud2");
}

void endless_exception(void)
{
	for (;;)
		guard(undefined, NULL);
}

/* A breakpoint on the stack that its own exception is pushed to. */
void endless_debug(void)
{
	uint64_t *tss = own_tss(), stack = *(uint64_t *)((char *)tss + 36); /* IST 1 */

	__asm__ volatile("mov %0, %%db0; mov %1, %%db7; push %%rax; pop %%rax; ud2" ::"r"((stack & ~15ul) - 8), "r"(0xd0402ul)
			 : "memory");
}

/* No exits but those of the machine's interrupts, which a guest cannot turn off. */
void endless_nothing(void)
{
	if (option("cli", 1))
		cli();
	for (;;)
		;
}

void endless_pause(void)
{
	for (;;)
		__asm__ volatile("pause");
}
