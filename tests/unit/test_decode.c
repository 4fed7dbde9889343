// SPDX-License-Identifier: Apache-2.0
/* The instruction decoder: each form it knows, in each mode, and that it reads no byte it was not given. */
#include "shim.h"
#include "cpu_ops.h"
#include "errno.h"
#include "guest.h"

#include <stdlib.h>

static uint8_t at_rip[15];
static unsigned at_rip_len;

static int code_bits(struct vcpu *v)
{
	(void)v;
	return 64;
}

static const struct cpu_ops ops = { .code_bits = code_bits };
const struct cpu_ops *cpu_ops = &ops;

unsigned fetch_insn(struct vcpu *v, uint8_t *buf, unsigned n)
{
	(void)v;
	assert_true(n >= at_rip_len);
	memcpy(buf, at_rip, at_rip_len);
	return at_rip_len;
}

struct sample {
	const char *name;
	int bits;
	uint8_t code[16];
	struct insn want; /* len 0: must be refused */
};

static const struct sample samples[] = {
	/* What readl, writel and their like become. */
	{ "mov [rax],ecx", 64, { 0x89, 0x08 }, { .len = 2, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RCX, .write = true, .addr_size = 8 } },
	{ "mov eax,[rdi+0x10]", 64, { 0x8b, 0x47, 0x10 }, { .len = 3, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .addr_size = 8 } },
	{ "mov r9,[r10+disp32]", 64, { 0x4d, 0x8b, 0x8a, 1, 2, 3, 4 }, { .len = 7, .op = INSN_MOV, .size = 8, .dst_size = 8, .reg = R9, .addr_size = 8 } },
	{ "mov [rip+d],r8w", 64, { 0x66, 0x44, 0x89, 0x05, 0, 0, 0, 0 }, { .len = 8, .op = INSN_MOV, .size = 2, .dst_size = 2, .reg = R8, .write = true, .addr_size = 8 } },
	{ "mov [rax],ah", 64, { 0x88, 0x20 }, { .len = 2, .op = INSN_MOV, .size = 1, .dst_size = 1, .reg = RAX, .high_byte = true, .write = true, .addr_size = 8 } },
	{ "mov [rax],spl", 64, { 0x40, 0x88, 0x20 }, { .len = 3, .op = INSN_MOV, .size = 1, .dst_size = 1, .reg = RSP, .write = true, .addr_size = 8 } },
	{ "mov al,[rsp+rcx*4+8]", 64, { 0x8a, 0x44, 0x8c, 0x08 }, { .len = 4, .op = INSN_MOV, .size = 1, .dst_size = 1, .reg = RAX, .addr_size = 8 } },
	{ "mov eax,[disp32 by SIB]", 64, { 0x8b, 0x04, 0x25, 0x80, 0, 0xe0, 0xfe }, { .len = 7, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .addr_size = 8 } },
	{ "mov dword [rax],-2", 64, { 0xc7, 0x00, 0xfe, 0xff, 0xff, 0xff }, { .len = 6, .op = INSN_MOV, .size = 4, .dst_size = 4, .write = true, .has_imm = true, .imm = -2ull, .addr_size = 8 } },
	{ "mov qword [rax],0x7f..", 64, { 0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0x7f }, { .len = 7, .op = INSN_MOV, .size = 8, .dst_size = 8, .write = true, .has_imm = true, .imm = 0x7fffffff, .addr_size = 8 } },
	{ "mov word [rax],imm16", 64, { 0x66, 0xc7, 0x00, 0x34, 0x12 }, { .len = 5, .op = INSN_MOV, .size = 2, .dst_size = 2, .write = true, .has_imm = true, .imm = 0x1234, .addr_size = 8 } },
	{ "mov byte [rbx+1],0x80", 64, { 0xc6, 0x43, 0x01, 0x80 }, { .len = 4, .op = INSN_MOV, .size = 1, .dst_size = 1, .write = true, .has_imm = true, .imm = -0x80ull, .addr_size = 8 } },
	{ "movabs eax,[moffs64]", 64, { 0xa1, 1, 2, 3, 4, 5, 6, 7, 8 }, { .len = 9, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .addr_size = 8 } },
	{ "mov [moffs32],al", 64, { 0x67, 0xa2, 1, 2, 3, 4 }, { .len = 6, .op = INSN_MOV, .size = 1, .dst_size = 1, .reg = RAX, .write = true, .addr_size = 4 } },
	{ "movzx r8d,byte [rax]", 64, { 0x44, 0x0f, 0xb6, 0x00 }, { .len = 4, .op = INSN_MOV, .size = 1, .dst_size = 4, .reg = R8, .zero_ext = true, .addr_size = 8 } },
	{ "movzx esi,byte [rax]", 64, { 0x0f, 0xb6, 0x30 }, { .len = 3, .op = INSN_MOV, .size = 1, .dst_size = 4, .reg = RSI, .zero_ext = true, .addr_size = 8 } },
	{ "movsx rax,word [rdx]", 64, { 0x48, 0x0f, 0xbf, 0x02 }, { .len = 4, .op = INSN_MOV, .size = 2, .dst_size = 8, .reg = RAX, .sign_ext = true, .addr_size = 8 } },
	{ "movsxd rcx,[rdx]", 64, { 0x48, 0x63, 0x0a }, { .len = 3, .op = INSN_MOV, .size = 4, .dst_size = 8, .reg = RCX, .sign_ext = true, .addr_size = 8 } },
	/* Read-modify-write and tests. */
	{ "lock or [rax],ecx", 64, { 0xf0, 0x09, 0x08 }, { .len = 3, .op = INSN_OR, .size = 4, .dst_size = 4, .reg = RCX, .write = true, .addr_size = 8 } },
	{ "and ecx,[rax]", 64, { 0x23, 0x08 }, { .len = 2, .op = INSN_AND, .size = 4, .dst_size = 4, .reg = RCX, .reg_first = true, .addr_size = 8 } },
	{ "xor byte [rax],1", 64, { 0x80, 0x30, 0x01 }, { .len = 3, .op = INSN_XOR, .size = 1, .dst_size = 1, .write = true, .has_imm = true, .imm = 1, .addr_size = 8 } },
	{ "and qword [rax],-16", 64, { 0x48, 0x83, 0x20, 0xf0 }, { .len = 4, .op = INSN_AND, .size = 8, .dst_size = 8, .write = true, .has_imm = true, .imm = -16ull, .addr_size = 8 } },
	{ "cmp [rax],ecx", 64, { 0x39, 0x08 }, { .len = 2, .op = INSN_CMP, .size = 4, .dst_size = 4, .reg = RCX, .addr_size = 8 } },
	{ "cmp ecx,[rax]", 64, { 0x3b, 0x08 }, { .len = 2, .op = INSN_CMP, .size = 4, .dst_size = 4, .reg = RCX, .reg_first = true, .addr_size = 8 } },
	{ "cmp dword [rax],-1", 64, { 0x83, 0x38, 0xff }, { .len = 3, .op = INSN_CMP, .size = 4, .dst_size = 4, .has_imm = true, .imm = -1ull, .addr_size = 8 } },
	{ "test dword [rax],imm", 64, { 0xf7, 0x00, 0, 0, 1, 0 }, { .len = 6, .op = INSN_TEST, .size = 4, .dst_size = 4, .has_imm = true, .imm = 0x10000, .addr_size = 8 } },
	{ "test [rax],al", 64, { 0x84, 0x00 }, { .len = 2, .op = INSN_TEST, .size = 1, .dst_size = 1, .reg = RAX, .addr_size = 8 } },
	/* Strings. */
	{ "rep stosd", 64, { 0xf3, 0xab }, { .len = 2, .op = INSN_STOS, .size = 4, .dst_size = 4, .write = true, .rep = true, .addr_size = 8, .seg = SEG_DS } },
	{ "movsq gs:", 64, { 0x65, 0x48, 0xa5 }, { .len = 3, .op = INSN_MOVS, .size = 8, .dst_size = 8, .write = true, .addr_size = 8, .seg = SEG_GS } },
	/* Other modes. */
	{ "mov [bx+si+1],eax", 16, { 0x66, 0x89, 0x40, 0x01 }, { .len = 4, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .write = true, .addr_size = 2 } },
	{ "mov ax,[disp16]", 16, { 0x8b, 0x06, 0x34, 0x12 }, { .len = 4, .op = INSN_MOV, .size = 2, .dst_size = 2, .reg = RAX, .addr_size = 2 } },
	{ "mov ax,[moffs16]", 16, { 0xa1, 0x34, 0x12 }, { .len = 3, .op = INSN_MOV, .size = 2, .dst_size = 2, .reg = RAX, .addr_size = 2 } },
	{ "mov ax,[esp]", 16, { 0x67, 0x8b, 0x04, 0x24 }, { .len = 4, .op = INSN_MOV, .size = 2, .dst_size = 2, .reg = RAX, .addr_size = 4 } },
	{ "mov eax,[disp32]", 32, { 0xa1, 1, 2, 3, 4 }, { .len = 5, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .addr_size = 4 } },
	{ "mov [bp],eax", 32, { 0x67, 0x89, 0x46, 0x00 }, { .len = 4, .op = INSN_MOV, .size = 4, .dst_size = 4, .reg = RAX, .write = true, .addr_size = 2 } },
	/* A REX prefix that is not last does not count. */
	{ "rex.w 66 mov", 64, { 0x48, 0x66, 0x89, 0x08 }, { .len = 4, .op = INSN_MOV, .size = 2, .dst_size = 2, .reg = RCX, .write = true, .addr_size = 8 } },
	/* Refused. */
	{ "inc eax (a REX in 64-bit code)", 32, { 0x40 }, { 0 } },
	{ "add [rax],ecx", 64, { 0x01, 0x08 }, { 0 } },
	{ "not [rax]", 64, { 0xf7, 0x10 }, { 0 } },
	{ "lock mov", 64, { 0xf0, 0x89, 0x08 }, { 0 } },
	{ "lock cmp", 64, { 0xf0, 0x39, 0x08 }, { 0 } },
	{ "lock stosb", 64, { 0xf0, 0xaa }, { 0 } },
	{ "movaps", 64, { 0x0f, 0x28, 0x00 }, { 0 } },
	{ "arpl", 32, { 0x63, 0x00 }, { 0 } },
};

