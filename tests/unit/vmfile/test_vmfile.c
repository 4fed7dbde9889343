// SPDX-License-Identifier: Apache-2.0
/* VM files: every key and every rule, where an error is said to be, and that nothing else in the file is lost. */
#include "vmfile.h"

#include <string.h>

#define UUID "9d2a3e5c-8f31-4c5e-9a0e-2b6f1c7d4e10"
#define VM   "[vm]\nuuid=" UUID "\n" /* two lines */

static VmFile *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	VmFile *file = vmfile_parse("t.vm", text, strlen(text), &error);

	g_assert_no_error(error);
	return file;
}

/* The error must be of that code and start with where and contain why. */
static void refused_bytes(const char *text, gsize length, int code, const char *where, const char *why)
{
	g_autoptr(GError) error = NULL;
	VmFile *file = vmfile_parse("t.vm", text, length, &error);

	if (file || !error)
		g_error("taken, but must be refused at %s (%s): %s", where, why, text);
	if (!g_error_matches(error, VMFILE_ERROR, code) || !g_str_has_prefix(error->message, where) || !strstr(error->message, why))
		g_error("'%s', where '%s … %s' was expected", error->message, where, why);
}

static void refused(const char *text, const char *where, const char *why)
{
	refused_bytes(text, strlen(text), VMFILE_ERROR_INVALID, where, why);
}

static void test_everything(void)
{
	g_autoptr(VmFile) f = parse("# all of it\n[vm]\ntitle=仕事 & work\ndescription=one\\ntwo\nuuid=9D2A3E5C-8F31-4C5E-9A0E-2B6F1C7D4E10\n"
		"colour=#ABCDEF\ntemplate=false\nencrypted=false\n[machine]\nvcpus=128\nmemory-max=1T\nmemory-min=65536K\nkernel=/boot/k\n"
		"ramdisk=r\ncmdline=a  b=c\n[disk xvdb]\nfile=/dev/vg/lv\nreadonly=true\n[disk xvda]\nfile=sub/a.img\nformat=raw\n"
		"discard=false\n[disk xvdz]\nfile=z\ntrack-changes=true\n[network eth10]\nmode=shared\nnetwork=lan\nmac=52:54:00:AB:cd:EF\n"
		"limit-in=10M\nlimit-out=1000\n[network eth2]\nmode=none\nnetwork=lan\n[network eth0]\n[display]\nscreens=4\n[sound]\nplay=true\nrecord=true\n"
		"[policy]\nautostart=true\n"
		"start-order=0\nshutdown-timeout=3600\non-crash=preserve\nweight=65535\ncap=12800\ndevices=usb:046d:c52b; pci:0000:03:00.0;\n");
	const VmDisk *a = f->disks->pdata[0], *b = f->disks->pdata[1], *z = f->disks->pdata[2];
	const VmInterface *eth0 = f->interfaces->pdata[0], *eth2 = f->interfaces->pdata[1], *eth10 = f->interfaces->pdata[2];
	static const guint8 mac[6] = { 0x52, 0x54, 0, 0xab, 0xcd, 0xef };

	g_assert_cmpstr(f->title, ==, "仕事 & work");
	g_assert_cmpstr(f->description, ==, "one\ntwo");
	g_assert_cmpstr(f->uuid, ==, UUID);
	g_assert_cmpstr(f->colour, ==, "#abcdef");
	g_assert_true(!f->template && !f->encrypted && f->autostart && !f->fresh_uuid);
	g_assert_cmpuint(f->vcpus, ==, 128);
	g_assert_cmpuint(f->memory_max, ==, (guint64)1 << 40);
	g_assert_cmpuint(f->memory_min, ==, 64 << 20);
	g_assert_cmpstr(f->kernel, ==, "/boot/k");
	g_assert_cmpstr(f->ramdisk, ==, "r");
	g_assert_cmpstr(f->cmdline, ==, "a  b=c");
	g_assert_true(f->disks->len == 3 && f->interfaces->len == 3);
	g_assert_true(g_str_equal(a->name, "xvda") && g_str_equal(a->file, "sub/a.img") && a->format == DISK_RAW && !a->discard);
	g_assert_true(!a->readonly && !a->track_changes);
	g_assert_true(g_str_equal(b->name, "xvdb") && b->format == DISK_BLOCK && b->readonly && b->discard);
	g_assert_true(g_str_equal(z->name, "xvdz") && z->format == DISK_QCOW2 && z->track_changes);
	g_assert_true(g_str_equal(eth0->name, "eth0") && eth0->mode == NET_NAT && !eth0->network && !eth0->limit_in);
	g_assert_true(g_str_equal(eth2->name, "eth2") && eth2->mode == NET_NONE && !eth2->network);
	g_assert_true(g_str_equal(eth10->name, "eth10") && eth10->mode == NET_SHARED && g_str_equal(eth10->network, "lan"));
	g_assert_cmpmem(eth10->mac, 6, mac, 6);
	g_assert_true(eth10->limit_in == 10000000 && eth10->limit_out == 1000);
	g_assert_true(f->start_order == 0 && f->shutdown_timeout == 3600 && f->on_crash == CRASH_PRESERVE);
	g_assert_true(f->weight == 65535 && f->cap == 12800);
	g_assert_true(f->screens == 4 && f->play && f->record);
	g_assert_true(g_strv_equal((const char *const *)f->devices, (const char *const[]){ "usb:046d:c52b", "pci:0000:03:00.0", NULL }));
	g_assert_true(f->unknown && !f->unknown[0]);
}

