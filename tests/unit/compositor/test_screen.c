/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the screen, and who gets the keys and the pointer. */
#include "lab.h"

#include <gio/gunixfdlist.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUT "HEADLESS-1"

static void assert_error(const GError *error, const char *name)
{
	g_autofree char *remote = g_dbus_error_get_remote_error(error);

	g_assert_cmpstr(remote, ==, name);
}

static void switching(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	g_assert_cmphex(lab_pixel(lab, OUT, 0, 360), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 3, 360), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 4, 360), ==, WORK);
	g_assert_cmphex(lab_pixel(lab, OUT, 1279, 360), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 100, 0), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 100, 719), ==, WORK_FRAME);
	/* Its name, on its colour, at the top. */
	g_assert_cmphex(lab_pixel(lab, OUT, 640 - 20, 8), ==, WORK_FRAME);
	lab_wait_shown(lab, "work");
	lab_wait_foreground(lab, "/org/carrel/vm/work");

	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	g_assert_cmphex(lab_pixel(lab, OUT, 0, 360), ==, PERSONAL_FRAME);
	lab_chord(lab, KEY_0);
	lab_wait_shown(lab, "");
	lab_wait_no_pixel(lab, OUT, 0, 360, PERSONAL_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 100, 100), !=, PERSONAL);
	lab_wait_foreground(lab, "/");
	/* A number without a VM changes nothing. */
	lab_chord(lab, KEY_2 + 5);
	lab_wait_shown(lab, "");
	lab_free(lab);
}

static void label_goes(void)
{
	Lab *lab = lab_new("[frame]\nedge=4\nlabel-seconds=1\n");
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_wait_pixel(lab, OUT, 620, 8, WORK);
	/* Whose screen is this? The pointer at the top edge asks. */
	g_free(lab_command(lab, "move 0.5 0"));
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_free(lab);
}

/* As long as somebody hears the microphone, in front or behind, it is said on top of everything that a guest draws. */
static void recording_stays(void)
{
	Lab *lab = lab_new("[frame]\nedge=4\nlabel-seconds=1\n");
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_wait_pixel(lab, OUT, 620, 8, WORK);
	lab_vm_recording(lab, "work", TRUE);
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_run(lab, 1300);
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_vm_recording(lab, "work", FALSE);
	lab_wait_pixel(lab, OUT, 620, 8, WORK);
	lab_vm_recording(lab, "personal", TRUE);
	lab_wait_pixel(lab, OUT, 620, 8, WORK_FRAME);
	lab_vm_recording(lab, "personal", FALSE);
	lab_wait_pixel(lab, OUT, 620, 8, WORK);
	lab_free(lab);
}

/* Dashes below the name are lit as the start goes on; while nothing does, nothing is drawn. */
static void splash(void)
{
	Lab *lab = lab_new(NULL);
	guint32 lit = 0x58b5ac;
	g_autofree char *before = NULL, *after = NULL;

	lab_wait_pixel(lab, OUT, 640, 310, lit);  /* the mark */
	lab_wait_pixel(lab, OUT, 657, 455, lit);  /* the manager is there */
	lab_manager(lab, FALSE);
	lab_wait_no_pixel(lab, OUT, 657, 455, lit);
	g_assert_cmphex(lab_pixel(lab, OUT, 589, 455), ==, lit);
	g_assert_cmphex(lab_pixel(lab, OUT, 623, 455), ==, lit);
	lab_manager(lab, TRUE);
	lab_wait_pixel(lab, OUT, 657, 455, lit);
	g_assert_cmphex(lab_pixel(lab, OUT, 691, 455), !=, lit);
	lab_run(lab, 100);
	before = lab_command(lab, "frames " OUT);
	lab_run(lab, 500);
	after = lab_command(lab, "frames " OUT);
	g_assert_cmpstr(before, ==, after);
	lab_shell(lab, "carrel-switcher", 0x777777);
	lab_wait_pixel(lab, OUT, 657, 455, 0x777777);
	lab_free(lab);
}

static void keys_reach_one(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_tap(lab, KEY_A);
	g_assert_false(peer_heard(lab, work, "key", 50));
	g_assert_false(peer_heard(lab, personal, "key", 0));

	lab_chord(lab, KEY_1);
	g_free(peer_wait(lab, work, "enter 0"));
	lab_tap(lab, KEY_A);
	g_free(peer_wait(lab, work, "key 30 1"));
	g_free(peer_wait(lab, work, "key 30 0"));
	g_assert_false(peer_heard(lab, personal, "key", 50));

	lab_chord(lab, KEY_2);
	g_free(peer_wait(lab, personal, "enter 0"));
	peer_forget(lab, work);
	lab_tap(lab, KEY_S);
	g_free(peer_wait(lab, personal, "key 31 1"));
	g_assert_false(peer_heard(lab, work, "key", 50));
	lab_free(lab);
}

