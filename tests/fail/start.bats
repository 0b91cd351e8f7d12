#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Every step of a start is made to fail, and the daemon is killed in front of each: the host is as before.
#
# LG_FAIL_STEP=N makes step N of each start fail, LG_CRASH_STEP=N kills the daemon in front of it. The number
# of steps is not known here: the loops end with the first N at which the start goes through.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

STEPS_MAX=40
STEPS_MIN=6

setup_file() {
	host_up
	need template busybox
	lodge create 101 --template busybox --ip auto --memory 32M
	# What a stopped container looks like; a failed start must come back to this.
	wait_for 5 settled
	host_state | sort >"$LG_STATE/stopped"
}
teardown_file() { host_down; }
teardown() {
	tell_more
	lodged_answers || lodged_up
	lodge stop --fast 101
}

# The spare shim is there in every quiet daemon; its number differs.
settled() {
	local now
	now=$(host_state | sed -E 's/(process lodge[^ ]*) .*/\1/; s/spare-[0-9]+/spare/' | sort)
	sleep 0.2
	[ "$now" = "$(host_state | sed -E 's/(process lodge[^ ]*) .*/\1/; s/spare-[0-9]+/spare/' | sort)" ]
}

quiet_state() {
	sed -E 's/(process lodge[^ ]*) .*/\1/; s/spare-[0-9]+/spare/' | sort
}

as_when_stopped() {
	diff <(quiet_state <"$LG_STATE/stopped") <(host_state | quiet_state) >"$LG_STATE/difference" &&
		[ -z "$(find "$LG_RUN/ct" "$LG_RUN/shim" -name '101*')" ]
}

@test "a start that fails at any step says which, leaves nothing, and the next one works" {
	local step names=
	for ((step = 0; step < STEPS_MAX; step++)); do
		lodged_down >/dev/null
		lodged_up LG_FAIL_STEP=$step
		run --separate-stderr lodge start 101
		[ "$status" -ne 0 ] || break
		is "${#stderr_lines[@]}" 1 "lines on stderr at step $step: $stderr"
		like "$stderr" '101.*made to fail' "what it says at step $step"
		[[ $names != *"<$stderr>"* ]] || fail "two steps have one name: $stderr"
		names+="<$stderr>"
		is "$(field 101 .state)" stopped "state after step $step"
		wait_for 10 as_when_stopped || fail "step $step left:" "$(cat "$LG_STATE/difference")"
		lodged_down >/dev/null
		lodged_up
		lodge start 101
		is "$(in_ct 101 echo fine)" fine "after a failure at step $step"
		lodge stop --fast 101
	done
	[ "$step" -ge $STEPS_MIN ] || fail "only $step steps failed"
	[ "$step" -lt $STEPS_MAX ]
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
		# Once init has been executed the start has happened, whoever was there to see it.
		if [ "$(field 101 .state)" = stopped ]; then
			wait_for 10 as_when_stopped || fail "step $step left:" "$(cat "$LG_STATE/difference")"
			lodge start 101
			undone=$step
		fi
		is "$(in_ct 101 echo fine)" fine "after a crash at step $step"
		lodge stop --fast 101
	done
	[ "$undone" -ge $STEPS_MIN ] || fail "only $undone steps were undone"
	[ "$step" -lt $STEPS_MAX ]
}

@test "a template whose init is not there fails at its step and leaves nothing" {
	mkdir -p "$LG_VAR/templates/broken"
	cp -a "$LG_VAR/templates/busybox/rootfs" "$LG_VAR/templates/broken/"
	sed 's/^NAME=.*/NAME="broken"/; s|^INIT=.*|INIT="/sbin/no-init"|' "$LG_VAR/templates/busybox/manifest" \
		>"$LG_VAR/templates/broken/manifest"
	lodge create 102 --template broken
	run --separate-stderr lodge start 102
	is "$status" 47 "status: $stderr"
	is "${#stderr_lines[@]}" 1 "lines: $stderr"
	like "$stderr" '/sbin/no-init' "it names the program"
	lodge destroy 102
	wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	lodge template remove broken
}

@test "an interface name that is taken fails at its step and leaves nothing" {
	# The name of the host's end is taken by a link that is not lodge's.
	ip link add "${LG_TAG}101.0" type bridge
	run --separate-stderr lodge start 101
	ip link del "${LG_TAG}101.0"
	if [ "$status" -ne 0 ]; then
		is "${#stderr_lines[@]}" 1 "lines: $stderr"
		wait_for 10 as_when_stopped || fail "left:" "$(cat "$LG_STATE/difference")"
	fi
	lodge stop --fast 101
	lodge start 101
}
