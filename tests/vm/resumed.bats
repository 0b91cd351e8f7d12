#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What vm/suspend.bats suspended is resumed by the next boot of the host; and everything goes away.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load ../host/lib
load lib

setup_file() {
	need root
	[ -e /var/lib/lodge/before-boot ] || fail "vm/suspend.bats did not run on this host"
}

teardown_file() {
	command lodge destroy --force 101
	command lodge destroy --force 102
	command lodge teardown
	systemctl disable lodged lodge-guests
	systemctl stop lodge-guests lodged
	# It refuses to be stopped by hand, so that nobody does while containers run.
	systemctl kill --signal=TERM lodge-containers
	wait_for 10 subtree_is_gone || fail "the cgroups are left behind"
	rm -rf /etc/lodge /var/lib/lodge
	[ ! -e /sys/class/net/lodge0 ] || fail "the bridge is left behind"
}

# went_on ID: it counts on from where it was
went_on() {
	local count
	count=$(<"/var/lib/lodge/count-$1")
	wait_for 20 counts_on "$1" "$count" || fail "it does not count on"
	[ "$(lodge exec "$1" -- cat /run/t/count)" -lt $((count + 3000)) ] || fail "it is another one that counts"
	diff "/var/lib/lodge/before-$1" <(cgroups "$1") || fail "its cgroups are others"
}

@test "the host was booted, and its lodged runs" {
	[ "$(</proc/sys/kernel/random/boot_id)" != "$(</var/lib/lodge/before-boot)" ]
	is "$(systemctl is-active lodged)" active "lodged"
	is "$(lodge show 101 --json | jq -r .state)" suspended "state of 101"
	is "$(lodge show 102 --json | jq -r .state)" suspended "state of 102"
}

@test "a busybox container goes on after the reboot" {
	lodge resume 101
	went_on 101
	lodge exec 101 -- sh -c 'kill -0 $(cat /run/t/pid)'
}

@test "a Debian goes on after the reboot" {
	local boots
	lodge resume 102
	went_on 102
	is "$(lodge exec 102 -- systemctl is-system-running)" running "its systemd"
	is "$(lodge exec 102 -- systemctl is-active held)" active "its service"
	lodge exec 102 -- systemctl restart systemd-journald cron
	lodge exec 102 -- systemd-run --quiet --wait true
	# Its journal knows of one boot: it has not been started again.
	boots=$(lodge exec 102 -- journalctl --list-boots --no-pager --quiet | wc -l)
	is "$boots" 1 "boots of the guest"
}

@test "it answers from the network" {
	like "$(lodge show 102 --json | jq -r '.addresses[0]')" "^10\." "address"
	ping -c 1 -W 5 "$(lodge show 102 --json | jq -r '.addresses[0]' | cut -d/ -f1)"
}
