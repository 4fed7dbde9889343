// SPDX-License-Identifier: Apache-2.0
/* The ACPI DMAR table (VT-d 8): which remapping units there are, and which devices are behind which. The table is the
 * firmware's word: a damaged one stops the start, as isolation would rest on it. */
#include "boot.h"
#include "errno.h"
#include "frame.h"
#include "iommu.h"
#include "lib.h"
#include "pci.h"
#include "vtd.h"

struct dmar_header {
	struct acpi_table acpi;
	uint8_t address_width, flags;
	uint8_t reserved[10];
} __packed;
_Static_assert(sizeof(struct dmar_header) == 48, "VT-d 8.1");

enum { DMAR_DRHD = 0, DMAR_RMRR = 1 };
struct dmar_entry {
	uint16_t type, length;
	union {
		struct {
			uint8_t flags, size;
			uint16_t seg;
			uint64_t base;
		} __packed drhd;
		struct {
			uint16_t reserved, seg;
			uint64_t base, limit;
		} __packed rmrr;
	};
} __packed;
#define DRHD_SIZE 16u
#define RMRR_SIZE 24u
_Static_assert(offsetof(struct dmar_entry, drhd.base) == 8, "VT-d 8.3");
_Static_assert(offsetof(struct dmar_entry, rmrr.limit) == 16, "VT-d 8.4");

struct dmar_raw_scope {
	uint8_t type, length, reserved[2], id, bus;
	struct {
		uint8_t dev, fn;
	} path[];
} __packed;
#define SCOPE_SIZE 6u

struct vtd_unit vtd_units[VTD_MAX_UNITS];
unsigned nr_vtd_units;
struct dmar_rmrr dmar_rmrrs[DMAR_MAX_RMRRS];
unsigned nr_dmar_rmrrs;
bool dmar_intremap;

static void damaged(const char *what) __noreturn;
static void damaged(const char *what)
{
	refuse("the firmware's DMAR table is damaged (%s): a firmware update may help, or iommu=off to do without isolation",
	       what);
}

/* A path leads from a bus through bridges to the device. */
static uint16_t resolve(uint16_t seg, const struct dmar_raw_scope *r)
{
	unsigned n = (r->length - SCOPE_SIZE) / 2;
	uint8_t bus = r->bus;
	uint16_t bdf = 0;

	for (unsigned i = 0; i < n; i++) {
		if (r->path[i].dev > 31 || r->path[i].fn > 7)
			damaged("device number");
		bdf = (uint16_t)(bus << 8 | r->path[i].dev << 3 | r->path[i].fn);
		if (i + 1 < n)
			bus = (uint8_t)pci_read(seg, bdf, 0x19, 1); /* secondary bus */
	}
	return bdf;
}

static struct dmar_scope *parse_scopes(uint16_t seg, const uint8_t *p, unsigned len, unsigned *nr)
{
	struct dmar_scope *s = len ? kalloc(len / SCOPE_SIZE * sizeof(*s) + 1) : NULL;

	if (len && !s)
		refuse("no memory to read the DMAR table");
	while (len) {
		const struct dmar_raw_scope *r = (const void *)p;

		if (len < SCOPE_SIZE + 2 || r->length < SCOPE_SIZE + 2 || r->length > len || r->length % 2)
			damaged("device scope length");
		s[*nr].type = r->type;
		s[*nr].id = r->id;
		s[(*nr)++].bdf = resolve(seg, r);
		p += r->length;
		len -= r->length;
	}
	return s;
}

static void parse_drhd(const struct dmar_entry *e)
{
	struct vtd_unit *u = &vtd_units[nr_vtd_units];

	if (e->length < DRHD_SIZE || !e->drhd.base || e->drhd.base % PAGE_SIZE || e->drhd.base >> 52)
		damaged("remapping unit");
	if (boot_is_ram(e->drhd.base, PAGE_SIZE))
		damaged("remapping unit in RAM");
	if (nr_vtd_units == VTD_MAX_UNITS)
		refuse("this machine has more than %u IOMMUs, which is more than the core handles", VTD_MAX_UNITS);
	u->id = nr_vtd_units++;
	u->base = e->drhd.base;
	u->seg = e->drhd.seg;
	u->include_all = e->drhd.flags & 1;
	u->scope = parse_scopes(u->seg, (const uint8_t *)e + DRHD_SIZE, e->length - DRHD_SIZE, &u->nr_scopes);
}

