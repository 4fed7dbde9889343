// SPDX-License-Identifier: Apache-2.0
/* OVF descriptors (DMTF DSP0243 1.1 and 2.0). They come from anywhere: no document type, so no entities, nothing is fetched. */
#include "ovf.h"
#include "schema.h"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <string.h>

#define MAX_CAPACITY ((guint64)64 << 40)

const struct OvfFormat ovf_formats[4] = {
	{ "vmdk", "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", "vmdk", IMAGE_VMDK },
	{ "qcow2", "http://www.gnome.org/~markmc/qcow-image-format.html", "qcow", IMAGE_QCOW2 },
	{ "vhd", "http://go.microsoft.com/fwlink/?LinkId=137171", "LinkId=137171", IMAGE_VHD },
	{ "raw", "http://en.wikipedia.org/wiki/Byte", "wiki/Byte", IMAGE_RAW },
};

G_GNUC_PRINTF(3, 4) static gboolean refuse(GError **error, VmFileError code, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list args;

	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, VMFILE_ERROR, code, "the OVF descriptor %s", reason);
	return FALSE;
}

static void disk_free(OvfDisk *disk)
{
	g_free(disk->name);
	g_free(disk->href);
	g_free(disk->format);
	g_free(disk);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OvfDisk, disk_free)

OvfMachine *ovf_new(void)
{
	OvfMachine *machine = g_new0(OvfMachine, 1);

	machine->vcpus = 1;
	machine->memory = (guint64)1 << 30;
	machine->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
	return machine;
}

void ovf_free(OvfMachine *machine)
{
	if (!machine)
		return;
	g_free(machine->title);
	g_free(machine->description);
	g_ptr_array_unref(machine->disks);
	g_free(machine);
}

void ovf_add_disk(OvfMachine *machine, const char *name, const char *href, const char *format, guint64 capacity)
{
	OvfDisk *disk = g_new0(OvfDisk, 1);

	disk->name = g_strdup(name);
	disk->href = g_strdup(href);
	disk->format = g_strdup(format);
	disk->capacity = capacity;
	g_ptr_array_add(machine->disks, disk);
}

gboolean ovf_file_name_fit(const char *name)
{
	if (!*name || *name == '.' || strlen(name) > 255 || strchr(name, '/') || !g_utf8_validate(name, -1, NULL))
		return FALSE;
	for (const char *p = name; *p; p = g_utf8_next_char(p))
		if (!value_char_fit(g_utf8_get_char(p)))
			return FALSE;
	return TRUE;
}

char *ovf_clean_text(const char *text, glong max, gboolean lines)
{
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
	g_autoptr(GString) clean = g_string_new(NULL);
	gboolean blank = TRUE;

	g_strstrip(valid);
	for (const char *p = valid; *p && max > 0; p = g_utf8_next_char(p), max--) {
		gunichar c = g_utf8_get_char(p);

		c = value_char_fit(c) || (lines && c == '\n') ? c : ' ';
		g_string_append_unichar(clean, c);
		blank = blank && g_unichar_isspace(c);
	}
	return blank ? NULL : g_strstrip(g_string_free_and_steal(g_steal_pointer(&clean)));
}

/* Called where the document has its <!DOCTYPE>: before anything in it was looked at. */
static void stop_at_doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlParserCtxt *parser = context;

	(void)name, (void)external, (void)system;
	*(gboolean *)parser->_private = TRUE;
	xmlStopParser(parser);
}

static xmlDoc *parse_xml(const char *text, gsize length, GError **error)
{
	xmlParserCtxt *parser;
	gboolean doctype = FALSE;
	xmlDoc *document;

	if (length > OVF_MAX_TEXT) {
		refuse(error, VMFILE_ERROR_LIMIT, "is larger than %d MiB", OVF_MAX_TEXT >> 20);
		return NULL;
	}
	xmlInitParser();
	parser = xmlNewParserCtxt();
	if (!parser)
		g_error("out of memory");
	parser->_private = &doctype;
	parser->sax->internalSubset = stop_at_doctype;
	document = xmlCtxtReadMemory(parser, text, (int)length, NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
	if (doctype) {
		refuse(error, VMFILE_ERROR_UNSUPPORTED, "has a document type declaration, which none needs");
		g_clear_pointer(&document, xmlFreeDoc);
	} else if (!document) {
		const xmlError *reason = xmlCtxtGetLastError(parser);
		g_autofree char *message = ovf_clean_text(reason && reason->message ? reason->message : "nothing there", 200, FALSE);

		refuse(error, VMFILE_ERROR_INVALID, "is no XML: line %d: %s", reason ? reason->line : 1, message);
	}
	xmlFreeParserCtxt(parser);
	return document;
}

static gboolean is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && g_str_equal((const char *)node->name, name);
}

