/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_LIB_H
#define CARREL_LIB_H

#include "types.h"

/* ---- memory and strings (hv/boot/string.c), usual C meanings ---- */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
/* For the compiler to expand small constant sizes in place, which -ffreestanding would stop. */
#define memcpy(d, s, n) __builtin_memcpy(d, s, n)
#define memset(d, c, n) __builtin_memset(d, c, n)
#define memcmp(a, b, n) __builtin_memcmp(a, b, n)
/* Copies at most size-1 bytes and always terminates. */
void strscpy(char *dst, const char *src, size_t size);

/* ---- console (hv/boot/console.c) ---- */
/* printf-like, to serial, framebuffer and the console ring. Knows d i u x X p s c % and l ll z, width, 0, -, '*', and a
 * precision for s. Any context. A message begins with LOG_* (default INFO) and is one or more whole lines, the last newline
 * being optional; each line is prefixed "carrel: ". */
#define LOG_ERR   "<0>"
#define LOG_WARN  "<1>"
#define LOG_INFO  "<2>"
#define LOG_DEBUG "<3>"
void printk(const char *fmt, ...) __printf(1, 2);
/* As printk(LOG_WARN), but at most about ten lines a second in all: for anything a guest can cause. */
void printk_guest(const char *fmt, ...) __printf(1, 2);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int vsnprintf(char *buf, size_t size, const char *fmt, __builtin_va_list ap);

/* Prints "carrel: panic: ...", registers and a stack trace; stops all CPUs; never returns. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;
/* For what a person can mend (no IOMMU, no VT-x, bad module): "carrel: cannot start: ..." on serial and screen, then halts. */
void refuse(const char *fmt, ...) __printf(1, 2) __noreturn;

#define ASSERT(x)                                                                                                      \
	do {                                                                                                           \
		if (unlikely(!(x)))                                                                                    \
			panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #x);                                  \
	} while (0)

/* ---- doubly linked lists (header only) ---- */
struct list {
	struct list *next, *prev;
};
#define LIST_INIT(l) { &(l), &(l) }
static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}
/* Inserts n before pos; with pos the head that is the tail of the list. */
static inline void list_add_tail(struct list *pos, struct list *n)
{
	n->prev = pos->prev;
	n->next = pos;
	pos->prev->next = n;
	pos->prev = n;
}
/* Leaves n pointing at itself, so that a second removal does no harm. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}
#define list_entry(p, t, m)   container_of(p, t, m)
#define list_for_each(p, head) for (struct list *p = (head)->next; p != (head); p = p->next)

/* ---- bitmaps of 64-bit words ---- */
static inline bool bit_test(const uint64_t *map, unsigned n)
{
	return map[n / 64] >> (n % 64) & 1;
}
static inline void bit_set(uint64_t *map, unsigned n)
{
	map[n / 64] |= 1ull << (n % 64);
}
static inline void bit_clear(uint64_t *map, unsigned n)
{
	map[n / 64] &= ~(1ull << (n % 64));
}

#endif
