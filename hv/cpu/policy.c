// SPDX-License-Identifier: Apache-2.0
/* CPUID and MSRs as guests see them: an allow-list (features.def), the hypervisor leaves, and a short list of MSRs. */
#include "asm.h"
#include "cpu_ops.h"
#include "domain.h"
#include "errno.h"
#include "fpu.h"
#include "frame.h"
#include "lib.h"
#include "time.h"

#include <xen/arch-x86/cpufeatureset.h>
#include <xen/arch-x86/cpuid.h>

#define MSR_UCODE_REV    0x8b
#define MSR_DE_CFG       0xc0011029

/* What the toolstack's library takes as the leaves of a guest (libxenguest, cpu-policy.h). */
#define NR_BASIC  0xe
#define NR_CACHE  6
#define NR_FEAT   3
#define NR_XSTATE 16 /* it knows 63; guests never get so many */
#define NR_EXTD   0x22
#define XSTATE_SUBLEAVES 63

struct cpu_policy {
	struct cpuid basic[NR_BASIC]; /* without those below */
	struct cpuid cache[NR_CACHE]; /* leaf 4 */
	struct cpuid feat[NR_FEAT];   /* leaf 7 */
	struct cpuid xstate[NR_XSTATE];
	struct cpuid extd[NR_EXTD];   /* 0x80000000... */
	uint64_t arch_caps;
};

static struct cpu_policy raw, max; /* the machine's; the most a guest gets */
static bool intel;
static uint64_t ucode_rev, de_cfg;
static const struct cpuid none;

/* The words of a featureset in their order (xen/arch-x86/cpufeatureset.h); 16 and 17 are MSR ARCH_CAPABILITIES. */
#define NR_WORDS 19
enum { A, B, C, D };
static uint32_t *word(struct cpu_policy *p, unsigned n)
{
	static const struct {
		uint16_t leaf; /* offset of the struct cpuid */
		uint8_t reg;
	} where[NR_WORDS] = {
#define AT(field, r) { offsetof(struct cpu_policy, field), r }
		AT(basic[1], D), AT(basic[1], C), AT(extd[1], D), AT(extd[1], C), AT(xstate[1], A),
		AT(feat[0], B), AT(feat[0], C), AT(extd[7], D), AT(extd[8], B), AT(feat[0], D),
		AT(feat[1], A), AT(extd[0x21], A), AT(feat[1], B), AT(feat[2], D), AT(feat[1], C),
		AT(feat[1], D), AT(arch_caps, 0), AT(arch_caps, 1), AT(extd[0x21], C),
#undef AT
	};
	return (uint32_t *)((char *)p + where[n].leaf) + where[n].reg;
}

static void force(struct cpu_policy *p, unsigned feature)
{
	*word(p, feature / 32) |= 1u << (feature % 32);
}

static void drop(struct cpu_policy *p, unsigned feature)
{
	*word(p, feature / 32) &= ~(1u << (feature % 32));
}

static bool has(struct cpu_policy *p, unsigned feature)
{
	return *word(p, feature / 32) >> (feature % 32) & 1;
}

/* ---- the machine ---- */

static void read_raw(void)
{
	raw.basic[0] = cpuid(0, 0);
	for (uint32_t i = 1; i < NR_BASIC && i <= raw.basic[0].a; i++)
		raw.basic[i] = cpuid(i, 0);
	for (uint32_t i = 0; i < NR_CACHE && raw.basic[0].a >= 4; i++)
		raw.cache[i] = cpuid(4, i);
	for (uint32_t i = 0; i < NR_FEAT && raw.basic[0].a >= 7 && i <= raw.basic[7].a; i++)
		raw.feat[i] = cpuid(7, i);
	for (uint32_t i = 0; i < NR_XSTATE && raw.basic[0].a >= 0xd; i++)
		raw.xstate[i] = cpuid(0xd, i);
	raw.extd[0] = cpuid(0x80000000, 0);
	for (uint32_t i = 1; i < NR_EXTD && (raw.extd[0].a & 0x80000000) && i <= (raw.extd[0].a & 0xffff); i++)
		raw.extd[i] = cpuid(0x80000000 | i, 0);
	if (has(&raw, XEN_X86_FEATURE_ARCH_CAPS) && rdmsr_safe(MSR_ARCH_CAPS, &raw.arch_caps))
		raw.arch_caps = 0;
}

