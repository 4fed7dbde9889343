/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls (xen.c), domains (build.c). */
#ifndef XENCALL_H
#define XENCALL_H

#include "guest.h"

#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

/* errno.h's numbers are Xen's. */
enum {
	EPERM = 1, ENOENT = 2, ESRCH = 3, EIO = 5, ENXIO = 6, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17,
	ENODEV = 19, EINVAL = 22, ENOSPC = 28, ENOSYS = 38, ENODATA = 61, ETIME = 62, EOPNOTSUPP = 95, ENOBUFS = 105,
};

/* Holes in everyone's physical map where tests put things; below 4 GiB, which is what the page tables reach. */
#define SHARED_GFN 0x40000ul
#define GRANT_GFN  0x40010ul
#define WINDOW_GFN 0x50000ul

#define VEC_CALLBACK 0xf3
#define VEC_UPCALL   0xe2
#define VEC_TIMER    0xe0
#define VEC_IPI      0xe1

long hypercall(unsigned nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
#define HC(nr, a, b, c) hypercall(__HYPERVISOR_##nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0)
#define memory_op(cmd, arg)  HC(memory_op, cmd, arg, 0)
#define evtchn_op(cmd, arg)  HC(event_channel_op, cmd, arg, 0)
#define vcpu_op(cmd, id, arg) HC(vcpu_op, cmd, id, arg)
#define sched_op(cmd, arg)   HC(sched_op, cmd, arg, 0)
#define grant_op(cmd, arg, n) HC(grant_table_op, cmd, arg, n)

extern bool privileged;
extern domid_t my_domid;
extern volatile uint32_t events[4096]; /* how often each port was seen by the upcall */
#define shared ((struct shared_info *)(SHARED_GFN * PAGE_SIZE))

void console_write(const char *s, size_t n);
void xen_init(void);   /* shared_info, callback vector, my_domid */
uint64_t now(void);    /* ns, of the vCPU that asks */
void yield(void);
void event_upcall(void);
long set_timer(uint64_t ns);
void sleep_until(uint64_t ns); /* with interrupts on; needs timer_bind */
unsigned timer_bind(void);     /* VIRQ_TIMER of vCPU 0: its port */
long hvm_param(unsigned index, uint64_t *val, bool set);
long map_space(unsigned space, uint64_t idx, uint64_t gfn);
long unmap_gfn(uint64_t gfn);
unsigned alloc_unbound(domid_t dom, domid_t remote); /* 0 none */
long close_port(unsigned port);
void shutdown(unsigned reason) __attribute__((noreturn));

/* ---- domains ---- */
#define IMAGE_GFN   0x1000ul  /* where it is linked */
#define IMAGE_PAGES 0x800ul   /* 8 MiB */
#define EXTRA_GFN   0x4000ul  /* more memory on request */
#define LOW_GFN     0x10ul    /* trampoline, start info */

/* The page a domain shares with the service domain. */
enum { BOX_NEW, BOX_RUNNING, BOX_DONE };
struct box {
	volatile uint32_t state, failures;
	volatile uint64_t progress;
	volatile uint64_t arg[32];
	volatile uint32_t wr, rd; /* text */
	char text[2048];
};
extern struct box box;

struct domu {
	domid_t id;
	struct box *box; /* mapped here; NULL none */
	uint64_t box_gfn;
};
long domctl(struct xen_domctl *op, unsigned cmd, domid_t id);
long sysctl(struct xen_sysctl *op, unsigned cmd);
uint64_t free_pages(void);
/* Makes a domain, paused, that will start this image with that command line. False and a failed check otherwise. */
bool domu_build(struct domu *d, const char *words, unsigned vcpus, unsigned extra_pages);
long domu_unpause(struct domu *d);
void domu_text(struct domu *d); /* prints what it said */
bool domu_info(struct domu *d, struct xen_domctl_getdomaininfo *info);
/* Waits until it is done or stopped, or so many ns passed. Returns its shutdown reason, -1 still running. Text is printed. */
int domu_wait(struct domu *d, uint64_t ns);
void domu_destroy(struct domu *d); /* and takes the box out */
long map_foreign(domid_t id, uint64_t theirs, uint64_t gfn, unsigned n);
/* n pages of window from here on are free for map_foreign; never given back. */
uint64_t window(unsigned n);
void unmap_range(uint64_t gfn, unsigned n);

#endif
