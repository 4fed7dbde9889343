// SPDX-License-Identifier: Apache-2.0
/* The whole view behind its system-call filter, in a process of its own: it works on, and what it must not do fails. */
#include "compositor.h"
#include "front.h"
#include "sandbox.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x)                                                                                                               \
	do {                                                                                                                   \
		if (!(x)) {                                                                                                    \
			static const char what[] = #x "\n";                                                                    \
			(void)!write(2, what, sizeof(what) - 1);                                                               \
			_exit(1);                                                                                              \
		}                                                                                                              \
	} while (0)

static void on_ended(void *data G_GNUC_UNUSED, const char *problem G_GNUC_UNUSED)
{
	_exit(2);
}

static void flip(struct front_display *front, const struct front_buffer *b)
{
	unsigned before = front->connector[0].flips;

	CHECK(!front_flip(front, 0, b->fb));
	fake_until((front_display_events(front, 0), front->connector[0].flips > before));
}

static void refused(void)
{
	char *const argv[] = {(char *)"/bin/true", NULL};

	CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
	CHECK(execv(argv[0], argv) < 0 && errno == EPERM);
	CHECK(fork() < 0 && errno == EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	CHECK(unlink("/nowhere") < 0 && errno == EPERM);
}

static void view(struct wl_display *wayland)
{
	struct view_options options = {.domid = FAKE_DOMID, .title = "x", .app_id = "x"};
	struct fake *fake = fake_new(4000);
	struct front_display front;
	struct front_buffer a, b;
	GError *error = NULL;

	fake_add_display(fake, 1, "800x600");
	view_new(fake_xen(fake), wayland, &options, on_ended, NULL);
	CHECK(sandbox_enter(NULL, &error));
	front_display_connect(&front, fake, 1);
	front_buffer_new(&front, &a, 1, 640, 480);
	front_buffer_new(&front, &b, 2, 640, 480);
	memset(b.pixels, 0x77, b.size);
	CHECK(!front_set_config(&front, 0, &a));
	for (int i = 0; i < 20; i++)
		flip(&front, i % 2 ? &a : &b);
	refused();
	flip(&front, &b);
	_exit(0);
}

static void test_sandbox(void)
{
	struct compositor *c = compositor_new(800, 600);
	struct wl_display *wayland = compositor_connect(c);
	int status = 0;
	pid_t child = fork();

	if (!child)
		view(wayland);
	while (!waitpid(child, &status, WNOHANG)) {
		compositor_turn(c);
		g_usleep(1000);
	}
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	wl_display_disconnect(wayland);
	compositor_free(c);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/view/sandbox", test_sandbox);
	return g_test_run();
}
