#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU, its shim, or the daemon are killed at any moment of a VM's life: its disk is whole, its state clear, and nothing is left.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

STEPS_MAX=40
STEPS_MIN=6

setup_file() {
	host_up
	need template busybox
	need template debian-13-kernel
	need tool qemu-system-x86_64
	lodge create 101 --vm --template busybox --ip auto --memory 128M --disk 256M 2>/dev/null
	wait_for 5 settled
	host_state | sort >"$LG_STATE/stopped"
}
teardown_file() { host_down; }
teardown() {
	tell_more
	lodged_answers || lodged_up
	lodge stop --fast 101
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

qemus() {
	local dir
	for dir in /proc/[0-9]*; do
		[[ $(readlink "$dir/exe") == *qemu-system* ]] && grep -qF "$LG_CGROUP" "$dir/cgroup" && echo "${dir#/proc/}"
	done || :
}

as_when_stopped() {
	diff <(quiet_state <"$LG_STATE/stopped") <(host_state | quiet_state) >"$LG_STATE/difference" &&
		[ -z "$(find "$LG_RUN/ct" "$LG_RUN/shim" -name '101*')" ] && [ -z "$(qemus)" ]
}

is_stopped() { [ "$(field 101 .state)" = stopped ]; }

runs_again() {
	[ "$(field 101 .state)" = running ] || lodge start 101 2>/dev/null
	is "$(in_ct 101 echo fine)" fine "after $1"
}

@test "a start that fails at any step says which, leaves nothing, and the next one works" {
	local step names=
	for ((step = 0; step < STEPS_MAX; step++)); do
		lodged_down >/dev/null
		lodged_up LG_FAIL_STEP=$step
		run --separate-stderr lodge start 101
		[ "$status" -ne 0 ] || break
		stderr=$(grep -v '^starting 101: ' <<<"$stderr")
		is "$(wc -l <<<"$stderr")" 1 "lines that say so at step $step: $stderr"
		like "$stderr" '101.*made to fail' "what it says at step $step"
		[[ $names != *"<$stderr>"* ]] || fail "two steps have one name: $stderr"
		names+="<$stderr>"
		is "$(field 101 .state)" stopped "state after step $step"
		wait_for 10 as_when_stopped || fail "step $step left:" "$(cat "$LG_STATE/difference")"
	done
	[ "$step" -ge $STEPS_MIN ] || fail "only $step steps failed"
	[ "$step" -lt $STEPS_MAX ]
	disk_is_whole 101
	lodged_down >/dev/null
	lodged_up
	runs_again "failures at all steps"
}

@test "a daemon killed in front of any step heals when it comes back" {
	local step undone=0
	for ((step = 0; step < STEPS_MAX; step++)); do
		lodged_down >/dev/null
		lodged_up LG_CRASH_STEP=$step
		run --separate-stderr lodge start 101
		[ "$status" -ne 0 ] || break
		wait_for 5 lodged_ended || fail "the daemon lives at step $step: $stderr"
		lodged_up
		if is_stopped; then
			wait_for 10 as_when_stopped || fail "step $step left:" "$(cat "$LG_STATE/difference")"
			undone=$step
		else
			is "$(in_ct 101 echo fine)" fine "after a crash at step $step"
			lodge stop --fast 101
		fi
	done
	[ "$undone" -ge $STEPS_MIN ] || fail "only $undone steps were undone"
	[ "$step" -lt $STEPS_MAX ]
	disk_is_whole 101
}

# killed WHO SECONDS: that long after a start began
killed() {
	local pid starter
	lodge start 101 >/dev/null 2>&1 3>&- &
	starter=$!
	sleep "$2"
	case $1 in
	lodged)
		lodged_down KILL >/dev/null
		lodged_up
		;;
	qemu) for pid in $(qemus); do kill -KILL "$pid"; done ;;
	esac
	wait "$starter" || :
	is_settled() { [ "$(field 101 .busy)" = null ]; }
	wait_for 60 is_settled || fail "it is still busy: $(field 101 .busy)"
}

@test "QEMU or lodged killed anywhere in a boot: stopped or running, nothing between" {
	local who moment
	for who in qemu lodged; do
		for moment in 0.2 0.6 1.2 2.5 4; do
			killed $who $moment
			if is_stopped; then
				wait_for 20 as_when_stopped || fail "$who $moment left:" "$(cat "$LG_STATE/difference")"
			else
				is "$(in_ct 101 echo fine)" fine "$who killed after $moment s"
				lodge stop --fast 101
			fi
			disk_is_whole 101
		done
	done
	runs_again "all that"
}

