#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Stopping: asked when init can hear it, killed when it does not end, and told when even that does not help.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

# lodge's files are on a file system of their own, which a test freezes: who writes then waits in the kernel
# and hears no signal. lodged itself must not write there meanwhile, nor be started.
setup_file() {
	host_up
	need template busybox
	need tool fsfreeze
	need tool mkfs.ext4
	is "$(lodged_down)" 0 "the daemon of before"
	unshare_templates
	truncate -s 96M "$BATS_FILE_TMPDIR/var.img"
	mkfs.ext4 -q "$BATS_FILE_TMPDIR/var.img"
	mount -o loop "$BATS_FILE_TMPDIR/var.img" "$LG_VAR"
	share_templates
	lodged_up
}

teardown_file() {
	destroy_all
	wait_for 20 trash_is_empty
	lodged_down
	unshare_templates
	umount "$LG_VAR"
	lodged_up
	host_down
}

teardown() {
	tell_more
	thaw
	wait_for 20 all_settled
	destroy_all
}

freeze() {
	fsfreeze --freeze "$LG_VAR"
	: >"$BATS_FILE_TMPDIR/frozen"
}

thaw() {
	[ ! -e "$BATS_FILE_TMPDIR/frozen" ] || fsfreeze --unfreeze "$LG_VAR"
	rm -f "$BATS_FILE_TMPDIR/frozen"
}

all_settled() {
	[ -z "$(lodge list -a --json | jq -r '.[].busy // empty')" ]
}

# Is a process of container ID, by what it calls itself, in state D?
in_state_d() {
	local pid
	for pid in $(cat "$CG_UNIFIED"/{,*/}cgroup.procs); do
		grep -qs "^[0-9]* ($2) D" "/proc/$pid/stat" && return
	done
	return 1
}

# init_of ID FIRST-LINE [LINE]...: a script that runs as its process 1
init_of() {
	local upper=$LG_VAR/ct/$1/upper
	lodge create "$1" --template busybox >/dev/null
	mkdir -p "$upper/sbin" "$upper/bin"
	install -m 0755 "$LG_PROBE" "$upper/bin/probe"
	printf '%s\n' "${@:2}" >"$upper/sbin/init"
	chmod 0755 "$upper/sbin/init"
	lodge start "$1" >/dev/null
}

@test "an init that has no handler yet is asked when it has one, not killed" {
	init_of 101 '#!/bin/probe late'
	is "$(awk '/^SigCgt/ { print $2 }' "/proc/$(init_pid 101)/status")" 0000000000000000 "handlers"
	run lodge stop 101 --timeout 25
	is "$status" 0 "stop: $output"
	[[ $output != *killing* ]]
	is "$(field 101 .last_exit)" "init ended with status 42" "how it ended"
}

@test "an init that does not listen is killed after the timeout" {
	init_of 101 '#!/bin/sh' 'trap "" INT; while :; do sleep 1; done'
	run lodge stop 101 --timeout 1
	is "$status" 0 "stop: $output"
	is "$(field 101 .state)" stopped "state"
	is "$(field 101 .last_exit)" "init killed by signal 9" "how it ended"
}

@test "a stopped (SIGSTOP) and a frozen guest are killed all the same" {
	ct 101
	kill -STOP "$(init_pid 101)"
	lodge stop --fast 101
	lodge start 101
	CG_UNIFIED=$(dirname "$(find "$(cgroup2_mount)" -path "*/$LG_CGROUP/101/cgroup.freeze")")
	echo 1 >"$CG_UNIFIED/cgroup.freeze"
	lodge stop --fast 101
	is "$(field 101 .state)" stopped "state"
}

@test "a process in state D is named; the container waits for it, and nothing else does" {
	ct 101
	ct 102
	CG_UNIFIED=$(dirname "$(find "$(cgroup2_mount)" -path "*/$LG_CGROUP/101/cgroup.freeze")")
	in_ct 101 sh -c 'ln -s /bin/busybox /tmp/touch; (sleep 1; exec touch /root/hung) </dev/null >/dev/null 2>&1 &'
	freeze
	wait_for 10 in_state_d 101 touch
	run -204 --separate-stderr lodge stop --fast 101
	is "${#stderr_lines[@]}" 1 "lines: $stderr"
	like "$stderr" '101 was killed and cannot end: process [0-9]+ \(touch\) waits in the kernel: [a-z_]+' "what it says"
	is "$(field 101 '.state + " " + .busy')" "running hangs" "its state"
	like "$(field 101 .hangs)" 'touch' "what show says"
	refused 204 'cannot end' lodge exec 101 true
	refused 204 'cannot end' lodge start 101
	is "$(in_ct 102 echo alive)" alive "the neighbour"
	lodge list >/dev/null
	thaw
	wait_for 20 all_settled
	is "$(field 101 .state)" stopped "its state when the disk answers"
	lodge start 101
	is "$(in_ct 101 echo back)" back "started again"
}

@test "a destroy of one that hangs fails, keeps it, and works when the disk answers" {
	ct 101
	CG_UNIFIED=$(dirname "$(find "$(cgroup2_mount)" -path "*/$LG_CGROUP/101/cgroup.freeze")")
	in_ct 101 sh -c '(sleep 1; exec touch /root/hung) </dev/null >/dev/null 2>&1 &'
	freeze
	wait_for 10 in_state_d 101 touch
	run -204 --separate-stderr lodge destroy --force 101
	[ -e "$LG_ETC/ct/101.conf" ]
	thaw
	wait_for 20 all_settled
	lodge destroy --force 101
	[ ! -e "$LG_ETC/ct/101.conf" ]
}
