/* SPDX-License-Identifier: Apache-2.0 */
/* What others say of disks: the head of an image, QEMU's block graph. */
#include "input.h"
#include "internal.h"
#include <string.h>

static void fuzz_header(const uint8_t *data, size_t size)
{
	guint8 head[1024] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	DiskHeader header;
	const char *problem;
	g_autofree guint8 *exact = NULL;

	/* As it is, and with a magic that it would take long to find; a heap block of its size shows a step too far. */
	memcpy(head + 8, data, MIN(size, sizeof head - 8));
	exact = g_memdup2(head, MIN(size + 8, sizeof head));
	if (header_parse(exact, MIN(size + 8, sizeof head), &header, &problem)) {
		g_assert(!header.backing || strlen(header.backing) <= 1023);
		header_clear(&header);
	} else {
		g_assert(problem && !header.backing);
	}
	if (header_parse(data, size, &header, &problem))
		header_clear(&header);
}

static void fuzz_graph(const char *text, gssize length)
{
	const char *middle = memchr(text, '\n', (gsize)length);
	g_autoptr(JsonNode) list = js_parse(text, middle ? middle - text : length, NULL);
	g_autoptr(JsonNode) graph = middle ? js_parse(middle, length - (middle - text), NULL) : NULL;
	g_autoptr(GPtrArray) nodes = NULL;

	if (!list)
		return;
	nodes = nodes_read(list, graph ? graph : list);
	qmp_image(nodes, "/vms/a.qcow2");
	for (guint i = 0; i < nodes->len; i++) {
		QmpNode *node = nodes->pdata[i];

		g_assert(node->name && node->driver && node->bitmaps && qmp_node(nodes, node->name));
		bitmap_find(node->bitmaps, "mark");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char seed[] =
		"[{\"node-name\":\"a\",\"drv\":\"qcow2\",\"dirty-bitmaps\":[{\"name\":\"m\",\"persistent\":true,"
		"\"granularity\":65536}]},{\"node-name\":\"f\",\"drv\":\"file\",\"file\":\"/vms/a.qcow2\"}]\n"
		"{\"nodes\":[{\"id\":1,\"type\":\"block-driver\",\"name\":\"a\"},{\"id\":2,\"type\":\"block-driver\","
		"\"name\":\"f\"}],\"edges\":[{\"parent\":1,\"child\":2,\"name\":\"file\"}]}";
	g_autofree char *bent = g_memdup2(seed, sizeof seed);

	if (size < 2)
		return 0;
	fuzz_header(data, size);
	fuzz_graph((const char *)data, (gssize)size);
	/* JSON is hardly met by chance: the seed with some of its bytes changed, place and value from the input. */
	for (size_t i = 0; i + 2 < size && i < 24; i += 3)
		bent[(data[i] | data[i + 1] << 8) % (sizeof seed - 1)] = (char)data[i + 2];
	fuzz_graph(bent, sizeof seed - 1);
	return 0;
}
