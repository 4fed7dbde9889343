/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "lab.h"

void put(Frame *frame, const void *data, gsize length)
{
	g_assert_cmpuint(frame->length + length, <=, sizeof(frame->data));
	memcpy(frame->data + frame->length, data, length);
	frame->length += length;
}

void put8(Frame *frame, guint8 value)
{
	put(frame, &value, 1);
}

void put16(Frame *frame, guint16 value)
{
	value = htons(value);
	put(frame, &value, 2);
}

void eth(Frame *frame, const guint8 to[6], const guint8 from[6], guint16 type)
{
	frame->length = 0;
	put(frame, to, 6);
	put(frame, from, 6);
	put16(frame, type);
}

void tag(Frame *frame, guint16 protocol, guint16 id)
{
	memmove(frame->data + 16, frame->data + 12, frame->length - 12);
	frame->length += 4;
	frame->data[12] = (guint8)(protocol >> 8);
	frame->data[13] = (guint8)protocol;
	frame->data[14] = (guint8)(id >> 8);
	frame->data[15] = (guint8)id;
}

static guint32 sum(guint32 start, const void *data, gsize length)
{
	const guint8 *byte = data;
	for (gsize i = 0; i < length; i++)
		start += i & 1 ? byte[i] : (guint32)byte[i] << 8;
	return start;
}

static guint16 fold(guint32 value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return (guint16)~value;
}

static gsize address(const char *text, guint8 *to)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	g_assert_cmpint(inet_pton(family, text, to), ==, 1);
	return family == AF_INET6 ? 16 : 4;
}

static guint16 checksum(const char *from, const char *to, guint8 protocol, const void *payload, gsize length)
{
	guint8 one[16], two[16];
	gsize size = address(from, one);
	address(to, two);
	guint32 value = sum(sum((guint32)(length + protocol), one, size), two, size);
	return fold(sum(value, payload, length));
}

void ip4(Frame *frame, const char *from, const char *to, guint8 protocol, guint16 fragment, const void *payload, gsize length)
{
	guint8 header[20] = { 0x45, 0, (guint8)((length + 20) >> 8), (guint8)(length + 20), 0x12, 0x34, (guint8)(fragment >> 8),
		(guint8)fragment, 64, protocol };
	address(from, header + 12);
	address(to, header + 16);
	guint16 check = htons(fold(sum(0, header, 20)));
	memcpy(header + 10, &check, 2);
	put(frame, header, 20);
	put(frame, payload, length);
}

void ip6(Frame *frame, const char *from, const char *to, guint8 next, const void *payload, gsize length)
{
	guint8 header[40] = { 0x60, 0, 0, 0, (guint8)(length >> 8), (guint8)length, next, 255 };
	address(from, header + 8);
	address(to, header + 24);
	put(frame, header, 40);
	put(frame, payload, length);
}

gsize udp_payload(guint8 *out, const char *from, const char *to, guint16 sport, guint16 dport, const char *text, gsize length)
{
	guint16 header[4] = { htons(sport), htons(dport), htons((guint16)(length + 8)), 0 };
	memcpy(out, header, 8);
	memcpy(out + 8, text, length);
	header[3] = htons(checksum(from, to, 17, out, length + 8));
	memcpy(out, header, 8);
	return length + 8;
}

void udp(Frame *frame, const char *from, const char *to, guint16 sport, guint16 dport, const char *mark)
{
	guint8 payload[1500];
	gsize length = udp_payload(payload, from, to, sport, dport, mark, strlen(mark));
	if (strchr(from, ':'))
		ip6(frame, from, to, 17, payload, length);
	else
		ip4(frame, from, to, 17, 0, payload, length);
}

/* Router advertisement, solicitation, neighbour messages, echo: alike enough. The mark is a trailing option of type 14
 * (nonce) that fills whole units of eight bytes. */
gsize icmp6_payload(guint8 *out, const char *from, const char *to, guint8 type, const char *target, const char *mark)
{
	gsize length = 8;
	memset(out, 0, 128);
	out[0] = type;
	if (type == 134) { /* 16 bytes in all: hop limit, lifetime 1800 s, timers */
		out[4] = 64;
		out[6] = 0x07;
		out[7] = 0x08;
		length = 16;
	}
	if (type == 136)
		out[4] = 0x60; /* solicited, override */
	if (target)
		length += address(target, out + 8);
	out[length] = 14;
	out[length + 1] = 4;
	memcpy(out + length + 2, mark, strlen(mark));
	length += 32;
	guint16 check = htons(checksum(from, to, 58, out, length));
	memcpy(out + 2, &check, 2);
	return length;
}

void icmp6(Frame *frame, const char *from, const char *to, guint8 type, const char *target, const char *mark)
{
	guint8 payload[128];
	gsize length = icmp6_payload(payload, from, to, type, target, mark);
	ip6(frame, from, to, 58, payload, length);
}

void arp(Frame *frame, guint16 operation, const guint8 sender_mac[6], const char *sender, const char *target, const char *mark)
{
	static const guint8 nobody[6];
	guint8 one[16], two[16];

	address(sender, one);
	address(target, two);
	put16(frame, 1);
	put16(frame, 0x800);
	put8(frame, 6);
	put8(frame, 4);
	put16(frame, operation);
	put(frame, sender_mac, 6);
	put(frame, one, 4);
	put(frame, nobody, 6);
	put(frame, two, 4);
	put(frame, mark, strlen(mark)); /* where the padding is */
}
