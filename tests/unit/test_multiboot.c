// SPDX-License-Identifier: Apache-2.0
/* What the boot loader left: whole, cut short at every length, with broken sizes; the memory map against a model. */
#include "shim.h"
#include "../../hv/boot/multiboot.c"

#include <sanitizer/asan_interface.h>

#define PAGES 4096 /* 16 MiB; the "image" is at 2 to 3 MiB */
#define INFO  (8 * MiB)
#define MOD_A (4 * MiB)
#define MOD_B (5 * MiB + 0x1000)

static uint32_t used; /* bytes of the information structure so far */

static int setup(void **state)
{
	(void)state;
	shim_memory(PAGES, 0);
	memset(&boot_info, 0, sizeof(boot_info));
	nr_raw = nr_taken = 0;
	alloc_limit = EARLY_LIMIT;
	alloc_closed = false;
	used = 8;
	return 0;
}

static void *tag(uint32_t type, uint32_t size)
{
	uint32_t *t = (uint32_t *)(shim_ram + INFO + used);

	memset(t, 0, ALIGN_UP(size, 8u));
	t[0] = type;
	t[1] = size;
	used += ALIGN_UP(size, 8u);
	return t;
}

static void text_tag(uint32_t type, const char *s)
{
	memcpy((char *)tag(type, 8 + (uint32_t)strlen(s) + 1) + 8, s, strlen(s) + 1);
}

static void module_tag(uint32_t start, uint32_t end, const char *s)
{
	uint32_t *t = tag(MB2_MODULE, 16 + (uint32_t)strlen(s) + 1);

	t[2] = start;
	t[3] = end;
	memcpy(t + 4, s, strlen(s) + 1);
}

static void mmap_tag(const struct mb2_mmap *m, unsigned n)
{
	uint32_t *t = tag(MB2_MMAP, 16 + n * 24);

	t[2] = 24;
	memcpy(t + 4, m, n * 24);
}

static const struct mb2_mmap ordinary[] = {
	{ 0, 0x9fc00, 1, 0 }, { 0x9fc00, 0x400, 2, 0 }, { MiB, 15 * MiB, 1, 0 }, { 0xfd000000, 16 * MiB, 2, 0 },
};

static void whole_info(void)
{
	text_tag(MB2_LOADER, "GRUB 2.12");
	text_tag(MB2_CMDLINE, "/boot/carrel-core dom0_mem=1G iommu=off");
	module_tag(MOD_A, MOD_A + 5000, "/vmlinux root=/dev/sda1 console=hvc0");
	module_tag(MOD_B, MOD_B + 3000, "");
	mmap_tag(ordinary, ARRAY_SIZE(ordinary));
	memcpy((char *)tag(MB2_RSDP_OLD, 8 + 20) + 8, "RSD PTR old", 12);
	memcpy((char *)tag(MB2_RSDP_NEW, 8 + 36) + 8, "RSD PTR new", 12);
	*(uint64_t *)((char *)tag(MB2_EFI64, 16) + 8) = 0x7f001000;
	*(struct mb_fb *)((char *)tag(MB2_FB, 38) + 8) = (struct mb_fb){ 0xfd000000, 4096, 1024, 768, 32, MB_FB_RGB };
	tag(MB2_END, 8);
	*(uint32_t *)(shim_ram + INFO) = used;
}

static void fill(paddr_t at, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		shim_ram[at + i] = (char)(i * 7 + seed);
}

static bool filled(paddr_t at, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		if (shim_ram[at + i] != (char)(i * 7 + seed))
			return false;
	return true;
}

static void multiboot2(void **state)
{
	(void)state;
	whole_info();
	fill(MOD_A, 5000, 1);
	fill(MOD_B, 3000, 2);
	multiboot_init(MB2_LOADED, INFO);
	assert_string_equal(boot_info.loader, "GRUB 2.12");
	assert_string_equal(boot_info.cmdline, "dom0_mem=1G iommu=off");
	assert_int_equal(boot_info.nr_modules, 2);
	assert_string_equal(boot_info.module[0].cmdline, "root=/dev/sda1 console=hvc0");
	assert_string_equal(boot_info.module[1].cmdline, "");
	assert_int_equal(boot_info.module[0].size, 5000);
	assert_true(filled(boot_info.module[0].start, 5000, 1));
	assert_true(filled(boot_info.module[1].start, 3000, 2));
	assert_true(boot_info.module[0].start >= 15 * MiB && boot_info.module[1].start >= 15 * MiB);
	assert_true(boot_reserved(boot_info.module[1].start >> PAGE_SHIFT));
	assert_true(boot_reserved(0) && boot_reserved(2 * MiB >> PAGE_SHIFT) && !boot_reserved(3 * MiB >> PAGE_SHIFT));
	assert_memory_equal(boot_info.rsdp_copy, "RSD PTR new", 12);
	assert_true(boot_info.efi);
	assert_int_equal(boot_info.fb.base, 0xfd000000);
	assert_int_equal(boot_info.fb.width, 1024);
	assert_int_equal(boot_info.nr_map, 4);
}