/* The view that is left gets releases of all that it knows to be down; the one that is entered sees nothing of the chord. */
static void keys_when_switching(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	g_free(peer_wait(lab, work, "enter"));
	peer_forget(lab, work);
	peer_forget(lab, personal);
	lab_key(lab, KEY_A, 1);
	g_free(peer_wait(lab, work, "key 30 1"));
	lab_key(lab, CTRL, 1);
	g_free(peer_wait(lab, work, "key 29 1"));
	g_free(peer_wait(lab, work, "mods 4"));
	lab_key(lab, ALT, 1);
	lab_key(lab, KEY_2, 1);
	g_free(peer_wait(lab, personal, "enter 0"));
	lab_run(lab, 30);
	g_assert_false(peer_heard(lab, work, "key 3 ", 0));
	g_free(peer_wait(lab, work, "key 56 1"));
	/* In the order of their codes. */
	g_free(peer_wait(lab, work, "key 29 0"));
	g_free(peer_wait(lab, work, "key 30 0"));
	g_free(peer_wait(lab, work, "key 56 0"));
	g_free(peer_wait(lab, work, "leave"));

	g_free(peer_wait(lab, personal, "mods 0"));
	lab_key(lab, KEY_2, 0);
	lab_key(lab, ALT, 0);
	lab_key(lab, CTRL, 0);
	lab_key(lab, KEY_A, 0);
	g_assert_false(peer_heard(lab, personal, "key", 50));
	g_assert_false(peer_heard(lab, work, "key", 0));
	lab_tap(lab, KEY_S);
	g_free(peer_wait(lab, personal, "key 31 1"));
	lab_free(lab);
}

static void keyboard_unplugged(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	g_free(peer_wait(lab, work, "enter"));
	lab_key(lab, KEY_A, 1);
	g_free(peer_wait(lab, work, "key 30 1"));
	g_free(lab_command(lab, "unplug"));
	g_free(peer_wait(lab, work, "key 30 0"));
	lab_tap(lab, KEY_S);
	g_free(peer_wait(lab, work, "key 31 1"));
	lab_free(lab);
}

static void pointer_and_touch(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	g_free(peer_wait(lab, work, "enter"));
	g_free(lab_command(lab, "move 0.5 0.5"));
	g_free(peer_wait(lab, work, "motion 640 360"));
	g_free(lab_command(lab, "button 272 1"));
	g_free(peer_wait(lab, work, "button 272 1"));
	g_free(lab_command(lab, "touch 1 0.25 0.25"));
	g_free(peer_wait(lab, work, "down 1 320 180"));
	lab_chord(lab, KEY_2);
	/* What was down there is up, and its end is not told to the next. */
	g_free(peer_wait(lab, work, "button 272 0"));
	g_free(peer_wait(lab, work, "pointer-leave"));
	g_free(peer_wait(lab, work, "touch-cancel"));
	g_free(peer_wait(lab, personal, "pointer 640 360"));
	g_free(lab_command(lab, "button 272 0"));
	g_free(lab_command(lab, "lift 1"));
	g_assert_false(peer_heard(lab, personal, "button", 50));
	g_assert_false(peer_heard(lab, personal, "up", 0));
	g_free(lab_command(lab, "move 0.25 0.5"));
	g_free(peer_wait(lab, personal, "motion 320 360"));
	g_assert_false(peer_heard(lab, work, "motion", 50));
	lab_free(lab);
}

static void outputs_come_and_go(void)
{
	Lab *lab = lab_new("[output HEADLESS-2]\nscale=2\nrotation=90\n");
	Peer *work, *personal;
	g_autofree char *second = NULL, *third = NULL;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	peer_forget(lab, work);

	/* The only screen goes while it is on; another comes, turned by 90 degrees and twice as dense. */
	g_free(lab_command(lab, "remove " OUT));
	lab_run(lab, 50);
	lab_chord(lab, KEY_2);
	lab_chord(lab, KEY_1);
	second = lab_command(lab, "output 1920 1080");
	g_assert_cmpstr(second, ==, "HEADLESS-2");
	g_free(peer_wait(lab, work, "configure 540 960 1"));
	lab_wait_pixel(lab, second, 960, 540, WORK);
	g_assert_cmphex(lab_pixel(lab, second, 7, 540), ==, WORK_FRAME);

	/* A second one beside it: the view has one toplevel, so it stays where it is, and both have the frame. */
	third = lab_command(lab, "output 800 600");
	lab_wait_pixel(lab, third, 0, 300, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, third, 400, 300), ==, 0);
	g_free(lab_command(lab, "remove HEADLESS-2"));
	g_free(peer_wait(lab, work, "configure 800 600 1"));
	lab_wait_pixel(lab, third, 400, 300, WORK);
	lab_free(lab);
}

