// SPDX-License-Identifier: Apache-2.0
/* Event channels: binding rules, the 2-level ABI, and the FIFO ABI with a guest that consumes queues as Linux does. */
#include "shim.h"
#include "domain.h"
#include "errno.h"
#include "evtchn.h"
#include "frame.h"
#include "guest.h"
#include "map.h"
#include "sched.h"

#include <stdlib.h>
#include <xen/event_channel.h>

#define DOMS   2
#define VCPUS  2
#define FRAMES 32

static struct domain doms[DOMS];
static struct vcpu vcpus[DOMS][VCPUS];
static unsigned refs[FRAMES], kicks, wakes;
struct domain *dom0 = &doms[0];

struct domain *domain_find(domid_t id)
{
	return id < DOMS ? &doms[id] : NULL;
}

struct domain *domain_for_op(struct vcpu *v, domid_t id, int *err)
{
	struct domain *d = id == DOMID_SELF ? v->domain : domain_find(id);

	*err = d ? -EPERM : -ESRCH;
	return d && (d == v->domain || v->domain->privileged) ? d : NULL;
}

int copy_from_guest(void *dst, gva_t src, size_t n)
{
	memcpy(dst, (void *)src, n);
	return 0;
}

int copy_to_guest(gva_t dst, const void *src, size_t n)
{
	memcpy((void *)dst, src, n);
	return 0;
}

/* gfn == mfn; the frames from 8 on are RAM. */
mfn_t guest_frame_get(struct domain *d, gfn_t gfn)
{
	(void)d;
	if (gfn < 8 || gfn >= FRAMES)
		return INVALID_MFN;
	refs[gfn]++;
	return gfn;
}

void frame_put(mfn_t mfn)
{
	assert_true(refs[mfn] > 0);
	refs[mfn]--;
}

void *core_alloc(unsigned order)
{
	return calloc(1, PAGE_SIZE << order);
}

void core_free(void *va, unsigned order)
{
	(void)order;
	free(va);
}

void vcpu_kick(struct vcpu *v)
{
	(void)v;
	kicks++;
}

void sched_start(struct vcpu *v, uint32_t why)
{
	(void)why;
	v->stopped = 0;
	wakes++;
}

void vlapic_set_irq(struct vcpu *v, uint8_t vector, bool level)
{
	(void)v, (void)level;
	assert_int_equal(vector, 0xf3);
	kicks++;
}

void timer_cancel(struct timer *t)
{
	(void)t;
}

void vcpu_info_release(struct vcpu *v)
{
	(void)v;
}

bool hypercall_preempt(void)
{
	return shim_random(2);
}

static int setup(void **state)
{
	(void)state;
	shim_memory(FRAMES, 0);
	memset(shim_ram, 0, FRAMES * PAGE_SIZE);
	memset(doms, 0, sizeof(doms));
	memset(vcpus, 0, sizeof(vcpus));
	for (unsigned i = 0; i < DOMS; i++) {
		struct domain *d = &doms[i];

		d->id = (domid_t)i;
		d->privileged = !i;
		d->max_vcpus = VCPUS;
		d->shared_info = mfn_to_virt(i);
		for (unsigned n = 0; n < VCPUS; n++) {
			d->vcpu[n] = &vcpus[i][n];
			vcpus[i][n].domain = d;
			vcpus[i][n].id = n;
			vcpus[i][n].vcpu_info = (struct vcpu_info *)&d->shared_info->vcpu_info[n];
		}
		assert_int_equal(evtchn_init(d, i ? 5000 : 1023), 0);
	}
	kicks = wakes = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DOMS; i++)
		evtchn_destroy(&doms[i]);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(refs[i], 0);
	for (unsigned i = 0; i < DOMS; i++)
		evtchn_free(&doms[i]);
	return 0;
}

static int64_t call_on(struct vcpu *v, unsigned cmd, void *op)
{
	uint64_t arg[5] = { cmd, (uint64_t)op };
	int64_t rc;

	while ((rc = hypercall_event_channel_op(v, arg)) == -ERESTART)
		;
	return rc;
}

