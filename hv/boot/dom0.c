// SPDX-License-Identifier: Apache-2.0
/*
 * Builds the service domain: a PVH domain (docs.xen.org "pvh", xen/arch-x86/hvm/start_info.h) whose RAM is identity mapped,
 * from the boot loader's modules: an ELF vmlinux and its initramfs.
 */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "cpu_ops.h"
#include "dom0.h"
#include "frame.h"
#include "guest.h"
#include "iommu.h"
#include "map.h"
#include "pci.h"
#include "sched.h"

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/elfnote.h>

struct elf64_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf64_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
#define ELF_LOAD 1
#define ELF_NOTE 4

struct kernel {
	uint64_t entry;    /* physical, from the PHYS32_ENTRY note; 0 none */
	paddr_t end;       /* first byte after its last segment */
};

/* ---- memory ---- */

static uint64_t ram_wanted(void)
{
	uint64_t total = frame_total_pages() * PAGE_SIZE;

	if (opt.dom0_mem)
		return opt.dom0_mem / PAGE_SIZE;
	return MAX(MIN(total / 4, 4 * GiB), 512 * MiB) / PAGE_SIZE;
}

static void e820_add(struct domain *d, uint64_t addr, uint64_t size, uint32_t type)
{
	struct e820_entry *last = d->nr_e820 ? &d->e820[d->nr_e820 - 1] : NULL;

	if (!size)
		return;
	if (last && last->type == type && last->addr + last->size == addr) {
		last->size += size;
		return;
	}
	if (d->nr_e820 == E820_MAX)
		refuse("the firmware's memory map has too many entries for the service domain");
	d->e820[d->nr_e820++] = (struct e820_entry){ addr, size, type };
}

/* Low memory is never in the heap (boot.h): its RAM records are made here. */
static bool claim_low(mfn_t mfn, struct domain *d)
{
	struct frame *f = frame_of(mfn);

	if (!f)
		return false;
	*f = (struct frame){ .owner = d->id, .type = FRAME_RAM, .refs = 1, .gfn = (uint32_t)mfn };
	d->tot_pages++;
	return true;
}

/* Takes 2^order frames at mfn for the service domain and maps them. False: not to be had as one piece. */
static bool claim(struct domain *d, mfn_t mfn, unsigned order)
{
	if (mfn < MiB / PAGE_SIZE) {
		if (order || mfn == low_page >> PAGE_SHIFT || !claim_low(mfn, d))
			return false;
	} else if (frame_claim(mfn, 1ull << order, d)) {
		return false;
	}
	if (p2m_set(d, mfn, mfn, order, P2M_RAM))
		refuse("no memory for the service domain's page tables: give it less with dom0_mem=");
	return true;
}

/* Gives RAM of [mfn, end) to d in the largest aligned pieces until it has `want` frames in all; the rest, and what the core
 * keeps, is UNUSABLE in its map: Linux places foreign and grant mappings there. */
static void populate(struct domain *d, mfn_t mfn, mfn_t end, uint64_t want)
{
	static const unsigned orders[] = { 18, 9, 0 };

	while (mfn < end) {
		unsigned order = 0;
		bool got = false;

		if (d->tot_pages >= want) {
			e820_add(d, mfn << PAGE_SHIFT, (end - mfn) << PAGE_SHIFT, E820_UNUSABLE);
			return;
		}
		for (unsigned i = 0; i < ARRAY_SIZE(orders) && !got; i++) {
			uint64_t n = 1ull << orders[i];

			if ((mfn & (n - 1)) || mfn + n > end || d->tot_pages + n > want ||
			    (orders[i] == 18 && !cpu_ops->p2m->has_1g))
				continue;
			order = orders[i];
			got = claim(d, mfn, order);
		}
		e820_add(d, mfn << PAGE_SHIFT, PAGE_SIZE << order, got ? E820_RAM : E820_UNUSABLE);
		mfn += 1ull << order;
	}
}