static void test_defaults(void)
{
	g_autoptr(VmFile) f = parse(""), again = parse(""), same = NULL;
	g_autofree char *text = vmfile_to_text(f);

	g_assert_true(g_str_equal(f->title, "") && g_str_equal(f->description, "") && !f->kernel && !f->ramdisk && !f->cmdline);
	g_assert_true(f->vcpus == 2 && f->memory_max == (guint64)2 << 30 && f->memory_min == 1 << 30);
	g_assert_true(f->weight == 256 && f->cap == 0 && f->start_order == 100 && f->shutdown_timeout == 60 && f->on_crash == CRASH_OFF);
	g_assert_true(!f->screens && !f->play && !f->record);
	g_assert_true(!f->autostart && !f->template && !f->encrypted && f->disks->len == 0 && f->interfaces->len == 0 && !f->devices[0]);
	g_assert_true(f->colour[0] == '#' && strlen(f->colour) == 7);
	g_assert_true(f->fresh_uuid && g_uuid_string_is_valid(f->uuid));
	g_assert_cmpstr(f->uuid, !=, again->uuid);
	same = parse(text); /* once saved it stays */
	g_assert_cmpstr(f->uuid, ==, same->uuid);
	g_assert_cmpstr(f->colour, ==, same->colour);
	g_assert_false(same->fresh_uuid);
}

static void test_memory_min(void)
{
	g_autoptr(VmFile) odd = parse("[machine]\nmemory-max=513M\n"), least = parse("[machine]\nmemory-max=64M\n"), empty = NULL;

	g_assert_cmpuint(odd->memory_min, ==, 256 << 20);
	g_assert_cmpuint(least->memory_min, ==, 64 << 20);
	empty = parse("[machine]\nmemory-max=\nvcpus=  \nkernel=\n"); /* empty is as good as none */
	g_assert_true(empty->memory_max == (guint64)2 << 30 && empty->vcpus == 2 && !empty->kernel);
}

