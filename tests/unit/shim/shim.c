// SPDX-License-Identifier: Apache-2.0
#include "shim.h"
#include "boot.h"
#include "cpu.h"
#include "lib.h"
#include "map.h"

#include <stdlib.h>

char *shim_ram;
char shim_said[256];
__attribute__((weak)) struct boot_info boot_info;
struct cpu *cpus[MAX_CPUS];
unsigned nr_cpus;

static paddr_t reserved_end, boot_next;

void shim_memory(unsigned long pages, unsigned long reserved)
{
	free(shim_ram);
	shim_ram = aligned_alloc(2 * MiB, ALIGN_UP(pages * PAGE_SIZE, 2 * MiB));
	memset(shim_ram, 0xa5, pages * PAGE_SIZE);
	boot_info.nr_map = 1;
	boot_info.map[0] = (struct e820_entry){ .addr = 0, .size = pages * PAGE_SIZE, .type = E820_RAM };
	reserved_end = reserved * PAGE_SIZE;
	boot_next = 0;
}

/* Weak: a test of boot/ brings the real ones. */
__attribute__((weak)) paddr_t boot_alloc(uint64_t size, uint64_t align)
{
	paddr_t pa = ALIGN_UP(boot_next, align);

	boot_next = pa + size;
	assert_true(boot_next <= reserved_end);
	memset(shim_ram + pa, 0, size);
	return pa;
}

__attribute__((weak)) bool boot_reserved(mfn_t mfn)
{
	return mfn < reserved_end >> PAGE_SHIFT;
}

static __noreturn void stop(const char *fmt, va_list ap)
{
	vsnprintf(shim_said, sizeof(shim_said), fmt, ap);
	mock_assert(0, shim_said, "core", 0);
	abort();
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	stop(fmt, ap);
}

void refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	stop(fmt, ap);
}

void strscpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size - 1);

	memcpy(dst, src, n);
	dst[n] = 0;
}

void printk(const char *fmt, ...)
{
	(void)fmt;
}

unsigned shim_random(unsigned n)
{
	static uint64_t state = 88172645463325252ul; /* xorshift */

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % n;
}
