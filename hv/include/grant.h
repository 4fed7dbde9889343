/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_GRANT_H
#define CARREL_GRANT_H

#include "types.h"

/*
 * xen/grant.c: grant tables version 1. Core lock.
 *
 * A grant is pinned while it is mapped or copied: its flags in the guest's table then say reading or writing, which tells the
 * granter that it cannot take it back. Each mapping holds a reference on the frame, so that the frame and the struct domain
 * of its owner outlive the granter's other memory.
 */
struct domain;

struct grant_active {      /* what the core knows of a grant; mfn and domid are valid while it has pins */
	uint32_t mfn;
	domid_t domid;     /* who uses it */
	uint32_t pins_rw, pins_ro;
};
#define GRANTS_PER_FRAME 512
struct maptrack {          /* a mapping of another domain's frame; the handle is its index */
	domid_t granter;
	uint16_t flags;    /* 0 free, else GNTMAP_host_map and GNTMAP_readonly */
	uint32_t ref;      /* free: handle + 1 of the next free one, 0 none */
	gfn_t gfn;         /* where it was put */
};
#define MAPTRACK_PER_PAGE 256
#define GRANT_FRAMES_MAX 256
struct grant_table {
	unsigned frames, max_frames;   /* shared table pages in use */
	void *shared[GRANT_FRAMES_MAX];
	mfn_t shared_mfn[GRANT_FRAMES_MAX];
	gfn_t shared_gfn[GRANT_FRAMES_MAX]; /* where the guest has them, INVALID_GFN */
	struct grant_active *active[GRANT_FRAMES_MAX]; /* GRANTS_PER_FRAME records a table page */
	struct maptrack *maptrack[256];      /* pages of records, this domain's mappings of others */
	unsigned maptrack_pages, max_maptrack_pages;
	uint32_t maptrack_free;        /* handle + 1, 0 none */
};

/* Counts above what the core has room for are cut; max_frames 0 is -EINVAL. */
int grant_init(struct domain *d, unsigned max_frames, unsigned max_maptrack);
/* Makes the table at least n frames. -EINVAL beyond max_frames, -ENOMEM. */
int grant_grow(struct domain *d, unsigned n);
/* Undoes this domain's mappings of others (dying). Chunked: -ERESTART. */
int grant_relinquish(struct domain *d);
void grant_free(struct domain *d);
/* add_to_physmap XENMAPSPACE_grant_table: mfn of table page idx (grows). INVALID_MFN. */
mfn_t grant_table_frame(struct domain *d, unsigned idx);

#endif
