// SPDX-License-Identifier: Apache-2.0
/* The core's command line: each option's forms, and that anything else is refused by name. */
#include "shim.h"
#include "boot.h"

static const struct options defaults = { .console_com1 = true, .console_vga = true, .com1_baud = 115200, .loglvl = 2,
					 .iommu_required = true };

static void parse(const char *line)
{
	opt = defaults;
	snprintf(boot_info.cmdline, sizeof(boot_info.cmdline), "%s", line);
	cmdline_parse();
}

static void refused(const char *line, const char *names)
{
	expect_assert_failure(parse(line));
	if (!strstr(shim_said, names))
		fail_msg("\"%s\" was refused with \"%s\"", line, shim_said);
}

static void good(void **state)
{
	(void)state;
	parse("");
	assert_memory_equal(&opt, &defaults, sizeof(opt));
	parse(" \t dom0_mem=1G,max:2G\tdom0_max_vcpus=32 maxcpus=4  loglvl=all iommu=off noreboot ");
	assert_int_equal(opt.dom0_mem, GiB);
	assert_int_equal(opt.dom0_max_vcpus, 32);
	assert_int_equal(opt.maxcpus, 4);
	assert_int_equal(opt.loglvl, 4);
	assert_false(opt.iommu_required);
	assert_true(opt.noreboot);
	parse("dom0_mem=max:512M");
	assert_int_equal(opt.dom0_mem, 512 * MiB);
	parse("dom0_mem=max:2g,512m");
	assert_int_equal(opt.dom0_mem, 512 * MiB);
	parse("dom0_mem=1048576");
	assert_int_equal(opt.dom0_mem, GiB); /* KiB, as in Xen */
	parse("dom0_mem=4096b");
	assert_int_equal(opt.dom0_mem, 4096);
	parse("console=vga com1=9600,8n1");
	assert_true(opt.console_vga && !opt.console_com1);
	assert_int_equal(opt.com1_baud, 9600);
	parse("console=com1,vga");
	assert_true(opt.console_vga && opt.console_com1);
	parse("console=none");
	assert_false(opt.console_vga || opt.console_com1);
}

static void bad(void **state)
{
	static const char *const lines[] = {
		"dom0_mem=",	     "dom0_mem=0",	 "dom0_mem=1T",	       "dom0_mem=1G,,",      "dom0_mem=1Gx",
		"dom0_mem=-1",	     "dom0_mem=,",	 "dom0_mem=1G max:1G", "dom0_mem=9999999999999999999999",
		"dom0_max_vcpus=33", "dom0_max_vcpus=0", "dom0_max_vcpus=",    "dom0_max_vcpus=1x", "maxcpus=99999999999",
		"console=com2",	     "console=com1;vga", "com1=0",	       "com1=115201",	    "com1=9600,7e1",
		"loglvl=",	     "loglvl=allx",	 "iommu=",	       "iommu=on",	    "noreboot=1",
		"noreboots",	     "dom0_mem",	 "nonsense",	       "=",
	};
	char word[32], line[900] = "loglvl=", *w = line + 7;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *first = strchr(lines[i], ' ');

		snprintf(word, sizeof(word), "\"%s\"", first ? first + 1 : lines[i]);
		refused(lines[i], word);
	}
	memset(w, 'x', sizeof(line) - 8);
	refused(line, "loglvl");
	line[0] = '?';
	refused(line, "unknown option");
}

/* Bytes at random: accepted or refused, and what is accepted is in range. */
static void any(void **state)
{
	static const char *const pieces[] = { "dom0_mem=", "dom0_max_vcpus=", "maxcpus=", "console=", "com1=", "loglvl=", "iommu=",
					      "noreboot", "max:", ",", "1", "0", "99", "G", "K", "com1", "none", "vga", " ", "=",
					      "off", "all", "-", "18446744073709551616", "115200" };
	char line[200];

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		line[0] = 0;
		for (unsigned i = 1 + shim_random(5); i--;)
			strcat(line, pieces[shim_random(ARRAY_SIZE(pieces))]);
		if (setjmp(global_expect_assert_env))
			continue;
		global_expecting_assert = 1;
		parse(line);
		assert_true(opt.dom0_max_vcpus <= MAX_VCPUS && opt.loglvl < 5 && opt.com1_baud && 115200 % opt.com1_baud == 0);
	}
	global_expecting_assert = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(any) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
