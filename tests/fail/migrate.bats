#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Each participant of a move is killed at each of its stages. Whatever it was: the container runs on exactly one of the two hosts
# then, as it was, with its client's connection, and the next move works. A test for each stage, with one container that all of them
# do this to: where it is when a test begins, it moves from.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load ../host/lib
load ../host/survive
load ../host/hosts
load ../host/moves

setup_file() {
	need criu
	hosts_up "CRIU=\"$LG_CRIU\""
	need template busybox
	survive_program
	export SURVIVE
	ct_out 101 --memory 256M
	put_survive 101
	in_ct 101 sh -c 'n=0; while sleep 0.02; do n=$((n + 1)); echo $n >/count; done >/dev/null 2>&1 </dev/null &'
	serve
}
teardown_file() {
	clients_kill
	hosts_down
}

setup() { find_it; }
teardown() { hosts_tell_more; }

# ---- who takes part --------------------------------------------------------------------------------

# The keeper of the dump here, or of the restore there, and the criu below it.
keeper() {
	local pid
	for pid in $(pgrep -P "$(<"$LG_RUN/lodged.pid")"; pgrep -P "$(field 101 .shim_pid)"); do
		[ "$(basename "$(readlink "/proc/$pid/exe")")" != lodge-criu ] || echo "$pid"
	done
}

there_keeper() {
	local dir
	for dir in /proc/[0-9]*; do
		[ "$(basename "$(readlink "$dir/exe")")" = lodge-criu ] || continue
		grep -qF "$LG_CGROUP" "/proc/$(awk '/^PPid/ { print $2 }' "$dir/status")/cgroup" && echo "${dir#/proc/}"
	done 2>/dev/null
	return 0
}

# pid_of_more WHO OTHER-HOST
pid_of_more() {
	case $1 in
	lodge-criu) keeper ;;
	criu) child "$(keeper)" ;;
	criu-child) child "$(child "$(keeper)")" ;;	# does the work where only memory is copied
	there-lodge-criu) on "$2" there_keeper ;;
	there-criu) child "$(on "$2" there_keeper)" ;;
	esac
}

@test "the client is served" {
	sleep 0.5
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	client_goes_on
}

@test "preflight" { stage preflight $ALL; }
@test "template" { stage template $ALL; }
@test "prepare" { stage prepare $ALL; }
@test "files" { stage files $ALL; }
@test "round 1" { MOVE_OPTIONS="--rounds 2" stage round-1 $ALL; }
@test "freeze" { stage freeze $ALL; }
@test "still files" { stage still-files $ALL lodge-criu criu; }
@test "last files" { stage last-files $ALL; }
@test "memory" { stage memory $ALL; }
@test "restore" { stage restore $ALL; }
@test "commit" { stage commit $ALL there-lodge-criu there-criu; }
@test "go" { stage go $ALL lodge-criu criu there-lodge-criu there-criu; }
@test "after go" { stage after-go $ALL lodge-criu criu; }

# In the middle of a round that copies memory ahead. Whether it came in time does not matter: it moves, or runs on here.
killed_in_a_round() {
	local at=$LG_VAR/checkpoint/101/ahead-1 move pid
	move 101 --live --rounds 3 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	move=$!
	until [ -e "$at/$2" ] || is_no_more "$move"; do sleep 0.01; done
	pid=$(pid_of "$1") || test $? -eq 1
	if [ -z "$pid" ] || ! kill -KILL "$pid"; then
		echo "# $1 had ended already"
	fi
	revive
	wait_for 200 is_no_more "$move" || fail "the move does not end when $1 is killed"
	wait "$move" || echo "# $1: $(tail -n 1 "$BATS_TEST_TMPDIR/out")"
	grep -h 'note: ' "$BATS_TEST_TMPDIR/out" | sed "s/^/# $1: /" || test $? -eq 1
	ends_well "$1 killed in a round"
	memory_is_right 101
}

# It has a process that writes to its memory.
writes() {
	need_tracking
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	in_ct 101 pidof dirty >/dev/null || dirty_in 101 24 20000
}

# in_a_round FILE WHO...: as soon as CRIU has made that one
in_a_round() {
	local who
	writes
	for who in "${@:2}"; do
		killed_in_a_round "$who" "$1"
	done
	nothing_left
}

@test "CRIU, while memory is listed to be copied ahead" { in_a_round criu.log lodge-criu criu criu-child; }
@test "while memory is listed to be copied ahead" { in_a_round criu.log $ALL; }
@test "CRIU, while memory is copied ahead" { in_a_round pages-1.img lodge-criu criu criu-child; }
@test "while memory is copied ahead" { in_a_round pages-1.img $ALL; }
@test "round 2" {
	writes
	MOVE_OPTIONS="--rounds 3" stage round-2 $ALL
	memory_is_right 101
}
@test "go, out of images that go on from what was copied ahead" {
	writes
	MOVE_OPTIONS="--rounds 3" stage go lodged there-lodged
	memory_is_right 101
	in_ct 101 sh -c 'kill $(pidof dirty)'
}

@test "no room for its files there" {
	in_ct 101 sh -c 'head -c 3000000 /dev/urandom >/big'
	full ct 1M 1000
}
@test "no room for its memory there" { full checkpoint 100k 1000; }
@test "no room there to write down that it is there" { full moved 4k 1; }

@test "the client has lost nothing" {
	LG_STATE=$BATS_FILE_TMPDIR/A client_was_fine tcp
}

# What holds it in the middle of its dump is killed: it must be let go, whole.
@test "lodge-criu and criu, last files" { stage last-files lodge-criu criu; }
@test "lodge-criu and criu, memory" { stage memory lodge-criu criu; }
@test "lodge-criu and criu, restore" { stage restore lodge-criu criu; }
@test "lodge-criu and criu, commit" { stage commit lodge-criu criu; }
