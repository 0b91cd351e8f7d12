#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon may be killed at any time: containers, consoles and commands in them go on.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load lib

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() {
	tell_more
	lodged_answers || lodged_up
	destroy_all
}

is_stopped() { [ "$(field 101 .state)" = stopped ]; }

# SIGKILL to the daemon, and nobody answers any more
crash() {
	is "$(lodged_down KILL)" 137 "how lodged ended"
	run lodge list
	is "$status" 201 "lodge without lodged"
}

@test "kill -9 of lodged during an exec: it goes on, its output and status arrive" {
	ct 101
	lodge exec 101 -- sh -c 'echo begun; sleep 2; cat; echo ended; exit 23' \
		<<<"input" >"$BATS_TEST_TMPDIR/out" 3>&- &
	local pid=$!
	wait_for 5 grep -q begun "$BATS_TEST_TMPDIR/out"
	crash
	ended "$pid"
	is "$ENDED" 23 "status"
	is "$(tr '\n' ' ' <"$BATS_TEST_TMPDIR/out")" "begun input ended " "output"
}

@test "an exec that began before a crash still runs after the daemon is back" {
	ct 101
	lodge exec 101 -- sh -c 'echo begun; sleep 2; exit 24' >"$BATS_TEST_TMPDIR/out" 3>&- &
	local pid=$!
	wait_for 5 grep -q begun "$BATS_TEST_TMPDIR/out"
	crash
	lodged_up
	is "$(in_ct 101 echo new)" new "a new exec meanwhile"
	ended "$pid"
	is "$ENDED" 24 "status"
}

@test "a daemon that comes back knows what runs: pids, address, usage, start time" {
	ct 101 --name web --ip auto --memory 64M
	lodge create 102 --template busybox
	local before
	before=$(lodge show 101 --json | jq -S 'del(.usage)')
	crash
	lodged_up
	is "$(lodge show 101 --json | jq -S 'del(.usage)')" "$before" "show"
	is "$(field 102 .state)" stopped "the stopped one"
	[ "$(field 101 .usage.tasks)" -ge 1 ]
	is "$(in_ct 101 echo hello)" hello "exec"
	ping -c 1 -W 2 "$(address_of 101)"
	lodge set 101 --memory 96M
	is "$(cgroup_value memory 101 memory.max memory.limit_in_bytes)" $((96 << 20)) "live set"
	lodge stop 101
	is "$(field 101 .state)" stopped "stopped by the new daemon"
}

@test "the console goes on without the daemon and can be attached again" {
	need tool script
	ct 101
	crash
	sleep 0.2
	lodged_up
	in_ct 101 sh -c 'echo after-the-crash >/dev/console'
	logged() { grep -q after-the-crash "$LG_VAR/log/console/101.log"; }
	wait_for 5 logged
	mkfifo "$BATS_TEST_TMPDIR/keys"
	script -qfec "$LG_LODGE console 101" /dev/null <"$BATS_TEST_TMPDIR/keys" \
		>"$BATS_TEST_TMPDIR/screen" 2>&1 3>&- &
	local pid=$!
	exec 9>"$BATS_TEST_TMPDIR/keys"
	sleep 0.5
	in_ct 101 sh -c 'echo still-watched >/dev/console'
	wait_for 5 grep -q still-watched "$BATS_TEST_TMPDIR/screen"
	printf '\r\033.' >&9
	ended "$pid"
}

@test "a guest that ends while there is no daemon is found stopped, and can be started" {
	ct 101
	local pid
	pid=$(init_pid 101)
	crash
	kill -KILL "$pid"
	wait_for 5 test ! -e "/proc/$pid"
	lodged_up
	is "$(field 101 .state)" stopped "state"
	is "$(find /sys/fs/cgroup -type d -path "*/$LG_CGROUP/101")" "" "cgroups"
	lodge start 101
	is "$(in_ct 101 echo again)" again "exec"
}

@test "a guest that reboots while there is no daemon runs again when one is back" {
	ct 101
	lodge exec 101 -- sh -c 'sleep 1; reboot' 3>&- </dev/null &
	sleep 0.5
	crash
	sleep 2
	lodged_up
	is_running() { [ "$(field 101 .state)" = running ]; }
	wait_for 10 is_running
	wait || test $? -gt 0
}

@test "kill -9 of a shim: the guest's processes end, state and host are clean, start works" {
	ct 101
	ct 102
	local init shim
	init=$(init_pid 101)
	shim=$(field 101 .shim_pid)
	like "$(readlink "/proc/$shim/exe")" 'lodge-shim' "the shim"
	kill -KILL "$shim"
	wait_for 5 is_stopped
	wait_for 5 test ! -e "/proc/$init"
	wait_for 5 test ! -e "/sys/class/net/${LG_TAG}101.0"
	is "$(in_ct 102 echo fine)" fine "the neighbour"
	lodge start 101
	is "$(in_ct 101 echo again)" again "exec"
}

@test "kill -9 of shim and daemon together: the next daemon cleans up" {
	ct 101
	local init shim
	init=$(init_pid 101)
	shim=$(field 101 .shim_pid)
	crash
	kill -KILL "$shim"
	lodged_up
	wait_for 5 is_stopped
	wait_for 5 test ! -e "/proc/$init"
	no_cgroup() { [ -z "$(find /sys/fs/cgroup -type d -path "*/$LG_CGROUP/101")" ]; }
	wait_for 5 no_cgroup
	lodge start 101
}

@test "ten crashes in a row leave one daemon, one bridge, and the guest as it was" {
	ct 101
	local pid
	pid=$(init_pid 101)
	for _ in {1..10}; do
		lodged_down KILL >/dev/null
		lodged_up
	done
	is "$(init_pid 101)" "$pid" "its init"
	is "$(in_ct 101 echo fine)" fine "exec"
	# one spare shim at the most besides the one in use
	[ "$(LG_SHARED_HOST=1 processes_of_lodge | grep -c lodge-shim)" -le 2 ]
}

@test "SIGTERM ends the daemon at once and leaves the containers running" {
	ct 101
	local pid
	pid=$(init_pid 101)
	is "$(lodged_down TERM)" 0 "how lodged ended"
	[ -e "/proc/$pid" ]
	lodged_up
	is "$(init_pid 101)" "$pid" "its init"
}

@test "a conf file that was half written by a crash elsewhere does not stop the daemon" {
	ct 101
	lodge create 102 --template busybox
	crash
	printf 'NAME="never ended\n' >"$LG_ETC/ct/102.conf"
	touch "$LG_ETC/ct/.103.conf.tmp"
	lodged_up
	is "$(in_ct 101 echo fine)" fine "the other container"
	rm -f "$LG_ETC/ct/102.conf" "$LG_ETC/ct/.103.conf.tmp"
	lodged_down KILL >/dev/null
	lodged_up
	rm -rf "$LG_VAR/ct/102"
}
