#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs move from one host to another while they run.
# shellcheck disable=SC2154,SC2016 # bats sets them

load lib
load hosts

PORT=7007

setup_file() {
	need tool qemu-system-x86_64
	hosts_up
	need template busybox
	need template debian-13-kernel
	helper talk
	export HELPER
	lodge create 101 --vm --template busybox --ip auto --memory 128M --disk 256M 2>/dev/null
	lodge start 101 2>/dev/null
	put_helper 101 talk
	in_ct 101 sh -c 'talk count /tmp/count 4 </dev/null >/dev/null 2>&1 & talk serve '$PORT' </dev/null >/dev/null 2>&1 &'
}
teardown_file() { hosts_down; }
setup() {
	use_host A
	[ "$(state_on A 101)" != none ] || use_host B
}
teardown() { hosts_tell_more; }

count_of() { in_ct 101 cat /tmp/count; }
has_counted() { [ "$(count_of)" -gt "$1" ]; }
goes_on() { wait_for 30 has_counted "$1" || fail "it stands still at $(count_of), and was at $1"; }

moves() {
	run move 101 --live "$@"
	is "$status" 0 "move --live $*: $output"
	use_host "$(other "$LG_HOST")"
}

@test "it runs there as it ran here, and back" {
	local count pid dir
	wait_for 10 in_ct 101 test -s /tmp/count
	for dir in there back; do
		count=$(count_of)
		pid=$(in_ct 101 pidof talk)
		in_ct 101 sh -c "echo $dir >/root/note; echo $dir >/dev/shm/note"
		moves
		is_only_on "$LG_HOST" 101
		is "$(in_ct 101 pidof talk)" "$pid" "$dir: its processes"
		goes_on "$count"
		is "$(in_ct 101 cat /root/note /dev/shm/note | xargs)" "$dir $dir" "$dir: what it wrote before"
		is "$(on "$(other "$LG_HOST")" moves_left)" "" "$dir: files where it was"
	done
}

@test "what is sent is what QEMU writes: both hosts keep nothing of it, and the guest is no copy of itself" {
	local genid
	genid=$(jq -r .vm.genid "$LG_RUN/ct/101.json")
	like "$genid" '^[0-9a-f-]{36}$' "by which it knows whether it is a copy"
	moves
	is "$(jq -r .vm.genid "$LG_RUN/ct/101.json")" "$genid" "the same there"
	lodge suspend 101
	lodge resume 101 2>/dev/null
	[ "$(jq -r .vm.genid "$LG_RUN/ct/101.json")" != "$genid" ] || fail "it is not told that it was resumed from the disk"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "states of one that runs"
}

@test "memory that is written to faster than it can be copied arrives right" {
	dirty_in 101 24 100000
	moves
	memory_is_right 101
	in_ct 101 sh -c 'kill $(pidof dirty)'
}

@test "its clock is right there, and so is what limits it" {
	local skew
	lodge set 101 --memory 96M --cpus 0.5
	moves
	skew=$(($(in_ct 101 date +%s) - $(date +%s)))
	[ "${skew#-}" -le 2 ] || fail "its clock is $skew s off"
	is "$(field 101 .settings.cpus)" 0.5 "CPU limit"
	lodge set 101 --memory 128M --cpus 1
}

@test "a Debian with its services moves under load, and back" {
	local dir boot
	need template debian-13
	lodge create 102 --vm --template debian-13 --memory 512M --cpus 2 --disk 2G --ip 10.157.0.99/16 2>/dev/null
	lodge start --wait 102 2>/dev/null
	boot=$(in_ct 102 cat /proc/sys/kernel/random/boot_id)
	put_helper 102 talk
	in_ct 102 sh -c 'systemd-run --quiet --unit=writer sh -c "while :; do dd if=/dev/urandom of=/var/tmp/x bs=64k count=32 conv=fsync status=none; done"'
	in_ct 102 systemd-run --quiet --unit=counter talk count /var/tmp/count 4
	wait_for 10 in_ct 102 test -s /var/tmp/count
	for dir in there back; do
		run move 102 --live
		is "$status" 0 "$dir: $output"
		use_host "$(other "$LG_HOST")"
		is_only_on "$LG_HOST" 102
		is "$(in_ct 102 cat /proc/sys/kernel/random/boot_id)" "$boot" "$dir: its boot"
		is "$(in_ct 102 systemctl is-active writer counter | xargs)" "active active" "$dir: its services"
		is "$(in_ct 102 systemctl --failed --no-legend --plain | awk '{ print $1 }' | xargs)" "" "$dir: failed units"
	done
	in_ct 102 systemctl stop writer counter
	is "$(in_ct 102 sh -c 'sync; dmesg | grep -ciE "EXT4-fs error|I/O error|BUG:|Oops" || :')" 0 "errors of its kernel"
	lodge stop 102
	disk_is_whole 102
	lodge destroy 102
}

@test "while its memory is copied there is no session, and that is said" {
	local here=$LG_HOST mover
	hold "$here" last-files
	move 101 --live >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	mover=$!
	wait_for 60 is_held "$here" last-files || fail "$(cat "$BATS_TEST_TMPDIR/out")"
	refused 9 'its memory is being written' in_ct 101 true
	refused 9 'another operation|busy|locked|moving' lodge suspend 101
	let_go "$here" last-files
	ended "$mover"
	is "$ENDED" 0 "the move: $(cat "$BATS_TEST_TMPDIR/out")"
	use_host "$(other "$here")"
	is "$(in_ct 101 echo again)" again "a session there"
}
