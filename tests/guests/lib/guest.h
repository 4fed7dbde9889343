/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

#define PAGE_SIZE 4096ul
#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define BIT(n) (1ul << (n))
#define MS 1000000ul
#define SECOND 1000000000ul
#define barrier() __asm__ volatile("" ::: "memory")
#define __aligned(n) __attribute__((aligned(n)))

/* ---- lib.c ---- */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap); /* %s %c %d %u %x %p, l, width, 0 */
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Counts a failure, and prints it: the first hundred. Returns cond. */
bool check_at(bool cond, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define check(cond, ...) check_at((cond), __FILE__, __LINE__, __VA_ARGS__)
/* got must be want, both printed as numbers. */
#define check_eq(got, want, what)                                                                                      \
	({                                                                                                             \
		long got_ = (long)(got), want_ = (long)(want);                                                         \
		check(got_ == want_, "%s: %ld, not %ld", (what), got_, want_);                                         \
	})
extern unsigned failures;
void finish(void) __attribute__((noreturn));

extern char cmdline[1024];
/* KEY=NUMBER of the command line, or what it is without. */
uint64_t option(const char *key, uint64_t otherwise);
uint64_t rnd(void);
extern uint64_t rnd_state;

/* ---- cpu.c ---- */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, code, rip, cs, rflags, rsp, ss;
};
#define NR_CPUS 4
struct cpu {
	uint64_t guard;           /* stack pointer of the guard that runs, 0 none */
	struct frame fault;       /* the last exception a guard caught */
	uint64_t fault_addr;      /* its CR2 */
	volatile uint64_t irqs[256];
	volatile bool up;
};
extern struct cpu cpus[NR_CPUS];
extern bool intel;
struct cpu *this_cpu(void);
int guard(void (*fn)(void *), void *arg);
void user_call(uint64_t rip, uint64_t rsp);
void cpu_init(unsigned n);
/* What to do on an interrupt, and whether it wants an EOI. */
void on_irq(uint8_t vector, void (*fn)(void), bool eoi);
/* Starts vCPU n in fn by INIT and SIPI. False: it does not come. */
bool start_vcpu(unsigned n, void (*fn)(void));

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}
struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)) : "memory");
}
/* The vector of the exception it raised, or -1. */
int rdmsr_safe(uint32_t msr, uint64_t *val);
int wrmsr_safe(uint32_t msr, uint64_t val);

static inline void cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void sti(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void sti_hlt(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

#define X2APIC 0x800
#define APIC_ID 0x02
#define APIC_EOI 0x0b
#define APIC_SVR 0x0f
#define APIC_ICR 0x30
#define APIC_LVT_TIMER 0x32
#define APIC_TMICT 0x38
#define APIC_TMCCT 0x39
#define APIC_TDCR 0x3e
void x2apic_on(void);
static inline uint64_t apic_read(unsigned r) { return rdmsr(X2APIC + r); }
static inline void apic_write(unsigned r, uint64_t val) { wrmsr(X2APIC + r, val); }

#endif
