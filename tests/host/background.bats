#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# lodged --background: it lets go of who started it, and what it says goes to a file.
# shellcheck disable=SC2154 # bats sets them

load lib

setup_file() {
	host_up
	is "$(lodged_down)" 0 "the daemon in the foreground"
}
teardown_file() {
	lodged_up
	host_down
}
setup() { LOG=$LG_VAR/log/lodged.log; }
teardown() {
	[ "${BATS_TEST_COMPLETED:-0}" = 1 ] || tail -n 15 "$LOG"
	end_background
}

# bats reads what is on descriptor 3, so nothing that goes on may have it.
in_background() {
	timeout 30 "$LG_LODGED" --root "$LODGE_ROOT" --background "$@" 3>&-
}

end_background() {
	local pid
	lodged_answers || return 0
	pid=$(<"$LG_RUN/lodged.pid")
	grep -qaF "$LODGE_ROOT" "/proc/$pid/cmdline" || fail "process $pid is not our lodged"
	kill "$pid"
	wait_for 20 is_no_more "$pid"
}

@test "who reads its output sees the end of it, while the daemon goes on" {
	export -f in_background
	# cat ends when nobody has the pipe any more: not the daemon, its spare shim, nor a worker.
	run timeout 30 bash -c 'in_background 2>&1 | cat; echo "status ${PIPESTATUS[0]}"'
	is "$status" 0 "reading to the end"
	is "$output" "status 0" "what it says to who started it"
	lodged_answers
	wait_for 10 grep -q 'lodged .* instance' "$LOG"
	is "$(stat -c %a "$LOG")" 600 "mode of its log"
}

@test "nothing of the caller's stays open in it" {
	local pid fd
	exec {fd}<"$BATS_TEST_FILENAME"
	in_background
	exec {fd}<&-
	pid=$(<"$LG_RUN/lodged.pid")
	is "$(find "/proc/$pid/fd" -lname "$BATS_TEST_FILENAME" -printf x)" "" "a file of the caller's"
	is "$(readlink "/proc/$pid/fd/2")" "$LOG" "its stderr"
}

@test "why it does not start is told to who started it, with the status" {
	in_background
	run -9 --separate-stderr in_background
	like "$stderr" 'running already' "the reason"
	is "${#stderr_lines[@]}" 1 "lines"
	lodged_answers
}

@test "a large log is turned over" {
	truncate -s 4M "$LOG"
	rm -f "$LOG.1"
	in_background
	is "$(stat -c %s "$LOG.1")" $((4 << 20)) "the old one"
	wait_for 10 grep -q instance "$LOG"
}
