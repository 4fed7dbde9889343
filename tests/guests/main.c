// SPDX-License-Identifier: Apache-2.0
/* Which test: the first word of the command line. */
#include "tests.h"

#include <xen/arch-x86/hvm/start_info.h>

static const struct {
	const char *name;
	bool privileged;
	void (*fn)(void);
} tests[] = {
	{ "abi", true, abi },
	{ "hostile", true, hostile },
	{ "secret", true, secret },
	{ "leaks", true, leaks },
	{ "abi", false, guest_abi },
	{ "idle", false, guest_idle },
	{ "keeper", false, guest_keeper },
	{ "busy", false, guest_busy },
	{ "hostile", false, guest_hostile },
	{ "search", false, guest_search },
	{ "leaky", false, guest_leaky },
};

unsigned timer_port;

void main_start(uint64_t start_info);
void main_start(uint64_t start_info)
{
	const struct hvm_start_info *s = (const void *)start_info;
	size_t n = 0;

	privileged = s->flags & SIF_PRIVILEGED;
	memcpy(cmdline, (const void *)s->cmdline_paddr, sizeof(cmdline) - 1);
	for (char *c = cmdline; *c; c++)
		*c = *c == ',' ? ' ' : *c; /* for tests/guests/suites, where it is one word */
	while (cmdline[n] && cmdline[n] != ' ')
		n++;
	box.state = BOX_RUNNING;
	rnd_state = option("seed", 1) * 0x9e3779b97f4a7c15ul;
	xen_init();
	sti();
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		if (tests[i].privileged == privileged && strlen(tests[i].name) == n && !memcmp(tests[i].name, cmdline, n)) {
			tests[i].fn();
			finish();
		}
	check(false, "no test '%s'", cmdline);
	finish();
}
