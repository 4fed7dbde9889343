// SPDX-License-Identifier: Apache-2.0
/* The few instruction forms that drivers use on device registers (SDM 2). The guest wrote these bytes: every one of them is
 * bounds-checked, and nothing but *out is written. No memory operand address is worked out: the exit already gave it. */
#include "cpu_ops.h"
#include "errno.h"
#include "guest.h"
#include "types.h"

#define INSN_MAX 15 /* SDM 2.3.11 */

struct cursor {
	const uint8_t *code;
	unsigned n, pos;
	int bits;
	bool opsize, addrsize, rep, lock;
	uint8_t rex, seg;
};

/* Next byte, or a negative errno. */
static int next(struct cursor *c)
{
	if (c->pos >= INSN_MAX)
		return -EINVAL;
	if (c->pos >= c->n)
		return -E2BIG;
	return c->code[c->pos++];
}

static int skip_bytes(struct cursor *c, unsigned n)
{
	if (c->pos + n > INSN_MAX)
		return -EINVAL;
	if (c->pos + n > c->n)
		return -E2BIG;
	c->pos += n;
	return 0;
}

/* n is 1, 2, 4 or 8; the value is sign-extended. */
static int immediate(struct cursor *c, unsigned n, uint64_t *val)
{
	uint64_t v = 0;
	int rc = skip_bytes(c, n);

	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)c->code[c->pos - n + i] << (8 * i);
	*val = n == 8 ? v : (v ^ BIT(8 * n - 1)) - BIT(8 * n - 1);
	return 0;
}

/* Consumes legacy prefixes and REX; returns the first opcode byte. */
static int prefixes(struct cursor *c)
{
	c->seg = SEG_DS;
	for (;;) {
		int b = next(c);

		if (b < 0)
			return b;
		if (c->bits == 64 && (b & 0xf0) == 0x40) {
			c->rex = (uint8_t)b;
			continue;
		}
		switch (b) {
		case 0x66:
			c->opsize = true;
			break;
		case 0x67:
			c->addrsize = true;
			break;
		case 0xf0:
			c->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			c->rep = true;
			break;
		case 0x26:
			c->seg = SEG_ES;
			break;
		case 0x2e:
			c->seg = SEG_CS;
			break;
		case 0x36:
			c->seg = SEG_SS;
			break;
		case 0x3e:
			c->seg = SEG_DS;
			break;
		case 0x64:
			c->seg = SEG_FS;
			break;
		case 0x65:
			c->seg = SEG_GS;
			break;
		default:
			return b;
		}
		c->rex = 0; /* REX counts only right before the opcode (SDM 2.2.1) */
	}
}

static uint8_t operand_size(const struct cursor *c)
{
	if (c->rex & 8)
		return 8;
	return (c->bits == 16) != c->opsize ? 2 : 4;
}

static uint8_t address_size(const struct cursor *c)
{
	if (c->bits == 64)
		return c->addrsize ? 4 : 8;
	return (c->bits == 16) != c->addrsize ? 2 : 4;
}

/* Bytes of displacement after ModRM (and SIB, which it consumes) for a memory operand (SDM tables 2-1 to 2-3). */
static int displacement(struct cursor *c, unsigned mod, unsigned rm)
{
	if (address_size(c) == 2)
		return mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0;
	if (rm == 4) {
		int sib = next(c);

		if (sib < 0)
			return sib;
		rm = sib & 7; /* base 5 with mod 0: disp32 only, as rm 5 */
	}
	return mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 5) ? 4 : 0;
}

/* ModRM up to the end of the displacement. The reg field, bit 3 from REX.R; *memory tells the form. */
static int modrm(struct cursor *c, bool *memory)
{
	int b = next(c), disp;

	if (b < 0)
		return b;
	*memory = b >> 6 != 3;
	if (*memory) {
		disp = displacement(c, (unsigned)b >> 6, b & 7);
		if (disp > 0)
			disp = skip_bytes(c, (unsigned)disp);
		if (disp < 0)
			return disp;
	}
	return (b >> 3 & 7) | (c->rex & 4) << 1;
}

