/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <wlr/render/drm_format_set.h>
#include <wlr/render/pass.h>
#include <wlr/render/swapchain.h>

#define MOST_SIDE 4096
/* What makes a surface look different. */
#define VISIBLE (WLR_SURFACE_STATE_BUFFER | WLR_SURFACE_STATE_SURFACE_DAMAGE | WLR_SURFACE_STATE_BUFFER_DAMAGE | \
	WLR_SURFACE_STATE_TRANSFORM | WLR_SURFACE_STATE_SCALE | WLR_SURFACE_STATE_VIEWPORT | WLR_SURFACE_STATE_OFFSET)

/* A surface of a VM's view. */
typedef struct {
	Vm *vm;
	struct wlr_surface *surface;
	struct wl_listener commit, destroy;
} Watch;

/* ---- which picture it is ---- */

static void on_commit(struct wl_listener *listener, void *data)
{
	Watch *watch = wl_container_of(listener, watch, commit);

	(void)data;
	if (watch->surface->current.committed & VISIBLE)
		watch->vm->picture = ++watch->vm->desk->pictures;
}

static void on_destroy(struct wl_listener *listener, void *data)
{
	Watch *watch = wl_container_of(listener, watch, destroy);

	(void)data;
	watch->vm->picture = ++watch->vm->desk->pictures;
	listener_remove(&watch->commit);
	listener_remove(&watch->destroy);
	g_free(watch);
}

static void on_new_surface(struct wl_listener *listener, void *data)
{
	struct wlr_surface *surface = data;
	Watch *watch;
	Vm *vm;

	(void)listener;
	if (client_role(wl_resource_get_client(surface->resource), &vm) != ROLE_VM)
		return;
	watch = g_new0(Watch, 1);
	watch->vm = vm;
	watch->surface = surface;
	listen_to(&surface->events.commit, &watch->commit, on_commit);
	listen_to(&surface->events.destroy, &watch->destroy, on_destroy);
}

void thumbnails_init(Desk *desk)
{
	/* Who asks may remember a number from before the compositor started again: time has gone on by more than was drawn. */
	desk->pictures = (guint64)g_get_monotonic_time();
	listen_to(&desk->compositor->events.new_surface, &desk->new_surface, on_new_surface);
}

void thumbnails_finish(Desk *desk)
{
	listener_remove(&desk->new_surface);
}

static void send_done(struct wlr_surface *surface, int x, int y, void *data)
{
	(void)x;
	(void)y;
	wlr_surface_send_frame_done(surface, data);
}

/* Somebody has looked: the view that is not on screen, where nobody else answers it, may draw what comes next. */
static void let_draw(Vm *vm, struct wlr_surface *surface)
{
	struct timespec now;

	if (vm->desk->shown == vm && !vm->desk->locked)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	wlr_surface_for_each_surface(surface, send_done, &now);
}

gboolean thumbnail_is(Vm *vm, guint64 picture)
{
	struct wlr_surface *surface = vm_surface(vm);

	if (!picture || picture != vm->picture || !surface)
		return FALSE;
	let_draw(vm, surface);
	return TRUE;
}

/* ---- making one ---- */

typedef struct {
	struct wlr_render_pass *pass;
	double scale;
} Picture;

static void draw_surface(struct wlr_surface *surface, int x, int y, void *data)
{
	const Picture *picture = data;
	struct wlr_texture *texture = wlr_surface_get_texture(surface);
	struct wlr_render_texture_options options = {
		.texture = texture,
		.dst_box = {(int)(x * picture->scale), (int)(y * picture->scale), (int)(surface->current.width * picture->scale),
			(int)(surface->current.height * picture->scale)},
		.transform = surface->current.transform,
		.filter_mode = WLR_SCALE_FILTER_BILINEAR,
	};

	if (!texture || options.dst_box.width < 1 || options.dst_box.height < 1)
		return;
	wlr_surface_get_buffer_source_box(surface, &options.src_box);
	wlr_render_pass_add_texture(picture->pass, &options);
}

/* What an output is drawn into can be drawn into; without an output, what every allocator can make. */
static struct wlr_buffer *make_target(Desk *desk, guint width, guint height)
{
	uint64_t modifiers[] = {DRM_FORMAT_MOD_LINEAR, DRM_FORMAT_MOD_INVALID};
	struct wlr_drm_format plain = {.format = DRM_FORMAT_XRGB8888, .len = 2, .capacity = 2, .modifiers = modifiers};
	struct wlr_buffer *buffer = NULL;
	Output *output;

	wl_list_for_each(output, &desk->outputs, link)
		if (!buffer && output->wlr->swapchain)
			buffer = wlr_allocator_create_buffer(desk->allocator, (int)width, (int)height, &output->wlr->swapchain->format);
	return buffer ? buffer : wlr_allocator_create_buffer(desk->allocator, (int)width, (int)height, &plain);
}

static gboolean draw(Desk *desk, struct wlr_surface *surface, struct wlr_buffer *target, double scale)
{
	Picture picture = {wlr_renderer_begin_buffer_pass(desk->renderer, target, NULL), scale};

	if (!picture.pass)
		return FALSE;
	wlr_render_pass_add_rect(picture.pass, &(struct wlr_render_rect_options){
		.box = {0, 0, target->width, target->height}, .color = {0, 0, 0, 1}, .blend_mode = WLR_RENDER_BLEND_MODE_NONE});
	wlr_surface_for_each_surface(surface, draw_surface, &picture);
	return wlr_render_pass_submit(picture.pass);
}

static gboolean read_back(Desk *desk, struct wlr_buffer *target, void *pixels, guint stride)
{
	struct wlr_texture *texture = wlr_texture_from_buffer(desk->renderer, target);
	gboolean ok = texture && wlr_texture_read_pixels(texture, &(struct wlr_texture_read_pixels_options){
		.data = pixels, .format = DRM_FORMAT_XRGB8888, .stride = stride});

	if (texture)
		wlr_texture_destroy(texture);
	return ok;
}

static gboolean render(Desk *desk, struct wlr_surface *surface, guint width, guint height, double scale, void *pixels, guint stride)
{
	struct wlr_buffer *target = make_target(desk, width, height);
	gboolean ok = target && draw(desk, surface, target, scale) && read_back(desk, target, pixels, stride);

	if (target)
		wlr_buffer_drop(target);
	return ok;
}

int thumbnail_make(Vm *vm, guint width, guint height, guint *actual_width, guint *actual_height, guint *stride, GError **error)
{
	struct wlr_surface *surface = vm_surface(vm);
	double scale;
	void *pixels = MAP_FAILED;
	gsize size;
	int fd;

	if (!surface || !wlr_surface_has_buffer(surface)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s shows nothing yet", vm->name);
		return -1;
	}
	scale = MIN((double)CLAMP(width, 1, MOST_SIDE) / surface->current.width,
		(double)CLAMP(height, 1, MOST_SIDE) / surface->current.height);
	*actual_width = MAX(1, (guint)(surface->current.width * scale));
	*actual_height = MAX(1, (guint)(surface->current.height * scale));
	*stride = *actual_width * 4;
	size = (gsize)*stride * *actual_height;
	fd = memfd_create("carrel-thumbnail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
		pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED || !render(vm->desk, surface, *actual_width, *actual_height, scale, pixels, *stride)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: no picture could be drawn", vm->name);
		if (pixels != MAP_FAILED)
			munmap(pixels, size);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	munmap(pixels, size);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	let_draw(vm, surface);
	return fd;
}