static int64_t call(unsigned d, unsigned cmd, void *op)
{
	return call_on(&vcpus[d][0], cmd, op);
}

static uint32_t unbound(unsigned d, unsigned remote)
{
	struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = (domid_t)remote };

	assert_int_equal(call(d, EVTCHNOP_alloc_unbound, &a), 0);
	return a.port;
}

static int64_t bind(unsigned d, unsigned remote, uint32_t remote_port, uint32_t *port)
{
	struct evtchn_bind_interdomain b = { .remote_dom = (domid_t)remote, .remote_port = remote_port };
	int64_t rc = call(d, EVTCHNOP_bind_interdomain, &b);

	*port = b.local_port;
	return rc;
}

static uint32_t ipi(unsigned d, unsigned vcpu)
{
	struct evtchn_bind_ipi b = { .vcpu = vcpu };

	assert_int_equal(call(d, EVTCHNOP_bind_ipi, &b), 0);
	return b.port;
}

static bool pending(unsigned d, uint32_t port)
{
	return evtchn_port_is_pending(&doms[d], port);
}

static void interdomain(void **state)
{
	uint32_t theirs = unbound(1, 0), mine, other;
	struct evtchn_status s = { .dom = 1, .port = theirs };
	struct evtchn_alloc_unbound a = { .dom = 0, .remote_dom = 1 };

	(void)state;
	assert_int_equal(theirs, 1);
	assert_int_equal(call(1, EVTCHNOP_alloc_unbound, &a), -EPERM);
	assert_int_equal(call(1, EVTCHNOP_send, &theirs), 0); /* dropped */
	assert_int_equal(bind(1, 1, theirs, &other), -EINVAL); /* meant for domain 0 */
	assert_int_equal(bind(0, 1, theirs + 1, &mine), -EINVAL);
	assert_int_equal(bind(0, 1, 70000, &mine), -EINVAL);
	assert_int_equal(bind(0, 9, theirs, &mine), -ESRCH);
	assert_int_equal(bind(0, 1, theirs, &mine), 0);
	assert_true(pending(0, mine));
	assert_int_equal(bind(0, 1, theirs, &other), -EINVAL); /* taken */
	assert_int_equal(call(0, EVTCHNOP_status, &s), 0);
	assert_int_equal(s.status, EVTCHNSTAT_interdomain);
	assert_int_equal(s.u.interdomain.port, mine);
	s.dom = 0;
	assert_int_equal(call(1, EVTCHNOP_status, &s), -EPERM);

	kicks = 0;
	assert_int_equal(call(0, EVTCHNOP_send, &mine), 0);
	assert_true(pending(1, theirs));
	assert_true(evtchn_pending_on(&vcpus[1][0]));
	assert_int_equal(vcpus[1][0].vcpu_info->evtchn_pending_sel, 1);
	assert_int_equal(kicks, 1);
	assert_int_equal(call(0, EVTCHNOP_send, &mine), 0);
	assert_int_equal(kicks, 1);

	assert_int_equal(call(0, EVTCHNOP_close, &mine), 0);
	assert_int_equal(call(0, EVTCHNOP_close, &mine), -EINVAL);
	assert_int_equal(call(0, EVTCHNOP_send, &mine), -EINVAL);
	assert_false(pending(0, mine));
	assert_int_equal(evtchn_port(&doms[1], theirs)->state, ECS_UNBOUND);
	assert_int_equal(bind(0, 1, theirs, &mine), 0); /* again */
	evtchn_destroy(&doms[1]);
	assert_int_equal(evtchn_port(&doms[0], mine)->state, ECS_UNBOUND);
	other = 0;
	assert_int_equal(call(0, EVTCHNOP_close, &other), -EINVAL); /* port 0 is reserved */
}

