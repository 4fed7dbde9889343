// SPDX-License-Identifier: Apache-2.0
/* Any bytes, any mode. The first byte chooses mode and exit reason. */
#include "../../hv/cpu/decode.c"
#include "fuzz.h"

const struct cpu_ops *cpu_ops;

unsigned fetch_insn(struct vcpu *v, uint8_t *buf, unsigned n)
{
	(void)v, (void)buf;
	return n ? 0 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int modes[] = { 16, 32, 64, 64 };
	struct insn a, b;
	unsigned n, len;
	uint8_t *code;
	int bits;

	if (size < 2)
		return 0;
	bits = modes[data[0] & 3];
	n = (unsigned)MIN(size - 1, 64ul);
	code = malloc(n); /* exactly as long as said, so that one byte more is found */
	__builtin_memcpy(code, data + 1, n);
	if (!insn_decode(code, n, bits, &a)) {
		check(a.len && a.len <= 15 && a.len <= n && a.reg < 16 && a.op != INSN_OTHER);
		check(__builtin_popcount(a.size) == 1 && a.size <= 8 && a.dst_size >= a.size && a.dst_size <= 8);
		check(a.seg < SEG_COUNT && a.addr_size >= 2 && a.addr_size <= 8);
		check(!a.high_byte || (a.size == 1 && a.reg < 4));
		/* It depends on its own bytes only. */
		check(!insn_decode(code, a.len, bits, &b) && b.len == a.len && b.op == a.op && b.imm == a.imm);
		check(insn_decode(code, a.len - 1u, bits, &b));
	}
	len = insn_known_length(code, n, bits, (enum exit_reason)((data[0] >> 2) % EXIT_REASONS));
	check(len <= 15 && len <= n);
	free(code);
	return 0;
}
