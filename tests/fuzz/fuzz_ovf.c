// SPDX-License-Identifier: Apache-2.0
/* Any text as an OVF descriptor. What is taken keeps its promises and comes back when it is written and read again. */
#include "mutate.h"
#include "ovf.h"

static const char good[] =
	"<?xml version=\"1.0\"?><Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "
	"xmlns:rasd=\"r\"><References><File ovf:id=\"f1\" ovf:href=\"one.vmdk\"/><File ovf:id=\"f2\" ovf:href=\"two%20b.vmdk\"/></References>"
	"<DiskSection><Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"20\" ovf:capacityAllocationUnits=\"byte * 2^30\" "
	"ovf:format=\"vmdk\"/><Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"1048576\"/></DiskSection>"
	"<VirtualSystem ovf:id=\"vm\"><Info/><Name>Debian</Name><AnnotationSection><Annotation>text</Annotation></AnnotationSection>"
	"<VirtualHardwareSection><Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>"
	"<Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>"
	"<rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item><Item><rasd:ResourceType>10</rasd:ResourceType></Item>"
	"<Item><rasd:HostResource>ovf:/disk/d2</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>"
	"</VirtualHardwareSection></VirtualSystem></Envelope>";
static const char *const words[] = { "<!DOCTYPE e [<!ENTITY x \"y\">]>", "&x;", "&#0;", "&#x202e;", "<![CDATA[", "]]>", "<!--", "-->", "<a>", "</a>",
	"<Item>", "</Item>", "<File ovf:id=\"f3\" ovf:href=\"c\"/>", "../", "/", "%2f", "%00", "\"", "18446744073709551615", "-1", "byte * 2^50",
	"byte*10^15", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>", "encoding=\"EBCDIC-CP-US\"", "\xff", " xmlns:z=\"z\"", "<VirtualSystem>" };

static void check_promises(const OvfMachine *m)
{
	g_assert_true(m->vcpus >= 1 && m->vcpus <= VM_MAX_VCPUS && m->memory >= 64 << 20 && m->memory % (1 << 20) == 0);
	g_assert_true(m->interfaces <= VM_MAX_INTERFACES && m->disks->len <= VM_MAX_DISKS);
	g_assert_true(!m->title || (g_utf8_validate(m->title, -1, NULL) && g_utf8_strlen(m->title, -1) <= 64 && !strchr(m->title, '\n')));
	for (guint i = 0; i < m->disks->len; i++) {
		const OvfDisk *disk = m->disks->pdata[i];

		g_assert_true(*disk->href && *disk->href != '.' && !strchr(disk->href, '/') && disk->capacity > 0);
		for (guint k = 0; k < i; k++)
			g_assert_cmpstr(disk->href, !=, ((OvfDisk *)m->disks->pdata[k])->href);
	}
}

static void check_round(const OvfMachine *m)
{
	static const guint64 sizes[VM_MAX_DISKS];
	g_autofree char *text = ovf_write(m, NULL, sizes);
	g_autoptr(GError) error = NULL;
	g_autoptr(OvfMachine) back = ovf_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	g_assert_true(back->vcpus == m->vcpus && back->memory == m->memory && back->interfaces == m->interfaces);
	g_assert_cmpstr(back->title, ==, m->title ? m->title : "machine");
	g_assert_cmpuint(back->disks->len, ==, m->disks->len);
	for (guint i = 0; i < m->disks->len; i++) {
		const OvfDisk *a = m->disks->pdata[i], *b = back->disks->pdata[i];

		g_assert_true(g_str_equal(a->href, b->href) && a->capacity == b->capacity);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(OvfMachine) machine = NULL;

	g_byte_array_append(text, (const guint8 *)good, sizeof(good) - 1);
	mutate(text, data, size, words, G_N_ELEMENTS(words));
	machine = ovf_parse((const char *)text->data, text->len, &error);
	g_assert_true(!machine == (error != NULL));
	if (machine) {
		check_promises(machine);
		check_round(machine);
	} else {
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
	}
	return 0;
}
