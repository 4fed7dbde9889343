// SPDX-License-Identifier: Apache-2.0
/* Any text as a VM file. What is taken keeps its promises, and is the same after it was written and read again. */
#include "mutate.h"
#include "vmfile.h"

static const char good[] =
	"# a comment\n[vm]\ntitle=Work\nuuid=9d2a3e5c-8f31-4c5e-9a0e-2b6f1c7d4e10\ncolour=#3465a4\n[machine]\nvcpus=2\nmemory-max=2G\n"
	"memory-min=512M\nkernel=k\n\n[disk xvda]\nfile=a\nformat=raw\n[network eth0]\nmode=shared\nnetwork=lan\nmac=52:54:00:12:34:56\n"
	"limit-in=1M\n[policy]\ndevices=usb:1;pci:2\non-crash=off\n[x-mine]\nkey[de]=v\\n\n";
static const char *const words[] = { "\n[disk xvdb]\nfile=b\n", "\n[network eth1]\n", "[", "]", "=", "\n", "\\", "\\n", "#", " ", ";",
	"true", "4294967296", "18446744073709551615T", "[vm]", "\r\n", "\xe2\x80\xae", "/", "..", "x-", "[de]", "Encoding=latin1\n",
	"\nreadonly=true\n", "uuid", "title", "\t" };
static const char *const sets[][2] = { { "vm", "title" }, { "machine", "memory-min" }, { "disk xvdc", "file" }, { "x-y", "x-z" } };

static void check_same(const VmFile *a, const VmFile *b)
{
	g_autofree char *one = vmfile_to_text(a), *two = vmfile_to_text(b);

	g_assert_cmpstr(one, ==, two);
	g_assert_true(g_str_equal(a->title, b->title) && g_str_equal(a->description, b->description) && g_str_equal(a->uuid, b->uuid));
	g_assert_true(a->disks->len == b->disks->len && a->interfaces->len == b->interfaces->len);
	g_assert_true(a->memory_max == b->memory_max && a->memory_min == b->memory_min && a->vcpus == b->vcpus);
	for (guint i = 0; i < a->interfaces->len; i++)
		g_assert_true(memcmp(((VmInterface *)a->interfaces->pdata[i])->mac, ((VmInterface *)b->interfaces->pdata[i])->mac, 6) == 0);
}

static void check_promises(const VmFile *file)
{
	g_assert_true(file->title && file->description && file->uuid && file->colour && file->devices && file->unknown);
	g_assert_true(file->vcpus >= 1 && file->vcpus <= VM_MAX_VCPUS && file->memory_min <= file->memory_max);
	g_assert_true(file->memory_min >= 64 << 20 && g_utf8_strlen(file->title, -1) <= 64 && !strchr(file->title, '\n'));
	g_assert_true(file->disks->len <= VM_MAX_DISKS && file->interfaces->len <= VM_MAX_INTERFACES);
	for (guint i = 0; i < file->disks->len; i++) {
		const VmDisk *disk = file->disks->pdata[i];

		g_assert_true(disk->file && *disk->file && !strstr(disk->file, "/../") && disk->format <= DISK_BLOCK);
	}
	for (guint i = 0; i < file->interfaces->len; i++) {
		const VmInterface *interface = file->interfaces->pdata[i];

		g_assert_true(!(interface->mac[0] & 1) && (interface->mode == NET_SHARED) == (interface->network != NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(VmFile) file = NULL;

	g_byte_array_append(text, (const guint8 *)good, sizeof(good) - 1);
	mutate(text, data, size, words, G_N_ELEMENTS(words));
	file = vmfile_parse("f", (const char *)text->data, text->len, &error);
	g_assert_true(!file == (error != NULL));
	if (file) {
		g_autoptr(VmFile) copy = vmfile_copy(file);
		g_autofree char *value = g_strndup((const char *)data, MIN(size, 40));

		check_promises(file);
		check_same(file, copy);
		for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
			vmfile_set(file, sets[i][0], sets[i][1], value, NULL);
		check_promises(file);
	} else {
		g_assert_true(g_str_has_prefix(error->message, "f:"));
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
	}
	return 0;
}
