/* SPDX-License-Identifier: Apache-2.0 */
/* Measures switches on the rig, built without sanitizers: from the hotkey to the first picture that has the other VM's view,
 * with one that floods in the background or without. Prints lines "BENCH what value unit". usage: bench [ROUNDS] */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>

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
	lab_free(lab);
	return 0;
}
