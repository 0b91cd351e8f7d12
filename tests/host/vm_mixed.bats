#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs that boot what is on their own disk: images of all kinds become one, hostile ones do not, and what runs in it need not be Linux.
#
# The guest is bootsector.S: 512 bytes that speak on the serial port.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load own_disk

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
teardown() {
	tell_more
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$LG_VAR"/log/console/*.log | cat -v | cut -c 1-300
}

# A raw disk with the boot sector, and something at other places by which a copy is known; and the same as others have it.
make_images() {
	make_bootsector
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
	wait_for 10 none_listed
	wait_for 10 no_files
}
none_listed() { [ -z "$(lodge list -a -H -o id)" ]; }
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
	is "$(lodge list -H -o id,kind,state | tr -s " ")" "301 vm running" "list"
	like "$(lodge stats -i 0 --json 301)" overhead_bytes "stats"
	lodge why 301
}

said_or_ended() {
	says 301 'all ports written' || [ "$(grep -c 'boot sector: here' "$LG_VAR/log/console/301.log")" -gt 1 ] || state_is 301 stopped
}

@test "a daemon that is killed does not end it, and the next one knows it" {
	local pid
	pid=$(init_pid 301)
	lodged_down KILL >/dev/null
	lodged_up
	is "$(field 301 '"\(.state) \(.machine)"')" "running q35" "state"
	is "$(init_pid 301)" "$pid" "QEMU"
}

@test "nothing in it answers exec, and the line says what would" {
	run --separate-stderr lodge exec 301 -- true
	[ "$status" -ne 0 ]
	is "${#stderr_lines[@]}" 1 "lines ($stderr)"
	like "$stderr" 'qemu-guest-agent' "what it says"
}

@test "its reset is a reboot, and its switching off is told" {
	type_in 301 r
	wait_for 60 rebooted
	type_in 301 o
	wait_for 60 state_is 301 stopped
	like "$(field 301 .last_exit)" 'powered off' "how it ended"
}
rebooted() { [ "$(grep -c 'boot sector: here' "$LG_VAR/log/console/301.log")" -ge 2 ]; }

@test "it has no ear for the power button: a stop ends it when its time is over, a fast one at once" {
	lodge start 301 2>/dev/null
	state_is 301 running
	lodge stop 301 --timeout 2
	state_is 301 stopped
	lodge start 301 2>/dev/null
	lodge restart 301 --fast 2>/dev/null
	state_is 301 running
	lodge stop 301 --fast
	state_is 301 stopped
}

@test "a disk only grows, running or not" {
	refused 21 'only be made larger' lodge set 301 --disk 48M
	lodge set 301 --disk 80M
	is "$(stat -c %s "$LG_VAR/ct/301/disk.raw")" $((80 << 20)) "stopped"
	lodge start 301 2>/dev/null
	lodge set 301 --disk 96M
	is "$(stat -c %s "$LG_VAR/ct/301/disk.raw")" $((96 << 20)) "running"
	same_disk 301
	lodge stop 301 --fast
	sed -i 's,^DISKSPACE=.*,DISKSPACE="40960:40960",' "$LG_ETC/ct/301.conf"
	lodge start 301 2>/dev/null
	is "$(stat -c %s "$LG_VAR/ct/301/disk.raw")" $((96 << 20)) "nothing is cut off"
	lodge stop 301 --fast
	lodge set 301 --disk 96M
}

@test "settings that mean nothing to it, or nothing without it, are refused with why" {
	refused 20 'hostname: nobody of lodge' lodge set 301 --hostname x
	refused 20 'kernel-template: the VM boots' lodge set 301 --kernel-template debian-13-kernel
	refused 20 'sysctl: nobody of lodge' lodge set 301 --sysctl net.ipv4.ip_forward=1
	refused 20 'os: a container' lodge create 302 --template busybox --os linux
	refused 20 'disk-image: a container' lodge create 302 --template busybox --disk-image "$IMAGES/disk.img"
	refused 20 'either a template or' lodge create 302 --vm --template busybox --disk-image "$IMAGES/disk.img"
	refused 20 'ssh-key: ' lodge create 302 --vm --os other --ssh-key "$(a_key)"
	refused 51 'is not mounted on the host' lodge mount 301 || refused 50 'is not mounted on the host' lodge mount 301
}
a_key() {
	echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfake key" >"$BATS_TEST_TMPDIR/key.pub"
	echo "$BATS_TEST_TMPDIR/key.pub"
}

@test "a guest that writes to all of its ports harms nobody but itself" {
	other 302 --disk-image "$IMAGES/disk.img"
	lodge start 301 2>/dev/null
	lodge start 302 2>/dev/null
	local neighbour
	neighbour=$(init_pid 302)
	wait_for 60 says 302 'boot sector: here'
	type_in 301 p
	wait_for 60 said_or_ended
	is "$(init_pid 302)" "$neighbour" "the neighbour runs on"
	type_in 302 o
	wait_for 60 state_is 302 stopped
	lodge stop 301 --fast || state_is 301 stopped
	lodge destroy 301
	lodge destroy 302
	nothing_left
}

