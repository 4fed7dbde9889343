/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"

#undef memcpy
#undef memset
#undef memcmp

/* Or the compiler turns the loops below into calls of the functions that they are. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

/* Eight bytes a step: as fast as bytes on silicon, and eight times as fast under an emulator. */
void *memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;
	size_t words = n / 8, rest = n % 8;
	__asm__ volatile("rep movsq\n\tmov %3, %2\n\trep movsb" : "+&D"(d), "+&S"(src), "+&c"(words) : "r"(rest) : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	char *d = (char *)dst + n;
	const char *s = (const char *)src + n;
	for (; n % 8; n--)
		*--d = *--s;
	d -= 8;
	s -= 8;
	n /= 8;
	__asm__ volatile("std\n\trep movsq\n\tcld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;
	size_t words = n / 8, rest = n % 8;
	uint64_t fill = (uint8_t)c * 0x0101010101010101ull;
	__asm__ volatile("rep stosq\n\tmov %2, %1\n\trep stosb" : "+&D"(d), "+&c"(words) : "r"(rest), "a"(fill) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;
	while (n < max && s[n])
		n++;
	return n;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

void strscpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size - 1);
	memcpy(dst, src, n);
	dst[n] = 0;
}
