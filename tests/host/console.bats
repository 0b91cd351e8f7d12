#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# console: attach before start, type, detach by key, and a log of everything.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
	need tool script
}
teardown_file() { host_down; }
teardown() {
	tell_more
	destroy_all
}

# A console session whose keys are written to descriptor 9 and whose screen is in $SCREEN.
attach() {
	SCREEN=$BATS_TEST_TMPDIR/screen
	mkfifo "$BATS_TEST_TMPDIR/keys"
	script -qfec "$LG_LODGE console $1" /dev/null <"$BATS_TEST_TMPDIR/keys" >"$SCREEN" 2>&1 3>&- &
	CONSOLE=$!
	exec 9>"$BATS_TEST_TMPDIR/keys"
	sleep 0.5
}

on_screen() { grep -q "$1" "$SCREEN"; }

attached() { kill -0 "$CONSOLE"; }

detached() { ! kill -0 "$CONSOLE" 2>/dev/null; }

@test "attached before start, it shows the boot" {
	lodge create 101 --template busybox
	attach 101
	attached
	lodge start 101
	in_ct 101 sh -c 'echo seen-on-the-console >/dev/console'
	wait_for 5 on_screen seen-on-the-console
	printf '\033.' >&9
	wait_for 5 detached
}

@test "what is typed reaches the guest's shell, and its answer the screen" {
	ct 101
	attach 101
	printf '\r' >&9
	sleep 0.5
	printf 'echo typed-$((40 + 2))\r' >&9
	wait_for 5 on_screen typed-42
	printf '\r\033.' >&9
	wait_for 5 detached
}

@test "the detach key counts only at the beginning of a line, and detaching is exit 0" {
	ct 101
	attach 101
	printf 'abc\033.' >&9
	sleep 0.5
	attached
	printf '\r\033.' >&9
	wait_for 5 detached
	wait "$CONSOLE"
	is "$(in_ct 101 echo alive)" alive "the guest goes on"
}

@test "the log keeps what nobody watched" {
	ct 101
	in_ct 101 sh -c 'echo nobody-was-looking >/dev/console'
	logged() { grep -q nobody-was-looking "$LG_VAR/log/console/101.log"; }
	wait_for 5 logged
	is "$(stat -c %a:%u "$LG_VAR/log/console/101.log")" 600:0 "mode and owner"
}

@test "the log turns over and does not grow without end" {
	ct 101
	in_ct 101 sh -c 'yes 0123456789012345678901234567890123456789 | head -c 3000000 >/dev/console'
	sleep 0.5
	local size
	for size in $(stat -c %s "$LG_VAR"/log/console/101.log*); do
		[ "$size" -le 1200000 ] || fail "a log of $size bytes"
	done
	[ -e "$LG_VAR/log/console/101.log.1" ]
}

@test "a guest that fills the console does not stop when nobody reads" {
	ct 101
	timeout 20 "$LG_LODGE" exec 101 -- sh -c 'yes | head -c 500000 >/dev/console; echo finished' >"$BATS_TEST_TMPDIR/out"
	is "$(cat "$BATS_TEST_TMPDIR/out")" finished "the writer"
}

@test "when the container stops, an attached console says so and ends" {
	ct 101
	attach 101
	lodge stop --fast 101
	ended "$CONSOLE"
	is "$ENDED" 0 "status"
	on_screen 'closed: it was stopped'
}

@test "two watchers see the same" {
	ct 101
	attach 101
	local first=$SCREEN first_pid=$CONSOLE
	exec 8>&9
	mv "$BATS_TEST_TMPDIR/keys" "$BATS_TEST_TMPDIR/keys1"
	mv "$first" "$BATS_TEST_TMPDIR/screen1"
	first=$BATS_TEST_TMPDIR/screen1
	attach 101
	in_ct 101 sh -c 'echo for-everybody >/dev/console'
	wait_for 5 on_screen for-everybody
	grep -q for-everybody "$first"
	printf '\r\033.' >&8
	printf '\r\033.' >&9
	wait_for 5 detached
	ended "$first_pid"
}
