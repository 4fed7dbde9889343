// SPDX-License-Identifier: Apache-2.0
/* OVF descriptors as VMware and VirtualBox take them: version 1, with a SCSI controller and network cards that they know. */
#include "ovf.h"

#include <libxml/xmlwriter.h>

#define OVF  "http://schemas.dmtf.org/ovf/envelope/1"
#define CIM  "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define RASD CIM "CIM_ResourceAllocationSettingData"
#define VSSD CIM "CIM_VirtualSystemSettingData"

enum { DISKS_EACH = 15, OWN_ADDRESS = 7 }; /* of a SCSI controller */

static void open_element(xmlTextWriter *w, const char *name)
{
	xmlTextWriterStartElement(w, BAD_CAST name);
}

static void close_element(xmlTextWriter *w)
{
	xmlTextWriterEndElement(w);
}

static void attribute(xmlTextWriter *w, const char *name, const char *value)
{
	xmlTextWriterWriteAttribute(w, BAD_CAST name, BAD_CAST value);
}

static void attribute_number(xmlTextWriter *w, const char *name, guint64 value)
{
	xmlTextWriterWriteFormatAttribute(w, BAD_CAST name, "%" G_GUINT64_FORMAT, value);
}

static void element(xmlTextWriter *w, const char *name, const char *text)
{
	if (text)
		xmlTextWriterWriteElement(w, BAD_CAST name, BAD_CAST text);
}

static void element_number(xmlTextWriter *w, const char *name, guint64 value)
{
	xmlTextWriterWriteFormatElement(w, BAD_CAST name, "%" G_GUINT64_FORMAT, value);
}

/* One rasd:Item; its children stand in the order of the alphabet, as the schema wants. NULL and -1: not there. */
typedef struct {
	int address;
	const char *units, *connection, *name, *host, *subtype;
	int parent;
	guint type;
	gint64 quantity;
} Item;

static void write_item(xmlTextWriter *w, const Item *item, guint *instance)
{
	open_element(w, "Item");
	if (item->address >= 0)
		element_number(w, "rasd:AddressOnParent", (guint64)item->address);
	element(w, "rasd:AllocationUnits", item->units);
	element(w, "rasd:Connection", item->connection);
	element(w, "rasd:ElementName", item->name);
	element(w, "rasd:HostResource", item->host);
	element_number(w, "rasd:InstanceID", ++*instance);
	if (item->parent >= 0)
		element_number(w, "rasd:Parent", (guint64)item->parent);
	element(w, "rasd:ResourceSubType", item->subtype);
	element_number(w, "rasd:ResourceType", item->type);
	if (item->quantity >= 0)
		element_number(w, "rasd:VirtualQuantity", (guint64)item->quantity);
	close_element(w);
}

static void write_disks(xmlTextWriter *w, const OvfMachine *machine, guint *instance)
{
	int controller = 0;

	for (guint i = 0; i < machine->disks->len; i++) {
		g_autofree char *host = g_strdup_printf("ovf:/disk/vmdisk%u", i + 1), *name = g_strdup_printf("Disk %u", i + 1);
		int place = (int)(i % DISKS_EACH);

		if (place == 0) {
			write_item(w, &(Item){ .address = (int)(i / DISKS_EACH), .name = "SCSI controller", .subtype = "lsilogic", .parent = -1,
				.type = 6, .quantity = -1 }, instance);
			controller = (int)*instance;
		}
		write_item(w, &(Item){ .address = place < OWN_ADDRESS ? place : place + 1, .name = name, .host = host,
			.parent = controller, .type = 17, .quantity = -1 }, instance);
	}
}

static void write_hardware(xmlTextWriter *w, const OvfMachine *machine, const char *title)
{
	guint instance = 0;

	open_element(w, "VirtualHardwareSection");
	element(w, "Info", "What the virtual machine has");
	open_element(w, "System");
	element(w, "vssd:ElementName", "Virtual hardware family");
	element_number(w, "vssd:InstanceID", 0);
	element(w, "vssd:VirtualSystemIdentifier", title);
	element(w, "vssd:VirtualSystemType", "vmx-10 virtualbox-2.2");
	close_element(w);
	write_item(w, &(Item){ .address = -1, .name = "CPUs", .parent = -1, .type = 3, .quantity = machine->vcpus }, &instance);
	write_item(w, &(Item){ .address = -1, .units = "byte * 2^20", .name = "Memory", .parent = -1, .type = 4,
		.quantity = (gint64)(machine->memory >> 20) }, &instance);
	write_disks(w, machine, &instance);
	for (guint i = 0; i < machine->interfaces; i++)
		write_item(w, &(Item){ .address = (int)i, .connection = "NAT", .name = "Network card", .subtype = "E1000", .parent = -1,
			.type = 10, .quantity = -1 }, &instance);
	close_element(w);
}

