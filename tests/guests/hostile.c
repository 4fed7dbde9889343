// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks, each in a domain of its own. The core must stay up, the service domain must get its timer in time, the domain
 * must end as its attack says, and afterwards the free memory must be what it was. `only=N` runs one, `from=N` leaves
 * the first ones out, `repeat=N` goes round.
 */
#include "attacks.h"

#include <xen/hvm/save.h>

/* QEMU's clock is the machine's, whose processors it shares with others; Bochs counts instructions, and many. */
#define LATE_MAX   ((intel ? 50 : 500) * MS)
#define ENDLESS_MS (intel ? 40 : 800)

static const struct attack attacks[] = {
#define ATTACK(fn, ends, ms, vcpus, extra) { #fn, fn, ends, ms, vcpus, extra },
#include "attacks.def"
#undef ATTACK
};

void guest_hostile(void)
{
	timer_port = timer_bind();
	attacks[option("attack", 0) % ARRAY_SIZE(attacks)].fn();
}

static const char *const endings[] = { "done", "crash", "reboot", "endless", "any" };

static unsigned ending(struct domu *d, int reason)
{
	if (reason < 0)
		return ENDLESS;
	if (reason == SHUTDOWN_crash)
		return CRASH;
	if (reason == SHUTDOWN_reboot)
		return REBOOT;
	return d->box->state == BOX_DONE ? DONE : ANY;
}

/* Sleeps and looks, ten milliseconds a time; how late the worst awakening was. */
static int watch(struct domu *d, uint64_t ns, uint64_t *late)
{
	uint64_t end = now() + ns, t;

	for (*late = 0; (t = now()) < end;) {
		struct xen_domctl_getdomaininfo info;

		domu_text(d);
		if (!domu_info(d, &info))
			return -2;
		if (info.flags & XEN_DOMINF_shutdown)
			break;
		sleep_until(t + 10 * MS);
		*late = MAX(*late, now() - t - 10 * MS);
	}
	return domu_wait(d, 0);
}

/* Where its vCPUs were, when something went wrong. */
static void tell_where(domid_t id, unsigned vcpus)
{
	static HVM_SAVE_TYPE(CPU) c;

	for (unsigned i = 0; i < vcpus; i++) {
		struct xen_domctl op = { 0 };

		op.u.hvmcontext_partial.type = HVM_SAVE_CODE(CPU);
		op.u.hvmcontext_partial.instance = i;
		op.u.hvmcontext_partial.bufsz = sizeof(c);
		op.u.hvmcontext_partial.buffer.p = (void *)&c;
		if (!domctl(&op, XEN_DOMCTL_gethvmcontext_partial, id))
			print("vCPU %u: rip %lx rsp %lx cs %lx flags %lx cr0 %lx cr3 %lx cr4 %lx efer %lx\n", i, c.rip, c.rsp,
			      c.cs_base, c.rflags, c.cr0, c.cr3, c.cr4, c.msr_efer);
	}
}

static void launch(unsigned n, domid_t victim)
{
	const struct attack *a = &attacks[n];
	static struct domu d;
	uint64_t before = free_pages(), late = 0, least = before, start = now();
	unsigned failed = failures, ended;
	char words[128];

	if (intel ? a->fn == endless_cpuid_2 || a->fn == endless_nothing : a->fn == endless_debug) {
		print("left out %u %s: the emulator cannot do it, see README.md\n", n, a->name);
		return;
	}
	snprintf(words, sizeof(words), "hostile attack=%u victim=%u seed=%lu calls=%lu scale=%lu cli=%lu", n, victim,
		 option("seed", 1) + n, option("calls", 1000000), option("scale", 100), option("cli", 1));
	if (domu_build(&d, words, a->vcpus, a->extra)) {
		unsigned port = alloc_unbound(0, d.id);
		uint64_t built = free_pages();

		d.box->arg[0] = port;
		check_eq(domu_unpause(&d), 0, "unpausedomain");
		ended = ending(&d, watch(&d, (a->ends == ENDLESS ? ENDLESS_MS : a->ms) * MS, &late));
		least = free_pages();
		check(a->ends == ANY || ended == a->ends, "it ended with '%s', not '%s', progress %lu", endings[ended],
		      endings[a->ends], d.box->progress);
		check(late < LATE_MAX, "the service domain woke up %lu ms late", late / MS);
		/* Its tables come out of its pool (4 MiB), other things have their own limits. */
		check(built < least + 4096, "the core lost %lu pages to it", built - least);
		failures += d.box->failures;
		if (failures != failed)
			tell_where(d.id, a->vcpus);
		close_port(port);
	}
	domu_destroy(&d);
	check_eq(free_pages(), before, "free pages afterwards");
	print("%s %2u %s (%lu ms, %lu pages, late %lu us)\n", failures == failed ? "ok    " : "FAILED", n, a->name,
	      (now() - start) / MS, before - least, late / 1000);
}

void hostile(void)
{
	static struct domu victim, first;
	uint64_t only = option("only", ARRAY_SIZE(attacks));

	timer_port = timer_bind();
	if (!domu_build(&victim, "idle", 1, 0))
		return;
	domu_unpause(&victim);
	for (uint64_t end = now() + SECOND; !victim.box->progress && now() < end;)
		sleep_until(now() + MS);
	check(victim.box->progress, "the victim does not get ready");
	if (domu_build(&first, "busy", 2, 0)) /* the core keeps the pages that it cut up for small objects */
		domu_destroy(&first);
	for (unsigned n = 0; n < ARRAY_SIZE(attacks) * option("repeat", 1); n++) {
		unsigned i = n % ARRAY_SIZE(attacks);

		if (only == ARRAY_SIZE(attacks) ? i >= option("from", 0) : i == only)
			launch(i, victim.id);
	}
	check(domu_wait(&victim, 0) == -1, "the victim stopped");
	domu_destroy(&victim);
}
