/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_TYPES_H
#define CARREL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A machine (host) physical address in bytes, and the same by 4 KiB frames. */
typedef uint64_t paddr_t;
typedef uint64_t mfn_t;
/* A guest physical address in bytes, and by frames. */
typedef uint64_t gpa_t;
typedef uint64_t gfn_t;
/* A guest linear (virtual) address. */
typedef uint64_t gva_t;
/* Nanoseconds since the core started (host system time). */
typedef uint64_t ns_t;
typedef uint16_t domid_t;

#define INVALID_MFN (~(mfn_t)0)
#define INVALID_GFN (~(gfn_t)0)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define KiB        1024ul
#define MiB        (1024ul * KiB)
#define GiB        (1024ul * MiB)

#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)        (((x) + ((a) - 1)) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a)      ((x) & ~((typeof(x))(a) - 1))
#define DIV_ROUND_UP(x, y)    (((x) + (y) - 1) / (y))
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))
#define BIT(n)                (1ul << (n))
#define likely(x)             __builtin_expect(!!(x), 1)
#define unlikely(x)           __builtin_expect(!!(x), 0)
#define container_of(p, t, m) ((t *)((char *)(p) - offsetof(t, m)))

#define __packed         __attribute__((packed))
#define __aligned(n)     __attribute__((aligned(n)))
#define __noreturn       __attribute__((noreturn))
#define __printf(f, a)   __attribute__((format(printf, f, a)))
#define __must_check     __attribute__((warn_unused_result))

/* Compiler barrier, and accesses that the compiler may neither tear nor repeat. */
#define barrier()        __asm__ volatile("" ::: "memory")
#define READ_ONCE(x)     (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define smp_mb()         __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