static void parse_rmrr(const struct dmar_entry *e)
{
	struct dmar_rmrr *r = &dmar_rmrrs[nr_dmar_rmrrs];

	if (e->length < RMRR_SIZE || e->rmrr.base > e->rmrr.limit || e->rmrr.limit >> 48 || e->rmrr.limit - e->rmrr.base >= 4 * GiB)
		damaged("reserved memory region");
	if (nr_dmar_rmrrs == DMAR_MAX_RMRRS)
		damaged("too many reserved memory regions");
	nr_dmar_rmrrs++;
	r->seg = e->rmrr.seg;
	r->base = ALIGN_DOWN(e->rmrr.base, PAGE_SIZE);
	r->end = ALIGN_DOWN(e->rmrr.limit, PAGE_SIZE) + PAGE_SIZE;
	r->scope = parse_scopes(r->seg, (const uint8_t *)e + RMRR_SIZE, e->length - RMRR_SIZE, &r->nr_scopes);
}

bool dmar_parse(void)
{
	const struct dmar_header *h = (const void *)acpi_find("DMAR", 0);
	const uint8_t *p, *end;

	if (!h)
		return false;
	if (h->acpi.length < sizeof(*h))
		damaged("length");
	dmar_intremap = h->flags & 1;
	end = (const uint8_t *)h + h->acpi.length;
	for (p = (const uint8_t *)(h + 1); p < end; p += ((const struct dmar_entry *)p)->length) {
		const struct dmar_entry *e = (const void *)p;

		if (end - p < 4 || e->length < 4 || e->length > end - p)
			damaged("entry length");
		if (e->type == DMAR_DRHD)
			parse_drhd(e);
		else if (e->type == DMAR_RMRR)
			parse_rmrr(e);
		/* ATSR and later ones: device TLBs are never allowed, so there is nothing in them for us. */
	}
	return nr_vtd_units > 0;
}

bool dmar_scope_has(const struct dmar_scope *s, unsigned n, uint16_t seg, uint16_t bdf)
{
	for (; n--; s++) {
		unsigned bus = bdf >> 8;

		if ((s->type == SCOPE_ENDPOINT || s->type == SCOPE_BRIDGE) && s->bdf == bdf)
			return true;
		/* Everything below a bridge: its secondary to its subordinate bus, as they are now. */
		if (s->type == SCOPE_BRIDGE && bus >= pci_read(seg, s->bdf, 0x19, 1) && bus <= pci_read(seg, s->bdf, 0x1a, 1))
			return true;
	}
	return false;
}

struct vtd_unit *dmar_unit(uint16_t seg, uint16_t bdf)
{
	struct vtd_unit *all = NULL;

	for (struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++) {
		if (u->seg != seg)
			continue;
		if (dmar_scope_has(u->scope, u->nr_scopes, seg, bdf))
			return u;
		if (u->include_all)
			all = u;
	}
	return all;
}

bool iommu_owns(paddr_t pa)
{
	for (const struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++)
		if (pa - u->base < MAX(u->regs_size, PAGE_SIZE))
			return true;
	return false;
}

int iommu_ioapic_sid(uint8_t ioapic_id)
{
	for (const struct vtd_unit *u = vtd_units; u < vtd_units + nr_vtd_units; u++)
		for (unsigned i = 0; i < u->nr_scopes; i++)
			if (u->scope[i].type == SCOPE_IOAPIC && u->scope[i].id == ioapic_id)
				return u->scope[i].bdf;
	return -ENOENT;
}
