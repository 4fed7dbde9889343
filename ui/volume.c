/* SPDX-License-Identifier: Apache-2.0 */
#include "volume.h"

#include <glib-unix.h>
#include <math.h>
#include <pipewire/extensions/metadata.h>
#include <pipewire/pipewire.h>
#include <spa/param/audio/raw.h>
#include <spa/param/props.h>
#include <spa/pod/builder.h>
#include <spa/pod/parser.h>
#include <spa/utils/json.h>

#define CHANNELS_MAX 64

struct Volume {
	void (*changed)(gpointer data);
	gpointer data;
	struct pw_loop *loop;
	guint source, dropping;
	struct pw_context *context;
	struct pw_core *core;
	struct pw_registry *registry;
	struct pw_proxy *metadata, *node;
	struct spa_hook core_hook, registry_hook, metadata_hook, node_hook;
	GHashTable *sinks; /* node.name: global id */
	char *wanted;      /* the default sink's name, or NULL */
	guint32 node_id;
	gboolean known, muted;
	guint channels;
	double level;
};

static gboolean on_loop(int fd, GIOCondition condition, gpointer data)
{
	(void)fd, (void)condition;
	Volume *volume = data;
	pw_loop_enter(volume->loop);
	pw_loop_iterate(volume->loop, 0);
	pw_loop_leave(volume->loop);
	return G_SOURCE_CONTINUE;
}

/* ---- the sink ---- */

static void on_param(void *data, int seq, uint32_t id, uint32_t index, uint32_t next, const struct spa_pod *param)
{
	(void)seq, (void)index, (void)next;
	Volume *volume = data;
	if (id != SPA_PARAM_Props || !param || !spa_pod_is_object(param))
		return;
	const struct spa_pod_prop *loud = spa_pod_find_prop(param, NULL, SPA_PROP_channelVolumes);
	const struct spa_pod_prop *mute = spa_pod_find_prop(param, NULL, SPA_PROP_mute);
	float values[CHANNELS_MAX] = {0};
	bool muted = volume->muted;
	if (mute)
		spa_pod_get_bool(&mute->value, &muted);
	if (loud) {
		float most = 0;
		volume->channels = spa_pod_copy_array(&loud->value, SPA_TYPE_Float, values, CHANNELS_MAX);
		for (guint i = 0; i < volume->channels; i++)
			most = MAX(most, values[i]);
		volume->level = CLAMP(cbrt(most), 0, 1);
		volume->known = volume->channels > 0;
	}
	volume->muted = muted;
	volume->changed(volume->data);
}

static const struct pw_node_events node_events = {PW_VERSION_NODE_EVENTS, .param = on_param};

static void drop_node(Volume *volume)
{
	if (!volume->node)
		return;
	spa_hook_remove(&volume->node_hook);
	pw_proxy_destroy(volume->node);
	volume->node = NULL;
	volume->known = FALSE;
	volume->changed(volume->data);
}

static void choose_node(Volume *volume)
{
	gpointer id = volume->wanted ? g_hash_table_lookup(volume->sinks, volume->wanted) : NULL;
	if (volume->node && GPOINTER_TO_UINT(id) == volume->node_id)
		return;
	drop_node(volume);
	if (!id)
		return;
	volume->node_id = GPOINTER_TO_UINT(id);
	volume->node = pw_registry_bind(volume->registry, volume->node_id, PW_TYPE_INTERFACE_Node, PW_VERSION_NODE, 0);
	if (!volume->node)
		return;
	pw_node_add_listener((struct pw_node *)volume->node, &volume->node_hook, &node_events, volume);
	uint32_t params[] = {SPA_PARAM_Props};
	pw_node_subscribe_params((struct pw_node *)volume->node, params, 1);
}

/* ---- which is the default one ---- */

static int on_property(void *data, uint32_t subject, const char *key, const char *type, const char *value)
{
	(void)type;
	Volume *volume = data;
	if (subject != 0 || g_strcmp0(key, "default.audio.sink") != 0)
		return 0;
	char name[256] = "";
	if (value && spa_json_str_object_find(value, strlen(value), "name", name, sizeof(name)) < 0)
		name[0] = 0;
	g_free(volume->wanted);
	volume->wanted = name[0] ? g_strdup(name) : NULL;
	choose_node(volume);
	return 0;
}

static const struct pw_metadata_events metadata_events = {PW_VERSION_METADATA_EVENTS, .property = on_property};

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type, uint32_t version,
	const struct spa_dict *props)
{
	(void)permissions, (void)version;
	Volume *volume = data;
	if (!props)
		return;
	const char *name = spa_dict_lookup(props, PW_KEY_NODE_NAME);
	if (g_str_equal(type, PW_TYPE_INTERFACE_Node) && name &&
		g_strcmp0(spa_dict_lookup(props, PW_KEY_MEDIA_CLASS), "Audio/Sink") == 0) {
		g_hash_table_replace(volume->sinks, g_strdup(name), GUINT_TO_POINTER(id));
		choose_node(volume);
	} else if (g_str_equal(type, PW_TYPE_INTERFACE_Metadata) && !volume->metadata &&
		g_strcmp0(spa_dict_lookup(props, PW_KEY_METADATA_NAME), "default") == 0) {
		volume->metadata = pw_registry_bind(volume->registry, id, type, PW_VERSION_METADATA, 0);
		if (volume->metadata)
			pw_metadata_add_listener((struct pw_metadata *)volume->metadata, &volume->metadata_hook, &metadata_events, volume);
	}
}

