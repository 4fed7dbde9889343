/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_P2M_H
#define CARREL_P2M_H

#include "types.h"

/*
 * A domain's guest-physical to machine map: the NPT or EPT tree, and the VT-d tree beside it when the domain owns
 * devices (hv/mm/p2m.c; entry formats by cpu_ops->p2m). Core lock.
 */
struct domain;

enum p2m_type {
	P2M_NONE = 0,
	P2M_RAM,      /* the domain's own frame, rwx */
	P2M_RAM_RO,   /* same, r-x */
	P2M_MMIO,     /* device registers, uncached, rw- ; no frame reference */
	P2M_FOREIGN,  /* another domain's frame, rw-; holds a frame reference */
	P2M_FOREIGN_RO,
	P2M_GRANT_RW, /* granted frame; the grant table holds the reference */
	P2M_GRANT_RO,
	P2M_SHARED,   /* a FRAME_SHARED page (shared_info, grant table); no reference */
};

/* What NPT and EPT entries have in common, and what the core adds, so that p2m.c reads both alike (p2m_init checks it):
 * 0 is "not present"; every present entry has bit 0; bit 7 marks a 2M or 1G leaf; the frame is in bits 51:12; leaves keep
 * their enum p2m_type in bits 55:52, which both CPUs ignore. */
#define P2M_PRESENT    BIT(0)
#define P2M_LARGE      BIT(7)
#define P2M_ADDR       0x000ffffffffff000ull
#define P2M_TYPE_SHIFT 52

struct p2m {
	uint64_t *root;      /* top table, 512 entries */
	uint64_t root_pa;    /* nCR3, or what the EPTP is made of */
	uint32_t gen;        /* raised by p2m_flush; a CPU whose copy is older flushes before entry */
	bool need_flush;     /* entries were removed or tightened since the last p2m_flush */
	uint32_t table_pages, max_tables;
	gfn_t max_gfn;       /* highest ever mapped */
};

/* Tables come and stay: a guest that moves its pages about can make ever more of them. This many at most; the toolstack raises it
 * with the paging pool's size, as libxl does in proportion to memory. 256 is Xen's minimum too. */
#define P2M_MIN_TABLES 256u
int p2m_init(struct domain *d);
/* Frees the tables. All entries must be gone or hold no references (see p2m_relinquish). */
void p2m_free(struct domain *d);

/* Sets 2^order gfns (order 0, 9 or 18; gfn and mfn aligned to it). Splits larger entries as needed. What was there before is
 * overwritten: its references are the caller's business. Sets need_flush if a present entry changed. Keeps frame.gfn of
 * P2M_RAM frames. Updates the IOMMU tree as well: RAM, GRANT, FOREIGN are DMA-able, MMIO and SHARED are not.
 * -ENOMEM (then nothing changed), -EINVAL: also when the frame is not of a kind that t may map (core memory, free memory,
 * another owner's frame as RAM, RAM as MMIO). */
int p2m_set(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t);
/* Clears 2^order gfns. */
int p2m_clear(struct domain *d, gfn_t gfn, unsigned order);
/* Makes 4K entries of the one that maps gfn. -ENOMEM. */
int p2m_split(struct domain *d, gfn_t gfn);
/* INVALID_MFN and P2M_NONE when not mapped. t and order may be NULL; *order is the size of the entry found. */
mfn_t p2m_get(struct domain *d, gfn_t gfn, enum p2m_type *t, unsigned *order);
/* Makes removals visible: afterwards no CPU and no device of d can use an entry that was removed before the call.
 * Cheap when need_flush is clear. Must be called after a removal and before the frame's reference is dropped. */
void p2m_flush(struct domain *d);
/* Drops what is left of a dying domain, in chunks: RAM entries lose their frame reference, foreign ones too.
 * 0 done, -ERESTART call again. *cursor starts at 0. */
int p2m_relinquish(struct domain *d, gfn_t *cursor);
/* Maps into a new d->iommu what the p2m has already. -ENOMEM. */
int p2m_mirror(struct domain *d);
/* Highest gfn that was ever mapped. */
gfn_t p2m_max_gfn(struct domain *d);

/* Pointer to guest memory at gpa if it is RAM that d may access that way (any RAM-like type; write wants a writable one);
 * NULL otherwise. Valid until the p2m changes. Never crosses the page: use up to PAGE_SIZE - (gpa & ~PAGE_MASK) bytes. */
void *p2m_ptr(struct domain *d, gpa_t gpa, bool write);

#endif