static void build_memory(struct domain *d)
{
	uint64_t want = ram_wanted();

	d->max_pages = ~0ull;
	for (unsigned i = 0; i < boot_info.nr_map; i++) {
		const struct e820_entry *e = &boot_info.map[i];

		if (e->type == E820_RAM)
			populate(d, DIV_ROUND_UP(e->addr, PAGE_SIZE), (e->addr + e->size) / PAGE_SIZE, want);
		else
			e820_add(d, e->addr, e->size, e->type);
	}
	if (d->tot_pages < 64 * MiB / PAGE_SIZE)
		refuse("too little memory for the service domain: %lu MiB; it needs 64 MiB or more",
		       d->tot_pages * PAGE_SIZE / MiB);
	d->max_pages = d->tot_pages;
}

/* ---- kernel ---- */

static void load(struct domain *d, paddr_t to, const void *from, uint64_t size, const char *what)
{
	if (copy_to_gpa(d, to, from, size))
		refuse("%s does not fit into the service domain's memory at %lx+%lx: give it more with dom0_mem=", what, to,
		       size);
}

static void clear(struct domain *d, paddr_t at, uint64_t size)
{
	while (size) {
		uint64_t n = MIN(size, PAGE_SIZE - (at & ~PAGE_MASK));
		void *p = p2m_ptr(d, at, true);

		if (!p)
			refuse("the kernel does not fit into the service domain's memory at %lx", at);
		memset(p, 0, n);
		at += n;
		size -= n;
	}
}

/* Finds XEN_ELFNOTE_PHYS32_ENTRY, which makes a kernel bootable as PVH. */
static void read_notes(struct kernel *k, const uint8_t *note, uint64_t size)
{
	uint64_t at = 0;

	while (size - at >= 12) {
		uint32_t h[3]; /* name size, descriptor size, type */
		uint64_t name, desc;

		memcpy(h, note + at, sizeof(h));
		name = at + sizeof(h);
		desc = name + ALIGN_UP((uint64_t)h[0], 4);
		at = desc + ALIGN_UP((uint64_t)h[1], 4);
		if (at > size)
			return;
		if (h[0] == 4 && !memcmp(note + name, "Xen", 4) && h[2] == XEN_ELFNOTE_PHYS32_ENTRY &&
		    (h[1] == 4 || h[1] == 8))
			memcpy(&k->entry, note + desc, h[1]);
	}
}

static void load_kernel(struct domain *d, const struct boot_module *m, struct kernel *k)
{
	const uint8_t *image = phys_to_virt(m->start);
	struct elf64_header h;

	if (m->size < sizeof(h))
		refuse("the first module is no ELF kernel (%lu bytes)", m->size);
	memcpy(&h, image, sizeof(h));
	if (memcmp(h.ident, "\177ELF\2\1", 6) || h.machine != 62)
		refuse("the first module is no 64-bit x86 ELF file: it must be a vmlinux, not a bzImage");
	if (h.phentsize != sizeof(struct elf64_segment) || h.phoff > m->size ||
	    h.phnum > (m->size - h.phoff) / sizeof(struct elf64_segment))
		refuse("the kernel's ELF program headers are broken");
	for (unsigned i = 0; i < h.phnum; i++) {
		struct elf64_segment s;

		memcpy(&s, image + h.phoff + i * sizeof(s), sizeof(s));
		if (s.offset > m->size || s.filesz > m->size - s.offset ||
		    (s.type == ELF_LOAD && (s.filesz > s.memsz || s.paddr + s.memsz < s.paddr)))
			refuse("the kernel's ELF segment %u is broken or the file is cut short", i);
		if (s.type == ELF_NOTE)
			read_notes(k, image + s.offset, s.filesz);
		if (s.type != ELF_LOAD || !s.memsz)
			continue;
		load(d, s.paddr, image + s.offset, s.filesz, "the kernel");
		clear(d, s.paddr + s.filesz, s.memsz - s.filesz);
		k->end = MAX(k->end, s.paddr + s.memsz);
	}
	if (!k->entry || !k->end)
		refuse("the kernel has no PVH entry (Xen note PHYS32_ENTRY): it needs CONFIG_PVH");
	if (k->entry >= 4 * GiB)
		refuse("the kernel's PVH entry %lx is above 4 GiB", k->entry);
}

