/* SPDX-License-Identifier: Apache-2.0 */
/* A client is what its socket says; see graphics/README.md. */
#include "desk.h"

#include <string.h>
#include <unistd.h>

/* What one client may have the compositor keep for it unsent. A view that is stopped for longer than that is ended. */
#define MOST_UNSENT (256 * 1024)

typedef struct {
	Role role;
	Vm *vm;
	struct wl_listener destroy;
} ClientInfo;

/* All that a view gets to see. Whatever wlroots or we add later stays hidden from it until it is named here. */
static const char *const for_views[] = {
	"wl_compositor", "wl_subcompositor", "wl_shm", "zwp_linux_dmabuf_v1", "wl_output", "wl_seat", "xdg_wm_base",
	"wp_viewporter", "wp_presentation", "wp_fractional_scale_manager_v1", "wp_single_pixel_buffer_manager_v1",
	"zwp_relative_pointer_manager_v1", "carrel_view_v1",
};

static bool may_see(const struct wl_client *client, const struct wl_global *global, void *data)
{
	const char *name = wl_global_get_interface(global)->name;
	Role role = client_role((struct wl_client *)client, NULL);

	(void)data;
	if (role == ROLE_SHELL)
		return strcmp(name, "carrel_view_v1") != 0;
	for (guint i = 0; role == ROLE_VM && i < G_N_ELEMENTS(for_views); i++)
		if (!strcmp(name, for_views[i]))
			return true;
	return false;
}

void clients_init(Desk *desk)
{
	wl_display_set_global_filter(desk->display, may_see, desk);
	wl_display_set_default_max_buffer_size(desk->display, MOST_UNSENT);
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	ClientInfo *info = wl_container_of(listener, info, destroy);

	wl_client_set_user_data(data, NULL, NULL);
	listener_remove(&info->destroy);
	g_free(info);
}

struct wl_client *client_new(Desk *desk, int fd, Role role, Vm *vm)
{
	struct wl_client *client = wl_client_create(desk->display, fd);
	ClientInfo *info;

	if (!client) {
		close(fd);
		return NULL;
	}
	info = g_new0(ClientInfo, 1);
	info->role = role;
	info->vm = vm;
	info->destroy.notify = on_destroy;
	/* Late: surfaces that go with the client still ask whose they were. */
	wl_client_add_destroy_late_listener(client, &info->destroy);
	wl_client_set_user_data(client, info, NULL);
	return client;
}

Role client_role(struct wl_client *client, Vm **vm)
{
	ClientInfo *info = wl_client_get_user_data(client);

	if (vm)
		*vm = info ? info->vm : NULL;
	return info ? info->role : ROLE_NOBODY;
}
