#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# VMs move from one host to another and back, over ssh: shut down here, started there.
# shellcheck disable=SC2154 # bats sets them

load lib
load hosts

setup_file() {
	need tool qemu-system-x86_64
	hosts_up
	need template busybox
	need template debian-13-kernel
	lodge create 101 --vm --template busybox --ip auto --memory 128M --disk 256M 2>/dev/null
}
teardown_file() { hosts_down; }
teardown() { hosts_tell_more; }

moves() {
	run move "$@"
	is "$status" 0 "move $*: $output"
	use_host "$(other "$LG_HOST")"
}

# A power cut would be no different to it: its journal may be played back, behind that there is nothing to mend.
disk_is_whole() {
	local copy=$BATS_TEST_TMPDIR/disk.img
	cp --sparse=always "$LG_VAR/ct/101/disk.img" "$copy"
	e2fsck -p "$copy" >/dev/null || [ $? -le 1 ] || fail "its disk is not whole"
	e2fsck -fn "$copy" >"$BATS_TEST_TMPDIR/fsck" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/fsck")"
	rm -f "$copy"
}

@test "with what is in memory it cannot move yet: one line, and it is as it was" {
	lodge start 101 2>/dev/null
	run -16 --separate-stderr move 101 --live
	like "$stderr" 'a move with what is in memory is for containers alone' "what it says"
	is "$(state_on A 101)" running "state"
	lodge suspend 101
	run -16 --separate-stderr move 101
	like "$stderr" 'a move with what is in memory is for containers alone' "of a suspended one"
	lodge resume 101 2>/dev/null
}

@test "a host without a kernel for VMs is named before anything is touched" {
	on B without_kernel
	run move 101 --dry-run
	on B with_kernel
	is "$status" 16 "status: $output"
	like "$output" 'in the way: there is no kernel for microVMs' "what it says"
	is "$(state_on A 101)" running "state"
}

# There may be more than one.
kernels() { basename -a "$LODGE_TEMPLATE_STORE"/*-kernel; }
without_kernel() {
	local name
	for name in $(kernels); do
		umount "$LG_VAR/templates/$name" && rmdir "$LG_VAR/templates/$name"
	done
}
with_kernel() {
	local name
	for name in $(kernels); do
		mkdir "$LG_VAR/templates/$name"
		mount --bind "$LODGE_TEMPLATE_STORE/$name" "$LG_VAR/templates/$name"
		mount -o remount,bind,ro "$LG_VAR/templates/$name"
	done
}

is_heard() { in_ns "$LG_HOST" ping -c 1 -W 1 "$1" >/dev/null; }

@test "one that runs is shut down, and runs there with all its files" {
	local sum address
	address=$(address_of 101)
	in_ct 101 sh -c 'head -c 20000000 /dev/urandom >/root/much; echo late >/root/late; rm -f /root/none'
	sum=$(in_ct 101 sha256sum /root/much)
	wait_for 10 is_heard "$address" || fail "it is not heard here"
	moves 101
	is "$(state_on A 101)" none "state where it was"
	is "$(field 101 .state)" running "state where it is"
	is "$(field 101 .kind)" vm "kind"
	is "$(in_ct 101 sha256sum /root/much)" "$sum" "its files"
	is "$(in_ct 101 cat /root/late)" late "the last write"
	is "$(address_of 101)" "$address" "address"
	wait_for 10 is_heard "$address" || fail "it is not heard there"
	is "$(on A moves_left)" "" "files where it was"
}

@test "one that is stopped goes back, sparse as it was" {
	use_host B
	lodge stop 101
	disk_is_whole
	moves 101
	is "$(field 101 .state)" stopped "state"
	[ $(($(stat -c %b "$LG_VAR/ct/101/disk.img") * 512)) -lt 60000000 ] || fail "its disk is not sparse"
	is "$(stat -c %s "$LG_VAR/ct/101/disk.img")" $((256 << 20)) "its size"
	disk_is_whole
	lodge start 101 2>/dev/null
	is "$(in_ct 101 cat /root/late)" late "a file"
}

# break_at STAGE WHO: the move is held there, and WHO is killed
break_at() {
	local mover pid
	: >"$LG_HOLD/A/$1"
	move 101 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	mover=$!
	wait_for 60 test -e "$LG_HOLD/A/$1.here" || fail "it did not come to $1: $(cat "$BATS_TEST_TMPDIR/out")"
	case $2 in
	worker)
		for pid in /proc/[0-9]*; do
			[[ $(tr '\0' ' ' <"$pid/cmdline" 2>/dev/null) == *"lodge-worker migrate --var $LG_VAR"* ]] && kill -KILL "${pid#/proc/}"
		done || :
		;;
	lodged)
		lodged_down KILL >/dev/null
		;;
	esac
	rm -f "$LG_HOLD/A/$1.here"
	ended "$mover"
	[ "$ENDED" -ne 0 ] || fail "it says that it moved"
	[ "$2" != lodged ] || lodged_up
}

is_here() { [ "$(state_on A 101)" = running ] && [ "$(field 101 .busy)" = null ]; }
is_nowhere_else() { [ "$(state_on B 101)" = none ] && [ -z "$(on B moves_left)" ]; }

@test "broken off at any point before the end: it runs here with all its files, and nothing of it is there" {
	local who stage
	for who in worker lodged; do
		for stage in files last-files commit; do
			break_at $stage $who
			wait_for 60 is_here || fail "$who killed at $stage: it is $(state_on A 101)"
			wait_for 20 is_nowhere_else || fail "$who killed at $stage: it is $(state_on B 101) there, too"
			is "$(in_ct 101 cat /root/late)" late "$who killed at $stage: a file"
		done
	done
}
