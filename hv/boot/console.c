/* SPDX-License-Identifier: Apache-2.0 */
/* Where text goes: COM1, the firmware's screen until the service domain takes it, and a ring that "xl dmesg" reads. */
#include "asm.h"
#include "boot.h"
#include "cpu.h"
#include "font.h"
#include "guest.h"
#include "irq.h"
#include "lib.h"
#include "map.h"

#include <stdarg.h>

#define COM1         0x3f8
#define UART_DATA    (COM1 + 0)
#define UART_IER     (COM1 + 1)
#define UART_IIR_FCR (COM1 + 2)
#define UART_LCR     (COM1 + 3)
#define UART_MCR     (COM1 + 4)
#define UART_LSR     (COM1 + 5)
#define UART_SCRATCH (COM1 + 7)
#define LSR_DATA     0x01
#define LSR_THRE     0x20
#define UART_CLOCK   115200
#define UART_FIFO    16
/* Reads of a port take about 1 us: 100 ms, against 1.4 ms that a full FIFO takes. */
#define UART_PATIENCE 100000

#define RING_SIZE 65536u
#define PREFIX    "carrel: "

#define CELL_W 8
#define CELL_H 16
#define GREY   0xb0u

static uint32_t lock;

/* Indices run freely; the place is index % RING_SIZE. */
static char ring[RING_SIZE];
static uint32_t ring_end, ring_cleared;

static struct {
	bool tried, present, input;
	uint32_t baud;
	unsigned room; /* characters that still fit into its FIFO */
	char last;
} uart;

static struct {
	uint8_t *va;      /* NULL: not reachable now */
	uint32_t drawn;   /* ring index */
	uint32_t cols, rows, x, y;
	uint32_t ink;     /* a pixel */
} screen;

static bool line_open; /* the last character was not a newline */

/* ---- serial ---- */

/* DTR and RTS; for input OUT2, the interrupt line's gate. */
static void uart_lines(void)
{
	outb(UART_MCR, uart.input ? 0x0b : 0x03);
	outb(UART_IER, uart.input);
}

static void uart_init(uint32_t baud)
{
	uint16_t divisor = (uint16_t)(UART_CLOCK / baud);
	uart.tried = true;
	uart.baud = baud;
	outb(UART_SCRATCH, 0x5a);
	uart.present = inb(UART_SCRATCH) == 0x5a;
	if (!uart.present)
		return;
	outb(UART_IER, 0);
	outb(UART_LCR, 0x80);
	outb(UART_DATA, (uint8_t)divisor);
	outb(UART_IER, (uint8_t)(divisor >> 8));
	outb(UART_LCR, 0x03);
	outb(UART_IIR_FCR, 0x07);
	uart.room = 0;
	uart_lines();
}

static void uart_put(char c)
{
	if (!uart.room) {
		unsigned tries = UART_PATIENCE;
		while (!(inb(UART_LSR) & LSR_THRE) && --tries)
			;
		uart.present = tries;
		uart.room = UART_FIFO;
	}
	outb(UART_DATA, (uint8_t)c);
	uart.room--;
}

static void serial_put(char c)
{
	if (!opt.console_com1)
		return;
	if (!uart.tried || uart.baud != opt.com1_baud)
		uart_init(opt.com1_baud);
	if (!uart.present)
		return;
	if (c == '\n' && uart.last != '\r')
		uart_put('\r');
	uart_put(c);
	uart.last = c;
}

int console_guest_read(void)
{
	return opt.console_com1 && uart.present && (inb(UART_LSR) & LSR_DATA) ? inb(UART_DATA) : -1;
}

static void uart_input(struct irq *i)
{
	virq_raise_global(VIRQ_CONSOLE);
}

