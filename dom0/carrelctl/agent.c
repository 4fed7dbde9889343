// SPDX-License-Identifier: Apache-2.0
/* Passwords that polkit wants: polkit's own agent for terminals asks for them, for as long as we run. It is started only when
 * something was denied, and asks on the terminal itself. */
#include "carrelctl.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define AGENT "pkttyagent"
#define READY_LIMIT 10000 /* ms */

static void end_with_parent(gpointer data G_GNUC_UNUSED)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* It closes its end when it is registered, or has given up. */
static void wait_until_ready(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	while (poll(&ready, 1, READY_LIMIT) < 0)
		;
}

static GSubprocess *spawn(int notify)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
	g_autofree char *fd = g_strdup_printf("%d", notify);

	g_subprocess_launcher_take_fd(launcher, notify, notify);
	g_subprocess_launcher_set_child_setup(launcher, end_with_parent, NULL, NULL);
	/* Without --process it serves its parent. An agent that is there already, of a desktop session say, goes first. */
	return g_subprocess_launcher_spawn(launcher, NULL, AGENT, "--notify-fd", fd, "--fallback", NULL);
}

gboolean agent_helps(Ctl *ctl, const GError *error)
{
	int pair[2];

	if (ctl->agent || status_of(error) != STATUS_DENIED || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return FALSE;
	if (pipe2(pair, O_CLOEXEC))
		return FALSE;
	ctl->agent = spawn(pair[1]);
	if (ctl->agent)
		wait_until_ready(pair[0]);
	close(pair[0]);
	return ctl->agent != NULL;
}

void agent_stop(Ctl *ctl)
{
	if (!ctl->agent)
		return;
	/* It gives the terminal its echo back. */
	g_subprocess_send_signal(ctl->agent, SIGTERM);
	g_subprocess_wait(ctl->agent, NULL, NULL);
	g_clear_object(&ctl->agent);
}