static void set_reg(const struct cursor *c, struct insn *i, unsigned reg)
{
	i->high_byte = i->size == 1 && !c->rex && reg >= 4;
	i->reg = (uint8_t)(i->high_byte ? reg - 4 : reg);
}

/* op r/m,r; op r,r/m, with or without zero or sign extension. */
static int form_reg(struct cursor *c, struct insn *i)
{
	bool memory = false;
	int reg = modrm(c, &memory);

	if (reg < 0)
		return reg;
	if (i->zero_ext || i->sign_ext)
		i->reg = (uint8_t)reg; /* the byte is in memory, the register is wider */
	else
		set_reg(c, i, (unsigned)reg);
	return memory ? 0 : -ENOENT;
}

/* op r/m,imm: which is in the reg field, its operation in ops[]. */
static int form_imm(struct cursor *c, struct insn *i, const uint8_t *ops, unsigned imm_size)
{
	bool memory = false;
	int ext = modrm(c, &memory), rc;

	if (ext < 0)
		return ext;
	i->op = ops[ext & 7];
	i->write = i->op != INSN_CMP && i->op != INSN_TEST;
	i->has_imm = true;
	if (i->op == INSN_OTHER)
		return -EINVAL;
	rc = immediate(c, imm_size, &i->imm);
	return rc ? rc : memory ? 0 : -ENOENT;
}

/* MOV AL/AX/EAX/RAX with an absolute address. */
static int form_moffs(struct cursor *c, struct insn *i)
{
	i->op = INSN_MOV;
	i->reg = RAX;
	return skip_bytes(c, address_size(c));
}

static int form_string(struct cursor *c, struct insn *i, uint8_t op)
{
	i->op = op;
	i->write = true;
	i->rep = c->rep;
	i->seg = c->seg;
	i->reg = RAX;
	return 0;
}

static int decode_0f(struct cursor *c, struct insn *i)
{
	int b = next(c);

	if (b < 0)
		return b;
	if (b != 0xb6 && b != 0xb7 && b != 0xbe && b != 0xbf)
		return -EINVAL;
	i->op = INSN_MOV;
	i->size = b & 1 ? 2 : 1;
	i->zero_ext = b < 0xb8;
	i->sign_ext = !i->zero_ext;
	return form_reg(c, i);
}

static int decode_opcode(struct cursor *c, struct insn *i, int b)
{
	static const uint8_t group1[8] = { [1] = INSN_OR, [4] = INSN_AND, [6] = INSN_XOR, [7] = INSN_CMP };
	static const uint8_t group3[8] = { [0] = INSN_TEST };
	static const uint8_t group11[8] = { [0] = INSN_MOV };
	unsigned imm_size;

	i->dst_size = operand_size(c);
	i->size = b & 1 ? i->dst_size : 1;
	imm_size = MIN(i->size, 4);
	switch (b) {
	case 0x08 ... 0x0b:
	case 0x20 ... 0x23:
	case 0x30 ... 0x33:
	case 0x38 ... 0x3b:
		i->op = group1[b >> 3];
		i->reg_first = b & 2;
		i->write = !i->reg_first && i->op != INSN_CMP;
		break;
	case 0x84:
	case 0x85:
		i->op = INSN_TEST;
		break;
	case 0x88 ... 0x8b:
		i->op = INSN_MOV;
		i->write = !(b & 2);
		break;
	case 0x63: /* MOVSXD; without REX.W a plain load */
		if (c->bits != 64)
			return -EINVAL;
		i->op = INSN_MOV;
		i->size = MIN(i->dst_size, 4);
		i->sign_ext = true;
		return form_reg(c, i);
	case 0x80:
	case 0x81:
		return form_imm(c, i, group1, imm_size);
	case 0x83:
		return form_imm(c, i, group1, 1);
	case 0xc6:
	case 0xc7:
		return form_imm(c, i, group11, imm_size);
	case 0xf6:
	case 0xf7:
		return form_imm(c, i, group3, imm_size);
	case 0xa0 ... 0xa3:
		i->write = b & 2;
		return form_moffs(c, i);
	case 0xa4:
	case 0xa5:
		return form_string(c, i, INSN_MOVS);
	case 0xaa:
	case 0xab:
		return form_string(c, i, INSN_STOS);
	case 0x0f:
		return decode_0f(c, i);
	default:
		return -EINVAL;
	}
	return form_reg(c, i);
}

