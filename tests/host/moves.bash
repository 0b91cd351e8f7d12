# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Moves that are broken off: each participant is killed at each stage. Whatever it was, the instance 101 runs on exactly one of the two
# hosts then, as it was, with its client's connection, and the next move works. To be loaded after lib, survive and hosts.
#
# Where it is when a test begins, it moves from. A file that has more participants than these defines pid_of_more.

# shellcheck disable=SC2154,SC2016,SC2034,SC2086 # bats sets them, files use them; single quotes are expanded inside, options split

# A server in it, and a client that sends and receives all the time.
serve() {
	survive_start 101 server
	new_client
}

new_client() {
	LG_STATE=$BATS_FILE_TMPDIR/A client_out tcp "$SURVIVE" client tcp "$CT_ADDRESS" 7001 5000
	sleep 0.3
}

find_it() {
	use_host A
	rm -f "$LG_HOLD"/*/*
	runs_once || fail "it runs nowhere, or twice"
	use_host "$FOUND"
	# A test that has lost its client has failed; the next one has its own.
	[ -e "/proc/$(<"$BATS_FILE_TMPDIR/A/client.tcp.pid")" ] || new_client
}

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

# pid_of WHO
pid_of() {
	local to
	to=$(other "$LG_HOST")
	case $1 in
	lodged) cat "$LG_RUN/lodged.pid" ;;
	worker) process lodge-worker "migrate --var $LG_VAR" ;;
	ssh) child "$(process lodge-worker "migrate --var $LG_VAR")" ;;
	there-lodged) cat "$(<"$BATS_FILE_TMPDIR/$to/root")/run/lodge/lodged.pid" ;;
	there-worker) process lodge-worker "receive --var $(<"$BATS_FILE_TMPDIR/$to/root")" ;;
	*) pid_of_more "$1" "$to" ;;
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
