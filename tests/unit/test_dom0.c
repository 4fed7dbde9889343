// SPDX-License-Identifier: Apache-2.0
/* The service domain's kernel image, whole and broken, and the memory that the domain gets. */
#include "shim.h"
#include "../../hv/boot/dom0.c"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#define PAGES 32768 /* 128 MiB of machine memory; the service domain's is all of it but the core's */
#define IMAGE (32 * MiB)
#define CORE_FIRST 512
#define CORE_END   1024

static struct p2m_format format = { .has_1g = true };
static struct cpu_ops ops = { .p2m = &format };
const struct cpu_ops *cpu_ops = &ops;
struct options opt;
static struct frame records[PAGES];
struct frame *frame_table = records;
mfn_t frame_max = PAGES;
paddr_t low_page = 0x8000;
static struct domain d;
static uint8_t mapped[PAGES];

uint64_t frame_total_pages(void)
{
	return PAGES;
}

static bool of_core(mfn_t mfn)
{
	return mfn == low_page >> PAGE_SHIFT || (mfn >= CORE_FIRST && mfn < CORE_END);
}

int frame_claim(mfn_t mfn, uint64_t n, struct domain *dom)
{
	assert_true(mfn >= 256);
	for (mfn_t m = mfn; m < mfn + n; m++)
		if (m >= PAGES || of_core(m) || records[m].type == FRAME_RAM)
			return -EBUSY;
	for (mfn_t m = mfn; m < mfn + n; m++)
		records[m] = (struct frame){ .owner = dom->id, .type = FRAME_RAM };
	dom->tot_pages += n;
	return 0;
}

int p2m_set(struct domain *dom, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type t)
{
	assert_ptr_equal(dom, &d);
	assert_int_equal(gfn, mfn);
	assert_int_equal(t, P2M_RAM);
	for (mfn_t m = mfn; m < mfn + (1ull << order); m++) {
		assert_int_equal(records[m].type, FRAME_RAM);
		mapped[m]++;
	}
	return 0;
}

void *p2m_ptr(struct domain *dom, gpa_t gpa, bool write)
{
	(void)dom, (void)write;
	return gpa >> PAGE_SHIFT < PAGES && mapped[gpa >> PAGE_SHIFT] ? shim_ram + gpa : NULL;
}

int copy_to_gpa(struct domain *dom, gpa_t dst, const void *src, size_t n)
{
	while (n) {
		size_t part = MIN(n, PAGE_SIZE - (dst & ~PAGE_MASK));
		void *p = p2m_ptr(dom, dst, true);

		if (!p)
			return -EFAULT;
		memcpy(p, src, part);
		src = (const char *)src + part;
		dst += part;
		n -= part;
	}
	return 0;
}

static int setup(void **state)
{
	(void)state;
	shim_memory(PAGES, 0);
	memset(records, 0, sizeof(records));
	memset(mapped, 0, sizeof(mapped));
	d = (struct domain){ .id = 0 };
	opt.dom0_mem = 0;
	return 0;
}

/* ---- memory ---- */

static void memory(void **state)
{
	static const struct e820_entry map[] = {
		{ 0, 0x9fc00, E820_RAM }, { 0x9fc00, 0x60400, E820_RESERVED }, { MiB, 40 * MiB + 1, E820_RAM },
		{ 41 * MiB + 4096, MiB, E820_NVS }, { 43 * MiB - 1, 85 * MiB, E820_RAM }, { 0xfec00000, 4096, E820_RESERVED },
	};
	uint64_t end = 0, ram = 0;

	(void)state;
	memcpy(boot_info.map, map, sizeof(map));
	boot_info.nr_map = ARRAY_SIZE(map);
	build_memory(&d);
	for (unsigned i = 0; i < d.nr_e820; i++) {
		const struct e820_entry *e = &d.e820[i];

		assert_true(e->addr >= end && e->size);
		end = e->addr + e->size;
		for (mfn_t m = DIV_ROUND_UP(e->addr, PAGE_SIZE); m < end >> PAGE_SHIFT && m < PAGES; m++)
			assert_int_equal(mapped[m], e->type == E820_RAM);
		ram += e->type == E820_RAM ? e->size : 0;
	}
	assert_int_equal(ram, d.tot_pages * PAGE_SIZE);
	for (mfn_t m = 0; m < PAGES; m++) {
		assert_false(mapped[m] && of_core(m));
		assert_true(mapped[m] <= 1);
	}
	assert_true(mapped[0] && mapped[0x9e] && !mapped[0x9f] && mapped[256] && !mapped[41 * 256] && mapped[43 * 256]);
}