/* ISA interrupt 4, where the MADT puts it. Without it typing does nothing; output needs no interrupt. */
void console_input_init(void)
{
	unsigned gsi = 4;

	if (!opt.console_com1 || !uart.present)
		return;
	for (unsigned i = 0; i < acpi.nr_overrides; i++)
		if (acpi.override[i].irq == 4)
			gsi = acpi.override[i].gsi;
	if (gsi_claim(gsi, uart_input)) {
		printk(LOG_WARN "no interrupt for COM1: typing there goes nowhere");
		return;
	}
	uart.input = true;
	uart_lines();
}

void console_resume(void)
{
	if (uart.present)
		uart_init(uart.baud);
}

/* ---- screen ----
 * Never scrolls, for reading video memory is slow: after the last row it goes on at the first, with an empty row ahead. */

static void pixel_put(uint8_t *p, bool on)
{
	uint32_t v = on ? screen.ink : 0;
	for (unsigned i = 0; i < boot_info.fb.bpp / 8u; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void cell_draw(uint32_t x, uint32_t y, char c)
{
	const struct boot_fb *fb = &boot_info.fb;
	if (fb->text) {
		((volatile uint16_t *)(screen.va + (size_t)y * fb->pitch))[x] = (uint16_t)(0x0700 | (uint8_t)c);
		return;
	}
	uint64_t glyph = font[c > ' ' && c <= '~' ? c - ' ' : 0];
	unsigned bytes = fb->bpp / 8u;
	for (unsigned row = 0; row < CELL_H; row++) {
		uint8_t *p = screen.va + ((size_t)y * CELL_H + row) * fb->pitch + (size_t)x * CELL_W * bytes;
		uint8_t bits = (uint8_t)(glyph >> 8 * (FONT_ROWS - 1 - row / (CELL_H / FONT_ROWS)));
		if (fb->bpp == 32) {
			for (unsigned i = 0; i < CELL_W; i++)
				((volatile uint32_t *)p)[i] = bits >> (CELL_W - 1 - i) & 1 ? screen.ink : 0;
			continue;
		}
		for (unsigned i = 0; i < CELL_W; i++)
			pixel_put(p + i * bytes, bits >> (CELL_W - 1 - i) & 1);
	}
}

static void row_clear(uint32_t y)
{
	for (uint32_t x = 0; x < screen.cols; x++)
		cell_draw(x, y, ' ');
}

static void screen_newline(void)
{
	screen.x = 0;
	screen.y = (screen.y + 1) % screen.rows;
	row_clear((screen.y + 1) % screen.rows);
}

static void screen_put(char c)
{
	if (c == '\n') {
		screen_newline();
	} else if (c >= ' ') {
		if (screen.x == screen.cols)
			screen_newline();
		cell_draw(screen.x++, screen.y, c);
	}
}

static void screen_update(void)
{
	if (!screen.va || !opt.console_vga)
		return;
	if (ring_end - screen.drawn > RING_SIZE)
		screen.drawn = ring_end - RING_SIZE;
	while (screen.drawn != ring_end)
		screen_put(ring[screen.drawn++ % RING_SIZE]);
}

static uint32_t colour(uint8_t pos, uint8_t size)
{
	return size && size <= 8 && pos < 32 ? (GREY >> (8 - size)) << pos : 0;
}

/* What the loader says, if it makes sense. */
static bool screen_usable(const struct boot_fb *fb)
{
	uint32_t unit = fb->text ? 2 : fb->bpp / 8u;
	if (!fb->base || fb->width > 16384 || fb->height > 16384 || fb->base + (uint64_t)fb->pitch * fb->height < fb->base)
		return false;
	if (!fb->text && fb->bpp != 16 && fb->bpp != 24 && fb->bpp != 32)
		return false;
	return screen.cols >= 40 && screen.rows >= 10 && fb->pitch >= fb->width * unit;
}

void console_fb_init(void)
{
	struct boot_fb *fb = &boot_info.fb;
	screen.cols = fb->text ? fb->width : fb->width / CELL_W;
	screen.rows = fb->text ? fb->height : fb->height / CELL_H;
	if (!screen_usable(fb)) {
		fb->base = 0;
		return;
	}
	screen.ink = colour(fb->red_pos, fb->red_size) | colour(fb->green_pos, fb->green_size) |
		     colour(fb->blue_pos, fb->blue_size);
	if (fb->base + (uint64_t)fb->pitch * fb->height > 4 * GiB)
		return;
	screen.va = phys_to_virt(fb->base);
	for (uint32_t y = 0; y < screen.rows; y++)
		row_clear(y);
}

void console_fb_hold(void)
{
	screen.va = NULL;
}

void console_fb_map(void)
{
	if (boot_info.fb.base)
		screen.va = ioremap(boot_info.fb.base, (size_t)boot_info.fb.pitch * boot_info.fb.height);
}

void console_fb_release(void)
{
	screen.va = NULL;
}

/* ---- all of them ---- */

/* A CPU in panic() does not wait: the holder may be itself, or stopped. */
static void console_lock(void)
{
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) && !READ_ONCE(panicking))
		cpu_relax();
}