/* The old RSDP behind the new one changes nothing. */
static void rsdp_order(void **state)
{
	(void)state;
	mmap_tag(ordinary, ARRAY_SIZE(ordinary));
	memcpy((char *)tag(MB2_RSDP_NEW, 8 + 36) + 8, "RSD PTR new", 12);
	memcpy((char *)tag(MB2_RSDP_OLD, 8 + 20) + 8, "RSD PTR old", 12);
	*(uint32_t *)(shim_ram + INFO) = used;
	multiboot_init(MB2_LOADED, INFO);
	assert_memory_equal(boot_info.rsdp_copy, "RSD PTR new", 12);
}

/* Nothing behind the length that it says is read. parse_mb2() alone: without a map there is nothing to go on with. */
static void cut_short(void **state)
{
	uint32_t whole;

	(void)state;
	whole_info();
	whole = used;
	for (uint32_t cut = 0; cut < whole; cut++) {
		nr_raw = boot_info.nr_modules = 0;
		*(uint32_t *)(shim_ram + INFO) = cut;
		ASAN_POISON_MEMORY_REGION(shim_ram + INFO + MAX(cut, 4u), whole + 64 - MAX(cut, 4u));
		parse_mb2((uint32_t *)(shim_ram + INFO));
		ASAN_UNPOISON_MEMORY_REGION(shim_ram + INFO, whole + 64);
	}
}

static void broken_tags(void **state)
{
	static const uint32_t sizes[] = { 0, 4, 7, 8, 9, 12, 15, 16, 17, 24, 30, 31, 32, 37, 40, 0x7fffffff, 0xfffffff8, ~0u };

	(void)state;
	for (uint32_t type = 0; type < 20; type++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint32_t *t;

			nr_raw = boot_info.nr_modules = 0;
			used = 8;
			t = tag(type, 40);
			memset(t + 2, 0xff, 32); /* huge values in every field */
			t[1] = sizes[i];
			used = MIN(used, 8 + ALIGN_UP(MIN(sizes[i], 64u), 8u));
			*(uint32_t *)(shim_ram + INFO) = used;
			ASAN_POISON_MEMORY_REGION(shim_ram + INFO + used, 256);
			parse_mb2((uint32_t *)(shim_ram + INFO));
			ASAN_UNPOISON_MEMORY_REGION(shim_ram + INFO + used, 256);
		}
	*(uint32_t *)(shim_ram + INFO) = 2 * MiB;
	expect_assert_failure(multiboot_init(MB2_LOADED, INFO));
	assert_non_null(strstr(shim_said, "boot loader's information is broken"));
	expect_assert_failure(multiboot_init(0x12345678, INFO));
	assert_non_null(strstr(shim_said, "multiboot2"));
	*(uint32_t *)(shim_ram + INFO) = 8;
	nr_raw = 0;
	expect_assert_failure(multiboot_init(MB2_LOADED, INFO));
	assert_non_null(strstr(shim_said, "no memory map"));
}

static void multiboot1(void **state)
{
	struct mb1_info *mb = (void *)(shim_ram + INFO);
	struct mb1_module *mods = (void *)(shim_ram + INFO + 0x1000);
	struct mb1_mmap *map = (void *)(shim_ram + INFO + 0x2000);

	(void)state;
	strcpy(shim_ram + INFO + 0x3000, "qemu");
	strcpy(shim_ram + INFO + 0x3100, "core.bin loglvl=all");
	*mb = (struct mb1_info){ .flags = MB1_CMDLINE | MB1_MODULES | MB1_MMAP | MB1_LOADER, .loader = INFO + 0x3000,
				 .cmdline = INFO + 0x3100, .mods_addr = INFO + 0x1000, .mods_count = 7,
				 .mmap_addr = INFO + 0x2000, .mmap_length = 2 * sizeof(*map) + 7 };
	for (unsigned i = 0; i < 7; i++) /* the second is backwards, the last two too many */
		mods[i] = (struct mb1_module){ MOD_A + i * 0x3000, MOD_A + i * 0x3000 + (i == 1 ? -1u : 100), 0, 0 };
	map[0] = (struct mb1_mmap){ 20, 0, 0x9fc00, 1 };
	map[1] = (struct mb1_mmap){ 20, MiB, 15 * MiB, 1 };
	map[2] = (struct mb1_mmap){ 20, 100 * MiB, MiB, 1 }; /* only in part within the length */
	multiboot_init(MB1_LOADED, INFO);
	assert_string_equal(boot_info.cmdline, "loglvl=all");
	assert_int_equal(boot_info.nr_modules, 4);
	assert_int_equal(boot_info.nr_map, 2);
	assert_true(boot_info.fb.text);
}

