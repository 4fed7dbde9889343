// SPDX-License-Identifier: Apache-2.0
/* ACPI tables of any content with right checksums; each ends where its page does, and only what was mapped can be read. */
#include "../../hv/boot/acpi.c"
#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#define RAM      (2 * MiB)
#define RSDP     0xf0000
#define ROOT     0x3000
#define TABLE(n) (0x4000 + (n) * 0x2000ul) /* where it ends; nothing in the page behind it */
#define TABLES   24

struct boot_info boot_info;

void *ioremap_cached(paddr_t pa, size_t size)
{
	paddr_t start = pa & PAGE_MASK, end = ALIGN_UP(pa + size, PAGE_SIZE);

	if (pa >= RAM || size > RAM - pa)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(shim_ram + start, end - start);
	return shim_ram + pa;
}

static void fix_sum(void *p, size_t n, unsigned at)
{
	uint8_t *b = p, sum = 0;

	b[at] = 0;
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + b[i]);
	b[at] = (uint8_t)-sum;
}

static void put_table(paddr_t end, const char *sig, struct input *in, uint32_t claim, uint32_t n, paddr_t *pa)
{
	struct acpi_table *t;

	*pa = end - sizeof(*t) - n;
	t = phys_to_virt(*pa);
	*t = (struct acpi_table){ .length = claim };
	memcpy(t->sig, sig, 4);
	for (uint32_t i = 0; i < n; i++)
		((uint8_t *)(t + 1))[i] = (uint8_t)take(in, 1);
	if (claim >= sizeof(*t) && *pa + claim <= RAM)
		fix_sum(t, claim, 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char sigs[][5] = { "FACP", "APIC", "MCFG", "HPET", "SSDT", "DMAR" };
	struct input in = { data, data + size };
	struct acpi_rsdp *r;
	struct acpi_table *root;
	unsigned nr = 0;

	fuzz_memory(RAM);
	memset(&acpi, 0, sizeof(acpi));
	memset(tables, 0, sizeof(tables));
	memset(&dsdt, 0, sizeof(dsdt));
	nr_tables = 0;
	root = phys_to_virt(ROOT);
	while (in.p < in.end && nr < TABLES) {
		unsigned kind = (unsigned)take(&in, 1) % 8;
		uint32_t n = (uint32_t)take(&in, 2) % 700, lie = (uint32_t)take(&in, 1);
		paddr_t pa;

		put_table(TABLE(nr + 1), sigs[kind % ARRAY_SIZE(sigs)], &in,
			  (uint32_t)sizeof(*root) + n + (lie < 240 ? 0 : lie < 248 ? lie - 244 : lie << 20), n & ~3u, &pa);
		memcpy((char *)(root + 1) + 8 * nr++, &pa, 8);
	}
	memcpy(root->sig, "XSDT", 4);
	root->length = (uint32_t)sizeof(*root) + 8 * nr;
	fix_sum(root, root->length, 9);
	r = phys_to_virt(RSDP);
	*r = (struct acpi_rsdp){ .sig = "RSD PTR ", .revision = 2, .length = 36, .xsdt = ROOT };
	fix_sum(r, 20, 8);
	fix_sum(r, 36, 32);
	ASAN_POISON_MEMORY_REGION(shim_ram, RAM);
	if (!setjmp(fuzz_refused)) {
		acpi_init();
		check(acpi.nr_cpus && acpi.nr_cpus <= ARRAY_SIZE(acpi.apic_ids));
		check(acpi.nr_ioapics && acpi.nr_ioapics <= ARRAY_SIZE(acpi.ioapic));
		check(acpi.nr_overrides <= ARRAY_SIZE(acpi.override) && acpi.nr_ecam <= ARRAY_SIZE(acpi.ecam));
		for (unsigned i = 0; i < nr_tables; i++)
			check(tables[i].t->length >= sizeof(*root) && !acpi_sum(tables[i].t, tables[i].t->length));
	}
	ASAN_UNPOISON_MEMORY_REGION(shim_ram, RAM);
	fuzz_memory_clear();
	return 0;
}
