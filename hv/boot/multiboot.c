/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the boot loader left (Multiboot Specification 0.6.96 and 2.0), and the machine's RAM until the heap exists. The
 * loader's structures lie anywhere below 4 GiB, which the early tables map; all is copied before any of it is overwritten.
 */
#include "boot.h"
#include "frame.h"
#include "lib.h"
#include "map.h"

#define MB1_LOADED 0x2badb002
#define MB2_LOADED 0x36d76289

#define MB1_CMDLINE  BIT(2)
#define MB1_MODULES  BIT(3)
#define MB1_MMAP     BIT(6)
#define MB1_LOADER   BIT(9)
#define MB1_FB       BIT(12)

struct mb_fb { /* the same in both */
	uint64_t addr;
	uint32_t pitch, width, height;
	uint8_t bpp, type;
} __packed;
enum { MB_FB_INDEXED, MB_FB_RGB, MB_FB_TEXT };

struct mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, loader, apm_table, vbe_control, vbe_mode_info;
	uint16_t vbe_mode, vbe_seg, vbe_off, vbe_len;
	struct mb_fb fb;
	uint8_t fb_color[6];
} __packed;
_Static_assert(offsetof(struct mb1_info, fb) == 88, "Multiboot 3.3");
struct mb1_module {
	uint32_t start, end, cmdline, reserved;
} __packed;
struct mb1_mmap {
	uint32_t size;
	uint64_t addr, len;
	uint32_t type;
} __packed;

struct mb2_tag {
	uint32_t type, size;
};
struct mb2_fb {
	struct mb2_tag tag;
	struct mb_fb fb;
	uint16_t reserved;
	uint8_t color[6];
} __packed;
struct mb2_mmap {
	uint64_t addr, len;
	uint32_t type, reserved;
};
enum {
	MB2_END = 0, MB2_CMDLINE = 1, MB2_LOADER = 2, MB2_MODULE = 3, MB2_MMAP = 6, MB2_FB = 8, MB2_EFI64 = 12,
	MB2_RSDP_OLD = 14, MB2_RSDP_NEW = 15,
};

#define MAX_INFO    (1 * MiB) /* of a Multiboot 2 information structure */
#define MAX_RAW     256
#define PA_LIMIT    BIT(52)
#define LOW_END     MiB
#define EARLY_LIMIT (4 * GiB) /* what the early tables map */

struct boot_info boot_info;

static char module_cmdline[ARRAY_SIZE(boot_info.module)][2048];

/* The map as the loader gave it; then boundaries for tidy_map(). */
static struct e820_entry raw[MAX_RAW];
static unsigned nr_raw;
static uint64_t edges[2 * MAX_RAW];

/* RAM in use: first entry the first megabyte, then the image, modules, boot_alloc()'s. */
static struct range {
	paddr_t start, end;
} taken[64];
static unsigned nr_taken;
static paddr_t alloc_limit = EARLY_LIMIT;
static bool alloc_closed;

/* ---- copying ---- */

static void add_raw(uint64_t addr, uint64_t len, uint32_t type)
{
	if (nr_raw == MAX_RAW) {
		printk(LOG_WARN "the loader's memory map has more than %u entries; the rest is left out", MAX_RAW);
		return;
	}
	if (addr >= PA_LIMIT || !len)
		return;
	if (type < E820_RAM || type > E820_UNUSABLE)
		type = E820_RESERVED;
	raw[nr_raw++] = (struct e820_entry){ addr, MIN(len, PA_LIMIT - addr), type };
}

/* Some loaders put the image's path first. QEMU always does; of others it is a path if it has a slash before any '='. */
static const char *skip_path(const char *s)
{
	size_t n = 0;
	bool slash = false, value = false;
	while (*s == ' ')
		s++;
	for (; s[n] && s[n] != ' '; n++) {
		slash |= s[n] == '/' && !value;
		value |= s[n] == '=';
	}
	if (!slash && strncmp(boot_info.loader, "qemu", 4))
		return s;
	for (s += n; *s == ' '; s++)
		;
	return s;
}

