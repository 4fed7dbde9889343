// SPDX-License-Identifier: Apache-2.0
/* ACPI tables: a good set, then each table broken in every way that firmware, or who wrote it, may think of. */
#include "shim.h"
#include "../../hv/boot/acpi.c"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#define PAGES 512
#define RSDP  0xf0010
#define XSDT  0x10000
#define RSDT  0x11000
#define TABLE(n) (0x20000 + (n) * 0x2000ul)

static unsigned nr; /* tables in the roots */

/* Whole pages are mapped; those that were not asked for cannot be read. */
void *ioremap_cached(paddr_t pa, size_t size)
{
	paddr_t start = pa & PAGE_MASK, end = ALIGN_UP(pa + size, PAGE_SIZE);

	if (pa + size < pa || end > PAGES * PAGE_SIZE)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(shim_ram + start, end - start);
	return shim_ram + pa;
}

void *ioremap(paddr_t pa, size_t size)
{
	return ioremap_cached(pa, size);
}

static void fix_sum(void *p, size_t n, unsigned at)
{
	uint8_t *b = p, sum = 0;

	b[at] = 0;
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + b[i]);
	b[at] = (uint8_t)-sum;
}

/* A table that ends where its page does, so that one byte more is not there. */
static void *put(const char *sig, paddr_t pa, const void *body, uint32_t n)
{
	struct acpi_table *t = (void *)(shim_ram + pa);

	*t = (struct acpi_table){ .length = (uint32_t)sizeof(*t) + n };
	memcpy(t->sig, sig, 4);
	memcpy(t + 1, body, n);
	fix_sum(t, t->length, 9);
	return t;
}

static paddr_t add(const char *sig, const void *body, uint32_t n)
{
	paddr_t pa = TABLE(nr + 1) - ALIGN_UP(sizeof(struct acpi_table) + n, 8);

	put(sig, pa, body, n);
	((uint64_t *)(shim_ram + XSDT - 0x800))[nr] = pa;
	((uint32_t *)(shim_ram + XSDT - 0x400))[nr] = (uint32_t)pa;
	nr++;
	return pa;
}

static void roots(uint8_t revision)
{
	struct acpi_rsdp *r = (void *)(shim_ram + RSDP);

	put("XSDT", XSDT, shim_ram + XSDT - 0x800, 8 * nr);
	put("RSDT", RSDT, shim_ram + XSDT - 0x400, 4 * nr);
	*r = (struct acpi_rsdp){ .sig = "RSD PTR ", .revision = revision, .rsdt = RSDT, .length = 36, .xsdt = XSDT };
	fix_sum(r, 20, 8);
	fix_sum(r, 36, 32);
}

static const uint8_t madt[] = {
	0, 0, 0xe0, 0xfe, 1, 0, 0, 0,                       /* local APICs, flags */
	0, 8, 0, 0, 1, 0, 0, 0,                             /* CPU 0 */
	0, 8, 1, 1, 1, 0, 0, 0,                             /* CPU 1 */
	0, 8, 2, 2, 0, 0, 0, 0,                             /* CPU 2: off */
	0, 8, 3, 0xff, 1, 0, 0, 0,                          /* no id */
	9, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,    /* CPU 1 again */
	9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0,    /* CPU 256 */
	1, 12, 5, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,          /* I/O APIC */
	2, 10, 0, 9, 9, 0, 0, 0, 13, 0,                     /* IRQ 9: level, low */
	4, 6, 0xff, 0, 0, 1,                                /* NMI */
};

static void good_tables(void)
{
	struct fadt f = { .sci = 9, .pm_tmr = 0x608, .pm1a_cnt = 0x604, .flags = FADT_RESET_REG_SUP, .reset_value = 15,
			  .reset = { GAS_IO, 8, 0, 1, 0xcf9 }, .dsdt = TABLE(40) };
	struct { uint64_t pad; struct mcfg_entry e[2]; } __packed mcfg = { 0, { { 0xb0000000, 0, 0, 255, 0 }, { 0, 1, 0, 255, 0 } } };
	struct { uint32_t id; struct gas g; uint32_t more; } __packed hpet = { 0, { GAS_MEMORY, 64, 0, 0, 0xfed00000 }, 0 };

	put("DSDT", TABLE(40), "\x10", 1);
	add("FACP", (char *)&f + sizeof(f.h), sizeof(f) - sizeof(f.h));
	add("APIC", madt, sizeof(madt));
	add("MCFG", &mcfg, sizeof(mcfg));
	add("HPET", &hpet, sizeof(hpet));
	add("SSDT", "one", 3);
	add("SSDT", "two", 3);
}

