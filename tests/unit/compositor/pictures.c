/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of what the compositor draws itself, to look at. usage: pictures DIRECTORY */
#include "lab.h"

#include <glib/gstdio.h>
#include <signal.h>

static const char *directory;

static void take(Lab *lab, const char *output, const char *name)
{
	g_autofree char *file = g_strdup_printf("%s.png", name), *path = g_build_filename(directory, file, NULL);

	lab_run(lab, 200);
	g_free(lab_command(lab, "png %s %s", output, path));
}

int main(int argc, char **argv)
{
	Lab *lab;
	Peer *work, *personal;
	g_autofree char *second = NULL;

	g_assert_cmpint(argc, ==, 2);
	directory = argv[1];
	g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
	lab = lab_new("[output HEADLESS-1]\nscale=2\n");
	take(lab, "HEADLESS-1", "desk-splash-dense");
	lab_free(lab);
	lab = lab_new("[output HEADLESS-2]\nscale=2\nrotation=90\n[views]\nretry-first=2000\n");
	take(lab, "HEADLESS-1", "desk-splash");
	lab_two_vms(lab, &work, &personal);
	lab_vm(lab, "travel", "Travel", 0xe0c020, -1);
	lab_run(lab, 100);
	take(lab, "HEADLESS-1", "desk-list");
	lab_chord(lab, KEY_1);
	lab_wait_shown(lab, "work");
	peer_tell(work, "colour d8dde2");
	take(lab, "HEADLESS-1", "desk-work");
	lab_chord(lab, KEY_2 + 1);
	take(lab, "HEADLESS-1", "desk-off");
	lab_chord(lab, KEY_1);
	lab_run(lab, 1100);
	kill(work->pid, SIGSTOP);
	lab_tap(lab, KEY_A);
	lab_wait_view(lab, "work", "hung");
	take(lab, "HEADLESS-1", "desk-hung");
	kill(work->pid, SIGKILL);
	lab_wait_view(lab, "work", "failed");
	take(lab, "HEADLESS-1", "desk-failed");
	lab_chord(lab, KEY_2);
	second = lab_command(lab, "output 1920 1080");
	g_free(lab_command(lab, "remove HEADLESS-1"));
	take(lab, second, "desk-rotated");
	lab_free(lab);
	return 0;
}
