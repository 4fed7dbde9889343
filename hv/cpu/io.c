// SPDX-License-Identifier: Apache-2.0
/* Port I/O exits. The service domain drives the machine's ports, but for a few; other domains have none. */
#include "asm.h"
#include "boot.h"
#include "cpu_ops.h"
#include "domain.h"
#include "guest.h"
#include "lib.h"
#include "mmio.h"
#include "pci.h"

#include <xen/sched.h>

#define STRING_BATCH 256 /* rounds of a repeated string instruction in one exit */

static uint32_t all_ones(unsigned size)
{
	return size == 4 ? ~0u : (1u << (8 * size)) - 1;
}

static void port_hw(uint16_t port, unsigned size, bool in, uint32_t *val)
{
	if (in)
		*val = size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
	else if (size == 1)
		outb(port, (uint8_t)*val);
	else if (size == 2)
		outw(port, (uint16_t)*val);
	else
		outl(port, *val);
}

static bool touches(uint16_t port, unsigned size, unsigned first, unsigned n)
{
	return port < first + n && port + size > first;
}

/* Ports of the legacy chips that a PVH domain has not got, and the core's own console. */
static bool hidden(uint16_t port, unsigned size, bool in)
{
	if (touches(port, size, 0x20, 2) || touches(port, size, 0xa0, 2) || touches(port, size, 0x4d0, 2))
		return true; /* PICs and their edge/level registers: all interrupts are the I/O APIC's */
	if (touches(port, size, 0x40, 4) || (!in && touches(port, size, 0x61, 1)))
		return true; /* PIT and its gate */
	return opt.console_com1 && touches(port, size, 0x3f8, 8);
}

/* Writes that reset the machine: the core has to do it, with its CPUs and devices in order. */
static bool is_reset(uint16_t port, unsigned size, uint32_t val)
{
	if (size != 1)
		return false;
	return (port == 0xcf9 && val & 4) || (port == 0x64 && val == 0xfe) || (port == 0x92 && val & 1) ||
	       (acpi.reset_port && port == acpi.reset_port && val == acpi.reset_value);
}

static bool is_pm1_control(uint16_t port, unsigned size)
{
	return (acpi.pm1a_cnt && touches(port, size, acpi.pm1a_cnt, 2)) ||
	       (acpi.pm1b_cnt && touches(port, size, acpi.pm1b_cnt, 2));
}

static void port_access(struct vcpu *v, uint16_t port, unsigned size, bool in, uint32_t *val)
{
	struct domain *d = v->domain;

	if (in)
		*val = all_ones(size);
	if (!d->is_dom0 || hidden(port, size, in)) {
		/* A domain may have a virtual PCI bus all the same. */
		if (d->is_dom0 || !d->vpci || !vpci_port(v, port, size, in, val))
			return;
	} else if (!in && is_reset(port, size, *val)) {
		domain_shutdown(d, SHUTDOWN_reboot);
	} else if (!in && is_pm1_control(port, size)) {
		acpi_pm1_write(v, port, size, *val);
	} else if (!vpci_port(v, port, size, in, val)) {
		port_hw(port, size, in, val);
	}
}

/* INS and OUTS, up to STRING_BATCH rounds. True when the instruction is complete. */
static bool string_io(struct vcpu *v, const struct exit *e, unsigned seg, unsigned addr_size)
{
	unsigned reg = e->io.in ? RDI : RSI, size = e->io.size;
	uint64_t mask = addr_size == 8 ? ~0ull : BIT(8 * addr_size) - 1;

	for (unsigned n = 0; n < STRING_BATCH; n++) {
		gva_t va = linear_address(v, e->io.in ? SEG_ES : seg, reg, addr_size);
		uint32_t code = 0, val = 0;
		gpa_t gpa;

		if (e->io.rep && !(v->regs.gpr[RCX] & mask))
			return true;
		if (guest_walk(v, va, e->io.in, false, &gpa, &code)) {
			inject_page_fault(v, code, va);
			return false;
		}
		if (!e->io.in && copy_from_guest(&val, va, size))
			val = all_ones(size);
		port_access(v, e->io.port, size, e->io.in, &val);
		if (e->io.in && copy_to_guest(va, &val, size))
			printk_guest("d%uv%u: string input at rip %lx to no memory", v->domain->id, v->id, v->regs.rip);
		string_advance(v, reg, size, addr_size);
		if (!e->io.rep)
			return true;
		set_gpr(v, RCX, v->regs.gpr[RCX] - 1, addr_size);
	}
	return false;
}

/* The exit does not tell segment and address size: their prefixes stand before the opcode. */
static bool string_exit(struct vcpu *v, const struct exit *e)
{
	static const struct { uint8_t byte, seg; } segs[] = {
		{ 0x26, SEG_ES }, { 0x2e, SEG_CS }, { 0x36, SEG_SS }, { 0x3e, SEG_DS }, { 0x64, SEG_FS }, { 0x65, SEG_GS },
	};
	int bits = cpu_ops->code_bits(v);
	unsigned seg = SEG_DS, n;
	bool other = false;
	uint8_t code[15];

	n = fetch_insn(v, code, sizeof(code));
	for (unsigned i = 0; i < n && (code[i] & 0xfc) != 0x6c; i++) {
		other |= code[i] == 0x67;
		for (unsigned s = 0; s < ARRAY_SIZE(segs); s++)
			if (code[i] == segs[s].byte)
				seg = segs[s].seg;
	}
	if (bits == 64)
		return string_io(v, e, seg, other ? 4 : 8);
	return string_io(v, e, seg, (bits == 16) != other ? 2 : 4);
}

void io_exit(struct vcpu *v, struct exit *e)
{
	unsigned len = e->insn_len ? e->insn_len : insn_length(v, EXIT_IO);
	uint32_t val = (uint32_t)v->regs.gpr[RAX] & all_ones(e->io.size);

	if (!len) {
		inject_exception(v, EXC_UD, -1);
		return;
	}
	if (e->io.string) {
		if (!string_exit(v, e))
			return;
	} else {
		port_access(v, e->io.port, e->io.size, e->io.in, &val);
		if (e->io.in)
			set_gpr(v, RAX, val, e->io.size);
	}
	vcpu_skip(v, len);
}
