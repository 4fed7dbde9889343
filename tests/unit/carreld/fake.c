/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

char *fake_path(const char *name)
{
	return g_build_filename(g_getenv("CARREL_FAKE"), name, NULL);
}

Fake *fake_open(void)
{
	Fake *fake = g_new0(Fake, 1);
	g_autofree char *lock = fake_path("lock"), *path = fake_path("domains.ini");

	fake->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fake->lock < 0 || flock(fake->lock, LOCK_EX))
		abort();
	fake->keys = g_key_file_new();
	g_key_file_load_from_file(fake->keys, path, G_KEY_FILE_NONE, NULL);
	return fake;
}

void fake_close(Fake *fake, gboolean changed)
{
	g_autofree char *path = fake_path("domains.ini");

	if (changed && !g_key_file_save_to_file(fake->keys, path, NULL))
		abort();
	close(fake->lock);
	g_key_file_unref(fake->keys);
	g_free(fake);
}

guint64 fake_number(Fake *fake, const char *group, const char *key)
{
	return g_key_file_get_uint64(fake->keys, group, key, NULL);
}

guint fake_domain(Fake *fake, const char *vm)
{
	g_auto(GStrv) groups = g_key_file_get_groups(fake->keys, NULL);

	for (char **group = groups; *group; group++) {
		g_autofree char *name = g_key_file_get_string(fake->keys, *group, "name", NULL);

		if (name && !strcmp(name, vm))
			return atoi(*group);
	}
	return 0;
}

guint fake_domains(Fake *fake)
{
	g_auto(GStrv) groups = g_key_file_get_groups(fake->keys, NULL);
	guint n = 0;

	for (char **group = groups; *group; group++)
		n += g_ascii_isdigit(**group);
	return n;
}
