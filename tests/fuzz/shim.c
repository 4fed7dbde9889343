// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

char *shim_ram;
jmp_buf fuzz_refused;
static uint64_t ram_size;

void fuzz_memory(uint64_t size)
{
	if (shim_ram)
		return;
	ram_size = size;
	shim_ram = mmap(NULL, size + MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(shim_ram != MAP_FAILED && !mprotect(shim_ram, size, PROT_READ | PROT_WRITE));
}

void fuzz_memory_clear(void)
{
	check(!madvise(shim_ram, ram_size, MADV_DONTNEED));
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	abort();
}

void refuse(const char *fmt, ...)
{
	(void)fmt;
	longjmp(fuzz_refused, 1);
}

void printk(const char *fmt, ...)
{
	(void)fmt;
}

void printk_guest(const char *fmt, ...)
{
	(void)fmt;
}

void strscpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size - 1);

	memcpy(dst, src, n);
	dst[n] = 0;
}