static int setup(void **state)
{
	(void)state;
	if (shim_ram)
		ASAN_UNPOISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
	shim_memory(PAGES, 0);
	memset(shim_ram, 0, PAGES * PAGE_SIZE);
	memset(&boot_info, 0, sizeof(boot_info));
	nr = 0;
	return 0;
}

/* As at boot: nothing is mapped yet. */
static void init(void)
{
	ASAN_POISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
	memset(&acpi, 0, sizeof(acpi));
	memset(tables, 0, sizeof(tables));
	memset(&dsdt, 0, sizeof(dsdt));
	nr_tables = 0;
	acpi_init();
}

/* init(), which may refuse. True: it went through. */
static bool survives(void)
{
	if (setjmp(global_expect_assert_env)) {
		global_expecting_assert = 0;
		ASAN_UNPOISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
		return false;
	}
	global_expecting_assert = 1;
	init();
	global_expecting_assert = 0;
	ASAN_UNPOISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
	return true;
}

static void check_good(void)
{
	assert_int_equal(acpi.sci, 9);
	assert_int_equal(acpi.pm_timer_port, 0x608);
	assert_int_equal(acpi.pm1a_cnt, 0x604);
	assert_int_equal(acpi.reset_port, 0xcf9);
	assert_int_equal(acpi.hpet, 0xfed00000);
	assert_int_equal(acpi.nr_cpus, 3);
	assert_int_equal(acpi.apic_ids[2], 256);
	assert_int_equal(acpi.nr_ioapics, 1);
	assert_int_equal(acpi.ioapic[0].base, 0xfec00000);
	assert_int_equal(acpi.nr_overrides, 1);
	assert_int_equal(acpi.override[0].flags, 13);
	assert_int_equal(acpi.nr_ecam, 1);
	assert_ptr_equal(acpi_find("DSDT", 0), shim_ram + TABLE(40));
	assert_null(acpi_find("DSDT", 1));
	assert_memory_equal(acpi_find("SSDT", 1) + 1, "two", 3);
	assert_null(acpi_find("SSDT", 2));
}

static void good(void **state)
{
	(void)state;
	good_tables();
	roots(2);
	init(); /* found in the BIOS area */
	check_good();
	memcpy(boot_info.rsdp_copy, shim_ram + RSDP, 36);
	memset(shim_ram + RSDP, 0, 36);
	init();
	check_good();
	memset(shim_ram + XSDT, 0, 64); /* the RSDT serves when the XSDT is broken */
	init();
	check_good();
	ASAN_UNPOISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
}

static void refusals(void **state)
{
	(void)state;
	assert_false(survives());
	assert_non_null(strstr(shim_said, "no ACPI tables"));
	roots(2);
	assert_false(survives());
	assert_non_null(strstr(shim_said, "no MADT"));
	add("APIC", madt, 8);
	roots(0);
	assert_false(survives());
	assert_non_null(strstr(shim_said, "0 CPUs and 0 I/O APICs"));
	shim_ram[RSDT]++;
	assert_false(survives());
	assert_non_null(strstr(shim_said, "root table is broken"));
}

/* Every length that a table may claim, short and long, with a right checksum. */
static void lengths(void **state)
{
	(void)state;
	good_tables();
	roots(2);
	for (unsigned i = 0; i < nr; i++) {
		struct acpi_table *t = (void *)(shim_ram + ((uint64_t *)(shim_ram + XSDT - 0x800))[i]);
		uint32_t was = t->length;

		for (uint32_t n = 0; n < 600; n++) {
			t->length = n;
			fix_sum(t, MAX(n, 10u), 9);
			survives();
		}
		t->length = was;
		fix_sum(t, was, 9);
	}
	init();
	check_good();
	ASAN_UNPOISON_MEMORY_REGION(shim_ram, PAGES * PAGE_SIZE);
}