/* Of a string that may lack its end. */
static void copy_cmdline(char *dst, size_t size, const char *src, size_t max)
{
	strscpy(dst, src, MIN(size, max + 1));
	const char *rest = skip_path(dst);
	memmove(dst, rest, strlen(rest) + 1);
}

static void add_module(uint32_t start, uint32_t end, const char *cmdline, size_t max)
{
	unsigned n = boot_info.nr_modules;
	if (end <= start)
		return;
	if (n == ARRAY_SIZE(boot_info.module)) {
		printk(LOG_WARN "more than %u modules; the rest is left out", n);
		return;
	}
	copy_cmdline(module_cmdline[n], sizeof(module_cmdline[n]), cmdline, max);
	boot_info.module[n] = (struct boot_module){ start, end - start, module_cmdline[n] };
	boot_info.nr_modules++;
}

static void set_fb(const struct mb_fb *fb, const uint8_t *color)
{
	if (fb->type == MB_FB_INDEXED)
		return;
	boot_info.fb = (struct boot_fb){
		.base = fb->addr, .width = fb->width, .height = fb->height, .pitch = fb->pitch, .bpp = fb->bpp,
		.red_pos = color[0], .red_size = color[1], .green_pos = color[2], .green_size = color[3],
		.blue_pos = color[4], .blue_size = color[5], .text = fb->type == MB_FB_TEXT,
	};
}

static void parse_mb1(const struct mb1_info *mb)
{
	if (mb->flags & MB1_LOADER)
		strscpy(boot_info.loader, phys_to_virt(mb->loader), sizeof(boot_info.loader));
	if (mb->flags & MB1_CMDLINE)
		copy_cmdline(boot_info.cmdline, sizeof(boot_info.cmdline), phys_to_virt(mb->cmdline), SIZE_MAX - 1);
	if (mb->flags & MB1_MMAP) {
		uint64_t pos = mb->mmap_addr, end = MIN(pos + mb->mmap_length, EARLY_LIMIT);
		while (pos + sizeof(struct mb1_mmap) <= end) {
			const struct mb1_mmap *m = phys_to_virt(pos);
			add_raw(m->addr, m->len, m->type);
			pos += (uint64_t)m->size + sizeof(m->size);
		}
	}
	if (mb->flags & MB1_MODULES) {
		uint64_t pos = mb->mods_addr;
		for (uint32_t i = 0; i < mb->mods_count && pos + sizeof(struct mb1_module) <= EARLY_LIMIT; i++) {
			const struct mb1_module *m = phys_to_virt(pos);
			add_module(m->start, m->end, m->cmdline ? phys_to_virt(m->cmdline) : "", SIZE_MAX - 1);
			pos += sizeof(*m);
		}
	}
	if (mb->flags & MB1_FB)
		set_fb(&mb->fb, mb->fb_color);
	else /* not asked for, so the BIOS's text mode is as it was */
		boot_info.fb = (struct boot_fb){ .base = 0xb8000, .width = 80, .height = 25, .pitch = 160, .bpp = 16,
						 .text = true };
}

static void parse_mb2_mmap(const uint32_t *tag, uint32_t size)
{
	uint32_t step = tag[2];
	if (step < sizeof(struct mb2_mmap))
		return;
	for (uint32_t pos = 16; pos + sizeof(struct mb2_mmap) <= size && step <= size; pos += step) {
		const struct mb2_mmap *m = (const void *)((const char *)tag + pos);
		add_raw(m->addr, m->len, m->type);
	}
}

