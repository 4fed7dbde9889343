/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-guest-memory: runs in a guest and tells the balancer what it needs, in KiB, below data/ in the guest's own part of
 * xenstore. The kernel's pressure trigger wakes it when memory is short; else it looks twice a minute. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#define KEY "data/carrel-memory"
#define LOOK 30000 /* ms */
#define REST 1     /* seconds between two answers to pressure */
#define STEP 16384 /* KiB that are worth telling */

static unsigned long long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What programs hold, in memory and swapped out: all but what the kernel could give back. */
static unsigned long long needed(void)
{
	char text[8192];
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long long total, available;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	total = field(text, "MemTotal:");
	available = field(text, "MemAvailable:");
	return total - (available < total ? available : total) + field(text, "SwapTotal:") - field(text, "SwapFree:");
}

/* 150 ms of waiting for memory within a second. */
static int watch_pressure(void)
{
	static const char trigger[] = "some 150000 1000000";
	int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && write(fd, trigger, sizeof(trigger)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int main(void)
{
	struct xs_handle *store = xs_open(0);
	struct pollfd pressure = { .fd = watch_pressure(), .events = POLLPRI };
	unsigned long long told = 0;

	if (!store) {
		fprintf(stderr, "carrel-guest-memory: no xenstore: is this a Xen guest?\n");
		return 1;
	}
	for (;;) {
		unsigned long long now = needed();
		char text[32];

		if (now && (now > told + STEP || now + STEP < told)) {
			snprintf(text, sizeof(text), "%llu", now);
			if (!xs_write(store, XBT_NULL, KEY, text, strlen(text))) {
				perror("carrel-guest-memory: " KEY);
				return 1;
			}
			told = now;
		}
		if (poll(&pressure, 1, LOOK) > 0)
			sleep(REST);
	}
}
