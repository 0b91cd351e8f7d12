#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever is killed while a VM is suspended, it runs on or is suspended completely; while it is resumed, the next resume works.
#
# A QEMU that is stopped (SIGSTOP) holds a suspend where it is. LG_SUSPEND_S: how long a suspend and a resume may take.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

STEPS_MAX=40
STEPS_MIN=6

setup_file() {
	host_up
	need template busybox
	need template debian-13-kernel
	need tool qemu-system-x86_64
	helper talk
	export HELPER
	lodge create 101 --vm --template busybox --ip auto --memory 128M --disk 256M 2>/dev/null
	wait_for 5 settled
	host_state | sort >"$LG_STATE/stopped"
	lodge start 101 2>/dev/null
	put_helper 101 talk
	in_ct 101 sh -c 'talk count /tmp/count 4 </dev/null >/dev/null 2>&1 &'
	in_ct 101 pidof talk >"$LG_STATE/pid"
}
teardown_file() { host_down; }
teardown() {
	tell_more
	lodged_answers || lodged_up
}

quiet_state() {
	sed -E 's/(process lodge[^ ]*) .*/\1/; s/spare-[0-9]+/spare/' | sort
}

settled() {
	local now
	now=$(host_state | quiet_state)
	sleep 0.2
	[ "$now" = "$(host_state | quiet_state)" ]
}

as_when_stopped() {
	diff <(quiet_state <"$LG_STATE/stopped") <(host_state | quiet_state) >"$LG_STATE/difference" &&
		[ -z "$(find "$LG_RUN/ct" "$LG_RUN/shim" -name '101*')" ]
}

state_of() { field 101 .state; }
is_settled() { [ "$(field 101 .busy)" = null ]; }
has_counted() { [ "$(in_ct 101 cat /tmp/count)" -gt "$1" ]; }

# It is the same guest, and nothing of it was lost.
lively() {
	local count
	is "$(state_of)" running "state $1"
	is "$(in_ct 101 pidof talk)" "$(<"$LG_STATE/pid")" "its process $1"
	count=$(in_ct 101 cat /tmp/count)
	wait_for 30 has_counted "$count" || fail "it stands still $1"
	is "$(ls -A "$LG_VAR/checkpoint" 2>/dev/null)" "" "images $1"
	[ ! -e "$LG_VAR/ct/101/checkpoint" ] || fail "its layer is marked $1"
	in_ct 101 sh -c 'echo written >/root/written && sync'
}

# Suspended, or running: from either it goes on.
whole() {
	wait_for 60 is_settled || fail "busy $1: $(field 101 .busy)"
	if [ "$(state_of)" = suspended ]; then
		wait_for 10 as_when_stopped || fail "$1 left:" "$(cat "$LG_STATE/difference")"
		lodge resume 101 2>/dev/null
		SUSPENDED=$((SUSPENDED + 1))
	fi
	lively "$1"
}

# suspend_held: QEMU stands still, and so does the suspend; its pid in SUSPEND.
suspend_held() {
	kill -STOP "$(init_pid 101)"
	lodge suspend 101 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	SUSPEND=$!
	is_suspending() { [ "$(field 101 .busy)" = suspend ]; }
	wait_for 5 is_suspending
	sleep "${1:-0.5}"
}

@test "lodged killed while the state is written: the VM runs on by itself, and the next daemon clears up" {
	local qemu
	qemu=$(init_pid 101)
	suspend_held
	lodged_down KILL >/dev/null
	kill -CONT "$qemu"
	ended "$SUSPEND"
	lodged_up
	is "$(init_pid 101)" "$qemu" "its QEMU"
	lively "behind a suspend that was cut short"
}

@test "lodged killed at any moment of a suspend: it runs on, or is suspended completely" {
	local moment
	SUSPENDED=0
	for moment in 0.02 0.05 0.08 0.11 0.14 0.17 0.2 0.23 0.26 0.3 0.35 0.4 0.5 0.7 1; do
		lodge suspend 101 >/dev/null 2>&1 3>&- &
		SUSPEND=$!
		sleep $moment
		lodged_down KILL >/dev/null
		ended "$SUSPEND"
		lodged_up
		whole "lodged killed $moment s after the suspend began"
	done
	echo "# suspended $SUSPENDED times of 15" >&3
	[ "$SUSPENDED" -ge 1 ] || fail "it was suspended never"
	[ "$SUSPENDED" -le 14 ] || fail "it was suspended always"
}

