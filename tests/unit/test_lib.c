// SPDX-License-Identifier: Apache-2.0
/* The core's C library against the host's. Both have the same names, so the core's get other symbols here, before any header. */
#include <stdarg.h>
#include <stddef.h>

void *memcpy(void *dst, const void *src, size_t n) __asm__("core_memcpy");
void *memmove(void *dst, const void *src, size_t n) __asm__("core_memmove");
void *memset(void *dst, int c, size_t n) __asm__("core_memset");
int memcmp(const void *a, const void *b, size_t n) __asm__("core_memcmp");
size_t strlen(const char *s) __asm__("core_strlen");
size_t strnlen(const char *s, size_t max) __asm__("core_strnlen");
int strcmp(const char *a, const char *b) __asm__("core_strcmp");
int strncmp(const char *a, const char *b, size_t n) __asm__("core_strncmp");
void strscpy(char *dst, const char *src, size_t size) __asm__("core_strscpy");
int snprintf(char *buf, size_t size, const char *fmt, ...) __asm__("core_snprintf");
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) __asm__("core_vsnprintf");
int host_snprintf(char *buf, size_t size, const char *fmt, ...) __asm__("snprintf");

#include "shim.h"
#include "../../hv/boot/string.c"
#include "../../hv/boot/printf.c"

#define N 300

static uint8_t a[N], b[N], was[N];

static void scramble(void)
{
	for (unsigned i = 0; i < N; i++)
		a[i] = b[i] = was[i] = (uint8_t)shim_random(256);
}

/* Every offset and length up to some words: the bytes asked for are set, no other. */
static void moves(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned n = shim_random(100), from = shim_random(N - n), to = shim_random(N - n);

		scramble();
		assert_ptr_equal(memmove(a + to, a + from, n), a + to);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(a[i], i - to < n ? was[i - to + from] : was[i]);
		scramble();
		assert_ptr_equal((memcpy)(b + to, a + from, n), b + to);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(b[i], i - to < n ? was[i - to + from] : was[i]);
		assert_ptr_equal((memset)(a + to, (int)from, n), a + to);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(a[i], i - to < n ? (uint8_t)from : was[i]);
	}
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void compares(void **state)
{
	char small[4] = "xyz";

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		unsigned n = shim_random(20), at = shim_random(20);

		scramble();
		assert_int_equal((memcmp)(a, b, n), 0);
		b[at] ^= 1;
		assert_int_equal(sign((memcmp)(a, b, n)), at < n ? sign(a[at] - b[at]) : 0);
	}
	assert_int_equal(sign(strcmp("abc", "abd")), -1);
	assert_int_equal(sign(strcmp("abc", "ab")), 1);
	assert_int_equal(sign(strcmp("\x80", "a")), 1);
	assert_int_equal(strcmp("", ""), 0);
	assert_int_equal(strncmp("abc", "abd", 2), 0);
	assert_int_equal(strncmp("ab", "ab", 100), 0);
	assert_int_equal(strncmp("a", "b", 0), 0);
	assert_int_equal(strlen("abcd"), 4);
	assert_int_equal(strnlen("abcd", 2), 2);
	strscpy(small, "abcdef", 4);
	assert_int_equal(strcmp(small, "abc"), 0);
	strscpy(small, "", 4);
	assert_int_equal(small[0], 0);
	strscpy(small, "q", 1);
	assert_int_equal(small[0], 0);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat"
/* Each conversion with each flag, width and size of buffer: as the host's, which has the same subset. */
static void formats(void **state)
{
	static const char *const flags[] = { "", "-", "0", "3", "-7", "012", "20", "*", "-*" };
	static const char convs[][4] = { "d", "i", "u", "x", "X", "ld", "lu", "lx", "lld", "zu", "c", "s", ".2s", ".0s" };
	static const uint64_t values[] = { 0, 1, 9, 10, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull, 'q' };
	char fmt[16], want[80], got[80];

	(void)state;
	for (unsigned f = 0; f < ARRAY_SIZE(flags); f++)
		for (unsigned c = 0; c < ARRAY_SIZE(convs); c++)
			for (unsigned v = 0; v < ARRAY_SIZE(values); v++)
				for (size_t size = 0; size < 30; size += 1 + shim_random(5)) {
					bool star = strchr(flags[f], '*'), str = strchr(convs[c], 's'), ch = convs[c][0] == 'c';
					uint64_t arg = str ? (uint64_t)"string" : ch ? 'q' : values[v];
					int n, m;

					if ((str || ch) && flags[f][0] == '0') /* no meaning in C */
						continue;
					host_snprintf(fmt, sizeof(fmt), "<%%%s%s>", flags[f], convs[c]);
					(memset)(want, 0x55, sizeof(want));
					(memset)(got, 0x55, sizeof(got));
					n = star ? host_snprintf(want, size, fmt, 9, arg) : host_snprintf(want, size, fmt, arg);
					m = star ? snprintf(got, size, fmt, 9, arg) : snprintf(got, size, fmt, arg);
					assert_int_equal(n, m);
					assert_memory_equal(want, got, sizeof(want));
				}
	snprintf(got, sizeof(got), "%p|%%|%s", (void *)0x12ab, (char *)NULL);
	assert_int_equal(strcmp(got, "00000000000012ab|%|(null)"), 0);
	assert_int_equal(snprintf(got, sizeof(got), "ab%"), 2);
	assert_int_equal(strcmp(got, "ab"), 0);
	assert_int_equal(snprintf(got, sizeof(got), "%d %s %ld", 1, "two", -3l), 8);
	assert_int_equal(strcmp(got, "1 two -3"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(moves), cmocka_unit_test(compares), cmocka_unit_test(formats) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
