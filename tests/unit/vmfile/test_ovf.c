// SPDX-License-Identifier: Apache-2.0
/* OVF descriptors: those of VMware and VirtualBox are read right, what we write is read back, hostile ones are refused. */
#include "ovf.h"

#include <glib/gstdio.h>

#include <string.h>

#define OPEN "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" " \
	"xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\">"
#define FILES "<References><File ovf:id=\"f1\" ovf:href=\"one.vmdk\"/><File ovf:id=\"f2\" ovf:href=\"two%20b.vmdk\"/></References>"
#define URI   "ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\""
#define DISKS "<DiskSection><Info/><Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"20\" ovf:capacityAllocationUnits=" \
	"\"byte * 2^30\" " URI "/><Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"1048576\"/></DiskSection>"
#define ITEM(type, rest) "<Item><rasd:ResourceType>" #type "</rasd:ResourceType>" rest "</Item>"
#define QUANTITY(n)      "<rasd:VirtualQuantity>" n "</rasd:VirtualQuantity>"
#define UNITS(u)         "<rasd:AllocationUnits>" u "</rasd:AllocationUnits>"
#define HOST(d)          "<rasd:HostResource>ovf:/disk/" d "</rasd:HostResource>"
#define SYSTEM(items)    "<VirtualSystem ovf:id=\"vm\"><Info/><VirtualHardwareSection>" items "</VirtualHardwareSection></VirtualSystem>"
#define CLOSE            "</Envelope>"

static OvfMachine *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = ovf_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	return machine;
}

static const OvfDisk *disk(const OvfMachine *machine, guint i)
{
	g_assert_cmpuint(i, <, machine->disks->len);
	return machine->disks->pdata[i];
}

static void refused(const char *text, int code, const char *why)
{
	g_autoptr(GError) error = NULL;
	OvfMachine *machine = ovf_parse(text, strlen(text), &error);

	if (machine || !error)
		g_error("taken, but must be refused with '%s': %.2000s", why, text);
	if (!g_error_matches(error, VMFILE_ERROR, code) || !strstr(error->message, why))
		g_error("'%s' (%d), where '%s' was expected", error->message, error->code, why);
	g_assert_true(g_str_has_prefix(error->message, "the OVF descriptor "));
}

static void test_full(void)
{
	g_autoptr(OvfMachine) m = parse("<?xml version=\"1.0\"?>" OPEN FILES DISKS "<VirtualSystem ovf:id=\"id\"><Info>x</Info>"
		"<Name> Debian\t<![CDATA[& co]]> </Name><AnnotationSection><Info/><Annotation>a\nb</Annotation></AnnotationSection>"
		"<VirtualHardwareSection>" ITEM(3, QUANTITY("4")) ITEM(4, UNITS("MegaBytes") QUANTITY("1536"))
		"<Item ovf:bound=\"max\"><rasd:ResourceType>3</rasd:ResourceType>" QUANTITY("999") "</Item>"
		ITEM(17, HOST("d2")) ITEM(10, "") ITEM(10, "") ITEM(15, "") ITEM(17, HOST("d1")) ITEM(17, HOST("d1")) ITEM(17, HOST("none"))
		"</VirtualHardwareSection></VirtualSystem>" CLOSE);

	g_assert_cmpstr(m->title, ==, "Debian & co");
	g_assert_cmpstr(m->description, ==, "a\nb");
	g_assert_true(m->vcpus == 4 && m->memory == (guint64)1536 << 20 && m->interfaces == 2 && m->disks->len == 2);
	g_assert_cmpstr(disk(m, 0)->name, ==, "d2"); /* in the machine's order */
	g_assert_cmpstr(disk(m, 0)->href, ==, "two b.vmdk");
	g_assert_cmpstr(disk(m, 0)->format, ==, NULL);
	g_assert_cmpuint(disk(m, 0)->capacity, ==, 1 << 20);
	g_assert_cmpstr(disk(m, 1)->href, ==, "one.vmdk");
	g_assert_cmpstr(disk(m, 1)->format, ==, "vmdk");
	g_assert_cmpuint(disk(m, 1)->capacity, ==, (guint64)20 << 30);
}

