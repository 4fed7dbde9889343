// SPDX-License-Identifier: Apache-2.0
/* Any ELF file as the service domain's kernel: nothing outside the file is read, nothing outside the domain written. */
#include "../../hv/boot/dom0.c"
#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#define RAM  (16 * MiB)
#define FILE_END (2 * MiB) /* below it the file, from FIRST on the domain's memory */
#define FIRST    (4 * MiB)

void *p2m_ptr(struct domain *d, gpa_t gpa, bool write)
{
	(void)d, (void)write;
	return gpa >= FIRST && gpa < RAM ? phys_to_virt(gpa) : NULL;
}

int copy_to_gpa(struct domain *d, gpa_t dst, const void *src, size_t n)
{
	(void)d;
	if (dst < FIRST || dst > RAM || n > RAM - dst)
		return -EFAULT;
	memcpy(phys_to_virt(dst), src, n);
	return 0;
}

struct image {
	struct elf64_header h;
	struct elf64_segment s[3];
	struct { uint32_t name, desc, type; char xen[4]; uint32_t entry; } note;
	uint8_t text[100];
};
static const struct image good = {
	.h = { .ident = "\177ELF\2\1", .machine = 62, .phentsize = sizeof(good.s[0]), .phoff = offsetof(struct image, s), .phnum = 3 },
	.s = {
		{ .type = ELF_LOAD, .offset = offsetof(struct image, text), .paddr = FIRST + 50, .filesz = 100, .memsz = 9000 },
		{ .type = ELF_NOTE, .offset = offsetof(struct image, note), .filesz = sizeof(good.note) },
		{ .type = ELF_NOTE, .offset = offsetof(struct image, note), .filesz = sizeof(good.note) },
	},
	.note = { 4, 4, XEN_ELFNOTE_PHYS32_ENTRY, "Xen", 0x1000200 },
};

/* The file: a good one, cut to a length, with pieces overwritten: offset, how many bytes, the bytes. */
static size_t make_file(struct input *in, uint8_t *file)
{
	size_t n = sizeof(good) - (take(in, 1) & 3 ? 0 : take(in, 2) % sizeof(good));

	memcpy(file, &good, sizeof(good));
	while (in->p < in->end) {
		size_t at = take(in, 2) % (sizeof(good) - 8), len = take(in, 1) % 9;
		uint64_t v = take(in, (unsigned)len);

		memcpy(file + at, &v, len);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct domain d;
	struct input in = { data, data + size };
	uint8_t file[sizeof(good)];
	size_t n = make_file(&in, file);
	struct kernel k = { 0 };
	struct boot_module m;

	fuzz_memory(RAM);
	m = (struct boot_module){ .start = FILE_END - ALIGN_UP(n, 8), .size = n };
	memcpy(phys_to_virt(m.start), file, n);
	ASAN_POISON_MEMORY_REGION(phys_to_virt(0), m.start);
	ASAN_POISON_MEMORY_REGION(phys_to_virt(m.start + n), FIRST - m.start - n);
	if (!setjmp(fuzz_refused)) {
		load_kernel(&d, &m, &k);
		check(k.entry && k.entry < 4 * GiB && k.end > FIRST && k.end <= RAM);
	}
	ASAN_UNPOISON_MEMORY_REGION(phys_to_virt(0), FIRST);
	fuzz_memory_clear();
	return 0;
}