/* Finds size bytes of the domain's RAM above `from` and below 4 GiB. */
static paddr_t find_room(struct domain *d, paddr_t from, uint64_t size)
{
	for (unsigned i = 0; i < d->nr_e820; i++) {
		const struct e820_entry *e = &d->e820[i];
		paddr_t at = MAX(ALIGN_UP(from, PAGE_SIZE), e->addr);

		if (e->type == E820_RAM && at + size <= MIN(e->addr + e->size, 4 * GiB) && at >= e->addr)
			return at;
	}
	refuse("the service domain's memory has no room for its initramfs (%lu MiB): give it more with dom0_mem=",
	       size / MiB);
}

/* ---- start info ---- */

struct start_page {
	struct hvm_start_info info;
	struct hvm_modlist_entry module;
	char cmdline[1024];
	struct hvm_memmap_table_entry map[E820_MAX];
};
_Static_assert(sizeof(struct start_page) <= 2 * PAGE_SIZE, "start info takes two pages");

static void write_start_info(struct domain *d, paddr_t at, paddr_t initrd, uint64_t initrd_size, const char *cmdline,
			     paddr_t rsdp)
{
	struct start_page *p = core_alloc(1);

	if (!p)
		refuse("no memory to build the service domain");
	p->info = (struct hvm_start_info){
		.magic = XEN_HVM_START_MAGIC_VALUE,
		.version = 1,
		.flags = SIF_PRIVILEGED | SIF_INITDOMAIN,
		.nr_modules = initrd_size ? 1 : 0,
		.modlist_paddr = at + offsetof(struct start_page, module),
		.cmdline_paddr = at + offsetof(struct start_page, cmdline),
		.rsdp_paddr = rsdp,
		.memmap_paddr = at + offsetof(struct start_page, map),
		.memmap_entries = d->nr_e820,
	};
	p->module = (struct hvm_modlist_entry){ .paddr = initrd, .size = initrd_size };
	strscpy(p->cmdline, cmdline, sizeof(p->cmdline));
	for (unsigned i = 0; i < d->nr_e820; i++)
		p->map[i] = (struct hvm_memmap_table_entry){
			.addr = d->e820[i].addr, .size = d->e820[i].size, .type = d->e820[i].type
		};
	load(d, at, p, sizeof(*p), "start info");
	core_free(p, 1);
}

/* The PVH boot protocol's machine state: 32-bit flat segments, paging off, EBX = start info. */
static void start_state(struct vcpu *v, uint64_t entry, paddr_t start_info)
{
	struct vcpu_state s;

	cpu_ops->get_state(v, &s);
	s.cr0 = CR0_PE | CR0_ET;
	for (unsigned i = 0; i < SEG_TR; i++)
		s.seg[i] = (struct segment){ .sel = 0x10, .limit = 0xffffffff, .attr = 0xc93 };
	s.seg[SEG_CS] = (struct segment){ .sel = 0x08, .limit = 0xffffffff, .attr = 0xc9b };
	s.seg[SEG_TR] = (struct segment){ .limit = 0x67, .attr = 0x8b };
	if (cpu_ops->set_state(v, &s))
		panic("the service domain's start state was refused");
	v->regs = (struct regs){ .rip = entry, .rflags = 2 };
	v->regs.gpr[RBX] = start_info;
}

/* ---- devices ---- */

