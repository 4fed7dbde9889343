/* SPDX-License-Identifier: Apache-2.0 */
#include "fpu.h"

#include "asm.h"
#include "cpu.h"
#include "domain.h"
#include "errno.h"
#include "frame.h"

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))
#define XCR0_PKRU   BIT(9)

#define MSR_SPEC_CTRL 0x48
#define MSR_FLUSH_CMD 0x10b

/* FXSAVE image and XSAVE header (SDM 1 10.5.1, 13.4). */
struct fpu_area {
	uint16_t fcw, fsw;
	uint8_t rest[20];
	uint32_t mxcsr, mxcsr_mask;
	uint8_t regs[480];
	uint64_t xstate_bv, xcomp_bv, rsvd[6];
};
_Static_assert(offsetof(struct fpu_area, mxcsr) == 24 && offsetof(struct fpu_area, xstate_bv) == 512, "SDM 1 13.4");

uint64_t fpu_xcr0_mask;
bool cpu_has_tsc_aux, cpu_need_verw;
bool cpu_need_l1d_flush;
static bool has_ibpb, has_eibrs, has_auto_ibrs;
static uint32_t mxcsr_mask = 0xffbf;
static const struct domain *last_domain[MAX_CPUS]; /* compared only; whose code trained this CPU's predictors */
static domid_t last_domid[MAX_CPUS];

static void xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static void probe_speculation(void)
{
	struct cpuid f7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){ 0 };
	struct cpuid ext = cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0) : (struct cpuid){ 0 };
	bool intel = cpuid(0, 0).b == 0x756e6547; /* "Genu" */
	uint64_t caps = 0;

	if (f7.d & BIT(29))
		caps = rdmsr(MSR_ARCH_CAPS);
	has_ibpb = (f7.d & BIT(26)) || (ext.b & BIT(12));
	has_eibrs = intel && (f7.d & BIT(26)) && (caps & BIT(1)); /* IBRS_ALL */
	/* L1TF: RDCL_NO or SKIP_L1DFL_VMENTRY say that it is not needed. */
	cpu_need_l1d_flush = intel && (f7.d & BIT(28)) && !(caps & (BIT(0) | BIT(3)));
	/* MDS; TAA where there is TSX, which a guest can use unseen; MMIO stale data (FB_CLEAR); RFDS; and AMD's TSA. */
	cpu_need_verw = intel && (((f7.d & BIT(10)) && (!(caps & BIT(5)) || ((f7.b & BIT(11)) && !(caps & BIT(8))))) ||
				  ((caps & BIT(17)) && (~caps & (7ul << 13))) || (caps & BIT(28)));
	if (!intel && cpuid(0x80000000, 0).a >= 0x80000021) {
		struct cpuid e21 = cpuid(0x80000021, 0);
		cpu_need_verw = (e21.a & BIT(5)) && (e21.c & 6) != 6;
		has_auto_ibrs = e21.a & BIT(8);
	}
}

/* The core's indirect branches do not follow what guests taught the CPU, where it offers that for good: guests have no SPEC_CTRL,
 * and the core's EFER comes back with every exit. Guests have no supervisor state components either. */
static void init_msrs(void)
{
	if (has_eibrs)
		wrmsr(MSR_SPEC_CTRL, BIT(0));
	if (has_auto_ibrs)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(21));
	if (fpu_xcr0_mask && (cpuid(0xd, 1).a & BIT(3)))
		wrmsr(MSR_XSS, 0);
}

void fpu_init_cpu(void)
{
	static bool probed;

	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	last_domid[this_cpu()->id] = DOMID_INVALID;
	if (!probed) {
		struct fpu_area area __aligned(64) = { 0 };

		probed = true;
		__asm__ volatile("fxsave64 %0" : "=m"(area));
		if (area.mxcsr_mask)
			mxcsr_mask = area.mxcsr_mask;
		cpu_has_tsc_aux = (cpuid(0x80000001, 0).d & BIT(27)) || (cpuid(0, 0).a >= 7 && (cpuid(7, 0).c & BIT(22)));
		probe_speculation();
		if (cpuid(1, 0).c & BIT(26)) {
			struct cpuid d = cpuid(0xd, 0);

			fpu_xcr0_mask = ((uint64_t)d.d << 32 | d.a) &
					(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);
			if ((fpu_xcr0_mask & XCR0_AVX512) != XCR0_AVX512 || !(fpu_xcr0_mask & XCR0_AVX))
				fpu_xcr0_mask &= ~XCR0_AVX512;
		}
	}
	init_msrs();
	if (!fpu_xcr0_mask)
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(fpu_xcr0_mask);
	ASSERT(cpuid(0xd, 0).b <= PAGE_SIZE); /* fpu_init_vcpu gives a page; the components above need 2696 bytes */
}