static void masks_and_vcpus(void **state)
{
	uint32_t p = ipi(1, 1), q = unbound(1, 0), mine;
	struct evtchn_bind_vcpu b = { .port = p, .vcpu = 0 };

	(void)state;
	doms[1].shared_info->evtchn_mask[0] = BIT(p);
	assert_int_equal(call(1, EVTCHNOP_send, &p), 0);
	assert_true(pending(1, p));
	assert_false(evtchn_pending_on(&vcpus[1][1]));
	assert_int_equal(call(1, EVTCHNOP_unmask, &p), 0);
	assert_true(evtchn_pending_on(&vcpus[1][1]));
	assert_int_equal(call(1, EVTCHNOP_bind_vcpu, &b), -EINVAL); /* an IPI stays */
	assert_int_equal(bind(0, 1, q, &mine), 0);
	b = (struct evtchn_bind_vcpu){ .port = q, .vcpu = 2 };
	assert_int_equal(call(1, EVTCHNOP_bind_vcpu, &b), -ENOENT);
	b.vcpu = 1;
	assert_int_equal(call(1, EVTCHNOP_bind_vcpu, &b), 0);
	vcpus[1][1].upcall_vector = 0xf3;
	vcpus[1][1].vcpu_info->evtchn_upcall_pending = 0;
	vcpus[1][1].vcpu_info->evtchn_pending_sel = 0;
	assert_int_equal(call(0, EVTCHNOP_send, &mine), 0);
	assert_true(evtchn_pending_on(&vcpus[1][1]));
}

static void virqs(void **state)
{
	struct evtchn_bind_virq b = { .virq = VIRQ_TIMER, .vcpu = 1 };

	(void)state;
	assert_int_equal(call(0, EVTCHNOP_bind_virq, &b), 0);
	assert_int_equal(call(0, EVTCHNOP_bind_virq, &b), -EEXIST);
	virq_raise_vcpu(&vcpus[0][0], VIRQ_TIMER);
	assert_false(pending(0, b.port));
	virq_raise_vcpu(&vcpus[0][1], VIRQ_TIMER);
	assert_true(pending(0, b.port));
	assert_int_equal(call(0, EVTCHNOP_close, &b.port), 0);
	virq_raise_vcpu(&vcpus[0][1], VIRQ_TIMER);
	assert_false(pending(0, b.port));
	b = (struct evtchn_bind_virq){ .virq = VIRQ_DOM_EXC, .vcpu = 1 };
	assert_int_equal(call(0, EVTCHNOP_bind_virq, &b), -EINVAL);
	b.vcpu = 0;
	assert_int_equal(call(0, EVTCHNOP_bind_virq, &b), 0);
	virq_raise_global(VIRQ_DOM_EXC);
	assert_true(pending(0, b.port));
	b.virq = NR_VIRQS;
	assert_int_equal(call(0, EVTCHNOP_bind_virq, &b), -EINVAL);
}

static void limits(void **state)
{
	struct evtchn_alloc_unbound a = { .dom = DOMID_SELF };
	struct evtchn_reset r = { .dom = 0 };
	uint32_t port;

	(void)state;
	for (unsigned i = 1; i < 1024; i++)
		assert_int_equal(unbound(0, 1), i);
	assert_int_equal(call(0, EVTCHNOP_alloc_unbound, &a), -ENOSPC);
	port = 500;
	assert_int_equal(call(0, EVTCHNOP_close, &port), 0);
	assert_int_equal(unbound(0, 1), 500);
	/* Domain 1 may have 5000, but the 2-level ABI has room for 4095. */
	for (unsigned i = 1; i < 4096; i++)
		assert_int_equal(unbound(1, 0), i);
	assert_int_equal(call(1, EVTCHNOP_alloc_unbound, &a), -ENOSPC);
	assert_int_equal(call(1, EVTCHNOP_reset, &r), -EPERM);
	assert_int_equal(call(0, EVTCHNOP_reset, &r), 0);
	assert_int_equal(unbound(0, 1), 1);
	doms[0].dying = DOM_DYING;
	assert_int_equal(call(0, EVTCHNOP_alloc_unbound, &a), -EINVAL);
}