static void mask_features(void)
{
	static const uint16_t allowed[] = {
#define FEATURE(name) XEN_X86_FEATURE_##name,
#include "features.def"
	};
	uint32_t mask[NR_WORDS] = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		mask[allowed[i] / 32] |= 1u << (allowed[i] % 32);
	for (unsigned i = 0; i < NR_WORDS; i++)
		*word(&max, i) = *word(&raw, i) & mask[i];
}

/* XSAVE components: sub-leaves of the ones that fpu.c switches (SDM 1 13.2). */
static void make_xstate(void)
{
	uint32_t features = max.xstate[1].a;

	memset(max.xstate, 0, sizeof(max.xstate));
	if (!fpu_xcr0_mask || !has(&max, XEN_X86_FEATURE_XSAVE)) {
		drop(&max, XEN_X86_FEATURE_XSAVE);
		drop(&max, XEN_X86_FEATURE_AVX);
		return;
	}
	max.xstate[0] = (struct cpuid){ .a = (uint32_t)fpu_xcr0_mask, .c = 576, .d = (uint32_t)(fpu_xcr0_mask >> 32) };
	max.xstate[1].a = features;
	for (unsigned i = 2; i < NR_XSTATE; i++)
		if (fpu_xcr0_mask >> i & 1) {
			max.xstate[i] = raw.xstate[i];
			max.xstate[0].c = MAX(max.xstate[0].c, raw.xstate[i].a + raw.xstate[i].b);
		}
}

void policy_init_host(void)
{
	uint32_t basic, extd;

	read_raw();
	intel = raw.basic[0].b == 0x756e6547; /* "Genu" */
	if (rdmsr_safe(MSR_UCODE_REV, &ucode_rev))
		ucode_rev = 0;
	if (intel || rdmsr_safe(MSR_DE_CFG, &de_cfg))
		de_cfg = 0;
	max = raw;
	basic = MIN(raw.basic[0].a, NR_BASIC - 1u);
	extd = MIN(raw.extd[0].a, 0x80000000u | (intel ? 8 : NR_EXTD - 1));
	max.basic[0].a = basic;
	max.extd[0].a = extd;
	max.feat[0].a = MIN(raw.feat[0].a, NR_FEAT - 1u);
	mask_features();
	force(&max, XEN_X86_FEATURE_X2APIC);
	force(&max, XEN_X86_FEATURE_TSC_DEADLINE);
	force(&max, XEN_X86_FEATURE_HYPERVISOR);
	force(&max, XEN_X86_FEATURE_HTT);
	if (!cpu_has_tsc_aux) {
		drop(&max, XEN_X86_FEATURE_RDTSCP);
		drop(&max, XEN_X86_FEATURE_RDPID);
	}
	if (!(fpu_xcr0_mask & BIT(9)))
		drop(&max, XEN_X86_FEATURE_PKU);
	if (!has(&max, XEN_X86_FEATURE_ARCH_CAPS))
		max.arch_caps = 0;
	make_xstate();

	/* Whole leaves that describe what guests do not have: serial number, MWAIT, power, PMU, direct cache access. */
	max.basic[3] = max.basic[5] = max.basic[8] = max.basic[9] = max.basic[0xa] = max.basic[0xc] = none;
	max.basic[6] = (struct cpuid){ .a = BIT(2) }; /* the APIC timer never stops */
	/* Addresses: at most 48 bits of each (4-level tables). Extended leaves: only those listed live on. */
	max.extd[8].a = MIN(raw.extd[8].a & 0xff, 48u) | MIN(raw.extd[8].a >> 8 & 0xff, 48u) << 8;
	max.extd[8].d = 0;
	max.extd[7] = (struct cpuid){ .d = max.extd[7].d };
	for (unsigned i = 9; i < NR_EXTD; i++) /* 0x80000019 and 1a: TLB and width hints */
		if (i != 0x19 && i != 0x1a && i != 0x21)
			max.extd[i] = none;
	max.extd[0x21] = (struct cpuid){ .a = max.extd[0x21].a, .c = max.extd[0x21].c };
	max.feat[2] = (struct cpuid){ .d = max.feat[2].d };
}

/* ---- a domain ---- */

