/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of the parts of net/ and disk/ that would change this machine: bridges, rules, encrypted volumes. What they were
 * told is in net.ini and vaults.ini. */
#include <glib/gstdio.h>
#include <string.h>

#include "disk/disk.h"
#include "fake.h"
#include "net/net.h"

G_DEFINE_QUARK(net-error-quark, net_error)

struct NetPlan {
	GPtrArray *labels;
	GArray *addresses;
	GArray *limits;
};

NetPlan *net_plan(const NetPort *ports, gsize n, const char *const *uplinks, const char *state_dir, GError **error)
{
	NetPlan *plan = g_new0(NetPlan, 1);

	(void)uplinks, (void)state_dir, (void)error;
	plan->labels = g_ptr_array_new_with_free_func(g_free);
	plan->addresses = g_array_new(FALSE, TRUE, sizeof(NetAddress));
	for (gsize i = 0; i < n; i++) {
		NetAddress address = { .prefix4 = 24 };

		g_snprintf(address.bridge, sizeof(address.bridge), "cr-%.10s", ports[i].shared ? ports[i].shared : ports[i].vm);
		g_snprintf(address.vif, sizeof(address.vif), "v%.8s.%s", ports[i].vm, ports[i].name);
		g_snprintf(address.address4, sizeof(address.address4), "10.77.%u.2", (guint)i % 250);
		g_array_append_val(plan->addresses, address);
		g_ptr_array_add(plan->labels, g_strdup_printf("%s/%s in=%" G_GUINT64_FORMAT, ports[i].vm, ports[i].name, ports[i].limit_in));
	}
	return plan;
}

const NetAddress *net_plan_address(NetPlan *plan, gsize port)
{
	return &g_array_index(plan->addresses, NetAddress, port);
}

gboolean net_apply(NetPlan *plan, const char *run_dir, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *path = fake_path("net.ini"), *broken = fake_path("net-broken");

	(void)run_dir;
	if (g_file_test(broken, G_FILE_TEST_EXISTS)) {
		g_set_error(error, NET_ERROR, NET_ERROR_EXISTS, "bridge cr-alien exists and is not ours: remove it");
		return FALSE;
	}
	for (guint i = 0; i < plan->labels->len; i++)
		g_string_append_printf(text, "%s\n", (char *)plan->labels->pdata[i]);
	return g_file_set_contents(path, text->str, -1, error);
}

gboolean net_port_up(NetPlan *plan, gsize port, const char *vif, GError **error)
{
	(void)error;
	g_assert(!strcmp(net_plan_address(plan, port)->vif, vif));
	return TRUE;
}

void net_plan_free(NetPlan *plan)
{
	g_ptr_array_unref(plan->labels);
	g_array_unref(plan->addresses);
	g_free(plan);
}

/* -- volumes ---------------------------------------------------------------------------------------------------------- */

static gboolean vault_note(const char *name, gboolean open)
{
	Fake *fake = fake_open();

	if (open)
		g_key_file_set_boolean(fake->keys, "vaults", name, TRUE);
	else
		g_key_file_remove_key(fake->keys, "vaults", name, NULL);
	fake_close(fake, TRUE);
	return TRUE;
}

gboolean vault_create(const char *file, guint64 size, const char *passphrase, GError **error)
{
	(void)size;
	return g_file_set_contents(file, passphrase, -1, error);
}

gboolean vault_open(const char *file, const char *name, const char *mountpoint, const char *passphrase, GError **error)
{
	g_autofree char *right = NULL;

	if (!g_file_get_contents(file, &right, NULL, error))
		return FALSE;
	if (strcmp(right, passphrase)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_WRONG_KEY, "%s: the passphrase is wrong", file);
		return FALSE;
	}
	g_mkdir_with_parents(mountpoint, 0700);
	return vault_note(name, TRUE);
}

gboolean vault_close(const char *name, const char *mountpoint, GError **error)
{
	(void)mountpoint, (void)error;
	return vault_note(name, FALSE);
}