static void pollers(void **state)
{
	uint32_t p = ipi(1, 0), q = ipi(1, 0);
	struct vcpu *v = &vcpus[1][1];

	(void)state;
	v->poll_port = q;
	doms[1].evtchn.pollers = 2;
	assert_int_equal(call(1, EVTCHNOP_send, &p), 0);
	assert_int_equal(wakes, 0);
	assert_int_equal(call(1, EVTCHNOP_send, &q), 0);
	assert_int_equal(wakes, 1);
	assert_int_equal(doms[1].evtchn.pollers, 0);
}

/* ---- FIFO ---- */

static uint32_t *word(uint32_t port)
{
	return (uint32_t *)mfn_to_virt(10) + port;
}

static struct evtchn_fifo_control_block *control(unsigned vcpu)
{
	return (void *)((char *)mfn_to_virt(8) + vcpu * 512);
}

static void start_fifo(void)
{
	struct evtchn_expand_array x = { .array_gfn = 10 };

	assert_int_equal(call(1, EVTCHNOP_expand_array, &x), -EOPNOTSUPP);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct evtchn_init_control c = { .control_gfn = 8, .offset = i * 512, .vcpu = i };

		assert_int_equal(call(1, EVTCHNOP_init_control, &c), 0);
		assert_int_equal(c.link_bits, EVTCHN_FIFO_LINK_BITS);
		assert_int_equal(call(1, EVTCHNOP_init_control, &c), -EINVAL);
	}
	for (unsigned i = 0; i < PAGE_SIZE / 4; i++)
		word(i)[0] = 0;
	assert_int_equal(call(1, EVTCHNOP_expand_array, &x), 0);
}

/* The guest's side, as the ABI says: takes the first event off a queue. 0 when the queue is empty. */
static uint32_t head[VCPUS][16];
static uint32_t consume(unsigned vcpu, unsigned q)
{
	uint32_t port = head[vcpu][q], old;

	if (!port)
		port = control(vcpu)->head[q];
	if (!port)
		return 0;
	old = *word(port);
	*word(port) = old & ~((1u << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK);
	head[vcpu][q] = old & EVTCHN_FIFO_LINK_MASK;
	if (!head[vcpu][q])
		control(vcpu)->ready &= ~(1u << q);
	return port;
}

static void fifo_pending_before(void **state)
{
	uint32_t p = ipi(1, 0), q;
	struct evtchn_init_control bad = { .control_gfn = 8, .offset = 4096 - 64, .vcpu = 0 };

	(void)state;
	assert_int_equal(call(1, EVTCHNOP_init_control, &bad), -EINVAL);
	bad.offset = 4;
	assert_int_equal(call(1, EVTCHNOP_init_control, &bad), -EINVAL);
	bad.offset = 0;
	bad.control_gfn = 3;
	assert_int_equal(call(1, EVTCHNOP_init_control, &bad), -EINVAL);
	bad.vcpu = 2;
	assert_int_equal(call(1, EVTCHNOP_init_control, &bad), -ENOENT);
	assert_int_equal(call(1, EVTCHNOP_send, &p), 0);
	memset(head, 0, sizeof(head));
	start_fifo();
	assert_true(pending(1, p)); /* carried over from the 2-level ABI */
	assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), p);
	/* The next page's words do not exist: remembered. */
	evtchn_port(&doms[1], p)->state = ECS_FREE;
	for (q = 2; q < 1100; q++)
		assert_int_equal(ipi(1, 0), q == 2 ? p : q - 1);
	evtchn_port(&doms[1], p)->state = ECS_IPI;
	q = 1050;
	assert_int_equal(call(1, EVTCHNOP_send, &q), 0);
	assert_false(pending(1, q));
	assert_int_equal(call(1, EVTCHNOP_expand_array, &(struct evtchn_expand_array){ .array_gfn = 11 }), 0);
	assert_true(pending(1, q));
}