/* Tables that end early, with nothing behind them. */
static void short_tables(void **state)
{
	static const char body[300] = { 0 };
	static const char sigs[][5] = { "FACP", "APIC", "MCFG", "HPET" };

	for (unsigned i = 0; i < ARRAY_SIZE(sigs); i++)
		for (uint32_t n = 0; n < sizeof(body); n += n < 80 ? 1 : 4) {
			setup(state);
			put("DSDT", TABLE(40), "\x10", 1);
			nr = 1 + n % 2; /* the first entry of the root is 0 */
			add(sigs[i], body, n);
			add("APIC", madt, sizeof(madt));
			roots(2);
			survives();
		}
}

/* Too many of everything. */
static void too_many(void **state)
{
	static uint8_t big[8 + 300 * 16 + 40 * 22];
	struct { uint64_t pad; struct mcfg_entry e[20]; } __packed mcfg;
	uint8_t *p = big + 8;

	(void)state;
	for (unsigned i = 0; i < 300; i++, p += 16)
		*(struct madt_entry *)p = (struct madt_entry){ 9, 16, .x2apic = { .id = i, .flags = 1 } };
	for (unsigned i = 0; i < 40; i++, p += 22) {
		p[0] = MADT_IOAPIC, p[1] = 12, p[2] = (uint8_t)i;
		p[12] = MADT_OVERRIDE, p[13] = 10, p[15] = (uint8_t)i;
	}
	for (unsigned i = 0; i < 20; i++)
		mcfg.e[i] = (struct mcfg_entry){ 0xb0000000 + i, (uint16_t)i, 0, 1, 0 };
	nr = 10; /* leave room below the first one's page */
	add("APIC", big, sizeof(big));
	add("MCFG", &mcfg, sizeof(mcfg));
	for (unsigned i = 0; i < 10; i++) /* the same table ten times, then many */
		((uint64_t *)(shim_ram + XSDT - 0x800))[i] = ((uint64_t *)(shim_ram + XSDT - 0x800))[10];
	for (; nr < 100; nr++)
		((uint64_t *)(shim_ram + XSDT - 0x800))[nr] = ((uint64_t *)(shim_ram + XSDT - 0x800))[nr % 11];
	roots(2);
	assert_true(survives());
	assert_int_equal(nr_tables, MAX_TABLES);
	assert_int_equal(acpi.nr_cpus, ARRAY_SIZE(acpi.apic_ids));
	assert_int_equal(acpi.nr_ioapics, ARRAY_SIZE(acpi.ioapic));
	assert_int_equal(acpi.nr_overrides, ARRAY_SIZE(acpi.override));
	assert_int_equal(acpi.nr_ecam, ARRAY_SIZE(acpi.ecam));
}

/* Random bytes in the tables' bodies, checksums mended. */
static void scrambled(void **state)
{
	unsigned fine = 0;

	(void)state;
	good_tables();
	roots(2);
	for (unsigned round = 0; round < 1500; round++) {
		static char saved[TABLE(8)];

		memcpy(saved, shim_ram, sizeof(saved));
		for (unsigned n = 1 + shim_random(8); n--;) {
			struct acpi_table *t = (void *)(shim_ram + ((uint64_t *)(shim_ram + XSDT - 0x800))[shim_random(nr)]);

			((uint8_t *)(t + 1))[shim_random(t->length - (unsigned)sizeof(*t))] = (uint8_t)shim_random(256);
			fix_sum(t, t->length, 9);
		}
		fine += survives();
		assert_true(acpi.nr_cpus <= 64 && acpi.nr_ioapics <= 8 && acpi.nr_overrides <= 16 && acpi.nr_ecam <= 8);
		memcpy(shim_ram, saved, sizeof(saved));
	}
	assert_true(fine > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good, setup),	 cmocka_unit_test_setup(refusals, setup),
		cmocka_unit_test_setup(lengths, setup),	 cmocka_unit_test_setup(too_many, setup),
		cmocka_unit_test_setup(short_tables, setup), cmocka_unit_test_setup(scrambled, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
