/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A system of 512 bytes for VMs that boot their own disk. It speaks on the first serial port and does what it is told there:
 *
 *	p	writes numbers to all ports but the serial one's, 65536 times, and says so
 *	o	switches the machine off (ACPI, where QEMU's q35 has it)
 *	r	resets it
 *
 * as --32 -o b.o bootsector.S && ld -m elf_i386 -Ttext=0x7c00 --oformat binary -o b.bin b.o
 */

	.code16
	.globl _start
_start:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	mov	$hello, %si
	call	say
wait:
	mov	$0x3fd, %dx
	in	%dx, %al
	test	$1, %al
	jz	wait
	mov	$0x3f8, %dx
	in	%dx, %al
	cmp	$'p', %al
	je	ports
	cmp	$'o', %al
	je	off
	cmp	$'r', %al
	je	reset
	jmp	wait

off:
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	wait

reset:
	mov	$0xfe, %al
	out	%al, $0x64
	jmp	wait

/* A number of our own choice for each port; those of the serial port are what we speak by. */
ports:
	mov	$0x1234, %bx
	xor	%cx, %cx
1:	imul	$25173, %bx, %bx
	add	$13849, %bx
	mov	%cx, %dx
	mov	%dx, %ax
	and	$0xfff8, %ax
	cmp	$0x3f8, %ax
	je	2f
	mov	%bx, %ax
	out	%al, %dx
2:	loop	1b
	mov	$done, %si
	call	say
	jmp	wait

say:
	lodsb
	test	%al, %al
	jz	4f
	mov	%al, %ah
	mov	$0x3fd, %dx
3:	in	%dx, %al
	test	$0x20, %al
	jz	3b
	mov	%ah, %al
	mov	$0x3f8, %dx
	out	%al, %dx
	jmp	say
4:	ret

hello:	.asciz "\r\nboot sector: here\r\n"
done:	.asciz "\r\nboot sector: all ports written\r\n"

	.org	510
	.word	0xaa55