static void shell_layers(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal, *switcher, *notice;

	lab_two_vms(lab, &work, &personal);
	switcher = lab_shell(lab, "carrel-switcher", 0x777777);
	lab_wait_pixel(lab, OUT, 640, 360, 0x777777);
	g_free(peer_wait(lab, switcher, "enter"));
	lab_tap(lab, KEY_A);
	g_free(peer_wait(lab, switcher, "key 30 1"));

	notice = lab_shell(lab, "carrel-notice", 0xabcdef);
	lab_wait_pixel(lab, OUT, 100, 40, 0xabcdef);
	g_assert_false(peer_heard(lab, notice, "enter", 50));

	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	g_free(peer_wait(lab, switcher, "leave"));
	/* A notice is above the view and below the frame. */
	g_assert_cmphex(lab_pixel(lab, OUT, 100, 40), ==, 0xabcdef);
	g_assert_cmphex(lab_pixel(lab, OUT, 100, 1), ==, WORK_FRAME);
	g_assert_cmphex(lab_pixel(lab, OUT, 1, 40), ==, WORK_FRAME);

	lab_chord(lab, KEY_0);
	g_free(peer_wait(lab, switcher, "enter 0"));
	/* Without a switcher the desk can still be used. */
	peer_tell(switcher, "exit");
	peer_wait_gone(lab, switcher);
	lab_chord(lab, KEY_2);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	lab_free(lab);
}

static void locked(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal, *lock;
	g_autoptr(GError) error = NULL, denied = NULL;
	g_autoptr(GVariant) done = NULL, refused = NULL, again = NULL;

	lab_two_vms(lab, &work, &personal);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 640, 360, WORK);
	done = lab_desk(lab, "Lock", NULL, NULL, &error);
	g_assert_no_error(error);
	/* Even before there is a lock screen. */
	lab_wait_no_pixel(lab, OUT, 640, 360, WORK);
	peer_forget(lab, work);
	lock = lab_shell(lab, "carrel-lock", 0x99aa99);
	lab_wait_pixel(lab, OUT, 0, 0, 0x99aa99);
	g_free(peer_wait(lab, lock, "enter"));
	lab_tap(lab, KEY_A);
	g_free(peer_wait(lab, lock, "key 30 1"));
	lab_chord(lab, KEY_2);
	lab_chord(lab, KEY_ESC);
	refused = lab_desk(lab, "Show", g_variant_new("(s)", "personal"), NULL, &denied);
	g_assert_null(refused);
	assert_error(denied, "org.carrel.Error.Denied");
	lab_run(lab, 50);
	g_assert_cmphex(lab_pixel(lab, OUT, 640, 360), ==, 0x99aa99);
	g_assert_false(peer_heard(lab, work, "key", 0));
	g_assert_false(peer_heard(lab, personal, "key", 0));

	/* The lock outlives the compositor. */
	lab_kill(lab);
	lab_start(lab);
	work = lab_peer(lab, "work");
	lab_wait_view(lab, "work", "live");
	lab_chord(lab, KEY_1);
	lab_run(lab, 100);
	g_assert_cmphex(lab_pixel(lab, OUT, 0, 360), !=, WORK_FRAME);
	again = lab_desk(lab, "Unlock", NULL, NULL, &error);
	g_assert_no_error(error);
	lab_chord(lab, KEY_1);
	lab_wait_pixel(lab, OUT, 0, 360, WORK_FRAME);
	lab_free(lab);
}

static void asked_by_bus(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;
	g_autoptr(GError) error = NULL, unknown = NULL;
	g_autoptr(GVariant) shown = NULL, picture = NULL, none = NULL, restarted = NULL;
	g_autoptr(GUnixFDList) fds = NULL;
	guint width, height, stride;
	guint32 *pixels;
	int handle, fd, pid;

	lab_two_vms(lab, &work, &personal);
	shown = lab_desk(lab, "Show", g_variant_new("(s)", "personal"), NULL, &error);
	g_assert_no_error(error);
	lab_wait_pixel(lab, OUT, 640, 360, PERSONAL);
	none = lab_desk(lab, "Show", g_variant_new("(s)", "nobody"), NULL, &unknown);
	assert_error(unknown, "org.carrel.Error.NotFound");

	/* Of one that is not on screen. */
	picture = lab_desk(lab, "Thumbnail", g_variant_new("(suut)", "work", 320, 320, G_GUINT64_CONSTANT(0)), &fds, &error);
	g_assert_no_error(error);
	g_variant_get(picture, "(huuut)", &handle, &width, &height, &stride, NULL);
	g_assert_cmpuint(width, ==, 320);
	g_assert_cmpuint(height, ==, 180);
	fd = g_unix_fd_list_get(fds, handle, &error);
	g_assert_no_error(error);
	pixels = mmap(NULL, (gsize)stride * height, PROT_READ, MAP_SHARED, fd, 0);
	g_assert_true(pixels != MAP_FAILED);
	g_assert_cmphex(pixels[stride / 4 * 90 + 160] & 0xffffff, ==, WORK);
	munmap(pixels, (gsize)stride * height);
	g_assert_cmpint(ftruncate(fd, 0), ==, -1);
	close(fd);

	pid = personal->pid;
	restarted = lab_desk(lab, "RestartView", g_variant_new("(s)", "personal"), NULL, &error);
	g_assert_no_error(error);
	peer_wait_gone(lab, personal);
	personal = lab_peer(lab, "personal");
	g_assert_cmpint(personal->pid, !=, pid);
	lab_wait_view(lab, "personal", "live");
	lab_free(lab);
}

