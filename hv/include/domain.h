/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_DOMAIN_H
#define CARREL_DOMAIN_H

#include "config.h"
#include "evtchn.h"
#include "grant.h"
#include "p2m.h"
#include "types.h"
#include "vcpu.h"

#include <xen/xen.h>
#include <xen/hvm/params.h>

struct vioapic;
struct vpci;
struct iommu_domain;
struct cpu_policy;

/* One RAM map entry as the guest sees it (XENMEM_memory_map, start_info). type: E820 numbers. */
struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
} __packed;
#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3
#define E820_NVS      4
#define E820_UNUSABLE 5
#define E820_MAX      128

/* Frames of foreign mappings that were taken out of the p2m since the last flush (xen/memory.c). */
struct released {
	unsigned n;
	mfn_t mfn[64];
	struct timer timer;
};

/* credit2's largest weight, which the toolstack gives to the domain on screen; it counts as the default one there. */
#define WEIGHT_DEFAULT    256
#define WEIGHT_FOREGROUND 65535

enum domain_dying { DOM_ALIVE = 0, DOM_DYING, DOM_DEAD };

struct domain {
	domid_t id;
	bool privileged;           /* the service domain: may use domctl, sysctl, platform_op, foreign maps */
	bool is_dom0;              /* gets vioapic, vpci, GSIs, lazy identity MMIO */
	uint32_t refs;             /* 1 for being listed + 1 while it owns RAM; 0 frees the struct */
	enum domain_dying dying;
	int shutdown_code;         /* SHUTDOWN_*, valid while shut_down */
	bool shut_down;            /* every vCPU stopped after sched_op shutdown */
	uint8_t handle[16];        /* uuid */
	uint32_t ssidref;
	uint32_t create_flags;     /* XEN_DOMCTL_CDF_* */
	unsigned pause_count;      /* of the toolstack (domctl pausedomain) */
	struct list link;          /* all domains, ascending id */

	/* memory: frame.h, p2m.h */
	struct p2m p2m;
	uint64_t tot_pages, max_pages, outstanding;
	struct released released;
	struct e820_entry e820[E820_MAX];
	unsigned nr_e820;
	gfn_t relinquish_cursor;
	uint64_t mempool_bytes;    /* what the toolstack set; reported back */

	/* Xen ABI */
	struct shared_info *shared_info; /* core's pointer; always present */
	mfn_t shared_info_mfn;
	struct evtchn_domain evtchn;
	struct grant_table grant;
	uint64_t hvm_params[HVM_NR_PARAMS];
	uint32_t vm_assist;
	int32_t time_offset_seconds; /* of its wall clock (settimeoffset) */
	uint8_t callback_vector;   /* HVM_PARAM_CALLBACK_IRQ type 2; 0 = none */
	struct cpu_policy *policy; /* CPUID and MSR answers; cpu/policy.c owns */

	/* platform */
	struct vioapic *vioapic;   /* NULL unless is_dom0 */
	struct vpci *vpci;         /* NULL unless is_dom0 */
	struct iommu_domain *iommu;/* NULL unless it has PCI devices */

	/* scheduling */
	uint32_t weight;           /* 1..65534, default 256 */
	uint16_t cap;              /* percent of one CPU, 0: none; by sched_set_cap */
	int64_t cap_left;          /* ns that it may run until cap_timer gives it more */
	struct timer cap_timer;
	bool foreground;           /* on screen: its weight is WEIGHT_FOREGROUND */
	int64_t tsc_offset;

	unsigned max_vcpus;        /* vcpu[] slots in use */
	struct vcpu *vcpu[MAX_VCPUS];
};

extern struct domain *dom0;
extern struct list domains;

/* The vCPU with that number; NULL. */
static inline struct vcpu *domain_vcpu(const struct domain *d, uint32_t id)
{
	return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

static inline struct vcpu *domain_next_vcpu(const struct domain *d, uint32_t id)
{
	while (id < d->max_vcpus && !d->vcpu[id])
		id++;
	return domain_vcpu(d, id);
}
/* Not for a loop that frees v. */
#define for_each_vcpu(d, v) for (struct vcpu *v = domain_next_vcpu(d, 0); v; v = domain_next_vcpu(d, v->id + 1))

/* Listed domain, also while dying; NULL. DOMID_SELF is not resolved here. No reference taken. */
struct domain *domain_find(domid_t id);
/* Creates an empty domain with shared_info, event channels, grant table (max_grant_frames, max_maptrack), p2m.
 * NULL and *err on failure, with nothing left behind. */
struct domain *domain_create(domid_t id, uint32_t flags, unsigned max_vcpus, unsigned max_evtchn_port,
			     unsigned max_grant_frames, unsigned max_maptrack_frames, int *err);
struct vcpu *domain_add_vcpu(struct domain *d, unsigned id, int *err);
/* Toolstack pause count; blocks until no vCPU of d is in guest mode. */
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);
/* First call marks it dying, later ones give its resources back in chunks: -ERESTART until done, then 0. */
int domain_destroy(struct domain *d);
/* Guest or core decided: stop all vCPUs, remember why, tell dom0 (VIRQ_DOM_EXC). For dom0 itself: reboot/poweroff/panic. */
void domain_shutdown(struct domain *d, int code);
/* Lets the vCPUs of a domain that shut down (suspended) go on behind the hypercall. */
void domain_resume(struct domain *d);
/* A fault the guest caused: one log line naming domain, vCPU, rip and reason, then domain_shutdown(SHUTDOWN_crash). */
void domain_crash(struct vcpu *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void domain_put(struct domain *d);
/* Pages that XENMEM_claim_pages still holds back for domains being built (xen/memory.c). */
uint64_t claimed_pages(void);
/* tot_pages of a dying domain went down to zero: called by frame_put; may free d. */
void domain_frames_gone(struct domain *d);

/* Flushes and gives back what "released" holds. p2m_set calls it before a slot is used again. */
void foreign_release(struct domain *d);

/* Builds and unpauses the service domain from the boot modules (boot/dom0.c); refuse()s on bad modules. */
void dom0_build(void);

#endif
