/* SPDX-License-Identifier: Apache-2.0 */
/* Measures switches on the rig, built without sanitizers: from the hotkey to the first picture that has the other VM's view,
 * with one that floods in the background or without. Prints lines "BENCH what value unit". usage: bench [ROUNDS] */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

	return x < y ? -1 : x > y;
}

static void measure(Lab *lab, const char *what, const char *output, guint rounds)
{
	g_autofree gint64 *times = g_new(gint64, rounds);

	for (guint i = 0; i < rounds; i++) {
		times[i] = lab_timed_chord(lab, i % 2 ? KEY_1 : KEY_2, output, 960, 540, i % 2 ? WORK : PERSONAL);
		lab_run(lab, 20 + (guint)g_random_int_range(0, 17));
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("BENCH %s-median %.3f ms\n", what, (double)times[rounds / 2] / 1000);
	printf("BENCH %s-p95 %.3f ms\n", what, (double)times[rounds * 95 / 100] / 1000);
	printf("BENCH %s-most %.3f ms\n", what, (double)times[rounds - 1] / 1000);
}

static guint64 count_wakeups(int pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint64 sum = 0;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *status = g_build_filename(path, name, "status", NULL), *text = NULL;
		const char *line;
		if (g_file_get_contents(status, &text, NULL, NULL) && (line = strstr(text, "\nvoluntary_ctxt_switches:")))
			sum += g_ascii_strtoull(line + strlen("\nvoluntary_ctxt_switches:") + 1, NULL, 10);
	}
	return sum;
}

static void at_rest(Lab *lab)
{
	int pid = atoi(g_subprocess_get_identifier(lab->rig));
	g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid), *text = NULL;
	const char *line;
	guint64 before;

	lab_run(lab, 4500); /* labels are gone, pings answered */
	before = count_wakeups(pid);
	g_usleep(5 * G_USEC_PER_SEC);
	printf("BENCH idle-wakeups %.1f 1/s\n", (double)(count_wakeups(pid) - before) / 5);
	if (g_file_get_contents(path, &text, NULL, NULL) && (line = strstr(text, "\nPrivate_Dirty:")))
		printf("BENCH private-memory %.1f MiB\n", (double)g_ascii_strtoull(line + strlen("\nPrivate_Dirty:") + 1, NULL, 10) / 1024);
}

int main(int argc, char **argv)
{
	guint rounds = argc > 1 ? (guint)CLAMP(atoi(argv[1]), 10, 10000) : 100;
	Lab *lab;
	Peer *work, *personal;
	g_autofree char *output = NULL;

	g_random_set_seed(1);
	lab = lab_new("[output HEADLESS-2]\nmode=1920x1080@60\n");
	output = lab_command(lab, "output 1920 1080");
	g_free(lab_command(lab, "remove HEADLESS-1"));
	lab_two_vms(lab, &work, &personal);
	lab_run(lab, 300);
	measure(lab, "switch-1080p", output, rounds);
	lab_chord(lab, KEY_1);
	peer_tell(work, "flood 1");
	lab_run(lab, 300);
	measure(lab, "switch-1080p-busy", output, rounds);
	/* After GLib's threads of the start have gone. */
	peer_tell(work, "flood 0");
	at_rest(lab);
	lab_free(lab);
	return 0;
}
