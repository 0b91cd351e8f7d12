#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs that boot what is on their own disk: images of all kinds become one, hostile ones do not, and what runs in it need not be Linux.
#
# The guest is bootsector.S: 512 bytes that speak on the serial port.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need tool qemu-system-x86_64
	need tool qemu-img
	need tool as
	need tool script
	export IMAGES=$BATS_FILE_TMPDIR
	make_images
}
teardown_file() { host_down; }
teardown() { tell_more; }

# A raw disk with the boot sector, and something at other places by which a copy is known; and the same as others have it.
make_images() {
	as --32 -o "$IMAGES/b.o" "$BATS_TEST_DIRNAME/bootsector.S"
	ld -m elf_i386 -Ttext=0x7c00 --oformat binary -o "$IMAGES/disk.img" "$IMAGES/b.o"
	truncate -s 48M "$IMAGES/disk.img"
	head -c 300000 /dev/urandom | dd of="$IMAGES/disk.img" bs=512 seek=3001 conv=notrunc status=none
	head -c 512 /dev/urandom | dd of="$IMAGES/disk.img" bs=512 seek=98303 conv=notrunc status=none
	qemu-img convert -f raw -O qcow2 -c "$IMAGES/disk.img" "$IMAGES/disk.qcow2"
	qemu-img convert -f raw -O vmdk "$IMAGES/disk.img" "$IMAGES/disk.vmdk"
	qemu-img convert -f raw -O vhdx "$IMAGES/disk.img" "$IMAGES/disk.vhdx"
}

# other ID [OPTION]...: one that boots its own disk
other() {
	lodge create "$1" --vm --os other --memory 64M --cpus 1 "${@:2}" 2>/dev/null
}

same_disk() {
	cmp -n $((48 << 20)) "$IMAGES/disk.img" "$LG_VAR/ct/$1/disk.raw"
}

says() { grep -q "$2" "$LG_VAR/log/console/$1.log" 2>/dev/null; }

state_is() { [ "$(field "$1" .state)" = "$2" ]; }

# type_in ID KEYS: on its console
type_in() {
	{ sleep 1; printf '%s' "$2"; sleep 1; printf '\r\033.'; sleep 1; } |
		script -qfec "$LG_LODGE console $1" /dev/null >/dev/null 2>&1 3>&-
}

nothing_left() {
	is "$(lodge list -a -H -o id)" "" "containers"
	wait_for 10 no_files
}
no_files() { [ -z "$(files_left)" ]; }

@test "images of four kinds, told by their content, become the same disk" {
	local kind nr=300
	for kind in img qcow2 vmdk vhdx; do
		nr=$((nr + 1))
		cp "$IMAGES/disk.$kind" "$IMAGES/no-name"
		like "$(other $nr --disk-image "$IMAGES/no-name" --disk 64M)" "created $nr from its own disk" "create"
		same_disk $nr
		is "$(stat -c %s "$LG_VAR/ct/$nr/disk.raw")" $((64 << 20)) "as large as it was wanted"
		[ "$(du -k "$LG_VAR/ct/$nr/disk.raw" | cut -f1)" -lt 4096 ]
		is "$(stat -c '%u %a' "$LG_VAR/ct/$nr/disk.raw")" "0 600" "whose it is"
		[ $nr = 301 ] || lodge destroy $nr
	done
	is "$(field 301 '.settings | "\(.kind) \(.os) \(.disk)"')" "vm other 64.0M" "settings"
}

@test "it boots, speaks on its console, and hears what is typed" {
	lodge start 301 2>/dev/null
	wait_for 60 says 301 'boot sector: here'
	is "$(field 301 '"\(.state) \(.machine)"')" "running q35" "state"
	type_in 301 p
	wait_for 60 says 301 'all ports written' || state_is 301 stopped
	lodge list -a
	lodge stats -i 0 301
	lodge why 301
}