/* The next element of that name among node and what follows it. */
static xmlNode *find(xmlNode *node, const char *name)
{
	while (node && !is(node, name))
		node = node->next;
	return node;
}

static char *text_of(xmlNode *node)
{
	xmlChar *content = node ? xmlNodeGetContent(node) : NULL;
	char *text = content ? g_strstrip(g_strdup((const char *)content)) : NULL;

	xmlFree(content);
	return text;
}

static char *text_in(xmlNode *node, const char *name)
{
	return text_of(find(node->children, name));
}

/* The attribute of that name, whatever prefix it has. */
static char *attribute(xmlNode *node, const char *name)
{
	for (xmlAttr *a = node->properties; a; a = a->next)
		if (g_str_equal((const char *)a->name, name))
			return text_of((xmlNode *)a);
	return NULL;
}

/* "byte * 2^20" (DSP0004 C.1), and what came before it: "MegaBytes". 0: not known. */
static guint64 parse_units(const char *units)
{
	static const struct { const char *name; guint shift; } old[] = {
		{ "byte", 0 }, { "bytes", 0 }, { "kilobytes", 10 }, { "kb", 10 }, { "megabytes", 20 }, { "mb", 20 }, { "gigabytes", 30 },
		{ "gb", 30 }, { "terabytes", 40 }, { "tb", 40 },
	};
	g_auto(GStrv) words = g_strsplit(units, " ", -1);
	g_autofree char *joined = g_strjoinv("", words), *all = g_ascii_strdown(joined, -1);
	guint64 exponent, factor = 1;

	for (gsize i = 0; i < G_N_ELEMENTS(old); i++)
		if (g_str_equal(old[i].name, all))
			return (guint64)1 << old[i].shift;
	if (g_str_has_prefix(all, "byte*2^") && g_ascii_string_to_unsigned(all + 7, 10, 0, 50, &exponent, NULL))
		return (guint64)1 << exponent;
	if (!g_str_has_prefix(all, "byte*10^") || !g_ascii_string_to_unsigned(all + 8, 10, 0, 15, &exponent, NULL))
		return 0;
	while (exponent--)
		factor *= 10;
	return factor;
}

/* number times units, at most max. */
static gboolean parse_amount(const char *what, const char *number, const char *units, guint64 max, guint64 *bytes, GError **error)
{
	guint64 factor = parse_units(units), count;

	if (!factor)
		return refuse(error, VMFILE_ERROR_UNSUPPORTED, "has the %s in a unit that is not known", what);
	if (!number || !g_ascii_string_to_unsigned(number, 10, 1, G_MAXUINT64, &count, NULL))
		return refuse(error, VMFILE_ERROR_INVALID, "has a %s that is no number", what);
	if (count > max / factor)
		return refuse(error, VMFILE_ERROR_LIMIT, "has a %s of more than %" G_GUINT64_FORMAT " GiB", what, max >> 30);
	*bytes = count * factor;
	return TRUE;
}

/* References: file names by id. */
static gboolean read_file(xmlNode *node, GHashTable *files, GError **error)
{
	g_autofree char *id = attribute(node, "id"), *href = attribute(node, "href"), *name = NULL;
	g_autofree char *compression = attribute(node, "compression"), *chunk = attribute(node, "chunkSize");

	if (!id || !href)
		return refuse(error, VMFILE_ERROR_INVALID, "has a File without %s", id ? "href" : "id");
	name = g_uri_unescape_string(href, "/");
	if (!name || !ovf_file_name_fit(name))
		return refuse(error, VMFILE_ERROR_INVALID, "names a file that is not simply in the package");
	if ((compression && *compression && !g_str_equal(compression, "identity")) || chunk)
		return refuse(error, VMFILE_ERROR_UNSUPPORTED, "has the file '%s' compressed or in pieces; unpack it and pack it again plain",
			name);
	if (g_hash_table_size(files) >= OVF_MAX_FILES)
		return refuse(error, VMFILE_ERROR_LIMIT, "names more than %d files", OVF_MAX_FILES);
	if (!g_hash_table_insert(files, g_steal_pointer(&id), g_steal_pointer(&name)))
		return refuse(error, VMFILE_ERROR_INVALID, "has two Files with the same id");
	return TRUE;
}