@test "QEMU killed while the guest writes: what was synced is there, the disk is whole" {
	runs_again "a start"
	in_ct 101 sh -c 'echo synced >/root/synced; sync'
	lodge exec 101 -- sh -c 'i=0; while :; do echo $i >/root/f$((i % 50)); i=$((i + 1)); [ $((i % 100)) != 0 ] || sync; done' \
		>/dev/null 2>&1 3>&- &
	sleep 2
	kill -KILL "$(init_pid 101)"
	wait_for 10 is_stopped
	wait || test $? -gt 0
	like "$(field 101 .last_exit)" 'QEMU killed by signal 9' "why it ended"
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	disk_is_whole 101
	runs_again "kill -9 of QEMU"
	is "$(in_ct 101 cat /root/synced)" synced "what was synced"
}

@test "the shim killed: QEMU goes with it, and the next start works" {
	runs_again "a start"
	local qemu shim
	qemu=$(init_pid 101)
	shim=$(field 101 .shim_pid)
	like "$(readlink "/proc/$shim/exe")" 'lodge-vm' "the shim"
	kill -KILL "$shim"
	wait_for 10 is_stopped
	wait_for 10 test ! -e "/proc/$qemu"
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	disk_is_whole 101
	runs_again "kill -9 of the shim"
}

@test "shim and daemon killed together: the next daemon cleans up" {
	runs_again "a start"
	local qemu shim
	qemu=$(init_pid 101)
	shim=$(field 101 .shim_pid)
	lodged_down KILL >/dev/null
	kill -KILL "$shim"
	lodged_up
	wait_for 10 is_stopped
	wait_for 10 test ! -e "/proc/$qemu"
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	disk_is_whole 101
}

@test "a VM that ends while there is no daemon is found stopped; one that reboots then runs again" {
	runs_again "a start"
	lodge exec 101 -- sh -c 'sleep 2; poweroff' >/dev/null 2>&1 3>&- </dev/null &
	sleep 1
	lodged_down KILL >/dev/null
	sleep 6
	lodged_up
	wait_for 10 is_stopped
	wait || test $? -gt 0
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	disk_is_whole 101
}

@test "lodged or QEMU killed anywhere in a suspend: it runs on, is suspended as a whole, or has stopped" {
	local who moment pid
	runs_again "a start"
	for who in lodged qemu; do
		for moment in 0 0.03 0.06 0.1 0.15 0.2 0.3; do
			[ "$(field 101 .state)" = running ] || lodge start 101 2>/dev/null
			in_ct 101 sh -c 'echo secret >/run/memory; head -c 12000000 /dev/urandom >/run/much'
			lodge suspend 101 >/dev/null 2>&1 3>&- &
			sleep $moment
			if [ $who = lodged ]; then
				lodged_down KILL >/dev/null
				lodged_up
			else
				for pid in $(qemus); do kill -KILL "$pid" || [ ! -e "/proc/$pid" ]; done	# it may be over already
			fi
			wait || test $? -gt 0
			is_settled() { [ "$(field 101 .busy)" = null ]; }
			wait_for 30 is_settled || fail "it is still busy: $(field 101 .busy)"
			case $(field 101 .state) in
			suspended) lodge resume 101 2>/dev/null ;;
			stopped) [ $who = qemu ] && disk_is_whole 101 && continue || fail "it stopped: $(field 101 .last_exit)" ;;
			esac
			answers() { [ "$(timeout 5 "$LG_LODGE" exec 101 -- cat /run/memory)" = secret ]; }
			wait_for 30 answers || fail "$who killed after $moment s: it does not answer"
		done
	done
}

# A package was installed while lodged ran: what its worker makes is not what this lodged looks for.
@test "a worker of another release does not keep a start going for ever" {
	local libexec="$BATS_TEST_TMPDIR/libexec"
	lodged_down >/dev/null
	mkdir "$libexec"
	ln -s "${LODGE_LIBEXECDIR:-/usr/libexec/lodge}"/* "$libexec/"
	rm "$libexec/lodge-worker"
	cat >"$libexec/lodge-worker" <<-EOF
		#!/bin/sh
		[ "\$1" != vm-kernel ] || exit 0
		exec "${LODGE_LIBEXECDIR:-/usr/libexec/lodge}/lodge-worker" "\$@"
	EOF
	chmod +x "$libexec/lodge-worker"
	rm -rf "$LG_VAR/vm/kernel"
	lodged_up LODGE_LIBEXECDIR="$libexec"
	run --separate-stderr timeout 60 "$LG_LODGE" start 101
	[ "$status" -ne 0 ] && [ "$status" -ne 124 ] || fail "it ended with $status: $output"
	like "${stderr_lines[-1]}" 'start 101: .*template debian-13-kernel what lodged does not find.*Restart lodged' "what it says"
	lodged_down >/dev/null
	lodged_up
	lodge start 101 2>/dev/null
	runs_again "a start with the right one"
}
