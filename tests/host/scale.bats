#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A hundred containers at once; teardown_file shows that the host is as before.
# shellcheck disable=SC2154 # bats sets them

load lib

FIRST=1001
LAST=1100

setup_file() {
	host_up
	need template busybox
}
teardown_file() { host_down; }
teardown() { tell_more; }

@test "a hundred containers are made" {
	local id
	for ((id = FIRST; id <= LAST; id++)); do
		lodge create "$id" --template busybox --ip auto --memory 16M --tasks 20
	done
	is "$(all_ctids | wc -l)" 100 "containers"
	is "$(lodge list -a --json | jq -r '.[].addresses[0]' | sort -u | wc -l)" 100 "different addresses"
}

@test "a hundred start" {
	local id
	for ((id = FIRST; id <= LAST; id++)); do
		lodge start "$id"
	done
	is "$(lodge list --json | jq 'map(select(.state == "running")) | length')" 100 "running"
	is "$(lodge list -a --json | jq -r '.[].ctid' | while read -r id; do field "$id" .id_base; done |
		sort -u | wc -l)" 100 "different id ranges"
}

@test "each of them answers exec and ping" {
	local id bad=0
	for ((id = FIRST; id <= LAST; id++)); do
		[ "$(in_ct "$id" echo "$id")" = "$id" ] || bad=$((bad + 1))
		ping -q -c 1 -W 2 "$(address_of "$id")" >/dev/null || bad=$((bad + 1))
	done
	is "$bad" 0 "failures"
}

@test "the list of a hundred is complete and in order" {
	is "$(lodge list --json | jq -r '.[].ctid' | head -n 100 | tr '\n' ' ')" "$(seq -s ' ' $FIRST $LAST) " "order"
	is "$(lodge list | tail -n +2 | wc -l)" 100 "lines for people"
}

@test "a daemon that is killed finds all hundred again" {
	lodged_down KILL
	lodged_up
	is "$(lodge list --json | jq 'map(select(.state == "running")) | length')" 100 "running"
	is "$(in_ct $LAST echo fine)" fine "the last one"
}

@test "the daemon needs a few KiB for each and a handful of descriptors" {
	local pid
	pid=$(<"$LG_RUN/lodged.pid")
	local fds
	fds=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
	[ "$fds" -le $((100 * 8 + 60)) ] || fail "lodged has $fds descriptors open"
}

@test "twenty starts and stops at the same time end well" {
	local id
	local -a pids=()
	for ((id = FIRST; id < FIRST + 20; id++)); do
		lodge restart --fast "$id" >/dev/null 3>&- &
		pids+=($!)
	done
	for id in "${pids[@]}"; do
		wait "$id"
	done
	is "$(lodge list --json | jq 'map(select(.state == "running")) | length')" 100 "running"
}

@test "a hundred stop and are destroyed" {
	local id
	for ((id = FIRST; id <= LAST; id++)); do
		lodge stop --fast "$id"
	done
	is "$(lodge list --json | jq length)" 0 "running"
	for ((id = FIRST; id <= LAST; id++)); do
		lodge destroy "$id"
	done
	is "$(all_ctids)" "" "containers"
	no_links() { [ -z "$(find /sys/class/net -name "${LG_TAG}1*" -printf '%f\n')" ]; }
	wait_for 20 no_links
}
