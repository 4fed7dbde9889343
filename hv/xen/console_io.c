// SPDX-License-Identifier: Apache-2.0
/* console_io(cmd, count, buffer): the service domain's hvc0 on the machine's console. Nobody else may use it. */
#include "domain.h"
#include "errno.h"
#include "guest.h"

#include <xen/xen.h>

static int64_t console_write(struct vcpu *v, uint64_t *arg)
{
	while ((uint32_t)arg[1]) {
		char buf[128];
		size_t n = MIN((uint32_t)arg[1], sizeof(buf));

		if (copy_from_guest(buf, arg[2], n))
			return -EFAULT;
		console_guest_write(v->domain, buf, n);
		arg[1] = (uint32_t)arg[1] - n;
		arg[2] += n;
		if (arg[1] && hypercall_preempt())
			return -ERESTART;
	}
	return 0;
}

/* Returns how many characters were read. */
static int64_t console_read(uint64_t *arg)
{
	uint32_t n = 0;
	int c;

	while (n < (uint32_t)arg[1] && (c = console_guest_read()) >= 0) {
		char ch = (char)c;

		if (copy_to_guest(arg[2] + n, &ch, 1))
			return -EFAULT;
		n++;
	}
	return n;
}

int64_t hypercall_console_io(struct vcpu *v, uint64_t *arg)
{
	if (!v->domain->is_dom0)
		return -EPERM;
	switch (arg[0]) {
	case CONSOLEIO_write:
		return console_write(v, arg);
	case CONSOLEIO_read:
		return console_read(arg);
	default:
		return -ENOSYS;
	}
}