static void write_system(xmlTextWriter *w, const OvfMachine *machine)
{
	g_autofree char *clean = ovf_clean_text(machine->title, 64, FALSE);
	g_autofree char *description = ovf_clean_text(machine->description, 1024, TRUE);
	const char *title = clean ? clean : "machine";

	open_element(w, "VirtualSystem");
	attribute(w, "ovf:id", title);
	element(w, "Info", "A virtual machine");
	element(w, "Name", title);
	if (description) {
		open_element(w, "AnnotationSection");
		element(w, "Info", "A description");
		element(w, "Annotation", description);
		close_element(w);
	}
	open_element(w, "OperatingSystemSection");
	attribute(w, "ovf:id", "96"); /* Debian, 64 bits */
	element(w, "Info", "The guest's operating system");
	close_element(w);
	write_hardware(w, machine, title);
	close_element(w);
}

static void write_files(xmlTextWriter *w, const OvfMachine *machine, const char *const *hrefs, const guint64 *sizes)
{
	open_element(w, "References");
	for (guint i = 0; i < machine->disks->len; i++) {
		const OvfDisk *disk = machine->disks->pdata[i];
		g_autofree char *href = g_uri_escape_string(hrefs ? hrefs[i] : disk->href, NULL, FALSE);
		g_autofree char *id = g_strdup_printf("file%u", i + 1);

		open_element(w, "File");
		attribute(w, "ovf:href", href);
		attribute(w, "ovf:id", id);
		attribute_number(w, "ovf:size", sizes[i]);
		close_element(w);
	}
	close_element(w);
}

static const char *format_uri(const char *format)
{
	for (gsize i = 0; i < G_N_ELEMENTS(ovf_formats); i++)
		if (g_strcmp0(format, ovf_formats[i].name) == 0)
			return ovf_formats[i].uri;
	return ovf_formats[0].uri;
}

static void write_disk_section(xmlTextWriter *w, const OvfMachine *machine)
{
	open_element(w, "DiskSection");
	element(w, "Info", "Virtual disks");
	for (guint i = 0; i < machine->disks->len; i++) {
		const OvfDisk *disk = machine->disks->pdata[i];
		g_autofree char *id = g_strdup_printf("vmdisk%u", i + 1), *file = g_strdup_printf("file%u", i + 1);

		open_element(w, "Disk");
		attribute_number(w, "ovf:capacity", disk->capacity);
		attribute(w, "ovf:capacityAllocationUnits", "byte");
		attribute(w, "ovf:diskId", id);
		attribute(w, "ovf:fileRef", file);
		attribute(w, "ovf:format", format_uri(disk->format));
		close_element(w);
	}
	close_element(w);
}

static void write_networks(xmlTextWriter *w, const OvfMachine *machine)
{
	if (!machine->interfaces)
		return;
	open_element(w, "NetworkSection");
	element(w, "Info", "Networks");
	open_element(w, "Network");
	attribute(w, "ovf:name", "NAT");
	close_element(w);
	close_element(w);
}

char *ovf_write(const OvfMachine *machine, const char *const *hrefs, const guint64 *sizes)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlTextWriter *w = xmlNewTextWriterMemory(buffer, 0);
	char *text;

	if (!buffer || !w)
		g_error("out of memory");
	xmlTextWriterSetIndent(w, 1);
	xmlTextWriterStartDocument(w, NULL, "UTF-8", NULL);
	open_element(w, "Envelope");
	attribute(w, "xmlns", OVF);
	attribute(w, "xmlns:ovf", OVF);
	attribute(w, "xmlns:rasd", RASD);
	attribute(w, "xmlns:vssd", VSSD);
	write_files(w, machine, hrefs, sizes);
	write_disk_section(w, machine);
	write_networks(w, machine);
	write_system(w, machine);
	close_element(w);
	xmlTextWriterEndDocument(w);
	xmlFreeTextWriter(w); /* flushes */
	text = g_strdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return text;
}