/* The shape of a version 2 descriptor, and one machine in a collection. */
static void test_two(void)
{
	g_autoptr(OvfMachine) m = parse("<ovf:Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/2\" xmlns:r=\"r\" xmlns:s=\"s\">" FILES
		"<ovf:DiskSection><ovf:Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:capacity=\"3\" ovf:capacityAllocationUnits=\"GigaBytes\"/>"
		"</ovf:DiskSection><ovf:VirtualSystemCollection ovf:id=\"c\"><ovf:VirtualSystem ovf:id=\"the-id\"><ovf:VirtualHardwareSection>"
		"<ovf:StorageItem><s:HostResource>ovf:/disk/d</s:HostResource><s:ResourceType>17</s:ResourceType></ovf:StorageItem>"
		"<ovf:EthernetPortItem><r:ResourceType>10</r:ResourceType></ovf:EthernetPortItem>"
		"</ovf:VirtualHardwareSection></ovf:VirtualSystem></ovf:VirtualSystemCollection></ovf:Envelope>");

	g_assert_cmpstr(m->title, ==, "the-id");
	g_assert_true(!m->description && m->vcpus == 1 && m->memory == 1 << 30 && m->interfaces == 1 && m->disks->len == 1);
	g_assert_cmpuint(disk(m, 0)->capacity, ==, (guint64)3 << 30);
}

static void test_amounts(void)
{
	static const struct { const char *units, *number; guint64 bytes; } good[] = {
		{ "byte", "67108864", 64 << 20 }, { "byte * 2^20", "65", 65 << 20 }, { "byte*2^10", "70000", 69 << 20 },
		{ "byte * 10^6", "100", 96 << 20 }, { "Gigabytes", "1", 1 << 30 }, { "MB", "512", 512 << 20 }, { "MegaBytes", "1", 64 << 20 },
		{ "byte * 2^40", "1", (guint64)1 << 40 },
	};
	static const struct { const char *units, *number; int code; const char *why; } bad[] = {
		{ "furlong", "1", VMFILE_ERROR_UNSUPPORTED, "unit" }, { "byte * 2^51", "1", VMFILE_ERROR_UNSUPPORTED, "unit" },
		{ "byte * 2^-1", "1", VMFILE_ERROR_UNSUPPORTED, "unit" }, { "byte * 3^2", "1", VMFILE_ERROR_UNSUPPORTED, "unit" },
		{ "byte * 10^99", "1", VMFILE_ERROR_UNSUPPORTED, "unit" }, { "MB", "0", VMFILE_ERROR_INVALID, "no number" },
		{ "MB", "-1", VMFILE_ERROR_INVALID, "no number" }, { "MB", "", VMFILE_ERROR_INVALID, "no number" },
		{ "MB", "1.5", VMFILE_ERROR_INVALID, "no number" }, { "MB", "99999999999999999999", VMFILE_ERROR_INVALID, "no number" },
		{ "MB", "18446744073709551615", VMFILE_ERROR_LIMIT, "1024 GiB" }, { "byte * 2^40", "2", VMFILE_ERROR_LIMIT, "1024 GiB" },
		{ "byte*2^50", "16384", VMFILE_ERROR_LIMIT, "1024 GiB" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *text = g_strdup_printf(OPEN SYSTEM(ITEM(4, UNITS("%s") QUANTITY("%s"))) CLOSE, good[i].units, good[i].number);
		g_autoptr(OvfMachine) m = parse(text);

		g_assert_cmpuint(m->memory, ==, good[i].bytes); /* whole MiB, 64 at least */
	}
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *text = g_strdup_printf(OPEN SYSTEM(ITEM(4, UNITS("%s") QUANTITY("%s"))) CLOSE, bad[i].units, bad[i].number);

		refused(text, bad[i].code, bad[i].why);
	}
}