static void build_devices(struct domain *d)
{
	int rc = vioapic_create(d);

	if (!rc)
		rc = vpci_create(d);
	if (rc)
		refuse("no memory to build the service domain's devices");
	list_for_each(l, &pci_devs) {
		struct pci_dev *dev = list_entry(l, struct pci_dev, link);

		dev->owner = d;
		rc = iommu_enabled ? iommu_assign(dev, d) : 0;
		if (rc)
			printk(LOG_WARN "device %04x:%02x:%02x.%x stays blocked (%d)", dev->seg, dev->bdf >> 8,
			       dev->bdf >> 3 & 31, dev->bdf & 7, rc);
	}
}

void dom0_build(void)
{
	struct kernel k = { 0 };
	const struct boot_module *initrd = boot_info.nr_modules > 1 ? &boot_info.module[1] : NULL;
	uint64_t initrd_size = initrd ? initrd->size : 0;
	unsigned nr_vcpus = opt.dom0_max_vcpus ? opt.dom0_max_vcpus : nr_cpus;
	paddr_t initrd_at, start_at, acpi_at, rsdp;
	struct domain *d;
	int err;

	if (!boot_info.nr_modules)
		refuse("the boot loader gave no modules: the first must be the service domain's vmlinux");
	d = domain_create(0, 0, MIN(nr_vcpus, MAX_VCPUS), ~0u, 64, 1024, &err);
	if (!d)
		refuse("no memory for the service domain (%d)", err);
	dom0 = d;
	d->privileged = d->is_dom0 = true;
	d->p2m.max_tables = UINT32_MAX;
	if (iommu_enabled && (err = iommu_domain_init(d)))
		refuse("no memory for the service domain's I/O page tables (%d)", err);
	for (unsigned i = 0; i < d->max_vcpus; i++)
		if (!domain_add_vcpu(d, i, &err))
			refuse("no memory for the service domain's vCPU %u (%d)", i, err);
	build_memory(d);
	load_kernel(d, &boot_info.module[0], &k);
	initrd_at = find_room(d, ALIGN_UP(k.end, 2 * MiB), initrd_size + sizeof(struct start_page) + ACPI_BUILD_SIZE);
	if (initrd)
		load(d, initrd_at, phys_to_virt(initrd->start), initrd_size, "the initramfs");
	start_at = ALIGN_UP(initrd_at + initrd_size, PAGE_SIZE);
	acpi_at = start_at + 2 * PAGE_SIZE;
	rsdp = dom0_acpi_build(d, acpi_at);
	e820_retype(d, acpi_at, ACPI_BUILD_SIZE, E820_ACPI);
	build_devices(d);
	write_start_info(d, start_at, initrd_at, initrd_size, boot_info.module[0].cmdline, rsdp);
	start_state(d->vcpu[0], k.entry, start_at);
	p2m_flush(d);
	printk("service domain: %lu MiB, %u vCPU%s, kernel entry %lx", d->tot_pages * PAGE_SIZE / MiB, d->max_vcpus,
	       d->max_vcpus == 1 ? "" : "s", k.entry);
	sched_start(d->vcpu[0], VCPU_DOWN);
}

/* Splits the RAM entry that holds [addr, addr+size) and gives the piece another type. */
void e820_retype(struct domain *d, uint64_t addr, uint64_t size, uint32_t type)
{
	for (unsigned i = 0; i < d->nr_e820; i++) {
		struct e820_entry old = d->e820[i];

		if (old.type != E820_RAM || addr < old.addr || addr + size > old.addr + old.size)
			continue;
		if (d->nr_e820 + 2 > E820_MAX)
			refuse("the firmware's memory map has too many entries for the service domain");
		memmove(&d->e820[i + 3], &d->e820[i + 1], (d->nr_e820 - i - 1) * sizeof(old));
		d->e820[i] = (struct e820_entry){ old.addr, addr - old.addr, E820_RAM };
		d->e820[i + 1] = (struct e820_entry){ addr, size, type };
		d->e820[i + 2] = (struct e820_entry){ addr + size, old.addr + old.size - addr - size, E820_RAM };
		d->nr_e820 += 2;
		return;
	}
}