# refused_image FILE PATTERN
refused_image() {
	refused "${3:-21}" "$2" lodge create -q 301 --vm --os other --disk-image "$1"
	nothing_left
}

@test "images that need other files are refused, and nothing is left" {
	cd "$IMAGES"
	qemu-img create -q -f qcow2 -b "$IMAGES/disk.img" -F raw backed.qcow2
	qemu-img create -q -f qcow2 -b /etc/passwd -F raw -u secret.qcow2 48M
	qemu-img create -q -f qcow2 -o data_file="$IMAGES/data.raw",data_file_raw=on outside.qcow2 48M
	qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat disk.img flat.vmdk
	refused_image backed.qcow2 'needs a backing file'
	refused_image secret.qcow2 'needs a backing file .*/etc/passwd'
	refused_image outside.qcow2 'the image '
	refused_image flat.vmdk 'in other files'
}

@test "images that are none, or not whole, are refused, and nothing is left" {
	cd "$IMAGES"
	head -c 100000 /dev/urandom >garbage
	: >empty
	head -c 150000 disk.qcow2 >cut.qcow2
	{ printf 'QFI\373\0\0\0\3'; head -c 100000 /dev/urandom; } >bad.qcow2
	{ printf 'KDMV'; head -c 100000 /dev/urandom; } >bad.vmdk
	{ printf 'vhdxfile'; head -c 3000000 /dev/urandom; } >bad.vhdx
	gzip -k disk.qcow2
	refused_image garbage 'no boot sector'
	refused_image empty 'no boot sector'
	refused_image cut.qcow2 'the image '
	refused_image bad.qcow2 'the image is damaged'
	refused_image bad.vmdk 'the image is damaged'
	refused_image bad.vhdx 'the image is damaged'
	refused_image disk.qcow2.gz 'gzip'
	refused_image /dev/zero 'no regular file'
	refused 3 'disk-image: open' lodge create -q 301 --vm --disk-image no-such
}

@test "an image larger than the disk is refused, and says what it takes" {
	refused 21 'give --disk 48M or more' lodge create -q 301 --vm --os other --disk 40M --disk-image "$IMAGES/disk.qcow2"
	refused 21 'give --disk 48M or more' lodge create -q 301 --vm --os other --disk 40M --disk-image "$IMAGES/disk.img"
	nothing_left
}

# slow_create: one that copies for a while, in the background; its pid in CREATING
slow_create() {
	if [ ! -e "$IMAGES/large.qcow2" ]; then
		{ cat "$IMAGES/disk.img"; head -c $((200 << 20)) /dev/urandom; } >"$IMAGES/large.img"
		qemu-img convert -f raw -O qcow2 "$IMAGES/large.img" "$IMAGES/large.qcow2"
		rm "$IMAGES/large.img"
	fi
	"$LG_LODGE" create 303 --vm --os other --disk-image "$IMAGES/large.qcow2" >/dev/null 2>&1 3>&- &
	CREATING=$!
	wait_for 20 test -e "$LG_VAR/ct/303/creating"
}

@test "a create whose command is killed leaves nothing" {
	slow_create
	is "$(field 303 .busy)" create "it is held meanwhile"
	refused 9 '303' lodge start 303
	kill -9 "$CREATING"
	nothing_left
}

@test "a create whose worker is killed leaves nothing" {
	slow_create
	kill -9 "$(pgrep -f "vm-disk --var $LG_VAR ")"
	ended "$CREATING"
	is "$ENDED" 3 "status"
	nothing_left
}

@test "a create whose daemon is killed leaves nothing" {
	slow_create
	lodged_down KILL >/dev/null
	lodged_up
	nothing_left
	no_qemu_img() { ! grep -qsa 'qemu-img' /proc/[0-9]*/comm || ! pgrep -x qemu-img >/dev/null; }
	wait_for 10 no_qemu_img
}

@test "a drive takes what everybody may read, by its own name, and is emptied by none" {
	cd "$IMAGES"
	head -c 65536 /dev/zero >cd.iso
	chmod 600 cd.iso
	refused 12 'not readable by everybody' lodge create 301 --vm --disk 48M --cdrom cd.iso
	chmod 644 cd.iso
	ln -sf "$IMAGES/cd.iso" link.iso
	lodge create 301 --vm --os other --disk 48M --memory 64M --cdrom link.iso 2>/dev/null
	is "$(field 301 .settings.cdrom)" "$IMAGES/cd.iso" "the command names the file itself"
	sed -i "s,^VM_CDROM=.*,VM_CDROM=\"$IMAGES/link.iso\"," "$LG_ETC/ct/301.conf"
	refused 21 'symbolic link' lodge start 301
	lodge set 301 --cdrom none
	lodge start 301 2>/dev/null
	lodge stop 301 --fast
	lodge destroy 301
}