/* One value that is not fit, in line 4. */
static void test_values(void)
{
	static const struct { const char *group, *line, *why; } bad[] = {
		{ "vm", "title=\xe3\x80\x80", "blank" },
		{ "vm", "title=a\\nb", "U+000A" },
		{ "vm", "title=a\\tb", "U+0009" },
		{ "vm", "title=a\\rb", "U+000D" },
		{ "vm", "title=a\xc2\x9b" "1m", "U+009B" },
		{ "vm", "title=a\xe2\x80\xae" "b", "U+202E" },
		{ "vm", "title=a\xe2\x81\xa6" "b", "U+2066" },
		{ "vm", "title=a\xe2\x80\xa8" "b", "U+2028" },
		{ "vm", "title=a\xef\xbb\xbf" "b", "U+FEFF" },
		{ "vm", "title=a\xee\x80\x80" "b", "U+E000" },
		{ "vm", "title=12345678901234567890123456789012345678901234567890123456789012345", "64" },
		{ "vm", "title=a\\qb", "escape" },
		{ "vm", "description=a\\rb", "U+000D" },
		{ "vm", "colour=#12345", "colour" },
		{ "vm", "colour=#1234567", "colour" },
		{ "vm", "colour=123456#", "colour" },
		{ "vm", "colour=#12345g", "colour" },
		{ "vm", "colour=red", "colour" },
		{ "vm", "template=yes", "true nor false" },
		{ "vm", "encrypted=TRUE", "true nor false" },
		{ "machine", "vcpus=0", "1 to 128" },
		{ "machine", "vcpus=129", "1 to 128" },
		{ "machine", "vcpus=-1", "1 to 128" },
		{ "machine", "vcpus=+1", "1 to 128" },
		{ "machine", "vcpus=1.5", "1 to 128" },
		{ "machine", "vcpus=0x2", "1 to 128" },
		{ "machine", "vcpus=18446744073709551617", "1 to 128" },
		{ "machine", "memory-max=63M", "64M to 1T" },
		{ "machine", "memory-max=0", "64M to 1T" },
		{ "machine", "memory-max=1025G", "64M to 1T" },
		{ "machine", "memory-max=16777216T", "not a size" },
		{ "machine", "memory-max=18446744073709551616", "not a size" },
		{ "machine", "memory-max=-512M", "not a size" },
		{ "machine", "memory-max=512MB", "not a size" },
		{ "machine", "memory-max=512 M", "not a size" },
		{ "machine", "memory-max=M", "not a size" },
		{ "machine", "memory-max=1.5G", "not a size" },
		{ "machine", "memory-max=134217729", "MiB" },
		{ "machine", "memory-min=2049M", "more than memory-max" },
		{ "machine", "kernel=../k", "'..'" },
		{ "machine", "kernel=/a//b", "empty" },
		{ "machine", "kernel=./k", "'.'" },
		{ "machine", "kernel=/", "no file" },
		{ "machine", "ramdisk=r", "without kernel" },
		{ "machine", "cmdline=quiet", "without kernel" },
		{ "disk xvda", "file=/a/../b", "'..'" },
		{ "disk xvda", "file=a/", "empty" },
		{ "disk xvda", "file=a\\nb", "U+000A" },
		{ "network eth0", "mode=bridge", "none of nat, shared, none" },
		{ "network eth0", "mode=shared", "network first" },
		{ "network eth0", "network=LAN", "a to z" },
		{ "network eth0", "network=-a", "'-'" },
		{ "network eth0", "network=a-", "'-'" },
		{ "network eth0", "mac=53:54:00:12:34:56", "multicast" },
		{ "network eth0", "mac=ff:ff:ff:ff:ff:ff", "multicast" },
		{ "network eth0", "mac=00:00:00:00:00:00", "all zero" },
		{ "network eth0", "mac=52:54:00:12:34", "address" },
		{ "network eth0", "mac=52:54:00:12:34:5", "address" },
		{ "network eth0", "mac=52:54:00:12:34:567", "address" },
		{ "network eth0", "mac=52-54-00-12-34-56", "address" },
		{ "network eth0", "mac=5g:54:00:12:34:56", "address" },
		{ "network eth0", "limit-in=fast", "rate" },
		{ "network eth0", "limit-out=101G", "100G" },
		{ "policy", "autostart=1", "true nor false" },
		{ "policy", "start-order=1000", "0 to 999" },
		{ "policy", "shutdown-timeout=0", "1 to 3600" },
		{ "policy", "shutdown-timeout=3601", "1 to 3600" },
		{ "policy", "on-crash=explode", "none of off, restart, preserve" },
		{ "display", "screens=5", "0 to 4" },
		{ "sound", "record=yes", "neither true nor false" },
		{ "policy", "weight=0", "1 to 65535" },
		{ "policy", "weight=65536", "1 to 65535" },
		{ "policy", "cap=201", "2 vCPUs" },
		{ "policy", "devices=disk:1", "no device" },
		{ "policy", "devices=usb:", "no device" },
		{ "policy", "devices=usb:a b", "no device" },
		{ "policy", "devices=usb:../x", "no device" },
		{ "policy", "devices=usb:1;pci:2;usb:1", "twice" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *name = g_strndup(bad[i].line, strcspn(bad[i].line, "="));
		g_autofree char *text = NULL, *where = g_strdup_printf("t.vm:4: [%s] %s: ", bad[i].group, name);

		if (g_str_equal(bad[i].group, "vm"))
			text = g_strdup_printf("%s# here\n%s\n", VM, bad[i].line);
		else
			text = g_strdup_printf("# file\n\n[%s]\n  %s\n[vm]\nuuid=%s\n", bad[i].group, bad[i].line, UUID);
		refused(text, where, bad[i].why);
	}
}

static void test_uuid(void)
{
	refused("[vm]\nuuid=00000000-0000-0000-0000-000000000000\n", "t.vm:2: [vm] uuid: ", "UUID");
	refused("[vm]\nuuid=9d2a3e5c8f314c5e9a0e2b6f1c7d4e10\n", "t.vm:2: [vm] uuid: ", "UUID");
	refused("[vm]\nuuid={" UUID "}\n", "t.vm:2: [vm] uuid: ", "UUID");
	refused("[vm]\nuuid=../../etc/passwd\n", "t.vm:2: [vm] uuid: ", "UUID");
}

static void test_disks(void)
{
	g_autoptr(GString) all = g_string_new(VM);
	g_autoptr(VmFile) most = NULL, shared = NULL, vault = NULL;

	for (char c = 'z'; c >= 'a'; c--)
		g_string_append_printf(all, "[disk xvd%c]\nfile=%c\n", c, c);
	most = parse(all->str);
	g_assert_cmpuint(most->disks->len, ==, VM_MAX_DISKS);
	g_assert_cmpstr(((VmDisk *)most->disks->pdata[0])->name, ==, "xvda");
	refused(VM "[disk xvdaa]\nfile=a\n", "t.vm:3: [disk xvdaa]: ", "26 at most"); /* a 27th has no name */
	refused(VM "[disk xvd{]\nfile=a\n", "t.vm:3: [disk xvd{]: ", "xvda to xvdz");
	refused(VM "[disk sda]\nfile=a\n", "t.vm:3: [disk sda]: ", "xvda to xvdz");
	refused(VM "[disk ]\nfile=a\n", "t.vm:3: [disk ]: ", "xvda to xvdz");
	refused(VM "[disk xvda]\n", "t.vm:3: [disk xvda]: ", "has no file");
	refused(VM "[disk xvda]\nfile=/tmp/a\nformat=block\n", "t.vm:4: [disk xvda] file: ", "below /dev");
	refused(VM "[disk xvda]\nfile=/dev/sda\nformat=qcow2\n", "t.vm:5: [disk xvda] format: ", "must be block");
	refused(VM "[disk xvda]\nfile=a\nformat=raw\ntrack-changes=true\n", "t.vm:6: [disk xvda] track-changes: ", "qcow2");
	refused(VM "[disk xvda]\nfile=a\n[disk xvdb]\nfile=a\n", "t.vm:6: [disk xvdb] file: ", "xvda's");
	refused(VM "[disk xvda]\nfile=a\nreadonly=true\n[disk xvdb]\nfile=a\n", "t.vm:7: [disk xvdb] file: ", "readonly");
	shared = parse(VM "[disk xvda]\nfile=a\nreadonly=true\n[disk xvdb]\nfile=a\nreadonly=true\n");
	refused(VM "encrypted=true\n[disk xvda]\nfile=/a\n", "t.vm:5: [disk xvda] file: ", "encrypted");
	vault = parse(VM "encrypted=true\n[disk xvda]\nfile=a\n[disk xvdb]\nfile=/b\nreadonly=true\n");
}

static void test_interfaces(void)
{
	g_autoptr(GString) all = g_string_new(VM);
	g_autoptr(VmFile) most = NULL, again = NULL, other = NULL;

	for (int i = 15; i >= 0; i--)
		g_string_append_printf(all, "[network eth%d]\n", i);
	most = parse(all->str);
	again = parse(all->str);
	other = parse("[network eth0]\n");
	g_assert_cmpuint(most->interfaces->len, ==, VM_MAX_INTERFACES);
	for (guint i = 0; i < VM_MAX_INTERFACES; i++) {
		VmInterface *a = most->interfaces->pdata[i], *b = again->interfaces->pdata[i];
		g_autofree char *name = g_strdup_printf("eth%u", i);

		g_assert_cmpstr(a->name, ==, name);
		g_assert_cmpint(a->mac[0] & 3, ==, 2); /* local, one receiver */
		g_assert_cmpmem(a->mac, 6, b->mac, 6);
	}
	g_assert_true(memcmp(((VmInterface *)other->interfaces->pdata[0])->mac, ((VmInterface *)most->interfaces->pdata[0])->mac, 6));
	refused(VM "[network eth16]\n", "t.vm:3: [network eth16]: ", "16 at most");
	refused(VM "[network eth01]\n", "t.vm:3: [network eth01]: ", "eth0 to eth15");
	refused(VM "[network lan]\n", "t.vm:3: [network lan]: ", "eth0 to eth15");
	refused(VM "[network eth1]\nmac=52:54:00:12:34:56\n[network eth0]\nmac=52:54:00:12:34:56\n", "t.vm:4: [network eth1] mac: ", "eth0's");
}

static void test_pairs(void)
{
	g_autoptr(VmFile) kernel = parse("[machine]\nkernel=k\nramdisk=r\ncmdline=c\n");
	g_autoptr(VmFile) cap = parse("[machine]\nvcpus=3\n[policy]\ncap=300\n");

	refused(VM "template=true\n[policy]\nautostart=true\n", "t.vm:5: [policy] autostart: ", "template");
	refused("[machine]\nmemory-max=512M\nmemory-min=513M\n", "t.vm:3: [machine] memory-min: ", "more than memory-max");
}

static void test_text(void)
{
	static const char nul[] = VM "title=a\0b\n";
	g_autofree char *large = g_strnfill(256 * 1024 + 1, '\n');
	g_autofree char *group = g_strnfill(129, 'x'), *wide = g_strdup_printf("[%s]\n", group);
	g_autoptr(VmFile) dos = parse("[vm]\r\ntitle = spaced \r\n"); /* lines of another system */
	g_autoptr(VmFile) brim = vmfile_parse("t.vm", large, 256 * 1024, NULL);

	g_assert_cmpstr(dos->title, ==, "spaced");
	g_assert_nonnull(brim);
	refused_bytes(large, 256 * 1024 + 1, VMFILE_ERROR_LIMIT, "t.vm: ", "256 KiB");
	refused_bytes(nul, sizeof(nul) - 1, VMFILE_ERROR_INVALID, "t.vm:3: ", "UTF-8");
	refused(VM "title=\x1b[31m\n", "t.vm:3: ", "0x1b");
	refused(VM "title=a\rb\n", "t.vm:3: ", "0x0d");
	refused("[vm]\n\n\n# \xff\n", "t.vm:4: ", "UTF-8");
	refused("title=a\n", "t.vm:1: ", "before the first group");
	refused("# x\n\n\n[vm]\ntitle\n[x]\n", "t.vm:5: ", "not fit");
	refused("[vm]\n=a\n", "t.vm:2: ", "not fit");
	refused("[vm] # mine\n", "t.vm:1: ", "not fit");
	refused("[vm\n", "t.vm:1: ", "not fit");
	refused("[vm]\na=1\n[]\n", "t.vm:3: ", "not fit");
	refused("[vm]\ntitle=a\ncolour=#000000\ntitle=b\n", "t.vm:4: ", "[vm] title is in line 2 already");
	refused("[vm]\n\n[x-a]\n[vm]\n", "t.vm:4: ", "[vm] is in line 1 already");
	refused("[x-a]\nk=1\nk=2\n", "t.vm:3: ", "line 2 already"); /* one of them would be lost */
	refused(wide, "t.vm:1: ", "128 bytes");
}

static void test_kept(void)
{
	static const char text[] = "# first\n\n[vm]\n# about the title\ntitle=a\nshoe-size=42\nx-mine=yes\nuuid=" UUID "\n\n"
		"# a group of tomorrow\n[tpm]\nversion=2.0\nlabel[de]=Riegel\n\n[x-notes]\nany=thing\n# last\n";
	g_autoptr(VmFile) f = parse(text);
	g_autofree char *same = vmfile_to_text(f), *changed = NULL;
	g_auto(GStrv) parts = g_strsplit(text, "title=a", 2);
	g_autofree char *expected = g_strjoinv("title=b", parts);

	g_assert_cmpstr(same, ==, text);
	g_assert_cmpstr(f->unknown[0], ==, "t.vm:6: [vm] shoe-size: not known, kept");
	g_assert_cmpstr(f->unknown[1], ==, "t.vm:11: [tpm]: not known, kept");
	g_assert_null(f->unknown[2]);
	g_assert_true(vmfile_set(f, "vm", "title", "b", NULL));
	changed = vmfile_to_text(f);
	g_assert_cmpstr(changed, ==, expected);
}

static void set(VmFile *f, const char *group, const char *key, const char *value)
{
	g_autoptr(GError) error = NULL;

	vmfile_set(f, group, key, value, &error);
	g_assert_no_error(error);
}

static void set_refused(VmFile *f, const char *group, const char *key, const char *value, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *before = vmfile_to_text(f), *after = NULL;

	g_assert_false(vmfile_set(f, group, key, value, &error));
	g_assert_nonnull(error);
	if (!strstr(error->message, why))
		g_error("'%s', where '%s' was expected", error->message, why);
	after = vmfile_to_text(f);
	g_assert_cmpstr(before, ==, after);
}

static void test_set(void)
{
	g_autoptr(VmFile) f = vmfile_new("work"), copy = NULL;
	g_autofree char *uuid = g_strdup(f->uuid), *text = NULL;

	set(f, "disk xvda", "file", "a.qcow2");
	set(f, "disk xvda", "track-changes", "true");
	set(f, "vm", "description", "a \"quoted\"\nline; with \\ and # ");
	g_assert_cmpstr(f->description, ==, "a \"quoted\"\nline; with \\ and #");
	set(f, "network eth1", "network", "lan");
	set(f, "network eth1", "mode", "shared");
	set(f, "policy", "devices", "usb:1;usb:2");
	set(f, "machine", "memory-max", "4294967296");
	set(f, "x-me", "a-key", "1");
	set(f, "vm", "x-b", "2");
	g_assert_cmpuint(f->memory_max, ==, (guint64)4 << 30);
	g_assert_cmpuint(f->interfaces->len, ==, 2);
	g_assert_cmpuint(g_strv_length(f->devices), ==, 2);
	g_assert_cmpstr(f->uuid, ==, uuid);
	copy = vmfile_copy(f);
	g_assert_cmpstr(copy->description, ==, f->description);
	set_refused(f, "machine", "memory-min", "5G", "[machine] memory-min: is more");
	set_refused(f, "machine", "vcpus", "many", "[machine] vcpus: is not a number");
	set_refused(f, "machine", "vcpu", "1", "no such key");
	set_refused(f, "mashine", "vcpus", "1", "no such group");
	set_refused(f, "disk xvdb", "readonly", "true", "file first");
	set_refused(f, "disk xvda", "file", "", "has no file");
	set_refused(f, "disk xvdb]\n[policy", "file", "b", "no such group");
	set_refused(f, "disk", "file", "b", "no such group");
	set_refused(f, "x-a]", "k", "v", "names that start with x-");
	set_refused(f, "vm", "x-k=1\ny", "v", "names that start with x-");
	set_refused(f, "vm", "title", "a\nautostart=true", "U+000A");
	set_refused(f, "vm", "title", "\xff", "UTF-8");
	set_refused(f, "x-me", "k", "\x1b", "0x1b");
	set_refused(f, "", "k", "v", "needs a group");
	set_refused(f, "vm", "", "v", "needs a group and a key");
	set_refused(f, NULL, NULL, NULL, "needs a group");
	set(f, "disk xvda", "track-changes", "");
	g_assert_false(((VmDisk *)f->disks->pdata[0])->track_changes);
	set(f, "disk xvda", NULL, NULL);
	g_assert_cmpuint(f->disks->len, ==, 0);
	set(f, "disk xvdq", "", ""); /* what is not there goes without a word */
	set(f, "vm", "nothing", NULL);
	g_assert_cmpuint(copy->disks->len, ==, 1);
	text = vmfile_to_text(f);
	g_assert_null(strstr(text, "xvda"));
}

static void test_new(void)
{
	g_autoptr(VmFile) a = vmfile_new("work"), b = vmfile_new("work"), c = vmfile_new("personal");

	g_assert_cmpstr(a->title, ==, "work");
	g_assert_cmpstr(a->uuid, !=, b->uuid);
	g_assert_cmpstr(a->colour, ==, b->colour);
	g_assert_cmpstr(a->colour, !=, c->colour);
	g_assert_true(a->interfaces->len == 1 && ((VmInterface *)a->interfaces->pdata[0])->mode == NET_NAT && a->disks->len == 0);
	g_assert_false(a->fresh_uuid);
}

static void test_names(void)
{
	static const char *const good[] = { "a", "7", "work", "a-1", "123456789012345678901234567890123456789012345678" };
	static const char *const bad[] = { "", "-a", "a-", "-", "Work", "a b", "a_b", "a.b", "../a", "a/b", "ä", "a\n",
		"1234567890123456789012345678901234567890123456789" };

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(vmfile_name_valid(good[i], NULL));
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(vmfile_name_valid(bad[i], &error));
		g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_INVALID);
	}
}