/* One core a vCPU, one package: APIC id = 2 * vCPU id. */
static void make_topology(struct cpu_policy *p, unsigned vcpus)
{
	uint32_t bits = 1, ids = 2 * vcpus;

	while (1u << bits < ids)
		bits++;
	p->basic[1].b = (p->basic[1].b & 0xff00) | MIN(ids, 255u) << 16;
	for (unsigned i = 0; i < NR_CACHE && intel; i++) {
		uint32_t level = p->cache[i].a >> 5 & 7;
		uint32_t share = level > 2 ? (1u << bits) - 1 : 0;

		if (p->cache[i].a & 0x1f)
			p->cache[i].a = (p->cache[i].a & 0x3fff) | share << 14 | MIN((1u << bits) - 1, 63u) << 26;
	}
	if (!intel)
		p->extd[8].c = bits << 12 | (MIN(ids, 256u) - 1);
}

int policy_init_domain(struct domain *d)
{
	struct cpu_policy *p = kalloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (!tsc_stable)
		drop(&max, XEN_X86_FEATURE_ITSC); /* other CPUs were found out of step meanwhile */
	*p = max;
	make_topology(p, d->max_vcpus);
	d->policy = p;
	return 0;
}

void policy_free_domain(struct domain *d)
{
	kfree(d->policy);
	d->policy = NULL;
}

unsigned policy_phys_bits(const struct domain *d)
{
	return d->policy->extd[8].a & 0xff;
}

/* ---- CPUID ---- */

static void xen_leaf(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid *r)
{
	switch (leaf - XEN_CPUID_FIRST_LEAF) {
	case 0:
		*r = (struct cpuid){ XEN_CPUID_LEAF(XEN_CPUID_MAX_NUM_LEAVES), XEN_CPUID_SIGNATURE_EBX,
				     XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX };
		return;
	case 1:
		r->a = 4u << 16 | 20; /* the ABI's version, as xen_version has it */
		return;
	case 2:
		r->a = 1; /* hypercall pages, and the MSR that places them */
		r->b = 0x40000000;
		return;
	case 3: /* the TSC is never emulated, whatever the toolstack asked for */
		if (sub == 0) {
			r->a = (tsc_stable ? XEN_CPUID_HOST_TSC_RELIABLE : 0) |
			       (cpu_has_tsc_aux ? XEN_CPUID_RDTSCP_INSTR_AVAIL : 0);
			r->b = XEN_CPUID_TSC_MODE_NEVER_EMULATE;
			r->c = (uint32_t)tsc_khz;
		} else if (sub == 1) {
			r->c = tsc_mul;
			r->d = (uint32_t)tsc_shift;
		} else if (sub == 2) {
			r->a = (uint32_t)tsc_khz;
		}
		return;
	case 4:
		/* No UPCALL_VECTOR: the domain-wide callback vector needs no EOI and is cheaper. */
		if (sub == 0) {
			r->a = XEN_HVM_CPUID_IOMMU_MAPPINGS | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
			r->b = v->id;
			r->c = v->domain->id;
		}
	}
}

/* Sizes of the XSAVE area: standard form for XCR0, compacted form for XCR0 | XSS (SDM 1 13.4.2, 13.4.3). */
static void xsave_sizes(const struct vcpu *v, const struct cpu_policy *p, uint32_t sub, struct cpuid *r)
{
	uint32_t standard = 576, compact = 576;

	for (unsigned i = 2; i < NR_XSTATE; i++)
		if (v->xcr0 >> i & 1) {
			standard = MAX(standard, p->xstate[i].a + p->xstate[i].b);
			compact = (p->xstate[i].c & 2 ? ALIGN_UP(compact, 64u) : compact) + p->xstate[i].a;
		}
	if (p->xstate[0].a)
		r->b = sub ? compact : standard;
}

/* Leaf 0xb (SDM 2A, CPUID): thread level of one, core level of the whole package. */
static void topology_leaf(struct vcpu *v, uint32_t sub, struct cpuid *r)
{
	uint32_t bits = 1;

	while (1u << bits < 2 * v->domain->max_vcpus)
		bits++;
	if (sub == 0)
		*r = (struct cpuid){ 1, 1, 1 << 8, 0 };
	else if (sub == 1)
		*r = (struct cpuid){ bits, v->domain->max_vcpus, 2 << 8, 0 };
	r->c |= sub & 0xff;
	r->d = vlapic_id(v);
}

