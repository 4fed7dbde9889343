/* SPDX-License-Identifier: Apache-2.0 */
#include "p2m.h"

#include "cpu_ops.h"
#include "svm.h"
#include "vmx.h"

enum { R = 1, W = 2, X = 4 };

static unsigned access_of(enum p2m_type t)
{
	switch (t) {
	case P2M_RAM:
		return R | W | X;
	case P2M_RAM_RO:
		return R | X;
	case P2M_MMIO:
	case P2M_FOREIGN:
	case P2M_GRANT_RW:
	case P2M_SHARED:
		return R | W;
	case P2M_FOREIGN_RO:
	case P2M_GRANT_RO:
		return R;
	case P2M_NONE:
		break;
	}
	return 0;
}

/* ---- nested page tables: the ordinary 4-level format; all accesses count as user ones (APM 2 15.25.5) ---- */
#define NPT_P   BIT(0)
#define NPT_W   BIT(1)
#define NPT_U   BIT(2)
#define NPT_PCD BIT(4) /* alone: entry 2 of the PAT, UC-, which lets the guest ask for write combining */
#define NPT_NX  BIT(63)

static uint64_t npt_leaf(mfn_t mfn, unsigned level, enum p2m_type t)
{
	unsigned a = access_of(t);

	if (!a)
		return 0;
	return (mfn << PAGE_SHIFT & P2M_ADDR) | (uint64_t)t << P2M_TYPE_SHIFT | NPT_P | NPT_U | (a & W ? NPT_W : 0) |
	       (a & X ? 0 : NPT_NX) | (t == P2M_MMIO ? NPT_PCD : 0) | (level ? P2M_LARGE : 0);
}

static uint64_t npt_table(mfn_t mfn)
{
	return (mfn << PAGE_SHIFT & P2M_ADDR) | NPT_P | NPT_W | NPT_U;
}

struct p2m_format npt_format = { .leaf = npt_leaf, .table = npt_table };

/* ---- extended page tables (SDM 3C 29.3.2) ---- */
#define EPT_MEMTYPE(t) ((uint64_t)(t) << 3)
#define EPT_UC         0 /* without "ignore PAT": a guest's WC makes it WC */
#define EPT_WB         6

static uint64_t ept_leaf(mfn_t mfn, unsigned level, enum p2m_type t)
{
	unsigned a = access_of(t);

	if (!a)
		return 0;
	if (level && ept_format.large_nx)
		a &= R | W;
	return (mfn << PAGE_SHIFT & P2M_ADDR) | (uint64_t)t << P2M_TYPE_SHIFT | a |
	       EPT_MEMTYPE(t == P2M_MMIO ? EPT_UC : EPT_WB) | (level ? P2M_LARGE : 0);
}

static uint64_t ept_table(mfn_t mfn)
{
	return (mfn << PAGE_SHIFT & P2M_ADDR) | R | W | X;
}

struct p2m_format ept_format = { .leaf = ept_leaf, .table = ept_table };