/* tag->size bytes are there, at least 8. */
static void parse_mb2_tag(const struct mb2_tag *tag)
{
	const uint32_t *word = (const uint32_t *)tag;
	const char *body = (const char *)(tag + 1);
	uint32_t size = tag->size, len = size - 8;

	if (tag->type == MB2_CMDLINE)
		copy_cmdline(boot_info.cmdline, sizeof(boot_info.cmdline), body, len);
	else if (tag->type == MB2_LOADER)
		strscpy(boot_info.loader, body, MIN(len + 1, sizeof(boot_info.loader)));
	else if (tag->type == MB2_MODULE && len >= 8)
		add_module(word[2], word[3], body + 8, len - 8);
	else if (tag->type == MB2_MMAP && len >= 8)
		parse_mb2_mmap(word, size);
	else if (tag->type == MB2_FB && size >= offsetof(struct mb2_fb, color))
		set_fb(&((const struct mb2_fb *)tag)->fb,
		       size >= sizeof(struct mb2_fb) ? ((const struct mb2_fb *)tag)->color : (const uint8_t[6]){ 0 });
	else if (tag->type == MB2_RSDP_NEW || (tag->type == MB2_RSDP_OLD && !boot_info.rsdp_copy[0]))
		memcpy(boot_info.rsdp_copy, body, MIN(len, sizeof(boot_info.rsdp_copy)));
	else if (tag->type == MB2_EFI64)
		boot_info.efi = true;
}

static void parse_mb2(const uint32_t *info)
{
	uint32_t total = info[0];
	if (total > MAX_INFO || virt_to_phys(info) + total > EARLY_LIMIT)
		refuse("the boot loader's information is broken (%u bytes)", total);
	for (uint32_t pos = 8; pos + sizeof(struct mb2_tag) <= total;) {
		const struct mb2_tag *tag = (const void *)((const char *)info + pos);
		if (tag->type == MB2_END || tag->size < sizeof(*tag) || tag->size > total - pos)
			break;
		parse_mb2_tag(tag);
		pos += ALIGN_UP(tag->size, 8u);
	}
}

/* ---- the memory map ---- */

static void sort_edges(unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		uint64_t e = edges[i];
		unsigned k = i;
		for (; k && edges[k - 1] > e; k--)
			edges[k] = edges[k - 1];
		edges[k] = e;
	}
}

/* The type of [start, end), which no entry covers in part: where entries overlap, the one that allows least. 0: a hole. */
static uint32_t type_between(uint64_t start, uint64_t end)
{
	uint32_t type = 0;
	for (unsigned i = 0; i < nr_raw; i++)
		if (raw[i].addr <= start && end <= raw[i].addr + raw[i].size)
			type = MAX(type, raw[i].type);
	return type;
}

static void append(uint64_t start, uint64_t end, uint32_t type)
{
	struct e820_entry *last = boot_info.nr_map ? &boot_info.map[boot_info.nr_map - 1] : NULL;
	if (last && last->type == type && last->addr + last->size == start)
		last->size += end - start;
	else if (boot_info.nr_map < E820_MAX)
		boot_info.map[boot_info.nr_map++] = (struct e820_entry){ start, end - start, type };
	else
		printk(LOG_WARN "memory at %lx left out: the map is too long", start);
}

static void tidy_map(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < nr_raw; i++) {
		edges[n++] = raw[i].addr;
		edges[n++] = raw[i].addr + raw[i].size;
	}
	sort_edges(n);
	for (unsigned i = 0; i + 1 < n; i++) {
		uint32_t type = edges[i] < edges[i + 1] ? type_between(edges[i], edges[i + 1]) : 0;
		if (type)
			append(edges[i], edges[i + 1], type);
	}
}

bool boot_is_ram(paddr_t start, uint64_t size)
{
	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];
		if (e->type == E820_RAM && e->addr <= start && start - e->addr <= e->size &&
		    size <= e->size - (start - e->addr))
			return true;
	}
	return false;
}

/* ---- RAM before the heap ---- */

static void take(paddr_t start, paddr_t end)
{
	for (struct range *r = taken; r < taken + nr_taken; r++) {
		if (r->start == end) {
			r->start = start;
			return;
		}
	}
	if (nr_taken == ARRAY_SIZE(taken))
		panic("too many early allocations");
	taken[nr_taken++] = (struct range){ start, end };
}

bool boot_reserved(mfn_t mfn)
{
	paddr_t pa = mfn << PAGE_SHIFT;
	for (const struct range *r = taken; r < taken + nr_taken; r++)
		if (pa < r->end && pa + PAGE_SIZE > r->start)
			return true;
	return false;
}