/* Every event raised and not masked comes out of some queue, once; order is kept within a queue. */
static void fifo_at_random(void **state)
{
	enum { PORTS = 40 };
	unsigned raised[PORTS + 1] = { 0 }, seen = 0;

	(void)state;
	memset(head, 0, sizeof(head));
	start_fifo();
	for (unsigned i = 1; i <= PORTS; i++)
		assert_int_equal(ipi(1, i % VCPUS), i);
	for (unsigned n = 0; n < 200000; n++) {
		uint32_t port = 1 + shim_random(PORTS), got;
		struct evtchn_set_priority prio = { .port = port, .priority = shim_random(17) };
		unsigned vcpu = shim_random(VCPUS), q = shim_random(16);

		switch (shim_random(6)) {
		case 0:
			assert_int_equal(call(1, EVTCHNOP_set_priority, &prio), prio.priority > 15 ? -EINVAL : 0);
			break;
		case 1:
			*word(port) |= 1u << EVTCHN_FIFO_MASKED;
			break;
		case 2:
			assert_int_equal(call(1, EVTCHNOP_unmask, &port), 0);
			break;
		case 3:
			assert_int_equal(call(1, EVTCHNOP_send, &port), 0);
			raised[port] = 1;
			break;
		default:
			if (!(control(vcpu)->ready >> q & 1) && !head[vcpu][q])
				break;
			got = consume(vcpu, q);
			if (!got || (*word(got) >> EVTCHN_FIFO_MASKED & 1) || !pending(1, got))
				break;
			*word(got) &= ~(1u << EVTCHN_FIFO_PENDING);
			assert_int_equal(raised[got], 1);
			raised[got] = 0;
			seen++;
		}
	}
	assert_true(seen > 5000);
	for (uint32_t port = 1; port <= PORTS; port++)
		assert_int_equal(call(1, EVTCHNOP_unmask, &port), 0);
	for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++) {
		for (unsigned q = 0; q < 16; q++) {
			while ((control(vcpu)->ready >> q & 1) || head[vcpu][q]) {
				uint32_t got = consume(vcpu, q);

				if (!got)
					break;
				if (pending(1, got)) {
					*word(got) &= ~(1u << EVTCHN_FIFO_PENDING);
					raised[got] = 0;
				}
			}
		}
	}
	for (unsigned i = 1; i <= PORTS; i++)
		assert_int_equal(raised[i], 0);
}

/* A hypercall that was under way when the domain's end began takes no more pages. */
static void fifo_dying(void **state)
{
	struct evtchn_init_control c = { .control_gfn = 8, .vcpu = 0 };
	struct evtchn_expand_array x = { .array_gfn = 10 };

	(void)state;
	start_fifo();
	doms[1].dying = DOM_DYING;
	evtchn_destroy(&doms[1]);
	assert_int_equal(call(1, EVTCHNOP_init_control, &c), -EINVAL);
	assert_int_equal(call(1, EVTCHNOP_expand_array, &x), -EOPNOTSUPP);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(refs[i], 0);
}

/* A guest that scribbles: the core ends every call and touches nothing but the guest's pages. */
static void fifo_hostile(void **state)
{
	struct evtchn_reset r = { .dom = DOMID_SELF };

	(void)state;
	start_fifo();
	for (unsigned i = 1; i <= 40; i++)
		assert_int_equal(ipi(1, i % VCPUS), i);
	for (unsigned n = 0; n < 100000; n++) {
		uint32_t port = 1 + shim_random(50);
		struct evtchn_set_priority prio = { .port = port, .priority = shim_random(16) };

		*word(shim_random(1024)) = shim_random(UINT32_MAX);
		((uint32_t *)control(shim_random(VCPUS)))[shim_random(18)] = shim_random(UINT32_MAX);
		call(1, EVTCHNOP_send, &port);
		call(1, EVTCHNOP_unmask, &port);
		call(1, EVTCHNOP_set_priority, &prio);
	}
	assert_int_equal(call(1, EVTCHNOP_reset, &r), 0);
	assert_false(doms[1].evtchn.fifo);
	assert_int_equal(unbound(1, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(interdomain, setup, teardown),
		cmocka_unit_test_setup_teardown(masks_and_vcpus, setup, teardown),
		cmocka_unit_test_setup_teardown(virqs, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(pollers, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_pending_before, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_at_random, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_dying, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_hostile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