static void forms(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];
		const struct insn *w = &s->want;
		struct insn g;
		int rc = insn_decode(s->code, 15, s->bits, &g);

		if (rc != (w->len ? 0 : -EINVAL))
			fail_msg("%s: %d", s->name, rc);
		if (!w->len)
			continue;
		if (g.len != w->len || g.size != w->size || g.dst_size != w->dst_size || g.op != w->op)
			fail_msg("%s: len %u size %u dst %u op %d", s->name, g.len, g.size, g.dst_size, g.op);
		if (!g.has_imm && (g.reg != w->reg || g.high_byte != w->high_byte))
			fail_msg("%s: register %u high %d", s->name, g.reg, g.high_byte);
		if (g.write != w->write || g.has_imm != w->has_imm || g.imm != w->imm || g.rep != w->rep)
			fail_msg("%s: write %d imm %lx rep %d", s->name, g.write, (unsigned long)g.imm, g.rep);
		if (g.zero_ext != w->zero_ext || g.sign_ext != w->sign_ext || g.addr_size != w->addr_size || g.seg != w->seg)
			fail_msg("%s: zx %d sx %d addr %u seg %u", s->name, g.zero_ext, g.sign_ext, g.addr_size, g.seg);
		if (g.op == INSN_CMP && g.reg_first != w->reg_first)
			fail_msg("%s: operand order", s->name);
	}
}

