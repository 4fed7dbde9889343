/* SPDX-License-Identifier: Apache-2.0 */
/* Which bridge, name and addresses each port gets. Numbers come from a hash of the names and are remembered, so that a VM
 * keeps its addresses; the file network.state in the state directory has them and the two pools, which a person may edit:
 *
 *   [pool]             ipv4=10.213.0.0/16   ipv6=fd12:3456:789a::/48 (at random, once)
 *   [private]          VM/INTERFACE=slot    a /30 of the pool's lower half
 *   [shared]           NETWORK=slot         a /24 of its upper half
 *   [members NETWORK]  VM/INTERFACE=host */
#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "internal.h"

#define STATE_FILE    "network.state"
#define DEFAULT_POOL4 "10.213.0.0/16"
#define PRIVATE_SLOTS 8192
#define SHARED_SLOTS  128
#define HOSTS         253 /* .2 to .254 */
#define LOWEST_LIMIT  8000

const char net_gateway_link_local[] = "fe80::1";

typedef struct {
	GKeyFile *file;
	char *path; /* NULL: nothing is remembered */
	gboolean changed;
	guint32 pool4;
	guint8 pool6[16];
	GHashTable *used; /* group → GHashTable of number → key */
	GHashTable *live; /* "group/key" of what this plan uses */
} State;

