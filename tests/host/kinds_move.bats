#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A move to another host is the same for a container and a microVM. kinds_move_vm.bats is this file under another name: of VMs.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib
load hosts

setup_file() {
	local -a kind=()
	case $BATS_TEST_FILENAME in
	*kinds_move_vm.bats)
		export KIND=vm
		kind=(--vm)
		need tool qemu-system-x86_64
		;;
	*)
		export KIND=container
		need criu
		;;
	esac
	hosts_up "CRIU=\"${LG_CRIU:-}\""
	need template busybox
	[ "$KIND" != vm ] || need template debian-13-kernel
	helper talk
	export HELPER
	lodge create 101 --name web "${kind[@]}" --template busybox --ip auto --memory 128M --cpus 1 --disk 256M 2>/dev/null
	lodge start 101 2>/dev/null
	put_helper 101 talk
	in_ct 101 sh -c 'talk count /count 4 </dev/null >/dev/null 2>&1 &'
}
teardown_file() { hosts_down; }
teardown() { hosts_tell_more; }

has_counted() { [ "$(in_ct 101 cat /count)" -gt "$1" ]; }

# The process that counts: it is the same one, and counts.
goes_on() {
	is "$(in_ct 101 pidof talk)" "$PID" "its process"
	wait_for 30 has_counted "$COUNT" || fail "it stands still at $(in_ct 101 cat /count), and was at $COUNT"
}

setup() {
	use_host A
	[ "$(state_on A 101)" != none ] || use_host B
	PID=$(in_ct 101 pidof talk) || return 0	# it was shut down
	wait_for 10 in_ct 101 test -s /count
	COUNT=$(in_ct 101 cat /count)
}

moves() {
	run move 101 "$@"
	is "$status" 0 "move $*: $output"
	use_host "$(other "$LG_HOST")"
}

nothing_left() { is "$(on "$(other "$LG_HOST")" moves_left)" "" "files where it was"; }

@test "a dry run says yes, and changes nothing" {
	run move 101 --live --dry-run
	is "$status" 0 "status: $output"
	like "$output" "101.* can move to host[AB]: nothing is in the way" "what it says"
	is_only_on A 101
	goes_on
}

@test "it runs there as it ran here, and tells how long it stood still" {
	local address
	address=$(address_of 101)
	in_ct 101 sh -c 'echo file >/root/note; echo memory >/dev/shm/note'
	run move 101 --live
	is "$status" 0 "move: $output"
	like "$output" 'moved 101 .*; it stood still for [0-9]+ ms' "what it says"
	use_host B
	is_only_on B 101
	goes_on
	is "$(in_ct 101 cat /root/note /dev/shm/note | xargs)" "file memory" "what it wrote before"
	is "$(address_of 101)" "$address" "address"
	in_ns B ping -c 1 -W 5 "$address" >/dev/null
	nothing_left
}

@test "what stands still for longer than it may runs on where it is" {
	run move 101 --live --max-downtime 1ms
	is "$status" 16 "status: $output"
	like "$output" 'it has stood still for the 1 ms that it may: it runs on here' "what it says"
	is_only_on "$LG_HOST" 101
	goes_on
	nothing_left
}

@test "a suspended one moves as it is, and goes on there" {
	lodge suspend 101
	moves
	is "$(state_on "$LG_HOST" 101)" suspended "state there"
	nothing_left
	lodge resume 101 2>/dev/null
	goes_on
	is "$(in_ct 101 cat /root/note /dev/shm/note | xargs)" "file memory" "what it wrote before"
}

@test "a session from outside ends, and says why; the next one works" {
	local session
	lodge exec 101 -- sleep 60 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	session=$!
	begun() { in_ct 101 pidof sleep >/dev/null; }
	wait_for 10 begun
	moves --live
	ended "$session"
	[ "$ENDED" -ne 0 ] || fail "its status is 0"
	like "$(cat "$BATS_TEST_TMPDIR/out")" 'the session ended because 101 .* is moving to host' "why it ended"
	is "$(in_ct 101 echo again)" again "another session"
	goes_on
}

@test "without --live it is shut down here and started there" {
	moves
	is_only_on "$LG_HOST" 101
	is "$(in_ct 101 cat /root/note)" file "its files"
	! in_ct 101 test -e /dev/shm/note || fail "what was in memory is there"
	nothing_left
}

@test "one that is stopped moves under another number, and stays here as it was when that is asked for" {
	local here=$LG_HOST
	lodge stop 101
	move 101 --keep-source --new-id 107
	is "$(state_on "$here" 101)" stopped "state here"
	is "$(state_on "$(other "$here")" 107)" stopped "state there"
	on "$(other "$here")" lodge destroy 107
	lodge start 101 2>/dev/null
	is "$(in_ct 101 cat /root/note)" file "its files"
}
