# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Systems on a disk of their own, for VMs without a template. Everything is made in $IMAGES.

# make_bootsector: disk.img, whose guest is bootsector.S
make_bootsector() {
	as --32 -o "$IMAGES/b.o" "$BATS_TEST_DIRNAME/bootsector.S"
	ld -m elf_i386 -Ttext=0x7c00 --oformat binary -o "$IMAGES/disk.img" "$IMAGES/b.o"
	truncate -s 48M "$IMAGES/disk.img"
}

# make_multiboot_cd: multiboot.iso, with GRUB and multiboot.c, which that loads
make_multiboot_cd() {
	local cd=$IMAGES/multiboot.cd
	mkdir -p "$cd/boot/grub"
	gcc -m32 -O2 -ffreestanding -fno-pie -no-pie -fno-stack-protector -nostdlib -static -Wl,-Ttext=0x100000 -Wl,--build-id=none \
		-o "$cd/boot/multiboot" "$BATS_TEST_DIRNAME/multiboot.c"
	grub-file --is-x86-multiboot "$cd/boot/multiboot"
	printf 'set timeout=0\nmenuentry multiboot {\n\tmultiboot /boot/multiboot\n}\n' >"$cd/boot/grub/grub.cfg"
	grub-mkrescue -d /usr/lib/grub/i386-pc -o "$IMAGES/multiboot.iso" "$cd" >/dev/null 2>&1
	chmod 644 "$IMAGES/multiboot.iso"
}

# efi_disk NAME: an empty disk that UEFI reads
efi_disk() {
	rm -f "$IMAGES/$1"
	truncate -s 64M "$IMAGES/$1"
	mkfs.vfat -F 32 "$IMAGES/$1" >/dev/null
}

# The initrd of a guest with QEMU's agent in it: busybox, the agent with its libraries, and the modules of its port.
make_initrd() {
	local root=$IMAGES/initrd kernel=$1 file
	mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,lib/modules}
	cp "$(type -P busybox)" "$root/bin/busybox"
	ldd "$2" | grep -o '/[^ ]*' | while read -r file; do
		mkdir -p "$root${file%/*}"
		cp -L "$file" "$root$file"
	done
	cp "$2" "$root/bin/qemu-ga"
	for file in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console; do
		find "$kernel/lib/modules" "$kernel/usr/lib/modules" -name "$file.ko" -exec cp {} "$root/lib/modules/" \; -quit 2>/dev/null
	done
	cat >"$root/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console; do
			[ ! -e /lib/modules/$m.ko ] || insmod /lib/modules/$m.ko
		done
		while [ ! -e /dev/vport*p1 ]; do sleep 0.1; done
		echo "guest: $(uname -r) has its port"
		qemu-ga -m virtio-serial -p /dev/vport*p1 -t /run -f /run/ga.pid
		poweroff -f
	END
	chmod 755 "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$IMAGES/initrd.gz"
}

# make_linux: linux.img, a Debian 12's kernel with QEMU's agent in its initrd, which UEFI boots
make_linux() {
	need tool mkfs.vfat
	need tool mcopy
	need tool qemu-ga
	need tool busybox
	local kernel=$LG_VAR/templates/debian-12-kernel/rootfs
	[ -d "$kernel" ] || cannot_run "needs the template debian-12-kernel"
	make_initrd "$kernel" "$(type -P qemu-ga)"
	efi_disk linux.img
	mcopy -i "$IMAGES/linux.img" "$(find "$kernel/boot" -name 'vmlinuz-*' -print -quit)" ::/vmlinuz.efi
	mcopy -i "$IMAGES/linux.img" "$IMAGES/initrd.gz" ::/initrd
	printf 'vmlinuz.efi initrd=\\initrd console=ttyS0 quiet\r\n' >"$IMAGES/startup.nsh"
	mcopy -i "$IMAGES/linux.img" "$IMAGES/startup.nsh" ::/
}