static void console_unlock(void)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static void put(char c)
{
	ring[ring_end++ % RING_SIZE] = c;
	if (ring_end - ring_cleared > RING_SIZE)
		ring_cleared = ring_end - RING_SIZE;
	serial_put(c);
	line_open = c != '\n';
}

/* Whole lines, each with the prefix; a line that the service domain left open is ended first. */
static void put_lines(const char *s)
{
	console_lock();
	if (line_open)
		put('\n');
	do {
		for (const char *p = PREFIX; *p; p++)
			put(*p);
		while (*s && *s != '\n')
			put(*s++);
		put('\n');
		if (*s)
			s++;
	} while (*s);
	screen_update();
	console_unlock();
}

static void vprintk(unsigned level, const char *fmt, va_list ap)
{
	char text[512];
	if (level > opt.loglvl)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	put_lines(text);
}

/* Takes a LOG_* prefix off *fmt. */
static unsigned log_level(const char **fmt, unsigned level)
{
	const char *s = *fmt;

	if (s[0] != '<' || s[1] < '0' || s[1] > '3' || s[2] != '>')
		return level;
	*fmt += 3;
	return (unsigned)(s[1] - '0');
}

void printk(const char *fmt, ...)
{
	unsigned level = log_level(&fmt, 2);
	va_list ap;

	va_start(ap, fmt);
	vprintk(level, fmt, ap);
	va_end(ap);
}

/* Counts are not exact when two CPUs meet here, which does no harm. */
void printk_guest(const char *fmt, ...)
{
	static ns_t second;
	static unsigned printed, dropped;
	unsigned level = log_level(&fmt, 1);
	va_list ap;
	ns_t t = now();

	if (level > opt.loglvl)
		return;
	if (t - second >= 1000000000) {
		second = t;
		printed = 0;
	}
	if (printed++ >= 10) {
		dropped++;
		return;
	}
	if (dropped)
		printk(LOG_WARN "%u messages about guests left out", dropped);
	dropped = 0;
	va_start(ap, fmt);
	vprintk(level, fmt, ap);
	va_end(ap);
}

/* *index: where the reader stands, advanced; 0 reads from the oldest kept character. clear forgets what is there, for
 * later readers from 0. */
uint32_t console_ring_read(char *buf, uint32_t max, uint32_t *index, bool clear)
{
	uint32_t n = 0, i = *index;
	console_lock();
	if ((int32_t)(i - ring_cleared) < 0 || (int32_t)(ring_end - i) < 0)
		i = ring_cleared;
	while (i != ring_end && n < max)
		buf[n++] = ring[i++ % RING_SIZE];
	if (clear)
		ring_cleared = ring_end;
	console_unlock();
	*index = i;
	return n;
}

/* The service domain's, as they come. */
void console_guest_write(struct domain *d, const char *s, size_t n)
{
	ASSERT(d->is_dom0);
	console_lock();
	while (n--)
		put(*s++);
	screen_update();
	console_unlock();
}
