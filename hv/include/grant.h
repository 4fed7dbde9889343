/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_GRANT_H
#define CARREL_GRANT_H

#include "types.h"

/* xen/grant.c: grant tables version 1. Core lock. */
struct domain;

struct grant_active {      /* what the core knows of a grant in use */
	mfn_t mfn;
	uint32_t pins_rw, pins_ro;
	domid_t domid;
};
struct maptrack {
	domid_t granter;
	uint16_t flags;        /* 0 free, else GNTMAP_* of the mapping */
	uint32_t ref;
	gfn_t gfn;             /* where it was put */
	mfn_t mfn;
};
#define GRANT_FRAMES_MAX 256
struct grant_table {
	unsigned frames, max_frames;   /* shared table pages in use */
	void *shared[GRANT_FRAMES_MAX];
	mfn_t shared_mfn[GRANT_FRAMES_MAX];
	gfn_t shared_gfn[GRANT_FRAMES_MAX]; /* where the guest has them, INVALID_GFN */
	struct grant_active *active[GRANT_FRAMES_MAX]; /* 512 records a table page */
	struct maptrack *maptrack[256];      /* pages of records, this domain's mappings of others */
	unsigned maptrack_pages, max_maptrack_pages;
	uint32_t maptrack_free, maptrack_used;
};

int grant_init(struct domain *d, unsigned max_frames, unsigned max_maptrack);
/* Makes the table at least n frames. */
int grant_grow(struct domain *d, unsigned n);
/* Undoes this domain's mappings of others (dying), then drops the table. Chunked: -ERESTART. */
int grant_relinquish(struct domain *d);
void grant_free(struct domain *d);
/* Writes grant entry ref of d for the domain builder or gnttab_seed: full access to frame gfn for `to`. */
int grant_seed(struct domain *d, uint32_t ref, domid_t to, gfn_t gfn);
/* add_to_physmap XENMAPSPACE_grant_table: mfn of table page idx (grows). INVALID_MFN. */
mfn_t grant_table_frame(struct domain *d, unsigned idx);

#endif
