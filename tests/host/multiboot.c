/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A kernel by the Multiboot specification (0.6.96) for VMs that boot a loader of their own: it says on the first serial port how much
 * memory the loader found, writes to all of it above itself and reads it again, and switches the machine off (ACPI of QEMU's q35).
 *
 * gcc -m32 -ffreestanding -fno-pie -fno-stack-protector -nostdlib -static -Wl,-Ttext=0x100000 -o multiboot multiboot.c
 */

#include <stdint.h>

#define HEADER_MAGIC 0x1badb002u
#define FLAGS 3u			/* modules on page borders, and tell how much memory there is */
#define LOADED_MAGIC 0x2badb002u	/* in eax, from the loader */

#define SERIAL 0x3f8
#define SERIAL_STATUS (SERIAL + 5)
#define SERIAL_FREE 0x20
#define POWER 0x604
#define POWER_OFF 0x2000

#define TESTED_FROM 0x400000u

struct info {
	uint32_t flags;
	uint32_t lower_kib, upper_kib;	/* below 1 MiB, above it */
};

__attribute__((section(".text.first"), used, aligned(4)))
static const uint32_t header[] = { HEADER_MAGIC, FLAGS, -(HEADER_MAGIC + FLAGS) };

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void say(const char *text)
{
	for (; *text; text++) {
		while (!(in8(SERIAL_STATUS) & SERIAL_FREE))
			;
		out8(SERIAL, (uint8_t)*text);
	}
}

static void say_number(uint32_t n)
{
	char digits[11], *at = digits + 10;

	*at = '\0';
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	say(at);
}

/* A word in each page, which is not the word of another. */
static uint32_t bad_pages(uint32_t end)
{
	uint32_t bad = 0;

	for (uint32_t at = TESTED_FROM; at < end; at += 4096)
		*(volatile uint32_t *)at = at ^ 0x5a5a5a5au;
	for (uint32_t at = TESTED_FROM; at < end; at += 4096)
		bad += *(volatile uint32_t *)at != (at ^ 0x5a5a5a5au);
	return bad;
}

__attribute__((used))
static void begin(uint32_t magic, const struct info *info)
{
	if (magic != LOADED_MAGIC || !(info->flags & 1)) {
		say("multiboot: not loaded as it should be\r\n");
	} else {
		uint32_t end = 0x100000u + info->upper_kib * 1024u;

		say("multiboot: here, ");
		say_number(info->upper_kib);
		say(" KiB above the first MiB, bad pages: ");
		say_number(bad_pages(end));
		say("\r\n");
	}
	out16(POWER, POWER_OFF);
	for (;;)
		__asm__ volatile("hlt");
}

/* No stack comes from the loader. */
__asm__(".globl _start\n"
	"_start:\n"
	"	mov	$stack_end, %esp\n"
	"	push	%ebx\n"
	"	push	%eax\n"
	"	call	begin\n"
	".bss\n"
	"	.align	16\n"
	"	.skip	16384\n"
	"stack_end:\n"
	".text\n");