@test "UEFI: its shell is a guest like any other, its settings are the machine's own, and its screen has a socket" {
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || cannot_run "needs the package ovmf"
	lodge create 304 --vm --os other --firmware uefi --vnc --disk 48M --memory 256M 2>/dev/null
	lodge start 304 2>/dev/null
	is "$(stat -c '%a %F' "$(field 304 .vnc)")" "600 socket" "its screen"
	wait_for 120 says 304 'UEFI Interactive Shell'
	wait_for 60 says 304 'Shell>'
	like "$(curl -s -m 2 --unix-socket "$(field 304 .vnc)" telnet://screen </dev/null | head -c 3)" 'RFB' "its screen speaks VNC"
	type_in 304 $'echo efi-says-%firmware%hi\r'
	wait_for 30 says 304 'efi-says-'
	is "$(stat -c %a "$LG_VAR/ct/304/vars.fd")" 600 "its settings"
	type_in 304 $'reset -s\r'
	wait_for 60 state_is 304 stopped
	lodge destroy 304
	nothing_left
}

@test "suspended to the disk and back, it goes on where it was" {
	lodge create 305 --vm --os other --memory 64M --disk-image "$IMAGES/disk.qcow2" --disk 48M 2>/dev/null
	lodge start 305 2>/dev/null
	wait_for 60 says 305 'boot sector: here'
	lodge suspend 305 2>/dev/null
	is "$(field 305 .state)" suspended "state"
	refused 32 'firmware: it is suspended' lodge set 305 --firmware uefi
	lodge resume 305 2>/dev/null
	is "$(field 305 .state)" running "state"
	type_in 305 o
	wait_for 60 state_is 305 stopped
	is "$(grep -c 'boot sector: here' "$LG_VAR/log/console/305.log")" 1 "it booted once"
	lodge destroy 305
}

@test "memtest86+, a system that is no Linux, tests what memory it was given" {
	local image=/boot/memtest86+x64.efi
	[ -e "$image" ] || cannot_run "needs the package memtest86+"
	need tool mkfs.vfat
	need tool mcopy
	efi_disk memtest.img
	mcopy -i "$IMAGES/memtest.img" "$image" ::/memtest.efi
	printf 'memtest.efi console=ttyS0,115200\r\n' >"$IMAGES/startup.nsh"
	mcopy -i "$IMAGES/memtest.img" "$IMAGES/startup.nsh" ::/
	lodge create 306 --vm --vnc --os other --firmware uefi --memory 128M --disk 64M --disk-image "$IMAGES/memtest.img" 2>/dev/null
	lodge start 306 2>/dev/null
	wait_for 60 says 306 'Memtest86+'
	lodge stop 306 --fast
	lodge destroy 306
}

@test "a Multiboot kernel, loaded by GRUB from a CD, finds the memory that it was given, and switches off" {
	need tool grub-mkrescue
	need tool xorriso
	make_multiboot_cd
	lodge create 308 --vm --os other --firmware bios --memory 96M --disk 48M --cdrom "$IMAGES/multiboot.iso" 2>/dev/null
	lodge start 308 2>/dev/null
	wait_for 60 says 308 'multiboot: here, 97[0-9]* KiB above the first MiB, bad pages: 0'
	wait_for 60 state_is 308 stopped
	lodge destroy 308
	nothing_left
}

@test "a Linux of another major version, booted from its own disk, executes by QEMU's guest agent" {
	make_linux
	lodge create 307 --vm --firmware uefi --memory 384M --disk 64M --disk-image "$IMAGES/linux.img" 2>/dev/null
	lodge start 307 2>/dev/null
	wait_for 240 says 307 'has its port'
	answers() { lodge exec 307 -- /bin/true; }
	wait_for 60 answers
	run --separate-stderr lodge exec 307 -- /bin/sh -c 'echo out; echo err >&2; exit 7'
	is "$status $output $stderr" "7 out err" "status and streams"
	like "$(lodge exec 307 -- /bin/uname -r)" '^6\.1\.' "its kernel"
	run --separate-stderr lodge exec 307 -- /bin/sh -c 'kill -KILL $$'
	is "$status" 137 "SIGKILL"
	run -127 --separate-stderr lodge exec 307 -- /bin/no-such
	is "$(lodge exec 307 -- /bin/head -c 300000 /dev/zero | wc -c)" 300000 "much passes through"
	run script -qec "$LG_LODGE enter 307" /dev/null
	[ "$status" -ne 0 ]
	like "$output" 'gives no terminal' "enter"
	lodge stop 307 --fast
	lodge destroy 307
	nothing_left
}

@test "a template's system runs under the kernel of another major version" {
	need template debian-13
	need template debian-12-kernel
	lodge create 308 --vm --template debian-13 --kernel-template debian-12-kernel --memory 512M --disk 1G 2>/dev/null
	lodge start 308 2>/dev/null
	like "$(in_ct 308 uname -r)" '^6\.1\.' "its kernel"
	like "$(in_ct 308 cat /etc/os-release)" 'VERSION_ID="13"' "its system"
	lodge stop 308 --fast
	lodge destroy 308
}
