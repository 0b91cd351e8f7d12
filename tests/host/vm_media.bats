#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM that boots its own disk while it runs: what is in its drive, and what goes into its commands.
#
# The guest is Debian 13's kernel with busybox, QEMU's guest agent and tray.c in its initrd.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load hosts

setup_file() {
	need tool qemu-system-x86_64
	need tool qemu-ga
	need tool mkfs.vfat
	need tool mcopy
	need tool busybox
	need tool xz
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || cannot_run "needs the package ovmf"
	hosts_up
	need template debian-13-kernel
	export IMAGES=$BATS_FILE_TMPDIR
	make_image "$LG_VAR/templates/debian-13-kernel/rootfs"
	for disc in one two three; do disc "$disc"; done
	lodge create 301 --vm --firmware uefi --memory 384M --disk 64M --disk-image "$IMAGES/linux.img" 2>/dev/null
	lodge start 301 2>/dev/null
	wait_for 240 says 301 'has its port'
	wait_for 60 answers 301
}
teardown_file() { hosts_down; }
setup() {
	use_host A
	[ "$(state_on A 301)" != none ] || use_host B
}
teardown() {
	hosts_tell_more
	lodge -q exec 301 -- /bin/killall tray >/dev/null 2>&1 || true
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 8 "$LG_VAR"/log/console/*.log | cat -v | cut -c 1-300
}

MODULES="scsi_common scsi_mod libata libahci ahci cdrom sr_mod"

# The initrd: busybox, the agent with its libraries, modules of the drive.
make_initrd() {
	local root=$IMAGES/initrd file
	mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,modules}
	cp "$(type -P busybox)" "$root/bin/busybox"
	ldd "$(type -P qemu-ga)" | grep -o '/[^ ]*' | while read -r file; do
		mkdir -p "$root${file%/*}"
		cp -L "$file" "$root$file"
	done
	cp "$(type -P qemu-ga)" "$root/bin/qemu-ga"
	helper tray
	cp "$HELPER" "$root/bin/tray"
	for file in $MODULES; do
		xz -dc "$(find "$1"/usr/lib/modules -name "$file.ko.xz" -print -quit)" >"$root/modules/$file.ko"
	done
	cat >"$root/init" <<-END
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		for m in $MODULES; do insmod /modules/\$m.ko; done
		while [ ! -e /dev/vport*p1 ] || [ ! -e /dev/sr0 ]; do sleep 0.1; done
		echo 1000 >/sys/block/sr0/events_poll_msecs
		echo "guest: \$(uname -r) has its port and its drive"
		qemu-ga -m virtio-serial -p /dev/vport*p1 -t /run -f /run/ga.pid
		poweroff -f
	END
	chmod 755 "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$IMAGES/initrd.gz"
}

make_image() {
	make_initrd "$1"
	truncate -s 64M "$IMAGES/linux.img"
	mkfs.vfat -F 32 "$IMAGES/linux.img" >/dev/null
	mcopy -i "$IMAGES/linux.img" "$(find "$1/boot" -name 'vmlinuz-*' -print -quit)" ::/vmlinuz.efi
	mcopy -i "$IMAGES/linux.img" "$IMAGES/initrd.gz" ::/initrd
	printf 'vmlinuz.efi initrd=\\initrd console=ttyS0 quiet\r\n' >"$IMAGES/startup.nsh"
	mcopy -i "$IMAGES/linux.img" "$IMAGES/startup.nsh" ::/
}

# disc NAME: a medium that says its name
disc() {
	echo "disc $1" >"$IMAGES/$1.iso"
	truncate -s 1M "$IMAGES/$1.iso"
	chmod 644 "$IMAGES/$1.iso"
}

says() { grep -q "$2" "$LG_VAR/log/console/$1.log" 2>/dev/null; }

answers() { lodge exec "$1" -- /bin/true; }

# in_guest SCRIPT
in_guest() { lodge exec -n 301 -- /bin/sh -c "$1"; }

# holds TEXT: what comes to be in the drive, as the guest reads it; "": nothing
holds() { wait_for 10 reads "$1" || fail "in the drive" "  wanted: $1" "  got:    $(in_drive)"; }
in_drive() { in_guest 'head -n 1 /dev/sr0 2>/dev/null'; }
# A drive says twice that its medium has changed before it reads from it.
reads() { [ "$(in_drive)" = "$1" ]; }

# insert FILE|none: says nothing
insert() {
	run --separate-stderr lodge set 301 --cdrom "$1"
	is "$status" 0 "set --cdrom $1: $stderr"
}

# qemu_has: descriptors of QEMU's that are discs
qemu_has() { find "/proc/$(init_pid 301)/fd" -lname "$IMAGES/*.iso" 2>/dev/null | wc -l; }

@test "a VM that was started without one gets a CD, another one, and none" {
	holds ""
	insert "$IMAGES/one.iso"
	[[ ! $output$stderr =~ "next start" ]]
	holds "disc one"
	insert "$IMAGES/two.iso"
	holds "disc two"
	insert none
	holds ""
	is "$(qemu_has)" 0 "descriptors of discs in QEMU"
}

@test "what is no medium is refused in a line, and what is in the drive stays" {
	insert "$IMAGES/one.iso"
	cp "$IMAGES/two.iso" "$IMAGES/secret.iso"
	chmod 600 "$IMAGES/secret.iso"
	cp "$IMAGES/two.iso" "$LG_VAR/ct/301/two.iso"
	chmod 644 "$LG_VAR/ct/301/two.iso"
	ln -sf "$IMAGES" "$IMAGES/link"
	refused 3 "cdrom: open 'no-such.iso': No such file" lodge set 301 --cdrom no-such.iso
	refused 62 "cdrom: open '/no-such.iso': No such file" lodge set 301 --cdrom /no-such.iso
	refused 21 'is no file' lodge set 301 --cdrom "$IMAGES"
	refused 12 'not readable by everybody' lodge set 301 --cdrom "$IMAGES/secret.iso"
	refused 12 'belongs to a container or a VM' lodge set 301 --cdrom "$LG_VAR/ct/301/two.iso"
	refused 12 'not readable by everybody' lodge set 301 --cdrom "$LG_VAR/ct/301/disk.raw"
	rm "$LG_VAR/ct/301/two.iso"
	is "$(field 301 .settings.cdrom)" "$IMAGES/one.iso" "setting"
	holds "disc one"
}

@test "a guest that has locked the drive is asked to open it, and does" {
	insert "$IMAGES/one.iso"
	in_guest 'tray yield >/tmp/tray 2>&1 & until grep -q locked /tmp/tray; do sleep 0.1; done'
	insert "$IMAGES/two.iso"
	[[ ! $stderr$output =~ force ]]
	holds "disc two"
}

@test "one that does not open it has it opened by force, and that is said" {
	insert "$IMAGES/one.iso"
	in_guest 'tray hold >/tmp/tray 2>&1 & until grep -q locked /tmp/tray; do sleep 0.1; done'
	run --separate-stderr lodge set 301 --cdrom "$IMAGES/three.iso"
	is "$status" 0 "set: $stderr"
	like "$stderr$output" 'opened by force' "what it says"
	in_guest 'killall tray'
	holds "disc three"
}

@test "while it is waited for the guest nothing that needs to know what is in the drive is done" {
	insert "$IMAGES/one.iso"
	in_guest 'tray hold >/tmp/tray 2>&1 & until grep -q locked /tmp/tray; do sleep 0.1; done'
	"$LG_LODGE" set 301 --cdrom "$IMAGES/two.iso" >/dev/null 2>&1 3>&- &
	local setter=$!
	sleep 1
	refused 9 'is being changed: try again' lodge set 301 --cdrom "$IMAGES/three.iso"
	run move 301 --live
	is "$status" 9 "move: $output"
	run --separate-stderr lodge suspend 301
	[ "$status" -ne 0 ]
	like "$stderr" 'is being changed: try again' "suspend"
	wait "$setter"
	in_guest 'killall tray'
	is "$(field 301 '"\(.state) \(.settings.cdrom)"')" "running $IMAGES/two.iso" "state"
	holds "disc two"
}

@test "a daemon that is killed while it is waited for the guest leaves a change that is made, and the next one suspends with it" {
	insert "$IMAGES/one.iso"
	in_guest 'tray hold >/tmp/tray 2>&1 & until grep -q locked /tmp/tray; do sleep 0.1; done'
	"$LG_LODGE" set 301 --cdrom "$IMAGES/three.iso" >/dev/null 2>&1 3>&- &
	local setter=$!
	sleep 1
	lodged_down KILL >/dev/null
	lodged_up
	wait "$setter" || true
	sleep 9
	in_guest 'killall tray'
	is "$(field 301 '"\(.state) \(.settings.cdrom)"')" "running $IMAGES/three.iso" "state"
	run move 301 --live
	like "$output" 'has changed meanwhile' "the first move"
	lodge -q suspend 301 2>/dev/null
	lodge -q resume 301 2>/dev/null
	wait_for 60 answers 301
	holds "disc three"
}

@test "after many changes QEMU has one disc, and nothing else is left of them" {
	local before after i
	insert "$IMAGES/one.iso"
	before=$(find "/proc/$(init_pid 301)/fd" | wc -l)
	for ((i = 0; i < 25; i++)); do
		lodge -q set 301 --cdrom "$IMAGES/two.iso"
		lodge -q set 301 --cdrom "$IMAGES/one.iso"
	done
	after=$(find "/proc/$(init_pid 301)/fd" | wc -l)
	is "$after" "$before" "descriptors"
	holds "disc one"
}

@test "suspended and resumed it has what was in its drive, and a daemon that comes later knows that" {
	insert "$IMAGES/two.iso"
	lodged_down KILL >/dev/null
	lodged_up
	lodge -q suspend 301 2>/dev/null
	refused 32 'cdrom: it is suspended' lodge set 301 --cdrom "$IMAGES/one.iso"
	lodge -q resume 301 2>/dev/null
	wait_for 60 answers 301
	holds "disc two"
	insert "$IMAGES/three.iso"
	holds "disc three"
	insert none
	holds ""
	lodge -q suspend 301 2>/dev/null
	lodge -q resume 301 2>/dev/null
	wait_for 60 answers 301
	insert "$IMAGES/one.iso"
	holds "disc one"
}

@test "moved to another host while it runs it has what is in its drive, and another one there" {
	insert "$IMAGES/two.iso"
	run move 301 --live
	is "$status" 0 "move: $output"
	use_host "$(other "$LG_HOST")"
	wait_for 60 answers 301
	holds "disc two"
	insert "$IMAGES/three.iso"
	holds "disc three"
	mv "$IMAGES/three.iso" "$IMAGES/away.iso"
	run move 301 --live
	mv "$IMAGES/away.iso" "$IMAGES/three.iso"
	is "$status" 16 "without what is in its drive: $output"
	insert none
	run move 301 --live
	is "$status" 0 "back: $output"
	use_host "$(other "$LG_HOST")"
	wait_for 60 answers 301
	holds ""
	insert "$IMAGES/one.iso"
	holds "disc one"
}

# ---- what goes into its commands ----

@test "a command reads a file or a pipe, whatever is in it" {
	is "$(echo from a pipe | lodge exec 301 -- /bin/cat)" "from a pipe" "a pipe"
	is "$(lodge exec 301 -- /bin/cat </dev/null)" "" "nothing"
	is "$({ echo one; sleep 1; echo two; } | lodge exec 301 -- /bin/wc -l)" 2 "a slow pipe"
	head -c 300001 /dev/urandom >"$IMAGES/bytes"
	lodge exec 301 -- /bin/cat <"$IMAGES/bytes" >"$IMAGES/back"
	cmp "$IMAGES/bytes" "$IMAGES/back"
	run --separate-stderr lodge exec 301 -- /bin/sh -c 'cat; echo err >&2; exit 7' <<<word
	is "$status $output $stderr" "7 word err" "status and streams"
	run -127 --separate-stderr lodge exec 301 -- /bin/no-such <<<word
	is "${#stderr_lines[@]}" 1 "lines: $stderr"
	is "$(echo 'echo a shell' | lodge enter 301)" "a shell" "enter without a terminal"
}

@test "as much as its agent takes, and more is refused before anything runs" {
	head -c $((1 << 20)) /dev/urandom >"$IMAGES/bytes"
	is "$(lodge exec 301 -- /bin/md5sum <"$IMAGES/bytes" | cut -c1-32)" "$(md5sum "$IMAGES/bytes" | cut -c1-32)" "1 MiB"
	lodge exec 301 -- /bin/true <"$IMAGES/bytes"
	echo x >>"$IMAGES/bytes"
	refused 21 'standard input is larger than 1024 KiB' lodge exec 301 -- /bin/touch /tmp/ran <"$IMAGES/bytes"
	run ! lodge exec -n 301 -- /bin/test -e /tmp/ran
}

@test "with a terminal, or with -n, nothing is waited for" {
	run timeout 20 script -qec "$LG_LODGE exec 301 -- /bin/cat" /dev/null
	is "$status $output" "0 " "a terminal"
	is "$(sleep 8 | timeout 20 "$LG_LODGE" exec -n 301 -- /bin/echo done)" "done" "-n"
}

# begin SCRIPT: in the background, its output in $IMAGES/out; its pid in COMMAND
begin() {
	"$LG_LODGE" exec 301 -- /bin/sh -c "$1" >"$IMAGES/out" 2>&1 </dev/null 3>&- &
	COMMAND=$!
	wait_for 20 in_guest 'test -e /tmp/begun'
	in_guest 'rm /tmp/begun'
}
ends_with() {
	local status=0
	wait "$COMMAND" || status=$?
	is "$status" "$1" "status ($(<"$IMAGES/out"))"
}
none_sleep() { in_guest '! ps | grep -q "[s]leep 77"'; }

@test "a signal ends the command inside, and all that it started" {
	local sig
	# not INT: the background commands of a shell ignore it
	for sig in TERM HUP; do
		begin 'touch /tmp/begun; sleep 77; echo not this'
		kill -"$sig" "$COMMAND"
		ends_with $((128 + $(kill -l "$sig")))
		is "$(<"$IMAGES/out")" "" "$sig: what it said"
		none_sleep
	done
	run timeout --foreground --preserve-status -s INT 4 "$LG_LODGE" exec -n 301 -- /bin/sh -c 'sleep 77; echo not this'
	is "$status $output" "130 " "INT"
	none_sleep
	begin 'trap "echo heard; exit 5" TERM; touch /tmp/begun; while :; do sleep 1; done'
	kill -TERM "$COMMAND"
	ends_with 5
	like "$(<"$IMAGES/out")" '^heard' "what it said"
}

@test "a signal while it is waited for standard input ends what has not begun" {
	sleep 8 | "$LG_LODGE" exec 301 -- /bin/touch /tmp/ran >"$IMAGES/out" 2>&1 3>&- &
	COMMAND=$!
	sleep 2
	kill -TERM "$COMMAND"
	ends_with 143
	run ! lodge exec -n 301 -- /bin/test -e /tmp/ran
}

@test "where a guest has nothing that signals, the client says that the command runs on" {
	begin 'touch /tmp/begun; exec sleep 78'
	lodge exec -n 301 -- /bin/mv /bin/sh /bin/sh-away
	kill -TERM "$COMMAND"
	ends_with 143
	lodge exec -n 301 -- /bin/mv /bin/sh-away /bin/sh
	like "$(<"$IMAGES/out")" 'the command runs on inside, as process [0-9]+ there' "what it says"
	in_guest 'ps | grep -q "[s]leep 78"'
}