static void basic_leaf(struct vcpu *v, const struct cpu_policy *p, uint32_t leaf, uint32_t sub, struct cpuid *r)
{
	switch (leaf) {
	case 1:
		*r = p->basic[1];
		r->b |= vlapic_id(v) << 24;
		if (cpu_ops->get_cr4(v) & CR4_OSXSAVE)
			r->c |= 1u << (XEN_X86_FEATURE_OSXSAVE % 32);
		return;
	case 4:
		*r = sub < NR_CACHE ? p->cache[sub] : none;
		return;
	case 7:
		*r = sub < NR_FEAT ? p->feat[sub] : none;
		if (!sub && cpu_ops->get_cr4(v) & CR4_PKE)
			r->c |= 1u << (XEN_X86_FEATURE_OSPKE % 32);
		return;
	case 0xb:
		topology_leaf(v, sub, r);
		return;
	case 0xd:
		*r = sub < NR_XSTATE ? p->xstate[sub] : none;
		if (sub < 2)
			xsave_sizes(v, p, sub, r);
		return;
	default:
		*r = p->basic[leaf];
	}
}

/* Every CPUID of a guest comes here, without the core lock: nothing is looked up, a policy changes while its domain is paused. */
void policy_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	const struct cpu_policy *p = v->domain->policy;
	struct cpuid r = none;

	if (leaf <= p->basic[0].a)
		basic_leaf(v, p, leaf, sub, &r);
	else if (leaf >= 0x80000000 && leaf <= p->extd[0].a)
		r = p->extd[leaf & 0xffff];
	else if (leaf >> 8 == XEN_CPUID_FIRST_LEAF >> 8)
		xen_leaf(v, leaf, sub, &r);
	out[0] = r.a;
	out[1] = r.b;
	out[2] = r.c;
	out[3] = r.d;
}

/* ---- MSRs ---- */

/* Read as a constant; a write of anything is ignored where Linux writes. */
#define ON_INTEL 1
#define ON_AMD   2
static const struct fixed_msr {
	uint32_t msr;
	uint8_t vendors;
	bool write;
	uint64_t value;
} fixed_msrs[] = {
	{ 0x17, ON_INTEL, false, 0 },                    /* PLATFORM_ID */
	{ MSR_FEATURE_CONTROL, ON_INTEL, false, 1 },     /* locked: no VMX, no SGX */
	{ 0xce, ON_INTEL, false, 0 },                    /* PLATFORM_INFO: no CPUID faulting */
	{ MSR_MTRRCAP, ON_INTEL | ON_AMD, false, BIT(10) }, /* no ranges, only a default: write-back (SDM 3A 12.11) */
	{ MSR_MTRR_DEF_TYPE, ON_INTEL | ON_AMD, true, BIT(11) | 6 },
	{ MSR_MCG_CAP, ON_INTEL | ON_AMD, false, 0 },    /* no banks */
	{ 0x17a, ON_INTEL | ON_AMD, true, 0 },           /* MCG_STATUS */
	{ MSR_MISC_ENABLE, ON_INTEL, true, BIT(0) | BIT(11) | BIT(12) }, /* fast strings; no BTS, no PEBS */
	{ 0xc0010010, ON_AMD, true, 0 },                 /* SYSCFG */
	{ 0xc0010015, ON_AMD, true, BIT(24) },           /* HWCR: the TSC counts at P0 frequency */
	{ 0xc001001a, ON_AMD, false, 0 },                /* TOP_MEM */
	{ 0xc001001d, ON_AMD, false, 0 },                /* TOP_MEM2 */
	{ 0xc001001f, ON_AMD, true, 0 },                 /* NB_CFG */
	{ 0xc0010055, ON_AMD, true, 0 },                 /* INT_PENDING */
	{ 0xc0010058, ON_AMD, true, 0 },                 /* MMIO_CONF_BASE */
	{ 0xc0010112, ON_AMD, false, 0 },                /* SMM_ADDR */
	{ 0xc0010114, ON_AMD, true, BIT(4) | BIT(3) },   /* VM_CR: SVM disabled and locked */
	{ 0xc0011020, ON_AMD, true, 0 },                 /* LS_CFG */
	{ 0xc0011021, ON_AMD, true, 0 },                 /* IC_CFG */
	{ 0xc0011022, ON_AMD, true, 0 },                 /* DC_CFG */
	{ 0xc0011023, ON_AMD, true, 0 },                 /* BU_CFG */
	{ 0xc001102a, ON_AMD, true, 0 },                 /* BU_CFG2 */
	{ 0x40000000, ON_INTEL | ON_AMD, false, 0 },     /* hypercall page: writes go elsewhere */
};

