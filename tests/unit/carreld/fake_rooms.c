/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of the parts of net/ and disk/ that would change this machine: bridges, rules, encrypted volumes, disk
 * servers' shares. What they were told is in net.ini and domains.ini. */
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "disk/disk.h"
#include "fake.h"
#include "net/net.h"

G_DEFINE_QUARK(net-error-quark, net_error)

struct NetPlan {
	GPtrArray *labels;
	GArray *addresses;
	GArray *limits;
	GStrv domains;
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

/* A process in dnsmasq's place when the test asks for one. */
static void start_dnsmasq(const NetPlan *plan)
{
	char *argv[] = { (char *)"sleep", (char *)"300", NULL };
	g_autofree char *wanted = fake_path("dnsmasq"), *path = fake_path("dnsmasq.pid"), *text = NULL;
	int fd = net_dnsmasq_pidfd("", NULL);
	GPid pid;

	if (fd >= 0 && !plan->labels->len)
		pidfd_send_signal(fd, SIGKILL, NULL, 0);
	if (fd >= 0)
		close(fd);
	else if (plan->labels->len && g_file_test(wanted, G_FILE_TEST_EXISTS) &&
		 g_spawn_async(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &pid, NULL)) {
		text = g_strdup_printf("%d", pid);
		g_file_set_contents(path, text, -1, NULL);
	}
}

int net_dnsmasq_pidfd(const char *run_dir, GError **error)
{
	g_autofree char *path = fake_path("dnsmasq.pid"), *text = NULL;

	struct pollfd ended = { .fd = -1, .events = POLLIN };

	(void)run_dir, (void)error;
	if (g_file_get_contents(path, &text, NULL, NULL))
		ended.fd = pidfd_open(atoi(text), 0);
	if (ended.fd < 0 || poll(&ended, 1, 0) == 0)
		return ended.fd;
	close(ended.fd); /* a zombie, as nobody here reaps it */
	return -1;
}

gboolean net_plan_set_resolver(NetPlan *plan, const char *resolv_conf, GError **error)
{
	(void)plan, (void)resolv_conf, (void)error;
	return TRUE;
}

gboolean net_plan_set_private_domains(NetPlan *plan, const char *const *domains, GError **error)
{
	(void)error;
	plan->domains = g_strdupv((char **)domains);
	return TRUE;
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
	for (char **domain = plan->domains; domain && *domain; domain++)
		g_string_append_printf(text, "private %s\n", *domain);
	start_dnsmasq(plan);
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
	g_strfreev(plan->domains);
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

gboolean vault_change(const char *file, const char *old_passphrase, const char *new_passphrase, GError **error)
{
	g_autofree char *right = NULL;

	if (!g_file_get_contents(file, &right, NULL, error))
		return FALSE;
	if (strcmp(right, old_passphrase)) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_WRONG_KEY, "%s: the passphrase is wrong", file);
		return FALSE;
	}
	return g_file_set_contents(file, new_passphrase, -1, error);
}

gboolean vault_close(const char *name, const char *mountpoint, GError **error)
{
	(void)mountpoint, (void)error;
	return vault_note(name, FALSE);
}

/* -- shares of the disk ----------------------------------------------------------------------------------------------- */

static guint domain_of(const char *qmp)
{
	g_autofree char *file = g_path_get_basename(qmp), *vm = g_strndup(file, strlen(file) - strlen(".qmp"));
	Fake *fake = fake_open();
	guint domain = fake_domain(fake, vm);

	fake_close(fake, FALSE);
	return domain;
}

static gboolean share_note(guint domain, const char *key, guint64 value, GError **error)
{
	g_autofree char *group = NULL;
	Fake *fake = fake_open();
	gulong wait = fake_number(fake, "behaviour", "share-ms") * 1000;
	gboolean ok = domain && !fake_number(fake, "behaviour", "share-fails");

	fake_close(fake, FALSE);
	g_usleep(wait);
	if (!ok) {
		g_set_error(error, DISK_ERROR, DISK_ERROR_NOT_FOUND, "domain %u: nobody answers", domain);
		return FALSE;
	}
	fake = fake_open();
	group = g_strdup_printf("%u", domain);
	g_key_file_set_uint64(fake->keys, group, key, value);
	fake_close(fake, TRUE);
	return TRUE;
}

gboolean disk_throttle(const char *qmp, const char *disk, guint64 bytes_per_second, guint64 requests_per_second, GError **error)
{
	(void)disk, (void)requests_per_second;
	return share_note(domain_of(qmp), "disk-bps", bytes_per_second, error);
}

gboolean disk_rank(const char *qmp, int nice, GError **error)
{
	return share_note(domain_of(qmp), "nice", nice, error);
}

gboolean disk_rank_kernel(guint domain, guint disks, int nice, GError **error)
{
	return share_note(domain, "kernel-nice", nice * 100 + disks, error);
}

gboolean disk_throttle_kernel(const char *groups, const char *back_ends, guint domain, guint64 bytes_per_second,
	guint64 requests_per_second, GError **error)
{
	(void)groups, (void)back_ends, (void)requests_per_second;
	return share_note(domain, "kernel-bps", bytes_per_second, error);
}

void disk_forget_groups(const char *groups)
{
	(void)groups;
}

char *disk_groups(void)
{
	return g_strdup("/sys/fs/cgroup/fake");
}