int insn_decode(const uint8_t *code, unsigned n, int bits, struct insn *out)
{
	struct cursor c = { .code = code, .n = n, .bits = bits };
	int b, rc;

	*out = (struct insn){ 0 };
	b = prefixes(&c);
	if (b < 0)
		return b;
	out->addr_size = address_size(&c);
	rc = decode_opcode(&c, out, b);
	if (!(out->zero_ext || out->sign_ext))
		out->dst_size = out->size;
	if (!rc || rc == -ENOENT)
		out->len = (uint8_t)c.pos;
	/* LOCK wants a read-modify-write memory form, else the CPU itself raises #UD. */
	if (!rc && c.lock && (!out->write || out->op == INSN_MOV || out->op >= INSN_STOS))
		return -EINVAL;
	return rc == -ENOENT ? -EINVAL : rc;
}

/* ---- lengths ---- */

/* Bytes after the first opcode byte b, when the instruction is one that exits for r; -1 when it is not. */
static int tail_length(const struct cursor *c, int b, enum exit_reason r)
{
	const uint8_t *p = c->code + c->pos;
	unsigned left = c->n - c->pos;

	switch (r) {
	case EXIT_HLT:
		return b == 0xf4 ? 0 : -1;
	case EXIT_PAUSE:
		return b == 0x90 && c->rep ? 0 : -1;
	case EXIT_IO:
		if ((b & ~7) == 0xe0 && b & 4)
			return left ? 1 : -1;
		return (b >= 0xec && b <= 0xef) || (b >= 0x6c && b <= 0x6f) ? 0 : -1;
	default:
		break;
	}
	if (b != 0x0f || !left)
		return -1;
	switch (r) {
	case EXIT_CPUID:
		return p[0] == 0xa2 ? 1 : -1;
	case EXIT_RDMSR:
		return p[0] == 0x32 ? 1 : -1;
	case EXIT_WRMSR:
		return p[0] == 0x30 ? 1 : -1;
	case EXIT_INVD:
		return p[0] == 0x08 || p[0] == 0x09 ? 1 : -1;
	case EXIT_HYPERCALL: /* VMCALL and VMMCALL */
		return left >= 2 && p[0] == 0x01 && (p[1] == 0xc1 || p[1] == 0xd9) ? 2 : -1;
	case EXIT_XSETBV:
		return left >= 2 && p[0] == 0x01 && p[1] == 0xd1 ? 2 : -1;
	default:
		return -1;
	}
}

unsigned insn_known_length(const uint8_t *code, unsigned n, int bits, enum exit_reason r)
{
	struct cursor c = { .code = code, .n = n, .bits = bits };
	int b = prefixes(&c), tail;

	if (b < 0)
		return 0;
	tail = tail_length(&c, b, r);
	return tail < 0 || c.pos + (unsigned)tail > INSN_MAX ? 0 : c.pos + (unsigned)tail;
}

unsigned insn_length(struct vcpu *v, enum exit_reason r)
{
	uint8_t code[INSN_MAX];
	unsigned n = fetch_insn(v, code, sizeof(code));

	return insn_known_length(code, n, cpu_ops->code_bits(v), r);
}