/* The start of something in use within [p, p + size): a taken range, or a module but self. PA_LIMIT: all free. */
static paddr_t obstacle(paddr_t p, uint64_t size, const struct boot_module *self)
{
	const struct boot_module *end = boot_info.module + boot_info.nr_modules;
	for (const struct range *r = taken; r < taken + nr_taken; r++)
		if (p < r->end && p + size > r->start)
			return r->start;
	for (const struct boot_module *m = boot_info.module; m < end; m++)
		if (m != self && p < m->start + m->size && p + size > m->start)
			return m->start;
	return PA_LIMIT;
}

/* The highest free place below alloc_limit; 0 when there is none. */
static paddr_t find_room(uint64_t size, uint64_t align, const struct boot_module *self)
{
	for (unsigned i = boot_info.nr_map; i--;) {
		const struct e820_entry *e = &boot_info.map[i];
		paddr_t low = MAX(e->addr, LOW_END), high = MIN(e->addr + e->size, alloc_limit);
		if (e->type != E820_RAM)
			continue;
		while (high > low && high - low >= size) {
			paddr_t p = ALIGN_DOWN(high - size, align);
			if (p < low)
				break;
			high = obstacle(p, size, self);
			if (high == PA_LIMIT)
				return p;
		}
	}
	return 0;
}

paddr_t boot_alloc(uint64_t size, uint64_t align)
{
	ASSERT(!alloc_closed);
	size = ALIGN_UP(size, PAGE_SIZE);
	paddr_t p = find_room(size, MAX(align, PAGE_SIZE), NULL);
	if (!p)
		refuse("not enough memory: no room for %lu KiB of the core's tables", size / KiB);
	take(p, p + size);
	memset(phys_to_virt(p), 0, size);
	return p;
}

void boot_alloc_high(void)
{
	alloc_limit = PA_LIMIT;
}

void boot_alloc_close(void)
{
	alloc_closed = true;
}

void boot_modules_free(void)
{
	for (; boot_info.nr_modules; boot_info.nr_modules--) {
		const struct boot_module *m = &boot_info.module[boot_info.nr_modules - 1];

		frame_release(m->start >> PAGE_SHIFT, DIV_ROUND_UP(m->size, PAGE_SIZE));
	}
}

/* To the top of RAM below 4 GiB, highest first, so that none lies where the service domain's kernel goes. The order of the
 * records is what the service domain's builder knows them by, so the sorting is of pointers. */
static void move_modules(void)
{
	bool moved[ARRAY_SIZE(boot_info.module)] = { false };
	struct boot_module old[ARRAY_SIZE(boot_info.module)];
	unsigned n = boot_info.nr_modules;

	memcpy(old, boot_info.module, sizeof(old));
	for (unsigned round = 0; round < n; round++) {
		unsigned next = n;
		for (unsigned i = 0; i < n; i++)
			if (!moved[i] && (next == n || old[i].start > old[next].start))
				next = i;
		struct boot_module *m = &boot_info.module[next];
		uint64_t room = ALIGN_UP(m->size, PAGE_SIZE);
		paddr_t p = find_room(room, PAGE_SIZE, m);
		if (!p)
			refuse("not enough memory: no room for boot module %u (%lu KiB)", next, m->size / KiB);
		memmove(phys_to_virt(p), phys_to_virt(m->start), m->size);
		m->start = p;
		take(p, p + room);
		moved[next] = true;
	}
}

void multiboot_init(uint32_t magic, uint32_t info_pa)
{
	if (magic == MB1_LOADED)
		parse_mb1(phys_to_virt(info_pa));
	else if (magic == MB2_LOADED)
		parse_mb2(phys_to_virt(info_pa));
	else
		refuse("not started by a Multiboot loader (magic %x); use GRUB's multiboot2 command", magic);
	tidy_map();
	if (!boot_info.nr_map)
		refuse("the boot loader gave no memory map");
	take(0, LOW_END);
	take(virt_to_phys(__text_start), virt_to_phys(__image_end));
	move_modules();
}
