#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Each participant of a move is killed at each of its stages. Whatever it was: the container runs on exactly one of the two hosts
# then, as it was, with its client's connection, and the next move works. A test for each stage, with one container that all of them
# do this to: where it is when a test begins, it moves from.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load ../host/lib
load ../host/survive
load ../host/hosts

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

# A server in it, and a client that sends and receives all the time.
serve() {
	survive_start 101 server
	new_client
}

new_client() {
	LG_STATE=$BATS_FILE_TMPDIR/A client_out tcp "$SURVIVE" client tcp "$CT_ADDRESS" 7001 5000
	sleep 0.3
}

setup() {
	use_host A
	rm -f "$LG_HOLD"/*/*
	runs_once || fail "it runs nowhere, or twice"
	use_host "$FOUND"
	# A test that has lost its client has failed; the next one has its own.
	[ -e "/proc/$(<"$BATS_FILE_TMPDIR/A/client.tcp.pid")" ] || new_client
}
teardown() { hosts_tell_more; }

# ---- who takes part --------------------------------------------------------------------------------

# process PROGRAM WORD: the one whose command line has WORD
process() {
	local dir
	for dir in /proc/[0-9]*; do
		if [ "$(basename "$(readlink "$dir/exe")")" = "$1" ] && tr '\0' ' ' <"$dir/cmdline" | grep -qF -e "$2"; then
			echo "${dir#/proc/}"
			return 0
		fi
	done 2>/dev/null
	return 1
}

child() {
	[ -z "$1" ] || pgrep -P "$1" | head -n 1
}

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

# pid_of WHO
pid_of() {
	local to
	to=$(other "$LG_HOST")
	case $1 in
	lodged) cat "$LG_RUN/lodged.pid" ;;
	worker) process lodge-worker "migrate --var $LG_VAR" ;;
	ssh) child "$(process lodge-worker "migrate --var $LG_VAR")" ;;
	lodge-criu) keeper ;;
	criu) child "$(keeper)" ;;
	criu-child) child "$(child "$(keeper)")" ;;	# does the work where only memory is copied
	there-lodged) cat "$(<"$BATS_FILE_TMPDIR/$to/root")/run/lodge/lodged.pid" ;;
	there-worker) process lodge-worker "receive --var $(<"$BATS_FILE_TMPDIR/$to/root")" ;;
	there-lodge-criu) on "$to" there_keeper ;;
	there-criu) child "$(on "$to" there_keeper)" ;;
	esac
}

# ---- what must be so then --------------------------------------------------------------------------

# Sets FOUND.
runs_once() {
	local here there
	here=$(state_on A 101)
	there=$(state_on B 101)
	case $here,$there in
	running,none) FOUND=A ;;
	none,running) FOUND=B ;;
	*) return 1 ;;
	esac
}

revive() {
	local n
	for n in A B; do
		on $n lodged_answers || on $n lodged_up
	done
}

counts() {
	local before
	before=$(count_of 101)
	sleep 0.2
	[ "$(count_of 101)" -gt "$before" ] || fail "it does not count any more: $before"
}

client_received() {
	in_ns C ss -tinH dst "$CT_ADDRESS" | sed -n 's/.*bytes_received:\([0-9]*\).*/\1/p'
}

client_receives() {
	[ "$(client_received)" -gt "$1" ]
}

client_goes_on() {
	local so_far
	[ -e "/proc/$(<"$LG_STATE_A/client.tcp.pid")" ] || fail "the client's connection ended: $(cat "$LG_STATE_A"/client.tcp*)"
	so_far=$(client_received)
	# The longer it stood still, the later do both ends try again.
	wait_for 50 client_receives "$so_far" || fail "the client receives nothing for 50 s: $(in_ns C ss -tinH dst "$CT_ADDRESS")"
}

# ends_well WHAT: and is used where it is
ends_well() {
	revive
	wait_for 60 runs_once || fail "$1: on A it is $(state_on A 101), on B $(state_on B 101)" \
		"$(on A lodge show 101 2>&1)" "$(on B lodge show 101 2>&1)"
	use_host "$FOUND"
	counts || fail "$1"
	client_goes_on || fail "$1"
}

nothing_left() {
	on A wait_for 10 no_moves_left || fail "left on A: $(cat "$BATS_FILE_TMPDIR/A/files")"
	on B wait_for 10 no_moves_left || fail "left on B: $(cat "$BATS_FILE_TMPDIR/B/files")"
	[ -z "$(on "$(other "$LG_HOST")" files_left)" ] || fail "left: $(on "$(other "$LG_HOST")" files_left)"
}

# killed_at STAGE WHO
killed_at() {
	local here=$LG_HOST move pid
	hold "$here" "$1"
	move 101 --live ${MOVE_OPTIONS:-} >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	move=$!
	wait_for 200 is_held "$here" "$1" || fail "$1 is not reached: $(<"$BATS_TEST_TMPDIR/out")"
	pid=$(pid_of "$2")
	[ -n "$pid" ] || fail "no $2 at $1"
	kill -KILL "$pid"
	sleep 0.1
	let_go "$here" "$1"
	# As a service manager would: a host whose daemon does not answer is waited for.
	revive
	wait_for 100 is_no_more "$move" || fail "the move does not end when $2 is killed at $1"
	wait "$move" || echo "# $1, $2: $(tail -n 1 "$BATS_TEST_TMPDIR/out")"
	ends_well "$2 killed at $1"
}

# stage NAME WHO...
stage() {
	local who
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	for who in "${@:2}"; do
		killed_at "$1" "$who"
	done
	nothing_left
	run move 101 --live
	is "$status" 0 "the next move: $output"
	use_host "$(other "$LG_HOST")"
	ends_well "after $1"
}

ALL="lodged worker ssh there-lodged there-worker"

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

# full FOLDER SIZE INODES: the other host has no room there
full() {
	local to at
	LG_STATE_A=$BATS_FILE_TMPDIR/A
	to=$(other "$LG_HOST")
	at=$(<"$BATS_FILE_TMPDIR/$to/root")/var/lib/lodge/$1
	mkdir -p "$at"
	mount -t tmpfs -o "size=$2,nr_inodes=$3" tmpfs "$at"
	run move 101 --live
	umount "$at"
	[ "$status" -ne 0 ] || fail "it moved: $output"
	is "$(grep -c '^lodge:' <<<"$output")" 1 "lines of error: $output"
	like "$output" 'No space left|no room is left' "what it says"
	ends_well "disk full for $1"
	is "$FOUND" "$(other "$to")" "where it is"
	nothing_left
	run move 101 --live
	is "$status" 0 "the next move: $output"
	use_host "$(other "$LG_HOST")"
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
