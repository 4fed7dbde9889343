// SPDX-License-Identifier: Apache-2.0
/* The real player: alone, and with a PipeWire and a WirePlumber of its own where there are such programs. usage: test_player CONFIGS */
#include "fake_xen.h"
#include "player.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/sndif.h>

#define RATE 48000u

static char *configs;

struct ear {
	uint64_t frames, heard; /* in all; of them with a device */
	int16_t loudest;
};

static void on_play(void *data, void *to, uint32_t frames)
{
	struct ear *e = data;
	int16_t *samples = to;

	g_assert_cmpuint(frames, >, 0);
	e->frames += frames;
	if (!to)
		return;
	e->heard += frames;
	for (uint32_t i = 0; i < frames; i++)
		samples[2 * i] = samples[2 * i + 1] = i / 50 % 2 ? 8000 : -8000;
}

static void on_record(void *data, const void *from, uint32_t frames)
{
	struct ear *e = data;
	const int16_t *samples = from;

	g_assert_cmpuint(frames, >, 0);
	e->frames += frames;
	if (!from)
		return;
	e->heard += frames;
	for (uint32_t i = 0; i < 2 * frames; i++)
		e->loudest = MAX(e->loudest, samples[i]);
}

static const struct voice_owner owner = {.play = on_play, .record = on_record};

static struct voice *open_voice(struct player *player, struct ear *ear, bool record, bool silent)
{
	struct voice_spec spec = {.format = format_find(XENSND_PCM_FORMAT_S16_LE), .rate = RATE, .channels = 2, .latency = 1024,
				  .record = record, .silent = silent};

	memset(ear, 0, sizeof(*ear));
	return player->ops->open(player, &spec, &owner, ear);
}

/* -- alone ------------------------------------------------------------------------------------------------------------ */

/* Nobody hears it, and time goes on: as fast as it should, and not when it is stopped. */
static void keeps_time(bool record, bool silent)
{
	struct player *player = player_pipewire_new("test", "Test");
	struct ear ear;
	struct voice *voice = open_voice(player, &ear, record, silent);
	uint64_t frames;

	fake_settle(60);
	g_assert_cmpuint(ear.frames, ==, 0);
	player->ops->start(voice);
	player->ops->start(voice);
	fake_settle(500);
	g_assert_cmpuint(ear.frames, >, RATE / 4);
	g_assert_cmpuint(ear.frames, <, RATE * 3);
	g_assert_cmpuint(ear.heard, ==, 0);
	player->ops->stop(voice);
	frames = ear.frames;
	fake_settle(100);
	g_assert_cmpuint(ear.frames, ==, frames);
	player->ops->start(voice);
	fake_settle(100);
	g_assert_cmpuint(ear.frames, >, frames);
	player->ops->close(voice);
	player->ops->free(player);
}

static void test_alone(void)
{
	keeps_time(false, false);
	keeps_time(true, false);
	keeps_time(false, true);
}

/* -- with PipeWire ---------------------------------------------------------------------------------------------------- */

static GPid spawn(const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	GPid pid;

	g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
	g_assert_no_error(error);
	return pid;
}