int fpu_init_vcpu(struct vcpu *v)
{
	struct fpu_area *a = core_alloc(0);

	if (!a)
		return -ENOMEM;
	a->fcw = 0x37f;
	a->mxcsr = 0x1f80;
	v->fpu = a;
	v->xcr0 = XCR0_X87;
	return 0;
}

void fpu_free_vcpu(struct vcpu *v)
{
	if (v->fpu)
		core_free(v->fpu, 0);
	v->fpu = NULL;
}

/* XCR0 is fpu_xcr0_mask whenever no vCPU is loaded. All components are switched, whatever the guest's XCR0 is now: it can
 * have left something in registers that it has since turned off. */
void fpu_load(struct vcpu *v)
{
	if (!fpu_xcr0_mask) {
		__asm__ volatile("fxrstor64 %0" ::"m"(*(struct fpu_area *)v->fpu));
		return;
	}
	__asm__ volatile("xrstor64 (%0)" ::"r"(v->fpu), "a"(~0u), "d"(~0u) : "memory");
	if (v->xcr0 != fpu_xcr0_mask)
		xsetbv(v->xcr0);
}

void fpu_save(struct vcpu *v)
{
	if (!fpu_xcr0_mask) {
		__asm__ volatile("fxsave64 %0" : "=m"(*(struct fpu_area *)v->fpu));
		return;
	}
	if (v->xcr0 != fpu_xcr0_mask)
		xsetbv(fpu_xcr0_mask);
	__asm__ volatile("xsave64 (%0)" ::"r"(v->fpu), "a"(~0u), "d"(~0u) : "memory");
}

int fpu_set_xcr0(struct vcpu *v, uint64_t val)
{
	if (!(val & XCR0_X87) || (val & ~fpu_xcr0_mask) || ((val & XCR0_AVX) && !(val & XCR0_SSE)))
		return -EINVAL;
	if ((val & XCR0_AVX512) && ((val & XCR0_AVX512) != XCR0_AVX512 || !(val & XCR0_AVX)))
		return -EINVAL;
	v->xcr0 = val;
	xsetbv(val);
	return 0;
}

void fpu_get_image(const struct vcpu *v, void *image)
{
	memcpy(image, v->fpu, 512);
}

void fpu_set_image(struct vcpu *v, const void *image)
{
	struct fpu_area *a = v->fpu;

	memcpy(a, image, 512);
	a->mxcsr &= mxcsr_mask;
	if (fpu_xcr0_mask)
		a->xstate_bv |= XCR0_X87 | XCR0_SSE;
}

#define READ_DR(n, v)  __asm__ volatile("mov %%db" #n ", %0" : "=r"(v))
#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%db" #n ::"r"(v))

static void domain_barrier(const struct domain *d)
{
	unsigned id = this_cpu()->id;

	if (last_domain[id] == d && last_domid[id] == d->id)
		return;
	last_domain[id] = d;
	last_domid[id] = d->id;
	if (has_ibpb)
		wrmsr(MSR_PRED_CMD, 1);
	/* Not all CPUs' IBPB reaches the return stack, which has 32 places at most. */
	__asm__ volatile(".rept 32; call 1f; int3; 1:; .endr; add $256, %%rsp" ::: "memory", "cc");
	if (cpu_need_l1d_flush)
		wrmsr(MSR_FLUSH_CMD, 1);
}

void vcpu_regs_load(struct vcpu *v)
{
	domain_barrier(v->domain);
	fpu_load(v);
	WRITE_DR(0, v->dr[0]);
	WRITE_DR(1, v->dr[1]);
	WRITE_DR(2, v->dr[2]);
	WRITE_DR(3, v->dr[3]);
	if (cpu_has_tsc_aux)
		wrmsr(MSR_TSC_AUX, v->tsc_aux);
}

void vcpu_regs_save(struct vcpu *v)
{
	fpu_save(v);
	READ_DR(0, v->dr[0]);
	READ_DR(1, v->dr[1]);
	READ_DR(2, v->dr[2]);
	READ_DR(3, v->dr[3]);
}

int tsc_aux_write(struct vcpu *v, uint64_t val)
{
	if (!cpu_has_tsc_aux || val >> 32)
		return -EINVAL;
	v->tsc_aux = val;
	wrmsr(MSR_TSC_AUX, val);
	return 0;
}
