#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Suspend and resume where cgroup v2 is all there is, with Debian's own CRIU; and what vm/resumed.bats finds after the
# reboot between the two.
# Only for the QEMU tier: it uses the host's own /etc/lodge and /var/lib/lodge.
# shellcheck disable=SC2154,SC2016 # bats sets them; single quotes are expanded inside

load ../host/lib
load lib

setup_file() {
	need root
	[ -d /run/systemd/system ] || fail "systemd is not process 1"
	[ ! -e /etc/lodge ] || fail "this host has a lodge of its own"
	mkdir -p /etc/lodge /var/lib/lodge/templates
	chmod 0700 /var/lib/lodge
	echo "CRIU=\"$(type -P criu)\"" >/etc/lodge/lodge.conf
	# Templates of their own, as they have to be there after the reboot.
	cp -a "${LODGE_TEMPLATE_STORE:?}"/busybox "$LODGE_TEMPLATE_STORE"/debian-13 /var/lib/lodge/templates/
	systemctl enable lodged lodge-guests
	systemctl start lodged lodge-guests
	command lodge create 101 --template busybox --memory 64M --ip auto
	command lodge start 101
	command lodge create 102 --template debian-13 --memory 512M --tasks 400 --cpus 1.5 --ip auto \
		--feature checkpointable
	command lodge start 102 --wait
}

pid_of_init() {
	lodge show "$1" --json | jq -r .init_pid
}

# What AppArmor confines it with, where the host has that.
profile_of() {
	cat "/proc/$(pid_of_init "$1")/attr/current"
}

# same_cgroups ID BEFORE
same_cgroups() {
	local now
	now=$(cgroups "$1")
	[ "$now" = "$2" ] || fail "cgroups of $1 before and after:" "$(diff <(echo "$2") <(echo "$now"))"
}

@test "this kernel tracks the pages that are written" {
	criu check --feature mem_dirty_track
}

@test "a busybox container is suspended and resumed" {
	local count pid before
	counter 101
	wait_for 10 lodge exec 101 -- test -s /run/t/count
	pid=$(lodge exec 101 -- cat /run/t/pid)
	before=$(cgroups 101)
	lodge suspend 101
	is "$(lodge show 101 --json | jq -r .state)" suspended "state"
	[ -z "$(find "$SUBTREE/lodge/101" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || fail "something runs"
	lodge resume 101
	count=$(lodge exec 101 -- cat /run/t/count)
	wait_for 10 counts_on 101 "$count" || fail "it does not count on"
	lodge exec 101 -- kill -0 "$pid"
	same_cgroups 101 "$before"
	like "$(cat "/proc/$(pid_of_init 101)/cgroup")" "^0::.*/lodge-containers.service/lodge/101(/|$)" "its cgroup"
}

@test "a Debian is suspended and resumed, its services keep their limits" {
	local before count profile
	profile=$(profile_of 102)
	lodge exec 102 -- systemd-run --quiet --unit=held -p MemoryMax=96M -p TasksMax=50 -p CPUQuota=40% \
		-p CPUWeight=50 sleep infinity
	counter 102
	wait_for 10 lodge exec 102 -- test -s /run/t/count
	before=$(cgroups 102)
	like "$before" "held.service/memory.max:100663296" "what is there before"
	like "$before" "held.service/pids.max:50" "what is there before"
	lodge suspend 102
	lodge resume 102
	same_cgroups 102 "$before"
	is "$(profile_of 102)" "$profile" "its AppArmor profile"
	count=$(lodge exec 102 -- cat /run/t/count)
	wait_for 10 counts_on 102 "$count" || fail "it does not count on"
	is "$(lodge exec 102 -- systemctl is-system-running)" running "its systemd"
	is "$(lodge exec 102 -- systemctl is-active held)" active "its service"
}

@test "its systemd makes, limits and ends services as before" {
	lodge exec 102 -- systemd-run --quiet --unit=later -p MemoryMax=48M sleep infinity
	like "$(cgroups 102)" "later.service/memory.max:50331648" "limit of a new one"
	lodge exec 102 -- systemctl set-property --runtime held MemoryMax=80M
	# systemd answers first and sets it then.
	changed() { [[ $(cgroups 102) == *"held.service/memory.max:83886080"* ]]; }
	wait_for 10 changed || fail "the limit is not changed: $(cgroups 102 | grep held)"
	lodge exec 102 -- systemctl restart systemd-journald cron
	lodge exec 102 -- systemctl stop later
	[ ! -e "$SUBTREE/lodge/102/system.slice/later.service" ] || fail "its cgroup stays"
	is "$(lodge exec 102 -- systemctl is-system-running)" running "its systemd"
}

@test "the outer limits hold, and can be changed" {
	is "$(cat "$SUBTREE/lodge/102/memory.max")" 536870912 "memory.max"
	is "$(cat "$SUBTREE/lodge/102/pids.max")" 400 "pids.max"
	lodge set 102 --memory 600M
	is "$(cat "$SUBTREE/lodge/102/memory.max")" 629145600 "memory.max"
}

@test "a second time, too" {
	local before
	before=$(cgroups 102)
	lodge suspend 102
	lodge resume 102
	same_cgroups 102 "$before"
	is "$(lodge exec 102 -- systemctl is-system-running)" running "its systemd"
}

@test "both are suspended for the reboot" {
	local id
	for id in 101 102; do
		cgroups "$id" >"/var/lib/lodge/before-$id"
		lodge exec "$id" -- cat /run/t/count >"/var/lib/lodge/count-$id"
		lodge suspend "$id"
	done
	cat /proc/sys/kernel/random/boot_id >/var/lib/lodge/before-boot
}