static const char *format_of(const char *uri)
{
	for (gsize i = 0; uri && i < G_N_ELEMENTS(ovf_formats); i++)
		if (strstr(uri, ovf_formats[i].part))
			return ovf_formats[i].name;
	return NULL;
}

static gboolean read_disk(xmlNode *node, GHashTable *files, GHashTable *disks, GPtrArray *order, GError **error)
{
	g_autofree char *id = attribute(node, "diskId"), *file = attribute(node, "fileRef"), *parent = attribute(node, "parentRef");
	g_autofree char *capacity = attribute(node, "capacity"), *units = attribute(node, "capacityAllocationUnits");
	g_autofree char *uri = attribute(node, "format");
	g_autoptr(OvfDisk) disk = g_new0(OvfDisk, 1);

	if (!id)
		return refuse(error, VMFILE_ERROR_INVALID, "has a Disk without diskId");
	if (parent)
		return refuse(error, VMFILE_ERROR_UNSUPPORTED, "has a disk on top of another; export it without snapshots");
	if (!file)
		return refuse(error, VMFILE_ERROR_UNSUPPORTED, "has a disk without a file; take the empty disk away and export again");
	disk->href = g_strdup(g_hash_table_lookup(files, file));
	if (!disk->href)
		return refuse(error, VMFILE_ERROR_INVALID, "has a disk whose file is not among its References");
	if (!parse_amount("disk", capacity, units ? units : "byte", MAX_CAPACITY, &disk->capacity, error))
		return FALSE;
	disk->name = g_steal_pointer(&id);
	disk->format = g_strdup(format_of(uri));
	for (guint i = 0; i < order->len; i++)
		if (g_str_equal(((OvfDisk *)order->pdata[i])->href, disk->href))
			return refuse(error, VMFILE_ERROR_INVALID, "has two disks with the same file");
	if (order->len >= VM_MAX_DISKS)
		return refuse(error, VMFILE_ERROR_LIMIT, "has more than %d disks", VM_MAX_DISKS);
	if (!g_hash_table_insert(disks, disk->name, disk))
		return refuse(error, VMFILE_ERROR_INVALID, "has two Disks with the same diskId");
	g_ptr_array_add(order, g_steal_pointer(&disk));
	return TRUE;
}

enum { RASD_CPU = 3, RASD_MEMORY = 4, RASD_ETHERNET = 10, RASD_DISK = 17 };

/* The machine's next disk is the one that HostResource ("ovf:/disk/ID") names. */
static void attach_disk(xmlNode *item, GHashTable *disks, GPtrArray *attached)
{
	g_autofree char *host = text_in(item, "HostResource");
	const char *id = host ? strstr(host, "/disk/") : NULL;
	OvfDisk *disk = id ? g_hash_table_lookup(disks, id + strlen("/disk/")) : NULL;

	if (disk && !g_ptr_array_find(attached, disk, NULL))
		g_ptr_array_add(attached, disk);
}

static gboolean read_cpus(xmlNode *item, OvfMachine *machine, GError **error)
{
	g_autofree char *number = text_in(item, "VirtualQuantity");
	guint64 vcpus;

	if (!number || !g_ascii_string_to_unsigned(number, 10, 1, G_MAXUINT64, &vcpus, NULL))
		return refuse(error, VMFILE_ERROR_INVALID, "has a number of CPUs that is no number");
	if (vcpus > VM_MAX_VCPUS)
		return refuse(error, VMFILE_ERROR_LIMIT, "has more than %d CPUs", VM_MAX_VCPUS);
	machine->vcpus = (guint)vcpus;
	return TRUE;
}

static gboolean read_memory(xmlNode *item, OvfMachine *machine, GError **error)
{
	g_autofree char *number = text_in(item, "VirtualQuantity"), *units = text_in(item, "AllocationUnits");
	const SchemaKey *key = schema_find("machine", "memory-max");
	const guint64 MiB = 1 << 20;
	guint64 bytes;

	if (!parse_amount("memory", number, units ? units : "byte * 2^20", key->max, &bytes, error))
		return FALSE;
	machine->memory = MAX((bytes + MiB - 1) / MiB * MiB, key->min);
	return TRUE;
}

