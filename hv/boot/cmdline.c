/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"
#include "lib.h"

struct options opt = {
	.console_com1 = true,
	.console_vga = true,
	.com1_baud = 115200,
	.loglvl = 2,
	.iommu_required = true,
};

/* Reads digits at *s and moves it behind them. False when there are none, or too many. */
static bool parse_number(const char **s, uint64_t *out)
{
	const char *start = *s;
	for (*out = 0; **s >= '0' && **s <= '9'; ++*s)
		*out = *out * 10 + (uint64_t)(**s - '0');
	return *s > start && *s - start <= 12;
}

static bool parse_unsigned(const char *s, unsigned max, unsigned *out)
{
	uint64_t n;
	if (!parse_number(&s, &n) || *s || !n || n > max)
		return false;
	*out = (unsigned)n;
	return true;
}

/* SIZE with B, K, M or G; K when there is none, as in Xen. */
static bool parse_size(const char **s, uint64_t *out)
{
	static const char units[] = "BKMG";
	if (!parse_number(s, out))
		return false;
	for (unsigned i = 0; units[i]; i++) {
		if ((**s & ~0x20) == units[i]) {
			++*s;
			*out <<= 10 * i;
			return true;
		}
	}
	*out <<= 10;
	return true;
}

/* SIZE[,max:SIZE]: what it starts with, and the most it may ever have. The core gives the first, and has no use for more. */
static bool set_dom0_mem(const char *s)
{
	while (*s) {
		bool is_max = !strncmp(s, "max:", 4);
		uint64_t size;
		s += is_max ? 4 : 0;
		if (!parse_size(&s, &size) || (*s && *s++ != ','))
			return false;
		if (!is_max || !opt.dom0_mem)
			opt.dom0_mem = size;
	}
	return opt.dom0_mem;
}

static bool set_dom0_max_vcpus(const char *s)
{
	return parse_unsigned(s, MAX_VCPUS, &opt.dom0_max_vcpus);
}

static bool set_maxcpus(const char *s)
{
	return parse_unsigned(s, UINT32_MAX, &opt.maxcpus);
}

static bool set_console(const char *s)
{
	opt.console_com1 = opt.console_vga = false;
	while (*s) {
		size_t n = 0;
		while (s[n] && s[n] != ',')
			n++;
		if (n == 4 && !strncmp(s, "com1", n))
			opt.console_com1 = true;
		else if (n == 3 && !strncmp(s, "vga", n))
			opt.console_vga = true;
		else if (n != 4 || strncmp(s, "none", n))
			return false;
		s += s[n] ? n + 1 : n;
	}
	return true;
}

static bool set_com1(const char *s)
{
	uint64_t baud;
	if (!parse_number(&s, &baud) || !baud || baud > 115200 || 115200 % baud || (*s && strcmp(s, ",8n1")))
		return false;
	opt.com1_baud = (uint32_t)baud;
	return true;
}

static bool set_loglvl(const char *s)
{
	static const char *const names[] = { "error", "warning", "info", "debug", "all" };
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(s, names[i])) {
			opt.loglvl = i;
			return true;
		}
	}
	return false;
}

static bool set_iommu(const char *s)
{
	opt.iommu_required = !strcmp(s, "required");
	return opt.iommu_required || !strcmp(s, "off");
}

static bool set_vmx(const char *s)
{
	opt.vmx_exceptions = true;
	return !strcmp(s, "exceptions");
}

static bool set_noreboot(const char *s)
{
	opt.noreboot = true;
	return !*s;
}

static const struct option {
	const char *name; /* with '=' when it wants a value */
	bool (*set)(const char *value);
	const char *form;
} options[] = {
	{ "dom0_mem=", set_dom0_mem, "SIZE[,max:SIZE] with K, M or G" },
	{ "dom0_max_vcpus=", set_dom0_max_vcpus, "1 to 32" },
	{ "maxcpus=", set_maxcpus, "1 or more" },
	{ "console=", set_console, "com1, vga or both with a comma between, or none" },
	{ "com1=", set_com1, "a baud rate that 115200 is a multiple of" },
	{ "loglvl=", set_loglvl, "error, warning, info, debug or all" },
	{ "iommu=", set_iommu, "required or off" },
	{ "vmx=", set_vmx, "exceptions" },
	{ "noreboot", set_noreboot, "nothing behind it" },
};

static void parse_word(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];
		size_t n = strlen(o->name);
		if (strncmp(word, o->name, n) || (o->name[n - 1] != '=' && word[n]))
			continue;
		if (!o->set(word + n))
			refuse("bad value in \"%s\" on the core's command line; %s wants %s", word, o->name, o->form);
		return;
	}
	refuse("unknown option \"%s\" on the core's command line; take it out, or see hv/boot/README.md", word);
}

void cmdline_parse(void)
{
	const char *s = boot_info.cmdline;
	char word[128];
	for (;;) {
		size_t n = 0;
		while (*s == ' ' || *s == '\t')
			s++;
		while (s[n] && s[n] != ' ' && s[n] != '\t')
			n++;
		if (!n)
			return;
		strscpy(word, s, MIN(n + 1, sizeof(word)));
		parse_word(word);
		s += n;
	}
}
