/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile view can't do, and what a view that fails does not break. */
#include "lab.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT "HEADLESS-1"

static void frames_on_top(Lab *lab)
{
	g_assert_cmphex(lab_pixel(lab, OUT, 1, 360), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 1278, 360), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 300, 1), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 300, 718), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 620, 8), ==, WORK_FRAME);
}

static void nothing_covers_frames(void)
{
	Lab *lab = lab_new("[frame]\nlabel-seconds=0\n");
	Peer *work, *personal;
	g_autofree char *said = NULL;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	frames_on_top(lab);
	peer_tell(work, "cover");
	lab_wait_pixel(lab, OUT, 640, 360, 0xff00ff);
	frames_on_top(lab);

	g_free(lab_command(lab, "move 0.5 0.5"));
	g_free(peer_wait(lab, work, "pointer"));
	peer_tell(work, "cursor");
	g_free(peer_wait(lab, work, "cursor"));
	g_free(lab_command(lab, "move 0.2 0.2"));
	lab_run(lab, 100);
	frames_on_top(lab);

	/* A popup would take the keyboard along. */
	peer_tell(work, "popup");
	g_free(peer_wait(lab, work, "popup-done"));
	said = peer_wait(lab, work, "popup 0");
	lab_run(lab, 50);
	frames_on_top(lab);
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	peer_forget(lab, work);
	lab_tap(lab, KEY_A);
	g_free(peer_wait(lab, personal, "key 30 1"));
	g_assert_false(peer_heard(lab, work, "key", 20));
	lab_free(lab);
}

/* Drawn over a screen that a view with two screens' worth of surface covers: the neighbour belongs to the same VM or to nobody. */
static void clipped_to_output(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	g_free(lab_command(lab, "output 640 480"));
	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	peer_tell(work, "cover");
	lab_wait_pixel(lab, OUT, 640, 360, 0xff00ff);
	lab_run(lab, 100);
	g_assert_cmphex(lab_pixel(lab, "HEADLESS-2", 320, 240), ==, 0);
	lab_free(lab);
}

static void views_see_little(void)
{
	static const char *const hidden[] = {"zwlr_layer_shell_v1", "wl_data_device_manager", "zwlr_screencopy_manager_v1",
		"zxdg_output_manager_v1"};
	Lab *lab = lab_new(NULL);
	Peer *work, *personal, *switcher;
	g_autofree char *said = NULL, *shell = NULL;

	lab_two_vms(lab, &work, &personal);
	switcher = lab_shell(lab, "carrel-switcher", 0x777777);
	peer_forget(lab, work);
	peer_forget(lab, switcher);
	peer_tell(work, "globals");
	peer_tell(switcher, "globals");
	for (guint i = 0; i < G_N_ELEMENTS(hidden); i++) {
		g_autofree char *line = g_strdup_printf("global %s", hidden[i]);
		g_assert_false(peer_heard(lab, work, line, i ? 0 : 200));
		g_assert_true(peer_heard(lab, switcher, line, 0));
	}
	g_assert_true(peer_heard(lab, work, "global carrel_view_v1", 0));
	g_assert_false(peer_heard(lab, switcher, "global carrel_view_v1", 0));
	/* Who asks for it all the same, by the number that it has, is shown the door. */
	shell = peer_wait(lab, switcher, "global zwlr_layer_shell_v1");
	peer_tell(work, "steal %s", strrchr(shell, ' ') + 1);
	said = peer_wait(lab, work, "stolen");
	g_assert_cmpstr(said, !=, "stolen 0");
	lab_free(lab);
}

static int connect_to(Lab *lab, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/vm/%s.sock", lab->dir, name);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

/* A VM has one view. */
static void no_second_view(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;
	int fd;

	lab_two_vms(lab, &work, &personal);
	fd = connect_to(lab, "work");
	lab_wait_closed(lab, fd);
	close(fd);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	lab_free(lab);
}

static void flooded(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	peer_tell(work, "flood 1");
	lab_run(lab, 300);
	for (guint i = 0; i < 3; i++) {
		gint64 took = lab_timed_chord(lab, KEY_2, OUT, 640, 360, PERSONAL);
		g_test_message("switched away from a view that floods in %" G_GINT64_FORMAT " us", took);
		g_assert_cmpint(took, <, 1000000);
		lab_tap(lab, KEY_A);
		g_free(peer_wait(lab, personal, "key 30 1"));
		lab_timed_chord(lab, KEY_1, OUT, 640, 360, WORK);
	}
	lab_free(lab);
}

static void hung(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;
	guint32 dimmed;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 600, WORK);
	g_free(peer_wait(lab, work, "enter"));
	lab_run(lab, 1100); /* it is asked once a second at most */
	kill(work->pid, SIGSTOP);
	lab_tap(lab, KEY_A);
	/* Hotkeys don't wait for it. */
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 600, PERSONAL);
	lab_chord(lab, KEY_1);
	lab_wait_view(lab, "work", "hung");
	lab_wait_no_pixel(lab, OUT, 640, 600, WORK);
	dimmed = lab_pixel(lab, OUT, 640, 600);
	g_assert_cmphex(dimmed, !=, WORK);
	g_assert_cmphex(dimmed, !=, 0);
	g_assert_cmphex(lab_pixel(lab, OUT, 1, 600), ==, WORK_FRAME);
	lab_chord(lab, KEY_ESC);
	lab_wait_shown(lab, "");
	lab_chord(lab, KEY_1);
	/* It comes back by itself, without what was typed meanwhile. */
	peer_forget(lab, work);
	lab_tap(lab, KEY_S);
	kill(work->pid, SIGCONT);
	lab_wait_view(lab, "work", "live");
	lab_wait_pixel(lab, OUT, 640, 600, WORK);
	g_assert_false(peer_heard(lab, work, "key 31", 50));
	lab_tap(lab, KEY_S);
	g_free(peer_wait(lab, work, "key 31 1"));

	/* Or it is closed. The same chord does nothing to a view that is well. */
	lab_chord(lab, KEY_BACKSPACE);
	lab_run(lab, 50);
	g_assert_true(work->alive);
	lab_run(lab, 1100);
	kill(work->pid, SIGSTOP);
	lab_tap(lab, KEY_A);
	lab_wait_view(lab, "work", "hung");
	lab_chord(lab, KEY_BACKSPACE);
	peer_wait_gone(lab, work);
	work = lab_peer(lab, "work");
	peer_tell(work, "colour %x", WORK);
	lab_wait_pixel(lab, OUT, 640, 600, WORK);
	lab_free(lab);
}

