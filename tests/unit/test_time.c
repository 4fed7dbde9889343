// SPDX-License-Identifier: Apache-2.0
/* TSC and nanoseconds for the rates machines have, and the CMOS clock's date. */
#include "shim.h"
#include "time.h"

static uint64_t khz;
static uint8_t cmos[16], cmos_index;

uint64_t calibrate(void)
{
	return khz;
}

void outb(uint16_t port, uint8_t val)
{
	assert_int_equal(port, 0x70);
	cmos_index = val;
}

uint8_t inb(uint16_t port)
{
	assert_int_equal(port, 0x71);
	return cmos[cmos_index];
}

static void set_cmos(uint8_t sec, uint8_t min, uint8_t hour, uint8_t day, uint8_t month, uint8_t year, uint8_t b)
{
	const uint8_t regs[] = { sec, 0, min, 0, hour, 0, 0, day, month, year, 0x20, b };

	memcpy(cmos, regs, sizeof(regs));
}

static void test_scale(void **state)
{
	static const uint64_t rates[] = { 100000, 499999, 500000, 1000000, 1000001, 2000000, 2893437, 3000000, 5800000 };
	static const ns_t times[] = { 0, 1, 2, 999, 1000000007, 1ul << 40, 1ul << 50, 1ul << 59 };

	(void)state;
	set_cmos(0, 0, 0, 1, 1, 0, 6);
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t zero;

		khz = rates[i];
		time_init();
		assert_true(tsc_mul >= 1u << 31);
		zero = ns_to_tsc(0);
		assert_int_equal(tsc_to_ns(zero), 0);
		/* One second, and a month, to a few parts in 2^31. */
		assert_in_range(tsc_to_ns(zero + khz * 1000), 999999990, 1000000010);
		assert_in_range(tsc_to_ns(zero + khz * 2592000000), 2591999000000000, 2592001000000000);
		for (unsigned t = 0; t < ARRAY_SIZE(times); t++) {
			uint64_t tsc = ns_to_tsc(times[t]);

			assert_true(tsc_to_ns(tsc) >= times[t]);
			if (tsc > zero)
				assert_true(tsc_to_ns(tsc - 1) < times[t]);
		}
		assert_true(ns_to_tsc(UINT64_MAX) > ns_to_tsc(1ul << 59));
	}
}

static void expect_wallclock(uint64_t want)
{
	uint64_t sec;
	uint32_t nsec;

	time_init();
	wallclock_get(&sec, &nsec);
	assert_in_range(sec, want - 1, want); /* at system time 0, a moment earlier */
}

static void test_wallclock(void **state)
{
	(void)state;
	khz = 2000000;
	set_cmos(0x56, 0x34, 0x12, 0x29, 0x02, 0x24, 2); /* BCD, 24 hours */
	expect_wallclock(1709210096);
	set_cmos(59, 59, 23, 31, 12, 25, 6);
	expect_wallclock(1767225599);
	set_cmos(0, 0, 0x80 | 12, 1, 3, 25, 4); /* 12 PM is noon */
	expect_wallclock(1740830400);
	set_cmos(0, 0, 12, 1, 1, 0, 4); /* 12 AM is midnight */
	expect_wallclock(946684800);
	set_cmos(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff); /* nonsense must do no harm */
	time_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_scale), cmocka_unit_test(test_wallclock) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
