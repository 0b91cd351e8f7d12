#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Each participant of the move of a running VM is killed at each of its stages: it runs on exactly one of the two hosts then.
# shellcheck disable=SC2154,SC2016,SC2086 # bats sets them; single quotes are expanded inside, names split

load ../host/lib
load ../host/survive
load ../host/hosts
load ../host/moves

setup_file() {
	need tool qemu-system-x86_64
	hosts_up
	need template busybox
	need template debian-13-kernel
	survive_program
	CT_ADDRESS=10.157.0.111
	export SURVIVE CT_ADDRESS
	lodge create 101 --vm --template busybox --ip $CT_ADDRESS/16 --memory 320M --disk 256M 2>/dev/null
	lodge start 101 2>/dev/null
	put_survive 101
	in_ct 101 sh -c 'n=0; while sleep 0.02; do n=$((n + 1)); echo $n >/count; done >/dev/null 2>&1 </dev/null &'
	serve
}
teardown_file() {
	clients_kill
	hosts_down
}

setup() { find_it; }
teardown() {
	hosts_tell_more
	thaw
}

# What cannot die meanwhile does, and no cgroup stays, however the test ended.
thaw() {
	local pid
	[ -d "${FREEZER:-}" ] || return 0
	echo THAWED >"$FREEZER/freezer.state"
	while read -r pid; do
		echo "$pid" >"${FREEZER%/*}/cgroup.procs"
	done <"$FREEZER/cgroup.procs" 2>/dev/null || :
	wait_for 10 rmdir "$FREEZER" 2>/dev/null
}

# The QEMU of the host that is used, and its shim; also of one that is only coming in.
qemu() {
	local dir
	for dir in /proc/[0-9]*; do
		[[ $(readlink "$dir/exe") == *qemu-system* ]] && grep -qF "$LG_CGROUP/101" "$dir/cgroup" && echo "${dir#/proc/}"
	done 2>/dev/null || :
}

shim() {
	local pid
	pid=$(qemu)
	[ -z "$pid" ] || awk '/^PPid/ { print $2 }' "/proc/$pid/status"
}

# pid_of_more WHO OTHER-HOST
pid_of_more() {
	case $1 in
	qemu) qemu ;;
	shim) shim ;;
	there-qemu) on "$2" qemu ;;
	there-shim) on "$2" shim ;;
	esac
}

@test "the client is served" {
	sleep 0.5
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	client_goes_on
}

@test "preflight" { stage preflight $ALL; }
@test "prepare" { stage prepare $ALL; }
@test "files" { stage files $ALL; }
@test "stream" { stage stream $ALL there-qemu there-shim; }
@test "last files" { stage last-files $ALL there-qemu there-shim; }
@test "memory" { stage memory $ALL there-qemu there-shim; }
@test "restore" { stage restore $ALL there-qemu there-shim; }
@test "commit" { stage commit $ALL there-qemu there-shim; }
@test "go" { stage go $ALL qemu shim there-qemu there-shim; }
@test "after go" { stage after-go $ALL qemu shim; }

@test "go, while what failed there is still being cleaned up" {
	local here=$LG_HOST move qemu
	FREEZER=/sys/fs/cgroup/freezer/$LG_HOSTS_TAG
	[ -d "${FREEZER%/*}" ] || cannot_run "needs a freezer of cgroup v1, in which a process does not even die" excused
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	hold "$here" go
	move 101 --live >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	move=$!
	wait_for 100 is_held "$here" go || fail "$(<"$BATS_TEST_TMPDIR/out")"
	qemu=$(pid_of there-qemu)
	mkdir "$FREEZER"
	echo "$qemu" >"$FREEZER/cgroup.procs"
	echo FROZEN >"$FREEZER/freezer.state"
	kill -KILL "$(pid_of there-shim)"
	sleep 0.5
	let_go "$here" go
	sleep 1
	thaw
	ended "$move"
	[ "$ENDED" -ne 0 ] || fail "it moved: $(<"$BATS_TEST_TMPDIR/out")"
	ends_well "when go came late"
	nothing_left
	run move 101 --live
	is "$status" 0 "the next move: $output"
	use_host "$(other "$LG_HOST")"
	ends_well "behind it"
}

@test "no room for its memory there" { full checkpoint 100k 1000; }
@test "no room there to write down that it is there" { full moved 4k 1; }

@test "the client has lost nothing" {
	LG_STATE=$BATS_FILE_TMPDIR/A client_was_fine tcp
}