static const struct fixed_msr *find_msr(uint32_t msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fixed_msrs); i++)
		if (fixed_msrs[i].msr == msr && (fixed_msrs[i].vendors & (intel ? ON_INTEL : ON_AMD)))
			return &fixed_msrs[i];
	return NULL;
}

int policy_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
	const struct fixed_msr *f;

	switch (msr) {
	case MSR_TSC:
		*val = rdtsc() + (uint64_t)v->domain->tsc_offset;
		return 0;
	case MSR_TSC_AUX:
		*val = v->tsc_aux;
		return cpu_has_tsc_aux ? 0 : -EINVAL;
	case MSR_UCODE_REV:
		*val = ucode_rev;
		return 0;
	case MSR_DE_CFG:
		*val = de_cfg & BIT(1); /* LFENCE is serializing; the rest is the machine's own business */
		return intel ? -EINVAL : 0;
	case MSR_ARCH_CAPS:
		*val = v->domain->policy->arch_caps;
		return has(v->domain->policy, XEN_X86_FEATURE_ARCH_CAPS) ? 0 : -EINVAL;
	}
	f = find_msr(msr);
	if (!f)
		return -EINVAL;
	*val = f->value;
	return 0;
}

int policy_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	const struct fixed_msr *f;

	switch (msr) {
	case MSR_TSC: /* domains share the machine's clock */
	case MSR_UCODE_REV:
		return 0;
	case MSR_TSC_AUX:
		return tsc_aux_write(v, val);
	case MSR_PRED_CMD: /* APM 2 3.2.9: a barrier, no state */
		if (!has(v->domain->policy, XEN_X86_FEATURE_IBPB) || val & ~1ull)
			return -EINVAL;
		return val && wrmsr_safe(msr, val) ? -EINVAL : 0;
	case MSR_DE_CFG:
		return intel ? -EINVAL : 0;
	}
	f = find_msr(msr);
	if (f && (f->write || val == f->value))
		return 0;
	printk_guest(LOG_DEBUG "d%uv%u: write of %lx to MSR %x refused", v->domain->id, v->id, val, msr);
	return -EINVAL;
}

/* ---- the toolstack's view ---- */

struct leaf_list {
	struct xen_cpuid_leaf *out;
	unsigned max, n;
};

static void put_leaf(struct leaf_list *l, uint32_t leaf, uint32_t sub, const struct cpuid *c)
{
	if (l->n < l->max)
		l->out[l->n] = (struct xen_cpuid_leaf){ leaf, sub, c->a, c->b, c->c, c->d };
	l->n++;
}

static void put_basic(struct leaf_list *l, const struct cpu_policy *p, uint32_t leaf)
{
	uint64_t states = (uint64_t)p->xstate[0].d << 32 | p->xstate[0].a;

	switch (leaf) {
	case 4:
		for (uint32_t i = 0; i < NR_CACHE; i++) {
			put_leaf(l, leaf, i, &p->cache[i]);
			if (!(p->cache[i].a & 0x1f))
				break;
		}
		return;
	case 7:
		for (uint32_t i = 0; i < NR_FEAT && i <= p->feat[0].a; i++)
			put_leaf(l, leaf, i, &p->feat[i]);
		return;
	case 0xb:
		put_leaf(l, leaf, 0, &none); /* made for each vCPU */
		return;
	case 0xd:
		for (uint32_t i = 0; i < NR_XSTATE && (i < 2 || states >> i); i++)
			put_leaf(l, leaf, i, &p->xstate[i]);
		return;
	default:
		put_leaf(l, leaf, XEN_CPUID_NO_SUBLEAF, &p->basic[leaf]);
	}
}