static void too_little(void **state)
{
	(void)state;
	boot_info.map[0] = (struct e820_entry){ 0, PAGES * PAGE_SIZE, E820_RAM };
	boot_info.nr_map = 1;
	opt.dom0_mem = 64 * MiB;
	build_memory(&d);
	assert_int_equal(d.tot_pages, 64 * MiB / PAGE_SIZE);
	assert_int_equal(d.e820[d.nr_e820 - 1].type, E820_UNUSABLE);
	setup(state);
	opt.dom0_mem = 63 * MiB;
	expect_assert_failure(build_memory(&d));
	assert_non_null(strstr(shim_said, "too little memory"));
}

static void retype(void **state)
{
	(void)state;
	d.nr_e820 = 2;
	d.e820[0] = (struct e820_entry){ 0, 100 * PAGE_SIZE, E820_RAM };
	d.e820[1] = (struct e820_entry){ 100 * PAGE_SIZE, PAGE_SIZE, E820_NVS };
	e820_retype(&d, 10 * PAGE_SIZE, 4 * PAGE_SIZE, E820_ACPI);
	assert_int_equal(d.nr_e820, 4);
	assert_int_equal(d.e820[1].addr, 10 * PAGE_SIZE);
	assert_int_equal(d.e820[1].type, E820_ACPI);
	assert_int_equal(d.e820[2].size, 86 * PAGE_SIZE);
	assert_int_equal(d.e820[3].type, E820_NVS);
	d.nr_e820 = E820_MAX - 1;
	expect_assert_failure(e820_retype(&d, 0, PAGE_SIZE, E820_ACPI));
}

/* ---- kernel ---- */

struct image {
	struct elf64_header h;
	struct elf64_segment s[3];
	struct { uint32_t name, desc, type; char xen[4]; uint32_t entry; } note;
	uint8_t text[100];
};
static struct boot_module module;
static struct kernel k;

static struct image *image(void)
{
	struct image *i = (void *)(shim_ram + IMAGE);

	memset(i, 0, sizeof(*i));
	memcpy(i->h.ident, "\177ELF\2\1", 6);
	i->h.machine = 62;
	i->h.phentsize = sizeof(i->s[0]);
	i->h.phoff = offsetof(struct image, s);
	i->h.phnum = 3;
	i->s[0] = (struct elf64_segment){ .type = ELF_LOAD, .offset = offsetof(struct image, text), .paddr = 16 * MiB + 50,
					  .filesz = 100, .memsz = 9000 };
	i->s[1] = (struct elf64_segment){ .type = ELF_NOTE, .offset = offsetof(struct image, note), .filesz = 20 };
	i->s[2] = (struct elf64_segment){ .type = 99, .offset = 3, .filesz = 5 };
	i->note.name = i->note.desc = 4;
	i->note.type = XEN_ELFNOTE_PHYS32_ENTRY;
	memcpy(i->note.xen, "Xen", 4);
	i->note.entry = 0x1000200;
	memset(i->text, 0x90, sizeof(i->text));
	module = (struct boot_module){ IMAGE, sizeof(*i), "" };
	k = (struct kernel){ 0 };
	return i;
}

/* All of 4 to 32 MiB is the domain's. */
static int kernel_setup(void **state)
{
	setup(state);
	for (mfn_t m = 1024; m < IMAGE >> PAGE_SHIFT; m++)
		mapped[m] = 1;
	return 0;
}

/* load_kernel(), with nothing behind the module to be read. */
static bool loads(uint64_t size)
{
	static uint64_t hidden;

	if (hidden)
		ASAN_UNPOISON_MEMORY_REGION(shim_ram + hidden, sizeof(struct image));
	module.size = size;
	k = (struct kernel){ 0 };
	hidden = IMAGE + size;
	if (setjmp(global_expect_assert_env)) {
		global_expecting_assert = 0;
		ASAN_UNPOISON_MEMORY_REGION(shim_ram + hidden, sizeof(struct image));
		return false;
	}
	global_expecting_assert = 1;
	ASAN_POISON_MEMORY_REGION(shim_ram + hidden, sizeof(struct image));
	load_kernel(&d, &module, &k);
	global_expecting_assert = 0;
	ASAN_UNPOISON_MEMORY_REGION(shim_ram + hidden, sizeof(struct image));
	return true;
}

static void kernel(void **state)
{
	(void)state;
	memset(shim_ram + 16 * MiB, 0xaa, 0x4000);
	image();
	assert_true(loads(sizeof(struct image)));
	assert_int_equal(k.entry, 0x1000200);
	assert_int_equal(k.end, 16 * MiB + 9050);
	for (unsigned i = 0; i < 0x4000; i++)
		assert_int_equal((uint8_t)shim_ram[16 * MiB + i], i < 50 || i >= 9050 ? 0xaa : i < 150 ? 0x90 : 0);
}

