/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"

#include <stdarg.h>

struct out {
	char *buf;
	size_t size, len; /* len counts what does not fit too */
};

struct spec {
	bool left, zero;
	int width, precision; /* precision -1: none */
	bool is_long;
	va_list ap;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_padded(struct out *o, const struct spec *sp, const char *s, int n)
{
	bool zero = sp->zero && !sp->left;
	int pad = sp->width > n ? sp->width - n : 0;
	if (zero && n && *s == '-') {
		put(o, *s++);
		n--;
	}
	for (; pad && !sp->left; pad--)
		put(o, zero ? '0' : ' ');
	while (n--)
		put(o, *s++);
	while (pad--)
		put(o, ' ');
}

static void put_number(struct out *o, const struct spec *sp, uint64_t v, unsigned base, bool negative, char letter)
{
	char digits[24], *p = digits + sizeof(digits);
	do {
		char d = (char)(v % base);
		*--p = (char)(d < 10 ? '0' + d : letter + d - 10);
		v /= base;
	} while (v);
	if (negative)
		*--p = '-';
	put_padded(o, sp, p, (int)(digits + sizeof(digits) - p));
}

static int parse_count(const char **f, struct spec *sp)
{
	int n = 0;
	if (**f == '*') {
		++*f;
		return va_arg(sp->ap, int);
	}
	for (; **f >= '0' && **f <= '9'; ++*f)
		n = n * 10 + (**f - '0');
	return n;
}

static void parse_spec(const char **f, struct spec *sp)
{
	sp->left = sp->zero = sp->is_long = false;
	for (;; ++*f) {
		if (**f == '-')
			sp->left = true;
		else if (**f == '0')
			sp->zero = true;
		else
			break;
	}
	sp->width = parse_count(f, sp);
	sp->precision = -1;
	if (**f == '.') {
		++*f;
		sp->precision = parse_count(f, sp);
	}
	for (; **f == 'l' || **f == 'z'; ++*f)
		sp->is_long = true;
}

static void convert(struct out *o, struct spec *sp, char c)
{
	if (c == 'd' || c == 'i') {
		int64_t v = sp->is_long ? va_arg(sp->ap, int64_t) : va_arg(sp->ap, int);
		put_number(o, sp, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, 'a');
	} else if (c == 'u' || c == 'x' || c == 'X') {
		uint64_t v = sp->is_long ? va_arg(sp->ap, uint64_t) : va_arg(sp->ap, unsigned);
		put_number(o, sp, v, c == 'u' ? 10 : 16, false, c == 'X' ? 'A' : 'a');
	} else if (c == 'p') {
		sp->zero = true;
		sp->width = 16;
		put_number(o, sp, va_arg(sp->ap, uint64_t), 16, false, 'a');
	} else if (c == 's') {
		const char *s = va_arg(sp->ap, const char *);
		s = s ? s : "(null)";
		sp->zero = false;
		put_padded(o, sp, s, (int)strnlen(s, sp->precision < 0 ? INT32_MAX : (size_t)sp->precision));
	} else if (c == 'c') {
		char ch = (char)va_arg(sp->ap, int);
		put_padded(o, sp, &ch, 1);
	} else {
		put(o, c);
	}
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };
	struct spec sp;
	va_copy(sp.ap, ap);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt++;
		parse_spec(&fmt, &sp);
		if (!*fmt)
			break;
		convert(&o, &sp, *fmt);
	}
	va_end(sp.ap);
	if (size)
		buf[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