static void killed_in_mid_frame(void)
{
	Lab *lab = lab_new("[views]\nretry-first=400\n");
	Peer *work, *personal;
	guint32 dimmed;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 600, WORK);
	peer_tell(work, "flood 1");
	lab_run(lab, 200);
	kill(work->pid, SIGKILL);
	peer_wait_gone(lab, work);
	lab_wait_view(lab, "work", "failed");
	lab_wait_no_pixel(lab, OUT, 640, 600, WORK);
	/* What it showed last, dimmed. */
	dimmed = lab_pixel(lab, OUT, 640, 600);
	g_assert_cmphex(dimmed, !=, WORK);
	g_assert_cmphex(dimmed & 0xff, >, 4);
	g_assert_cmphex(lab_pixel(lab, OUT, 1, 600), ==, WORK_FRAME);
	work = lab_peer(lab, "work");
	peer_tell(work, "colour %x", WORK);
	lab_wait_pixel(lab, OUT, 640, 600, WORK);
	lab_tap(lab, KEY_A);
	g_free(peer_wait(lab, work, "key 30 1"));
	lab_free(lab);
}

static void clipboard_once(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	peer_tell(personal, "text from personal");
	lab_chord(lab, KEY_1);
	lab_wait_shown(lab, "work");
	lab_chord(lab, KEY_V);
	lab_wait_notice(lab, "Work has no clipboard");
	peer_tell(work, "text from work");
	lab_run(lab, 50);
	lab_chord(lab, KEY_V);
	lab_wait_notice(lab, "Text from Work is held");
	g_assert_false(peer_heard(lab, personal, "given", 0));
	lab_chord(lab, KEY_2);
	g_assert_false(peer_heard(lab, personal, "given", 100));
	lab_chord(lab, KEY_V);
	g_free(peer_wait(lab, personal, "given from work"));
	/* Once. The next press takes from where it is pressed. */
	peer_forget(lab, personal);
	lab_chord(lab, KEY_V);
	lab_wait_notice(lab, "Text from Personal is held");
	g_assert_false(peer_heard(lab, personal, "given", 0));
	lab_chord(lab, KEY_1);
	lab_chord(lab, KEY_V);
	g_free(peer_wait(lab, work, "given from personal"));
	/* A view that is stopped while it should write holds nothing up. */
	lab_run(lab, 50);
	kill(work->pid, SIGSTOP);
	lab_chord(lab, KEY_V);
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	kill(work->pid, SIGKILL);
	lab_run(lab, 100);
	lab_free(lab);
}

/* What is not Wayland ends that connection and nothing else; the next one may be the VM's view again. */
static void garbage(void)
{
	Lab *lab = lab_new("[views]\ncommand=/bin/false\nretry-first=60000\n");
	int fd;

	lab_vm(lab, "work", "Work", WORK_FRAME, 1);
	lab_wait_view(lab, "work", "failed");
	for (guint i = 0; i < 3; i++) {
		fd = connect_to(lab, "work");
		lab_run(lab, 50);
		/* An object that isn't there, with a length that is. */
		g_assert_cmpint(send(fd, "\1\0\0\377\0\0\20\0garbage!", 16, MSG_NOSIGNAL), ==, 16);
		lab_run(lab, 50);
		lab_wait_closed(lab, fd);
		close(fd);
	}
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 1, 360, WORK_FRAME);
	lab_free(lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/trust/frames", nothing_covers_frames);
	g_test_add_func("/trust/clip", clipped_to_output);
	g_test_add_func("/trust/globals", views_see_little);
	g_test_add_func("/trust/second-view", no_second_view);
	g_test_add_func("/trust/garbage", garbage);
	g_test_add_func("/trust/flood", flooded);
	g_test_add_func("/trust/hung", hung);
	g_test_add_func("/trust/killed", killed_in_mid_frame);
	g_test_add_func("/trust/clipboard", clipboard_once);
	return g_test_run();
}