/* One byte too few is always -E2BIG, and no byte behind the end is read (the heap block is exactly as long). */
static void truncated(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(samples); i++)
		for (unsigned n = 0; n <= samples[i].want.len; n++) {
			uint8_t *code = malloc(n ? n : 1);
			struct insn g;

			memcpy(code, samples[i].code, n);
			if (samples[i].want.len)
				assert_int_equal(insn_decode(code, n, samples[i].bits, &g), n < samples[i].want.len ? -E2BIG : 0);
			free(code);
		}
}

/* Register forms touch no memory, but their length is known; 15 bytes are the limit. */
static void limits(void **state)
{
	const uint8_t reg_form[] = { 0x89, 0xc8 };
	uint8_t code[20];
	struct insn g;

	(void)state;
	assert_int_equal(insn_decode(reg_form, 2, 64, &g), -EINVAL);
	assert_int_equal(g.len, 2);
	memset(code, 0x66, sizeof(code));
	assert_int_equal(insn_decode(code, 10, 64, &g), -E2BIG);
	assert_int_equal(insn_decode(code, 20, 64, &g), -EINVAL);
	code[13] = 0x89; /* 13 prefixes, opcode, ModRM: exactly 15 */
	code[14] = 0x08;
	assert_int_equal(insn_decode(code, 20, 64, &g), 0);
	assert_int_equal(g.len, 15);
	code[14] = 0x48; /* with a displacement: 16 */
	assert_int_equal(insn_decode(code, 20, 64, &g), -EINVAL);
}

