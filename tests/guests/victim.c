// SPDX-License-Identifier: Apache-2.0
/* Domains that others attack or look at. */
#include "tests.h"

/* Grants a page to the service domain only and has a port for it: see the attack "others". */
void guest_idle(void)
{
	volatile grant_entry_v1_t *e = (void *)(GRANT_GFN * PAGE_SIZE);

	map_space(XENMAPSPACE_grant_table, 0, GRANT_GFN);
	for (unsigned i = 8; i < 16; i++) {
		e[i].domid = 0;
		e[i].frame = (uint32_t)(IMAGE_GFN + IMAGE_PAGES - 1);
		barrier();
		e[i].flags = GTF_permit_access;
		alloc_unbound(DOMID_SELF, 0);
	}
	box.progress = 1; /* it takes no more pages */
	for (;;)
		sched_op(SCHEDOP_block, 0);
}

void guest_busy(void)
{
	if (intel)
		sti(); /* see endless_nothing */
	for (;;)
		box.progress++;
}