static gboolean read_item(xmlNode *item, OvfMachine *machine, GHashTable *disks, GPtrArray *attached, GError **error)
{
	g_autofree char *type = text_in(item, "ResourceType"), *bound = attribute(item, "bound");

	if (!type || bound) /* a bound tells a range about another item */
		return TRUE;
	switch (g_ascii_strtoull(type, NULL, 10)) {
	case RASD_CPU:
		return read_cpus(item, machine, error);
	case RASD_MEMORY:
		return read_memory(item, machine, error);
	case RASD_ETHERNET:
		machine->interfaces++;
		return machine->interfaces <= VM_MAX_INTERFACES ||
			refuse(error, VMFILE_ERROR_LIMIT, "has more than %d network interfaces", VM_MAX_INTERFACES);
	case RASD_DISK:
		attach_disk(item, disks, attached);
	}
	return TRUE;
}

static gboolean read_hardware(xmlNode *section, OvfMachine *machine, GHashTable *disks, GPtrArray *order, GError **error)
{
	g_autoptr(GPtrArray) attached = g_ptr_array_new();

	for (xmlNode *item = section ? section->children : NULL; item; item = item->next)
		if ((is(item, "Item") || is(item, "StorageItem") || is(item, "EthernetPortItem")) &&
		    !read_item(item, machine, disks, attached, error))
			return FALSE;
	for (guint i = 0; i < order->len; i++) /* what no item names comes last */
		if (!g_ptr_array_find(attached, order->pdata[i], NULL))
			g_ptr_array_add(attached, order->pdata[i]);
	for (guint i = 0; i < attached->len; i++) {
		const OvfDisk *disk = attached->pdata[i];

		ovf_add_disk(machine, disk->name, disk->href, disk->format, disk->capacity);
	}
	return TRUE;
}

/* The one virtual system that there is. */
static xmlNode *find_system(xmlNode *envelope, GError **error)
{
	xmlNode *collection = find(envelope->children, "VirtualSystemCollection");
	xmlNode *system = find(collection ? collection->children : envelope->children, "VirtualSystem");

	if (!system)
		refuse(error, VMFILE_ERROR_INVALID, "has no VirtualSystem");
	else if (find(system->next, "VirtualSystem") || (collection && find(envelope->children, "VirtualSystem")) ||
		 (collection && (find(collection->children, "VirtualSystemCollection") || find(collection->next, "VirtualSystemCollection"))))
		refuse(error, VMFILE_ERROR_UNSUPPORTED, "has several machines; export one at a time");
	else
		return system;
	return NULL;
}

static void read_names(xmlNode *system, OvfMachine *machine)
{
	xmlNode *section = find(system->children, "AnnotationSection");
	g_autofree char *name = text_in(system, "Name"), *id = attribute(system, "id");
	g_autofree char *annotation = section ? text_in(section, "Annotation") : NULL;

	machine->title = ovf_clean_text(name && *name ? name : id, 64, FALSE);
	machine->description = ovf_clean_text(annotation, 1024, TRUE);
}

static gboolean read_envelope(xmlNode *envelope, OvfMachine *machine, GError **error)
{
	g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GHashTable) disks = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
	xmlNode *system, *section, *node;

	if (!envelope || !is(envelope, "Envelope"))
		return refuse(error, VMFILE_ERROR_INVALID, "is some other XML: it has no Envelope");
	section = find(envelope->children, "References");
	for (node = section ? find(section->children, "File") : NULL; node; node = find(node->next, "File"))
		if (!read_file(node, files, error))
			return FALSE;
	section = find(envelope->children, "DiskSection");
	for (node = section ? find(section->children, "Disk") : NULL; node; node = find(node->next, "Disk"))
		if (!read_disk(node, files, disks, order, error))
			return FALSE;
	system = find_system(envelope, error);
	if (!system)
		return FALSE;
	read_names(system, machine);
	return read_hardware(find(system->children, "VirtualHardwareSection"), machine, disks, order, error);
}

OvfMachine *ovf_parse(const char *text, gsize length, GError **error)
{
	g_autoptr(OvfMachine) machine = ovf_new();
	xmlDoc *document = parse_xml(text, length, error);
	gboolean good = document && read_envelope(xmlDocGetRootElement(document), machine, error);

	if (document)
		xmlFreeDoc(document);
	return good ? g_steal_pointer(&machine) : NULL;
}
