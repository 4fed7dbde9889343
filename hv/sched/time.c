// SPDX-License-Identifier: Apache-2.0
/* Host system time from the TSC, and the wall clock. */
#include "time.h"
#include "asm.h"
#include "lib.h"

#define SECOND 1000000000ul

uint64_t tsc_khz;
uint32_t tsc_mul;
int8_t tsc_shift;
bool tsc_stable;

uint64_t tsc_start;
static ns_t wall_ns; /* since 1970, at system time 0 */
static ns_t slept_at; /* when the machine went to sleep last */
static uint64_t slept_wall; /* the CMOS clock then */

uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

ns_t tsc_to_ns(uint64_t tsc)
{
	tsc -= tsc_start;
	tsc = tsc_shift < 0 ? tsc >> -tsc_shift : tsc << tsc_shift;
	return (ns_t)((unsigned __int128)tsc * tsc_mul >> 32);
}

/* The first TSC value for which tsc_to_ns gives at least t: dividing by the same factor keeps the two in step for ever. */
uint64_t ns_to_tsc(ns_t t)
{
	uint64_t q, rem;

	t = MIN(t, BIT(60)); /* 36 years: nothing below overflows */
	__asm__("divq %4" : "=a"(q), "=d"(rem) : "a"(t << 32), "d"(t >> 32), "r"((uint64_t)tsc_mul) : "cc");
	q += !!rem;
	q = tsc_shift < 0 ? q << -tsc_shift : (q + BIT(tsc_shift) - 1) >> tsc_shift;
	return q + tsc_start;
}

ns_t now(void)
{
	return tsc_to_ns(rdtsc());
}

/* ns = ((tsc << shift) * mul) >> 32, with mul as large as 32 bits allow. */
static void set_scale(uint64_t khz)
{
	uint64_t ns = 1000000, ticks = khz;

	tsc_khz = khz;
	tsc_shift = 0;
	for (; ns >= ticks; ticks <<= 1)
		tsc_shift++;
	for (; 2 * ns < ticks; ns <<= 1)
		tsc_shift--;
	tsc_mul = (uint32_t)((ns << 32) / ticks);
}

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static unsigned from_bcd(unsigned v, bool bcd)
{
	return bcd ? (v >> 4) * 10 + (v & 15) : v;
}

enum { RTC_SEC = 0, RTC_MIN = 2, RTC_HOUR = 4, RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9, RTC_A = 10, RTC_B = 11 };

/* Reads the six date registers when no update is in progress. */
static void read_rtc(uint8_t v[6])
{
	static const uint8_t reg[6] = { RTC_SEC, RTC_MIN, RTC_HOUR, RTC_DAY, RTC_MONTH, RTC_YEAR };

	for (unsigned tries = 0; tries < 10000 && cmos(RTC_A) & BIT(7); tries++)
		cpu_relax();
	for (unsigned i = 0; i < 6; i++)
		v[i] = cmos(reg[i]);
}

/* Seconds since 1970 by the CMOS clock, taken as UTC and in this century (MC146818). */
static uint64_t read_wallclock(void)
{
	uint8_t v[6], again[6], b;
	unsigned f[6], y, m, days;
	bool bcd, pm;

	read_rtc(v);
	for (unsigned tries = 0; tries < 10; tries++) {
		read_rtc(again);
		if (!memcmp(v, again, sizeof(v)))
			break;
		memcpy(v, again, sizeof(v));
	}
	b = cmos(RTC_B);
	bcd = !(b & BIT(2));
	pm = !(b & BIT(1)) && v[2] & 0x80;
	if (!(b & BIT(1)))
		v[2] &= 0x7f;
	for (unsigned i = 0; i < 6; i++)
		f[i] = from_bcd(v[i], bcd);
	if (!(b & BIT(1)))
		f[2] = f[2] % 12 + (pm ? 12 : 0);
	/* Days from the civil date, years starting in March so that the leap day comes last. */
	m = f[4] < 1 || f[4] > 12 ? 1 : f[4];
	y = 2000 + f[5] - (m <= 2);
	m = m <= 2 ? m + 9 : m - 3;
	days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + f[3] - 1 - 719468;
	return ((days * 24ul + f[2]) * 60 + f[1]) * 60 + f[0];
}

void time_init(void)
{
	tsc_start = rdtsc();
	set_scale(calibrate());
	tsc_stable = cpuid(0x80000000, 0).a >= 0x80000007 && cpuid(0x80000007, 0).d & BIT(8);
	wall_ns = read_wallclock() * 1000000000ul - now();
	printk("TSC %lu.%03lu MHz%s", tsc_khz / 1000, tsc_khz % 1000, tsc_stable ? "" : ", not invariant");
}

void time_suspend(void)
{
	slept_at = now();
	slept_wall = read_wallclock();
}

/* TSCs may have started again from 0, or gone on. System time goes on by what the CMOS clock says. */
uint64_t time_resume(void)
{
	uint64_t wall = read_wallclock(), delta;
	ns_t t = slept_at + (wall > slept_wall ? wall - slept_wall : 0) * SECOND, by_tsc = now();

	if (by_tsc >= slept_at && by_tsc + 2 * SECOND > t && by_tsc < t + 2 * SECOND)
		return 0;
	delta = ns_to_tsc(t) - rdtsc();
	tsc_start -= delta;
	return delta;
}

void tsc_check(uint64_t before, uint64_t other, uint64_t after)
{
	if (before <= other && other <= after)
		return;
	if (tsc_stable)
		printk(LOG_WARN "the CPUs' TSCs are not in step");
	tsc_stable = false;
}

void wallclock_get(uint64_t *sec, uint32_t *nsec)
{
	*sec = wall_ns / 1000000000ul;
	*nsec = (uint32_t)(wall_ns % 1000000000ul);
}

void wallclock_set(uint64_t sec, uint32_t nsec, ns_t system_time)
{
	wall_ns = sec * 1000000000ul + nsec - system_time;
}