static void test_sizes(void)
{
	static const struct { const char *text; guint64 bytes; const char *back; } sizes[] = {
		{ "0", 0, "0" }, { "1", 1, "1" }, { "1k", 1024, "1K" }, { "512M", 512 << 20, "512M" }, { "1024M", 1 << 30, "1G" },
		{ "20G", (guint64)20 << 30, "20G" }, { "3T", (guint64)3 << 40, "3T" }, { "16777215T", (guint64)16777215 << 40, "16777215T" },
		{ "18446744073709551615", G_MAXUINT64, "18446744073709551615" }, { "1536", 1536, "1536" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
		guint64 bytes = 42;
		g_autofree char *back = NULL;

		g_assert_true(vmfile_size_parse(sizes[i].text, &bytes, NULL));
		g_assert_cmpuint(bytes, ==, sizes[i].bytes);
		back = vmfile_size_format(bytes);
		g_assert_cmpstr(back, ==, sizes[i].back);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vmfile/everything", test_everything);
	g_test_add_func("/vmfile/defaults", test_defaults);
	g_test_add_func("/vmfile/memory-min", test_memory_min);
	g_test_add_func("/vmfile/values", test_values);
	g_test_add_func("/vmfile/uuid", test_uuid);
	g_test_add_func("/vmfile/disks", test_disks);
	g_test_add_func("/vmfile/interfaces", test_interfaces);
	g_test_add_func("/vmfile/pairs", test_pairs);
	g_test_add_func("/vmfile/text", test_text);
	g_test_add_func("/vmfile/kept", test_kept);
	g_test_add_func("/vmfile/set", test_set);
	g_test_add_func("/vmfile/new", test_new);
	g_test_add_func("/vmfile/names", test_names);
	g_test_add_func("/vmfile/sizes", test_sizes);
	return g_test_run();
}
