// SPDX-License-Identifier: Apache-2.0
/* Any Multiboot information, 1 or 2, with nothing readable behind it; then what the core made of it must hold together. */
#define take boot_take /* fuzz.h has its own */
#include "../../hv/boot/multiboot.c"
#undef take
#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#define INFO (64 * MiB)

static void reset(void)
{
	memset(&boot_info, 0, sizeof(boot_info));
	nr_raw = nr_taken = 0;
	alloc_limit = EARLY_LIMIT;
	alloc_closed = false;
}

static void check_map(void)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];

		check(e->size && e->addr >= end && e->addr + e->size <= PA_LIMIT);
		check(e->type >= E820_RAM && e->type <= E820_UNUSABLE);
		end = e->addr + e->size;
	}
}

/* Every module in RAM of its own, out of the way of the image and of low memory. */
static void check_modules(void)
{
	for (unsigned i = 0; i < boot_info.nr_modules; i++) {
		const struct boot_module *m = &boot_info.module[i];

		check(boot_is_ram(m->start, m->size) && m->start >= LOW_END && m->start + m->size <= EARLY_LIMIT);
		check(m->start >= 3 * MiB || m->start + m->size <= 2 * MiB);
		check(boot_reserved(m->start >> PAGE_SHIFT) && strnlen(m->cmdline, 2048) < 2048);
		for (unsigned k = 0; k < i; k++)
			check(m->start + m->size <= boot_info.module[k].start ||
			      boot_info.module[k].start + boot_info.module[k].size <= m->start);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t n = (uint32_t)MIN(size, 8192ul) & ~7u;
	char *info;
	uint64_t modules = 0;

	if (n < sizeof(struct mb1_info) + 8)
		return 0;
	fuzz_memory(EARLY_LIMIT);
	reset();
	info = phys_to_virt(INFO - n);
	memcpy(info, data, n);
	ASAN_POISON_MEMORY_REGION(phys_to_virt(INFO), PAGE_SIZE);
	if (!setjmp(fuzz_refused)) {
		if (data[size - 1] & 1) {
			*(uint32_t *)info = n;
			parse_mb2((uint32_t *)info);
		} else {
			struct mb1_info *mb = (void *)info;

			if (data[size - 1] & 2) /* something to find */
				mb->mods_addr = mb->mmap_addr = (uint32_t)(INFO - n + sizeof(*mb));
			mb->mmap_length = MIN(mb->mmap_length, (uint32_t)MiB); /* more is only slower */
			mb->mods_count &= 0xff;
			ASAN_UNPOISON_MEMORY_REGION(phys_to_virt(INFO), PAGE_SIZE); /* its parts lie anywhere */
			parse_mb1(mb);
		}
		ASAN_UNPOISON_MEMORY_REGION(phys_to_virt(INFO), PAGE_SIZE);
		tidy_map();
		check_map();
		for (unsigned i = 0; i < boot_info.nr_modules; i++)
			modules += boot_info.module[i].size;
		if (modules <= MiB) { /* larger ones are the same, but slow */
			boot_take(0, LOW_END);
			boot_take(2 * MiB, 3 * MiB);
			move_modules();
			check_modules();
			check(boot_is_ram(boot_alloc(5000, 8192), 8192));
		}
	}
	ASAN_UNPOISON_MEMORY_REGION(phys_to_virt(INFO), PAGE_SIZE);
	fuzz_memory_clear();
	return 0;
}