static void state_clear(State *state)
{
	g_clear_pointer(&state->file, g_key_file_unref);
	g_clear_pointer(&state->path, g_free);
	g_clear_pointer(&state->used, g_hash_table_unref);
	g_clear_pointer(&state->live, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(State, state_clear)

static void port_free(Port *port)
{
	g_free(port->vm);
	g_free(port->name);
	g_free(port->shared);
	g_free(port);
}

static gboolean name_valid(const char *name, gsize longest)
{
	gsize length = name ? strlen(name) : 0;
	if (!length || length > longest || name[0] == '-' || name[length - 1] == '-')
		return FALSE;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

gboolean net_interface_name_valid(const char *name)
{
	gsize length = strlen(name);
	if (!length || length > 15 || name[0] == '-' || g_str_equal(name, ".") || g_str_equal(name, ".."))
		return FALSE;
	for (const char *c = name; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-@", *c))
			return FALSE;
	return TRUE;
}

char *net_format4(guint32 address)
{
	return g_strdup_printf("%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

void net_format_mac(const guint8 mac[6], char text[18])
{
	g_snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* A bridge's name always has a part of a name in the middle, so this is none. */
void net_ifb_name(const Port *port, char name[16])
{
	g_snprintf(name, 16, "cr-%04x", port->id);
}

static guint32 hash(const char *text)
{
	guint8 digest[32];
	gsize length = sizeof(digest);
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(checksum, (const guchar *)text, -1);
	g_checksum_get_digest(checksum, digest, &length);
	return (guint32)digest[0] << 24 | digest[1] << 16 | digest[2] << 8 | digest[3];
}

/* What a group remembers; numbers out of range or given twice (an edited file) are forgotten. */
static GHashTable *group_numbers(State *state, const char *group, guint count)
{
	GHashTable *numbers = g_hash_table_lookup(state->used, group);
	if (numbers)
		return numbers;
	numbers = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_hash_table_insert(state->used, g_strdup(group), numbers);
	g_auto(GStrv) keys = g_key_file_get_keys(state->file, group, NULL, NULL);
	for (char **key = keys; key && *key; key++) {
		g_autoptr(GError) bad = NULL;
		int number = g_key_file_get_integer(state->file, group, *key, &bad);
		if (bad || number < 0 || number >= (int)count || g_hash_table_contains(numbers, GINT_TO_POINTER(number))) {
			g_key_file_remove_key(state->file, group, *key, NULL);
			state->changed = TRUE;
		} else {
			g_hash_table_insert(numbers, GINT_TO_POINTER(number), g_strdup(*key));
		}
	}
	return numbers;
}

/* A number that only the memory of something gone holds. */
static int evict(State *state, const char *group, GHashTable *numbers)
{
	GHashTableIter iter;
	gpointer number, key;

	g_hash_table_iter_init(&iter, numbers);
	while (g_hash_table_iter_next(&iter, &number, &key)) {
		g_autofree char *full = g_strconcat(group, "/", key, NULL);
		if (g_hash_table_contains(state->live, full))
			continue;
		g_key_file_remove_key(state->file, group, key, NULL);
		g_hash_table_iter_remove(&iter);
		return GPOINTER_TO_INT(number);
	}
	return -1;
}

/* The number of key, of count: the remembered one, else near its hash. -1: none is left. */
static int assign(State *state, const char *group, const char *key, guint count)
{
	GHashTable *numbers = group_numbers(state, group, count);
	int number = -1;

	if (g_key_file_has_key(state->file, group, key, NULL))
		return g_key_file_get_integer(state->file, group, key, NULL);
	if (g_hash_table_size(numbers) >= count) {
		number = evict(state, group, numbers);
	} else {
		number = hash(key) % count;
		while (g_hash_table_contains(numbers, GINT_TO_POINTER(number)))
			number = (number + 1) % count;
	}
	if (number >= 0) {
		g_key_file_set_integer(state->file, group, key, number);
		g_hash_table_insert(numbers, GINT_TO_POINTER(number), g_strdup(key));
		state->changed = TRUE;
	}
	return number;
}

static gboolean refuse_state(const State *state, const char *key, const char *value, const char *want, GError **error)
{
	g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: %s: [pool] %s: '%s' is not %s; correct it, or remove the file to "
		"have addresses chosen anew", state->path, key, value, want);
	return FALSE;
}

static gboolean pools_load(State *state, GError **error)
{
	g_autofree char *pool4 = g_key_file_get_string(state->file, "pool", "ipv4", NULL);
	g_autofree char *pool6 = g_key_file_get_string(state->file, "pool", "ipv6", NULL);
	struct in_addr in4;
	struct in6_addr in6;

	if (!pool4) {
		pool4 = g_strdup(DEFAULT_POOL4);
		g_key_file_set_string(state->file, "pool", "ipv4", pool4);
		state->changed = TRUE;
	}
	if (!pool6) { /* RFC 4193: a random global ID */
		pool6 = g_strdup_printf("fd%02x:%04x:%04x::/48", g_random_int() >> 24, g_random_int() >> 16, g_random_int() >> 16);
		g_key_file_set_string(state->file, "pool", "ipv6", pool6);
		state->changed = TRUE;
	}
	g_autofree char *base4 = g_str_has_suffix(pool4, "/16") ? g_strndup(pool4, strlen(pool4) - 3) : NULL;
	g_autofree char *base6 = g_str_has_suffix(pool6, "/48") ? g_strndup(pool6, strlen(pool6) - 3) : NULL;
	guint first = base4 && inet_pton(AF_INET, base4, &in4) == 1 ? ntohl(in4.s_addr) >> 24 : 0;
	if (!first || first == 127 || first >= 224 || ntohl(in4.s_addr) & 0xffff)
		return refuse_state(state, "ipv4", pool4, "a network like " DEFAULT_POOL4, error);
	state->pool4 = ntohl(in4.s_addr);
	if (!base6 || inet_pton(AF_INET6, base6, &in6) != 1 || in6.s6_addr[0] != 0xfd)
		return refuse_state(state, "ipv6", pool6, "a unique local network like fd12:3456:789a::/48", error);
	memcpy(state->pool6, &in6, 16);
	memset(state->pool6 + 6, 0, 10);
	return TRUE;
}

static gboolean state_load(State *state, const char *dir, GError **error)
{
	g_autoptr(GError) problem = NULL;

	state->file = g_key_file_new();
	state->path = dir ? g_build_filename(dir, STATE_FILE, NULL) : NULL;
	state->used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
	state->live = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (state->path && !g_key_file_load_from_file(state->file, state->path, G_KEY_FILE_KEEP_COMMENTS, &problem) &&
	    !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: %s: %s; remove it to have addresses chosen anew", state->path,
			problem->message);
		return FALSE;
	}
	return pools_load(state, error);
}

static gboolean state_save(State *state, GError **error)
{
	gsize length;
	if (!state->path || !state->changed)
		return TRUE;
	g_autofree char *dir = g_path_get_dirname(state->path), *text = g_key_file_to_data(state->file, &length, NULL);
	if (g_mkdir_with_parents(dir, 0755) < 0) {
		g_set_error(error, NET_ERROR, NET_ERROR_FAILED, "network: cannot make %s: %s", dir, g_strerror(errno));
		return FALSE;
	}
	return g_file_set_contents_full(state->path, text, (gssize)length,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static gboolean port_check(const NetPort *port, GError **error)
{
	static const guint8 none[6];
	const char *problem = NULL;

	if (!name_valid(port->vm, 48))
		problem = "the VM's name is not 1 to 48 of a-z, 0-9 and '-'";
	else if (!name_valid(port->name, 15))
		problem = "the interface's name is not 1 to 15 of a-z, 0-9 and '-'";
	else if (port->shared && !name_valid(port->shared, 48))
		problem = "the shared network's name is not 1 to 48 of a-z, 0-9 and '-'";
	else if (!memcmp(port->mac, none, 6) || port->mac[0] & 1)
		problem = "its MAC address is zero or a group's; set one like 00:16:3e:xx:xx:xx";
	if (problem)
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: VM '%s', interface '%s': %s", port->vm ? port->vm : "",
			port->name ? port->name : "", problem);
	return !problem;
}

/* Two ports of one name, or two on one wire with one MAC address. */
static gboolean ports_unique(const NetPort *ports, gsize n, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (gsize i = 0; i < n; i++) {
		char mac[18];
		net_format_mac(ports[i].mac, mac);
		g_autofree char *name = g_strdup_printf("%s/%s", ports[i].vm, ports[i].name);
		g_autofree char *wire = g_strdup_printf("%s %s", ports[i].shared ? ports[i].shared : name, mac);
		if (g_hash_table_contains(seen, name)) {
			g_set_error(error, NET_ERROR, NET_ERROR_EXISTS, "network: VM '%s' has two interfaces '%s'; rename one", ports[i].vm,
				ports[i].name);
			return FALSE;
		}
		const NetPort *other = g_hash_table_lookup(seen, wire);
		if (other) {
			g_set_error(error, NET_ERROR, NET_ERROR_EXISTS, "network: VM '%s', interface '%s': its MAC address %s is VM '%s', "
				"interface '%s's as well, on shared network '%s'; change one", ports[i].vm, ports[i].name, mac, other->vm,
				other->name, ports[i].shared);
			return FALSE;
		}
		g_hash_table_insert(seen, g_steal_pointer(&name), (gpointer)&ports[i]);
		g_hash_table_insert(seen, g_steal_pointer(&wire), (gpointer)&ports[i]);
	}
	return TRUE;
}

static void format6(const State *state, guint16 subnet, guint8 host, char text[46])
{
	guint8 address[16];
	memcpy(address, state->pool6, 16);
	address[6] = (guint8)(subnet >> 8);
	address[7] = (guint8)subnet;
	address[15] = host;
	inet_ntop(AF_INET6, address, text, 46);
}

/* The network of that id, made at its first port. label: whose name its bridge shows. */
static Network *network_get(NetPlan *plan, const State *state, guint16 id, gboolean shared, const char *label)
{
	for (guint i = 0; i < plan->networks->len; i++) {
		Network *network = g_ptr_array_index(plan->networks, i);
		if (network->id == id)
			return network;
	}
	Network *network = g_new0(Network, 1);
	network->id = id;
	network->shared = shared;
	network->prefix4 = shared ? 24 : 30;
	network->net4 = state->pool4 + (shared ? id : id * 4u);
	g_snprintf(network->bridge, sizeof(network->bridge), "cr-%.6s-%04x", label, id);
	g_autofree char *gateway = net_format4(network->net4 + 1);
	g_strlcpy(network->gateway4, gateway, sizeof(network->gateway4));
	format6(state, id, 0, network->net6);
	format6(state, id, 1, network->gateway6);
	g_ptr_array_add(plan->networks, network);
	return network;
}

static Port *port_copy(const NetPort *from)
{
	Port *port = g_new0(Port, 1);
	port->vm = g_strdup(from->vm);
	port->name = g_strdup(from->name);
	port->shared = g_strdup(from->shared);
	port->outside = from->outside;
	memcpy(port->mac, from->mac, 6);
	/* What tc can do without starving ARP. */
	port->limit_in = from->limit_in ? MAX(from->limit_in, LOWEST_LIMIT) : 0;
	port->limit_out = from->limit_out ? MAX(from->limit_out, LOWEST_LIMIT) : 0;
	return port;
}

static gboolean port_place(NetPlan *plan, State *state, Port *port, GError **error)
{
	g_autofree char *key = g_strdup_printf("%s/%s", port->vm, port->name);
	g_autofree char *members = port->shared ? g_strconcat("members ", port->shared, NULL) : NULL;
	int slot = port->shared ? assign(state, "shared", port->shared, SHARED_SLOTS) : assign(state, "private", key, PRIVATE_SLOTS);
	int member = port->shared && slot >= 0 ? assign(state, members, key, HOSTS) : 0;
	NetAddress *address = &port->address;

	if (slot < 0 || member < 0) {
		g_set_error(error, NET_ERROR, NET_ERROR_LIMIT, "network: VM '%s', interface '%s': no room for it: there are at most %d %s",
			port->vm, port->name, slot >= 0 ? HOSTS : port->shared ? SHARED_SLOTS : PRIVATE_SLOTS,
			slot >= 0 ? "interfaces on a shared network" : port->shared ? "shared networks" : "private interfaces");
		return FALSE;
	}
	guint16 id = (guint16)(port->shared ? 0x8000 | slot << 8 : slot);
	guint8 host = (guint8)(member + 2);
	port->id = id | (port->shared ? host : 0);
	port->network = network_get(plan, state, id, port->shared != NULL, port->shared ? port->shared : port->vm);
	g_strlcpy(address->bridge, port->network->bridge, sizeof(address->bridge));
	g_snprintf(address->vif, sizeof(address->vif), "vif-%04x", port->id);
	g_autofree char *address4 = net_format4(port->network->net4 + host);
	g_strlcpy(address->address4, address4, sizeof(address->address4));
	g_strlcpy(address->gateway4, port->network->gateway4, sizeof(address->gateway4));
	address->prefix4 = port->network->prefix4;
	format6(state, id, host, address->address6);
	g_strlcpy(address->gateway6, port->network->gateway6, sizeof(address->gateway6));
	return TRUE;
}

/* What is in the plan must not lose its number to what comes new. */
static void mark_live(State *state, const NetPort *port)
{
	g_autofree char *key = g_strdup_printf("%s/%s", port->vm, port->name);
	if (port->shared) {
		g_hash_table_add(state->live, g_strconcat("shared/", port->shared, NULL));
		g_hash_table_add(state->live, g_strconcat("members ", port->shared, "/", key, NULL));
	} else {
		g_hash_table_add(state->live, g_strconcat("private/", key, NULL));
	}
}

static gboolean uplinks_check(const char *const *uplinks, GError **error)
{
	for (; uplinks && *uplinks; uplinks++)
		if (!net_interface_name_valid(*uplinks) || g_str_has_prefix(*uplinks, "cr-") || g_str_has_prefix(*uplinks, "vif-")) {
			g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: uplink '%s': not the name of an interface that leads outside; "
				"'ip link' lists them", *uplinks);
			return FALSE;
		}
	return TRUE;
}

NetPlan *net_plan(const NetPort *ports, gsize n, const char *const *uplinks, const char *state_dir, GError **error)
{
	g_auto(State) state = { 0 };
	g_autoptr(NetPlan) plan = g_new0(NetPlan, 1);

	plan->ports = g_ptr_array_new_with_free_func((GDestroyNotify)port_free);
	plan->networks = g_ptr_array_new_with_free_func(g_free);
	plan->uplinks = g_strdupv((char **)uplinks);
	for (gsize i = 0; i < n; i++)
		if (!port_check(&ports[i], error))
			return NULL;
	if (!ports_unique(ports, n, error) || !uplinks_check(uplinks, error) || !state_load(&state, state_dir, error))
		return NULL;
	for (gsize i = 0; i < n; i++)
		mark_live(&state, &ports[i]);
	for (gsize i = 0; i < n; i++) {
		Port *port = port_copy(&ports[i]);
		g_ptr_array_add(plan->ports, port);
		if (!port_place(plan, &state, port, error))
			return NULL;
	}
	if (!state_save(&state, error))
		return NULL;
	return g_steal_pointer(&plan);
}

const NetAddress *net_plan_address(NetPlan *plan, gsize port)
{
	g_return_val_if_fail(port < plan->ports->len, NULL);
	return &((Port *)g_ptr_array_index(plan->ports, port))->address;
}

gboolean net_plan_set_resolver(NetPlan *plan, const char *resolv_conf, GError **error)
{
	if (resolv_conf && (!g_path_is_absolute(resolv_conf) || strpbrk(resolv_conf, "\n\r\"\\,"))) {
		g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: resolver file '%s': not an absolute path", resolv_conf);
		return FALSE;
	}
	g_free(plan->resolver);
	plan->resolver = g_strdup(resolv_conf);
	return TRUE;
}

gboolean net_plan_set_private_domains(NetPlan *plan, const char *const *domains, GError **error)
{
	for (const char *const *domain = domains; domain && *domain; domain++)
		if (!**domain || strlen(*domain) > 253 ||
		    strspn(*domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != strlen(*domain)) {
			g_set_error(error, NET_ERROR, NET_ERROR_INVALID, "network: private domain '%s': not a domain like corp.example", *domain);
			return FALSE;
		}
	g_strfreev(plan->private_domains);
	plan->private_domains = g_strdupv((char **)domains);
	return TRUE;
}

void net_plan_free(NetPlan *plan)
{
	if (!plan)
		return;
	g_ptr_array_unref(plan->ports);
	g_ptr_array_unref(plan->networks);
	g_strfreev(plan->uplinks);
	g_strfreev(plan->private_domains);
	g_free(plan->resolver);
	g_free(plan);
}
