// SPDX-License-Identifier: Apache-2.0
/* Reboot and power off (ACPI 6.5, 4.8.3 and 7.4.2). Suspend to RAM is sleep.c's. */
#include "asm.h"
#include "boot.h"
#include "cpu_ops.h"
#include "irq.h"
#include "lib.h"

#define SLP_TYP_SHIFT 10
#define SLP_TYP_MASK  7u
#define SLP_EN        BIT(13)

static void delay_ms(unsigned ms)
{
	for (unsigned i = 0; i < ms * 1000; i++)
		inb(0x80); /* about 1 us on any PC */
}

static void quiesce(void)
{
	cli();
	lapic_stop_others();
	if (cpu_ops)
		cpu_ops->cpu_down(); /* INIT, which a reset may be made of, is blocked in VMX operation */
}

static void __noreturn halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void machine_reboot(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __packed no_idt;
	uint8_t cf9;

	printk("restarting the machine");
	quiesce();
	if (acpi.reset_port) {
		outb((uint16_t)acpi.reset_port, acpi.reset_value);
		delay_ms(50);
	}
	cf9 = inb(0xcf9) & (uint8_t)~6u;
	outb(0xcf9, cf9 | 2); /* full reset, then the edge that starts it */
	outb(0xcf9, cf9 | 6);
	delay_ms(50);
	outb(0x64, 0xfe); /* keyboard controller: pulse the reset line */
	delay_ms(50);
	__asm__ volatile("lidt %0; int3" ::"m"(no_idt));
	halt();
}

/* One integer of an AML package: ZeroOp, OneOp, BytePrefix, WordPrefix (20.2.3). NULL when it is something else. */
static const uint8_t *aml_integer(const uint8_t *p, const uint8_t *end, uint8_t *value)
{
	if (p < end && *p <= 1) {
		*value = *p;
		return p + 1;
	}
	if (end - p >= 2 && *p == 0x0a) {
		*value = p[1];
		return p + 2;
	}
	if (end - p >= 3 && *p == 0x0b) {
		*value = p[1];
		return p + 3;
	}
	return NULL;
}

/* Finds Name (\_S5, Package () { a, b, ... }) in the bytes of an AML table, or \_S3: no machine is known to compute it. */
static bool find_package(const struct acpi_table *t, const char *name, uint8_t typ[2])
{
	const uint8_t *p = (const uint8_t *)(t + 1), *end = (const uint8_t *)t + t->length;

	for (; end - p > 8; p++) {
		const uint8_t *q = p + 5;

		if (p[0] != 0x08 && p[0] != '\\') /* NameOp, or the root prefix after it */
			continue;
		if (memcmp(p + 1, name, 4) || *q++ != 0x12) /* PackageOp */
			continue;
		q += 1 + (*q >> 6) + 1; /* PkgLength (20.2.4), NumElements */
		if (q < end && (q = aml_integer(q, end, &typ[0])) && aml_integer(q, end, &typ[1]))
			return true;
	}
	return false;
}

static bool sleep_types(const char *name, uint8_t typ[2])
{
	const struct acpi_table *t = acpi_find("DSDT", 0);

	if (t && find_package(t, name, typ))
		return true;
	for (unsigned n = 0; (t = acpi_find("SSDT", n)); n++)
		if (find_package(t, name, typ))
			return true;
	return false;
}

static void write_sleep(uint16_t port, uint8_t typ)
{
	unsigned val;

	if (!port)
		return;
	val = inw(port) & ~(SLP_TYP_MASK << SLP_TYP_SHIFT | (unsigned)SLP_EN);
	val |= (typ & SLP_TYP_MASK) << SLP_TYP_SHIFT;
	outw(port, (uint16_t)val);
	outw(port, (uint16_t)(val | SLP_EN));
}

void acpi_sleep(const uint8_t typ[2])
{
	write_sleep(acpi.pm1a_cnt, typ[0]);
	write_sleep(acpi.pm1b_cnt, typ[1]);
	delay_ms(2000);
}

void machine_poweroff(void)
{
	uint8_t typ[2];

	printk("switching the machine off");
	quiesce();
	if (acpi.pm1a_cnt && sleep_types("_S5_", typ))
		acpi_sleep(typ);
	printk(LOG_ERR "the machine cannot switch itself off: it is safe to do it by hand now");
	halt();
}

/* The whole register as the write leaves it goes to the hardware, unless it starts a sleep state. */
void acpi_pm1_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t val)
{
	uint16_t base = acpi.pm1b_cnt && port >= acpi.pm1b_cnt && port < acpi.pm1b_cnt + 4 ? acpi.pm1b_cnt : acpi.pm1a_cnt;
	unsigned shift = (port - base) * 8u, typ_now;
	const char *why = "neither S3 nor S5";
	uint8_t typ[2];

	if (!base || port < base || shift >= 32)
		return;
	if (!(val << shift & SLP_EN)) {
		if (size == 1)
			outb(port, (uint8_t)val);
		else if (size == 2)
			outw(port, (uint16_t)val);
		else
			outl(port, val);
		return;
	}
	typ_now = val << shift >> SLP_TYP_SHIFT & SLP_TYP_MASK;
	if (sleep_types("_S5_", typ) && typ_now == typ[base != acpi.pm1a_cnt])
		machine_poweroff();
	if (sleep_types("_S3_", typ) && typ_now == typ[base != acpi.pm1a_cnt])
		why = sleep_request(v, typ);
	if (why)
		printk_guest("d%u asked for sleep type %u, ignored: %s", v->domain->id, typ_now, why);
}
