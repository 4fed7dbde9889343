// SPDX-License-Identifier: Apache-2.0
#include "shm.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_release(void *data, struct wl_buffer *buffer G_GNUC_UNUSED)
{
	struct shm_buffer *b = data;

	b->busy = false;
	if (b->released)
		b->released(b->data);
}

static const struct wl_buffer_listener listener = {.release = on_release};

static int make_memory(size_t size)
{
	int fd = memfd_create("carrel-view", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)size)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool shm_buffer_init(struct shm_buffer *b, struct wl_shm *shm, uint32_t width, uint32_t height, void (*released)(void *data),
		     void *data)
{
	struct wl_shm_pool *pool;
	int fd;

	*b = (struct shm_buffer){.stride = width * 4, .size = (size_t)width * 4 * height, .released = released, .data = data};
	fd = make_memory(b->size);
	if (fd < 0)
		return false;
	b->pixels = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b->pixels == MAP_FAILED) {
		close(fd);
		return false;
	}
	pool = wl_shm_create_pool(shm, fd, (int32_t)b->size);
	b->buffer = wl_shm_pool_create_buffer(pool, 0, (int32_t)width, (int32_t)height, (int32_t)b->stride,
					      WL_SHM_FORMAT_XRGB8888);
	wl_buffer_add_listener(b->buffer, &listener, b);
	wl_shm_pool_destroy(pool);
	close(fd);
	tiles_init(&b->stale, width, height);
	tiles_set(&b->stale, true);
	return true;
}

void shm_buffer_clear(struct shm_buffer *b)
{
	if (!b->buffer)
		return;
	wl_buffer_destroy(b->buffer);
	munmap(b->pixels, b->size);
	tiles_clear(&b->stale);
	*b = (struct shm_buffer){0};
}
