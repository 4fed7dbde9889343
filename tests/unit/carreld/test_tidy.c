/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a VM's disks when nobody asks for it. */
#include <string.h>

#include "rig.h"

static guint layers(Rig *rig, const char *vm)
{
	g_autofree char *path = g_build_filename(rig->state, "vms", vm, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(dir)))
		n += g_str_has_suffix(name, ".snap");
	return n;
}

static void snapshot(Rig *rig, const char *name)
{
	vm_run(rig, "work", "Snapshot", g_variant_new("(ss)", name, ""));
}

/* A deletion that could not win its space back: its layer is there, and nobody's. */
static void forget_snapshot(Rig *rig, const char *name)
{
	g_autofree char *path = g_build_filename(rig->state, "vms", "work", "snapshots.ini", NULL);
	g_autoptr(GKeyFile) list = g_key_file_new();
	g_auto(GStrv) groups = NULL;

	g_assert_true(g_key_file_load_from_file(list, path, G_KEY_FILE_NONE, NULL));
	groups = g_key_file_get_groups(list, NULL);
	for (char **group = groups; *group; group++) {
		g_autofree char *own = g_key_file_get_string(list, *group, "name", NULL);

		if (!g_strcmp0(own, name))
			g_key_file_remove_group(list, *group, NULL);
	}
	g_assert_true(g_key_file_save_to_file(list, path, NULL));
}

/* What deletions left behind goes when the VM stops, unless another VM stands on it; who starts the VM again doesn't wait. */
TEST(test_tidy)
{
	vm_define(rig, "work", NULL);
	snapshot(rig, "one");
	snapshot(rig, "two");
	snapshot(rig, "three");
	forget_snapshot(rig, "two");
	g_assert_cmpuint(layers(rig, "work"), ==, 3);
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(layers(rig, "work"), ==, 3);
	vm_run(rig, "work", "ForceOff", NULL);
	for (int i = 0; i < 4000 && layers(rig, "work") == 3; i++)
		g_usleep(5000);
	g_assert_cmpuint(layers(rig, "work"), ==, 2);
	for (int i = 0; i < 5; i++) {
		g_autofree char *name = g_strdup_printf("four-%d", i);

		snapshot(rig, name);
		forget_snapshot(rig, name);
		vm_run(rig, "work", "Start", NO_OPTIONS);
		vm_run(rig, "work", "ForceOff", NULL);
	}
	vm_run(rig, "work", "Revert", g_variant_new("(s)", "three"));
	vm_run(rig, "work", "Clone", g_variant_new_parsed("('twin', @a{sv} {})"));
	forget_snapshot(rig, "three");
	vm_run(rig, "work", "Start", NO_OPTIONS);
	g_assert_cmpuint(layers(rig, "work"), >=, 3);
	vm_run(rig, "work", "ForceOff", NULL);
	g_usleep(G_USEC_PER_SEC);
	g_assert_cmpuint(layers(rig, "work"), >=, 3);
	vm_run(rig, "twin", "Start", NO_OPTIONS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/tidy/after-stop", Rig, NULL, rig_up, test_tidy, rig_down);
	return g_test_run();
}