static void test_hardware_bad(void)
{
	g_autoptr(GString) cards = g_string_new(NULL);
	g_autofree char *text = NULL;

	for (guint i = 0; i < 17; i++)
		g_string_append(cards, ITEM(10, ""));
	text = g_strdup_printf(OPEN SYSTEM("%s") CLOSE, cards->str);
	refused(text, VMFILE_ERROR_LIMIT, "16 network");
	refused(OPEN SYSTEM(ITEM(3, QUANTITY("129"))) CLOSE, VMFILE_ERROR_LIMIT, "128 CPUs");
	refused(OPEN SYSTEM(ITEM(3, QUANTITY("0"))) CLOSE, VMFILE_ERROR_INVALID, "CPUs");
	refused(OPEN SYSTEM(ITEM(3, "")) CLOSE, VMFILE_ERROR_INVALID, "CPUs");
	refused(OPEN CLOSE, VMFILE_ERROR_INVALID, "no VirtualSystem");
	refused(OPEN SYSTEM("") SYSTEM("") CLOSE, VMFILE_ERROR_UNSUPPORTED, "several");
	refused(OPEN "<VirtualSystemCollection>" SYSTEM("") SYSTEM("") "</VirtualSystemCollection>" CLOSE, VMFILE_ERROR_UNSUPPORTED, "several");
	refused(OPEN "<VirtualSystemCollection>" SYSTEM("") "</VirtualSystemCollection>" SYSTEM("") CLOSE, VMFILE_ERROR_UNSUPPORTED, "several");
}

#define ONE(attributes) "<References><File " attributes "/></References>"

static void test_files_bad(void)
{
	static const char *const names[] = { "../up.vmdk", "/etc/passwd", "a/b.vmdk", "..", ".", ".hidden", "", "http://host/a.vmdk",
		"file:///etc/shadow", "a%2Fb", "%2e%2e", "a%00b", "a%0Ab", "a%1bb", "a%FFb", "a&#x202e;b" };
	g_autoptr(GString) many = g_string_new(OPEN "<References>");

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = g_strdup_printf(OPEN ONE("ovf:id=\"f\" ovf:href=\"%s\"") SYSTEM("") CLOSE, names[i]);

		refused(text, VMFILE_ERROR_INVALID, "not simply in the package");
	}
	refused(OPEN ONE("ovf:id=\"f\"") SYSTEM("") CLOSE, VMFILE_ERROR_INVALID, "without href");
	refused(OPEN ONE("ovf:href=\"f\"") SYSTEM("") CLOSE, VMFILE_ERROR_INVALID, "without id");
	refused(OPEN ONE("ovf:id=\"f\" ovf:href=\"a\" ovf:compression=\"gzip\"") SYSTEM("") CLOSE, VMFILE_ERROR_UNSUPPORTED, "compressed");
	refused(OPEN ONE("ovf:id=\"f\" ovf:href=\"a\" ovf:chunkSize=\"1\"") SYSTEM("") CLOSE, VMFILE_ERROR_UNSUPPORTED, "pieces");
	refused(OPEN "<References><File ovf:id=\"f\" ovf:href=\"a\"/><File ovf:id=\"f\" ovf:href=\"b\"/></References>" SYSTEM("") CLOSE,
		VMFILE_ERROR_INVALID, "same id");
	for (guint i = 0; i < 257; i++)
		g_string_append_printf(many, "<File ovf:id=\"%u\" ovf:href=\"%u\"/>", i, i);
	g_string_append(many, "</References>" SYSTEM("") CLOSE);
	refused(many->str, VMFILE_ERROR_LIMIT, "256 files");
}

#define SECTION(disks) OPEN FILES "<DiskSection>" disks "</DiskSection>" SYSTEM("") CLOSE