static const struct {
	enum exit_reason reason;
	unsigned len;
	uint8_t code[8];
} lengths[] = {
	{ EXIT_CPUID, 2, { 0x0f, 0xa2 } }, { EXIT_RDMSR, 2, { 0x0f, 0x32 } }, { EXIT_WRMSR, 2, { 0x0f, 0x30 } },
	{ EXIT_HYPERCALL, 3, { 0x0f, 0x01, 0xd9 } }, { EXIT_HYPERCALL, 3, { 0x0f, 0x01, 0xc1 } },
	{ EXIT_XSETBV, 3, { 0x0f, 0x01, 0xd1 } }, { EXIT_HLT, 1, { 0xf4 } }, { EXIT_PAUSE, 2, { 0xf3, 0x90 } },
	{ EXIT_INVD, 2, { 0x0f, 0x08 } }, { EXIT_INVD, 3, { 0xf3, 0x0f, 0x09 } }, /* WBNOINVD */
	{ EXIT_IO, 1, { 0xec } }, { EXIT_IO, 2, { 0x66, 0xef } }, { EXIT_IO, 2, { 0xe4, 0x61 } }, { EXIT_IO, 3, { 0x66, 0xe7, 0x80 } },
	{ EXIT_IO, 2, { 0xf3, 0x6c } }, { EXIT_IO, 3, { 0xf3, 0x66, 0x6f } }, { EXIT_CPUID, 3, { 0x2e, 0x0f, 0xa2 } },
	{ EXIT_CPUID, 0, { 0x0f, 0x32 } }, { EXIT_HLT, 0, { 0x90 } }, { EXIT_PAUSE, 0, { 0x90 } }, { EXIT_IO, 0, { 0xe3, 0 } },
	{ EXIT_HYPERCALL, 0, { 0x0f, 0x01, 0xd8 } },
};

static void exit_lengths(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		memcpy(at_rip, lengths[i].code, sizeof(lengths[i].code));
		at_rip_len = sizeof(lengths[i].code);
		assert_int_equal(insn_length(NULL, lengths[i].reason), lengths[i].len);
		for (at_rip_len = 0; at_rip_len < lengths[i].len; at_rip_len++)
			assert_int_equal(insn_length(NULL, lengths[i].reason), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(truncated),
		cmocka_unit_test(limits),
		cmocka_unit_test(exit_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