static gboolean has_id(gpointer name, gpointer value, gpointer id)
{
	(void)name;
	return value == id;
}

static void on_global_gone(void *data, uint32_t id)
{
	Volume *volume = data;
	if (g_hash_table_foreach_remove(volume->sinks, has_id, GUINT_TO_POINTER(id)))
		choose_node(volume);
}

static const struct pw_registry_events registry_events = {PW_VERSION_REGISTRY_EVENTS, .global = on_global,
	.global_remove = on_global_gone};

/* ---- the connection ---- */

static void drop(Volume *volume)
{
	g_clear_handle_id(&volume->dropping, g_source_remove);
	drop_node(volume);
	if (volume->metadata) {
		spa_hook_remove(&volume->metadata_hook);
		pw_proxy_destroy(volume->metadata);
	}
	volume->metadata = NULL;
	if (volume->registry) {
		spa_hook_remove(&volume->registry_hook);
		pw_proxy_destroy((struct pw_proxy *)volume->registry);
	}
	volume->registry = NULL;
	if (volume->core) {
		spa_hook_remove(&volume->core_hook);
		pw_core_disconnect(volume->core);
	}
	volume->core = NULL;
	g_hash_table_remove_all(volume->sinks);
	g_clear_pointer(&volume->wanted, g_free);
}

static gboolean drop_later(gpointer data)
{
	Volume *volume = data;
	volume->dropping = 0;
	drop(volume);
	return G_SOURCE_REMOVE;
}

/* Not at once: this is called out of the connection. */
static void on_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	(void)seq, (void)message;
	Volume *volume = data;
	if (id == PW_ID_CORE && res == -EPIPE && !volume->dropping)
		volume->dropping = g_idle_add(drop_later, volume);
}

static const struct pw_core_events core_events = {PW_VERSION_CORE_EVENTS, .error = on_error};

void volume_retry(Volume *volume)
{
	if (!volume || volume->core || !volume->context)
		return;
	volume->core = pw_context_connect(volume->context, NULL, 0);
	if (!volume->core)
		return;
	pw_core_add_listener(volume->core, &volume->core_hook, &core_events, volume);
	volume->registry = pw_core_get_registry(volume->core, PW_VERSION_REGISTRY, 0);
	if (volume->registry)
		pw_registry_add_listener(volume->registry, &volume->registry_hook, &registry_events, volume);
}

Volume *volume_new(void (*changed)(gpointer data), gpointer data)
{
	Volume *volume = g_new0(Volume, 1);
	volume->changed = changed;
	volume->data = data;
	volume->sinks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_setenv("PIPEWIRE_DEBUG", "0", FALSE); /* that there is none is not an error */
	pw_init(NULL, NULL);
	volume->loop = pw_loop_new(NULL);
	if (!volume->loop)
		return volume;
	volume->context = pw_context_new(volume->loop, NULL, 0);
	volume->source = g_unix_fd_add(pw_loop_get_fd(volume->loop), G_IO_IN | G_IO_ERR | G_IO_HUP, on_loop, volume);
	volume_retry(volume);
	return volume;
}

gboolean volume_get(Volume *volume, double *level, gboolean *muted)
{
	*level = volume->level;
	*muted = volume->muted;
	return volume->known;
}

void volume_set(Volume *volume, double level, gboolean muted)
{
	if (!volume->node || !volume->known)
		return;
	float values[CHANNELS_MAX];
	level = CLAMP(level, 0, 1);
	for (guint i = 0; i < volume->channels; i++)
		values[i] = (float)(level * level * level);
	uint8_t buffer[1024];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(buffer, sizeof(buffer));
	struct spa_pod *param = spa_pod_builder_add_object(&builder, SPA_TYPE_OBJECT_Props, SPA_PARAM_Props, SPA_PROP_channelVolumes,
		SPA_POD_Array(sizeof(float), SPA_TYPE_Float, volume->channels, values), SPA_PROP_mute, SPA_POD_Bool(muted));
	pw_node_set_param((struct pw_node *)volume->node, SPA_PARAM_Props, 0, param);
}

void volume_free(Volume *volume)
{
	drop(volume);
	g_clear_handle_id(&volume->source, g_source_remove);
	if (volume->context)
		pw_context_destroy(volume->context);
	if (volume->loop)
		pw_loop_destroy(volume->loop);
	g_hash_table_unref(volume->sinks);
	g_free(volume);
	pw_deinit();
}