static void test_disks_bad(void)
{
	g_autoptr(GString) files = g_string_new(OPEN "<References>"), disks = g_string_new("</References><DiskSection>");

	refused(SECTION("<Disk ovf:fileRef=\"f1\" ovf:capacity=\"1\"/>"), VMFILE_ERROR_INVALID, "without diskId");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:capacity=\"1\"/>"), VMFILE_ERROR_UNSUPPORTED, "without a file");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f9\" ovf:capacity=\"1\"/>"), VMFILE_ERROR_INVALID, "not among");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:parentRef=\"p\" ovf:capacity=\"1\"/>"), VMFILE_ERROR_UNSUPPORTED,
		"snapshots");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\"/>"), VMFILE_ERROR_INVALID, "no number");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:capacity=\"${size}\"/>"), VMFILE_ERROR_INVALID, "no number");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:capacity=\"70368744177665\"/>"), VMFILE_ERROR_LIMIT, "65536 GiB");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:capacity=\"1\"/><Disk ovf:diskId=\"d\" ovf:fileRef=\"f2\" "
		"ovf:capacity=\"1\"/>"), VMFILE_ERROR_INVALID, "same diskId");
	refused(SECTION("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f1\" ovf:capacity=\"1\"/><Disk ovf:diskId=\"e\" ovf:fileRef=\"f1\" "
		"ovf:capacity=\"1\"/>"), VMFILE_ERROR_INVALID, "same file");
	for (guint i = 0; i < 27; i++) {
		g_string_append_printf(files, "<File ovf:id=\"f%u\" ovf:href=\"f%u\"/>", i, i);
		g_string_append_printf(disks, "<Disk ovf:diskId=\"d%u\" ovf:fileRef=\"f%u\" ovf:capacity=\"1\"/>", i, i);
	}
	g_string_append_printf(files, "%s</DiskSection>" SYSTEM("") CLOSE, disks->str);
	refused(files->str, VMFILE_ERROR_LIMIT, "26 disks");
}

static char *nested(guint depth)
{
	g_autoptr(GString) text = g_string_new(OPEN);

	for (guint i = 0; i < depth; i++)
		g_string_append(text, "<a>");
	for (guint i = 0; i < depth; i++)
		g_string_append(text, "</a>");
	g_string_append(text, SYSTEM("") CLOSE);
	return g_string_free_and_steal(g_steal_pointer(&text));
}

static void test_xml_bad(void)
{
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "ovf-secret", NULL);
	g_autofree char *external = g_strdup_printf("<!DOCTYPE e [<!ENTITY x SYSTEM \"file://%s\">]>" OPEN SYSTEM("") CLOSE, path);
	g_autofree char *deep = nested(300), *shallow = nested(100), *large = g_strnfill(OVF_MAX_TEXT + 1, ' ');
	g_autoptr(OvfMachine) m = parse(shallow);
	g_autoptr(GError) error = NULL;

	g_assert_null(ovf_parse(large, OVF_MAX_TEXT + 1, &error));
	g_assert_error(error, VMFILE_ERROR, VMFILE_ERROR_LIMIT);
	refused(deep, VMFILE_ERROR_INVALID, "is no XML");
	refused("", VMFILE_ERROR_INVALID, "is no XML");
	refused("<a/>", VMFILE_ERROR_INVALID, "no Envelope");
	refused("\x1f\x8b", VMFILE_ERROR_INVALID, "is no XML");
	refused(OPEN, VMFILE_ERROR_INVALID, "is no XML: line 1");
	refused("\n\n<a>&x;</a>", VMFILE_ERROR_INVALID, "line 3");
	refused(external, VMFILE_ERROR_UNSUPPORTED, "document type");
	refused("<!DOCTYPE e SYSTEM \"http://192.0.2.1/e.dtd\">" OPEN SYSTEM("") CLOSE, VMFILE_ERROR_UNSUPPORTED, "document type");
	refused("<!DOCTYPE e [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;\">]><e>&c;</e>",
		VMFILE_ERROR_UNSUPPORTED, "document type");
}

/* Nothing in a descriptor makes a file open: an inclusion stays what it is, an element that nobody knows. */
static void test_include(void)
{
	g_autoptr(OvfMachine) m = parse(OPEN "<VirtualSystem><Name><xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" "
		"href=\"/etc/passwd\" parse=\"text\"/>a</Name></VirtualSystem>" CLOSE);

	g_assert_cmpstr(m->title, ==, "a");
}