/* The picture's serial, or 0 for the error Same; what else goes wrong fails the test. */
static guint64 ask_picture(Lab *lab, const char *vm, guint64 known)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GUnixFDList) fds = NULL;
	g_autoptr(GVariant) picture = lab_desk(lab, "Thumbnail", g_variant_new("(suut)", vm, 320, 320, known), &fds, &error);
	guint64 serial = 0;

	if (picture)
		g_variant_get(picture, "(huuut)", NULL, NULL, NULL, NULL, &serial);
	else
		assert_error(error, "org.carrel.Error.Same");
	g_assert_true(!picture || serial != 0);
	return serial;
}

static guint64 wait_picture(Lab *lab, const char *vm, guint64 known)
{
	guint64 serial;

	for (guint i = 0; i < 500; i++, lab_run(lab, 10))
		if ((serial = ask_picture(lab, vm, known)))
			return serial;
	g_error("%s: no other picture came", vm);
}

static void same_picture(void)
{
	Lab *lab = lab_new(NULL);
	Peer *work, *personal;
	g_autoptr(GError) error = NULL;
	guint64 first, second, third;

	lab_two_vms(lab, &work, &personal);
	lab_run(lab, 100);
	first = ask_picture(lab, "work", 0);
	g_assert_cmpuint(ask_picture(lab, "work", first), ==, 0);
	g_assert_cmpuint(ask_picture(lab, "work", first - 1), ==, first);
	g_assert_cmpuint(ask_picture(lab, "personal", 0), !=, first);

	/* A commit of nothing is no picture, and off screen its frame callback waits until somebody asks. */
	peer_tell(work, "commit");
	g_assert_false(peer_heard(lab, work, "frame", 100));
	g_assert_cmpuint(ask_picture(lab, "work", first), ==, 0);
	g_free(peer_wait(lab, work, "frame"));
	g_assert_cmpuint(ask_picture(lab, "work", first), ==, 0);

	peer_tell(work, "colour %x", WORK);
	second = wait_picture(lab, "work", first);
	g_assert_cmpuint(second, !=, first);
	g_assert_cmpuint(ask_picture(lab, "work", second), ==, 0);
	/* Not what another VM draws. */
	peer_tell(personal, "colour %x", WORK);
	lab_run(lab, 50);
	g_assert_cmpuint(ask_picture(lab, "work", second), ==, 0);

	g_variant_unref(lab_desk(lab, "RestartView", g_variant_new("(s)", "work"), NULL, &error));
	g_assert_no_error(error);
	peer_wait_gone(lab, work);
	work = lab_peer(lab, "work");
	lab_wait_view(lab, "work", "live");
	third = ask_picture(lab, "work", second);
	g_assert_cmpuint(third, >, second);

	lab_kill(lab);
	lab_start(lab);
	work = lab_peer(lab, "work");
	lab_wait_view(lab, "work", "live");
	g_assert_cmpuint(ask_picture(lab, "work", third), >, third + 1000);
	lab_free(lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/screen/switching", switching);
	g_test_add_func("/screen/label", label_goes);
	g_test_add_func("/screen/recording", recording_stays);
	g_test_add_func("/screen/splash", splash);
	g_test_add_func("/keys/one", keys_reach_one);
	g_test_add_func("/keys/switching", keys_when_switching);
	g_test_add_func("/keys/unplugged", keyboard_unplugged);
	g_test_add_func("/pointer", pointer_and_touch);
	g_test_add_func("/outputs", outputs_come_and_go);
	g_test_add_func("/shell/layers", shell_layers);
	g_test_add_func("/shell/lock", locked);
	g_test_add_func("/shell/bus", asked_by_bus);
	g_test_add_func("/shell/same-picture", same_picture);
	return g_test_run();
}
