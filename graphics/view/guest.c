// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#define LINES_A_MINUTE 10

void guest_mistake(const char *format, ...)
{
	static gint64 minute;
	static unsigned lines;
	gint64 now = g_get_monotonic_time() / (60 * G_USEC_PER_SEC);
	g_autofree char *text = NULL;
	va_list args;

	if (now != minute) {
		minute = now;
		lines = 0;
	}
	if (++lines > LINES_A_MINUTE)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_info("guest: %s%s", text, lines == LINES_A_MINUTE ? " (and no more of this for a minute)" : "");
}