@test "a suspend that takes too long is called off, and the VM runs on" {
	lodged_down >/dev/null
	lodged_up LG_SUSPEND_S=1
	suspend_held 2
	kill -CONT "$(init_pid 101)"
	ended "$SUSPEND"
	is "$ENDED" 16 "status"
	like "$(cat "$BATS_TEST_TMPDIR/out")" 'took more than 1 s' "what it says"
	lively "behind one that took too long"
	lodged_down >/dev/null
	lodged_up
}

@test "no room for its memory: refused by QEMU in the middle, and it runs on" {
	mkdir -p "$LG_VAR/checkpoint"
	mount -t tmpfs -o size=8M,mode=0700 none "$LG_VAR/checkpoint"
	run --separate-stderr lodge suspend 101
	umount "$LG_VAR/checkpoint"
	is "$status" 16 "status: $stderr"
	like "$stderr" "could not write the machine's state" "what it says"
	lively "behind one without room"
}

@test "QEMU killed in a suspend: it has ended, and the verb says so" {
	suspend_held
	kill -KILL "$(init_pid 101)"
	ended "$SUSPEND"
	is "$ENDED" 16 "status"
	like "$(cat "$BATS_TEST_TMPDIR/out")" 'ended by itself meanwhile' "what it says"
	is "$(state_of)" stopped "state"
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images"
	again
}

# Started anew, with what is to be found again.
again() {
	lodge start 101 2>/dev/null
	in_ct 101 sh -c 'talk count /tmp/count 4 </dev/null >/dev/null 2>&1 &'
	in_ct 101 pidof talk >"$LG_STATE/pid"
	wait_for 10 in_ct 101 test -s /tmp/count
}

@test "its shim killed in a suspend: nothing is left of either, and it is stopped" {
	suspend_held
	kill -KILL "$(field 101 .shim_pid)"
	ended "$SUSPEND"
	is "$ENDED" 16 "status"
	is "$(state_of)" stopped "state"
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	is "$(ls -A "$LG_VAR/checkpoint")" "" "images"
	again
}

@test "a resume that fails at any step leaves it suspended, and nothing on the host" {
	local step
	lodge suspend 101
	for ((step = 0; step < STEPS_MAX; step++)); do
		lodged_down >/dev/null
		lodged_up LG_FAIL_STEP=$step
		run --separate-stderr lodge resume 101
		[ "$status" -ne 0 ] || break
		is "${#stderr_lines[@]}" 1 "lines on stderr at step $step: $stderr"
		like "$stderr" '101.*stays suspended.*made to fail' "what it says at step $step"
		is "$(state_of)" suspended "state after step $step"
		wait_for 10 as_when_stopped || fail "step $step left:" "$(cat "$LG_STATE/difference")"
	done
	[ "$step" -ge $STEPS_MIN ] || fail "only $step steps failed"
	lodged_down >/dev/null
	lodged_up
	lively "behind a resume that failed at all steps"
}

@test "a daemon killed in front of any step of a resume: it stays suspended, or runs" {
	local step
	SUSPENDED=0
	for ((step = 0; step < STEPS_MAX; step++)); do
		[ "$(state_of)" = suspended ] || lodge suspend 101
		lodged_down >/dev/null
		lodged_up LG_CRASH_STEP=$step
		run --separate-stderr lodge resume 101
		[ "$status" -ne 0 ] || break
		wait_for 5 lodged_ended || fail "the daemon lives at step $step: $stderr"
		lodged_up
		whole "a daemon that died at step $step of a resume"
	done
	[ "$SUSPENDED" -ge $STEPS_MIN ] || fail "only $SUSPENDED steps left it suspended"
	[ "$step" -lt $STEPS_MAX ]
	lodged_down >/dev/null
	lodged_up
	lively "behind all that"
}