static void end(GPid *pid)
{
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

/* The configuration that is installed, but for the group, which this machine has not, and with devices. */
static void write_config(const char *dir)
{
	static const char *const devices =
		"\n    { factory = adapter args = { factory.name = support.null-audio-sink node.name = test-sink media.class = Audio/Sink"
		" audio.position = [ FL FR ] } }"
		"\n    { factory = adapter args = { factory.name = support.null-audio-sink node.name = test-source"
		" media.class = Audio/Source/Virtual audio.position = [ FL FR ] } }\n]\n";
	g_autofree char *from = g_build_filename(configs, "audio", "carrel-audio.conf", NULL), *to = g_build_filename(dir, "server.conf", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GString) config = NULL;
	char *last;

	g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
	last = strrchr(text, ']');
	g_assert_nonnull(last);
	*last = 0;
	config = g_string_new(text);
	g_assert_cmpuint(g_string_replace(config, " group = \"carrel-audio\"", "", 0), ==, 1);
	g_string_append(config, devices);
	g_assert_true(g_file_set_contents(to, config->str, -1, NULL));
}

struct server {
	GPid pipewire, wireplumber;
	char *dir;
};

static void start_server(struct server *s)
{
	g_autofree char *config = g_build_filename(s->dir, "server.conf", NULL), *socket = g_build_filename(s->dir, "pipewire-0", NULL);
	const char *const pipewire[] = {"pipewire", "-c", config, NULL};
	const char *const wireplumber[] = {"wireplumber", "-p", "main-systemwide", NULL};

	s->pipewire = spawn(pipewire);
	fake_until(g_file_test(socket, G_FILE_TEST_EXISTS));
	s->wireplumber = spawn(wireplumber);
}

static void stop_server(struct server *s)
{
	end(&s->wireplumber);
	end(&s->pipewire);
}

static bool have_server(void)
{
	g_autofree char *pipewire = g_find_program_in_path("pipewire"), *wireplumber = g_find_program_in_path("wireplumber");

	return pipewire && wireplumber;
}

static void prepare_server(struct server *s)
{
	s->dir = g_dir_make_tmp("carrel-sound-XXXXXX", NULL);
	g_setenv("PIPEWIRE_RUNTIME_DIR", s->dir, TRUE);
	g_setenv("XDG_STATE_HOME", s->dir, TRUE);
	write_config(s->dir);
}

static void test_daemon(void)
{
	struct server server = {0};
	struct player *player;
	struct ear played, recorded;
	struct voice *play, *record;
	uint64_t frames;

	if (!have_server()) {
		g_test_skip("there is no pipewire and wireplumber here");
		return;
	}
	prepare_server(&server);
	start_server(&server);
	player = player_pipewire_new("test", "Test");
	play = open_voice(player, &played, false, false);
	record = open_voice(player, &recorded, true, false);
	fake_settle(200);
	g_assert_cmpuint(played.frames + recorded.frames, ==, 0);
	player->ops->start(play);
	player->ops->start(record);
	fake_until(played.heard > RATE / 4);
	fake_until(recorded.heard > RATE / 4);

	/* It goes away, time goes on; it comes back, and is found. */
	stop_server(&server);
	fake_settle(200);
	frames = played.frames;
	played.heard = 0;
	fake_settle(300);
	g_assert_cmpuint(played.frames, >, frames);
	g_assert_cmpuint(played.heard, ==, 0);
	start_server(&server);
	fake_until(played.heard > RATE / 4);

	/* A stop is a stop. */
	player->ops->stop(play);
	player->ops->stop(record);
	fake_settle(200);
	frames = played.frames + recorded.frames;
	fake_settle(300);
	g_assert_cmpuint(played.frames + recorded.frames, ==, frames);
	player->ops->start(play);
	fake_until(played.frames + recorded.frames > frames + RATE / 4);
	player->ops->close(play);
	player->ops->close(record);
	player->ops->free(player);
	stop_server(&server);
	g_free(server.dir);
}

/* All of what it does after its start, within the sandbox, in a process of its own. */
static void play_in_sandbox(void)
{
	struct player *player = player_pipewire_new("test", "Test");
	g_autoptr(GError) error = NULL;
	struct ear ear, hears;
	struct voice *voice, *record;
	int calls[64] = {SYS_sched_getaffinity}; /* the address sanitizer's, for a new thread */
	unsigned n = 0;

	do
		calls[n + 1] = player_pipewire_calls[n];
	while (player_pipewire_calls[n++] >= 0);
	if (!sandbox_enter(calls, &error))
		_exit(2);
	voice = open_voice(player, &ear, false, false);
	record = open_voice(player, &hears, true, false);
	player->ops->start(voice);
	player->ops->start(record);
	fake_until(ear.heard > RATE / 8);
	fake_until(hears.heard > RATE / 8);
	player->ops->close(voice);
	player->ops->close(record);
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EPERM)
		_exit(3);
	_exit(0);
}

static void test_sandbox(void)
{
	struct server server = {0};
	int status = -1;
	pid_t child;

	if (!have_server()) {
		g_test_skip("there is no pipewire and wireplumber here");
		return;
	}
	prepare_server(&server);
	start_server(&server);
	child = fork();
	if (!child)
		play_in_sandbox();
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
	stop_server(&server);
	g_free(server.dir);
}

int main(int argc, char **argv)
{
	g_autofree char *dir = g_dir_make_tmp("carrel-sound-XXXXXX", NULL);

	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	configs = argv[1];
	g_setenv("PIPEWIRE_RUNTIME_DIR", dir, TRUE); /* nobody is there */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	g_test_add_func("/player/alone", test_alone);
	g_test_add_func("/player/daemon", test_daemon);
	g_test_add_func("/player/sandbox", test_sandbox);
	return g_test_run();
}
