// SPDX-License-Identifier: Apache-2.0
/* Text, checks, the command line, random numbers, the end. */
#include "guest.h"
#include "xencall.h"

unsigned failures;
char cmdline[1024];
uint64_t rnd_state;

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n)::"memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (uint8_t)*a - (uint8_t)*b;
}

struct out {
	char *to;
	size_t size, n;
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < o->size)
		o->to[o->n] = c;
	o->n++;
}

static void put_number(struct out *o, uint64_t val, unsigned base, bool negative, int width, char pad)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[val % base];
	while (val /= base);
	if (negative)
		digits[n++] = '-';
	for (; width > n; width--)
		put(o, pad);
	while (n)
		put(o, digits[--n]);
}

static void put_arg(struct out *o, const char **fmt, va_list ap)
{
	const char *f = *fmt;
	char pad = *f == '0' ? '0' : ' ';
	bool wide = false;
	int width = 0;
	uint64_t v;

	while (*f >= '0' && *f <= '9')
		width = width * 10 + *f++ - '0';
	for (; *f == 'l' || *f == 'z'; f++)
		wide = true;
	*fmt = f + 1;
	if (*f == 's') {
		const char *s = va_arg(ap, const char *);

		while (*s)
			put(o, *s++);
		return;
	}
	if (*f == 'c' || *f == '%') {
		put(o, *f == 'c' ? (char)va_arg(ap, int) : '%');
		return;
	}
	if (*f == 'd') {
		int64_t s = wide ? va_arg(ap, int64_t) : va_arg(ap, int);

		put_number(o, s < 0 ? -(uint64_t)s : (uint64_t)s, 10, s < 0, width, pad);
		return;
	}
	v = wide || *f == 'p' ? va_arg(ap, uint64_t) : va_arg(ap, unsigned);
	put_number(o, v, *f == 'u' ? 10 : 16, false, width, pad);
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt != '%')
			put(&o, *fmt++);
		else if (fmt++, 1)
			put_arg(&o, &fmt, args);
	}
	va_end(args);
	if (size)
		buf[MIN(o.n, size - 1)] = 0;
	return (int)o.n;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

void print(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write(line, strlen(line));
}

bool check_at(bool cond, const char *file, int line, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (cond)
		return true;
	if (++failures > 100)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const char *s = file; *s; s++)
		file = *s == '/' ? s + 1 : file;
	print("FAILED %s:%d: %s\n", file, line, text);
	return false;
}

uint64_t option(const char *key, uint64_t otherwise)
{
	size_t n = strlen(key);

	for (const char *s = cmdline; *s; s++) {
		uint64_t v = 0;

		if ((s != cmdline && s[-1] != ' ') || memcmp(s, key, n) || s[n] != '=')
			continue;
		for (s += n + 1; *s >= '0' && *s <= '9'; s++)
			v = v * 10 + (uint64_t)(*s - '0');
		return v;
	}
	return otherwise;
}

/* xorshift64* */
uint64_t rnd(void)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return rnd_state * 0x2545f4914f6cdd1dul;
}