/* Random entries over 64 pages, overlapping at will. */
static void map_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t model[64] = { 0 };
		uint64_t end = 0;

		nr_raw = boot_info.nr_map = 0;
		for (unsigned i = shim_random(12); i--;) {
			unsigned start = shim_random(64), n = shim_random(65 - start);
			uint32_t type = shim_random(8);

			add_raw(start * PAGE_SIZE, n * PAGE_SIZE, type);
			type = type < E820_RAM || type > E820_UNUSABLE ? E820_RESERVED : type;
			for (unsigned p = start; p < start + n; p++)
				model[p] = MAX(model[p], type);
		}
		tidy_map();
		for (unsigned i = 0; i < boot_info.nr_map; i++) {
			const struct e820_entry *e = &boot_info.map[i];

			assert_true(e->addr >= end && e->size);
			assert_false(i && e->addr == end && e->type == e[-1].type);
			end = e->addr + e->size;
			for (uint64_t p = e->addr / PAGE_SIZE; p < end / PAGE_SIZE; p++) {
				assert_int_equal(model[p], e->type);
				model[p] = 0;
			}
		}
		for (unsigned p = 0; p < 64; p++)
			assert_int_equal(model[p], 0);
	}
}

static void map_extremes(void **state)
{
	(void)state;
	add_raw(~0ull, 16, 1);
	add_raw(BIT(52), 16, 1);
	add_raw(0, 0, 1);
	assert_int_equal(nr_raw, 0);
	add_raw(BIT(52) - 4096, ~0ull, 1);
	assert_int_equal(raw[0].size, 4096);
	for (unsigned i = 0; i < 2 * MAX_RAW; i++)
		add_raw(i * 2 * PAGE_SIZE, PAGE_SIZE, 1);
	assert_int_equal(nr_raw, MAX_RAW);
	tidy_map();
	assert_int_equal(boot_info.nr_map, E820_MAX);
	assert_true(boot_is_ram(0, PAGE_SIZE) && !boot_is_ram(0, PAGE_SIZE + 1) && !boot_is_ram(PAGE_SIZE, 1));
	assert_false(boot_is_ram(0, ~0ull));
	assert_false(boot_is_ram(~0ull, 2));
}

/* Modules one over the other's destination, and memory that runs out. */
static void tight(void **state)
{
	struct { paddr_t start, end; } got[64];
	unsigned n = 0;

	(void)state;
	whole_info();
	((uint32_t *)(shim_ram + INFO))[0] = 8; /* only the map, by hand */
	boot_info.nr_modules = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(ordinary); i++)
		add_raw(ordinary[i].addr, ordinary[i].len, ordinary[i].type);
	add_module(13 * MiB, 16 * MiB, "", 0); /* already at the top: moves down by nothing or stays */
	add_module(4 * MiB, 7 * MiB, "", 0);
	fill(13 * MiB, 3 * MiB, 3);
	fill(4 * MiB, 3 * MiB, 4);
	tidy_map();
	take(0, LOW_END);
	take(2 * MiB, 3 * MiB);
	move_modules();
	assert_true(filled(boot_info.module[0].start, 3 * MiB, 3));
	assert_true(filled(boot_info.module[1].start, 3 * MiB, 4));
	while (find_room(300 * KiB, PAGE_SIZE, NULL)) {
		got[n].start = boot_alloc(300 * KiB - 5, PAGE_SIZE);
		got[n].end = got[n].start + 300 * KiB;
		for (unsigned i = 0; i < n; i++)
			assert_true(got[n].end <= got[i].start || got[i].end <= got[n].start);
		assert_true(boot_is_ram(got[n].start, 300 * KiB) && got[n].start >= MiB);
		assert_true(got[n].end <= 2 * MiB || got[n].start >= 3 * MiB);
		memset(shim_ram + got[n].start, 0xee, 300 * KiB);
		n++;
	}
	assert_true(n > 20);
	assert_true(filled(boot_info.module[0].start, 3 * MiB, 3));
	assert_true(filled(boot_info.module[1].start, 3 * MiB, 4));
	expect_assert_failure(boot_alloc(300 * KiB, PAGE_SIZE));
	assert_non_null(strstr(shim_said, "not enough memory"));
	boot_alloc_close();
	expect_assert_failure(boot_alloc(1, 1));
}

/* A module that lies outside RAM, while the place for it is another's. */
static void in_the_way(void **state)
{
	(void)state;
	add_raw(0, 15 * MiB, E820_RAM);
	add_raw(15 * MiB, MiB, E820_RESERVED);
	add_module(15 * MiB, 16 * MiB, "", 0);
	add_module(14 * MiB, 15 * MiB, "", 0);
	fill(15 * MiB, MiB, 5);
	fill(14 * MiB, MiB, 6);
	tidy_map();
	move_modules();
	assert_true(filled(boot_info.module[0].start, MiB, 5));
	assert_true(filled(boot_info.module[1].start, MiB, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(multiboot2, setup),   cmocka_unit_test_setup(rsdp_order, setup),
		cmocka_unit_test_setup(cut_short, setup),    cmocka_unit_test_setup(broken_tags, setup),
		cmocka_unit_test_setup(multiboot1, setup),   cmocka_unit_test_setup(map_model, setup),
		cmocka_unit_test_setup(map_extremes, setup), cmocka_unit_test_setup(tight, setup),
		cmocka_unit_test_setup(in_the_way, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