static unsigned give_leaves(const struct cpu_policy *p, struct xen_cpuid_leaf *out, unsigned max_leaves)
{
	struct leaf_list l = { .out = out, .max = max_leaves };

	for (uint32_t i = 0; i < NR_BASIC && i <= p->basic[0].a; i++)
		put_basic(&l, p, i);
	put_leaf(&l, 0x40000000, XEN_CPUID_NO_SUBLEAF, &none);
	put_leaf(&l, 0x40000100, XEN_CPUID_NO_SUBLEAF, &none);
	for (uint32_t i = 0; i < NR_EXTD && i <= (p->extd[0].a & 0xffff); i++)
		put_leaf(&l, 0x80000000 | i, XEN_CPUID_NO_SUBLEAF, &p->extd[i]);
	return l.n;
}

/* featureset and policy indices: raw and host come first in both (xen/sysctl.h). */
static struct cpu_policy *by_index(unsigned index)
{
	return index <= 1 ? &raw : &max;
}

unsigned policy_host_leaves(unsigned index, struct xen_cpuid_leaf *out, unsigned n)
{
	return give_leaves(by_index(index), out, n);
}

unsigned policy_domain_leaves(struct domain *d, struct xen_cpuid_leaf *out, unsigned n)
{
	return give_leaves(d->policy, out, n);
}

unsigned policy_host_msrs(unsigned index, struct xen_msr_entry *out, unsigned n)
{
	const struct xen_msr_entry all[] = { { .idx = 0xce }, { .idx = MSR_ARCH_CAPS, .val = by_index(index)->arch_caps } };

	for (unsigned i = 0; i < MIN(n, ARRAY_SIZE(all)); i++)
		out[i] = all[i];
	return ARRAY_SIZE(all);
}

unsigned policy_featureset(unsigned index, uint32_t *out, unsigned n)
{
	for (unsigned i = 0; i < MIN(n, NR_WORDS); i++)
		out[i] = *word(by_index(index), i);
	return NR_WORDS;
}

/* Where a leaf of the toolstack goes; NULL when it is not one that a policy has. */
static struct cpuid *leaf_slot(struct cpu_policy *p, uint32_t leaf, uint32_t sub)
{
	static struct cpuid ignored;

	if (leaf == 0x40000000 || leaf == 0x40000100 || leaf == 0xb)
		return &ignored;
	if (leaf == 4)
		return sub < NR_CACHE ? &p->cache[sub] : NULL;
	if (leaf == 7)
		return sub < NR_FEAT ? &p->feat[sub] : NULL;
	if (leaf == 0xd)
		return sub < NR_XSTATE ? &p->xstate[sub] : sub < XSTATE_SUBLEAVES ? &ignored : NULL;
	if (sub != XEN_CPUID_NO_SUBLEAF)
		return NULL;
	if (leaf < NR_BASIC)
		return &p->basic[leaf];
	return leaf >> 16 == 0x8000 && (leaf & 0xffff) < NR_EXTD ? &p->extd[leaf & 0xffff] : NULL;
}

/* Features may be taken away and leaves cut off; identity, caches and topology stay the core's. */
int policy_set_leaves(struct domain *d, const struct xen_cpuid_leaf *in, unsigned n, uint32_t bad[2])
{
	static struct cpu_policy want; /* core lock */
	struct cpu_policy *p = d->policy;

	want = *p;
	for (unsigned i = 0; i < n; i++) {
		struct cpuid *slot = leaf_slot(&want, in[i].leaf, in[i].subleaf);

		bad[0] = in[i].leaf;
		bad[1] = in[i].subleaf;
		if (!slot)
			return -ERANGE;
		*slot = (struct cpuid){ in[i].a, in[i].b, in[i].c, in[i].d };
	}
	bad[1] = XEN_CPUID_NO_SUBLEAF;
	if (want.basic[0].a > max.basic[0].a) {
		bad[0] = 0;
		return -EINVAL;
	}
	if (want.feat[0].a > max.feat[0].a) {
		bad[0] = 7;
		bad[1] = 0;
		return -EINVAL;
	}
	if (want.extd[0].a > max.extd[0].a) {
		bad[0] = 0x80000000;
		return -EINVAL;
	}
	for (unsigned i = 0; i < NR_WORDS; i++)
		if (i < 16 || i > 17)
			*word(p, i) = *word(&want, i) & *word(&max, i);
	force(p, XEN_X86_FEATURE_HYPERVISOR);
	p->basic[0].a = want.basic[0].a;
	p->feat[0].a = want.feat[0].a;
	p->extd[0].a = MAX(want.extd[0].a, 0x80000000u);
	return 0;
}
