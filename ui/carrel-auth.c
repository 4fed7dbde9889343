/* SPDX-License-Identifier: Apache-2.0 */
/* carrel-auth: says whether a password is the person's. systemd starts one for each question, as root, with the connection as
 * standard input; it reads one line and answers "ok" or "no REASON". Whose password it is follows from who asks, or from
 * CARREL_LOCK_USER in its unit, never from what is asked. PAM's own delay keeps guessing slow. */
#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASSWORD_MAX 512
#define SECONDS_MAX  25

static int answer(const char *text)
{
	char line[256];
	int length = snprintf(line, sizeof(line), "%s\n", text);
	return send(STDIN_FILENO, line, (size_t)length, MSG_NOSIGNAL) == length ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const char *user_of_peer(char *buffer, size_t size)
{
	const char *chosen = getenv("CARREL_LOCK_USER");
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct passwd entry, *found = NULL;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return NULL;
	if (chosen && chosen[0])
		return chosen;
	return getpwuid_r(peer.uid, &entry, buffer, size, &found) == 0 && found ? entry.pw_name : NULL;
}

/* Up to the line feed, which goes. A line without one, or too long, is none. */
static int read_password(char *password, size_t size)
{
	size_t length = 0;
	while (length < size) {
		ssize_t n = read(STDIN_FILENO, password + length, size - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		char *end = memchr(password + length, '\n', (size_t)n);
		length += (size_t)n;
		if (!end)
			continue;
		*end = 0;
		return strlen(password) == (size_t)(end - password) ? 0 : -1;
	}
	return -1;
}

/* Whatever is asked without echo gets the password; nothing else is answered. */
static int converse(int n, const struct pam_message **messages, struct pam_response **responses, void *password)
{
	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	struct pam_response *replies = calloc((size_t)n, sizeof(*replies));
	for (int i = 0; replies && i < n; i++) {
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			replies[i].resp = strdup(password);
		else if (messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			replies[i].resp = strdup("");
	}
	*responses = replies;
	return replies ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int check(const char *user, char *password)
{
	struct pam_conv conversation = {converse, password};
	pam_handle_t *pam = NULL;
	const char *dir = getenv("CARREL_PAM_DIR"); /* tests have their own */
	int rc = dir ? pam_start_confdir("carrel-lock", user, &conversation, dir, &pam)
		     : pam_start("carrel-lock", user, &conversation, &pam);
	if (rc == PAM_SUCCESS)
		rc = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (rc == PAM_SUCCESS)
		rc = pam_acct_mgmt(pam, PAM_SILENT);
	if (pam)
		pam_end(pam, rc);
	return rc;
}

int main(void)
{
	char buffer[4096], password[PASSWORD_MAX + 2];
	const char *user = user_of_peer(buffer, sizeof(buffer));
	if (!user)
		return answer("no carrel-auth: nobody asks");
	alarm(SECONDS_MAX);
	int rc = read_password(password, sizeof(password)) ? -1 : check(user, password);
	explicit_bzero(password, sizeof(password));
	switch (rc) {
	case PAM_SUCCESS:
		return answer("ok");
	case -1:
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
		return answer("no"); /* the asker has the words for it, in the person's language */
	default:
		snprintf(buffer, sizeof(buffer), "no %.200s", pam_strerror(NULL, rc));
		return answer(buffer);
	}
}