static void test_titles(void)
{
	g_autofree char *long_name = g_strnfill(5000, 'x');
	g_autofree char *text = g_strdup_printf(OPEN "<VirtualSystem><Name>%s</Name></VirtualSystem>" CLOSE, long_name);
	g_autoptr(OvfMachine) cut = parse(text);
	g_autoptr(OvfMachine) odd = parse(OPEN "<VirtualSystem><Name>a&#x202e;b&#x9b;c\nd</Name></VirtualSystem>" CLOSE);
	g_autoptr(OvfMachine) none = parse(OPEN "<VirtualSystem><Name>&#x202e; </Name></VirtualSystem>" CLOSE);

	g_assert_cmpuint(strlen(cut->title), ==, 64);
	g_assert_cmpstr(odd->title, ==, "a b c d");
	g_assert_cmpstr(none->title, ==, NULL);
}

static OvfMachine *sample(guint disks)
{
	OvfMachine *m = ovf_new();

	m->title = g_strdup("Büro <&> \"1\"");
	m->description = g_strdup("one\ntwo ]]> three");
	m->vcpus = 3;
	m->memory = (guint64)768 << 20;
	m->interfaces = 2;
	for (guint i = 0; i < disks; i++) {
		g_autofree char *name = g_strdup_printf("vmdisk%u", i + 1), *href = g_strdup_printf("disk %u ü&.x", i);

		ovf_add_disk(m, name, href, ovf_formats[i % 4].name, (guint64)(i + 1) << 30);
	}
	return m;
}

static void test_write(void)
{
	for (guint disks = 0; disks <= VM_MAX_DISKS; disks += 13) {
		g_autoptr(OvfMachine) m = sample(disks), back = NULL;
		g_autofree guint64 *sizes = g_new0(guint64, disks + 1);
		g_autofree char *text = ovf_write(m, NULL, sizes);

		g_assert_null(strstr(text, "AddressOnParent>7<")); /* the controller's own */
		g_assert_cmpint(strstr(text, "AddressOnParent>15<") != NULL, ==, disks >= 15);
		back = parse(text);
		g_assert_cmpstr(back->title, ==, m->title);
		g_assert_cmpstr(back->description, ==, m->description);
		g_assert_true(back->vcpus == 3 && back->memory == m->memory && back->interfaces == 2 && back->disks->len == disks);
		for (guint i = 0; i < disks; i++) {
			g_assert_cmpstr(disk(back, i)->name, ==, disk(m, i)->name);
			g_assert_cmpstr(disk(back, i)->href, ==, disk(m, i)->href);
			g_assert_cmpstr(disk(back, i)->format, ==, disk(m, i)->format);
			g_assert_cmpuint(disk(back, i)->capacity, ==, disk(m, i)->capacity);
		}
	}
}

static void test_write_names(void)
{
	static const char *const hrefs[] = { "a.vmdk" };
	static const guint64 sizes[] = { 4711 };
	g_autoptr(OvfMachine) m = sample(1), empty = ovf_new(), back = NULL, none = NULL;
	g_autofree char *text = ovf_write(m, hrefs, sizes), *nothing = ovf_write(empty, NULL, sizes);

	back = parse(text);
	none = parse(nothing);
	g_assert_cmpstr(disk(back, 0)->href, ==, "a.vmdk");
	g_assert_nonnull(strstr(text, "ovf:size=\"4711\""));
	g_assert_cmpstr(none->title, ==, "machine");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ovf/full", test_full);
	g_test_add_func("/ovf/two", test_two);
	g_test_add_func("/ovf/amounts", test_amounts);
	g_test_add_func("/ovf/hardware/bad", test_hardware_bad);
	g_test_add_func("/ovf/files/bad", test_files_bad);
	g_test_add_func("/ovf/disks/bad", test_disks_bad);
	g_test_add_func("/ovf/xml/bad", test_xml_bad);
	g_test_add_func("/ovf/include", test_include);
	g_test_add_func("/ovf/titles", test_titles);
	g_test_add_func("/ovf/write", test_write);
	g_test_add_func("/ovf/write/names", test_write_names);
	return g_test_run();
}