static void refused(const char *why)
{
	assert_false(loads(sizeof(struct image)));
	if (!strstr(shim_said, why))
		fail_msg("wanted \"%s\", got \"%s\"", why, shim_said);
}

static void broken_kernels(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < sizeof(struct image); n++) {
		image();
		assert_false(loads(n));
	}
	image()->h.ident[4] = 1;
	refused("no 64-bit x86 ELF");
	memcpy(image(), "MZ", 2);
	refused("not a bzImage");
	image()->h.phentsize = 55;
	refused("program headers are broken");
	image()->h.phoff = ~0ull;
	refused("program headers are broken");
	image()->h.phnum = 0xffff;
	refused("program headers are broken");
	image()->s[0].offset = ~0ull;
	refused("cut short");
	image()->s[0].filesz = ~0ull;
	refused("cut short");
	image()->s[1].filesz = sizeof(struct image);
	refused("cut short");
	image()->s[0].memsz = 99;
	refused("broken");
	image()->s[0].paddr = ~0ull - 5000;
	refused("broken");
	image()->s[0].paddr = 3 * MiB; /* the core's */
	refused("does not fit");
	image()->s[0].paddr = 1ull << 40;
	refused("does not fit");
	image()->s[0].memsz = 1ull << 40;
	refused("does not fit");
	image()->s[1].type = 99;
	refused("CONFIG_PVH");
	image()->note.type++;
	refused("CONFIG_PVH");
	image()->note.name = 5;
	refused("CONFIG_PVH");
	image()->note.name = ~0u;
	refused("CONFIG_PVH");
	image()->note.desc = ~0u;
	refused("CONFIG_PVH");
	image()->note.desc = 8; /* behind the segment's end */
	refused("CONFIG_PVH");
	image()->note.desc = 12; /* more than an address */
	((struct image *)(shim_ram + IMAGE))->s[1].filesz = 28;
	refused("CONFIG_PVH");
	image()->note.entry = 0;
	refused("CONFIG_PVH");
	image()->s[0].type = 99;
	refused("CONFIG_PVH");
	image()->s[1].filesz = 19;
	refused("CONFIG_PVH");
}

/* A segment of no bytes at the end of the address space must not bring the initramfs down over low memory. */
static void empty_segment_far_up(void **state)
{
	struct image *i = image();

	(void)state;
	i->s[2] = (struct elf64_segment){ .type = ELF_LOAD, .paddr = ~0ull };
	assert_true(loads(sizeof(struct image)));
	assert_int_equal(k.end, 16 * MiB + 9050);
}

static void scrambled_kernels(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		uint8_t *b = (uint8_t *)image();

		for (unsigned n = 1 + shim_random(4); n--;)
			b[shim_random(offsetof(struct image, text))] = (uint8_t)(shim_random(3) ? shim_random(256) : 0xff);
		if (loads(sizeof(struct image)))
			assert_true(k.entry && k.entry < 4 * GiB && k.end && k.end <= IMAGE);
	}
}

static void initramfs_room(void **state)
{
	(void)state;
	d.nr_e820 = 3;
	d.e820[0] = (struct e820_entry){ 0, 0x9f000, E820_RAM };
	d.e820[1] = (struct e820_entry){ MiB, 16 * MiB, E820_RAM };
	d.e820[2] = (struct e820_entry){ 4 * GiB - MiB, 8 * MiB, E820_RAM };
	assert_int_equal(find_room(&d, 2 * MiB + 1, 4 * MiB), 2 * MiB + PAGE_SIZE);
	assert_int_equal(find_room(&d, 16 * MiB, MiB), 16 * MiB);
	assert_int_equal(find_room(&d, 17 * MiB, MiB), 4 * GiB - MiB);
	expect_assert_failure(find_room(&d, 2 * MiB, 16 * MiB));
	expect_assert_failure(find_room(&d, 16 * MiB, 2 * MiB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory, setup),
		cmocka_unit_test_setup(too_little, setup),
		cmocka_unit_test_setup(retype, setup),
		cmocka_unit_test_setup(kernel, kernel_setup),
		cmocka_unit_test_setup(broken_kernels, kernel_setup),
		cmocka_unit_test_setup(empty_segment_far_up, kernel_setup),
		cmocka_unit_test_setup(scrambled_kernels, kernel_setup),
		cmocka_unit_test_setup(initramfs_room, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
