#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# lodge as it is installed, with its units, on a host where systemd is process 1 and cgroup v2 is all there is.
# Only for the QEMU tier: it uses the host's own /etc/lodge and /var/lib/lodge.
# shellcheck disable=SC2154 # bats sets them

load ../host/lib

SUBTREE=/sys/fs/cgroup/system.slice/lodge-containers.service

setup_file() {
	need root
	[ -d /run/systemd/system ] || fail "systemd is not process 1"
	[ ! -e /etc/lodge ] || fail "this host has a lodge of its own"
	mkdir -p /var/lib/lodge/templates
	mount --bind "${LODGE_TEMPLATE_STORE:?}" /var/lib/lodge/templates
	systemctl start lodged lodge-guests
	command lodge create 101 --template busybox --memory 32M --ip auto
	command lodge start 101
}

teardown_file() {
	command lodge destroy --force 101
	command lodge teardown
	systemctl stop lodge-guests lodged
	# It refuses to be stopped by hand, so that nobody does while containers run.
	systemctl kill --signal=TERM lodge-containers
	wait_for 10 subtree_is_gone || fail "the cgroups are left behind"
	umount /var/lib/lodge/templates
	rm -rf /etc/lodge /var/lib/lodge
	[ ! -e /sys/class/net/lodge0 ] || fail "the bridge is left behind"
}

subtree_is_gone() {
	[ ! -e "$SUBTREE" ]
}

lodge() {
	command lodge "$@"
}

pid_of_init() {
	lodge show 101 --json | jq -r .init_pid
}

@test "systemd finds no fault with the units" {
	run systemd-analyze verify --man=no lodged.service lodge-containers.service lodge-guests.service
	is "$status" 0 "verify: $output"
	is "$output" "" "what verify says"
}

@test "the daemon tells systemd that it is ready, and feeds its watchdog" {
	is "$(systemctl is-active lodged)" active "state of lodged.service"
	is "$(systemctl show -P Type lodged)" notify "its type"
	is "$(systemctl show -P WatchdogUSec lodged)" 1min "its watchdog"
}

@test "containers are in the subtree that systemd delegates, with their limits" {
	[ -d "$SUBTREE/lodge/101" ] || fail "no $SUBTREE/lodge/101"
	is "$(cat "$SUBTREE/lodge/101/memory.max")" 33554432 "memory.max"
	like "$(cat "/proc/$(pid_of_init)/cgroup")" lodge-containers.service/lodge/101 "cgroup of init"
}

@test "a restart of the service leaves the container running" {
	local before
	before=$(pid_of_init)
	systemctl restart lodged
	is "$(pid_of_init)" "$before" "process of init"
	is "$(lodge exec 101 -- echo alive)" alive "exec"
}

@test "systemd starts a killed daemon again, and the container runs on" {
	local before main
	before=$(pid_of_init)
	main=$(systemctl show -P MainPID lodged)
	kill -KILL "$main"
	another_main() {
		local now
		now=$(systemctl show -P MainPID lodged)
		[ "$now" != 0 ] && [ "$now" != "$main" ] && [ "$(systemctl is-active lodged)" = active ]
	}
	wait_for 30 another_main || fail "no new daemon"
	is "$(pid_of_init)" "$before" "process of init"
	is "$(lodge exec 101 -- echo alive)" alive "exec"
}

@test "no process of a container is in the service's own cgroup" {
	is "$(cat /sys/fs/cgroup/system.slice/lodged.service/cgroup.procs)" \
		"$(systemctl show -P MainPID lodged)" "processes of lodged.service"
}

@test "varlinkctl speaks with it" {
	need tool varlinkctl
	run varlinkctl introspect /run/lodge/lodged.sock io.lodge
	is "$status" 0 "introspect: $output"
	like "$output" "method Start" "the interface"
	run varlinkctl --json=short call /run/lodge/lodged.sock io.lodge.List '{"all":true}'
	is "$status" 0 "call: $output"
	is "$(jq -r '.instances[0].ctid' <<<"$output")" 101 "the instance"
}

@test "when the host goes down the containers are stopped" {
	systemctl stop lodge-guests
	is "$(lodge show 101 --json | jq -r .state)" stopped "state"
}
