#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs move from one host to another while they run.
# shellcheck disable=SC2154 # bats sets them

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
	cp -a --sparse=always "$LG_VAR/vm" "$(on B sh -c 'echo $LG_VAR')/vm"
}
teardown_file() { hosts_down; }
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
